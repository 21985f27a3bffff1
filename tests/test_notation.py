"""The notation page: a table that renders, and symbols that stand in the chapters."""

import re

from kerasbook import contents, notebooks

PAGE = contents.find("notation")


def rows(text: str) -> list[list[str]]:
    """Returns the cells of each row of the page's tables, heads and rules left out."""
    found = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in found if not set(row[0]) <= set("-")]


def formulas_of(chapter: str) -> str:
    """Returns all formulas of a chapter and its second pages."""
    texts = [
        cell.source
        for key, page in contents.chapters().items()
        if re.match(rf"chapter{chapter}(_|$)", key)
        for cell in notebooks.notebook_of(page).cells
        if cell.cell_type == "markdown"
    ]
    return " ".join(re.findall(r"\$+([^$]+)\$+", "\n".join(texts)))


def test_every_row_has_as_many_cells_as_its_head():
    lines = [line for line in PAGE.text.splitlines() if line.startswith("|")]
    assert len(lines) > 30
    width = 0
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and set(lines[number + 1]) <= set("|-"):
            width = line.count("|")
        assert line.count("|") == width, line


def test_a_symbol_stands_in_the_chapter_that_is_said_to_begin_with_it():
    for symbols, *_, chapter in [row for row in rows(PAGE.text) if row[-1].isdigit()]:
        formulas = formulas_of(chapter)
        for symbol in re.findall(r"\$([^$]+)\$", symbols):
            name = re.sub(r"\\dots\]|_[lt]$|/\\partial w", "", symbol)
            assert name in formulas, f"{symbol} is not in chapter {chapter}"
