"""Rank correlation: do two maps put their places into the same order?"""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=5,
    difficulty=1,
    points=1,
    atol=1e-6,
    hints=[
        "The rank of a number is how many numbers are smaller. Only the ranks count, not the "
        "numbers themselves.",
        "a.argsort() says where the smallest number stands, where the next. Sorted once more, it "
        "says the rank of each number: a.argsort().argsort().",
        "Subtract the mean rank from both; the answer is sum(r · s) / sqrt(sum(r²) · sum(s²)).",
    ],
)


@exercise.stub
def rank_correlation(first, second):
    """Spearman's rank correlation of two maps.

    It is the correlation of the ranks: 1 if both maps put their places into the same order, −1 if
    into opposite orders, near 0 if the orders have nothing to do with each other.

    Practises: chapter 10, "Does the map depend on the network?".

    Args:
        first, second: (rows, columns) float64 arrays of one shape, with at least two places; no two
            numbers of a map are equal.

    Returns:
        A float from −1 to 1. Tolerance: 1e-6.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    first = np.array([[1.0, 2.0], [3.0, 100.0]])
    yield Case("the same order", {"first": first, "second": np.array([[-1.0, 0], [5, 6]])})
    yield Case("one pair exchanged", {"first": first, "second": np.array([[1.0, 2], [9, 8]])})


@exercise.hidden
def drawn(random):
    for rows, columns in ((3, 4), (6, 2), (5, 5)):
        first = random.normal(size=(rows, columns))
        second = np.exp(3 * first) + random.normal(size=(rows, columns))
        inputs = {"first": first, "second": second}
        yield Case(f"maps of {rows} × {columns}", inputs, unchanged=True)
        yield Case(f"opposite signs, {rows} × {columns}", {"first": first, "second": -second})


@exercise.reference
def solution(first, second):
    r, s = (each.ravel().argsort().argsort() * 1.0 for each in (first, second))
    r, s = r - r.mean(), s - s.mean()
    return float((r * s).sum() / np.sqrt((r**2).sum() * (s**2).sum()))


@exercise.right
def by_differences(first, second):
    n = first.size
    r, s = (each.ravel().argsort().argsort() for each in (first, second))
    return 1 - 6 * float(((r - s) ** 2).sum()) / (n * (n**2 - 1))


@exercise.right
def by_counting(first, second):
    ranks = [[sum(v < u for v in each.flat) for u in each.flat] for each in (first, second)]
    return float(np.corrcoef(ranks)[0, 1])


@exercise.right
def with_tensorflow(first, second):
    ranks = []
    for each in (first, second):
        order = tf.argsort(tf.reshape(tf.constant(each), [-1]))
        ranks.append(tf.cast(tf.math.invert_permutation(order), tf.float64))
    r, s = (each - tf.reduce_mean(each) for each in ranks)
    return tf.reduce_sum(r * s) / tf.norm(r) / tf.norm(s)


exercise.mistake(
    "of_the_numbers",
    "This is the correlation of the numbers themselves. Large ones count too much: take the ranks.",
    old="each.ravel().argsort().argsort() * 1.0",
    new="each.ravel()",
)
exercise.mistake(
    "sorted_once",
    "argsort alone says where the smallest number stands, not which rank a number has.",
    old=".argsort().argsort()",
    new=".argsort()",
)
exercise.mistake(
    "without_the_mean",
    "The mean rank is not subtracted: then no result is negative.",
    old="r, s = r - r.mean(), s - s.mean()",
    new="pass",
)
exercise.mistake(
    "ranks_of_sizes",
    "The ranks are those of the sizes; here the signs count.",
    old="each.ravel()",
    new="np.abs(each.ravel())",
)
exercise.mistake("not_divided", old="np.sqrt((r**2).sum() * (s**2).sum())", new="len(r)")
exercise.mistake(
    "no_root", old="np.sqrt((r**2).sum() * (s**2).sum())", new="((r**2).sum() * (s**2).sum())"
)
exercise.mistake("the_size_of_it", old="float(", new="abs(")
exercise.mistake(
    "row_by_row", old="each.ravel().argsort().argsort()", new="each.argsort().argsort().ravel()"
)
