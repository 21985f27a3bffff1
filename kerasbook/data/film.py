"""Sentences from film reviews, each rated by at least 20 people, as positive or negative."""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from typing import NamedTuple

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import Part
from kerasbook.data.text import TextSplits, encode, make_vocabulary, split_words
from kerasbook.data.wordpieces import PieceSplits, rows

import numpy as np

CLASSES = ("negative", "positive")
NEUTRAL = 0.05  # a mean rating as near to 0 as this says nothing
VALIDATION, TEST = 1_000, 1_500
SEED = 4


class Sentences(NamedTuple):
    """Sentences and their mean ratings (n,), −4 to 4."""

    texts: tuple[str, ...]
    ratings: np.ndarray


def load_film_sentences(
    words: int = 10_000, length: int = 40, pieces: Sequence[str] | None = None
) -> TextSplits:
    """Returns 8,049 + 1,000 + 1,500 sentences: x (n, length) int32, y (n,) int32, 1 for positive.

    words: size of the vocabulary; x is 0 after the end of a sentence and 1 for an unknown word.
    length: longer sentences are cut; with 40, one in a hundred.
    pieces: word pieces, as of BERT; then x is that of `wordpieces.rows`, and `words` is not used.

    Source, split and known flaws: files/sentiment_movie.md.
    """
    train, validation, test = read_film_sentences()
    vocabulary = pieces or make_vocabulary(map(split_words, train.texts), words)

    def part(sentences: Sentences) -> Part:
        if pieces:
            x = rows(sentences.texts, pieces, length)
        else:
            x = encode([split_words(text) for text in sentences.texts], vocabulary, length)
        return Part(x, (sentences.ratings > 0).astype(np.int32))

    kind = PieceSplits if pieces else TextSplits
    return kind(
        train=part(train),
        validation=part(validation),
        test=part(test),
        name="film_sentences",
        title="Film sentences",
        target="negative or positive",
        source="embedded",
        classes=CLASSES,
        vocabulary=tuple(vocabulary),
    )


def read_film_sentences() -> tuple[Sentences, Sentences, Sentences]:
    """Returns train, validation and test: always the same, shuffled, without the neutral ones.

    The file is ordered by rating, so it is shuffled before it is cut. Of a sentence that occurs
    twice, one is kept.
    """
    lines = lzma.decompress(read_file("sentiment_movie.tsv.xz")).decode().splitlines()
    rated = {text: float(rating) for rating, text in (line.split("\t") for line in lines)}
    kept = [(text, rating) for text, rating in rated.items() if abs(rating) > NEUTRAL]
    order = np.random.default_rng(SEED).permutation(len(kept))
    test, validation, train = np.split(order, [TEST, TEST + VALIDATION])

    def part(places: np.ndarray) -> Sentences:
        texts, ratings = zip(*(kept[place] for place in places))
        return Sentences(texts, np.array(ratings))

    return part(train), part(validation), part(test)
