"""A training step with AdamW, written out."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter2_training",
    minutes=35,
    difficulty=2,
    points=4,
    kind="training step",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    forbidden=("keras.optimizers.AdamW", "keras.optimizers.Adam"),
    hints=[
        "Loss and gradients come from a tape, as in the chapter. For each trainable variable you "
        "need two arrays that survive the step: keep them in `memory`, with the step's number.",
        "At the first step memory is empty: make arrays of zeros of each variable's shape. Then "
        "update m and s, correct both by 1 − β^t, and only then build the step. The decay never "
        "touches g, m or s.",
        "For each variable i: m = 0.9 * m + 0.1 * g; s = 0.999 * s + 0.001 * g**2; change = "
        "m / (1 − 0.9**t) / (√(s / (1 − 0.999**t)) + 1e-5); if the variable has two axes, change "
        "+= weight_decay * variable; variable.assign_sub(learning_rate * change).",
    ],
)


@exercise.stub
def adamw_step(model, x, labels, memory, learning_rate, weight_decay):
    """One training step with AdamW.

    An L2 penalty in Adam's loss does not do what it does in SGD's: the gradient 2λw is divided by
    √s like everything else, so that weights with large gradients are hardly pulled at all. AdamW
    leaves the loss alone and pulls the weights directly. For a variable w with the gradient g, in
    step t = 1, 2, …, all of w's shape:

        m ← β₁ m + (1 − β₁) g           m̂ = m / (1 − β₁^t)
        s ← β₂ s + (1 − β₂) g²          ŝ = s / (1 − β₂^t)
        w ← w − η · ( m̂ / (√ŝ + ε) + λ w )

    with β₁ = 0.9, β₂ = 0.999, ε = 1e-5, m and s zero before the first step, the learning rate η
    and the decay λ. λ is taken as 0 for biases: only variables with two axes (kernels) decay. The
    w on the right is the one before the step. The loss is the mean cross-entropy of the model's
    logits.

    Keras' own Adam and AdamW are taken away.

    Practises: chapter 2, training, "Four ways downhill".

    Args:
        model: a Keras model, x (n, d) → logits (n, K).
        x: (n, d) float32 array.
        labels: (n,) int array, the true classes 0 … K − 1.
        memory: a dictionary of yours. It is empty at the first step and is handed to you again,
            with what you put in, at every further step of this model.
        learning_rate, weight_decay: numbers η and λ.

    Returns:
        The loss as it was before the update, a number. The model's trainable variables are
        updated once. Checked: the losses of several steps and the weights after them; tolerance
        1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.driver
def drive(step, inputs, memory):
    x, kernel_1, kernel_2 = inputs["x"], inputs["kernel_1"], inputs["kernel_2"]
    model = keras.Sequential(
        [
            keras.Input((x.shape[1],)),
            keras.layers.Dense(kernel_1.shape[1], "tanh"),
            keras.layers.Dense(kernel_2.shape[1]),
        ]
    )
    model.set_weights([kernel_1, inputs["bias_1"], kernel_2, inputs["bias_2"]])
    kept, losses = {}, []
    for _ in range(inputs["steps"]):
        loss = step(
            model, x, inputs["labels"], kept, inputs["learning_rate"], inputs["weight_decay"]
        )
        if loss is None:
            raise TypeError("the step returned None; it must return the loss")
        losses.append(np.asarray(loss, "float32"))
    names = ("kernel_1", "bias_1", "kernel_2", "bias_2")
    return {"losses": np.stack(losses), **dict(zip(names, model.get_weights(), strict=True))}


def made_up(random, n, sizes, steps, weight_decay):
    """Inputs of a case: data and weights of a network of three sizes."""
    d, units, classes = sizes
    return {
        "x": random.normal(size=(n, d)).astype("float32"),
        "labels": random.integers(0, classes, n),
        "kernel_1": random.normal(size=sizes[:2]).astype("float32"),
        "bias_1": random.normal(size=units).astype("float32"),
        "kernel_2": random.normal(size=sizes[1:]).astype("float32"),
        "bias_2": random.normal(size=classes).astype("float32"),
        "learning_rate": float(random.uniform(0.01, 0.05)),
        "weight_decay": weight_decay,
        "steps": steps,
    }


@exercise.public
def examples(random):
    yield Case("one step, no decay", made_up(random, 4, (2, 3, 2), 1, 0.0))
    yield Case("three steps", made_up(random, 6, (2, 3, 3), 3, 0.4))


