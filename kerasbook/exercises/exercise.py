"""What an exercise is: a stub, its cases, a reference, hints, and solutions right and wrong.

An exercise is one Python file, which any teacher can write:

    \"\"\"The Huber loss.\"\"\"

    import numpy as np

    from kerasbook.exercises import Case, Exercise

    exercise = Exercise(chapter=1, minutes=15, difficulty=1, points=2, hints=["…", "…", "…"])

    @exercise.stub
    def huber_loss(targets, predictions, threshold):
        \"\"\"The whole specification: shapes, dtypes, tolerance.\"\"\"
        raise NotImplementedError

    @exercise.public
    def examples(random):
        yield Case("two errors", {"targets": np.zeros(2), …})

    @exercise.hidden
    def drawn(random):
        for number in range(5):
            yield Case(f"random numbers {number}", {…})

    @exercise.reference
    def solution(targets, predictions, threshold): …

    @exercise.right
    def with_tensorflow(targets, predictions, threshold): …

    @exercise.wrong("Is the ½ before the square?")
    def half_forgotten(targets, predictions, threshold): …

    exercise.mistake("sign_lost", "Which way does it go?", old="y_pred - y", new="y - y_pred")

The functions of a file stand alone: each is graded with the file's imports and nothing else. The
last line is a wrong solution, too: the reference with `new` where it has `old`.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import linecache
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from kerasbook.contents import key_of, name_of, place_of
from kerasbook.exercises.cards import ExerciseError, files_of, head, stars, stub_files
from kerasbook.files import atomic_path

import numpy as np

__all__ = ["Case", "Exercise", "ExerciseError", "files_of", "head", "load", "stars", "stub_files"]

Inputs = Mapping[str, Any]
Outputs = dict[str, np.ndarray]
PUBLIC_SEED = 20_260
FEWEST_WRONG, FEWEST_MESSAGES, FEWEST_RIGHT = 8, 3, 3


@dataclass(frozen=True)
class Case:
    """One thing that a solution is asked.

    Attributes:
        name: shown to the learner, of hidden cases too: it must not tell the answer.
        inputs: name → array, number, string, boolean, None or list of these but arrays, each of
            which has a name of its own.
        calls: instead of `inputs`, several calls of one solution in turn, for example training
            data first and unseen inputs after it.
        weight: share of this case in the points, against the other cases' weights.
        unchanged: whether the input arrays must be as they were after the call.
        secret: what `judge` needs and the solution never sees, for example true labels.
        known: the grader's memory of what the authors' solutions answer.
    """

    name: str
    inputs: Inputs | None = None
    calls: Sequence[Inputs] = ()
    weight: float = 1.0
    unchanged: bool = False
    secret: Any = None
    known: dict[str, list] = field(default_factory=dict, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuses what cannot be handed to an answer."""
        for name, value in ((n, v) for inputs in self.all_calls() for n, v in inputs.items()):
            if isinstance(value, dict | list | tuple) and holds_arrays(value):
                raise ExerciseError(
                    f"case {self.name!r}: {name} has arrays in it, which cannot be handed to an "
                    "answer in a process of its own: give each a name, or make lists of numbers"
                )

    def all_calls(self) -> list[Inputs]:
        """Returns the inputs of each call, in turn."""
        return list(self.calls) if self.calls else [self.inputs or {}]


def holds_arrays(value: Any) -> bool:
    """Returns whether there is an array in a value, or in a list in it."""
    parts = list(value.values()) if isinstance(value, dict) else value
    if isinstance(parts, list | tuple):
        return any(holds_arrays(part) for part in parts)
    return isinstance(parts, np.ndarray | np.generic)


@dataclass(frozen=True)
class Variant:
    """One solution that an author wrote, and the message it deserves if it is wrong."""

    name: str
    function: Callable
    source: str
    message: str = ""


def call(solution: Callable, inputs: dict[str, Any], memory: dict) -> Any:
    """Returns what a solution gives, used as it is unless the exercise has a driver of its own."""
    return solution(**inputs)


