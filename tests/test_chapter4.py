"""Chapter 4: hand-made recurrent cells against Keras', masks, gradients through time, `main`."""

import dataclasses

from kerasbook import chapter4
from kerasbook.contents import load_results
from kerasbook.data import Part
from kerasbook.data.text import TextSplits
from kerasbook.pages import articles
from kerasbook.testing.compare import outputs_and_gradients
from kerasbook.testing.recurrent import compare_loops

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers


# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
def mean_and_error(way: str, digits: int) -> str:
    return f"{{measured/{way}/mean:.{digits}f}} ({{measured/{way}/error:.{digits}f}})"


ORDER = {"bag of words": "bag", "simple recurrent network": "simple", "GRU": "gru"}
READERS = {
    "logistic regression, a weight per word": "linear",
    "bag of words, two dense layers": "bag",
    "simple recurrent network": "simple",
    "GRU": "gru",
    "GRU in both directions": "bidirectional",
}
GRU, BOTH = "measured/readers/gru", "measured/readers/bidirectional"
SENTENCES = [
    *(
        f"| {name} | "
        + " | ".join(mean_and_error(f"order/{key}/{n} words", 2) for n in (10, 20, 40))
        for name, key in ORDER.items()
    ),
    "the simple network comes to " + mean_and_error("order/simple, 30 epochs", 2),
    *(
        f"| {name} | "
        + " | ".join(mean_and_error(f"readers/{key}/{part}", 3) for part in ("validation", "test"))
        for name, key in READERS.items()
    ),
    "| {measured/tf-idf/validation:.3f} | {measured/tf-idf/test:.3f} |",
    "tf-idf had from {measured/tf-idf/six splits/lowest:.3f} to "
    "{measured/tf-idf/six splits/highest:.3f}",
    f"told apart {{{GRU}/twins right/mean:.2f}} of the twins rightly and "
    f"{{{GRU}/twins wrong/mean:.2f}} the wrong way round; the one that reads in both directions "
    f"{{{BOTH}/twins right/mean:.2f}} and {{{BOTH}/twins wrong/mean:.2f}}",
    f"*not* turned {{{GRU}/not turns praise/mean:.1f}} of ten praises and "
    f"{{{GRU}/not turns blame/mean:.1f}} of ten blames. What turns most is *too*, "
    f"{{{GRU}/too turns praise/mean:.1f}} of ten praises",
    f"{{{GRU}/shuffled/mean:.3f}} of the shuffled sentences were right, and "
    f"{{{GRU}/test/mean:.3f}} of those in order",
]
# Other numbers in the text, and what they are.
ELSEWHERE = {"0.95": "sigmoid of 3", "0.4": "", "0.6": "on the picture's scale"}

EXACT = 1e-11  # for numbers of 64 bits
VARIANTS = ("bag", "simple", "gru", "bidirectional")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def made_up(examples=64, length=12, words=30):
    """Small splits in which word 2 makes a text positive and word 3 negative."""
    random = np.random.default_rng(0)

    def part():
        x = random.integers(4, words, (examples, length)).astype("int32")
        y = random.integers(0, 2, examples).astype("int32")
        x[np.arange(examples), random.integers(0, 3, examples)] = 3 - y
        x[np.arange(length) >= random.integers(3, length + 1, (examples, 1))] = 0
        return Part(x, y)

    vocabulary = ("[padding]", "[unknown]", *(f"word{n}" for n in range(2, words)))
    return TextSplits(
        *(part(), part(), part(), "film_sentences", "Made up", "sign", "embedded"),
        classes=("negative", "positive"),
        vocabulary=vocabulary,
    )


# --- cells and scan ------------------------------------------------------------------------


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("masked", ["no mask", "at the end", "holes"])
@pytest.mark.parametrize("cell", ["simple", "gru, after", "gru, before"])
def test_scan_equals_keras(cell, masked, reverse):
    random = np.random.default_rng(1)
    x = random.normal(size=(3, 5, 3))
    mask = {
        "no mask": None,
        "at the end": np.arange(5) < np.array([[5], [3], [1]]),
        "holes": random.random((3, 5)) < 0.6,
    }[masked]
    kind, _, place = cell.partition(", ")
    differences = chapter4.compare_with_keras(kind, x, mask, reverse, place != "before")
    assert len(differences) == 5, "values, and gradients of x and of three weights"
    assert max(differences.values()) < EXACT, differences


