"""The forget gate's bias (LSTM) that keeps a share of the cell for so many steps."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "First: which forget gate f, the same at every step, leaves the share after so many steps?",
        "f to the power of steps is the share. Then ask for the number whose sigmoid is f.",
        "f = share ** (1 / steps); the bias is ln(f / (1 − f)).",
    ],
)


@exercise.stub
def bias_for_memory(share, steps):
    """The bias of the forget gate with which a share of the cell is left after so many steps.

    Suppose that the gate is its bias alone, f = σ(b), at every step, and that nothing is added to
    the cell. After k steps f · f · … · f (k factors) of it is left.

    Practises: chapter 5, "How far back do gradients reach?" and "The knob, turned".

    Args:
        share: (n,) float64 array, each between 0.001 and 0.999.
        steps: (n,) int64 array, each at least 1.

    Returns:
        (n,), the bias for each pair of share and steps; float32 or float64. Tolerance: 1e-5 + 1e-4
        · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"share": np.array([0.5, 0.5]), "steps": np.array([1, 10])}
    yield Case("one half, after one step and after ten", inputs)


@exercise.hidden
def drawn(random):
    for number in range(3):
        shares, steps = random.uniform(0.001, 0.999, 6), random.integers(1, 200, 6)
        yield Case(f"drawn shares {number}", {"share": shares, "steps": steps})


@exercise.reference
def solution(share, steps):
    f = share ** (1 / steps)
    return np.log(f / (1 - f))


@exercise.right
def by_logarithms(share, steps):
    log_f = np.log(share) / steps
    return log_f - np.log(-np.expm1(log_f))


@exercise.right
def with_tensorflow(share, steps):
    f = tf.exp(tf.math.log(tf.constant(share)) / tf.cast(steps, tf.float64))
    return tf.math.log(f) - tf.math.log(1 - f)


@exercise.right
def by_bisection(share, steps):
    low, high = np.full(len(share), -40.0), np.full(len(share), 40.0)
    for _ in range(80):
        middle = (low + high) / 2
        left = (1 / (1 + np.exp(-middle))) ** steps
        low, high = np.where(left < share, middle, low), np.where(left < share, high, middle)
    return (low + high) / 2


@exercise.wrong("This is the gate f itself; asked for is the bias, whose sigmoid is f.")
def the_gate(share, steps):
    return share ** (1 / steps)


@exercise.wrong("f is divided by the number of steps. The factors multiply: take the root.")
def divided(share, steps):
    f = 1 - (1 - share) / steps
    return np.log(f / (1 - f))


@exercise.wrong("The share itself is taken as the gate: that leaves it after one step only.")
def one_step(share, steps):
    return np.log(share / (1 - share)) + 0 * steps


@exercise.wrong("The power is the wrong way round: f to the power of steps is the share.")
def power_turned(share, steps):
    f = share**steps
    with np.errstate(all="ignore"):
        return np.maximum(np.log(f / (1 - f)), -1000)


@exercise.wrong("The sign is turned: with this bias 1 − f would be the gate.")
def sign_turned(share, steps):
    f = share ** (1 / steps)
    return np.log((1 - f) / f)


@exercise.wrong()
def only_the_logarithm(share, steps):
    return np.log(share ** (1 / steps))


@exercise.wrong()
def inverse_of_the_tanh(share, steps):
    return np.arctanh(share ** (1 / steps))


exercise.mistake("one_step_too_few", old="1 / steps", new="1 / (steps + 1)")
