"""Chapter 2's formulas against Keras, the tape and finite differences; its `main` on tiny data."""

from kerasbook import chapter2
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
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± "
    "{fashion/test/accuracy/sd:.3f}, that of softmax regression "
    "{fashion/test/softmax_accuracy/mean:.3f} ± {fashion/test/softmax_accuracy/sd:.3f}",
]
# Other numbers in the text, and what they are.
ELSEWHERE = {
    "0.999": "a decay",
    "0.001": "a rate",
    "0.95": "in a diagram",
    "0.02": "to try",
}


@pytest.fixture(autouse=True)
def _no_open_figure():
    yield
    plt.close("all")


def random(seed=0):
    return np.random.default_rng(seed)


def binary_data(dtype="float64", n=7, d=5):
    x = random().normal(size=(n, d)).astype(dtype)
    y = random(1).integers(0, 2, (n, 1)).astype(dtype)
    w, b = random(2).normal(size=(d, 1)).astype(dtype), np.ones(1, dtype)
    return x, y, w, b


def class_data(dtype, n, sizes):
    """Odd sizes, and biases that are not zero, so that a forgotten bias shows."""
    x = random().normal(size=(n, sizes[0])).astype(dtype)
    y = random(1).integers(0, sizes[-1], n)
    weights = chapter2.initial_weights(sizes, seed=2, dtype=dtype)
    for i in range(1, len(weights), 2):
        weights[i] = random(i).normal(size=weights[i].shape).astype(dtype)
    return x, y, weights


# Two garments


def test_sigmoid_is_right_and_never_overflows():
    z = np.array([-1000.0, -30, -1, 0, 1, 30, 1000])
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        p = chapter2.sigmoid(z)
    np.testing.assert_allclose(p, keras.ops.sigmoid(z), rtol=1e-6, atol=1e-38)
    np.testing.assert_allclose(p[1], np.exp(-30) / (1 + np.exp(-30)), rtol=1e-14)


@pytest.mark.parametrize("y", [0.0, 1.0])
def test_binary_cross_entropy_equals_keras_and_the_naive_formula(y):
    z = np.linspace(-8, 8, 33)
    ours = chapter2.cross_entropy_from_logits(y, z)
    np.testing.assert_allclose(ours, chapter2.naive_cross_entropy(y, z), rtol=1e-9)
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True, reduction=None, dtype="float64")
    theirs = loss_fn(np.full((33, 1), y), z[:, np.newaxis])
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_binary_cross_entropy_is_finite_where_the_naive_formula_is_not():
    z = np.float32([-200, 20, 200])
    with np.errstate(all="raise", under="ignore"):
        ours = chapter2.cross_entropy_from_logits(np.float32(0), z)
    np.testing.assert_allclose(ours, [0, 20, 200], rtol=1e-6)
    with np.errstate(all="ignore"):
        assert not np.isfinite(chapter2.naive_cross_entropy(np.float32(0), z)).any()


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("float64", 1e-14)])
def test_logistic_gradient_equals_keras(dtype, tolerance):
    x, y, w, b = binary_data(dtype)
    ours = chapter2.logistic_gradient(x, y, w, b)
    theirs = chapter2.keras_logistic_gradient(x, y, w, b)
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_logistic_gradient_equals_finite_differences():
    x, y, w, b = binary_data()

    def loss(w, b):
        return chapter2.cross_entropy_from_logits(y, x @ w + b).mean()

    gradient_w, gradient_b = chapter2.logistic_gradient(x, y, w, b)
    slopes = chapter2.numerical_gradient(lambda w: loss(w, b), w)
    np.testing.assert_allclose(gradient_w, slopes, atol=1e-9)
    slopes = chapter2.numerical_gradient(lambda b: loss(w, b), b)
    np.testing.assert_allclose(gradient_b, slopes, atol=1e-9)


