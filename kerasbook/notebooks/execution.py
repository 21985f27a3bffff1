"""Execution of notebooks in kernels of their own, and the cleaning of what they print."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kerasbook.contents import About, Page
from kerasbook.notebooks import chinese
from kerasbook.notebooks.checking import problems_of
from kerasbook.notebooks.conversion import notebook_of
from kerasbook.notebooks.extra import NotebookError, library

SECONDS_PER_CELL = 600
BEGIN_QUICK_MODE = """\
from kerasbook.notebooks import quick as quick_mode

quick_mode.begin({settings}, {data})
"""
SHORT_MAIN = "\n\nmain = quick_mode.short(main)"


def execute(
    notebook: Any, quick: About | None = None, keep: Callable[[str, dict], None] | None = None
) -> Any:
    """Runs all cells in a kernel of its own; returns the notebook with clean outputs.

    quick: what the page tells about itself, where it is only to be tried out.
    keep: takes the pictures with Chinese labels (chinese.py); without it none are drawn.
    """
    nbclient = library("nbclient")
    if quick:
        begin_quick_mode(notebook, quick)
    client = nbclient.NotebookClient(notebook, timeout=SECONDS_PER_CELL, kernel_name="python3")
    if keep:
        client.on_notebook_start = lambda notebook: client.kc.execute(chinese.BEGIN, silent=True)
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        last = str(error).strip().splitlines()[-1]
        source = notebook.metadata["kerasbook"]["source"]
        raise NotebookError(f"a cell of {source} fails: {last}") from error
    if quick:
        notebook.cells.pop(0)
    chinese.take(notebook, keep)
    clean(notebook)
    return notebook


def begin_quick_mode(notebook: Any, about: About) -> None:
    """Puts a cell before the others that makes all that follows short (see quick.py)."""
    for cell in notebook.cells:
        if cell.cell_type == "code" and "def main(" in cell.source:
            cell.source += SHORT_MAIN
    first = BEGIN_QUICK_MODE.format(settings=about.quick, data=about.quick_data)
    notebook.cells.insert(0, library("nbformat").v4.new_code_cell(first))


def run_quickly(chosen: list[Page]) -> Iterator[tuple[Page, float]]:
    """Executes the pages in quick mode, two at a time; yields each page and its seconds.

    The longest come first: none of them shall begin when all others have ended.
    """
    chosen = sorted(chosen, key=lambda page: len(page.text), reverse=True)

    def executed(page: Page, notebook: Any) -> tuple[Any, float]:
        started = time.monotonic()
        return execute(notebook, page.about), time.monotonic() - started

    # Python 3.11 may fail when two threads parse sources, so this one does all the parsing.
    notebooks = [notebook_of(page) for page in chosen]
    for page in chosen:
        page.about  # noqa: B018
    with ThreadPoolExecutor(2) as two:
        done = two.map(executed, chosen, notebooks)
        for page, (notebook, seconds) in zip(chosen, done, strict=True):
            if problems := problems_of(page, notebook, scores=False):
                raise NotebookError(f"{page.key}: " + "; ".join(problems))
            yield page, seconds


# --- cleaning -----------------------------------------------------------------------------


def clean(notebook: Any) -> None:
    """Removes from the outputs what would differ next time, or not show on GitHub."""
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.metadata.pop("execution", None)  # when it began and ended
        timed = "timing" in cell.metadata.get("tags", [])
        kept = [output for output in cell.outputs if _is_shown(output)]
        cell.outputs = [_timing_note()] if timed and kept else _joined(kept)


def _is_shown(output: Any) -> bool:
    """Not a widget, which shows only while its kernel lives; not the name of a drawn object."""
    data = output.get("data", {})
    if "application/vnd.jupyter.widget-view+json" in data:
        return False
    return "image/png" in data or not re.match(r"[\[(ary]*<", data.get("text/plain", ""))


def _joined(outputs: list) -> list:
    """Prints that arrived in several parts as one; how they were cut differs from run to run."""
    joined: list = []
    for output in outputs:
        if joined and output.get("name") and output.get("name") == joined[-1].get("name"):
            joined[-1].text += output.text
        else:
            joined.append(output)
    for output in joined:
        if "text" in output:  # the lines of a training run end with its speed
            output.text = re.sub(r"  [\d.,]+ steps/s$", "", output.text, flags=re.MULTILINE)
    return joined


def _timing_note() -> Any:
    nbformat = library("nbformat")
    text = "(times differ from machine to machine: run the cell to see yours)\n"
    return nbformat.v4.new_output("stream", name="stdout", text=text)
