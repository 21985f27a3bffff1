"""The equality ledger: what the book builds by hand, beside what Keras computes.

    kerasbook verify            # every claim, in 32 and in 64 bits
    kerasbook verify 4 5        # of these chapters
    kerasbook verify --mutants  # is the ledger itself awake? plant mistakes, count what it catches

A claim draws random numbers of random sizes, and gives pairs: ours, theirs. It is green if every
pair has the same shape, no NaN, and the largest difference is within the tolerance. Values,
gradients for every input and weight, and weights after steps of training are told apart by the
pair's name; a difference is measured against the largest number of its kind in the claim, for a
gradient that is zero by nature, such as that of the keys' bias in attention, is rounding only.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasbook import chapter1, chapter2, chapter3, chapter4, chapter5, chapter6, training
from kerasbook.chapter3 import outputs_and_gradients
from kerasbook.chapter5 import as_function, weights_after_training
from kerasbook.checkpoint import atomic_path

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from rich.console import Console
from rich.progress import track
from rich.table import Table

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
# Keras rounds a learning rate, a decay or a penalty to 32 bits. These numbers need fewer, so that
# the comparison in 64 bits sees the formula and not the rounding.
RATE = 2.0**-5
BETA = 1 - 2.0**-10
KINDS = ("values", "gradients", "weights")
Pairs = dict[str, tuple[Any, Any]]


@dataclass(frozen=True)
class Claim:
    """One row of the ledger."""

    chapter: int
    name: str
    pairs: Callable[[Draw], Pairs]
    dtypes: tuple[str, ...] = ("float32", "float64")


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


CLAIMS: list[Claim] = []


def claim(chapter: int, name: str, **options: Any) -> Callable:
    """Adds the decorated function to the ledger."""

    def add(function):
        CLAIMS.append(Claim(chapter, name, function, **options))
        return function

    return add


def values_and_gradients(ours: Callable, theirs: Callable, **inputs: Any) -> Pairs:
    """Returns the pairs of two functions of the same inputs, by the inputs' names."""
    found, expected = (outputs_and_gradients(each, *inputs.values()) for each in (ours, theirs))
    names = ["values", *(f"gradient of {name}" for name in inputs)]
    return dict(zip(names, zip(found, expected, strict=True), strict=True))


def as_pairs(name: str, ours: Any, theirs: Any) -> Pairs:
    """Returns the pairs of two lists of arrays, numbered."""
    both = zip(ours, theirs, strict=True)
    return {f"{name} {number}": pair for number, pair in enumerate(both)}


# --- chapter 1 ----------------------------------------------------------------------------


@claim(1, "linear layer = Dense")
def _(draw):
    n, d, units = draw.size(), draw.size(), draw.size()
    layer = layers.Dense(units, dtype=draw.dtype)
    layer.build((n, d))
    inputs = {"x": draw(n, d), "w": draw(d, units), "b": draw(units)}
    return values_and_gradients(chapter1.linear, as_function(layer), **inputs)


@claim(1, "mean squared error and its gradient = Keras, tape")
def _(draw):
    x, w, b = draw(draw.size(), 3), draw(3, 1), draw(1)
    y = draw(len(x), 1)
    loss = keras.losses.MeanSquaredError(dtype=draw.dtype)(y, x @ w + b)
    pairs = {"values": (chapter1.mean_squared_error(y, chapter1.linear(x, w, b)), loss)}
    by_hand, by_tape = chapter1.gradient(x, y, w, b), chapter1.tape_gradient(x, y, w, b)
    return pairs | as_pairs("gradient", by_hand, by_tape)


@claim(1, "gradient of the mean squared error = finite differences", dtypes=("float64",))
def _(draw):
    x, w, b = draw(draw.size(), 3), draw(3, 1), draw(1)
    y = draw(len(x), 1)

    def slopes_for(function, weight):
        return chapter1.numerical_gradient(function, weight, step=1e-3)  # exact for a square

    w_slopes = slopes_for(lambda w: np.mean((x @ w + b - y) ** 2), w)
    b_slopes = slopes_for(lambda b: np.mean((x @ w + b - y) ** 2), b)
    return as_pairs("gradient", chapter1.gradient(x, y, w, b), (w_slopes, b_slopes))


@claim(1, "mini-batch descent with momentum = Keras' SGD", dtypes=("float64",))
def _(draw):
    x, y, epochs, size = draw(11, 3), draw(11, 1), 3, 4
    w, b = chapter1.descend(x, y, RATE, epochs, size, momentum=0.75, seed=3)
    model = keras.Sequential([keras.Input((3,), dtype="float64"), layers.Dense(1, dtype="float64")])
    model.set_weights([np.zeros((3, 1)), np.zeros(1)])
    optimizer = keras.optimizers.SGD(RATE, momentum=0.75)
    for epoch in range(epochs):
        order = training.batch_order(3, epoch, len(x))
        for rows in np.split(order, range(size, len(x), size)):
            with tf.GradientTape() as tape:
                loss = tf.reduce_mean((model(x[rows]) - y[rows]) ** 2)
            variables = model.trainable_variables
            optimizer.apply(tape.gradient(loss, variables), variables)
    return as_pairs("weights", (w[-1][:, np.newaxis], b[-1:]), model.get_weights())


