"""Bike rentals by the hour in Washington, D.C., in 2011, in windows for forecasting."""

from __future__ import annotations

import csv
import io
import lzma

from kerasbook.data.embedded import read_file
from kerasbook.data.splits import DataError, Part, Splits, mean_and_std, standardised

import numpy as np

HOURS = 365 * 24
FIRST_HOUR = np.datetime64("2011-01-01T00")
MEASURED = ("temperature", "humidity", "wind speed")  # known when the hour is over
WEATHER = {"cloudy/misty": "cloudy", "light rain/snow": "rain", "heavy rain/snow": "rain"}
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
PAST = ("rentals", "known", *MEASURED, "cloudy", "rain")
CALENDAR = ("working day", *WEEKDAYS, *(f"{hour} o'clock" for hour in range(24)))
FEATURES = (*PAST, *(f"target: {name}" for name in CALENDAR))
# The hour of the year at which each part ends: after 19 September, 19 October, 31 December.
ENDS = {"train": 262 * 24, "validation": 292 * 24, "test": HOURS}
SEED = 0


def load_bike_rentals(horizon: int = 1, history: int = 48, standardise: bool = True) -> Splits:
    """Returns windows: x (n, history, 39) float32, y (n, horizon) float32, rentals by the hour.

    A forecast is made at the end of an hour t, for the hours t + 1 … t + horizon (1 … 24), the
    targets. The window ends with hour t. A step holds what is known then of its own hour: rentals,
    whether they are known (1 or 0), the weather measured; and of the hour `horizon` later what the
    calendar says of it: working day, day of the week, hour, each as columns of 0 and 1 (FEATURES).
    Neither the rentals nor the weather of a target hour, nor anything after t, is in x.

    Missing hours: 115 of the 8,760 are not in the file. In them rentals and weather repeat those
    of the same hour of the day before, with 0 in the column "known"; that uses the past only. They
    are never a target: windows that would have one among theirs are left out.
    The split is by time: train to 19 September, validation to 19 October, test to 31 December.
    All hours of a window, targets included, lie in one part. Train and validation are shuffled
    with a fixed seed; test is in order of time (`target_times` dates it).
    standardise: rentals, temperature, humidity and wind speed become (value - mean) / std,
    measured on the training part's windows. The columns of 0 and 1 stay, with mean 0 and std 1.
    y is in bikes.

    Source and known flaws:
    files/bikeshare_hourly.md.

    Raises:
        DataError: the horizon or the history cannot be had.
    """
    check(horizon, history)
    table, known = read_bike_rentals()
    lasts = {name: last_hours(name, horizon, history, known) for name in ENDS}
    steps, rentals = step_features(table, known, horizon), table["rentals"]
    mean, std = np.zeros(len(FEATURES), np.float32), np.ones(len(FEATURES), np.float32)
    if standardise:
        seen = used_hours(lasts["train"], history)
        for name in ("rentals", *MEASURED):
            column = FEATURES.index(name)
            mean[column], std[column] = (v[0] for v in mean_and_std(steps[seen, column, None]))
    steps = standardised(steps, mean, std)
    parts = {}
    for name, last in lasts.items():
        inputs = steps[last[:, np.newaxis] + np.arange(1 - history, 1)]  # (n, history, features)
        parts[name] = Part(inputs, rentals[targets_of(last, horizon)].astype(np.float32))
    return Splits(
        **parts,
        name=f"bikeshare_{horizon}h",
        title=f"Bike rentals, the next {horizon} h" if horizon > 1 else "Bike rentals, 1 h ahead",
        target="rentals in the hour (bikes)",
        source="embedded",
        features=FEATURES,
        mean=mean,
        std=std,
    )


def check(horizon: int, history: int) -> None:
    """Checks that there are such windows.

    Raises:
        DataError: the horizon or the history cannot be had.
    """
    if not 1 <= horizon <= 24:
        raise DataError(f"horizon is {horizon}; forecasts are 1 to 24 hours ahead")
    if not 1 <= history <= 24 * 28:
        raise DataError(f"history is {history}; windows have 1 to {24 * 28} hours (four weeks)")


