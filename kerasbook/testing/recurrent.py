"""Recurrent layers by hand beside Keras', and a model that is trained by both loops."""

from collections.abc import Callable, Sequence
from typing import Any

from kerasbook.testing.compare import as_function, compare_functions, random_weights
from kerasbook.training import fit

import keras
import numpy as np
import tensorflow as tf


def compare_recurrent(
    ours: Callable,
    layer: keras.Layer,
    x: np.ndarray,
    mask: Any = None,
    initial_state: Sequence[np.ndarray] = (),
) -> dict[str, float]:
    """Returns the largest differences of a recurrence by hand to a Keras layer, by name.

    Compared are the outputs of all steps, the last state, and the gradients for the input, the
    three weights and the initial state, for random weights.

    Args:
        ours: `ours(x, weights, initial_state, mask, reverse) -> (outputs, state)`; the outputs
            stand at their own steps, also where it reads backwards.
        layer: returns its sequences and its state; it may read backwards.
        x: (n, time, inputs); its dtype is that of the comparison.
        mask: (n, time), False where nothing is to be read; None: all is read.
        initial_state: as many arrays (n, units) as the layer has states, or () for zeros.
    """
    reverse = layer.go_backwards
    layer.build(x.shape)

    def by_hand(x, *others):
        outputs, state = ours(x, others[:3], others[3:] or None, mask, reverse)
        return with_last(outputs, tf.nest.flatten(state)[-1])

    def by_keras(x, *others):
        given = {"mask": mask, "initial_state": list(others[3:]) or None}
        outputs, *states = as_function(layer, **given)(x, *others[:3])
        outputs = outputs[:, ::-1] if reverse else outputs  # Keras leaves them in reading order
        return with_last(outputs, states[-1])

    return compare_functions(by_hand, by_keras, x, *random_weights(layer), *initial_state)


def with_last(outputs: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """Returns (n, time + 1, units): the outputs of all steps, then a last state (n, units)."""
    return tf.concat([outputs, state[:, tf.newaxis]], axis=1)


def compare_loops(make_model: Callable, data: Any, loss_fn: Any, epochs: int = 2) -> float:
    """Returns the largest difference of losses and weights between our loop and `model.fit`.

    make_model: makes the same model for the same seed.  data: (x, y).
    """
    losses, weights = [], []
    for loop in ("tape", "fit"):
        keras.utils.set_random_seed(0)
        model, optimizer = make_model(), keras.optimizers.Adam()
        options = {"epochs": epochs, "loop": loop, "jit": "off", "progress": "none"}
        history = fit(model, data, loss_fn=loss_fn, optimizer=optimizer, **options)
        losses.append(np.array(history.history["loss"]))
        weights.append([*model.get_weights(), losses[-1]])
    return max(float(np.abs(a - b).max()) for a, b in zip(*weights, strict=True))
