"""The optimisers that chapter 2 leaves out, in its manner, beside Keras'.

Each takes the weights, their gradient, and the state: the step's number, from 1, and what the
optimiser remembers, zeros at first. It returns the next weights and what it remembers now.
"""

from collections.abc import Callable

from kerasbook import chapter2_training
from kerasbook.ledger.core import BETA, RATE, as_pairs, claim, mutant

import keras
import numpy as np
import tensorflow as tf

EPSILON = 1e-7


def nesterov(w, g, step, velocity, decay=0.75):
    """Returns a step of momentum, and then one step further with the new velocity."""
    velocity = decay * velocity - RATE * g
    return w + decay * velocity - RATE * g, (velocity,)


def centred_rmsprop(w, g, step, mean_square, mean, velocity, decay=0.75):
    """Returns RMSProp that divides by the spread of the gradients, with momentum."""
    mean_square = decay * mean_square + (1 - decay) * g**2
    mean = decay * mean + (1 - decay) * g
    velocity = 0.5 * velocity + RATE * g / np.sqrt(mean_square - mean**2 + EPSILON)
    return w - velocity, (mean_square, mean, velocity)


def adagrad(w, g, step, total):
    """Returns a step divided by the root of the sum of all squares so far."""
    total = total + g**2
    return w - RATE * g / np.sqrt(total + EPSILON), (total,)


def adadelta(w, g, step, mean_square, mean_square_step, decay=0.75):
    """Returns a step divided by the usual size of the gradient, times that of the step."""
    mean_square = decay * mean_square + (1 - decay) * g**2
    change = g * np.sqrt(mean_square_step + EPSILON) / np.sqrt(mean_square + EPSILON)
    mean_square_step = decay * mean_square_step + (1 - decay) * change**2
    return w - RATE * change, (mean_square, mean_square_step)


def adamax(w, g, step, mean, largest, beta_1=0.75, beta_2=BETA):
    """Returns Adam with a fading maximum in place of the root of the mean square."""
    mean = beta_1 * mean + (1 - beta_1) * g
    largest = np.maximum(beta_2 * largest, np.abs(g))
    return w - RATE * mean / ((1 - beta_1**step) * (largest + EPSILON)), (mean, largest)


def adamw(w, g, step, mean, mean_square, weight_decay=0.25):
    """Returns Adam, after the weights were shortened: the decay does not go through the means."""
    w = w - RATE * weight_decay * w
    betas = {"beta_1": 0.75, "beta_2": BETA}
    w, (_, *memory) = chapter2_training.adam(w, g, (step - 1, mean, mean_square), RATE, **betas)
    return w, memory


def amsgrad(w, g, step, mean, mean_square, largest, beta_1=0.75, beta_2=BETA):
    """Returns Adam that divides by the largest mean square so far."""
    mean = beta_1 * mean + (1 - beta_1) * g
    mean_square = beta_2 * mean_square + (1 - beta_2) * g**2
    largest = np.maximum(largest, mean_square)
    rate = RATE * np.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    return w - rate * mean / (np.sqrt(largest) + EPSILON), (mean, mean_square, largest)


def nadam(w, g, step, mean, mean_square, beta_1=0.75, beta_2=BETA):
    """Returns Adam with Nesterov's look ahead; beta_1 grows from its half to itself."""

    def beta(t):
        return beta_1 * (1 - 0.5 * 0.96**t)

    mean = beta_1 * mean + (1 - beta_1) * g
    mean_square = beta_2 * mean_square + (1 - beta_2) * g**2
    product = np.prod([beta(t) for t in range(1, step + 1)])
    ahead = beta(step + 1) * mean / (1 - product * beta(step + 1))
    ahead = ahead + (1 - beta(step)) * g / (1 - product)
    root = np.sqrt(mean_square / (1 - beta_2**step))
    return w - RATE * ahead / (root + EPSILON), (mean, mean_square)