@dataclass
class Exercise:
    """An exercise; its functions are registered by its decorators.

    Attributes:
        chapter: the number or key of the chapter it belongs to, as 6 or "chapter6_translation".
        minutes, difficulty, points: for the learner; difficulty 1 to 3.
        hints: three, of rising help.
        outputs: names of the arrays that a solution returns; more than one: a tuple in this order.
            None: the driver returns a dictionary.
        atol, rtol: a value passes if |got − expected| ≤ atol + rtol · |expected|.
        dtypes: accepted dtypes; by default those of the same kind as the reference's: float32 and
            float64 for floating point numbers, int32 and int64 for integers.
        nan: whether NaN is right where the reference has NaN.
        forbidden: dotted names that the worker takes away, for example "keras.layers.GRU".
        seconds: limit for all cases together, wall clock.
        kind: "function", "gradient", "layer", "training step" or "trained model".
    """

    chapter: int | str
    minutes: int
    difficulty: int
    points: float
    hints: Sequence[str]
    kind: str = "function"
    outputs: Sequence[str] | None = ("result",)
    atol: float = 1e-5
    rtol: float = 1e-4
    dtypes: Sequence[str] | None = None
    nan: bool = False
    forbidden: Sequence[str] = ()
    seconds: float = 10.0
    path: Path = field(init=False, repr=False)
    name: str = field(init=False, default="")
    title: str = field(init=False, default="")
    specification: str = field(init=False, default="", repr=False)
    stub_source: str = field(init=False, default="", repr=False)
    imports: str = field(init=False, default="", repr=False)
    driver_source: str = field(init=False, default="", repr=False)
    drive: Callable = field(init=False, default_factory=lambda: call, repr=False)
    judge_function: Callable | None = field(init=False, default=None, repr=False)
    solution: Variant = field(init=False, repr=False)
    right_ones: list[Variant] = field(init=False, default_factory=list, repr=False)
    wrong_ones: list[Variant] = field(init=False, default_factory=list, repr=False)
    generators: dict[str, Callable] = field(init=False, default_factory=dict, repr=False)
    public_cases: dict[str, list[Case]] = field(init=False, default_factory=dict, repr=False)

    def stub(self, function: Callable) -> Callable:
        """Registers what the learner gets, before all others; its docstring is the whole
        specification. Title and imports are those of its file.
        """
        self.path = Path(inspect.getfile(function))
        text = self.path.read_text(encoding="utf-8")
        tree = ast.parse(text)
        self.title = (ast.get_docstring(tree) or "").partition("\n")[0].rstrip(".")
        self.imports = "\n".join(imports_of(tree, text)) + "\n"
        self.name = function.__name__
        self.stub_source = source_of(function)
        definition = ast.parse(self.stub_source).body[0]  # python -OO takes __doc__ away
        self.specification = ast.get_docstring(definition) or ""
        return function

    def reference(self, function: Callable) -> Callable:
        """Registers the solution that all others are compared with."""
        self.solution = self._variant(function)
        return function

    def right(self, function: Callable) -> Callable:
        """Registers another right solution."""
        self.right_ones.append(self._variant(function))
        return function

    def wrong(self, message: str = "") -> Callable[[Callable], Callable]:
        """Registers a wrong solution; with a message, it is a misconception that is answered."""

        def register(function: Callable) -> Callable:
            self.wrong_ones.append(self._variant(function, message))
            return function

        return register

    def mistake(
        self, name: str, message: str = "", *, old: str, new: str, of: Callable | None = None
    ) -> None:
        """Registers a wrong solution that differs from a right one in one place.

        Args:
            name: of the wrong solution.
            message: as for `wrong`.
            old: text that stands once in the right one.
            new: what the wrong one has in its place.
            of: the right one; the reference, if none is given.

        Raises:
            ExerciseError: `old` does not stand there exactly once.
        """
        right = of or self.solution.function
        source = source_of(right, self.name)
        if (count := source.count(old)) != 1:
            raise ExerciseError(f"{self.name}: {name}: {old!r} stands {count} times, not once")
        source = source.replace(old, new)
        function = function_from(source, self.name, name, sys.modules[right.__module__])
        self.wrong_ones.append(Variant(name, function, f"{self.imports}\n\n{source}", message))

    def public(self, generator: Callable) -> Callable:
        """Registers the generator of the cases that the learner sees: random → Iterator[Case]."""
        self.generators["public"] = generator
        return generator

    def hidden(self, generator: Callable) -> Callable:
        """Registers the generator of the cases that count, drawn anew for each submission."""
        self.generators["hidden"] = generator
        return generator

    def driver(self, function: Callable) -> Callable:
        """Registers how a solution is used: driver(solution, inputs, memory) → arrays.

        It runs beside the learner's code, so it must hold nothing secret. `memory` is an empty
        dictionary that lasts for the calls of one case.
        """
        self.drive = function
        source = source_of(function, "drive")
        needed = [line for line in self.imports.splitlines() if binds_a_name_of(line, source)]
        self.driver_source = "\n".join([*needed, "", "", source])
        return function

    def judge(self, function: Callable) -> Callable:
        """Registers judge(case, outputs) → None or a message, instead of comparing with a
        reference.

        `outputs` has a dictionary of arrays for each call. It runs in the trusted grader.
        """
        self.judge_function = function
        return function

    def _variant(self, function: Callable, message: str = "") -> Variant:
        body = source_of(function, self.name)
        return Variant(function.__name__, function, f"{self.imports}\n\n{body}", message)

    @property
    def key(self) -> str:
        """The key of its chapter: `chapter6`, `chapter6_translation`."""
        return key_of(self.chapter)

    @property
    def blank_source(self) -> str:
        """The stub with its imports, as a learner's file has it."""
        return f"{self.imports}\n\n{self.stub_source}"

    @property
    def misconceptions(self) -> list[Variant]:
        """The wrong solutions that have a message of their own."""
        return [one for one in self.wrong_ones if one.message]

    def cases(self, which: str, seed: int = PUBLIC_SEED) -> list[Case]:
        """Returns the cases, "public" or "hidden"; those of the same seed are the same."""
        if seed == PUBLIC_SEED and which in self.public_cases:
            return self.public_cases[which]
        random = np.random.default_rng([seed, len(which)])
        drawn = list(self.generators[which](random))
        if seed == PUBLIC_SEED:
            self.public_cases[which] = drawn
        return drawn

    def problems(self) -> Iterator[str]:
        """Yields what is missing or wrong in the exercise's file."""
        if not self.name or not self.specification:
            yield "no stub with a docstring"
        for which in ("public", "hidden"):
            if which not in self.generators:
                yield f"no generator of {which} cases"
        if not hasattr(self, "solution"):
            yield "no reference"
        if len(self.hints) != 3 or not all(self.hints):
            yield "not three hints"
        if len(self.right_ones) < FEWEST_RIGHT:
            yield f"{len(self.right_ones)} right solutions, not {FEWEST_RIGHT}"
        if len(self.wrong_ones) < FEWEST_WRONG:
            yield f"{len(self.wrong_ones)} wrong solutions, not {FEWEST_WRONG}"
        if len(self.misconceptions) < FEWEST_MESSAGES:
            yield f"{len(self.misconceptions)} misconceptions, not {FEWEST_MESSAGES}"
        if self.difficulty not in (1, 2, 3) or self.points <= 0 or self.minutes <= 0:
            yield "difficulty must be 1, 2 or 3; points and minutes above 0"


