"""The losses: each by its formula in NumPy, by TensorFlow's operations, and as Keras' class.

The functions return the mean loss, a scalar, and its gradient for the predictions, by hand. Truth
y and prediction p or z are (n, k). Chapter 2 explains the cross-entropies.
"""

from kerasbook import chapter2, chapter6_encoder_decoder
from kerasbook.ledger.core import as_pairs, claim, mutant, slopes

import keras
import numpy as np
import tensorflow as tf


def mean_absolute_error(y, p):
    """Returns |p − y|."""
    return np.mean(np.abs(p - y)), np.sign(p - y) / p.size


def huber(y, p, delta=1.0):
    """Returns half the square for errors up to delta, a straight line beyond."""
    error = p - y
    near = np.abs(error) <= delta
    losses = np.where(near, error**2 / 2, delta * (np.abs(error) - delta / 2))
    return np.mean(losses), np.where(near, error, delta * np.sign(error)) / p.size


def log_cosh(y, p):
    """Returns log cosh(p − y): like half the square near zero, like the distance far away."""
    return np.mean(np.log(np.cosh(p - y))), np.tanh(p - y) / p.size


def binary_cross_entropy(y, p):
    """Returns −y log p − (1 − y) log(1 − p), from probabilities."""
    losses = -y * np.log(p) - (1 - y) * np.log(1 - p)
    return np.mean(losses), (p - y) / (p * (1 - p)) / p.size


def cross_entropy(y, p):
    """Returns −Σ y log p over the classes, from probabilities; Keras first divides p by its sum."""
    total = p.sum(axis=1, keepdims=True)
    losses = -np.sum(y * np.log(p / total), axis=1)
    return np.mean(losses), (y.sum(axis=1, keepdims=True) / total - y / p) / len(p)


def cross_entropy_from_logits(y, z):
    """Returns −Σ y log softmax(z) over the classes, for rows y of shares that add up to 1."""
    probabilities = chapter2.softmax(z)
    return np.mean(-np.sum(y * np.log(probabilities), axis=1)), (probabilities - y) / len(z)


def smooth(y, share):
    """Returns the truth less a share, which all classes get in equal parts."""
    return (1 - share) * y + share / y.shape[1]


def smooth_binary(y, share):
    """Returns the same for two classes of which one is written down."""
    return (1 - share) * y + share / 2


def kl_divergence(y, p):
    """Returns Σ y log(y / p) over the classes."""
    return np.mean(np.sum(y * np.log(y / p), axis=1)), -y / p / len(p)


def hinge(y, p):
    """Returns max(0, 1 − y p), for y = ±1."""
    return np.mean(np.maximum(1 - y * p, 0)), np.where(y * p < 1, -y, 0) / p.size


def squared_hinge(y, p):
    """Returns its square."""
    short = np.maximum(1 - y * p, 0)
    return np.mean(short**2), -2 * y * short / p.size


def poisson(y, p):
    """Returns p − y log p, for counts y; Keras adds a little to p, against the logarithm of 0."""
    return np.mean(p - y * np.log(p + 1e-7)), (1 - y / (p + 1e-7)) / p.size


# --- claims -------------------------------------------------------------------------------


def _loss_claim(name, ours, keras_loss, draw_data, by_tf=None, **options):
    """by_tf: the same in TensorFlow's operations, (y, p) → scalar."""

    @claim(2, f"loss: {name}", sources="NTK" if by_tf else "NK", **options)
    def pairs(draw):
        y, p = draw_data(draw)
        loss_fn = keras_loss(dtype=draw.dtype)
        value, gradient = ours(y, p)
        found = {}
        for source, function in (("Keras", loss_fn), ("TensorFlow", by_tf)):
            if function is None:
                continue
            predicted = tf.constant(p)
            with tf.GradientTape() as tape:
                tape.watch(predicted)
                loss = function(y, predicted)
            found[f"values, {source}"] = value, loss
            found[f"gradient, {source}"] = gradient, tape.gradient(loss, predicted)
        if draw.dtype == "float64":
            found |= slopes(lambda p: ours(y, p)[0], {"p": p}, [gradient])
        return found


def _numbers(draw):
    n, k = draw.size(), draw.size()
    return 3 * draw(n, k), 3 * draw(n, k)


