# %% [markdown]
"""
# Chapter 6. The Transformer

A text can be written by guessing its next character, appending it, and guessing again. This chapter
builds a model that does so. It reads six plays of Shakespeare, and nobody tells it what a letter, a
word or a speech is. Further down stands what it writes before it has learned anything,
after 200 steps, after 1,000, and when it is done.

A recurrent network (chapters 4 and 5) carries what it has read in a state of fixed size. The
Transformer keeps what it has read, as far as its window reaches, and lets each character look back
at those before it. How does a character know where to look? That is *attention*, and it is the
first half of this chapter: one query in numbers, then all queries, then learned ones, then masked
ones, then several at once.

After this chapter you can

- compute attention by hand, and say what query, key and value are;
- write a block of the Transformer in twenty lines, and check it against Keras' layers;
- find out before any training whether a model reads the future;
- train a model that writes, and choose how boldly it does;
- write a tokenizer that makes pieces of words.

You need chapters 1 to 3: the loss, the training step, the cosine schedule.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter6`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter6")

# %% tags=["hide-input"]
from collections import Counter
from itertools import pairwise
from typing import Literal

from kerasbook import plotting
from kerasbook.data import load, load_shakespeare, subwords
from kerasbook.data.shakespeare import decode_text, encode_text, read_plays, windows
from kerasbook.runner import Result
from kerasbook.testing import probes
from kerasbook.testing.compare import compare_functions, largest_differences
from kerasbook.training import batch_order, evaluate, fit, make_train_step
from kerasbook.training.devices import one_thread_per_operation

# kerasbook comes first: it chooses Keras' backend.
import keras
import numpy as np
import tensorflow as tf
from keras import layers

if __name__ == "__main__":
    one_thread_per_operation()  # faster on two cores, if TensorFlow has not computed anything yet

# %% [markdown]
# ## What comes next?
#
# Here is one window of the data, 64 characters out of a play.

# %%
if __name__ == "__main__":
    splits = load_shakespeare()
    print(splits)
    x, y = splits.train
    print(decode_text(x[0], splits.classes))

# %% [markdown]
# `x` is (windows, 64), whole numbers that stand for characters. `y` is the same text, moved by one:
# at every place stands the character that comes next. So a window is not one exercise but 64, and
# all of them are done at once.

# %%
if __name__ == "__main__":
    for place in range(1, 8):
        so_far, following = (decode_text(row[:place], splits.classes) for row in (x[0], y[0]))
        print(f"{so_far!r:12} then comes {following[-1]!r}")

# %% [markdown]
# How well can one guess without a network? Count. A model gives a probability $p$ to the character
# that does come, and its loss is $-\ln p$, in *nats*; 0 is certainty. We compare three tables: all
# characters alike; each as often as it occurs in the plays; each as often as it occurs after the
# one before. Before you run the cell: which step gains more, the first or the second?


# %%
def count_pairs(part, characters):
    """Returns (characters, characters): how often the second follows the first, and one more."""
    pairs = np.ones((characters, characters))
    np.add.at(pairs, (part.x, part.y), 1)
    return pairs


# %%
if __name__ == "__main__":
    pairs = count_pairs(splits.train, len(splits.classes))
    how_often = np.tile(pairs.sum(axis=0), (len(pairs), 1))
    tables = {"all alike": np.ones_like(pairs), "how often": how_often, "after the last one": pairs}
    for name, table in tables.items():
        p = table / table.sum(axis=1, keepdims=True)
        loss_of_pairs = -np.log(p[splits.validation.x, splits.validation.y]).mean()
        print(f"{name:20} {loss_of_pairs:.2f} nats per character")

# %% [markdown]
# The first step gains a little more; but one character back is worth a lot, too. Why not count
# further back? A full table of $77^5$ numbers, for four characters back, is too large. But most of
# it is empty, and a dictionary keeps only the runs that occur. Rare runs say little, so each is
# counted as if it had been seen three times more, and had gone on as the run that is shorter by one
# does (*interpolation*). Will the loss fall with every character, or turn?


# %%
def losses_by_reach(text, other, longest=5, share=3):
    """Returns (longest + 1,): nats per character of `other`, guessed from 0, 1, … before it."""
    runs = [Counter(text[at : at + n] for at in range(len(text))) for n in range(longest + 2)]
    losses = np.zeros(longest + 1)
    for at in range(longest, len(other)):
        p = 1 / (len(runs[1]) + 1)  # and the unknown
        for n in range(longest + 1):
            before, run = other[at - n : at], other[at - n : at + 1]
            p = (runs[n + 1][run] + share * p) / (runs[n][before] + share)
            losses[n] -= np.log(p)
    return losses / (len(other) - longest)


# %%
if __name__ == "__main__":
    counted = losses_by_reach(*read_plays()[:2])
    print("characters back, nats:", {n: round(float(loss), 2) for n, loss in enumerate(counted)})

# %% [markdown]
# Four back is best. A run of five that was never seen does no harm, because then the shorter one
# speaks; but many were seen only a few times, and went on otherwise. That is a strong rival, and no
# network: remember its number. But further than that it cannot see, because it can only look up
# what it has met letter by letter. We want something that looks far back and takes only what
# matters.
#
# ## One query, in numbers
#
# Take four words, *the king is old*. Who is old? The last word wants to know, and looks back. Give
# each word a *key*: three numbers that say what it offers. Is it a person, an action, a property?
# And give the last word a *query*, in the same three numbers: what it looks for. It looks for a
# person. (Here we choose the numbers. Later they are learned.)

# %%
if __name__ == "__main__":
    words = ["the", "king", "is", "old"]
    keys = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])  # person, action, property
    query = np.array([3.0, 0, 0])  # of "old": looks for a person
    scores = keys @ query  # how well each key fits the query
    print(scores)

# %% [markdown]
# A *score* is the scalar product of query and key, and the best fit has the largest. The softmax of
# chapter 2 makes weights of the scores: positive, and 1 in sum. Guess before you run it: will any
# weight be 0?

# %%
if __name__ == "__main__":
    weights = np.exp(scores) / np.exp(scores).sum()
    for word, weight in zip(words, weights, strict=True):
        print(f"{word:5} {weight:.2f}")

# %% [markdown]
# None is 0, because $e^s$ never is. A dictionary in Python looks a key up and gives the value of
# the one that is equal; attention gives a mixture of all *values*, each weighted by how well its
# key fits. What a word's value holds is up to the model. Say that it is two numbers, of which the
# first means *royal*.

# %%
if __name__ == "__main__":
    values = np.array([[0.0, 1], [1, 0], [0, 1], [0, 1]])  # royal, or not
    print((weights @ values).round(2))  # what "old" takes over

# %% [markdown]
# So *old* now knows that it speaks of somebody royal. That is all: query, keys, weights, and a
# mixture of the values. Two more queries show what attention cannot do.

# %%
if __name__ == "__main__":
    for query in ([3.0, 3, 0], [0.0, 0, 0]):
        powers = np.exp(keys @ np.array(query))
        print(query, "->", (powers / powers.sum()).round(2))

# %% [markdown]
# The first looks for a person and an action, and gets half of each, mixed into one: that will come
# back under *Several heads*. The second looks for nothing, and gets the mean of everything. The
# weights are always 1 in sum, so to look at nothing there would have to be a key for it.
#
# *Five minutes:* `attend_once` asks for one query with a twist.
#
# ## All queries at once
#
# Every word asks. The queries are the rows of a matrix $Q$, (queries, depth), where the *depth* is
# how many numbers a query has; the keys are $K$, (keys, depth), and the values $V$, (keys, width).
# All scores together are one matrix product, and so are all mixtures. The darker, the larger:

# %% alt="Four queries times four keys give scores; their softmax weights mix the values."
if __name__ == "__main__":
    example = np.random.default_rng(0).normal(size=(3, 4, 3))  # query, key and value
    plotting.plot_attention_steps(*example)

# %% [markdown]
# In a formula, with a division whose reason follows:
#
# $$\text{attention}(Q, K, V) = \text{softmax}\!\left(\frac{Q K^\top}{\sqrt d}\right) V .$$
#
# The function also takes a *mask*, (queries, keys), in which `True` means: may look. Elsewhere the
# score is set to the lowest number there is, of which the softmax makes zero. PyTorch's
# `MultiheadAttention` means the opposite by `True`; a mask carried over from there makes a
# model that sees only what it must not see. (We divide the queries and not the scores, of which
# there are more.)


# %%
def attention(query, key, value, mask=None):
    """Returns the mixtures (…, queries, width), and their weights (…, queries, keys).

    A query that may look at nothing gets the mean of all values, as in Keras.
    """
    scores = tf.matmul(query / key.shape[-1] ** 0.5, key, transpose_b=True)
    if mask is not None:
        scores = tf.where(mask, scores, scores.dtype.min)
    weights = tf.nn.softmax(scores)  # (…, queries, keys)
    return weights @ value, weights


# %% [markdown]
# Why divide by $\sqrt d$, the root of the depth $d$? The scalar product of two random vectors of
# $d$ numbers with variance 1 has the variance $d$, so the scores grow with the depth. What does
# the softmax make of large scores? Here are ten keys, and the largest of the ten weights.

# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    for depth in (4, 64, 1024):
        query, key = random.normal(size=(2, 500, 10, depth))
        scores = query @ key.swapaxes(1, 2)
        largest = [tf.nn.softmax(s).numpy().max(-1).mean() for s in (scores, scores / depth**0.5)]
        print(f"depth {depth:5}: largest of ten weights {largest[0]:.2f}, divided {largest[1]:.2f}")

# %% [markdown]
# Without the division, long vectors look at one key alone before they have learned which, and a
# softmax that is nearly one-hot has a gradient of nearly zero.
#
# Exercise: `attention_near` (ALiBi), attention that prefers what is near.
#
# ## Where do query, key and value come from?
#
# They are learned. A token comes as a row $x$ of some width, and three matrices make three rows of
# it: $x W^Q$ asks, $x W^K$ offers, $x W^V$ is what can be taken over. Can gradient descent find
# matrices that look at the right place? A test that nothing but looking can pass: each example has
# eight letters, one of which is marked, at a random place, and *every* place is to name the marked
# letter. A guess among six is right one time in six.


# %%
def marked_letters(count, time=8, letters=6, seed=0):
    """Returns x (count, time, letters + 1), letter and mark, and y (count, time): the marked."""
    random = np.random.default_rng(seed)
    letter, marked = random.integers(0, letters, (count, time)), random.integers(0, time, count)
    x = np.concatenate([np.eye(letters)[letter], np.eye(time)[marked][..., np.newaxis]], axis=-1)
    y = np.repeat(letter[np.arange(count), marked][:, np.newaxis], time, axis=1)
    return x.astype("float32"), y


# %%
class OneHead(layers.Layer):
    """Attention with three learned matrices: x (n, time, width) → (n, time, depth)."""

    def __init__(self, depth, **options):
        """Takes the depth of queries, keys and values."""
        super().__init__(**options)
        self.query, self.key, self.value = (layers.Dense(depth, use_bias=False) for _ in range(3))

    def call(self, x):
        """Returns the mixtures."""
        return attention(self.query(x), self.key(x), self.value(x))[0]


# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    head = OneHead(6)
    model = keras.Sequential([keras.Input((8, 7)), head])  # six logits at each place
    x, y = marked_letters(2000)
    before = attention(head.query(x[:1]), head.key(x[:1]), head.value(x[:1]))[1]

# %%
if __name__ == "__main__":
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"loss_fn": loss_fn, "metrics": [keras.metrics.SparseCategoricalAccuracy("accuracy")]}
    print(f"before: {evaluate(model, (x, y), **options)['accuracy']:.2f}")
    fit(model, (x, y), optimizer=keras.optimizers.Adam(0.03), epochs=6, progress="none", **options)
    test = evaluate(model, marked_letters(500, seed=1), **options)
    print(f"after:  {test['accuracy']:.2f}, on examples that it has not seen")

# %% [markdown]
# Where does it look? Guess what the picture on the right must show, then run the cell. The marked
# letter has a star.

# %% alt="Before training the weights are nearly alike; then one column, the marked one, is dark."
if __name__ == "__main__":
    after = attention(head.query(x[:1]), head.key(x[:1]), head.value(x[:1]))[1]
    names = ["abcdef"[row[:6].argmax()] + "*" * int(row[6]) for row in x[0]]
    both = np.concatenate([before, after])
    plotting.plot_attention(both, names, names, titles=["before training", "after"])

# %% [markdown]
# All letters look at the marked one. Nobody named it: looking there lowered the loss.
#
# Exercise: `train_lookup`, a dictionary in which the keys must be learned.
#
# ## The causal mask
#
# A model that writes is trained on rows in which the next character stands right there, one place
# to the right. If it may look there, it has only to copy. So place $i$ may look at the places $j
# \le i$ only: the *causal* mask, a triangle.


# %%
def causal_mask(count):
    """Returns (count, count): True where the key is not after the query."""
    places = tf.range(count)
    return places[:, tf.newaxis] >= places


# %% alt="The same steps; above the diagonal the weights are empty, and the rest of a row is larger."
if __name__ == "__main__":
    plotting.plot_attention_steps(*example, mask=causal_mask(4))

# %% [markdown]
# The weights of a row are still 1 in sum, because the mask comes before the softmax. That the mask
# works can be tested by a *probe*: it changes the input in a way that must not matter, and prints
# the largest change of the output. Up to the limit that is rounding. Here it changes the tokens
# from some place on, for every place, and no earlier mixture may change.

# %%
if __name__ == "__main__":
    x = np.random.default_rng(1).normal(size=(1, 6, 4))
    print(probes.causality(lambda x: attention(x, x, x, causal_mask(6))[0], x))
    print(probes.causality(lambda x: attention(x, x, x)[0], x))

# %% [markdown]
# *Five minutes:* `cached_mask`, a causal mask whose queries are only the last ones. Exercise:
# `window_mask`, a mask for long texts.
#
# ## Several heads
#
# One softmax makes one mixture. Remember the query that looked for a person and an action, and got
# half of each: what if the two values change places?

# %%
if __name__ == "__main__":
    values = tf.constant([[0.0, 1], [1, 0]])
    half = tf.constant([[0.5, 0.5]])
    print((half @ values).numpy(), (half @ values[::-1]).numpy())  # one head, before and after
    heads = tf.constant([[1.0, 0], [0, 1]])  # two heads, each looks at one
    print((heads @ values).numpy().ravel(), (heads @ values[::-1]).numpy().ravel())

# %% [markdown]
# One mixture is the same whichever of the two was the person. Two mixtures side by side tell them
# apart. So there are several *heads*, each with queries, keys and values of its own. The picture
# makes them with one large matrix and cuts the result: that is the same, because the matrix has the
# heads' matrices side by side as its columns.

# %% alt="Queries, keys and values are cut into heads; their mixtures side by side go through W."
if __name__ == "__main__":
    plotting.plot_heads()

# %% [markdown]
# For each head $h$ of $H$, and then for all of them,
#
# $$\text{head}_h = \text{attention}(X W^Q_h,\; Y W^K_h,\; Y W^V_h), \qquad
# Z = [\text{head}_1, \dots, \text{head}_H]\, W^O .$$
#
# $X$ is (queries, width), and asks. $Y$ is (keys, width), and is looked at. In *self-attention*
# both are the same, and that is all that this chapter needs; in *cross-attention*, on the next
# page, $Y$ comes from elsewhere. The heads are computed in one go, with an axis of their own.
# (Folded away is the whole as one function of Keras' eight arrays of weights, for the comparison
# below. The book's models use the layer `Attention`, further down.)


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


# %% tags=["hide-input"]
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
# Is it what Keras computes? Query, key and value have widths of their own here, the values another
# depth than the keys, and there are more keys than queries, so that no two axes can be mixed up
# unseen. (The comparison is folded away; open it if you want to see how.)


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
        differences = compare_attention(mask)
        print(
            f"{name}: values and {len(differences) - 1} gradients equal to Keras', "
            f"largest difference {max(differences.values()):.0e}"
        )

# %% [markdown]
# Exercise: `GroupedAttention`, heads that share keys and values.
#
# ## Where does a token stand?
#
# What would attention make of *tea* and *eat*? Shuffle the letters, and every letter still finds
# the same keys, only elsewhere. A probe shuffles six random tokens and looks whether anything but
# the order changes.

# %%
if __name__ == "__main__":
    x = np.random.default_rng(2).normal(size=(2, 6, 8))
    print(probes.permutation(lambda x: attention(x, x, x)[0], x))

# %% [markdown]
# It holds: to attention a word is a bag of letters. (With the causal mask it is no longer quite so:
# the first token sees one token and the last sees all, and a second block can make something of
# that.) So the position must become part of the token. There are two ways.
#
# *Learned:* a second table with a row for each position, added to the token and trained with all
# else. It knows no position beyond its last row.
#
# *Sinusoidal*, the original's: fixed waves, from quick to slow. For position $t$ and the waves $i =
# 0, 1, \dots, d_m/2 - 1$ of a width $d_m$,
#
# $$\sin(t / 10000^{2i/d_m}), \qquad \cos(t / 10000^{2i/d_m}) .$$
#
# Each position has its own pattern, near positions have similar ones, and a move by $s$ places is
# the same rotation of each pair of sine and cosine wherever it begins: "one to the left" is
# something that a matrix can learn. (The slow waves hardly move over 64 places. They are for texts
# of thousands.)


# %%
def sinusoids(position, width):
    """Returns the waves (…, width) of whole positions (…): first the sines, then the cosines."""
    rates = 10000.0 ** (-np.arange(0, width, 2) / width)  # (width / 2,)
    angles = tf.cast(position, tf.float32)[..., tf.newaxis] * rates.astype("float32")
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=-1)


# %% alt="Stripes: each row, a position, has its own pattern of quick and of slow waves."
if __name__ == "__main__":
    plotting.plot_positions(sinusoids(tf.range(32), 64))

# %%
if __name__ == "__main__":
    waves = sinusoids(tf.range(6), 8).numpy()
    print(probes.permutation(lambda x: attention(x + waves, x + waves, x)[0], x))

# %% [markdown]
# With the waves added the order is visible, and the probe fails, as it should. The original puts
# sine and cosine in turns, ours are side by side; a matrix follows, which can put its rows in any
# order, so nothing depends on it. Waves or table: which is better here? Small writers, like the one
# below but of width 64 and trained for 300 steps, with five seeds each, had a validation loss of
# 2.363 ± 0.005 nats with the waves, 2.401 ± 0.005 with a learned table, and 2.405 ± 0.003 without
# any positions. (Here as everywhere in the book ± is the standard deviation over the seeds.) The
# waves are there from the first step, about as large as the tokens; the table begins with numbers
# below 0.05, and has hardly begun to help so soon. With a larger beginning it was not tried.
#
# ## Layer normalisation
#
# Deep stacks train better when the numbers keep a size. Batch normalisation (chapter 2) takes each
# number over the whole batch. *Layer normalisation* takes each token by itself, so that neither the
# other texts nor the later tokens have a say: subtract the mean of its numbers, divide by their
# standard deviation, then scale and shift each of them by learned numbers $\gamma$ and $\beta$,
# both (width,):
#
# $$y = \gamma \odot \frac{x - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta .$$
#
# $\mu$ and $\sigma^2$ are the mean and the variance over the last axis of x, (…, width). The small
# $\varepsilon$ keeps the division sound, and it stands *under* the root.


# %%
def layer_norm(x, scale, shift, epsilon=1e-3):
    """Returns x (…, width) with each token's mean and variance set by `scale` and `shift`."""
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    return scale * (x - mean) / tf.sqrt(variance + epsilon) + shift