def test_two_garments_takes_the_two_classes_in_order():
    x = np.arange(24, dtype="float32").reshape(6, 2, 2, 1)
    part = Part(x, np.array([6, 4, 0, 4, 6, 9]))
    pictures, coats = chapter2.two_garments(part)
    assert pictures.tolist() == x[[0, 1, 3, 4]].reshape(4, 4).tolist()
    assert coats.tolist() == [[0], [1], [1], [0]]


def test_both_loops_of_logistic_regression_arrive_at_the_same_weights():
    x, y, _, _ = binary_data("float32", n=20)
    ours = chapter2.descend(x, y, learning_rate=0.5, steps=30)
    theirs = chapter2.descend_with_tape(x, y, learning_rate=0.5, steps=30)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert np.abs(ours[0]).max() > 0.1


# Ten garments


def test_softmax_equals_keras_and_never_overflows():
    z = random().normal(scale=5, size=(6, 4))
    np.testing.assert_allclose(chapter2.softmax(z), tf.nn.softmax(z), rtol=1e-12)
    with np.errstate(over="raise", invalid="raise"):
        large = chapter2.softmax(np.array([[1e4, 0.0], [-1e4, -1e4]]))
    np.testing.assert_allclose(large, [[1, 0], [0.5, 0.5]])


def test_cross_entropy_equals_keras_and_its_gradient_finite_differences():
    z, y = random().normal(scale=3, size=(6, 4)), np.array([0, 3, 1, 1, 2, 0])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype="float64")
    np.testing.assert_allclose(chapter2.cross_entropy(y, z), loss_fn(y, z), rtol=1e-12)
    slopes = chapter2.numerical_gradient(lambda z: chapter2.cross_entropy(y, z), z)
    np.testing.assert_allclose(chapter2.cross_entropy_gradient(y, z), slopes, atol=1e-9)
    assert chapter2.cross_entropy(np.array([1]), np.array([[1e4, 0.0]])) == 1e4


def test_two_softmaxes_have_a_floor():
    floor = chapter2.double_softmax_floor(10)
    assert floor == pytest.approx(1.4612, abs=1e-4)
    perfect = tf.constant(100 * np.eye(10, dtype="float32"))
    labels = np.arange(10)
    assert float(chapter2.double_softmax_loss(labels, perfect)) == pytest.approx(floor, abs=1e-6)
    assert float(chapter2.loss_fn(labels, perfect)) < 1e-6
    any_scores = random().normal(scale=9, size=(50, 10))
    losses = [chapter2.double_softmax_loss(np.array([3]), row[np.newaxis]) for row in any_scores]
    assert min(map(float, losses)) >= floor


def test_keras_repairs_a_softmax_of_its_own_and_no_other():
    scores, truth = tf.constant([[10.0, 0.0, 0.0]]), np.array([1])
    probabilities = keras.activations.softmax(scores)
    with pytest.warns(UserWarning, match="received `from_logits=True`"):
        assert float(chapter2.loss_fn(truth, probabilities)) == pytest.approx(10, abs=0.01)
    unseen = (probabilities.numpy(), tf.identity(probabilities), tf.nn.softmax(scores))
    for given in unseen:
        assert float(chapter2.loss_fn(truth, given)) == pytest.approx(1.5514, abs=0.01)


# The deep network


@pytest.mark.parametrize("sizes", [(5, 3), (7, 5, 4), (9, 6, 5, 3), (4, 8, 7, 6, 2)])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("float64", 1e-10)])
def test_backpropagation_equals_the_tape_for_every_weight(sizes, dtype, tolerance):
    x, y, weights = class_data(dtype, 11, sizes)
    ours = chapter2.backward(y, chapter2.forward(x, weights), weights)
    theirs = chapter2.tape_gradients(x, y, weights)
    assert [a.shape for a in ours] == [w.shape for w in weights]
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == dtype
        assert np.abs(a).max() > 1e-4
        np.testing.assert_allclose(a, b, atol=tolerance)


