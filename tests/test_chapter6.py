"""Chapter 6: attention and blocks against Keras, masks, packing, decoding, errors, `main`."""

import inspect
import itertools
from typing import get_args

from kerasbook import chapter6
from kerasbook.data import Part, Splits, cmudict, subwords
from kerasbook.data.cmudict import END, PAD, START
from kerasbook.testing import probes

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the phoneme error on the test part was {cmudict/test/phoneme_error/mean:.3f} ± "
    "{cmudict/test/phoneme_error/sd:.3f}, and {cmudict/test/beam_phoneme_error/mean:.3f} ± "
    "{cmudict/test/beam_phoneme_error/sd:.3f} with beam search",
    "there the validation loss was {shakespeare/validation/loss/mean:.3f} ± "
    "{shakespeare/validation/loss/sd:.3f} nats per character, over five seeds",
    "the words have {measured/lengths/letters:.1f} letters and "
    "{measured/lengths/sounds:.1f} sounds on average",
    "was {measured/translation/chrf:.2f}, where the translation of another verse has "
    "{measured/translation/chrf_of_another:.2f}",
]

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
SOUNDS = 8
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


def made_up_words(count=60, seed=0, kinds=4):
    """A language in which every letter is one sound."""
    random = np.random.default_rng(seed)
    words = [
        "".join(random.choice(list("abcde")[:kinds], random.integers(2, 7))) for _ in range(count)
    ]
    sounds = ("", "<start>", "<end>", "A", "B", "C", "D", "E")
    return cmudict.encode_words([(word, word.upper()) for word in words], sounds), sounds


def made_up(count=60):
    parts = [made_up_words(count, seed)[0] for seed in range(3)]
    sounds = made_up_words(1)[1]
    return Splits(*parts, "cmudict", "Made up", "sounds", "embedded", sounds)


def small_model(blocks=1, **options):
    return chapter6.make_pronouncer(width=16, heads=2, blocks=blocks, sounds=SOUNDS, **options)


# --- attention ----------------------------------------------------------------------------


def masks():
    random = np.random.default_rng(0)
    some = random.random((2, 5, 7)) < 0.4
    some[..., 2] = True
    nothing = some.copy()
    nothing[0, 3] = False  # a query that may look at nothing
    return {"none": None, "some": some, "nothing": nothing, "all": np.ones((2, 5, 7), bool)}


@DTYPES
@pytest.mark.parametrize("mask", masks())
def test_multi_head_attention_equals_keras(mask, dtype):
    mask = masks()[mask]
    differences = chapter6.compare_attention(None if mask is None else tf.constant(mask), dtype)
    assert len(differences) == 1 + 3 + 8
    assert max(differences.values()) < TOLERANCE[dtype], differences


RIGHT_ATTENTION = chapter6.attention


def broken_attentions():
    def transposed(query, key, value, mask=None):
        scores = tf.matmul(query, key, transpose_b=True) / key.shape[-1] ** 0.5
        weights = tf.nn.softmax(tf.where(mask, scores, -1e9), axis=-2)
        return weights @ value, weights

    def inverted(query, key, value, mask=None):
        return RIGHT_ATTENTION(query, key, value, ~mask)

    def unscaled(query, key, value, mask=None):
        return RIGHT_ATTENTION(query * query.shape[-1] ** 0.5, key, value, mask)

    return {"softmax over queries": transposed, "inverted mask": inverted, "unscaled": unscaled}


@pytest.mark.parametrize("name", broken_attentions())
def test_comparison_sees_a_wrong_attention(monkeypatch, name):
    monkeypatch.setattr(chapter6, "attention", broken_attentions()[name])
    differences = chapter6.compare_attention(tf.constant(masks()["some"]))
    assert differences["values"] > 0.01


