"""Max pooling with overlapping windows, and its gradient."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=40,
    difficulty=2,
    points=4,
    kind="gradient",
    outputs=("pooled", "gradient"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "A pixel that has won two windows moves two outputs. What does chapter 2 do with a number "
        "that is used in several places?",
        "For each window find the place of its winner as one number: argmax of the flattened "
        "window gives the first of equal values. From it come the winner's row and column.",
        "winner = argmax of x[n, s·i : s·i + k, s·j : s·j + k, c].ravel(); its place is "
        "(s·i + winner // k, s·j + winner % k); gradient[n, there, c] += g[n, i, j, c]. Many "
        "places at once: np.add.at.",
    ],
)


@exercise.stub
def max_pool_gradient(x, g, size, stride):
    """Max pooling with any stride, and the gradient for its input.

    Chapter 3 pools windows that lie side by side. Here they may overlap, as in the first large
    networks (size 3, stride 2), or leave pixels out (stride above size):

        pooled[n, i, j, c] = max over 0 ≤ u, v < size of x[n, stride·i + u, stride·j + v, c]

    Only windows that lie inside the picture count. Let a loss L have the gradient g for `pooled`.
    Its gradient for x is then: each window hands its g to its winner, the pixel that gave the
    maximum. If several pixels of a window are equally large, the winner is the first of them, row
    by row from the top, from left to right.

    Practises: chapter 3, "Pooling".

    Args:
        x: (n, height, width, channels) float array; every length is at least `size`.
        g: (n, rows, columns, channels) float array, with rows = (height − size) // stride + 1 and
            columns in the same way.
        size, stride: integers ≥ 1, for both directions.

    Returns:
        pooled, of the shape of g, and the gradient, of the shape of x, a tuple; float32 or
        float64. Tolerance: 1e-6 + 1e-5 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    x = np.array([[1.0, 5, 2], [4, 3, 3], [0, 2, 6]]).reshape(1, 3, 3, 1)
    g = np.array([[10.0, 20], [30, 40]]).reshape(1, 2, 2, 1)
    yield Case("four windows that overlap", {"x": x, "g": g, "size": 2, "stride": 1})


