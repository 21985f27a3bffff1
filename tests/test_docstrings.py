"""One grammar for the docstrings of public functions and methods.

- What gives something back begins with "Returns" (a generator with "Yields"). What it does beside
  that may stand first, as one of DOES: "Grades one answer …; returns …".
- What gives nothing back begins with one of DOES, in the third person: "Checks that …".
- Errors stand in a section of their own, the last: "Raises:", then "ValueError: when".

Left out are the exercises' stubs and solutions, the errata's `wrong_…` and `right_…`, whose
docstrings are their titles, and the verbs of the command, whose docstrings are its --help.
Classes and properties say what they are.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from kerasbook import contents

import pytest

VERBS = """
Acts Adds Allows Answers Appends Asks Becomes Calls Carries Checks Chooses Compares Copies
Counts Downloads Draws Ends Executes Forks Gives Grades Handles Hides Holds Imports Installs Keeps
Kills Labels Leaves Lets Limits Locks Makes Measures Mounts Moves Prepares Prints Probes Puts
Refuses Registers Removes Runs Saves Sends Sets Shows Stops Takes Tells Trains Tries Visits
Waits Works Writes
"""
DOES = set(VERBS.split())
# Solutions as learners write them, and the mistakes by number.
LEFT_OUT = re.compile(r"exercises/chapter|pages/errata")
FILES = [
    path
    for path in sorted(contents.PACKAGE.rglob("*.py"))
    if not LEFT_OUT.search(path.relative_to(contents.PACKAGE).as_posix())
]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Yields the public functions of a module and the public methods of its public classes."""
    for node in tree.body:
        inner = node.body if isinstance(node, ast.ClassDef) and node.name[0] != "_" else [node]
        for one in inner:
            if isinstance(one, ast.FunctionDef) and one.name[0] != "_" and not is_property(one):
                yield one


def is_property(function: ast.FunctionDef) -> bool:
    """Returns whether a method is read as an attribute."""
    return any("property" in ast.unparse(each) for each in function.decorator_list)


def own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """Yields what stands in a function itself, and not in functions or classes within it."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from own_nodes(child)


def problem_of(function: ast.FunctionDef) -> str | None:
    """Returns what is wrong with a function's docstring; None if nothing is."""
    text = ast.get_docstring(function) or ""
    first, summary = text.partition(" ")[0].rstrip(","), text.partition("\n\n")[0]
    nodes = list(own_nodes(function))
    manager = any("contextmanager" in ast.unparse(each) for each in function.decorator_list)
    yields = any(isinstance(node, ast.Yield | ast.YieldFrom) for node in nodes) and not manager
    if first == "Yields" and isinstance(function.body[-1], ast.Expr):  # what a protocol promises
        return None
    returns = any(isinstance(node, ast.Return) and not is_none(node.value) for node in nodes)
    if yields and first != "Yields" and "yields" not in summary:
        return f"a generator begins with Yields, not {first}"
    if returns and not yields and first not in DOES | {"Returns"}:
        return f"what returns something begins with Returns, not {first}"
    if not returns and not yields and first not in DOES:
        return f"{first} is none of the verbs of tests/test_docstrings.py"
    before = text.partition("Raises:")[0]
    if found := re.search(r"\bRaises [A-Z]\w*|(?<![`.\w])[A-Z]\w*Error:", before):
        return f"errors stand in a section Raises:, not in {found[0]!r}"
    return None


def is_none(value: ast.expr | None) -> bool:
    """Returns whether `return` stands alone, or with None."""
    return value is None or (isinstance(value, ast.Constant) and value.value is None)


def is_verb_of_the_command(file: Path) -> bool:
    """Returns whether the file has the verbs of `kerasbook`: book, learn, teach, export."""
    return file.parent.name == "cli" and file.stem not in ("__init__", "verbs")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.relative_to(contents.PACKAGE).as_posix())
def test_docstrings_have_one_grammar(file):
    if is_verb_of_the_command(file):
        pytest.skip("the docstrings are the command's help")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = {function.name: problem_of(function) for function in functions(tree)}
    assert {name: problem for name, problem in found.items() if problem} == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('def f():\n    "Returns 1."\n    return 1', None),
        ('def f():\n    "Return 1."\n    return 1', "begins with Returns, not Return"),
        ('def f():\n    "The one."\n    return 1', "begins with Returns, not The"),
        ('def f():\n    "Checks it."\n    return', None),
        ('def f():\n    "Returns nothing."\n    pass', "Returns is none of the verbs"),
        ('def f():\n    "Check it."\n    pass', "Check is none of the verbs"),
        ('def f():\n    "Yields 1."\n    yield 1', None),
        ('def f():\n    "Returns 1."\n    yield 1', "begins with Yields, not Returns"),
        ('def f():\n    "Checks it. Raises ValueError."', "in a section Raises:"),
        ('def f():\n    "Checks it.\\n\\nValueError: bad."', "in a section Raises:"),
        ('def f():\n    "Checks it.\\n\\nRaises:\\n    ValueError: bad."', None),
        ('def f():\n    "Checks it."\n    def g():\n        return 1', None),
    ],
)
def test_another_grammar_would_be_noticed(text, problem):
    (function,) = functions(ast.parse(text))
    found = problem_of(function)
    assert (problem in found) if problem else found is None
