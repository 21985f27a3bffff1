# %% [markdown]
"""
# What makes it fast

The loop of this book computes what `model.fit` computes, and takes less time. Where is the time
that it saves? And what is left, when nothing is wasted? This page takes the loop apart. Most of
what helps is not about TensorFlow: it is the same in any library.

The times were measured once, on a machine named below; `python -m kerasbook.bench` measures yours.
"""

# %%
import json
import statistics
import time
from importlib import resources

from kerasbook.chapter5 import lstm
from kerasbook.plotting.page import BLUE
from kerasbook.testing.compare import as_function, compare_functions, random_weights

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## Side by side
#
# Seven models: one of a single weight, and one in the manner of each of chapters 1 to 6. Each is
# trained from the same weights with the same optimizer, on batches of the same size, in up to eight
# ways. Their outputs are compared after four steps: but for rounding they compute the same numbers.
# The convolutional network, the LSTM and the Transformer have layers of this page on our side,
# which no chapter's command trains, and part of the gain comes from them: see below.
#
# A computer is not equally fast all the time: others use it, it grows warm. So each way is a
# process of its own, which waits until it is its turn, trains for a second, and waits again. Ratios
# are taken within a round, and we look at their median over the rounds, the smallest and the
# largest. Two traps were found on the way. The first epoch after a wait must be left out: after
# some waits `model.fit` stood still for seconds, its processor idle, before its pipeline handed
# over the next batches. That was the waiting's fault, and it once made the book's loop look ninety
# times as fast with the convolutional network, where it is two or three times as fast. And a
# machine that is shared with others can be slower for minutes, for one way to train more than for
# another: we come back to that. So the rounds of a row are spread over the whole run, with new
# processes for every two of them.


# %% alt="Milliseconds per step on a log scale, a bar for each of eight loops, for four models from a single weight to a CNN: this book's bar is the shortest in all four; the article's loop and a Trainer object are the slowest."
def recorded() -> dict:
    """Returns what `python -m kerasbook.bench --json` has measured."""
    return json.loads((resources.files("kerasbook") / "bench" / "results.json").read_text())


HEAVY = "cnn_pooled_first", "lstm_by_hand", "transformer_in_halves"
NAMES = {
    "kerasbook": "this book",
    "fit": "model.fit",
    "tuned": "model.fit, many steps per call",
    "tuned, XLA": "the same, with XLA",
    "eager": "the article's loop",
    "trainer": "a Trainer object",
    "torch": "PyTorch",
    "torch.compile": "torch.compile",
}


def median_times(row) -> dict[str, float]:
    """Returns milliseconds per step of each way to train, for one row of `recorded`."""
    times = row["milliseconds_per_step"]
    return {NAMES[name]: statistics.median(each) for name, each in times.items()}


def plot_sides(rows):
    """Returns the Axes: milliseconds per step of each way, on a logarithmic scale; one per row."""
    _, axes = plt.subplots(len(rows), figsize=(6.6, 1.9 * len(rows)), layout="constrained")
    for ax, row in zip(np.atleast_1d(axes), rows, strict=True):
        times = median_times(row)
        bars = ax.barh(list(times), list(times.values()), height=0.65, color="lightgrey")
        bars[0].set_color(BLUE)
        ax.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
        least = 10.0 ** np.floor(np.log10(min(times.values())))
        ax.set(xscale="log", title=row["title"], xlim=(least, 4 * max(times.values())))
        ax.xaxis.set_minor_formatter("")
        ax.invert_yaxis()
    np.atleast_1d(axes)[-1].set_xlabel("milliseconds per step")
    return axes


if __name__ == "__main__":
    results = recorded()
    rows = results["rows"]
    print(f"{results['machine']['device']}, {results['processor']}, {results['cores']} cores")
    print(", ".join(f"{name} {version}" for name, version in results["versions"].items()))
    plot_sides([rows[name] for name in ("empty", "regression", "dense", "cnn_pooled_first")])

# %% [markdown]
# Is that chance? The whole was measured more than once. Do these medians lie between the smallest
# and the largest round of the earlier runs?

# %%
if __name__ == "__main__":
    for line in results["against"]["in_words"]:
        print(line)

