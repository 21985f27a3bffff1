"""`kerasbook predict`: answers from a saved run, and one line for whatever cannot be used."""

import io
import itertools
import json
import subprocess
import sys
import zipfile
from pathlib import Path

from kerasbook import chapter6, chapter6_encoder_decoder
from kerasbook.data import Splits, cmudict, inputs, load, subwords, tables
from kerasbook.data.pictures import as_array, open_picture
from kerasbook.data.shakespeare import encode_text
from kerasbook.data.splits import DataError, Part
from kerasbook.data.text import TextSplits
from kerasbook.inference import answers, models, saved
from kerasbook.inference.answers import Wishes, as_line, predict
from kerasbook.inference.decoding import beam_search, go_on, log_softmax, softmax
from kerasbook.inference.saved import RunError

import keras
import numpy as np
import pytest
from keras import layers
from PIL import Image
from test_cli import call

WISHES = Wishes()
FEATURES = ("power", "mass")


def run_of(folder, splits, model):
    """Returns the folder of a run: as much of it as `predict` reads."""
    folder.mkdir(exist_ok=True)
    inputs.write(folder / inputs.FILE, inputs.describe(splits))
    model.save(folder / saved.MODEL)
    return folder


def splits_of(x, y, **facts):
    part = Part(x, y)
    facts = {"name": "made_up", "title": "Made up", "target": "a number", "source": "own"} | facts
    return (TextSplits if "vocabulary" in facts else Splits)(part, part, part, **facts)


def dense(weights, *shape, dtype="float32"):
    """Returns a model of one dense layer with these weights, on flattened inputs."""
    model = keras.Sequential(
        [keras.Input(shape), layers.Flatten(), layers.Dense(np.shape(weights)[1])]
    )
    model.set_weights([np.float32(weights), np.zeros(np.shape(weights)[1], "float32")])
    return model


@pytest.fixture
def row_run(tmp_path):
    """2 · power + 3 · mass, in units of standard deviations from the mean."""
    x, y = np.zeros((4, 2), "float32"), np.zeros((4, 1), "float32")
    scaling = {"mean": np.float32([10, 20]), "std": np.float32([2, 4])}
    splits = splits_of(x, y, features=FEATURES, **scaling)
    return run_of(tmp_path / "row", splits, dense([[2], [3]], 2))


@pytest.fixture
def picture_run(tmp_path):
    """Class b where a picture of two pixels is brighter on the right."""
    splits = splits_of(
        np.zeros((4, 1, 2, 1), "float32"), np.zeros(4, "int32"), classes=("a", "b"),
        mean=np.float32([100]), std=np.float32([50]),
    )  # fmt: skip
    return run_of(tmp_path / "picture", splits, dense([[1, 0], [0, 1]], 1, 2, 1))


@pytest.fixture
def sentence_run(tmp_path):
    """Praise grows with the number of the words: bad is 2, good is 3."""
    words = ("[padding]", "[unknown]", "bad", "good")
    splits = splits_of(
        np.zeros((4, 3), "int32"), np.zeros(4, "int32"), classes=("no", "yes"), vocabulary=words
    )
    table = layers.Embedding(4, 1)
    model = keras.Sequential(
        [keras.Input((None,), dtype="int32"), table, layers.GlobalMaxPooling1D(), layers.Dense(1)]
    )
    model.set_weights([np.float32([[-5], [-1], [-2], [2]]), np.ones((1, 1)), np.zeros(1)])
    return run_of(tmp_path / "sentence", splits, model)


@pytest.fixture
def picture_file(tmp_path):
    path = tmp_path / "two.png"
    Image.fromarray(np.uint8([[100, 150]])).save(path)
    return str(path)


# --- what a run saves of its data ---------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "shapes"),
    [
        ("auto_mpg", "row", [[9]]),
        ("fashion", "picture", [[28, 28, 1]]),
        ("film_sentences", "sentence", [[40]]),
        ("japanese_vowels", "steps", [[29, 12]]),
        ("shakespeare", "text", [[64]]),
        ("cmudict", "word", [[14], [16]]),
        ("bikeshare_1h", "steps", [[48, 39]]),
    ],
)
def test_each_data_set_says_what_a_model_of_it_reads(name, kind, shapes, tmp_path):
    splits = load(name)
    found = inputs.describe(splits)
    assert (found.kind, found.shapes) == (kind, shapes)
    assert found.padded is (name == "japanese_vowels")
    inputs.write(tmp_path / "inputs.json", found)
    assert inputs.read(tmp_path / "inputs.json") == found


