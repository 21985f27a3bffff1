"""The terms: English, the Chinese word of this edition, and the other words in use."""

from __future__ import annotations

import csv
import functools
import re
from dataclasses import dataclass
from pathlib import Path

from kerasbook.contents import PACKAGE
from kerasbook.translations.blocks import FOLDER, Block

GLOSSARY = PACKAGE / "web" / "glossary.csv"


@dataclass(frozen=True)
class Term:
    """A row of terms.csv."""

    english: str
    chinese: str
    others: tuple[str, ...]  # that other books use
    kept: bool  # whether a cell that has the English must have the Chinese
    note: str

    @functools.cached_property
    def pattern(self) -> re.Pattern:
        """What finds the English, in singular and plural."""
        return re.compile(rf"(?<![\w-]){re.escape(self.english)}(?:e?s)?(?![\w-])", re.IGNORECASE)

    def is_introduced(self, text: str) -> bool:
        """Returns whether the text has the Chinese with the English in brackets behind it."""
        words = rf"{re.escape(self.chinese)}[”》*_\s]*（[^）]*{re.escape(self.english)}"
        return self.chinese == self.english or bool(re.search(words, text, re.IGNORECASE))


@functools.cache
def terms(path: Path = FOLDER / "terms.csv") -> list[Term]:
    """Returns the rows of translations/zh/terms.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            Term(
                row["english"],
                row["chinese"],
                tuple(row["others"].split("/")) if row["others"] else (),
                row["kept"] == "yes",
                row["note"],
            )
            for row in csv.DictReader(file)
        ]


def differences(english: str, chinese: str) -> list[str]:
    """Returns a line for each term that a translation has lost, or named otherwise."""
    found = []
    text = re.sub(r"`[^`]*`|\]\([^)]*\)", "", english)
    for term in terms():
        if not term.pattern.search(text) or term.chinese.lower() in chinese.lower():
            continue
        others = [other for other in term.others if other in chinese]
        found += [f"{other} should be {term.chinese}, or stand beside it" for other in others]
        if term.kept and not others:
            found.append(f"{term.english!r} should be {term.chinese}")
    return found


def not_introduced(key: str, blocks: list[Block]) -> list[str]:
    """Returns a line for each term that the page explains and nowhere has with its English.

    Which page explains a term, the glossary's table says.
    """
    if any(block.pending for block in blocks):
        return []
    with GLOSSARY.open(encoding="utf-8", newline="") as file:
        explained = {row["term"].lower() for row in csv.DictReader(file) if row["page"] == key}
    text = "\n".join(block.text for block in blocks)
    return [
        f"the first use of {term.chinese} lacks its English: {term.chinese}（{term.english}）"
        for term in terms()
        if term.english.lower() in explained and not term.is_introduced(text)
    ]
