"""The English text of a page, cell by cell: what a translation is made from."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from kerasbook import contents
from kerasbook.notebooks import conversion

README = "README"  # a key beside the pages'
MADE = re.compile(r"<!-- (\w+): made by [^>]*-->.*?<!-- end of \1 -->", re.DOTALL)


def keys() -> list[str]:
    """Returns the keys of all that can be translated: the README and the pages."""
    return [README, *contents.pages()]


def cells(key: str) -> list[str]:
    """Returns the texts of the page in order: its Markdown cells, and its pictures' sentences.

    A picture's sentence stands in its cell's metadata; here it is `![sentence](picture)`. The
    README is cut at its headings; of a table that a tool has made, its name is left:
    `<!-- made: results -->`.

    Raises:
        UnknownPage: there is no page of this key.
    """
    if key == README:
        text = MADE.sub(r"<!-- made: \1 -->", Path("README.md").read_text(encoding="utf-8"))
        return [part.strip() for part in re.split(r"^(?=## )", text, flags=re.MULTILINE)]
    found = conversion.cells_of(contents.find(key))
    return [text for cell in found if (text := text_of(cell))]


def text_of(cell: dict) -> str:
    """Returns what is translated of a notebook's cell; empty for code without a picture."""
    if cell["cell_type"] == "markdown":
        return "".join(cell["source"])
    alt = cell["metadata"].get("alt")
    return f"![{alt}](picture)" if alt else ""


def hash_of(text: str) -> str:
    """Returns eight digits that change with the text, but not with its line breaks.

    >>> hash_of("one two") == hash_of(" one\\ntwo "), hash_of("one") == hash_of("two")
    (True, False)
    """
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()[:8]
