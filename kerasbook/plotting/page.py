"""The look of a page: colours, sizes, Axes, labels and legends."""

import textwrap
from collections.abc import Sequence
from typing import Any

from kerasbook.program import kernel

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.mathtext import MathTextParser
from matplotlib.ticker import MaxNLocator
from matplotlib.transforms import ScaledTranslation

BLUE, ORANGE, BLACK, VERMILLION = "#0072B2", "#E69F00", "#000000", "#D55E00"
GREEN, PURPLE, SKY = "#009E73", "#CC79A7", "#56B4E9"
# The first three are far apart in lightness too. Okabe and Ito's yellow is too pale for a line.
COLOURS = (BLUE, ORANGE, BLACK, VERMILLION, GREEN, PURPLE, SKY)
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
LINE_STYLES = ("-", "--", "-.", ":", (0, (8, 2)), (0, (4, 1, 1, 1, 1, 1)), (0, (1, 3)))

STAR: dict[str, Any] = {
    "marker": "*",
    "markersize": 13,
    "markeredgecolor": "black",
    "linestyle": "none",
}

PAGE_WIDTH = 6.6  # inches: the text block of a printed page
TEXT_SIZE = 9  # points: ticks, legends, captions
LABEL_SIZE = 10  # points: axis labels and titles
DATA = "data"  # the gid of texts and axes whose words are data: the same in every language
MOST_PICTURES = 200  # each picture is an Axes of some 50 ms


def new_axes(rows: int, columns: int, width: float, height: float) -> np.ndarray:
    """Returns (rows, columns) Axes on a new figure of width by height inches."""
    # pyplot, and with it the choice of a backend, waits until a figure is wanted. Its figures are
    # the ones that Jupyter displays by itself.
    import matplotlib.pyplot as plt

    say_nothing_of_axes()
    _, axes = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained"
    )
    return axes.view(AxesArray)


class AxesArray(np.ndarray):
    """An array of Axes, of which a notebook shows the picture and not the array."""

    def _ipython_display_(self) -> None:
        """Shows nothing: Jupyter shows the figure by itself."""


def say_nothing_of_axes() -> None:
    """Lets a notebook whose cell ends with Axes show the picture alone, not `<Axes: >` above it."""
    if (shell := getattr(kernel(), "shell", None)) is not None:
        shown = shell.display_formatter.ipython_display_formatter
        shown.for_type(Axes, lambda axes: None)


def one_axes(ax: Axes | None, width: float = PAGE_WIDTH, height: float = 4.2) -> Axes:
    """Returns ax, or new Axes where it is None."""
    if ax is None:
        return new_axes(1, 1, width, height)[0, 0]
    if not isinstance(ax, Axes):
        raise ValueError(f"ax must be one Matplotlib Axes, not {type(ax).__name__}")
    return ax


def given_axes(axes: Any, count: int) -> np.ndarray:
    """Returns the first count of the caller's Axes as a flat array."""
    flat = np.array([axes], dtype=object) if isinstance(axes, Axes) else np.ravel(axes)
    flat = flat.view(AxesArray)
    if not all(isinstance(ax, Axes) for ax in flat):
        raise ValueError("axes must be a Matplotlib Axes or an array of them")
    if len(flat) < count:
        raise ValueError(f"{count} pictures need {count} axes; axes holds {len(flat)}")
    return flat[:count]


def picture_axes(
    axes: Any, count: int, columns: int, aspect: float, caption: float = 0.26, bar: float = 0.0
) -> np.ndarray:
    """Returns count Axes without ticks for pictures whose height is aspect times their width.

    A new figure leaves `caption` inches above each picture and `bar` inches at the right.
    """
    if axes is None:
        columns = min(columns, count)
        rows = -(-count // columns)
        width = (PAGE_WIDTH - bar) / max(columns, 4)
        height = min(max(aspect, 0.2), 3.0) * width + caption
        made = new_axes(rows, columns, width * columns + bar, height * rows).ravel()
        for ax in made[count:]:
            ax.remove()
        flat = made[:count]
    else:
        flat = given_axes(axes, count)
    for ax in flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=True, color="0.6", linewidth=0.6)
    return flat


