# %% [markdown]
"""
# Chapter 6. The Transformer

A recurrent network reads one symbol after another, and carries what it has read in a state of fixed
size. The Transformer reads all symbols at once, and lets each look at all others. How does a symbol
know where to look? It asks: each symbol makes a question, each offers a key, and where question and
key agree, much is taken over. That is *attention*.

After this chapter you can

- write attention with any mask, and prove it equal to Keras';
- build a Transformer that writes, character by character, after six plays of Shakespeare;
- tell by a probe whether a model peeps into the future.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter6`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter6")

# %% tags=["hide-input"]
from typing import Literal

from kerasbook import plotting
from kerasbook.data import load, load_shakespeare
from kerasbook.data.shakespeare import decode_text, encode_text
from kerasbook.runner import Result
from kerasbook.testing import probes
from kerasbook.testing.compare import compare_functions, largest_differences
from kerasbook.training import evaluate, fit
from kerasbook.training.devices import one_thread_per_operation

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

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
# ## The causal mask
#
# A model that writes must not see what it is to predict. The *causal* mask lets place $i$ look at
# the places $j \le i$ only: a triangle. Here are the weights from above once more, with this mask.

# %%
if __name__ == "__main__":
    plotting.plot_attention_steps(*example, mask=np.tri(4))


# %%
def causal_mask(count):
    """Returns (count, count): True where the key is not after the query."""
    places = tf.range(count)
    return places[:, tf.newaxis] >= places


# %% [markdown]
# ## Several heads
#
# One softmax makes one mixture. A letter may want to know both its neighbour and whether there is
# an `e` at the word's end. So there are several *heads*, each with queries, keys and values of its
# own, made by matrices that are learned.

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


# %% tags=["hide-input"]
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
# Now the functions become layers, which hold weights.


# %%
class Attention(layers.Layer):
    """Multi-head attention of x on a memory, or on itself."""

    def __init__(self, width, heads, **options):
        """Takes the width of x, of the memory and of the output; `heads` must divide it."""
        super().__init__(**options)
        if width % heads:
            raise ValueError(
                f"{heads} heads cannot share a width of {width}: take one that {heads} divides"
            )
        self.heads = heads
        self.query = layers.Dense(width, name="query")
        self.key = layers.Dense(width, name="key")
        self.value = layers.Dense(width, name="value")
        self.projection = layers.Dense(width, name="projection")

    def look(self, x, memory, attention_mask=None):
        """Returns (n, queries, width), and the weights (n, heads, queries, keys)."""
        parts = self.query(x), self.key(memory), self.value(memory)
        query, key, value = (split_heads(part, self.heads) for part in parts)
        if attention_mask is not None:
            attention_mask = attention_mask[..., tf.newaxis, :, :]  # the same for all heads
        mixtures, weights = attention(query, key, value, attention_mask)
        return self.projection(join_heads(mixtures)), weights

    def call(self, x, memory=None, attention_mask=None):
        """Returns (n, queries, width), for a memory (n, keys, width); without one x itself."""
        return self.look(x, x if memory is None else memory, attention_mask)[0]


# %% [markdown]
# A *block* is attention, and then a small dense network of two layers that takes each token by
# itself. Each of these parts adds something to the token instead of replacing it: the way around it
# is called a *residual connection*. Through it the gradient reaches the first block also directly,
# as one term of a sum.
#
# Where does the normalisation go? The original has it after the sum, *post-norm*; most models of
# today have it before the part, *pre-norm*, and leave the sum alone.


# %%
class Block(layers.Layer):
    """One layer of the Transformer: tokens look at each other, then each thinks by itself."""

    def __init__(self, width, heads, dropout=0.0, **options):
        """Takes the width of a token, the number of heads, and what share is dropped."""
        super().__init__(**options)
        self.norm_1 = layers.LayerNormalization(epsilon=1e-6, name="norm_1")
        self.attention = Attention(width, heads, name="attention")
        self.norm_2 = layers.LayerNormalization(epsilon=1e-6, name="norm_2")
        dense = layers.Dense(4 * width, activation="relu"), layers.Dense(width)
        self.feed_forward = keras.Sequential(dense, name="feed_forward")
        self.drop = layers.Dropout(dropout)

    def call(self, x, attention_mask=None, training=False):
        """Returns x (n, time, width); attention_mask (n or 1, time, time): True may look."""
        seen = self.attention(self.norm_1(x), attention_mask=attention_mask)
        x = x + self.drop(seen, training=training)
        x = x + self.drop(self.feed_forward(self.norm_2(x)), training=training)
        return x


# %%
class PostNormBlock(Block):
    """The original's block: the sum is normalised, so the way around it too."""

    def call(self, x, attention_mask=None, training=False):
        """Returns x (n, time, width), as Block does."""
        seen = self.attention(x, attention_mask=attention_mask)
        x = self.norm_1(x + self.drop(seen, training=training))
        return self.norm_2(x + self.drop(self.feed_forward(x), training=training))


