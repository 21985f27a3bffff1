"""Chapter 8: what the ledger claims of whole numbers, masks, filters and students, and mistakes."""

from pathlib import Path

from kerasbook import chapter8
from kerasbook.chapter2 import loss_fn
from kerasbook.ledger.core import (
    RATE,
    as_pairs,
    claim,
    mutant,
    precision,
    values_and_gradients,
)
from kerasbook.training import make_train_step

import keras
import numpy as np
import tensorflow as tf

WHOLE = {"dtypes": ("float32",), "exact": True}  # nothing but equality will do
KERNELS = Path(__file__).with_name("reference_kernels.npz")


@claim(8, "a dense layer in int8 = Dense after quantize, bit for bit", sources="NK", **WHOLE)
def _(draw):
    rows, inputs, units = draw.size(), draw.size(20, 60), draw.size()
    sizes = (2.0 ** np.arange(units)).astype("float32")  # units of very different sizes
    x, kernel, bias = draw(rows, inputs), draw(inputs, units) * sizes, draw(units)
    x[0] *= 100
    halves = np.arange(inputs) - inputs // 2 + 0.5  # many of these come out between two numbers
    x[-1] = halves / (127 / np.float32(1 + 1e-7))
    x[-1, 0] = 1
    ours, theirs = (each(x, kernel, bias) for each in (chapter8.dense_int8, chapter8.keras_int8))
    return {"values": (ours, theirs)}


@claim(8, "a convolution in int8 = its whole numbers, loop by loop", sources="NT", **WHOLE)
def _(draw):
    x, kernel = draw(2, draw.size(4, 6), 5, 3), draw(3, 3, 3, draw.size())
    x[0] *= 100
    kernel[..., 0] *= 100
    bias = draw(kernel.shape[-1])
    sums = np.zeros((*x.shape[:3], len(bias)), "int64")
    steps = [127 / (np.abs(each).max() + np.float32(1e-7)) for each in x]
    columns = [127 / (np.abs(kernel[..., f]).max() + np.float32(1e-7)) for f in range(len(bias))]
    for n, i, j, f, u, v in np.ndindex(*sums.shape, 3, 3):
        row, column = i + u - 1, j + v - 1
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            pixel = np.round(x[n, row, column] * steps[n]).astype("int64")
            weight = np.round(kernel[u, v, :, f] * columns[f]).astype("int64")
            sums[n, i, j, f] += pixel @ weight
    scale = np.float32(columns) * np.float32(steps)[:, np.newaxis, np.newaxis, np.newaxis]
    expected = sums.astype("float32") / scale + bias
    return {"values": (chapter8.conv_int8(x, kernel, bias), expected)}


@claim(8, "the layer and the network in int8 = conv_int8, dense_int8", sources="NK", **WHOLE)
def _(draw):
    large = chapter8.make_network((8, 8, 1), 3, (2, 3, 4), draw.size())
    large.set_weights([draw(*each.shape) for each in large.get_weights()])
    weights, x = large.get_weights(), draw(3, 8, 8, 1)
    found = chapter8.in_int8(large)(x)
    for place in (0, 2, 4):
        x = np.maximum(chapter8.conv_int8(x, *weights[place : place + 2]), 0)
        if place < 4:
            x = x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2, -1).max(axis=(2, 4))
    x = np.maximum(chapter8.dense_int8(x.reshape(len(x), -1), *weights[6:8]), 0)
    return {"values": (found, chapter8.dense_int8(x, *weights[8:]))}


@claim(8, "sums rounded once, twice = LiteRT's reference kernels", sources="NL", **WHOLE)
def _(draw):
    pairs, kept = {}, np.load(KERNELS)
    rules = {"dense": chapter8.one_rounding, "convolution": chapter8.two_roundings}
    for layer, rule in rules.items():
        sums, multiplier = kept[f"{layer} sums"], kept[f"{layer} multiplier"]
        ours = np.clip(rule(sums, multiplier) + kept[f"{layer} zero"], -128, 127)
        pairs[f"values of the {layer}"] = ours, kept[f"{layer} outputs"]
    sums, multiplier = kept["dense sums"], kept["dense multiplier"]
    ours = chapter8.in_floating_point(sums, multiplier) + kept["dense zero"]
    pairs["values in floating point"] = np.clip(ours, -128, 127), kept["dense outputs"]
    return pairs


