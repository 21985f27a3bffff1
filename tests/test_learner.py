"""A learner's way: start, fail, hint, fix, pass, solution, progress; watch; a notebook's check."""

import contextlib
import io
import os
import pty
import re
import subprocess
import sys
import threading
import time

from kerasbook.cli import app
from kerasbook.exercises import ExerciseError
from kerasbook.exercises.exercise import load, load_file, stub_files
from kerasbook.grading.feedback import cut
from kerasbook.grading.libraries import without_slow_imports
from kerasbook.grading.workers import Workers
from kerasbook.learner import learner, notebook, watch

import numpy as np
import pytest
from rich.console import Console
from test_exercises import exercise_text
from typer.testing import CliRunner

STUB = 'def halves(x):\n    """Half."""\n    raise NotImplementedError\n'
WRONG = "def halves(x):\n    return 2 * x\n"
RIGHT = "def halves(x):\n    return x / 2\n"


@pytest.fixture(scope="module")
def workers():
    with Workers() as started:
        yield started


@pytest.fixture
def teacher(tmp_path):
    folder = tmp_path / "teacher"
    folder.mkdir()
    (folder / "halves.py").write_text(exercise_text(), encoding="utf-8")
    return folder


@pytest.fixture
def kerasbook(teacher, workers, monkeypatch, tmp_path):
    """Runs a command in the learner's folder, with the warm workers of this file."""
    desk = tmp_path / "desk"
    desk.mkdir()
    monkeypatch.chdir(desk)
    warm = contextlib.nullcontext(workers)
    monkeypatch.setattr("kerasbook.grading.workers.Workers", lambda *a, **k: warm)

    def run(*words):
        result = CliRunner().invoke(app, [*words, "--exercises", str(teacher)])
        return result.exit_code, result.output

    return run


def test_the_way_of_a_learner(kerasbook):
    assert kerasbook("start", ".")[0] == 0
    with open("exercises/chapter1.py", encoding="utf-8") as file:
        text = file.read()
    assert "# 1. Half of each number · ★☆☆ · 10 minutes · 2 points" in text
    code, told = kerasbook("check", "exercises/chapter1.py")
    assert code == 0
    assert "not begun" in told

    with open("exercises/chapter1.py", "w", encoding="utf-8") as file:
        file.write("import numpy as np\n" + WRONG)
    code, told = kerasbook("check", "exercises/chapter1.py")
    assert code == 1
    for expected in ("0 of 2", "twice", "two numbers", "worst at [1]: 6, expected 1.5"):
        assert expected in told
    assert "hint 1 of 3" in kerasbook("hint", "halves")[1]
    code, told = kerasbook("solution", "halves")
    assert code == 2
    assert "not passed yet" in told

    with open("exercises/chapter1.py", "w", encoding="utf-8") as file:
        file.write("import numpy as np\n" + RIGHT)
    code, told = kerasbook("check", "exercises/chapter1.py", "--question", "halves")
    assert (code, "2 of 2" in told) == (0, True)
    assert "return x / 2" in kerasbook("solution", "halves")[1]
    told = kerasbook("progress")[1]
    assert "1 of 1 passed" in told
    assert "2 of 2" in told


def test_start_never_overwrites_without_a_word(kerasbook, tmp_path):
    kerasbook("start", ".")
    path = tmp_path / "desk/exercises/chapter1.py"
    path.write_text(RIGHT, encoding="utf-8")
    assert "left as it is" in " ".join(kerasbook("start", ".")[1].split())
    assert path.read_text(encoding="utf-8") == RIGHT
    kerasbook("start", ".", "--overwrite")
    assert "NotImplementedError" in path.read_text(encoding="utf-8")
    assert path.with_name("chapter1.py.bak").read_text(encoding="utf-8") == RIGHT


def test_a_teachers_own_exercises_are_handed_out_as_notebooks_too(kerasbook, teacher, tmp_path):
    assert kerasbook("start", ".")[0] == 0
    made = tmp_path / "desk/notebooks"
    assert [one.name for one in made.glob("*_exercises.ipynb")] == ["chapter1_exercises.ipynb"]
    text = (made / "chapter1_exercises.ipynb").read_text(encoding="utf-8")
    assert f"check(halves, folder='{teacher}')" in text
    assert "huber" not in text
    assert (made / "chapter1.ipynb").is_file()
    commands = (tmp_path / "desk/exercises/chapter1.py").read_text(encoding="utf-8")
    assert f"kerasbook check chapter1.py --exercises {teacher}" in commands
    assert kerasbook("exercises", "notebooks", "--folder", "written")[0] == 0
    (path,) = (tmp_path / "desk/written").iterdir()
    assert path.read_text(encoding="utf-8") == text