def test_backpropagation_equals_finite_differences():
    x, y, weights = class_data("float64", 6, (4, 5, 3))
    gradients = chapter2.backward(y, chapter2.forward(x, weights), weights)
    for i, gradient in enumerate(gradients):

        def loss(array, i=i):
            changed = [*weights[:i], array, *weights[i + 1 :]]
            return chapter2.cross_entropy(y, chapter2.forward(x, changed)[-1])

        np.testing.assert_allclose(
            gradient, chapter2.numerical_gradient(loss, weights[i], 1e-6), atol=1e-8
        )


def test_forward_equals_keras_layers_and_keeps_every_output():
    x, _, weights = class_data("float32", 3, (5, 4, 2))
    outputs = chapter2.forward(x, weights)
    first, last = layers.Dense(4, "relu"), layers.Dense(2)
    first.build((3, 5))
    last.build((3, 4))
    first.set_weights(weights[:2])
    last.set_weights(weights[2:])
    np.testing.assert_allclose(outputs[1], first(x), atol=1e-6)
    np.testing.assert_allclose(outputs[2], last(first(x)), atol=1e-6)
    assert outputs[0] is x
    assert len(outputs) == 3


def test_initial_weights_have_the_variance_that_is_asked_for():
    weights = chapter2.initial_weights((400, 300, 10), gain=2.0)
    assert [w.shape for w in weights] == [(400, 300), (300,), (300, 10), (10,)]
    assert {w.dtype for w in weights} == {np.dtype("float32")}
    assert weights[0].std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert weights[2].std() == pytest.approx((2 / 300) ** 0.5, rel=0.1)
    assert not weights[1].any()
    assert not weights[3].any()


def test_only_the_right_scale_keeps_signals_and_gradients_alive():
    x, y = random().normal(size=(50, 60)).astype("float32"), random(1).integers(0, 10, 50)
    spreads = {
        name: chapter2.spread_per_layer(x, y, gain, units=64)
        for name, gain in chapter2.GAINS.items()
    }
    (small, small_slopes), (right, _), (large, large_slopes) = spreads.values()
    assert len(right) == len(small_slopes) == 10
    assert small[-1] < 0.01 * small[0]
    assert 0.2 < right[-1] / right[0] < 5
    assert large[-1] > 100 * large[0]
    assert max(small_slopes) < 1e-3 < 1 < min(large_slopes)


# Optimisers

