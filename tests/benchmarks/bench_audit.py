"""How the audit of a data set grows: from 1,000 to 50,000 images, and the memory that 25,000 take."""

import resource
import subprocess
import sys
from statistics import median

import common
import numpy as np
import pandas as pd

from lib.audit.contents import dataset_audit
from lib.config.paper import CLASSES
from lib.config.params import Study
from lib.data import duplicates
from lib.data.pool import pool_views
from lib.data.protocols import deal

SMALL, LARGE, MEMORY_AT = 1_000, 50_000, 25_000


def measure() -> list[dict]:
    audit_of(SMALL)  # imports and first calls
    small = median(_seconds(SMALL) for _ in range(5))
    large = median(_seconds(LARGE) for _ in range(3))
    expected = small * (LARGE * np.log(LARGE)) / (SMALL * np.log(SMALL))
    command = [sys.executable, __file__, str(MEMORY_AT)]
    gib = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) / 2**20
    return [
        common.ratio(
            "audit_scaling",
            f"audit of {LARGE:,} images (near-duplicates, groups, clean protocol, counts) / n log n from {SMALL:,}",
            large,
            expected,
            "s",
            large / expected,
            1,
            "at most",
            f"synthetic digests; {SMALL:,} images took {small:.2f} s",
        ),
        common.ratio(
            "audit_scaling",
            f"peak memory of the audit of {MEMORY_AT:,} images / 2 GiB",
            gib,
            2,
            "GiB",
            gib / 2,
            1,
            "at most",
            "the whole process, libraries included; synthetic digests and thumbnails",
        ),
    ]


def audit_of(count: int) -> dict:
    """What 01_audit does after the files are decoded, and the pool and the clean protocol of 02_prepare_data, on a
    made-up index with one image in twenty near another."""
    index, thumbnails = _index(count)
    index = duplicates.add_groups(index, thumbnails, 8, 9.0)
    study = Study()
    deal(index, pool_views(index, study.pool_sizes, study.pool_size_benign_malignant, 0), "clean", 0)
    return dataset_audit(index, pd.DataFrame())


def _index(count: int) -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.default_rng(count)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    thumbnails = random.integers(0, 256, (count, 64, 64), dtype=np.uint8)
    near = np.arange(0, count - 1, 20)
    hashes[near + 1] = hashes[near] ^ np.uint64(0b10010)
    thumbnails[near + 1] = thumbnails[near]
    number = np.arange(count)
    index = pd.DataFrame(
        {
            "source": [f"Train/{n:06d}.jpg" for n in number],
            "image_id": [f"ISIC_{n:07d}" for n in number],
            "class": random.choice(CLASSES, count),
            "part": np.where(number % 20 == 7, "Test", "Train"),
            "content": [f"{n - (n % 50 == 49):064x}" for n in number],  # one in fifty is a copy of the one before
            "phash": [f"{value:016x}" for value in hashes],
            "diagnosis": random.choice(["", "MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC"], count),
            "lesion_id": np.where(number % 3 == 0, "", [f"L{n // 2}" for n in number]),
        }
    )
    return index, thumbnails


def _seconds(count: int) -> float:
    with common.stopwatch() as watch:
        audit_of(count)
    return watch()


if __name__ == "__main__":
    audit_of(int(sys.argv[1]))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
