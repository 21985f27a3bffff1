"""Diagrams of chapter 3: windows over numbers, a network of maps, the residual block.

Each function returns the Axes.
"""

from collections.abc import Mapping, Sequence

from kerasbook.plotting import page
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

    picture (h, w) and kernel (kh, kw) hold small whole numbers; or both have channels behind,
    (h, w, channels) and (kh, kw, channels), each of which gets a row, and the rows are added up.
    The window lies at `place`, and the sum that it gives is written out below.

    Raises:
        ValueError: no window begins at this place.
    """
    picture, kernel = (np.atleast_3d(np.asarray(each)) for each in (picture, kernel))
    windows = np.lib.stride_tricks.sliding_window_view(picture, kernel.shape)[:, :, 0]
    row, column = place
    if not (0 <= row < windows.shape[0] and 0 <= column < windows.shape[1]):
        raise ValueError(
            f"place is {place}; the windows lie at 0 to {windows.shape[:2]}, exclusive"
        )
    channels, height = picture.shape[2], picture.shape[0] * CELL
    ax, pitch = canvas(0.5 + channels * (height + 0.32), ax), height + 0.32
    sums = (windows * kernel).sum(axis=(2, 3))  # (rows, columns, channels)
    inside = np.zeros(picture.shape[:2], bool)
    inside[row : row + kernel.shape[0], column : column + kernel.shape[1]] = True
    chosen = np.zeros(sums.shape[:2], bool)
    chosen[place] = True
    for channel in range(channels):
        middle = 0.48 + height / 2 + (channels - 1 - channel) * pitch
        number = f" {channel + 1}" if channels > 1 else ""
        tables = {f"picture, channel{number}" if number else "picture": picture[:, :, channel]}
        tables |= {f"kernel{number}": kernel[:, :, channel]}
        tables |= {f"sums{number}" if number else "output": sums[:, :, channel]}
        marks = (inside, kernel[:, :, 0] == kernel[:, :, 0], chosen)
        right = _tables(ax, 0.5, middle, tables, marks, ("∗", "="))
    if channels > 1:
        middle, below = 0.32 + channels * pitch / 2, sums.shape[0] * CELL / 2 + 0.2
        for channel in range(channels - 1):
            between = 0.48 + height / 2 + (channels - 1 - channel) * pitch - below
            text(ax, right - sums.shape[1] * CELL / 2, between, "+", fontsize=14)
        _tables(ax, right + 0.66, middle, {"output": sums.sum(axis=2)}, (chosen,), ())
        text(ax, right + 0.33, middle, "=", fontsize=14)
    parts = [_sum(windows[place][:, :, k], kernel[:, :, k]) for k in range(channels)]
    total = _signed(sums[place].sum())
    words = parts[0] if channels == 1 else " + ".join(f"({part})" for part in parts)
    text(ax, 3.3, 0.22, f"{words} = {total}")
    return ax


def _tables(ax, left, middle, tables, marks, signs) -> float:
    """Draws tables with titles in a row, signs between them; returns where the row ends."""
    for number, ((title, values), marked) in enumerate(zip(tables.items(), marks, strict=True)):
        colour = ORANGE if title.startswith(("output", "sums")) else BLUE
        _table(ax, left, middle, values, marked, colour)
        top = middle + values.shape[0] * CELL / 2
        text(ax, left + values.shape[1] * CELL / 2, top + 0.14, title)
        left += values.shape[1] * CELL
        if number < len(signs):
            text(ax, left + 0.33, middle, signs[number], fontsize=14)
            left += 0.66
    return left


def _table(ax, left, middle, values, marked, colour, size=CELL) -> None:
    """Draws numbers in squares, of which some are marked by a tint and a thick border."""
    top = middle + values.shape[0] * size / 2
    for (i, j), value in np.ndenumerate(values):
        x, y = left + j * size, top - (i + 1) * size
        face = tint(colour, 0.3) if marked[i, j] else "white"
        ax.add_patch(Rectangle((x, y), size, size, facecolor=face, edgecolor=GREY, linewidth=0.8))
        ax.text(x + size / 2, y + size / 2, _signed(value), ha="center", va="center", fontsize=9)
    rows, columns = np.flatnonzero(marked.any(axis=1)), np.flatnonzero(marked.any(axis=0))
    corner = left + columns[0] * size, top - (rows[-1] + 1) * size
    frame = {"facecolor": "none", "edgecolor": colour, "linewidth": 2.2, "zorder": 3}
    ax.add_patch(Rectangle(corner, len(columns) * size, len(rows) * size, **frame))


def _signed(value) -> str:
    return f"{value:.0f}".replace("-", "−")


def _sum(window, kernel) -> str:
    """Returns the sum of the products, written out."""
    pairs = zip(window.ravel(), kernel.ravel(), strict=True)
    terms = [f"{'−' if w < 0 else '+'} {_signed(abs(w))}·{_signed(x)}" for x, w in pairs]
    words = " ".join(terms).removeprefix("+ ")
    return "−" + words.removeprefix("− ") if words.startswith("−") else words


def plot_numbers(tables: ArrayLike, titles: Sequence[str], ax: Axes | None = None) -> Axes:
    """Returns the Axes: tables (n, h, w) of small whole numbers, those not zero in a frame."""
    tables, size, top = np.asarray(tables), 0.2, 0.3
    _, rows, columns = tables.shape
    ax = canvas(rows * size + top + 0.1, ax)
    gap = min((6.6 - len(tables) * columns * size) / len(tables), 0.4)
    left = (6.6 - len(tables) * (columns * size + gap) + gap) / 2
    for values, title in zip(tables, titles, strict=True):
        _table(ax, left, 0.08 + rows * size / 2, values, values != 0, BLUE, size)
        text(ax, left + columns * size / 2, rows * size + 0.22, title)
        left += columns * size + gap
    return ax


def plot_places(
    pixels: int, window: int, cases: Mapping[str, tuple[int, int]], ax: Axes | None = None
) -> Axes:
    """Returns the Axes: the places of a window on pixels × pixels, a panel for each case.

    cases: title → width of the frame of zeros, stride. A dot is the middle of a place, and the
    first two places of the window are framed. Below stands how many places there are.
    """
    size, widest = 0.2, pixels + 2 * max(frame for frame, _ in cases.values())
    ax = canvas(widest * size + 0.72, ax)
    pitch = 6.6 / len(cases)
    for number, (title, (frame, stride)) in enumerate(cases.items()):
        across = pixels + 2 * frame
        left = pitch * (number + 0.5) - across * size / 2
        top = 0.4 + (widest + across) * size / 2
        _pixels(ax, left, top, pixels, frame, size)
        places = (across - window) // stride + 1
        for i, j in np.ndindex(places, places):
            middle = (stride * np.array((j, i)) + window / 2) * size
            ax.plot(left + middle[0], top - middle[1], "o", color=ORANGE, markersize=4, zorder=4)
        for j, style in ((1, ":"), (0, "-")):
            corner = left + j * stride * size, top - window * size
            look = {"facecolor": "none", "edgecolor": BLUE, "linewidth": 2.2, "linestyle": style}
            ax.add_patch(Rectangle(corner, window * size, window * size, zorder=3, **look))
        text(ax, pitch * (number + 0.5), widest * size + 0.55, title)
        text(ax, pitch * (number + 0.5), 0.18, f"{places} × {places} places")
    return ax


def _pixels(ax, left, top, pixels, frame, size) -> None:
    """Draws pixels as tinted squares, and the frame around them as white ones with a zero."""
    for i, j in np.ndindex(pixels + 2 * frame, pixels + 2 * frame):
        inside = frame <= min(i, j) and max(i, j) < frame + pixels
        corner = left + j * size, top - (i + 1) * size
        face = tint(GREY, 0.45) if inside else "white"
        ax.add_patch(Rectangle(corner, size, size, facecolor=face, edgecolor=GREY, linewidth=0.6))
        if not inside:
            middle = corner[0] + size / 2, corner[1] + size / 2
            ax.text(*middle, "0", ha="center", va="center", fontsize=6, color=GREY)


def plot_network(
    shapes: Sequence[tuple[int, ...]], steps: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Returns the Axes: a network of maps, from left to right, as stacks of squares and bars.

    shapes: of the input and of what each step gives, (side, side, maps) or (units,), n + 1 of
    them; steps: the n names that stand over the arrows. A square's side is that of its maps.
    """
    ax, ground = canvas(2.0, ax), 1.12
    pitch, largest = 6.6 / len(shapes), shapes[0][0]
    ends = []
    for number, shape in enumerate(shapes):
        middle = pitch * (number + 0.5)
        if len(shape) == 3:
            ends.append(_stack(ax, middle, ground, 0.5 * shape[0] / largest, shape[2]))
            words = f"{shape[0]} × {shape[1]}\n{shape[2]} map{'s' * (shape[2] > 1)}"
        else:
            ends.append(_bar(ax, middle, ground, shape[0]))
            words = f"{shape[0]}\n{'units' if number < len(shapes) - 1 else 'classes'}"
        text(ax, middle, 0.28, words)
    for (_, start), (end, _), name in zip(ends[:-1], ends[1:], steps, strict=True):
        arrow(ax, (start + 0.03, ground), (end - 0.03, ground))
        text(ax, (start + end) / 2, 1.85, name)
    return ax