def last_hours(part: str, horizon: int, history: int, known: np.ndarray) -> np.ndarray:
    """Returns the last input hour of each of a part's windows whose targets are all known."""
    names = list(ENDS)
    begin = ENDS[names[names.index(part) - 1]] if part != "train" else 0
    last = np.arange(begin + history - 1, ENDS[part] - horizon)
    last = last[known[targets_of(last, horizon)].all(axis=1)]
    return last if part == "test" else np.random.default_rng(SEED).permutation(last)


def targets_of(last: np.ndarray, horizon: int) -> np.ndarray:
    """Returns (n, horizon): the hours after each of the hours `last`."""
    return last[:, np.newaxis] + np.arange(1, horizon + 1)


def used_hours(last: np.ndarray, history: int) -> np.ndarray:
    """Returns the hours that some window ending at `last` has among its inputs, in order."""
    return np.unique(last[:, np.newaxis] + np.arange(1 - history, 1))


def target_times(part: str = "test", horizon: int = 1, history: int = 48) -> np.ndarray:
    """Returns the date and hour of each target of a part, in the shape of its y: datetime64[h]."""
    check(horizon, history)
    _, known = read_bike_rentals()
    hours = targets_of(last_hours(part, horizon, history, known), horizon)
    return FIRST_HOUR + hours.astype("timedelta64[h]")


def step_features(table: dict[str, np.ndarray], known: np.ndarray, horizon: int) -> np.ndarray:
    """Returns (8760, 39) float32: what is known at the end of each hour (FEATURES).

    The calendar of hours after the year is not needed by any window; those rows hold zeros.
    """
    past = np.column_stack([table["rentals"], known, *(table[name] for name in PAST[2:])])
    calendar = np.zeros((HOURS, len(CALENDAR)))
    calendar[: HOURS - horizon] = calendar_columns(table["working day"])[horizon:]
    return np.column_stack([past, calendar]).astype(np.float32)


def calendar_columns(working_day: np.ndarray) -> np.ndarray:
    """Returns (8760, 32): working day, one column per day of the week, one per hour of the day."""
    hour = np.arange(HOURS)
    weekday = (hour // 24 + WEEKDAYS.index("Saturday")) % 7  # 1 January 2011 was a Saturday
    return np.column_stack([working_day, np.eye(7)[weekday], np.eye(24)[hour % 24]])


def read_bike_rentals() -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Returns each column for all 8,760 hours, gaps filled, and known (8760,) bool: not filled.

    Columns: "rentals" (bikes), MEASURED (in °C, % and km/h), "cloudy", "rain" and "working day"
    (0 or 1).
    """
    text = lzma.decompress(read_file("bikeshare_hourly.csv.xz")).decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    hours = np.array([24 * (int(row["day"]) - 1) + int(row["hr"]) for row in rows])
    weather = [WEATHER.get(row["weathersit"], "clear") for row in rows]
    columns = {
        "rentals": [float(row["bikers"]) for row in rows],
        "temperature": [47 * float(row["temp"]) - 8 for row in rows],
        "humidity": [100 * float(row["hum"]) for row in rows],
        "wind speed": [67 * float(row["windspeed"]) for row in rows],
        "cloudy": [float(kind == "cloudy") for kind in weather],
        "rain": [float(kind == "rain") for kind in weather],
        "working day": [float(row["workingday"]) for row in rows],
    }
    known = np.zeros(HOURS, bool)
    known[hours] = True
    table = {name: placed(values, hours) for name, values in columns.items()}
    working = np.nanmax(table["working day"].reshape(-1, 24), axis=1)  # the same all day long
    table["working day"] = np.repeat(working, 24)
    for values in table.values():
        fill_from_day_before(values)
    return table, known


def placed(values: list[float], hours: np.ndarray) -> np.ndarray:
    """Returns (8760,) with the values at their hours, and NaN where there is none."""
    column = np.full(HOURS, np.nan)
    column[hours] = values
    return column


def fill_from_day_before(values: np.ndarray) -> None:
    """Puts the value of 24 hours earlier into each empty hour, from the first to the last."""
    for hour in np.flatnonzero(np.isnan(values)):
        values[hour] = values[hour - 24]
