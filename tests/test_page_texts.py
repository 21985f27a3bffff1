"""What every page's text must have: a sentence for each picture, and no list by accident."""

import json
import re
from pathlib import Path

from kerasbook import contents

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "chapters"
PAGES = [page for page in contents.pages().values() if (NOTEBOOKS / f"{page.key}.ipynb").is_file()]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.key)
# CommonMark begins a list at such a line, even within a paragraph or a formula of two lines.
LIST_BY_ACCIDENT = re.compile(r"^(?![ \-+*#|>]|\d+[.)] )\S.*\n(?:1[.)]|[-+*]) .*", re.MULTILINE)
BEFORE_A_LIST = re.compile(r".*[:;,.]\n")


def cells_of(page: contents.Page) -> list[dict]:
    """Returns the cells of a page's committed notebook."""
    text = (NOTEBOOKS / f"{page.key}.ipynb").read_text(encoding="utf-8")
    return json.loads(text)["cells"]


def has_picture(cell: dict) -> bool:
    """Returns whether a cell has drawn something."""
    return any("image/png" in output.get("data", {}) for output in cell.get("outputs", []))


def without_sentence(cells: list[dict], source: str) -> list[str]:
    """Returns the cells whose picture has no sentence, or one that is not in the source."""
    alts = {cell["id"]: cell["metadata"].get("alt", "") for cell in cells if has_picture(cell)}
    return [
        name
        for name, alt in alts.items()
        if len(alt.split()) < 6 or json.dumps(alt, ensure_ascii=False) not in source
    ]


def lists_by_accident(text: str) -> list[str]:
    """Returns the places where a line of a paragraph would become a list."""
    return [one[0] for one in LIST_BY_ACCIDENT.finditer(text) if not BEFORE_A_LIST.match(one[0])]


@every_page
def test_every_picture_has_its_sentence_in_the_source(page):
    assert without_sentence(cells_of(page), page.text) == []


@every_page
def test_no_line_of_a_paragraph_becomes_a_list(page):
    texts = ["".join(cell["source"]) for cell in cells_of(page) if cell["cell_type"] == "markdown"]
    assert [place for text in texts for place in lists_by_accident(text)] == []


@pytest.mark.parametrize(
    ("alt", "source", "noticed"),
    [
        (
            "The loss falls, then it rises again.",
            '# %% alt="The loss falls, then it rises again."',
            0,
        ),
        ("The loss falls, then it rises again.", '# %% alt="Another sentence."', 1),
        ("chapter3.png", '# %% alt="chapter3.png"', 1),
        ("", "# %%", 1),
    ],
)
def test_a_missing_sentence_would_be_noticed(alt, source, noticed):
    cell = {"id": "cell-1", "metadata": {"alt": alt}, "outputs": [{"data": {"image/png": "…"}}]}
    assert len(without_sentence([cell], source)) == noticed


@pytest.mark.parametrize(
    ("text", "noticed"),
    [
        ("the standard deviation\n1. So the background", 1),
        ("but $1\n- s + s / C$", 1),
        ("After this chapter you can:\n- add", 0),
        ("in 1998\n1998. No list", 0),
        ("- one\n- two\n1. three", 0),
    ],
)
def test_a_list_by_accident_would_be_noticed(text, noticed):
    assert len(lists_by_accident(text)) == noticed
