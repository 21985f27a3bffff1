"""The articles' networks, as *The articles' mistakes* and *Coming from PyTorch* use them.

The GRU cell in the articles' convention, its weights turned into Keras' and back, and the two
networks that the articles print.
"""

from kerasbook.chapter4 import flip_update_gate
from kerasbook.chapter5 import zero_state

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def article_gru_step(x, h, weights):
    """Returns the article's next state (n, units); weights: W_z, W_r, W_h, b_z, b_r, b_h.

    z renews, the reset stands before the product, and one matrix serves [h, x].
    """
    w_z, w_r, w_h, b_z, b_r, b_h = weights
    both = tf.concat([h, x], axis=-1)  # (n, units + inputs)
    z = tf.sigmoid(both @ w_z + b_z)
    r = tf.sigmoid(both @ w_r + b_r)
    candidate = tf.tanh(tf.concat([r * h, x], axis=-1) @ w_h + b_h)
    return (1 - z) * h + z * candidate


def article_to_keras(weights):
    """Returns kernel, recurrent kernel and bias for `layers.GRU(reset_after=False)`."""
    units = weights[0].shape[1]
    rows, bias = np.concatenate(weights[:3], axis=1), np.concatenate(weights[3:])
    return flip_update_gate([rows[units:], rows[:units], bias])  # [h, x]: the state's rows first


def keras_to_article(weights):
    """Returns W_z, W_r, W_h, b_z, b_r, b_h, from the weights of `GRU(reset_after=False)`."""
    kernel, recurrent_kernel, bias = flip_update_gate(weights)
    rows = np.concatenate([recurrent_kernel, kernel])
    return [*np.split(rows, 3, axis=1), *np.split(bias, 3)]


def make_article_model(return_sequences=True) -> keras.Model:
    """Returns the article's GRU network; it gives one answer per word, or with False one in all."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),  # (n, time)
            layers.Embedding(10_000, 64),  # (n, time, 64)
            layers.GRU(64, dropout=0.1, return_sequences=return_sequences),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ],
        name="article",
    )


def make_article_lstm(classes=10) -> keras.Model:
    """Returns the article's LSTM network: (n, time, 100) → logits (n, classes)."""
    return keras.Sequential(
        [
            keras.Input((None, 100)),
            layers.LSTM(128, return_sequences=True),  # (n, time, 128)
            layers.LSTM(128),  # (n, 128), the last step
            layers.Dense(classes),
        ],
        name="article_lstm",
    )


def call_with_zero_states(model, x):
    """Returns the logits of `make_article_lstm`, with first states made by hand, as there."""
    first, second, dense = model.layers
    sequence = first(x, initial_state=list(zero_state(x, 128)))
    return dense(second(sequence, initial_state=list(zero_state(x, 128))))


def make_colour_cnn() -> keras.Model:
    """Returns the first article's network: (n, 32, 32, 3) → logits (n, 10)."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),  # (n, 32, 32, 32)
            layers.MaxPooling2D(),  # (n, 16, 16, 32)
            layers.Conv2D(64, 3, padding="same", activation="relu"),  # (n, 16, 16, 64)
            layers.MaxPooling2D(),  # (n, 8, 8, 64)
            layers.Flatten(),  # (n, 4096)
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ],
        name="colour_cnn",
    )


def make_grey_cnn() -> keras.Model:
    """Returns the second article's network: (n, 28, 28, 1) → logits (n, 10)."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),  # (n, 26, 26, 32)
            layers.MaxPooling2D(),  # (n, 13, 13, 32)
            layers.Conv2D(64, 3, activation="relu"),  # (n, 11, 11, 64)
            layers.MaxPooling2D(),  # (n, 5, 5, 64)
            layers.Conv2D(64, 3, activation="relu"),  # (n, 3, 3, 64)
            layers.Flatten(),  # (n, 576)
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ],
        name="grey_cnn",
    )
