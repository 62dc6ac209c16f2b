"""The plan of a study: its matrix expanded into runs, each with its parameters, inputs, outputs and what it waits for.

A run is one notebook over one cell. Nothing starts before every notebook has been read here: a parameter that
cannot be filled, or that the code never reads, is refused by name.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.config.params import AXES, Study, matches
from lib.config.paths import DEFAULT_VARIANT, NOTEBOOKS, StudyPaths, run_id
from lib.config.steps import STEPS, Step, outside_files
from lib.engine.notebooks import NotebookError, declared_parameters


@dataclass(frozen=True)
class Inputs:
    """The files that a study reads from outside its results folder; None or empty where there are none."""

    data: Path | None = None
    metadata: tuple[Path, ...] = ()
    masks: Path | None = None
    weights_dir: Path | None = None
    external: Path | None = None
    data_given: Path | None = None  # the folder that the user named, in or below which `data` was found


@dataclass(frozen=True)
class Run:
    """One notebook to execute over one cell; files are relative to the results folder."""

    id: str
    step: str
    axes: dict[str, Any]
    notebook: Path
    parameters: dict[str, Any]  # what is injected, by name, without `results` and `attempt`
    injected: tuple[str, ...]  # all names that the notebook declares
    external: dict[str, str] = field(default_factory=dict)  # parameter -> path of what is read from outside
    inputs: tuple[str, ...] = ()  # files read, as glob patterns
    outputs: tuple[str, ...] = ()  # files or folders that it must write
    may_write: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # runs that must have ended well
    some_of: tuple[str, ...] = ()  # of these at least one must
    after: tuple[str, ...] = ()  # these only come first

    @property
    def declared(self) -> Step:
        """What its step is declared to be."""
        return STEPS[self.step]

    @property
    def waits_for(self) -> tuple[str, ...]:
        return (*self.needs, *self.some_of, *self.after)


def plan(study: Study, study_name: str, inputs: Inputs, notebooks: Path = NOTEBOOKS) -> list[Run]:
    """Every run of a study, which messages call `study_name`, each after what it waits for; a NotebookError where a
    notebook is missing or breaks the contract of parameters."""
    paths = {name: (notebooks / f"{step.notebook}.ipynb").resolve() for name, step in STEPS.items()}
    injected = {name: declared_parameters(path) for name, path in paths.items()}
    own = own_steps(study, injected)
    runs: list[Run] = []
    for name, step in STEPS.items():
        common = (study, study_name, inputs, step, paths[name], injected[name], own, runs)
        runs += [_run(axes, *common) for axes in _cells(study, step, own)]
    return runs


def own_steps(study: Study, injected: dict[str, tuple[str, ...]]) -> dict[str, dict[str, str]]:
    """For each variant the steps that run for it, step -> variant: those that read one of its settings, or follow one.
    `injected` has the parameters that the notebook of each step declares; a NotebookError where none reads a setting.
    """
    found = {DEFAULT_VARIANT: {}}
    for variant, settings in study.variants.items():
        own: dict[str, str] = {}
        for step in (step for step in STEPS.values() if "variant" in step.axes):
            if own.keys() & {*step.needs, *step.some_of} or settings.keys() & set(injected[step.name]):
                own[step.name] = variant
        if unread := settings.keys() - {name for step in own for name in injected[step]}:
            raise NotebookError(f"variant {variant!r}: no step that runs once per variant reads {min(unread)!r}")
        found[variant] = own
    return found


def skipped_cells(study: Study) -> list[dict[str, Any]]:
    """The cells of the matrix that the study skips: `id`, `step` and `axes` of the trainings that are not planned."""
    step = next(step.name for step in STEPS.values() if step.axes == AXES)
    return [
        {"id": run_id(step, cell), "step": step, "axes": cell}
        for cell in study.model_copy(update={"skip": []}).cells(*AXES)
        if any(matches(cell, when) for when in study.skip)
    ]


def select(runs: list[Run], steps: list[str], only: dict[str, list[str]]) -> list[Run]:
    """The runs of `steps` (all if empty) whose axes have the values in `only`, and all that these need; a NotebookError
    where none is left."""
    by_id = {run.id: run for run in runs}

    def matches_only(run: Run) -> bool:
        return all(axis not in run.axes or str(run.axes[axis]) in values for axis, values in only.items())

    kept, waiting = set(), [run.id for run in runs if (not steps or run.step in steps) and matches_only(run)]
    while waiting:
        run = by_id[waiting.pop()]
        if run.id not in kept:
            kept.add(run.id)
            # of the runs that one sums up, only the selected ones are needed
            waiting += [*run.needs, *(name for name in run.some_of if matches_only(by_id[name]))]
    if not any(steps or not only or only.keys() & by_id[name].axes for name in kept):
        raise NotebookError("no run of the study is left by --step and --only; see --dry-run for the plan")
    return [run for run in runs if run.id in kept]


def _cells(study: Study, step: Step, own: dict[str, dict[str, str]]) -> list[dict[str, Any]]:
    """The cells of a step's axes, each once; of those that it fixes only the values it gives them."""
    if not step.axes:
        return [{}]
    fixed = step.fixed(study)
    cells = [cell for cell in study.cells(*step.axes, *fixed) if fixed.items() <= cell.items()]
    cells = [_as_run(step.name, {axis: cell[axis] for axis in step.axes}, own) for cell in cells]
    return list({tuple(cell.values()): cell for cell in cells}.values())


