"""Windows of a series with gaps, without a leak."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter5_forecasting",
    minutes=40,
    difficulty=2,
    points=4,
    outputs=("train_x", "train_y", "test_x", "test_y"),
    hints=[
        "Count by hours, not by rows. A dictionary from hour to row, or a table with one place for "
        "each hour, tells whether an hour is there.",
        "For a window that ends at hour t, write down its hours and its target's hour. It is kept "
        "if all of them are there. Then ask two questions: is the target before the split? Is "
        "the first hour of the window not before the split?",
        "For each t in times: hours = t − history + 1 … t, target = t + horizon. Training if "
        "target < split, test if hours[0] ≥ split, else dropped. Mean and standard deviation are "
        "those of values[times < split], each column by itself; y is values[row of target, 0].",
    ],
)


@exercise.stub
def windows(times, values, history, horizon, split):
    """Windows and targets for a forecast, in a training and a test part.

    A series is measured every hour, but some hours are missing. An example is a window of
    `history` hours that ends at an hour t, and its target is column 0 at hour t + horizon. The
    window must hold t − history + 1, …, t, each exactly one hour after the one before. An example
    is left out if an hour of its window, or its target's hour, is missing. (Hours between t and
    t + horizon may be missing: nobody reads them.)

    Nothing may leak from the test part into the training part or back:

    - training examples are those whose target's hour is before `split`;
    - test examples are those whose whole window is at or after `split`;
    - all other examples are dropped;
    - the columns of the windows are scaled, (x − mean) / deviation, with the mean and the standard
      deviation (population, divided by the count) of all rows with an hour before `split`. A
      column that is constant there is divided by 1. Targets are not scaled.

    Practises: chapter 5, continued: forecasting, "What is known at the moment of the forecast".

    Args:
        times: (m,) int array, the hours, rising.
        values: (m, features) float array, row i is of hour times[i].
        history: hours in a window, 1 or more.
        horizon: hours from the window's last hour to the target's, 1 or more.
        split: first hour of the test part.

    Returns:
        train_x: (a, history, features); train_y: (a,); test_x: (b, history, features);
        test_y: (b,); each in the order of time, float32 or float64. In all cases a and b are at
        least 1. Tolerance: 1e-5 + 1e-4 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    times = np.array([0, 1, 2, 3, 5, 6, 7, 8, 9, 10])
    values = np.stack([10.0 * times, 1.0 * (times % 2)], axis=1)
    settings = {"history": 2, "horizon": 1, "split": 6}
    yield Case("hour 4 is missing", {"times": times, "values": values, **settings})


@exercise.hidden
def drawn(random):
    for hours, features, history, horizon in (
        (50, 1, 3, 1), (80, 3, 4, 2), (90, 2, 1, 5), (120, 4, 6, 3), (70, 2, 5, 1)
    ):  # fmt: skip
        # Gaps everywhere but in two stretches, so that both parts have examples.
        split = int(hours * random.uniform(0.45, 0.6))
        need = history + horizon
        there = random.random(hours) < 0.85
        there[:need] = there[split : split + need] = True
        there[split - 1] = True
        there[split + need : split + need + 3] = [True, False, True]
        start = int(random.integers(0, 1000))
        times = start + np.flatnonzero(there)
        trend = (times - start)[:, np.newaxis] * random.uniform(0.5, 2, features)
        values = trend + random.normal(size=(len(times), features)) * 5
        settings = {"history": history, "horizon": horizon, "split": start + split}
        inputs = {"times": times, "values": values, **settings}
        name = f"{len(times)} of {hours} hours, {features} columns, history {history}, "
        yield Case(name + f"horizon {horizon}", inputs, unchanged=True)
    constant = np.where((times < start + split)[:, np.newaxis], 7.0, values[:, :1])
    values = np.concatenate([values[:, :1], constant], axis=1).astype("float32")
    yield Case("a quiet column, 32 bits", {"times": times, "values": values, **settings})


