"""Global pooling: the mean and the maximum over all places."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=5,
    difficulty=1,
    points=1,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "The window is the whole map, so rows and columns disappear, and channels stay apart.",
        "Two reductions over the axes 1 and 2.",
        "np.concatenate([x.mean(axis=(1, 2)), x.max(axis=(1, 2))], axis=1).",
    ],
)


@exercise.stub
def global_pools(x):
    """Average and maximum pooling over all places, side by side.

    Some networks pool their last maps with a window as large as the map. What is left of each
    channel is one number, whatever the size of the picture.

    Practises: chapter 3, "Pooling".

    Args:
        x: (n, rows, columns, channels) float64 array, feature maps.

    Returns:
        (n, 2 · channels): first the means of all channels, then their largest values; float32 or
        float64. Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("one map", {"x": np.array([[1.0, 3], [2, -4]]).reshape(1, 2, 2, 1)})


@exercise.hidden
def drawn(random):
    for shape in ((3, 4, 5, 2), (2, 1, 6, 3), (4, 4, 4, 4)):
        x = random.normal(size=shape)
        yield Case(f"maps of {shape[1]} × {shape[2]}", {"x": x}, unchanged=True)
    yield Case("all negative", {"x": -1 - random.random(size=(2, 3, 3, 2))})


@exercise.reference
def solution(x):
    return np.concatenate([x.mean(axis=(1, 2)), x.max(axis=(1, 2))], axis=1)


@exercise.right
def with_keras_layers(x):
    average = keras.layers.GlobalAveragePooling2D(dtype="float64")(x)
    largest = keras.layers.GlobalMaxPooling2D(dtype="float64")(x)
    return keras.ops.concatenate([average, largest], axis=-1)


@exercise.right
def with_tensorflow(x):
    flat = tf.reshape(x, (x.shape[0], -1, x.shape[3]))
    return tf.concat([tf.reduce_mean(flat, axis=1), tf.reduce_max(flat, axis=1)], axis=1)


@exercise.right
def by_loops(x):
    n, _, _, channels = x.shape
    found = np.zeros((n, 2 * channels))
    for i in range(n):
        for c in range(channels):
            found[i, c] = sum(x[i, :, :, c].ravel()) / x[i, :, :, c].size
            found[i, channels + c] = max(x[i, :, :, c].ravel())
    return found


@exercise.wrong("The two stand in the other order: the means come first.")
def other_order(x):
    return np.concatenate([x.max(axis=(1, 2)), x.mean(axis=(1, 2))], axis=1)


@exercise.wrong("Mean and maximum of each channel stand side by side; all means come first.")
def in_pairs(x):
    pairs = np.stack([x.mean(axis=(1, 2)), x.max(axis=(1, 2))], axis=-1)
    return pairs.reshape(len(x), -1)


@exercise.wrong("Channels are mixed: each has a mean and a maximum of its own.")
def over_channels(x):
    mean, largest = x.mean(axis=(1, 2, 3)), x.max(axis=(1, 2, 3))
    channels = x.shape[3]
    return np.repeat(np.stack([mean, largest], axis=1), channels, axis=1)


@exercise.wrong("The largest size is taken, regardless of sign. −3 is not larger than 1.")
def largest_size(x):
    return np.concatenate([x.mean(axis=(1, 2)), np.abs(x).max(axis=(1, 2))], axis=1)


@exercise.wrong("The sum over the places is not divided by their number.")
def sum_for_mean(x):
    return np.concatenate([x.sum(axis=(1, 2)), x.max(axis=(1, 2))], axis=1)


@exercise.wrong()
def after_a_relu(x):
    x = np.maximum(x, 0)
    return np.concatenate([x.mean(axis=(1, 2)), x.max(axis=(1, 2))], axis=1)


@exercise.wrong()
def channels_first(x):
    return np.concatenate([x.mean(axis=(2, 3)), x.max(axis=(2, 3))], axis=1)


exercise.mistake("first_place_only", old="x.max(axis=(1, 2))", new="x[:, 0, 0]")
