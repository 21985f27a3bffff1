"""The page on forecasting: the ladder, windows, forecasts from forecasts, `main`."""

from kerasbook import chapter5_forecasting as forecasting
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits, load_bike_rentals
from kerasbook.data.bikes import FEATURES, PAST, target_times

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers


# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
def mean_and_error(way: str) -> str:
    return f"{{measured/ladder/{way}/mean:.1f}} ({{measured/ladder/{way}/error:.1f}})"


NAMES = {"dense": "dense", "Conv1D": "conv", "GRU": "gru", "LSTM": "lstm"}
RIDGES = ("ridge with calendar", "ridge, window")
SIMPLE = {"1h": ("persistence", "same hour yesterday", "ridge", *RIDGES)}
SIMPLE["24h"] = ("same hour yesterday", *RIDGES)
SENTENCES = [
    *(
        f"| {name} | | {{bikeshare_{horizon}/{name}/mae/mean:.1f}} |"
        for horizon, names in SIMPLE.items()
        for name in names
    ),
    *(
        f"| {label} | {mean_and_error(f'{horizon}/{key}/validation')} | "
        f"{mean_and_error(f'{horizon}/{key}/test')} |"
        for horizon in SIMPLE
        for label, key in NAMES.items()
    ),
]
# Other numbers in the text, and what they are.
ELSEWHERE = {"3.5": "168 h by 48 h"}
NETWORKS = ("dense", "conv", "gru", "lstm")


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def made_up_bikes(examples=96, history=30, horizon=1):
    """Windows in which the next rentals are those of the last hour and 10 more."""
    random = np.random.default_rng(0)

    def part():
        x = random.normal(size=(examples, history, len(FEATURES))).astype("float32")
        return Part(x, np.repeat(50 * x[:, -1, :1] + 110, horizon, axis=1))

    mean, std = np.zeros(len(FEATURES), "float32"), np.ones(len(FEATURES), "float32")
    mean[0], std[0] = 100, 50
    options = {"features": FEATURES, "mean": mean, "std": std}
    return Splits(
        part(), part(), part(), f"bikeshare_{horizon}h", "Made up", "b", "embedded", **options
    )


# --- simple forecasts ---------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 24])
def test_yesterday_is_24_hours_before_each_target(horizon):
    splits = made_up_bikes(examples=4)
    x = np.zeros((4, 30, len(FEATURES)))
    x[..., 0] = (np.arange(30) - 100) / 50  # step k holds k bikes
    targets = np.arange(30, 30 + horizon)
    found = forecasting.persistence(splits, x, horizon)
    np.testing.assert_allclose(found, np.full((4, horizon), 29))
    found = forecasting.same_hour_yesterday(splits, x, horizon)
    np.testing.assert_allclose(found, np.tile(targets - 24, (4, 1)), atol=1e-9)


def test_ridge_without_penalty_is_least_squares():
    x, y = noise(40, 3), noise(40, 2, seed=1)
    expected, *_ = np.linalg.lstsq(np.c_[x, np.ones(40)], y, rcond=None)
    np.testing.assert_allclose(forecasting.fit_ridge(x, y, strength=0), expected, atol=1e-10)


def test_ridge_is_the_minimum_and_leaves_the_bias_free():
    x, y = noise(40, 3), noise(40, 1, seed=1) + 1000

    def loss(w):
        return np.sum((forecasting.with_ones(x) @ w - y) ** 2) + 5 * np.sum(w[:-1] ** 2)

    w = forecasting.fit_ridge(x, y, strength=5)
    for nudge in np.eye(4).reshape(4, 4, 1) * 1e-3:
        assert loss(w) < min(loss(w + nudge), loss(w - nudge))
    strong = forecasting.fit_ridge(x, y, strength=1e12)
    np.testing.assert_allclose(strong[:-1], 0, atol=1e-6)
    assert strong[-1] == pytest.approx(y.mean())


@pytest.mark.parametrize("horizon", [1, 24])
def test_simple_forecasts_of_a_series_that_they_can_and_cannot_know(horizon):
    splits = made_up_bikes(horizon=horizon)
    forecasts = forecasting.simple_forecasts(splits)
    errors = {
        name: forecasting.mean_absolute_error(splits.test.y, each)
        for name, each in forecasts.items()
    }
    assert errors["persistence"] == pytest.approx(10, abs=1e-3)
    assert errors["same hour yesterday"] > 20
    assert errors["ridge"] < 2  # it learns the ten more
    assert all(each.shape == (96, horizon) for each in forecasts.values())


# --- networks -----------------------------------------------------------------------------


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("horizon", [1, 24])
def test_every_network_begins_at_the_mean_of_the_training_targets(network, horizon):
    keras.utils.set_random_seed(0)
    splits = made_up_bikes(horizon=horizon)
    model = forecasting.make_model(splits.train, network, units=4)
    forecast = model(np.zeros((2, 30, len(FEATURES)), "float32")).numpy()
    assert forecast.shape == (2, horizon)
    np.testing.assert_allclose(forecast, splits.train.y.mean(), atol=1)


