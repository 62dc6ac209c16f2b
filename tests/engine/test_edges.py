"""Machines as they are: full disks, file systems without locks, damaged stamps, notebooks that print without end."""

import errno
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lib.config.files import write_json
from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine import kernel, locks
from lib.engine.freshness import Freshness, read_stamp
from lib.engine.locks import locked, remove_leftovers
from lib.engine.results import Result, write_state
from tests.engine.helpers import perform, write_notebook


def test_text_without_end_is_cut_with_a_note_a_bar_is_kept_whole_and_what_is_printed_last_still_shows(tmp_path):
    bar = "for i in range(1200): print('\\r' + 'x' * 990, end='', flush=i % 50 == 0)\nprint('\\rend')"
    printed = f"for _ in range(40): print('x' * {kernel.MOST_TEXT // 10})\nprint('last')"
    cells = (printed, f"'y' * {3 * kernel.MOST_TEXT}", f"raise ValueError('z' * {kernel.MOST_TEXT})")
    notebook, seen = write_notebook(tmp_path / "n.ipynb", "a: int = 1", bar, *cells), []
    result = kernel.execute(notebook, tmp_path / "out.ipynb", {}, report_progress=lambda **told: seen.append(told))
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    *_, moved, stream, shown, error = (str(cell.outputs) for cell in cells if cell.get("outputs"))
    assert all(text.count("cut here") >= 1 for text in (stream, shown, error, result.error))
    assert len(stream) < 1.2 * kernel.MOST_TEXT and len(shown) < 1.2 * kernel.MOST_TEXT
    assert len(error) + len(result.error) < 20 * kernel.MOST_ERROR
    assert {"line": "last"} in seen and "'text': 'end" in moved and "cut here" not in moved


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys, number):
    def flock(*_):
        raise OSError(number, "no locks")

    monkeypatch.setattr(locks.fcntl, "flock", flock)
    (StudyPaths(tmp_path).attempts / "dead" / "x").mkdir(parents=True)
    (tmp_path / "stamps").mkdir()
    write_json(StudyPaths(tmp_path).format, {"format": locks.FORMAT})
    with locked(tmp_path), locks.run_locked(StudyPaths(tmp_path), "audit", lambda: True):
        remove_leftovers(StudyPaths(tmp_path))
    assert "has no locks: do not start a second run_all there" in capsys.readouterr().out
    assert not (StudyPaths(tmp_path).attempts / "dead").exists()


def test_what_was_being_written_when_a_process_was_killed_is_removed(tmp_path):
    code = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom lib.config.files import write_json\n"
        "Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\nwrite_json(Path(sys.argv[1]), {})"
    )
    with locked(tmp_path):
        pass
    paths = StudyPaths(tmp_path)
    for path in (paths.external_digests, paths.state):
        subprocess.run([sys.executable, "-c", code, str(path)], cwd=REPOSITORY, check=False)
    assert len([path for path in tmp_path.rglob(".*") if path.suffix[1:].isdigit()]) == 2
    with locked(tmp_path):
        assert not [path for path in tmp_path.rglob(".*") if path.suffix[1:].isdigit()]


@pytest.mark.parametrize("wrong", [[], "x", {"outputs": {"audit/images.parquet": 7}}, None])
def test_a_stamp_or_a_state_of_another_type_counts_as_none(small, wrong):
    runs, root = small
    assert perform(runs["audit"], root).status == "done"
    paths = StudyPaths(root)
    stamp = read_stamp(paths.stamp("audit"))
    for damaged in (wrong, stamp | dict.fromkeys(("cells", "outputs"), wrong)):
        write_json(paths.stamp("audit"), damaged)
        assert Freshness(root).changes(runs["audit"]) is None
    write_json(paths.stamp("audit"), stamp | {"outputs": {"../outside": [0, 0, ""]}})
    (root.parent / "outside").write_text("of others")
    for path in (paths.state, paths.external_digests):
        write_json(path, wrong)
    write_json(paths.external_digests, {runs["audit"].external["data"]: wrong})
    write_state(list(runs.values()), [], {"audit": Result("not started")}, root)
    assert perform(runs["audit"], root).status == "done"
    assert (root.parent / "outside").read_text() == "of others"


@pytest.mark.parametrize("is_full", [True, False])
def test_a_study_whose_output_and_log_cannot_be_written_goes_on(command, tmp_path, is_full):
    """The disk is full, or the reader of the output has gone, as with `| head`, here before the first line."""
    paths = StudyPaths(tmp_path / "r")
    paths.log.mkdir(parents=True)
    write_json(paths.format, {"format": locks.FORMAT})
    with Path("/dev/full").open("w") as full:
        output = dict(stdout=full if is_full else subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        process = subprocess.Popen(command(paths.root, "--step", "audit"), **output)
        if not is_full:
            process.stdout.close()
        assert process.stderr.read() == "" and process.wait() == 0
    assert paths.stamp("audit").is_file()
