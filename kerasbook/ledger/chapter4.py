"""Chapter 4: what the ledger claims of it, and the mistakes that must be seen."""

from typing import Any

from kerasbook import chapter4
from kerasbook.ledger import by_hand
from kerasbook.ledger.core import (
    as_pairs,
    claim,
    model_pairs,
    mutant,
    precision,
    values_and_gradients,
)
from kerasbook.ledger.models import dense
from kerasbook.pages import articles
from kerasbook.testing.compare import as_function, outputs_and_gradients

import numpy as np
import tensorflow as tf
from keras import layers


def _recurrent_claim(name: str, masked: bool, reverse: bool, **options: Any) -> None:
    cell, step = (
        (layers.GRU, "gru_step")
        if name.startswith("GRU")
        else (layers.SimpleRNN, "simple_rnn_step")
    )
    how = ", masked" * masked + ", backwards" * reverse

    @claim(4, f"{name}{how} = {cell.__name__}", sources="NTK")
    def pairs(draw):
        n, time_, inputs, units = 3, draw.size(3, 6), draw.size(), draw.size()
        x, mask = draw(n, time_, inputs), draw.mask(n, time_) if masked else None
        layer = cell(
            units, return_sequences=True, go_backwards=reverse, dtype=draw.dtype, **options
        )
        layer.build(x.shape)
        weights = {w.name: draw(*w.shape) for w in layer.trainable_variables}
        theirs = as_function(layer, mask=None if mask is None else tf.constant(mask))

        def ours(x, *weights):
            function = getattr(chapter4, step)
            start = tf.zeros((n, units), x.dtype)
            return chapter4.scan(
                lambda x, h: function(x, h, weights, **options), x, start, mask, reverse
            )[0]

        def in_order(x, *weights):
            states = theirs(x, *weights)
            return states[:, ::-1] if reverse else states

        def row_by_row(x, *weights):
            start = np.zeros((n, units), draw.dtype)
            function = getattr(by_hand, step)
            return by_hand.read(
                lambda x, h: function(x, h, *weights, **options), x, start, mask, reverse
            )

        return values_and_gradients(ours, in_order, row_by_row, x=x, **weights)


for _masked, _reverse in ((False, False), (True, False), (True, True)):
    _recurrent_claim("simple RNN", _masked, _reverse)
    _recurrent_claim("GRU, reset after", _masked, _reverse, reset_after=True)
    _recurrent_claim("GRU, reset before", _masked, _reverse, reset_after=False)


@claim(4, "the article's GRU = Keras' with its weights converted")
def _(draw):
    inputs, units = draw.size(), draw.size()
    shapes = [(units + inputs, units)] * 3 + [(units,)] * 3
    weights = [draw(*shape) for shape in shapes]
    x, h = draw(3, inputs), draw(3, units)
    layer = layers.GRU(units, reset_after=False, dtype=draw.dtype)
    layer.build((3, 1, inputs))
    layer.set_weights(articles.article_to_keras(weights))
    theirs = layer(x[:, np.newaxis], initial_state=tf.constant(h))
    pairs = {"values": (articles.article_gru_step(x, h, weights), theirs)}
    back = articles.keras_to_article(articles.article_to_keras(weights))
    return pairs | as_pairs("values there and back", back, weights)


@claim(4, "backpropagation through time by hand = tape", sources="T")
def _(draw):
    n, inputs, units = 2, draw.size(), draw.size()
    x, start = draw(n, 5, inputs), draw(n, units)
    weights = [draw(inputs, units), draw(units, units), draw(units)]

    def states_of(x, kernel, recurrent_kernel, bias, start):
        h, states = start, []
        for t in range(5):
            h = tf.tanh(x[:, t] @ kernel + h @ recurrent_kernel + bias)
            states.append(h)
        return tf.stack(states, axis=1)

    states, *by_tape = outputs_and_gradients(states_of, x, *weights, start)
    found = chapter4.simple_rnn_gradients(x, states, start, weights, states)
    return as_pairs("gradient", found, by_tape)


