"""A class graded from submissions to tables: resumable, the same bytes, nobody in another's way."""

import contextlib
import csv
import dataclasses
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import kerasbook
from kerasbook.cli import app, export, teach, verbs
from kerasbook.exercises import Case, Exercise, ExerciseError, load
from kerasbook.grading import classroom, similarity
from kerasbook.grading import records as records_module
from kerasbook.grading import workers as workers_module
from kerasbook.grading.exports import read_record
from kerasbook.grading.html import feedback_page
from kerasbook.grading.intake import readers
from kerasbook.grading.question import STATUSES
from kerasbook.grading.records import GradingError
from kerasbook.grading.submissions import Submission
from kerasbook.grading.tables import safe_cell, table
from kerasbook.grading.text import escaped_name
from kerasbook.grading.workers import Workers, WorkersError
from kerasbook.learner.selfcheck import selfcheck

import numpy as np
import pytest
from typer.testing import CliRunner

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="answers are checked where fork is")

DOCS = Path(__file__).parent.parent / "docs"
WRONG = "\n\n".join(
    f"@exercise.wrong({message!r})\ndef wrong_{number}(x):\n    return {text}"
    for number, (text, message) in enumerate(
        [
            ("np.sum(x)", "That is the sum: divide by the number of values."),
            ("np.median(x)", "That is the middle value, not the mean."),
            ("x[0]", "That is the first value."),
            ("np.max(x)", ""),
            ("np.min(x)", ""),
            ("x", ""),
            ("np.mean(x) + 1.0", ""),
            ("-np.mean(x)", ""),
        ]
    )
)
EXERCISE = f'''"""The mean."""

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter=1, minutes=5, difficulty=1, points=2, hints=["one", "two", "three"], seconds=5.0
)


@exercise.stub
def mean(x):
    """The mean of an array (n,), float64."""
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("three numbers", {{"x": np.array([1.0, 2.0, 6.0])}})


@exercise.hidden
def drawn(random):
    for number in range(4):
        yield Case(f"random numbers {{number}}", {{"x": random.normal(size=5 + number)}})


@exercise.reference
def solution(x):
    return np.mean(x)


@exercise.right
def by_sum(x):
    return x.sum() / len(x)


@exercise.right
def by_loop(x):
    return sum(float(one) for one in x) / len(x)


@exercise.right
def by_method(x):
    return x.mean()


{WRONG}
'''
RIGHT = "import numpy as np\n\n\ndef mean(x):\n    return np.mean(x)\n"
HALF = (
    "def mean(x):\n    if len(x) == 3:\n        return float(sum(x) / 3)\n"
    "    raise ValueError('<script>alert(1)</script>')\n"
)
ANSWERS = {
    "anna": RIGHT,
    "ben, the =second": "import numpy as np\n\n\ndef mean(x):\n    return np.sum(x)\n",
    '=HYPERLINK("x")': HALF,
    "dora": "def mean(x):\n    print('<img src=x onerror=alert(1)>')\n    return x[0]\n",
    "emil": "def mean(x:\n",
    "new\nline": "def mean(x):\n    return 3.0 if len(x) == 3 else 0.0\n",
}


