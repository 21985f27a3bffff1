"""Chapter 6, continued: the cache, chrF, translation, `main`."""

from kerasbook import chapter6_translation as chapter
from kerasbook.chapter6_encoder_decoder import greedy, make_pronouncer
from kerasbook.data import Splits, subwords

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


def test_a_cache_gives_what_the_whole_model_gives():
    model = make_pronouncer(width=16, heads=2, sounds=8)
    source = np.random.default_rng(0).integers(0, 8, (12, 9)).astype("int32")
    source[:, 0] = 1  # at least one letter
    assert chapter.compare_cache(model, source) < 1e-5
    np.testing.assert_array_equal(chapter.translate(model, source), greedy(model, source, 9))


def test_the_comparison_sees_a_cache_that_forgets(monkeypatch):
    right = chapter.cached_block

    def forgetful(block, x, cache, memory_mask):
        return right(block, x, cache, memory_mask)[0], cache

    monkeypatch.setattr(chapter, "cached_block", forgetful)
    model = make_pronouncer(width=16, heads=2, sounds=8)
    assert chapter.compare_cache(model, np.ones((2, 5), "int32")) > 1e-4


def test_precision_and_recall():
    assert chapter.precision_and_recall(["ab"], ["abcd"], 1) == (1, 0.5)
    assert chapter.precision_and_recall(["ab"], ["abcd"], 3) is None


@pytest.mark.parametrize(
    ("said", "expected", "score"),
    [  # computed with sacrebleu 2, CHRF().corpus_score(said, [expected])
        (["abcd", "abcdef"], ["ab", "abcdef"], 0.98404),
        (["ab"], ["abcd"], 0.47170),
        (["a b c", "x"], ["abc", "xyzxyz"], 0.35969),
        (["hello there", "", "ab"], ["hello", "x", "abcdefgh"], 0.35988),
    ],
)
def test_chrf_is_that_of_sacrebleu(said, expected, score):
    assert chapter.chrf(said, expected) == pytest.approx(score, abs=1e-5)


def test_chrf_by_hand():
    assert chapter.chrf(["a b c"], ["abc"]) == 1  # blanks do not count
    # of a, b, c, ab, bc, abc and a, b, d, ab, bd, abd: 2 of 3, 1 of 2, 0 of 1
    assert chapter.chrf(["abc"], ["abd"]) == pytest.approx((2 / 3 + 1 / 2) / 3)
    # runs of 1 and 2: precision (1 + 1) / 2, recall (2 / 4 + 1 / 3) / 2
    precision, recall = 1, 5 / 12
    expected = 5 * precision * recall / (4 * precision + recall)
    assert chapter.chrf(["ab"], ["abcd"]) == pytest.approx(expected)
    assert chapter.chrf(["abcd"], ["ab"]) > chapter.chrf(["ab"], ["abcd"])  # recall counts more
    assert chapter.chrf(["", "xyz"], ["abc", "def"]) == 0
    assert chapter.chrf(["aaa"], ["a"]) == pytest.approx(5 / 3 / (4 / 3 + 1))  # one a is common


def verse_splits(count=48):
    """A language in which each word has one translation, in the same order."""
    random = np.random.default_rng(0)
    words = {"uno": "one", "dos": "two", "rey": "king", "casa": "house"}
    chosen = [random.choice(list(words), random.integers(1, 4)) for _ in range(count)]
    pairs = [(" ".join(row), " ".join(words[word] for word in row)) for row in chosen]
    pieces = subwords.make_pieces([text for pair in pairs for text in pair], 40)
    part = subwords.encode_pairs(pairs, pieces, longest=9)
    return Splits(*[part] * 3, "verses", "Made up", "English", "embedded", pieces)


@pytest.mark.slow
def test_main_translates(monkeypatch, capsys):
    monkeypatch.setattr(chapter, "load", lambda name: verse_splits(12))
    options = {"width": 16, "blocks": 1, "jit": "off", "progress": "none"}
    result = chapter.main(epochs=8, batch_size=1, **options)
    assert result.splits.name == "verses"
    names = {"loss", "accuracy", "chrf", "chrf_of_another"}
    assert [set(scores) for scores in result.scores.values()] == [names, names]
    losses = result.history.history["loss"]
    assert losses[-1] < losses[0] - 0.1
    assert set(result.figures) == {"history"}
    source, after = (rows[0] for rows in (result.splits.test.x[0], result.splits.test.y))
    printed = capsys.readouterr().out
    assert f"\n{subwords.decode(source, result.splits.classes)}\n  says:  " in printed
    assert f"\n  right: {subwords.decode(after, result.splits.classes)}\n" in printed


@pytest.mark.slow
def test_main_learns_to_translate(monkeypatch):
    monkeypatch.setattr(chapter, "load", lambda name: verse_splits())
    options = {"width": 32, "blocks": 1, "jit": "off", "progress": "none", "learning_rate": 0.01}
    scores = chapter.main(epochs=60, batch_size=1, **options).scores["test"]
    assert scores["chrf"] > 0.9 > scores["chrf_of_another"]


@pytest.mark.slow
def test_chrf_at_the_defaults():
    scores = chapter.main(progress="none").scores["test"]
    assert scores["chrf"] > scores["chrf_of_another"] + 0.05
