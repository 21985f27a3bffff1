"""Diagrams of networks: boxes and arrows, placed by hand in inches, and numbers that are computed.

Every function returns the Axes. Blue boxes have weights; circles and grey boxes have none.
"""

from collections.abc import Mapping
from typing import Any

from kerasbook.plotting import page
from kerasbook.plotting.page import BLUE, ORANGE, PAGE_WIDTH, SKY, TEXT_SIZE, VERMILLION

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch, Rectangle
from matplotlib.path import Path
from numpy.typing import ArrayLike

GREY = "#888888"
ON_TINT = "#000001"  # black under every style: boxes are pale under a dark one too

# --- boxes and arrows ---------------------------------------------------------------------


def _canvas(height: float, ax: Axes | None, width: float = PAGE_WIDTH) -> Axes:
    """Returns Axes of width by height inches, in inches, without anything on it."""
    ax = page.one_axes(ax, width, height)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    return ax


def _tint(colour: str, share: float = 0.18) -> tuple:
    """Returns a paler colour: white with a share of this one."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def _text(ax: Axes, x: float, y: float, words: str, colour: str = "black", **options: Any) -> None:
    options = {"ha": "center", "va": "center", "fontsize": TEXT_SIZE, "linespacing": 1.3} | options
    ax.text(x, y, words, color=page.ink(ax) if colour == "black" else colour, **options)


def _box(ax, x, y, words, colour=BLUE, width=0.8, height=0.4, **options) -> None:
    """Draws a box around x, y; options are of its text."""
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=_tint(colour),
        edgecolor=colour,
        linewidth=1.3,
        zorder=3,
    )
    ax.add_patch(shape)
    _text(ax, x, y, words, ON_TINT, zorder=4, **options)


def _circle(ax, x, y, sign, colour=GREY, size=0.28) -> None:
    """Draws an operation: a sign in a circle."""
    shape = Ellipse(
        (x, y), size, size, facecolor=_tint(colour), edgecolor=colour, linewidth=1.3, zorder=3
    )
    ax.add_patch(shape)
    _text(ax, x, y, sign, ON_TINT, zorder=4, fontsize=TEXT_SIZE + 1)


def _arrow(ax, *points, colour="black", head=True, style="-", over=None) -> None:
    """Draws a line through points (x, y), its head at the last; at height `over` it is a bridge."""
    colour = page.ink(ax) if colour == "black" else colour
    if over is not None:
        x, ground = points[0][0], ax.figure.get_facecolor()
        ax.plot([x, x], [over - 0.1, over + 0.1], color=ground, linewidth=7, zorder=2.2)
    ax.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>,head_width=0.3,head_length=0.55" if head else "-",
            mutation_scale=9,
            color=colour,
            linewidth=1.3,
            linestyle=style,
            joinstyle="miter",
            shrinkA=0,
            shrinkB=0,
            fill=head,
            zorder=2 if over is None else 2.3,
        )
    )


# --- recurrent networks -------------------------------------------------------------------


def plot_unrolled(backward: bool = False, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a recurrent network as a loop, and the same written out in time.

    backward: also the way that the gradient takes, from the last step to the first.
    """
    ax = _canvas(2.15, ax)
    middle = 1.05
    _box(ax, 0.75, middle, "step", width=0.7)
    _arrow(ax, (0.75, 0.35), (0.75, middle - 0.2))
    _arrow(ax, (0.75, middle + 0.2), (0.75, 1.75))
    loop = (0.75, 1.45), (0.2, 1.45), (0.2, middle), (0.4, middle)
    _arrow(ax, *loop)
    _text(ax, 0.75, 0.2, "$x_t$")
    _text(ax, 0.75, 1.9, "$h_t$")
    _text(ax, 1.45, middle, "=", fontsize=16)
    places = (2.55, 3.65, 4.75, 5.85)
    _text(ax, 1.8, middle, "$h_0$")
    _arrow(ax, (1.95, middle), (places[0] - 0.35, middle))
    for number, x in enumerate(places, start=1):
        _box(ax, x, middle, "step", width=0.7)
        _arrow(ax, (x, 0.35), (x, middle - 0.2))
        _arrow(ax, (x, middle + 0.2), (x, 1.75))
        _text(ax, x, 0.2, f"$x_{number}$")
        _text(ax, x, 1.9, f"$h_{number}$")
        if number < 4:
            _arrow(ax, (x + 0.35, middle), (x + 0.75, middle))
            _text(ax, x + 0.55, middle + 0.14, f"$h_{number}$")
            if backward:
                way = (x + 0.75, middle - 0.11), (x + 0.35, middle - 0.11)
                _arrow(ax, *way, colour=VERMILLION, style="--")
                _text(ax, x + 0.55, middle - 0.27, f"$b_{number}$", VERMILLION)
    if backward:
        for number, x in enumerate(places, start=1):
            _arrow(ax, (x + 0.13, 1.75), (x + 0.13, middle + 0.2), colour=VERMILLION, style="--")
            _text(ax, x + 0.28, 1.5, f"$g_{number}$", VERMILLION)
    return ax


