"""A learner's folder: files with stubs, checks, hints, solutions, and what was passed so far."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from kerasbook.contents import place_of
from kerasbook.exercises.cards import file_of
from kerasbook.exercises.exercise import (
    Exercise,
    load_file,
    source_of,
    stub_files,
)
from kerasbook.files import atomic_path, set_aside
from kerasbook.grading.in_worker import InWorker
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


def needs_tensorflow(path: Path, folder: Path | None = None) -> bool:
    """Returns whether a file, or an exercise that it answers, names TensorFlow or Keras."""
    source, tree = parsed(path)
    names = {getattr(node, "name", "") for node in tree.body}
    files = [file for name, file in stub_files(folder).items() if name in names]
    texts = [source, *(file.read_text(encoding="utf-8") for file in files)]
    return any(re.search(r"\b(tensorflow|keras)\b", text) for text in texts)


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
