"""`fit`, `evaluate` and `predict`: the step of step.py, repeated over batches and epochs.

`fit` computes what `model.fit` computes: on the same batches the losses, the metrics and the
weights agree (tests/test_training_equality.py says how closely, case by case). It is quicker
because the data lie on the device, the rows of a batch are gathered there, and one call of a
compiled function runs many steps (loops.py).
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from kerasbook.interruption import termination
from kerasbook.training import checks, replicas
from kerasbook.training.batches import (
    NOT_CHECKED,
    as_batches,
    as_dataset,
    build,
    fingerprint,
    make_batches,
    take_inputs,
)
from kerasbook.training.checkpoint import Checkpoint, CheckpointError, continue_files
from kerasbook.training.compiling import slow_in_float16, use_jit, why_not_xla, without_cudnn
from kerasbook.training.devices import in_scope, strategy_of
from kerasbook.training.history import History, Interrupted, NonFiniteLoss, Scores
from kerasbook.training.loops import NonFinite, make_loop
from kerasbook.training.losses import as_loss, as_optimizer, loss_config
from kerasbook.training.progress import make_progress
from kerasbook.training.step import make_test_step, make_train_step

import keras
import numpy as np
import tensorflow as tf


@in_scope
def fit(
    model: keras.Model,
    train: Any,
    *,
    loss_fn: Callable,
    optimizer: keras.optimizers.Optimizer,
    metrics: Sequence[keras.metrics.Metric] | None = (),
    epochs: int = 1,
    batch_size: int = 32,
    validation_data: Any = None,
    train_step: Callable | None = None,
    callbacks: Iterable[keras.callbacks.Callback] = (),
    shuffle: bool = True,
    seed: int = 0,
    jit: str = "auto",
    loop: str = "tape",
    progress: str = "auto",
    checkpoint: Path | str | None = None,
    resume: bool = False,
) -> History:
    """Trains `model` and returns its History; computes what `model.fit` computes, faster.

    A model, optimizer and metrics that were made in the scope of a MirroredStrategy or a
    MultiWorkerMirroredStrategy are trained on all of its devices: see devices.py.

    Args:
        train: arrays `(x, y)` or `(x, y, sample_weight)`, first axis = examples, or a
            `tf.data.Dataset` of such batches.
        loss_fn: `loss_fn(y, y_pred)` or `loss_fn(y, y_pred, sample_weight)` → scalar, such as
            an object of `keras.losses`.
        metrics: `keras.metrics` objects; unweighted, as in `model.compile(metrics=...)`.
        validation_data: like `train`; its scores appear as `val_...` after every epoch.
        train_step: `(x, y[, sample_weight]) -> (loss, y_pred)`, if not `make_train_step`'s.
        callbacks: Keras callbacks that act once per epoch.
        shuffle, seed: arrays are taken in `batch_order(seed, epoch, ...)`.
        jit: compile with XLA: "on", "off", or "auto" (on a CPU off for
            convolutions, LSTMs, attention, and for runs too short to pay for compiling).
        loop: "tape", or "fit" to hand the same batches to `model.fit`.
        progress: "bar", "lines" (one per epoch), "none", or "auto".
        checkpoint: folder for the state of the run, in files named after the model; with
            `resume`, the run goes on from there, within an epoch too (with loop="fit", from the
            last whole one). A shuffled `tf.data.Dataset` begins its order anew, so only a run
            on arrays ends with the same weights.

    Raises:
        ArgumentError: an argument does not fit; the message has the remedy.
        NonFiniteLoss: the loss became NaN or infinite.
        Interrupted: Ctrl-C, with the model and History so far.
    """
    metrics = () if metrics is None else metrics
    callbacks = checks.arguments(model, epochs, batch_size, loop, train_step, metrics, callbacks)
    batches = make_batches(train, validation_data, batch_size, shuffle, seed)
    build(model, batches.train, batch_size)
    optimizer = as_optimizer(optimizer)
    _check_devices(model, batches, loop, jit, train_step, optimizer, metrics)
    shown = make_progress(progress, epochs, batches.steps)
    compiled = _use_xla(jit, model, batches, epochs, loss_fn, metrics, optimizer, train_step, shown)
    if (slow := slow_in_float16(model, compiled)) is not None:
        warnings.warn(slow, stacklevel=3)
    # Callbacks and the saved file learn what trains the model; in float16 the optimizer is wrapped,
    # so that small gradients do not vanish (loss scaling).
    model.compile(optimizer, loss_fn, metrics=list(metrics), jit_compile=compiled)
    model.optimizer.build(model.trainable_variables)
    if train_step is None:
        train_step = _make_train_step(model, loss_fn)
    else:
        checks.own_step(model, optimizer, loop)

    history = History(compiled=compiled)
    saved = Checkpoint(checkpoint, model, callbacks, _settings(model, batches, optimizer, loss_fn))
    first_epoch = _restore(saved, history, loop, shown) if resume else saved.forget()
    recorder = _Recorder(history, shown, saved)
    callbacks.append(recorder)
    try:
        with shown, termination.waits():
            if loop == "fit" and not model.stop_training:
                fit_by_keras(model, batches, epochs, first_epoch, callbacks)
            else:  # also a `fit` that had ended early: its callbacks put the best weights back
                training = _make_loop(model, train_step, metrics, batches, compiled)
                validating = _make_test_loop(
                    model, loss_fn, metrics, batches.validation, batch_size
                )
                fit_by_tape(model, batches, epochs, first_epoch, callbacks, training, validating)
    except NonFinite as stop:
        message = checks.why_not_finite(stop, recorder.epoch, batches.train)
        raise NonFiniteLoss(message, history, stop.last_loss) from None
    except KeyboardInterrupt:
        raise Interrupted(model, history) from None
    return history


# --- the two loops ------------------------------------------------------------------------


def fit_by_tape(model, batches, epochs, first_epoch, callbacks, training, validating):
    """Trains epoch by epoch: each trains, validates and tells the callbacks, as Keras does."""
    params = {"epochs": epochs, "steps": batches.steps, "verbose": 0}
    hooks = keras.callbacks.CallbackList(callbacks, model=model, **params)
    hooks.on_train_begin()
    for epoch in range(first_epoch, epochs):
        if not model.stop_training:
            _run_epoch(epoch, training, batches.order_of(epoch), validating, hooks, callbacks[-1])
    model.optimizer.finalize_variable_values(model.trainable_variables)
    hooks.on_train_end(callbacks[-1].history.last())


def _run_epoch(epoch, training, order, validating, hooks, recorder):
    """Train, validate, tell the callbacks: the same calls in the same order as `model.fit`."""
    hooks.on_epoch_begin(epoch)
    done, logs = recorder.checkpoint.go_on_within_epoch(training.variables())
    for done, logs in training.run_epoch(order, first=done):  # noqa: B020
        recorder.progress.update(epoch, done, logs)
        recorder.between_steps(done, logs, training.variables())
    if validating is not None:
        hooks.on_test_begin()
        scores = {}
        for _, scores in validating.run_epoch():  # noqa: B007
            recorder.between_steps(done, logs, training.variables())
        hooks.on_test_end(scores)
        logs |= {f"val_{name}": value for name, value in scores.items()}
    hooks.on_epoch_end(epoch, logs)


def fit_by_keras(model, batches, epochs, first_epoch, callbacks):
    """Trains with `model.fit`, on the same batches in the same order."""
    order = _Order(batches)
    model.fit(
        as_dataset(batches.train, batches.batch_size, order.variable),
        validation_data=as_dataset(batches.validation, batches.batch_size),
        initial_epoch=first_epoch,
        epochs=epochs,
        callbacks=[order, *callbacks],
        shuffle=False,
        verbose=0,
    )


class _Order(keras.callbacks.Callback):
    """Sets the order of the examples before each epoch of `model.fit`."""

    def __init__(self, batches):
        super().__init__()
        self.batches = batches
        rows = batches.examples  # None for a dataset, which brings its own order
        self.variable = None if rows is None else tf.Variable(tf.range(rows))

    def on_epoch_begin(self, epoch, logs=None):
        if self.variable is not None:
            self.variable.assign(self.batches.order_of(epoch))


class _Recorder(keras.callbacks.Callback):
    """The last callback of every run: it keeps History, progress and checkpoint up to date."""

    def __init__(self, history, progress, checkpoint):
        super().__init__()
        self.history, self.progress, self.checkpoint = history, progress, checkpoint
        self.started = time.perf_counter() - history.seconds
        self.epoch, self.last_loss = 0, math.nan

    def on_train_begin(self, logs=None):
        self.checkpoint.restore_callbacks()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):  # only `model.fit` calls this
        self.progress.update(self.epoch, batch + 1, logs)
        self.checkpoint.stop_if_asked()

    def between_steps(self, done, logs, scores):
        """After `done` steps of the epoch and their `logs`; `scores` are the variables behind."""
        self.history.seconds = time.perf_counter() - self.started
        self.checkpoint.save_within_epoch(self.history, done, logs, scores)

    def on_epoch_end(self, epoch, logs=None):
        self.history.add(epoch, logs or {})
        self.history.seconds = time.perf_counter() - self.started
        self.progress.epoch_end(epoch, self.history.last())
        if not math.isfinite(self.history.last()["loss"]):  # only `model.fit` gets this far
            raise NonFinite(None, self.last_loss)
        self.last_loss = self.history.last()["loss"]
        self.model.history = self.history
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        self.checkpoint.save_after_epoch(self.history, last)


# --- what they need -----------------------------------------------------------------------


def _check_devices(model, batches, loop, jit, train_step, optimizer, metrics) -> None:
    """What cannot be done on several devices, and what is slow on a GPU."""
    strategy = strategy_of(model)
    if strategy is not None:
        replicas.check_options(loop, jit, train_step)
        replicas.check_data(batches)
        replicas.check_optimizer(strategy, model, optimizer, metrics)
    if tf.config.get_visible_devices("GPU"):
        for note in without_cudnn(model):
            warnings.warn(note, stacklevel=4)


def _use_xla(jit, model, batches, epochs, loss_fn, metrics, optimizer, train_step, shown) -> bool:
    """Whether XLA compiles the steps; says once why not, where it would have been quicker."""
    if strategy_of(model) is not None:
        return False
    if not use_jit(jit, model, epochs * (batches.steps or math.inf)):
        return False
    if jit == "auto":
        why = why_not_xla(model, batches.train, as_loss(loss_fn), metrics, optimizer, train_step)
        if why is not None:
            shown.note(f"XLA is off, because of {why}; jit='on' (--jit on) compiles all the same")
            return False
    return True


def _settings(model, batches, optimizer, loss_fn) -> dict:
    """What must be the same for a run to go on from a checkpoint."""
    config = {k: v for k, v in optimizer.get_config().items() if k != "name"}
    validation = batches.validation
    return {
        "batch_size": batches.batch_size,
        "seed": batches.seed,
        "shuffle": batches.shuffle,
        "optimizer": config,
        "loss": loss_config(as_loss(loss_fn)),
        "examples": batches.examples,
        "data": fingerprint(batches.train),
        "validation data": None if validation is None else fingerprint(validation),
        "dtype": model.dtype_policy.name,
    }


def _restore(saved, history, loop, shown) -> int:
    """Puts the saved state back; returns how many epochs are done."""
    first_epoch = saved.restore(history)
    if first_epoch:
        continue_files(saved.callbacks, first_epoch)
    if saved.position and loop == "fit":
        raise CheckpointError(
            f"the run in {saved.folder} stopped within an epoch; model.fit goes on from whole "
            "ones only: take loop='tape' (--loop tape)"
        )
    if history.epoch and saved.settings["data"] == NOT_CHECKED:
        shown.note("whether the tf.data.Dataset is that of the run before was not checked")
    if strategy_of(saved.model) is not None:
        replicas.check_same_start(strategy_of(saved.model), first_epoch, saved)
    return first_epoch


def _make_train_step(model, loss_fn):
    make_step = make_train_step if strategy_of(model) is None else replicas.make_replica_step
    return make_step(model, loss_fn, model.optimizer)


def _make_loop(model, step, metrics, batches, jit):
    """The loop that takes training steps, on the device or the devices of the model."""
    data = batches.train, batches.batch_size
    if strategy_of(model) is None:
        return make_loop(step, metrics, *data, jit, training=True)
    return replicas.ReplicaLoop(strategy_of(model), model, step, metrics, *data, training=True)


def _make_test_loop(model, loss_fn, metrics, data, batch_size):
    """The loop that only measures, without XLA: compiling would take longer. None without data."""
    if data is None:
        return None
    strategy = strategy_of(model)
    if strategy is None:
        return make_loop(make_test_step(model, loss_fn), metrics, data, batch_size)
    step = replicas.make_replica_test_step(model, loss_fn)
    return replicas.ReplicaLoop(strategy, model, step, metrics, data, batch_size, training=False)


# --- evaluate, predict --------------------------------------------------------------------


@in_scope
def evaluate(
    model: keras.Model,
    data: Any,
    *,
    loss_fn: Callable,
    metrics: Sequence[keras.metrics.Metric] | None = (),
    batch_size: int = 256,
) -> dict[str, float]:
    """Returns {"loss": …, and each metric's name: …} over `data`, as `model.evaluate` does.

    Args:
        data: arrays `(x, y)` or `(x, y, sample_weight)`, or a `tf.data.Dataset` of batches.
    """
    metrics = () if metrics is None else metrics
    checks.metric_objects(metrics)
    checks.steps_of_keras(model, "test_step", "compute_loss", "compute_metrics")
    data = as_batches(data, "data")
    build(model, data, batch_size)
    *_, (_, scores) = _make_test_loop(model, loss_fn, metrics, data, batch_size).run_epoch()
    return Scores(scores)


def predict(model: keras.Model, x: Any, *, batch_size: int = 256) -> np.ndarray:
    """Returns the model's outputs for the inputs `x`, in order, as `model.predict` does.

    Args:
        x: arrays (examples, …), lists of numbers, or a `tf.data.Dataset` of batches: of inputs, or
            of (inputs, targets, …).
    """
    checks.steps_of_keras(model, "predict_step")
    forward = tf.function(lambda batch: model(batch, training=False), autograph=False)
    outputs = [forward(batch) for batch in take_inputs(x, batch_size)]
    if not outputs:
        raise checks.ArgumentError("x is empty: there is nothing to predict from")
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0).numpy(), *outputs)
