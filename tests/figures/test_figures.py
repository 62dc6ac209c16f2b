"""Figures show the numbers they are given, say what is missing, and come out small and the same each time."""

import io

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from sklearn.metrics import roc_auc_score

from lib.config.paper import backbones as models
from lib.figures.dataset import (
    draw_sample_images,
)
from lib.figures.predictions import draw_confusion_matrix, draw_reliability, draw_roc
from lib.figures.rungs import draw_ladder
from lib.figures.style import encode
from lib.figures.training import draw_training_curves

MODELS = [*models()]
KEY = ("nine_classes", "MobileNet", "transfer", "native")
LADDER = pd.DataFrame(
    [
        ("printed", 0.85, np.nan, np.nan, np.nan, np.nan, np.nan),
        ("by view", 0.95, 0.93, 0.97, 0.10, 0.07, 0.13),
        ("by lesion", 0.60, 0.55, 0.65, -0.35, -0.40, -0.30),
        ("originals", 0.61, 0.56, 0.66, 0.01, -0.02, 0.04),
        ("clean", 0.64, 0.59, 0.69, np.nan, np.nan, np.nan),
    ],
    columns=["rung", "accuracy", "low", "high", "step", "step_low", "step_high"],
).assign(**dict(zip(("scenario", "backbone", "phase", "preprocessing"), KEY)))
HISTORY = pd.DataFrame(
    {
        "fold": 0,
        "epoch": [1, 2, 3, 1, 2],
        "phase": ["transfer"] * 3 + ["finetune"] * 2,
        "loss": [2.0, 1.5, 1.2, 1.0, 0.8],
        "accuracy": [0.3, 0.5, 0.6, 0.7, 0.8],
        "val_loss": [2.1, 1.7, 1.4, 1.3, 1.2],
        "val_accuracy": [0.25, 0.45, 0.5, 0.55, 0.6],
    }
)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text) if text.get_text()]


def test_a_figure_gives_the_same_bytes_each_time_and_keeps_its_colours():
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    for draw in (lambda: draw_training_curves({"clean": HISTORY}), lambda: draw_sample_images([("a", noise)])):
        mime, content = encode(draw())
        assert mime == "image/webp" and encode(draw()) == (mime, content)
    figure, full = draw_training_curves({"clean": HISTORY}), io.BytesIO()
    figure.savefig(full, format="png", dpi=200, bbox_inches="tight", pad_inches=0.06)
    small = io.BytesIO(encode(figure)[1])
    np.testing.assert_array_equal(*(np.asarray(Image.open(file).convert("RGB")) for file in (small, full)))
    assert len(small.getvalue()) < 0.7 * len(full.getvalue())


def test_curves_show_each_epoch_of_both_phases_and_the_printed_value():
    (axis,) = draw_training_curves({"clean": HISTORY}, "accuracy", printed=0.9).axes
    lines = {line.get_label(): line for line in axis.lines}
    np.testing.assert_array_equal(lines["training"].get_xydata(), np.c_[np.arange(1, 6), HISTORY["accuracy"]])
    np.testing.assert_array_equal(lines["validation"].get_ydata(), HISTORY["val_accuracy"])
    assert set(lines["printed (validation)"].get_ydata()) == {0.9}
    named = draw_training_curves({"clean": HISTORY}, "accuracy", printed=0.9, printed_for="MobileNet").axes[0].lines
    assert "printed for MobileNet" in [line.get_label() for line in named]
    # the line between the phases lies after the third epoch
    assert any(np.allclose(line.get_xdata(), 3.5) for line in axis.lines)


def test_a_panel_without_a_run_says_so():
    figure = draw_training_curves({"by_view": HISTORY, "clean": None})
    assert len(figure.axes) == 2 and "no run" in texts(figure)
    assert "no run" in texts(draw_confusion_matrix({"clean": None}))
    titles = {KEY: "Nine classes", ("six_benign", *KEY[1:]): "Six benign classes"}
    assert texts(draw_ladder(LADDER, titles)).count("not measured") == 1


def test_a_confusion_matrix_has_true_classes_in_rows_and_every_count_written():
    counts = pd.DataFrame([[50, 3], [7, 40]], index=["benign", "malignant"], columns=["benign", "malignant"])
    figure = draw_confusion_matrix({"clean": counts})
    (axis,) = figure.axes
    places = {text.get_position(): int(text.get_text()) for text in axis.texts}
    assert places == {(0, 0): 50, (1, 0): 3, (0, 1): 7, (1, 1): 40}  # (column, row)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("predicted class", "true class")


def test_the_ladder_writes_every_step_and_colours_those_beyond_chance():
    (axis,) = draw_ladder(LADDER).axes
    steps = {text.get_text(): text.get_color() for text in axis.texts}
    assert list(steps) == ["85.0", "+10.0", "\N{MINUS SIGN}35.0", "+1.0", ""]  # the step over a rung is not known
    assert steps["+10.0"] != steps["\N{MINUS SIGN}35.0"] != steps["+1.0"] == steps["85.0"]
    ends = {tuple(np.round(line.get_xdata(), 6)) for line in axis.lines}
    assert {(93, 97), (55, 65), (56, 66), (59, 69)} <= ends


def test_roc_states_the_area_of_scikit_learn_and_reliability_the_share_that_is_right():
    generator = np.random.default_rng(1)
    truth = generator.integers(0, 2, 400)
    score = truth * 0.5 + generator.random(400)
    assert f"area {100 * roc_auc_score(truth, score):.1f} %" in texts(draw_roc(truth, score))
    table = pd.DataFrame({"confidence": [0.25, 0.75], "accuracy": [0.1, 0.8]})
    curve = draw_reliability(table).axes[0].lines[-1]
    np.testing.assert_allclose(curve.get_xydata(), [[0.25, 0.1], [0.75, 0.8]])


@pytest.mark.parametrize("name", ["$_x^y$", "a\nb\x07\u202e", "<script>", "x" * 500, ""])
def test_any_name_can_be_a_title(name):
    counts = pd.DataFrame([[1, 0], [0, 1]], index=[name, "b"], columns=[name, "b"])
    picture = np.zeros((8, 8, 3), np.uint8)
    for figure in (draw_sample_images([(name, picture)]), draw_confusion_matrix({name: counts})):
        assert encode(figure)[1]
