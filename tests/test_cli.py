"""The command `kerasbook`, and what importing the package costs."""

import subprocess
import sys

from kerasbook import __version__
from kerasbook.cli import app, chapter_titles

from typer.testing import CliRunner


def test_list_shows_every_chapter_and_its_command():
    result = CliRunner().invoke(app, ["list"])
    assert result.exit_code == 0
    for number in (1, 2, 3):
        assert f"python -m kerasbook.chapter{number}" in result.output
    assert chapter_titles()[1] == "Chapter 1. Linear regression"


def test_version_and_an_unknown_chapter():
    assert CliRunner().invoke(app, ["--version"]).output.strip() == f"kerasbook {__version__}"
    assert CliRunner().invoke(app, ["run", "77"]).exit_code == 2


def test_the_command_imports_nothing_heavy():
    heavy = "{'tensorflow', 'keras', 'numpy', 'matplotlib', 'tensorflow_datasets'}"
    code = f"import sys, kerasbook.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_tensorflow_is_silent_and_its_errors_are_not():
    code = (
        "import kerasbook, importlib.util, os; importlib.util.find_spec('tensorflow'); "
        "import tensorflow; os.write(2, b'shown')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == "shown"
