"""Whole models: each chapter's, computed by hand from its weights, beside Keras'.

The functions take the inputs and the list of weights in Keras' order, and call the chapters' own
parts, or plain TensorFlow where a chapter's part is a layer.
"""

import itertools
from types import SimpleNamespace

from kerasbook import (
    chapter1,
    chapter2,
    chapter2_deep_network,
    chapter2_training,
    chapter3,
    chapter4,
    chapter5,
    chapter6,
    chapter6_encoder_decoder,
)
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


@claim("chapter2_training", "whole model: the deep network with its penalty", sources="NK")
def _(draw):
    x, classes = draw(9, 4, 3, 1), draw.size()
    y = draw.random.integers(0, classes, 9)
    with precision(draw.dtype):
        model = chapter2_training.make_model((4, 3, 1), classes, (6, 5), dropout=0.5, l2=RATE)
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    weights = [draw(*w.shape) for w in model.weights]
    model.set_weights(weights)
    with tf.GradientTape() as tape:
        logits = model(x, training=False)
        loss = loss_fn(y, logits) + sum(model.losses)
    outputs = chapter2_deep_network.forward(chapter2_deep_network.flat(x), weights)
    penalty = chapter2_training.l2_penalty(weights, RATE)
    of_loss = chapter2_deep_network.backward(y, outputs, weights)
    gradients = zip(of_loss, chapter2_training.l2_gradients(weights, RATE), strict=True)
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


def reads(x, weights, vectors, reverse=False):
    """Returns the states (n, time, units) and the last one of a GRU that reads words (n, time)."""
    start = tf.zeros((len(x), weights[1].shape[0]), vectors.dtype)
    return chapter4.scan(
        lambda x, h: chapter4.gru_step(x, h, weights), vectors, start, tf.constant(x > 0), reverse
    )


def mean_and_max(x, states):
    """Returns mean and maximum of the states at the words of each sentence."""
    return tf.stack(
        [
            tf.concat([tf.reduce_mean(s[:n], axis=0), tf.reduce_max(s[:n], axis=0)], axis=0)
            for s, n in zip(states, (x > 0).sum(axis=1), strict=True)
        ]
    )


def gru_reader(x, weights):
    """Returns chapter 4's `gru`."""
    vectors = tf.gather(weights[0], x)
    return dense(reads(x, weights[1:4], vectors)[1], weights[4:])


def word_sum(x, table):
    """Returns the weights of a sentence's words, summed, over the root of their number plus one."""
    sums = [tf.reduce_sum(tf.gather(table, row[row > 0])) for row in x]
    return 24 * tf.stack([s / (1 + (row > 0).sum()) ** 0.5 for s, row in zip(sums, x, strict=True)])


def pairs_of(x):
    """Returns the numbers of neighbouring words' weights; 0 behind the last."""
    mixed = [
        [1 + (7919 * a + 104729 * b) % 49_999 if b else 0 for a, b in itertools.pairwise(row)]
        for row in x.astype(int).tolist()
    ]
    return np.array(mixed)


def linear_reader(x, weights):
    """Returns chapter 4's `linear`: (n, 1)."""
    words, neighbours = sorted(weights, key=len)
    return (word_sum(x, words) + word_sum(pairs_of(x), neighbours))[:, tf.newaxis]


def bag_reader(x, weights):
    """Returns chapter 4's `bag`."""
    return dense(mean_and_max(x, tf.gather(weights[0], x)), weights[1:])


def two_way_reader(x, weights):
    """Returns chapter 4's `bidirectional`."""
    vectors = tf.gather(weights[0], x)
    onward, _ = reads(x, weights[1:4], vectors)
    back, _ = reads(x, weights[4:7], vectors, reverse=True)
    return dense(mean_and_max(x, tf.concat([onward, back], axis=-1)), weights[7:])


def _sentences(draw, words):
    x = draw.random.integers(1, words, (3, 6))
    return np.where(draw.mask(3, 6), x, 0).astype("int32")


def _reader_claim(variant, function):
    @claim(4, f"whole model: `{variant}`")
    def pairs(draw):
        with precision(draw.dtype):
            model = chapter4.make_model(11, variant, width=4, units=3)
        by_hand = globals()[function]
        return model_pairs(draw, model, by_hand, _sentences(draw, 11))