def plot_gru_cell(gates: int = 2, ax: Axes | None = None) -> Axes:
    """Returns the Axes: one step of a gated recurrent unit, from the old state to the new.

    gates: 2 is the whole; 1 leaves the reset gate out, 0 the update gate too.
    """
    ax = _canvas(3.0, ax)
    top, row, bridge = 2.65, 1.1, 1.85
    _text(ax, 0.25, top, "$h_{t-1}$")
    _text(ax, 6.38, top, "$h_t$")
    _box(ax, 5.25, row, "candidate\ntanh", width=0.96, height=0.5)
    _from_word(ax, 5.25, row)
    if gates == 0:
        _arrow(ax, (0.48, top), (0.6, top), (0.6, row), (4.77, row))
        _text(ax, 2.7, row + 0.16, "$h_{t-1}U_h$")
        _arrow(ax, (5.25, row + 0.25), (5.25, top), (6.2, top))
        _text(ax, 5.4, bridge + 0.15, r"$\tilde{h}$")
        return ax
    _draw_update_gate(ax, top, row, bridge)
    if gates == 1:
        _arrow(ax, (3.6, top), (3.6, row), (4.77, row), over=bridge)
        _text(ax, 4.15, row + 0.16, "$h_{t-1}U_h$")
    else:
        _draw_reset_gate(ax, top, row, bridge)
    return ax


def _from_word(ax: Axes, x: float, row: float) -> None:
    """Draws the word's arrow into the box at x."""
    _arrow(ax, (x, 0.42), (x, row - 0.25))
    _text(ax, x, 0.27, "$x_t$")


def _draw_update_gate(ax: Axes, top: float, row: float, bridge: float) -> None:
    """Draws the update gate, and the mixture of the old state and the candidate."""
    _arrow(ax, (0.48, top), (3.7, top))
    _box(ax, 4.75, top, r"mix:  $z\odot h_{t-1} + (1-z)\odot\tilde{h}$", ORANGE, 2.1, 0.42)
    _arrow(ax, (5.8, top), (6.2, top))
    _arrow(ax, (1.3, row + 0.25), (1.3, bridge), (4.4, bridge), (4.4, top - 0.21))
    _text(ax, 1.45, bridge + 0.15, "$z$")
    _arrow(ax, (0.6, top), (0.6, row), (0.82, row))
    _box(ax, 1.3, row, "update gate\nsigmoid", width=0.96, height=0.5)
    _from_word(ax, 1.3, row)
    _arrow(ax, (5.25, row + 0.25), (5.25, top - 0.21))
    _text(ax, 5.4, bridge + 0.15, r"$\tilde{h}$")


def _draw_reset_gate(ax: Axes, top: float, row: float, bridge: float) -> None:
    """Draws the reset gate on the way from the old state to the candidate."""
    _arrow(ax, (1.98, top), (1.98, row), (2.22, row), over=bridge)
    _arrow(ax, (3.6, top), (3.6, row + 0.14), over=bridge)
    _text(ax, 3.95, 0.5 * (row + bridge), "$h_{t-1}U_h$")
    _box(ax, 2.7, row, "reset gate\nsigmoid", width=0.96, height=0.5)
    _from_word(ax, 2.7, row)
    _arrow(ax, (3.18, row), (3.46, row))
    _text(ax, 3.3, row + 0.16, "$r$")
    _circle(ax, 3.6, row, "×")
    _arrow(ax, (3.74, row), (4.77, row))


