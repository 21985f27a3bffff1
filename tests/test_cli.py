"""The command `kerasbook`, and what importing the package costs."""

import subprocess
import sys

from kerasbook import __version__, contents
from kerasbook.cli import app

import pytest
from typer.testing import CliRunner


def call(*words):
    result = CliRunner().invoke(app, words)
    return result.exit_code, result.output


def test_list_shows_every_chapter_and_its_command():
    status, printed = call("list")
    assert status == 0
    for page in contents.pages().values():
        assert page.title in printed
        assert (f"    python -m {page.module}" in printed) is page.is_chapter
    assert contents.find(1).title == "Chapter 1. Linear regression"


def test_version_and_an_unknown_chapter():
    assert call("--version") == (0, f"kerasbook {__version__}\n")
    line = "error: there is no chapter 77: `kerasbook list` shows those there are\n"
    for words in (["run"], ["verify"], ["notebooks", "check"]):
        assert call(*words, "77") == (2, line)
    assert call("run", "errata") == (2, "error: errata is read, not run: chapters/errata.ipynb\n")
    assert "did you mean chapter9?" in call("run", "chapter9_")[1]


@pytest.mark.parametrize("name", [3, "3", "chapter3"])
def test_a_number_or_a_key_names_a_chapter(name):
    assert contents.find(name).module == "kerasbook.chapter3"
    status, printed = call("run", str(name), "--help")
    assert status == 0
    assert printed.startswith("usage: python -m kerasbook.chapter3")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["check", "nothing.py"], "error: cannot read nothing.py"),
        (["hint", "nothing"], "error: there is no exercise"),
        (["export", "exercism", "nothing.json", "out.json"], "error: cannot read nothing.json"),
        (["notebooks", "build", "1", "--folder", "/dev/null/x"], "error: "),
    ],
)
def test_what_goes_wrong_in_any_verb_is_one_line(words, message, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("kerasbook.notebooks.execute", lambda notebook, **_: notebook)
    status, printed = call(*words)
    assert status == 2
    assert printed.splitlines()[-1].startswith(message)


HELP = [[verb, "--help"] for verb in ("predict", "convert", "card", "grade")]


@pytest.mark.parametrize("words", [["list"], *HELP], ids=" ".join)
def test_the_command_imports_nothing_heavy(words):
    heavy = "{'tensorflow', 'keras', 'numpy', 'matplotlib', 'tensorflow_datasets'}"
    code = f"""
import sys
from kerasbook.cli import app
try:
    app({words})
finally:
    print(sorted({heavy} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_importing_tensorflow_is_silent_and_its_errors_are_not():
    code = (
        "import kerasbook, importlib.util, os; importlib.util.find_spec('tensorflow'); "
        "import tensorflow; os.write(2, b'shown')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "shown"