_reader_claim("linear", "linear_reader")
_reader_claim("bag", "bag_reader")
_reader_claim("gru", "gru_reader")
_reader_claim("bidirectional", "two_way_reader")


def speaker(x, weights):
    """Returns chapter 5's: the last states of an LSTM in both directions, and a dense layer."""
    mask = tf.reduce_any(x != 0, axis=-1)
    _, (onward, _) = chapter5.lstm(x, weights[:3], mask=mask)
    _, (back, _) = chapter5.lstm(x, weights[3:6], mask=mask, reverse=True)
    return tf.concat([onward, back], axis=-1) @ weights[6] + weights[7]


def bikes(x, weights, std, mean):
    """Returns chapter 5's: the last state and the last step, two dense layers, and the scale of
    bikes.
    """
    _, (last, _) = chapter5.lstm(x, weights[:3])
    return dense(tf.concat([last, x[:, -1]], axis=-1), weights[3:]) * std + mean


def stacked(x, weights):
    """Returns the article's: an LSTM on an LSTM, and a dense layer on the last step."""
    states, _ = chapter5.lstm(x, weights[:3])
    _, (last, _) = chapter5.lstm(states, weights[3:6])
    return last @ weights[6] + weights[7]


@claim(5, "whole model: who speaks? Recordings of several lengths")
def _(draw):
    with precision(draw.dtype):
        model = chapter5.make_speaker_model(units=4)
    x = np.where(draw.mask(3, 5)[..., np.newaxis], draw(3, 5, 12), 0)
    return model_pairs(draw, model, speaker, tf.constant(x))


@claim(5, "whole model: how many bikes?")
def _(draw):
    x = draw(3, 5, draw.size())
    train = SimpleNamespace(x=x, y=np.array([[2.0], [6.0]]))
    with precision(draw.dtype):
        model = chapter5.make_bike_model(train, units=4)
    return model_pairs(draw, model, lambda x, w: bikes(x, w, 2, 4), x, of_x=True)


@claim(5, "whole model: the article's two LSTMs")
def _(draw):
    with precision(draw.dtype):
        model = chapter5.make_article_lstm()
    return model_pairs(draw, model, stacked, draw(2, 4, 100), of_x=True)


def look(x, memory, weights, heads, mask):
    """Returns attention of x on a memory, one head after the other; eight weights."""
    of_query, query_bias, of_key, key_bias, of_value, value_bias, of_result, result_bias = weights
    parts = x @ of_query + query_bias, memory @ of_key + key_bias, memory @ of_value + value_bias
    parts = (tf.split(part, heads, axis=-1) for part in parts)
    mixtures = [chapter6.attention(*each, mask)[0] for each in zip(*parts, strict=True)]
    return tf.concat(mixtures, axis=-1) @ of_result + result_bias


def places_of(segments):
    """Returns each token's number (n, time) within its segment, counted from 0."""
    return np.array([[sum(row[:t] == row[t]) for t in range(len(row))] for row in segments])


def transformer(tokens, places, mask, weights, heads, memory=None, memory_mask=None):
    """Returns chapter 6's Stack with one block; weights: an iterator over them in Keras' order."""

    def take(count):
        return [next(weights) for _ in range(count)]

    def norm(x, scale_and_shift):
        return chapter6.layer_norm(x, *scale_and_shift, epsilon=1e-6)

    (table,) = take(1)
    x = tf.gather(table, tokens) * table.shape[1] ** 0.5
    x = x + tf.cast(chapter6.sinusoids(tf.constant(places), table.shape[1]), x.dtype)
    first, back, second, (wide, wide_bias, narrow, narrow_bias) = map(take, (2, 8, 2, 4))
    normal = norm(x, first)
    x = x + look(normal, normal, back, heads, mask)
    if memory is not None:
        x = x + look(norm(x, take(2)), memory, take(8), heads, memory_mask)
    x = x + tf.nn.relu(norm(x, second) @ wide + wide_bias) @ narrow + narrow_bias
    return norm(x, take(2))