# %% [markdown]
# In *The Annotated Transformer* it is added to the deviation, outside of the root. Would a
# comparison with Keras notice? With the usual tiny $\varepsilon$, or with one of 0.1?


# %%
def layer_norm_wrongly(x, scale, shift, epsilon):
    """Returns the same with ε outside of the root."""
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    deviation = tf.math.reduce_std(x, axis=-1, keepdims=True)
    return scale * (x - mean) / (deviation + epsilon) + shift


# %% tags=["hide-input"]
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


if __name__ == "__main__":
    for function in (layer_norm, layer_norm_wrongly):
        for epsilon, dtype in ((1e-6, "float32"), (1e-6, "float64"), (0.1, "float64")):
            worst = max(compare_layer_norm(function, epsilon, dtype).values())
            print(f"{function.__name__:18}, ε = {epsilon}, {dtype}: largest difference {worst:.0e}")

# %% [markdown]
# With the tiny one, and in float32, the difference can be taken for rounding, because there the
# right function differs, too; so the mistake can live long. In float64 it stands out,
# and with the larger ε nobody can miss it. A comparison must use numbers that would show it.
#
# Exercise: `rms_norm`, a simpler relative, and its gradient.
#
# ## The stream and the block
#
# Now the parts are put together. Think of each token as a vector of numbers that runs through the
# model like a stream. A part reads the stream, and *adds* something to it; nothing is replaced. The
# first part is attention: tokens look at each other. The second is a small dense network of two
# layers that takes each token by itself. Both together are a *block*, and blocks follow one
# another.

