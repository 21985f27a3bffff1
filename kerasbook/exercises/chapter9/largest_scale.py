"""The largest loss scale of a step."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=9,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("scale", "zeros"),
    hints=[
        "Which of the gradients decides how large the scale may be? The sign does not matter.",
        "The largest one, times the scale, must be at most 65,504. How often can it be doubled? "
        "Or, the other way, what is the logarithm to the base two of 65,504 / largest?",
        "scale = 2 ** floor(log2(65504 / largest)). Then scale all gradients, turn them into "
        "float16, and count where this is 0 and the gradient is not.",
    ],
)


@exercise.stub
def largest_scale(gradients):
    """Find the largest scale with which no gradient of this step is infinite in float16.

    The scale is a power of two, 2 ** k for a whole number k, which may be negative. With it every
    |gradient · scale| must be at most 65504, the largest number of float16. If all gradients are
    zero, any scale would do: return 1.

    Practises: chapter 9, "Gradients that are zero".

    Args:
        gradients: list of float32 arrays of any shapes, at least one, none of them empty.

    Returns:
        The scale, a floating-point number; and the number, an integer, of gradients which are not
        zero, but are zero in float16 after they were multiplied by the scale.

    Both are compared (the scale with a tolerance of 1e-5 + 1e-4 · |expected|).
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    return solution(list(inputs.values()))


def numbered(*gradients):
    """Returns the inputs of a case: gradient 1, gradient 2, …"""
    return {f"gradient {number}": each for number, each in enumerate(gradients, start=1)}


@exercise.public
def examples(random):
    yield Case("two arrays", numbered(np.float32([[0.5, -3.0]]), np.float32([1e-14, 0.0])))


@exercise.hidden
def drawn(random):
    for name, low, high in (("small", -16, -4), ("wide", -30, 3), ("large", 2, 9)):
        sizes = [10.0 ** random.uniform(low, high, shape) for shape in ((3, 4), (5,), (2, 2, 2))]
        arrays = [(random.choice([-1, 1], size.shape) * size) for size in sizes]
        arrays[0][0, :2] = 0
        arrays[1][0] = -1.5 * 10.0**high  # the largest is negative
        yield Case(f"{name} gradients", numbered(*(each.astype("float32") for each in arrays)))
    border = np.float32([65504 * 2.0**-9, -1e-12])
    yield Case("one on the border", numbered(border))
    yield Case("all zero", numbered(np.zeros((2, 3), "float32"), np.zeros(4, "float32")))


@exercise.reference
def solution(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    largest = np.abs(row).max()
    if largest == 0:
        return 1.0, 0
    scale = 2.0 ** np.floor(np.log2(65504 / largest))
    half = (row * scale).astype("float16")
    return scale, int(np.sum((row != 0) & (half == 0)))


@exercise.right
def by_doubling(gradients):
    largest = max(float(np.abs(each).max()) for each in gradients)
    if largest == 0:
        return 1.0, 0
    scale = 1.0
    while largest * scale > 65504:
        scale /= 2
    while largest * scale * 2 <= 65504:
        scale *= 2
    zeros = 0
    for each in gradients:
        for number in each.flat:
            if number != 0 and np.float16(float(number) * scale) == 0:
                zeros += 1
    return scale, zeros


@exercise.right
def with_tensors(gradients):
    row = tf.concat([tf.reshape(tf.cast(each, tf.float64), [-1]) for each in gradients], 0)
    largest = tf.reduce_max(tf.abs(row))
    if largest == 0:
        return 1.0, 0
    power = tf.floor(tf.math.log(65504 / largest) / tf.math.log(tf.constant(2.0, tf.float64)))
    scale = 2.0 ** float(power)
    if float(largest) * scale * 2 <= 65504:  # a rounded logarithm
        scale *= 2
    half = tf.cast(row * scale, tf.float16)
    lost = tf.logical_and(row != 0, half == 0)
    return scale, int(tf.reduce_sum(tf.cast(lost, tf.int32)))


@exercise.right
def by_exponents(gradients):
    row = np.concatenate([each.reshape(-1) for each in gradients]).astype("float64")
    if not row.any():
        return 1.0, 0
    mantissa, exponent = np.frexp(np.abs(row).max())  # mantissa from a half to one
    limit, top = np.frexp(65504.0)
    power = int(top - exponent) - int(mantissa > limit)
    half = np.float16(np.ldexp(row, power))
    return float(2.0**power), int(np.count_nonzero(row) - np.count_nonzero(half))


@exercise.wrong("The largest gradient is a negative one here: take the largest absolute value.")
def without_absolute_values(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    largest = row.max()
    if largest == 0:
        return 1.0, 0
    scale = 2.0 ** np.floor(np.log2(65504 / largest))
    half = np.clip(row * scale, -65504, 65504).astype("float16")
    return scale, int(np.sum((row != 0) & (half == 0)))


exercise.mistake(
    "no_power_of_two",
    "The scale is no power of two. With another number every gradient is rounded.",
    old="2.0 ** np.floor(np.log2(65504 / largest))",
    new="65504 / largest",
)


@exercise.wrong("Gradients that are zero by themselves are counted. They are right as they are.")
def true_zeros_counted(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    largest = np.abs(row).max()
    if largest == 0:
        return 1.0, 0
    scale = 2.0 ** np.floor(np.log2(65504 / largest))
    return scale, int(np.sum((row * scale).astype("float16") == 0))


@exercise.wrong("The scale is one step too large: the largest gradient becomes infinite.")
def rounded_up(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    largest = np.abs(row).max()
    if largest == 0:
        return 1.0, 0
    scale = 2.0 ** (np.floor(np.log2(65504 / largest)) + 1)
    half = np.clip(row * scale, -65504, 65504).astype("float16")
    return scale, int(np.sum((row != 0) & (half == 0)))


@exercise.wrong()
def always_the_same(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    half = np.clip(row * 2.0**15, -65504, 65504).astype("float16")
    return 2.0**15, int(np.sum((row != 0) & (half == 0)))


exercise.mistake(
    "cast_first",
    "The gradients are turned into float16 before they are scaled, and then it is too late.",
    old="(row * scale).astype",
    new="np.clip(row, -65504, 65504).astype",
)


@exercise.wrong()
def never_below_one(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    largest = np.abs(row).max()
    if largest == 0:
        return 1.0, 0
    scale = max(1.0, 2.0 ** np.floor(np.log2(65504 / largest)))
    half = np.clip(row * scale, -65504, 65504).astype("float16")
    return scale, int(np.sum((row != 0) & (half == 0)))


exercise.mistake(
    "first_array_only",
    old="np.concatenate([np.ravel(each) for each in gradients])",
    new="np.ravel(gradients[0])",
)


@exercise.wrong()
def by_the_length(gradients):
    row = np.concatenate([np.ravel(each) for each in gradients]).astype("float64")
    largest = np.sqrt(np.sum(row**2))
    if largest == 0:
        return 1.0, 0
    scale = 2.0 ** np.floor(np.log2(65504 / largest)) / 2
    half = (row * scale).astype("float16")
    return scale, int(np.sum((row != 0) & (half == 0)))
