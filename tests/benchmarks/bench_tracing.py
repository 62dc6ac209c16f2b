"""Tracing of graphs: what a study pays, against one fit for each cell and phase; seconds on the demo's matrix.

The study traces a frozen backbone once for each (preprocessing, backbone), to extract its features, and no more
however many protocols, scenarios, folds and seeds train their heads on these; a whole network only where it is
fine-tuned, once a cell, whatever its folds. Grad-CAM runs without a graph. The baseline traces the whole network in
each phase of each cell.
"""

import json
import os
import subprocess
import sys

import common

from lib.config.params import AXES, load_study


def measure() -> list[dict]:
    study = load_study("demo")
    cost = {name: _in_own_process(name, study.image_size, study.finetune_batch_size) for name in study.backbones}
    cells = study.cells(*AXES)
    features = study.cells("preprocessing", "backbone")
    ours = sum(cost[cell["backbone"]]["predict"] for cell in features)
    ours += sum(cost[cell["backbone"]]["head"] for cell in cells)
    fine = sum(cost[cell["backbone"]]["finetune"] for cell in cells) if study.finetune_epochs else 0.0
    baseline = sum(cost[cell["backbone"]]["frozen"] for cell in cells)
    notebooks = _seconds_of_the_demo()
    share = f"; {(ours + fine) / notebooks:.0%} of the notebooks' {notebooks:.0f} s in the demo" if notebooks else ""
    each = ", ".join(f"{name} {found['finetune']:.0f} s a fine-tuning" for name, found in cost.items())
    return [
        common.ratio(
            "tracing",
            f"tracing in the transfer phase of the demo's {len(cells)} cells: a fit a cell / features once, then heads",
            ours,
            baseline,
            "s",
            baseline / ours,
            1,
            "at least",
            f"{each}, which both pay in each of the {len(cells)} cells ({fine:.0f} s){share}",
        )
    ]


def _in_own_process(name: str, size: int, batch: int) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, __file__, name, str(size), str(batch)], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.splitlines()[-1])


def _seconds_of_the_demo() -> float:
    """Of all notebooks of the demo, where it was made here."""
    from lib.config.paths import RESULTS

    stamps = (RESULTS / "demo" / "stamps").glob("[!.]*.json")
    return sum(json.loads(stamp.read_text()).get("seconds", 0.0) for stamp in stamps)


def _traces(name: str, size: int, batch: int) -> dict[str, float]:
    """Seconds that the first call takes longer than the second: extraction, a head, and whole networks."""
    import keras
    import numpy as np

    from lib.models import networks

    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).predict(np.ones((1, 2)), verbose=0)  # first call ever
    images, labels = np.zeros((batch, size, size, 3), np.uint8), np.zeros(batch, int)
    backbone = networks.build_backbone(name, size, "none")
    extractor = networks.build_extractor(backbone, "native", frozen=True)

    def extra(call) -> float:
        took = []
        for _ in range(2):
            with common.stopwatch() as watch:
                call()
            took.append(watch())
        return max(0.0, took[0] - took[1])

    def fit(network, data):
        network.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
        return extra(lambda: network.fit(data, labels, validation_data=(data, labels), verbose=0))

    found = {"predict": extra(lambda: extractor.predict(images, verbose=0))}
    head = networks.build_classifier(extractor.output_shape[-1], 9, 64, 0.15, 0.2, seed=0)
    found["head"] = fit(head, np.zeros((batch, extractor.output_shape[-1]), np.float32))
    found["frozen"] = fit(networks.assemble(extractor, head), images)
    found["finetune"] = fit(networks.assemble(networks.build_extractor(backbone, "native", frozen=False), head), images)
    return found


if __name__ == "__main__":
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    print(json.dumps(_traces(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