@claim(1, "at the normal equation's answer the gradient is zero", dtypes=("float64",))
def _(draw):
    x, y = draw(12, 3), draw(12, 1)
    w, b = chapter1.normal_equation(x, y)
    pairs = as_pairs(
        "gradient", chapter1.tape_gradient(x, y, w, b), (np.zeros((3, 1)), np.zeros(1))
    )
    return {name: (1 + ours, 1 + theirs) for name, (ours, theirs) in pairs.items()}


# --- chapter 2 ----------------------------------------------------------------------------


@claim(2, "sigmoid, and softmax")
def _(draw):
    z = 20 * draw(draw.size(), draw.size())
    return {
        "values of sigmoid": (chapter2.sigmoid(z), keras.ops.sigmoid(z)),
        "values of softmax": (chapter2.softmax(z), keras.ops.softmax(z)),
    }


@claim(2, "binary cross-entropy from logits, and its gradient")
def _(draw):
    x, w, b = draw(9, 4), draw(4, 1), draw(1)
    y = (draw(9, 1) > 0).astype(draw.dtype)
    z = 40 * draw(9, 1)
    loss_fn = keras.losses.BinaryCrossentropy(True, reduction=None, dtype=draw.dtype)
    pairs = {"values": (chapter2.cross_entropy_from_logits(y, z)[:, 0], loss_fn(y, z))}
    by_hand, by_tape = (
        function(x, y, w, b)
        for function in (chapter2.logistic_gradient, chapter2.keras_logistic_gradient)
    )
    return pairs | as_pairs("gradient", by_hand, by_tape)


@claim(2, "cross-entropy of many classes, and its gradient")
def _(draw):
    n, classes = draw.size(), draw.size()
    y, z = draw.random.integers(0, classes, n), 20 * draw(n, classes)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=draw.dtype)
    logits = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = loss_fn(y, logits)
    return {
        "values": (chapter2.cross_entropy(y, z), loss),
        "gradient of z": (chapter2.cross_entropy_gradient(y, z), tape.gradient(loss, logits)),
    }


def _deep(draw) -> tuple:
    """A deep network's sizes, weights, inputs and classes."""
    sizes = (draw.size(), draw.size(3), draw.size(3), draw.size())
    weights = chapter2.initial_weights(sizes, seed=draw.size(), dtype=draw.dtype)
    weights = [w + 0.1 * draw(*w.shape) for w in weights]
    return weights, draw(12, sizes[0]), draw.random.integers(0, sizes[-1], 12)


@claim(2, "backpropagation = tape, for every weight")
def _(draw):
    weights, x, y = _deep(draw)
    gradients = chapter2.backward(y, chapter2.forward(x, weights), weights)
    return as_pairs("gradient", gradients, chapter2.tape_gradients(x, y, weights))


@claim(2, "the deep network = a Keras model")
def _(draw):
    weights, x, _ = _deep(draw)
    stack = [layers.Dense(w.shape[1], "relu", dtype=draw.dtype) for w in weights[:-2:2]]
    stack.append(layers.Dense(weights[-2].shape[1], dtype=draw.dtype))
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=draw.dtype), *stack])
    model.set_weights(weights)
    return {"values": (chapter2.forward(x, weights)[-1], model(x))}


def _optimiser_claim(name: str, function: str, theirs_like: Callable, **decays: float) -> None:
    @claim(2, f"{name} = Keras' optimizer, after 30 steps")
    def pairs(draw):
        weights, x, y = _deep(draw)
        update, state = getattr(chapter2, function), chapter2.OPTIMISERS[name][1]
        ours, states = list(weights), [state] * len(weights)
        theirs = [tf.Variable(w) for w in weights]
        optimizer = theirs_like(RATE)
        for _ in range(30):
            for i, gradient in enumerate(chapter2.backward(y, chapter2.forward(x, ours), ours)):
                ours[i], states[i] = update(ours[i], gradient, states[i], RATE, **decays)
            optimizer.apply(chapter2.tape_gradients(x, y, theirs), theirs)
        return as_pairs("weights", ours, theirs)


_optimiser_claim("SGD", "sgd", keras.optimizers.SGD)
_optimiser_claim(
    "momentum", "momentum", lambda rate: keras.optimizers.SGD(rate, momentum=0.75), decay=0.75
)
_optimiser_claim(
    "RMSProp", "rmsprop", lambda rate: keras.optimizers.RMSprop(rate, rho=0.75), decay=0.75
)
_optimiser_claim(
    "Adam",
    "adam",
    lambda rate: keras.optimizers.Adam(rate, beta_1=0.75, beta_2=BETA),
    beta_1=0.75,
    beta_2=BETA,
)


@claim(2, "L2 penalty, and its gradient")
def _(draw):
    weights, *_ = _deep(draw)
    variables = [tf.Variable(w) for w in weights[::2]]
    with tf.GradientTape() as tape:
        penalty = sum(keras.regularizers.L2(RATE)(variable) for variable in variables)
    slopes = tape.gradient(penalty, variables)
    pairs = {"values": (chapter2.l2_penalty(weights, RATE), penalty)}
    return pairs | as_pairs("gradient", chapter2.l2_gradients(weights, RATE)[::2], slopes)


@claim(2, "dropout = Keras' layer with the same mask")
def _(draw):
    x, seed = draw(9, 8) + 2, draw.size()
    ones = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)(np.ones_like(x), training=True)
    theirs = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)(x, training=True)
    return {"values": (chapter2.dropout(x, ones.numpy() > 0, 0.3), theirs)}


# --- chapter 3 ----------------------------------------------------------------------------