@claim(4, "clipping by global norm = tf.clip_by_global_norm")
def _(draw):
    gradients = [draw(3, 4), draw(5)]
    pairs = {}
    for limit in (0.5, 100.0):
        ours = chapter4.clip_by_global_norm(gradients, limit)
        theirs, _ = tf.clip_by_global_norm([tf.constant(g) for g in gradients], limit)
        pairs |= as_pairs(f"gradient, limit {limit}", ours, theirs)
    return pairs


@claim(4, "embedding = Embedding, with words that are met twice", sources="NTK")
def _(draw):
    words, width = draw.size(5, 9), draw.size()
    numbers = draw.random.integers(0, words, (3, 6))
    numbers[0, :3] = numbers[1, 0]  # the same word four times at least
    layer = layers.Embedding(words, width, dtype=draw.dtype)
    layer.build()
    theirs = as_function(layer)
    pairs = values_and_gradients(
        lambda table: tf.one_hot(numbers, words, dtype=table.dtype) @ table,
        lambda table: theirs(numbers, table),
        lambda table: by_hand.embed(numbers, table),
        table=draw(words, width),
    )
    vectors, slope = pairs["values in NumPy"][0], pairs["gradient of table"][1]
    table = np.zeros((words, width), draw.dtype)
    return pairs | {"gradient in NumPy": (by_hand.embed_gradient(numbers, table, vectors), slope)}


@claim(4, "GRU whose gate renews, reset after = Keras' with the gate's weights turned")
def _(draw):
    x, units = draw(3, draw.size()), draw.size()
    h = draw(3, units)
    weights = [draw(x.shape[1], 3 * units), draw(units, 3 * units), draw(2, 3 * units)]
    layer = layers.GRU(units, dtype=draw.dtype)
    layer.build((3, 1, x.shape[1]))
    layer.set_weights(chapter4.flip_update_gate(weights))
    theirs = layer(x[:, np.newaxis], initial_state=tf.constant(h))
    return {"values": (chapter4.gru_step(x, h, weights, z_keeps=False), theirs)}


# --- whole models -----------------------------------------------------------------------------


def reads(x, weights, vectors, reverse=False):
    """Returns the last state (n, units) of a GRU that reads words (n, time)."""
    start = tf.zeros((len(x), weights[1].shape[0]), vectors.dtype)
    return chapter4.scan(
        lambda x, h: chapter4.gru_step(x, h, weights), vectors, start, tf.constant(x > 0), reverse
    )[1]


def mean_of_words(x, vectors):
    """Returns, sentence by sentence, the mean of the vectors of its words."""
    ends = (x > 0).sum(axis=1)
    return tf.stack([tf.reduce_mean(v[:n], axis=0) for v, n in zip(vectors, ends, strict=True)])


def gru_reader(x, weights):
    """Returns the logits of chapter 4's `gru`."""
    return dense(reads(x, weights[1:4], tf.gather(weights[0], x)), weights[4:])


def bag_reader(x, weights):
    """Returns the logits of chapter 4's `bag`."""
    return dense(mean_of_words(x, tf.gather(weights[0], x)), weights[1:])


def two_way_reader(x, weights):
    """Returns the logits of chapter 4's `bidirectional`."""
    vectors = tf.gather(weights[0], x)
    onward, back = reads(x, weights[1:4], vectors), reads(x, weights[4:7], vectors, reverse=True)
    return dense(tf.concat([onward, back], axis=-1), weights[7:])


def linear_reader(x, weights):
    """Returns the logits of chapter 4's logistic regression."""
    return mean_of_words(x, tf.gather(weights[0], x)) @ weights[1] + weights[2]


def _sentences(draw, words):
    x = draw.random.integers(1, words, (3, 6))
    return np.where(draw.mask(3, 6), x, 0).astype("int32")


def _reader_claim(variant, function, make):
    @claim(4, f"whole model: `{variant}`")
    def pairs(draw):
        with precision(draw.dtype):
            model = make()
        by_hand = globals()[function]
        return model_pairs(draw, model, by_hand, _sentences(draw, 11))


def _make(variant):
    return lambda: chapter4.make_model(11, variant, width=4, units=3)


_reader_claim("gru", "gru_reader", _make("gru"))
_reader_claim("bag", "bag_reader", _make("bag"))
_reader_claim("bidirectional", "two_way_reader", _make("bidirectional"))
_reader_claim("linear", "linear_reader", lambda: chapter4.make_linear(11))


