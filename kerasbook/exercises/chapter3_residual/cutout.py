"""Cutout: an augmentation that hides a square of every picture."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=15,
    difficulty=1,
    points=2,
    hints=[
        "Each picture has a square of its own, and a square at the border is cut off there.",
        "For the rows: which of 0, 1, … height − 1 are at least top[k] and less than top[k] + "
        "size? The same for the columns; a pixel is hidden if both are true.",
        "hidden = rows_inside[:, :, None] & columns_inside[:, None, :], (n, height, width); "
        "np.where(hidden[..., None], fill, x).",
    ],
)


@exercise.stub
def cut_out(x, top, left, size, fill):
    """Pictures in which a square is hidden, so that a network cannot rely on one place.

    Of picture k the pixels in the rows top[k] to top[k] + size − 1 and the columns left[k] to
    left[k] + size − 1 become `fill`, in all channels. A square may reach over the border of the
    picture, at any side; what lies outside is ignored. x itself is not changed.

    Practises: chapter 3, continued: deeper networks, "Which augmentation?".

    Args:
        x: (n, height, width, channels) float64 array.
        top, left: (n,) int64 arrays, which may be negative.
        size: positive integer.
        fill: float, the value of the background.

    Returns:
        (n, height, width, channels), float32 or float64, exact in the first seven digits.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    x = np.arange(1.0, 21).reshape(1, 4, 5, 1)
    inputs = {"x": x, "top": np.array([1]), "left": np.array([3]), "size": 2, "fill": 0.0}
    yield Case("one square in one picture", inputs)


@exercise.hidden
def drawn(random):
    for shape, size in (((4, 6, 8, 1), 3), ((5, 7, 7, 3), 4), ((3, 5, 6, 2), 1)):
        inputs = {
            "x": random.normal(size=shape),
            "top": random.integers(1 - size, shape[1], shape[0]),
            "left": random.integers(1 - size, shape[2], shape[0]),
            "size": size,
            "fill": -0.8,
        }
        yield Case(f"squares of {size}", inputs, unchanged=True)
    at_corners = {"top": np.array([-1, 4]), "left": np.array([-2, 5]), "size": 3, "fill": 9.0}
    yield Case("over the corners", {"x": random.normal(size=(2, 6, 7, 2))} | at_corners)


@exercise.reference
def solution(x, top, left, size, fill):
    rows = np.arange(x.shape[1]) - top[:, np.newaxis]
    columns = np.arange(x.shape[2]) - left[:, np.newaxis]
    rows, columns = (rows >= 0) & (rows < size), (columns >= 0) & (columns < size)
    hidden = rows[:, :, np.newaxis] & columns[:, np.newaxis, :]
    return np.where(hidden[..., np.newaxis], fill, x)


@exercise.right
def by_loops(x, top, left, size, fill):
    y = x.copy()
    for k in range(len(x)):
        for i in range(max(top[k], 0), min(top[k] + size, x.shape[1])):
            for j in range(max(left[k], 0), min(left[k] + size, x.shape[2])):
                y[k, i, j] = fill
    return y


@exercise.right
def by_slices(x, top, left, size, fill):
    y = x.copy()
    for picture, i, j in zip(y, top, left):
        picture[max(i, 0) : max(i + size, 0), max(j, 0) : max(j + size, 0)] = fill
    return y


@exercise.right
def with_tensorflow(x, top, left, size, fill):
    rows, columns = tf.range(x.shape[1], dtype=tf.int64), tf.range(x.shape[2], dtype=tf.int64)
    top, left = tf.reshape(top, (-1, 1, 1)), tf.reshape(left, (-1, 1, 1))
    down, right = tf.reshape(rows, (1, -1, 1)) - top, tf.reshape(columns, (1, 1, -1)) - left
    hidden = (down >= 0) & (down < size) & (right >= 0) & (right < size)
    return tf.where(hidden[..., tf.newaxis], tf.cast(fill, x.dtype), x)


@exercise.wrong("A square that begins outside is counted from the other end, as slices do.")
def negative_slices(x, top, left, size, fill):
    y = x.copy()
    for picture, i, j in zip(y, top, left):
        picture[i : i + size, j : j + size] = fill
    return y


@exercise.wrong("Squares are pushed into the picture. What reaches over the border is cut off.")
def pushed_inside(x, top, left, size, fill):
    y = x.copy()
    for picture, i, j in zip(y, top, left):
        i = min(max(i, 0), x.shape[1] - size)
        j = min(max(j, 0), x.shape[2] - size)
        picture[i : i + size, j : j + size] = fill
    return y


@exercise.wrong("All pictures get the square of the first; each has its own.")
def one_square_for_all(x, top, left, size, fill):
    y = x.copy()
    i, j = top[0], left[0]
    y[:, max(i, 0) : max(i + size, 0), max(j, 0) : max(j + size, 0)] = fill
    return y


exercise.mistake(
    "a_cross",
    "Whole rows and columns are hidden; only where both meet is the square.",
    old="& columns",
    new="| columns",
)


@exercise.wrong("The square is one pixel too wide: its last row is top + size − 1.")
def one_too_wide(x, top, left, size, fill):
    y = x.copy()
    for picture, i, j in zip(y, top, left):
        picture[max(i, 0) : max(i + size + 1, 0), max(j, 0) : max(j + size + 1, 0)] = fill
    return y


exercise.mistake("zeros_for_fill", old="= fill", new="= 0", of=by_slices)


@exercise.wrong()
def around_the_middle(x, top, left, size, fill):
    y = x.copy()
    for picture, i, j in zip(y, top - size // 2, left - size // 2):
        picture[max(i, 0) : max(i + size, 0), max(j, 0) : max(j + size, 0)] = fill
    return y


exercise.mistake("rows_for_columns", old="zip(y, top, left)", new="zip(y, left, top)", of=by_slices)
