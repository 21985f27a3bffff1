"""`kerasbook card`: what a run's model card says, beside what was planted."""

import json
import re
from types import SimpleNamespace

from kerasbook.data import load
from kerasbook.inference import card, saved
from kerasbook.inference.saved import RunError

import keras
import numpy as np
import pytest
from keras import layers
from test_cli import call
from test_inference import dense, run_of
from test_own_data import save_pictures

REPORT = {
    "chapter": "chapter3",
    "command": "python -m kerasbook.chapter3 --data pets",
    "started": "2026-01-02T10:00:00+00:00",
    "loop": "tape",
    "seed": 0,
    "parameters": {"epochs": 3, "seed": 0, "examples": None},
    "mixed_precision": "off",
    "device": "CPU, 2 cores; TensorFlow 2, Keras 3",
    "versions": {"kerasbook": "0.2.0", "keras": "3.15.1", "tensorflow": "2.21.0"},
    "finished": True,
    "seconds": {"train": 2.0},
    "files": ["model.keras", "inputs.json", "report.json"],
}


def report_of(run, **changes):
    (run / "report.json").write_text(json.dumps(REPORT | changes))
    return run


@pytest.fixture
def run(tmp_path):
    """A run on made-up pictures: dogs are bright, cats dark, and a weight tells them apart."""
    save_pictures(tmp_path / "pets", count=30)
    name = f"pictures:{tmp_path / 'pets'}"
    bright = np.ones((120, 1)) / 120
    run = run_of(tmp_path / "run", load(name), dense(np.hstack([-bright, bright]), 10, 12, 1))
    scores = {"test": {"loss": 0.1, "accuracy": 1.0}}
    return report_of(run, dataset=name, scores=scores)


def test_a_card_has_the_fields_of_hugging_face_and_of_google(run):
    path = card.write(run)
    text = path.read_text()
    assert path == run / "card.md"
    for part in (
        "library_name: keras", "license: unknown", "model-index:", "image-classification",
        "## Model details", "## Intended use", "## Training data and evaluation data",
        "## Training procedure", "## Evaluation", "## Limits, bias and risks", "Developed by",
        "Ethical considerations", "Caveats and recommendations", "Out of scope", "factors",
        "- Answers: class: one of 2, cat, dog",
        "48 train, 6 validation, 6 test", "epochs 3", "Licence of the code",
        "test accuracy 1", "there are no other runs with these data to compare with",
        "kerasbook predict runs/chapter3 INPUT",
    ):  # fmt: skip
        assert part in text, part
    assert "| cat | 3 | 1.000 (0.438 to 1.000) | 1.000 | – |" in text
    assert not [line for line in text.splitlines() if line != line.rstrip()]
    front = text.split("---\n")[1]
    assert re.search(r'- type: "accuracy"\n {6}value: 1.0', front)


def test_classes_and_calibration_are_what_was_planted():
    y = np.array([0] * 4 + [1] * 4)
    p = np.array([[0.9, 0.1]] * 3 + [[0.3, 0.7]] + [[0.2, 0.8]] * 2 + [[0.6, 0.4]] * 2)
    first, second = card.slices(p, y, ["a", "b"])
    assert (first["recall"], first["precision"], first["times"]) == (0.75, 0.6, 1)
    assert (second["recall"], second["taken for"], second["times"]) == (0.5, "a", 2)
    assert second["precision"] == pytest.approx(2 / 3)
    found = card.calibration(p, y)
    expected = (3 * 0.1 + 1 * 0.7 + 2 * 0.2 + 2 * 0.6) / 8
    assert found["error"] == pytest.approx(expected)
    assert [each["bin"] for each in found["bins"]] == [5, 6, 7, 8]
    assert found["said"] == pytest.approx((3 * 0.9 + 0.7 + 1.6 + 1.2) / 8)
    assert card.slices(p, y * 0, ["a", "b"])[1] == {"class": "b", "examples": 0}


