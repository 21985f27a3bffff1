"""Series in time: what came and what was forecast, and how far forecasts were off."""

from collections.abc import Mapping

from kerasbook.plotting import arguments, page
from kerasbook.plotting.page import BLUE, COLOURS, LINE_STYLES, TEXT_SIZE

import numpy as np
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from numpy.typing import ArrayLike


def plot_series(
    times: ArrayLike,
    series: Mapping[str, ArrayLike],
    *,
    y_label: str,
    x_label: str = "time",
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with one curve per entry of series over times (n,), numbers or datetime64.

    The first curve, what was observed, is broad and grey; forecasts lie on it in colours. Times
    must rise; a gap between two of them that is longer than the commonest is a gap in the curves.

    Raises:
        ValueError: no curves, times that do not rise, or curves of another length.
    """
    if not isinstance(series, Mapping) or not series:
        raise ValueError('series must hold at least one curve: {"true": values}')
    places = np.asarray(times).ravel()
    if len(places) == 0 or not np.all(np.diff(places) > np.zeros(1, np.diff(places).dtype)):
        raise ValueError("times must be one or more, each later than the one before")
    ax, lines = page.one_axes(ax, height=3.4), []
    for number, (name, values) in enumerate(series.items()):
        curve = arguments.gaps(arguments.vector(values, f"series[{name!r}]"))
        arguments.same_length(places, curve, f"times and series[{name!r}]")
        first = number == 0
        lines += ax.plot(
            *_with_gaps(places, curve),
            color="0.6" if first else page.ink(ax, COLOURS[(number - 1) % len(COLOURS)]),
            linestyle="-" if first else LINE_STYLES[(number - 1) % len(LINE_STYLES)],
            linewidth=3.0 if first else 1.4,
            marker="o" if len(places) == 1 else None,  # no line has one point
            label=str(name),
        )
    page.label(ax, x_label, y_label)
    if places.dtype.kind == "M":
        locator = AutoDateLocator(minticks=4, maxticks=9)
        ax.xaxis.set_major_locator(locator)
        ax.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    ax.margins(x=0.01)
    page.legend_below(ax, lines)
    return ax


def plot_ladder(
    errors: Mapping[str, float], *, x_label: str = "mean absolute error", ax: Axes | None = None
) -> Axes:
    """Returns the Axes with one bar per method, the first on top, its error written at its end.

    Raises:
        ValueError: no methods, or errors that are negative or not finite.
    """
    if not errors:
        raise ValueError('errors must hold at least one method: {"persistence": 46.5}')
    values = arguments.vector(list(errors.values()), "errors")
    arguments.all_finite(values, "errors")
    if values.min() < 0:
        raise ValueError(f"an error is never negative, but errors holds {values.min():g}")
    ax = page.one_axes(ax, height=0.8 + 0.36 * len(values))
    bars = ax.barh([str(name) for name in errors], values, color=BLUE, height=0.6)
    ax.bar_label(bars, fmt="{:.1f}", padding=3, fontsize=TEXT_SIZE)
    ax.invert_yaxis()
    ax.set_xlim(0, 1.12 * max(float(values.max()), 1e-12))
    page.label(ax, x_label, "method")
    ax.grid(False, axis="y")
    return ax


def _with_gaps(times: np.ndarray, curve: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both with a NaN put into every jump of the times, so that no line crosses it."""
    if len(times) < 2:
        return times, curve
    steps = np.diff(times)
    kinds, counts = np.unique(steps, return_counts=True)
    jumps = np.flatnonzero(steps > kinds[counts.argmax()]) + 1
    between = times[jumps - 1] + steps[jumps - 1] / 2
    return np.insert(times, jumps, between), np.insert(curve, jumps, np.nan)