# %% [markdown]
# The model of one weight has nothing to compute. What a step costs there, it costs everywhere:
# fetching the batch, calling the function, keeping the scores. An eager loop pays more than a
# thousand times what ours pays. In the dense network this still decides. In the convolutional
# network the arithmetic does, and the ways come closer to each other.
#
# So there are two questions. How does one get rid of the cost per step? And if the arithmetic
# decides, can the same numbers be had with less work?
#
# ## The cost of a step
#
# Here is the step of a small model, run a hundred times in three ways: operation by operation; in
# one graph per step; and with the loop itself in the graph, as `kerasbook.training.fit` has it.


# %%
def make_small_step():
    """Returns `step()`, which takes one step of gradient descent for a line with ten weights."""
    x, y = tf.random.normal((32, 10)), tf.random.normal((32, 1))
    weights = tf.Variable(tf.zeros((10, 1)))

    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((x @ weights - y) ** 2)
        slope = tape.gradient(loss, weights)
        weights.assign_sub(tf.multiply(0.01, slope))

    return step


def repeated(step, steps):
    """Returns a function that takes so many steps in one call."""

    def run():
        def body(number):
            step()
            return number + 1

        tf.while_loop(lambda number: number < steps, body, [0])

    return tf.function(run, autograph=False)


def microseconds_per_step(steps=100) -> dict[str, float]:
    """Returns the time per step, in millionths of a second, for the three ways."""
    step = make_small_step()
    graph, loop = tf.function(step, autograph=False), repeated(step, steps)
    ways = {
        "operation by operation": lambda: [step() for _ in range(steps)],
        "a graph per step": lambda: [graph() for _ in range(steps)],
        "the loop in the graph": loop,
    }
    found = {}
    for name, run in ways.items():
        run()  # traces
        times = []
        for _ in range(5):
            started = time.perf_counter()
            run()
            times.append(time.perf_counter() - started)
        found[name] = 1e6 * statistics.median(times) / steps
    return found


# %% tags=["timing"]
if __name__ == "__main__":
    for name, microseconds in microseconds_per_step().items():
        print(f"{name:24}{microseconds:8.0f} µs per step")

# %% [markdown]
# That is the whole secret of the small models. `fit` adds three things to it. The data lie where
# the step runs, and the rows of a batch are gathered inside the loop: no pipeline hands them over.
# A call takes at most about a fifth of a second, and never more than an epoch: long enough to be
# cheap, short enough to show progress, to hear Ctrl-C and to notice a NaN. And where XLA makes the
# step faster, which was measured, the loop is compiled with it, if there are enough steps to earn
# back the time of compiling.
#
# ## How the time grows
#
# With both axes logarithmic, time proportional to size is a line of slope 1, and time proportional
# to its square one of slope 2. The dotted curves are the arithmetic: the operations of the model's
# products, counted, and moved so that they end where the time ends. Where the time is flatter, it
# goes into something other than arithmetic.