def _as_run(step: str, cell: dict[str, Any], own: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A cell with the variant in which `step` runs for it: `default` where the cell's variant leaves it as it is."""
    return cell | {"variant": own[cell["variant"]].get(step, DEFAULT_VARIANT)} if "variant" in cell else cell


def _run(axes, study, study_name, inputs, step: Step, notebook: Path, injected, own, before: list[Run]) -> Run:
    cell = axes | step.fixed(study)
    cell = {axis: cell[axis] for axis in AXES if axis in cell}  # in one order, whatever the step's own is
    variant_of = own[cell.get("variant", DEFAULT_VARIANT)]
    outside = {name: str(path.resolve()) if path else "" for name, path in vars(inputs).items() if name != "metadata"}
    outside["metadata"] = [str(path.resolve()) for path in inputs.metadata]
    values = study.settings(cell) | cell | outside | {"settings": study.model_dump(), "variant_of": variant_of}
    if unknown := [name for name in injected if name not in values and name not in ("results", "attempt")]:
        raise NotebookError(
            f"{notebook.name}: parameter {unknown[0]!r} cannot be filled in study {study_name!r}; declare only "
            f"fields of lib.config.params.Study, {', '.join(cell) or 'no axis'}, settings, results, attempt, "
            f"{', '.join(outside)}"
        )
    external = outside_files(study, cell, {name: outside[name] for name in injected if outside.get(name)})
    at = StudyPaths(Path(), variant_of=variant_of)
    any_value = dict.fromkeys(AXES, "*")

    def of_steps(names: tuple[str, ...]) -> tuple[str, ...]:
        """The runs of these steps that agree with this cell on every axis they share."""
        shared = {name: _as_run(name, cell, own).items() for name in names}
        runs = [run for run in before if run.step in names]
        return tuple(run.id for run in runs if {(a, v) for a, v in run.axes.items() if a in cell} <= shared[run.step])

    def files(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(path.as_posix() for path in at.named(names, any_value | cell))

    written = [output for run in before for output in run.outputs]
    return Run(
        id=run_id(step.name, axes),
        step=step.name,
        axes=axes,
        notebook=notebook,
        parameters={name: values[name] for name in injected if name in values},
        injected=injected,
        external=external,
        inputs=(at.state.as_posix(), *written) if step.last else files(step.reads),
        outputs=files(step.writes),
        may_write=files(step.may_write),
        needs=of_steps(step.needs),
        some_of=of_steps(step.some_of),
        after=tuple(run.id for run in before) if step.last else (),
    )
