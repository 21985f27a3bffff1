"""Train a reader for which the order of the words decides."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

ORDER = (
    "The same words in reverse order get the same answer: your model counts words (a sum or a mean "
    "over time forgets the order). Which word came first must leave a trace in the state."
)
PADDING = (
    "The answer changes with the number of zeros at the end of the row: the padding is read, or "
    "counted in a mean. Give the recurrent layer a mask (mask_zero=True), or keep the old state "
    "where the word is 0."
)
ONE_ANSWER = (
    "All sentences get the same answer. Does the loss fall in training? It begins near ln 2 = "
    "0.69; print it."
)
NO_PROBABILITIES = (
    "The answers are not between 0 and 1. Are they logits? Apply a sigmoid before you return them."
)
NOT_FINITE = (
    "There is a NaN or an infinity in the answer: training has run away. Take a smaller learning "
    "rate, or clip the gradients."
)
NOT_TWICE = (
    "The same sentences, asked twice, get different answers: something is drawn at random. Dropout "
    "belongs to training only: call the model with training=False."
)
TURNED = (
    "The model knows the answer and says the opposite: you return the probability of the label 0. "
    "Asked is that of the label 1."
)
BY_HEART = (
    "Right on the training sentences, wrong on others: the model has learned them by heart. Take "
    "fewer weights, or weights that are shared over time, as a recurrent network has them."
)

exercise = Exercise(
    chapter=4,
    minutes=50,
    difficulty=3,
    points=5,
    kind="trained model",
    outputs=None,
    seconds=60,
    hints=[
        "Each word occurs equally often in both classes, so nothing that only counts can work. A "
        "small recurrent network can: its state must remember what it met first.",
        "An embedding with mask_zero=True, a GRU of 16 units and one logit are enough; binary "
        "cross-entropy from logits. The mask takes care of the padding.",
        "keras.Sequential of Input((None,)), Embedding(8, 8, mask_zero=True), GRU(16), Dense(1); "
        "Adam(0.02), 60 steps with all the data or 10 epochs in batches of 32. predict: "
        "tf.sigmoid(model(x, training=False))[:, 0].",
    ],
)


@exercise.stub
def train_reader(x, y):
    """Train on sentences in which the order decides.

    Each sentence has 2 to 10 words, numbered from 1 to 7, and zeros after its end. Two of the
    words are the ones that matter, and each occurs just once in every sentence. The label is 1 if
    one certain of the two comes after the other ("not good but funny"), 0 if before. Which two
    they are is not told, and differs from case to case: the data must say it.

    Practises: chapter 4, "A task in which order decides".

    Args:
        x: (n, 10) int32 array of word numbers, n = 300; 0 is padding, at the end only.
        y: (n,) int64 array of labels 0 and 1.

    Returns:
        A function predict(x) that takes (m, time) int32, for any m ≥ 1 and any time ≥ 10 (the
        sentences are not longer, the padding is), and returns (m,): the probability of the label
        1 for each sentence, float32 or float64. It must not depend on the number of zeros at the
        end (± 0.001), nor change when it is asked again. It may be a tensor or an array.

    The accuracy on 300 unseen sentences, with 0.5 as the limit, must be at least 0.95; a small
    GRU gets 0.99 and more. Time for everything: 60 seconds; two or three are enough.
    """
    raise NotImplementedError


@exercise.driver
def drive(solution, inputs, memory):
    if "y" in inputs:
        memory["predict"] = solution(inputs["x"], inputs["y"])
        return {}
    return {"probabilities": memory["predict"](inputs["x"])}


def sentences(random, count, first, second):
    """Word numbers (count, 10) and labels (count,): 1 where `second` comes after `first`."""
    x, y = np.zeros((count, 10), "int32"), np.zeros(count, "int64")
    others = [word for word in range(1, 8) if word not in (first, second)]
    for k in range(count):
        length = random.integers(2, 11)
        words = random.choice(others, length)
        i, j = random.choice(length, 2, replace=False)
        words[i], words[j] = first, second
        x[k, :length], y[k] = words, j > i
    return x, y


def drawn_case(random, name):
    """Training data; unseen sentences twice, with more zeros, turned round; the first again."""
    first, second = (int(word) for word in random.choice(np.arange(1, 8), 2, replace=False))
    x, y = sentences(random, 300, first, second)
    unseen, labels = sentences(random, 300, first, second)
    turned = np.zeros_like(unseen)
    for row, new in zip(unseen, turned):
        words = row[row > 0]
        new[: len(words)] = words[::-1]
    longer = np.pad(unseen, [(0, 0), (0, 6)])
    asked = [unseen, unseen, longer, turned, x]
    calls = [{"x": x, "y": y}, *({"x": one} for one in asked)]
    return Case(name, calls=calls, secret={"unseen": labels, "training": y})


@exercise.public
def examples(random):
    yield drawn_case(random, "300 sentences to learn from, 300 to judge")


@exercise.hidden
def drawn(random):
    yield drawn_case(random, "other words matter")


@exercise.judge
def judge(case, outputs):
    found = [one["probabilities"] for one in outputs[1:]]
    for one in found:
        if one.shape != (300,) or one.dtype.kind != "f":
            return (
                f"predict returned {one.dtype} {one.shape} for 300 sentences, expected floating "
                f"point numbers (300,)"
            )
        if not np.isfinite(one).all():
            return NOT_FINITE
        if (one < -1e-6).any() or (one > 1 + 1e-6).any():
            return NO_PROBABILITIES
    answers, again, longer, turned, training = found
    if np.abs(answers - again).max() > 1e-4:
        return NOT_TWICE
    if np.abs(answers - longer).max() > 1e-3:
        return PADDING
    if len(np.unique(answers > 0.5)) == 1:
        return ONE_ANSWER
    accuracy = ((answers > 0.5) == case.secret["unseen"]).mean()
    if accuracy >= 0.95:
        return None
    if accuracy <= 0.05:
        return TURNED
    if np.abs(answers - turned).max() < 1e-3:
        return ORDER
    if ((training > 0.5) == case.secret["training"]).mean() > 0.98 and accuracy < 0.9:
        return BY_HEART
    return f"accuracy {accuracy:.3f}, at least 0.95 is asked"


@exercise.reference
def solution(x, y):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(8, 8, mask_zero=True),
            keras.layers.GRU(16),
            keras.layers.Dense(1),
        ]
    )
    optimizer = keras.optimizers.Adam(0.03)
    optimizer.build(model.trainable_variables)
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    x, y = tf.constant(x), tf.constant(y[:, np.newaxis])
    for _ in range(40):
        step(x, y)
    return lambda x: tf.sigmoid(model(x, training=False)[:, 0])


@exercise.right
def simple_network_by_hand(x, y):
    random, units = np.random.default_rng(0), 20
    start = [
        random.normal(0, 0.5, (8, units)),
        np.linalg.qr(random.normal(size=(units, units)))[0],
        np.zeros(units),
        random.normal(0, 0.3, (units, 1)),
    ]
    weights = [tf.Variable(one.astype("float32")) for one in start]
    means = [tf.Variable(tf.zeros_like(one)) for one in weights]
    squares = [tf.Variable(tf.zeros_like(one)) for one in weights]

    def logits_of(x):
        table, recurrent_kernel, bias, last = weights
        h = tf.zeros((x.shape[0], units))
        for t in range(10):  # what follows is padding
            new = tf.tanh(tf.gather(table, x[:, t]) + h @ recurrent_kernel + bias)
            h = tf.where((x[:, t] > 0)[:, tf.newaxis], new, h)
        return (h @ last)[:, 0]

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sigmoid_cross_entropy_with_logits(y, logits_of(x))
            loss = tf.reduce_mean(losses) + 1e-3 * tf.reduce_sum(weights[3] ** 2)
        for k, slope in enumerate(tape.gradient(loss, weights)):
            slope = tf.clip_by_norm(tf.convert_to_tensor(slope), 1.0)
            means[k].assign(0.9 * means[k] + 0.1 * slope)
            squares[k].assign(0.99 * squares[k] + 0.01 * slope**2)
            weights[k].assign_sub(0.03 * means[k] / (tf.sqrt(squares[k]) + 1e-6))

    x, y = tf.constant(x), tf.constant(y.astype("float32"))
    for _ in range(80):
        step(x, y)
    return lambda x: tf.sigmoid(logits_of(tf.constant(x)))


@exercise.right
def counting_ordered_pairs(x, y):
    def features(x):
        hot = np.eye(8)[x][:, :, 1:]  # (n, time, words)
        before = np.cumsum(hot, axis=1) - hot
        pairs = np.einsum("nta,ntb->nab", before, hot)  # how often a stands before b
        return np.concatenate([pairs.reshape(len(x), -1), np.ones((len(x), 1))], axis=1)

    f = features(x)
    weights = np.linalg.solve(f.T @ f + 0.1 * np.eye(f.shape[1]), f.T @ (2.0 * y - 1))
    return lambda x: 1 / (1 + np.exp(-4 * features(x) @ weights))


@exercise.right
def weights_for_each_place(x, y):
    # label 1 if place of one word > place of the other: a line in the places
    def features(x):
        hot = np.eye(8)[x][:, :, 1:]
        places = (hot * np.arange(x.shape[1])[:, np.newaxis]).sum(axis=1)
        counts = hot.sum(axis=1)
        return np.concatenate([places, counts, np.ones((len(x), 1))], axis=1)

    f = features(x)
    weights = np.zeros(f.shape[1])
    scale = f.std(axis=0) + 1.0
    for _ in range(3000):
        p = 1 / (1 + np.exp(-(f / scale) @ weights))
        weights -= 1.0 * (f / scale).T @ (p - y) / len(y)
    return lambda x: 1 / (1 + np.exp(-(features(x) / scale) @ weights))


@exercise.wrong(ORDER)
def bag_of_words(x, y):
    def features(x):
        counts = np.eye(8)[x][:, :, 1:].sum(axis=1)
        return np.concatenate([counts, np.ones((len(x), 1))], axis=1)

    weights = np.linalg.lstsq(features(x), 2.0 * y - 1, rcond=None)[0]
    return lambda x: 1 / (1 + np.exp(-4 * features(x) @ weights))


@exercise.wrong(PADDING)
def no_mask(x, y):
    random = np.random.default_rng(0)
    table, recurrent = random.normal(size=(8, 50)), 0.1 * random.normal(size=(50, 50))

    def features(x):
        h = np.zeros((len(x), 50))
        for t in range(x.shape[1]):
            h = np.tanh(table[x[:, t]] + h @ recurrent)
        return h

    f = features(x)
    weights = np.linalg.solve(f.T @ f + np.eye(50), f.T @ (2.0 * y - 1))
    return lambda x: 1 / (1 + np.exp(-4 * features(x) @ weights))


@exercise.wrong(PADDING)
def mean_over_the_row(x, y):
    def features(x):
        hot = np.eye(8)[x][:, :, 1:]
        before = np.cumsum(hot, axis=1) - hot
        return np.einsum("nta,ntb->nab", before, hot).reshape(len(x), -1) / x.shape[1]

    f = features(x)
    weights = np.linalg.solve(f.T @ f + 0.001 * np.eye(f.shape[1]), f.T @ (2.0 * y - 1))
    return lambda x: 1 / (1 + np.exp(-4 * features(x) @ weights))


@exercise.wrong(NOT_TWICE)
def dropout_in_use(x, y):
    drop = keras.layers.Dropout(0.5, seed=0)
    return lambda x: tf.sigmoid(drop(tf.cast(x, "float32"), training=True)[:, 0])


@exercise.wrong(ONE_ANSWER)
def never_trained(x, y):
    share = y.mean()
    return lambda x: np.full(len(x), share)


@exercise.wrong(NO_PROBABILITIES)
def logits(x, y):
    def features(x):
        hot = np.eye(8)[x][:, :, 1:]
        before = np.cumsum(hot, axis=1) - hot
        return np.einsum("nta,ntb->nab", before, hot).reshape(len(x), -1)

    f = features(x)
    weights = np.linalg.solve(f.T @ f + 0.1 * np.eye(f.shape[1]), f.T @ (2.0 * y - 1))
    return lambda x: 4 * features(x) @ weights


@exercise.wrong(NOT_FINITE)
def run_away(x, y):
    f = np.eye(8, dtype="float32")[x].sum(axis=1)
    weights = np.zeros(8, "float32")
    with np.errstate(all="ignore"):
        for _ in range(200):
            weights -= f.T @ (f @ weights - y)
    return lambda x: tf.sigmoid(np.eye(8, dtype="float32")[x].sum(axis=1) @ weights)


@exercise.wrong(TURNED)
def probability_of_zero(x, y):
    def features(x):
        hot = np.eye(8)[x][:, :, 1:]
        before = np.cumsum(hot, axis=1) - hot
        return np.einsum("nta,ntb->nab", before, hot).reshape(len(x), -1)

    f = features(x)
    weights = np.linalg.solve(f.T @ f + 0.1 * np.eye(f.shape[1]), f.T @ (2.0 * y - 1))
    return lambda x: 1 / (1 + np.exp(4 * features(x) @ weights))


@exercise.wrong(BY_HEART)
def nearest_sentence(x, y):
    training = x

    def predict(x):
        alike = (x[:, np.newaxis, :10] == training).sum(axis=2)
        return y[alike.argmax(axis=1)].astype("float64")

    return predict


@exercise.wrong()
def last_word_only(x, y):
    def features(x):
        ends = (x > 0).sum(axis=1) - 1
        return np.eye(8)[x[np.arange(len(x)), ends]]

    weights = np.linalg.lstsq(features(x), 2.0 * y - 1, rcond=None)[0]
    return lambda x: 1 / (1 + np.exp(-4 * features(x) @ weights))


@exercise.wrong()
def a_column(x, y):
    return lambda x: np.full((len(x), 1), 0.5)


@exercise.wrong()
def two_columns(x, y):
    return lambda x: np.full((len(x), 2), 0.5)


@exercise.wrong()
def classes(x, y):
    return lambda x: np.ones(len(x), "int64")
