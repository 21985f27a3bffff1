"""Diagrams of chapter 3: the window over numbers, the residual block. Each returns the Axes."""

from kerasbook.plotting.diagrams.boxes import GREY, arrow, box, canvas, circle, text, tint
from kerasbook.plotting.page import BLUE, ORANGE

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike

CELL = 0.36  # inches


def plot_window(
    picture: ArrayLike, kernel: ArrayLike, place: tuple[int, int] = (0, 0), ax: Axes | None = None
) -> Axes:
    """Returns the Axes: a picture and a kernel in numbers, and what the sliding window gives.

    picture (h, w) and kernel (kh, kw) hold small whole numbers. The window lies at `place`, and
    the sum that it gives is written out below.

    Raises:
        ValueError: no window begins at this place.
    """
    picture, kernel = np.asarray(picture), np.asarray(kernel)
    windows = np.lib.stride_tricks.sliding_window_view(picture, kernel.shape)
    row, column = place
    if not (0 <= row < windows.shape[0] and 0 <= column < windows.shape[1]):
        raise ValueError(
            f"place is {place}; the windows lie at 0 to {windows.shape[:2]}, exclusive"
        )
    output = (windows * kernel).sum(axis=(2, 3))
    ax = canvas(2.75, ax)
    inside = np.zeros(picture.shape, bool)
    inside[row : row + kernel.shape[0], column : column + kernel.shape[1]] = True
    chosen = np.arange(output.size).reshape(output.shape) == row * output.shape[1] + column
    tables = ((picture, inside, "picture"), (kernel, kernel == kernel, "kernel"))
    left, middle = 0.5, 1.6
    for values, marked, title in (*tables, (output, chosen, "output")):
        _table(ax, left, middle, values, marked, ORANGE if title == "output" else BLUE)
        top = middle + values.shape[0] * CELL / 2
        text(ax, left + values.shape[1] * CELL / 2, top + 0.14, title)
        left += values.shape[1] * CELL
        if title != "output":
            text(ax, left + 0.33, middle, "∗" if title == "picture" else "=", fontsize=14)
            left += 0.66
    text(ax, 3.3, 0.3, _sum(windows[row, column], kernel))
    return ax


def _table(ax, left, middle, values, marked, colour) -> None:
    """Draws numbers in squares, of which some are marked by a tint and a thick border."""
    top = middle + values.shape[0] * CELL / 2
    for (i, j), value in np.ndenumerate(values):
        x, y = left + j * CELL, top - (i + 1) * CELL
        face = tint(colour, 0.3) if marked[i, j] else "white"
        ax.add_patch(Rectangle((x, y), CELL, CELL, facecolor=face, edgecolor=GREY, linewidth=0.8))
        ax.text(x + CELL / 2, y + CELL / 2, _signed(value), ha="center", va="center", fontsize=9)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    corner = left + columns[0] * CELL, top - (rows[-1] + 1) * CELL
    frame = {"facecolor": "none", "edgecolor": colour, "linewidth": 2.2, "zorder": 3}
    ax.add_patch(Rectangle(corner, len(columns) * CELL, len(rows) * CELL, **frame))


def _signed(value) -> str:
    return f"{value:d}".replace("-", "−")


def _sum(window, kernel) -> str:
    """Returns the sum of the products that are not zero, written out."""
    pairs = zip(window.ravel(), kernel.ravel(), strict=True)
    weights = [(x, w) for x, w in pairs if w]
    terms = [f"{'−' if w < 0 else '+'} {abs(w)}·{x}" for x, w in weights]
    total = _signed(sum(x * w for x, w in weights))
    return " ".join(terms).removeprefix("+ ") + f" = {total}"


def plot_residual_block(ax: Axes | None = None) -> Axes:
    """Returns the Axes: two layers with a shortcut around them, from left to right."""
    ax = canvas(1.55, ax)
    line, above = 0.5, 1.2
    words = {1.15: "conv\n3 × 3", 2.1: "batch\nnorm", 2.95: "ReLU", 3.8: "conv\n3 × 3"}
    words |= {4.75: "batch\nnorm", 6.05: "ReLU"}
    for x, name in words.items():
        box(ax, x, line, name, GREY if name == "ReLU" else BLUE, 0.66, 0.46)
    circle(ax, 5.4, line, "+")
    ends = [0.25, *(x + sign * 0.33 for x in sorted(words) for sign in (-1, 1)), 6.57]
    pairs = list(zip(ends[::2], ends[1::2], strict=True))
    pairs[-2:-1] = [(5.08, 5.26), (5.54, 5.72)]
    for start, end in pairs:
        arrow(ax, (start, line), (end, line))
    arrow(ax, (0.45, line), (0.45, above), (5.4, above), (5.4, line + 0.14))
    text(ax, 0.25, line + 0.2, "$x$")
    text(ax, 2.9, above + 0.17, "the shortcut: $x$ as it is")
    text(ax, 2.9, 0.1, "$F(x)$: what the layers add")
    return ax
