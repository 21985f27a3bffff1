"""A learner's folder: files with stubs, checks, hints, solutions, and what was passed so far."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from kerasbook.contents import place_of
from kerasbook.exercises.cards import file_of, registered
from kerasbook.exercises.exercise import (
    Exercise,
    imports_of,
    load_file,
    renamed,
    source_of,
    stub_files,
)
from kerasbook.files import atomic_path, set_aside
from kerasbook.grading.in_worker import InWorker
from kerasbook.grading.libraries import without_slow_imports
from kerasbook.grading.question import QuestionResult, grade
from kerasbook.grading.workers import Workers
from kerasbook.learner.progress import STATE, LearnerError, Progress, next_hint
from kerasbook.learner.stubs import exercise_notebook, stubs

__all__ = ["STATE", "LearnerError", "Progress", "next_hint"]

# The folder


def start(
    folder: Path, exercises: Iterable[Exercise], overwrite: bool = False, own: Path | None = None
) -> tuple[list[Path], list[Path]]:
    """Copies the notebooks and writes the exercises' stubs.

    Args:
        folder: is made if it is not there.
        exercises: whose stubs are written, a file for each chapter.
        overwrite: replace files that are there; each is kept beside it as NAME.bak, or, if that
            is there, as NAME.bak2 and so on.
        own: folder of a teacher's own exercises, whose notebooks take the place of the book's.

    Returns:
        The files written, and those that were there and were left alone.
    """
    texts = {Path("notebooks", name): text for name, text in notebooks(own is None).items()}
    for key, found in by_chapter(exercises).items():
        texts[Path("exercises", f"{key}.py")] = stubs(key, found, own).encode()
        if own:
            name = Path("notebooks", f"{key}_exercises.ipynb")
            texts[name] = exercise_notebook(key, found, own).encode()
    written, kept = [], []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != text:
            if not overwrite:
                kept.append(path)
                continue
            set_aside(path)
        with atomic_path(path) as temporary:
            temporary.write_bytes(text)
        written.append(path)
    if not (folder / STATE).exists():
        Progress(folder / STATE).save()
    return written, kept


def notebooks(with_exercises: bool = True) -> dict[str, bytes]:
    """Returns the notebooks that came with the package, those with stubs or not: name → content."""
    package = resources.files("kerasbook")
    for folder in (package / "notebooks_with_outputs", Path(str(package)).parent / "chapters"):
        if folder.is_dir():
            return {
                file.name: file.read_bytes()
                for file in sorted(folder.iterdir(), key=lambda file: file.name)
                if file.name.endswith(".ipynb")
                and (with_exercises or not file.name.endswith("_exercises.ipynb"))
            }
    return {}


def by_chapter(exercises: Iterable[Exercise]) -> dict[str, list[Exercise]]:
    """Returns the exercises of each chapter, by its key, in the book's order."""
    found: dict[str, list[Exercise]] = {}
    for exercise in exercises:
        found.setdefault(exercise.key, []).append(exercise)
    return dict(sorted(found.items(), key=lambda item: place_of(item[0])))


# Checking


@dataclass(frozen=True)
class NotBegun:
    """An exercise whose answer is still its stub, so that its file need not be run."""

    name: str
    stub_source: str


@dataclass(frozen=True)
class Answer:
    """One answer in a learner's file: the file's text, the answer's own text, its first line."""

    exercise: Any  # Exercise, or NotBegun
    source: str
    own: str
    line: int

    @property
    def untouched(self) -> bool:
        """Whether it is still the stub, whatever became of its docstring."""
        return same_program(self.own, self.exercise.stub_source)


def same_program(text: str, other: str) -> bool:
    """Returns whether two texts are one program, whatever became of docstrings and layout."""
    return without_docstrings(text) == without_docstrings(other)


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


def exercises_of(
    path: Path, folder: Path | None = None, question: str | None = None
) -> dict[str, Exercise | NotBegun]:
    """Returns the exercises that a file answers; only files of those begun, and of the question
    that is asked for, are run.
    """
    stubs, files = not_begun(path, folder), stub_files(folder)
    return {
        name: stubs[name] if name in stubs and name != question else load_file(files[name])
        for name in definitions(path)
        if name in files
    }


def definitions(path: Path) -> dict[str, str]:
    """Returns name → text of the functions and classes of a learner's file."""
    source, tree = parsed(path)
    kinds = ast.FunctionDef | ast.ClassDef
    found = [node for node in tree.body if isinstance(node, kinds)]
    return {node.name: ast.get_source_segment(source, node) or "" for node in found}


def not_begun(path: Path, folder: Path | None = None) -> dict[str, NotBegun]:
    """Returns those exercises of a file whose answer is still the stub; no exercise is run."""
    files, found = stub_files(folder), {}
    for name, own in definitions(path).items():
        stub = registered(files[name], "stub") if name in files else ""
        if stub and same_program(own, stub):
            found[name] = NotBegun(name, stub)
    return found


def needs_tensorflow(path: Path, folder: Path | None = None, question: str | None = None) -> bool:
    """Returns whether an answer that is to be checked, or how it is used, needs TensorFlow or
    Keras; see `libraries`.
    """
    stubs, files = not_begun(path, folder), stub_files(folder)
    begun = [name for name in definitions(path) if name in files and name not in stubs]
    source, _ = parsed(path)
    return any(
        without_slow_imports(source, name, stubs) is None
        or without_slow_imports(driver_of(files[name]), "drive") is None
        for name in ([question] if question in files else begun)
    )


def driver_of(path: Path) -> str:
    """Returns an exercise's imports and its driver, if it has one, as a program."""
    driver = registered(path, "driver")
    if not driver:
        return ""
    text = path.read_text(encoding="utf-8")
    imports = "\n".join(imports_of(ast.parse(text), text))
    return f"{imports}\n{renamed(driver, 'drive')}"


def answers_in(path: Path, exercises: Mapping[str, Exercise | NotBegun]) -> list[Answer]:
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


def check_answer(workers: Workers, answer: Answer, stubs: Iterable[str] = ()) -> QuestionResult:
    """Grades one answer, with the public seed, by the code that grades a class.

    stubs: answers of its file that were not begun, which workers without TensorFlow do not run.
    """
    source = answer.source
    if not workers.tensorflow:
        source = without_slow_imports(source, answer.exercise.name, stubs) or source
    with InWorker(workers, answer.exercise, source) as solution:
        result = grade(answer.exercise, solution)
    result.output = solution.printed
    return result


def check_file(
    path: Path,
    exercises: Mapping[str, Exercise | NotBegun],
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
    results: list[QuestionResult] = []
    stubs = [one.exercise.name for one in answers_in(path, exercises) if one.untouched]
    for answer in answers:
        if answer.untouched and not question:
            told(answer, None)
            continue
        results.append(check_answer(workers, answer, stubs))
        progress.note(results[-1])
        told(answer, results[-1])
    progress.save()
    return results


# Help


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
    return load_file(file_of(name, folder))