@pytest.mark.parametrize("cell", ["simple", "gru"])
def test_scan_equals_keras_in_32_bits(cell):
    x, mask = np.random.default_rng(2).normal(size=(3, 7, 5)), np.arange(7) < [[7], [4], [1]]
    differences = chapter4.compare_with_keras(cell, x.astype("float32"), mask)
    assert max(differences.values()) < 1e-5, differences


def test_the_comparison_sees_the_articles_convention(monkeypatch):
    """z h + (1 − z) h̃ and (1 − z) h + z h̃ are not the same, nor the two places of the reset."""
    right, x = chapter4.gru_step, np.random.default_rng(0).normal(size=(2, 4, 3))
    monkeypatch.setattr(
        chapter4, "gru_step", lambda *inputs, **options: right(*inputs, **options, z_keeps=False)
    )
    assert min(chapter4.compare_with_keras("gru", x).values()) > 0.01


def test_the_comparison_sees_a_missing_mask(monkeypatch):
    x, mask = np.random.default_rng(0).normal(size=(2, 4, 3)), np.arange(4) < np.array([[2], [4]])
    monkeypatch.setattr(chapter4, "choose", lambda read, new_state, state: new_state)
    assert chapter4.compare_with_keras("gru", x, mask)["values"] > 0.01


@pytest.mark.parametrize("reset_after", [True, False])
def test_initial_state_and_its_gradient_equal_keras(reset_after):
    random = np.random.default_rng(2)
    x, start = random.normal(size=(2, 5, 3)), random.normal(size=(2, 4))
    layer = layers.GRU(4, reset_after=reset_after, dtype="float64")
    layer.build(x.shape)
    weights = layer.trainable_variables

    def ours(x, start):
        step = lambda x, h: chapter4.gru_step(x, h, weights, reset_after)  # noqa: E731
        return chapter4.scan(step, x, start)[1]

    found = outputs_and_gradients(ours, x, start)
    expected = outputs_and_gradients(lambda x, h: layer(x, initial_state=h), x, start)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=EXACT)


@pytest.mark.parametrize("make", [layers.SimpleRNN, layers.GRU])
def test_before_the_first_word_keras_gives_zeros_and_scan_the_initial_state(make):
    random = np.random.default_rng(3)
    x, start = random.normal(size=(2, 4, 3)), random.normal(size=(2, 4))
    mask = np.array([[False, True, True, False], [False] * 4])
    layer = make(4, return_sequences=True, return_state=True, dtype="float64")
    theirs, their_last = layer(x, initial_state=start, mask=mask)
    cell = chapter4.gru_step if make is layers.GRU else chapter4.simple_rnn_step
    weights = layer.trainable_variables
    ours, last = chapter4.scan(lambda x, h: cell(x, h, weights), x, start, mask)
    np.testing.assert_array_equal(ours[0, 0], start[0])
    np.testing.assert_array_equal(ours[1], np.tile(start[1], (4, 1)))
    np.testing.assert_array_equal(theirs[0, 0], np.zeros(4))
    np.testing.assert_array_equal(theirs[1], np.zeros((4, 4)))
    np.testing.assert_allclose(ours[0, 1:], theirs[0, 1:], atol=EXACT)
    np.testing.assert_allclose(last, their_last, atol=EXACT)


def test_a_state_can_be_a_tuple():
    """As in an LSTM: all parts are masked, the first is the output."""
    x, start = np.ones((1, 3, 2)), (np.zeros((1, 2)), np.zeros((1, 2)))
    mask = np.array([[True, False, True]])

    def step(x, state):
        return state[0] + x, state[1] + state[0]

    outputs, (first, second) = chapter4.scan(step, x, start, mask)
    np.testing.assert_array_equal(outputs[0, :, 0], [1, 1, 2])
    np.testing.assert_array_equal(first, [[2, 2]])
    np.testing.assert_array_equal(second, [[1, 1]])


