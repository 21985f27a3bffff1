"""A training step in micro-batches (gradient accumulation)."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=30,
    difficulty=2,
    points=4,
    kind="training step",
    outputs=None,
    atol=2e-5,
    rtol=2e-4,
    hints=[
        "The gradient of a sum is the sum of the gradients. So write the loss of the big batch as "
        "a sum over rows, divided by one number that is known before the first micro-batch.",
        "That number is the sum of all weights of the big batch. Add the micro-batches' gradients "
        "up; clip and apply only when all are there.",
        "total = sum of weight; for start in range(0, rows, micro): in a tape, loss = "
        "sum(weight · cross-entropy of these rows) / total; add its gradients to the others. Then "
        "tf.clip_by_global_norm(gradients, clip_norm)[0], then one optimizer.apply.",
    ],
)


@exercise.stub
def train_in_micro_batches(model, optimizer, tokens, targets, weight, micro, clip_norm):
    """Train a language model once on a batch that does not fit in memory.

    A big batch is cut into micro-batches of `micro` rows; the last one may have fewer. The model
    sees one micro-batch at a time, never more than `micro` rows. Afterwards the weights must be
    the same as if the whole batch had gone through at once:

    - the loss is the cross-entropy from logits, a mean over all places of the whole batch by their
      weight: Σ weight · cross-entropy / Σ weight. Padding has weight 0, and a row can be nearly
      all padding; other weights need not be 1;
    - its gradient is clipped by the global norm: if the root of the sum of the squares of all
      numbers in all gradients is greater than `clip_norm`, all are multiplied by
      clip_norm / norm;
    - the optimizer is applied once.

    Practises: chapter 6, "The learning rate".

    Args:
        model: logits (rows, time, classes) = model(tokens); has `trainable_variables`.
        optimizer: a Keras optimizer; `optimizer.apply(gradients, variables)` changes the weights.
        tokens: (rows, time) int32 tensor.
        targets: (rows, time) int32 tensor, class numbers.
        weight: (rows, time) float32 tensor, 0 or more, not all 0.
        micro: rows in a micro-batch, 1 or more.
        clip_norm: positive number.

    Returns:
        The loss before the update, a number.

    It is called several times. The losses and the weights afterwards are compared (float32,
    tolerance 2e-5 + 2e-4 · |expected|), and the largest number of rows that the model saw at once.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    most_rows = [0]

    class Model:
        def __init__(self):
            self.trainable_variables = [
                keras.Variable(inputs[name], dtype="float32", name=name)
                for name in ("embedding", "kernel", "bias")
            ]

        def __call__(self, tokens):
            embedding, kernel, bias = (v.value for v in self.trainable_variables)
            tokens = tf.convert_to_tensor(tokens)
            most_rows[0] = max(most_rows[0], int(tokens.shape[0]))
            here = tf.gather(embedding, tokens)  # (rows, time, width)
            before = tf.pad(here, [(0, 0), (1, 0), (0, 0)])[:, :-1]
            return tf.tanh(here + before) @ kernel + bias

    model = Model()
    optimizer = keras.optimizers.SGD(inputs["learning_rate"], momentum=0.9)
    optimizer.build(model.trainable_variables)
    losses = []
    for _ in range(inputs["steps"]):
        loss = solution(
            model,
            optimizer,
            tf.constant(inputs["tokens"], tf.int32),
            tf.constant(inputs["targets"], tf.int32),
            tf.constant(inputs["weight"], tf.float32),
            inputs["micro"],
            inputs["clip_norm"],
        )
        losses.append(np.asarray(loss))
    weights = {variable.name: variable.value for variable in model.trainable_variables}
    return {"losses": np.array(losses), **weights, "most_rows": np.array(most_rows)}


def batch(random, rows, time, classes, clip_norm, micro, steps=2):
    """Returns the inputs of a case."""
    lengths = random.integers(1, time + 1, size=(rows, 1))
    lengths[:2] = [[time], [1]]
    weight = np.where(np.arange(time) < lengths, random.choice([0.5, 1, 2], size=(rows, time)), 0)
    return {
        "tokens": random.integers(0, classes, size=(rows, time)),
        "targets": random.integers(0, classes, size=(rows, time)),
        "weight": weight,
        "embedding": random.normal(size=(classes, 4)),
        "kernel": random.normal(size=(4, classes)) * 2,
        "bias": random.normal(size=classes),
        "micro": micro,
        "clip_norm": clip_norm,
        "learning_rate": 0.5,
        "steps": steps,
    }


