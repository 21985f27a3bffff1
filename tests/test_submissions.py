"""Intake of what strangers hand in: whatever it is, a Submission with notes comes back, soon."""

import ast
import io
import json
import os
import socket
import stat
import time
import zipfile
import zlib
from pathlib import Path

from kerasbook.grading import intake, notebooks, submissions
from kerasbook.grading.classroom import submissions_in
from kerasbook.grading.intake import take_in_apart
from kerasbook.grading.notebooks import NoNotebook, answers_in
from kerasbook.grading.records import GradingError, file_name
from kerasbook.grading.submissions import take_in
from kerasbook.grading.worker import landlock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

ANSWER = "def mean(x):\n    return sum(x) / len(x)\n"
OTHER = "def mean(x):\n    total = sum(x)\n    return total / len(x)\n"
SECRET = "def mean(x):\n    return 'read through a link'\n"


@pytest.fixture
def anna(tmp_path):
    """A learner's folder with nothing in it yet."""
    folder = tmp_path / "class" / "anna"
    folder.mkdir(parents=True)
    return folder


def taken(path, *questions):
    """The submission, taken in here and apart: both must say the same."""
    started = time.monotonic()
    submission = take_in(path, questions or ["mean"])
    assert take_in_apart(path, questions or ["mean"]) == submission
    assert time.monotonic() - started < 60
    assert submission.learner == "anna"
    return submission


def noted(submission, *words):
    """Whether some note has all the words."""
    return any(all(word in note for word in words) for note in submission.notes)


def refused(path, *words):
    """It comes back without an answer, and with a note that has these words."""
    submission = taken(path)
    assert not submission.answers
    assert noted(submission, *words), submission.notes


def notebook(*cells, **more):
    """The bytes of a notebook; a cell is a text, or (text, metadata)."""
    pairs = [one if isinstance(one, tuple) else (one, {}) for one in cells]
    return json.dumps(
        {
            "nbformat": 4,
            "cells": [
                {"cell_type": "code", "source": text, "metadata": metadata, "outputs": []}
                for text, metadata in pairs
            ],
            **more,
        }
    ).encode()


