"""Mini-batches of one shape."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=10,
    difficulty=1,
    points=1,
    outputs=("rows", "weights"),
    atol=1e-6,
    rtol=0.0,
    hints=[
        "First the number of batches: n divided by batch_size, rounded up. Try it on paper with "
        "n = 6 and n = 7 for batches of 3.",
        "Make a flat array of steps · batch_size zeros, put the permutation at its beginning, and "
        "only then reshape. The weights are made in the same way from ones.",
        "steps = -(-n // batch_size) rounds up. rows = np.zeros(steps * batch_size, int); "
        "rows[:n] = permutation; rows.reshape(steps, batch_size).",
    ],
)


@exercise.stub
def fixed_batches(permutation, batch_size):
    """The rows of an epoch's mini-batches, all of one size, and which rows count.

    A compiled training step is compiled again for every new shape, and the short last batch of an
    epoch is one. So it is filled up with row 0, and a weight says which rows count. The batches
    take the rows in the order of the permutation. There are as few batches as hold all n rows,
    each of them once.

    Practises: chapter 1, "All cars, sixteen, or one"

    Args:
        permutation: (n,) int array, the rows 0 … n − 1 in the epoch's order; n ≥ 1.
        batch_size: positive int; may be larger than n.

    Returns:
        rows: (steps, batch_size) int array (int32 or int64), with 0 where the last batch is
            filled up.
        weights: (steps, batch_size) array, float32 or float64; 1 for a row of the epoch, 0 for
            filling. Tolerance 1e-6.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("5 rows, batches of 2", {"permutation": np.array([3, 1, 4, 0, 2]), "batch_size": 2})
    yield Case("4 rows, batches of 2", {"permutation": np.array([2, 0, 3, 1]), "batch_size": 2})


@exercise.hidden
def drawn(random):
    for n, size in ((17, 5), (23, 4), (9, 1), (30, 6), (3, 8), (1, 1)):
        inputs = {"permutation": random.permutation(n), "batch_size": size}
        yield Case(f"{n} rows, batches of {size}", inputs, unchanged=True)


@exercise.reference
def solution(permutation, batch_size):
    n = len(permutation)
    steps = -(-n // batch_size)  # rounded up
    rows, weights = np.zeros(steps * batch_size, np.int64), np.zeros(steps * batch_size)
    rows[:n], weights[:n] = permutation, 1
    return rows.reshape(steps, batch_size), weights.reshape(steps, batch_size)


@exercise.right
def with_padding(permutation, batch_size):
    filling = (0, -len(permutation) % batch_size)
    rows = np.pad(permutation, filling)
    weights = np.pad(np.ones(len(permutation), np.float32), filling)
    return rows.reshape(-1, batch_size), weights.reshape(-1, batch_size)


@exercise.right
def with_a_loop(permutation, batch_size):
    rows, weights = [], []
    for first in range(0, len(permutation), batch_size):
        batch = [int(row) for row in permutation[first : first + batch_size]]
        filling = [0] * (batch_size - len(batch))
        rows.append(batch + filling)
        weights.append([1.0] * len(batch) + [0.0] * len(filling))
    return np.array(rows), np.array(weights)


@exercise.right
def with_tensorflow(permutation, batch_size):
    filling = [[0, -len(permutation) % batch_size]]
    rows = tf.pad(tf.constant(permutation), filling)
    weights = tf.pad(tf.ones(len(permutation)), filling)
    return tf.reshape(rows, (-1, batch_size)), tf.reshape(weights, (-1, batch_size))


@exercise.wrong("The short last batch is left out: its rows are never trained on in this epoch.")
def last_batch_dropped(permutation, batch_size):
    steps = len(permutation) // batch_size
    rows = permutation[: steps * batch_size].reshape(steps, batch_size)
    return rows, np.ones(rows.shape)


exercise.mistake(
    "one_batch_too_many",
    "Where batch_size divides n there is one batch too many, without a single row: round n / "
    "batch_size up instead of adding 1.",
    old="-(-n // batch_size)",
    new="n // batch_size + 1",
)


@exercise.wrong("The rows come in the order of the file: use the permutation's values, not 0 … n.")
def permutation_ignored(permutation, batch_size):
    n, filling = len(permutation), -len(permutation) % batch_size
    rows = np.pad(np.arange(n), (0, filling))
    weights = np.pad(np.ones(n), (0, filling))
    return rows.reshape(-1, batch_size), weights.reshape(-1, batch_size)


@exercise.wrong("The filling counts as much as true rows: its weight must be 0.")
def filling_counts(permutation, batch_size):
    rows = np.pad(permutation, (0, -len(permutation) % batch_size)).reshape(-1, batch_size)
    return rows, np.ones(rows.shape)


@exercise.wrong(
    "The weight is taken from the row number, so that row 0 counts nowhere, not even where it is "
    "no filling. Count positions, not values."
)
def weight_by_value(permutation, batch_size):
    rows = np.pad(permutation, (0, -len(permutation) % batch_size)).reshape(-1, batch_size)
    return rows, (rows != 0).astype("float32")


@exercise.wrong()
def filled_with_minus_one(permutation, batch_size):
    filling = (0, -len(permutation) % batch_size)
    rows = np.pad(permutation, filling, constant_values=-1).reshape(-1, batch_size)
    return rows, (rows >= 0).astype("float32")


@exercise.wrong()
def filled_at_the_front(permutation, batch_size):
    filling = (-len(permutation) % batch_size, 0)
    rows = np.pad(permutation, filling).reshape(-1, batch_size)
    return rows, np.pad(np.ones(len(permutation)), filling).reshape(-1, batch_size)


@exercise.wrong()
def dealt_like_cards(permutation, batch_size):
    filling = (0, -len(permutation) % batch_size)
    rows = np.pad(permutation, filling).reshape(batch_size, -1).T
    return rows, np.pad(np.ones(len(permutation)), filling).reshape(batch_size, -1).T


@exercise.wrong()
def weights_add_up_to_one(permutation, batch_size):
    filling = (0, -len(permutation) % batch_size)
    weights = np.pad(np.ones(len(permutation)), filling).reshape(-1, batch_size)
    rows = np.pad(permutation, filling).reshape(-1, batch_size)
    return rows, weights / weights.sum(axis=1, keepdims=True)


@exercise.wrong()
def weights_are_truth_values(permutation, batch_size):
    filling = (0, -len(permutation) % batch_size)
    rows = np.pad(permutation, filling).reshape(-1, batch_size)
    return rows, np.pad(np.ones(len(permutation), bool), filling).reshape(-1, batch_size)
