"""A killed training resumes after its last epoch and gives the numbers of an uninterrupted one."""

import os
import random

import keras
import numpy as np
import pandas as pd
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from lib.models import backend, checkpoints, networks, training

CLASSES, FOLDS = ["a", "b", "c"], [0, 4, 7]
MACHINE = {"backend": "one", "device": "CPU"}


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@pytest.fixture(scope="module", autouse=True)
def seeded():
    backend.configure(0, deterministic=False, mixed_precision=False)


@pytest.fixture(scope="module")
def images():
    """60 images of noise: nothing to learn, so the validation loss soon rises."""
    return np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def rows():
    rows = pd.DataFrame({"row": np.arange(60), "label": np.array(CLASSES)[np.arange(60) % 3]})
    return rows.assign(tenth=np.arange(60) // 6, source="s", image_id="i", group=np.arange(60), view=0)


def network():
    """A whole network as 04_train fine-tunes it, with all that has a state: normalisation and dropout everywhere."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization()(keras.layers.Conv2D(4, 3, activation="relu")(inputs))
    backbone = keras.Model(inputs, keras.layers.Dropout(0.1)(x), name="MobileNet")
    extractor = networks.build_extractor(backbone, "minmax", frozen=False, batch_norm="train")
    return networks.assemble(extractor, networks.build_classifier(4, 3, 8, 0.15, 0.2, seed=2))


def train(trainer, rows, folder=None, machine=MACHINE):
    """What 04_train does with a trainer, in the state that a killed training has left."""
    heads = {fold: networks.build_classifier(4, 3, 8, 0.15, 0.2, seed=fold).get_weights() for fold in FOLDS}
    return training.train_folds(trainer, rows, CLASSES, FOLDS, heads, folder, machine)


def trainer_of(images, epochs, rate=1e-3, patience=9, optimizer="adam"):
    schedule = training.Schedule("finetune", epochs, rate, 16, patience, optimizer, seed=3)
    return training.Trainer(network(), images, schedule)


def written(trained, trained_network, folder):
    """The bytes of what 04_train writes of a phase."""
    history, predictions, heads = trained
    folder.mkdir()
    history.to_csv(folder / "history.csv", index=False)
    predictions.to_parquet(folder / "predictions.parquet")
    networks.save_weights(trained_network, folder / "finetune.weights.h5")
    arrays = [array.tobytes() for fold in FOLDS for array in heads[fold]]
    return [path.read_bytes() for path in sorted(folder.iterdir())] + arrays


def kill_at_random(monkeypatch, chance):
    """Let a training be killed at an epoch's end, with its checkpoint not yet, half or wholly written, and after the
    first fold; returns the list of where that happened."""
    killed, write, end = [], checkpoints.write_json, checkpoints.EpochCheckpoint.on_epoch_end

    def perhaps(where):
        if chance.random() < 0.15 or where == "after a fold" not in killed:
            killed.append(where)
            raise Killed

    def ending(self, epoch, logs=None):
        perhaps("before")
        end(self, epoch, logs)

    def writing(path, content):
        perhaps("half")
        write(path, content)
        perhaps("after a fold" if path.parent.name == "ended" else "after")

    monkeypatch.setattr(checkpoints.EpochCheckpoint, "on_epoch_end", ending)
    monkeypatch.setattr(checkpoints, "write_json", writing)
    return killed


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "on_device"), [("adam", False), ("sgd", True)])
def test_killed_at_random_a_training_writes_what_an_undisturbed_one_writes(
    images, rows, optimizer, on_device, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(training, "fits_on_gpu", lambda *_: on_device)
    trainer = trainer_of(images, 7, 1e-2, 3, optimizer)
    undisturbed = train(trainer, rows)
    expected = written(undisturbed, trainer.network, tmp_path / "undisturbed")
    epochs = undisturbed.history.groupby("fold")
    assert (epochs["learning_rate"].min() < 9e-3).any() and epochs.size().min() < 7  # the rate fell, and it stopped
    killed = kill_at_random(monkeypatch, random.Random(5))
    while True:
        try:
            trained = train(trainer, rows, tmp_path / "kept")
            break
        except Killed:
            assert len(killed) < 100
    assert set(killed) == {"before", "half", "after", "after a fold"}
    assert written(trained, trainer.network, tmp_path / "disturbed") == expected
    printed = capsys.readouterr().out
    assert "finetune, fold 0 restored" in printed and "of 7 restored" in printed
    assert not list((tmp_path / "kept").rglob("*.keras"))


def test_checkpoints_that_are_damaged_or_of_another_machine_are_ignored(images, rows, tmp_path, monkeypatch, capsys):
    trainer = trainer_of(images, 3)
    monkeypatch.setattr(checkpoints.FoldCheckpoint, "write_result", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        train(trainer, rows, tmp_path)
    monkeypatch.undo()
    fold = checkpoints.FoldCheckpoint(tmp_path / "finetune" / "fold0", MACHINE)
    assert fold.read_epoch()["epoch"] == 3
    assert checkpoints.FoldCheckpoint(fold.folder, MACHINE | {"device": "GPU"}).read_epoch() is None
    content = bytearray(fold.epoch(3).read_bytes())
    content[len(content) // 2] ^= 1
    fold.epoch(3).write_bytes(content)
    assert fold.read_epoch() is None
    capsys.readouterr()
    train(trainer, rows, tmp_path)
    assert capsys.readouterr().out.startswith("finetune, fold 0, epoch 1 of 3\n")


@pytest.mark.parametrize("preprocessing", ["native", "minmax", "raw"])
@pytest.mark.parametrize("name", ["MobileNet", "ResNet50"])
def test_a_kept_epoch_opens_in_safe_mode_and_predicts_the_same(images, name, preprocessing, tmp_path):
    inputs = keras.Input((8, 8, 3))
    backbone = keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs), name=name)
    extractor = networks.build_extractor(backbone, preprocessing, frozen=False)
    whole = networks.assemble(extractor, networks.build_classifier(4, 3, 8, 0.15, 0.2, seed=2))
    trainer = training.Trainer(whole, images, training.Schedule("finetune", 1, 1e-3, 16, 9))
    fold = checkpoints.FoldCheckpoint(tmp_path)
    fold.write_epoch(trainer.network, 1, 1, {})
    opened = keras.saving.load_model(fold.epoch(1), safe_mode=True)
    assert np.array_equal(opened.predict(images, verbose=0), whole.predict(images, verbose=0))