def test_padding_changes_nothing_under_a_mask():
    random = np.random.default_rng(3)
    weights = [random.normal(size=shape) for shape in ((3, 12), (4, 12), (2, 12))]
    x, start = random.normal(size=(2, 5, 3)), np.zeros((2, 4))

    def last(x, mask):
        step = lambda x, h: chapter4.gru_step(x, h, weights)  # noqa: E731
        return chapter4.scan(step, x, start, mask)[1].numpy()

    padded, mask = np.pad(x, [(0, 0), (0, 9), (0, 0)]), np.tile(np.arange(14) < 5, (2, 1))
    np.testing.assert_array_equal(last(padded, mask), last(x, None))
    assert np.abs(last(padded, None) - last(x, None)).max() > 0.1


# --- conventions ---------------------------------------------------------------------------


def article_weights(units=4, inputs=3, seed=4):
    random = np.random.default_rng(seed)
    shapes = [(units + inputs, units)] * 3 + [(units,)] * 3
    return [random.normal(size=shape) for shape in shapes]


def test_the_articles_gru_equals_keras_after_conversion():
    random, weights = np.random.default_rng(5), article_weights()
    x, start = random.normal(size=(2, 6, 3)), random.normal(size=(2, 4))
    layer = layers.GRU(4, reset_after=False, return_sequences=True, dtype="float64")
    layer.build(x.shape)
    layer.set_weights(articles.article_to_keras(weights))
    ours, _ = chapter4.scan(
        lambda x, h: articles.article_gru_step(x, h, weights), tf.constant(x), tf.constant(start)
    )
    np.testing.assert_allclose(ours, layer(x, initial_state=start), atol=EXACT)


def test_the_articles_gru_equals_gru_step_with_z_renewing():
    random, weights = np.random.default_rng(6), article_weights()
    x, h = random.normal(size=(2, 3)), random.normal(size=(2, 4))
    flipped = chapter4.flip_update_gate(articles.article_to_keras(weights))
    ours = chapter4.gru_step(x, h, flipped, reset_after=False, z_keeps=False)
    np.testing.assert_allclose(ours, articles.article_gru_step(x, h, weights), atol=EXACT)


