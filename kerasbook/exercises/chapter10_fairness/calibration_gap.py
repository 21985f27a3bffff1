"""Calibration by group."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=20,
    difficulty=2,
    points=3,
    hints=[
        "First write the error of one group. np.digitize(p, edges[1:-1]) gives everybody's bin.",
        "In each bin compare the mean of p with the mean of y. Bins with more people count more: "
        "weigh by the number of people in the bin, divided by those of the group.",
        "error = Σ over bins of len(bin) / n · |p[bin].mean() − y[bin].mean()|; skip empty bins; "
        "one number for each value of group, in ascending order.",
    ],
)


@exercise.stub
def calibration_gap(y, p, group, bins):
    """The expected calibration error of each group.

    Cut the probabilities 0…1 into `bins` bins of equal width; bin k holds k / bins ≤ p <
    (k + 1) / bins, and the last one p = 1 as well. In a bin, the mean probability should be the
    share of people with y = 1. The error of a group is the mean of |difference| over its bins, each
    weighted with the number of the group's people in it. Empty bins do not count.

    Practises: chapter 10, continued: is it fair?, "Does the score mean the same?".

    Args:
        y: (n,) integers, 0 or 1.
        p: (n,) floats from 0 to 1.
        group: (n,) integers, any.
        bins: positive integer.

    Returns:
        (groups,) floats, one error for every value in `group`, in ascending order of the values.
        Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def people(random, n, groups, lean):
    """Returns y, p and group of n people whose probabilities are off by about `lean`."""
    p = random.beta(1, 2, n)
    group = random.integers(0, groups, n) * 4 - 2
    true = np.clip(p + lean * (group > 0) - lean / 3, 0, 1)
    return {"y": (random.uniform(size=n) < true).astype("int64"), "p": p, "group": group}


@exercise.public
def examples(random):
    yield Case("two groups, four bins", people(random, 80, 2, 0.2) | {"bins": 4})


@exercise.hidden
def drawn(random):
    for groups, bins in ((2, 10), (3, 5), (4, 1)):
        inputs = people(random, 300, groups, 0.15) | {"bins": bins}
        yield Case(f"{groups} groups, bins: {bins}", inputs, unchanged=True)
    ends = people(random, 60, 2, 0.0)
    ends["p"] = random.choice([0.0, 0.25, 0.5, 0.75, 1.0], 60)
    yield Case("on the borders", ends | {"bins": 4})
    few = people(random, 12, 2, 0.3)
    yield Case("many empty bins", few | {"bins": 20})


@exercise.reference
def solution(y, p, group, bins):
    place = np.minimum(np.floor(p * bins), bins - 1)
    errors = []
    for name in np.unique(group):
        mine, error = group == name, 0.0
        for k in range(bins):
            here = mine & (place == k)
            if here.any():
                error += here.sum() / mine.sum() * abs(p[here].mean() - y[here].mean())
        errors.append(error)
    return np.array(errors)


@exercise.right
def by_counting(y, p, group, bins):
    names, which = np.unique(group, return_inverse=True)
    place = np.minimum((p * bins).astype(int), bins - 1) + bins * which
    gaps = np.bincount(place, weights=p - y, minlength=bins * len(names))
    return np.abs(gaps).reshape(len(names), bins).sum(axis=1) / np.bincount(which)


@exercise.right
def with_digitize(y, p, group, bins):
    edges = np.arange(1, bins) / bins
    found = []
    for name in np.unique(group):
        mine_p, mine_y = p[group == name], y[group == name]
        place = np.digitize(mine_p, edges)
        sums = [abs(np.sum(mine_p[place == k] - mine_y[place == k])) for k in range(bins)]
        found.append(sum(sums) / len(mine_p))
    return np.array(found)


@exercise.right
def with_tensors(y, p, group, bins):
    names, which = np.unique(group, return_inverse=True)
    place = tf.minimum(tf.cast(tf.floor(p * bins), tf.int32), bins - 1) + bins * which
    sums = tf.math.unsorted_segment_sum(p - y, place, bins * len(names))
    errors = tf.reduce_sum(tf.abs(tf.reshape(sums, (len(names), bins))), axis=1)
    return (errors / np.bincount(which)).numpy()


exercise.mistake(
    "bins_count_alike",
    "Every bin counts the same. Weigh it with its people: a bin of two says little.",
    old="here.sum() / mine.sum() * abs",
    new="1 / len(np.unique(place[mine])) * abs",
)
exercise.mistake(
    "sign_kept",
    "The differences are added with their signs, and cancel. Take the absolute value in each bin.",
    old="abs(p[here].mean() - y[here].mean())",
    new="(p[here].mean() - y[here].mean())",
)
exercise.mistake(
    "weights_of_all",
    "The weights are shares of all people. They should be shares of the group.",
    old="/ mine.sum()",
    new="/ len(mine)",
)
exercise.mistake(
    "middle_of_the_bin",
    "You compare with the middle of the bin. Compare with the mean of p in it.",
    old="p[here].mean()",
    new="(k + 0.5) / bins",
)
exercise.mistake("bins_of_all_groups", old="here = mine & (place == k)", new="here = place == k")
exercise.mistake("last_bin_lost", old="np.minimum(np.floor(p * bins), bins - 1)",
                 new="np.floor(p * bins)")  # fmt: skip
exercise.mistake("answers_for_shares", old="y[here].mean()", new="(p[here] > 0.5).mean()")
exercise.mistake("squares", old="abs(p[here].mean() - y[here].mean())",
                 new="(p[here].mean() - y[here].mean()) ** 2")  # fmt: skip
exercise.mistake("each_person", old="abs(p[here].mean() - y[here].mean())",
                 new="np.abs(p[here] - y[here]).mean()")  # fmt: skip
