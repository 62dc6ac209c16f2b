"""What a study runs on: the backends of Keras, chosen here so that nothing has to import Keras, and versions."""

import os
import platform
from importlib.metadata import version

BACKENDS = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib")}  # backend -> the packages that make its numbers


def chosen_backend() -> str:
    """The backend that this study runs on: that of $KERAS_BACKEND, else TensorFlow."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def versions(*packages: str) -> dict[str, str]:
    """Python, the platform and the installed versions of `packages` (distribution names)."""
    return {"python": platform.python_version(), "platform": platform.platform()} | {p: version(p) for p in packages}