def test_attention_weights_are_shares_and_obey_the_mask():
    random = np.random.default_rng(1)
    query, key, value = (tf.constant(random.normal(size=(2, 5, 4))) for _ in range(3))
    mixtures, weights = chapter6.attention(query, key, value, chapter6.causal_mask(5))
    np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1)
    assert (np.triu(weights, 1) == 0).all()
    np.testing.assert_allclose(mixtures[:, 0], value[:, 0])


def test_large_scores_and_half_precision_stay_finite():
    x = tf.cast(tf.random.normal((1, 3, 4)) * 100, tf.float16)
    mask = tf.constant([[True, False, False], [False, False, False], [True, True, True]])
    mixtures, weights = chapter6.attention(x, x, x, mask)
    assert np.isfinite(mixtures).all()
    np.testing.assert_allclose(tf.reduce_sum(tf.cast(weights, tf.float32), -1), 1, atol=1e-3)


def test_heads_split_and_join():
    x = np.random.default_rng(0).normal(size=(2, 5, 12))
    heads = chapter6.split_heads(tf.constant(x), 3)
    assert heads.shape == (2, 3, 5, 4)
    np.testing.assert_array_equal(heads[1, 2, 3], x[1, 3, 8:12])
    np.testing.assert_array_equal(chapter6.join_heads(heads), x)


def test_masks():
    np.testing.assert_array_equal(chapter6.causal_mask(3), np.tril(np.ones((3, 3), bool)))
    same = chapter6.same_word(tf.constant([[1, 2, 0]]), tf.constant([[2, 0, 1, 1]]))
    np.testing.assert_array_equal(same[0], [[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0]])


# --- layer normalisation and positions ----------------------------------------------------


@DTYPES
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 0.1])
def test_layer_norm_equals_keras(epsilon, dtype):
    differences = chapter6.compare_layer_norm(epsilon=epsilon, dtype=dtype)
    assert len(differences) == 4
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_comparison_sees_epsilon_outside_of_the_root():
    differences = chapter6.compare_layer_norm(chapter6.layer_norm_wrongly, epsilon=0.1)
    assert differences["values"] > 0.01
    tiny = chapter6.compare_layer_norm(chapter6.layer_norm_wrongly, epsilon=1e-6)
    assert tiny["values"] < 1e-4  # why the mistake lives so long


def test_sinusoids():
    waves = chapter6.sinusoids(tf.range(5), 6).numpy()
    for position, wave in itertools.product(range(5), range(3)):
        angle = position / 10000 ** (2 * wave / 6)
        assert waves[position, wave] == pytest.approx(np.sin(angle), abs=1e-6)
        assert waves[position, 3 + wave] == pytest.approx(np.cos(angle), abs=1e-6)


def test_a_move_is_a_rotation():
    waves = chapter6.sinusoids(tf.range(40), 6).numpy()
    scalar_products = [waves[t] @ waves[t + 7] for t in range(30)]
    np.testing.assert_allclose(scalar_products, scalar_products[0], rtol=1e-4)


# --- blocks and models --------------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("cross", [False, True])
@pytest.mark.parametrize("pre_norm", [False, True])
def test_block_equals_keras_layers(cross, pre_norm, dtype):
    differences = chapter6.compare_block(cross, pre_norm, dtype)
    assert len(differences) == 1 + (2 if cross else 1) + (22 if cross else 14)
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_comparison_sees_a_wrong_residual(monkeypatch):
    def forgetful(x, part, norm, pre_norm=True):
        return part(norm(x))

    monkeypatch.setattr(chapter6, "residual", forgetful)
    assert chapter6.compare_block()["values"] > 0.1


