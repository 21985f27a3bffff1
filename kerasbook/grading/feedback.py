"""What a learner reads about an answer: the first case that failed, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kerasbook.exercises.exercise import Exercise, Inputs
from kerasbook.grading.question import STATUSES, CaseResult, QuestionResult
from kerasbook.grading.text import cut, printable

import numpy as np
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

MOST_LINES = 8


def one_line(result: QuestionResult) -> Text:
    """Returns name, points, and in a word how it went."""
    passed = result.status == "pass"
    text = Text("✓ " if passed else "✗ ", style="green" if passed else "red")
    text.append(result.name, style="bold")
    text.append(f"  {result.points:g} of {result.max_points:g}", style="default")
    if not passed:
        text.append(f"  {STATUSES[result.status]}", style="default")
    return text


def render(
    exercise: Exercise, result: QuestionResult, path: Path | None = None, line: int = 0
) -> RenderableType:
    """Returns the feedback to one question, for rich.

    Args:
        exercise, result: the question, and how the answer did.
        path, line: where the answer stands, for a link.
    """
    parts: list[RenderableType] = [one_line(result)]
    if path:
        place = Text(f"  {printable(str(path))}:{line}", style=f"link {path.resolve().as_uri()}")
        parts.append(place)
    case = next((one for one in result.cases if one.status != "pass"), None)
    if result.misconception:
        parts.append(Panel(Text(result.message), title="what may have happened", style="yellow"))
    if case:
        parts.append(Text(f"  first case that fails: {case.name}"))
        if case.message != result.message or not result.misconception:
            parts.append(Text(indented(case.message)))
        parts += _compared(exercise, case)
    if result.output.strip():
        parts.append(Panel(Text(cut(result.output)), title="printed", style="dim"))
    return Group(*parts)


def _compared(exercise: Exercise, case: CaseResult) -> list[RenderableType]:
    """The inputs; then got and expected, and the tolerance."""
    assert case.case
    parts: list[RenderableType] = [_inputs(case.case.all_calls()[case.number])]
    if case.difference and case.got is not None:
        name, got, expected = case.difference.output, case.got, case.expected
        table = Table("", "got", "expected", box=None, padding=(0, 2))
        table.add_row(name, described(got), described(expected))
        table.add_row("", Text(lines_of(got)), Text(lines_of(expected)))
        parts.append(table)
        parts.append(
            Text(f"  tolerance: {exercise.atol:g} + {exercise.rtol:g} · |expected|", style="dim")
        )
    return parts


def _inputs(inputs: Inputs) -> Table:
    table = Table(box=None, padding=(0, 2), show_header=False)
    for name, value in inputs.items():
        table.add_row(name, described(value), Text(lines_of(value)))  # [nan] is no markup
    return table


def described(value: Any) -> str:
    """Returns shape and dtype of an array, "" for anything else."""
    return f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else ""


def lines_of(value: Any) -> str:
    """Returns a value in at most a few lines."""
    if isinstance(value, np.ndarray):
        if value.ndim > 4:  # written out, six values an axis would be minutes of work
            value = value.ravel()
        text = np.array2string(value, precision=5, threshold=40, edgeitems=3, max_line_width=60)
    else:
        text = repr(value)
    lines = text.splitlines()
    return "\n".join(lines[:MOST_LINES] + (["…"] if len(lines) > MOST_LINES else []))


def indented(text: str) -> str:
    """Returns each line two to the right."""
    return "\n".join(f"  {line}" for line in cut(text).splitlines())
