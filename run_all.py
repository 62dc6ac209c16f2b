"""Run a study: plan its notebooks, make those that are missing or stale, and end with the report.

Exit status: 0 all done; 1 some runs failed, the report shows them; 2 bad usage or input, nothing started;
130 interrupted, everything finished so far is kept.
"""

import argparse
import os
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lib.config.packages import BACKENDS, chosen_backend
from lib.config.paper import CLASSES, backbones, scenarios
from lib.config.params import AXES, Study, load_study, study_names, study_path
from lib.config.paths import DEMO_MASKS, DEMO_METADATA, NOTEBOOKS, RESULTS, StudyPaths
from lib.config.schema import ParameterError, nearest, refuse_unknown
from lib.config.steps import STEPS
from lib.config.text import duration
from lib.engine import provenance
from lib.engine.code import CodeError
from lib.engine.estimate import Forecast, confirm, describe, is_long, load_rates, show_plan
from lib.engine.execution import Execution, Interruption
from lib.engine.freshness import Freshness, Standing, standings
from lib.engine.locks import FolderError, check_format, locked
from lib.engine.notebooks import NotebookError
from lib.engine.planning import Inputs, Run, plan, select, skipped_cells
from lib.engine.progress import log, outlast_output, start_log
from lib.engine.workers import ClusterError, Options, at_once

BAD_INPUT = (ParameterError, NotebookError, CodeError, FolderError, ClusterError)
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


def main(arguments: list[str] | None = None, notebooks: Path = NOTEBOOKS) -> int:
    """Run `run_all.py` with command-line arguments; returns the exit status.

    Args:
        notebooks: folder of the notebooks, for studies of other notebooks of the same steps.
    """
    outlast_output()
    arguments = sys.argv[1:] if arguments is None else arguments
    options = parser().parse_args(arguments)
    interruption = Interruption()
    try:
        with interruption.handled():
            if options.list:
                status = _list()
            elif options.compare or options.verify:
                status = _compare(options) if options.compare else _verify(options)
            else:
                status = _run(options, arguments, notebooks, interruption)
            sys.stdout.flush()
            return status
    except (*BAD_INPUT, KeyboardInterrupt) as error:
        if interruption.noted:  # a library may have taken the interrupt for a failure of its own
            print("interrupted before any notebook started; finished runs are kept", file=sys.stderr)
            return 130
        print(f"run_all.py: {error}", file=sys.stderr)
        log.error("%s", error)
        return 2
    except OSError as error:
        again = "finished runs are kept; free space or repair the folder, then repeat the command"
        print(f"run_all.py: {error}; {again}", file=sys.stderr)
        return 1


