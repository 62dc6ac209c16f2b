"""The plan of a study: its matrix expanded into runs, each with its parameters, inputs, outputs and what it waits for.

A run is one notebook over one cell. Nothing starts before every notebook has been read here: a parameter that
cannot be filled, or that the code never reads, is refused by name.
"""

import ast
import json
import symtable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lib.config import AXES, NOTEBOOKS, Study, StudyPaths, backbones, matches


class NotebookError(ValueError):
    """A notebook that cannot be run as part of a study; the message names the notebook and what to change."""


@dataclass(frozen=True)
class Inputs:
    """The files that a study reads from outside its results folder; None where there are none."""

    data: Path | None = None
    metadata: Path | None = None
    masks: Path | None = None
    weights_dir: Path | None = None


@dataclass(frozen=True)
class Step:
    """A step of the paper: its notebook, the axes over which it runs, and how much of the machine it takes.

    `pictures` says that what the step saves includes figures; the figures of the others live in the executed
    notebook alone, so a change to lib.figures.plots leaves their numbers as they are.
    """

    name: str
    notebook: str
    axes: tuple[str, ...] = ()
    heavy: bool = False
    pictures: bool = False


PLAN = (
    Step("audit", "01_audit", pictures=True),
    Step("prepare", "02_prepare_data", AXES[:1]),
    Step("features", "03_extract_features", ("protocol", "preprocessing", "backbone"), heavy=True),
    Step("train", "04_train", AXES, heavy=True),
    Step("evaluate", "05_evaluate", AXES[:3]),
    Step("gradcam", "06_gradcam", ("scenario", "backbone"), heavy=True, pictures=True),
    Step("kmeans", "07_kmeans", pictures=True),
    Step("report", "08_report", pictures=True),
)


@dataclass(frozen=True)
class Run:
    """One notebook to execute over one cell.

    Attributes:
        parameters: what is injected, by name, without `results` and `attempt`.
        injected: all names that the notebook declares.
        external: parameter -> path of what is read from outside the results folder.
        inputs: files read, as glob patterns relative to the results folder.
        outputs: files or folders that the run must write, relative to the results folder; `may_write` those it may.
        needs: runs that must have ended well; `some_of`: of these at least one must; `after`: these only come first.
    """

    id: str
    step: str
    axes: dict[str, Any]
    notebook: Path
    parameters: dict[str, Any]
    injected: tuple[str, ...]
    external: dict[str, str] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    may_write: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    some_of: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    heavy: bool = False
    pictures: bool = False

    @property
    def waits_for(self) -> tuple[str, ...]:
        return (*self.needs, *self.some_of, *self.after)


@dataclass(frozen=True)
class Notebook:
    """What the plan has to know of a notebook: its code cells in order, and the parameters that it declares."""

    path: Path
    cells: tuple[str, ...]
    declared: tuple[str, ...]


def plan(
    study: Study, study_name: str, paths: StudyPaths, inputs: Inputs, notebooks: Path = NOTEBOOKS, steps=PLAN
) -> list[Run]:
    """Every run of a study, each after what it waits for.

    Args:
        study_name: given to notebooks as no parameter; it names the study in messages.
        inputs: what the study reads from outside.
        notebooks: folder of the notebooks.
        steps: the steps that take part, in order.

    Raises:
        NotebookError: a notebook is missing or breaks the contract of parameters.
    """
    runs: dict[str, Run] = {}
    for step in steps:
        notebook = read_notebook(notebooks / f"{step.notebook}.ipynb")
        for axes in _cells(study, step):
            run = _run(study, study_name, paths, inputs, step, axes, notebook, runs)
            runs[run.id] = run
    return list(runs.values())


def left_out(study: Study) -> list[dict[str, Any]]:
    """The cells of the matrix that the study leaves out: `id`, `step` and `axes` of the training runs not planned."""
    everything = study.model_copy(update={"leave_out": []}).cells(*AXES)
    return [
        {"id": run_id("train", cell), "step": "train", "axes": cell}
        for cell in everything
        if any(matches(cell, left) for left in study.leave_out)
    ]


def run_id(step: str, axes: dict[str, Any]) -> str:
    """`train-published-native-nine_classes-MobileNet-seed0`: the step and the values of its axes."""
    return "-".join([step, *(f"seed{value}" if axis == "seed" else str(value) for axis, value in axes.items())])