# %% alt="Seconds over five kinds of size on log scales, each beside the dotted growth of the arithmetic: small dense networks are flatter than the arithmetic and join it as they grow; the GRU, the Transformer and the number of examples stay near it."
def plot_growth(curves):
    """Returns the Axes: seconds over size, and the growth of the arithmetic, dotted."""
    rows = -(-len(curves) // 2)
    _, axes = plt.subplots(rows, 2, figsize=(6.6, 2.3 * rows), layout="constrained")
    for ax, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        sizes, seconds = np.array(curve["sizes"]), np.array(curve["seconds"])
        flops = np.array(curve["flops"])
        slope = np.log(flops[-1] / flops[-2]) / np.log(sizes[-1] / sizes[-2])
        line = seconds[-1] * flops / flops[-1]
        ax.loglog(sizes, line, ":", color="grey", label=f"arithmetic, slope {slope:.2f} at the end")
        ax.loglog(sizes, seconds, "o-", color=BLUE)
        ax.set(title=name, xlabel=name.partition(",")[0], ylabel="seconds")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_minor_formatter("")
        ax.legend(fontsize=7)
    for ax in axes.flat[len(curves) :]:
        ax.axis("off")
    return axes


if __name__ == "__main__":
    plot_growth(results["growth"])

# %% [markdown]
# Small batches and narrow layers are nearly free: their curves begin flat. A batch of four takes
# about as long as one of sixteen. So the first advice for a slow training is not a faster loop, but
# a larger batch, as long as the model learns as well with it. In the length of a sequence the GRU
# grows in proportion from the beginning: its steps wait for each other.
#
# ## The same numbers with less work: convolution, bias, ReLU, pooling
#
# The article's network adds a bias to every place of every map, sets what is negative to zero, and
# then keeps the largest of every four. But the bias is the same at all places, and neither it nor
# the ReLU changes which of four numbers is the largest:
#
# $$\max_k \operatorname{ReLU}(z_k + b) = \operatorname{ReLU}\bigl(\max_k z_k + b\bigr) .$$
#
# On the right, bias and ReLU have a quarter of the numbers to go through, on the way back too.


# %%
class ConvPoolRelu(layers.Layer):
    """A 3 × 3 convolution, max pooling if wanted, and only then bias and ReLU."""

    def __init__(self, filters, pool=True, **options):
        """Takes the number of maps, and whether 2 × 2 places become one."""
        super().__init__(**options)
        self.filters, self.pool = filters, pool

    def build(self, x_shape):
        """Makes the weights, as `layers.Conv2D` does."""
        shape = (3, 3, x_shape[-1], self.filters)
        self.kernel = self.add_weight(shape=shape, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, x):
        """Returns the maps (n, height, width, filters) of x (n, height, width, channels)."""
        x = tf.nn.conv2d(x, self.kernel, 1, "VALID")
        if self.pool:
            x = tf.nn.max_pool2d(x, 2, 2, "VALID")
        return tf.nn.relu(tf.nn.bias_add(x, self.bias))


def compare(ours, theirs, x) -> float:
    """Returns the largest difference of two layers, for random weights.

    Compared are the outputs, and the gradients of x and of all weights.
    """
    for layer in (ours, theirs):
        layer.build(x.shape)
    functions, weights = (as_function(ours), as_function(theirs)), random_weights(theirs)
    return max(compare_functions(*functions, x, *weights).values())


if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=(2, 9, 9, 3)).astype("float32")
    as_in_the_article = keras.Sequential(
        [layers.Conv2D(5, 3, activation="relu"), layers.MaxPooling2D()]
    )
    difference = compare(ConvPoolRelu(5), as_in_the_article, x)
    print(f"pooling first and last: largest difference {difference:.0e}")

# %% [markdown]
# ## The same numbers with less work: the LSTM
#
# The end of this page derives the LSTM's way back by hand, so that the products with the weights
# need not be taken step by step. Three more things help, and each of them leaves the numbers as
# they are.
#
# **One function for all gates.** Three gates are sigmoids, the fourth is a tanh. But
# $\sigma(s) = \tfrac12 + \tfrac12 \tanh(s / 2)$, so that all four are $a + b \tanh(b s)$ with
# $b = \tfrac12, a = \tfrac12$ for the sigmoids and $b = 1, a = 0$ for the tanh. One pass over all
# the sums $s$ (n, 4 · units) then does for all, instead of four passes over its quarters. The slope
# is $b^2 (1 - \tanh^2)$, again the same for all.
#
# **XLA** makes one loop of code of what stands between two products.
#
# **Two halves of the batch.** The steps of a sequence wait for each other, and the product of one
# step is too small to be worth sharing between cores. But the rows of a batch have nothing to do
# with each other. So each half of them goes by itself from the first step to the last, and two
# cores are busy.


# %%
def scales_of(units, dtype="float32"):
    """Returns b and a, each (4 · units,): the gates are a + b · tanh(b · s)."""
    gate, content = tf.fill((units,), tf.constant(0.5, dtype)), tf.ones((units,), dtype)
    return tf.concat([gate, gate, content, gate], 0), tf.concat([gate, gate, 0 * content, gate], 0)


@tf.function(jit_compile=True, autograph=False)
def forward(x, kernel, recurrent_kernel, bias):
    """Returns the outputs (n, time, units), and what the way back needs: h, c, gates by time."""
    units, by_time = recurrent_kernel.shape[0], tf.transpose(x, (1, 0, 2))
    sums = tf.tensordot(by_time, kernel, 1) + bias  # of all steps at once
    b, a = scales_of(units, x.dtype)
    zeros = tf.zeros_like(sums[0, :, :units])

    def step(state, x_sum):
        h, c, _ = state
        gates = a + b * tf.tanh(b * (x_sum + h @ recurrent_kernel))
        i, f, g, o = tf.split(gates, 4, axis=-1)
        c = f * c + i * g
        return o * tf.tanh(c), c, gates

    h, c, gates = tf.scan(step, sums, (zeros, zeros, sums[0]))
    return tf.transpose(h, (1, 0, 2)), h, c, gates