@pytest.fixture(scope="module")
def exercises(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher") / "exercises"
    folder.mkdir()
    (folder / "mean.py").write_text(EXERCISE)
    return folder


@pytest.fixture(scope="module")
def handed_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class")
    for name, text in ANSWERS.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    with Workers() as warm:
        yield warm


def grade_all(exercises, handed_in, workers, out, key=b"k" * 16, jobs=2):
    """The class graded in this process; its records by learner."""
    course = classroom.Course(load(exercises), workers, key, out)
    paths, _ = classroom.submissions_in(handed_in)
    made = list(classroom.grade_class(course, paths, jobs))
    classroom.write_tables(course, made)
    return {record["learner"]: record for record in made}


@pytest.fixture(scope="module")
def graded(exercises, handed_in, workers, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, grade_all(exercises, handed_in, workers, out)


def bytes_of(out):
    """Name → content of everything in the results but the key."""
    return {
        path.relative_to(out).as_posix(): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name != "key"
    }


def command(exercises, handed_in, out, key, *more):
    return [
        sys.executable, "-m", "kerasbook", "grade", str(handed_in), "--out", str(out),
        "--exercises", str(exercises), "--key", str(key), "--require-isolation", "5", *more,
    ]  # fmt: skip


# What is in a record, a page, a table


def test_points_statuses_and_messages(graded):
    _, records = graded
    outcomes = {name: record["questions"]["mean"] for name, record in records.items()}
    assert {name: one["status"] for name, one in outcomes.items()} == {
        "anna": "pass",
        "ben, the =second": "fail",
        '=HYPERLINK("x")': "error",
        "dora": "fail",
        "emil": "unreadable",
        "new\\nline": "fail",
    }
    assert {name: one["points"] for name, one in outcomes.items()} == {
        name: 2.0 if name == "anna" else 0.0 for name in records
    }
    assert all(record["max_points"] == 2 for record in records.values())
    assert outcomes["ben, the =second"]["misconception"] == "wrong_0"
    assert "divide" in outcomes["ben, the =second"]["message"]
    assert "emil.py" in records["emil"]["notes"][0]
    assert [name for name, one in records.items() if one["needs_attention"]] == ["emil"]


def test_of_a_hidden_case_neither_values_nor_messages_are_told(graded):
    out, records = graded
    outcome = records["new\\nline"]["questions"]["mean"]
    assert outcome["message"] == "a hidden case fails"
    hidden = [case for case in outcome["cases"] if case["which"] == "hidden"]
    assert [set(case) for case in hidden] == [{"name", "which", "status"}] * 4
    name = records_module.file_name("new\\nline")
    page = (out / "feedback" / f"{name}.html").read_text()
    assert "1 of 1 public cases passed" in page
    assert "0 of 4 hidden cases passed" in page
    assert "expected" not in page


def test_pages_do_nothing(graded):
    out, records = graded
    pages = sorted((out / "feedback").iterdir())
    assert len(pages) == len(records)
    for page in pages:
        text = page.read_text()
        tags = set(re.findall(r"<\s*([a-zA-Z]\w*)", text))
        assert tags <= set(
            re.findall(r"\w+", "html head meta title style body h1 h2 p ul li b code pre")
        )
        assert "default-src 'none'" in text
        assert not re.search(r"<[^>]*\s(on\w+|href|src)\s*=", text)
    everything = "".join(page.read_text() for page in pages)
    assert "&lt;script&gt;" in everything
    assert "&lt;img src=x" in everything


def test_a_page_escapes_whatever_a_record_holds():
    evil = "</pre><script>x</script>\u202e\x1b[2J"
    outcome = {
        "status": "fail", "points": None, "max_points": 2, "message": evil, "output": evil,
        "cases": [{"name": evil, "which": "public", "status": "fail", "message": evil + "2"}],
    }  # fmt: skip
    record = {
        "learner": evil, "points": 0, "max_points": 2, "notes": [evil],
        "questions": {"mean": outcome},
    }  # fmt: skip
    page = feedback_page(record, {"mean": "The mean"})
    assert "<script" not in page
    assert page.count("<pre>") == page.count("</pre>") == 3
    for bad in "\u202e\x1b":
        assert bad not in page


def test_tables_can_be_read_and_hold_no_formula(graded):
    out, _ = graded
    with (out / "grades.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(ANSWERS)
    learners = [row["learner"] for row in rows]
    assert "ben, the =second" in learners
    assert "new\\nline" in learners
    assert '\'=HYPERLINK("x")' in learners
    for name in ("grades.csv", "questions.csv", "similarity.csv"):
        with (out / name).open(newline="") as file:
            for cell in (cell for row in csv.reader(file) for cell in row):
                assert cell.strip()[:1] not in tuple("=+@"), cell
    with (out / "questions.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["share_passed"] == "0.167"
    assert row["statuses"] == "fail 3, error 1, pass 1, unreadable 1"
    assert row["misconceptions"] == "wrong_0 1, wrong_2 1"


def test_harmless_cells():
    for text in ("=1", "+1", "-1", "@x", " =1", "＝1"):
        assert safe_cell(text) == "'" + text
    for text in ("\t=1", "\n=1", "\r1", "\x1b=1", "\x9b", "\u202e=1", "\ud800"):
        assert safe_cell(text) == ascii(text)[1:-1]
    for text in ("", "anna", "a=b", "O'Neil", 'say "x"'):
        assert safe_cell(text) == text
    assert table(["a"], [['x,"y"'], [1.5]]) == '"a"\n"x,""y"""\n"1.5"\n'


def test_results_are_for_their_owner_only(graded):
    out, _ = graded
    for path in [out / "records", out / "feedback"]:
        assert path.stat().st_mode & 0o777 == 0o700
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) == 2 * len(ANSWERS) + 3
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}


NO_TENSORFLOW = """
import sys
from kerasbook.grading import workers
main = "import socket; server.main(socket.socket(fileno=int(sys.argv[2])))"
workers.START = workers.START.partition("server.start")[0] + main
from kerasbook.cli import main
sys.exit(main())
"""
PRYING = """
import os

def mean(x):
    for name in ("results/key", "exercises/mean.py", "handed_in/ben.py", "results"):
        try:
            path = os.path.join(COURSE, name)
            print("read", os.listdir(path) if name == "results" else open(path).read(30))
        except OSError as error:
            print("not", name)
    return 0.0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="levels 1 and 2 are of Linux")
@pytest.mark.parametrize("level", ["1", "2"])
def test_folders_given_as_relative_paths_are_hidden(level, tmp_path):
    """In a course that lies under a folder of libraries, which answers may read."""
    environment = tmp_path / "environment"
    venv.create(environment, symlinks=True)
    libraries = next(environment.glob("lib/python*/site-packages"))
    (libraries / "more.pth").write_text(f"{Path(np.__file__).parents[1]}\n{DOCS.parent}\n")
    course = environment / "lib" / "course"
    for name in ("handed_in", "exercises"):
        (course / name).mkdir(parents=True)
    (course / "exercises" / "mean.py").write_text(EXERCISE)
    (course / "handed_in" / "ada.py").write_text(f"COURSE = {str(course)!r}\n{PRYING}")
    (course / "handed_in" / "ben.py").write_text(RIGHT)
    python = [environment / "bin" / "python", "-c", NO_TENSORFLOW, "grade", "handed_in"]
    options = ["--out", "results", "--exercises", "exercises", "--level", level]
    done = subprocess.run([*python, *options], cwd=course, capture_output=True, text=True)
    if "only isolation level" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    record = json.loads((course / "results" / "records" / "ada.json").read_text())
    assert record["isolation_level"] == int(level)
    lines = record["questions"]["mean"]["output"].splitlines()
    assert set(lines) == {
        "not results/key", "not exercises/mean.py", "not handed_in/ben.py", "not results",
    }  # fmt: skip
    ben = json.loads((course / "results" / "records" / "ben.json").read_text())
    assert ben["points"] == 2


def test_a_hidden_folder_that_holds_the_libraries_is_refused():
    with pytest.raises(WorkersError, match="holds the libraries that they need"):
        Workers(hidden=[Path(np.__file__).parents[2]])


# The same again


def test_grading_again_reads_the_records_and_another_key_draws_other_cases(
    graded, exercises, handed_in, workers, tmp_path, monkeypatch
):
    out, records = graded
    before = bytes_of(out)
    seeds = []
    drawn = classroom.secret_seed

    def seen(*args):
        seeds.append(drawn(*args))
        return seeds[-1]

    monkeypatch.setattr(classroom, "secret_seed", seen)
    assert grade_all(exercises, handed_in, workers, out) == records
    assert seeds == []  # nothing was graded
    assert bytes_of(out) == before
    assert grade_all(exercises, handed_in, workers, tmp_path / "again") == records
    assert bytes_of(tmp_path / "again") == before
    first = set(seeds)
    seeds.clear()
    grade_all(exercises, handed_in, workers, tmp_path / "again", b"q" * 16)
    assert len(seeds) == len(first) == 5  # emil has no answer
    assert not first & set(seeds)


def test_a_changed_submission_or_exercise_or_a_damaged_record_is_graded_again(
    exercises, workers, tmp_path
):
    place, out = tmp_path / "class", tmp_path / "out"
    place.mkdir()
    (place / "anna.py").write_text(RIGHT)
    assert grade_all(exercises, place, workers, out)["anna"]["points"] == 2
    (place / "anna.py").write_text(HALF)
    assert grade_all(exercises, place, workers, out)["anna"]["points"] == 0
    (place / "anna.py").write_text(RIGHT)
    for damage in ("", "{", "[]", '{"made_from": 3}'):
        (out / "records" / "anna.json").write_text(damage)
        assert grade_all(exercises, place, workers, out)["anna"]["points"] == 2
    mine = tmp_path / "exercises"
    mine.mkdir()
    (mine / "mean.py").write_text(EXERCISE.replace("points=2", "points=4"))
    assert grade_all(mine, place, workers, out)["anna"]["points"] == 4


# Faults


def test_a_fault_of_ours_is_flagged_is_no_zero_and_is_tried_again(
    handed_in, workers, tmp_path, monkeypatch
):
    broken = tmp_path / "exercises"
    broken.mkdir()
    text = EXERCISE.replace(
        "def solution(x):\n    return", "def solution(x):\n    1 / 0\n    return"
    )
    (broken / "mean.py").write_text(text)
    records = grade_all(broken, handed_in, workers, tmp_path / "out")
    for name, record in records.items():
        outcome = record["questions"]["mean"]
        if name == "emil":
            continue
        assert outcome["status"] == "internal"
        assert outcome["points"] is None
        assert record["needs_attention"]
    with (tmp_path / "out" / "grades.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["learner"] == "anna")
    assert row["mean"] == "internal"
    assert row["attention"]
    assert "a fault of the grader" in (tmp_path / "out" / "feedback" / "anna.html").read_text()
    entries, _ = classroom.submissions_in(handed_in)
    course = classroom.Course(load(broken), workers, b"k" * 16, tmp_path / "out")
    (tmp_path / "out" / "records" / "anna.json").touch()
    graded = []
    monkeypatch.setattr(records_module, "write", lambda path, text: graded.append(path.name))
    classroom.grade_one(course, next(one for one in entries if one[0].name == "anna.py"))
    assert "anna.json" in graded  # not taken from its record


def test_an_unreadable_submission_needs_attention_and_stops_nobody(
    exercises, handed_in, workers, tmp_path, monkeypatch
):
    apart = classroom.take_in_apart

    def taken(path, questions, more):
        if path.name == "dora.py":
            return Submission("dora", notes=["cannot be read: the reader ended"])
        return apart(path, questions, more)

    monkeypatch.setattr(classroom, "take_in_apart", taken)
    records = grade_all(exercises, handed_in, workers, tmp_path)
    assert len(records) == len(ANSWERS)
    assert [name for name, one in records.items() if one["needs_attention"]] == ["dora", "emil"]
    assert [name for name, one in records.items() if one["to_retry"]] == ["dora"]
    assert records["anna"]["points"] == 2


def test_unreadable_is_not_the_same_as_not_done(exercises, workers, tmp_path):
    folder = tmp_path / "class"
    (folder / "empty").mkdir(parents=True)
    (folder / "link").mkdir()
    (folder / "link" / "answer.py").symlink_to("/etc/passwd")
    cells = [{"cell_type": "code", "source": ["import numpy as np\n", "def mean(x) return 1"]}]
    texts = {
        "colon.py": "import numpy\n\ndef mean(x)\n    return 1\n",
        "book.ipynb": "{",
        "cell.ipynb": json.dumps({"cells": cells, "nbformat": 4}),
        "packed.tar.gz": "",
        "paper.pdf": "",
        "utf16.py": "\ufeffdef",
        "stub.py": EXERCISE.split("@exercise.stub\n")[1].split("@")[0],
        "bare.py": "def mean(x):  # later\n    raise NotImplementedError",
        "other.py": "def median(x):\n    return x[0]\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-16" if name == "utf16.py" else "utf-8")
    records = grade_all(exercises, folder, workers, tmp_path / "out")
    told = {name: one["questions"]["mean"]["message"] for name, one in records.items()}
    statuses = {name: one["questions"]["mean"]["status"] for name, one in records.items()}
    unread = ["empty", "link", "colon", "book", "cell", "packed", "paper", "utf16"]
    expected = dict.fromkeys(unread, "unreadable") | {"other": "missing"}
    assert statuses == expected | dict.fromkeys(("stub", "bare"), "not begun")
    assert {name for name, one in records.items() if one["needs_attention"]} == set(unread)
    assert "colon.py: line 3: expected ':'" in told["colon"]
    assert "cell 1, line 2" in told["cell"]
    assert "packed.tar.gz" in told["packed"]
    with (tmp_path / "out" / "grades.csv").open(newline="") as file:
        rows = {row["learner"]: row["attention"] for row in csv.DictReader(file)}
    assert rows["packed"] == "look at this one"
    assert rows["stub"] == ""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_memory_does_not_grow_with_the_class(workers, tmp_path):
    layers = "    for _ in range(5):\n        keras.layers.Dense(1).build((1, len(x)))\n"
    text = EXERCISE.replace("import numpy", "import keras\nimport numpy", 1)
    text = text.replace("def solution(x):\n", "def solution(x):\n" + layers)
    for name in ("exercises", "class"):
        (tmp_path / name).mkdir()
    (tmp_path / "exercises" / "mean.py").write_text(text)
    for number in range(16):
        (tmp_path / "class" / f"learner{number}.py").write_text(f"{RIGHT}\n# {number}\n")
    course = classroom.Course(load(tmp_path / "exercises"), workers, b"k" * 16, tmp_path / "out")
    sizes = []
    for record in classroom.grade_class(course, classroom.submissions_in(tmp_path / "class")[0]):
        assert record["points"] == 2
        of_us, of_workers, of_readers = os.getpid(), workers._server.pid, readers._server.pid
        sizes.append([own_memory(number) for number in (of_us, of_workers, of_readers)])
    grown = [last - early for early, last in zip(sizes[5], sizes[-1], strict=True)]
    assert max(grown) < 3 * 2**20, grown


def own_memory(number):
    """Bytes that a process holds, without files."""
    status = Path(f"/proc/{number}/status").read_text()
    return 1024 * int(re.search(r"^RssAnon:\s+(\d+)", status, re.M)[1])


@pytest.mark.parametrize("times", [1, 100])
def test_a_server_killed_in_a_question_costs_nobody_points(exercises, tmp_path, monkeypatch, times):
    """Once: the question is graded again. Every time: flagged, and no zero."""
    main = "import socket; server.main(socket.socket(fileno=int(sys.argv[2])))"
    start = workers_module.START.partition("server.start")[0] + main  # without TensorFlow
    monkeypatch.setattr(workers_module, "START", start)
    kills = iter(range(times))
    handed_in = tmp_path / "class"
    handed_in.mkdir()
    for name in ("anna", "dora"):
        (handed_in / f"{name}.py").write_text(ANSWERS[name])

    def grade(exercise, solution, seed):
        if next(kills, None) is not None:
            list(solution.call(exercise.cases("public")[0].all_calls()))
            solution.workers._server.kill()
            select.select([solution._worker._control], [], [], 10)  # until the keeper is gone
        return truly(exercise, solution, seed)

    truly = classroom.grade
    with Workers() as workers:
        plain = grade_all(exercises, handed_in, workers, tmp_path / "plain", jobs=1)
        monkeypatch.setattr(classroom, "grade", grade)
        killed = grade_all(exercises, handed_in, workers, tmp_path / "killed", jobs=1)
    if times == 1:
        assert killed == plain
    else:
        for record in killed.values():
            assert record["questions"]["mean"]["status"] == "internal"
            assert record["questions"]["mean"]["points"] is None
            assert record["needs_attention"]


def test_half_a_character_from_a_worker_can_be_written(tmp_path):
    records_module.write(tmp_path / "x", "a\ud800b")
    assert (tmp_path / "x").read_text() == "a?b"


CROWD = """
import threading, time

def mean(x):
    threading.stack_size(65536)
    for _ in range(380):
        try:
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError:  # it holds what it has
            pass
    time.sleep(4)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="levels 1 and 2 are of Linux")
@pytest.mark.parametrize("level", ["1", "2"])
def test_crowds_of_threads_cost_nobody_else_points(level, exercises, tmp_path):
    """Four at a time, with few processes left to the user; the limit does not hold for root."""
    folder = tmp_path / "class"
    folder.mkdir()
    for number in range(6):
        (folder / f"honest{number}.py").write_text(RIGHT + f"# {number}")
        if number < 3:
            (folder / f"crowd{number}.py").write_text(CROWD + f"# {number}")
    own = sum(
        len(list(one.glob("task/*")))
        for one in Path("/proc").glob("[0-9]*")
        if one.stat().st_uid == os.getuid()
    )
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NPROC, ({own + 600},) * 2)\n"
    python = [sys.executable, "-c", code + NO_TENSORFLOW, "grade", str(folder), "--jobs", "4"]
    options = ["--out", tmp_path / "out", "--exercises", exercises, "--level", level]
    done = subprocess.run([*python, *options], cwd=DOCS.parent, capture_output=True, text=True)
    if "only isolation level" in done.stderr:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    for path in (tmp_path / "out" / "records").iterdir():
        record = json.loads(path.read_text())
        honest = record["learner"].startswith("honest")
        wanted = ["pass"] if honest else ["crash", "error", "timeout", "fail"]
        assert record["questions"]["mean"]["status"] in wanted
        assert not record["needs_attention"]