def test_conversions_go_there_and_back():
    weights = article_weights()
    back = articles.keras_to_article(articles.article_to_keras(weights))
    for a, b in zip(weights, back, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reset_after", [True, False])
def test_flipping_the_update_gate_changes_its_meaning(reset_after):
    random = np.random.default_rng(7)
    bias = (2, 12) if reset_after else (12,)
    weights = [random.normal(size=shape).astype("float32") for shape in ((3, 12), (4, 12), bias)]
    x, h = (random.normal(size=shape).astype("float32") for shape in ((2, 3), (2, 4)))
    flipped = chapter4.flip_update_gate(weights)
    assert all(weight.dtype == np.float32 for weight in flipped)
    one = chapter4.gru_step(x, h, weights, reset_after)
    other = chapter4.gru_step(x, h, flipped, reset_after, z_keeps=False)
    np.testing.assert_allclose(one, other, atol=1e-6)
    assert np.abs(one - chapter4.gru_step(x, h, weights, reset_after, z_keeps=False)).max() > 0.1


# --- gradients through time ----------------------------------------------------------------


def test_back_through_time_equals_the_tape_and_finite_differences():
    random = np.random.default_rng(8)
    weights = [random.normal(0, 0.5, shape) for shape in ((3, 4), (4, 4), (4,))]
    x, start = random.normal(size=(2, 5, 3)), random.normal(size=(2, 4))
    differences = chapter4.check_back_through_time(x, start, weights)
    assert differences.pop("finite differences") < 1e-7
    assert len(differences) == 5
    assert max(differences.values()) < EXACT, differences


def test_gradient_norms_of_a_linear_network_are_powers():
    """With h_t = s h_{t−1} + x_t the gradient is s^k, exactly."""
    x = np.random.default_rng(9).normal(size=(3, 10, 4))
    norms = chapter4.gradient_norms(lambda x, h: 0.5 * h + x, x, 4)
    np.testing.assert_allclose(norms, 0.5 ** np.arange(10), rtol=1e-6)


def test_gradients_vanish_or_explode_and_gates_keep_them():
    norms = chapter4.simple_rnn_norms(scales=(0.8, 1.5), steps=40, units=16)
    assert norms["U scaled by 0.8"][39] < 1e-3
    assert norms["U scaled by 1.5"][39] > 5
    norms = chapter4.gru_norms(steps=40, units=16)
    assert norms["GRU, update bias 3"][39] > 100 * norms["GRU"][39]


@pytest.mark.parametrize("limit", [0.5, 4.0, 1000.0])
def test_clipping_equals_keras(limit):
    random = np.random.default_rng(10)
    gradients = [random.normal(size=shape) for shape in ((3, 4), (4, 4), (4,))]
    assert chapter4.compare_clipping(gradients, limit) < EXACT
    norm = float(tf.linalg.global_norm(chapter4.clip_by_global_norm(gradients, limit)))
    assert norm <= limit * (1 + 1e-12)


# --- the articles' mistakes ----------------------------------------------------------------


def test_the_articles_model_does_not_fit_its_labels():
    x, y = np.array([[4, 5, 6, 0]]), np.array([1])
    loss_fn = keras.losses.SparseCategoricalCrossentropy()
    with pytest.raises(ValueError, match="rank"):
        loss_fn(y, articles.make_article_model()(x))
    assert np.isfinite(loss_fn(y, articles.make_article_model(return_sequences=False)(x)))


# --- the task in which order decides --------------------------------------------------------


def test_verdicts_have_the_same_words_and_the_label_of_the_one_after_not():
    x, y = chapter4.make_verdicts(400, 9, seed=0)
    funny, dull, not_ = (chapter4.WORDS.index(word) for word in ("funny", "dull", "not"))
    for row, label in zip(x.tolist(), y, strict=True):
        assert [row.count(word) for word in (funny, dull, not_)] == [1, 1, 1]
        place = row.index(not_)
        after = row[place + 1] if place + 1 < len(row) else None
        expected = {funny: 0, dull: 1}.get(after)
        assert expected == label
        assert sorted([row.index(funny), row.index(dull), place]) == list(
            range(
                min(row.index(funny), row.index(dull), place),
                1 + max(row.index(funny), row.index(dull), place),
            )
        )
    assert 0.4 < y.mean() < 0.6
    places = {row.index(not_) for row in x.tolist()}
    assert {0, 7} <= places, "anywhere, from the first word to the last but one"


@pytest.mark.slow
def test_order_decides_and_only_gates_learn_it_in_time():
    accuracy = {name: chapter4.learn_order(name, 40)[2] for name in ("bag", "simple", "gru")}
    assert accuracy["bag"] <= 0.55
    assert accuracy["simple"] <= 0.6
    assert accuracy["gru"] >= 0.95


def test_extreme_gates_do_what_the_text_says():
    random = np.random.default_rng(5)
    weights = [random.normal(size=shape) for shape in ((3, 12), (4, 12), (2, 12))]
    x, h, other = random.normal(size=(2, 3)), *random.normal(size=(2, 2, 4))
    kept = chapter4.gru_step(x, h, chapter4.with_bias(weights, 0, 40))
    np.testing.assert_allclose(kept, h, atol=1e-9)
    read = chapter4.gru_step(x, h, chapter4.with_bias(weights, 0, -40))
    np.testing.assert_allclose(read, chapter4.gru_gates(x, h, weights)[2], atol=1e-9)
    closed = chapter4.with_bias(weights, 1, -40)
    blind = (chapter4.gru_gates(x, state, closed)[2] for state in (h, other))
    np.testing.assert_allclose(*blind, atol=1e-9)
    assert np.abs(weights[2][0]).max() < 40, "the weights given are left as they were"


# --- does it read? --------------------------------------------------------------------------


class Counter:
    """Stands for a model: the logit is the sum of the words' weights."""

    def __init__(self, weights):
        self.weights = np.asarray(weights, "float32")

    def __call__(self, x):
        return self.weights[np.asarray(x)].sum(axis=1, keepdims=True)


@pytest.fixture
def counting(monkeypatch):
    words = ("[padding]", "[unknown]", *chapter4.PRAISE, *chapter4.BLAME, "not", "it", "is")
    splits = made_up()
    splits = dataclasses.replace(splits, vocabulary=words)
    weights = [0.0, 0.0, *[2.0] * 10, *[-2.0] * 10, -3.0, 0.5, 0.5]
    monkeypatch.setattr(chapter4, "predict", lambda model, x: model(x))
    return Counter(weights), splits


def test_a_model_that_counts_tells_no_twins_apart(counting):
    assert chapter4.told_apart(*counting) == {"right": 0, "wrong": 0, "the same": 1}


def test_a_model_that_reads_tells_all_twins_apart(counting, monkeypatch):
    _, splits = counting
    praise = [splits.vocabulary.index(word) for word in chapter4.PRAISE]
    reader = lambda x: np.where(np.isin(x[:, 2:3], praise), 1.0, -1.0)  # noqa: E731
    assert chapter4.told_apart(reader, splits)["right"] == 1
    assert chapter4.told_apart(lambda x: -reader(x), splits)["wrong"] == 1


def test_turned_counts_the_answers_that_change(counting):
    model, splits = counting
    assert chapter4.turned(model, splits, chapter4.PRAISE, "not") == 10  # 2 + 1 − 3 is no praise
    assert chapter4.turned(model, splits, chapter4.BLAME, "not") == 0
    assert chapter4.turned(model, splits, chapter4.PRAISE, "very") == 0  # unknown: weight 0


def test_shuffling_keeps_the_words_and_the_padding():
    x = np.array([[5, 6, 7, 8, 0, 0], [9, 9, 2, 0, 0, 0], [3, 0, 0, 0, 0, 0]], "int32")
    mixed = chapter4.shuffled(x, seed=1)
    np.testing.assert_array_equal(np.sort(mixed, axis=1), np.sort(x, axis=1))
    np.testing.assert_array_equal(mixed == 0, x == 0)
    assert not np.array_equal(mixed, x)


def test_neighbours_point_in_the_same_direction():
    table = np.array([[1.0, 0], [2, 0.1], [0, 1], [-1, 0], [5, 1]])
    words = ["a", "b", "c", "d", "e"]
    assert chapter4.neighbours(table, words, "a", count=2) == ["b", "e"]


def test_a_plane_keeps_the_directions_of_most_spread():
    random = np.random.default_rng(0)
    vectors = random.normal(size=(50, 5)) * [10, 0.1, 3, 0.1, 0.1]
    plane = chapter4.on_a_plane(vectors)
    assert plane.shape == (50, 2)
    assert abs(np.corrcoef(plane[:, 0], vectors[:, 0])[0, 1]) > 0.99
    assert abs(np.corrcoef(plane[:, 1], vectors[:, 2])[0, 1]) > 0.95


def test_words_are_left_out_whole_and_in_training_only():
    model = chapter4.make_model(30, "gru", width=8, units=6)
    dropout = model.layers[1]
    vectors = np.ones((20, 10, 8), "float32")
    dropped = np.asarray(dropout(vectors, training=True))
    assert set(np.unique(np.ptp(dropped, axis=-1))) == {0}, "one decision for all of a word"
    assert 0.2 < (dropped == 0).mean() < 0.6
    np.testing.assert_array_equal(dropout(vectors, training=False), vectors)


# --- models and main -----------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_ignore_padding(variant):
    keras.utils.set_random_seed(0)
    model = chapter4.make_model(30, variant, width=8, units=6)
    x = made_up().train.x[:5]
    longer = np.pad(x, [(0, 0), (0, 7)])
    np.testing.assert_allclose(model(x), model(longer), atol=1e-4)


@pytest.mark.parametrize(("variant", "sees"), [("bag", False), ("gru", True), ("simple", True)])
def test_only_readers_see_the_order(variant, sees):
    keras.utils.set_random_seed(0)
    model = chapter4.make_model(30, variant, width=8, units=6)
    x = np.array([[4, 5, 6, 7]], "int32")
    difference = np.abs(model(x) - model(x[:, ::-1])).max()
    assert (difference > 1e-5) == sees


def test_a_saved_model_answers_the_same(tmp_path):
    model = chapter4.make_model(30, "bidirectional", width=8, units=6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = made_up().train.x[:5]
    np.testing.assert_allclose(model(x), loaded(x), atol=1e-6)


@pytest.mark.parametrize("variant", ["gru", pytest.param("bidirectional", marks=pytest.mark.slow)])
def test_our_loop_equals_fit(variant):
    loss_fn, data = keras.losses.BinaryCrossentropy(from_logits=True), made_up().train
    make = lambda: chapter4.make_model(30, variant, width=8, units=6)  # noqa: E731
    assert compare_loops(make, data, loss_fn, epochs=1) < 1e-5


def test_watching_a_sentence_gives_keras_states():
    splits = made_up()
    for variant in ("gru", "bidirectional"):
        model = chapter4.make_model(30, variant, width=8, units=6)
        row = splits.test.x[0]
        gates, states = chapter4.watch(model, row)
        words = np.count_nonzero(row)
        assert gates.shape == states.shape == (words, 6)
        gru = model.get_layer("gru")
        gru = getattr(gru, "forward_layer", gru)
        vectors = model.get_layer("embedding")(row[np.newaxis, :words])
        np.testing.assert_allclose(states[-1], np.ravel(gru(vectors))[-6:], atol=1e-6)


def test_changes_of_the_answer_add_up_to_it():
    splits = made_up()
    model = chapter4.make_model(30, "gru", width=8, units=6)
    row = splits.test.x[0]
    changes = chapter4.changes_of_probability(model, row)
    assert changes.shape == (np.count_nonzero(row),)
    nothing = model(np.zeros((1, len(row)), "int32"))
    whole = model(row[np.newaxis])
    total = float((tf.sigmoid(whole) - tf.sigmoid(nothing))[0, 0])
    np.testing.assert_allclose(changes.sum(), total, atol=1e-5)


def test_changes_of_state_start_from_zero():
    states = np.array([[3.0, 4.0], [3.0, 4.0], [3.0, 5.0]])
    np.testing.assert_allclose(chapter4.changes_of_state(states), [5, 0, 1])


@pytest.mark.parametrize(
    ("variant", "jit"),
    [("gru", "off"), ("bag", "off"), pytest.param("bidirectional", "on", marks=pytest.mark.slow)],
)
def test_main_learns(monkeypatch, variant, jit):
    monkeypatch.setattr(chapter4, "load", lambda name: made_up())
    result = chapter4.main(
        epochs=10,
        batch_size=16,
        learning_rate=0.03,
        variant=variant,
        units=6,
        progress="none",
        jit=jit,
    )
    assert result.history.last()["loss"] < result.history.history["loss"][0]
    assert set(result.scores) == {"validation", "test"}
    assert result.scores["test"]["accuracy"] > 0.6
    expected = {"history", "confusion"}
    inside = {"gates", "state_changes", "changes"} if variant != "bag" else set()
    assert set(result.figures) == expected | inside


def test_the_default_is_a_gru_of_at_most_eight_rows():
    model = chapter4.make_model(10_000)
    assert len(model.layers) <= 8
    assert any(isinstance(layer, layers.GRU) for layer in model.layers)
    assert model.output_shape == (None, 1)
    assert model.count_params() == 328_513
    assert [x.rate for x in model.layers if isinstance(x, layers.Dropout)] == [0.4, 0.5]
    assert chapter4.make_linear(10_000).count_params() == 10_002


@pytest.mark.slow
def test_default_run_reaches_its_score():
    result = chapter4.main(progress="none")
    low, _ = load_results()["chapter4"]["film_sentences"]["scores"]["test"]["accuracy"]["band"]
    assert result.scores["test"]["accuracy"] >= low
    assert result.scores["validation"]["accuracy"] >= 0.75


def test_the_mean_of_five_seeds_is_three_in_four():
    scores = load_results()["chapter4"]["film_sentences"]["scores"]
    for part in ("validation", "test"):
        values = scores[part]["accuracy"]["values"]
        assert len(values) == 5
        assert np.mean(values) >= 0.75
