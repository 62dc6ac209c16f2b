"""The engine on stand-in notebooks: kernels that die, workers that die, failures that stay small."""

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest

from lib.config.files import write_json
from lib.config.paths import REPOSITORY, StudyPaths
from lib.engine import attempts, kernel, workers
from lib.engine.freshness import FORMAT, Freshness, deciding_environment
from lib.engine.locks import FolderError, locked, remove_leftovers, run_locked
from lib.engine.results import Cancelled
from lib.engine.workers import Options, kernel_environment
from tests.engine.helpers import gone, perform, wait_for, write_notebook


def test_a_notebook_gets_its_parameters_and_its_lines_and_bars_are_passed_on(tmp_path):
    bar = "print('\\rimages:  50%', end='', flush=True); time.sleep(0.5); print('\\rimages: 100%')"
    cells = ("a: int = 1", f"import time; {bar}; print('epoch', a)", "(a, __name__)")
    notebook, seen = write_notebook(tmp_path / "n.ipynb", *cells), []
    result = kernel.execute(
        notebook, tmp_path / "out.ipynb", {"a": 7}, report_progress=lambda **progress: seen.append(progress)
    )
    assert result.status == "done" and result.seconds > 0 and result.peak_memory > 2**20
    *_, printed, value = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert printed.outputs[0].text == "images: 100%\nepoch 7\n" and "(7, '__main__')" in str(value.outputs)
    lines = [progress["line"] for progress in seen if "line" in progress]
    assert lines == ["\rimages:  50%", "\rimages: 100%", "epoch 7"]
    assert {progress["cell"] for progress in seen if "cells" in progress} == {1, 2, 3}


