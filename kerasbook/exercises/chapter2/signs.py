"""Cross-entropy from logits for labels −1 and 1."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=2,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("loss", "gradient"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "For y = 1 the loss is −log σ(z), for y = −1 it is −log(1 − σ(z)) = −log σ(−z). Both are "
        "−log σ of one and the same expression in y and z.",
        "The loss is log(1 + e^(−yz)), which np.logaddexp(0, …) computes without an overflow. Its "
        "derivative by z has the factor −y from the inside.",
        "loss = np.logaddexp(0, −y·z); gradient = −y · σ(−y·z), with the σ that cannot overflow: "
        "np.exp(−np.logaddexp(0, y·z)).",
    ],
)


@exercise.stub
def sign_cross_entropy(y, z):
    """The cross-entropy of each logit, and its derivative, for labels −1 and 1.

    In the chapter the two classes are called 0 and 1. Many books call them −1 and 1. The model is
    the same: the probability of class 1 is σ(z), that of class −1 is 1 − σ(z), and the loss of an
    example is minus the logarithm of the probability of its own class. It must be right for logits
    up to ±1000, where σ(z) is rounded to 0 or 1.

    Practises: chapter 2, "The formula that overflows" and "Its gradient".

    Args:
        y: (n,) array of −1 and 1, of the dtype of z.
        z: (n,) array of logits, float32 or float64.

    Returns:
        The loss of each example (n,), and the derivative of that loss by its logit (n,). Not
        divided by n. Tolerance: 1e-6 + 1e-5 · |expected|; no NaN or infinity.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    y, z = np.array([1.0, 1.0, -1.0, -1.0]), np.array([2.0, -1.0, 2.0, -1.0])
    yield Case("four logits", {"y": y, "z": z})
    yield Case("sure", {"y": np.array([1.0, -1.0]), "z": np.array([-500.0, -500.0])})


@exercise.hidden
def drawn(random):
    for n, dtype in ((20, "float64"), (33, "float32"), (1, "float64")):
        y = random.choice([-1, 1], n).astype(dtype)
        inputs = {"y": y, "z": random.normal(0, 3, n).astype(dtype)}
        yield Case(f"{n} logits in {dtype}", inputs, unchanged=True)
    z = random.uniform(-1000, 1000, 12)
    z[:4] = 1000, 1000, -1000, -1000
    y = random.choice([-1.0, 1.0], 12)
    y[:4] = 1, -1, 1, -1
    yield Case("sure answers", {"y": y, "z": z})


@exercise.reference
def solution(y, z):
    return np.logaddexp(0, -y * z), -y * np.exp(-np.logaddexp(0, y * z))


@exercise.right
def with_the_chapters_form(y, z):
    truth = (y + 1) / 2
    loss = np.maximum(z, 0) - truth * z + np.log1p(np.exp(-np.abs(z)))
    return loss, np.exp(-np.logaddexp(0, -z)) - truth


@exercise.right
def with_tensorflow(y, z):
    truth = tf.constant((y + 1) / 2)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=truth, logits=tf.constant(z))
    return loss, tf.sigmoid(tf.constant(z)) - truth


@exercise.right
def with_keras(y, z):
    return keras.ops.softplus(-y * z), -y * keras.ops.sigmoid(-y * z)


@exercise.wrong(
    "That is the chapter's formula for labels 0 and 1. With y = −1 it gives the wrong loss: turn "
    "the labels into 0 and 1 first, or find the form for signs."
)
def labels_taken_as_0_and_1(y, z):
    loss = np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))
    return loss, np.exp(-np.logaddexp(0, -z)) - y


@exercise.wrong(
    "For sure answers the loss is infinite or no number: σ(z) was rounded to 0 or 1 before its "
    "logarithm was taken. Work on the logits."
)
def as_printed(y, z):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-y * z))
        return -np.log(p), -y * (1 - p)


@exercise.wrong(
    "The loss is right, its derivative is that for labels 0 and 1: σ(z) − y. With signs it is "
    "−y σ(−yz)."
)
def gradient_for_0_and_1(y, z):
    return np.logaddexp(0, -y * z), np.exp(-np.logaddexp(0, -z)) - y


@exercise.wrong("The sign of y z: a logit with the sign of its label is right, and costs little.")
def sign_of_the_product(y, z):
    return np.logaddexp(0, y * z), y * np.exp(-np.logaddexp(0, -y * z))


@exercise.wrong("The derivative has the factor y from the inside, and it is missing.")
def inside_forgotten(y, z):
    return np.logaddexp(0, -y * z), -np.exp(-np.logaddexp(0, y * z))


@exercise.wrong("The losses are averaged. Asked for is the loss of each example, (n,).")
def averaged(y, z):
    loss = np.logaddexp(0, -y * z)
    return loss.mean(), -y * np.exp(-np.logaddexp(0, y * z)) / len(z)


@exercise.wrong()
def clipped(y, z):
    with np.errstate(all="ignore"):
        p = np.clip(1 / (1 + np.exp(-(y * z).astype("float64"))), 1e-7, 1 - 1e-7)
    return -np.log(p), -y * (1 - p)


@exercise.wrong()
def hinge(y, z):
    return np.maximum(0, 1 - y * z), np.where(y * z < 1, -y, 0)


@exercise.wrong()
def gradient_divided(y, z):
    return np.logaddexp(0, -y * z), -y * np.exp(-np.logaddexp(0, y * z)) / len(z)
