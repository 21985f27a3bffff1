"""The pointing game: does the highest place of a map lie where the truth is?"""

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
        "Only one place of each map counts: its highest. Flatten the maps to find it.",
        "maps.reshape(len(maps), -1).argmax(axis=1) has the numbers of these places; look them up "
        "in the truth, flattened too.",
        "Without a truth there is nothing to point at: keep = truth.any(axis=(1, 2)). The answer "
        "is the mean of the hits over the maps that are kept.",
    ],
)


@exercise.stub
def pointing_game(maps, truth):
    """The share of the maps whose highest place lies in the truth.

    A map says how much each place of a picture counts; the truth says which places do count. Some
    pictures have no such place. They are left out: they are neither a hit nor a miss.

    Practises: chapter 10, "Who finds the mark?".

    Args:
        maps: (n, rows, columns) float64 array of any signs; no two numbers of a map are equal.
        truth: (n, rows, columns) bool array; at least one map has a True.

    Returns:
        A float from 0 to 1. Tolerance: 1e-6.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    maps = np.array([[[0.1, -3.0], [0.2, 0.3]], [[5.0, 1.0], [2.0, 3.0]], [[1.0, 2], [3, 4]]])
    truth = np.array([[[0, 0], [0, 1]], [[0, 1], [1, 1]], [[0, 0], [0, 0]]], bool)
    yield Case("a hit, a miss, and one without a truth", {"maps": maps, "truth": truth})


@exercise.hidden
def drawn(random):
    for rows, columns in ((3, 3), (2, 6), (5, 4)):
        maps = random.normal(size=(24, rows, columns))
        truth = random.random((24, rows, columns)) < 0.4
        truth[:5] = False
        yield Case(f"maps of {rows} × {columns}", {"maps": maps, "truth": truth}, unchanged=True)
    maps = -1 - random.random((12, 4, 4))
    yield Case("all negative", {"maps": maps, "truth": random.random((12, 4, 4)) < 0.5})


@exercise.reference
def solution(maps, truth):
    flat, truth = maps.reshape(len(maps), -1), truth.reshape(len(maps), -1)
    highest = flat.argmax(axis=1)
    hits = truth[np.arange(len(maps)), highest]
    return float(hits[truth.any(axis=1)].mean())


@exercise.right
def by_loops(maps, truth):
    hits, count = 0, 0
    for one, true in zip(maps, truth):
        if true.any():
            place = np.unravel_index(one.argmax(), one.shape)
            hits, count = hits + bool(true[place]), count + 1
    return hits / count


@exercise.right
def by_the_maximum(maps, truth):
    highest = maps == maps.max(axis=(1, 2), keepdims=True)
    hits = (highest & truth).sum(axis=(1, 2))
    return hits.sum() / truth.any(axis=(1, 2)).sum()


@exercise.right
def with_tensorflow(maps, truth):
    n = maps.shape[0]
    places = tf.argmax(tf.reshape(maps, (n, -1)), axis=1)
    hits = tf.gather(tf.reshape(truth, (n, -1)), places, axis=1, batch_dims=1)
    kept = tf.reduce_any(tf.constant(truth), axis=(1, 2))
    return tf.reduce_mean(tf.cast(tf.boolean_mask(hits, kept), tf.float64))


exercise.mistake(
    "all_counted",
    "Pictures without a truth are counted as misses; they are to be left out.",
    old="hits[truth.any(axis=1)].mean()",
    new="hits.mean()",
)
exercise.mistake(
    "by_the_size",
    "The place with the largest size is taken, regardless of sign. −3 speaks against.",
    old="flat.argmax(axis=1)",
    new="np.abs(flat).argmax(axis=1)",
)
exercise.mistake(
    "the_lowest",
    "The lowest place of each map is taken, not the highest.",
    old="flat.argmax(axis=1)",
    new="flat.argmin(axis=1)",
)
exercise.mistake(
    "one_for_all",
    "The highest place of all maps together is taken; every map has its own.",
    old="flat.argmax(axis=1)",
    new="np.full(len(maps), flat.max(axis=0).argmax())",
)
exercise.mistake("a_count", old="mean()", new="sum()")
exercise.mistake("the_misses", old="float(", new="1 - float(")
exercise.mistake("half_is_added", old="hits[truth", new="(0.5 * hits + 0.5)[truth")


@exercise.wrong(
    "The share of the map's sum inside the truth is another score; here one place counts."
)
def share_of_the_sum(maps, truth):
    inside = np.where(truth, maps, 0).sum(axis=(1, 2)) / maps.sum(axis=(1, 2))
    return float(inside[truth.any(axis=(1, 2))].mean())