@claim(8, "sums rounded once, to even = onnxruntime's layers in int8", sources="NO", **WHOLE)
def _(draw):
    pairs, kept = {}, np.load(KERNELS)
    for layer in ("dense", "convolution"):
        names = (f"onnxruntime {layer} {name}" for name in ("sums", "multiplier", "zero"))
        sums, multiplier, zero = (kept[name] for name in names)
        for rule in (chapter8.one_rounding, chapter8.in_floating_point):
            ours = np.clip(rule(sums, multiplier) + zero, -128, 127)
            name = f"values of the {layer}, {rule.__name__}"
            pairs[name] = ours, kept[f"onnxruntime {layer} outputs"]
    return pairs


@claim(8, "a range's zero point: 0 comes back as 0, the ends as the ends", sources="N")
def _(draw):
    low, high = -abs(float(draw(1)[0])) - 0.1, abs(float(draw(1)[0])) + 0.1
    whole, scale, zero = chapter8.quantise_between(np.array([0.0, low, high]), low, high)
    whole = whole.astype("int64")
    back = (whole - zero) / scale
    near = np.abs(back - [0.0, low, high]) <= np.array([0.0, 1, 1]) / scale
    ends = [whole[1] + 128 <= 1, 127 - whole[2] <= 1]
    return {"values": ([*near, *ends], [True] * 5)}


@claim(8, "a step with the rounding = through Keras' fake quantisation", dtypes=("float32",))
def _(draw):
    keras.utils.set_random_seed(draw.size(1, 99))  # of the kernels
    found = [chapter8.compare_straight_through(bits, draw.size(1, 99)) for bits in (2, 4, 8)]
    return {"weights, differences": ([max(each.values()) for each in found], [0, 0, 0])}


@claim(8, "two weights in a byte = pack_int4, and back", sources="NK", **WHOLE)
def _(draw):
    whole = draw.random.integers(-8, 8, draw.size(5, 30)).astype("int8")
    packed = chapter8.pack(whole)
    theirs, *_ = keras.quantizers.pack_int4(whole)
    return {
        "values packed": (packed, np.asarray(theirs).view("uint8")),
        "values unpacked": (chapter8.unpack(packed, len(whole)), whole),
    }


@claim(8, "a step with a mask = Keras' step, and zeros", dtypes=("float32",))
def _(draw):
    finals, seed = [], draw.size()
    for by_hand in (True, False):
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        model.set_weights([np.linspace(-1, 1, 12).reshape(4, 3), np.zeros(3)])
        optimizer = keras.optimizers.SGD(RATE, momentum=0.5)
        optimizer.build(model.trainable_variables)
        masks = chapter8.masks_together(model.get_weights(), 0.5)
        first = make_train_step(model, loss_fn, optimizer)
        second = chapter8.make_masked_step(model, loss_fn, optimizer, masks) if by_hand else first
        random = np.random.default_rng(seed)
        for step in (first, second, second):
            x, y = random.normal(size=(6, 4)).astype("float32"), random.integers(0, 3, 6)
            step(tf.constant(x), tf.constant(y))
            if not by_hand and optimizer.iterations > 1:
                model.set_weights(chapter8.masked(model.get_weights(), masks))
        finals.append(model.get_weights())
    return as_pairs("weights", *finals)


@claim(8, "of each layer, of all: so many zeros, and none larger than what stays", sources="N")
def _(draw):
    kernels = [draw(5, 8) * 3, draw(3, 3, 2, 5)]
    weights, share = [kernels[0], draw(8), kernels[1]], 0.75
    layer = chapter8.masks_per_layer(weights, share)
    together = chapter8.masks_together(weights, share)
    counts = [np.sum(~layer[0]), np.sum(~layer[2]), np.sum(~together[0]) + np.sum(~together[2])]
    pairs = {"values, how many": (counts, [0.75 * 40, 67, 0.75 * 130 - 0.5])}
    sizes = np.concatenate([np.abs(each).ravel() for each in kernels])
    there = np.concatenate([together[0].ravel(), together[2].ravel()])
    border = sizes[there].min() > sizes[~there].max()
    alone = [
        np.abs(kernel[mask]).min() > np.abs(kernel[~mask]).max()
        for kernel, mask in zip(kernels, (layer[0], layer[2]), strict=True)
    ]
    pairs["values, order"] = [border, *alone, together[1].all(), layer[1].all()], [True] * 5
    return pairs