OPTIMIZERS = {  # numbers that float32 holds exactly, so that Keras' rounding of them is none
    "sgd": (chapter2.sgd, None, {}, lambda rate: keras.optimizers.SGD(rate)),
    "momentum": (
        chapter2.momentum,
        0.0,
        {"decay": 0.875},
        lambda rate: keras.optimizers.SGD(rate, momentum=0.875),
    ),
    "rmsprop": (
        chapter2.rmsprop,
        0.0,
        {"decay": 0.875, "epsilon": 2**-10},
        lambda rate: keras.optimizers.RMSprop(rate, rho=0.875, epsilon=2**-10),
    ),
    "adam": (
        chapter2.adam,
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
    differences = chapter2.compare_optimisers(x, y, "float64", batch_size=16)
    assert set(differences) == set(chapter2.OPTIMISERS)
    assert max(differences.values()) < 1e-5  # Keras rounds 0.999 to float32


def test_training_by_hand_collects_a_loss_for_each_step_and_learns():
    x, y, weights = class_data("float32", 50, (6, 16, 3))
    for name in chapter2.OPTIMISERS:
        before = [w.copy() for w in weights]
        trained, losses = chapter2.train_by_hand(weights, x, y, name, epochs=30, batch_size=16)
        assert losses.shape == (30 * 4,)
        assert losses[-8:].mean() < losses[:8].mean()
        assert all(np.array_equal(a, b) for a, b in zip(before, weights, strict=True))
        assert trained[0].dtype == np.float32


# Keras models, penalties, loops


def test_the_models_have_the_sizes_of_the_chapter():
    deep, simple = chapter2.make_model((28, 28, 1), 10), chapter2.make_softmax((28, 28, 1), 10)
    assert deep.count_params() == 109_386
    assert simple.count_params() == 7_850
    assert deep.name != simple.name  # checkpoints are named after them
    kernels = [w.shape for w in deep.get_weights()[::2]]
    assert kernels == [(784, 128), (128, 64), (64, 10)]
    for model in (deep, simple):
        scores = model(random().normal(size=(3, 28, 28, 1)))
        assert scores.shape == (3, 10)
        assert not np.allclose(np.sum(scores, axis=1), 1)  # scores, not probabilities


@pytest.mark.parametrize("make", [chapter2.make_softmax, chapter2.make_model])
def test_our_functions_equal_the_keras_models(make):
    keras.utils.set_random_seed(0)
    x = random().normal(size=(13, 5, 4, 1)).astype("float32")
    y = random(1).integers(0, 3, 13)
    differences = chapter2.compare_with_keras(make((5, 4, 1), 3), x, y)
    assert len(differences) == (4 if make is chapter2.make_softmax else 8)
    assert list(differences)[:4] == ["outputs", "loss", "W1", "b1"]
    assert max(differences.values()) < 1e-5


def test_l2_penalty_and_its_gradient_equal_keras():
    model = chapter2.make_model((3, 2, 1), 4, hidden=(5,), l2=0.1)
    weights = model.get_weights()
    weights[1][:] = 1  # a bias: it must not count
    model.set_weights(weights)
    with tf.GradientTape() as tape:
        penalty = sum(model.losses)
    theirs = tape.gradient(penalty, model.trainable_variables)
    assert chapter2.l2_penalty(weights, 0.1) == pytest.approx(float(penalty), rel=1e-5)
    for ours, gradient in zip(chapter2.l2_gradients(weights, 0.1), theirs, strict=True):
        np.testing.assert_allclose(ours, 0 if gradient is None else gradient, atol=1e-7)
    assert [gradient is None for gradient in theirs] == [False, True, False, True]
    assert chapter2.make_model((3, 2, 1), 4).losses == []


def test_dropout_equals_keras_for_the_same_mask():
    x = random().normal(size=(40, 30)).astype("float32")
    mask = layers.Dropout(0.4, seed=3)(np.ones_like(x), training=True).numpy() > 0
    ours = chapter2.dropout(x, mask, 0.4)
    np.testing.assert_allclose(ours, layers.Dropout(0.4, seed=3)(x, training=True), rtol=1e-6)
    assert mask.mean() == pytest.approx(0.6, abs=0.05)
    ones = chapter2.dropout(np.ones_like(x), mask, 0.4)
    assert ones.mean() == pytest.approx(1, abs=0.1)


def test_dropout_of_the_model_acts_in_training_only():
    model = chapter2.make_model((3, 2, 1), 4, dropout=0.5)
    x = random().normal(size=(8, 3, 2, 1)).astype("float32")
    assert np.array_equal(model(x), model(x))
    assert not np.array_equal(model(x, training=True), model(x, training=True))


def test_the_loop_written_out_equals_fit():
    keras.utils.set_random_seed(0)
    x = random().normal(size=(100, 4, 3, 1)).astype("float32")  # a short last batch
    assert chapter2.compare_loops(x, random(1).integers(0, 10, 100)) < 1e-5


def test_the_loop_written_out_adds_the_penalty():
    x, y = random().normal(size=(10, 2, 2, 1)).astype("float32"), random(1).integers(0, 3, 10)
    model = chapter2.make_model((2, 2, 1), 3, hidden=(4,), l2=10.0)
    penalty = chapter2.l2_penalty(model.get_weights(), 10.0)
    (loss,) = chapter2.train_written_out(model, x, y, keras.optimizers.SGD(0.0))
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
    monkeypatch.setattr(chapter2, "load", lambda name: small_splits(shape))
    return chapter2.main(epochs=1, examples=64, progress="none", jit="off", **options)


@pytest.mark.parametrize("shape", [pytest.param((28, 28, 1), marks=pytest.mark.slow), (32, 32, 3)])
def test_main_returns_scores_and_pictures(shape, monkeypatch):
    result = run_main(shape, monkeypatch)
    assert len(result.splits.train.x) == 64
    assert set(result.scores) == {"validation", "test"}
    for scores in result.scores.values():
        assert set(scores) == {"loss", "accuracy", "softmax_accuracy"}
        assert all(np.isfinite(list(scores.values())))
    assert result.model.name == "deep_network"
    assert set(result.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    pictures = {"history", "confusion", "calibration", "weights", "optimizers"}
    assert set(result.figures) == pictures
    assert len(result.figures["weights"]) == 10
    assert len(result.figures["optimizers"].get_lines()) == 4


def test_main_hands_its_options_on(monkeypatch, tmp_path):
    monkeypatch.setattr(chapter2, "plot_optimisers", lambda *arguments: None)
    ended = []
    callback = keras.callbacks.LambdaCallback(
        on_train_end=lambda logs: ended.append(callback.model.name)
    )
    run_main((6, 20, 1), monkeypatch, checkpoint=tmp_path, callbacks=[callback])
    names = {path.name.partition(".")[0] for path in tmp_path.iterdir()}
    assert names == {"deep_network", "softmax_regression"}
    assert ended == ["deep_network"]


@pytest.mark.slow
def test_main_depends_on_the_seed_alone(monkeypatch):
    monkeypatch.setattr(chapter2, "plot_optimisers", lambda *arguments: None)
    scores = [run_main((6, 20, 1), monkeypatch, seed=seed).scores for seed in (3, 3, 4)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.slow
def test_main_reaches_the_scores_that_the_book_promises():
    scores = chapter2.main(progress="none").scores["test"]
    assert scores["softmax_accuracy"] >= 0.82
    assert scores["accuracy"] >= 0.85


def test_the_diagram_of_backpropagation_has_the_gradients_that_it_computes():
    values, slopes = chapter2.small_network()
    weights = [values["W1"], np.zeros(2), values["W2"], np.zeros(2)]
    outputs = chapter2.forward(values["x"], weights)
    expected = chapter2.backward(np.array([1]), outputs, weights)
    for name, gradient in zip(("W1", "s1", "W2", "z"), expected, strict=True):  # one picture: b = δ
        np.testing.assert_allclose(slopes[name].squeeze(), gradient, atol=1e-8, err_msg=name)
    np.testing.assert_allclose(outputs[1], values["a1"])
    assert values["loss"] == pytest.approx(chapter2.cross_entropy(np.array([1]), outputs[-1]))


def test_what_tensorboard_would_draw_is_read_back(tmp_path):
    splits = small_splits((2, 20, 1))
    callback = chapter2.keras.callbacks.TensorBoard(str(tmp_path))
    history = chapter2.train_on_few(splits, epochs=2, callbacks=[callback])
    curves = chapter2.logged_losses(tmp_path)
    np.testing.assert_allclose(curves["train"], history.history["loss"])
    np.testing.assert_allclose(curves["validation"], history.history["val_loss"])


def test_the_update_ratio_of_sgd_is_that_of_gradient_and_weights():
    x, y = random().normal(size=(20, 6)), random(1).integers(0, 10, 20)
    ratios = chapter2.update_ratios(x, y, "SGD", steps=2, batch_size=10)
    weights = chapter2.initial_weights((6, *chapter2.SIZES[1:]))
    rows = chapter2.batch_order(0, 0, 20)[:10]
    gradients = chapter2.backward(y[rows], chapter2.forward(x[rows], weights), weights)
    expected = [0.1 * g.std() / w.std() for g, w in zip(gradients[::2], weights[::2], strict=True)]
    np.testing.assert_allclose([series[0] for series in ratios.values()], expected, rtol=1e-4)
    assert all(series.shape == (2,) for series in ratios.values())


def test_the_histograms_of_the_outputs_move_with_the_scale_and_only_then():
    axes = chapter2.plot_sizes(random().normal(size=(50, 30)))
    for ax, direction in zip(axes, (-1, 0, 1), strict=True):
        peaks = [line.get_xdata()[np.argmax(line.get_ydata())] for line in ax.get_lines()]
        assert np.sign(round((peaks[-1] - peaks[0]) / 2)) == direction
