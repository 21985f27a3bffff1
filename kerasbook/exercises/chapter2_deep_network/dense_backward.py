"""Backpropagation through one dense layer with a leaky ReLU."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np

exercise = Exercise(
    chapter="chapter2_deep_network",
    minutes=5,
    difficulty=1,
    points=1,
    kind="gradient",
    outputs=("gradient_x", "gradient_w", "gradient_b"),
    atol=1e-6,
    rtol=1e-5,
    forbidden=("tensorflow.GradientTape", "tensorflow.gradients"),
    hints=[
        "First go back through the bend: what arrives at the output, times the slope of the bend "
        "at the score. Where the score is negative, the slope is not 0 here.",
        "Call the result δ, (n, units). Then the chapter's rules: xᵀ δ for W, the sum over the "
        "rows for b, δ Wᵀ for x.",
        "s = x @ w + b; delta = back * np.where(s > 0, 1, leak); return delta @ w.T, x.T @ delta, "
        "delta.sum(axis=0).",
    ],
)


@exercise.stub
def dense_backward(x, w, b, back, leak):
    """The way back through one dense layer with a leaky ReLU.

    The layer computes, for scores s = x W + b,

        a = s           where s > 0
        a = leak · s    elsewhere

    so that a unit that is off lets a small part through, and never quite dies. Given is `back`, the
    gradient of the loss for a. Find those for x, W and b. No score is exactly 0.

    TensorFlow's tape is taken away.

    Practises: chapter 2, the deep network, "Backpropagation".

    Args:
        x: (n, d) float array.
        w: W, (d, units); b: (units,).
        back: (n, units), the gradient of the loss for a. Its mean has been taken already: do not
            divide by n.
        leak: number between 0 and 1.

    Returns:
        The gradients for x (n, d), W (d, units) and b (units,), float32 or float64. Tolerance:
        1e-6 + 1e-5 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    x, w = np.array([[1.0, -2.0]]), np.array([[0.5, -1.0], [-0.5, 0.25]])
    back = np.array([[1.0, 1.0]])
    yield Case("one row", {"x": x, "w": w, "b": np.zeros(2), "back": back, "leak": 0.1})


@exercise.hidden
def drawn(random):
    for number in range(4):
        n, d, units = (int(size) for size in random.integers(2, 8, 3))
        inputs = {
            "x": random.normal(size=(n, d)),
            "w": random.normal(size=(d, units)),
            "b": random.normal(size=units),
            "back": random.normal(size=(n, units)),
            "leak": float(random.uniform(0.05, 0.5)),
        }
        yield Case(f"drawn numbers {number}", inputs, unchanged=True)
    square = {name: random.normal(size=(4, 4)) for name in ("x", "w", "back")}
    yield Case("all square", square | {"b": random.normal(size=4), "leak": 0.2})


@exercise.reference
def solution(x, w, b, back, leak):
    delta = back * np.where(x @ w + b > 0, 1, leak)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


@exercise.right
def with_einsum(x, w, b, back, leak):
    s = np.einsum("nd,du->nu", x, w) + b
    delta = back * (leak + (1 - leak) * (s > 0))
    return np.einsum("nu,du->nd", delta, w), np.einsum("nd,nu->du", x, delta), delta.sum(0)


@exercise.right
def with_keras(x, w, b, back, leak):
    ops = keras.ops
    s = ops.matmul(x, w) + b
    delta = ops.where(s > 0, back, leak * back)
    return (
        ops.matmul(delta, ops.transpose(w)),
        ops.matmul(ops.transpose(x), delta),
        ops.sum(delta, axis=0),
    )


@exercise.right
def row_by_row(x, w, b, back, leak):
    gradient_x, gradient_w, gradient_b = (np.zeros_like(array) for array in (x, w, b))
    for i in range(len(x)):
        for j in range(len(b)):
            score = sum(x[i] * w[:, j]) + b[j]
            delta = back[i, j] if score > 0 else leak * back[i, j]
            gradient_x[i] += delta * w[:, j]
            gradient_w[:, j] += delta * x[i]
            gradient_b[j] += delta
    return gradient_x, gradient_w, gradient_b


@exercise.wrong(
    "Units with a negative score are switched off, as by a ReLU. This one leaks: their gradient is "
    "multiplied by `leak`."
)
def plain_relu(x, w, b, back, leak):
    delta = back * (x @ w + b > 0)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


@exercise.wrong(
    "The bend was forgotten on the way back: the gradient for the scores is `back` times the slope."
)
def no_bend(x, w, b, back, leak):
    return back @ w.T, x.T @ back, back.sum(axis=0)


@exercise.wrong("The gradient of b is the sum over the rows, not their mean: `back` has its 1/n.")
def mean_for_b(x, w, b, back, leak):
    delta = back * np.where(x @ w + b > 0, 1, leak)
    return delta @ w.T, x.T @ delta, delta.mean(axis=0)


@exercise.wrong("The slope was taken from the sign of `back`. It depends on the score x W + b.")
def slope_from_back(x, w, b, back, leak):
    delta = back * np.where(back > 0, 1, leak)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


@exercise.wrong("All gradients are divided by n once more; `back` belongs to the mean already.")
def divided_by_n(x, w, b, back, leak):
    delta = back * np.where(x @ w + b > 0, 1, leak) / len(x)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


@exercise.wrong("The score was computed without its bias, so that some units count as off or on.")
def bias_forgotten(x, w, b, back, leak):
    delta = back * np.where(x @ w > 0, 1, leak)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)


exercise.mistake("leak_where_positive", old="1, leak", new="leak, 1")
exercise.mistake("bend_after_the_weights", old="delta @ w.T", new="back @ w.T")


@exercise.wrong()
def values_in_place_of_slopes(x, w, b, back, leak):
    s = x @ w + b
    delta = back * np.where(s > 0, s, leak * s)
    return delta @ w.T, x.T @ delta, delta.sum(axis=0)