@claim(8, "a network without filters = the same one, these filters zero", sources="NK")
def _(draw):
    counts, left = (4, 5, 6), (2, 3, 3)
    with precision(draw.dtype):
        large = chapter8.make_network((8, 8, 1), 3, counts, 5)
        narrow = chapter8.make_network((8, 8, 1), 3, left, 5)
        weights, x = [draw(*each.shape) for each in large.get_weights()], draw(3, 8, 8, 1)
        narrow.set_weights(chapter8.narrowed(weights, left))
        zeros, before = list(weights), np.arange(1)
        for place, count in zip((0, 2, 4), left, strict=True):
            kernel = np.zeros_like(weights[place])
            kernel[:, :, before] = weights[place][:, :, before]
            order = np.argsort(-np.abs(kernel).sum(axis=(0, 1, 2)), kind="stable")
            before = np.sort(order[:count])
            gone = order[count:]
            zeros[place], zeros[place + 1] = kernel, np.array(weights[place + 1])
            zeros[place][..., gone], zeros[place + 1][gone] = 0, 0
        large.set_weights(zeros)
        return {"values": (narrow(x), large(x))}


@claim(8, "a convolution and a normalisation = one convolution", sources="NK")
def _(draw):
    shares = chapter8.compare_folded(draw.size(1, 99), draw.dtype)
    return {"values, differences": (shares, 0.0)}


@claim(8, "distillation by hand = LogitsDistillation(loss=KLDivergence())")
def _(draw):
    rows, classes, temperature = draw.size(), draw.size(3, 8), float(draw.size(1, 5))
    teacher, logits = 4 * draw(rows, classes), 4 * draw(rows, classes)
    with precision(draw.dtype):
        theirs = keras.distillation.LogitsDistillation(temperature, keras.losses.KLDivergence())
        return values_and_gradients(
            lambda logits: chapter8.distillation_loss(teacher, logits, temperature),
            lambda logits: theirs.compute_loss(tf.constant(teacher), logits),
            logits=logits,
        )


# --- mistakes to be seen --------------------------------------------------------------------

DENSE, CONVOLUTION = {"by": "dense layer in int8"}, {"by": "convolution in int8"}
ROUNDING, BYTES = {"by": "with the rounding"}, {"by": "in a byte"}
SUMS, ZERO, MASK = {"by": "LiteRT"}, {"by": "zero point"}, {"by": "mask"}
ZEROS, FILTERS, STUDENT = {"by": "so many zeros"}, {"by": "filters zero"}, {"by": "distillation"}
page = chapter8
mutant(8, page.quantise, "np.round(x * scale)", "np.floor(x * scale + 0.5)",
       "a half goes up", **DENSE)  # fmt: skip
mutant(8, page.quantise, "np.round(x * scale)", "np.trunc(x * scale)", "cut off", **DENSE)
mutant(8, page.quantise, "+ 1e-7", "+ 1e-6", "another small number", **DENSE)
mutant(8, page.quantise, "-top, top)", "-top, top - 1)", "126 is the largest", **DENSE)
mutant(8, page.dense_int8, "axis=0)", "axis=None)", "one scale for all units", **DENSE)
mutant(8, page.dense_int8, "axis=-1)", "axis=None)", "one scale for all rows", **DENSE)
mutant(8, page.dense_int8, 'rows.astype("int32") @ columns.astype("int32")', "rows @ columns",
       "sums in 8 bits", **DENSE)  # fmt: skip
mutant(8, page.conv_int8, "axis=(0, 1, 2))", "axis=None)", "one scale for all filters",
       **CONVOLUTION)  # fmt: skip
