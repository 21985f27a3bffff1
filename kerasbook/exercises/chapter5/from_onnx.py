"""The weights of an LSTM, from ONNX to Keras."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=15,
    difficulty=1,
    points=2,
    outputs=("kernel", "recurrent_kernel", "bias"),
    atol=1e-6,
    rtol=1e-6,
    hints=[
        "Both libraries keep four blocks, one for each gate. Cut the ONNX arrays into their four "
        "blocks first, and give them names.",
        "In Keras a row of x is multiplied by the kernel from the right: x @ kernel. In ONNX the "
        "matrices are turned. And Keras has one bias where ONNX has two that are added.",
        "i, o, f, c = np.split(weights, 4, axis=1); put them together as i, f, c, o, and swap the "
        "last two axes. The bias: the first 4 · units numbers plus the last 4 · units, then the "
        "same change of order.",
    ],
)


@exercise.stub
def keras_weights(input_weights, recurrent_weights, biases):
    """The weights of an ONNX LSTM as Keras wants them.

    ONNX is a file format for trained networks. Its LSTM computes the same as Keras' (chapter 5),
    but its weights lie in another way:

    - a first axis counts the directions: 1, or 2 for a bidirectional layer (forward, backward);
    - the gates stand in the order i, o, f, c, one below the other (c is the candidate, which the
      chapter calls g); Keras has i, f, c, o, side by side;
    - the matrices are turned: it computes W xᵀ, with W of shape (4 · units, inputs);
    - there are two biases, one beside the input's product and one beside the state's, each
      (4 · units,), one behind the other in one row. Both are added before the gates, so one
      bias, their sum, does the same.

    Practises: chapter 5, "A cell with three gates".

    Args:
        input_weights: (directions, 4 · units, inputs) float array.
        recurrent_weights: (directions, 4 · units, units) float array.
        biases: (directions, 8 · units) float array, or None: then all biases are zero.

    Returns:
        kernel (directions, inputs, 4 · units), recurrent kernel (directions, units, 4 · units),
        bias (directions, 4 · units), so that `layer.set_weights` of a Keras LSTM may be called
        with [kernel[k], recurrent_kernel[k], bias[k]] for direction k. float32 or float64.
        Tolerance: 1e-6 + 1e-6 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    weights = np.arange(8.0).reshape(1, 8, 1)  # two units, one input
    yield Case(
        "one direction, two units, one input",
        {
            "input_weights": weights,
            "recurrent_weights": np.concatenate([weights, weights + 0.5], axis=2),
            "biases": np.concatenate([np.arange(8.0), 100 * np.arange(8.0)])[np.newaxis],
        },
    )


@exercise.hidden
def drawn(random):
    for directions, units, inputs in ((1, 3, 5), (2, 4, 4), (2, 5, 2), (1, 1, 7)):
        yield Case(
            f"{directions} direction(s), {units} units, {inputs} inputs",
            {
                "input_weights": random.normal(size=(directions, 4 * units, inputs)),
                "recurrent_weights": random.normal(size=(directions, 4 * units, units)),
                "biases": random.normal(size=(directions, 8 * units)),
            },
            unchanged=True,
        )
    yield Case(
        "no biases",
        {
            "input_weights": random.normal(size=(1, 8, 3)).astype("float32"),
            "recurrent_weights": random.normal(size=(1, 8, 2)).astype("float32"),
            "biases": None,
        },
    )


