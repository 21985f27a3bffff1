"""Membership inference: the rate of true positives at a given rate of false ones."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "How many of the others may be accused? int(rate · number of others).",
        "Sort the losses of the others. The border is such that just so many of them lie below it.",
        "border = np.sort(others)[int(rate * len(others))]; the share of members whose loss is "
        "smaller than that.",
    ],
)


@exercise.stub
def catch_rate(member_losses, other_losses, rate):
    """The share of members that a loss threshold catches, at a given rate of false alarms.

    The attack says "member" where the loss is below a border. Choose the largest border at which at
    most int(rate · number of others) of the others are accused: the loss of the first one, in
    ascending order, who is not. Return the share of members whose loss is strictly below it. If all
    others may be accused (rate 1), everybody is: return 1.

    Practises: chapter 10, continued: does it keep a secret?, "Was this picture in it?".

    Args:
        member_losses: (m,) float64, of pictures that were trained on.
        other_losses: (n,) float64, of pictures that were not, all different.
        rate: float from 0 to 1, of false alarms.

    Returns:
        A float from 0 to 1. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def losses(random, m, n):
    """Returns losses of members and of others, the first smaller on average."""
    inside = np.exp(random.normal(-2, 1, m))
    return {"member_losses": inside, "other_losses": np.exp(random.normal(-1, 1.5, n))}


@exercise.public
def examples(random):
    yield Case("ten each, rate 0.2", losses(random, 10, 10) | {"rate": 0.2})


@exercise.hidden
def drawn(random):
    for m, n, rate in ((200, 300, 0.01), (50, 400, 0.1), (120, 80, 0.33)):
        inputs = losses(random, m, n) | {"rate": rate}
        yield Case(f"{m} members, {n} others, rate {rate}", inputs, unchanged=True)
    yield Case("no false alarm at all", losses(random, 100, 60) | {"rate": 0.0})
    yield Case("all may be accused", losses(random, 20, 30) | {"rate": 1.0})
    same = losses(random, 40, 40)
    same["member_losses"][:15] = np.sort(same["other_losses"])[8]
    yield Case("members on the border", same | {"rate": 0.2})


@exercise.reference
def solution(member_losses, other_losses, rate):
    allowed = int(rate * len(other_losses))
    if allowed == len(other_losses):
        return 1.0
    border = np.sort(other_losses)[allowed]
    return float(np.mean(member_losses < border))


@exercise.right
def one_by_one(member_losses, other_losses, rate):
    ordered = sorted(other_losses.tolist()) + [float("inf")]
    border = ordered[int(rate * len(other_losses))]
    return sum(loss < border for loss in member_losses) / len(member_losses)


@exercise.right
def by_partition(member_losses, other_losses, rate):
    k = int(rate * other_losses.size)
    if k >= other_losses.size:
        return 1.0
    return np.searchsorted(np.sort(member_losses), np.partition(other_losses, k)[k]) / len(
        member_losses
    )


@exercise.right
def with_tensors(member_losses, other_losses, rate):
    k = int(rate * len(other_losses))
    borders = tf.concat([tf.sort(other_losses), [np.inf]], axis=0)
    return float(tf.reduce_mean(tf.cast(member_losses < borders[k], tf.float64)))


exercise.mistake(
    "border_from_the_members",
    "The border comes from the members. The rate of false alarms is one of the others.",
    old="np.sort(other_losses)[allowed]",
    new="np.sort(member_losses)[min(allowed, len(member_losses) - 1)]",
)
exercise.mistake(
    "precision",
    "You divide by all who are accused. The rate asks how many of the members are.",
    old="float(np.mean(member_losses < border))",
    new="float(np.sum(member_losses < border) / max(1, np.sum(member_losses < border) + allowed))",
)
exercise.mistake(
    "large_losses",
    "You accuse those with a LARGE loss. Members have small ones.",
    old="np.sort(other_losses)[allowed]\n    return float(np.mean(member_losses < border))",
    new="np.sort(other_losses)[::-1][allowed]\n    return float(np.mean(member_losses > border))",
)
exercise.mistake("one_too_few", old="[allowed]", new="[max(allowed - 1, 0)]")
exercise.mistake("border_too", old="member_losses < border", new="member_losses <= border")
exercise.mistake("those_not_caught", old="member_losses < border", new="member_losses >= border")
exercise.mistake("all_is_nothing", old="return 1.0", new="return 0.0")
exercise.mistake("advantage", old="float(np.mean(member_losses < border))",
                 new="float(np.mean(member_losses < border)) - rate")  # fmt: skip
exercise.mistake("of_the_others", old="np.mean(member", new="np.mean(other")
