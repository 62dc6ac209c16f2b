"""The command line: its exit codes, what it says, and studies of stand-in notebooks from end to end."""

import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import psutil
import pytest
from rocrate.rocrate import ROCrate

import run_all
from lib.config.paper import CLASSES
from lib.config.params import study_names
from lib.config.paths import NOTEBOOKS, REPOSITORY, StudyPaths
from lib.data.folder import KAGGLE, downloaded
from lib.engine import estimate
from lib.engine.locks import locked
from tests.engine.helpers import FIXTURES, alive, wait_for
from tests.fixtures.tiny import write_tiny

STAND_INS = FIXTURES / "notebooks"
SMALL = str(FIXTURES / "small.yaml")


def start(*arguments: str, **environment: str) -> subprocess.Popen:
    """run_all.py on the stand-in notebooks."""
    script = [sys.executable, str(FIXTURES / "run_fixture.py"), *arguments]
    pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    return subprocess.Popen(script, env=os.environ | environment, **pipes)


def run(data: Path, root: Path, *flags: str, **environment: str) -> tuple[int, str]:
    """Exit status of the small study and what it printed."""
    process = start(SMALL, "--data", str(data), "--results", str(root), *flags, **environment)
    printed, errors = process.communicate()
    return process.returncode, printed + errors


@pytest.mark.slow
def test_a_study_ends_with_its_report_and_is_fresh_the_next_time(data, tmp_path):
    root = tmp_path / "results"
    status, plan = run(data, root, "--dry-run")
    assert status == 0 and "12 runs: 0 fresh, 0 stale, 12 missing" in plan
    assert not root.exists()  # nothing was started
    status, printed = run(data, root, "--jobs", "2")
    assert status == 0 and printed.rstrip().endswith(f"report: {root / 'report/index.html'}"), printed
    assert "nine_classes-MobileNetV2-seed0,skipped" in (root / "report/index.html").read_text()
    state = json.loads((root / "state.json").read_text())
    assert {entry["status"] for entry in state.values()} == {"done", "skipped"}
    assert all((root / entry["notebook"]).is_file() for entry in state.values() if entry["status"] == "done")
    log = (root / "run.log").read_text()
    assert "train-clean-native-nine_classes-MobileNet-seed0: fold 0 transfer epoch 1/1 loss 0.5 accuracy 0.50" in log
    assert "train-clean-native-nine_classes-MobileNet-seed0 wrote its outputs" in log

    each_time = ("run.log", ".lock", ".format.json")
    files = [path for path in root.rglob("*") if path.is_file() and path.name not in each_time]
    before = {path: path.stat().st_mtime_ns for path in files}
    status, printed = run(data, root)
    assert status == 0 and "12 fresh" in printed
    assert {path: path.stat().st_mtime_ns for path in files} == before

    _, forced = run(data, root, "--force", "kmeans", "--dry-run")
    assert "10 fresh, 2 stale, 0 missing" in forced and "kmeans: stale (--force)" in forced
    assert "report: stale (kmeans will be made again first)" in forced
    content = json.loads((root / "ro-crate-metadata.json").read_text())
    (_, own), graph = content["@context"], content["@graph"]
    standard = json.loads((FIXTURES / "ro-crate-1.1-context.jsonld").read_text(encoding="utf-8"))["@context"]
    terms = {name for entity in graph for name in (entity["@type"], *entity) if not name.startswith("@")}
    assert terms <= standard.keys() | own.keys() and own.keys().isdisjoint(standard)
    for entity in (entity for entity in graph if "sha256" in entity):
        written = (root / entity["@id"]).read_bytes()
        assert (entity["sha256"], entity["contentSize"]) == (hashlib.sha256(written).hexdigest(), str(len(written)))
    values = [value for entity in graph for value in entity.values()]
    listed = [item for value in values for item in (value if isinstance(value, list) else [value])]
    named = {item["@id"] for item in listed if isinstance(item, dict) and not item["@id"].startswith("https://")}
    assert named <= {entity["@id"] for entity in graph}  # every reference is to an entity of the crate
    assert all((root / entity.id).exists() for entity in ROCrate(root).data_entities)


