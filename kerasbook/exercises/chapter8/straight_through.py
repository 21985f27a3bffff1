"""Quantisation-aware training: straight through the rounding."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=20,
    difficulty=2,
    points=3,
    kind="training step",
    outputs=("exact", "rounded"),
    hints=[
        "There are two kernels: one that predicts, and one that is moved. Which is rounded anew in "
        "every step?",
        "The gradient of the mean squared error is computed at the rounded kernel: 2 / (n · units) "
        "· xᵀ (x @ rounded - y). It is subtracted from the exact one.",
        "In each step: scale = top / abs(w).max(axis=0), rounded = np.round(w * scale) / scale; "
        "w = w - learning_rate * 2 * x.T @ (x @ rounded - y) / y.size. At the end round once more.",
    ],
)


@exercise.stub
def straight_through(w, xs, ys, bits, learning_rate):
    """Train a linear layer whose kernel has only a few bits when it predicts.

    In each step the kernel is rounded: column j to whole numbers from -top to top, top = 2 **
    (bits - 1) - 1, times a step of its own, so that the column's largest |weight| stays what it
    is. (A half goes to the even neighbour.) The loss is the mean of (x @ rounded - y)², over rows
    and units. Its gradient for the rounded kernel moves the exact one: the derivative of the
    rounding is taken for 1, also that of the step's length. It is plain descent, without
    momentum.

    Practises: chapter 8, "Train with the rounding".

    Args:
        w: (inputs, units) float64 array: the exact kernel at the start; no column is zero.
        xs: (steps, n, inputs) float64 array, a batch for each step.
        ys: (steps, n, units) float64 array.
        bits: integer from 2 to 8.
        learning_rate: float.

    Returns:
        The exact kernel after the last step, and what it is rounded to; both (inputs, units).
        Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def training(random, steps, inputs, units, bits, learning_rate):
    """Returns the inputs of a case."""
    return {
        "w": random.normal(size=(inputs, units)) * 4.0 ** np.arange(units),
        "xs": random.normal(size=(steps, 7, inputs)),
        "ys": random.normal(size=(steps, 7, units)),
        "bits": bits,
        "learning_rate": learning_rate,
    }


@exercise.public
def examples(random):
    w, x, y = np.array([[1.0], [0.4], [-0.7]]), np.array([[[1.0, 1.0, 1.0]]]), np.array([[[2.0]]])
    yield Case("one step, 2 bits", {"w": w, "xs": x, "ys": y, "bits": 2, "learning_rate": 0.1})


@exercise.hidden
def drawn(random):
    yield Case("two bits", training(random, 5, 4, 2, 2, 0.05), unchanged=True)
    yield Case("three bits, three units", training(random, 8, 6, 3, 3, 0.1))
    yield Case("eight bits", training(random, 3, 5, 2, 8, 0.2))
    yield Case("no step", training(random, 0, 5, 2, 3, 0.2))


@exercise.reference
def solution(w, xs, ys, bits, learning_rate):
    top = 2 ** (bits - 1) - 1

    def rounded(w):
        step = np.abs(w).max(axis=0) / top
        return np.round(w / step) * step

    for x, y in zip(xs, ys):
        gradient = 2 * x.T @ (x @ rounded(w) - y) / y.size
        w = w - learning_rate * gradient
    return w, rounded(w)


@exercise.right
def by_the_tape(w, xs, ys, bits, learning_rate):
    w, top = tf.constant(w), 2 ** (bits - 1) - 1

    def through(w):
        step = tf.reduce_max(tf.abs(w), axis=0) / top
        return w + tf.stop_gradient(tf.round(w / step) * step - w)

    for x, y in zip(xs, ys):
        with tf.GradientTape() as tape:
            tape.watch(w)
            loss = tf.reduce_mean((tf.constant(x) @ through(w) - y) ** 2)
        w = w - learning_rate * tape.gradient(loss, w)
    return w, through(w)


@exercise.right
def with_a_gradient_of_its_own(w, xs, ys, bits, learning_rate):
    top = 2 ** (bits - 1) - 1

    @tf.custom_gradient
    def through(w):
        scale = top / tf.reduce_max(tf.abs(w), axis=0)
        return tf.round(w * scale) / scale, lambda gradient: gradient

    w = tf.Variable(w)
    for x, y in zip(xs, ys):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(tf.constant(x) @ through(w) - y))
        w.assign_sub(learning_rate * tape.gradient(loss, w))
    return w, through(w)


@exercise.right
def unit_by_unit(w, xs, ys, bits, learning_rate):
    exact, rounded, top = np.array(w), np.zeros_like(w), 2 ** (bits - 1) - 1
    for unit in range(w.shape[1]):
        column = exact[:, unit]
        for step in range(len(xs) + 1):
            length = max(abs(column)) / top
            short = np.rint(column / length) * length
            if step < len(xs):
                errors = xs[step] @ short - ys[step][:, unit]
                slope = 2 * (xs[step] * errors[:, np.newaxis]).sum(axis=0) / ys[step].size
                column = column - learning_rate * slope
        exact[:, unit], rounded[:, unit] = column, short
    return exact, rounded


exercise.mistake(
    "exact_ones_lost",
    "The rounded kernel is moved, and rounded again: a step that is shorter than half a value is "
    "lost each time. Keep the exact kernel, and move that.",
    old="w = w - learning_rate * gradient",
    new="w = rounded(w) - learning_rate * gradient",
)
exercise.mistake(
    "gradient_at_the_exact_kernel",
    "The predictions are made with the exact kernel, so nothing is learned about the rounding. "
    "Predict with the rounded one.",
    old="x @ rounded(w) - y",
    new="x @ w - y",
)
exercise.mistake(
    "one_step_for_all",
    "All columns have one step: the small ones become zero. Each has its own.",
    old="np.abs(w).max(axis=0)",
    new="np.abs(w).max()",
)
exercise.mistake(
    "gradient_blocked",
    "The exact kernel does not move at all: the derivative of a rounding is zero. It is taken for "
    "1 here.",
    old="w = w - learning_rate * gradient",
    new="w = w - 0 * gradient",
)
exercise.mistake("not_rounded_at_last", old="return w, rounded(w)", new="return w, w")
exercise.mistake("rounded_twice", old="return w, rounded(w)", new="return rounded(w), rounded(w)")
exercise.mistake("a_value_too_much", old="2 ** (bits - 1) - 1", new="2 ** (bits - 1)")
exercise.mistake("uphill", old="w = w - learning_rate", new="w = w + learning_rate")
exercise.mistake("mean_over_rows_only", old="/ y.size", new="/ len(y)")
exercise.mistake("cut_off", old="np.round(w / step)", new="np.trunc(w / step)")
