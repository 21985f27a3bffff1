"""An LSTM step with coupled input and forget gates."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("state", "cell"),
    hints=[
        "Cut the sums into three parts of equal width. Which of them go through a sigmoid?",
        "i is not computed from sums of its own: it is what f leaves over, 1 − f.",
        "f, g, o = np.split(sums, 3, axis=1); f and o through the sigmoid, g through the tanh; "
        "c = f * c + (1 - f) * g; h = o * np.tanh(c).",
    ],
)


@exercise.stub
def coupled_gates(sums, cell):
    """One step of an LSTM in which forgetting and taking in are one decision.

    The input gate is coupled to the forget gate, i = 1 − f, so that there are three gates' worth
    of sums and not four. In the order f, g, o:

        f = σ(s_f),  g = tanh(s_g),  o = σ(s_o),
        c_new = f ⊙ c + (1 − f) ⊙ g,   h_new = o ⊙ tanh(c_new).

    Practises: chapter 5, "A cell with three gates".

    Args:
        sums: (n, 3 · units) float64 array: s_f, s_g and s_o side by side, between −30 and 30.
        cell: c, (n, units) float64 array.

    Returns:
        state: h_new (n, units), and cell: c_new (n, units); a tuple, float32 or float64.
        Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, n, units, size=2.0):
    sums = random.normal(0, size, (n, 3 * units)).clip(-30, 30)
    return {"sums": sums, "cell": random.normal(size=(n, units))}


@exercise.public
def examples(random):
    yield Case("all gates half open", {"sums": np.zeros((1, 6)), "cell": np.array([[1.0, -2.0]])})
    yield Case("two rows of three units", drawn_inputs(random, 2, 3))


@exercise.hidden
def drawn(random):
    yield Case("one unit", drawn_inputs(random, 4, 1))
    yield Case("as many rows as units", drawn_inputs(random, 3, 3), unchanged=True)
    yield Case("gates that are nearly 0 or 1", drawn_inputs(random, 5, 4, 12.0))


@exercise.reference
def solution(sums, cell):
    f, g, o = np.split(sums, 3, axis=1)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = f * cell + (1 - f) * np.tanh(g)
    return o * np.tanh(c), c


@exercise.right
def with_tensorflow(sums, cell):
    f, g, o = tf.split(tf.constant(sums), 3, axis=-1)
    c = tf.sigmoid(f) * cell + tf.sigmoid(-f) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


@exercise.right
def moved_towards_the_candidate(sums, cell):
    units = cell.shape[1]
    take = 1 / (1 + np.exp(sums[:, :units]))  # 1 − f
    c = cell + take * (np.tanh(sums[:, units : 2 * units]) - cell)
    return np.tanh(c) / (1 + np.exp(-sums[:, 2 * units :])), c


@exercise.right
def by_reshaping(sums, cell):
    f, g, o = np.moveaxis(sums.reshape(len(sums), 3, -1), 1, 0)
    f = 0.5 + 0.5 * np.tanh(f / 2)
    c = f * cell + (1 - f) * np.tanh(g)
    return (0.5 + 0.5 * np.tanh(o / 2)) * np.tanh(c), c


@exercise.wrong("i and f have changed places: f is the share of the old cell that stays.")
def turned(sums, cell):
    f, g, o = np.split(sums, 3, axis=1)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = (1 - f) * cell + f * np.tanh(g)
    return o * np.tanh(c), c


@exercise.wrong("The candidate comes in whole, as if i were 1; it is 1 − f.")
def taken_whole(sums, cell):
    f, g, o = np.split(sums, 3, axis=1)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = f * cell + np.tanh(g)
    return o * np.tanh(c), c


@exercise.wrong("The candidate goes through a sigmoid; it is a tanh, between −1 and 1.")
def candidate_as_gate(sums, cell):
    f, g, o = (1 / (1 + np.exp(-part)) for part in np.split(sums, 3, axis=1))
    c = f * cell + (1 - f) * g
    return o * np.tanh(c), c


@exercise.wrong("The output shows the cell itself; a tanh is missing: h = o ⊙ tanh(c).")
def no_tanh(sums, cell):
    f, g, o = np.split(sums, 3, axis=1)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = f * cell + (1 - f) * np.tanh(g)
    return o * c, c


@exercise.wrong("The output shows the old cell; it is the new one that is shown.")
def old_cell_shown(sums, cell):
    f, g, o = np.split(sums, 3, axis=1)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    return o * np.tanh(cell), f * cell + (1 - f) * np.tanh(g)


@exercise.wrong("The pair is the wrong way round: first the state h, then the cell c.")
def pair_turned(sums, cell):
    f, g, o = np.split(sums, 3, axis=1)
    f, o = 1 / (1 + np.exp(-f)), 1 / (1 + np.exp(-o))
    c = f * cell + (1 - f) * np.tanh(g)
    return c, o * np.tanh(c)


exercise.mistake("order_of_another_library", old="f, g, o", new="f, o, g")
exercise.mistake(
    "split_by_rows",
    old="np.split(sums, 3, axis=1)",
    new="sums[:, 0::3], sums[:, 1::3], sums[:, 2::3]",
)
