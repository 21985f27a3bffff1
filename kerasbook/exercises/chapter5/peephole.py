"""An LSTM with peepholes: gates that look at the cell."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=30,
    difficulty=2,
    points=3,
    outputs=("outputs", "h", "c"),
    hints=[
        "Only the step differs from the chapter's LSTM, and only in the sums of three gates. The "
        "loop over time and the mask stay as they are.",
        "Input and forget gate are needed before there is a new cell: they look at the old one. "
        "The output gate comes last, and looks at the new one.",
        "sums = x_t @ kernel + h @ recurrent_kernel + bias, in quarters i, f, g, o; "
        "i = σ(i + p_i · c), f = σ(f + p_f · c), c_new = f · c + i · tanh(g), "
        "o = σ(o + p_o · c_new), h_new = o · tanh(c_new). Where the mask is False, keep h and c.",
    ],
)


@exercise.stub
def peephole_lstm(x, h, c, mask, kernel, recurrent_kernel, bias, peepholes):
    """The outputs of an LSTM with peepholes.

    In the LSTM of the chapter the gates see the input and the last output. If the output gate is
    closed, nobody sees what is in the cell, not even the gate that should open it. Peepholes (Gers
    and Schmidhuber 2000) let the gates look: each unit's gates see that unit's own cell, with one
    weight each. With p_i, p_f and p_o the rows of `peepholes`, each (units,),

        i = σ(x_t W_i + h U_i + b_i + p_i ⊙ c)
        f = σ(x_t W_f + h U_f + b_f + p_f ⊙ c)
        g = tanh(x_t W_g + h U_g + b_g)
        c_new = f ⊙ c + i ⊙ g
        o = σ(x_t W_o + h U_o + b_o + p_o ⊙ c_new)
        h_new = o ⊙ tanh(c_new)

    Where the mask is False, h and c stay as they were, and the output of that step is h.

    Practises: chapter 5, "A cell with three gates".

    Args:
        x: (n, time, inputs) float array.
        h, c: (n, units) float arrays, state and cell before the first step.
        mask: (n, time) bool array.
        kernel: W, (inputs, 4 · units), in quarters for i, f, g, o, side by side.
        recurrent_kernel: U, (units, 4 · units), in the same order.
        bias: b, (4 · units,), in the same order.
        peepholes: (3, units): p_i, p_f, p_o.

    Returns:
        outputs (n, time, units), and h and c (n, units) after the last step; float32 or float64.
        Tolerance: 1e-5 + 1e-4 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case(
        "one unit, the second step masked",
        {
            "x": np.array([[[1.0], [1.0], [1.0]]]),
            "h": np.zeros((1, 1)),
            "c": np.ones((1, 1)),
            "mask": np.array([[True, False, True]]),
            "kernel": np.zeros((1, 4)),
            "recurrent_kernel": np.zeros((1, 4)),
            "bias": np.array([0.0, 0.0, 1.0, 0.0]),
            "peepholes": np.array([[1.0], [2.0], [-3.0]]),
        },
    )


@exercise.hidden
def drawn(random):
    for n, time, inputs, units, kept in ((1, 4, 2, 3, 1), (3, 7, 1, 4, 0.7), (4, 1, 5, 2, 0.5)):
        arrays = {
            "x": random.normal(size=(n, time, inputs)),
            "h": np.tanh(random.normal(size=(n, units))),
            "c": random.normal(size=(n, units)) * 2,
            "mask": random.random((n, time)) < kept,
            "kernel": random.normal(size=(inputs, 4 * units)),
            "recurrent_kernel": random.normal(size=(units, 4 * units)),
            "bias": random.normal(size=4 * units),
            "peepholes": random.normal(size=(3, units)),
        }
        name = f"x ({n}, {time}, {inputs}), {units} units"
        yield Case(name, arrays, unchanged=True)
    mask = np.arange(9) < random.integers(1, 9, size=(5, 1))
    single = {name: each.astype("float32") for name, each in arrays.items()}
    arrays = {
        "x": random.normal(size=(5, 9, 5)).astype("float32"),
        "h": np.zeros((5, 2), "float32"),
        "c": np.zeros((5, 2), "float32"),
        "mask": mask,
    }
    yield Case("five lengths, 32 bits", single | arrays)


@exercise.reference
def solution(x, h, c, mask, kernel, recurrent_kernel, bias, peepholes):
    def sigmoid(s):
        return 1 / (1 + np.exp(-s))

    outputs = []
    for t in range(x.shape[1]):
        sums = x[:, t] @ kernel + h @ recurrent_kernel + bias
        i, f, g, o = np.split(sums, 4, axis=-1)  # each (n, units)
        i, f = sigmoid(i + peepholes[0] * c), sigmoid(f + peepholes[1] * c)
        new_c = f * c + i * np.tanh(g)
        new_h = sigmoid(o + peepholes[2] * new_c) * np.tanh(new_c)
        read = mask[:, t, np.newaxis]
        h, c = np.where(read, new_h, h), np.where(read, new_c, c)
        outputs.append(h)
    return np.stack(outputs, axis=1), h, c


@exercise.right
def with_tensorflow(x, h, c, mask, kernel, recurrent_kernel, bias, peepholes):
    p_i, p_f, p_o = tf.unstack(tf.constant(peepholes))
    sums_of_x = tf.unstack(tf.constant(x) @ kernel + bias, axis=1)  # all steps in one product
    outputs = []
    for sums, read in zip(sums_of_x, tf.unstack(mask[..., np.newaxis], axis=1)):
        i, f, g, o = tf.split(sums + h @ recurrent_kernel, 4, axis=-1)
        new_c = tf.sigmoid(f + p_f * c) * c + tf.sigmoid(i + p_i * c) * tf.tanh(g)
        new_h = tf.sigmoid(o + p_o * new_c) * tf.tanh(new_c)
        h, c = tf.where(read, new_h, h), tf.where(read, new_c, c)
        outputs.append(h)
    return tf.stack(outputs, axis=1), h, c


