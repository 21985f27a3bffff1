"""From a sum of 32 bits back to 8, without floating point: requantisation."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=20,
    difficulty=2,
    points=3,
    dtypes=("int8",),
    hints=[
        "sums · m fits into 64 bits. A division by 2 ** shift is what is left, and one rounding.",
        "Adding half of 2 ** shift before the shift to the right rounds, and a half goes up. The "
        "zero point comes afterwards; what is the smallest whole number that ReLU lets through?",
        "whole = ((sums.astype('int64') * m + (1 << (shift - 1))) >> shift) + zero; then "
        "np.clip(whole, zero if relu else -128, 127).astype('int8').",
    ],
)


@exercise.stub
def requantise(sums, m, shift, zero, relu):
    """Turn the sums of a layer into its outputs in 8 bits, with whole numbers only.

    A sum is multiplied by m / 2 ** shift, rounded once (a half goes up: 2.5 to 3 and -2.5 to -2),
    and the zero point is added. With `relu` what is below 0.0 becomes 0.0. What does not fit into
    8 bits is clipped.

    Practises: chapter 8, "Off by one: which rounding?".

    Args:
        sums: (n, units) int32 array.
        m: (units,) int64 array, from 2 ** 30 to 2 ** 31.
        shift: (units,) int64 array, from 31 to 45.
        zero: integer from -128 to 127, the whole number that stands for 0.0.
        relu: bool.

    Returns:
        (n, units) int8 array, compared number by number.
    """
    raise NotImplementedError


def sums_of(random, n, units, zero, relu, spread=90):
    """Returns the inputs of a case, whose outputs lie about the zero point."""
    shift = random.integers(34, 42, units)
    m = random.integers(2**30, 2**31, units)
    sums = random.normal(0, spread, (n, units)) * 2.0**shift / m
    return {"sums": sums.astype("int32"), "m": m, "shift": shift, "zero": zero, "relu": relu}


def halves(random):
    """Returns a case in which every product lies halfway between two whole numbers."""
    odd = 2 * random.integers(-40, 40, (6, 2)) + 1
    m, shift = np.array([2**30, 2**30]), np.array([31, 33])
    return {
        "sums": (odd * [1, 4]).astype("int32"),
        "m": m,
        "shift": shift,
        "zero": 3,
        "relu": False,
    }


@exercise.public
def examples(random):
    m, shift = np.array([2**30, 1_288_490_189]), np.array([32, 32])
    inputs = {"sums": np.array([[10, 8], [-10, -8]], "int32"), "m": m, "shift": shift}
    yield Case("times 0.25 and 0.3", inputs | {"zero": 0, "relu": False})


@exercise.hidden
def drawn(random):
    yield Case("many sums", sums_of(random, 200, 3, 0, False, 40))
    yield Case("a zero point", sums_of(random, 20, 4, -20, False))
    yield Case("a ReLU", sums_of(random, 20, 4, -100, True))
    yield Case("halfway between", halves(random))
    yield Case("too large for 8 bits", sums_of(random, 30, 2, 50, False, 400), unchanged=True)
    twice = {"m": np.array([1_288_490_189]), "shift": np.array([32]), "zero": 0, "relu": False}
    yield Case("times 0.3", {"sums": np.arange(-60, 60, dtype="int32")[:, np.newaxis]} | twice)


@exercise.reference
def solution(sums, m, shift, zero, relu):
    half = np.int64(1) << (shift - 1)
    whole = (sums.astype("int64") * m + half) >> shift
    return np.clip(whole + zero, zero if relu else -128, 127).astype("int8")


@exercise.right
def with_tensors(sums, m, shift, zero, relu):
    shift = tf.constant(shift, tf.int64)
    product = tf.cast(sums, tf.int64) * m
    half = tf.bitwise.left_shift(tf.ones_like(shift), shift - 1)
    whole = tf.bitwise.right_shift(product + half, shift) + zero
    return tf.cast(tf.clip_by_value(whole, zero if relu else -128, 127), tf.int8)


@exercise.right
def in_pythons_numbers(sums, m, shift, zero, relu):
    found = np.zeros(sums.shape, "int8")
    for row, unit in np.ndindex(sums.shape):
        product, by = int(sums[row, unit]) * int(m[unit]), int(shift[unit])
        whole = zero + (2 * product + 2**by) // 2 ** (by + 1)
        found[row, unit] = max(zero if relu else -128, min(127, whole))
    return found


@exercise.right
def by_the_remainder(sums, m, shift, zero, relu):
    product = sums.astype("int64") * m
    down, rest = product >> shift, product & ((np.int64(1) << shift) - 1)
    whole = down + (rest >= (np.int64(1) << (shift - 1)))
    if relu:
        whole = np.maximum(whole, 0)
    return np.minimum(np.maximum(whole + zero, -128), 127).astype("int8")


exercise.mistake(
    "rounded_down",
    "A shift to the right rounds down. Add half of 2 ** shift before it.",
    old="* m + half) >> shift",
    new="* m + 0 * half) >> shift",
)


@exercise.wrong(
    "This is rounded twice, first by 31 bits and then by the rest of the shift: 2.4 becomes 2.5 "
    "and then 3. Shift once."
)
def rounded_twice(sums, m, shift, zero, relu):
    upper = (sums.astype("int64") * m + 2**30) >> 31
    half = (np.int64(1) << (shift - 31)) >> 1
    whole = (upper + half) >> (shift - 31)
    return np.clip(whole + zero, zero if relu else -128, 127).astype("int8")


exercise.mistake(
    "relu_at_the_number_0",
    "ReLU clips at the whole number 0. What stands for 0.0 is the zero point.",
    old="zero if relu else -128",
    new="0 if relu else -128",
)
exercise.mistake(
    "not_clipped",
    "What does not fit into 8 bits begins anew at the other end. Clip before `astype`.",
    old="np.clip(whole + zero, zero if relu else -128, 127)",
    new="(np.maximum(whole, 0 if relu else whole) + zero)",
)
exercise.mistake(
    "half_to_even",
    old='(sums.astype("int64") * m + half) >> shift',
    new='np.round(sums.astype("float64") * m / 2.0**shift).astype("int64")',
)
exercise.mistake(
    "half_outwards",
    old='(sums.astype("int64") * m + half) >> shift',
    new='np.sign(sums) * ((np.abs(sums.astype("int64")) * m + half) >> shift)',
)
exercise.mistake(
    "zero_before_the_product",
    old='sums.astype("int64") * m',
    new='(sums.astype("int64") + zero) * m',
)
exercise.mistake("zero_forgotten", old="np.clip(whole + zero", new="np.clip(whole")
exercise.mistake("relu_forgotten", old="zero if relu else -128", new="-128")
exercise.mistake("a_bit_too_far", old=") >> shift", new=") >> (shift + 1)")
