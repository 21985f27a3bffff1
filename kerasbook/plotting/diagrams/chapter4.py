"""Diagrams of chapter 4: a recurrent network unrolled, and the cell of the GRU gate by gate.

Every function returns the Axes.
"""

from kerasbook.plotting.diagrams.boxes import arrow, box, canvas, circle, text
from kerasbook.plotting.page import ORANGE, VERMILLION

from matplotlib.axes import Axes


def plot_unrolled(backward: bool = False, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a recurrent network as a loop, and the same written out in time.

    backward: also the way that the gradient takes, from the last step to the first.
    """
    ax = canvas(2.15, ax)
    middle = 1.05
    box(ax, 0.75, middle, "step", width=0.7)
    arrow(ax, (0.75, 0.35), (0.75, middle - 0.2))
    arrow(ax, (0.75, middle + 0.2), (0.75, 1.75))
    loop = (0.75, 1.45), (0.2, 1.45), (0.2, middle), (0.4, middle)
    arrow(ax, *loop)
    text(ax, 0.75, 0.2, "$x_t$")
    text(ax, 0.75, 1.9, "$h_t$")
    text(ax, 1.45, middle, "=", fontsize=16)
    places = (2.55, 3.65, 4.75, 5.85)
    text(ax, 1.8, middle, "$h_0$")
    arrow(ax, (1.95, middle), (places[0] - 0.35, middle))
    for number, x in enumerate(places, start=1):
        box(ax, x, middle, "step", width=0.7)
        arrow(ax, (x, 0.35), (x, middle - 0.2))
        arrow(ax, (x, middle + 0.2), (x, 1.75))
        text(ax, x, 0.2, f"$x_{number}$")
        text(ax, x, 1.9, f"$h_{number}$")
        if number < 4:
            arrow(ax, (x + 0.35, middle), (x + 0.75, middle))
            text(ax, x + 0.55, middle + 0.14, f"$h_{number}$")
            if backward:
                way = (x + 0.75, middle - 0.11), (x + 0.35, middle - 0.11)
                arrow(ax, *way, colour=VERMILLION, style="--")
                text(ax, x + 0.55, middle - 0.27, f"$e_{number}$", VERMILLION)
    if backward:
        for number, x in enumerate(places, start=1):
            arrow(ax, (x + 0.13, 1.75), (x + 0.13, middle + 0.2), colour=VERMILLION, style="--")
            text(ax, x + 0.28, 1.5, f"$g_{number}$", VERMILLION)
    return ax


def plot_gru_cell(gates: int = 2, ax: Axes | None = None) -> Axes:
    """Returns the Axes: one step of a gated recurrent unit, from the old state to the new.

    gates: 2 is the whole; 1 leaves the reset gate out, 0 the update gate too.
    """
    ax = canvas(3.0, ax)
    top, row, bridge = 2.65, 1.1, 1.85
    text(ax, 0.25, top, "$h_{t-1}$")
    text(ax, 6.38, top, "$h_t$")
    box(ax, 5.25, row, "candidate\ntanh", width=0.96, height=0.5)
    _from_word(ax, 5.25, row)
    if gates == 0:
        arrow(ax, (0.48, top), (0.6, top), (0.6, row), (4.77, row))
        text(ax, 2.7, row + 0.16, "$h_{t-1}U_h$")
        arrow(ax, (5.25, row + 0.25), (5.25, top), (6.2, top))
        text(ax, 5.4, bridge + 0.15, r"$\tilde{h}$")
        return ax
    _draw_update_gate(ax, top, row, bridge)
    if gates == 1:
        arrow(ax, (3.6, top), (3.6, row), (4.77, row), over=bridge)
        text(ax, 4.15, row + 0.16, "$h_{t-1}U_h$")
    else:
        _draw_reset_gate(ax, top, row, bridge)
    return ax


def _from_word(ax: Axes, x: float, row: float) -> None:
    """Draws the word's arrow into the box at x."""
    arrow(ax, (x, 0.42), (x, row - 0.25))
    text(ax, x, 0.27, "$x_t$")


def _draw_update_gate(ax: Axes, top: float, row: float, bridge: float) -> None:
    """Draws the update gate, and the mixture of the old state and the candidate."""
    arrow(ax, (0.48, top), (3.7, top))
    box(ax, 4.75, top, r"mix:  $z\odot h_{t-1} + (1-z)\odot\tilde{h}$", ORANGE, 2.1, 0.42)
    arrow(ax, (5.8, top), (6.2, top))
    arrow(ax, (1.3, row + 0.25), (1.3, bridge), (4.4, bridge), (4.4, top - 0.21))
    text(ax, 1.45, bridge + 0.15, "$z$")
    arrow(ax, (0.6, top), (0.6, row), (0.82, row))
    box(ax, 1.3, row, "update gate\nsigmoid", width=0.96, height=0.5)
    _from_word(ax, 1.3, row)
    arrow(ax, (5.25, row + 0.25), (5.25, top - 0.21))
    text(ax, 5.4, bridge + 0.15, r"$\tilde{h}$")


def _draw_reset_gate(ax: Axes, top: float, row: float, bridge: float) -> None:
    """Draws the reset gate on the way from the old state to the candidate."""
    arrow(ax, (1.98, top), (1.98, row), (2.22, row), over=bridge)
    arrow(ax, (3.6, top), (3.6, row + 0.14), over=bridge)
    text(ax, 3.95, 0.5 * (row + bridge), "$h_{t-1}U_h$")
    box(ax, 2.7, row, "reset gate\nsigmoid", width=0.96, height=0.5)
    _from_word(ax, 2.7, row)
    arrow(ax, (3.18, row), (3.46, row))
    text(ax, 3.3, row + 0.16, "$r$")
    circle(ax, 3.6, row, "×")
    arrow(ax, (3.74, row), (4.77, row))
