"""LoRA: two adapters, mixed into one."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter7_lora",
    minutes=20,
    difficulty=2,
    points=2,
    outputs=("a", "b", "applied"),
    hints=[
        "The sum of two products is not the product of two sums: (A₁ + A₂)(B₁ + B₂) has two terms "
        "that nobody wants.",
        "Put A₁ and A₂ side by side and B₁ above B₂: the product of the two is A₁ B₁ + A₂ B₂.",
        "The shares and alpha / rank of each go into its own rows of B: "
        "np.concatenate([s₁ · B₁, s₂ · B₂]) with s = share · alpha / rank.",
    ],
)


@exercise.stub
def join_adapters(x, a1, b1, alpha1, share1, a2, b2, alpha2, share2):
    """One adapter that does what two adapters do together.

    The first changes a kernel by alpha1 / rank1 · A₁ B₁, the second by alpha2 / rank2 · A₂ B₂. A
    mixture takes share1 of the first change and share2 of the second. Make one adapter of it, to be
    used without any further factor (its alpha is its rank): its A is A₁ and A₂ as they are, side by
    side, A₁ first.

    Practises: chapter 7, continued: fine-tuning with LoRA, "Another one in its place".

    Args:
        x: (n, inputs) float64.
        a1: (inputs, rank1) float64; b1: (rank1, units) float64; alpha1, share1: floats.
        a2, b2, alpha2, share2: the same for the second one; rank2 may be another.

    Returns:
        A, (inputs, rank1 + rank2); B, (rank1 + rank2, units); and what the mixture adds to the
        outputs for x, (n, units). Tolerance: 1e-5 + 1e-4 · |expected|. The inputs must not be
        changed.
    """
    raise NotImplementedError


def pair(random, n, inputs, units, ranks, alphas, shares):
    """Returns the inputs of a case."""
    case = {"x": random.normal(size=(n, inputs))}
    for number, (rank, alpha, share) in enumerate(zip(ranks, alphas, shares), start=1):
        case |= {f"a{number}": random.normal(size=(inputs, rank)),
                 f"b{number}": random.normal(size=(rank, units)),
                 f"alpha{number}": alpha, f"share{number}": share}  # fmt: skip
    return case


@exercise.public
def examples(random):
    yield Case("half of each", pair(random, 2, 3, 2, (1, 2), (1.0, 4.0), (0.5, 0.5)))


@exercise.hidden
def drawn(random):
    yield Case("the same rank", pair(random, 4, 5, 3, (2, 2), (4.0, 2.0), (0.3, 0.7)),
               unchanged=True)  # fmt: skip
    yield Case("ranks 1 and 4", pair(random, 6, 7, 4, (1, 4), (2.0, 16.0), (1.0, 1.0)),
               unchanged=True)  # fmt: skip
    yield Case("less of the second", pair(random, 3, 4, 6, (3, 2), (1.5, 1.0), (1.0, -0.5)),
               unchanged=True)  # fmt: skip


@exercise.reference
def solution(x, a1, b1, alpha1, share1, a2, b2, alpha2, share2):
    first, second = share1 * alpha1 / len(b1), share2 * alpha2 / len(b2)
    a = np.concatenate([a1, a2], axis=1)
    b = np.concatenate([first * b1, second * b2])
    return a, b, x @ a @ b


@exercise.right
def filled_in(x, a1, b1, alpha1, share1, a2, b2, alpha2, share2):
    rank = a1.shape[1] + a2.shape[1]
    a, b = np.zeros((x.shape[1], rank)), np.zeros((rank, b1.shape[1]))
    a[:, : len(b1)], a[:, len(b1) :] = a1, a2
    b[: len(b1)] = b1 * share1 * alpha1 / a1.shape[1]
    b[len(b1) :] = b2 * share2 * alpha2 / a2.shape[1]
    return a, b, (x @ a) @ b


@exercise.right
def change_by_change(x, a1, b1, alpha1, share1, a2, b2, alpha2, share2):
    one, two = share1 * alpha1 / len(b1) * b1, share2 * alpha2 / len(b2) * b2
    return np.hstack([a1, a2]), np.vstack([one, two]), x @ a1 @ one + x @ a2 @ two


@exercise.right
def with_tensors(x, a1, b1, alpha1, share1, a2, b2, alpha2, share2):
    factors = [share1 * alpha1 / len(b1)] * len(b1) + [share2 * alpha2 / len(b2)] * len(b2)
    a = tf.concat([a1, a2], axis=1)
    b = tf.constant(factors, tf.float64)[:, tf.newaxis] * tf.concat([b1, b2], axis=0)
    return a, b, tf.constant(x) @ a @ b


exercise.mistake(
    "one_scale_for_both",
    "Both changes are scaled by the first one's alpha / rank. Each has its own.",
    old="share2 * alpha2 / len(b2)",
    new="share2 * alpha1 / len(b1)",
)
exercise.mistake(
    "not_scaled",
    "alpha / rank is missing. The new adapter is used without a factor, so it goes into B.",
    old="share1 * alpha1 / len(b1), share2 * alpha2 / len(b2)",
    new="share1, share2",
)
exercise.mistake(
    "scale_of_the_sum",
    "You divide by the rank of the joined adapter. Each change was scaled by its own rank.",
    old="share1 * alpha1 / len(b1), share2 * alpha2 / len(b2)",
    new="share1 * alpha1 / (len(b1) + len(b2)), share2 * alpha2 / (len(b1) + len(b2))",
)
exercise.mistake(
    "share_in_both_factors",
    "The shares are in A and in B, so they count twice. A stays as it is.",
    old="a = np.concatenate([a1, a2], axis=1)",
    new="a = np.concatenate([share1 * a1, share2 * a2], axis=1)",
)
exercise.mistake("shares_forgotten", old="share1 * alpha1 / len(b1), share2 * alpha2 / len(b2)",
                 new="alpha1 / len(b1), alpha2 / len(b2)")  # fmt: skip
exercise.mistake("shares_exchanged", old="share1 * alpha1 / len(b1), share2 * alpha2",
                 new="share2 * alpha1 / len(b1), share1 * alpha2")  # fmt: skip
exercise.mistake("second_first", old="[a1, a2]", new="[a2, a1]")
exercise.mistake("alphas_alone", old="share1 * alpha1 / len(b1), share2 * alpha2 / len(b2)",
                 new="share1 * alpha1, share2 * alpha2")  # fmt: skip
exercise.mistake("the_first_alone", old="x @ a @ b", new="x @ a1 @ b[: len(b1)]")
exercise.mistake("mean_of_both", old="return a, b, x @ a @ b", new="return a, b / 2, x @ a @ b / 2")
