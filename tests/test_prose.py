"""The numbers that the chapters' text states stand in results.json, or in the cells' outputs."""

import importlib.util
import re
from pathlib import Path

from kerasbook import contents, notebooks
from kerasbook.contents import load_results
from kerasbook.exercises.cards import cards as all_cards

import nbformat
import pytest

CHAPTERS = Path(__file__).resolve().parent.parent / "chapters"
PAGES = list(contents.pages())
PYTHONS = ("3.11", "3.13")  # the versions

# --- whole numbers, from eleven up: smaller ones stand in every code --------------------------

ONES = [
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
DIGITS = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
WORDS = {word: number for number, word in enumerate(ONES, start=11)}
WORDS |= {word: 10 * number for number, word in enumerate(TENS, start=2)}
WORDS |= {f"{t}-{d}": WORDS[t] + n for t in TENS for n, d in enumerate(DIGITS, start=1)}
WHOLE = re.compile(
    rf"(?<![\w.,/\-#])(\d[\d,]*\d)(?!\w|\.\d)|\b({'|'.join(sorted(WORDS, reverse=True))})\b", re.I
)
# What is no result: it counts nothing that was measured or is computed here.
MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
NO_RESULT = {
    "a year": r"\b(1[89]|20)\d\d\b",
    "a day": rf"\b\d+ ({MONTHS})\b|\b\d+(st|nd|rd|th)\b",
    "a place in the book": r"\b(chapter|section|exercise)s? \d+|## \d+\.",
    "part of a name": r"\b[A-Z]\w*-\d+",
    "another's words, or an example": r'"[^"]*"',
    "counted by contents.minutes": r"about \d+ to read",
}
# The rest: where each comes from.
WHOLE_ELSEWHERE = {
    "chapter1": {
        "392": "examples of load_auto_mpg",
        "256": "a rule of thumb",
        "44": "8 features, their squares and their 28 products",
    },
    "chapter2": {
        **{"12,000": "examples of load_fashion", "70,000": "Xiao and others 2017"},
        **{"102": "chosen", "101": "chosen", "100": "chosen"},
    },
    "chapter2_deep_network": {"110": "horsepower, in the picture"},
    "chapter2_training": {"141": "steps of 64 in 9,000 examples", "80": "of an example"},
    "chapter3": {
        **{"784": "28 · 28", "24": "of an example", "17": "of an example"},
        "fifty": "thousand: 16,981,120 by 320",
    },
    "chapter4": {
        "17": "of an example",
        "10,549": "examples of load_film_sentences",
        "thirteen": "7.8 % of the test part's words have the number of the unknown ones",
    },
    "chapter5": {
        "270": "training and validation part of load_japanese_vowels",
        **{"24": "fewest test recordings of a man", "88": "most of them"},
    },
    "chapter5_forecasting": {
        **{"30": "of a question", "thirty": "days from 19 September to 19 October"},
        **{"115": "hours that the file lacks", "8,760": "365 · 24", "1,872": "48 · 39"},
        **{"19": "hours of rain or snow in the file", "4,308": "rentals of 22 October"},
    },
    "chapter9": {
        "2,000": "dynamic_growth_steps of Keras",
        **{"25": "5 epochs of 9,000 rows, 2,048 in a batch", "412": "docs/devices.md"},
    },
    "chapter9_devices": {
        **{"100": "of a question", "twelve": "three numbers of 4 bytes"},
        "31": "250 rows in eight pieces",
    },
    "chapter10": {"255": "the brightest pixel", "192": "200 - 8"},
    "chapter10_fairness": {
        **{"32,561": "rows of the file", "50,000": "dollars, the line of the target"},
        **{
            "95": "97.5 - 2.5",
            "thirty": "1994 to 2026",
            "forty": "of a question",
            "twenty": "names, ten and ten",
        },
    },
    "chapter10_privacy": {"fifteen": "sixteen but one", "54": "printed as 54.0"},
    "chapter7_lora": {"600": "windows that tools/make_measurements.py judges by"},
    "chapter7": {
        **{"30,522": "pieces of bert_vocab.txt", "103": "number of [MASK] there"},
        **{"20,000": "strings of kerasbook.testing.strings", "400": "reference_pieces.json"},
        **{"399": "the same, and the ledger", "twenty": "READER_EPOCHS of the tool"},
    },
    "chapter8": {
        **{"15": "2 ** 4 - 1", "320,000": "2,500 rows of 128 units"},
        **{"480,000": "300 pictures of 10 · 10 places and 16 filters", "3,136": "7 · 7 · 64"},
        "300": "CHECKED in tools/make_compression_grid.py",
    },
    "chapter3_residual": {
        **{"152": "layers, He and others 2015", "110": "layers, the same, table 6"},
        "25": "5 · 5",
    },
    "chapter6": {"3,199,053": "count_params of make_writer(77, 256, blocks=4)"},
    "chapter6_encoder_decoder": {"39": "sounds in cmudict.tsv"},
    "errata": {
        **{"36": "9 pictures make 16 rows: 4 · 9", "175": "Brown and others 2020"},
        **{"50,000": "Maas and others 2011", "25,000": "Maas and others 2011"},
    },
    "porting": {"784": "28 · 28"},
    "speed": dict.fromkeys(
        [
            *("132", "209", "227", "114", "185", "153", "7,600", "1,100", "97", "103", "89"),
            *("ninety", "25", "18", "12", "20", "40", "200", "512", "10,000"),
            *("50", "52", "56", "63", "100"),
        ],
        "measured once, as is said there",
    ),
}


def stated(page: str, name: str, nothing):
    """Returns what the page's own test file states of its text, under this name.

    SENTENCES: sentences with numbers, and where in results.json each number stands, as
    {data set/part/score/statistic:format}; a statistic may be `values/0`, the run with seed 0. What
    begins with `measured/` is from tools/make_measurements.py.
    ELSEWHERE: other decimal numbers of the text, and what they are.
    """
    if importlib.util.find_spec(f"test_{page}") is None:
        return nothing
    return getattr(importlib.import_module(f"test_{page}"), name, nothing)


def prose(page: str) -> str:
    """Returns the text of a page in one line, without formulas and code."""
    cells = notebooks.notebook_of(contents.find(page)).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    text = re.sub(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`", "", text, flags=re.DOTALL)
    return " ".join(text.split())


def filled_in(page: str, sentence: str, results: dict) -> str:
    """Returns the sentence with the scores that `results` has for the page."""

    def score(match) -> str:
        dataset, *way = match[1].split("/")
        if dataset == "measured":
            value = results["measurements"][page]
        else:
            value = results[page][dataset]["scores"]
        for name in way:
            value = value[int(name)] if isinstance(value, list) else value[name]
        return format(value, match[2])

    return re.sub(r"\{([^:}]+):([^}]+)\}", score, sentence)


def outputs(page: str) -> str:
    """Returns what the cells of the committed notebook have printed."""
    cells = nbformat.read(notebooks.path_of(contents.find(page), CHAPTERS), as_version=4).cells
    shown = [output for cell in cells for output in cell.get("outputs", [])]
    return "\n".join(
        output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in shown
    )


def unexplained(page: str, text: str, printed: str) -> set[str]:
    """Returns the decimal numbers of the text that are neither printed nor accounted for."""
    known = {*re.findall(r"\d+\.\d+", printed), *stated(page, "ELSEWHERE", {}), *PYTHONS}
    return set(re.findall(r"(?<![\d.])\d+\.\d+(?![\d.])", text)) - known


def whole_numbers(text: str) -> dict[str, int]:
    """Returns the whole numbers above ten, as they are written and as they are meant."""
    for pattern in NO_RESULT.values():
        text = re.sub(pattern, "", text)
    found = {}
    for match in WHOLE.finditer(text):
        written = match[0].lower()
        found[written] = WORDS.get(written) or int(written.replace(",", ""))
    return {written: number for written, number in found.items() if number > 10}


def code(page: str) -> str:
    """Returns the page's code."""
    cells = notebooks.notebook_of(contents.find(page)).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def from_nowhere(text: str, shown: str) -> dict[str, int]:
    """Returns the whole numbers of the text that no code has and no cell has printed.

    80 % may be printed as 0.8.
    """
    plain = re.sub(r"(?<=\d)[_,](?=\d)", "", shown)
    known = {int(number) for number in re.findall(r"(?<![\d.])\d+(?!\.\d)", plain)}
    shares = {round(100 * float(share)) for share in re.findall(r"\b0\.\d+", plain)}
    text = re.sub(r"\b(\d+) %", lambda m: "" if int(m[1]) in shares else m[0], text)
    return {w: number for w, number in whole_numbers(text).items() if number not in known}


@pytest.mark.parametrize("page", PAGES)
def test_whole_numbers_in_the_text_are_printed_computed_or_accounted_for(page):
    text = prose(page)
    for sentence in stated(page, "SENTENCES", []):
        text = text.replace(filled_in(page, sentence, load_results()), "")
    unknown = from_nowhere(text, code(page) + outputs(page)).keys() - WHOLE_ELSEWHERE.get(page, {})
    assert not unknown, f"where do {unknown} come from? See WHOLE_ELSEWHERE"


@pytest.mark.parametrize("page", PAGES)
def test_the_numbers_in_the_text_are_those_of_the_results(page):
    text = prose(page)
    for sentence in stated(page, "SENTENCES", []):
        expected = filled_in(page, sentence, load_results())
        assert expected in text, f"results.json has: {expected}"
        text = text.replace(expected, "")
    unknown = unexplained(page, text, outputs(page))
    assert not unknown, f"where do {unknown} come from? Add their sentence to the page's test file"


def test_another_score_would_be_noticed():
    scores = {"test": {"mae": {"mean": 2.5646, "sd": 0.007}}}
    results = {"chapter1": {"auto_mpg": {"scores": scores}}}
    sentence = stated("chapter1", "SENTENCES", [])[0]
    assert filled_in("chapter1", sentence, results) not in prose("chapter1")


def test_a_number_from_nowhere_would_be_noticed():
    assert unexplained("chapter1", "2.50 mpg, 0.1 and 7.31", "loss 2.50\n0.1") == {"7.31"}


@pytest.mark.parametrize("page", PAGES)
def test_as_many_exercises_as_the_text_says(page):
    counts = re.findall(r"(\w+) exercises go with", prose(page))
    short = re.findall(r"(\w+) of them take five minutes", prose(page))
    cards = [c for c in all_cards().values() if contents.key_of(c.chapter) == page]
    assert [read(word) for word in counts] == [len(cards)] * len(counts)
    assert [read(word) for word in short] == [sum(c.minutes == 5 for c in cards)] * len(short)


def read(word: str) -> int:
    """Returns the number of a number word."""
    return DIGITS.index(word.lower()) + 1 if word.lower() in DIGITS else WORDS.get(word.lower(), 0)


def test_a_whole_number_from_nowhere_would_be_noticed():
    text = "Thirteen cars and 1,234 of 4_000; thirty-one, 81 % and twelve"
    assert from_nowhere(text, "range(12), 4_000, 0.81") == {
        "thirteen": 13, "1,234": 1234, "thirty-one": 31
    }  # fmt: skip


def test_what_is_no_result_is_let_through():
    text = (
        'In 1997, on 29 October and the 27th, chapter 13 said "80 % sure" of BERT-110; 2.14 ## 19.'
    )
    assert whole_numbers(text + " 10 and ten; about 22 to read") == {}
