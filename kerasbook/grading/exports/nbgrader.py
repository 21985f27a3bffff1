"""nbgrader: an assignment's notebook, as an instructor keeps it under source/ASSIGNMENT.

nbgrader runs the answers in the kernel that counts the points, so a learner's code can give itself
any. The cells that it runs are for learners' own check and for classes that are trusted; grade the
notebooks that nbgrader collected with `kerasbook grade`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from kerasbook.exercises.exercise import Exercise, head

EMPTY = re.compile(r"^( *)raise NotImplementedError.*$", re.MULTILINE)
REGION = r"\1### BEGIN SOLUTION\n\1raise NotImplementedError\n\1### END SOLUTION"


def assignment(exercises: Iterable[Exercise], own: Path | None = None) -> str:
    """Returns the text of a notebook: for each exercise an answer cell and a cell that gives
    points.

    Args:
        exercises: the questions.
        own: folder of the teacher's own exercises, as the learner's kernel will find it.
    """
    exercises = list(exercises)
    imports = sorted({line for one in exercises for line in one.imports.splitlines() if line})
    cells = [
        cell("introduction", "markdown", "# Exercises\n\nFill in, then run the cell below it."),
        cell(
            "imports",
            "code",
            "\n".join([*imports, "from kerasbook.learner.notebook import score"]),
        ),
    ]
    place = f", {str(own)!r}" if own else ""
    for number, one in enumerate(exercises, 1):
        answer = EMPTY.sub(REGION, one.stub_source.rstrip())
        cells += [
            cell(f"{one.name}-title", "markdown", f"## {number}. {head(one)}"),
            cell(one.name, "code", answer, question=one.name, solution=True, locked=False),
            cell(
                f"{one.name}-points",
                "code",
                f"score({one.name}{place})",
                grade=True,
                points=float(one.points),
            ),
        ]
    return notebook(cells)


def cell(grade_id: str, kind: str, source: str, question: str = "", **more) -> dict:
    """Returns a cell with nbgrader's metadata, version 3; locked, unless said otherwise."""
    metadata: dict = {
        "nbgrader": {
            "schema_version": 3,
            "grade_id": grade_id,
            "grade": False,
            "solution": False,
            "locked": True,
            "task": False,
            **more,
        }
    }
    if question:
        metadata["kerasbook"] = {"question": question}
    made = {"cell_type": kind, "id": grade_id[:64], "metadata": metadata, "source": source}
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def notebook(cells: list[dict], **metadata) -> str:
    """Returns the text of a notebook of these cells."""
    whole = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
            **metadata,
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"
