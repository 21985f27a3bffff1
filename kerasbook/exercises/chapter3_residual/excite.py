"""Squeeze and excitation: a network that weighs its own channels."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=20,
    difficulty=2,
    points=2,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "First squeeze: one number per picture and channel, the mean over its places.",
        "Two dense layers make a factor between 0 and 1 of these, again one per channel.",
        "s = x.mean((1, 2)); e = np.maximum(s @ w_1 + b_1, 0); g = 1 / (1 + np.exp(-(e @ w_2 + "
        "b_2))); return shortcut + x * g[:, None, None].",
    ],
)


@exercise.stub
def squeeze_and_excite(shortcut, x, w_1, b_1, w_2, b_2):
    """The end of a residual block whose channels are weighed before the sum.

    Let x be what the layers of a block would add. Per picture and channel a gate g says how much
    of it counts:

        s = mean of x over rows and columns            (n, channels)
        g = sigmoid(relu(s w_1 + b_1) w_2 + b_2)       (n, channels)
        y = shortcut + g · x

    No ReLU follows.

    Practises: chapter 3, continued: deeper networks, "The plus sign".

    Args:
        shortcut, x: (n, height, width, channels) float64 arrays.
        w_1: (channels, few); b_1: (few,).
        w_2: (few, channels); b_2: (channels,).

    Returns:
        (n, height, width, channels), float32 or float64. Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, n, size, channels, few):
    return {
        "shortcut": random.normal(size=(n, *size, channels)),
        "x": random.normal(1, 2, size=(n, *size, channels)),
        "w_1": random.normal(size=(channels, few)),
        "b_1": random.normal(size=few),
        "w_2": random.normal(size=(few, channels)),
        "b_2": random.normal(size=channels),
    }


@exercise.public
def examples(random):
    yield Case("two pictures, three channels", drawn_inputs(random, 2, (2, 3), 3, 2))


@exercise.hidden
def drawn(random):
    for n, size, channels, few in ((3, (4, 5), 4, 2), (4, (4, 4), 4, 4), (1, (1, 3), 2, 5)):
        name = f"{n} pictures, {channels} channels"
        yield Case(name, drawn_inputs(random, n, size, channels, few), unchanged=True)


@exercise.reference
def solution(shortcut, x, w_1, b_1, w_2, b_2):
    excited = np.maximum(x.mean(axis=(1, 2)) @ w_1 + b_1, 0) @ w_2 + b_2
    gate = 1 / (1 + np.exp(-excited))
    return shortcut + x * gate[:, np.newaxis, np.newaxis]


@exercise.right
def with_tensorflow(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = tf.reduce_mean(x, axis=(1, 2), keepdims=True)
    return shortcut + x * tf.sigmoid(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.right
def with_keras_layers(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = keras.layers.GlobalAveragePooling2D(keepdims=True, dtype="float64")(x)
    hidden = keras.ops.relu(keras.ops.matmul(squeezed, w_1) + b_1)
    return shortcut + x * keras.ops.sigmoid(keras.ops.matmul(hidden, w_2) + b_2)


@exercise.right
def picture_by_picture(shortcut, x, w_1, b_1, w_2, b_2):
    y = np.empty_like(x)
    for k in range(len(x)):
        squeezed = x[k].reshape(-1, x.shape[3]).mean(axis=0)
        hidden = np.clip(squeezed @ w_1 + b_1, 0, None)
        y[k] = shortcut[k] + x[k] / (1 + np.exp(-(hidden @ w_2) - b_2))
    return y


@exercise.wrong("The mean is taken over the pictures too. Every picture has gates of its own.")
def one_gate_for_all(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = x.mean(axis=(0, 1, 2), keepdims=True)
    return shortcut + x * tf.sigmoid(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.wrong("The shortcut is gated as well; only what the layers add is.")
def shortcut_gated(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = x.mean(axis=(1, 2), keepdims=True)
    gate = tf.sigmoid(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)
    return (shortcut + x) * gate


@exercise.wrong("The gates are a softmax over the channels; each is a sigmoid of its own.")
def softmax(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = x.mean(axis=(1, 2), keepdims=True)
    return shortcut + x * tf.nn.softmax(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.wrong("The squeeze takes the largest value of a channel; it is the mean.")
def largest(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = x.max(axis=(1, 2), keepdims=True)
    return shortcut + x * tf.sigmoid(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.wrong("The gates are added to x in place of multiplying it.")
def added(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = x.mean(axis=(1, 2), keepdims=True)
    return shortcut + x + tf.sigmoid(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.wrong()
def no_relu(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = x.mean(axis=(1, 2), keepdims=True)
    return shortcut + x * tf.sigmoid((squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.wrong()
def squeezed_from_the_shortcut(shortcut, x, w_1, b_1, w_2, b_2):
    squeezed = shortcut.mean(axis=(1, 2), keepdims=True)
    return shortcut + x * tf.sigmoid(tf.nn.relu(squeezed @ w_1 + b_1) @ w_2 + b_2)


@exercise.wrong()
def every_place_its_own(shortcut, x, w_1, b_1, w_2, b_2):
    return shortcut + x * tf.sigmoid(tf.nn.relu(x @ w_1 + b_1) @ w_2 + b_2)
