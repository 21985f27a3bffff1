"""A step of mini-batch gradient descent."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("w", "b"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "First cut out the rows: x[rows], y[rows]. From there on it is a step on a small data set.",
        "With the half in front, the 2 of the square goes away. The mean is over the rows of the "
        "batch, not over all n.",
        "error = x[rows] @ w + b - y[rows]; new w = w - learning_rate * x[rows].T @ error / "
        "len(rows); new b = b - learning_rate * error.mean().",
    ],
)


@exercise.stub
def row_step(x, y, w, b, rows, learning_rate):
    """Weights and bias after one step of gradient descent on some of the rows.

    The loss of the step is half the mean squared error of these rows alone,

        loss = 1 / (2 m) · Σ over the m rows of (x_i · w + b − y_i)² .

    Weights and bias take the step together: both gradients are taken at the old w and b.

    Practises: chapter 1, "The first steps"

    Args:
        x: (n, d) float array.
        y: (n,) float array.
        w: (d,) float array.
        b: a number.
        rows: (m,) int array, the numbers of the rows; m ≥ 1, none of them twice.
        learning_rate: positive number.

    Returns:
        w: (d,) float array, and b: a number, after the step; float32 or float64.
        Tolerance: 1e-6 + 1e-5 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"x": np.array([[1.0], [2.0], [9.0]]), "y": np.array([2.0, 4.0, 0.0])}
    inputs |= {"w": np.array([1.0]), "b": 0.0, "learning_rate": 0.5}
    yield Case("one row of three", inputs | {"rows": np.array([1])})
    yield Case("two rows of three", inputs | {"rows": np.array([1, 0])})


@exercise.hidden
def drawn(random):
    for n, d, m in ((9, 2, 4), (20, 3, 16), (6, 1, 1), (5, 4, 5), (12, 2, 3)):
        inputs = {
            "x": random.normal(size=(n, d)),
            "y": random.normal(2, 1, n),
            "w": random.normal(size=d),
            "b": float(random.normal()),
            "rows": random.permutation(n)[:m],
            "learning_rate": float(random.uniform(0.05, 0.6)),
        }
        yield Case(f"{m} of {n} rows, {d} features", inputs, unchanged=True)


@exercise.reference
def solution(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]  # (m,)
    return w - learning_rate * x[rows].T @ error / len(rows), b - learning_rate * error.mean()


@exercise.right
def with_keras(x, y, w, b, rows, learning_rate):
    w, b = tf.Variable(w), tf.Variable(b, dtype=tf.float64)
    with tf.GradientTape() as tape:
        y_pred = tf.linalg.matvec(x[rows], w) + b
        loss = tf.reduce_mean((y_pred - y[rows]) ** 2) / 2
    optimizer = keras.optimizers.SGD(learning_rate)
    optimizer.apply(tape.gradient(loss, [w, b]), [w, b])
    return w.numpy(), b.numpy()


@exercise.right
def with_loops(x, y, w, b, rows, learning_rate):
    gradient_w, gradient_b = [0.0] * len(w), 0.0
    for i in rows:
        error = float(x[i] @ w) + b - y[i]
        gradient_b += error / len(rows)
        for j in range(len(w)):
            gradient_w[j] += error * x[i, j] / len(rows)
    return np.array([v - learning_rate * g for v, g in zip(w, gradient_w)]), b - (
        learning_rate * gradient_b
    )


@exercise.right
def with_a_mask(x, y, w, b, rows, learning_rate):
    share = np.zeros(len(x))
    share[rows] = 1 / len(rows)  # 0 for the rows that are left out
    blame = share * (x @ w + b - y)
    return w - learning_rate * x.T @ blame, b - learning_rate * blame.sum()


@exercise.wrong("The step goes uphill: subtract the gradient.")
def uphill(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]
    return w + learning_rate * x[rows].T @ error / len(rows), b + learning_rate * error.mean()


@exercise.wrong("The step is twice as long as asked: with a half before the loss the 2 goes away.")
def without_the_half(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]
    return (
        w - learning_rate * 2 * x[rows].T @ error / len(rows),
        b - learning_rate * 2 * error.mean(),
    )


@exercise.wrong("All rows were used: the step looks at those in `rows` alone.")
def all_rows(x, y, w, b, rows, learning_rate):
    error = x @ w + b - y
    return w - learning_rate * x.T @ error / len(x), b - learning_rate * error.mean()


@exercise.wrong("The mean is taken over all n examples; the batch has only m rows.")
def divided_by_all(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]
    return (
        w - learning_rate * x[rows].T @ error / len(x),
        b - learning_rate * error.sum() / len(x),
    )


@exercise.wrong(
    "The bias' gradient was taken after w had moved. Compute both gradients first, then move both."
)
def one_after_the_other(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]
    w = w - learning_rate * x[rows].T @ error / len(rows)
    error = x[rows] @ w + b - y[rows]
    return w, b - learning_rate * error.mean()


@exercise.wrong("This is the gradient of a sum over the rows; the loss is their mean.")
def sum_over_the_rows(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]
    return w - learning_rate * x[rows].T @ error, b - learning_rate * error.sum()


@exercise.wrong()
def first_rows(x, y, w, b, rows, learning_rate):
    x, y = x[: len(rows)], y[: len(rows)]
    error = x @ w + b - y
    return w - learning_rate * x.T @ error / len(x), b - learning_rate * error.mean()


exercise.mistake("bias_stays", old="b - learning_rate * error.mean()", new="b")


@exercise.wrong()
def written_into_w(x, y, w, b, rows, learning_rate):
    error = x[rows] @ w + b - y[rows]
    w -= learning_rate * x[rows].T @ error / len(rows)
    return w, b - learning_rate * error.mean()