def imports_of(tree: ast.Module, text: str) -> Iterator[str]:
    """Yields the import lines of a file, but those of this package, which learners do not have."""
    for node in tree.body:
        own = (
            isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kerasbook")
        ) or (isinstance(node, ast.Import) and node.names[0].name.startswith("kerasbook"))
        if isinstance(node, ast.Import | ast.ImportFrom) and not own:
            yield ast.get_source_segment(text, node) or ""


def binds_a_name_of(line: str, source: str) -> bool:
    """Returns whether a line of import binds a name that stands in a text, or all of a module's."""
    (node,) = ast.parse(line).body
    assert isinstance(node, ast.Import | ast.ImportFrom)
    bound = [(one.asname or one.name).partition(".")[0] for one in node.names]
    return "*" in bound or any(re.search(rf"\b{name}\b", source) for name in bound)


def source_of(function: Callable, name: str = "") -> str:
    """Returns the text of a function or class without its decorators, if need be renamed."""
    text = inspect.getsource(function)
    node = ast.parse(text).body[0]
    lines = text.splitlines()[node.lineno - 1 : node.end_lineno]
    alone = "\n".join(lines) + "\n"
    return renamed(alone, name) if name else alone


def renamed(source: str, name: str) -> str:
    """Returns the text of a function or class under another name."""
    return re.sub(r"^(def|class) \w+", rf"\1 {name}", source)


