"""Nesterov's momentum, which looks ahead."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=20,
    difficulty=2,
    points=2,
    outputs=("w", "velocity"),
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "Write plain momentum first, as in the chapter. One thing changes: the place where the "
        "gradient is taken.",
        "That place is a point of its own, ahead = w + momentum · velocity. The weights "
        "themselves move from w, not from there.",
        "In each step: ahead = w + momentum * velocity; gradient = 2 * x.T @ (x @ ahead − y) / n; "
        "velocity = momentum * velocity − learning_rate * gradient; w = w + velocity.",
    ],
)


@exercise.stub
def nesterov(x, y, w, velocity, learning_rate, momentum, steps):
    """Weights and velocity after some steps of descent with Nesterov's momentum.

    A ball with momentum β overshoots because it learns of the opposite slope only when it is on
    it. Nesterov's ball looks at the slope where its momentum alone would carry it:

        v ← β v − η · ∇L(w + β v)
        w ← w + v

    L(w) = mean over i of (x_i · w − y_i)² is the chapter's loss without a bias, ∇L(w) its
    gradient, of w's shape, and η the learning rate. All n examples are used in every step.

    Practises: chapter 1, "A canyon"

    Args:
        x: (n, d) float array.
        y: (n,) float array.
        w: (d,) float array, the weights at the start.
        velocity: (d,) float array, v at the start; it need not be zero.
        learning_rate, momentum: numbers, η and β.
        steps: int ≥ 0, how often both lines are done.

    Returns:
        w and velocity after the steps, (d,) float arrays each; float32 or float64.
        Tolerance: 1e-5 + 1e-4 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"x": np.array([[1.0], [2.0]]), "y": np.array([1.0, 4.0]), "w": np.array([0.0])}
    inputs |= {"velocity": np.array([0.5]), "learning_rate": 0.1, "momentum": 0.8}
    yield Case("one step", inputs | {"steps": 1})
    yield Case("two steps", inputs | {"steps": 2})


@exercise.hidden
def drawn(random):
    for n, d, steps in ((7, 3, 1), (20, 2, 5), (31, 5, 12), (1, 2, 3), (9, 1, 2), (5, 4, 0)):
        x = random.normal(size=(n, d))
        steepest = np.linalg.eigvalsh(2 * x.T @ x / n).max()
        inputs = {
            "x": x,
            "y": random.normal(size=n),
            "w": random.normal(size=d),
            "velocity": random.normal(size=d),
            "learning_rate": float(random.uniform(0.3, 0.9) / steepest),
            "momentum": float(random.uniform(0.5, 0.9)),
            "steps": steps,
        }
        yield Case(f"{n} examples, {d} features, {steps} steps", inputs, unchanged=True)


@exercise.reference
def solution(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        ahead = w + momentum * velocity  # (d,)
        gradient = 2 * x.T @ (x @ ahead - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.right
def with_a_tape(x, y, w, velocity, learning_rate, momentum, steps):
    x, y, w, velocity = (tf.constant(array) for array in (x, y, w, velocity))
    for _ in range(steps):
        ahead = w + momentum * velocity
        with tf.GradientTape() as tape:
            tape.watch(ahead)
            loss = tf.reduce_mean((tf.linalg.matvec(x, ahead) - y) ** 2)
        velocity = momentum * velocity - learning_rate * tape.gradient(loss, ahead)
        w = w + velocity
    return w, velocity


@exercise.right
def with_a_keras_optimizer(x, y, w, velocity, learning_rate, momentum, steps):
    # Keras keeps the point ahead as its weights, so we start there and go back in the end.
    ahead = tf.Variable(w + momentum * velocity)
    optimizer = keras.optimizers.SGD(learning_rate, momentum=momentum, nesterov=True)
    optimizer.build([ahead])
    optimizer.momentums[0].assign(velocity)
    for _ in range(steps):
        error = x @ ahead.numpy() - y
        optimizer.apply([tf.constant(2 * x.T @ error / len(x))], [ahead])
    velocity = np.array(optimizer.momentums[0])
    return ahead.numpy() - momentum * velocity, velocity


@exercise.right
def with_loops(x, y, w, velocity, learning_rate, momentum, steps):
    n, d = x.shape
    w, velocity = [float(v) for v in w], [float(v) for v in velocity]
    for _ in range(steps):
        ahead = [w[j] + momentum * velocity[j] for j in range(d)]
        gradient = [0.0] * d
        for i in range(n):
            error = sum(x[i, j] * ahead[j] for j in range(d)) - y[i]
            for j in range(d):
                gradient[j] += 2 * error * x[i, j] / n
        for j in range(d):
            velocity[j] = momentum * velocity[j] - learning_rate * gradient[j]
            w[j] += velocity[j]
    return np.array(w), np.array(velocity)


@exercise.right
def with_the_system_of_the_loss(x, y, w, velocity, learning_rate, momentum, steps):
    curvature, slope = 2 * x.T @ x / len(x), 2 * x.T @ y / len(x)
    for _ in range(steps):
        carried = momentum * velocity
        velocity = carried - learning_rate * (curvature @ (w + carried) - slope)
        w = w + velocity
    return w.astype("float32"), velocity.astype("float32")


@exercise.wrong("This is plain momentum: the gradient is taken at w, not where v would carry it.")
def plain_momentum(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.wrong(
    "The step starts at the point ahead, so that β v is gone twice. Look from there, but move "
    "from w."
)
def moved_from_ahead(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        w = w + momentum * velocity
        gradient = 2 * x.T @ (x @ w - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.wrong("The look ahead goes too far: momentum alone carries w by β v, not by v.")
def looked_too_far(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ (w + velocity) - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.wrong("The gradient lacks its 2: this loss has no half in front.")
def factor_forgotten(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = x.T @ (x @ (w + momentum * velocity) - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.wrong(
    "The weights returned are those of the point ahead, w + β v, as Keras keeps them; w itself is "
    "asked for."
)
def point_ahead_returned(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ (w + momentum * velocity) - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w + momentum * velocity, velocity


@exercise.wrong()
def started_at_rest(x, y, w, velocity, learning_rate, momentum, steps):
    velocity = np.zeros_like(w)
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ (w + momentum * velocity) - y) / len(x)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.wrong()
def sum_of_the_errors(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ (w + momentum * velocity) - y)
        velocity = momentum * velocity - learning_rate * gradient
        w = w + velocity
    return w, velocity


@exercise.wrong()
def one_step_only(x, y, w, velocity, learning_rate, momentum, steps):
    gradient = 2 * x.T @ (x @ (w + momentum * velocity) - y) / len(x)
    velocity = momentum * velocity - learning_rate * gradient
    return w + velocity, velocity


@exercise.wrong()
def inputs_written_to(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ (w + momentum * velocity) - y) / len(x)
        velocity *= momentum
        velocity -= learning_rate * gradient
        w += velocity
    return w, velocity


@exercise.wrong()
def order_swapped(x, y, w, velocity, learning_rate, momentum, steps):
    for _ in range(steps):
        gradient = 2 * x.T @ (x @ (w + momentum * velocity) - y) / len(x)
        w = w + velocity
        velocity = momentum * velocity - learning_rate * gradient
    return w, velocity
