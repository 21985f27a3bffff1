"""Low-rank adapters: what the ledger claims of them, and the mistakes that must be seen."""

from kerasbook import chapter6
from kerasbook import chapter7_lora as page
from kerasbook.ledger.core import as_pairs, claim, mutant, precision

import numpy as np
import tensorflow as tf
from keras import layers

KEY = "chapter7_lora"


def low_rank_layer(draw):
    """Returns a layer with an adapter, all weights random, and an input for it."""
    inputs, units, rank = draw.size(3, 7), draw.size(2, 6), draw.size(1, 3)
    x = draw(draw.size(2, 4), 3, inputs)
    with precision(draw.dtype):
        layer = page.LowRankDense(layers.Dense(units, "tanh"), rank, alpha=draw.size(1, 9))
        layer(x)
    layer.set_weights([draw(*weight.shape) for weight in layer.weights])
    return layer, x


def outputs_and_gradients(layer, x, variables):
    """Returns what a layer gives for x, and the gradients of its sum of cubes."""
    x, weights = tf.constant(x), [variable.value for variable in variables]
    inputs = [x] if x.dtype.is_floating else []
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        values = layer(x)
        loss = tf.reduce_sum(values**3 + values)
    return values, tape.gradient(loss, inputs + weights)


@claim(KEY, "a dense layer with an adapter = Keras' Dense with LoRA", dtypes=("float32",))
def _(draw):
    # Keras keeps A and B in 32 bits, whatever the layer has
    ours, x = low_rank_layer(draw)
    theirs = layers.Dense(ours.dense.units, "tanh")
    theirs.build(x.shape)
    theirs.enable_lora(ours.rank, ours.scale * ours.rank)
    pairs = {"_kernel": ours.dense.kernel, "bias": ours.dense.bias}
    for name, value in (pairs | {"lora_kernel_a": ours.a, "lora_kernel_b": ours.b}).items():
        getattr(theirs, name).assign(value)
    found = outputs_and_gradients(ours, x, [ours.dense.bias, ours.a, ours.b])
    expected = outputs_and_gradients(
        theirs, x, [theirs.bias, theirs.lora_kernel_a, theirs.lora_kernel_b]
    )
    return {"values": (found[0], expected[0])} | as_pairs("gradient", found[1], expected[1])


@claim(KEY, "gradients for A and B by the chain rule = by the tape")
def _(draw):
    layer, x = low_rank_layer(draw)
    plain = layers.Dense(layer.dense.units, "tanh", dtype=draw.dtype)
    plain.build(x.shape)
    change = layer.scale * np.asarray(layer.a) @ np.asarray(layer.b)
    plain.set_weights([np.asarray(layer.dense.kernel) + change, layer.dense.bias])
    values, (_, for_a, for_b) = outputs_and_gradients(layer, x, [layer.a, layer.b])
    expected, (_, for_kernel) = outputs_and_gradients(plain, x, [plain.kernel])
    by_hand = page.adapter_gradients(layer.a.value, layer.b.value, layer.scale, for_kernel)
    pairs = {"values with the sum as kernel": (values, expected)}
    return pairs | as_pairs("gradient", by_hand, (for_a, for_b))


def adapted_writer(draw):
    """Returns a small writer with random weights, the same with adapters, and a text."""
    rank, heads = draw.size(1, 3), draw.size(1, 3)
    with precision(draw.dtype):
        writer = chapter6.make_writer(9, 4 * heads, heads, draw.size(1, 2))
        writer.set_weights([draw(*weight.shape) for weight in writer.weights])
        model = page.adapted(writer, rank, alpha=draw.size(1, 9))
    return writer, model, draw.random.integers(0, 9, (3, draw.size(3, 8))).astype("int32")


@claim(KEY, "a writer with adapters, before any step = the writer")
def _(draw):
    writer, model, text = adapted_writer(draw)
    with precision(draw.dtype):
        return {"values": (model(text), writer(text))}


