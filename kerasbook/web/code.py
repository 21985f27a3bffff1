"""The functions and classes of a chapter can be linked to: chapter1.html#code-gradient."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.typing import ExtensionMetadata

DEFINED = re.compile(r"^(?:def|class) (\w+)", re.MULTILINE)


def mark_definitions(app: Sphinx, doctree: nodes.document) -> None:
    """Gives the cells that define something an id for each name; the first, where several do."""
    seen: set[str] = set()
    for block in doctree.findall(nodes.literal_block):
        names = [name for name in DEFINED.findall(block.astext()) if name not in seen]
        block["ids"] += [f"code-{name}" for name in names]
        seen |= set(names)


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers it."""
    app.connect("doctree-read", mark_definitions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