def _run(options: argparse.Namespace, arguments: list[str], notebooks: Path, interruption: Interruption) -> int:
    _check_backend()
    study = load_study(options.study)
    name = study_path(options.study).stem
    weights = options.weights or os.environ.get("SKINCAS_WEIGHTS", "")
    if weights == "none":
        study = study.model_copy(update={"weights": "none"})
    paths = _paths(options)
    only, steps = _chosen_values(options.only, study), [name for name in options.step.split(",") if name]
    refuse_unknown(steps, STEPS, f"--step {options.step!r}: no step")
    force = frozenset([options.force] if options.force else [])
    weights_dir = _weights(weights, study, only)
    flags = {name: getattr(options, name) for name in ("jobs", "per_gpu", "scheduler", "fail_fast", "dashboard")}
    how = Options(force=force, silence=study.silent_minutes, **flags)

    def check(inputs: Inputs) -> Overview:
        planned = plan(study, name, inputs, notebooks)
        runs = select(planned, steps, only)
        if not options.dry_run:
            print(f"checking {len(runs)} runs", flush=True)
        freshness = Freshness(paths.root)
        standing = standings(runs, freshness, force)
        todo = [run for run in runs if standing[run.id].status != "fresh"]
        forecast = Forecast(todo, study, _count_files(study, inputs), load_rates(), at_once(how), planned, paths)
        edited = freshness.changed_by_hand(runs)
        lines = [f"outputs changed by hand: {len(edited)}"] if edited else []
        return Overview(planned, runs, standing, freshness, forecast, lines + describe(todo, forecast, how, paths.root))

    if options.dry_run:
        check_format(paths)
        overview = check(_inputs(options, study, paths, weights_dir, names_only=True))
        show_plan(overview.runs, overview.standing, name)
        print("\n".join(overview.lines))
        return 0
    with locked(paths.root):
        start_log(paths.log)
        log.info("python run_all.py %s", shlex.join(arguments))
        if study.synthetic:
            print("making the synthetic images", flush=True)
        inputs = _inputs(options, study, paths, weights_dir, names_only=not study.synthetic)
        overview = check(inputs)
        for line in overview.lines:
            print(line, flush=True)
            log.info("%s", line)
        if is_long(overview.forecast, how):
            left, others = overview.forecast.left(), _studies(inputs, overview.forecast.at_once)
            smaller = {name: each.left() for name, other, _, each in others if other != study and each.left() < left}
            if not confirm(options.yes, smaller):
                print("nothing was started")
                return 2
        needs_data = any("data" in run.injected for run in overview.runs if overview.standing[run.id].status != "fresh")
        if needs_data and not inputs.data.is_dir():
            inputs = _inputs(options, study, paths, weights_dir)  # now the images are downloaded
            overview = check(inputs)
        overview.freshness.save_external()
        facts = provenance.of_study(name, ["python", "run_all.py", *arguments])
        started = time.monotonic()
        execution = Execution(
            overview.runs, overview.standing, overview.planned, skipped_cells(study), paths.root, how, facts
        )
        results = execution.carry_out(interruption, overview.forecast)
        if not interruption.noted and any(result.status == "done" for result in results.values()):
            try:
                provenance.write_crate(overview.planned, paths.root, study.title, facts)
            except OSError as error:  # a description of results that are there
                print(f"the provenance crate could not be written: {error}", file=sys.stderr)
        return _summarise(overview.runs, results, paths, options, time.monotonic() - started, interruption)


@dataclass(frozen=True)
class Overview:
    """The plan of a study, the status of its runs, and how long they take."""

    planned: list[Run]
    runs: list[Run]
    standing: dict[str, Standing]
    freshness: Freshness
    forecast: Forecast
    lines: list[str]  # what is said of it


def _paths(options: argparse.Namespace) -> StudyPaths:
    given = Path(options.results).expanduser().resolve() if options.results else None
    return StudyPaths(given or RESULTS / study_path(options.study).stem)


def _verify(options: argparse.Namespace) -> int:
    """Hash every finished output, whatever its size and time, and name those that are not as they were written."""
    paths = _paths(options)
    check_format(paths)
    if not any(paths.stamps.glob("[!.]*.json")):
        raise ParameterError(f"--verify: {paths.root} holds no finished run; name a study or --results that has some")
    damaged = Freshness(paths.root).damaged()
    print("\n".join(f"not as it was written: {name}" for name in damaged) or "every output is as it was written")
    if damaged:
        print(f"delete these {len(damaged)} in {paths.root} and run the study again, or take them from a copy")
    return 1 if damaged else 0


def _list() -> int:
    """Print each study of params/: how large it is on the paper's data set, and what is there of it."""
    for name, study, runs, forecast in _studies(Inputs(data=RESULTS / "not downloaded yet"), at_once(Options())):
        paths = StudyPaths(RESULTS / name)
        done = sum(paths.stamp(run.id).is_file() for run in runs)
        reports = [at.report for at in (paths, StudyPaths(RESULTS / "reference" / name)) if at.report.is_file()]
        print(f"{name}: {study.title}")
        print(f"  {len(runs)} runs, about {duration(forecast.left())} here, up to {forecast.disk / 1e9:.1f} GB of disk")
        print(f"  {done} finished; report: {', '.join(map(os.path.relpath, reports)) or 'none'}")
    return 0


