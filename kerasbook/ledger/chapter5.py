"""Chapter 5: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter5
from kerasbook.ledger import by_hand
from kerasbook.ledger.core import (
    as_pairs,
    claim,
    model_pairs,
    mutant,
    precision,
    values_and_gradients,
)
from kerasbook.pages import articles, speed
from kerasbook.testing.compare import as_function, random_weights
from kerasbook.testing.recurrent import with_last

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def all_outputs(outputs, state):
    """Returns the outputs of all steps, then the last cell (n, time + 1, units)."""
    return with_last(outputs, state[1])


def weights_after_training(function, weights, x, y, steps=50):
    """Returns the weights after so many steps of Adam that bring function(x, *weights) to y."""
    variables = [keras.Variable(w, dtype=w.dtype) for w in weights]
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def train_step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((function(x, *(v.value for v in variables)) - y) ** 2)
        values = [v.value for v in variables]
        optimizer.apply(tape.gradient(loss, values), variables)

    for _ in range(steps):
        train_step()
    return [v.numpy() for v in variables]


def deep_functions(x, units, mask=None):
    """Returns ours, Keras' and the weights: a bidirectional LSTM, under another LSTM."""
    options = {"return_sequences": True, "dtype": x.dtype}
    wide = layers.Bidirectional(layers.LSTM(units, **options), dtype=x.dtype)
    deep = keras.Sequential([wide, layers.LSTM(units, **options)])
    deep.build(x.shape)

    def ours(x, *weights):
        outputs = chapter5.bidirectional(x, weights[0:3], weights[3:6], mask)
        return chapter5.lstm(outputs, weights[6:9], mask=mask)[0]  # (n, time, units)

    return ours, as_function(deep, mask=mask), random_weights(deep)


def _lstm_claim(name: str, masked=False, reverse=False, started=False) -> None:
    @claim(5, f"LSTM{name} = Keras' LSTM: states, cell", sources="NTK")
    def pairs(draw):
        n, time_, units = 3, draw.size(3, 6), draw.size()
        x, mask = draw(n, time_, draw.size()), draw.mask(n, time_) if masked else None
        layer = layers.LSTM(
            units, return_sequences=True, return_state=True, go_backwards=reverse, dtype=draw.dtype
        )
        layer.build(x.shape)
        inputs = {w.name: draw(*w.shape) for w in layer.trainable_variables}
        inputs |= {"first h": draw(n, units), "first c": draw(n, units)} if started else {}

        def ours(x, *others):
            start = tuple(others[3:]) or None
            return all_outputs(*chapter5.lstm(x, others[:3], start, mask, reverse))

        def theirs(x, *others):
            options = {"mask": mask, "initial_state": list(others[3:]) or None}
            states, h, c = as_function(layer, **options)(x, *others[:3])
            return all_outputs(states[:, ::-1] if reverse else states, (h, c))

        def row_by_row(x, *others):
            start = np.stack(others[3:] or [np.zeros((n, units), draw.dtype)] * 2, axis=1)
            states = by_hand.read(
                lambda x, state: by_hand.lstm_step(x, state, *others[:3]), x, start, mask, reverse
            )  # (n, time, 2, units)
            last = states[:, 0 if reverse else -1, 1]
            return np.concatenate([states[:, :, 0], last[:, np.newaxis]], axis=1)

        return values_and_gradients(ours, theirs, row_by_row, x=x, **inputs)


_lstm_claim("")
_lstm_claim(", masked", masked=True)
_lstm_claim(", masked, backwards", masked=True, reverse=True)
_lstm_claim(", initial state", started=True)


@claim(5, "bidirectional LSTM = Keras' Bidirectional")
def _(draw):
    x, units = draw(3, 5, draw.size()), draw.size()
    mask = draw.mask(3, 5)
    layer = layers.Bidirectional(
        layers.LSTM(units, return_sequences=True, dtype=draw.dtype), dtype=draw.dtype
    )
    layer.build(x.shape)
    weights = {w.path: draw(*w.shape) for w in layer.trainable_variables}

    def ours(x, *weights):
        outputs = chapter5.bidirectional(x, weights[:3], weights[3:], mask)
        return tf.where(mask[..., np.newaxis], outputs, 0)  # Keras' gives zeros at padding

    return values_and_gradients(ours, as_function(layer, mask=mask), x=x, **weights)


@claim(5, "LSTM with its way back by hand = by the tape")
def _(draw):
    x, units = draw(3, 6, draw.size()), draw.size()
    layer = layers.LSTM(units, return_sequences=True, dtype=draw.dtype)
    layer.build(x.shape)
    weights = {w.name: draw(*w.shape) for w in layer.trainable_variables}
    return values_and_gradients(
        lambda x, *weights: speed.lstm_with_way_back(x, weights),
        as_function(layer),
        x=x,
        **weights,
    )


@claim(5, "LSTM = Keras' LSTM, after 20 steps of Adam", dtypes=("float64",))
def _(draw):
    x, units = draw(4, 5, 3), 4
    mask, y = draw.mask(4, 5), draw(4, 5, units)
    layer = layers.LSTM(units, return_sequences=True, dtype=draw.dtype)
    layer.build(x.shape)
    start = [draw(*w.shape) for w in layer.trainable_variables]
    functions = (lambda x, *w: chapter5.lstm(x, w, mask=mask)[0], as_function(layer, mask=mask))
    ours, theirs = (weights_after_training(each, start, x, y, 20) for each in functions)
    return as_pairs("weights", ours, theirs)


