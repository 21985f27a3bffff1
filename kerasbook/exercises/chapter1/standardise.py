"""Standardise features by the training part."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("train", "new"),
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "Mean and standard deviation are taken along axis 0: one of each for every column.",
        "The new rows are scaled by the numbers of the training rows, not by their own. A column "
        "that is constant in the training rows has deviation 0: divide by 1 there.",
        "mean, std = train.mean(axis=0), train.std(axis=0); std = np.where(std > 0, std, 1); "
        "return (train - mean) / std, (new - mean) / std.",
    ],
)


@exercise.stub
def standardise(train, new):
    """Training rows and new rows, scaled by the mean and standard deviation of the training rows.

    A model that was trained on scaled features must be asked with features that are scaled in the
    same way, a single car included. A column that is the same number in all training rows has
    nothing to be divided by: it becomes 0 in the training rows, and in the new rows what it
    differs from that number.

    Practises: chapter 1, "Why features are scaled"

    Args:
        train: (n, d) float64 array; a column is either constant or has a deviation of more than
            0.01.
        new: (m, d) float64 array; m may be 1.

    Returns:
        train: (n, d) and new: (m, d), scaled; float32 or float64. The standard deviation is that
        of the n rows, as `np.std` has it (divided by n). Tolerance: 1e-5 + 1e-4 · |expected|. The
        inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    train = np.array([[1.0, 10.0], [3.0, 10.0]])
    yield Case("a constant column", {"train": train, "new": np.array([[5.0, 12.0]])})


@exercise.hidden
def drawn(random):
    for n, d, m in ((5, 2, 3), (4, 3, 1), (12, 4, 30)):
        scale, middle = random.uniform(0.5, 5, d), random.uniform(-9, 9, d)
        inputs = {
            "train": random.normal(size=(n, d)) * scale + middle,
            "new": random.normal(size=(m, d)) * 2 * scale + middle + 1,
        }
        yield Case(f"{n} rows and {m} new ones, {d} columns", inputs, unchanged=True)
    train, new = random.normal(3, 2, (6, 3)), random.normal(3, 2, (2, 3))
    train[:, 1] = 4.0
    yield Case("a constant column in the middle", {"train": train, "new": new}, unchanged=True)


@exercise.reference
def solution(train, new):
    mean, std = train.mean(axis=0), train.std(axis=0)  # (d,)
    std = np.where(std > 0, std, 1)
    return (train - mean) / std, (new - mean) / std


@exercise.right
def with_loops(train, new):
    train, new = train.copy(), new.copy()
    for column in range(train.shape[1]):
        values = train[:, column]
        mean = sum(values) / len(values)
        deviation = (sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5
        for rows in (train, new):
            rows[:, column] = (rows[:, column] - mean) / (deviation if deviation > 1e-9 else 1)
    return train, new


@exercise.right
def with_keras(train, new):
    layer = keras.layers.Normalization(axis=-1, dtype="float64")
    layer.adapt(train)
    std = np.sqrt(np.array(layer.variance)).reshape(-1)
    mean = np.array(layer.mean).reshape(-1)
    constant = train.max(axis=0) == train.min(axis=0)
    std[constant], mean[constant] = 1, train[0, constant]
    return (train - mean) / std, (new - mean) / std


@exercise.right
def with_tensorflow(train, new):
    mean, variance = tf.nn.moments(tf.constant(train), axes=[0])
    std = tf.where(variance > 1e-9, tf.sqrt(variance), tf.ones_like(variance))
    return (train - mean) / std, (new - mean) / std


@exercise.wrong(
    "The new rows are scaled by their own mean and deviation. A car must not change because of the "
    "cars it comes with: use the training rows' numbers."
)
def new_by_itself(train, new):
    def scaled(rows):
        std = rows.std(axis=0)
        return (rows - rows.mean(axis=0)) / np.where(std > 0, std, 1)

    return scaled(train), scaled(new)


@exercise.wrong(
    "Mean and deviation are measured on all rows together: what is new leaks into the training "
    "rows."
)
def measured_on_both(train, new):
    both = np.concatenate([train, new])
    mean, std = both.mean(axis=0), both.std(axis=0)
    std = np.where(std > 0, std, 1)
    return (train - mean) / std, (new - mean) / std


@exercise.wrong("A constant column is divided by zero: its deviation is 0, divide by 1 there.")
def divided_by_zero(train, new):
    with np.errstate(all="ignore"):
        mean, std = train.mean(axis=0), train.std(axis=0)
        return (train - mean) / std, (new - mean) / std


@exercise.wrong(
    "One mean and one deviation were taken for all columns together: take them along axis 0."
)
def one_for_all_columns(train, new):
    return (train - train.mean()) / train.std(), (new - train.mean()) / train.std()


@exercise.wrong("The new rows were left as they are: the model would see other units.")
def new_unscaled(train, new):
    mean, std = train.mean(axis=0), train.std(axis=0)
    return (train - mean) / np.where(std > 0, std, 1), new.copy()


@exercise.wrong("It is divided by the variance; the standard deviation is its root.")
def divided_by_the_variance(train, new):
    mean, variance = train.mean(axis=0), train.var(axis=0)
    variance = np.where(variance > 0, variance, 1)
    return (train - mean) / variance, (new - mean) / variance


exercise.mistake("divided_by_n_minus_1", old="train.std(axis=0)", new="train.std(axis=0, ddof=1)")


@exercise.wrong()
def mean_left(train, new):
    std = train.std(axis=0)
    std = np.where(std > 0, std, 1)
    return train / std, new / std


@exercise.wrong()
def between_0_and_1(train, new):
    low, high = train.min(axis=0), train.max(axis=0)
    width = np.where(high > low, high - low, 1)
    return (train - low) / width, (new - low) / width


@exercise.wrong()
def along_the_rows(train, new):
    def scaled(rows):
        std = rows.std(axis=1, keepdims=True)
        return (rows - rows.mean(axis=1, keepdims=True)) / np.where(std > 0, std, 1)

    return scaled(train), scaled(new)
