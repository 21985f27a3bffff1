# %% [markdown]
"""
# What makes it fast

You press the key, and wait. Where do the seconds go, and which of them can be had back? The loop of
this book computes what `model.fit` computes, and takes less time. This page takes it apart. Most of
what helps is not about TensorFlow: it is the same in any library.
"""

# %% tags=["hide-input"]
import json
import re
import statistics
import time
from importlib import resources

from kerasbook import chapter2_deep_network, chapter3, plotting
from kerasbook.chapter5 import lstm
from kerasbook.plotting.page import BLUE, GREEN, ORANGE, SKY
from kerasbook.testing.compare import as_function, compare_functions, random_weights
from kerasbook.training import make_train_step

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers


def recorded(name="results") -> dict:
    """Returns what `python -m kerasbook.bench` has measured; `scaling`: what its other part has."""
    return json.loads((resources.files("kerasbook") / "bench" / f"{name}.json").read_text())


# %% [markdown]
# ## How long until the model is good?
#
# That is what counts in the end: the time from pressing the key to a score that is good enough,
# with importing, loading and compiling in it. Each chapter's program was run until its validation
# score was one that all of five seeds had reached in the end, once with our loop and once with
# `model.fit` on the same batches (`--loop fit`). Before you look: by how much does a faster loop
# shorten the wait in chapter 1, whose training is a few hundred tiny steps?


# %% tags=["hide-input"]
def plot_waits(scores):
    """Returns the Axes: seconds from the start of Python to the score, by chapter and loop."""
    ax = plt.subplots(figsize=(6.6, 0.55 * len(scores) + 1), layout="constrained")[1]
    for place, (loop, name) in enumerate((("tape", "this book"), ("fit", "model.fit"))):
        seconds = [median_of(each[loop], "seconds") for each in scores.values()]
        color = (BLUE, "lightgrey")[place]
        bars = ax.barh(np.arange(len(scores)) + 0.4 * place, seconds, 0.38, label=name, color=color)
        ax.bar_label(bars, fmt="{:.3g}", padding=3, fontsize=8)
    names = [key.removeprefix("chapter").replace("_", " ") for key in scores]
    ax.set_yticks(np.arange(len(scores)) + 0.2, names)
    ax.set(xlabel="seconds from the key to the score", ylabel="chapter", xscale="log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlim(1, 2 * ax.get_xlim()[1])
    ax.invert_yaxis()
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2, frameon=False)
    return ax


# %%
def name_of(row) -> str:
    """Returns the row's title without its sizes."""
    return row["title"].partition(" (")[0].partition(",")[0]


def median_of(runs, name):
    """Returns the median of one figure of several runs."""
    return statistics.median(run[name] for run in runs)


# %%
if __name__ == "__main__":
    results = recorded()
    rows, loops = results["rows"], ("tape", "fit")
    waits = results.get("score", {})
    waits = {k: each for k, each in waits.items() if all(each[loop] for loop in loops)}
    print(f"{results['machine']['device']}, {results['processor']}, {results['cores']} cores")
    print(", ".join(f"{name} {version}" for name, version in results["versions"].items()))

# %% alt="Two bars for each chapter, the seconds to a score with this book's loop and with model.fit."
if __name__ == "__main__":
    plot_waits(waits) if waits else print("on this processor not measured yet")

# %% [markdown]
# In chapter 1 hardly at all: nearly the whole wait is not training. So where is it?

# %%
if __name__ == "__main__":
    print("chapter                  imports  until the first step  training")
    for key, each in waits.items():
        imported, began, seconds = (
            median_of(each["tape"], name) for name in ("imported", "began", "seconds")
        )
        print(f"{key:24}{imported:8.1f}{began - imported:22.1f}{seconds - began:10.1f}")

