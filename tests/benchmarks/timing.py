"""What the benchmarks share: rows of benchmarks.json, seconds taken by turns, pictures, and the machine in words."""

import importlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

WIDTH, HEIGHT = 600, 450  # px, the size of most ISIC images
NOISE = 3.0  # grey levels, standard deviation
AT_LEAST, AT_MOST = "at least", "at most"


def row(
    name: str, what: str, ours: float, baseline: float, target: float, bound: str, note: str, unit: str = "s"
) -> dict[str, Any]:
    """One row of benchmarks.json.

    Args:
        what: what is compared, in words.
        ours, baseline: measured in one run, in `unit`.
        target: the ratio must be AT_LEAST or AT_MOST this, by `bound`. It is baseline / ours for seconds that must fall
            by a factor, ours / baseline for what must not exceed a share, and for rates.
        note: further numbers of the same run.
    """
    ratio = baseline / ours if bound == AT_LEAST and not unit.endswith("/s") else ours / baseline
    met = bool(ratio >= target if bound == AT_LEAST else ratio <= target)
    numbers = {"ours": float(f"{ours:.4g}"), "baseline": float(f"{baseline:.4g}"), "unit": unit}
    numbers |= {"ratio": float(f"{ratio:.3g}"), "target": target, "bound": bound, "met": met}
    return {"name": name, "what": what} | numbers | {"note": note}


def seconds(call: Callable[[], Any], clock: Callable[[], float] = time.perf_counter) -> float:
    """What a call takes."""
    started = clock()
    call()
    return clock() - started


def processors() -> float:
    """A clock: seconds of all processors of the processes that this one started and that have ended."""
    return sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])


def by_turns(calls: dict[str, Callable[[], Any]], rounds: int, clock=time.perf_counter) -> dict[str, list[float]]:
    """Seconds of each call in each round; in turn, so that other work of the machine affects all of them."""
    rows = [{name: seconds(call, clock) for name, call in calls.items()} for _ in range(rounds)]
    return {name: [of_round[name] for of_round in rows] for name in calls}


def in_own_process(module: str, function: str, *arguments: Any) -> Any:
    """The result of a function of a benchmark, called in a new process; arguments and result are JSON."""
    command = [sys.executable, __file__, module, function, json.dumps(arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def machine() -> str:
    """Processor, cores, memory and GPUs in one line, with the versions that decide speed."""
    from importlib.metadata import version

    from lib.engine.provenance import hardware

    parts = hardware()
    gpus = ", ".join(parts["gpus"]) or "no GPU"
    versions = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "opencv-python-headless"))
    return (
        f"{parts['processor']}, {parts['cores']} cores, {parts['memory_bytes'] / 2**30:.0f} GiB, {gpus}; "
        f"Python {parts['python']}, {versions}"
    )


def results(reference: bool) -> Path:
    """The folder that a benchmark writes to."""
    return ROOT / "results" / ("reference" if reference else "")


def pictures(folder: Path, count: int) -> list[tuple[Path, str]]:
    """`count` JPEGs of 600 x 450 px with their class, equally many per class: of $SKINCAS_DATA, else of the demo.

    Smaller images are enlarged and get a little noise, without which they would be easier to decode than photographs.
    """
    import cv2
    import numpy as np

    from lib.config.paper import CLASSES
    from lib.data import demo
    from lib.data.folder import check_folder, decode, find_folder

    given = os.environ.get("SKINCAS_DATA", "")
    root = find_folder(given) if given else folder / "synthetic"
    if not given:
        demo.ensure(root, 12, 256, 0)
    by_class = {name: [path for _, label, path in check_folder(root) if label == name] for name in CLASSES}
    random, files = np.random.default_rng(0), []
    for number in range(count):
        label = CLASSES[number % len(CLASSES)]
        picture = decode(by_class[label][number // len(CLASSES) % len(by_class[label])])
        if picture.shape[0] < HEIGHT or picture.shape[1] < WIDTH:
            enlarged = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.float32)
            noise = random.normal(0, NOISE, (HEIGHT, WIDTH, 1)).astype(np.float32)
            picture = np.clip(np.rint(enlarged + noise), 0, 255).astype(np.uint8)
        path = folder / f"{number:06d}.jpg"
        picture = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(path), np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, 90])
        files.append((path, label))
    return files


def source_of_pictures() -> str:
    return "the data set given, brought to 600 x 450 px" if os.environ.get("SKINCAS_DATA") else "the demo's images"


def weights() -> dict[str, str]:
    """ImageNet's weights where $SKINCAS_WEIGHTS is set, else random ones: arguments of build_backbone."""
    given = os.environ.get("SKINCAS_WEIGHTS", "")
    return {"weights": "imagenet", "weights_dir": given} if given else {"weights": "none"}


if __name__ == "__main__":
    print(json.dumps(getattr(importlib.import_module(sys.argv[1]), sys.argv[2])(*json.loads(sys.argv[3]))))