def _yes_or_no(draw):
    shape = draw.size(), draw.size()
    return (draw(*shape) > 0).astype(draw.dtype), 0.05 + 0.9 * draw.random.random(shape).astype(
        draw.dtype
    )


def _signs(draw):
    y, p = _numbers(draw)
    return np.sign(y), p


def _shares(draw):
    n, classes = draw.size(), draw.size()
    return draw.shares(n, classes), draw.shares(n, classes)


def _one_hot(draw):
    y, p = _shares(draw)
    return np.eye(y.shape[1], dtype=draw.dtype)[y.argmax(axis=1)], p


def _logits(draw):
    y, p = _one_hot(draw)
    return y, 3 * draw(*p.shape)


def _counts(draw):
    shape = draw.size(), draw.size()
    counts = draw.random.integers(0, 5, shape).astype(draw.dtype)
    return counts, (0.2 + draw.random.random(shape)).astype(draw.dtype)


class _Sparse:
    """A Keras loss of class numbers as one of rows with a single 1."""

    def __init__(self, from_logits):
        self.from_logits = from_logits

    def __call__(self, **options):
        loss_fn = keras.losses.SparseCategoricalCrossentropy(self.from_logits, **options)
        return lambda y, p: loss_fn(y.argmax(axis=1), p)


_LOSSES = keras.losses
_loss_claim(
    "mean absolute error",
    lambda y, p: mean_absolute_error(y, p),
    _LOSSES.MeanAbsoluteError,
    _numbers,
    lambda y, p: tf.reduce_mean(tf.abs(p - y)),
)
_loss_claim(
    "Huber",
    lambda y, p: huber(y, p, 0.75),
    lambda **options: _LOSSES.Huber(0.75, **options),
    _numbers,
    lambda y, p: tf.reduce_mean(
        tf.minimum(tf.abs(p - y), 0.75) * (tf.abs(p - y) - tf.minimum(tf.abs(p - y), 0.75) / 2)
    ),
)
_loss_claim(
    "log cosh",
    lambda y, p: log_cosh(y, p),
    _LOSSES.LogCosh,
    _numbers,
    dtypes=("float32",),  # Keras takes the logarithm of 2 in 32 bits
)
_loss_claim(
    "binary cross-entropy of probabilities",
    lambda y, p: binary_cross_entropy(y, p),
    _LOSSES.BinaryCrossentropy,
    _yes_or_no,
    lambda y, p: tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(y, tf.math.log(p) - tf.math.log1p(-p))
    ),
)
_loss_claim(
    "binary cross-entropy, smoothed labels",
    lambda y, p: binary_cross_entropy(smooth_binary(y, 0.25), p),
    lambda **options: _LOSSES.BinaryCrossentropy(label_smoothing=0.25, **options),
    _yes_or_no,
)
_loss_claim(
    "cross-entropy of probabilities",
    lambda y, p: cross_entropy(y, p),
    _LOSSES.CategoricalCrossentropy,
    _shares,
    lambda y, p: tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, tf.math.log(p))),
)
_loss_claim(
    "cross-entropy of logits",
    lambda y, z: cross_entropy_from_logits(y, z),
    lambda **options: _LOSSES.CategoricalCrossentropy(from_logits=True, **options),
    _logits,
    lambda y, z: tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(y, z)),
)
_loss_claim(
    "cross-entropy of class numbers, probabilities",
    lambda y, p: cross_entropy(y, p),
    _Sparse(from_logits=False),
    _one_hot,
)
_loss_claim(
    "cross-entropy of class numbers, logits",
    lambda y, z: cross_entropy_from_logits(y, z),
    _Sparse(from_logits=True),
    _logits,
    lambda y, z: tf.reduce_mean(
        tf.nn.sparse_softmax_cross_entropy_with_logits(y.argmax(axis=1), z)
    ),
)
_loss_claim(
    "cross-entropy, smoothed labels",
    lambda y, z: cross_entropy_from_logits(smooth(y, 0.25), z),
    lambda **options: _LOSSES.CategoricalCrossentropy(True, label_smoothing=0.25, **options),
    _logits,
)
_loss_claim(
    "Kullback–Leibler divergence",
    lambda y, p: kl_divergence(y, p),
    _LOSSES.KLDivergence,
    _shares,
)
_loss_claim(
    "hinge",
    lambda y, p: hinge(y, p),
    _LOSSES.Hinge,
    _signs,
    lambda y, p: tf.reduce_mean(tf.nn.relu(1 - y * p)),
)
_loss_claim(
    "squared hinge",
    lambda y, p: squared_hinge(y, p),
    _LOSSES.SquaredHinge,
    _signs,
    lambda y, p: tf.reduce_mean(tf.nn.relu(1 - y * p) ** 2),
)


