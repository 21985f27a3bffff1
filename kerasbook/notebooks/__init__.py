"""Pages as notebooks: `kerasbook notebooks build` and `kerasbook notebooks check`.

A chapter's source is kerasbook/<key>.py. Its notebook, chapters/<key>.ipynb, has the same cells,
but the one that runs the chapter as a program is left out, and what stands under
`if __name__ == "__main__":` stands there plainly (conversion.py). The notebook is executed in a
kernel of its own and saved with its outputs (execution.py), which are looked through (checking.py).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from kerasbook.contents import Page
from kerasbook.files import atomic_path
from kerasbook.notebooks.checking import check, problems_of
from kerasbook.notebooks.conversion import notebook_of, path_of
from kerasbook.notebooks.execution import execute, run_quickly
from kerasbook.notebooks.extra import NotebookError, library
from kerasbook.notebooks.index import write_index

__all__ = [
    "NotebookError",
    "build",
    "check",
    "execute",
    "notebook_of",
    "path_of",
    "problems_of",
    "run_quickly",
    "write_index",
]
LARGEST = 1_500_000  # bytes of a notebook with its outputs


def build(
    chosen: list[Page], folder: Path, keep: Callable[[str, str, dict], None] | None = None
) -> Iterator[Path]:
    """Makes and executes the pages' notebooks; yields each path when it is written.

    keep: takes a page's key, and what execute() keeps of its pictures with Chinese labels.
    """
    for page in chosen:
        path = path_of(page, folder)
        started = time.monotonic()
        kept = functools.partial(keep, page.key) if keep else None
        notebook = execute(notebook_of(page), keep=kept)
        minutes = max(1, round((time.monotonic() - started) / 60))
        finished = notebook_of(page, minutes)
        notebook.cells[0].source = finished.cells[0].source
        notebook.metadata.kerasbook = finished.metadata["kerasbook"]
        text = library("nbformat").writes(notebook) + "\n"
        problems = problems_of(page, notebook)
        if len(text.encode()) > LARGEST:
            problems.append(f"{len(text.encode()):,} bytes are more than {LARGEST:,}")
        if problems:
            raise NotebookError(f"{path.name} was not written: " + "; ".join(problems))
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        yield path
