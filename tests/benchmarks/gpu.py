"""The rates of this machine, backbone by backbone: `python tests/benchmarks/gpu.py`, on a GPU or without one.

Fine-tunes every backbone for a few epochs on images of $SKINCAS_DATA (else synthetic ones), as 04_train does with
mixed precision and XLA where there is a GPU, and prints images per second. Writes results/rates.json, from which
`run_all.py --dry-run` estimates; --reference writes results/reference/rates.json. Each backbone has a process of its
own; `KERAS_BACKEND=jax` measures JAX. Without a GPU a network has one thread, and seconds are those of the processor.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import timing

from lib.config import paths
from lib.config.paper import CLASSES, backbones

NAMES = list(backbones())
SIZE, REPORT = 224, 30.0  # px; seconds of 08_report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--images", type=int, default=512, help="images per epoch")
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs, after one that traces")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--float32", action="store_true", help="no mixed precision")
    parser.add_argument("--reference", action="store_true", help="write results/reference/rates.json")
    options = parser.parse_args()
    target = paths.REFERENCE_RATES if options.reference else paths.RATES
    with tempfile.TemporaryDirectory() as folder:
        rates = image_rates(Path(folder), options.images)
        arguments = (f"{folder}/images.npy", options.batch_size, options.epochs, options.float32)
        measured = {name: timing.in_own_process("gpu", "rates_of", name, *arguments) for name in options.backbones}
    gpu = any(entry["device"] != "CPU" for entry in measured.values())
    rates = {"machine": timing.machine(), "gpu": gpu, "start": _start_of_a_kernel(), **rates, "report": REPORT}
    for kind in ("predict", "train", "head", "trace"):
        rates[kind] = {name: entry[kind] for name, entry in measured.items()}
    print(f"{rates['machine']}; {measured[options.backbones[0]]['precision']}, {SIZE} px")
    for name, entry in measured.items():
        print(f"{name}: {1 / entry['train']:.1f} images/s in training, {1 / entry['predict']:.1f} in prediction")
    target.write_text(json.dumps(rates, indent=1) + "\n")


def image_rates(folder: Path, count: int) -> dict[str, float]:
    """Seconds per image of the steps that need no network; leaves the prepared images in the folder."""
    import pandas as pd

    from lib.data import preprocess
    from lib.data.folder import decode
    from lib.data.index import look
    from lib.explain import kmeans

    jpegs = folder / "jpegs"
    jpegs.mkdir()
    pictures = timing.pictures(jpegs, count)
    files = pd.DataFrame({"source": [path.name for path, _ in pictures], "class": [label for _, label in pictures]})
    files["image_id"] = files["group"] = files["source"]
    views = pd.concat([files.assign(view=view) for view in range(3)]).sort_values("source", ignore_index=True)
    some = files[:64]
    given = (SIZE, 0, 180.0, 0.3, os.cpu_count() or 1)  # two augmented views per image
    prepare = timing.seconds(lambda: preprocess.write_images(views, decode, jpegs, folder / "images.npy", *given))
    audit = timing.seconds(lambda: [look(jpegs / source) for source in some["source"]])
    segment = timing.seconds(
        lambda: kmeans.segment_files(some, lambda source: decode(jpegs / source), {}, folder / "masks", {})
    )
    seconds = {"audit": audit / len(some) / 2, "prepare": prepare / len(views)}  # 01_audit has two threads
    return {name: round(value, 5) for name, value in (seconds | {"kmeans": segment / len(some)}).items()}


def rates_of(name: str, array: str, batch_size: int, epochs: int, float32: bool) -> dict:
    """Seconds per image of training and prediction and per view of a head, and seconds to trace the training."""
    import keras
    import numpy as np
    from training_speed import HEAD_EPOCHS, fit_head

    from lib.data import preprocess
    from lib.models import backend, networks, training
    from lib.models.features import Batches, predict

    machine, clock = _configured(float32)
    images = preprocess.open_images(Path(array))
    rows = np.arange(len(images))
    weights = timing.weights()
    if weights["weights"] == "imagenet" and not (Path(weights["weights_dir"]) / backbones()[name].weights).is_file():
        weights = {"weights": "none"}  # the speed is the same
    network = networks.build_backbone(name, SIZE, **weights)
    extractor = networks.build_extractor(network, "native", frozen=False)
    classifier = networks.build_classifier(extractor.output_shape[-1], len(CLASSES), 256, 0.15, 0.2, seed=0)
    full = fitted = networks.assemble(extractor, classifier)
    batches = Batches(images, rows, rows % len(CLASSES), batch_size, seed=0, full=True)
    if backend.fits_on_gpu(images.nbytes, True):
        fitted, batches = training.OnDevice(full, images), batches.of_row_numbers()
    fitted.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", jit_compile=backend.uses_xla(True))
    data = backend.as_dataset(batches)
    calls = {
        "train": lambda: fitted.fit(data, epochs=1, verbose=0),
        "predict": lambda: predict(full, images, rows, batch_size),
    }
    took = {kind: timing.by_turns({kind: call}, 1 + epochs, clock)[kind] for kind, call in calls.items()}
    rates = {kind: sum(rest) / epochs / len(images) for kind, (_, *rest) in took.items()}
    trace = max(0.0, took["train"][0] - rates["train"] * len(images))
    head = round(fit_head(False, extractor.output_shape[-1], clock)["head"] / HEAD_EPOCHS / 7200, 6)  # a view
    return machine | {kind: round(rate, 5) for kind, rate in rates.items()} | {"trace": round(trace, 1), "head": head}


def _configured(float32: bool) -> tuple[dict[str, str], object]:
    from lib.engine import workers
    from lib.models import backend

    on_gpu = bool(workers.visible_gpus())
    machine = backend.configure(0, deterministic=not on_gpu, mixed_precision=not float32)
    return machine, time.perf_counter if on_gpu else time.process_time


def _start_of_a_kernel() -> float:
    """Seconds that a notebook takes before its own work: a kernel that imports Keras and the backend."""
    code = "import keras, numpy, pandas, matplotlib.pyplot; keras.ops.zeros(1)"
    command = [sys.executable, "-c", code]
    took = timing.seconds(lambda: subprocess.run(command, check=True, stderr=subprocess.DEVNULL))
    return round(took + 1.0, 1)  # and the kernel itself


if __name__ == "__main__":
    main()
