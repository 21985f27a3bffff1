"""Diagrams of chapter 9: towers, the ring, a timetable. Every function returns the Axes."""

from collections.abc import Mapping

from kerasbook.plotting.diagrams.boxes import GREY, ON_TINT, arrow, box, canvas, circle, text, tint
from kerasbook.plotting.page import BLUE, ORANGE, PAGE_WIDTH, TEXT_SIZE, VERMILLION

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from numpy.typing import ArrayLike


def plot_towers(rows: int = 64, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a batch of so many rows on two devices, their gradients added up."""
    ax = canvas(2.5, ax)
    upper, middle, lower = 1.9, 1.25, 0.6
    box(ax, 0.6, middle, f"batch:\n{rows} rows", GREY, height=0.5)
    circle(ax, 4.55, middle, "+", VERMILLION)
    text(ax, 5.2, middle, "all-\nreduce", ha="left")
    for y, number, share in ((upper, 0, rows - rows // 2), (lower, 1, rows // 2)):
        outwards = 0.4 if number == 0 else -0.4
        arrow(ax, (1.0, middle), (1.25, middle), (1.25, y), (1.5, y))
        box(ax, 1.85, y, f"{share} rows", GREY, width=0.7)
        arrow(ax, (2.2, y), (2.45, y))
        box(ax, 3.0, y, f"copy {number} of\nthe weights", width=1.1, height=0.5)
        text(ax, 3.0, y + outwards, f"device {number}")
        arrow(ax, (3.55, y), (3.9, y))
        text(ax, 4.05, y, f"$g_{number}$", VERMILLION)
        inner = y - 0.14 if number == 0 else y + 0.14
        edge = middle + 0.1 if number == 0 else middle - 0.1
        arrow(ax, (4.14, inner), (4.46, edge), colour=VERMILLION, style="--")
        arrow(ax, (4.64, edge), (5.42, y), colour=VERMILLION)
        text(ax, 4.72, y + 0.3 * outwards, "$g_0 + g_1$", VERMILLION)
        box(ax, 5.96, y, "same step,\nsame weights", ORANGE, width=1.06, height=0.5)
    return ax


def plot_ring(counts: ArrayLike, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a ring of devices, and how many summands each part has after every step.

    counts: (steps + 1, devices, parts), whole numbers; two to five devices are readable.
    """
    counts = np.asarray(counts)
    states, devices, parts = counts.shape
    ax = canvas(2.55, ax)
    places = np.linspace(0.75, PAGE_WIDTH - 0.75, devices)
    for number, x in enumerate(places):
        box(ax, x, 2.3, f"device {number}", width=0.85)
        if number + 1 < devices:
            arrow(ax, (x + 0.43, 2.3), (places[number + 1] - 0.43, 2.3))
    back = (places[-1], 2.1), (places[-1], 1.85), (places[0], 1.85), (places[0], 2.1)
    arrow(ax, *back)
    text(ax, PAGE_WIDTH / 2, 1.7, "at each step, every device sends one part to the next")
    room = (PAGE_WIDTH - 0.55) / states
    cell = min(0.22, 0.86 * room / parts)
    for state, summands in enumerate(counts):
        left, top = 0.5 + room * state, 1.1
        text(ax, left + cell * parts / 2, top + 0.17, "start" if state == 0 else f"step {state}")
        for (device, part), count in np.ndenumerate(summands):
            corner = left + cell * part, top - cell * (device + 1)
            shade = tint(BLUE, 0.1 + 0.5 * (count - 1) / max(devices - 1, 1))
            ax.add_patch(
                Rectangle(corner, cell, cell, facecolor=shade, edgecolor=GREY, linewidth=1)
            )
            middle = corner[0] + cell / 2, corner[1] + cell / 2
            text(ax, *middle, f"{count:.0f}", ON_TINT, fontsize=TEXT_SIZE - 1, zorder=4)
    for device in range(devices):
        text(ax, 0.25, 1.1 - cell * (device + 0.5), f"{device}")
    half = (states - 1) // 2
    for first, last, words in ((1, half, "reduce-scatter"), (half + 1, states - 1, "all-gather")):
        start, end = 0.5 + room * first, 0.5 + room * last + cell * parts
        below = 1.1 - cell * devices - 0.15
        ax.plot([start, end], [below, below], color=GREY, linewidth=1.3)
        text(ax, (start + end) / 2, below - 0.17, words)
    return ax


def plot_timetable(ticks: Mapping[tuple[int, str, int], int], ax: Axes | None = None) -> Axes:
    """Returns the Axes: what the stages of a pipeline do at every tick, a row for each stage.

    ticks: (stage, "F" or "B", micro-batch) → tick. Blue is a way there, orange a way back; the
    number is that of the micro-batch. A grey field is idle.
    """
    stages, length = 1 + max(stage for stage, *_ in ticks), 1 + max(ticks.values())
    cell = min(0.4, (PAGE_WIDTH - 0.9) / length)
    height = 0.3
    ax = canvas(0.35 + height * stages, ax)
    for stage in range(stages):
        bottom = 0.3 + height * (stages - 1 - stage)
        text(ax, 0.4, bottom + height / 2, f"stage {stage}")
        whole = Rectangle((0.8, bottom), cell * length, height, facecolor=tint(GREY, 0.25))
        ax.add_patch(whole)
        for (_, way, piece), tick in (item for item in ticks.items() if item[0][0] == stage):
            shade = tint(BLUE, 0.25) if way == "F" else tint(ORANGE, 0.95)
            corner, look = (0.8 + cell * tick, bottom), {"edgecolor": GREY, "linewidth": 1}
            ax.add_patch(Rectangle(corner, cell, height, facecolor=shade, **look))
            middle = corner[0] + cell / 2, bottom + height / 2
            text(ax, *middle, f"{piece}", ON_TINT, fontsize=TEXT_SIZE - 1, zorder=4)
    text(ax, 0.8, 0.13, "blue: there, orange: back, grey: idle; time →", ha="left")
    return ax
