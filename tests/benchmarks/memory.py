"""Peak memory at 2,000, 8,000 and 25,000 images: `python tests/benchmarks/memory.py [IMAGES ...]`.

Makes that many JPEGs of 224 px, then audits and prepares them in one process and trains on them in another, as the
notebooks do at 224 px; the network is small, so that what is measured is what the images cost. Prints and writes
results/memory.csv (--reference: results/reference/memory.csv). Needs 8 GB of disk for 25,000 images.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import common
import numpy as np
import pandas as pd

SIZE, BATCH = 224, 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=int, default=[2000, 8000, 25000])
    parser.add_argument("--reference", action="store_true", help="write results/reference/memory.csv")
    parser.add_argument("--step", choices=("prepare", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", default="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        (prepare if options.step == "prepare" else learn)(Path(options.folder))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return
    rows = []
    for count in options.images:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            draw(folder / "data", count)
            row = {"images": count}
            for step in ("prepare", "train"):
                row[f"{step}_gib"] = round(_peak(step, folder), 3)
            row["array_gb"] = round((folder / "images.npy").stat().st_size / 1e9, 2)
        rows.append(row)
        print(row, flush=True)
    target = common.ROOT / "results" / ("reference" if options.reference else "") / "memory.csv"
    pd.DataFrame(rows).assign(machine=common.machine()).to_csv(target, index=False)


def draw(data: Path, count: int) -> None:
    """JPEGs of 224 px in class folders, every one another: views of a few drawn lesions, with noise."""
    import cv2

    from lib.config.paper import CLASSES
    from lib.data import demo, preprocess
    from lib.data.folder import check_folder, decode

    drawn = demo.ensure(data.parent / "drawn", 6, SIZE, 0)
    originals = [decode(path) for _, _, path in check_folder(drawn.folder).files]
    for name in CLASSES:
        (data / name).mkdir(parents=True)

    def write(number: int) -> None:
        random = np.random.default_rng(number)
        view = preprocess.augment(originals[number % len(originals)], str(number), 1, 0, 180.0, 0.3)
        coarse = random.integers(0, 60, (14, 14, 3), dtype=np.uint8)  # another perceptual hash for each
        noise = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
        name = CLASSES[number % len(CLASSES)]
        cv2.imwrite(str(data / name / f"ISIC_{number:07d}.jpg"), cv2.add(view, noise))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(count)))


def prepare(folder: Path) -> None:
    """What 01_audit and 02_prepare_data do, each image in the pool once."""
    from lib.audit.contents import dataset_audit
    from lib.config.paper import CLASSES
    from lib.config.params import PROTOCOLS
    from lib.data import preprocess
    from lib.data.folder import decode
    from lib.data.index import build_index
    from lib.data.pool import pool_views
    from lib.data.protocols import deal

    index, unreadable = build_index(folder / "data", None, 8, 9.0)
    counts = index["class"].value_counts()
    sizes = {name: int(counts[name]) for name in CLASSES}
    views = pool_views(index, sizes, 10, 0)
    dataset_audit(index, unreadable)
    preprocess.write_images(
        views, decode, folder / "data", folder / "images.npy", SIZE, 0, 180.0, 0.3, os.cpu_count() or 1
    )
    views.to_parquet(folder / "views.parquet")
    for protocol in PROTOCOLS:
        table, _ = deal(index, views, protocol, 0)
        table.to_parquet(folder / f"{protocol}.parquet")


def learn(folder: Path) -> None:
    """What 03_extract_features and 04_train do with the arrays, on a network of one convolution and two folds."""
    import keras

    from lib.config.paper import scenarios
    from lib.data import preprocess
    from lib.data.folds import select
    from lib.models import networks, training
    from lib.models.features import extract_features

    images = preprocess.open_images(folder / "images.npy")
    task = scenarios()["nine_classes"]
    chosen = select(pd.read_parquet(folder / "views.parquet"), pd.read_parquet(folder / "grouped.parquet"), task)
    inputs = keras.Input(images.shape[1:], dtype="uint8")
    maps = keras.layers.Conv2D(64, 32, strides=32)(keras.layers.Rescaling(1 / 255)(inputs))
    extractor = keras.Model(inputs, keras.layers.GlobalMaxPooling2D()(maps))
    features = extract_features(extractor, images, BATCH, folder / "features.npy")
    inner = keras.Input((64,))
    head = keras.Model(inner, keras.layers.Dense(9, "softmax")(inner), name="classifier")
    for network, array in ((head, features), (networks.assemble(extractor, head), images)):
        trainer = training.Trainer(network, array, training.Schedule("finetune", 1, 1e-3, BATCH, 5))
        training.train_folds(trainer, chosen, task.names, [0, 1])


def _peak(step: str, folder: Path) -> float:
    """GiB of the process that does a step."""
    command = [sys.executable, __file__, "--step", step, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.splitlines()[-1]) / 2**20


if __name__ == "__main__":
    main()