def function_from(source: str, name: str, file: str, module: ModuleType) -> Callable:
    """Returns the function or class `name` of a text, as if it stood in a module.

    file: what its lines are known as; AutoGraph asks for them.
    """
    file = f"<{module.__name__} {file}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    found: dict[str, Any] = {}
    exec(compile(source, file, "exec"), vars(module), found)
    return found[name]


class Late:
    """A library that is imported when something of it is first asked for."""

    def __init__(self, name: str):
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        """Returns what the library has by that name."""
        return getattr(importlib.import_module(self._name), attribute)


def execute(path: Path, module: ModuleType) -> None:
    """Runs an exercise's file as a module, in which `import tensorflow as tf` and `import keras`
    wait until they are used: a question for NumPy is there at once.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in list(tree.body):
        if isinstance(node, ast.Import) and len(node.names) == 1:
            (one,) = node.names
            if one.name in ("tensorflow", "keras"):
                setattr(module, one.asname or one.name, Late(one.name))
                tree.body.remove(node)
    exec(compile(tree, path, "exec"), vars(module))


def load_file(path: Path) -> Exercise:
    """Returns the exercise of one file.

    Raises:
        ExerciseError: the file cannot be imported or has no `exercise`.
    """
    name = f"kerasbook_exercise_{path.parent.name}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # inspect.getsource of classes looks there
    try:
        execute(path, module)
    except Exception as error:
        raise ExerciseError(f"{path}: {type(error).__name__}: {error}") from error
    exercise = getattr(module, "exercise", None)
    if not isinstance(exercise, Exercise):
        raise ExerciseError(f"{path}: the file has no `exercise = Exercise(…)`")
    exercise.path = path
    if first := next(exercise.problems(), None):
        raise ExerciseError(f"{path}: {first}")
    return exercise


def load(folder: Path | None = None, chapter: int | str | None = None) -> dict[str, Exercise]:
    """Returns the exercises of a folder, name → Exercise; without a folder, the book's.

    Args:
        folder: has exercise files, in folders or not.
        chapter: only those of this chapter, by number or key; of the book, only that chapter's
            files are imported.

    Raises:
        ExerciseError: no exercise, a broken one, or two with one name.
    """
    paths = stub_files(folder).values()
    key = None if chapter is None else key_of(chapter)
    if folder is None and key is not None:
        paths = [path for path in paths if path.parent.name == key]
    found = [load_file(path) for path in paths]
    chosen = [one for one in found if key in (None, one.key)]
    if not chosen:
        raise ExerciseError(f"no exercise of {name_of(str(key))}")
    return {one.name: one for one in sorted(chosen, key=lambda o: (place_of(o.key), o.difficulty))}


def load_locked(file: Path, folder: Path | None, found: Callable) -> dict[str, Exercise]:
    """Returns the exercises, with their points, that a course was begun with.

    Args:
        file: a lock, question → points; written, if it is not there, from what `found` gives.
        folder: has the exercises; the book's, if none is given.
        found: returns the exercises that the course begins with.

    Raises:
        ExerciseError: the file is no lock, or one of its exercises is not there any more.
    """
    if not file.exists():
        begun = found()
        with atomic_path(file) as temporary:
            points = {name: one.points for name, one in begun.items()}
            temporary.write_text(json.dumps(points, indent=1) + "\n", encoding="utf-8")
        return begun
    try:
        points = json.loads(file.read_text(encoding="utf-8"))
        fine = all(isinstance(one, int | float) and one > 0 for one in points.values())
    except (ValueError, AttributeError):
        fine = False
    if not fine or not points:
        raise ExerciseError(f"{file} is no lock of exercises: remove it to have one made")
    locked = load_named(list(points), folder)
    for name, one in locked.items():
        one.points = points[name]
    return locked


def load_named(
    names: Sequence[str], folder: Path | None = None, chapter: int | str | None = None
) -> dict[str, Exercise]:
    """Returns the exercises of these names; only their own files are imported.

    Raises:
        ExerciseError: one is not there, is broken, or is of another chapter.
    """
    files = stub_files(folder)
    for name in names:
        if name not in files:
            raise ExerciseError(f"there is no exercise {name!r} among {', '.join(files)}")
    found = {name: load_file(files[name]) for name in names}
    for name, one in found.items():
        if chapter is not None and key_of(chapter) != one.key:
            here, asked = name_of(one.key), name_of(key_of(chapter))
            raise ExerciseError(f"{name} is of {here}, not {asked}")
    return found
