"""Chapter 3: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter3
from kerasbook.ledger import by_hand
from kerasbook.ledger.core import (
    as_pairs,
    claim,
    mutant,
    values_and_gradients,
)
from kerasbook.testing.compare import as_function, outputs_and_gradients

import numpy as np
import tensorflow as tf
from keras import layers


def _convolution_claim(padding: str, strides: int) -> None:
    @claim(3, f"convolution, {padding}, stride {strides} = Conv2D; loops = patches", sources="NTK")
    def pairs(draw):
        n, channels, filters = 2, draw.size(1, 3), draw.size(1, 4)
        high, wide = draw.size(1, 3), draw.size(2, 4)
        x = draw(n, draw.size(6, 9), draw.size(6, 9), channels)
        options = {"strides": strides, "padding": padding}
        layer = layers.Conv2D(filters, (high, wide), dtype=draw.dtype, **options)
        layer.build(x.shape)
        kernel, bias = draw(high, wide, channels, filters), draw(filters)
        found = values_and_gradients(
            lambda *inputs: chapter3.conv2d(*inputs, **options),
            as_function(layer),
            x=x,
            kernel=kernel,
            bias=bias,
        )
        loops = chapter3.correlate(x, kernel, bias, **options)
        return found | {"values of loops": (loops, found["values"][1])}


for _padding in ("valid", "same"):
    for _strides in (1, 2, 3):
        _convolution_claim(_padding, _strides)


@claim(3, "convolution's gradients by hand = tape", sources="T")
def _(draw):
    x = draw(2, draw.size(5, 8), draw.size(5, 8), 3)
    kernel, bias = draw(draw.size(1, 3), draw.size(1, 3), 3, draw.size(1, 4)), draw(1)
    z, *by_tape = outputs_and_gradients(
        lambda x, kernel, bias: tf.nn.conv2d(x, kernel, 1, "VALID") + bias, x, kernel, bias
    )
    found = chapter3.conv2d_gradients(x, kernel, z)[:2]
    return as_pairs("gradient", found, by_tape[:2])


@claim(3, "true convolution = correlation with the kernel flipped", sources="N")
def _(draw):
    x, kernel = draw(1, 6, 5, 2), draw(3, 2, 2, 3)
    theirs = np.zeros((1, 4, 4, 3))
    for i, j in np.ndindex(4, 4):  # the sum of the textbook, index by index
        for u, v in np.ndindex(3, 2):
            theirs[0, i, j] += x[0, i + 2 - u, j + 1 - v] @ kernel[u, v]
    return {"values": (chapter3.convolve(x, kernel, np.zeros(3)), theirs)}


@claim(3, "max pooling, average pooling = Keras' layers", sources="NTK")
def _(draw):
    x, size = draw(2, draw.size(6, 9), draw.size(6, 9), 3), draw.size(2, 3)
    pairs = {}
    for name, layer in (("max", layers.MaxPooling2D), ("average", layers.AveragePooling2D)):
        ours = getattr(chapter3, f"{name}_pool")
        found = values_and_gradients(
            lambda x, pool=ours: pool(x, size),
            layer(size, dtype=draw.dtype),
            lambda x, name=name: by_hand.pool(x, size, np.max if name == "max" else np.mean),
            x=x,
        )
        pairs |= {f"{kind}, {name}": pair for kind, pair in found.items()}
    return pairs


@claim(3, "output size = Keras' output shape", dtypes=("float64",), sources="NK")
def _(draw):
    pairs = {}
    for padding in ("valid", "same"):
        for strides in (1, 2, 3):
            size, kernel = draw.size(7, 30), draw.size(1, 7)
            layer = layers.Conv2D(1, kernel, strides, padding)
            theirs = layer.compute_output_shape((1, size, size, 1))[1]
            ours = chapter3.output_size(size, kernel, strides, padding)
            pairs[f"values, {padding} {strides}"] = (ours, theirs)
    return pairs


@claim(3, "flips and shifts = NumPy's", dtypes=("float32",), sources="NT")
def _(draw):
    x, chosen = draw(3, 5, 6, 2), np.array([True, False, True])
    flipped = np.stack([a[:, ::-1] if c else a for a, c in zip(x, chosen)])
    padded = np.pad(x, [(0, 0), (2, 2), (2, 2), (0, 0)], mode="edge")
    steps = [(1, -2), (0, 2), (-1, 1)]
    shifted = [p[2 - d : 7 - d, 2 - r : 8 - r] for p, (d, r) in zip(padded, steps)]
    down, right = tf.transpose(tf.constant(steps))
    return {
        "values of flip": (chapter3.flip_some(x, chosen), flipped),
        "values of shift": (chapter3.shift_each(x, down, right), np.stack(shifted)),
    }


@claim(3, "convolution, dilation 2 and 3 = a kernel with zeros in between", sources="NTK")
def _(draw):
    pairs = {}
    for rate, padding in ((2, "valid"), (3, "same")):
        high, wide, filters = draw.size(1, 3), draw.size(2, 3), draw.size(1, 4)
        x = draw(2, draw.size(7, 9), draw.size(7, 9), 2)
        layer = layers.Conv2D(
            filters, (high, wide), dilation_rate=rate, padding=padding, dtype=draw.dtype
        )
        layer.build(x.shape)
        inputs = {"x": x, "kernel": draw(high, wide, 2, filters), "bias": draw(filters)}
        rows, columns = (by_hand.spread(size, rate).astype(draw.dtype) for size in (high, wide))

        def ours(x, kernel, bias, rows=rows, columns=columns, padding=padding):
            wider = tf.einsum("iu,jv,uvcf->ijcf", rows, columns, kernel)
            return chapter3.conv2d(x, wider, bias, padding=padding)

        def loops(x, kernel, bias, rows=rows, columns=columns, padding=padding):
            wider = np.einsum("iu,jv,uvcf->ijcf", rows, columns, kernel)
            return chapter3.correlate(x, wider, bias, padding=padding)

        found = values_and_gradients(ours, as_function(layer), loops, **inputs)
        pairs |= {f"{name}, dilation {rate}": pair for name, pair in found.items()}
    return pairs


@claim(3, "convolution in groups: each filter sees its own channels", sources="NTK")
def _(draw):
    groups, filters = draw.size(2, 3), draw.size(1, 2)
    x = draw(2, draw.size(5, 7), draw.size(5, 7), 2 * groups)
    layer = layers.Conv2D(filters * groups, 3, groups=groups, dtype=draw.dtype)
    layer.build(x.shape)
    inputs = {"x": x, "kernel": draw(3, 3, 2, filters * groups), "bias": draw(filters * groups)}
    # On a CPU TensorFlow has the way back of a convolution in groups only when XLA compiles it.
    theirs = tf.function(as_function(layer), jit_compile=True, autograph=False)

    def ours(x, kernel, bias):
        parts = zip(*(tf.split(part, groups, axis=-1) for part in (x, kernel, bias)), strict=True)
        return tf.concat([chapter3.conv2d(*each) for each in parts], axis=-1)

    def loops(x, kernel, bias):
        return by_hand.grouped(chapter3.correlate, x, kernel, bias, groups)

    return values_and_gradients(ours, theirs, loops, **inputs)


def _batch_norm_layer(draw, channels):
    layer = layers.BatchNormalization(momentum=0.75, epsilon=0.125, dtype=draw.dtype)
    layer.build((None, None, None, channels))
    layer.set_weights([*draw(2, channels), draw(channels), draw(channels) ** 2 + 0.5])
    return layer, layer.get_weights()


@claim(3, "batch normalisation in training: values, way back, moving averages", sources="NTK")
def _(draw):
    channels = draw.size()
    x = draw(draw.size(), draw.size(), draw.size(), channels) + 1
    layer, (scale, shift, old_mean, old_variance) = _batch_norm_layer(draw, channels)

    def in_numpy(x, scale, shift):
        return by_hand.batch_norm(x, scale, shift, *by_hand.statistics(x), 0.125)

    def operations(x, scale, shift):
        mean, variance = tf.nn.moments(x, axes=(0, 1, 2))
        return tf.nn.batch_normalization(x, mean, variance, shift, scale, 0.125)

    state = [variable.value for variable in layer.non_trainable_variables]
    pairs = values_and_gradients(
        operations,
        lambda x, *weights: layer.stateless_call(weights, state, x, training=True)[0],
        in_numpy,
        x=x,
        scale=scale,
        shift=shift,
    )
    z = in_numpy(x, scale, shift)
    found = by_hand.batch_norm_gradients(x, scale, z, 0.125)
    expected = [pairs[f"gradient of {name}"][1] for name in ("x", "scale", "shift")]
    pairs |= as_pairs("gradient in NumPy", found, expected)
    mean, variance = by_hand.statistics(x)
    layer(x, training=True)
    moved = by_hand.moved(old_mean, mean, 0.75), by_hand.moved(old_variance, variance, 0.75)
    return pairs | as_pairs("weights after a step", moved, layer.get_weights()[2:])


@claim(3, "batch normalisation in inference: the moving averages", sources="NTK")
def _(draw):
    channels = draw.size()
    x = draw(3, 4, 2, channels)
    layer, (scale, shift, mean, variance) = _batch_norm_layer(draw, channels)
    return values_and_gradients(
        lambda x, scale, shift: tf.nn.batch_normalization(x, mean, variance, shift, scale, 0.125),
        as_function(layer, training=False),
        lambda x, scale, shift: by_hand.batch_norm(x, scale, shift, mean, variance, 0.125),
        x=x,
        scale=scale,
        shift=shift,
    )


# --- mistakes to be seen --------------------------------------------------------------------

mutant(3, chapter3.output_size, "// stride + 1", "// stride", "off by one")
mutant(
    3,
    chapter3.padding_widths,
    "total // 2, total - total // 2",
    "total - total // 2, total // 2",
    "the odd zero in front",
)
mutant(3, chapter3.correlate, "strides * i, strides * j", "i, j", "stride forgotten")
mutant(3, chapter3.correlate, " + bias[f]", "", "bias forgotten")
mutant(3, chapter3.conv2d, "@ tf.reshape(kernel", "@ tf.reshape(kernel[::-1]", "kernel flipped")
mutant(3, chapter3.conv2d, " + bias", " + 2 * bias", "bias twice")
mutant(
    3,
    chapter3.patches,
    "for u in range(high)\n        for v in range(wide)",
    "for v in range(wide)\n        for u in range(high)",
    "rows and columns mixed up",
)
mutant(
    3,
    chapter3.conv2d_gradients,
    "kernel[::-1, ::-1]",
    "kernel",
    "not flipped on the way back",
    by="gradients",
)
mutant(
    3,
    chapter3.conv2d_gradients,
    "(high - 1, high - 1)",
    "(high - 1, high)",
    "frame too wide",
    by="gradients",
)
mutant(
    3,
    chapter3.convolve,
    "kernel[::-1, ::-1]",
    "kernel[::-1]",
    "flipped in one direction",
    by="true",
)
mutant(3, chapter3.max_pool, "tf.argmax", "tf.argmin", "the smallest", by="pooling")
mutant(3, chapter3.average_pool, "reduce_mean", "reduce_sum", "sum in place of mean", by="pooling")
mutant(3, chapter3.flip_some, "x[:, :, ::-1]", "x[:, ::-1]", "upside down", by="flips")
mutant(3, chapter3.shift_each, "- down", "+ down", "moved the other way", by="flips")
mutant(3, by_hand.pool, "axis=(2, 4)", "axis=(2, 3)", "windows and columns mixed up", by="pooling")
mutant(
    3,
    by_hand.spread,
    "rate * (size - 1) + 1",
    "rate * size",
    "zeros behind the last weight",
    by="dilation",
)
mutant(
    3,
    by_hand.grouped,
    "np.split(part, groups",
    "np.split(part[..., ::-1], groups",
    "turned round",
    by="groups",
)
mutant(
    3,
    by_hand.statistics,
    ".mean(axis=0)\n",
    ".sum(axis=0) / (len(flat) - 1)\n",
    "N − 1",
    by="batch norm",
)
mutant(
    3,
    by_hand.batch_norm,
    "variance + epsilon)",
    "variance) + epsilon",
    "eps outside the root",
    by="batch norm",
)
mutant(3, by_hand.batch_norm, " + shift", "", "shift forgotten", by="batch norm")
mutant(3, by_hand.batch_norm, "(x - mean)", "x", "mean not taken out", by="batch norm")
mutant(
    3,
    by_hand.batch_norm_gradients,
    " - for_shift / count",
    "",
    "the mean taken as fixed",
    by="batch norm",
)
mutant(
    3,
    by_hand.batch_norm_gradients,
    " - normal * for_scale / count",
    "",
    "the variance as fixed",
    by="batch norm",
)
mutant(
    3,
    by_hand.moved,
    "momentum * old + (1 - momentum) * new",
    "(1 - momentum) * old + momentum * new",
    "PyTorch's momentum",
    by="batch norm",
)
