"""A model card: what a run's model is, was trained on, can do and cannot: `kerasbook card RUN`.

It has the fields of Hugging Face's cards (https://huggingface.co/docs/hub/model-cards) and of
Google's (Mitchell and others, 2019, https://arxiv.org/abs/1810.03993). What the run knows is filled
in; what only a person can say is marked, to be filled in.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from kerasbook import contents
from kerasbook.data import EMBEDDED, Splits, load
from kerasbook.data.inputs import Inputs, describe
from kerasbook.data.splits import DataError
from kerasbook.files import atomic_path
from kerasbook.inference import models, saved
from kerasbook.inference.answers import probabilities
from kerasbook.inference.saved import RunError
from kerasbook.runner import report as reports

import numpy as np

FILE = "card.md"
FILL_IN = "*(to be filled in by whoever hands the model on)*"
BINS = 10
GROUPS = "sex", "race"  # columns with a 1 for those who belong to a group, as in sex=Female
Z = 1.96  # standard errors of an interval that holds in 95 of 100 cases
BATCH = 256


class Card(NamedTuple):
    """What a card is made of."""

    page: contents.Page
    report: dict[str, Any]
    inputs: Inputs
    splits: Splits | None  # None where the data cannot be had again
    missing: str  # why not
    p: np.ndarray | None  # (n, classes), of the test part; None for models without classes
    weights: int


def write(run: Path) -> Path:
    """Writes the card into the run's folder; returns its path.

    Raises:
        RunError: the run has no report, or its report and its model are not of one training.
        DataError: what tells what the model reads is missing or damaged.
    """
    path = saved.find(run).folder / FILE
    text = "\n".join(lines(read(run))) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def read(run: Path) -> Card:
    """Returns what a run's card is made of; the model answers for the test part once more.

    Raises:
        RunError: the run has no report, or its report and its model are not of one training.
        DataError: what tells what the model reads is missing or damaged.
    """
    found = saved.find(run)
    if found.model.suffix != ".keras":
        raise RunError(f"{run} is a converted model: name the run's folder")
    report = read_report(found.folder)
    page = contents.find(report["chapter"])
    model = models.read_keras(found.model)
    splits, missing = load_again(report, found.inputs)
    p = None
    if splits is not None and found.inputs.classes and found.inputs.kind in WITH_CLASSES:
        p = probabilities(outputs(models.as_function(model), splits.test.x))
        check_same(report, p, splits.test.y, run)
    return Card(page, report, found.inputs, splits, missing, p, model.count_params())


WITH_CLASSES = ("row", "picture", "sentence", "steps")


def read_report(folder: Path) -> dict[str, Any]:
    """Returns the report of a run that ended.

    Raises:
        RunError: there is none.
    """
    path = folder / "report.json"
    again = "run the chapter's command once more, with --resume and the same flags"
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        if report["finished"] and report["scores"] and report["chapter"]:
            return report
    except FileNotFoundError:
        raise RunError(f"{path} is missing: {again}") from None
    except (ValueError, TypeError, KeyError):
        raise RunError(f"{path} is damaged: {again}") from None
    raise RunError(f"the run in {folder} did not end: {again}")


def load_again(report: dict, inputs: Inputs) -> tuple[Splits | None, str]:
    """Returns the run's data, or None and why they cannot be had."""
    name = report["dataset"]
    options = {"features": inputs.features} if name == "auto_mpg" else {}
    try:
        splits = load(name, **options).take(report["parameters"].get("examples"))
    except (DataError, OSError) as error:
        return None, " ".join(str(error).split())
    if not is_same(describe(splits), inputs):
        return None, f"{name} holds other data than those of the training"
    return splits, ""


def is_same(found: Inputs | None, inputs: Inputs) -> bool:
    """Returns whether two data sets have the same classes, words, shapes, and nearly one mean."""
    if found is None:
        return False
    measured = ("mean", "std", "edge")
    first, second = ({n: getattr(each, n) for n in measured} for each in (found, inputs))
    alike = all(np.allclose(first[n] or 0, second[n] or 0, rtol=1e-4) for n in measured)
    others = dict.fromkeys(measured)
    return alike and replace(found, **others) == replace(inputs, **others)


def outputs(model: models.Model, x: Any) -> np.ndarray:
    """Returns the model's outputs for all examples, in batches."""
    return np.concatenate([model(x[n : n + BATCH]) for n in range(0, len(x), BATCH)])


