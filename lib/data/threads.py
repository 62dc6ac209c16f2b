"""Work on many files at once, with a bar that says how far it is."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from tqdm.contrib.concurrent import thread_map
from tqdm.std import tqdm


def progress_bar(total: int, done: str) -> tqdm:
    """A bar for a loop: `update(n)` says that n more are done, and the end of its `with` closes it.

    It goes to standard output, a line that is written over: a notebook shows it as it grows, its saved copy shows the
    last state, and run_all shows it in the terminal. tqdm's own bar for notebooks would leave an empty widget in a
    saved one.

    Args:
        done: what the bar counts, such as `images read`.
    """
    return tqdm(total=total, desc=done, mininterval=0.5, file=sys.stdout)


def map_in_threads(work: Callable[[Any], Any], items: Iterable[Any], workers: int, done: str) -> list[Any]:
    """`work` on each item, in threads, with a bar as `progress_bar` has; results in the order of the items."""
    items = list(items)
    return thread_map(work, items, max_workers=workers, desc=done, mininterval=0.5, file=sys.stdout, tqdm_class=tqdm)