def test_a_pair_of_inputs_that_is_no_word_is_a_verse_and_other_data_are_nothing():
    pair = splits_of((np.zeros((2, 5), int), np.zeros((2, 6), int)), np.zeros((2, 6), int))
    assert inputs.describe(pair).kind == "verse"
    assert inputs.describe(splits_of(np.zeros((2, 3, 4, 5, 6)), np.zeros(2))) is None


def test_the_edge_of_the_training_pictures_is_in_levels():
    x = np.full((2, 3, 4, 1), 7.0)
    x[:, 0] = 9
    x[:, 1, 1:3] = 1000  # not at the edge
    expected = np.mean([9] * 4 + [7] * 6) * 2 + 1
    assert inputs.edge_of(x, np.float32([1]), np.float32([2])) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": "row"}', '{"other": 1}'])
def test_damaged_inputs_are_one_line(text, row_run):
    (row_run / inputs.FILE).write_text(text)
    with pytest.raises(DataError, match="is damaged: run the chapter's command once more"):
        predict(row_run, ["1,2"], WISHES)


# --- answers ------------------------------------------------------------------------------


def test_a_row_is_scaled_as_the_training_part_was(row_run):
    (answer,) = predict(row_run, ["12,28"], WISHES)
    assert answer == {"input": "12,28", "target": "a number", "values": [2 * 1 + 3 * 2]}
    assert as_line(answer) == "12,28: a number 8"


def test_a_table_may_have_its_columns_in_any_order(row_run, tmp_path):
    path = tmp_path / "cars.csv"
    path.write_text("\ufeffname;mass;power\nx;28;12\n\ny;20;10\n", encoding="utf-8")
    first, second = predict(row_run, [str(path)], WISHES)
    assert (first["values"], second["values"]) == ([8], [0])
    assert second["input"] == f"{path}, row 2"


def test_a_picture_of_another_size_and_edge_says_so(picture_run, picture_file, tmp_path):
    (answer,) = predict(picture_run, [picture_file], Wishes(top=1))
    assert answer["classes"] == [{"class": "b", "probability": pytest.approx(np.e / (1 + np.e))}]
    assert "note" not in answer
    assert as_line(answer) == f"{picture_file}: b 73.1%"
    (other,) = predict(picture_run, [picture_file], Wishes(invert=True))
    assert other["classes"][0]["class"] == "a"
    Image.fromarray(np.full((4, 6, 3), 250, np.uint8)).save(tmp_path / "large.jpg")
    (answer,) = predict(picture_run, [str(tmp_path / "large.jpg")], WISHES)
    assert answer["note"].startswith("6 × 4 made 2 × 1; its edge is bright")


def test_a_picture_is_neither_cut_nor_distorted():
    tall = Image.fromarray(np.uint8([[9, 9], [5, 5], [9, 9], [9, 9]]))
    array = as_array(tall, (4, 4, 1))[..., 0]
    assert array.tolist() == [[9] * 4, [9, 5, 5, 9], [9] * 4, [9] * 4]


@pytest.mark.parametrize(
    ("mode", "pixel", "expected"),
    [
        ("RGBA", (0, 0, 0, 0), [255, 255, 255]),  # transparent is white
        ("LA", (7, 255), [7]),
        ("P", 3, None),
        ("1", 1, [255]),
        ("I;16", 512, [2]),
        ("CMYK", (0, 0, 0, 0), [255, 255, 255]),
    ],
)
def test_pictures_of_all_modes_become_grey_or_coloured(mode, pixel, expected, tmp_path):
    path = tmp_path / ("one.tiff" if mode == "CMYK" else "one.png")
    Image.new(mode, (1, 1), pixel).save(path)
    image = open_picture(path, "one")
    assert image.mode in ("L", "RGB")
    if expected:
        assert as_array(image, (1, 1, len(expected))).ravel().tolist() == expected


