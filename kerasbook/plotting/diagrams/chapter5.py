"""Diagrams of chapter 5: the cell of the LSTM. Every function returns the Axes."""

from kerasbook.plotting.diagrams.boxes import GREY, arrow, box, canvas, circle, text

from matplotlib.axes import Axes


def plot_lstm_cell(ax: Axes | None = None) -> Axes:
    """Returns the Axes: one step of a long short-term memory, its cell along the top."""
    ax = canvas(3.2, ax)
    top, between, row, bus = 2.85, 2.05, 1.25, 0.55
    text(ax, 0.3, top, "$c_{t-1}$")
    arrow(ax, (0.55, top), (1.36, top))
    circle(ax, 1.5, top, "×")
    arrow(ax, (1.64, top), (3.01, top))
    circle(ax, 3.15, top, "+")
    arrow(ax, (3.29, top), (6.15, top))
    text(ax, 6.35, top, "$c_t$")
    arrow(ax, (0.55, bus), (4.75, bus), head=False)
    text(ax, 0.3, bus, "$h_{t-1}$\n$x_t$")
    gates = {1.5: "forget gate\nsigmoid", 2.6: "input gate\nsigmoid"}
    gates |= {3.7: "candidate\ntanh", 4.75: "output gate\nsigmoid"}
    for x, words in gates.items():
        arrow(ax, (x, bus), (x, row - 0.25))
        box(ax, x, row, words, width=0.86, height=0.5)
    arrow(ax, (1.5, row + 0.25), (1.5, top - 0.14))
    text(ax, 1.63, between, "$f$")
    circle(ax, 3.15, between, "×")
    arrow(ax, (2.6, row + 0.25), (2.6, between), (3.01, between))
    text(ax, 2.75, between + 0.15, "$i$")
    arrow(ax, (3.7, row + 0.25), (3.7, between), (3.29, between))
    text(ax, 3.55, between + 0.15, "$g$")
    arrow(ax, (3.15, between + 0.14), (3.15, top - 0.14))
    arrow(ax, (4.75, row + 0.25), (4.75, between - 0.3), (5.56, between - 0.3))
    text(ax, 4.9, between - 0.15, "$o$")
    arrow(ax, (5.7, top), (5.7, 2.5))
    box(ax, 5.7, 2.35, "tanh", GREY, width=0.5, height=0.3)
    arrow(ax, (5.7, 2.2), (5.7, between - 0.16))
    circle(ax, 5.7, between - 0.3, "×")
    arrow(ax, (5.84, between - 0.3), (6.15, between - 0.3))
    text(ax, 6.35, between - 0.3, "$h_t$")
    return ax
