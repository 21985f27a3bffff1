"""Pins what Keras would otherwise take from the user's file and environment.

`~/.keras/keras.json` and variables such as KERAS_MAX_EPOCHS are meant for a user's own programs.
They would change the numbers of a chapter, and whether an answer is right. So Keras, where
kerasbook is imported before it, begins with its own defaults and reads neither; the file stays as
it is, and nothing is written.
"""

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from kerasbook.quiet import load_within

CONFIG = "keras.src.backend.config"
DEFAULTS = {"floatx": "float32", "epsilon": 1e-7, "image_data_format": "channels_last"}
DEFAULTS |= {"backend": "tensorflow", "max_epochs": None, "max_steps_per_epoch": None}
UNSET = ("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "KERAS_NNX_ENABLED")
UNSET += ("TF_USE_LEGACY_KERAS",)  # makes tf.keras another library


def pin() -> None:
    """Lets Keras begin with its defaults and TensorFlow; warns where it has begun otherwise."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    for name in UNSET:
        os.environ.pop(name, None)
    if "auto_jit" in os.environ.get("TF_XLA_FLAGS", ""):  # other random numbers, no assertions
        del os.environ["TF_XLA_FLAGS"]
    if CONFIG not in sys.modules:
        load_within(CONFIG, _no_file)
        return
    config = sys.modules[CONFIG]
    found = {name: getattr(config, name, lambda: None)() for name in DEFAULTS}
    if other := [f"{name} {found[name]}" for name in DEFAULTS if found[name] != DEFAULTS[name]]:
        warnings.warn(
            f"keras was imported before kerasbook and has {', '.join(other)}, which changes the "
            "book's numbers: import kerasbook first",
            stacklevel=3,
        )


@contextmanager
def _no_file() -> Iterator[None]:
    """Shows Keras, while its settings are loaded, a home that has no file and takes none."""
    home = os.environ.get("KERAS_HOME")
    os.environ["KERAS_HOME"] = os.devnull
    try:
        yield
    finally:
        del os.environ["KERAS_HOME"]
        if home is not None:
            os.environ["KERAS_HOME"] = home
        if config := sys.modules.get(CONFIG):  # where it keeps downloads
            user = os.path.expanduser("~")
            user = user if os.access(user, os.W_OK) else "/tmp"
            config._KERAS_DIR = home or os.path.join(user, ".keras")
