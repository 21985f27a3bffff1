"""IMDB reviews through TensorFlow Datasets, on made-up reviews."""

from kerasbook import data
from kerasbook.data import tfds as online

import numpy as np
import pytest
import tensorflow_datasets as tfds

REVIEWS = [(b"A <br /><br />good film!", 1), (b"Not good, not bad.", 0), (b"Caf\xc3\xa9", 1)]


@pytest.fixture
def made_up_reviews(monkeypatch):
    """Let TFDS make 30 examples in each split from REVIEWS."""
    monkeypatch.setattr(online, "reaches", lambda url: True)

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
    monkeypatch.setattr(online, "reaches", lambda url: True)
    with tfds.testing.mock_data(num_examples=20):
        splits = data.load("imdb_reviews")
    assert len(splits.train.x) == 18
    assert set(splits.train.y.tolist()) <= {0, 1}


def test_without_a_network_the_embedded_sentences_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(online, "reaches", lambda url: False)
    with pytest.raises(data.DataError, match="--dataset film_sentences"):
        data.load("imdb_reviews", data_dir=tmp_path)