def test_no_configuration_of_the_user_reaches_a_kernel_but_what_keras_has_downloaded_does(tmp_path, monkeypatch):
    """A matplotlibrc with usetex failed the audit, and Keras's own file changed numbers."""
    for name, text in {
        ".config/matplotlib/matplotlibrc": "text.usetex: True",
        "own/matplotlibrc": "text.usetex: True",
        ".keras/keras.json": '{"floatx": "float16"}',
        ".keras/models/served.h5": "weights",
        ".ipython/profile_default/startup/00.py": "user = 1",
        ".jupyter/jupyter_config.json": '{"IPKernelApp": {"exec_lines": ["user = 1"]}}',
        "startup.py": "user = 1",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    for name in ("KERAS_HOME", "MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    places = {"HOME": ".", "MATPLOTLIBRC": "own", "PYTHONSTARTUP": "startup.py", "MPLBACKEND": "nonsense"}
    for name, place in places.items():
        monkeypatch.setenv(name, str(tmp_path / place))
    cell = """import keras, os, matplotlib.pyplot as plt
served = open(os.environ["KERAS_HOME"] + "/models/served.h5").read()
figure = plt.figure()
switched = "TF_ENABLE_ONEDNN_OPTS" in os.environ
print([plt.rcParams["text.usetex"], keras.config.floatx(), "user" in globals(), served, a, switched])"""
    notebook = write_notebook(tmp_path / "n.ipynb", "a: int = 1", cell)
    environment = kernel_environment(1, deciding_environment() | {"KERAS_BACKEND": "numpy"})
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # of a worker, where run_all has none
    result = kernel.execute(notebook, tmp_path / "out.ipynb", {"a": 7}, environment)
    assert result.status == "done", result.error
    printed = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs[0].text
    assert printed == "[False, 'float32', False, 'weights', 7, False]\n"
    assert {path.name for path in (tmp_path / ".keras").iterdir()} == {"keras.json", "models"}


@pytest.mark.parametrize(
    ("cells", "killed", "words"),
    [
        (["a", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"], True, "killed by SIGKILL (out of memory?)"),
        (["a", "import os; os._exit(0)"], True, "ended with exit status 0"),
        (["a", "import sys; sys.exit()"], False, "a cell called sys.exit"),
        (["import sys; sys.exit(0)", "a"], False, "a cell called sys.exit"),
    ],
)
def test_a_kernel_that_dies_or_leaves_even_in_its_last_cell_is_not_done(tmp_path, cells, killed, words):
    notebook = write_notebook(tmp_path / "n.ipynb", "a: int = 1", *cells)
    result = kernel.execute(notebook, tmp_path / "out.ipynb", {})
    assert (result.status, result.killed) == ("failed", killed) and words in result.error
    assert not killed or result.cell == 3 and "peak memory was" in result.error


@pytest.mark.parametrize("busy", ["sum(iter(int, 1))", "import re; re.match(r'(a+)+b', 'a' * 60)"])
def test_no_kernel_and_no_subprocess_of_a_cell_outlives_a_killed_parent(tmp_path, busy):
    """One kernel is busy in Python, one in a C call that holds the interpreter's lock."""
    cell = (
        "import os, subprocess, pathlib\nchild = subprocess.Popen(['sleep', '600'])\n"
        f"pathlib.Path({str(tmp_path / 'pids')!r}).write_text(f'{{os.getpid()}} {{child.pid}} .')\n{busy}"
    )
    notebook = write_notebook(tmp_path / "n.ipynb", "a: int = 1", cell)
    code = (
        "import sys; from pathlib import Path; from lib.engine import kernel\n"
        f"kernel.execute(Path({str(notebook)!r}), Path({str(tmp_path / 'out.ipynb')!r}), {{}})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)
    pids = tmp_path / "pids"
    wait_for(lambda: pids.exists() and pids.read_text().endswith("."), parent)
    started = [int(pid) for pid in pids.read_text().split()[:2]]
    assert not any(map(gone, started))
    parent.kill()
    parent.wait()
    wait_for(lambda: gone(*started))


def test_a_cell_that_neither_computes_nor_prints_is_silent_and_its_kernel_ends_when_it_is_cancelled(
    tmp_path, monkeypatch
):
    """A minute of it lasts two seconds here; the last cell would wait for ever."""
    monkeypatch.setattr(kernel, "MINUTE", 2.0)
    pid = tmp_path / "pid"
    noted = f"import os, signal, time; open({str(pid)!r}, 'w').write(str(os.getpid()))"
    computes = f"{noted}\nwhile time.process_time() < 3: pass"
    prints = "for _ in range(30): print(a, flush=True); time.sleep(0.1)"
    notebook, seen = write_notebook(tmp_path / "n.ipynb", "a: int = 1", computes, prints, "signal.pause()"), []

    def report(silent=0, cell=0, **progress):
        if silent:
            seen.append((silent, cell))

    with pytest.raises(Cancelled):
        kernel.execute(notebook, tmp_path / "o.ipynb", {}, report_progress=report, is_cancelled=lambda: (2, 4) in seen)
    assert seen == [(1, 4), (2, 4)]
    wait_for(lambda: gone(int(pid.read_text())))


def test_outputs_appear_once_a_killed_kernel_gets_a_second_attempt_and_what_raises_leaves_all_as_it_was(
    small, monkeypatch
):
    (runs, root), seen = small, []
    monkeypatch.setenv("FIXTURE_BREAK", "audit once")
    monkeypatch.setenv("FIXTURE_HOW", "kill")
    result = perform(runs["audit"], root, report_progress=lambda attempt=0, **progress: seen.append(attempt))
    assert result.status == "done" and [attempt for attempt in seen if attempt] == [1, 2]
    stamp = json.loads(StudyPaths(root).stamp("audit").read_text())
    assert set(stamp["outputs"]) == {"audit/images.parquet", "audit/dataset.json", "audit/printed.json"}
    assert (root / "notebooks/audit.ipynb").is_file()
    assert perform(runs["audit"], root).status == "fresh"
    before = (root / "audit/images.parquet").read_bytes()
    monkeypatch.setenv("FIXTURE_BREAK", "audit")
    monkeypatch.setenv("FIXTURE_HOW", "raise")
    assert perform(runs["audit"], root, force=True).status == "failed"
    assert (root / "audit/images.parquet").read_bytes() == before
    assert Freshness(root).changes(runs["audit"]) == []
    monkeypatch.setenv("FIXTURE_BREAK", "kmeans")
    result = perform(runs["kmeans"], root)
    assert (result.status, result.cell, result.killed) == ("failed", 4, False)
    assert result.error == "ValueError: planted in kmeans"
    assert not (root / "kmeans").exists() and not StudyPaths(root).stamp("kmeans").exists()
    assert "planted in kmeans" in (root / "notebooks/kmeans.ipynb").read_text()


COUNTS = """
import os, signal
from pathlib import Path
kept = Path(attempt, ".checkpoints", "count")
count = int(kept.read_text()) + 1 if kept.exists() else 1
Path(results, "counted").open("a").write(f"{count} ")
kept.write_text(str(count))
if Path(results, "deadly").exists():
    os.kill(os.getpid(), signal.SIGKILL)
assert not Path(results, "wrong").exists()
Path(attempt, "audit").mkdir()
Path(attempt, "audit", "count").write_text(str(count))
"""


@pytest.mark.slow
def test_checkpoints_are_found_by_the_next_attempt_where_nothing_has_changed_and_gone_at_the_end(small, tmp_path):
    """A run that counts how often it was begun, in a file that it keeps."""
    runs, root = small
    notebook = write_notebook(tmp_path / "n.ipynb", 'attempt: str = ""\nresults: str = ""', COUNTS)
    run = _with(runs["audit"], notebook, ("attempt", "results"))
    paths = StudyPaths(root)
    root.mkdir()

    def begun(described, *there, **kwargs):
        """What each attempt has counted."""
        (root / "counted").write_text("")
        for name in ("deadly", "wrong"):
            (root / name).unlink(missing_ok=True)
        for name in there:
            (root / name).touch()
        remove_leftovers(paths, frozenset(kwargs.pop("planned", [run.id])))
        result = attempts.perform(run, root, described, **kwargs)
        assert (result.status == "done") is (not there), result.error
        return [int(count) for count in (root / "counted").read_text().split()]

    one, other = Freshness(root).describe(run), Freshness(root).describe(run) | {"packages": {"numpy": "0"}}
    assert begun(one, "deadly") == [1, 2] and begun(one, "deadly") == [3, 4]  # killed twice, and once more later
    assert begun(other, "deadly") == [1, 2] and begun(one, "deadly") == [1, 2]
    assert begun(one, "deadly", force=True) == [1, 2]
    assert begun(one, "deadly", planned=[]) == [1, 2]
    assert begun(one, "wrong") == [3] and begun(one, "deadly") == [1, 2]  # what raised begins anew
    assert begun(one) == [3] and (root / "audit/count").read_text() == "3"
    assert not (paths.attempts / run.id).exists() and begun(other) == [1]
    assert {path.name for path in (root / "audit").iterdir()} == {"count"}


def test_a_run_replaces_what_it_wrote_and_keeps_the_files_of_others(small, monkeypatch):
    runs, root = small
    (root / "audit").mkdir(parents=True)
    (root / "audit/notes.txt").write_text("mine")
    assert perform(runs["audit"], root).status == "done"
    stamp = StudyPaths(root).stamp("audit")
    content = json.loads(stamp.read_text())
    (root / "audit/sub").mkdir()
    (root / "audit/sub/earlier.csv").write_text("written by an earlier version of the notebook")
    content["outputs"]["audit/sub/earlier.csv"] = [0, 0, ""]
    write_json(stamp, content)
    assert perform(runs["audit"], root, force=True).status == "done"
    there = {path.name for path in (root / "audit").iterdir()}
    assert there == {"notes.txt", "images.parquet", "dataset.json", "printed.json"}

    # an attempt that ends while it moves its outputs leaves nothing that a later run could take for its own
    moved = []

    def replace_once(self, target, replace=Path.replace):
        if ".attempts" in self.parts and "audit" in self.parent.name:
            if moved:
                raise KeyboardInterrupt
            moved.append(Path(target))
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", replace_once)
    with pytest.raises(KeyboardInterrupt):
        perform(runs["audit"], root, force=True)
    assert moved[0].is_file() and not stamp.exists()
    monkeypatch.undo()
    remove_leftovers(StudyPaths(root), frozenset(runs))
    assert [path.name for path in (root / "audit").iterdir()] == ["notes.txt"]


def test_a_notebook_that_writes_less_or_more_than_planned_fails(small, tmp_path):
    runs, root = small
    notebook = write_notebook(tmp_path / "less.ipynb", 'attempt: str = ""', "attempt")
    less = attempts.perform(_with(runs["audit"], notebook), root, {})
    assert less.status == "failed" and "without writing audit" in less.error
    more = "import os\nfor n in ('audit', 'x'): os.mkdir(f'{attempt}/{n}'); open(f'{attempt}/{n}/b', 'w').close()"
    notebook = write_notebook(tmp_path / "more.ipynb", 'attempt: str = ""', more)
    result = attempts.perform(_with(runs["audit"], notebook), root, {})
    assert result.status == "failed" and "x/b, not an output of step audit" in result.error


def _with(run, notebook: Path, injected=("attempt",)):
    return replace(run, notebook=notebook, injected=injected, parameters={})


def test_a_run_json_tells_where_its_numbers_are_from(small):
    runs, root = small
    train = "train-by_view-native-nine_classes-MobileNet-seed0"
    for name in ("audit", "prepare", "features-native-MobileNet", train):
        assert perform(runs[name], root, facts={"git": {"commit": "abc", "clean": True}}).status == "done"
    folder = root / "runs/by_view/native/nine_classes/MobileNet/seed0"
    record = json.loads((folder / "run.json").read_text())
    assert record["model"] == {}  # what the notebook wrote
    provenance = record["provenance"]
    assert provenance["git"]["commit"] == "abc" and provenance["axes"]["seed"] == 0 and provenance["deterministic"]
    assert provenance["parameters"]["units"] == 8 and provenance["packages"]["numpy"]
    weights = subprocess.run(["sha256sum", folder / "transfer.weights.h5"], capture_output=True, text=True, check=True)
    assert provenance["outputs"]["transfer.weights.h5"] == weights.stdout.split()[0]
    assert "features/native/MobileNet/features.npy" in provenance["inputs"]
    assert provenance["peak_memory_bytes"] > 0 and provenance["hardware"]["cores"] == os.cpu_count()


def test_a_run_waits_for_the_one_who_holds_it_and_then_finds_it_done(small):
    runs, root = small
    results = []
    threads = [threading.Thread(target=lambda: results.append(perform(runs["audit"], root))) for _ in range(2)]
    for thread in threads:
        thread.daemon = True
        thread.start()
    wait_for(lambda: not any(thread.is_alive() for thread in threads))
    assert sorted(result.status for result in results) == ["done", "fresh"]


def test_a_second_engine_in_one_results_folder_is_refused(tmp_path):
    code = f"from lib.engine.locks import locked; from pathlib import Path\nwith locked(Path({str(tmp_path)!r})): pass"
    with locked(tmp_path):
        second = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert second.returncode == 1 and "another run_all works" in second.stderr
    with locked(tmp_path):  # and it is free again
        pass


@pytest.mark.parametrize("written", [{"format": FORMAT - 1}, {"format": FORMAT + 1}, None])
@pytest.mark.parametrize("name", ["stamps/audit.json", "tables/mine.csv"])
def test_a_folder_of_something_else_or_of_another_version_is_refused_and_left_as_it_is(tmp_path, written, name):
    write_json(tmp_path / name, {"old": True})
    if written:
        write_json(StudyPaths(tmp_path).format, written)
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(FolderError, match="holds no results of this version"), locked(tmp_path):
        pass
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_a_disk_that_is_full_fails_the_run_and_leaves_what_was_there(small, tmp_path):
    """On a small tmpfs, where this test may mount one; elsewhere it is skipped."""
    runs, _ = small
    mount = tmp_path / "disk"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", mount], capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root")
    try:
        root = mount / "results"
        assert perform(runs["audit"], root).status == "done"
        before = {path: path.read_bytes() for path in (root / "audit").iterdir()}
        fill = (mount / "fill").open("wb", buffering=0)
        with fill, pytest.raises(OSError, match="No space left"):
            while fill.write(b"x" * 1024):
                pass
        result = perform(runs["audit"], root, force=True)
        assert result.status == "failed" and "No space left" in result.error
        assert {path: path.read_bytes() for path in (root / "audit").iterdir()} == before
        (mount / "fill").unlink()
        assert perform(runs["audit"], root, force=True).status == "done"
    finally:
        subprocess.run(["umount", mount], check=True)


def test_leftovers_of_interrupted_runs_are_removed_unless_a_worker_still_holds_them(tmp_path):
    paths = StudyPaths(tmp_path)
    for name in ("dead", "held"):
        (paths.attempts / name / "audit").mkdir(parents=True)
    with run_locked(paths, "held", lambda: False):
        remove_leftovers(paths)
        assert not (paths.attempts / "dead").exists() and (paths.attempts / "held").exists()


def listening(process: psutil.Process) -> set[str]:
    """The addresses on which a process accepts connections over the network."""
    sockets = [one for one in process.net_connections(kind="inet") if one.status == psutil.CONN_LISTEN]
    return {one.laddr.ip for one in sockets}


@pytest.mark.parametrize("dashboard", [True, False])
def test_the_cluster_of_this_machine_listens_on_loopback_alone_and_replaces_a_lost_worker(dashboard):
    with workers.cluster(Options(jobs=2, dashboard=dashboard)) as pool:
        pool.client.wait_for_workers(2)
        below = psutil.Process().children(recursive=True)
        started = [psutil.Process(pid) for pid in pool.client.run(os.getpid).values()]
        assert set(started) <= set(below) and [listening(process) for process in started] == [{"127.0.0.1"}] * 2
        assert set().union(*map(listening, [psutil.Process(), *below])) == {"127.0.0.1"}
        try:
            page = urllib.request.urlopen(pool.client.dashboard_link, timeout=60).read().decode()
        except urllib.error.HTTPError as error:
            assert error.code == 404 and not dashboard
        else:
            assert dashboard and "bokeh" in page

        nanny, _ = pool.local.workers.values()
        pool.local.sync(nanny.close)
        wait_for(lambda: len(pool.client.nthreads()) == 1)
        assert pool.replace_lost_workers() == ""
        wait_for(lambda: len(pool.client.nthreads()) == 2)
        assert pool.client.submit(sum, [1, 2], resources={"heavy": 1}).result() == 3