mutant(8, page.conv_int8, "axis=(1, 2, 3))", "axis=None)", "one scale for all pictures",
       **CONVOLUTION)  # fmt: skip
mutant(8, page.conv_int8, 'padding="same"', 'padding="valid"', "no frame", **CONVOLUTION)
mutant(8, page.Int8Conv2D, "tf.round(x * scale)", "x * scale", "not rounded", by="the layer")
mutant(8, page.Int8Conv2D, "(1, 2, 3)", "(0, 1, 2, 3)", "one scale for all", by="the layer")
mutant(8, page.as_integer, "2**31)", "2**20)", "a multiplier of 20 bits", **SUMS)
mutant(8, page.one_rounding, "(shift - 1)", "(shift - 2)", "a quarter is added", **SUMS)
mutant(8, page.two_roundings, "+ 2**30)", ")", "the first one cuts off", **SUMS)
mutant(8, page.two_roundings, "np.abs(upper) + half", "np.abs(upper)", "the second cuts off",
       **SUMS)  # fmt: skip
mutant(8, page.in_floating_point, "np.round(", "np.floor(", "rounded down", **SUMS)
mutant(8, page.one_rounding, "<< (shift - 1)", "<< shift", "a whole is added", by="onnxruntime")
mutant(8, page.quantise_between, "np.round(-128 - low * scale)", "-128", "no zero point", **ZERO)
mutant(8, page.quantise_between, "255 /", "127 /", "half the range", **ZERO)
mutant(8, page.pack, "bits[1::2] << 4", "bits[1::2] << 3", "they overlap", **BYTES)
mutant(8, page.pack, "bits[0::2] | bits[1::2] << 4", "bits[1::2] | bits[0::2] << 4",
       "the first one above", **BYTES)  # fmt: skip
mutant(8, page.unpack, "bits - 16", "bits", "no sign", **BYTES)
mutant(8, page.make_rounding_step, "assign(variables, exact)", "pass", "the exact ones are lost",
       **ROUNDING)  # fmt: skip
mutant(8, page.make_rounding_step, "bits=bits", "bits=bits + 1", "a bit too much", **ROUNDING)
mutant(8, page.per_channel, "- 1)", ")", "one scale for all units", **ROUNDING)
mutant(8, page.make_masked_step, "tf.where(mask, variable, 0.0)", "variable",
       "the mask is forgotten", **MASK)  # fmt: skip
mutant(8, page.make_masked_step, "tf.where(mask, variable, 0.0)", "tf.where(mask, 0.0, variable)",
       "the mask is turned round", **MASK)  # fmt: skip
mutant(8, page.keep_largest, "np.abs(kernel)", "kernel", "the most negative go", **ZEROS)
mutant(8, page.masks_together, "np.abs(each) >= border", "each >= border", "negative ones go",
       **ZEROS)  # fmt: skip
mutant(8, page.masks_together, "if each.ndim > 1 else each == each", "", "biases go, too", **ZEROS)
mutant(8, page.strongest, "np.argsort(-sizes)", "np.argsort(sizes)", "the weakest stay", **FILTERS)
mutant(8, page.narrowed, "bias[before]", "bias[: len(before)]", "the first biases", **FILTERS)
mutant(8, page.narrowed, "kernel = kernel[:, :, before]", "kernel = kernel[:, :, : len(before)]",
       "the first channels", **FILTERS)  # fmt: skip
FOLDED = {"by": "one convolution"}
mutant(8, page.folded, "+ normalisation.epsilon", "", "ε is forgotten", **FOLDED)
mutant(8, page.folded, "(bias - mean) * ratio", "bias - mean * ratio", "the bias keeps its size",
       **FOLDED)  # fmt: skip
mutant(8, page.folded, "kernel * ratio", "kernel", "the kernel is left as it was", **FOLDED)
mutant(8, page.distillation_loss, "temperature**2 *", "", "T² is missing", **STUDENT)
mutant(8, page.distillation_loss, "(log_p - log_q)", "(log_q - log_p)", "the sign", **STUDENT)
mutant(8, page.distillation_loss, "p * (log_p", "tf.exp(log_q) * (log_p", "q in place of p",
       **STUDENT)  # fmt: skip
