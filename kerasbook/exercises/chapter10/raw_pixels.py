"""Integrated gradients of raw pixels: the unit of the gradient and that of the step must agree."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=15,
    difficulty=2,
    points=2,
    kind="gradient",
    outputs=("attributions", "gap"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "The network sees scaled pixels. What is multiplied with its gradients must be measured on "
        "the same scale.",
        "Scale the picture and the baseline first, and do everything with scaled pixels: points of "
        "the path, gradients, and the difference.",
        "gap = attributions.sum() − (score(x) − score(baseline)); with enough steps it is nearly "
        "zero. If yours is hundreds of times as large as the score, you have mixed the scales.",
    ],
)


@exercise.stub
def explain_pixels(pixels, baseline, kernel, readout, steps):
    """Attributions of raw pixels, 0 to 255, for a network that scales them to −1 … 1 first.

    The score of a picture is tanh(s @ kernel) @ readout, where s = pixels / 127.5 − 1. A tutorial
    on a well-known site takes the gradients for the scaled pixels and multiplies them by the
    difference of the raw ones. Its attributions do not add up. Do it so that they do: take the
    gradients at the middles of `steps` equal pieces of the straight line from baseline to picture.

    Practises: chapter 10, "Integrated gradients: a bill that adds up".

    Args:
        pixels: (d,) float64 array, 0 to 255: one picture in a row.
        baseline: (d,) float64 array, 0 to 255.
        kernel: (d, units) float64 array.
        readout: (units,) float64 array.
        steps: positive integer.

    Returns:
        The attributions, (d,), and the gap, a float: the sum of the attributions minus
        (score of the pixels − score of the baseline). float32 or float64. Tolerance: 1e-6 + 1e-5 ·
        |expected|.
    """
    raise NotImplementedError


def inputs_of(random, d, units, steps):
    return {
        "pixels": random.integers(0, 256, d) * 1.0,
        "baseline": random.integers(0, 256, d) * 1.0,
        "kernel": random.normal(size=(d, units)),
        "readout": random.normal(size=units),
        "steps": steps,
    }


@exercise.public
def examples(random):
    yield Case("four pixels", inputs_of(random, 4, 3, 10))


@exercise.hidden
def drawn(random):
    for d, units, steps in ((9, 4, 7), (5, 2, 20), (12, 6, 3)):
        yield Case(f"{d} pixels, {steps} steps", inputs_of(random, d, units, steps), unchanged=True)
    black = inputs_of(random, 6, 3, 12)
    yield Case("from black", black | {"baseline": np.zeros(6)})


@exercise.reference
def solution(pixels, baseline, kernel, readout, steps):
    start, end = baseline / 127.5 - 1, pixels / 127.5 - 1
    gradients = np.zeros_like(start)
    for k in range(steps):
        point = start + (k + 0.5) / steps * (end - start)
        gradients += kernel @ (readout * (1 - np.tanh(point @ kernel) ** 2))
    attributions = (end - start) * gradients / steps
    change = np.tanh(end @ kernel) @ readout - np.tanh(start @ kernel) @ readout
    return attributions, attributions.sum() - change


@exercise.right
def with_raw_gradients(pixels, baseline, kernel, readout, steps):
    def score(raw):
        return tf.reduce_sum(tf.tanh(tf.linalg.matvec(kernel.T, raw / 127.5 - 1)) * readout)

    total = tf.zeros(len(pixels), tf.float64)
    for k in range(steps):
        raw = tf.constant(baseline + (k + 0.5) / steps * (pixels - baseline))
        with tf.GradientTape() as tape:
            tape.watch(raw)
            value = score(raw)
        total += tape.gradient(value, raw)
    attributions = (pixels - baseline) * total / steps
    change = score(tf.constant(pixels)) - score(tf.constant(baseline))
    return attributions, tf.reduce_sum(attributions) - change


@exercise.right
def chain_rule(pixels, baseline, kernel, readout, steps):
    def hidden(raw):
        return np.tanh((raw / 127.5 - 1) @ kernel)

    middles = (np.arange(steps)[:, None] + 0.5) / steps
    points = baseline + middles * (pixels - baseline)
    gradients = ((1 - hidden(points) ** 2) * readout) @ kernel.T / 127.5
    attributions = gradients.mean(axis=0) * (pixels - baseline)
    return attributions, attributions.sum() - (hidden(pixels) - hidden(baseline)) @ readout


@exercise.right
def divided_at_the_end(pixels, baseline, kernel, readout, steps):
    start, end = (np.float64(raw) / 127.5 - 1 for raw in (baseline, pixels))
    gradients = []
    for share in np.linspace(0.5 / steps, 1 - 0.5 / steps, steps):
        point = (1 - share) * start + share * end
        gradients.append(kernel @ (readout / np.cosh(point @ kernel) ** 2))
    attributions = (pixels - baseline) * np.mean(gradients, axis=0) / 127.5
    ends = [np.tanh(s @ kernel) @ readout for s in (start, end)]
    return attributions, np.sum(attributions) - ends[1] + ends[0]


exercise.mistake(
    "raw_difference",
    "The gradients are those of scaled pixels, the difference is one of raw pixels: the "
    "attributions are 127.5 times too large. That is the tutorial's mistake.",
    old="(end - start) * gradients / steps",
    new="(pixels - baseline) * gradients / steps",
)
exercise.mistake(
    "points_not_scaled",
    "The network is asked at raw pixels. It was made for −1 … 1, and all its units are flat there.",
    old="start, end = baseline / 127.5 - 1, pixels / 127.5 - 1",
    new="start, end = baseline, pixels",
)
exercise.mistake(
    "baseline_of_zeros",
    "The baseline is taken as zero after scaling. Zero is a grey of 127.5 there; black is −1.",
    old="start, end = baseline / 127.5 - 1,",
    new="start, end = 0 * baseline,",
)
exercise.mistake(
    "scaled_twice",
    "The difference is divided by 127.5 a second time.",
    old="(end - start) * gradients / steps",
    new="(end - start) / 127.5 * gradients / steps",
)
exercise.mistake("gap_is_zero", old="attributions.sum() - change", new="0.0")
exercise.mistake("gap_from_nothing", old="- np.tanh(start @ kernel) @ readout", new="")
exercise.mistake(
    "gap_with_sum_of_sizes", old="attributions.sum()", new="np.abs(attributions).sum()"
)
exercise.mistake("ends_of_pieces", old="(k + 0.5)", new="(k + 1)")
exercise.mistake("minus_one_forgotten", old="pixels / 127.5 - 1", new="pixels / 127.5")
