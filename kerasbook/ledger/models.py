"""Whole models: each chapter's, computed by hand from its weights, beside Keras'.

The functions take the inputs and the list of weights in Keras' order, and call the chapters' own
parts, or plain TensorFlow where a chapter's part is a layer.
"""

from kerasbook import chapter1, chapter2, chapter3, chapter6
from kerasbook.ledger.core import (
    RATE,
    as_pairs,
    claim,
    model_pairs,
    mutant,
    precision,
)

import keras
import numpy as np
import tensorflow as tf


@claim(1, "whole model: linear regression")
def _(draw):
    features = draw.size()
    with precision(draw.dtype):
        model = chapter1.make_model(features)
    x = draw(draw.size(), features)
    return model_pairs(draw, model, lambda x, w: chapter1.linear(x, *w), x, of_x=True)


@claim(2, "whole model: the deep network with its penalty", sources="NK")
def _(draw):
    x, classes = draw(9, 4, 3, 1), draw.size()
    y = draw.random.integers(0, classes, 9)
    with precision(draw.dtype):
        model = chapter2.make_model((4, 3, 1), classes, (6, 5), dropout=0.5, l2=RATE)
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = [draw(*w.shape) for w in model.weights]
    model.set_weights(weights)
    with tf.GradientTape() as tape:
        logits = model(x, training=False)
        loss = loss_fn(y, logits) + sum(model.losses)
    outputs = chapter2.forward(chapter2.flat(x), weights)
    penalty = chapter2.l2_penalty(weights, RATE)
    gradients = zip(
        chapter2.backward(y, outputs, weights), chapter2.l2_gradients(weights, RATE), strict=True
    )
    return {
        "values": (outputs[-1], logits),
        "values of the loss": (chapter2.cross_entropy(y, outputs[-1]) + penalty, loss),
    } | as_pairs(
        "gradient",
        [a + b for a, b in gradients],
        tape.gradient(loss, model.trainable_variables),
    )


def dense(x, weights):
    """Returns the chapters' last layers: dense, bend, dense; four weights."""
    kernel, bias, last_kernel, last_bias = weights
    return tf.nn.relu(x @ kernel + bias) @ last_kernel + last_bias


def convolutional(x, weights, padding):
    """Returns chapter 3's: convolution, bend and pooling, twice; a third convolution; two dense
    layers.
    """
    for number in range(0, 6, 2):
        x = tf.nn.relu(chapter3.conv2d(x, *weights[number : number + 2], padding=padding))
        x = chapter3.max_pool(x) if number < 4 else x
    return dense(tf.reshape(x, (x.shape[0], -1)), weights[6:])


def _convolutional_claim(name, make, shape, padding):
    @claim(3, f"whole model: {name}")
    def pairs(draw):
        with precision(draw.dtype):
            model = make()
        x = draw(*shape)
        found = model_pairs(draw, model, lambda x, w: convolutional(x, w, padding), x, of_x=True)
        # No slopes: among thousands of bends, even a short step crosses one.
        return {name: pair for name, pair in found.items() if not name.startswith("slopes")}


_convolutional_claim(
    "the convolutional network", lambda: chapter3.make_model((8, 9, 2), 5), (2, 8, 9, 2), "same"
)
_convolutional_claim(
    "the article's, for grey pictures", lambda: chapter3.make_grey_cnn(), (1, 28, 28, 1), "valid"
)


def look(x, memory, weights, heads, mask):
    """Returns attention of x on a memory, one head after the other; six weights."""
    of_query, query_bias, of_both, both_bias, of_result, result_bias = weights
    queries = tf.split(x @ of_query + query_bias, heads, axis=-1)
    keys, values = tf.split(memory @ of_both + both_bias, 2, axis=-1)
    keys, values = tf.split(keys, heads, axis=-1), tf.split(values, heads, axis=-1)
    mixtures = [chapter6.attention(*each, mask)[0] for each in zip(queries, keys, values)]
    return tf.concat(mixtures, axis=-1) @ of_result + result_bias


def places_of(words):
    """Returns each token's number (n, time) within its word, counted from 0."""
    return np.array([[sum(row[:t] == row[t]) for t in range(len(row))] for row in words])


