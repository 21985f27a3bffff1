"""`kerasbook convert`: models in other formats, equal to Keras, and read without TensorFlow.

What needs the extra `convert` is marked so, and skipped where that is not installed;
`.ci/run convert` installs it.
"""

import contextlib
import importlib
import json
import subprocess
import sys

from kerasbook import chapter3, chapter4, chapter5, chapter6, chapter6_encoder_decoder
from kerasbook.data import inputs
from kerasbook.files import atomic_folder, remove
from kerasbook.inference import conversion, models, saved
from kerasbook.inference.answers import Wishes, predict
from kerasbook.inference.saved import RunError

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from test_cli import call
from test_inference import FEATURES, row_run, run_of, splits_of  # noqa: F401

MISSING = [
    name
    for format in conversion.FORMATS.values()
    for name in format.libraries
    if importlib.util.find_spec(name) is None
]


@pytest.fixture
def extra():
    """Skips a test where the extra is not installed."""
    if MISSING:
        pytest.skip(f"not installed: {', '.join(MISSING)}; python -m pip install -e '.[convert]'")


def make_row(folder):
    x = np.zeros((4, 2), "float32")
    splits = splits_of(x, x[:, :1], features=FEATURES)
    model = keras.Sequential([keras.Input((2,)), layers.Dense(3, "relu"), layers.Dense(1)])
    return run_of(folder, splits, model), "1,2"


def make_picture(folder):
    x, y = np.zeros((4, 8, 8, 3), "float32"), np.zeros(4, "int32")
    run = run_of(
        folder, splits_of(x, y, classes=("a", "b", "c")), chapter3.make_model((8, 8, 3), 3)
    )
    noise = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return run, str(folder / "noise.png")


def make_sentence(folder):
    words = ("[padding]", "[unknown]", *"abcdefgh")
    x, y = np.zeros((4, 6), "int32"), np.zeros(4, "int32")
    splits = splits_of(x, y, classes=("no", "yes"), vocabulary=words)
    return run_of(folder, splits, chapter4.make_model(len(words), units=5)), "a d h"


def make_steps(folder):
    x = np.ones((4, 29, 12), "float32")
    x[0, 9:] = 0
    run = run_of(folder, splits_of(x, np.zeros(4, "int32"), classes=tuple("123456789")),
                 chapter5.make_model(6, 0.0))  # fmt: skip
    lines = [
        ",".join(f"{v:.3f}" for v in row) for row in np.random.default_rng(0).normal(size=(7, 12))
    ]
    (folder / "steps.csv").write_text("\n".join(lines))
    return run, str(folder / "steps.csv")


def make_text(folder):
    x = np.zeros((2, 8), "int32")
    characters = ("<unknown>", *"abc")
    return run_of(
        folder, splits_of(x, x, classes=characters), chapter6.make_writer(4, 8, 2, 1)
    ), "ab"


def make_word(folder):
    x = (np.zeros((2, 14), "int32"), np.zeros((2, 16), "int32"))
    splits = splits_of(x, x[1], name="cmudict", classes=("", "<start>", "<end>", "AH", "B"))
    return run_of(folder, splits, chapter6_encoder_decoder.make_pronouncer(8, 2, 1, 5)), "cab"


def make_verse(folder):
    pieces = ("", "<start>", "<end>", "<unknown>", " ", "a", "b")
    x = (np.zeros((2, 9), "int32"), np.zeros((2, 9), "int32"))  # which is which must be kept
    return run_of(folder, splits_of(x, x[1], classes=pieces),
                  chapter6_encoder_decoder.make_pronouncer(8, 2, 1, 7, 7)), "a b ab"  # fmt: skip


MAKERS = [make_row, make_picture, make_sentence, make_steps, make_text, make_word, make_verse]


@pytest.fixture
def run(tmp_path):
    """Returns a run with a model of the book that reads rows, and a row."""
    return make_row(tmp_path / "run")


