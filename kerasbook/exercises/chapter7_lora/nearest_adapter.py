"""The best low-rank change: an adapter out of a full fine-tuning, by singular values."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter7_lora",
    minutes=20,
    difficulty=2,
    points=3,
    outputs=("merged", "lost"),
    hints=[
        "What an adapter has to imitate is the change, after − before, and not the weights.",
        "np.linalg.svd gives U, s, Vᵀ with the change = U diag(s) Vᵀ, the largest s first. Of all "
        "products of that rank, the first `rank` terms are nearest to it.",
        "The square of the distance is the sum of the squares of the other s. lost = that sum, "
        "divided by the sum of all squares.",
    ],
)


@exercise.stub
def nearest_adapter(before, after, rank):
    """The weights that an adapter of this rank can reach, nearest to those of a fine-tuning.

    A kernel was fine-tuned: it was `before` and is `after`. Keep the old kernel and put an adapter
    A B beside it whose product, of the given rank, is as near as possible to the change: the sum of
    the squares of all differences is as small as it can be.

    Practises: chapter 7, continued: fine-tuning with LoRA, "How large is the change?".

    Args:
        before: (inputs, units) float64.
        after: (inputs, units) float64, not equal to `before`.
        rank: positive int, at most the smaller of inputs and units.

    Returns:
        The merged kernel, `before` and the product together, (inputs, units); and which share of
        the change is lost: the sum of the squares of what is left, divided by the sum of the
        squares of the change. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def kernels(random, inputs, units, rank, large=0.0):
    """Returns the inputs of a case; `large` is the size of an offset that both kernels have."""
    before = random.normal(size=(inputs, units)) + large
    change = random.normal(size=(inputs, units)) * 0.5 ** np.arange(units)
    return {"before": before, "after": before + change, "rank": rank}


@exercise.public
def examples(random):
    yield Case("rank 1 of 3", kernels(random, 4, 3, 1))


@exercise.hidden
def drawn(random):
    for inputs, units, rank in ((6, 6, 2), (9, 4, 3), (3, 8, 1)):
        yield Case(f"{inputs} · {units}, rank {rank}", kernels(random, inputs, units, rank, 2.0),
                   unchanged=True)  # fmt: skip
    yield Case("full rank", kernels(random, 5, 7, 5))


@exercise.reference
def solution(before, after, rank):
    u, s, v = np.linalg.svd(after - before, full_matrices=False)
    change = u[:, :rank] * s[:rank] @ v[:rank]
    return before + change, np.sum(s[rank:] ** 2) / np.sum(s**2)


@exercise.right
def by_eigenvectors(before, after, rank):
    change = after - before
    values, vectors = np.linalg.eigh(change.T @ change)  # the smallest first
    kept = vectors[:, ::-1][:, :rank]
    nearest = change @ kept @ kept.T
    return before + nearest, np.sum((change - nearest) ** 2) / np.sum(change**2)


@exercise.right
def in_two_factors(before, after, rank):
    u, s, v = np.linalg.svd(after - before, full_matrices=False)
    root = np.sqrt(s[:rank])
    a, b = u[:, :rank] * root, root[:, np.newaxis] * v[:rank]
    merged = before + a @ b
    return merged, np.linalg.norm(after - merged) ** 2 / np.linalg.norm(after - before) ** 2


@exercise.right
def with_tensors(before, after, rank):
    s, u, v = tf.linalg.svd(tf.constant(after - before))
    change = tf.matmul(u[:, :rank] * s[:rank], v[:, :rank], transpose_b=True)
    return before + change, 1 - tf.reduce_sum(s[:rank] ** 2) / tf.reduce_sum(s**2)


exercise.mistake(
    "weights_for_the_change",
    "You approximate the fine-tuned weights. What has a low rank is the CHANGE, after − before.",
    old="    u, s, v = np.linalg.svd(after - before, full_matrices=False)\n",
    new="    u, s, v = np.linalg.svd(after, full_matrices=False)\n    before = 0 * before\n",
)
exercise.mistake(
    "smallest_kept",
    "You keep the smallest singular values. The largest ones carry the change.",
    old="u[:, :rank] * s[:rank] @ v[:rank]",
    new="u[:, -rank:] * s[-rank:] @ v[-rank:]",
)
exercise.mistake(
    "values_forgotten",
    "Each term has its singular value; without them all directions are equally strong.",
    old=" * s[:rank] @",
    new=" @",
)
exercise.mistake(
    "share_kept",
    "This is the share that is KEPT. Asked for is what is lost.",
    old="np.sum(s[rank:] ** 2)",
    new="np.sum(s[:rank] ** 2)",
)
exercise.mistake("without_squares", old="np.sum(s[rank:] ** 2) / np.sum(s**2)",
                 new="np.sum(s[rank:]) / np.sum(s)")  # fmt: skip
exercise.mistake("change_alone", old="before + change", new="change")
exercise.mistake("the_other_way", old="before + change", new="after + change")
exercise.mistake(
    "one_too_few",
    old="s[:rank] @ v[:rank]",
    new="s[:rank] * (np.arange(rank) < rank - 1) @ v[:rank]",
)
exercise.mistake("added_to_after", old="before + change", new="after - change")
exercise.mistake(
    "strongest_columns",
    old="u[:, :rank] * s[:rank] @ v[:rank]",
    new="after - before\n    change[:, np.argsort(np.sum(change**2, axis=0))[: len(s) - rank]] = 0",
)
