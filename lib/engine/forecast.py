"""How long is left of a study, before it starts and while it runs: one rule for --dry-run and the view.

The runs that are left are played forward on the workers, each after what it waits for. How long each takes is first
what the estimate says; the runs that have ended then tell how far that was off, those of the same step most. A training
tells of itself, epoch by epoch.
"""

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from lib.config import costs
from lib.engine.planning import Run

Slots = list[frozenset[str]]  # for each notebook that may run at once what it may be: heavy, light or both
BOTH = frozenset({"heavy", "light"})

START = costs.Reached(0.0, "", False)

# The estimate counts as much as this share of all that is expected, and of a step as much as this share of a run. What
# all runs of a step tell of one that tells of itself counts as much as the second share of what is left of it.
TRUST, TRUST_OF_STEP = 0.03, 0.25


class Taken(NamedTuple):
    """Seconds of a run, or of the part of it that is over: those expected, those taken, those expected of the whole."""

    expected: float
    seconds: float
    whole: float


class Forecast:
    """What is left of some runs.

    Args:
        runs: those that have to be made, each after what it waits for.
        seconds: what each is expected to take, by its id.
        slots: where they run.
        shares: of some runs, how far one has come by a line that it prints; None where that does not tell.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        seconds: dict[str, float],
        slots: Slots,
        shares: Mapping[str, Callable[[str], costs.Reached | None]] | None = None,
    ):
        self.runs = {run.id: run for run in runs}
        self.seconds = {name: seconds[name] for name in self.runs}
        self.slots, self.shares = slots, shares or {}
        self._total = sum(self.seconds.values())
        self._left = dict(self.runs)
        self._took: dict[str, list[Taken]] = defaultdict(list)  # step -> those of its runs that are over
        # run -> where it is, and where its phase began, with the seconds since the run's start
        self._far: dict[str, tuple[costs.Reached, float]] = {}
        self._begun: dict[str, tuple[costs.Reached, float]] = {}
        self._epoch: dict[str, float] = {}  # run -> the share that its last epoch was of it

    def ended(self, run_id: str, took: float | None = None) -> None:
        """A run is over; `took` is its seconds, None where they say nothing of others: it failed, or was not needed."""
        self._left.pop(run_id, None)
        if took is not None and run_id in self.runs:
            self._took[self.runs[run_id].step].append(Taken(self.seconds[run_id], took, self.seconds[run_id]))

    def told(self, run_id: str, line: str, since: float) -> None:
        """A run has printed a line, `since` seconds after its start."""
        if not ((share_of := self.shares.get(run_id)) and (reached := share_of(line))):
            return
        before, then = self._far.get(run_id, (START, 0.0))
        if reached.kept or reached.share < before.share:  # it goes on from there, or has started anew
            self._begun[run_id] = reached, since
        elif reached.phase != before.phase:
            self._begun[run_id] = before, then
        self._epoch[run_id] = max(0.0, reached.share - before.share)
        self._far[run_id] = reached, since

    def left(self, running: dict[str, float] | None = None) -> float:
        """Seconds until all are over.

        Args:
            running: id -> seconds since it started, of those that run.
        """
        running = {name: since for name, since in (running or {}).items() if name in self._left}
        pace = self._paces(running)
        rest = {}
        for name, run in self._left.items():
            if name not in running:
                rest[name] = self.seconds[name] * pace[run.step]
                continue
            share, then = self._position(name, running[name])
            left = self.seconds[name] * (1 - share)
            expected = left * _ratio(self._partly(name, running[name]), TRUST_OF_STEP * left, pace[run.step])
            # one that takes longer than expected takes longer still
            late = running[name] - then
            rest[name] = max(expected - late, 0.1 * late)
        return play(list(self._left.values()), rest, self.slots, running.keys())

    def _paces(self, running: dict[str, float]) -> dict[str, float]:
        """Step -> how many times as long as expected its runs take."""
        known = {step: list(of_step) for step, of_step in self._took.items()}
        for name, since in running.items():
            known.setdefault(self.runs[name].step, []).extend(self._partly(name, since))
        took = known
        for _ in range(2):  # a run that is over its time by what is known so far counts as far as it has come
            pace = self._pace_of_steps(took)
            took = {step: list(of_step) for step, of_step in known.items()}
            for name in running.keys() - self._far.keys():
                step, whole = self.runs[name].step, self.seconds[name]
                if running[name] > whole * pace[step]:
                    took.setdefault(step, []).append(Taken(whole, running[name], whole))
        return self._pace_of_steps(took)

    def _partly(self, name: str, since: float) -> list[Taken]:
        """What is over of the phase that a run is in, where it tells."""
        if name not in self._far:
            return []
        (share, now), (before, then), whole = self._position(name, since), self._begun[name], self.seconds[name]
        return [Taken((share - before.share) * whole, now - then, whole)]

    def _position(self, name: str, since: float) -> tuple[float, float]:
        """The share of a run that is over, and the seconds after which it was.

        An epoch that takes longer than those before it counts as if it were over just now.
        """
        if name not in self._far:
            return 0.0, 0.0
        (reached, now), (before, then), step = self._far[name], self._begun[name], self._epoch[name]
        over = reached.share - before.share
        if over > 0 and since - now > (now - then) * step / over:
            return min(1.0, reached.share + step), since
        return reached.share, now

    def _pace_of_steps(self, took: dict[str, list[Taken]]) -> dict[str, float]:
        everywhere = _ratio([each for of_step in took.values() for each in of_step], TRUST * self._total, 1.0)
        steps = {run.step for run in self._left.values()}
        return {
            step: _ratio(of_step, TRUST_OF_STEP * sum(each.whole for each in of_step) / len(of_step), everywhere)
            if (of_step := took.get(step))
            else everywhere
            for step in steps
        }


def play(runs: list[Run], seconds: dict[str, float], slots: Slots, begun: Iterable[str] = ()) -> float:
    """Seconds until all runs are over: a free slot takes the first run that is ready, heavy ones before others.

    Args:
        runs: in the order in which they are sent; what they wait for and is not among them is over.
        seconds: what each takes, by its id.
        begun: those that run already.
    """
    slots, begun = slots or [BOTH], set(begun)
    kinds = {kind for slot in slots for kind in slot}
    order = {run.id: number for number, run in enumerate(runs)}
    waits, then = {}, defaultdict(list)
    for run in runs:
        before = {name for name in run.waits_for if name in order}
        waits[run.id] = len(before)
        for name in before:
            then[name].append(run)
    ready: dict[str, list] = {"heavy": [], "light": []}

    def add(run: Run) -> None:
        kind = "heavy" if run.declared.heavy else "light"
        heapq.heappush(ready[kind], (run.id not in begun, order[run.id], run.id))

    for run in runs:
        if not waits[run.id]:
            add(run)
    free, working, now = sorted(slots, key=len), [], 0.0  # those that take one kind alone are given work first
    while any(ready.values()) or working:
        for slot in list(free):
            may = [kind for kind in ("heavy", "light") if (kind in slot or kind not in kinds) and ready[kind]]
            if may:
                kind = min(may, key=lambda kind: (ready[kind][0][0], kind))
                name = heapq.heappop(ready[kind])[-1]
                free.remove(slot)
                heapq.heappush(working, (now + seconds[name], order[name], name, slot))
        now, _, name, slot = heapq.heappop(working)
        free = sorted([*free, slot], key=len)
        for run in then[name]:
            waits[run.id] -= 1
            if not waits[run.id]:
                add(run)
    return now


def _ratio(took: list[Taken], weight: float, before: float) -> float:
    """Taken against expected seconds, where `weight` seconds are taken to go as `before` says."""
    expected = sum(each.expected for each in took) + weight
    return (sum(each.seconds for each in took) + weight * before) / expected if expected else before
