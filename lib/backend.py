"""The one place that knows which backend Keras runs on."""

import os
from contextlib import suppress


def configure(seed: int, deterministic: bool, mixed_precision: bool) -> dict[str, str]:
    """Seed everything, ask for deterministic kernels, let GPU memory grow, and choose the precision.

    Mixed precision is used on GPUs only: bfloat16 where the GPU has it, else float16.

    Returns:
        What was found and chosen: backend, device, precision.
    """
    import keras

    keras.utils.set_random_seed(seed)
    device, bfloat16 = _tensorflow(deterministic) if keras.backend.backend() == "tensorflow" else _jax()
    precision = (
        ("mixed_bfloat16" if bfloat16 else "mixed_float16") if mixed_precision and device != "CPU" else "float32"
    )
    keras.config.set_dtype_policy(precision)
    return {"backend": keras.backend.backend(), "device": device, "precision": precision}


def has_gpu() -> bool:
    """Whether the backend in use sees a GPU."""
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return bool(tf.config.list_physical_devices("GPU"))
    import jax

    return jax.default_backend() == "gpu"


def _tensorflow(deterministic: bool) -> tuple[str, bool]:
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError):  # the GPU is in use already: a second call in one kernel
            tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:
        return "CPU", False
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("device_name", "GPU"), details.get("compute_capability", (0, 0)) >= (8, 0)


def _jax() -> tuple[str, bool]:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    device = jax.devices()[0]
    return ("CPU", False) if device.platform == "cpu" else (device.device_kind, True)