def _convolution_claim(padding: str, strides: int) -> None:
    @claim(3, f"convolution, {padding}, stride {strides} = Conv2D; loops = patches")
    def pairs(draw):
        n, channels, filters = 2, draw.size(1, 3), draw.size(1, 4)
        high, wide = draw.size(1, 3), draw.size(2, 4)
        x = draw(n, draw.size(6, 9), draw.size(6, 9), channels)
        options = {"strides": strides, "padding": padding}
        layer = layers.Conv2D(filters, (high, wide), dtype=draw.dtype, **options)
        layer.build(x.shape)
        kernel, bias = draw(high, wide, channels, filters), draw(filters)
        found = values_and_gradients(
            lambda *inputs: chapter3.conv2d(*inputs, **options),
            as_function(layer),
            x=x,
            kernel=kernel,
            bias=bias,
        )
        loops = chapter3.correlate(x, kernel, bias, **options)
        return found | {"values of loops": (loops, found["values"][1])}


for _padding in ("valid", "same"):
    for _strides in (1, 2, 3):
        _convolution_claim(_padding, _strides)


@claim(3, "convolution's gradients by hand = tape")
def _(draw):
    x = draw(2, draw.size(5, 8), draw.size(5, 8), 3)
    kernel, bias = draw(draw.size(1, 3), draw.size(1, 3), 3, draw.size(1, 4)), draw(1)
    z, *by_tape = outputs_and_gradients(
        lambda x, kernel, bias: tf.nn.conv2d(x, kernel, 1, "VALID") + bias, x, kernel, bias
    )
    by_hand = chapter3.conv2d_gradients(x, kernel, z)[:2]
    return as_pairs("gradient", by_hand, by_tape[:2])


@claim(3, "true convolution = correlation with the kernel flipped")
def _(draw):
    x, kernel = draw(1, 6, 5, 2), draw(3, 2, 2, 3)
    theirs = np.zeros((1, 4, 4, 3))
    for i, j in np.ndindex(4, 4):  # the sum of the textbook, index by index
        for u, v in np.ndindex(3, 2):
            theirs[0, i, j] += x[0, i + 2 - u, j + 1 - v] @ kernel[u, v]
    return {"values": (chapter3.convolve(x, kernel, np.zeros(3)), theirs)}


@claim(3, "max pooling, average pooling = Keras' layers")
def _(draw):
    x, size = draw(2, draw.size(6, 9), draw.size(6, 9), 3), draw.size(2, 3)
    pairs = {}
    for name, layer in (("max", layers.MaxPooling2D), ("average", layers.AveragePooling2D)):
        ours = getattr(chapter3, f"{name}_pool")
        found = values_and_gradients(
            lambda x, pool=ours: pool(x, size), layer(size, dtype=draw.dtype), x=x
        )
        pairs |= {f"{kind}, {name}": pair for kind, pair in found.items()}
    return pairs


@claim(3, "output size = Keras' output shape", dtypes=("float64",))
def _(draw):
    pairs = {}
    for padding in ("valid", "same"):
        for strides in (1, 2, 3):
            size, kernel = draw.size(7, 30), draw.size(1, 7)
            layer = layers.Conv2D(1, kernel, strides, padding)
            theirs = layer.compute_output_shape((1, size, size, 1))[1]
            ours = chapter3.output_size(size, kernel, strides, padding)
            pairs[f"values, {padding} {strides}"] = (ours, theirs)
    return pairs


@claim(3, "flips and shifts = NumPy's", dtypes=("float32",))
def _(draw):
    x, chosen = draw(3, 5, 6, 2), np.array([True, False, True])
    flipped = np.stack([a[:, ::-1] if c else a for a, c in zip(x, chosen)])
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="edge")
    steps = [(1, -2), (0, 2), (-1, 1)]
    shifted = [p[2 - d : 7 - d, 2 - r : 8 - r] for p, (d, r) in zip(padded, steps)]
    down, right = tf.transpose(tf.constant(steps))
    return {
        "values of flip": (chapter3.flip_some(x, chosen), flipped),
        "values of shift": (chapter3.shift_each(x, down, right), np.stack(shifted)),
    }


# --- chapter 4 ----------------------------------------------------------------------------


def _recurrent_claim(name: str, masked: bool, reverse: bool, **options: Any) -> None:
    cell, step = (
        (layers.GRU, "gru_step")
        if name.startswith("GRU")
        else (layers.SimpleRNN, "simple_rnn_step")
    )
    how = ", masked" * masked + ", backwards" * reverse

    @claim(4, f"{name}{how} = {cell.__name__}")
    def pairs(draw):
        n, time_, inputs, units = 3, draw.size(3, 6), draw.size(), draw.size()
        x, mask = draw(n, time_, inputs), draw.mask(n, time_) if masked else None
        layer = cell(
            units, return_sequences=True, go_backwards=reverse, dtype=draw.dtype, **options
        )
        layer.build(x.shape)
        weights = {w.name: draw(*w.shape) for w in layer.trainable_variables}
        theirs = as_function(layer, mask=None if mask is None else tf.constant(mask))

        def ours(x, *weights):
            function = getattr(chapter4, step)
            start = tf.zeros((n, units), x.dtype)
            return chapter4.scan(
                lambda x, h: function(x, h, weights, **options), x, start, mask, reverse
            )[0]

        def in_order(x, *weights):
            states = theirs(x, *weights)
            return states[:, ::-1] if reverse else states

        return values_and_gradients(ours, in_order, x=x, **weights)


