"""The loop that the chapters share: one training step, repeated, and the numbers it leaves.

`make_train_step` is the lesson: forward, loss, gradient, update. The rest of this file only
repeats that step quickly. What makes it quick: the data lie on the device, the rows of a
batch are gathered there, and one call of a compiled function runs many steps.

`fit` computes what `model.fit` computes: on the same batches the losses, the metrics and the
weights agree (tests/test_training_equality.py says how closely, case by case).
"""

import math
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasbook import checks, devices
from kerasbook.checkpoint import Checkpoint, CheckpointError, termination
from kerasbook.loops import NonFinite, make_loop
from kerasbook.progress import make_progress

import keras
import numpy as np
import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        "kerasbook trains with TensorFlow, but Keras was imported before it with the backend "
        f"{keras.backend.backend()}: import kerasbook first"
    )


@dataclass
class History:
    """What a training run leaves: `history[name][i]` is a score after epoch `epoch[i]`."""

    history: dict[str, list[float]] = field(default_factory=dict)
    epoch: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Appends one epoch's scores."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

    def last(self) -> dict[str, float]:
        """The scores of the last epoch."""
        return {name: values[-1] for name, values in self.history.items()}


class NonFiniteLoss(ArithmeticError):
    """The loss became NaN or infinite; `.history` and `.last_loss` are from before that."""

    def __init__(self, message: str, history: History, last_loss: float):
        super().__init__(message)
        self.history, self.last_loss = history, last_loss


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; `.model` has the weights and `.history` the whole epochs so far."""

    def __init__(self, model: keras.Model, history: History):
        super().__init__(f"interrupted after {len(history.epoch)} whole epochs")
        self.model, self.history = model, history


# --- the lesson ---------------------------------------------------------------------------


def total_loss(model, loss_fn, y, y_pred, sample_weight=None):
    """The scalar that is minimised: the data's loss plus the model's penalties (L2 and others)."""
    if sample_weight is None:
        data_loss = loss_fn(y, y_pred)
    else:
        data_loss = loss_fn(y, y_pred, sample_weight)
    checks.scalar_loss(data_loss)
    return tf.reduce_sum([data_loss, *model.losses])


def make_train_step(model, loss_fn, optimizer):
    """Returns `train_step(x, y, sample_weight=None) -> (loss, y_pred)`, which updates the model."""

    def train_step(x, y, sample_weight=None):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = total_loss(model, loss_fn, y, y_pred, sample_weight)
            scaled_loss = optimizer.scale_loss(loss)  # the loss itself, unless in float16
        variables = model.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        optimizer.apply(gradients, variables)
        return loss, y_pred

    return train_step


def make_test_step(model, loss_fn):
    """Returns `test_step(x, y, sample_weight=None) -> (loss, y_pred)`, which changes nothing."""

    def test_step(x, y, sample_weight=None):
        y_pred = model(x, training=False)
        return total_loss(model, loss_fn, y, y_pred, sample_weight), y_pred

    return test_step


def batch_order(seed: int, epoch: int, examples: int, shuffle: bool = True) -> np.ndarray:
    """The order in which an epoch takes its examples: it depends on (seed, epoch) alone."""
    if not shuffle:
        return np.arange(examples, dtype=np.int32)
    return np.random.default_rng((seed, epoch)).permutation(examples).astype(np.int32)


# --- fit, evaluate, predict ---------------------------------------------------------------


class _Recorder(keras.callbacks.Callback):
    """The last callback of every run: order of the examples, History, progress, checkpoint."""

    def __init__(self, set_order, history, progress, checkpoint):
        super().__init__()
        self.set_order, self.history = set_order, history
        self.progress, self.checkpoint = progress, checkpoint
        self.started = time.perf_counter() - history.seconds
        self.epoch, self.last_loss = 0, math.nan

    def on_train_begin(self, logs=None):
        self.checkpoint.restore_callbacks()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch
        self.set_order(epoch)

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
        last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        self.checkpoint.save_after_epoch(self.history, last)


@devices.in_scope
def fit(
    model: keras.Model,
    train: Any,
    *,
    loss_fn: Callable,
    optimizer: keras.optimizers.Optimizer,
    metrics: Sequence[keras.metrics.Metric] = (),
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
    MultiWorkerMirroredStrategy are trained on all of its devices: see kerasbook.devices.

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
    train = checks.as_batches(train, "train")
    if validation_data is not None:
        validation_data = checks.as_batches(validation_data, "validation_data")
    checks.numbers(epochs=epochs, batch_size=batch_size)
    checks.one_of("loop", loop, ("tape", "fit"))
    checks.metric_objects(metrics)
    callbacks = checks.callbacks(callbacks, metrics, loop)
    checks.build(model, train)
    strategy = devices.strategy_of(model)
    if strategy is not None:
        dtype, both = model.dtype_policy.name, (train, validation_data)
        devices.check(strategy, dtype, both, optimizer, metrics, train_step, jit, loop)
    steps = epochs * (checks.steps_per_epoch(train, batch_size) or math.inf)
    use_jit = strategy is None and checks.use_jit(jit, model, steps)
    if tf.config.get_visible_devices("GPU"):
        for note in checks.without_cudnn(model):
            warnings.warn(note, stacklevel=3)

    # `compile` tells callbacks and the saved file what trains the model; in float16 it also
    # wraps the optimizer, so that small gradients do not vanish (loss scaling).
    keras_loss = loss_fn if loop == "fit" or isinstance(loss_fn, keras.losses.Loss) else None
    model.compile(optimizer, keras_loss, metrics=list(metrics), jit_compile=use_jit)
    model.optimizer.build(model.trainable_variables)
    if train_step is None:
        make_step = make_train_step if strategy is None else devices.make_replica_step
        train_step = make_step(model, loss_fn, model.optimizer)
    else:
        checks.own_step(model, optimizer, loop)

    history = History()
    config = {k: v for k, v in optimizer.get_config().items() if k != "name"}
    settings = {"batch_size": batch_size, "seed": seed, "shuffle": shuffle, "optimizer": config}
    settings |= {"examples": checks.examples(train), "dtype": model.dtype_policy.name}
    saved = Checkpoint(checkpoint, model, callbacks, settings)
    first_epoch = saved.restore(history) if resume else saved.forget()
    if strategy is not None:
        devices.check_same_start(strategy, first_epoch, saved)
    if first_epoch:
        checks.continue_files(callbacks, first_epoch)
    if saved.within and loop == "fit":
        raise CheckpointError(
            f"the run in {checkpoint} stopped within an epoch; model.fit goes on from whole ones "
            "only: take loop='tape' (--loop tape)"
        )
    rows = checks.examples(train)  # None for a dataset, which brings its own order
    order = tf.Variable(tf.range(rows)) if rows is not None and loop == "fit" else None

    def order_of(epoch):
        return None if rows is None else tf.constant(batch_order(seed, epoch, rows, shuffle))

    def set_order(epoch):
        if order is not None:
            order.assign(order_of(epoch))

    shown = make_progress(progress, epochs, checks.steps_per_epoch(train, batch_size))
    recorder = _Recorder(set_order, history, shown, saved)
    callbacks.append(recorder)
    try:
        with shown, termination.waits():
            if loop == "fit" and not model.stop_training:
                model.fit(
                    _as_dataset(train, batch_size, order),
                    validation_data=_as_dataset(validation_data, batch_size),
                    initial_epoch=first_epoch,
                    epochs=epochs,
                    callbacks=callbacks,
                    shuffle=False,
                    verbose=0,
                )
            else:  # also a `fit` that had ended early: its callbacks put the best weights back
                training = _make_loop(model, train_step, metrics, train, batch_size, use_jit, True)
                validating = None
                if validation_data is not None:  # not in XLA: compiling would take longer
                    validating = _make_test_loop(
                        model, loss_fn, metrics, validation_data, batch_size
                    )
                hooks = keras.callbacks.CallbackList(callbacks, model=model, epochs=epochs)
                hooks.on_train_begin()
                for epoch in range(first_epoch, epochs):
                    if not model.stop_training:
                        _run_epoch(epoch, training, order_of(epoch), validating, hooks, recorder)
                model.optimizer.finalize_variable_values(model.trainable_variables)
                hooks.on_train_end(history.last())
    except NonFinite as stop:
        message = checks.why_not_finite(stop, recorder.epoch, train)
        raise NonFiniteLoss(message, history, stop.last_loss) from None
    except KeyboardInterrupt:
        raise Interrupted(model, history) from None
    return history


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


def _make_loop(model, step, metrics, data, batch_size, jit=False, training=False):
    """The loop that takes `step` over the data, on the device or the devices of the model."""
    strategy = devices.strategy_of(model)
    if strategy is None:
        return make_loop(step, metrics, data, batch_size, jit, training)
    return devices.ReplicaLoop(strategy, model, step, metrics, data, batch_size, training)


def _make_test_loop(model, loss_fn, metrics, data, batch_size):
    alone = devices.strategy_of(model) is None
    make_step = make_test_step if alone else devices.make_replica_test_step
    return _make_loop(model, make_step(model, loss_fn), metrics, data, batch_size)


def _score(loop) -> dict[str, float]:
    """One pass over the data; the scores after its last batch."""
    *_, (_, scores) = loop.run_epoch()
    return scores


def _as_dataset(data, batch_size, order=None):
    """For `model.fit`: the batches that the tape loop takes, in the order that `order` says."""
    if data is None or isinstance(data, tf.data.Dataset):
        return data

    def take(positions):
        rows = positions if order is None else tf.gather(order, positions)
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), data)

    return tf.data.Dataset.range(checks.examples(data)).batch(batch_size).map(take).prefetch(2)


@devices.in_scope
def evaluate(
    model: keras.Model,
    data: Any,
    *,
    loss_fn: Callable,
    metrics: Sequence[keras.metrics.Metric] = (),
    batch_size: int = 256,
) -> dict[str, float]:
    """Returns {"loss": …, and each metric's name: …} over `data`, as `model.evaluate` does.

    Args:
        data: arrays `(x, y)` or `(x, y, sample_weight)`, or a `tf.data.Dataset` of batches.
    """
    data = checks.as_batches(data, "data")
    checks.build(model, data)
    return _score(_make_test_loop(model, loss_fn, metrics, data, batch_size))


def predict(model: keras.Model, x: Any, *, batch_size: int = 256) -> np.ndarray:
    """Returns the model's outputs for the arrays `x` (examples, …), in order."""
    x = checks.as_tensors(x)
    rows = checks.examples(x)

    @tf.function(autograph=False)
    def forward(first):
        batch = tf.nest.map_structure(lambda array: array[first : first + batch_size], x)
        return model(batch, training=False)

    outputs = [forward(tf.constant(first)) for first in range(0, rows, batch_size)]
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0).numpy(), *outputs)