def plot_lstm_cell(ax: Axes | None = None) -> Axes:
    """Returns the Axes: one step of a long short-term memory, its cell along the top."""
    ax = _canvas(3.2, ax)
    top, between, row, bus = 2.85, 2.05, 1.25, 0.55
    _text(ax, 0.3, top, "$c_{t-1}$")
    _arrow(ax, (0.55, top), (1.36, top))
    _circle(ax, 1.5, top, "×")
    _arrow(ax, (1.64, top), (3.01, top))
    _circle(ax, 3.15, top, "+")
    _arrow(ax, (3.29, top), (6.15, top))
    _text(ax, 6.35, top, "$c_t$")
    _arrow(ax, (0.55, bus), (4.75, bus), head=False)
    _text(ax, 0.3, bus, "$h_{t-1}$\n$x_t$")
    gates = {1.5: "forget gate\nsigmoid", 2.6: "input gate\nsigmoid"}
    gates |= {3.7: "candidate\ntanh", 4.75: "output gate\nsigmoid"}
    for x, words in gates.items():
        _arrow(ax, (x, bus), (x, row - 0.25))
        _box(ax, x, row, words, width=0.86, height=0.5)
    _arrow(ax, (1.5, row + 0.25), (1.5, top - 0.14))
    _text(ax, 1.63, between, "$f$")
    _circle(ax, 3.15, between, "×")
    _arrow(ax, (2.6, row + 0.25), (2.6, between), (3.01, between))
    _text(ax, 2.75, between + 0.15, "$i$")
    _arrow(ax, (3.7, row + 0.25), (3.7, between), (3.29, between))
    _text(ax, 3.55, between + 0.15, "$g$")
    _arrow(ax, (3.15, between + 0.14), (3.15, top - 0.14))
    _arrow(ax, (4.75, row + 0.25), (4.75, between - 0.3), (5.56, between - 0.3))
    _text(ax, 4.9, between - 0.15, "$o$")
    _arrow(ax, (5.7, top), (5.7, 2.5))
    _box(ax, 5.7, 2.35, "tanh", GREY, width=0.5, height=0.3)
    _arrow(ax, (5.7, 2.2), (5.7, between - 0.16))
    _circle(ax, 5.7, between - 0.3, "×")
    _arrow(ax, (5.84, between - 0.3), (6.15, between - 0.3))
    _text(ax, 6.35, between - 0.3, "$h_t$")
    return ax


# --- attention ----------------------------------------------------------------------------


def _matrix(ax, left, middle, values, cell=0.2, colour=BLUE, crossed=None) -> float:
    """Draws a matrix (rows, columns), its values from 0 to 1 as tints; return its right edge."""
    rows, columns = values.shape
    upper = middle + cell * rows / 2
    for (i, j), value in np.ndenumerate(values):
        corner = left + cell * j, upper - cell * (i + 1)
        hidden = crossed is not None and crossed[i, j]
        look = {"facecolor": "white" if hidden else _tint(colour, 0.08 + 0.85 * value)}
        ax.add_patch(Rectangle(corner, cell, cell, edgecolor=GREY, linewidth=0.7, **look))
        if hidden:
            _text(ax, corner[0] + cell / 2, corner[1] + cell / 2, "–", GREY)
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

    ax = _canvas(3.2, ax)
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
            _text(ax, centre, middle - 0.1 * len(values) - 0.06, name, va="top")
        _text(ax, 2.25, middle, "×", fontsize=14)
        _text(ax, 4.2, middle, "=", fontsize=14)
    return ax


def plot_heads(heads: int = 4, ax: Axes | None = None) -> Axes:
    """Returns the Axes: attention with several heads, from the inputs to the output."""
    ax = _canvas(2.3, ax)
    sources = {1.75: ("$X$", "queries"), 1.05: ("$Y$", "keys"), 0.35: ("$Y$", "values")}
    for y, (name, words) in sources.items():
        _text(ax, 0.2, y, name)
        _arrow(ax, (0.35, y), (0.7, y))
        _box(ax, 1.15, y, words, width=0.9)
        _text(ax, 1.15, y + 0.33, f"$W^{words[0].upper()}$")
        _arrow(ax, (1.6, y), (2.35, y))
    _text(ax, 1.97, 2.18, f"cut into\n{heads} heads", fontsize=TEXT_SIZE - 1)
    for number in reversed(range(heads)):
        shift = 0.09 * number
        _box(ax, 2.95 + shift, 1.05 + shift, "", GREY, width=1.2, height=1.6)
    _text(ax, 2.95, 1.05, "attention\nof one head", ON_TINT, zorder=5)
    right = 3.55 + 0.09 * (heads - 1)
    _arrow(ax, (right, 1.2), (4.35, 1.2))
    _box(ax, 4.75, 1.2, "side by\nside", GREY, width=0.8, height=0.5)
    _arrow(ax, (5.15, 1.2), (5.45, 1.2))
    _box(ax, 5.75, 1.2, "$W^O$", width=0.6)
    _arrow(ax, (6.05, 1.2), (6.32, 1.2))
    _text(ax, 6.45, 1.2, "$Z$")
    return ax


