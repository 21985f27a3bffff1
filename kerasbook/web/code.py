"""Code in the pages: what a cell defines can be linked to, chapter1.html#code-gradient.

A cell that a playground links to has a link back to it. Colours need few spans.
"""

from __future__ import annotations

import re

from kerasbook.web.playgrounds import Playground, playgrounds

from docutils import nodes
from pygments.formatters import HtmlFormatter
from pygments.token import Name, Operator, Punctuation, Text, Whitespace
from sphinx.application import Sphinx
from sphinx.highlighting import PygmentsBridge
from sphinx.util.typing import ExtensionMetadata

DEFINED = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)


def mark_definitions(app: Sphinx, doctree: nodes.document) -> None:
    """Gives the cells that define something an id for each name; the first, where several do."""
    seen: set[str] = set()
    for block in list(doctree.findall(nodes.literal_block)):
        names = [name for name in DEFINED.findall(block.astext()) if name not in seen]
        block["ids"] += [f"code-{name}" for name in names]
        seen |= set(names)
        if found := playing(app.env.docname if app else "", names):
            link_playgrounds(block, found, (app.config.language or "").startswith("zh"))


def playing(page: str, names: list[str]) -> list[Playground]:
    """Returns the playgrounds that link to one of these functions of a page."""
    cells = {(page.removeprefix("chapters/"), name) for name in names}
    return [one for one in playgrounds() if cells & one.cells]


def link_playgrounds(block: nodes.Element, found: list[Playground], chinese: bool) -> None:
    """Puts links to playgrounds below the cell that a block of code belongs to."""
    up, query, words = ("../", "", "Playground: ")
    if chinese:
        up, query, words = ("../../", "?zh", "演练场（英文）：")
    links = [
        f'<a href="{up}playgrounds/{one.name}.html{query}">{words}{one.title}</a>' for one in found
    ]
    cell = block
    while cell.parent is not None and "cell" not in cell.get("classes", []):
        cell = cell.parent
    text = f'<p class="in-playground">{" ".join(links)}</p>'
    cell = block if cell.parent is None else cell
    cell.parent.insert(cell.parent.index(cell) + 1, nodes.raw("", text, format="html"))


class FewerSpans(HtmlFormatter):
    """Leaves names, signs and blanks without a span: they have the colour of the text.

    They are two thirds of all tokens, and a span is longer than most of them.
    """

    def format(self, tokensource, outfile) -> None:
        """Writes the tokens as HTML."""
        plain = (Name, Operator, Punctuation, Whitespace)
        super().format(((Text if kind in plain else kind, t) for kind, t in tokensource), outfile)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers both."""
    PygmentsBridge.html_formatter = FewerSpans
    app.connect("doctree-read", mark_definitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
