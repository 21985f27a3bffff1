"""Text that came from outside, made fit for a terminal, a table, a page or a record.

It is escaped where it enters (names, notes, what an answer printed or raised) and once more at
every way out, as a record may come from an older version, and a roster from anywhere.
"""

from __future__ import annotations

from typing import Any

MOST_SHOWN = 1500


class Fault(str):
    """A note on something of a learner's that could not be read, which may hold answers."""


def printable(text: str) -> str:
    """Returns a stranger's text without what a terminal, a log or an encoding would trip over."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def one_line(text: str) -> str:
    """Returns a stranger's text as a line of its own: line breaks and tabs are escaped too."""
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def escaped_name(name: str) -> str:
    """Returns a file's or learner's name as a line; other names give other lines."""
    return one_line(name.replace("\\", "\\\\"))


def cleaned(value: Any) -> Any:
    """Returns what JSON can hold with every text in it made printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [cleaned(one) for one in value]
    if isinstance(value, dict):
        return {cleaned(key): cleaned(one) for key, one in value.items()}
    return value


def cut(text: str) -> str:
    """Returns text without control characters, and with a word where it was cut."""
    plain = "".join(c if c.isprintable() or c == "\n" else "·" for c in text.replace("\t", "    "))
    if len(plain) > MOST_SHOWN:
        plain = f"{plain[:MOST_SHOWN]}\n… cut: {len(plain) - MOST_SHOWN} more characters"
    return plain


def describe(error: BaseException) -> str:
    """Returns an exception in one line."""
    return printable(f"{type(error).__name__}: {error}"[:500])
