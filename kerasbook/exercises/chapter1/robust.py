"""Robust regression: a line that wrong targets do not move."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

LIMIT = 0.8  # mpg, mean absolute error against the truth without noise

exercise = Exercise(
    chapter=1,
    minutes=50,
    difficulty=3,
    points=5,
    kind="trained model",
    outputs=None,
    seconds=30.0,
    hints=[
        "Fit by least squares and look at the errors, sorted: where are the wrong targets, and on "
        "which side do they pull? A loss that grows more slowly than the square lets them pull "
        "less.",
        "Standardise the features with the training rows' mean and standard deviation, and keep "
        "both for later. Then either descend on the absolute or the Huber loss, or repeat: fit by "
        "least squares, look at the errors, fit again with less weight for the rows that err most.",
        "For 50 rounds: weights = 1 / max(1, |error|), one per row; multiply each row of [x, 1] "
        "and each target by √weight, solve with np.linalg.lstsq, take the new errors. At the end "
        "return def predict(new): … with the training rows' mean and deviation.",
    ],
)


@exercise.stub
def robust_fit(x, y):
    """A function that predicts fuel economy, fitted on data of which some targets are wrong.

    The rows are made-up cars: weight (about 1600 to 5000 lb), acceleration (8 to 25 s) and model
    year (70 to 82). The fuel economy is a weighted sum of these and an intercept, with normal
    noise of standard deviation 1 mpg. But about one target in seven is far too large, by 12 to
    20 mpg: somebody read the wrong line of a table. This happened to heavy cars more often than to
    light ones. You do not know which rows are wrong, and the wrong numbers look like other cars'
    right ones.

    Fit however you like: closed form, loop, Keras. 30 seconds for all cases together.

    Practises: chapter 1, "What is a good line?"

    Args:
        x: (n, 3) float64 array; n = 240.
        y: (n,) float64 array, mpg.

    Returns:
        predict, a function: (m, 3) float64 array of cars not seen before, m ≥ 1 → (m,) float array,
        the fuel economy in mpg. It is called several times. Passes if the mean absolute error,
        against the truth without noise on unseen cars, is at most 0.8 mpg.
    """
    raise NotImplementedError


def cars(random, count):
    """Features of so many cars, (count, 3)."""
    weight = random.uniform(1600, 5000, count)
    acceleration = random.uniform(8, 25, count)
    return np.column_stack([weight, acceleration, random.integers(70, 83, count)])


def made_up(random, name):
    """A case: training rows, unseen cars, and the heavy ones of these alone."""
    slopes = np.array(
        [-random.uniform(0.004, 0.008), random.uniform(0.1, 0.4), random.uniform(0.3, 0.9)]
    )
    center = np.array([3300.0, 16.5, 76.0])
    intercept = random.uniform(22, 30)
    x, unseen = cars(random, 240), cars(random, 200)
    y = (x - center) @ slopes + intercept + random.normal(size=240)
    misread = random.uniform(size=240) < np.where(x[:, 0] > 3300, 0.24, 0.05)
    y += misread * random.uniform(12, 20, 240)
    truth = (unseen - center) @ slopes + intercept
    heavy = np.flatnonzero(unseen[:, 0] > 4000)
    calls = [{"x": x, "y": y}, {"x": unseen}, {"x": unseen[heavy]}, {"x": unseen[:1]}]
    return Case(name, calls=calls, secret={"truth": truth, "heavy": heavy})


@exercise.public
def examples(random):
    yield made_up(random, "240 cars")


@exercise.hidden
def drawn(random):
    for number in (1, 2, 3):
        yield made_up(random, f"240 other cars, {number}")


@exercise.driver
def drive(fit, inputs, memory):
    if "y" in inputs:
        memory["predict"] = fit(inputs["x"], inputs["y"])
        if not callable(memory["predict"]):
            raise TypeError("robust_fit must return a function, predict")
        return {}
    return {"predictions": memory["predict"](inputs["x"])}


ALL_ALIKE = "All predictions are the same number: they do not depend on the car."
LEAST_SQUARES = (
    "These are the predictions of least squares on all rows: the wrong targets pull the plane up. "
    "Squared, an error of 15 mpg weighs as much as 225 errors of 1."
)
COMPANY = (
    "The same car gets another prediction when other cars come with it: predict must use the mean "
    "and deviation of the training rows, not those of the cars it is given."
)
OTHER_UNITS = (
    "The predictions rise and fall as they should, but in other units: was the target scaled, and "
    "the scaling not undone?"
)
NOT_FINITE = (
    "The predictions are not finite numbers: a descent has diverged. Which learning rate do "
    "features allow that are counted in thousands?"
)


@exercise.judge
def judge(case, outputs):
    truth, heavy = case.secret["truth"], case.secret["heavy"]
    for wanted, got in zip((len(truth), len(heavy), 1), outputs[1:]):
        shape, dtype = got["predictions"].shape, got["predictions"].dtype
        if shape != (wanted,):
            return f"predictions of shape {shape} for {wanted} cars, expected ({wanted},)"
        if dtype.kind != "f":
            return f"predictions of dtype {dtype}, expected float32 or float64"
    predictions, part, single = (one["predictions"].astype("float64") for one in outputs[1:])
    if not all(np.isfinite(array).all() for array in (predictions, part, single)):
        return NOT_FINITE
    if np.abs(predictions[heavy] - part).max() > 0.05 or abs(predictions[0] - single[0]) > 0.05:
        return COMPANY
    error = np.abs(predictions - truth).mean()
    if error <= LIMIT:
        return None
    if np.ptp(predictions) < 1e-3:
        return ALL_ALIKE
    if np.abs(predictions - plane(case, predictions)).max() < 0.05:
        return LEAST_SQUARES
    slope, intercept = np.polyfit(predictions, truth, 1)
    moved = np.abs(slope * predictions + intercept - truth).mean()
    if slope > 2 and moved < LIMIT and abs(predictions.mean()) < 3:
        return OTHER_UNITS
    return f"mean absolute error {error:.2f} mpg on unseen cars; at most {LIMIT} is asked for"


def plane(case, predictions):
    """What least squares on all rows predicts for the unseen cars."""
    x, y, unseen = case.calls[0]["x"], case.calls[0]["y"], case.calls[1]["x"]
    center = x.mean(axis=0)
    with_ones = np.column_stack([x - center, np.ones(len(x))])
    solution = np.linalg.lstsq(with_ones, y, rcond=None)[0]
    return (unseen - center) @ solution[:-1] + solution[-1]


@exercise.reference
def solution(x, y):
    mean, spread = x.mean(axis=0), x.std(axis=0)

    def with_ones(rows):
        return np.column_stack([(rows - mean) / spread, np.ones(len(rows))])

    features, weights = with_ones(x), np.ones(len(x))
    for _ in range(50):
        roots = np.sqrt(weights)
        w = np.linalg.lstsq(features * roots[:, np.newaxis], y * roots, rcond=None)[0]
        weights = 1 / np.maximum(1, np.abs(y - features @ w))  # Huber's loss, threshold 1
    return lambda new: with_ones(new) @ w


@exercise.right
def with_rows_left_out(x, y):
    center = x.mean(axis=0)
    features = np.column_stack([x - center, np.ones(len(x))])
    kept = np.ones(len(x), bool)
    for _ in range(20):
        w = np.linalg.lstsq(features[kept], y[kept], rcond=None)[0]
        errors = np.abs(y - features @ w)
        kept = errors <= np.quantile(errors, 0.75)
    return lambda new: np.column_stack([new - center, np.ones(len(new))]) @ w


@exercise.right
def with_random_quadruples(x, y):
    center = x.mean(axis=0)
    features = np.column_stack([x - center, np.ones(len(x))])
    random, best = np.random.default_rng(0), None
    for _ in range(300):
        few = random.choice(len(x), 12, replace=False)
        w = np.linalg.lstsq(features[few], y[few], rcond=None)[0]
        near = np.abs(y - features @ w) < 3
        if best is None or near.sum() > best.sum():
            best = near
    w = np.linalg.lstsq(features[best], y[best], rcond=None)[0]
    return lambda new: np.column_stack([new - center, np.ones(len(new))]) @ w


@exercise.right
def with_keras_and_huber(x, y):
    keras.utils.set_random_seed(0)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    scaled = tf.constant((x - mean) / spread, tf.float32)
    targets = tf.constant(y[:, np.newaxis], tf.float32)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.layers[-1].bias.assign([np.median(y)])
    loss_fn = keras.losses.Huber(1.0)
    optimizer = keras.optimizers.SGD(0.2, momentum=0.9)
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            loss = loss_fn(targets, model(scaled, training=True))
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)

    for _ in range(200):
        step()
    return lambda new: model((new - mean) / spread).numpy()[:, 0]


@exercise.right
def with_descent_on_the_absolute_error(x, y):
    mean, spread = x.mean(axis=0), x.std(axis=0)
    features = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    w = np.append(np.zeros(3), np.median(y))
    for step in range(4000):
        w = w + 0.5 * 0.999**step * features.T @ np.sign(y - features @ w) / len(y)
    return lambda new: (new - mean) / spread @ w[:3] + w[3]


@exercise.wrong(LEAST_SQUARES)
def least_squares(x, y):
    center = x.mean(axis=0)
    w = np.linalg.lstsq(np.column_stack([x - center, np.ones(len(x))]), y, rcond=None)[0]
    return lambda new: np.column_stack([new - center, np.ones(len(new))]) @ w


@exercise.wrong(ALL_ALIKE)
def the_median_for_all(x, y):
    return lambda new: np.full(len(new), np.median(y))


@exercise.wrong(COMPANY)
def scaled_by_what_comes(x, y):
    def with_ones(rows):
        spread = rows.std(axis=0)
        scaled = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
        return np.column_stack([scaled, np.ones(len(rows))])

    features, weights = with_ones(x), np.ones(len(x))
    for _ in range(50):
        roots = np.sqrt(weights)
        w = np.linalg.lstsq(features * roots[:, np.newaxis], y * roots, rcond=None)[0]
        weights = 1 / np.maximum(1, np.abs(y - features @ w))
    return lambda new: with_ones(new) @ w


@exercise.wrong(OTHER_UNITS)
def target_stays_scaled(x, y):
    mean, spread = x.mean(axis=0), x.std(axis=0)
    features = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    targets, weights = (y - np.median(y)) / y.std(), np.ones(len(x))
    for _ in range(50):
        roots = np.sqrt(weights)
        w = np.linalg.lstsq(features * roots[:, np.newaxis], targets * roots, rcond=None)[0]
        weights = 1 / np.maximum(0.1, np.abs(targets - features @ w))
    return lambda new: (new - mean) / spread @ w[:3] + w[3]


@exercise.wrong(NOT_FINITE)
def features_as_they_come(x, y):
    w = np.zeros(4)
    features = np.column_stack([x, np.ones(len(x))])
    with np.errstate(all="ignore"):
        for _ in range(1000):
            w = w - 0.01 * 2 * features.T @ (features @ w - y) / len(y)
    return lambda new: np.column_stack([new, np.ones(len(new))]) @ w


@exercise.wrong()
def intercept_left_out(x, y):
    mean, spread = x.mean(axis=0), x.std(axis=0)
    w = np.linalg.lstsq((x - mean) / spread, y, rcond=None)[0]
    return lambda new: (new - mean) / spread @ w


@exercise.wrong()
def weight_alone(x, y):
    features = np.column_stack([x[:, 0] - 3300, np.ones(len(x))])
    weights = np.ones(len(x))
    for _ in range(50):
        roots = np.sqrt(weights)
        w = np.linalg.lstsq(features * roots[:, np.newaxis], y * roots, rcond=None)[0]
        weights = 1 / np.maximum(1, np.abs(y - features @ w))
    return lambda new: np.column_stack([new[:, 0] - 3300, np.ones(len(new))]) @ w


@exercise.wrong()
def large_targets_left_out(x, y):
    kept = y <= np.quantile(y, 0.8)
    w = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))])[kept], y[kept], rcond=None)[0]
    return lambda new: np.column_stack([new, np.ones(len(new))]) @ w


@exercise.wrong()
def weights_pull_the_wrong_way(x, y):
    mean, spread = x.mean(axis=0), x.std(axis=0)
    features = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    weights = np.ones(len(x))
    for _ in range(10):
        roots = np.sqrt(weights)
        w = np.linalg.lstsq(features * roots[:, np.newaxis], y * roots, rcond=None)[0]
        weights = np.maximum(1, np.abs(y - features @ w))
    return lambda new: (new - mean) / spread @ w[:3] + w[3]


exercise.mistake(
    "predictions_as_a_column",
    old="np.column_stack([new - center, np.ones(len(new))]) @ w",
    new="np.column_stack([new - center, np.ones(len(new))]) @ w[:, np.newaxis]",
    of=with_rows_left_out,
)