def plot_residual_stream(ax: Axes | None = None) -> Axes:
    """Returns the Axes: a block that reads the stream of a token twice, and adds to it twice."""
    ax = _canvas(2.3, ax)
    stream, part = 0.5, 1.65
    _text(ax, 0.25, stream, "$x$")
    _arrow(ax, (0.42, stream), (2.76, stream))
    _circle(ax, 2.9, stream, "+")
    _arrow(ax, (3.04, stream), (5.36, stream))
    _circle(ax, 5.5, stream, "+")
    _arrow(ax, (5.64, stream), (6.2, stream))
    _text(ax, 6.4, stream, "$x$")
    for left, words in ((0.7, "attention:\ntokens look at\neach other"),
                        (3.3, "two layers:\neach token\nby itself")):  # fmt: skip
        _arrow(ax, (left, stream), (left, part), (left + 0.15, part))
        _box(ax, left + 0.4, part, "norm", GREY, width=0.5, height=0.4)
        _arrow(ax, (left + 0.65, part), (left + 0.85, part))
        _box(ax, left + 1.4, part, words, width=1.1, height=0.75)
        _arrow(ax, (left + 1.95, part), (left + 2.2, part), (left + 2.2, stream + 0.14))
    for middle in (1.8, 4.4):
        _text(ax, middle, stream - 0.2, "the way around")
    return ax


def plot_encoder_decoder(blocks: int = 2, ax: Axes | None = None) -> Axes:
    """Returns the Axes: the Transformer that reads letters and says sounds."""
    ax = _canvas(4.3, ax)
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
        _text(ax, x, 0.15, words)
        _arrow(ax, (x, 0.28), (x, 0.5))
        _box(ax, x, 0.68, "embedding + position", width=1.75, height=0.36)
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
            _arrow(ax, (x, below), (x, y - 0.23))
            _box(ax, x, y, part, width=1.75, height=0.46)
            below = y + 0.23
        _text(ax, x + (1.3 if x == right else -1.3), (1.1 + frame_top) / 2, f"{blocks} ×")
        if x == left:
            exit_y = frame_top + 0.45
            _arrow(ax, (x, below), (x, exit_y), (3.25, exit_y), (3.25, 2.17), (right - 0.875, 2.17))
            _text(ax, x + 0.85, exit_y + 0.15, "memory")
    _arrow(ax, (right, below), (right, 3.6))
    _box(ax, right, 3.78, "dense: logits", width=1.75, height=0.36)
    _arrow(ax, (right, 3.96), (right, 4.12))
    _text(ax, right, 4.22, "next sound")
    return ax


# --- backpropagation ----------------------------------------------------------------------


def _numbers(values: ArrayLike) -> str:
    """Returns a matrix of few numbers in lines of text."""
    rows = np.atleast_2d(np.asarray(values, float))
    rows = rows.round(2) + 0.0  # no −0.00
    return "\n".join(" ".join(f"{value:5.2f}".replace("-", "−") for value in row) for row in rows)


def plot_backpropagation(
    values: Mapping[str, ArrayLike], slopes: Mapping[str, ArrayLike], ax: Axes | None = None
) -> Axes:
    """Returns the Axes: a network of two layers as a graph, with its numbers.

    values: "x", "W1", "s1", "a1", "W2", "z" and "loss", of two numbers each, weights (2, 2).
    slopes: the gradient of the loss for each of them but "x" and "loss", in its shape.

    Raises:
        KeyError: one of the names is missing.
    """
    ax = _canvas(2.6, ax)
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
        _box(ax, x, y, _numbers(values[name]), colour, width, height, family="monospace")
        _text(ax, x, y + height / 2 + 0.13, words)
        if name in slopes:
            place = (x + 1.0, y) if weights else (x, y - 0.32)
            _text(ax, *place, _numbers(slopes[name]), VERMILLION, family="monospace")
    for x in (1.3, 4.22):
        _arrow(ax, (x, above - 0.25), (x, line + 0.14))
        _circle(ax, x, line, "×")
    for start, end in ((0.98, 1.16), (1.44, 1.62), (2.58, 2.92), (3.88, 4.08), (4.36, 4.57)):
        _arrow(ax, (start, line), (end, line))
    _arrow(ax, (5.53, line), (5.9, line))
    _arrow(ax, (6.2, 0.4), (1.6, 0.4), colour=VERMILLION, style="--")
    words = "in this colour: the gradient of the loss, found from right to left"
    _text(ax, 3.9, 0.2, words, VERMILLION)
    return ax


