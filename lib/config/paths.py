"""Where everything lies: the only module that builds paths and the ids of runs.

A study's results folder is read in place. What a run writes goes first to a folder of that attempt and is moved into
place when the run has ended well, so outputs appear whole or not at all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
LIB, NOTEBOOKS, PARAMS, RESULTS = (REPOSITORY / name for name in ("lib", "notebooks", "params", "results"))
SCENARIOS, BACKBONES = PARAMS / "scenarios.yaml", PARAMS / "backbones.yaml"
CLAIMS, OPEN_CHOICES = PARAMS / "claims.yaml", PARAMS / "open_choices.yaml"
PRINTED, LITERATURE = PARAMS / "printed.csv", PARAMS / "literature.csv"  # Tables I to IV, and V
TEXT_NUMBERS = PARAMS / "text_numbers.csv"
RELATED_WORK = PARAMS / "related_work.csv"  # results of others
REFORMS = PARAMS / "reforms.yaml"
RATES = RESULTS / "rates.json"  # how fast this machine is, for lib.engine.estimate
REFERENCE_RATES = RESULTS / "reference" / "rates.json"
SCRATCH = "scratch"  # the `attempt` of a notebook that is run by hand
CHECKPOINTS = ".checkpoints"  # in an attempt's folder
DEFAULT_VARIANT = "default"  # the study's own settings


def run_id(step: str, axes: Mapping[str, Any]) -> str:
    """`train-by_view-native-nine_classes-MobileNet-seed0`: the step and the values of its axes, without `default`."""
    shown = {axis: value for axis, value in axes.items() if (axis, value) != ("variant", DEFAULT_VARIANT)}
    return "-".join([step, *(f"seed{value}" if axis == "seed" else str(value) for axis, value in shown.items())])


def comparison(a: str, b: str) -> Path:
    """The page that compares two results, by their names; `-` stands for characters that are not of a word."""
    names = [re.sub(r"[^\w.]+", "-", name).strip("-.") or "results" for name in (a, b)]
    return RESULTS / "compare" / f"{names[0]}-{names[1]}.html"


def demo_metadata(folder: Path) -> Path:
    """The official diagnoses of the demo set in `folder`."""
    return folder / "metadata.csv"


def demo_masks(folder: Path) -> Path:
    """The true lesion masks of the demo set in `folder`, `<image id>_segmentation.png`."""
    return folder / "masks"


def demo_planted(folder: Path) -> Path:
    """The flaws planted in the demo set in `folder`."""
    return folder / "planted.json"


def run_record(run: Path) -> Path:
    """How the model of a training run was built and trained; `run` is what StudyPaths.run gives."""
    return run / "run.json"


def run_history(run: Path) -> Path:
    return run / "history.csv"


def run_predictions(run: Path, phase: str) -> Path:
    return run / f"predictions_{phase}.parquet"


def run_weights(run: Path, phase: str) -> Path:
    return run / f"{phase}.weights.h5"


class _Name:
    """A file or folder of a study, by its name in the results folder, or in that of the variant that `step` runs in."""

    def __init__(self, name: str, step: str = ""):
        self.name, self.step = name, step

    def __get__(self, paths: "StudyPaths | None", owner: type) -> Path:
        return self if paths is None else paths.folder_of(self.step) / self.name


@dataclass(frozen=True)
class StudyPaths:
    """The files of one study, `results/<study>/...`.

    Args:
        root: the results folder of the study.
        attempt: folder to write to instead of `root` (`new` maps into it); empty writes in place.
        variant_of: step -> the variant whose files it has, in a folder of their own; other steps have the study's own.
    """

    root: Path
    attempt: Path | None = None
    variant_of: Mapping[str, str] = field(default_factory=dict)

    demo_data = _Name("data")  # the synthetic data set of a demo study (lib.data.demo)
    demo_external = _Name("external")  # the demo's external images: class folders

    # 01_audit
    audit = _Name("audit")
    printed_audit = _Name("audit/printed.json")
    dataset_audit = _Name("audit/dataset.json")
    image_index = _Name("audit/images.parquet")  # one row per readable file: lib.data.index
    unreadable = _Name("audit/unreadable.csv")  # files that could not be read, with the reason

    # 02_prepare_data
    prepared = _Name("prepared", "prepare")
    images = _Name("prepared/images.npy", "prepare")  # the pool: uint8 [views, size, size, 3]
    views = _Name("prepared/views.parquet", "prepare")  # one row per view, in the order of images.npy
    label_changes = _Name("prepared/label_changes.csv", "prepare")  # by `clean`: corrected or dropped, with the reason
    not_evaluable = _Name("prepared/not_evaluable.csv", "prepare")  # classes with too few images under a protocol
    # per protocol and scenario: the share of test views whose file, or group, is also in training
    seen_in_training = _Name("prepared/seen_in_training.csv", "prepare")
    ceilings = _Name("prepared/ceilings.csv", "prepare")  # the best accuracy that contradictory labels leave

    # 06_gradcam and 07_kmeans
    gradcam = _Name("gradcam")
    gradcam_table = _Name("gradcam/gradcam.csv")  # the rows of every model's `gradcam_shares`
    kmeans = _Name("kmeans")
    segmentation = _Name("kmeans/segmentation.csv")  # one row per image: its clusters, and how they fit a true mask
    segmentation_masks = _Name("kmeans/masks")  # what is named abnormal: <source>.png

    # 08_report
    tables = _Name("tables")
    ladder = _Name("tables/ladder.csv")  # one row per rung: lib.scores.ladder
    ladder_picture = _Name("tables/ladder.svg")
    claims = _Name("claims.json")
    report = _Name("report/index.html")
    report_style = _Name("report/style.css")  # shared by the pages of the notebooks

    # the engine
    state = _Name("state.json")  # how each run of the study ended, for the report
    attempts = _Name(".attempts")  # what runs write until they have ended well
    stamps = _Name("stamps")
    external_digests = _Name("stamps/.external.json")  # of files outside the results folder
    format = _Name("stamps/.format.json")  # which format the stamps have
    lock = _Name(".lock")  # held while a run_all works in this results folder
    log = _Name("run.log")
    crate = _Name("ro-crate-metadata.json")  # RO-Crate description of the results folder; the standard fixes its name

    @classmethod
    def of(cls, results: str, attempt: str = "", variant_of: Mapping[str, str] | None = None) -> "StudyPaths":
        """Paths from a notebook's parameters.

        With the attempt `scratch`, that of notebooks run by hand, a study that run_all has made is read and never
        written: what is new goes to `scratch/<study>` beside it.
        """
        root = Path(results)
        folder = Path(attempt) if attempt else None
        if attempt == SCRATCH:
            folder = root.parent / SCRATCH / root.name if cls(root).stamps.is_dir() else None
        return cls(root, folder, variant_of or {})

    @property
    def by_hand(self) -> bool:
        """Whether what is new is kept apart from the study, in its scratch folder."""
        return self.attempt is not None and self.attempt.parent.name == SCRATCH

    @property
    def checkpoints(self) -> Path | None:
        """What a killed run resumes from; None where the engine made no such folder, since it alone knows whether the
        checkpoints in it were made from the same inputs."""
        folder = self.attempt and self.attempt / CHECKPOINTS
        return folder if folder and folder.is_dir() else None

    @property
    def variant(self) -> str:
        """The variant whose scores these paths lead to: whatever a variant changes, it is evaluated anew."""
        return self.variant_of.get("evaluate", DEFAULT_VARIANT)

    def of_variant(self, variant: str) -> "StudyPaths":
        """The paths of what a variant has trained and evaluated."""
        steps = () if variant == DEFAULT_VARIANT else ("train", "evaluate")
        return replace(self, variant_of=dict.fromkeys(steps, variant))

    def folder_of(self, step: str) -> Path:
        """The folder below which a step writes for this variant."""
        return self.root / "variants" / self.variant_of[step] if step in self.variant_of else self.root

    def new(self, path: Path) -> Path:
        """Where to write `path` in this attempt; its parent folder is made."""
        target = self.attempt / path.relative_to(self.root) if self.attempt else path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def protocol(self, protocol: str) -> Path:
        """A protocol over the rows of the pool: class, group and tenths."""
        return self.prepared / f"{protocol}.parquet"

    def feature_folder(self, preprocessing: str, backbone: str) -> Path:
        return self.folder_of("features") / "features" / preprocessing / backbone

    def features(self, preprocessing: str, backbone: str) -> Path:
        return self.feature_folder(preprocessing, backbone) / "features.npy"

    def run(self, protocol: str, preprocessing: str, scenario: str, backbone: str, seed: int) -> Path:
        """The folder of a training run."""
        return self.folder_of("train") / "runs" / protocol / preprocessing / scenario / backbone / f"seed{seed}"

    def outcomes(self, preprocessing: str, scenario: str) -> Path:
        """One row per tested view of every model: lib.scores.outcomes."""
        return self.folder_of("evaluate") / "outcomes" / preprocessing / f"{scenario}.parquet"

    def external_outcomes(self, preprocessing: str, scenario: str) -> Path:
        """The same of external images."""
        return self.outcomes(preprocessing, scenario).with_name(f"{scenario}_external.parquet")

    def external_files(self, preprocessing: str, scenario: str) -> Path:
        """The files of the external images, with the reason why some are not scored."""
        return self.outcomes(preprocessing, scenario).with_name(f"{scenario}_external_files.csv")

    def gradcam_maps(self, scenario: str, backbone: str) -> Path:
        """Some explained images of a model, their maps laid over them, and `gradcam_shares`."""
        return self.gradcam / scenario / backbone

    def gradcam_shares(self, scenario: str, backbone: str) -> Path:
        """One row per original of the explained test fold: what is predicted, how much of its map is in the lesion."""
        return self.gradcam_maps(scenario, backbone) / "maps.csv"

    def table(self, number: int) -> Path:
        return self.tables / f"table_{number}.csv"

    def executed(self, run_id: str) -> Path:
        """A run's executed notebook."""
        return self.root / "notebooks" / f"{run_id}.ipynb"

    def notebook_page(self, run_id: str) -> Path:
        """A run's executed notebook as a page beside the report."""
        return self.root / "report" / "notebooks" / f"{run_id}.html"

    def stamp(self, run_id: str) -> Path:
        return self.stamps / f"{run_id}.json"