@exercise.reference
def solution(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = np.split(weights, 4, axis=1)
        return np.concatenate([i, f, c, o], axis=1)

    directions, rows, _ = input_weights.shape
    if biases is None:
        biases = np.zeros((directions, 2 * rows), input_weights.dtype)
    return (
        reorder(input_weights).swapaxes(1, 2),
        reorder(recurrent_weights).swapaxes(1, 2),
        reorder(biases[:, :rows] + biases[:, rows:]),
    )


@exercise.right
def with_an_index(input_weights, recurrent_weights, biases):
    units = recurrent_weights.shape[2]
    order = (np.array([0, 2, 3, 1])[:, None] * units + np.arange(units)).ravel()
    if biases is None:
        bias = np.zeros(input_weights.shape[:2])
    else:
        bias = (biases[:, : 4 * units] + biases[:, 4 * units :])[:, order]
    kernels = [w[:, order].transpose(0, 2, 1) for w in (input_weights, recurrent_weights)]
    return (*kernels, bias)


@exercise.right
def with_tensorflow(input_weights, recurrent_weights, biases):
    directions, rows, inputs = input_weights.shape
    units = rows // 4

    def turned(weights, columns):
        gates = tf.reshape(weights, (directions, 4, units, columns))
        gates = tf.gather(gates, [0, 2, 3, 1], axis=1)
        return tf.transpose(tf.reshape(gates, (directions, rows, columns)), (0, 2, 1))

    if biases is None:
        biases = tf.zeros((directions, 2 * rows))
    pair = tf.reshape(biases, (directions, 2, 4, units))
    bias = tf.gather(tf.reduce_sum(pair, axis=1), [0, 2, 3, 1], axis=1)
    kernels = turned(input_weights, inputs), turned(recurrent_weights, units)
    return (*kernels, tf.reshape(bias, (directions, rows)))


@exercise.right
def with_loops(input_weights, recurrent_weights, biases):
    directions, rows, inputs = input_weights.shape
    units = rows // 4
    kernel = np.zeros((directions, inputs, rows))
    recurrent_kernel = np.zeros((directions, units, rows))
    bias = np.zeros((directions, rows))
    for new, old in enumerate("iofc".index(gate) for gate in "ifco"):
        for unit in range(units):
            to, source = new * units + unit, old * units + unit
            kernel[:, :, to] = input_weights[:, source]
            recurrent_kernel[:, :, to] = recurrent_weights[:, source]
            if biases is not None:
                bias[:, to] = biases[:, source] + biases[:, rows + source]
    return kernel, recurrent_kernel, bias


@exercise.wrong(
    "The gates are still in the order of ONNX: i, o, f, c. Keras would take the output gate for "
    "the forget gate, and say nothing."
)
def order_kept(input_weights, recurrent_weights, biases):
    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    bias = biases[:, :rows] + biases[:, rows:]
    return input_weights.swapaxes(1, 2), recurrent_weights.swapaxes(1, 2), bias


@exercise.wrong(
    "The order is changed the wrong way round: yours would turn Keras' i, f, c, o into ONNX's "
    "i, o, f, c. Write down which old block comes to each new place."
)
def order_turned_round(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, f, c, o = np.split(weights, 4, axis=1)
        return np.concatenate([i, o, f, c], axis=1)

    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    bias = reorder(biases[:, :rows] + biases[:, rows:])
    return (
        reorder(input_weights).swapaxes(1, 2),
        reorder(recurrent_weights).swapaxes(1, 2),
        bias,
    )


@exercise.wrong(
    "Half of the biases is lost: you took the first 4 · units of them. The other half is added to "
    "the same sums, so the new bias is the sum of both."
)
def second_biases_lost(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = np.split(weights, 4, axis=1)
        return np.concatenate([i, f, c, o], axis=1)

    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    return (
        reorder(input_weights).swapaxes(1, 2),
        reorder(recurrent_weights).swapaxes(1, 2),
        reorder(biases[:, :rows]),
    )


@exercise.wrong(
    "The shapes are right, but the matrices were reshaped and not turned: reshape keeps the order "
    "of the numbers in memory. Swap the last two axes."
)
def reshaped(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = np.split(weights, 4, axis=1)
        return np.concatenate([i, f, c, o], axis=1)

    directions, rows, inputs = input_weights.shape
    if biases is None:
        biases = np.zeros((directions, 2 * rows))
    return (
        reorder(input_weights).reshape(directions, inputs, rows),
        reorder(recurrent_weights).reshape(directions, rows // 4, rows),
        reorder(biases[:, :rows] + biases[:, rows:]),
    )


@exercise.wrong("The matrices are in the new order, but the bias is still in that of ONNX.")
def bias_order_kept(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = np.split(weights, 4, axis=1)
        return np.concatenate([i, f, c, o], axis=1)

    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    return (
        reorder(input_weights).swapaxes(1, 2),
        reorder(recurrent_weights).swapaxes(1, 2),
        biases[:, :rows] + biases[:, rows:],
    )


exercise.mistake(
    "none_not_thought_of",
    old=(
        "directions, rows, _ = input_weights.shape\n"
        "    if biases is None:\n"
        "        biases = np.zeros((directions, 2 * rows), input_weights.dtype)"
    ),
    new="rows = input_weights.shape[1]",
)


@exercise.wrong()
def mean_of_biases(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = np.split(weights, 4, axis=1)
        return np.concatenate([i, f, c, o], axis=1)

    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    return (
        reorder(input_weights).swapaxes(1, 2),
        reorder(recurrent_weights).swapaxes(1, 2),
        reorder(biases[:, :rows] + biases[:, rows:]) / 2,
    )


@exercise.wrong()
def not_turned(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = np.split(weights, 4, axis=1)
        return np.concatenate([i, f, c, o], axis=1)

    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    bias = reorder(biases[:, :rows] + biases[:, rows:])
    return reorder(input_weights), reorder(recurrent_weights), bias


@exercise.wrong()
def gates_in_turns(input_weights, recurrent_weights, biases):
    def reorder(weights):
        i, o, f, c = (weights[:, gate::4] for gate in range(4))
        return np.concatenate([i, f, c, o], axis=1)

    rows = input_weights.shape[1]
    if biases is None:
        biases = np.zeros((len(input_weights), 2 * rows))
    return (
        reorder(input_weights).swapaxes(1, 2),
        reorder(recurrent_weights).swapaxes(1, 2),
        reorder(biases[:, :rows] + biases[:, rows:]),
    )
