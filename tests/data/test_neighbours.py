"""Which views lie near an image: on a synthetic data set, with features in which files and groups are planted."""

import numpy as np
import pandas as pd
import pytest

from lib.config.paper import CLASSES
from lib.data.index import build_index
from lib.data.neighbours import SAME_FILE, SAME_GROUP, nearest_neighbour_accuracy, nearest_views
from lib.data.pool import pool_views


@pytest.fixture(scope="module")
def views(demo_data):
    index, _ = build_index(demo_data, [demo_data / "metadata.csv"], 8, 9.0)
    return pool_views(index, dict.fromkeys(CLASSES, 30), 60, seed=0)


@pytest.fixture(scope="module")
def features(views):
    """A direction a group, a little of one a file, and less of one a view; none knows its class."""
    random = np.random.default_rng(0)
    planted = np.zeros((len(views), 64))
    for column, weight in (("group", 1.0), ("source", 0.3), (None, 0.1)):
        places = pd.factorize(views[column])[0] if column else np.arange(len(views))
        planted += weight * random.normal(size=(places.max() + 1, 64))[places]
    return planted.astype(np.float32)


@pytest.mark.parametrize("unrelated", [False, True])
def test_neighbours_are_those_of_all_cosines_without_the_view_itself_or_its_group(features, views, unrelated):
    rows, group = np.arange(0, len(views), 7), views["group"].to_numpy()
    unit = features.astype(float) / np.linalg.norm(features.astype(float), axis=1)[:, None]
    cosine = unit[rows] @ unit.T
    left_out = group[rows][:, None] == group if unrelated else rows[:, None] == np.arange(len(views))
    cosine[left_out] = -np.inf
    near = nearest_views(features, views, rows, count=4, unrelated=unrelated)
    np.testing.assert_array_equal(near["row"].to_numpy().reshape(-1, 4), np.argsort(-cosine, axis=1)[:, :4])
    np.testing.assert_allclose(near["similarity"], -np.sort(-cosine, axis=1)[:, :4].ravel(), atol=1e-12)
    assert (near["of"] == rows.repeat(4)).all()


def test_views_of_the_file_come_first_then_those_of_its_lesion_or_copies_and_each_says_so(features, views):
    files = views.groupby("group")["source"].nunique()
    group = files.index[files > 1][0]  # planted in the demo: a copy, or a second image of a lesion
    members = views.index[views["group"] == group]
    row = members[0]
    own = (views["source"] == views["source"][row]).sum() - 1
    near = nearest_views(features, views, np.array([row]), count=len(members) + 3)
    expected = [SAME_FILE] * own + [SAME_GROUP] * (len(members) - 1 - own) + [""] * 4
    assert own > 0 and near["relation"].tolist() == expected
    shares = nearest_neighbour_accuracy(features, views)
    assert shares["nearest of all views"] > 0.9 and shares["nearest of another lesion"] < 0.4  # right by the leak alone
