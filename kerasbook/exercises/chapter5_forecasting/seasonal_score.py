"""The seasonal naive forecast, and errors measured by it."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter5_forecasting",
    minutes=15,
    difficulty=1,
    points=2,
    outputs=("naive", "scores"),
    hints=[
        "Two separate things: the naive forecast continues the last season of the history; the "
        "scale is taken inside the history, where every step can be compared with the one "
        "a season before it.",
        "Only the last `season` values of the history are known when the forecast is made. If the "
        "horizon is longer, they are used again and again: step k gets value k modulo season.",
        "naive = history[:, n − season + k % season] for k = 0 … horizon − 1. "
        "scale = mean of |history[:, season:] − history[:, :-season]| over time. "
        "score = mean of |targets − predictions| over time, divided by scale.",
    ],
)


@exercise.stub
def seasonal_score(history, targets, predictions, season):
    """The seasonal naive forecast, and the mean absolute scaled error of other forecasts.

    An error of 30 bikes says little by itself. The seasonal naive forecast says "as one season
    before": for hours and season = 24, as at the same hour of the last day that is known. Beyond
    one season it repeats that day, for the forecast is made at the end of the history, and
    nothing later is known.

    The mean absolute scaled error (MASE) of a forecast is its mean absolute error, divided by the
    scale of its series. The scale is the mean of |y_t − y_{t − season}| over the steps t of the
    history for which t − season is in the history too. Each series has its own scale and score.

    Practises: chapter 5, continued: forecasting, "Two forecasts that cost nothing".

    Args:
        history: (series, n) float array, n > season; what was known.
        targets: (series, horizon) float array; what came right after it.
        predictions: (series, horizon) float array; a forecast of the targets.
        season: steps in a season, 1 or more.

    Returns:
        naive: (series, horizon), the seasonal naive forecast.
        scores: (series,), the MASE of the predictions.
        Both float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case(
        "two series, a season of three steps",
        {
            "history": np.array([[1.0, 5, 3, 2, 5, 4], [10, 10, 20, 10, 12, 20]]),
            "targets": np.array([[2.0, 6], [10, 12]]),
            "predictions": np.array([[2.5, 5.5], [11, 11]]),
            "season": 3,
        },
    )


@exercise.hidden
def drawn(random):
    for series, n, horizon, season in ((1, 9, 3, 4), (3, 31, 10, 7), (4, 30, 15, 4), (2, 12, 5, 1)):
        wave = np.sin(np.arange(n + horizon) * 2 * np.pi / season + random.uniform(0, 6))
        size = random.uniform(3, 30, size=(series, 1))
        y = 50 + size * wave + random.normal(size=(series, n + horizon)) * size / 3
        y += 0.5 * np.arange(n + horizon)
        targets = y[:, n:]
        inputs = {
            "history": y[:, :n],
            "targets": targets,
            "predictions": targets + random.normal(size=targets.shape) * size / 4,
            "season": season,
        }
        name = f"{series} series of {n} steps, horizon {horizon}, season {season}"
        yield Case(name, inputs, unchanged=True)
    single = {name: v.astype("float32") for name, v in inputs.items() if name != "season"}
    yield Case("32 bits", {**single, "season": 2})