def with_other_weights(model):
    """Gives every weight another value, so that none is left out without a difference."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        if "float" in str(weight.dtype):
            weight.assign(weight + 0.1 * random.normal(size=weight.shape))
    return model


def numbers(answer):
    found = [each["probability"] for kind in ("classes", "sounds") for each in answer.get(kind, ())]
    return found + answer.get("values", [])


@pytest.mark.convert
@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("to", conversion.FORMATS)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__[5:])
def test_every_kind_of_model_answers_alike_in_every_format(make, to, tmp_path):
    keras.utils.set_random_seed(0)
    run, word = make(tmp_path / "run")
    model = with_other_weights(models.read_keras(run / saved.MODEL))
    model.save(run / saved.MODEL)
    made = conversion.convert(run, to)
    assert made.path == run / conversion.FORMATS[to].name
    assert made.bytes > 100
    assert made.difference < 1e-5 * max(1, made.largest)
    assert not list(run.glob(".*"))
    wishes = Wishes(length=10, temperature=0)
    (expected,), (answer,) = (predict(path, [word], wishes) for path in (run, made.path))
    assert numbers(answer) == pytest.approx(numbers(expected), rel=1e-4)
    assert answer.get("text") == expected.get("text")


@pytest.mark.convert
@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("to", ["onnx", "litert"])
@pytest.mark.parametrize("make", [make_picture, make_word], ids=lambda make: make.__name__[5:])
def test_a_converted_model_answers_in_a_process_without_tensorflow(make, to, tmp_path):
    run, word = make(tmp_path / "run")
    made = conversion.convert(run, to)
    (expected,) = predict(made.path, [word], Wishes())
    code = f"""
import json, sys
from kerasbook.cli import app
try:
    app(["predict", {str(made.path)!r}, {word!r}, "--json"])