# %% alt="A line runs through; attention and dense part read it, normalised, and add to it."
if __name__ == "__main__":
    plotting.plot_residual_stream()

# %% [markdown]
# In code it reads as in the picture, `x = x + …`. The way around a part is called a *residual
# connection*. First the attention of before, as a layer that holds its weights. (Its `memory` is
# for the next page. Here the tokens look at each other: the memory is x itself.)


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
# And the block:


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


# %% [markdown]
# What is the way around good for? Here is a block without it. Eight of each kind, one upon the
# other, are to find the marked letter, which one head alone found above. What do you expect?


# %%
class BlockWithoutSums(Block):
    """A block whose parts replace the token."""

    def call(self, x, attention_mask=None, training=False):
        """Returns x (n, time, width)."""
        x = self.attention(self.norm_1(x), attention_mask=attention_mask)
        return self.feed_forward(self.norm_2(x))


# %%
def accuracy_of_blocks(kind, count=8, epochs=3) -> float:
    """Returns the accuracy on marked letters of so many blocks after training."""
    keras.utils.set_random_seed(0)
    blocks = [kind(32, 4) for _ in range(count)]
    model = keras.Sequential([keras.Input((8, 7)), layers.Dense(32), *blocks, layers.Dense(6)])
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    options = {"optimizer": keras.optimizers.Adam(0.002), "epochs": epochs, "progress": "none"}
    fit(model, marked_letters(2000), loss_fn=loss_fn, **options)
    metrics = [keras.metrics.SparseCategoricalAccuracy("accuracy")]
    return evaluate(model, marked_letters(500, seed=1), loss_fn=loss_fn, metrics=metrics)[
        "accuracy"
    ]


