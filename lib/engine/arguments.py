"""The command line of run_all.py: its flags, and their values checked against the study."""

import argparse

from lib.config.params import AXES, Study
from lib.config.schema import refuse_unknown
from lib.config.steps import STEPS

EXAMPLES = """examples:
  python run_all.py demo                         the whole study on synthetic images, 6 minutes on two cores
  python run_all.py paper --dry-run              what would be made, how long that takes, how much disk it needs
  python run_all.py paper --data DIR             the full reproduction
  python run_all.py paper --only backbone=MobileNet --step evaluate
                                                 a part of it and what that part needs
  python run_all.py paper --scheduler tcp://HOST:8786
                                                 on the workers of a Dask cluster; under Slurm: sbatch slurm.sh paper
  python run_all.py --compare demo mobilenet_cpu
                                                 what changed from one result to the other
"""


def parser(description: str) -> argparse.ArgumentParser:
    """The flags; `description` opens the help."""
    made = argparse.ArgumentParser("run_all.py", description=description, epilog=EXAMPLES, allow_abbrev=False)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    add = made.add_argument
    add("study", nargs="?", default="paper", metavar="STUDY", help="a name in params/ or the path of a YAML file")
    add("--data", default="", metavar="DIR", help="folder with Train/<class>/ and Test/<class>/, or <class>/ folders")
    metadata = "official diagnoses and lesion ids, as ISIC or HAM10000 publish them or in our columns; repeatable"
    add("--metadata", action="append", default=[], metavar="FILE", help=metadata)
    add("--masks", default="", metavar="DIR", help="true lesion masks <isic_id>*.png for 06_gradcam and 07_kmeans")
    add("--external", default="", metavar="DIR", help="class folders of external images, to score the models on")
    add("--weights", default="", metavar="DIR", help="folder of <name>_notop.weights.h5 files; `none`: random weights")
    add("--results", default="", metavar="DIR", help="default: results/<study>")
    add("--only", action="append", default=[], metavar="AXIS=V[,V]", help="keep part of the matrix; repeatable")
    add("--step", default="", metavar="NAME[,NAME]", help=f"only these steps and what they need: {', '.join(STEPS)}")
    add("--jobs", type=_positive, default=0, metavar="N", help="notebooks at once; default: one per GPU, else by cores")
    add("--per-gpu", type=_positive, default=1, metavar="N", help="training notebooks that share a GPU")
    add("--scheduler", default="", metavar="ADDR", help="an existing Dask cluster, instead of a local one")
    add("--dashboard", action="store_true", help="open Dask's dashboard on port 8787")
    add("--dry-run", action="store_true", help="print the plan: fresh, stale (what changed) or missing; start nothing")
    add("--yes", action="store_true", help="skip the confirmation of long CPU runs")
    steps = ("all", *STEPS)
    add("--force", nargs="?", const="all", default="", choices=steps, metavar="STEP", help="run again though fresh")
    add("--fail-fast", action="store_true", help="stop at the first failure")
    add("--verify", action="store_true", help="run nothing: hash every finished output and name those that changed")
    compared = "run nothing: write results/compare/A-B.html, what changed between two results (names or folders)"
    add("--compare", nargs=2, metavar=("A", "B"), help=compared)
    return made


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def chosen_values(texts: list[str], study: Study) -> dict[str, list[str]]:
    """`--only AXIS=V[,V]` as axis -> values, checked against the study."""
    valid = {axis: [str(value) for value in values] for axis, values in study.values_of_axes().items()}
    only: dict[str, list[str]] = {}
    for text in texts:
        axis, _, values = text.partition("=")
        refuse_unknown([axis], AXES, f"--only {text!r}: no axis")
        refuse_unknown(values.split(","), valid[axis], f"--only {text!r}: the study has no {axis}")
        only.setdefault(axis, []).extend(values.split(","))
    return only


def chosen_steps(text: str) -> list[str]:
    """`--step NAME[,NAME]` as names, checked."""
    names = [name for name in text.split(",") if name]
    refuse_unknown(names, STEPS, f"--step {text!r}: no step")
    return names