@exercise.hidden
def drawn(random):
    for n, sizes, steps in ((16, (3, 5, 4), 1), (9, (4, 2, 3), 4), (1, (2, 4, 2), 3)):
        decay = float(random.uniform(0.2, 0.6))
        yield Case(f"{n} examples, {steps} steps", made_up(random, n, sizes, steps, decay))


@exercise.reference
def solution(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, variables)
    zeros = [tf.zeros(w.shape) for w in variables]
    t, means, squares = memory.get("state", (0, zeros, zeros))
    t += 1
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        change = m / (1 - 0.9**t) / (tf.sqrt(s / (1 - 0.999**t)) + 1e-5)
        if len(w.shape) == 2:
            change += weight_decay * w
        w.assign_sub(learning_rate * change)
    memory["state"] = t, means, squares
    return loss


@exercise.right
def with_numpy_and_a_keras_loss(model, x, labels, memory, learning_rate, weight_decay):
    with tf.GradientTape() as tape:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, model(x))
    gradients = tape.gradient(loss, model.trainable_variables)
    memory["t"] = t = memory.get("t", 0) + 1
    for number, (variable, gradient) in enumerate(zip(model.trainable_variables, gradients)):
        w, g = np.array(variable), np.array(gradient, "float64")
        mean, square = memory.get(number, (0.0, 0.0))
        mean, square = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g**2
        memory[number] = mean, square
        decay = weight_decay if w.ndim == 2 else 0.0
        ratio = (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-5)
        variable.assign((1 - learning_rate * decay) * w - learning_rate * ratio)
    return float(loss)


@exercise.right
def with_variables_in_the_memory(model, x, labels, memory, learning_rate, weight_decay):
    if not memory:
        memory["t"] = tf.Variable(0.0)
        for name in ("m", "s"):
            memory[name] = [tf.Variable(tf.zeros(w.shape)) for w in model.trainable_variables]
    one_hot = keras.ops.one_hot(labels, model.output_shape[-1])
    with tf.GradientTape() as tape:
        log_probabilities = tf.nn.log_softmax(model(x, training=True))
        loss = -tf.reduce_mean(tf.reduce_sum(one_hot * log_probabilities, axis=1))
    t = memory["t"].assign_add(1.0)
    rate = learning_rate * tf.sqrt(1 - 0.999**t) / (1 - 0.9**t)
    epsilon = 1e-5 * tf.sqrt(1 - 0.999**t)  # ε added before the correction instead of after it
    gradients = tape.gradient(loss, model.trainable_variables)
    for w, g, m, s in zip(model.trainable_variables, gradients, memory["m"], memory["s"]):
        m.assign_add(0.1 * (g - m))
        s.assign_add(0.001 * (g * g - s))
        if w.path.endswith("kernel"):
            w.assign_sub(learning_rate * weight_decay * w)
        w.assign_sub(rate * m / (tf.sqrt(s) + epsilon))
    return loss


@exercise.right
def with_backpropagation_by_hand(model, x, labels, memory, learning_rate, weight_decay):
    w_1, b_1, w_2, b_2 = weights = [w.astype("float64") for w in model.get_weights()]
    hidden = np.tanh(x @ w_1 + b_1)
    z = hidden @ w_2 + b_2
    z = z - z.max(axis=1, keepdims=True)
    log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    loss = -log_p[np.arange(len(x)), labels].mean()
    delta_2 = (np.exp(log_p) - np.eye(z.shape[1])[labels]) / len(x)
    delta_1 = delta_2 @ w_2.T * (1 - hidden**2)
    gradients = [x.T @ delta_1, delta_1.sum(0), hidden.T @ delta_2, delta_2.sum(0)]
    history = memory.setdefault("gradients", [])
    history.append(gradients)
    t, new = len(history), []
    for i, w in enumerate(weights):
        m = sum(0.1 * 0.9 ** (t - 1 - k) * g[i] for k, g in enumerate(history)) / (1 - 0.9**t)
        s = sum(0.001 * 0.999 ** (t - 1 - k) * g[i] ** 2 for k, g in enumerate(history))
        s = s / (1 - 0.999**t)
        new.append(w - learning_rate * (m / (np.sqrt(s) + 1e-5) + weight_decay * w * (w.ndim == 2)))
    model.set_weights(new)
    return loss


