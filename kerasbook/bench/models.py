"""The rows of the comparison: a model of each of chapters 1 to 6, and its data.

Every side trains the same layers. Rows of their own, which count in no mean, show what the layers
of the page on speed bring.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from kerasbook.chapter6 import Block, as_keras
from kerasbook.data import load_auto_mpg, load_fashion
from kerasbook.pages.speed import ConvPoolRelu, HandMadeLSTM, InHalves

import keras
import numpy as np
import tensorflow as tf
from keras import layers


@dataclass
class Row:
    """One model; all sides train it from the same weights, in batches of the same size."""

    title: str
    data: Callable[[], tuple]  # → (x, y)
    model: Callable[[], keras.Model]  # of Keras' layers
    loss_fn: Any
    batch_size: int
    ours: Callable[[], keras.Model] | None = None  # of the book's own layers, where it has faster
    as_keras: Callable[[keras.Model], list] = keras.Model.get_weights  # its weights in Keras' order
    torch: tuple = ()  # the function in peers.py that makes it, and its arguments
    time_steps: int = 1  # how often the loop inside the model turns
    at_once: int = 1  # how many parts of the batch our model computes side by side
    one_thread: bool = False  # whether our side gives each operation one thread
    counts: bool = True  # in the geometric mean


def one_weight() -> keras.Model:
    """Returns one weight: whatever a step costs, it is not arithmetic."""
    return keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])


def regression() -> keras.Model:
    """Returns a line through nine features."""
    return keras.Sequential([keras.Input((9,)), layers.Dense(1)])


def dense() -> keras.Model:
    """Returns the articles' deep network, 784-128-64-10."""
    hidden = [layers.Dense(128, "relu"), layers.Dense(64, "relu")]
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10)])


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
    """Returns pre-norm blocks; the mean over time goes into a dense layer."""
    x = inputs = keras.Input((time, width))
    for _ in range(depth):
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(normed, normed)
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.Dense(width)(layers.Dense(hidden, "relu")(normed))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def book_transformer(width=128, heads=4, depth=2, time=64) -> keras.Model:
    """Returns the same of chapter 6's blocks, with dense layers four times as wide; in halves."""
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
ROWS = {
    "empty": Row(
        "one weight, one number per step",
        lambda: numbers(256),
        one_weight,
        mean_square,
        batch_size=1,
        torch=("linear",),
        counts=False,
    ),
    "regression": Row(
        "1: linear regression, batch 32",
        lambda: tuple(load_auto_mpg().train),
        regression,
        mean_square,
        batch_size=32,
        torch=("linear",),
    ),
    "dense": Row(
        "2: 784-128-64-10, batch 64",
        lambda: garments(3200),
        dense,
        cross_entropy,
        batch_size=64,
        torch=("dense",),
    ),
    "cnn": Row(
        "3: the article's CNN, batch 64",
        lambda: garments(1280),
        convolutional,
        cross_entropy,
        batch_size=64,
        torch=("convolutional",),
    ),
    "gru": Row(
        "4: GRU of 64, 100 steps, batch 64",
        lambda: noise(384, 100, 64),
        lambda: recurrent(layers.GRU, 64, 64, 1),
        cross_entropy,
        batch_size=64,
        torch=("reader", "gru", 64, 64, 1, 10),
        time_steps=100,
    ),
    "lstm": Row(
        "5: two LSTMs of 128, 100 steps, batch 64",
        lambda: noise(256, 100, 100),
        lambda: recurrent(layers.LSTM, 100, 128, 2),
        cross_entropy,
        batch_size=64,
        torch=("reader", "lstm", 100, 128, 2, 10),
        time_steps=100,
    ),
    "transformer": Row(
        "6: Transformer, 2 blocks of 128, 64 steps, batch 64",
        lambda: noise(320, 64, 128),
        transformer,
        cross_entropy,
        batch_size=64,
        torch=("encoder", 128, 4, 512, 2, 10),
    ),
}
# What the book's own layers bring: on our side only, and in no mean.
ROWS["cnn_pooled_first"] = replace(
    ROWS["cnn"],
    title="the CNN, pooling before bias and ReLU, in halves",
    ours=book_convolutional,
    at_once=2,
    one_thread=True,
    counts=False,
)
ROWS["lstm_by_hand"] = replace(
    ROWS["lstm"],
    title="the two LSTMs, made by hand, in halves",
    ours=book_lstm,
    at_once=2,
    counts=False,
)
ROWS["transformer_in_halves"] = replace(
    ROWS["transformer"],
    title="the Transformer of chapter 6's blocks, in halves",
    ours=book_transformer,
    as_keras=weights_of_transformer,
    at_once=2,
    one_thread=True,
    counts=False,
)
