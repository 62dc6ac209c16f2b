"""What 95 % intervals cover, by simulation: new data sets with the structure of the real one, trained and tested anew.

Three malignant classes with a quarter of the real files, in groups of one to four; views of a file are alike, as are
files of a group. Covered is the mean over all simulated data sets: the expected accuracy of the procedure.
"""

from collections import defaultdict
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom

from lib.config.paper import scenarios
from lib.data.folds import FOLDS, select
from lib.data.pool import pool_views
from lib.data.protocols import deal
from lib.scores.estimates import difference, estimate

# groups of one, two, three and four files
GROUPS = {"basal cell carcinoma": (41, 22, 4, 0), "melanoma": (111, 1, 0, 0), "squamous cell carcinoma": (25, 8, 2, 1)}
VIEWS = 130  # of a class
SETS = 160  # simulated data sets
PROTOCOLS = ("by_view", "by_file", "by_lesion")
STEPS = {  # what two scores differ in
    "split": (("by_file", "views"), ("by_view", "views")),
    "group": (("by_lesion", "views"), ("by_file", "views")),
    "originals": (("by_lesion", "originals"), ("by_lesion", "views")),
}


def dealt():
    """protocol -> the views of three_malignant with their tenths, dealt by the study's own code."""
    sizes = {name: np.repeat([1, 2, 3, 4], counts) for name, counts in GROUPS.items()}
    files = [(name, f"{name}{g}") for name, own in sizes.items() for g, size in enumerate(own) for _ in range(size)]
    index = pd.DataFrame(files, columns=["class", "group"])
    index["source"] = index["image_id"] = [f"{place:04}" for place in range(len(index))]
    views = pool_views(index, dict.fromkeys(GROUPS, VIEWS), len(index), 0)
    views["in_two_classes"] = False
    scenario = scenarios()["three_malignant"]
    rows = {protocol: select(views, deal(index, views, protocol, 0)[0], scenario) for protocol in PROTOCOLS}
    return {p: own.assign(code=pd.factorize(own["label"])[0], fold=own["tenth"], seed=0) for p, own in rows.items()}


def discriminant(train, labels, test):
    """Fisher's linear discriminant: it hardly depends on single images."""
    means = np.stack([train[labels == k].mean(axis=0) for k in range(3)])
    weights = np.linalg.solve(np.cov((train - means[labels]).T), means.T)
    return (test @ weights - (means.T * weights).sum(axis=0) / 2).argmax(axis=1)


def nearest(train, labels, test):
    """The nearest neighbour: one image decides."""
    return labels[((test[:, None] - train) ** 2).sum(axis=2).argmin(axis=1)]


METHODS = {"discriminant": discriminant, "nearest": nearest}


def outcomes(rows, images, method):
    """The outcomes of ten folds, each trained on eight tenths."""
    label, tenth = rows["code"].to_numpy(), rows["fold"].to_numpy()
    correct = np.empty(len(rows))
    for fold in range(FOLDS):
        test, train = tenth == fold, (tenth != fold) & (tenth != (fold + 1) % FOLDS)
        correct[test] = method(images[train], label[train], images[test]) == label[test]
    return rows.assign(correct=correct)


def draw_images(rows, random):
    """Eight features of each view: of its class, group, file and view."""
    images = np.random.default_rng(1).normal(0, 0.6, (3, 8))[rows["code"]]
    for unit, spread in (("group", 0.9), ("source", 0.5), ("row", 0.35)):
        codes = pd.factorize(rows[unit])[0]
        images = images + random.normal(0, spread, (codes.max() + 1, 8))[codes]
    return images


@pytest.fixture(scope="module")
def simulated():
    """What was estimated -> its value, low and high in every data set."""
    random, protocols, found = np.random.default_rng(0), dealt(), defaultdict(list)
    for _ in range(SETS):
        images, scores = draw_images(protocols["by_view"], random), {}
        for protocol, rows in protocols.items():
            for name, method in METHODS.items():
                tested = outcomes(rows, images, method)
                parts = {"views": tested, "originals": tested[tested["view"] == 0]}
                scores |= {(protocol, part, name): estimate(own, resamples=300) for part, own in parts.items()}
        for name, (step, sides) in product(METHODS, STEPS.items()):
            found["step", step, name].append(difference(*(scores[*side, name] for side in sides)))
        for protocol in PROTOCOLS:
            found["step", "models", protocol].append(difference(*(scores[protocol, "views", name] for name in METHODS)))
        for key, score in scores.items():
            found[("mean", *key)].append(score)
    rows = {key: [(s.interval().value, s.interval().low, s.interval().high) for s in own] for key, own in found.items()}
    return {key: np.array(own).T for key, own in rows.items()}


def test_intervals_of_means_and_steps_cover_the_expected_accuracy_of_new_data_sets(simulated):
    least = binom.ppf(0.001, SETS, 0.95) / SETS
    covered = {key: ((low <= v.mean()) & (v.mean() <= high)).mean() for key, (v, low, high) in simulated.items()}
    assert min(covered.values()) >= least, covered


def test_resampled_groups_alone_would_be_too_narrow_for_a_method_that_depends_on_single_images(simulated):
    value, low, high = simulated["mean", "by_file", "views", "nearest"]
    narrow = (high - low) / 2 / np.sqrt(1 + FOLDS / (FOLDS - 2))
    assert (abs(value - value.mean()) <= narrow).mean() < 0.9


def test_intervals_are_at_most_twice_as_wide_as_they_have_to_be(simulated):
    needed = {key: 2 * 1.96 * value.std() for key, (value, _, _) in simulated.items()}
    widths = {key: (high - low).mean() / needed[key] for key, (_, low, high) in simulated.items()}
    assert max(widths.values()) < 2 and min(widths.values()) < 1.25, widths
