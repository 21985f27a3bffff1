"""The gradient of distillation."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=20,
    difficulty=2,
    points=3,
    kind="gradient",
    atol=1e-7,
    rtol=1e-5,
    hints=[
        "Two parts: the labels' is that of chapter 2, softmax minus one. For the teacher's, the "
        "gradient of KL for the divided logits is q - p. What does the chain rule add?",
        "A factor 1 / T from z / T, and T² before it: T · (q - p). Both parts are means over rows.",
        "p, q = softmax(teacher / T), softmax(z / T); the result is (share · T · (q - p) + (1 - "
        "share) · (softmax(z) - one_hot)) / n.",
    ],
)


@exercise.stub
def distillation_gradient(teacher, logits, labels, temperature, share):
    """The gradient of a student's loss for its logits.

    The loss is a mean over the rows of

        share · T² · KL(p ‖ q) + (1 - share) · cross-entropy of the labels,

    where p and q are the softmax of the teacher's and of the student's logits, divided by T, and
    the cross-entropy is of the student's logits as they are.

    Practises: chapter 8, "Can a small network learn what a large one thinks?".

    Args:
        teacher, logits: (n, classes) float64 arrays.
        labels: (n,) integers.
        temperature: T, a float of at least 1.
        share: float from 0 to 1.

    Returns:
        (n, classes): the derivative for each of the student's logits. Tolerance 1e-7 + 1e-5 ·
        |expected|.
    """
    raise NotImplementedError


def rows(random, n, classes, temperature, share, size=3.0):
    """Returns the inputs of a case."""
    return {
        "teacher": random.normal(0, size, (n, classes)),
        "logits": random.normal(0, size, (n, classes)),
        "labels": random.integers(0, classes, n),
        "temperature": temperature,
        "share": share,
    }


@exercise.public
def examples(random):
    inputs = {"teacher": np.array([[6.0, 3.0, 1.0]]), "logits": np.array([[2.0, 2.0, 0.0]])}
    yield Case("one row", inputs | {"labels": np.array([0]), "temperature": 3.0, "share": 1.0})


@exercise.hidden
def drawn(random):
    yield Case("the teacher alone", rows(random, 4, 5, 4.0, 1.0))
    yield Case("the labels alone", rows(random, 3, 4, 4.0, 0.0))
    yield Case("both", rows(random, 6, 10, 2.5, 0.7), unchanged=True)
    yield Case("a temperature of one", rows(random, 2, 3, 1.0, 0.5))
    yield Case("large logits", rows(random, 3, 4, 3.0, 0.6, size=500.0))


@exercise.reference
def solution(teacher, logits, labels, temperature, share):
    def softmax(z):
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return e / e.sum(axis=1, keepdims=True)

    p, q = softmax(teacher / temperature), softmax(logits / temperature)
    soft = temperature * (q - p)
    hard = softmax(logits) - np.eye(logits.shape[1])[labels]
    return (share * soft + (1 - share) * hard) / len(logits)


@exercise.right
def by_the_tape(teacher, logits, labels, temperature, share):
    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        p = tf.nn.softmax(teacher / temperature)
        log_p, log_q = tf.nn.log_softmax(teacher / temperature), tf.nn.log_softmax(z / temperature)
        kl = tf.reduce_mean(tf.reduce_sum(p * (log_p - log_q), axis=1))
        hard = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z))
        loss = share * temperature**2 * kl + (1 - share) * hard
    return tape.gradient(loss, z)


@exercise.right
def as_soft_labels(teacher, logits, labels, temperature, share):
    z = tf.Variable(logits)
    with tf.GradientTape() as tape:
        p = tf.nn.softmax(teacher / temperature)
        soft = tf.nn.softmax_cross_entropy_with_logits(p, z / temperature)
        hard = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, z)
        loss = tf.reduce_mean(share * temperature**2 * soft + (1 - share) * hard)
    return tape.gradient(loss, z)


@exercise.right
def row_by_row(teacher, logits, labels, temperature, share):
    n, classes = logits.shape
    found = np.zeros((n, classes))
    for row in range(n):
        p, q, plain = (
            np.array(keras.ops.softmax(z)).astype("float64")
            for z in (teacher[row] / temperature, logits[row] / temperature, logits[row])
        )
        found[row] = share * temperature * (q - p) + (1 - share) * plain
        found[row, labels[row]] -= 1 - share
    return found / n


exercise.mistake(
    "square_missing",
    "T² is missing: the loss has 1 / T from each of its two divisions, and at a high temperature "
    "hardly anything of the teacher is left.",
    old="temperature * (q - p)",
    new="(q - p) / temperature",
)
exercise.mistake(
    "chain_rule_forgotten",
    "The logits are divided by T, so the chain rule brings a factor 1 / T beside T².",
    old="temperature * (q - p)",
    new="temperature**2 * (q - p)",
)
exercise.mistake(
    "uphill",
    "The sign: where the student's probability is too large, the gradient is positive.",
    old="temperature * (q - p)",
    new="temperature * (p - q)",
)
exercise.mistake(
    "labels_softened",
    "The labels are compared with the softened probabilities. Their cross-entropy is of the "
    "student's logits as they are.",
    old="hard = softmax(logits) -",
    new="hard = softmax(logits / temperature) -",
)
exercise.mistake(
    "teacher_not_softened", old="softmax(teacher / temperature)", new="softmax(teacher)"
)
exercise.mistake("sum_in_place_of_mean", old=" / len(logits)\n", new="\n")
exercise.mistake("shares_exchanged", old="(share * soft + (1 - share) * hard)",
                 new="((1 - share) * soft + share * hard)")  # fmt: skip
exercise.mistake("overflow", old="np.exp(z - z.max(axis=1, keepdims=True))", new="np.exp(z)")


@exercise.wrong(
    "This is the divergence of the logits themselves, without a softmax, as in the default of "
    "Keras 3.15.1. Logits are no probabilities."
)
def without_a_softmax(teacher, logits, labels, temperature, share):
    p, q = np.clip(teacher / temperature, 1e-7, 1), np.clip(logits / temperature, 1e-7, 1)
    inside = (logits / temperature > 1e-7) & (logits / temperature < 1)
    soft = np.where(inside, -p / q / temperature, 0.0)
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    hard = e / e.sum(axis=1, keepdims=True) - np.eye(logits.shape[1])[labels]
    return (share * soft + (1 - share) * hard) / len(logits)
