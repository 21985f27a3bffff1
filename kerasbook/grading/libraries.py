"""Does an answer need TensorFlow or Keras? Their import takes seconds, reading the text none."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

SLOW = ("tensorflow", "keras")
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


def without_slow_imports(source: str, name: str, stubs: Iterable[str] = ()) -> str | None:
    """Returns a program less the imports of TensorFlow and Keras that one of its functions does
    not need; its lines stay where they are.

    Args:
        source: a program in Python.
        name: the function that will be called.
        stubs: classes that were not begun, which go too.

    Returns:
        The program, or None if the function, or what runs before it, needs one of the libraries.
    """
    imports, rest = [], []
    stubs = set(stubs) - {name}
    for node in ast.parse(source).body:
        unwanted = isinstance(node, ast.ClassDef) and node.name in stubs
        (imports if unwanted or is_slow(node) else rest).append(node)
    gone = {bound for node in imports for bound in names_bound(node)}
    if any(needs(node, gone) for node in what_runs(rest, name)):
        return None
    lines = source.split("\n")
    kept = {line for node in rest for line in lines_of(node)}
    for line in (line for node in imports for line in lines_of(node)):
        if line in kept:  # two statements in one line
            return None
        lines[line - 1] = ""
    return "\n".join(lines)


def is_slow(node: ast.AST) -> bool:
    """Returns whether a node imports from the slow libraries, and from nothing else."""
    if isinstance(node, ast.ImportFrom):
        return is_slow_name(node.module or "")
    return isinstance(node, ast.Import) and all(is_slow_name(one.name) for one in node.names)


def is_slow_name(text: str) -> bool:
    """Returns whether a text is the name of a slow library, or of a part of one."""
    return text.partition(".")[0] in SLOW


def names_bound(node: ast.AST) -> list[str]:
    """Returns the names that an import or a class makes."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [(one.asname or one.name).partition(".")[0] for one in node.names]
    return [getattr(node, "name", "")]


def lines_of(node: ast.stmt) -> range:
    """Returns the numbers of the lines of a statement, its decorators included."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])
    return range(first, (node.end_lineno or first) + 1)


def what_runs(statements: list[ast.stmt], name: str) -> Iterator[ast.AST]:
    """Yields what runs when a program is loaded and one of its functions is called: of functions
    that are not reached from there only decorators, defaults and annotations.
    """
    functions = {one.name: one for one in statements if isinstance(one, FUNCTIONS)}
    waiting: list[ast.AST] = [one for one in statements if not isinstance(one, FUNCTIONS)]
    for one in functions.values():
        waiting += [*one.decorator_list, one.args, *([one.returns] if one.returns else [])]
    if name in functions:
        waiting.append(functions.pop(name))
    while waiting:
        node = waiting.pop()
        yield node
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and part.id in functions:
                waiting.append(functions.pop(part.id))


def needs(node: ast.AST, gone: set[str]) -> bool:
    """Returns whether a node uses a name that is gone, or names a slow library in any way."""
    return any(
        (isinstance(part, ast.Name) and part.id in gone)
        or is_slow(part)
        or (isinstance(part, ast.Import) and any(is_slow_name(one.name) for one in part.names))
        or (isinstance(part, ast.Constant) and is_slow_name(str(part.value)))
        for part in ast.walk(node)
    )
