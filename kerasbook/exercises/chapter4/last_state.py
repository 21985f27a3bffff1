"""The last state of a simple recurrent network (RNN), time first."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "One loop. Which axis of x is time here, and which shape has x at one step?",
        "The state begins as zeros (n, units). Each step makes a new one of x[t] and the old one.",
        "h = np.zeros((x.shape[1], len(bias))); for x_t in x: h = np.maximum(x_t @ kernel + "
        "h @ recurrent_kernel + bias, 0); return h.",
    ],
)


@exercise.stub
def last_state(x, kernel, recurrent_kernel, bias):
    """The last state of a simple recurrent network with a ReLU, for sequences laid out by time.

    Some libraries put time first: x[t] holds step t of all sequences. With the ReLU in place of
    the tanh, the network is

        h_t = max(x_t W + h_{t−1} U + b, 0),   h_0 = 0.

    Practises: chapter 4, "A simple recurrent network, by hand".

    Args:
        x: (time, n, inputs) float64 array; time and n are at least 1.
        kernel: W, (inputs, units) float64 array.
        recurrent_kernel: U, (units, units) float64 array.
        bias: b, (units,) float64 array.

    Returns:
        (n, units), the states after the last step; float32 or float64. Tolerance: 1e-5 + 1e-4 ·
        |expected|.
    """
    raise NotImplementedError


def drawn_inputs(random, time, n, inputs, units):
    return {
        "x": random.normal(size=(time, n, inputs)),
        "kernel": random.normal(size=(inputs, units)),
        "recurrent_kernel": random.normal(0, 0.5, size=(units, units)),
        "bias": random.normal(size=units),
    }


@exercise.public
def examples(random):
    inputs = {
        "x": np.array([[[1.0]], [[2.0]]]),
        "kernel": np.array([[1.0]]),
        "recurrent_kernel": np.array([[0.5]]),
        "bias": np.array([0.0]),
    }
    yield Case("one unit, one sequence of two steps", inputs)
    yield Case("four sequences of three steps", drawn_inputs(random, 3, 4, 2, 3))


@exercise.hidden
def drawn(random):
    for time, n, inputs, units in ((1, 3, 2, 4), (5, 5, 3, 3), (6, 2, 4, 5), (4, 4, 4, 4)):
        yield Case(f"{time} steps, {n} sequences", drawn_inputs(random, time, n, inputs, units))


@exercise.reference
def solution(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x:
        h = np.maximum(x_t @ kernel + h @ recurrent_kernel + bias, 0)
    return h


@exercise.right
def products_first(x, kernel, recurrent_kernel, bias):
    sums = x @ kernel + bias  # (time, n, units), all steps at once
    h = np.maximum(sums[0], 0)
    for t in range(1, len(x)):
        h = np.maximum(sums[t] + h @ recurrent_kernel, 0)
    return h


@exercise.right
def with_tensorflow(x, kernel, recurrent_kernel, bias):
    h = tf.zeros((x.shape[1], bias.shape[0]), tf.float64)
    for x_t in tf.unstack(tf.constant(x)):
        h = tf.nn.relu(x_t @ kernel + h @ recurrent_kernel + bias)
    return h


@exercise.right
def side_by_side(x, kernel, recurrent_kernel, bias):
    both = np.concatenate([kernel, recurrent_kernel])
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x:
        h = np.concatenate([x_t, h], axis=1) @ both + bias
        h = np.where(h > 0, h, 0)
    return h


@exercise.wrong("You read along the second axis. Here time is the first: x[t] is step t of all.")
def time_second(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[0], len(bias)))
    for t in range(x.shape[1]):
        h = np.maximum(x[:, t] @ kernel + h @ recurrent_kernel + bias, 0)
    return h


@exercise.wrong("This is the tanh of the chapter; asked for is the ReLU, max(…, 0).")
def with_tanh(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x:
        h = np.tanh(x_t @ kernel + h @ recurrent_kernel + bias)
    return h


@exercise.wrong("The state is not handed on: every step begins with zeros again.")
def state_lost(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x:
        new = np.maximum(x_t @ kernel + h @ recurrent_kernel + bias, 0)
    return new


@exercise.wrong("You return the states of all steps; asked for is the last one, (n, units).")
def all_states(x, kernel, recurrent_kernel, bias):
    h, states = np.zeros((x.shape[1], len(bias))), []
    for x_t in x:
        h = np.maximum(x_t @ kernel + h @ recurrent_kernel + bias, 0)
        states.append(h)
    return np.stack(states)


@exercise.wrong("U is transposed: the state is multiplied from the left, h U.")
def transposed(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x:
        h = np.maximum(x_t @ kernel + h @ recurrent_kernel.T + bias, 0)
    return h


@exercise.wrong("Time runs backwards: the first step is x[0].")
def backwards(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x[::-1]:
        h = np.maximum(x_t @ kernel + h @ recurrent_kernel + bias, 0)
    return h


exercise.mistake("no_bias", old="+ bias", new="")


@exercise.wrong()
def relu_at_the_end(x, kernel, recurrent_kernel, bias):
    h = np.zeros((x.shape[1], len(bias)))
    for x_t in x:
        h = x_t @ kernel + h @ recurrent_kernel + bias
    return np.maximum(h, 0)
