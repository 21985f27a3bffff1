"""Keeps TensorFlow's start-up messages off the reader's screen.

While it is imported, TensorFlow writes notes on oneDNN and missing GPU drivers to standard
error, before any setting can reach it; on a machine without a GPU it calls that an error.
"""

import importlib.abc
import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager


def quiet_tensorflow() -> None:
    """Hides what TensorFlow prints while it is imported; TF_CPP_MIN_LOG_LEVEL=0 shows it."""
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if level != "0" and "tensorflow" not in sys.modules:
        load_within("tensorflow", standard_error_put_aside)


def load_within(name: str, context: Callable[[], AbstractContextManager]) -> None:
    """Lets a module, when it is imported for the first time, load within a context manager."""
    sys.meta_path.insert(0, _Within(name, context))


class _Within(importlib.abc.MetaPathFinder):
    """Finds one module as usual, but lets it load within a context manager."""

    def __init__(self, name: str, context: Callable[[], AbstractContextManager]):
        self.name, self.context = name, context
        self.searching = False  # the usual way of finding it asks this finder too

    def find_spec(self, name, path=None, target=None):
        """The usual spec, with a loader that loads within the context."""
        if name != self.name or self.searching:
            return None
        self.searching = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.searching = False
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_inside(module):
                with self.context():
                    load(module)

            spec.loader.exec_module = load_inside
        return spec


@contextmanager
def standard_error_put_aside():
    """Keeps what C++ writes to file descriptor 2; shows it only if there is an exception."""
    try:
        saved = os.dup(2)
    except OSError:  # no standard error to put aside
        yield
        return
    with tempfile.TemporaryFile() as aside:
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except Exception:
            aside.seek(0)
            os.write(saved, aside.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
