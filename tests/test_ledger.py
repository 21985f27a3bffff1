"""The ledger: every claim holds, a wrong one is seen, and so are planted mistakes."""

import inspect
import json
import re

from kerasbook import ledger
from kerasbook.cli import app
from kerasbook.ledger.core import slopes

import numpy as np
import pytest
from typer.testing import CliRunner

CHAPTERS = sorted({one.chapter for one in ledger.CLAIMS})


# Chapter 9 starts processes; tests/test_devices.py has a quick one of them.
SLOW = {chapter: [pytest.mark.slow] * (chapter == "chapter9") for chapter in CHAPTERS}


@pytest.mark.parametrize("chapter", [pytest.param(c, marks=SLOW[c]) for c in CHAPTERS])
def test_every_claim_of_a_chapter_holds(chapter):
    claims = [one for one in ledger.CLAIMS if one.chapter == chapter]
    rows = [ledger.verify(one, dtypes=one.dtypes[-1:]) for one in claims]
    assert [row["claim"] for row in rows if not row["green"]] == []


def wrong_claim(ours, theirs):
    return ledger.Claim("chapter1", "wrong", lambda draw: {"values": (ours, theirs)})


@pytest.mark.parametrize(
    ("ours", "theirs", "green"),
    [
        ([1.0, 2.0], [1.0, 2.0], True),
        ([1.0, 2.0], [1.0, 2.0 + 1e-12], True),
        ([1.0, 2.0], [1.0, 2.001], False),
        ([1.0, np.nan], [1.0, np.nan], False),
        ([1.0], [[1.0]], False),
    ],
)
def test_a_difference_a_nan_and_another_shape_are_red(ours, theirs, green):
    assert ledger.verify(wrong_claim(ours, theirs))["green"] is green


def test_differences_are_measured_against_the_largest_of_their_kind():
    pairs = {"gradient of a": (1e-16, 0.0), "gradient of b": (2.0, 2.0 + 4e-16)}
    found = ledger.worst_of(pairs, "float64")
    assert found["pair"] == "gradient of b"
    assert found["relative"] == pytest.approx(2.2e-16, rel=0.1)
    assert found["ulps"] == 1


def test_slopes_have_a_tolerance_of_their_own_and_name_their_source():
    pairs = {"values": (1.0, 1.0), "slopes of x": (1.0, 1.0 + 1e-8)}
    row = ledger.verify(ledger.Claim("chapter1", "sloped", lambda draw: pairs), dtypes=("float64",))
    assert row["green"] is True
    assert row["sources"] == ["TensorFlow", "Keras", "finite differences"]
    pairs["slopes of x"] = (1.0, 1.0 + 1e-4)
    assert not ledger.verify(ledger.Claim("chapter1", "sloped", lambda draw: pairs))["green"]


def test_slopes_see_a_wrong_gradient():
    def pairs_of(gradient):
        x = np.array([1.0, 2.0, 3.0])
        return slopes(lambda x: np.sum(x**2), {"x": x}, [gradient * x])

    (found, expected) = pairs_of(2)["slopes of x"]
    assert found == pytest.approx(expected, rel=1e-8)
    (found, expected) = pairs_of(1)["slopes of x"]
    assert found == pytest.approx(2 * expected, rel=1e-8)


def test_every_file_of_claims_has_planted_mistakes_for_its_rows():
    files = {one.pairs.__module__ for one in ledger.CLAIMS}
    assert len(files) == 12
    assert len(ledger.CLAIMS) > 100
    assert len(ledger.MUTANTS) > 150


def test_claims_are_found_by_the_number_or_the_key_of_their_chapter():
    def keys(*names):
        result = CliRunner().invoke(app, ["verify", *names])
        return result.exit_code, re.findall(r"(\d+) of (\d+) claims", result.output)

    count = sum(one.chapter == "chapter1" for one in ledger.CLAIMS)
    assert keys("1") == keys("chapter1") == (0, [(str(count), str(count))])
    count = sum(one.chapter == "loop" for one in ledger.CLAIMS)
    assert keys("0") == keys("loop") == (0, [(str(count), str(count))])


def test_the_same_seed_draws_the_same_and_another_other_sizes():
    one = next(each for each in ledger.CLAIMS if each.name == "linear layer = Dense")
    shapes = []

    def remember(draw):
        shapes.append(draw(draw.size(), draw.size()).tolist())
        return {"values": (0, 0)}

    for seed in (0, 0, 1):
        ledger.verify(ledger.Claim("chapter1", one.name, remember), seed, ("float64",))
    assert shapes[0] == shapes[1] != shapes[2]


@pytest.mark.parametrize("mutant", ledger.MUTANTS, ids=lambda m: f"{m.function}: {m.what}")
def test_every_mutant_can_be_planted_and_is_removed_again(mutant):
    original = getattr(mutant.module, mutant.function)
    with ledger.planted(mutant):
        changed = getattr(mutant.module, mutant.function)
        assert changed is not original
    assert getattr(mutant.module, mutant.function) is original
    assert inspect.getsource(original).count(mutant.old) >= 1


def test_there_are_many_mutants_and_none_is_there_twice():
    planted = {(m.module_name, m.function, m.old, m.new) for m in ledger.MUTANTS}
    assert len(planted) == len(ledger.MUTANTS) >= 60


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_mutant_of_each_chapter_is_caught(chapter):
    mutant = next(each for each in ledger.MUTANTS if each.chapter == chapter)
    assert ledger.is_caught(mutant)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_all_mutants_are_caught():
    assert [m.what for m in ledger.MUTANTS if not ledger.is_caught(m)] == []


def rows_that_stay_green(chapter):
    """The claims of a chapter that none of its planted mistakes turns red."""
    left = [one for one in ledger.CLAIMS if one.chapter == chapter]
    for mutant in (each for each in ledger.MUTANTS if each.chapter == chapter):
        left = [one for one in left if not ledger.is_seen_by(mutant, one)]
    return [one.name for one in left]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_claim_is_turned_red_by_a_planted_mistake(chapter):
    assert rows_that_stay_green(chapter) == []


def test_the_command_prints_the_table_writes_json_and_fails_on_red(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "CLAIMS", [wrong_claim(1.0, 1.0)])
    file = tmp_path / "ledger.json"
    done = CliRunner().invoke(app, ["verify", "--json", str(file)])
    assert done.exit_code == 0
    assert "1 of 1 claims hold" in done.output
    assert json.loads(file.read_text())["rows"][0]["green"] is True
    monkeypatch.setattr(ledger, "CLAIMS", [wrong_claim(1.0, 2.0)])
    done = CliRunner().invoke(app, ["verify"])
    assert done.exit_code == 1
    assert "0 of 1 claims hold" in done.output
    assert CliRunner().invoke(app, ["verify", "77"]).exit_code == 2
