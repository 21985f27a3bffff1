"""True and false positive rates from counts."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("true positive rate", "false positive rate"),
    nan=True,
    hints=[
        "A rate is a share of people. Of which people is the true positive rate a share: of those "
        "with a yes, or of those with y = 1?",
        "counts[g, 1].sum() are the people of group g with y = 1, whatever the answer was.",
        "counts[:, 1, 1] / counts[:, 1].sum(axis=1) and counts[:, 0, 1] / counts[:, 0].sum(axis=1)",
    ],
)


@exercise.stub
def hit_rates(counts):
    """True and false positive rate of every group, from a table of counts.

    The chapter computes them from people. Often one has only a table: counts[g, y, a] is the number
    of people of group g with the target y (0 or 1) who got the answer a (0: no, 1: yes). The true
    positive rate is the share of yeses among those with y = 1, the false positive rate that among
    those with y = 0. A rate over nobody is NaN.

    Practises: chapter 10, continued: is it fair?, "Is it wrong about both alike?".

    Args:
        counts: (groups, 2, 2) integers, 0 or more.

    Returns:
        Two arrays (groups,) of floats: true positive rates, false positive rates. They are compared
        with a tolerance of 1e-5 + 1e-4 · |expected|; NaN only where nobody is.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("two groups", {"counts": np.array([[[60, 20], [5, 15]], [[30, 10], [20, 40]]])})


@exercise.hidden
def drawn(random):
    for groups in (1, 2, 5):
        counts = random.integers(1, 90, (groups, 2, 2))
        yield Case(f"{groups} groups", {"counts": counts}, unchanged=True)
    empty = random.integers(1, 50, (3, 2, 2))
    empty[1, 1] = 0
    yield Case("nobody with y = 1 in a group", {"counts": empty})


@exercise.reference
def solution(counts):
    counts = np.asarray(counts, float)
    all_of_them = counts.sum(axis=2)
    shares = np.where(all_of_them > 0, counts[:, :, 1] / np.maximum(all_of_them, 1), np.nan)
    return shares[:, 1], shares[:, 0]


@exercise.right
def group_by_group(counts):
    true, false = [], []
    for table in counts:
        (no_0, yes_0), (no_1, yes_1) = table
        true.append(yes_1 / (yes_1 + no_1) if yes_1 + no_1 else float("nan"))
        false.append(yes_0 / (yes_0 + no_0) if yes_0 + no_0 else float("nan"))
    return np.array(true), np.array(false)


@exercise.right
def warnings_off(counts):
    with np.errstate(invalid="ignore"):
        return tuple(counts[:, y, 1] / counts[:, y].sum(axis=1) for y in (1, 0))


@exercise.right
def with_tensors(counts):
    counts = tf.cast(counts, tf.float64)
    shares = counts[..., 1] / tf.reduce_sum(counts, axis=-1)
    return shares[:, 1].numpy(), shares[:, 0].numpy()


exercise.mistake(
    "precision",
    "You divide by those who got a yes: that is precision. Divide by those with y = 1.",
    old="counts[:, :, 1] / np.maximum(all_of_them, 1)",
    new="counts[:, :, 1] / np.maximum(counts[:, :, 1].sum(axis=1, keepdims=True), 1)",
)
exercise.mistake(
    "share_of_all",
    "You divide by all people of the group. The true positive rate asks those with y = 1 alone.",
    old="counts[:, :, 1] / np.maximum(all_of_them, 1)",
    new="counts[:, :, 1] / np.maximum(counts.sum(axis=(1, 2), keepdims=True)[:, 0], 1)",
)
exercise.mistake(
    "exchanged",
    "The two rates are exchanged.",
    old="shares[:, 1], shares[:, 0]",
    new="shares[:, 0], shares[:, 1]",
)
exercise.mistake(
    "true_negatives", old="shares[:, 1], shares[:, 0]", new="shares[:, 1], 1 - shares[:, 0]"
)
exercise.mistake("share_of_no", old="counts[:, :, 1] /", new="counts[:, :, 0] /")
exercise.mistake("nobody_is_zero", old=" np.nan)", new=" 0.0)")
exercise.mistake("one_more", old="np.maximum(all_of_them, 1)", new="(all_of_them + 1)")
exercise.mistake(
    "whole_table",
    old="counts.sum(axis=2)",
    new="np.tile(counts.sum(axis=(0, 2)), (len(counts), 1))",
)