def check_same(report: dict, p: np.ndarray, y: np.ndarray, run: Path) -> None:
    """Checks that the model has the accuracy that the report tells.

    Raises:
        RunError: it has another one.
    """
    told = report["scores"].get("test", {}).get("accuracy")
    found = float(np.mean(p.argmax(axis=1) == y))
    if told is not None and abs(told - found) > 2.5 / len(y):  # ties are broken by rounding
        raise RunError(
            f"report.json in {run} tells a test accuracy of {told:.4f}, the model there has "
            f"{found:.4f}: they are not of one training; train again"
        )


# --- what is measured ---------------------------------------------------------------------


def interval(hits: int, count: int) -> tuple[float, float]:
    """Returns the interval (Wilson's) in which a share lies with 95 % confidence.

    >>> [round(end, 3) for end in interval(90, 100)]
    [0.826, 0.945]
    """
    share, z2 = hits / count, Z**2 / count
    middle = (share + z2 / 2) / (1 + z2)
    half = Z / (1 + z2) * np.sqrt(share * (1 - share) / count + z2 / (4 * count))
    return float(middle - half), float(middle + half)


def slices(p: np.ndarray, y: np.ndarray, classes: list[str]) -> list[dict[str, Any]]:
    """Returns, for each class: its examples, recall with interval, precision, commonest mistake."""
    guesses = p.argmax(axis=1)
    found = []
    for label, name in enumerate(classes):
        ours, said = y == label, guesses == label
        if not ours.any():
            found.append({"class": name, "examples": 0})
            continue
        hits = int((ours & said).sum())
        wrong = np.bincount(guesses[ours & ~said], minlength=len(classes))
        found.append(
            {
                "class": name,
                "examples": int(ours.sum()),
                "recall": hits / int(ours.sum()),
                "interval": interval(hits, int(ours.sum())),
                "precision": hits / int(said.sum()) if said.any() else None,
                "taken for": classes[int(wrong.argmax())] if wrong.any() else None,
                "times": int(wrong.max()),
            }
        )
    return found