@exercise.public
def examples(random):
    yield Case("three rows of two places, one row at a time", batch(random, 3, 2, 3, 0.3, 1, 1))


@exercise.hidden
def drawn(random):
    for rows, time, classes, clip_norm, micro in (
        (6, 5, 4, 100.0, 2), (7, 4, 5, 0.2, 3), (5, 6, 3, 0.1, 4), (4, 3, 6, 100.0, 9)
    ):  # fmt: skip
        name = f"{rows} rows, {micro} at a time, clipped at {clip_norm}"
        yield Case(name, batch(random, rows, time, classes, clip_norm, micro))


@exercise.reference
def solution(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables = model.trainable_variables
    total, loss = tf.reduce_sum(weight), 0.0
    gradients = [tf.zeros(variable.shape) for variable in variables]
    for start in range(0, tokens.shape[0], micro):
        rows = slice(start, start + micro)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets[rows], model(tokens[rows])
            )
            part = tf.reduce_sum(weight[rows] * losses) / total
        more = tape.gradient(part, variables)
        gradients = [a + b for a, b in zip(gradients, more)]
        loss += part
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply(gradients, variables)
    return loss


@exercise.right
def divided_at_the_end(model, optimizer, tokens, targets, weight, micro, clip_norm):
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    sums, loss, seen, variables = None, 0.0, 0.0, model.trainable_variables
    while tokens.shape[0]:
        with tf.GradientTape() as tape:
            part = loss_fn(targets[:micro], model(tokens[:micro]), sample_weight=weight[:micro])
        more = [tf.convert_to_tensor(each) for each in tape.gradient(part, variables)]
        sums = more if sums is None else [tf.add(*pair) for pair in zip(sums, more)]
        loss += part
        seen += tf.reduce_sum(weight[:micro])
        tokens, targets, weight = tokens[micro:], targets[micro:], weight[micro:]
    gradients = [each / seen for each in sums]
    norm = tf.sqrt(sum(tf.reduce_sum(each**2) for each in gradients))
    factor = tf.minimum(1.0, clip_norm / norm)
    optimizer.apply([each * factor for each in gradients], variables)
    return loss / seen