@pytest.mark.slow
def test_failures_stay_small_and_the_summary_has_the_command_that_mends_them(data, tmp_path):
    root = tmp_path / "results"
    broken = {"FIXTURE_BREAK": "features-native-MobileNet", "FIXTURE_HOW": "raise"}
    clean = ("--only", "protocol=clean")
    status, printed = run(data, root, *clean, **broken)
    assert status == 1 and "8 done, 1 failed, 2 not run" in printed, printed
    assert "MobileNet failed in code cell 4: ValueError: planted in features-native-MobileNet" in printed
    assert str(root / "notebooks/features-native-MobileNet.ipynb") in printed
    assert "gradcam-nine_classes-MobileNet not run: features-native-MobileNet failed" in printed
    page = (root / "report/index.html").read_text()
    assert "features-native-MobileNet,failed" in page and "nine_classes-MobileNet-seed0,not run" in page
    assert (root / "outcomes/native/nine_classes.parquet").read_text().startswith("clean,MobileNetV2,")

    (again,) = re.findall(r"again: .*run_all\.py (.*)", printed)
    just_that = start(*shlex.split(again))
    printed, _ = just_that.communicate()
    assert just_that.returncode == 0 and "2 fresh, 1 done" in printed, printed
    status, printed = run(data, root, *clean)
    assert status == 0 and ",failed" not in (root / "report/index.html").read_text(), printed
    assert len((root / "outcomes/native/nine_classes.parquet").read_text().splitlines()) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_an_interrupt_ends_everything_keeps_what_is_done_and_the_next_call_resumes(data, tmp_path, number):
    root = tmp_path / "results"
    waiting = {"FIXTURE_BREAK": "features-native-MobileNet", "FIXTURE_HOW": "wait"}
    flags = ("--step", "train", "--jobs", "2")
    process = start(SMALL, "--data", str(data), "--results", str(root), *flags, **waiting)
    wait_for((root / "waits").exists, process)
    wait_for((root / "stamps/train-clean-native-nine_classes-MobileNetV2-seed0.json").exists, process)
    below = psutil.Process(process.pid).children(recursive=True)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    said, _ = process.communicate()
    assert process.returncode == 130, said
    assert "interrupted; finished runs are kept" in said
    assert all(number in said for number in ("4 done", "1 cancelled", "2 not started"))
    wait_for(lambda: not any(map(alive, below)))
    status, printed = run(data, root, *flags)
    assert status == 0 and "4 fresh, 3 done" in printed, printed


