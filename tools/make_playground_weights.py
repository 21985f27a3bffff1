"""Trains the models of the playgrounds, and writes their weights into kerasbook/web/weights.

    python tools/make_playground_weights.py             all of them, a few minutes
    python tools/make_playground_weights.py garments    one

Each is trained by its chapter's own command, in a process of its own, and rounded to float16.
"""

import base64
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from kerasbook import chapter3, chapter4, chapter6, chapter6_encoder_decoder
from kerasbook.data import load_cmudict, load_fashion, load_film_sentences, load_shakespeare
from kerasbook.data.fashion import read_fashion
from kerasbook.training import evaluate, predict
from kerasbook.web.playgrounds import weights as files

import keras
import numpy as np

SEED = 0


class Model(NamedTuple):
    """A chapter's model: how it is made, and what its playground needs beside the weights."""

    chapter: str
    make: Callable[[], keras.Model]
    extra: Callable[[keras.Model], dict]
    score: Callable[[keras.Model], dict[str, float]]


def command_of(model: Model) -> str:
    """Returns the command that trains a model."""
    return f"python -m kerasbook.{model.chapter} --seed {SEED}"


# --- Garments -----------------------------------------------------------------------------


def garments_extra(model: keras.Model) -> dict:
    """Returns twenty test pictures: of each class the first, and the first taken wrongly."""
    splits, raw = load_fashion(), read_fashion()[2]
    guesses = predict(model, splits.test.x).argmax(axis=1)
    chosen = []
    for label in range(len(splits.classes)):
        of_class = np.flatnonzero(raw.y == label)
        wrong = of_class[guesses[of_class] != label]
        chosen += [int(of_class[0]), int(wrong[wrong != of_class[0]][0])]
    return {
        "classes": list(splits.classes),
        "mean": float(splits.mean[0]),
        "std": float(splits.std[0]),
        "labels": [int(label) for label in raw.y[chosen]],
        "rows": chosen,
        "pictures": base64.b64encode(raw.x[chosen].tobytes()).decode(),
    }


def accuracy(logits, y) -> float:
    """Returns the share of the rows whose largest logit, or whose sign, is right."""
    guesses = logits.argmax(axis=1) if logits.shape[1] > 1 else logits[:, 0] > 0
    return float(np.mean(guesses == y))


def garments_score(model: keras.Model) -> dict[str, float]:
    """Returns the accuracy on the test part."""
    test = load_fashion().test
    return {"test accuracy": accuracy(predict(model, test.x), test.y)}


# --- Reader -------------------------------------------------------------------------------


def reader_extra(model: keras.Model) -> dict:
    """Returns the vocabulary."""
    return {"words": " ".join(load_film_sentences().vocabulary[2:])}


def reader_score(model: keras.Model) -> dict[str, float]:
    """Returns the accuracy on the test part."""
    test = load_film_sentences().test
    return {"test accuracy": accuracy(predict(model, test.x), test.y)}


# --- Writer and Speaker -------------------------------------------------------------------


def writer_extra(model: keras.Model) -> dict:
    """Returns the characters but the first, which stands for all that are unknown."""
    return {"characters": "".join(load_shakespeare().classes[1:]), "heads": 4, "window": 64}


def writer_score(model: keras.Model) -> dict[str, float]:
    """Returns the loss on the validation part."""
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    part = tuple(load_shakespeare().validation)
    return {"validation loss": evaluate(model, part, loss_fn=loss_fn, batch_size=250)["loss"]}


def speaker_extra(model: keras.Model) -> dict:
    """Returns the names of the sounds."""
    return {"sounds": list(load_cmudict().classes), "heads": 4}


def speaker_score(model: keras.Model) -> dict[str, float]:
    """Returns the greedy phoneme error on the test part."""
    test = load_cmudict().test
    said = chapter6_encoder_decoder.greedy(model, test.x[0])
    error = chapter6_encoder_decoder.error_rates(said, test.y)["phoneme_error"]
    return {"test phoneme error": error}


MODELS = {
    "garments": Model(
        "chapter3", lambda: chapter3.make_model((28, 28, 1), 10), garments_extra, garments_score
    ),
    "reader": Model("chapter4", lambda: chapter4.make_model(10_000), reader_extra, reader_score),
    "writer": Model("chapter6", lambda: chapter6.make_writer(77), writer_extra, writer_score),
    "speaker": Model(
        "chapter6_encoder_decoder",
        chapter6_encoder_decoder.make_pronouncer,
        speaker_extra,
        speaker_score,
    ),
}


def model_of(name: str) -> keras.Model:
    """Returns the chapter's model with the weights of a playground.

    Raises:
        ValueError: they are not this model's.
    """
    model, (weights, _) = MODELS[name].make(), files.read(name)
    expected = {path: array.shape for path, array in files.named_weights(model).items()}
    if {path: array.shape for path, array in weights.items()} != expected:
        raise ValueError(
            f"the weights of the playground {name} do not fit the model of "
            f"{MODELS[name].chapter}: run `python tools/make_playground_weights.py {name}`"
        )
    model.set_weights(list(weights.values()))
    return model


def train(name: str) -> None:
    """Trains a model and writes its weights."""
    about = MODELS[name]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"kerasbook.{about.chapter}", "--seed", str(SEED)]
        subprocess.run([*command, "--output", folder], check=True)
        saved = keras.models.load_model(Path(folder, "model.keras"), compile=False)
    trained = about.make()  # a loaded model's weights have other paths
    trained.set_weights(files.rounded(saved.get_weights()))
    row = {"command": command_of(about), "seed": SEED, "score after rounding": about.score(trained)}
    files.write(name, files.named_weights(trained), about.extra(trained), row)
    print(name, row, flush=True)


if __name__ == "__main__":
    for name in sys.argv[1:] or MODELS:
        train(name)
