"""Attention as a dictionary whose keys must be learned."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

THRESHOLD = 0.95
NO_ARRAY = "predict must return (n, 10) probabilities, finite floating point numbers"
NO_PROBABILITIES = (
    "The answers are no probabilities: in some rows there are numbers below 0, or the sum is not "
    "1. Mix what is known to be probabilities, with weights that sum to 1."
)
ONE_CLASS = "The answer is the same for all rows. It must depend on the query, the keys and values."
SAME_WEIGHTS = (
    "Each pair has the same weight, whatever the query: the answer is the mean of the values. Is "
    "the query used, and is the softmax taken over the pairs?"
)
NOT_LEARNED = (
    "Your answers are those of a query that is compared with the keys as it is. But queries and "
    "keys are different descriptions of the same thing: put a matrix between them, and learn it."
)
ORDER = (
    "The answers change when the pairs are put in another order. A dictionary has none: each pair "
    "must be treated alike, and the weighted values added up."
)
EMPTY = (
    "The answers change when empty pairs are added: they are looked at. Give them a very low score "
    "before the softmax, where the value is −1."
)
BY_CHANCE = (
    "The same questions get other answers when they are asked again: something random is still at "
    "work. Dropout, for one, belongs to training only."
)

exercise = Exercise(
    chapter=6,
    minutes=45,
    difficulty=3,
    points=5,
    kind="trained model",
    outputs=None,
    seconds=120,
    hints=[
        "One attention without heads is enough: the query asks, the keys are compared, and the "
        "values are mixed. Written as one-hot rows, the values are probabilities, and so is "
        "any mixture of them.",
        "A product query · key finds nothing until a matrix stands between: score = query M keyᵀ, "
        "with M (8, 8) learned. Scores of empty pairs become a very low number before the softmax "
        "over the pairs.",
        "weights = softmax(where(values >= 0, einsum('nd,de,npe->np', query, M, keys), −1e9)); "
        "p = einsum('np,npc->nc', weights, one_hot(values, 10)); the loss is the mean of "
        "−log(p of the answer + 1e-9). Adam(0.1), 150 steps on all rows at once, M from zeros.",
    ],
)


@exercise.stub
def train_lookup(keys, values, query, answers):
    """Train a model that looks something up.

    Each example is a small dictionary: up to 6 pairs of a key, 8 numbers, and a value, a class
    from 0 to 9. And there is a query, 8 numbers. It belongs to one of the keys, and the answer is
    that key's value. But query and key do not look alike: what kind of query belongs to what kind
    of key must be learned from the examples. It is the same for all of them, and linear but for
    some noise. Keys and values are put together at random in each example: a model cannot learn
    the dictionaries by heart, it must learn to look.

    An example with fewer pairs is filled with empty pairs: a key of zeros with the value −1.

    Practises: chapter 6, "Where do query, key and value come from?".

    Args:
        keys: (n, pairs, 8) float32 array; n is about 1,500, for training.
        values: (n, pairs) int32 array: 0 to 9, or −1.
        query: (n, 8) float32 array.
        answers: (n,) int32 array, 0 to 9.

    Returns:
        A function predict(keys, values, query), for any n and any number of pairs: the
        probabilities of the classes, (n, 10), floats that sum to 1 in each row (± 0.001).

    It is asked for examples that it has not seen, twice, then for the same with their pairs in
    another order, then with more empty pairs. At least 95 % of the most probable classes must be
    right, and no probability may change by more than 0.01 from one time to another. Limit: 120 s
    for all cases together; a few seconds are enough.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    if "answers" in inputs:
        memory["predict"] = solution(**inputs)
        return {"trained": np.ones(1)}
    return {"probabilities": memory["predict"](**inputs)}


def examples_of(random, relation, n):
    """Returns dictionaries and queries, and the answers; relation: (8, 8), key → query."""
    count = random.integers(2, 7, size=(n, 1))
    there = np.arange(6) < count
    keys = random.normal(size=(n, 6, 8))
    keys /= np.linalg.norm(keys, axis=-1, keepdims=True)
    chosen = random.integers(0, count[:, 0])
    query = keys[np.arange(n), chosen] @ relation + random.normal(0, 0.05, size=(n, 8))
    values = np.where(there, random.integers(0, 10, size=(n, 6)), -1).astype("int32")
    keys = np.where(there[..., np.newaxis], keys, 0).astype("float32")
    inputs = {"keys": keys, "values": values, "query": query.astype("float32")}
    return inputs, values[np.arange(n), chosen]


