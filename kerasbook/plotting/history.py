"""Curves over epochs and steps."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from kerasbook.plotting import arguments, page
from kerasbook.plotting.page import COLOURS, LINE_STYLES, MARKERS, PAGE_WIDTH, STAR

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike

# The words of a metric's name that tell which way it improves; the first pattern is asked first.
LOWER_IS_BETTER = re.compile(
    r"(^|_)(loss|error|mae|mse|rmse|mape|msle|\w*entropy|perplexity|divergence|hinge|poisson|cosh"
    r"|brier|false)(_|$)"
)
HIGHER_IS_BETTER = re.compile(
    r"(^|_)(acc|accuracy|auc|precision|recall|f1|fbeta|r2|score|similarity|iou|io|bleu|sensitivity"
    r"|specificity|true)(_|$)"
)


def plot_history(
    *histories: Any,
    labels: Sequence[str] | None = None,
    metric: str | Sequence[str] | None = None,
    units: Mapping[str, str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Returns the Axes (panels,) with the loss and each metric of one or several runs by epoch.

    A history is what `fit` returns, ours or Keras', or its dictionary of one number per epoch.
    Training is solid and validation (`val_…`) dashed; a star marks the best validation value
    when the metric's name tells whether high or low is good. Epochs count from 1. A loss over
    more than two decades gets a log scale. NaN and infinity are gaps. Where one run has one epoch,
    its values are written beside the points.

    `labels` names the runs, `metric` chooses panels ("loss", ["loss", "mae"]) and `units` adds
    a unit to a panel's label ({"mae": "mpg"}).

    Raises:
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
        made = page.new_axes(rows, columns, width, rows * (2.9 + legend)).ravel()
        for ax in made[len(panels) :]:
            ax.remove()
        axes = made[: len(panels)]
    else:
        axes = page.given_axes(axes, len(panels))
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
    """Returns the names of the panels: the loss first, then as the runs list them."""
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
    """Returns the curves of one run that the panels show, all of one length."""
    curves = {}
    for name, values in run.items():
        if name.removeprefix("val_") not in panels:
            continue
        array = arguments.numbers(values, f"history[{name!r}]")
        if array.ndim != 1:
            raise ValueError(
                f"history[{name!r}] has shape {array.shape}; it must be one number per epoch: "
                "name the others with metric=[…]"
            )
        if len(array) == 0:
            raise ValueError(f"history[{name!r}] is empty: train for at least one epoch")
        curves[name] = arguments.gaps(array)
    lengths = {name: len(values) for name, values in curves.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"the curves of one run differ in length: {lengths}; "
            "put NaN where an epoch has no value (validation_freq leaves such holes)"
        )
    return curves


def _epochs(history: Any, curves: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the epochs counted from 1; Keras keeps them from 0 and lets a run begin later."""
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
    """Returns whether high values of the metric are good; None when the name does not tell."""
    if LOWER_IS_BETTER.search(name.lower()):
        return False
    return True if HIGHER_IS_BETTER.search(name.lower()) else None


def _best_epoch(name: str, values: np.ndarray | None) -> int | None:
    """Returns the index of the first best value, or None."""
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
    """Draws one metric of every run."""
    kinds: dict[str, Line2D] = {}
    rows: list[Line2D] = []
    star = None
    for number, (run, label) in enumerate(zip(runs, labels, strict=True)):
        look: dict[str, Any] = {
            "color": page.ink(ax, COLOURS[number % len(COLOURS)]),
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
                markevery=page.marked(run[key], offset=3 * number + (style == "--")),
                label=f"{label}, {kind}",
            )
            shown = look if len(runs) == 1 else {"color": page.ink(ax), "linewidth": 1.5}
            shown = {**shown, "linestyle": style, "markerfacecolor": face, "label": kind}
            kinds[kind] = Line2D([], [], **shown)
            if len(runs) == len(run[key]) == 1:  # a point without a curve: its value says more
                _write_value(ax, epochs[0][0], run[key][0], left=kind == "validation")
        best = _best_epoch(name, run.get("val_" + name))
        if best is not None:
            epoch, value = epochs[number][best], run["val_" + name][best]
            # Hollow, so that the points under it are seen.
            hollow = STAR | {"markerfacecolor": "none", "markeredgecolor": look["color"]}
            ax.plot(epoch, value, **hollow, zorder=4, clip_on=False)
            words = f"best {value:.4g} at epoch {epoch}"
            star = Line2D([], [], **hollow, label=words)
            label = f"{label}: {words}"
        if len(runs) > 1 and (name in run or "val_" + name in run):
            rows.append(Line2D([], [], **look, label=label))

    page.label(ax, "epoch", name.replace("_", " ") + (f" ({unit})" if unit else ""))
    _scale_loss(ax, name, runs)
    page.count_from_1(ax)
    if star is not None and len(runs) > 1:
        star.set(markeredgecolor=page.ink(ax), label="best validation")
    page.legend_below(ax, list(kinds.values()), rows if star is None else [*rows, star])


