"""What every command of the book does alike: how it ends, and what it needs of its surroundings."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import NoReturn


class UserError(Exception):
    """What the user gave cannot be used; the message is one line, with the remedy."""

    status = 2  # the exit status of a program that ends with it


def fail(message: object, status: int = 2) -> NoReturn:
    """Prints one line on standard error and ends the program.

    Lines of the message become sentences: where one has no stop at its end, it gets a semicolon.
    """
    lines = [" ".join(line.split()) for line in str(message).splitlines() if line.strip()]
    ended = [line if line[-1] in ".:;,!?" else f"{line};" for line in lines[:-1]]
    print("error: " + " ".join([*ended, *lines[-1:]]), file=sys.stderr)
    sys.exit(status)


def many(count: int, what: str) -> str:
    """Returns the count with its word.

    >>> many(1, "question"), many(2, "question")
    ('1 question', '2 questions')
    """
    return f"{count} {what}" + ("" if count == 1 else "s")


def ensure_home() -> None:
    """Gives a process without a home, as in some containers, one that is not there.

    Libraries would make a folder of the name ~ in the working folder.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = "/nonexistent"


def kernel():
    """Returns the Jupyter kernel that runs this code; None in a terminal or a script."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None)


@contextlib.contextmanager
def output_that_may_go_away() -> Iterator[Patient]:
    """Lets a program go on, and save, where nobody takes what it prints: `>&-`, `| head -1`.

    Letters that the output's encoding lacks become question marks.
    """
    for number in (0, 1, 2):  # else the next file to be opened would be standard output
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    output, errors = Patient(sys.stdout), Patient(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            yield output
        finally:
            output.flush()
            if output.error and not isinstance(output.error, BrokenPipeError):
                print(f"warning: not all was printed: {output.error.strerror}", file=sys.stderr)
            errors.flush()


class Patient:
    """A stream that drops what cannot be written; `error` is the first reason."""

    def __init__(self, stream):
        self.stream = stream or open(os.devnull, "w")  # noqa: SIM115
        self.error: OSError | None = None
        with contextlib.suppress(AttributeError, OSError):  # no text stream, or a pipe that fails
            self.stream.reconfigure(errors="replace")

    def __getattr__(self, name):
        """All else is the stream's."""
        return getattr(self.stream, name)

    def write(self, text):
        """Writes what can be written."""
        self._try(self.stream.write, text)
        return len(text)

    def flush(self):
        """Writes what waits."""
        self._try(self.stream.flush)

    def _try(self, action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # takes what the stream still holds
            os.close(nowhere)
