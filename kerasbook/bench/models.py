"""The rows of the comparison: what the commands of chapters 1 to 6 train, and a few others.

Every side trains the same layers. Rows of their own, which count in no mean, show what the layers
of the page on speed bring.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kerasbook.bench.jobs import Job, describe_writer, job_of, made
from kerasbook.chapter6 import Block, as_keras
from kerasbook.data import load_fashion
from kerasbook.pages.speed import ConvPoolRelu, HandMadeLSTM, InHalves

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@dataclass
class Row:
    """One job; all sides begin with the same weights."""

    make: Callable[..., Job]  # (rival=False) → the job, its model made of Keras' layers
    title: str = ""  # of a chapter: from its model
    ours: Callable[[], keras.Model] | None = None  # of the book's own layers, where it has faster
    as_keras: Callable[[keras.Model], list] = keras.Model.get_weights  # its weights in Keras' order
    describe: Callable[[keras.Model], list] | None = None  # for PyTorch, if not layer by layer
    at_once: int = 1  # how many parts of the batch our model computes side by side
    one_thread: bool = False  # whether our side gives each operation one thread
    counts: bool = False  # in the geometric mean


def of_chapter(number: int, steps: int | None = None, **options) -> Row:
    """Returns the row of a chapter's command, with the first so many batches of its data."""

    def make(rival: bool = False) -> Job:
        return job_of(f"chapter{number}", steps, rival)

    return Row(make, counts=True, **options)


def title_of(name: str, job: Job) -> str:
    """Returns what tables call a row: the chapter, its model, the weights, the batch."""
    if ROWS[name].title:
        return ROWS[name].title
    model = job.model.name.replace("_", " ")
    model += f" ({job.model.count_params():,} weights)"
    return f"{name.removeprefix('chapter')}: {model}, batch {job.batch_size}"


# --- models of no chapter -------------------------------------------------------------------


def one_weight() -> keras.Model:
    """Returns one weight: whatever a step costs, it is not arithmetic."""
    return keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])


def convolutional() -> keras.Model:
    """Returns the article's CNN for pictures of 28 × 28."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def book_convolutional() -> keras.Model:
    """Returns the same with bias and ReLU after the pooling; in halves."""
    maps = [ConvPoolRelu(32), ConvPoolRelu(64), ConvPoolRelu(64, pool=False)]
    dense = [layers.Dense(64, activation="relu"), layers.Dense(10)]
    whole = keras.Sequential([keras.Input((28, 28, 1)), *maps, layers.Flatten(), *dense])
    return keras.Sequential([keras.Input((28, 28, 1)), InHalves(whole)])


def recurrent(
    cell: type[layers.Layer], inputs: int, units: int, depth: int, time: int = 100
) -> keras.Model:
    """Returns so many recurrent layers; the last state goes into a dense layer."""
    stack = [cell(units, return_sequences=i + 1 < depth) for i in range(depth)]
    return keras.Sequential([keras.Input((time, inputs)), *stack, layers.Dense(10)])


def book_lstm() -> keras.Model:
    """Returns the LSTM by hand; on a GPU Keras' own, which runs in a kernel of cuDNN there."""
    gpu = tf.config.get_visible_devices("GPU")
    return recurrent(layers.LSTM if gpu else HandMadeLSTM, 100, 128, 2)


def transformer(width=128, heads=4, hidden=512, depth=2, time=64) -> keras.Model:
    """Returns pre-norm blocks of Keras' layers; the mean over time goes into a dense layer."""
    x = inputs = keras.Input((time, width))
    for _ in range(depth):
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(normed, normed)
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.Dense(width)(layers.Dense(hidden, "relu")(normed))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def book_transformer(width=128, heads=4, depth=2, time=64) -> keras.Model:
    """Returns the same of chapter 6's blocks; in halves."""
    x = inputs = keras.Input((time, width))
    for _ in range(depth):
        x = Block(width, heads)(x)
    blocks = keras.Model(inputs, layers.GlobalAveragePooling1D()(x))
    return keras.Sequential([keras.Input((time, width)), InHalves(blocks), layers.Dense(10)])


def weights_of_transformer(model: keras.Model) -> list:
    """Returns the weights of `book_transformer` in the order of `transformer`."""
    weights = []
    for block in model.layers[0].within.layers:
        if isinstance(block, Block):
            weights += [*block.norm_1.get_weights(), *as_keras(block.attention)]
            weights += block.norm_2.get_weights() + block.feed_forward.get_weights()
    return [np.asarray(weight) for weight in weights] + model.layers[-1].get_weights()


def describe_transformer(model: keras.Model) -> list:
    """Returns the layers of `transformer` for PyTorch."""
    (first, *_) = (x for x in model.layers if isinstance(x, layers.MultiHeadAttention))
    return [("Encoder", {"heads": first.num_heads}, model.get_weights())]


# --- data of no chapter ---------------------------------------------------------------------


def noise(count: int, *shape: int) -> tuple:
    """Returns random inputs and classes: a step takes as long as on real ones."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, *shape)).astype("float32")
    return x, random.integers(0, 10, count).astype("int32")


def numbers(count: int) -> tuple:
    """Returns so many numbers, and others to be guessed from them."""
    random = np.random.default_rng(0)
    return tuple(random.normal(size=(2, count, 1)).astype("float32"))


def garments(count: int) -> tuple:
    """Returns the first `count` training pictures and their classes."""
    x, y = load_fashion().train
    return x[:count], y[:count]


mean_square = keras.losses.MeanSquaredError()
cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def row(model: Callable, data: Callable, loss_fn, batch_size: int, **options) -> Row:
    """Returns a row of no chapter: the functions that make its model and its data, …"""
    return Row(lambda rival=False: made(model(), data(), loss_fn, batch_size), **options)


ROWS = {
    "empty": row(
        one_weight, lambda: numbers(256), mean_square, 1, title="one weight, one number per step"
    ),
    "chapter1": of_chapter(1),
    "chapter2": of_chapter(2),
    "chapter3": of_chapter(3, steps=20),
    "chapter4": of_chapter(4, steps=10),
    "chapter5": of_chapter(5),
    "chapter6": of_chapter(6, steps=10, describe=describe_writer),
    # What the book's own layers bring: on our side only, and in no mean.
    "cnn_pooled_first": row(
        convolutional,
        lambda: garments(1280),
        cross_entropy,
        64,
        title="an article's CNN, batch 64: pooling before bias and ReLU, in halves",
        ours=book_convolutional,
        at_once=2,
        one_thread=True,
    ),
    "lstm_by_hand": row(
        lambda: recurrent(layers.LSTM, 100, 128, 2),
        lambda: noise(256, 100, 100),
        cross_entropy,
        64,
        title="two LSTMs of 128, 100 steps, batch 64: by hand, in halves",
        ours=book_lstm,
        at_once=2,
    ),
    "transformer_in_halves": row(
        transformer,
        lambda: noise(320, 64, 128),
        cross_entropy,
        64,
        title="two blocks of 128, 64 tokens, batch 64: chapter 6's blocks, in halves",
        ours=book_transformer,
        as_keras=weights_of_transformer,
        describe=describe_transformer,
        at_once=2,
        one_thread=True,
    ),
}