def zip_of(entries, path):
    """A zip of (name or ZipInfo, content)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return path


# What honest learners hand in


def test_a_file_a_folder_a_zip_and_a_zip_in_a_folder_give_the_same_answer(anna, tmp_path):
    file = tmp_path / "anna.py"
    file.write_text(ANSWER)
    packed = zip_of([("work/", ""), ("work/a.py", ANSWER)], tmp_path / "anna.zip")
    (anna / "week 1").mkdir()
    (anna / "week 1" / "a.py").write_text(ANSWER)
    inner = tmp_path / "other" / "anna"
    inner.mkdir(parents=True)
    zip_of([("a.py", ANSWER), ("__MACOSX/a.py", SECRET)], inner / "upload.ZIP")
    for path in (file, packed, anna, inner):
        submission = taken(path)
        assert submission.answers == {"mean": ANSWER}
        assert submission.notes == []
        assert len(submission.digest) == 64


def test_a_notebook_gives_what_the_answer_needs_and_no_experiment(anna):
    (anna / "a.ipynb").write_bytes(
        notebook(
            "import numpy as np\nimport seaborn as sns\nimport kerasbook\n"
            "from kerasbook.learner import check",
            "scale = 1 / 255; kind = np.float32\nprint(scale)\ndata = open('x').read()",
            "def half(x):\n    return kind(x) / LIMIT\nLIMIT = np.sqrt(4.0)\nmean = 3",
            "@np.vectorize\ndef mean(x):\n    data = half(x)\n    return data % 2\n",
            "mean(3)\nmean = mean(3)\nassert False",
        )
    )
    text = taken(anna).answers["mean"]
    assert text.splitlines() == [
        "import numpy as np",
        "",
        "kind = np.float32",
        "",
        "def half(x):",
        "    return kind(x) / LIMIT",
        "",
        "LIMIT = np.sqrt(4.0)",
        "",
        "@np.vectorize",
        "def mean(x):",
        "    data = half(x)",
        "    return data % 2",
    ]


BODY = "def mean(x):\n    return HALF * sum(x)\n"
TRIED = "try:\n    import nowhere\n    HALF = 0.25\nexcept ImportError:\n    HALF = 0.5"
COUNTED = BODY.replace("    return", "    global calls\n    calls += 1\n    return")
HONEST = {  # cells, and a line that the program must have
    "timed": (["HALF = 0.5", "%%time\n" + BODY], "def mean(x):"),
    "captured": (["HALF = 0.5", "\n%%capture out\n%%time\n" + BODY], "def mean(x):"),
    "help": (["HALF = 0.5", BODY + "\nmean?"], "def mean(x):"),
    "help before": (["HALF = 0.5", "?mean\n" + BODY + "sum??"], "def mean(x):"),
    "timeit": (["HALF = 0.5", BODY + "t = %timeit -o 1\na, b = %magic"], "HALF = 0.5"),
    "timed line": (["%time HALF = 0.5", BODY], "HALF = 0.5"),
    "shell": (["HALF = 0.5\n!echo \"it's (", BODY + "files = !ls '"], "HALF = 0.5"),
    "long command": (["HALF = 0.5\n!pip install \\\n  seaborn", BODY], "HALF = 0.5"),
    "in a block": (["HALF = 0.5\nif HALF:\n    %matplotlib inline\n" + BODY], "def mean(x):"),
    "annotated": (["HALF: float = 0.5", BODY], "HALF: float = 0.5"),
    "changed": (["HALF = 0.25\nHALF += 0.25", BODY], "HALF += 0.25"),
    "several": (["ONE, HALF = 1, 0.5", BODY], "ONE, HALF = 1, 0.5"),
    "by a call": (["import math\nHALF = math.sqrt(0.25)", BODY], "import math"),
    "by a loop": (["HALF = 0.0\nfor _ in range(2):\n    HALF += 0.25", BODY], "HALF = 0.0"),
    "tried": ([TRIED, BODY], "    HALF = 0.5"),
    "future": (["HALF = 0.5", "from __future__ import annotations\n" + BODY], "HALF = 0.5"),
    "prompts": ([">>> HALF = 0.5\n>>> def one():\n...     return 1", BODY], "HALF = 0.5"),
    "numbered prompts": (["In [1]: HALF = 0.5\n   ...: x = 1", BODY], "HALF = 0.5"),
    "indented": (["    HALF = 0.5\n    other = 1", BODY], "HALF = 0.5"),
    "awaited": (["HALF = 0.5\nawait nothing()", BODY], "HALF = 0.5"),
    "windows": (["HALF = 0.5\r\nx = 1\r\n", BODY.replace("\n", "\r\n")], "def mean(x):"),
    "needs what is not there": (["import seaborn\nHALF = 0.5", BODY], "HALF = 0.5"),
    "displays": (["HALF = 0.5", BODY.replace("    return", "    display(x)\n    return")], ""),
    "counted": (["HALF = 0.5\ncalls = 0", COUNTED], "calls = 0"),
    "of a class": (["class Kept:\n    value = 1", "Kept.value = 0.5\nHALF = Kept.value", BODY], ""),
    "a text with %": (['HALF = 0.5\ntext = """\n% of all\n"""\n%pylab', BODY], "HALF = 0.5"),
    "several imports": (["from math import prod, fsum as mean\nHALF = 0.5", BODY], "HALF = 0.5"),
}


@pytest.mark.parametrize(("cells", "line"), HONEST.values(), ids=HONEST)
def test_honest_notebooks_are_understood(anna, cells, line):
    (anna / "a.IPYNB").write_bytes(notebook(*cells))
    submission = taken(anna)
    assert "mean" in submission.answers, submission.notes
    text = submission.answers["mean"]
    assert line in text.splitlines() or not line
    namespace = {"__name__": "answer"}
    exec(compile(text, "a", "exec"), namespace)
    assert namespace["mean"]([1, 2]) == 1.5


LINES = [
    "x = 1", "import os", "%matplotlib inline", "!ls -l", "?os", "os?", "os.path??", "y = %time 1",
    "z = !ls", "%time w = 2", "%config A.b = 'c'", "!echo 'x", "def f():\n    %time 1\n    return",
    "if x:\n    !ls\n    v = 4", 't = """\n%no\n"""', "u = (7\n  % 4)", ",f a b", "/f 1", ";f a",
    "!!ls", "s: int = 3", "# why?", "!ls \\\n -l", "r = x != 2",
]  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(some.lists(some.sampled_from(LINES), min_size=1, max_size=5))
def test_lines_are_jupyters_where_ipython_says_so(lines):
    """IPython's own transformer leaves the same definitions, imports and plain assignments."""
    transformer = pytest.importorskip("IPython.core.inputtransformer2").TransformerManager()

    def bound(tree):
        names = []
        for node in ast.walk(tree):
            called = isinstance(getattr(node, "value", None), ast.Call)
            if isinstance(node, ast.Assign | ast.AnnAssign) and not called:
                names.append(ast.unparse(node))
            elif isinstance(node, ast.FunctionDef | ast.Import):
                names.append(getattr(node, "name", "import"))
        return names

    cell = "\n".join(lines)
    theirs = bound(ast.parse(transformer.transform_cell(cell)))
    timed = ["w = 2"] * lines.count("%time w = 2")  # IPython runs it when the magic is called
    ours, _ = notebooks.python_of(cell, "a", [])
    assert sorted(bound(ours)) == sorted(theirs + timed)


