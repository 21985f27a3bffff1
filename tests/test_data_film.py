"""Film sentences and the making of numbers from text: the split, the vocabulary, the padding."""

import sys

from kerasbook import data
from kerasbook.data import film, text

import numpy as np
import pytest


@pytest.fixture(scope="module")
def splits():
    return data.load("film_sentences")


def test_shapes_types_and_classes(splits):
    sizes = [part.x.shape for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [(8049, 40), (1000, 40), (1500, 40)]
    for part in (splits.train, splits.validation, splits.test):
        assert part.x.dtype == part.y.dtype == np.int32
        assert part.y.shape == (len(part.x),)
        assert set(part.y.tolist()) == {0, 1}
        assert 0.48 < part.y.mean() < 0.52, "not shuffled: the file is in the order of the ratings"
    assert (splits.name, splits.classes) == ("film_sentences", ("negative", "positive"))
    assert "10,000 are known" in str(splits)


def test_order_says_nothing_about_the_class(splits):
    for part in (splits.train, splits.validation, splits.test):
        first, second = np.array_split(part.y, 2)
        assert abs(first.mean() - second.mean()) < 0.06


def test_no_sentence_is_neutral_or_in_two_parts():
    parts = film.read_film_sentences()
    assert all(np.abs(part.ratings).min() > film.NEUTRAL for part in parts)
    texts = [text for part in parts for text in part.texts]
    assert len(texts) == len(set(texts)) == 10_549


def test_the_split_is_always_the_same(splits):
    again = film.load_film_sentences()
    np.testing.assert_array_equal(splits.test.x, again.test.x)
    _, _, test = film.read_film_sentences()
    assert test.texts[0].startswith("Dong never pushes for insights"), "another shuffle"
    assert test.ratings[0] == -1.42
    assert splits.test.y[0] == 0
    assert splits.decode(splits.test.x[0])[1:4] == ["never", "pushes", "for"]


def test_padding_stands_at_the_end(splits):
    for part in (splits.train, splits.validation, splits.test):
        words = part.x > 0
        assert np.all(words[:, 0]), "a sentence without words"
        assert np.all(words[:, 1:] <= words[:, :-1]), "a word after padding"
        assert part.x.max() < len(splits.vocabulary)


def test_the_vocabulary_comes_from_the_training_part_alone(splits):
    train, _, test = film.read_film_sentences()
    known = {word for sentence in train.texts for word in text.split_words(sentence)}
    assert set(splits.vocabulary[2:]) <= known
    assert np.mean(splits.test.x == 1) > 0.01, "no unknown word in the test part?"
    unknown = {word for sentence in test.texts for word in text.split_words(sentence)} - known
    assert len(unknown) > 500


def test_words_become_numbers_and_words_again(splits):
    sentence = "It's NOT a good film, xyzzyx!"
    row = splits.encode([sentence])[0]
    assert splits.decode(row) == ["it's", "not", "a", "good", "film", text.UNKNOWN, "!"]
    assert row.shape == (40,)
    assert row[7:].sum() == 0
    train, *_ = film.read_film_sentences()
    np.testing.assert_array_equal(splits.encode(train.texts[:50]), splits.train.x[:50])


def test_take_keeps_the_vocabulary(splits):
    few = splits.take(10)
    assert len(few.train.x) == 10
    assert few.vocabulary == splits.vocabulary


def test_size_and_length_can_be_chosen():
    splits = film.load_film_sentences(words=100, length=5)
    assert len(splits.vocabulary) == 100
    assert splits.train.x.shape == (8049, 5)
    assert splits.train.x.max() == 99


def test_sizes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="at least 3"):
        film.load_film_sentences(words=2)
    with pytest.raises(ValueError, match="at least 1"):
        film.load_film_sentences(length=0)


def test_the_commonest_words_come_first_and_ties_by_the_alphabet():
    texts = [["b", "a", "c"], ["c", "b"], ["c"], ["d"]]
    assert text.make_vocabulary(texts, 5) == (text.PADDING, text.UNKNOWN, "c", "b", "a")


def test_words_of_all_alphabets_and_kinds_of_apostrophe():
    assert text.split_words("Amélie isn’t ''bad'', rock'n'roll! 2001_a") == [
        *("amélie", "isn't", "bad", "rock'n'roll", "!", "2001", "a")
    ]


def test_reading_needs_no_tensorflow():
    import subprocess

    code = (
        "import sys; from kerasbook.data.film import load_film_sentences; load_film_sentences(); "
        "assert not {'tensorflow', 'keras', 'tensorflow_datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