# %% [markdown]
# The import of TensorFlow is the same for every program, and no loop shortens it. What comes
# between is reading the data, making the model, tracing and compiling. Only the last column is the
# loop's. Where it is long, what is in it?
#
# ## What does a step cost?
#
# Take a training step of chapter 2's deep network, and one of chapter 3's convolutional network.
# Two things can be counted without a clock. One is the *arithmetic*, nearly all of it in matrix
# products: a weight makes one multiplication and one addition for each row and each place where it
# is used, and on the way back twice as many, in the first layer as many. The other is the number of
# *operations* in the graph: each is a piece of compiled code that TensorFlow has to look up, feed
# and call.


# %%
def arithmetic_of_step(model, rows) -> int:
    """Returns the additions and multiplications of a training step's matrix products."""
    total, products = 0, 2  # forward, and the weights' gradient; nobody asks for the pictures'
    for layer in model.layers:
        if layer.weights:
            places = int(np.prod(layer.output.shape[1:-1]))  # 1 for a dense layer
            total += 2 * products * rows * places * int(np.prod(layer.kernel.shape))
            products = 3
    return total


# %%
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_step(model):
    """Returns `step(x, y)`: a training step of the model, as one graph."""
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)
    return tf.function(make_train_step(model, loss_fn, optimizer), autograph=False)


# %%
def operations_of(function, *inputs) -> list[str]:
    """Returns the kinds of the operations in a function's graph that compute something."""
    graph = function.get_concrete_function(*inputs).graph
    passive = "Const", "Placeholder", "Identity", "NoOp", "ReadVariableOp"
    return [each.type for each in graph.get_operations() if each.type not in passive]


