"""Chapters as notebooks: `kerasbook notebooks build` and `kerasbook notebooks check`.

A chapter's source is kerasbook/chapterN.py. Its notebook has the same cells, but the one that
runs the chapter as a program is left out, and what stands under `if __name__ == "__main__":`
stands there plainly. The notebook is executed in a kernel of its own, and saved with its outputs.
"""

from __future__ import annotations

import ast
import base64
import functools
import importlib
import json
import re
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import resources
from pathlib import Path
from typing import Any

from kerasbook import __version__
from kerasbook.cli import chapter_titles
from kerasbook.files import atomic_path
from kerasbook.runner import QUICK, load_results

GUARD = re.compile(r'^if __name__ == "__main__":\n((?:(?:[ \t]+.*)?(?:\n|$))+)', re.MULTILINE)
# The public repository, such as "https://github.com/OWNER/kerasbook". While it is empty, the
# notebooks say how to bring them into Colab by hand; when it is set, they link there.
REPOSITORY = ""

LOG_LINE = re.compile(r"^(?:(?:INFO|WARNING|ERROR):(?:tensorflow|absl)|[IWE]\d{4} )", re.MULTILINE)
LARGEST = 1_500_000  # bytes of a notebook with its outputs
SECONDS_PER_CELL = 600


class NotebookError(Exception):
    """A notebook cannot be built, or does not hold what it should; the message has the remedy."""


def pages() -> dict[str, str]:
    """Returns the module of every page, by what the command line calls it: 1, 2, … errata."""
    others = {name: name for name in ("errata", "porting", "speed")}
    return {str(number): f"chapter{number}" for number in chapter_titles()} | others


def source_of(page: str) -> str:
    """Returns the page's source."""
    if page not in pages():
        raise NotebookError(f"there is no page {page!r}: there are {', '.join(pages())}")
    file = resources.files("kerasbook") / f"{pages()[page]}.py"
    return file.read_text(encoding="utf-8")


@functools.cache
def title_of(page: str) -> str:
    """Returns the page's title: '3. Convolutional networks'."""
    docstring = ast.get_docstring(ast.parse(source_of(page))) or ""
    return docstring.partition("\n")[0].lstrip("# ").removeprefix("Chapter ")


def path_of(page: str, folder: Path) -> Path:
    """Returns where the page's notebook lies: chapter3_convolutional_networks.ipynb."""
    title = title_of(page).rpartition(". ")[2].partition(",")[0]
    words = "_".join(re.findall(r"[a-z]+", title.lower().replace("'", "")))
    return folder / f"{pages()[page] + '_' if page.isdigit() else ''}{words}.ipynb"


# --- from the source to a notebook --------------------------------------------------------


def notebook_of(page: str, minutes: int | None = None) -> Any:
    """Returns the page as a notebook that was not executed.

    minutes: how long all its cells took, to be told in the first cell.
    """
    jupytext = _import("jupytext")
    notebook = jupytext.reads(source_of(page), fmt="py:percent")
    cells = [cell for cell in notebook.cells if "script" not in cell.metadata.get("tags", [])]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"  # the same at every build
        if cell.cell_type == "code":
            cell.source = without_guards(cell.source)
            cell.execution_count = None
    cells[0].source += "\n\n" + how_to_run(page, cells, minutes)
    notebook.cells = cells
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        "kerasbook": {"source": f"kerasbook/{pages()[page]}.py", "minutes": minutes},
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def without_guards(source: str) -> str:
    """Returns a cell's code with what stands under the guard moved to the left.

    >>> without_guards('if __name__ == "__main__":\\n    print(1)')
    'print(1)'
    """
    plain = GUARD.sub(lambda match: textwrap.dedent(match[1]), source + "\n")
    return re.sub(r"\n{4,}", "\n\n\n", plain).strip("\n")


def how_to_run(page: str, cells: list, minutes: int | None) -> str:
    """Returns the end of the first cell: how long the page takes, and how to get it running."""
    prose, code = (
        "\n".join(cell.source for cell in cells if cell.cell_type == kind)
        for kind in ("markdown", "code")
    )
    reading = round(len(prose.split()) / 200 + len(code.splitlines()) / 20)
    running = f", {minutes} to run on two CPU cores" if minutes else ""
    name = pages()[page]
    return (
        f"**Minutes:** about {reading} to read{running}.\n\n"
        f"**To run it:** Python 3.11 to 3.13, and no network. In a checkout of kerasbook, "
        f'`python -m pip install ".[notebook]"`, then `jupyter lab`. {_in_colab(page)} '
        f"The source of this notebook is `kerasbook/{name}.py`; as a program it is "
        f"`python -m kerasbook.{name}`."
    )