for _masked, _reverse in ((False, False), (True, False), (True, True)):
    _recurrent_claim("simple RNN", _masked, _reverse)
    _recurrent_claim("GRU, reset after", _masked, _reverse, reset_after=True)
    _recurrent_claim("GRU, reset before", _masked, _reverse, reset_after=False)


@claim(4, "the article's GRU = Keras' with its weights converted")
def _(draw):
    inputs, units = draw.size(), draw.size()
    shapes = [(units + inputs, units)] * 3 + [(units,)] * 3
    weights = [draw(*shape) for shape in shapes]
    x, h = draw(3, inputs), draw(3, units)
    layer = layers.GRU(units, reset_after=False, dtype=draw.dtype)
    layer.build((3, 1, inputs))
    layer.set_weights(chapter4.article_to_keras(weights))
    theirs = layer(x[:, np.newaxis], initial_state=tf.constant(h))
    pairs = {"values": (chapter4.article_gru_step(x, h, weights), theirs)}
    back = chapter4.keras_to_article(chapter4.article_to_keras(weights))
    return pairs | as_pairs("values there and back", back, weights)


@claim(4, "backpropagation through time by hand = tape")
def _(draw):
    n, inputs, units = 2, draw.size(), draw.size()
    x, start = draw(n, 5, inputs), draw(n, units)
    weights = [draw(inputs, units), draw(units, units), draw(units)]

    def states_of(x, kernel, recurrent_kernel, bias, start):
        h, states = start, []
        for t in range(5):
            h = tf.tanh(x[:, t] @ kernel + h @ recurrent_kernel + bias)
            states.append(h)
        return tf.stack(states, axis=1)

    states, *by_tape = outputs_and_gradients(states_of, x, *weights, start)
    by_hand = chapter4.simple_rnn_gradients(x, states, start, weights, states)
    return as_pairs("gradient", by_hand, by_tape)


@claim(4, "clipping by global norm = tf.clip_by_global_norm")
def _(draw):
    gradients = [draw(3, 4), draw(5)]
    pairs = {}
    for limit in (0.5, 100.0):
        ours = chapter4.clip_by_global_norm(gradients, limit)
        theirs, _ = tf.clip_by_global_norm([tf.constant(g) for g in gradients], limit)
        pairs |= as_pairs(f"gradient, limit {limit}", ours, theirs)
    return pairs


# --- chapter 5 ----------------------------------------------------------------------------


def _lstm_claim(name: str, masked=False, reverse=False, started=False) -> None:
    @claim(5, f"LSTM{name} = Keras' LSTM: states, cell")
    def pairs(draw):
        n, time_, units = 3, draw.size(3, 6), draw.size()
        x, mask = draw(n, time_, draw.size()), draw.mask(n, time_) if masked else None
        layer = layers.LSTM(
            units, return_sequences=True, return_state=True, go_backwards=reverse, dtype=draw.dtype
        )
        layer.build(x.shape)
        inputs = {w.name: draw(*w.shape) for w in layer.trainable_variables}
        inputs |= {"first h": draw(n, units), "first c": draw(n, units)} if started else {}

        def ours(x, *others):
            start = tuple(others[3:]) or None
            return chapter5.all_outputs(*chapter5.lstm(x, others[:3], start, mask, reverse))

        def theirs(x, *others):
            options = {"mask": mask, "initial_state": list(others[3:]) or None}
            states, h, c = as_function(layer, **options)(x, *others[:3])
            return chapter5.all_outputs(states[:, ::-1] if reverse else states, (h, c))

        return values_and_gradients(ours, theirs, x=x, **inputs)


_lstm_claim("")
_lstm_claim(", masked", masked=True)
_lstm_claim(", masked, backwards", masked=True, reverse=True)
_lstm_claim(", initial state", started=True)


@claim(5, "bidirectional LSTM = Keras' Bidirectional")
def _(draw):
    x, units = draw(3, 5, draw.size()), draw.size()
    mask = draw.mask(3, 5)
    layer = layers.Bidirectional(
        layers.LSTM(units, return_sequences=True, dtype=draw.dtype), dtype=draw.dtype
    )
    layer.build(x.shape)
    weights = {w.path: draw(*w.shape) for w in layer.trainable_variables}

    def ours(x, *weights):
        outputs = chapter5.bidirectional(x, weights[:3], weights[3:], mask)
        return tf.where(mask[..., np.newaxis], outputs, 0)  # Keras' gives zeros at padding

    return values_and_gradients(ours, as_function(layer, mask=mask), x=x, **weights)


@claim(5, "LSTM with its way back by hand = by the tape")
def _(draw):
    x, units = draw(3, 6, draw.size()), draw.size()
    layer = layers.LSTM(units, return_sequences=True, dtype=draw.dtype)
    layer.build(x.shape)
    weights = {w.name: draw(*w.shape) for w in layer.trainable_variables}
    return values_and_gradients(
        lambda x, *weights: chapter5.fast_lstm(x, weights), as_function(layer), x=x, **weights
    )


@claim(5, "LSTM = Keras' LSTM, after 20 steps of Adam", dtypes=("float64",))
def _(draw):
    x, units = draw(4, 5, 3), 4
    mask, y = draw.mask(4, 5), draw(4, 5, units)
    layer = layers.LSTM(units, return_sequences=True, dtype=draw.dtype)
    layer.build(x.shape)
    start = [draw(*w.shape) for w in layer.trainable_variables]
    functions = (lambda x, *w: chapter5.lstm(x, w, mask=mask)[0], as_function(layer, mask=mask))
    ours, theirs = (weights_after_training(each, start, x, y, 20) for each in functions)
    return as_pairs("weights", ours, theirs)


