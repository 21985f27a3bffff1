"""One block of BERT: masked attention, exact gelu, norms after the sums."""

from math import erf

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=7,
    minutes=30,
    difficulty=3,
    points=3,
    hints=[
        "Post-norm: x = norm(x + attention(x)), then x = norm(x + dense(x)). Nothing is normalised "
        "before a part.",
        "Scores are queries · keys / √width; those of hidden KEYS become very low before the "
        "softmax. The gelu is x · Φ(x), with erf and not with tanh.",
        "scores = q @ k.swapaxes(1, 2) / width**0.5; scores = np.where(there[:, None], scores, "
        "-np.inf); softmax; x = norm(x + weights @ v @ out, 1); h = x @ wide; h = h · (1 "
        "+ erf(h / √2)) / 2; x = norm(x + h @ narrow, 2).",
    ],
)


@exercise.stub
def bert_block(x, there, query, key, value, out, wide, narrow, scales, shifts, epsilon):
    """Compute one block of BERT, with one head and without biases in its dense layers.

        x ← norm₁(x + attention(x)),    x ← norm₂(x + gelu(x · wide) · narrow)

    Attention: queries x · query, keys x · key, values x · value; scores divided by √width; nobody
    looks at a place that is not `there`; the mixtures go through `out`. The norms take mean and
    variance over the width, epsilon under the root, then scale and shift. The gelu is the exact
    one, h · Φ(h) = h · (1 + erf(h / √2)) / 2.

    Practises: chapter 7, "The block, once more".

    Args:
        x: (n, time, width) float64 array.
        there: (n, time) bool array, at least one True in each row.
        query, key, value, out: (width, width) float64 arrays.
        wide: (width, hidden) float64 array.
        narrow: (hidden, width) float64 array.
        scales, shifts: (2, width) float64 arrays, a row for each norm.
        epsilon: a number above 0.

    Returns:
        (n, time, width) floats, also at places that are not there. Tolerance 1e-5 + 1e-4 ·
        |expected|.
    """
    raise NotImplementedError


def block(random, n, time, width, hidden, lengths, epsilon, size=1.0):
    """Returns the inputs of a case."""
    shapes = dict.fromkeys(("query", "key", "value", "out"), (width, width))
    shapes |= {"wide": (width, hidden), "narrow": (hidden, width)}
    w = {name: size * random.normal(size=shape) for name, shape in shapes.items()}
    w["scales"] = 1.5 + 0.5 * random.normal(size=(2, width))
    w["shifts"] = random.normal(size=(2, width))
    there = np.arange(time) < np.array(lengths)[:, np.newaxis]
    return {"x": random.normal(size=(n, time, width)), "there": there, **w, "epsilon": epsilon}


@exercise.public
def examples(random):
    yield Case("two short texts", block(random, 2, 3, 2, 3, [3, 2], 0.1))


@exercise.hidden
def drawn(random):
    yield Case("padding at the end", block(random, 3, 6, 4, 5, [6, 2, 1], 0.1), unchanged=True)
    first = block(random, 2, 5, 4, 8, [5, 5], 0.5)
    first["there"][:, [0, 3]] = False
    yield Case("hidden in the middle", first)
    yield Case("where the two gelus differ", block(random, 2, 4, 3, 16, [4, 3], 1e-12, size=1.5))
    yield Case("a large epsilon", block(random, 2, 4, 5, 5, [4, 4], 3.0))


