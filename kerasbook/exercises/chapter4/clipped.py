"""Gradient clipping by hand: a training step that leaves out what cannot be clipped."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=35,
    difficulty=3,
    points=4,
    kind="training step",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    nan=True,
    seconds=20,
    hints=[
        "Print type(gradient) for each of the gradients. The embedding's is another type than the "
        "others'. What are its values when a word occurs twice in the batch?",
        "tf.convert_to_tensor makes a full array of tf.IndexedSlices and adds up the rows of the "
        "same word. Then all gradients together are one vector with one norm.",
        "gradients = [tf.convert_to_tensor(one) for one in tape.gradient(…)]; norm = √Σ of all "
        "squares; if it is finite: scale = limit / max(norm, limit), and optimizer.apply of the "
        "scaled gradients. Else: do not call the optimizer. Return norm in both cases.",
    ],
)


@exercise.stub
def clipped_step(model, optimizer, loss_fn, x, y, limit):
    """One step of training: clipped by global norm, or left out.

    The steps of chapter 4 are clipped by the optimizer. Here you do it yourself, to do two things
    more. You return the norm, so that one can see when training becomes wild. And if the norm is
    not a finite number, because the loss has overflown, the step is left out: the weights, and
    what the optimizer remembers (its momentum), stay as if the batch had not been.

    All gradients together are one long vector. Its norm is that of the true gradient: the
    embedding's gradient comes as tf.IndexedSlices, with one row for each *occurrence* of a word;
    what counts is the sum of a word's rows. If the norm is above the limit, all gradients are
    multiplied by limit / norm; otherwise they stay as they are.

    Practises: chapter 4, "Clipping".

    Args:
        model: a keras.Model with an embedding, word numbers (n, time) → (n, 1).
        optimizer: a Keras optimizer without clipping of its own; it may have a momentum.
        loss_fn: loss_fn(y, predictions) → a number.
        x: (n, time) int32 array of word numbers; words occur several times.
        y: (n, 1) float32 array.
        limit: positive number.

    Returns:
        The norm before clipping, a number, also where it is not finite.

    After several steps the weights and the norms are compared, 32 bits, tolerance 1e-5 + 1e-4 ·
    |expected|; a norm that is not finite counts as −1, whether it is infinite or NaN.
    """
    raise NotImplementedError


@exercise.driver
def drive(solution, inputs, memory):
    words, width = inputs["embedding"].shape

    class MeanOfWords(keras.Model):
        def __init__(self):
            super().__init__()
            self.embedding = keras.layers.Embedding(words, width)
            self.dense = keras.layers.Dense(1)
            self.embedding.build()
            self.dense.build((None, width))
            self.built = True

        def call(self, x):
            return self.dense(tf.reduce_mean(self.embedding(x), axis=1))

    model = MeanOfWords()
    model.set_weights([inputs["embedding"], inputs["kernel"], inputs["bias"]])
    optimizer = keras.optimizers.SGD(0.1, momentum=inputs["momentum"])
    loss_fn = keras.losses.MeanSquaredError()
    norms = []
    for x, y in zip(inputs["x"], inputs["y"]):
        norm = solution(model, optimizer, loss_fn, x, y, inputs["limit"])
        norm = float(np.asarray(norm))
        norms.append(norm if np.isfinite(norm) else -1.0)
    names = "embedding", "kernel", "bias"
    return {"norms": np.array(norms)} | dict(zip(names, model.get_weights()))


def drawn_inputs(random, steps, n, time, limit, momentum=0.9):
    """Weights of a small model, and one batch for each step."""
    words, width = 6, 3
    return {
        "embedding": random.normal(size=(words, width)).astype("float32"),
        "kernel": random.normal(size=(width, 1)).astype("float32"),
        "bias": random.normal(size=1).astype("float32"),
        "x": random.integers(1, 4, size=(steps, n, time)).astype("int32"),
        "y": 3 * random.normal(size=(steps, n, 1)).astype("float32"),
        "limit": limit,
        "momentum": momentum,
    }


@exercise.public
def examples(random):
    inputs = {
        "embedding": np.array([[0], [1], [2]], "float32"),
        "kernel": np.array([[1]], "float32"),
        "bias": np.array([0], "float32"),
        "x": np.array([[[1, 1]]], "int32"),
        "y": np.array([[[3]]], "float32"),
        "limit": 2.0,
        "momentum": 0.0,
    }
    yield Case("one step: the sentence 1 1", inputs)


@exercise.hidden
def drawn(random):
    yield Case("two short steps", drawn_inputs(random, 2, 2, 4, 0.5))
    yield Case("a generous limit", drawn_inputs(random, 1, 3, 2, 50.0, momentum=0.0))
    inputs = drawn_inputs(random, 2, 2, 3, 1.0)
    inputs["y"][1, 0] = np.inf
    yield Case("a target out of range", inputs)


@exercise.reference
def solution(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    variables = model.trainable_variables
    gradients = [tf.convert_to_tensor(one) for one in tape.gradient(loss, variables)]
    norm = tf.sqrt(sum(tf.reduce_sum(one**2) for one in gradients))
    if np.isfinite(norm):
        optimizer.apply([one * limit / tf.maximum(norm, limit) for one in gradients], variables)
    return norm


@exercise.right
def with_tensorflows_clipping(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    clipped, norm = tf.clip_by_global_norm(dense, limit)
    if tf.math.is_finite(norm):
        optimizer.apply_gradients(zip(clipped, model.trainable_variables))
    return norm


@exercise.right
def with_numpy(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    dense = []
    for gradient in tape.gradient(loss, model.trainable_variables):
        if isinstance(gradient, tf.IndexedSlices):
            rows = np.zeros(gradient.dense_shape.numpy(), "float32")
            np.add.at(rows, gradient.indices.numpy().ravel(), gradient.values.numpy())
            gradient = rows
        dense.append(np.array(gradient))
    norm = np.linalg.norm(np.concatenate([one.ravel() for one in dense]))
    if not np.isfinite(norm):
        return norm
    scale = np.float32(min(1.0, limit / norm)) if norm > 0 else np.float32(1)
    optimizer.apply([tf.constant(one * scale) for one in dense], model.trainable_variables)
    return norm


@exercise.right
def with_keras_ops(model, optimizer, loss_fn, x, y, limit):
    ops = keras.ops
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
    gradients = [ops.convert_to_tensor(tf.convert_to_tensor(one)) for one in gradients]
    flat = ops.concatenate([ops.reshape(one, (-1,)) for one in gradients])
    norm = ops.norm(flat)
    if bool(ops.all(ops.isfinite(flat))) and norm > limit:
        gradients = [one * (limit / norm) for one in gradients]
    if bool(ops.isfinite(norm)):
        optimizer.apply(gradients, model.trainable_variables)
    return norm


@exercise.wrong(
    "Each variable's gradient is clipped by itself (Keras' clipnorm). That turns the direction of "
    "the step; all must be shortened by one factor, from the norm of all together."
)
def each_by_itself(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    norm = tf.linalg.global_norm(dense)
    if np.isfinite(norm):
        clipped = [tf.clip_by_norm(one, limit) for one in dense]
        optimizer.apply(clipped, model.trainable_variables)
    return norm


@exercise.wrong(
    "You clip every number by itself, to ± limit. That turns the direction of the step; shorten "
    "the whole vector instead."
)
def by_value(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    norm = tf.linalg.global_norm(dense)
    if np.isfinite(norm):
        clipped = [tf.clip_by_value(one, -limit, limit) for one in dense]
        optimizer.apply(clipped, model.trainable_variables)
    return norm


@exercise.wrong(
    "Your norm is wrong where a word occurs several times. tf.IndexedSlices has a row for each "
    "occurrence, and tf.linalg.global_norm and tf.clip_by_global_norm measure the rows without "
    "adding them up. Use tf.convert_to_tensor first."
)
def occurrences_not_added(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    clipped, norm = tf.clip_by_global_norm(gradients, limit)
    if np.isfinite(norm):
        optimizer.apply(clipped, model.trainable_variables)
    return norm


@exercise.wrong(
    "For the batch that cannot be used you apply gradients of zero. The momentum goes on and moves "
    "the weights: leave the optimizer uncalled."
)
def zeros_applied(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    norm = tf.linalg.global_norm(dense)
    scale = limit / max(float(norm), limit) if np.isfinite(norm) else 0.0
    clipped = [one * scale if scale else tf.zeros_like(one) for one in dense]
    optimizer.apply(clipped, model.trainable_variables)
    return norm


@exercise.wrong(
    "Gradients that are shorter than the limit are drawn out to it. Clipping only shortens: the "
    "factor is never above 1."
)
def drawn_out(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    norm = tf.linalg.global_norm(dense)
    if np.isfinite(norm):
        optimizer.apply([one * limit / norm for one in dense], model.trainable_variables)
    return norm


exercise.mistake(
    "nothing_left_out",
    "One batch with an infinite gradient has made all weights NaN. Look at the norm before you "
    "call the optimizer.",
    old=(
        "if tf.math.is_finite(norm):\n"
        "        optimizer.apply_gradients(zip(clipped, model.trainable_variables))"
    ),
    new="optimizer.apply(clipped, model.trainable_variables)",
    of=with_tensorflows_clipping,
)


@exercise.wrong(
    "The weights are right; what you return is the norm after clipping, which never exceeds the "
    "limit. Return the one before."
)
def norm_after_clipping(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    clipped, norm = tf.clip_by_global_norm(dense, limit)
    if np.isfinite(norm):
        optimizer.apply(clipped, model.trainable_variables)
    return tf.linalg.global_norm(clipped)


@exercise.wrong()
def not_clipped(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    norm = tf.linalg.global_norm(dense)
    if np.isfinite(norm):
        optimizer.apply(dense, model.trainable_variables)
    return norm


@exercise.wrong()
def root_forgotten(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    norm = sum(tf.reduce_sum(one**2) for one in dense)
    if np.isfinite(norm):
        clipped = [one * limit / tf.maximum(norm, limit) for one in dense]
        optimizer.apply(clipped, model.trainable_variables)
    return norm


@exercise.wrong()
def loss_for_norm(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    dense = [tf.convert_to_tensor(gradient) for gradient in gradients]
    clipped, norm = tf.clip_by_global_norm(dense, limit)
    if np.isfinite(norm):
        optimizer.apply(clipped, model.trainable_variables)
    return loss


@exercise.wrong()
def no_update(model, optimizer, loss_fn, x, y, limit):
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    return tf.linalg.global_norm([tf.convert_to_tensor(gradient) for gradient in gradients])
