"""Code in the pages: what a cell defines can be linked to, chapter1.html#code-gradient."""

from __future__ import annotations

import re

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
    for block in doctree.findall(nodes.literal_block):
        names = [name for name in DEFINED.findall(block.astext()) if name not in seen]
        block["ids"] += [f"code-{name}" for name in names]
        seen |= set(names)


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
