# %% [markdown]
"""
# Chapter 6. The Transformer

A recurrent network reads one symbol after another, and carries what it has read in a state of fixed
size. The Transformer reads all symbols at once, and lets each look at all others. How does a symbol
know where to look? It asks: each symbol makes a question, each offers a key, and where question and
key agree, much is taken over. That is *attention*, and nearly all of the rest are masks that say
who may look at whom.

We train three models. The first reads the spelling of an English word and says it: an encoder
reads, a decoder speaks. The second writes, character by character, after six plays of Shakespeare:
a decoder alone. The third is the first again, and translates.

After this chapter you can

- write attention with any mask, and prove it equal to Keras';
- tell by a probe whether a model peeps into the future;
- decode with a cache, greedily or by beam.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter6`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter6")

# %%
from collections import Counter
from collections.abc import Callable
from time import perf_counter
from typing import Any, Literal, NamedTuple

from kerasbook import plotting
from kerasbook.data import load, load_cmudict, load_verses
from kerasbook.data.cmudict import END, LETTERS, PAD, START, encode_letters, spelling
from kerasbook.data.shakespeare import decode_text, encode_text
from kerasbook.data.subwords import decode, split_pieces
from kerasbook.runner import Result
from kerasbook.testing import probes
from kerasbook.testing.compare import (
    compare_functions,
    largest_differences,
)
from kerasbook.training import evaluate, fit, make_train_step
from kerasbook.training.devices import one_thread_per_operation

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## The data
#
# CMUdict says how Americans pronounce English words, in 39 sounds with names such as `AH` and `NG`.
# The stress of the vowels is left out. The words are split by the word: 1,000 are kept for the
# test, and no model sees them before.

# %%
if __name__ == "__main__":
    splits = load_cmudict()
    print(splits)
    (letters, before), after = splits.train
    for word, sounds in zip(letters[:5], after[:5], strict=True):
        print(f"{spelling(word):12}", *(splits.classes[sound] for sound in sounds))

# %% [markdown]
# A word is a row of numbers: `letters` is (n, 14), with zeros behind the last letter. What is to be
# said is `after`, (n, 16), and it ends in `<end>`: the model must also say when it is done.
#
# Why is there a third table, `before`? The model says one sound at a time, and what it says depends
# on what it has said. So the decoder gets the sounds before the one it is to name: the same row,
# moved to the right by one, with `<start>` in front. Each of the 16 places is an exercise of its
# own, and all are done at once.

# %%
if __name__ == "__main__":
    print("before:", *(splits.classes[sound] for sound in before[0]))
    print("after: ", *(splits.classes[sound] for sound in after[0]))

# %% [markdown]
# ## Attention, by hand
#
# A dictionary in Python looks a key up, and gives the value of the one key that is equal. Attention
# looks softly: every key is equal to some degree, and the result is a mixture of all values, each
# weighted by how well its key fits the *query*.
#
# There are $q$ queries and $k$ pairs of key and value. `query` is (queries, depth), `key` is (keys,
# depth), and `value` (keys, width). How well a query fits a key is their scalar product. A softmax
# over the keys makes weights of these scores: positive, and 1 in sum.

# %%
if __name__ == "__main__":
    example = np.random.default_rng(0).normal(size=(3, 4, 3))  # query, key and value
    plotting.plot_attention_steps(*example)

# %% [markdown]
# The darker, the larger. In a formula, with a division whose reason follows:
#
# $$\text{attention}(Q, K, V) = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$
#
# A *mask* says who may look at whom. It is (queries, keys), and `True` means: may look. Elsewhere
# the score is set to the lowest number there is, of which the softmax makes zero. Some libraries
# mean the opposite by `True`; a mask carried over from one of them makes a model that sees only
# what it must not see. (We divide the queries and not the scores, of which there are more.)


# %%
def attention(query, key, value, mask=None):
    """Returns the mixtures (…, queries, width), and their weights (…, queries, keys)."""
    scores = tf.matmul(query / key.shape[-1] ** 0.5, key, transpose_b=True)
    if mask is not None:
        scores = tf.where(mask, scores, scores.dtype.min)
    weights = tf.nn.softmax(scores)  # (…, queries, keys)
    return weights @ value, weights


if __name__ == "__main__":
    keys = values = tf.eye(3) * 4  # three keys; each one's value is the key itself
    query = tf.constant([[4.0, 0, 0], [4, 4, 0], [0, 0, 0]])
    mixtures, weights = attention(query, keys, values)
    print(weights.numpy().round(2))

# %% [markdown]
# The first query is the first key and gets nearly only its value. The second lies between two keys,
# and gets half of each. The third fits none better than another, and gets the mean. So there is no
# way to look at nothing; remember that for the padding.
#
# Why divide by $\sqrt d$, the root of the depth? The scalar product of two random vectors of $d$
# numbers with variance 1 has the variance $d$. Without the division the softmax of long vectors is
# nearly one-hot, and a softmax that is nearly one-hot has a gradient of nearly zero.

# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    for depth in (4, 64, 1024):
        query, key = random.normal(size=(2, 500, 10, depth))
        scores = query @ key.swapaxes(1, 2)
        largest = [tf.nn.softmax(s).numpy().max(-1).mean() for s in (scores, scores / depth**0.5)]
        print(f"depth {depth:5}: largest of ten weights {largest[0]:.2f}, divided {largest[1]:.2f}")

# %% [markdown]
# ## Masks
#
# Three masks do all that this chapter needs.
#
# A decoder must not see what it is to predict. The *causal* mask lets place $i$ look at the places
# $j \le i$ only: a triangle. Here are the weights from above once more, with this mask.

# %%
if __name__ == "__main__":
    plotting.plot_attention_steps(*example, mask=np.tri(4))

# %% [markdown]
# Nobody shall look at padding. And, a little surprise: several words may lie in one row, one behind
# the other, if none looks at another. Both are one mask. Number the words of a row 1, 2, …, and
# call padding number 0; then a token may look at those with the same number.


# %%
def causal_mask(count):
    """Returns (count, count): True where the key is not after the query."""
    places = tf.range(count)
    return places[:, tf.newaxis] >= places


def same_word(words, other_words):
    """Returns (n, queries, keys) from word numbers (n, queries) and (n, keys): True where equal."""
    return words[:, :, tf.newaxis] == other_words[:, tf.newaxis]


if __name__ == "__main__":
    words = tf.constant([[1, 1, 1, 2, 2, 0]])  # a word of three tokens, one of two, padding
    print(tf.cast(same_word(words, words)[0] & causal_mask(6), tf.int32).numpy())

# %% [markdown]
# Padding looks at padding. That does no harm, as nobody looks at its outputs, and it spares us a
# row in which nothing is allowed. With −∞ in place of the lowest number, such a row would be zero
# divided by zero, and one NaN in a gradient spoils every weight of the model.
#
# ## Several heads
#
# One softmax can look at one thing. A letter may want to know both its neighbour and whether there
# is an `e` at the word's end. So there are several *heads*, each with queries, keys and values of
# its own, made by matrices that are learned.

# %%
if __name__ == "__main__":
    plotting.plot_heads()

# %% [markdown]
# For each head $h$ of $H$, and then for all of them,
#
# $$\text{head}_h = \text{attention}(X W^Q_h,\; Y W^K_h,\; Y W^V_h), \qquad
#   Z = [\text{head}_1, \dots, \text{head}_H]\, W^O .$$
#
# $X$ is (queries, width), and asks. $Y$ is (keys, width), and is looked at. In *self-attention*
# both are the same, in *cross-attention* $Y$ comes from the encoder. The heads are computed in one
# go, with an axis of their own.


# %%
def split_heads(x, heads):
    """Returns x (n, time, heads · depth) as (n, heads, time, depth)."""
    x = tf.reshape(x, (-1, tf.shape(x)[1], heads, x.shape[-1] // heads))
    return tf.transpose(x, (0, 2, 1, 3))


def join_heads(x):
    """Returns x (n, heads, time, depth) as (n, time, heads · depth)."""
    _, heads, _, depth = x.shape
    x = tf.transpose(x, (0, 2, 1, 3))
    return tf.reshape(x, (-1, tf.shape(x)[1], heads * depth))


def project(x, kernel, bias):
    """Returns x (n, time, width) as (n, heads, time, depth), by a kernel (width, heads, depth)."""
    width, heads, depth = kernel.shape
    flat = x @ tf.reshape(kernel, (width, heads * depth)) + tf.reshape(bias, (-1,))
    return split_heads(flat, heads)


def multi_head_attention(query, key, value, weights, mask=None):
    """Returns (n, queries, width), as `layers.MultiHeadAttention` with these `weights` does.

    weights: kernel (width, heads, depth) and bias (heads, depth) of queries, of keys, of values,
    then kernel (heads, depth, width) and bias (width,) of the output; mask: (n, queries, keys).
    """
    of_query, of_key, of_value, (kernel, bias) = zip(weights[::2], weights[1::2], strict=True)
    mask = None if mask is None else mask[:, tf.newaxis]  # the same for all heads
    keys, values = project(key, *of_key), project(value, *of_value)
    mixtures, _ = attention(project(query, *of_query), keys, values, mask)
    return join_heads(mixtures) @ tf.reshape(kernel, (-1, kernel.shape[-1])) + bias


# %% [markdown]
# Is it what Keras computes? Values and every gradient must agree: of the three inputs and of all
# eight weights. Query, key and value have widths of their own here, the values another depth than
# the keys, and there are more keys than queries, so that no two axes can be mixed up unseen.


# %%
def compare_attention(mask=None, dtype="float64", seed=0) -> dict[str, float]:
    """Returns the largest differences to Keras' layer: of the values, and of every gradient."""
    random = np.random.default_rng(seed)
    shapes = {"query": (2, 5, 6), "key": (2, 7, 4), "value": (2, 7, 3)}
    inputs = [random.normal(size=shape).astype(dtype) for shape in shapes.values()]
    layer = layers.MultiHeadAttention(3, key_dim=4, value_dim=5, output_shape=6, dtype=dtype)
    layer.build(shapes["query"], shapes["value"], shapes["key"])
    weights = [random.normal(0, 0.4, w.shape).astype(dtype) for w in layer.weights]

    def theirs(query, key, value, *weights):
        options = {"key": key, "attention_mask": mask}
        return layer.stateless_call(weights, [], query, value, **options)[0]

    def ours(query, key, value, *weights):
        return multi_head_attention(query, key, value, weights, mask)

    names = [*shapes, *(weight.path for weight in layer.weights)]
    return compare_functions(ours, theirs, *inputs, *weights, names=names)