def test_a_notebooks_other_cells_cannot_take_the_answer_away(anna):
    cells = ["import nowhere", "x = undefined", "def other(:\n", ANSWER, "%%bash\nrm x", "mean?"]
    (anna / "a.ipynb").write_bytes(notebook(*cells))
    submission = taken(anna)
    assert submission.answers["mean"].strip() == ANSWER.strip()
    assert noted(submission, "cell 3", "not Python")


def test_a_file_beside_the_answer_is_refused_with_the_reason(anna):
    (anna / "helper.py").write_text("def half(x):\n    return x / 2\n")
    (anna / "b.py").write_text("from helper import half\nimport os\n" + ANSWER)
    assert noted(taken(anna), "b.py imports helper", "put both into one file")
    (anna / "b.py").write_text("from . import helper\n" + ANSWER)
    assert noted(taken(anna), "b.py imports helper", "put both into one file")
    (anna / "b.py").write_text("import os\n" + ANSWER)
    assert not taken(anna).notes


def test_endings_in_capitals_are_read_and_what_tools_load_is_ignored(anna):
    (anna / "ANSWER.PY").write_text(ANSWER)
    (anna / "CONFTEST.PY").write_text(OTHER)
    submission = taken(anna)
    assert submission.answers == {"mean": ANSWER}
    assert noted(submission, "CONFTEST.PY", "ignored")


def test_several_entries_of_one_learner_are_read_together(tmp_path):
    (tmp_path / "anna.py").write_text("x = 1\n")
    zip_of([("anna.py", ANSWER)], tmp_path / "anna.zip")
    (tmp_path / "ben.py").write_text(OTHER)
    entries, _ = submissions_in(tmp_path)
    names = [[one.name for one in paths] for paths in entries]
    assert names == [["anna.py", "anna.zip"], ["ben.py"]]
    (first, *more), _ = entries
    submission = take_in(first, ["mean"], more)
    assert take_in_apart(first, ["mean"], more) == submission
    assert submission.answers == {"mean": ANSWER}
    assert noted(submission, "anna.py, anna.zip", "read together")


def test_a_percent_sign_at_the_beginning_of_a_line_is_no_magic(anna):
    source = 'def mean(x):\n    """A share in\n    % of all."""\n    return (x\n        % 2)\n'
    (anna / "a.ipynb").write_bytes(notebook(source))
    submission = taken(anna)
    assert submission.answers["mean"].strip() == source.strip()
    assert submission.notes == []


def test_byte_order_mark_and_declared_latin_1(anna):
    (anna / "a.py").write_bytes(b"\xef\xbb\xbf" + ANSWER.encode())
    (anna / "b.py").write_bytes(
        "# coding: latin-1\ndef middle():\n    return 'é'\n".encode("latin-1")
    )
    submission = taken(anna, "mean", "middle")
    assert submission.answers["mean"] == ANSWER
    assert "é" in submission.answers["middle"]
    assert submission.notes == []
    (anna / "a.ipynb").write_bytes(b"\xef\xbb\xbf" + notebook(OTHER))
    assert "total" in taken(anna).answers["mean"]


# Files that are no text


