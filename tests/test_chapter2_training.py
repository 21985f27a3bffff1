"""Optimisers, penalties and loops of the page on training against Keras; its `main`."""

import inspect

from kerasbook import chapter2_training as training
from kerasbook.chapter2_deep_network import backward, forward, initial_weights
from kerasbook.data import Part, Splits

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

matplotlib.use("Agg")

import matplotlib.pyplot as plt

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
]
# Other numbers in the text, and what they are.
ELSEWHERE = {"0.999": "a decay", "0.001": "a rate", "0.02": "to try", "0.1": "to try"}


@pytest.fixture(autouse=True)
def _no_open_figure():
    yield
    plt.close("all")


def random(seed=0):
    return np.random.default_rng(seed)


def class_data(dtype, n, sizes):
    """Odd sizes, and biases that are not zero, so that a forgotten bias shows."""
    x = random().normal(size=(n, sizes[0])).astype(dtype)
    y = random(1).integers(0, sizes[-1], n)
    weights = initial_weights(sizes, seed=2, dtype=dtype)
    for i in range(1, len(weights), 2):
        weights[i] = random(i).normal(size=weights[i].shape).astype(dtype)
    return x, y, weights


# Optimisers

OPTIMIZERS = {  # numbers that float32 holds exactly, so that Keras' rounding of them is none
    "sgd": (training.sgd, None, {}, lambda rate: keras.optimizers.SGD(rate)),
    "momentum": (
        training.momentum,
        0.0,
        {"decay": 0.875},
        lambda rate: keras.optimizers.SGD(rate, momentum=0.875),
    ),
    "rmsprop": (
        training.rmsprop,
        0.0,
        {"decay": 0.875, "epsilon": 2**-10},
        lambda rate: keras.optimizers.RMSprop(rate, rho=0.875, epsilon=2**-10),
    ),
    "adam": (
        training.adam,
        (0, 0.0, 0.0),
        {"beta_1": 0.875, "beta_2": 1 - 2**-8, "epsilon": 2**-10},
        lambda rate: keras.optimizers.Adam(rate, 0.875, 1 - 2**-8, epsilon=2**-10),
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-12)])
def test_optimiser_equals_keras_after_100_steps(name, dtype, tolerance):
    """The same 100 gradients, some tiny (where epsilon counts), some of them exactly zero."""
    update, state, options, make_optimizer = OPTIMIZERS[name]
    scale = np.array([1.0, 1e-2, 1e-4, 0.0])
    gradients = (random().normal(size=(100, 3, 4)) * scale).astype(dtype)
    w = random(1).normal(size=(3, 4)).astype(dtype)
    variable, optimizer = tf.Variable(w), make_optimizer(2**-5)
    optimizer.build([variable])
    step = tf.function(lambda gradient: optimizer.apply([gradient], [variable]))
    for gradient in gradients:
        w, state = update(w, gradient, state, learning_rate=2**-5, **options)
        step(gradient)
    assert w.dtype == dtype
    assert np.abs(w - random(1).normal(size=(3, 4))).max() > 0.05
    np.testing.assert_allclose(w, variable, atol=tolerance)


def test_default_settings_of_the_optimisers_are_those_of_keras():
    """Training the whole network; float64, because in float32 a ReLU may flip by rounding."""
    x, y = random().normal(size=(96, 3, 2, 1)), random(1).integers(0, 10, 96)
    differences = training.compare_optimisers(x, y, "float64", batch_size=16)
    assert set(differences) == set(training.OPTIMISERS)
    assert max(differences.values()) < 1e-5  # Keras rounds 0.999 to float32


def test_training_by_hand_collects_a_loss_for_each_step_and_learns():
    x, y, weights = class_data("float32", 50, (6, 16, 3))
    for name in training.OPTIMISERS:
        before = [w.copy() for w in weights]
        trained, losses = training.train_by_hand(weights, x, y, name, epochs=30, batch_size=16)
        assert losses.shape == (30 * 4,)
        assert losses[-8:].mean() < losses[:8].mean()
        assert all(np.array_equal(a, b) for a, b in zip(before, weights, strict=True))
        assert trained[0].dtype == np.float32


def test_the_update_ratio_of_sgd_is_that_of_gradient_and_weights():
    x, y = random().normal(size=(20, 6)), random(1).integers(0, 10, 20)
    ratios = training.update_ratios(x, y, "SGD", steps=2, batch_size=10)
    weights = initial_weights((6, *training.SIZES[1:]))
    rows = training.batch_order(0, 0, 20)[:10]
    gradients = backward(y[rows], forward(x[rows], weights), weights)
    expected = [0.1 * g.std() / w.std() for g, w in zip(gradients[::2], weights[::2], strict=True)]
    np.testing.assert_allclose([series[0] for series in ratios.values()], expected, rtol=1e-4)
    assert all(series.shape == (2,) for series in ratios.values())


def test_small_first_weights_hold_sgd_back_and_not_adam():
    x, y = random().normal(size=(640, 30)).astype("float32"), random(1).integers(0, 10, 640)
    x[np.arange(640), y] += 3
    series = training.optimiser_losses(x, y, gain=0.02, epochs=6)
    assert list(series) == [
        f"{n}, learning rate {r:g}" for n, (*_, r) in training.OPTIMISERS.items()
    ]
    sgd, momentum, rmsprop, adam = (losses[-1] for losses in series.values())
    assert min(sgd, momentum) > 2.2 > 2 > max(rmsprop, adam)


