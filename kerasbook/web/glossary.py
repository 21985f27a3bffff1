"""The glossary: one table, a page made of it, and links to where the book explains a term.

A term's place is, on the page that its row names, the word in italics or bold; else the section
whose title has it; else the paragraph below a heading that first has it. In every other chapter the
first use of a term whose row says `yes` links there. On a Chinese page the words are those of
translations/zh/terms.csv, and the first use of one that has other names in use shows them on hover.
"""

from __future__ import annotations

import csv
import functools
import html
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kerasbook.contents import Page
from kerasbook.translations import terms as translations
from kerasbook.web.languages import is_chinese

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

TABLE = Path(__file__).with_name("glossary.csv")
NO_LINK_IN = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.math)
NO_LINK_IN += (nodes.raw, nodes.comment)
TERMS = Path("translations") / "zh" / "terms.csv"
CHINESE_HEAD = """# 术语表

本书的用词，英文，其他书里的叫法，以及在哪里讲解；字母的含义见[记号](chapters/notation.ipynb)一页。

| 术语 | 英文 | 又名 | 出处 |
|---|---|---|---|
"""
HEAD = """# Glossary

Every term leads to the place where the book explains it; [*Notation*](chapters/notation.ipynb) has
the letters, and words that mean something else elsewhere.
"""


@dataclass(frozen=True)
class Term:
    """A row of the table."""

    term: str
    page: str
    linked: bool
    meaning: str

    @property
    def anchor(self) -> str:
        """The id of its place: `term-feature-map`."""
        return "term-" + re.sub(r"\W+", "-", self.term.lower())

    @functools.cached_property
    def pattern(self) -> re.Pattern:
        """What finds it, in singular and plural."""
        return re.compile(rf"(?<![\w-]){re.escape(self.term)}(?:e?s)?(?![\w-])", re.IGNORECASE)

    def node(self, words: str) -> nodes.Node:
        """Returns a link to its place, of these words."""
        link = nodes.reference("", words, refuri=f"{self.page}.html#{self.anchor}", internal=True)
        link["classes"].append("term")
        link["reftitle"] = self.meaning
        return link


@dataclass(frozen=True)
class ChineseTerm(Term):
    """A row of the Chinese edition's terms; its page is empty where it leads nowhere."""

    chinese: str
    others: tuple[str, ...]

    @functools.cached_property
    def pattern(self) -> re.Pattern:
        """What finds it: the Chinese, or a Latin name as a whole word."""
        word = re.escape(self.chinese)
        return re.compile(rf"(?<![A-Za-z]){word}(?![A-Za-z])" if word.isascii() else word, re.I)

    def node(self, words: str) -> nodes.Node:
        """Returns a link to its place; without one, the words with their other names on hover."""
        if self.page:
            return super().node(words)
        return nodes.abbreviation("", words, explanation=self.meaning)


@functools.cache
def terms() -> list[Term]:
    """Returns the table's rows, by the alphabet."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [{**row, "linked": row["linked"] == "yes"} for row in csv.DictReader(file)]
    return sorted((Term(**row) for row in rows), key=lambda term: term.term.lower())


@functools.cache
def chinese_terms(path: Path) -> list[ChineseTerm]:
    """Returns the rows of a terms.csv, with the pages that the glossary's table has for them."""
    known = {one.term.lower(): one for one in terms()}
    found = []
    for row in translations.terms(path):
        page, linked = "", False
        if one := known.get(row.english.lower()):
            page, linked = one.page, one.linked and len(row.chinese) > 1
        meaning = "，又名".join([row.english, *["、".join(row.others)] * bool(row.others)])
        found.append(ChineseTerm(row.english, page, linked, meaning, row.chinese, row.others))
    return found


