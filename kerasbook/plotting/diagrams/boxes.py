"""What diagrams are drawn with: boxes, circles and arrows, placed by hand in inches.

Blue boxes have weights; circles and grey boxes have none.
"""

from typing import Any

from kerasbook.plotting import page
from kerasbook.plotting.page import BLUE, PAGE_WIDTH, TEXT_SIZE

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import Ellipse, FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

GREY = "#888888"
ON_TINT = "#000001"  # black under every style: boxes are pale under a dark one too


def canvas(height: float, ax: Axes | None, width: float = PAGE_WIDTH) -> Axes:
    """Returns Axes of width by height inches, in inches, without anything on it."""
    ax = page.one_axes(ax, width, height)
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    ax.set_axis_off()
    return ax


def tint(colour: str, share: float = 0.18) -> tuple:
    """Returns a paler colour: white with a share of this one."""
    return tuple(1 - share * (1 - part) for part in to_rgb(colour))


def text(ax: Axes, x: float, y: float, words: str, colour: str = "black", **options: Any) -> None:
    """Draws words, centred at x, y; black ones take the ink of the page."""
    options = {"ha": "center", "va": "center", "fontsize": TEXT_SIZE, "linespacing": 1.3} | options
    ax.text(x, y, words, color=page.ink(ax) if colour == "black" else colour, **options)


def box(ax, x, y, words, colour=BLUE, width=0.8, height=0.4, **options) -> None:
    """Draws a box around x, y; options are of its text."""
    shape = FancyBboxPatch(
        (x - width / 2, y - height / 2),
        width,
        height,
        boxstyle="round,pad=0,rounding_size=0.07",
        facecolor=tint(colour),
        edgecolor=colour,
        linewidth=1.3,
        zorder=3,
    )
    ax.add_patch(shape)
    text(ax, x, y, words, ON_TINT, zorder=4, **options)


def circle(ax, x, y, sign, colour=GREY, size=0.28) -> None:
    """Draws an operation: a sign in a circle."""
    shape = Ellipse(
        (x, y), size, size, facecolor=tint(colour), edgecolor=colour, linewidth=1.3, zorder=3
    )
    ax.add_patch(shape)
    text(ax, x, y, sign, ON_TINT, zorder=4, fontsize=TEXT_SIZE + 1)


def arrow(ax, *points, colour="black", head=True, style="-", over=None) -> None:
    """Draws a line through points (x, y), its head at the last; at height `over` it is a bridge."""
    colour = page.ink(ax) if colour == "black" else colour
    if over is not None:
        x, ground = points[0][0], ax.figure.get_facecolor()
        ax.plot([x, x], [over - 0.1, over + 0.1], color=ground, linewidth=7, zorder=2.2)
    ax.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>,head_width=0.3,head_length=0.55" if head else "-",
            mutation_scale=9,
            color=colour,
            linewidth=1.3,
            linestyle=style,
            joinstyle="miter",
            shrinkA=0,
            shrinkB=0,
            fill=head,
            zorder=2 if over is None else 2.3,
        )
    )
