"""Diagrams of chapter 6: attention step by step, heads, the stream, encoder and decoder.

Every function returns the Axes.
"""

from typing import Any

from kerasbook.plotting.diagrams.boxes import GREY, ON_TINT, arrow, box, canvas, circle, text, tint
from kerasbook.plotting.page import BLUE, ORANGE, SKY, TEXT_SIZE

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle
from numpy.typing import ArrayLike


def _matrix(ax, left, middle, values, cell=0.2, colour=BLUE, crossed=None) -> float:
    """Draws a matrix (rows, columns), its values from 0 to 1 as tints; return its right edge."""
    rows, columns = values.shape
    upper = middle + cell * rows / 2
    for (i, j), value in np.ndenumerate(values):
        corner = left + cell * j, upper - cell * (i + 1)
        hidden = crossed is not None and crossed[i, j]
        look = {"facecolor": "white" if hidden else tint(colour, 0.08 + 0.85 * value)}
        ax.add_patch(Rectangle(corner, cell, cell, edgecolor=GREY, linewidth=0.7, **look))
        if hidden:
            text(ax, corner[0] + cell / 2, corner[1] + cell / 2, "–", GREY)
    return left + cell * columns


def plot_attention_steps(
    query: ArrayLike, key: ArrayLike, value: ArrayLike, mask: Any = None, ax: Axes | None = None
) -> Axes:
    """Returns the Axes: scores, softmax and mixture, in the tints of the numbers given.

    query (queries, depth), key (keys, depth), value (keys, width), mask (queries, keys), True
    where a query may look. Up to six rows and columns are readable.
    """
    query, key, value = (np.asarray(part, float) for part in (query, key, value))
    words = "weights: softmax" if mask is None else "weights: masked, softmax"
    mask = np.ones((len(query), len(key)), bool) if mask is None else np.asarray(mask, bool)
    scores = query @ key.T / query.shape[1] ** 0.5
    powers = np.where(mask, np.exp(scores - scores.max()), 0)
    weights = powers / powers.sum(axis=1, keepdims=True)

    def shade(values):
        return (values - values.min()) / max(np.ptp(values), 1e-9)

    ax = canvas(3.2, ax)
    for middle, parts in (
        (2.4, [(query, "$Q$\n(queries, depth)", SKY), (key.T, "$K^\\top$\n(depth, keys)", SKY),
               (scores, "scores / $\\sqrt{d}$\n(queries, keys)", BLUE)]),
        (0.8, [(weights, f"{words}\n(queries, keys)", BLUE),
               (value, "$V$\n(keys, width)", SKY),
               (weights @ value, "mixtures\n(queries, width)", ORANGE)]),
    ):  # fmt: skip
        for place, (values, name, colour) in enumerate(parts):
            width = 0.2 * values.shape[1]
            centre = (1.2, 3.2, 5.3)[place]
            shown = values if values is weights else shade(values)
            crossed = ~mask if values is weights else None
            _matrix(ax, centre - width / 2, middle, shown, colour=colour, crossed=crossed)
            text(ax, centre, middle - 0.1 * len(values) - 0.06, name, va="top")
        text(ax, 2.25, middle, "×", fontsize=14)
        text(ax, 4.2, middle, "=", fontsize=14)
    return ax


def plot_heads(heads: int = 4, ax: Axes | None = None) -> Axes:
    """Returns the Axes: attention with several heads, from the inputs to the output."""
    ax = canvas(2.3, ax)
    sources = {1.75: ("$X$", "queries"), 1.05: ("$Y$", "keys"), 0.35: ("$Y$", "values")}
    for y, (name, words) in sources.items():
        text(ax, 0.2, y, name)
        arrow(ax, (0.35, y), (0.7, y))
        box(ax, 1.15, y, words, width=0.9)
        text(ax, 1.15, y + 0.33, f"$W^{words[0].upper()}$")
        arrow(ax, (1.6, y), (2.35, y))
    text(ax, 1.97, 2.18, f"cut into\n{heads} heads", fontsize=TEXT_SIZE - 1)
    for number in reversed(range(heads)):
        shift = 0.09 * number
        box(ax, 2.95 + shift, 1.05 + shift, "", GREY, width=1.2, height=1.6)
    text(ax, 2.95, 1.05, "attention\nof one head", ON_TINT, zorder=5)
    right = 3.55 + 0.09 * (heads - 1)
    arrow(ax, (right, 1.2), (4.35, 1.2))
    box(ax, 4.75, 1.2, "side by\nside", GREY, width=0.8, height=0.5)
    arrow(ax, (5.15, 1.2), (5.45, 1.2))
    box(ax, 5.75, 1.2, "$W^O$", width=0.6)
    arrow(ax, (6.05, 1.2), (6.32, 1.2))
    text(ax, 6.45, 1.2, "$Z$")
    return ax


