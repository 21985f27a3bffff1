"""The playgrounds' JavaScript equals Keras, and a mistake in it would be noticed."""

import hashlib
import json
import re
from urllib.parse import parse_qsl

from kerasbook import chapter4, contents
from kerasbook.chapter1 import curvatures, in_float64, load_auto_mpg, normal_equation
from kerasbook.data.cmudict import read_words
from kerasbook.data.text import split_words
from kerasbook.web import playgrounds
from kerasbook.web.playgrounds import weights

import numpy as np
import pytest

pytest.importorskip("py_mini_racer", reason="the extra `web` is not installed")

import playground_checks as checks
from make_playground_weights import MODELS, model_of

MISTAKES = [  # a playground, a piece of its JavaScript, and what stands there instead
    ("descent", "w[i] -= rate * gradient[i];", "w[i] += rate * gradient[i];"),
    ("descent", "momentum * velocity[i] - rate", "momentum * velocity[i] - (1 - momentum) * rate"),
    ("descent", "Math.sqrt(square[i] + epsilon)", "(Math.sqrt(square[i]) + epsilon)"),
    ("descent", "(Math.sqrt(square[i]) + epsilon)", "Math.sqrt(square[i] + epsilon)"),
    ("descent", "(rate * Math.sqrt(1 - beta2 ** memory.steps))", "(rate * (1 - beta2))"),
    ("descent", "memory.steps += 1", "memory.steps += 2"),
    ("descent", "- 40 * x * (y - x * x)", "- 20 * x * (y - x * x)"),
    ("writer", "return score / Math.sqrt(depth)", "return score"),
    ("writer", "key <= query", "key < query || key === 0"),
    ("writer", "Math.sqrt(variance + epsilon)", "(Math.sqrt(variance) + epsilon)"),
    ("writer", "i < width / 2 ? Math.sin", "i % 2 === 0 ? Math.sin"),
    ("writer", "* Math.sqrt(width) + wave", "+ wave"),
    ("writer", "let x = add(rows, own.out)", "let x = own.out"),
    ("writer", "before >= p && kept.size", "before + shares[n] >= p && kept.size"),
    ("writer", "[character, n + 1]", "[character, n]"),
    ("speaker", "parts.norm(x, `${name}/norm_across`), memory", "x, memory"),
    ("speaker", '[memory, "key"], [memory, "value"]', '[memory, "value"], [memory, "key"]'),
    ("speaker", "letter.charCodeAt(0) - 96", "letter.charCodeAt(0) - 97"),
    ("speaker", "score: one.score + log", "score: log"),
    ("speaker", "v - largest - Math.log(sum)", "v - largest"),
    ("speaker", "if (one.said.at(-1) === END) return [one];", ""),
    ("reader", "z[u] * h + (1 - z[u]) * candidate[u]", "(1 - z[u]) * h + z[u] * candidate[u]"),
    ("reader", "ofWord[2 * units + u] + r[u] *", "r[u] * ofWord[2 * units + u] +"),
    ("reader", "sigmoid(ofWord[u] + ofState[u])", "sigmoid(ofWord[units + u] + ofState[u])"),
    ("reader", "bias.subarray(3 * units)", "bias.subarray(0, 3 * units)"),
    ("reader", ".slice(0, 40)", ""),
    ("reader", ".toLowerCase()", ""),
    ("reader", "[\\p{L}\\p{N}]+(?:'", "[a-z0-9]+(?:'"),
    ("reader", "[word, at + 2]", "[word, at + 1]"),
    ("garments", "i + u - 1, j + v - 1, kernel", "i + u, j + v, kernel"),
    ("garments", "kernel, 3 * u + v)", "kernel, 3 * v + u)"),
    ("garments", "sums[f] = Math.max(sums[f], 0)", "sums[f] = Math.abs(sums[f])"),
    ("garments", "2 * i + u, 2 * j + v, c)", "2 * i + v, 2 * j, c)"),
    ("garments", "(v - mean) / std", "v / 255"),
    ("garments", ".map((v) => Math.max(v, 0));", ";"),
    ("garments", "slope / places", "slope"),
    ("garments", "(v > 0 ? last[", "(v >= 0 ? last["),
    ("garments", "let total = bias[filter]", "let total = 0"),
    ("garments", "places[Math.floor(n / conv_3.channels)]", "places[n % 49]"),
    ("garments", "(sum, v) => sum + v, bias[unit])", "(sum, v) => sum + v, 0)"),
    ("garments", "kernel[unit * bias.length + answer]", "kernel[answer * bias.length + unit]"),
    ("garments", "sum + product, bias[answer])", "sum + product, 0)"),
    ("garments", "sign * fraction * 2 ** -24", "0"),
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


# --- the weights --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_the_weights_are_what_is_noted_and_fit_the_chapters_model(name):
    row = json.loads(weights.ABOUT.read_text(encoding="utf-8"))[name]
    data = (playgrounds.WEIGHTS / f"{name}.js").read_bytes()
    assert hashlib.sha256(data).hexdigest() == row["sha256"]
    assert len(data) < 1_500_000
    model = MODELS[name]
    assert row["command"] == f"python -m kerasbook.{model.chapter} --seed {row['seed']}"
    trained = model_of(name)
    content = weights.read(name)[1]
    for key, value in model.extra(trained).items():
        assert content[key] == value, key


@pytest.mark.parametrize("name", ["garments", "reader", "speaker"])
def test_the_score_after_rounding_is_what_is_noted(name):
    noted = json.loads(weights.ABOUT.read_text(encoding="utf-8"))[name]["score after rounding"]
    assert MODELS[name].score(model_of(name)) == pytest.approx(noted, abs=0.002)


def test_weights_of_another_model_are_refused(monkeypatch):
    smaller = MODELS["reader"]._replace(make=lambda: chapter4.make_model(10_000, units=16))
    monkeypatch.setitem(MODELS, "reader", smaller)
    with pytest.raises(ValueError, match=r"make_playground_weights.py reader"):
        model_of("reader")


def test_weights_are_written_in_sixteen_bits_and_read_alike(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "WEIGHTS", tmp_path)
    monkeypatch.setattr(weights, "ABOUT", tmp_path / "weights.json")
    numbers = [0, -0.0, 1, -2.5, 65504, 6e-8, -3e-6, 0.333]
    arrays = {"a/b": np.reshape(weights.rounded([numbers])[0], (2, 4)), "c": np.ones(1, "float32")}
    weights.write("small", arrays, {"words": "é"}, {"seed": 0})
    read, content = weights.read("small")
    assert content["words"] == "é"
    for path, array in arrays.items():
        np.testing.assert_array_equal(read[path], array)
    with checks.engine(["weights.js"]) as js:
        js.run((tmp_path / "small.js").read_text(encoding="utf-8"))
        found = js.get("kerasbook.load('small').weights")
    np.testing.assert_array_equal(np.float32(found["a/b"]), arrays["a/b"].ravel())
    with pytest.raises(ValueError, match="too large"):
        weights.rounded([[1e6]])


# --- what the pages' text says --------------------------------------------------------------

SAID = r"{said: (e => ({greedy: names(n.greedy(c.weights, e, c.heads)), beams: n.beamSearch("
SAID += "c.weights, e, c.heads, 4).map((one) => names(one.said))}))"
SAID += "(n.readLetters(c.weights, n.encodeLetters('WORD'), c.heads).out)}"


def speaker_says(*words: str) -> dict[str, dict]:
    """Returns what the speaker says to words: `greedy`, and the four `beams`."""
    with checks.engine(checks.CHECKS["speaker"].scripts) as js:
        js.run(
            """var c = kerasbook.load('speaker'), n = kerasbook.transformer;
            var names = (row) => row.filter((s) => s > n.END).map((s) => c.sounds[s]).join(' ');"""
        )
        return {word: js.get(SAID.replace("WORD", word))["said"] for word in words}


def test_the_speaker_says_four_words_alike_and_has_two_of_them_among_its_beams():
    found = speaker_says("though", "tough", "through", "thought")
    assert all("AW" in one["greedy"] for one in found.values())
    right = {"though": "DH OW", "tough": "T AH F", "through": "TH R UW", "thought": "TH AO T"}
    assert [word for word in right if right[word] in found[word]["beams"]] == ["through", "thought"]


def test_the_speaker_leaves_out_the_silent_letters_and_knows_both_ways_to_say_lead():
    found = speaker_says("knight", "lead")
    assert found["knight"]["greedy"] == "N AY T"
    assert "K N AY T" in found["knight"]["beams"]
    assert {"L IY D", "L EH D"} <= set(found["lead"]["beams"])


def test_every_sound_has_a_word_that_has_it():
    with checks.engine(["sounds.js"]) as js:
        examples = js.get("kerasbook.sounds.examples")
        assert set(examples) == set(js.get("kerasbook.sounds.known"))
    spoken = dict(read_words())
    for sound, word in examples.items():
        assert sound in spoken[word], (sound, word)


def test_the_readers_example_of_an_unknown_word_is_unknown():
    (reader,) = (one for one in playgrounds.playgrounds() if one.name == "reader")
    (state,) = re.findall(r'\?#([^"]+)">a name', reader.text)
    words = split_words(dict(parse_qsl(state))["text"])
    assert words[0] not in weights.read("reader")[1]["words"].split()


def test_every_experiment_sets_what_its_page_keeps():
    for one in playgrounds.playgrounds():
        script = (playgrounds.SCRIPTS / f"{one.name}.js").read_text(encoding="utf-8")
        kept = set(re.findall(r"(\w+):", re.search(r"State\(\{(.*?)\}\)", script, re.S)[1]))
        links = re.findall(r'href="(\w+)\.html\?#([^"]+)"', one.text)
        assert links, one.name
        for name, state in links:
            assert name == one.name
            assert {key for key, _ in parse_qsl(state.replace("&amp;", "&"))} <= kept, state


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
