"""Attention that prefers what is near (ALiBi)."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=25,
    difficulty=2,
    points=3,
    hints=[
        "Make three arrays of broadcastable shapes: the places of the queries, the places of the "
        "keys, and one slope for each head. The rest is the chapter's attention.",
        "The queries are the last ones of the sequence: query i stands at place "
        "keys − queries + i. Distances and the causal mask both come from these places.",
        "distance = place of query − place of key, (queries, keys); slope = 2^(−8h / heads) as "
        "(heads, 1, 1) for h = 1 … heads; scores = q kᵀ / √depth − slope · distance, and the "
        "lowest number where distance < 0. Then softmax, then times the values.",
    ],
)


@exercise.stub
def attention_near(query, key, value):
    """Causal attention with linear biases (ALiBi, Press, Smith and Lewis 2022).

    Instead of adding waves to the tokens, one can tell the scores how far away a key is. Each head
    h = 1 … H has a slope m_h = 2^(−8h / H), and the score of the key at place j for the query at
    place i is

        q_i · k_j / √depth − m_h · (i − j)      for j ≤ i,

    while keys behind the query (j > i) must not be seen. The weights are the softmax of the scores
    over the keys, the result the mixture of the values with these weights. There is nothing to
    learn, and longer sequences than in training are no trouble.

    When a text is written token by token, keys and values of all tokens are kept, but only the
    newest tokens ask. So there are queries ≤ keys, and the queries are the last ones: the query
    with index r stands at place keys − queries + r, the key with index s at place s.

    Practises: chapter 6, "All queries at once".

    Args:
        query: (n, H, queries, depth) float array.
        key: (n, H, keys, depth) float array.
        value: (n, H, keys, width) float array.

    Returns:
        (n, H, queries, width), float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
        The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    zeros = np.zeros((1, 2, 3, 1))
    value = np.tile(np.array([[1.0], [10.0], [100.0]]), (1, 2, 1, 1))
    names = ("query", "key", "value")
    yield Case("all scores equal but for the distance", dict(zip(names, (zeros, zeros, value))))
    last = zeros[:, :, -1:]
    yield Case("the last token alone asks", dict(zip(names, (last, zeros, value))))


@exercise.hidden
def drawn(random):
    for n, heads, queries, keys, depth, width in (
        (1, 1, 4, 4, 2, 3), (2, 4, 7, 7, 3, 3), (3, 8, 2, 9, 4, 2), (2, 3, 1, 5, 6, 4),
        (1, 2, 40, 40, 8, 1),
    ):  # fmt: skip
        inputs = {
            "query": random.normal(size=(n, heads, queries, depth)) * 2,
            "key": random.normal(size=(n, heads, keys, depth)),
            "value": random.normal(size=(n, heads, keys, width)),
        }
        name = f"{heads} heads, {queries} queries, {keys} keys, depth {depth}"
        yield Case(name, inputs, unchanged=True)
    inputs = {name: array.astype("float32") for name, array in inputs.items()}
    inputs["query"] *= 30
    yield Case("large scores, 32 bits", inputs)


@exercise.reference
def solution(query, key, value):
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads)[:, np.newaxis, np.newaxis]
    distance = np.arange(keys - queries, keys)[:, np.newaxis] - np.arange(keys)
    scores = query @ key.swapaxes(2, 3) / query.shape[-1] ** 0.5 - slopes * distance
    scores = np.where(distance < 0, -np.inf, scores)  # each query sees itself
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


@exercise.right
def with_tensorflow(query, key, value):
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    slopes = tf.constant([2 ** (-8 * h / heads) for h in range(1, heads + 1)], query.dtype)
    distance = tf.range(keys - queries, keys)[:, None] - tf.range(keys)
    bias = -slopes[:, None, None] * tf.cast(distance, query.dtype)
    scores = tf.matmul(query / query.shape[-1] ** 0.5, key, transpose_b=True) + bias
    scores = tf.where(distance >= 0, scores, scores.dtype.min)
    return tf.nn.softmax(scores) @ value


