"""Pictures of data, training runs and models: every function draws on Axes and returns them.

Nothing is shown and no global setting of Matplotlib is touched. A notebook displays the figure by
itself; a script passes what it got to `save`. Without `ax` or `axes` a new figure is made, 6.6
inches wide where the content allows, so that on a printed page its 9-point text stays 9 points.

The colours are those of Okabe and Ito (2008), which colour-blind readers can tell apart. Lines
also differ in style or marker, and colour maps in lightness, so that a grey print can be read.
"""

import os
import re
import textwrap
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.mathtext import MathTextParser
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, PercentFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import ArrayLike

__all__ = [
    "plot_calibration",
    "plot_confusion",
    "plot_feature_maps",
    "plot_history",
    "plot_images",
    "plot_lines",
    "plot_loss_surface",
    "plot_predictions",
    "plot_weights",
    "save",
]

BLUE, ORANGE, BLACK, VERMILLION = "#0072B2", "#E69F00", "#000000", "#D55E00"
GREEN, PURPLE, SKY = "#009E73", "#CC79A7", "#56B4E9"
# The first three are far apart in lightness too. Okabe and Ito's yellow is too pale for a line.
COLOURS = (BLUE, ORANGE, BLACK, VERMILLION, GREEN, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINE_STYLES = ("-", "--", "-.", ":", (0, (8, 2)), (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))

# Negative is dark and blue, zero mid-grey, positive light and yellow. The lightness only grows, so
# the sign survives a grey print, which no map with two dark ends can offer.
SIGNED = LinearSegmentedColormap.from_list(
    "kerasbook_signed",
    [
        (0.0, "#03224c"),
        (0.22, "#00609a"),
        (0.4, "#5f8cae"),
        (0.5, "#a0a0a0"),
        (0.6, "#dba95c"),
        (0.78, "#fcc14e"),
        (1.0, "#fffbe6"),
    ],
    N=255,
)

STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 13,
    "markeredgecolor": "black",
    "linestyle": "none",
}

PAGE_WIDTH = 6.6  # inches: the text block of a printed page
TEXT_SIZE = 9  # points: ticks, legends, captions
LABEL_SIZE = 10  # points: axis labels and titles
MOST_PICTURES = 200  # each picture is an Axes of some 50 ms
MOST_CLASSES = 100
LARGEST = 1e100  # beyond it Matplotlib's own arithmetic may overflow

# The words of a metric's name that tell which way it improves; the first pattern is asked first.
LOWER_IS_BETTER = re.compile(
    r"(^|_)(loss|error|mae|mse|rmse|mape|msle|\w*entropy|perplexity|divergence|hinge|poisson|cosh"
    r"|brier|false)(_|$)"
)
HIGHER_IS_BETTER = re.compile(
    r"(^|_)(acc|accuracy|auc|precision|recall|f1|fbeta|r2|score|similarity|iou|io|bleu|sensitivity"
    r"|specificity|true)(_|$)"
)


# %% What the arguments must be


def _numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Return values as float64."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must hold numbers in a regular shape: {error}") from error


def _vector(values: ArrayLike, name: str) -> np.ndarray:
    """Return values as (n,); a column (n, 1), as a model predicts it, is taken too."""
    array = _numbers(values, name)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(array) == 0:
        raise ValueError(f"{name} has shape {array.shape}; it must be (n,) with n at least 1")
    return array


def _class_numbers(values: ArrayLike, name: str) -> np.ndarray:
    """Return class numbers (n,) as integers from 0."""
    array = _numbers(values, name)
    if array.ndim == 2 and array.shape[1] > 1:
        raise ValueError(
            f"{name} has shape {array.shape}; it must be (n,) class numbers: "
            "take .argmax(axis=-1) of scores or one-hot rows"
        )
    array = _vector(array, name)
    if not np.all(np.isfinite(array)) or np.any(array < 0) or np.any(array != np.rint(array)):
        raise ValueError(f"{name} must hold class numbers 0, 1, 2, …")
    return array.astype(np.int64)


def _same_length(first: np.ndarray, second: np.ndarray, names: str) -> None:
    if len(first) != len(second):
        raise ValueError(
            f"{names} differ in length: {len(first)} and {len(second)}; pass the same examples"
        )


def _all_finite(array: np.ndarray, name: str) -> None:
    bad = np.count_nonzero(np.isnan(_gaps(array)))
    if bad:
        raise ValueError(
            f"{name} holds {bad} values that are NaN, infinite or beyond {LARGEST:g}; "
            "remove them or lower the learning rate that made them"
        )


def _gaps(values: np.ndarray) -> np.ndarray:
    """Return values with NaN, a gap in a line, where Matplotlib could not place a point."""
    return np.where(np.abs(values) < LARGEST, values, np.nan)


def _number_of_classes(classes: Sequence[str] | None, *numbers: np.ndarray) -> int:
    largest = max(int(array.max()) for array in numbers)
    count = largest + 1 if classes is None else len(classes)
    if largest >= count:
        raise ValueError(f"class {largest} has no name: classes holds only {count} names")
    return count


def _names(
    values: ArrayLike, count: int, classes: Sequence[str] | None, argument: str
) -> list[str]:
    """Return a name for each of the count class numbers or strings."""
    array = np.asarray(values)
    if array.dtype.kind in "OSU":
        names = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel().tolist()]
    else:
        numbers = _class_numbers(values, argument)
        _number_of_classes(classes, numbers)
        names = [str(number if classes is None else classes[number]) for number in numbers]
    if len(names) != count:
        raise ValueError(f"{argument} holds {len(names)} entries for {count} pictures")
    return names


