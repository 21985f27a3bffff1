"""The update gate of a GRU whose z renews, with a mask."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "First the gate from its sum, by a sigmoid. Then the mixture. Then the mask, row by row.",
        "z is the share of the candidate here; what is the share of the old state?",
        "z = 1 / (1 + np.exp(-sums)); new = (1 - z) * h + z * candidate; "
        "return np.where(read[:, None], new, h).",
    ],
)


@exercise.stub
def renewing_step(h, candidate, sums, read):
    """The next state of a gated recurrent unit in the convention of Chung and others (2014).

    The update gate is z = σ(sums), and it *renews*: where z is 1 the new state is the candidate,
    where z is 0 it is the old state. A row that is not read keeps its state, whatever its gate
    says.

    Practises: chapter 4, "Gates, one at a time" and "Other conventions".

    Args:
        h: the old state, (n, units) float64 array.
        candidate: (n, units) float64 array.
        sums: what goes into the sigmoid of the gate, (n, units) float64 array, between −30 and 30.
        read: the mask, (n,) bool array, False where the step is padding.

    Returns:
        (n, units), the new state; float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, n, units, size=2.0):
    return {
        "h": random.uniform(-1, 1, size=(n, units)),
        "candidate": random.uniform(-1, 1, size=(n, units)),
        "sums": random.normal(0, size, size=(n, units)).clip(-30, 30),
        "read": np.arange(n) % 3 != 1,
    }


@exercise.public
def examples(random):
    inputs = {
        "h": np.array([[1.0, 1.0, 1.0]]),
        "candidate": np.array([[-1.0, -1.0, -1.0]]),
        "sums": np.array([[-20.0, 0.0, 20.0]]),
        "read": np.array([True]),
    }
    yield Case("a gate that is closed, half open, open", inputs)
    yield Case("four rows, one of them padding", drawn_inputs(random, 4, 2))


@exercise.hidden
def drawn(random):
    yield Case("one row", drawn_inputs(random, 1, 4))
    yield Case("as many rows as units", drawn_inputs(random, 5, 5))
    yield Case("gates that are nearly 0 or 1", drawn_inputs(random, 6, 3, 12.0))
    inputs = drawn_inputs(random, 3, 2)
    yield Case("nothing is read", {**inputs, "read": np.zeros(3, bool)}, unchanged=True)


@exercise.reference
def solution(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums))
    new = (1 - z) * h + z * candidate
    return np.where(read[:, np.newaxis], new, h)


@exercise.right
def moved_by_a_share(h, candidate, sums, read):
    z = read[:, np.newaxis] / (1 + np.exp(-sums))
    return h + z * (candidate - h)


@exercise.right
def with_tensorflow(h, candidate, sums, read):
    z = tf.sigmoid(tf.constant(sums))
    return tf.where(read[:, np.newaxis], (1 - z) * h + z * candidate, h)


@exercise.right
def row_by_row(h, candidate, sums, read):
    new = h.copy()
    for row in np.flatnonzero(read):
        keep = 1 / (1 + np.exp(sums[row]))
        new[row] = keep * h[row] + (1 - keep) * candidate[row]
    return new


@exercise.wrong("z keeps here, as in Keras; asked for is a gate that renews: (1 − z) h + z h̃.")
def keeping(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums))
    return np.where(read[:, np.newaxis], z * h + (1 - z) * candidate, h)


@exercise.wrong("The sums were used as the gate itself: a sigmoid is missing.")
def no_sigmoid(h, candidate, sums, read):
    return np.where(read[:, np.newaxis], (1 - sums) * h + sums * candidate, h)


@exercise.wrong("Rows that are not read changed too: the mask says which ones keep their state.")
def mask_ignored(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums))
    return (1 - z) * h + z * candidate


@exercise.wrong("Rows that are not read became zero: they are to keep the old state.")
def set_to_zero(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums))
    return read[:, np.newaxis] * ((1 - z) * h + z * candidate)


@exercise.wrong("The mask is turned round: True means that the row is read.")
def mask_turned(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums))
    return np.where(read[:, np.newaxis], h, (1 - z) * h + z * candidate)


@exercise.wrong(
    "The mask multiplies the gate's sum. But σ(0) is a half: half of the row is renewed."
)
def mask_on_the_sums(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums * read[:, np.newaxis]))
    return (1 - z) * h + z * candidate


@exercise.wrong()
def added_whole(h, candidate, sums, read):
    z = 1 / (1 + np.exp(-sums))
    return np.where(read[:, np.newaxis], h + z * candidate, h)


@exercise.wrong()
def chosen_hard(h, candidate, sums, read):
    return np.where(read[:, np.newaxis] & (sums > 0), candidate, h)