def test_a_sentence_says_which_words_are_not_known(sentence_run):
    good, bad = predict(sentence_run, ["A good, good film", "bad"], WISHES)
    assert good["classes"][0] == {
        "class": "yes",
        "probability": pytest.approx(1 / (1 + np.exp(-2))),
    }
    assert good["note"] == "not known: a; only the first 3 of 4 words are read"
    assert bad["classes"][0]["class"] == "no"
    assert as_line(bad) == "bad: no 88.1%, yes 11.9%"


def test_steps_end_in_zeros_where_the_data_do(tmp_path):
    x = np.ones((2, 3, 1), "float32")
    x[0, 2] = 0
    scaling = {"mean": np.float32([1]), "std": np.float32([2]), "classes": ("a", "b")}
    splits = splits_of(x, np.zeros(2, "int32"), **scaling)
    run = run_of(tmp_path / "steps", splits, dense([[1, 0], [0, 0], [0, 1]], 3, 1))
    (tmp_path / "two.csv").write_text("7\n5\n")
    (answer,) = predict(run, [str(tmp_path / "two.csv")], WISHES)
    assert answer["classes"][0]["probability"] == pytest.approx(softmax(np.array([3.0, 0]))[0])
    (tmp_path / "four.csv").write_text("1\n" * 4)
    with pytest.raises(RunError, match="has 4 rows, the model reads 1 to 3"):
        predict(run, [str(tmp_path / "four.csv")], WISHES)


@pytest.fixture(scope="module")
def writer_run(tmp_path_factory):
    keras.utils.set_random_seed(0)
    characters = ("<unknown>", "\n", *"abc")
    x = np.zeros((2, 8), "int32")
    model = chapter6.make_writer(len(characters), 8, 2, 1)
    model.get_layer("logits").kernel.assign(model.get_layer("logits").kernel * 200)
    return run_of(tmp_path_factory.mktemp("writer"), splits_of(x, x, classes=characters), model)


def test_the_writer_goes_on_as_chapter_6_does(writer_run):
    characters = inputs.read(writer_run / inputs.FILE).classes
    beginning = "abcab" * 3  # longer than the window
    (answer,) = predict(writer_run, [beginning], Wishes(length=12, temperature=0))
    model = keras.models.load_model(writer_run / saved.MODEL)
    expected = chapter6.generate(model, beginning, characters, 12, window=8, temperature=0)
    assert beginning + answer["text"] == expected
    assert as_line(answer) == expected


def test_the_writer_is_bold_or_not_and_has_a_seed(writer_run):
    def texts(**wishes):
        return [predict(writer_run, ["a"], Wishes(length=30, **wishes))[0]["text"]]

    assert texts(seed=1) == texts(seed=1) != texts(seed=2)
    assert texts(temperature=100, seed=1) != texts(temperature=0)
    assert predict(writer_run, ["aXa"], Wishes(length=1))[0]["note"] == "not known: 'X'"


@pytest.fixture(scope="module")
def word_run(tmp_path_factory):
    keras.utils.set_random_seed(1)
    sounds = (*cmudict.SPECIAL, "AH", "B", "K")
    model = chapter6_encoder_decoder.make_pronouncer(8, 2, 1, len(sounds))
    model.get_layer("logits").kernel.assign(model.get_layer("logits").kernel * 50)
    x = (np.zeros((2, 14), "int32"), np.zeros((2, 16), "int32"))
    splits = splits_of(x, x[1], name="cmudict", classes=sounds, target="sounds")
    return run_of(tmp_path_factory.mktemp("words"), splits, model)


def test_a_word_is_said_as_chapter_6_says_it(word_run):
    model = keras.models.load_model(word_run / saved.MODEL)
    sounds = inputs.read(word_run / inputs.FILE).classes
    for word in ("cab", "abacus"):
        (answer,) = predict(word_run, [word], Wishes(top=2))
        letters = cmudict.encode_letters([word])
        (expected,), (log_p,) = chapter6_encoder_decoder.beam_search(model, letters)
        expected = " ".join(sounds[n] for n in expected if n not in (cmudict.PAD, cmudict.END))
        assert answer["sounds"][0]["sounds"] == expected
        assert answer["sounds"][0]["probability"] == pytest.approx(np.exp(log_p), rel=1e-4)
        assert len(answer["sounds"]) == 2
        assert as_line(answer).startswith(f"{word}: {expected}")


