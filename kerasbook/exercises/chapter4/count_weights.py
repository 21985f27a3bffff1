"""The number of weights of an embedding, a GRU and a dense layer."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np

exercise = Exercise(
    chapter=4,
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("counts",),
    hints=[
        "Three numbers, one for each layer. What is in a GRU: how many kernels, recurrent kernels "
        "and biases?",
        "Each of z, r and the candidate has a kernel (width, units) and a recurrent kernel "
        "(units, units). With reset_after=True there are two biases for each.",
        "embedding: words · width; one direction: 3 · units · (width + units + 2); in two "
        "directions twice that, and 2 · units numbers go into the dense layer, which has a bias.",
    ],
)


@exercise.stub
def count_weights(words, width, units, both_directions):
    """How many weights the three layers of a reader have.

    The layers are Keras', with their defaults: Embedding(words, width), then GRU(units), or a
    Bidirectional(GRU(units)) of which the two last states stand side by side, then Dense(1).
    (You may not build them.)

    Practises: chapter 4, "Gates, one at a time" and "A network that reads".

    Args:
        words: size of the vocabulary.
        width: of the word vectors.
        units: of the GRU, in each direction.
        both_directions: bool, whether the GRU is in a Bidirectional.

    Returns:
        (3,) int array: the weights of the embedding, of the recurrent layer, of the dense layer.
    """
    raise NotImplementedError


exercise.forbidden = ("keras.layers.GRU", "keras.layers.Embedding", "keras.layers.Dense")


@exercise.public
def examples(random):
    yield Case("small", {"words": 10, "width": 2, "units": 3, "both_directions": False})
    yield Case("both ways", {"words": 10, "width": 2, "units": 3, "both_directions": True})


@exercise.hidden
def drawn(random):
    for number in range(4):
        words, width, units = (int(size) for size in random.integers(2, 90, 3))
        inputs = {"words": words, "width": width, "units": units}
        yield Case(f"drawn sizes {number}", {**inputs, "both_directions": number % 2 == 1})
    inputs = {"words": 10_000, "width": 32, "units": 32, "both_directions": False}
    yield Case("the chapter's", inputs)


@exercise.reference
def solution(words, width, units, both_directions):
    directions = 2 if both_directions else 1
    recurrent = directions * 3 * units * (width + units + 2)
    return np.array([words * width, recurrent, directions * units + 1])


@exercise.right
def by_shapes(words, width, units, both_directions):
    one = [(width, 3 * units), (units, 3 * units), (2, 3 * units)]
    gru = sum(int(np.prod(shape)) for shape in one)
    return np.array([words * width, gru * (1 + both_directions), units * (1 + both_directions) + 1])


@exercise.right
def gate_by_gate(words, width, units, both_directions):
    total = 0
    for _ in range(3):
        total += width * units + units * units + units + units
    if both_directions:
        return np.array([words * width, 2 * total, 2 * units + 1])
    return np.array([words * width, total, units + 1])


@exercise.right
def with_keras_cell(words, width, units, both_directions):
    cell = keras.layers.GRUCell(units)
    cell.build((None, width))
    factor = 1 + int(both_directions)
    return np.array([words * width, factor * cell.count_params(), factor * units + 1])


exercise.mistake(
    "one_bias",
    "One bias per gate is counted. With reset_after=True, Keras' default, the product with h has a "
    "bias of its own: two for each.",
    old="width + units + 2",
    new="width + units + 1",
)


@exercise.wrong("Only two sets are counted, for z and r. The candidate has weights of its own.")
def gates_only(words, width, units, both_directions):
    directions = 2 if both_directions else 1
    recurrent = directions * 2 * units * (width + units + 2)
    return np.array([words * width, recurrent, directions * units + 1])


@exercise.wrong("Four sets are those of an LSTM; a GRU has three.")
def four_sets(words, width, units, both_directions):
    directions = 2 if both_directions else 1
    recurrent = directions * 4 * units * (width + units + 1)
    return np.array([words * width, recurrent, directions * units + 1])


@exercise.wrong("The dense layer after a Bidirectional reads two states: 2 · units numbers.")
def dense_of_one(words, width, units, both_directions):
    directions = 2 if both_directions else 1
    recurrent = directions * 3 * units * (width + units + 2)
    return np.array([words * width, recurrent, units + 1])


exercise.mistake("dense_without_bias", "The dense layer has a bias too.", old="+ 1", new="")


@exercise.wrong("Both directions have weights of their own: a Bidirectional has twice as many.")
def directions_forgotten(words, width, units, both_directions):
    directions = 2 if both_directions else 1
    recurrent = 3 * units * (width + units + 2)
    return np.array([words * width, recurrent, directions * units + 1])


@exercise.wrong()
def no_recurrent_kernel(words, width, units, both_directions):
    directions = 2 if both_directions else 1
    return np.array([words * width, directions * 3 * units * (width + 2), directions * units + 1])


exercise.mistake("embedding_with_bias", old="words * width", new="words * width + width")