@exercise.right
def with_shares_of_the_means(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables, gradients, loss = model.trainable_variables, [], 0.0
    for start in range(0, len(tokens), micro):
        part = [a[start : start + micro] for a in (tokens, targets, weight)]
        share = tf.reduce_sum(part[2]) / tf.reduce_sum(weight)
        with tf.GradientTape() as tape:
            log_p = tf.nn.log_softmax(model(part[0]))
            right = tf.gather(log_p, part[1], batch_dims=2)
            mean = -tf.reduce_sum(part[2] * right) / tf.reduce_sum(part[2])
        gradients.append([share * each for each in tape.gradient(mean, variables)])
        loss += share * mean
    gradients = [tf.add_n(list(each)) for each in zip(*gradients)]
    norm = tf.linalg.global_norm(gradients)
    if norm > clip_norm:
        gradients = [each * clip_norm / norm for each in gradients]
    optimizer.apply(gradients, variables)
    return float(loss)


@exercise.right
def with_accumulators(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables, loss = model.trainable_variables, 0.0
    sums = [tf.Variable(tf.zeros(variable.shape)) for variable in variables]
    batches = tf.data.Dataset.from_tensor_slices((tokens, targets, weight)).batch(micro)
    for some, right, share in batches:
        with tf.GradientTape() as tape:
            logits = model(some)
            one_hot = tf.one_hot(right, logits.shape[-1])
            losses = tf.nn.softmax_cross_entropy_with_logits(one_hot, logits)
            part = tf.tensordot(share / tf.reduce_sum(weight), losses, 2)
        for total, gradient in zip(sums, tape.gradient(part, variables)):
            total.assign_add(tf.convert_to_tensor(gradient))
        loss += part
    clipped, _ = tf.clip_by_global_norm([total.value() for total in sums], clip_norm)
    optimizer.apply(clipped, variables)
    return loss


@exercise.wrong(
    "You average the means of the micro-batches. One that is nearly all padding then counts "
    "as much as a full one: divide every part by the weight of the whole batch."
)
def mean_of_means(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables = model.trainable_variables
    loss = 0.0
    gradients = [tf.zeros(variable.shape) for variable in variables]
    for start in range(0, tokens.shape[0], micro):
        rows = slice(start, start + micro)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets[rows], model(tokens[rows])
            )
            part = tf.reduce_sum(weight[rows] * losses) / tf.reduce_sum(weight[rows])
            part /= -(-tokens.shape[0] // micro)
        more = tape.gradient(part, variables)
        gradients = [a + b for a, b in zip(gradients, more)]
        loss += part
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply(gradients, variables)
    return loss


@exercise.wrong(
    "The optimizer is applied after each micro-batch. Collect the gradients, and apply their "
    "sum once."
)
def applied_each_time(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables = model.trainable_variables
    total, loss = tf.reduce_sum(weight), 0.0
    for start in range(0, tokens.shape[0], micro):
        rows = slice(start, start + micro)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets[rows], model(tokens[rows])
            )
            part = tf.reduce_sum(weight[rows] * losses) / total
        more = tape.gradient(part, variables)
        more, _ = tf.clip_by_global_norm(more, clip_norm)
        optimizer.apply(more, variables)
        loss += part
    return loss


exercise.mistake(
    "each_part_clipped",
    "Each micro-batch's gradient is clipped by itself. What has a norm to be clipped is the "
    "gradient of the whole batch, their sum.",
    old=(
        "gradients = [a + b for a, b in zip(gradients, more)]\n"
        "        loss += part\n"
        "    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)"
    ),
    new=(
        "more, _ = tf.clip_by_global_norm(more, clip_norm)\n"
        "        gradients = [a + b for a, b in zip(gradients, more)]\n"
        "        loss += part"
    ),
)
exercise.mistake(
    "all_at_once",
    "The numbers are right, but the whole batch went through the model at once. It does not "
    "fit in memory: give it `micro` rows at a time.",
    old="(0, tokens.shape[0], micro):\n        rows = slice(start, start + micro)",
    new="(0, tokens.shape[0], tokens.shape[0]):\n        rows = slice(0, tokens.shape[0])",
)
exercise.mistake(
    "rest_dropped",
    "The last rows are left out where `micro` does not divide the batch. The last micro-batch "
    "may be shorter.",
    old="tokens.shape[0]",
    new="tokens.shape[0] - micro + 1",
)
exercise.mistake(
    "padding_counted",
    "The loss is divided by the number of places, padding and all. Divide by the sum of the "
    "weights.",
    old="tf.reduce_sum(weight)",
    new="float(tf.size(weight))",
)
exercise.mistake(
    "clipped_one_by_one",
    old="gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)",
    new="gradients = [tf.clip_by_norm(each, clip_norm) for each in gradients]",
)
exercise.mistake(
    "not_clipped",
    old="gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)",
    new="",
)


@exercise.wrong()
def last_part_only(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables = model.trainable_variables
    total, loss = tf.reduce_sum(weight), 0.0
    for start in range(0, tokens.shape[0], micro):
        rows = slice(start, start + micro)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets[rows], model(tokens[rows])
            )
            part = tf.reduce_sum(weight[rows] * losses) / total
        more = tape.gradient(part, variables)
        gradients = [tf.convert_to_tensor(each) for each in more]
        loss += part
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply(gradients, variables)
    return loss


@exercise.wrong()
def weights_ignored(model, optimizer, tokens, targets, weight, micro, clip_norm):
    variables = model.trainable_variables
    total, loss = float(tf.size(weight)), 0.0
    gradients = [tf.zeros(variable.shape) for variable in variables]
    for start in range(0, tokens.shape[0], micro):
        rows = slice(start, start + micro)
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
                targets[rows], model(tokens[rows])
            )
            part = tf.reduce_sum(losses) / total
        more = tape.gradient(part, variables)
        gradients = [a + b for a, b in zip(gradients, more)]
        loss += part
    gradients, _ = tf.clip_by_global_norm(gradients, clip_norm)
    optimizer.apply(gradients, variables)
    return loss