@pytest.mark.parametrize("pre_norm", [pytest.param(False, marks=pytest.mark.slow), True])
def test_model_passes_the_probes(pre_norm):
    model = small_model(pre_norm=pre_norm)
    x, y, weight = tf.nest.map_structure(
        lambda a: tf.constant(a[:8]), chapter6.as_rows(made_up().train)
    )
    letters, _, before, _ = x
    assert probes.causality(chapter6.as_speaker(model, letters), before)
    assert probes.padding(chapter6.as_reader(model), tf.maximum(letters[:, :5], 1))
    assert not probes.permutation(chapter6.as_reader(model), letters)
    assert probes.start_loss(model, x, y)
    loss_fn = chapter6.SmoothedCrossEntropy()
    step_loss = lambda y, y_pred: loss_fn(y, y_pred, weight)  # noqa: E731
    assert probes.overfits(model, x, y, step_loss, learning_rate=0.01, limit=0.5)


def test_broken_models_fail_the_probes():
    x, _, _ = tf.nest.map_structure(lambda a: tf.constant(a[:8]), chapter6.as_rows(made_up().train))
    letters, _, before, _ = x
    peeping = small_model(causal=False)
    assert not probes.causality(chapter6.as_speaker(peeping, letters), before)
    shuffled = chapter6.Stack(27, 16, 2, blocks=1, positions=False)
    short = tf.maximum(letters[:, :5], 1)
    assert probes.permutation(shuffled, short)
    assert not probes.padding(shuffled, short)  # it gets no word numbers


def test_writer_passes_the_probes():
    model = chapter6.make_writer(11, width=16, heads=2, blocks=1)
    text = np.random.default_rng(0).integers(1, 11, (8, 12))
    assert probes.causality(model, text)
    assert probes.padding(model, text)  # what follows is the future
    assert probes.start_loss(model, text, text)


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="8 heads cannot share a width of 100"):
        chapter6.Attention(100, 8)


@pytest.mark.parametrize("make", [small_model, lambda: chapter6.make_writer(11, 16, 2, blocks=1)])
def test_models_survive_saving(tmp_path, make):
    model = make()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    tokens = np.random.default_rng(0).integers(1, SOUNDS, (2, 5)).astype("int32")
    x = tokens if len(model.inputs) == 1 else [tokens] * 4
    np.testing.assert_array_equal(loaded(x), model(x))


# --- packing ------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [16, 32, 50])
def test_packed_words_are_all_there_once(room):
    part = made_up(300).train
    (letters, letter_words, before, before_words), after, weight = chapter6.pack(part, room)
    assert letters.shape == after.shape == (len(letters), room)
    found = []
    for row in range(len(letters)):
        assert (letter_words[row] > 0).sum() == (letters[row] > 0).sum()
        for word in range(1, letter_words[row].max() + 1):
            spelt = cmudict.spelling(letters[row][letter_words[row] == word])
            mine = before_words[row] == word
            assert before[row][mine][0] == START
            assert after[row][mine][-1] == END
            np.testing.assert_array_equal(before[row][mine][1:], after[row][mine][:-1])
            found.append((spelt, tuple(after[row][mine].tolist())))
    rows = zip(*part.x[:1], part.y, strict=True)
    expected = [(cmudict.spelling(x), tuple(y[y > 0].tolist())) for x, y in rows]
    assert sorted(found) == sorted(expected)
    np.testing.assert_array_equal(weight, before_words > 0)


def test_a_packed_word_gets_the_logits_that_it_gets_alone():
    part, model = made_up(40).train, small_model()
    alone_x, _, alone_weight = chapter6.as_rows(part)
    packed_x, packed_y, packed_weight = chapter6.pack(part)
    assert len(packed_x[0]) < 20

    def logits_by_word(x, weight):
        logits, found = model(x).numpy(), {}
        letters, letter_words, _, words = x
        for row, word in {(r, words[r, t]) for r, t in np.argwhere(weight > 0)}:
            spelt = cmudict.spelling(letters[row][letter_words[row] == word])
            found[spelt] = logits[row][words[row] == word]
        return found

    alone = logits_by_word(alone_x, alone_weight)
    packed = logits_by_word(packed_x, packed_weight)
    assert set(alone) == set(packed)
    for spelt, logits in alone.items():
        np.testing.assert_allclose(packed[spelt], logits, atol=1e-5)
    loss_fn = chapter6.SmoothedCrossEntropy()
    assert float(loss_fn(packed_y, model(packed_x), packed_weight)) == pytest.approx(
        float(loss_fn(part.y, model(alone_x), alone_weight)), rel=1e-5
    )


