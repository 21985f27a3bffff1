"""Chapter 1: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter1, training
from kerasbook.ledger.core import (
    RATE,
    as_pairs,
    claim,
    mutant,
    values_and_gradients,
)
from kerasbook.testing.compare import as_function

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@claim(1, "linear layer = Dense", sources="NTK")
def _(draw):
    n, d, units = draw.size(), draw.size(), draw.size()
    layer = layers.Dense(units, dtype=draw.dtype)
    layer.build((n, d))
    inputs = {"x": draw(n, d), "w": draw(d, units), "b": draw(units)}
    return values_and_gradients(chapter1.linear, as_function(layer), chapter1.linear, **inputs)


@claim(1, "mean squared error and its gradient = Keras, tape", sources="NTK")
def _(draw):
    x, w, b = draw(draw.size(), 3), draw(3, 1), draw(1)
    y = draw(len(x), 1)
    loss = keras.losses.MeanSquaredError(dtype=draw.dtype)(y, x @ w + b)
    pairs = {"values": (chapter1.mean_squared_error(y, chapter1.linear(x, w, b)), loss)}
    by_hand, by_tape = chapter1.gradient(x, y, w, b), chapter1.tape_gradient(x, y, w, b)
    return pairs | as_pairs("gradient", by_hand, by_tape)


@claim(
    1, "gradient of the mean squared error = finite differences", dtypes=("float64",), sources="N"
)
def _(draw):
    x, w, b = draw(draw.size(), 3), draw(3, 1), draw(1)
    y = draw(len(x), 1)

    def slopes_for(function, weight):
        return chapter1.numerical_gradient(function, weight, step=1e-3)  # exact for a square

    w_slopes = slopes_for(lambda w: np.mean((x @ w + b - y) ** 2), w)
    b_slopes = slopes_for(lambda b: np.mean((x @ w + b - y) ** 2), b)
    return as_pairs("slopes", chapter1.gradient(x, y, w, b), (w_slopes, b_slopes))


@claim(1, "mini-batch descent with momentum = Keras' SGD", dtypes=("float64",), sources="NK")
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


@claim(1, "at the normal equation's answer the gradient is zero", dtypes=("float64",), sources="NT")
def _(draw):
    x, y = draw(12, 3), draw(12, 1)
    w, b = chapter1.normal_equation(x, y)
    pairs = as_pairs(
        "gradient", chapter1.tape_gradient(x, y, w, b), (np.zeros((3, 1)), np.zeros(1))
    )
    return {name: (1 + ours, 1 + theirs) for name, (ours, theirs) in pairs.items()}


# --- mistakes to be seen --------------------------------------------------------------------

mutant(1, chapter1.linear, "+ b", "- b", "bias subtracted")
mutant(1, chapter1.linear, " + b", "", "bias forgotten")
mutant(1, chapter1.mean_squared_error, "y_pred - y", "y_pred - y[:, 0]", "(n,) against (n, 1)")
mutant(1, chapter1.mean_squared_error, "np.mean", "0.5 * np.mean", "half the loss")
mutant(1, chapter1.gradient, "return 2 *", "return", "the 2 of the square forgotten")
mutant(1, chapter1.gradient, "/ len(x)", "", "sum in place of mean")
mutant(1, chapter1.gradient, "- y", "+ y", "sign of the error")
mutant(1, chapter1.gradient, "2 * error.mean(axis=0)", "2 * error.sum(axis=0)", "bias: sum")
mutant(1, chapter1.descend, "momentum * velocity_w", "velocity_w", "momentum not applied")
mutant(1, chapter1.descend, "batch_order(seed, epoch,", "batch_order(seed, 0,", "one order for all")
mutant(1, chapter1.descend, "first + batch_size", "first + batch_size - 1", "a row left out")
mutant(1, chapter1.normal_equation, "np.ones", "np.zeros", "no column of ones")
