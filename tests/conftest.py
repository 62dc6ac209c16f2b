"""What all tests share: quiet libraries, the real images, labels and weights where there are any, and processes."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # before any test imports TensorFlow: errors only


@pytest.hookimpl(tryfirst=True)  # before xdist reads the groups
def pytest_collection_modifyitems(items) -> None:
    """Send tests that share a fixture of their module or folder to one process; any other test may go to any.

    The fixtures of this file are made by each process: they take no second.
    """
    for item in items:
        made = [definitions[-1] for definitions in item._fixtureinfo.name2fixturedefs.values()]
        shared = [
            fixture.baseid for fixture in made if fixture.scope != "function" and len(fixture.baseid) > len("tests")
        ]
        if shared:
            item.add_marker(pytest.mark.xdist_group(min(shared, key=len)))


@pytest.fixture(scope="session")
def demo_data(tmp_path_factory):
    """A small demo set: six images a class, 64 px; its folder, metadata, masks and planted flaws (DemoSet)."""
    from lib.data import demo

    return demo.ensure(tmp_path_factory.mktemp("demo") / "data", images_per_class=6, size=64, seed=0)


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