if __name__ == "__main__":
    allowed = np.random.default_rng(1).random((2, 5, 7)) < 0.5
    allowed[..., 0] = True  # everybody may look at something
    for name, mask in {"no mask": None, "a random mask": tf.constant(allowed)}.items():
        worst = max(compare_attention(mask).values())
        print(f"{name}: values and {len(compare_attention(mask)) - 1} gradients, {worst:.0e}")

# %% [markdown]
# ## Layer normalisation
#
# Deep stacks train better when the numbers keep a size. *Layer normalisation* takes each token by
# itself: subtract the mean of its numbers, divide by their standard deviation, then scale and
# shift each of them by learned numbers $\gamma$ and $\beta$, both (width,):
#
# $$y = \gamma \odot \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta .$$
#
# $\mu$ and $\sigma^2$ are the mean and the variance over the last axis of x, (…, width). The small
# $\varepsilon$ keeps the division sound, and it stands *under* the root. A well-known teaching
# implementation has it outside. With the usual tiny $\varepsilon$ nobody notices; so we compare
# with one that is not tiny.


# %%
def layer_norm(x, scale, shift, epsilon=1e-3):
    """Returns x (…, width) with each token's mean and variance set by `scale` and `shift`."""
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    return scale * (x - mean) / tf.sqrt(variance + epsilon) + shift


def compare_layer_norm(function=layer_norm, epsilon=0.1, dtype="float64") -> dict[str, float]:
    """Returns the largest differences to Keras' layer: of the values, and of every gradient."""
    random = np.random.default_rng(0)
    inputs = [random.normal(size=shape).astype(dtype) for shape in ((3, 5, 7), (7,), (7,))]
    layer = layers.LayerNormalization(epsilon=epsilon, dtype=dtype)
    layer.build((3, 5, 7))

    def theirs(x, scale, shift):
        return layer.stateless_call([scale, shift], [], x)[0]

    def ours(x, scale, shift):
        return function(x, scale, shift, epsilon)

    return compare_functions(ours, theirs, *inputs, names=("x", "scale", "shift"))


def layer_norm_wrongly(x, scale, shift, epsilon):
    """Returns the same with ε outside of the root."""
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    deviation = tf.math.reduce_std(x, axis=-1, keepdims=True)
    return scale * (x - mean) / (deviation + epsilon) + shift


if __name__ == "__main__":
    for function in (layer_norm, layer_norm_wrongly):
        for epsilon in (1e-6, 0.1):
            worst = max(compare_layer_norm(function, epsilon).values())
            print(f"{function.__name__}, ε = {epsilon}: {worst:.0e}")

# %% [markdown]
# ## Where does a token stand?
#
# Attention has no order. Shuffle the letters of a word, and every letter gets the same mixture as
# before: *tea* and *eat* are one bag of letters. A probe shows it, on random letters as vectors of
# eight numbers. (`kerasbook.testing.probes` asks a function for a property, and can be put to any
# model.)

# %%
if __name__ == "__main__":
    x = np.random.default_rng(2).normal(size=(2, 6, 8))
    print(probes.permutation(lambda x: attention(x, x, x)[0], x))

# %% [markdown]
# So the position must be part of the token. The number of the position itself would grow without
# bound. The Transformer uses waves: half of the units hold sines, half cosines, from quick to slow.
# For position $t$ and wave $i$, in a width $d$,
#
# $$\sin(t / 10000^{2i/d}), \qquad \cos(t / 10000^{2i/d}) .$$
#
# Each position has its own pattern, near positions have similar ones, and a move by $s$ places is
# the same rotation of each pair of sine and cosine wherever it begins: "one to the left" is
# something that a matrix can learn.


# %%
def sinusoids(position, width):
    """Returns the waves (…, width) of whole positions (…): first the sines, then the cosines."""
    rates = 10000.0 ** (-np.arange(0, width, 2) / width)  # (width / 2,)
    angles = tf.cast(position, tf.float32)[..., tf.newaxis] * rates.astype("float32")
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)


if __name__ == "__main__":
    plotting.plot_positions(sinusoids(tf.range(32), 64))

# %%
if __name__ == "__main__":
    waves = sinusoids(tf.range(6), 8).numpy()
    print(probes.permutation(lambda x: attention(x + waves, x + waves, x)[0], x))

# %% [markdown]
# With the waves added the order is visible, and the probe fails, as it should.
#
# The original puts sine and cosine in turns; ours are side by side. A matrix follows, which can put
# its rows in any order, so nothing depends on it.

# %% [markdown]
# ## The model
#
# Two towers. The encoder reads the letters, and its output is a *memory*. The decoder reads the
# sounds so far and looks at the memory, and says what comes next.

# %%
if __name__ == "__main__":
    plotting.plot_encoder_decoder()

# %% [markdown]
# Now the functions become layers, which hold weights. Keras' own `MultiHeadAttention` would do for
# training. But it cannot keep keys and values from one call to the next, which the decoding below
# wants; so the layer is made of our functions, which are proved. One dense layer makes keys and
# values together: one product instead of two.


# %%
class Attention(layers.Layer):
    """Multi-head attention of x on a memory."""

    def __init__(self, width, heads, **options):
        """Takes the width of x, of the memory and of the output; `heads` must divide it."""
        super().__init__(**options)
        if width % heads:
            raise ValueError(
                f"{heads} heads cannot share a width of {width}: take one that {heads} divides"
            )
        self.heads = heads
        self.query = layers.Dense(width, name="query")
        self.key_value = layers.Dense(2 * width, name="key_value")
        self.result = layers.Dense(width, name="result")

    def build(self, x_shape):
        """Makes the weights of the three dense layers."""
        for layer in (self.query, self.key_value, self.result):
            layer.build(x_shape)

    def keys_values(self, memory):
        """Returns the keys and values of a memory: two of (n, heads, keys, depth)."""
        keys, values = tf.split(self.key_value(memory), 2, axis=-1)
        return split_heads(keys, self.heads), split_heads(values, self.heads)

    def look(self, x, keys, values, mask=None):
        """Returns (n, queries, width), and the weights (n, heads, queries, keys)."""
        mask = None if mask is None else mask[:, tf.newaxis]
        queries = split_heads(self.query(x), self.heads)
        mixtures, weights = attention(queries, keys, values, mask)
        return self.result(join_heads(mixtures)), weights

    def call(self, x, memory, mask=None):
        """Returns the same as `look`, for x (n, queries, width) and memory (n, keys, width)."""
        return self.look(x, *self.keys_values(memory), mask)


# %% [markdown]
# A *block* is attention, and then a small dense network of two layers that takes each token by
# itself. In a decoder a second attention, on the encoder's output, stands between. Each of these
# parts adds something to the token instead of replacing it: the way around it is called a
# *residual connection*, and through it the gradient reaches the first block unchanged.
#
# Where does the normalisation go? The original has it after the sum, *post-norm*; most models of
# today have it before the part, *pre-norm*, and leave the sum alone.


# %%
def residual(x, part, norm, pre_norm=True):
    """Returns x plus what `part` makes of it, normalised before the part or after the sum."""
    return x + part(norm(x)) if pre_norm else norm(x + part(x))


