"""What the loop asks of its arguments; every answer 'no' names the remedy."""

import math
from pathlib import Path

from kerasbook.checkpoint import atomic_path

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
    """Each must be a whole number of at least 1."""
    for name, value in named.items():
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise ArgumentError(f"{name} must be a whole number of at least 1, not {value!r}")


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """`value` must be one of `choices`."""
    if value not in choices:
        raise ArgumentError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def as_tensors(arrays):
    """The arrays on the device; 64-bit floats become Keras' default float, as in `model.fit`."""

    def convert(array):
        tensor = tf.convert_to_tensor(array)
        return tf.cast(tensor, keras.config.floatx()) if tensor.dtype == tf.float64 else tensor

    return tf.nest.map_structure(convert, arrays)


def as_batches(data, name: str):
    """`data` ready for a loop: a tuple of tensors (x, y[, sample_weight]), or a dataset."""
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ArgumentError(f"{name} never ends: add .take(steps) to say how long an epoch is")
        if not isinstance(data.element_spec, tuple) or len(data.element_spec) not in (2, 3):
            raise ArgumentError(
                f"the batches of {name} must be (x, y) or (x, y, sample_weight), not "
                f"{_kind(data.element_spec)}; bring them into this form with {name}.map(...)"
            )
        return data
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ArgumentError(
            f"{name} must be (x, y) or (x, y, sample_weight), or a tf.data.Dataset of such "
            f"batches, not {type(data).__name__}; for a generator, use "
            "tf.data.Dataset.from_generator"
        )
    data = tuple(as_tensors(_array_of_list(part)) for part in data)
    lengths = {len(array) for array in tf.nest.flatten(data)}
    if len(lengths) > 1:
        raise ArgumentError(f"the parts of {name} differ in length: {sorted(lengths)} examples")
    if lengths == {0}:
        raise ArgumentError(f"{name} is empty: it has 0 examples")
    return data


def _kind(spec) -> str:
    """What one element of a dataset is, said shortly."""
    if isinstance(spec, dict):
        return f"a dict of {', '.join(map(str, spec))}"
    return f"a tuple of {len(spec)}" if isinstance(spec, tuple) else "a single tensor"


def _array_of_list(part):
    """A list of numbers as an array; a list of arrays stays: it is a model's several inputs."""
    is_numbers = isinstance(part, list) and not any(hasattr(each, "shape") for each in part)
    return np.asarray(part) if is_numbers else part


def examples(data) -> int | None:
    """The number of examples in arrays; None for a dataset, which does not say."""
    return None if isinstance(data, tf.data.Dataset) else len(tf.nest.flatten(data)[0])


def steps_per_epoch(data, batch_size: int) -> int | None:
    """The number of batches in an epoch; None for a dataset that does not say."""
    if isinstance(data, tf.data.Dataset):
        return int(data.cardinality()) if data.cardinality() >= 0 else None
    return math.ceil(examples(data) / batch_size)


def build(model, data) -> None:
    """Gives the model its variables by showing it one batch, if it has none yet."""
    if not model.built:
        x = data.element_spec[0] if isinstance(data, tf.data.Dataset) else data[0]
        model(tf.nest.map_structure(lambda a: tf.zeros([1, *a.shape[1:]], a.dtype), x))


# Compiling took 0.2 to 0.5 s here, and saves 0.1 to 0.3 ms a step, in a recurrent layer 3 ms.
STEPS_WORTH_COMPILING = {"recurrent": 150, "other": 2000}


def use_jit(jit: str, model, steps: float = math.inf) -> bool:
    """Whether to compile a run of so many steps with XLA; on a CPU only where that is quicker."""
    one_of("jit", jit, ("auto", "on", "off"))
    if jit != "auto":
        return jit == "on"
    layers = model._flatten_layers()
    if not all(layer.supports_jit for layer in layers):
        return False
    kinds = [type(layer).__name__ for layer in layers]
    if tf.config.get_visible_devices("GPU"):
        return True
    recurrent = any(word in kind for kind in kinds for word in ("RNN", "GRU"))
    slowed = any(word in kind for kind in kinds for word in ("Conv", "LSTM", "Attention"))
    return not slowed and steps >= STEPS_WORTH_COMPILING["recurrent" if recurrent else "other"]


