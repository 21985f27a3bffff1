"""LoRA: how many weights are trained, and what share of all."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter7_lora",
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("trained", "share"),
    hints=[
        "A has a row for each input, B a column for each output, and both have `rank` numbers on "
        "the other side.",
        "Of a kernel of a convolution, (height, width, channels, filters), the inputs are all that "
        "one output sees: the product of all axes but the last.",
        "trained = Σ rank · (inputs + units); share = trained / (trained + all that is frozen).",
    ],
)


@exercise.stub
def adapter_share(shapes, others, rank):
    """How many weights low-rank adapters have, and what share of the whole model that is.

    Each kernel gets an adapter A B, A of shape (inputs, rank) and B of shape (rank, units). The
    units are the kernel's last axis; the inputs are all its other axes together, so that a kernel
    of a convolution is treated like that of a dense layer on its window. Only A and B are trained.

    Practises: chapter 7, continued: fine-tuning with LoRA, "How many weights is that?".

    Args:
        shapes: list of the kernels' shapes, each a list of two to four whole numbers.
        others: int, the number of further weights (biases and so on), which are frozen as well.
        rank: positive int.

    Returns:
        How many weights are trained; their share of all weights of the adapted model, which has
        the adapters and all that is frozen. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def model(*shapes, others, rank):
    """Returns the inputs of a case."""
    return {"shapes": [list(shape) for shape in shapes], "others": others, "rank": rank}


@exercise.public
def examples(random):
    yield Case("one dense layer", model((8, 3), others=3, rank=2))


@exercise.hidden
def drawn(random):
    yield Case("three dense layers", model((20, 30), (30, 30), (30, 4), others=64, rank=4))
    yield Case("a convolution", model((3, 3, 8, 16), others=16, rank=3))
    yield Case("both", model((3, 2, 1, 6), (5, 6, 7), (40, 10), others=23, rank=1))
    yield Case("no other weights", model((12, 12), others=0, rank=6))


@exercise.reference
def solution(shapes, others, rank):
    trained, frozen = 0, others
    for shape in shapes:
        inputs, units = np.prod(shape[:-1]), shape[-1]
        trained += rank * (inputs + units)
        frozen += inputs * units
    return trained, trained / (trained + frozen)


@exercise.right
def with_sizes(shapes, others, rank):
    sizes = [int(np.prod(shape)) for shape in shapes]
    trained = sum(rank * (n // shape[-1] + shape[-1]) for n, shape in zip(sizes, shapes))
    return trained, trained / (trained + others + sum(sizes))


@exercise.right
def with_adapters(shapes, others, rank):
    trained = 0
    kernels = [np.zeros(shape) for shape in shapes]
    for kernel in kernels:
        flat = kernel.reshape(-1, kernel.shape[-1])
        a, b = np.zeros((len(flat), rank)), np.zeros((rank, flat.shape[1]))
        trained += a.size + b.size
    frozen = others + np.sum([kernel.size for kernel in kernels])
    return trained, float(trained / (frozen + trained))


@exercise.right
def with_tensors(shapes, others, rank):
    flat = [[int(tf.reduce_prod(shape[:-1])), shape[-1]] for shape in shapes]
    trained = rank * int(tf.reduce_sum(flat))
    frozen = others + int(tf.reduce_sum(tf.reduce_prod(flat, axis=1)))
    return trained, trained / (trained + frozen)


exercise.mistake(
    "of_the_frozen",
    "You divide by the frozen weights alone. The adapted model has the adapters as well.",
    old="trained / (trained + frozen)",
    new="trained / frozen",
)
exercise.mistake(
    "only_one_axis",
    "The inputs of a convolution's kernel are all axes but the last: height · width · channels.",
    old="np.prod(shape[:-1]), shape[-1]",
    new="shape[-2], shape[-1]",
)
exercise.mistake(
    "others_forgotten",
    "The further weights, biases and so on, are frozen, but they are part of the model.",
    old="trained, frozen = 0, others",
    new="trained, frozen = 0, 0",
)
exercise.mistake(
    "others_trained",
    "You count the other weights among the trained ones. They are frozen as well.",
    old="trained, frozen = 0, others",
    new="trained, frozen = others, 0",
)
exercise.mistake("a_alone", old="rank * (inputs + units)", new="rank * inputs")
exercise.mistake("rank_forgotten", old="rank * (inputs + units)", new="inputs + units")
exercise.mistake("rank_squared", old="rank * (inputs + units)", new="rank**2 * (inputs + units)")
exercise.mistake("product_for_sum", old="rank * (inputs + units)", new="rank * inputs * units")
exercise.mistake("in_percent", old="trained / (trained + frozen)",
                 new="100 * trained / (trained + frozen)")  # fmt: skip
