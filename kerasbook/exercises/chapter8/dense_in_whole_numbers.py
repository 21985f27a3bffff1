"""A dense layer in whole numbers, with a zero point and a bias."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=20,
    difficulty=2,
    points=3,
    outputs=("sums", "result"),
    hints=[
        "x ≈ (x_whole - zero) / x_scale and w ≈ w_whole / scales. Put both into the sum, and take "
        "out what does not depend on the input's number.",
        "The bias has to be added to sums that are x_scale · scales times too large, so it must be "
        "as much larger. How many bits do x_whole - zero and the sums need?",
        "x = x_whole.astype('int32') - zero; sums = x @ w_whole.astype('int32') + "
        "np.round(bias * x_scale * scales).astype('int32'); the result is sums / (x_scale * "
        "scales).",
    ],
)


@exercise.stub
def dense_in_whole_numbers(x_whole, x_scale, zero, w_whole, scales, bias):
    """Compute a dense layer in whole numbers: first its sums, and then what they stand for.

    x ≈ (x_whole - zero) / x_scale, and column j of the kernel ≈ w_whole[:, j] / scales[j]. The
    bias is added to the sums, in whole numbers: with the same scale as theirs, rounded (a half goes
    to the even neighbour). The sums have 32 bits.

    Practises: chapter 8, "A dense layer in whole numbers" and "The number of zero".

    Args:
        x_whole: (n, inputs) int8 array.
        x_scale: float.
        zero: integer from -128 to 127.
        w_whole: (inputs, units) int8 array.
        scales: (units,) float64 array.
        bias: (units,) float64 array, not yet quantised.

    Returns:
        The sums, (n, units) int32; and the layer's outputs, (n, units) floats (tolerance 1e-5 +
        1e-4 · |expected|).
    """
    raise NotImplementedError


def layer(random, n, inputs, units, zero):
    """Returns the inputs of a case."""
    return {
        "x_whole": random.integers(-128, 128, (n, inputs)).astype("int8"),
        "x_scale": float(random.uniform(20, 60)),
        "zero": zero,
        "w_whole": random.integers(-127, 128, (inputs, units)).astype("int8"),
        "scales": random.uniform(10, 300, units),
        "bias": random.normal(0, 3, units),
    }


@exercise.public
def examples(random):
    x, w = np.array([[1, 2, 3]], "int8"), np.array([[10, 0], [0, 10], [1, -1]], "int8")
    scales, bias = np.array([100.0, 50.0]), np.array([0.5, -0.25])
    inputs = {"x_whole": x, "x_scale": 10.0, "zero": 1}
    yield Case("three inputs", inputs | {"w_whole": w, "scales": scales, "bias": bias})


@exercise.hidden
def drawn(random):
    yield Case("zero is zero", layer(random, 3, 4, 2, 0))
    yield Case("the zero point of a ReLU", layer(random, 4, 6, 3, -128), unchanged=True)
    yield Case("many inputs", layer(random, 2, 300, 4, 17))
    yield Case("a high zero point", layer(random, 5, 8, 3, 100))


@exercise.reference
def solution(x_whole, x_scale, zero, w_whole, scales, bias):
    x, w = x_whole.astype("int32") - zero, w_whole.astype("int32")
    sums = x @ w + np.round(bias * x_scale * scales).astype("int32")
    return sums, sums / (x_scale * scales)


@exercise.right
def with_tensors(x_whole, x_scale, zero, w_whole, scales, bias):
    x = tf.cast(x_whole, tf.int32) - zero
    whole_bias = tf.cast(tf.round(bias * x_scale * scales), tf.int32)
    sums = tf.linalg.matmul(x, tf.cast(w_whole, tf.int32)) + whole_bias
    return sums, tf.cast(sums, tf.float64) / (x_scale * scales)


@exercise.right
def zero_by_the_sums_of_columns(x_whole, x_scale, zero, w_whole, scales, bias):
    w = w_whole.astype("int64")
    whole_bias = np.rint(bias * (x_scale * scales)).astype("int64")
    sums = x_whole.astype("int64") @ w - zero * w.sum(axis=0) + whole_bias
    return sums.astype("int32"), sums / x_scale / scales


@exercise.right
def by_loops(x_whole, x_scale, zero, w_whole, scales, bias):
    n, inputs = x_whole.shape
    sums = np.zeros((n, len(scales)), "int32")
    for row, unit in np.ndindex(sums.shape):
        total = round(float(bias[unit] * x_scale * scales[unit]))
        for i in range(inputs):
            total += (int(x_whole[row, i]) - zero) * int(w_whole[i, unit])
        sums[row, unit] = total
    return sums, sums / (x_scale * scales)


exercise.mistake(
    "zero_ignored",
    "The zero point is forgotten: the whole number `zero` stands for 0.0, not the whole number 0.",
    old='x_whole.astype("int32") - zero',
    new='x_whole.astype("int32")',
)
exercise.mistake(
    "bias_without_a_scale",
    "The bias is added as it is, to sums that are x_scale · scales times too large. It must be "
    "multiplied by both scales first.",
    old="bias * x_scale * scales",
    new="bias",
)
exercise.mistake(
    "difference_in_8_bits",
    "x_whole - zero is computed in 8 bits, and begins anew beyond 127. Turn x_whole into 32 bits "
    "before anything is subtracted.",
    old='x_whole.astype("int32") - zero',
    new='(x_whole - np.int8(zero)).astype("int32")',
)
exercise.mistake(
    "sums_in_8_bits",
    "The sums are computed in 8 bits. A single product may need 15.",
    old="sums = x @ w +",
    new='sums = (x.astype("int8") @ w.astype("int8")).astype("int32") +',
)
exercise.mistake("bias_with_one_scale", old="bias * x_scale * scales", new="bias * scales")
exercise.mistake("zero_once", old="sums = x @ w +", new="sums = (x + zero) @ w - zero +")
exercise.mistake("one_scale", old="sums / (x_scale * scales)", new="sums / scales")
exercise.mistake("scales_times", old="sums / (x_scale * scales)", new="sums * (x_scale * scales)")
exercise.mistake("bias_twice", old="return sums, sums / (x_scale * scales)",
                 new="return sums, sums / (x_scale * scales) + bias")  # fmt: skip
exercise.mistake("bias_cut_off", old="np.round(bias * x_scale * scales)",
                 new="np.trunc(bias * x_scale * scales)")  # fmt: skip