# %%
def pictures(count=64):
    """Returns random pictures (count, 28, 28, 1) and classes (count,): they take as long as any."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, 28, 28, 1)).astype("float32")
    return tf.constant(x), tf.constant(random.integers(0, 10, count))


# %%
if __name__ == "__main__":
    networks = {"dense": chapter2_deep_network.make_model((28, 28, 1), 10)}
    networks["convolutional"] = chapter3.make_model((28, 28, 1), 10)
    for name, model in networks.items():
        work, weights = arithmetic_of_step(model, 64), model.count_params()
        operations = len(operations_of(make_step(model), *pictures()))
        print(f"{name:13} {weights:7,} weights, {operations} operations", end="")
        print(f", {work / 1e6:,.0f} million additions and multiplications")

# %% [markdown]
# The second network has not many times the weights nor the operations of the first, but many times
# its arithmetic, because a weight of a convolution is used at every place. Remember that: how much
# is done with each weight decides nearly everything here.
#
# Now the clock, and three ways to run the same step. *Python calls every operation*: a loop with a
# tape, as chapter 1 wrote it. *One graph per step*: `tf.function` makes one call of them all. *Many
# steps per call*: the loop itself is in the graph, as in `kerasbook.training.fit`. How much do you
# expect each to save, for each of the two networks?


# %% tags=["timing"]
def milliseconds(run, steps=1, repeats=5) -> float:
    """Returns the shortest time of `run()` per step; a first call, which compiles, is left out."""
    run()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - started)
    return 1000 * min(seconds) / steps


# %% tags=["timing"]
def many_steps(step, x, y, steps, jit=False):
    """Returns a function of no arguments that takes so many steps in one call."""

    def run():
        def body(number):
            step(x, y)
            return (number + 1,)

        return tf.while_loop(lambda number: number < steps, body, (0,))[0]

    return tf.function(run, jit_compile=jit, autograph=False)


# %% tags=["timing"]
def time_step(model, x, y, jits=(False,), steps=20, eager=True) -> dict[str, float]:
    """Returns milliseconds per training step, for several ways to run it."""
    step = make_step(model)
    times = {}
    if eager:
        times["Python calls every operation"] = milliseconds(lambda: step.python_function(x, y))
        times["one graph per step"] = milliseconds(lambda: step(x, y)[0].numpy(), repeats=20)
    for jit in jits:
        run = many_steps(step.python_function, x, y, steps, jit)
        name = "many steps per call" + jit * ", XLA"
        times[name] = milliseconds(lambda run=run: run().numpy(), steps)
    return times


# %% tags=["timing"]
if __name__ == "__main__":
    for name, model in networks.items():
        for way, value in time_step(model, *pictures(), steps=5).items():
            print(f"{name:13} {way:30} {value:6.2f} ms")

# %% [markdown]
# What you see depends on your machine. With nothing else running it was this
# (`python -m kerasbook.bench.scaling` measures it):


# %%
def plot_times(names=("dense", "convolutional"), ways=None):
    """Returns the Axes: recorded milliseconds per step, a panel for each network."""
    steps = recorded("scaling")["steps"]
    _, axes = plt.subplots(len(names), figsize=(6.6, 1.55 * len(names)), layout="constrained")
    for ax, name in zip(axes, names, strict=True):
        times = {way: value for way, value in steps[name].items() if ways is None or way in ways}
        plotting.plot_ladder(times, x_label="milliseconds per step", ax=ax)
        ax.set(title=name, ylabel="")
    return axes


# %% alt="Bars of milliseconds per step: for the dense network one graph per step takes a small part of Python's calls, and many steps per call still less; for the convolutional network one graph takes a fifth, and many steps per call a little more than that."
if __name__ == "__main__":
    plot_times(ways=("Python calls every operation", "one graph per step", "many steps per call"))

# %% [markdown]
# As long as Python calls every operation, both networks spend most of their time on being called,
# and one graph helps both. After that they differ. In one graph the convolutional network computes,
# and a call for many steps gains it nothing (in this record it lost by it); the dense one still
# pays for every call. So the first question is always which kind a model is. Where the calls
# dominate, neither a second device nor smaller numbers will help; larger batches and longer graphs
# do.
#
# That is the whole secret of the small models. `fit` adds three things to it. The data lie where
# the step runs, and the rows of a batch are gathered inside the loop: no pipeline hands them over.
# A call takes at most about a fifth of a second, and never more than an epoch: long enough to be
# cheap, short enough to show progress, to hear Ctrl-C and to notice a NaN. And where XLA makes the
# step faster, which was measured, the loop is compiled with it, if there are enough steps to earn
# back the time of compiling. What XLA does can be tried by hand.
#
# ## The same numbers, in another order
#
# Here is a function of nine operations, GELU, a smooth kind of ReLU:
# $\frac{x}{2}\,\bigl(1 + \tanh(0.798\,(x + 0.0447\,x^3))\bigr)$. Below it is computed twice for
# four million numbers: for the whole array, and for pieces of 16,384 numbers one after the other,
# with a loop in Python. Which is faster?


# %%
def gelu(x, tanh=np.tanh):
    """Returns x/2 · (1 + tanh(…)), in the shape of x: nine operations, number by number."""
    return 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * (x * x * x))))


# %%
def in_blocks(function, x, block=16_384):
    """Returns function(x) for x (n,), computed block by block."""
    result = np.empty_like(x)
    for first in range(0, len(x), block):
        result[first : first + block] = function(x[first : first + block])
    return result


# %%
if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=4_000_000).astype("float32")
    print("the same numbers:", np.array_equal(gelu(x), in_blocks(gelu, x)))


# %% tags=["timing"]
def time_blocks(count=4_000_000) -> dict[str, float]:
    """Returns milliseconds for GELU of so many numbers: the whole array, and in blocks."""
    x = np.random.default_rng(0).normal(size=count).astype("float32")
    whole, blocks = milliseconds(lambda: gelu(x)), milliseconds(lambda: in_blocks(gelu, x))
    return {"whole array": whole, "in blocks": blocks}


if __name__ == "__main__":
    print(time_blocks())

# %% [markdown]
# And on the machine where the book's times were taken:

# %%
if __name__ == "__main__":
    for way, value in recorded("scaling")["blocks"].items():
        print(f"{way:12}{value:6.1f} ms")

# %% [markdown]
# The loop in Python wins. The same operations on the same numbers, bit for bit the same result, and
# less time. The reason is memory: NumPy takes the nine operations one after the other, each over
# the whole array, and what does not fit into the processor's cache travels to memory and back nine
# times. A block fits, so its intermediate results never leave the cache. This is *fusion*. With
# blocks of a single number they would never leave the processor's registers; in Python that would
# be slow, for a compiler it is the natural thing to do.
#
# ## What does XLA make of it?
#
# XLA is that compiler: `jit_compile=True` hands the graph of a `tf.function` to it. Its language is
# called HLO, and every line of its main part, `ENTRY`, is a pass over memory. How many passes are
# left of nine?


# %%
def compiled_by_xla(function, *inputs) -> str:
    """Returns the program that XLA makes of a function, in HLO, without remarks."""
    compiled = tf.function(function, jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
    return re.sub(r", metadata=\{[^}]*\}", "", text)


# %%
def passes_over_memory(program: str) -> list[str]:
    """Returns the instructions of a program's main part, without its inputs and constants."""
    main_part = program[program.index("\nENTRY") :]
    kinds = re.findall(r" = \S+ ([\w-]+)\(", main_part)
    return [kind for kind in kinds if kind not in ("parameter", "constant")]


