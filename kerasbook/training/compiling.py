"""Whether XLA compiles a run's steps, and which layers a GPU runs slowly."""

import math

from kerasbook.training.checks import one_of

import keras
import tensorflow as tf

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
