"""What the verbs share: how they end where something is wrong, and options that several have."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

from kerasbook.program import UserError, fail

import typer

Folder = Annotated[
    Path | None,
    typer.Option("--exercises", help="A folder with a teacher's own exercises."),
]
Level = Annotated[
    int | None,
    typer.Option("--level", min=1, max=5, help="Isolation: 1, 2 or 5; else the best there is."),
]
Chapter = Annotated[
    str | None, typer.Option("--chapter", help="Only this chapter's, by number or key.")
]
Questions = Annotated[
    str | None, typer.Option("--questions", help="Only these, with commas between.")
]


def verb(group: typer.Typer, name: str | None = None, **settings: Any) -> Callable:
    """Makes a function a verb of the group, which ends with one line where something is wrong.

    Its imports stand in its body, so that --help, and every other verb, need not wait for them.
    """

    def register(function: Callable) -> Callable:
        @functools.wraps(function)
        def call(*arguments, **options):
            with clear_errors():
                return function(*arguments, **options)

        group.command(name, **settings)(call)
        return function

    return register


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """Ends the program with one line where something is wrong with what the user gave."""
    try:
        yield
    except UserError as error:
        fail(shown(error), error.status)
    except OSError as error:
        fail(shown(f"{error.filename}: {error.strerror}" if error.filename else error))
    except KeyboardInterrupt:
        fail("interrupted; the same command goes on from here", 130)


def shown(message: object) -> str:
    """Returns a message with what would change a terminal escaped: it may hold learners' names."""
    from kerasbook.grading.text import printable

    return printable(str(message))


def chosen(folder: Path | None, chapter: int | str | None = None, questions: str | None = None):
    """Returns the exercises of a folder, or the book's; a word while TensorFlow is imported.

    Of named questions, with commas between, only their own files are imported.
    """
    from kerasbook.exercises import load
    from kerasbook.exercises.exercise import load_named

    from rich.console import Console

    with Console(stderr=True).status("loading the exercises"):
        if not questions:
            return load(folder, chapter)
        names = [name.strip() for name in questions.split(",")]
        return load_named(names, folder, chapter)
