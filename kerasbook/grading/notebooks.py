"""Reading notebooks: the text of what an answer needs, without running anything.

A cell is read as Jupyter reads it: magics, commands to the shell, questions to the help and prompts
are known and left out. Of the statements those are taken that bind a name which the answer needs,
directly or through others; the rest are experiments. Only the standard library is needed.
"""

from __future__ import annotations

import ast
import json
import re
import symtable
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from kerasbook.grading.text import Fault

# Cell magics below which Jupyter runs Python in the notebook's own namespace.
RUN_PYTHON = ("time", "capture", "prun", "debug")
MOST_LEFT_OUT = 100  # lines of one cell
LINE_ENDS = re.compile(r"\r\n|\r|\n")
PROMPTS = (
    (re.compile(r">>>( |$)"), re.compile(r"(>>>|\.\.\.)( |$)")),
    (re.compile(r"In \[\d+\]: "), re.compile(r"(In \[\d+\]: |\s*\.{3,}: ?)")),
)
ESCAPED = re.compile(r"\s*([%!?,;/]|[^=#'\"]*[^=#'\"!<>]=\s*[%!])|[^#'\"]*\?\s*$")


class NoNotebook(Exception):
    """Not a notebook of format 4."""


@dataclass
class Statement:
    """A statement of a notebook: its text, the names it binds, and those it uses."""

    text: str
    binds: set[str]
    uses: set[str]
    defines: str = ""  # the function or class
    own: bool = False  # it stands in the cell that was made for it
    always: bool = False  # from x import *
    rebinds: set[str] = field(default_factory=set)  # names that may be a definition's, too


def answers_in(
    content: bytes, name: str, questions: Collection[str], notes: list[str]
) -> dict[str, str]:
    """Returns question → text of a program that has the answer and what it needs.

    Of several definitions of one name, that in the cell made for the answer is taken (it knows its
    question), else the last.

    Raises:
        NoNotebook: not a notebook of format 4.
    """
    future: list[str] = []
    statements: list[Statement] = []
    for number, (question, text) in enumerate(code_cells(content), 1):
        try:
            tree, text = python_of(text, f"{name}: cell {number}", notes)
            found = list(statements_of(tree, text, question, future))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            line = getattr(error, "lineno", None)
            place = f"{name}: cell {number}" + (f", line {line}" if line else "")
            reason = error.msg if isinstance(error, SyntaxError) else type(error).__name__
            notes.append(Fault(f"{place}: not Python: {reason}"))
            continue
        statements += found
    statements = without_earlier_definitions(statements)
    defined = {one.defines for one in statements}
    return {
        question: program_for(question, statements, future)
        for question in sorted(questions)
        if question in defined
    }


def code_cells(content: bytes) -> list[tuple[str, str]]:
    """Returns the question that a code cell is made for, "" if none, and its text, of each.

    Raises:
        NoNotebook: not a notebook of format 4.
    """
    try:
        cells = json.loads(content)["cells"]
        return [_code(cell) for cell in cells if cell.get("cell_type") == "code"]
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise NoNotebook("not a notebook of format 4") from error


def _code(cell: dict) -> tuple[str, str]:
    source = cell["source"]
    text = source if isinstance(source, str) else "".join(map(str, source))
    metadata = cell.get("metadata") or {}
    mine = metadata.get("kerasbook") if isinstance(metadata, dict) else None
    question = mine.get("question", "") if isinstance(mine, dict) else ""
    return str(question), text


# A cell as Python


def python_of(text: str, name: str, notes: list[str]) -> tuple[ast.Module, str]:
    """Returns syntax tree and text of a cell, without what is Jupyter's and not Python's.

    A line is left out only where Python finds a fault, so that a line of a text, or the rest of
    an expression, that begins with % stays.

    Raises:
        SyntaxError: it is neither.
    """
    lines = without_prompts(LINE_ENDS.split(text))
    left_out = 0
    while magic := re.match(r"%%(\w+)", lines[0]):
        lines = without_prompts(lines[1:] or [""]) if magic[1] in RUN_PYTHON else [""]
        left_out = 1
    while True:
        try:
            tree = parsed("\n".join(lines))
        except SyntaxError as error:
            place = faulty_line(lines, error.lineno or 1)
            left_out += 1
            if place is None or left_out > MOST_LEFT_OUT:
                raise
            leave_out(lines, place)
        else:
            if left_out:
                notes.append(f"{name}: magics and commands were left out")
            return tree, "\n".join(lines)


def parsed(text: str) -> ast.Module:
    """Returns the syntax tree of a cell, in which `await` may stand outside of functions."""
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    return compile(text, "cell", "exec", flags, dont_inherit=True)  # pyright: ignore


def without_prompts(lines: list[str]) -> list[str]:
    """Returns the lines without empty ones before, a common indentation, and prompts."""
    while len(lines) > 1 and not lines[0].strip():
        lines = lines[1:]
    indentation = re.match(r"[ \t]*", lines[0])[0]
    lines = [line.removeprefix(indentation) for line in lines]
    for first, any_line in PROMPTS:
        if first.match(lines[0]):
            lines = [any_line.sub("", line, count=1) for line in lines]
    return lines