def calibration(p: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Returns the expected calibration error (Guo and others, 2017), and what each bin holds."""
    confidence, correct = p.max(axis=1), p.argmax(axis=1) == y
    numbers = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        if (inside := numbers == number).any():
            said, right = float(confidence[inside].mean()), float(correct[inside].mean())
            bins.append(
                {"bin": number, "examples": int(inside.sum()), "said": said, "right": right}
            )
            error += inside.mean() * abs(said - right)
    return {"error": float(error), "bins": bins, "said": float(confidence.mean())}


# --- the text -----------------------------------------------------------------------------


def lines(card: Card) -> Iterator[str]:
    """Yields the card's lines, in Markdown."""
    yield from front_matter(card)
    yield from details(card)
    yield from uses(card)
    yield from data(card)
    yield from training(card)
    yield from evaluation(card)
    yield from limits(card)


def front_matter(card: Card) -> Iterator[str]:
    """Yields what Hugging Face's search reads."""
    test = card.report["scores"].get("test") or next(iter(card.report["scores"].values()))
    yield "---"
    yield from ["library_name: keras", "license: unknown", "tags:", "- keras", "- kerasbook"]
    yield from ["model-index:", f"- name: {card.page.key}", "  results:", "  - task:"]
    yield from [f"      type: {TASKS[card.inputs.kind]}", "    dataset:"]
    yield from [f"      type: {quoted(card.report['dataset'])}"]
    yield from [f"      name: {quoted(card.inputs.title)}", "    metrics:"]
    for name, value in test.items():
        yield from [f"    - type: {quoted(name)}", f"      value: {value}"]
    yield from ["---", ""]


TASKS = {
    "row": "tabular-regression",
    "picture": "image-classification",
    "sentence": "text-classification",
    "steps": "time-series-forecasting",
    "text": "text-generation",
    "word": "text2text-generation",
    "verse": "translation",
}


def quoted(text: str) -> str:
    """Returns a text as YAML takes it."""
    return json.dumps(text, ensure_ascii=False)


def details(card: Card) -> Iterator[str]:
    """Yields who, what, when: "Model details"."""
    report, versions = card.report, card.report["versions"]
    yield from [f"# Model card: {card.page.title}", "", "## Model details", ""]
    yield f"- Model: {card.weights:,} weights, trained by `{card.page.key}` of the book kerasbook"
    yield f"  {versions['kerasbook']}, which explains every part of it"
    yield f"- Answers: {answer_of(card.inputs)}"
    yield f"- Trained: {report['started'][:10]}, with Keras {versions['keras']} and TensorFlow"
    yield f"  {versions['tensorflow']}, on {report['device'].partition(';')[0]}"
    yield f"- Developed by, contact, licence of the weights: {FILL_IN}"
    yield from ["- Licence of the code: MIT", "", "```sh"]
    yield from [f"kerasbook predict runs/{card.page.key} INPUT", "```", ""]


def answer_of(inputs: Inputs) -> str:
    """Returns what the model answers with."""
    if inputs.kind in WITH_CLASSES and inputs.classes:
        return f"{inputs.target}: one of {len(inputs.classes)}, {', '.join(inputs.classes)}"
    return inputs.target


def uses(card: Card) -> Iterator[str]:
    """Yields what the model is for: "Intended use"."""
    yield from [
        "## Intended use",
        "",
        "- For learning: the book's reader trains it and takes it apart.",
    ]
    yield f"- Direct and further uses, users: {FILL_IN}"
    yield "- Out of scope: decisions about people, and inputs of another kind than the data below;"
    yield from ["  nothing in the model tells that an input is of another kind.", ""]


def data(card: Card) -> Iterator[str]:
    """Yields what it was trained and evaluated on: "Training data", "Evaluation data"."""
    yield from ["## Training data and evaluation data", ""]
    if card.splits is None:
        yield from [f"{card.inputs.title}. The data cannot be read here: {card.missing}", ""]
        return
    yield f"- {card.splits}"
    yield "- The test part was kept apart: no weight was fitted on it, and it was scored last."
    function = EMBEDDED.get(card.report["dataset"])
    document = inspect.getdoc(getattr(function, "func", function)) if function else None
    if sheet := re.search(r"files/(\w+\.md)", document or ""):
        yield f"- Source, licence and known flaws: the datasheet `kerasbook/data/files/{sheet[1]}`"
    else:
        yield f"- Source, licence and known flaws: {FILL_IN}"
    if card.inputs.mean:
        yield "- Inputs are (value − mean) / standard deviation, both of the training part."
    yield ""


def training(card: Card) -> Iterator[str]:
    """Yields how it was trained: "Training procedure", "Environmental impact"."""
    report = card.report
    yield from ["## Training procedure", "", f"- Command: `{report['command']}`"]
    settings = ", ".join(f"{name} {value}" for name, value in report["parameters"].items())
    yield f"- Settings: {settings}"
    yield f"- Precision: {report['mixed_precision'].replace('off', 'float32')}"
    yield f"- Took {report['seconds']['train']:.0f} s on {report['device']}; the energy was not"
    yield "  measured."
    yield ""


def evaluation(card: Card) -> Iterator[str]:
    """Yields scores with bands, classes and calibration: "Evaluation", "Factors", "Metrics"."""
    report = card.report
    entry = reports.entry_of(card.page, report["dataset"])
    is_default = reports.has_kept_settings(card.page, entry, report["parameters"])
    yield from ["## Evaluation", "", "Scores of this run:", ""]
    yield from (f"- {line}" for line in bands(report["scores"], entry, is_default))
    yield ""
    if card.p is None:
        why = card.missing or "the model has no classes"
        yield from [f"By class, and how far probabilities can be trusted: not told, for {why}.", ""]
        return
    assert card.splits is not None
    yield from by_class(slices(card.p, card.splits.test.y, card.inputs.classes or []))
    yield from by_group(card.splits, card.p, card.inputs.classes or [])
    yield from [f"Other factors (who, where, with what): {FILL_IN}", ""]
    yield from by_confidence(calibration(card.p, card.splits.test.y))


def bands(scores: dict, entry: dict, is_default: bool) -> Iterator[str]:
    """Yields each score, with its band over the seeds that the book was tried with."""
    yield from reports.score_lines(scores, entry, is_default).splitlines()
    if not entry:
        yield "there are no other runs with these data to compare with: train with other seeds"
    elif not is_default:
        yield "the settings are not those of the runs that the means are of"


def by_class(found: list[dict[str, Any]]) -> Iterator[str]:
    """Yields the table of the classes."""
    yield from ["By class (factor: the class itself), on the test part:", ""]
    yield "| class | examples | recall (95 % interval) | precision | mostly taken for |"
    yield "|---|---|---|---|---|"
    for each in found:
        if not each["examples"]:
            yield f"| {cell(each['class'])} | 0 | – | – | – |"
            continue
        low, high = each["interval"]
        recall = f"{each['recall']:.3f} ({low:.3f} to {high:.3f})"
        precision = "–" if each["precision"] is None else f"{each['precision']:.3f}"
        wrong = f"{cell(each['taken for'])}, {each['times']} times" if each["taken for"] else "–"
        yield f"| {cell(each['class'])} | {each['examples']} | {recall} | {precision} | {wrong} |"
    yield ""


def by_group(splits: Splits, p: np.ndarray, classes: list[str]) -> Iterator[str]:
    """Yields the table of the groups of people that columns such as sex=Female tell apart."""
    names = enumerate(getattr(splits, "features", None) or ())
    columns = [(i, name) for i, name in names if name.partition("=")[0] in GROUPS]
    if not columns:
        return
    y, said, last = splits.test.y, p.argmax(axis=1), len(classes) - 1
    yield from [f'By group of people (the last class is "{classes[last]}"), on the test part:', ""]
    yield "| group | examples | right (95 % interval) | gets the last class | of those who are |"
    yield "|---|---|---|---|---|"
    for column, name in columns:
        mine = splits.test.x[:, column] == 1
        shares = [
            share_of(mine & (said == y), mine),
            share_of(mine & (said == last), mine),
            share_of(mine & (y == last) & (said == last), mine & (y == last)),
        ]
        yield f"| {cell(name)} | {mine.sum()} | {' | '.join(shares)} |"
    yield ""


def share_of(hits: np.ndarray, of: np.ndarray) -> str:
    """Returns the share of these examples with its 95 % interval, – where there are none."""
    if not of.any():
        return "–"
    low, high = interval(int(hits.sum()), int(of.sum()))
    return f"{hits.sum() / of.sum():.3f} ({low:.3f} to {high:.3f})"


def cell(text: str) -> str:
    """Returns a text that does not end a table's cell."""
    return text.replace("|", "\\|").replace("\n", " ")


def by_confidence(found: dict[str, Any]) -> Iterator[str]:
    """Yields how often the model is right when it says p."""
    yield f"Calibration: expected calibration error {found['error']:.3f} (mean distance of what the"
    yield f"model says from how often it is right, in {BINS} bins), on the test part:"
    yield from ["", "| it says | examples | mean | right |", "|---|---|---|---|"]
    for each in found["bins"]:
        span = f"{each['bin'] / BINS:.1f} to {(each['bin'] + 1) / BINS:.1f}"
        yield f"| {span} | {each['examples']} | {each['said']:.3f} | {each['right']:.3f} |"
    yield ""


def limits(card: Card) -> Iterator[str]:
    """Yields what it cannot do: "Bias, risks and limitations", "Ethical considerations"."""
    yield from ["## Limits, bias and risks", ""]
    if card.p is not None and card.splits is not None:
        y = card.splits.test.y
        yield from measured_limits(card, y)
    yield f"- It knows what {card.inputs.title} holds, and nothing else."
    yield "- One run with one seed: another seed gives other weights and other mistakes."
    yield f"- Ethical considerations, risks for people: {FILL_IN}"
    yield f"- Caveats and recommendations: {FILL_IN}"


def measured_limits(card: Card, y: np.ndarray) -> Iterator[str]:
    """Yields the worst class, and whether the model is too sure."""
    found = [each for each in slices(card.p, y, card.inputs.classes or []) if each["examples"]]
    worst = min(found, key=lambda each: each["recall"])
    yield f"- Worst class: {worst['class']}, of which it finds {worst['recall']:.1%}."
    sure = calibration(card.p, y)
    right = float(np.mean(card.p.argmax(axis=1) == y))
    error = np.sqrt(right * (1 - right) / len(y))
    kind = "too sure" if sure["said"] > right else "not sure enough"
    kind = kind if abs(sure["said"] - right) > Z * error else "as sure as it may be"
    yield f"- It says {sure['said']:.3f} on the mean and is right in {right:.3f}: {kind}."
    yield f"- It answers with one of its {len(found)} classes, whatever it is shown."