# Names, parts, locks


def test_what_moodle_and_canvas_put_behind_a_name_is_left_out(exercises, workers, tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    for name in (
        "Anna Berg_123456_assignsubmission_file_",
        "Ben Cole_123457_assignsubmission_file_mean.py",
        "Ben Cole_123999_assignsubmission_file_mean.py",  # another of the same name
        "dorfemma_LATE_4567_891011_mean-2.py",
        "fox_hole_1.py",
    ):
        path = folder / name
        if name.endswith("_"):
            path.mkdir()
            path = path / "mean.py"
        path.write_text(RIGHT)
    records = grade_all(exercises, folder, workers, tmp_path / "out")
    assert sorted(records) == [
        "Anna Berg",
        "Ben Cole 123457",
        "Ben Cole 123999",
        "dorfemma",
        "fox_hole_1",
    ]
    assert "handed in late" in records["dorfemma"]["notes"]
    assert (tmp_path / "out" / "feedback" / "Anna Berg.html").is_file()
    assert all(record["points"] == 2 for record in records.values())


def test_a_page_says_assignment_day_version_inputs_and_output(exercises, workers, tmp_path):
    folder = tmp_path / "class"
    folder.mkdir()
    (folder / "ben.py").write_text(ANSWERS["ben, the =second"])
    os.utime(folder / "ben.py", (1_000_000_000, 1_000_000_000))
    course = classroom.Course(load(exercises), workers, b"k" * 16, tmp_path / "out", "Week <3>")
    list(classroom.grade_class(course, classroom.submissions_in(folder)[0]))
    page = (tmp_path / "out" / "feedback" / "ben.html").read_text()
    for told in (
        "Week &lt;3&gt;",
        "2001-09-09",
        f"kerasbook {kerasbook.__version__}",
        f"isolation level {workers.level}",
        "three numbers, output result",
        "x  float64 (3,)\n[1. 2. 6.]",
    ):
        assert told in page, told


def test_parts_make_the_bytes_of_the_whole(exercises, handed_in, workers, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    grade_all(exercises, handed_in, workers, whole)
    entries, _ = classroom.submissions_in(handed_in)
    course = classroom.Course(load(exercises), workers, b"k" * 16, parts)
    records_module.make_folders(parts)
    half = parts / "records" / ".unfinished-1-other.json"  # another part's, just being written
    half.write_text("")
    list(classroom.grade_class(course, entries, part="1/2"))
    assert half.exists()
    half.unlink()
    merging = classroom.Course(load(exercises), None, b"k" * 16, parts)
    with pytest.raises(GradingError, match="3 of 6 are not graded yet"):
        classroom.merge(merging, entries)
    list(classroom.grade_class(course, entries, part="2/2"))
    classroom.write_tables(merging, classroom.merge(merging, entries))
    assert bytes_of(parts) == bytes_of(whole)
    split = [one for n in (1, 2, 3, 4) for one in classroom.part_of(entries, f"{n}/4")]
    assert sorted(split) == entries
    for bad in ("0/2", "3/2", "2", "a/b", "1/0", "-1/2"):
        with pytest.raises(GradingError, match="as 2/8"):
            classroom.part_of(entries, bad)


def test_a_key_is_made_once(tmp_path, monkeypatch):
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(records_module.read_key, [tmp_path / "key"] * 32))
    assert len(keys) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["key"]


def test_a_lock_keeps_questions_and_points(exercises, tmp_path):
    folder, lock = tmp_path / "own", tmp_path / "lock.json"
    folder.mkdir()
    (folder / "mean.py").write_text(EXERCISE)
    assert list(teach.locked(lock, folder, None, None)) == ["mean"]
    (folder / "mean.py").write_text(EXERCISE.replace("points=2", "points=5"))
    more = EXERCISE.replace("def mean(", "def median(")
    (folder / "median.py").write_text(more)
    found = teach.locked(lock, folder, None, None)
    assert {name: one.points for name, one in found.items()} == {"mean": 2}
    assert len(teach.locked(None, folder, None, None)) == 2
    (folder / "mean.py").unlink()
    with pytest.raises(ExerciseError, match="there is no exercise 'mean'"):
        teach.locked(lock, folder, None, None)
    for text in ("[]", "{}", "x", '{"mean": "2"}'):
        lock.write_text(text)
        with pytest.raises(ExerciseError, match="is no lock"):
            teach.locked(lock, folder, None, None)


def test_the_command_grades_parts_and_names_who_handed_in_nothing(exercises, tmp_path):
    folder, out = tmp_path / "class", tmp_path / "out"
    folder.mkdir()
    for name in ("anna", "ben"):
        (folder / f"{name}.py").write_text(RIGHT)
    roster = tmp_path / "roster.csv"
    roster.write_text("learner\nanna\nben\nzoe\n")
    more = ["--roster", str(roster), "--exercises-lock", str(tmp_path / "lock.json")]
    words = command(exercises, folder, out, tmp_path / "key", *more)[3:]
    for part in ("1/2", "2/2"):
        done = CliRunner().invoke(app, [*words, "--part", part])
        assert done.exit_code == 0, done.output
        assert "1 learner: " in done.output
        assert not (out / "grades.csv").exists()
    done = CliRunner().invoke(app, [*words, "--merge"])
    assert done.exit_code == 0, done.output
    assert "handed in nothing: zoe" in done.output
    with (out / "grades.csv").open(newline="") as file:
        rows = {row["learner"]: (row["points"], row["notes"]) for row in csv.DictReader(file)}
    assert rows == {"anna": ("2.0", ""), "ben": ("2.0", ""), "zoe": ("0.0", "handed in nothing")}


# Likeness


def likeness(**answers):
    runs = {name: {"mean": similarity.runs_of(text, "mean")} for name, text in answers.items()}
    return [row[1:] for row in similarity.pairs(runs, ["mean"])]


def test_a_renamed_copy_is_found_and_two_independent_answers_are_not():
    original = """
def mean(x):
    total, count = 0.0, 0
    for value in x:
        if value is not None:
            total += float(value)
            count += 1
    return total / count if count else 0.0
"""
    renamed = '''
def mean(x):
    """My own."""
    a, b = 0.0, 0  # mine
    for c in x:
        if c is not None:
            a += float(c)
            b += 1
    return a / b if b else 0.0
'''
    other = """
def mean(x):
    import numpy as np
    kept = np.array([one for one in x if one is not None], float)
    try:
        return kept.sum() / kept.size
    except ZeroDivisionError:
        return np.zeros(1)[0]
"""
    ((one, two, share),) = likeness(anna=original, ben=renamed, carl=other)
    assert (one, two) == ("anna", "ben")
    assert share >= 0.8
    assert likeness(anna=original, carl=other) == []
    assert likeness(anna="def mean(x): return 1", ben="def mean(x): return 2") == []
    assert likeness(anna="def mean(", ben="") == []


def written(number, extra=""):
    """An answer of some 300 syntax nodes, another for each number, below what the teacher gave."""
    draw = random.Random(number)

    def value(depth):
        if not depth:
            return draw.choice(["x", "x[0]", "-x", "1", "len(x)", "x.size"])
        forms = [
            "({} + {})",
            "({} * {})",
            "f({}, {})",
            "[{}, {}]",
            "({} if {} else 0)",
            "({} < {})",
        ]
        return draw.choice(forms).format(value(depth - 1), value(depth - 1))

    lines = ["import numpy as np", "x = np.asarray(x, float).ravel().tolist()", *extra.splitlines()]
    lines += [f"x = {value(4)}" for _ in range(4)] + ["return sum(x)"]
    return "def mean(x):\n" + "\n".join(f"    {line}" for line in lines) + "\n"


@pytest.mark.parametrize(("copies", "others"), [(5, 4), (4, 0), (30, 10), (8, 1)])
def test_however_many_copy_each_pair_is_found(copies, others):
    copied = {f"copy{number:02}": written(0) for number in range(copies - 1)}
    copied["copylast"] = written(0, "print(x)")  # hardly changed
    honest = {f"own{number:02}": written(3 * number + 1) for number in range(others)}
    found = likeness(**copied, **honest)
    among = [row for row in found if row[0].startswith("copy") and row[1].startswith("copy")]
    assert len(among) == copies * (copies - 1) // 2
    assert not [row for row in found if row[0].startswith("copy") and row[1].startswith("own")]


# The command


def test_only_the_named_questions_are_imported(exercises, tmp_path):
    (tmp_path / "mean.py").write_text((exercises / "mean.py").read_text())
    (tmp_path / "other.py").write_text("@exercise.stub\ndef other(): ...\nraise SystemExit")
    assert list(verbs.chosen(tmp_path, None, "mean")) == ["mean"]
    with pytest.raises(ExerciseError, match="no exercise 'median' among mean, other"):
        verbs.chosen(tmp_path, None, "mean, median")
    with pytest.raises(ExerciseError, match="mean is of chapter 1, not chapter 2"):
        verbs.chosen(tmp_path, 2, "mean")


def test_the_grader_of_numpy_questions_does_not_import_tensorflow(exercises):
    code = (
        "import sys; from kerasbook.cli import verbs; from kerasbook.grading import classroom\n"
        f"verbs.chosen(verbs.Path({str(exercises)!r}))\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=DOCS.parent).returncode == 0


def test_weaker_walls_than_required_are_refused(exercises, handed_in, tmp_path):
    done = subprocess.run(
        [
            *command(exercises, handed_in, tmp_path / "out", tmp_path / "key")[:-1],
            "2",
            "--level",
            "5",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "isolation level 5" in done.stderr
    assert "--require-isolation" in done.stderr
    assert not (tmp_path / "out" / "records").exists()


def descendants(pid):
    """(process, its start time) of all that come from a process."""
    parents = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(entry.name)] = (int(fields[1]), fields[19])
    found, fresh = set(), {pid}
    while fresh:
        fresh = {one for one, (parent, _) in parents.items() if parent in fresh} - found
        found |= fresh
    return {(one, parents[one][1]) for one in found}


def alive(process):
    pid, started = process
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    return fields[19] == started and fields[0] != "Z"


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_killed_in_the_middle_and_resumed_gives_the_same_bytes(exercises, workers, tmp_path):
    key, whole, killed = tmp_path / "key", tmp_path / "whole", tmp_path / "killed"
    slow = tmp_path / "class"
    slow.mkdir()
    for name, text in ANSWERS.items():  # slow enough to be caught in the middle
        (slow / f"{name}.py").write_text(
            text.replace("    return", "    import time; time.sleep(0.2)\n    return")
        )
    key.write_bytes(b"k" * 16)
    grade_all(exercises, slow, workers, whole)

    started = subprocess.Popen(command(exercises, slow, killed, key, "--jobs", "2"))
    deadline = time.monotonic() + 120
    while not list(killed.glob("records/[!.]*.json")):
        assert started.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    family = descendants(started.pid)
    assert family
    started.send_signal(signal.SIGKILL)
    started.wait()
    records = len(list(killed.glob("records/[!.]*.json")))
    assert 1 <= records < len(ANSWERS)
    assert not (killed / "grades.csv").exists()
    deadline = time.monotonic() + 15
    while orphans := [one for one in family if alive(one)]:
        assert time.monotonic() < deadline, orphans
        time.sleep(0.05)
    for path in killed.glob("records/[!.]*.json"):
        json.loads(path.read_text())
    (killed / "records" / ".unfinished-1-anna.json").write_text("half")

    subprocess.run(command(exercises, slow, killed, key), check=True)
    assert bytes_of(killed) == bytes_of(whole)
    assert len(bytes_of(whole)) == 2 * len(ANSWERS) + 3


# The teacher's page


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_the_example_of_an_exercise_passes_its_own_check():
    counts = selfcheck(load(DOCS / "example_exercises").values(), told=lambda line: None)
    assert counts.problems == []
    assert (counts.right, counts.wrong, counts.misconceptions) == (4, 9, 4)


def test_the_page_names_every_part_of_an_exercise_and_every_export():
    page = (DOCS / "teaching.md").read_text(encoding="utf-8")
    fields = [one for kind in (Exercise, Case) for one in dataclasses.fields(kind)]
    for name in {one.name for one in fields if one.init and one.repr} - {"kind"}:
        assert f"`{name}`" in page, name
    for one in export.group.registered_commands:
        assert f"`kerasbook export {one.name} " in page, one.name
    for name in ("stub", "public", "hidden", "reference", "right", "wrong", "driver", "judge"):
        assert f"`@exercise.{name}" in page, name
    for status in STATUSES:
        assert re.search(rf"^\| .*\b{status}\b", page, re.MULTILINE), status


# Text that came from outside, at every way out

EVIL = "e\x1b]0;X\x07 [red]\u202e\x9b"


def clean(text):
    return all(one.isprintable() or one in "\r\n\t" for one in text)


def test_names_and_texts_are_escaped_at_every_way_out(exercises, workers, tmp_path, monkeypatch):
    """Terminal, records, pages, tables, gradebooks; from names, files, prints, exceptions."""
    handed_in, out = tmp_path / "class", tmp_path / "out"
    (handed_in / EVIL).mkdir(parents=True)
    (handed_in / EVIL / f"{EVIL}.pth").touch()
    (handed_in / EVIL / "a.py").write_text(
        f"def mean(x):\n    print({EVIL!r})\n"
        f"    raise type({EVIL!r}, (Exception,), {{}})({EVIL!r})\n"
    )
    (handed_in / f"{EVIL}x.doc").touch()
    warm = contextlib.nullcontext(workers)
    monkeypatch.setattr(workers_module, "Workers", lambda *a, **k: warm)
    run = ["grade", str(handed_in), "--out", str(out), "--exercises", str(exercises)]
    done = CliRunner().invoke(app, [*run, "--require-isolation", "5"])
    assert done.exit_code == 0, done.output
    said = done.output
    assert f"left out: {escaped_name(EVIL)}x.doc" in done.output  # [red] is no markup
    for path in [*out.glob("*.csv"), *out.glob("*/*")]:
        said += path.read_bytes().decode()
    roster = tmp_path / "roster.csv"
    roster.write_text(f"learner,username,Student\nben,b,{EVIL}\n")
    for kind, options in [("canvas", []), ("moodle", []), ("canvas", ["--roster", str(roster)])]:
        file = tmp_path / f"{kind}.csv"
        run = ["export", kind, str(out), str(file), "--assignment", "x", *options]
        done = CliRunner().invoke(app, run)
        assert done.exit_code == 0, done.output
        said += done.output + file.read_bytes().decode()
    assert "left out, not in the roster" in done.output
    assert clean(said), ascii(said)
    (record,) = (out / "records").iterdir()
    assert json.loads(record.read_text())["learner"] == escaped_name(EVIL)


def test_an_error_that_names_a_learner_is_escaped(exercises, tmp_path):
    for text in (f"learner\n{EVIL}\n{EVIL}\n", f"{EVIL}\n"):
        (tmp_path / EVIL).write_text(text)
        (tmp_path / "records").mkdir(exist_ok=True)
        (tmp_path / "records" / "a.json").write_text(json.dumps(A_RECORD))
        run = ["export", "canvas", str(tmp_path), str(tmp_path / "x.csv"), "--assignment", "x"]
        done = CliRunner().invoke(app, [*run, "--roster", str(tmp_path / EVIL)])
        assert done.exit_code == 2
        assert clean(done.output), ascii(done.output)


A_RECORD = {
    "learner": EVIL, "notes": [EVIL], "needs_attention": False, "points": 0, "max_points": 1,
    "questions": {"mean": {"status": "fail", "points": 0, "max_points": 1, "message": EVIL,
                           "output": EVIL, "cases": []}},
}  # fmt: skip


def test_a_record_of_another_version_is_escaped_when_it_is_read(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(A_RECORD))
    text = json.dumps(read_record(tmp_path / "a.json"), ensure_ascii=False)
    assert clean(text)


def test_other_names_stay_other_names():
    names = ["a\x1b", "a\\x1b", "a\\\\x1b", "a\n", "a\\n", "a", "a\\"]
    assert len({escaped_name(name) for name in names}) == len(names)
    assert escaped_name("Zoë O'Neil [B]") == "Zoë O'Neil [B]"
