"""What numbers of few bits can hold, and where the gradients lie."""

from kerasbook.plotting import page
from kerasbook.plotting.history import plot_lines
from kerasbook.plotting.page import BLUE, ORANGE, SKY, TEXT_SIZE

import numpy as np
from matplotlib.axes import Axes
from ml_dtypes import bfloat16, finfo
from numpy.typing import ArrayLike

TYPES = {"float32": np.float32, "bfloat16": bfloat16, "float16": np.float16}


def plot_ranges(ax: Axes | None = None) -> Axes:
    """Returns the Axes: the positive numbers that each type has, on a line of powers of ten."""
    ax = plot_lines({}, x_label="size of the number, as a power of ten", y_label="", ax=ax)
    ax.figure.set_figheight(2.0)
    for place, dtype in enumerate(reversed(TYPES.values())):
        kind = finfo(dtype)
        first, normal, last = (
            np.log10(float(each)) for each in (kind.smallest_subnormal, kind.tiny, kind.max)
        )
        look = {"linewidth": 8, "solid_capstyle": "butt"}  # round caps would lengthen the bars
        ax.plot([first, normal], [place, place], color=SKY, **look)
        ax.plot([normal, last], [place, place], color=BLUE, **look)
        words = f"{-np.log10(float(kind.eps)):.1f} digits"
        ax.text(last + 1.5, place, words, va="center", fontsize=TEXT_SIZE)
    ax.set_yticks(range(len(TYPES)), reversed(TYPES))
    ax.set_ylim(-0.5, len(TYPES) - 0.5)
    ax.set_xlim(right=58)
    return ax


def plot_gradient_sizes(gradients: ArrayLike, scale: float, ax: Axes | None = None) -> Axes:
    """Returns the Axes: how many of the gradients (n,) have which size, as they are and scaled.

    Dashed lines are the borders of float16: what is smaller is rounded to zero, what is larger is
    infinite. Numbers are on a log axis, so that the few large gradients are seen.

    Raises:
        ValueError: all gradients are zero.
    """
    gradients = np.ravel(gradients)
    sizes = np.log2(np.abs(gradients[gradients != 0]))
    if not len(sizes):
        raise ValueError("all gradients are zero: there is no size to draw")
    ax = plot_lines({}, x_label="size, as a power of two", y_label="number of gradients", ax=ax)
    half = np.finfo("float16")
    # half of the smallest number is rounded up to it
    smallest, largest = np.log2(float(half.smallest_subnormal)) - 1, np.log2(float(half.max))
    bins = np.arange(np.floor(sizes.min()), largest + 4)
    look = {"bins": bins, "alpha": 0.75}
    ax.hist(sizes, **look, color=BLUE, label="as they are")
    words = f"times 2^{np.log2(scale):.0f}"
    ax.hist(sizes + np.log2(scale), **look, color=ORANGE, edgecolor="white", label=words)
    ax.set_yscale("log")
    for place in (smallest, largest):
        ax.axvline(place, color=page.ink(ax), linestyle="--")
    page.legend_below(ax, ax.get_legend_handles_labels()[0])
    above = {"y": 1.02, "transform": ax.get_xaxis_transform(), "fontsize": TEXT_SIZE}
    ax.text(smallest, s="← zero in float16", ha="right", **above)
    ax.text(largest, s="infinite →", ha="left", **above)
    return ax
