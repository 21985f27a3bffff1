"""Shakespeare: eight plays as one long text, cut into windows for a language model."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Sequence

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import DataError, Part, Splits

import numpy as np

UNKNOWN = 0  # the number of every character that the training plays do not have
VALIDATION_BEGINS = "ACT I.\n\nSCENE 1. Rousillon."  # All's Well That Ends Well
TEST_BEGINS = "ACT I.\n\nSCENE I. An Apartment"  # Twelfth Night
SEED = 0


def load_shakespeare(window: int = 64) -> Splits:
    """Returns windows of text as x (n, window) int32, and in y (n, window) what comes after each.

    Character t of y is character t + 1 of the text, where x has character t. Six plays are for
    training, All's Well That Ends Well for validation, Twelfth Night for the test. Windows do not
    overlap, and are shuffled once and for all; what does not fill a window at a part's end is left
    out. `classes` names the characters: those of the training plays, and "<unknown>" before them.

    Source and known flaws:
    files/shakespeare_plays.md.

    Raises:
        DataError: the window is longer than a part.
    """
    texts = read_plays()
    characters = ("<unknown>", *sorted(set(texts[0])))
    train, validation, test = (windows(encode_text(text, characters), window) for text in texts)
    return Splits(
        train=train,
        validation=validation,
        test=test,
        name="shakespeare",
        title="Shakespeare",
        target="next character",
        source="embedded",
        classes=characters,
    )


def read_plays() -> tuple[str, str, str]:
    """Returns the text for training (six plays), for validation and for the test (one each)."""
    text = lzma.decompress(read_file("shakespeare_plays.txt.xz")).decode()
    first, second = text.index(VALIDATION_BEGINS), text.index(TEST_BEGINS)
    return text[:first], text[first:second], text[second:]


def encode_text(text: str, characters: Sequence[str]) -> np.ndarray:
    """Returns the numbers (n,) int32 of the characters of a text; UNKNOWN for others."""
    number = {character: place for place, character in enumerate(characters)}
    return np.array([number.get(character, UNKNOWN) for character in text], np.int32)


def decode_text(numbers: Iterable[int], characters: Sequence[str]) -> str:
    """Returns the text of numbers, with � for UNKNOWN."""
    return "".join("�" if n == UNKNOWN else characters[n] for n in numbers)


def windows(text: np.ndarray, window: int) -> Part:
    """Returns a text (n,) as a Part of windows: x, and y one character later."""
    count = (len(text) - 1) // window if window > 0 else 0
    if count < 1:
        raise DataError(f"window must be from 1 to {len(text) - 1} characters, not {window}.")
    order = np.random.default_rng(SEED).permutation(count)
    x, y = (text[first : first + count * window] for first in (0, 1))
    return Part(x.reshape(count, window)[order], y.reshape(count, window)[order])