def _stack(ax, middle, ground, side, maps) -> tuple[float, float]:
    """Draws a few squares, one behind the other; returns where they begin and end."""
    count = int(np.log2(maps)) + 1
    shift = 0.025
    width = side + (count - 1) * shift
    for number in reversed(range(count)):
        corner = (
            middle - width / 2 + number * shift,
            ground - side / 2 + (number - (count - 1) / 2) * shift,
        )
        look = {"facecolor": tint(BLUE), "edgecolor": BLUE, "linewidth": 0.9, "zorder": 3}
        ax.add_patch(Rectangle(corner, side, side, **look))
    return middle - width / 2, middle + width / 2


def _bar(ax, middle, ground, units) -> tuple[float, float]:
    """Draws a row of units as a bar, longer for more of them; returns where it begins and ends."""
    height = 0.1 * np.log2(units)
    look = {"facecolor": tint(ORANGE), "edgecolor": ORANGE, "linewidth": 1.1, "zorder": 3}
    ax.add_patch(Rectangle((middle - 0.05, ground - height / 2), 0.1, height, **look))
    return middle - 0.05, middle + 0.05


def plot_residual_block(ax: Axes | None = None) -> Axes:
    """Returns the Axes: two layers with a shortcut around them, from left to right."""
    ax = canvas(1.75, ax)
    line, above = 0.75, 1.42
    words = {1.05: "conv\n3 × 3", 1.95: "batch\nnorm", 2.8: "ReLU", 3.65: "conv\n3 × 3"}
    words |= {4.55: "batch\nnorm", 5.75: "ReLU"}
    for x, name in words.items():
        box(ax, x, line, name, GREY if name == "ReLU" else BLUE, 0.66, 0.46)
    circle(ax, 5.15, line, "+")
    ends = [0.2, *(x + sign * 0.33 for x in sorted(words) for sign in (-1, 1)), 6.42]
    pairs = list(zip(ends[::2], ends[1::2], strict=True))
    pairs[-2:-1] = [(4.88, 5.01), (5.29, 5.42)]
    for start, end in pairs:
        arrow(ax, (start, line), (end, line))
    arrow(ax, (0.4, line), (0.4, above), (5.15, above), (5.15, line + 0.14))
    text(ax, 0.2, line + 0.2, "$x$")
    text(ax, 6.3, line + 0.2, "new $x$")
    text(ax, 2.8, above + 0.17, "the shortcut: $x$ as it is")
    _brace(ax, 0.72, 4.88, 0.42)
    text(ax, 2.8, 0.16, "$F(x)$: what the layers add")
    return ax


def _brace(ax, left, right, y, depth=0.1) -> None:
    """Draws a bracket under what stands between left and right."""
    middle, look = (left + right) / 2, {"color": page.ink(ax), "linewidth": 1.0}
    ax.plot([left, left, right, right], [y + depth / 2, y, y, y + depth / 2], **look)
    ax.plot([middle, middle], [y, y - depth], **look)
