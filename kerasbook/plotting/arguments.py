"""What the arguments of the drawing functions must be, and what they become."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

LARGEST = 1e100  # beyond it Matplotlib's own arithmetic may overflow


def numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Returns values as float64."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers in a regular shape: {error}") from error


def vector(values: ArrayLike, name: str) -> np.ndarray:
    """Returns values as (n,); a column (n, 1), as a model predicts it, is taken too."""
    array = numbers(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must be (n,) with n at least 1")
    return array


def class_numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Returns class numbers (n,) as integers from 0."""
    array = numbers(values, name)
    if array.ndim == 2 and array.shape[1] > 1:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be (n,) class numbers: "
            "take .argmax(axis=-1) of scores or one-hot rows"
        )
    array = vector(array, name)
    if not np.all(np.isfinite(array)) or np.any(array < 0) or np.any(array != np.rint(array)):
        raise ValueError(f"{name} must hold class numbers 0, 1, 2, …")
    return array.astype(np.int64)


def same_length(first: np.ndarray, second: np.ndarray, names: str) -> None:
    """Checks that two arrays hold as many examples."""
    if len(first) != len(second):
        raise ValueError(
            f"{names} differ in length: {len(first)} and {len(second)}; pass the same examples"
        )


def all_finite(array: np.ndarray, name: str) -> None:
    """Checks that no value is NaN, infinite or too large to draw."""
    bad = np.count_nonzero(np.isnan(gaps(array)))
    if bad:
        raise ValueError(
            f"{name} holds {bad} values that are NaN, infinite or beyond {LARGEST:g}; "
            "remove them or lower the learning rate that made them"
        )


def gaps(values: np.ndarray) -> np.ndarray:
    """Returns values with NaN, a gap in a line, where Matplotlib could not place a point."""
    return np.where(np.abs(values) < LARGEST, values, np.nan)


def number_of_classes(classes: Sequence[str] | None, *numbers: np.ndarray) -> int:
    """Returns how many classes there are: names given, or the largest number plus 1."""
    largest = max(int(array.max()) for array in numbers)
    count = largest + 1 if classes is None else len(classes)
    if largest >= count:
        raise ValueError(f"class {largest} has no name: classes holds only {count} names")
    return count


def names(values: ArrayLike, count: int, classes: Sequence[str] | None, argument: str) -> list[str]:
    """Returns a name for each of the count class numbers or strings."""
    array = np.asarray(values)
    if array.dtype.kind in "OSU":
        names = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel().tolist()]
    else:
        numbers = class_numbers(values, argument)
        number_of_classes(classes, numbers)
        names = [str(number if classes is None else classes[number]) for number in numbers]
    if len(names) != count:
        raise ValueError(f"{argument} holds {len(names)} entries for {count} pictures")
    return names


def titles(titles: Sequence[str] | None, default: str, count: int) -> list[str]:
    """Returns one title per picture: the given ones, or default with a number."""
    if titles is None:
        return [f"{default}{number}" for number in range(count)]
    if len(titles) != count:
        raise ValueError(f"titles holds {len(titles)} entries for {count} pictures")
    return [str(title) for title in titles]
