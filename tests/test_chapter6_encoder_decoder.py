"""Chapter 6, continued: cross-attention, masks, packing, decoding, errors, `main`."""

import itertools

from kerasbook import chapter6_encoder_decoder as chapter
from kerasbook.chapter6 import Stack
from kerasbook.data import Splits, cmudict
from kerasbook.data.cmudict import END, PAD, START
from kerasbook.testing import probes

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

SENTENCES = [
    "the phoneme error on the test part was {cmudict/test/phoneme_error/mean:.3f} ± "
    "{cmudict/test/phoneme_error/sd:.3f}, and {cmudict/test/beam_phoneme_error/mean:.3f} ± "
    "{cmudict/test/beam_phoneme_error/sd:.3f} with beam search",
    "the words have {measured/lengths/letters:.1f} letters and "
    "{measured/lengths/sounds:.1f} sounds on average",
]
ELSEWHERE = dict.fromkeys(("0.002", "0.004", "0.008", "0.012", "0.016"), "rates that were tried")
ELSEWHERE |= dict.fromkeys(("0.6", "0.4", "0.3", "0.9", "0.18", "0.36"), "of an example")

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
    return chapter.make_pronouncer(width=16, heads=2, blocks=blocks, sounds=SOUNDS, **options)


# --- blocks and the model -----------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("kind", [chapter.DecoderBlock, chapter.PostNormDecoderBlock])
def test_block_equals_keras_layers(kind, dtype):
    differences = chapter.compare_decoder_block(kind, dtype)
    assert len(differences) == 1 + 2 + 26
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_comparison_sees_a_forgotten_memory_mask(monkeypatch):
    look = chapter.Attention.call
    monkeypatch.setattr(chapter.Attention, "call", lambda self, x, m=None, attention_mask=None:
                        look(self, x, m, attention_mask if m is None else None))  # fmt: skip
    assert chapter.compare_decoder_block()["values"] > 0.01


@pytest.mark.parametrize("post_norm", [pytest.param(True, marks=pytest.mark.slow), False])
def test_model_passes_the_probes(post_norm):
    model = small_model(post_norm=post_norm)
    x, y, weight = tf.nest.map_structure(
        lambda a: tf.constant(a[:8]), chapter.as_rows(made_up().train)
    )
    letters, before = x
    assert probes.causality(chapter.as_speaker(model, letters), before)
    assert probes.padding(chapter.as_reader(model), tf.maximum(letters[:, :5], 1))
    assert not probes.permutation(chapter.as_reader(model), letters)
    assert probes.start_loss(model, x, y)
    loss_fn = chapter.SmoothedCrossEntropy()
    step_loss = lambda y, y_pred: loss_fn(y, y_pred, weight)  # noqa: E731
    assert probes.overfits(model, x, y, step_loss, learning_rate=0.01, limit=0.5)


def test_the_decoder_takes_no_notice_of_letters_that_are_padding():
    model, (letters, before) = small_model(), made_up(8).train.x
    padded = lambda before: model((np.pad(letters, ((0, 0), (0, 3))), before))  # noqa: E731
    np.testing.assert_allclose(padded(before), model((letters, before)), atol=1e-5)


def test_broken_models_fail_the_probes():
    x, _, _ = tf.nest.map_structure(lambda a: tf.constant(a[:8]), chapter.as_rows(made_up().train))
    letters, before = x
    peeping = small_model(causal=False)
    assert not probes.causality(chapter.as_speaker(peeping, letters), before)
    shuffled = Stack(27, 16, 2, blocks=1, positions="none")
    short = tf.maximum(letters[:, :5], 1)
    assert probes.permutation(shuffled, short)
    assert not probes.padding(shuffled, short)  # it gets no mask
    model, fixed = small_model(), before
    assert probes.padding(lambda letters: model((letters, fixed)), short)
    assert not probes.padding(lambda letters: chapter.without_mask(model, letters, fixed), short)


def test_a_pronouncer_survives_saving(tmp_path):
    model = small_model()
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    tokens = np.random.default_rng(0).integers(1, SOUNDS, (2, 5)).astype("int32")
    np.testing.assert_array_equal(loaded((tokens, tokens)), model((tokens, tokens)))
    np.testing.assert_array_equal(chapter.greedy(loaded, tokens), chapter.greedy(model, tokens))


