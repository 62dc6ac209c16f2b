"""What a network asks of a device, and the most that devices give."""

import math
import re
from typing import Any

# Largest dense throughput of 16-bit matrix products with 32-bit sums, floating-point operations a second, from the
# makers' data sheets.
PEAKS = {
    "H200": 989e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "A10G": 70e12,
    "L40S": 362e12,
    "L4": 121e12,
    "T4": 65e12,
    "V100": 125e12,
    "RTX 4090": 165e12,
    "RTX 3090": 71e12,
}


def multiply_adds(network: Any) -> int:
    """Multiply-adds of one image through a Keras network: those of its convolutions and dense layers."""
    total = 0
    for layer in network.layers:
        if getattr(layer, "layers", None):
            total += multiply_adds(layer)
        elif getattr(layer, "kernel", None) is not None:
            # a kernel's values, each used once at every place of the output
            total += math.prod(layer.kernel.shape) * math.prod(layer.output.shape[1:-1])
    return total


def peak_of(device: str) -> float | None:
    """The device's largest throughput by its name, operations a second; None where it is not known."""
    return next((peak for name, peak in PEAKS.items() if re.search(rf"\b{name}\b", device)), None)
