"""Chapter 1: what is built by hand equals finite differences, the tape, Keras and theory."""

import inspect
import re

from kerasbook import chapter1, contents, exercises, notebooks
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

ELSEWHERE = {"0.01": "the default learning rate: see the test of the defaults"}


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


def test_the_first_steps_are_those_of_batch_descent():
    x, y = problem(features=1)
    path = chapter1.first_steps(x, y, 0.1, 5)
    w, b = chapter1.descend(x, y, 0.1, 5, batch_size=len(x))
    np.testing.assert_allclose(path, np.column_stack([w, b]), atol=1e-14)


def test_curvatures_are_the_second_derivatives_of_the_loss():
    x, y = problem(features=2)
    zero = np.zeros((2, 1)), np.zeros(1)
    rows = []
    for place in range(3):
        w, b = zero[0].copy(), zero[1].copy()
        (w[:, 0] if place < 2 else b)[place % 2] = 1
        pairs = zip(chapter1.gradient(x, y, w, b), chapter1.gradient(x, y, *zero), strict=True)
        rows.append(np.concatenate([(one - other).ravel() for one, other in pairs]))
    np.testing.assert_allclose(chapter1.curvatures(x), np.linalg.eigvalsh(rows), atol=1e-12)
    assert chapter1.largest_learning_rate(x) == 2 / chapter1.curvatures(x).max()


def test_the_huge_step_is_exact_for_a_squared_error():
    x, y = problem()
    w, b = np.array([[0.5], [-1.0], [2.0]]), np.array([0.3])
    by_hand, _ = chapter1.gradient(x, y, w, b)

    def loss(w):
        return chapter1.mean_squared_error(y, chapter1.linear(x, w, b))

    huge, tiny = (chapter1.numerical_gradient(loss, w, step) for step in (10, 1e-8))
    assert np.abs(huge - by_hand).max() < 1e-13 < np.abs(tiny - by_hand).max()


def canyon():
    x, y = chapter1.in_float64(load_auto_mpg(("weight", "horsepower"), standardise=False).train)
    return (x - x.mean(axis=0)) / [1000, 10], y - y.mean()


def test_momentum_crosses_the_canyon_and_standardising_makes_it_rounder():
    x, y = canyon()

    def steps(x, momentum):
        return chapter1.steps_needed(x, y, chapter1.cross(x, y, momentum))

    def condition(x):
        return chapter1.curvatures(x)[-1] / chapter1.curvatures(x)[0]

    assert steps(x, 0.8) < steps(x, 0.0) / 2.5
    scaled = x / x.std(axis=0)
    assert steps(scaled, 0.0) < steps(x, 0.8) <= steps(scaled, 0.8)
    assert 5 < condition(scaled) < condition(x) / 5


def test_descent_zigzags_in_the_canyon():
    x, y = canyon()
    swings = np.diff(chapter1.cross(x, y, 0.0, steps=20)[:, 1])
    assert np.all(np.sign(swings[1:]) == -np.sign(swings[:-1]))


def test_ridge_by_descent_arrives_where_the_penalised_gradient_is_zero():
    x, y = problem()
    w, b = chapter1.ridge_by_descent(x, y, 0.3, learning_rate=0.1, steps=3000)
    gradient_w, gradient_b = chapter1.gradient(x, y, w, b)
    np.testing.assert_allclose(gradient_w + 2 * 0.3 * w, 0, atol=1e-10)
    np.testing.assert_allclose(gradient_b, 0, atol=1e-10)
    smaller = chapter1.ridge_by_descent(x, y, 3, learning_rate=0.1, steps=3000)[0]
    assert np.abs(smaller).sum() < np.abs(w).sum()


def test_with_products_has_each_product_once():
    x, _ = problem(features=3)
    found = chapter1.with_products(x)
    a, b, c = x.T
    np.testing.assert_array_equal(found.T, [a, b, c, a * a, a * b, a * c, b * b, b * c, c * c])


def test_what_the_text_says_of_the_first_picture():
    x, y = chapter1.in_float64(load_auto_mpg(("horsepower",), standardise=False).train)
    above = (y - chapter1.linear(x, *chapter1.normal_equation(x, y)))[:, 0] > 0
    power = x[:, 0]
    assert 0.75 < above[power < 73].mean() < 0.85
    assert above[power > 193].mean() == 1
    assert above[(power >= 73) & (power < 150)].mean() < 0.4


def test_what_the_text_says_of_the_weights_and_of_the_errors_of_the_plane():
    splits = load_auto_mpg(chapter1.FEATURES)
    x, y = chapter1.in_float64(splits.train)
    w, b = chapter1.normal_equation(x, y)
    of = dict(zip(chapter1.FEATURES, w[:, 0], strict=True))
    assert of["weight"] < 0 < of["model_year"]
    assert of["displacement"] > 0
    y_pred = chapter1.linear(x, w, b)
    fifths = np.array_split((y - y_pred)[np.argsort(y_pred[:, 0])], 5)
    low, *middle, high = [fifth.mean() for fifth in fifths]
    assert max(middle[:2]) < 0 < min(low, high)
    y_pred = chapter1.linear(chapter1.in_float64(splits.test)[0], w, b)
    assert np.all(y_pred[splits.test.y > 37] < 37)


def test_pictures_show_paths_and_losses():
    legends = chapter1.plot_canyon(*canyon(), (0.0, 0.8), 4, x_label="a", y_label="b")
    shown = {t.get_text() for one in legends.findobj(Legend) for t in one.get_texts()}
    assert {"momentum 0", "momentum 0.8"} <= shown
    assert len(chapter1.plot_learning_rates().get_lines()) == 4


def test_a_section_names_its_exercises_and_each_exercise_its_section():
    cells = notebooks.notebook_of(contents.find(1)).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    sections = dict(re.findall(r"^## ([^\n]*)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    named = {
        (name, title)
        for title, section in sections.items()
        for line in re.findall(r"^\*Exercises?: .*?\*$", section, re.MULTILINE | re.DOTALL)
        for name in re.findall(r"`(\w+)`", line)
    }
    practised = {
        (one.name, re.search(r'Practises: chapter 1, "(.*)"', one.specification)[1])
        for one in exercises.load().values()
        if one.key == "chapter1"
    }
    assert named == practised
    assert "\nNine exercises" in text
    assert len(practised) == 9


def test_the_defaults_are_those_that_the_text_tells():
    defaults = {
        name: one.default for name, one in inspect.signature(chapter1.main).parameters.items()
    }
    told = {"epochs": 30, "batch_size": 32, "learning_rate": 0.01, "momentum": 0.9}
    assert told.items() <= defaults.items()


def test_a_loss_over_two_weights_is_the_mean_squared_error():
    x, y = problem(features=2)
    loss = chapter1.loss_of(x.T, y)
    expected = chapter1.mean_squared_error(y, chapter1.linear(x, np.array([[2.0], [-1.0]]), 0))
    np.testing.assert_allclose(loss(2.0, -1.0), expected)
    assert loss(np.zeros((4, 5)), np.ones((4, 5))).shape == (4, 5)


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
    assert {"history", "predictions"} == set(result.figures)
    assert result.figures["history"].get_yscale() == "log"


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
