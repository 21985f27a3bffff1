"""Chapter 2's formulas against Keras, the tape and finite differences; its `main` on tiny data."""

from kerasbook import chapter2
from kerasbook.data import Part, Splits

import keras
import matplotlib
import numpy as np
import pytest
import tensorflow as tf

matplotlib.use("Agg")

import matplotlib.pyplot as plt

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
]
ELSEWHERE = {"0.69": "the logarithm of 2", "4.61": "the logarithm of 100"}


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


def test_the_check_of_the_gradient_sees_a_wrong_one(monkeypatch):
    x, y, *_ = binary_data()
    assert max(chapter2.check_logistic_gradient(x, y).values()) < 1e-8
    monkeypatch.setattr(chapter2, "logistic_gradient", lambda x, y, w, b: (w, b))
    assert min(chapter2.check_logistic_gradient(x, y).values()) > 1e-3


def test_softmax_regression_begins_at_zero_and_returns_scores():
    model = chapter2.make_softmax((28, 28, 1), 10)
    assert model.count_params() == 7_850
    assert not any(w.any() for w in model.get_weights())
    model.set_weights([random(i).normal(size=w.shape) for i, w in enumerate(model.get_weights())])
    scores = model(random().normal(size=(3, 28, 28, 1)))
    assert scores.shape == (3, 10)
    assert not np.allclose(np.sum(scores, axis=1), 1)  # scores, not probabilities


def test_a_pixel_that_is_always_the_same_acts_as_the_bias():
    """The margin of the template: its weight is the bias times the pixel's value."""
    x, y, *_ = binary_data(n=30)
    x[:, 0] = -0.8
    w, b = chapter2.descend(x, y, learning_rate=0.1, steps=50)
    np.testing.assert_allclose(w[0], -0.8 * b)


def test_two_softmaxes_learn_more_slowly(monkeypatch):
    axes = chapter2.plot_double_softmax(small_splits((6, 20, 1)), epochs=3)
    losses = {line.get_label(): line.get_ydata() for line in axes[0].get_lines()}
    floor = chapter2.double_softmax_floor(10)
    curves = [y for y in losses.values() if len(y) == 3]
    assert min(min(y) for y in curves) < 2.3
    assert max(y[-1] for y in curves) > floor


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
        assert set(scores) == {"loss", "accuracy"}
        assert all(np.isfinite(list(scores.values())))
    assert result.model.name == "softmax_regression"
    assert set(result.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(result.figures) == {"history", "confusion", "weights"}


def test_main_hands_its_options_on(monkeypatch, tmp_path):
    ended = []
    callback = keras.callbacks.LambdaCallback(
        on_train_end=lambda logs: ended.append(callback.model.name)
    )
    run_main((6, 20, 1), monkeypatch, checkpoint=tmp_path, callbacks=[callback])
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"softmax_regression"}
    assert ended == ["softmax_regression"]


@pytest.mark.slow
def test_main_depends_on_the_seed_alone(monkeypatch):
    scores = [run_main((6, 20, 1), monkeypatch, seed=seed).scores for seed in (3, 3, 4)]
    assert scores[0] == scores[1] != scores[2]


@pytest.mark.slow
def test_main_reaches_the_score_that_the_page_promises():
    assert chapter2.main(progress="none").scores["test"]["accuracy"] >= 0.82