class Cache(NamedTuple):
    """What a block keeps from one step to the next: four arrays (n, heads, time, depth)."""

    keys: tf.Tensor  # of all the tokens so far
    values: tf.Tensor
    memory_keys: tf.Tensor  # of the encoder's output, which stays the same
    memory_values: tf.Tensor


class Block(layers.Layer):
    """One layer of the Transformer: look at yourself, perhaps at a memory, then think."""

    def __init__(self, width, heads, cross=False, pre_norm=True, dropout=0.0, **options):
        """Takes the model's width, and whether the block looks at a memory, `cross`."""
        super().__init__(**options)
        self.pre_norm, self.heads, self.width = pre_norm, heads, width
        self.self_attention = Attention(width, heads, name="self_attention")
        self.cross_attention: Any = (
            Attention(width, heads, name="cross_attention") if cross else None
        )
        self.widen = layers.Dense(4 * width, activation="relu", name="widen")
        self.narrow = layers.Dense(width, name="narrow")
        self.norms = [
            layers.LayerNormalization(epsilon=1e-6, name=f"norm_{part}")
            for part in range(2 + cross)
        ]
        self.drop = layers.Dropout(dropout)

    def build(self, x_shape):
        """Makes the weights of all parts."""
        self.narrow.build((*x_shape[:-1], 4 * self.width))
        for layer in (self.self_attention, self.cross_attention, self.widen, *self.norms):
            if layer is not None:
                layer.build(x_shape)

    def run(self, x, look_back, look_across, training=False):
        """Returns x after the two or three parts, each with its residual connection."""
        parts = [look_back, look_across, lambda x: self.narrow(self.widen(x))]
        parts = [part for part in parts if part is not None]

        def add(x, part, norm):
            return residual(x, lambda x: self.drop(part(x), training=training), norm, self.pre_norm)

        for part, norm in zip(parts, self.norms, strict=True):
            x = add(x, part, norm)
        return x

    def call(self, x, mask=None, memory=None, memory_mask=None, training=False):
        """Returns x (n, time, width), and the weights of the last attention, on the memory if any.

        memory: (n, keys, width); masks: (n, time, time) and (n, time, keys).
        """
        weights = None

        def look_back(x):
            nonlocal weights
            y, weights = self.self_attention(x, x, mask)
            return y

        def look_across(x):
            nonlocal weights
            y, weights = self.cross_attention(x, memory, memory_mask)
            return y

        x = self.run(x, look_back, look_across if self.cross_attention else None, training)
        return x, weights

    def start(self, memory):
        """Returns the Cache before the first step."""
        nothing = tf.zeros((len(memory), self.heads, 0, self.width // self.heads), memory.dtype)
        return Cache(nothing, nothing, *self.cross_attention.keys_values(memory))

    def step(self, x, cache, memory_mask):
        """Returns x (n, 1, width) of the next token alone, and the longer cache."""

        def look_back(x):
            nonlocal cache
            keys, values = self.self_attention.keys_values(x)
            keys = tf.concat([cache.keys, keys], axis=2)
            cache = cache._replace(keys=keys, values=tf.concat([cache.values, values], axis=2))
            return self.self_attention.look(x, cache.keys, cache.values)[0]

        def look_across(x):
            keys, values = cache.memory_keys, cache.memory_values
            return self.cross_attention.look(x, keys, values, memory_mask)[0]

        return self.run(x, look_back, look_across), cache


# %% [markdown]
# `start` and `step` are for later. Here is the check of a whole block: the same built from Keras'
# layers, with the same weights, with the same masks.


# %%
def as_keras(attention):
    """Returns the weights of our Attention as Keras' layer has them: eight arrays."""
    width, heads = attention.query.units, attention.heads
    kernels = [attention.query.kernel, *tf.split(attention.key_value.kernel, 2, axis=-1)]
    biases = [attention.query.bias, *tf.split(attention.key_value.bias, 2)]
    weights = []
    for kernel, bias in zip(kernels, biases, strict=True):
        weights.append(tf.reshape(kernel, (width, heads, width // heads)))
        weights.append(tf.reshape(bias, (heads, width // heads)))
    to_output = tf.reshape(attention.result.kernel, (heads, width // heads, width))
    return [*weights, to_output, tf.identity(attention.result.bias)]


def keras_block(block, x, mask, memory, memory_mask):
    """Returns what `block` returns, computed by `layers.MultiHeadAttention` with its weights."""
    theirs = layers.MultiHeadAttention(block.heads, block.width // block.heads, dtype=x.dtype)
    theirs.build(x.shape, x.shape)

    def look(ours, memory, mask):
        options = {"attention_mask": mask}
        return lambda x: theirs.stateless_call(
            as_keras(ours), [], x, x if memory is None else memory, **options
        )[0]

    parts = [look(block.self_attention, None, mask)]
    if block.cross_attention:
        parts.append(look(block.cross_attention, memory, memory_mask))
    parts.append(lambda x: block.narrow(block.widen(x)))
    for part, norm in zip(parts, block.norms, strict=True):
        x = x + part(norm(x)) if block.pre_norm else norm(x + part(x))
    return x


def compare_block(cross=True, pre_norm=True, dtype="float64", seed=0) -> dict[str, float]:
    """Returns the largest differences to the block of Keras' layers: values, every gradient."""
    random = np.random.default_rng(seed)
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)  # of the layers inside of the block too
    block = Block(12, 3, cross, pre_norm)
    block.build((None, None, 12))
    keras.config.set_dtype_policy(policy)
    block.set_weights([random.normal(0, 0.3, w.shape) for w in block.weights])
    x, memory = (random.normal(size=(2, count, 12)).astype(dtype) for count in (5, 7))
    masks = causal_mask(5)[tf.newaxis], tf.constant(random.random((2, 5, 7)) < 0.5)
    sources = [tf.constant(x), tf.constant(memory)][: 1 + cross]
    results = []
    for function in (
        lambda *inputs: block(*inputs)[0],
        lambda *inputs: keras_block(block, *inputs),
    ):
        with tf.GradientTape() as tape:
            tape.watch(sources)
            y = function(sources[0], masks[0], sources[-1], masks[1])
            loss = tf.reduce_sum(y**3) / y.shape[-1]
        variables = [variable.value for variable in block.trainable_variables]
        results.append([y, *tape.gradient(loss, [*sources, *variables])])
    names = ["values", *("x", "memory")[: 1 + cross], *(v.path for v in block.trainable_variables)]
    return largest_differences(names, *results)


if __name__ == "__main__":
    for pre_norm in (True, False):
        worst = max(compare_block(pre_norm=pre_norm).values())
        print(f"decoder block, pre_norm={pre_norm}: {worst:.0e}")

# %% [markdown]
# Encoder and decoder are stacks of blocks on top of an embedding. An *embedding* is a table with a
# row of numbers for each symbol, learned as all else. The waves are added to it. The position is
# counted anew in every word of a row: it is the number of tokens of the same word before this one,
# and that is a sum over the mask.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class Stack(layers.Layer):
    """Encoder or decoder: tokens (n, time) → (n, time, width)."""

    def __init__(
        self,
        symbols,
        width,
        heads,
        blocks,
        causal=False,
        cross=False,
        positions=True,
        pre_norm=True,
        dropout=0.0,
        **options,
    ):
        """Takes the number of symbols, and what the blocks take; `causal` hides the future."""
        super().__init__(**options)
        self.settings = {"symbols": symbols, "width": width, "heads": heads, "blocks": blocks}
        self.settings |= {"causal": causal, "cross": cross, "positions": positions}
        self.settings |= {"pre_norm": pre_norm, "dropout": dropout}
        # On a CPU, XLA gains nothing here, and takes long to compile (see "How fast?").
        self.supports_jit = bool(tf.config.get_visible_devices("GPU"))
        self.width, self.causal, self.positions = width, causal, positions
        normal = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.embedding = layers.Embedding(symbols, width, embeddings_initializer=normal)
        self.blocks = [
            Block(width, heads, cross, pre_norm, dropout, name=f"block_{number}")
            for number in range(blocks)
        ]
        self.norm = layers.LayerNormalization(epsilon=1e-6, name="norm") if pre_norm else None
        self.drop = layers.Dropout(dropout)

    def build(self, tokens_shape):
        """Makes the weights of embedding and blocks."""
        self.embedding.build(tokens_shape)
        for layer in (*self.blocks, self.norm):
            if layer is not None:
                layer.build((*tokens_shape, self.width))

    def embed(self, tokens, positions):
        """Returns (n, time, width): the symbols' rows, and the waves of their positions."""
        x = self.embedding(tokens) * self.width**0.5  # about as large as the waves
        return x + tf.cast(sinusoids(positions, self.width), x.dtype) if self.positions else x

    def call(
        self, tokens, words=None, memory=None, memory_words=None, training=False, weights=False
    ):
        """Returns (n, time, width); with `weights`, also each block's (n, heads, time, keys)."""
        words = tf.ones_like(tokens) if words is None else words
        same = same_word(words, words)
        earlier = same & causal_mask(tf.shape(tokens)[1])
        positions = tf.reduce_sum(tf.cast(earlier, tf.int32), axis=-1) - 1
        memory_mask = None if memory is None else same_word(words, memory_words)
        x, seen = self.drop(self.embed(tokens, positions), training=training), []
        for block in self.blocks:
            mask = earlier if self.causal else same
            x, looked = block(x, mask, memory, memory_mask, training=training)
            seen.append(looked)
        x = x if self.norm is None else self.norm(x)
        return (x, seen) if weights else x

    def start(self, memory):
        """Returns the blocks' caches before the first step."""
        return [block.start(memory) for block in self.blocks]

    def step(self, tokens, position, caches, memory_mask):
        """Returns (n, width) of the next tokens (n,), and the caches with them in."""
        x, longer = self.embed(tokens[:, tf.newaxis], tf.constant([[position]])), []
        for block, cache in zip(self.blocks, caches, strict=True):
            x, cache = block.step(x, cache, memory_mask)
            longer.append(cache)
        x = x if self.norm is None else self.norm(x)
        return x[:, 0], longer

    def get_config(self):
        """Returns what `__init__` needs, so that the model can be saved and loaded."""
        return super().get_config() | self.settings


# %% [markdown]
# The encoder reads the letters, both ways. The decoder reads the sounds so far, looks back only,
# and looks at the encoder's output. A last dense layer makes 42 logits of each token: one for each
# sound. Its first weights are small, so that the untrained model finds all sounds equally likely.


# %%
def logits_layer(classes):
    """Returns the last layer: (…, width) → logits (…, classes), all near zero at first."""
    small = keras.initializers.RandomNormal(stddev=0.02)
    return layers.Dense(classes, kernel_initializer=small, name="logits")


def make_pronouncer(width=64, heads=4, blocks=2, sounds=42, letters=27, **options) -> keras.Model:
    """Returns the encoder–decoder: (letters, their words, sounds, their words) → logits.

    The inputs are whole numbers (n, time) below `letters` and below `sounds`, the numbers of their
    kinds; the logits are (n, time, sounds). `options` go to Stack.
    """
    names = ("letters", "letter_words", "before", "before_words")
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in names]
    spelt, spelt_words, before, before_words = inputs
    encoder = Stack(letters, width, heads, blocks, name="encoder", **options)
    options = {"causal": True, "cross": True} | options
    decoder = Stack(sounds, width, heads, blocks, name="decoder", **options)
    memory = encoder(spelt, spelt_words)
    said = decoder(before, before_words, memory, spelt_words)
    return keras.Model(inputs, logits_layer(sounds)(said), name="pronouncer")


if __name__ == "__main__":
    model = make_pronouncer()
    model.summary()

# %% [markdown]
# ## Several words in a row
#
# A table of 14 letters and 16 sounds is half empty: the words have 7.4 letters and 6.3 sounds on
# average. The model would work on padding half of the time. So we lay several words in one row of
# 32 places, one behind the other, and let the mask keep them apart.


# %%
def as_rows(part):
    """Returns (x, y, weight) with one word in each row: x = (letters, words, before, words)."""
    letters, before = part.x
    words = [(tokens != PAD).astype("int32") for tokens in (letters, before)]
    return (letters, words[0], before, words[1]), part.y, words[1].astype("float32")


def rows_and_offsets(lengths, room):
    """Returns for each word its row, its number there, and where its letters and sounds begin.

    lengths: (n, 2) of letters and sounds. A word goes into the first of eight open rows that has
    room for both; if none has, a new row is opened, and the oldest closed.
    """
    open_rows, places = [], []
    for row, (letters, sounds) in enumerate(lengths.tolist()):
        for place in open_rows:
            if place[2] + letters <= room and place[3] + sounds <= room:
                break
        else:
            place = [row, 0, 0, 0]
            open_rows = [*open_rows[-7:], place]
        place[1] += 1
        places.append(tuple(place))
        place[2] += letters
        place[3] += sounds
    rows, numbers, *offsets = np.array(places).T
    return np.unique(rows, return_inverse=True)[1], numbers, offsets


def pack(part, room=32):
    """Returns (x, y, weight) like `as_rows`, with several words in each row of `room` places."""
    (letters, before), after = part
    lengths = np.stack([(tokens != PAD).sum(axis=1) for tokens in (letters, before)], axis=1)
    rows, numbers, offsets = rows_and_offsets(lengths, room)

    def lay(tokens, side):
        table = np.zeros((rows.max() + 1, room), "int32")
        word, place = np.nonzero(np.arange(tokens.shape[1]) < lengths[:, side : side + 1])
        table[rows[word], offsets[side][word] + place] = tokens[word, place]
        return table

    words = [np.broadcast_to(numbers[:, np.newaxis], tokens.shape) for tokens in (letters, before)]
    x = (lay(letters, 0), lay(words[0], 0), lay(before, 1), lay(words[1], 1))
    return x, lay(after, 1), (x[3] != PAD).astype("float32")


if __name__ == "__main__":
    single, packed = as_rows(splits.train), pack(splits.train)
    for name, (x, y, weight) in {"one word a row": single, "packed": packed}.items():
        print(f"{name:15} letters {x[0].shape}, {np.mean(x[0] != PAD):.0%} full,", end=" ")
        print(f"sounds {y.shape}, {np.mean(weight):.0%} full")
    print(*("".join(LETTERS[letter] or "." for letter in row) for row in packed[0][0][:3]))

# %% [markdown]
# `weight` is 1 where there is something to say, and 0 at the padding: the loss takes no notice of
# what the model says there. A loss that is averaged over the padding too looks better than it is.
#
# ## The loss
#
# The loss is the cross-entropy of chapter 2, at every place. With *label smoothing* $s$ the target
# is not 1 for the right sound of $C$, but $1 - s + s / C$, and $s / C$ for each of the others. The
# model is then no longer rewarded for being surer and surer. CMUdict has mistakes in it, and
# names that might as well be said otherwise; to be quite sure is to be wrong there.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class SmoothedCrossEntropy(keras.losses.Loss):
    """The cross-entropy from logits with smoothed labels, a mean over the places with weight."""

    def __init__(self, smoothing=0.0, name="cross_entropy", **options):
        """Takes the share of the target that all classes have in equal parts."""
        super().__init__(name=name, reduction="mean_with_sample_weight", **options)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """Returns the loss (n, time) of class numbers (n, time) and logits (n, time, classes)."""
        log_probability = tf.nn.log_softmax(y_pred)
        right = tf.gather(log_probability, tf.cast(y_true, tf.int32), batch_dims=2)
        all_classes = tf.reduce_mean(log_probability, axis=-1)
        return -(1 - self.smoothing) * right - self.smoothing * all_classes

    def get_config(self):
        """Returns what `__init__` needs."""
        return {"smoothing": self.smoothing, "name": self.name}


def compare_smoothing(smoothing=0.1, dtype="float64") -> dict[str, float]:
    """Returns the differences to Keras' CategoricalCrossentropy: of the loss, of its gradient."""
    random = np.random.default_rng(0)
    y, logits = random.integers(0, 7, (4, 5)), random.normal(size=(4, 5, 7)).astype(dtype)
    options = {"reduction": "mean_with_sample_weight", "dtype": dtype}
    smooth = {"label_smoothing": smoothing, "from_logits": True}
    theirs = keras.losses.CategoricalCrossentropy(**smooth, **options)
    ours = SmoothedCrossEntropy(smoothing, dtype=dtype)
    weight = (random.random((4, 5)) < 0.7).astype(dtype)
    one_hot = np.eye(7, dtype=dtype)[y]
    return compare_functions(
        lambda logits: ours(y, logits, weight),
        lambda logits: theirs(one_hot, logits, weight),
        logits,
        names=("gradient of logits",),
    )


if __name__ == "__main__":
    for smoothing in (0.0, 0.1, 0.5):
        print(smoothing, compare_smoothing(smoothing))

# %% [markdown]
# The accuracy that we watch in training is the share of sounds that are right, given the right ones
# before. It too must leave the padding out.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class TokenAccuracy(keras.metrics.Mean):
    """The share of places where the largest logit is the target's, padding left out."""

    def __init__(self, name="accuracy", **options):
        """Takes a name."""
        super().__init__(name=name, **options)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts y_true (n, time) and logits (n, time, classes)."""
        y_true = tf.cast(y_true, tf.int64)
        right = tf.cast(tf.argmax(y_pred, axis=-1) == y_true, self.dtype)
        super().update_state(right, sample_weight=tf.cast(y_true != PAD, self.dtype))


# %% [markdown]
# ## The learning rate
#
# At first the attention is spread over everything, and all its gradients are noise. A large step
# then does harm that takes long to undo. So the learning rate climbs from zero, for a while, and
# falls thereafter: a *warm-up*. The original takes, at step $t$, for a width $d$ and $w$ steps,
#
# $$d^{-1/2}\, \min(t^{-1/2},\; t\, w^{-3/2}) .$$
#
# We climb in a straight line and fall along the half cosine of chapter 3, to zero at the last step.


# %%
def warm_up_rate(step, width, warm_up):
    """Returns the original's learning rate at steps (…) counted from 1."""
    step = tf.cast(step, tf.float32)
    return width**-0.5 * tf.minimum(step**-0.5, step * warm_up**-1.5)


def warm_up_cosine(step, learning_rate, warm_up, steps):
    """Returns the learning rate at steps (…) from 0: a line up, then half a cosine to zero."""
    step = tf.cast(step, tf.float32)
    done = tf.clip_by_value((step - warm_up) / (steps - warm_up), 0.0, 1.0)
    fall = learning_rate * (1 + tf.cos(np.pi * done)) / 2
    return tf.where(step < warm_up, learning_rate * step / warm_up, fall)


def make_schedule(learning_rate, examples, batch_size, epochs):
    """Returns Keras' schedule of the same kind: a tenth of all steps, at most 300, are warm-up."""
    steps = epochs * -(-examples // batch_size)
    warm_up = max(1, min(300, steps // 10))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )


def plot_rates(schedule):
    """Returns the Axes with the learning rate by step, beside the original's."""
    warm_up, steps = schedule.warmup_steps, schedule.warmup_steps + schedule.decay_steps
    at = np.unique(np.linspace(0, steps, 200).astype(int))
    original = warm_up_rate(np.maximum(at, 1), 1, warm_up).numpy()
    original *= schedule.warmup_target / original.max()
    rates = {"line and half cosine": [float(schedule(step)) for step in at]}
    rates["the original's, to scale"] = original
    return plotting.plot_lines(rates, x=at, x_label="step", y_label="learning rate")


if __name__ == "__main__":
    schedule = make_schedule(0.004, examples=27600, batch_size=24, epochs=1)
    warm_up, steps = schedule.warmup_steps, schedule.warmup_steps + schedule.decay_steps
    at = tf.range(0, steps, 20)
    by_hand = warm_up_cosine(at, 0.004, warm_up, steps)
    theirs = [float(schedule(step)) for step in at]
    print(f"by hand and Keras' CosineDecay differ by {np.abs(by_hand - theirs).max():.0e}")
    plot_rates(schedule)

# %% [markdown]
# ## Five probes
#
# A Transformer with a mistake in it trains well, often better than a right one: whoever reads the
# future has an excellent loss. So before we train, we ask the untrained model for five properties.
# `kerasbook.testing.probes` holds the questions; they can be put to any model.


# %%
def words_of(tokens):
    """Returns the word numbers of rows with one word each: 1, and 0 at the padding."""
    return tf.cast(tf.convert_to_tensor(tokens) != PAD, tf.int32)


def as_speaker(model, letters):
    """Returns the function: sounds so far (n, time) → logits, for fixed letters."""
    return lambda before: model((letters, words_of(letters), before, tf.ones_like(before)))


def as_reader(model):
    """Returns the function: letters (n, time) → the encoder's output."""
    return lambda letters: model.get_layer("encoder")(letters, words_of(letters))


if __name__ == "__main__":
    x, y, weight = tf.nest.map_structure(lambda a: tf.constant(a[:8]), as_rows(splits.train))
    letters, _, before, _ = x
    short = tf.maximum(letters[:, :5], 1)  # five letters each, no padding
    shuffled = Stack(len(LETTERS), 64, 4, blocks=2, positions=False)
    loss_fn = SmoothedCrossEntropy()
    print(probes.causality(as_speaker(model, letters), before))
    print(probes.padding(as_reader(model), short))
    print(probes.permutation(shuffled, short))
    print(probes.start_loss(model, x, y))
    print(probes.overfits(model, x, y, lambda y, y_pred: loss_fn(y, y_pred, weight)))

# %% [markdown]
# *Causality*: for every place, other sounds behind it change nothing before it. *Padding*: more
# zeros at the end change nothing. *Permutation*: an encoder without waves sees a bag of letters.
# *Loss at the start*: an untrained model spreads its bets over 42 sounds, so the loss is about
# $\ln 42 = 3.74$. *Overfitting*: it can learn eight words by heart, so the gradient arrives.
#
# A probe is worth something only if it fails where it should. We break the model on purpose.

# %%
if __name__ == "__main__":
    peeping, loud = make_pronouncer(causal=False), make_pronouncer()
    loud.get_layer("logits").kernel.assign(loud.get_layer("logits").kernel * 100)
    one_word = tf.nest.map_structure(lambda a: tf.repeat(a[:1], 8, axis=0), x)
    print(probes.causality(as_speaker(peeping, letters), before))  # no causal mask
    print(probes.padding(shuffled, short))  # nobody says which letters are padding
    print(probes.permutation(as_reader(model), short))  # with waves
    print(probes.start_loss(loud, x, y))  # large first weights
    print(probes.overfits(model, one_word, y, loss_fn, steps=50))  # one question, eight answers

# %% [markdown]
# All five fail, as they should.
#
# ## Saying a word: greedily
#
# In training the decoder got the right sounds so far. Now there are none: it gets its own. Begin
# with `<start>`, take the likeliest sound, append it, ask again, until it says `<end>`.
#
# To ask again with all sounds so far would compute the same over and over: the keys and values of
# the earlier sounds never change, for they look back only. So every block keeps them, in its
# *cache*, and a step computes one token. This is what `start` and `step` are for.


# %%
def begin(model, letters):
    """Returns the caches of the decoder, and the mask (n, 1, letters) of what it may look at."""
    letters = tf.convert_to_tensor(letters)
    words = words_of(letters)
    memory = model.get_layer("encoder")(letters, words)
    return model.get_layer("decoder").start(memory), (words == 1)[:, tf.newaxis]


def next_logits(model, tokens, position, caches, mask):
    """Returns the logits (n, sounds) after the tokens (n,) at a position, and the caches."""
    x, caches = model.get_layer("decoder").step(tokens, position, caches, mask)
    return model.get_layer("logits")(x), caches


def greedy(model, letters, longest=16):
    """Returns the sounds (n, longest) int32 of letters (n, time), the likeliest at every step."""
    caches, mask = begin(model, letters)
    token, said = tf.fill([len(letters)], START), []
    ended = token == END
    for position in range(longest):
        logits, caches = next_logits(model, token, position, caches, mask)
        token = tf.where(ended, PAD, tf.argmax(logits, axis=-1, output_type=tf.int32))
        ended |= token == END
        said.append(token)
    return tf.stack(said, axis=1).numpy()


# %% [markdown]
# Is the cache right? The model without a cache, given what was said, must give the same logits.


# %%
def compare_cache(model, letters) -> float:
    """Returns the largest difference between the logits with a cache and those without."""
    said = greedy(model, letters)
    before = np.concatenate([np.full((len(said), 1), START), said[:, :-1]], axis=1).astype("int32")
    at_once = as_speaker(model, tf.constant(letters))(tf.constant(before))
    caches, mask = begin(model, letters)
    worst = 0.0
    for position in range(said.shape[1]):
        logits, caches = next_logits(model, before[:, position], position, caches, mask)
        worst = max(worst, float(np.abs(logits - at_once[:, position]).max()))
    return worst


if __name__ == "__main__":
    print(f"with and without a cache: {compare_cache(model, splits.test.x[0][:100]):.0e}")

# %% [markdown]
# ## Saying a word: by beam
#
# The likeliest sound now may lead to an unlikely word. *Beam search* keeps the `beams` likeliest
# beginnings. In each step every one of them is continued by every sound, and of all these the
# likeliest are kept. The score of a beginning is the sum of the logarithms of its probabilities.
# A finished word stays as it is. With one beam it is the greedy search; with as many as there are
# words, it finds the best.


# %%
def beam_search(model, letters, beams=4, longest=16):
    """Returns the sounds (n, longest) int32 and their log-probability (n,): the best of `beams`."""
    caches, mask = begin(model, letters)
    caches, mask = tf.nest.map_structure(lambda a: tf.repeat(a, beams, axis=0), (caches, mask))
    n = len(letters)
    scores = tf.tile([[0.0] + [-np.inf] * (beams - 1)], (n, 1))  # (n, beams): one beginning
    said = tf.zeros((n * beams, 0), tf.int32)
    token, first = tf.fill([n * beams], START), beams * tf.range(n)[:, tf.newaxis]
    ended = token == END
    for position in range(longest):
        logits, caches = next_logits(model, token, position, caches, mask)
        sounds = logits.shape[-1]
        only_padding = tf.where(tf.range(sounds) == PAD, 0.0, -np.inf)
        steps = tf.where(ended[:, tf.newaxis], only_padding, tf.nn.log_softmax(logits))
        totals = scores[:, :, tf.newaxis] + tf.reshape(steps, (n, beams, sounds))
        scores, chosen = tf.math.top_k(tf.reshape(totals, (n, beams * sounds)), beams)
        rows = tf.reshape(first + chosen // sounds, (-1,))  # which beginning is continued
        token = tf.reshape(chosen % sounds, (-1,))
        ended = tf.gather(ended, rows) | (token == END)
        caches = tf.nest.map_structure(lambda a, rows=rows: tf.gather(a, rows), caches)
        said = tf.concat([tf.gather(said, rows), token[:, tf.newaxis]], axis=1)
    return tf.reshape(said, (n, beams, longest))[:, 0].numpy(), scores[:, 0].numpy()


# %% [markdown]
# ## How wrong is a word?
#
# If the model says one sound too many at the beginning, all later ones stand at another place, and
# yet only one is wrong. So we count *edits*: the fewest insertions, deletions and replacements that
# make one row of sounds the other. The distance of two beginnings follows from those of shorter
# ones; a table of them is filled row by row.


# %%
def edit_distance(first, second):
    """Returns the fewest insertions, deletions and replacements that turn `first` into `second`."""
    distances = list(range(len(second) + 1))  # from nothing to the first j of second
    for i, a in enumerate(first, start=1):
        row = [i]
        for j, b in enumerate(second, start=1):
            replaced = distances[j - 1] + (a != b)
            row.append(min(replaced, distances[j] + 1, row[-1] + 1))
        distances = row
    return distances[-1]


def sounds_of(row):
    """Returns the sounds of a row as a list, without `<end>` and what follows."""
    row = list(row)
    return row[: row.index(END)] if END in row else [sound for sound in row if sound != PAD]


def error_rates(said, after) -> dict[str, float]:
    """Returns the phoneme error rate, edits per sound of `after`, and the share of wrong words."""
    pairs = [(sounds_of(a), sounds_of(b)) for a, b in zip(said, after, strict=True)]
    edits = [edit_distance(a, b) for a, b in pairs]
    sounds = sum(len(b) for _, b in pairs)
    wrong = sum(distance > 0 for distance in edits)
    return {"phoneme_error": float(sum(edits) / sounds), "word_error": float(wrong / len(edits))}


if __name__ == "__main__":
    print(edit_distance("kitten", "sitting"))

# %% [markdown]
# ## A model that writes
#
# Take the encoder away, and the cross-attention with it. What is left, a stack of causal blocks,
# can go on with any text: a *language model*. Its data are windows of 64 characters out of plays,
# and its targets are the same characters, one place further.


# %%
def make_writer(characters, width=128, heads=4, blocks=2, **options) -> keras.Model:
    """Returns the language model: characters (n, time) → logits (n, time, characters)."""
    text = keras.Input((None,), dtype="int32", name="text")
    decoder = Stack(characters, width, heads, blocks, causal=True, name="decoder", **options)
    return keras.Model(text, logits_layer(characters)(decoder(text)), name="writer")


# %% [markdown]
# The likeliest character, again and again, soon runs in circles. So one *samples*: draws the next
# character by its probability. Three knobs say how boldly. The *temperature* divides the logits:
# below 1 the likely becomes likelier. *Top-k* keeps the $k$ likeliest characters only, and *top-p*
# the fewest whose probabilities make up $p$: few where the model is sure, many where it is not.


# %%
def keep_top_k(logits, k):
    """Returns logits (…, classes) with −∞ for all but the k largest."""
    smallest = tf.math.top_k(logits, min(k, logits.shape[-1])).values[..., -1:]
    return tf.where(logits < smallest, -np.inf, logits)


def keep_top_p(logits, p):
    """Returns logits (…, classes) with −∞ for all but the fewest with probability p in sum."""
    ordered = tf.sort(logits, direction="DESCENDING")
    sum_before = tf.cumsum(tf.nn.softmax(ordered), axis=-1, exclusive=True)
    kept = tf.where((sum_before < p) | (sum_before == 0), ordered, np.inf)  # the first always
    return tf.where(logits < tf.reduce_min(kept, axis=-1, keepdims=True), -np.inf, logits)


def draw(logits, random, temperature=1.0, top_k=None, top_p=None):
    """Returns class numbers (n,) drawn from logits (n, classes); temperature 0 is greedy."""
    if temperature == 0:
        return tf.argmax(logits, axis=-1, output_type=tf.int32)
    logits = logits / temperature
    logits = keep_top_k(logits, top_k) if top_k else logits
    logits = keep_top_p(logits, top_p) if top_p else logits
    seed = random.integers(2**31, size=2)
    return tf.random.stateless_categorical(logits, 1, seed, dtype=tf.int32)[:, 0]


def write(model, beginning, characters, count=200, window=64, seed=0, **how):
    """Returns `beginning` and `count` more characters; `how` goes to `draw`."""
    random = np.random.default_rng(seed)
    text = encode_text(beginning, characters)[np.newaxis]
    forward = tf.function(model, input_signature=[tf.TensorSpec((1, None), tf.int32)])
    for _ in range(count):
        logits = forward(tf.constant(text[:, -window:]))[:, -1]
        text = np.concatenate([text, draw(logits, random, **how)[:, np.newaxis]], axis=1)
    return decode_text(text[0], characters)


# %% [markdown]
# The model has seen no position beyond the 64th, so it is given the last 64 characters only. When
# they move on, every position changes, and a cache would be of no use.
#
# ## A model that translates
#
# The encoder–decoder that reads letters and says sounds can as well read Spanish and say English.
# What are the symbols then? Whole words are too many, and the next text has words that this one did
# not have. Characters are few, but make long rows. Between the two lie *pieces* of words. Begin
# with characters. Again and again take the commonest pair of neighbours and make one piece of it,
# until there are 2,000. Common words become one piece, rare ones several, and none is unknown.
# (`kerasbook.data.subwords` does it, in a few seconds, and from the training part alone.)

# %%
if __name__ == "__main__":
    verses = load_verses()
    print(verses)
    for row in (verses.test.x[0][0], verses.test.y[0]):
        text = decode(row, verses.classes)
        print(text, split_pieces(text, verses.classes), sep="\n")

# %% [markdown]
# How good is a translation? There are many good ones, and only one stands beside it. *chrF* asks
# which runs of one to six characters the two have in common, blanks left out. Its *precision* is
# the share of the runs of ours that are in the other too, its *recall* the share of the runs of the
# other that are in ours, each a mean over the six lengths. Recall counts twice as much:
# $5 p r / (4 p + r)$. It is 1 for the same text. But no text has 0: English verses have runs in
# common whatever they say. So we state beside it what the right translation of *another* verse
# would get.


# %%
def runs(text, length):
    """Returns how often each run of so many characters occurs in a text, blanks left out."""
    text = "".join(text.split())
    return Counter(text[start : start + length] for start in range(len(text) - length + 1))


def chrf(said, expected, longest=6):
    """Returns the chrF score, 0 to 1, of the texts `said` beside those `expected` (Popović 2015).

    The runs of all texts are counted together; a length of which there are none is left out.
    """
    precisions, recalls = [], []
    for length in range(1, longest + 1):
        pairs = [(runs(a, length), runs(b, length)) for a, b in zip(said, expected, strict=True)]
        common = sum((a & b).total() for a, b in pairs)
        ours, theirs = (sum(counts.total() for counts in side) for side in zip(*pairs, strict=True))
        if ours and theirs:
            precisions.append(common / ours)
            recalls.append(common / theirs)
    precision, recall = np.mean(precisions or [0]), np.mean(recalls or [0])
    return float(5 * precision * recall / max(4 * precision + recall, 1e-9))


def translate(model, source, pieces):
    """Returns the texts that the model makes of rows (n, time), greedily."""
    return [decode(row, pieces) for row in greedy(model, source, longest=source.shape[1])]


if __name__ == "__main__":
    for said in ("And God said: let there be light!", "He said nothing at all to them."):
        print(f"{chrf([said], ['God said, “Let there be light.”']):.2f}", said)

# %% [markdown]
# ## Result
#
# `main` trains one of the three. All use the same loss, the same loop, the same schedule. What a
# task has of its own are its data, its model, and how it is judged.


# %%
def attention_maps(model, word):
    """Returns what was said, and the weights (heads, sounds, letters) of the last block."""
    letters = encode_letters([word])[:, : len(word)]
    said = [*sounds_of(greedy(model, letters)[0]), END]
    before = np.array([[START, *said[:-1]]], "int32")
    words = np.ones_like(letters), np.ones_like(before)
    memory = model.get_layer("encoder")(letters, words[0])
    _, seen = model.get_layer("decoder")(before, words[1], memory, words[0], weights=True)
    return said, seen[-1][0].numpy()


def plot_word(model, word, sounds):
    """Returns the Axes (heads,): where the decoder looks while it says a word."""
    said, weights = attention_maps(model, word)
    names = [sounds[sound] for sound in said]
    return plotting.plot_attention(weights, names, list(word), "says", "looks at")


def losses(model, splits, rows=tuple) -> dict[str, dict[str, float]]:
    """Returns loss and accuracy, by part; `rows` makes (x, y) or (x, y, weight) of a part."""
    options = {"metrics": [TokenAccuracy()], "batch_size": 250, "loss_fn": SmoothedCrossEntropy()}
    parts = {"validation": splits.validation, "test": splits.test}
    return {name: evaluate(model, rows(part), **options) for name, part in parts.items()}


def judge_pronouncer(model, splits):
    """Returns the scores, by part: error rates too, of the test also by beam; and a picture."""
    scores = losses(model, splits, as_rows)
    for name, values in scores.items():
        part = getattr(splits, name)
        values |= error_rates(greedy(model, part.x[0]), part.y)
    by_beam = error_rates(beam_search(model, splits.test.x[0])[0], splits.test.y)
    scores["test"] |= {f"beam_{name}": value for name, value in by_beam.items()}
    return scores, {"attention": plot_word(model, "thoughtfully", splits.classes)}


def judge_writer(model, splits):
    """Returns the scores, by part, and no picture; prints what the model writes."""
    window = splits.train.x.shape[1]
    print(write(model, "KING.\n", splits.classes, window=window, temperature=0.8))
    return losses(model, splits), {}


def judge_translator(model, splits, shown=4):
    """Returns the scores, by part: chrF too; and no picture; prints the first translations."""
    scores, pieces = losses(model, splits, as_rows), splits.classes
    for name, values in scores.items():
        source, after = getattr(splits, name).x[0], getattr(splits, name).y
        said, right = translate(model, source, pieces), [decode(row, pieces) for row in after]
        values |= {"chrf": chrf(said, right), "chrf_of_another": chrf(right[1:], right[:-1])}
        if name == "test":
            for row, *texts in zip(source[:shown], said, right, strict=False):
                print(decode(row, pieces), f"  says:  {texts[0]}", f"  right: {texts[1]}", sep="\n")
    return scores, {}


# %%
class Task(NamedTuple):
    """What a task has of its own."""

    datasets: tuple[str, ...]  # that suit it, the embedded one first
    epochs: int
    batch_size: int
    width: int
    make_model: Callable[..., keras.Model]  # (number of classes, **options)
    rows: Callable  # a part → what the model is trained on
    judge: Callable  # (model, splits) → scores by part, pictures


TASKS = {
    "pronunciation": Task(
        datasets=("cmudict",),
        epochs=1,
        batch_size=24,
        width=64,
        make_model=lambda sounds, **options: make_pronouncer(sounds=sounds, **options),
        rows=pack,
        judge=judge_pronouncer,
    ),
    "language": Task(
        datasets=("shakespeare", "tiny_shakespeare"),
        epochs=2,
        batch_size=24,
        width=128,
        make_model=make_writer,
        rows=tuple,
        judge=judge_writer,
    ),
    "translation": Task(
        datasets=("verses", "ted_hrlr_translate"),
        epochs=3,
        batch_size=12,
        width=128,
        make_model=lambda pieces, **options: make_pronouncer(
            sounds=pieces, letters=pieces, **options
        ),
        rows=lambda part: pack(part, room=64),
        judge=judge_translator,
    ),
}


def task_and_dataset(task, dataset) -> tuple[str, str]:
    """Returns both names, each from the other where it is None; ValueError if they do not fit."""
    if task is None:
        suited = [name for name in TASKS if dataset in TASKS[name].datasets]
        task = suited[0] if suited else "pronunciation"
    dataset = dataset or TASKS[task].datasets[0]
    if dataset not in TASKS[task].datasets:
        known = " or ".join(TASKS[task].datasets)
        raise ValueError(f"the task {task} takes the data set {known}, not {dataset}")
    return task, dataset


# %%
ABOUT = {
    "datasets": ["cmudict", "shakespeare", "verses", "tiny_shakespeare", "ted_hrlr_translate"],
    "headline": ["test", "beam_phoneme_error"],
    "bounds": {"dropout": [0, 0.999]},
    "minutes": 2,
    "runs": ["", "--task language", "--task translation"],
}


def main(
    task: Literal["pronunciation", "language", "translation"] | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float = 0.004,
    width: int | None = None,
    heads: int = 4,
    blocks: int = 2,
    dropout: float = 0.0,
    label_smoothing: float = 0.0,
    seed: int = 0,
    dataset: Literal["cmudict", "shakespeare", "tiny_shakespeare", "verses", "ted_hrlr_translate"]
    | None = None,
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a Transformer to say English words, to write like Shakespeare, or to translate.

    Args:
        task: pronunciation, if neither this nor a data set is named
        epochs: passes over the training part; else 1 for pronunciation, 2 for language, 3
        batch_size: rows per step; else 24, for translation 12
        learning_rate: of Adam after the warm-up; it falls to zero along half a cosine
        width: numbers per token; else 64 for pronunciation, 128
        heads: of each attention
        blocks: of the encoder and of the decoder
        dropout: share of what each part adds to a token that is dropped
        label_smoothing: share of the target that all classes have in equal parts
        seed: of the first weights, the shuffling and the dropout
        dataset: cmudict, shakespeare or verses by the task; the others are of TensorFlow Datasets
        examples: use the first so many examples of each part
        fit_options: handed on to kerasbook.training.fit
    """
    one_thread_per_operation()  # faster on two cores, see "How fast?"
    keras.utils.set_random_seed(seed)
    task_name, dataset_name = task_and_dataset(task, dataset)
    own = TASKS[task_name]
    splits = load(dataset_name).take(examples)
    print(splits)
    epochs, batch_size = epochs or own.epochs, batch_size or own.batch_size
    width = width or own.width
    options = {"width": width, "heads": heads, "blocks": blocks, "dropout": dropout}
    model = own.make_model(len(splits.classes), **options)
    model.summary()

    train, validation = own.rows(splits.train), own.rows(splits.validation)
    full = max(1, len(train[1]) // batch_size) * batch_size  # a short last batch has another shape
    train = tf.nest.map_structure(lambda a: a[:full], train)  # and would be compiled by itself
    schedule = make_schedule(learning_rate, len(train[1]), batch_size, epochs)
    history = fit(
        model,
        train,
        loss_fn=SmoothedCrossEntropy(label_smoothing),
        optimizer=keras.optimizers.Adam(schedule, beta_2=0.98),
        metrics=[TokenAccuracy()],
        epochs=epochs,
        batch_size=batch_size,
        validation_data=validation,
        seed=seed,
        **fit_options,
    )
    scores, figures = own.judge(model, splits)
    figures |= {"history": plotting.plot_history(history), "learning_rate": plot_rates(schedule)}
    figures["positions"] = plotting.plot_positions(sinusoids(tf.range(32), width))
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main(epochs=3, examples=15_000)  # `python -m kerasbook.chapter6` takes all words
    plt.close("all")  # the pictures follow one by one
    print(result.scores["test"])

# %%
if __name__ == "__main__":
    result.figures["history"][0].figure

# %% [markdown]
# (With all words, over five seeds, the phoneme error on the test part was 0.138 ± 0.002, and 0.133
# ± 0.002 with beam search.)
#
# The phoneme error is the one to look at: edits per sound. The word error counts a word as wrong
# for a single sound. Both are taken with the model's own sounds as input, and so they are worse
# than the accuracy in training suggests: one mistake misleads what follows.

# %%
if __name__ == "__main__":
    model, (x, y) = result.model, result.splits.test
    said = greedy(model, x[0][:12])
    for word, ours, theirs in zip(x[0], said, y, strict=False):
        names = [" ".join(splits.classes[s] for s in sounds_of(row)) for row in (ours, theirs)]
        print(f"{spelling(word):14} {names[0]:30} {'' if names[0] == names[1] else names[1]}")

# %% [markdown]
# The third column is CMUdict's answer where it is another one.
#
# Where does the decoder look? Each head of the last block, while the model says one word: a row for
# each sound, a column for each letter.

# %%
if __name__ == "__main__":
    plot_word(model, "thoughtfully", splits.classes)

# %% [markdown]
# Nobody told the model which letters make which sound; the pairs in CMUdict are whole words. It has
# found out, for the sound follows the letters from top left to bottom right. Which head does what
# changes with the seed.
#
# Words that are no words are said, too:

# %%
if __name__ == "__main__":
    made_up = ["blick", "transformer", "gradientia", "kerasbook"]
    for word, row in zip(made_up, greedy(model, encode_letters(made_up)), strict=True):
        print(f"{word:14}", *(splits.classes[sound] for sound in sounds_of(row)))

# %% [markdown]
# And the model that writes, on a small scale. `--task language` takes all six plays and a wider
# model: there the validation loss was 1.752 ± 0.009 nats per character, over five seeds.

# %%
if __name__ == "__main__":
    plays = load("shakespeare").take(2000)
    writer = make_writer(len(plays.classes), width=64)
    options = {"loss_fn": SmoothedCrossEntropy(), "batch_size": 64, "progress": "none"}
    optimizer = keras.optimizers.Adam(make_schedule(0.003, 2000, 64, epochs=3))
    print(fit(writer, tuple(plays.train), optimizer=optimizer, epochs=3, **options).last())
    for how in ({"temperature": 0}, {"temperature": 0.7}, {"temperature": 1.0, "top_p": 0.9}):
        print(how, repr(write(writer, "The ", plays.classes, count=60, **how)))

# %% [markdown]
# At temperature 0 it goes round in circles; the bolder it draws, the more often it misspells.
#
# The third task wants a program of its own: `--task translation` makes three passes over 10,000
# verses, and prints four of the test part with what the model makes of them. With seed 0 its chrF,
# the share of runs of letters that it has in common with the right translation, was 0.28, where the
# translation of another verse has 0.16. That is little, for models that translate well have seen
# millions of sentences. `--dataset ted_hrlr_translate` has five times as many, from talks, in
# Portuguese.
#
# ## How fast?
#
# Nearly all the arithmetic is matrix products, and a machine has a highest speed for these. A
# weight of a dense layer makes 2 operations per token on the way forward, and twice as many on the
# way back. So 6 operations per weight and token; in each attention, for every token and key, 12 per
# unit of the width.


# %% tags=["timing"]
def step_operations(model, rows, time):
    """Returns the operations of one training step's matrix products, for tokens (rows, time)."""
    kernels = [w for w in model.trainable_variables if w.name == "kernel"]
    attentions = [w for w in kernels if "result" in w.path]
    dense = sum(int(np.prod(w.shape)) for w in kernels)
    return 6 * rows * time * dense + 12 * rows * time**2 * sum(w.shape[-1] for w in attentions)


def best_seconds(function, repeats=10):
    """Returns the shortest time that a call takes, after a first one that does not count."""
    function()
    seconds = []
    for _ in range(repeats):
        started = perf_counter()
        function()
        seconds.append(perf_counter() - started)
    return min(seconds)


def measure_speed(model, rows=64, time=64) -> dict[str, float]:
    """Returns milliseconds per training step, and its share of the machine's product speed."""
    symbols = model.output_shape[-1]
    tokens = tf.random.uniform((rows, time), 1, min(symbols, 27), tf.int32)
    x = tokens if len(model.inputs) == 1 else (tokens, tf.ones_like(tokens)) * 2
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, SmoothedCrossEntropy(), optimizer)
    step = tf.function(step, autograph=False)
    a, b = tf.random.normal((4096, 512)), tf.random.normal((512, 512))
    product = tf.function(lambda: tf.reduce_sum(a @ b), autograph=False)
    fastest = 2 * 4096 * 512 * 512 / best_seconds(lambda: product().numpy())
    seconds = best_seconds(lambda: step(x, tokens)[0].numpy())
    share = step_operations(model, rows, time) / seconds / fastest
    return {"milliseconds": 1000 * seconds, "share": share, "gigaflops": fastest / 1e9}


if __name__ == "__main__":
    for name, model in {"pronouncer": make_pronouncer(), "writer": make_writer(77)}.items():
        speed = measure_speed(model)
        print(f"{name:10} {speed['milliseconds']:.0f} ms a step, {speed['share']:.0%} of the speed")

# %% [markdown]
# The rest goes into what is done number by number. It grows with the width, the products with its
# square, so that a wider model comes nearer to the highest speed. For the model of
# `python -m kerasbook.bench transformer`, TensorFlow's profiler divides the operations' time so
# (each operation on both cores, and other programs were running: take the shares as rough):
#
# | | share |
# |---|---|
# | products of the dense layers | 52 % |
# | products of the attention | 9 % |
# | multiplying number by number | 10 % |
# | adding biases, and their gradients | 8 % |
# | other sums | 6 % |
# | moving the heads' axes to and fro | 5 % |
# | softmax, ReLU and all the rest | 11 % |
#
# So 60 % are products, and no other kind has more than a tenth. PyTorch does the attention with
# products, softmax and all in one operation forwards and one back; the README's table has its time
# beside ours. XLA would fuse many of our small operations. On two cores it gained nothing: 118 ms a
# step against 119. And compiling takes its time; so `Stack` says that XLA is not for it on a CPU.
#
# Something else does help on two cores. TensorFlow shares each operation out among the cores, and
# waits at its end. In a Transformer many operations need not wait for each other. So `main` gives
# each one thread, which lets two run side by side; [another page](speed.ipynb) counts
# what that saves. In a notebook it is too late for it: TensorFlow has begun to compute.
#
# ## What the articles got wrong here
#
# One article has a Transformer in twenty lines, and five mistakes. Each is small, and four of the
# five say nothing when they are made.
#
# *The vocabulary's size is the width.* The article has 100 words and gives 100 as the width of the
# model, with eight heads. 100 is not divisible by 8. Here there is an error at once; the cure is an
# embedding of a width that the heads divide.

# %%
if __name__ == "__main__":
    try:
        Attention(100, 8)
    except ValueError as error:
        print(error)

# %% [markdown]
# *The number of heads is given as the number of layers.* All three are whole numbers in a row, so
# nobody complains: the model has eight blocks and not six. Give such arguments by name.

# %%
if __name__ == "__main__":
    for heads, blocks in ((8, 6), (8, 8)):
        stack = Stack(100, 64, heads=heads, blocks=blocks)
        stack.build((None, None))
        print(f"{heads} heads, {blocks} blocks: {stack.count_params():,} weights")

# %% [markdown]
# *No embedding, no positions, no logits.* Without positions the order of the letters is invisible,
# as the probe shows; with them, it is not.

# %%
if __name__ == "__main__":
    for positions in (False, True):
        reader = Stack(len(LETTERS), 64, 4, blocks=2, positions=positions)
        print(f"positions={positions}:", probes.permutation(reader, short))

# %% [markdown]
# *Memory and mask change places, and no causal mask is made.* The decoder may read the future. What
# it is to say next stands there. The probe finds it before anything is trained.

# %%
if __name__ == "__main__":
    for causal in (False, True):
        speaker = make_pronouncer(causal=causal)
        print(f"causal={causal}:", probes.causality(as_speaker(speaker, letters), before))

# %% [markdown]
# *The targets go in unshifted.* Then the decoder needs no more than to copy what it is given. The
# accuracy in training is excellent. When the model must speak by itself, it has nothing to copy.


# %%
def compare_shift(examples=8000, epochs=3) -> dict[str, dict[str, float]]:
    """Returns accuracy and phoneme error of a small model, trained with and without the shift."""
    splits = load_cmudict().take(examples)
    results = {}
    for name in ("shifted", "unshifted"):
        keras.utils.set_random_seed(0)
        model = make_pronouncer(width=48, blocks=1, sounds=len(splits.classes))
        (letters, letter_words, before, before_words), after, weight = pack(splits.train)
        before = before if name == "shifted" else after
        history = fit(
            model,
            ((letters, letter_words, before, before_words), after, weight),
            loss_fn=SmoothedCrossEntropy(),
            optimizer=keras.optimizers.Adam(0.004),
            metrics=[TokenAccuracy()],
            epochs=epochs,
            batch_size=32,
            progress="none",
        )
        said = greedy(model, splits.test.x[0][:300])
        errors = error_rates(said, splits.test.y[:300])
        results[name] = {"accuracy": history.last()["accuracy"], **errors}
    return results


if __name__ == "__main__":
    for name, scores in compare_shift().items():
        print(f"{name:10}", {key: round(value, 3) for key, value in scores.items()})

# %% [markdown]
# ## What to try
#
# - `--label-smoothing 0.1`: what happens to the loss, what to the errors?
# - `--blocks 1` and `--blocks 4`; `--width 32` and `--width 128`, each for the same time.
# - Train with `pre_norm=False` in `make_pronouncer`, with the same learning rate, and with a tenth.
# - Take the warm-up away. At which learning rate does the training fail?
# - Write names of your own into `encode_letters`. What does the model make of *Keira*, of *Xhosa*?
# - Print the attention maps of the first block. Does it look at the same letters?
# - `--task language --dropout 0.1`: which of the two curves changes?
# - `--task translation --epochs 10`: how far does chrF climb? When does the validation loss turn?

# %% [markdown]
# ## Exercises
#
# Eight exercises go with this chapter. `kerasbook start DIR` copies their stubs, and the notebooks,
# into a folder; `kerasbook check` says which of your answers are right, and what to look at in the
# others.
#
# ## Where to go next
#
# Here the six chapters end that build a model from its formula. `kerasbook verify` compares all
# that was built by hand with Keras, and `errata.ipynb` has the mistakes of all the
# articles in one place, each beside what is right.
