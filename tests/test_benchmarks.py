"""What the benchmarks measure by: published sizes of networks, and peaks of devices."""

import keras
import pytest

from lib.config.paths import REPOSITORY


@pytest.fixture
def devices(monkeypatch):
    monkeypatch.syspath_prepend(REPOSITORY / "tests" / "benchmarks")
    import devices

    return devices


@pytest.mark.parametrize(
    ("name", "by_view"),
    [("MobileNet", 569e6), ("MobileNetV2", 300e6), ("ResNet50", 3.8e9)],  # the tables of the networks' own papers
)
def test_multiply_adds_are_those_of_the_networks_own_papers(devices, name, published):
    network = getattr(keras.applications, name)(include_top=False, weights=None, input_shape=(224, 224, 3))
    assert devices.multiply_adds(network) == pytest.approx(published, rel=0.03)


def test_the_peak_of_a_device_is_found_by_its_name(devices):
    assert devices.peak_of("NVIDIA H100 80GB HBM3") == pytest.approx(989e12)
    assert devices.peak_of("NVIDIA H100 PCIe") == pytest.approx(756e12)
    assert devices.peak_of("Tesla T4") == pytest.approx(65e12)
    assert devices.peak_of("NVIDIA L4") == pytest.approx(121e12)
    assert devices.peak_of("NVIDIA L40") is None  # another device than the L4 and the L40S
    assert devices.peak_of("an unknown device") is None
