"""Ctrl-C and SIGTERM: they end any wait at once, and let running notebooks be ended in order."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

EXIT_STATUS = 130


class Interruption:
    """Whether a signal has interrupted this process.

    A signal raises KeyboardInterrupt. Inside `in_order` it is only `noted`, for the code there to end its notebooks. A
    second signal ends the process at once.
    """

    def __init__(self) -> None:
        self.noted = False
        self._in_order = False

    @contextmanager
    def handled(self) -> Iterator[None]:
        """Handle signals inside this context; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Note signals inside this context, and raise nothing."""
        self._in_order = True
        try:
            yield
        finally:
            self._in_order = False

    def _handle(self, _number: int, _frame: object) -> None:
        if self.noted:
            os._exit(EXIT_STATUS)  # workers and kernels are leashed and end with this process
        self.noted = True
        if not self._in_order:
            raise KeyboardInterrupt
