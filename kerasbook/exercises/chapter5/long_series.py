"""Truncated backpropagation: a training step on a long series, in pieces."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=35,
    difficulty=3,
    points=4,
    kind="training step",
    outputs=None,
    atol=2e-5,
    rtol=2e-4,
    hints=[
        "Give the model one piece after the other, each with the state that it returned for the "
        "piece before. The sum of squared errors of all pieces, divided by the number of all "
        "outputs, is the loss.",
        "A state that goes from one piece into the next is a number like any other to the tape. "
        "tf.stop_gradient makes a constant of it; both parts of the state need it.",
        "In one tape: for start in range(0, time, piece): outputs, state = "
        "model(x[:, start : start + piece], state); total += sum of squared errors; state = "
        "tuple(tf.stop_gradient(s) for s in state). Behind the loop loss = total / (n · time), "
        "one gradient, one optimizer.apply.",
    ],
)


@exercise.stub
def train_in_pieces(model, optimizer, x, y, piece, state):
    """Train a recurrent model once on a part of a long series: truncated backpropagation.

    A year of hours is too long to send a gradient back through all of it. So the part is cut into
    pieces of `piece` steps; the last one may be shorter. The model reads them in turn, and its
    state goes on from each piece to the next: it forgets nothing. But gradients stop at the
    borders: the state with which a piece begins is taken as a constant. The loss is the mean of
    (output − y)² over all examples and all steps of the part. There is one update of the weights
    for the whole part, after all pieces.

    Practises: chapter 5, "How far back do gradients reach?".

    Args:
        model: an LSTM with a dense layer. outputs, state = model(x, state) with x (n, steps,
            inputs) of any number of steps, outputs (n, steps, 1), and state = (h, c), each
            (n, units). It has `trainable_variables`.
        optimizer: a Keras optimizer; `optimizer.apply(gradients, variables)` changes the weights.
        x: (n, time, inputs) float32 tensor; the part.
        y: (n, time, 1) float32 tensor.
        piece: steps in a piece, 1 or more.
        state: (h, c) with which the part begins: what the last call returned, or zeros.

    Returns:
        loss: a number, before the update.
        state: (h, c) after the last step of the part, with the weights before the update.

    It is called several times, on one part after the other. The losses, the last state and the
    weights afterwards are compared; float32. Tolerance: 2e-5 + 2e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    units = inputs["recurrent_kernel"].shape[0]

    class Reader:
        def __init__(self):
            names = ("kernel", "recurrent_kernel", "bias", "dense", "dense_bias")
            self.trainable_variables = [
                keras.Variable(inputs[name], dtype="float32", name=name) for name in names
            ]

        def __call__(self, x, state):
            kernel, recurrent_kernel, bias, dense, dense_bias = (
                variable.value for variable in self.trainable_variables
            )
            (h, c), outputs = state, []
            for x_t in tf.unstack(tf.convert_to_tensor(x), axis=1):
                sums = x_t @ kernel + h @ recurrent_kernel + bias
                gates = tf.sigmoid(sums)
                i, f, o = gates[:, :units], gates[:, units : 2 * units], gates[:, 3 * units :]
                c = f * c + i * tf.tanh(sums[:, 2 * units : 3 * units])
                h = o * tf.tanh(c)
                outputs.append(h @ dense + dense_bias)
            return tf.stack(outputs, axis=1), (h, c)

    model = Reader()
    optimizer = keras.optimizers.SGD(inputs["learning_rate"], momentum=0.5)
    optimizer.build(model.trainable_variables)
    state = (tf.zeros((inputs["x"].shape[1], units)),) * 2
    losses = []
    for x, y in zip(inputs["x"], inputs["y"]):
        parts = tf.constant(x, tf.float32), tf.constant(y, tf.float32)
        loss, state = solution(model, optimizer, *parts, inputs["piece"], tuple(state))
        losses.append(np.asarray(loss))
    h, c = state
    weights = {variable.name: variable.value for variable in model.trainable_variables}
    return {"losses": np.array(losses), "h": h, "c": c, **weights}


@exercise.public
def examples(random):
    yield Case(
        "one unit, one part of three steps in pieces of two",
        {
            "kernel": np.array([[1.0, 1, 1, 1]]),
            "recurrent_kernel": np.array([[0.5, 0.5, 0.5, 0.5]]),
            "bias": np.array([0.0, 1, 0, 0]),
            "dense": np.array([[1.0]]),
            "dense_bias": np.array([0.0]),
            "x": np.array([[[[1.0], [0.0], [-1.0]]]]),
            "y": np.array([[[[0.0], [1.0], [1.0]]]]),
            "piece": 2,
            "learning_rate": 1.0,
        },
    )


@exercise.hidden
def drawn(random):
    for parts, n, time, inputs, units, piece in (
        (2, 3, 5, 2, 3, 3), (2, 1, 4, 1, 4, 2), (2, 2, 6, 3, 2, 4)
    ):  # fmt: skip
        yield Case(
            f"{parts} parts ({n}, {time}, {inputs}) in pieces of {piece}",
            {
                "kernel": random.normal(size=(inputs, 4 * units)),
                "recurrent_kernel": random.normal(size=(units, 4 * units)),
                "bias": np.repeat([0.5, 2.0, 0.0, 0.5], units),
                "dense": random.normal(size=(units, 1)) * 2,
                "dense_bias": random.normal(size=1),
                "x": random.normal(size=(parts, n, time, inputs)),
                "y": random.normal(size=(parts, n, time, 1)) * 2,
                "piece": piece,
                "learning_rate": 0.3,
            },
        )


