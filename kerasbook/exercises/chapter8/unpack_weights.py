"""Four bits a weight: from the bytes of a file back to numbers."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=15,
    difficulty=1,
    points=2,
    hints=[
        "The lower four bits of a byte are packed & 15. How do you get the upper four, and what do "
        "1000 to 1111 stand for?",
        "Put lower and upper next to each other in a new axis, and flatten it. What is above 7 is "
        "16 too large. Which block does weight k belong to?",
        "bits = np.stack([packed & 15, packed >> 4], 1).ravel()[:count].astype('int32'); whole = "
        "np.where(bits > 7, bits - 16, bits); return whole / scales[np.arange(count) // size].",
    ],
)


@exercise.stub
def unpack_weights(packed, scales, size, count):
    """Turn the bytes of a file into the weights that they stand for.

    Each byte holds two whole numbers from -8 to 7, the first in its lower four bits, the second in
    its upper ones, as the two's complement: 0000 to 0111 are 0 to 7, 1000 to 1111 are -8 to -1.
    Each block of `size` weights has a scale: a weight is its whole number divided by the scale. The
    last block may be shorter, and if the number of weights is odd, the last four bits are padding.

    Practises: chapter 8, "Two weights in a byte".

    Args:
        packed: (⌈count / 2⌉,) uint8 array.
        scales: (⌈count / size⌉,) float64 array.
        size: positive integer.
        count: how many weights there are.

    Returns:
        (count,) floats. Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def file_of(random, count, size):
    """Returns the inputs of a case; the padding is no zero."""
    scales = random.uniform(1, 50, -(-count // size))
    packed = random.integers(0, 256, -(-count // 2)).astype("uint8")
    return {"packed": packed, "scales": scales, "size": size, "count": count}


@exercise.public
def examples(random):
    packed = np.array([0xE3, 0x70, 0x0B], "uint8")
    inputs = {"packed": packed, "scales": np.array([10.0]), "size": 8, "count": 5}
    yield Case("the five weights of the chapter", inputs)


@exercise.hidden
def drawn(random):
    yield Case("whole blocks", file_of(random, 24, 8), unchanged=True)
    yield Case("an odd number", file_of(random, 21, 4))
    yield Case("blocks of three", file_of(random, 16, 3))
    yield Case("one weight", file_of(random, 1, 5))
    every = {"packed": np.arange(256).astype("uint8"), "scales": np.ones(4)}
    yield Case("every byte", every | {"size": 128, "count": 512})


@exercise.reference
def solution(packed, scales, size, count):
    bits = np.stack([packed & 15, packed >> 4], axis=1).ravel()[:count].astype("int32")
    whole = np.where(bits > 7, bits - 16, bits)
    return whole / scales[np.arange(count) // size]


@exercise.right
def by_loops(packed, scales, size, count):
    weights = []
    for byte in packed.tolist():
        for bits in (byte % 16, byte // 16):
            weights.append(bits - 16 if bits >= 8 else bits)
    return np.array([weights[k] / scales[k // size] for k in range(count)])


@exercise.right
def by_shifting_the_sign(packed, scales, size, count):
    signed = packed.astype("int8")
    lower, upper = (signed << 4).astype("int8") >> 4, signed >> 4
    whole = np.empty(2 * len(packed))
    whole[0::2], whole[1::2] = lower, upper
    return whole[:count] / np.repeat(scales, size)[:count]


@exercise.right
def with_tensors(packed, scales, size, count):
    numbers = tf.cast(packed, tf.int32)
    bits = tf.reshape(tf.stack([numbers % 16, numbers // 16], axis=1), [-1])[:count]
    whole = tf.cast((bits + 8) % 16 - 8, tf.float64)
    return whole / tf.gather(scales, tf.range(count) // size)


exercise.mistake(
    "no_sign",
    "No weight is negative: 1000 to 1111 stand for -8 to -1, so what is above 7 is 16 too large.",
    old="np.where(bits > 7, bits - 16, bits)",
    new="bits",
)
exercise.mistake(
    "upper_first",
    "In each byte the two weights are exchanged: the first one lies in the lower four bits.",
    old="[packed & 15, packed >> 4]",
    new="[packed >> 4, packed & 15]",
)
exercise.mistake(
    "shifted_by_eight",
    "8 is subtracted from all numbers. That would be a zero point of 8; this is the two's "
    "complement, in which 0000 is zero.",
    old="np.where(bits > 7, bits - 16, bits)",
    new="bits - 8",
)
exercise.mistake(
    "blocks_of_bytes",
    "The blocks are counted in bytes. A block has `size` weights, which is half as many bytes.",
    old="np.arange(count) // size",
    new="np.minimum(np.arange(count) // 2 // size, len(scales) - 1)",
)
exercise.mistake("times_the_scale", old="whole / scales", new="whole * scales")
exercise.mistake("all_lower_then_all_upper", old="axis=1).ravel()", new="axis=0).ravel()")
exercise.mistake("eight_is_positive", old="bits > 7", new="bits > 8")
exercise.mistake("ones_complement", old="bits - 16", new="bits - 15")
exercise.mistake("padding_left", old="[:count].astype", new="[: max(2, count)].astype")
exercise.mistake("first_scale", old="scales[np.arange(count) // size]", new="scales[0]")
