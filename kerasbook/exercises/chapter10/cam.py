"""Grad-CAM from maps and their gradients."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=10,
    difficulty=1,
    points=2,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "One weight for each picture and channel: the mean of the gradient over all its places.",
        "Weigh the maps by it, add the channels up, and only then cut off what is negative.",
        "weights = gradients.mean(axis=(2, 3), keepdims=True); heat = np.maximum((weights * "
        "maps).sum(axis=1), 0); then np.repeat twice.",
    ],
)


@exercise.stub
def grad_cam(maps, gradients, scale):
    """Where the places of the last maps speak for a score, as large as the picture.

    Here the channels come first, as in PyTorch. The weight of a channel is the mean of its gradient
    over the places; the weighted maps are added up; what speaks against the score is set to zero.
    Then every place becomes a square of scale × scale pixels of the same value.

    Practises: chapter 10, "Grad-CAM: a coarser picture from higher up".

    Args:
        maps: (n, channels, rows, columns) float64 array, the output of the last convolution.
        gradients: the same shape: the gradient of the score for each number of the maps.
        scale: positive integer.

    Returns:
        (n, rows · scale, columns · scale), none of it negative; float32 or float64. Tolerance: 1e-6
        + 1e-5 · |expected|.
    """
    raise NotImplementedError


def inputs_of(random, n, channels, rows, columns, scale):
    shape = n, channels, rows, columns
    maps = np.maximum(random.normal(size=shape), 0)
    return {"maps": maps, "gradients": random.normal(size=shape), "scale": scale}


@exercise.public
def examples(random):
    yield Case("two pictures", inputs_of(random, 2, 3, 2, 3, 2))


@exercise.hidden
def drawn(random):
    for n, channels, rows, columns, scale in ((3, 5, 4, 4, 4), (2, 2, 3, 5, 1), (1, 7, 2, 2, 3)):
        inputs = inputs_of(random, n, channels, rows, columns, scale)
        yield Case(f"{channels} channels, scale {scale}", inputs, unchanged=True)
    signed = inputs_of(random, 2, 4, 3, 3, 2)
    yield Case("maps of both signs", signed | {"maps": random.normal(size=(2, 4, 3, 3))})


@exercise.reference
def solution(maps, gradients, scale):
    weights = gradients.mean(axis=(2, 3), keepdims=True)
    heat = np.maximum((weights * maps).sum(axis=1), 0)
    return heat.repeat(scale, axis=1).repeat(scale, axis=2)


@exercise.right
def with_einsum(maps, gradients, scale):
    heat = np.einsum("nc,ncij->nij", gradients.mean(axis=(2, 3)), maps)
    return np.kron(np.where(heat > 0, heat, 0), np.ones((1, scale, scale)))


@exercise.right
def with_tensorflow(maps, gradients, scale):
    weights = tf.reduce_mean(gradients, axis=(2, 3), keepdims=True)
    heat = tf.nn.relu(tf.reduce_sum(weights * maps, axis=1))
    return tf.repeat(tf.repeat(heat, scale, axis=1), scale, axis=2)


@exercise.right
def by_loops(maps, gradients, scale):
    n, channels, rows, columns = maps.shape
    found = np.zeros((n, rows * scale, columns * scale))
    for i, row, column in np.ndindex(found.shape):
        place = row // scale, column // scale
        terms = (gradients[i, c].mean() * maps[i, c][place] for c in range(channels))
        found[i, row, column] = max(sum(terms), 0)
    return found


exercise.mistake(
    "without_the_relu",
    "What speaks against the score is still in it. Set negative places to zero, after the sum.",
    old="np.maximum((weights * maps).sum(axis=1), 0)",
    new="(weights * maps).sum(axis=1)",
)
exercise.mistake(
    "relu_before_the_sum",
    "Each channel is cut off by itself, before the sum. Channels that speak against a place must "
    "be able to outweigh the others.",
    old="np.maximum((weights * maps).sum(axis=1), 0)",
    new="np.maximum(weights * maps, 0).sum(axis=1)",
)
exercise.mistake(
    "own_gradient_of_each_place",
    "Each place is multiplied by its own gradient. Grad-CAM has one weight for a whole channel: "
    "the mean over the places.",
    old="gradients.mean(axis=(2, 3), keepdims=True)",
    new="gradients",
)
exercise.mistake(
    "mean_over_channels",
    "The mean is taken over the channels. Each channel has its own weight.",
    old="axis=(2, 3), keepdims",
    new="axis=1, keepdims",
)
exercise.mistake(
    "weights_of_both_signs_as_one", old="(weights * maps)", new="(np.abs(weights) * maps)"
)
exercise.mistake(
    "mean_of_the_channels", old="(weights * maps).sum(axis=1)", new="(weights * maps).mean(axis=1)"
)
exercise.mistake("sum_for_mean", old="gradients.mean", new="gradients.sum")
exercise.mistake("of_all_pictures", old="axis=(2, 3), keepdims", new="axis=(0, 2, 3), keepdims")
exercise.mistake(
    "tiled",
    old="heat.repeat(scale, axis=1).repeat(scale, axis=2)",
    new="np.tile(heat, (1, scale, scale))",
)
