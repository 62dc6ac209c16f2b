"""The time that is left, against studies that were really run, and against schedules worked out by hand."""

import re
from datetime import datetime
from pathlib import Path

import pytest

from lib.config import costs
from lib.config.files import read_json
from lib.config.params import load_study
from lib.config.paths import REFERENCE_RATES, REPOSITORY
from lib.engine import estimate
from lib.engine.forecast import BOTH, Forecast, play
from lib.engine.planning import Inputs, Run, plan

# What run_all wrote to the run.log of real studies, the lines that say that a run starts or has ended; two at once, on
# two cores that had other work too. Of 13 runs of the multiverse a line was lost; it is made from the run's stamp.
#   grep -E "INFO \S+( starts|: done in .*)$" results/demo/run.log > tests/fixtures/durations/demo.log
RECORDED = sorted((REPOSITORY / "tests" / "fixtures" / "durations").glob("*.log"))
LINE = re.compile(r"^(\S+ \S+) INFO (\S+?)(?: (starts)|: done in .*)$")
# The same of one training, with what it printed:
#   grep -E "INFO train-\S+( starts|: fold .*)$" results/paper/run.log
KILLED = REPOSITORY / "tests" / "fixtures" / "durations" / "killed_training.txt"
LINE_OF_TRAINING = re.compile(r"^(\S+ \S+) INFO (\S+?)(?: starts|: (fold \d+ \w+ (?:epoch (\d+)/)?.*))$")


def recorded(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """When each run started and ended, in seconds since the first started."""
    starts, ends = {}, {}
    for line in path.read_text().splitlines():
        when, name, start = LINE.match(line).groups()
        second = datetime.strptime(when, "%Y-%m-%d %H:%M:%S,%f").timestamp()
        (starts if start else ends)[name] = second
    first = min(starts.values())
    return ({name: second - first for name, second in times.items()} for times in (starts, ends))


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
@pytest.mark.parametrize("slower", [0.4, 1, 3])
def test_after_a_fifth_of_a_real_study_the_time_left_is_right_within_half_of_it(path, slower):
    """Whether the machine is as fast as that of the rates or not."""
    starts, ends = recorded(path)
    study = load_study(path.stem)
    runs = plan(study, path.stem, Inputs(data=Path()))
    assert {run.id for run in runs} == set(ends)
    files = study.demo_images * 9 if study.synthetic else 2357
    expected = estimate.estimate(runs, study, files, read_json(REFERENCE_RATES)).of_run
    expected = {name: seconds / slower for name, seconds in expected.items()}
    whole = max(ends.values())
    wrong = {}
    for share in range(20, 95, 5):
        now = whole * share / 100
        forecast = Forecast(runs, expected, [BOTH, BOTH])
        for name in sorted(ends, key=ends.get):
            if ends[name] <= now:
                forecast.ended(name, ends[name] - starts[name])
        running = {name: now - start for name, start in starts.items() if start <= now < ends[name]}
        wrong[share] = round(forecast.left(running) / (whole - now), 2)
    assert all(1 / 1.5 <= factor <= 1.5 for factor in wrong.values()), wrong


def made_up(waits: dict[str, tuple[str, ...]], heavy: str = "") -> list[Run]:
    """Runs of one letter; those of `heavy` train, the others make tables."""
    steps = {name: "train" if name in heavy else "evaluate" for name in waits}
    return [Run(name, steps[name], {}, Path(), {}, (), needs=needs) for name, needs in waits.items()]


def test_a_run_waits_for_those_it_needs_and_for_a_free_worker():
    diamond = made_up({"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")})
    seconds = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 4.0}
    assert play(diamond, seconds, [BOTH]) == 10
    assert play(diamond, seconds, [BOTH, BOTH]) == 1 + 3 + 4
    assert play(diamond[1:], seconds, [BOTH] * 5) == 3 + 4  # what is not among the runs is over


def test_training_keeps_to_the_workers_with_a_gpu_and_goes_first():
    runs = made_up({"a": (), "b": (), "c": (), "d": ()}, heavy="cd")
    gpu, cpu = frozenset({"heavy"}), frozenset({"light"})
    seconds = {"a": 1.0, "b": 1.0, "c": 5.0, "d": 5.0}
    assert play(runs, seconds, [gpu, cpu]) == 10
    assert play(runs, seconds, [gpu, gpu, cpu]) == 5
    assert play(runs, seconds, [BOTH]) == 12
    assert play(runs, seconds, [BOTH, BOTH]) == 6  # c and d, then a and b


