"""Mixup: an augmentation that mixes two pictures and their labels."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=20,
    difficulty=2,
    points=2,
    outputs=("pictures", "labels"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "The partner of picture k is picture order[k] of the batch; its share is 1 − shares[k].",
        "Labels can be mixed in the same way, once they are rows with a 1 at their class.",
        "s = shares[:, None, None, None]; pictures = s * x + (1 - s) * x[order]; the same with "
        "np.eye(classes)[y] and shares[:, None].",
    ],
)


@exercise.stub
def mix_up(x, y, classes, order, shares):
    """A batch in which each picture is mixed with another one, and its label likewise.

    If picture k is three quarters a shirt and one quarter a coat, it should be called so. With
    the share λ_k and the partner order[k],

        picture k = λ_k · x_k + (1 − λ_k) · x_order[k]

    and the label becomes a row of probabilities: λ_k for the class of x_k and 1 − λ_k for that of
    its partner, which add up where the two are of one class.

    Practises: chapter 3, continued: deeper networks, "Which augmentation?".

    Args:
        x: (n, height, width, channels) float64 array.
        y: (n,) int64 array of classes.
        classes: integer, how many there are.
        order: (n,) int64 array, a permutation of 0 … n − 1.
        shares: (n,) float64 array between 0 and 1.

    Returns:
        pictures (n, height, width, channels) and labels (n, classes), float32 or float64.
        Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, shape, classes):
    return {
        "x": random.normal(size=shape),
        "y": random.integers(0, classes, shape[0]),
        "classes": classes,
        "order": (np.arange(shape[0]) + int(random.integers(1, 3))) % shape[0],
        "shares": random.uniform(size=shape[0]),
    }


@exercise.public
def examples(random):
    x = np.array([0.0, 8.0]).reshape(2, 1, 1, 1)
    inputs = {"x": x, "y": np.array([0, 2]), "classes": 3}
    yield Case("two pixels", inputs | {"order": np.array([1, 0]), "shares": np.array([0.75, 0.5])})


@exercise.hidden
def drawn(random):
    for shape, classes in (((6, 3, 4, 2), 4), ((4, 4, 4, 4), 4), ((7, 2, 2, 1), 10)):
        name = f"{shape[0]} pictures, {classes} classes"
        yield Case(name, drawn_inputs(random, shape, classes), unchanged=True)
    same = drawn_inputs(random, (5, 2, 3, 1), 3) | {"y": np.full(5, 1)}
    yield Case("all of one class", same)


@exercise.reference
def solution(x, y, classes, order, shares):
    s, rows = shares[:, np.newaxis, np.newaxis, np.newaxis], np.eye(classes)[y]
    labels = shares[:, np.newaxis] * rows + (1 - shares[:, np.newaxis]) * rows[order]
    return s * x + (1 - s) * x[order], labels


@exercise.right
def one_by_one(x, y, classes, order, shares):
    pictures, labels = np.empty_like(x), np.zeros((len(x), classes))
    for k, (other, share) in enumerate(zip(order, shares)):
        pictures[k] = x[other] + share * (x[k] - x[other])
        labels[k, y[k]] += share
        labels[k, y[other]] += 1 - share
    return pictures, labels


@exercise.right
def with_tensorflow(x, y, classes, order, shares):
    s, rows = tf.reshape(shares, (-1, 1, 1, 1)), tf.one_hot(y, classes, dtype=tf.float64)
    labels = s[:, :, 0, 0] * rows + (1 - s[:, :, 0, 0]) * tf.gather(rows, order)
    return s * x + (1 - s) * tf.gather(x, order), labels


@exercise.right
def as_a_matrix(x, y, classes, order, shares):
    mixing = np.diag(shares) + np.diag(1 - shares) @ np.eye(len(x))[order]
    pictures = keras.ops.tensordot(mixing, x, axes=1)
    return pictures, keras.ops.matmul(mixing, np.eye(classes)[y])


@exercise.wrong("The labels stay as they were. A picture that is part coat is part coat.")
def labels_not_mixed(x, y, classes, order, shares):
    s = shares[:, np.newaxis, np.newaxis, np.newaxis]
    return s * x + (1 - s) * x[order], np.eye(classes)[y]


@exercise.wrong("The shares are swapped in the labels: λ belongs to the picture's own class.")
def shares_swapped(x, y, classes, order, shares):
    s, rows = shares[:, np.newaxis, np.newaxis, np.newaxis], np.eye(classes)[y]
    labels = (1 - shares[:, np.newaxis]) * rows + shares[:, np.newaxis] * rows[order]
    return s * x + (1 - s) * x[order], labels


@exercise.wrong("All pictures are mixed with the share of the first; each has its own.")
def one_share(x, y, classes, order, shares):
    s, rows = shares[0], np.eye(classes)[y]
    return s * x + (1 - s) * x[order], s * rows + (1 - s) * rows[order]


@exercise.wrong(
    "Where both pictures are of one class, the second share overwrites the first. They add up."
)
def overwritten(x, y, classes, order, shares):
    s = shares[:, np.newaxis, np.newaxis, np.newaxis]
    labels = np.zeros((len(x), classes))
    labels[np.arange(len(x)), y] = shares
    labels[np.arange(len(x)), y[order]] = 1 - shares
    return s * x + (1 - s) * x[order], labels


@exercise.wrong("The share of the partner is its own λ. Both shares come from picture k.")
def partners_share(x, y, classes, order, shares):
    s, rows = shares[:, np.newaxis, np.newaxis, np.newaxis], np.eye(classes)[y]
    labels = shares[:, np.newaxis] * rows + (1 - shares[order, np.newaxis]) * rows[order]
    return s * x + (1 - s[order]) * x[order], labels


@exercise.wrong()
def order_turned_round(x, y, classes, order, shares):
    back = np.argsort(order)
    s, rows = shares[:, np.newaxis, np.newaxis, np.newaxis], np.eye(classes)[y]
    labels = shares[:, np.newaxis] * rows + (1 - shares[:, np.newaxis]) * rows[back]
    return s * x + (1 - s) * x[back], labels


@exercise.wrong()
def mixed_classes(x, y, classes, order, shares):
    s = shares[:, np.newaxis, np.newaxis, np.newaxis]
    mixed = np.rint(shares * y + (1 - shares) * y[order]).astype(int)
    return s * x + (1 - s) * x[order], np.eye(classes)[mixed]


@exercise.wrong()
def the_larger_one_only(x, y, classes, order, shares):
    s = shares[:, np.newaxis, np.newaxis, np.newaxis]
    chosen = np.where(shares >= 0.5, y, y[order])
    return s * x + (1 - s) * x[order], np.eye(classes)[chosen]