def select(runs: list[Run], steps: list[str], only: dict[str, list[str]]) -> list[Run]:
    """The runs of `steps` (all if empty) whose axes have the values in `only`, and all that these need.

    Raises:
        NotebookError: no run is left.
    """
    by_id = {run.id: run for run in runs}
    chosen = {
        run.id
        for run in runs
        if (not steps or run.step in steps)
        and all(axis not in run.axes or str(run.axes[axis]) in values for axis, values in only.items())
    }
    kept, waiting = set(), list(chosen)
    while waiting:
        run = by_id[waiting.pop()]
        if run.id in kept:
            continue
        kept.add(run.id)
        waiting.extend(run.needs)
        # a table of some runs needs those that were asked for, and none of the others
        waiting.extend(
            other
            for other in run.some_of
            if all(str(by_id[other].axes.get(axis)) in values for axis, values in only.items())
        )
    if not any(run.axes for run in runs if run.id in kept) and only and not steps:
        wanted = " and ".join(f"{axis}={','.join(values)}" for axis, values in only.items())
        raise NotebookError(f"no run of the study matches {wanted}; see --dry-run for the plan")
    if not kept:
        raise NotebookError("no run of the study is left by --step and --only; see --dry-run for the plan")
    return [run for run in runs if run.id in kept]


def read_notebook(path: Path) -> Notebook:
    """Read a notebook and check that its parameters can be injected and will be used.

    Raises:
        NotebookError: unreadable; not exactly one cell tagged `parameters`, or not of literals; a parameter that
            the code never reads or sets again before it reads it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        code = [cell for cell in content["cells"] if cell["cell_type"] == "code"]
        cells = tuple("".join(cell["source"]) for cell in code)
        tagged = [i for i, cell in enumerate(code) if "parameters" in cell.get("metadata", {}).get("tags", [])]
    except FileNotFoundError as error:
        raise NotebookError(f"no notebook {path}; the step needs it") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotebookError(f"{path}: cannot be read as a notebook: {error}; save it again in JupyterLab") from error
    if len(tagged) != 1:
        raise NotebookError(f"{path.name}: {len(tagged)} cells have the tag `parameters`; exactly one must")
    if any("injected-parameters" in cell.get("metadata", {}).get("tags", []) for cell in code):
        raise NotebookError(f"{path.name}: holds a cell of injected parameters; remove it, it would win silently")
    declared = tuple(_declared(path, cells[tagged[0]]))
    _check_read(path, cells, tagged[0], declared)
    return Notebook(path, cells, declared)


def python_of(cell: str) -> str:
    """A cell's source with its magics and shell lines blanked out, so that it parses as Python."""
    if cell.lstrip().startswith("%%"):
        return ""
    return "\n".join("" if line.lstrip().startswith(("%", "!")) else line for line in cell.split("\n"))


def _cells(study: Study, step: Step) -> list[dict[str, Any]]:
    if step.name == "gradcam":  # explains the models of one protocol, preprocessing and seed
        cell = _explained(study)
        return [{axis: full[axis] for axis in step.axes} for full in study.cells(*AXES) if cell.items() <= full.items()]
    return study.cells(*step.axes) if step.axes else [{}]


def _explained(study: Study) -> dict[str, Any]:
    return dict(protocol=study.protocols[-1], preprocessing=study.preprocessings[0], seed=study.seeds[0])


def _run(study, study_name, paths, inputs, step: Step, axes, notebook: Notebook, runs: dict[str, Run]) -> Run:
    cell = axes | _explained(study) if step.name == "gradcam" else axes
    # in the order of AXES whatever the step's own order is
    cell = {axis: cell[axis] for axis in AXES if axis in cell}
    files = {name: str(path.resolve()) if path else "" for name, path in vars(inputs).items()}
    values = study.model_dump() | study.settings(cell) | axes | files | {"settings": study.model_dump()}
    unknown = [name for name in notebook.declared if name not in values and name not in ("results", "attempt")]
    if unknown:
        raise NotebookError(
            f"{notebook.path.name}: parameter {unknown[0]!r} cannot be filled in study {study_name!r}; declare only "
            f"fields of lib.config.params.Study, {', '.join(step.axes) or 'no axis'}, settings, results, attempt, "
            f"{', '.join(files)}"
        )
    external = {
        name: files[name] for name in ("data", "metadata", "masks") if name in notebook.declared and files[name]
    }
    if "weights_dir" in notebook.declared and files["weights_dir"] and values["weights"] == "imagenet":
        names = [cell["backbone"]] if "backbone" in cell else study.backbones
        external |= {f"weights of {n}": str(Path(files["weights_dir"]) / backbones()[n].weights) for n in names}
    return Run(
        id=run_id(step.name, axes),
        step=step.name,
        axes=axes,
        notebook=notebook.path.resolve(),
        parameters={name: values[name] for name in notebook.declared if name in values},
        injected=notebook.declared,
        external=external,
        heavy=step.heavy,
        pictures=step.pictures,
        **_flow(step.name, cell, StudyPaths(Path()), list(runs.values())),
    )


