"""What all tests share: quiet libraries, the real images, labels and weights where there are any, and processes."""

import os
import signal
from itertools import product
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow: errors only


# Several processes (pytest-xdist): the longest go first, so that none is left over at the end. Tests of a file share
# what its fixtures make, those of tests/report a report too; the others here start processes of their own, one by one.
FIRST = ("tests/report/", "tests/test_notebooks.py", "tests/test_run_all.py", "tests/models/", "tests/engine/")
LIMIT = 1800  # seconds of a test with the fixtures that it makes
ONE_BY_ONE = ("tests/test_run_all.py", "tests/engine/test_execution.py", "tests/engine/test_chaos.py")


def pytest_collection_modifyitems(items) -> None:
    def place(item) -> int:
        return next((number for number, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST))

    items.sort(key=place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """A test that hangs fails, and names the line at which it waits, once in every wait that it must leave."""

    def stop(*_):
        raise TimeoutError(f"{item.nodeid} takes more than {LIMIT} s")

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, LIMIT, 60)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from xdist.scheduler import LoadScopeScheduling

    class Scheduler(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            """What a test is run together with."""
            if nodeid.startswith(ONE_BY_ONE):
                return nodeid
            return "tests/report/" if nodeid.startswith("tests/report/") else nodeid.split("::")[0]

    config.option.loadscopereorder = False
    return Scheduler(config, log)


@pytest.fixture
def data(tmp_path, monkeypatch) -> Path:
    """A folder with one file per class; nothing else is given, whatever the environment has."""
    from lib.config.paper import CLASSES

    for name in os.environ:
        if name.startswith(("SKINCAS_", "FIXTURE_")):
            monkeypatch.delenv(name)
    for name in CLASSES:
        (tmp_path / "data" / name).mkdir(parents=True)
        (tmp_path / "data" / name / "image.jpg").write_bytes(name.encode())
    return tmp_path / "data"


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory) -> Path:
    """The folder of a small demo set: six images per class, 64 px."""
    from lib.data import demo

    folder = tmp_path_factory.mktemp("demo") / "data"
    demo.ensure(folder, images_per_class=6, size=64, seed=0)
    return folder


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set of small pictures: two of each class in Train, one in Test."""
    from lib.config.paper import CLASSES
    from tests.fixtures.pictures import picture, save

    for number, (label, part) in enumerate(product(CLASSES, ("Train", "Train", "Test"))):
        save(tmp_path / "set" / part / label / f"ISIC_{number:07d}.png", picture(number))
    return tmp_path / "set"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The public data set, Train/<class>/ and Test/<class>/; skips the test where there is none."""
    return _given("SKINCAS_DATA", "the folder of the public data set")


@pytest.fixture(scope="session")
def real_metadata() -> Path:
    """CSV isic_id, isic2019_diagnosis, lesion_id; skips the test where there is none."""
    return _given("SKINCAS_METADATA", "the CSV of official diagnoses and lesions")


@pytest.fixture(scope="session")
def real_weights() -> Path:
    """Folder of ImageNet weights, named as in params/backbones.yaml; skips the test where there is none."""
    return _given("SKINCAS_WEIGHTS", "a folder of ImageNet weights")


@pytest.fixture(scope="session")
def paper_text() -> str:
    """The paper as text; skips the test where there is none."""
    return _given("SKINCAS_PAPER", "the text of the paper").read_text(encoding="utf-8")


def _given(variable: str, what: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"needs {what}: set {variable}")
    path = Path(value)
    if not path.exists():
        pytest.fail(f"{variable}={value} does not exist; give {what}, or unset it to skip the tests that need it")
    return path
