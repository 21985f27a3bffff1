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
    (
        "scratch",
        "sums[j] += x[i] * kernel[i * units + j]",
        "sums[j] += x[i] * kernel[j * inputs + i]",
    ),
    ("scratch", "slope: (out) => 1 - out * out", "slope: (out) => 1 - out"),
    ("scratch", "(out > 0 ? 1 : 0)", "(out >= 0 ? 1 : 0)"),
    ("scratch", "once[k] * (v - mean)", "once[k] * v"),
    ("scratch", "v - (k === label ? 1 : 0)", "v"),
    ("scratch", "(input[i] * delta[j]) / count", "input[i] * delta[j]"),
    ("scratch", "if (!network.bias)", "if (network.bias)"),
    ("scratch", "bias[j] += delta[j] / count", "bias[j] = delta[j] / count"),
    ("scratch", "wrongSign ? -1 : 1", "wrongSign ? 1 : 1"),
    ("scratch", "at < layers.length - 1 ? sums.map", "at < layers.length ? sums.map"),
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


# --- A network from scratch ---------------------------------------------------------------

SCRIPTS = ["optimisers.js", "network.js", "export.js"]
TAKEN = [  # activation, sizes, data, what is wrong on purpose
    ("tanh", [2, 4, 4, 2], "moons", {}),
    ("relu", [2, 8, 3], "three", {}),
    ("sigmoid", [2, 3, 2], "rings", {"bias": False}),
    ("linear", [2, 2], "corners", {"doubleSoftmax": True}),
    ("tanh", [2, 6, 2], "spirals", {"wrongSign": True}),
]


@pytest.mark.parametrize(("activation", "sizes", "data", "mistakes"), TAKEN)
def test_the_exported_program_draws_the_same_surface(
    activation, sizes, data, mistakes, tmp_path, monkeypatch
):
    training = {"optimiser": "momentum", "rate": 0.0625, "batch": 1e9, "seed": 1} | mistakes
    with checks.engine(SCRIPTS) as js:
        js.run(
            f"""var n = kerasbook.network, p = n.makePoints('{data}', 80, 0.2, 1);
            var one = n.makeNetwork({sizes}, '{activation}', {json.dumps({"seed": 3} | mistakes)});
            var t = n.makeTrainer(one, p, {json.dumps(training)});
            for (let i = 0; i < 30; i++) t.step();"""
        )
        text = js.get(f"kerasbook.asKeras(one, p, {json.dumps(training | {'steps': 30})})")
        surface = np.reshape(js.get("n.surface(one, 61)"), (61, 61, -1))
        fresh = f"n.makeTrainer(one, p, {json.dumps(training)})"
        losses = js.get(f"(() => {{ const u = {fresh}; return [1, 2, 3].map(() => u.step()); }})()")
    program = {"__name__": "program"}
    exec(compile(text, "network.py", "exec"), program)
    model = program["make_model"]()
    np.testing.assert_allclose(program["surface"](model), surface, atol=1e-5)
    monkeypatch.chdir(tmp_path)
    program["draw"](model)
    assert (tmp_path / "network.png").stat().st_size > 10_000
    np.testing.assert_allclose(program["train"](model, 3), losses, rtol=1e-5)
    assert ("mistakes on purpose" in text) == bool(mistakes)


def read_csv(text: str):
    """Returns what the playground makes of a table, or its complaint."""
    with checks.engine(SCRIPTS) as js:
        return js.get(
            f"""(() => {{ try {{ return kerasbook.network.readCsv({json.dumps(text)}); }}
            catch (error) {{ return error.message; }} }})()"""
        )


def test_a_table_is_read_and_scaled_only_where_it_must_be():
    plain = read_csv("x,y,kind\n1,2,b\n-1.5,0.25,a\n")
    assert (plain["x"], plain["y"], plain["names"]) == ([[1, 2], [-1.5, 0.25]], [1, 0], ["a", "b"])
    assert plain["scaled"] is None
    large = read_csv('10;200;"no"\n30;100;"yes"\n')
    assert large["x"] == [[-2.8, 2.8], [2.8, -2.8]]
    assert large["scaled"]["shift"] == [20, 150]
    assert read_csv("1,1,a\n" * 300 + "2,2,b\n" * 300)["left"] == 100


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "fewer than two points"),
        ("x,y,c\n1,2,a\n1,,b\n", "Line 3"),
        ("1,2\n3,4\n", "Line 1 has 2 cells"),
        ("1,2,a\n3,4,a\n", "one class"),
        ("1,2,a\n3,4,b\n1,2,c\n3,4,d\n", "4 classes"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_in_one_line(text, says):
    assert says in read_csv(text)


def test_points_survive_the_address():
    with checks.engine(SCRIPTS) as js:
        js.run("var p = kerasbook.network.makePoints('three', 90, 0.5, 2)")
        assert js.get("kerasbook.network.unpackPoints(kerasbook.network.packPoints(p))") == js.get(
            "p"
        )


# --- Descent ------------------------------------------------------------------------------


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