def _titles(titles: Sequence[str] | None, default: str, count: int) -> list[str]:
    """Return one title per picture: the given ones, or default with a number."""
    if titles is None:
        return [f"{default}{number}" for number in range(count)]
    if len(titles) != count:
        raise ValueError(f"titles holds {len(titles)} entries for {count} pictures")
    return [str(title) for title in titles]


# %% Axes, labels and legends


def _new_axes(rows: int, columns: int, width: float, height: float) -> np.ndarray:
    """Return (rows, columns) Axes on a new figure of width by height inches."""
    # pyplot, and with it the choice of a backend, waits until a figure is wanted. Its figures are
    # the ones that Jupyter displays by itself.
    import matplotlib.pyplot as plt

    _, axes = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained"
    )
    return axes


def _one_axes(ax: Axes | None, width: float = PAGE_WIDTH, height: float = 4.2) -> Axes:
    if ax is None:
        return _new_axes(1, 1, width, height)[0, 0]
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be one Matplotlib Axes, not {type(ax).__name__}")
    return ax


def _given_axes(axes: Any, count: int) -> np.ndarray:
    """Return the first count of the caller's Axes as a flat array."""
    flat = np.array([axes], dtype=object) if isinstance(axes, Axes) else np.ravel(axes)
    if not all(isinstance(ax, Axes) for ax in flat):
        raise ValueError("axes must be a Matplotlib Axes or an array of them")
    if len(flat) < count:
        raise ValueError(f"{count} pictures need {count} axes; axes holds {len(flat)}")
    return flat[:count]


