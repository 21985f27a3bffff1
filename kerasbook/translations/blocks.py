"""The file of a translation: a block for each English cell, headed by its number and hash.

    <!-- 7 · en 3f2a9c1e -->
    这一段的译文。

A block that has to be translated, or translated again, is marked `pending`; the English of today
stands in it as a comment. Beside the file, `<key>.en.json` has the English that each block was
made from, by its hash.
"""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

from kerasbook.files import atomic_path
from kerasbook.program import UserError
from kerasbook.translations.english import hash_of

FOLDER = Path("translations") / "zh"
HEADER = re.compile(r"^<!-- (\d+) · en ([0-9a-f]{8})( · pending)? -->$", re.MULTILINE)
ENGLISH = re.compile(r"\A\s*<!-- English\n.*?\n-->\n?", re.DOTALL)


class TranslationError(UserError):
    """A translation is not as it should be; the message has the remedy."""

    status = 1


@dataclass(frozen=True)
class Block:
    """One cell's translation.

    Attributes:
        number: of the English Markdown cell, from 1.
        hash: of the English text that it was made from.
        pending: whether it waits for a translator.
        text: in Chinese; empty if there is none yet.
    """

    number: int
    hash: str
    pending: bool
    text: str


def path_of(key: str) -> Path:
    """Returns where a page's translation lies."""
    return FOLDER / f"{key}.md"


def parse(text: str) -> list[Block]:
    """Returns the blocks of a translation's file.

    Raises:
        TranslationError: something stands before the first header.
    """
    start, *parts = HEADER.split(text)
    if start.strip():
        raise TranslationError(
            f"{start.strip()[:40]!r} stands before the first header: `<!-- 1 · en 3f2a9c1e -->`"
        )
    fields = zip(*(parts[place::4] for place in range(4)), strict=True)
    return [
        Block(int(number), digits, bool(pending), ENGLISH.sub("", body).strip())
        for number, digits, pending, body in fields
    ]


def formatted(blocks: list[Block], today: list[str]) -> str:
    """Returns the file of these blocks; those that wait have the English of today as a comment."""
    parts = []
    for block in blocks:
        lines = [f"<!-- {block.number} · en {block.hash}{' · pending' * block.pending} -->"]
        if block.pending and block.number <= len(today):
            lines.append(f"<!-- English\n{today[block.number - 1]}\n-->")
        parts.append("\n".join([*lines, block.text]).rstrip() + "\n")
    return "\n".join(parts)


def read(key: str) -> list[Block]:
    """Returns a page's blocks; none if there is no file."""
    path = path_of(key)
    return parse(path.read_text(encoding="utf-8")) if path.is_file() else []


def read_english(key: str) -> dict[str, str]:
    """Returns the English that the page's blocks were made from, by its hash."""
    path = FOLDER / f"{key}.en.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write(key: str, blocks: list[Block], today: list[str]) -> None:
    """Writes a page's file, and the English of its blocks."""
    known = read_english(key) | {hash_of(text): text for text in today}
    english = {block.hash: known[block.hash] for block in blocks if block.hash in known}
    text = json.dumps(english, ensure_ascii=False, indent=0) + "\n"
    files = {path_of(key): formatted(blocks, today), FOLDER / f"{key}.en.json": text}
    for path, content in files.items():
        with atomic_path(path) as temporary:
            temporary.write_text(content, encoding="utf-8")


# --- which block belongs to which cell ----------------------------------------------------


def aligned(blocks: list[Block], today: list[str]) -> tuple[list[Block | None], list[Block]]:
    """Returns a block or None for each cell of today, and the blocks that belong to none.

    A block belongs to the cell of its hash, wherever that stands; else, where cells have changed
    between two that have not, the first of the old ones to the first of the new, and so on.
    """
    hashes = [hash_of(text) for text in today]
    found: list[Block | None] = [None] * len(today)
    left = list(blocks)
    for place, digits in enumerate(hashes):
        for block in left:
            if block.hash == digits:
                found[place] = block
                left.remove(block)
                break
    matcher = difflib.SequenceMatcher(None, [block.hash for block in blocks], hashes, False)
    for kind, old, old_end, new, new_end in matcher.get_opcodes():
        if kind == "replace":
            changed = [block for block in blocks[old:old_end] if block in left]
            empty = [place for place in range(new, new_end) if found[place] is None]
            for block, place in zip(changed, empty, strict=False):
                found[place] = block
                left.remove(block)
    return found, left


def updated(blocks: list[Block], today: list[str]) -> list[Block]:
    """Returns the blocks of today: in order, and those marked that wait for a translator.

    What belongs to no cell is kept at the end, unless it is empty.
    """
    found, left = aligned(blocks, today)
    result = []
    for number, (block, text) in enumerate(zip(found, today, strict=True), start=1):
        digits = hash_of(text)
        if block is None or not block.text:
            result.append(Block(number, digits, True, ""))
        else:
            pending = block.pending or block.hash != digits
            result.append(replace(block, number=number, pending=pending))
    kept = [block for block in left if block.text]
    return result + [replace(block, number=len(result) + n) for n, block in enumerate(kept, 1)]
