"""What a trained model must be told of its data, so that it can answer for something new.

A run saves it beside its model, as inputs.json: what one example is, the mean and the standard
deviation that its numbers were scaled with, its words, its characters, the names of the classes.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasbook.data.splits import DataError, Splits

import numpy as np

FILE = "inputs.json"
# What one example is: a row of numbers, a picture, a sentence whose class is asked for, steps in
# time, a text that goes on, a word that is said, a verse that is translated.
KINDS = ("row", "picture", "sentence", "steps", "text", "word", "verse")


@dataclass(frozen=True)
class Inputs:
    """What a model reads, and what its outputs mean."""

    kind: str  # one of KINDS
    title: str  # of the data set
    target: str  # what is answered, with its unit
    shapes: list[list[int]]  # of one example, for each input of the model
    classes: list[str] | None = None
    features: list[str] | None = None  # the name of each column
    vocabulary: list[str] | None = None  # the word of each number
    mean: list[float] | None = None  # inputs are (value - mean) / std
    std: list[float] | None = None
    padded: bool = False  # whether shorter examples end in zeros
    edge: float | None = None  # of pictures: the mean of the outermost pixels, 0 to 255


def describe(splits: Splits) -> Inputs | None:
    """Returns what a model of these data reads; None for data of a kind that is none of KINDS."""
    x = splits.train.x
    arrays = x if isinstance(x, tuple) else (x,)
    kind = kind_of(splits)
    if kind is None:
        return None
    names = {name: getattr(splits, name, None) for name in ("classes", "features", "vocabulary")}
    scaling = {name: getattr(splits, name) for name in ("mean", "std")}
    return Inputs(
        kind=kind,
        title=splits.title,
        target=splits.target,
        shapes=[list(array.shape[1:]) for array in arrays],
        **{name: list(each) if each else None for name, each in names.items()},
        **{n: None if each is None else each.tolist() for n, each in scaling.items()},
        padded=kind == "steps" and bool((x[:, -1] == 0).all(axis=-1).any()),
        edge=edge_of(x, splits.mean, splits.std) if kind == "picture" else None,
    )


def kind_of(splits: Splits) -> str | None:
    """Returns which of KINDS one example is; None for none of them."""
    x, y = splits.train
    if isinstance(x, tuple):
        return "word" if splits.name == "cmudict" else "verse"
    if x.dtype.kind in "iu":
        if x.ndim != 2:
            return None
        return "text" if y.shape == x.shape else "sentence"
    return {2: "row", 3: "steps", 4: "picture"}.get(x.ndim)


def edge_of(x: np.ndarray, mean: np.ndarray | None, std: np.ndarray | None) -> float:
    """Returns the mean of the outermost pixels of x (n, height, width, channels), unscaled."""
    is_edge = np.ones(x.shape[1:3], bool)
    is_edge[1:-1, 1:-1] = False
    edge = x[:, is_edge].mean(axis=(0, 1))  # (channels,)
    return float(np.mean(edge if mean is None else edge * std + mean))


# --- the file -----------------------------------------------------------------------------


def write(path: Path, inputs: Inputs) -> None:
    """Writes them as JSON."""
    path.write_text(json.dumps(dataclasses.asdict(inputs)) + "\n", encoding="utf-8")


def read(path: Path) -> Inputs:
    """Returns them from the file.

    Raises:
        DataError: it is not there, or damaged; the message has the remedy.
    """
    again = "run the chapter's command once more, with --resume and the same flags"
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        inputs = Inputs(**found)
    except FileNotFoundError:
        raise DataError(f"{path} is missing, which tells what the model reads: {again}") from None
    except (ValueError, TypeError):
        raise DataError(f"{path} is damaged: {again}") from None
    if inputs.kind not in KINDS:
        raise DataError(f"{path} is damaged, there is no kind {inputs.kind!r}: {again}")
    return inputs