def _picture_axes(
    axes: Any, count: int, columns: int, aspect: float, caption: float = 0.26, bar: float = 0.0
) -> np.ndarray:
    """Return count Axes without ticks for pictures whose height is aspect times their width.

    A new figure leaves `caption` inches above each picture and `bar` inches at the right.
    """
    if axes is None:
        columns = min(columns, count)
        rows = -(-count // columns)
        width = (PAGE_WIDTH - bar) / max(columns, 4)
        height = min(max(aspect, 0.2), 3.0) * width + caption
        made = _new_axes(rows, columns, width * columns + bar, height * rows).ravel()
        for ax in made[count:]:
            ax.remove()
        flat = made[:count]
    else:
        flat = _given_axes(axes, count)
    for ax in flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.6", linewidth=0.6)
    return flat


def _check_pictures(count: int, columns: int, remedy: str) -> None:
    if count > MOST_PICTURES:
        raise ValueError(f"{count} pictures are more than {MOST_PICTURES}: pass a part, {remedy}")
    if columns < 1:
        raise ValueError(f"columns is {columns}; it must be at least 1")


def _label(ax: Axes, x_label: str, y_label: str, title: str | None = None) -> None:
    """Label both axes and give ax the book's look: light grid, open frame, readable ticks."""
    ax.set_xlabel(x_label, fontsize=LABEL_SIZE, parse_math=_is_formula(x_label))
    ax.set_ylabel(y_label, fontsize=LABEL_SIZE, parse_math=_is_formula(y_label))
    if title is not None:
        ax.set_title(title, fontsize=LABEL_SIZE, parse_math=_is_formula(title))
    ax.tick_params(labelsize=TEXT_SIZE)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_offset_text().set_fontsize(TEXT_SIZE)
    ax.grid(True, color="0.5", alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def _is_formula(text: str) -> bool:
    """Return whether Matplotlib can read text with $formulas$; some prices and typos it cannot."""
    try:
        for line in text.split("\n") if text.count("$") > 1 else []:
            MathTextParser("path").parse(line)
    except ValueError:
        return False
    return True


def _ink(ax: Axes, colour: str = BLACK) -> Any:
    """Return colour, but in place of black what ax writes with: white under a dark style."""
    return ax.xaxis.label.get_color() if colour == BLACK else colour


def _count_from_1(ax: Axes) -> None:
    """Give the x axis ticks at whole numbers; it begins at 0.5, so that 0 is never a tick."""
    ax.xaxis.set_major_locator(
        MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    )
    last = max(ax.dataLim.x1, 1)
    ax.set_xlim(min(ax.dataLim.x0, 1) - 0.5, last + max(0.5, 0.02 * last))


def _room(ax: Axes, points: float = 5.2) -> int:
    """Return how many characters of so many points fit into the part of the figure that ax has."""
    width, place = ax.get_window_extent().width, ax.get_subplotspec()
    if place is not None:  # a new figure is not laid out yet, only divided
        width = ax.figure.bbox.width / place.get_gridspec().ncols
    return max(8, int(width / ax.figure.dpi * 72 / points))


def _legend_below(ax: Axes, *groups: Sequence[Any]) -> None:
    """Put the legend under the x label, where it can hide neither data nor a title.

    Each group of handles begins a new line and takes as many columns as fit.
    """
    for old in [artist for artist in ax.artists if isinstance(artist, Legend)]:
        old.remove()
    room = _room(ax) - 2
    drop = 37.0  # points, for the tick labels and the x label
    upper = None
    for handles in filter(None, groups):
        if upper is not None:  # Axes keep only the last legend by themselves
            upper.remove()
            ax.add_artist(upper)
            upper.set_clip_on(False)
        labels = [textwrap.fill(str(handle.get_label()), room - 8) for handle in handles]
        lengths = [max(map(len, label.split("\n"))) + 8 for label in labels]
        lines = [1.22 * (label.count("\n") + 1) + 0.5 for label in labels]
        columns = len(handles)
        while columns > 1 and sum(map(max, np.array_split(lengths, columns))) > room:
            columns -= 1
        below = ScaledTranslation(0, -drop / 72, ax.figure.dpi_scale_trans)
        upper = ax.legend(
            handles,
            # Matplotlib before 3.10 leaves out labels that begin with an underscore.
            [f" {label}" if label.startswith("_") else label for label in labels],
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=ax.transAxes + below,
            ncols=columns,
            fontsize=TEXT_SIZE,
            frameon=False,
            handlelength=2.6,
            handletextpad=0.6,
            columnspacing=1.4,
            borderaxespad=0,
            borderpad=0,
        )
        for text in upper.get_texts():
            text.set_parse_math(_is_formula(text.get_text()))
        drop += TEXT_SIZE * max(map(sum, np.array_split(lines, columns)))


def _colour_bar(picture: Any, axes: Any, label: str) -> Any:
    first = np.ravel(axes)[0]
    bar = first.figure.colorbar(picture, ax=axes, shrink=0.9, aspect=25, pad=0.02)
    bar.set_label(label, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TEXT_SIZE)
    bar.ax.yaxis.get_offset_text().set_fontsize(TEXT_SIZE)
    return bar


def _marked(values: np.ndarray, offset: int) -> list[int]:
    """Return where a line carries markers: every point of a short one, about eight of a long one.

    A point between two gaps is always marked, for no line would show it.
    """
    count = len(values)
    first = (offset + 1) * count // 40 % count
    spaced = range(count) if count <= 12 else range(first, count, -(-count // 8))
    seen = np.isfinite(np.concatenate([[np.nan], values, [np.nan]]))
    alone = np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:])
    return sorted({*spaced, *alone.tolist()})


# %% Training


def plot_history(
    *histories: Any,
    labels: Sequence[str] | None = None,
    metric: str | Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Return the Axes (panels,) with the loss and each metric of one or several runs by epoch.

    A history is what `fit` returns, ours or Keras', or its dictionary of one number per epoch.
    Training is solid and validation (`val_…`) dashed; a star marks the best validation value
    when the metric's name tells whether high or low is good. Epochs count from 1. A loss over
    more than two decades gets a log scale. NaN and infinity are gaps.

    `labels` names the runs, `metric` chooses panels ("loss", ["loss", "mae"]) and `units` adds
    a unit to a panel's label ({"mae": "mpg"}).

    ValueError: a history without values, curves of one run that differ in length, an unknown
    metric, or fewer axes than panels.
    """
    if not histories:
        raise ValueError("plot_history needs at least one history: plot_history(history)")
    runs = [_curves(history) for history in histories]
    labels = [labels] if isinstance(labels, str) else labels
    if labels is None:
        labels = [f"run {number}" for number in range(1, len(runs) + 1)]
    if len(labels) != len(runs):
        raise ValueError(f"labels holds {len(labels)} names for {len(runs)} histories")
    panels = _panels(runs, metric)
    runs = [_drawn_curves(run, panels) for run in runs]
    epochs = [_epochs(*pair) for pair in zip(histories, runs, strict=True)]

    if axes is None:
        columns = min(2, len(panels))
        rows = -(-len(panels) // columns)
        legend = 0.2 * (1 + len(runs))
        width = PAGE_WIDTH if columns == 2 else 4.6
        made = _new_axes(rows, columns, width, rows * (2.9 + legend)).ravel()
        for ax in made[len(panels) :]:
            ax.remove()
        axes = made[: len(panels)]
    else:
        axes = _given_axes(axes, len(panels))
    for ax, name in zip(axes, panels, strict=True):
        unit = (units or {}).get(name)
        _draw_panel(ax, name, runs, epochs, [str(label) for label in labels], unit)
    return axes


def _curves(history: Any) -> Mapping[str, Any]:
    curves = getattr(history, "history", history)
    if not isinstance(curves, Mapping):
        raise ValueError(
            f"a history must be what fit returned or a dictionary, not {type(history).__name__}"
        )
    if any(hasattr(value, "history") or isinstance(value, Mapping) for value in curves.values()):
        raise ValueError(
            "pass several runs one by one: plot_history(*runs.values(), labels=list(runs))"
        )
    if not curves:
        raise ValueError("the history is empty: train for at least one epoch")
    return curves


def _panels(runs: Sequence[Mapping[str, Any]], metric: str | Sequence[str] | None) -> list[str]:
    """Return the names of the panels: the loss first, then as the runs list them."""
    known = list(dict.fromkeys(name.removeprefix("val_") for run in runs for name in run))
    known.sort(key=lambda name: name != "loss")
    if metric is None:
        return known
    wanted = [metric] if isinstance(metric, str) else list(metric)
    for name in wanted:
        if name not in known:
            raise ValueError(f"no history holds the metric {name!r}; there are {', '.join(known)}")
    if not wanted:
        raise ValueError(f"metric is empty; choose among {', '.join(known)}")
    return wanted


def _drawn_curves(run: Mapping[str, Any], panels: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the curves of one run that the panels show, all of one length."""
    curves = {}
    for name, values in run.items():
        if name.removeprefix("val_") not in panels:
            continue
        array = _numbers(values, f"history[{name!r}]")
        if array.ndim != 1:
            raise ValueError(
                f"history[{name!r}] has shape {array.shape}; it must be one number per epoch: "
                "name the others with metric=[…]"
            )
        if len(array) == 0:
            raise ValueError(f"history[{name!r}] is empty: train for at least one epoch")
        curves[name] = _gaps(array)
    lengths = {name: len(values) for name, values in curves.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"the curves of one run differ in length: {lengths}; "
            "put NaN where an epoch has no value (validation_freq leaves such holes)"
        )
    return curves


def _epochs(history: Any, curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the epochs counted from 1; Keras keeps them from 0 and lets a run begin later."""
    count = max((len(values) for values in curves.values()), default=0)
    numbers = getattr(history, "epoch", None)
    if (
        isinstance(numbers, list)
        and len(numbers) == count
        and all(isinstance(number, (int, np.integer)) for number in numbers)
    ):
        return np.array(numbers, dtype=np.int64) + 1
    return np.arange(1, count + 1)


def _higher_is_better(name: str) -> bool | None:
    """Return whether high values of the metric are good; None when the name does not tell."""
    if LOWER_IS_BETTER.search(name.lower()):
        return False
    return True if HIGHER_IS_BETTER.search(name.lower()) else None


def _best_epoch(name: str, values: np.ndarray | None) -> int | None:
    """Return the index of the first best value, or None."""
    higher = _higher_is_better(name)
    if values is None or higher is None or not np.any(np.isfinite(values)):
        return None
    return int(np.nanargmax(values) if higher else np.nanargmin(values))


def _draw_panel(
    ax: Axes,
    name: str,
    runs: Sequence[Mapping[str, np.ndarray]],
    epochs: Sequence[np.ndarray],
    labels: Sequence[str],
    unit: str | None,
) -> None:
    """Draw one metric of every run."""
    kinds: dict[str, Line2D] = {}
    rows: list[Line2D] = []
    star = None
    for number, (run, label) in enumerate(zip(runs, labels, strict=True)):
        look: dict[str, Any] = {
            "color": _ink(ax, COLOURS[number % len(COLOURS)]),
            "marker": MARKERS[number % len(MARKERS)],
            "linewidth": 1.5,
            "markersize": 4.5,
        }
        for kind, key, style in (("training", name, "-"), ("validation", "val_" + name, "--")):
            if key not in run:
                continue
            face = "white" if style == "--" else look["color"]
            ax.plot(
                epochs[number],
                run[key],
                **look,
                linestyle=style,
                markerfacecolor=face,
                markevery=_marked(run[key], offset=3 * number + (style == "--")),
                label=f"{label}, {kind}",
            )
            shown = look if len(runs) == 1 else {"color": _ink(ax), "linewidth": 1.5}
            shown = {**shown, "linestyle": style, "markerfacecolor": face, "label": kind}
            kinds[kind] = Line2D([], [], **shown)
        best = _best_epoch(name, run.get("val_" + name))
        if best is not None:
            epoch, value = epochs[number][best], run["val_" + name][best]
            ax.plot(epoch, value, **STAR, color=look["color"], zorder=4, clip_on=False)
            words = f"best {value:.4g} at epoch {epoch}"
            star = Line2D([], [], **STAR, color=look["color"], label=words)
            label = f"{label}: {words}"
        if len(runs) > 1 and (name in run or "val_" + name in run):
            rows.append(Line2D([], [], **look, label=label))

    _label(ax, "epoch", name.replace("_", " ") + (f" ({unit})" if unit else ""))
    _scale_loss(ax, name, runs)
    _count_from_1(ax)
    if star is not None and len(runs) > 1:
        star.set(color="white", label="best validation")
    _legend_below(ax, list(kinds.values()), rows if star is None else [*rows, star])


def _scale_loss(ax: Axes, name: str, runs: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Take a log scale when all losses are positive and span more than two decades."""
    if name.split("_")[-1] != "loss":
        return
    values = [run[key] for run in runs for key in (name, "val_" + name) if key in run]
    values = np.concatenate(values)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() > 100 * values.min():
        ax.set_yscale("log")
        ax.set_ylabel(ax.get_ylabel() + ", log scale")


def plot_lines(
    series: Mapping[str, ArrayLike],
    *,
    x: ArrayLike | None = None,
    x_label: str,
    y_label: str,
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Return the Axes with one curve per entry of series, each in its own colour and style.

    `x` (n,) belongs to every curve; without it values are numbered from 1, and curves may differ
    in length. NaN, infinity and, with `log=True`, values at or below 0 are gaps. Without curves,
    `{}`, the Axes are labelled and empty, for the caller to draw on.

    ValueError: curves without a finite value, or lengths that do not match `x`.
    """
    if not isinstance(series, Mapping):
        raise ValueError('series must be a dictionary of curves: {"name": values}')
    places = None if x is None else _gaps(_vector(x, "x"))
    curves = {}
    for name, values in series.items():
        curve = _gaps(_vector(values, f"series[{name!r}]"))
        if places is not None:
            _same_length(places, curve, f"x and series[{name!r}]")
        curves[str(name)] = np.where(curve > 0, curve, np.nan) if log else curve
    if curves and not any(np.any(np.isfinite(curve)) for curve in curves.values()):
        need = "positive and finite" if log else "finite"
        raise ValueError(f"series holds no {need} value, so there is nothing to draw")

    ax, lines = _one_axes(ax, height=3.8), []
    for number, (name, curve) in enumerate(curves.items()):
        lines += ax.plot(
            np.arange(1, len(curve) + 1) if places is None else places,
            curve,
            color=_ink(ax, COLOURS[number % len(COLOURS)]),
            linestyle=LINE_STYLES[number % len(LINE_STYLES)],
            linewidth=1.6,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4.5,
            markevery=_marked(curve, offset=number),
            label=name,
        )
    _label(ax, x_label, y_label)
    if log:
        ax.set_yscale("log")
    if curves and places is None:
        _count_from_1(ax)
    _legend_below(ax, lines)
    return ax


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
    """Return the Axes with the contours of loss(x, y) and the paths that optimisers took on it.

    `loss` takes two arrays of one shape and works on each element, or takes two numbers (slower:
    some 6,600 calls). A path is (steps, 2), the first row its start; arrows show its direction.
    Levels are spaced by logarithm above the lowest value seen. The ranges (low, high) default to
    what holds the paths and the minimum; set them when a path diverges.

    ValueError: a path that is not (steps, 2), a range that is not low < high, nothing to take a
    range from, or a loss without finite values.
    """
    tracks = {str(name): _path(path, str(name)) for name, path in paths.items()}
    if minimum is not None:
        minimum = tuple(_vector(minimum, "minimum"))
        if len(minimum) != 2 or not np.all(np.isfinite(minimum)):
            raise ValueError(f"minimum must be two numbers (x, y), not {minimum}")
    points = np.concatenate([*tracks.values(), np.reshape(minimum or [], (-1, 2))])
    x_low, x_high = _range(x_range, points[:, 0], "x_range")
    y_low, y_high = _range(y_range, points[:, 1], "y_range")
    across, up, values = _loss_grid(loss, (x_low, x_high), (y_low, y_high))

    ax = _one_axes(ax, height=5.0)
    _draw_contours(ax, across, up, values)
    handles, marks = [], []
    if minimum is not None:
        marks += ax.plot(*minimum, **STAR, color="white", zorder=5, label="minimum")
    span = np.array([x_high - x_low, y_high - y_low])
    low = np.array([x_low, y_low])
    for number, (name, track) in enumerate(tracks.items()):
        handles.append(_draw_path(ax, name, track, low, span, number))
    _label(ax, x_label, y_label)
    ax.grid(False)
    ax.set(xlim=(x_low, x_high), ylim=(y_low, y_high))
    if tracks:
        ends = {"marker": "o", "markersize": 8, "markeredgecolor": "black", "linestyle": "none"}
        marks.append(Line2D([], [], **ends, color="white", label="start"))
        marks.append(Line2D([], [], **ends, color="0.5", label="end"))
    _legend_below(ax, handles, marks)
    return ax


def _path(path: ArrayLike, name: str) -> np.ndarray:
    array = _numbers(path, f"paths[{name!r}]")
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(f"paths[{name!r}] has shape {array.shape}; it must be (steps, 2)")
    return _gaps(array)


def _range(given: tuple[float, float] | None, points: np.ndarray, name: str) -> tuple[float, float]:
    """Return the given range, or one that holds the points with a margin."""
    if given is not None:
        array = _vector(given, name)
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
            values = _numbers([loss(a, b) for a, b in pairs], "loss(x, y)")
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
    bar = _colour_bar(picture, ax, "loss")
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


# %% Pictures


def plot_images(
    images: ArrayLike,
    labels: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    classes: Sequence[str] | None = None,
    columns: int = 5,
    axes: Any = None,
) -> np.ndarray:
    """Return the Axes (n,) with the pictures images (n, h, w), (n, h, w, 1) or (n, h, w, 3).

    Values may have any range: whole numbers are taken as 0 to 255 and floats as 0 to 1 where they
    fit; anything else is stretched from the lowest to the highest value of this call.

    The title is the true label. A wrong prediction is named after it, "shirt, not coat": a shirt
    which the model took for a coat. Its title is bold and coloured and its frame thick. `labels`
    and `predictions` (n,) are class numbers, named by `classes`, or strings.

    ValueError: another shape, no picture or more than 200, values that are not finite, or labels
    that do not match.
    """
    pictures = _pictures(images)
    count, height, width = pictures.shape[:3]
    _check_pictures(count, columns, "images[:20]")
    true = None if labels is None else _names(labels, count, classes, "labels")
    guess = None if predictions is None else _names(predictions, count, classes, "predictions")
    caption = 0.26 if true is None or guess is None or true == guess else 0.42
    flat = _picture_axes(axes, count, columns, height / width, caption)
    for number, ax in enumerate(flat):
        ax.imshow(pictures[number], cmap="gray", vmin=0, vmax=1)
        right = None if true is None else true[number]
        said = None if guess is None else guess[number]
        title = right if right is not None else said or ""
        look: dict[str, Any] = {"fontsize": TEXT_SIZE, "parse_math": False, "pad": 4}
        if None not in (right, said) and right != said:
            title = f"{right}, not {said}"
            look |= {"color": VERMILLION, "fontweight": "bold"}
            ax.spines[:].set(color=VERMILLION, linewidth=3)
        ax.set_title(_caption(ax, title), **look)
    return flat


def _pictures(images: ArrayLike) -> np.ndarray:
    """Return images as (n, h, w) or (n, h, w, 3) between 0 and 1."""
    whole = np.asarray(images).dtype.kind in "ui"
    array = _numbers(images, "images")
    if array.ndim == 4 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.size == 0 or array.ndim not in (3, 4) or (array.ndim == 4 and array.shape[-1] != 3):
        raise ValueError(
            f"images has shape {array.shape}; it must be (n, h, w), (n, h, w, 1) or (n, h, w, 3); "
            "one picture alone is image[None]"
        )
    _all_finite(array, "images")
    low, high = array.min(), array.max()
    if low >= 0 and high <= 1:
        return array
    if low >= 0 and high <= 255 and whole:
        return array / 255
    return (array - low) / (high - low if high > low else 1)


def _caption(ax: Axes, title: str) -> str:
    """Break a title that is wider than the picture, before its "not" if it has one."""
    room = _room(ax, 6)
    if len(title) <= 0.8 * room:
        return title
    parts = title.replace(", not ", ",\nnot ").split("\n")
    return "\n".join(textwrap.fill(part, room) for part in parts)


def plot_weights(
    kernel: ArrayLike,
    shape: tuple[int, ...] | None = None,
    titles: Sequence[str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Return the Axes (units,) with the weights of each unit or filter as a picture.

    A dense kernel (inputs, units) needs the input's `shape` (h, w) or (h, w, channels). A
    convolution kernel (kh, kw, channels, filters) has its own. Several channels of one unit stand
    side by side in one picture, left to right, then down. All share one scale with 0 in the
    middle: blue and dark is negative, yellow and light is positive.

    ValueError: a shape that does not hold the inputs, more than 200 pictures, values that are not
    finite, or titles that do not match.
    """
    array = _numbers(kernel, "kernel")
    if array.size == 0:
        raise ValueError(f"kernel has shape {array.shape}: it holds no weights")
    if array.ndim == 2:
        array = _shaped_kernel(array, shape)
        name = "unit "
    elif array.ndim == 4 and (shape is None or tuple(shape) == array.shape[: len(tuple(shape))]):
        name = "filter "
    else:
        raise ValueError(
            f"kernel has shape {array.shape}; it must be dense (inputs, units) with "
            f"shape=(h, w), or of a convolution (kh, kw, channels, filters) without shape"
        )
    _all_finite(array, "kernel")
    channels, count = array.shape[2:]
    _check_pictures(count, 1, "kernel[..., :20]")
    titles = _titles(titles, name, count)
    blocks = [_tiles(array[..., number]) for number in range(count)]
    limit = np.abs(array).max() or 1.0
    few = (5, 4, 6) if count <= 20 else (8, 6, 7)
    columns = min(few, key=lambda columns: -count % columns)  # the fullest last row
    aspect = blocks[0].shape[0] / blocks[0].shape[1]
    flat = _picture_axes(axes, count, columns, aspect, bar=0.8)
    colours = SIGNED.with_extremes(bad=(1, 1, 1, 0))
    for ax, block, title in zip(flat, blocks, titles, strict=True):
        picture = ax.imshow(block, cmap=colours, vmin=-limit, vmax=limit, interpolation="nearest")
        ax.set_title(_caption(ax, title), fontsize=TEXT_SIZE, parse_math=False, pad=4)
    _colour_bar(picture, list(flat), "weight")
    if axes is None and channels > 1:
        note = f"each picture: the {channels} input channels, left to right, then down"
        note = textwrap.fill(note, int(flat[0].figure.get_figwidth() * 72 / 5.2))
        flat[0].figure.supxlabel(note, fontsize=TEXT_SIZE)
    return flat


def _shaped_kernel(array: np.ndarray, shape: tuple[int, ...] | None) -> np.ndarray:
    """Return a dense kernel (inputs, units) as (h, w, channels, units)."""
    inputs, units = array.shape
    sides = () if shape is None else tuple(int(side) for side in shape)
    if len(sides) not in (2, 3) or min(sides) < 1 or int(np.prod(sides)) != inputs:
        raise ValueError(
            f"shape {shape} does not hold the {inputs} inputs of a dense kernel {array.shape}; "
            "pass shape=(h, w) or (h, w, channels) whose product is the number of inputs"
        )
    return array.reshape(*sides[:2], -1, units)


def _tiles(channels: np.ndarray) -> np.ndarray:
    """Return the (h, w, channels) pictures as one, in a near-square grid with gaps of NaN."""
    height, width, count = channels.shape
    columns = count if count <= 3 else int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    gap = max(1, round(0.08 * max(height, width))) if count > 1 else 0
    tiled = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap), np.nan)
    for number in range(count):
        top, left = np.array(divmod(number, columns)) * (height + gap, width + gap)
        tiled[top : top + height, left : left + width] = channels[..., number]
    return tiled


def plot_feature_maps(
    maps: ArrayLike, columns: int = 8, titles: Sequence[str] | None = None, axes: Any = None
) -> np.ndarray:
    """Return the Axes (channels,) with the feature maps (h, w, channels) of one example.

    All share one scale, from the lowest to the highest activation, so that quiet channels look
    quiet. Titles default to the channel's number.

    ValueError: another shape, more than 200 channels, values that are not finite, or titles that
    do not match.
    """
    array = _numbers(maps, "maps")
    if array.ndim != 3 or array.size == 0:
        raise ValueError(
            f"maps has shape {array.shape}; it must be (h, w, channels) of one example: "
            "of a batch take maps[0]"
        )
    _all_finite(array, "maps")
    height, width, count = array.shape
    _check_pictures(count, columns, "maps[..., :64]")
    titles = _titles(titles, "", count)
    low, high = array.min(), array.max()
    flat = _picture_axes(axes, count, columns, height / width, bar=0.8)
    for number, ax in enumerate(flat):
        picture = ax.imshow(
            array[..., number],
            cmap="viridis",
            vmin=low,
            vmax=high if high > low else low + 1,
            interpolation="nearest",
        )
        ax.set_title(_caption(ax, titles[number]), fontsize=TEXT_SIZE, parse_math=False, pad=3)
    _colour_bar(picture, list(flat), "activation")
    return flat


# %% Predictions


def plot_confusion(
    true: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Return the Axes with the confusion matrix: a row per true class, a column per predicted one.

    A cell holds the count and its share of the row, which also sets the shade; where cells are
    too small for text (from about 16 classes) a colour bar stands for them. `true` and
    `predicted` (n,) are class numbers. The title is the accuracy.

    ValueError: scores in place of class numbers, lengths that differ, a class without a name, or
    more than 100 classes.
    """
    true, predicted = _class_numbers(true, "true"), _class_numbers(predicted, "predicted")
    _same_length(true, predicted, "true and predicted")
    count = _number_of_classes(classes, true, predicted)
    if count > MOST_CLASSES:
        raise ValueError(f"{count} classes are more than {MOST_CLASSES}: pass a part of them")
    names = [str(name) for name in (classes if classes is not None else range(count))]
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (true, predicted), 1)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    side = min(max(0.52 * count, 2.4), 5.5)
    ax = _one_axes(ax, side + 1.1, side + 1.0 if count <= 15 else 5.6)
    picture = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    right = int(np.trace(table))
    title = f"accuracy {right / len(true):.1%} ({right:,} of {len(true):,})".replace("%", " %")
    _label(ax, "predicted class", "true class", title)
    ax.spines[:].set_visible(True)
    box = ax.get_window_extent()
    cell = min(box.width, box.height) / ax.figure.dpi / count  # inches
    if cell >= 0.36:
        _write_cells(ax, table, shares)
    else:
        bar = _colour_bar(picture, ax, "share of the true class")
        bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0, symbol=" %"))
    step = max(1, int(np.ceil(0.16 / cell)))
    shown = np.arange(0, count, step)
    texts = [names[number] for number in shown]
    fits = max(len(text) for text in texts) * 5.6 < cell * step * 72
    turned = {} if fits else {"rotation": 45, "ha": "right", "rotation_mode": "anchor"}
    ax.set_xticks(shown, texts, parse_math=False, **turned)
    ax.set_yticks(shown, texts, parse_math=False)
    ax.grid(False)
    ax.set_xticks(np.arange(count + 1) - 0.5, minor=True)
    ax.set_yticks(np.arange(count + 1) - 0.5, minor=True)
    ax.grid(True, which="minor", color="0.85", linewidth=0.6)
    ax.tick_params(which="minor", length=0)
    return ax


def _write_cells(ax: Axes, table: np.ndarray, shares: np.ndarray) -> None:
    for (row, column), number in np.ndenumerate(table):
        share = shares[row, column]
        percent = f"{100 * share:.1f} %" if share < 0.0995 else f"{100 * share:.0f} %"
        percent = "<0.1 %" if share < 0.0005 else percent
        ax.text(
            column,
            row,
            f"{number:,}\n{percent}" if number else "0",
            ha="center",
            va="center",
            fontsize=TEXT_SIZE,
            linespacing=1.05,
            color="white" if share > 0.65 else "black" if number else "0.5",
        )


def plot_predictions(
    true: ArrayLike, predicted: ArrayLike, *, unit: str, ax: Axes | None = None
) -> Axes:
    """Return the Axes with predicted against true values (n,) and the line where they are equal.

    `unit` names what both are measured in ("mpg"). The title is the mean absolute error.

    ValueError: lengths that differ, no values, or values that are not finite.
    """
    true, predicted = _vector(true, "true"), _vector(predicted, "predicted")
    _same_length(true, predicted, "true and predicted")
    _all_finite(true, "true")
    _all_finite(predicted, "predicted")
    error = np.abs(true - predicted).mean()
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    margin = 0.05 * (high - low) or 0.1 * abs(low) or 1.0
    limits = (low - margin, high + margin)

    ax = _one_axes(ax, 4.6, 4.9)
    (diagonal,) = ax.plot(
        limits, limits, color=_ink(ax), linestyle="--", linewidth=1.3, label="predicted = true"
    )
    points = ax.scatter(
        true,
        predicted,
        s=22 if len(true) <= 2000 else 6,
        color=BLUE,
        alpha=0.6 if len(true) <= 2000 else 0.25,
        linewidths=0,
        zorder=3,
        label=f"{len(true):,} examples",
    )
    title = f"mean absolute error {error:.3g} {unit}"
    _label(ax, f"true value ({unit})", f"predicted value ({unit})", title)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    _legend_below(ax, [points, diagonal])
    return ax


def plot_calibration(
    true: ArrayLike, probabilities: ArrayLike, bins: int = 10, ax: Axes | None = None
) -> Axes:
    """Return the Axes with a reliability diagram: how often is the model right when it says p?

    `true` (n,) are class numbers and `probabilities` (n, classes) rows that sum to 1; a vector
    (n,) is the probability of class 1. Examples are sorted by their confidence, the highest
    probability, into `bins` of equal width, open below and closed above. The title is the
    expected calibration error: the mean over examples of |accuracy - mean confidence| of their
    bin (Guo et al., 2017, https://arxiv.org/abs/1706.04599). Counts stand above the bins.

    ValueError: lengths that differ, class numbers outside the rows, rows that are not
    probabilities, or bins outside 2 to 50.
    """
    true = _class_numbers(true, "true")
    rows = _probabilities(probabilities)
    _same_length(true, rows, "true and probabilities")
    if true.max() >= rows.shape[1]:
        raise ValueError(f"class {true.max()} is outside the {rows.shape[1]} columns")
    if int(bins) != bins or not 2 <= bins <= 50:
        raise ValueError(f"bins is {bins}; it must be a whole number from 2 to 50")
    confidence, correct = rows.max(axis=1), rows.argmax(axis=1) == true
    counts, accuracy, mean_confidence = _calibration_bins(confidence, correct, int(bins))
    error = np.sum(counts * np.abs(accuracy - mean_confidence)) / len(true)

    ax = _one_axes(ax, 5.4, 5.2)
    used = counts > 0
    middles = (np.arange(bins) + 0.5)[used] / bins
    bar = {"width": 0.92 / bins, "zorder": 2}
    ax.bar(middles, accuracy[used], color=SKY, alpha=0.6, **bar)
    bottom = np.minimum(accuracy, mean_confidence)[used]
    gap = np.abs(accuracy - mean_confidence)[used]
    hatched = {"facecolor": "none", "edgecolor": VERMILLION, "hatch": "////", "linewidth": 1.2}
    ax.bar(middles, gap, bottom=bottom, **bar, **hatched)
    (diagonal,) = ax.plot(
        [0, 1], [0, 1], color=_ink(ax), linestyle="--", linewidth=1.3, zorder=3, label="calibrated"
    )
    _label(ax, "confidence of the prediction", "accuracy")
    turned = bins > 10
    room = 14 + 5.5 * len(f"{counts.max():,}") if turned else 24
    title = f"expected calibration error {error:.3f}"
    ax.set_title(title, fontsize=LABEL_SIZE, pad=room)
    row = {"xycoords": ax.get_xaxis_transform(), "textcoords": "offset points"}
    row |= {"fontsize": TEXT_SIZE, "annotation_clip": False}
    ax.annotate("examples", (0, 1), xytext=(-5, 8), ha="right", **row)
    for middle, number in zip(middles, counts[used], strict=True):
        turn = {"rotation": 90 if turned else 0, "ha": "center"}
        ax.annotate(f"{number:,}", (middle, 1), xytext=(0, 8), **turn, **row)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ticks = np.linspace(0, 1, 6)
    ax.set(xticks=ticks, yticks=ticks)
    bars = Patch(color=SKY, alpha=0.6, label="accuracy")
    gaps = Patch(label="gap to mean confidence", **hatched)
    _legend_below(ax, [bars, gaps, diagonal])
    return ax


def _probabilities(values: ArrayLike) -> np.ndarray:
    """Return probabilities as rows (n, classes) that sum to 1."""
    rows = _numbers(values, "probabilities")
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim == 1:
        rows = np.stack([1 - rows, rows], axis=1)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"probabilities has shape {rows.shape}; it must be (n, classes) or (n,)")
    _all_finite(rows, "probabilities")
    if rows.min() < 0 or rows.max() > 1.001 or np.abs(rows.sum(axis=1) - 1).max() > 0.01:
        raise ValueError(
            "probabilities must lie between 0 and 1 and each row must sum to 1: "
            "take the softmax (two classes: the sigmoid) of logits first"
        )
    return rows


def _calibration_bins(
    confidence: np.ndarray, correct: np.ndarray, bins: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the count, accuracy and mean confidence (bins,) of each bin; 0 where it is empty."""
    edges = np.linspace(0, 1, bins + 1)
    number = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    counts = np.bincount(number, minlength=bins)
    divisor = np.maximum(counts, 1)
    accuracy = np.bincount(number, weights=correct, minlength=bins) / divisor
    return counts, accuracy, np.bincount(number, weights=confidence, minlength=bins) / divisor


# %% Files


def save(figure_or_axes: Any, path: str | os.PathLike[str]) -> Path:
    """Return the path of the PNG, 150 dots per inch, to which the figure was written.

    Takes a Figure, an Axes or an array of Axes of one figure. The file appears whole or not at
    all, missing folders are made, and the same picture gives the same bytes. The figure is closed,
    even when writing fails; its Axes stay usable.

    ValueError: no figure, or a name that does not end in .png.
    """
    import matplotlib.pyplot as plt

    figure = _figure_of(figure_or_axes)
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path.name!r} must end in .png, the only format that save writes")
    temporary = path.with_name(f".{uuid.uuid4().hex}.png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Matplotlib would write its version into the file.
        figure.savefig(
            temporary, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None}
        )
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        plt.close(figure)
    return path


def _figure_of(drawing: Any) -> Figure:
    if isinstance(drawing, Figure):
        return drawing
    flat = np.ravel(np.array(drawing, dtype=object))
    figures: set[Any] = {part.figure.figure for part in flat if isinstance(part, Axes)}
    if len(figures) != 1 or not all(isinstance(part, Axes) for part in flat):
        raise ValueError("save takes a Figure, an Axes, or an array of Axes of one figure")
    return figures.pop()
