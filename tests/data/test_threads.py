"""Work in threads: results in order, one bar, and an error that is not lost."""

import time

import pytest

from lib.data.threads import map_in_threads, progress_bar


def test_results_keep_the_order_of_the_items_whichever_is_ready_first(capsys):
    def slow_first(number):
        time.sleep(0.05 * (number == 0))
        return 10 * number

    assert map_in_threads(slow_first, iter(range(5)), 4, "files") == [0, 10, 20, 30, 40]
    shown = capsys.readouterr()
    last = shown.out.split("\r")[-1]
    assert last.startswith("files: 100%") and "5/5" in last
    assert shown.err == ""  # a notebook shows standard error in red


def test_an_error_in_a_thread_is_raised():
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda number: 1 / number, [1, 0], 2, "files")


def test_a_bar_of_a_loop_counts_what_it_is_told(capsys):
    with progress_bar(70, "images") as bar:
        bar.update(64)
        bar.update(6)
    shown = capsys.readouterr()
    assert shown.out.split("\r")[-1].startswith("images: 100%") and "70/70" in shown.out and shown.err == ""
