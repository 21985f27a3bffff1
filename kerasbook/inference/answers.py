"""A model's answers, as dictionaries that JSON can hold, and as lines for a person."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kerasbook.data import subwords
from kerasbook.data.inputs import Inputs
from kerasbook.data.shakespeare import decode_text
from kerasbook.inference import models, reading, saved
from kerasbook.inference.decoding import beam_search, go_on, softmax
from kerasbook.inference.reading import Example

import numpy as np

BEAMS = 4
Answer = dict[str, Any]


class Wishes(NamedTuple):
    """How an answer is to be given."""

    top: int = 3  # classes, or pronunciations
    invert: bool = False  # pictures: bright for dark
    length: int = 200  # characters that a text goes on with
    temperature: float = 0.8
    seed: int = 0


def predict(run: Path, words: list[str], wishes: Wishes) -> list[Answer]:
    """Returns an answer for each example that the words mean, from a saved run or model.

    Raises:
        RunError, DataError: the run or an input cannot be used; the message has the remedy.
    """
    found = saved.find(run)
    examples = reading.read(found.inputs, words, wishes.invert)  # before the model's long import
    model = models.load(found.model)
    answer = ANSWERS.get(found.inputs.kind, classes_or_values)
    answers = []
    for example in examples:
        said = answer(found.inputs, model, example, wishes)
        answers.append(
            {"input": example.name, **said, **({"note": example.note} if example.note else {})}
        )
    return answers


def classes_or_values(
    inputs: Inputs, model: models.Model, example: Example, wishes: Wishes
) -> Answer:
    """Returns the likeliest classes and their probabilities, or the numbers that are asked for."""
    outputs = model(example.x[np.newaxis])[0]
    if not inputs.classes:
        return {"target": inputs.target, "values": [float(value) for value in outputs]}
    p = probabilities(outputs)
    order = np.argsort(-p, kind="stable")[: wishes.top]
    return {"classes": [{"class": inputs.classes[n], "probability": float(p[n])} for n in order]}


def probabilities(logits: np.ndarray) -> np.ndarray:
    """Returns the p of each class from logits (…, classes), or (…, 1) of the second of two."""
    if logits.shape[-1] == 1:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    return softmax(logits)


def next_text(inputs: Inputs, model: models.Model, example: Example, wishes: Wishes) -> Answer:
    """Returns what the model writes after the beginning."""
    (window,) = inputs.shapes[0]
    symbols = go_on(model, example.x, wishes.length, window, wishes.temperature, wishes.seed)
    return {"text": decode_text(symbols, inputs.classes or ())}


def sounds(inputs: Inputs, model: models.Model, example: Example, wishes: Wishes) -> Answer:
    """Returns the likeliest ways to say a word, by beam search."""
    found = beam_search(model, example.x, inputs.shapes[1][0], max(BEAMS, wishes.top))
    names = inputs.classes or []
    said = [(" ".join(names[n] for n in row), p) for row, p in found[: wishes.top]]
    return {"sounds": [{"sounds": sounds, "probability": p} for sounds, p in said]}


def translation(inputs: Inputs, model: models.Model, example: Example, wishes: Wishes) -> Answer:
    """Returns the likeliest translation, by beam search."""
    row, p = beam_search(model, example.x, inputs.shapes[1][0], BEAMS)[0]
    return {"text": subwords.decode(row, inputs.classes or ()), "probability": p}


ANSWERS: dict[str, Callable[[Inputs, models.Model, Example, Wishes], Answer]] = {
    "text": next_text,
    "word": sounds,
    "verse": translation,
}


# --- for a person -------------------------------------------------------------------------


def as_line(answer: Answer) -> str:
    """Returns an answer as a line, or as the text that was written."""
    line = f"{answer['input']}: {told(answer)}"
    if "text" in answer and "probability" not in answer:
        line = answer["input"] + answer["text"]
    return line + (f"  ({answer['note']})" if "note" in answer else "")


def told(answer: Answer) -> str:
    """Returns what was answered."""
    if "classes" in answer:
        return ", ".join(f"{e['class']} {e['probability']:.1%}" for e in answer["classes"])
    if "sounds" in answer:
        return "; ".join(
            f"{e['sounds'] or 'nothing'} {e['probability']:.1%}" for e in answer["sounds"]
        )
    if "values" in answer:
        values = answer["values"]
        return f"{answer['target']} " + ", ".join(f"{value:.4g}" for value in values)
    return answer["text"]
