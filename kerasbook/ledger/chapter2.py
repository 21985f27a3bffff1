"""Chapter 2: what the ledger claims of it, and the mistakes that must be seen."""

from collections.abc import Callable

from kerasbook import chapter2
from kerasbook.ledger.core import (
    BETA,
    RATE,
    as_pairs,
    claim,
    mutant,
    slopes,
)

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@claim(2, "sigmoid, and softmax", sources="NTK")
def _(draw):
    z = 20 * draw(draw.size(), draw.size())
    return {
        "values of sigmoid": (chapter2.sigmoid(z), keras.ops.sigmoid(z)),
        "values of softmax": (chapter2.softmax(z), keras.ops.softmax(z)),
        "values of TensorFlow's softmax": (chapter2.softmax(z), tf.nn.softmax(z)),
    }


@claim(2, "loss: binary cross-entropy of logits", sources="NTK")
def _(draw):
    x, w, b = draw(9, 4), draw(4, 1), draw(1)
    y = (draw(9, 1) > 0).astype(draw.dtype)
    z = 40 * draw(9, 1)
    of_tensorflow = tf.nn.sigmoid_cross_entropy_with_logits(y, z)
    loss_fn = keras.losses.BinaryCrossentropy(True, reduction=None, dtype=draw.dtype)
    found = chapter2.cross_entropy_from_logits(y, z)
    pairs = {"values": (found[:, 0], loss_fn(y, z)), "values, TensorFlow": (found, of_tensorflow)}
    by_hand, by_tape = (
        function(x, y, w, b)
        for function in (chapter2.logistic_gradient, chapter2.keras_logistic_gradient)
    )
    pairs |= as_pairs("gradient", by_hand, by_tape)
    if draw.dtype == "float32":
        return pairs

    def loss(w, b):
        return chapter2.cross_entropy_from_logits(y, x @ w + b).mean()

    return pairs | slopes(loss, {"w": w, "b": b}, by_hand)


@claim(2, "loss: cross-entropy of many classes", sources="NK")
def _(draw):
    n, classes = draw.size(), draw.size()
    y, z = draw.random.integers(0, classes, n), 20 * draw(n, classes)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=draw.dtype)
    logits = tf.constant(z)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = loss_fn(y, logits)
    by_hand = chapter2.cross_entropy_gradient(y, z)
    pairs = {
        "values": (chapter2.cross_entropy(y, z), loss),
        "gradient of z": (by_hand, tape.gradient(loss, logits)),
    }
    if draw.dtype == "float64":
        few = z / 10  # a sure answer has no slope to be measured
        by_hand = chapter2.cross_entropy_gradient(y, few)
        pairs |= slopes(lambda z: chapter2.cross_entropy(y, z), {"z": few}, [by_hand])
    return pairs


def _deep(draw) -> tuple:
    """A deep network's sizes, weights, inputs and classes."""
    sizes = (draw.size(), draw.size(3), draw.size(3), draw.size())
    weights = chapter2.initial_weights(sizes, seed=draw.size(), dtype=draw.dtype)
    weights = [w + 0.1 * draw(*w.shape) for w in weights]
    return weights, draw(12, sizes[0]), draw.random.integers(0, sizes[-1], 12)


@claim(2, "backpropagation = tape, for every weight", sources="NT")
def _(draw):
    weights, x, y = _deep(draw)
    gradients = chapter2.backward(y, chapter2.forward(x, weights), weights)
    pairs = as_pairs("gradient", gradients, chapter2.tape_gradients(x, y, weights))
    if draw.dtype == "float32":
        return pairs

    def loss(*weights):
        return chapter2.cross_entropy(y, chapter2.forward(x, weights)[-1])

    inputs = {str(number): w for number, w in enumerate(weights)}
    return pairs | slopes(loss, inputs, gradients)


@claim(2, "the deep network = a Keras model", sources="NK")
def _(draw):
    weights, x, _ = _deep(draw)
    stack = [layers.Dense(w.shape[1], "relu", dtype=draw.dtype) for w in weights[:-2:2]]
    stack.append(layers.Dense(weights[-2].shape[1], dtype=draw.dtype))
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=draw.dtype), *stack])
    model.set_weights(weights)
    return {"values": (chapter2.forward(x, weights)[-1], model(x))}


