"""The house: who imports whom, and how long a function may be."""

import ast
from collections.abc import Iterator
from pathlib import Path

from kerasbook import contents

import pytest

PACKAGE = contents.PACKAGE
LONGEST = 60  # lines of a function's body without its docstring
ROOMS_OF_SHORT_ONES = (
    "kerasbook.runner",
    "kerasbook.cli",
    "kerasbook.notebooks",
    "kerasbook.training",
    "kerasbook.testing",
    "kerasbook.contents",
    "kerasbook.inference",
)
GROUND = ("cluster", "contents", "files", "interruption", "machine", "program", "quiet")
GROUND += ("settings",)
# Those whose matter the chapters are; nothing else but a later chapter may import one.
READERS = ("kerasbook.bench", "kerasbook.exercises", "kerasbook.ledger", "kerasbook.pages")


# --- the imports --------------------------------------------------------------------------


def name_of(file: Path, package: Path) -> str:
    """Returns the module's name: kerasbook.data.splits, kerasbook.data."""
    parts = (package.name, *file.relative_to(package).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def imports_of(file: Path, package: Path) -> set[tuple[str, str]]:
    """Returns (module, name) for all that a module imports; the name is empty for a plain import.

    What functions import counts too, but for the verbs of the command, which alone may be lazy.
    """
    name = name_of(file, package)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body if name.startswith("kerasbook.cli") else run_in(tree):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            parts = name.split(".") + ["__init__"] * (file.name == "__init__.py")
            base = (
                ".".join([*parts[: -node.level], node.module or ""]) if node.level else node.module
            )
            found |= {(base.rstrip("."), alias.name) for alias in node.names}
    return found


def run_in(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the nodes below, without what stands under `if TYPE_CHECKING:`, which never runs."""
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield child
            yield from run_in(child)


def arrows(package: Path = PACKAGE) -> dict[str, set[str]]:
    """Returns, for each module, the modules of the package that it imports."""
    files = {name_of(file, package): file for file in package.rglob("*.py")}
    graph = {}
    for name, file in files.items():
        targets = {
            f"{base}.{part}" if f"{base}.{part}" in files else base
            for base, part in imports_of(file, package)
        }
        graph[name] = (targets & set(files)) - {package.name, name}
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Returns the groups of names that can reach each other: strongly connected components."""
    reached = {name: reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(o for o in reached[name] if name in reached.get(o, ())))
        for name in graph
        if name in reached[name]
    }
    return [list(group) for group in sorted(groups)]


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Returns all names to which arrows lead from a name."""
    found, left = set(), list(graph[start])
    while left:
        if (name := left.pop()) not in found:
            found.add(name)
            left += graph.get(name, ())
    return found


def room_of(name: str) -> str:
    """Returns the folder of a module, as kerasbook.data; one at the top is a room itself."""
    return ".".join(name.split(".")[:2])


def between_rooms(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Returns the arrows between the rooms."""
    rooms: dict[str, set[str]] = {}
    for name, others in graph.items():
        rooms.setdefault(room_of(name), set()).update(map(room_of, others))
    return {name: others - {name} for name, others in rooms.items()}


def is_chapter(name: str) -> bool:
    """Returns whether a module is a chapter or a second page of one."""
    parts = name.split(".")
    return len(parts) == 2 and contents.CHAPTER.fullmatch(parts[1]) is not None


def wrong_imports_of_chapters(graph: dict[str, set[str]]) -> list[str]:
    """Returns the imports of a chapter by what must not know it."""
    found = []
    for name, others in graph.items():
        for other in filter(is_chapter, others):
            core = name in ("kerasbook.ledger", "kerasbook.ledger.core")
            reader = name.startswith(READERS) and not core
            place, earlier = (contents.place_of(one.partition(".")[2]) for one in (name, other))
            later = is_chapter(name) and earlier < place
            if not reader and not later:
                found.append(f"{name} imports {other}")
    return sorted(found)


def shown(groups: list[list[str]]) -> str:
    """Returns a line for each circle."""
    return "circles:\n" + "\n".join(" ↔ ".join(group) for group in groups)


GRAPH = arrows()


def test_no_circle_between_modules():
    found = circles(GRAPH)
    assert not found, shown(found)


def test_no_circle_between_rooms():
    found = circles(between_rooms(GRAPH))
    assert not found, shown(found)


def test_no_chapter_is_imported_from_below():
    assert wrong_imports_of_chapters(GRAPH) == []


def test_the_ground_imports_nothing_heavy():
    ground = {f"kerasbook.{name}" for name in GROUND}
    for name in GROUND:
        assert GRAPH[f"kerasbook.{name}"] <= ground, name
        found = {base.partition(".")[0] for base, _ in imports_of(PACKAGE / f"{name}.py", PACKAGE)}
        assert not found & {"tensorflow", "keras", "numpy", "matplotlib", "rich", "typer"}, name


# --- the same on a made-up house ----------------------------------------------------------

HOUSE = {
    "chapter1.py": "from kerasbook.training import fit",
    "chapter2.py": "from kerasbook import chapter1",
    "training/__init__.py": "from kerasbook.training.loops import run",
    "training/loops.py": "import numpy\n\ndef run():\n    from kerasbook.data import load",
    "data/__init__.py": "",
    "cli/__init__.py": "def verb():\n    from kerasbook import chapter1",
    "ledger/core.py": "",
    "ledger/chapter1.py": "from kerasbook.chapter1 import fit\nfrom .core import claim",
}


@pytest.mark.parametrize(
    ("file", "text", "modules", "rooms", "chapters"),
    [
        ("data/__init__.py", "", [], [], []),
        ("data/__init__.py", "def f():\n    from kerasbook.training import loops", 1, 1, []),
        ("data/plays.py", "from kerasbook.training.loops import run", [], 1, []),
        ("training/loops.py", "import kerasbook.chapter1", 1, 1, ["training.loops", "chapter1"]),
        ("chapter1.py", "def f():\n    import kerasbook.chapter2", 1, 1, ["chapter1", "chapter2"]),
        ("ledger/core.py", "from .. import chapter1", [], [], ["ledger.core", "chapter1"]),
    ],
)
def test_a_crooked_house_would_be_noticed(file, text, modules, rooms, chapters, tmp_path):
    package = tmp_path / "kerasbook"
    for name, lines in (HOUSE | {file: text}).items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(lines)
    graph = arrows(package)
    assert bool(circles(graph)) == bool(modules)
    assert bool(circles(between_rooms(graph))) == bool(rooms)
    wrong = " imports ".join(f"kerasbook.{name}" for name in chapters)
    assert wrong_imports_of_chapters(graph) == ([wrong] if chapters else [])


# --- functions ----------------------------------------------------------------------------


def bodies(file: Path) -> dict[str, int]:
    """Returns how many lines the body of each function has, without its docstring."""
    found = {}
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            found[node.name] = node.end_lineno - body[0].lineno + 1 if body else 0
    return found


@pytest.mark.parametrize("file", sorted(PACKAGE.rglob("*.py")), ids=lambda f: name_of(f, PACKAGE))
def test_no_function_is_too_long(file):
    if "exercises" in file.parts:
        pytest.skip("solutions as learners write them")
    most = 40 if name_of(file, PACKAGE).startswith(ROOMS_OF_SHORT_ONES) else LONGEST
    assert {name: lines for name, lines in bodies(file).items() if lines > most} == {}
