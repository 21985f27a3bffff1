"""Bike rentals: every hour in its place, windows without leak, gaps filled from the past."""

import csv
import io
import lzma

from kerasbook import data
from kerasbook.data import bikes
from kerasbook.data.embedded import read_file

import numpy as np
import pytest

PARTS = ("train", "validation", "test")
COLUMN = {name: number for number, name in enumerate(bikes.FEATURES)}


@pytest.fixture(scope="module")
def file_rows():
    text = lzma.decompress(read_file("bikeshare_hourly.csv.xz")).decode()
    return {
        24 * (int(row["day"]) - 1) + int(row["hr"]): row
        for row in csv.DictReader(io.StringIO(text))
    }


@pytest.fixture(scope="module", params=[1, 24])
def raw(request):
    return request.param, data.load_bike_rentals(request.param, standardise=False)


def target_hours(part, horizon, history=48):
    """Returns the last target hour of each window."""
    times = bikes.target_times(part, horizon, history)[:, -1]
    return (times - np.datetime64("2011-01-01T00")) // np.timedelta64(1, "h")


def test_shapes_and_names(raw):
    horizon, splits = raw
    counts = {1: (6131, 671, 1700), 24: (4954, 628, 1586)}[horizon]
    for name, count in zip(PARTS, counts, strict=True):
        part = getattr(splits, name)
        assert part.x.shape == (count, 48, 39)
        assert part.y.shape == (count, horizon)
        assert {part.x.dtype, part.y.dtype} == {np.dtype("f4")}
        assert np.isfinite(part.x).all()
        assert bikes.target_times(name, horizon).shape == part.y.shape
    assert splits.name == f"bikeshare_{horizon}h"
    assert data.load(splits.name).name == splits.name
    assert splits.features == bikes.FEATURES


def test_every_number_stands_at_its_hour(raw, file_rows):
    """Each window against the file itself, hour by hour, for some windows of every part."""
    horizon, splits = raw
    for name in PARTS:
        x, y = getattr(splits, name)
        hours = target_hours(name, horizon)
        for window in range(0, len(x), 97):
            target = hours[window]
            for earlier in range(horizon):
                assert y[window, -1 - earlier] == float(file_rows[target - earlier]["bikers"])
            for step in (0, 20, 47):
                values, hour = x[window, step], target - horizon - (47 - step)
                row, later = file_rows.get(hour), file_rows.get(hour + horizon)
                assert values[COLUMN["known"]] == (row is not None)
                if row is not None:
                    assert values[COLUMN["rentals"]] == float(row["bikers"])
                    assert values[COLUMN["humidity"]] == pytest.approx(100 * float(row["hum"]))
                    assert values[COLUMN["cloudy"]] == (row["weathersit"] == "cloudy/misty")
                if later is not None:
                    clock, weekday = int(later["hr"]), bikes.WEEKDAYS[int(later["weekday"])]
                    assert values[COLUMN[f"target: {clock} o'clock"]] == 1
                    assert values[COLUMN[f"target: {weekday}"]] == 1
                    working = values[COLUMN["target: working day"]]
                    assert working == float(later["workingday"])
                assert values[len(bikes.PAST) + 1 :].sum() == 2  # one weekday, one hour


def test_targets_are_known_hours_and_parts_do_not_overlap(raw, file_rows):
    horizon, _ = raw
    spans = {}
    for name in PARTS:
        hours = target_hours(name, horizon)
        targets = {hour - earlier for hour in hours.tolist() for earlier in range(horizon)}
        assert targets <= set(file_rows)
        assert len(set(hours.tolist())) == len(hours)
        first_input = hours.min() - horizon - 47
        spans[name] = (first_input, hours.max())
    assert spans["train"][1] < spans["validation"][0] <= spans["validation"][1] < spans["test"][0]
    assert (np.diff(target_hours("test", horizon)) > 0).all(), "the test part is in order"
    assert not (np.diff(target_hours("train", horizon)) > 0).all(), "the training part is shuffled"


