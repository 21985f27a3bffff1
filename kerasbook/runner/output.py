"""Where a run writes: on the screen or nowhere, and into a folder that it has to itself."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kerasbook.files import FolderInUse, only_run_in, remove_unfinished
from kerasbook.program import fail


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