# --- loss, metric, schedule ---------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_equals_keras(smoothing, dtype):
    differences = chapter6.compare_smoothing(smoothing, dtype)
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_padding_has_no_say_in_the_loss_and_the_accuracy():
    y = np.array([[3, 4, 0]])
    logits = np.full((1, 3, 5), -5.0, "float32")
    logits[0, 0, 3] = logits[0, 1, 2] = logits[0, 2, 0] = 5
    weight = (y != PAD).astype("float32")
    half = chapter6.TokenAccuracy()
    half.update_state(y, logits)
    assert float(half.result()) == 0.5
    loss_fn = chapter6.SmoothedCrossEntropy()
    other = logits.copy()
    other[0, 2] = 9 * np.arange(5)
    assert float(loss_fn(y, logits, weight)) == float(loss_fn(y, other, weight))


def test_warm_up():
    schedule = chapter6.make_schedule(0.01, examples=1000, batch_size=10, epochs=5)
    steps = np.arange(501)
    by_hand = chapter6.warm_up_cosine(steps, 0.01, 50, 500)
    theirs = [float(schedule(step)) for step in steps]
    np.testing.assert_allclose(by_hand, theirs, atol=1e-7)
    assert np.argmax(theirs) == 50
    assert theirs[0] == theirs[500] == 0
    original = chapter6.warm_up_rate(np.arange(1, 300), 64, 100).numpy()
    assert np.argmax(original) == 99
    assert original.max() == pytest.approx(64**-0.5 * 100**-0.5)


# --- decoding -----------------------------------------------------------------------------


def test_cache_gives_what_the_whole_model_gives():
    letters = made_up(12).train.x[0]
    assert chapter6.compare_cache(small_model(blocks=2), letters) < 1e-5
    assert chapter6.compare_cache(small_model(pre_norm=False), letters) < 1e-5


def sharp_model():
    """An untrained model with strong opinions."""
    model = small_model()
    logits = model.get_layer("logits")
    logits.kernel.assign(logits.kernel * 60)
    return model


def log_probability(model, letters, said):
    """The log-probability of sounds (n, time), END included, without cache."""
    before = np.concatenate([np.full((len(said), 1), START), said[:, :-1]], axis=1)
    logits = chapter6.as_speaker(model, tf.constant(letters))(tf.constant(before, tf.int32))
    each = tf.gather(tf.nn.log_softmax(logits), said, batch_dims=2)
    after_end = np.cumsum(said == END, axis=1) - (said == END) > 0
    return np.where(after_end, 0, each).sum(axis=1)


def test_beam_search():
    model, letters = sharp_model(), made_up(20).train.x[0]
    greedy = chapter6.greedy(model, letters, longest=5)
    one, _ = chapter6.beam_search(model, letters, beams=1, longest=5)
    np.testing.assert_array_equal(one, greedy)
    four, scores = chapter6.beam_search(model, letters, beams=6, longest=5)
    np.testing.assert_allclose(scores, log_probability(model, letters, four), atol=1e-4)
    gain = scores - log_probability(model, letters, greedy)
    assert gain.min() > -1e-4
    assert gain.max() > 0.01


def test_a_wide_beam_finds_the_best_of_all():
    model, letters = sharp_model(), made_up(3).train.x[0]
    best, scores = chapter6.beam_search(model, letters, beams=SOUNDS**2, longest=3)
    every = np.array(list(itertools.product(range(SOUNDS), repeat=3)))
    ended = np.cumsum(every == END, axis=1) - (every == END) > 0
    every = every[((every == PAD) == ended).all(axis=1)]  # padding behind the end, only there
    for word in range(3):
        repeated = np.repeat(letters[word : word + 1], len(every), axis=0)
        all_scores = log_probability(model, repeated, every)
        assert scores[word] == pytest.approx(all_scores.max(), abs=1e-4)
        np.testing.assert_array_equal(best[word], every[all_scores.argmax()])


