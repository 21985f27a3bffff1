"""Attention rollout: attention through several layers."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=15,
    difficulty=2,
    points=2,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "What does a token consist of after one layer? Half of itself (the sum around the "
        "attention), and half of what it has looked at.",
        "So each layer is a matrix (A + I) / 2, with A the mean over the heads. Two layers in a "
        "row are a product of matrices: which of them stands at the left?",
        "rollout = layer @ rollout, beginning with the identity, from the first layer to the last.",
    ],
)


@exercise.stub
def attention_rollout(weights, lengths):
    """How much each token of the last layer goes back to each token of the input.

    Rows that are padded are shorter than the others: of row i only the first lengths[i] tokens are
    words. Weights beyond them, on padding, are to be set to zero before all else, and what is left
    divided by its sum, so that a word's weights sum to 1 again.

    In each layer take the mean over the heads, then half of it and half of the token itself; then
    follow the layers from the first to the last.

    Practises: chapter 10, "Attention is not influence".

    Args:
        weights: (layers, n, heads, time, time) float64 array; weights[l, i, h, q] are those of
            query q, they sum to 1 and are positive.
        lengths: (n,) int64 array, from 1 to time.

    Returns:
        (n, time, time): entry [i, q, k] is the share of word k in token q; zero where q or k is
        padding. float32 or float64. Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


def inputs_of(random, layers, n, heads, time, lengths):
    weights = random.random((layers, n, heads, time, time)) ** 3 + 0.01
    weights /= weights.sum(axis=-1, keepdims=True)
    return {"weights": weights, "lengths": np.array(lengths)}


@exercise.public
def examples(random):
    yield Case("two layers, a padded row", inputs_of(random, 2, 2, 2, 3, (3, 2)))


@exercise.hidden
def drawn(random):
    yield Case("three layers", inputs_of(random, 3, 2, 4, 4, (4, 4)), unchanged=True)
    yield Case("padded rows", inputs_of(random, 2, 3, 3, 5, (5, 1, 3)))
    yield Case("one layer", inputs_of(random, 1, 2, 1, 4, (2, 4)))


@exercise.reference
def solution(weights, lengths):
    layers, n, _, time, _ = weights.shape
    words = np.arange(time) < lengths[:, None]
    both = words[:, :, None] & words[:, None, :]
    rollout = np.eye(time) * both
    for layer in weights:
        kept = layer * words[:, None, None, :]
        kept = (kept / kept.sum(axis=-1, keepdims=True)).mean(axis=1)
        rollout = (kept + np.eye(time)) / 2 @ rollout
    return rollout * both


@exercise.right
def row_by_row(weights, lengths):
    found = np.zeros(weights.shape[1:2] + weights.shape[3:])
    for i, length in enumerate(lengths):
        rollout = np.eye(length)
        for layer in weights[:, i, :, :length, :length]:
            layer = layer / layer.sum(axis=-1, keepdims=True)
            rollout = 0.5 * rollout + 0.5 * layer.mean(axis=0) @ rollout
        found[i, :length, :length] = rollout
    return found


@exercise.right
def from_the_last_layer(weights, lengths):
    time = weights.shape[-1]
    words = np.arange(time) < lengths[:, None]
    kept = np.where(words[None, :, None, None, :], weights, 0)
    kept /= kept.sum(axis=-1, keepdims=True)
    steps = 0.5 * kept.mean(axis=2) + 0.5 * np.eye(time)
    rollout = steps[-1]
    for step in steps[-2::-1]:
        rollout = rollout @ step
    return np.where(words[:, :, None] & words[:, None, :], rollout, 0)


@exercise.right
def with_tensorflow(weights, lengths):
    time = weights.shape[-1]
    words = tf.sequence_mask(lengths, time, tf.float64)
    rollout = tf.linalg.diag(words)
    for layer in tf.unstack(tf.constant(weights)):
        kept = layer * words[:, None, None, :]
        kept /= tf.reduce_sum(kept, axis=-1, keepdims=True)
        rollout = (tf.reduce_mean(kept, axis=1) @ rollout + rollout) / 2
    return rollout * words[:, :, None]


exercise.mistake(
    "without_the_sum",
    "The sum around the attention is forgotten: half of each token stays itself.",
    old="(kept + np.eye(time)) / 2 @ rollout",
    new="kept @ rollout",
)
exercise.mistake(
    "layers_in_the_other_order",
    "The layers stand in the wrong order. The last layer's queries come first: it is the leftmost "
    "matrix.",
    old="(kept + np.eye(time)) / 2 @ rollout",
    new="rollout @ ((kept + np.eye(time)) / 2)",
)
exercise.mistake(
    "padding_not_divided_out",
    "Weights on padding are set to zero and lost: divide by what is left, so that a word's weights "
    "sum to 1.",
    old="(kept / kept.sum(axis=-1, keepdims=True))",
    new="kept",
)
exercise.mistake(
    "strongest_head",
    "The largest of the heads is taken; the mean is asked.",
    old=".mean(axis=1)",
    new=".max(axis=1)",
)
exercise.mistake(
    "last_layer_only",
    "Only the last layer is looked at. Its tokens are mixtures already.",
    old="for layer in weights:",
    new="for layer in weights[-1:]:",
)
exercise.mistake("not_halved", old="(kept + np.eye(time)) / 2 @", new="(kept + np.eye(time)) @")
exercise.mistake("padding_seen", old="kept = layer * words[:, None, None, :]", new="kept = layer")
exercise.mistake(
    "queries_masked", old="words[:, None, None, :]", new="words[:, None, :, None] + 1e-9"
)
exercise.mistake(
    "added_up", old="rollout = (kept + np.eye(time)) / 2 @ rollout", new="rollout = rollout + kept"
)
