"""Min-p sampling: drawing the next token."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=20,
    difficulty=1,
    points=2,
    outputs=("probabilities", "tokens"),
    hints=[
        "Three steps, one after the other: temperature, filter, drawing. The temperature comes "
        "before the softmax, the filter after it.",
        "Compare each probability with min_p times the largest of its row. Set the others to "
        "zero, and divide by the sum of what is left, so that it is 1 again.",
        "To draw: cumulative = np.cumsum(probabilities, axis=-1), which ends at 1. The token is "
        "the number of classes whose cumulative sum is ≤ uniform.",
    ],
)


@exercise.stub
def draw_min_p(logits, uniform, temperature, min_p):
    """Draw the next token from the logits of a language model, with the min-p filter.

    Top-k keeps the same number of tokens whether the model is sure or not; top-p keeps few where
    it is sure. Min-p (Nguyen and others 2024) asks something simpler of a token: is it at least
    `min_p` times as likely as the likeliest one? For each row of logits:

    1. p = softmax(logits / temperature);
    2. keep the tokens with p ≥ min_p · max(p), set the others to 0, and divide the kept ones by
       their sum;
    3. draw: the token is the first class, in the order of the classes, at which the cumulative sum
       of these probabilities is greater than the row's `uniform` number.

    Chance comes from outside, so that the result is the same every time.

    Practises: chapter 6, "How boldly?".

    Args:
        logits: (n, classes) float array; can be large, such as 1000.
        uniform: (n,) float array, 0 ≤ uniform < 1.
        temperature: positive number.
        min_p: number, 0 < min_p ≤ 1.

    Returns:
        probabilities: (n, classes) after step 2, float32 or float64.
            Tolerance: 1e-5 + 1e-4 · |expected|.
        tokens: (n,), int32 or int64. No uniform number lies nearer than 0.0001 to a border.
        The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    logits = np.log([[0.5, 0.3, 0.15, 0.05], [0.97, 0.01, 0.01, 0.01]])
    yield Case(
        "a row that is unsure and one that is sure",
        {"logits": logits, "uniform": np.array([0.7, 0.7]), "temperature": 1.0, "min_p": 0.2},
    )


@exercise.hidden
def drawn(random):
    def inputs(n, classes, temperature, min_p, size=2.0, shift=0.0):
        logits = random.normal(shift, size, size=(n, classes))
        p = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
        p = np.where(p >= min_p, p, 0)
        borders = np.cumsum(p / p.sum(axis=1, keepdims=True), axis=1)
        uniform = random.random(n)
        for _ in range(1000):
            near = np.abs(borders - uniform[:, None]).min(axis=1) < 2e-4
            uniform = np.where(near, random.random(n), uniform)
        settings = {"temperature": temperature, "min_p": min_p}
        return {"logits": logits, "uniform": uniform, **settings}

    for n, classes, temperature, min_p in (
        (1, 5, 1.0, 0.1), (30, 9, 0.7, 0.05), (25, 40, 1.6, 0.02), (12, 7, 2.5, 0.5)
    ):  # fmt: skip
        name = f"{n} rows, {classes} classes, temperature {temperature}, min_p {min_p}"
        yield Case(name, inputs(n, classes, temperature, min_p), unchanged=True)
    yield Case("large logits", inputs(9, 6, 1.3, 0.05, shift=1000.0))
    yield Case("min_p 1", inputs(4, 5, 1.0, 1.0))
    single = inputs(20, 8, 0.5, 0.03)
    single["logits"] = single["logits"].astype("float32")
    yield Case("32 bits", single)


@exercise.reference
def solution(logits, uniform, temperature, min_p):
    scaled = logits / temperature
    p = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    p = p / p.sum(axis=-1, keepdims=True)
    p = np.where(p >= min_p * p.max(axis=-1, keepdims=True), p, 0)
    p = p / p.sum(axis=-1, keepdims=True)
    cumulative = np.cumsum(p, axis=-1)
    tokens = np.argmax(cumulative > uniform[:, np.newaxis], axis=-1)
    return p, tokens