def _in_colab(page: str) -> str:
    if REPOSITORY:
        owner_and_name = REPOSITORY.removeprefix("https://github.com/")
        path = f"{owner_and_name}/blob/main/chapters/{path_of(page, Path()).name}"
        link = f"https://colab.research.google.com/github/{path}"
        return f"[In Colab]({link}), begin with `%pip install git+{REPOSITORY}`."
    wheel = f"kerasbook-{__version__}-py3-none-any.whl"
    return (
        f"In Colab, upload this notebook and the wheel that `python -m pip wheel --no-deps .` "
        f"makes, and begin with `%pip install {wheel}`."
    )


# --- execution ----------------------------------------------------------------------------


# What quick mode puts before the first cell: the data are few, and every run of `fit` and of a
# chapter's `main` is short. Compiling with XLA would take longer than so short a run.
QUICK_SETUP = f"""
import kerasbook.data
import kerasbook.training
from kerasbook.training.batches import examples as _examples

def _few(load):
    return lambda *arguments, **options: load(*arguments, **options).take(1024)

for _name in kerasbook.data.__all__:
    # Of the bikes a cell looks up certain hours.
    if _name.startswith("load") and _name != "load_bike_rentals":
        setattr(kerasbook.data, _name, _few(getattr(kerasbook.data, _name)))

_fit, _quick = kerasbook.training.fit, {QUICK}

def _quick_fit(model, train, *, epochs=1, **options):
    if _examples(train) is not None:
        import tensorflow as tf
        train = tf.nest.map_structure(lambda array: array[: _quick["examples"]], train)
    return _fit(model, train, epochs=min(epochs, _quick["epochs"]), **{{"jit": "off", **options}})

kerasbook.training.fit = _quick_fit
"""
QUICK_MAIN = """
_main = main

def main(*arguments, **options):
    return _main(*arguments, **{**options, **_quick})
"""


def execute(notebook: Any, quick: bool = False) -> Any:
    """Runs all cells in a kernel of its own; returns the notebook with clean outputs.

    quick: the data are few, and all training is one epoch on 512 examples.
    """
    nbclient = _import("nbclient")
    if quick:
        for cell in notebook.cells:
            if cell.cell_type == "code" and "def main(" in cell.source:
                cell.source += "\n" + QUICK_MAIN
        notebook.cells.insert(0, _import("nbformat").v4.new_code_cell(QUICK_SETUP))
    client = nbclient.NotebookClient(notebook, timeout=SECONDS_PER_CELL, kernel_name="python3")
    try:
        client.execute()
    except nbclient.exceptions.CellExecutionError as error:
        last = str(error).strip().splitlines()[-1]
        raise NotebookError(
            f"a cell of {notebook.metadata.kerasbook.source} fails: {last}"
        ) from error
    if quick:
        notebook.cells.pop(0)
    clean(notebook)
    return notebook


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
            output.text = re.sub(r"  \d+ steps/s$", "", output.text, flags=re.MULTILINE)
    return joined


def _timing_note() -> Any:
    nbformat = _import("nbformat")
    text = "(times differ from machine to machine: run the cell to see yours)\n"
    return nbformat.v4.new_output("stream", name="stdout", text=text)


# --- the two verbs ------------------------------------------------------------------------


def build(chosen: list[str], folder: Path) -> Iterator[Path]:
    """Makes and executes the pages' notebooks; yields each path when it is written."""
    nbformat = _import("nbformat")
    for page in chosen:
        path = path_of(page, folder)
        started = time.monotonic()
        notebook = execute(notebook_of(page))
        minutes = max(1, round((time.monotonic() - started) / 60))
        finished = notebook_of(page, minutes)
        notebook.cells[0].source = finished.cells[0].source
        notebook.metadata.kerasbook = finished.metadata["kerasbook"]
        text = nbformat.writes(notebook) + "\n"
        problems = problems_of(page, notebook)
        if len(text.encode()) > LARGEST:
            problems.append(f"{len(text.encode()):,} bytes are more than {LARGEST:,}")
        if problems:
            raise NotebookError(f"{path.name} was not written: " + "; ".join(problems))
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
        yield path


def run_quickly(chosen: list[str]) -> Iterator[tuple[str, float]]:
    """Executes the pages in quick mode, two at a time; yields each page and its seconds.

    The longest come first: none of them shall begin when all others have ended.
    """
    chosen = sorted(chosen, key=lambda page: len(source_of(page)), reverse=True)

    def executed(notebook: Any) -> tuple[Any, float]:
        started = time.monotonic()
        return execute(notebook, quick=True), time.monotonic() - started

    # Python 3.11 may fail when two threads parse sources, so this one does all the parsing.
    notebooks = [notebook_of(page) for page in chosen]
    with ThreadPoolExecutor(2) as two:
        for page, (notebook, seconds) in zip(chosen, two.map(executed, notebooks), strict=True):
            if problems := problems_of(page, notebook, scores=False):
                raise NotebookError(f"{pages()[page]}: " + "; ".join(problems))
            yield page, seconds