@exercise.right
def example_by_example(x, h, c, mask, kernel, recurrent_kernel, bias, peepholes):
    units = h.shape[1]
    outputs, h, c = np.zeros((*x.shape[:2], units)), np.array(h), np.array(c)
    for n, t in np.ndindex(*mask.shape):
        if mask[n, t]:
            sums = (x[n, t] @ kernel + h[n] @ recurrent_kernel + bias).reshape(4, units)
            i, f = 1 / (1 + np.exp(-sums[:2] - peepholes[:2] * c[n]))
            c[n] = f * c[n] + i * np.tanh(sums[2])
            h[n] = np.tanh(c[n]) / (1 + np.exp(-sums[3] - peepholes[2] * c[n]))
        outputs[n, t] = h[n]
    return outputs, h, c


@exercise.right
def with_keras_ops(x, h, c, mask, kernel, recurrent_kernel, bias, peepholes):
    ops, units = keras.ops, h.shape[1]
    x, h, c, kernel, recurrent_kernel, bias, peepholes = (
        ops.cast(each, "float32") for each in (x, h, c, kernel, recurrent_kernel, bias, peepholes)
    )
    joined = ops.concatenate([kernel, recurrent_kernel], axis=0)
    outputs = []
    for t in range(x.shape[1]):
        sums = ops.matmul(ops.concatenate([x[:, t], h], axis=-1), joined) + bias
        old = ops.concatenate([peepholes[0] * c, peepholes[1] * c], axis=-1)
        gates = ops.sigmoid(sums[:, : 2 * units] + old)
        added = gates[:, :units] * ops.tanh(sums[:, 2 * units : 3 * units])
        new = gates[:, units:] * c + added
        out = ops.sigmoid(sums[:, 3 * units :] + peepholes[2] * new) * ops.tanh(new)
        read = ops.cast(mask[:, t : t + 1], "float32")
        h, c = h + read * (out - h), c + read * (new - c)
        outputs.append(h)
    return ops.stack(outputs, axis=1), h, c


exercise.mistake(
    "output_gate_sees_the_old_cell",
    "The output gate looks at the old cell. It comes last, and what it shows is the new cell: "
    "let it look at that one.",
    old="peepholes[2] * new_c",
    new="peepholes[2] * c",
)
exercise.mistake(
    "other_order",
    "You read the quarters as i, f, o, g. Here, as in the chapter, they are i, f, g, o.",
    old="i, f, g, o",
    new="i, f, o, g",
)
exercise.mistake(
    "cell_reads_padding",
    "Where the mask is False, the state is kept but the cell is not: it has read the padding, "
    "and shows it at the next step that counts.",
    old="np.where(read, new_c, c)",
    new="new_c",
)
exercise.mistake(
    "no_peepholes",
    "The gates do not look at the cell: this is the chapter's LSTM.",
    old=(
        "(i + peepholes[0] * c), sigmoid(f + peepholes[1] * c)\n"
        "        new_c = f * c + i * np.tanh(g)\n"
        "        new_h = sigmoid(o + peepholes[2] * new_c)"
    ),
    new="(i), sigmoid(f)\n        new_c = f * c + i * np.tanh(g)\n        new_h = sigmoid(o)",
)
exercise.mistake(
    "peepholes_see_the_shown_cell",
    "The gates look at tanh(c). They see the cell itself, before the tanh; that squeezing is "
    "for the output only.",
    old=(
        "(i + peepholes[0] * c), sigmoid(f + peepholes[1] * c)\n"
        "        new_c = f * c + i * np.tanh(g)\n"
        "        new_h = sigmoid(o + peepholes[2] * new_c)"
    ),
    new=(
        "(i + peepholes[0] * np.tanh(c)), sigmoid(f + peepholes[1] * np.tanh(c))\n"
        "        new_c = f * c + i * np.tanh(g)\n"
        "        new_h = sigmoid(o + peepholes[2] * np.tanh(new_c))"
    ),
)
exercise.mistake(
    "zeros_at_padding",
    "At padding the outputs are zeros. There the step's output is the state that was kept.",
    old="outputs.append(h)",
    new="outputs.append(h * read)",
)
exercise.mistake(
    "first_state_ignored",
    "You begin with zeros. The state and the cell before the first step are given.",
    old="outputs = []",
    new="outputs, h, c = [], np.zeros_like(h), np.zeros_like(c)",
)
exercise.mistake(
    "peepholes_of_i_and_f_swapped",
    old="sigmoid(i + peepholes[0] * c), sigmoid(f + peepholes[1] * c)",
    new="sigmoid(i + peepholes[1] * c), sigmoid(f + peepholes[0] * c)",
)
exercise.mistake(
    "mask_ignored",
    old="np.where(read, new_h, h), np.where(read, new_c, c)",
    new="np.where(read | True, new_h, h), new_c",
)
exercise.mistake("candidate_without_tanh", old="np.tanh(g)", new="g")
exercise.mistake(
    "gates_times_cell",
    old="sigmoid(i + peepholes[0] * c), sigmoid(f + peepholes[1] * c)",
    new="sigmoid(i) * peepholes[0] * c, sigmoid(f) * peepholes[1] * c",
)
