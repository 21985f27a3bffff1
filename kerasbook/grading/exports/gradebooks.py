"""Canvas and Moodle: CSV files that their gradebooks import.

Neither was tried in Canvas or Moodle themselves. What is written follows RFC 4180: every cell
quoted, lines ended by CR LF; text that a spreadsheet would take for a formula gets a ' before it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from kerasbook.grading.exports import ExportError
from kerasbook.grading.tables import table
from kerasbook.grading.text import escaped_name

CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]


def read_roster(path: Path) -> dict[str, dict[str, str]]:
    """Returns learner → the other columns of a CSV file with a column "learner".

    Raises:
        ExportError: no such column, a learner twice, or no text in UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = [{key: value or "" for key, value in row.items() if key} for row in reader]
            columns = reader.fieldnames or []
    except (UnicodeDecodeError, csv.Error) as error:
        raise ExportError(f"{path}: not CSV in UTF-8: {error}") from error
    if "learner" not in columns or len(set(columns)) < len(columns):
        raise ExportError(f'{path}: a column "learner" is needed, and no column twice')
    roster = {}
    for row in rows:
        learner = escaped_name(row.pop("learner"))
        if learner in roster:
            raise ExportError(f"{path}: {learner!r} stands there twice")
        roster[learner] = row
    return roster


def left_out(records: Iterable[dict], roster: dict | None) -> list[str]:
    """Returns the learners who are in no row: not in the roster, or the grader failed on them."""
    return [
        record["learner"]
        for record in records
        if record["needs_attention"] or (roster is not None and record["learner"] not in roster)
    ]


def canvas(records: list[dict], assignment: str, roster: dict | None = None) -> str:
    """Returns a Canvas gradebook: five columns on the student, points; first a row of possible
    points.

    Args:
        records: of the class.
        assignment: the column's title; Canvas adds to an assignment of its own if it ends in that
            one's number, as in "Week 3 (1234)".
        roster: learner → columns, of which the five of Canvas are taken; without one, the
            learner's name is Student and SIS Login ID.
    """
    possible = max(record["max_points"] for record in records)
    rows = [["    Points Possible", "", "", "", "", possible]]
    for record, columns in _with_columns(records, roster, ("Student", "SIS Login ID")):
        rows.append([*(columns.get(name, "") for name in CANVAS), record["points"]])
    return _crlf([*CANVAS, assignment], rows, "    Points Possible")


def moodle(records: list[dict], assignment: str, roster: dict | None = None) -> str:
    """Returns a CSV for Moodle's "Import > CSV file": the roster's columns, then the points."""
    chosen = list(_with_columns(records, roster, ("username",)))
    names = list(dict.fromkeys(name for _, columns in chosen for name in columns))
    rows = [[*(columns[name] for name in names), record["points"]] for record, columns in chosen]
    return _crlf([*names, assignment], rows)


def _with_columns(records, roster, own):
    out = set(left_out(records, roster))
    for record in records:
        if record["learner"] not in out:
            name = record["learner"]
            yield record, dict.fromkeys(own, name) if roster is None else roster[name]


def _crlf(header, rows, untouched: str = "") -> str:
    """CSV by RFC 4180; the cell `untouched` is written as it is."""
    text = table(header, rows, "\r\n")
    return text.replace(f'"\'{untouched}"', f'"{untouched}"', 1) if untouched else text