@tf.function(jit_compile=True, autograph=False)
def backward(grad_h, x, h, c, gates, recurrent_kernel):
    """Returns the gradients of the sums (time, n, 4 · units), kernel, recurrent kernel and bias."""
    zeros, back = tf.zeros_like(c[:1]), tf.transpose(recurrent_kernel)
    h_before, c_before = tf.concat([zeros, h[:-1]], 0), tf.concat([zeros, c[:-1]], 0)
    i, f, g, o = tf.split(gates, 4, axis=-1)
    t = tf.tanh(c)
    for_c = o * (1 - t**2)
    slopes = [g * i * (1 - i), c_before * f * (1 - f), i * (1 - g**2), t * o * (1 - o)]

    def step_back(state, step):
        grad_h, grad_c, _ = state
        grad_h_here, for_c, slopes, f = step
        grad_h += grad_h_here
        grad_c += grad_h * for_c
        grad_sum = tf.concat([grad_c, grad_c, grad_c, grad_h], -1) * slopes
        return grad_sum @ back, grad_c * f, grad_sum

    steps = tf.transpose(grad_h, (1, 0, 2)), for_c, tf.concat(slopes, -1), f
    start = zeros[0], zeros[0], gates[0]
    _, _, grad_sum = tf.scan(step_back, steps, start, reverse=True)
    # The gradients of kernel, recurrent kernel and bias are one product.
    ones = tf.ones_like(h[..., :1])
    inputs = tf.concat([tf.transpose(x, (1, 0, 2)), h_before, ones], -1)
    both = tf.tensordot(inputs, grad_sum, ((0, 1), (0, 1)))
    return grad_sum, *tf.split(both, [x.shape[-1], h.shape[-1], 1])


@tf.function(autograph=False)
@tf.custom_gradient
def lstm_in_halves(x, kernel, recurrent_kernel, bias):
    """Returns the outputs of an LSTM (n, time, units) for x (n, time, inputs), from zero states."""
    half = x.shape[0] // 2 if (x.shape[0] or 0) >= 16 else 0
    parts = [x[:half], x[half:]] if half else [x]
    done = [forward(part, kernel, recurrent_kernel, bias) for part in parts]

    def gradient(grad_h):
        bars = [grad_h[:half], grad_h[half:]] if half else [grad_h]
        found = [
            backward(bar, part, *kept, recurrent_kernel)
            for bar, part, (_, *kept) in zip(bars, parts, done, strict=True)
        ]
        grad_sums, kernels, recurrent_kernels, biases = zip(*found, strict=True)
        # Not needed for the first layer of a network: then TensorFlow leaves it out.
        grad_x = tf.tensordot(tf.concat(grad_sums, 1), tf.transpose(kernel), 1)
        grad_x = tf.transpose(grad_x, (1, 0, 2))
        return grad_x, tf.add_n(kernels), tf.add_n(recurrent_kernels), tf.add_n(biases)[0]

    return tf.concat([outputs for outputs, *_ in done], 0), gradient


class HandMadeLSTM(layers.Layer):
    """`layers.LSTM` without masks, dropout and initial states, for a CPU."""

    def __init__(self, units, return_sequences=False, **options):
        """Takes the number of units, and whether all outputs are wanted or the last."""
        super().__init__(**options)
        self.units, self.return_sequences = units, return_sequences

    def build(self, x_shape):
        """Makes the weights, as `layers.LSTM` does: the forget gate's bias is 1."""
        wide, units = 4 * self.units, self.units
        first = np.repeat([0.0, 1.0, 0.0, 0.0], units)
        self.kernel = self.add_weight(
            shape=(x_shape[-1], wide), initializer="glorot_uniform", name="kernel"
        )
        self.recurrent_kernel = self.add_weight(
            shape=(units, wide), initializer="orthogonal", name="recurrent_kernel"
        )
        self.bias = self.add_weight(
            shape=(wide,),
            initializer=lambda shape, dtype=None: tf.constant(first, dtype),
            name="bias",
        )

    def compute_output_shape(self, x_shape):
        """Returns (n, time, units), or (n, units)."""
        n, steps, _ = x_shape
        return (n, steps, self.units) if self.return_sequences else (n, self.units)

    def call(self, x):
        """Returns all outputs, or the last, for x (n, time, inputs)."""
        weights = [weight.value for weight in (self.kernel, self.recurrent_kernel, self.bias)]
        outputs = lstm_in_halves(x, *weights)
        return outputs if self.return_sequences else outputs[:, -1]