def lookup_case(name, random, n):
    """Returns the case: training data, unseen examples, these in another order, and with more."""
    relation = np.linalg.qr(random.normal(size=(8, 8)))[0] * random.uniform(1, 2, size=8)
    training, answers = examples_of(random, relation, n)
    unseen, unseen_answers = examples_of(random, relation, 400)
    keys, values = unseen["keys"], unseen["values"]
    order = random.permuted(np.tile(np.arange(6), (400, 1)), axis=1)
    shuffled = {
        "keys": np.take_along_axis(keys, order[..., np.newaxis], axis=1),
        "values": np.take_along_axis(values, order, axis=1),
    }
    longer = {
        "keys": np.pad(keys, [(0, 0), (0, 20), (0, 0)]),
        "values": np.pad(values, [(0, 0), (0, 20)], constant_values=-1),
    }
    calls = [training | {"answers": answers}, unseen, unseen]
    calls += [unseen | shuffled, unseen | longer]
    return Case(name, calls=calls, secret=unseen_answers)


@exercise.public
def examples(random):
    yield lookup_case("1500 dictionaries", random, 1500)


@exercise.hidden
def drawn(random):
    yield lookup_case("1600 dictionaries", random, 1600)


@exercise.judge
def judge(case, outputs):
    answers = case.secret
    tables = []
    for each in outputs[1:]:
        p = each.get("probabilities")
        if p is None or p.shape != (len(answers), 10) or p.dtype.kind != "f":
            return NO_ARRAY + ("" if p is None else f"; this is {p.dtype} {p.shape}")
        if not np.isfinite(p).all():
            return NO_ARRAY
        tables.append(p.astype("float64"))
    p, again, shuffled, longer = tables
    if p.min() < -1e-6 or np.abs(p.sum(axis=1) - 1).max() > 1e-3:
        return NO_PROBABILITIES
    said = p.argmax(axis=1)
    if (said == said[0]).all():
        return ONE_CLASS
    if np.abs(p - again).max() > 0.01:
        return BY_CHANCE
    if np.abs(p - shuffled).max() > 0.01:
        return ORDER
    if np.abs(p - longer).max() > 0.01:
        return EMPTY
    accuracy = np.mean(said == answers)
    if accuracy >= THRESHOLD:
        return None
    keys, values, query = (case.calls[1][name] for name in ("keys", "values", "query"))
    one_hot = (values[..., np.newaxis] == np.arange(10)).astype("float64")  # (n, pairs, 10)
    mean = one_hot.sum(axis=1) / one_hot.sum(axis=(1, 2))[:, np.newaxis]
    if np.abs(p - mean).max() < 0.01:
        return SAME_WEIGHTS
    plain = np.where(values < 0, -np.inf, np.einsum("nd,npd->np", query, keys)).argmax(axis=1)
    if np.mean(said == values[np.arange(len(values)), plain]) > 0.97:
        return NOT_LEARNED
    return f"{accuracy:.1%} of the answers are right, and {THRESHOLD:.0%} are needed"


@exercise.reference
def solution(keys, values, query, answers):
    matrix = keras.Variable(np.zeros((keys.shape[-1], query.shape[-1])), dtype="float32")

    def look_up(keys, values, query):
        scores = tf.einsum("nd,de,npe->np", query, matrix.value, keys)
        weights = tf.nn.softmax(tf.where(values >= 0, scores, -1e9))
        return tf.einsum("np,npc->nc", weights, tf.one_hot(values, 10))

    optimizer = keras.optimizers.Adam(0.1)
    optimizer.build([matrix])

    @tf.function(autograph=False)
    def step():
        with tf.GradientTape() as tape:
            right = tf.gather(look_up(keys, values, query), answers, batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(right + 1e-9))
        optimizer.apply(tape.gradient(loss, [matrix]), [matrix])

    for _ in range(150):
        step()
    return look_up


@exercise.right
def with_fit(keys, values, query, answers):
    keras.utils.set_random_seed(1)
    layers = keras.layers
    of_keys = keras.Input((None, 8))
    of_values = keras.Input((None,), dtype="int32")
    of_query = keras.Input((8,))
    asked = layers.Reshape((1, 8))(layers.Dense(8, use_bias=False)(of_query))
    scores = layers.Dot(axes=2)([asked, of_keys])[:, 0]
    weights = layers.Softmax()(scores, mask=of_values >= 0)
    one_hot = keras.ops.one_hot(of_values, 10)
    p = layers.Dot(axes=1)([weights, one_hot])
    model = keras.Model([of_keys, of_values, of_query], p)
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(0.1), loss)
    model.fit([keys, values, query], answers, epochs=10, batch_size=100, verbose=0)
    return lambda keys, values, query: model([keys, values, query])


