"""CMUdict: how 115,892 English words are spelt, and how Americans say them."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Sequence

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import DataError, Part, Splits

import numpy as np

PAD, START, END = 0, 1, 2  # of the sounds; letters have the padding only
LETTERS = ("", *"abcdefghijklmnopqrstuvwxyz")  # the name of letter number 0, 1, …
SPECIAL = ("", "<start>", "<end>")  # sounds number 0, 1 and 2
MOST_LETTERS, MOST_SOUNDS = 14, 15  # of a word in the file
VALIDATION, TEST = 1000, 1000  # words
SEED = 0


def load_cmudict() -> Splits:
    """Returns spelling and pronunciation of 113,892 + 1,000 + 1,000 words, as numbers.

    x is a pair of int32 arrays: letters (n, 14), and the sounds that a decoder has already said
    (n, 16), START first. y (n, 16) int32 holds the sounds that it is to say next, END last. Behind
    the word's end all are PAD, 0. `LETTERS` names the letters and `classes` the sounds.

    Stress is left out: 39 sounds. The words are shuffled once and for all and cut; no word is in
    two parts. Source and known flaws: files/cmudict.md.
    """
    words = read_words()
    order = np.random.default_rng(SEED).permutation(len(words))
    cuts = np.split(order, [TEST, TEST + VALIDATION])
    test, validation, train = ([words[number] for number in cut] for cut in cuts)
    sounds = (*SPECIAL, *sorted({sound for _, said in train for sound in said}))
    parts = {"train": train, "validation": validation, "test": test}
    return Splits(
        **{name: encode_words(part, sounds) for name, part in parts.items()},
        name="cmudict",
        title="CMUdict",
        target="sounds",
        source="embedded",
        classes=sounds,
    )


def read_words() -> list[tuple[str, tuple[str, ...]]]:
    """Returns (spelling, sounds without stress) of every word, in alphabetical order."""
    lines = lzma.decompress(read_file("cmudict.tsv.xz")).decode().splitlines()
    pairs = (line.split("\t") for line in lines)
    return [(word, tuple(said.translate(WITHOUT_STRESS).split())) for word, said in pairs]


WITHOUT_STRESS = str.maketrans("", "", "012")


def encode_words(words: Sequence[tuple[str, Iterable[str]]], sounds: Sequence[str]) -> Part:
    """Returns a Part, as load_cmudict describes it, of (spelling, sounds) pairs."""
    number = {sound: place for place, sound in enumerate(sounds)}
    said = [[number[sound] for sound in pronunciation] for _, pronunciation in words]
    before = padded([[START, *row] for row in said], MOST_SOUNDS + 1)
    after = padded([[*row, END] for row in said], MOST_SOUNDS + 1)
    return Part((encode_letters([word for word, _ in words]), before), after)


def encode_letters(words: Sequence[str]) -> np.ndarray:
    """Returns letters (n, 14) int32 of the words.

    Raises:
        DataError: one is not 2–14 letters a–z.
    """
    for word in words:
        if not (2 <= len(word) <= MOST_LETTERS and word.isascii() and word.isalpha()):
            raise DataError(
                f"{word!r} cannot be read: take a word of 2 to {MOST_LETTERS} letters a–z."
            )
    before_a = ord("a") - 1
    return padded([[ord(letter) - before_a for letter in word.lower()] for word in words])


def padded(rows: Sequence[Sequence[int]], width: int = MOST_LETTERS) -> np.ndarray:
    """Returns the rows as one array (n, width) int32, with PAD behind each."""
    lengths = np.array([len(row) for row in rows])
    table = np.full((len(rows), width), PAD, np.int32)
    table[np.arange(width) < lengths[:, np.newaxis]] = np.concatenate(rows)
    return table


def spelling(letters: Iterable[int]) -> str:
    """Returns the word that a row of letters (14,) spells."""
    return "".join(LETTERS[letter] for letter in letters)
