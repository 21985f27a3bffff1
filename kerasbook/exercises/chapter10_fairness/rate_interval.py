"""A confidence interval for the difference of two rates."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_fairness",
    minutes=20,
    difficulty=2,
    points=3,
    outputs=("low", "high"),
    hints=[
        "Begin with Wilson's interval of one rate; it is a formula in the text. Test it with 0 "
        "hits of 10: the lower end is 0, the upper one is not.",
        "Newcombe's interval takes the ends nearest to the other rate: for the lower end of the "
        "difference, the lower end of the first and the upper end of the second.",
        "low = (p1 − p2) − sqrt((p1 − l1)² + (u2 − p2)²), high = (p1 − p2) + sqrt((u1 − p1)² + "
        "(p2 − l2)²), with l and u the ends of Wilson's intervals.",
    ],
)


@exercise.stub
def rate_interval(hits, people, z):
    """Newcombe's interval for the difference of two rates.

    The chapter draws people again and again. With counts alone a formula does it. Wilson's
    interval of one rate p = hits / n has the ends

        (p + z² / 2n ± z · sqrt(p (1 − p) / n + z² / 4n²)) / (1 + z² / n).

    It stays between 0 and 1, and is not of width 0 where p is 0 or 1. Let l₁, u₁ and l₂, u₂ be the
    ends for two groups. Newcombe's interval (1998) for p₁ − p₂ then reaches

        from  p₁ − p₂ − sqrt((p₁ − l₁)² + (u₂ − p₂)²)
        to    p₁ − p₂ + sqrt((u₁ − p₁)² + (p₂ − l₂)²).

    Practises: chapter 10, continued: is it fair?, "How sure can we be?".

    Args:
        hits: (2,) integers, the yeses among those with y = 1 in the first and the second group.
        people: (2,) positive integers, how many have y = 1.
        z: positive float; 1.96 for 95 %.

    Returns:
        Two floats, the ends. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("the chapter's size", {"hits": np.array([870, 101]), "people": np.array([1351, 227]),
                                      "z": 1.96})  # fmt: skip


@exercise.hidden
def drawn(random):
    for number in range(3):
        people = random.integers(10, 300, 2)
        hits = (people * random.uniform(0.1, 0.9, 2)).astype(int)
        inputs = {"hits": hits, "people": people, "z": float(random.uniform(1, 3))}
        yield Case(f"random counts {number}", inputs, unchanged=True)
    none = {"hits": np.array([0, 12]), "people": np.array([9, 40]), "z": 1.96}
    yield Case("no hit in one", none)
    all_of_them = {"hits": np.array([25, 3]), "people": np.array([25, 8]), "z": 1.64}
    yield Case("all hit in one", all_of_them)


@exercise.reference
def solution(hits, people, z):
    p, n = hits / people, people
    centre, width = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    low, high = (centre - width) / (1 + z**2 / n), (centre + width) / (1 + z**2 / n)
    below = np.sqrt((p[0] - low[0]) ** 2 + (high[1] - p[1]) ** 2)
    above = np.sqrt((high[0] - p[0]) ** 2 + (p[1] - low[1]) ** 2)
    return float(p[0] - p[1] - below), float(p[0] - p[1] + above)


@exercise.right
def one_at_a_time(hits, people, z):
    def wilson(k, n):
        p = k / n
        half = z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
        return (
            p,
            (p + z * z / (2 * n) - half) / (1 + z * z / n),
            (p + z * z / (2 * n) + half) / (1 + z * z / n),
        )

    (p1, l1, u1), (p2, l2, u2) = (wilson(int(k), int(n)) for k, n in zip(hits, people))
    d = p1 - p2
    return d - np.hypot(p1 - l1, u2 - p2), d + np.hypot(u1 - p1, p2 - l2)


@exercise.right
def roots_of_a_quadratic(hits, people, z):
    ends = []
    for k, n in zip(hits, people):
        p = k / n
        ends.append(np.sort(np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2]).real))
    (l1, u1), (l2, u2) = ends
    p1, p2 = hits / people
    return (
        p1 - p2 - ((p1 - l1) ** 2 + (u2 - p2) ** 2) ** 0.5,
        p1 - p2 + ((u1 - p1) ** 2 + (p2 - l2) ** 2) ** 0.5,
    )


@exercise.right
def with_tensors(hits, people, z):
    k, n = tf.cast(hits, tf.float64), tf.cast(people, tf.float64)
    p, shrink = k / n, n / (n + z**2)
    centre = (k + z**2 / 2) / (n + z**2)
    half = shrink * z * tf.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    down, up = p - (centre - half), centre + half - p
    d = p[0] - p[1]
    return float(d - tf.norm([down[0], up[1]])), float(d + tf.norm([up[0], down[1]]))


exercise.mistake(
    "both_lower_ends",
    "For the lower end you need the lower end of the first and the UPPER end of the second rate.",
    old="below = np.sqrt((p[0] - low[0]) ** 2 + (high[1] - p[1]) ** 2)",
    new="below = np.sqrt((p[0] - low[0]) ** 2 + (low[1] - p[1]) ** 2)",
)
exercise.mistake(
    "ends_subtracted",
    "The ends are subtracted: that is too wide. The two errors are independent; add their squares.",
    old="below = np.sqrt((p[0] - low[0]) ** 2 + (high[1] - p[1]) ** 2)",
    new="below = (p[0] - low[0]) + (high[1] - p[1])",
)
exercise.mistake(
    "not_shrunk",
    "The division by 1 + z² / n is missing in Wilson's interval.",
    old="(centre - width) / (1 + z**2 / n), (centre + width) / (1 + z**2 / n)",
    new="centre - width, centre + width",
)
exercise.mistake(
    "by_the_normal_distribution",
    "This is p ± z · sqrt(p (1 − p) / n), which has no width where p is 0 or 1. Take Wilson's.",
    old="centre, width = p + z**2 / (2 * n), z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))",
    new="centre, width = p * (1 + z**2 / n), z * np.sqrt(p * (1 - p) / n) * (1 + z**2 / n)",
)
exercise.mistake("variance_only", old="z * np.sqrt(p", new="np.sqrt(p")
exercise.mistake(
    "the_other_way", old="float(p[0] - p[1] + above)", new="float(p[1] - p[0] + above)"
)
exercise.mistake(
    "ratio_not_difference", old="float(p[0] - p[1] - below)", new="float(p[0] - below)"
)
exercise.mistake("z_for_z_squared", old="p + z**2 / (2 * n)", new="p + z / (2 * n)")
exercise.mistake("all_people", old="p, n = hits / people, people",
                 new="p, n = hits / people, people.sum() + 0 * people")  # fmt: skip
