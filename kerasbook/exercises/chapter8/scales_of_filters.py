"""Quantisation per channel: the scales of a convolution's filters."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("whole numbers", "scales"),
    dtypes=("int8", "float32", "float64"),
    hints=[
        "Which of the four axes counts the filters? The other three share a scale.",
        "The scale is 127 / largest |weight| of the filter. Mind a filter without any weight.",
        "largest = np.abs(kernel).max(axis=(0, 1, 2)); scales = 127 / np.where(largest > 0, "
        "largest, 127); the whole numbers are np.round(kernel * scales) as int8.",
    ],
)


@exercise.stub
def scales_of_filters(kernel):
    """Turn the kernel of a convolution into whole numbers of 8 bits, with a scale for each filter.

    A filter's largest |weight| becomes 127 or -127; its scale is what its weights are multiplied
    by. A filter of zeros has the scale 1. A half goes to the even neighbour, as in `np.round`.

    Practises: chapter 8, "A scale for each unit".

    Args:
        kernel: (kh, kw, channels, filters) float64 array.

    Returns:
        The whole numbers, int8 of the kernel's shape; and the scales, (filters,) floats. The
        scales have a tolerance of 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def halves(random):
    """Returns a kernel whose two filters have the scales 1 and 2, and weights halfway between."""
    kernel = np.array([0.5, 1.5, 2.5, -0.5, -2.5, 3.5, 126.5, -127.0])
    return np.stack([kernel, kernel[::-1] / 2], axis=-1).reshape(2, 2, 2, 2)


@exercise.public
def examples(random):
    kernel = np.array([[0.02, 1.0], [-0.01, -2.0], [0.03, 4.0]]).reshape(3, 1, 1, 2)
    yield Case("two filters of three weights", {"kernel": kernel})


@exercise.hidden
def drawn(random):
    sizes = np.array([0.01, 1.0, 30.0, 0.2])
    yield Case("filters of many sizes", {"kernel": random.normal(size=(3, 3, 2, 4)) * sizes})
    yield Case("weights halfway between", {"kernel": halves(random)})
    one = random.normal(size=(2, 3, 3, 3)) * [1.0, 0.0, 5.0]
    yield Case("a filter of zeros", {"kernel": one}, unchanged=True)
    yield Case("all negative", {"kernel": -np.abs(random.normal(size=(1, 1, 4, 2)))})


@exercise.reference
def solution(kernel):
    largest = np.abs(kernel).max(axis=(0, 1, 2))
    scales = 127 / np.where(largest > 0, largest, 127)
    return np.round(kernel * scales).astype("int8"), scales


@exercise.right
def filter_by_filter(kernel):
    whole, scales = np.zeros(kernel.shape, "int8"), np.ones(kernel.shape[-1])
    for f in range(kernel.shape[-1]):
        largest = max(kernel[..., f].max(), -kernel[..., f].min())
        if largest > 0:
            scales[f] = 127 / largest
        whole[..., f] = np.rint(kernel[..., f] * scales[f])
    return whole, scales


@exercise.right
def with_tensors(kernel):
    largest = tf.reduce_max(tf.abs(tf.constant(kernel)), axis=[0, 1, 2])
    scales = tf.where(largest > 0, 127 / largest, tf.ones_like(largest))
    return tf.cast(tf.round(kernel * scales), tf.int8), scales


@exercise.right
def as_a_matrix(kernel):
    rows = kernel.reshape(-1, kernel.shape[-1])
    largest = np.linalg.norm(rows, np.inf, axis=0)
    scales = np.divide(127, largest, out=np.ones_like(largest), where=largest > 0)
    return np.round(rows * scales).reshape(kernel.shape).astype("int8"), scales


exercise.mistake(
    "one_for_all",
    "There is one scale for the whole kernel: the small filters have only a few steps left. Take "
    "the largest weight of each filter.",
    old="np.abs(kernel).max(axis=(0, 1, 2))",
    new="np.full(kernel.shape[-1], np.abs(kernel).max())",
)
exercise.mistake(
    "half_up",
    "Halves go up here, which makes the sum of many numbers too large. `np.round` sends them to "
    "the even neighbour.",
    old="np.round(kernel * scales)",
    new="np.floor(kernel * scales + 0.5)",
)
exercise.mistake(
    "cut_off",
    "The decimals are cut off, by `astype`. Round first.",
    old="np.round(kernel * scales)",
    new="(kernel * scales)",
)
exercise.mistake(
    "the_step",
    "This is the length of a step, the reciprocal of what is asked for.",
    old='return np.round(kernel * scales).astype("int8"), scales',
    new='return np.round(kernel * scales).astype("int8"), 1 / scales',
)
exercise.mistake("no_sign", old="np.abs(kernel).max", new="kernel.max")
exercise.mistake("zeros_forgotten", old="np.where(largest > 0, largest, 127)", new="largest")
exercise.mistake("one_too_many", old="127 / np.where", new="128 / np.where")
exercise.mistake("four_bits", old="127 / np.where", new="7 / np.where")
exercise.mistake(
    "of_the_channels",
    old="np.abs(kernel).max(axis=(0, 1, 2))",
    new="np.resize(np.abs(kernel).max(axis=(0, 1, 3)), kernel.shape[-1])",
)