@exercise.reference
def solution(x, there, query, key, value, out, wide, narrow, scales, shifts, epsilon):
    def norm(x, number):
        mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
        return scales[number] * (x - mean) / np.sqrt(variance + epsilon) + shifts[number]

    scores = (x @ query) @ (x @ key).swapaxes(1, 2) / x.shape[-1] ** 0.5
    scores = np.where(there[:, np.newaxis], scores, -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    weights = weights / weights.sum(axis=-1, keepdims=True)
    x = norm(x + weights @ (x @ value) @ out, 0)
    h = x @ wide
    h = h * (1 + np.vectorize(erf)(h / 2**0.5)) / 2
    return norm(x + h @ narrow, 1)


@exercise.right
def with_tensors(x, there, query, key, value, out, wide, narrow, scales, shifts, epsilon):
    wide, narrow, scales, shifts = map(tf.constant, (wide, narrow, scales, shifts))
    scores = tf.matmul(x @ query, x @ key, transpose_b=True) / x.shape[-1] ** 0.5
    weights = tf.nn.softmax(tf.where(there[:, None], scores, scores.dtype.min))

    def norm(x, number):
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        options = {"offset": shifts[number], "scale": scales[number], "variance_epsilon": epsilon}
        return tf.nn.batch_normalization(x, mean, variance, **options)

    x = norm(x + weights @ (x @ value) @ out, 0)
    return norm(x + tf.nn.gelu(x @ wide, approximate=False) @ narrow, 1)


@exercise.right
def with_keras(x, there, query, key, value, out, wide, narrow, scales, shifts, epsilon):
    scores = keras.ops.einsum("ntd,nsd->nts", x @ query, x @ key) / x.shape[-1] ** 0.5
    scores = scores - 1e9 * (1.0 - there[:, np.newaxis].astype(x.dtype))
    mixed = keras.ops.softmax(scores) @ (x @ value) @ out

    def norm(x, number):
        x = x - keras.ops.mean(x, axis=-1, keepdims=True)
        spread = keras.ops.sqrt(keras.ops.mean(x**2, axis=-1, keepdims=True) + epsilon)
        return x / spread * scales[number] + shifts[number]

    x = norm(x + mixed, 0)
    return norm(x + keras.ops.gelu(x @ wide, approximate=False) @ narrow, 1)


@exercise.right
def text_by_text(x, there, query, key, value, out, wide, narrow, scales, shifts, epsilon):
    def norm(row, number):
        deviation = (row.var() + epsilon) ** 0.5
        return scales[number] * (row - row.mean()) / deviation + shifts[number]

    result = np.zeros_like(x)
    for i, (text, seen) in enumerate(zip(x, there)):
        keys, values = text[seen] @ key, text[seen] @ value
        for t, token in enumerate(text):
            powers = keys @ (token @ query) / len(token) ** 0.5
            powers = np.exp(powers - powers.max())
            token = norm(token + powers @ values / powers.sum() @ out, 0)
            h = np.array([each * (1 + erf(each / 2**0.5)) / 2 for each in token @ wide])
            result[i, t] = norm(token + h @ narrow, 1)
    return result


exercise.mistake(
    "gelu_by_tanh",
    "This is the tanh approximation of the gelu. The exact one has erf.",
    old="1 + np.vectorize(erf)(h / 2**0.5)",
    new="1 + np.tanh((2 / np.pi) ** 0.5 * (h + 0.044715 * h**3))",
)
exercise.mistake(
    "norm_before",
    "The parts are given normalised tokens (pre-norm). BERT normalises after each sum.",
    old="""    scores = (x @ query) @ (x @ key)""",
    new="""    original = x
    x = norm(x, 0)
    scores = (x @ query) @ (x @ key)""",
)
exercise.mistake(
    "epsilon_not_used",
    "The epsilon that was given is not used: Keras' default is 1e-3.",
    old="variance + epsilon",
    new="variance + 1e-3",
)
exercise.mistake(
    "queries_hidden",
    "The mask hides keys, so that nobody looks there. Here it is laid along the queries.",
    old="np.where(there[:, np.newaxis], scores, -np.inf)",
    new="np.where(there[:, :, np.newaxis], scores, -1e9)",
)
exercise.mistake(
    "not_hidden",
    "Places that are not there are looked at as well.",
    old="    scores = np.where(there[:, np.newaxis], scores, -np.inf)\n",
    new="",
)
exercise.mistake("not_divided", old=" / x.shape[-1] ** 0.5", new="")
exercise.mistake("relu", old="h * (1 + np.vectorize(erf)(h / 2**0.5)) / 2", new="np.maximum(h, 0)")
exercise.mistake("no_root_of_two", old="(h / 2**0.5)", new="(h)")
exercise.mistake("one_norm", old="norm(x + h @ narrow, 1)", new="norm(x + h @ narrow, 0)")
exercise.mistake("no_way_around", old="norm(x + h @ narrow, 1)", new="norm(h @ narrow, 1)")
