"""Sequences, word by word: gates, changes of the state, gradients on their way back."""

from collections.abc import Mapping, Sequence

from kerasbook.plotting import arguments, page
from kerasbook.plotting.history import plot_lines
from kerasbook.plotting.page import BLUE, ORANGE, TEXT_SIZE

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

MOST_WORDS = 80  # more have no room for their letters


def plot_gates(
    gates: ArrayLike,
    words: Sequence[str],
    label: str = "gate",
    limits: tuple[float, float] = (0.0, 1.0),
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with gates (steps, units) as a heat map: a column per word, a row per unit.

    Dark is the lower of the `limits`, light the upper. `label` names the value at the colour bar.

    Raises:
        ValueError: another shape, not one word per step, more than 80 words, or values that are not
            finite.
    """
    array = arguments.numbers(gates, "gates")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"gates has shape {array.shape}; it must be (steps, units): of a batch take gates[0]"
        )
    _check_words(words, array, "gates")
    arguments.all_finite(array, "gates")
    ax = page.one_axes(ax, height=3.6)
    low, high = limits
    picture = ax.imshow(
        array.T, cmap="viridis", vmin=low, vmax=high, aspect="auto", interpolation="nearest"
    )
    page.label(ax, "word", "unit")
    ax.yaxis.set_major_locator(MaxNLocator(nbins=6, integer=True, steps=[1, 2, 5, 10]))
    _write_words(ax, words)
    page.colour_bar(picture, ax, label)
    return ax


def plot_state_changes(
    changes: ArrayLike,
    words: Sequence[str],
    y_label: str = "length of the change of the state",
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with a bar per word, changes (steps,): blue above 0, orange below.

    Raises:
        ValueError: not one word per step, more than 80 words, or values that are not finite.
    """
    array = arguments.vector(changes, "changes")
    _check_words(words, array, "changes")
    arguments.all_finite(array, "changes")
    ax = page.one_axes(ax, height=3.2)
    colours = [BLUE if change >= 0 else ORANGE for change in array]
    ax.bar(np.arange(len(array)), array, color=colours, width=0.75)
    ax.axhline(0, color=page.ink(ax), linewidth=0.8)
    page.label(ax, "word", y_label)
    _write_words(ax, words)
    return ax


def plot_words(
    points: ArrayLike,
    words: Sequence[str],
    values: ArrayLike,
    *,
    label: str,
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with a word at each of the points (words, 2), its colour a value in 0 … 1.

    Orange is 0 and blue is 1; `label` names the value at the colour bar.

    Raises:
        ValueError: points, words and values do not belong together, or values are not in 0 … 1.
    """
    places, shares = arguments.numbers(points, "points"), arguments.vector(values, "values")
    if places.shape != (len(words), 2) or len(shares) != len(words):
        raise ValueError(
            f"points {places.shape} and {len(shares)} values for {len(words)} words: each word has "
            "a point (x, y) and a value"
        )
    if not ((shares >= 0) & (shares <= 1)).all():
        raise ValueError("values must lie between 0 and 1")
    ax = page.one_axes(ax, height=4.6)
    colours = LinearSegmentedColormap.from_list("words", [ORANGE, "0.85", BLUE])
    dots = ax.scatter(*places.T, c=shares, cmap=colours, vmin=0, vmax=1, s=28, zorder=3)
    near = np.array([0.15, 0.04]) * np.ptp(places, axis=0)  # where two words would overprint
    for number, (place, word) in enumerate(zip(places, words, strict=True)):
        crowded = (np.abs(places[:number] - place) <= near).all(axis=1).any()
        style = {"textcoords": "offset points", "parse_math": False, "fontsize": TEXT_SIZE}
        ax.annotate(str(word), place, xytext=(4, -11 if crowded else 4), gid=page.DATA, **style)
    ax.margins(0.12)
    page.label(ax, "first direction", "second direction")
    page.colour_bar(dots, ax, label)
    return ax


def plot_gradient_norms(
    norms: Mapping[str, ArrayLike],
    *,
    x_label: str = "steps back in time",
    y_label: str = "length of the gradient, log scale",
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with one curve of gradient norms per network; entry k is k steps away.

    The dotted line is 1: above it gradients have grown, below it shrunk. Zeros are gaps.

    Raises:
        ValueError: no curves, or curves without a positive finite value.
    """
    if not norms:
        raise ValueError('norms must hold at least one curve: {"name": values}')
    longest = max(len(np.ravel(values)) for values in norms.values())
    curves = {}
    for name, values in norms.items():
        curve = arguments.vector(values, f"norms[{name!r}]")
        curves[name] = np.concatenate([curve, np.full(longest - len(curve), np.nan)])
    ax = plot_lines(curves, x=np.arange(longest), x_label=x_label, y_label=y_label, log=True, ax=ax)
    ax.axhline(1, color=page.ink(ax), linestyle=":", linewidth=1)
    return ax


def _check_words(words: Sequence[str], array: np.ndarray, name: str) -> None:
    if len(words) != len(array):
        raise ValueError(f"{name} has {len(array)} steps for {len(words)} words: one word per step")
    if len(words) > MOST_WORDS:
        raise ValueError(f"{len(words)} words are more than {MOST_WORDS}: pass a part, words[:40]")


def _write_words(ax: Axes, words: Sequence[str]) -> None:
    """Write the words under the x axis, smaller and steeper where they are many."""
    size = TEXT_SIZE if len(words) <= 40 else TEXT_SIZE - 3
    ax.set_xticks(
        np.arange(len(words)),
        [str(word) for word in words],
        rotation=60 if len(words) <= 25 else 90,
        ha="right" if len(words) <= 25 else "center",
        rotation_mode="anchor" if len(words) <= 25 else "default",
        fontsize=size,
        parse_math=False,
    )
    ax.xaxis.set_gid(page.DATA)
    ax.grid(False, axis="x")
    if ax.images:
        ax.grid(False)