SLOW = "import keras\nimport numpy as np\nimport tensorflow as tf\n\n\n"
LAYER = '''

class Layer(keras.layers.Layer):
    """A stub."""
'''


@pytest.mark.parametrize(
    ("text", "heavy"),
    [
        (SLOW + RIGHT, False),
        (SLOW + RIGHT + LAYER, False),  # its stub
        (SLOW + RIGHT + LAYER.replace("class Layer", "class Net"), True),  # made at the import
        (SLOW + RIGHT + "\n\ndef other(x):\n    return tf.abs(x)\n", False),  # not called
        (SLOW + RIGHT.replace("x /", "tf.abs(x) /"), True),
        (SLOW + "def by(x):\n    return tf.abs(x)\n" + RIGHT.replace("x /", "by(x) /"), True),
        (SLOW + RIGHT + "\n\nONE = tf.ones(1)\n", True),
        (SLOW + RIGHT.replace("return", "import keras; return"), True),
        (SLOW.replace("\nimport numpy", "; import numpy") + RIGHT, True),  # two in a line
        ("from keras import ops\nimport tensorflow.experimental.numpy as tnp\n" + RIGHT, False),
    ],
)
def test_an_answer_is_run_without_tensorflow_where_it_needs_none(text, heavy):
    found = without_slow_imports(text, "halves", ["Layer"])
    assert (found is None) == heavy
    if found is not None:
        assert not re.search("^(import|from) (keras|tensorflow)", found, re.MULTILINE)
        line = next(line for line in text.splitlines() if line.startswith("def halves"))
        assert found.splitlines().index(line) == text.splitlines().index(line)


def test_an_answer_with_numpy_alone_does_not_wait_for_tensorflow(teacher, tmp_path):
    path = tmp_path / "answer.py"
    path.write_text(SLOW + RIGHT, encoding="utf-8")
    assert not learner.needs_tensorflow(path, teacher)
    path.write_text(
        SLOW + RIGHT + "import sys\nassert not any('flow' in one for one in sys.modules)\n",
        encoding="utf-8",
    )
    with Workers(tensorflow=False) as light:
        (result,) = learner.check_file(path, load(teacher), light)
    assert result.status == "pass", result.message
    path.write_text(SLOW + RIGHT.replace("x /", "tf.abs(x) /"), encoding="utf-8")
    assert learner.needs_tensorflow(path, teacher)


def test_how_an_answer_is_used_may_need_tensorflow(tmp_path):
    path = tmp_path / "answer.py"
    path.write_text("def quantile_step(model, optimizer, x, y, q):\n    return x\n", "utf-8")
    assert learner.needs_tensorflow(path)
    path.write_text("def robust_fit(x, y):\n    return x\n", encoding="utf-8")
    assert not learner.needs_tensorflow(path)


def test_the_book_checks_a_question_for_numpy_without_tensorflow(tmp_path):
    """The whole command, from the key: stubs that import all libraries, one of them answered."""
    command = [sys.executable, "-m", "kerasbook"]
    subprocess.run([*command, "start", "desk"], cwd=tmp_path, check=True, capture_output=True)
    path = tmp_path / "desk" / "exercises" / "chapter1.py"
    answer = load_file(stub_files()["huber_loss"]).solution.source.partition("def huber_loss")[2]
    text = path.read_text(encoding="utf-8")
    head, _, rest = text.partition("def huber_loss")
    body = rest.partition("raise NotImplementedError\n")[2]
    path.write_text(f"{head}def huber_loss{answer}{body}", encoding="utf-8")
    assert "import tensorflow" in head
    code = (
        "import sys; from kerasbook.cli import main; sys.argv = ['kerasbook', 'check', "
        f"{str(path)!r}]\ntry: main()\nfinally: print('tensorflow' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "1 of 1 passed" in run.stdout, run.stdout + run.stderr
    assert run.stdout.endswith("False\n")


def test_no_answer_is_ever_lost(kerasbook, teacher, tmp_path):
    path = tmp_path / "desk/exercises/chapter1.py"
    notebook_path = tmp_path / "desk/chapter1_exercises.ipynb"
    for number in range(3):
        kerasbook("start", ".", "--overwrite")
        path.write_text(f"first {number}", encoding="utf-8")
        notebook.write_notebooks(tmp_path / "desk", load(teacher).values())
        notebook_path.write_text(f"first {number}", encoding="utf-8")
        (tmp_path / "desk" / learner.STATE).write_text(f"[{number}", encoding="utf-8")
        assert learner.Progress.of(path).entries == {}
    for name in ("exercises/chapter1.py.bak*", "chapter1_exercises.ipynb.bak*"):
        kept = {one.read_text(encoding="utf-8") for one in (tmp_path / "desk").glob(name)}
        assert kept == {"first 0", "first 1"}, name
    damaged = (tmp_path / "desk").glob(f"{learner.STATE}.damaged*")
    assert {one.read_text(encoding="utf-8") for one in damaged} == {"[0", "[1", "[2"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "cannot read"),
        (b"\xff\xfe", "is not text in UTF-8"),
        (b"def (", "invalid syntax"),
        (b"x = 1", "has no function of an exercise"),
    ],
)
def test_a_file_that_cannot_be_checked_is_an_error_in_a_line(kerasbook, tmp_path, content, told):
    if content is not None:
        (tmp_path / "desk/mine.py").write_bytes(content)
    code, output = kerasbook("check", "mine.py")
    assert code == 2
    assert told in output
    assert "Traceback" not in output