@exercise.wrong(
    "The decay was added to the gradient, which is L2 in Adam: it goes through m and s and is "
    "divided by √s. AdamW keeps it out of them."
)
def decay_in_the_gradient(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, variables)
    gradients = [
        g + weight_decay * w if len(w.shape) == 2 else g for g, w in zip(gradients, variables)
    ]
    zeros = [tf.zeros(w.shape) for w in variables]
    t, means, squares = memory.get("state", (0, zeros, zeros))
    t += 1
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        w.assign_sub(learning_rate * m / (1 - 0.9**t) / (tf.sqrt(s / (1 - 0.999**t)) + 1e-5))
    memory["state"] = t, means, squares
    return loss


exercise.mistake(
    "biases_decay",
    "The biases decay too; only variables with two axes are meant to.",
    old=(
        "if len(w.shape) == 2:\n"
        "            change += weight_decay * w\n"
        "        w.assign_sub(learning_rate * change)"
    ),
    new="w.assign_sub(learning_rate * (change + weight_decay * w))",
)


@exercise.wrong(
    "m and s begin at zero and are too small in the first steps: divide them by 1 − β^t before "
    "they are used."
)
def not_corrected(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, variables)
    zeros = [tf.zeros(w.shape) for w in variables]
    means, squares = memory.get("state", (zeros, zeros))
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        change = m / (tf.sqrt(s) + 1e-5)
        if len(w.shape) == 2:
            change += weight_decay * w
        w.assign_sub(learning_rate * change)
    memory["state"] = means, squares
    return loss


@exercise.wrong(
    "The decay is not multiplied by the learning rate: the weights lose the share λ in every "
    "step; it should be η λ."
)
def decay_without_the_rate(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, variables)
    zeros = [tf.zeros(w.shape) for w in variables]
    t, means, squares = memory.get("state", (0, zeros, zeros))
    t += 1
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        change = learning_rate * m / (1 - 0.9**t) / (tf.sqrt(s / (1 - 0.999**t)) + 1e-5)
        if len(w.shape) == 2:
            change += weight_decay * w
        w.assign_sub(change)
    memory["state"] = t, means, squares
    return loss


@exercise.wrong(
    "Every step acts like the first: m, s and t are made anew instead of being kept in `memory`."
)
def nothing_kept(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    for w, g in zip(variables, tape.gradient(loss, variables)):
        change = g / (tf.abs(g) + 1e-5)
        if len(w.shape) == 2:
            change += weight_decay * w
        w.assign_sub(learning_rate * change)
    return loss


@exercise.wrong()
def decay_forgotten(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, variables)
    zeros = [tf.zeros(w.shape) for w in variables]
    t, means, squares = memory.get("state", (0, zeros, zeros))
    t += 1
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        w.assign_sub(learning_rate * m / (1 - 0.9**t) / (tf.sqrt(s / (1 - 0.999**t)) + 1e-5))
    memory["state"] = t, means, squares
    return loss


@exercise.wrong()
def steps_counted_from_zero(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, variables)
    zeros = [tf.zeros(w.shape) for w in variables]
    t, means, squares = memory.get("state", (0, zeros, zeros))
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        change = m / (1 - 0.9**t) / (tf.sqrt(s / (1 - 0.999**t)) + 1e-5)
        if len(w.shape) == 2:
            change += weight_decay * w
        w.assign_sub(learning_rate * change)
    memory["state"] = t + 1, means, squares
    return loss


@exercise.wrong()
def loss_with_a_penalty(model, x, labels, memory, learning_rate, weight_decay):
    variables = model.trainable_variables
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
        loss += weight_decay * sum(tf.reduce_sum(w**2) for w in variables if len(w.shape) == 2)
    gradients = tape.gradient(loss, variables)
    zeros = [tf.zeros(w.shape) for w in variables]
    t, means, squares = memory.get("state", (0, zeros, zeros))
    t += 1
    means = [0.9 * m + 0.1 * g for m, g in zip(means, gradients)]
    squares = [0.999 * s + 0.001 * g**2 for s, g in zip(squares, gradients)]
    for w, m, s in zip(variables, means, squares):
        w.assign_sub(learning_rate * m / (1 - 0.9**t) / (tf.sqrt(s / (1 - 0.999**t)) + 1e-5))
    memory["state"] = t, means, squares
    return loss


@exercise.wrong()
def plain_descent(model, x, labels, memory, learning_rate, weight_decay):
    with tf.GradientTape() as tape:
        logits = model(x, training=True)
        loss = tf.reduce_mean(
            tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
        )
    gradients = tape.gradient(loss, model.trainable_variables)
    for w, g in zip(model.trainable_variables, gradients):
        w.assign_sub(learning_rate * (g + weight_decay * w))
    return loss


exercise.mistake("root_forgotten", old="tf.sqrt(s / (1 - 0.999**t))", new="s / (1 - 0.999**t)")
