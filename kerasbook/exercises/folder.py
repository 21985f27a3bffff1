"""The exercise files of a folder, found without importing any, and an exercise in a line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from kerasbook.program import UserError

STUB = re.compile(r"^@exercise\.stub\n(?:def|class) (\w+)", re.MULTILINE)


class ExerciseError(UserError):
    """An exercise file that cannot be used, and why."""


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
