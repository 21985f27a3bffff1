"""Each mistake of the articles fails as the page says, and its right form does not."""

import re
from pathlib import Path

from kerasbook.pages import errata

import pytest

# Other numbers in the text, and what they are.
ELSEWHERE = {"1.461": "the least loss, by a formula"}

# number: what the wrong form gives, what the right one gives
OUTCOMES = {
    1: (r"^16 rows for 9", r"^9 rows for 9"),
    2: (r"^16,981,120 weights", r"^320 weights"),
    3: (r"difference [1-9]", r"difference (0|.*e-1\d)$"),
    4: (r"difference \d?\.?\d+$", r"difference \d+e-(09|1\d)$"),
    5: (r"0\.232$", r"1\.000$"),
    6: (r"^ValueError: Invalid input shape", r"\(2, 10\)"),
    7: (r"^ValueError: 8 heads cannot share a width of 100", r"^64$"),
    8: (r"^8 blocks", r"^6 blocks"),
    9: (r"invisible", r"is seen"),
    10: (r"^reads the future", r"^does not read"),
    11: (r"100%$", r" 0%$"),
    12: (r"^ValueError: .*lr", r"0\.01$"),
    13: (r"layer \de-", r"layer 0\.\d"),
    14: (r"^1 steps", r"^15 steps"),
    15: (r"^ValueError: ", r"^loss 2\.3$"),
    16: (r"difference (0\.\d|1|2)$", r"difference (0|\de-1\d)$"),
    17: (r"by 0\.\d", r"by 0$"),
    18: (None, r"difference 0$"),
    20: (r"^loss 1\.461, floor 1\.461$", r"^loss 0\.000$"),
    21: (r"^NameError: name 'losses'", r"^3 losses"),
    22: (r"^(ValueError|TypeError|KeyError)", r"^2 epochs"),
    23: (r"^TypeError: .*y_true", r"^loss 0\.693$"),
    24: (None, r"length 5\.0 before, 0\.54 after"),
    25: (None, r"^109,386 parameters"),
    27: (r"accuracy 0\.6\d", r"accuracy 0\.[45]\d"),
}


@pytest.mark.parametrize("number", OUTCOMES)
def test_a_mistake_fails_and_its_right_form_does_not(number):
    for kind, expected in zip(("wrong", "right"), OUTCOMES[number], strict=True):
        function = getattr(errata, f"{kind}_{number}", None)
        assert (function is None) == (expected is None)
        if function is not None:
            found = errata.outcome(function)
            assert re.search(expected, found), f"{kind}_{number} gives {found!r}"


@pytest.mark.parametrize("number", errata.RECORDED)
def test_without_pytorch_the_recorded_outcome_is_shown_and_labelled(number, monkeypatch, capsys):
    monkeypatch.setattr(errata.importlib.util, "find_spec", lambda name: None)
    errata.show(number)
    assert f"in PyTorch (recorded): {errata.RECORDED[number]}" in capsys.readouterr().out


@pytest.mark.peer
@pytest.mark.parametrize("number", errata.RECORDED)
def test_in_pytorch_the_articles_code_gives_what_was_recorded(number):
    pytest.importorskip("torch")
    assert errata.in_pytorch(number) == f"in PyTorch (run): {errata.RECORDED[number]}"


def test_swapping_the_arguments_of_a_loss_changes_it():
    right, swapped = errata.swapped_arguments()
    assert abs(right - swapped) > 1


def test_all_27_mistakes_stand_on_the_page_and_all_functions_are_tested():
    text = Path(errata.__file__).read_text()
    assert [int(n) for n in re.findall(r"^# ## (\d+)\. ", text, re.MULTILINE)] == list(range(1, 28))
    assert set(errata.RECORDED) == {1, 6, 7, 8, 10, 18, 20}
    functions = set(re.findall(r"^def (?:wrong|right)_(\d+)\(", text, re.MULTILINE))
    assert functions == {str(number) for number in OUTCOMES}
