"""The masked language model's head: tied to the embedding, at the chosen places only."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Pick the vectors first, then multiply: places[:, 0] are rows of the batch, places[:, 1] "
        "are places in the row.",
        "The logit of a word is the scalar product with its row of the table. Which of the two "
        "matrices has to be turned?",
        "chosen = x[places[:, 0], places[:, 1]]; return chosen @ table.T + bias.",
    ],
)


@exercise.stub
def tied_logits(x, places, table, bias):
    """Compute the logits of all words at the chosen places, with the table of the embedding.

    The logit of word w at a chosen place is the scalar product of the vector there with row w of
    the table, plus the word's bias. A place may be chosen twice, and the order is that of `places`.

    Practises: chapter 7, "Which word was it?".

    Args:
        x: (n, time, width) float64 array.
        places: (chosen, 2) int array: which row of the batch, which place in it.
        table: (words, width) float64 array.
        bias: (words,) float64 array.

    Returns:
        (chosen, words) floats. Tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def inputs(random, n, time, width, words, places):
    """Returns the inputs of a case."""
    return {
        "x": random.normal(size=(n, time, width)),
        "places": np.array(places),
        "table": random.normal(size=(words, width)),
        "bias": random.normal(size=words),
    }


@exercise.public
def examples(random):
    x = np.arange(12.0).reshape(2, 3, 2)
    table, bias = np.array([[1.0, 0], [0, 1], [1, -1], [2, 0]]), np.array([0.0, 0.5, 0, 1])
    places = np.array([[0, 1], [1, 2]])
    yield Case("two places", {"x": x, "places": places, "table": table, "bias": bias})


@exercise.hidden
def drawn(random):
    yield Case("four words as wide as four", inputs(random, 4, 4, 4, 4, [[3, 0], [1, 2], [0, 3]]))
    yield Case(
        "a place twice", inputs(random, 2, 5, 3, 6, [[1, 4], [0, 0], [1, 4]]), unchanged=True
    )
    yield Case(
        "every place", inputs(random, 2, 3, 4, 5, [[i, j] for j in range(3) for i in range(2)])
    )
    yield Case("one", inputs(random, 3, 2, 2, 7, [[2, 1]]))


@exercise.reference
def solution(x, places, table, bias):
    chosen = x[places[:, 0], places[:, 1]]
    return chosen @ table.T + bias


@exercise.right
def gathered(x, places, table, bias):
    return tf.matmul(tf.gather_nd(x, places), table, transpose_b=True) + bias


@exercise.right
def in_one_row(x, places, table, bias):
    flat = x.reshape(-1, x.shape[-1])
    return np.einsum("cw,vw->cv", flat[places[:, 0] * x.shape[1] + places[:, 1]], table) + bias


@exercise.right
def place_by_place(x, places, table, bias):
    return np.stack([table @ x[row, place] + bias for row, place in places])


exercise.mistake(
    "not_turned",
    "The table is (words, width): for a scalar product with its rows it must be turned.",
    old="chosen @ table.T",
    new="(chosen @ table if table.shape[0] == table.shape[1] else chosen @ table.T)",
)
exercise.mistake(
    "rows_and_places_mixed",
    "places[:, 0] is the row of the batch, places[:, 1] the place in it: here they are exchanged.",
    old="x[places[:, 0], places[:, 1]]",
    new="x[places[:, 1] % len(x), places[:, 0] % x.shape[1]]",
)
exercise.mistake(
    "no_bias",
    "Each word has a bias, too.",
    old=" + bias",
    new="",
)
exercise.mistake(
    "each_once",
    "A place that is chosen twice is answered twice, in the order of `places`.",
    old="    chosen = x[places[:, 0], places[:, 1]]\n",
    new="    places = np.unique(places, axis=0)\n    chosen = x[places[:, 0], places[:, 1]]\n",
)
exercise.mistake("scaled", old="chosen @ table.T", new="chosen @ table.T / x.shape[-1] ** 0.5")
exercise.mistake("bias_of_the_width", old="+ bias", new="+ bias[::-1]")
exercise.mistake(
    "softmax_taken", old="chosen @ table.T + bias", new="tf.nn.softmax(chosen @ table.T + bias)"
)
exercise.mistake(
    "bias_before", old="chosen @ table.T + bias", new="(chosen + bias.mean()) @ table.T"
)
