"""Files that are whole or not there, and a folder that one run at a time writes into.

A file is written under a temporary name, synced, and renamed: a program killed at any moment
leaves the old file or the new one.
"""

import itertools
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class FolderInUse(Exception):
    """Another run writes into the folder; the message says which, and what to do."""


@contextmanager
def atomic_path(path: Path):
    """Gives a temporary path beside `path`, of the same suffix; moves it there at the end."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".unfinished-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(folder: Path):
    """Gives a temporary path for a folder to be made; moves it to `folder` at the end.

    A folder cannot take another one's name in one move, so the old one is moved aside first: a
    program killed between the two moves leaves it as .old-NAME.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".unfinished-{os.getpid()}-{folder.name}")
    old = folder.with_name(f".old-{folder.name}")
    try:
        yield temporary
        shutil.rmtree(old, ignore_errors=True)
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
        _sync_folder(folder.parent)
    finally:
        for left in (temporary, old) if folder.exists() else (temporary,):
            shutil.rmtree(left, ignore_errors=True)


def remove(path: Path) -> None:
    """Removes a file, or the folder of a SavedModel; other folders stay."""
    if (path / "saved_model.pb").is_file():
        shutil.rmtree(path)
    elif not path.is_dir():
        path.unlink(missing_ok=True)


def set_aside(path: Path, ending: str = "bak") -> Path:
    """Returns the new name of a file that must make room: NAME.bak, or NAME.bak2 and so on.

    A name that is taken stays as it is, so nothing set aside before is lost.
    """
    for number in itertools.count(1):
        aside = path.with_name(f"{path.name}.{ending}{number if number > 1 else ''}")
        with suppress(FileExistsError):
            aside.touch(exist_ok=False)
            return path.replace(aside)
    raise AssertionError  # there is always a next number


def _sync_folder(folder: Path) -> None:
    """Makes a new name last through a power cut; where the system cannot, it stays as it is."""
    with suppress(OSError):
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


def remove_unfinished(folder: Path) -> None:
    """Removes what a killed program left under a temporary name."""
    for place in (folder, folder / "checkpoint"):
        for path in place.glob(".unfinished-*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


@contextmanager
def only_run_in(folder: Path):
    """Holds `folder` for this process; raises FolderInUse if another one has it.

    The lock is the system's, on the file `folder/.lock`: it ends with the process, however that
    ends, so that a file left by a killed one holds nobody up.
    """
    path = folder / ".lock"
    if fcntl is None:
        yield
        return
    while True:
        file = open(path, "a+")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with file:
                file.seek(0)
                number = file.read().strip() or "unknown"
            raise FolderInUse(
                f"another run (pid {number}) is writing into {folder}: wait for its end, or "
                "choose another folder with --output"
            ) from None
        except OSError:  # a network drive without locks
            break
        # The one before may have removed its file between our opening and our locking it.
        with suppress(FileNotFoundError):
            if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
                break
        file.close()
    with file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()