if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=(17, 11, 3)).astype("float32")
    for options in ({"return_sequences": True}, {}):
        difference = compare(HandMadeLSTM(6, **options), layers.LSTM(6, **options), x)
        print(f"by hand and Keras' layer, {options or 'the last output'}: {difference:.0e}")

# %% [markdown]
# On a GPU none of this is needed: there Keras' layer runs in a kernel of cuDNN that does the same
# and more.
#
# ## The same work with less waiting: the Transformer, and convolutions again
#
# TensorFlow shares an operation out among the cores, if it is large enough. In the end one core has
# to wait for the other. If that takes long, its thread goes to sleep and must be woken, and that
# costs as much as a small operation. The system counts how often threads fall asleep:


# %%
def median_waits(row) -> dict[str, float]:
    """Returns how often a thread goes to sleep in a step, for each way to train."""
    return {NAMES[name]: statistics.median(each) for name, each in row["waits_per_step"].items()}


if __name__ == "__main__":
    print(f"{'':52}this book  model.fit  PyTorch")
    for name in ("gru", *HEAVY):
        waits = median_waits(rows[name])
        ours, fit, torch = (waits[each] for each in ("this book", "model.fit", "PyTorch"))
        print(f"{rows[name]['title']:52}{ours:9.0f}{fit:11.0f}{torch:9.0f}")

# %% [markdown]
# PyTorch's threads stay awake: they turn in a circle until there is work. TensorFlow's do that only
# for a moment. A Transformer has hundreds of operations in a step, each just large enough to be
# shared out. But many of them do not depend on each other: queries, keys and values; the gradient
# of a weight and that of its input. So `devices.one_thread_per_operation` gives each operation one
# thread, on two cores, and lets two operations run side by side. (`python -m kerasbook.chapter6`
# calls it first of all: TensorFlow takes the setting only before it has computed something.) And to
# have always two operations that do not depend on each other, the batch is halved again.


# %%
class InHalves(layers.Layer):
    """Gives each half of a batch by itself to a model.

    Its rows must have nothing to do with each other, which rules out batch normalisation.
    """

    def __init__(self, within, **options):
        """Takes the model."""
        super().__init__(**options)
        self.within = within

    def call(self, x):
        """Returns the outputs of the model for x; a GPU gets it in one piece."""
        half = 0 if tf.config.get_visible_devices("GPU") else (x.shape[0] or 0) // 2
        parts = [x[:half], x[half:]] if half else [x]
        return tf.concat([self.within(part) for part in parts], 0)


if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=(17, 3)).astype("float32")
    dense = keras.Sequential([keras.Input((3,)), layers.Dense(5, "tanh")])
    difference = np.abs(InHalves(dense)(x) - dense(x)).max()
    print(f"in halves and at once: largest difference {difference:.0e}")

# %% [markdown]
# Our convolutional network is trained in halves too, with one thread per operation. Without halves
# that would cost time there, for one operation follows the other; and the LSTM, whose steps XLA
# compiles, was slower with one thread.
#
# Sleep also explains the bad minutes. On the virtual machine where all this was measured, the time
# that it takes to wake the other core changed now and then, by a quarter, and stayed so for
# minutes. A Transformer whose operations are shared out became slower by as much, at the same
# moment; large products, which wait little, did not.
#
# Here are the recurrent rows and the Transformer. Its blocks are chapter 6's: one product makes
# keys and values together, and all tokens of a batch go through a dense layer as the rows of one
# matrix.

# %% alt="Milliseconds per step on a log scale for the GRU, the two LSTMs made by hand and the Transformer: this book's bar is the shortest in all three, the article's loop and a Trainer object are far behind."
if __name__ == "__main__":
    plot_sides([rows[name] for name in ("gru", "lstm_by_hand", "transformer_in_halves")])