def test_nothing_is_said_after_the_end():
    model = small_model()
    bias = np.zeros(SOUNDS, "float32")
    bias[[END, 5]] = [4.9, 5]
    model.get_layer("logits").bias.assign(bias)
    for said in (
        chapter6.greedy(model, made_up(30).train.x[0]),
        chapter6.beam_search(model, made_up(30).train.x[0])[0],
    ):
        ended = np.cumsum(said == END, axis=1) - (said == END) > 0
        assert (said[ended] == PAD).all()
        assert said.shape == (30, 16)


# --- errors -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "edits"),
    [("kitten", "sitting", 3), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("ab", "ba", 2)],
)
def test_edit_distance(first, second, edits):
    assert chapter6.edit_distance(first, second) == edits


def test_edit_distance_is_a_distance():
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abc"), random.integers(0, 6))) for _ in range(12)]
    distance = chapter6.edit_distance
    for a, b, c in itertools.product(words, repeat=3):
        assert distance(a, b) == distance(b, a)
        assert distance(a, c) <= distance(a, b) + distance(b, c)
        assert (distance(a, b) == 0) == (a == b)


def test_error_rates():
    after = np.array([[3, 4, END, 0], [5, END, 0, 0], [3, 3, 3, END]])
    said = np.array([[3, 4, END, 0], [5, 6, END, 0], [3, 3, 3, 3]])  # right, one more, no end
    rates = chapter6.error_rates(said, after)
    assert rates == {"phoneme_error": pytest.approx(2 / 6), "word_error": pytest.approx(2 / 3)}


def test_chrf_by_hand():
    assert chapter6.chrf(["a b c"], ["abc"]) == 1  # blanks do not count
    # of a, b, c, ab, bc, abc and a, b, d, ab, bd, abd: 2 of 3, 1 of 2, 0 of 1
    assert chapter6.chrf(["abc"], ["abd"]) == pytest.approx((2 / 3 + 1 / 2) / 3)
    # runs of 1 and 2: precision (1 + 1) / 2, recall (2 / 4 + 1 / 3) / 2
    precision, recall = 1, 5 / 12
    expected = 5 * precision * recall / (4 * precision + recall)
    assert chapter6.chrf(["ab"], ["abcd"]) == pytest.approx(expected)
    assert chapter6.chrf(["abcd"], ["ab"]) > chapter6.chrf(["ab"], ["abcd"])  # recall counts more
    assert chapter6.chrf(["", "xyz"], ["abc", "def"]) == 0
    assert chapter6.chrf(["aaa"], ["a"]) == pytest.approx(5 / 3 / (4 / 3 + 1))  # one a is common


# --- sampling -----------------------------------------------------------------------------


def test_top_k_and_top_p():
    logits = np.log([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]])

    def kept(masked):
        return np.isfinite(masked).astype(int).tolist()

    assert kept(chapter6.keep_top_k(logits, 2)) == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert kept(chapter6.keep_top_k(logits, 9)) == [[1] * 4] * 2
    assert kept(chapter6.keep_top_p(logits, 0.4)) == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert kept(chapter6.keep_top_p(logits, 0.7)) == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert kept(chapter6.keep_top_p(logits, 1e-9)) == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert kept(chapter6.keep_top_p(logits, 1.0)) == [[1] * 4] * 2


