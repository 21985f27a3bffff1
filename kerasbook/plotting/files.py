"""Saving a figure."""

import os
from pathlib import Path
from typing import Any

from kerasbook.files import atomic_path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def save(figure_or_axes: Any, path: str | os.PathLike[str]) -> Path:
    """Returns the path of the PNG, 150 dots per inch, to which the figure was written.

    Takes a Figure, an Axes or an array of Axes of one figure. The file appears whole or not at
    all, missing folders are made, and the same picture gives the same bytes. The figure is closed,
    even when writing fails; its Axes stay usable.

    Raises:
        ValueError: no figure, or a name that does not end in .png.
    """
    import matplotlib.pyplot as plt

    figure = _figure_of(figure_or_axes)
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ValueError(f"{path.name!r} must end in .png, the only format that save writes")
    try:
        with atomic_path(path) as temporary:
            # Matplotlib would write its version into the file.
            figure.savefig(
                temporary, format="png", dpi=150, bbox_inches="tight", metadata={"Software": None}
            )
    finally:
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
