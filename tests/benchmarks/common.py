"""What the benchmarks share: how a ratio is written down, the pictures they work on, and the machine's description."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WIDTH, HEIGHT = 600, 450  # px, the size of most ISIC images
NOISE = 3.0  # grey levels, standard deviation


def ratio(
    name: str, what: str, ours: float, baseline: float, unit: str, ratio: float, target: float, bound: str, note: str
) -> dict[str, Any]:
    """One line of benchmarks.json.

    Args:
        what: what is compared, in words.
        ours, baseline: measured side by side in one run, in `unit`.
        ratio: of the two, whichever way `what` says.
        target: what the ratio must be, at least or at most by `bound`.
        note: further numbers of the same run.
    """
    met = ratio >= target if bound == "at least" else ratio <= target
    return {
        "name": name,
        "what": what,
        "ours": float(f"{ours:.4g}"),
        "baseline": float(f"{baseline:.4g}"),
        "unit": unit,
        "ratio": float(f"{ratio:.3g}"),
        "target": target,
        "bound": bound,
        "met": bool(met),
        "note": note,
    }


def machine() -> str:
    """Processor, cores, memory and GPUs in one line, with the versions that decide speed."""
    from importlib.metadata import version

    from lib.engine.provenance import hardware

    found = hardware()
    gpus = ", ".join(found["gpus"]) or "no GPU"
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "opencv-python-headless"))
    return (
        f"{found['processor']}, {found['cores']} cores, {found['memory_bytes'] / 2**30:.0f} GiB, {gpus}; "
        f"Python {found['python']}, {versions}"
    )


def pictures(folder: Path, count: int) -> list[tuple[Path, str]]:
    """`count` JPEGs of 600 x 450 px with their class, an equal number a class: of $SKINCAS_DATA, else drawn ones.

    Smaller images are enlarged and get a little noise, without which they would be easier to decode than photographs.
    """
    import cv2
    import numpy as np

    from lib.config.paper import CLASSES
    from lib.data import demo
    from lib.data.folder import check_folder, decode, find_folder

    given = os.environ.get("SKINCAS_DATA", "")
    root = find_folder(given) if given else demo.ensure(folder / "drawn", 12, 256, 0).folder
    by_class = {name: [path for _, label, path in check_folder(root).files if label == name] for name in CLASSES}
    random = np.random.default_rng(0)
    chosen = []
    for number in range(count):
        label = CLASSES[number % len(CLASSES)]
        turn, files = number // len(CLASSES), by_class[label]
        picture = decode(files[turn % len(files)])
        if picture.shape[0] < HEIGHT or picture.shape[1] < WIDTH:
            enlarged = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)
            noise = random.normal(0, NOISE, (HEIGHT, WIDTH, 1)).astype(np.float32)
            picture = np.clip(np.rint(enlarged + noise), 0, 255).astype(np.uint8)
        path = folder / f"{number:06d}.jpg"
        picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])
        chosen.append((path, label))
    return chosen


def source_of_pictures() -> str:
    return "the data set given, brought to 600 x 450 px" if os.environ.get("SKINCAS_DATA") else "the demo's drawing"


def weights() -> dict[str, str]:
    """ImageNet's weights where $SKINCAS_WEIGHTS is set, else random ones: arguments of build_backbone."""
    given = os.environ.get("SKINCAS_WEIGHTS", "")
    return {"weights": "imagenet", "weights_dir": given} if given else {"weights": "none"}


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Gives a function that returns the seconds since the block began, and after it those that it took."""
    started, took = time.perf_counter(), []
    yield lambda: took[0] if took else time.perf_counter() - started
    took.append(time.perf_counter() - started)
