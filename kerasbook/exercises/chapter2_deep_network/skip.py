"""Backpropagation through a skip connection, where two paths meet."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter2_deep_network",
    minutes=45,
    difficulty=3,
    points=5,
    kind="gradient",
    outputs=("loss", "gradient_x", "gradient_w1", "gradient_w2", "gradient_w3"),
    atol=1e-6,
    rtol=1e-4,
    forbidden=("tensorflow.GradientTape", "tensorflow.gradients"),
    hints=[
        "Go back as the chapter does: begin with probability minus truth, divided by n, and keep "
        "every array of the forward pass. Only the bend and the place where a₁ is used twice are "
        "new.",
        "The slope of tanh is 1 − tanh². For that you need t = tanh(a₁ W₂) itself, not a₂ = t + "
        "a₁. And a₁ feeds two places, so its gradient is the sum of what comes back from both.",
        "δ₃ = (p − truth) / n; gradient of a₂: back = δ₃ W₃ᵀ; δ₂ = back · (1 − t²); gradient of "
        "a₁: δ₂ W₂ᵀ + back; δ₁ = that · (1 − a₁²). Then a₂ᵀ δ₃, a₁ᵀ δ₂, xᵀ δ₁ are the weights' "
        "gradients, and δ₁ W₁ᵀ is that of x.",
    ],
)


@exercise.stub
def skip_gradients(x, labels, w1, w2, w3):
    """The loss of a network with a skip connection, and its gradients, without a tape.

    Deep networks are trained with paths around their layers. Backpropagation needs no new rule
    for them: what is used in two places gets the sum of the gradients from both. The network is

        a₁ = tanh(x W₁)            (n, m)
        a₂ = tanh(a₁ W₂) + a₁      (n, m), the skip connection
        z  = a₂ W₃                 (n, K), the scores

    and the loss the mean over the n examples of the cross-entropy between softmax(z) and the true
    class. There are no biases. The gradient for x is asked for as well: it says which input the
    loss depends on.

    TensorFlow's tape is taken away.

    Practises: chapter 2, the deep network, "Backpropagation".

    Args:
        x: (n, d) float array.
        labels: (n,) int array, the true classes 0 … K − 1.
        w1, w2, w3: W₁ (d, m), W₂ (m, m), W₃ (m, K), float arrays.

    Returns:
        The loss, a number, and its gradients for x, W₁, W₂, W₃, each of its array's shape;
        float32 or float64. Tolerance: 1e-6 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"x": np.array([[1.0, -1.0], [0.5, 2.0]]), "labels": np.array([0, 1])}
    inputs |= {"w1": np.array([[0.5, -0.2], [0.1, 0.3]]), "w2": np.array([[0.4, 0.0], [0.2, -0.6]])}
    yield Case("two examples", inputs | {"w3": np.array([[1.0, 0.0], [-1.0, 0.5]])})


@exercise.hidden
def drawn(random):
    for n, d, m, classes in ((12, 4, 5, 3), (1, 3, 2, 4), (7, 1, 3, 2), (20, 6, 1, 5)):
        inputs = {
            "x": random.normal(size=(n, d)),
            "labels": random.integers(0, classes, n),
            "w1": random.normal(size=(d, m)) / d**0.5,
            "w2": random.normal(size=(m, m)) / m**0.5,
            "w3": random.normal(size=(m, classes)),
        }
        yield Case(f"n {n}, d {d}, m {m}, K {classes}", inputs, unchanged=True)


@exercise.reference
def solution(x, labels, w1, w2, w3):
    a1 = np.tanh(x @ w1)  # (n, m)
    t = np.tanh(a1 @ w2)
    a2 = t + a1
    z = a2 @ w3  # (n, K)
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(len(x))
    loss = -log_p[rows, labels].mean()
    delta_3 = np.exp(log_p) / len(x)
    delta_3[rows, labels] -= 1 / len(x)
    back = delta_3 @ w3.T  # gradient of a2
    delta_2 = back * (1 - t**2)
    delta_1 = (delta_2 @ w2.T + back) * (1 - a1**2)
    return loss, delta_1 @ w1.T, x.T @ delta_1, a1.T @ delta_2, a2.T @ delta_3


@exercise.right
def with_tensorflow(x, labels, w1, w2, w3):
    x, w1, w2, w3 = (tf.constant(array) for array in (x, w1, w2, w3))
    a1 = tf.tanh(x @ w1)
    t = tf.tanh(a1 @ w2)
    z = (t + a1) @ w3
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=z))
    delta_3 = (tf.nn.softmax(z) - tf.one_hot(labels, z.shape[1], dtype=z.dtype)) / x.shape[0]
    back = tf.matmul(delta_3, w3, transpose_b=True)
    delta_2 = back * (1 - t * t)
    delta_1 = (tf.matmul(delta_2, w2, transpose_b=True) + back) * (1 - a1 * a1)
    return (
        loss,
        tf.matmul(delta_1, w1, transpose_b=True),
        tf.matmul(x, delta_1, transpose_a=True),
        tf.matmul(a1, delta_2, transpose_a=True),
        tf.matmul(t + a1, delta_3, transpose_a=True),
    )


