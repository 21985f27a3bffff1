"""Chapter 2: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter2
from kerasbook.ledger.core import as_pairs, claim, mutant, slopes

import keras
import tensorflow as tf


@claim(2, "sigmoid, and softmax", sources="NTK")
def _(draw):
    z = 20 * draw(draw.size(), draw.size())
    large = 200 * z  # e^z overflows, also in 64 bits
    return {
        "values of softmax, large scores": (chapter2.softmax(large), keras.ops.softmax(large)),
        "values of sigmoid, large scores": (chapter2.sigmoid(large), keras.ops.sigmoid(large)),
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
    large = 200 * z  # e^z overflows, also in 64 bits
    pairs = {
        "values": (chapter2.cross_entropy(y, z), loss),
        "values, large scores": (chapter2.cross_entropy(y, large), loss_fn(y, large)),
        "gradient of z": (by_hand, tape.gradient(loss, logits)),
    }
    if draw.dtype == "float64":
        few = z / 10  # a sure answer has no slope to be measured
        by_hand = chapter2.cross_entropy_gradient(y, few)
        pairs |= slopes(lambda z: chapter2.cross_entropy(y, z), {"z": few}, [by_hand])
    return pairs


# --- mistakes to be seen --------------------------------------------------------------------

mutant(2, chapter2.sigmoid, "np.logaddexp(0, -z)", "np.logaddexp(0, z)", "sign in the sigmoid")
mutant(
    2, chapter2.softmax, "axis=1, keepdims=True)\n", "axis=0, keepdims=True)\n", "softmax over rows"
)
mutant(2, chapter2.softmax, " - z.max(axis=1, keepdims=True)", "", "overflow for large scores")
mutant(2, chapter2.cross_entropy, "z = z - z.max(axis=1, keepdims=True)", "", "overflow as well")
mutant(2, chapter2.cross_entropy_from_logits, "- y * z", "+ y * z", "sign of y z")
mutant(
    2, chapter2.cross_entropy_from_logits, "-np.abs(z)", "np.abs(z)", "overflow for large scores"
)
mutant(2, chapter2.logistic_gradient, "/ len(x)", "", "sum in place of mean")
mutant(2, chapter2.cross_entropy, "np.mean", "np.sum", "sum in place of mean")
mutant(2, chapter2.cross_entropy_gradient, "- one_hot", "", "truth forgotten")
mutant(2, chapter2.cross_entropy_gradient, "/ len(y)", "", "mean forgotten")