finally:
    heavy = {{"tensorflow", "keras", "jax", "torch"}} & set(sys.modules)
    not_needed = ("kerasbook.chapter", "kerasbook.training")
    own = [name for name in sys.modules if name.startswith(not_needed)]
    print(sorted(heavy), own, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [expected]
    assert done.stderr == "[] []\n"


@pytest.mark.convert
@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("to", ["onnx", "litert"])
@pytest.mark.parametrize("how", ["cut", "empty", "text", "end", "bit"])
def test_a_damaged_converted_model_is_one_line(to, how, run):
    folder, row = run
    if how == "bit":  # in a weight, where neither format would see it
        (folder / "report.json").write_text(json.dumps({"files": []}))
    path = conversion.convert(folder, to).path
    content = path.read_bytes()
    weight = models.read_keras(folder / saved.MODEL).weights[0].numpy().ravel()[0].tobytes()
    changed = content.replace(weight, bytes([weight[0] ^ 1]) + weight[1:])
    written = {"cut": content[: len(content) // 2], "empty": b"", "text": b"hello", "bit": changed}
    path.write_bytes(written.get(how, content[:-1]))
    assert path.read_bytes() != content
    code = (
        "import sys; from kerasbook.cli import main; "
        f"sys.argv = ['kerasbook', 'predict', {str(path)!r}, '{row}']; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 2, done
    assert done.stderr.startswith(f"error: {path} is damaged (")
    assert done.stderr.count("\n") == 1


@pytest.mark.convert
@pytest.mark.filterwarnings("ignore:Layer InputLayer does not have:UserWarning")
@pytest.mark.usefixtures("extra")
def test_a_model_that_a_format_does_not_know_is_one_line(run):
    folder, _ = run
    model = models.read_keras(folder / saved.MODEL)
    model.quantize("int8")
    model.save(folder / saved.MODEL)
    with pytest.raises(
        RunError, match=r"the model cannot be written as litert \('tfl\..*\): try --to onnx or"
    ):
        conversion.convert(folder, "litert")
    assert not (folder / "model.tflite").exists()
    assert not list(folder.glob(".*"))


# --- without the extra --------------------------------------------------------------------


def test_a_saved_model_answers_as_keras_does_and_is_named_in_the_report(run):
    folder, row = run
    (folder / "report.json").write_text(json.dumps({"files": ["model.keras"]}))
    for _ in range(2):  # the second takes the place of the first
        status, printed = call("convert", str(folder), "--to", "savedmodel")
        assert status == 0
        assert printed.startswith(f"{folder / 'savedmodel'}: ")
        assert "largest difference to Keras " in printed
    (expected,), (answer,) = (predict(p, [row], Wishes()) for p in (folder, folder / "savedmodel"))
    assert answer["values"] == pytest.approx(expected["values"], rel=1e-6)
    report = json.loads((folder / "report.json").read_text())
    assert report["files"] == ["model.keras", "savedmodel"]
    assert not list(folder.glob(".*"))
    (folder / "savedmodel" / "saved_model.pb").write_bytes(b"hello")
    with pytest.raises(RunError, match="savedmodel is damaged"):
        predict(folder / "savedmodel", [row], Wishes())


def test_a_model_that_would_compute_something_else_is_not_written(run, monkeypatch):
    folder, _ = run
    load = models.load
    for wrong in (lambda y: y + 1e-3, lambda y: y * np.nan, lambda y: y[:, :0]):
        monkeypatch.setattr(
            models, "load", lambda path, wrong=wrong: lambda *arrays: wrong(load(path)(*arrays))
        )
        with pytest.raises(
            RunError, match="savedmodel was not written: it would differ from Keras"
        ):
            conversion.convert(folder, "savedmodel")
        assert not (folder / "savedmodel").exists()
        assert not list(folder.glob(".*"))


def test_a_missing_library_is_one_line(run, monkeypatch):
    folder, row = run
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for to, names in [("onnx", "onnx, tf2onnx, onnxruntime"), ("litert", "ai-edge-litert")]:
        with pytest.raises(RunError, match=f"--to {to} needs {names}, not installed here: `python"):
            conversion.convert(folder, to)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    for name, library in [("model.onnx", "onnxruntime"), ("model.tflite", "ai-edge-litert")]:
        (folder / name).write_bytes(b"")
        with pytest.raises(RunError, match=f"needs {library}, which is not installed: `python -m"):
            predict(folder / name, [row], Wishes())


def test_what_is_converted_already_is_not_converted_again(run):
    folder, _ = run
    (folder / "model.onnx").write_bytes(b"")
    with pytest.raises(RunError, match="is converted already: name the run's folder"):
        conversion.convert(folder / "model.onnx", "litert")


@pytest.mark.parametrize("kind", inputs.KINDS)
def test_examples_are_of_every_length_where_the_data_are_padded(kind):
    shapes = {"picture": [[4, 4, 1]], "steps": [[5, 2]], "row": [[3]], "word": [[14], [16]]}
    known = inputs.Inputs(kind, "", "", shapes.get(kind, [[6]]), classes=list("abcd"), padded=True)
    for place, x in enumerate(conversion.examples(known)):
        assert x.shape == (conversion.EXAMPLES, *known.shapes[place])
        ended = (x.reshape(len(x), x.shape[1], -1) == 0).all(axis=(1, 2) if x.ndim < 3 else 2)
        if kind in ("sentence", "word", "verse"):
            assert set((x != 0).sum(axis=1)) == set(range(1, min(len(x), x.shape[1]) + 1))
        else:
            assert not ended.all()


def test_a_folder_is_whole_or_not_there(tmp_path):
    folder = tmp_path / "model"
    with contextlib.suppress(ZeroDivisionError), atomic_folder(folder) as temporary:
        temporary.mkdir()
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    for text in ("first", "second"):
        with atomic_folder(folder) as temporary:
            temporary.mkdir()
            (temporary / "a").write_text(text)
        assert (folder / "a").read_text() == text
    assert list(tmp_path.iterdir()) == [folder]
    remove(folder)
    assert folder.exists()  # no SavedModel
    (folder / "saved_model.pb").write_text("")
    remove(folder)
    remove(folder)
    assert not folder.exists()