def refused(capsys, *arguments: str) -> str:
    """What run_all says when it refuses its arguments; nothing must have been started."""
    try:
        status = run_all.main(list(arguments), notebooks=STAND_INS)
    except SystemExit as error:
        status = error.code
    assert status == 2
    said = capsys.readouterr()
    assert not said.out
    return said.err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--only", "backbon=MobileNet"), "did you mean 'backbone'"),
        (("--step", "trian"), "did you mean 'train'"),
        (("--jobs", "0"), "a whole number of at least 1, not '0'"),
        (("--masks", "/no/such/folder"), "is not a folder"),
        (("--metadata", "/no/such/file"), "metadata '/no/such/file'"),
        (("--data", "/no/such/folder"), "does not exist"),
    ],
)
def test_bad_usage_is_refused_with_what_to_write_instead(data, tmp_path, capsys, flags, message):
    arguments = [SMALL, "--data", str(data), "--results", str(tmp_path / "r"), *flags]
    assert message in refused(capsys, *arguments)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_wait_before_anything_has_started(tmp_path, monkeypatch, capsys, number):
    """Whoever opens a named pipe waits for a writer; here nobody comes."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    before = signal.getsignal(number)

    def wait(name):
        threading.Timer(0.2, os.kill, (os.getpid(), number)).start()
        return pipe.read_text()

    monkeypatch.setattr(run_all, "load_study", wait)
    assert run_all.main([SMALL, "--results", str(tmp_path / "r")]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert signal.getsignal(number) is before


def test_a_dry_run_asks_no_host_whether_the_images_were_downloaded_or_not(tmp_path, monkeypatch, capsys):
    from kagglehub.cache import Cache, get_cached_path
    from kagglehub.handle import DatasetHandle

    def refuse(*arguments, **named):
        raise AssertionError(f"asked for {arguments}")

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for name in ("SKINCAS_DATA", "SKINCAS_METADATA", "SKINCAS_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KAGGLEHUB_CACHE", str(tmp_path / "cache"))
    arguments = ["paper", "--dry-run", "--results", str(tmp_path / "r")]
    assert run_all.main(arguments) == 0
    handle = DatasetHandle(*KAGGLE.split("/"), 3)
    for name in CLASSES:
        folder = Path(get_cached_path(handle), "set", name)
        folder.mkdir(parents=True)
        (folder / "image.jpg").write_bytes(name.encode())
    Cache().mark_as_complete(handle)
    assert downloaded() == Path(get_cached_path(handle))
    assert run_all.main(arguments) == 0
    audits = re.findall(r"1 audit \((\d+) s\)", plans := capsys.readouterr().out)
    assert plans.count("runs: 0 fresh, 0 stale") == 2
    assert int(audits[0]) > int(audits[1])  # 2,357 files are expected, then nine are there


@pytest.mark.parametrize(("answer", "starts"), [("y", True), ("", False), (EOFError, False)])
def test_a_long_study_starts_where_somebody_agrees_or_nobody_is_there(monkeypatch, answer, starts):
    monkeypatch.setattr("builtins.input", Mock(side_effect=[answer]))  # a second question would fail
    for is_terminal, yes, expected in ((True, False, starts), (True, True, True), (False, False, True)):
        monkeypatch.setattr("sys.stdin", SimpleNamespace(isatty=lambda shown=is_terminal: shown))
        assert estimate.confirm(yes, {"b": 7200.0, "a": 600.0}) is expected


def test_bad_studies_data_weights_and_results_are_refused(data, tmp_path, capsys):
    (tmp_path / "bad.yaml").write_text("image_sise: 64\n")
    assert "'image_sise'; did you mean 'image_size'" in refused(capsys, str(tmp_path / "bad.yaml"))
    rest = ("--results", str(tmp_path / "r"))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "mobilenet_notop.weights.h5").touch()
    imagenet = tmp_path / "imagenet.yaml"
    imagenet.write_text(Path(SMALL).read_text().replace("weights: none", "weights: imagenet"))
    said = refused(capsys, str(imagenet), "--data", str(data), "--weights", str(tmp_path / "weights"), *rest)
    assert "lacks mobilenet_v2_notop.weights.h5 (MobileNetV2)" in said
    said = refused(capsys, SMALL, "--data", str(data), "--results", str(data / "results"), "--dry-run")
    assert "lies inside the folder of --data" in said
    shutil.rmtree(data / "nevus")
    assert "no folder for nevus" in refused(capsys, SMALL, "--data", str(data), *rest)
    (tmp_path / "file").touch()
    said = refused(capsys, SMALL, "--data", str(data), "--results", str(tmp_path / "file" / "r"))
    assert "cannot be written" in said and "another --results" in said


@pytest.mark.slow
@pytest.mark.parametrize("place", ["lib.engine.execution.write_state", "lib.engine.provenance.write_json"])
def test_a_disk_that_is_full_beside_the_notebooks_is_said_in_a_sentence(data, tmp_path, capsys, monkeypatch, place):
    monkeypatch.setattr(place, Mock(side_effect=OSError(28, "No space left on device")))
    arguments = [SMALL, "--data", str(data), "--results", str(tmp_path / "r"), "--step", "audit"]
    assert run_all.main(arguments, notebooks=STAND_INS) == (1 if place.endswith("state") else 0)
    said = capsys.readouterr()
    assert "No space left on device" in said.err and "Traceback" not in said.err
    assert StudyPaths(tmp_path / "r").stamp("audit").is_file()


def test_a_data_folder_of_others_in_the_results_of_the_demo_is_refused_and_kept(tmp_path, capsys):
    with locked(tmp_path):
        (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.jpg").write_text("mine")
    assert run_all.main(["demo", "--results", str(tmp_path)]) == 2
    assert "exists and is not of the demo; remove it" in capsys.readouterr().err
    assert (tmp_path / "data" / "mine.jpg").read_text() == "mine"


def test_the_list_has_every_study_with_its_size_and_what_is_there_of_it(tmp_path, monkeypatch, capsys):
    assert run_all.main(["demo", "--dry-run", "--results", str(tmp_path / "demo")]) == 0
    (runs,) = re.findall(r"demo: (\d+) runs", capsys.readouterr().out)
    monkeypatch.setattr(run_all, "RESULTS", tmp_path)
    for path in (StudyPaths(tmp_path / "demo").stamp("audit"), StudyPaths(tmp_path / "reference/multiverse").report):
        path.parent.mkdir(parents=True)
        path.touch()
    assert run_all.main(["--list"]) == 0
    printed = dict(re.findall(r"^(\w+): (.*(?:\n  .*)+)", capsys.readouterr().out, flags=re.M))
    assert list(printed) == study_names()
    assert f" {runs} runs, about " in printed["demo"] and " 1 finished; report: none" in printed["demo"]
    assert "reference/multiverse/report/index.html" in printed["multiverse"] and " 0 finished" in printed["paper"]


def test_run_all_imports_neither_tensorflow_nor_matplotlib(data, tmp_path):
    code = f"""import sys, run_all
status = run_all.main(['demo', '--dry-run', '--results', {str(tmp_path / "r")!r}])
print(status, sorted({{'tensorflow', 'keras', 'matplotlib', 'jax'}} & set(sys.modules)))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.endswith("0 []\n"), done.stdout


@pytest.mark.slow
def test_the_same_seed_gives_the_same_predictions_whatever_jobs_is(tmp_path):
    """The notebooks of this repository, on images drawn here; the second study trains again on the first one's data."""
    study = write_tiny(tmp_path / "two.yaml", seeds=[0, 1], finetune_epochs=1, finetune_batch_norm="train")
    predictions = []
    for jobs in ("1", "2"):
        root = tmp_path / f"jobs{jobs}"
        if predictions:
            shutil.copytree(tmp_path / "jobs1", root)
        flags = ["--step", "train", "--force", "train", "--jobs", jobs, "--results", str(root)]
        command = [sys.executable, str(NOTEBOOKS.parent / "run_all.py"), str(study), *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        found = sorted((root / "runs").rglob("predictions_*.parquet"))
        assert len(found) == 4
        predictions.append({path.relative_to(root): path.read_bytes() for path in found})
    assert predictions[0] == predictions[1]
    seeds = {path.parent.name: content for path, content in predictions[0].items() if "finetune" in path.name}
    assert seeds["seed0"] != seeds["seed1"]  # they are not all alike