def test_draws_follow_the_probabilities():
    random = np.random.default_rng(0)
    logits = np.log(np.tile([[0.6, 0.3, 0.1]], (4000, 1)))
    shares = np.bincount(chapter6.draw(logits, random), minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.03)
    cold = np.bincount(chapter6.draw(logits, random, temperature=0.5), minlength=3) / 4000
    np.testing.assert_allclose(cold, [36 / 46, 9 / 46, 1 / 46], atol=0.03)
    assert set(chapter6.draw(logits, random, temperature=0).numpy()) == {0}
    assert set(chapter6.draw(logits, random, top_k=1).numpy()) == {0}
    assert set(chapter6.draw(logits, random, top_p=0.8).numpy()) == {0, 1}


def test_write_goes_on_with_the_text():
    characters = ("<unknown>", *"abcdefghij")
    model = chapter6.make_writer(len(characters), width=16, heads=2, blocks=1)
    first = chapter6.write(model, "abc", characters, count=20, window=8)
    assert first.startswith("abc")
    assert len(first) == 23
    assert first == chapter6.write(model, "abc", characters, count=20, window=8)
    assert first != chapter6.write(model, "abc", characters, count=20, window=8, seed=1)


# --- speed --------------------------------------------------------------------------------


def test_operations_of_a_step():
    model = chapter6.make_writer(11, width=16, heads=2, blocks=1)
    dense = 16 * 16 + 16 * 32 + 16 * 16 + 2 * 16 * 64 + 16 * 11  # no embedding
    expected = 6 * 10 * dense + 12 * 2 * 5 * 5 * 16
    assert chapter6.step_operations(model, rows=2, time=5) == expected


def test_speed_is_a_share():
    speed = chapter6.measure_speed(chapter6.make_writer(11, 16, 2, blocks=1), rows=2, time=8)
    assert set(speed) == {"milliseconds", "share", "gigaflops"}
    assert 0 < speed["share"] < 1


# --- main ---------------------------------------------------------------------------------


def test_main_speaks(monkeypatch):
    monkeypatch.setattr(chapter6, "load", lambda name: made_up(80))
    result = chapter6.main(
        epochs=2, batch_size=4, width=16, blocks=1, heads=2, jit="off", progress="none"
    )
    assert result.splits.name == "cmudict"
    losses = result.history.history["loss"]
    assert losses[1] < losses[0]
    names = {"loss", "accuracy", "phoneme_error", "word_error"}
    assert set(result.scores["validation"]) == names
    assert set(result.scores["test"]) == names | {"beam_phoneme_error", "beam_word_error"}
    assert set(result.figures) == {"history", "learning_rate", "positions", "attention"}
    said, weights = chapter6.attention_maps(result.model, "abba")
    assert weights.shape == (2, len(said), 4)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.slow
def test_main_learns_a_made_up_language(monkeypatch):
    monkeypatch.setattr(chapter6, "load", lambda name: made_up(400))
    options = {"blocks": 1, "learning_rate": 0.01, "jit": "off", "progress": "none"}
    result = chapter6.main(epochs=30, batch_size=8, width=32, **options)
    for scores in result.scores.values():
        assert scores["phoneme_error"] < 0.2
        assert scores["accuracy"] > 0.8


def test_main_writes(monkeypatch, capsys):
    text = np.tile(np.arange(1, 8, dtype="int32"), 200)
    x, y = text[:-1][:1024].reshape(64, 16), text[1:][:1024].reshape(64, 16)
    characters = ("<unknown>", *"KING.\na")
    splits = Splits(*[Part(x, y)] * 3, "shakespeare", "Made up", "c", "embedded", characters)
    monkeypatch.setattr(chapter6, "load", lambda name: splits)
    result = chapter6.main(
        "language", epochs=12, batch_size=8, width=16, blocks=1, jit="off", progress="none"
    )
    assert result.splits.name == "shakespeare"
    assert result.scores["validation"]["accuracy"] > 0.9
    assert set(result.figures) == {"history", "learning_rate", "positions"}
    assert "KING.\naKING.\naKING" in capsys.readouterr().out


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
    monkeypatch.setattr(chapter6, "load", lambda name: verse_splits(12))
    options = {"width": 16, "blocks": 1, "jit": "off", "progress": "none"}
    result = chapter6.main("translation", epochs=8, batch_size=1, **options)
    assert result.splits.name == "verses"
    names = {"loss", "accuracy", "chrf", "chrf_of_another"}
    assert [set(scores) for scores in result.scores.values()] == [names, names]
    losses = result.history.history["loss"]
    assert losses[-1] < losses[0] - 0.1
    assert set(result.figures) == {"history", "learning_rate", "positions"}
    source, after = (rows[0] for rows in (result.splits.test.x[0], result.splits.test.y))
    printed = capsys.readouterr().out
    assert f"\n{subwords.decode(source, result.splits.classes)}\n  says:  " in printed
    assert f"\n  right: {subwords.decode(after, result.splits.classes)}\n" in printed


