"""LiRA: the likelihood ratio of one model against all others."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=25,
    difficulty=3,
    points=4,
    hints=[
        "For one network j: leave row j out, and split the others, picture by picture, into those "
        "with the picture and those without.",
        "A logarithm of a normal density is −(value − mean)² / 2s² − ln s, up to a constant that "
        "is the same for both bells.",
        "score = ((v − m_out) / s)² / 2 − ((v − m_in) / s)² / 2 where both bells have the same s.",
    ],
)


@exercise.stub
def leave_one_out(values, was_in):
    """LiRA's score of every picture in every network, each network against all others.

    values[j, i] is what network j makes of picture i: larger for a picture that it knows well.
    was_in[j, i] says whether picture i was in its training set. For network j and picture i fit a
    normal distribution to the values of the OTHER networks that had the picture, and one to those
    of the others that had not. Both get a mean of their own. Both get the same variance s²: the
    mean of the squared distances of all those other networks' values to the mean of their own kind,
    plus `0.01`. The score is the logarithm of the ratio of the two densities at values[j, i],
    in-density above the line.

    Practises: chapter 10, continued: does it keep a secret?, "A test from below".

    Args:
        values: (networks, pictures) float64.
        was_in: (networks, pictures) booleans; for every picture at least two networks had it, and
            at least two had not.

    Returns:
        (networks, pictures) floats. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def networks(random, count, pictures):
    """Returns values, larger where the picture was in, and who had what."""
    was_in = random.uniform(size=(count, pictures)) < 0.5
    was_in[:2], was_in[2:4] = True, False
    values = random.normal(size=(count, pictures)) + 1.5 * was_in + random.normal(size=pictures)
    return {"values": values, "was_in": was_in}


@exercise.public
def examples(random):
    yield Case("five networks, three pictures", networks(random, 5, 3))


@exercise.hidden
def drawn(random):
    for count, pictures in ((4, 6), (9, 20), (16, 1)):
        inputs = networks(random, count, pictures)
        yield Case(f"{count} networks, pictures: {pictures}", inputs, unchanged=True)
    same = networks(random, 6, 4)
    same["values"] = np.round(same["values"])
    yield Case("round numbers", same)


@exercise.reference
def solution(values, was_in):
    scores = np.empty_like(values)
    for j, i in np.ndindex(values.shape):
        others = np.arange(len(values)) != j
        known = values[others & was_in[:, i], i]
        unknown = values[others & ~was_in[:, i], i]
        squares = np.sum((known - known.mean()) ** 2) + np.sum((unknown - unknown.mean()) ** 2)
        variance = squares / (len(values) - 1) + 0.01
        far, near = values[j, i] - unknown.mean(), values[j, i] - known.mean()
        scores[j, i] = (far**2 - near**2) / (2 * variance)
    return scores


@exercise.right
def by_sums(values, was_in):
    def without_each(x):
        return x.sum(axis=0) - x

    kinds = []
    for kind in (was_in * 1.0, 1.0 - was_in):
        count = without_each(kind)
        mean = without_each(kind * values) / count
        kinds.append((mean, without_each(kind * values**2) - count * mean**2))
    (m_in, rest_in), (m_out, rest_out) = kinds
    variance = (rest_in + rest_out) / (len(values) - 1) + 0.01
    return (m_in - m_out) * (2 * values - m_in - m_out) / (2 * variance)


@exercise.right
def network_by_network(values, was_in):
    rows = []
    for j in range(len(values)):
        v, w = np.delete(values, j, axis=0), np.delete(was_in, j, axis=0)
        m = [np.nanmean(np.where(kind, v, np.nan), axis=0) for kind in (w, ~w)]
        s2 = np.mean((v - np.where(w, *m)) ** 2, axis=0) + 0.01
        logs = [-((values[j] - mean) ** 2) / (2 * s2) - np.log(s2) / 2 for mean in m]
        rows.append(logs[0] - logs[1])
    return np.array(rows)


@exercise.right
def with_tensors(values, was_in):
    v, w = tf.constant(values), tf.cast(was_in, tf.float64)
    rows = []
    for j in range(len(values)):
        keep = [k for k in range(len(values)) if k != j]
        others, kind = tf.gather(v, keep), tf.gather(w, keep)
        m_in = tf.reduce_sum(kind * others, 0) / tf.reduce_sum(kind, 0)
        m_out = tf.reduce_sum((1 - kind) * others, 0) / tf.reduce_sum(1 - kind, 0)
        own = kind * m_in + (1 - kind) * m_out
        s2 = tf.reduce_mean((others - own) ** 2, 0) + 0.01
        rows.append(((v[j] - m_out) ** 2 - (v[j] - m_in) ** 2) / (2 * s2))
    return tf.stack(rows).numpy()


exercise.mistake(
    "with_itself",
    "The network is among those that the bells are fitted to, so it recognises itself.",
    old="others = np.arange(len(values)) != j",
    new="others = np.arange(len(values)) >= 0",
)
exercise.mistake(
    "upside_down",
    "The ratio is upside down: members should have the larger scores.",
    old="far**2 - near**2",
    new="near**2 - far**2",
)
exercise.mistake(
    "one_bell",
    "Only the bell of those without the picture is used. The ratio needs both.",
    old="(far**2 - near**2)",
    new="(far**2)",
)
exercise.mistake(
    "spread_about_one_mean",
    "The variance is taken about the mean of all. Each kind has a mean of its own.",
    old="squares = np.sum((known - known.mean()) ** 2) + np.sum((unknown - unknown.mean()) ** 2)",
    new="squares = np.sum((values[others, i] - values[others, i].mean()) ** 2)",
)
exercise.mistake("two_forgotten", old="(2 * variance)", new="variance")
exercise.mistake("deviation_for_variance", old="(2 * variance)", new="(2 * variance**0.5)")
exercise.mistake("nothing_added", old=" + 0.01", new=" + 0.1")
exercise.mistake("all_networks_counted", old="(len(values) - 1)", new="len(values)")
exercise.mistake("medians", old="far, near = values[j, i] - unknown.mean()",
                 new="far, near = values[j, i] - np.median(unknown)")  # fmt: skip
