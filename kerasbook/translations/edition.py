"""What `kerasbook translations check`, `update` and `accept` do."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from kerasbook.translations import blocks, checks, english, terms
from kerasbook.translations.blocks import FOLDER, Block, TranslationError
from kerasbook.translations.english import hash_of


@dataclass(frozen=True)
class Report:
    """What `check` has found on a page.

    Attributes:
        cells: number of English cells.
        current: how many of them have a translation of today's English.
        problems: a line for each thing that is wrong; what is marked `pending` is not.
    """

    key: str
    cells: int
    current: int
    problems: list[str]


def translated() -> list[str]:
    """Returns the keys of what has a translation, in the book's order.

    Raises:
        TranslationError: the folder is no checkout of the book, or a file belongs to no page.
    """
    if not FOLDER.is_dir():
        raise TranslationError(f"there is no {FOLDER}: run it in a checkout of kerasbook")
    known, found = english.keys(), {path.stem for path in FOLDER.glob("*.md")}
    if unknown := found - set(known):
        raise TranslationError(f"{', '.join(sorted(unknown))}.md in {FOLDER} belong to no page")
    return [key for key in known if key in found]


def check(key: str) -> Report:
    """Returns what is wrong with a page's translation."""
    today, found = english.cells(key), blocks.read(key)
    pairs, superfluous = blocks.aligned(found, today)
    problems = [f"block {block.number} belongs to no cell" for block in superfluous]
    current = 0
    for number, (block, text) in enumerate(zip(pairs, today, strict=True), start=1):
        if block is None or not block.pending:
            problems += [f"cell {number}: {line}" for line in wrong(block, number, text)]
            current += is_current(block, text)
    places = [found.index(block) for block in pairs if block is not None]
    if places != sorted(places):
        problems.append("the blocks are out of order")
    problems += wrong_english(key, found) + terms.not_introduced(key, found)
    return Report(key, len(today), current, problems)


def is_current(block: Block | None, text: str) -> bool:
    """Returns whether a block is a translation of this English, and not marked."""
    return bool(block and block.text and not block.pending and block.hash == hash_of(text))


def wrong(block: Block | None, number: int, text: str) -> list[str]:
    """Returns what is wrong with the block of a cell that is not marked."""
    if block is None:
        return ["is missing"]
    if block.hash != hash_of(text):
        return ["is stale: its English has changed"]
    found = [] if block.number == number else [f"has the number {block.number}"]
    return found + (checks.differences(text, block.text) if block.text else ["is empty"])


def wrong_english(key: str, found: list[Block]) -> list[str]:
    """Returns what is wrong with the English that is kept beside the translation."""
    kept = blocks.read_english(key)
    problems = [f"{key}.en.json lacks {b.hash}" for b in found if b.hash not in kept]
    return problems + [
        f"{key}.en.json has another text at {digits}"
        for digits, text in kept.items()
        if hash_of(text) != digits
    ]


def update(key: str) -> Iterator[str]:
    """Writes a page's file anew, or its first skeleton; yields what has changed in the English.

    The Chinese stays. Blocks are put in order and numbered; those whose English is new or has
    changed are marked `pending`.
    """
    today, old = english.cells(key), blocks.read(key)
    known = blocks.read_english(key)
    new = blocks.updated(old, today)
    for block in new[: len(today)]:
        text = today[block.number - 1]
        if block.hash != hash_of(text):
            yield f"cell {block.number} has changed:"
            yield from changes(known.get(block.hash, ""), text)
        elif block.pending:
            yield f"cell {block.number} is to be translated"
    for block in new[len(today) :]:
        yield f"block {block.number} belongs to no cell: delete it"
    blocks.write(key, new, today)


def changes(old: str, new: str) -> list[str]:
    """Returns the lines of a text that have changed, as `diff` shows them."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), lineterm="", n=1)
    return [f"    {line}" for line in lines if not line.startswith(("---", "+++", "@@"))]


def accept(key: str, numbers: list[int]) -> tuple[list[int], list[str]]:
    """Takes blocks for translations of today's English; returns their numbers, and what is wrong.

    numbers: of the cells; without any, all that wait and have a text. Those with a fault stay as
    they are.
    """
    today = english.cells(key)
    found = blocks.updated(blocks.read(key), today)
    if unknown := [number for number in numbers if not 1 <= number <= len(today)]:
        raise TranslationError(f"{key} has no cell {unknown[0]}: its cells are 1 to {len(today)}")
    chosen = numbers or [block.number for block in found if block.pending and block.text]
    accepted, problems = [], []
    for number in chosen:
        block, text = found[number - 1], today[number - 1]
        lines = checks.differences(text, block.text) if block.text else ["is empty"]
        problems += [f"cell {number}: {line}" for line in lines]
        if not lines:
            found[number - 1] = replace(block, hash=hash_of(text), pending=False)
            accepted.append(number)
    blocks.write(key, found, today)
    return accepted, problems
