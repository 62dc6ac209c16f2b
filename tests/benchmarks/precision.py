"""What mixed precision costs in accuracy: `python tests/benchmarks/precision.py RESULTS`, of a study that is prepared.

MobileNet's features of every view in float32 and in the 16-bit formats of GPUs, then the heads of each scenario named
on either, over the folds, with several seeds. The formats round on a CPU as on a GPU, so this says what they do to the
numbers; how fast they are, tests/benchmarks/gpu.py says. `features_apart` is the median over the views of
|difference| / |float32's features|. Prints and writes results/precision.csv (--reference: under results/reference).
"""

import argparse
import sys
from pathlib import Path

import common
import keras
import numpy as np
import pandas as pd

from lib.config.paper import scenarios
from lib.config.paths import StudyPaths
from lib.data import preprocess
from lib.data.folds import FOLDS, select
from lib.models import backend, networks, training
from lib.models.features import extract_features

POLICIES = ["float32", "mixed_bfloat16", "mixed_float16"]
SEEDS, EPOCHS, BATCH, UNITS = range(3), 20, 32, 256


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="a results folder in which 02_prepare_data ran")
    parser.add_argument("--protocol", default="by_lesion")
    parser.add_argument("--scenario", nargs="+", default=list(scenarios()), choices=list(scenarios()))
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(FOLDS)), help="default: all ten")
    parser.add_argument("--reference", action="store_true", help="write results/reference/precision.csv")
    options = parser.parse_args()
    paths = StudyPaths(options.results)
    images = preprocess.open_images(paths.images)
    views, table = pd.read_parquet(paths.views), pd.read_parquet(paths.protocol(options.protocol))
    backend.configure(0, deterministic=True, mixed_precision=False)
    rows, reference = [], None
    for policy in POLICIES:
        keras.config.set_dtype_policy(policy)
        backbone = networks.build_backbone("MobileNet", images.shape[1], **common.weights())
        features = extract_features(networks.build_extractor(backbone, "native", frozen=True), images, BATCH)
        reference = features if reference is None else reference
        apart = np.linalg.norm(features - reference, axis=1) / np.linalg.norm(reference, axis=1)
        for name in options.scenario:
            scenario = scenarios()[name]
            chosen = select(views, table, scenario)
            scores = [accuracy(features, chosen, scenario.names, options.folds, seed) for seed in SEEDS]
            rows.append(
                {
                    "scenario": name,
                    "protocol": options.protocol,
                    "precision": policy,
                    "n_test": int(chosen["tenth"].isin(options.folds).sum()),
                    "features_apart": round(float(np.median(apart)), 6),
                    "accuracy_mean": round(float(np.mean(scores)), 4),
                    "accuracy_sd": round(float(np.std(scores, ddof=1)), 4),
                    "seeds": len(scores),
                }
            )
            print(rows[-1], file=sys.stderr, flush=True)
    target = common.ROOT / "results" / ("reference" if options.reference else "") / "precision.csv"
    table = pd.DataFrame(rows).assign(machine=common.machine()).sort_values("scenario", kind="stable")
    table.to_csv(target, index=False)
    print(table.drop(columns="machine").to_string(index=False))


def accuracy(features: np.ndarray, chosen: pd.DataFrame, classes: list[str], folds: list[int], seed: int) -> float:
    """The share of test views of the folds that heads find the class of, trained in the precision that is set."""
    head = networks.build_classifier(features.shape[1], len(classes), UNITS, 0.15, 0.2, seed)
    steps = training.HEAD_STEPS
    schedule = training.Schedule("transfer", EPOCHS, 1e-3, BATCH, 8, seed=seed, steps_per_execution=steps)
    _, predictions, _ = training.train_folds(training.Trainer(head, features, schedule), chosen, classes, folds)
    return training.accuracy(predictions)


if __name__ == "__main__":
    main()
