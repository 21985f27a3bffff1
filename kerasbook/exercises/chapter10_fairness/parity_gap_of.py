"""Why parity and equalised odds cannot both be met."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("selection rates", "most"),
    hints=[
        "A yes goes to somebody with y = 1 or to somebody with y = 0. Add the two kinds up.",
        "s = t · b + f · (1 − b). If both groups have the same s, t and f, then t = f. Here f is "
        "given up instead: each group may have its own.",
        "With f = 1 a group has the share t · b + 1 − b, and none can have more. So the largest "
        "that all can have in common is the minimum of these over the groups.",
    ],
)


@exercise.stub
def parity_gap_of(true_rate, false_rate, base_rates):
    """Selection rates from the rates of a classifier; and how far parity can go.

    A classifier has the same true positive rate t and the same false positive rate f in all groups
    (equalised odds). The share of people with y = 1 in each group is its base rate b.

    First, what is the share of yeses in each group? Second, somebody demands parity and keeps t,
    but lets every group have a false positive rate of its own, from 0 to 1. What is the largest
    share of yeses that all groups can then have in common? (There always is one.)

    Practises: chapter 10, continued: is it fair?, "Why not both?".

    Args:
        true_rate: t, a float from 0 to 1.
        false_rate: f, a float from 0 to 1.
        base_rates: (groups,) floats from 0 to 1.

    Returns:
        (groups,) shares of yeses; and the largest common share, a float. Both are compared
        with a tolerance of 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    rates = {"true_rate": 0.6, "false_rate": 0.1, "base_rates": np.array([0.1, 0.3])}
    yield Case("the chapter's groups, about", rates)


@exercise.hidden
def drawn(random):
    for number in range(4):
        t, f = random.uniform(0.3, 0.9), random.uniform(0, 0.3)
        bases = random.uniform(0.05, 0.6, 2 + number)
        inputs = {"true_rate": t, "false_rate": f, "base_rates": bases}
        yield Case(f"{2 + number} groups", inputs, unchanged=True)
    far = {"true_rate": 0.1, "false_rate": 0.2, "base_rates": np.array([0.02, 0.99, 0.5])}
    yield Case("groups far apart", far)
    all_of_one = {"true_rate": 0.9, "false_rate": 0.2, "base_rates": np.array([0.3, 1.0, 0.2])}
    yield Case("a group in which all have y = 1", all_of_one)


@exercise.reference
def solution(true_rate, false_rate, base_rates):
    shares = true_rate * base_rates + false_rate * (1 - base_rates)
    most = true_rate * base_rates + 1 - base_rates
    common = np.min(most)
    return shares, float(common)


@exercise.right
def by_the_gap(true_rate, false_rate, base_rates):
    shares = false_rate + (true_rate - false_rate) * base_rates
    return shares, 1 - (1 - true_rate) * np.max(base_rates)


@exercise.right
def one_by_one(true_rate, false_rate, base_rates):
    shares, high = [], 1.0
    for b in base_rates:
        shares.append(true_rate * b + false_rate * (1 - b))
        high = min(high, true_rate * b + (1 - b))
    return np.array(shares), high


@exercise.right
def with_tensors(true_rate, false_rate, base_rates):
    b = tf.constant(base_rates, tf.float64)
    yes = tf.stack([b, 1 - b], axis=1) @ tf.constant([[true_rate], [false_rate]], tf.float64)
    return yes[:, 0].numpy(), float(tf.reduce_min(1 - b * (1 - true_rate)))


exercise.mistake(
    "those_with_y_1_only",
    "People with y = 0 get a yes, too: f · (1 − b) is missing.",
    old="true_rate * base_rates + false_rate * (1 - base_rates)",
    new="true_rate * base_rates",
)
exercise.mistake(
    "not_weighted",
    "The two rates are added up as they are. Weigh them by b and 1 − b, their shares of the group.",
    old="true_rate * base_rates + false_rate * (1 - base_rates)",
    new="(true_rate + false_rate) * np.ones_like(base_rates)",
)
exercise.mistake(
    "smallest_common",
    "This is the smallest common share. The largest gives a yes to all with y = 0 in some group.",
    old="np.min(most)",
    new="np.max(true_rate * base_rates)",
)
exercise.mistake("weights_exchanged", old="false_rate * (1 - base_rates)", new="false_rate")
exercise.mistake("gap_only", old="return shares,", new="return shares - shares.min(),")
exercise.mistake("largest_of_all", old="common = np.min(most)", new="common = np.max(most)")
exercise.mistake("first_group", old="common = np.min(most)", new="common = most[0]")
exercise.mistake(
    "false_rate_kept", old="base_rates + 1 - base_rates", new="base_rates + false_rate"
)