def check_pictures(count: int, columns: int, remedy: str) -> None:
    """Checks that so many pictures can be drawn in so many columns."""
    if count > MOST_PICTURES:
        raise ValueError(f"{count} pictures are more than {MOST_PICTURES}: pass a part, {remedy}")
    if columns < 1:
        raise ValueError(f"columns is {columns}; it must be at least 1")


def label(ax: Axes, x_label: str, y_label: str, title: str | None = None) -> None:
    """Labels both axes and gives ax the book's look: light grid, open frame, readable ticks."""
    ax.set_xlabel(x_label, fontsize=LABEL_SIZE, parse_math=is_formula(x_label))
    ax.set_ylabel(y_label, fontsize=LABEL_SIZE, parse_math=is_formula(y_label))
    if title is not None:
        ax.set_title(title, fontsize=LABEL_SIZE, parse_math=is_formula(title))
    ax.tick_params(labelsize=TEXT_SIZE)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_offset_text().set_fontsize(TEXT_SIZE)
    ax.grid(True, color="0.5", alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)


def is_formula(text: str) -> bool:
    """Returns whether Matplotlib can read text with $formulas$; some prices and typos it cannot."""
    try:
        for line in text.split("\n") if text.count("$") > 1 else []:
            MathTextParser("path").parse(line)
    except ValueError:
        return False
    return True


def ink(ax: Axes, colour: str = BLACK) -> Any:
    """Returns colour, but in place of black what ax writes with: white under a dark style."""
    return ax.xaxis.label.get_color() if colour == BLACK else colour


def count_from_1(ax: Axes) -> None:
    """Gives the x axis ticks at whole numbers; it begins at 0.5, so that 0 is never a tick."""
    ax.xaxis.set_major_locator(
        MaxNLocator(nbins=8, integer=True, min_n_ticks=1, steps=[1, 2, 5, 10])
    )
    last = max(ax.dataLim.x1, 1)
    ax.set_xlim(min(ax.dataLim.x0, 1) - 0.5, last + max(0.5, 0.02 * last))


def room_for_text(ax: Axes, points: float = 5.2) -> int:
    """Returns how many characters of so many points fit into the part of the figure that ax has."""
    width, place = ax.get_window_extent().width, ax.get_subplotspec()
    if place is not None:  # a new figure is not laid out yet, only divided
        width = ax.figure.bbox.width / place.get_gridspec().ncols
    return max(8, int(width / ax.figure.dpi * 72 / points))


def legend_below(ax: Axes, *groups: Sequence[Any]) -> None:
    """Puts the legend under the x label, where it can hide neither data nor a title.

    Each group of handles begins a new line and takes as many columns as fit.
    """
    for old in [artist for artist in ax.artists if isinstance(artist, Legend)]:
        old.remove()
    room = room_for_text(ax) - 2
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
            text.set_parse_math(is_formula(text.get_text()))
        drop += TEXT_SIZE * max(map(sum, np.array_split(lines, columns)))


def colour_bar(picture: Any, axes: Any, label: str) -> Any:
    """Returns a labelled colour bar beside axes."""
    first = np.ravel(axes)[0]
    bar = first.figure.colorbar(picture, ax=axes, shrink=0.9, aspect=25, pad=0.02)
    bar.set_label(label, fontsize=LABEL_SIZE)
    bar.ax.tick_params(labelsize=TEXT_SIZE)
    bar.ax.yaxis.get_offset_text().set_fontsize(TEXT_SIZE)
    return bar


def marked(values: np.ndarray, offset: int) -> list[int]:
    """Returns where a line carries markers: every point of a short one, about eight of a long one.

    A point between two gaps is always marked, for no line would show it.
    """
    count = len(values)
    first = (offset + 1) * count // 40 % count
    spaced = range(count) if count <= 12 else range(first, count, -(-count // 8))
    seen = np.isfinite(np.concatenate([[np.nan], values, [np.nan]]))
    alone = np.flatnonzero(seen[1:-1] & ~seen[:-2] & ~seen[2:])
    return sorted({*spaced, *alone.tolist()})
