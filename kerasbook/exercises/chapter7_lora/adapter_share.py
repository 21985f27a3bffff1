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
def adapter_share(kernels, others, rank):
    """How many weights low-rank adapters have, and what share of the whole model that is.

    Each kernel gets an adapter A B, A of shape (inputs, rank) and B of shape (rank, units). The
    units are the kernel's last axis; the inputs are all its other axes together, so that a kernel
    of a convolution is treated like that of a dense layer on its window. Only A and B are trained.

    Practises: chapter 7, continued: fine-tuning with LoRA, "How many weights is that?".

    Args:
        kernels: list of arrays of two to four axes.
        others: int, the number of further weights (biases and so on), which are frozen as well.
        rank: positive int.

    Returns:
        How many weights are trained; their share of all weights of the adapted model, which has
        the adapters and all that is frozen. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def model(random, *shapes, others, rank):
    """Returns the inputs of a case: kernels of these shapes."""
    kernels = [random.normal(size=shape) for shape in shapes]
    return {"kernels": kernels, "others": others, "rank": rank}


@exercise.public
def examples(random):
    yield Case("one dense layer", model(random, (8, 3), others=3, rank=2))


@exercise.hidden
def drawn(random):
    yield Case("three dense layers", model(random, (20, 30), (30, 30), (30, 4), others=64, rank=4))
    yield Case("a convolution", model(random, (3, 3, 8, 16), others=16, rank=3))
    yield Case("both", model(random, (3, 2, 1, 6), (5, 6, 7), (40, 10), others=23, rank=1))
    yield Case("no other weights", model(random, (12, 12), others=0, rank=6))


@exercise.reference
def solution(kernels, others, rank):
    trained, frozen = 0, others
    for kernel in kernels:
        inputs, units = np.prod(kernel.shape[:-1]), kernel.shape[-1]
        trained += rank * (inputs + units)
        frozen += inputs * units
    return trained, trained / (trained + frozen)


@exercise.right
def with_sizes(kernels, others, rank):
    trained = sum(rank * (k.size // k.shape[-1] + k.shape[-1]) for k in kernels)
    return trained, trained / (trained + others + sum(k.size for k in kernels))


@exercise.right
def with_adapters(kernels, others, rank):
    trained = 0
    for kernel in kernels:
        flat = kernel.reshape(-1, kernel.shape[-1])
        a, b = np.zeros((len(flat), rank)), np.zeros((rank, flat.shape[1]))
        trained += a.size + b.size
    frozen = others + np.sum([kernel.size for kernel in kernels])
    return trained, float(trained / (frozen + trained))


@exercise.right
def with_tensors(kernels, others, rank):
    shapes = [tf.shape(tf.reshape(k, (-1, k.shape[-1]))) for k in kernels]
    trained = rank * int(tf.add_n([tf.reduce_sum(s) for s in shapes]))
    frozen = others + int(tf.add_n([tf.reduce_prod(s) for s in shapes]))
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
    old="np.prod(kernel.shape[:-1]), kernel.shape[-1]",
    new="kernel.shape[-2], kernel.shape[-1]",
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
