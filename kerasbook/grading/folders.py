"""The temporary folders of the workers: locked while they are used, removed when they are not."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

HOMES = "kerasbook-workers-"
OLD_SECONDS = 60


def lock_folder(home: str) -> int:
    """Locks a folder for as long as this process lives; returns the open descriptor."""
    import fcntl

    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def remove_left_behind() -> None:
    """Removes what graders of this user that were killed could not remove.

    A folder is left alone if it is locked, which its process number would not tell in a container,
    or so young that its owner may be about to lock it.
    """
    for home in Path(tempfile.gettempdir()).glob(f"{HOMES}????????"):
        with contextlib.suppress(OSError):
            known = home.lstat()
            if known.st_uid == os.getuid() and known.st_mtime < time.time() - OLD_SECONDS:
                locked = lock_folder(str(home))
                remove(str(home))
                os.close(locked)


def remove(folder: str) -> None:
    """Removes a folder in which a stranger's code could write, whatever it left there."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.isdir(folder):  # too deep for rmtree, or folders that may not be entered
        subprocess.run(["chmod", "-R", "u+rwx", folder], capture_output=True)
        subprocess.run(["rm", "-rf", folder], capture_output=True)