def _flow(step: str, cell: dict[str, Any], at: StudyPaths, runs: list[Run]) -> dict[str, tuple[str, ...]]:
    """Inputs, outputs and dependencies of a run; paths relative to the results folder."""

    def ids(other: str) -> tuple[str, ...]:
        """The runs of another step that agree with this cell on every axis they share."""
        return tuple(run.id for run in runs if run.step == other and _agree(run.axes, cell))

    def flow(inputs=(), outputs=(), **dependencies) -> dict[str, tuple[str, ...]]:
        names = {"inputs": inputs, "outputs": outputs, "may_write": dependencies.pop("may_write", ())}
        return {key: tuple(Path(p).as_posix() for p in value) for key, value in names.items()} | dependencies

    if step == "audit":
        return flow(outputs=[at.audit])
    if step == "kmeans":
        return flow([at.image_index], [at.kmeans], needs=ids("audit"))
    if step == "report":
        made = [output for run in runs for output in run.outputs]
        return flow(
            [at.state, *made],
            [at.report.parent, at.tables, at.claims],
            may_write=[at.gradcam / "gradcam.csv"],
            after=tuple(run.id for run in runs),
        )
    protocol = cell["protocol"]
    data = [at.images(protocol), at.index(protocol)]
    if step == "prepare":
        return flow([at.image_index], [at.prepared(protocol)], needs=ids("audit"))
    preprocessing = cell["preprocessing"]
    if step == "features":
        folder = at.feature_folder(protocol, preprocessing, cell["backbone"])
        return flow(data, [folder], needs=ids("prepare"))
    scenario = cell["scenario"]
    if step == "evaluate":
        predictions = at.root / "runs" / protocol / preprocessing / scenario / "*" / "*" / "predictions_*.parquet"
        tested = [at.index(protocol), at.prepared(protocol) / "*.csv"]
        outputs = [at.evaluation(protocol, preprocessing, scenario)]
        return flow([predictions, *tested], outputs, needs=ids("prepare"), some_of=ids("train"))
    trained = at.run(protocol, preprocessing, scenario, cell["backbone"], cell["seed"])
    if step == "train":
        features = at.features(protocol, preprocessing, cell["backbone"])
        return flow([*data, features], [trained], needs=ids("prepare") + ids("features"))
    if step == "gradcam":
        maps = at.gradcam_maps(scenario, cell["backbone"])
        return flow([*data, trained / "*.h5", trained / "predictions_*.parquet"], [maps], needs=ids("train"))
    raise ValueError(f"no step {step!r}; add its files and dependencies to lib.engine.planning")


def _agree(axes: dict[str, Any], cell: dict[str, Any]) -> bool:
    return all(cell[axis] == value for axis, value in axes.items() if axis in cell)


def _declared(path: Path, cell: str) -> list[str]:
    names = []
    for statement in _parse(path, cell, "the cell tagged `parameters`").body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), value=value) if value is not None:
                pass
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                pass
            case _:
                raise NotebookError(
                    f"{path.name}: the cell tagged `parameters` holds {ast.unparse(statement)!r}; "
                    "write only `name: type = literal` there"
                )
        try:
            ast.literal_eval(value)
        except ValueError as error:
            raise NotebookError(
                f"{path.name}: parameter {name!r} is {ast.unparse(value)!r}, not a literal; derive it in a later cell"
            ) from error
        if name in names:
            raise NotebookError(f"{path.name}: parameter {name!r} is declared twice; keep one")
        names.append(name)
    return names


def _check_read(path: Path, cells: tuple[str, ...], tagged: int, declared: tuple[str, ...]) -> None:
    unread = dict.fromkeys(declared)
    for number, cell in enumerate(cells):
        if number == tagged:
            continue
        _parse(path, cell, f"code cell {number + 1}")
        table = symtable.symtable(python_of(cell), path.name, "exec")
        own = {symbol.get_name(): symbol for symbol in table.get_symbols()}
        for name in list(unread):
            if (name in own and own[name].is_referenced()) or _read_inside(table, name):
                del unread[name]
            elif number > tagged and name in own and own[name].is_assigned():
                raise NotebookError(
                    f"{path.name}: code cell {number + 1} sets parameter {name!r} before any code reads it; "
                    "what is injected would be lost: use another name there"
                )
    if unread:
        raise NotebookError(
            f"{path.name}: parameter {next(iter(unread))!r} is never read by the code; use it or remove it"
        )


def _read_inside(table: symtable.SymbolTable, name: str) -> bool:
    """Whether a nested scope reads the notebook's own `name` rather than one of its own by that name."""
    for child in table.get_children():
        for symbol in child.get_symbols():
            if symbol.get_name() == name and symbol.is_global() and symbol.is_referenced():
                return True
        if _read_inside(child, name):
            return True
    return False


def _parse(path: Path, cell: str, where: str) -> ast.Module:
    try:
        return ast.parse(python_of(cell))
    except SyntaxError as error:
        raise NotebookError(f"{path.name}: {where} is not Python: {error.msg} in line {error.lineno}") from error
