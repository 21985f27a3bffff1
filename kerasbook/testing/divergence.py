"""How far does a tape loop stray from `model.fit`? Ten mistakes, one at a time, measured.

The model is small but has all that a loop can forget: a penalty, batch normalisation, dropout, a
short last batch. Both train one epoch on the same batches from the same weights. Chapter 2 shows
the table and the picture.
"""

from __future__ import annotations

from typing import NamedTuple

from kerasbook.training import batch_order

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

EXAMPLES, BATCH_SIZE = 150, 32  # the last batch has 22
SWITCHES = {  # name: what the loop does
    "training=True missing": "model(x): dropout and batch normalisation act as in use",
    "losses left out": "the penalties in model.losses are not added",
    "last batch": "the last, shorter batch is left out",
    "shuffling seed": "the batches are drawn in another order",
    "batch statistics": "batch normalisation alone acts as in use",
    "dropout seed": "dropout switches other units off",
    "from_logits": "the loss takes scores for probabilities",
    "(n,) against (n, 1)": "truth and scores are stretched to (n, n)",
    "metric against loss": "a metric is reported as the loss: it has no penalty",
    "reduction": "the sum over the batch in place of the mean",
}


class Difference(NamedTuple):
    """What an epoch of a loop and of `model.fit` differ by."""

    loss: float  # of the losses that are reported
    weights: float  # the largest of any weight or moving average


def make_data(seed: int = 0):
    """Returns x (150, 6) and y (150, 1), which is 0 or 1."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(EXAMPLES, 6)).astype("float32")
    y = x[:, :1] * x[:, 1:2] + 0.3 * random.normal(size=(EXAMPLES, 1)) > 0
    return x, y.astype("float32")


def make_model(dropout_seed: int = 1) -> keras.Model:
    """Returns a classifier: x (n, 6) → scores (n, 1); its first weights are always the same."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6,)),
            # No bias: the normalisation takes it out again.
            layers.Dense(16, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.01)),
            layers.BatchNormalization(momentum=0.9),
            layers.ReLU(),
            layers.Dropout(0.3, seed=dropout_seed),
            layers.Dense(1),
        ]
    )


def by_fit(x, y) -> tuple[float, list[np.ndarray]]:
    """Returns the loss that `model.fit` reports for one epoch, and the weights after it."""
    model, order = make_model(), batch_order(0, 0, len(x))
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss_fn, jit_compile=False)
    batches = tf.data.Dataset.from_tensor_slices((x[order], y[order])).batch(BATCH_SIZE)
    history = model.fit(batches, shuffle=False, verbose=0).history
    return history["loss"][0], model.get_weights()


def forward(model, x, switch):
    """Returns the scores in training."""
    for layer in model.layers:
        training = switch != "training=True missing"
        if switch == "batch statistics" and isinstance(layer, layers.BatchNormalization):
            training = False
        x = layer(x, training=training)
    return x


def loss_of(y, scores, switch):
    """Returns the cross-entropy of the scores, a scalar."""
    if switch == "(n,) against (n, 1)":
        y = y[:, 0]  # as many data sets bring it
        return tf.reduce_mean(tf.nn.relu(scores) - y * scores + tf.nn.softplus(-tf.abs(scores)))
    reduction = "sum" if switch == "reduction" else "sum_over_batch_size"
    from_logits = switch != "from_logits"
    return keras.losses.BinaryCrossentropy(from_logits=from_logits, reduction=reduction)(y, scores)


def by_tape(x, y, switch: str | None = None) -> tuple[float, list[np.ndarray]]:
    """Returns what `by_fit` returns, from a loop with one of SWITCHES, or none, thrown."""
    if switch is not None and switch not in SWITCHES:
        raise ValueError(f"no switch {switch!r}: there are {', '.join(SWITCHES)}")
    model = make_model(dropout_seed=2 if switch == "dropout seed" else 1)
    optimizer = keras.optimizers.SGD(0.1)
    order = batch_order(1 if switch == "shuffling seed" else 0, 0, len(x))
    total, count = 0.0, 0
    for first in range(0, len(x), BATCH_SIZE):
        rows = order[first : first + BATCH_SIZE]
        if switch == "last batch" and len(rows) < BATCH_SIZE:
            break
        with tf.GradientTape() as tape:
            data_loss = loss_of(y[rows], forward(model, x[rows], switch), switch)
            penalties = [] if switch == "losses left out" else model.losses
            loss = tf.reduce_sum([data_loss, *penalties])
        variables = model.trainable_variables
        optimizer.apply(tape.gradient(loss, variables), variables)
        shown = data_loss if switch == "metric against loss" else loss
        total, count = total + float(shown) * len(rows), count + len(rows)
    return total / count, model.get_weights()


def measure() -> dict[str, Difference]:
    """Returns how far each loop is from `model.fit`: first the correct one, then each switch."""
    x, y = make_data()
    loss, weights = by_fit(x, y)
    found = {}
    for name in ("correct", *SWITCHES):
        our_loss, ours = by_tape(x, y, None if name == "correct" else name)
        largest = max(float(np.abs(a - b).max()) for a, b in zip(ours, weights, strict=True))
        found[name] = Difference(abs(our_loss - loss), largest)
    return found


def table_of(found: dict[str, Difference]) -> str:
    """Returns the measurement as lines to print."""
    lines = [f"{'':22} {'loss':>7} {'weights':>7}"]
    for name, difference in found.items():
        what = SWITCHES.get(name, "all as it should be")
        lines.append(f"{name:22} {difference.loss:7.0e} {difference.weights:7.0e}  {what}")
    return "\n".join(lines)


def plot(found: dict[str, Difference], ax=None):
    """Returns an Axes: two dots per switch on a logarithmic scale; the correct loop is a line."""
    if ax is None:
        _, ax = plt.subplots(figsize=(6.6, 4.0), layout="constrained")
    found = dict(found)
    rounding = max(*found.pop("correct"), 1e-9)
    places = np.arange(len(found))
    kinds = {
        "weights": ("largest difference of a weight", {"marker": "o"}),
        "loss": ("difference of the loss", {"marker": "s", "markersize": 9, "fillstyle": "none"}),
    }
    for kind, (label, style) in kinds.items():
        values = np.array([getattr(difference, kind) for difference in found.values()])
        seen = values > rounding
        ax.plot(values[seen], places[seen], linestyle="none", label=label, **style)
    ax.axvline(rounding, color="0.4", linestyle="--", label="the correct loop: rounding")
    ax.set_xscale("log")
    ax.set_yticks(places, list(found))
    ax.invert_yaxis()
    ax.set_xlabel("difference to model.fit after one epoch")
    ax.set_ylabel("switch")
    ax.legend(loc="upper center", bbox_to_anchor=(0.4, 1.16), ncols=3, fontsize=8, frameon=False)
    return ax


if __name__ == "__main__":
    print(table_of(measure()))