def test_the_recurrent_model_leaves_padding_out_and_does_not_peep():
    model, (letters, before) = chapter.make_recurrent(8, 8, SOUNDS), made_up(8).train.x
    assert probes.causality(chapter.as_speaker(model, tf.constant(letters)), before)
    longer = np.pad(letters, ((0, 0), (0, 3)))
    np.testing.assert_allclose(model((longer, before)), model((letters, before)), atol=1e-5)


def test_errors_by_length():
    part = made_up(40).train
    said = part.y.copy()
    long = (part.x[0] != PAD).sum(axis=1) > 4
    said[long, 0] = 7  # a sound that no word has
    errors = chapter.errors_by_length(said, part, groups=((2, 4), (5, 6)))
    assert errors["2 to 4"] == 0 < errors["5 to 6"] < 0.25


@pytest.mark.slow
def test_looking_beats_a_state_of_fixed_size():
    splits = chapter.load_cmudict().take(15_000)
    errors = []
    for make, rate in ((chapter.make_pronouncer, 0.008), (chapter.make_recurrent, 0.016)):
        keras.utils.set_random_seed(0)
        said = chapter.greedy(chapter.train_shortly(make(), splits, rate), splits.test.x[0])
        errors.append(chapter.error_rates(said, splits.test.y)["phoneme_error"])
    assert errors[0] < errors[1]


# --- packing ------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [16, 32, 50])
def test_packed_words_are_all_there_once(room):
    part = made_up(300).train
    (letters, letter_words, before, before_words), after, weight = chapter.pack(part, room)
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


def test_segments():
    segments = tf.constant([[1, 2, 0, 2, 2]])
    same = chapter.same_segment(segments, tf.constant([[2, 0, 1, 1]]))
    np.testing.assert_array_equal(same[0, :3], [[0, 0, 1, 1], [1, 0, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_array_equal(chapter.places_in(segments), [[0, 0, 0, 1, 2]])


def test_a_packed_word_gets_the_logits_that_it_gets_alone():
    part, model = made_up(40).train, small_model()
    alone_x, _, alone_weight = chapter.as_rows(part)
    packed_x, packed_y, packed_weight = chapter.pack(part)
    assert len(packed_x[0]) < 20
    packed_model = chapter.make_packed(model)
    alone, packed = model(alone_x).numpy(), packed_model(packed_x).numpy()
    letters, letter_segments, _, segments = packed_x
    found = {}
    for row, word in {(r, segments[r, t]) for r, t in np.argwhere(packed_weight > 0)}:
        spelt = cmudict.spelling(letters[row][letter_segments[row] == word])
        found[spelt] = packed[row][segments[row] == word]
    for spelt, logits, weight in zip(map(cmudict.spelling, part.x[0]), alone, alone_weight):
        np.testing.assert_allclose(found[spelt], logits[weight > 0], atol=1e-5)
    loss_fn = chapter.SmoothedCrossEntropy()
    assert float(loss_fn(packed_y, packed, packed_weight)) == pytest.approx(
        float(loss_fn(part.y, alone, alone_weight)), rel=1e-5
    )


def test_a_packed_model_trains_the_weights_of_the_plain_one():
    model = small_model()
    assert all(
        a is b for a, b in zip(chapter.make_packed(model).weights, model.weights, strict=True)
    )


# --- loss, metric, schedule ---------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
def test_label_smoothing_equals_keras(smoothing, dtype):
    differences = chapter.compare_smoothing(smoothing, dtype)
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_padding_has_no_say_in_the_loss_and_the_accuracy():
    y = np.array([[3, 4, 0]])
    logits = np.full((1, 3, 5), -5.0, "float32")
    logits[0, 0, 3] = logits[0, 1, 2] = logits[0, 2, 0] = 5
    weight = (y != PAD).astype("float32")
    half = chapter.TokenAccuracy()
    half.update_state(y, logits)
    assert float(half.result()) == 0.5
    loss_fn = chapter.SmoothedCrossEntropy()
    other = logits.copy()
    other[0, 2] = 9 * np.arange(5)
    assert float(loss_fn(y, logits, weight)) == float(loss_fn(y, other, weight))


# --- decoding -----------------------------------------------------------------------------


def sharp_model():
    """An untrained model with strong opinions, which never says padding."""
    model = small_model()
    logits = model.get_layer("logits")
    logits.kernel.assign(logits.kernel * 60)
    logits.bias.assign([-99.0 if sound == PAD else 0.0 for sound in range(SOUNDS)])
    return model


def log_probability(model, letters, said):
    """The log-probability of sounds (n, time), END included, without cache."""
    before = np.concatenate([np.full((len(said), 1), START), said[:, :-1]], axis=1)
    logits = chapter.as_speaker(model, tf.constant(letters))(tf.constant(before, tf.int32))
    each = tf.gather(tf.nn.log_softmax(logits), said, batch_dims=2)
    after_end = np.cumsum(said == END, axis=1) - (said == END) > 0
    return np.where(after_end, 0, each).sum(axis=1)


def test_beam_search():
    model, letters = sharp_model(), made_up(20).train.x[0]
    greedy = chapter.greedy(model, letters, longest=5)
    one, _ = chapter.beam_search(model, letters, beams=1, longest=5)
    np.testing.assert_array_equal(one, greedy)
    four, scores = chapter.beam_search(model, letters, beams=6, longest=5)
    np.testing.assert_allclose(scores, log_probability(model, letters, four), atol=1e-4)
    gain = scores - log_probability(model, letters, greedy)
    assert gain.min() > -1e-4
    assert gain.max() > 0.01


def test_a_wide_beam_finds_the_best_of_all():
    model, letters = sharp_model(), made_up(3).train.x[0]
    best, scores = chapter.beam_search(model, letters, beams=SOUNDS**2, longest=3)
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
        chapter.greedy(model, made_up(30).train.x[0]),
        chapter.beam_search(model, made_up(30).train.x[0])[0],
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
    assert chapter.edit_distance(first, second) == edits


def test_edit_distance_is_a_distance():
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("abc"), random.integers(0, 6))) for _ in range(12)]
    distance = chapter.edit_distance
    for a, b, c in itertools.product(words, repeat=3):
        assert distance(a, b) == distance(b, a)
        assert distance(a, c) <= distance(a, b) + distance(b, c)
        assert (distance(a, b) == 0) == (a == b)


