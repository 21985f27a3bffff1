"""Grouped-query attention: heads that share keys and values."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=50,
    difficulty=3,
    points=5,
    kind="layer",
    outputs=None,
    atol=2e-5,
    forbidden=(
        "keras.layers.MultiHeadAttention",
        "keras.layers.GroupQueryAttention",
        "keras.layers.Attention",
    ),
    hints=[
        "Make queries (n, heads, time, depth), and keys and values (n, groups, time, depth). "
        "Repeat keys and values along the second axis until there is one for each head; then it "
        "is the chapter's attention.",
        "heads / groups heads that stand side by side share a group: with 6 heads and 2 groups, "
        "heads 0, 1, 2 use group 0. np.repeat and tf.repeat do this, np.tile does not. The mask is "
        "causal and padding together, (n, 1, time, time).",
        "keys = tf.repeat(tf.einsum('ntw,wgd->ngtd', x, key_kernel), heads // groups, axis=1); "
        "set forbidden scores to scores.dtype.min, not to −∞; at the end, "
        "tf.einsum('nhtd,hdw->ntw', mixtures, output_kernel), times the mask as (n, time, 1).",
    ],
)


@exercise.stub
class GroupedAttention(keras.layers.Layer):
    """Causal self-attention in which several heads share keys and values.

    While a model writes, it keeps the keys and values of all tokens, and reads all of them for
    every new one. With fewer keys and values than queries (Ainslie and others 2023) there is less
    to keep: H heads have queries of their own, and G groups have keys and values; each run of
    H / G neighbouring heads shares one group. G = 1 is called multi-query attention, and with
    G = H it is the attention of the chapter, here without biases:

        q_h = x W^Q_h,    k_g = x W^K_g,    v_g = x W^V_g         each (n, time, depth)
        head_h = softmax(q_h k_gᵀ / √depth) v_g                   with the g of head h
        y = Σ_h head_h W^O_h                                      (n, time, width)

    Practises: chapter 6, "Several heads".

    Args:
        heads: H.
        groups: G, a divisor of H.
        depth: numbers in a query, a key and a value of one head.

    Weights, in the order of `layer.get_weights()`, all made in `build(input_shape)`:
        W^Q (width, H, depth), W^K (width, G, depth), W^V (width, G, depth), W^O (H, depth, width).

    call(x, mask=None): x is (n, time, width), mask (n, time) of bool or None. A token sees itself
    and those before it, and no token where the mask is False. Padding may stand behind a text or
    in front of it. The output of a token whose own mask is False is zeros. Returns (n, time,
    width); float32 or float64, all numbers finite. Tolerance: 2e-5 + 1e-4 · |expected|.

    The layer is built, gets weights by `set_weights`, and is called on inputs of several shapes.
    Keras' own attention layers are not to be used.
    """

    def __init__(self, heads, groups, depth):
        super().__init__()
        raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    layer = solution(inputs["heads"], inputs["groups"], inputs["depth"])
    layer.supports_masking = True  # else Keras warns that the mask ends here
    layer.build(inputs["x"].shape)
    layer.set_weights([inputs[name] for name in ("query", "key", "value", "output")])
    return {
        "masked": layer(tf.constant(inputs["x"]), mask=inputs["mask"]),
        "another_shape": layer(tf.constant(inputs["other"])),
    }


@exercise.public
def examples(random):
    zeros, ones = np.zeros((2, 2, 1)), np.ones((2, 1, 1))
    yield Case(
        "all scores equal, two heads, one group",
        {
            "heads": 2,
            "groups": 1,
            "depth": 1,
            "query": zeros,
            "key": ones,
            "value": np.array([[[1.0]], [[0.0]]]),
            "output": np.array([[[1.0, 0.0]], [[0.0, 2.0]]]),
            "x": np.array([[[3.0, 0], [5, 0], [7, 0]]]),
            "mask": np.array([[True, True, False]]),
            "other": np.array([[[1.0, 0]], [[2.0, 0]]]),
        },
    )


@exercise.hidden
def drawn(random):
    for n, time, width, heads, groups, depth, padding in (
        (1, 4, 5, 4, 2, 3, "none"),
        (3, 6, 4, 6, 2, 2, "behind"),
        (2, 5, 6, 3, 1, 4, "in front"),
        (2, 7, 3, 6, 3, 5, "both"),
    ):
        lengths = random.integers(1, time, size=(n, 1))
        places = np.arange(time)
        mask = places < lengths
        if padding == "in front":
            mask = places >= lengths
        elif padding == "both":
            mask = (places >= 2) & (places < time - 1)
            mask = np.stack([mask, places > 0])
        arrays = {
            "query": random.normal(size=(width, heads, depth)),
            "key": random.normal(size=(width, groups, depth)),
            "value": random.normal(size=(width, groups, depth)),
            "output": random.normal(size=(heads, depth, width)) / depth,
            "x": random.normal(size=(n, time, width)),
            "mask": None if padding == "none" else mask,
            "other": random.normal(size=(n + 1, 3, width)),
        }
        name = f"{heads} heads, {groups} group(s), width {width}, depth {depth}, padding {padding}"
        yield Case(name, {"heads": heads, "groups": groups, "depth": depth, **arrays})


@exercise.reference
class Solution(keras.layers.Layer):
    def __init__(self, heads, groups, depth):
        super().__init__()
        self.heads, self.groups, self.depth = heads, groups, depth

    def build(self, input_shape):
        width = input_shape[-1]
        self.query = self.add_weight(shape=(width, self.heads, self.depth), name="query")
        self.key = self.add_weight(shape=(width, self.groups, self.depth), name="key")
        self.value = self.add_weight(shape=(width, self.groups, self.depth), name="value")
        self.output_kernel = self.add_weight(shape=(self.heads, self.depth, width), name="output")
        self.built = True

    def call(self, x, mask=None):
        share, time = self.heads // self.groups, x.shape[1]
        queries = tf.einsum("ntw,whd->nhtd", x, self.query)
        keys = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.key), share, axis=1)
        values = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.value), share, axis=1)
        allowed = np.tri(time, dtype=bool)[np.newaxis, np.newaxis]  # (1, 1, time, time)
        if mask is not None:
            allowed = allowed & tf.convert_to_tensor(mask)[:, np.newaxis, np.newaxis]
        scores = tf.matmul(queries, keys, transpose_b=True) / self.depth**0.5
        scores = tf.where(allowed, scores, scores.dtype.min)
        y = tf.einsum("nhtd,hdw->ntw", tf.nn.softmax(scores) @ values, self.output_kernel)
        return y if mask is None else tf.where(mask[..., np.newaxis], y, 0.0)


@exercise.right
class WithNumPy:
    def __init__(self, heads, groups, depth):
        self.heads, self.groups, self.depth = heads, groups, depth

    def build(self, input_shape):
        pass

    def set_weights(self, weights):
        self.weights = weights

    def __call__(self, x, mask=None):
        to_query, to_key, to_value, to_output = self.weights
        x = np.asarray(x)
        y = np.zeros_like(x)
        for example in range(len(x)):
            read = np.ones(x.shape[1], bool) if mask is None else np.asarray(mask)[example]
            tokens = x[example, read]  # no padding any more
            result = 0.0
            for head in range(self.heads):
                group = head * self.groups // self.heads
                scores = tokens @ to_query[:, head] @ (tokens @ to_key[:, group]).T
                scores = np.where(np.tri(len(tokens)) > 0, scores / self.depth**0.5, -np.inf)
                weights = np.exp(scores - scores.max(axis=1, keepdims=True))
                weights /= weights.sum(axis=1, keepdims=True)
                result = result + weights @ tokens @ to_value[:, group] @ to_output[head]
            y[example, read] = result
        return y


@exercise.right
class WithAnAxisForTheGroups(keras.layers.Layer):
    def __init__(self, heads, groups, depth):
        super().__init__()
        self.heads, self.groups, self.depth = heads, groups, depth

    def build(self, input_shape):
        width, depth = input_shape[-1], self.depth
        shapes = [(width, each, depth) for each in (self.heads, self.groups, self.groups)]
        shapes.append((self.heads, depth, width))
        self.kernels = [self.add_weight(shape=shape) for shape in shapes]

    def call(self, x, mask=None):
        ops = keras.ops
        to_query, to_key, to_value, to_output = (ops.convert_to_tensor(k) for k in self.kernels)
        n, time, width = x.shape
        split = (self.groups, self.heads // self.groups, self.depth)
        query = ops.einsum("ntw,wgsd->ngstd", x, ops.reshape(to_query, (width, *split)))
        key = ops.einsum("ntw,wgd->ngtd", x, to_key)
        value = ops.einsum("ntw,wgd->ngtd", x, to_value)
        mask = ops.ones((n, time), "bool") if mask is None else ops.convert_to_tensor(mask)
        seen = mask[:, None, :] & ops.convert_to_tensor(np.tri(time, dtype=bool))
        scores = ops.einsum("ngsqd,ngkd->ngsqk", query, key) / np.sqrt(self.depth)
        weights = ops.softmax(ops.where(seen[:, None, None], scores, -1e9))
        heads = ops.einsum("ngsqk,ngkd->ngsqd", weights, value)
        y = ops.einsum("ngsqd,gsdw->nqw", heads, ops.reshape(to_output, (*split, width)))
        return y * ops.cast(mask, y.dtype)[..., None]


@exercise.right
class WithWiderWeights(keras.layers.Layer):
    def __init__(self, heads, groups, depth):
        super().__init__()
        self.heads, self.groups, self.depth = heads, groups, depth

    def build(self, input_shape):
        for name, count in (("query", self.heads), ("key", self.groups), ("value", self.groups)):
            shape = (input_shape[-1], count, self.depth)
            setattr(self, name, self.add_weight(shape=shape, name=name))
        shape = (self.heads, self.depth, input_shape[-1])
        self.output_kernel = self.add_weight(shape=shape, name="output")

    def call(self, x, mask=None):
        group = np.arange(self.heads) // (self.heads // self.groups)
        key, value = tf.gather(self.key, group, axis=1), tf.gather(self.value, group, axis=1)
        places = tf.range(x.shape[1])
        hidden = tf.cast(places[:, None] < places, x.dtype)[None]
        if mask is not None:
            mask = tf.cast(mask, x.dtype)
            hidden = tf.maximum(hidden, 1 - mask[:, None])
        y = tf.zeros_like(x)
        for head in range(self.heads):
            of_query, of_key = x @ self.query[:, head], x @ key[:, head]
            scores = tf.matmul(of_query, of_key, transpose_b=True) * self.depth**-0.5
            weights = tf.nn.softmax(scores - 1e9 * hidden)
            y += weights @ x @ value[:, head] @ self.output_kernel[head]
        return y if mask is None else y * mask[:, :, None]


exercise.mistake(
    "GroupsInTurns",
    "Heads use the groups in turns: 0, 1, 0, 1 … Neighbouring heads share one: with 4 heads "
    "and 2 groups 0, 0, 1, 1. That is repeat, not tile.",
    old=(
        'keys = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.key), share, axis=1)\n'
        '        values = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.value), share, axis=1)'
    ),
    new=(
        'keys = tf.tile(tf.einsum("ntw,wgd->ngtd", x, self.key), (1, share, 1, 1))\n'
        '        values = tf.tile(tf.einsum("ntw,wgd->ngtd", x, self.value), (1, share, 1, 1))'
    ),
)
exercise.mistake(
    "InfiniteScores",
    old=(
        "scores = tf.where(allowed, scores, scores.dtype.min)\n"
        '        y = tf.einsum("nhtd,hdw->ntw", tf.nn.softmax(scores) @ values, '
        "self.output_kernel)\n"
        "        return y if mask is None else tf.where(mask[..., np.newaxis], y, 0.0)"
    ),
    new=(
        "scores = tf.where(allowed, scores, -np.inf)\n"
        '        y = tf.einsum("nhtd,hdw->ntw", tf.nn.softmax(scores) @ values, '
        "self.output_kernel)\n"
        "        return y if mask is None else y * tf.cast(mask, y.dtype)[..., np.newaxis]"
    ),
)
exercise.mistake(
    "PaddingAnswers",
    "Tokens of padding have outputs that are not zero. Nobody should see them, but here they "
    "are asked for as zeros.",
    old="y if mask is None else tf.where(mask[..., np.newaxis], y, 0.0)",
    new="y",
)
exercise.mistake(
    "FutureSeen",
    "Tokens see those behind them: the causal mask is missing.",
    old="np.tri(time, dtype=bool)",
    new="np.ones((time, time), bool)",
)
exercise.mistake(
    "PaddingSeen",
    "Padding is set to zero at the end, but the other tokens still look at it. The mask "
    "belongs to the scores too, along the axis of the keys.",
    old="tf.convert_to_tensor",
    new="tf.ones_like",
)
exercise.mistake(
    "DividedByTheWidth",
    "The scores are divided by the root of the width of x. What is multiplied are vectors of "
    "`depth` numbers.",
    old="self.depth**0.5",
    new="x.shape[-1] ** 0.5",
)
exercise.mistake(
    "KeysForValues",
    old=(
        'keys = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.key), share, axis=1)\n'
        '        values = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.value), share, axis=1)'
    ),
    new=(
        'keys = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.value), share, axis=1)\n'
        '        values = tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.key), share, axis=1)'
    ),
)
exercise.mistake("NotDivided", old="/ self.depth**0.5", new="")
exercise.mistake(
    "FirstGroupOnly",
    old='tf.repeat(tf.einsum("ntw,wgd->ngtd", x, self.key), share, axis=1)',
    new='tf.einsum("ntw,wgd->ngtd", x, self.key)[:, :1]',
)
exercise.mistake(
    "ItselfNotSeen",
    old="np.tri(time, dtype=bool)",
    new="(np.tri(time, k=-1) + np.eye(time)[:1] > 0)",
)
