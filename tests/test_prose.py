"""The numbers that the chapters' text states stand in results.json, or in the cells' outputs."""

import re
from pathlib import Path

from kerasbook import notebooks
from kerasbook.runner import load_results

import nbformat
import pytest

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
# Sentences with numbers, and where in results.json each number stands:
# {data set/part/score/statistic:format}; a statistic may be `values/0`, the run with seed 0.
# What begins with `measured/` is from tools/make_measurements.py.
FIRST_SIGN = {"simple RNN": "simple RNN"}
FIRST_SIGN |= {f"LSTM, forget bias {bias}": f"forget bias {bias}" for bias in (0, 1, 3)}
SENTENCES = {
    "1": [
        "the mean absolute error on the test part was {auto_mpg/test/mae/mean:.3f} ± "
        "{auto_mpg/test/mae/sd:.3f} mpg",
    ],
    "2": [
        "the test accuracy was {fashion/test/accuracy/mean:.3f} ± "
        "{fashion/test/accuracy/sd:.3f}, that of softmax regression "
        "{fashion/test/softmax_accuracy/mean:.3f} ± {fashion/test/softmax_accuracy/sd:.3f}",
    ],
    "3": [
        "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
    ],
    "4": [
        "the test accuracy was {film_sentences/test/accuracy/mean:.3f} ± "
        "{film_sentences/test/accuracy/sd:.3f}",
        # The names stand in the text as code, which `prose` leaves out.
        "| | {measured/members/bidirectional/validation:.3f} | "
        "{measured/members/bidirectional/test:.3f} |",
        "| , six epochs, trained alone | {measured/members/gru/validation:.3f} | "
        "{measured/members/gru/test:.3f} |",
        "| | {measured/members/bag/validation:.3f} | {measured/members/bag/test:.3f} |",
        "| | {measured/members/linear/validation:.3f} | {measured/members/linear/test:.3f} |",
        "| tf-idf and logistic regression, scikit-learn | {measured/tf-idf/validation:.3f} | "
        "{measured/tf-idf/test:.3f} |",
        "logistic regression had {measured/tf-idf/six splits/mean:.3f} on average, and from "
        "{measured/tf-idf/six splits/lowest:.3f} to {measured/tf-idf/six splits/highest:.3f}",
        "The ensemble with seed 0 has {film_sentences/validation/accuracy/values/0:.3f} on the "
        "validation part, better than each of its members, and "
        "{film_sentences/test/accuracy/values/0:.3f} on the test part.",
    ],
    "5": [
        "the test accuracy was {japanese_vowels/test/accuracy/mean:.3f} ± "
        "{japanese_vowels/test/accuracy/sd:.3f}",
        *(
            f"| {label} | {{measured/first sign/{name}/mean:.2f}} | "
            f"{{measured/first sign/{name}/lowest:.2f}} | "
            f"{{measured/first sign/{name}/highest:.2f}} |"
            for label, name in FIRST_SIGN.items()
        ),
        "Its gradient 49 steps back was {measured/reach/1 per step:.3f} with 64 units; with 12 "
        "numbers per step, as in the picture before, it was {measured/reach/12 per step:.7f}.",
        "the error is {bikeshare_1h/test/mae/mean:.1f} bikes, the mean of five seeds",
        "The error is {bikeshare_24h/test/mae/mean:.0f} bikes, against "
        '{bikeshare_24h/same hour yesterday/mae/mean:.0f} of "same hour yesterday" and '
        "{bikeshare_24h/ridge with calendar/mae/mean:.0f} of the ridge with calendar.",
    ],
    "6": [
        "the validation loss was {shakespeare/validation/loss/mean:.3f} ± "
        "{shakespeare/validation/loss/sd:.3f} nats per character, over five seeds",
    ],
    "9": [
        "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
    ],
    "errata": [],
    "porting": [],
    "speed": [],
}

PYTHONS = ("3.11", "3.13")  # the versions
# Other numbers, and what they are.
ELSEWHERE = {
    "2": {"0.999": "a decay", "0.001": "a rate", "0.95": "in a diagram", "0.02": "to try"},
    "4": {"0.1": "a setting", "0.5": "", "0.6": "", "0.7": "", "0.9": "shares of a step's time"},
    "5": {"0.95": "sigmoid of 3", "9.5": "ms, in the profile", "3.5": "168 h by 48 h"},
    "errata": {"1.461": "the least loss, by a formula"},
    "porting": {"0.001": "", "0.01": "", "0.05": "", "0.004": "defaults of the two libraries"},
}


def prose(page: str) -> str:
    """Returns the text of a page in one line, without formulas and code."""
    cells = notebooks.notebook_of(page).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL)
    return " ".join(text.split())


def filled_in(page: str, sentence: str, results: dict) -> str:
    """Returns the sentence with the scores that `results` has for the page."""

    def score(match) -> str:
        chapter = notebooks.pages()[page]
        dataset, *way = match[1].split("/")
        if dataset == "measured":
            value = results["measurements"][chapter]
        else:
            value = results[chapter][dataset]["scores"]
        for name in way:
            value = value[int(name)] if isinstance(value, list) else value[name]
        return format(value, match[2])

    return re.sub(r"\{([^:}]+):([^}]+)\}", score, sentence)


def outputs(page: str) -> str:
    """Returns what the cells of the committed notebook have printed."""
    cells = nbformat.read(notebooks.path_of(page, CHAPTERS), as_version=4).cells
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in shown
    )


def unexplained(page: str, text: str, printed: str) -> set[str]:
    """Returns the decimal numbers of the text that are neither printed nor accounted for."""
    known = {*re.findall(r"\d+\.\d+", printed), *ELSEWHERE.get(page, {}), *PYTHONS}
    return set(re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", text)) - known


@pytest.mark.parametrize("page", SENTENCES)
def test_the_numbers_in_the_text_are_those_of_the_results(page):
    text = prose(page)
    for sentence in SENTENCES[page]:
        expected = filled_in(page, sentence, load_results())
        assert expected in text, f"results.json has: {expected}"
        text = text.replace(expected, "")
    unknown = unexplained(page, text, outputs(page))
    assert not unknown, f"where do {unknown} come from? Add their sentence to this file"


def test_every_page_is_looked_at():
    assert set(SENTENCES) == set(notebooks.pages())


def test_another_score_would_be_noticed():
    scores = {"test": {"mae": {"mean": 2.5646, "sd": 0.007}}}
    results = {"chapter1": {"auto_mpg": {"scores": scores}}}
    assert filled_in("1", SENTENCES["1"][0], results) not in prose("1")


def test_a_number_from_nowhere_would_be_noticed():
    assert unexplained("1", "2.50 mpg, 0.1 and 7.31", "loss 2.50\n0.1") == {"7.31"}