def test_groups_of_people_are_told_apart_by_their_columns():
    y = np.array([1, 1, 0, 0, 1, 0])
    x = np.array([[0.5, 1, 0]] * 4 + [[0.1, 0, 1]] * 2)
    p = np.eye(2)[[1, 0, 0, 1, 1, 0]]
    names = ("age", "sex=Female", "sex=Male")
    people = SimpleNamespace(features=names, test=SimpleNamespace(x=x, y=y))
    text = "\n".join(card.by_group(people, p, ["no", "yes"]))
    assert '(the last class is "yes")' in text
    assert "| sex=Female | 4 | 0.500 (0.150 to 0.850) | 0.500 (" in text
    assert re.search(r"sex=Female .*\| 0.500 \(0.095 to 0.905\) \|", text)  # one of two
    assert re.search(r"sex=Male \| 2 \| 1.000 .* 0.500 .* 1.000 ", text)
    assert "age" not in text
    people.features = None
    assert not list(card.by_group(people, p, ["no", "yes"]))


def test_the_calibration_error_is_that_of_the_books_picture():
    from kerasbook import plotting

    random = np.random.default_rng(0)
    p = random.dirichlet(np.ones(3), 500)
    y = random.integers(0, 3, 500)
    title = plotting.plot_calibration(y, p).get_title()
    assert f"{card.calibration(p, y)['error']:.3f}" in title


def test_an_interval_holds_as_often_as_it_says():
    random, share, count = np.random.default_rng(0), 0.9, 200
    ends = [card.interval(int(hits), count) for hits in random.binomial(count, share, 2000)]
    held = [low <= share <= high for low, high in ends]
    assert 0.93 < np.mean(held) < 0.975
    assert card.interval(5, 5)[1] == pytest.approx(1)


def test_bands_of_a_chapters_default_settings_stand_beside_the_scores(tmp_path):
    model = keras.Sequential([keras.Input((8,)), layers.Dense(1)])
    splits = load("auto_mpg", features=FEATURES)
    run = run_of(tmp_path / "run", splits, model)
    default = {"epochs": 30, "batch_size": 32, "learning_rate": 0.01, "momentum": 0.9,
               "seed": 3, "dataset": "auto_mpg", "examples": None}  # fmt: skip
    facts = {"chapter": "chapter1", "dataset": "auto_mpg", "scores": {"test": {"mae": 2.57}}}
    text = card.write(report_of(run, **facts, parameters=default)).read_text()
    assert "test mae 2.57  (inside the band " in text
    assert "tabular-regression" in text
    assert "the datasheet `kerasbook/data/files/auto_mpg.md`" in text
    assert "not told, for the model has no classes" in text
    text = card.write(report_of(run, **facts, parameters=default | {"epochs": 5})).read_text()
    assert "test mae 2.57  (default settings: " in text
    assert "the settings are not those of the runs that the means are of" in text


FEATURES = ("cylinders", "displacement", "horsepower", "weight", "acceleration", "model_year",
            "Europe", "Japan")  # fmt: skip


def test_data_that_are_gone_are_told(run, tmp_path):
    (tmp_path / "pets").rename(tmp_path / "moved")
    text = card.write(run).read_text()
    assert "The data cannot be read here: there is no folder" in text
    assert "## Limits, bias and risks" in text
    save_pictures(tmp_path / "pets", count=31)
    assert "holds other data than those of the training" in card.write(run).read_text()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"finished": False}, "did not end: run the chapter's command once more, with --resume"),
        (
            {"scores": {"test": {"accuracy": 0.4}}},
            "tells a test accuracy of 0.4000, the model there",
        ),
        ({"scores": None}, "did not end"),
    ],
)
def test_a_report_of_another_training_is_one_line(changes, message, run):
    report = json.loads((run / "report.json").read_text())
    (run / "report.json").write_text(json.dumps(report | changes))
    with pytest.raises(RunError, match=message):
        card.write(run)
    assert not (run / "card.md").exists()


def test_a_missing_or_damaged_report_is_one_line(run):
    (run / "report.json").write_text("{")
    assert call("card", str(run))[1].startswith(f"error: {run / 'report.json'} is damaged: run")
    (run / "report.json").unlink()
    assert call("card", str(run))[1].startswith(f"error: {run / 'report.json'} is missing: run")
    (run / "model.onnx").write_text("")
    assert "is a converted model: name the run's folder" in call("card", str(run / "model.onnx"))[1]


def test_the_command_prints_where_the_card_is(run):
    assert call("card", str(run)) == (0, f"{run / 'card.md'}\n")
    assert saved.find(run).folder == run
