"""Quantile loss in a training step."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=25,
    difficulty=2,
    points=3,
    kind="training step",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "The four lines of the chapter: forward, loss, gradient, update. Only the loss is new. "
        "Print the shape of y − prediction before you take a mean.",
        "The model returns (n, 1), y is (n,): the difference of the two is (n, n). Take "
        "model(x)[:, 0]. The loss of one example is the larger of q · e and (q − 1) · e; "
        "tf.maximum does it.",
        "with tf.GradientTape() as tape: e = y − model(x, training=True)[:, 0]; loss = "
        "tf.reduce_mean(tf.maximum(q * e, (q − 1) * e)). After it tape.gradient(loss, "
        "model.trainable_variables), optimizer.apply(gradients, model.trainable_variables), and "
        "return loss.",
    ],
)


@exercise.stub
def quantile_step(model, optimizer, x, y, quantile):
    """One training step of a model that predicts a quantile.

    The squared error leads to the mean. Who plans a petrol stop wants another number: how far does
    a car go at least, in nine of ten cases? That is the quantile q = 0.1: a tenth of the targets
    lies below it. With the error e_i = y_i − prediction_i and q between 0 and 1, the loss

        mean over the n examples of   q · e_i         where e_i ≥ 0 (the prediction is too low)
                                      (q − 1) · e_i   where e_i < 0 (the prediction is too high)

    is lowest where the share q of the targets lies below the prediction.

    Practises: chapter 1, "The loop, written out"

    Args:
        model: a Keras model, (n, d) → (n, 1).
        optimizer: a Keras optimizer. The step must update with it.
        x: (n, d) float32 array.
        y: (n,) float32 array. Mind its shape.
        quantile: number, q.

    Returns:
        The loss as it was before the update, a number. The model's trainable variables are
        updated once. Checked: the losses of several steps in a row and the weights after them;
        tolerance 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.driver
def drive(step, inputs, memory):
    model = keras.Sequential(
        [keras.Input((inputs["x"].shape[1],)), keras.layers.Dense(1, name="line")]
    )
    model.set_weights([inputs["kernel"], inputs["bias"]])
    optimizer = keras.optimizers.SGD(inputs["learning_rate"], momentum=inputs["momentum"])
    losses = []
    for _ in range(inputs["steps"]):
        loss = step(model, optimizer, inputs["x"], inputs["y"], inputs["quantile"])
        if loss is None:
            raise TypeError("the step returned None; it must return the loss")
        losses.append(np.asarray(loss, "float32"))
    kernel, bias = model.get_weights()
    return {"losses": np.stack(losses), "kernel": kernel, "bias": bias}


@exercise.public
def examples(random):
    inputs = {
        "x": np.array([[1.0], [2.0], [3.0]], "float32"),
        "y": np.array([1.0, 4.0, 2.0], "float32"),
        "kernel": np.array([[1.0]], "float32"),
        "bias": np.array([0.5], "float32"),
    }
    inputs |= {"quantile": 0.9, "learning_rate": 0.1, "momentum": 0.0}
    yield Case("one step", inputs | {"steps": 1})
    yield Case("three steps with momentum", inputs | {"steps": 3, "momentum": 0.5})


@exercise.hidden
def drawn(random):
    for n, d, steps in ((9, 1, 4), (1, 2, 2), (25, 4, 5)):
        # The errors begin well away from 0, where the slope jumps and rounding would decide.
        x = random.normal(size=(n, d))
        kernel, bias = random.normal(size=(d, 1)), random.normal(size=1)
        errors = random.choice([-1.0, 1.0], n) * random.uniform(1.0, 3.0, n)
        inputs = {
            "x": x.astype("float32"),
            "y": ((x @ kernel)[:, 0] + bias + errors).astype("float32"),
            "kernel": kernel.astype("float32"),
            "bias": bias.astype("float32"),
            "quantile": float(random.choice([0.1, 0.2, 0.7, 0.85])),
            "learning_rate": 0.02,
            "momentum": float(random.uniform(0.3, 0.8)),
            "steps": steps,
        }
        yield Case(f"{n} examples, {d} features, {steps} steps", inputs)


@exercise.reference
def solution(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]  # (n,)
        loss = tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)
    return loss


@exercise.right
def with_columns(model, optimizer, x, y, quantile):
    y = tf.reshape(y, (-1, 1))
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)  # (n, 1)
        losses = tf.where(errors >= 0, quantile * errors, (quantile - 1) * errors)
        loss = tf.reduce_mean(losses)
    variables = model.trainable_variables
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    return float(loss)


@exercise.right
def with_a_tilted_absolute_value(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - keras.ops.squeeze(model(x, training=True), axis=-1)
        loss = keras.ops.mean(keras.ops.abs(errors) / 2 + (quantile - 0.5) * errors)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss.numpy()


@exercise.right
def with_gradients_by_hand(model, optimizer, x, y, quantile):
    kernel, bias = model.trainable_variables
    errors = y - (x @ kernel.numpy() + bias.numpy())[:, 0]
    slopes = np.where(errors >= 0, -quantile, 1 - quantile)[:, np.newaxis] / len(y)
    gradients = [tf.constant(x.T @ slopes, "float32"), tf.constant(slopes.sum(0), "float32")]
    optimizer.apply(gradients, [kernel, bias])
    return np.mean(np.maximum(quantile * errors, (quantile - 1) * errors))


@exercise.wrong(
    "y − prediction has the shape (n, n): y is (n,), the model's output (n, 1), and both were "
    "stretched. The loss compares every target with every prediction."
)
def stretched(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)
        loss = tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


@exercise.wrong(
    "The sides are swapped: q is the price of a prediction that is too low. Which sign has "
    "y − prediction then?"
)
def sides_swapped(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = model(x, training=True)[:, 0] - y
        loss = tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


exercise.mistake(
    "optimizer_passed_by",
    "The optimizer that was given is not used: with momentum the second step is longer than "
    "learning rate · gradient.",
    old="optimizer.apply(gradients, model.trainable_variables)",
    new=(
        "for variable, gradient in zip(model.trainable_variables, gradients):\n"
        "        variable.assign_sub(float(np.asarray(optimizer.learning_rate)) * gradient)"
    ),
)


@exercise.wrong("The loss returned is the one after the update; the step's own was asked for.")
def loss_after_the_update(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]
        loss = tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    errors = y - model(x, training=True)[:, 0]
    return tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))


@exercise.wrong("The loss is the examples' sum. It must be their mean, or the step grows with n.")
def sum_of_the_losses(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]
        loss = tf.reduce_sum(tf.maximum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


@exercise.wrong()
def absolute_error(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.abs(y - model(x, training=True)[:, 0]))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


@exercise.wrong()
def squared_error(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]
        loss = tf.reduce_mean(tf.where(errors >= 0, quantile, 1 - quantile) * errors**2)
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


@exercise.wrong()
def the_smaller_of_both(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]
        loss = tf.reduce_mean(tf.minimum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


@exercise.wrong()
def never_updated(model, optimizer, x, y, quantile):
    errors = y - model(x, training=True)[:, 0]
    return tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))


@exercise.wrong()
def bias_left_alone(model, optimizer, x, y, quantile):
    kernels = model.trainable_variables[:1]
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]
        loss = tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, kernels), kernels)
    return loss


@exercise.wrong()
def nothing_returned(model, optimizer, x, y, quantile):
    with tf.GradientTape() as tape:
        errors = y - model(x, training=True)[:, 0]
        loss = tf.reduce_mean(tf.maximum(quantile * errors, (quantile - 1) * errors))
    optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
