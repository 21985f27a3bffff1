"""Exercises in a notebook: `check(my_function)`, and the notebooks with the stubs."""

from __future__ import annotations

import atexit
import inspect
import types
from collections.abc import Callable, Iterable
from pathlib import Path

from kerasbook.exercises.exercise import Exercise, ExerciseError
from kerasbook.files import atomic_path, set_aside
from kerasbook.grading.feedback import render
from kerasbook.grading.question import QuestionResult
from kerasbook.grading.workers import Workers
from kerasbook.learner import learner
from kerasbook.learner.stubs import exercise_notebook

from rich.console import Console

_warm: dict[str, Workers] = {}


def check(function: Callable, folder: Path | str | None = None) -> bool:
    """Checks a function or class of a notebook, and shows what is wrong; returns whether it passed.

    It goes to a worker as text, with the imports, functions and numbers of the notebook that it
    uses, and is run there as a file's answer is.

    Args:
        function: has the name of an exercise.
        folder: has the exercises; the book's, if none is given.

    Raises:
        ExerciseError: no exercise of that name, or its text cannot be had.
    """
    return checked(function, Path(folder) if folder else None).status == "pass"


def score(function: Callable, folder: Path | str | None = None) -> float:
    """Returns the points of a check: for the cells that nbgrader and Otter run."""
    return checked(function, Path(folder) if folder else None).points


def checked(function: Callable, folder: Path | None = None) -> QuestionResult:
    """Returns the result of a check, after it was shown."""
    exercise = learner.named(getattr(function, "__name__", "?"), folder)
    if "workers" not in _warm:
        _warm["workers"] = Workers()
        atexit.register(_warm["workers"].close)
    source = "\n\n".join(text_of(function))
    answer = learner.Answer(exercise, source, source, 1)
    result = learner.check_answer(_warm["workers"], answer)
    progress = learner.Progress.of(Path.cwd())
    progress.note(result)
    progress.save()
    Console().print(render(exercise, result))
    return result


def text_of(thing: Callable, seen: set[str] | None = None) -> list[str]:
    """Returns the texts that a function needs: imports, what it uses of its module, then its own.

    Raises:
        ExerciseError: its source cannot be found.
    """
    seen = set() if seen is None else seen
    name = thing.__name__
    seen.add(name)
    try:
        own = inspect.getsource(thing)
    except (OSError, TypeError) as error:
        raise ExerciseError(f"the text of {name} cannot be found: define it in a cell") from error
    texts = []
    module = inspect.getmodule(thing)
    surroundings = getattr(thing, "__globals__", None) or vars(module) if module else {}
    for used in _names(own):
        if used in seen or used not in surroundings:
            continue
        seen.add(used)
        value = surroundings[used]
        if isinstance(value, types.ModuleType):
            texts.append(f"import {value.__name__} as {used}")
        elif getattr(value, "__module__", None) == getattr(thing, "__module__", "?") and (
            inspect.isfunction(value) or inspect.isclass(value)
        ):
            texts += text_of(value, seen)
        elif isinstance(value, bool | int | float | str | None):
            texts.append(f"{used} = {value!r}")
        elif hasattr(value, "__module__") and hasattr(value, "__qualname__"):
            texts.append(f"from {value.__module__} import {value.__qualname__} as {used}")
    return [*texts, inspect.cleandoc(own) if own[:1].isspace() else own]


def _names(text: str) -> list[str]:
    import ast
    import textwrap

    nodes = ast.walk(ast.parse(textwrap.dedent(text)))
    return sorted({node.id for node in nodes if isinstance(node, ast.Name)})


# The notebooks


def write_notebooks(
    folder: Path, exercises: Iterable[Exercise], own: Path | None = None
) -> list[Path]:
    """Writes <key>_exercises.ipynb for every chapter that has exercises; returns the files.

    A file that is there and differs, which may hold answers, is kept as NAME.bak, NAME.bak2 ….
    """
    paths = []
    for key, found in learner.by_chapter(exercises).items():
        path = folder / f"{key}_exercises.ipynb"
        text = exercise_notebook(key, found, own).encode()
        if path.exists() and path.read_bytes() != text:
            set_aside(path)
        with atomic_path(path) as temporary:
            temporary.write_bytes(text)
        paths.append(path)
    return paths