@exercise.right
def on_the_logits(logits, uniform, temperature, min_p):
    scaled = tf.constant(logits) / temperature
    least = tf.reduce_max(scaled, axis=-1, keepdims=True) + np.log(min_p)
    p = tf.nn.softmax(tf.where(scaled >= least, scaled, -np.inf))
    uniform = tf.cast(uniform, p.dtype)[:, tf.newaxis]
    below = tf.cast(tf.cumsum(p, axis=-1) <= uniform, tf.int32)
    return p, tf.reduce_sum(below, axis=-1)


@exercise.right
def with_loops(logits, uniform, temperature, min_p):
    probabilities, tokens = np.zeros(logits.shape), []
    for row, (these, chance) in enumerate(zip(logits.astype("float64"), uniform)):
        weights = [np.exp((each - these.max()) / temperature) for each in these]
        weights = [weight if weight >= min_p else 0.0 for weight in weights]
        left = chance * sum(weights)
        for token, weight in enumerate(weights):
            if left < weight:
                break
            left -= weight
        tokens.append(token)
        probabilities[row] = np.array(weights) / sum(weights)
    return probabilities, np.array(tokens)


@exercise.right
def with_searchsorted(logits, uniform, temperature, min_p):
    weights = np.exp((logits - np.max(logits, axis=1)[:, None]) / temperature)
    weights *= weights >= min_p  # the largest weight is 1
    borders = weights.cumsum(axis=1)
    total = borders[:, -1]
    tokens = [np.searchsorted(b, u * b[-1], side="right") for b, u in zip(borders, uniform)]
    return weights / total[:, None], tf.cast(tokens, tf.int64)


exercise.mistake(
    "absolute_threshold",
    "You keep what is more likely than min_p itself. The threshold is min_p times the largest "
    "probability of the row: low where the model is unsure.",
    old="min_p * p.max(axis=-1, keepdims=True)",
    new="np.minimum(min_p, p.max(axis=-1, keepdims=True))",
)
exercise.mistake(
    "temperature_multiplied",
    "The logits are multiplied by the temperature. They are divided by it: above 1 makes the "
    "draw bolder.",
    old="logits / temperature",
    new="logits * temperature",
)


@exercise.wrong(
    "The filter compares probabilities at temperature 1. The temperature comes first, then "
    "the filter."
)
def filter_before_temperature(logits, uniform, temperature, min_p):
    raw = np.exp(logits - logits.max(axis=-1, keepdims=True))
    scaled = np.where(raw >= min_p, logits / temperature, -np.inf)
    p = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    p = p / p.sum(axis=-1, keepdims=True)
    p = p / p.sum(axis=-1, keepdims=True)
    cumulative = np.cumsum(p, axis=-1)
    tokens = np.argmax(cumulative > uniform[:, np.newaxis], axis=-1)
    return p, tokens


exercise.mistake(
    "sum_not_one",
    "After the filter the probabilities do not sum to 1 any more. Divide the kept ones by "
    "their sum before you draw; otherwise a large uniform number finds no token.",
    old="p = p / p.sum(axis=-1, keepdims=True)\n    cumulative",
    new="cumulative",
)
exercise.mistake(
    "drawn_by_rank",
    "The probabilities are right, but you draw from the sorted ones and return a rank. Step 3 "
    "goes through the classes in their own order.",
    old="np.cumsum(p, axis=-1)",
    new="np.cumsum(np.sort(p, axis=-1)[:, ::-1], axis=-1)",
)
exercise.mistake(
    "likeliest",
    "The probabilities are right, but your token is always the likeliest one: the uniform "
    "numbers are not used.",
    old=(
        "cumulative = np.cumsum(p, axis=-1)\n"
        "    tokens = np.argmax(cumulative > uniform[:, np.newaxis], axis=-1)"
    ),
    new="tokens = np.argmax(p, axis=-1)",
)
exercise.mistake(
    "one_class_too_early",
    old="np.cumsum(p, axis=-1)",
    new="np.cumsum(p, axis=-1) + 0.1",
)
exercise.mistake(
    "overflow",
    old="scaled - scaled.max(axis=-1, keepdims=True)",
    new="np.minimum(scaled, 700)",
)
exercise.mistake("largest_of_all_rows", old="p.max(axis=-1, keepdims=True)", new="p.max()")
exercise.mistake(
    "no_filter",
    old="np.where(p >= min_p * p.max(axis=-1, keepdims=True), p, 0)\n    p =",
    new="",
)
