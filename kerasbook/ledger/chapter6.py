"""Chapter 6: what the ledger claims of it, and the mistakes that must be seen."""

from kerasbook import chapter6
from kerasbook.ledger import by_hand
from kerasbook.ledger.core import (
    as_pairs,
    claim,
    mutant,
    precision,
    values_and_gradients,
)
from kerasbook.testing.compare import as_function

import numpy as np
import tensorflow as tf
from keras import layers


def _attention_claim(name: str, masked: bool) -> None:
    @claim(6, f"multi-head attention{name} = MultiHeadAttention, unequal sizes", sources="NTK")
    def pairs(draw):
        queries, keys, heads = draw.size(2, 5), draw.size(3, 7), draw.size(1, 4)
        shapes = {"query": (2, queries, 6), "key": (2, keys, 4), "value": (2, keys, 3)}
        layer = layers.MultiHeadAttention(
            heads, key_dim=4, value_dim=5, output_shape=6, dtype=draw.dtype
        )
        layer.build(shapes["query"], shapes["value"], shapes["key"])
        inputs = {name: draw(*shape) for name, shape in shapes.items()}
        inputs |= {w.path: draw(*w.shape) for w in layer.weights}
        mask = None
        if masked:
            allowed = draw.random.random((2, queries, keys)) < 0.5
            allowed[..., 0] = True
            mask = tf.constant(allowed)

        def theirs(query, key, value, *weights):
            options = {"key": key, "attention_mask": mask}
            return layer.stateless_call(list(weights), [], query, value, **options)[0]

        def ours(query, key, value, *weights):
            return chapter6.multi_head_attention(query, key, value, weights, mask)

        def query_by_query(query, key, value, *weights):
            allowed = None if mask is None else mask.numpy()
            return by_hand.multi_head_attention(query, key, value, weights, allowed)

        return values_and_gradients(ours, theirs, query_by_query, **inputs)


_attention_claim("", False)
_attention_claim(", masked", True)


@claim(6, "layer normalisation = LayerNormalization, eps 0.1, scale and shift", sources="NTK")
def _(draw):
    width = draw.size(3, 9)
    layer = layers.LayerNormalization(epsilon=0.1, dtype=draw.dtype)
    layer.build((2, 3, width))
    inputs = {"x": draw(2, 3, width), "scale": draw(width), "shift": draw(width)}
    return values_and_gradients(
        lambda *parts: chapter6.layer_norm(*parts, 0.1),
        as_function(layer),
        lambda *parts: by_hand.layer_norm(*parts, 0.1),
        **inputs,
    )


