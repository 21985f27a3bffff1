# %% [markdown]
"""
# Chapter 5, continued. Forecasting

How many bicycles will be rented in Washington in the next hour, and in each of the next 24? The
people who drive bicycles to the empty stations want to know it tonight. Before you read on, guess:
if you say "as many as in the last hour", how far off are you, and how much better is an LSTM?

After this page you can

- write down what is known at the moment of a forecast, and keep the rest out of the inputs;
- build a ladder of forecasts, from one that costs nothing to a recurrent network, and say what
  each step of it is worth;
- forecast many hours, in one go or step by step from your own forecasts.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter5_forecasting`): train, save, end. The cells below are
# for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter5_forecasting")

# %% tags=["hide-input"]
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter3 import make_schedule
from kerasbook.data import load, load_bike_rentals
from kerasbook.data.bikes import PAST, target_times
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras import layers

# %% [markdown]
# ## A week of rentals
#
# The data are hourly, for the year 2011, with the weather. First a look at a week in June. What
# would you need to know to continue the curve by hand?

# %% alt="Rentals by the hour over one week in June 2011. Five days have two sharp peaks, at 8 and at 17 o'clock; two days have one broad hill at noon; on the last day the evening peak is much lower."
if __name__ == "__main__":
    next_hour = load_bike_rentals(horizon=1)
    print(next_hour)
    times = target_times("train")[:, 0]  # the training part is shuffled
    week = np.argsort(times)[3700:3868]
    rentals = {"rentals": next_hour.train.y[week]}
    plotting.plot_series(times[week], rentals, y_label="bikes per hour")

# %% [markdown]
# The hour of the day, above all: five days have two peaks, on the way to work and back. Then the
# day of the week: Saturday and Sunday have one broad hill. And the weather, for on the last day it
# rained for six hours.
#
# ## What is known at the moment of the forecast
#
# In forecasting, most of what is too good to be true is a *leak*: the model was shown something
# that nobody would have known. So write down what is known at the moment of the forecast, the end
# of hour $t$, when the target is hour $t + k$:
#
# | | known? |
# |---|---|
# | rentals up to hour $t$ | yes |
# | weather up to hour $t$ | yes, it has been measured |
# | hour, weekday, holidays of the target hour | yes, from the calendar |
# | weather of the target hour | **no**; at best there is a forecast of it, and our file has none |
# | rentals of the target hour, and their two parts, casual and registered | no |
#
# With $k = 1$ the missing weather matters little, because that of the hour before is nearly the
# same. With $k = 24$ it matters much, and a model that is given tomorrow's true weather is a model
# that cannot be used.
#
# An example is a window of 48 hours. A step of the window holds what is known of its own hour
# (rentals and weather) beside the calendar of a later one, $k$ hours on; so the last step knows the
# calendar of the target. For $k = 1$:
#
# | step of the window | rentals and weather of hour | calendar of hour |
# |---|---|---|
# | first | $t - 47$ | $t - 46$ |
# | … | … | … |
# | last | $t$ | $t + 1$, the target |

# %%
if __name__ == "__main__":
    window = next_hour.train.x[0]  # (48, 39)
    print(window.shape, "of its own hour:", ", ".join(PAST))
    print("of the target hour:", ", ".join(next_hour.features[7:17]), "…")

# %% [markdown]
# Three more leaks are closed in the data set:
#
# - The parts follow each other in time, to 19 September, to 19 October and to the end of the year,
#   and no window crosses from one into the next, because windows that overlap share most of their
#   numbers.
# - The scaling is that of the training part.
# - 115 hours of the file are missing, so that the row 24 places up may be another hour. All rows
#   lie on a grid of 8,760 hours, in which a gap repeats the same hour of the day before. A straight
#   line between the neighbours would look better, and would be a leak, since its right end is in
#   the future. The column "known" says which hours were filled, and a filled hour is never a
#   target.
#
# *Exercise: `windows` cuts such windows from a series with gaps.*
#
# ## Two forecasts that cost nothing
#
# Is an error of 30 bikes good? To know, begin with forecasts that need no learning. *Persistence*
# says: as in the last hour. *Same hour yesterday* says: as 24 hours before the target. The error is
# the mean absolute error, in bikes. Which of the two is better for the next hour?


# %%
def past_rentals(splits, x):
    """Returns the rentals (n, history) in bikes that the windows x hold."""
    return x[..., 0] * splits.std[0] + splits.mean[0]


def persistence(splits, x, horizon=1):
    """Returns (n, horizon): for every hour the rentals of the last one that is known."""
    return np.repeat(past_rentals(splits, x)[:, -1:], horizon, axis=1)


def same_hour_yesterday(splits, x, horizon=1):
    """Returns (n, horizon): the rentals 24 hours before each target hour."""
    first = x.shape[1] - 24  # the step 24 hours before the first target
    return past_rentals(splits, x)[:, first : first + horizon]


# %%
def mean_absolute_error(y, y_pred) -> float:
    """Returns the mean distance of forecasts (n, horizon) from what came."""
    return float(np.mean(np.abs(y - y_pred)))


# %%
if __name__ == "__main__":
    x, y = next_hour.test
    print(f"in an hour of the test part {y.mean():.0f} bikes are rented, on average")
    for forecast in (persistence, same_hour_yesterday):
        error = mean_absolute_error(y, forecast(next_hour, x))
        print(f"{forecast.__name__}: {error:.1f} bikes")

# %% [markdown]
# The last hour is a little better, although it misses every peak by an hour. Both are far off, so
# there is something to learn.
#
# *Exercises: `naive_day` forecasts by the same hour of the day before, for as many hours as you
# like; `seasonal_score` measures other forecasts by that one.*
#
# ## A line through the past
#
# The next step of the ladder learns: a linear model of the last 48 rentals, the *lags*. With so
# many features that resemble each other we hold it by the ridge of chapter 1. Setting the gradient
# of its loss to zero gives one equation, with the strength of the penalty on the diagonal:
#
# $$(X^\top X + n \alpha I)\, w = X^\top y .$$
#
# (Chapter 1's loss is a mean over $n$ examples; here both sides are multiplied by $n$, and
# `strength` is $n \alpha$.) The bias is not penalised.


# %%
def fit_ridge(x, y, strength=1.0):
    """Returns w (features + 1, targets) that minimises ‖x w − y‖² + strength ‖w‖², bias last."""
    x, y = with_ones(x), np.asarray(y, np.float64)
    penalty = strength * np.eye(x.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(x.T @ x + penalty, x.T @ y)


def with_ones(x):
    """Returns x (n, features) in 64 bits with a column of ones for the bias."""
    return np.column_stack([np.asarray(x, np.float64), np.ones(len(x))])


# %% [markdown]
# Where does a line fail? From the lags alone it has no way to say "at eight, unless it is Sunday".
# A second ridge also gets the weather and the calendar of the last step. A third gets the whole
# window, all that the networks will get, so that they are not the only ones who know it. How near
# do you think it will come?


# %%
def lags(x):
    """Returns (n, history): the rentals of every step."""
    return x[..., 0]


def lags_and_last_step(x):
    """Returns the lags, and the weather and the calendar that the last step holds."""
    return np.column_stack([x[..., 0], x[:, -1, 1:]])


def whole_window(x):
    """Returns (n, history · features): all numbers of the window, side by side."""
    return x.reshape(len(x), -1)


RIDGES = {"ridge": lags, "ridge with calendar": lags_and_last_step, "ridge, window": whole_window}


# %%
def simple_forecasts(splits) -> dict[str, np.ndarray]:
    """Returns for each forecast without a network what it says of the test part (n, horizon)."""
    (x, y), unseen = splits.train, splits.test.x
    forecasts = {
        "persistence": persistence(splits, unseen, y.shape[1]),
        "same hour yesterday": same_hour_yesterday(splits, unseen, y.shape[1]),
    }
    for name, features in RIDGES.items():
        weights = fit_ridge(features(x), y)
        forecasts[name] = with_ones(features(unseen)) @ weights
    return forecasts


if __name__ == "__main__":
    for name, forecast in simple_forecasts(next_hour).items():
        print(f"{name:20} {mean_absolute_error(y, forecast):.1f} bikes")

# %% [markdown]
# Learning from the lags takes a third off the error of persistence, weather and calendar of the
# last step a little more, and the whole window a good deal: with the calendar of every step a line
# *can* say when a Sunday began. Least squares minimises the squared error and is judged by the
# absolute one, which is a handicap for the ridge.
#
# ## Networks
#
# What could a network add? That things count together: *a rainy evening on a working day* is not
# the sum of rain, evening and working day, and a hidden unit can be on only where all three meet.
# Four networks try, each of which turns the window (48, 39) into one vector in its own way:
#
# - *dense* lays all 1,872 numbers side by side, so that each hour of the window has its own
#   weights;
# - *Conv1D* slides over time with the same weights, as the one of chapter 5's first section, here
#   twice, and moves on by two steps at a time (a stride of 2);
# - *GRU* and *LSTM* read hour after hour.


# %%
def make_reader(network, units=64) -> keras.Model:
    """Returns a network: windows (n, history, features) → one vector each."""
    if network == "dense":
        parts = [layers.Flatten(), layers.Dense(units, "relu")]
    elif network == "conv":
        parts = [layers.Conv1D(units // 2, 6, 2, activation="relu") for _ in range(2)]
    else:
        parts = [{"gru": layers.GRU, "lstm": layers.LSTM}[network](units)]
    return keras.Sequential([*parts, layers.Flatten()], name=network)


# %% [markdown]
# The rest is the same for all. A hidden layer takes the vector and the last step itself, which
# holds the calendar of the target hour; then come as many numbers as there are hours to forecast,
# and a fixed layer that turns them into bikes, with the mean and the standard deviation of the
# training targets. The loss is the mean absolute error, the figure that we report.


# %%
def make_model(train, network="lstm", units=64, dropout=0.3) -> keras.Model:
    """Returns the forecaster: windows (n, history, features) → rentals in bikes (n, horizon).

    train: the training part, for the shape of its windows and the scale of its targets.
    """
    _, history, features = train.x.shape
    window = keras.Input((history, features))
    vector = make_reader(network, units)(window)
    read = layers.Dropout(dropout)(vector)
    last_step = layers.Flatten()(layers.Cropping1D((history - 1, 0))(window))  # (n, features)
    hidden = layers.Dense(64, "relu")(layers.Concatenate()([read, last_step]))
    output = layers.Dense(train.y.shape[1])(hidden)  # (n, horizon)
    bikes = layers.Rescaling(float(train.y.std()), float(train.y.mean()))(output)
    return keras.Model(window, bikes, name="bikes")


# %% [markdown]
# ## One hour ahead
#
# `main` is the page as a program. It trains one of the four, and reports the simple forecasts
# beside it.


# %%
def first_week(times, *series):
    """Returns the times and the series, each (n, horizon), as one curve each of 168 hours.

    Of windows that overlap, those are taken whose hours follow each other: for 24 hours in one go
    the forecasts that are made at midnight.
    """
    hours, horizon = times[:, 0].astype(int), times.shape[1]
    chosen = hours % horizon == 0
    return [each[chosen].ravel()[:168] for each in (times, *series)]


# %% tags=["hide-input"]
def make_figures(splits, predicted, history, times, errors):
    """Returns the figures of a run; times and predicted are (n, horizon), of the test part."""
    hours, true, forecast = first_week(times, splits.test.y, predicted)
    week = {"true": true, "forecast": forecast}
    return {
        "history": plotting.plot_history(history, metric="mae", units={"mae": "bikes"}),
        "week": plotting.plot_series(hours, week, y_label="bikes per hour"),
        "ladder": plotting.plot_ladder(errors, x_label="mean absolute error on the test part"),
    }


ABOUT = {
    "datasets": ["bikeshare_1h", "bikeshare_24h"],
    "headline": ["test", "mae"],
    "unit": "bikes per hour",
    "bounds": {"dropout": [0, 0.999]},
    "quick": {"epochs": 1},  # on all data: cells look up certain hours
    "quick_data": None,
    "minutes": 1,
    "runs": ["", "--horizon 24"],
}


def main(
    horizon: Literal[1, 24] = 1,
    network: Literal["dense", "conv", "gru", "lstm"] = "lstm",
    epochs: int = 8,
    batch_size: int = 64,
    learning_rate: float = 0.003,
    units: int = 64,
    dropout: float = 0.3,
    seed: int = 0,
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a network to forecast bike rentals, for the next hour or for each of the next 24.

    Args:
        horizon: hours that are forecast in one go
        network: dense, conv (convolutions over time), gru or lstm
        epochs: passes over the training part
        batch_size: windows per step
        learning_rate: of Adam at the first step; it falls to zero along half a cosine
        units: of the part that reads the window
        dropout: share of its outputs that are dropped
        seed: of the first weights, the shuffling and the dropout
        examples: use the first so many windows of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(f"bikeshare_{horizon}h").take(examples)
    print(splits)

    model = make_model(splits.train, network, units, dropout)
    model.summary()
    loss_fn = keras.losses.MeanAbsoluteError()
    metrics = [keras.metrics.MeanAbsoluteError(name="mae")]
    schedule = make_schedule(learning_rate, len(splits.train.x), batch_size, epochs)
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(schedule),
        metrics=metrics,
        epochs=epochs,
        batch_size=batch_size,
        validation_data=splits.validation,
        seed=seed,
        **fit_options,
    )
    scores = {
        "validation": evaluate(model, splits.validation, loss_fn=loss_fn, metrics=metrics),
        "test": evaluate(model, splits.test, loss_fn=loss_fn, metrics=metrics),
    }
    y, forecasts = splits.test.y, simple_forecasts(splits)
    errors = {name: mean_absolute_error(y, each) for name, each in forecasts.items()}
    scores |= {name: {"mae": error} for name, error in errors.items()}
    errors[network] = scores["test"]["mae"]
    times = target_times("test", horizon)[: len(y)]
    figures = make_figures(splits, predict(model, splits.test.x), history, times, errors)
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    one_hour = main()
    plt.close("all")  # the pictures follow one by one
    print(f"test: {one_hour.scores['test']['mae']:.1f} bikes")

# %% alt="A week of the test part: the forecast for the next hour lies on the true curve nearly everywhere, and misses the height of some peaks."
if __name__ == "__main__":
    one_hour.figures["week"].figure

# %% alt="Bars of the mean absolute error: persistence and same hour yesterday about 50 bikes, the two ridges about 30, the LSTM about 20."
if __name__ == "__main__":
    one_hour.figures["ladder"].figure

# %% [markdown]
# Where is it wrong? Guess at which hours, and whether that is still so as a share of the rentals of
# the hour.

# %%
if __name__ == "__main__":
    true = one_hour.splits.test.y
    hours = target_times("test")[: len(true), 0].astype(int) % 24
    off = np.abs(true - predict(one_hour.model, one_hour.splits.test.x))[:, 0]
    for hour in (4, 8, 12, 17, 22):
        bikes, rented = off[hours == hour].mean(), true[hours == hour].mean()
        print(f"{hour:2} o'clock: {bikes:.0f} bikes, {bikes / rented:.0%} of the hour's rentals")

# %% [markdown]
# In bikes it is wrong on the way to work and back, because then most are on the road. As a share
# it is wrong at night, when a few people more or less are many.
#
# And which network? Here is the whole ladder: mean absolute error in bikes, the mean of five seeds
# and in brackets its standard error.
#
# | | validation | test |
# |---|---|---|
# | persistence | | 46.5 |
# | same hour yesterday | | 53.0 |
# | ridge | | 30.1 |
# | ridge with calendar | | 28.2 |
# | ridge, window | | 22.2 |
# | dense | 23.4 (0.1) | 20.5 (0.2) |
# | Conv1D | 21.2 (0.2) | 19.3 (0.1) |
# | GRU | 22.0 (0.1) | 20.9 (0.1) |
# | LSTM | 21.5 (0.1) | 20.7 (0.1) |
#
# The largest step is the first, to learn from the lags at all. The next is to see the whole window:
# a line that does has most of what the networks gain. What they add, one to three bikes, may be
# that for them things count together. Among them the convolution is best on the test part, and the
# most complicated are not.
#
# ## 24 hours in one go
#
# Now the same for each of the next 24 hours, as the person needs it who moves bicycles at night:
# `horizon=24` gives the model 24 outputs. The window and its loss stay as they are. Two things
# change: only the first target has the hour before it in the window, and none has its weather.
# Which of the simple forecasts is now hard to beat?

# %%
if __name__ == "__main__":
    one_day = main(horizon=24)
    plt.close("all")
    for name in ("persistence", "same hour yesterday", *RIDGES, "test"):
        print(f"{'LSTM' if name == 'test' else name:20} {one_day.scores[name]['mae']:.1f} bikes")

# %% [markdown]
# Here is the same week as above, now in seven forecasts, each made at midnight for the whole day.

# %% alt="The same week with seven forecasts of a day each: the peaks stand at the right hours, some much too low, and on the rainy Thursday evening far too high."
if __name__ == "__main__":
    one_day.figures["week"].figure

# %% [markdown]
# The shape of the days is right, working days and the weekend. The heights often are not: on
# Thursday the 27th it rained, which nobody knew at midnight, and the evening peaks of Monday and
# Tuesday are higher than forecast. Five seeds of each network, mean over the 24 hours, in brackets
# the standard error:
#
# | | validation | test |
# |---|---|---|
# | same hour yesterday | | 53.5 |
# | ridge with calendar | | 47.5 |
# | ridge, window | | 38.5 |
# | dense | 42.8 (0.2) | 40.3 (0.1) |
# | Conv1D | 39.8 (0.4) | 40.2 (0.4) |
# | GRU | 39.9 (0.1) | 39.8 (0.3) |
# | LSTM | 40.3 (0.3) | 43.8 (0.5) |
#
# On the validation part, thirty days of early autumn, three of the networks are level and the dense
# one is behind; on the test part, ten weeks into winter, it is the LSTM that is behind. By the
# validation part one would have taken the convolution or the GRU, and would not have known what was
# to come. If you choose by the test part, you always find a reason. And on the test part no network
# beats the line that sees the whole window. A day ahead so little is known that there is hardly
# anything to combine: begin with a line, and make sure that it sees what the network sees.
#
# ## Step by step, from its own forecasts
#
# There is another way to 24 hours: take the model for one hour, put its forecast into the window as
# if it had come true, and ask again. What must stand in the other columns of that step? The
# calendar is known. The weather is not, so the last measured one is repeated. It would be easy to
# take the true weather of the test part instead, and the error would look better: that is the leak
# of the table above.


# %%
def step_by_step(model, splits, x) -> np.ndarray:
    """Returns (n, 24): forecasts of a model for one hour, each made from the ones before it.

    splits: those that the model was trained on, for their scaling.  x: windows (n, 72, features)
        that were not scaled, for 24 hours: their calendar is that of 24 hours later.
    """
    x = (x - splits.mean) / splits.std
    past, calendar = x[:, 24:, : len(PAST)], x[:, :, len(PAST) :]
    forecasts = []
    for k in range(24):
        window = np.concatenate([past, calendar[:, 1 + k : 49 + k]], axis=-1)  # (n, 48, features)
        forecasts.append(predict(model, window))  # (n, 1), in bikes
        step = past[:, -1:].copy()  # the last weather
        step[..., 0] = (forecasts[-1] - splits.mean[0]) / splits.std[0]
        past = np.concatenate([past[:, 1:], step], axis=1)
    return np.concatenate(forecasts, axis=1)


# %%
def errors_by_hour(y, forecasts) -> dict[str, np.ndarray]:
    """Returns for each of several forecasts (n, 24) its mean absolute error, hour by hour."""
    return {name: np.abs(y - each).mean(axis=0) for name, each in forecasts.items()}


if __name__ == "__main__":
    longer = load_bike_rentals(24, history=72, standardise=False)
    x, y = longer.test
    later = one_day.splits.test.x[-len(x) :]  # the same targets: they need less of the past
    assert np.array_equal(y, one_day.splits.test.y[-len(x) :])
    forecasts = {
        "same hour yesterday": same_hour_yesterday(one_day.splits, later, 24),
        "24 hours in one go": predict(one_day.model, later),
        "step by step": step_by_step(one_hour.model, one_hour.splits, x),
    }

# %% alt="Mean absolute error against hours ahead: same hour yesterday is flat at 53; step by step begins at 21, crosses the other network at about five hours and ends at 53 too; 24 hours in one go begins at 32 and stays near 45."
if __name__ == "__main__":
    errors = errors_by_hour(y, forecasts)
    plotting.plot_lines(errors, x_label="hours ahead", y_label="mean absolute error, bikes")
    for name, each in errors.items():
        print(f"{name:20} 1 h {each[0]:.1f}, 6 h {each[5]:.1f}, 24 h {each[23]:.1f} bikes")

# %% [markdown]
# The curves cross. For the next few hours step by step is better: it is a model made for one hour,
# and its errors have not piled up yet. From the fifth hour on it is the worse one. It reads its own
# mistakes as if they were facts, for which it was never trained, and it repeats a weather that is
# no longer true. (The second matters more: see *What to try*.) *24 hours in one go* knows
# from the start how little it will know. A day ahead, step by step is no better than yesterday.
#
# *Exercise: `skill_by_hour` (five minutes) says by how much.*
#
# ## A day that nobody could know
#
# On 29 October it rained or snowed for 19 hours, at 2 to 6 °C. What did the forecasts say at the
# midnight before?

# %%
if __name__ == "__main__":
    first = target_times("test", 24, history=72)[:, 0]
    day = np.flatnonzero(first == np.datetime64("2011-10-29T00"))[0]
    print(f"rented: {y[day].sum():.0f} bikes")
    for name, each in forecasts.items():
        print(f"{name:20} {each[day].sum():.0f} bikes")

# %% [markdown]
# In the last hour before midnight it was raining already. Step by step repeats the last weather,
# and that day it was right to. The model for 24 hours has learned what a rainy midnight means on
# average: rather less, but the rain will end. Neither could know. On the Saturday before, a dry
# one, 4,308 bikes were rented.
#
# ## What to try
#
# - `--horizon 24 --network gru`: compare the errors hour by hour.
# - Let `step_by_step` take the true weather of the hours ahead, which nobody has. How much of its
#   error at 24 hours is left?
# - Give the windows the true weather of the target hours. What would a perfect weather forecast be
#   worth? Could you use that model?
# - `load_bike_rentals(history=168)`: a week to look back on. Is it worth 3.5 times the work?
# - Shuffle the hours before cutting them into parts, as one does with pictures. By how much does
#   the test error fall, and why is it not true?
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of all exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others. This
# page's are `naive_day`, `seasonal_score`, `windows` and `skill_by_hour`.
#
# ## Where to go next
#
# Chapter 6 does without the step after step: every symbol looks at all others at once.