# %%
if __name__ == "__main__":
    for kind in (Block, BlockWithoutSums):
        print(f"{kind.__name__:17} {accuracy_of_blocks(kind):.2f}")

# %% [markdown]
# Without the sums the eight blocks have learned nothing: a guess among six is right as often. With
# the sums the gradient has a way to the first block that goes through no other block, as one term
# of a sum, and each block has only to add what the others have not found.
#
# How large are the two parts? In a block of width $d_m$ the attention has $4 d_m^2$ weights and the
# dense part $8 d_m^2$, besides biases: two thirds of a block think, one third looks.
#
# Where does the normalisation go? Here it stands before each part, *pre-norm*, and leaves the
# stream alone. The original has it after the sum, *post-norm*; then the way around is normalised
# too.


# %%
class PostNormBlock(Block):
    """The original's block: the sum is normalised, so the way around it too."""

    def call(self, x, attention_mask=None, training=False):
        """Returns x (n, time, width), as Block does."""
        seen = self.attention(x, attention_mask=attention_mask)
        x = self.norm_1(x + self.drop(seen, training=training))
        return self.norm_2(x + self.drop(self.feed_forward(x), training=training))


# %% [markdown]
# Is the block right? The same is built from Keras' own layers, with the same weights and mask.


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
            f"{kind.__name__}: values and {len(differences) - 1} gradients equal to those of "
            f"Keras' layers, largest difference {max(differences.values()):.0e}"
        )

