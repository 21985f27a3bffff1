"""What the loop asks of its arguments; every answer 'no' names the remedy."""

import math

import keras
import numpy as np
import tensorflow as tf

# Callbacks whose per-batch hooks do nothing unless they are asked to.
_BATCH_HOOKS = (
    *("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    *("on_test_batch_begin", "on_test_batch_end"),
)


class ArgumentError(ValueError):
    """An argument that does not fit; the message says what would."""


def numbers(**named: int) -> None:
    """Checks that each is a whole number of at least 1."""
    for name, value in named.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Checks that `value` is one of `choices`."""
    if value not in choices:
        raise ArgumentError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def scalar_loss(loss) -> None:
    """Checks that a loss is one number; keras.losses.mean_squared_error gives one per row."""
    if loss.shape.rank != 0:
        raise ArgumentError(
            f"loss_fn returned the shape {loss.shape}, not one number: take an object such as "
            "keras.losses.MeanSquaredError(), which averages over the batch"
        )


def scalar_metric(metric, result) -> None:
    """Checks that a metric is one number per epoch."""
    if result.shape.rank != 0:
        raise ArgumentError(
            f"the metric {metric.name} is not one number but has the shape {result.shape}: "
            "choose an average, if it offers one, or compute it after training"
        )


def arguments(model, epochs, batch_size, loop, train_step, metrics, callbacks) -> list:
    """Asks what can be asked of `fit`'s arguments without the data; returns the callbacks."""
    numbers(epochs=epochs, batch_size=batch_size)
    one_of("loop", loop, ("tape", "fit"))
    metric_objects(metrics)
    if loop == "tape":
        replaced = ["train_step"] if train_step is None else []  # else it was chosen
        steps_of_keras(model, *replaced, "test_step", "compute_loss", "compute_metrics")
    return as_callbacks(callbacks, metrics, loop)


def metrics_of_one_output(metrics, y_pred) -> None:
    """Refuses metrics for a model with several outputs."""
    if metrics and tf.nest.is_nested(y_pred):
        raise ArgumentError(
            "metrics are for one output, and the model has several (a dict or a list): leave them "
            "out, or use loop='fit'"
        )


def steps_of_keras(model, *names: str) -> None:
    """Refuses a model whose own methods of these names would not be called."""
    for name in names:
        own = getattr(type(model), name) is not getattr(keras.Model, name)
        if own or name in vars(model):
            raise ArgumentError(
                f"{type(model).__name__} has a {name} of its own, which this loop would not call: "
                "use loop='fit' (model.fit, model.evaluate), or pass train_step"
            )


def metric_objects(metrics) -> None:
    """Checks that metrics are objects, each with a name of its own: their meanings are plain."""
    if isinstance(metrics, (str, dict, keras.metrics.Metric)):
        raise ArgumentError(f"metrics takes a list, such as [keras.metrics.…], not {metrics!r}")
    names = ["loss", *(metric.name for metric in metrics if hasattr(metric, "name"))]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(
                f"two scores would be called {name!r}: give the metric another name, with name=…"
            )
    for metric in metrics:
        if not isinstance(metric, keras.metrics.Metric):
            raise ArgumentError(
                f"metrics takes objects such as keras.metrics.SparseCategoricalAccuracy("
                f"name='accuracy'), not {metric!r}"
            )


def as_callbacks(given, metrics, loop: str) -> list:
    """Returns the callbacks as a list; refuses those that must act after every batch.

    `mode="auto"` is resolved here, from the metric that the callback monitors.
    """
    if isinstance(given, keras.callbacks.Callback):
        given = [given]
    given = list(given or ())
    directions = {metric.name: getattr(metric, "_direction", None) for metric in metrics}
    for callback in given:
        if not isinstance(callback, keras.callbacks.Callback):
            raise ArgumentError(f"a callback must be a keras.callbacks.Callback, not {callback!r}")
        if loop == "tape":
            _refuse_batch_hooks(callback)
        if getattr(callback, "mode", None) == "auto":
            monitored = str(callback.monitor).removeprefix("val_")
            if directions.get(monitored):
                callback.mode = {"up": "max", "down": "min"}[directions[monitored]]
    return given


def _refuse_batch_hooks(callback) -> None:
    name = type(callback).__name__
    if isinstance(callback, keras.callbacks.TerminateOnNaN):
        raise ArgumentError(
            "TerminateOnNaN is not needed: fit stops at the first NaN loss by itself"
        )
    if isinstance(callback, keras.callbacks.BackupAndRestore):
        raise ArgumentError("instead of BackupAndRestore pass checkpoint=FOLDER and resume=True")
    if isinstance(callback, keras.callbacks.ModelCheckpoint):
        acts = callback.save_freq != "epoch"
    elif isinstance(callback, keras.callbacks.TensorBoard):
        acts = callback.update_freq != "epoch" or bool(callback._should_trace)
    else:
        acts = any(
            getattr(type(callback), hook) is not getattr(keras.callbacks.Callback, hook)
            or hook in vars(callback)
            for hook in _BATCH_HOOKS
        )
    if acts:
        raise ArgumentError(
            f"{name} acts after every batch, but this loop runs many batches in one call; "
            "let it act once per epoch (save_freq='epoch', update_freq='epoch', profile_batch=0, "
            "on_epoch_end), or use loop='fit'"
        )


def own_step(model, optimizer, loop: str) -> None:
    """Refuses what a train_step of the caller's own cannot be combined with."""
    if loop == "fit":
        raise ArgumentError("model.fit cannot run a train_step of your own: use loop='tape'")
    if model.optimizer is not optimizer:
        raise ArgumentError(
            "a float16 model with a train_step of your own needs its loss scaled: wrap the "
            "optimizer in keras.optimizers.LossScaleOptimizer before making the step"
        )


def why_not_finite(stop, epoch: int, data) -> str:
    """Returns the message for a loss that became NaN or infinite: where, what before, likely
    causes.
    """
    step = "in" if stop.step is None else f"at step {stop.step} of"
    where = f"the loss became NaN or infinite {step} epoch {epoch + 1}"
    if math.isnan(stop.last_loss):
        lines = [f"{where}, the very first one."]
    else:
        lines = [f"{where}; the last finite loss was {stop.last_loss:.6g}."]
    bad = [] if isinstance(data, tf.data.Dataset) else _not_finite_in(data)
    if bad:
        lines += [f"The cause: {where}." for where in bad]
    else:
        lines.append(
            "Likely causes: a learning rate that is too large (try a tenth of it, or "
            "clipnorm=1 in the optimizer); log or division of 0 in a loss of your own; "
            "logits where the loss expects probabilities; a label outside 0 … classes − 1."
        )
    return " ".join(lines)


def _not_finite_in(data) -> list[str]:
    found = []
    for name, part in zip(("x", "y", "sample_weight"), data, strict=False):
        for array in tf.nest.flatten(part):
            if array.dtype.is_floating and not bool(tf.reduce_all(tf.math.is_finite(array))):
                row = int(tf.where(~tf.math.is_finite(array))[0][0])
                found.append(f"{name} holds NaN or infinite values, first in example {row}")
    return found
