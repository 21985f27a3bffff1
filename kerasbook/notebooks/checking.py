"""What must not stand in a notebook: another text than its source's, errors, paths, odd scores."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from kerasbook.contents import Page, load_results
from kerasbook.notebooks.conversion import notebook_of, path_of
from kerasbook.notebooks.extra import library

LOG_LINE = re.compile(r"^(?:(?:INFO|WARNING|ERROR):(?:tensorflow|absl)|[IWE]\d{4} )", re.MULTILINE)


def check(chosen: list[Page], folder: Path) -> list[str]:
    """Returns what is wrong with the notebooks in the folder; nothing is executed."""
    nbformat = library("nbformat")
    problems = []
    for page in chosen:
        path = path_of(page, folder)
        if not path.exists():
            problems.append(f"{path} is missing: run `kerasbook notebooks build {page.key}`")
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
    """What a cell has of its source: its kind, its text, and its tags and marks."""
    marks = {name: value for name, value in cell.metadata.items() if name != "execution"}
    return cell.cell_type, cell.source, marks


def _first_difference(found: list, expected: list) -> int:
    for number, (one, other) in enumerate(zip(found, expected, strict=False)):
        if _content(one) != _content(other):
            return number + 1
    return min(len(found), len(expected)) + 1


def problems_of(page: Page, notebook: Any, scores: bool = True) -> list[str]:
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


def out_of_band(page: Page, text: str) -> list[str]:
    """Returns a line for each score in the text that lies outside of all the chapter's bands."""
    bands: dict[str, list] = {}
    for entry in load_results().get(page.key, {}).values():
        for part in entry["scores"].values():
            for name, score in part.items():
                bands.setdefault(name, []).append(score["band"])
    found = re.findall(r"'(\w+)': (-?[\d.]+(?:e-?\d+)?)", text)
    return [
        f"{name} {value} lies outside of its band in results.json"
        for name, value in found
        if name in bands and not any(low <= float(value) <= high for low, high in bands[name])
    ]