# %% [markdown]
# ## The model
#
# What is below the first block, and above the last? Below is an *embedding*, a table with a row of
# numbers for each character, learned as all else, to which the positions are added.


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


# %% [markdown]
# Then come the blocks, and a last norm.


# %%
def and_causal(mask, count):
    """Returns the mask (n, count or 1, count), or None, and the triangle: both must allow."""
    triangle = causal_mask(count)[tf.newaxis]
    return triangle if mask is None else mask & triangle


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class Stack(layers.Layer):
    """An embedding, blocks, a last norm: tokens (n, time) → (n, time, width)."""

    kinds = Block, PostNormBlock

    def __init__(
        self, vocabulary, width, heads, blocks, causal=False, positions="sinusoidal",
        post_norm=False, dropout=0.0, **kwargs,
    ):  # fmt: skip
        """Takes the number of symbols, and what the blocks take; `causal` hides the future."""
        super().__init__(**kwargs)
        self.causal, kind = causal, self.kinds[post_norm]
        self.embedding = TokenEmbedding(vocabulary, width, positions, name="embedding")
        self.drop = layers.Dropout(dropout)
        self.blocks = [kind(width, heads, dropout, name=f"block_{n}") for n in range(blocks)]
        self.norm = None if post_norm else layers.LayerNormalization(epsilon=1e-6, name="norm")

    def build_from_config(self, config):
        """Lets the first call build a loaded stack, as it builds a new one."""

    def call(self, tokens, attention_mask=None, places=None, training=False):
        """Returns (n, time, width); attention_mask (n, time or 1, time), places (n, time)."""
        if self.causal:
            attention_mask = and_causal(attention_mask, tf.shape(tokens)[1])
        x = self.drop(self.embedding(tokens, places), training=training)
        for block in self.blocks:
            x = block(x, attention_mask, training=training)
        return x if self.norm is None else self.norm(x)


# %% [markdown]
# Above is a dense layer with a logit for each of the 77 characters. Its first weights are small, so
# that the untrained model finds all characters about equally likely.


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


# %%
if __name__ == "__main__":
    model = make_writer(len(splits.classes))
    model.summary()
    for part in (model.get_layer("stack").embedding, *model.get_layer("stack").blocks):
        print(f"{part.name:10} {part.count_params():9,} weights")

# %% [markdown]
# ## Before anything is trained
#
# A Transformer with a mistake in it can train better than a right one, because whoever reads the
# future has an excellent loss. So first we ask for three properties. The third trains the model on
# eight windows, for 50 steps at most, and then puts the first weights back. What should the loss of
# the untrained model be, if all 77 characters are equally likely to it?

# %%
if __name__ == "__main__":
    x, y = (part[:8] for part in splits.train)
    print(probes.causality(model, x))
    print(probes.start_loss(model, x, y))  # near ln 77
    print(probes.overfits(model, x, y, loss_fn, steps=50))  # eight windows can be memorised

# %% [markdown]
# A probe is worth something only if it fails where it should. Two models are broken on purpose, and
# for the third probe the data are: one window with eight different answers.

# %%
if __name__ == "__main__":
    peeping = Stack(77, 64, 4, blocks=2, causal=False)
    loud = make_writer(77)
    loud.get_layer("logits").kernel.assign(loud.get_layer("logits").kernel * 100)
    print(probes.causality(peeping, x))  # no causal mask
    print(probes.start_loss(loud, x, y))  # large first weights
    print(probes.overfits(model, np.tile(x[:1], (8, 1)), y, loss_fn, steps=50))  # eight answers

# %% [markdown]
# ## The learning rate
#
# The learning rate climbs from zero for a while, the *warm-up*, and falls thereafter. The original
# takes, at step $n$, for a width $d_m$ and $n_w$ steps of warm-up, $d_m^{-1/2} \min(n^{-1/2},\; n\,
# n_w^{-3/2})$. We climb in a straight line and fall along the half cosine of chapter 3, to zero at
# the last step.


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


