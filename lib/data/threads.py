"""Work on many files in threads, with a progress bar."""

import sys
from collections.abc import Callable, Iterable
from typing import Any

from tqdm.contrib.concurrent import thread_map
from tqdm.std import tqdm


def progress_bar(total: int, done: str) -> tqdm:
    """A progress bar that counts what is `done`, such as `images read`: call `update(n)` in its `with`.

    It is text on standard output: a saved notebook keeps its last state, and run_all shows it in the terminal.
    """
    return tqdm(total=total, desc=done, mininterval=0.5, file=sys.stdout)


def map_in_threads(work: Callable[[Any], Any], items: Iterable[Any], workers: int, done: str) -> list[Any]:
    """Apply `work` to each item in threads, with a progress bar; results in the order of the items."""
    items = list(items)
    return thread_map(work, items, max_workers=workers, desc=done, mininterval=0.5, file=sys.stdout, tqdm_class=tqdm)
