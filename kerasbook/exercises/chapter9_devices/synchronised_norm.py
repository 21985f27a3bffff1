"""Synchronised batch normalisation without a loss of digits."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter9_devices",
    minutes=25,
    difficulty=2,
    points=3,
    kind="layer",
    outputs=None,
    atol=5e-3,
    rtol=2e-3,
    hints=[
        "What would you ask the other devices for, to know the mean of all rows? Not their means: "
        "they have different numbers of rows.",
        "The numbers are about 3,000, with a spread of 1. In float32 a square, about 10^7, is "
        "exact to 1 or so: the difference of two such numbers is noise. First the mean, then what "
        "is left.",
        "First sum: [Σ x, rows]; that gives the mean. Second sum: Σ (x - mean)²; divided by the "
        "rows it is the variance. A device without rows sends zeros both times.",
    ],
)


@exercise.stub
def synchronised_norm(x, gamma, beta, epsilon):
    """Batch normalisation with the mean and variance of the rows of all devices.

    You write what one device does. It is a generator: `total = yield array` gives you the sum, over
    all devices, of the arrays that they send at the same step, in float32, whatever is sent. All
    arrays of a step must have one shape. At the end it returns its results:

        total = yield array             # at most twice
        return rows, mean, variance

    Returned are gamma · (x - mean) / sqrt(variance + epsilon) + beta for the rows of this device,
    and the mean and the variance of all rows, (d,). The variance is the mean squared distance from
    the mean. No rows may be sent: at most 2 · d + 2 numbers each time. The devices have different
    numbers of rows; one may have none, and must take part all the same. The numbers can be large
    beside their spread.

    Practises: chapter 9, Many devices, "Batch normalisation on several devices".

    Args:
        x: (rows, d) float32, those of this device.
        gamma, beta: (d,) float32.
        epsilon: a number.

    Returns:
        The normalised rows (rows, d), the mean (d,), the variance (d,); they are compared in
        float32 (tolerance 5e-3 + 2e-3 · |expected|), and how much was sent.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    x, d = inputs["x"], inputs["x"].shape[1]
    shares = np.split(x, np.cumsum(inputs["rows"])[:-1])
    options = inputs["gamma"], inputs["beta"], inputs["epsilon"]
    running = [solution(np.array(share), *options) for share in shares]
    sent, results, total, steps, most = [None] * len(shares), [None] * len(shares), None, 0, 0
    while all(result is None for result in results):
        for number, device in enumerate(running):
            try:
                sent[number] = np.float32(device.send(total))
            except StopIteration as end:
                results[number] = [np.asarray(each) for each in end.value]
        if all(result is None for result in results):
            steps, most = steps + 1, max(most, max(each.size for each in sent))
            if steps > 9:
                raise RuntimeError("more than nine sums were asked for: does the loop end?")
            total = np.sum(np.stack(sent), axis=0, dtype="float32")
    if any(result is None for result in results):
        raise RuntimeError("one device has ended while another still sends")
    rows, means, variances = zip(*results)
    return {
        "rows": np.float32(np.concatenate(rows)),
        "means": np.float32(np.stack(means)),
        "variances": np.float32(np.stack(variances)),
        "at most two sums": np.array(steps <= 2),
        "no rows are sent": np.array(most <= 2 * d + 2),
    }


def layer(random, rows, d, offset):
    """Returns the inputs of a case."""
    spread = random.uniform(0.5, 3, d)
    return {
        "x": (offset + spread * random.normal(size=(sum(rows), d))).astype("float32"),
        "rows": list(rows),
        "gamma": random.uniform(0.5, 2, d).astype("float32"),
        "beta": random.normal(size=d).astype("float32"),
        "epsilon": 1e-3,
    }


@exercise.public
def examples(random):
    yield Case("two devices with two rows each", layer(random, (2, 2), 2, 0.0))


@exercise.hidden
def drawn(random):
    yield Case("three devices, 9, 2 and 5 rows", layer(random, (9, 2, 5), 3, 1.0))
    yield Case("one device has no row", layer(random, (6, 0, 4), 2, -2.0))
    yield Case("large numbers", layer(random, (8, 5), 4, 3_000.0))
    yield Case("one row each", layer(random, (1, 1, 1, 1), 2, 3.0))


