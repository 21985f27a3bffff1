# %% [markdown]
"""
# Chapter 9. Scaling out

Training takes too long, or the batch does not fit. What helps? First to know what a step costs.
Then there are four answers: fewer and larger operations, smaller numbers, the batch in several
pieces, several devices. Each of them promises the same weights in less time or less memory. We
build each by hand, see whether the weights are the same, and measure the time.

After this chapter you can

- say where the time of a training step goes;
- read what XLA makes of a function, and guess whether it will help;
- train in 16 bits, and write the loss scaling that this needs;
- cut a batch into pieces, in time or over devices, without changing the result;
- compute how many devices are worth having, before you rent them.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter9`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter9")

# %%
import json
import re
import time
from importlib import resources
from itertools import pairwise
from typing import Literal

from kerasbook import chapter2_training, chapter3, plotting
from kerasbook.chapter2_deep_network import SIZES, backward, flat, forward, initial_weights
from kerasbook.cluster import read_cluster
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_difference
from kerasbook.training import (
    NonFiniteLoss,
    batch_order,
    evaluate,
    fit,
    make_train_step,
    predict,
    total_loss,
)
from kerasbook.training.devices import logical_devices, make_strategy

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from ml_dtypes import finfo

# %% [markdown]
# Most readers have one processor. TensorFlow can pretend that it is two *logical devices*, which
# share the cores. That makes nothing faster, but everything that two devices must agree on can be
# tried out. It has to be said before TensorFlow computes anything, so we say it here.


# %%
def two_devices() -> list[str]:
    """Returns the names of two devices: two GPUs, or two shares of the CPU.

    Raises:
        ClusterError: TensorFlow has begun to compute; restart, and call this first.
    """
    if len(tf.config.get_visible_devices("GPU")) == 1:
        tf.config.set_visible_devices([], "GPU")  # a single one is left alone
    return logical_devices(2)


if __name__ == "__main__":
    devices = two_devices()
    splits = load_fashion()
    print(devices)
    print(splits)

# %% [markdown]
# ## What a step costs
#
# A training step of chapter 2's dense network, and one of chapter 3's convolutional network: what
# does the machine have to do? Two things can be counted without a clock. The arithmetic is nearly
# all in matrix products: a weight makes one multiplication and one addition for each row and each
# place where it is used, and twice as many on the way back. And every operation of the graph is a
# *kernel*, a piece of compiled code that TensorFlow has to look up, feed and call.


# %%
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def operations_of_step(model, rows) -> int:
    """Returns the additions and multiplications of a training step's matrix products."""
    operations = 0
    for layer in model.layers:
        if layer.weights:
            places = int(np.prod(layer.output.shape[1:-1]))  # 1 for a dense layer
            operations += 6 * rows * places * int(np.prod(layer.kernel.shape))
    return operations


def make_step(model, jit=False):
    """Returns `step(x, y)`: a training step of the model, as one graph."""
    optimizer = keras.optimizers.SGD(0.01)
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, loss_fn, optimizer)
    return tf.function(step, jit_compile=jit, autograph=False)


def kernels_of(function, *inputs) -> list[str]:
    """Returns the kinds of the operations in a function's graph that compute something."""
    graph = function.get_concrete_function(*inputs).graph
    passive = "Const", "Placeholder", "Identity", "NoOp", "ReadVariableOp"
    return [each.type for each in graph.get_operations() if each.type not in passive]


if __name__ == "__main__":
    batch = [tf.constant(part[:64]) for part in splits.train]
    networks = {"dense": chapter2_training.make_model((28, 28, 1), 10)}
    networks["convolutional"] = chapter3.make_model((28, 28, 1), 10)
    for name, model in networks.items():
        work, weights = operations_of_step(model, 64), model.count_params()
        kernels = len(kernels_of(make_step(model), *batch))
        print(f"{name:13} {weights:7,} weights  {kernels} kernels  {work / 1e6:5,.0f} million")

# %% [markdown]
# The last column is the arithmetic. A core that does $10^{10}$ such operations a second would need
# 4 thousandths of a second for the dense network, and 80 for the other. The second has twice as
# many weights and not three times as many kernels, but nearly twenty times the arithmetic: a weight
# of a convolution is used at every place. Remember that. How much is done with each weight decides
# nearly everything in this chapter.
#
# What does the clock say? Three ways to run the same step. *Python calls every operation*: that is
# a loop with a tape as chapter 1 wrote it. *One graph per step*: `tf.function` makes one call of
# them all. *Many steps per call*: the loop itself is in the graph, as in `kerasbook.training.fit`.


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


def many_steps(step, x, y, steps, jit=False):
    """Returns a function of no arguments that takes so many steps in one call."""

    def run():
        def body(number):
            step(x, y)
            return (number + 1,)

        return tf.while_loop(lambda number: number < steps, body, (0,))[0]

    return tf.function(run, jit_compile=jit, autograph=False)


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


if __name__ == "__main__":
    for name, model in networks.items():
        for way, value in time_step(model, *batch, steps=5).items():
            print(f"{name:13} {way:30} {value:6.2f} ms")

# %% [markdown]
# What you see depends on your machine. On ours, two cores and nothing else running, it was this
# (`python -m kerasbook.bench.scaling` measures it and all else that is timed in this chapter):


# %%
def recorded() -> dict:
    """Returns what `python -m kerasbook.bench.scaling` measured on the book's machine."""
    file = resources.files("kerasbook") / "bench" / "scaling.json"
    return json.loads(file.read_text())


def plot_times(names=("dense", "convolutional"), ways=None):
    """Returns the Axes: recorded milliseconds per step, a panel for each network."""
    steps = recorded()["steps"]
    _, axes = plt.subplots(len(names), figsize=(6.6, 1.55 * len(names)), layout="constrained")
    for ax, name in zip(axes, names, strict=True):
        times = {way: value for way, value in steps[name].items() if ways is None or way in ways}
        plotting.plot_ladder(times, x_label="milliseconds per step", ax=ax)
        ax.set(title=name, ylabel="")
    return axes


if __name__ == "__main__":
    WAYS = "Python calls every operation", "one graph per step", "many steps per call"
    plot_times(ways=WAYS)

# %% [markdown]
# As long as Python calls every operation, both networks spend most of their time on being called.
# In one graph the convolutional one computes, and a call for many steps gains it nothing; the dense
# one still pays for every call. So the first question is always which kind a model is. Where the
# calls dominate, neither a second device nor smaller numbers will help; larger batches and longer
# graphs do.
#
# Between the two lies a third cost, memory. Most kernels are not products: they add a bias, take a
# ReLU, multiply by a slope. Each reads its inputs from memory and writes its output there, and the
# processor waits.
#
# ## Fusion, by hand
#
# Take a function that works number by number. This one is called GELU, a smooth kind of ReLU:
# $\frac{x}{2}\,\bigl(1 + \tanh(0.798\,(x + 0.0447\,x^3))\bigr)$.


# %%
def gelu(x, tanh=np.tanh):
    """Returns x/2 · (1 + tanh(…)), in the shape of x: nine operations, number by number."""
    return 0.5 * x * (1 + tanh(0.7978845608 * (x + 0.044715 * (x * x * x))))


# %% [markdown]
# NumPy takes the nine operations one after the other, each over the whole array. If that does not
# fit into the processor's cache, the array travels to memory and back nine times. The remedy is to
# turn the two loops inside out: take a block that fits, do all nine operations on it, go on to the
# next block.


# %%
def in_blocks(function, x, block=16_384):
    """Returns function(x) for x (n,), computed block by block."""
    result = np.empty_like(x)
    for first in range(0, len(x), block):
        result[first : first + block] = function(x[first : first + block])
    return result


