"""Work in threads: results in order, one bar, and an error that is not lost."""

import threading

import pytest

from lib.data.threads import map_in_threads


def test_results_keep_the_order_of_the_items_the_bar_is_text_on_standard_output_and_errors_are_raised(capsys):
    last_done = threading.Event()

    def first_waits_for_the_last(number: int) -> int:
        assert last_done.wait(60) if number == 0 else number < 4 or last_done.set() is None
        return 10 * number

    assert map_in_threads(first_waits_for_the_last, iter(range(5)), 4, "files") == [0, 10, 20, 30, 40]
    shown = capsys.readouterr()
    assert "files: 100%" in shown.out.split("\r")[-1] and shown.err == ""  # a notebook shows standard error in red
    with pytest.raises(ZeroDivisionError):
        map_in_threads(lambda number: 1 / number, [1, 0], 2, "files")
