"""Keeps TensorFlow's start-up messages off the reader's screen.

While it is imported, TensorFlow writes notes on oneDNN and missing GPU drivers to standard
error, before any setting can reach it; on a machine without a GPU it calls that an error.
"""

import importlib.abc
import importlib.util
import os
import sys
import tempfile
from contextlib import contextmanager


def quiet_tensorflow() -> None:
    """Hides what TensorFlow prints while it is imported; TF_CPP_MIN_LOG_LEVEL=0 shows it."""
    level = os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if level != "0" and "tensorflow" not in sys.modules:
        sys.meta_path.insert(0, _QuietTensorFlow())


class _QuietTensorFlow(importlib.abc.MetaPathFinder):
    """Finds `tensorflow` as usual, but lets it load with standard error put aside."""

    searching = False  # the usual way of finding it asks this finder too

    def find_spec(self, name, path=None, target=None):
        """The usual spec, with a loader that is quiet."""
        if name != "tensorflow" or self.searching:
            return None
        self.searching = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self.searching = False
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def load_quietly(module):
                with _standard_error_put_aside():
                    load(module)

            spec.loader.exec_module = load_quietly
        return spec


@contextmanager
def _standard_error_put_aside():
    """Collects what C++ writes to file descriptor 2; shows it only if there is an exception."""
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
