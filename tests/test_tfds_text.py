"""Texts through TensorFlow Datasets' own builders, on made-up examples."""

import json

from kerasbook import chapter6, chapter6_translation, data, runner
from kerasbook.data import remote, subwords
from kerasbook.data import tfds as online

import numpy as np
import pytest
import tensorflow_datasets as tfds

REVIEWS = [(b"A <br /><br />good film!", 1), (b"Not good, not bad.", 0), (b"Caf\xc3\xa9", 1)]


@pytest.fixture
def made_up_reviews(monkeypatch):
    """Let TFDS make 30 examples in each split from REVIEWS."""
    monkeypatch.setattr(remote, "reaches", lambda url: True)

    def as_dataset(self, *args, **kwargs):
        import tensorflow as tf

        def examples():
            for number in range(30):
                text, label = REVIEWS[number % 3]
                yield {"text": text + b" train" * (number < 27), "label": label}

        kinds = {"text": tf.TensorSpec((), tf.string), "label": tf.TensorSpec((), tf.int64)}
        return tf.data.Dataset.from_generator(examples, output_signature=kinds)

    with tfds.testing.mock_data(num_examples=30, as_dataset_fn=as_dataset):
        yield


@pytest.mark.usefixtures("made_up_reviews")
def test_reviews_become_word_numbers():
    splits = data.load("imdb_reviews")
    sizes = [part.x.shape for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [(27, 200), (3, 200), (30, 200)]
    assert splits.train.x.dtype == splits.train.y.dtype == np.int32
    assert splits.decode(splits.train.x[0]) == ["a", "good", "film", "!", "train"]
    assert splits.train.y[:3].tolist() == [1, 0, 1]
    assert splits.decode(splits.test.x[2]) == ["café", "train"]
    assert (splits.name, splits.source, splits.classes) == (
        *("imdb_reviews", "tfds", ("negative", "positive")),
    )
    assert "br" not in splits.vocabulary


def test_reviews_are_cut_and_rare_words_unknown(made_up_reviews):
    choice, builder = online.find("imdb_reviews", None)
    splits = online.read_reviews(builder, choice, words=4, length=2)
    assert splits.train.x.shape == (27, 2)
    assert len(splits.vocabulary) == 4
    assert splits.train.x.max() <= 3


def test_tfds_own_made_up_reviews_can_be_read(monkeypatch):
    monkeypatch.setattr(remote, "reaches", lambda url: True)
    with tfds.testing.mock_data(num_examples=20):
        splits = data.load("imdb_reviews")
    assert len(splits.train.x) == 18
    assert set(splits.train.y.tolist()) <= {0, 1}


def test_without_a_network_the_embedded_sentences_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(remote, "reaches", lambda url: False)
    with pytest.raises(data.DataError, match="--dataset film_sentences"):
        data.load("imdb_reviews", data_dir=tmp_path)


# A play, as one long text


PLAY = {"train": "To be, or not to be. " * 20, "validation": "To bé. " * 20, "test": "Or? " * 40}
TALKS = [
    ("olá mundo .", "hello world ."),
    ("mundo novo", "new world"),
    ("um " * 90, "far too long"),
]


@pytest.fixture
def made_up_texts(monkeypatch):
    """Let TFDS make a play of one example in each split, and 30 pairs from TALKS."""
    monkeypatch.setattr(remote, "reaches", lambda url: True)

    def as_dataset(self, split, *args, **kwargs):
        import tensorflow as tf

        if self.name == "tiny_shakespeare":
            return tf.data.Dataset.from_tensors({"text": PLAY[split]})
        assert self.builder_config.name == "pt_to_en"
        strange = " ç" if split == "test" else ""
        pairs = [[text + strange for text in TALKS[number % 3]] for number in range(30)]
        sides = dict(zip(("pt", "en"), zip(*pairs, strict=True), strict=True))
        return tf.data.Dataset.from_tensor_slices(
            {name: list(side) for name, side in sides.items()}
        )

    with tfds.testing.mock_data(num_examples=30, as_dataset_fn=as_dataset):
        yield


@pytest.mark.usefixtures("made_up_texts")
def test_a_play_becomes_windows():
    splits = data.load("tiny_shakespeare")
    sizes = [part.x.shape for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [(6, 64), (2, 64), (2, 64)]
    assert (splits.name, splits.source) == ("tiny_shakespeare", "tfds")
    assert splits.classes == ("<unknown>", *sorted(set(PLAY["train"])))
    assert (splits.validation.x == 0).any(), "é is in the validation part alone"
    for x, y in (splits.train, splits.validation, splits.test):
        assert x.dtype == y.dtype == np.int32
        np.testing.assert_array_equal(x[:, 1:], y[:, :-1])


@pytest.mark.usefixtures("made_up_texts")
def test_talks_become_pieces_made_from_the_training_part():
    splits = data.load("ted_hrlr_translate")
    (source, before), after = splits.train
    assert source.shape == before.shape == after.shape == (20, 64)  # one in three is too long
    assert (splits.name, splits.source, splits.target) == ("ted_hrlr_translate", "tfds", "English")
    assert subwords.decode(source[0], splits.classes) == "olá mundo ."
    assert subwords.decode(after[0], splits.classes) == "hello world ."
    assert " world" in splits.classes
    assert not any("ç" in piece for piece in splits.classes)
    assert subwords.decode(splits.test.y[1], splits.classes) == "new world �"


@pytest.mark.parametrize(
    ("name", "instead"), [("tiny_shakespeare", "shakespeare"), ("ted_hrlr_translate", "verses")]
)
def test_without_a_network_the_embedded_text_is_named(monkeypatch, tmp_path, name, instead):
    monkeypatch.setattr(remote, "reaches", lambda url: False)
    with pytest.raises(data.DataError, match=f"--dataset {instead}, which is embedded") as caught:
        data.load(name, data_dir=tmp_path)
    assert f"Copy the folder {name} it makes to {tmp_path / name}," in str(caught.value)


# Through chapter 6


MODULES = {"tiny_shakespeare": "chapter6", "ted_hrlr_translate": "chapter6_translation"}


@pytest.mark.usefixtures("made_up_texts")
@pytest.mark.parametrize("name", MODULES)
def test_chapter_6_takes_them(name, tmp_path, monkeypatch):
    flags = ["--dataset", name, "--width", "16", "--blocks", "1", "--epochs", "1", "--quiet"]
    monkeypatch.setattr(chapter6, "generate", lambda *args, **kwargs: "")  # 200 steps
    monkeypatch.setattr(
        chapter6_translation, "translated", lambda model, source, pieces: ["a"] * len(source)
    )
    with pytest.raises(SystemExit) as caught:
        runner.run(
            f"kerasbook.{MODULES[name]}", [*flags, "--jit", "off", "--output", str(tmp_path)]
        )
    assert caught.value.code == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["dataset"] == name
    assert ("chrf" in report["scores"]["test"]) == (name == "ted_hrlr_translate")


@pytest.mark.parametrize(
    ("name", "instead"), [("tiny_shakespeare", "shakespeare"), ("ted_hrlr_translate", "verses")]
)
def test_chapter_6_without_a_network_is_one_line(name, instead, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(remote, "reaches", lambda url: False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "data"))
    with pytest.raises(SystemExit) as caught:
        runner.run(f"kerasbook.{MODULES[name]}", ["--dataset", name, "--output", str(tmp_path)])
    assert caught.value.code == 2
    message = capsys.readouterr().err
    assert message.startswith(f"error: {name} is not prepared")
    assert f"--dataset {instead}" in message
    assert message.count("\n") == 1
