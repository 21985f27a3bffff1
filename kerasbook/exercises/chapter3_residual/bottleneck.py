"""The bottleneck block of ResNet-50."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=25,
    difficulty=2,
    points=3,
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "A 1 × 1 convolution is a matrix product over the last axis.",
        "For the 3 × 3 in the middle, frame the maps with one zero on every side; then add up nine "
        "products, one for each weight of the window.",
        "a = relu(x @ down); framed = np.pad(a, …); b = relu(Σ framed[:, u : u + h, v : v + w] @ "
        "middle[u, v]); return relu(x + b @ up).",
    ],
)


@exercise.stub
def bottleneck_block(x, down, middle, up):
    """A residual block of three layers, of which only the middle one looks at neighbours.

    Deep ResNets save work: a 1 × 1 convolution takes the channels down to a few, the 3 × 3
    convolution works on these (padding "same", stride 1, the chapter's correlation), and another
    1 × 1 convolution brings them back. Without biases and without normalisation,

        y = relu(x + conv(relu(conv(relu(conv(x, down)), middle)), up)).

    Practises: chapter 3, continued: deeper networks, "The plus sign".

    Args:
        x: (n, height, width, channels) float64 array.
        down: (channels, few), the first kernel.
        middle: (3, 3, few, few), the second.
        up: (few, channels), the third.

    Returns:
        (n, height, width, channels), float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, size, channels, few):
    return {
        "x": random.normal(size=(2, *size, channels)),
        "down": random.normal(size=(channels, few)),
        "middle": random.normal(size=(3, 3, few, few)),
        "up": random.normal(size=(few, channels)),
    }


@exercise.public
def examples(random):
    yield Case("3 × 4 places, four channels", drawn_inputs(random, (3, 4), 4, 2))


@exercise.hidden
def drawn(random):
    for size, channels, few in (((5, 4), 6, 2), ((4, 6), 3, 1), ((1, 5), 4, 4), ((4, 4), 4, 4)):
        name = f"{size[0]} × {size[1]} places, {channels} channels"
        yield Case(name, drawn_inputs(random, size, channels, few), unchanged=True)


@exercise.reference
def solution(x, down, middle, up):
    _, height, width, _ = x.shape
    a = np.maximum(x @ down, 0)
    framed = np.pad(a, ((0, 0), (1, 1), (1, 1), (0, 0)))
    b = sum(framed[:, u : u + height, v : v + width] @ middle[u, v] for u, v in np.ndindex(3, 3))
    return np.maximum(x + np.maximum(b, 0) @ up, 0)


@exercise.right
def with_tensorflow(x, down, middle, up):
    a = tf.nn.relu(tf.nn.conv2d(x, down[np.newaxis, np.newaxis], 1, "SAME"))
    b = tf.nn.relu(tf.nn.conv2d(a, middle, 1, "SAME"))
    return tf.nn.relu(x + tf.nn.conv2d(b, up[np.newaxis, np.newaxis], 1, "SAME"))


@exercise.right
def with_keras(x, down, middle, up):
    ops = keras.ops
    a = ops.relu(ops.matmul(x, down))
    b = ops.relu(ops.conv(a, middle, padding="same"))
    return ops.relu(ops.add(x, ops.matmul(b, up)))


@exercise.right
def place_by_place(x, down, middle, up):
    y = np.zeros_like(x)
    a = np.maximum(np.einsum("nijc,cf->nijf", x, down), 0)
    for n, i, j in np.ndindex(x.shape[:3]):
        total = np.zeros(middle.shape[3])
        for u, v in np.ndindex(3, 3):
            if 0 <= i + u - 1 < x.shape[1] and 0 <= j + v - 1 < x.shape[2]:
                total += a[n, i + u - 1, j + v - 1] @ middle[u, v]
        y[n, i, j] = np.maximum(x[n, i, j] + np.maximum(total, 0) @ up, 0)
    return y


@exercise.wrong("The input is not added: this is a plain block.")
def no_shortcut(x, down, middle, up):
    a = tf.nn.relu(x @ down)
    b = tf.nn.relu(tf.nn.conv2d(a, middle, 1, "SAME"))
    return tf.nn.relu(b @ up)


@exercise.wrong("The last ReLU stands before the sum, so the block can only add. It comes after.")
def relu_before_the_sum(x, down, middle, up):
    a = tf.nn.relu(x @ down)
    b = tf.nn.relu(tf.nn.conv2d(a, middle, 1, "SAME"))
    return x + tf.nn.relu(b @ up)


@exercise.wrong("The ReLU after the last layer is missing.")
def no_last_relu(x, down, middle, up):
    a = tf.nn.relu(x @ down)
    b = tf.nn.relu(tf.nn.conv2d(a, middle, 1, "SAME"))
    return x + b @ up


@exercise.wrong("The kernel in the middle is turned: that is a true convolution.")
def turned(x, down, middle, up):
    a = tf.nn.relu(x @ down)
    b = tf.nn.relu(tf.nn.conv2d(a, middle[::-1, ::-1], 1, "SAME"))
    return tf.nn.relu(x + b @ up)


@exercise.wrong("The ReLU between the first and the second layer is missing.")
def no_first_relu(x, down, middle, up):
    b = tf.nn.relu(tf.nn.conv2d(x @ down, middle, 1, "SAME"))
    return tf.nn.relu(x + b @ up)


@exercise.wrong()
def no_second_relu(x, down, middle, up):
    b = tf.nn.conv2d(tf.nn.relu(x @ down), middle, 1, "SAME")
    return tf.nn.relu(x + b @ up)


@exercise.wrong()
def edges_drawn_out(x, down, middle, up):
    a = np.pad(np.maximum(x @ down, 0), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    b = tf.nn.relu(tf.nn.conv2d(a, middle, 1, "VALID"))
    return tf.nn.relu(x + b @ up)


@exercise.wrong()
def activations_added(x, down, middle, up):
    a = tf.nn.relu(x @ down)
    b = tf.nn.relu(tf.nn.conv2d(a, middle, 1, "SAME"))
    return tf.nn.relu(tf.nn.relu(x) + b @ up)