def test_error_rates():
    after = np.array([[3, 4, END, 0], [5, END, 0, 0], [3, 3, 3, END]])
    said = np.array([[3, 4, END, 0], [5, 6, END, 0], [3, 3, 3, 3]])  # right, one more, no end
    rates = chapter.error_rates(said, after)
    assert rates == {"phoneme_error": pytest.approx(2 / 6), "word_error": pytest.approx(2 / 3)}


# --- main ---------------------------------------------------------------------------------


def test_main_speaks(monkeypatch):
    monkeypatch.setattr(chapter, "load", lambda name: made_up(80))
    result = chapter.main(
        epochs=2, batch_size=4, width=16, blocks=1, heads=2, jit="off", progress="none"
    )
    assert result.splits.name == "cmudict"
    losses = result.history.history["loss"]
    assert losses[1] < losses[0]
    names = {"loss", "accuracy", "phoneme_error", "word_error"}
    assert set(result.scores["validation"]) == names
    assert set(result.scores["test"]) == names | {"beam_phoneme_error", "beam_word_error"}
    assert set(result.figures) == {"history", "learning_rate", "attention"}
    said, weights = chapter.attention_maps(result.model, "abba")
    assert weights.shape == (2, len(said), 4)
    np.testing.assert_allclose(weights.sum(axis=-1), 1, atol=1e-5)


@pytest.mark.slow
def test_main_learns_a_made_up_language(monkeypatch):
    monkeypatch.setattr(chapter, "load", lambda name: made_up(400))
    options = {"blocks": 1, "learning_rate": 0.01, "jit": "off", "progress": "none"}
    result = chapter.main(epochs=30, batch_size=8, width=32, **options)
    for scores in result.scores.values():
        assert scores["phoneme_error"] < 0.2
        assert scores["accuracy"] > 0.8


@pytest.mark.slow
def test_unshifted_targets_are_copied(monkeypatch):
    monkeypatch.setattr(chapter, "load_cmudict", lambda: made_up(400))
    results = chapter.compare_shift(examples=400, epochs=12)
    assert results["unshifted"]["accuracy"] > results["shifted"]["accuracy"]
    assert results["unshifted"]["phoneme_error"] > results["shifted"]["phoneme_error"]


@pytest.mark.slow
def test_errors_at_the_defaults():
    assert chapter.main(progress="none").scores["test"]["phoneme_error"] <= 0.14


def test_the_pronouncer_has_as_many_weights_as_its_summary_says():
    assert chapter.make_pronouncer().count_params() == 240_874
    assert chapter.make_recurrent().count_params() == 228_138
