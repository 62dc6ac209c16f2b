"""Work on many files at once, with a bar that says how far it is."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from tqdm.contrib.concurrent import thread_map
from tqdm.std import tqdm


def map_in_threads(work: Callable[[Any], Any], items: Iterable[Any], workers: int, done: str) -> list[Any]:
    """`work` on each item, in threads; results in the order of the items.

    The bar goes to standard output, a line that is written over: a notebook shows it as it grows, and its saved copy
    shows the last state. tqdm's own bar for notebooks would leave an empty widget in a saved one.

    Args:
        done: what the bar counts, such as `images read`.
    """
    items = list(items)
    return thread_map(work, items, max_workers=workers, desc=done, mininterval=0.5, file=sys.stdout, tqdm_class=tqdm)
