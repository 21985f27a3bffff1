"""The deep network: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter2, chapter2_deep_network
from kerasbook.ledger.core import RATE, as_pairs, claim, mutant, slopes

import keras
import numpy as np
import tensorflow as tf
from keras import layers

MOMENTUM = 0.75  # in 32 bits exact, as RATE is


def deep_case(draw) -> tuple:
    """Returns a deep network's weights, inputs x (12, d) and classes y (12,)."""
    sizes = (draw.size(), draw.size(3), draw.size(3), draw.size())
    weights = chapter2_deep_network.initial_weights(sizes, seed=draw.size(), dtype=draw.dtype)
    weights = [w + 0.1 * draw(*w.shape) for w in weights]
    return weights, draw(12, sizes[0]), draw.random.integers(0, sizes[-1], 12)


@claim("chapter2_deep_network", "backpropagation = tape, for every weight", sources="NT")
def _(draw):
    weights, x, y = deep_case(draw)
    gradients = chapter2_deep_network.backward(
        y, chapter2_deep_network.forward(x, weights), weights
    )
    pairs = as_pairs("gradient", gradients, chapter2_deep_network.tape_gradients(x, y, weights))
    if draw.dtype == "float32":
        return pairs

    def loss(*weights):
        return chapter2.cross_entropy(y, chapter2_deep_network.forward(x, weights)[-1])

    inputs = {str(number): w for number, w in enumerate(weights)}
    return pairs | slopes(loss, inputs, gradients)


@claim("chapter2_deep_network", "the deep network = a Keras model", sources="NK")
def _(draw):
    weights, x, _ = deep_case(draw)
    stack = [layers.Dense(w.shape[1], "relu", dtype=draw.dtype) for w in weights[:-2:2]]
    stack.append(layers.Dense(weights[-2].shape[1], dtype=draw.dtype))
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=draw.dtype), *stack])
    model.set_weights(weights)
    return {"values": (chapter2_deep_network.forward(x, weights)[-1], model(x))}


@claim(
    "chapter2_deep_network", "batch normalisation in training, and in use after it", sources="NTK"
)
def _(draw):
    units = draw.size()
    weights = [1 + draw(units), draw(units), draw(units), 1 + draw(units) ** 2]
    layer = layers.BatchNormalization(momentum=MOMENTUM, epsilon=RATE, dtype=draw.dtype)
    layer.build((None, units))
    layer.set_weights(weights)
    for _ in range(5):
        s, delta = 3 + draw(9, units), draw(9, units)
        scores = tf.constant(s)
        with tf.GradientTape() as tape:
            tape.watch(scores)
            theirs = layer(scores, training=True)
        wanted = [scores, *layer.trainable_variables]
        found = chapter2_deep_network.normalise_backward(delta, s, weights[0], RATE)
        expected = tape.gradient(theirs, wanted, output_gradients=tf.constant(delta))
        ours, weights = chapter2_deep_network.normalise_batch(s, weights, MOMENTUM, RATE)
    gamma, beta, mean, variance = weights
    in_use = chapter2_deep_network.normalise(s, *weights, RATE)
    pairs = {
        "values in training": (ours, theirs),
        "values in use": (in_use, layer(s, training=False)),
        "values in use, TensorFlow": (
            in_use,
            tf.nn.batch_normalization(s, mean, variance, beta, gamma, RATE),
        ),
    }
    pairs |= as_pairs("values of the running statistics", [mean, variance], layer.get_weights()[2:])
    pairs |= as_pairs("gradient", found, expected)
    if draw.dtype == "float32":
        return pairs

    def loss(s, gamma, beta):
        now = [gamma, beta, mean, variance]
        output, _ = chapter2_deep_network.normalise_batch(s, now, epsilon=RATE)
        return np.sum(delta * output)

    return pairs | slopes(loss, {"s": s, "gamma": gamma, "beta": beta}, found)


# --- mistakes to be seen --------------------------------------------------------------------

mutant(
    "chapter2_deep_network",
    chapter2_deep_network.forward,
    "np.maximum(scores, 0)",
    "np.maximum(scores, -0.1)",
    "another bend",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.forward,
    "[*outputs[:-1], scores]",
    "outputs",
    "relu on the last layer",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.backward,
    " * (below > 0)",
    "",
    "slope of the relu forgotten",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.backward,
    "delta.sum(axis=0)",
    "delta.mean(axis=0)",
    "bias: mean",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.normalise,
    "np.sqrt(variance + epsilon)",
    "(variance + epsilon)",
    "no root",
    by="batch",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.normalise_batch,
    "s.var(axis=0)",
    "s.var(axis=0, ddof=1)",
    "divided by n - 1",
    by="batch",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.normalise_batch,
    "momentum * r",
    "(1 - momentum) * r",
    "the old forgotten",
    by="batch",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.normalise_backward,
    " + unit * (delta * unit).mean(axis=0)",
    "",
    "no way back through the variance",
    by="batch",
)
mutant(
    "chapter2_deep_network",
    chapter2_deep_network.normalise_backward,
    "delta.mean(axis=0)",
    "0",
    "no way back through the mean",
    by="batch",
)