# --- chapter 6 ----------------------------------------------------------------------------


def _attention_claim(name: str, masked: bool) -> None:
    @claim(6, f"multi-head attention{name} = MultiHeadAttention, unequal sizes")
    def pairs(draw):
        queries, keys, heads = draw.size(2, 5), draw.size(3, 7), draw.size(1, 4)
        shapes = {"query": (2, queries, 6), "key": (2, keys, 4), "value": (2, keys, 3)}
        layer = layers.MultiHeadAttention(
            heads, key_dim=4, value_dim=5, output_shape=6, dtype=draw.dtype
        )
        layer.build(shapes["query"], shapes["value"], shapes["key"])
        inputs = {name: draw(*shape) for name, shape in shapes.items()}
        inputs |= {w.path: draw(*w.shape) for w in layer.weights}
        mask = None
        if masked:
            allowed = draw.random.random((2, queries, keys)) < 0.5
            allowed[..., 0] = True
            mask = tf.constant(allowed)

        def theirs(query, key, value, *weights):
            options = {"key": key, "attention_mask": mask}
            return layer.stateless_call(list(weights), [], query, value, **options)[0]

        def ours(query, key, value, *weights):
            return chapter6.multi_head_attention(query, key, value, weights, mask)

        return values_and_gradients(ours, theirs, **inputs)


_attention_claim("", False)
_attention_claim(", masked", True)


@claim(6, "layer normalisation = LayerNormalization, eps 0.1, scale and shift")
def _(draw):
    width = draw.size(3, 9)
    layer = layers.LayerNormalization(epsilon=0.1, dtype=draw.dtype)
    layer.build((2, 3, width))
    inputs = {"x": draw(2, 3, width), "scale": draw(width), "shift": draw(width)}
    return values_and_gradients(
        lambda *parts: chapter6.layer_norm(*parts, 0.1), as_function(layer), **inputs
    )


