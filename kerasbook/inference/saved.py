"""The folder of a run, or a model's file in it; where it is not there, one line that says so."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from kerasbook import contents
from kerasbook.data import inputs
from kerasbook.program import UserError

MODEL = "model.keras"
FORMATS = {".keras": "Keras", ".onnx": "ONNX", ".tflite": "LiteRT"}


class RunError(UserError):
    """A saved run or model cannot be used; the message says why, and what to do about it."""


class Saved(NamedTuple):
    """A saved run: its folder, the model's file or SavedModel folder, and what the model reads."""

    folder: Path
    model: Path
    inputs: inputs.Inputs


def find(run: Path) -> Saved:
    """Returns the run that a folder, a model's file, or a chapter's number means.

    Raises:
        RunError: there is none.
        DataError: what tells what the model reads is missing or damaged.
    """
    model = model_of(run)
    return Saved(model.parent, model, inputs.read(model.parent / inputs.FILE))


def model_of(run: Path) -> Path:
    """Returns the model's file, or its folder if it is a SavedModel.

    Raises:
        RunError: there is none.
    """
    if not run.exists() and (Path("runs") / contents.key_of(str(run))).is_dir():
        run = Path("runs") / contents.key_of(str(run))
    if is_saved_model(run):
        return run
    if run.is_dir():
        if not (run / MODEL).is_file():
            raise RunError(f"{run} holds no {MODEL}: name the folder of a chapter's run that ended")
        return run / MODEL
    if not run.exists():
        raise RunError(f"there is no run {run}: {how_to_make(run)}")
    if run.suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise RunError(f"{run} is no model: name a run's folder, or a file that ends in {known}")
    return run


def is_saved_model(folder: Path) -> bool:
    """Returns whether this is the folder of a SavedModel."""
    return (folder / "saved_model.pb").is_file()


def how_to_make(run: Path) -> str:
    """Returns how to make a run that is not there."""
    key = contents.key_of(run.name)
    chapters = contents.chapters()
    if key in chapters:
        return f"`python -m {chapters[key].module}` trains, and leaves runs/{key}"
    return "`kerasbook list` shows the commands that train, each leaves a folder in runs"
