"""LoRA by hand: gradient descent on A and B beside a frozen kernel."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter7_lora",
    minutes=25,
    difficulty=2,
    points=3,
    outputs=("a", "b", "merged"),
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "First the gradient G of the loss for the whole kernel, as if it were trained: xᵀ times "
        "what comes back from the loss.",
        "The kernel is W + s A B with s = alpha / rank. So the gradient for A is s G Bᵀ, and for B "
        "it is s Aᵀ G. Both belong to the A and B from before the step.",
        "Start B with zeros: np.zeros((rank, units)). In each step compute G, then both gradients, "
        "then move both. W is not touched; the merged kernel is W + s A B.",
    ],
)


@exercise.stub
def train_adapter(x, y, kernel, a, alpha, learning_rate, steps):
    """Trains a low-rank adapter of a linear layer by gradient descent.

    The layer predicts x (W + alpha / rank · A B). W, the `kernel`, is frozen. A starts as it is
    given, B starts with zeros. The loss is the mean of the squared differences to y, over all
    examples and units; each step moves A and B at once, by the learning rate times their gradients.

    Practises: chapter 7, continued: fine-tuning with LoRA, "Where does it start?".

    Args:
        x: (n, inputs) float64.
        y: (n, units) float64.
        kernel: (inputs, units) float64.
        a: (inputs, rank) float64.
        alpha: positive number.
        learning_rate: positive float.
        steps: positive int.

    Returns:
        A and B after the last step, (inputs, rank) and (rank, units), and the merged kernel,
        (inputs, units). Tolerance: 1e-5 + 1e-4 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


def problem(random, n, inputs, units, rank, alpha, learning_rate, steps):
    """Returns the inputs of a case: the right kernel is another than the one that is given."""
    kernel, x = random.normal(size=(inputs, units)), random.normal(size=(n, inputs))
    right = kernel + random.normal(size=(inputs, 1)) * random.normal(size=units)
    return {"x": x, "y": x @ right, "kernel": kernel, "a": 0.5 * random.normal(size=(inputs, rank)),
            "alpha": alpha, "learning_rate": learning_rate, "steps": steps}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("one step", problem(random, 6, 3, 2, 1, 1.0, 0.1, 1))


@exercise.hidden
def drawn(random):
    for sizes in (
        (12, 4, 3, 2, 4.0, 0.05, 2),
        (20, 5, 5, 3, 1.5, 0.1, 12),
        (8, 3, 4, 1, 2, 0.1, 5),
    ):
        rank, alpha, steps = sizes[3], sizes[4], sizes[6]
        inputs = problem(random, *sizes)
        yield Case(f"rank {rank}, alpha {alpha}, {steps} steps", inputs, unchanged=True)


@exercise.reference
def solution(x, y, kernel, a, alpha, learning_rate, steps):
    scale, merged = alpha / a.shape[1], kernel
    b = np.zeros((a.shape[1], y.shape[1]))
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ merged - y) / y.size
        for_a, for_b = scale * gradient @ b.T, scale * a.T @ gradient
        a, b = a - learning_rate * for_a, b - learning_rate * for_b
        merged = kernel + scale * a @ b
    return a, b, merged


@exercise.right
def with_a_tape(x, y, kernel, a, alpha, learning_rate, steps):
    a = tf.Variable(a)
    b = tf.Variable(tf.zeros((a.shape[1], y.shape[1]), tf.float64))
    for _ in range(int(steps)):
        with tf.GradientTape() as tape:
            merged = kernel + alpha / a.shape[1] * a @ b
            loss = tf.reduce_mean((x @ merged - y) ** 2)
        for variable, gradient in zip((a, b), tape.gradient(loss, (a, b))):
            variable.assign_sub(learning_rate * gradient)
    return a, b, kernel + alpha / a.shape[1] * a @ b


@exercise.right
def example_by_example(x, y, kernel, a, alpha, learning_rate, steps):
    a, s = a.copy(), alpha / a.shape[1]
    b = np.zeros((a.shape[1], y.shape[1]))
    for _ in range(steps):
        for_a, for_b = np.zeros_like(a), np.zeros_like(b)
        for row, target in zip(x, y):
            error = 2 * (row @ kernel + s * (row @ a) @ b - target) / y.size
            for_a += s * np.outer(row, b @ error)
            for_b += s * np.outer(row @ a, error)
        a -= learning_rate * for_a
        b -= learning_rate * for_b
    return a, b, kernel + s * a @ b


@exercise.right
def with_the_residual(x, y, kernel, a, alpha, learning_rate, steps):
    a, b = np.array(a), np.zeros((a.shape[1], y.shape[1]))
    scale, left = alpha / a.shape[1], y - x @ kernel
    for _ in range(steps):
        back = -2 / y.size * (left - scale * x @ a @ b)
        for_b = scale * (x @ a).T @ back
        a -= learning_rate * scale * x.T @ (back @ b.T)
        b -= learning_rate * for_b
    return a, b, kernel + scale * a @ b


exercise.mistake(
    "frozen_weights_trained",
    "The kernel is trained, too. It is frozen: only A and B move.",
    old="        merged = kernel + scale * a @ b",
    new="        kernel = kernel - learning_rate * gradient\n"
    "        merged = kernel + scale * a @ b",
)
exercise.mistake(
    "both_zero",
    "A and B both start with zeros. Then both gradients are zero, and nothing is ever learned.",
    old="    for _ in range(steps):",
    new="    a = np.zeros_like(a)\n    for _ in range(steps):",
)
exercise.mistake(
    "start_changed",
    "B does not start with zeros, so the very first prediction is another than the layer's.",
    old="b = np.zeros((a.shape[1], y.shape[1]))",
    new="b = np.ones((a.shape[1], y.shape[1]))\n    merged = kernel + scale * a @ b",
)
exercise.mistake(
    "scale_forgotten",
    "alpha / rank is missing from the prediction and from the gradients.",
    old="scale, merged = alpha / a.shape[1], kernel",
    new="scale, merged = 1.0, kernel",
)
exercise.mistake(
    "not_in_the_gradient",
    "The change is scaled by alpha / rank, so both gradients are, too.",
    old="scale * gradient @ b.T, scale * a.T @ gradient",
    new="gradient @ b.T, a.T @ gradient",
)
exercise.mistake(
    "merged_twice",
    "You go on from the merged kernel and add the whole change again. Add it to the old kernel.",
    old="        merged = kernel + scale * a @ b",
    new="        merged = merged + scale * a @ b",
)
exercise.mistake(
    "one_after_the_other",
    "B moves by the A of after the step. Both gradients belong to the same place.",
    old="        a, b = a - learning_rate * for_a, b - learning_rate * for_b",
    new="        a = a - learning_rate * for_a\n"
    "        b = b - learning_rate * scale * a.T @ gradient",
)
exercise.mistake("a_frozen", old="a, b = a - learning_rate * for_a,", new="a, b = a,")
exercise.mistake("mean_over_the_examples", old="/ y.size", new="/ len(y)")
exercise.mistake("two_forgotten", old="2 * x.T @", new="x.T @")
exercise.mistake("alpha_alone", old="alpha / a.shape[1], kernel", new="alpha, kernel")
exercise.mistake("one_step_too_few", old="range(steps)", new="range(steps - 1)")
