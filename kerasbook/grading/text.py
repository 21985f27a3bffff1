"""Text that came from outside, made fit for a terminal, a page or a record."""

from __future__ import annotations

MOST_SHOWN = 1500


def printable(text: str) -> str:
    """Returns a stranger's text without what a terminal, a log or an encoding would trip over."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def cut(text: str) -> str:
    """Returns text without control characters, and with a word where it was cut."""
    plain = "".join(c if c.isprintable() or c == "\n" else "·" for c in text.replace("\t", "    "))
    if len(plain) > MOST_SHOWN:
        plain = f"{plain[:MOST_SHOWN]}\n… cut: {len(plain) - MOST_SHOWN} more characters"
    return plain


def describe(error: BaseException) -> str:
    """Returns an exception in one line."""
    return f"{type(error).__name__}: {error}"[:500]