if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=4_000_000).astype("float32")
    print("the same numbers:", np.array_equal(gelu(x), in_blocks(gelu, x)))

# %% tags=["timing"]
if __name__ == "__main__":
    print(f"whole array {milliseconds(lambda: gelu(x)):6.1f} ms")
    print(f"in blocks   {milliseconds(lambda: in_blocks(gelu, x)):6.1f} ms")

# %% [markdown]
# The same operations on the same numbers, bit for bit the same result, and less time, for the
# intermediate results never left the cache. This is *fusion*. With blocks of a single number they
# would never leave the processor's registers; in Python that would be slow, for a compiler it is
# the natural thing to do.
#
# ## XLA
#
# XLA is that compiler: `jit_compile=True` hands the graph of a `tf.function` to it. It can be asked
# what it made of it. Its language is called HLO, and every line of its main part, `ENTRY`, is a
# pass over memory.


# %%
def compiled_by_xla(function, *inputs) -> str:
    """Returns the program that XLA makes of a function, in HLO, without remarks."""
    compiled = tf.function(function, jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(*inputs)(stage="optimized_hlo")
    return re.sub(r", metadata=\{[^}]*\}", "", text)


def passes_over_memory(program: str) -> list[str]:
    """Returns the instructions of a program's main part, without its inputs and constants."""
    main_part = program[program.index("\nENTRY") :]
    kinds = re.findall(r" = \S+ ([\w-]+)\(", main_part)
    return [kind for kind in kinds if kind not in ("parameter", "constant")]


if __name__ == "__main__":
    numbers = tf.constant(x[:1000])

    def smooth(x):
        """GELU of TensorFlow's operations."""
        return gelu(x, tf.tanh)

    program = compiled_by_xla(smooth, numbers)
    print("before:", kernels_of(tf.function(smooth, autograph=False), numbers))
    print("after: ", passes_over_memory(program))
    print(program[program.index("%fused") : program.index("ENTRY")])

# %% [markdown]
# Nine kernels have become one. Inside it stand the same operations, but what passes from one to the
# next has no place in memory. (`broadcast` is how HLO writes a constant that meets an array.) The
# numbers that travel: before, one or two arrays into each kernel and one out; after, one in and one
# out.
#
# A matrix product is another matter. There XLA fuses what stands around it, but the product itself
# is a library's. So it helps where there are many small operations between small products, as in a
# recurrent step, and it takes away the calls in between. Where nearly all time is spent in a few
# large operations, it has nothing to win; and for convolutions on a CPU it has to lose, for its own
# are slower than those that TensorFlow takes otherwise.

# %%
if __name__ == "__main__":
    WAYS = "many steps per call", "many steps per call, XLA"
    plot_times(("dense", "recurrent", "convolutional"), ways=WAYS)

# %% [markdown]
# The recurrent network is a GRU of 64 units over 40 steps, for 64 rows. Such bars are why
# `--jit auto` compiles dense layers and GRUs and leaves convolutions alone when there is only a CPU
# (on a GPU both ways call the same library for them). XLA compiles for one shape: a short last
# batch is compiled once more. And compiling takes part of a second, or seconds, which have to be
# earned back: of a run of a few hundred small steps `auto` leaves it out, too. Try it on your
# machine:

# %% tags=["timing"]
if __name__ == "__main__":
    started = time.perf_counter()
    for way, value in time_step(networks["dense"], *batch, (False, True), eager=False).items():
        print(f"{way:25} {value:6.2f} ms")
    print(f"all of it, with compiling: {time.perf_counter() - started:.1f} s")

# %% [markdown]
# ## Sixteen bits
#
# The second answer: smaller numbers. A number of 16 bits takes half the memory and half the time to
# move, and graphics processors multiply such numbers many times faster. What do we give up? A
# floating-point number has some bits for its exponent, which say how large and how small it may be,
# and the rest for its digits. There are two ways to share out sixteen bits.


# %%
def plot_ranges(dtypes=("float32", "bfloat16", "float16"), ax=None):
    """Returns the Axes: the positive numbers that each type has, on a line of powers of ten."""
    ax = plotting.plot_lines({}, x_label="size of the number, as a power of ten", y_label="", ax=ax)
    ax.figure.set_figheight(2.4)
    for place, dtype in enumerate(reversed(dtypes)):
        kind = finfo(tf.as_dtype(dtype).as_numpy_dtype)
        first, normal, last = (
            np.log10(float(each)) for each in (kind.smallest_subnormal, kind.tiny, kind.max)
        )
        ax.plot([first, normal], [place, place], linewidth=8, color=plotting.page.SKY)
        ax.plot([normal, last], [place, place], linewidth=8, color=plotting.page.BLUE)
        words = f"{-np.log10(float(kind.eps)):.1f} digits"
        ax.text((normal + last) / 2, place + 0.3, words, ha="center", fontsize=9)
    ax.set_yticks(range(len(dtypes)), reversed(dtypes))
    ax.set_ylim(-0.5, len(dtypes) - 0.2)
    return ax


if __name__ == "__main__":
    plot_ranges()

# %% [markdown]
# In the pale part at the left the digits run out, one after the other (*subnormal* numbers); beyond
# its end everything is zero. `float16` has more digits and a short line. `bfloat16` is `float32`
# without its last 16 bits: the same line, and little more than two digits.

# %%
if __name__ == "__main__":
    half = np.finfo("float16")
    print(f"largest {half.max}, smallest {half.smallest_subnormal:.1e}, after 1: {1 + half.eps}")
    print(f"1 + 0.0004 = {np.float16(1) + np.float16(0.0004)}")
    for number in (70_000, 1e-8):
        print(f"{number} = {tf.cast(number, tf.float16)}")

# %% [markdown]
# Three things can go wrong, and there are three answers.
#
# *The step is lost.* A weight of 1 and a step of 0.0004 make 1. So the weights stay in `float32`,
# and so does what the optimiser remembers. Only a copy of them is rounded, for the products. That
# is why it is called *mixed* precision.
#
# *A sum overflows.* So Keras computes losses, and the moments of normalising layers, in `float32`;
# the network's last scores are handed over in 16 bits, and no further.
#
# *A gradient vanishes.* The derivative of a mean over a batch is divided by the batch size, comes
# through layers with small weights, and may be too small for `float16`. This one needs a remedy of
# its own.
#
# ## Gradients that are zero
#
# To see it, a network that is made for it: eight hidden layers of 64 units, with first weights that
# are much too small. Each layer makes the signal smaller on its way forward, and the gradient on
# its way back. Adam divides the gradient by its usual size, so in 32 bits that does no harm.


# %%
def make_deep_model(dtype="float32", depth=8, units=64, gain=0.05, seed=0) -> keras.Model:
    """Returns a dense network: pictures (n, 28, 28, 1) → scores (n, 10), computed in `dtype`.

    gain: the variance of first weights is gain / inputs; 2 would be right (chapter 2).
    """
    parts: list = [keras.Input((28, 28, 1)), layers.Flatten()]
    for number in range(depth + 1):
        spread = keras.initializers.VarianceScaling(gain, distribution="normal", seed=seed + number)
        options = {"kernel_initializer": spread, "dtype": dtype}
        last = number == depth
        parts.append(layers.Dense(10 if last else units, None if last else "relu", **options))
    return keras.Sequential(parts)


def all_gradients(model, x, y, scale=1.0):
    """Returns (weights,): every weight's gradient of scale · loss, in one row."""
    with tf.GradientTape() as tape:
        loss = tf.multiply(loss_fn(y, model(x, training=True)), scale)
    gradients = tape.gradient(loss, model.trainable_variables)
    return np.concatenate([np.ravel(gradient) for gradient in gradients])


if __name__ == "__main__":
    batch = [tf.constant(part[:256]) for part in splits.train]
    in_32_bits = all_gradients(make_deep_model(), *batch)
    in_16_bits = all_gradients(make_deep_model("mixed_float16"), *batch)
    some = in_32_bits != 0  # a ReLU that is shut gives a true zero
    print(f"zero, but not in 32 bits: {(in_16_bits[some] == 0).mean():.1%} of the gradients")


# %%
def plot_gradient_sizes(gradients, scale, ax=None):
    """Returns the Axes: how many gradients have which size, as they are and scaled."""
    ax = plotting.plot_lines({}, x_label="size, as a power of two", y_label="gradients", ax=ax)
    sizes = np.log2(np.abs(gradients[gradients != 0]))
    smallest, largest = (np.log2(float(each)) for each in (half.smallest_subnormal, half.max))
    bins = np.arange(np.floor(sizes.min()), largest + 4)
    ax.hist(sizes, bins, color=plotting.page.BLUE, alpha=0.75, label="as they are")
    words = f"times 2^{np.log2(scale):.0f}"
    ax.hist(sizes + np.log2(scale), bins, color=plotting.page.ORANGE, alpha=0.75, label=words)
    for place in (smallest, largest):
        ax.axvline(place, color=plotting.page.ink(ax), linestyle="--")
    ax.text(smallest - 0.5, ax.get_ylim()[1], "zero in float16", ha="right", va="top", fontsize=9)
    ax.text(largest + 0.3, ax.get_ylim()[1], "inf", va="top", fontsize=9)
    ax.legend(loc="upper right", bbox_to_anchor=(0.89, 0.8), frameon=False, fontsize=9)
    return ax


if __name__ == "__main__":
    plot_gradient_sizes(in_32_bits, 2.0**15)

# %% [markdown]
# Left of the first dashed line a number is zero in `float16`, right of the second infinite. The
# gradients lie too far left; and at the right there is much room that nobody uses. So move them:
# multiply the *loss* by a number $S$. By the chain rule every gradient is then $S$ times as large,
# wherever it is computed. Divide by $S$ again afterwards, in 32 bits, where there is room. This is
# *loss scaling*. With a power of two nothing is rounded on the way.

# %%
if __name__ == "__main__":
    for power in (0, 8, 15, 30, 40):
        scale = 2.0**power
        found = all_gradients(make_deep_model("mixed_float16"), *batch, scale) / scale
        zero, finite = (found[some] == 0).mean(), np.isfinite(found).mean()
        print(f"S = 2^{power:<2}  zero {zero:4.0%}  finite {finite:4.0%}")

# %% [markdown]
# Too small, and the gradients are zero; too large, and they are infinite. In between there is a
# wide valley in which $S$ makes no difference at all. Why not take a number from it and be done?
#
# ## The scale has to move
#
# A step with loss scaling, by hand. `scale` and `good_steps` are variables, for they will change.
# If a gradient is not finite, the step is left out: one batch more or less does no harm, a NaN in
# the weights is the end.


# %%
def next_scale(scale, good_steps, finite, patience):
    """Returns the scale and the number of good steps after a step.

    An overflow (`finite` is False) halves the scale; `patience` good steps in a row double it.
    """
    enough = good_steps + 1 == patience
    grown = tf.where(enough, 2 * scale, scale)
    counted = tf.where(enough, 0, good_steps + 1)
    return tf.where(finite, grown, scale / 2), tf.where(finite, counted, 0)


def make_scaled_step(model, loss_fn, optimizer, scale, good_steps, patience=None):
    """Returns a train step that scales the loss by the variable `scale`.

    patience: None for a constant scale, which never leaves a step out.
    """
    variables = model.trainable_variables

    def train_step(x, y):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = total_loss(model, loss_fn, y, y_pred)
            scaled_loss = loss * scale
        gradients = [each / scale for each in tape.gradient(scaled_loss, variables)]

        def apply():
            optimizer.apply(gradients, variables)
            return True

        if patience is None:
            apply()
        else:
            finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
            tf.cond(finite, apply, lambda: False)
            new_scale, new_count = next_scale(scale, good_steps, finite, patience)
            scale.assign(new_scale)
            good_steps.assign(new_count)
        return loss, y_pred

    return train_step


# %% [markdown]
# Now train the network in five ways, from the same weights on the same batches: in 32 bits; in
# `float16` without scaling, with $S = 2^{15}$ throughout, and with the scale that moves; and in
# `bfloat16`, which has the range of `float32` and needs no scale.


# %%
def train_in(dtype, scale=1.0, patience=None, epochs=5, examples=8960) -> list[float]:
    """Returns the loss of each epoch; it ends with a NaN if the loss became one."""
    # On a CPU TensorFlow fuses product, bias and ReLU into a kernel that is slow in float16.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    keras.utils.set_random_seed(0)
    model, optimizer = make_deep_model(dtype), keras.optimizers.Adam(epsilon=1e-12)
    state = tf.Variable(float(scale)), tf.Variable(0)
    data = load_fashion().take(examples).train
    model.compile(optimizer)
    optimizer.build(model.trainable_variables)
    step = make_scaled_step(model, loss_fn, optimizer, *state, patience)
    options = {"epochs": epochs, "batch_size": 256, "jit": "off", "progress": "none"}
    try:
        history = fit(model, data, loss_fn=loss_fn, optimizer=optimizer, train_step=step, **options)
    except NonFiniteLoss as stop:
        print(f"{dtype}, scale {scale:g}: {str(stop).partition(';')[0]}")
        return [*stop.history.history.get("loss", []), np.nan]
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": True})
    return history.history["loss"]


if __name__ == "__main__":
    curves = {
        "float32": train_in("float32"),
        "float16": train_in("mixed_float16"),
        "float16, scale 2^15": train_in("mixed_float16", 2.0**15),
        "float16, moving scale": train_in("mixed_float16", 2.0**15, patience=50),
        "bfloat16": train_in("mixed_bfloat16"),
    }

# %% tags=["cover"]
if __name__ == "__main__":
    epochs = max(map(len, curves.values()))
    padded = {name: [*c, *[np.nan] * (epochs - len(c))] for name, c in curves.items()}
    ax = plotting.plot_lines(
        padded, x=np.arange(1, epochs + 1), x_label="epoch, a mean over its steps", y_label="loss"
    )
    for curve in curves.values():
        if np.isnan(curve[-1]):  # the loss became NaN in the epoch after these
            ax.annotate("NaN", (len(curve) - 1, curve[-2]), (len(curve) - 0.6, curve[-2]),
                        arrowprops={"arrowstyle": "<-"}, va="center")  # fmt: skip

# %% [markdown]
# Without a scale the network does not begin to learn: its gradients are zero. With the constant
# scale it learns, and then the gradients are no longer small, for the weights have grown; one of
# them overflows, and all is lost. (The book's loop stops at the first NaN and says where.) The
# right scale of the first step is the wrong one of a later step. With the scale that moves, the
# curve follows that of 32 bits, and so does that of `bfloat16`.
#
# Most networks are not so hard, as we shall see in a moment. But nobody knows beforehand, and the
# scale costs next to nothing.
#
# Is ours the rule that Keras uses? It wraps the optimiser in a `LossScaleOptimizer` when the policy
# is `mixed_float16`. We begin far too high, wait only for four good steps, and compare the scale
# and all weights after each step.


# %%
def compare_scaling(steps=24, initial=2.0**26, patience=4):
    """Returns scales (2, steps) and weights (2, steps, weights) after each step: ours, Keras'."""
    random = np.random.default_rng(0)
    batches = [(random.normal(size=(8, 4)), random.normal(size=(8, 1))) for _ in range(steps)]
    scales, weights = [], []
    for by_hand in (True, False):
        inner = keras.optimizers.SGD(0.05, momentum=0.9)
        outer = keras.optimizers.LossScaleOptimizer(
            inner, initial_scale=initial, dynamic_growth_steps=patience
        )
        spread = keras.initializers.RandomNormal(seed=1)
        options = {"kernel_initializer": spread, "dtype": "mixed_float16"}
        parts = [layers.Dense(6, "relu", **options), layers.Dense(1, **options)]
        model = keras.Sequential([keras.Input((4,)), *parts])
        (inner if by_hand else outer).build(model.trainable_variables)
        error = keras.losses.MeanSquaredError()
        state = tf.Variable(float(initial)), tf.Variable(0)
        step = make_scaled_step(model, error, inner, *state, patience)
        if not by_hand:
            step = make_train_step(model, error, outer)
        seen = [[], []]
        for x, y in batches:
            step(tf.constant(x, tf.float32), tf.constant(y, tf.float32))
            seen[0].append(float(state[0] if by_hand else outer.dynamic_scale))
            seen[1].append(np.concatenate([np.ravel(each) for each in model.get_weights()]))
        scales.append(seen[0])
        weights.append(seen[1])
    return np.array(scales), np.array(weights)


if __name__ == "__main__":
    scales, weights = compare_scaling()
    difference = np.abs(weights[0] - weights[1]).max()
    print("the same scales:", np.array_equal(*scales), " weights differ by", difference)
    names = dict(zip(("by hand", "Keras"), scales, strict=True))
    plotting.plot_lines(names, x_label="step", y_label="scale", log=True)

# %% [markdown]
# At the start each overflow halves the scale, and the weights stay where they are. From then on the
# scale feels its way: after four good steps it tries twice as much, and comes back where that is
# too much. Keras waits for 2,000 steps, so that a step is rarely left out.
#
# In a run with `--mixed-precision float16` all of this happens by itself. With `bfloat16` there is
# nothing to scale; the price is in the digits. Chapter 2's network, a network like most, at its
# first step and without a scale:

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    exact = chapter2_training.make_model((28, 28, 1), 10)
    right = all_gradients(exact, *batch)
    for policy in ("mixed_float16", "mixed_bfloat16"):
        keras.config.set_dtype_policy(policy)
        rounded = chapter2_training.make_model((28, 28, 1), 10)
        keras.config.set_dtype_policy("float32")
        rounded.set_weights(exact.get_weights())
        found = all_gradients(rounded, *batch)
        zero = (found[right != 0] == 0).mean()
        error = np.linalg.norm(found - right) / np.linalg.norm(right)
        print(f"{policy:14} gradients that became zero {zero:.1%}, relative error {error:.1%}")

# %% [markdown]
# Next to the noise of a batch either error is small, which is why it does so little harm.
#
# And the time? A processor that has no instructions for 16 bits converts every number to 32 and
# back. On graphics processors of the last years such products are several times faster; whether a
# whole step is, depends on how much of it is products. No figures of a GPU stand here, for this
# book has not been run on one. On a CPU measure first.

# %% tags=["timing"]
if __name__ == "__main__":
    for dtype in ("float32", "float16", "bfloat16"):
        square = tf.cast(tf.random.normal((1024, 1024)), dtype)
        value = milliseconds(lambda square=square: (square @ square).numpy())
        print(f"{dtype:8} {value:6.1f} ms for a product of 1,024 × 1,024")

# %% [markdown]
# ## The batch in pieces
#
# The third answer is for memory. For the way back, every layer's output must be kept, of every row
# of the batch. For a large batch that is far more than the weights.


# %%
def numbers_kept(model, rows) -> int:
    """Returns how many numbers the layers' outputs are, for so many rows."""
    return rows * sum(int(np.prod(layer.output.shape[1:])) for layer in model.layers)


if __name__ == "__main__":
    for name, model in networks.items():
        kept = [4e-6 * numbers_kept(model, rows) for rows in (64, 4096)]
        print(
            f"{name:13} weights {4e-6 * model.count_params():.1f} MB, outputs of 64 rows "
            f"{kept[0]:.1f} MB, of 4,096 rows {kept[1]:,.0f} MB"
        )

# %% [markdown]
# What if we want the step of a large batch, and have memory for a small one? The gradient of a sum
# is the sum of the gradients. So cut the batch of $n$ rows into *micro-batches* of
# $n_1, n_2, \dots$ rows, take one after the other, keep only the sum of their gradients, and make
# one step at the end. This is *gradient accumulation*. With the mean loss $L_k$ of micro-batch $k$,
#
# $$L = \frac1n \sum_{i=1}^n \ell_i = \sum_k \frac{n_k}{n}\, L_k .$$
#
# Every micro-batch counts by its rows. The loss of a penalty such as L2 has nothing to do with
# rows; with the weights $n_k / n$, which add up to one, it is counted once in all.


# %%
def accumulated_gradients(model, loss_fn, x, y, micro_batches):
    """Returns the loss, the gradients and the outputs of a batch, taken in so many pieces."""
    variables, rows = model.trainable_variables, x.shape[0]
    loss, gradients, outputs = 0.0, [tf.zeros_like(each) for each in variables], []
    borders = np.linspace(0, rows, min(micro_batches, rows) + 1).astype(int)
    for first, last in pairwise(borders):
        with tf.GradientTape() as tape:
            y_pred = model(x[first:last], training=True)
            share = total_loss(model, loss_fn, y[first:last], y_pred) * (last - first) / rows
        found = tape.gradient(share, variables)
        gradients = [total + each for total, each in zip(gradients, found, strict=True)]
        loss += share
        outputs.append(y_pred)
    return loss, gradients, tf.concat(outputs, axis=0)


def make_accumulating_step(model, loss_fn, optimizer, micro_batches):
    """Returns a train step for `fit` that takes each batch in so many pieces."""

    def train_step(x, y):
        loss, gradients, y_pred = accumulated_gradients(model, loss_fn, x, y, micro_batches)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, y_pred

    return train_step


# %% [markdown]
# Is it the step of the large batch? We train twice, with a penalty, and batches of 100 of which the
# last has 50 rows; cut into three, no batch has pieces of one size.


# %%
def weights_after(train_step_of, batch_size=100, examples=250, epochs=1):
    """Returns the weights after training with the step `train_step_of(model, optimizer)`."""
    keras.utils.set_random_seed(0)
    model = chapter2_training.make_model((28, 28, 1), 10, l2=1e-2)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    optimizer.build(model.trainable_variables)
    step, (x, y) = train_step_of(model, optimizer), load_fashion().take(examples).train
    for epoch in range(epochs):
        order = batch_order(0, epoch, examples)
        for first in range(0, examples, batch_size):
            rows = order[first : first + batch_size]
            step(tf.constant(x[rows]), tf.constant(y[rows]))
    return model.get_weights()


if __name__ == "__main__":
    whole = weights_after(lambda *parts: make_train_step(parts[0], loss_fn, parts[1]))
    for pieces in (2, 3, 7):
        cut = weights_after(
            lambda *parts, n=pieces: make_accumulating_step(parts[0], loss_fn, parts[1], n)
        )
        print(f"{pieces} pieces: weights differ by {largest_difference(whole, cut):.0e}")

# %% [markdown]
# What is left is rounding: the rows were added up in another order.
#
# ## A mean of means
#
# The mistake that is made most often: add up the means, and divide by the number of micro-batches.
# Where they are equally long, that is the same. A last piece that is shorter then counts for as
# much as the others, and its rows for more. Ten rows, in pieces of four:

# %%
if __name__ == "__main__":
    losses = np.array([1, 1, 1, 1, 1, 1, 1, 1, 6, 6.0])
    pieces = losses[:4], losses[4:8], losses[8:]
    print("mean of all rows:", losses.mean())
    print("mean of the means:", np.mean([piece.mean() for piece in pieces]))
    print("weighted by rows:", sum(len(piece) / 10 * piece.mean() for piece in pieces))

# %% [markdown]
# No loss curve tells the difference. And there is a place where it comes in unasked. Keras'
# optimisers take `gradient_accumulation_steps=k`: they collect the gradients of $k$ calls, divide
# by $k$ and make a step. They cannot know how many rows there were.


# %%
def keras_accumulation(sizes) -> float:
    """Returns how far one step of Keras' accumulation is from that of the whole batch.

    sizes: the numbers of rows of the micro-batches.
    """
    x, y = (part[: sum(sizes)] for part in load_fashion().train)
    borders, results = np.cumsum([0, *sizes]), []
    for pieces in (1, len(sizes)):
        keras.utils.set_random_seed(0)
        model = chapter2_training.make_model((28, 28, 1), 10)
        options = {"gradient_accumulation_steps": pieces} if pieces > 1 else {}
        optimizer = keras.optimizers.SGD(0.5, **options)
        step = make_train_step(model, loss_fn, optimizer)
        optimizer.build(model.trainable_variables)
        if pieces == 1:
            step(x, y)
        else:
            for first, last in pairwise(borders):
                step(x[first:last], y[first:last])
        results.append(model.get_weights())
    return largest_difference(*results)


if __name__ == "__main__":
    for sizes in ((32, 32, 32), (32, 32, 8)):
        print(f"micro-batches of {sizes}: largest difference {keras_accumulation(sizes):.0e}")

# %% [markdown]
# With equal pieces it is our step. With a short one it is a mean of means; and at the end of an
# epoch whose steps are not a multiple of $k$, the rest is carried over into the next. So cut the
# batches evenly, or leave the last one out.
#
# One kind of layer cannot be had in pieces: batch normalisation takes its mean and variance from
# the rows that it sees. In pieces it sees fewer, and is another function. We shall meet it again.
#
# ## Two towers
#
# Pieces that are taken one after the other can be taken at the same time. That is all there is to
# *data parallelism*: every device has a copy of the weights and takes a share of the rows.

# %%
if __name__ == "__main__":
    plotting.plot_towers()

# %% [markdown]
# The only time at which they must talk is the sum of the gradients: each has its own, and each
# needs the sum of all. This is called an *all-reduce*. If all copies began with the same weights,
# and all make the same step, they stay the same for ever; nobody has to send weights.
#
# How do $n$ devices add up a row of numbers? Sending everything to one of them, and the sum back,
# would give that one $n$ times the work. The usual answer is a ring. Cut the row into $n$ parts. At
# each step every device sends one part to its neighbour, which adds it to its own. After $n - 1$
# steps each device has one part complete. In another $n - 1$ steps these parts go once around.


# %%
def ring_all_reduce(rows):
    """Returns what the devices hold after each step, and how many numbers each has sent.

    rows: (devices, size), one row for each. Returns (2 · devices - 1, devices, size): first the
    rows themselves, last the sum in every row; and (devices,), whole numbers.
    """
    held = [np.array_split(np.array(row), len(rows)) for row in rows]  # device → its parts
    devices, states, sent = len(rows), [np.array(rows)], np.zeros(len(rows), int)
    for step in range(2 * (devices - 1)):
        messages = [((d - step) % devices, held[d][(d - step) % devices]) for d in range(devices)]
        for sender, (part, numbers) in enumerate(messages):
            receiver = (sender + 1) % devices
            adding = step < devices - 1  # the sum first, then the news of it
            held[receiver][part] = held[receiver][part] + numbers if adding else numbers
            sent[sender] += len(numbers)
        states.append(np.array([np.concatenate(parts) for parts in held]))
    return np.array(states), sent


if __name__ == "__main__":
    states, _ = ring_all_reduce(np.ones((4, 4), int))
    plotting.plot_ring(states)

# %% [markdown]
# Here every device holds four parts, and begins with ones: the numbers are how many summands a part
# has. Is the result right, and how much was sent?

# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    for n in (2, 4, 8):
        rows = random.normal(size=(n, 109_386)).astype("float32")
        states, sent = ring_all_reduce(rows)
        error = np.abs(states[-1] - rows.sum(axis=0, dtype="float64")).max()
        same = bool((states[-1] == states[-1][0]).all())
        print(
            f"{n} devices: error {error:.0e}, all hold the same: {same}, each sent {sent.max():,} "
            f"numbers, {sent.max() / rows.shape[1]:.2f} of what it has"
        )

# %% [markdown]
# Each sends $2\,(n-1)/n$ times its row: never more than twice, however many devices there are. And
# all hold the same sum to the last bit, because every part was added up once and then copied. Had
# each device added up for itself, in an order of its own, the copies would differ by rounding, and
# drift apart.
#
# ## One step on two devices
#
# Now the step. The loss is a mean over the *whole* batch, so each device divides the sum of its
# rows' losses by the number of rows of all. And what belongs to the model and not to the rows, the
# penalty, is divided by the number of devices, because the sum will count it once for each.


# %%
def gradient_of_share(model, x, y, all_rows, towers):
    """Returns a tower's share of the gradients: its rows of a batch of `all_rows`."""
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(
            y, model(x, training=True), from_logits=True
        )  # (rows of this tower,)
        loss = tf.reduce_sum(losses) / all_rows + tf.reduce_sum(model.losses) / towers
    return tape.gradient(loss, model.trainable_variables)


def all_reduce(gradients):
    """Returns the sum of the towers' gradients, a list of arrays for each tower."""
    rows = [np.concatenate([np.ravel(each) for each in tower]) for tower in gradients]
    states, _ = ring_all_reduce(np.stack(rows))
    borders = np.cumsum([np.size(each) for each in gradients[0]])[:-1]
    return [
        [part.reshape(each.shape) for part, each in zip(np.split(row, borders), tower, strict=True)]
        for row, tower in zip(states[-1], gradients, strict=True)
    ]


def towers_step(models, optimizers, devices, x, y, mistake=None):
    """Takes one step on all devices; each has a model and an optimiser of its own."""
    shares = np.array_split(np.arange(len(x)), len(models))  # the first ones may have a row more
    gradients = []
    for model, device, rows in zip(models, devices, shares, strict=True):
        divisor = len(rows) * len(models) if mistake == "mean of means" else len(x)
        counted = 1 if mistake == "L2 twice" else len(models)
        with tf.device(device):
            gradients.append(gradient_of_share(model, x[rows], y[rows], divisor, counted))
    sums = all_reduce(gradients)
    for model, optimizer, device, total in zip(models, optimizers, devices, sums, strict=True):
        with tf.device(device):
            optimizer.apply(total, model.trainable_variables)


# %% [markdown]
# Two towers and one device, from the same weights: an epoch of 57 rows in batches of 16, of which
# the last has 9, so that one tower gets 5 rows and the other 4.


# %%
def compare_towers(devices, mistake=None, examples=57, batch_size=16, epochs=1) -> dict[str, float]:
    """Returns how far the towers' weights are from one device's, and from each other."""
    x, y = load_fashion().take(examples).train
    models, optimizers = [], []
    for device in [*devices, devices[0]]:  # the last is the one that works alone
        with tf.device(device):
            keras.utils.set_random_seed(0)
            models.append(chapter2_training.make_model((28, 28, 1), 10, hidden=(32,), l2=1e-2))
            optimizers.append(keras.optimizers.SGD(0.05, momentum=0.9))
            optimizers[-1].build(models[-1].trainable_variables)
    alone = make_train_step(models[-1], loss_fn, optimizers[-1])
    for first in range(0, examples * epochs, batch_size):
        start = first % (-(-examples // batch_size) * batch_size)
        rows = slice(start, start + batch_size)
        towers_step(models[:-1], optimizers[:-1], devices, x[rows], y[rows], mistake)
        alone(x[rows], y[rows])
    first, *others = [model.get_weights() for model in models]
    return {
        "to one device": largest_difference(first, others[-1]),
        "to each other": max(largest_difference(first, other) for other in others[:-1]),
    }


if __name__ == "__main__":
    for mistake in (None, "mean of means", "L2 twice"):
        differences = compare_towers(devices, mistake)
        print(f"{mistake or 'as above':13}", {k: f"{v:.0e}" for k, v in differences.items()})

# %% [markdown]
# As above, the weights are those of one device, up to rounding, and the copies are the same to the
# last bit. The two mistakes are tens of thousands of times larger, and no error is raised.
# The first needs a short batch to show: it is the mean of means again. The second is there at every
# step and doubles the penalty.
#
# (Our two towers take turns, for Python calls one after the other. That is enough to prove the sum.
# TensorFlow's runtime runs them at the same time.)
#
# ## Batch normalisation
#
# Batch normalisation subtracts the mean of the rows and divides by their standard deviation. Of
# which rows? By itself a tower sees only its own.


# %%
def normalised(shares, together):
    """Returns the normalised rows of all towers; `together`: with the moments of all rows."""
    sums = [np.stack([x.sum(axis=0), (x**2).sum(axis=0)]) for x in shares]  # (2, features) each
    rows = [len(x) for x in shares]
    if together:  # one all-reduce of three small things
        sums, rows = [np.sum(sums, axis=0)] * len(shares), [sum(rows)] * len(shares)
    means = [total / count for total, count in zip(sums, rows, strict=True)]
    pairs = zip(shares, means, strict=True)
    return np.concatenate([(x - m) / np.sqrt(s - m**2 + 1e-3) for x, (m, s) in pairs])


if __name__ == "__main__":
    rows = random.normal(size=(16, 4))
    whole = layers.BatchNormalization(dtype="float64")(rows, training=True)
    for together in (False, True):
        difference = np.abs(normalised([rows[:9], rows[9:]], together) - whole).max()
        print(f"moments of all rows: {together!s:5}  largest difference {difference:.0e}")

# %% [markdown]
# With the moments of its own rows each tower computes another function than one device would. That
# is not wrong, and large batches per device hardly feel it; but it is another model, which depends
# on how many devices there are. The remedy is a second all-reduce, of sums, squares and rows:
# `BatchNormalization(synchronized=True)`.

# %% [markdown]
# ## The strategy
#
# TensorFlow does all of this under the name of a *strategy*. A model that is made in its scope has
# a copy on every device, and `kerasbook.training.fit` lets each take its share of every batch. The
# batch size remains that of the whole batch, so nothing else changes.


# %%
def trained(devices=None, loop="tape", examples=57, batch_size=16, normalise=False):
    """Returns the weights after two epochs of `fit`, or of `model.fit` for the loop "fit"."""
    keras.utils.set_random_seed(0)
    data = load_fashion().take(examples).train
    strategy = make_strategy(devices) or tf.distribute.get_strategy()
    with strategy.scope():
        between = [layers.BatchNormalization(synchronized=normalise == "together")]
        hidden = layers.Dense(32, "relu", kernel_regularizer="l2")
        inside = [layers.Flatten(), hidden, *(between if normalise else []), layers.Dense(10)]
        model = keras.Sequential([keras.Input((28, 28, 1)), *inside])
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    if loop == "fit":
        model.compile(optimizer, loss_fn, jit_compile=False)
        model.fit(*data, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    else:
        options = {"epochs": 2, "batch_size": batch_size, "jit": "off", "progress": "none"}
        fit(model, data, loss_fn=loss_fn, optimizer=optimizer, shuffle=False, **options)
    return model.get_weights()


if __name__ == "__main__":
    alone = trained()
    print(f"the book's fit, 2 devices: {largest_difference(alone, trained(2)):.0e}")
    print(f"model.fit, 1 device:       {largest_difference(alone, trained(None, 'fit')):.0e}")
    print(f"model.fit, 2 devices:      {largest_difference(alone, trained(2, 'fit')):.0e}")

# %% [markdown]
# With the book's loop two devices make one device's weights, with the penalty and the short last
# batch. Keras' own `model.fit` under the same strategy does not: a device with fewer rows gets the
# same weight as one with more, the mean of means once more. (With batches that can be divided
# evenly it agrees.) That is why `--loop fit` is refused on several devices.
#
# And batch normalisation, as it is and synchronised?

# %%
if __name__ == "__main__":
    for kind in ("apart", "together"):
        one, two = (trained(count, normalise=kind, batch_size=19) for count in (None, 2))
        print(f"moments {kind:8} two devices differ from one by {largest_difference(one, two):.0e}")

# %% [markdown]
# On the command line it is `--devices 2`, for two graphics cards, or for two shares of the CPU
# where there is none. `--workers 2` starts two *processes*, which send their gradients through the
# network even if it is only a loop inside the machine. Across machines somebody else starts the
# processes, and tells each of them where the others are, in an environment variable `TF_CONFIG`:


# %%
def place_of_worker(index, addresses) -> str:
    """Returns the TF_CONFIG of one of the workers at these addresses, "host:port"."""
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": {"worker": list(addresses)}, "task": task})


if __name__ == "__main__":
    text = place_of_worker(1, ["10.0.0.5:2222", "10.0.0.6:2222"])
    print(text)
    print(read_cluster({"TF_CONFIG": text}))

# %% [markdown]
# Everybody has the same list and an index of his own. Number 0 is the *chief*: it alone prints and
# writes files. All workers wait for each other at every all-reduce, so the slowest sets the pace,
# and if one dies the others cannot go on. `python -m kerasbook.chapter3`, started with such a
# `TF_CONFIG` on every machine, trains one model on all of them. Vertex sets the variable by itself;
# on Kubernetes a training operator does; under Slurm a few lines of shell make it from the list of
# nodes.
#
# ## What scales, and what does not
#
# Two devices, half the time? Let a step be made of a share $s$ that cannot be divided (Python,
# calls, the update of the weights, waiting) and the rest that can. With $n$ devices the time is
# $s + (1 - s)/n$ of what it was, and the speed-up
#
# $$S(n) = \frac{1}{s + (1 - s) / n} \le \frac1s .$$
#
# This is *Amdahl's law*. With $s = 0.1$ the speed-up stays below ten, however many devices are paid
# for. Turned around, a measurement with $n$ devices tells $s$: it is $(n / S - 1) / (n - 1)$.


# %%
def amdahl(serial, devices):
    """Returns the speed-up on so many devices, if the share `serial` cannot be divided."""
    return 1 / (serial + (1 - serial) / np.asarray(devices))


def serial_share(speed_up, devices=2):
    """Returns the share that cannot be divided, from a speed-up that was measured."""
    return (devices / speed_up - 1) / (devices - 1)


# %% [markdown]
# Two processor cores are two devices already: TensorFlow divides large operations among its
# threads. Recorded with one thread and with two, for batches of 8 to 512 rows:


# %%
def plot_second_core(ax=None):
    """Returns the Axes: the recorded speed-up of a step by a second thread, by batch size."""
    threads = recorded()["threads"]
    sizes = [int(size) for size in next(iter(threads.values()))]
    curves = {name: [one / two for one, two in by.values()] for name, by in threads.items()}
    labels = {"x_label": "rows in a batch", "y_label": "speed-up by a second core"}
    ax = plotting.plot_lines(curves, x=sizes, **labels, ax=ax)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, map(str, sizes))
    ax.axhline(2, color="0.6", linestyle=":")
    ax.set_ylim(0, 2.1)
    return ax


if __name__ == "__main__":
    plot_second_core()

# %% [markdown]
# What is worth dividing is a matter of how much of it there is. The dense network's products are so
# small that a second core finds nothing to do, up to 512 rows; with few rows it is in the way. The
# convolutional network begins to use it when the batch grows, for calls cost the same and the
# products cost more: Amdahl's $s$ is no constant of nature. And even there the second core is far
# from doubling the speed: TensorFlow divides most kernels, not all, and both cores wait for the
# same memory. From these measurements, $s$ for 64 rows, and what it would mean for more devices:


# %%
def plot_amdahl(rows=64, most=32, ax=None):
    """Returns the Axes: speed-ups recorded with 1 and 2 threads, Amdahl's lines through them."""
    devices, threads = np.arange(1, most + 1), recorded()["threads"]
    labels = {"x_label": "devices", "y_label": "speed-up"}
    pairs = {name: by[str(rows)] for name, by in threads.items()}
    shares = {name: min(1, serial_share(one / two)) for name, (one, two) in pairs.items()}
    curves = {"all can be divided": devices}
    curves |= {f"{name}, s = {s:.2f}": amdahl(s, devices) for name, s in shares.items()}
    ax = plotting.plot_lines(curves, x=devices, **labels, ax=ax)
    for one, two in pairs.values():
        ax.plot([1, 2], [1, one / two], **plotting.page.STAR, color=plotting.page.ink(ax))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ticks = 2 ** np.arange(int(np.log2(most)) + 1)
    ax.set_xticks(ticks, map(str, ticks))
    ax.set_yticks(ticks, map(str, ticks))
    return ax


if __name__ == "__main__":
    plot_amdahl()

# %% [markdown]
# The stars were measured; the lines beyond two are a calculation, and an optimistic one, for it
# leaves out that the devices must talk. Two workers do. Here are recorded steps of one worker with
# 64 rows; of two that share these rows (*strong scaling*: the same work, in less time?); and of two
# with 64 rows each (*weak scaling*: more work, in the same time?). Each worker has one thread.


# %%
def plot_workers():
    """Returns the Axes: recorded milliseconds per step with one worker and with two."""
    steps = recorded()["workers"]
    _, axes = plt.subplots(len(steps), figsize=(6.6, 1.55 * len(steps)), layout="constrained")
    for ax, (name, times) in zip(axes, steps.items(), strict=True):
        plotting.plot_ladder(times, x_label="milliseconds per step", ax=ax)
        ax.set(title=name, ylabel="")
    return axes


if __name__ == "__main__":
    plot_workers()

# %% [markdown]
# Two workers that share the 64 rows are slower than one alone: what they say to each other costs
# more than half of the rows. With 64 rows each, the convolutional pair needs less time than one
# worker would for both batches, and so it gains; the dense pair loses whatever it does.
#
# How much do they have to say? The ring told us: each sends $2\,(n-1)/n$ times the gradient, four
# bytes for each weight. That depends on the weights alone, not on the rows. Against it stands the
# arithmetic, which grows with the rows:


# %%
def bytes_sent(weights, devices):
    """Returns the bytes that each device sends in a step, by the ring, in 32 bits."""
    return 4 * weights * 2 * (devices - 1) / devices


if __name__ == "__main__":
    for name, model in networks.items():
        sent = [bytes_sent(model.count_params(), n) / 1e6 for n in (2, 8, 64)]
        work = operations_of_step(model, 64) / bytes_sent(model.count_params(), 2)
        print(
            f"{name:13} MB per step and device: 2 devices {sent[0]:.2f}, 8 {sent[1]:.2f}, "
            f"64 {sent[2]:.2f}; {work:,.0f} operations for each byte"
        )

# %% [markdown]
# Suppose devices of $10^{11}$ operations a second and a network of 10 gigabits, which is
# $1.25 \cdot 10^9$ bytes, a second. Then all can be computed before anything is bought: the time of
# the arithmetic, divided by $n$, and the time of sending, which is not.


# %%
def speed_up_with_ring(operations, weights, devices, speed=1e11, bandwidth=1.25e9):
    """Returns the speed-up when arithmetic is divided and gradients go around a ring."""
    alone, devices = operations / speed, np.asarray(devices)
    return alone / (alone / devices + bytes_sent(weights, devices) / bandwidth)


if __name__ == "__main__":
    counts = 2 ** np.arange(7)
    curves = {"all can be divided": counts}
    for name, model in networks.items():
        for rows in (64, 1024):
            work = operations_of_step(model, rows), model.count_params()
            curves[f"{name}, {rows} rows"] = speed_up_with_ring(*work, counts)
    ax = plotting.plot_lines(curves, x=counts, x_label="devices", y_label="speed-up, calculated")
    ax.set_xscale("log", base=2)
    ax.set_yscale("log", base=2)
    ax.set_xticks(counts, map(str, counts))
    ax.set_yticks([0.5, *counts], map(str, [0.5, *counts]))

# %% [markdown]
# Below one, two devices are slower than one. What scales is what does much with each weight:
# convolutions more than dense layers, large batches more than small ones, weak scaling more than
# strong. Large systems also send the gradient of the last layer while that of the first is still
# being computed, and send it in 16 bits; that moves the lines, and does not change the picture.
#
# (Where a model does not fit on a device, its weights must be divided too, by layers, by columns of
# the matrices, or in shares that are fetched when they are needed. That is another art, and none of
# this book's models needs it.)
#
# ## How large may a batch be?
#
# So large batches are what many devices want. Does the network want them? With eight times the rows
# there are an eighth of the steps in an epoch, and at the same learning rate it comes an eighth of
# the way. The remedy is to take longer steps: $k$ times the rows, $k$ times the learning rate. A
# gradient over more rows is less noisy, and as long as the weights move little, $k$ small steps in
# a row are nearly one large one. At the very start they do move, so one begins with small steps and
# makes them longer in the course of the first epoch (*warm-up*).
#
# We take the network that was built by hand in chapter 2, momentum, five epochs each, and batches
# of 32 to 2,048.


# %%
def accuracy_after(splits, batch_size, learning_rate, warm_up=0, epochs=5) -> float:
    """Returns the validation accuracy of chapter 2's network by hand, trained with momentum.

    warm_up: the number of first steps in which the learning rate rises to its value.
    """
    x, y = flat(splits.train.x), splits.train.y
    weights = initial_weights(SIZES)
    velocities, step = [0.0] * len(weights), 0
    for epoch in range(epochs):
        order = batch_order(0, epoch, len(x))
        for first in range(0, len(x), batch_size):
            step += 1
            rate = learning_rate * (min(1, step / warm_up) if warm_up else 1)
            rows = order[first : first + batch_size]
            gradients = backward(y[rows], forward(x[rows], weights), weights)
            for i, gradient in enumerate(gradients):
                weights[i], velocities[i] = chapter2_training.momentum(
                    weights[i], gradient, velocities[i], rate
                )
    scores = forward(flat(splits.validation.x), weights)[-1]
    return float((scores.argmax(axis=1) == splits.validation.y).mean())


def compare_batch_sizes(splits, sizes=(32, 128, 512, 2048), base=0.005) -> dict[str, list[float]]:
    """Returns accuracies by batch size: the same learning rate, in proportion, with warm-up."""
    same = [accuracy_after(splits, size, base) for size in sizes]
    scaled, warm = same[:1], same[:1]
    with np.errstate(all="ignore"):  # it is meant to go wrong in the end
        for size in sizes[1:]:
            rate = base * size / sizes[0]
            scaled.append(accuracy_after(splits, size, rate))
            warm.append(accuracy_after(splits, size, rate, warm_up=len(splits.train.x) // size))
    return {"the same": same, "in proportion": scaled, "in proportion, warm-up": warm}


if __name__ == "__main__":
    sizes = (32, 128, 512, 2048)
    accuracies = compare_batch_sizes(splits, sizes)
    labels = {"x_label": "rows in a batch", "y_label": "validation accuracy"}
    ax = plotting.plot_lines(accuracies, x=sizes, **labels)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, map(str, sizes))
    ax.set_ylim(0.6, 0.92)  # two curves leave the picture
    for name, values in accuracies.items():
        print(f"{name:23}", *(f"{value:.2f}" for value in values))

# %% [markdown]
# With the same learning rate, large batches fall behind. In proportion, the accuracy holds from 32
# to 512 rows: sixteen times fewer steps for the same result. With 2,048 it breaks: the learning
# rate is now so large that the steps overshoot, as chapter 1's descent did above its limit, and
# warm-up does not save it. Every problem has such a batch size, beyond which more devices only burn
# more power. Where it lies depends on how noisy the gradients are; the harder the task, the larger
# it is.
#
# ## Result
#
# `main` trains chapter 2's deep network with batches of 512, a learning rate in proportion with
# warm-up, and a cosine to the end. It has no dropout, so nothing depends on how a batch is cut:
# `--micro-batches 4`, `--devices 2` and `--workers 2` take the same steps, but for rounding.


# %%
def make_schedule(learning_rate, steps, warm_up):
    """Returns the learning rate by step: up in a line, then down along half a cosine."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )


def check_pieces(loop):
    """Checks that a batch can be cut into pieces by our own step.

    Raises:
        ValueError: it cannot.
    """
    if keras.config.dtype_policy().name == "mixed_float16":
        raise ValueError("micro-batches without loss scaling: take bfloat16 in place of float16")
    if loop == "fit" or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError("micro-batches are for one device and the book's loop: leave one flag out")


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "bounds": {"micro_batches": [1, None]},
    "minutes": 1,
}


def main(
    epochs: int = 20,
    batch_size: int = 512,
    learning_rate: float = 0.005,
    micro_batches: int = 1,
    l2: float = 1e-4,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains chapter 2's deep network in large batches, which can be shared among devices.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step, over all devices
        learning_rate: for batches of 32; it grows in proportion to the batch
        micro_batches: cut every batch into so many pieces, one after the other
        l2: weight of the penalty on squared weights
        seed: of the first weights and of the shuffling
        dataset: fashion, or mnist, fashion_mnist, cifar10 from TensorFlow Datasets
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)

    model = chapter2_training.make_model(splits.train.x.shape[1:], len(splits.classes), l2=l2)
    model.summary()
    steps = -(-len(splits.train.x) // batch_size)
    rate = learning_rate * batch_size / 32
    schedule = make_schedule(rate, epochs * steps, warm_up=min(2, epochs - 1) * steps)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    if micro_batches > 1:
        check_pieces(fit_options.get("loop"))
        step = make_accumulating_step(model, loss_fn, optimizer, micro_batches)
        fit_options["train_step"] = step
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=optimizer,
        metrics=metrics,
        epochs=epochs,
        batch_size=batch_size,
        validation_data=splits.validation,
        seed=seed,
        **fit_options,
    )
    scores = {
        "validation": evaluate(model, splits.validation, loss_fn=loss_fn, metrics=metrics),
        "test": evaluate(model, splits.test, loss_fn=loss_fn, metrics=metrics),
    }
    predicted = predict(model, splits.test.x).argmax(axis=1)
    rates = [float(schedule(step)) for step in range(epochs * steps + 1)]
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
        "learning_rate": plotting.plot_lines(
            {"warm-up and cosine": rates}, x_label="step", y_label="learning rate"
        ),
    }
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    plt.close("all")  # the pictures follow one by one
    print(result.scores["test"])

# %%
if __name__ == "__main__":
    result.figures["history"][0].figure

# %% [markdown]
# Over five seeds the test accuracy was 0.869 ± 0.003, mean ± standard deviation. Chapter 2's
# network, with dropout and batches of 64, did no better in six times as many steps.
#
# And the promise, that it does not matter how the batch is cut? With batches of 512 out of 3,000
# pictures, after few steps and after many:


# %%
def weights_of_large_batches(epochs, devices=None, micro_batches=1, examples=3000):
    """Returns the weights after a short training like that of `main`, without its schedule."""
    keras.utils.set_random_seed(0)
    data = load_fashion().take(examples).train
    with (make_strategy(devices) or tf.distribute.get_strategy()).scope():
        model = chapter2_training.make_model((28, 28, 1), 10, l2=1e-4)
        optimizer = keras.optimizers.SGD(0.08, momentum=0.9)
    options = {"epochs": epochs, "batch_size": 512, "jit": "off", "progress": "none"}
    if micro_batches > 1:
        step = make_accumulating_step(model, loss_fn, optimizer, micro_batches)
        options["train_step"] = step
    fit(model, data, loss_fn=loss_fn, optimizer=optimizer, **options)
    return model.get_weights()


if __name__ == "__main__":
    for epochs in (3, 24):
        one = weights_of_large_batches(epochs)
        cut = weights_of_large_batches(epochs, micro_batches=4)
        shared = weights_of_large_batches(epochs, devices=2)
        print(
            f"{6 * epochs:3} steps: weights differ by {largest_difference(one, cut):.0e} in four "
            f"pieces, by {largest_difference(one, shared):.0e} on two devices"
        )

# %% [markdown]
# After a few steps nothing is left but rounding. After many it can become a thousand times as much,
# though every single step is right: once a rounding error has switched a unit on or off, the
# gradients are others, and from there two runs part. Two computers with different processors would
# differ as much. So whoever compares two ways of training should do it after a few steps.

# %% [markdown]
# ## What to try
#
# - `python -m kerasbook.chapter9 --workers 2`, and `python -m kerasbook.chapter3 --workers 2`:
#   which is faster than with one, and what would Amdahl say?
# - `--batch-size 2048`, and then with `--learning-rate 0.002`. Where is the border?
# - `python -m kerasbook.bench.scaling`: where does your machine differ from ours?
# - Train with `train_in("mixed_float16", 2.0**24, patience=50)`. How many steps are lost at the
#   start?
# - Write the all-reduce as a tree: pairs add up, then pairs of pairs. How many numbers does the
#   busiest device send, and how many steps does it take? When is it better than a ring?
# - Send the gradients around the ring in `float16`. How far do the weights drift in 100 steps?
# - Give the last tower half as many rows as the first, as if it were half as fast. What must change
#   for the sum to stay right?
#
# ## Where this comes from
#
# - G. Amdahl, *Validity of the single processor approach* (1967), and J. Gustafson, *Reevaluating
#   Amdahl's law* (1988), who pointed out that the work grows with the machine: weak scaling.
# - P. Micikevicius and others, *Mixed precision training* (2018): weights in 32 bits, loss scaling.
# - P. Patarasuk and X. Yuan, *Bandwidth optimal all-reduce algorithms for clusters of workstations*
#   (2009): the ring.
# - P. Goyal and others, *Accurate, large minibatch SGD* (2017): the learning rate in proportion,
#   and warm-up. S. McCandlish and others, *An empirical model of large-batch training* (2018):
#   where it stops.
# - D. Hendrycks and K. Gimpel, *Gaussian error linear units* (2016).

# %% [markdown]
# ## Exercises
#
# This chapter has no exercises of its own. Chapter 6's `micro_batches` fits here: gradient
# accumulation for a language model, with padding. `kerasbook start DIR` copies its stub, and the
# notebooks, into a folder; `kerasbook check` says whether your answer is right.
#
# ## Where to go next
#
# `kerasbook/training/replicas.py` is the book's data parallelism: one file that does what the
# towers did, for any model. What a run on many machines needs besides is to survive: `--resume`
# goes on where a run was killed, and ends with the same weights.