def transformer(tokens, words, weights, heads, causal, memory=None, memory_words=None):
    """Returns chapter 6's Stack with one block; weights: an iterator over them in Keras' order."""

    def take(count):
        return [next(weights) for _ in range(count)]

    (table,) = take(1)
    x = tf.gather(table, tokens) * table.shape[1] ** 0.5
    x = x + tf.cast(chapter6.sinusoids(tf.constant(places_of(words)), table.shape[1]), x.dtype)
    back, across = take(6), take(6 if memory is not None else 0)
    wide, wide_bias, narrow, narrow_bias = take(4)
    norms = [take(2) for _ in range(4 if memory is not None else 3)]  # the last: of the stack

    def norm(x):
        return chapter6.layer_norm(x, *norms.pop(0), epsilon=1e-6)

    same = words[:, :, np.newaxis] == words[:, np.newaxis]
    mask = same & np.tri(len(words[0]), dtype=bool) if causal else same
    normal = norm(x)
    x = x + look(normal, normal, back, heads, mask)
    if memory is not None:
        mask = words[:, :, np.newaxis] == memory_words[:, np.newaxis]
        x = x + look(norm(x), memory, across, heads, mask)
    x = x + tf.nn.relu(norm(x) @ wide + wide_bias) @ narrow + narrow_bias
    return norm(x)


def pronouncer(inputs, weights):
    """Returns chapter 6's encoder and decoder, with two heads."""
    letters, letter_words, before, before_words = inputs
    weights = iter(weights)
    memory = transformer(letters, letter_words, weights, 2, causal=False)
    said = transformer(before, before_words, weights, 2, True, memory, letter_words)
    return said @ next(weights) + next(weights)


def writer(text, weights):
    """Returns chapter 6's decoder alone, with two heads."""
    weights = iter(weights)
    x = transformer(text, np.ones_like(text), weights, 2, causal=True)
    return x @ next(weights) + next(weights)


@claim(6, "whole model: the pronouncer, two words in a row")
def _(draw):
    with precision(draw.dtype):
        model = chapter6.make_pronouncer(8, heads=2, blocks=1, sounds=7)
    letters = draw.random.integers(1, 20, (2, 6)).astype("int32")
    before = draw.random.integers(1, 7, (2, 5)).astype("int32")
    letter_words = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 2, 2]], "int32")
    before_words = np.array([[1, 1, 2, 2, 0], [1, 1, 1, 2, 2]], "int32")
    inputs = [letters, letter_words, before, before_words]
    return model_pairs(draw, model, pronouncer, inputs)


@claim(6, "whole model: the writer")
def _(draw):
    with precision(draw.dtype):
        model = chapter6.make_writer(9, width=8, heads=2, blocks=1)
    return model_pairs(draw, model, writer, draw.random.integers(1, 9, (2, 5)).astype("int32"))


# --- mistakes to be seen ------------------------------------------------------------------

mutant(
    1,
    chapter1.make_model,
    "layers.Dense(1)",
    "layers.Dense(1, 'tanh')",
    "a bend in the line",
    by="whole model",
)
mutant(2, chapter2.make_model, 'units, "relu"', 'units, "gelu"', "another bend", by="whole model")
mutant(
    2,
    chapter2.flat,
    "x.reshape(len(x), -1)",
    "x.T.reshape(-1, len(x)).T",
    "columns before rows",
    by="whole model",
)
mutant(3, chapter3.make_model, '"same"', '"valid"', "another padding", by="whole model")
mutant(3, convolutional, "if number < 4 else x", "", "pooled once more", by="whole model")
mutant(
    3,
    dense,
    "tf.nn.relu(x @ kernel + bias)",
    "(x @ kernel + bias)",
    "no bend between the layers",
    by="whole model",
)
mutant(
    6,
    chapter6.make_pronouncer,
    '"causal": True',
    '"causal": False',
    "the decoder reads ahead",
    by="pronouncer",
)
mutant(6, chapter6.Stack, "* self.width**0.5", "", "embedding not scaled", by="writer")
mutant(
    6,
    chapter6.Stack,
    "memory_mask = None if memory is None else same_word(words, memory_words)",
    "memory_mask = None",
    "looks at the other word's letters",
    by="pronouncer",
)
mutant(
    6,
    chapter6.sinusoids,
    "2) / width",
    "2) / (width - 1)",
    "waves of other lengths",
    by="positions",
)
mutant(
    6,
    chapter6.logits_layer,
    "layers.Dense(classes,",
    "layers.Dense(classes, activation='softmax',",
    "a softmax in the model",
    by="writer",
)
