"""The output shape of a convolutional layer."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
from keras import layers

exercise = Exercise(
    chapter=3,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Which of the four numbers stay as they are, and which one comes from the filters?",
        "PyTorch's padding adds p zeros at both ends, so the window slides over size + 2p pixels.",
        "(size + 2 * p - k) // s + 1 for rows and columns; return n, filters, rows, columns.",
    ],
)


@exercise.stub
def output_shape(shape, filters, kernel, stride, zeros):
    """The shape of a convolution's output, in the convention of PyTorch.

    There the channels stand before rows and columns, (n, channels, height, width), and the padding
    is a number: so many zeros are added at each of the two ends of rows and columns. The window
    stays inside of that.

    Practises: chapter 3, "A window slides over the picture".

    Args:
        shape: list of four positive integers, n, channels, height, width.
        filters: positive integer.
        kernel: list of two positive integers, the window's height and width.
        stride: positive integer, for both directions.
        zeros: integer ≥ 0, for both directions.

    Returns:
        Four integers n, channels, rows, columns, as a tuple, a list or an integer array, exact.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"shape": [8, 1, 28, 28], "filters": 16, "kernel": [3, 3], "stride": 2, "zeros": 1}
    yield Case("28 pixels, a stride of 2", inputs)


@exercise.hidden
def drawn(random):
    for stride, zeros in ((1, 0), (1, 2), (2, 0), (3, 1), (2, 3)):
        kernel = [int(random.integers(1, 5)), int(random.integers(2, 7))]
        shape = [int(random.integers(1, 9)), int(random.integers(2, 5))]
        shape += [int(random.integers(8, 14)), int(random.integers(15, 31))]
        inputs = {"shape": shape, "filters": 7, "kernel": kernel, "stride": stride, "zeros": zeros}
        yield Case(f"stride {stride}, {zeros} zeros", inputs)
    shape = [3, 2, 8, 9]
    for zeros in (0, 1):
        inputs = {"shape": shape, "filters": 5, "kernel": [3, 4], "stride": 3, "zeros": zeros}
        yield Case(f"pixels that are left over, {zeros} zeros", inputs)


@exercise.reference
def solution(shape, filters, kernel, stride, zeros):
    n, _, height, width = shape
    rows, columns = (
        (size + 2 * zeros - k) // stride + 1 for size, k in zip((height, width), kernel)
    )
    return n, filters, rows, columns


@exercise.right
def by_counting_places(shape, filters, kernel, stride, zeros):
    counts = [len(range(0, size + 2 * zeros - k + 1, stride)) for size, k in zip(shape[2:], kernel)]
    return [shape[0], filters, *counts]


@exercise.right
def by_keras(shape, filters, kernel, stride, zeros):
    n, channels, height, width = shape
    layer = layers.Conv2D(filters, tuple(kernel), stride)
    framed = (n, height + 2 * zeros, width + 2 * zeros, channels)
    _, rows, columns, _ = layer.compute_output_shape(framed)
    return n, filters, rows, columns


@exercise.right
def with_arrays(shape, filters, kernel, stride, zeros):
    places = (np.array(shape[2:]) + 2 * zeros - kernel) // stride + 1
    return keras.ops.convert_to_numpy([shape[0], filters, *places]).astype("int64")


@exercise.wrong("The zeros are counted at one end only; they are added at both.")
def one_end(shape, filters, kernel, stride, zeros):
    n, _, height, width = shape
    rows, columns = ((size + zeros - k) // stride + 1 for size, k in zip((height, width), kernel))
    return n, filters, rows, columns


@exercise.wrong("One place is missing: the window also stands at the place where it begins.")
def fence_posts(shape, filters, kernel, stride, zeros):
    n, _, height, width = shape
    rows, columns = ((size + 2 * zeros - k) // stride for size, k in zip((height, width), kernel))
    return n, filters, rows, columns


exercise.mistake(
    "channels_last",
    "The channels stand last, as in Keras. Here they stand before rows and columns.",
    old="n, filters, rows, columns",
    new="n, rows, columns, filters",
)


@exercise.wrong("The output has as many channels as the layer has filters, not as the picture has.")
def channels_of_the_picture(shape, filters, kernel, stride, zeros):
    n, channels, height, width = shape
    rows, columns = (
        (size + 2 * zeros - k) // stride + 1 for size, k in zip((height, width), kernel)
    )
    return n, channels, rows, columns


exercise.mistake(
    "rounded_up",
    "The size is rounded up. A window that no longer fits has no place.",
    old="(size + 2 * zeros - k) // stride",
    new="-(-(size + 2 * zeros - k) // stride)",
)


@exercise.wrong()
def always_same(shape, filters, kernel, stride, zeros):
    n, _, height, width = shape
    return n, filters, -(-height // stride), -(-width // stride)


@exercise.wrong()
def one_side_of_the_kernel(shape, filters, kernel, stride, zeros):
    n, _, height, width = shape
    rows, columns = ((size + 2 * zeros - kernel[0]) // stride + 1 for size in (height, width))
    return n, filters, rows, columns


@exercise.wrong()
def stride_forgotten(shape, filters, kernel, stride, zeros):
    n, _, height, width = shape
    rows, columns = (size + 2 * zeros - k + 1 for size, k in zip((height, width), kernel))
    return n, filters, rows, columns
