"""What is shown while a study runs, on a terminal of 80 columns and without one."""

import io

import pytest
from rich.console import Console

from lib.engine.progress import View, start_log
from lib.engine.results import Result

RUN = "train-by_view-native-benign_malignant-EfficientNetV2B3-seed0-rotation_15"
# what lib.models.training prints after an epoch
LINE = "fold 9 finetune epoch 28/30 loss 0.399 accuracy 0.870 val_loss 1.244 val_accuracy 0.567, 125 s left"


class Forecast:
    """Ninety seconds, whatever happens."""

    def ended(self, run_id, seconds=None):
        pass

    def left(self, running):
        return 90


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, height=24, color_system=None)


def shown(view: View) -> list[str]:
    """The rows of what the terminal shows now."""
    with view.console.capture() as capture:
        view.console.print(view._render())
    return capture.get().splitlines()


@pytest.mark.parametrize("jobs", [1, 2, 30])
def test_fold_and_epoch_of_every_run_are_shown_in_80_columns_below_the_summary(jobs):
    view = View(40, Forecast(), console(terminal=True))
    for job in range(jobs):
        view.update(f"{job}-{RUN}", cell=10, cells=24)
        view.update(f"{job}-{RUN}", line=LINE)
    summary, *rows = shown(view)
    assert summary == f"0 of 40 runs, {jobs} running, about 90 s left"
    assert sum("fold 9 finetune epoch 28/30 loss 0.399" in row for row in rows) == jobs == len(rows) / 2
    assert all(len(row) <= 80 for row in rows)
    view.ended(f"0-{RUN}", Result("failed", error="planted"))
    assert shown(view)[0] == f"1 of 40 runs, 1 failed, {jobs - 1} running, about 90 s left"


def test_a_cancelled_run_is_not_shown_and_neither_is_what_it_prints_late():
    view = View(32, Forecast(), console(terminal=True))
    view.update("audit", line="images read")
    view.cancel()
    view.update("audit", line="too late")
    assert len(shown(view)) == 1


def test_of_a_progress_bar_each_state_is_shown_and_none_is_logged(tmp_path):
    start_log(tmp_path / "run.log")
    view = View(1, None, console(terminal=True))
    for line, state in [
        ("\rimages:  50%", "images:  50%"),
        ("\rimages:  50%\rimages: 100%", "images: 100%"),
        ("read",) * 2,
    ]:
        view.update("audit", line=line)
        assert shown(view)[-1].strip() == state
    logged = (tmp_path / "run.log").read_text()
    assert "audit: read" in logged and "%" not in logged


def test_without_a_terminal_every_start_and_end_is_a_line():
    with View(2, Forecast(), console(terminal=False)) as view:
        view.update("audit", worker="tcp://127.0.0.1:1")  # as Dask passes it on
        view.ended("audit", Result("done", seconds=3.0))
        view.ended("kmeans", Result("fresh"))
    started, *ended = view.console.file.getvalue().splitlines()
    assert started.startswith("audit")
    assert [line.split(":")[0] for line in ended] == ["[1/2] audit", "[2/2] kmeans"]
    assert all("about 90 s left" in line for line in ended)