@exercise.right
def one_example_at_a_time(x, labels, w1, w2, w3):
    n, loss = len(x), 0.0
    gradient_x = np.zeros_like(x)
    gradients = [np.zeros_like(w) for w in (w1, w2, w3)]
    for i in range(n):
        a1 = np.tanh(x[i] @ w1)
        t = np.tanh(a1 @ w2)
        z = (t + a1) @ w3
        p = np.exp(z - z.max())
        p /= p.sum()
        loss -= np.log(p[labels[i]]) / n
        p[labels[i]] -= 1
        back = w3 @ p / n
        through = back / np.cosh(a1 @ w2) ** 2
        down = (w2 @ through + back) / np.cosh(x[i] @ w1) ** 2
        gradient_x[i] = w1 @ down
        gradients[0] += np.outer(x[i], down)
        gradients[1] += np.outer(a1, through)
        gradients[2] += np.outer(t + a1, p / n)
    return loss, gradient_x, *gradients


@exercise.right
def with_finite_differences(x, labels, w1, w2, w3):
    arrays = [np.array(array, "float64") for array in (x, w1, w2, w3)]

    def loss():
        x, w1, w2, w3 = arrays
        a1 = np.tanh(x @ w1)
        z = (np.tanh(a1 @ w2) + a1) @ w3
        top = z.max(axis=1)
        return np.mean(
            top + np.log(np.exp(z - top[:, np.newaxis]).sum(1)) - z[np.arange(len(x)), labels]
        )

    gradients = []
    for array in arrays:
        slopes = np.zeros_like(array)
        for index in np.ndindex(array.shape):
            kept = array[index]
            array[index] = kept + 1e-5
            above = loss()
            array[index] = kept - 1e-5
            slopes[index] = (above - loss()) / 2e-5
            array[index] = kept
        gradients.append(slopes)
    return loss(), *gradients


@exercise.right
def with_keras_operations_in_single_precision(x, labels, w1, w2, w3):
    ops = keras.ops
    x, w1, w2, w3 = (ops.convert_to_tensor(array, "float32") for array in (x, w1, w2, w3))
    a1 = ops.tanh(ops.matmul(x, w1))
    t = ops.tanh(ops.matmul(a1, w2))
    z = ops.matmul(t + a1, w3)
    truth = ops.one_hot(labels, z.shape[1])
    loss = ops.mean(ops.logsumexp(z, axis=1) - ops.sum(truth * z, axis=1))
    delta_3 = (ops.softmax(z) - truth) / x.shape[0]
    back = ops.matmul(delta_3, ops.transpose(w3))
    delta_2 = back * (1 - t**2)
    delta_1 = (ops.matmul(delta_2, ops.transpose(w2)) + back) * (1 - a1**2)
    return (
        loss,
        ops.matmul(delta_1, ops.transpose(w1)),
        ops.matmul(ops.transpose(x), delta_1),
        ops.matmul(ops.transpose(a1), delta_2),
        ops.matmul(ops.transpose(t + a1), delta_3),
    )


exercise.mistake(
    "skip_forgotten_on_the_way_back",
    "The skip connection is missing on the way back: a₁ goes into a₂ directly as well, and the "
    "gradient of a₂ comes back to it by that way too.",
    old="delta_2 @ w2.T + back",
    new="delta_2 @ w2.T",
)
exercise.mistake(
    "slope_of_a2",
    "The slope of tanh was taken from a₂, which is tanh plus the skip. 1 − tanh² needs the value "
    "of tanh alone.",
    old="t**2",
    new="a2**2",
)
exercise.mistake(
    "gate_of_a_relu",
    "A tanh does not switch units off: [a > 0] is the slope of a ReLU. That of tanh is 1 − tanh².",
    old="delta_2 = back * (1 - t**2)\n    delta_1 = (delta_2 @ w2.T + back) * (1 - a1**2)",
    new="delta_2 = back * (t > 0)\n    delta_1 = (delta_2 @ w2.T + back) * (a1 > 0)",
)
exercise.mistake(
    "gradients_of_the_sum",
    "The gradients belong to the sum of the losses; the loss is their mean.",
    old="delta_3 = np.exp(log_p) / len(x)\n    delta_3[rows, labels] -= 1 / len(x)",
    new="delta_3 = np.exp(log_p)\n    delta_3[rows, labels] -= 1",
)
exercise.mistake(
    "bend_after_the_skip",
    "On the way back the skip was sent through the bend, with the "
    "slope 1 − t². It joins tanh(a₁ W₂) after the bend, so its gradient is that of a₂.",
    old="delta_2 @ w2.T + back",
    new="delta_2 @ w2.T + delta_2",
)


@exercise.wrong()
def no_skip_at_all(x, labels, w1, w2, w3):
    a1 = np.tanh(x @ w1)
    t = np.tanh(a1 @ w2)
    a2 = t
    z = a2 @ w3
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    rows = np.arange(len(x))
    loss = -log_p[rows, labels].mean()
    delta_3 = np.exp(log_p) / len(x)
    delta_3[rows, labels] -= 1 / len(x)
    back = delta_3 @ w3.T
    delta_2 = back * (1 - t**2)
    delta_1 = (delta_2 @ w2.T) * (1 - a1**2)
    return loss, delta_1 @ w1.T, x.T @ delta_1, a1.T @ delta_2, a2.T @ delta_3


exercise.mistake(
    "gradient_of_x_stops_early",
    old="delta_1 @ w1.T",
    new="(delta_2 @ w2.T + back) @ w1.T",
)
exercise.mistake("skip_counted_twice", old="T +", new="T + 2 *")
exercise.mistake("w2_not_transposed", old="w2.T", new="w2")
exercise.mistake("truth_forgotten", old="delta_3[rows, labels] -= 1 / len(x)", new="")
exercise.mistake(
    "tanh_not_squared",
    old="delta_2 = back * (1 - t**2)\n    delta_1 = (delta_2 @ w2.T + back) * (1 - a1**2)",
    new="delta_2 = back * (1 - t)\n    delta_1 = (delta_2 @ w2.T + back) * (1 - a1)",
)
