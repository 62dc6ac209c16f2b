"""What is shown while a study runs, on a terminal of 80 columns and without one."""

import io
import threading
from types import SimpleNamespace

import pytest
from rich.console import Console

from lib.engine.progress import View
from lib.engine.results import Result
from tests.engine.helpers import wait_for

RUN = "train-by_view-native-benign_malignant-EfficientNetV2B3-seed0-rotation_15"
# what lib.models.training prints after an epoch
LINE = "fold 9 finetune epoch 28/30 loss 0.399 accuracy 0.870 val_loss 1.244 val_accuracy 0.567, 125 s left"
FORECAST = SimpleNamespace(left=lambda running: 90, ended=lambda run_id, seconds=None: None)  # seconds, always


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=80, height=24, color_system=None)


def shown(view: View) -> list[str]:
    """The rows of what the terminal shows now."""
    with view.console.capture() as capture:
        view.console.print(view._render())
    return capture.get().splitlines()


@pytest.mark.parametrize("jobs", [1, 2, 30])
def test_fold_and_epoch_of_every_run_are_shown_in_80_columns_below_the_summary(jobs):
    view = View(40, FORECAST, console(terminal=True))
    for job in range(jobs):
        view.update(f"{job}-{RUN}", cell=10, cells=24)
        view.update(f"{job}-{RUN}", line=LINE)
    summary, *rows = shown(view)
    assert summary == f"0 of 40 runs, {jobs} running, about 90 s left"
    assert sum("fold 9 finetune epoch 28/30 loss 0.399" in row for row in rows) == jobs == len(rows) / 2
    assert all(len(row) <= 80 for row in rows)
    view.ended(f"0-{RUN}", Result("failed", error="planted"))
    assert shown(view)[0] == f"1 of 40 runs, 1 failed, {jobs - 1} running, about 90 s left"


def test_the_runs_can_be_drawn_while_a_line_is_printed(monkeypatch):
    """Whoever prints waits for what draws the runs, so it must not hold what that waits for."""
    view = View(2, FORECAST, console(terminal=True), silence=1)
    drawn = []

    def print_line(text, **_):
        drawing = threading.Thread(target=view._render, daemon=True)
        drawing.start()
        wait_for(lambda: not drawing.is_alive())
        drawn.append(str(text))

    monkeypatch.setattr(view.console, "print", print_line)
    view.update("audit", attempt=2)
    view.update("audit", cell=3, cells=9, silent=1)
    view.ended("kmeans", Result("failed", error="planted"))
    view.cancel()
    view.update("audit", attempt=2)  # late
    assert len(drawn) == 4 and not view._since


def test_a_notebook_that_waits_for_ever_is_named_once_with_what_to_do_unless_that_is_switched_off():
    for silence, named in ((5, 1), (0, 0)):
        with View(1, None, console(terminal=False), silence) as view:
            for minutes in range(4, 8):
                view.update("kmeans", cell=3, cells=9, silent=minutes)
            assert ("silent for 7 min" in shown(view)[-1]) is bool(named)
            said = view.console.file.getvalue()
            assert said.count("used no processor for 5 min") == said.count("press Ctrl-C") == named
            view.update("kmeans", cell=3, cells=9)
            assert "silent" not in shown(view)[-1]
