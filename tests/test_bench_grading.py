"""The benchmark of graders, with made-up contenders; the true ones are tried by hand."""

import json
import os
import signal
import subprocess
import sys
import time

from kerasbook.bench import grading

import pytest

pytestmark = pytest.mark.skipif(
    not hasattr(grading.os, "sched_setaffinity"), reason="binds processes to cores"
)


def compared(monkeypatch, contenders, **options):
    monkeypatch.setattr(grading, "CONTENDERS", contenders)
    lines = []
    figures = grading.compare(
        3, questions=("huber_loss",), contenders=tuple(contenders), show=lines.append, **options
    )
    return figures, lines


def test_rates_are_per_minute_and_core_and_preparing_does_not_count(monkeypatch):
    clock = iter([0.0, 2.0, 100.0, 104.0])  # a class of one, then the class
    monkeypatch.setattr(grading.time, "perf_counter", lambda: next(clock))

    def contender(contest):
        sizes.append(len(contest.answers))
        contest.memory = [1]  # of preparing: does not count
        assert "def huber_loss" in contest.answers["learner000"]["huber_loss"]
        return lambda: contest.memory.extend([2**20, 5 * 2**20, 3 * 2**20]) or (2, "no isolation")

    sizes = []
    figures, (line,) = compared(monkeypatch, {"fast": contender})
    assert sizes == [1, 3]
    row = figures["rows"]["fast"]
    assert row["submissions_per_minute_and_core"] == 45
    assert row["further_submissions_per_minute_and_core"] == 60
    assert row["memory_of_the_halves"] == [2**20, 5 * 2**20]
    assert "one in 2.0 s, each further one 1.00 s" in line
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


def test_memory_is_that_of_all_processes_below_and_what_they_share_counts_once(tmp_path):
    code = "import os, time; x = bytearray(b'x') * 50_000_000; os.fork(); time.sleep(60)"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {code!r}])"
    with subprocess.Popen([sys.executable, "-c", nested], start_new_session=True) as running:
        ends = time.monotonic() + 20
        while grading.memory_of(running.pid) < 50_000_000 and time.monotonic() < ends:
            time.sleep(0.05)
        time.sleep(0.2)  # until it has forked
        size = grading.memory_of(running.pid)
        os.killpg(running.pid, signal.SIGKILL)
    assert 50_000_000 < size < 95_000_000


def test_bad_arguments_are_errors():
    for bad in (["--number", "0"], ["--cores", "0"], ["--only", "gradescope"]):
        with pytest.raises(SystemExit):
            grading.main(bad)
