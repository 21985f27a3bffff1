"""Ridge regression in closed form."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=25,
    difficulty=2,
    points=3,
    outputs=("w", "b"),
    atol=1e-4,
    rtol=1e-4,
    hints=[
        "Set the derivative by b to zero first. It says something simple about b, which holds for "
        "every w: the mean error is zero.",
        "So b = mean(y) − mean(x) · w. Put it into the loss, and only x − mean(x) and y − mean(y) "
        "are left: a problem without an intercept, in which every weight is penalised.",
        "With the centred x and y: (xᵀx / n + penalty · I) w = xᵀy / n, which np.linalg.solve "
        "solves. Then b from the second hint. Mind the n: the loss is a mean, the penalty is not.",
    ],
)


@exercise.stub
def ridge_regression(x, y, penalty):
    """The weights and the intercept that minimise a squared error with a penalty on the weights.

    With more features than examples, or with two features alike, the normal equation has many
    solutions. A penalty on large weights picks one of them:

        loss = mean over i of (x_i · w + b − y_i)²  +  penalty · Σ_j w_j²

    The intercept b is not penalised: adding 100 to all targets must add 100 to b and leave w as
    it was.

    Practises: chapter 1, "Holding a loose model"

    Args:
        x: (n, d) float array; n may be smaller than d, and columns may be alike.
        y: (n,) float array.
        penalty: positive number.

    Returns:
        w: (d,) float array, and b: a number; float32 or float64.
        Tolerance: 1e-4 + 1e-4 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    x, y = np.array([[1.0], [2.0], [3.0]]), np.array([12.0, 14.0, 16.0])
    yield Case("a line of slope 2", {"x": x, "y": y, "penalty": 0.5})
    yield Case("the same, 100 higher", {"x": x, "y": y + 100, "penalty": 0.5})


@exercise.hidden
def drawn(random):
    for n, d in ((12, 1), (25, 3), (40, 6), (4, 7), (1, 2)):
        x = random.normal(size=(n, d)) * random.uniform(0.5, 2, d) + random.uniform(-2, 2, d)
        y = x @ random.normal(size=d) + random.uniform(3, 9) + random.normal(size=n)
        inputs = {"x": x, "y": y, "penalty": float(random.uniform(0.1, 1.5))}
        yield Case(f"{n} examples, {d} features", inputs, unchanged=True)
    x = random.normal(size=(15, 2))[:, [0, 1, 0]]
    y = x @ np.array([1.0, -2.0, 3.0]) - 5
    yield Case("two features alike", {"x": x, "y": y, "penalty": 0.2})


@exercise.reference
def solution(x, y, penalty):
    n, d = x.shape
    x_mean, y_mean = x.mean(axis=0), y.mean()
    centred = x - x_mean
    w = np.linalg.solve(centred.T @ centred / n + penalty * np.eye(d), centred.T @ (y - y_mean) / n)
    return w, y_mean - x_mean @ w


@exercise.right
def with_more_rows(x, y, penalty):
    n, d = x.shape  # least squares with d more examples, which ask for w = 0 and leave b alone
    rows = np.block([[x, np.ones((n, 1))], [np.sqrt(n * penalty) * np.eye(d), np.zeros((d, 1))]])
    both, *_ = np.linalg.lstsq(rows, np.append(y, np.zeros(d)), rcond=None)
    return both[:-1], both[-1]


@exercise.right
def with_one_system(x, y, penalty):
    n, d = x.shape
    with_ones = np.column_stack([x, np.ones(n)])
    penalties = np.diag([penalty * n] * d + [0.0])
    both = np.linalg.solve(with_ones.T @ with_ones + penalties, with_ones.T @ y)
    return both[:d], both[d]


@exercise.right
def with_examples_instead_of_features(x, y, penalty):
    n = len(x)
    centred = x - x.mean(axis=0)
    kernel = centred @ centred.T + n * penalty * np.eye(n)
    w = centred.T @ np.linalg.solve(kernel, y - y.mean())
    return w, y.mean() - x.mean(axis=0) @ w


