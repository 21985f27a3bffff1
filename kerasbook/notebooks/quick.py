"""Quick mode: what the first cell of a notebook calls that is only to be tried out.

    from kerasbook.notebooks import quick as quick_mode

    quick_mode.begin(settings={"epochs": 1, "examples": 512}, data=1024)

From then on the data are few, and every run of `fit` and of the chapter's `main` is short. XLA is
left out: compiling would take longer than so short a run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import kerasbook.data
import kerasbook.training
from kerasbook.training import batches

import tensorflow as tf

_settings: dict[str, Any] = {}


def begin(settings: dict[str, Any], data: int | None) -> None:
    """Makes everything short that the cells below import.

    Args:
        settings: keyword arguments of `main`; its `epochs` and `examples` hold for `fit` too, which
            else has one epoch and 512 examples.
        data: to how many examples each part of a data set is cut; None leaves all.
    """
    _settings.clear()
    _settings.update(settings)
    for name in kerasbook.data.__all__:
        if name.startswith("load") and data is not None:
            setattr(kerasbook.data, name, few(getattr(kerasbook.data, name), data))
    kerasbook.training.fit = short_fit(kerasbook.training.fit)


def few(load: Callable, count: int) -> Callable:
    """Returns the function that loads only the first examples of each part."""

    @functools.wraps(load)
    def load_few(*arguments, **options):
        return load(*arguments, **options).take(count)

    return load_few


def short_fit(fit: Callable) -> Callable:
    """Returns `fit` for few epochs and few examples, without XLA."""

    @functools.wraps(fit)
    def fit_shortly(model, train, *, epochs=1, **options):
        if batches.examples(train) is not None:
            count = _settings.get("examples", 512)
            train = tf.nest.map_structure(lambda array: array[:count], train)
        epochs = min(epochs, _settings.get("epochs", 1))
        return fit(model, train, epochs=epochs, **{"jit": "off", **options})

    return fit_shortly


def short(main: Callable) -> Callable:
    """Returns the chapter's `main` with the settings of quick mode, whatever it is called with."""

    @functools.wraps(main)
    def main_shortly(*arguments, **options):
        return main(*arguments, **{**options, **_settings})

    return main_shortly
