"""What the notebooks need beside the book: libraries of the extra `notebook`, and their error."""

import importlib
from typing import Any

from kerasbook.machine import with_extra
from kerasbook.program import UserError


class NotebookError(UserError):
    """A notebook cannot be built, or does not hold what it should; the message has the remedy."""

    status = 1


def library(name: str) -> Any:
    """Returns the module, or says how to get it: it belongs to the extra `notebook`."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise NotebookError(f"{name} is not installed: {with_extra('notebook')}") from None
