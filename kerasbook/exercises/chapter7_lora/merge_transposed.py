"""LoRA: merging an adapter that PyTorch has stored."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter7_lora",
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Write down the shape of each array. In which order do the two factors give (units, "
        "inputs)?",
        "The rank is the short side of A and B. The change is scaled by alpha / rank.",
        "(kernel + alpha / rank · b @ a), transposed.",
    ],
)


@exercise.stub
def merge_transposed(kernel, a, b, alpha):
    """The kernel of a Keras layer in which a PyTorch adapter is merged.

    PyTorch's layers and the adapters made for them (the package peft) have each array the other
    way round: the kernel is (units, inputs), A is (rank, inputs) and B is (units, rank). Return the
    merged kernel, the change scaled by alpha / rank, as Keras wants it: (inputs, units).

    Practises: chapter 7, continued: fine-tuning with LoRA, "Merged".

    Args:
        kernel: (units, inputs) float64.
        a: (rank, inputs) float64.
        b: (units, rank) float64.
        alpha: positive number.

    Returns:
        (inputs, units) floats. Tolerance: 1e-5 + 1e-4 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


def arrays(random, units, inputs, rank, alpha):
    """Returns the inputs of a case."""
    return {"kernel": random.normal(size=(units, inputs)), "a": random.normal(size=(rank, inputs)),
            "b": random.normal(size=(units, rank)), "alpha": alpha}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("two units, three inputs", arrays(random, 2, 3, 2, 2.0))


@exercise.hidden
def drawn(random):
    for units, inputs, rank, alpha in ((5, 5, 2, 8.0), (4, 7, 3, 16), (6, 2, 1, 0.5)):
        inputs = arrays(random, units, inputs, rank, alpha)
        yield Case(f"rank {rank}, alpha {alpha}", inputs, unchanged=True)


@exercise.reference
def solution(kernel, a, b, alpha):
    rank = len(a)
    return (kernel + alpha / rank * b @ a).T


@exercise.right
def transposed_first(kernel, a, b, alpha):
    return kernel.T + (a.T @ b.T) * (alpha / a.shape[0])


@exercise.right
def one_direction_at_a_time(kernel, a, b, alpha):
    merged = kernel.T.copy()
    for row, column in zip(a, b.T):
        merged += alpha / len(a) * np.outer(row, column)
    return merged


@exercise.right
def with_tensors(kernel, a, b, alpha):
    change = tf.einsum("ri,ur->iu", tf.constant(a), tf.constant(b))
    return (tf.transpose(kernel) + alpha / b.shape[1] * change).numpy()


exercise.mistake(
    "not_scaled",
    "The change is not scaled: it is alpha / rank times the product.",
    old="alpha / rank * b @ a",
    new="b @ a",
)
exercise.mistake(
    "alpha_alone",
    "You scale by alpha alone. Divide it by the rank, so that a larger rank is no louder.",
    old="alpha / rank",
    new="alpha",
)
exercise.mistake(
    "merged_twice",
    "The change is added twice. Whoever merges must take the adapter away.",
    old="return (kernel",
    new="kernel = kernel + alpha / rank * b @ a\n    return (kernel",
)
exercise.mistake(
    "not_transposed",
    "This is the kernel as PyTorch has it, (units, inputs). Keras wants (inputs, units).",
    old=").T",
    new=")",
)
exercise.mistake("the_change_alone", old="kernel + ", new="")
exercise.mistake("divided_by_alpha", old="alpha / rank", new="rank / alpha")
exercise.mistake("root_of_the_rank", old="alpha / rank", new="alpha / rank**0.5")
exercise.mistake("rank_of_the_long_side", old="rank = len(a)", new="rank = a.shape[1]")
exercise.mistake("taken_away", old="kernel + ", new="kernel - ")
exercise.mistake(
    "reshaped",
    old="(kernel + alpha / rank * b @ a).T",
    new="kernel.T + (alpha / rank * b @ a).reshape(kernel.T.shape)",
)
