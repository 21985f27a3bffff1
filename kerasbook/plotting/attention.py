"""Pictures of attention: who looks at whom, and the waves that say where a token stands."""

from collections.abc import Sequence
from typing import Any

from kerasbook.plotting import arguments, page
from kerasbook.plotting.images import SIGNED
from kerasbook.plotting.page import LABEL_SIZE, PAGE_WIDTH, TEXT_SIZE

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

MOST_LABELS = 40  # on an axis: more would overlap


def plot_attention(
    weights: ArrayLike,
    queries: Sequence[str],
    keys: Sequence[str],
    query_label: str = "looks from",
    key_label: str = "looks at",
    titles: Sequence[str] | None = None,
    axes: Any = None,
) -> np.ndarray:
    """Returns the Axes (heads,) with the attention weights (heads, queries, keys) of each head.

    A row is a query, a column a key, and a dark square a large weight; all share the scale from 0
    to 1. `queries` and `keys` name the rows and columns, `titles` the heads.

    Raises:
        ValueError: another shape, weights outside 0 to 1, more than 40 names on an axis, or names
            that do not match.
    """
    maps = arguments.numbers(weights, "weights")
    if maps.ndim != 3 or maps.size == 0:
        raise ValueError(
            f"weights has shape {maps.shape}; it must be (heads, queries, keys) of one example: "
            "of a batch take weights[0]"
        )
    arguments.all_finite(maps, "weights")
    if maps.min() < -1e-6 or maps.max() > 1 + 1e-6:
        raise ValueError(
            f"weights lie in {maps.min():.3g} … {maps.max():.3g}; they must lie in 0 … 1: "
            "pass them after the softmax"
        )
    heads, rows, columns = maps.shape
    for names, count, name in ((queries, rows, "queries"), (keys, columns, "keys")):
        if len(names) != count or count > MOST_LABELS:
            raise ValueError(
                f"{name} holds {len(names)} names for {count} places, at most {MOST_LABELS}: "
                "cut the padding off both"
            )
    page.check_pictures(heads, 1, "weights[:4]")
    titles = arguments.titles(titles, "head ", heads)
    if axes is None:
        across = min(heads, 2)
        down = -(-heads // across)
        height = min(max(0.21 * rows + 0.8, 1.6), 5.0)
        made = page.new_axes(down, across, PAGE_WIDTH, height * down).ravel()
        for ax in made[heads:]:
            ax.remove()
        flat = made[:heads]
    else:
        flat = page.given_axes(axes, heads)
    for ax, one, title in zip(flat, maps, titles, strict=True):
        picture = ax.imshow(one, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        page.label(ax, key_label, query_label, title)
        ax.set_xticks(range(columns), list(keys), parse_math=False)
        ax.set_yticks(range(rows), list(queries), parse_math=False)
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_gid(page.DATA)
        ax.tick_params(length=0)
        ax.grid(False)
        ax.spines[:].set(visible=True, color="0.6", linewidth=0.6)
    page.colour_bar(picture, list(flat), "weight")
    return flat


def plot_positions(encoding: ArrayLike, ax: Axes | None = None) -> Axes:
    """Returns the Axes with the encoding (positions, width): a row for each position.

    Blue and dark is negative, yellow and light positive.

    Raises:
        ValueError: another shape, or values that are not finite.
    """
    table = arguments.numbers(encoding, "encoding")
    if table.ndim != 2 or table.size == 0:
        raise ValueError(f"encoding has shape {table.shape}; it must be (positions, width)")
    arguments.all_finite(table, "encoding")
    limit = np.abs(table).max() or 1.0
    ax = page.one_axes(ax, height=3.2)
    picture = ax.imshow(table, cmap=SIGNED, vmin=-limit, vmax=limit, aspect="auto")
    page.label(ax, "unit", "position")
    ax.grid(False)
    page.colour_bar(picture, ax, "value").ax.yaxis.label.set_size(LABEL_SIZE)
    ax.tick_params(labelsize=TEXT_SIZE)
    return ax
