"""Deeper networks: what the ledger claims of them, and the mistakes that must be seen."""

from kerasbook import chapter3_residual
from kerasbook.ledger.core import as_pairs, claim, mutant, precision, slopes

import keras
import numpy as np
import tensorflow as tf

KEY = "chapter3_residual"


def block_case(draw) -> tuple:
    """Returns x (n, height, width, channels), a block's six weights, and a gradient for y."""
    channels = draw.size(2, 4)
    shape = (draw.size(2, 4), draw.size(3, 6), draw.size(3, 6), channels)
    kernels = [draw(3, 3, channels, channels) for _ in range(2)]
    first, second = ([kernel, 1 + draw(channels), draw(channels)] for kernel in kernels)
    return draw(*shape), [*first, *second], draw(*shape)


@claim(KEY, "residual block: values and way back = Keras' layers", sources="NK")
def _(draw):
    x, weights, delta = block_case(draw)
    with precision(draw.dtype):
        inputs = keras.Input(x.shape[1:])
        model = keras.Model(inputs, chapter3_residual.residual_block(inputs, x.shape[-1]))
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    start = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(start)
        theirs = model(start, training=True)
    wanted = [start, *model.trainable_variables]
    expected = tape.gradient(theirs, wanted, output_gradients=tf.constant(delta))
    outputs = chapter3_residual.block_forward(x, weights)
    for_x, for_weights = chapter3_residual.block_backward(delta, outputs, weights)
    pairs = {"values": (outputs[-1], theirs)}
    pairs |= as_pairs("gradient", [for_x, *for_weights], expected)
    if draw.dtype == "float32":
        return pairs

    def loss(x, *weights):
        return np.sum(delta * chapter3_residual.block_forward(x, weights)[-1])

    named = {"x": x} | {str(number): weight for number, weight in enumerate(weights)}
    return pairs | slopes(loss, named, [for_x, *for_weights])


@claim(KEY, "shortcut to fewer places and more channels = NumPy's", sources="NK")
def _(draw):
    channels, more = draw.size(1, 3), draw.size(1, 3)
    x = draw(2, draw.size(3, 7), draw.size(3, 7), channels)
    n, height, width, _ = x.shape
    expected = np.zeros((n, -(-height // 2), -(-width // 2), channels + more), draw.dtype)
    # TensorFlow's "same" with a window of 2 begins at the first pixel; a short one has fewer.
    for i, j in np.ndindex(expected.shape[1:3]):
        window = x[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
        expected[:, i, j, :channels] = window.mean(axis=(1, 2))
    with precision(draw.dtype):
        found = chapter3_residual.shortcut(tf.constant(x), channels + more, 2)
    return {"values": (found, expected)}


@claim(KEY, "warmed-up rate = two formulas", dtypes=("float32",), sources="NK")
def _(draw):
    warm_up, epochs, examples = draw.size(1, 9), draw.size(2, 4), 100 * draw.size()
    schedule = chapter3_residual.make_schedule(0.25, examples, 10, epochs, warm_up)
    total = epochs * examples // 10
    steps = np.array([0, warm_up // 2, warm_up, (warm_up + total) // 2, total])
    share = (steps - warm_up) / (total - warm_up)
    expected = np.where(
        steps < warm_up, 0.25 * steps / warm_up, 0.125 * (1 + np.cos(np.pi * share))
    )
    return {"values": (np.array([schedule(step) for step in steps]), expected)}


# --- mistakes to be seen --------------------------------------------------------------------

MUTANTS = (
    ("block_forward", "np.maximum(x + normalise", "np.maximum(normalise", "no shortcut", "block"),
    ("block_forward", "s_1, gamma_1, beta_1), 0)", "s_1, gamma_1, beta_1), -1)", "bend", "block"),
    ("block_backward", "delta + back", "back", "the way around forgotten", "block"),
    ("block_backward", "delta = delta * (y > 0)", "delta = delta * 1", "last ReLU", "block"),
    ("block_backward", "back * (a_1 > 0)", "back", "first ReLU forgotten", "block"),
    ("block_backward", "conv_backward(a_1,", "conv_backward(s_1,", "scores for outputs", "block"),
    ("conv_backward", "for_x[:, 1:-1, 1:-1]", "for_x[:, :-2, :-2]", "another frame", "block"),
    ("normalise_maps", "s.var(axis=0)", "s.var(axis=0, ddof=1)", "N − 1", "block"),
    ("rows", "maps.reshape(", "np.flip(maps).reshape(", "places in another order", "block"),
    ("residual_block", "[added, shortcut(x, filters, stride)]", "[added, added]", "twice", "block"),
    ("shortcut", "(0, missing)", "(missing, 0)", "zeros in front", "shortcut"),
    ("make_schedule", "steps - warm_up", "steps", "the fall too long", "warmed-up"),
)  # fmt: skip
for _name, _old, _new, _what, _by in MUTANTS:
    mutant(KEY, getattr(chapter3_residual, _name), _old, _new, _what, by=_by)
