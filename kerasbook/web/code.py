"""The functions and classes of a chapter can be linked to: chapter1.html#code-gradient."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

DEFINED = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)


def mark_definitions(app: Sphinx, doctree: nodes.document) -> None:
    """Gives the cells that define something an id for each name."""
    for block in doctree.findall(nodes.literal_block):
        block["ids"] += [f"code-{name}" for name in DEFINED.findall(block.astext())]


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers it."""
    app.connect("doctree-read", mark_definitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
