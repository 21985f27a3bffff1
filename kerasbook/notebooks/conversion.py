"""From a page's source to its notebook, not yet executed."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

from kerasbook import __version__
from kerasbook.contents import PACKAGE, Page
from kerasbook.notebooks.extra import library

GUARD = re.compile(r'^if __name__ == "__main__":\n((?:(?:[ \t]+.*)?(?:\n|$))+)', re.MULTILINE)
# The public repository, such as "https://github.com/OWNER/kerasbook". While it is empty, the
# notebooks say how to bring them into Colab by hand; when it is set, they link there.
REPOSITORY = ""

# The first code cell where there is a repository; the book is not yet there to be imported.
IN_COLAB = """\
# In Colab this installs the book; elsewhere it does nothing.
import os, subprocess, sys
from importlib.util import find_spec

if "google.colab" in sys.modules and find_spec("kerasbook") is None:
    print("Installing the book; this takes minutes.", flush=True)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "git+{repository}"], check=True)
    if {{"keras", "numpy", "tensorflow"}} & set(sys.modules):  # perhaps of other versions
        print("The runtime restarts, to load what was installed: run all cells again.", flush=True)
        os.kill(os.getpid(), 9)"""


def path_of(page: Page, folder: Path) -> Path:
    """Returns where the page's notebook lies: chapter3.ipynb."""
    return folder / f"{page.key}.ipynb"


def notebook_of(page: Page, minutes: int | None = None) -> Any:
    """Returns the page as a notebook that was not executed.

    minutes: how long all its cells took, to be told in the first cell.
    """
    cells = cells_of(page)
    cells[0].source += "\n\n" + how_to_run(page, cells, minutes)
    nbformat = library("nbformat")
    if REPOSITORY:
        source = IN_COLAB.format(repository=REPOSITORY)
        cells.insert(1, nbformat.v4.new_code_cell(source, id="in-colab"))
        cells[1].metadata["tags"] = ["hide-input"]
        hide(cells[1])
    notebook = nbformat.v4.new_notebook(cells=cells, nbformat=4, nbformat_minor=5)
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            "kerasbook": {"source": source_of(page), "minutes": minutes},
        }
    )
    return notebook


def cells_of(page: Page) -> list:
    """Returns the page's cells, without the one that runs it as a program and without guards."""
    cells = library("jupytext").reads(page.text, fmt="py:percent").cells
    cells = [cell for cell in cells if "script" not in cell.metadata.get("tags", [])]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same at every build
        if cell.cell_type == "code":
            cell.source = without_guards(cell.source)
            cell.execution_count = None
        if "hide-input" in cell.metadata.get("tags", []):
            hide(cell)
    return cells


def source_of(page: Page) -> str:
    """Returns the page's file as a reader of the repository finds it: kerasbook/chapter3.py."""
    return page.path.relative_to(PACKAGE.parent).as_posix()


def hide(cell: Any) -> None:
    """Adds to a cell that is tagged `hide-input` the marks that JupyterLab and Colab look for."""
    cell.metadata["jupyter"] = {**cell.metadata.get("jupyter", {}), "source_hidden": True}
    cell.metadata["cellView"] = "form"


def without_guards(source: str) -> str:
    """Returns a cell's code with what stands under the guard moved to the left.

    >>> without_guards('if __name__ == "__main__":\\n    print(1)')
    'print(1)'
    """
    plain = GUARD.sub(lambda match: textwrap.dedent(match[1]), source + "\n")
    return re.sub(r"\n{4,}", "\n\n\n", plain).strip("\n")


def how_to_run(page: Page, cells: list, minutes: int | None) -> str:
    """Returns the end of the first cell, folded: how long the page takes, and how to run it."""
    prose, code = (
        "\n".join(cell.source for cell in cells if cell.cell_type == kind)
        for kind in ("markdown", "code")
    )
    reading = round(len(prose.split()) / 200 + len(code.splitlines()) / 20)
    running = f", {minutes} to run on two CPU cores" if minutes else ""
    program = f"; as a program it is `python -m {page.module}`" if page.is_chapter else ""
    return (
        "<details>\n<summary>Minutes, and how to run it</summary>\n\n"
        f"**Minutes:** about {reading} to read{running}.\n\n"
        f"**To run it:** Python 3.11 to 3.13, and no network. In a checkout of kerasbook, "
        f'`python -m pip install ".[notebook]"`, then `jupyter lab`. {in_colab(page)} '
        f"The source of this notebook is `{source_of(page)}`{program}.\n\n</details>"
    )


def colab_link(name: str) -> str:
    """Returns the address that opens a notebook of this file name in Colab; empty if unknown."""
    if not REPOSITORY:
        return ""
    owner_and_name = REPOSITORY.removeprefix("https://github.com/")
    return f"https://colab.research.google.com/github/{owner_and_name}/blob/main/chapters/{name}"


def in_colab(page: Page) -> str:
    """Returns how to bring the notebook into Colab: a link, where the repository is known."""
    if link := colab_link(path_of(page, Path()).name):
        return (
            f"[In Colab]({link}) the first cell of code installs the book, restarts the runtime if "
            "it must, and says so."
        )
    wheel = f"kerasbook-{__version__}-py3-none-any.whl"
    return (
        f"In Colab, upload this notebook and the wheel that `python -m pip wheel --no-deps .` "
        f"makes, and begin with `%pip install {wheel}`."
    )
