"""Diagrams of chapter 9: towers, the ring, shares, a timetable. Every function returns the Axes."""

from collections.abc import Mapping

from kerasbook.plotting.diagrams.boxes import GREY, ON_TINT, arrow, box, canvas, circle, text, tint
from kerasbook.plotting.page import BLUE, ORANGE, PAGE_WIDTH, SKY, TEXT_SIZE, VERMILLION

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle


def plot_towers(rows: int = 64, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a batch of so many rows on two devices, their gradients added up."""
    ax = canvas(2.5, ax)
    upper, middle, lower = 1.9, 1.25, 0.6
    box(ax, 0.6, middle, f"batch:\n{rows} rows", GREY, height=0.5)
    circle(ax, 4.55, middle, "+", VERMILLION)
    text(ax, 4.2, middle, "all-reduce", ha="right")
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
        arrow(ax, (4.14, inner), (4.46, edge), colour=VERMILLION)
        arrow(ax, (4.64, edge), (5.42, y), colour=VERMILLION)
        box(ax, 5.96, y, "same step,\nsame weights", ORANGE, width=1.06, height=0.5)
    text(ax, 5.3, middle, "$g_0 + g_1$", VERMILLION)
    return ax


def summands(devices: int) -> np.ndarray:
    """Returns how many summands each part has: (2 · devices - 1 moments, devices, parts).

    The first moment is the start, each of the others is after a step of the ring.
    """
    device, part = np.indices((devices, devices))
    arrival = (device - 1 - part) % devices  # the step, from 1, that brings it; 0 is never
    counts = [np.where((arrival > 0) & (arrival <= s), arrival + 1, 1) for s in range(devices)]
    for step in range(devices - 1):
        complete = (device - 1 - part) % devices == step
        counts.append(np.where(complete, devices, counts[-1]))
    return np.array(counts)


def plot_ring(devices: int = 4, ax: Axes | None = None) -> Axes:
    """Returns the Axes: a ring, and how many summands each part has after every step.

    The upper tables are reduce-scatter, the lower ones all-gather; a frame is around what has just
    arrived. Two to five devices are readable.
    """
    counts, half = summands(devices), devices - 1
    left, gap = 0.85, 0.28
    cell = min(0.3, ((PAGE_WIDTH - left) / devices - gap) / devices)
    height = cell * devices + 0.75
    ax = canvas(2 * height + 0.95, ax)
    _ring_of_boxes(ax, devices, 2 * height + 0.7)
    for row, words in enumerate(("reduce-scatter", "all-gather")):
        top = (2 - row) * height - 0.45
        text(ax, left - 0.1, top + 0.18, "part", ha="right")
        for device in range(devices):
            text(ax, left - 0.1, top - cell * (device + 0.5), f"device {device}", ha="right")
        for column in range(devices - row):  # what stands at the end of one row begins no other
            state = column + row * (half + 1)
            corner = left + column * (cell * devices + gap), top
            title = "start" if state == 0 else f"{words}, {state - row * half}"
            text(ax, corner[0] + cell * devices / 2, top + 0.4, title)
            _table(ax, counts[state], counts[max(state - 1, 0)], corner, cell)
    return ax


def _ring_of_boxes(ax: Axes, devices: int, y: float) -> None:
    """Draws the devices, and who sends to whom."""
    places = np.linspace(0.75, PAGE_WIDTH - 0.75, devices)
    for number, x in enumerate(places):
        box(ax, x, y, f"device {number}", width=0.85)
        if number + 1 < devices:
            arrow(ax, (x + 0.43, y), (places[number + 1] - 0.43, y))
    below = y - 0.42
    arrow(ax, (places[-1], y - 0.2), (places[-1], below), (places[0], below), (places[0], y - 0.2))


def _table(ax: Axes, counts: np.ndarray, before: np.ndarray, corner: tuple, cell: float) -> None:
    """Draws a table (devices, parts) of numbers; its parts are numbered, its news are framed."""
    left, top = corner
    devices = len(counts)
    for part in range(devices):
        text(ax, left + cell * (part + 0.5), top + 0.18, f"{part}", GREY)
    for (device, part), count in np.ndenumerate(counts):
        place = left + cell * part, top - cell * (device + 1)
        new = count != before[device, part]
        look = {"edgecolor": VERMILLION if new else GREY, "linewidth": 2 if new else 0.8}
        shade = tint(BLUE, 0.05 + 0.4 * (count - 1) / max(devices - 1, 1))
        ax.add_patch(
            Rectangle(place, cell, cell, facecolor=shade, zorder=3.5 if new else 3, **look)
        )
        text(ax, place[0] + cell / 2, place[1] + cell / 2, f"{count}", ON_TINT, zorder=4)


WAYS = {  # of which every device has a part only: weights, gradients, velocity
    "copies": (False, False, False),
    "steps divided": (False, True, True),
    "all divided": (True, True, True),
}


def plot_shares(devices: int = 4, ax: Axes | None = None) -> Axes:
    """Returns the Axes: what each of the devices keeps, in three ways to train with momentum."""
    ax = canvas(2.65, ax)
    left, height, width = 0.95, 0.5, (PAGE_WIDTH - 1.0) / len(WAYS)
    kinds = ("weights", SKY), ("gradients", ORANGE), ("velocity", GREY)
    for row, (kind, _) in enumerate(kinds):
        text(ax, left - 0.12, 1.95 - height * (row + 0.5), kind, ha="right")
    text(ax, left - 0.12, 0.3, "device", ha="right")
    for column, (name, divided) in enumerate(WAYS.items()):
        first = left + column * width
        each = (width - 0.3) / devices
        text(ax, first + each * devices / 2, 2.4, name)
        bytes_of_each = sum(4 / devices if cut else 4 for cut in divided)
        text(ax, first + each * devices / 2, 2.15, f"{bytes_of_each:g} bytes a weight")
        for device in range(devices):
            x = first + each * device
            text(ax, x + each / 2, 0.3, f"{device}")
            for row, ((_, colour), cut) in enumerate(zip(kinds, divided, strict=True)):
                y = 1.95 - height * (row + 1)
                size = (0.85 * each, 0.86 * height)
                ax.add_patch(Rectangle((x, y), *size, facecolor="none", edgecolor=GREY, lw=0.8))
                part = size[1] / devices if cut else size[1]
                bottom = y + size[1] - part * (device + 1) if cut else y
                look = {"facecolor": tint(colour, 0.7), "edgecolor": GREY, "lw": 0.8}
                ax.add_patch(Rectangle((x, bottom), size[0], part, **look))
    return ax


def plot_timetable(ticks: Mapping[tuple[int, str, int], int], ax: Axes | None = None) -> Axes:
    """Returns the Axes: what the stages of a pipeline do at every tick, a row for each stage.

    ticks: (stage, "F" or "B", micro-batch) → tick. Blue is forward, orange backward, with the
    number of the micro-batch; where nothing stands a stage is idle.
    """
    stages, length = 1 + max(stage for stage, *_ in ticks), 1 + max(ticks.values())
    cell = min(0.4, (PAGE_WIDTH - 0.9) / length)
    height = 0.3
    ax = canvas(0.1 + height * stages, ax)
    for stage in range(stages):
        bottom = 0.05 + height * (stages - 1 - stage)
        text(ax, 0.4, bottom + height / 2, f"stage {stage}")
        whole = Rectangle((0.8, bottom), cell * length, height, fill=False, edgecolor=tint(GREY))
        ax.add_patch(whole)
        for (_, way, piece), tick in (item for item in ticks.items() if item[0][0] == stage):
            shade = tint(BLUE, 0.25) if way == "F" else tint(ORANGE, 0.95)
            corner, look = (0.8 + cell * tick, bottom), {"edgecolor": GREY, "linewidth": 1}
            ax.add_patch(Rectangle(corner, cell, height, facecolor=shade, **look))
            middle = corner[0] + cell / 2, bottom + height / 2
            text(ax, *middle, f"{way}{piece}", ON_TINT, fontsize=TEXT_SIZE - 1, zorder=4)
    return ax
