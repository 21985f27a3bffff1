"""Splits: the train, validation and test parts of a data set, and what is known about it."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

from kerasbook.program import UserError

import numpy as np

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


class DataError(UserError):
    """A data set cannot be had; the message says why, and what to do about it."""


class Part(NamedTuple):
    """One part of a data set, so that `x, y = splits.train` works.

    x: inputs, (examples, …), or a tuple of such arrays for a model of several inputs.
    y: targets, (examples,) for classes, (examples, 1) for numbers.
    """

    x: Any  # np.ndarray, or a tuple of them
    y: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Splits:
    """The three parts of a data set.

    Where `mean` and `std` are given, the inputs are (value - mean) / std, both measured on the
    training part alone: `x * std + mean` gives the values back. Both have the length of the
    inputs' last axis, one number for each feature or each colour channel.
    """

    train: Part
    validation: Part
    test: Part
    name: str  # what `load` knows it by
    title: str  # what people know it by
    target: str  # what y is, with its unit
    source: str  # "embedded" or "tfds"
    classes: tuple[str, ...] | None = None  # the name of class 0, 1, …
    features: tuple[str, ...] | None = None  # the name of each column of x
    mean: np.ndarray | None = None
    std: np.ndarray | None = None
    seconds: float = 0.0  # what `load` took

    def take(self, n: int | None) -> Splits:
        """Returns the first n examples of every part; all, where n is None or a part has fewer.

        The parts are shuffled, so the first n are a fair sample. `mean` and `std` stay those of
        the whole training part.
        """
        if n is None:
            return self
        if n < 1:
            raise ValueError(f"take(n) keeps at least one example, not {n}")
        shorter = (
            Part(tuple(a[:n] for a in x) if isinstance(x, tuple) else x[:n], y[:n])
            for x, y in (self.train, self.validation, self.test)
        )
        return dataclasses.replace(self, **dict(zip(("train", "validation", "test"), shorter)))

    def __str__(self) -> str:
        """Return what the data set is, how many examples it has, and of what shape."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = ", ".join(f"{len(part.y):,} {name}" for name, part in parts.items())
        facts = [f"{self.title} ({self.source}): {counts}"]
        x = self.train.x
        inputs = x if isinstance(x, tuple) else (x,)
        facts += [words for words in map(describe_input, inputs) if words]
        if self.classes:
            facts.append(f"{in_words(len(self.classes))} classes")
        else:
            facts.append(f"target: {self.target}")
        return "; ".join(facts)

    __repr__ = __str__  # the arrays themselves would fill a notebook's screen


def describe_input(x: np.ndarray) -> str:
    """Returns what one example of an input x (examples, …) looks like."""
    if x.ndim == 2 and x.dtype.kind in "iu":
        return f"{x.shape[1]} symbols"
    return describe_shape(x.shape[1:])


def describe_shape(shape: tuple[int, ...]) -> str:
    """Returns what one input looks like, from its shape."""
    if len(shape) == 1:
        return f"{in_words(shape[0])} feature{'s' if shape[0] != 1 else ''}"
    if len(shape) == 2:
        return f"{shape[0]} steps of {shape[1]} values"
    if len(shape) == 3:
        return "pictures " + " × ".join(map(str, shape))
    return ""


def in_words(number: int) -> str:
    """Returns a small number as a word, a large one in digits."""
    return NUMBERS[number] if number < len(NUMBERS) else f"{number:,}"


def mean_and_std(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the mean and the standard deviation over every axis but the last, as float32.

    x: (examples, …, channels), uint8 or float.  Both results: (channels,).
    """
    axes = tuple(range(x.ndim - 1))
    # The square of a byte fits two bytes: exact, and a quarter of the memory of float64.
    squares = np.square(x, dtype=np.uint16 if x.dtype == np.uint8 else np.float64)
    mean = x.mean(axis=axes, dtype=np.float64)
    variance = squares.mean(axis=axes, dtype=np.float64) - mean**2
    std = np.sqrt(np.maximum(variance, 0))  # rounding may leave a little less than 0
    std[std == 0] = 1  # a constant column becomes 0, not NaN
    return mean.astype(np.float32), std.astype(np.float32)


def standardised(x: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    """Returns (x - mean) / std as float32; x: (…, channels), mean and std: (channels,)."""
    x = x.astype(np.float32)
    x -= mean
    x /= std
    return x
