"""Word pieces: the rules of BERT, rows, training, and how a saved model reads its sentences."""

from kerasbook import data
from kerasbook.data import DataError, wordpieces
from kerasbook.data.corpus import read_bert_pieces, read_kinds, read_texts
from kerasbook.data.film import read_film_sentences
from kerasbook.data.inputs import describe
from kerasbook.inference import reading

import numpy as np
import pytest

PIECES = (*wordpieces.SPECIAL, "the", "film", "##s", "good", "un", "##known", "!", "[", "]", "mask")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It isn't", ["it", "isn", "'", "t"]),
        ("NAÏVE café", ["naive", "cafe"]),
        ("a\tb\u00a0c\u2028d", ["a", "b", "c", "d"]),
        ("a\u200bb\0c\ufffdd", ["abcd"]),
        ("x日本y", ["x", "日", "本", "y"]),
        ("$5—so…", ["$", "5", "—", "so", "…"]),
        ("ΟΔΟΣ", ["οδοσ"]),  # letter by letter, without the sigma of a word's end
        ("", []),
    ],
)
def test_words_and_signs(text, words):
    assert wordpieces.split_words(text) == words


def test_capitals_and_accents_can_stay():
    assert wordpieces.split_words("Naïve X", lower=False) == ["Naïve", "X"]


def test_special_pieces_are_a_choice():
    assert wordpieces.split_pieces("the [MASK]!", PIECES) == ["the", "[", "mask", "]", "!"]
    assert wordpieces.split_pieces("the[MASK]!", PIECES, special=True) == ["the", "[MASK]", "!"]
    assert wordpieces.encode(["[MASK]"], PIECES, special=True) == [[4]]


def test_a_word_that_cannot_be_made_is_unknown_as_a_whole():
    assert wordpieces.split_pieces("filmz unknown", PIECES) == ["[UNK]", "un", "##known"]
    assert wordpieces.split_word("a" * 101, {"a", "##a"}) == ["[UNK]"]
    assert len(wordpieces.split_word("a" * 100, {"a", "##a"})) == 100


def test_rows_have_their_special_pieces_and_are_cut():
    x = wordpieces.rows(["The films!", ""], PIECES, 5)
    np.testing.assert_array_equal(x, [[2, 5, 6, 7, 3], [2, 3, 0, 0, 0]])
    assert wordpieces.decode(x[0], PIECES) == "the films"
    with pytest.raises(DataError, match="length is 2"):
        wordpieces.rows(["x"], PIECES, 2)


def test_pieces_are_made_of_the_commonest_pairs():
    pieces = wordpieces.make_pieces(["low lower lowest"] * 5, 14)
    assert pieces[:5] == wordpieces.SPECIAL
    assert "low" in pieces
    assert wordpieces.split_pieces("lowest", pieces)[0] == "low"
    with pytest.raises(DataError, match="take more"):
        wordpieces.make_pieces(["abc"], 6)


def test_a_list_without_a_special_piece_or_with_a_twin_is_refused():
    with pytest.raises(DataError, match=r"no \[MASK\]"):
        wordpieces.read_pieces("[PAD]\n[UNK]\n[CLS]\n[SEP]\n")
    with pytest.raises(DataError, match="'a' twice"):
        wordpieces.read_pieces("\n".join((*wordpieces.SPECIAL, "a", "a")))


def test_berts_own_list():
    pieces = read_bert_pieces()
    assert len(pieces) == 30_522
    assert [pieces.index(name) for name in wordpieces.SPECIAL] == [0, 100, 101, 102, 103]
    assert wordpieces.split_pieces("unaffable", pieces) == ["una", "##ffa", "##ble"]


def test_texts_for_pretraining_have_no_sentence_of_validation_or_test():
    texts = read_texts()
    train, validation, test = read_film_sentences()
    assert texts["film"] == list(train.texts)
    everything = {text for part in texts.values() for text in part}
    assert not everything & {*validation.texts, *test.texts}
    assert len(texts["glosses"]) == 60_000
    assert len(texts["speeches"]) > 20_000


def test_kinds_of_nouns():
    kinds = read_kinds()
    assert (kinds["actor"], kinds["accessory"], len(kinds)) == (True, False, 1140)


def test_film_sentences_in_pieces_are_those_in_words():
    splits = data.load("film_sentences", pieces=PIECES, length=10)
    words = data.load("film_sentences")
    np.testing.assert_array_equal(splits.test.y, words.test.y)
    assert splits.train.x.shape == (8049, 10)
    assert (splits.train.x[:, 0] == 2).all()
    assert "10 word pieces, out of 15" in str(splits)
    np.testing.assert_array_equal(splits.encode(["the film"]), [[2, 5, 6, 3, 0, 0, 0, 0, 0, 0]])
    assert splits.decode(splits.encode(["the film"])[0]) == ["[CLS]", "the", "film", "[SEP]"]


def test_own_sentences_can_be_read_in_pieces(tmp_path):
    file = tmp_path / "mine.tsv"
    file.write_text("".join(f"{'good' if n % 2 else 'bad'}\tthe film {n}!\n" for n in range(40)))
    splits = data.load(f"sentences:{file}", pieces=PIECES, length=8)
    assert splits.train.x.shape[1] == 8
    assert splits.vocabulary == PIECES
    assert set(splits.train.y) == {0, 1}


def test_a_saved_model_reads_its_sentences_in_pieces():
    inputs = describe(data.load("film_sentences", pieces=PIECES, length=6))
    (example,) = reading.read(inputs, ["The films are unknown, unknown!"])
    np.testing.assert_array_equal(example.x, [2, 5, 6, 7, 1, 3])
    assert "cannot be made" in example.note
    assert "only the first 4" in example.note
