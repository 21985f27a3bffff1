"""Chapter 9: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter9
from kerasbook.ledger.core import as_pairs, claim, mutant, precision
from kerasbook.training import total_loss

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def _classifier(draw, features=4):
    """A network with a penalty, in the dtype of the draw."""
    with precision(draw.dtype):
        inside = [layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(0.5))]
        model = keras.Sequential([keras.Input((features,)), *inside, layers.Dense(3)])
    model.set_weights([draw(*weight.shape) for weight in model.get_weights()])
    return model


def _cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _loss_and_gradients(model, x, y):
    with tf.GradientTape() as tape:
        loss = total_loss(model, _cross_entropy(), y, model(x, training=True))
    return loss, tape.gradient(loss, model.trainable_variables)


@claim(9, "gradients of micro-batches, a short one too = the whole batch's")
def _(draw):
    model, rows = _classifier(draw), 2 * draw.size(2, 4) + 1
    x, y = draw(rows, 4), draw.random.integers(0, 3, rows)
    with precision(draw.dtype):
        loss, expected = _loss_and_gradients(model, x, y)
        pairs = {}
        for pieces in (2, 4):
            found = chapter9.accumulated_gradients(model, _cross_entropy(), x, y, pieces)
            pairs[f"values of the loss, {pieces} pieces"] = found[0], loss
            pairs |= as_pairs(f"gradient, {pieces} pieces,", found[1], expected)
    return pairs


@claim(9, "the sum of the towers' gradients = one device's")
def _(draw):
    model, rows = _classifier(draw), 2 * draw.size(2, 4) + 1
    x, y = draw(rows, 4), draw.random.integers(0, 3, rows)
    with precision(draw.dtype):
        _, expected = _loss_and_gradients(model, x, y)
        pairs = {}
        for towers in (2, 3):
            shares = np.array_split(np.arange(rows), towers)
            gradients = [
                chapter9.gradient_of_share(model, x[share], y[share], rows, towers)
                for share in shares
            ]
            for number, tower in enumerate(chapter9.all_reduce(gradients)):
                pairs |= as_pairs(f"gradient, tower {number} of {towers},", tower, expected)
    return pairs


@claim(9, "the ring's sum, and what it sends = the sum, 2 (n - 1) / n of it", sources="NT")
def _(draw):
    pairs = {}
    for devices in (2, 3, 4):
        size = devices * draw.size()
        rows = draw(devices, size)
        states, sent = chapter9.ring_all_reduce(rows)
        total = tf.reduce_sum(tf.constant(rows), axis=0)
        pairs[f"values of {devices} devices"] = states[-1], np.tile(total, (devices, 1))
        expected = chapter9.bytes_sent(size, devices)
        pairs[f"values sent by {devices}"] = 4.0 * sent, np.full(devices, expected)
    return pairs


@claim(9, "normalised with the moments of all towers = Keras' BatchNormalization", sources="NK")
def _(draw):
    rows = draw.size(5, 9)
    x = draw(rows, 3)
    layer = layers.BatchNormalization(dtype=draw.dtype)
    return {"values": (chapter9.normalised([x[:2], x[2:]], True), layer(x, training=True))}


@claim(9, "loss scaling = Keras' LossScaleOptimizer: scale, weights", dtypes=("float32",))
def _(draw):
    scales, weights = chapter9.compare_scaling(steps=9, initial=2.0**18, patience=2)
    return {"values of the scale": tuple(scales), "weights after each step": tuple(weights)}


# --- mistakes to be seen --------------------------------------------------------------------

SCALING, PIECES, TOWERS = {"by": "scaling"}, {"by": "micro"}, {"by": "towers'"}
mutant(9, chapter9.next_scale, "2 * scale", "4 * scale", "the scale grows too fast", **SCALING)
mutant(9, chapter9.next_scale, "scale / 2)", "scale)", "an overflow is ignored", **SCALING)
mutant(9, chapter9.next_scale, "counted, 0)", "counted, 1)", "counts the overflow", **SCALING)
mutant(9, chapter9.make_scaled_step, "each / scale", "each", "not scaled back", **SCALING)
mutant(9, chapter9.accumulated_gradients, "(last - first) / rows", "1 / micro_batches",
       "mean of means", **PIECES)  # fmt: skip
mutant(9, chapter9.accumulated_gradients, "[total + each", "[each", "only the last", **PIECES)
mutant(9, chapter9.gradient_of_share, "(model.losses) / towers", "(model.losses)",
       "the penalty once per tower", **TOWERS)  # fmt: skip
mutant(9, chapter9.gradient_of_share, "/ all_rows", "/ len(y) / towers",
       "mean of means over towers", **TOWERS)  # fmt: skip
mutant(9, chapter9.ring_all_reduce, "step < devices - 1", "step < devices",
       "adds once too often", by="ring")  # fmt: skip
mutant(9, chapter9.ring_all_reduce, "(sender + 1)", "(sender - 1)", "the other way", by="ring")
mutant(9, chapter9.normalised, "s - m**2", "s", "the variance is the mean square", by="normalised")
