"""Disparate impact: the four-fifths rule."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("ratio", "passes"),
    hints=[
        "First the share of yes in each group, then the ratio of two of these. Of which two?",
        "The smallest share divided by the largest: it is at most 1. What if nobody gets a yes?",
        "shares = [yes[group == g].mean() for g in np.unique(group)]; ratio = min(shares) / "
        "max(shares), or 1 if max(shares) is 0; passes = ratio >= 0.8.",
    ],
)


@exercise.stub
def disparate_impact(yes, group):
    """The ratio of the smallest selection rate to the largest, and whether it passes.

    The chapter takes the difference of two selection rates. A rule of thumb of American labour law
    takes their ratio: the group with the smallest share of yeses must have at least four fifths of
    the share of the group with the largest. If nobody in any group gets a yes, the ratio is 1.

    Practises: chapter 10, continued: is it fair?, "Who gets a yes?".

    Args:
        yes: (n,) booleans.
        group: (n,) integers, any, in any order; two or more different ones.

    Returns:
        The ratio, a float from 0 to 1 (tolerance 1e-5 + 1e-4 · |expected|); and whether it is at
        least 0.8, a boolean.
    """
    raise NotImplementedError


def people(random, shares, sizes):
    """Returns the inputs of a case with these shares of yes in groups of these sizes."""
    group = np.repeat(np.arange(len(sizes)), sizes) + 3
    yes = np.concatenate([np.arange(n) < round(s * n) for s, n in zip(shares, sizes)])
    order = random.permutation(len(group))
    return {"yes": yes[order], "group": group[order]}


@exercise.public
def examples(random):
    yield Case("two groups", people(random, (0.5, 0.25), (8, 20)))


@exercise.hidden
def drawn(random):
    yield Case("exactly four fifths", people(random, (0.5, 0.4), (10, 30)))
    yield Case("the larger group is the smaller share", people(random, (0.9, 0.3), (10, 90)))
    shares = random.uniform(0.2, 0.9, 4)
    yield Case("four groups", people(random, shares, (20, 50, 30, 90)), unchanged=True)
    yield Case("between three quarters and four fifths", people(random, (0.5, 0.39), (100, 100)))
    yield Case("nobody in one group", people(random, (0.0, 0.6), (5, 10)))
    yield Case("nobody at all", people(random, (0.0, 0.0, 0.0), (5, 6, 7)))
    yield Case("three alike", people(random, (0.6, 0.5, 0.55), (20, 40, 60)))


@exercise.reference
def solution(yes, group):
    shares = [yes[group == name].mean() for name in np.unique(group)]
    ratio = float(min(shares) / max(shares)) if max(shares) > 0 else 1.0
    return ratio, ratio >= 0.8 - 1e-9


@exercise.right
def by_counting(yes, group):
    names, place = np.unique(group, return_inverse=True)
    counts = np.bincount(place)
    shares = np.bincount(place, weights=yes) / counts
    if not yes.any():
        return 1.0, True
    ratio = shares.min() / shares.max()
    return ratio, bool(round(ratio, 9) >= 0.8)


@exercise.right
def in_pairs(yes, group):
    smallest = 1.0
    for a in set(group.tolist()):
        for b in set(group.tolist()):
            first, second = np.mean(yes[group == a]), np.mean(yes[group == b])
            if second > 0:
                smallest = min(smallest, first / second)
    return smallest, smallest > 0.7999999


@exercise.right
def with_tensors(yes, group):
    _, place = np.unique(group, return_inverse=True)
    shares = tf.math.segment_mean(tf.cast(yes, tf.float64)[:, None].numpy()[np.argsort(place)],
                                  np.sort(place))  # fmt: skip
    largest = float(tf.reduce_max(shares))
    ratio = float(tf.reduce_min(shares)) / largest if largest else 1.0
    return ratio, ratio + 1e-9 >= 0.8


exercise.mistake(
    "difference",
    "This is the difference of the shares, the chapter's parity gap. Divide them.",
    old="float(min(shares) / max(shares)) if max(shares) > 0 else 1.0",
    new="float(max(shares) - min(shares))",
)
exercise.mistake(
    "upside_down",
    "The ratio is upside down: the smallest share stands above the line.",
    old="float(min(shares) / max(shares)) if max(shares) > 0 else 1.0",
    new="float(max(shares) / max(min(shares), 1e-9)) if max(shares) > 0 else 1.0",
)
exercise.mistake(
    "share_of_the_yeses",
    "You divide by all people. A selection rate divides by the people of the group.",
    old="yes[group == name].mean()",
    new="np.mean(yes & (group == name))",
)
exercise.mistake("nobody_is_zero", old="else 1.0", new="else 0.0")
exercise.mistake("other_threshold", old="0.8 - 1e-9", new="0.75")
exercise.mistake("strictly_above", old="ratio >= 0.8 - 1e-9", new="ratio > 0.8 + 1e-9")
exercise.mistake(
    "first_and_last", old="min(shares) / max(shares)", new="shares[0] / max(shares[-1], 1e-9)"
)
exercise.mistake("no_instead_of_yes", old="yes[group", new="~yes[group")
exercise.mistake("median", old="min(shares) / max", new="np.median(shares) / max")
