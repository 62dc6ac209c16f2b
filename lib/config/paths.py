"""Where everything lies: the only module that builds paths.

A study's results folder is read in place. What a run writes goes first to a folder of that attempt
and is renamed into place when the run has ended well, so outputs appear whole or not at all.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
PARAMS = REPOSITORY / "params"
NOTEBOOKS = REPOSITORY / "notebooks"
SCENARIOS, BACKBONES = PARAMS / "scenarios.yaml", PARAMS / "backbones.yaml"
CLAIMS, OPEN_CHOICES = PARAMS / "claims.yaml", PARAMS / "open_choices.yaml"
PRINTED, LITERATURE = PARAMS / "printed.csv", PARAMS / "literature.csv"  # Tables I to IV, and V
TEXT_NUMBERS = PARAMS / "text_numbers.csv"
RELATED_WORK = PARAMS / "related_work.csv"  # what others reach
REFORMS = PARAMS / "reforms.yaml"
LIB = REPOSITORY / "lib"
RESULTS = REPOSITORY / "results"
RATES = RESULTS / "rates.json"  # how fast this machine is, and the machine of the reference: lib.engine.estimate
SCRATCH = "scratch"  # what a notebook's `attempt` is where it is run by hand
CHECKPOINTS = ".checkpoints"  # in an attempt's folder
DEFAULT_VARIANT = "default"  # the study's own settings
REFERENCE_RATES = RESULTS / "reference" / "rates.json"


def run_id(step: str, axes: Mapping[str, Any]) -> str:
    """`train-by_view-native-nine_classes-MobileNet-seed0`: the step and the values of its axes, without `default`."""
    shown = {axis: value for axis, value in axes.items() if (axis, value) != ("variant", DEFAULT_VARIANT)}
    return "-".join([step, *(f"seed{value}" if axis == "seed" else str(value) for axis, value in shown.items())])


def comparison(a: str, b: str) -> Path:
    """The page that sets two results against each other, by their names; what is no word in them becomes `-`."""
    names = [re.sub(r"[^\w.]+", "-", name).strip("-.") or "results" for name in (a, b)]
    return RESULTS / "compare" / f"{names[0]}-{names[1]}.html"


def demo_metadata(folder: Path) -> Path:
    """The official diagnoses of the demo set in `folder`."""
    return folder / "metadata.csv"


def demo_masks(folder: Path) -> Path:
    """The true lesion masks of the demo set in `folder`, `<image id>_segmentation.png`."""
    return folder / "masks"


def demo_planted(folder: Path) -> Path:
    """Which flaws were planted where in the demo set in `folder`."""
    return folder / "planted.json"


def run_record(run: Path) -> Path:
    """What the model of a training run was built and trained with; `run` is what StudyPaths.run gives."""
    return run / "run.json"


def run_history(run: Path) -> Path:
    return run / "history.csv"


def run_predictions(run: Path, phase: str) -> Path:
    return run / f"predictions_{phase}.parquet"


def run_weights(run: Path, phase: str) -> Path:
    return run / f"{phase}.weights.h5"


@dataclass(frozen=True)
class StudyPaths:
    """The files of one study, `results/<study>/...`.

    Args:
        root: the results folder of the study.
        attempt: folder to write to instead of `root` (`new` maps into it); empty writes in place.
        variant_of: step -> the variant whose files it has, in a folder of their own; a step that is not named has the
            study's own files.
    """

    root: Path
    attempt: Path | None = None
    variant_of: Mapping[str, str] = field(default_factory=dict)

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

    def of_variant(self, variant: str) -> "StudyPaths":
        """The paths of what a variant has trained and evaluated."""
        steps = () if variant == DEFAULT_VARIANT else ("train", "evaluate")
        return replace(self, variant_of=dict.fromkeys(steps, variant))

    @property
    def variant(self) -> str:
        """The variant whose scores these paths lead to: whatever a variant changes, it is evaluated anew."""
        return self.variant_of.get("evaluate", DEFAULT_VARIANT)

    def _of_step(self, step: str) -> Path:
        """The folder that holds what a step writes for this variant."""
        return self.root / "variants" / self.variant_of[step] if step in self.variant_of else self.root

    def new(self, path: Path) -> Path:
        """Where to write `path` in this attempt; its parent folder is made."""
        target = self.attempt / path.relative_to(self.root) if self.attempt else path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    @property
    def checkpoints(self) -> Path | None:
        """What a killed run goes on from. None where the engine has made no such folder: it alone knows whether what is
        there was made from the same inputs."""
        folder = self.attempt and self.attempt / CHECKPOINTS
        return folder if folder and folder.is_dir() else None

    @property
    def demo_data(self) -> Path:
        """The synthetic data set of a demo study (lib.data.demo): Train/, Test/, masks/, metadata.csv."""
        return self.root / "data"

    @property
    def demo_external(self) -> Path:
        """The demo's external images (lib.data.demo): class folders."""
        return self.root / "external"

    # 01_audit
    @property
    def audit(self) -> Path:
        return self.root / "audit"

    @property
    def printed_audit(self) -> Path:
        return self.audit / "printed.json"

    @property
    def dataset_audit(self) -> Path:
        return self.audit / "dataset.json"

    @property
    def image_index(self) -> Path:
        """A row a readable file of the data set, with content digest, hash, diagnosis, lesion and group."""
        return self.audit / "images.parquet"

    @property
    def unreadable(self) -> Path:
        """Files of the data set that could not be read, with the reason."""
        return self.audit / "unreadable.csv"

    # 02_prepare_data
    @property
    def prepared(self) -> Path:
        return self._of_step("prepare") / "prepared"

    @property
    def images(self) -> Path:
        """The pool: uint8 [views, size, size, 3]."""
        return self.prepared / "images.npy"

    @property
    def views(self) -> Path:
        """A row a view of the pool, in the order of images.npy."""
        return self.prepared / "views.parquet"

    def protocol(self, protocol: str) -> Path:
        """A protocol over the rows of the pool: class, group and tenths."""
        return self.prepared / f"{protocol}.parquet"

    @property
    def label_changes(self) -> Path:
        """Files whose label `clean` changed or that it dropped, with the reason."""
        return self.prepared / "label_changes.csv"

    @property
    def not_evaluable(self) -> Path:
        """Classes of a scenario that have too few images under a protocol, with the counts."""
        return self.prepared / "not_evaluable.csv"

    @property
    def seen_in_training(self) -> Path:
        """For each protocol and scenario, the share of test views whose file, or group, is also in training."""
        return self.prepared / "seen_in_training.csv"

    @property
    def ceilings(self) -> Path:
        """For each protocol and scenario, the best accuracy that contradictory labels leave to any classifier."""
        return self.prepared / "ceilings.csv"

    # 03_extract_features
    def feature_folder(self, preprocessing: str, backbone: str) -> Path:
        return self._of_step("features") / "features" / preprocessing / backbone

    def features(self, preprocessing: str, backbone: str) -> Path:
        return self.feature_folder(preprocessing, backbone) / "features.npy"

    # 04_train
    def run(self, protocol: str, preprocessing: str, scenario: str, backbone: str, seed: int) -> Path:
        return self._of_step("train") / "runs" / protocol / preprocessing / scenario / backbone / f"seed{seed}"

    # 05_evaluate
    def outcomes(self, preprocessing: str, scenario: str) -> Path:
        """One row per tested view of every model: lib.scores.outcomes."""
        return self._of_step("evaluate") / "outcomes" / preprocessing / f"{scenario}.parquet"

    def external_outcomes(self, preprocessing: str, scenario: str) -> Path:
        """The same of external images."""
        return self.outcomes(preprocessing, scenario).with_name(f"{scenario}_external.parquet")

    def external_files(self, preprocessing: str, scenario: str) -> Path:
        """The files of the external images, with the reason why some are not scored."""
        return self.outcomes(preprocessing, scenario).with_name(f"{scenario}_external_files.csv")

    # 06_gradcam and 07_kmeans
    @property
    def gradcam(self) -> Path:
        return self.root / "gradcam"

    def gradcam_maps(self, scenario: str, backbone: str) -> Path:
        """Some explained images of a model, their maps laid over them, and `gradcam_shares`."""
        return self.gradcam / scenario / backbone

    def gradcam_shares(self, scenario: str, backbone: str) -> Path:
        """A row a test original of the explained fold: what the model said, how much of its map is in the lesion."""
        return self.gradcam_maps(scenario, backbone) / "maps.csv"

    @property
    def gradcam_table(self) -> Path:
        """The rows of every model's `gradcam_shares`."""
        return self.gradcam / "gradcam.csv"

    @property
    def kmeans(self) -> Path:
        return self.root / "kmeans"

    @property
    def segmentation(self) -> Path:
        """A row a segmented image: its clusters and, where there is a true mask, how well they meet it."""
        return self.kmeans / "segmentation.csv"

    @property
    def segmentation_masks(self) -> Path:
        """What is named abnormal in each image, `lib.explain.kmeans.safe_name(source)`.png."""
        return self.kmeans / "masks"

    # 08_report
    @property
    def tables(self) -> Path:
        return self.root / "tables"

    def table(self, number: int) -> Path:
        return self.tables / f"table_{number}.csv"

    @property
    def ladder_picture(self) -> Path:
        return self.tables / "ladder.svg"

    @property
    def ladder(self) -> Path:
        """From the printed accuracy to the honest one, a row a rung: lib.scores.ladder."""
        return self.tables / "ladder.csv"

    @property
    def claims(self) -> Path:
        return self.root / "claims.json"

    @property
    def report(self) -> Path:
        return self.root / "report" / "index.html"

    @property
    def report_style(self) -> Path:
        """The style sheet that the pages of the notebooks share."""
        return self.root / "report" / "style.css"

    def notebook_page(self, run_id: str) -> Path:
        """A run's executed notebook as a page beside the report."""
        return self.root / "report" / "notebooks" / f"{run_id}.html"

    # the engine
    @property
    def state(self) -> Path:
        """How each run of the study stands (done, failed, not run), for the report."""
        return self.root / "state.json"

    @property
    def attempts(self) -> Path:
        """What runs write until they have ended well."""
        return self.root / ".attempts"

    @property
    def stamps(self) -> Path:
        return self.root / "stamps"

    @property
    def external_digests(self) -> Path:
        """Digests of files outside the results folder, by size and modification time."""
        return self.stamps / ".external.json"

    @property
    def format(self) -> Path:
        """Which format of stamps this results folder has."""
        return self.stamps / ".format.json"

    @property
    def lock(self) -> Path:
        """Held while a run_all works in this results folder."""
        return self.root / ".lock"

    @property
    def log(self) -> Path:
        return self.root / "run.log"

    @property
    def crate(self) -> Path:
        """RO-Crate description of the whole results folder; its name is fixed by that standard."""
        return self.root / "ro-crate-metadata.json"

    def executed(self, run_id: str) -> Path:
        return self.root / "notebooks" / f"{run_id}.ipynb"

    def stamp(self, run_id: str) -> Path:
        return self.stamps / f"{run_id}.json"