# %% [markdown]
# ## How far from the limit?
#
# A processor has a speed that no program exceeds. Let a large matrix product stand for it. How much
# of it does a training step use? The model's arithmetic is counted in its graph: only products and
# convolutions, two operations for each pair of numbers that are multiplied and added.
#
# For the rest of the time there are two explanations: products that are too small to be fast, and
# everything that is not a product. They can be told apart. Each product of the step is run alone,
# in its own size, with the data in place: that is the second column.


# %%
def account(results, names) -> list[tuple[str, float, float, float]]:
    """Returns for these rows: title, and three shares of the step's time, which add up to 1.

    The products at the speed of a large one; what they take longer in their own sizes; the rest.
    """
    machine, found = results["machine"], []
    for name in names:
        row = results["rows"][name]
        step = statistics.median(row["milliseconds_per_step"]["kerasbook"]) / 1000
        speed = statistics.median(row["product_flops_per_second"])
        least = machine["flops_per_step"][name] / speed
        alone = max(least, machine["seconds_of_products"][name])
        found.append((row["title"], least / step, (alone - least) / step, (step - alone) / step))
    return found


if __name__ == "__main__":
    print(f"{'':52}at best  their size  the rest")
    for title, best, size, rest in account(results, HEAVY):
        print(f"{title:52}{best:7.0%}{size:12.0%}{rest:10.0%}")

# %% [markdown]
# What is the rest? TensorFlow's profiler measures every operation of an epoch. Two that run at the
# same time, one on each core, both count, so that these are shares of the operations' time and not
# of the step's.


# %% alt="The share of each kind of operation in a step of the CNN, the two LSTMs and the Transformer: products take most of it in all three, least in the LSTMs, where moving numbers and work number by number take the rest."
def plot_kinds(results, names):
    """Returns the Axes: the share of each kind of operation, one bar for each of these rows."""
    ax = plt.subplots(figsize=(6.6, 2.4), layout="constrained")[1]
    shares = [results["machine"]["shares_by_kind"][name] for name in names]
    titles = [results["rows"][name]["title"].partition(",")[0] for name in names]
    done = np.zeros(len(names))
    for kind in shares[0]:
        widths = np.array([each[kind] for each in shares])
        bars = ax.barh(titles, widths, left=done, height=0.6, label=kind)
        ax.bar_label(bars, [f"{w:.0%}" if w >= 0.05 else "" for w in widths], label_type="center")
        done += widths
    ax.set(xlabel="share of the operations' time", xlim=(0, 1))
    ax.invert_yaxis()
    ax.figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return ax


if __name__ == "__main__":
    plot_kinds(results, HEAVY)

# %% [markdown]
# The Transformer uses more than the other two, which come to about a half. In the convolutional
# network one reason is size: convolutions of few channels are slower than a large product. It does
# little else than products and pooling. In the LSTM and in the Transformer the products lose
# little; what stands around them takes the rest. In the LSTM much of that is moving numbers: what
# the way back needs of every step is written to arrays of all steps, and read again. In the
# Transformer normalisation, ReLU, biases, softmax, sums and their ways back go through all the
# numbers, and do little with each.
#
# ## The wait before the first step, and the wait for a score
#
# All this has a price: a graph must be traced, and XLA must compile it, before the first step is
# done. Anyone who tries out ten models for a minute each feels it. So what counts in the end is the
# wait from pressing the key to a model that is good enough: importing, loading, compiling,
# training. Here a chapter's program is run until its validation score is one that each of five
# seeds reached in the end.


# %% alt="Pairs of bars for chapters 1 to 6, seconds from the start of Python to the score: with this book's loop the wait is shorter in every chapter, in chapter 1 only just."
def plot_waits(scores):
    """Returns the Axes: seconds from the start of Python to the score, by chapter and loop."""
    ax = plt.subplots(figsize=(6.6, 3), layout="constrained")[1]
    for place, (loop, name) in enumerate((("tape", "this book"), ("fit", "model.fit"))):
        seconds = [
            statistics.median(run["seconds"] for run in each[loop]) for each in scores.values()
        ]
        bars = ax.bar(np.arange(len(scores)) + 0.4 * place, seconds, 0.38, label=name)
        ax.bar_label(bars, fmt="{:.1f}", fontsize=8)
    labels = [
        f"chapter {name[7:]}\n{each['score']}\n{each['target']:.3f}"
        for name, each in scores.items()
    ]
    ax.set_xticks(np.arange(len(scores)) + 0.2, labels)
    ax.set(ylabel="seconds to the score")
    ax.margins(y=0.1)
    ax.legend()
    return ax


