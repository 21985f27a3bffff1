"""A learner's folder: files with stubs, checks, hints, solutions, and what was passed so far."""

from __future__ import annotations

import ast
import difflib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from kerasbook.contents import name_of, place_of
from kerasbook.exercises.exercise import (
    Exercise,
    ExerciseError,
    head,
    load_file,
    source_of,
    stub_files,
)
from kerasbook.files import atomic_path
from kerasbook.grading.in_worker import InWorker
from kerasbook.grading.question import QuestionResult, grade
from kerasbook.grading.workers import Workers
from kerasbook.program import UserError

STATE = ".kerasbook.json"


class LearnerError(UserError):
    """What a learner asked for cannot be done; the message has the remedy."""


# The folder


def start(
    folder: Path, exercises: Iterable[Exercise], overwrite: bool = False
) -> tuple[list[Path], list[Path]]:
    """Copies the notebooks and writes the exercises' stubs.

    Args:
        folder: is made if it is not there.
        exercises: whose stubs are written, a file for each chapter.
        overwrite: replace files that are there; each is kept beside it as NAME.bak.

    Returns:
        The files written, and those that were there and were left alone.
    """
    texts = {Path("notebooks", name): text for name, text in notebooks().items()}
    for key, found in by_chapter(exercises).items():
        texts[Path("exercises", f"{key}.py")] = stubs(key, found).encode()
    written, kept = [], []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != text:
            if not overwrite:
                kept.append(path)
                continue
            path.replace(path.with_name(path.name + ".bak"))
        with atomic_path(path) as temporary:
            temporary.write_bytes(text)
        written.append(path)
    if not (folder / STATE).exists():
        Progress(folder / STATE).save()
    return written, kept


def notebooks() -> dict[str, bytes]:
    """Returns the chapters' notebooks that came with the package: name → content."""
    package = resources.files("kerasbook")
    for folder in (package / "notebooks_with_outputs", Path(str(package)).parent / "chapters"):
        if folder.is_dir():
            return {
                file.name: file.read_bytes()
                for file in sorted(folder.iterdir(), key=lambda file: file.name)
                if file.name.endswith(".ipynb")
            }
    return {}


def by_chapter(exercises: Iterable[Exercise]) -> dict[str, list[Exercise]]:
    """Returns the exercises of each chapter, by its key, in the book's order."""
    found: dict[str, list[Exercise]] = {}
    for exercise in exercises:
        found.setdefault(exercise.key, []).append(exercise)
    return dict(sorted(found.items(), key=lambda item: place_of(item[0])))


def stubs(key: str, exercises: Iterable[Exercise]) -> str:
    """Returns a learner's file: the imports, then each stub below a line with its title."""
    exercises = list(exercises)
    imports = sorted({line for one in exercises for line in one.imports.splitlines() if line})
    parts = [
        f'"""Exercises of {name_of(key)}.\n\n'
        f"Write each function's body in place of its last line, save, and check:\n\n"
        f"    kerasbook check {key}.py\n"
        f"    kerasbook watch .                  checks at every save\n"
        f"    kerasbook hint {exercises[0].name}\n"
        '"""\n\n' + "\n".join(imports) + "\n"
    ]
    for number, exercise in enumerate(exercises, 1):
        parts.append(f"# {number}. {head(exercise)}\n\n\n{exercise.stub_source}")
    return "\n\n".join(parts)


# What was passed so far


@dataclass
class Progress:
    """Per exercise: times checked, best points, hints seen, whether passed; kept in a file."""

    path: Path
    entries: dict[str, dict] = field(default_factory=dict)

    @classmethod
    def of(cls, place: Path) -> Progress:
        """Returns the progress kept in the folder of a file, or in one above; else a new one."""
        place = place.resolve()
        folder = place if place.is_dir() else place.parent
        found = next(
            (one / STATE for one in (folder, *folder.parents) if (one / STATE).is_file()), None
        )
        if not found:
            return cls(folder / STATE)
        try:
            entries = json.loads(found.read_text(encoding="utf-8"))
            assert isinstance(entries, dict)
            assert all(isinstance(entry, dict) for entry in entries.values())
        except (ValueError, AssertionError):
            aside = found.with_name(f"{found.name}.damaged-{int(time.time())}")
            found.replace(aside)
            return cls(found)
        return cls(found, entries)

    def entry(self, name: str) -> dict:
        """Returns the entry of an exercise, made if need be."""
        new = {"checked": 0, "points": 0.0, "hints": 0, "passed": False, "gave_up": False}
        return self.entries.setdefault(name, new)

    def note(self, result: QuestionResult) -> None:
        """Counts a check."""
        entry = self.entry(result.name)
        entry["checked"] += 1
        entry["points"] = max(entry["points"], result.points)
        entry["passed"] = entry["passed"] or result.status == "pass"

    def save(self) -> None:
        """Writes the file, whole or not at all."""
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(self.entries, indent=1) + "\n", encoding="utf-8")

    def passed(self, exercises: Iterable[Exercise]) -> int:
        """Returns how many of the exercises were passed."""
        return sum(bool(self.entries.get(one.name, {}).get("passed")) for one in exercises)