@exercise.reference
def solution(model, optimizer, x, y, piece, state):
    with tf.GradientTape() as tape:
        total = 0.0
        for start in range(0, x.shape[1], piece):
            here = slice(start, start + piece)
            outputs, state = model(x[:, here], state)
            total += tf.reduce_sum((outputs - y[:, here]) ** 2)
            state = tuple(tf.stop_gradient(each) for each in state)
        loss = total / (x.shape[0] * x.shape[1])
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss, state


@exercise.right
def with_a_tape_for_each_piece(model, optimizer, x, y, piece, state):
    total, gradients = 0.0, None
    for start in range(0, x.shape[1], piece):
        with tf.GradientTape() as tape:
            outputs, state = model(x[:, start : start + piece], state)
            errors = outputs - y[:, start : start + piece]
            loss = tf.reduce_sum(errors**2) / tf.size(y, out_type=tf.float32)
        more = tape.gradient(loss, model.trainable_variables)
        gradients = more if gradients is None else [a + b for a, b in zip(gradients, more)]
        total += loss
    optimizer.apply(gradients, model.trainable_variables)
    return total, state


@exercise.right
def states_first(model, optimizer, x, y, piece, state):
    starts = list(range(0, x.shape[1], piece))
    states = [state]
    for start in starts:  # outside of the tape: constants
        states.append(model(x[:, start : start + piece], states[-1])[1])
    with tf.GradientTape() as tape:
        outputs = [model(x[:, s : s + piece], first)[0] for s, first in zip(starts, states)]
        loss = tf.reduce_mean((tf.concat(outputs, axis=1) - y) ** 2)
    variables = model.trainable_variables
    optimizer.apply(tape.gradient(loss, variables), variables)
    return float(loss), states[-1]


@exercise.right
def with_weights_of_pieces(model, optimizer, x, y, piece, state):
    loss, time = 0.0, x.shape[1]
    with tf.GradientTape() as tape:
        while x.shape[1]:
            state = tf.nest.map_structure(tf.stop_gradient, state)
            outputs, state = model(x[:, :piece], state)
            share = outputs.shape[1] / time
            loss += share * tf.reduce_mean(keras.ops.square(outputs - y[:, :piece]))
            x, y = x[:, piece:], y[:, piece:]
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss, state


exercise.mistake(
    "gradient_crosses_borders",
    "The gradient goes through all pieces: the state of one is a tensor on the same tape as "
    "the next. Make a constant of it with tf.stop_gradient.",
    old="state = tuple(tf.stop_gradient(each) for each in state)",
    new="",
)
exercise.mistake(
    "only_h_is_cut",
    "The gradient stops in h and still goes through the cell c, the longest way of all. A "
    "state has two parts.",
    old="tuple(tf.stop_gradient(each) for each in state)",
    new="tf.stop_gradient(state[0]), state[1]",
)
exercise.mistake(
    "zeros_at_borders",
    "Each piece begins with a state of zeros. Gradients stop at the borders, but the state "
    "goes on: the model should remember what it read.",
    old="outputs, state",
    new="state = tuple(tf.zeros_like(each) for each in state)\n            outputs, state",
)


@exercise.wrong(
    "The weights change after every piece. There is one update for the whole part: collect "
    "the gradients, then apply them once."
)
def update_after_each_piece(model, optimizer, x, y, piece, state):
    total, count = 0.0, x.shape[0] * x.shape[1]
    for start in range(0, x.shape[1], piece):
        here = slice(start, start + piece)
        with tf.GradientTape() as tape:
            outputs, state = model(x[:, here], state)
            loss = tf.reduce_sum((outputs - y[:, here]) ** 2) / count
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        total += loss
    return total, state


exercise.mistake(
    "mean_of_means",
    "You average the means of the pieces. A short last piece then counts as much as a long "
    "one: divide the sum of all squared errors by the number of all outputs.",
    old=(
        "total += tf.reduce_sum((outputs - y[:, here]) ** 2)\n"
        "            state = tuple(tf.stop_gradient(each) for each in state)\n"
        "        loss = total / (x.shape[0] * x.shape[1])"
    ),
    new=(
        "total += tf.reduce_mean((outputs - y[:, here]) ** 2)\n"
        "            state = tuple(tf.stop_gradient(each) for each in state)\n"
        "        loss = total / -(-x.shape[1] // piece)"
    ),
)
exercise.mistake(
    "short_piece_dropped",
    "A last piece that is shorter than the others is never read. range(0, time, piece) "
    "reaches it, and slicing beyond the end is no error.",
    old="[1],",
    new="[1] - piece + 1,",
)


@exercise.wrong()
def state_not_returned(model, optimizer, x, y, piece, state):
    with tf.GradientTape() as tape:
        total, first = 0.0, state
        for start in range(0, x.shape[1], piece):
            here = slice(start, start + piece)
            outputs, state = model(x[:, here], state)
            total += tf.reduce_sum((outputs - y[:, here]) ** 2)
            state = tuple(tf.stop_gradient(each) for each in state)
        loss = total / (x.shape[0] * x.shape[1])
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss, first


exercise.mistake("last_piece_only", old="+=", new="=")
exercise.mistake(
    "no_recurrence_in_gradient",
    old="(0, x.shape[1], piece):\n            here = slice(start, start + piece)",
    new="(x.shape[1]):\n            here = slice(start, start + 1)",
)
exercise.mistake("sum_for_mean", old="total / (x.shape[0] * x.shape[1])", new="total")