def test_text_that_is_not_python_is_noted_and_the_rest_is_read(anna):
    (anna / "a.py").write_text(ANSWER)
    (anna / "b.py").write_bytes("def mean(): 'é'".encode("latin-1"))
    (anna / "c.py").write_bytes(b"def mean():\0 pass")
    (anna / "d.py").write_text("def mean(:\n")
    (anna / "e.py").write_text("# coding: no-such-thing\n")
    (anna / "f.py").write_text("# coding: utf-7\n")
    (anna / "g.py").write_text("x = " + "-" * 200_000 + "1\n")
    (anna / "h.py").write_text("(" * 10_000)
    submission = taken(anna)
    assert submission.answers == {"mean": ANSWER}
    for letter in "bcdefgh":
        assert noted(submission, f"{letter}.py"), letter
    assert noted(submission, "b.py", "UTF-8")
    assert noted(submission, "d.py", "line 1")


def test_wrong_name_wrong_ending_nothing_at_all(anna):
    (anna / "a.txt").write_text(ANSWER)
    refused(anna, "no .py file")
    (anna / "a.py").write_text("def Mean(x): return 1\n")
    assert not taken(anna).answers
    (anna / "a.py").write_text("")
    assert not taken(anna).answers


def test_what_tools_would_obey_or_load_is_ignored_and_noted(anna):
    names = [
        "conftest.py", "sitecustomize.py", "usercustomize.py", "setup.py", "pytest.ini",
        "setup.cfg", "a.pth", "a.pyc", "a.so", "a.pkl", "weights.h5", "model.keras",
    ]  # fmt: skip
    for name in names:
        (anna / name).write_text(SECRET)
    (anna / "__pycache__").mkdir()
    (anna / "__pycache__" / "a.py").write_text(SECRET)
    (anna / ".git").mkdir()
    (anna / ".git" / "a.py").write_text(SECRET)
    submission = taken(anna)
    assert not submission.answers
    for name in names:
        assert noted(submission, name, "ignored"), name


# Links and devices


