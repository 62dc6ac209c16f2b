"""Work in threads: results in order, one bar, and an error that is not lost."""

import threading

import pytest

from lib.data.threads import map_in_threads


def test_results_keep_the_order_of_the_items_whichever_is_ready_first(capsys):
    last_done = threading.Event()

    def first_waits_for_the_last(number):
        if number == 0:
            assert last_done.wait(60)
        if number == 4:
            last_done.set()
        return 10 * number

    assert map_in_threads(first_waits_for_the_last, iter(range(5)), 4, "files") == [0, 10, 20, 30, 40]
    shown = capsys.readouterr()
    last = shown.out.split("\r")[-1]
    assert last.startswith("files: 100%") and "5/5" in last
    assert shown.err == ""  # a notebook shows standard error in red


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda number: 1 / number, [1, 0], 2, "files")
