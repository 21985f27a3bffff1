"""A layer: the minimal gated unit, with a mask."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=35,
    difficulty=2,
    points=4,
    kind="layer",
    outputs=("states", "last"),
    atol=1e-5,
    rtol=1e-4,
    forbidden=(
        "keras.layers.RNN",
        "keras.layers.GRU",
        "keras.layers.GRUCell",
        "keras.layers.LSTM",
        "keras.layers.SimpleRNN",
        "keras.layers.SimpleRNNCell",
    ),
    hints=[
        "First one step for n rows, without a mask: two products for f, two for the candidate, and "
        "the mixture. Chapter 4's gru_step is its relative, with one gate more.",
        "Compute the new state for every row, and then choose row by row: the new one where the "
        "mask is true, the old one where it is false. The state after step t goes into states.",
        "f = σ(x_t W_f + h U_f + b_f); c = tanh(x_t W_c + (f · h) U_c + b_c); new = (1 − f) · h + "
        "f · c; h = where(mask[:, t, None], new, h); states[:, t] = h. A mask of None is all true.",
    ],
)


@exercise.stub
def minimal_gated_unit(x, mask, kernel, recurrent_kernel, bias, initial_state):
    """The states of a minimal gated unit, which reads sequences of different lengths.

    A GRU has two gates. The minimal gated unit (Zhou and others, 2016) has one, f, which does the
    work of both: it says how much of the old state the candidate may see, and how much of the
    candidate goes into the new state:

        f_t = σ(x_t W_f + h_{t−1} U_f + b_f)
        c_t = tanh(x_t W_c + (f_t ⊙ h_{t−1}) U_c + b_c)
        h_t = (1 − f_t) ⊙ h_{t−1} + f_t ⊙ c_t

    Where the mask is false nothing is read: h_t = h_{t−1}. A mask may have its false places
    anywhere, at the beginning, between two words, or in the whole row.

    Practises: chapter 4, "Gates, one at a time".

    Args:
        x: (n, time, inputs) float array.
        mask: (n, time) bool array, or None: everything is read.
        kernel: (inputs, 2 · units) float array, W_f and W_c side by side.
        recurrent_kernel: (units, 2 · units) float array, U_f and U_c.
        bias: (2 · units,) float array, b_f and b_c.
        initial_state: h_0, (n, units) float array.

    Returns:
        states (n, time, units), h_t at every step, and last (n, units), the state at the end; a
        tuple, float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|. Forbidden: the recurrent
        layers of Keras.
    """
    raise NotImplementedError


def drawn_inputs(random, n, time, width, units, dtype="float64"):
    """Random inputs without a mask."""
    shapes = {
        "x": (n, time, width),
        "kernel": (width, 2 * units),
        "recurrent_kernel": (units, 2 * units),
        "bias": (2 * units,),
        "initial_state": (n, units),
    }
    inputs = {name: random.normal(size=shape).astype(dtype) for name, shape in shapes.items()}
    return inputs | {"mask": None}


@exercise.public
def examples(random):
    inputs = {
        "x": np.array([[[1.0], [2.0], [0.0]]]),
        "mask": None,
        "kernel": np.array([[0.0, 1.0]]),
        "recurrent_kernel": np.array([[0.0, 1.0]]),
        "bias": np.zeros(2),
        "initial_state": np.zeros((1, 1)),
    }
    yield Case("one unit, its gate always one half", inputs)
    yield Case(
        "two units, padding", drawn_inputs(random, 2, 4, 3, 2) | {"mask": np.eye(2, 4) < 0.5}
    )


@exercise.hidden
def drawn(random):
    yield Case("no mask", drawn_inputs(random, 2, 5, 3, 4))
    yield Case("one row, one step", drawn_inputs(random, 1, 1, 2, 3))
    lengths = np.array([5, 2, 1])
    mask = np.arange(6) < lengths[:, np.newaxis]
    yield Case("rows of different lengths", drawn_inputs(random, 3, 6, 2, 2) | {"mask": mask})
    mask = np.arange(5) >= np.array([[3], [0]])
    yield Case("late beginnings", drawn_inputs(random, 2, 5, 3, 2) | {"mask": mask})
    mask = random.random((4, 7)) < 0.6
    mask[0], mask[1] = False, [1, 0, 1, 0, 0, 1, 0]
    inputs = drawn_inputs(random, 4, 7, 3, 3, "float32")
    yield Case("a drawn mask", inputs | {"mask": mask}, weight=2, unchanged=True)


@exercise.reference
def solution(x, mask, kernel, recurrent_kernel, bias, initial_state):
    units = len(recurrent_kernel)
    h, states = initial_state, []
    for t in range(x.shape[1]):
        from_x = x[:, t] @ kernel + bias  # (n, 2 · units)
        f = 1 / (1 + np.exp(-from_x[:, :units] - h @ recurrent_kernel[:, :units]))
        c = np.tanh(from_x[:, units:] + (f * h) @ recurrent_kernel[:, units:])
        new = (1 - f) * h + f * c
        h = new if mask is None else np.where(mask[:, t, np.newaxis], new, h)
        states.append(h)
    return np.stack(states, axis=1), h


@exercise.right
def with_tensorflow(x, mask, kernel, recurrent_kernel, bias, initial_state):
    w_f, w_c = tf.split(tf.constant(kernel), 2, axis=1)
    u_f, u_c = tf.split(tf.constant(recurrent_kernel), 2, axis=1)
    b_f, b_c = tf.split(tf.constant(bias), 2)
    read = np.ones(x.shape[:2]) if mask is None else mask
    h, states = tf.constant(initial_state), []
    for x_t, read_t in zip(tf.unstack(x, axis=1), tf.unstack(tf.cast(read, x.dtype), axis=1)):
        f = tf.sigmoid(x_t @ w_f + h @ u_f + b_f)
        c = tf.tanh(x_t @ w_c + (f * h) @ u_c + b_c)
        h += read_t[:, tf.newaxis] * f * (c - h)  # nothing is added where nothing is read
        states.append(h)
    return tf.stack(states, axis=1), h


@exercise.right
def with_keras(x, mask, kernel, recurrent_kernel, bias, initial_state):
    ops = keras.ops
    units = initial_state.shape[1]
    mask = ops.ones(x.shape[:2], "bool") if mask is None else ops.convert_to_tensor(mask)
    projected = ops.matmul(ops.convert_to_tensor(x), kernel) + bias  # all steps at once
    h, states = ops.convert_to_tensor(initial_state), []
    for t in range(x.shape[1]):
        gate = projected[:, t, :units] + ops.matmul(h, recurrent_kernel[:, :units])
        f = ops.sigmoid(gate)
        reset = ops.matmul(ops.multiply(f, h), recurrent_kernel[:, units:])
        c = ops.tanh(projected[:, t, units:] + reset)
        new = ops.add(h, ops.multiply(f, ops.subtract(c, h)))
        h = ops.where(mask[:, t : t + 1], new, h)
        states.append(h)
    return ops.stack(states, axis=1), states[-1]


@exercise.right
def row_by_row(x, mask, kernel, recurrent_kernel, bias, initial_state):
    n, time, _ = x.shape
    units = initial_state.shape[1]
    states = np.empty((n, time, units))
    for row in range(n):
        h = initial_state[row]
        for t in range(time):
            if mask is None or mask[row, t]:
                gate = x[row, t] @ kernel[:, :units] + h @ recurrent_kernel[:, :units]
                f = 1 / (1 + np.exp(-(gate + bias[:units])))
                seen = x[row, t] @ kernel[:, units:] + (f * h) @ recurrent_kernel[:, units:]
                h = (1 - f) * h + f * np.tanh(seen + bias[units:])
            states[row, t] = h
    return states, states[:, -1]


exercise.mistake(
    "gate_turned",
    "f and 1 − f have changed places: here f is the share of the candidate in the new state. (In "
    "Keras' GRU z is the share of the old one.)",
    old="(1 - f) * h + f * c",
    new="f * h + (1 - f) * c",
)
exercise.mistake(
    "reset_after",
    "You multiply by f after the product, f ⊙ (h U_c). Here it stands before, (f ⊙ h) U_c: the two "
    "are different networks.",
    old="(f * h) @ recurrent_kernel[:, units:]",
    new="f * (h @ recurrent_kernel[:, units:])",
)
exercise.mistake(
    "padding_read",
    "The mask is not obeyed: your network reads the padding too.",
    old=(
        "new = (1 - f) * h + f * c\n"
        "        h = new if mask is None else np.where(mask[:, t, np.newaxis], new, h)"
    ),
    new="h = (1 - f) * h + f * c",
)
exercise.mistake(
    "state_erased",
    "Where nothing is read you set the state to zero, and what was read before is lost. The state "
    "must stay as it was.",
    old="new, h",
    new="new, 0",
)


@exercise.wrong(
    "You set the inputs of masked steps to zero and read on. But a step with x = 0 changes the "
    "state too, by h U and the bias: the step must be left out."
)
def inputs_erased(x, mask, kernel, recurrent_kernel, bias, initial_state):
    units = len(recurrent_kernel)
    h, states = initial_state, []
    x = x if mask is None else x * mask[:, :, np.newaxis]
    for t in range(x.shape[1]):
        from_x = x[:, t] @ kernel + bias
        f = 1 / (1 + np.exp(-from_x[:, :units] - h @ recurrent_kernel[:, :units]))
        c = np.tanh(from_x[:, units:] + (f * h) @ recurrent_kernel[:, units:])
        h = (1 - f) * h + f * c
        states.append(h)
    return np.stack(states, axis=1), h


exercise.mistake(
    "outputs_erased",
    "Your states are zero where the mask is false. They are to be the state that stays, also where "
    "nothing is read.",
    old="states.append(h)",
    new="states.append(h if mask is None else h * mask[:, t, np.newaxis])",
)
exercise.mistake(
    "mask_as_length",
    "You take the mask for a length: a row is read from its first step for as many steps as the "
    "mask has true places. False places may stand anywhere.",
    old="[]",
    new=(
        "[]\n"
        "    if mask is not None:\n"
        "        mask = np.arange(x.shape[1]) < mask.sum(axis=1, keepdims=True)"
    ),
)
exercise.mistake(
    "halves_swapped",
    old=(
        "f = 1 / (1 + np.exp(-from_x[:, :units] - h @ recurrent_kernel[:, :units]))\n"
        "        c = np.tanh(from_x[:, units:] + (f * h) @ recurrent_kernel[:, units:])"
    ),
    new=(
        "f = 1 / (1 + np.exp(-from_x[:, units:] - h @ recurrent_kernel[:, units:]))\n"
        "        c = np.tanh(from_x[:, :units] + (f * h) @ recurrent_kernel[:, :units])"
    ),
)
exercise.mistake(
    "initial_state_forgotten",
    old="initial_state, []",
    new="np.zeros_like(initial_state), []",
)


@exercise.wrong()
def no_reset(x, mask, kernel, recurrent_kernel, bias, initial_state):
    units = len(recurrent_kernel)
    h, states = initial_state, []
    for t in range(x.shape[1]):
        both = x[:, t] @ kernel + bias + h @ recurrent_kernel
        f = 1 / (1 + np.exp(-both[:, :units]))
        new = (1 - f) * h + f * np.tanh(both[:, units:])
        h = new if mask is None else np.where(mask[:, t, np.newaxis], new, h)
        states.append(h)
    return np.stack(states, axis=1), h


exercise.mistake(
    "mask_needed",
    old=(
        "new = (1 - f) * h + f * c\n"
        "        h = new if mask is None else np.where(mask[:, t, np.newaxis], new, h)"
    ),
    new="h = np.where(mask[:, t : t + 1], (1 - f) * h + f * c, h)",
)
