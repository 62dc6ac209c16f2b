"""How long is left of a study, before it starts and while it runs: one rule for --dry-run and the view.

The runs that are left are played forward on the workers, each after what it waits for. How long each takes is first
what the estimate says; the runs that have ended then tell how far that was off, those of the same step most.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable

from lib.engine.planning import Run

Slots = list[frozenset[str]]  # for each notebook that may run at once what it may be: heavy, light or both
BOTH = frozenset({"heavy", "light"})

# The estimate counts as much as this share of all that is expected, and of a step as much as this share of a run.
TRUST, TRUST_OF_STEP = 0.03, 0.25


class Forecast:
    """What is left of some runs.

    Args:
        runs: those that have to be made, each after what it waits for.
        seconds: what each is expected to take, by its id.
        slots: where they run.
    """

    def __init__(self, runs: Iterable[Run], seconds: dict[str, float], slots: Slots):
        self.runs = {run.id: run for run in runs}
        self.seconds = {name: seconds[name] for name in self.runs}
        self.slots = slots
        self._total = sum(self.seconds.values())
        self._left = dict(self.runs)
        self._took: dict[str, list[tuple[float, float]]] = defaultdict(list)  # step -> (expected, taken) of its runs

    def ended(self, run_id: str, took: float | None = None) -> None:
        """A run is over; `took` is its seconds, None where they say nothing of others: it failed, or was not needed."""
        self._left.pop(run_id, None)
        if took is not None and run_id in self.runs:
            self._took[self.runs[run_id].step].append((self.seconds[run_id], took))

    def left(self, running: dict[str, float] | None = None) -> float:
        """Seconds until all are over.

        Args:
            running: id -> seconds since it started, of those that run.
        """
        running = {name: since for name, since in (running or {}).items() if name in self._left}
        pace = self._paces(running)
        rest = {}
        for name, run in self._left.items():
            expected = self.seconds[name] * pace[run.step]
            # one that takes longer than expected takes longer still
            rest[name] = max(expected - running[name], 0.1 * running[name]) if name in running else expected
        return play(list(self._left.values()), rest, self.slots, running.keys())

    def _paces(self, running: dict[str, float]) -> dict[str, float]:
        """Step -> how many times as long as expected its runs take."""
        took = {step: list(pairs) for step, pairs in self._took.items()}
        for _ in range(2):  # a run that is over its time by what is known so far counts as far as it has come
            pace = self._pace_of_steps(took)
            late = {step: list(pairs) for step, pairs in self._took.items()}
            for name, since in running.items():
                step = self.runs[name].step
                if since > self.seconds[name] * pace[step]:
                    late.setdefault(step, []).append((self.seconds[name], since))
            took = late
        return self._pace_of_steps(took)

    def _pace_of_steps(self, took: dict[str, list[tuple[float, float]]]) -> dict[str, float]:
        pairs = [pair for of_step in took.values() for pair in of_step]
        everywhere = _ratio(pairs, TRUST * self._total, 1.0)
        steps = {run.step for run in self._left.values()}
        return {
            step: _ratio(of_step, TRUST_OF_STEP * sum(e for e, _ in of_step) / len(of_step), everywhere)
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


def _ratio(pairs: list[tuple[float, float]], weight: float, before: float) -> float:
    """Taken against expected seconds, where `weight` seconds are taken to go as `before` says."""
    expected = sum(pair[0] for pair in pairs) + weight
    return (sum(pair[1] for pair in pairs) + weight * before) / expected if expected else before