def test_a_verse_is_cut_into_pieces_and_put_together(tmp_path):
    pieces = (*subwords.SPECIAL, *" aehlt", " t", "he", " the", " l", " la")
    x = (np.zeros((2, 4), "int32"), np.zeros((2, 4), "int32"))
    model = chapter6_encoder_decoder.make_pronouncer(8, 2, 1, len(pieces), len(pieces))
    model.get_layer("logits").bias.assign(9 * np.eye(len(pieces))[12])
    run = run_of(tmp_path / "verses", splits_of(x, x[1], classes=pieces), model)
    (answer,) = predict(run, ["la la"], WISHES)
    assert answer["text"] == "the the the the"
    with pytest.raises(RunError, match="the model reads 1 to 3: cut it"):
        predict(run, ["la la la la"], WISHES)


@pytest.mark.parametrize("seed", range(5))
def test_with_as_many_beams_as_sequences_the_search_finds_the_best(seed):
    logits = np.random.default_rng(seed).normal(size=(3, 5))
    logits[:, [0, 1]] = -50  # neither padding nor another start
    p = np.exp(log_softmax(logits))

    def model(source, said):
        return np.repeat(logits[np.newaxis], len(said), axis=0)

    def probability(symbols):
        said = np.prod([p[place, symbol] for place, symbol in enumerate(symbols)])
        return said * (p[len(symbols), 2] if len(symbols) < 3 else 1)

    every = [symbols for n in range(4) for symbols in itertools.product((3, 4), repeat=n)]
    best = sorted(every, key=probability, reverse=True)
    found = beam_search(model, np.array([7]), longest=3, beams=25)[: len(best)]
    assert [tuple(symbols) for symbols, _ in found] == best
    assert [q for _, q in found] == pytest.approx([probability(each) for each in best])


def test_what_stands_behind_a_short_text_is_not_seen():
    seen = []

    def model(x):
        seen.append(x.tolist())
        return np.zeros((1, 4, 2)) + np.array([0, 1])

    assert go_on(model, np.array([1]), 4, 4, 0, 0) == [1, 1, 1, 1]
    assert seen[0] == [[1, 0, 0, 0]]
    assert seen[3] == [[1, 1, 1, 1]]


def test_chapter_3s_layer_is_found(tmp_path):
    from kerasbook import chapter3

    x, y = np.zeros((2, 8, 8, 1), "float32"), np.zeros(2, "int32")
    run = run_of(
        tmp_path / "run", splits_of(x, y, classes=("a", "b")), chapter3.make_model((8, 8, 1), 2)
    )
    config = models.read_config(run / saved.MODEL)
    assert models.chapters_in(config, run) == {"kerasbook.chapter3"}
    Image.new("L", (8, 8)).save(tmp_path / "black.png")
    (answer,) = predict(run, [str(tmp_path / "black.png")], WISHES)
    assert sum(each["probability"] for each in answer["classes"]) == pytest.approx(1)


