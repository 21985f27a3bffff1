"""The equalised odds gap of many groups, small ones left out."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=15,
    difficulty=2,
    points=3,
    outputs=("gap", "widest"),
    hints=[
        "Write a function for the rate of one group and one value of y. Which people does it "
        "count, and when are they too few?",
        "For y = 1 and for y = 0 separately, collect the rates of the groups that have enough such "
        "people. The gap is the largest minus the smallest.",
        "for value in (1, 0): rates = [yes[(group == g) & (y == value)].mean() for g in groups if "
        "np.sum((group == g) & (y == value)) >= fewest]; gap = max − min, 0 for fewer than two.",
    ],
)


@exercise.stub
def odds_gap(y, yes, group, fewest):
    """The equalised odds gap, over the groups about which enough is known.

    The true positive rate of a group is the share of yeses among its people with y = 1, the false
    positive rate that among its people with y = 0. A rate over fewer than `fewest` people is left
    out (of that rate's comparison alone). The gap of each rate is the largest less the smallest of
    the groups that are left, and 0 if fewer than two are. The result is the larger of the two gaps.

    Practises: chapter 10, continued: is it fair?, "Is it wrong about both alike?".

    Args:
        y: (n,) integers, 0 or 1.
        yes: (n,) booleans.
        group: (n,) integers, any.
        fewest: positive integer.

    Returns:
        The gap, a float (tolerance 1e-5 + 1e-4 · |expected|); and 1 if the true positive rate has
        the wider gap, else 0, an integer (0, too, where both are equal).
    """
    raise NotImplementedError


def people(random, n, groups, shares=None):
    """Returns y, yes and group of n random people."""
    group = random.choice(groups, n, p=shares) * 7 - 5
    y = (random.uniform(size=n) < 0.25 + 0.05 * (group % 5)).astype("int64")
    yes = random.uniform(size=n) < 0.15 + 0.4 * y + 0.05 * (group % 3)
    return {"y": y, "yes": yes, "group": group}


def counted(random, *counts):
    """Returns y, yes and group; counts: people and yeses with y = 1, and with y = 0, by group."""
    columns = []
    for name, (ones, hits, zeros, false) in enumerate(counts):
        y = np.repeat([1, 0], (ones, zeros))
        yes = np.concatenate([np.arange(ones) < hits, np.arange(zeros) < false])
        columns.append([y, yes, np.full(len(y), 3 - name)])
    order = random.permutation(sum(len(y) for y, _, _ in columns))
    y, yes, group = (np.concatenate(parts)[order] for parts in zip(*columns))
    return {"y": y, "yes": yes, "group": group}


@exercise.public
def examples(random):
    yield Case("two groups", people(random, 60, 2) | {"fewest": 1})


@exercise.hidden
def drawn(random):
    yield Case("two groups of many", people(random, 400, 2) | {"fewest": 5}, unchanged=True)
    yield Case("five groups", people(random, 500, 5) | {"fewest": 1})
    rare = [0.01, 0.3, 0.3, 0.37, 0.02]
    yield Case("small groups left out", people(random, 700, 5, rare) | {"fewest": 20})
    border = counted(random, (40, 20, 60, 12), (10, 9, 50, 10), (5, 0, 80, 16))
    yield Case("just enough, and not enough", border | {"fewest": 10})
    yield Case("all left out", people(random, 40, 3) | {"fewest": 50})
    wide = people(random, 400, 3)
    wide["yes"] = (wide["y"] == 0) & (wide["group"] > 0) | (wide["y"] == 1)
    yield Case("false positives differ", wide | {"fewest": 3})
    third = people(random, 300, 3)
    third["y"][third["group"] == third["group"].max()] = 0
    yield Case("a group without y = 1", third | {"fewest": 1})


@exercise.reference
def solution(y, yes, group, fewest):
    widths = []
    for value in (0, 1):
        parts = [yes[(group == name) & (y == value)] for name in np.unique(group)]
        rates = [part.mean() for part in parts if len(part) >= fewest]
        widths.append(max(rates) - min(rates) if len(rates) > 1 else 0.0)
    return max(widths), int(widths[1] > widths[0])


@exercise.right
def by_counting(y, yes, group, fewest):
    _, place = np.unique(group, return_inverse=True)
    gaps = {}
    for value in (1, 0):
        kept = y == value
        count = np.bincount(place[kept], minlength=place.max() + 1)
        hits = np.bincount(place[kept], weights=yes[kept], minlength=place.max() + 1)
        enough = count >= fewest
        shares = hits[enough] / count[enough]
        gaps[value] = np.ptp(shares) if len(shares) > 1 else 0.0
    return max(gaps.values()), 1 if gaps[1] > gaps[0] else 0


@exercise.right
def in_pairs(y, yes, group, fewest):
    widest = [0.0, 0.0]
    names = sorted(set(group.tolist()))
    for value in (0, 1):
        for a in names:
            for b in names:
                one, two = (yes[(group == g) & (y == value)] for g in (a, b))
                if min(len(one), len(two)) >= fewest:
                    widest[value] = max(widest[value], one.mean() - two.mean())
    return max(widest), int(widest[1] > widest[0])


@exercise.right
def with_tensors(y, yes, group, fewest):
    names = np.unique(group)
    mine = tf.cast(group[None, :] == names[:, None], tf.float64)  # (groups, n)
    gaps = []
    for value in (0, 1):
        kept = tf.cast(y == value, tf.float64)
        count = tf.linalg.matvec(mine, kept).numpy()
        hits = tf.linalg.matvec(mine, kept * tf.cast(yes, tf.float64)).numpy()
        shares = (hits / np.maximum(count, 1))[count >= fewest]
        gaps.append(shares.max() - shares.min() if shares.size else 0.0)
    return max(gaps), int(gaps[1] > gaps[0])


exercise.mistake(
    "precision",
    "You take the people with a yes and ask who has y = 1: that is precision. Take those with "
    "y = value, and ask who has a yes.",
    old="yes[(group == name) & (y == value)]",
    new="(y == 1)[(group == name) & (yes == value)]",
)
exercise.mistake(
    "means_of_gaps",
    "The gap is the larger of the two, not their mean.",
    old="return max(widths)",
    new="return sum(widths) / 2",
)
exercise.mistake(
    "small_ones_kept",
    "Rates over fewer than `fewest` people are compared, too.",
    old="if len(part) >= fewest",
    new="if len(part) >= 1",
)
exercise.mistake(
    "by_the_size_of_the_group",
    "You count the whole group against `fewest`. Count those of it with y = 1, or with y = 0.",
    old="if len(part) >= fewest]",
    new="if len(part) >= 1 and True]\n        rates = [part.mean() for part, name in zip(parts, "
    "np.unique(group)) if len(part) >= 1 and np.sum(group == name) >= fewest]",
)
exercise.mistake("strictly_more", old="len(part) >= fewest", new="len(part) > fewest")
exercise.mistake("no_for_yes", old="rates = [part.mean()", new="rates = [part.mean() ** 2")
exercise.mistake("exchanged", old="widths[1] > widths[0]", new="widths[0] > widths[1]")
exercise.mistake("smaller_gap", old="return max(widths)", new="return min(widths)")
exercise.mistake("true_rate_only", old="return max(widths)", new="return widths[1]")
exercise.mistake("spread", old="max(rates) - min(rates)", new="np.std(rates)")
