"""The benchmark of graders, with made-up contenders; the true ones are tried by hand."""

import json
import sys

from kerasbook.bench import grading

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(grading.os, "sched_setaffinity"), reason="binds processes to cores"
)


def compared(monkeypatch, contenders, **options):
    monkeypatch.setattr(grading, "CONTENDERS", contenders)
    lines = []
    figures = grading.compare(
        3, questions=("huber_loss",), contenders=tuple(contenders), told=lines.append, **options
    )
    return figures, lines


def test_rates_are_per_minute_and_core_and_preparing_does_not_count(monkeypatch):
    clock = iter([100.0, 104.0])
    monkeypatch.setattr(grading.time, "perf_counter", lambda: next(clock))

    def contender(contest):
        assert len(contest.answers) == 3
        assert "def huber_loss" in contest.answers["learner000"]["huber_loss"]
        return lambda: (2, "no isolation")

    figures, (line,) = compared(monkeypatch, {"fast": contender})
    assert figures["rows"]["fast"]["submissions_per_minute_and_core"] == 45
    assert "45.0 submissions" in line
    assert "2 of 3 answers right" in line
    json.dumps(figures)


def test_what_is_absent_or_fails_is_left_out_with_a_word(monkeypatch):
    def absent(contest):
        contest.needs("no_such_package")

    def failing(contest):
        return lambda: contest.run(sys.executable, "-c", "raise SystemExit('it broke')")

    figures, lines = compared(monkeypatch, {"absent": absent, "failing": failing})
    assert figures["rows"] == {}
    assert "has no no_such_package" in lines[0]
    assert "it broke" in lines[1]


def test_everybody_is_bound_to_the_same_cores(tmp_path):
    contest = grading.Contest(tmp_path, {}, 0, sys.executable, 1)
    told = contest.run(sys.executable, "-c", "import os; print(len(os.sched_getaffinity(0)))")
    assert told.strip() == "1"
    with pytest.raises(SystemExit, match="--cores 10000"):
        grading.Contest(tmp_path, {}, 0, sys.executable, 10_000)


def test_bad_arguments_are_errors():
    for bad in (["--number", "0"], ["--cores", "0"], ["--only", "gradescope"]):
        with pytest.raises(SystemExit):
            grading.main(bad)
