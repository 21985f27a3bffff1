"""The playgrounds' JavaScript equals Keras, and a mistake in it would be noticed."""

import json

from kerasbook import contents
from kerasbook.chapter1 import curvatures, in_float64, load_auto_mpg, normal_equation
from kerasbook.web import playgrounds

import numpy as np
import pytest

pytest.importorskip("py_mini_racer", reason="the extra `web` is not installed")

import playground_checks as checks

MISTAKES = [  # a playground, a piece of its JavaScript, and what stands there instead
    ("descent", "w[i] -= rate * gradient[i];", "w[i] += rate * gradient[i];"),
    ("descent", "momentum * velocity[i] - rate", "momentum * velocity[i] - (1 - momentum) * rate"),
    ("descent", "Math.sqrt(square[i] + epsilon)", "(Math.sqrt(square[i]) + epsilon)"),
    ("descent", "(Math.sqrt(square[i]) + epsilon)", "Math.sqrt(square[i] + epsilon)"),
    ("descent", "(rate * Math.sqrt(1 - beta2 ** memory.steps))", "(rate * (1 - beta2))"),
    ("descent", "memory.steps += 1", "memory.steps += 2"),
    ("descent", "- 40 * x * (y - x * x)", "- 20 * x * (y - x * x)"),
]


@pytest.mark.parametrize("name", checks.CHECKS)
def test_the_javascript_computes_what_keras_computes(name):
    found = checks.measure(name)
    assert found["cases"] >= 32
    assert found["largest"] < checks.CHECKS[name].limit


@pytest.mark.parametrize(("name", "right", "wrong"), MISTAKES)
def test_a_planted_mistake_is_noticed(name, right, wrong):
    assert checks.measure(name, right, wrong)["largest"] > checks.CHECKS[name].limit


def test_the_pages_say_what_was_measured():
    found = json.loads(playgrounds.DIFFERENCES.read_text(encoding="utf-8"))
    assert set(found) == {one.name for one in playgrounds.playgrounds()} == set(checks.CHECKS)
    for name, one in found.items():
        assert 0 < one["largest"] < checks.CHECKS[name].limit
        assert one["what"] == checks.CHECKS[name].what
        assert one["cases"] >= 32


def test_every_playground_has_its_chapters_and_its_words():
    for one in playgrounds.playgrounds():
        assert set(one.chapters) <= set(contents.pages()), one.name
        assert one.sentence.endswith(("?", ".")), one.name
        assert "{{difference}}" in one.text


def test_the_cars_surfaces_are_those_of_chapter_1():
    with checks.engine(checks.CHECKS["descent"].scripts) as js:
        surfaces = {n: js.get(f"kerasbook.surfaces.{n}") for n in ("round", "canyon")}
    x, y = in_float64(load_auto_mpg(("horsepower",)).train)
    w, b = normal_equation(x, y)
    np.testing.assert_allclose(surfaces["round"]["goal"], [b[0], w[0, 0]], rtol=1e-7)
    np.testing.assert_allclose(curvatures(x), [2, 2], rtol=1e-6)
    x, y = in_float64(load_auto_mpg(("weight", "horsepower"), standardise=False).train)
    x, y = (x - x.mean(axis=0)) / [1000, 10], y - y.mean()
    np.testing.assert_allclose(
        surfaces["canyon"]["goal"], normal_equation(x, y)[0][:, 0], rtol=1e-6
    )
    np.testing.assert_allclose(surfaces["canyon"]["curvatures"], 2 * x.T @ x / len(x), rtol=1e-6)
