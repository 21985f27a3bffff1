"""What a translated cell must share with its English one, and what its Markdown must not have."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from kerasbook.translations import numbers, terms

from markdown_it import MarkdownIt
from markdown_it.token import Token

BLOCK_FORMULA = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
FORMULA = re.compile(r"(?<![\\$])\$(?!\$)((?:[^$\\]|\\.)+?)\$", re.DOTALL)
FENCE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
WORDS_IN_FORMULA = re.compile(r"\\text\{[^}]*\}")
MADE = re.compile(r"<!-- made: \w+ -->")
HAN = "\u3400-\u9fff"
PARSER = MarkdownIt("commonmark").enable("table")
# Words in which a Latin letter and a Chinese character are one.
WHOLE_WORDS = re.compile(r"T恤")


def differences(english: str, chinese: str) -> list[str]:
    """Returns what is wrong with a cell's translation, a line for each."""
    found = []
    one, other = facts(english), facts(chinese)
    for name in one:
        missing, extra = one[name] - other[name], other[name] - one[name]
        found += [f"{name} {what} is missing" for what in missing]
        found += [f"{name} {what} is not in the English" for what in extra]
    for name, of in (("headings", headings), ("tables", tables)):
        if of(english) != of(chinese):
            found.append(f"{name} are {of(chinese)} and in English {of(english)}")
    found += numbers.differences(prose(english), prose(chinese))
    return found + terms.differences(english, chinese) + faults(chinese)


def facts(text: str) -> dict[str, Counter]:
    """Returns what must be the same: formulas, code, links, and what tools make.

    A symbol or a name within a line counts once, since Chinese repeats where English has "it".
    """
    without_code = FENCE.sub("", text)
    block = [folded(formula) for formula in BLOCK_FORMULA.findall(without_code)]
    inline = [folded(formula) for formula in FORMULA.findall(BLOCK_FORMULA.sub("", without_code))]
    tokens = list(flat(text))
    code = {token.content for token in tokens if token.type == "code_inline"}
    targets = [token.attrGet("href") or token.attrGet("src") for token in tokens]
    return {
        "the formula": Counter(block) + Counter(set(inline)),
        "the code": Counter(f"`{one}`" for one in code),
        "the block of code": Counter(t.content for t in tokens if t.type == "fence"),
        "the link to": Counter(str(target) for target in targets if target),
        "the mark": Counter(MADE.findall(text)),
    }


def folded(formula: str) -> str:
    """Returns a formula with white space folded, and its words, which are translated, left out."""
    return " ".join(WORDS_IN_FORMULA.sub(r"\\text{} ", formula).split()).rstrip(" .,")


def flat(text: str) -> Iterator[Token]:
    """Yields the tokens of a Markdown text, those within lines too; formulas are left out."""
    yield from with_children(PARSER.parse(FORMULA.sub("$0$", BLOCK_FORMULA.sub("$0$", text))))


def with_children(tokens: list[Token]) -> Iterator[Token]:
    """Yields tokens and those within them, as the words of a picture's sentence."""
    for token in tokens:
        yield token
        yield from with_children(token.children or [])


def headings(text: str) -> list[str]:
    """Returns the levels of the headings: h1, h2."""
    return [token.tag for token in flat(text) if token.type == "heading_open"]


def tables(text: str) -> list[tuple[int, int]]:
    """Returns rows and cells of each table."""
    kinds = [token.type for token in flat(text)]
    found, rows, places = [], 0, 0
    for kind in kinds:
        rows += kind == "tr_open"
        places += kind in ("th_open", "td_open")
        if kind == "table_close":
            found.append((rows, places))
            rows = places = 0
    return found


def prose(text: str) -> str:
    """Returns the words of a Markdown text, without formulas, code, addresses and HTML."""
    return "\n".join(
        re.sub(r"\$0\$", "", token.content) for token in flat(text) if token.type == "text"
    )


# --- Markdown that shows wrong, and typography --------------------------------------------

FULL = "，。；：？！、（）《》"
FAULTS = {
    "a star that stays a star, beside full-width punctuation": r"\*",
    "no blank between Chinese and a letter, digit, formula or code": (
        rf"[{HAN}][A-Za-z0-9$`]|[A-Za-z0-9$`][{HAN}]"
    ),
    "punctuation of half width beside Chinese": rf"[{HAN}][,;:?!(]|[,;:?!)][{HAN}]",
    "a blank beside full-width punctuation": rf"[{FULL}] | [{FULL}]",
}


def faults(chinese: str) -> list[str]:
    """Returns what would be shown wrong, or is set otherwise than in the rest of the edition."""
    found = []
    for token in PARSER.parse(FORMULA.sub("$0$", BLOCK_FORMULA.sub("$0$", chinese))):
        if token.type != "inline":
            continue
        text = WHOLE_WORDS.sub("恤", shown(token))
        for what, pattern in FAULTS.items():
            if match := re.search(pattern, text):
                around = text[max(0, match.start() - 8) : match.end() + 8]
                found.append(f"{what}: {around!r}")
    return found + broken_lines(chinese)


def shown(token: Token) -> str:
    """Returns a line as it is read; code and formulas are a sign each."""
    parts = []
    for child in with_children(token.children or []):
        if child.type == "text":
            parts.append(child.content.replace("$0$", "$"))
        elif child.type == "code_inline":
            parts.append("`")
        elif child.type in ("softbreak", "hardbreak"):
            parts.append("\n")
    return "".join(parts)


def broken_lines(chinese: str) -> list[str]:
    """Returns where a line is broken within a paragraph, which Markdown shows as a blank."""
    return [
        f"a line that is broken within a paragraph: {shown(token).partition(chr(10))[0][-10:]!r}"
        for token in PARSER.parse(chinese)
        if token.type == "inline" and "\n" in FORMULA.sub("", BLOCK_FORMULA.sub("", shown(token)))
    ]