def plot_residual_stream(ax: Axes | None = None) -> Axes:
    """Returns the Axes: a block that reads the stream of a token twice, and adds to it twice."""
    ax = canvas(2.3, ax)
    stream, part = 0.5, 1.65
    text(ax, 0.25, stream, "$x$")
    arrow(ax, (0.42, stream), (2.76, stream))
    circle(ax, 2.9, stream, "+")
    arrow(ax, (3.04, stream), (5.36, stream))
    circle(ax, 5.5, stream, "+")
    arrow(ax, (5.64, stream), (6.2, stream))
    text(ax, 6.4, stream, "$x$")
    for left, words in ((0.7, "attention:\ntokens look at\neach other"),
                        (3.3, "two layers:\neach token\nby itself")):  # fmt: skip
        arrow(ax, (left, stream), (left, part), (left + 0.15, part))
        box(ax, left + 0.4, part, "norm", GREY, width=0.5, height=0.4)
        arrow(ax, (left + 0.65, part), (left + 0.85, part))
        box(ax, left + 1.4, part, words, width=1.1, height=0.75)
        arrow(ax, (left + 1.95, part), (left + 2.2, part), (left + 2.2, stream + 0.14))
    for middle in (1.8, 4.4):
        text(ax, middle, stream - 0.2, "the way around")
    return ax


def plot_encoder_decoder(blocks: int = 2, ax: Axes | None = None) -> Axes:
    """Returns the Axes: the Transformer that reads letters and says sounds."""
    ax = canvas(4.3, ax)
    left, right = 1.55, 4.7
    for x, parts, words in (
        (left, ("attention\non all letters", "dense, 2 layers"), "letters"),
        (
            right,
            ("attention on the sounds\nso far (causal mask)", "attention\non the encoder's output",
             "dense, 2 layers"),
            "sounds so far",
        ),
    ):  # fmt: skip
        text(ax, x, 0.15, words)
        arrow(ax, (x, 0.28), (x, 0.5))
        box(ax, x, 0.68, "embedding + position", width=1.75, height=0.36)
        frame_top = 1.25 + 0.7 * len(parts) - 0.08
        ax.add_patch(
            FancyBboxPatch(
                (x - 1.1, 1.1), 2.2, frame_top - 1.1, boxstyle="round,pad=0,rounding_size=0.1",
                fill=False, edgecolor=GREY, linestyle="--",
            )
        )  # fmt: skip
        below = 0.86
        for number, part in enumerate(parts):
            y = 1.47 + 0.7 * number
            arrow(ax, (x, below), (x, y - 0.23))
            box(ax, x, y, part, width=1.75, height=0.46)
            below = y + 0.23
        text(ax, x + (1.3 if x == right else -1.3), (1.1 + frame_top) / 2, f"{blocks} ×")
        if x == left:
            exit_y = frame_top + 0.45
            arrow(ax, (x, below), (x, exit_y), (3.25, exit_y), (3.25, 2.17), (right - 0.875, 2.17))
            text(ax, x + 0.85, exit_y + 0.15, "memory")
    arrow(ax, (right, below), (right, 3.6))
    box(ax, right, 3.78, "dense: logits", width=1.75, height=0.36)
    arrow(ax, (right, 3.96), (right, 4.12))
    text(ax, right, 4.22, "next sound")
    return ax
