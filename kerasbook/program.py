"""What every command of the book does alike: how it ends, and what it needs of its surroundings."""

import os
import sys
from typing import NoReturn


class UserError(Exception):
    """What the user gave cannot be used; the message is one line, with the remedy."""

    status = 2  # the exit status of a program that ends with it


def fail(message: object, status: int = 2) -> NoReturn:
    """Prints one line on standard error and ends the program."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(status)


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
