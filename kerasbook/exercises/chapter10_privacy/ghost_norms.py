"""Ghost norms of a layer that reads sequences."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=25,
    difficulty=3,
    points=4,
    hints=[
        "The gradient of one example is now a sum over time steps of products a_t δ_tᵀ. Write down "
        "its squared norm: every pair of time steps gives a term.",
        "⟨a_s δ_sᵀ, a_t δ_tᵀ⟩ = (a_s · a_t)(δ_s · δ_t): two small tables (time, time), multiplied "
        "number by number. The bias is one more input that is always 1.",
        "np.sum((a @ aᵀ + 1) · (d @ dᵀ)) for each example, over both time axes; its square root.",
    ],
)


@exercise.stub
def ghost_norms(a, delta):
    """The norm of every example's gradient, without making it, for a dense layer over time.

    A dense layer reads a sequence, the same kernel and bias at each time step. For one example,
    a[t] is its input and delta[t] the gradient of the loss for its scores at step t. So its
    gradient for the kernel is Σ_t a[t] delta[t]ᵀ, and for the bias Σ_t delta[t].

    Return the norm of both together for each example. Never make an array as large as (n, inputs,
    units): in some cases it would not fit into memory.

    Practises: chapter 10, continued: does it keep a secret?, "One step, and what one example can do
    to it".

    Args:
        a: (n, time, inputs) float64.
        delta: (n, time, units) float64.

    Returns:
        (n,) floats. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def arrays(random, n, time, inputs, units):
    """Returns the inputs of a case."""
    return {"a": random.normal(size=(n, time, inputs)) + 0.3,
            "delta": random.normal(size=(n, time, units)) + 0.2}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("three examples of two steps", arrays(random, 3, 2, 4, 3))


@exercise.hidden
def drawn(random):
    for n, time, inputs, units in ((5, 1, 6, 2), (4, 7, 3, 5), (2, 12, 20, 1)):
        inputs = arrays(random, n, time, inputs, units)
        yield Case(f"{n} examples of {time} steps", inputs, unchanged=True)
    yield Case("a wide layer", arrays(random, 6, 3, 3000, 2500))


@exercise.reference
def solution(a, delta):
    products = np.einsum("nti,nsi->nts", a, a) + 1
    return np.sqrt((products * np.einsum("ntu,nsu->nts", delta, delta)).sum(axis=(1, 2)))


@exercise.right
def one_by_one(a, delta):
    found = []
    for one_a, one_delta in zip(a, delta):
        one_a = np.concatenate([one_a, np.ones((len(one_a), 1))], axis=1)
        found.append(np.sum((one_a @ one_a.T) * (one_delta @ one_delta.T)) ** 0.5)
    return np.array(found)


@exercise.right
def in_pairs_of_steps(a, delta):
    total = np.zeros(len(a))
    for s in range(a.shape[1]):
        for t in range(a.shape[1]):
            total += (1 + (a[:, s] * a[:, t]).sum(1)) * (delta[:, s] * delta[:, t]).sum(1)
    return np.sqrt(total)


@exercise.right
def with_tensors(a, delta):
    a, delta = tf.constant(a), tf.constant(delta)
    tables = [tf.matmul(each, each, transpose_b=True) for each in (a, delta)]
    bias = tf.reduce_sum(tf.reduce_sum(delta, axis=1) ** 2, axis=1)
    return tf.sqrt(tf.reduce_sum(tables[0] * tables[1], axis=[1, 2]) + bias).numpy()


exercise.mistake(
    "steps_apart",
    "The formula for one step, added up over time: products of DIFFERENT time steps are missing.",
    old='(products * np.einsum("ntu,nsu->nts", delta, delta)).sum(axis=(1, 2))',
    new="(((a**2).sum(axis=2) + 1) * (delta**2).sum(axis=2)).sum(axis=1)",
)
exercise.mistake(
    "bias_forgotten",
    "The gradient of the bias is missing: add 1 to the products of the inputs.",
    old=", a, a) + 1",
    new=", a, a)",
)
exercise.mistake(
    "square_root_forgotten",
    "These are the squares of the norms.",
    old="np.sqrt((products",
    new="((products",
)
exercise.mistake(
    "product_of_the_norms",
    "The product of the norms of a and δ over all time is too large: it ignores their directions.",
    old='(products * np.einsum("ntu,nsu->nts", delta, delta)).sum(axis=(1, 2))',
    new="((a**2).sum(axis=(1, 2)) + 1) * (delta**2).sum(axis=(1, 2))",
)
exercise.mistake("over_the_batch", old=".sum(axis=(1, 2))", new=".sum(axis=(1, 2)) / len(a)")
exercise.mistake("mean_over_time", old=".sum(axis=(1, 2))", new=".mean(axis=(1, 2))")
exercise.mistake("two_for_one", old=", a, a) + 1", new=", a, a) + 2")
exercise.mistake("bias_once", old="np.einsum(\"nti,nsi->nts\", a, a) + 1",
                 new="np.einsum(\"nti,nsi->nts\", a, a) + np.eye(a.shape[1])")  # fmt: skip