@claim(6, "sinusoidal positions = the formula, number by number", dtypes=("float32",), sources="NT")
def _(draw):
    width, positions = 2 * draw.size(), draw.random.integers(0, 50, 6)
    theirs = np.zeros((6, width))
    for row, position in enumerate(positions):
        for i in range(width // 2):
            angle = position / 10000 ** (2 * i / width)
            theirs[row, i], theirs[row, width // 2 + i] = np.sin(angle), np.cos(angle)
    return {"values": (chapter6.sinusoids(tf.constant(positions), width), theirs)}


@claim(6, "causal mask", sources="NT")
def _(draw):
    count = draw.size(3, 7)
    triangle = np.array([[key <= query for key in range(count)] for query in range(count)])
    return {"values": (tf.cast(chapter6.causal_mask(count), draw.dtype), triangle)}


@claim(6, "causal self-attention = MultiHeadAttention(use_causal_mask)", sources="NTK")
def _(draw):
    count, heads, width = draw.size(3, 6), draw.size(1, 3), draw.size()
    layer = layers.MultiHeadAttention(heads, key_dim=4, dtype=draw.dtype)
    shape = (2, count, width)
    layer.build(shape, shape)
    weights = {w.path: draw(*w.shape) for w in layer.weights}
    mask = tf.tile(chapter6.causal_mask(count)[tf.newaxis], (2, 1, 1))

    def theirs(x, *weights):
        return layer.stateless_call(list(weights), [], x, x, use_causal_mask=True)[0]

    def ours(x, *weights):
        return chapter6.multi_head_attention(x, x, x, weights, mask)

    def query_by_query(x, *weights):
        return by_hand.multi_head_attention(x, x, x, weights, mask.numpy())

    return values_and_gradients(ours, theirs, query_by_query, x=draw(*shape), **weights)


def block_pairs(draw, make, ours, theirs, *inputs):
    """Returns pairs of a block and of the same with Keras' attention: values, every gradient."""
    with precision(draw.dtype):
        block = make()
        block(*inputs)
    block.set_weights([draw(*w.shape) for w in block.weights])
    weights = [variable.value for variable in block.trainable_variables]
    results = []
    for function in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            values = function(block, *inputs)
            loss = tf.reduce_sum(values**3)
        results.append((values, tape.gradient(loss, [*inputs, *weights])))
    (values, found), (expected_values, expected) = results
    return {"values": (values, expected_values)} | as_pairs("gradient", found, expected)


def _block_claim(name: str, kind) -> None:
    @claim(6, f"block of the Transformer, {name} = the same of Keras' layers")
    def pairs(draw):
        x = tf.constant(draw(2, draw.size(3, 6), 12))
        mask = chapter6.causal_mask(x.shape[1])[tf.newaxis]
        return block_pairs(
            draw,
            lambda: kind(12, 3),
            lambda block, x: block(x, mask),
            lambda block, x: chapter6.keras_block(block, x, mask),
            x,
        )


_block_claim("normalised before", chapter6.Block)
_block_claim("normalised after", chapter6.PostNormBlock)


# --- mistakes to be seen --------------------------------------------------------------------

mutant(6, chapter6.attention, " / key.shape[-1] ** 0.5", "", "not scaled")
mutant(6, chapter6.attention, "key.shape[-1] ** 0.5", "query.shape[-2] ** 0.5", "scaled by length")
mutant(
    6,
    chapter6.attention,
    "tf.where(mask, scores, scores",
    "tf.where(~mask, scores, scores",
    "mask inverted",
)
mutant(
    6,
    chapter6.attention,
    "tf.nn.softmax(scores)",
    "tf.nn.softmax(scores, axis=-2)",
    "softmax over the queries",
)
mutant(6, chapter6.split_heads, "(0, 2, 1, 3)", "(0, 2, 3, 1)", "axes mixed up")
mutant(6, chapter6.multi_head_attention, "+ bias", "", "bias of the output forgotten")
mutant(
    6,
    chapter6.layer_norm,
    "tf.sqrt(variance + epsilon)",
    "(tf.sqrt(variance) + epsilon)",
    "eps outside the root",
    by="layer norm",
)
mutant(
    6,
    chapter6.layer_norm,
    "tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)",
    "tf.reduce_sum((x - mean) ** 2, axis=-1, keepdims=True) / (x.shape[-1] - 1)",
    "N − 1 in the variance",
    by="layer norm",
)
mutant(6, chapter6.layer_norm, "axis=-1", "axis=-2", "over the tokens", by="layer norm")
mutant(6, chapter6.layer_norm, " + shift", "", "shift forgotten", by="layer norm")
mutant(6, chapter6.causal_mask, ">=", ">", "itself hidden", by="causal mask")
mutant(6, chapter6.causal_mask, ">=", "<=", "future in place of past", by="causal mask")
mutant(
    6,
    chapter6.Block,
    "x = x + self.drop(seen",
    "x = self.norm_1(x) + self.drop(seen",
    "the way around is normalised",
    by="block",
)
mutant(
    6,
    chapter6.PostNormBlock,
    "self.norm_2(x + self.drop(self.feed_forward(x), training=training))",
    "x + self.norm_2(self.drop(self.feed_forward(x), training=training))",
    "the sum not normalised",
    by="block",
)
mutant(6, chapter6.join_heads, "(0, 2, 1, 3)", "(0, 1, 2, 3)", "heads and tokens mixed up")
mutant(6, by_hand.multi_head_attention, "/ np.sqrt(len(asked))", "", "not scaled, in NumPy")
mutant(
    6, by_hand.layer_norm, "token.var()", "token.var(ddof=1)", "N − 1, in NumPy", by="layer norm"
)