def _poisson(**options):
    return lambda y, p: _LOSSES.Poisson(**options)(y, p)


_loss_claim("Poisson", lambda y, p: poisson(y, p), _poisson, _counts)


@claim(2, "loss: smoothed cross-entropy (chapter 6)", sources="NK")
def _(draw):
    y, z = _logits(draw)
    loss_fn = chapter6_encoder_decoder.SmoothedCrossEntropy(0.25, dtype=draw.dtype)
    rows = y.argmax(axis=1)[np.newaxis], z[np.newaxis]  # (1, n) and (1, n, classes)
    value, _ = cross_entropy_from_logits(smooth(y, 0.25), z)
    return {"values": (value, loss_fn(*rows))}


@claim(2, "mean absolute error of the forecasts, double softmax of chapter 2", sources="NK")
def _(draw):
    from kerasbook.chapter5_forecasting import mean_absolute_error as of_forecasts

    y, p = _numbers(draw)
    classes, z = _logits(draw)
    twice = cross_entropy_from_logits(classes, chapter2.softmax(z))[0]
    found = of_forecasts(y, p), twice
    expected = (
        keras.losses.MeanAbsoluteError(dtype=draw.dtype)(y, p),
        chapter2.double_softmax_loss(classes.argmax(axis=1), tf.constant(z)),
    )
    return as_pairs("values", found, expected)


# --- mistakes to be seen ------------------------------------------------------------------

mutant(2, mean_absolute_error, "np.mean", "np.sum", "sum in place of mean", by="loss")
mutant(2, mean_absolute_error, "np.sign(p - y)", "(p - y)", "slope of the square", by="loss")
mutant(2, huber, "error**2 / 2", "error**2", "½ forgotten", by="loss")
mutant(2, huber, "- delta / 2", "- delta", "the two parts do not meet", by="loss")
mutant(2, huber, "<= delta", "<= 2 * delta", "another delta", by="loss")
mutant(2, log_cosh, "np.cosh", "np.exp", "exp in place of cosh", by="loss")
mutant(2, binary_cross_entropy, "(1 - y) * np.log(1 - p)", "0", "only one class counts", by="loss")
mutant(2, binary_cross_entropy, "/ (p * (1 - p))", "", "the gradient from logits", by="loss")
mutant(
    2,
    cross_entropy,
    "np.log(p / total)",
    "np.log(p)",
    "shares that need not add up to 1",
    by="loss",
)
mutant(
    2,
    cross_entropy,
    "axis=1)\n    return",
    "axis=0)\n    return",
    "sum over the examples",
    by="loss",
)
mutant(
    2,
    cross_entropy_from_logits,
    "chapter2.softmax(z)",
    "z",
    "probabilities in place of logits",
    by="loss",
)
mutant(2, cross_entropy_from_logits, "/ len(z)", "", "mean forgotten in the gradient", by="loss")
mutant(2, smooth, "y.shape[1]", "(y.shape[1] - 1)", "shared among the others only", by="loss")
mutant(2, smooth_binary, "share / 2", "share", "½ forgotten", by="loss")
mutant(2, kl_divergence, "np.log(y / p)", "np.log(p / y)", "arguments swapped", by="loss")
mutant(2, kl_divergence, "np.log(y / p)", "-np.log(p)", "cross-entropy in its place", by="loss")
mutant(2, hinge, "1 - y * p", "0 - y * p", "margin forgotten", by="loss")
mutant(2, squared_hinge, "short**2", "short", "square forgotten", by="loss")
mutant(2, poisson, "p - y", "p + y", "sign of the logarithm", by="loss")
mutant(
    2,
    chapter2.double_softmax_loss,
    "tf.nn.softmax(logits)",
    "logits",
    "softmax only once",
    by="loss",
)