def test_links_are_refused_and_never_followed(anna, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text(SECRET)
    (anna / "linked.py").symlink_to(outside / "a.py")
    (anna / "folder").symlink_to(outside)
    (anna / "up").symlink_to("..")
    (anna / "gone.py").symlink_to("nowhere.py")
    os.link(outside / "a.py", anna / "hard.py")
    submission = taken(anna)
    assert not submission.answers
    for name in ("linked.py", "folder", "up", "gone.py", "hard.py"):
        assert noted(submission, name, "refused"), name


@pytest.mark.parametrize("name", ["anna", "anna.py", "anna.zip"])
def test_a_submission_that_is_a_link_is_refused(tmp_path, name):
    target = tmp_path / "outside"
    target.mkdir()
    (target / "a.py").write_text(SECRET)
    place = tmp_path / "class"
    place.mkdir()
    (place / name).symlink_to(target if name == "anna" else target / "a.py")
    ((path,),), _ = submissions_in(place)
    refused(path, "link")


def test_pipes_sockets_and_devices_are_refused_without_being_opened(anna, monkeypatch):
    os.mkfifo(anna / "pipe.py")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(anna)  # a socket's path is short
        listener.bind("socket.py")
        names = ["pipe.py", "socket.py"]
        if os.geteuid() == 0:
            try:
                os.mknod(anna / "device.py", stat.S_IFCHR | 0o600, os.makedev(1, 5))
                names.append("device.py")
            except OSError:
                pass  # root of a container
        submission = taken(anna)
    assert not submission.answers
    for name in names:
        assert noted(submission, name, "refused"), name
    pipe = anna.parent / "anna.py"
    os.mkfifo(pipe)
    refused(pipe, "pipe")


# Too much


def test_too_many_files_too_deep_too_large(anna):
    (anna / "large.py").write_bytes(b"#" * 1_000_001)
    assert noted(taken(anna), "large.py", "larger than 1 MB")
    deep = anna
    for _ in range(8):
        deep = deep / "down"
        deep.mkdir()
    (deep / "a.py").write_text(ANSWER)
    refused(anna, "deeper")
    for number in range(510):
        (anna / f"{number}.txt").touch()
    refused(anna, "more than 500 files")


def test_too_much_in_all(anna, monkeypatch):
    monkeypatch.setattr(submissions, "LARGEST_IN_ALL", 1500)
    (anna / "a.py").write_text(ANSWER + "#" * 1000)
    (anna / "b.py").write_text(ANSWER + "#" * 1000)
    submission = take_in(anna, ["mean"])
    assert not submission.answers
    assert noted(submission, "in all")


def test_a_million_notes_are_not_kept(anna):
    for number in range(100):
        (anna / f"{number}.py").symlink_to("x")
    assert len(taken(anna).notes) == submissions.MOST_NOTES + 1


@pytest.fixture
def readers(monkeypatch):
    """Readers whose work can be replaced by another program."""

    def made(program):
        start = intake.START.replace("intake.serve()", "exec(sys.argv[2])")
        start = start.replace("sys.argv[2]", repr(f"{program}\nintake.serve()"))
        monkeypatch.setattr(intake, "START", start)
        monkeypatch.setattr(intake, "readers", intake.Readers())
        return intake.readers

    yield made
    intake.readers.close()


ENDS = """
import os, signal, time
def take_in(path, questions, more):
    if path.name == "busy":
        while True:
            pass
    if path.name == "killed":
        os.kill(os.getpid(), signal.SIGSEGV)
    if path.name == "full":
        return bytearray(10**11)
    if path.name == "slow":
        time.sleep(60)
    if path.name == "forks":
        os.fork()
    if path.name == "looks":
        return list(path.parent.iterdir())
    return take_in_truly(path, questions, more)
take_in_truly, intake.take_in = intake.take_in, take_in
"""


def nothing_below(number):
    """Whether a process has no children left, soon; on Linux, which tells."""
    children = Path(f"/proc/{number}/task/{number}/children")
    ends = time.monotonic() + 5
    while children.exists() and children.read_text() and time.monotonic() < ends:
        time.sleep(0.02)
    return not children.exists() or not children.read_text()


def test_what_the_reader_does_not_survive_is_a_note(anna, monkeypatch, readers):
    """Stand-ins for a text that ends the parser, fills the memory, or never ends."""
    monkeypatch.setattr(intake, "SECONDS", 1)
    server = readers(ENDS)
    ends = {"killed": "ended", "full": "memory", "busy": "more than 1 s of the processor"}
    for name, word in {**ends, "slow": "more than 2 s"}.items():
        if name == "slow":
            monkeypatch.setattr(intake, "WAIT", 2)
        submission = take_in_apart(anna.parent / name, ["mean"])
        assert submission.digest == ""
        assert noted(submission, "cannot be read", word)
        assert nothing_below(server._server.pid)
    monkeypatch.setattr(intake, "WAIT", 600)
    (anna / "a.py").write_text(ANSWER)
    assert take_in_apart(anna, ["mean"]) == take_in(anna, ["mean"])  # the next one has its own


def test_a_reader_that_was_taken_over_opens_nothing_else_and_starts_nothing(anna, readers):
    if landlock.abi_version() < 1:
        pytest.skip("no Landlock on this machine")
    readers(ENDS)
    for name in ("forks", "looks"):
        (anna.parent / name).mkdir()
        submission = take_in_apart(anna.parent / name, ["mean"])
        assert noted(submission, "cannot be read", "PermissionError"), name


def test_a_reader_that_waits_is_not_too_slow(anna, monkeypatch, readers):
    """On a busy machine: the limit is of the processor's time."""
    monkeypatch.setattr(intake, "SECONDS", 1)
    readers(ENDS.replace("time.sleep(60)", "time.sleep(3)"))
    slow = anna.parent / "slow"
    slow.mkdir()
    (slow / "a.py").write_text(ANSWER)
    assert take_in_apart(slow, ["mean"]).answers == {"mean": ANSWER}


TAKEN_OVER = [
    [], 3, {"answers": {"mean": 3}}, {"answers": []}, {"notes": "text"}, {"notes": ["x"] * 100},
    {"runs": {"mean": [-1]}}, {"runs": {"mean": "x"}}, {"digest": 3}, {"other": 1},
]  # fmt: skip


@pytest.mark.parametrize("said", TAKEN_OVER, ids=range(len(TAKEN_OVER)))
def test_what_a_reader_that_was_taken_over_says_is_checked(anna, said, readers):
    readers(f"intake._fields = lambda paths, questions: {said!r}")
    assert noted(take_in_apart(anna, ["mean"]), "cannot be read: the reader ended")


def test_a_server_of_readers_that_was_killed_is_started_again(anna, readers):
    (anna / "a.py").write_text(ANSWER)
    server = readers("")
    assert take_in_apart(anna, ["mean"]).answers
    server._server.kill()
    server._server.wait()
    assert take_in_apart(anna, ["mean"]).answers


def test_a_flood_from_a_reader_is_cut(anna, monkeypatch, readers):
    monkeypatch.setattr(intake, "LARGEST_REPLY", 1000)
    readers("intake._fields = lambda paths, questions: {'notes': ['x' * 2000]}")
    assert noted(take_in_apart(anna, ["mean"]), "cannot be read")


# Zips


@pytest.mark.parametrize(
    "name", ["../anna2/a.py", "a/../../b.py", "/etc/a.py", "C:\\a.py", "..\\a.py", "c:a.py"]
)
def test_zip_names_that_lead_outside(tmp_path, name):
    refused(zip_of([("ok.py", ANSWER), (name, SECRET)], tmp_path / "anna.zip"), "outside")
    assert sorted(os.listdir(tmp_path)) == ["anna.zip"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO, stat.S_IFSOCK])
