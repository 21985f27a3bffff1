"""Files that are whole or not there, and the state from which a run goes on.

A file is written under a temporary name, synced, and renamed: a program killed at any moment
leaves the old file or the new one. A checkpoint holds everything that decides the rest of a
run: weights, the optimizer's and the random generators' state, History, the callbacks' counts.
"""

import json
import os
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

SECONDS_BETWEEN_SAVES = 2.0
# What EarlyStopping, ModelCheckpoint and ReduceLROnPlateau remember from epoch to epoch.
CALLBACK_COUNTS = ("best", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why and what to do."""


@contextmanager
def atomic_path(path: Path):
    """Gives a temporary path beside `path`, of the same suffix; moves it there at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".unfinished-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Removes what a killed program left under a temporary name."""
    for place in (folder, folder / "checkpoint"):
        for path in place.glob(".unfinished-*"):
            path.unlink(missing_ok=True)


class Checkpoint:
    """The file `folder/NAME.npz` of one run of `fit`; a folder of None saves nothing."""

    def __init__(self, folder, model, callbacks, settings: dict):
        self.path = None if folder is None else Path(folder) / f"{model.name}.npz"
        self.model, self.callbacks = model, list(callbacks)
        self.settings = json.loads(json.dumps(settings, default=str))
        self.callback_states: list[dict] = []
        self.saved_at = time.monotonic()

    def variables(self):
        """Weights, seeds of dropout and augmentation, and the optimizer's state."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def save_now_and_then(self, history) -> None:
        """Saves if the last time was a while ago: a short epoch must not wait for the disk."""
        if time.monotonic() - self.saved_at >= SECONDS_BETWEEN_SAVES:
            self.save(history)

    def save(self, history) -> None:
        """Writes the state after a whole epoch."""
        if self.path is None:
            return
        state = {
            "settings": self.settings,
            "history": history.history,
            "epoch": history.epoch,
            "seconds": history.seconds,
            "stop_training": bool(self.model.stop_training),
            "callbacks": [_state(callback) for callback in self.callbacks],
        }
        arrays = {f"variable {i}": np.asarray(v) for i, v in enumerate(self.variables())}
        for i, callback in enumerate(self.callbacks):  # EarlyStopping(restore_best_weights=True)
            for j, weight in enumerate(getattr(callback, "best_weights", None) or ()):
                arrays[f"callback {i} best weight {j}"] = np.asarray(weight)
        with atomic_path(self.path) as temporary:
            np.savez(temporary, state=np.array(json.dumps(state)), **arrays)
        self.saved_at = time.monotonic()

    def forget(self) -> int:
        """Removes what an earlier run has saved here; returns 0, the epochs that are done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        return 0

    def restore(self, history) -> int:
        """Puts the saved state back; returns how many epochs are done (0 if nothing is saved)."""
        if self.path is None or not self.path.exists():
            return 0
        try:
            with open(self.path, "rb") as opened, np.load(opened) as file:
                arrays = {name: file[name] for name in file.files}
            state = json.loads(str(arrays["state"]))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise CheckpointError(
                f"{self.path} is damaged ({error}): delete it and run again without --resume"
            ) from None
        for name, mine in self.settings.items():
            if mine != state["settings"].get(name):
                theirs = state["settings"].get(name)
                raise CheckpointError(
                    f"{self.path} belongs to a run with another {name}: {_difference(theirs, mine)}"
                    "; take the same settings, or another --output"
                )
        variables = self.variables()
        saved = [arrays.get(f"variable {i}") for i in range(len(variables))]
        shapes = [None if array is None else array.shape for array in saved]
        if shapes != [tuple(variable.shape) for variable in variables]:
            raise CheckpointError(f"{self.path} belongs to another model: take another --output")
        for variable, array in zip(variables, saved, strict=True):
            variable.assign(array)
        history.history, history.epoch = state["history"], state["epoch"]
        history.seconds = state["seconds"]
        self.model.stop_training = state["stop_training"]
        self.callback_states = state["callbacks"]
        for i, callback_state in enumerate(self.callback_states):
            prefix = f"callback {i} best weight "
            names = [name for name in arrays if name.startswith(prefix)]
            if names:
                weights = [arrays[f"{prefix}{j}"] for j in range(len(names))]
                callback_state["counts"]["best_weights"] = weights
        return len(history.epoch)

    def restore_callbacks(self) -> None:
        """Puts the callbacks' counts back, after their `on_train_begin` has cleared them."""
        states = list(self.callback_states)
        for callback in self.callbacks:  # a run may go on with a TensorBoard that it began without
            same = [state for state in states if state["class"] == type(callback).__name__]
            if same:
                vars(callback).update(same[0]["counts"])
                states.remove(same[0])


def _state(callback) -> dict:
    """The callback's class, and its counts: best value so far, patience used up and the like."""
    found = {name: getattr(callback, name, None) for name in CALLBACK_COUNTS}
    counts = {name: float(value) for name, value in found.items() if value is not None}
    return {"class": type(callback).__name__, "counts": counts}


def _difference(theirs, mine) -> str:
    """Where two settings differ, said shortly."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        names = [name for name in {**theirs, **mine} if theirs.get(name) != mine.get(name)]
        parts = [f"{name} {theirs.get(name)} there, {mine.get(name)} here" for name in names]
        return ", ".join(parts)
    return f"{theirs} there, {mine} here"
