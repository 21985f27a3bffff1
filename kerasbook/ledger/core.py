"""What the ledger's rows are made of: claims, random draws, pairs, and planted mistakes."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from kerasbook.contents import key_of
from kerasbook.testing.compare import as_function, outputs_and_gradients

import keras
import numpy as np
import tensorflow as tf

# Keras rounds a learning rate, a decay or a penalty to 32 bits. These numbers need fewer, so that
# the comparison in 64 bits sees the formula and not the rounding.
RATE = 2.0**-5
BETA = 1 - 2.0**-10
STEP = 1e-6  # of the finite differences: short, so that it seldom crosses a bend
Pairs = dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Claim:
    """One row of the ledger.

    chapter: the key of the chapter that it belongs to; `loop` for the training loop.
    sources: what is compared. N: NumPy by hand, T: TensorFlow's operations, K: Keras, L: LiteRT,
        O: onnxruntime, H: Hugging Face (tokenizers, transformers), whose answers were kept.
    exact: whether not even rounding is allowed: both are whole numbers, or made of the same ones.
    """

    chapter: str
    name: str
    pairs: Callable[[Draw], Pairs]
    dtypes: tuple[str, ...] = ("float32", "float64")
    sources: str = "TK"
    exact: bool = False


@dataclass(frozen=True)
class Draw:
    """Random arrays of one dtype, and random sizes."""

    random: np.random.Generator
    dtype: str

    def __call__(self, *shape: int) -> np.ndarray:
        """Returns normal numbers of that shape, with the standard deviation 0.5."""
        return self.random.normal(0, 0.5, shape).astype(self.dtype)

    def size(self, low: int = 2, high: int = 7) -> int:
        """Returns a whole number from low to high."""
        return int(self.random.integers(low, high + 1))

    def mask(self, n: int, time: int) -> np.ndarray:
        """Returns (n, time), False after a random length of at least 1; one row is full."""
        lengths = self.random.integers(1, time + 1, n)
        lengths[0] = time
        return np.arange(time) < lengths[:, np.newaxis]

    def shares(self, n: int, classes: int) -> np.ndarray:
        """Returns (n, classes): rows of probabilities, none of them near 0."""
        parts = self.random.uniform(0.2, 1, (n, classes))
        return (parts / parts.sum(axis=1, keepdims=True)).astype(self.dtype)


CLAIMS: list[Claim] = []


def claim(chapter: int | str, name: str, **options: Any) -> Callable:
    """Adds the decorated function to the ledger, under a chapter's number or key; 0 is the loop."""

    def add(function):
        CLAIMS.append(Claim(key_of(chapter), name, function, **options))
        return function

    return add


def values_and_gradients(
    ours: Callable, theirs: Callable, in_numpy: Callable | None = None, **inputs: Any
) -> Pairs:
    """Returns the pairs of two functions of the same inputs, by the inputs' names.

    In 64 bits with the slopes of `ours`; `in_numpy`, if there is one, is compared by its values.
    """
    found, expected = (
        [tf.convert_to_tensor(part) for part in outputs_and_gradients(each, *inputs.values())]
        for each in (ours, theirs)
    )
    names = ["values", *(f"gradient of {name}" for name in inputs)]
    pairs = dict(zip(names, zip(found, expected, strict=True), strict=True))
    if in_numpy is not None:
        pairs["values in NumPy"] = in_numpy(*inputs.values()), expected[0]
    if expected[0].dtype == tf.float64:

        def loss(*arrays):
            return np.sum(np.asarray(ours(*map(tf.constant, arrays))) ** 2) / 2

        pairs |= slopes(loss, inputs, expected[1:])
    return pairs


def slopes(loss: Callable, inputs: dict[str, Any], gradients: list) -> Pairs:
    """Returns, for each input, how a loss changes along one random direction, and as it should.

    The first by finite differences: a small step there and a small step back. The second is the
    product of the gradient and the direction. Many inputs, the weights of a model, move together.
    """
    arrays = [np.asarray(array) for array in inputs.values()]
    directions = [np.random.default_rng(i).normal(size=a.shape) for i, a in enumerate(arrays)]
    shares = [
        np.sum(np.asarray(tf.convert_to_tensor(gradient)) * direction)
        for gradient, direction in zip(gradients, directions, strict=True)
    ]

    def slope(moving):
        up, down = (
            float(loss(*(a + step * d * m for a, d, m in zip(arrays, directions, moving))))
            for step in (STEP, -STEP)
        )
        return (up - down) / (2 * STEP)

    if len(arrays) > 8:
        return {"slopes of all together": (slope([True] * len(arrays)), sum(shares))}
    alone = np.eye(len(arrays), dtype=bool)
    return {f"slopes of {name}": (slope(alone[i]), shares[i]) for i, name in enumerate(inputs)}


def as_pairs(name: str, ours: Any, theirs: Any) -> Pairs:
    """Returns the pairs of two lists of arrays, numbered."""
    both = zip(ours, theirs, strict=True)
    return {f"{name} {number}": pair for number, pair in enumerate(both)}


@contextlib.contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Lets models be made, with all that is in them, in this dtype."""
    policy, floatx = keras.config.dtype_policy(), keras.config.floatx()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def model_pairs(
    draw: Draw, model: keras.Model, ours: Callable, x: Any, of_x: bool = False
) -> Pairs:
    """Returns the pairs of a Keras model with random weights and of ours(x, weights).

    The weights are a list, in Keras' order. of_x: the gradient for x is compared too.
    """
    weights = {}
    for number, variable in enumerate(model.trainable_variables):
        size = np.prod(variable.shape[:-1], initial=1) ** 0.5  # so that the outputs keep theirs
        weights[f"{number} {variable.name}"] = (
            2 * draw(*variable.shape) / np.array(size, draw.dtype)
        )
    theirs = as_function(model, training=False)
    if of_x:
        return values_and_gradients(lambda x, *w: ours(x, list(w)), theirs, x=x, **weights)
    return values_and_gradients(lambda *w: ours(x, list(w)), lambda *w: theirs(x, *w), **weights)


@dataclass(frozen=True)
class Mutant:
    """A mistake planted into a function's source; some claim of that chapter must turn red.

    by: a word of the claims that are asked first, so that the search is short.
    """

    chapter: str
    module_name: str
    function: str
    old: str
    new: str
    what: str
    by: str = ""

    @property
    def module(self) -> Any:
        """The module that holds the function."""
        return importlib.import_module(self.module_name)


MUTANTS: list[Mutant] = []


def mutant(chapter: int | str, function: Any, old: str, new: str, what: str, by: str = "") -> None:
    """Adds the mistake that has `new` in place of the first `old` in a function or class."""
    place = function.__module__, function.__name__
    MUTANTS.append(Mutant(key_of(chapter), *place, old, new, what, by))
