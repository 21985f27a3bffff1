"""Stochastic depth: whole blocks that are left out in training."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=20,
    difficulty=2,
    points=2,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Which of the two terms is left out, and for which pictures?",
        "It is dropout with one number per picture. What has chapter 2's dropout done, so that in "
        "use nothing needs to be scaled?",
        "In training: x + branch * kept[:, None, None, None] / survival; in use: x + branch.",
    ],
)


@exercise.stub
def stochastic_depth(x, branch, kept, survival, training):
    """The sum of a residual block, whose layers are now and then left out.

    In training each picture keeps the block's layers with the probability `survival`; where they
    are left out, the shortcut alone goes on. As with chapter 2's dropout, what is kept is scaled
    up, so that the sum is the same on average, and in use nothing is left out and nothing scaled.

    Practises: chapter 3, continued: deeper networks, "The plus sign".

    Args:
        x: (n, height, width, channels) float64 array, the input of the block.
        branch: F(x), of the same shape.
        kept: (n,) bool array, for which pictures the layers are kept in this step.
        survival: float, 0 < survival ≤ 1.
        training: bool.

    Returns:
        The sum, (n, height, width, channels), float32 or float64. Tolerance: 1e-6 + 1e-5 ·
        |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, shape, survival, training):
    return {
        "x": random.normal(size=shape),
        "branch": random.normal(size=shape),
        "kept": np.arange(shape[0]) % 3 != 1,
        "survival": survival,
        "training": training,
    }


@exercise.public
def examples(random):
    yield Case("three pictures in training", drawn_inputs(random, (3, 1, 2, 1), 0.5, True))


@exercise.hidden
def drawn(random):
    for shape, survival in (((4, 3, 2, 2), 0.8), ((4, 4, 4, 4), 0.25)):
        for training in (True, False):
            name = f"survival {survival}, {'training' if training else 'use'}"
            yield Case(name, drawn_inputs(random, shape, survival, training), unchanged=True)


@exercise.reference
def solution(x, branch, kept, survival, training):
    if not training:
        return x + branch
    return x + branch * kept[:, np.newaxis, np.newaxis, np.newaxis] / survival


@exercise.right
def with_where(x, branch, kept, survival, training):
    chosen = kept | (not training)
    scale = survival if training else 1.0
    return tf.where(tf.reshape(chosen, (-1, 1, 1, 1)), x + branch / scale, x)


@exercise.right
def picture_by_picture(x, branch, kept, survival, training):
    y = x.copy()
    for k in range(len(x)):
        if not training:
            y[k] += branch[k]
        elif kept[k]:
            y[k] += branch[k] / survival
    return y


@exercise.right
def with_einsum(x, branch, kept, survival, training):
    factor = kept / survival if training else np.ones(len(x))
    return x + keras.ops.einsum("n,nijc->nijc", factor, branch)


@exercise.wrong("What is kept is not scaled up, so in use the block adds more than it was used to.")
def not_scaled(x, branch, kept, survival, training):
    if not training:
        return x + branch
    return x + branch * kept[:, np.newaxis, np.newaxis, np.newaxis]


@exercise.wrong("The shortcut is left out as well. It always goes on; only the layers are dropped.")
def shortcut_too(x, branch, kept, survival, training):
    if not training:
        return x + branch
    return (x + branch / survival) * kept[:, np.newaxis, np.newaxis, np.newaxis]


@exercise.wrong(
    "In use the layers are scaled down. After scaling in training that is once too many."
)
def scaled_twice(x, branch, kept, survival, training):
    if not training:
        return x + branch * survival
    return x + branch * kept[:, np.newaxis, np.newaxis, np.newaxis] / survival


@exercise.wrong("Layers are left out in use too: `training` is not looked at.")
def always_dropped(x, branch, kept, survival, training):
    return x + branch * kept[:, np.newaxis, np.newaxis, np.newaxis] / survival


@exercise.wrong("You divide by the share that is left out, 1 − survival.")
def other_share(x, branch, kept, survival, training):
    if not training:
        return x + branch
    return x + branch * kept[:, np.newaxis, np.newaxis, np.newaxis] / (1 - survival)


exercise.mistake("the_wrong_ones_kept", old="* kept", new="* ~kept")


exercise.mistake("all_or_none", old=":, np.newaxis, np.newaxis, np.newaxis", new="0")


@exercise.wrong()
def sum_scaled(x, branch, kept, survival, training):
    if not training:
        return x + branch
    mask = kept[:, np.newaxis, np.newaxis, np.newaxis]
    return np.where(mask, (x + branch) / survival, x)