@claim(KEY, "a writer with adapters = the writer with Keras' LoRA", dtypes=("float32",))
def _(draw):
    rank, alpha = draw.size(1, 3), draw.size(1, 9)
    writer = chapter6.make_writer(9, 6, 2, 1)
    model, text = page.adapted(writer, rank, alpha), draw.random.integers(0, 9, (3, 5))
    pairs = page.adapters(model), page.keras_adapters(page.with_keras(writer, rank, alpha))
    for ours, theirs in zip(*pairs, strict=True):
        ours.assign(value := draw(*ours.shape))
        theirs.assign(value)
    found, expected = (
        outputs_and_gradients(each, text, variables)
        for each, variables in zip((model, writer), pairs, strict=True)
    )
    return {"values": (found[0], expected[0])} | as_pairs("gradient", found[1], expected[1])


@claim(KEY, "a writer with adapters = the writer with the sums as kernels")
def _(draw):
    _, model, text = adapted_writer(draw)
    for weight in page.adapters(model):
        weight.assign(draw(*weight.shape))
    with precision(draw.dtype):
        return {"values": (page.merged(model)(text), model(text))}


@claim(
    KEY,
    "nearest change of rank r = projection on the first eigenvectors",
    dtypes=("float64",),
    sources="N",
)
def _(draw):
    rows, columns = draw.size(3, 7), draw.size(3, 7)
    rank = draw.size(1, min(rows, columns) - 1)
    before, after = draw.random.normal(size=(2, rows, columns))
    _, vectors = np.linalg.eigh((after - before).T @ (after - before))
    kept = vectors[:, ::-1][:, :rank]
    kernel, bias = page.with_changes_of_rank([before, before[0]], [after, after[0]], rank)
    expected = before + (after - before) @ kept @ kept.T
    return {"values": (kernel, expected), "values of the bias": (bias, after[0])}


# --- mistakes to be seen --------------------------------------------------------------------

LAYER, RULE, SUM = {"by": "Dense with LoRA"}, {"by": "chain rule"}, {"by": "sums as kernels"}
mutant(KEY, page.LowRankDense, "self.scale * (", "(", "the scale forgotten", **LAYER)
mutant(KEY, page.LowRankDense, "alpha) / rank", "alpha) * rank", "α times r", **LAYER)
mutant(KEY, page.LowRankDense, ") + self.dense.bias", ")", "no bias", **LAYER)
mutant(
    KEY,
    page.LowRankDense,
    "activation(s + self.scale * ((x @ self.a) @ self.b))",
    "activation(s) + self.scale * ((x @ self.a) @ self.b)",
    "the change after the activation",
    **LAYER,
)
mutant(KEY, page.LowRankDense, 'initializer="zeros"', 'initializer="he_uniform"',
       "A and B random", by="before any step")  # fmt: skip
mutant(KEY, page.adapter_gradients, "scale * for_kernel", "for_kernel", "A's not scaled", **RULE)
mutant(KEY, page.adapter_gradients, "tf.transpose(b), scale *", "tf.transpose(b),",
       "B's not scaled", **RULE)  # fmt: skip
mutant(KEY, page.merged, "low.scale * ", "", "merged without the scale", **SUM)
mutant(KEY, page.merged, "low.scale * ", "2 * low.scale * ", "merged twice", **SUM)
mutant(KEY, page.merged, "assign_add", "assign", "the change in place of the sum", **SUM)
mutant(
    KEY, page.add_adapters, "alpha, name=", "None, name=", "α not handed on", by="writer with Keras"
)
mutant(KEY, page.with_changes_of_rank, "new = old + a @ b", "new = a @ b", "the change alone",
       by="nearest")  # fmt: skip
mutant(KEY, page.with_changes_of_rank, "nearest(new - old, rank)", "nearest(new, rank)",
       "the weights for the change", by="nearest")  # fmt: skip
mutant(KEY, page.nearest, "* sizes[:rank]", "", "the sizes forgotten", by="nearest")
mutant(KEY, page.nearest, "u[:, :rank] * sizes[:rank], v[:rank]",
       "u[:, -rank:] * sizes[-rank:], v[-rank:]", "the smallest kept", by="nearest")  # fmt: skip
