"""What a model predicts, beside what is true."""

from collections.abc import Sequence

from kerasbook.plotting import arguments, page
from kerasbook.plotting.page import BLUE, LABEL_SIZE, SKY, TEXT_SIZE, VERMILLION

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import ArrayLike

MOST_CLASSES = 100


def plot_confusion(
    true: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[str] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Returns the Axes with the confusion matrix: a row per true class, a column per predicted one.

    A cell holds the count and its share of the row, which also sets the shade; where cells are
    too small for text (from about 16 classes) a colour bar stands for them. `true` and
    `predicted` (n,) are class numbers. The title is the accuracy.

    Raises:
        ValueError: scores in place of class numbers, lengths that differ, a class without a name,
            or more than 100 classes.
    """
    true, predicted = (
        arguments.class_numbers(true, "true"),
        arguments.class_numbers(predicted, "predicted"),
    )
    arguments.same_length(true, predicted, "true and predicted")
    count = arguments.number_of_classes(classes, true, predicted)
    if count > MOST_CLASSES:
        raise ValueError(f"{count} classes are more than {MOST_CLASSES}: pass a part of them")
    names = [str(name) for name in (classes if classes is not None else range(count))]
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, (true, predicted), 1)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)

    side = min(max(0.52 * count, 2.4), 5.5)
    ax = page.one_axes(ax, side + 1.1, side + 1.0 if count <= 15 else 5.6)
    picture = ax.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    right = int(np.trace(table))
    title = f"accuracy {right / len(true):.1%} ({right:,} of {len(true):,})".replace("%", " %")
    page.label(ax, "predicted class", "true class", title)
    ax.spines[:].set_visible(True)
    box = ax.get_window_extent()
    cell = min(box.width, box.height) / ax.figure.dpi / count  # inches
    if cell >= 0.36:
        _write_cells(ax, table, shares)
    else:
        bar = page.colour_bar(picture, ax, "share of the true class")
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
    """Returns the Axes with predicted against true values (n,) and the line where they are equal.

    `unit` names what both are measured in ("mpg"). The title is the mean absolute error.

    Raises:
        ValueError: lengths that differ, no values, or values that are not finite.
    """
    true, predicted = arguments.vector(true, "true"), arguments.vector(predicted, "predicted")
    arguments.same_length(true, predicted, "true and predicted")
    arguments.all_finite(true, "true")
    arguments.all_finite(predicted, "predicted")
    error = np.abs(true - predicted).mean()
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    margin = 0.05 * (high - low) or 0.1 * abs(low) or 1.0
    limits = (low - margin, high + margin)

    ax = page.one_axes(ax, 4.6, 4.9)
    (diagonal,) = ax.plot(
        limits, limits, color=page.ink(ax), linestyle="--", linewidth=1.3, label="predicted = true"
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
    page.label(ax, f"true value ({unit})", f"predicted value ({unit})", title)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(MaxNLocator(nbins=7, steps=[1, 2, 5, 10]))
    page.legend_below(ax, [points, diagonal])
    return ax


def plot_calibration(
    true: ArrayLike, probabilities: ArrayLike, bins: int = 10, ax: Axes | None = None
) -> Axes:
    """Returns the Axes with a reliability diagram: how often is the model right when it says p?

    `true` (n,) are class numbers and `probabilities` (n, classes) rows that sum to 1; a vector
    (n,) is the probability of class 1. Examples are sorted by their confidence, the highest
    probability, into `bins` of equal width, open below and closed above. The title is the
    expected calibration error: the mean over examples of |accuracy - mean confidence| of their
    bin (Guo et al., 2017, https://arxiv.org/abs/1706.04599). Counts stand above the bins.

    Raises:
        ValueError: lengths that differ, class numbers outside the rows, rows that are not
            probabilities, or bins outside 2 to 50.
    """
    true = arguments.class_numbers(true, "true")
    rows = _probabilities(probabilities)
    arguments.same_length(true, rows, "true and probabilities")
    if true.max() >= rows.shape[1]:
        raise ValueError(f"class {true.max()} is outside the {rows.shape[1]} columns")
    if int(bins) != bins or not 2 <= bins <= 50:
        raise ValueError(f"bins is {bins}; it must be a whole number from 2 to 50")
    confidence, correct = rows.max(axis=1), rows.argmax(axis=1) == true
    counts, accuracy, mean_confidence = _calibration_bins(confidence, correct, int(bins))
    error = np.sum(counts * np.abs(accuracy - mean_confidence)) / len(true)

    ax = page.one_axes(ax, 5.4, 5.2)
    used = counts > 0
    middles = (np.arange(bins) + 0.5)[used] / bins
    bar = {"width": 0.92 / bins, "zorder": 2}
    ax.bar(middles, accuracy[used], color=SKY, alpha=0.6, **bar)
    bottom = np.minimum(accuracy, mean_confidence)[used]
    gap = np.abs(accuracy - mean_confidence)[used]
    hatched = {"facecolor": "none", "edgecolor": VERMILLION, "hatch": "////", "linewidth": 1.2}
    ax.bar(middles, gap, bottom=bottom, **bar, **hatched)
    (diagonal,) = ax.plot(
        [0, 1],
        [0, 1],
        color=page.ink(ax),
        linestyle="--",
        linewidth=1.3,
        zorder=3,
        label="calibrated",
    )
    page.label(ax, "confidence of the prediction", "accuracy")
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
    page.legend_below(ax, [bars, gaps, diagonal])
    return ax


def _probabilities(values: ArrayLike) -> np.ndarray:
    """Return probabilities as rows (n, classes) that sum to 1."""
    rows = arguments.numbers(values, "probabilities")
    if rows.ndim == 2 and rows.shape[1] == 1:
        rows = rows[:, 0]
    if rows.ndim == 1:
        rows = np.stack([1 - rows, rows], axis=1)
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"probabilities has shape {rows.shape}; it must be (n, classes) or (n,)")
    arguments.all_finite(rows, "probabilities")
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