@pytest.mark.parametrize("horizon", [1, 24])
def test_inputs_do_not_depend_on_the_target_or_anything_later(horizon, monkeypatch):
    """Change the rentals and weather from the target hour on: the window stays the same."""
    before = data.load_bike_rentals(horizon, standardise=False)
    window = 900
    target = target_hours("test", horizon)[window]
    read = bikes.read_bike_rentals

    def changed():
        table, known = read()
        for name in ("rentals", *bikes.MEASURED, "cloudy", "rain"):
            table[name][target - horizon + 1 :] += 7
        return table, known

    monkeypatch.setattr(bikes, "read_bike_rentals", changed)
    after = data.load_bike_rentals(horizon, standardise=False)
    np.testing.assert_array_equal(after.test.x[window], before.test.x[window])
    np.testing.assert_array_equal(after.test.y[window], before.test.y[window] + 7)
    assert not np.array_equal(after.test.x[window + 1], before.test.x[window + 1])


def test_scaling_is_that_of_the_training_part(monkeypatch):
    splits = data.load_bike_rentals()
    columns = [COLUMN[name] for name in ("rentals", *bikes.MEASURED)]
    others = [column for column in COLUMN.values() if column not in columns]
    assert np.all(splits.mean[others] == 0)
    assert np.all(splits.std[others] == 1)
    np.testing.assert_allclose(splits.train.x[..., columns].mean((0, 1)), 0, atol=0.02)
    np.testing.assert_allclose(splits.train.x[..., columns].std((0, 1)), 1, atol=0.02)
    raw = data.load_bike_rentals(standardise=False)
    back = splits.test.x * splits.std + splits.mean
    np.testing.assert_allclose(back, raw.test.x, rtol=1e-5, atol=1e-3)

    read = bikes.read_bike_rentals

    def changed():
        table, known = read()
        table["rentals"][bikes.ENDS["train"] :] *= 10
        return table, known

    monkeypatch.setattr(bikes, "read_bike_rentals", changed)
    other = data.load_bike_rentals()
    np.testing.assert_array_equal(other.mean, splits.mean)
    np.testing.assert_array_equal(other.train.x, splits.train.x)
    assert not np.array_equal(other.test.x, splits.test.x)


def test_missing_hours_repeat_the_day_before(file_rows):
    table, known = bikes.read_bike_rentals()
    missing = np.flatnonzero(~known)
    assert len(missing) == 115
    assert len(file_rows) == known.sum() == 8645
    assert sorted(set(range(8760)) - set(file_rows)) == missing.tolist()
    for name in ("rentals", "temperature", "rain"):
        np.testing.assert_array_equal(table[name][missing], table[name][missing - 24])
        assert np.isfinite(table[name]).all()
    assert missing.min() >= 24


def test_working_day_is_that_of_the_hour_itself(file_rows):
    table, known = bikes.read_bike_rentals()
    by_day = {hour // 24: float(row["workingday"]) for hour, row in file_rows.items()}
    np.testing.assert_array_equal(table["working day"].reshape(-1, 24)[:, 0], list(by_day.values()))
    gap = 16 * 24 + 24 + 3  # Tuesday 18 January, 3 o'clock, after a holiday: a gap
    assert not known[gap]
    assert table["working day"][gap] == 1
    assert table["working day"][gap - 24] == 0


def test_simple_forecasts_err_as_published():
    """Persistence 46.8, same hour yesterday 52.7, on about the same weeks."""
    splits = data.load_bike_rentals(standardise=False)
    rentals, y = splits.test.x[:, :, 0], splits.test.y[:, 0]
    assert np.abs(rentals[:, -1] - y).mean() == pytest.approx(46.46, abs=0.01)
    assert np.abs(rentals[:, -24] - y).mean() == pytest.approx(53.04, abs=0.01)


def test_history_can_be_chosen():
    splits = data.load_bike_rentals(3, history=5)
    assert splits.train.x.shape[1:] == (5, 39)
    assert splits.name == "bikeshare_3h"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"horizon": 0}, "1 to 24 hours"),
        ({"horizon": 25}, "1 to 24 hours"),
        ({"history": 0}, "windows have 1 to"),
        ({"history": 2000}, "four weeks"),
    ],
)
def test_impossible_windows_are_refused(options, words):
    with pytest.raises(data.DataError, match=words):
        data.load_bike_rentals(**options)
    with pytest.raises(data.DataError, match=words):
        bikes.target_times(**options)