# --- what cannot be used ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "nothing was asked: name a row, as numbers with commas between, or a CSV file"),
        (["1"], "1 has 1 cells in a row, the model reads 2: the columns are power,mass"),
        (["1,x"], "row 1, column 'mass' of 1,x holds 'x', which is no number: write"),
        (["1,"], "row 1, column 'mass' of 1, holds nothing: write a number"),
        (["1,nan"], "holds 'nan', which is no number"),
        ([" "], "an empty row cannot be read"),
        (["nothing.csv"], "there is no file nothing.csv"),
    ],
)
def test_a_row_that_cannot_be_read_is_one_line(words, message, row_run):
    with pytest.raises((RunError, DataError)) as caught:
        predict(row_run, words, WISHES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"power,mass\n1,\xe9\n", "is not in UTF-8 (line 2)"),
        (b"power,weight\n1,2\n", "has no column 'mass': the columns are power,mass"),
        (b"power,mass\n1,2\n3\n", "row 3 of"),
        (b"1,2\n3,a\n", "row 2, column 'mass'"),
    ],
)
def test_a_table_that_cannot_be_read_is_one_line(content, message, row_run, tmp_path):
    (tmp_path / "own.csv").write_bytes(content)
    with pytest.raises(DataError) as caught:
        predict(row_run, [str(tmp_path / "own.csv")], WISHES)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no file"),
        (b"", "is no picture: take a PNG or JPEG file"),
        (b"hello", "is no picture"),
        ("cut", "is damaged"),
    ],
)
def test_a_picture_that_cannot_be_read_is_one_line(content, message, picture_run, tmp_path):
    path = tmp_path / "bad.png"
    if content == "cut":
        whole = io.BytesIO()
        noise = np.random.default_rng(0).integers(0, 256, (60, 60), np.uint8)
        Image.fromarray(noise).save(whole, "PNG")
        content = whole.getvalue()[:900]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        predict(picture_run, [str(path)], WISHES)


def test_an_enormous_picture_is_one_line(picture_run, picture_file, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1)
    with pytest.raises(DataError, match="is too large"):
        predict(picture_run, [picture_file], WISHES)


def test_other_inputs_that_cannot_be_read_are_one_line(sentence_run, writer_run, word_run):
    for run, word, message in [
        (sentence_run, "...", "there is no word in '...'"),
        (writer_run, "", "there is no text to go on with"),
        (word_run, "x1", "'x1' cannot be read: take a word of 2 to 14 letters"),
    ]:
        with pytest.raises((RunError, DataError), match=message):
            predict(run, [word], WISHES)
    with pytest.raises(RunError, match="--invert is for pictures"):
        predict(word_run, ["word"], Wishes(invert=True))


def test_a_run_that_is_not_there_says_how_to_make_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, message in [
        ("runs/chapter3", "`python -m kerasbook.chapter3` trains, and leaves runs/chapter3"),
        ("4", "`python -m kerasbook.chapter4` trains"),
        ("elsewhere", "`kerasbook list` shows the commands"),
    ]:
        with pytest.raises(RunError, match=message):
            saved.find(Path(name))
    (tmp_path / "runs" / "chapter4").mkdir(parents=True)
    for name in ("runs", "4"):
        with pytest.raises(RunError, match=r"holds no model\.keras: name the folder"):
            saved.find(Path(name))
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(RunError, match="is no model: name a run's folder, or a file that ends in"):
        saved.find(tmp_path / "model.txt")


def rewritten(path, change):
    """Writes a .keras file anew with its configuration changed."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["config.json"] = json.dumps(change(json.loads(files["config.json"]))).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


@pytest.mark.parametrize(
    "how", ["cut", "empty", "text", "flipped", "no config", "no weights", "other"]
)
def test_a_damaged_model_is_one_line(how, row_run):
    path = row_run / saved.MODEL
    content = path.read_bytes()
    if how == "flipped":
        place = content.index(b"HDF") + 200
        content = content[:place] + bytes([content[place] ^ 255]) + content[place + 1 :]
    written = {"cut": content[:-100], "empty": b"", "text": b"hello"}
    path.write_bytes(written.get(how, content))
    if how.startswith("no"):
        missing = "config.json" if how == "no config" else "model.weights.h5"
        with zipfile.ZipFile(path) as archive:
            files = {n: archive.read(n) for n in archive.namelist() if n != missing}
        with zipfile.ZipFile(path, "w") as archive:
            for name, each in files.items():
                archive.writestr(name, each)
    if how == "other":  # a layer of another size than its weights
        rewritten(
            path, lambda config: json.loads(json.dumps(config).replace('"units": 1', '"units": 2'))
        )
    with pytest.raises(RunError) as caught:
        predict(row_run, ["1,2"], WISHES)
    assert "is damaged (" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "copy it anew, or make it again" in str(caught.value)


class Foreign(layers.Layer):
    """A layer of nobody's chapter."""

    def call(self, x):
        """Returns x."""
        return x


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            lambda: layers.Lambda(lambda x: x),
            "is not safe to load: it has a Lambda, which runs code",
        ),
        (
            Foreign,
            "cannot be loaded: it has a Foreign of test_inference, which is neither of Keras",
        ),
    ],
)
def test_a_model_that_is_not_safe_to_load_is_one_line(layer, message, row_run):
    model = keras.Sequential([keras.Input((2,)), layer(), layers.Dense(1)])
    model.save(row_run / saved.MODEL)
    with pytest.raises(RunError, match=message):
        predict(row_run, ["1,2"], WISHES)


