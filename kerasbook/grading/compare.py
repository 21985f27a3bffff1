"""Is an answer right? On plain arrays only, in the order shape, dtype, finiteness, difference.

`assert_allclose` and `np.allclose` are not used: they pass an empty array, an all-masked one, NaN
against NaN, and a number against any shape.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SAME_KIND = {"f": ("float32", "float64"), "i": ("int32", "int64"), "b": ("bool",)}


@dataclass(frozen=True)
class Difference:
    """What is wrong with an answer: one sentence, and the worst place where there is one."""

    message: str
    output: str = ""
    index: tuple[int, ...] | None = None


def first_difference(got, expected, *, atol, rtol, dtypes=None, nan=False) -> Difference | None:
    """Returns the first reason why the arrays `got` are not the expected ones; None if they are.

    Args:
        got, expected: name → array.
        atol, rtol: passes if |got − expected| ≤ atol + rtol · |expected|.
        dtypes: accepted names of dtypes; by default those of the expected array's kind.
        nan: whether NaN is right where NaN is expected.
    """
    if set(got) != set(expected):
        return Difference(f"returned {str(sorted(got))[:200]}, expected {sorted(expected)}")
    for name, right in expected.items():
        accepted = dtypes or SAME_KIND.get(right.dtype.kind, (str(right.dtype),))
        problem = _differs(got[name], right, atol, rtol, accepted, nan)
        if problem:
            return Difference(problem[0], name, problem[1])
    return None


def _differs(got, expected, atol, rtol, dtypes, nan):
    if got.shape != expected.shape:
        hint = ""
        if got.size == expected.size and got.shape in ((*expected.shape, 1), (1, *expected.shape)):
            hint = ": same numbers of values, one axis of length 1 too many"
        elif got.size == 1 and expected.size > 1:
            hint = ": one number where there must be many (was a mean or a sum taken?)"
        return f"shape {got.shape}, expected {expected.shape}{hint}", None
    if str(got.dtype) not in dtypes:
        return f"dtype {got.dtype}, expected {' or '.join(dtypes)}", None
    if expected.size == 0:
        return None
    if expected.dtype.kind in "biu":
        wrong = got != expected
    else:
        wide = np.result_type(got, expected, np.float64)  # complex numbers stay complex
        wrong = _far(got.astype(wide), expected.astype(wide), atol, rtol, nan)
    if not wrong.any():
        return None
    index = _worst(wrong, got, expected)
    share = f"{int(wrong.sum())} of {wrong.size} values"
    if (
        got[index].dtype.kind == "f"
        and not np.isfinite(got[index])
        and np.isfinite(expected[index])
    ):
        return f"{got[index]} where {expected[index]:.7g} is expected ({share} wrong)", index
    where = f" at {_show(index)}" if index else ""
    return (
        f"{share} wrong; worst{where}: {_number(got[index])}, expected {_number(expected[index])}",
        index,
    )


def _far(got, expected, atol, rtol, nan):
    finite = np.isfinite(expected)
    with np.errstate(invalid="ignore", over="ignore"):
        near = np.abs(got - expected) <= atol + rtol * np.abs(expected)
    near = np.where(finite, np.isfinite(got) & near, got == expected)
    if nan:
        near |= np.isnan(got) & np.isnan(expected)
    return ~near


def _worst(wrong, got, expected) -> tuple[int, ...]:
    with np.errstate(invalid="ignore", over="ignore"):
        wide = np.result_type(got, expected, np.float64)
        distance = np.abs(got.astype(wide) - expected.astype(wide))
    distance = np.where(np.isnan(distance), np.inf, distance)
    flat = int(np.argmax(np.where(wrong, distance, -1.0)))
    return tuple(int(i) for i in np.unravel_index(flat, wrong.shape))


def _show(index) -> str:
    return "[" + ", ".join(map(str, index)) + "]"


def _number(value) -> str:
    return f"{value:.7g}" if value.dtype.kind == "f" else str(value)