# --- mistakes to be seen --------------------------------------------------------------------

mutant(4, chapter4.simple_rnn_step, " + bias", "", "bias forgotten")
mutant(4, chapter4.simple_rnn_step, "h @ recurrent_kernel", "x @ kernel", "state not read")
mutant(
    4,
    chapter4.gru_gates,
    "z = tf.sigmoid(x_z",
    "z = tf.sigmoid(-x_z",
    "sign in the gate",
    by="GRU, reset",
)
mutant(
    4, chapter4.gru_gates, "x_z, x_r, x_c =", "x_r, x_z, x_c =", "gates swapped", by="GRU, reset"
)
mutant(
    4,
    chapter4.gru_gates,
    "r * (h @ u_c + b_c)",
    "r * (h @ u_c) + b_c",
    "reset misses the bias",
    by="GRU, reset",
)
mutant(
    4,
    chapter4.gru_gates,
    "(r * h) @ u_c",
    "r * (h @ u_c)",
    "reset after in place of before",
    by="GRU, reset",
)
mutant(
    4,
    chapter4.gru_step,
    "z * h + (1 - z) * candidate",
    "(1 - z) * h + z * candidate",
    "the article's convention",
    by="GRU",
)
mutant(
    4,
    chapter4.choose,
    "tf.where(read, new, old)",
    "tf.where(read, old, new)",
    "mask inverted",
    by="masked",
)
mutant(
    4,
    chapter4.choose,
    "tf.where(read, new, old)",
    "tf.where(read, new, 0 * old)",
    "state forgotten at padding",
    by="masked",
)
mutant(
    4, chapter4.scan, "if reverse else", "if not reverse else", "wrong direction", by="backwards"
)
mutant(4, articles.article_gru_step, "r * h", "h", "reset forgotten", by="article")
mutant(4, chapter4.flip_update_gate, "-1, 1", "1, 1", "meaning of z not turned", by="article")
mutant(
    4,
    articles.article_to_keras,
    "rows[units:], rows[:units]",
    "rows[:-units], rows[-units:]",
    "rows of state and input mixed up",
    by="article",
)
mutant(
    4,
    chapter4.simple_rnn_gradients,
    "1 - states[:, t] ** 2",
    "1 - states[:, t]",
    "slope of tanh",
    by="backpropagation",
)
mutant(
    4,
    chapter4.simple_rnn_gradients,
    "g[:, t] + later",
    "g[:, t]",
    "later steps forgotten",
    by="backpropagation",
)
mutant(
    4,
    chapter4.simple_rnn_gradients,
    "states[:, t - 1] if",
    "states[:, t] if",
    "a step too late",
    by="backpropagation",
)
mutant(
    4,
    chapter4.clip_by_global_norm,
    "tf.maximum(norm, limit)",
    "norm",
    "short ones made longer",
    by="clipping",
)
mutant(
    4,
    chapter4.gru_step,
    "else (1 - z) * h + z",
    "else z * h + (1 - z)",
    "always Keras' meaning",
    by="GRU",
)
mutant(
    4,
    by_hand.embed_gradient,
    "np.add.at(gradient, numbers, g)",
    "gradient[numbers] = g",
    "met twice, counted once",
    by="embedding",
)
mutant(4, by_hand.embed, "table[numbers]", "table[numbers - 1]", "the row before", by="embedding")
mutant(
    4,
    by_hand.read,
    "h = step(x[row, t], h)",
    "h = step(x[row, t], state[row])",
    "state not carried on",
)
mutant(
    4,
    by_hand.gru_step,
    "w_z, w_r, w_c",
    "w_r, w_z, w_c",
    "PyTorch's order of the gates",
    by="GRU, reset after",
)
mutant(
    4, by_hand.simple_rnn_step, "recurrent_kernel.T @ h", "recurrent_kernel @ h", "not transposed"
)
mutant(4, chapter4.make_model, "mask_zero=True", "mask_zero=False", "no mask", by="`gru`")
mutant(4, chapter4.make_linear, "mask_zero=True", "mask_zero=False", "no mask", by="`linear`")
mutant(4, mean_of_words, "v[:n]", "v", "padding counts in the mean", by="`bag`")
