"""Tables of numbers in CSV, from whoever wrote them."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from kerasbook.data.splits import DataError

import numpy as np


def read_text(path: Path) -> str:
    """Returns the text of a file in UTF-8, with or without a mark at its beginning.

    Raises:
        DataError: it is not there, empty, or in another encoding.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None
    return decoded(content, str(path))


def decoded(content: bytes, name: str) -> str:
    """Returns the text of bytes in UTF-8.

    Raises:
        DataError: it is empty, or in another encoding.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{name} is not in UTF-8 (line {line}): save it in that encoding") from None
    if not text.strip():
        raise DataError(f"{name} is empty: nothing can be read from it")
    return text


def read_rows(text: str, name: str) -> list[list[str]]:
    """Returns the cells of a CSV's lines but for empty ones; commas, semicolons or tabs part them.

    Raises:
        DataError: a line has other cells than the first.
    """
    first = text.strip().splitlines()[0]
    delimiter = max("\t;,", key=first.count)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise DataError(f"{name} is no CSV: {error}") from None
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            have = f"row {number} of {name} has {len(row)} cells, the first {len(rows[0])}"
            raise DataError(f"{have}: give all rows as many")
    return [[cell.strip() for cell in row] for row in rows]


def is_number(cell: str) -> bool:
    """Returns whether a cell holds a finite number."""
    try:
        return math.isfinite(float(cell))
    except ValueError:
        return False


def numbers(rows: Sequence[Sequence[str]], columns: Sequence[str], name: str) -> np.ndarray:
    """Returns the cells as numbers (rows, columns) float32.

    Raises:
        DataError: a cell holds none.
    """
    for number, row in enumerate(rows, 1):
        for column, cell in zip(columns, row):
            if not is_number(cell):
                what = f"{cell!r}, which is no number" if cell else "nothing"
                where = f"row {number}, column {column!r} of {name} holds {what}"
                raise DataError(f"{where}: write a number there, or leave the row or column out")
    return np.array(rows, np.float32).reshape(len(rows), len(columns))


def columns_of(rows: list[list[str]], features: Sequence[str], name: str) -> np.ndarray:
    """Returns the columns `features` of a table as (rows, features) float32.

    A table whose first row holds names may have the columns in any order, and others beside them;
    one without names has exactly these columns.

    Raises:
        DataError: a column is missing, or a cell holds no number.
    """
    order = f"the columns are {','.join(features)}"
    if any(map(is_number, rows[0])) or len(rows) == 1:  # no names
        if len(rows[0]) != len(features):
            found = f"{name} has {len(rows[0])} cells in a row, the model reads {len(features)}"
            raise DataError(f"{found}: {order}")
        return numbers(rows, features, name)
    if missing := [feature for feature in features if feature not in rows[0]]:
        raise DataError(f"{name} has no column {missing[0]!r}: {order}")
    places = [rows[0].index(feature) for feature in features]
    return numbers([[row[place] for place in places] for row in rows[1:]], features, name)