# %%
if __name__ == "__main__":
    some = tf.constant(x[:1000])
    program = compiled_by_xla(lambda x: gelu(x, tf.tanh), some)
    graph = tf.function(lambda x: gelu(x, tf.tanh), autograph=False)
    print("before:", operations_of(graph, some))
    print("after: ", passes_over_memory(program))

# %%
if __name__ == "__main__":
    print(program[program.index("%fused") : program.index("ENTRY")])

# %% [markdown]
# Nine operations have become one. Inside it stand the same nine, but what passes from one to the
# next has no place in memory. (`broadcast` is how HLO writes a constant that meets an array.) The
# numbers that travel: before, one or two arrays into each operation and one out; after, one in and
# one out.
#
# A matrix product is another matter. There XLA fuses what stands around it, but the product itself
# is a library's. So what do you expect of it for a dense network, for a recurrent one (a GRU of 64
# units over 40 steps), and for convolutions?

# %% alt="Bars of milliseconds per step without and with XLA: less with it for the dense and the recurrent network, many times more for the convolutional one."
if __name__ == "__main__":
    ways = "many steps per call", "many steps per call, XLA"
    plot_times(("dense", "recurrent", "convolutional"), ways=ways)

# %% [markdown]
# XLA helps where there are many small operations between small products. Where nearly all time is
# spent in a few large operations, it has nothing to win; and for convolutions on a CPU it has to
# lose, because its own are slower than those that TensorFlow takes otherwise. Such bars are why
# `--jit auto` compiles dense layers and GRUs and leaves convolutions alone when there is only a CPU
# (on a GPU both ways call the same library for them). XLA compiles for one shape: a short last
# batch is compiled once more. And compiling takes part of a second, or seconds, which have to be
# earned back: of a run of a few hundred small steps `auto` leaves it out, too.
#
# ## Side by side
#
# Now all ways to train a model beside each other: `model.fit` at its defaults, and tuned; the
# article's own loop; a trainer object; PyTorch; and this book's loop. The models are those that the
# commands of chapters 1 to 6 train, taken from the chapters with their data, losses and optimizers,
# and the layers are the same on every side. (In front stands a model of a single weight.) All begin
# with the same weights, and after four steps, with dropout off, their outputs are compared: but for
# rounding they compute the same numbers.
#
# A computer is not equally fast all the time: others use it, it grows warm. So each way is a
# process of its own, which waits until it is its turn, trains for a second, and waits again. Ratios
# are taken within a round, and we look at their median over the rounds, the smallest and the
# largest. One trap was found on the way: after some waits `model.fit` stood still for seconds, its
# processor idle, before its pipeline handed over the next batches. That was the waiting's fault,
# and it once made the book's loop look ninety times as fast. So the first epoch after a wait is
# left out, and the rounds of a row are spread over the whole run.


