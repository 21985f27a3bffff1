"""What stands at the head of an exercise's file, read without running it: for lists and hints.

Only the standard library is needed, so that `kerasbook hint` does not wait for TensorFlow.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasbook.contents import key_of, place_of
from kerasbook.exercises.folder import ExerciseError, stub_files


@dataclass(frozen=True)
class Card:
    """What an exercise's file says of it in literals; the names are those of Exercise."""

    name: str
    title: str
    chapter: int | str
    minutes: int
    difficulty: int
    points: float
    hints: Sequence[str]

    @property
    def key(self) -> str:
        """The key of its chapter: `chapter6`."""
        return key_of(self.chapter)


def card_of(name: str, path: Path) -> Any:
    """Returns the card of an exercise; the Exercise itself, where its file has no literals.

    Raises:
        ExerciseError: the file cannot be read.
    """
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        raise ExerciseError(f"{path}: {type(error).__name__}: {error}") from error
    title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    names = ("chapter", "minutes", "difficulty", "points", "hints")
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            given = {one.arg: one.value for one in node.value.keywords}
            try:
                return Card(name, title, **{each: ast.literal_eval(given[each]) for each in names})
            except (KeyError, ValueError):
                continue
    from kerasbook.exercises.exercise import load_file

    return load_file(path)


def cards(folder: Path | None = None) -> dict[str, Any]:
    """Returns the cards of a folder's exercises, or of the book's, name → Card, in their order."""
    found = [card_of(name, path) for name, path in stub_files(folder).items()]
    return {one.name: one for one in sorted(found, key=lambda o: (place_of(o.key), o.difficulty))}


def named(name: str, folder: Path | None = None) -> Any:
    """Returns the card of the exercise of this name.

    Raises:
        ExerciseError: there is none; the message lists those that are alike.
    """
    return card_of(name, file_of(name, folder))


def file_of(name: str, folder: Path | None = None) -> Path:
    """Returns the file of the exercise of this name; raises as `named` does."""
    files = stub_files(folder)
    if name not in files:
        alike = difflib.get_close_matches(name, files, 3, 0.4) or list(files)[:5]
        raise ExerciseError(f"there is no exercise {name!r}; is it {' or '.join(alike)}?")
    return files[name]
