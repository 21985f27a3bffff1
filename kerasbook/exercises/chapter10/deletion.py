"""The deletion curve: what is left of a score as the most important pixels go."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=15,
    difficulty=2,
    points=2,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Sort the pixels by their attribution, the largest first. The curve begins with the whole "
        "picture and ends with nothing of it.",
        "Take one pixel after the other out of a copy of the picture, by putting the baseline's "
        "value in its place, and ask for the score each time.",
        "order = np.argsort(-attributions); after k steps the pixels order[:k] are the baseline's. "
        "The area is the mean of the trapezes: ((s[:-1] + s[1:]) / 2).mean().",
    ],
    outputs=("scores", "area"),
)


@exercise.stub
def deletion_curve(x, baseline, attributions, kernel, bias):
    """Remove the pixels of a picture, the most important first, and watch the probability.

    The network is a logistic regression: its probability for a picture is sigmoid(x @ kernel +
    bias). A pixel is removed when it has the baseline's value. The earlier the probability falls,
    the better the order, so a small area under the curve is a good one.

    Practises: chapter 10, "Taking away, and putting in".

    Args:
        x: (d,) float64 array, one picture in a row.
        baseline: (d,) float64 array.
        attributions: (d,) float64 array; no two are equal. A large negative one speaks against.
        kernel: (d,) float64 array.
        bias: float.

    Returns:
        The probabilities (d + 1,) after 0, 1, … d pixels were removed, one by one; and the area
        under the curve, a float, when the axis of the removed share runs from 0 to 1: by
        trapezes. float32 or float64. Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


def inputs_of(random, d):
    return {
        "x": random.normal(size=d),
        "baseline": random.normal(size=d),
        "attributions": random.normal(size=d),
        "kernel": random.normal(size=d),
        "bias": float(random.normal()),
    }


@exercise.public
def examples(random):
    yield Case("four pixels", inputs_of(random, 4))


@exercise.hidden
def drawn(random):
    for d in (3, 8, 15):
        yield Case(f"{d} pixels", inputs_of(random, d), unchanged=True)
    true = inputs_of(random, 10)
    true["attributions"] = (true["x"] - true["baseline"]) * true["kernel"]
    yield Case("the true contributions", true)


@exercise.reference
def solution(x, baseline, attributions, kernel, bias):
    order = np.argsort(-attributions)
    picture, pictures = x.copy(), [x]
    for place in order:
        picture = picture.copy()
        picture[place] = baseline[place]
        pictures.append(picture)
    scores = 1 / (1 + np.exp(-(np.stack(pictures) @ kernel + bias)))
    return scores, float(np.mean((scores[:-1] + scores[1:]) / 2))


@exercise.right
def by_ranks(x, baseline, attributions, kernel, bias):
    ranks = np.argsort(np.argsort(-attributions))
    gone = ranks < np.arange(len(x) + 1)[:, None]
    scores = 1 / (1 + np.exp(-(np.where(gone, baseline, x) @ kernel + bias)))
    return scores, np.trapezoid(scores, dx=1 / len(x))


@exercise.right
def by_what_each_pixel_adds(x, baseline, attributions, kernel, bias):
    order = np.argsort(attributions)[::-1]
    steps = ((baseline - x) * kernel)[order]
    logits = x @ kernel + bias + np.concatenate([[0], np.cumsum(steps)])
    scores = 1 / (1 + np.exp(-logits))
    return scores, (scores.sum() - (scores[0] + scores[-1]) / 2) / len(x)


@exercise.right
def with_tensorflow(x, baseline, attributions, kernel, bias):
    order = tf.argsort(attributions, direction="DESCENDING")
    gone = tf.math.invert_permutation(order) < tf.range(len(x) + 1)[:, None]
    scores = tf.sigmoid(tf.linalg.matvec(tf.where(gone, baseline, x), kernel) + bias)
    return scores, tf.reduce_mean(scores[:-1] + scores[1:]) / 2


exercise.mistake(
    "least_important_first",
    "The least important pixels go first. Sort the other way round.",
    old="np.argsort(-attributions)",
    new="np.argsort(attributions)",
)
exercise.mistake(
    "by_the_size",
    "The order is that of the sizes. A pixel that speaks against the score is the last to go.",
    old="np.argsort(-attributions)",
    new="np.argsort(-np.abs(attributions))",
)
exercise.mistake(
    "zero_in_its_place",
    "A removed pixel is set to zero. Zero is a value like others: put the baseline's there.",
    old="= baseline[place]",
    new="= 0",
)
exercise.mistake(
    "one_at_a_time",
    "Each picture lacks one pixel only. What was removed before stays removed.",
    old="picture = picture.copy()",
    new="picture = x.copy()",
)
exercise.mistake(
    "whole_picture_left_out",
    "The curve lacks its first point, the whole picture, or its last.",
    old="picture, pictures = x.copy(), [x]",
    new="picture, pictures = x.copy(), []",
)
exercise.mistake(
    "no_trapezes", old="np.mean((scores[:-1] + scores[1:]) / 2)", new="np.mean(scores)"
)
exercise.mistake(
    "logits",
    old="1 / (1 + np.exp(-(np.stack(pictures) @ kernel + bias)))",
    new="np.stack(pictures) @ kernel + bias",
)
exercise.mistake("insertion", old="return scores,", new="return scores[::-1],")
exercise.mistake("bias_forgotten", old="@ kernel + bias", new="@ kernel")