@exercise.reference
def solution(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = {"train": ([], []), "test": ([], [])}
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        if not all(hour in row for hour in (*hours, target)):
            continue
        part = "train" if target < split else "test" if hours[0] >= split else None
        if part:
            parts[part][0].append(scaled[[row[hour] for hour in hours]])
            parts[part][1].append(values[row[target], 0])
    return tuple(np.array(each) for part in parts.values() for each in part)


@exercise.right
def with_a_grid(times, values, history, horizon, split):
    first, count = times[0], times[-1] - times[0] + 1
    grid = np.full((count, values.shape[1]), np.nan)
    grid[times - first] = values
    known = values[times < split]
    deviation = known.std(axis=0)
    deviation[deviation == 0] = 1
    scaled = (grid - known.mean(axis=0)) / deviation
    x = np.lib.stride_tricks.sliding_window_view(scaled, history, axis=0)[: -horizon or None]
    x = x.swapaxes(1, 2)  # (windows, history, features)
    y = grid[history - 1 + horizon :, 0]
    x = x[: len(y)]
    begin = first + np.arange(len(y))
    target = begin + history - 1 + horizon
    there = ~np.isnan(x).any(axis=(1, 2)) & ~np.isnan(y)
    train, test = there & (target < split), there & (begin >= split)
    return x[train], y[train], x[test], y[test]


@exercise.right
def with_search(times, values, history, horizon, split):
    wanted = times[:, None] + np.append(np.arange(1 - history, 1), horizon)  # (m, history + 1)
    rows = np.minimum(np.searchsorted(times, wanted), len(times) - 1)
    rows, wanted = (a[(times[rows] == wanted).all(axis=1)] for a in (rows, wanted))
    known = values[times < split]
    centre, size = known.mean(axis=0), known.std(axis=0)
    scaled = (values - centre) / (size + (size == 0))
    results = []
    for chosen in (wanted[:, -1] < split, wanted[:, 0] >= split):
        results += [scaled[rows[chosen, :-1]], values[rows[chosen, -1], 0]]
    return tuple(results)


@exercise.right
def with_tensorflow(times, values, history, horizon, split):
    known = tf.boolean_mask(values, times < split)
    mean, variance = tf.nn.moments(known, axes=[0])
    scaled = (values - mean) / tf.where(variance == 0, tf.ones_like(variance), variance**0.5)
    place = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.constant(times, tf.int64), tf.range(len(times), dtype=tf.int64)
        ),
        default_value=-1,
    )
    hours = tf.constant(times, tf.int64)[:, None]
    before = place.lookup(hours + tf.range(1 - history, 1, dtype=tf.int64))  # (m, history)
    target = place.lookup(hours[:, 0] + horizon)
    there = tf.reduce_all(before >= 0, axis=1) & (target >= 0)
    train = there & (hours[:, 0] + horizon < split)
    test = there & (hours[:, 0] - history + 1 >= split)
    results = []
    for part in (train, test):
        results.append(tf.gather(scaled, before[part]))
        results.append(tf.gather(values[:, 0], target[part]))
    return tuple(results)


@exercise.wrong(
    "You count rows, as if no hour were missing. Behind a gap, the row that is `history` places up "
    "is another hour: look the hours up in `times`."
)
def counted_by_rows(times, values, history, horizon, split):
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for begin in range(len(times) - history - horizon + 1):
        target = begin + history - 1 + horizon
        part = 0 if times[target] < split else 2 if times[begin] >= split else None
        if part is not None:
            parts[part].append(scaled[begin : begin + history])
            parts[part + 1].append(values[target, 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong(
    "Mean and deviation are those of the whole series. The test part lies in the future of the "
    "training: scale by the rows before the split alone."
)
def scaled_by_all(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    deviation = values.std(axis=0)
    scaled = (values - values.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        part = 0 if target < split else 2 if hours[0] >= split else None
        if part is not None and all(hour in row for hour in (*hours, target)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(values[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong(
    "Test windows begin before the split: they share hours with the training part. The whole "
    "window must be at or after the split, not its target alone."
)
def test_windows_cross(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        part = 0 if target < split else 2
        if all(hour in row for hour in (*hours, target)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(values[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong(
    "Training windows end before the split, but some of their targets do not. What is trained on "
    "is the target: its hour decides."
)
def training_targets_cross(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        part = 0 if last < split else 2 if hours[0] >= split else None
        if part is not None and all(hour in row for hour in (*hours, target)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(values[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong(
    "Your target is one hour too early: with horizon 1 it is the last hour of the window itself, "
    "which the model has already seen. It is at t + horizon, where t is the last hour."
)
def target_seen(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon - 1
        part = 0 if target < split else 2 if hours[0] >= split else None
        if part is not None and all(hour in row for hour in (*hours, target)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(values[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong("The targets are scaled too. Here they stay in their own unit.")
def targets_scaled(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        part = 0 if target < split else 2 if hours[0] >= split else None
        if part is not None and all(hour in row for hour in (*hours, target)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(scaled[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong()
def demands_hours_between(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        part = 0 if target < split else 2 if hours[0] >= split else None
        if part is not None and all(hour in row for hour in range(hours[0], target + 1)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(values[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong()
def one_mean_for_all_columns(times, values, history, horizon, split):
    row = {int(hour): place for place, hour in enumerate(times)}
    known = values[times < split]
    scaled = (values - known.mean()) / known.std()
    parts = ([], [], [], [])
    for last in row:
        hours, target = range(last - history + 1, last + 1), last + horizon
        part = 0 if target < split else 2 if hours[0] >= split else None
        if part is not None and all(hour in row for hour in (*hours, target)):
            parts[part].append(scaled[[row[hour] for hour in hours]])
            parts[part + 1].append(values[row[target], 0])
    return tuple(np.array(each) for each in parts)


@exercise.wrong()
def gaps_filled(times, values, history, horizon, split):
    hours = np.arange(times[0], times[-1] + 1)
    values = np.stack([np.interp(hours, times, column) for column in values.T], axis=1)
    known = values[hours < split]
    deviation = known.std(axis=0)
    scaled = (values - known.mean(axis=0)) / np.where(deviation == 0, 1, deviation)
    parts = ([], [], [], [])
    for begin in range(len(hours) - history - horizon + 1):
        target = begin + history - 1 + horizon
        part = 0 if hours[target] < split else 2 if hours[begin] >= split else None
        if part is not None:
            parts[part].append(scaled[begin : begin + history])
            parts[part + 1].append(values[target, 0])
    return tuple(np.array(each) for each in parts)