def _optimiser_claim(name: str, function: str, theirs_like: Callable, **decays: float) -> None:
    @claim(2, f"{name} = Keras' optimizer, after 10 steps", sources="NK")
    def pairs(draw):
        weights, x, y = _deep(draw)
        update, state = getattr(chapter2, function), chapter2.OPTIMISERS[name][1]
        ours, states = list(weights), [state] * len(weights)
        theirs = [tf.Variable(w) for w in weights]
        optimizer = theirs_like(RATE)
        for _ in range(10):
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


@claim(2, "L2 penalty, and its gradient", sources="NK")
def _(draw):
    weights, *_ = _deep(draw)
    variables = [tf.Variable(w) for w in weights[::2]]
    with tf.GradientTape() as tape:
        penalty = sum(keras.regularizers.L2(RATE)(variable) for variable in variables)
    slopes = tape.gradient(penalty, variables)
    pairs = {"values": (chapter2.l2_penalty(weights, RATE), penalty)}
    return pairs | as_pairs("gradient", chapter2.l2_gradients(weights, RATE)[::2], slopes)


@claim(2, "dropout = Keras' layer with the same mask", sources="NK")
def _(draw):
    x, seed = draw(9, 8) + 2, draw.size()
    ones = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)(np.ones_like(x), training=True)
    theirs = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)(x, training=True)
    mask = ones.numpy() > 0
    pairs = {"values": (chapter2.dropout(x, mask, 0.3), theirs)}
    still = layers.Dropout(0.3, dtype=draw.dtype)(x)  # not in training: nothing happens
    pairs["values, not in training"] = x, still
    slope, signal = mask / np.float64(0.7), tf.constant(x)
    layer = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)
    with tf.GradientTape() as tape:
        tape.watch(signal)
        total = tf.reduce_sum(layer(signal, training=True))
    return pairs | {"gradient of x": (slope, tape.gradient(total, signal))}


# --- mistakes to be seen --------------------------------------------------------------------

mutant(2, chapter2.sigmoid, "np.logaddexp(0, -z)", "np.logaddexp(0, z)", "sign in the sigmoid")
mutant(
    2, chapter2.softmax, "axis=1, keepdims=True)\n", "axis=0, keepdims=True)\n", "softmax over rows"
)
mutant(2, chapter2.cross_entropy_from_logits, "- y * z", "+ y * z", "sign of y z")
mutant(
    2, chapter2.cross_entropy_from_logits, "-np.abs(z)", "np.abs(z)", "overflow for large scores"
)
mutant(2, chapter2.logistic_gradient, "/ len(x)", "", "sum in place of mean")
mutant(2, chapter2.cross_entropy, "np.mean", "np.sum", "sum in place of mean")
mutant(2, chapter2.cross_entropy_gradient, "- one_hot", "", "truth forgotten")
mutant(2, chapter2.cross_entropy_gradient, "/ len(y)", "", "mean forgotten")
mutant(2, chapter2.forward, "np.maximum(scores, 0)", "np.maximum(scores, -0.1)", "another bend")
mutant(2, chapter2.forward, "[*outputs[:-1], scores]", "outputs", "relu on the last layer")
mutant(2, chapter2.backward, " * (below > 0)", "", "slope of the relu forgotten")
mutant(2, chapter2.backward, "delta.sum(axis=0)", "delta.mean(axis=0)", "bias: mean")
mutant(2, chapter2.momentum, "decay * velocity - ", "decay * velocity - (1 - decay) * ", "EMA")
mutant(2, chapter2.rmsprop, "+ epsilon)", ") + epsilon", "eps outside the root")
mutant(2, chapter2.rmsprop, "(1 - decay) * gradient", "gradient", "mean square not averaged")
mutant(2, chapter2.adam, "(1 - beta_2**step) ** 0.5", "1", "no correction of the second moment")
mutant(2, chapter2.adam, " / (1 - beta_1**step)", "", "no correction of the first moment")
mutant(2, chapter2.adam, "state[0] + 1", "state[0] + 2", "steps counted from 2")
mutant(2, chapter2.sgd, "- learning_rate", "+ learning_rate", "uphill")
mutant(2, chapter2.l2_penalty, "l2 * sum", "l2 / 2 * sum", "half the penalty")
mutant(2, chapter2.l2_penalty, "weights[::2]", "weights", "biases penalised too")
mutant(2, chapter2.l2_gradients, "2 * l2", "l2", "the 2 forgotten")
mutant(2, chapter2.dropout, " / (1 - rate)", "", "not scaled up")
mutant(2, chapter2.dropout, "(1 - rate)", "rate", "scaled by the wrong share")
