"""A threshold for each of many groups."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=20,
    difficulty=2,
    points=3,
    hints=[
        "Parity and equal chances differ only in whose scores are looked at. Choose them first.",
        "Sort the scores of a group from high to low. The threshold lies between the last one that "
        "should get a yes and the first that should not.",
        "s = np.sort(chosen)[::-1]; k = round(rate · len(s)); (s[k − 1] + s[k]) / 2, or s[0] + 1 "
        "for k = 0, or s[-1] − 1 for k = len(s).",
    ],
)


@exercise.stub
def fair_thresholds(scores, y, group, kind, rate):
    """Thresholds that give every group the same share of yeses, or the same chance of a right one.

    A yes is a score above the threshold of the group. With kind "parity", k = round(rate · n) of
    the n people of each group shall get a yes. With kind "chances", k = round(rate · n) of the n
    people of each group with y = 1. (`round` is Python's.) The threshold is the middle between the
    k-th and the (k + 1)-th largest of these people's scores; for k = 0 it is the largest score plus
    1, for k = n the smallest less 1. No two scores are equal.

    Practises: chapter 10, continued: is it fair?, "A threshold for each group".

    Args:
        scores: (n,) float64.
        y: (n,) integers, 0 or 1; every group has somebody with y = 1.
        group: (n,) integers, any.
        kind: "parity" or "chances".
        rate: float from 0 to 1.

    Returns:
        (groups,) floats, a threshold for each value in `group`, in ascending order of the values.
        Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def people(random, n, groups):
    """Returns scores, y and group of n people; every group has somebody with y = 1."""
    group = np.concatenate([np.arange(groups), random.integers(0, groups, n - groups)])
    y = (random.uniform(size=n) < 0.4).astype("int64")
    y[:groups] = 1
    scores = random.permutation(np.linspace(-3, 3, n)) + 0.7 * y + 0.3 * group
    order = random.permutation(n)
    return {"scores": scores[order], "y": y[order], "group": group[order] * 5 - 4}


@exercise.public
def examples(random):
    yield Case("two groups, parity", people(random, 30, 2) | {"kind": "parity", "rate": 0.3})


@exercise.hidden
def drawn(random):
    for kind in ("parity", "chances"):
        for groups, rate in ((2, 0.25), (4, 0.6)):
            inputs = people(random, 120, groups) | {"kind": kind, "rate": rate}
            yield Case(f"{kind}, {groups} groups", inputs, unchanged=True)
        for rate in (0.0, 1.0):
            yield Case(f"{kind}, rate {rate:.0f}", people(random, 40, 2)
                       | {"kind": kind, "rate": rate})  # fmt: skip


@exercise.reference
def solution(scores, y, group, kind, rate):
    kept = y == 1 if kind == "chances" else np.ones(len(y), bool)
    found = []
    for name in np.unique(group):
        s = np.sort(scores[kept & (group == name)])[::-1]
        k = round(rate * len(s))
        ends = np.concatenate([[s[0] + 2], s, [s[-1] - 2]])
        found.append((ends[k] + ends[k + 1]) / 2)
    return np.array(found)


@exercise.right
def case_by_case(scores, y, group, kind, rate):
    thresholds = []
    for name in sorted(set(group.tolist())):
        mine = sorted(s for s, t, g in zip(scores, y, group)
                      if g == name and (kind == "parity" or t == 1))  # fmt: skip
        yeses = round(rate * len(mine))
        if yeses == 0:
            thresholds.append(mine[-1] + 1)
        elif yeses == len(mine):
            thresholds.append(mine[0] - 1)
        else:
            thresholds.append((mine[-yeses] + mine[-yeses - 1]) / 2)
    return np.array(thresholds)


@exercise.right
def with_partition(scores, y, group, kind, rate):
    if kind == "chances":
        scores, group = scores[y > 0], group[y > 0]
    result = np.empty(len(np.unique(group)))
    for place, name in enumerate(np.unique(group)):
        mine = scores[group == name]
        no = len(mine) - round(rate * len(mine))
        low = np.partition(mine, no - 1)[no - 1] if no else mine.min() - 2
        high = np.partition(mine, no)[no] if no < len(mine) else mine.max() + 2
        result[place] = (low + high) / 2
    return result


@exercise.right
def with_tensors(scores, y, group, kind, rate):
    result = []
    for name in np.unique(group):
        kept = (group == name) & ((y == 1) | (kind == "parity"))
        s = tf.sort(tf.constant(scores[kept], tf.float64), direction="DESCENDING")
        s = tf.concat([s[:1] + 2, s, s[-1:] - 2], axis=0)
        k = round(rate * int(kept.sum()))
        result.append(float(tf.reduce_mean(s[k : k + 2])))
    return np.array(result)


exercise.mistake(
    "always_parity",
    'With kind "chances" only the people with y = 1 are to be looked at.',
    old='y == 1 if kind == "chances" else np.ones(len(y), bool)',
    new="np.ones(len(y), bool)",
)
exercise.mistake(
    "one_for_all",
    "All groups get the same threshold. Sort the scores of each group by itself.",
    old="scores[kept & (group == name)]",
    new="scores[kept]",
)
exercise.mistake(
    "from_below",
    "The share `rate` lies below your thresholds. It should lie above them.",
    old="[::-1]\n        k = round(rate * len(s))",
    new="[::-1]\n        k = len(s) - round(rate * len(s))",
)
exercise.mistake(
    "share_of_the_whole_group",
    "The rate of equal chances is a share of those with y = 1; you take it of the whole group.",
    old="k = round(rate * len(s))",
    new="k = min(round(rate * np.sum(group == name)), len(s))",
)
exercise.mistake("on_a_score", old="(ends[k] + ends[k + 1]) / 2", new="ends[k]")
exercise.mistake(
    "one_too_many", old="ends[k] + ends[k + 1]", new="ends[k + 1] + ends[min(k + 2, len(s))]"
)
exercise.mistake("rounded_down", old="round(rate * len(s))", new="int(0.9 * rate * len(s))")
exercise.mistake("those_who_do_not_earn", old="y == 1 if", new="y == 0 if")
exercise.mistake("far_ends", old="s[0] + 2", new="s[0]")