@claim(6, "sinusoidal positions = the formula, number by number", dtypes=("float32",))
def _(draw):
    width, positions = 2 * draw.size(), draw.random.integers(0, 50, 6)
    theirs = np.zeros((6, width))
    for row, position in enumerate(positions):
        for i in range(width // 2):
            angle = position / 10000 ** (2 * i / width)
            theirs[row, i], theirs[row, width // 2 + i] = np.sin(angle), np.cos(angle)
    return {"values": (chapter6.sinusoids(tf.constant(positions), width), theirs)}


@claim(6, "causal mask, and mask of words")
def _(draw):
    words = draw.random.integers(0, 3, (2, 6))
    other = draw.random.integers(0, 3, (2, 4))
    by_index = np.array([[[a == b for b in o] for a in w] for w, o in zip(words, other)])
    triangle = np.tril(np.ones((6, 6), bool))
    return {
        "values, causal": (tf.cast(chapter6.causal_mask(6), draw.dtype), triangle),
        "values, words": (tf.cast(chapter6.same_word(words, other), draw.dtype), by_index),
    }


# --- the loop -----------------------------------------------------------------------------


def _loop_claim(name: str, make: Callable[[], list], weighted: bool = False) -> None:
    @claim(0, f"fit = model.fit: {name}", dtypes=("float32",))
    def pairs(draw):
        x, y = draw(21, 4), draw(21, 1)
        weight = np.abs(draw(21)) if weighted else None
        data = (x, y) if weight is None else (x, y, weight)
        results = []
        for loop in ("tape", "fit"):
            keras.utils.set_random_seed(3)
            model = keras.Sequential([keras.Input((4,)), *make(), layers.Dense(1)])
            optimizer = keras.optimizers.Adam(0.01)
            loss_fn = keras.losses.MeanSquaredError()
            if loop == "tape":
                options = {"loss_fn": loss_fn, "optimizer": optimizer, "shuffle": False}
                options |= {"batch_size": 8, "epochs": 3, "jit": "off", "progress": "none"}
                history = training.fit(model, data, **options).history
            else:
                model.compile(optimizer, loss_fn, jit_compile=False)
                dataset = tf.data.Dataset.from_tensor_slices(data).batch(8)
                history = model.fit(dataset, epochs=3, shuffle=False, verbose=0).history
            results.append((history["loss"], model.get_weights()))
        (our_losses, ours), (their_losses, theirs) = results
        return {"values of the loss": (our_losses, their_losses)} | as_pairs(
            "weights", ours, theirs
        )


_loop_claim("a short last batch", lambda: [layers.Dense(5, "relu")])
_loop_claim("sample weights", lambda: [layers.Dense(5, "relu")], weighted=True)
_loop_claim("an L2 penalty", lambda: [layers.Dense(5, "relu", kernel_regularizer="l2")])
_loop_claim("dropout", lambda: [layers.Dense(9, "relu"), layers.Dropout(0.4, seed=1)])
_loop_claim(
    "batch normalisation",
    lambda: [layers.Dense(5, use_bias=False), layers.BatchNormalization(), layers.ReLU()],
)


# --- running it ---------------------------------------------------------------------------


def difference(ours: Any, theirs: Any) -> float:
    """Returns the largest absolute difference; infinite for other shapes and for NaN."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape or not np.all(np.isfinite(ours)):
        return np.inf
    return float(np.abs(ours - theirs).max(initial=0.0))


def kind_of(pair: str) -> str:
    """Returns which of KINDS the pair belongs to, by the first word of its name."""
    first = pair.split()[0].rstrip(",")
    return "gradients" if first == "gradient" else first


def verify(one: Claim, seed: int = 0, dtypes: tuple[str, ...] | None = None) -> dict:
    """Returns the claim's row: per dtype and kind the largest differences; whether it is green."""
    row: dict[str, Any] = {"chapter": one.chapter, "claim": one.name, "green": True}
    for dtype in dtypes or one.dtypes:
        draw = Draw(np.random.default_rng((seed, len(one.name))), dtype)
        pairs = one.pairs(draw)
        row[dtype] = {}
        for kind in KINDS:
            found = {name: pair for name, pair in pairs.items() if kind_of(name) == kind}
            if found:
                row[dtype][kind] = worst_of(found, dtype)
                row["green"] &= row[dtype][kind]["relative"] <= TOLERANCE[dtype]
    return row


def worst_of(pairs: Pairs, dtype: str) -> dict:
    """Returns the largest difference of the pairs: absolute, relative to the largest, in ulps."""
    differences = {name: difference(*pair) for name, pair in pairs.items()}
    worst = max(differences, key=differences.__getitem__)
    largest = max(
        float(np.abs(np.asarray(theirs)).max(initial=0.0)) for _, theirs in pairs.values()
    )
    ulp = float(np.spacing(np.dtype(dtype).type(largest or 1)))
    absolute = differences[worst]
    relative = absolute / (largest or 1)
    return {"absolute": absolute, "relative": relative, "ulps": absolute / ulp, "pair": worst}


def verify_all(chapters: list[int] | None = None, seed: int = 0) -> Iterator[dict]:
    """Yields the row of every claim of the chapters, and of the loop (chapter 0), in order."""
    for one in sorted(CLAIMS, key=lambda each: each.chapter):
        if not chapters or one.chapter in chapters:
            yield verify(one, seed)


def table_of(rows: list[dict]) -> Table:
    """Returns the ledger as a table for people: relative differences in 32 and 64 bits."""
    table = Table(
        title="largest difference, relative to the largest number of its kind: 32 bits, 64 bits"
    )
    for heading in ("", "chapter", "claim", *KINDS):
        table.add_column(heading)
    for row in rows:
        mark = "[green]✓[/green]" if row["green"] else "[red]✗[/red]"
        where = str(row["chapter"]) if row["chapter"] else "loop"
        cells = [_cell(row, kind) for kind in KINDS]
        table.add_row(mark, where, row["claim"], *cells)
    return table


def _cell(row: dict, kind: str) -> str:
    found = [row.get(dtype, {}).get(kind) for dtype in TOLERANCE]
    shown = ["–" if each is None else f"{each['relative']:.0e}" for each in found]
    return "" if found == [None, None] else ", ".join(shown)


# --- mutants ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mutant:
    """A mistake planted into a function's source; some claim of that chapter must turn red."""

    chapter: int
    function: str
    old: str
    new: str
    what: str

    @property
    def module(self) -> Any:
        """The module that holds the function."""
        name = f"chapter{self.chapter}" if self.chapter else "training"
        return importlib.import_module(f"kerasbook.{name}")


MUTANTS = [
    Mutant(1, "linear", "+ b", "- b", "bias subtracted"),
    Mutant(1, "linear", " + b", "", "bias forgotten"),
    Mutant(1, "mean_squared_error", "y_pred - y", "y_pred - y[:, 0]", "(n,) against (n, 1)"),
    Mutant(1, "mean_squared_error", "np.mean", "0.5 * np.mean", "half the loss"),
    Mutant(1, "gradient", "return 2 *", "return", "the 2 of the square forgotten"),
    Mutant(1, "gradient", "/ len(x)", "", "sum in place of mean"),
    Mutant(1, "gradient", "- y", "+ y", "sign of the error"),
    Mutant(1, "gradient", "2 * error.mean(axis=0)", "2 * error.sum(axis=0)", "bias: sum"),
    Mutant(1, "descend", "momentum * velocity_w", "velocity_w", "momentum not applied"),
    Mutant(1, "descend", "batch_order(seed, epoch,", "batch_order(seed, 0,", "one order for all"),
    Mutant(1, "descend", "first + batch_size", "first + batch_size - 1", "a row left out"),
    Mutant(1, "normal_equation", "np.ones", "np.zeros", "no column of ones"),
    Mutant(2, "sigmoid", "np.logaddexp(0, -z)", "np.logaddexp(0, z)", "sign in the sigmoid"),
    Mutant(
        2, "softmax", "axis=1, keepdims=True)\n", "axis=0, keepdims=True)\n", "softmax over rows"
    ),
    Mutant(2, "cross_entropy_from_logits", "- y * z", "+ y * z", "sign of y z"),
    Mutant(2, "cross_entropy_from_logits", "-np.abs(z)", "np.abs(z)", "overflow for large scores"),
    Mutant(2, "logistic_gradient", "/ len(x)", "", "sum in place of mean"),
    Mutant(2, "cross_entropy", "np.mean", "np.sum", "sum in place of mean"),
    Mutant(2, "cross_entropy_gradient", "- one_hot", "", "truth forgotten"),
    Mutant(2, "cross_entropy_gradient", "/ len(y)", "", "mean forgotten"),
    Mutant(2, "forward", "np.maximum(scores, 0)", "np.maximum(scores, -0.1)", "another bend"),
    Mutant(2, "forward", "[*outputs[:-1], scores]", "outputs", "relu on the last layer"),
    Mutant(2, "backward", " * (below > 0)", "", "slope of the relu forgotten"),
    Mutant(2, "backward", "delta.sum(axis=0)", "delta.mean(axis=0)", "bias: mean"),
    Mutant(2, "momentum", "decay * velocity - ", "decay * velocity - (1 - decay) * ", "EMA"),
    Mutant(2, "rmsprop", "+ epsilon)", ") + epsilon", "eps outside the root"),
    Mutant(2, "rmsprop", "(1 - decay) * gradient", "gradient", "mean square not averaged"),
    Mutant(2, "adam", "(1 - beta_2**step) ** 0.5", "1", "no correction of the second moment"),
    Mutant(2, "adam", " / (1 - beta_1**step)", "", "no correction of the first moment"),
    Mutant(2, "adam", "state[0] + 1", "state[0] + 2", "steps counted from 2"),
    Mutant(2, "sgd", "- learning_rate", "+ learning_rate", "uphill"),
    Mutant(2, "l2_penalty", "l2 * sum", "l2 / 2 * sum", "half the penalty"),
    Mutant(2, "l2_penalty", "weights[::2]", "weights", "biases penalised too"),
    Mutant(2, "l2_gradients", "2 * l2", "l2", "the 2 forgotten"),
    Mutant(2, "dropout", " / (1 - rate)", "", "not scaled up"),
    Mutant(2, "dropout", "(1 - rate)", "rate", "scaled by the wrong share"),
    Mutant(3, "output_size", "// stride + 1", "// stride", "off by one"),
    Mutant(
        3,
        "padding_widths",
        "total // 2, total - total // 2",
        "total - total // 2, total // 2",
        "the odd zero in front",
    ),
    Mutant(3, "correlate", "strides * i, strides * j", "i, j", "stride forgotten"),
    Mutant(3, "correlate", " + bias[f]", "", "bias forgotten"),
    Mutant(3, "conv2d", "@ tf.reshape(kernel", "@ tf.reshape(kernel[::-1]", "kernel flipped"),
    Mutant(3, "conv2d", " + bias", " + 2 * bias", "bias twice"),
    Mutant(
        3,
        "patches",
        "for u in range(high)\n        for v in range(wide)",
        "for v in range(wide)\n        for u in range(high)",
        "rows and columns mixed up",
    ),
    Mutant(3, "conv2d_gradients", "kernel[::-1, ::-1]", "kernel", "not flipped on the way back"),
    Mutant(3, "conv2d_gradients", "(high - 1, high - 1)", "(high - 1, high)", "frame too wide"),
    Mutant(3, "convolve", "kernel[::-1, ::-1]", "kernel[::-1]", "flipped in one direction"),
    Mutant(3, "max_pool", "tf.argmax", "tf.argmin", "the smallest"),
    Mutant(3, "average_pool", "reduce_mean", "reduce_sum", "sum in place of mean"),
    Mutant(3, "flip_some", "x[:, :, ::-1]", "x[:, ::-1]", "upside down"),
    Mutant(3, "shift_each", "- down", "+ down", "moved the other way"),
    Mutant(4, "simple_rnn_step", " + bias", "", "bias forgotten"),
    Mutant(4, "simple_rnn_step", "h @ recurrent_kernel", "x @ kernel", "state not read"),
    Mutant(4, "gru_gates", "z = tf.sigmoid(x_z", "z = tf.sigmoid(-x_z", "sign in the gate"),
    Mutant(4, "gru_gates", "x_z, x_r, x_c =", "x_r, x_z, x_c =", "gates swapped"),
    Mutant(4, "gru_gates", "r * (h @ u_c + b_c)", "r * (h @ u_c) + b_c", "reset misses the bias"),
    Mutant(4, "gru_gates", "(r * h) @ u_c", "r * (h @ u_c)", "reset after in place of before"),
    Mutant(
        4,
        "gru_step",
        "z * h + (1 - z) * candidate",
        "(1 - z) * h + z * candidate",
        "the article's convention",
    ),
    Mutant(4, "choose", "tf.where(read, new, old)", "tf.where(read, old, new)", "mask inverted"),
    Mutant(
        4,
        "choose",
        "tf.where(read, new, old)",
        "tf.where(read, new, 0 * old)",
        "state forgotten at padding",
    ),
    Mutant(4, "scan", "if reverse else", "if not reverse else", "wrong direction"),
    Mutant(4, "article_gru_step", "r * h", "h", "reset forgotten"),
    Mutant(4, "flip_update_gate", "-1, 1", "1, 1", "meaning of z not turned"),
    Mutant(
        4,
        "article_to_keras",
        "rows[units:], rows[:units]",
        "rows[:-units], rows[-units:]",
        "rows of state and input mixed up",
    ),
    Mutant(4, "simple_rnn_gradients", "1 - states[:, t] ** 2", "1 - states[:, t]", "slope of tanh"),
    Mutant(4, "simple_rnn_gradients", "g[:, t] + later", "g[:, t]", "later steps forgotten"),
    Mutant(4, "simple_rnn_gradients", "states[:, t - 1] if", "states[:, t] if", "a step too late"),
    Mutant(4, "clip_by_global_norm", "tf.maximum(norm, limit)", "norm", "short ones made longer"),
    Mutant(5, "lstm_step", "i, f, g, o =", "f, i, g, o =", "gates swapped"),
    Mutant(5, "lstm_step", "tf.sigmoid(i) * tf.tanh(g)", "tf.sigmoid(i) * g", "tanh forgotten"),
    Mutant(5, "lstm_step", "tf.sigmoid(o) * tf.tanh(c), c", "tf.sigmoid(o) * c, c", "no tanh"),
    Mutant(5, "lstm_step", " + bias", " + 2 * bias", "bias twice"),
    Mutant(5, "lstm", "mask, reverse)", "None, reverse)", "mask not handed on"),
    Mutant(5, "bidirectional", "reverse=True", "reverse=False", "both read forwards"),
    Mutant(5, "bidirectional", "mask=mask, reverse", "mask=None, reverse", "backwards unmasked"),
    Mutant(5, "gates_and_slopes", "1 - g**2", "1 - g", "slope of the tanh"),
    Mutant(5, "gates_and_slopes", "o * (1 - o)", "o", "slope of the output gate"),
    Mutant(6, "attention", " / key.shape[-1] ** 0.5", "", "not scaled"),
    Mutant(6, "attention", "key.shape[-1] ** 0.5", "query.shape[-2] ** 0.5", "scaled by length"),
    Mutant(
        6,
        "attention",
        "tf.where(mask, scores, scores",
        "tf.where(~mask, scores, scores",
        "mask inverted",
    ),
    Mutant(
        6,
        "attention",
        "tf.nn.softmax(scores)",
        "tf.nn.softmax(scores, axis=-2)",
        "softmax over the queries",
    ),
    Mutant(6, "split_heads", "(0, 2, 1, 3)", "(0, 2, 3, 1)", "axes mixed up"),
    Mutant(6, "multi_head_attention", "+ bias", "", "bias of the output forgotten"),
    Mutant(
        6,
        "layer_norm",
        "tf.sqrt(variance + epsilon)",
        "(tf.sqrt(variance) + epsilon)",
        "eps outside the root",
    ),
    Mutant(
        6,
        "layer_norm",
        "tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)",
        "tf.reduce_sum((x - mean) ** 2, axis=-1, keepdims=True) / (x.shape[-1] - 1)",
        "N − 1 in the variance",
    ),
    Mutant(6, "layer_norm", "axis=-1", "axis=-2", "over the tokens"),
    Mutant(6, "layer_norm", " + shift", "", "shift forgotten"),
    Mutant(6, "causal_mask", ">=", ">", "itself hidden"),
    Mutant(6, "causal_mask", ">=", "<=", "future in place of past"),
    Mutant(6, "same_word", "==", "!=", "other words only"),
    Mutant(0, "total_loss", ", *model.losses", "", "regularisation left out"),
    Mutant(
        0,
        "total_loss",
        "loss_fn(y, y_pred, sample_weight)",
        "loss_fn(y, y_pred)",
        "sample weights left out",
    ),
    Mutant(0, "make_train_step", "training=True", "training=False", "training= forgotten"),
    Mutant(0, "make_train_step", "loss = total_loss", "loss = 2 * total_loss", "loss doubled"),
]


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Puts the mutant in the function's place, and the function back at the end."""
    module = mutant.module
    original = getattr(module, mutant.function)
    source = inspect.getsource(original)
    if mutant.old not in source:
        raise LookupError(f"{mutant.function} of chapter {mutant.chapter} has no {mutant.old!r}")
    try:
        exec(source.replace(mutant.old, mutant.new, 1), vars(module))
        yield
    finally:
        setattr(module, mutant.function, original)


def is_caught(mutant: Mutant, seed: int = 0) -> bool:
    """Returns whether a claim of the mutant's chapter turns red, or cannot even be computed."""
    with planted(mutant), np.errstate(all="ignore"):
        for one in CLAIMS:
            if one.chapter != mutant.chapter:
                continue
            try:
                if not verify(one, seed, one.dtypes[-1:])["green"]:
                    return True
            except (ValueError, TypeError, ArithmeticError, tf.errors.OpError):
                return True
    return False


# --- the command --------------------------------------------------------------------------


def run(chapters: list[int] | None, seed: int, json_file: Path | None, mutants: bool) -> bool:
    """Prints the ledger, or what it catches of the mutants; returns whether all is well."""
    console, started = Console(), time.perf_counter()
    if mutants:
        chosen = [m for m in MUTANTS if not chapters or m.chapter in chapters]
        missed = [
            mutant
            for mutant in track(chosen, "planting", console=console, transient=True)
            if not is_caught(mutant, seed)
        ]
        for mutant in missed:
            console.print(f"[red]missed[/red] {mutant.function}: {mutant.what}")
        console.print(f"{len(chosen) - len(missed)} of {len(chosen)} planted mistakes caught")
        result: dict[str, Any] = {"planted": len(chosen), "caught": len(chosen) - len(missed)}
        well = not missed
    else:
        number = sum(not chapters or one.chapter in chapters for one in CLAIMS)
        rows = list(
            track(verify_all(chapters, seed), "comparing", number, console=console, transient=True)
        )
        console.print(table_of(rows))
        red = [row for row in rows if not row["green"]]
        seconds = time.perf_counter() - started
        console.print(f"{len(rows) - len(red)} of {len(rows)} claims hold ({seconds:.0f} s)")
        result = {"seed": seed, "tolerance": TOLERANCE, "seconds": seconds, "rows": rows}
        well = not red
    if json_file:
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(result, indent=1, default=str) + "\n")
    return well