def glossary_page(pages: list[Page]) -> str:
    """Returns the glossary in Markdown: the terms that these pages explain."""
    titles = {page.key: page.short_title for page in pages}
    return HEAD + "".join(
        f'\n<span class="term">{html.escape(one.term)}</span>\n: {one.meaning}. '
        f'<a href="chapters/{one.page}.html#{one.anchor}">{html.escape(titles[one.page])}</a>\n'
        for one in terms()
        if one.page in titles
    )


def chinese_glossary(checkout: Path, titles: dict[str, str]) -> str:
    """Returns the Chinese glossary in Markdown; titles: of the translated pages, by their keys."""
    lines = [CHINESE_HEAD]
    for one in chinese_terms(checkout / TERMS):
        place = ""
        if title := titles.get(one.page):
            place = f'<a href="chapters/{one.page}.html#{one.anchor}">{html.escape(title)}</a>'
        lines.append(f"| {one.chinese} | {one.term} | {'、'.join(one.others)} | {place} |\n")
    return "".join(lines)


# --- the links ----------------------------------------------------------------------------


def mark_and_link(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Gives the terms that a page explains an id, and links the others' first use."""
    folder, _, key = name.rpartition("/")
    if folder != "chapters":
        return
    chinese = is_chinese(app)
    table = chinese_terms(Path(app.srcdir) / "terms.csv") if chinese else terms()
    for term in table:
        if term.page == key:
            mark(doctree, term, name)
    left = {}
    for term in table:
        there = f"{folder}/{term.page}" in app.env.found_docs
        if term.linked and term.page != key and there:
            left[term.term.lower()] = term
        elif isinstance(term, ChineseTerm) and term.others and len(term.chinese) > 1:
            left[term.term.lower()] = replace(term, page="")
    for text in list(doctree.findall(nodes.Text)):
        if not is_inside(text, NO_LINK_IN):
            link_first(text, left)


def mark(doctree: nodes.document, term: Term, name: str) -> None:
    """Gives the place that explains a term its id."""
    place = place_of(doctree, term)
    if place is None:
        what = "%s does not have %r, a row of glossary.csv: is its notebook older than its source?"
        logging.getLogger(__name__).warning(what, name, term.term)
    else:
        place["ids"].append(term.anchor)


def place_of(doctree: nodes.document, term: Term) -> Any:
    """Returns the node that explains a term, or None if the page does not have the word."""
    for node in doctree.findall(lambda n: isinstance(n, nodes.emphasis | nodes.strong)):
        if term.pattern.fullmatch(node.astext().strip(" .:,")):
            return node
    for node in doctree.findall(nodes.title):
        if term.pattern.search(node.astext()):
            return node.parent
    for node in doctree.findall(nodes.paragraph):
        if is_in_a_section(node) and term.pattern.search(node.astext()):
            return node
    return None


def is_in_a_section(node: nodes.Node) -> bool:
    """Returns whether a node stands below a heading other than the page's title."""
    sections = 0
    while (node := node.parent) is not None:
        sections += isinstance(node, nodes.section)
    return sections > 1


def is_inside(node: nodes.Node, kinds: tuple) -> bool:
    """Returns whether a node stands in one of these kinds."""
    while (node := node.parent) is not None:
        if isinstance(node, kinds):
            return True
    return False


def link_first(text: nodes.Text, left: dict[str, Term]) -> None:
    """Makes links of the terms that stand in a text and are left; takes them out of those left."""
    parts, rest = [], text.astext()
    while found := first_of(rest, left):
        match, term = found
        del left[term.term.lower()]
        parts += [nodes.Text(rest[: match.start()]), term.node(match[0])]
        rest = rest[match.end() :]
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(rest)])


def first_of(text: str, left: dict[str, Term]) -> tuple[re.Match, Term] | None:
    """Returns the first term in a text, the longest where several begin at one place."""
    found = [(match, term) for term in left.values() if (match := term.pattern.search(text))]
    return min(found, key=lambda one: (one[0].start(), -one[0].end()), default=None)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers it."""
    app.connect("doctree-resolved", mark_and_link)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
