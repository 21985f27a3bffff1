"""What the command of a chapter trains: its model, data, loss and optimizer, taken from its `main`.

Nothing of a chapter is written down here a second time. Its `main` is run until `fit` would begin;
what `fit` was about to train is the job. Every side of the comparison is given the same.
"""

import contextlib
import importlib
import io
from dataclasses import dataclass
from typing import Any
from unittest import mock

from kerasbook.training import fitting
from kerasbook.training.compiling import draws, use_jit

import keras
import numpy as np

RATES_KEPT = 1000  # of a learning rate that changes from step to step; then the last one stays


@dataclass
class Job:
    """A model, and how it is trained: all sides train the same, in batches of the same size."""

    model: keras.Model
    data: tuple  # x, y: arrays, first axis = examples
    loss_fn: Any
    optimizer: keras.optimizers.Optimizer
    batch_size: int
    jit: bool = False  # whether our loop compiles it with XLA

    @property
    def steps(self) -> int:
        """How many batches an epoch takes."""
        return -(-len(self.data[0]) // self.batch_size)


def made(model: keras.Model, data: tuple, loss_fn: Any, batch_size: int) -> Job:
    """Returns a job of no chapter, with Adam; it goes on long enough to be worth compiling."""
    jit = use_jit("auto", model)
    return Job(model, data, loss_fn, keras.optimizers.Adam(), batch_size, jit)


class _Asked(Exception):
    """What a chapter's `main` asked of `fit`."""


def job_of(key: str, steps: int | None = None, rival: bool = False) -> Job:
    """Returns what `python -m kerasbook.<key>` trains; the data cut to so many batches.

    rival: leave TensorFlow's threads as they are, whatever the chapter's command does to them.
    """
    module = importlib.import_module(f"kerasbook.{key}")

    def stop(model, batches, *_):
        raise _Asked(model, batches)

    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.object(fitting, "fit_by_tape", stop))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        if rival:
            threads = mock.patch.object(module, "one_thread_per_operation", create=True)
            stack.enter_context(threads)
        try:
            module.main(progress="none")
        except _Asked as asked:
            model, batches = asked.args
    count = None if steps is None else steps * batches.batch_size
    data = tuple(part.numpy()[:count] for part in batches.train)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)  # in float16
    return Job(model, data, model.loss, optimizer, batches.batch_size, model.jit_compile)


# --- without chance -------------------------------------------------------------------------


def set_chance(model: keras.Model, on: bool) -> None:
    """Lets dropout, augmentation and the like hand on what they get; or be themselves again.

    Their numbers differ from side to side, so that outputs can be compared only without them.
    """
    for layer in filter(draws, model._flatten_layers()):
        if on:
            vars(layer).pop("call", None)
        else:
            layer.call = _handed_on


def _handed_on(x, training=False):
    return x


# --- for PyTorch, which must not import TensorFlow ------------------------------------------


def described(job: Job, layers: list | None = None) -> dict:
    """Returns the job in numbers, names and arrays.

    layers: (kind, settings, weights) of each; without it those of the model, one after the other.
    """
    if layers is None:
        layers = [
            (type(layer).__name__, _settings_of(layer), layer.get_weights())
            for layer in job.model.layers
            if not isinstance(layer, keras.layers.InputLayer)
        ]
    return {
        "layers": layers,
        "loss": type(job.loss_fn).__name__,
        "optimizer": _described_optimizer(job.optimizer),
        "data": job.data,
        "batch_size": job.batch_size,
        "sparse": _has_sparse_gradients(job),
    }


def _settings_of(layer) -> dict:
    """The layer's configuration; empty if it has none: then PyTorch's side says what it lacks."""
    try:
        return layer.get_config()
    except NotImplementedError:
        return {}


def _has_sparse_gradients(job: Job) -> bool:
    """Whether the gradient of an embedding stays a list of rows; clipping makes it an array."""
    kinds = [type(layer) for layer in job.model._flatten_layers()]
    return keras.layers.Embedding in kinds and not job.optimizer.global_clipnorm


def _described_optimizer(optimizer) -> dict:
    names = "momentum", "beta_1", "beta_2", "epsilon", "global_clipnorm"
    settings = {name: getattr(optimizer, name, None) for name in names}
    schedule = optimizer._learning_rate
    if isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        rates = [float(schedule(step)) for step in range(RATES_KEPT)]
    else:
        rates = [float(np.asarray(optimizer.learning_rate))]
    return settings | {"kind": type(optimizer).__name__, "rates": rates}


def describe_writer(model: keras.Model) -> list:
    """Returns the layers of chapter 6's language model for `described`."""
    stack = model.get_layer("stack")
    settings = {"blocks": len(stack.blocks), "heads": stack.blocks[0].attention.heads}
    return [("Writer", settings, model.get_weights())]