def without_cudnn(model) -> list[str]:
    """Returns, for a GPU, which recurrent layers cannot use cuDNN's kernels, and why.

    Keras uses them of itself where a layer allows it; otherwise it takes a loop, many times slower.
    """
    notes = []
    for layer in model._flatten_layers():
        if type(layer) not in (keras.layers.LSTM, keras.layers.GRU):
            continue
        reasons = {
            "use_cudnn is False": layer.use_cudnn is False,
            "recurrent_dropout is not 0": layer.recurrent_dropout != 0,
            "the activation is not tanh": layer.activation is not keras.activations.tanh,
            "the recurrent activation is not sigmoid": layer.recurrent_activation
            is not keras.activations.sigmoid,
            "unroll is True": layer.unroll,
            "use_bias is False": not layer.use_bias,
            "reset_after is False": not getattr(layer, "reset_after", True),
        }
        why = ", ".join(reason for reason, holds in reasons.items() if holds)
        if why:
            notes.append(f"{layer.name} runs without cuDNN, many times slower on a GPU: {why}")
    return notes


def scalar_loss(loss) -> None:
    """A loss is one number; functions such as keras.losses.mean_squared_error give one per row."""
    if loss.shape.rank != 0:
        raise ArgumentError(
            f"loss_fn returned the shape {loss.shape}, not one number: take an object such as "
            "keras.losses.MeanSquaredError(), which averages over the batch"
        )


def scalar_metric(metric, result) -> None:
    """A metric is one number per epoch."""
    if result.shape.rank != 0:
        raise ArgumentError(
            f"the metric {metric.name} is not one number but has the shape {result.shape}: "
            "choose an average, if it offers one, or compute it after training"
        )


def metric_objects(metrics) -> None:
    """Metrics are objects, so that their names and meanings are plain."""
    for metric in metrics:
        if not isinstance(metric, keras.metrics.Metric):
            raise ArgumentError(
                f"metrics takes objects such as keras.metrics.SparseCategoricalAccuracy("
                f"name='accuracy'), not {metric!r}"
            )


def callbacks(given, metrics, loop: str) -> list:
    """The callbacks as a list; refuses those that must act after every batch.

    `mode="auto"` is resolved here, from the metric that the callback monitors.
    """
    given = list(given)
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


def continue_files(callbacks, epochs: int) -> None:
    """For a run that goes on after so many epochs: CSVLogger adds to the lines of these."""
    for callback in callbacks:
        if isinstance(callback, keras.callbacks.CSVLogger) and not callback.append:
            callback.append = True
            file = Path(callback.filename)
            if file.is_file():  # epochs after the checkpoint run again, and are written again
                lines = file.read_text().splitlines(keepends=True)
                with atomic_path(file) as temporary:
                    temporary.write_text("".join(lines[: epochs + 1]))


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
    """What a train_step of the caller's own cannot be combined with."""
    if loop == "fit":
        raise ArgumentError("model.fit cannot run a train_step of your own: use loop='tape'")
    if model.optimizer is not optimizer:
        raise ArgumentError(
            "a float16 model with a train_step of your own needs its loss scaled: wrap the "
            "optimizer in keras.optimizers.LossScaleOptimizer before making the step"
        )


def why_not_finite(stop, epoch: int, data) -> str:
    """The message for a loss that became NaN or infinite: where, what before, likely causes."""
    step = "" if stop.step is None else f"at step {stop.step} "
    where = f"the loss became NaN or infinite {step}of epoch {epoch + 1}"
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