def _compare(options: argparse.Namespace) -> int:
    """Write the page that compares two results."""
    from lib.report import compare

    if options.study != "paper":
        raise ParameterError(f"--compare takes two results and runs no study; omit {options.study!r}")
    try:
        target, result = compare.write_page(*map(compare.load_results, options.compare))
    except compare.ResultsError as error:
        raise ParameterError(str(error)) from error
    print(f"{result}\ncomparison: {target}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The flags of the command line."""
    made = argparse.ArgumentParser("run_all.py", description=__doc__, epilog=EXAMPLES, allow_abbrev=False)
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
    add("--list", action="store_true", help="run nothing: the studies in params/, their size and what is there of them")
    compared = "run nothing: write results/compare/A-B.html, what changed between two results (names or folders)"
    add("--compare", nargs=2, metavar=("A", "B"), help=compared)
    return made


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, not {text!r}")
    return int(text)


def _chosen_values(texts: list[str], study: Study) -> dict[str, list[str]]:
    """`--only AXIS=V[,V]` as axis -> values, checked against the study."""
    valid = {axis: [str(value) for value in values] for axis, values in study.values_of_axes().items()}
    only: dict[str, list[str]] = {}
    for text in texts:
        axis, _, values = text.partition("=")
        refuse_unknown([axis], AXES, f"--only {text!r}: no axis")
        refuse_unknown(values.split(","), valid[axis], f"--only {text!r}: the study has no {axis}")
        only.setdefault(axis, []).extend(values.split(","))
    return only


def _check_backend() -> None:
    """Refuse a backend that the study cannot run on, before any kernel is started with it."""
    name = chosen_backend()
    if name not in BACKENDS:
        known = " or ".join(BACKENDS)
        raise ParameterError(f"KERAS_BACKEND={name!r}: expected {known}{nearest(name, BACKENDS)}")
    if not find_spec(name):
        raise ParameterError(f"KERAS_BACKEND={name!r}: {name} is not installed; install it, or set another")


def _weights(given: str, study: Study, only: dict[str, list[str]]) -> Path | None:
    """The folder of weights, checked for the selected backbones; None: Keras downloads them, or they are random."""
    if not given or study.weights == "none":
        return None
    folder, source = Path(given).expanduser(), "--weights (or $SKINCAS_WEIGHTS)"
    if not folder.is_dir():
        raise ParameterError(f"{source} {given!r} is not a folder; give one with *_notop.weights.h5 files, or `none`")
    wanted = [name for name in study.backbones if name in only.get("backbone", study.backbones)]
    missing = [
        f"{backbones()[name].weights} ({name})" for name in wanted if not (folder / backbones()[name].weights).is_file()
    ]
    if missing:
        raise ParameterError(
            f"{source} {given!r} lacks {', '.join(missing)}; put the files there, select other backbones with "
            "--only backbone=..., or omit --weights so that Keras downloads them"
        )
    return folder.resolve()


def _inputs(
    options: argparse.Namespace, study: Study, paths: StudyPaths, weights_dir: Path | None, names_only: bool = False
) -> Inputs:
    """What the study reads from outside, checked before anything starts; a demo's images are made now.

    Args:
        names_only: make and download nothing; what is not there yet is named by where it will lie.
    """
    if study.synthetic and not options.data:
        folder, external = paths.demo_data, _external(options, study) or paths.demo_external
        if not names_only:
            from lib.data import demo

            try:
                demo.ensure(folder, study.demo_images, study.demo_size)
            except FileExistsError as error:
                raise ParameterError(str(error)) from error
        return Inputs(folder, (folder / DEMO_METADATA,), folder / DEMO_MASKS, weights_dir, external)
    # imported here: Dask's workers import this file too, and need no image library
    from lib.data.folder import DataError, check_folder, find_folder, passed_over, say_passed_over
    from lib.data.metadata import check_metadata, coverage, read_metadata
    from lib.explain.masks import find_masks

    given = options.metadata or os.environ.get("SKINCAS_METADATA", "").split(os.pathsep)
    metadata = tuple(Path(path).expanduser() for path in given if path)
    masks = Path(options.masks).expanduser() if options.masks else None
    external, data_given, said = _external(options, study), None, []
    try:
        data = find_folder(options.data, download=not names_only)
        if data:
            files = check_folder(data)
            data_given = Path(options.data or os.environ.get("SKINCAS_DATA") or data).expanduser()  # it may lie below
            said.append(f"data: {len(files):,} images; {say_passed_over(passed_over(data_given, files))}")
            if metadata:
                said.append(f"metadata: {coverage(files, check_metadata(files, metadata))}")
            if masks:
                ids = {path.stem for *_, path in files}
                said.append(f"masks: files for {len(find_masks(masks, ids)):,} of {len(ids):,} images")
        else:
            data = paths.root / "not downloaded yet"
            read_metadata(metadata)
    except DataError as error:
        raise ParameterError(str(error)) from error
    for flag, folder in {"--data": data, "--masks": masks, "--external": external}.items():
        if folder and paths.root.is_relative_to(folder.resolve()):
            raise ParameterError(f"--results {str(paths.root)!r} lies inside the folder of {flag}; give another")
    for line in said:
        print(line, flush=True)
    return Inputs(data, metadata, masks, weights_dir, external, data_given)


def _external(options: argparse.Namespace, study: Study) -> Path | None:
    """The folder of external images, checked by names; None where none was given."""
    if not options.external:
        return None
    from lib.data.folder import DataError, check_external

    folder = Path(options.external).expanduser()
    try:
        check_external(folder, {name: scenarios()[name] for name in study.scenarios})
    except DataError as error:
        raise ParameterError(f"--external: {error}") from error
    return folder


def _studies(inputs: Inputs, at_once: int) -> Iterator[tuple[str, Study, list[Run], Forecast]]:
    """Each study in params/ with its runs, and what they take from the beginning."""
    for name in study_names():
        study = load_study(name)
        runs = plan(study, name, inputs)
        yield name, study, runs, Forecast(runs, study, _count_files(study, inputs), load_rates(), at_once)


def _count_files(study: Study, inputs: Inputs) -> int:
    if study.synthetic:
        return study.demo_images * len(CLASSES)
    from lib.data.folder import KAGGLE_FILES, check_folder

    if not inputs.data.is_dir():  # the public set is not downloaded yet
        return KAGGLE_FILES
    return len(check_folder(inputs.data))


def _summarise(runs, results, paths: StudyPaths, options, seconds: float, interruption) -> int:
    counts = Counter(result.status for result in results.values())
    lines = [f"{', '.join(f'{number} {status}' for status, number in counts.items())} in {duration(seconds)}"]
    ended = [(run, results[run.id]) for run in runs if run.id in results]
    for run, result in ended:
        if result.status != "failed":
            continue
        given = {flag: [getattr(options, flag)] for flag in ("data", "masks", "external", "weights", "results")}
        given["metadata"] = options.metadata
        folders = [f"--{flag} {shlex.quote(value)}" for flag, values in given.items() for value in values if value]
        only = [f"--only {axis}={value}" for axis, value in run.axes.items()]
        again = ["python run_all.py", shlex.quote(options.study), *folders, f"--step {run.step}", *only]
        where = f" in code cell {result.cell}" if result.cell else ""
        lines += [
            f"{run.id} failed{where}: {result.error}",
            f"  notebook: {paths.executed(run.id)}",
            f"  again:    {' '.join(again)}",
        ]
    lines += [f"{run.id} not run: {result.cause}" for run, result in ended if result.status == "not run"]
    if interruption.noted:
        lines.append("interrupted; finished runs are kept, and the same command resumes")
    elif any(run.declared.last and result.well for run, result in ended):
        lines.append(f"report: {paths.report}")
    for line in lines:
        print(line)
        log.info("%s", line)
    if interruption.noted:
        return 130
    return 0 if all(result.well for result in results.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
