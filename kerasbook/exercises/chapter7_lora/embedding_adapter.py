"""LoRA for an embedding: rows of a table, and the gradients of A and B."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter7_lora",
    minutes=25,
    difficulty=3,
    points=4,
    kind="gradient",
    outputs=("rows", "for_a", "for_b"),
    hints=[
        "An embedding is a dense layer whose input is one-hot. x A is then a row of A: A has a row "
        "for each token of the vocabulary.",
        "rows = table[tokens] + s · a[tokens] @ b. The gradient for b adds up over all places; the "
        "gradient for a is zero but in the rows of tokens that occur.",
        "A token that occurs twice gets both gradients: np.add.at(for_a, tokens, s · upstream @ "
        "b.T). for_b is s · a[tokens]ᵀ @ upstream, with both flattened to (places, …).",
    ],
)


@exercise.stub
def embedding_adapter(tokens, table, a, b, alpha, upstream):
    """What an embedding with a low-rank adapter gives, and the gradients for A and B.

    The adapted table is the frozen one plus alpha / rank · A B. What comes out for a token is its
    row. Of the loss one knows its gradient for the rows, `upstream`. A token may occur many times.

    Practises: chapter 7, continued: fine-tuning with LoRA, "What Keras has".

    Args:
        tokens: (n, time) int32.
        table: (vocabulary, width) float64.
        a: (vocabulary, rank) float64.
        b: (rank, width) float64.
        alpha: positive number.
        upstream: (n, time, width) float64.

    Returns:
        The rows of the tokens, (n, time, width); the gradient for A, (vocabulary, rank); the
        gradient for B, (rank, width). Tolerance: 1e-5 + 1e-4 · |expected|.
        The inputs must not be changed.
    """
    raise NotImplementedError


def arrays(random, n, time, vocabulary, width, rank, alpha):
    """Returns the inputs of a case."""
    return {"tokens": random.integers(0, vocabulary, (n, time)).astype("int32"),
            "table": random.normal(size=(vocabulary, width)),
            "a": random.normal(size=(vocabulary, rank)), "b": random.normal(size=(rank, width)),
            "alpha": alpha, "upstream": random.normal(size=(n, time, width))}  # fmt: skip


@exercise.public
def examples(random):
    inputs = arrays(random, 1, 3, 4, 2, 1, 2.0)
    inputs["tokens"] = np.array([[1, 3, 1]], np.int32)
    yield Case("three tokens, one of them twice", inputs)


@exercise.hidden
def drawn(random):
    for sizes in ((4, 5, 6, 3, 2, 8.0), (2, 9, 50, 8, 3, 1.5), (1, 1, 3, 4, 1, 1.0)):
        inputs = arrays(random, *sizes)
        yield Case(f"{sizes[0]} texts of {sizes[1]} tokens", inputs, unchanged=True)
    same = arrays(random, 3, 7, 5, 4, 2, 2.0)
    same["tokens"][:] = 2
    yield Case("one token everywhere", same)


@exercise.reference
def solution(tokens, table, a, b, alpha, upstream):
    scale = alpha / len(b)
    rows = table[tokens] + scale * a[tokens] @ b
    for_a = np.zeros_like(a)
    np.add.at(for_a, tokens, scale * upstream @ b.T)
    for_b = scale * np.einsum("ntr,ntw->rw", a[tokens], upstream)
    return rows, for_a, for_b


@exercise.right
def by_one_hot(tokens, table, a, b, alpha, upstream):
    one_hot, scale = np.eye(len(table))[tokens], alpha / len(b)
    back = np.einsum("ntv,ntw->vw", one_hot, upstream)  # the gradient for the whole table
    return one_hot @ (table + scale * a @ b), scale * back @ b.T, scale * a.T @ back


@exercise.right
def with_a_tape(tokens, table, a, b, alpha, upstream):
    a, b = tf.constant(a), tf.constant(b)
    with tf.GradientTape() as tape:
        tape.watch((a, b))
        rows = tf.gather(table + alpha / b.shape[0] * a @ b, tokens)
    return (rows, *tape.gradient(rows, (a, b), output_gradients=tf.constant(upstream)))


@exercise.right
def token_by_token(tokens, table, a, b, alpha, upstream):
    scale, rows = alpha / b.shape[0], np.empty(upstream.shape)
    for_a, for_b = np.zeros(a.shape), np.zeros(b.shape)
    for place in np.ndindex(tokens.shape):
        token, back = tokens[place], scale * upstream[place]
        rows[place] = table[token] + scale * a[token] @ b
        for_a[token] += b @ back
        for_b += np.outer(a[token], back)
    return rows, for_a, for_b


exercise.mistake(
    "last_one_wins",
    "A token that occurs twice gets one gradient only: for_a[tokens] += … writes each row once. "
    "Use np.add.at.",
    old="np.add.at(for_a, tokens, scale * upstream @ b.T)",
    new="for_a[tokens] += scale * upstream @ b.T",
)
exercise.mistake(
    "not_scaled",
    "alpha / rank is missing, in the rows and in both gradients.",
    old="alpha / len(b)",
    new="1.0",
)
exercise.mistake(
    "scale_not_in_the_gradients",
    "The rows are scaled rightly, but the gradients are not: both have the factor alpha / rank.",
    old="    for_a = np.zeros_like(a)",
    new="    scale = 1.0\n    for_a = np.zeros_like(a)",
)
exercise.mistake(
    "gradient_of_every_row",
    "The gradient goes to all rows of A. Only the rows of tokens that occur get one.",
    old="np.add.at(for_a, tokens, scale * upstream @ b.T)",
    new="for_a += scale * (upstream @ b.T).sum(axis=(0, 1))",
)
exercise.mistake("table_forgotten", old="table[tokens] + ", new="")
exercise.mistake("alpha_alone", old="alpha / len(b)", new="alpha")
exercise.mistake(
    "mean_over_the_batch", old="a[tokens], upstream)", new="a[tokens], upstream) / len(tokens)"
)
exercise.mistake("upstream_not_in_b", old='a[tokens], upstream)',
                 new='a[tokens], np.ones_like(upstream))')  # fmt: skip
exercise.mistake("sum_over_places", old='"ntr,ntw->rw", a[tokens], upstream',
                 new='"r,w->rw", a[tokens].sum((0, 1)), upstream.sum((0, 1))')  # fmt: skip
exercise.mistake("sign_turned", old="scale * upstream", new="-scale * upstream")
