"""Where a killed training resumes: the results of finished folds, and the epochs of an unfinished one.

PHASE/fold<k>/        while it is trained: epoch<n>.keras of the last and of the best epoch, record.json
PHASE/fold<k>/ended/  afterwards: predictions.parquet, weights.npz, record.json
"""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

from lib.config.files import file_digest, read_json, write_json
from lib.models.networks import attached

RECORD = "record.json"
# the state of callbacks beside the optimizer's rate and the weights
STATES = {"stopping": ("wait", "best", "best_epoch", "stopped_epoch"), "slower": ("wait", "best", "cooldown_counter")}


@dataclass(frozen=True)
class FoldCheckpoint:
    """What is kept of one fold in one phase. The caller makes sure that all inputs but the machine are unchanged."""

    folder: Path | None = None  # None keeps nothing
    # what lib.models.backend.configure returned; what was kept on another one is ignored
    machine: dict[str, str] = field(default_factory=dict)

    def load_result(self, network: keras.Model) -> tuple[pd.DataFrame, pd.DataFrame] | None:
        """History and predictions of a finished fold, after loading its weights into `network`; else None."""
        ended = self.folder and self.folder / "ended"
        if (record := self._record(ended)) is None:
            return None
        self._delete_epochs()
        with np.load(ended / "weights.npz", allow_pickle=False) as weights:
            network.set_weights([weights[name] for name in weights.files])
        return pd.DataFrame(record["history"]), pd.read_parquet(ended / "predictions.parquet")

    def write_result(self, network: keras.Model, history: pd.DataFrame, predictions: pd.DataFrame) -> None:
        """Keep the result of a finished fold, and delete its epochs."""
        if not self.folder:
            return
        ended = self.folder / "ended"
        shutil.rmtree(ended, ignore_errors=True)
        ended.mkdir(parents=True)
        predictions.to_parquet(ended / "predictions.parquet")
        np.savez(ended / "weights.npz", *network.get_weights())
        self._write_record(ended, {"history": history.to_dict("list")})
        self._delete_epochs()

    def read_epoch(self) -> dict[str, Any] | None:
        """The record of the fold's last complete epoch; None without one."""
        return self._record(self.folder)

    def write_epoch(self, network: keras.Model, number: int, best: int, record: dict[str, Any]) -> None:
        """Keep an epoch and the best one so far, both counted from 1, and delete the others."""
        self.folder.mkdir(parents=True, exist_ok=True)
        network.save(self.epoch(number))
        kept = {self.epoch(number), self.epoch(best)}
        self._write_record(self.folder, record | {"epoch": number, "best": best}, kept)
        for path in set(self.folder.glob("*.keras")) - kept:
            path.unlink()

    def epoch(self, number: int) -> Path:
        return self.folder / f"epoch{number}.keras"

    def _delete_epochs(self) -> None:
        for path in (self.folder / RECORD, *self.folder.glob("*.keras")):
            path.unlink(missing_ok=True)

    def _record(self, folder: Path | None) -> dict[str, Any] | None:
        record = folder and read_json(folder / RECORD)
        if not record or record["machine"] != self.machine:
            return None
        complete = all((folder / n).is_file() and file_digest(folder / n) == d for n, d in record["digests"].items())
        return record if complete else None

    def _write_record(self, folder: Path, record: dict[str, Any], files: set[Path] | None = None) -> None:
        """The record is written last: without it the files that it names are ignored."""
        files = files or {path for path in folder.iterdir() if path.name != RECORD}
        digests = {path.name: file_digest(path) for path in sorted(files)}
        write_json(folder / RECORD, record | {"machine": self.machine, "digests": digests})


class EpochCheckpoint(keras.callbacks.Callback):
    """Collects the scores of a fold's epochs, keeps each epoch, and restores the last one of a killed training.

    It comes after the callbacks whose states it keeps.

    Args:
        checkpoint: of the fold.
        network: its weights are kept, with the optimizer's state.
        optimizer: of the trained model, which may be another one around `network`.
        callbacks: `stopping`, an EarlyStopping, and `slower`, a ReduceLROnPlateau.
    """

    def __init__(self, checkpoint: FoldCheckpoint, network: keras.Model, optimizer, callbacks: dict[str, Any]):
        super().__init__()
        self.checkpoint, self.network, self.optimizer, self.callbacks = checkpoint, network, optimizer, callbacks
        weights = {id(weight) for weight in network.weights}
        self.random = [variable for variable in network.variables if id(variable) not in weights]  # of dropout
        self.scores: list[dict[str, float]] = []
        self.states: dict[str, dict[str, Any]] = {}
        self.best_weights: list[np.ndarray] | None = None

    def restore(self) -> tuple[int, bool]:
        """Restore weights, optimizer and random numbers of a killed training.

        Returns:
            How many epochs are done, and whether training stopped early after them.
        """
        record = self.checkpoint.read_epoch()
        if record is None:
            return 0, False
        with attached(self.network, self.optimizer):
            self.network.load_weights(self.checkpoint.epoch(record["best"]))
            self.best_weights = self.network.get_weights()
            self.network.load_weights(self.checkpoint.epoch(record["epoch"]))
        for variable, value in zip(self.random, record["random"], strict=True):
            variable.assign(np.asarray(value, variable.dtype))
        self.scores, self.states = record["scores"], record["states"]
        return record["epoch"], record["stopped"]

    def on_train_begin(self, logs=None):
        for name, state in self.states.items():
            vars(self.callbacks[name]).update(state)
        if self.best_weights is not None:
            self.callbacks["stopping"].best_weights = self.best_weights

    def on_epoch_end(self, epoch, logs=None):
        model = self.model  # under JAX this brings the weights up to date
        self.scores.append({name: float(value) for name, value in logs.items()})
        if not self.checkpoint.folder:
            return
        states = {name: {key: getattr(self.callbacks[name], key) for key in keys} for name, keys in STATES.items()}
        record = {
            "scores": self.scores,
            "states": states,
            "random": [keras.ops.convert_to_numpy(variable.value).tolist() for variable in self.random],
            "stopped": model.stop_training,
        }
        with attached(self.network, self.optimizer):
            self.checkpoint.write_epoch(self.network, epoch + 1, states["stopping"]["best_epoch"] + 1, record)
