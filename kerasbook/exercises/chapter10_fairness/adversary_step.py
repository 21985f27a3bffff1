"""One step against an adversary."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=25,
    difficulty=3,
    points=4,
    kind="training step",
    outputs=("w", "a", "c"),
    hints=[
        "There are two losses and two players. Which weights move against the gradient of which "
        "loss, and which way?",
        "With z = x @ w: the adversary's scores are a · z + c. Its loss reaches w through z, with "
        "the factor a. The network goes UP that slope.",
        "d = (sigmoid(z) − y) / n, e = (sigmoid(a · z + c) − group) / n: w − rate · x.T @ (d − "
        "strength · a · e), a − rate · Σ e z, c − rate · Σ e, all with the old values.",
    ],
)


@exercise.stub
def adversary_step(x, y, group, w, a, c, strength, learning_rate):
    """One step of gradient descent for a network and its adversary, both at once.

    The network is linear: z = x @ w, and sigmoid(z) foretells y. The adversary sees z alone:
    sigmoid(a · z + c) foretells the group. Both losses are mean cross-entropies. The adversary's
    weights a and c go against the gradient of its loss. The network's weights go against the
    gradient of (its loss − strength · the adversary's loss). All gradients are taken at the old
    weights.

    Practises: chapter 10, continued: is it fair?, "An adversary".

    Args:
        x: (n, features) float64.
        y, group: (n,) floats, 0 or 1.
        w: (features,) float64.
        a, c: floats.
        strength, learning_rate: floats, 0 or more.

    Returns:
        The new w, (features,), a and c. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def batch(random, n, strength, rate):
    """Returns the inputs of a case."""
    group = (random.uniform(size=n) < 0.6).astype("float64")
    x = random.normal(size=(n, 3)) + group[:, None]
    return {"x": x, "y": (x[:, 0] + random.normal(size=n) > 0.5).astype("float64"), "group": group,
            "w": random.normal(size=3), "a": float(random.uniform(0.5, 2)),
            "c": float(random.normal()), "strength": strength, "learning_rate": rate}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("ten people", batch(random, 10, 1.0, 0.5))


@exercise.hidden
def drawn(random):
    yield Case("strength 0", batch(random, 15, 0.0, 0.3))
    for n, strength, rate in ((20, 2.0, 0.7), (33, 0.5, 2.0), (8, 5.0, 1.5)):
        yield Case(f"strength {strength}", batch(random, n, strength, rate), unchanged=True)
    backwards = batch(random, 25, 1.0, 1.0)
    backwards["a"] = -1.2
    yield Case("an adversary that guesses backwards", backwards)


@exercise.reference
def solution(x, y, group, w, a, c, strength, learning_rate):
    z = x @ w
    d = (1 / (1 + np.exp(-z)) - y) / len(y)
    e = (1 / (1 + np.exp(-(a * z + c))) - group) / len(y)
    new_w = w - learning_rate * (x.T @ (d - strength * a * e))
    return new_w, a - learning_rate * (e @ z), c - learning_rate * e.sum()


@exercise.right
def with_two_tapes(x, y, group, w, a, c, strength, learning_rate):
    w, a, c = (tf.Variable(each, dtype=tf.float64) for each in (w, a, c))
    loss_of = tf.nn.sigmoid_cross_entropy_with_logits
    with tf.GradientTape(persistent=True) as tape:
        z = tf.linalg.matvec(tf.constant(x), w)
        its = tf.reduce_mean(loss_of(tf.constant(group), a * z + c))
        ours = tf.reduce_mean(loss_of(tf.constant(y), z)) - strength * its
    return tuple(
        (v - learning_rate * tape.gradient(loss, v)).numpy()
        for v, loss in ((w, ours), (a, its), (c, its))
    )


@exercise.right
def with_a_reversal(x, y, group, w, a, c, strength, learning_rate):
    @tf.custom_gradient
    def turn(z):
        return tf.identity(z), lambda g: -strength * g

    weights = [tf.Variable(each, dtype=tf.float64) for each in (w, a, c)]
    with tf.GradientTape() as tape:
        z = tf.linalg.matvec(tf.constant(x), weights[0])
        guess = weights[1] * turn(z) + weights[2]
        losses = [tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(t), s)
                  for t, s in ((y, z), (group, guess))]  # fmt: skip
        both = tf.reduce_mean(losses[0]) + tf.reduce_mean(losses[1])
    return tuple(
        (v - learning_rate * g).numpy() for v, g in zip(weights, tape.gradient(both, weights))
    )


@exercise.right
def person_by_person(x, y, group, w, a, c, strength, learning_rate):
    for_w, for_a, for_c = np.zeros_like(w), 0.0, 0.0
    for row, target, member in zip(x, y, group):
        z = float(row @ w)
        wrong = 1 / (1 + np.exp(-z)) - target
        caught = 1 / (1 + np.exp(-a * z - c)) - member
        for_w += (wrong - strength * caught * a) * row / len(y)
        for_a += caught * z / len(y)
        for_c += caught / len(y)
    return w - learning_rate * for_w, a - learning_rate * for_a, c - learning_rate * for_c


exercise.mistake(
    "helps_the_adversary",
    "The network helps its adversary: it must go up the slope of the adversary's loss.",
    old="d - strength * a * e",
    new="d + strength * a * e",
)
exercise.mistake(
    "adversary_turned_too",
    "The adversary's own weights go up its loss. Only the network's are turned; it should learn.",
    old="a - learning_rate * (e @ z), c - learning_rate * e.sum()",
    new="a + learning_rate * strength * (e @ z), c + learning_rate * strength * e.sum()",
)
exercise.mistake(
    "factor_forgotten",
    "On the way from the adversary's score a · z + c to z there is the factor a.",
    old="strength * a * e",
    new="strength * e",
)
exercise.mistake(
    "one_after_the_other",
    "The adversary's gradients are taken after the network has moved. Take all at the old weights.",
    old="    return new_w,",
    new="    z = x @ new_w\n    e = (1 / (1 + np.exp(-(a * z + c))) - group) / len(y)\n"
    "    return new_w,",
)
exercise.mistake("strength_for_the_adversary", old="(e @ z)", new="strength * (e @ z)")
exercise.mistake("predicts_y", old="(a * z + c))) - group", new="(a * z + c))) - y")
exercise.mistake("sums", old="- group) / len(y)", new="- group)")
exercise.mistake("without_the_adversary", old="d - strength * a * e", new="d")
exercise.mistake("the_adversary_waits", old="a - learning_rate * (e @ z)", new="a")
