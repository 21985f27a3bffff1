"""The tables of a class: CSV that no name and no text of a learner's can break."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping

from kerasbook.exercises.exercise import Exercise
from kerasbook.grading.text import one_line


def safe_cell(value: object) -> str:
    """Returns a cell of one line that no spreadsheet takes for a formula."""
    text = one_line(str(value))
    return "'" + text if text.strip()[:1] in tuple("=+-@＝＋－＠") or text[:1].isspace() else text


def table(header: Iterable[str], rows: Iterable[Iterable[object]], line_end: str = "\n") -> str:
    """Returns CSV, every cell quoted and safe."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerow([safe_cell(one) for one in header])
    for row in rows:
        writer.writerow([one if isinstance(one, float | int) else safe_cell(one) for one in row])
    return file.getvalue()


def grades_table(
    exercises: Mapping[str, Exercise], records: Iterable[dict], absent: Iterable[str] = ()
) -> str:
    """Returns a row for each learner: points of every question, sum, what needs attention."""
    most = sum(one.points for one in exercises.values())
    rows = []
    for record in records:
        points = [record["questions"][name]["points"] for name in exercises]
        shown = ["internal" if one is None else one for one in points]
        attention = "look at this one" if record["needs_attention"] else ""
        notes = "; ".join(record["notes"])
        total = record["points"], record["max_points"]
        rows.append([record["learner"], *shown, *total, attention, notes])
    for name in sorted(absent):
        rows.append([name, *([0.0] * len(exercises)), 0.0, most, "", "handed in nothing"])
    header = ["learner", *exercises, "points", "max_points", "attention", "notes"]
    return table(header, rows)


def questions_table(exercises: Mapping[str, Exercise], records: list[dict]) -> str:
    """Returns a row for each question: mean points, share passed, statuses, misconceptions."""
    rows = []
    for name, exercise in exercises.items():
        outcomes = [record["questions"][name] for record in records]
        points = [one["points"] for one in outcomes if one["points"] is not None]
        statuses = Counter(one["status"] for one in outcomes)
        thoughts = Counter(one.get("misconception") for one in outcomes if one.get("misconception"))
        mean = round(sum(points) / max(len(points), 1), 3)
        passed = round(statuses["pass"] / max(len(outcomes), 1), 3)
        rows.append([name, exercise.points, mean, passed, listed(statuses), listed(thoughts)])
    header = ["question", "max_points", "mean_points", "share_passed", "statuses", "misconceptions"]
    return table(header, rows)


def listed(counts: Counter) -> str:
    """Returns counts as text, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered)
