"""Chinese words in pictures: a finished figure whose labels are exchanged while it is drawn again.

`labels.csv` has every label, English and Chinese; `{}` stands for what changes, as in `best {} at
epoch {}`, and is looked up itself; `\\n` breaks a line. The font is a part of Noto Sans CJK SC with
the characters of the table, made by tools/make_chinese_font.py.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import re
from collections.abc import Iterator
from pathlib import Path

from kerasbook.plotting.page import DATA

from matplotlib import font_manager
from matplotlib.category import StrCategoryFormatter
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, Formatter, FuncFormatter

HERE = Path(__file__).parent
TABLE, FONT = HERE / "labels.csv", HERE / "KerasbookSans.otf"
FAMILY = "Kerasbook Sans"
WORD = re.compile(r"[A-Za-z]{2}")
FORMULA = re.compile(r"\$[^$]*\$")


@functools.cache
def table() -> dict[str, str]:
    """Returns the labels, English → Chinese, those with the most letters first."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = sorted(csv.reader(file), key=lambda row: -len(row[0].replace("{}", "")))
    return {english: chinese.replace("\\n", "\n") for english, chinese in rows}


@functools.cache
def patterns() -> list[tuple[re.Pattern, str]]:
    """Returns what finds each label, in capitals or not, and its Chinese."""
    pieces = {re.escape(one).replace(r"\{\}", "(.+)"): words for one, words in table().items()}
    return [(re.compile(piece, re.IGNORECASE), words) for piece, words in pieces.items()]


def translated(words: str, missing: list[str]) -> str:
    """Returns a label in Chinese; one that the table lacks stays and is added to `missing`."""
    words = " ".join(words.split())
    if not WORD.search(FORMULA.sub("", words)):
        return words
    if words in table():  # a Bag is none of words
        return table()[words]
    for pattern, chinese in patterns():
        if match := pattern.fullmatch(words):
            return chinese.format(*(translated(part, missing) for part in match.groups()))
    missing.append(words)
    return words


@contextlib.contextmanager
def in_chinese(figure: Figure) -> Iterator[list[str]]:
    """Gives a figure Chinese labels for a while; yields those that the table lacks.

    Words that are data stay what they are, and so do formulas: Matplotlib draws a label with `$…$`
    in its first family alone, so that the font has ASCII too.
    """
    if FAMILY not in font_manager.get_font_names():
        font_manager.fontManager.addfont(FONT)
    missing: list[str] = []
    with contextlib.ExitStack() as before:
        data = {text for text in figure.findobj(Text) if text.get_gid() == DATA}
        for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
            if axis.get_gid() == DATA:
                data.update(set(axis.findobj(Text)) - {axis.label})
            else:
                exchange_ticks(axis.get_major_formatter(), missing, before)
        for text in figure.findobj(Text):
            if text not in data:
                exchange(text, missing, before)
        yield missing


def exchange(text: Text, missing: list[str], before: contextlib.ExitStack) -> None:
    """Gives one text its Chinese, and that the font; `before` gives it back what it had."""
    words = text.get_text()
    before.callback(text.set_text, words)
    before.callback(text.set_fontproperties, text.get_fontproperties().copy())
    chinese = translated(words, missing)
    if chinese != " ".join(words.split()):
        text.set_text(chinese)
        text.set_fontfamily([FAMILY, "DejaVu Sans"])
        text.set_fontweight("normal")  # the only one that the font has


def exchange_ticks(formatter: Formatter, missing: list[str], before: contextlib.ExitStack) -> None:
    """Lets words at an axis' ticks be Chinese; `before` gives them back."""
    if isinstance(formatter, FixedFormatter):
        before.callback(setattr, formatter, "seq", formatter.seq)
        formatter.seq = [translated(str(one), missing) for one in formatter.seq]
    elif isinstance(formatter, FuncFormatter):  # what `set_xticks` makes of its labels
        english = formatter.func
        before.callback(setattr, formatter, "func", english)
        formatter.func = lambda value, place: translated(str(english(value, place)), missing)
    elif isinstance(formatter, StrCategoryFormatter):  # of bars that have names
        axis = formatter.axis
        before.callback(axis.set_major_formatter, formatter)
        axis.set_major_formatter(lambda value, place: translated(formatter(value, place), missing))