def check(chosen: list[str], folder: Path) -> list[str]:
    """Returns what is wrong with the notebooks in the folder; nothing is executed."""
    nbformat = _import("nbformat")
    problems = []
    for page in chosen:
        path = path_of(page, folder)
        if not path.exists():
            problems.append(f"{path} is missing: run `kerasbook notebooks build {page}`")
            continue
        found = nbformat.read(path, as_version=4)
        expected = notebook_of(page, found.metadata.get("kerasbook", {}).get("minutes"))
        if [_content(cell) for cell in found.cells] != [_content(cell) for cell in expected.cells]:
            where = _first_difference(found.cells, expected.cells)
            problems.append(
                f"{path.name} and its source differ, first in cell {where}: change "
                f"{expected.metadata['kerasbook']['source']} and build the notebook again"
            )
        problems += [f"{path.name}: {problem}" for problem in problems_of(page, found)]
    return problems


def _content(cell: Any) -> tuple:
    return cell.cell_type, cell.source


def _first_difference(found: list, expected: list) -> int:
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if _content(one) != _content(other):
            return number + 1
    return min(len(found), len(expected)) + 1


def problems_of(page: str, notebook: Any, scores: bool = True) -> list[str]:
    """Returns what must not stand in the outputs: errors, paths, log lines, scores out of band."""
    problems = []
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    at_defaults = any(re.search(r"\bmain\(\)", source) for source in code)
    places = {str(Path.home()), str(Path.cwd()), sys.prefix, "site-packages"} - {"/"}
    for number, cell in enumerate(notebook.cells, start=1):
        for output in cell.get("outputs", []):
            text = output.get("text", "") + "".join(
                value for value in output.get("data", {}).values() if isinstance(value, str)
            )
            if output.output_type == "error" or output.get("name") == "stderr":
                problems.append(f"cell {number} complains: {text.strip()[:200]}")
            plain = output.get("text", "") + output.get("data", {}).get("text/plain", "")
            if LOG_LINE.search(plain):
                problems.append(f"cell {number} shows a line of TensorFlow's log")
            if any(place in plain for place in places):
                problems.append(f"cell {number} shows a path of this machine")
            if scores and at_defaults and "result.scores" in cell.source:
                problems += out_of_band(page, plain)
    return problems


def out_of_band(page: str, text: str) -> list[str]:
    """Returns a line for each score in the text that lies outside of all the chapter's bands."""
    bands: dict[str, list] = {}
    for entry in load_results().get(pages()[page], {}).values():
        for part in entry["scores"].values():
            for name, score in part.items():
                bands.setdefault(name, []).append(score["band"])
    found = re.findall(r"'(\w+)': (-?[\d.]+(?:e-?\d+)?)", text)
    return [
        f"{name} {value} lies outside of its band in results.json"
        for name, value in found
        if name in bands and not any(low <= float(value) <= high for low, high in bands[name])
    ]


def _import(name: str) -> Any:
    """Returns the module, or says how to get it: it belongs to the extra `notebook`."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise NotebookError(
            f"{name} is not installed: python -m pip install 'kerasbook[notebook]'"
        ) from None


# --- the index ----------------------------------------------------------------------------


def write_index(folder: Path) -> None:
    """Writes README.md and pictures/: every notebook in the folder, with one picture of each."""
    lines = ["# The chapters as notebooks", "", "Made by `kerasbook notebooks build`.", ""]
    for page, module in pages().items():
        path = path_of(page, folder)
        if not path.exists():
            continue
        lines += [f"## [{title_of(page)}]({path.name})", ""]
        if (folder / f"{module}_exercises.ipynb").exists():
            lines += [f"[Its exercises]({module}_exercises.ipynb)", ""]
        content = picture_in(path)
        if content is not None:
            picture = folder / "pictures" / f"{module}.png"
            with atomic_path(picture) as temporary:
                temporary.write_bytes(content)
            lines += [f"![A picture of this chapter](pictures/{picture.name})", ""]
    with atomic_path(folder / "README.md") as temporary:
        temporary.write_text("\n".join(lines), encoding="utf-8")


def picture_in(path: Path) -> bytes | None:
    """Returns the PNG of the cell tagged `cover`, else the first; None if there is none."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    tagged = [cell for cell in notebook["cells"] if "cover" in cell["metadata"].get("tags", [])]
    for cell in [*tagged, *notebook["cells"]]:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                return base64.b64decode(output["data"]["image/png"])
    return None
