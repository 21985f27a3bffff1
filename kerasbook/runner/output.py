"""Where a run writes: standard output that may go away, and a folder that it has to itself."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kerasbook.files import FolderInUse, only_run_in, remove_unfinished
from kerasbook.program import fail


@contextlib.contextmanager
def output_that_may_go_away() -> Iterator[None]:
    """Lets the run go on, and save, where nobody takes what it prints: `>&-`, `| head -1`."""
    for number in (0, 1, 2):  # else the next file to be opened would be standard output
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    output, errors = _Patient(sys.stdout), _Patient(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            yield
        finally:
            output.flush()
            if output.error and not isinstance(output.error, BrokenPipeError):
                print(f"warning: not all was printed: {output.error.strerror}", file=sys.stderr)
            errors.flush()


class _Patient:
    """A stream that drops what cannot be written; `error` is the first reason."""

    def __init__(self, stream):
        self.stream = stream or open(os.devnull, "w")  # noqa: SIM115
        self.error: OSError | None = None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        self._try(self.stream.write, text)
        return len(text)

    def flush(self):
        self._try(self.stream.flush)

    def _try(self, action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # takes what the stream still holds
            os.close(nowhere)


@contextlib.contextmanager
def nothing_printed(quiet: bool) -> Iterator[None]:
    """Keeps standard output from the screen, if the run is to be quiet."""
    with contextlib.ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        yield


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Makes the folder, and keeps other runs from writing there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(f"cannot write into {folder}: {error.strerror}; choose another folder with --output")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_run_in(folder))
            remove_unfinished(folder)
        except FolderInUse as error:
            fail(error)
        yield