if __name__ == "__main__":
    print("seconds until the first step is done:")
    for row in rows.values():
        first = row["first_step_seconds"]
        print(f"{row['title']:52}", *(f"{first[n]:6.1f}" for n in ("kerasbook", "fit", "eager")))
    plot_waits(results["score"])

# %% [markdown]
# The columns are this book, `model.fit` and the article's loop, which compiles nothing and begins
# at once. For a model of one weight the eager loop is the best way, if a few dozen steps are
# enough. And where a program is done after seconds, most of the wait is the import of TensorFlow,
# which is the same for all: in chapter 1 our loop and `model.fit` have their score at nearly the
# same time.

# %% [markdown]
# ## More about the LSTM: the way back by hand
#
# What does the tape compute for the LSTM of chapter 5, and can it be done by hand? Let $\bar h_t$
# stand for the gradient of the loss for $h_t$, and so on; all of them are (n, units). We go from
# the last step to the first. Into $\bar h_t$ goes what the loss itself says, and what comes back
# from step $t + 1$. From there,
#
# $$\begin{aligned}
# \bar o &= \bar h_t \odot \tanh c_t, &
# \bar c_t &\leftarrow \bar c_t + \bar h_t \odot o \odot (1 - \tanh^2 c_t), \\
# \bar i &= \bar c_t \odot g, \quad \bar f = \bar c_t \odot c_{t-1}, &
# \bar g &= \bar c_t \odot i, \qquad \bar c_{t-1} = \bar c_t \odot f .
# \end{aligned}$$
#
# Times the slopes of sigmoid and tanh, these four are the gradient $\bar s_t$, (n, 4 · units), for
# the sums before the gates; and $\bar h_{t-1} = \bar s_t\, U^\top$. The weights are the same at
# every step, so their gradients are sums over the steps: $\bar U = \sum_t h_{t-1}^\top \bar s_t$.
#
# Such a sum need not be taken step by step. Stack all $h_{t-1}$ and all $\bar s_t$, and it is one
# large matrix product; so are those for the kernel and the input. On the way out it is the same:
# $x_t W$ does not wait for $h_{t-1}$, so all steps of it are one product. Only $h_{t-1} U$ must be
# computed step by step. `tf.scan` is TensorFlow's own loop over the first axis, here time, and
# `tf.custom_gradient` puts our way back in place of the tape's.


# %%
def gates_and_slopes(sums):
    """Returns the gates (i, f, g, o) and their slopes, each (n, units), for sums (n, 4 · units)."""
    i, f, g, o = tf.split(sums, 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    return (i, f, g, o), (i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o))


@tf.custom_gradient
def recurrence(x_sums, recurrent_kernel):
    """Returns h of all steps (time, n, units), for x_t W + b of all steps (time, n, 4 · units)."""
    zeros = tf.zeros_like(x_sums[0, :, : recurrent_kernel.shape[0]])

    def step(state, x_sum):
        h, c, _ = state
        sums = x_sum + h @ recurrent_kernel
        (i, f, g, o), _ = gates_and_slopes(sums)
        c = f * c + i * g
        return o * tf.tanh(c), c, sums

    h, c, sums = tf.scan(step, x_sums, (zeros, zeros, x_sums[0]))

    def gradient(h_bar):
        h_before, c_before = (tf.concat([zeros[tf.newaxis], a[:-1]], axis=0) for a in (h, c))

        def step_back(state, step):
            h_bar, c_bar, _ = state
            h_bar_here, c, c_before, sums = step
            (i, f, g, o), (slope_i, slope_f, slope_g, slope_o) = gates_and_slopes(sums)
            h_bar += h_bar_here
            c_bar += h_bar * o * (1 - tf.tanh(c) ** 2)
            for_o = h_bar * tf.tanh(c) * slope_o
            for_others = [c_bar * g * slope_i, c_bar * c_before * slope_f, c_bar * i * slope_g]
            s_bar = tf.concat([*for_others, for_o], axis=-1)
            return s_bar @ tf.transpose(recurrent_kernel), c_bar * f, s_bar

        steps = (h_bar, c, c_before, sums)
        _, _, s_bar = tf.scan(step_back, steps, (zeros, zeros, x_sums[0]), reverse=True)
        return s_bar, tf.tensordot(h_before, s_bar, ((0, 1), (0, 1)))

    return h, gradient


