"""The command and the chapters in odd surroundings: encodings, pipes, namesakes, python -OO."""

import os
import subprocess
import sys

from kerasbook import program
from kerasbook.cli import app
from kerasbook.contents import PACKAGE
from kerasbook.exercises import cards

import pytest
from typer.testing import CliRunner

ROOT = PACKAGE.parent
COMMAND = [sys.executable, "-m", "kerasbook"]


def run(*words, module="kerasbook", folder=None, **variables):
    """Runs a module in a folder, as a reader does."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | variables
    python = [sys.executable, "-m", module, *map(str, words)]
    return subprocess.run(python, env=environment, cwd=folder, capture_output=True)


@pytest.mark.parametrize(
    "words",
    [["hint", "huber_loss"], ["exercises", "list"], ["progress"], ["--help"], ["list"],
     ["run", "3", "--help"], ["run", "3", "--epochs", "x"], ["hint", "no_such"]],
)  # fmt: skip
def test_small_verbs_do_not_import_tensorflow(words, tmp_path):
    code = f"""
import sys
from kerasbook.cli import main
sys.argv = ["kerasbook", *{words}]
try:
    main()
finally:
    print(sorted({{"tensorflow", "keras", "numpy"}} & set(sys.modules)))
"""
    python = [sys.executable, "-c", code]
    done = subprocess.run(
        python,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
    assert "Traceback" not in done.stderr


def test_an_exercise_that_computes_what_it_says_is_run(tmp_path, monkeypatch):
    text = cards.file_of("huber_loss").read_text(encoding="utf-8")
    text = text.replace("minutes=20", "minutes=4 * 5", 1)
    (tmp_path / "own.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for words in (["hint", "huber_loss"], ["exercises", "list"], ["progress"]):
        done = CliRunner().invoke(app, [*words, "--exercises", str(tmp_path)])
        assert done.exit_code == 0, done.output


def test_cards_are_what_the_exercises_say():
    for found in cards.cards().values():
        text = cards.file_of(found.name).read_text(encoding="utf-8")
        assert isinstance(found, cards.Card)
        assert found.title
        assert f"minutes={found.minutes}," in text
        assert len(found.hints) == 3


@pytest.mark.parametrize("words", [["progress"], ["exercises", "list"], ["list"]])
def test_letters_that_the_output_lacks_are_question_marks(words, tmp_path):
    done = run(*words, folder=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stderr == b""
    assert len(done.stdout.splitlines()) > 10
    done.stdout.decode("ascii")


def test_a_chapter_goes_on_where_its_output_is_not_utf8(tmp_path):
    words = ["--quick", "--output", tmp_path / "run"]
    done = run(*words, module="kerasbook.chapter1", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"report.json" in done.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_lost_output_is_told_and_a_closed_pipe_is_not():
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    settings = {"env": environment, "stderr": subprocess.PIPE}
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "list"], stdout=full, **settings)
    assert done.returncode == 1
    assert done.stderr == b"warning: not all was printed: No space left on device\n"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*COMMAND, "list"], stdout=writing, **settings)
    os.close(writing)
    assert done.returncode == 0
    assert done.stderr == b""


def test_namesakes_of_libraries_in_the_working_folder_are_not_taken(tmp_path):
    for name in ("keras", "random", "numpy", "rich", "typer", "tensorflow"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong one')")
    assert run("hint", "huber_loss", folder=tmp_path).returncode == 0
    done = run("--quick", "--quiet", module="kerasbook.chapter1", folder=tmp_path)
    assert done.returncode == 0, done.stderr


def test_namesakes_of_libraries_beside_a_notebook_are_not_taken(tmp_path):
    (tmp_path / "keras.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "mine.py").write_text("answer = 42")
    code = (
        "import sys, types; sys.modules['ipykernel'] = types.ModuleType('ipykernel')\n"
        "before = next(i for i, path in enumerate(sys.path) if path.endswith('site-packages'))\n"
        "sys.path.remove(''); sys.path.insert(before - 1, '')\n"  # as IPython does
        "import kerasbook, mine, importlib.util\n"
        "print(mine.answer, importlib.util.find_spec('keras').origin)"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=True)
    answer, found = done.stdout.split(maxsplit=1)
    assert answer == "42"
    assert "site-packages" in found


def test_without_docstrings_and_assertions_exercises_are_read(tmp_path):
    done = run("hint", "huber_loss", folder=tmp_path, PYTHONOPTIMIZE="2")
    assert done.returncode == 0, done.stderr
    (tmp_path / ".kerasbook.json").write_text("[1]")
    done = run("progress", folder=tmp_path, PYTHONOPTIMIZE="2")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / ".kerasbook.json.damaged").exists()


@pytest.mark.parametrize(
    ("words", "passed"),
    [
        (["1", "--quick"], ["--quick"]),
        (["--quick", "1"], ["--quick"]),
        (["--quick", "--quiet", "chapter1", "--seed", "3"], ["--quick", "--quiet", "--seed", "3"]),
        (["kerasbook.chapter1"], []),
        (["chapter1.py"], []),
    ],
)
def test_run_takes_switches_before_the_chapter(words, passed, monkeypatch):
    asked = []
    monkeypatch.setattr("kerasbook.runner.run", lambda *call: asked.append(call))
    assert CliRunner().invoke(app, ["run", *words]).exit_code == 0
    assert asked == [("kerasbook.chapter1", passed)]


@pytest.mark.parametrize("words", [["--epochs", "3", "1"], ["--quick"], ["--quick", "--quick"]])
def test_run_does_not_take_a_value_for_a_chapter(words):
    done = CliRunner().invoke(app, ["run", *words])
    assert done.exit_code == 2
    assert "name the chapter first" in done.output


def test_lines_of_a_message_become_sentences(capsys):
    with pytest.raises(SystemExit):
        program.fail("run this\nCopy the folder.\n\nThe  end")
    assert capsys.readouterr().err == "error: run this; Copy the folder. The end\n"
