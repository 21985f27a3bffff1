"""The state from which a run goes on, saved in a file that is whole or not there.

A checkpoint holds everything that decides the rest of a run: weights, the optimizer's and the
random generators' state, the place in the data, the metrics' running values, History, the
callbacks' counts.
"""

import json
import re
import sys
import textwrap
import time
import zipfile
from pathlib import Path
from typing import NamedTuple

from kerasbook.archives import SMALL, check_archive
from kerasbook.files import atomic_path
from kerasbook.interruption import termination

import keras
import numpy as np

SECONDS_BETWEEN_SAVES = 2.0  # at most so much of the work is lost;
SHARE_OF_TIME = 0.02  # more, where the disk is so slow that saving would take a larger share
KEPT = 2  # so many checkpoints of a run: the newest, and one to fall back on
# What EarlyStopping, ModelCheckpoint and ReduceLROnPlateau remember from epoch to epoch.
CALLBACK_COUNTS = ("best", "wait", "best_epoch", "stopped_epoch", "cooldown_counter")


class CheckpointError(Exception):
    """A checkpoint that cannot be used; the message says why and what to do."""


class Position(NamedTuple):
    """A place within an epoch: after `step` steps, with the scores so far.

    arrays: the metrics' values, under "metric"; in one that was read, all arrays of the file.
    """

    step: int
    logs: dict
    arrays: dict
    path: Path | None = None


class Checkpoint:
    """The files `folder/NAME.NUMBER.npz` of one run of `fit`; a folder of None saves nothing."""

    def __init__(self, folder, model, callbacks, settings: dict):
        self.folder = None if folder is None else Path(folder)
        self.model, self.callbacks = model, list(callbacks)
        self.settings = json.loads(json.dumps(settings, default=str))
        self.callback_states: list[dict] = []
        self.position: Position | None = None  # where in the next epoch the run goes on
        self.damaged: list[Path] = []
        self.saved_at, self.save_took = time.monotonic(), 0.0

    def files(self) -> list[Path]:
        """Returns what is saved, the oldest first: the number in the name tells, not the clock."""
        if self.folder is None or not self.folder.is_dir():
            return []
        pattern = re.compile(re.escape(self.model.name) + r"\.(\d+)\.npz")
        found = [(pattern.fullmatch(path.name), path) for path in self.folder.iterdir()]
        return [path for _, path in sorted((int(match[1]), path) for match, path in found if match)]

    def variables(self):
        """Returns weights, seeds of dropout and augmentation, and the optimizer's state."""
        return [*self.model.variables, *self.model.optimizer.variables]

    def is_due(self) -> bool:
        """Returns whether to save now: after a signal, or if the last save was a while ago."""
        if termination.number:
            return True
        pause = max(SECONDS_BETWEEN_SAVES, self.save_took / SHARE_OF_TIME)
        return self.folder is not None and time.monotonic() - self.saved_at >= pause

    def save_within_epoch(self, history, step: int, logs: dict, metrics) -> None:
        """Saves after `step` steps of an epoch, if it is time; stops after a signal.

        `metrics` are the variables of the metrics, whose values so far are `logs`.
        """
        stop = bool(termination.number)  # a signal that comes during the save is for the next look
        if self.is_due():
            values = [np.asarray(variable) for variable in metrics]
            self.save(history, Position(step, logs, {"metric": values}))
        if stop:
            raise KeyboardInterrupt

    def save_after_epoch(self, history, last: bool) -> None:
        """Saves after an epoch, if it is time; certainly after the last."""
        stop = bool(termination.number)
        if self.is_due() or last:
            self.save(history)
        if stop:
            raise KeyboardInterrupt

    def stop_if_asked(self) -> None:
        """Stops `model.fit`, which cannot go on within an epoch, after a signal."""
        if termination.number:
            raise KeyboardInterrupt

    def save(self, history, position: Position | None = None) -> None:
        """Writes the state after whole epochs, or at a position within the next one."""
        if self.folder is None:
            return
        started = time.monotonic()
        arrays = {f"variable {i}": np.asarray(v) for i, v in enumerate(self.variables())}
        for i, callback in enumerate(self.callbacks):  # EarlyStopping(restore_best_weights=True)
            for j, weight in enumerate(getattr(callback, "best_weights", None) or ()):
                arrays[f"callback {i} best weight {j}"] = np.asarray(weight)
        if position:
            arrays |= {f"metric {i}": value for i, value in enumerate(position.arrays["metric"])}
        state = {
            "settings": self.settings,
            "history": history.history,
            "epoch": history.epoch,
            "seconds": history.seconds,
            "within": position and {"step": position.step, "logs": position.logs},
            "stop_training": bool(self.model.stop_training),
            "callbacks": [_state(callback) for callback in self.callbacks],
            "arrays": list(arrays),
        }
        before = self.files()
        number = 1 + (int(before[-1].suffixes[-2][1:]) if before else 0)
        path = self.folder / f"{self.model.name}.{number:06d}.npz"
        with atomic_path(path) as temporary:
            np.savez(temporary, state=np.array(json.dumps(state)), **arrays)
        whole = [path for path in before if path not in self.damaged]
        for path in {*self.damaged, *whole[: 1 - KEPT]}:
            path.unlink(missing_ok=True)
        self.damaged = []
        self.saved_at = time.monotonic()
        self.save_took = self.saved_at - started

    def forget(self) -> int:
        """Removes what an earlier run has saved here; returns 0, the epochs that are done."""
        for path in self.files():
            path.unlink(missing_ok=True)
        return 0

    def restore(self, history) -> int:
        """Puts the saved state back; returns how many epochs are done (0 if nothing is saved)."""
        found = self._newest_whole()
        if found is None:
            return 0
        arrays, state, path = found
        for name, mine in self.settings.items():
            if mine != state["settings"].get(name):
                theirs = state["settings"].get(name)
                if name.endswith("data"):
                    raise CheckpointError(
                        f"{path} belongs to a run on other {name}: some rows differ; take the "
                        "same data, or another --output"
                    )
                raise CheckpointError(
                    f"{path} belongs to a run with another {name}: {_difference(theirs, mine)}"
                    "; take the same settings, or another --output"
                )
        self._assign("variable", self.variables(), arrays, path)
        history.history, history.epoch = state["history"], state["epoch"]
        history.seconds = state["seconds"]
        self.model.stop_training = state["stop_training"]
        if state["within"]:
            self.position = Position(**state["within"], arrays=arrays, path=path)
        self.callback_states = state["callbacks"]
        for i, callback_state in enumerate(self.callback_states):
            prefix = f"callback {i} best weight "
            names = [name for name in arrays if name.startswith(prefix)]
            if names:
                weights = [arrays[f"{prefix}{j}"] for j in range(len(names))]
                callback_state["counts"]["best_weights"] = weights
        return len(history.epoch)

    def _newest_whole(self) -> tuple[dict, dict, Path] | None:
        """The arrays, state and path of the newest checkpoint that can be read; None: none."""
        files = self.files()
        if not files and self.folder and (self.folder / f"{self.model.name}.npz").exists():
            raise CheckpointError(
                f"{self.folder / self.model.name}.npz was written by another version of "
                "kerasbook: run again without --resume"
            )
        for path in reversed(files):
            try:
                return *_read(path), path
            except Exception as error:  # what zip and NumPy raise for a damaged file is no list
                reason = str(error) or type(error).__name__
            self.damaged.append(path)
            before = files[: len(files) - len(self.damaged)]
            if before:
                message = (
                    f"{path} is damaged ({reason}): going on from {before[-1]}, the one before"
                )
                print(f"warning: {message}", file=sys.stderr)
            else:
                raise CheckpointError(
                    f"{path} is damaged ({reason}), and there is no other: "
                    "run again without --resume"
                )
        return None

    def go_on_within_epoch(self, metrics) -> tuple[int, dict]:
        """Returns the steps done and the scores so far, for the first epoch of a run that goes on.

        The state is put back once more, because `on_epoch_begin` has been called again by now,
        and a callback may have lowered the learning rate a second time.
        """
        if self.position is None:
            return 0, {}
        position, self.position = self.position, None
        self._assign("variable", self.variables(), position.arrays, position.path)
        self._assign("metric", metrics, position.arrays, position.path)
        return position.step, position.logs

    def _assign(self, kind: str, variables, arrays, path) -> None:
        saved = [arrays.get(f"{kind} {i}") for i in range(len(variables))]
        shapes = [None if array is None else array.shape for array in saved]
        if shapes != [tuple(variable.shape) for variable in variables]:
            what = "model" if kind == "variable" else "choice of metrics"
            raise CheckpointError(f"{path} belongs to another {what}: take another --output")
        for variable, array in zip(variables, saved, strict=True):
            variable.assign(array)

    def restore_callbacks(self) -> None:
        """Puts the callbacks' counts back, after their `on_train_begin` has cleared them."""
        states = list(self.callback_states)
        for callback in self.callbacks:  # a run may go on with a TensorBoard that it began without
            same = [state for state in states if state["class"] == type(callback).__name__]
            if same:
                vars(callback).update(same[0]["counts"])
                states.remove(same[0])


