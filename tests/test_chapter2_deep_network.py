"""The deep network by hand against Keras, the tape and finite differences; its `main`."""

from kerasbook import chapter2
from kerasbook import chapter2_deep_network as deep
from kerasbook.data import Part, Splits

import keras
import matplotlib
import numpy as np
import pytest
from keras import layers

matplotlib.use("Agg")

import matplotlib.pyplot as plt

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
]
# Other numbers in the text, and what they are.
ELSEWHERE = {
    "0.95": "in a diagram",
    "1.50": "in a diagram",
    "1.43": "in a diagram",
    "1.91": "in one",
}


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
    weights = deep.initial_weights(sizes, seed=2, dtype=dtype)
    for i in range(1, len(weights), 2):
        weights[i] = random(i).normal(size=weights[i].shape).astype(dtype)
    return x, y, weights


# Forward and backward


@pytest.mark.parametrize("sizes", [(5, 3), (7, 5, 4), (9, 6, 5, 3), (4, 8, 7, 6, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_backpropagation_equals_the_tape_for_every_weight(sizes, dtype, tolerance):
    x, y, weights = class_data(dtype, 11, sizes)
    ours = deep.backward(y, deep.forward(x, weights), weights)
    theirs = deep.tape_gradients(x, y, weights)
    assert [a.shape for a in ours] == [w.shape for w in weights]
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype
        assert np.abs(a).max() > 1e-4
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_backpropagation_equals_finite_differences():
    x, y, weights = class_data("float64", 6, (4, 5, 3))
    gradients = deep.backward(y, deep.forward(x, weights), weights)
    for i, gradient in enumerate(gradients):

        def loss(array, i=i):
            changed = [*weights[:i], array, *weights[i + 1 :]]
            return chapter2.cross_entropy(y, deep.forward(x, changed)[-1])

        np.testing.assert_allclose(
            gradient, chapter2.numerical_gradient(loss, weights[i], 1e-6), atol=1e-8
        )


def test_forward_equals_keras_layers_and_keeps_every_output():
    x, _, weights = class_data("float32", 3, (5, 4, 2))
    outputs = deep.forward(x, weights)
    first, last = layers.Dense(4, "relu"), layers.Dense(2)
    first.build((3, 5))
    last.build((3, 4))
    first.set_weights(weights[:2])
    last.set_weights(weights[2:])
    np.testing.assert_allclose(outputs[1], first(x), atol=1e-6)
    np.testing.assert_allclose(outputs[2], last(first(x)), atol=1e-6)
    assert outputs[0] is x
    assert len(outputs) == 3


def test_the_diagram_of_backpropagation_has_the_gradients_that_it_computes():
    values, slopes = deep.small_network()
    weights = [values["W1"], np.zeros(2), values["W2"], np.zeros(2)]
    outputs = deep.forward(values["x"], weights)
    expected = deep.backward(np.array([1]), outputs, weights)
    for name, gradient in zip(("W1", "s1", "W2", "z"), expected, strict=True):  # one picture: b = δ
        np.testing.assert_allclose(slopes[name].squeeze(), gradient, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(outputs[1], values["a1"])
    assert values["loss"] == pytest.approx(chapter2.cross_entropy(np.array([1]), outputs[-1]))


def test_descent_takes_the_steps_of_backward_and_learns():
    x, y, weights = class_data("float64", 40, (3, 8, 2))
    ours, losses = deep.descend(weights, x, y, learning_rate=0.1, steps=1, batch_size=8)
    rows = random().integers(0, 40, 8)
    outputs = deep.forward(x[rows], weights)
    assert losses[0] == chapter2.cross_entropy(y[rows], outputs[-1])
    for new, old, g in zip(ours, weights, deep.backward(y[rows], outputs, weights), strict=True):
        np.testing.assert_allclose(new, old - 0.1 * g)
    _, losses = deep.descend(weights, x, y, learning_rate=0.3, steps=300)
    assert losses[-20:].mean() < 0.7 * losses[:20].mean()


def test_the_moons_need_a_bend_and_a_line_is_not_enough():
    x, y = deep.two_moons()
    assert x.shape == (300, 2)
    assert np.bincount(y).tolist() == [150, 150]
    _, line = deep.fit_moons(0, x, y, seed=0)
    weights, bent = deep.fit_moons(8, x, y, seed=0)
    assert line < 0.92
    assert bent > 0.98
    axes = deep.plot_regions(x, y, {"a": weights, "b": weights})
    assert [ax.get_title() for ax in np.ravel(axes)] == ["a", "b"]


# First weights


def test_initial_weights_have_the_variance_that_is_asked_for():
    weights = deep.initial_weights((400, 300, 10), gain=2.0)
    assert [w.shape for w in weights] == [(400, 300), (300,), (300, 10), (10,)]
    assert {w.dtype for w in weights} == {np.dtype("float32")}
    assert weights[0].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert weights[2].std() == pytest.approx((2 / 300) ** 0.5, rel=0.1)
    assert not weights[1].any()
    assert not weights[3].any()


def test_only_the_right_scale_keeps_signals_and_gradients_alive():
    x, y = random().normal(size=(50, 60)).astype("float32"), random(1).integers(0, 10, 50)
    spreads = {
        name: deep.spread_per_layer(x, y, gain, units=64) for name, gain in deep.GAINS.items()
    }
    (small, small_slopes), (right, _), (large, large_slopes) = spreads.values()
    assert len(right) == len(small_slopes) == 10
    assert small[-1] < 0.01 * small[0]
    assert 0.2 < right[-1] / right[0] < 5
    assert large[-1] > 100 * large[0]
    assert max(small_slopes) < 1e-3 < 1 < min(large_slopes)


def test_the_histograms_of_the_outputs_move_with_the_scale_and_only_then():
    axes = deep.plot_sizes(random().normal(size=(50, 30)))
    for ax, direction in zip(axes, (-1, 0, 1), strict=True):
        peaks = [line.get_xdata()[np.argmax(line.get_ydata())] for line in ax.get_lines()]
        assert np.sign(round((peaks[-1] - peaks[0]) / 2)) == direction


def test_weights_without_thinking_have_the_standard_deviation_1_and_a_last_layer_shrinks():
    weights = deep.without_thinking((400, 300, 10))
    assert [w.std() for w in weights[::2]] == pytest.approx([1, 1], rel=0.05)
    assert not any(b.any() for b in weights[1::2])
    smaller = deep.with_small_last(weights)
    np.testing.assert_allclose(smaller[-2], weights[-2] / 10, rtol=1e-6)
    assert all(a is b for a, b in zip(smaller[:-2], weights[:-2], strict=True))


def test_a_loss_near_that_of_ignorance_does_not_say_that_a_network_learns():
    """The page's table: too large shows before the first step, too small only in the steps."""
    part = small_splits((6, 20, 1)).train
    sizes, found = (120, *[32] * 10, 10), {}
    for gain in (0.5, 2.0, 8.0):
        weights = deep.initial_weights(sizes, gain)
        found[gain] = deep.losses_after(weights, part, learning_rate=0.1, steps=200)
    assert found[0.5][0] == pytest.approx(np.log(10), abs=0.02)
    assert found[0.5][1] > 2.2
    assert found[2.0][1] < 1.5
    assert found[8.0][0] > 20


# Batch normalisation


def test_batch_normalisation_equals_keras_in_training_and_in_use():
    found = deep.compare_normalisation(random().normal(3, 2, (16, 5)))
    assert set(found) == {"training", "gradient", "use"}
    assert max(found.values()) < 1e-12


def test_a_normalised_batch_has_mean_beta_and_deviation_gamma():
    s = random().normal(3, 2, (200, 2))
    gamma, beta = np.array([2.0, 0.5]), np.array([1.0, -1.0])
    output, weights = deep.normalise_batch(s, [gamma, beta, np.zeros(2), np.ones(2)], momentum=0.9)
    np.testing.assert_allclose(output.mean(axis=0), beta)
    np.testing.assert_allclose(output.std(axis=0), gamma, rtol=1e-3)
    np.testing.assert_allclose(weights[2], 0.1 * s.mean(axis=0))
    np.testing.assert_allclose(weights[3], 0.9 + 0.1 * s.var(axis=0))


def test_the_way_back_through_the_normalisation_equals_finite_differences():
    s, delta, gamma = random().normal(size=(6, 3)), random(1).normal(size=(6, 3)), np.ones(3)
    state = [gamma, np.zeros(3), np.zeros(3), np.ones(3)]

    def loss(s):
        return np.sum(delta * deep.normalise_batch(s, state)[0])

    slopes = deep.numerical_gradient(loss, s)
    np.testing.assert_allclose(deep.normalise_backward(delta, s, gamma)[0], slopes, atol=1e-8)


@pytest.mark.parametrize("normalised", [False, True])
def test_a_stack_has_its_gain(normalised):
    model = deep.make_stack(2.0, normalised, hidden=2, units=200)
    kernels = [w for w in model.get_weights() if w.ndim == 2]
    assert [w.shape for w in kernels] == [(784, 200), (200, 200), (200, 10)]
    assert [w.var() * len(w) for w in kernels[:2]] == pytest.approx([2, 2], rel=0.05)
    kinds = [type(layer).__name__ for layer in model.layers]
    assert kinds.count("BatchNormalization") == (2 if normalised else 0)


# The Keras model


def test_the_model_has_the_sizes_of_the_page():
    model = deep.make_model((28, 28, 1), 10)
    assert model.count_params() == 109_386
    assert [w.shape for w in model.get_weights()[::2]] == [(784, 128), (128, 64), (64, 10)]
    scores = model(random().normal(size=(3, 28, 28, 1)))
    assert scores.shape == (3, 10)
    assert not np.allclose(np.sum(scores, axis=1), 1)  # scores, not probabilities


@pytest.mark.parametrize("make", [chapter2.make_softmax, deep.make_model])
def test_our_functions_equal_the_keras_models(make):
    keras.utils.set_random_seed(0)
    x = random().normal(size=(13, 5, 4, 1)).astype("float32")
    y = random(1).integers(0, 3, 13)
    differences = deep.compare_with_keras(make((5, 4, 1), 3), x, y)
    assert len(differences) == (4 if make is chapter2.make_softmax else 8)
    assert list(differences)[:4] == ["outputs", "loss", "W1", "b1"]
    assert max(differences.values()) < 1e-5


@pytest.mark.slow
def test_eight_hidden_units_follow_the_cloud_of_cars():
    cars = deep.load_auto_mpg(("horsepower",))
    x, y = cars.validation
    errors = [np.mean((deep.predict(deep.fit_cars(h, cars), x) - y) ** 2) for h in (0, 8)]
    assert errors[1] < 0.8 * errors[0]


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
    monkeypatch.setattr(deep, "load", lambda name: small_splits(shape))
    return deep.main(epochs=1, examples=64, progress="none", jit="off", **options)


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
    assert set(result.figures) == {"history", "confusion"}


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
    assert deep.main(progress="none").scores["test"]["accuracy"] >= 0.84