@exercise.reference
def solution(history, targets, predictions, season):
    steps = np.arange(targets.shape[1])
    naive = history[:, history.shape[1] - season + steps % season]  # (series, horizon)
    scale = np.abs(history[:, season:] - history[:, :-season]).mean(axis=1)  # (series,)
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.right
def with_tiles(history, targets, predictions, season):
    horizon = targets.shape[1]
    last = history[:, -season:]
    naive = np.tile(last, (1, -(-horizon // season)))[:, :horizon]
    changes = [abs(history[:, t] - history[:, t - season]) for t in range(season, history.shape[1])]
    return naive, np.mean(abs(targets - predictions), axis=1) / np.mean(changes, axis=0)


@exercise.right
def with_tensorflow(history, targets, predictions, season):
    places = tf.range(targets.shape[1]) % season
    naive = tf.gather(history[:, -season:], places, axis=1)
    scale = tf.reduce_mean(tf.abs(tf.subtract(history[:, season:], history[:, :-season])), axis=1)
    return naive, tf.reduce_mean(tf.abs(tf.subtract(targets, predictions)), axis=1) / scale


@exercise.right
def with_loops(history, targets, predictions, season):
    naive, scores = np.empty(targets.shape), []
    for row, series in enumerate(history.tolist()):
        known = list(series)
        for k in range(targets.shape[1]):
            known.append(known[-season])  # forecasts go on from forecasts
            naive[row, k] = known[-1]
        total = sum(abs(series[t] - series[t - season]) for t in range(season, len(series)))
        error = np.abs(targets[row] - predictions[row]).mean()
        scores.append(error / (total / (len(series) - season)))
    return naive, scores


@exercise.wrong(
    "Beyond one season, your naive forecast looks at the targets. They lie in the future of the "
    "forecast: repeat the last season of the history."
)
def looks_at_targets(history, targets, predictions, season):
    horizon = targets.shape[1]
    naive = np.concatenate([history, targets], axis=1)
    start = history.shape[1] - season
    scale = np.abs(history[:, season:] - history[:, :-season]).mean(axis=1)
    score = np.abs(targets - predictions).mean(axis=1) / scale
    return naive[:, start : start + horizon], score


@exercise.wrong(
    "Your scale compares neighbours, y_t with y_{t − 1}. The seasonal naive forecast compares with "
    "the value one season before."
)
def scale_of_neighbours(history, targets, predictions, season):
    naive = history[:, history.shape[1] - season + np.arange(targets.shape[1]) % season]
    scale = np.abs(np.diff(history, axis=1)).mean(axis=1)
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.wrong(
    "Your scale is the error of the naive forecast on the targets. It is taken inside the history: "
    "there it has more steps, and does not depend on how lucky the naive forecast is this time."
)
def scale_from_targets(history, targets, predictions, season):
    naive = history[:, history.shape[1] - season + np.arange(targets.shape[1]) % season]
    scale = np.abs(targets - naive).mean(axis=1)
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.wrong(
    "Your naive forecast is persistence: the last value for every step. The seasonal one takes the "
    "value one season before."
)
def last_value(history, targets, predictions, season):
    naive = np.repeat(history[:, -1:], targets.shape[1], axis=1)
    scale = np.abs(history[:, season:] - history[:, :-season]).mean(axis=1)
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.wrong(
    "You divide the sum of the changes by all steps of the history. The first season has nothing "
    "before it to be compared with: there are n − season changes."
)
def divided_by_all_steps(history, targets, predictions, season):
    naive = history[:, history.shape[1] - season + np.arange(targets.shape[1]) % season]
    scale = np.abs(history[:, season:] - history[:, :-season]).sum(axis=1) / history.shape[1]
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.wrong()
def first_season(history, targets, predictions, season):
    naive = history[:, np.arange(targets.shape[1]) % season]
    scale = np.abs(history[:, season:] - history[:, :-season]).mean(axis=1)
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.wrong()
def one_scale_for_all(history, targets, predictions, season):
    naive = history[:, history.shape[1] - season + np.arange(targets.shape[1]) % season]
    scale = np.abs(history[:, season:] - history[:, :-season]).mean()
    return naive, np.abs(targets - predictions).mean(axis=1) / scale


@exercise.wrong()
def roots_of_squares(history, targets, predictions, season):
    naive = history[:, history.shape[1] - season + np.arange(targets.shape[1]) % season]
    scale = np.mean((history[:, season:] - history[:, :-season]) ** 2, axis=1) ** 0.5
    return naive, np.mean((targets - predictions) ** 2, axis=1) ** 0.5 / scale


exercise.mistake("one_step_late", old="targets.shape[1]", new="1, targets.shape[1] + 1")