# Checking


@dataclass(frozen=True)
class Answer:
    """One answer in a learner's file: the file's text, the answer's own text, its first line."""

    exercise: Exercise
    source: str
    own: str
    line: int

    @property
    def untouched(self) -> bool:
        """Whether it is still the stub, whatever became of its docstring."""
        return without_docstrings(self.own) == without_docstrings(self.exercise.stub_source)


def without_docstrings(text: str) -> str:
    """Returns the program of a text, less docstrings, comments and layout."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body = node.body[1:]
    return ast.dump(tree)


def parsed(path: Path) -> tuple[str, ast.Module]:
    """Returns the text of a learner's file, and its syntax tree.

    Raises:
        LearnerError: no such file, no text, or not Python.
    """
    try:
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
    except OSError as error:
        raise LearnerError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise LearnerError(f"{path} is not text in UTF-8") from error
    except SyntaxError as error:
        raise LearnerError(
            f"{path}:{error.lineno}: {error.msg}: {(error.text or '').strip()}"
        ) from error
    except ValueError as error:
        raise LearnerError(f"{path}: {error}") from error
    return source, tree


def exercises_of(path: Path, folder: Path | None = None) -> dict[str, Exercise]:
    """Returns the exercises that a file answers; only their files are imported."""
    files = stub_files(folder)
    _, tree = parsed(path)
    names = {getattr(node, "name", "") for node in tree.body}
    return {name: load_file(file) for name, file in files.items() if name in names}


def answers_in(path: Path, exercises: dict[str, Exercise]) -> list[Answer]:
    """Returns the answers of a file, in the order in which they stand there.

    Raises:
        LearnerError: the file cannot be used, or has no exercise in it.
    """
    source, tree = parsed(path)
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in exercises:
            own = ast.get_source_segment(source, node) or ""
            found[node.name] = Answer(exercises[node.name], source, own, node.lineno)
    if not found:
        raise LearnerError(
            f"{path} has no function of an exercise; `kerasbook start FOLDER` writes the stubs"
        )
    return list(found.values())


def check_answer(workers: Workers, answer: Answer) -> QuestionResult:
    """Grades one answer, with the public seed, by the code that grades a class."""
    with InWorker(workers, answer.exercise, answer.source) as solution:
        result = grade(answer.exercise, solution)
    result.output = solution.printed
    return result


def check_file(
    path: Path,
    exercises: dict[str, Exercise],
    workers: Workers,
    question: str | None = None,
    told: Callable[[Answer, QuestionResult | None], None] = lambda answer, result: None,
) -> list[QuestionResult]:
    """Checks the answers of a file that are no longer stubs, and keeps what was passed.

    Args:
        path: the learner's file.
        exercises: name → Exercise.
        workers: run the answers.
        question: only this one, stub or not.
        told: gets each answer with its result, None for an untouched stub.

    Raises:
        LearnerError: the file cannot be used, or has no such question.
    """
    answers = answers_in(path, exercises)
    if question:
        answers = [one for one in answers if one.exercise.name == question]
        if not answers:
            raise LearnerError(f"{path} has no {question}")
    progress = Progress.of(path)
    results = []
    for answer in answers:
        if answer.untouched and not question:
            told(answer, None)
            continue
        results.append(check_answer(workers, answer))
        progress.note(results[-1])
        told(answer, results[-1])
    progress.save()
    return results


# Help


def next_hint(exercise: Exercise, progress: Progress) -> tuple[int, str]:
    """Returns the number and text of the next hint; after the last, the last again."""
    entry = progress.entry(exercise.name)
    entry["hints"] = min(entry["hints"] + 1, len(exercise.hints))
    progress.save()
    return entry["hints"], exercise.hints[entry["hints"] - 1]


def solution_of(exercise: Exercise, progress: Progress, give_up: bool = False) -> str:
    """Returns the reference, for one who has passed or gives up.

    Raises:
        LearnerError: neither.
    """
    entry = progress.entry(exercise.name)
    if not entry["passed"] and not give_up:
        raise LearnerError(
            f"{exercise.name} is not passed yet: `kerasbook hint {exercise.name}`, "
            f"or --give-up to see the solution all the same"
        )
    entry["gave_up"] = entry["gave_up"] or not entry["passed"]
    progress.save()
    return exercise.imports + "\n\n" + source_of(exercise.solution.function, exercise.name)


def named(name: str, folder: Path | None = None) -> Exercise:
    """Returns the exercise of a name; only its file is imported.

    Raises:
        ExerciseError: there is none; the message lists those that are alike.
    """
    files = stub_files(folder)
    if name not in files:
        alike = difflib.get_close_matches(name, files, 3, 0.4) or list(files)[:5]
        raise ExerciseError(f"there is no exercise {name!r}; is it {' or '.join(alike)}?")
    return load_file(files[name])