@claim(5, "LSTM on top of a bidirectional one, masked = Keras' stack")
def _(draw):
    x, mask = draw(3, 5, draw.size()), draw.mask(3, 5)
    ours, theirs, weights = deep_functions(x, draw.size(), tf.constant(mask))
    weights = {f"weight {number}": draw(*w.shape) for number, w in enumerate(weights)}
    return values_and_gradients(ours, theirs, x=x, **weights)


# --- whole models -----------------------------------------------------------------------------


def speaker(x, weights):
    """Returns the logits: the last states of an LSTM in both directions, and a dense layer."""
    mask = tf.reduce_any(x != 0, axis=-1)
    _, (onward, _) = chapter5.lstm(x, weights[:3], mask=mask)
    _, (back, _) = chapter5.lstm(x, weights[3:6], mask=mask, reverse=True)
    return tf.concat([onward, back], axis=-1) @ weights[6] + weights[7]


def convolutional(x, weights):
    """Returns the logits: a window of five steps slides over time; mean, and a dense layer."""
    kernel, bias, last, last_bias = weights
    wide = tf.pad(x, [(0, 0), (2, 2), (0, 0)])
    maps = [
        tf.reshape(wide[:, t : t + 5], (x.shape[0], -1)) @ tf.reshape(kernel, (-1, len(bias)))
        for t in range(x.shape[1])
    ]
    maps = tf.nn.relu(tf.stack(maps, axis=1) + bias)
    ends = tf.reduce_sum(tf.cast(tf.reduce_any(x != 0, axis=-1), tf.int32), axis=1)
    mean = [tf.reduce_mean(m[:n], axis=0) for m, n in zip(maps, ends, strict=True)]
    return tf.stack(mean) @ last + last_bias


def stacked(x, weights):
    """Returns the article's logits: an LSTM on an LSTM, and a dense layer on the last step."""
    states, _ = chapter5.lstm(x, weights[:3])
    _, (last, _) = chapter5.lstm(states, weights[3:6])
    return last @ weights[6] + weights[7]


@claim(5, "whole model: who speaks? Recordings of several lengths")
def _(draw):
    with precision(draw.dtype):
        model = chapter5.make_model(units=4)
    x = np.where(draw.mask(3, 5)[..., np.newaxis], draw(3, 5, 12), 0)
    return model_pairs(draw, model, speaker, tf.constant(x))


@claim(5, "whole model: who speaks? By a convolution over time")
def _(draw):
    with precision(draw.dtype):
        model = chapter5.make_convolutional(units=2)
    x = np.where(draw.mask(3, 5)[..., np.newaxis], draw(3, 5, 12), 0)
    return model_pairs(draw, model, convolutional, tf.constant(x))


@claim(5, "whole model: the article's two LSTMs")
def _(draw):
    with precision(draw.dtype):
        model = articles.make_article_lstm()
    return model_pairs(draw, model, stacked, draw(2, 4, 100), of_x=True)


# --- mistakes to be seen --------------------------------------------------------------------

mutant(5, chapter5.lstm_step, "i, f, g, o =", "f, i, g, o =", "gates swapped")
mutant(5, chapter5.lstm_step, "tf.sigmoid(i) * tf.tanh(g)", "tf.sigmoid(i) * g", "tanh forgotten")
mutant(5, chapter5.lstm_step, "tf.sigmoid(o) * tf.tanh(c), c", "tf.sigmoid(o) * c, c", "no tanh")
mutant(5, chapter5.lstm_step, " + bias", " + 2 * bias", "bias twice")
mutant(5, chapter5.lstm, "mask, reverse)", "None, reverse)", "mask not handed on", by="masked")
mutant(
    5,
    chapter5.bidirectional,
    "reverse=True",
    "reverse=False",
    "both read forwards",
    by="bidirectional LSTM",
)
mutant(
    5,
    chapter5.bidirectional,
    "mask=mask, reverse",
    "mask=None, reverse",
    "backwards unmasked",
    by="bidirectional LSTM",
)
mutant(5, by_hand.lstm_step, "i, f, g, o =", "i, f, o, g =", "another library's order")
mutant(
    5,
    chapter5.bidirectional,
    "[onward, back]",
    "[back, onward]",
    "directions swapped",
    by="bidirectional LSTM",
)
mutant(5, chapter5.make_model, "if masked", "if not masked", "no mask", by="who speaks")
mutant(5, chapter5.make_convolutional, " * real", "", "padding counts", by="convolution")
mutant(
    5,
    articles.make_article_lstm,
    "layers.LSTM(128),",
    "layers.LSTM(128, go_backwards=True),",
    "read backwards",
    by="two LSTMs",
)
mutant(5, speed.gates_and_slopes, "1 - g**2", "1 - g", "slope of the tanh", by="way back")
mutant(5, speed.gates_and_slopes, "o * (1 - o)", "o", "slope of the output gate", by="way back")