def lstm_with_way_back(x, weights):
    """Returns the outputs of `lstm` (n, time, units), without a mask, from a state of zeros."""
    kernel, recurrent_kernel, bias = weights
    x_sums = tf.transpose(x, (1, 0, 2)) @ kernel + bias  # (time, n, 4 · units), all at once
    return tf.transpose(recurrence(x_sums, recurrent_kernel), (1, 0, 2))


if __name__ == "__main__":
    random = np.random.default_rng(0)
    layer = layers.LSTM(6)
    layer.build((5, 11, 3))
    inputs = [random.normal(size=(5, 11, 3)), *random_weights(layer)]
    inputs = [each.astype("float64") for each in inputs]
    differences = compare_functions(
        lambda x, *weights: lstm_with_way_back(x, weights),
        lambda x, *weights: lstm(x, weights)[0],
        *inputs,
    )
    worst = max(differences.values())
    print(f"outputs and gradients by hand, by the tape: largest difference {worst:.0e}")

# %% [markdown]
# And how fast is it? Two layers of 128 units, 100 steps, 64 sequences to a batch, on two cores, the
# medians of three rounds in turns:
#
# | | ms per step |
# |---|---|
# | our loop, Keras' layers | 132 |
# | our loop, the way back by hand | 209 |
# | our loop, the way back by hand, XLA (`jit="on"`) | 227 |
# | PyTorch, eager | 114 |
#
# The way back by hand is the slowest: it computes the gates a second time, and keeps no slopes. We
# also tried to keep them, and to compute all slopes and each weight's gradient for all steps at
# once: 185 ms, with XLA 153, still behind Keras' layer. The matrix products of a step make 9.5
# billion operations. The rest of the time goes into 200 small steps forwards and 200 back, each of
# a dozen operations on 64 × 512 numbers, one after the other. TensorFlow's profiler counts 7,600
# operations in one step of our loop. 1,100 of them are matrix products, and have about six tenths
# of the operations' time; the others share the rest. PyTorch's profiler finds nine tenths of its
# time in four calls of hand-written machine code: each layer forwards, and each back. XLA joins
# operations too, but does not help here, so `jit="auto"` leaves it off for Keras' LSTMs on a CPU.
#
# ## More about the GRU: what makes it quicker?
#
# A recurrent network is slow for its size: step $t$ must wait for step $t-1$, and each is a small
# product with much around it. We measured a training step of an embedding 10,000 × 64, a GRU of 64
# units, 100 words and 64 sentences, in turns, on two cores, in processor time (other programs were
# running):
#
# | | milliseconds a step |
# |---|---|
# | `model.fit` | 97 to 103 |
# | our loop, `--jit off` | 89 |
# | our loop, compiled with XLA | 50 to 56 |
# | the same, input products of all words at once and gradients by hand | 52 |
#
# XLA helps: it makes one piece of code of the many small operations around each product. It costs
# about five seconds once. To compute $x_t W$ for all words in one product before the loop, and the
# gradients of $W$ and $U$ in one product after it, saves a hundred small products and did not save
# time: what is saved there goes into moving the numbers of all steps to memory and back. So chapter
# 4 stays with Keras' layer. The surest gain is the plainest, to read less padding: the time grows
# with the length of the rows. That is why they end after 40 words.
#
# Two more tries, with a GRU of 32 units and 128 sentences a step, again in turns. Keras can write
# all 40 steps out one after the other (`unroll=True`). Without XLA a step then takes 0.8 to 0.9 of
# its time, but XLA with the loop takes less, 0.6 to 0.7; and to compile the 40 steps with XLA took
# 25 times as long as the loop. The other try is *bucketing*, batches of sentences of like length: a
# step with rows of 20 words takes 0.6 of one with 40, one with 12 words 0.5, and half of the
# sentences have at most 18. With four lengths an epoch would need about two thirds of its time. But
# each length is compiled by itself, for some seconds, and that is more than five epochs of 63 steps
# would save. It pays where training is long.