@pytest.mark.parametrize(
    ("module", "name", "message"),
    [
        ("os", "system", "it has a system of os"),
        ("kerasbook.grading.worker.server", "X", "it has a X of kerasbook.grading.worker.server"),
        ("keras.layers", "TFSMLayer", "is not safe to load: it has a TFSMLayer"),
        ("keras.layers", "NoSuchLayer", "is damaged"),
        ("builtins", "exec", "is damaged"),
    ],
)
def test_no_module_is_imported_because_a_file_names_it(module, name, message, row_run, monkeypatch):
    def change(config):
        config["config"]["layers"][-1] |= {"module": module, "class_name": name}
        return config

    rewritten(row_run / saved.MODEL, change)
    with pytest.raises(RunError, match=message):
        predict(row_run, ["1,2"], WISHES)
    assert "kerasbook.grading.worker.server" not in sys.modules


# --- the command --------------------------------------------------------------------------


def test_the_command_prints_lines_or_json(row_run):
    assert call("predict", str(row_run), "12,28", "10,20") == (
        0,
        "12,28: a number 8\n10,20: a number 0\n",
    )
    status, printed = call("predict", str(row_run), "--json", "--", "-12,28")
    assert status == 0
    assert json.loads(printed)[0]["input"] == "-12,28"
    assert call("predict", str(row_run), "1") == (
        2,
        "error: 1 has 1 cells in a row, the model reads 2: the columns are power,mass\n",
    )


def test_standard_input_has_lines_a_table_or_a_picture(
    sentence_run, row_run, picture_run, picture_file
):
    def asked(run, content):
        command = [sys.executable, "-m", "kerasbook", "predict", str(run), "-", "--json"]
        done = subprocess.run(command, input=content, capture_output=True, check=True)
        return json.loads(done.stdout)

    assert [each["input"] for each in asked(sentence_run, b"good\n\nbad\n")] == ["good", "bad"]
    assert asked(row_run, b"12,28\n")[0]["values"] == [8]
    (answer,) = asked(picture_run, Path(picture_file).read_bytes())
    assert (answer["input"], answer["classes"][0]["class"]) == ("standard input", "b")


def test_neither_training_nor_a_chapter_is_imported_for_keras_own_layers(row_run):
    code = f"""
import sys
from pathlib import Path
from kerasbook.inference.answers import Wishes, predict
predict(Path({str(row_run)!r}), ["1,2"], Wishes())
not_needed = ("kerasbook.training", "kerasbook.chapter", "kerasbook.runner")
print([name for name in sys.modules if name.startswith(not_needed)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_texts_of_a_model_of_a_stranger_cannot_change_the_terminal():
    answer = {"input": "a\x1b[2J", "classes": [{"class": "b", "probability": 0.5}]}
    from kerasbook.cli.verbs import shown

    assert shown(as_line(answer)) == "a\\x1b[2J: b 50.0%"


def test_probabilities_of_one_logit_and_of_many():
    assert answers.probabilities(np.array([0.0])).tolist() == [0.5, 0.5]
    p = answers.probabilities(np.array([1.0, 2.0, 3.0]))
    assert p.sum() == pytest.approx(1)
    assert p.argmax() == 2


def test_a_csv_may_have_commas_semicolons_or_tabs():
    for sign in ",;\t":
        assert tables.read_rows(f"a{sign}b\n1{sign}2\n", "x") == [["a", "b"], ["1", "2"]]


def test_characters_are_those_of_the_book():
    assert encode_text("ab", ("<unknown>", "a")).tolist() == [1, 0]
