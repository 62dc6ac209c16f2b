"""The backends of Keras that a study may run on. Only the choice is made here, so that nothing has to import Keras."""

import os

BACKENDS = {"tensorflow": ("tensorflow",), "jax": ("jax", "jaxlib")}  # backend -> the packages that make its numbers


def chosen_backend() -> str:
    """The backend that this study runs on: that of $KERAS_BACKEND, else TensorFlow."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"