def faulty_line(lines: list[str], number: int) -> int | None:
    """Returns the place of the line that is Jupyter's, where Python finds a fault."""
    for place in (number - 1, number - 2, number):
        if 0 <= place < len(lines) and ESCAPED.match(lines[place]):
            return place
    return None


def leave_out(lines: list[str], place: int) -> None:
    """Puts `pass` in place of a line and of those that continue it; of `%time x`, x."""
    indentation = re.match(r"\s*", lines[place])[0]
    timed = re.match(r"\s*%(?:time|prun)\s+(.*)", lines[place])
    if timed and is_python(timed[1]):
        lines[place] = indentation + timed[1]
        return
    while lines[place].endswith("\\") and place + 1 < len(lines):
        lines[place] = indentation + "pass"
        place += 1
    lines[place] = indentation + "pass"


def is_python(text: str) -> bool:
    """Returns whether a text is a program."""
    try:
        return bool(parsed(text))
    except (SyntaxError, ValueError):
        return False


# Statements


def statements_of(
    tree: ast.Module, text: str, question: str, future: list[str]
) -> Iterator[Statement]:
    """Yields the statements of a cell that bind names; those of `__future__` go into `future`."""
    lines = [line.encode() for line in text.split("\n")]
    for node in tree.body:
        own = segment(lines, node)
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            future.append(own)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield Statement(own, {node.name}, names_used(own), node.name, node.name == question)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            if theirs := without_book(node):
                names = names_bound(theirs)[0]
                text = own if theirs is node else ast.unparse(theirs)
                yield Statement(text, names, set(), always="*" in names)
        elif not isinstance(node, ast.Expr | ast.Pass) and not awaits(node):
            names, changed = names_bound(node)
            yield Statement(own, names | changed, names_used(own), rebinds=names)


def segment(lines: list[bytes], node: ast.stmt) -> str:
    """Returns the text of a statement, with its decorators."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    assert node.end_lineno is not None
    own = lines[first - 1 : node.end_lineno]
    own[-1] = own[-1][: node.end_col_offset]
    own[0] = own[0][node.col_offset :]
    return b"\n".join(own).decode()


def without_book(node: ast.Import | ast.ImportFrom) -> ast.Import | ast.ImportFrom | None:
    """Returns an import without this package, which is not there when answers are graded."""
    if isinstance(node, ast.ImportFrom):
        return None if (node.module or "").partition(".")[0] == "kerasbook" else node
    names = [one for one in node.names if one.name.partition(".")[0] != "kerasbook"]
    if len(names) == len(node.names):
        return node
    return ast.Import(names) if names else None


def awaits(node: ast.stmt) -> bool:
    """Returns whether it awaits something outside of a function, which only a notebook can."""
    return any(isinstance(one, ast.Await | ast.AsyncFor | ast.AsyncWith) for one in ast.walk(node))


def names_bound(node: ast.stmt) -> tuple[set[str], set[str]]:
    """Returns the names that a statement binds, and those whose attributes or items it does."""
    names, changed = set(), set()
    for one in ast.walk(node):
        if isinstance(one, ast.FunctionDef | ast.ClassDef):
            names.add(one.name)
        elif isinstance(one, ast.alias):
            names.add((one.asname or one.name).partition(".")[0])
        elif isinstance(getattr(one, "ctx", None), ast.Store):
            found = changed if isinstance(one, ast.Attribute | ast.Subscript) else names
            while isinstance(one, ast.Attribute | ast.Subscript):
                one = one.value
            if isinstance(one, ast.Name):
                found.add(one.id)
    return names, changed


def names_used(text: str) -> set[str]:
    """Returns the names of a statement that are its notebook's, not those of its functions."""
    try:
        tables = [symtable.symtable(text, "cell", "exec")]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = set()
    while tables:
        table = tables.pop()
        tables += table.get_children()
        top = table.get_type() == "module"
        for one in table.get_symbols():
            of_the_notebook = one.is_referenced() and (top or one.is_global())
            if of_the_notebook or one.is_declared_global():
                names.add(one.get_name())
    return names


# Programs


def without_earlier_definitions(statements: list[Statement]) -> list[Statement]:
    """Returns the statements with one definition of a name, and no experiment that rebinds it."""
    chosen: dict[str, Statement] = {}
    for one in statements:
        if one.defines and (one.own or not chosen.get(one.defines, one).own):
            chosen[one.defines] = one
    return [
        one
        for one in statements
        if chosen.get(one.defines) is one or (not one.defines and not one.rebinds & set(chosen))
    ]


def program_for(question: str, statements: list[Statement], future: list[str]) -> str:
    """Returns the text of the statements that a definition needs, in their order."""
    needed, taken, before = {question}, set(), -1
    while len(taken) > before:
        before = len(taken)
        for place, one in enumerate(statements):
            if place not in taken and (one.always or one.binds & needed):
                taken.add(place)
                needed |= one.uses
    parts = [*dict.fromkeys(future)]
    if "display" in needed and not any("display" in one.binds for one in statements):
        parts.append("display = print  # Jupyter's own")
    parts += [statements[place].text for place in sorted(taken)]
    return "\n\n".join(parts) + "\n"
