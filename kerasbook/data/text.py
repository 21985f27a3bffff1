"""Text as numbers: words, a vocabulary from the training part, rows padded with 0 at the end."""

from __future__ import annotations

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence

from kerasbook.data.splits import Splits, in_words

import numpy as np

PADDING, UNKNOWN = "[padding]", "[unknown]"  # the words 0 and 1 of every vocabulary
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*|[!?]")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class TextSplits(Splits):
    """Splits whose inputs are word numbers, x (n, length) int32, 0 after the end of a text."""

    vocabulary: tuple[str, ...] = ()  # the word of each number; made from the training part alone
    parts_of_a_text = "words, of which {:,} are known"

    def encode(self, texts: Iterable[str]) -> np.ndarray:
        """Returns the texts as word numbers (n, length); an unknown word is 1."""
        length = self.train.x.shape[1]
        return encode([split_words(text) for text in texts], self.vocabulary, length)

    def decode(self, row: Sequence[int] | np.ndarray) -> list[str]:
        """Returns the words or pieces of one row of x, without the padding."""
        return [self.vocabulary[number] for number in row if number != 0]

    def __str__(self) -> str:
        """Return what the data set is, how many texts it has, and of how many words or pieces."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = ", ".join(f"{len(part.x):,} {name}" for name, part in parts.items())
        length, known = self.train.x.shape[1], len(self.vocabulary)
        return (
            f"{self.title} ({self.source}): {counts}; texts of up to {length} "
            f"{self.parts_of_a_text.format(known)}; {in_words(len(self.classes or ()))} classes"
        )

    __repr__ = __str__


def split_words(text: str) -> list[str]:
    """Returns the words of a text in lower case; of its signs only ! and ? are kept."""
    return WORD.findall(text.lower().replace("’", "'").replace("''", '"'))


def make_vocabulary(texts: Iterable[Sequence[str]], size: int) -> tuple[str, ...]:
    """Returns padding, unknown and the size − 2 commonest words of the texts, commonest first.

    Words that are equally common stand in the order of the alphabet.
    """
    if size < 3:
        raise ValueError(f"a vocabulary of {size} has no room for a word: take at least 3")
    counts = collections.Counter(word for words in texts for word in words)
    common = sorted(counts, key=lambda word: (-counts[word], word))
    return (PADDING, UNKNOWN, *common[: size - 2])


def encode(texts: Sequence[Sequence[str]], vocabulary: Sequence[str], length: int) -> np.ndarray:
    """Returns x (n, length) int32: the words' numbers, cut after `length`, then zeros."""
    if length < 1:
        raise ValueError(f"length is {length}; a text keeps at least 1 word")
    numbers = {word: number for number, word in enumerate(vocabulary)}
    x = np.zeros((len(texts), length), np.int32)
    for row, words in zip(x, texts):
        found = [numbers.get(word, 1) for word in words[:length]]
        row[: len(found)] = found
    return x
