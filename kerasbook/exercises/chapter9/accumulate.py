"""Gradient accumulation from a stream with a short last batch."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=9,
    minutes=20,
    difficulty=2,
    points=3,
    kind="gradient",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "You do not know the number of rows before the stream has ended. What can be added up "
        "without knowing it?",
        "Sums over rows: of the losses, and of their gradients. Divide by the number of rows at "
        "the end. What does the penalty have to do with rows?",
        "For each (x, y): p = softmax(x @ w + b), p[row, y] -= 1; add x.T @ p, p.sum(axis=0), the "
        "losses and len(x). At the end divide by the rows, and add 2 · l2 · w and l2 · Σ w² once.",
    ],
)


@exercise.stub
def accumulate(micro_batches, w, b, l2):
    """Add up the gradients of a softmax regression over micro-batches that come as a stream.

    The loss of the whole batch is the cross-entropy, a mean over all rows of all micro-batches,
    plus the penalty l2 · Σ w² (of w alone, without a half).

    The stream can be read once. Nobody tells how many micro-batches there are, nor how many rows;
    the last one may be shorter. And there is memory for one: when the next micro-batch is asked
    for, the arrays of the one before are overwritten.

    Practises: chapter 9, "The batch in pieces: gradient accumulation" and "A mean of means".

    Args:
        micro_batches: an iterator of pairs x, (rows, inputs) float32, and y, (rows,) class numbers.
        w: (inputs, classes) float32.
        b: (classes,) float32.
        l2: strength of the penalty, a number.

    Returns:
        The loss, a number; its gradient for w, (inputs, classes); its gradient for b, (classes,).

    They are compared in float32 (tolerance 1e-5 + 1e-4 · |expected|).
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    sizes, x, y = inputs["sizes"], inputs["x"], inputs["y"]
    x_buffer, y_buffer = np.zeros_like(x[: max(sizes)]), np.zeros_like(y[: max(sizes)])

    def stream():
        first = 0
        for size in sizes:
            x_buffer[:], y_buffer[:] = 7.0, 0
            x_buffer[:size], y_buffer[:size] = x[first : first + size], y[first : first + size]
            yield x_buffer[:size], y_buffer[:size]
            first += size

    loss, for_w, for_b = solution(
        stream(), np.array(inputs["w"]), np.array(inputs["b"]), inputs["l2"]
    )
    found = {"loss": loss, "gradient of w": for_w, "gradient of b": for_b}
    return {name: np.asarray(each, "float32") for name, each in found.items()}


def batch(random, sizes, inputs, classes, l2):
    """Returns the inputs of a case."""
    rows = sum(sizes)
    return {
        "sizes": list(sizes),
        "x": random.normal(size=(rows, inputs)).astype("float32"),
        "y": random.integers(0, classes, rows),
        "w": random.normal(size=(inputs, classes)).astype("float32"),
        "b": random.normal(size=classes).astype("float32"),
        "l2": l2,
    }


@exercise.public
def examples(random):
    yield Case("two micro-batches of two rows, no penalty", batch(random, (2, 2), 3, 2, 0.0))


@exercise.hidden
def drawn(random):
    yield Case("a short last one", batch(random, (4, 4, 2), 3, 4, 0.0))
    yield Case("with a penalty", batch(random, (5, 5, 5, 1), 4, 3, 0.3))
    yield Case("only one", batch(random, (6,), 2, 5, 0.1))
    yield Case("of all sizes", batch(random, (3, 7, 1, 2), 5, 3, 0.05))


@exercise.reference
def solution(micro_batches, w, b, l2):
    rows, loss, for_w, for_b = 0, 0.0, np.zeros_like(w), np.zeros_like(b)
    for x, y in micro_batches:
        p = keras.ops.convert_to_numpy(keras.ops.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        delta = np.array(p)
        delta[places] -= 1
        for_w += x.T @ delta
        for_b += delta.sum(axis=0)
        rows += len(x)
    return loss / rows + l2 * np.sum(w**2), for_w / rows + 2 * l2 * w, for_b / rows


@exercise.right
def by_the_tape(micro_batches, w, b, l2):
    w, b = tf.Variable(w), tf.Variable(b)
    loss, sums, rows = 0.0, [tf.zeros_like(w), tf.zeros_like(b)], 0
    for x, y in micro_batches:
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, tf.constant(x) @ w + b)
            part = tf.reduce_sum(losses)
        sums = [total + more for total, more in zip(sums, tape.gradient(part, [w, b]))]
        loss, rows = loss + part, rows + len(x)
    with tf.GradientTape() as tape:
        penalty = l2 * tf.reduce_sum(w**2)
    return loss / rows + penalty, sums[0] / rows + tape.gradient(penalty, w), sums[1] / rows


@exercise.right
def with_keras(micro_batches, w, b, l2):
    model = keras.Sequential([keras.Input((len(w),)), keras.layers.Dense(len(b))])
    model.set_weights([w, b])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    loss, sums, rows = 0.0, [0.0, 0.0], 0
    for x, y in micro_batches:
        with tf.GradientTape() as tape:
            part = loss_fn(np.array(y), model(np.array(x)))
        found = tape.gradient(part, model.trainable_variables)
        sums = [total + tf.convert_to_tensor(more) for total, more in zip(sums, found)]
        loss, rows = loss + float(part), rows + len(x)
    return loss / rows + l2 * float((w**2).sum()), sums[0] / rows + 2 * l2 * w, sums[1] / rows


