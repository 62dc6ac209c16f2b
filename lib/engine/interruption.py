"""Ctrl-C and SIGTERM: they end any wait at once, and let running notebooks be ended in order."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_STATUS = 130


class Interruption:
    """Whether a signal has interrupted this process.

    A signal raises KeyboardInterrupt, or is only `noted` once `raises` is false, for notebooks to be ended in order. A
    second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.noted = False
        self.raises = True

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals inside this context."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, _number: int, _frame: object) -> None:
        if self.noted:
            os._exit(EXIT_STATUS)  # workers and kernels are leashed and end with this process
        self.noted = True
        if self.raises:
            raise KeyboardInterrupt
