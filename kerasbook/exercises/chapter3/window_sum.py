"""One number of a convolution."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=5,
    difficulty=1,
    points=1,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Cut the window out of the picture first: two slices, and all channels.",
        "The window begins at stride · row, stride · column, and is as large as the kernel.",
        "top, left = stride * row, stride * column; window = x[top : top + kh, left : left + kw]; "
        "return np.sum(window * kernel) + bias.",
    ],
)


@exercise.stub
def window_sum(x, kernel, bias, stride, row, column):
    """The number at one place of a feature map, of a picture with several channels.

    The picture has no frame of zeros ("valid"). The window moves by `stride` pixels from one place
    to the next, and the kernel is not turned: this is the correlation of the chapter.

    Practises: chapter 3, "A window slides over the picture".

    Args:
        x: one picture, (height, width, channels) float64 array.
        kernel: one filter, (kh, kw, channels) float64 array.
        bias: float.
        stride: positive integer, the same in both directions.
        row, column: the place in the feature map, counted from 0; the window lies in the picture.

    Returns:
        A float. Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


def inputs_of(random, size, window, channels, stride, place):
    return {
        "x": random.normal(size=(*size, channels)),
        "kernel": random.normal(size=(*window, channels)),
        "bias": float(random.normal()),
        "stride": stride,
        "row": place[0],
        "column": place[1],
    }


@exercise.public
def examples(random):
    x = np.array([[0.0, 0, 1, 3, 3], [0, 1, 3, 3, 3], [0, 0, 1, 3, 3]])[:, :, np.newaxis]
    edge = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])[:, :, np.newaxis]
    inputs = {"x": x, "kernel": edge, "bias": 0.5, "stride": 1, "row": 0, "column": 1}
    yield Case("the chapter's window, and a bias", inputs)


@exercise.hidden
def drawn(random):
    yield Case("three channels", inputs_of(random, (6, 7), (3, 3), 3, 1, (2, 4)), unchanged=True)
    yield Case("a stride of 2", inputs_of(random, (9, 8), (3, 2), 2, 2, (1, 2)))
    yield Case("a stride of 3", inputs_of(random, (11, 12), (2, 4), 1, 3, (2, 1)))


@exercise.reference
def solution(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    top, left = stride * row, stride * column
    return np.sum(x[top : top + high, left : left + wide] * kernel) + bias


@exercise.right
def by_loops(x, kernel, bias, stride, row, column):
    total = bias
    for u, v, c in np.ndindex(kernel.shape):
        total += x[stride * row + u, stride * column + v, c] * kernel[u, v, c]
    return total


@exercise.right
def by_the_whole_map(x, kernel, bias, stride, row, column):
    maps = tf.nn.conv2d(x[np.newaxis], kernel[..., np.newaxis], stride, "VALID")
    return float(maps[0, row, column, 0]) + bias


@exercise.right
def by_windows_of_numpy(x, kernel, bias, stride, row, column):
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape)[::stride, ::stride, 0]
    return float(keras.ops.sum(windows[row, column] * kernel)) + bias


@exercise.wrong("The stride is forgotten: the window at place i begins at pixel stride · i.")
def no_stride(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    return np.sum(x[row : row + high, column : column + wide] * kernel) + bias


@exercise.wrong("The kernel is turned: that is the convolution of mathematics, not this layer's.")
def turned(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    top, left = stride * row, stride * column
    return np.sum(x[top : top + high, left : left + wide] * kernel[::-1, ::-1]) + bias


@exercise.wrong("The bias is added for every weight of the window. It is added once.")
def bias_in_the_sum(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    top, left = stride * row, stride * column
    return np.sum(x[top : top + high, left : left + wide] * kernel + bias)


@exercise.wrong("Row and column are swapped: the first axis of the picture is its rows.")
def swapped(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    top, left = stride * column, stride * row
    window = np.pad(x, ((0, 20), (0, 20), (0, 0)))[top : top + high, left : left + wide]
    return np.sum(window * kernel) + bias


exercise.mistake("mean_in_place_of_sum", old="np.sum", new="np.mean")


@exercise.wrong()
def first_channel_only(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    top, left = stride * row, stride * column
    window = x[top : top + high, left : left + wide, 0]
    return np.sum(window * kernel[..., 0]) + bias


@exercise.wrong()
def window_in_the_middle(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    padded = np.pad(x, ((high // 2, high), (wide // 2, wide), (0, 0)))
    top, left = stride * row, stride * column
    return np.sum(padded[top : top + high, left : left + wide] * kernel) + bias


@exercise.wrong()
def stride_in_the_window(x, kernel, bias, stride, row, column):
    high, wide, _ = kernel.shape
    padded = np.pad(x, ((0, 40), (0, 40), (0, 0)))
    window = padded[row : row + stride * high : stride, column : column + stride * wide : stride]
    return np.sum(window * kernel) + bias
