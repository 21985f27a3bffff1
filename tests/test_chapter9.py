"""Chapter 9: loss scaling against Keras, a batch in pieces against the whole one; `main`."""

from functools import partial

from kerasbook import chapter9
from kerasbook.contents import load_results
from kerasbook.testing.compare import largest_difference
from kerasbook.testing.scaling import compare_scaling
from kerasbook.training import make_train_step

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from small_pictures import made_up

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
    "it was {measured/batches of 64/test/mean:.3f} ± {measured/batches of 64/test/sd:.3f}",
]
ELSEWHERE = {
    "0.0004": "of an example; the cell prints it with four digits",
    **{"0.005": "the default of base", "0.08": "16 · 0.005"},
    **dict.fromkeys(("8.3", "9.0", "12.9", "14.1", "1.2"), "docs/devices.md"),
}

ROUNDING = 1e-6  # of weights, in 32 bits


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def small_data(monkeypatch):
    splits = made_up()
    monkeypatch.setattr(chapter9, "load_fashion", lambda: splits)
    monkeypatch.setattr(chapter9, "load", lambda dataset: splits)
    return splits


# --- 16 bits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "good", "finite", "expected"),
    [
        (8, 0, True, (8, 1)),
        (8, 2, True, (16, 0)),  # the third good step in a row
        (8, 2, False, (4, 0)),
        (8, 1, False, (4, 0)),
    ],
)
def test_the_scale_doubles_after_good_steps_and_halves_on_overflow(scale, good, finite, expected):
    found = chapter9.next_scale(tf.constant(float(scale)), tf.constant(good), finite, patience=3)
    assert tuple(map(float, found)) == expected


def test_loss_scaling_is_that_of_keras():
    (ours, theirs), weights = compare_scaling(
        chapter9.make_scaled_step, steps=9, initial=2.0**18, patience=2
    )
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(*weights)
    assert (weights[0][0] == weights[0][1]).all()  # left out
    assert (weights[0][0] != weights[0][-1]).any()
    assert ours[0] == 2.0**17  # the first step overflows
    assert (np.diff(ours) > 0).any()


def test_gradients_vanish_in_16_bits_and_scaling_brings_them_back():
    x, y = (tf.constant(part[:16]) for part in made_up().train)
    exact = chapter9.all_gradients(chapter9.make_deep_model(), x, y)
    half = chapter9.make_deep_model("mixed_float16")
    shares = []
    for scale in (1.0, 2.0**15):
        found = chapter9.all_gradients(half, x, y, scale) / scale
        shares.append((found[exact != 0] == 0).mean())
    assert shares[0] > 0.9
    assert shares[1] < 0.05


def test_a_constant_scale_takes_the_step_of_32_bits():
    x, y = (tf.constant(part[:16]) for part in made_up().train)
    weights = []
    for make in (make_train_step, partial(chapter9.make_constant_step, scale=2.0**10)):
        model, optimizer = chapter9.make_deep_model(), keras.optimizers.SGD(0.1)
        make(model, chapter9.loss_fn, optimizer)(x, y)
        weights.append(model.get_weights())
    assert largest_difference(*weights) < ROUNDING


def test_runs_are_drawn_and_a_nan_is_named():
    ax = chapter9.plot_runs({"good": [2.0, 1.0, 0.5], "lost": [2.0, np.nan]})
    assert [text.get_text() for text in ax.texts] == ["lost: then NaN", "good"]
    good, lost = ax.lines
    assert lost.get_zorder() > good.get_zorder()  # its one point lies under none


def test_an_infinite_step_changes_no_weight():
    x, y = (tf.constant(part[:16]) for part in made_up().train)
    model, optimizer = chapter9.make_deep_model("mixed_float16"), keras.optimizers.SGD(0.1)
    optimizer.build(model.trainable_variables)
    before, scale = model.get_weights(), tf.Variable(2.0**60)
    step = chapter9.make_scaled_step(model, chapter9.loss_fn, optimizer, scale, patience=2)
    step(x, y)
    assert largest_difference(before, model.get_weights()) == 0
    assert float(scale) == 2.0**59


# --- the batch in pieces ------------------------------------------------------------------


def test_only_layers_with_weights_keep_outputs():
    model = chapter9.chapter2_training.make_model((28, 28, 1), 10, hidden=(8,))
    assert chapter9.numbers_kept(model, 3) == 3 * (8 + 10)  # not the flattened pictures again


def test_outputs_are_forgotten_and_made_again():
    """If this fails, Keras' remat has changed under TensorFlow, and the page must say so."""
    model = chapter9.chapter2_training.make_model((28, 28, 1), 10, hidden=(8, 6))
    dense = [layer for layer in model.layers if layer.weights]
    x = np.random.default_rng(0).normal(size=(4, 784)).astype("float32")
    *usual, expected = chapter9.outputs_held(lambda function: function, dense, x)
    *again, found = chapter9.outputs_held(keras.remat, dense, x)
    assert (usual, again) == ([3, 3], [1, 6])
    assert largest_difference(found, expected) == 0


