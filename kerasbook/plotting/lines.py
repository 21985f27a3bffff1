"""Points with one feature, and the lines or curves that are fitted to them."""

from collections.abc import Callable, Mapping
from typing import Any

from kerasbook.plotting import arguments, page
from kerasbook.plotting.page import BLACK, BLUE, COLOURS, LINE_STYLES, PAGE_WIDTH, TEXT_SIZE

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

POINTS: dict[str, Any] = {"marker": "o", "s": 13, "color": "0.55", "linewidths": 0, "zorder": 2}


def plot_fit(
    x: ArrayLike,
    y: ArrayLike,
    curves: Mapping[str, Callable[[np.ndarray], ArrayLike]],
    *,
    residuals: bool = False,
    x_label: str,
    y_label: str,
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with the points x, y, both (n,) or (n, 1), and a curve for each function.

    The height is that of the points: a curve that leaves it is cut off. With `residuals`, a thin
    line joins each point to the first curve, and the height is that of both.

    Raises:
        ValueError: no points, x and y of different lengths, or residuals without a curve.
    """
    places, heights = arguments.vector(x, "x"), arguments.vector(y, "y")
    arguments.same_length(places, heights, "x and y")
    if residuals and not curves:
        raise ValueError("residuals=True needs a curve that they are measured from")
    ax, lines = page.one_axes(ax, height=3.8), []
    across = np.linspace(places.min(), places.max(), 400)
    for number, (name, function) in enumerate(curves.items()):
        look = {"color": page.ink(ax, COLOURS[number % len(COLOURS)]), "linewidth": 2, "zorder": 3}
        style = LINE_STYLES[number % len(LINE_STYLES)]
        lines += ax.plot(across, np.ravel(function(across)), linestyle=style, label=name, **look)
    shown = heights
    if residuals:
        ends = np.ravel(next(iter(curves.values()))(places))
        ax.vlines(places, ends, heights, color="0.75", linewidth=0.8, zorder=1)
        shown = np.concatenate([heights, ends])
    ax.scatter(places, heights, **{**POINTS, "color": "0.35"})
    margin = 0.08 * (shown.max() - shown.min()) or 1.0
    ax.set_ylim(shown.min() - margin, shown.max() + margin)
    page.label(ax, x_label, y_label)
    page.legend_below(ax, lines)
    return ax


def plot_first_lines(
    x: ArrayLike,
    y: ArrayLike,
    paths: Mapping[str, ArrayLike],
    *,
    y_range: tuple[float, float],
    x_label: str,
    y_label: str,
    axes: Any = None,
) -> np.ndarray:
    """Returns the Axes (panels,) with the points and, for each path, the line of every step.

    A path is (steps, 2): slope and bias. Its first line is dashed and black, the last one bold;
    between them the lines darken. All panels show `y_range`, (low, high).

    Raises:
        ValueError: no path, a path that is not (steps, 2), or fewer axes than paths.
    """
    places, heights = arguments.vector(x, "x"), arguments.vector(y, "y")
    arguments.same_length(places, heights, "x and y")
    if not paths:
        raise ValueError("paths must hold at least one path of (slope, bias)")
    if axes is None:
        axes = page.new_axes(1, len(paths), PAGE_WIDTH, 2.8).ravel()
    axes = page.given_axes(axes, len(paths))
    for ax, (name, path) in zip(axes, paths.items(), strict=True):
        track = arguments.numbers(path, f"paths[{name!r}]")
        if track.ndim != 2 or track.shape[1] != 2 or len(track) == 0:
            raise ValueError(f"paths[{name!r}] has shape {track.shape}; it must be (steps, 2)")
        ax.scatter(places, heights, **{**POINTS, "s": 5})
        _draw_steps(ax, np.array([places.min(), places.max()]), track)
        ax.set_ylim(y_range)
        page.label(ax, x_label, y_label if ax is axes[0] else "", name)
    return axes


def _draw_steps(ax: Axes, ends: np.ndarray, track: np.ndarray) -> None:
    """Draw a line from end to end for each (slope, bias) of a path, from light to dark."""
    shades = colormaps["Blues"](np.linspace(0.35, 0.9, len(track)))
    for shade, (slope, bias) in zip(shades, track, strict=True):
        ax.plot(ends, slope * ends + bias, color=shade, linewidth=1.2, zorder=3)
    first, last = track[0], track[-1]
    ink = page.ink(ax, BLACK)
    ax.plot(ends, first[0] * ends + first[1], color=ink, linestyle="--", linewidth=1.6, zorder=4)
    ax.plot(ends, last[0] * ends + last[1], color=BLUE, linewidth=2.4, zorder=4)


def label_ends(ax: Axes, gap: float = 1.3 * TEXT_SIZE) -> Axes:
    """Returns ax, with each curve's name at its right end in place of the legend.

    A curve that ends earlier than others gets no name. Names that would touch are moved apart, so
    that there are `gap` points from middle to middle.
    """
    if (legend := ax.get_legend()) is not None:
        legend.remove()
    ax.figure.draw_without_rendering()  # lays the figure out: only now places are known
    lines = [line for line in ax.lines if not line.get_label().startswith("_")]
    ends = [line.get_xydata()[np.isfinite(line.get_ydata())][-1] for line in lines]
    last = max(x for x, _ in ends)
    named = [(end, line) for end, line in zip(ends, lines, strict=True) if end[0] == last]
    points = 72 / ax.figure.dpi
    named.sort(key=lambda pair: ax.transData.transform(pair[0])[1])
    places = np.array([points * ax.transData.transform(end)[1] for end, _ in named])
    for (end, line), place, free in zip(named, places, _apart(places, gap), strict=True):
        ax.annotate(
            line.get_label(),
            end,
            (9, free - place),
            textcoords="offset points",
            va="center",
            fontsize=TEXT_SIZE,
        )
    return ax


def _apart(places: np.ndarray, gap: float) -> np.ndarray:
    """Returns places, in rising order, moved as little as is simple so that neighbours have gap."""
    free = places.copy()
    for _ in range(100):
        short = np.maximum(gap - np.diff(free), 0) / 2
        if short.max(initial=0) < 0.1:
            break
        free[1:] += short
        free[:-1] -= short
    return free
