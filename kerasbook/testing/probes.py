"""Probes: what must hold for a model whatever it has learned, asked of any model.

    >>> from kerasbook.testing import probes
    >>> print(probes.causality(model, tokens))
    causality: holds, largest difference 0 (limit 1e-05)

A probe takes a function, which may be a Keras model, calls it on inputs that it has changed, and
compares the outputs. It returns a Finding: true where the property holds. No training run would
show what these show: a decoder that reads the future has an excellent loss.

A function takes one array. Of a model with several inputs, keep all but one fixed:
`probes.causality(lambda sounds: model((letters, sounds)), sounds)`.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kerasbook.training import make_train_step

import keras
import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class Finding:
    """What a probe found: `value`, and the `limit` up to which the property holds."""

    probe: str
    measure: str  # what the value is
    value: float
    limit: float

    def __bool__(self) -> bool:
        """Return whether the property holds."""
        return self.value <= self.limit  # False for NaN

    def __str__(self) -> str:
        """Return the finding in one line."""
        verdict = "holds" if self else "FAILS"
        return f"{self.probe}: {verdict}, {self.measure} {self.value:.3g} (limit {self.limit:.3g})"


DIFFERENCE = "largest difference"


def causality(function: Callable, x: Any, limit: float = 1e-5) -> Finding:
    """Returns whether changing the future leaves the outputs before it as they were.

    For every time t, all inputs from t on are changed, and the outputs before t compared.

    Args:
        function: x → outputs (n, time, …), of the same times as x
        x: tokens (n, time) of whole numbers, or values (n, time, …)
        limit: how much the outputs may differ
    """
    x = np.asarray(x)
    expected = _outputs(function, x)
    if expected.ndim < 2 or expected.shape[1] != x.shape[1]:
        raise ValueError(
            f"the function makes {expected.shape} of {x.shape}; causality needs one output per time"
        )
    worst = 0.0
    for t in range(1, x.shape[1]):
        changed = np.concatenate([x[:, :t], _mirrored(x)[:, t:]], axis=1)
        worst = _larger(worst, _outputs(function, changed)[:, :t], expected[:, :t])
    return Finding("causality", DIFFERENCE, worst, limit)


def padding(
    function: Callable, x: Any, pad: float = 0, extra: int = 3, limit: float = 1e-5
) -> Finding:
    """Returns whether the outputs stay as they were when padding is appended.

    Args:
        function: x → outputs (n, time, …), of which the first are compared, or (n, …) for all time
        x: tokens (n, time), or values (n, time, …), without padding
        pad: the token or value that means padding
        extra: so many are appended
        limit: how much the outputs may differ
    """
    x = np.asarray(x)
    expected = _outputs(function, x)
    widths = [(0, 0), (0, extra)] + [(0, 0)] * (x.ndim - 2)
    found = _outputs(function, np.pad(x, widths, constant_values=pad))
    if found.shape != expected.shape:  # one output per time
        found = found[:, : x.shape[1]]
    return Finding("padding", DIFFERENCE, _larger(0.0, found, expected), limit)


def permutation(function: Callable, x: Any, seed: int = 0, limit: float = 1e-5) -> Finding:
    """Returns whether the outputs change places as the inputs do, and else stay as they were.

    This holds for attention without positions and without a causal mask: for it a word is a bag of
    letters. A model that is to know the order must fail here.

    Args:
        function: x → outputs (n, time, …), of the same times as x
        x: tokens (n, time), or values (n, time, …)
        seed: of the permutation
        limit: how much the outputs may differ
    """
    x = np.asarray(x)
    order = np.random.default_rng(seed).permutation(x.shape[1])
    if np.array_equal(x, x[:, order]):
        raise ValueError("every time of x holds the same: a permutation of it changes nothing")
    expected, found = _outputs(function, x), _outputs(function, x[:, order])
    return Finding("permutation", DIFFERENCE, _larger(0.0, found, expected[:, order]), limit)


def start_loss(function: Callable, x: Any, y: Any, limit: float = 0.2) -> Finding:
    """Returns whether the loss before training is near ln(classes), that of knowing nothing.

    A much larger one means that the first weights are too large: the model is sure of itself
    without a reason, and training begins with unlearning. A smaller one means that the answer is
    among the inputs.

    Args:
        function: x → logits (n, …, classes)
        x: whatever the function takes
        y: class numbers (n, …)
        limit: how far from ln(classes) the mean cross-entropy may lie, in nats
    """
    logits = tf.convert_to_tensor(function(x))
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(np.asarray(y), logits)
    distance = abs(float(tf.reduce_mean(losses)) - math.log(logits.shape[-1]))
    return Finding("loss at the start", "distance from ln(classes)", distance, limit)


def overfits(
    model: keras.Model,
    x: Any,
    y: Any,
    loss_fn: Callable,
    steps: int = 300,
    learning_rate: float = 0.003,
    limit: float = 0.1,
) -> Finding:
    """Returns whether the model can learn a few examples by heart; its weights are put back.

    A model that cannot has a gradient that does not arrive, a mask that hides what it needs, or
    targets that belong to other inputs.

    Args:
        model: trained by Adam on all examples at once, as it is in training
        x: about eight examples
        y: their targets
        loss_fn: (y, y_pred) → scalar
        steps: updates
        learning_rate: of Adam
        limit: up to which the last loss counts as learned
    """
    weights = model.get_weights()
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_train_step(model, loss_fn, optimizer), autograph=False)
    x, y = tf.nest.map_structure(tf.convert_to_tensor, (x, y))
    loss = math.nan
    for _ in range(steps):
        loss = float(step(x, y)[0])
        if loss <= limit or not math.isfinite(loss):
            break
    model.set_weights(weights)
    return Finding("overfitting a few examples", "last loss", loss, limit)


def _outputs(function: Callable, x: np.ndarray) -> np.ndarray:
    outputs = tf.nest.flatten(function(tf.convert_to_tensor(x)))
    if len(outputs) != 1:
        raise ValueError(f"the function returns {len(outputs)} arrays; a probe compares one")
    return np.asarray(outputs[0])


def _mirrored(x: np.ndarray) -> np.ndarray:
    """Other inputs of the same range: the smallest becomes the largest."""
    if x.min() == x.max():
        raise ValueError("all inputs are the same: the probe needs some variety to change them")
    mirrored = x.min() + x.max() - x
    if x.dtype.kind in "iu":  # a token in the middle would stay as it is
        mirrored = np.where(mirrored == x, x.max(), mirrored)
    return mirrored.astype(x.dtype)


def _larger(worst: float, found: np.ndarray, expected: np.ndarray) -> float:
    """The larger of `worst` and the largest difference; NaN where one is not a number."""
    return float(np.maximum(worst, np.abs(found - expected).max()))