@pytest.mark.parametrize("pieces", [2, 3, 99])
def test_pieces_make_the_step_of_the_whole_batch(pieces):
    x, y = (tf.constant(part[:17]) for part in made_up().train)
    model = chapter9.chapter2_training.make_model((28, 28, 1), 10, hidden=(8,), l2=0.1)
    one = chapter9.accumulated_gradients(model, chapter9.loss_fn, x, y, 1)
    cut = chapter9.accumulated_gradients(model, chapter9.loss_fn, x, y, pieces)
    np.testing.assert_allclose(cut[0], one[0], rtol=1e-5)
    for ours, theirs in zip(cut[1], one[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING)
    np.testing.assert_allclose(cut[2], one[2], atol=1e-5)


def test_one_piece_is_the_usual_step(small_data):
    cut = partial(chapter9.make_accumulating_step, micro_batches=3)
    first, second = (
        chapter9.weights_after(each, batch_size=25, examples=60) for each in (make_train_step, cut)
    )
    assert largest_difference(first, second) < ROUNDING


def test_keras_accumulation_is_right_for_pieces_of_one_size_only(small_data):
    assert chapter9.keras_accumulation((8, 8)) < ROUNDING
    assert chapter9.keras_accumulation((8, 2)) > 1e-3


# --- large batches ------------------------------------------------------------------------


def test_warm_up_begins_with_small_steps(small_data, monkeypatch):
    rates = []
    momentum = chapter9.chapter2_training.momentum

    def seen(weight, gradient, velocity, learning_rate):
        rates.append(learning_rate)
        return momentum(weight, gradient, velocity, learning_rate)

    monkeypatch.setattr(chapter9.chapter2_training, "momentum", seen)
    chapter9.accuracy_after(small_data, 20, 0.3, warm_up=3, epochs=2)
    np.testing.assert_allclose(rates[::6], [0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


def test_batch_sizes_are_compared_seed_by_seed(small_data):
    found = chapter9.compare_batch_sizes(small_data, sizes=(20, 60), base=0.01, seeds=2)
    assert {values.shape for values in found.values()} == {(2, 2)}
    first = np.stack([values[:, 0] for values in found.values()])
    np.testing.assert_array_equal(first, first[[0, 0, 0]])  # the smallest size is the yardstick


def test_batch_sizes_are_drawn_with_a_dot_for_each_seed_and_the_last_size_apart():
    values = np.arange(10.0).reshape(2, 5) / 10  # two seeds, five sizes
    left, right = chapter9.plot_batch_sizes({"one": values, "two": values}, (2, 4, 8, 16, 32))
    means = {line.get_label(): line.get_ydata() for line in left.lines}
    np.testing.assert_allclose(means["two"], values.mean(axis=0)[:-1])
    dots = sorted(line.get_ydata()[0] for line in right.lines if line.get_label()[0] == "_")
    assert dots == [0.4, 0.4, 0.9, 0.9]


# --- main ---------------------------------------------------------------------------------


def test_main_trains_in_pieces_scores_and_draws(small_data):
    options = {"epochs": 1, "batch_size": 30, "jit": "off", "progress": "none"}
    result = chapter9.main(micro_batches=3, **options)
    assert set(result.scores["test"]) == {"loss", "accuracy"}
    assert {"history", "confusion", "learning_rate"} == set(result.figures)


def test_pieces_in_float16_and_model_fit_are_refused(small_data):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(ValueError, match="bfloat16"):
            chapter9.main(micro_batches=2)
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match="leave one flag out"):
        chapter9.main(micro_batches=2, loop="fit")


@pytest.mark.slow
def test_the_score_lies_in_its_band():
    result = chapter9.main(progress="none")
    low, high = load_results()["chapter9"]["fashion"]["scores"]["test"]["accuracy"]["band"]
    assert low <= result.scores["test"]["accuracy"] <= high


@pytest.mark.slow
def test_without_a_scale_nothing_is_learnt_and_a_fixed_one_overflows():
    assert chapter9.train_in("mixed_float16")[-1] > 2.2
    constant = partial(chapter9.make_constant_step, scale=2.0**15)
    assert np.isnan(chapter9.train_in("mixed_float16", constant)[-1])
    moving = partial(chapter9.make_scaled_step, scale=tf.Variable(2.0**15), patience=50)
    found = chapter9.train_in("mixed_float16", moving)[-1]
    assert found == pytest.approx(chapter9.train_in("float32")[-1], rel=0.15)


@pytest.mark.slow
def test_large_batches_hold_with_the_rate_in_proportion_until_they_do_not():
    found = chapter9.compare_batch_sizes(chapter9.load_fashion(), seeds=2)
    found = {name: values.mean(axis=0) for name, values in found.items()}
    assert found["same rate"][2] < found["same rate"][0] - 0.02
    assert found["with warm-up"][2] > found["same rate"][0] - 0.02
    assert found["in proportion"][3] < 0.5


def test_defaults_of_the_deep_network():
    assert chapter9.make_deep_model().count_params() == 80_010