def test_runs_that_took_twice_as_long_double_what_is_expected_of_their_step():
    runs = made_up(dict.fromkeys("abcdefgh", ()), heavy="abcd")
    forecast = Forecast(runs, dict.fromkeys("abcdefgh", 10.0), [BOTH])
    assert forecast.left() == pytest.approx(80)
    for name in "abc":
        forecast.ended(name, 20.0)
    assert 18 < forecast._paces({})["train"] * 10 < 20.1
    assert 18 + 40 < forecast.left() < 20.1 + 80  # of the other step that is likely, not certain
    forecast.ended("d")  # it failed
    assert forecast.left() == pytest.approx(40 * forecast._paces({})["evaluate"])


def test_a_run_that_is_late_is_not_expected_to_end_at_once():
    (run,) = made_up({"a": ()})
    forecast = Forecast([run], {"a": 10.0}, [BOTH])
    assert forecast.left({"a": 4.0}) == pytest.approx(6)
    assert forecast.left({"a": 100.0}) >= 10


def shares(told: str) -> costs.Reached:
    share, phase, *kept = told.split()
    return costs.Reached(float(share), phase, bool(kept))


def test_a_run_that_tells_how_far_it_has_come_is_believed_more_than_others_of_its_step():
    runs = made_up({"a": (), "b": ()}, heavy="ab")
    forecast = Forecast(runs, {"a": 100.0, "b": 100.0}, [BOTH], {"b": shares})
    forecast.ended("a", 100.0)  # as long as expected
    for share in range(1, 6):
        forecast.told("b", f"0.{share} transfer", 40.0 * share)  # four times as long
    assert 170 < forecast.left({"b": 200.0}) <= 200
    assert 160 < forecast.left({"b": 210.0}) <= 190  # amid an epoch
    assert forecast.left({"b": 400.0}) > 200  # an epoch took 40 s and now 200: the others may, too


def test_a_phase_is_judged_by_its_own_epochs():
    (run,) = made_up({"a": ()}, heavy="a")
    forecast = Forecast([run], {"a": 100.0}, [BOTH], {"a": shares})
    forecast.told("a", "0.5 transfer", 5.0)  # heads took a tenth of what was expected
    for share in (6, 7, 8):
        forecast.told("a", f"0.{share} finetune", 5.0 + 100 * (share - 5))
    assert 150 < forecast.left({"a": 305.0}) <= 200


def test_what_a_killed_training_had_done_is_not_counted_as_done_in_no_time():
    (run,) = made_up({"a": ()}, heavy="a")
    forecast = Forecast([run], {"a": 100.0}, [BOTH], {"a": shares})
    forecast.told("a", "0.4 transfer kept", 1.0)
    forecast.told("a", "0.5 finetune kept", 1.0)
    assert forecast.left({"a": 1.0}) == pytest.approx(50, abs=1)
    forecast.told("a", "0.6 finetune", 31.0)
    assert 100 < forecast.left({"a": 31.0}) <= 120
    forecast.told("a", "0.1 transfer", 40.0)  # killed once more, with nothing kept
    assert forecast.left({"a": 40.0}) >= 90


@pytest.mark.parametrize("slower", [0.4, 1, 3])
def test_a_real_training_that_was_killed_says_from_its_second_epoch_how_long_the_others_take(slower):
    """A cell of `paper` on real images and two cores, killed after 12 of 30 epochs; each of the others took 3 min."""
    lines = [LINE_OF_TRAINING.match(line) for line in KILLED.read_text().splitlines()]
    study = load_study("paper")
    (run,) = (run for run in plan(study, "paper", Inputs(data=Path())) if run.id == lines[0][2])
    known = estimate.estimate([run], study, 2357, read_json(REFERENCE_RATES))
    forecast = Forecast([run], {run.id: known.of_run[run.id] / slower}, [BOTH], known.shares)
    seconds = [datetime.strptime(line[1], "%Y-%m-%d %H:%M:%S,%f").timestamp() for line in lines]
    epochs = {int(line[4]): second - seconds[0] for line, second in zip(lines, seconds) if line[4]}
    an_epoch = (epochs[21] - epochs[13]) / 8
    wrong = {}
    for line, second in zip(lines[1:], seconds[1:]):
        since = second - seconds[0]
        forecast.told(run.id, line[3], since)
        if line[4] and int(line[4]) >= 14:
            for later in (0, 0.5 * an_epoch):  # between two epochs too
                left = (30 - int(line[4])) * an_epoch - later
                wrong[line[4], later] = round(forecast.left({run.id: since + later}) / left, 2)
    assert len(wrong) == 16 and all(1 / 1.5 <= factor <= 1.5 for factor in wrong.values()), wrong


def test_the_time_of_thousands_of_runs_is_played_forward_at_once():
    runs = made_up({str(number): (str(number - 1),) if number % 7 else () for number in range(2400)})
    assert play(runs, {run.id: 1.0 for run in runs}, [BOTH] * 4) == pytest.approx(600, abs=7)
