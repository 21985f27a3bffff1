"""A shortcut without weights, for a residual block that changes the shape."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Rows and columns: a slice with a step. Channels: np.pad.",
        "How many channels are missing? Half of them go in front, and the odd one behind.",
        "missing = filters - x.shape[3]; np.pad(x[:, ::stride, ::stride], [(0, 0)] * 3 + "
        "[(missing // 2, missing - missing // 2)]).",
    ],
)


@exercise.stub
def zero_shortcut(x, filters, stride):
    """The shortcut of the first ResNets: no mean, no weights.

    Of the rows and columns every stride-th is kept, beginning with the first; nothing is averaged.
    The channels that are missing are zeros, half of them before x's own and half behind; if their
    number is odd, the one left over stands behind.

    Practises: chapter 3, continued: deeper networks, "The plus sign".

    Args:
        x: (n, height, width, channels) float64 array.
        filters: integer, at least channels.
        stride: positive integer.

    Returns:
        (n, ⌈height / stride⌉, ⌈width / stride⌉, filters), float32 or float64, exact.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    x = np.arange(1.0, 17).reshape(1, 4, 4, 1)
    yield Case("4 × 4, one channel to three", {"x": x, "filters": 3, "stride": 2})


@exercise.hidden
def drawn(random):
    for size, channels, filters, stride in (
        ((6, 8), 2, 4, 2),
        ((7, 5), 3, 6, 2),
        ((9, 7), 2, 2, 3),
        ((4, 5), 2, 7, 1),
    ):
        x = random.integers(-9, 10, size=(3, *size, channels)).astype("float64")
        inputs = {"x": x, "filters": filters, "stride": stride}
        yield Case(f"{channels} channels to {filters}, stride {stride}", inputs, unchanged=True)


@exercise.reference
def solution(x, filters, stride):
    missing = filters - x.shape[3]
    zeros = [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)]
    return np.pad(x[:, ::stride, ::stride], zeros)


@exercise.right
def with_tensorflow(x, filters, stride):
    missing = filters - x.shape[3]
    kept = tf.convert_to_tensor(x)[:, ::stride, ::stride]
    return tf.pad(kept, [[0, 0], [0, 0], [0, 0], [missing // 2, (missing + 1) // 2]])


@exercise.right
def by_filling(x, filters, stride):
    n, height, width, channels = x.shape
    y = np.zeros((n, -(-height // stride), -(-width // stride), filters))
    first = (filters - channels) // 2
    for i in range(y.shape[1]):
        for j in range(y.shape[2]):
            y[:, i, j, first : first + channels] = x[:, stride * i, stride * j]
    return y


@exercise.right
def with_a_product(x, filters, stride):
    channels = x.shape[3]
    placed = np.eye(channels, filters, k=(filters - channels) // 2)
    return keras.ops.matmul(x[:, ::stride, ::stride], placed)


@exercise.wrong("All zeros stand behind the channels, as in the chapter. Half of them go in front.")
def zeros_behind(x, filters, stride):
    missing = filters - x.shape[3]
    return np.pad(x[:, ::stride, ::stride], [(0, 0), (0, 0), (0, 0), (0, missing)])


@exercise.wrong("Places are averaged, as in the chapter. Here every stride-th is kept as it is.")
def averaged(x, filters, stride):
    missing = filters - x.shape[3]
    zeros = [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)]
    pool = keras.layers.AveragePooling2D(stride, padding="same", dtype="float64")
    return np.pad(pool(x), zeros)


@exercise.wrong("The channels are repeated. What is missing are zeros.")
def repeated(x, filters, stride):
    kept = x[:, ::stride, ::stride]
    return np.take(kept, np.arange(filters) % x.shape[3], axis=3)


@exercise.wrong("The slices begin at the last pixel of each window; they begin at the first.")
def last_of_each(x, filters, stride):
    missing = filters - x.shape[3]
    zeros = [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)]
    rows = np.minimum(np.arange(0, x.shape[1], stride) + stride - 1, x.shape[1] - 1)
    columns = np.minimum(np.arange(0, x.shape[2], stride) + stride - 1, x.shape[2] - 1)
    return np.pad(x[:, rows][:, :, columns], zeros)


@exercise.wrong("Of an odd number of zeros, the one left over stands in front; it goes behind.")
def odd_one_in_front(x, filters, stride):
    missing = filters - x.shape[3]
    zeros = [(0, 0), (0, 0), (0, 0), (missing - missing // 2, missing // 2)]
    return np.pad(x[:, ::stride, ::stride], zeros)


@exercise.wrong()
def rounded_down(x, filters, stride):
    missing = filters - x.shape[3]
    zeros = [(0, 0), (0, 0), (0, 0), (missing // 2, missing - missing // 2)]
    kept = x[:, ::stride, ::stride][:, : x.shape[1] // stride, : x.shape[2] // stride]
    return np.pad(kept, zeros)


exercise.mistake("rows_only", old=":, ::stride, ::stride", new=":, ::stride")


@exercise.wrong()
def no_zeros(x, filters, stride):
    return x[:, ::stride, ::stride]
