"""A new chapter is one file and its ledger file: everything else finds them by name.

The package is laid out a second time, of links, with a chapter more; programs that import that one
must know the chapter.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from kerasbook import contents

import pytest

TOY = '''\
# %% [markdown]
"""
# Chapter 42, continued. A toy

One weight. After this chapter you can

- double a number.
"""

# %% tags=["script"]
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter42_toy")

# %%
from kerasbook.data import Splits
from kerasbook.data.splits import Part
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit

import keras
import numpy as np


def double(x):
    """Returns twice x."""
    return 2 * x


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["made_up"],
    "headline": ["test", "loss"],
    "bounds": {"slope": [1, 3]},
    "quick": {"epochs": 2},
    "minutes": 1,
}


def main(epochs: int = 5, slope: float = 2.0, seed: int = 0, **fit_options) -> Result:
    """Doubles numbers.

    Args:
        slope: what one number is multiplied by
    """
    keras.utils.set_random_seed(seed)
    x = np.linspace(-1, 1, 32, dtype="float32")[:, np.newaxis]
    part = Part(x, np.float32(slope) * x)
    splits = Splits(part, part, part, "made_up", "Made up", "a number", "embedded")
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    loss_fn = keras.losses.MeanSquaredError()
    options = {"loss_fn": loss_fn, "optimizer": keras.optimizers.SGD(0.1), "epochs": epochs}
    history = fit(model, splits.train, **options, seed=seed, **fit_options)
    return Result(splits, model, history, {"test": evaluate(model, part, loss_fn=loss_fn)})


# %%
if __name__ == "__main__":
    result = main()
    print(double(21), len(result.history.history["loss"]))

# %% [markdown]
# ## Exercises
#
# `kerasbook start DIR` copies them.
#
# ## Where to go next
#
# Nowhere.
'''
LEDGER = '''\
"""Chapter 42's toy: doubling."""

from kerasbook.chapter42_toy import double
from kerasbook.ledger.core import claim, mutant, values_and_gradients


@claim("chapter42_toy", "doubling = adding")
def _(draw):
    return values_and_gradients(double, lambda x: x + x, x=draw(draw.size()))


mutant("chapter42_toy", double, "2 * x", "3 * x", "thrice")
'''


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """A folder with the package, as links, and the toy chapter in it."""
    folder = tmp_path_factory.mktemp("book")
    for room in ("", "ledger"):
        place = folder / "kerasbook" / room
        place.mkdir(exist_ok=True, parents=True)
        for path in (contents.PACKAGE / room).iterdir():
            if path.name not in ("ledger" if not room else "", "__pycache__"):
                (place / path.name).symlink_to(path)
    (folder / "kerasbook" / "chapter42_toy.py").write_text(TOY)
    (folder / "kerasbook" / "ledger" / "chapter42_toy.py").write_text(LEDGER)
    return folder


@pytest.fixture
def kerasbook(book):
    """Runs `python -m kerasbook …` there; returns what it prints."""

    def call(*words):
        done = subprocess.run(
            [sys.executable, "-m", *words],
            cwd=book,
            env={**os.environ, "PYTHONPATH": str(book)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return call


def test_it_is_listed_and_has_flags(kerasbook):
    listed = kerasbook("kerasbook", "list")
    assert "Chapter 42, continued. A toy\n    python -m kerasbook.chapter42_toy    about 1 min" in (
        listed
    )
    assert listed.index("chapter9") < listed.index("chapter42_toy")
    assert "--slope FLOAT" in kerasbook("kerasbook", "run", "42_toy", "--help")


def test_it_runs_as_a_program_by_its_key(kerasbook, book):
    printed = kerasbook("kerasbook", "run", "chapter42_toy", "--quick", "--jit", "off")
    assert printed.startswith("Chapter 42, continued. A toy\n")
    report = json.loads((book / "runs" / "chapter42_toy" / "report.json").read_text())
    assert report["chapter"] == "chapter42_toy"
    assert report["dataset"] == "made_up"
    assert report["epochs"] == 2
    assert report["parameters"] == {"epochs": 2, "slope": 2.0, "seed": 0}


def test_it_has_a_notebook(kerasbook, book):
    printed = kerasbook("kerasbook", "notebooks", "build", "chapter42_toy")
    assert printed.startswith("chapters/chapter42_toy.ipynb: ")
    notebook = json.loads((book / "chapters" / "chapter42_toy.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"]]
    assert "`python -m kerasbook.chapter42_toy`" in cells[0]
    assert not any("runner import run" in cell for cell in cells)
    (main,) = [cell for cell in notebook["cells"] if "def main(" in "".join(cell["source"])]
    assert main["metadata"]["jupyter"]["source_hidden"]
    (shown,) = [cell for cell in notebook["cells"] if "double(21)" in "".join(cell["source"])]
    assert "".join(shown["outputs"][-1]["text"]).endswith("42 5\n")
    assert (
        "[42, continued. A toy](chapter42_toy.ipynb)"
        in (book / "chapters" / "README.md").read_text()
    )
    printed = kerasbook("kerasbook", "notebooks", "check", "--execute", "chapter42_toy")
    assert printed.startswith("chapter42_toy: all cells ran")


def test_the_ledger_has_its_claims_and_its_planted_mistake(kerasbook):
    assert "1 of 1 claims hold" in kerasbook("kerasbook", "verify", "chapter42_toy")
    planted = kerasbook("kerasbook", "verify", "chapter42_toy", "--mutants")
    assert "1 of 1 planted mistakes caught" in planted


def test_the_readmes_table_finds_it(kerasbook, book):
    tools = Path(__file__).resolve().parent.parent / "tools"
    code = f"""
import sys
sys.path.insert(0, {str(tools)!r})
from make_results import table
score = {{"mean": 0.5, "sd": 0.1}}
entry = {{"flags": "", "seconds": [1.0], "scores": {{"test": {{"loss": score}}}}}}
other = {{"flags": "--slope 3", "seconds": [1.0], "scores": {{"test": {{"error": score}}}}}}
print(table({{"chapter42_toy": {{"made_up": entry, "another": other}}}}))
"""
    (book / "show.py").write_text(code)
    *_, first, second = kerasbook("show").splitlines()
    title = "[42, continued. A toy](chapters/chapter42_toy.ipynb)"
    source = "[source](kerasbook/chapter42_toy.py)"
    assert first == f"| {title} | {source} | test loss 0.500 ± 0.100 | 1 |"
    flags = "`--slope 3`"
    assert second == f"| {title} | {source} {flags} | test error 0.500 ± 0.100 | 1 |"
