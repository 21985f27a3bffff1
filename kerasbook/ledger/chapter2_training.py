"""Training: what the ledger claims of it, and the mistakes that must be seen."""

from collections.abc import Callable

from kerasbook import chapter2_deep_network, chapter2_training
from kerasbook.ledger.chapter2_deep_network import deep_case
from kerasbook.ledger.core import BETA, RATE, as_pairs, claim, mutant

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def _optimiser_claim(name: str, function: str, theirs_like: Callable, **decays: float) -> None:
    @claim("chapter2_training", f"{name} = Keras' optimizer, after 10 steps", sources="NK")
    def pairs(draw):
        weights, x, y = deep_case(draw)
        update, state = getattr(chapter2_training, function), chapter2_training.OPTIMISERS[name][1]
        ours, states = list(weights), [state] * len(weights)
        theirs = [tf.Variable(w) for w in weights]
        optimizer = theirs_like(RATE)
        for _ in range(10):
            for i, gradient in enumerate(
                chapter2_deep_network.backward(y, chapter2_deep_network.forward(x, ours), ours)
            ):
                ours[i], states[i] = update(ours[i], gradient, states[i], RATE, **decays)
            optimizer.apply(chapter2_deep_network.tape_gradients(x, y, theirs), theirs)
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


@claim("chapter2_training", "L2 penalty, and its gradient", sources="NK")
def _(draw):
    weights, *_ = deep_case(draw)
    variables = [tf.Variable(w) for w in weights[::2]]
    with tf.GradientTape() as tape:
        penalty = sum(keras.regularizers.L2(RATE)(variable) for variable in variables)
    slopes = tape.gradient(penalty, variables)
    pairs = {"values": (chapter2_training.l2_penalty(weights, RATE), penalty)}
    return pairs | as_pairs("gradient", chapter2_training.l2_gradients(weights, RATE)[::2], slopes)


@claim("chapter2_training", "dropout = Keras' layer with the same mask", sources="NK")
def _(draw):
    x, seed = draw(9, 8) + 2, draw.size()
    ones = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)(np.ones_like(x), training=True)
    theirs = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)(x, training=True)
    mask = ones.numpy() > 0
    pairs = {"values": (chapter2_training.dropout(x, mask, 0.3), theirs)}
    still = layers.Dropout(0.3, dtype=draw.dtype)(x)  # not in training: nothing happens
    pairs["values, not in training"] = x, still
    slope, signal = mask / np.float64(0.7), tf.constant(x)
    layer = layers.Dropout(0.3, seed=seed, dtype=draw.dtype)
    with tf.GradientTape() as tape:
        tape.watch(signal)
        total = tf.reduce_sum(layer(signal, training=True))
    return pairs | {"gradient of x": (slope, tape.gradient(total, signal))}


# --- mistakes to be seen --------------------------------------------------------------------

mutant(
    "chapter2_training",
    chapter2_training.momentum,
    "decay * velocity - ",
    "decay * velocity - (1 - decay) * ",
    "EMA",
)
mutant(
    "chapter2_training",
    chapter2_training.rmsprop,
    "+ epsilon)",
    ") + epsilon",
    "eps outside the root",
)
mutant(
    "chapter2_training",
    chapter2_training.rmsprop,
    "(1 - decay) * gradient",
    "gradient",
    "mean square not averaged",
)
mutant(
    "chapter2_training",
    chapter2_training.adam,
    "(1 - beta_2**step) ** 0.5",
    "1",
    "no correction of the second moment",
)
mutant(
    "chapter2_training",
    chapter2_training.adam,
    " / (1 - beta_1**step)",
    "",
    "no correction of the first moment",
)
mutant(
    "chapter2_training",
    chapter2_training.adam,
    "state[0] + 1",
    "state[0] + 2",
    "steps counted from 2",
)
mutant("chapter2_training", chapter2_training.sgd, "- learning_rate", "+ learning_rate", "uphill")
mutant(
    "chapter2_training",
    chapter2_training.l2_penalty,
    "l2 * sum",
    "l2 / 2 * sum",
    "half the penalty",
)
mutant(
    "chapter2_training",
    chapter2_training.l2_penalty,
    "weights[::2]",
    "weights",
    "biases penalised too",
)
mutant("chapter2_training", chapter2_training.l2_gradients, "2 * l2", "l2", "the 2 forgotten")
mutant("chapter2_training", chapter2_training.dropout, " / (1 - rate)", "", "not scaled up")
mutant(
    "chapter2_training",
    chapter2_training.dropout,
    "(1 - rate)",
    "rate",
    "scaled by the wrong share",
)
