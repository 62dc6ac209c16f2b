"""Where everything lies: the only module that builds paths and the ids of runs.

What a run writes goes first to a folder of its attempt and is moved into place when it has ended well: whole or not at
all. What a notebook writes that is run by hand stays in `scratch/<study>`, from where the next one reads it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LIB, NOTEBOOKS, PARAMS, RESULTS = (REPOSITORY / name for name in ("lib", "notebooks", "params", "results"))
SCENARIOS, BACKBONES, CLAIMS = (PARAMS / name for name in ("scenarios.yaml", "backbones.yaml", "claims.yaml"))
OPEN_CHOICES, REFORMS = PARAMS / "open_choices.yaml", PARAMS / "reforms.yaml"
PRINTED, LITERATURE = PARAMS / "printed.csv", PARAMS / "literature.csv"  # Tables I to IV, and V
TEXT_NUMBERS, RELATED_WORK = PARAMS / "text_numbers.csv", PARAMS / "related_work.csv"  # the paper's prose; of others
RATES, REFERENCE_RATES = RESULTS / "rates.json", RESULTS / "reference" / "rates.json"  # of this machine; of another
SCRATCH = "scratch"  # the `attempt` of a notebook that is run by hand
CHECKPOINTS = ".checkpoints"  # in an attempt's folder
# in a demo set: official diagnoses, true lesion masks `<image id>_segmentation.png`, planted flaws, external images
DEMO_METADATA, DEMO_MASKS, DEMO_PLANTED, DEMO_EXTERNAL = "metadata.csv", "masks", "planted.json", "external"
# of a training run: how its model was built and trained; of each phase predictions, and weights of fold 0
RUN_RECORD, RUN_PREDICTIONS, RUN_WEIGHTS = "run.json", "predictions_{}.parquet", "{}.weights.h5"
DEFAULT_VARIANT = "default"  # the study's own settings


def run_id(step: str, axes: Mapping[str, Any]) -> str:
    """`train-by_view-native-nine_classes-MobileNet-seed0`: the step and the values of its axes, without `default`."""
    shown = {axis: value for axis, value in axes.items() if (axis, value) != ("variant", DEFAULT_VARIANT)}
    return "-".join([step, *(f"seed{value}" if axis == "seed" else str(value) for axis, value in shown.items())])


def comparison(a: str, b: str) -> Path:
    """The page that compares two results, by their names; `-` stands for characters that are not of a word."""
    names = [re.sub(r"[^\w.]+", "-", name).strip("-.") or "results" for name in (a, b)]
    return RESULTS / "compare" / f"{names[0]}-{names[1]}.html"


class _Name:
    """A file or folder by its name in the results folder of a study, or in that of the variant that `step` runs in.
    Where the name has {axes}, it is a function of their values, in this order or by name; other axes are ignored."""

    def __init__(self, name: str, step: str = ""):
        self.name, self.step, self.axes = name, step, re.findall(r"{(\w+)}", name)

    def __get__(self, paths: Any, owner: type) -> Any:
        if paths is None:
            return self
        variant = paths.variant_of.get(self.step)
        folder = paths.root / "variants" / variant if variant else paths.root
        if not self.axes:
            return paths.newest(folder / self.name)
        return lambda *values, **axes: paths.newest(folder / self.name.format(**dict(zip(self.axes, values)) | axes))


@dataclass(frozen=True)
class StudyPaths:
    """The files of one study, `results/<study>/...`."""

    root: Path
    attempt: Path | None = None  # folder to write to instead of `root`: `new` maps into it
    variant_of: Mapping[str, str] = field(default_factory=dict)  # step -> the variant whose files it has, in its folder
    by_hand: bool = False  # `attempt` lies over `root`

    demo_data = _Name("data")  # the synthetic data set of a demo study (lib.data.demo)
    demo_external = _Name(f"data/{DEMO_EXTERNAL}")  # the demo's external images: class folders

    # 01_audit
    audit = _Name("audit")
    printed_audit = _Name("audit/printed.json")
    dataset_audit = _Name("audit/dataset.json")
    image_index = _Name("audit/images.parquet")  # one row per readable file: lib.data.index

    # 02_prepare_data
    prepared = _Name("prepared", "prepare")
    images = _Name("prepared/images.npy", "prepare")  # the pool: uint8 [views, size, size, 3]
    views = _Name("prepared/views.parquet", "prepare")  # one row per view, in the order of images.npy
    protocol = _Name("prepared/{protocol}.parquet", "prepare")  # over the rows of the pool: class, group and tenths
    label_changes = _Name("prepared/label_changes.csv", "prepare")  # by `clean`: corrected or dropped, with the reason
    not_evaluable = _Name("prepared/not_evaluable.csv", "prepare")  # classes with too few images under a protocol
    seen_in_training = _Name("prepared/seen_in_training.csv", "prepare")  # test views with their file or group there
    ceilings = _Name("prepared/ceilings.csv", "prepare")  # the best accuracy that contradictory labels allow

    # 03_extract_features, 04_train and 05_evaluate
    feature_folder = _Name("features/{preprocessing}/{backbone}", "features")
    features = _Name("features/{preprocessing}/{backbone}/features.npy", "features")
    run = _Name("runs/{protocol}/{preprocessing}/{scenario}/{backbone}/seed{seed}", "train")  # a folder
    outcomes = _Name("outcomes/{preprocessing}/{scenario}.parquet", "evaluate")  # a row per tested view of every model
    external_outcomes = _Name("outcomes/{preprocessing}/{scenario}_external.parquet", "evaluate")
    external_files = _Name("outcomes/{preprocessing}/{scenario}_external_files.csv", "evaluate")

    # 06_gradcam and 07_kmeans
    gradcam_maps = _Name("gradcam/{scenario}/{backbone}")  # some explained images, their maps laid over them
    gradcam_shares = _Name("gradcam/{scenario}/{backbone}/maps.csv")  # a row per original of the explained test fold
    gradcam_table = _Name("gradcam/gradcam.csv")  # the rows of every model's `gradcam_shares`
    kmeans = _Name("kmeans")
    segmentation = _Name("kmeans/segmentation.csv")  # one row per image: its clusters, and how they fit a true mask
    segmentation_masks = _Name("kmeans/masks")  # what is named abnormal: PNG files

    # 08_report
    tables = _Name("tables")
    table = _Name("tables/table_{number}.csv")
    ladder = _Name("tables/ladder.csv")  # one row per rung: lib.scores.ladder
    claims = _Name("claims.json")
    report_folder = _Name("report")
    report = _Name("report/index.html")
    notebook_page = _Name("report/notebooks/{run_id}.html")  # an executed notebook as a page

    # the engine
    executed = _Name("notebooks/{run_id}.ipynb")  # a run's executed notebook
    state = _Name("state.json")  # how each run of the study ended, for the report
    attempts = _Name(".attempts")  # what runs write until they have ended well
    stamps = _Name("stamps")
    stamp = _Name("stamps/{run_id}.json")
    external_digests = _Name("stamps/.external.json")  # of files outside the results folder
    format = _Name("stamps/.format.json")  # which format the stamps have
    lock = _Name(".lock")  # held while a run_all works in this results folder
    log = _Name("run.log")
    crate = _Name("ro-crate-metadata.json")  # RO-Crate description of the results folder; the standard fixes its name

    @classmethod
    def of(cls, results: str, attempt: str = "", variant_of: Mapping[str, str] | None = None) -> "StudyPaths":
        """Paths from a notebook's parameters. With the attempt `scratch`, that of notebooks run by hand, everything new
        goes to `scratch/<study>` beside the study and is read from there: the study itself is never written."""
        if attempt != SCRATCH:
            return cls(Path(results), Path(attempt) if attempt else None, variant_of or {})
        root = Path(results).resolve()
        return cls(root, root.parent / SCRATCH / root.name, variant_of or {}, by_hand=True)

    @property
    def checkpoints(self) -> Path | None:
        """What a killed run resumes from; None without such a folder, which the engine makes for the same inputs."""
        folder = self.attempt and self.attempt / CHECKPOINTS
        return folder if folder and folder.is_dir() else None

    def of_variant(self, variant: str) -> "StudyPaths":
        """The paths of what a variant has trained and evaluated."""
        steps = () if variant == DEFAULT_VARIANT else ("train", "evaluate")
        return replace(self, variant_of=dict.fromkeys(steps, variant))

    def named(self, names: Iterable[str], axes: Mapping[str, Any]) -> list[Path]:
        """The files and folders of these names, of the cell that `axes` gives."""
        return [path if isinstance(path, Path) else path(**axes) for path in (getattr(self, name) for name in names)]

    def glob(self, pattern: str) -> list[Path]:
        """What the study has by a pattern of names, each where it is to be read."""
        folders = (self.root, self.attempt)[: 1 + self.by_hand]
        names = {path.relative_to(folder) for folder in folders for path in folder.glob(pattern)}
        return [self.newest(self.root / name) for name in sorted(names)]

    def newest(self, path: Path) -> Path:
        """Where to read `path`: in scratch, where a notebook that was run by hand has written it, else in the study."""
        own = self.attempt / path.relative_to(self.root) if self.by_hand else path
        return own if own.exists() else path

    def new(self, path: Path) -> Path:
        """Where to write `path` in this attempt; its parent folder is made."""
        own = self.attempt or self.root
        target = path if path.is_relative_to(own) else own / path.relative_to(self.root)
        target.parent.mkdir(parents=True, exist_ok=True)
        return target
