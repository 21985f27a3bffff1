"""Train a network that finds a figure wherever it is."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

PLACES = (
    "Right where the figures of the training pictures lie, wrong elsewhere: your network has "
    "learned places. After a flatten, every place has weights of its own; pool over the whole map "
    "instead, or train on moved pictures."
)
ONE_CLASS = (
    "All pictures get the same class. Does the loss fall in training? Print it: the learning rate "
    "may be too high (all relus dead) or too low, or the gradients are not applied."
)
NO_PROBABILITIES = (
    "The rows are no probabilities: each must be between 0 and 1, and a row must sum to 1. Are "
    "they logits, or sigmoids? Apply a softmax over the classes."
)
NOT_FINITE = (
    "There is a NaN or an infinity in the answer: training has run away. Take a smaller learning "
    "rate, and the cross-entropy from logits rather than the logarithm of a softmax."
)
OTHER_ORDER = (
    "The network tells the figures apart, but the columns stand in another order: column k must be "
    "the probability of the label k."
)
NEIGHBOURS = (
    "The same picture gets another answer when other pictures are asked about with it. In use, "
    "nothing may be drawn at random (training=False), nor be scaled by the pictures of the "
    "question."
)

exercise = Exercise(
    chapter=3,
    minutes=50,
    difficulty=3,
    points=5,
    kind="trained model",
    outputs=None,
    seconds=60,
    hints=[
        "Which layers give the same answer to a moved figure, and which have weights for every "
        "place? Chapter 3's section on tied weights has the word: equivariance.",
        "A convolution whose window is as large as the figure, then the maximum over the whole "
        "map: how strongly each pattern was found, wherever it was.",
        "Conv2D(16, 5, activation='relu'), GlobalMaxPooling2D(), Dense(3), cross-entropy from "
        "logits, Adam(0.01), about 15 epochs in batches of 32. Return a function that calls the "
        "model with training=False and applies a softmax.",
    ],
)


@exercise.stub
def train_finder(x, y):
    """Train on figures at the top left; recognise them anywhere.

    Each picture has one figure of 5 × 5 pixels on a noisy ground: horizontal stripes (label 0),
    vertical stripes (1) or a chequerboard (2), more or less bright. In the training pictures it
    lies at the top left: its first row and its first column are among the first four. In the
    pictures of the test it may lie anywhere. So an accuracy on the training part says little; the
    network must be such that what it learns about one place holds for all.

    Practises: chapter 3, "Can the kernel be found?" and "The network".

    Args:
        x: (n, 14, 14, 1) float32 array, n = 240.
        y: (n,) int64 array of the labels 0, 1, 2, about equally many.

    Returns:
        A function predict(pictures) that takes (m, 14, 14, 1) float32, for any m ≥ 1, and returns
        (m, 3), float32 or float64: in row i the probabilities of the three labels for picture i,
        which sum to 1 (± 0.001). The same picture must get the same answer (± 0.001), whatever
        else is asked with it. It may be a tensor or an array.

    The accuracy on 400 unseen pictures, half of them with the figure where no training picture
    had it, must be at least 0.9. A small network gets 0.98 and more. Time for everything: 60
    seconds; one or two are enough.
    """
    raise NotImplementedError


@exercise.driver
def drive(solution, inputs, memory):
    if "y" in inputs:
        memory["predict"] = solution(inputs["x"], inputs["y"])
        return {}
    return {"probabilities": memory["predict"](inputs["x"])}


def pictures(random, count, far):
    """Pictures (count, 14, 14, 1) and labels (count,); far: outside of the training places."""
    rows, columns = np.indices((5, 5))
    figures = np.stack([rows % 2 == 0, columns % 2 == 0, (rows + columns) % 2 == 0])
    y = random.integers(0, 3, count)
    x = random.normal(0, 0.25, (count, 14, 14))
    places = random.integers(0, 10 if far else 4, (count, 2))
    if far:
        near = (places < 4).all(axis=1)
        places[near] += 5
    for picture, label, (i, j) in zip(x, y, places):
        picture[i : i + 5, j : j + 5] += figures[label] * random.uniform(0.6, 1.2)
    return x[..., np.newaxis].astype("float32"), y


def drawn_case(random, name):
    """Training data, unseen pictures, and some of them asked once more."""
    x, y = pictures(random, 240, far=False)
    near, near_labels = pictures(random, 200, far=False)
    distant, distant_labels = pictures(random, 200, far=True)
    unseen = np.concatenate([near, distant])
    calls = [{"x": x, "y": y}, {"x": unseen}, {"x": unseen[195:204]}]
    return Case(name, calls=calls, secret=np.concatenate([near_labels, distant_labels]))


@exercise.public
def examples(random):
    yield drawn_case(random, "240 pictures to learn from, 400 to recognise")


@exercise.hidden
def drawn(random):
    yield drawn_case(random, "other pictures of the same kind")


@exercise.judge
def judge(case, outputs):
    labels = case.secret
    for found, count in ((outputs[1], len(labels)), (outputs[2], 9)):
        probabilities = found["probabilities"]
        if probabilities.shape != (count, 3) or probabilities.dtype.kind != "f":
            return (
                f"predict returned {probabilities.dtype} {probabilities.shape} for {count} "
                f"pictures, expected floating point numbers ({count}, 3)"
            )
    probabilities, again = outputs[1]["probabilities"], outputs[2]["probabilities"]
    if not np.isfinite(probabilities).all() or not np.isfinite(again).all():
        return NOT_FINITE
    if (probabilities < -1e-3).any() or (np.abs(probabilities.sum(axis=1) - 1) > 1e-3).any():
        return NO_PROBABILITIES
    if np.abs(probabilities[195:204] - again).max() > 1e-3:
        return NEIGHBOURS
    answers = probabilities.argmax(axis=1)
    if len(np.unique(answers)) == 1:
        return ONE_CLASS
    right = answers == labels
    if right.mean() >= 0.9:
        return None
    orders = ((0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))
    if max((np.array(order)[answers] == labels).mean() for order in orders) >= 0.85:
        return OTHER_ORDER
    if right[:200].mean() >= 0.85 and right[200:].mean() < 0.8:
        return PLACES
    return f"accuracy {right.mean():.3f}, at least 0.9 is asked"


@exercise.reference
def solution(x, y):
    start = np.random.default_rng(0)
    shapes = (5, 5, 1, 16), (16,), (16, 3), (3,)
    weights = [tf.Variable(start.normal(0, 0.2, shape).astype("float32")) for shape in shapes]
    speeds = [tf.Variable(tf.zeros_like(weight)) for weight in weights]

    def logits_of(x):
        kernel, bias, matrix, last_bias = weights
        maps = tf.nn.relu(tf.nn.conv2d(x, kernel, 1, "VALID") + bias)
        return tf.reduce_max(maps, axis=(1, 2)) @ matrix + last_bias

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits_of(x))
            loss = tf.reduce_mean(losses)
        for weight, speed, slope in zip(weights, speeds, tape.gradient(loss, weights)):
            speed.assign(0.9 * speed + tf.convert_to_tensor(slope))
            weight.assign_sub(0.1 * speed)

    x, y = tf.constant(x), tf.constant(y)
    for _ in range(100):
        step(x, y)
    return lambda x: tf.nn.softmax(logits_of(x))


@exercise.right
def with_train_on_batch(x, y):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(16, 5, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    adam = keras.optimizers.Adam(0.03)
    model.compile(adam, "sparse_categorical_crossentropy", jit_compile=False)
    for _ in range(60):
        model.train_on_batch(x, y)
    return lambda x: model(x, training=False)


@exercise.right
def with_keras_in_a_loop(x, y):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(12, 5, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3),
        ]
    )
    optimizer = keras.optimizers.Adam(0.02)
    optimizer.build(model.trainable_variables)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    x, y = tf.constant(x), tf.constant(y)
    for _ in range(100):
        step(x, y)
    return lambda x: keras.ops.softmax(model(x, training=False))


@exercise.right
def cut_out_and_averaged(x, y):
    # a figure lies at one of 16 places: find it by its brightness, and average what is cut out
    def windows_of(x):
        windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], (5, 5), axis=(1, 2))
        return windows.reshape(len(x), -1, 25)  # (n, places, pixels)

    windows = windows_of(x)
    random = np.random.default_rng(0)
    templates = np.stack([windows[y == k].mean(axis=(0, 1)) for k in range(3)])
    templates = templates + random.normal(0, 0.01, templates.shape)
    for _ in range(30):
        for k in range(3):
            own = windows[y == k]
            pattern = templates[k] - templates[k].mean()
            place = (own @ pattern).argmax(axis=1)
            templates[k] = own[np.arange(len(own)), place].mean(axis=0)
    patterns = templates - templates.mean(axis=1, keepdims=True)
    patterns /= np.linalg.norm(patterns, axis=1, keepdims=True)

    def predict(x):
        scores = np.exp(3 * (windows_of(x) @ patterns.T).max(axis=1))
        return scores / scores.sum(axis=1, keepdims=True)

    return predict


@exercise.wrong(PLACES)
def flattened(x, y):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(12, 5, activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dense(3),
        ]
    )
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(model.trainable_variables)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

    @tf.function
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, model(x, training=True))
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)

    x, y = tf.constant(x), tf.constant(y)
    for _ in range(60):
        step(x, y)
    return lambda x: keras.ops.softmax(model(x, training=False))


@exercise.wrong(ONE_CLASS)
def all_relus_dead(x, y):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(
                8, 5, activation="relu", bias_initializer=keras.initializers.Constant(-99)
            ),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    return lambda x: model(x, training=False)


@exercise.wrong(NO_PROBABILITIES)
def logits(x, y):
    windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], (5, 5), axis=(1, 2))
    kernel = np.random.default_rng(0).normal(size=(5, 5, 30))
    features = np.tensordot(windows, kernel, 2).max(axis=(1, 2))
    matrix = np.linalg.lstsq(features, np.eye(3)[y], rcond=None)[0]

    def predict(x):
        windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], (5, 5), axis=(1, 2))
        return np.tensordot(windows, kernel, 2).max(axis=(1, 2)) @ matrix

    return predict


@exercise.wrong(NO_PROBABILITIES)
def sigmoids(x, y):
    matrix = np.random.default_rng(0).normal(size=(196, 3))
    return lambda x: tf.sigmoid(tf.reshape(x, (len(x), -1)) @ matrix.astype("float32"))


@exercise.wrong(NOT_FINITE)
def run_away(x, y):
    flat, targets = x.reshape(len(x), -1), np.eye(3, dtype="float32")[y]
    matrix = np.zeros((196, 3), "float32")
    with np.errstate(all="ignore"):
        for _ in range(60):
            matrix -= 10 * flat.T @ (flat @ matrix - targets)
    return lambda x: tf.nn.softmax(x.reshape(len(x), -1) @ matrix)


@exercise.wrong(OTHER_ORDER)
def columns_reversed(x, y):
    def windows_of(x):
        windows = np.lib.stride_tricks.sliding_window_view(x[..., 0], (5, 5), axis=(1, 2))
        return windows.reshape(len(x), -1, 25)

    rows, columns = np.indices((5, 5))
    figures = np.stack([rows % 2 == 0, columns % 2 == 0, (rows + columns) % 2 == 0])
    patterns = figures.reshape(3, 25) - figures.mean(axis=(1, 2))[:, np.newaxis]

    def predict(x):
        scores = np.exp((windows_of(x) @ patterns.T).max(axis=1))
        return (scores / scores.sum(axis=1, keepdims=True))[:, ::-1]

    return predict


@exercise.wrong(NEIGHBOURS)
def scaled_by_the_question(x, y):
    matrix = np.random.default_rng(0).normal(size=(196, 3))

    def predict(x):
        flat = x.reshape(len(x), -1)
        flat = (flat - flat.mean(axis=0)) / (flat.std(axis=0) + 1e-3)
        return tf.nn.softmax(flat @ matrix)

    return predict


@exercise.wrong(NEIGHBOURS)
def dropout_in_use(x, y):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(x.shape[1:]),
            keras.layers.Conv2D(8, 5, activation="relu"),
            keras.layers.GlobalMaxPooling2D(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    return lambda x: model(x, training=True)


@exercise.wrong()
def labels_for_probabilities(x, y):
    return lambda x: np.zeros(len(x), "float32")


@exercise.wrong()
def brightness_only(x, y):
    def features(x):
        flat = x.reshape(len(x), -1)
        return np.stack([flat.mean(axis=1), flat.std(axis=1), np.ones(len(x))], axis=1)

    matrix = np.linalg.lstsq(features(x), np.eye(3)[y], rcond=None)[0]

    def predict(x):
        scores = np.exp(30 * (features(x) @ matrix))
        return scores / scores.sum(axis=1, keepdims=True)

    return predict


@exercise.wrong()
def guessed(x, y):
    matrix = np.random.default_rng(0).normal(size=(196, 3)).astype("float32")
    return lambda x: tf.nn.softmax(x.reshape(len(x), -1) @ matrix)


@exercise.wrong()
def no_function(x, y):
    return np.full((len(x), 3), 1 / 3)
