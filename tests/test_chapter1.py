"""Chapter 1: what is built by hand equals finite differences, the tape, Keras and theory."""

from kerasbook import chapter1
from kerasbook.data import Part, Splits, load_auto_mpg

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.legend import Legend

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the mean absolute error on the test part was {auto_mpg/test/mae/mean:.3f} ± "
    "{auto_mpg/test/mae/sd:.3f} mpg",
]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def problem(rows=13, features=3, seed=0, dtype="float64"):
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, features))
    y = x @ random.normal(size=(features, 1)) + 2 + 0.3 * random.normal(size=(rows, 1))
    return x.astype(dtype), y.astype(dtype)


def test_gradient_equals_finite_differences_and_the_tape():
    x, y = problem()
    w, b = np.array([[0.5], [-1.0], [2.0]]), np.array([0.3])
    by_hand = chapter1.gradient(x, y, w, b)

    def loss(w, b):
        return chapter1.mean_squared_error(y, chapter1.linear(x, w, b))

    slopes = [
        chapter1.numerical_gradient(lambda w: loss(w, b), w),
        chapter1.numerical_gradient(lambda b: loss(w, b), b),
    ]
    for ours, numerical, tape in zip(
        by_hand, slopes, chapter1.tape_gradient(x, y, w, b), strict=True
    ):
        assert ours.shape == tape.shape
        np.testing.assert_allclose(ours, numerical, atol=1e-8)
        np.testing.assert_allclose(ours, tape, atol=1e-13)


def test_normal_equation_has_no_gradient_and_descent_arrives_there():
    x, y = problem()
    w, b = chapter1.normal_equation(x, y)
    for part in chapter1.gradient(x, y, w, b):
        np.testing.assert_allclose(part, 0, atol=1e-12)
    for options in ({"batch_size": len(x)}, {"batch_size": len(x), "momentum": 0.5}):
        path_w, path_b = chapter1.descend(x, y, 0.1, epochs=2000, **options)
        np.testing.assert_allclose(path_w[-1], w[:, 0], atol=1e-9)
        np.testing.assert_allclose(path_b[-1], b[0], atol=1e-9)


def test_stochastic_descent_comes_near_but_does_not_rest():
    x, y = problem(rows=50)
    w, _ = chapter1.normal_equation(x, y)
    path, _ = chapter1.descend(x, y, 0.02, epochs=40, batch_size=1)
    assert path.shape == (50 * 40 + 1, 3)
    late = np.abs(path[-200:] - w[:, 0]).max(axis=1)
    assert 1e-4 < late.max() < 0.5


def test_descent_diverges_just_above_the_largest_learning_rate():
    x, y = problem()
    limit = chapter1.largest_learning_rate(x)
    start = chapter1.mean_squared_error(y, 0 * y)

    def loss_after(share):
        w, b = chapter1.descend(x, y, share * limit, epochs=3000, batch_size=len(x))
        return chapter1.mean_squared_error(y, chapter1.linear(x, w[-1][:, np.newaxis], b[-1]))

    assert loss_after(0.99) < start
    assert loss_after(1.01) > start


def test_the_keras_model_is_the_same_model():
    x, y = problem(dtype="float32")
    w, b = np.float32([[0.5], [-1.0], [2.0]]), np.float32([0.3])
    differences = chapter1.compare_with_keras(x, y, w, b)
    assert set(differences) == {"outputs", "loss", "gradient of w", "gradient of b"}
    assert max(differences.values()) < 5e-6


def test_the_loop_written_out_equals_fit():
    differences = chapter1.compare_loops(epochs=2)
    # The written-out loop runs uncompiled, one operation at a time: equal to rounding.
    assert differences["loss"] < 1e-3  # of a loss of about 500
    assert differences["weights"] < 1e-4


def test_pictures_show_paths_and_losses():
    legends = chapter1.plot_descent_paths().findobj(Legend)
    shown = {text.get_text() for legend in legends for text in legend.get_texts()}
    assert {"batch", "stochastic", "mini-batch of 16", "momentum 0.8"} <= shown
    assert len(chapter1.plot_learning_rates().get_lines()) >= 4


def small_splits():
    x, y = problem(rows=30, dtype="float32")
    parts = (Part(x[:20], y[:20]), Part(x[20:25], y[20:25]), Part(x[25:], y[25:]))
    return Splits(*parts, name="small", title="Small", target="number", source="made up")


def test_main_learns_and_scores(monkeypatch):
    monkeypatch.setattr(chapter1, "load", lambda name, **options: small_splits())
    options = {"jit": "off", "progress": "none"}
    result = chapter1.main(epochs=60, batch_size=8, learning_rate=0.05, **options)
    assert result.history.history["loss"][-1] < 0.2 * result.history.history["loss"][0]
    assert set(result.scores) == {"validation", "test"}
    assert set(result.scores["test"]) == {"loss", "mae"}
    assert {"history", "predictions", "descent_paths", "learning_rates"} == set(result.figures)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_auto_mpg_to_2_7_miles_per_gallon(seed):
    result = chapter1.main(seed=seed, progress="none")
    assert result.scores["test"]["mae"] <= 2.7
    best = chapter1.normal_equation(*load_auto_mpg(chapter1.FEATURES).train)
    x, y = result.splits.train
    lowest = chapter1.mean_squared_error(y, chapter1.linear(x, *best))
    assert result.history.history["loss"][-1] < 1.1 * lowest


def test_the_learning_curve_ends_at_the_normal_equation_on_all_cars():
    splits = chapter1.load_auto_mpg(chapter1.FEATURES)
    training, validation = chapter1.errors_by_cars(splits, (12, 236), choices=3)
    w, b = chapter1.normal_equation(*splits.train)
    for error, (x, y) in ((training[1], splits.train), (validation[1], splits.validation)):
        best = chapter1.mean_squared_error(y, chapter1.linear(x, w, b))
        np.testing.assert_allclose(error, best, rtol=1e-5)
    assert training[0] < training[1] < validation[0]
