"""Attention of one query, with a mask."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("weights", "mixture"),
    hints=[
        "Four lines, as in the chapter: scores, softmax, mixture; and one for what is hidden.",
        "What is hidden must be out before the softmax, so that the weights of the rest are 1 in "
        "sum. And subtract the largest score before e^…: e^1000 is infinite.",
        "scores = np.where(visible, keys @ query / np.sqrt(len(query)), -np.inf); "
        "powers = np.exp(scores - scores.max()); weights = powers / powers.sum().",
    ],
)


@exercise.stub
def attend_once(query, keys, values, visible):
    """The attention of one query on those keys that it may see.

    The score of a key is the scalar product of query and key, divided by the root of the depth. A
    softmax over the visible keys makes the weights; a hidden key has the weight 0. The mixture is
    the sum of the values, each times its weight. Scores may be as large as 5,000, before the
    division.

    Practises: chapter 6, "One query, in numbers" and "All queries at once".

    Args:
        query: (depth,) float64 array.
        keys: (k, depth) float64 array.
        values: (k, width) float64 array.
        visible: (k,) bool array; at least one is True.

    Returns:
        weights: (k,) floats, positive or 0, 1 in sum.
        mixture: (width,) floats. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    keys, values = np.eye(3, 4), np.array([[0.0, 1], [1, 0], [2, 2]])
    inputs = {"query": np.array([2.0, 0, 0, 0]), "keys": keys, "values": values}
    yield Case("all visible", {**inputs, "visible": np.array([True, True, True])})
    yield Case("the last one hidden", {**inputs, "visible": np.array([True, True, False])})


@exercise.hidden
def drawn(random):
    for depth, count, width, size in ((3, 5, 2, 1), (9, 4, 3, 1), (2, 7, 2, 1), (4, 6, 3, 40)):
        visible = random.random(count) < 0.6
        visible[random.integers(count)] = True
        inputs = {
            "query": random.normal(0, size, depth),
            "keys": random.normal(0, size, (count, depth)),
            "values": random.normal(size=(count, width)),
            "visible": visible,
        }
        name = f"{count} keys of depth {depth}" + (", large scores" if size > 1 else "")
        yield Case(name, inputs, unchanged=True)
    one = {"query": np.ones(2), "keys": np.eye(2), "values": np.array([[3.0], [5.0]])}
    yield Case("only one visible", {**one, "visible": np.array([False, True])})


@exercise.reference
def solution(query, keys, values, visible):
    scores = np.where(visible, keys @ query / np.sqrt(len(query)), -np.inf)
    powers = np.exp(scores - scores.max())
    weights = powers / powers.sum()
    return weights, weights @ values


@exercise.right
def with_loops(query, keys, values, visible):
    scores = [sum(a * b for a, b in zip(query, key)) / len(query) ** 0.5 for key in keys]
    largest = max(score for score, seen in zip(scores, visible) if seen)
    powers = [np.exp(s - largest) if seen else 0.0 for s, seen in zip(scores, visible)]
    weights = np.array(powers) / sum(powers)
    return weights, sum(weight * value for weight, value in zip(weights, values))


@exercise.right
def with_tensorflow(query, keys, values, visible):
    scores = tf.linalg.matvec(keys, query) / tf.sqrt(tf.cast(len(query), tf.float64))
    weights = tf.nn.softmax(tf.where(visible, scores, tf.float64.min))
    return weights.numpy(), tf.linalg.matvec(values, weights, transpose_a=True).numpy()


@exercise.right
def only_the_visible(query, keys, values, visible):
    scores = keys[visible] @ (query / np.sqrt(len(query)))
    powers = np.exp(scores - scores.max())
    weights = np.zeros(len(keys))
    weights[visible] = powers / powers.sum()
    return weights, values.T @ weights


exercise.mistake(
    "not_divided",
    "The scores are not divided by the root of the depth, so the weights are too sharp: one key "
    "gets nearly everything.",
    old="keys @ query / np.sqrt(len(query))",
    new="keys @ query",
)


@exercise.wrong("The scores are divided by the depth itself. It is its root that keeps their size.")
def divided_by_the_depth(query, keys, values, visible):
    scores = np.where(visible, keys @ query / len(query), -np.inf)
    powers = np.exp(scores - scores.max())
    weights = powers / powers.sum()
    return weights, weights @ values


exercise.mistake(
    "hidden_by_zero",
    "A hidden key has the score 0 here, and so a weight above 0, since e^0 is 1. Give it −∞, or "
    "leave it out.",
    old="-np.inf",
    new="0",
)


@exercise.wrong(
    "The hidden weights are set to 0 behind the softmax, so the others are less than 1 in sum. "
    "The mask comes before the softmax."
)
def hidden_behind_the_softmax(query, keys, values, visible):
    scores = keys @ query / np.sqrt(len(query))
    powers = np.exp(scores - scores.max())
    weights = powers / powers.sum() * visible
    return weights, weights @ values


@exercise.wrong(
    "Your mask is the opposite of what is asked for: `visible` is True where the query may look."
)
def mask_inverted(query, keys, values, visible):
    hidden = visible & ~visible.all()
    scores = np.where(hidden, -np.inf, keys @ query / np.sqrt(len(query)))
    powers = np.exp(scores - scores.max())
    weights = powers / powers.sum()
    return weights, weights @ values


exercise.mistake(
    "overflows",
    "For large scores the answer is not a number: e^1000 is infinite. Subtract the largest score "
    "first; the softmax stays the same.",
    old="scores - scores.max()",
    new="scores",
)


@exercise.wrong()
def only_the_best(query, keys, values, visible):
    scores = np.where(visible, keys @ query / np.sqrt(len(query)), -np.inf)
    weights = (scores == scores.max()).astype(float)
    return weights, weights @ values


exercise.mistake("divided_by_the_number_of_keys", old="len(query)", new="len(keys)")


@exercise.wrong()
def without_a_softmax(query, keys, values, visible):
    scores = np.where(visible, keys @ query / np.sqrt(len(query)), 0)
    weights = scores / scores.sum()
    return weights, weights @ values
