"""Integrated gradients of a small network."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=20,
    difficulty=2,
    points=3,
    kind="gradient",
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "You need the gradient of one score at points on the straight line from the baseline to "
        "the input. A tape gives it, or the chain rule: the slope of tanh is 1 − tanh².",
        "The k-th point is baseline + (k + ½) / steps · (x − baseline), for k = 0 … steps − 1.",
        "Take the mean of the gradients at these points, and multiply it by x − baseline, number "
        "by number. The sum over a row is then nearly score(x) − score(baseline).",
    ],
)


@exercise.stub
def path_attributions(x, baseline, kernel, bias, last_kernel, last_bias, kind, steps):
    """How much each feature contributes to one score, by integrated gradients.

    The network is tanh(x @ kernel + bias) @ last_kernel + last_bias, and the score is number `kind`
    of its outputs, before any softmax. Take the gradients at the middles of `steps` equal pieces of
    the straight line from the baseline to the input.

    Practises: chapter 10, "Integrated gradients: a bill that adds up".

    Args:
        x: (n, d) float64 array, inputs.
        baseline: (d,) float64 array, the same for all rows.
        kernel, bias: (d, units) and (units,) float64 arrays.
        last_kernel, last_bias: (units, classes) and (classes,) float64 arrays.
        kind: integer, the class whose score is explained.
        steps: positive integer.

    Returns:
        (n, d): the attribution of each feature, with its sign; float32 or float64. Tolerance: 1e-6
        + 1e-5 · |expected|.
    """
    raise NotImplementedError


def inputs_of(random, n, d, units, classes, kind, steps):
    return {
        "x": random.normal(size=(n, d)),
        "baseline": random.normal(size=d),
        "kernel": random.normal(size=(d, units)),
        "bias": random.normal(size=units),
        "last_kernel": random.normal(size=(units, classes)),
        "last_bias": random.normal(size=classes),
        "kind": kind,
        "steps": steps,
    }


@exercise.public
def examples(random):
    yield Case("two rows, eight steps", inputs_of(random, 2, 3, 4, 3, 1, 8))


@exercise.hidden
def drawn(random):
    for n, d, units, classes, kind, steps in (
        (3, 4, 5, 3, 2, 6),
        (1, 2, 3, 2, 0, 15),
        (4, 6, 2, 5, 4, 3),
    ):
        inputs = inputs_of(random, n, d, units, classes, kind, steps)
        yield Case(f"{d} features, {steps} steps", inputs, unchanged=True)
    yield Case("one step", inputs_of(random, 2, 3, 4, 3, 1, 1))


@exercise.reference
def solution(x, baseline, kernel, bias, last_kernel, last_bias, kind, steps):
    gradients = np.zeros_like(x)
    for k in range(steps):
        point = baseline + (k + 0.5) / steps * (x - baseline)
        slopes = 1 - np.tanh(point @ kernel + bias) ** 2
        gradients += (slopes * last_kernel[:, kind]) @ kernel.T
    return (x - baseline) * gradients / steps


@exercise.right
def with_a_tape(x, baseline, kernel, bias, last_kernel, last_bias, kind, steps):
    total = tf.zeros_like(x)
    for share in (np.arange(steps) + 0.5) / steps:
        point = tf.constant(baseline + share * (x - baseline))
        with tf.GradientTape() as tape:
            tape.watch(point)
            logits = tf.tanh(point @ kernel + bias) @ last_kernel + last_bias
            score = logits[:, kind]
        total += tape.gradient(score, point)
    return (x - baseline) * total / steps


@exercise.right
def all_points_at_once(x, baseline, kernel, bias, last_kernel, last_bias, kind, steps):
    shares = (np.arange(steps)[:, None, None] + 0.5) / steps
    points = tf.constant(baseline + shares * (x - baseline))
    with tf.GradientTape() as tape:
        tape.watch(points)
        hidden = tf.tanh(tf.tensordot(points, kernel, 1) + bias)
        score = tf.tensordot(hidden, last_kernel[:, kind], 1)
    return tf.reduce_mean(tape.gradient(score, points), axis=0) * (x - baseline)


@exercise.right
def with_keras_layers(x, baseline, kernel, bias, last_kernel, last_bias, kind, steps):
    hidden = keras.layers.Dense(kernel.shape[1], "tanh", dtype="float64")
    last = keras.layers.Dense(last_kernel.shape[1], dtype="float64")
    model = keras.Sequential([keras.Input((x.shape[1],), dtype="float64"), hidden, last])
    model.set_weights([kernel, bias, last_kernel, last_bias])
    total = 0
    for k in range(steps):
        point = tf.constant(baseline + (k + 0.5) / steps * (x - baseline))
        with tf.GradientTape() as tape:
            tape.watch(point)
            score = tf.reduce_sum(model(point)[:, kind])
        total = total + tape.gradient(score, point)
    return (x - baseline) * total / steps


exercise.mistake(
    "sizes_added",
    "Sizes are taken before the sum over the path. Then gradients of opposite signs no longer "
    "cancel, and the attributions do not add up to the change of the score.",
    old="(slopes * last_kernel[:, kind]) @ kernel.T",
    new="np.abs((slopes * last_kernel[:, kind]) @ kernel.T)",
)
exercise.mistake(
    "times_x",
    "The gradients are multiplied by x. The path is as long as x − baseline.",
    old="return (x - baseline) *",
    new="return x *",
)
exercise.mistake(
    "at_the_end_only",
    "All gradients are taken at the input: that is gradient × input. Let the point move along the "
    "path.",
    old="(k + 0.5) / steps * (x - baseline)",
    new="(x - baseline)",
)
exercise.mistake(
    "from_zero",
    "The path begins at zero, not at the baseline.",
    old="baseline + (k + 0.5) / steps * (x - baseline)",
    new="(k + 0.5) / steps * x",
)
exercise.mistake(
    "not_multiplied",
    "The mean gradient is not multiplied by how far each feature moves, x − baseline.",
    old="(x - baseline) * gradients / steps",
    new="gradients / steps",
)


@exercise.wrong(
    "These are the attributions of the softmax' probability. Explain the score before it: where "
    "the network is sure, a probability hardly changes any more, whatever the features do."
)
def of_the_probability(x, baseline, kernel, bias, last_kernel, last_bias, kind, steps):
    total = tf.zeros_like(x)
    for share in (np.arange(steps) + 0.5) / steps:
        point = tf.constant(baseline + share * (x - baseline))
        with tf.GradientTape() as tape:
            tape.watch(point)
            logits = tf.tanh(point @ kernel + bias) @ last_kernel + last_bias
            score = tf.nn.softmax(logits)[:, kind]
        total += tape.gradient(score, point)
    return (x - baseline) * total / steps


exercise.mistake("begins_of_pieces", old="(k + 0.5)", new="k")
exercise.mistake("sum_of_the_gradients", old="gradients / steps", new="gradients")
exercise.mistake(
    "slopes_forgotten",
    old="(slopes * last_kernel[:, kind])",
    new="(0 * slopes + last_kernel[:, kind])",
)
exercise.mistake("another_class", old="last_kernel[:, kind]", new="last_kernel[:, kind - 1]")
exercise.mistake("all_classes", old="last_kernel[:, kind]", new="last_kernel.sum(axis=1)")