def test_zip_with_a_link_or_device(tmp_path, kind):
    entry = zipfile.ZipInfo("a.py")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    refused(zip_of([(entry, "/etc/passwd")], tmp_path / "anna.zip"), "link")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("twin", ["A.py", "a.py"])
def test_zip_with_two_names_that_differ_by_case_or_not(tmp_path, twin):
    refused(zip_of([("a.py", ANSWER), (twin, SECRET)], tmp_path / "anna.zip"), "case")


def test_zip_of_a_million_entries(tmp_path):
    """The list of a million entries is made by hand: all of them are the same 50 bytes."""
    entry = zip_entry(b"a.py")
    count = 1_000_000
    end = b"PK\5\6" + b"\0\0\0\0" + b"\xff\xff\xff\xff"
    end += (len(entry) * count).to_bytes(4, "little") + b"\0\0\0\0\0\0"
    path = tmp_path / "anna.zip"
    path.write_bytes(entry * count + end)
    started = time.monotonic()
    refused(path, "too many entries")
    assert time.monotonic() - started < 30
    refused(zip_of([(f"{n}.txt", "") for n in range(501)], path), "501 entries")


def zip_entry(name, size=0, packed=0, offset=0):
    """A line of a zip's table of contents."""
    numbers = packed.to_bytes(4, "little") + size.to_bytes(4, "little")
    head = b"PK\1\2\x14\0\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0" + numbers
    head += len(name).to_bytes(2, "little") + b"\0" * 12
    return head + offset.to_bytes(4, "little") + name


def test_zip_bomb_that_says_its_size_and_one_that_lies(tmp_path):
    path = zip_of([("a.py", b"#" * 70_000_000)], tmp_path / "anna.zip")
    assert path.stat().st_size < 100_000
    refused(path, "too much")
    # The table says 10 bytes, the data are 10 MB: no more than the 10 are unpacked.
    pressed = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = pressed.compress(b"#" * 10_000_000) + pressed.flush()
    local = b"PK\3\4\x14\0\0\0\x08\0\0\0\0\0\0\0\0\0" + len(data).to_bytes(4, "little")
    local += (10).to_bytes(4, "little") + (4).to_bytes(2, "little") + b"\0\0a.py" + data
    table = zip_entry(b"a.py", 10, len(data))
    end = b"PK\5\6\0\0\0\0\1\0\1\0" + len(table).to_bytes(4, "little")
    path.write_bytes(local + table + end + len(local).to_bytes(4, "little") + b"\0\0")
    refused(path, "a.py")


def test_zip_with_an_entry_that_is_packed_too_well(tmp_path):
    path = zip_of([("a.py", ANSWER), ("b.txt", b"#" * 2_000_000)], tmp_path / "anna.zip")
    refused(path, "packed", "times")
    printed = "".join(f"{number}/100 [=====>....] loss: 0.{number}\n" for number in range(60_000))
    path = zip_of([("a.py", ANSWER), ("b.ipynb", notebook(f"x = {printed!r}"))], path)
    assert taken(path).answers == {"mean": ANSWER}


