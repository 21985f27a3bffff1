"""What a learner is handed: a file of stubs, and a notebook with stubs, for each chapter."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from pathlib import Path

from kerasbook.contents import name_of
from kerasbook.exercises.exercise import Exercise, head


def stubs(key: str, exercises: Iterable[Exercise], own: Path | None = None) -> str:
    """Returns a learner's file: the imports, then each stub below a line with its title.

    own: folder of a teacher's own exercises, which the commands must name.
    """
    more = f" --exercises {shlex.quote(str(own.resolve()))}" if own else ""
    exercises = list(exercises)
    imports = sorted({line for one in exercises for line in one.imports.splitlines() if line})
    parts = [
        f'"""Exercises of {name_of(key)}.\n\n'
        f"Write each function's body in place of its last line, save, and check:\n\n"
        f"    kerasbook check {key}.py{more}\n"
        f"    kerasbook watch .{more + '    ' if more else ' ' * 18}checks at every save\n"
        f"    kerasbook hint {exercises[0].name}{more}\n"
        '"""\n\n' + "\n".join(imports) + "\n"
    ]
    for number, exercise in enumerate(exercises, 1):
        parts.append(f"# {number}. {head(exercise)}\n\n\n{exercise.stub_source}")
    return "\n\n".join(parts)


def exercise_notebook(key: str, exercises: Iterable[Exercise], folder: Path | None = None) -> str:
    """Returns the text of a notebook with a chapter's stubs, each with its specification and a
    check, of exercises in a teacher's folder, or of the book.
    """
    where = f", folder={str(folder.resolve())!r}" if folder else ""
    exercises = list(exercises)
    imports = sorted({line for one in exercises for line in one.imports.splitlines() if line})
    imports = ["from kerasbook.learner import check", "", *imports]  # kerasbook before keras
    cells = [
        _cell(
            "title",
            "markdown",
            f"# Exercises of {name_of(key)}\n\nWrite each function's body in place of its last "
            "line and run the cell, then the one below it. A check that fails shows the first "
            "case, what was got and what was expected. `kerasbook hint NAME` in a terminal gives "
            "a hint.",
        ),
        _cell("imports", "code", "\n".join(imports)),
    ]
    for number, one in enumerate(exercises, 1):
        cells += [
            _cell(f"{one.name}-title", "markdown", f"## {number}. {head(one)}"),
            _cell(one.name, "code", one.stub_source.rstrip(), question=one.name),
            _cell(f"{one.name}-check", "code", f"check({one.name}{where})"),
        ]
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _cell(name: str, kind: str, text: str, question: str = "") -> dict:
    metadata = {"kerasbook": {"question": question}} if question else {}
    cell = {"cell_type": kind, "id": name[:64], "metadata": metadata, "source": text}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})