def test_an_unknown_name_lists_what_is_alike(kerasbook):
    code, told = kerasbook("hint", "halfs")
    assert (code, "is it halves?" in told) == (2, True)


def test_damaged_progress_is_put_aside(tmp_path):
    (tmp_path / learner.STATE).write_text("{", encoding="utf-8")
    assert learner.Progress.of(tmp_path).entries == {}
    assert list(tmp_path.glob("*.damaged*"))


def test_a_stub_is_untouched_whatever_its_docstring(teacher):
    exercise = load(teacher)["halves"]
    assert learner.Answer(exercise, STUB, STUB, 1).untouched
    assert not learner.Answer(exercise, RIGHT, RIGHT, 1).untouched


# watch


def test_watch_checks_what_was_saved_and_nothing_else(teacher, workers, tmp_path):
    console = Console(record=True, width=100, file=io.StringIO())
    state = watch.Watch(tmp_path, load(teacher), workers, console)
    path = tmp_path / "mine.py"

    def saved(text):
        path.write_text(text, encoding="utf-8")
        os.utime(path, ns=(0, len(text)))
        for changed in state.changed_files():
            if changed.parent == tmp_path:
                state.check(changed)
        return console.export_text()

    assert saved(STUB) == ""
    assert "0 of 2" in saved(WRONG)
    state.key("h")
    assert "hint 1 of 3 to halves" in console.export_text()
    assert saved(WRONG + "# a comment\n") == "", "the answer is the same"
    assert "2 of 2" in saved(RIGHT)
    assert "line 1" in saved("import nothing_like_this\n" + RIGHT), "its imports count too"
    assert "invalid syntax" in saved("def (")
    state.key("l")
    assert "✓ halves" in console.export_text()
    assert state.key("q") is False


def test_watch_ends_with_q_in_a_terminal(teacher, tmp_path):
    (tmp_path / "mine.py").write_text(RIGHT, encoding="utf-8")
    mine, theirs = pty.openpty()
    words = ["watch", str(tmp_path), "--exercises", str(teacher)]
    process = subprocess.Popen(
        [sys.executable, "-m", "kerasbook", *words], stdin=theirs, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    seen = bytearray()

    def read():
        while True:
            try:
                piece = os.read(mine, 4096)
            except OSError:
                return
            seen.extend(piece)

    threading.Thread(target=read, daemon=True).start()
    deadline = time.monotonic() + 120
    while b"h hint" not in seen and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    os.write(mine, b"q")
    assert process.wait(60) == 0, seen.decode(errors="replace")
    assert b"halves" in seen


# In a notebook

factor = 0.5


def helper(x):
    return x * factor


def halves(x):
    return np.asarray(helper(x))


def test_check_in_a_notebook_takes_what_the_function_needs(
    teacher, workers, monkeypatch, tmp_path, capsys
):
    monkeypatch.setitem(notebook._warm, "workers", workers)
    monkeypatch.chdir(tmp_path)
    assert notebook.check(halves, teacher)
    assert "2 of 2" in capsys.readouterr().out
    text = "\n".join(notebook.text_of(halves))
    assert "import numpy as np" in text
    assert "factor = 0.5" in text
    with pytest.raises(ExerciseError, match="no exercise 'helper'"):
        notebook.check(helper, teacher)


def test_text_is_cut_with_a_word_and_has_no_control_characters():
    assert cut("\x1b[2Ja\tb\n") == "·[2Ja    b\n"
    assert cut("x" * 2000).endswith("… cut: 500 more characters")


def test_the_verbs_are_there():
    names = {command.callback.__name__ for command in app.registered_commands}
    assert {"start", "check", "watch", "hint", "solution", "progress", "grade"} <= names
