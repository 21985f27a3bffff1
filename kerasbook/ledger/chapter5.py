"""Chapter 5: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter5
from kerasbook.chapter5 import weights_after_training
from kerasbook.ledger import by_hand
from kerasbook.ledger.core import (
    as_pairs,
    claim,
    mutant,
    values_and_gradients,
)
from kerasbook.testing.compare import as_function

import numpy as np
import tensorflow as tf
from keras import layers


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
            return chapter5.all_outputs(*chapter5.lstm(x, others[:3], start, mask, reverse))

        def theirs(x, *others):
            options = {"mask": mask, "initial_state": list(others[3:]) or None}
            states, h, c = as_function(layer, **options)(x, *others[:3])
            return chapter5.all_outputs(states[:, ::-1] if reverse else states, (h, c))

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
        lambda x, *weights: chapter5.fast_lstm(x, weights), as_function(layer), x=x, **weights
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
    ours, theirs, weights = chapter5.deep_functions(x, draw.size(), tf.constant(mask))
    weights = {f"weight {number}": draw(*w.shape) for number, w in enumerate(weights)}
    return values_and_gradients(ours, theirs, x=x, **weights)


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
mutant(5, chapter5.gates_and_slopes, "1 - g**2", "1 - g", "slope of the tanh", by="way back")
mutant(5, chapter5.gates_and_slopes, "o * (1 - o)", "o", "slope of the output gate", by="way back")
mutant(5, by_hand.lstm_step, "i, f, g, o =", "i, f, o, g =", "another library's order")
mutant(
    5,
    chapter5.bidirectional,
    "[onward, back]",
    "[back, onward]",
    "directions swapped",
    by="bidirectional LSTM",
)