def test_zip_that_is_none_is_encrypted_or_packed_oddly(tmp_path):
    path = tmp_path / "anna.zip"
    path.write_bytes(b"PK\3\4 not a zip")
    refused(path, "not a zip")
    path.write_bytes(b"")
    refused(path, "not a zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a.py", ANSWER)
    refused(path, "unusual")
    zip_of([("a.py", ANSWER)], path)
    content = bytearray(path.read_bytes())
    content[6] |= 1  # the bit "encrypted"
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    refused(path, "cannot be unpacked")


def test_zip_in_a_zip_is_not_opened(tmp_path):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("a.py", ANSWER)
    path = zip_of([("inner.zip", inner.getvalue())], tmp_path / "anna.zip")
    refused(path, "no .py file")


# Notebooks


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"cells": 3}',
        b'{"cells": "code"}',
        b'{"cells": [3]}',
        b'{"cells": [{"cell_type": "code"}]}',
        b'{"cells": [{"cell_type": "code", "source": 3}]}',
        b'{"nbformat": 3, "worksheets": [{"cells": [{"cell_type": "code", "input": "x"}]}]}',
        b"[" * 1_000_000,
        b'{"a":' * 100_000,
    ],
)
def test_a_damaged_or_old_notebook_is_refused(anna, content):
    (anna / "a.ipynb").write_bytes(content)
    refused(anna, "a.ipynb", "not a notebook of format 4")


def test_outputs_and_other_cells_are_not_looked_at(anna):
    content = json.loads(notebook(ANSWER))
    content["cells"][0]["outputs"] = [{"output_type": "stream", "text": SECRET * 100_000}]
    content["cells"] += [{"cell_type": "markdown", "source": SECRET}]
    content["cells"] += [{"cell_type": "raw", "source": SECRET}, {"cell_type": ["code"]}]
    (anna / "a.ipynb").write_text(json.dumps(content))
    assert taken(anna).answers == {"mean": ANSWER.strip() + "\n"}
    (anna / "a.ipynb").write_bytes(b" " * 33_000_000)
    refused(anna, "larger than 32 MB")


def test_magics_and_commands_are_left_out(anna):
    (anna / "a.ipynb").write_bytes(
        notebook("%matplotlib inline\n!rm -rf x\n" + ANSWER, "%%bash\nrm x", "%run other.py")
    )
    submission = taken(anna)
    assert submission.answers == {"mean": ANSWER.strip() + "\n"}
    assert noted(submission, "cell 1", "magics")
    assert noted(submission, "cell 2", "magics")


def test_duplicated_cells_the_one_made_for_the_answer_counts_else_the_last(anna):
    mine = {"kerasbook": {"question": "mean"}}
    path = anna / "a.ipynb"
    path.write_bytes(notebook(OTHER, (ANSWER, mine), OTHER))
    assert "total" not in taken(anna).answers["mean"]
    path.write_bytes(notebook(ANSWER, OTHER))
    assert "total" in taken(anna).answers["mean"]
    path.write_bytes(notebook("x = 1"))  # deleted
    assert not taken(anna).answers
    retyped = json.loads(notebook((ANSWER, mine)))
    retyped["cells"][0]["cell_type"] = "markdown"
    path.write_text(json.dumps(retyped))
    assert not taken(anna).answers


@pytest.mark.parametrize("mine", [None, 3, [], {"question": 3}, {"question": ["mean"]}, "mean"])
def test_forged_metadata_change_nothing(anna, mine):
    nbgrader = {"grade": True, "points": 1e9, "grade_id": "mean", "solution": True, "locked": True}
    metadata = {"nbgrader": nbgrader, "kerasbook": mine, "tags": ["hidden"]}
    (anna / "a.ipynb").write_bytes(notebook((ANSWER, metadata)))
    assert taken(anna).answers == {"mean": ANSWER.strip() + "\n"}


def test_a_long_cell_takes_linear_time(anna):
    text = "x = 1\n" * 30_000 + ANSWER
    (anna / "a.ipynb").write_bytes(notebook(text))
    assert "mean" in taken(anna).answers


