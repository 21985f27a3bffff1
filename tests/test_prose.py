"""The scores that the chapters' text states are those of results.json."""

import re

from kerasbook import notebooks
from kerasbook.runner import load_results

import pytest

# Sentences with scores, and where in results.json each score stands:
# {data set/part/score/statistic:format}; a statistic may be `values/0`, the run with seed 0.
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
        "The ensemble with seed 0 has {film_sentences/validation/accuracy/values/0:.3f} on the "
        "validation part, better than each of its members, and "
        "{film_sentences/test/accuracy/values/0:.3f} on the test part.",
    ],
    "5": [
        "the test accuracy was {japanese_vowels/test/accuracy/mean:.3f} ± "
        "{japanese_vowels/test/accuracy/sd:.3f}",
        "the error is {bikeshare_1h/test/mae/mean:.1f} bikes, the mean of five seeds",
        "The error is {bikeshare_24h/test/mae/mean:.0f} bikes, against "
        '{bikeshare_24h/same hour yesterday/mae/mean:.0f} of "same hour yesterday" and '
        "{bikeshare_24h/ridge with calendar/mae/mean:.0f} of the ridge with calendar.",
    ],
    "6": [
        "the phoneme error on the test part was {cmudict/test/phoneme_error/mean:.3f} ± "
        "{cmudict/test/phoneme_error/sd:.3f}, and {cmudict/test/beam_phoneme_error/mean:.3f} ± "
        "{cmudict/test/beam_phoneme_error/sd:.3f} with beam search",
        "there the validation loss was {shakespeare/validation/loss/mean:.3f} ± "
        "{shakespeare/validation/loss/sd:.3f} nats per character, over five seeds",
    ],
    "9": [
        "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
    ],
    "errata": [],
    "porting": [],
}

# Other numbers with three decimals: measured by hand, as the text around them says, or settings.
ELSEWHERE = {
    "2": "0.999 0.001",  # decays and a learning rate
    "4": "0.790 0.759 0.779 0.767 0.775 0.770 0.772 0.785 0.011 0.787 0.761 0.808 0.805",
    "5": "0.007 0.973 0.981 0.932 0.797 0.343 0.200 0.111",
    "errata": "1.461",
    "porting": "0.001 0.004",  # a learning rate and a decay
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
        value = results[notebooks.pages()[page]]
        dataset, *way = match[1].split("/")
        value = value[dataset]["scores"]
        for name in way:
            value = value[int(name)] if isinstance(value, list) else value[name]
        return format(value, match[2])

    return re.sub(r"\{([^:}]+):([^}]+)\}", score, sentence)


@pytest.mark.parametrize("page", SENTENCES)
def test_the_scores_in_the_text_are_those_of_the_results(page):
    text = prose(page)
    for sentence in SENTENCES[page]:
        expected = filled_in(page, sentence, load_results())
        assert expected in text, f"results.json has: {expected}"
        text = text.replace(expected, "")
    unknown = set(re.findall(r"(?<![\d.])\d\.\d{3}(?!\d)", text)) - set(
        ELSEWHERE.get(page, "").split()
    )
    assert not unknown, f"where do {unknown} come from? Add their sentence to this file"


def test_every_page_is_looked_at():
    assert set(SENTENCES) == set(notebooks.pages())


def test_another_score_would_be_noticed():
    scores = {"test": {"mae": {"mean": 2.5646, "sd": 0.007}}}
    results = {"chapter1": {"auto_mpg": {"scores": scores}}}
    assert filled_in("1", SENTENCES["1"][0], results) not in prose("1")
