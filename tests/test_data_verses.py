"""Subwords and verses: pieces give the text back, fixed splits, no verse in two parts."""

import itertools
from collections import Counter

from kerasbook import data
from kerasbook.data import subwords, verses
from kerasbook.data.cmudict import END, PAD, START

import numpy as np
import pytest

TEXTS = ["low lower lowest", "new newer newest", "wide wider widest"] * 3


# Subwords


def test_the_commonest_pair_is_joined_first():
    pieces = subwords.make_pieces(["abab ab", "ab c"], size=100)
    assert pieces[:4] == subwords.SPECIAL
    assert pieces[4:8] == (" ", "a", "b", "c")
    assert pieces[8:] == ("ab", " ab", " c", " abab")  # 4 times, 3 times, then both once


def by_counting_anew(texts, size):
    """The same pieces, slowly: all pairs are counted again after each join."""
    counts = Counter(word for text in texts for word in subwords.split_words(text))
    pieces = list(dict.fromkeys((*subwords.SPECIAL, *sorted(set("".join(counts))))))
    words = {word: list(word) for word in counts}
    while len(pieces) < size:
        pairs = Counter()
        for word, parts in words.items():
            for pair in itertools.pairwise(parts):
                pairs[pair] += counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        words = {word: subwords.join(parts, best) for word, parts in words.items()}
        if "".join(best) not in pieces:
            pieces.append("".join(best))
    return tuple(pieces)


@pytest.mark.parametrize("seed", range(5))
def test_counts_that_are_kept_up_to_date_equal_counting_anew(seed):
    random = np.random.default_rng(seed)
    texts = ["".join(random.choice(list("aab ."), 40)) for _ in range(8)]
    for size in (12, 20, 60):
        assert subwords.make_pieces(texts, size) == by_counting_anew(texts, size)


def test_pieces_give_the_text_back():
    pieces = subwords.make_pieces(TEXTS, 30)
    for text in (*TEXTS, "slower, wildest!", "one_two  three\n", "¿low?"):
        parts = subwords.split_pieces(text, pieces)
        assert "".join(parts) == " " + " ".join(text.split())
    row = subwords.encode(["lower slow"], pieces)[0]
    assert subwords.decode([START, *row, END, 5, PAD], pieces) == "lower slow"
    assert subwords.split_pieces("lowers", pieces) == [" lower", "s"]


def test_what_was_joined_first_is_joined_first_again():
    rank = {piece: place for place, piece in enumerate(("a", "b", "c", "ab", "bc", "cab"))}
    assert subwords.split_word("abc", rank) == ["ab", "c"]
    assert subwords.split_word("bcab", rank) == ["bc", "ab"]


def test_strange_characters_are_unknown():
    pieces = subwords.make_pieces(TEXTS, 30)
    row = subwords.encode(["löw"], pieces)[0]
    assert row.count(subwords.UNKNOWN) == 1
    assert subwords.decode(row, pieces) == "l�w"
    assert subwords.encode(["<end>"], pieces) != [[END]]


def test_a_size_without_room_for_the_characters_is_named():
    with pytest.raises(data.DataError, match="size is 5, but there are"):
        subwords.make_pieces(TEXTS, 5)


def test_pairs_become_a_part():
    pieces = subwords.make_pieces(TEXTS, 40)
    pairs = [("low", "wide"), ("low low low low low", "new"), ("lower", "newest new")]
    part = subwords.encode_pairs(pairs, pieces, longest=5)
    (source, before), after = part
    assert source.shape == before.shape == after.shape == (2, 5)  # one pair is too long
    assert {array.dtype for array in (source, before, after)} == {np.dtype("int32")}
    assert [subwords.decode(row, pieces) for row in source] == ["low", "lower"]
    assert [subwords.decode(row, pieces) for row in after] == ["wide", "newest new"]
    assert (before[:, 0] == START).all()
    assert (after == END).sum(axis=1).tolist() == [1, 1]
    np.testing.assert_array_equal(before[:, 1:], np.where(after == END, PAD, after)[:, :-1])
    with pytest.raises(data.DataError, match="no pair of texts is shorter than 1 pieces"):
        subwords.encode_pairs(pairs, pieces, longest=1)


# Verses


@pytest.fixture(scope="module")
def read():
    return dict(zip(("train", "validation", "test"), verses.read_verses(), strict=True))


def test_a_verse_and_its_words_are_in_one_part(read):
    assert [len(part) for part in read.values()] == [10_056, 1_183, 1_047]
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not {verse.chapter for verse in read[one]} & {v.chapter for v in read[other]}
        for language in (0, 1):
            words = [{verses.words_of(verse)[language] for verse in read[n]} for n in (one, other)]
            assert not words[0] & words[1]


def test_shifted_chapters_are_left_out(read):
    chapters = {verse.chapter for part in read.values() for verse in part}
    assert not chapters & set(verses.SHIFTED)
    assert {"Genesis 1", "Numbers 12", "Job 38"} <= chapters


def test_verse_splits_are_those_of_the_measured_scores(read):
    first = {name: [verse.reference for verse in part[:2]] for name, part in read.items()}
    assert first == FIRST_VERSES
    assert verses.read_verses()[2] == read["test"]


FIRST_VERSES = {
    "train": ["Psalms 35:11", "Mark 12:18"],
    "validation": ["I Chronicles 1:30", "Proverbs 15:3"],
    "test": ["Joshua 10:36", "Psalms 37:27"],
}


def test_verses_become_numbers(monkeypatch, read):
    few = [part[:50] for part in read.values()]
    monkeypatch.setattr(verses, "read_verses", lambda: few)
    splits = data.load("verses", size=200)
    assert len(splits.classes) == 200
    assert (splits.name, splits.target, splits.source) == ("verses", "English", "embedded")
    for part in (splits.train, splits.validation, splits.test):
        (spanish, before), english = part
        assert spanish.shape[1] == before.shape[1] == english.shape[1] == verses.LONGEST
    rows = zip(splits.train.x[0], splits.train.y, strict=True)
    decoded = {tuple(subwords.decode(row, splits.classes) for row in pair) for pair in rows}
    assert decoded <= {(verse.spanish, verse.english) for verse in few[0]}
    assert len(decoded) > 25  # the others are too long in so few pieces
    assert str(splits).endswith("64 symbols; 64 symbols; 200 classes")


def test_pieces_are_made_from_the_training_part_alone(monkeypatch):
    def verse(english, spanish):
        return verses.Verse("Genesis 1:1", english, spanish)

    parts = [verse("low", "abab")], [verse("xyz", "xyz")], [verse("lxw", "abz")]
    monkeypatch.setattr(verses, "read_verses", lambda: parts)
    splits = verses.load_verses(size=50)
    assert set("".join(splits.classes[4:])) == set(" lowab")
    assert (splits.validation.x[0] == subwords.UNKNOWN).sum() == 3
    assert subwords.decode(splits.test.y[0], splits.classes) == "l�w"


@pytest.mark.slow
def test_no_verse_is_too_long_for_its_row(read):
    splits = verses.load_verses()
    sizes = [len(part.y) for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [len(part) for part in read.values()]
    assert len(splits.classes) == 2000
