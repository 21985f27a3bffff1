"""The numbers that the chapters' text states stand in results.json, or in the cells' outputs."""

import importlib.util
import re
from pathlib import Path

from kerasbook import contents, notebooks
from kerasbook.contents import load_results

import nbformat
import pytest

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
PAGES = list(contents.pages())
PYTHONS = ("3.11", "3.13")  # the versions


def stated(page: str, name: str, nothing):
    """Returns what the page's own test file states of its text, under this name.

    SENTENCES: sentences with numbers, and where in results.json each number stands, as
    {data set/part/score/statistic:format}; a statistic may be `values/0`, the run with seed 0. What
    begins with `measured/` is from tools/make_measurements.py.
    ELSEWHERE: other decimal numbers of the text, and what they are.
    """
    if importlib.util.find_spec(f"test_{page}") is None:
        return nothing
    return getattr(importlib.import_module(f"test_{page}"), name, nothing)


def prose(page: str) -> str:
    """Returns the text of a page in one line, without formulas and code."""
    cells = notebooks.notebook_of(contents.find(page)).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL)
    return " ".join(text.split())


def filled_in(page: str, sentence: str, results: dict) -> str:
    """Returns the sentence with the scores that `results` has for the page."""

    def score(match) -> str:
        dataset, *way = match[1].split("/")
        if dataset == "measured":
            value = results["measurements"][page]
        else:
            value = results[page][dataset]["scores"]
        for name in way:
            value = value[int(name)] if isinstance(value, list) else value[name]
        return format(value, match[2])

    return re.sub(r"\{([^:}]+):([^}]+)\}", score, sentence)


def outputs(page: str) -> str:
    """Returns what the cells of the committed notebook have printed."""
    cells = nbformat.read(notebooks.path_of(contents.find(page), CHAPTERS), as_version=4).cells
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in shown
    )


def unexplained(page: str, text: str, printed: str) -> set[str]:
    """Returns the decimal numbers of the text that are neither printed nor accounted for."""
    known = {*re.findall(r"\d+\.\d+", printed), *stated(page, "ELSEWHERE", {}), *PYTHONS}
    return set(re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", text)) - known


@pytest.mark.parametrize("page", PAGES)
def test_the_numbers_in_the_text_are_those_of_the_results(page):
    text = prose(page)
    for sentence in stated(page, "SENTENCES", []):
        expected = filled_in(page, sentence, load_results())
        assert expected in text, f"results.json has: {expected}"
        text = text.replace(expected, "")
    unknown = unexplained(page, text, outputs(page))
    assert not unknown, f"where do {unknown} come from? Add their sentence to the page's test file"


def test_another_score_would_be_noticed():
    scores = {"test": {"mae": {"mean": 2.5646, "sd": 0.007}}}
    results = {"chapter1": {"auto_mpg": {"scores": scores}}}
    sentence = stated("chapter1", "SENTENCES", [])[0]
    assert filled_in("chapter1", sentence, results) not in prose("chapter1")


def test_a_number_from_nowhere_would_be_noticed():
    assert unexplained("chapter1", "2.50 mpg, 0.1 and 7.31", "loss 2.50\n0.1") == {"7.31"}
