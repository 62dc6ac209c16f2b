"""What a reader sees while a study runs, on a terminal of 80 columns and without one."""

import io

import pytest
from rich.console import Console

from lib.engine.progress import View, cut
from lib.engine.results import Result

RUN = "train-by_view-native-benign_malignant-EfficientNetV2B3-seed0-rotation_15"
LINE = (
    "fold 9 finetune epoch 28/30 loss 0.399 accuracy 0.870 val_loss 1.244 val_accuracy 0.567, 125 s left"
    # what lib.models.training prints after an epoch
)


class Forecast:
    """Ninety seconds, whatever happens."""

    def ended(self, run_id, took=None):
        pass

    def told(self, run_id, line, since):
        pass

    def left(self, running):
        return 90


@pytest.fixture
def terminal():
    return Console(file=io.StringIO(), force_terminal=True, width=80, height=24, color_system=None)


def shown(view: View) -> list[str]:
    """The rows of what the terminal shows now."""
    with view.console.capture() as capture:
        view.console.print(view._render())
    return capture.get().splitlines()


@pytest.mark.parametrize("jobs", [1, 2, 30])
def test_fold_epoch_and_seconds_left_of_every_run_are_whole_at_80_columns(terminal, jobs):
    view = View(40, Forecast(), terminal)
    for job in range(jobs):
        view.update(f"{RUN}{job}", cell=10, cells=24)
        view.update(f"{RUN}{job}", line=LINE)
    rows = shown(view)
    lines = [row for row in rows if "fold 9 finetune epoch 28/30" in row and row.endswith("125 s left")]
    assert len(lines) == jobs
    assert all(len(row) <= 76 for row in rows)  # a ^C that the terminal writes behind the last one needs room


def test_there_is_one_count_of_all_runs_and_the_time_that_is_left(terminal):
    view = View(32, Forecast(), terminal)
    view.update("audit")
    view.update("kmeans")
    view.ended("audit", Result("done", seconds=3.0))
    assert shown(view)[-1].endswith("1 of 32 runs, 1 running, about 90 s left")
    view.ended("kmeans", Result("failed", error="planted"))
    (row,) = (row for row in shown(view) if "of 32" in row)
    assert row.endswith("2 of 32 runs, 1 failed, 0 running, about 90 s left") and row.count("32") == 1


def test_what_is_called_off_is_shown_no_more_and_its_last_words_neither(terminal):
    view = View(32, Forecast(), terminal)
    view.update("audit", line="images read")
    view.call_off("ending what runs")
    view.update("audit", line="too late")
    assert [row.split("runs, ")[-1] for row in shown(view)] == ["ending what runs"]


def test_without_a_terminal_every_start_and_end_is_a_line():
    console = Console(file=io.StringIO(), width=80)
    with View(2, Forecast(), console) as view:
        view.update("audit")
        view.ended("audit", Result("done", seconds=3.0))
        view.ended("kmeans", Result("fresh"))
    said = console.file.getvalue().splitlines()
    assert said[0] == "audit: starts"
    assert said[-2:] == ["[1/2] audit: done in 3 s", "[2/2] kmeans: still fresh, its inputs are the same"]


@pytest.mark.parametrize("width", [10, 40, 76])
def test_a_long_line_loses_its_middle_alone(width):
    short = cut(LINE, width)
    before, _, after = short.partition("…")
    assert len(short) == width and LINE.startswith(before) and LINE.endswith(after) and len(before) > len(after) > 2
    assert cut("short", width) == "short"
