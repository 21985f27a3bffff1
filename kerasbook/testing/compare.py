"""Two ways to compute one thing, compared: their outputs, and the gradient for every input.

The loss behind the gradients is half the sum of the squared outputs, so that the gradient that
reaches a layer is another one at every place.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def outputs_and_gradients(function: Callable, *inputs: Any) -> list:
    """Returns function(*inputs), and the gradient of half its sum of squares for each input."""
    tensors = [tf.constant(part) for part in inputs]
    with tf.GradientTape() as tape:
        tape.watch(tensors)
        outputs = function(*tensors)
        loss = tf.reduce_sum(outputs**2) / 2
    return [outputs, *tape.gradient(loss, tensors)]


def largest_differences(names: Iterable, found: Sequence, expected: Sequence) -> dict[str, float]:
    """Returns the largest absolute difference of each pair of arrays, by name."""
    pairs = zip(names, found, expected, strict=True)
    return {name: float(np.abs(np.subtract(a, b)).max()) for name, a, b in pairs}


def largest_difference(first: Sequence, second: Sequence) -> float:
    """Returns the largest absolute difference between two lists of arrays."""
    return max(largest_differences(range(len(first)), first, second).values())


def compare_functions(
    ours: Callable, theirs: Callable, *inputs: Any, names: Sequence[str] = ()
) -> dict[str, float]:
    """Returns the largest differences of two functions of the same inputs, by name.

    The first is that of the values; the others are those of the gradients for each input.

    Args:
        ours: a function of `inputs`, made of TensorFlow's operations.
        theirs: the other one.
        inputs: arrays of floating-point numbers.
        names: of the inputs; "input 0", "input 1", … if left out.
    """
    found, expected = (outputs_and_gradients(each, *inputs) for each in (ours, theirs))
    names = names or [f"input {number}" for number in range(len(inputs))]
    return largest_differences(["values", *names], found, expected)


def as_function(layer, **options) -> Callable:
    """Returns a Keras layer or model as a function of its input and its weights."""
    state = [variable.value for variable in layer.non_trainable_variables]
    return lambda x, *weights: layer.stateless_call(weights, state, x, **options)[0]


def random_weights(layer, seed: int = 0) -> list[np.ndarray]:
    """Returns an array of small random numbers for each weight of a layer, in its dtype."""
    random = np.random.default_rng(seed)
    return [random.normal(0, 0.3, w.shape).astype(w.dtype) for w in layer.trainable_variables]
