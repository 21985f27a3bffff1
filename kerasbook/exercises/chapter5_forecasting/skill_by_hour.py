"""The skill score of forecasts, hour by hour."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter5_forecasting",
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "One number for each hour ahead: over which axis is the mean?",
        "First both mean absolute errors, each (horizon,); then their ratio.",
        "1 - np.abs(y - forecasts).mean(axis=0) / np.abs(y - naive).mean(axis=0).",
    ],
)


@exercise.stub
def skill_by_hour(y, forecasts, naive):
    """How much better forecasts are than naive ones, for each hour ahead.

    The skill is 1 − e / e_naive, with the mean absolute errors e and e_naive over all windows: 1
    for perfect forecasts, 0 for those that are no better, below 0 for worse ones.

    Practises: chapter 5, continued: forecasting, "Two forecasts that cost nothing" and "Step by
    step, from its own forecasts".

    Args:
        y: (n, horizon) float64 array: what came, column k − 1 holding k hours ahead.
        forecasts: (n, horizon) float64 array.
        naive: (n, horizon) float64 array; in every column it errs at least once.

    Returns:
        (horizon,), the skill of each hour ahead; float32 or float64. Tolerance: 1e-5 + 1e-4 ·
        |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, n, horizon, error=10.0):
    y = random.uniform(0, 300, size=(n, horizon))
    sizes = np.arange(1, horizon + 1)
    return {
        "y": y,
        "forecasts": y + random.normal(2, error, size=y.shape) * sizes,
        "naive": y + random.normal(-3, 30, size=y.shape),
    }


@exercise.public
def examples(random):
    inputs = {
        "y": np.array([[10.0, 20], [30, 40], [50, 60]]),
        "forecasts": np.array([[11.0, 20], [29, 44], [51, 60]]),
        "naive": np.array([[14.0, 22], [28, 38], [56, 64]]),
    }
    yield Case("three windows, two hours ahead", inputs)


@exercise.hidden
def drawn(random):
    yield Case("one hour ahead", drawn_inputs(random, 7, 1))
    yield Case("as many windows as hours", drawn_inputs(random, 5, 5))
    yield Case("worse than naive", drawn_inputs(random, 9, 4, 60.0), unchanged=True)
    yield Case("many windows", drawn_inputs(random, 60, 24))


@exercise.reference
def solution(y, forecasts, naive):
    return 1 - np.abs(y - forecasts).mean(axis=0) / np.abs(y - naive).mean(axis=0)


@exercise.right
def by_sums(y, forecasts, naive):
    ours, theirs = (np.abs(y - each).sum(axis=0) for each in (forecasts, naive))
    return (theirs - ours) / theirs


@exercise.right
def with_tensorflow(y, forecasts, naive):
    ours, theirs = (tf.reduce_mean(tf.abs(y - each), axis=0) for each in (forecasts, naive))
    return 1 - ours / theirs


@exercise.right
def hour_by_hour(y, forecasts, naive):
    pairs = zip(y.T, forecasts.T, naive.T, strict=True)
    return np.array([1 - np.mean(abs(t - f)) / np.mean(abs(t - n)) for t, f, n in pairs])


@exercise.wrong("The mean is over the hours; asked for is one number for each hour ahead.")
def over_the_hours(y, forecasts, naive):
    return 1 - np.abs(y - forecasts).mean(axis=1) / np.abs(y - naive).mean(axis=1)


@exercise.wrong("This is one number for all hours together; asked for is one for each.")
def one_for_all(y, forecasts, naive):
    skill = 1 - np.abs(y - forecasts).mean() / np.abs(y - naive).mean()
    return np.full(y.shape[1], skill)


@exercise.wrong("Errors above and below cancel: the absolute value is missing.")
def signed(y, forecasts, naive):
    return 1 - (y - forecasts).mean(axis=0) / (y - naive).mean(axis=0)


@exercise.wrong("This is the mean of the ratios; the skill is made of the ratio of the means.")
def mean_of_ratios(y, forecasts, naive):
    return 1 - np.mean(np.abs(y - forecasts) / (np.abs(y - naive) + 1e-9), axis=0)


@exercise.wrong("These are squared errors; asked for are absolute ones.")
def squared(y, forecasts, naive):
    return 1 - ((y - forecasts) ** 2).mean(axis=0) / ((y - naive) ** 2).mean(axis=0)


@exercise.wrong("The ratio is turned round: the naive error belongs below.")
def ratio_turned(y, forecasts, naive):
    return 1 - np.abs(y - naive).mean(axis=0) / np.abs(y - forecasts).mean(axis=0)


exercise.mistake("ratio_alone", old="1 -", new="")
exercise.mistake("against_the_naive_forecast", old="y - forecasts", new="naive - forecasts")