def pronouncer(inputs, weights):
    """Returns chapter 6's encoder and decoder, with two heads."""
    letters, before = inputs
    weights, mask = iter(weights), (letters > 0)[:, np.newaxis]
    memory = transformer(letters, np.arange(letters.shape[1]), mask, weights, 2)
    triangle = np.tri(before.shape[1], dtype=bool)
    said = transformer(before, np.arange(before.shape[1]), triangle, weights, 2, memory, mask)
    return said @ next(weights) + next(weights)


def packed_pronouncer(inputs, weights):
    """Returns the same for rows of several words."""
    letters, spelt, before, said = inputs
    weights = iter(weights)
    same, own, across = (
        a[:, :, np.newaxis] == b[:, np.newaxis]
        for a, b in ((spelt, spelt), (said, said), (said, spelt))
    )
    memory = transformer(letters, places_of(spelt), same, weights, 2)
    causal = own & np.tri(said.shape[1], dtype=bool)
    x = transformer(before, places_of(said), causal, weights, 2, memory, across)
    return x @ next(weights) + next(weights)


def writer(text, weights):
    """Returns chapter 6's stack alone, with two heads."""
    weights, time = iter(weights), text.shape[1]
    x = transformer(text, np.arange(time), np.tri(time, dtype=bool), weights, 2)
    return x @ next(weights) + next(weights)


def _words(draw):
    letters = draw.random.integers(1, 20, (2, 6)).astype("int32")
    return letters, draw.random.integers(1, 7, (2, 5)).astype("int32")


@claim(6, "whole model: the pronouncer, one word a row")
def _(draw):
    with precision(draw.dtype):
        model = chapter6_encoder_decoder.make_pronouncer(8, heads=2, blocks=1, sounds=7)
    letters, before = _words(draw)
    letters[0, 4:] = 0
    return model_pairs(draw, model, pronouncer, [letters, before])


@claim(6, "whole model: the pronouncer, packed, two words a row")
def _(draw):
    with precision(draw.dtype):
        model = chapter6_encoder_decoder.make_pronouncer(8, heads=2, blocks=1, sounds=7)
        packed = chapter6_encoder_decoder.make_packed(model)
    letters, before = _words(draw)
    spelt = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 2, 2]], "int32")
    said = np.array([[1, 1, 2, 2, 0], [1, 1, 1, 2, 2]], "int32")
    return model_pairs(draw, packed, packed_pronouncer, [letters, spelt, before, said])


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
mutant(
    "chapter2_training",
    chapter2_training.make_model,
    'units, "relu"',
    'units, "gelu"',
    "another bend",
    by="whole model",
)
mutant(
    "chapter2_training",
    chapter2_deep_network.flat,
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
mutant(4, chapter4.make_logit, "mask_zero=True", "mask_zero=False", "no mask", by="`gru`")
mutant(
    4,
    chapter4.WordWeights,
    "tf.sqrt(1 + ",
    "(1 + ",
    "divided by the number of words",
    by="`linear`",
)
mutant(
    4,
    chapter4.MeanAndMax,
    "tf.maximum(words, 1)",
    "x.shape[1]",
    "padding counts in the mean",
    by="`bag`",
)
mutant(5, chapter5.make_speaker_model, "if masked", "if not masked", "no mask", by="who speaks")
mutant(
    5,
    chapter5.make_bike_model,
    "(history - 1, 0)",
    "(0, history - 1)",
    "the first step, not the last",
    by="bikes",
)
mutant(
    5,
    chapter5.make_article_lstm,
    "layers.LSTM(128),",
    "layers.LSTM(128, go_backwards=True),",
    "read backwards",
    by="two LSTMs",
)
mutant(
    6,
    chapter6_encoder_decoder.make_pronouncer,
    "blocks, causal, name",
    "blocks, False, name",
    "the decoder reads ahead",
    by="pronouncer, one",
)
mutant(6, chapter6.TokenEmbedding, "* self.width**0.5", "", "embedding not scaled", by="writer")
mutant(
    6,
    chapter6_encoder_decoder.padding_mask,
    "tokens != PAD",
    "tokens == tokens",
    "padding is looked at",
    by="pronouncer, one",
)
mutant(
    6,
    chapter6_encoder_decoder.make_packed,
    "same_segment(said, spelt)",
    "None",
    "looks at the other word's letters",
    by="packed",
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
