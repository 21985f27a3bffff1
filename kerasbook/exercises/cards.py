"""What stands at the head of an exercise's file, read without running it: for lists and hints.

Only the standard library is needed, so that `kerasbook hint` does not wait for TensorFlow.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasbook.contents import key_of, place_of
from kerasbook.program import UserError

STUB = re.compile(r"^@exercise\.stub\n(?:def|class) (\w+)", re.MULTILINE)


class ExerciseError(UserError):
    """An exercise file that cannot be used, and why."""


class NoCard(ExerciseError):
    """An exercise whose file must be run to know what it says of itself."""


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
    """Returns the card of an exercise.

    Raises:
        NoCard: what it says of itself is no literal.
        ExerciseError: the file cannot be read.
    """
    tree = parsed(path.read_text(encoding="utf-8"), path)
    title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
    names = ("chapter", "minutes", "difficulty", "points", "hints")
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            given = {one.arg: one.value for one in node.value.keywords}
            try:
                return Card(name, title, **{each: ast.literal_eval(given[each]) for each in names})
            except (KeyError, ValueError):
                continue
    raise NoCard(f"{path}: {', '.join(names)} are no literals")


def registered(path: Path, decorator: str) -> str:
    """Returns the text of the function or class that @exercise.<decorator> registers, "" if none.

    Raises:
        ExerciseError: the file cannot be read.
    """
    text = path.read_text(encoding="utf-8")
    for node in parsed(text, path).body:
        for one in getattr(node, "decorator_list", []):
            if ast.unparse(one) == f"exercise.{decorator}":
                lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
                return "\n".join(lines) + "\n"
    return ""


def parsed(text: str, path: Path) -> ast.Module:
    """Returns the syntax tree of an exercise's file.

    Raises:
        ExerciseError: it is not Python.
    """
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError) as error:
        raise ExerciseError(f"{path}: {type(error).__name__}: {error}") from error


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


def stars(exercise: Any) -> str:
    """Returns the difficulty: ★☆☆ to ★★★."""
    return "★" * exercise.difficulty + "☆" * (3 - exercise.difficulty)


def head(exercise: Any) -> str:
    """Returns title, difficulty, minutes, points in a line."""
    points = f"{exercise.points:g} point{'s' if exercise.points != 1 else ''}"
    return f"{exercise.title} · {stars(exercise)} · {exercise.minutes} minutes · {points}"


def files_of(folder: Path | None = None) -> list[Path]:
    """Returns the exercise files of a folder, or the book's; names beginning with "_" are none."""
    root, pattern = (folder, "**/*.py") if folder else (Path(__file__).parent, "chapter*/*.py")
    return [path for path in sorted(root.glob(pattern)) if not path.name.startswith("_")]


def stub_files(folder: Path | None = None) -> dict[str, Path]:
    """Returns the file of each exercise by its name, without importing any.

    Raises:
        ExerciseError: no exercise, or two with one name.
    """
    found: dict[str, Path] = {}
    for path in files_of(folder):
        for name in STUB.findall(path.read_text(encoding="utf-8")):
            if name in found:
                raise ExerciseError(f"{path}: {found[name]} has {name} too")
            found[name] = path
    if not found:
        raise ExerciseError(f"no exercise in {folder or Path(__file__).parent}")
    return found