def _read(path: Path) -> tuple[dict, dict]:
    """The arrays and the state in a checkpoint; raises whatever a damaged file brings about."""
    with zipfile.ZipFile(path) as file:
        # Weights are hardly packed: nothing can be larger than its file, whatever it says.
        check_archive(file, largest=2 * path.stat().st_size + SMALL, most_entries=100_000)
        wrong = file.testzip()  # NumPy alone may stop reading before it has seen the checksum
        if wrong:
            raise ValueError(f"the checksum of {wrong} is wrong")
    with open(path, "rb") as opened, np.load(opened) as file:
        arrays = {name: file[name] for name in file.files}
    state = json.loads(str(arrays.pop("state")))
    if list(arrays) != state["arrays"]:  # the list of contents is damaged
        raise ValueError("some of its arrays are missing")
    return arrays, state


def _state(callback) -> dict:
    """The callback's class, and its counts: best value so far, patience used up and the like."""
    found = {name: getattr(callback, name, None) for name in CALLBACK_COUNTS}
    counts = {name: float(value) for name, value in found.items() if value is not None}
    return {"class": type(callback).__name__, "counts": counts}


def _difference(theirs, mine, name: str = "") -> str:
    """Where two settings differ, said shortly: of a schedule the number, not all it consists of."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        names = [each for each in {**theirs, **mine} if theirs.get(each) != mine.get(each)]
        parts = [
            _difference(theirs.get(each), mine.get(each), name if each == "config" else each)
            for each in names
        ]
        if name == "learning_rate" and "decay_steps" in names:
            parts.append("which --epochs sets: a schedule is made for a number of epochs")
        return ", ".join(parts)
    there, here = (textwrap.shorten(str(each), 60, placeholder=" …") for each in (theirs, mine))
    return f"{name} {there} there, {here} here".strip()


def continue_files(callbacks, epochs: int) -> None:
    """Lets CSVLogger add to the lines of a run that goes on after so many epochs."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger) and not callback.append:
            callback.append = True
            file = Path(callback.filename)
            if file.is_file():  # epochs after the checkpoint run again, and are written again
                lines = file.read_text().splitlines(keepends=True)
                with atomic_path(file) as temporary:
                    temporary.write_text("".join(lines[: epochs + 1]))