def test_the_search_for_a_rate_begins_low_and_goes_too_far():
    x, y, weights = class_data("float64", 60, (6, 16, 3))
    rates, losses = training.losses_by_rate(weights, x, y, steps=100)
    assert rates[[0, -1]] == pytest.approx([1e-4, 10])
    np.testing.assert_allclose(rates[1:] / rates[:-1], rates[1] / rates[0])
    assert np.nanmin(losses) < losses[0]
    assert losses[-20:].mean() > 1.4 * losses.min()


# Penalties and loops


def test_the_model_is_that_of_the_page_before_with_two_additions():
    model = training.make_model((28, 28, 1), 10)
    assert model.count_params() == 109_386
    assert model.losses == []
    assert len(training.make_model((28, 28, 1), 10, l2=0.1).losses) == 3


def test_l2_penalty_and_its_gradient_equal_keras():
    model = training.make_model((3, 2, 1), 4, hidden=(5,), l2=0.1)
    weights = model.get_weights()
    weights[1][:] = 1  # a bias: it must not count
    model.set_weights(weights)
    with tf.GradientTape() as tape:
        penalty = sum(model.losses)
    theirs = tape.gradient(penalty, model.trainable_variables)
    assert training.l2_penalty(weights, 0.1) == pytest.approx(float(penalty), rel=1e-5)
    for ours, gradient in zip(training.l2_gradients(weights, 0.1), theirs, strict=True):
        np.testing.assert_allclose(ours, 0 if gradient is None else gradient, atol=1e-7)
    assert [gradient is None for gradient in theirs] == [False, True, False, True]
    assert training.make_model((3, 2, 1), 4).losses == []


def test_dropout_equals_keras_for_the_same_mask():
    x = random().normal(size=(40, 30)).astype("float32")
    mask = layers.Dropout(0.4, seed=3)(np.ones_like(x), training=True).numpy() > 0
    ours = training.dropout(x, mask, 0.4)
    np.testing.assert_allclose(ours, layers.Dropout(0.4, seed=3)(x, training=True), rtol=1e-6)
    assert mask.mean() == pytest.approx(0.6, abs=0.05)
    ones = training.dropout(np.ones_like(x), mask, 0.4)
    assert ones.mean() == pytest.approx(1, abs=0.1)


def test_dropout_of_the_model_acts_in_training_only():
    model = training.make_model((3, 2, 1), 4, dropout=0.5)
    x = random().normal(size=(8, 3, 2, 1)).astype("float32")
    assert np.array_equal(model(x), model(x))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


def test_the_loop_written_out_equals_fit():
    keras.utils.set_random_seed(0)
    x = random().normal(size=(100, 4, 3, 1)).astype("float32")  # a short last batch
    assert training.compare_loops(x, random(1).integers(0, 10, 100)) < 1e-5


def test_the_loop_written_out_adds_the_penalty():
    x, y = random().normal(size=(10, 2, 2, 1)).astype("float32"), random(1).integers(0, 3, 10)
    model = training.make_model((2, 2, 1), 3, hidden=(4,), l2=10.0)
    penalty = training.l2_penalty(model.get_weights(), 10.0)
    (loss,) = training.train_written_out(model, x, y, keras.optimizers.SGD(0.0))
    assert loss > penalty > 1


# Pictures and main


def small_splits(shape):
    """120 made-up pictures: noise, and a bright column that tells the class."""

    def part(n, seed):
        y = (np.arange(n) % 10).astype("int32")
        x = 0.1 * random(seed).normal(size=(n, *shape))
        x[np.arange(n), :, 2 * y] += 1
        return Part(x.astype("float32"), y)

    names = tuple(f"kind {number}" for number in range(10))
    return Splits(part(120, 0), part(40, 1), part(40, 2), "made_up", "Made up", "kind", "embedded",
                  classes=names)  # fmt: skip


def run_main(shape, monkeypatch, **options):
    monkeypatch.setattr(training, "load", lambda name: small_splits(shape))
    return training.main(epochs=1, examples=64, progress="none", jit="off", **options)


@pytest.mark.parametrize("shape", [pytest.param((28, 28, 1), marks=pytest.mark.slow), (32, 32, 3)])
def test_main_returns_scores_and_pictures(shape, monkeypatch):
    result = run_main(shape, monkeypatch)
    assert len(result.splits.train.x) == 64
    assert set(result.scores) == {"validation", "test"}
    for scores in result.scores.values():
        assert set(scores) == {"loss", "accuracy"}
        assert all(np.isfinite(list(scores.values())))
    assert result.model.name == "deep_network"
    assert set(result.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(result.figures) == {"history", "confusion", "calibration"}


def test_main_hands_its_options_on(monkeypatch, tmp_path):
    ended = []
    callback = keras.callbacks.LambdaCallback(
        on_train_end=lambda logs: ended.append(callback.model.name)
    )
    run_main((6, 20, 1), monkeypatch, checkpoint=tmp_path, callbacks=[callback])
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"deep_network"}
    assert ended == ["deep_network"]


@pytest.mark.slow
def test_main_depends_on_the_seed_alone(monkeypatch):
    scores = [run_main((6, 20, 1), monkeypatch, seed=seed).scores for seed in (3, 3, 4)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.slow
def test_main_reaches_the_score_that_the_page_promises():
    assert training.main(progress="none").scores["test"]["accuracy"] >= 0.85


def test_the_defaults_are_those_of_keras():
    def default(function, name):
        return inspect.signature(function).parameters[name].default

    rmsprop, adam = keras.optimizers.RMSprop(), keras.optimizers.Adam()
    assert default(training.momentum, "decay") == 0.9  # Keras has none
    assert default(training.rmsprop, "decay") == rmsprop.rho
    assert default(training.rmsprop, "epsilon") == rmsprop.epsilon
    for name in ("beta_1", "beta_2", "epsilon"):
        assert default(training.adam, name) == getattr(adam, name)