@pytest.mark.slow
def test_main_learns_to_translate(monkeypatch):
    monkeypatch.setattr(chapter6, "load", lambda name: verse_splits())
    options = {"width": 32, "blocks": 1, "jit": "off", "progress": "none", "learning_rate": 0.01}
    scores = chapter6.main("translation", epochs=60, batch_size=1, **options).scores["test"]
    assert scores["chrf"] > 0.9 > scores["chrf_of_another"]


@pytest.mark.parametrize(
    ("task", "dataset", "chosen"),
    [
        (None, None, ("pronunciation", "cmudict")),
        ("language", None, ("language", "shakespeare")),
        (None, "tiny_shakespeare", ("language", "tiny_shakespeare")),
        ("translation", "ted_hrlr_translate", ("translation", "ted_hrlr_translate")),
    ],
)
def test_task_and_dataset_follow_from_each_other(task, dataset, chosen):
    assert chapter6.task_and_dataset(task, dataset) == chosen


def test_main_names_its_data_sets_and_refuses_those_of_another_task():
    for annotation, names in (
        ("dataset", [name for task in chapter6.TASKS.values() for name in task.datasets]),
        ("task", list(chapter6.TASKS)),
    ):
        kind = inspect.signature(chapter6.main).parameters[annotation].annotation
        assert list(get_args(get_args(kind)[0])) == names
    with pytest.raises(ValueError, match="language takes the data set shakespeare or tiny_shakesp"):
        chapter6.main("language", dataset="verses")


@pytest.mark.slow
def test_main_starts_from_its_seed(monkeypatch):
    class Started(Exception):
        pass

    def first_output(seed):
        with pytest.raises(Started) as started:
            chapter6.main(seed=seed, dropout=0.1, width=16)
        model, (x, _, _) = started.value.args
        return model([a[:4] for a in x], training=True).numpy()

    def fit(model, data, **options):
        raise Started(model, data)

    monkeypatch.setattr(chapter6, "load", lambda name: made_up())
    monkeypatch.setattr(chapter6, "fit", fit)
    first, second, other = map(first_output, (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.slow
def test_unshifted_targets_are_copied(monkeypatch):
    monkeypatch.setattr(chapter6, "load_cmudict", lambda: made_up(400))
    results = chapter6.compare_shift(examples=400, epochs=12)
    assert results["unshifted"]["accuracy"] > results["shifted"]["accuracy"]
    assert results["unshifted"]["phoneme_error"] > results["shifted"]["phoneme_error"]


@pytest.mark.slow
def test_errors_at_the_defaults():
    assert chapter6.main(progress="none").scores["test"]["phoneme_error"] <= 0.14


@pytest.mark.slow
def test_translation_at_the_defaults():
    scores = chapter6.main("translation", progress="none").scores["test"]
    assert scores["chrf"] > scores["chrf_of_another"] + 0.05


@pytest.mark.slow
def test_language_at_the_defaults():
    assert chapter6.main("language", progress="none").scores["validation"]["loss"] <= 1.9
