"""Diagrams of chapter 2: the small network with its numbers. Every function returns the Axes."""

from collections.abc import Mapping

from kerasbook.plotting.diagrams.boxes import GREY, arrow, box, canvas, circle, text
from kerasbook.plotting.page import BLUE, ORANGE, VERMILLION

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike


def plot_backpropagation(
    values: Mapping[str, ArrayLike], slopes: Mapping[str, ArrayLike], ax: Axes | None = None
) -> Axes:
    """Returns the Axes: a network of two layers as a graph, with its numbers.

    values: "x", "W1", "s1", "a1", "W2", "z" and "loss", of two numbers each, weights (2, 2).
    slopes: the gradient of the loss for each of them but "x" and "loss", in its shape.

    Raises:
        KeyError: one of the names is missing.
    """
    ax = canvas(2.6, ax)
    line, above = 1.0, 2.05
    nodes = {
        "x": (0.5, line, "$x$"),
        "s1": (2.1, line, "$s_1 = x W_1$"),
        "a1": (3.4, line, r"$a_1 = \max(0, s_1)$"),
        "z": (5.05, line, "$z = a_1 W_2$"),
        "loss": (6.2, line, "loss"),
        "W1": (1.3, above, "$W_1$"),
        "W2": (4.22, above, "$W_2$"),
    }
    for name, (x, y, words) in nodes.items():
        weights = name.startswith("W")
        colour = BLUE if weights else ORANGE if name == "loss" else GREY
        width, height = (0.6 if name == "loss" else 0.96), (0.5 if weights else 0.34)
        box(ax, x, y, _numbers(values[name]), colour, width, height, family="monospace")
        text(ax, x, y + height / 2 + 0.13, words)
        if name in slopes:
            place = (x + 1.0, y) if weights else (x, y - 0.32)
            text(ax, *place, _numbers(slopes[name]), VERMILLION, family="monospace")
    for x in (1.3, 4.22):
        arrow(ax, (x, above - 0.25), (x, line + 0.14))
        circle(ax, x, line, "×")
    for start, end in ((0.98, 1.16), (1.44, 1.62), (2.58, 2.92), (3.88, 4.08), (4.36, 4.57)):
        arrow(ax, (start, line), (end, line))
    arrow(ax, (5.53, line), (5.9, line))
    arrow(ax, (6.2, 0.4), (1.6, 0.4), colour=VERMILLION, style="--")
    words = "in this colour: the gradient of the loss, found from right to left"
    text(ax, 3.9, 0.2, words, VERMILLION)
    return ax


def _numbers(values: ArrayLike) -> str:
    """Returns a matrix of few numbers in lines of text."""
    rows = np.atleast_2d(np.asarray(values, float))
    rows = rows.round(2) + 0.0  # no −0.00
    return "\n".join(" ".join(f"{value:5.2f}".replace("-", "−") for value in row) for row in rows)
