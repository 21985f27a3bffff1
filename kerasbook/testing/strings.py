"""Strings of every kind of character, always the same, for tokenizers to be compared with."""

from __future__ import annotations

import functools
import hashlib
import json
import unicodedata
from collections.abc import Iterable

import numpy as np

# Characters of Unicode 3.2 whose kind has changed since: references differ by their age.
CHANGED = {0x166D, 0x1734, 0x1885, 0x1886}
LONGEST = 40  # characters


@functools.cache
def old_characters() -> tuple[str, ...]:
    """Returns the characters of Unicode 3.2, which every Python knows, but CHANGED."""
    kind = unicodedata.ucd_3_2_0.category
    numbers = (n for n in range(0x110000) if not 0xD800 <= n < 0xE000 and n not in CHANGED)
    return tuple(chr(n) for n in numbers if kind(chr(n)) != "Cn")


def fuzzed(count: int, seed: int = 0) -> list[str]:
    """Returns so many strings of 1 to LONGEST characters: ASCII, below U+3000, or any at all."""
    random, old = np.random.default_rng(seed), old_characters()
    groups = [str.isascii, lambda each: each < "\u3000", lambda each: True]
    groups = [[each for each in old if chosen(each)] for chosen in groups]
    strings = []
    for _ in range(count):
        kinds = random.integers(0, len(groups), random.integers(1, LONGEST + 1))
        places = random.random(len(kinds))
        strings.append("".join(groups[k][int(p * len(groups[k]))] for k, p in zip(kinds, places)))
    return strings


def digest(rows: Iterable) -> str:
    """Returns the sha256 of strings, or of lists of numbers."""
    return hashlib.sha256(json.dumps(list(rows)).encode()).hexdigest()