def test_of_two_files_the_larger_answer_is_taken_with_a_note(anna):
    (anna / "a.py").write_text(OTHER)
    (anna / "b.py").write_text(ANSWER)
    submission = taken(anna)
    assert submission.answers == {"mean": OTHER}
    assert noted(submission, "a.py", "several")


# Names


def test_odd_names_of_files_are_no_obstacle(anna):
    (anna / os.fsdecode(b"\xff\n=1.py")).write_text(ANSWER)
    (anna / os.fsdecode(b"\xfe.pth")).write_text("")
    submission = taken(anna)
    assert submission.answers == {"mean": ANSWER}
    "".join(submission.notes).encode()


def test_learners_names_become_harmless_different_file_names():
    names = [
        "anna", "Anna B", "Anna,B", 'Anna"B', "=HYPERLINK(1)", "a\nb", "..", ".", "-x", "x" * 300,
        "x" * 301, "𝒳" * 100, "李" * 90, "a/b", "a\\b", "con:", "é", "😀", "../../etc/passwd",
    ]  # fmt: skip
    names.append(file_name("Anna,B"))  # one who takes the name of another's file
    files = [file_name(name) for name in names]
    assert len(set(files)) == len(names)
    assert files[0] == "anna"
    for file in files:
        assert len(f".unfinished-1234567-{file}.html".encode()) <= 255
        assert not set(file) & set('/\\:\n,"=')
        assert file[0] not in ".-"


def test_files_that_are_nobodys_are_named(tmp_path):
    (tmp_path / "anna.py").write_text(ANSWER)
    (tmp_path / "read me.txt").write_text("")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "ben.ZIP").write_text("")
    paths, others = submissions_in(tmp_path)
    assert [path.name for (path,) in paths] == ["anna.py", "ben.ZIP"]
    assert [path.name for path in others] == [".hidden", "read me.txt"]
    with pytest.raises(GradingError, match="is no folder"):
        submissions_in(tmp_path / "anna.py")


# Fuzz

texts = some.text(max_size=60) | some.sampled_from([ANSWER, OTHER, "%%x", "x = 1", "@f", "\ud800"])
values = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | texts,
    lambda inner: some.lists(inner, max_size=4) | some.dictionaries(texts, inner, max_size=4),
    max_leaves=8,
)
cells = some.fixed_dictionaries(
    {},
    optional={
        "cell_type": some.just("code") | values,
        "source": texts | some.lists(texts, max_size=4) | values,
        "metadata": some.fixed_dictionaries({}, optional={"kerasbook": values}) | values,
    },
)
books = some.fixed_dictionaries({}, optional={"cells": some.lists(cells | values) | values})
SOON = settings(
    max_examples=100, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@SOON
@given(some.one_of(some.binary(), (books | values).map(lambda book: json.dumps(book).encode())))
def test_fuzz_any_bytes_are_a_program_or_refused(content):
    notes = []
    try:
        found = answers_in(content, "a.ipynb", ["mean"], notes)
    except NoNotebook:
        return
    for text in found.values():
        ast.parse(text)


@SOON
@given(books, some.sampled_from([".ipynb", ".py", ".zip"]))
def test_fuzz_notebooks_never_raise(tmp_path, book, ending):
    path = tmp_path / f"anna{ending}"
    path.write_text(json.dumps(book))
    submission = take_in(path, ["mean"])
    assert submission.learner == "anna"
    json.dumps([submission.answers, submission.notes]).encode()


names = some.text(min_size=1, max_size=12) | some.sampled_from(["a.py", "b/a.py", "a.ipynb"])
entries = some.lists(some.tuples(names, texts.map(lambda one: one.encode("utf-8", "replace"))))


@SOON
@pytest.mark.filterwarnings("ignore:Duplicate name")
@given(entries, some.lists(some.tuples(some.integers(0, 500), some.integers(0, 255)), max_size=6))
def test_fuzz_damaged_zips_never_raise(tmp_path, entries, damage):
    path = tmp_path / "anna.zip"
    try:
        zip_of(entries, path)
    except (ValueError, IndexError):  # a name that zipfile itself does not write
        return
    content = bytearray(path.read_bytes())
    for place, byte in damage:
        content[place % len(content)] = byte
    path.write_bytes(content)
    submission = take_in(path, ["mean"])
    assert isinstance(submission.notes, list)
    assert set(submission.answers) <= {"mean"}
