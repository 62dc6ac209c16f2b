"""What a machine can do, backbone by backbone: `python tests/benchmarks/gpu.py`, on a GPU or without one.

Fine-tunes every backbone for a few epochs on images of $SKINCAS_DATA (else synthetic ones), as 04_train does with
mixed precision and XLA where there is a GPU, and prints for each: images a second in training and prediction, the
share of the GPU's peak, the memory, and how long the backbone's part of the full paper study would take at most.
Writes results/rates.json, from which `run_all.py --dry-run` estimates; --reference writes results/reference/rates.json.
Each backbone has a process of its own, so that the memory is its own too; `KERAS_BACKEND=jax` measures JAX.
Without a GPU a network has one thread, as in a study whose numbers are to be the same again, and what is counted is
the processor's time, so that other work of the machine does not matter. --heads measures the heads alone, and keeps the
rest.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common
import devices

from lib.config.paper import backbones

NAMES = list(backbones())
REPORT = 30.0  # seconds of 08_report


def main() -> None:
    options = _options()
    if options.one:
        print(json.dumps(_one(options.one, options)))
        return
    from lib.config import paths
    from lib.config.files import read_json

    target = paths.REFERENCE_RATES if options.reference else paths.RATES
    if options.heads:
        rates = read_json(target)
        for name in options.backbones:
            rates["head"][name] = _in_own_process(name, options, Path())["head"]
    else:
        with tempfile.TemporaryDirectory() as folder:
            images = _prepare(Path(folder), options)
            found = {name: _in_own_process(name, options, images["path"]) for name in options.backbones}
        gpu = any(entry["device"] != "CPU" for entry in found.values())
        rates = {"machine": common.machine(), "gpu": gpu, "start": _start_of_a_kernel(), **images["seconds"]}
        rates["report"] = REPORT
        for kind in ("predict", "train", "head", "trace"):
            rates[kind] = {name: entry[kind] for name, entry in found.items()}
        _show(rates, found)
    target.write_text(json.dumps(rates, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--images", type=int, default=512, help="images an epoch")
    parser.add_argument("--epochs", type=int, default=2, help="timed epochs, after one that traces")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--float32", action="store_true", help="no mixed precision")
    parser.add_argument("--reference", action="store_true", help="write results/reference/rates.json")
    parser.add_argument("--heads", action="store_true", help="measure again the steps of heads alone")
    parser.add_argument("--one", default="", help=argparse.SUPPRESS)
    parser.add_argument("--array", default="", help=argparse.SUPPRESS)
    return parser.parse_args()


def _prepare(folder: Path, options: argparse.Namespace) -> dict:
    """The images at the size asked for, and seconds an image of the steps that need no network."""
    import pandas as pd

    from lib.data import preprocess
    from lib.data.folder import decode
    from lib.data.index import look
    from lib.explain import kmeans

    (folder / "jpegs").mkdir()
    pictures = common.pictures(folder / "jpegs", options.images)
    files = pd.DataFrame({"source": [path.name for path, _ in pictures], "class": [label for _, label in pictures]})
    files["image_id"] = files["source"]
    three = pd.concat([files.assign(view=view) for view in range(3)], ignore_index=True)  # two augmented views an image
    views = three.sort_values("source", ignore_index=True)
    path = folder / "images.npy"
    seconds = {}
    with common.stopwatch() as watch:
        preprocess.write_images(views, decode, folder / "jpegs", path, 224, 0, 180.0, 0.3, os.cpu_count() or 1)
    seconds["prepare"] = round(watch() / len(views), 5)
    some = files[:64]
    with common.stopwatch() as watch:
        for source in some["source"]:
            look(folder / "jpegs" / source)
    seconds["audit"] = round(watch() / len(some) / 2, 5)  # 01_audit has two threads
    with common.stopwatch() as watch:
        kmeans.segment_files(some, lambda source: decode(folder / "jpegs" / source), {}, folder / "masks", {})
    seconds["kmeans"] = round(watch() / len(some), 5)
    kept = Path(tempfile.mkdtemp(dir=folder)) / "images.npy"
    path.rename(kept)
    return {"path": kept, "seconds": seconds}


def _in_own_process(name: str, options: argparse.Namespace, array: Path) -> dict:
    command = [sys.executable, __file__, "--one", name, "--array", str(array), "--images", str(options.images)]
    command += ["--epochs", str(options.epochs), "--batch-size", str(options.batch_size)]
    command += ["--float32"] * options.float32 + ["--heads"] * options.heads
    print(f"{name} ...", flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _one(name: str, options: argparse.Namespace) -> dict:
    import keras
    import numpy as np

    from lib.data import preprocess
    from lib.engine import workers
    from lib.models import backend, networks, training
    from lib.models.features import Batches, predict

    on_gpu = bool(workers.visible_gpus())
    machine = backend.configure(0, deterministic=not on_gpu, mixed_precision=not options.float32)
    clock = time.perf_counter if on_gpu else time.process_time
    if options.heads:
        channels = networks.build_backbone(name, 64, "none").output_shape[-1]
        return {"head": _head(channels, options.batch_size, clock)}
    images = preprocess.open_images(options.array)[: options.images]
    labels = np.arange(len(images)) % 9
    rows = np.arange(len(images))
    weights = common.weights()
    if weights["weights"] == "imagenet" and not (Path(weights["weights_dir"]) / backbones()[name].weights).is_file():
        weights = {"weights": "none"}  # the speed is the same
    network = networks.build_backbone(name, images.shape[1], **weights)
    adds = devices.multiply_adds(network)
    extractor = networks.build_extractor(network, "native", frozen=False)
    head = networks.build_classifier(extractor.output_shape[-1], 9, 256, 0.15, 0.2, seed=0)
    full = fitted = networks.assemble(extractor, head)
    batches = Batches(images, rows, labels, options.batch_size, seed=0, full=True)
    if backend.fits_on_gpu(images.nbytes, True):
        fitted, batches = training.OnDevice(full, images), batches.numbers()
    fitted.compile(keras.optimizers.Adam(1e-5), "sparse_categorical_crossentropy", jit_compile=backend.compiles(True))
    fed = backend.feed(batches)
    trace_train, train_rate = _rate(lambda: fitted.fit(fed, epochs=1, verbose=0), len(images), options.epochs, clock)
    _, predict_rate = _rate(lambda: predict(full, images, rows, options.batch_size), len(images), options.epochs, clock)
    peak = devices.peak_of(machine["device"])
    return machine | {
        "train": round(1 / train_rate, 5),
        "predict": round(1 / predict_rate, 5),
        "trace": round(trace_train, 1),
        "head": _head(extractor.output_shape[-1], options.batch_size, clock),
        "memory_bytes": _memory(machine["device"]),
        # forward, and twice as much backward; a multiply-add is two operations
        "share_of_peak": round(6 * adds * train_rate / peak, 4) if peak else None,
    }


def _head(channels: int, batch_size: int, clock) -> float:
    """Seconds per view of the head of Fig. 2, trained on cached features as 04_train does, its validation included."""
    import numpy as np
    import pandas as pd

    from lib.config.paper import CLASSES
    from lib.models import networks, training

    steps, epochs = 64, 6
    rows = np.arange((steps + steps // 8) * batch_size)
    features = np.random.default_rng(0).random((len(rows), channels), dtype=np.float32)
    parts = np.where(rows < steps * batch_size, "train", "val")
    chosen = pd.DataFrame({"row": rows, "label": np.array(CLASSES)[rows % 9], "part": parts, "fold": 0})
    schedule = training.Schedule(
        "transfer", epochs, 1e-3, batch_size, epochs, jit_compile=True, steps_per_execution=training.HEAD_STEPS
    )
    trainer = training.Trainer(networks.build_classifier(channels, 9, 256, 0.15, 0.2, seed=0), features, schedule)
    trainer.fit(chosen, list(CLASSES))  # the first traces
    trainer.reset()
    started = clock()
    trainer.fit(chosen, list(CLASSES))
    return round((clock() - started) / epochs / steps / batch_size, 6)


def _rate(epoch, images: int, epochs: int, clock) -> tuple[float, float]:
    """Seconds that the first epoch takes longer than the others, and images a second of these."""
    took = []
    for _ in range(1 + epochs):
        started = clock()
        epoch()
        took.append(clock() - started)
    rest = sum(took[1:]) / epochs
    return max(0.0, took[0] - rest), images / rest


def _memory(device: str) -> int:
    """Peak memory in bytes: of the GPU where there is one, else of the process."""
    import keras

    if device == "CPU":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    import jax

    return int(jax.devices()[0].memory_stats()["peak_bytes_in_use"])


def _start_of_a_kernel() -> float:
    """Seconds that a notebook takes before its own work: a kernel that imports Keras and the backend."""
    code = "import keras, numpy, pandas, matplotlib.pyplot; keras.ops.zeros(1)"
    with common.stopwatch() as watch:
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)
    return round(watch() + 1.0, 1)  # and the kernel itself


def _paper_hours(name: str, rates: dict) -> float:
    """Hours of the backbone's runs of the paper study: features, training and Grad-CAM."""
    from lib.config.params import load_study
    from lib.engine.estimate import Forecast
    from lib.engine.planning import Inputs, plan

    study = load_study("paper").model_copy(update={"backbones": [name]})
    runs = plan(study, "paper", Inputs(data=Path()))
    mine = [run for run in runs if run.step in ("features", "train", "gradcam")]
    return sum(Forecast(mine, study, 2357, rates, 1).of_steps().values()) / 3600


def _show(rates: dict, found: dict[str, dict]) -> None:
    print(f"\n{rates['machine']}\n{next(iter(found.values()))['precision']}, 224 px")
    columns = ("backbone", "train images/s", "predict images/s", "share of peak", "memory GiB", "paper study h")
    print(" | ".join(columns))
    for name, entry in found.items():
        share = "-" if entry["share_of_peak"] is None else f"{entry['share_of_peak']:.1%}"
        memory = entry["memory_bytes"] / 2**30
        rate = f"{1 / entry['train']:.1f} | {1 / entry['predict']:.1f}"
        print(f"{name} | {rate} | {share} | {memory:.2f} | {_paper_hours(name, rates):.1f}")


if __name__ == "__main__":
    main()
