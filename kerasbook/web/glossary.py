"""The glossary: one table, a page made of it, and links to where the book explains a term.

A term's place is, on the page that its row names, the word in italics or bold; else the section
whose title has it; else the paragraph below a heading that first has it. In every other chapter the
first use of a term whose row says `yes` links there.
"""

from __future__ import annotations

import csv
import functools
import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasbook.contents import Page

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

TABLE = Path(__file__).with_name("glossary.csv")
NO_LINK_IN = (nodes.reference, nodes.title, nodes.literal, nodes.literal_block, nodes.math)
NO_LINK_IN += (nodes.raw, nodes.comment)
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


@functools.cache
def terms() -> list[Term]:
    """Returns the table's rows, by the alphabet."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = [{**row, "linked": row["linked"] == "yes"} for row in csv.DictReader(file)]
    return sorted((Term(**row) for row in rows), key=lambda term: term.term.lower())


def glossary_page(pages: list[Page]) -> str:
    """Returns the glossary in Markdown: the terms that these pages explain."""
    titles = {page.key: page.short_title for page in pages}
    return HEAD + "".join(
        f'\n<span class="term">{html.escape(one.term)}</span>\n: {one.meaning}. '
        f'<a href="chapters/{one.page}.html#{one.anchor}">{html.escape(titles[one.page])}</a>\n'
        for one in terms()
        if one.page in titles
    )


# --- the links ----------------------------------------------------------------------------


def mark_and_link(app: Sphinx, doctree: nodes.document, name: str) -> None:
    """Gives the terms that a page explains an id, and links the others' first use."""
    folder, _, key = name.rpartition("/")
    if folder != "chapters":
        return
    for term in terms():
        if term.page == key:
            mark(doctree, term, name)
    linked = [term for term in terms() if term.linked and term.page != key]
    documents = app.env.found_docs
    others = {one.term.lower(): one for one in linked if f"{folder}/{one.page}" in documents}
    for text in list(doctree.findall(nodes.Text)):
        if not is_inside(text, NO_LINK_IN):
            link_first(text, others)


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
        link = nodes.reference(
            "", match[0], refuri=f"{term.page}.html#{term.anchor}", internal=True
        )
        link["classes"].append("term")
        link["reftitle"] = term.meaning
        parts += [nodes.Text(rest[: match.start()]), link]
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
