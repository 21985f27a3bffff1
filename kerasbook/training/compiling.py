"""Whether XLA compiles a run's steps, and which layers a GPU runs slowly."""

import inspect
import math
from typing import Any

from kerasbook.training.checks import one_of

import keras
import tensorflow as tf

# Compiling took 0.2 to 0.5 s here, and saves 0.1 to 0.3 ms a step, in a recurrent layer 3 ms.
STEPS_WORTH_COMPILING = {"recurrent": 150, "other": 2000}


def use_jit(jit: str, model, steps: float = math.inf) -> bool:
    """Returns whether to compile a run of so many steps: "on", "off", or "auto".

    "auto" compiles where that is quicker. It must change nothing else: see `why_not_xla`.
    """
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


def why_not_xla(model, data, loss_fn, metrics, optimizer, train_step=None) -> str | None:
    """Returns why XLA might change a run beyond rounding; None if it changes nothing else.

    Compiled code draws other random numbers, reads past the end of a table instead of failing,
    leaves assertions out and cannot call Python. So everything must be Keras' own, draw nothing,
    and find the numbers of its rows among the rows it has.
    """
    if train_step is not None:
        return "a train_step of your own"
    loss = getattr(loss_fn.loss, "function", loss_fn.loss)
    for each in (*model._flatten_layers(), loss, *metrics, optimizer):
        if not _is_of_keras(each):
            return f"{getattr(each, 'name', None) or 'the loss'}, which is not one of Keras' own"
    for layer in model._flatten_layers():
        if draws(layer):
            return f"the random numbers of {layer.name}"
    return _why_not_indices(model, data, loss)


def _is_of_keras(thing: Any) -> bool:
    """Whether a layer, loss, metric or optimizer, with the functions in it, comes from Keras."""
    kind = thing if inspect.isfunction(thing) else type(thing)
    parts = [kind, *(part for part in vars(thing).values() if callable(part))]
    modules = [getattr(part, "__module__", None) or type(part).__module__ for part in parts]
    return all(module.partition(".")[0] == "keras" for module in modules)


def draws(layer) -> bool:
    """Returns whether a layer draws random numbers in training."""
    if layer._layers:  # those in it are asked themselves
        return False
    has_seed = any(v.name == "seed_generator_state" for v in layer.non_trainable_variables)
    names = ("rate", "dropout", "recurrent_dropout")
    rates = [getattr(layer, name) for name in names if hasattr(layer, name)]
    return has_seed and (any(rates) or not rates)


def _why_not_indices(model, data, loss) -> str | None:
    """Returns which row numbers, ids or labels, are not known to be in range; None if all are."""
    embeddings = [
        layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.Embedding)
    ]
    sparse = "sparse" in (getattr(loss, "name", None) or getattr(loss, "__name__", ""))
    if not (embeddings or sparse):
        return None
    if isinstance(data, tf.data.Dataset):
        return "ids of a tf.data.Dataset, which may lie outside of their table"
    first = model.layers[0] if isinstance(model, keras.Sequential) and model.layers else None
    if embeddings and embeddings != [first]:
        return f"the ids for {embeddings[0].name}, which may lie outside of it"
    if embeddings and not _in_range(data[0], first.input_dim):
        return f"ids outside of {first.name}"
    if sparse and not _in_range(data[1], model.output_shape[-1]):
        return "labels that are no class"
    return None


def _in_range(numbers, count: int) -> bool:
    """Whether all are from 0 to count − 1."""
    least, most = tf.reduce_min(numbers), tf.reduce_max(numbers)
    return bool((least >= 0) & (tf.cast(most, tf.float64) < count))


def slow_in_float16(model, compiled: bool) -> str | None:
    """Returns a warning if a CPU computes the model in float16 without XLA; None otherwise.

    There TensorFlow fuses a product with its bias and ReLU, by its *remapping*, into an operation
    that is slow in float16: a step of chapter 2's deep network took 412 ms in place of 1.2.
    """
    policies = {layer.dtype_policy.compute_dtype for layer in model._flatten_layers()}
    remapped = tf.config.optimizer.get_experimental_options().get("remapping", True)
    if compiled or "float16" not in policies or not remapped:
        return None
    if tf.config.get_visible_devices("GPU"):
        return None
    return (
        "float16 on a CPU without XLA can take hundreds of times as long as 32 bits: take bfloat16 "
        "(--mixed-precision bfloat16), or jit='on' (--jit on)"
    )


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
