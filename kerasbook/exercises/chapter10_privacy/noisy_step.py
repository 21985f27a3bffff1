"""A step of DP-SGD."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=15,
    difficulty=2,
    points=3,
    kind="training step",
    hints=[
        "In this order: clip each gradient, add up those that are in the batch, add the noise, "
        "divide, take the step.",
        "After clipping, one example changes the sum by at most `clip`. How large must the noise "
        "be, measured in that?",
        "w − learning_rate · (weight @ clipped + sigma · clip · noise) / expected.",
    ],
)


@exercise.stub
def noisy_step(w, gradients, weight, noise, clip, sigma, expected, learning_rate):
    """One step of DP-SGD, with noise that is given.

    Every row of `gradients` is the gradient of one example for the weights w. Rows with the weight
    0 only fill the batch up. Clip each row to the norm `clip`; add up the rows of the batch; add
    normal noise with the standard deviation sigma · clip; divide by the expected number of
    examples; take a step of gradient descent. `noise` has standard normal numbers: scale them.

    Practises: chapter 10, continued: does it keep a secret?, "DP-SGD".

    Args:
        w: (features,) float64.
        gradients: (n, features) float64.
        weight: (n,) floats, 1 or 0.
        noise: (features,) float64.
        clip, sigma, expected, learning_rate: floats, all positive; sigma may be 0.

    Returns:
        (features,) the new weights. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def step(random, n, features, clip, sigma):
    """Returns the inputs of a case."""
    gradients = 10.0 ** random.uniform(-1, 1, (n, 1)) * random.normal(size=(n, features))
    return {"w": random.normal(size=features), "gradients": gradients,
            "weight": (random.uniform(size=n) < 0.6).astype("float64"),
            "noise": random.normal(size=features), "clip": clip, "sigma": sigma,
            "expected": 0.6 * n + 0.5, "learning_rate": float(random.uniform(0.5, 2))}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("clip 1", step(random, 6, 3, 1.0, 0.8))


@exercise.hidden
def drawn(random):
    for n, clip, sigma in ((12, 0.3, 1.1), (20, 4.0, 0.5), (9, 0.05, 2.0)):
        yield Case(f"clip {clip}, σ = {sigma}", step(random, n, 5, clip, sigma), unchanged=True)
    yield Case("without noise", step(random, 15, 4, 0.7, 0.0))
    nobody = step(random, 5, 3, 0.5, 1.3)
    nobody["weight"][:] = 0
    yield Case("nobody was drawn", nobody)


@exercise.reference
def solution(w, gradients, weight, noise, clip, sigma, expected, learning_rate):
    norms = np.linalg.norm(gradients, axis=1, keepdims=True)
    clipped = gradients * np.minimum(1, clip / norms)
    total = weight @ clipped + sigma * clip * noise
    return w - learning_rate * total / expected


@exercise.right
def one_by_one(w, gradients, weight, noise, clip, sigma, expected, learning_rate):
    total = sigma * clip * noise
    for row, drawn in zip(gradients, weight):
        if drawn:
            norm = np.sqrt(np.sum(row**2))
            total = total + (row if norm <= clip else clip * row / norm)
    return w - learning_rate / expected * total


@exercise.right
def factors_first(w, gradients, weight, noise, clip, sigma, expected, learning_rate):
    factor = weight / np.maximum(1, np.sqrt((gradients**2).sum(axis=1)) / clip)
    mean = (np.einsum("n,nf->f", factor, gradients) + clip * (sigma * noise)) / expected
    return w - learning_rate * mean


@exercise.right
def with_tensors(w, gradients, weight, noise, clip, sigma, expected, learning_rate):
    clipped = tf.clip_by_norm(tf.constant(gradients), clip, axes=[1])
    total = tf.linalg.matvec(clipped, tf.constant(weight), transpose_a=True)
    return (w - learning_rate * (total + sigma * clip * noise) / expected).numpy()


exercise.mistake(
    "sigma_alone",
    "The noise has the standard deviation σ. What one example can change is `clip`: σ · clip.",
    old="sigma * clip * noise",
    new="sigma * noise",
)
exercise.mistake(
    "noise_per_example",
    "The noise was added once per example. It belongs to the sum, once.",
    old="sigma * clip * noise",
    new="sigma * clip * noise * weight.sum()",
)
exercise.mistake(
    "batch_clipped",
    "The sum is clipped and not every example: then one example can still change all of it.",
    old="    clipped = gradients * np.minimum(1, clip / norms)\n"
    "    total = weight @ clipped + sigma * clip * noise",
    new="    total = weight @ gradients\n"
    "    total = total * min(1, clip / max(np.linalg.norm(total), 1e-12)) + sigma * clip * noise",
)
exercise.mistake(
    "actual_size",
    "You divide by the number of examples that were drawn. Divide by the expected number.",
    old="total / expected",
    new="total / max(weight.sum(), 1)",
)
exercise.mistake(
    "noise_after_the_mean",
    "The noise is added after dividing, and so is far too large.",
    old="    total = weight @ clipped + sigma * clip * noise",
    new="    total = weight @ clipped + sigma * clip * noise * expected",
)
exercise.mistake("fillers_count", old="weight @ clipped", new="clipped.sum(axis=0)")
exercise.mistake("stretched", old="np.minimum(1, clip / norms)", new="clip / norms")
exercise.mistake("uphill", old="w - learning_rate", new="w + learning_rate")
exercise.mistake("each_number", old="gradients * np.minimum(1, clip / norms)",
                 new="np.clip(gradients, -clip, clip)")  # fmt: skip