def test_defaults_of_the_network():
    model = forecasting.make_model(made_up_bikes().train)
    assert model.count_params() == 33_345
    assert [x.rate for x in model.layers if isinstance(x, layers.Dropout)] == [0.3]


def test_a_model_survives_saving(tmp_path):
    splits = made_up_bikes()
    model = forecasting.make_model(splits.train, units=4)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = splits.test.x[:3]
    np.testing.assert_array_equal(loaded(x), model(x))


# --- 24 hours -----------------------------------------------------------------------------


def test_the_week_is_made_of_forecasts_that_follow_each_other():
    midnight = np.datetime64("2011-10-22T00", "h")
    for horizon in (1, 24):
        times = midnight + np.arange(5, 300)[:, np.newaxis] + np.arange(horizon)
        hours, numbers = forecasting.first_week(times, times.astype(int))
        assert len(hours) == 168
        assert set(np.diff(hours).astype(int)) == {1}
        np.testing.assert_array_equal(hours.astype(int), numbers)
        assert hours[0] == midnight + (5 if horizon == 1 else 24)


def test_step_by_step_sees_its_own_forecasts_and_nothing_later(monkeypatch):
    """A model that adds 1 to the last rentals; every window must be that of its own hour."""
    splits = load_bike_rentals(1)
    longer = load_bike_rentals(24, history=72, standardise=False)
    x, windows = longer.test.x[:3], []

    def predict(model, window):
        windows.append(window * splits.std + splits.mean)
        return windows[-1][:, -1, :1] + 1

    monkeypatch.setattr(forecasting, "predict", predict)
    found = forecasting.step_by_step(None, splits, x)
    np.testing.assert_allclose(found, x[:, -1, :1] + np.arange(1, 25), rtol=1e-4)
    first = target_times("test", 24, history=72)[:3, 0]
    times = target_times("test", 1)[:, 0]
    for row in range(3):
        place = np.flatnonzero(times == first[row])[0]
        true = splits.test.x[place] * splits.std + splits.mean
        np.testing.assert_allclose(windows[0][row], true, atol=1e-3)  # that of the first hour
        later = splits.test.x[place + 5] * splits.std + splits.mean
        calendar = slice(len(PAST), None)
        np.testing.assert_allclose(windows[5][row][:, calendar], later[:, calendar], atol=1e-3)
        np.testing.assert_allclose(windows[5][row][:43], later[:43], atol=1e-3)
        weather = windows[5][row][43:, 1 : len(PAST)]
        np.testing.assert_allclose(weather, np.tile(true[-1, 1 : len(PAST)], (5, 1)), atol=1e-3)


def test_errors_by_hour_are_means_over_the_windows():
    y = np.array([[1.0, 2], [3, 4]])
    found = forecasting.errors_by_hour(y, {"zero": np.zeros((2, 2))})
    np.testing.assert_allclose(found["zero"], [2, 3])


# --- main ---------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [1, 24])
def test_main_forecasts(monkeypatch, horizon):
    asked = []

    def load(name):
        asked.append(name)
        return made_up_bikes(horizon=horizon)

    hours = np.datetime64("2011-10-22T00") + np.arange(200)
    hours = hours[:96, np.newaxis] + np.arange(horizon)
    monkeypatch.setattr(forecasting, "load", load)
    monkeypatch.setattr(forecasting, "target_times", lambda part, horizon: hours)
    result = forecasting.main(
        horizon, epochs=8, learning_rate=0.02, units=4, jit="off", progress="none"
    )
    assert asked == [f"bikeshare_{horizon}h"]
    assert set(result.scores) == {
        *("validation", "test", "persistence", "same hour yesterday"),
        *("ridge", "ridge with calendar", "ridge, window"),
    }
    assert result.scores["persistence"]["mae"] == pytest.approx(10, abs=1e-3)
    assert result.scores["test"]["mae"] < 35  # the mean of all would err by about 40
    predicted = result.model(result.splits.test.x).numpy()
    error = np.abs(predicted - result.splits.test.y).mean()
    assert result.scores["test"]["mae"] == pytest.approx(error, rel=1e-4)
    assert set(result.figures) == {"history", "week", "ladder"}


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [1, 24])
def test_error_at_the_defaults_lies_below_the_ridge_and_in_its_band(horizon):
    scores = forecasting.main(horizon, progress="none").scores
    entry = load_results()["chapter5_forecasting"][f"bikeshare_{horizon}h"]["scores"]
    assert scores["test"]["mae"] <= entry["test"]["mae"]["band"][1]
    assert scores["test"]["mae"] < scores["ridge with calendar"]["mae"]