# %%
def make_schedule(learning_rate, examples, batch_size, epochs):
    """Returns Keras' schedule of the same kind: a tenth of all steps, at most 300, are warm-up."""
    steps = epochs * -(-examples // batch_size)
    warm_up = max(1, min(300, steps // 10))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )


# %%
if __name__ == "__main__":
    schedule = make_schedule(0.004, len(splits.train.y), batch_size=24, epochs=2)
    steps = schedule.warmup_steps + schedule.decay_steps
    by_hand = warm_up_cosine(np.arange(steps), 0.004, schedule.warmup_steps, steps)
    theirs = [float(schedule(step)) for step in range(steps)]
    print(f"by hand and Keras' CosineDecay differ by {np.abs(by_hand - theirs).max():.0e}")


# %% tags=["hide-input"] alt="The rate climbs, then falls: ours as a cosine, the other as one over a root."
def plot_rates(schedule):
    """Returns the Axes with the learning rate by step, beside the original's."""
    warm_up, steps = schedule.warmup_steps, schedule.warmup_steps + schedule.decay_steps
    at = np.unique(np.linspace(0, steps, 200).astype(int))
    original = warm_up_rate(np.maximum(at, 1), 1, warm_up).numpy()
    original *= schedule.warmup_target / original.max()
    rates = {"line and half cosine": [float(schedule(step)) for step in at]}
    rates["the original's, with the same peak"] = original
    return plotting.plot_lines(rates, x=at, x_label="step", y_label="learning rate")


if __name__ == "__main__":
    plot_rates(schedule)

# %% [markdown]
# Does the warm-up help? The usual reasons are that Adam's first estimates rest on few steps, and
# that the gradients of post-norm blocks are large at first (Xiong and others 2020). So we measured
# it, with the small writers of above. The loss was 2.363 ± 0.005 with the warm-up and 2.356 ± 0.012
# without it; with post-norm blocks it was 2.329 ± 0.011 and 2.318 ± 0.015. The differences, each
# with its standard error in brackets, are 0.007 (0.006) and 0.011 (0.009): for a model as small as
# this one, no help is seen. We keep the warm-up, which costs nothing here, because larger models
# are said to need it. And post-norm did better than pre-norm, in two blocks. Xiong and others
# prefer pre-norm, because its gradients are moderate from the first step, so that it needs no
# warm-up; our numbers, of two blocks, do not show a gain. We keep it because most large language
# models since GPT-2 have it.
#
# Exercise: `train_in_micro_batches`, a training step in small portions.
#
# ## It learns to write
#
# To write, the model gets a beginning, gives logits for what comes next, and one character is drawn
# by its probability (`sample` follows below; the `temperature=0.8` makes the likely a little
# likelier, and is explained under *How boldly?*). The loop that trains is the one of every chapter,
# with one addition: three times it stops and writes.


# %%
def generate(model, beginning, characters, count=200, window=64, seed=0, **how):
    """Returns `beginning` and `count` more characters; `how` goes to `sample`."""
    random = np.random.default_rng(seed)
    text = encode_text(beginning, characters)[np.newaxis]
    forward = tf.function(model, input_signature=[tf.TensorSpec((1, None), tf.int32)])
    for _ in range(count):
        logits = forward(tf.constant(text[:, -window:]))[:, -1]
        text = np.concatenate([text, sample(logits, random, **how)[:, np.newaxis]], axis=1)
    return decode_text(text[0], characters)


# %%
def sample(logits, random, temperature=1.0, top_k=None, top_p=None):
    """Returns class numbers (n,) drawn from logits (n, classes); temperature 0 is greedy."""
    if temperature == 0:
        return tf.argmax(logits, axis=-1, output_type=tf.int32)
    logits = logits / temperature
    logits = keep_top_k(logits, top_k) if top_k else logits
    logits = keep_top_p(logits, top_p) if top_p else logits
    seed = random.integers(2**31, size=2)
    return tf.random.stateless_categorical(logits, 1, seed, dtype=tf.int32)[:, 0]


# %%
def whole_batches(part, batch_size):
    """Returns arrays without a short last batch: it has another shape, and would be compiled."""
    full = max(1, len(part[1]) // batch_size) * batch_size
    return tf.nest.map_structure(lambda rows: rows[:full], tuple(part))


# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model, (x, y) = make_writer(len(splits.classes)), whole_batches(splits.train, 24)
    optimizer = keras.optimizers.Adam(make_schedule(0.004, len(x), 24, epochs=2), beta_2=0.98)
    optimizer.build(model.trainable_variables)
    step = tf.function(make_train_step(model, loss_fn, optimizer), autograph=False)

# %%
if __name__ == "__main__":
    order = np.concatenate([batch_order(0, epoch, len(x)) for epoch in (0, 1)]).reshape(-1, 24)
    losses, written = [], {}
    for number, rows in enumerate(order):
        if number in (0, 200, 1000):
            written[number] = generate(model, "KING.\n", splits.classes, temperature=0.8)
        losses.append(float(step(x[rows], y[rows])[0]))
    written[len(order)] = generate(model, "KING.\n", splits.classes, temperature=0.8)


# %% tags=["cover"] alt="The loss falls steeply, below the table of pairs; slowly, below four back."
def plot_writing(losses, marked, levels, width=20):
    """Returns the Axes: the loss by step, the mean of `width` steps, with marks and levels."""
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    at = np.arange(len(smooth)) + width
    curve = {"loss on the training plays": smooth}
    ax = plotting.plot_lines(curve, x=at, x_label="step", y_label="nats per character")
    for name, level in levels.items():
        ax.axhline(level, color="0.5", linewidth=1, linestyle=":")
        ax.text(at[-1], level, name, ha="right", va="bottom", fontsize=9)
    for number in marked:
        ax.axvline(number, color="0.5", linewidth=1)
    return ax


if __name__ == "__main__":
    levels = {"a table of pairs": loss_of_pairs, "all alike": np.log(len(splits.classes))}
    levels["four back, counted"] = counted[4]
    plot_writing(losses, written, levels)

# %%
if __name__ == "__main__":
    for number, text in written.items():
        print(
            f"--- after {number} steps: {losses[min(number, len(losses) - 1)]:.2f}", text, sep="\n"
        )

# %% [markdown]
# At first every character is as likely as every other. After 200 steps there are words, or what
# looks like words, and lines. (A � is a character that the plays do not have.) Later there are
# speakers in capitals, sentences with a verb, and more words that exist. One sample says little:
# that after the last step is not plainly better than the one before. What all of them lack is a
# plot: the model sees 64 characters, and knows nothing of what stood before.
#
# The dotted lines are of the validation play, the curve is of the training plays. How good is the
# model on the play that it has not seen?

# %%
if __name__ == "__main__":
    x, y = splits.validation
    late = np.broadcast_to(np.where(np.arange(64) < 32, 0.0, 2.0), y.shape)  # the mean weight is 1
    for name, rows in {"all": (x, y), "32 to 63": (x, y, late)}.items():
        scores = evaluate(model, rows, loss_fn=loss_fn, batch_size=250)
        print(f"places {name:8}: {scores['loss']:.3f} nats per character")
    print(f"a table of pairs: {loss_of_pairs:.3f}; four back, counted: {counted[4]:.3f}")

# %% [markdown]
# It is worse there than in training. How much of that is another play, and how much is memorised,
# these numbers do not tell. And over whole windows the dictionary is ahead. At the beginning of its
# window the model has nothing to look at, while the dictionary always has four characters; the
# second line leaves that half out, and there the two are level. So a model of this size, after two
# passes over six plays, does about as well as this dictionary. (Better ways of counting exist; they
# would be ahead.)
#
# `python -m kerasbook.chapter6` does the same as a program. There the validation loss was 1.750 ±
# 0.006 nats per character, over five seeds.
#
# ## How boldly?
#
# The likeliest character, again and again: will that write best?

# %%
if __name__ == "__main__":
    print(generate(model, "KING.\n", splits.classes, temperature=0))

# %% [markdown]
# It goes round in circles. So one *samples*, and three knobs say how boldly. The *temperature*
# divides the logits: below 1 the likely becomes likelier, above 1 everything becomes more alike.
# *Top-k* keeps the $k$ likeliest characters only. *Top-p* keeps the fewest whose probabilities make
# up $p$: few where the model is sure, many where it is not.


# %%
def keep_top_k(logits, k):
    """Returns logits (…, classes) with −∞ for all but the k largest; of equal ones the first."""
    classes = logits.shape[-1]
    chosen = tf.math.top_k(logits, min(k, classes)).indices  # (…, k)
    kept = tf.reduce_any(tf.range(classes) == chosen[..., tf.newaxis], axis=-2)
    return tf.where(kept, logits, -np.inf)


def keep_top_p(logits, p):
    """Returns logits (…, classes) with −∞ for all but the fewest with probability p in sum."""
    order = tf.argsort(logits, direction="DESCENDING", stable=True)
    ordered = tf.gather(tf.nn.softmax(logits), order, batch_dims=-1)
    sum_before = tf.cumsum(ordered, axis=-1, exclusive=True)
    kept = (sum_before < p) | (tf.range(logits.shape[-1]) == 0)  # the first always
    kept = tf.gather(kept, tf.argsort(order), batch_dims=-1)  # back to their places
    return tf.where(kept, logits, -np.inf)


# %% [markdown]
# Here is how a word may begin after *The*, with each of the knobs. Which bars will go, which will
# grow?


# %% tags=["hide-input"] alt="Cold makes the longest bar longer; top-k and top-p cut short ones."
def plot_choices(logits, characters, shown=12):
    """Returns the Axes (4,): the probabilities of the likeliest characters, by four knobs."""
    kinds = {
        "as they are": logits,
        "temperature 0.5": logits / 0.5,
        "top-k, k = 3": keep_top_k(logits, 3),
        "top-p, p = 0.5": keep_top_p(logits, 0.5),
    }
    likeliest = np.argsort(-np.asarray(logits))[:shown]
    chances = {name: tf.nn.softmax(each).numpy()[likeliest] for name, each in kinds.items()}
    axes = plotting.page.new_axes(1, 4, plotting.page.PAGE_WIDTH, 3.0).ravel()
    for ax, (name, chance) in zip(axes, chances.items(), strict=True):
        ax.barh(range(shown), chance, color=plotting.page.BLUE)
        ax.set_yticks(range(shown), [repr(characters[n]) for n in likeliest])
        ax.invert_yaxis()
        ax.set(xlim=(0, 1.05 * np.max(list(chances.values()))), xlabel="probability")
        ax.set_title(name, fontsize=plotting.page.TEXT_SIZE)
    return axes


if __name__ == "__main__":
    beginning = encode_text("KING.\nThe ", splits.classes)[np.newaxis]
    plot_choices(model(beginning)[0, -1], splits.classes)

# %% [markdown]
# The low temperature takes from the short bars and gives to the long; top-k keeps three; top-p
# keeps as many as make up a half, and all that remains grows.

# %%
if __name__ == "__main__":
    for how in ({"temperature": 0.5}, {"temperature": 1.2}, {"top_k": 3}, {"top_p": 0.8}):
        print(how, repr(generate(model, "The ", splits.classes, count=70, **how)))

# %% [markdown]
# Seventy characters are one sample, and two of the three cautious ones have words that do not
# exist, too. What the knobs change for sure is the picture above: what is unlikely comes more
# often, less often or not at all. *What to try* has a way to count.
#
# Exercise: `draw_min_p`, a fourth knob.
#
# ## What is a symbol?
#
# So far a symbol is a character. Words would be another choice, but there are many, and the next
# text has some that this one did not have. Between the two lie *pieces* of words. Byte-pair
# encoding makes them (Sennrich and others 2016, of characters, as here; the name comes from a
# compression of bytes, and GPT-2 returned to bytes): begin with characters, and again and again
# join the commonest pair of neighbours into one piece. It is a ladder of five small functions. The
# first counts pairs.


# %%
def get_stats(words):
    """Returns how often each pair of neighbours occurs; words: {tuple of pieces: how often}."""
    stats = Counter()
    for word, count in words.items():
        for pair in pairwise(word):
            stats[pair] += count
    return stats


# %%
if __name__ == "__main__":
    words = {tuple(" low"): 5, tuple(" lower"): 2, tuple(" new"): 6, tuple(" newer"): 3}
    print(get_stats(words).most_common(4))

# %% [markdown]
# (A word has the blank before it, so that the text is its pieces, one after another.) The second
# joins a pair wherever it stands.


# %%
def merge(word, pair):
    """Returns the word's pieces, with every such pair of neighbours made one, from the left."""
    merged = []
    for piece in word:
        if merged and (merged[-1], piece) == pair:
            merged[-1] += piece
        else:
            merged.append(piece)
    return tuple(merged)


# %%
if __name__ == "__main__":
    print(merge(tuple(" newer"), ("n", "e")))

# %% [markdown]
# Training is both in turn. Of pairs that are equally common, the first in the alphabet is taken,
# where the blank comes before *a*, so that there is one answer. Which three pieces will come first,
# of the four words above?


# %%
def train_pieces(words, merges):
    """Returns the pairs that were joined, in their order."""
    joined = []
    for _ in range(merges):
        stats = get_stats(words)
        pair = min(stats, key=lambda pair: (-stats[pair], pair))
        joined.append(pair)
        words = {merge(word, pair): count for word, count in words.items()}
    return joined


# %%
if __name__ == "__main__":
    print(train_pieces(words, 5))

# %% [markdown]
# To encode a new word, the same pairs are joined in the same order; to decode, the pieces are put
# together. *Owner* is not among the four words, and has none of the five pairs. It can be written
# all the same, letter by letter, because its letters are known. (*Lowest* could not: no word has an
# *s* or a *t*, so they would become `<unknown>`.)


# %%
def encode(word, joined):
    """Returns the pieces of a word: the pairs are joined in the order of training."""
    pieces = tuple(word)
    for pair in joined:
        pieces = merge(pieces, pair)
    return pieces


def decode(pieces):
    """Returns the text of pieces."""
    return "".join(pieces)


# %%
if __name__ == "__main__":
    pieces = encode(" owner", train_pieces(words, 5))
    print(pieces, decode(pieces))

# %% [markdown]
# The book's own tokenizer, `kerasbook.data.subwords`, keeps the counts up to date in place of
# counting anew, so that it takes seconds for a whole language. Does it find the same pieces in the
# first 20,000 characters of *Othello*, and cut its words in the same places?


# %% tags=["hide-input"]
def compare_tokenizers(text, merges=200) -> tuple[int, int]:
    """Returns how many pieces and how many words' cuts are the same; all, or AssertionError."""
    words = Counter(subwords.split_words(text))
    joined = train_pieces({tuple(word): count for word, count in words.items()}, merges)
    characters = {character for word in words for character in word}
    size = len(subwords.SPECIAL) + len(characters) + len({"".join(pair) for pair in joined})
    theirs = subwords.make_pieces([text], size)
    assert list(theirs[-merges:]) == ["".join(pair) for pair in joined]
    rank = {piece: place for place, piece in enumerate(theirs)}
    for word in words:
        assert list(encode(word, joined)) == subwords.split_word(word, rank)
    return merges, len(words)


if __name__ == "__main__":
    plays = read_plays()
    pieces, cuts = compare_tokenizers(plays[0][:20_000])
    print(f"the same {pieces} pieces in the same order, {cuts} words cut in the same places")

# %% [markdown]
# *Five minutes:* `merge_ids`, one step of the ladder on numbers.
#
# ## Characters against pieces
#
# Which guesses better? A loss per piece cannot be compared with a loss per character, because a
# piece is longer and harder to guess. But the loss of a whole text can: sum it up, and divide by
# the number of characters. Two small models get the same number of steps on windows of 64 symbols,
# of characters and of 500 pieces. What do you expect?


# %%
def symbols_of(kind, plays, pieces=500):
    """Returns the plays as numbers, one array each, how many symbols there are, and lengths."""
    plays = [" ".join(play.split()) for play in plays]  # pieces know no line breaks
    if kind == "characters":
        names = ("<unknown>", *sorted(set(plays[0])))
        numbers = [encode_text(play, names) for play in plays]
    else:
        names = subwords.make_pieces([plays[0]], pieces)
        numbers = [np.array(subwords.encode([play], names)[0], np.int32) for play in plays]
    return numbers, len(names), [len(play) for play in plays]


# %% tags=["hide-input"]
def compare_symbols(kind, steps=400, seed=0) -> dict[str, float]:
    """Returns the validation loss of a small writer, per symbol and per character."""
    keras.utils.set_random_seed(seed)
    numbers, count, lengths = symbols_of(kind, read_plays()[:2])
    train, validation = (windows(each, 64) for each in numbers)
    model = make_writer(count, width=64)
    schedule = make_schedule(0.004, steps * 24, 24, epochs=1)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rows = np.concatenate([batch_order(seed, epoch, len(train.x)) for epoch in range(9)])
    rows = rows[: steps * 24]
    options = {"optimizer": keras.optimizers.Adam(schedule, beta_2=0.98), "progress": "none"}
    fit(model, (train.x[rows], train.y[rows]), loss_fn=loss_fn, batch_size=24, **options)
    loss = evaluate(model, tuple(validation), loss_fn=loss_fn, batch_size=250)["loss"]
    return {
        "symbols": count,
        "per symbol": loss,
        "characters per symbol": lengths[1] / len(numbers[1]),
        "per character": loss * len(numbers[1]) / lengths[1],
    }


if __name__ == "__main__":
    for kind in ("characters", "pieces"):
        print(kind, {name: round(value, 2) for name, value in compare_symbols(kind).items()})

# %% [markdown]
# Per symbol the pieces look worse, per character they are better by far. Three things differ, and
# this comparison does not separate them: a window of 64 pieces reaches more than twice as far back,
# in the same number of steps the model has seen more than twice as much text, and its tables have
# 500 rows and not 76. The price is that larger table, and a loss that nobody can compare with that
# of another tokenizer, unless it is given per character.
#
# ## As a program
#
# `main` loads, makes the model, fits, evaluates, plots.

# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["shakespeare", "tiny_shakespeare"],
    "headline": ["validation", "loss"],
    "unit": "nats per character",
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


# %% [markdown]
# What would a bigger one need? `--width 256 --blocks 4` has 3,199,053 weights, nearly eight times
# as many, and each step takes about eight times the arithmetic. In one run, with the same two
# passes and the same learning rate, its validation loss was 1.790: worse than the small one's. So
# weights alone are not enough; whether more passes or a lower rate would do was not tried. It
# wrote:
#
# ```text
# KING.
# What that thou day have might was underaces knatend the should of to-domab'd
# And thou never of of my depers. Cassio place of this fool,
# The beforth of the conce plate, it seervice:
# The man him bish'le
# ```
#
# ## What to try
#
# - `--blocks 1` and `--blocks 4`; `--width 32` and `--width 256`, each for the same time.
# - `make_writer(…, post_norm=True)` with 2 and with 12 blocks, with and without the warm-up.
# - `--dropout 0.1`: which of the two curves changes?
# - Count, in 2,000 characters by each knob, the words that the six plays do not have.
# - `generate` with a beginning that is not Shakespeare's. How soon does it become a play?
# - `positions="none"` in `make_writer`: is the loss much worse? (The triangle tells something.)
#
# ## Exercises
#
# Eleven exercises go with chapter 6. Ten are named above, each in its section, and one is on the
# next page. Three of them take five minutes. `kerasbook start DIR` copies their stubs, and the
# notebooks, into a folder; `kerasbook check` says which of your answers are right, and what to look
# at in the others.
#
# ## Where to go next
#
# [The next page](chapter6_encoder_decoder.ipynb) has a second stack, which reads while the first
# speaks, and says how English words are pronounced. [The one after it](chapter6_translation.ipynb)
# translates. [*The articles' mistakes*](errata.ipynb) has five that are made with Transformers,
# each beside what is right. `kerasbook verify 6` compares all that was built here by hand with
# Keras.
