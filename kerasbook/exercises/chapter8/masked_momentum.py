"""Pruned weights that stay zero: momentum with a mask."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=15,
    difficulty=2,
    points=2,
    kind="training step",
    outputs=("w", "velocity"),
    hints=[
        "A pruned weight must be zero at three moments: before the first step, because it is used "
        "there; and after every step. What moves it?",
        "Its velocity moves it, even where the gradient is masked. So set the weight and its "
        "velocity to zero, after the step.",
        "w, velocity = w * mask, velocity * mask; then for each x, y: g = 2 * x.T @ (x @ w - y) / "
        "len(x); velocity = mask * (momentum * velocity - learning_rate * g); w = mask * (w + "
        "velocity).",
    ],
)


@exercise.stub
def masked_momentum(w, velocity, mask, xs, ys, learning_rate, momentum):
    """Train a pruned linear model on, and keep what was pruned at zero.

    The weights and their velocities come from a training without a mask. Now the weights where the
    mask is False are pruned: they are zero from now on, in every prediction, and so are their
    velocities. The loss of a batch is the mean of (x @ w - y)². A step is

        velocity ← momentum · velocity - learning_rate · gradient
        w ← w + velocity

    Practises: chapter 8, "Keep them away".

    Args:
        w, velocity: (inputs,) float64 arrays.
        mask: (inputs,) bool array.
        xs: (steps, n, inputs) float64 array, a batch for each step.
        ys: (steps, n) float64 array.
        learning_rate, momentum: floats.

    Returns:
        w and velocity after the last step, both (inputs,). Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def pruned(random, steps, inputs, share):
    """Returns the inputs of a case."""
    mask = np.zeros(inputs, bool)
    mask[random.permutation(inputs)[: max(1, round(inputs * (1 - share)))]] = True
    return {
        "w": random.normal(size=inputs),
        "velocity": random.normal(0, 0.3, inputs),
        "mask": mask,
        "xs": random.normal(size=(steps, 6, inputs)),
        "ys": random.normal(size=(steps, 6)),
        "learning_rate": 0.05,
        "momentum": 0.9,
    }


@exercise.public
def examples(random):
    w, velocity, mask = np.array([1.0, 0.1]), np.array([0.0, -0.02]), np.array([True, False])
    xs, ys = np.array([[[1.0, 2.0]], [[0.0, 1.0]]]), np.array([[1.0], [0.0]])
    inputs = {"w": w, "velocity": velocity, "mask": mask, "xs": xs, "ys": ys}
    yield Case("two weights, one pruned", inputs | {"learning_rate": 0.1, "momentum": 0.9})


@exercise.hidden
def drawn(random):
    yield Case("one step", pruned(random, 1, 6, 0.5), unchanged=True)
    yield Case("five steps", pruned(random, 5, 8, 0.75))
    yield Case("nothing pruned", pruned(random, 3, 4, 0.0))
    yield Case("nearly all pruned", pruned(random, 4, 9, 0.95))


@exercise.reference
def solution(w, velocity, mask, xs, ys, learning_rate, momentum):
    w, velocity = w * mask, velocity * mask
    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        velocity = velocity * mask
        w = w + velocity
    return w, velocity


@exercise.right
def only_the_others(w, velocity, mask, xs, ys, learning_rate, momentum):
    w, velocity = np.where(mask, w, 0.0), np.where(mask, velocity, 0.0)
    alive, moving = w[mask], velocity[mask]
    for x, y in zip(xs[:, :, mask], ys):
        moving = momentum * moving - learning_rate * 2 / len(x) * (x.T @ (x @ alive - y))
        alive = alive + moving
    w[mask], velocity[mask] = alive, moving
    return w, velocity


@exercise.right
def by_the_tape(w, velocity, mask, xs, ys, learning_rate, momentum):
    w, velocity = tf.Variable(w * mask), tf.constant(velocity * mask)
    for x, y in zip(xs, ys):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((tf.linalg.matvec(tf.constant(x), w) - y) ** 2)
        velocity = momentum * velocity - learning_rate * tape.gradient(loss, w)
        w.assign(tf.where(mask, w + velocity, 0.0))
        velocity = tf.where(mask, velocity, 0.0)
    return w, velocity


@exercise.right
def gradient_masked_too(w, velocity, mask, xs, ys, learning_rate, momentum):
    w, velocity = np.array(w), np.array(velocity)
    w[~mask] = velocity[~mask] = 0
    for step in range(len(xs)):
        errors = xs[step] @ w - ys[step]
        gradient = 2 * (xs[step] * errors[:, np.newaxis]).mean(axis=0)
        gradient[~mask] = 0
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


exercise.mistake(
    "gradient_only",
    "The mask is put on the gradient alone. The velocity from before still moves the pruned "
    "weights, so they come back. Set to zero after the step.",
    old="""    w, velocity = w * mask, velocity * mask
    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        velocity = velocity * mask""",
    new="""    w = w * mask
    for x, y in zip(xs, ys):
        gradient = mask * (2 * x.T @ (x @ w - y) / len(x))
        velocity = momentum * velocity - learning_rate * gradient""",
)
exercise.mistake(
    "once_at_the_start",
    "The weights are pruned once, and then trained without the mask: they grow again.",
    old="        velocity = velocity * mask\n",
    new="",
)
exercise.mistake(
    "once_at_the_end",
    "The mask comes at the end only. Until then the pruned weights take part in the predictions, "
    "and the others learn to live with them.",
    old="""    w, velocity = w * mask, velocity * mask
    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        velocity = velocity * mask
        w = w + velocity
    return w, velocity""",
    new="""    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w * mask, velocity * mask""",
)
exercise.mistake(
    "velocity_left",
    "The pruned weights are zero, and their velocities are not. Who takes the mask off, or saves "
    "the state, will find them there.",
    old="""    w, velocity = w * mask, velocity * mask
    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        velocity = velocity * mask
        w = w + velocity""",
    new="""    w = w * mask
    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = mask * (w + velocity)""",
)
exercise.mistake(
    "mask_turned_round", old="velocity * mask\n    for", new="velocity * ~mask\n    for"
)
exercise.mistake("momentum_forgotten", old="momentum * velocity - ", new="-")
exercise.mistake("uphill", old="velocity - learning_rate", new="velocity + learning_rate")
exercise.mistake("sum_in_place_of_mean", old=" / len(x)", new="")
exercise.mistake("half_a_gradient", old="2 * x.T", new="x.T")
exercise.mistake("weights_not_pruned", old="w, velocity = w * mask,", new="w, velocity = w,")
