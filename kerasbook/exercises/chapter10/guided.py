"""Guided backpropagation through a dense network."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=10,
    minutes=20,
    difficulty=3,
    points=3,
    kind="gradient",
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Begin with the way back of chapter 2. The gradient passes a ReLU where its input is "
        "positive. Guided backpropagation asks for one thing more.",
        "At each ReLU two masks: the unit was on (its score was positive on the way forward), and "
        "what comes from above is positive.",
        "g = np.maximum(g, 0) * (scores > 0) at each ReLU, and g = g @ kernel.T below it. At the "
        "last layer there is no ReLU: begin with the column of the class.",
    ],
)


@exercise.stub
def guided_backward(x, weights, kind):
    """The guided gradient of one score for the inputs of a dense network.

    Each layer but the last is a ReLU of x @ kernel + bias; the last has no activation. The way back
    is that of the gradient, except that at each ReLU only positive numbers are let through.

    Practises: chapter 10, "A picture that is too beautiful".

    Args:
        x: (n, d) float64 array.
        weights: list of float64 arrays, kernel (inputs, units) and bias (units,) of each layer in
            turn; two layers or more.
        kind: integer, the class whose score is explained.

    Returns:
        (n, d), float32 or float64; in the first layer, below its ReLU, signs are as they come.
        Tolerance: 1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


@exercise.driver
def drive(solution, inputs, memory):
    weights = [inputs[name] for name in sorted(inputs) if name.startswith("weight")]
    return solution(inputs["x"], weights, inputs["kind"])


def inputs_of(random, n, sizes, kind):
    inputs = {"x": random.normal(size=(n, sizes[0])), "kind": kind}
    for number, (rows, units) in enumerate(zip(sizes[:-1], sizes[1:])):
        inputs[f"weight {number} kernel"] = random.normal(size=(rows, units))
        inputs[f"weight {number} last, bias"] = random.normal(size=units)
    return inputs


@exercise.public
def examples(random):
    yield Case("one hidden layer", inputs_of(random, 3, (4, 5, 2), 1))


@exercise.hidden
def drawn(random):
    for n, sizes, kind in ((4, (3, 8, 3), 2), (3, (5, 7, 6, 4), 0), (2, (4, 6, 6, 6, 3), 1)):
        inputs = inputs_of(random, n, sizes, kind)
        yield Case(f"{len(sizes) - 1} layers", inputs, unchanged=True)


@exercise.reference
def solution(x, weights, kind):
    kernels, biases = weights[::2], weights[1::2]
    scores = []
    for kernel, bias in zip(kernels[:-1], biases[:-1]):
        scores.append(x @ kernel + bias)
        x = np.maximum(scores[-1], 0)
    g = np.tile(kernels[-1][:, kind], (len(x), 1))
    for kernel, s in zip(kernels[-2::-1], scores[::-1]):
        g = (np.maximum(g, 0) * (s > 0)) @ kernel.T
    return g


@exercise.right
def with_a_custom_gradient(x, weights, kind):
    @tf.custom_gradient
    def relu(s):
        return tf.nn.relu(s), lambda g: tf.where(s > 0, tf.nn.relu(g), tf.zeros_like(g))

    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        a = x
        for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
            a = relu(a @ kernel + bias)
        score = (a @ weights[-2] + weights[-1])[:, kind]
    return tape.gradient(score, x)


@exercise.right
def recursively(x, weights, kind):
    kernel, bias, *rest = weights
    s = x @ kernel + bias
    if len(rest) == 2:
        g = np.broadcast_to(rest[0][:, kind], s.shape)
    else:
        a = np.where(s > 0, s, 0)

        def back(a, rest):
            kernel, bias, *more = rest
            s = a @ kernel + bias
            g = (
                np.broadcast_to(more[0][:, kind], s.shape)
                if len(more) == 2
                else back(s * (s > 0), more)
            )
            return np.where((s > 0) & (g > 0), g, 0) @ kernel.T

        g = back(a, rest)
    return np.where((s > 0) & (g > 0), g, 0) @ kernel.T


@exercise.right
def row_by_row(x, weights, kind):
    found = []
    for row in x:
        ons, a = [], row
        for kernel, bias in zip(weights[:-2:2], weights[1:-2:2]):
            s = a @ kernel + bias
            ons.append(s > 0)
            a = s * ons[-1]
        g = weights[-2][:, kind]
        for kernel, on in zip(reversed(weights[:-2:2]), reversed(ons)):
            g = kernel @ np.clip(g * on, 0, None)
        found.append(g)
    return np.stack(found)


exercise.mistake(
    "plain_gradient",
    "This is the gradient itself: negative numbers from above are let through.",
    old="np.maximum(g, 0) * (s > 0)",
    new="g * (s > 0)",
)
exercise.mistake(
    "without_the_units",
    "Only the sign of what comes from above is asked. Units that were off on the way forward let "
    "nothing through, either. (Yours is called a deconvnet.)",
    old="np.maximum(g, 0) * (s > 0)",
    new="np.maximum(g, 0)",
)
exercise.mistake(
    "cut_at_the_end",
    "Negative numbers are cut off once, at the inputs. They must be stopped at every ReLU.",
    old="    return g",
    new="    return np.maximum(g, 0)",
)
exercise.mistake(
    "sign_after_the_kernel",
    "The sign is asked after the product with the kernel, in place of before.",
    old="(np.maximum(g, 0) * (s > 0)) @ kernel.T",
    new="np.maximum((g * (s > 0)) @ kernel.T, 0)",
)
exercise.mistake("sizes", old="np.maximum(g, 0)", new="np.abs(g)")
exercise.mistake("biases_forgotten", old="x @ kernel + bias", new="x @ kernel")
exercise.mistake("all_classes", old="kernels[-1][:, kind]", new="kernels[-1].sum(axis=1)")
exercise.mistake("times_the_input", old="    return g", new="    return g * x[:, :1]")
exercise.mistake("masks_in_the_wrong_order", old="(s > 0)", new="(s > -1)")
