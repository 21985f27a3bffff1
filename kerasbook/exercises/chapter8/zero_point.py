"""The zero point of a range."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("scale", "zero point", "whole numbers"),
    hints=[
        "Which range must the whole numbers cover, if zero is to have one of them?",
        "Make the range reach zero. From its lower end to its upper end there are 255 steps, and "
        "the lower end is 0.",
        "low, high = min(x.min(), 0), max(x.max(), 0); scale = 255 / (high - low); zero = "
        "round(-low * scale); the numbers are np.clip(np.round(x * scale) + zero, 0, 255).",
    ],
)


@exercise.stub
def zero_point(x):
    """Quantise what a layer gives to whole numbers from 0 to 255 (uint8), with a zero point.

    The range goes from the smallest to the largest of the numbers, but it must reach zero: 0.0 has
    a whole number of its own, the zero point, which is rounded to the next one (a half goes to the
    even neighbour). Then x ≈ (whole - zero point) / scale, where x · scale is rounded before the
    zero point is added. All this lies in 0 to 255; what does not, is clipped.

    Practises: chapter 8, "The number of zero"; there the whole numbers begin at -128.

    Args:
        x: float64 array of any shape; not all of it is zero.

    Returns:
        The scale, a float; the zero point, an integer; the whole numbers, uint8 of x's shape. The
        scale has a tolerance of 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("from 0 to 5.1", {"x": np.array([0, 0.5, 2, 3.1, 5.1])})
    yield Case("from -1 to 4.1", {"x": np.array([-1, 0.0, 4.1])})


@exercise.hidden
def drawn(random):
    yield Case("both signs", {"x": random.normal(size=(4, 5))}, unchanged=True)
    yield Case("all above one", {"x": random.uniform(1, 3, 12)})
    yield Case("all negative", {"x": random.uniform(-3, -2, (2, 6))})
    yield Case("the zero point is not whole", {"x": np.array([-0.93, 0.3, 1.17, 0.0])})
    yield Case("halves", {"x": np.array([-10.0, 0.5, 1.5, 2.5, -0.5, 245.0])})


@exercise.reference
def solution(x):
    low, high = min(x.min(), 0), max(x.max(), 0)
    scale = 255 / (high - low)
    zero = int(np.round(-low * scale))
    return scale, zero, np.clip(np.round(x * scale) + zero, 0, 255).astype("uint8")


@exercise.right
def with_tensors(x):
    low, high = tf.minimum(tf.reduce_min(x), 0), tf.maximum(tf.reduce_max(x), 0)
    scale = 255 / (high - low)
    zero = tf.round(-low * scale)
    whole = tf.clip_by_value(tf.round(x * scale) + zero, 0, 255)
    return scale, tf.cast(zero, tf.int32), tf.cast(whole, tf.uint8)


@exercise.right
def one_by_one(x):
    numbers = [0.0, *x.ravel().tolist()]
    scale = 255 / (max(numbers) - min(numbers))
    zero = round(-min(numbers) * scale)
    whole = [min(255, max(0, round(each * scale) + zero)) for each in x.ravel().tolist()]
    return scale, zero, np.array(whole, "uint8").reshape(x.shape)


@exercise.right
def with_zero_in_the_row(x):
    both = np.append(x.ravel(), 0.0)
    scale = 255 / np.ptp(both)
    whole = np.rint(both * scale).astype(int)
    zero = int(np.rint(-both.min() * scale))
    whole = np.minimum(np.maximum(whole + zero, 0), 255).astype("uint8")
    return scale, zero, whole[:-1].reshape(x.shape)


exercise.mistake(
    "from_the_smallest",
    "The range begins at the smallest number, even if that is above zero (and ends at the largest, "
    "even if that is below). Then 0.0 has no whole number.",
    old="min(x.min(), 0), max(x.max(), 0)",
    new="x.min(), x.max()",
)
exercise.mistake(
    "zero_ignored",
    "The zero point is not added to the whole numbers: what is negative is lost.",
    old="np.round(x * scale) + zero",
    new="np.round(x * scale)",
)
exercise.mistake(
    "from_minus_128",
    "These are the whole numbers from -128 to 127 of the chapter. Here they go from 0 to 255.",
    old="int(np.round(-low * scale))",
    new="int(np.round(-128 - low * scale))",
)
exercise.mistake(
    "half_up",
    "Halves go up here. `np.round` sends them to the even neighbour.",
    old="np.round(x * scale) + zero",
    new="np.floor(x * scale + 0.5) + zero",
)
exercise.mistake("cut_off", old="int(np.round(-low * scale))", new="int(-low * scale)")
exercise.mistake("wrong_sign", old="np.round(-low * scale)", new="np.round(low * scale)")
exercise.mistake("steps_of_256", old="255 / (high - low)", new="256 / (high - low)")
exercise.mistake("symmetrical", old="high - low)", new="2 * max(high, -low))")
exercise.mistake("the_step", old="return scale, zero", new="return 1 / scale, zero")
