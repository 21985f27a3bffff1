"""A loss over two parameters, and the paths that optimisers take on it."""

from collections.abc import Callable, Mapping
from typing import Any

from kerasbook.plotting import arguments, page
from kerasbook.plotting.page import BLACK, COLOURS, LINE_STYLES, MARKERS, STAR

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator
from numpy.typing import ArrayLike


def plot_loss_surface(
    loss: Callable[[Any, Any], Any],
    paths: Mapping[str, ArrayLike],
    *,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    minimum: tuple[float, float] | None = None,
    x_label: str,
    y_label: str,
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with the contours of loss(x, y) and the paths that optimisers took on it.

    `loss` takes two arrays of one shape and works on each element, or takes two numbers (slower:
    some 6,600 calls). A path is (steps, 2), the first row its start; arrows show its direction.
    Levels are spaced by logarithm above the lowest value seen. The ranges (low, high) default to
    what holds the paths and the minimum; set them when a path diverges.

    Raises:
        ValueError: a path that is not (steps, 2), a range that is not low < high, nothing to take a
            range from, or a loss without finite values.
    """
    tracks = {str(name): _path(path, str(name)) for name, path in paths.items()}
    if minimum is not None:
        minimum = tuple(arguments.vector(minimum, "minimum"))
        if len(minimum) != 2 or not np.all(np.isfinite(minimum)):
            raise ValueError(f"minimum must be two numbers (x, y), not {minimum}")
    points = np.concatenate([*tracks.values(), np.reshape(minimum or [], (-1, 2))])
    x_low, x_high = _range(x_range, points[:, 0], "x_range")
    y_low, y_high = _range(y_range, points[:, 1], "y_range")
    across, up, values = _loss_grid(loss, (x_low, x_high), (y_low, y_high))

    ax = page.one_axes(ax, height=5.0)
    _draw_contours(ax, across, up, values)
    handles, marks = [], []
    if minimum is not None:
        marks += ax.plot(*minimum, **STAR, color="white", zorder=5, label="minimum")
    span = np.array([x_high - x_low, y_high - y_low])
    low = np.array([x_low, y_low])
    for number, (name, track) in enumerate(tracks.items()):
        handles.append(_draw_path(ax, name, track, low, span, number))
    page.label(ax, x_label, y_label)
    ax.grid(False)
    ax.set(xlim=(x_low, x_high), ylim=(y_low, y_high))
    if tracks:
        ends = {"marker": "o", "markersize": 8, "markeredgecolor": "black", "linestyle": "none"}
        marks.append(Line2D([], [], **ends, color="white", label="start"))
        marks.append(Line2D([], [], **ends, color="0.5", label="end"))
    page.legend_below(ax, handles, marks)
    return ax


def _path(path: ArrayLike, name: str) -> np.ndarray:
    array = arguments.numbers(path, f"paths[{name!r}]")
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(f"paths[{name!r}] has shape {array.shape}; it must be (steps, 2)")
    return arguments.gaps(array)


def _range(given: tuple[float, float] | None, points: np.ndarray, name: str) -> tuple[float, float]:
    """Return the given range, or one that holds the points with a margin."""
    if given is not None:
        array = arguments.vector(given, name)
        if len(array) != 2 or not np.all(np.isfinite(array)) or not array[0] < array[1]:
            raise ValueError(f"{name} must be (low, high) with low < high, not {given}")
        return float(array[0]), float(array[1])
    points = points[np.isfinite(points)]
    if len(points) == 0:
        raise ValueError(f"neither a path nor a minimum tells the range: pass {name}=(low, high)")
    low, high = float(points.min()), float(points.max())
    margin = 0.12 * (high - low) or 0.5 * max(abs(low), 1.0)
    return low - margin, high + margin


def _loss_grid(
    loss: Callable[[Any, Any], Any], x_range: tuple[float, float], y_range: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return x, y and loss(x, y) on a grid: a fine one if loss takes arrays, else a coarse one."""
    with np.errstate(all="ignore"):
        x, y = np.meshgrid(np.linspace(*x_range, 241), np.linspace(*y_range, 241))
        try:
            values = np.asarray(loss(x, y), dtype=np.float64)
        except Exception:  # it takes numbers only; if it is wrong, the calls below will say so
            values = np.empty(0)
        if values.shape != x.shape:
            x, y = np.meshgrid(np.linspace(*x_range, 81), np.linspace(*y_range, 81))
            pairs = zip(x.ravel().tolist(), y.ravel().tolist(), strict=True)
            values = arguments.numbers([loss(a, b) for a, b in pairs], "loss(x, y)")
            if values.size != x.size:
                raise ValueError(f"loss(x, y) must be one number, not {values.shape[1:]}")
            values = values.reshape(x.shape)
    if not np.any(np.isfinite(values)):
        raise ValueError("loss has no finite value over these ranges: set x_range and y_range")
    return x, y, values


def _draw_contours(ax: Axes, x: np.ndarray, y: np.ndarray, values: np.ndarray) -> None:
    """Draw filled contours, light enough for lines on top, at levels spaced by logarithm."""
    finite = values[np.isfinite(values)]
    low, high = finite.min(), finite.max()
    if not high - low > 1e-12 * max(abs(low), abs(high)):
        return  # a flat loss has no contours
    above = finite[finite > low] - low
    nearest = max(np.quantile(above, 0.005), 1e-5 * (high - low))
    if nearest >= high - low:
        nearest = 1e-2 * (high - low)
    levels = low + np.concatenate([[0], np.geomspace(nearest, high - low, 14)])
    shades = LinearSegmentedColormap.from_list(
        "kerasbook_greys", colormaps["Greys"](np.linspace(0.34, 0.0, 256))
    )
    picture = ax.contourf(
        x,
        y,
        np.ma.masked_invalid(values),
        levels=levels,
        cmap=shades,
        norm=BoundaryNorm(levels, shades.N),
    )
    ax.contour(x, y, values, levels=levels[1:-1], colors="0.55", linewidths=0.5)
    bar = page.colour_bar(picture, ax, "loss")
    shown = levels[::2]
    bar.ax.yaxis.set_major_locator(FixedLocator(shown))
    bar.ax.yaxis.set_major_formatter(FixedFormatter([_short(level) for level in shown]))
    bar.ax.minorticks_off()


def _short(value: float) -> str:
    """Return three figures, with an exponent only where the number would be long."""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _draw_path(
    ax: Axes, name: str, track: np.ndarray, low: np.ndarray, span: np.ndarray, number: int
) -> Line2D:
    """Draw one path with its start, arrows and end; return what the legend shows."""
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    style = LINE_STYLES[number % len(LINE_STYLES)]
    finite = track[np.all(np.isfinite(track), axis=1)]
    inside = np.all((finite >= low) & (finite <= low + span), axis=1)
    if len(finite) == 0 or not inside[-1] or len(finite) < len(track):
        name += " (leaves the picture)"
    # Far outside the picture Matplotlib would overflow.
    track = np.clip(track, low - 1e4 * span, low + 1e4 * span)
    finite = np.clip(finite, low - 1e4 * span, low + 1e4 * span)
    ax.plot(*track.T, color="white", linewidth=3.4, alpha=0.8, zorder=2.5)
    (line,) = ax.plot(*track.T, color=colour, linestyle=style, linewidth=1.8, zorder=3)
    if colour != BLACK:  # a dark edge keeps pale colours visible on the grey, in print too
        line.set_path_effects([withStroke(linewidth=2.8, foreground=BLACK)])
    end = {"color": colour, "marker": marker, "markersize": 8, "markeredgecolor": "black"}
    if len(finite):
        ax.plot(*finite[0], color="white", marker="o", markersize=8, mec=colour, mew=1.8, zorder=4)
        ax.plot(*finite[-1], zorder=4, **end)
        _draw_arrows(ax, finite, span, colour)
    return Line2D([], [], linestyle=style, linewidth=1.8, label=name, **end)


def _draw_arrows(ax: Axes, track: np.ndarray, span: np.ndarray, colour: str) -> None:
    """Draw arrow heads at three places of the path, by its length on the page."""
    lengths = np.hypot(*(np.diff(track, axis=0) / span).T)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    if along[-1] == 0:
        return
    for share in (0.2, 0.5, 0.8):
        at = np.array([share - 0.01, share]) * along[-1]
        tail, head = np.stack([np.interp(at, along, track[:, i]) for i in (0, 1)], axis=1)
        ax.annotate(
            "",
            xy=head,
            xytext=tail,
            annotation_clip=True,
            zorder=4,
            arrowprops={
                "arrowstyle": "-|>",
                "facecolor": colour,
                "edgecolor": BLACK,
                "linewidth": 0.6,
                "mutation_scale": 14,
                "shrinkA": 0,
                "shrinkB": 0,
            },
        )
