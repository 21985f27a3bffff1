"""The gradient of a weighted squared error."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("gradient_w", "gradient_b"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Write the chapter's gradient first, for flat arrays: which shape has x.T @ error? Then "
        "ask what the weight of an example multiplies.",
        "The weight stands before the square, so it multiplies the derivative of the square, "
        "once. The sum of the weights takes the place of n.",
        "error = x @ w + b - y; blame = 2 * weights * error / weights.sum(); x.T @ blame for w, "
        "and blame.sum() for b.",
    ],
)


@exercise.stub
def weighted_gradient(x, y, w, b, weights):
    """The gradient of a squared error in which some examples count more than others.

    Some cars were measured ten times and some once, so their errors should not count alike. With
    a weight s_i ≥ 0 for each example,

        loss = Σ_i s_i (x_i · w + b − y_i)²  /  Σ_i s_i .

    With all weights alike it is the chapter's mean squared error. Mind the shapes: here y, w and
    weights are flat.

    Practises: chapter 1, "Which way is downhill?"

    Args:
        x: (n, d) float array.
        y: (n,) float array.
        w: (d,) float array.
        b: a number.
        weights: s, (n,) float array; none is negative, some may be 0, their sum is not.

    Returns:
        gradient_w: (d,) float array, and gradient_b: a number; float32 or float64.
        Tolerance: 1e-6 + 1e-5 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


def problem(random, n, d):
    return {
        "x": random.normal(size=(n, d)) + random.uniform(-1, 1, d),
        "y": random.normal(3, 2, n),
        "w": random.normal(size=d),
        "b": float(random.normal()),
        "weights": random.uniform(0.2, 3, n),
    }


@exercise.public
def examples(random):
    x, y = np.array([[1.0], [2.0]]), np.array([1.0, 1.0])
    line = {"x": x, "y": y, "w": np.array([1.0]), "b": 0.0}
    yield Case("one error of 1, it counts three times", line | {"weights": np.array([1.0, 3.0])})
    yield Case("the same, and it does not count", line | {"weights": np.array([1.0, 0.0])})


@exercise.hidden
def drawn(random):
    for n, d in ((5, 1), (9, 3), (4, 4), (1, 2)):
        yield Case(f"{n} examples, {d} features", problem(random, n, d), unchanged=True)
    some = problem(random, 8, 2)
    some["weights"] = some["weights"] * (np.arange(8) % 2)
    yield Case("half of the weights are 0", some)
    alike = problem(random, 6, 2)
    alike["weights"] = np.full(6, 0.5)
    yield Case("all weights 0.5", alike)


@exercise.reference
def solution(x, y, w, b, weights):
    error = x @ w + b - y  # (n,)
    blame = 2 * weights * error / weights.sum()
    return x.T @ blame, blame.sum()


@exercise.right
def with_a_tape(x, y, w, b, weights):
    w, b = tf.Variable(w), tf.Variable(b, dtype=tf.float64)
    with tf.GradientTape() as tape:
        error = tf.linalg.matvec(x, w) + b - y
        loss = tf.reduce_sum(weights * error**2) / tf.reduce_sum(weights)
    return tape.gradient(loss, [w, b])


@exercise.right
def with_loops(x, y, w, b, weights):
    n, d = x.shape
    gradient_w, gradient_b = np.zeros(d), 0.0
    for i in range(n):
        error = sum(x[i, j] * w[j] for j in range(d)) + b - y[i]
        share = weights[i] / sum(weights)
        gradient_b += 2 * share * error
        for j in range(d):
            gradient_w[j] += 2 * share * error * x[i, j]
    return gradient_w, gradient_b


@exercise.right
def with_a_column_of_ones(x, y, w, b, weights):
    with_ones = np.column_stack([x, np.ones(len(x))])
    error = with_ones @ np.append(w, b) - y
    both = 2 * np.average(with_ones * error[:, np.newaxis], axis=0, weights=weights)
    return both[:-1], both[-1]


@exercise.wrong("The 2 of the square is missing: the derivative of e² is 2e.")
def two_forgotten(x, y, w, b, weights):
    blame = weights * (x @ w + b - y) / weights.sum()
    return x.T @ blame, blame.sum()


@exercise.wrong(
    "The weights have no effect: this is the gradient of the plain mean squared error, as in the "
    "chapter."
)
def weights_forgotten(x, y, w, b, weights):
    error = x @ w + b - y
    return 2 * x.T @ error / len(x), 2 * error.mean()


@exercise.wrong("It is divided by n; this loss is divided by the sum of the weights.")
def divided_by_n(x, y, w, b, weights):
    blame = 2 * weights * (x @ w + b - y) / len(x)
    return x.T @ blame, blame.sum()


@exercise.wrong("The sign is turned: the error is prediction − target, and its derivative is +x.")
def sign_turned(x, y, w, b, weights):
    blame = 2 * weights * (y - x @ w - b) / weights.sum()
    return x.T @ blame, blame.sum()


@exercise.wrong(
    "The weight counts twice: it stands before the square in the loss, so it is not squared itself."
)
def weight_squared(x, y, w, b, weights):
    blame = 2 * weights**2 * (x @ w + b - y) / weights.sum()
    return x.T @ blame, blame.sum()


@exercise.wrong("The bias' gradient is a sum of errors without their weights.")
def bias_without_weights(x, y, w, b, weights):
    error = x @ w + b - y
    return x.T @ (2 * weights * error / weights.sum()), 2 * error.mean()


@exercise.wrong()
def not_divided(x, y, w, b, weights):
    blame = 2 * weights * (x @ w + b - y)
    return x.T @ blame, blame.sum()


@exercise.wrong()
def bias_left_out(x, y, w, b, weights):
    blame = 2 * weights * (x @ w - y) / weights.sum()
    return x.T @ blame, blame.sum()


@exercise.wrong()
def feature_forgotten(x, y, w, b, weights):
    blame = 2 * weights * (x @ w + b - y) / weights.sum()
    return np.full(x.shape[1], blame.sum()), blame.sum()