@exercise.right
def with_least_squares(keys, values, query, answers):
    # Where only one pair has the answer's value, that pair is the one that was asked for.
    same = values == answers[:, None]
    rows = np.flatnonzero(same.sum(axis=1) == 1)
    chosen = keys[rows, same[rows].argmax(axis=1)]
    key_of_query = np.linalg.lstsq(query[rows], chosen, rcond=None)[0]

    def predict(keys, values, query):
        scores = 20 * np.einsum("nd,npd->np", query @ key_of_query, keys)
        weights = np.where(values >= 0, np.exp(scores), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        return np.stack([(weights * (values == c)).sum(axis=1) for c in range(10)], axis=1)

    return predict


@exercise.right
def by_hand(keys, values, query, answers):
    def attend(matrix, keys, values, query):
        scores = np.einsum("nd,npd->np", query @ matrix, keys)
        scores = np.where(values >= 0, scores, -1e9)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    matrix, same = np.zeros((8, 8)), values == answers[:, None]
    for _ in range(60):
        weights = attend(matrix, keys, values, query)
        right = weights * same
        slopes = weights - right / right.sum(axis=1, keepdims=True)  # of −log p for the scores
        looked_at = np.einsum("np,npd->nd", slopes, keys)
        matrix -= 100 * query.T @ looked_at / len(query)

    def predict(keys, values, query):
        weights = attend(matrix, keys, values, query)
        return (weights[..., None] * (values[..., None] == np.arange(10))).sum(axis=1)

    return predict


@exercise.wrong(NOT_LEARNED)
def nothing_between(keys, values, query, answers):
    def predict(keys, values, query):
        scores = 50 * np.einsum("nd,npd->np", query, keys)
        scores = np.where(values >= 0, scores, -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights[..., None] * (values[..., None] == np.arange(10))).sum(axis=1)

    return predict


@exercise.wrong(SAME_WEIGHTS)
def all_alike(keys, values, query, answers):
    def predict(keys, values, query):
        one_hot = (values[..., None] == np.arange(10)).astype("float32")
        return one_hot.sum(axis=1) / one_hot.sum(axis=(1, 2))[:, None]

    return predict


@exercise.wrong(NO_PROBABILITIES)
def scores_returned(keys, values, query, answers):
    def predict(keys, values, query):
        scores = np.einsum("nd,npd->np", query, keys)
        return (scores[..., None] * (values[..., None] == np.arange(10))).sum(axis=1)

    return predict


@exercise.wrong(ORDER)
def places_learned(keys, values, query, answers):
    def features(keys, values, query):
        one_hot = (values[:, :6, None] == np.arange(10)).reshape(len(keys), -1)
        return np.column_stack([keys[:, :6].reshape(len(keys), -1), one_hot, query])

    x = features(keys, values, query)
    weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(10)[answers])

    def predict(keys, values, query):
        logits = 5 * features(keys, values, query) @ weights
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        return p / p.sum(axis=1, keepdims=True)

    return predict


@exercise.wrong(EMPTY)
def empty_pairs_seen(keys, values, query, answers):
    same = values == answers[:, None]
    rows = np.flatnonzero(same.sum(axis=1) == 1)
    chosen = keys[rows, same[rows].argmax(axis=1)]
    key_of_query = np.linalg.lstsq(query[rows], chosen, rcond=None)[0]

    def predict(keys, values, query):
        weights = np.exp(6 * np.einsum("nd,npd->np", query @ key_of_query, keys))
        weights /= weights.sum(axis=1, keepdims=True)
        return np.einsum("np,npc->nc", weights, np.eye(10)[values])  # −1 is the last class

    return predict


@exercise.wrong(ONE_CLASS)
def most_frequent(keys, values, query, answers):
    shares = np.bincount(answers, minlength=10) / len(answers)
    return lambda keys, values, query: np.tile(shares, (len(keys), 1))


@exercise.wrong(BY_CHANCE)
def noise_left_on(keys, values, query, answers):
    random = np.random.default_rng(0)

    def predict(keys, values, query):
        scores = np.where(values >= 0, random.normal(size=values.shape), -np.inf)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights[..., None] * (values[..., None] == np.arange(10))).sum(axis=1)

    return predict


@exercise.wrong()
def class_numbers(keys, values, query, answers):
    return lambda keys, values, query: values[:, 0].astype("float32")


@exercise.wrong()
def matrix_turned(keys, values, query, answers):
    same = values == answers[:, None]
    rows = np.flatnonzero(same.sum(axis=1) == 1)
    chosen = keys[rows, same[rows].argmax(axis=1)]
    key_of_query = np.linalg.lstsq(query[rows], chosen, rcond=None)[0]

    def predict(keys, values, query):
        scores = 20 * np.einsum("nd,npd->np", query @ key_of_query.T, keys)
        weights = np.where(values >= 0, np.exp(scores), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights[..., None] * (values[..., None] == np.arange(10))).sum(axis=1)

    return predict


@exercise.wrong()
def too_few_examples(keys, values, query, answers):
    same = values == answers[:, None]
    chosen = np.einsum("npe,np->ne", keys, same * 1.0)
    matrix = query[:3].T @ chosen[:3]  # of a few examples only

    def predict(keys, values, query):
        scores = np.einsum("nd,npd->np", query @ matrix, keys)
        weights = np.where(values >= 0, np.exp(scores), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        return (weights[..., None] * (values[..., None] == np.arange(10))).sum(axis=1)

    return predict


@exercise.wrong()
def not_numbers(keys, values, query, answers):
    return lambda keys, values, query: np.full((len(keys), 10), np.nan)
