"""CMUdict and Shakespeare: complete, fixed splits, no leak; several inputs in one part."""

from collections import Counter

from kerasbook import data
from kerasbook.data import cmudict, shakespeare
from kerasbook.data.cmudict import END, LETTERS, PAD, START

import numpy as np
import pytest


@pytest.fixture(scope="module")
def words():
    return data.load_cmudict()


@pytest.fixture(scope="module")
def plays():
    return data.load_shakespeare(window=100)


def parts(splits):
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


def spelt(part):
    return [cmudict.spelling(row) for row in part.x[0]]


# CMUdict


def test_words_have_the_documented_shapes(words):
    for part, count in zip(parts(words).values(), (113_892, 1000, 1000), strict=True):
        (letters, before), after = part
        assert letters.shape == (count, 14)
        assert before.shape == after.shape == (count, 16)
        assert {array.dtype for array in (letters, before, after)} == {np.dtype("int32")}
    assert len(words.classes) == 42
    assert words.classes[:3] == ("", "<start>", "<end>")
    assert words.name == "cmudict"


def test_words_are_in_one_part_each_and_complete(words):
    spellings = [word for part in parts(words).values() for word in spelt(part)]
    assert sorted(spellings) == sorted(word for word, _ in cmudict.read_words())
    assert max(Counter(spellings).values()) == 1


def test_words_are_spelt_and_said_as_in_the_file(words):
    said = dict(cmudict.read_words())
    assert said["transformer"] == ("T", "R", "AE", "N", "S", "F", "AO", "R", "M", "ER")
    for word, row in zip(spelt(words.test), words.test.y, strict=True):
        sounds = [words.classes[sound] for sound in row]
        assert sounds[: sounds.index("<end>")] == list(said[word])


def test_sounds_before_are_the_sounds_after_moved_by_one(words):
    (letters, before), after = words.validation
    assert (before[:, 0] == START).all()
    ended = after == END
    np.testing.assert_array_equal(before[:, 1:], np.where(ended, PAD, after)[:, :-1])
    assert (ended.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(before != PAD, after != PAD)
    assert (np.diff((letters != PAD).astype(int), axis=1) <= 0).all(), "padding is at the end"


@pytest.mark.slow
def test_word_splits_are_those_of_the_measured_scores(words):
    first = {name: spelt(part)[:3] for name, part in parts(words).items()}
    assert first == FIRST_WORDS
    assert spelt(data.load_cmudict().test) == spelt(words.test)


FIRST_WORDS = {
    "train": ["trinidad", "dispensing", "miert"],
    "validation": ["haphazard", "hoggard", "donvan"],
    "test": ["irreconcilable", "inclusions", "cranes"],
}


def test_sounds_are_named_from_the_training_part_alone(monkeypatch):
    pairs = [("ab", ("X",)), ("abc", ("Y", "Z"))] * 1500
    monkeypatch.setattr(cmudict, "read_words", lambda: pairs)
    monkeypatch.setattr(cmudict, "VALIDATION", 5)
    monkeypatch.setattr(cmudict, "TEST", 5)
    assert data.load_cmudict().classes[3:] == ("X", "Y", "Z")


@pytest.mark.parametrize("word", ["a", "it's", "naïve", "abcdefghijklmno", "", "x1"])
def test_words_that_cannot_be_read_are_named(word):
    with pytest.raises(data.DataError, match="2 to 14 letters"):
        cmudict.encode_letters([word])


def test_letters_survive_both_ways():
    assert [cmudict.spelling(row) for row in cmudict.encode_letters(["Zebra", "ax"])] == [
        "zebra",
        "ax",
    ]
    assert len(LETTERS) == 27


# Parts with several inputs


def test_take_and_print_know_several_inputs(words):
    few = words.take(10)
    for part in parts(few).values():
        assert [len(array) for array in (*part.x, part.y)] == [10, 10, 10]
    np.testing.assert_array_equal(few.train.x[1], words.train.x[1][:10])
    assert str(few) == (
        "CMUdict (embedded): 10 train, 10 validation, 10 test; 14 symbols; 16 symbols; 42 classes"
    )


# Shakespeare


def test_plays_have_the_documented_shapes(plays):
    assert [part.x.shape for part in parts(plays).values()] == [
        (9182, 100),
        (1328, 100),
        (1141, 100),
    ]
    for x, y in parts(plays).values():
        assert x.shape == y.shape
        assert x.dtype == y.dtype == np.int32
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])


def test_plays_are_in_one_part_each():
    train, validation, test = shakespeare.read_plays()
    assert len(train) + len(validation) + len(test) == 1_165_321
    names = {"OTHELLO.": train, "BEATRICE.": train, "PAROLLES.": validation, "MALVOLIO.": test}
    for name, text in names.items():
        found = {name in part for part in (train, validation, test) if part is not text}
        assert name in text
        assert found == {False}


def test_windows_do_not_overlap_and_give_the_text_back():
    text = np.arange(1000, dtype=np.int32)
    x, y = shakespeare.windows(text, 64)
    assert sorted(x.ravel()) == list(range(15 * 64))
    np.testing.assert_array_equal(y, x + 1)


def test_characters_are_those_of_the_training_plays(plays):
    texts = shakespeare.read_plays()
    assert plays.classes[0] == "<unknown>"
    assert set(plays.classes[1:]) == set(texts[0])
    assert (plays.train.x != shakespeare.UNKNOWN).all()
    known = set(texts[0])
    strangers = sum(character not in known for character in texts[1])
    assert strangers > 0
    assert 0 < np.count_nonzero(plays.validation.x == shakespeare.UNKNOWN) <= strangers
    numbers = shakespeare.encode_text("To be\n_", plays.classes)
    assert shakespeare.decode_text(numbers, plays.classes) == "To be\n�"


@pytest.mark.parametrize("window", [0, -1, 10**6])
def test_windows_that_do_not_fit_are_refused(window):
    with pytest.raises(data.DataError, match="window must be from 1 to"):
        data.load_shakespeare(window=window)
