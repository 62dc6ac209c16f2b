"""The one place that knows which backend Keras runs on: TensorFlow, or JAX where KERAS_BACKEND says so."""

import ctypes
import itertools
import os
import subprocess
import sys
import warnings
from contextlib import suppress

from lib.config.packages import BACKENDS

# M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD of mallopt (malloc.h of the GNU C library): freed memory stays with the
# process. Otherwise the system zeroes the pages of each step's arrays anew: a head's step took 6.3 ms instead of 3.4.
MALLOC_OPTIONS = {-4: 0, -1: 2**30, -2: 2**26}


def configure(seed: int, deterministic: bool, mixed_precision: bool) -> dict[str, str]:
    """Seed everything, choose deterministic kernels and the precision, and let GPU memory grow.

    A deterministic network runs in one thread of the CPU: sums are split by threads, and kernels differ in their number
    of threads. Mixed precision is used on GPUs only: bfloat16 where the GPU has it, else float16. Call this before
    anything is computed: TensorFlow and JAX read these settings once.

    Returns:
        backend, device and precision that are used.

    Raises:
        ValueError: Keras runs on another backend.
    """
    import keras

    keep_memory()
    name = keras.backend.backend()
    if name not in BACKENDS:
        raise ValueError(f"Keras runs on {name!r}, this study on {' or '.join(BACKENDS)}: set KERAS_BACKEND to one")
    keras.utils.set_random_seed(seed)
    device, bfloat16 = _tensorflow(deterministic) if name == "tensorflow" else _jax(deterministic)
    precision = "mixed_bfloat16" if bfloat16 else "mixed_float16"
    if device == "CPU" or not mixed_precision:
        precision = "float32"
    keras.config.set_dtype_policy(precision)
    return {"backend": name, "device": device, "precision": precision}


def keep_memory() -> None:
    """Let the C library keep the memory of a step for the next one; does nothing where it is not GNU's."""
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        for option, value in MALLOC_OPTIONS.items():
            library.mallopt(option, value)


def keep_c_output_out_of_notebooks() -> None:
    """Send what C libraries write to standard error to the terminal, or the run's log, that started the kernel.

    A kernel shows in the notebook, in red, whatever is written to the file descriptor, and TensorFlow writes there as
    it starts ("failed call to cuInit"), some of it at every log level. What Python writes stays in the notebook.
    """
    with suppress(AttributeError, OSError, ValueError):  # no standard error, or one without a descriptor
        if (terminal := sys.stderr.fileno()) != 2:
            os.dup2(terminal, 2)


def has_gpu() -> bool:
    """Whether Keras computes on a GPU: one that the machine has but the backend was not built for does not count."""
    import keras

    if keras.backend.backend() == "jax":
        import jax

        return jax.devices()[0].platform == "gpu"
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def uses_xla(jit_compile: bool) -> bool:
    """Whether XLA compiles the training steps: under TensorFlow if `jit_compile` is set and there is a GPU; always
    under JAX, which otherwise runs them one operation at a time."""
    import keras

    return keras.backend.backend() == "jax" or (jit_compile and has_gpu())


def as_dataset(batches):
    """A keras.utils.PyDataset of arrays as Keras reads it fastest: unchanged under JAX.

    Under TensorFlow a tf.data dataset without autotuning. With it, the end of an epoch waits until the tuner next
    wakes, 10, 30, 70 ... ms after the start (TensorFlow 2.21): an epoch of 4 s took 5.11 s every other time.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return batches
    import tensorflow as tf

    epochs = itertools.count()

    def epoch():
        if next(epochs):  # not at the end of the one before, which Keras does not wait for
            batches.on_epoch_end()
        for number in range(len(batches)):
            yield batches[number]

    signature = tuple(tf.TensorSpec((None, *array.shape[1:]), array.dtype) for array in batches[0])
    options = tf.data.Options()
    options.autotune.enabled = False
    dataset = tf.data.Dataset.from_generator(epoch, output_signature=signature)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(batches))).prefetch(2).with_options(options)


def repeat_step(step):
    """One call of TensorFlow that takes a step of Keras, not compiled by XLA, on each of many batches.

    Args:
        step: takes the row numbers and the labels of a batch.

    Returns:
        A function of the rows and the labels of many batches, each [batches, batch].
    """
    import tensorflow as tf

    numbers = [tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, None), tf.int64)]

    @tf.function(input_signature=numbers, autograph=False)
    def take_steps(rows, labels):
        def take_one(number):
            step((rows[number], labels[number]))
            return number + 1

        count = tf.shape(rows)[0]
        tf.while_loop(lambda number: number < count, take_one, [0])

    return take_steps


def fits_on_gpu(size: int, jit_compile: bool) -> bool:
    """Whether an array of `size` bytes fits into the GPU's memory beside a network that trains: it takes at most a
    quarter of what is free. False where there is no GPU, nvidia-smi fails, or XLA does not compile the steps:
    TensorFlow may then gather bytes on the CPU."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not (has_gpu() and uses_xla(jit_compile)):
        return False
    only = ["-i", visible.split(",")[0]] if visible else []
    query = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits", *only]
    try:
        free = subprocess.run(query, capture_output=True, text=True, timeout=30, check=True).stdout.split()
        return size <= int(free[0]) * 2**20 / 4
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return False


def _tensorflow(deterministic: bool) -> tuple[str, bool]:
    import tensorflow as tf

    if deterministic:
        tf.config.experimental.enable_op_determinism()
        _one_thread(tf)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with suppress(RuntimeError):  # the GPU is in use already: a second call in one kernel
            tf.config.experimental.set_memory_growth(gpu, True)
    if not gpus:
        return "CPU", False
    details = tf.config.experimental.get_device_details(gpus[0])
    return details.get("device_name", "GPU"), details.get("compute_capability", (0, 0)) >= (8, 0)


def _one_thread(tf) -> None:
    """TensorFlow accepts a number of threads until it first computes; after that it is only checked."""
    threads = tf.config.threading
    try:
        threads.set_intra_op_parallelism_threads(1)
        threads.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        if threads.get_intra_op_parallelism_threads() != 1:
            text = "TensorFlow already runs with several threads; restart the kernel to get the same numbers again"
            warnings.warn(text, stacklevel=3)


def _jax(deterministic: bool) -> tuple[str, bool]:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    flags = os.environ.get("XLA_FLAGS", "")
    if deterministic and "xla_gpu_deterministic_ops" not in flags:
        added = "--xla_gpu_deterministic_ops=true --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{flags} {added}".strip()
    import jax

    device = jax.devices()[0]
    if device.platform == "cpu":
        return "CPU", False
    return device.device_kind, float(getattr(device, "compute_capability", 8)) >= 8


keep_c_output_out_of_notebooks()  # as this module is imported, before anything that starts TensorFlow