def lion(w, g, step, mean, beta_1=0.75, beta_2=0.875):
    """Returns a step of the sign alone: every weight moves by the learning rate."""
    w = w - RATE * np.sign(beta_1 * mean + (1 - beta_1) * g)
    return w, (beta_2 * mean + (1 - beta_2) * g,)


# --- claims -------------------------------------------------------------------------------


def _claim(function: Callable, remembers: int, keras_optimizer: Callable, **options) -> None:
    name = function.__name__

    @claim(
        "chapter2_training", f"{name} = Keras' optimizer, after 12 steps", sources="NK", **options
    )
    def pairs(draw):
        start = [draw(draw.size(), draw.size()), draw(draw.size())]
        theirs = [tf.Variable(w) for w in start]
        optimizer = keras_optimizer(RATE)
        ours, memories = list(start), [(np.zeros((), draw.dtype),) * remembers] * 2
        for step in range(1, 13):
            gradients = [w + draw(*w.shape) for w in start]
            optimizer.apply([tf.constant(g) for g in gradients], theirs)
            for i, g in enumerate(gradients):
                ours[i], memories[i] = globals()[name](ours[i], g, step, *memories[i])
        return as_pairs("weights", ours, theirs)


_ADAM = {"beta_1": 0.75, "beta_2": BETA}
_all = keras.optimizers
_claim(nesterov, 1, lambda rate: _all.SGD(rate, momentum=0.75, nesterov=True))
_claim(centred_rmsprop, 3, lambda rate: _all.RMSprop(rate, rho=0.75, momentum=0.5, centered=True))
_claim(adagrad, 1, lambda rate: _all.Adagrad(rate, initial_accumulator_value=0.0))
_claim(adadelta, 2, lambda rate: _all.Adadelta(rate, rho=0.75))
_claim(adamax, 2, lambda rate: _all.Adamax(rate, **_ADAM))
_claim(adamw, 2, lambda rate: _all.AdamW(rate, weight_decay=0.25, **_ADAM))
_claim(amsgrad, 3, lambda rate: _all.Adam(rate, amsgrad=True, **_ADAM))
# Keras keeps a product in 32 bits here.
_claim(nadam, 2, lambda rate: _all.Nadam(rate, **_ADAM), dtypes=("float32",))
_claim(lion, 1, lambda rate: _all.Lion(rate, beta_1=0.75, beta_2=0.875))

# --- mistakes to be seen ------------------------------------------------------------------

mutant(
    "chapter2_training",
    nesterov,
    "w + decay * velocity - RATE * g",
    "w + velocity",
    "no look ahead",
    by="nesterov",
)
mutant("chapter2_training", centred_rmsprop, " - mean**2", "", "not centred", by="centred_rmsprop")
mutant("chapter2_training", adagrad, "total + g**2", "g**2", "only the last square", by="adagrad")
mutant(
    "chapter2_training",
    adadelta,
    "change**2",
    "g**2",
    "gradients in place of steps",
    by="adadelta",
)
mutant("chapter2_training", adamax, "np.abs(g)", "g", "sign kept", by="adamax")
mutant(
    "chapter2_training",
    adamw,
    "RATE * weight_decay * w",
    "weight_decay * w",
    "learning rate left out",
    by="adamw",
)
mutant(
    "chapter2_training",
    adamw,
    "w = w - RATE * weight_decay * w",
    "g = g + weight_decay * w",
    "L2 in its place",
    by="adamw",
)
mutant(
    "chapter2_training",
    amsgrad,
    "np.maximum(largest, mean_square)",
    "mean_square",
    "plain Adam",
    by="amsgrad",
)
mutant(
    "chapter2_training",
    nadam,
    "beta(step + 1) * mean",
    "beta(step) * mean",
    "no look ahead",
    by="nadam",
)
mutant("chapter2_training", lion, "np.sign", "", "sign left out", by="lion")