@exercise.reference
def solution(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0, dtype="float64"), len(x))
    rows, mean = total[-1], total[:-1] / total[-1]
    variance = (yield ((x - mean) ** 2).sum(axis=0)) / rows
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.right
def with_tensors(x, gamma, beta, epsilon):
    count = tf.fill([1], float(len(x)))
    total = yield tf.concat([tf.reduce_sum(x, axis=0), count], axis=0)
    mean = tf.constant(total[:-1] / total[-1])
    squares = yield tf.reduce_sum(tf.math.squared_difference(x, mean), axis=0)
    variance = squares / total[-1]
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, epsilon), mean, variance


@exercise.right
def from_each_ones_moments(x, gamma, beta, epsilon):
    rows = len(x)
    own = x.mean(axis=0) if rows else np.zeros(x.shape[1], "float32")
    total = yield np.concatenate([rows * own, [rows]])
    mean = total[:-1] / total[-1]
    inside = rows * x.var(axis=0) if rows else 0 * own
    variance = (yield inside + rows * (own - mean) ** 2) / total[-1]
    return (x - mean) * (gamma / np.sqrt(variance + epsilon)) + beta, mean, variance


@exercise.right
def sums_of_what_is_left(x, gamma, beta, epsilon):
    first = yield np.append(x.sum(axis=0), len(x))
    middle = first[:-1] / first[-1]  # nearly the mean
    left = np.float64(x) - middle
    second = yield np.stack([left.sum(axis=0), (left**2).sum(axis=0)])
    shift, squares = np.float64(second) / first[-1]
    mean, variance = middle + shift, squares - shift**2
    return gamma * (left - shift) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong(
    "Each device normalises with the moments of its own rows. They must be those of the rows of "
    "all devices."
)
def own_moments(x, gamma, beta, epsilon):
    yield np.append(x.sum(axis=0), len(x))
    mean = x.mean(axis=0) if len(x) else np.zeros_like(beta)
    variance = x.var(axis=0) if len(x) else np.zeros_like(beta)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong(
    "The mean is a mean of the devices' means. They have different numbers of rows: add up sums "
    "and rows."
)
def mean_of_means(x, gamma, beta, epsilon):
    mean = x.mean(axis=0) if len(x) else np.zeros_like(beta)
    variance = x.var(axis=0) if len(x) else np.zeros_like(beta)
    total = yield np.concatenate([mean, variance, [1]])
    mean, variance = np.split(total[:-1] / total[-1], 2)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong(
    "The variance is the mean square less the squared mean, in 32 bits. Of large numbers nothing "
    "is left: subtract the mean first, then square."
)
def squares_of_large_numbers(x, gamma, beta, epsilon):
    total = yield np.concatenate([x.sum(axis=0), (x**2).sum(axis=0), [len(x)]])
    mean, square = np.split(total[:-1] / total[-1], 2)
    variance = np.maximum(square - mean**2, 0)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong(
    "The variances of the devices are averaged. That leaves out how far their means are from the "
    "mean of all."
)
def within_only(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0), len(x))
    mean = total[:-1] / total[-1]
    inside = len(x) * x.var(axis=0) if len(x) else 0 * mean
    variance = (yield inside) / total[-1]
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong()
def divided_by_one_less(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0), len(x))
    mean = total[:-1] / total[-1]
    variance = (yield ((x - mean) ** 2).sum(axis=0)) / (total[-1] - 1)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong()
def epsilon_outside(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0), len(x))
    mean = total[:-1] / total[-1]
    variance = (yield ((x - mean) ** 2).sum(axis=0)) / total[-1]
    return gamma * (x - mean) / (np.sqrt(variance) + 50 * epsilon) + beta, mean, variance


@exercise.wrong()
def a_deviation_for_a_variance(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0), len(x))
    mean = total[:-1] / total[-1]
    deviation = np.sqrt((yield ((x - mean) ** 2).sum(axis=0)) / total[-1])
    return gamma * (x - mean) / np.sqrt(deviation + epsilon) + beta, mean, deviation


@exercise.wrong()
def divided_by_its_own_rows(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0), len(x))
    mean = total[:-1] / total[-1]
    variance = (yield ((x - mean) ** 2).sum(axis=0)) / max(len(x), 1)
    return gamma * (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance


@exercise.wrong()
def without_gamma(x, gamma, beta, epsilon):
    total = yield np.append(x.sum(axis=0), len(x))
    mean = total[:-1] / total[-1]
    variance = (yield ((x - mean) ** 2).sum(axis=0)) / total[-1]
    return (x - mean) / np.sqrt(variance + epsilon) + beta, mean, variance
