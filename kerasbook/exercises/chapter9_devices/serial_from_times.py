"""Amdahl's law from measurements."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter9_devices",
    minutes=20,
    difficulty=2,
    points=3,
    outputs=("serial", "most"),
    atol=1e-4,
    rtol=1e-3,
    hints=[
        "A machine that is busy with something else makes a run longer, never shorter. Which of "
        "the runs do you trust?",
        "By Amdahl's law the time is a + b / n: a straight line, not over n, but over 1 / n. What "
        "is the time at n = 1, and which part of it is a?",
        "best = times.min(axis=1); b, a = np.polyfit(1 / devices, best, 1); s = clip(a / (a + b), "
        "0, 1). speed-up / n ≥ 1 / 2 means n ≤ (1 + s) / s; with s = 0 there is no end: -1.",
    ],
)


@exercise.stub
def serial_from_times(devices, times):
    """Find the share of a step that cannot be divided, from measured times.

    The time of a step on n devices is taken to be a + b / n (Amdahl's law). Each time was measured
    in several runs, and other programs on the machine can only have made a run longer: of the runs
    with the same n take the shortest. Through these shortest times lay the line a + b / n for which
    the sum of the squared distances is least. Then the serial share is a / (a + b). Because times
    are noisy, it can come out below 0 or above 1; then take 0 or 1.

    With that share, how many devices are worth having, if each of them is to do at least half of
    what it would do without waiting: for how many n at most is speed-up / n at least 1/2?

    Practises: chapter 9, Many devices, "What scales, and what does not".

    Args:
        devices: (m,) integers, different ones, m ≥ 2; not necessarily sorted, nor with a 1.
        times: (m, runs) floating-point numbers, seconds.

    Returns:
        The serial share, a number from 0 to 1; the largest such n, an integer, or -1 if there is no
        end to it.

    The share is compared with a tolerance of 1e-4 + 1e-3 · |expected|, the number exactly.
    """
    raise NotImplementedError


def measured(random, devices, serial, runs=4, noise=0.0):
    """Returns the inputs of a case; serial: the true share."""
    devices = np.array(devices)
    alone = random.uniform(0.5, 20)
    best = alone * (serial + (1 - serial) / devices)
    best = best * (1 + noise * random.normal(size=len(devices)))
    longer = 1 + random.exponential(0.4, (len(devices), runs))
    longer[np.arange(len(devices)), random.integers(0, runs, len(devices))] = 1
    return {"devices": devices, "times": best[:, np.newaxis] * longer}


@exercise.public
def examples(random):
    times = np.array([[10.0, 12.0], [6.0, 7.0], [4.1, 4.5]])
    yield Case(
        "1, 2 and 4 devices, two runs each", {"devices": np.array([1, 2, 4]), "times": times}
    )


@exercise.hidden
def drawn(random):
    yield Case(
        "1, 2, 4 and 8 devices", measured(random, (1, 2, 4, 8), random.uniform(0.1, 0.3), 4, 0.03)
    )
    yield Case("without a run on one device",
               measured(random, (4, 2, 16), random.uniform(0.04, 0.12), 3, 0.01))  # fmt: skip
    yield Case("two points", measured(random, (1, 3), random.uniform(0.3, 0.6)))
    faster = measured(random, (1, 2, 4), 0.0)
    faster["times"][2] *= 0.8
    yield Case("better than divided", faster)
    slower = measured(random, (1, 2, 4), 1.0)
    slower["times"] *= np.array([[1.0], [1.1], [1.3]])
    yield Case("slower with more", slower)


@exercise.reference
def solution(devices, times):
    best = times.min(axis=1)
    table = np.stack([np.ones(len(best)), 1 / devices], axis=1)
    a, b = np.linalg.lstsq(table, best, rcond=None)[0]
    s = min(max(a / (a + b), 0.0), 1.0)
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.right
def by_polyfit(devices, times):
    b, a = np.polyfit(1.0 / devices, np.min(times, axis=-1), 1)
    s = float(np.clip(a / (a + b), 0, 1))
    if s == 0:
        return s, -1
    return s, int(1 / s + 1)


@exercise.right
def with_tensors(devices, times):
    best = tf.reduce_min(tf.constant(times), axis=1, keepdims=True)
    shares = 1 / tf.cast(devices, tf.float64)
    table = tf.stack([tf.ones_like(shares), shares], axis=1)
    a, b = tf.unstack(tf.linalg.lstsq(table, best, fast=False)[:, 0])
    s = tf.clip_by_value(a / (a + b), 0.0, 1.0)
    return s, int(tf.floor((1 + s) / s)) if s > 0 else -1


@exercise.right
def by_covariance(devices, times):
    x, y = [1 / n for n in devices.tolist()], [min(runs) for runs in times.tolist()]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    b = sum((i - middle_x) * (j - middle_y) for i, j in zip(x, y))
    b /= sum((i - middle_x) ** 2 for i in x)
    a = middle_y - b * middle_x
    s = max(0.0, min(1.0, a / (a + b)))
    n = 1
    while s > 0 and (n + 1) * s + 1 - s <= 2:
        n += 1
    return s, n if s > 0 else -1


@exercise.wrong(
    "The runs are averaged. What else the machine did is in the mean: take the shortest run."
)
def mean_of_the_runs(devices, times):
    best = times.mean(axis=1)
    b, a = np.polyfit(1 / devices, best, 1)
    s = float(np.clip(a / (a + b), 0, 1))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong("The line is laid over n. Amdahl's law is a straight line over 1 / n.")
def line_over_n(devices, times):
    best = times.min(axis=1)
    b, a = np.polyfit(devices, best, 1)
    s = float(np.clip(a / (a + b), 0, 1))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong(
    "You return the seconds that cannot be divided. Their share is asked for: divide by the time "
    "on one device, a + b."
)
def seconds_for_a_share(devices, times):
    best = times.min(axis=1)
    b, a = np.polyfit(1 / devices, best, 1)
    s = float(np.clip(a, 0, 1))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong(
    "Only the first and the last row are used. The others were measured, too: lay the line through "
    "all of them."
)
def two_rows_only(devices, times):
    best = times.min(axis=1)
    speed_up, n = best[0] / best[-1], devices[-1] / devices[0]
    s = float(np.clip((n / speed_up - 1) / (n - 1), 0, 1))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong()
def not_clipped(devices, times):
    b, a = np.polyfit(1 / devices, times.min(axis=1), 1)
    s = float(a / (a + b))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong()
def divided_by_b(devices, times):
    b, a = np.polyfit(1 / devices, times.min(axis=1), 1)
    s = float(np.clip(a / b, 0, 1))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong()
def the_other_share(devices, times):
    b, a = np.polyfit(1 / devices, times.min(axis=1), 1)
    s = float(np.clip(b / (a + b), 0, 1))
    return s, int(np.floor((1 + s) / s)) if s > 0 else -1


@exercise.wrong("speed-up / n ≥ 1/2 is asked, not the largest speed-up that there is, 1 / s.")
def as_many_as_the_limit(devices, times):
    b, a = np.polyfit(1 / devices, times.min(axis=1), 1)
    s = float(np.clip(a / (a + b), 0, 1))
    return s, int(np.floor(1 / s)) if s > 0 else -1


@exercise.wrong()
def rounded_up(devices, times):
    b, a = np.polyfit(1 / devices, times.min(axis=1), 1)
    s = float(np.clip(a / (a + b), 0, 1))
    return s, int(np.ceil((1 + s) / s)) if s > 0 else -1