def _write_value(ax: Axes, x: float, y: float, left: bool) -> None:
    """Write the value of a point beside it, to its left or its right."""
    ax.annotate(
        f"{y:.4g}" if np.isfinite(y) else "",
        (x, y),
        xytext=(-9 if left else 9, 0),
        textcoords="offset points",
        ha="right" if left else "left",
        va="center",
        fontsize=page.TEXT_SIZE,
    )


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
    """Returns the Axes with one curve per entry of series, each in its own colour and style.

    `x` (n,) belongs to every curve; without it values are numbered from 1, and curves may differ
    in length. NaN, infinity and, with `log=True`, values at or below 0 are gaps. Without curves,
    `{}`, the Axes are labelled and empty, for the caller to draw on.

    Raises:
        ValueError: curves without a finite value, or lengths that do not match `x`.
    """
    if not isinstance(series, Mapping):
        raise ValueError('series must be a dictionary of curves: {"name": values}')
    places = None if x is None else arguments.gaps(arguments.vector(x, "x"))
    curves = {}
    for name, values in series.items():
        curve = arguments.gaps(arguments.vector(values, f"series[{name!r}]"))
        if places is not None:
            arguments.same_length(places, curve, f"x and series[{name!r}]")
        curves[str(name)] = np.where(curve > 0, curve, np.nan) if log else curve
    if curves and not any(np.any(np.isfinite(curve)) for curve in curves.values()):
        need = "positive and finite" if log else "finite"
        raise ValueError(f"series holds no {need} value, so there is nothing to draw")

    ax, lines = page.one_axes(ax, height=3.8), []
    for number, (name, curve) in enumerate(curves.items()):
        lines += ax.plot(
            np.arange(1, len(curve) + 1) if places is None else places,
            curve,
            color=page.ink(ax, COLOURS[number % len(COLOURS)]),
            linestyle=LINE_STYLES[number % len(LINE_STYLES)],
            linewidth=1.6,
            marker=MARKERS[number % len(MARKERS)],
            markersize=4.5,
            markevery=page.marked(curve, offset=number),
            label=name,
        )
    page.label(ax, x_label, y_label)
    if log:
        ax.set_yscale("log")
    if curves and places is None:
        page.count_from_1(ax)
    page.legend_below(ax, lines)
    return ax


def plot_bands(
    series: Mapping[str, ArrayLike],
    *,
    x: ArrayLike | None = None,
    x_label: str,
    y_label: str,
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with one curve per entry of series (runs, n): the mean over the runs.

    The tint around a curve reaches from the lowest to the highest run. `x` (n,) belongs to every
    curve; without it values are numbered from 1.

    Raises:
        ValueError: an entry is not (runs, n), or `plot_lines` refuses it.
    """
    runs = {name: np.asarray(values, float) for name, values in series.items()}
    for name, values in runs.items():
        if values.ndim != 2:
            raise ValueError(
                f"series[{name!r}] has shape {values.shape}; it must be (runs, n), a row per run"
            )
    means = {name: values.mean(axis=0) for name, values in runs.items()}
    ax = plot_lines(means, x=x, x_label=x_label, y_label=y_label, ax=ax)
    for line, values in zip(ax.lines, runs.values(), strict=True):
        low, high = values.min(axis=0), values.max(axis=0)
        ax.fill_between(line.get_xdata(), low, high, color=line.get_color(), alpha=0.15, lw=0)
    return ax
