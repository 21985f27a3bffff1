"""Word pieces: text as BERT reads it, every word as the longest pieces that a list has.

    >>> pieces = (*SPECIAL, "un", "##known", "##s", "the")
    >>> split_pieces("The unknowns", pieces)
    ['the', 'un', '##known', '##s']

A piece that goes on in a word begins with ##. The rules for characters are those of Google's BERT
(google-research/bert, tokenization.py); a word that the pieces cannot make is [UNK].
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import re
import unicodedata
from collections.abc import Iterable, Sequence

from kerasbook.data import subwords
from kerasbook.data.splits import DataError
from kerasbook.data.text import TextSplits

import numpy as np

PADDING, UNKNOWN, START, END, MASK = SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LONGEST_WORD = 100  # characters; a longer one is [UNK]
IDEOGRAPHS = (  # of Chinese, Japanese and Korean: each is a word
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F), (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0x2F800, 0x2FA1F),
)  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class PieceSplits(TextSplits):
    """Splits whose inputs are numbers of word pieces, x (n, length) int32, each text as in `rows`.

    The vocabulary is the list of pieces.
    """

    parts_of_a_text = "word pieces, out of {:,}"

    def encode(self, texts: Iterable[str]) -> np.ndarray:
        """Returns the texts as rows (n, length)."""
        return rows(list(texts), self.vocabulary, self.train.x.shape[1])


# --- characters -----------------------------------------------------------------------------


def spell(character: str, lower: bool = True) -> str:
    """Returns what stands for a character: nothing, a space, itself without its accent, apart.

    lower: small letters without accents, as the models called "uncased" have them.
    """
    kind = unicodedata.category(character)
    if character in "\t\n\r" or kind == "Zs":
        return " "
    if character in "\0\ufffd" or kind in ("Cc", "Cf", "Co"):  # control, format, private use
        return ""
    alone = any(first <= ord(character) <= last for first, last in IDEOGRAPHS)
    if lower:
        parts = unicodedata.normalize("NFD", character)
        character = "".join(each.lower() for each in parts if unicodedata.category(each) != "Mn")
    spaced = (f" {each} " if alone or is_punctuation(each) else each for each in character)
    return "".join(spaced)


def is_punctuation(character: str) -> bool:
    """Returns whether a character is a sign of ASCII, or punctuation in Unicode."""
    signs = character.isascii() and character.isprintable() and not character.isalnum()
    return (signs and character != " ") or unicodedata.category(character).startswith("P")


class Spelling(dict):
    """What `str.translate` asks: for the number of each character, what `spell` makes of it."""

    def __init__(self, lower: bool) -> None:
        """Takes what `spell` takes."""
        self.lower = lower

    def __missing__(self, number: int) -> str:
        """Returns it, and keeps it."""
        self[number] = spell(chr(number), self.lower)
        return self[number]


def split_words(text: str, lower: bool = True) -> list[str]:
    """Returns the words and signs of a text, in the order in which they stand."""
    return text.translate(Spelling(lower)).split()


# --- pieces ---------------------------------------------------------------------------------


def split_word(word: str, known) -> list[str]:
    """Returns the pieces of a word, the longest first; [UNK] if it cannot be made of them.

    known: the pieces, something in which `in` is quick.
    """
    if len(word) > LONGEST_WORD:
        return [UNKNOWN]
    parts, start = [], 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = "##" * (start > 0) + word[start:end]
            if piece in known:
                break
        else:
            return [UNKNOWN]
        parts.append(piece)
        start = end
    return parts


def split_pieces(
    text: str, pieces: Iterable[str], special: bool = False, lower: bool = True
) -> list[str]:
    """Returns the pieces of a text.

    special: whether `[MASK]` and the like, written in the text, are those pieces; else they are
        brackets and a word, as in any text of somebody who knows nothing of them.
    """
    known = pieces if isinstance(pieces, dict | set) else set(pieces)
    return [piece for word in words_of(text, special, lower) for piece in split_word(word, known)]


def words_of(text: str, special: bool, lower: bool) -> list[str]:
    """Returns the words of a text, in which special ones may stand."""
    if not special:
        return split_words(text, lower)
    names = "|".join(map(re.escape, SPECIAL))
    parts = re.split(f"({names})", text)
    return [
        word for part in parts for word in ([part] if part in SPECIAL else split_words(part, lower))
    ]


def encode(
    texts: Iterable[str], pieces: Sequence[str], special: bool = False, lower: bool = True
) -> list[list[int]]:
    """Returns the numbers of the pieces of each text, as `split_pieces` cuts it."""
    number = {piece: place for place, piece in enumerate(pieces)}

    @functools.cache  # most words occur many times
    def numbers(word: str) -> list[int]:
        if special and word in SPECIAL:
            return [number[word]]
        return [number[piece] for piece in split_word(word, number)]

    return [
        [each for word in words_of(text, special, lower) for each in numbers(word)]
        for text in texts
    ]


def rows(
    texts: Sequence[str],
    pieces: Sequence[str],
    length: int,
    special: bool = False,
    lower: bool = True,
) -> np.ndarray:
    """Returns x (n, length) int32: [CLS], the text's pieces, [SEP], then [PAD]; long ones are cut.

    Raises:
        DataError: the length has no room for a piece.
    """
    if length < 3:
        raise DataError(f"length is {length}; [CLS], a piece and [SEP] need 3")
    padding, start, end = (pieces.index(name) for name in (PADDING, START, END))
    x = np.full((len(texts), length), padding, np.int32)
    for row, numbers in zip(x, encode(texts, pieces, special, lower)):
        numbers = [start, *numbers[: length - 2], end]
        row[: len(numbers)] = numbers
    return x


def decode(numbers: Iterable[int], pieces: Sequence[str]) -> str:
    """Returns the text of numbers, without padding, [CLS] and [SEP]; a space between words."""
    found = [pieces[number] for number in numbers]
    found = [piece for piece in found if piece not in (PADDING, START, END)]
    return " ".join(found).replace(" ##", "")


# --- training -------------------------------------------------------------------------------


def glue(first: str, second: str) -> str:
    """Returns the piece that two neighbours make."""
    return first + second.removeprefix("##")


def make_pieces(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """Returns `size` pieces: the SPECIAL ones, the characters, then pairs, the commonest first.

    texts: those of the training part alone; few of them make fewer pieces. Of pairs that are
    equally common, the first in the alphabet is taken.

    Raises:
        DataError: the size has no room for the characters.
    """
    counts = collections.Counter(word for text in texts for word in split_words(text))
    words = [[word[0], *(f"##{each}" for each in word[1:])] for word in counts]
    characters = sorted({piece for word in words for piece in word})
    pieces = (*SPECIAL, *characters)
    return subwords.join_commonest(words, list(counts.values()), pieces, size, glue)


def read_pieces(content: str) -> tuple[str, ...]:
    """Returns the pieces of a `vocab.txt`, one a line.

    Raises:
        DataError: a piece that BERT needs is missing, or one stands there twice.
    """
    pieces = tuple(content.rstrip("\n").split("\n"))
    if missing := [name for name in SPECIAL if name not in pieces]:
        raise DataError(f"the list of pieces has no {missing[0]}: is it BERT's vocab.txt?")
    if len(set(pieces)) < len(pieces):
        ((twice, _),) = collections.Counter(pieces).most_common(1)
        raise DataError(f"the list of pieces has {twice!r} twice: take the model's own vocab.txt")
    return pieces