@exercise.hidden
def drawn(random):
    plans = [
        ((1, 4, 6, 1), 2, 2, "float64"),
        ((2, 7, 9, 3), 3, 2, "float64"),
        ((2, 6, 5, 2), 3, 1, "float32"),
        ((1, 9, 8, 2), 2, 3, "float64"),
        ((3, 5, 5, 1), 5, 4, "float64"),
        ((1, 3, 4, 2), 1, 2, "float64"),
    ]
    for shape, size, stride, dtype in plans:
        rows, columns = ((length - size) // stride + 1 for length in shape[1:3])
        g = random.normal(size=(shape[0], rows, columns, shape[3])).astype(dtype)
        x = random.normal(size=shape).astype(dtype)
        inputs = {"x": x, "g": g, "size": size, "stride": stride}
        name = f"picture {shape[1]} × {shape[2]}, window {size}, stride {stride}"
        yield Case(name, inputs, unchanged=True)
    x = random.integers(-2, 1, size=(2, 7, 8, 2)).astype("float64")
    g = random.normal(size=(2, 3, 3, 2))
    yield Case("few different values", {"x": x, "g": g, "size": 3, "stride": 2}, weight=2)
    x = np.full((1, 5, 5, 1), -7.0)
    yield Case(
        "an even picture", {"x": x, "g": random.normal(size=(1, 4, 4, 1)), "size": 2, "stride": 1}
    )


@exercise.reference
def solution(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        top, left = stride * i, stride * j
        window = x[n, top : top + size, left : left + size, c]
        u, v = np.unravel_index(np.argmax(window), window.shape)  # the first of equal ones
        pooled[n, i, j, c] = window[u, v]
        gradient[n, top + u, left + v, c] += g[n, i, j, c]
    return pooled, gradient


@exercise.right
def without_loops(x, g, size, stride):
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))
    windows = windows[:, ::stride, ::stride].reshape(*g.shape, size * size)
    winner = windows.argmax(axis=-1)
    n, i, j, c = np.indices(g.shape)
    gradient = np.zeros_like(x)
    np.add.at(gradient, (n, stride * i + winner // size, stride * j + winner % size, c), g)
    return windows.max(axis=-1), gradient


@exercise.right
def place_by_place(x, g, size, stride):
    rows, columns = g.shape[1:3]

    def places(array, u, v):
        return array[:, u : u + stride * rows : stride, v : v + stride * columns : stride]

    pooled = np.full_like(g, -np.inf)
    for u, v in np.ndindex(size, size):
        pooled = np.maximum(pooled, places(x, u, v)[:, :rows, :columns])
    gradient, open_windows = np.zeros_like(x), np.ones(g.shape, bool)
    for u, v in np.ndindex(size, size):
        wins = open_windows & (places(x, u, v) == pooled)
        places(gradient, u, v)[...] += np.where(wins, g, 0)
        open_windows &= ~wins
    return pooled, gradient


@exercise.right
def with_a_tape(x, g, size, stride):
    x = tf.constant(x)
    rows, columns = g.shape[1:3]
    with tf.GradientTape() as tape:
        tape.watch(x)
        windows = tf.stack(
            [
                x[:, u : u + stride * rows : stride, v : v + stride * columns : stride]
                for u in range(size)
                for v in range(size)
            ],
            axis=-1,
        )
        winner = tf.argmax(windows, axis=-1)
        pooled = tf.gather(windows, winner, axis=-1, batch_dims=4)
    gradient = tape.gradient(pooled, x, output_gradients=tf.constant(g))
    return pooled, tf.convert_to_tensor(gradient)


exercise.mistake(
    "overwritten",
    "A pixel that wins several windows keeps only what the last one hands it. Add the parts up "
    "(with index arrays += is not enough: see np.add.at).",
    old="+=",
    new="=",
)


@exercise.wrong(
    "Where several pixels of a window are equally large, each of yours gets the whole g. There is "
    "one winner, the first."
)
def all_winners(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        rows = slice(stride * i, stride * i + size)
        columns = slice(stride * j, stride * j + size)
        window = x[n, rows, columns, c]
        pooled[n, i, j, c] = window.max()
        gradient[n, rows, columns, c] += (window == window.max()) * g[n, i, j, c]
    return pooled, gradient


@exercise.wrong(
    "Where several pixels of a window are equally large, you share g among them, as the gradient "
    "of tf.reduce_max does. Here there is one winner, the first."
)
def shared(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        rows = slice(stride * i, stride * i + size)
        columns = slice(stride * j, stride * j + size)
        window = x[n, rows, columns, c]
        wins = window == window.max()
        pooled[n, i, j, c] = window.max()
        gradient[n, rows, columns, c] += wins * g[n, i, j, c] / wins.sum()
    return pooled, gradient


@exercise.wrong(
    "Among equally large pixels the last one wins with you (a >= where there should be a >?). The "
    "first must win."
)
def last_wins(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        top, left = stride * i, stride * j
        best, place = -np.inf, (0, 0)
        for u, v in np.ndindex(size, size):
            if x[n, top + u, left + v, c] >= best:
                best, place = x[n, top + u, left + v, c], (top + u, left + v)
        pooled[n, i, j, c] = best
        gradient[n, place[0], place[1], c] += g[n, i, j, c]
    return pooled, gradient


@exercise.wrong(
    "You hand g to every pixel of the window in equal parts. That is the gradient of the mean; a "
    "maximum moves only with its winner."
)
def gradient_of_the_mean(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        rows = slice(stride * i, stride * i + size)
        columns = slice(stride * j, stride * j + size)
        pooled[n, i, j, c] = x[n, rows, columns, c].max()
        gradient[n, rows, columns, c] += g[n, i, j, c] / size**2
    return pooled, gradient


@exercise.wrong()
def best_starts_at_zero(x, g, size, stride):
    pooled, gradient = np.zeros_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        top, left = stride * i, stride * j
        for u, v in np.ndindex(size, size):
            pooled[n, i, j, c] = max(pooled[n, i, j, c], x[n, top + u, left + v, c])
        window = x[n, top : top + size, left : left + size, c]
        u, v = np.unravel_index(np.argmax(window), window.shape)
        gradient[n, top + u, left + v, c] += g[n, i, j, c]
    return pooled, gradient


@exercise.wrong()
def stride_left_out(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        window = x[n, i : i + size, j : j + size, c]
        u, v = np.unravel_index(np.argmax(window), window.shape)
        pooled[n, i, j, c] = window[u, v]
        gradient[n, i + u, j + v, c] += g[n, i, j, c]
    return pooled, gradient


exercise.mistake("counts_instead_of_g", old="g[n, i, j, c]", new="1")


@exercise.wrong()
def first_column_first(x, g, size, stride):
    pooled, gradient = np.empty_like(g), np.zeros_like(x)
    for n, i, j, c in np.ndindex(g.shape):
        top, left = stride * i, stride * j
        window = x[n, top : top + size, left : left + size, c].T
        v, u = np.unravel_index(np.argmax(window), window.shape)
        pooled[n, i, j, c] = window[v, u]
        gradient[n, top + u, left + v, c] += g[n, i, j, c]
    return pooled, gradient


exercise.mistake(
    "channels_mixed",
    old="x[n, top : top + size, left : left + size, c]",
    new="x[n, top : top + size, left : left + size].max(axis=-1)",
)