@exercise.right
def running_means(micro_batches, w, b, l2):
    rows, mean = 0, np.zeros(1 + w.size + b.size)
    for x, y in micro_batches:
        z = np.float64(x) @ w + b
        z -= z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        right = np.eye(len(b))[y]
        delta = np.exp(log_p) - right
        here = [-(right * log_p).sum(axis=1).mean()], x.T @ delta / len(x), delta.mean(axis=0)
        here = np.concatenate([np.ravel(each) for each in here])
        rows += len(x)
        mean += (here - mean) * len(x) / rows
    return (
        mean[0] + l2 * (w**2).sum(),
        mean[1 : 1 + w.size].reshape(w.shape) + 2 * l2 * w,
        mean[1 + w.size :],
    )


@exercise.wrong(
    "This is a mean of means: the short micro-batch counts for as much as a full one. Add sums up, "
    "and divide by all rows at the end."
)
def mean_of_means(micro_batches, w, b, l2):
    count, loss, for_w, for_b = 0, 0.0, np.zeros_like(w), np.zeros_like(b)
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).mean()
        p[places] -= 1
        for_w += x.T @ p / len(x)
        for_b += p.mean(axis=0)
        count += 1
    return loss / count + l2 * np.sum(w**2), for_w / count + 2 * l2 * w, for_b / count


@exercise.wrong(
    "The penalty is added once for each micro-batch. It belongs to the weights and not to the "
    "rows: add it once."
)
def penalty_each_time(micro_batches, w, b, l2):
    rows, count, loss, for_w, for_b = 0, 0, 0.0, np.zeros_like(w), np.zeros_like(b)
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        p[places] -= 1
        for_w += x.T @ p
        for_b += p.sum(axis=0)
        rows, count = rows + len(x), count + 1
    penalty = count * l2
    return loss / rows + penalty * np.sum(w**2), for_w / rows + 2 * penalty * w, for_b / rows


@exercise.wrong(
    "The micro-batches were put into a list and joined afterwards. Then all of them show the last "
    "one: there is memory for one only. Use each before you ask for the next."
)
def kept_in_a_list(micro_batches, w, b, l2):
    xs, ys = zip(*micro_batches)
    x, y = np.concatenate(xs), np.concatenate(ys)
    p = np.array(tf.nn.softmax(x @ w + b))
    places = np.arange(len(y)), y
    loss = -np.log(p[places]).mean()
    p[places] -= 1
    return loss + l2 * np.sum(w**2), x.T @ p / len(x) + 2 * l2 * w, p.mean(axis=0)


@exercise.wrong(
    "The sums are divided by the rows of a full micro-batch times their number. The last one has "
    "fewer."
)
def as_if_all_were_full(micro_batches, w, b, l2):
    sizes, loss, for_w, for_b = [], 0.0, np.zeros_like(w), np.zeros_like(b)
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        p[places] -= 1
        for_w += x.T @ p
        for_b += p.sum(axis=0)
        sizes.append(len(x))
    rows = max(sizes) * len(sizes)
    return loss / rows + l2 * np.sum(w**2), for_w / rows + 2 * l2 * w, for_b / rows


@exercise.wrong()
def never_divided(micro_batches, w, b, l2):
    loss, for_w, for_b = 0.0, np.zeros_like(w), np.zeros_like(b)
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        p[places] -= 1
        for_w += x.T @ p
        for_b += p.sum(axis=0)
    return loss + l2 * np.sum(w**2), for_w + 2 * l2 * w, for_b


@exercise.wrong()
def penalty_divided_by_the_rows(micro_batches, w, b, l2):
    rows, loss, for_w, for_b = 0, l2 * np.sum(w**2), 2 * l2 * w, np.zeros_like(b)
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        p[places] -= 1
        for_w += x.T @ p
        for_b += p.sum(axis=0)
        rows += len(x)
    return loss / rows, for_w / rows, for_b / rows


@exercise.wrong()
def half_a_penalty(micro_batches, w, b, l2):
    rows, loss, for_w, for_b = 0, 0.0, np.zeros_like(w), np.zeros_like(b)
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        p[places] -= 1
        for_w += x.T @ p
        for_b += p.sum(axis=0)
        rows += len(x)
    return loss / rows + l2 / 2 * np.sum(w**2), for_w / rows + l2 * w, for_b / rows


@exercise.wrong()
def the_last_one_left_out(micro_batches, w, b, l2):
    rows, loss, for_w, for_b, full = 0, 0.0, np.zeros_like(w), np.zeros_like(b), 0
    for x, y in micro_batches:
        full = full or len(x)
        if len(x) < full:
            continue
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss -= np.log(p[places]).sum()
        p[places] -= 1
        for_w += x.T @ p
        for_b += p.sum(axis=0)
        rows += len(x)
    return loss / rows + l2 * np.sum(w**2), for_w / rows + 2 * l2 * w, for_b / rows


@exercise.wrong()
def only_the_last(micro_batches, w, b, l2):
    for x, y in micro_batches:
        p = np.array(tf.nn.softmax(x @ w + b))
        places = np.arange(len(y)), y
        loss = -np.log(p[places]).mean()
        p[places] -= 1
        for_w, for_b = x.T @ p / len(x), p.mean(axis=0)
    return loss + l2 * np.sum(w**2), for_w + 2 * l2 * w, for_b