# %% tags=["hide-input"]
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


# %%
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


# %% alt="Bars of milliseconds per step for each way to train: one weight, and the models of chapters 1 to 3."
if __name__ == "__main__":
    plot_sides(
        [rows[name] for name in ("empty", "chapter1", "chapter2", "chapter3") if name in rows]
    )

# %% alt="The same bars for the models of chapters 4 to 6."
if __name__ == "__main__":
    plot_sides([rows[name] for name in ("chapter4", "chapter5", "chapter6") if name in rows])

# %% [markdown]
# The model of one weight has nothing to compute. What a step costs there, it costs everywhere:
# fetching the batch, calling the function, keeping the loss. In the small models of chapters 1 and
# 2 this still decides. From chapter 3 on the arithmetic does, and the ways come close to each
# other: there is little that a loop could save. Is that chance? Where the whole was measured more
# than once, do these medians lie between the smallest and the largest round of the earlier runs?

# %%
if __name__ == "__main__":
    for line in results.get("against", {}).get("in_words", ["measured once so far"]):
        print(line)

# %% [markdown]
# So two questions are left. What if the work grows? And if the arithmetic decides, can the same
# numbers be had with less of it?
#
# ## How the time grows
#
# Which takes longer, a step with 4 rows or one with 16? With both axes logarithmic, time
# proportional to size is a line of slope 1, and time proportional to its square one of slope 2. The
# dotted curves are the arithmetic, moved so that they end where the time ends. Where the time is
# flatter, it goes into something else.


