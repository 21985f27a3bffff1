"""Bible verses in Spanish and English, for translation."""

from __future__ import annotations

import lzma
import re
from typing import NamedTuple

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import Splits
from kerasbook.data.subwords import encode_pairs, make_pieces

import numpy as np

LONGEST = 64  # pieces of a verse with its end; with 2,000 pieces all are shorter
TEST, VALIDATION = 100, 100  # chapters
SEED = 6
# Here the two Bibles number the verses differently: what stands side by side is not the same.
SHIFTED = ("Numbers 13", "I Samuel 24", "Hosea 12", "Job 39", "Job 40", "Job 41")


class Verse(NamedTuple):
    """A verse, such as Genesis 1:3, in both languages."""

    reference: str
    english: str
    spanish: str

    @property
    def chapter(self) -> str:
        """The book and the number of the chapter, such as Genesis 1."""
        return self.reference.rpartition(":")[0]


def load_verses(size: int = 2000) -> Splits:
    """Returns about 10,000 + 1,000 + 1,000 verses, Spanish to English, as numbers of pieces.

    x is a pair of int32 arrays (n, 64): the Spanish verse, and the English one so far, START first.
    y (n, 64) int32 is what is to come next, END last. Behind the end all are PAD, 0.
    size: of the vocabulary, which both languages share; it is made from the training part alone
    (see kerasbook.data.subwords), and `classes` are its pieces.

    Source, split, flaws: files/en_es_verses20.md.

    Raises:
        DataError: the size is too small.
    """
    train, validation, test = read_verses()
    pieces = make_pieces((text for verse in train for text in verse[1:]), size)
    parts = (
        encode_pairs([(verse.spanish, verse.english) for verse in part], pieces, LONGEST)
        for part in (train, validation, test)
    )
    return Splits(
        *parts,
        name="verses",
        title="Verses",
        target="English",
        source="embedded",
        classes=pieces,
    )


def read_verses() -> tuple[list[Verse], list[Verse], list[Verse]]:
    """Returns train, validation and test: always the same, shuffled.

    Verses repeat what stands near them, so a chapter goes into one part. Some repeat a far one: a
    verse whose words, in either language, are those of a test verse is left out of validation and
    training, and so is one of a validation verse out of training. `SHIFTED` chapters are left out.
    """
    lines = lzma.decompress(read_file("en_es_verses20.tsv.xz")).decode().splitlines()
    verses = [Verse(*line.split("\t")) for line in lines]
    chapters: dict[str, list[Verse]] = {}
    for verse in verses:
        if verse.chapter not in SHIFTED:
            chapters.setdefault(verse.chapter, []).append(verse)
    random = np.random.default_rng(SEED)
    names = random.permutation(list(chapters))
    parts, seen = [], set()
    for chosen in np.split(names, [TEST, TEST + VALIDATION]):
        part = [
            verse for name in chosen for verse in chapters[name] if seen.isdisjoint(words_of(verse))
        ]
        parts.append([part[place] for place in random.permutation(len(part))])
        seen.update(words for verse in part for words in words_of(verse))
    test, validation, train = parts
    return train, validation, test


def words_of(verse: Verse) -> tuple[str, str]:
    """Returns both texts in lower case, without signs."""
    english, spanish = (" ".join(re.findall(r"\w+", text.lower())) for text in verse[1:])
    return english, spanish