# %% [markdown]
# Here is the check of a whole block: the same built from Keras' layers, with the same weights, with
# the same mask.


# %% tags=["hide-input"]
def as_keras(attention) -> list:
    """Returns the weights of our Attention as Keras' layer has them: eight arrays."""
    width, heads = attention.projection.units, attention.heads
    weights = []
    for layer in (attention.query, attention.key, attention.value):
        weights.append(tf.reshape(layer.kernel, (width, heads, width // heads)))
        weights.append(tf.reshape(layer.bias, (heads, width // heads)))
    kernel, bias = attention.projection.kernel, attention.projection.bias
    return [*weights, tf.reshape(kernel, (heads, width // heads, width)), tf.identity(bias)]


def keras_attention(attention, x, memory=None, mask=None):
    """Returns what `attention` returns, computed by Keras' layer with its weights."""
    memory = x if memory is None else memory
    depth = x.shape[-1] // attention.heads
    theirs = layers.MultiHeadAttention(attention.heads, depth, dtype=x.dtype)
    theirs.build(x.shape, memory.shape)
    options = {"attention_mask": mask}
    return theirs.stateless_call(as_keras(attention), [], x, memory, **options)[0]


def keras_block(block, x, mask=None):
    """Returns what `block` returns, with the attention of Keras."""
    if isinstance(block, PostNormBlock):
        x = block.norm_1(x + keras_attention(block.attention, x, mask=mask))
        return block.norm_2(x + block.feed_forward(x))
    x = x + keras_attention(block.attention, block.norm_1(x), mask=mask)
    return x + block.feed_forward(block.norm_2(x))


def compare_layer(layer, ours, theirs, *inputs) -> dict[str, float]:
    """Returns the largest differences of two functions of `inputs` and of the layer's weights."""
    inputs, variables, results = [tf.constant(x) for x in inputs], layer.trainable_variables, []
    for function in (ours, theirs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            y = function(*inputs)
            loss = tf.reduce_sum(y**3) / y.shape[-1]
        gradients = tape.gradient(loss, [*inputs, *(variable.value for variable in variables)])
        results.append([y, *gradients])
    names = [f"input {number}" for number in range(len(inputs))]
    names = ["values", *names, *(variable.path for variable in variables)]
    return largest_differences(names, *results)


def random_layer(make, *inputs, dtype="float64", seed=0):
    """Returns the layer `make()` in this dtype, called once, its weights drawn at random."""
    random, policy = np.random.default_rng(seed), keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)  # of the layers inside of it too
    layer = make()
    layer(*inputs)
    keras.config.set_dtype_policy(policy)
    layer.set_weights([random.normal(0, 0.3, weight.shape) for weight in layer.weights])
    return layer


def compare_block(kind=Block, dtype="float64", seed=0) -> dict[str, float]:
    """Returns the largest differences to the block of Keras' layers: values, every gradient."""
    x = np.random.default_rng(seed).normal(size=(2, 5, 12)).astype(dtype)
    block, mask = (
        random_layer(lambda: kind(12, 3), x, dtype=dtype, seed=seed),
        causal_mask(5)[tf.newaxis],
    )
    return compare_layer(block, lambda x: block(x, mask), lambda x: keras_block(block, x, mask), x)


if __name__ == "__main__":
    for kind in (Block, PostNormBlock):
        differences = compare_block(kind)
        print(
            f"{kind.__name__}: values and {len(differences) - 1} gradients as Keras has them, "
            f"largest difference {max(differences.values()):.0e}"
        )

# %% [markdown]
# The model is a stack of blocks on top of an embedding. An *embedding* is a table with a row of
# numbers for each symbol, learned as all else. The positions are added to it.


# %%
class TokenEmbedding(layers.Layer):
    """Tokens (n, time) → (n, time, width): a row of a table, and where the token stands."""

    def __init__(self, vocabulary, width, positions="sinusoidal", longest=512, **options):
        """Takes positions: "sinusoidal", "learned" for a table of `longest` rows, or "none"."""
        super().__init__(**options)
        if positions not in ("sinusoidal", "learned", "none"):
            raise ValueError(f"positions are sinusoidal, learned or none, not {positions!r}")
        normal = keras.initializers.RandomNormal(stddev=width**-0.5)
        self.table = layers.Embedding(
            vocabulary, width, embeddings_initializer=normal, name="table"
        )
        self.width, self.positions = width, positions
        self.learned = None
        if positions == "learned":
            self.learned = layers.Embedding(longest, width, name="positions")

    def call(self, tokens, places=None):
        """Returns the tokens' rows, and those of their places (n, time), 0, 1, … if not given."""
        x = self.table(tokens) * self.width**0.5  # about as large as the waves
        places = tf.range(tf.shape(tokens)[1]) if places is None else places
        if self.learned is not None:
            return x + self.learned(places)
        waves = sinusoids(places, self.width)
        return x + tf.cast(waves, x.dtype) if self.positions == "sinusoidal" else x


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class Stack(layers.Layer):
    """An embedding, blocks, a last norm: tokens (n, time) → (n, time, width)."""

    kinds = Block, PostNormBlock

    def __init__(
        self,
        vocabulary,
        width,
        heads,
        blocks,
        causal=False,
        positions="sinusoidal",
        post_norm=False,
        dropout=0.0,
        **kwargs,
    ):
        """Takes the number of symbols, and what the blocks take; `causal` hides the future."""
        super().__init__(**kwargs)
        self.causal = causal
        self.embedding = TokenEmbedding(vocabulary, width, positions, name="embedding")
        self.drop = layers.Dropout(dropout)
        kind = self.kinds[post_norm]
        self.blocks = [kind(width, heads, dropout, name=f"block_{n}") for n in range(blocks)]
        self.norm = None if post_norm else layers.LayerNormalization(epsilon=1e-6, name="norm")

    def build_from_config(self, config):
        """Does nothing: a loaded stack is built by its first call, as a new one is."""

    def mask(self, tokens, attention_mask):
        """Returns the mask and, if the stack is causal, the triangle."""
        if not self.causal:
            return attention_mask
        triangle = causal_mask(tf.shape(tokens)[1])[tf.newaxis]
        return triangle if attention_mask is None else attention_mask & triangle

    def call(self, tokens, attention_mask=None, places=None, training=False):
        """Returns (n, time, width); attention_mask (n, time or 1, time), places (n, time)."""
        attention_mask = self.mask(tokens, attention_mask)
        x = self.drop(self.embedding(tokens, places), training=training)
        for block in self.blocks:
            x = block(x, attention_mask, training=training)
        return x if self.norm is None else self.norm(x)


# %%
def logits_layer(classes):
    """Returns the last layer: (…, width) → logits (…, classes), all near zero at first."""
    small = keras.initializers.RandomNormal(stddev=0.02)
    return layers.Dense(classes, kernel_initializer=small, name="logits")


def make_writer(characters, width=128, heads=4, blocks=2, **options) -> keras.Model:
    """Returns the language model: characters (n, time) → logits (n, time, characters)."""
    text = keras.Input((None,), dtype="int32", name="text")
    stack = Stack(characters, width, heads, blocks, causal=True, name="stack", **options)
    return keras.Model(text, logits_layer(characters)(stack(text)), name="writer")


if __name__ == "__main__":
    splits = load_shakespeare()
    print(splits)
    model = make_writer(len(splits.classes))
    model.summary()

# %% [markdown]
# ## The learning rate
#
# The learning rate climbs from zero, for a while, and falls thereafter: a *warm-up*. The original
# takes, at step $t$, for a width $d$ and $w$ steps,
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
# ## Three probes
#
# A Transformer with a mistake in it trains well, often better than a right one: whoever reads the
# future has an excellent loss. So before we train, we ask the untrained model.
# `kerasbook.testing.probes` holds the questions; they can be put to any model.

# %%
if __name__ == "__main__":
    x, y = (part[:8] for part in splits.train)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    print(probes.causality(model, x))
    print(probes.start_loss(model, x, y))
    print(probes.overfits(model, x, y, loss_fn))

# %% [markdown]
# ## Sampling
#
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


def sample(logits, random, temperature=1.0, top_k=None, top_p=None):
    """Returns class numbers (n,) drawn from logits (n, classes); temperature 0 is greedy."""
    if temperature == 0:
        return tf.argmax(logits, axis=-1, output_type=tf.int32)
    logits = logits / temperature
    logits = keep_top_k(logits, top_k) if top_k else logits
    logits = keep_top_p(logits, top_p) if top_p else logits
    seed = random.integers(2**31, size=2)
    return tf.random.stateless_categorical(logits, 1, seed, dtype=tf.int32)[:, 0]


def generate(model, beginning, characters, count=200, window=64, seed=0, **how):
    """Returns `beginning` and `count` more characters; `how` goes to `sample`."""
    random = np.random.default_rng(seed)
    text = encode_text(beginning, characters)[np.newaxis]
    forward = tf.function(model, input_signature=[tf.TensorSpec((1, None), tf.int32)])
    for _ in range(count):
        logits = forward(tf.constant(text[:, -window:]))[:, -1]
        text = np.concatenate([text, sample(logits, random, **how)[:, np.newaxis]], axis=1)
    return decode_text(text[0], characters)


# %% [markdown]
# The model has seen no position beyond the 64th, so it is given the last 64 characters only. When
# they move on, every position changes.
#
# ## Result

# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["shakespeare", "tiny_shakespeare"],
    "headline": ["validation", "loss"],
    "bounds": {"dropout": [0, 0.999]},
    "minutes": 3,
    "old_flags": {
        "--task pronunciation": "chapter6_encoder_decoder",
        "--task language": "chapter6",
        "--task translation": "chapter6_translation",
    },
}


def main(
    epochs: int = 2,
    batch_size: int = 24,
    learning_rate: float = 0.004,
    width: int = 128,
    heads: int = 4,
    blocks: int = 2,
    dropout: float = 0.0,
    seed: int = 0,
    dataset: Literal["shakespeare", "tiny_shakespeare"] = "shakespeare",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a Transformer to write like Shakespeare, character by character.

    Args:
        epochs: passes over the training part
        batch_size: windows of text per step
        learning_rate: of Adam after the warm-up; it falls to zero along half a cosine
        width: numbers per token
        heads: of each attention
        blocks: of the stack
        dropout: share of what each part adds to a token that is dropped
        seed: of the first weights, the shuffling and the dropout
        dataset: tiny_shakespeare is from TensorFlow Datasets
        examples: use the first so many examples of each part
        fit_options: handed on to kerasbook.training.fit
    """
    one_thread_per_operation()  # faster on two cores
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    train = whole_batches(splits.train, batch_size)
    model = make_writer(len(splits.classes), width, heads, blocks, dropout=dropout)
    model.summary()

    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
    schedule = make_schedule(learning_rate, len(train[1]), batch_size, epochs)
    history = fit(
        model,
        train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(schedule, beta_2=0.98),
        metrics=[accuracy],
        epochs=epochs,
        batch_size=batch_size,
        validation_data=tuple(splits.validation),
        seed=seed,
        **fit_options,
    )
    scores = {
        name: evaluate(model, tuple(part), loss_fn=loss_fn, metrics=[accuracy], batch_size=250)
        for name, part in (("validation", splits.validation), ("test", splits.test))
    }
    print(generate(model, "KING.\n", splits.classes, temperature=0.8))
    figures = {"history": plotting.plot_history(history), "learning_rate": plot_rates(schedule)}
    return Result(splits, model, history, scores, figures)


def whole_batches(part, batch_size):
    """Returns arrays without a short last batch: it has another shape, and would be compiled."""
    full = max(1, len(part[1]) // batch_size) * batch_size
    return tf.nest.map_structure(lambda rows: rows[:full], tuple(part))


# %%
if __name__ == "__main__":
    result = main(epochs=1, examples=2000)  # `python -m kerasbook.chapter6` takes all six plays
    plt.close("all")  # the pictures follow one by one
    print(result.scores["validation"])

# %% [markdown]
# (With all plays the validation loss was 1.752 ± 0.009 nats per character, over five seeds.)

# %%
if __name__ == "__main__":
    for how in ({"temperature": 0}, {"temperature": 0.7}, {"temperature": 1.0, "top_p": 0.9}):
        print(how, repr(generate(result.model, "The ", splits.classes, count=60, **how)))

# %% [markdown]
# At temperature 0 it goes round in circles; the bolder it draws, the more often it misspells.
#
# ## What to try
#
# - `--blocks 1` and `--blocks 4`; `--width 32` and `--width 256`, each for the same time.
# - Train with `post_norm=True` in `make_writer`, with the same learning rate, and with a tenth.
# - `--dropout 0.1`: which of the two curves changes?
#
# ## Exercises
#
# Exercises go with this chapter. `kerasbook start DIR` copies their stubs, and the notebooks, into
# a folder; `kerasbook check` says which of your answers are right, and what to look at in the
# others.