# %%
def plot_growth(curves):
    """Returns the Axes: seconds over size, and the growth of the arithmetic, dotted."""
    rows = -(-len(curves) // 2)
    _, axes = plt.subplots(rows, 2, figsize=(6.6, 2.3 * rows), layout="constrained")
    for ax, (name, curve) in zip(axes.flat, curves.items(), strict=False):
        plot_curve(ax, name, *(np.array(curve[key]) for key in ("sizes", "seconds", "flops")))
    for ax in axes.flat[len(curves) :]:
        ax.axis("off")
    return axes


# %%
def plot_curve(ax, name, sizes, seconds, flops):
    """Draws one curve on the Axes."""
    slope = np.log(flops[-1] / flops[-2]) / np.log(sizes[-1] / sizes[-2])
    label = f"arithmetic, slope {slope:.2f} at the end"
    ax.loglog(sizes, seconds[-1] * flops / flops[-1], ":", color="grey", label=label)
    ax.loglog(sizes, seconds, "o-", color=BLUE)
    ax.set(title=name, xlabel=name.partition(",")[0], ylabel="seconds")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_formatter("")
    ax.legend(fontsize=7)


# %% alt="Five curves of seconds over size on logarithmic axes, each with its dotted line of arithmetic: the first two begin flat and join it later; a GRU's and an epoch's are straight lines."
if __name__ == "__main__":
    growth = results.get("growth")
    plot_growth(growth) if growth else print("on this processor not measured yet")

# %% [markdown]
# Small batches and narrow layers are nearly free: their curves begin flat. A batch of four takes
# about as long as one of sixteen. So the first advice for a slow training is not a faster loop, but
# a larger batch, as long as the model learns as well with it. In the length of a sequence the GRU
# grows in proportion from the beginning: its steps wait for each other.
#
# ## The same numbers with less work: convolution, bias, ReLU, pooling
#
# From here on the layers are the book's own. No chapter's command trains them: they are lessons,
# and the bench times them in rows of their own. The first is for an article's convolutional
# network. In which order would you take pooling and ReLU?
#
# The network adds a bias to every place of every map, sets what is negative to zero, and
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


# %% tags=["hide-input"]
def compare(ours, theirs, x) -> float:
    """Returns the largest difference of two layers, for random weights.

    Compared are the outputs, and the gradients of x and of all weights.
    """
    for layer in (ours, theirs):
        layer.build(x.shape)
    functions, weights = (as_function(ours), as_function(theirs)), random_weights(theirs)
    return max(compare_functions(*functions, x, *weights).values())


# %%
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


# %%
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


# %% [markdown]
# The way back takes the slopes of all steps at once, goes through the steps, and makes the
# gradients of the weights in one product at the end.


# %%
def before(states):
    """Returns the states (time, n, units) one step earlier; zeros come first."""
    return tf.concat([tf.zeros_like(states[:1]), states[:-1]], 0)


# %%
def slopes_of(c, gates):
    """Returns what the step back needs of each step: the slope for c, those of the sums, and f."""
    i, f, g, o = tf.split(gates, 4, axis=-1)
    t = tf.tanh(c)
    slopes = [g * i * (1 - i), before(c) * f * (1 - f), i * (1 - g**2), t * o * (1 - o)]
    return o * (1 - t**2), tf.concat(slopes, -1), f


# %%
@tf.function(jit_compile=True, autograph=False)
def backward(grad_h, x, h, c, gates, recurrent_kernel):
    """Returns the gradients of the sums (time, n, 4 · units), kernel, recurrent kernel and bias."""
    zeros, back = tf.zeros_like(c[0]), tf.transpose(recurrent_kernel)

    def step_back(state, step):
        grad_h, grad_c, _ = state
        grad_h_here, for_c, slopes, f = step
        grad_h += grad_h_here
        grad_c += grad_h * for_c
        grad_sum = tf.concat([grad_c, grad_c, grad_c, grad_h], -1) * slopes
        return grad_sum @ back, grad_c * f, grad_sum

    steps = tf.transpose(grad_h, (1, 0, 2)), *slopes_of(c, gates)
    _, _, grad_sum = tf.scan(step_back, steps, (zeros, zeros, gates[0]), reverse=True)
    # The gradients of kernel, recurrent kernel and bias are one product.
    inputs = tf.concat([tf.transpose(x, (1, 0, 2)), before(h), tf.ones_like(h[..., :1])], -1)
    both = tf.tensordot(inputs, grad_sum, ((0, 1), (0, 1)))
    return grad_sum, *tf.split(both, [x.shape[-1], h.shape[-1], 1])


# %%
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


# %%
class HandMadeLSTM(layers.Layer):
    """`layers.LSTM` without masks, dropout and initial states, for a CPU."""

    def __init__(self, units, return_sequences=False, **options):
        """Takes the number of units, and whether all outputs are wanted or the last."""
        super().__init__(**options)
        self.units, self.return_sequences = units, return_sequences

    def build(self, x_shape):
        """Makes the weights, as `layers.LSTM` does."""
        self.cell = layers.LSTMCell(self.units)
        self.cell.build(x_shape)

    def compute_output_shape(self, x_shape):
        """Returns (n, time, units), or (n, units)."""
        n, steps, _ = x_shape
        return (n, steps, self.units) if self.return_sequences else (n, self.units)

    def call(self, x):
        """Returns all outputs, or the last, for x (n, time, inputs)."""
        cell = self.cell
        weights = [weight.value for weight in (cell.kernel, cell.recurrent_kernel, cell.bias)]
        outputs = lstm_in_halves(x, *weights)
        return outputs if self.return_sequences else outputs[:, -1]


# %%
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
# What does a processor do while two cores share an operation? Some of the time, nothing. TensorFlow
# shares an operation out among the cores, if it is large enough. In the end one core has
# to wait for the other. If that takes long, its thread goes to sleep and must be woken, and that
# costs as much as a small operation. The system counts how often threads fall asleep:


# %%
def median_waits(row) -> dict[str, float]:
    """Returns how often a thread goes to sleep in a step, for each way to train."""
    return {NAMES[name]: statistics.median(each) for name, each in row["waits_per_step"].items()}


# %%
if __name__ == "__main__":
    print(f"{'':40}this book  model.fit  PyTorch")
    for row in rows.values():
        sleeps = [median_waits(row).get(each) for each in ("this book", "model.fit", "PyTorch")]
        ours, fit, torch = ("–" if each is None else f"{each:.0f}" for each in sleeps)
        print(f"{name_of(row):40}{ours:>9}{fit:>11}{torch:>9}")

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


# %%
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
# Sleep also explains the bad minutes. On a virtual machine where this was measured, the time that
# it takes to wake the other core changed now and then, by a quarter, and stayed so for minutes. A
# Transformer whose operations are shared out became slower by as much, at the same moment; large
# products, which wait little, did not.
#
# What do the three bring? Here they are beside all the other ways, which have Keras' layers (or
# PyTorch's). The Transformer's blocks are chapter 6's.

# %% alt="Bars of milliseconds per step: a CNN pooled first, an LSTM by hand and a Transformer in halves, beside the other ways to train."
if __name__ == "__main__":
    plot_sides([rows[name] for name in HEAVY if name in rows])

# %% [markdown]
# ## How far from the limit?
#
# A processor has a speed that no program exceeds. Let a large matrix product stand for it. How much
# of it does a training step use? For chapter 6's writer the arithmetic can be counted by hand. A
# weight of a dense layer makes 2 operations per token on the way forward, and twice as many on the
# way back: 6 for each weight and token. In each attention every token meets every token, with 12
# operations per unit of the width: 4 forward, for the scores and the mixtures, and 8 back.


# %%
def operations_of_writer(rows=24, time=64, width=128, blocks=2, symbols=77) -> int:
    """Returns the operations of a training step's products, by hand."""
    weights = blocks * (4 + 4 + 4) * width**2 + width * symbols
    return 6 * rows * time * weights + 12 * rows * time**2 * width * blocks


# %%
if __name__ == "__main__":
    counted = results["machine"]["flops_per_step"].get("chapter6", 0)
    print(f"by hand {operations_of_writer():,}, counted in the graph {counted:,}")

# %% [markdown]
# The bench counts like this in the graph of every model: only products and convolutions, two
# operations for each pair of numbers that are multiplied and added.
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
        found.append((name_of(row), least / step, (alone - least) / step, (step - alone) / step))
    return found


# %%
if __name__ == "__main__":
    print(f"{'':40}at best  their size  the rest")
    for title, best, size, rest in account(results, rows):
        print(f"{title:40}{best:7.0%}{size:12.0%}{rest:10.0%}")

# %% [markdown]
# What is the rest? TensorFlow's profiler measures every operation of an epoch. Two that run at the
# same time, one on each core, both count, so that these are shares of the operations' time and not
# of the step's.


# %% tags=["hide-input"]
def plot_kinds(results, names):
    """Returns the Axes: the share of each kind of operation, one bar for each of these rows."""
    ax = plt.subplots(figsize=(6.6, 0.4 * len(names) + 1.2), layout="constrained")[1]
    shares = [results["machine"]["shares_by_kind"][name] for name in names]
    titles = [name_of(results["rows"][name]) for name in names]
    done = np.zeros(len(names))
    for kind, color in zip(shares[0], (SKY, "white", ORANGE, "lightgrey", GREEN), strict=True):
        widths = np.array([each[kind] for each in shares])
        bars = ax.barh(titles, widths, 0.6, done, label=kind, color=color, edgecolor="grey")
        ax.bar_label(bars, [f"{w:.0%}" if w >= 0.06 else "" for w in widths], label_type="center")
        done += widths
    ax.set(xlabel="share of the operations' time", xlim=(0, 1))
    ax.invert_yaxis()
    ax.figure.legend(loc="outside upper center", ncols=3, frameon=False, fontsize=9)
    return ax


# %% alt="For each row a bar, divided among products, pooling, moving numbers, sums and means, and what is done number by number."
if __name__ == "__main__":
    plot_kinds(results, [name for name in rows if name != "empty"])

# %% [markdown]
# In a convolutional network one reason is size: convolutions of few channels are slower than a
# large product. It does little else than products and pooling. In an LSTM and in a Transformer the
# products lose little; what stands around them takes the rest. In the LSTM by hand much of that is
# moving numbers: what the way back needs of every step is written to arrays of all steps, and read
# again. In the Transformer normalisation, ReLU, biases, softmax, sums and their ways back go
# through all the numbers, and do little with each. XLA would fuse many of them; but it brings its
# own products, and on two cores a step of the Transformer was no faster with it.
#
# ## The wait before the first step
#
# All this has a price: a graph must be traced, and XLA must compile it, before the first step is
# done. Anyone who tries out ten models for a minute each feels it.

# %%
if __name__ == "__main__":
    print("seconds until the first step is done:    this book  model.fit  the article's loop")
    for row in rows.values():
        ours, fit, eager = (row["first_step_seconds"][n] for n in ("kerasbook", "fit", "eager"))
        print(f"{name_of(row):40}{ours:10.1f}{fit:11.1f}{eager:20.1f}")

# %% [markdown]
# The article's loop compiles nothing and begins at once. If a few dozen steps of a small model are
# enough, it is the best way.
#
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


# %%
def make_step_forward(recurrent_kernel):
    """Returns `step(state, x_sum)`; a state is h and c (n, units), and the sums (n, 4 · units)."""

    def step(state, x_sum):
        h, c, _ = state
        sums = x_sum + h @ recurrent_kernel
        (i, f, g, o), _ = gates_and_slopes(sums)
        c = f * c + i * g
        return o * tf.tanh(c), c, sums

    return step


# %%
def make_step_back(recurrent_kernel):
    """Returns `step(state, values)`: the formulas above, from one step to the one before."""

    def step(state, values):
        h_bar, c_bar, _ = state
        h_bar_here, c, c_before, sums = values
        (i, f, g, o), (slope_i, slope_f, slope_g, slope_o) = gates_and_slopes(sums)
        h_bar += h_bar_here
        c_bar += h_bar * o * (1 - tf.tanh(c) ** 2)
        for_o = h_bar * tf.tanh(c) * slope_o
        for_others = [c_bar * g * slope_i, c_bar * c_before * slope_f, c_bar * i * slope_g]
        s_bar = tf.concat([*for_others, for_o], axis=-1)
        return s_bar @ tf.transpose(recurrent_kernel), c_bar * f, s_bar

    return step


# %%
@tf.custom_gradient
def recurrence(x_sums, recurrent_kernel):
    """Returns h of all steps (time, n, units), for x_t W + b of all steps (time, n, 4 · units)."""
    zeros = tf.zeros_like(x_sums[0, :, : recurrent_kernel.shape[0]])
    start = zeros, zeros, x_sums[0]
    h, c, sums = tf.scan(make_step_forward(recurrent_kernel), x_sums, start)

    def gradient(h_bar):
        values = h_bar, c, before(c), sums
        _, _, s_bar = tf.scan(make_step_back(recurrent_kernel), values, start, reverse=True)
        return s_bar, tf.tensordot(before(h), s_bar, ((0, 1), (0, 1)))

    return h, gradient


# %%
def lstm_with_way_back(x, weights):
    """Returns the outputs of `lstm` (n, time, units), without a mask, from a state of zeros."""
    kernel, recurrent_kernel, bias = weights
    x_sums = tf.transpose(x, (1, 0, 2)) @ kernel + bias  # (time, n, 4 · units), all at once
    return tf.transpose(recurrence(x_sums, recurrent_kernel), (1, 0, 2))


# %%
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