# --- several devices ----------------------------------------------------------------------


def plot_towers(rows: int = 64, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a batch of so many rows on two devices, their gradients added up."""
    ax = _canvas(2.5, ax)
    upper, middle, lower = 1.9, 1.25, 0.6
    _box(ax, 0.6, middle, f"batch:\n{rows} rows", GREY, height=0.5)
    _circle(ax, 4.55, middle, "+", VERMILLION)
    _text(ax, 5.2, middle, "all-\nreduce", ha="left")
    for y, number, share in ((upper, 0, rows - rows // 2), (lower, 1, rows // 2)):
        outwards = 0.4 if number == 0 else -0.4
        _arrow(ax, (1.0, middle), (1.25, middle), (1.25, y), (1.5, y))
        _box(ax, 1.85, y, f"{share} rows", GREY, width=0.7)
        _arrow(ax, (2.2, y), (2.45, y))
        _box(ax, 3.0, y, f"copy {number} of\nthe weights", width=1.1, height=0.5)
        _text(ax, 3.0, y + outwards, f"device {number}")
        _arrow(ax, (3.55, y), (3.9, y))
        _text(ax, 4.05, y, f"$g_{number}$", VERMILLION)
        inner = y - 0.14 if number == 0 else y + 0.14
        edge = middle + 0.1 if number == 0 else middle - 0.1
        _arrow(ax, (4.14, inner), (4.46, edge), colour=VERMILLION, style="--")
        _arrow(ax, (4.64, edge), (5.42, y), colour=VERMILLION)
        _text(ax, 4.72, y + 0.3 * outwards, "$g_0 + g_1$", VERMILLION)
        _box(ax, 5.96, y, "same step,\nsame weights", ORANGE, width=1.06, height=0.5)
    return ax


def plot_ring(counts: ArrayLike, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a ring of devices, and how many summands each part has after every step.

    counts: (steps + 1, devices, parts), whole numbers; two to five devices are readable.
    """
    counts = np.asarray(counts)
    states, devices, parts = counts.shape
    ax = _canvas(2.55, ax)
    places = np.linspace(0.75, PAGE_WIDTH - 0.75, devices)
    for number, x in enumerate(places):
        _box(ax, x, 2.3, f"device {number}", width=0.85)
        if number + 1 < devices:
            _arrow(ax, (x + 0.43, 2.3), (places[number + 1] - 0.43, 2.3))
    back = (places[-1], 2.1), (places[-1], 1.85), (places[0], 1.85), (places[0], 2.1)
    _arrow(ax, *back)
    _text(ax, PAGE_WIDTH / 2, 1.7, "at each step, every device sends one part to the next")
    room = (PAGE_WIDTH - 0.55) / states
    cell = min(0.22, 0.86 * room / parts)
    for state, summands in enumerate(counts):
        left, top = 0.5 + room * state, 1.1
        _text(ax, left + cell * parts / 2, top + 0.17, "start" if state == 0 else f"step {state}")
        for (device, part), count in np.ndenumerate(summands):
            corner = left + cell * part, top - cell * (device + 1)
            tint = _tint(BLUE, 0.1 + 0.5 * (count - 1) / max(devices - 1, 1))
            ax.add_patch(Rectangle(corner, cell, cell, facecolor=tint, edgecolor=GREY, linewidth=1))
            middle = corner[0] + cell / 2, corner[1] + cell / 2
            _text(ax, *middle, f"{count:.0f}", ON_TINT, fontsize=TEXT_SIZE - 1, zorder=4)
    for device in range(devices):
        _text(ax, 0.25, 1.1 - cell * (device + 0.5), f"{device}")
    half = (states - 1) // 2
    for first, last, words in ((1, half, "reduce-scatter"), (half + 1, states - 1, "all-gather")):
        start, end = 0.5 + room * first, 0.5 + room * last + cell * parts
        below = 1.1 - cell * devices - 0.15
        ax.plot([start, end], [below, below], color=GREY, linewidth=1.3)
        _text(ax, (start + end) / 2, below - 0.17, words)
    return ax
