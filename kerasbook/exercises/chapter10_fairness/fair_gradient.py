"""The gradient of a fairness penalty."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=25,
    difficulty=3,
    points=4,
    kind="gradient",
    outputs=("loss", "gradient of w", "gradient of b"),
    hints=[
        "Everything goes through the scores z. Find the gradient for z, (n,), first; the rest is "
        "x.T @ it and its sum.",
        "The slope of p = sigmoid(z) is p (1 − p). The gap is a sum over people in which everybody "
        "has a weight: 1 / n₁ in group 1, −1 / n₀ in group 0.",
        "delta = (p − y) / n + 2 · strength · gap · p (1 − p) · (group / n1 − (1 − group) / n0).",
    ],
)


@exercise.stub
def fair_gradient(x, y, group, w, b, strength):
    """Loss and gradient of logistic regression with a penalty on the gap of the scores.

    With z = x @ w + b and p = sigmoid(z), the loss is the mean cross-entropy of p and y, plus
    strength · gap², where gap is the mean of p in group 1 less the mean of p in group 0. No tape:
    by hand.

    Practises: chapter 10, continued: is it fair?, "A penalty in the loop".

    Args:
        x: (n, features) float64.
        y: (n,) floats, 0 or 1.
        group: (n,) floats, 0 or 1; both occur.
        w: (features,) float64.
        b: float.
        strength: float, 0 or more.

    Returns:
        The loss; its gradient for w, (features,); its gradient for b. Tolerance: 1e-5 + 1e-4 ·
        |expected|.
    """
    raise NotImplementedError


def batch(random, n, features, strength):
    """Returns the inputs of a case."""
    group = (np.arange(n) % 3 == 0).astype("float64")
    x = random.normal(size=(n, features)) + 0.8 * group[:, None]
    y = (random.uniform(size=n) < 0.3 + 0.3 * group).astype("float64")
    return {"x": x, "y": y, "group": group, "w": random.normal(size=features),
            "b": float(random.normal()), "strength": strength}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("eight people, strength 1", batch(random, 8, 2, 1.0))


@exercise.hidden
def drawn(random):
    yield Case("without a penalty", batch(random, 12, 3, 0.0))
    for n, strength in ((20, 2.0), (31, 0.5), (7, 10.0)):
        yield Case(
            f"{n} people, strength {strength}", batch(random, n, 4, strength), unchanged=True
        )
    large = batch(random, 9, 3, 1.0)
    large["x"] = 200 * large["x"]
    yield Case("large scores", large)


@exercise.reference
def solution(x, y, group, w, b, strength):
    z = x @ w + b
    p = np.where(z > 0, 1 / (1 + np.exp(-np.abs(z))), 1 - 1 / (1 + np.exp(-np.abs(z))))
    share = group / group.sum() - (1 - group) / (1 - group).sum()
    gap = p @ share
    loss = np.mean(np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))) + strength * gap**2
    delta = (p - y) / len(y) + 2 * strength * gap * p * (1 - p) * share
    return loss, x.T @ delta, delta.sum()


@exercise.right
def two_groups(x, y, group, w, b, strength):
    z = x @ w + b
    p = np.exp(-np.logaddexp(0, -z))
    ones, zeros = group == 1, group == 0
    gap = p[ones].mean() - p[zeros].mean()
    loss = np.mean(np.logaddexp(0, z) - y * z) + strength * gap**2
    slope = p * (1 - p)
    for_w = x.T @ (p - y) / len(y)
    for_b = np.mean(p - y)
    factor = 2 * strength * gap
    for_w = for_w + factor * (
        (x[ones] * slope[ones, None]).mean(axis=0) - (x[zeros] * slope[zeros, None]).mean(axis=0)
    )
    return loss, for_w, for_b + factor * (slope[ones].mean() - slope[zeros].mean())


@exercise.right
def in_float64_tensors(x, y, group, w, b, strength):
    z = tf.linalg.matvec(tf.constant(x), tf.constant(w)) + b
    p, g = tf.sigmoid(z), tf.constant(group)
    share = g / tf.reduce_sum(g) - (1 - g) / tf.reduce_sum(1 - g)
    gap = tf.reduce_sum(p * share)
    losses = tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(y), z)
    delta = (p - y) / len(y) + 2 * strength * gap * p * tf.sigmoid(-z) * share
    for_w = tf.linalg.matvec(tf.constant(x), delta, transpose_a=True)
    return (
        float(tf.reduce_mean(losses) + strength * gap**2),
        for_w.numpy(),
        float(tf.reduce_sum(delta)),
    )


@exercise.right
def person_by_person(x, y, group, w, b, strength):
    n, n1 = len(y), int(group.sum())
    z = [float(row @ w + b) for row in x]
    p = [float(tf.sigmoid(tf.constant(each, tf.float64))) for each in z]
    share = [1 / n1 if g else -1 / (n - n1) for g in group]
    gap = sum(a * s for a, s in zip(p, share))
    loss, for_w, for_b = strength * gap**2, np.zeros_like(w), 0.0
    for row, t, a, s, each in zip(x, y, p, share, z):
        loss += (np.logaddexp(0, each) - t * each) / n
        d = (a - t) / n + 2 * strength * gap * a * (1 - a) * s
        for_w, for_b = for_w + d * row, for_b + d
    return loss, for_w, for_b


exercise.mistake(
    "two_forgotten",
    "The derivative of gap² is 2 · gap · (…): the 2 is missing.",
    old="2 * strength * gap * p",
    new="strength * gap * p",
)
exercise.mistake(
    "gap_forgotten",
    "The derivative of gap² is 2 · gap · (…): the gap itself is missing, so that the penalty "
    "pushes as hard where there is no gap.",
    old="2 * strength * gap * p",
    new="2 * strength * p",
)
exercise.mistake(
    "slope_of_the_sigmoid_forgotten",
    "The gap is one of probabilities. On the way to the scores their slope p (1 − p) is missing.",
    old="gap * p * (1 - p) * share",
    new="gap * share",
)
exercise.mistake(
    "sums_for_means",
    "The gap is a difference of means: divide each group by its own number of people.",
    old="group / group.sum() - (1 - group) / (1 - group).sum()",
    new="(2 * group - 1) / len(group)",
)
exercise.mistake("sign", old="(p - y) / len(y) + 2", new="(p - y) / len(y) - 2")
exercise.mistake("absolute", old="strength * gap**2", new="strength * abs(gap)")
exercise.mistake(
    "loss_only", old="(p - y) / len(y) + 2 * strength", new="(p - y) / len(y) + 0 * strength"
)
exercise.mistake("sum_of_losses", old="(p - y) / len(y) + 2", new="(p - y) + 2")
exercise.mistake("gap_of_the_scores", old="gap = p @ share", new="gap = z @ share")