@exercise.right
def with_tensorflow_in_single_precision(x, y, penalty):
    x, y = tf.constant(x, tf.float32), tf.constant(y, tf.float32)
    centred = x - tf.reduce_mean(x, axis=0)
    n = tf.cast(tf.shape(x)[0], tf.float32)
    w = tf.linalg.lstsq(
        centred, (y - tf.reduce_mean(y))[:, tf.newaxis], l2_regularizer=float(penalty * n)
    )[:, 0]
    return w, tf.reduce_mean(y) - tf.reduce_sum(tf.reduce_mean(x, axis=0) * w)


@exercise.wrong(
    "The intercept is penalised too: raise all targets by 100 and see whether w stays as it was."
)
def intercept_penalised(x, y, penalty):
    n, d = x.shape
    with_ones = np.column_stack([x, np.ones(n)])
    both = np.linalg.solve(
        with_ones.T @ with_ones / n + penalty * np.eye(d + 1), with_ones.T @ y / n
    )
    return both[:d], both[d]


@exercise.wrong(
    "The penalty is added to a sum over the examples; the loss is their mean, so one of the two "
    "must be multiplied or divided by n."
)
def mean_forgotten(x, y, penalty):
    centred = x - x.mean(axis=0)
    w = np.linalg.solve(
        centred.T @ centred + penalty * np.eye(x.shape[1]), centred.T @ (y - y.mean())
    )
    return w, y.mean() - x.mean(axis=0) @ w


@exercise.wrong(
    "The intercept is the mean of y. That is right only where the mean of every feature is 0: "
    "subtract mean(x) · w."
)
def intercept_is_the_mean(x, y, penalty):
    centred = x - x.mean(axis=0)
    w = np.linalg.solve(
        centred.T @ centred / len(x) + penalty * np.eye(x.shape[1]),
        centred.T @ (y - y.mean()) / len(x),
    )
    return w, y.mean()


@exercise.wrong(
    "These weights belong to standardised features. The penalty of this loss is on the weights of "
    "x as it is."
)
def features_standardised(x, y, penalty):
    spread = x.std(axis=0)
    scaled = (x - x.mean(axis=0)) / np.where(spread > 0, spread, 1)
    w = np.linalg.solve(
        scaled.T @ scaled / len(x) + penalty * np.eye(x.shape[1]),
        scaled.T @ (y - y.mean()) / len(x),
    )
    return w, y.mean() - x.mean(axis=0) @ w


@exercise.wrong("This is least squares: the penalty has no effect.")
def penalty_forgotten(x, y, penalty):
    centred = x - x.mean(axis=0)
    w, *_ = np.linalg.lstsq(centred, y - y.mean(), rcond=1e-10)
    return w, y.mean() - x.mean(axis=0) @ w


@exercise.wrong()
def penalty_halved(x, y, penalty):
    centred = x - x.mean(axis=0)
    w = np.linalg.solve(
        centred.T @ centred / len(x) + penalty / 2 * np.eye(x.shape[1]),
        centred.T @ (y - y.mean()) / len(x),
    )
    return w, y.mean() - x.mean(axis=0) @ w


@exercise.wrong()
def intercept_left_out(x, y, penalty):
    w = np.linalg.solve(x.T @ x / len(x) + penalty * np.eye(x.shape[1]), x.T @ y / len(x))
    return w, np.zeros(())


@exercise.wrong()
def penalty_on_every_product(x, y, penalty):
    centred = x - x.mean(axis=0)
    w = np.linalg.lstsq(
        centred.T @ centred / len(x) + penalty, centred.T @ (y - y.mean()) / len(x), rcond=None
    )[0]
    return w, y.mean() - x.mean(axis=0) @ w


@exercise.wrong()
def shrunk_afterwards(x, y, penalty):
    centred = x - x.mean(axis=0)
    w, *_ = np.linalg.lstsq(centred, y - y.mean(), rcond=1e-10)
    w = w / (1 + penalty)
    return w, y.mean() - x.mean(axis=0) @ w
