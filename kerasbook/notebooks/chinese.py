"""Every picture of a notebook a second time, with Chinese labels, in the one execution.

In the kernel, `begin()` lets Matplotlib's figures have a second form beside image/png. After the
execution `take` moves it out of the notebook, to the hash of the English picture it belongs to.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any

from kerasbook.program import kernel

FORM = "application/x-kerasbook-chinese"
BEGIN = "from kerasbook.notebooks import chinese as _chinese; _chinese.begin(); del _chinese"


def begin() -> None:
    """Lets the kernel's figures be drawn in Chinese too, whenever one is shown."""
    from IPython.core.formatters import BaseFormatter
    from matplotlib.figure import Figure
    from traitlets import Unicode

    class ChineseFormatter(BaseFormatter):
        """Draws a figure; matplotlib-inline would take what is registered by `for_type` away."""

        format_type = Unicode(FORM)

        def __call__(self, thing: Any) -> tuple[str, dict] | None:
            return picture(thing) if isinstance(thing, Figure) else None

    display = kernel().shell.display_formatter
    display.formatters[FORM] = ChineseFormatter(parent=display)


def picture(figure: Any) -> tuple[str, dict]:
    """Returns the figure's PNG with Chinese labels, in base64, and the labels that have none."""
    from kerasbook.plotting.chinese import in_chinese

    from IPython.core.pylabtools import print_figure

    with in_chinese(figure) as missing:
        png = print_figure(figure, fmt="png", bbox_inches="tight")
    return base64.b64encode(png).decode(), {"missing": sorted(set(missing))}


def take(notebook: Any, keep: Callable[[str, dict], None] | None = None) -> None:
    """Removes the Chinese pictures from a notebook's outputs.

    keep: is called with the hash of each English picture, and the Chinese one: `png`, `missing`.
    """
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            png = output.get("data", {}).pop(FORM, None)
            about = output.get("metadata", {}).pop(FORM, {})
            english = output.get("data", {}).get("image/png")
            if png and keep and english and png.split() != english.split():  # it has words
                keep(hash_of(english), {"png": png, **about})


def hash_of(png: str) -> str:
    """Returns twelve digits of a picture in base64, whose line breaks do not count."""
    return hashlib.sha256("".join(png.split()).encode()).hexdigest()[:12]