@exercise.right
def with_einsum_and_ops(query, key, value):
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    # m (j − i) differs from m j by a number that is the same for all keys: softmax ignores it.
    slope = 2.0 ** (-8.0 / heads * (1 + np.arange(heads)))
    bias = slope[:, None, None] * np.arange(keys)
    scores = np.einsum("nhqd,nhkd->nhqk", query, key) / np.sqrt(query.shape[3]) + bias
    allowed = np.tri(queries, keys, keys - queries, dtype=bool)
    weights = keras.ops.softmax(np.where(allowed, scores, -1e30), axis=-1)
    return keras.ops.einsum("nhqk,nhkw->nhqw", weights, value.astype(weights.dtype.name))


@exercise.right
def with_loops(query, key, value):
    (n, heads, queries, depth), keys = query.shape, key.shape[2]
    result = np.zeros((n, heads, queries, value.shape[3]))
    for example in range(n):
        for head in range(heads):
            slope = 2 ** (-8 * (head + 1) / heads)
            for row in range(queries):
                place = keys - queries + row
                seen = slice(0, place + 1)
                scores = key[example, head, seen] @ query[example, head, row] / depth**0.5
                scores = scores - slope * (place - np.arange(place + 1))
                weights = np.exp(scores - scores.max())
                result[example, head, row] = weights / weights.sum() @ value[example, head, seen]
    return result


exercise.mistake(
    "far_preferred",
    "The bias has the wrong sign: keys that are far away get more weight. Subtract slope · "
    "distance.",
    old="0.5 -",
    new="0.5 +",
)
exercise.mistake(
    "queries_from_place_zero",
    "You place the first query at 0. With fewer queries than keys they are the last ones: "
    "query r stands at keys − queries + r.",
    old="np.arange(keys - queries, keys)",
    new="np.arange(queries)",
)
exercise.mistake(
    "slopes_from_zero",
    "The slopes begin at h = 0: the first head gets 2^0 = 1, and the last not 2^(−8). h "
    "counts from 1.",
    old="np.arange(1, heads + 1)",
    new="np.arange(heads)",
)
exercise.mistake(
    "bias_divided_too",
    "The bias is divided by √depth like the products. It is added behind that division: −m · "
    "(i − j) as it is.",
    old="query @ key.swapaxes(2, 3) / query.shape[-1] ** 0.5 - slopes * distance",
    new="(query @ key.swapaxes(2, 3) - slopes * distance) / query.shape[-1] ** 0.5",
)
exercise.mistake(
    "future_seen",
    "Queries see keys behind them: the future. The bias alone does not hide it; with j > i it "
    "even rewards it.",
    old="scores = np.where(distance < 0, -np.inf, scores)",
    new="",
)


@exercise.wrong()
def future_at_a_distance(query, key, value):
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    slopes = 2.0 ** (-8 * np.arange(1, heads + 1) / heads)[:, np.newaxis, np.newaxis]
    distance = np.arange(keys - queries, keys)[:, np.newaxis] - np.arange(keys)
    scores = query @ key.swapaxes(2, 3) / query.shape[-1] ** 0.5 - slopes * np.abs(distance)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value


exercise.mistake("not_divided", old="/ query.shape[-1] ** 0.5", new="")
exercise.mistake(
    "itself_not_seen",
    old="distance < 0",
    new="(distance < 0) | ((distance == 0) & (np.arange(keys) > 0))",
)
exercise.mistake(
    "slopes_turned_round",
    old="np.arange(1, heads + 1)",
    new="np.arange(heads, 0, -1)",
)


@exercise.wrong()
def one_slope_for_all(query, key, value):
    queries, keys = query.shape[2], key.shape[2]
    slopes = 2.0**-8
    distance = np.arange(keys - queries, keys)[:, np.newaxis] - np.arange(keys)
    scores = query @ key.swapaxes(2, 3) / query.shape[-1] ** 0.5 - slopes * distance
    scores = np.where(distance < 0, -np.inf, scores)  # each query sees itself
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True) @ value
