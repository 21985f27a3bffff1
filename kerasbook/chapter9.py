# %% [markdown]
"""
# Chapter 9. Sixteen bits, and a batch in pieces

The model is right, and it is too large: the batch does not fit into memory, or the training takes
too long. Two remedies need no second machine. Numbers of 16 bits take half the room, and there are
processors that multiply them much faster. And a batch that does not fit can be taken in pieces.
The second promises the very weights that you would have had anyway, the first nearly as good ones.
When is that true?

After this page you can

- say what 16 bits give up, and which of the two kinds to take;
- write the loss scaling without which some networks learn nothing in `float16`;
- cut a batch into pieces without changing the step, and see a mistake of well-known libraries;
- choose a learning rate for a batch of two thousand rows, and say where that ends.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter9`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter9")

# %% tags=["hide-input"]
import timeit
import weakref
from functools import partial
from itertools import pairwise
from typing import Literal

from kerasbook import chapter2_training, plotting
from kerasbook.chapter2 import loss_fn
from kerasbook.chapter2_deep_network import SIZES, backward, flat, forward, initial_weights
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_difference
from kerasbook.testing.scaling import compare_scaling
from kerasbook.training import (
    NonFiniteLoss,
    batch_order,
    evaluate,
    fit,
    make_train_step,
    predict,
    total_loss,
)

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## A network that learns nothing
#
# Here is a dense network of eight hidden layers. Its first weights are much too small, on purpose:
# each layer makes the signal smaller on its way forward, and the gradient on its way back. Adam
# does not mind, because it divides every gradient by its usual size (chapter 2), if its
# $\varepsilon$ is small beside them: we take $10^{-12}$ in place of Keras' $10^{-7}$.


# %%
def make_deep_model(dtype="float32", depth=8, units=64, gain=0.05, seed=0) -> keras.Model:
    """Returns a dense network: pictures (n, 28, 28, 1) → scores (n, 10), computed in `dtype`.

    gain: the variance of first weights is gain / inputs; 2 would be right (chapter 2).
    """
    model = keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten()])
    for number in range(depth + 1):
        spread = keras.initializers.VarianceScaling(gain, distribution="normal", seed=seed + number)
        options = {"kernel_initializer": spread, "dtype": dtype}
        last = number == depth
        model.add(layers.Dense(10 if last else units, None if last else "relu", **options))
    return model


# %% [markdown]
# We train it twice from the same weights on the same batches: in `float32`, as always, and with
# layers that compute in `float16`. Keras calls the second way `mixed_float16`, because only the
# computing is done in 16 bits; the weights are kept in 32. Half the bits, so about half the digits.
# What will the second loss do: follow the first, lag a little, or end somewhere else?


# %%
def train_in(dtype, make_step=make_train_step, epochs=5, examples=8960) -> list[float]:
    """Returns the loss of each epoch; it ends with a NaN if the loss became one.

    make_step: `make_step(model, loss_fn, optimizer)` returns the train step.
    """
    # On a CPU TensorFlow fuses product, bias and ReLU into one operation, slow in float16.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    keras.utils.set_random_seed(0)
    model, optimizer = make_deep_model(dtype), keras.optimizers.Adam(epsilon=1e-12)
    optimizer.build(model.trainable_variables)
    step = make_step(model, loss_fn, optimizer)
    options = {"epochs": epochs, "batch_size": 256, "jit": "off", "progress": "none"}
    data = load_fashion().take(examples).train
    try:
        history = fit(model, data, loss_fn=loss_fn, optimizer=optimizer, train_step=step, **options)
    except NonFiniteLoss as stop:
        return [*stop.history.history.get("loss", []), np.nan]
    finally:
        tf.config.optimizer.set_experimental_options({"remapping": True})
    return history.history["loss"]


# %%
if __name__ == "__main__":
    curves = {"float32": train_in("float32"), "float16": train_in("mixed_float16")}
    for name, losses in curves.items():
        print(f"{name}: loss by epoch", *(f"{loss:.3f}" for loss in losses))

# %% [markdown]
# It does not lag, it stands still at $\ln 10$, the loss of somebody who guesses. No error, no
# warning, no NaN (*not a number*, what `inf - inf` gives). To see why, look at the numbers.
#
# ## What can sixteen bits say?
#
# A floating-point number has one bit for its sign, some for its exponent, which say how large and
# how small it may be, and the rest for its digits. Two ways to share out sixteen bits are in use.


# %% alt="Three bars on a line of powers of ten. float32 and bfloat16 both reach from about -38 to 38, with 6.9 and 2.1 digits; float16, with 3.0 digits, is a short bar from -4 to 5 with a pale end down to -7."
if __name__ == "__main__":
    plotting.plot_ranges()

# %% [markdown]
# In the pale part at the left the digits run out, one after the other (*subnormal* numbers), and
# beyond its end everything is zero. `float16` has more digits and a short bar. `bfloat16` is
# `float32` without its last 16 bits: the dark part is the same, with little more than two digits.

# %%
if __name__ == "__main__":
    half = np.finfo("float16")
    print(f"largest {half.max}, smallest {half.smallest_subnormal:.1e}, after 1: {1 + half.eps}")
    print(f"1 + 0.0004 = {np.float16(1) + np.float16(0.0004)}")
    for number in (70_000, 1e-8):
        print(f"{number} = {tf.cast(number, tf.float16)}")

# %% [markdown]
# So three things can go wrong, and each has an answer.
#
# *The step is lost.* A weight of 1 and a step of 0.0004 make 1. So the weights stay in `float32`,
# and so does what the optimiser remembers; only a copy of them is rounded, for the products. This
# is *mixed precision*. `mixed_float16` does it, so it was not our trouble.
#
# *A sum overflows.* So Keras computes losses, and the moments of normalising layers, in `float32`.
#
# *A gradient vanishes.* The derivative of a mean over a batch is divided by the batch size, comes
# through layers with small weights, and may be too small for `float16`. Is that what happened?
#
# ## Gradients that are zero


# %%
def all_gradients(model, x, y, scale=1.0):
    """Returns (weights,): every weight's gradient of scale · loss, in one row."""
    with tf.GradientTape() as tape:
        loss = tf.multiply(loss_fn(y, model(x, training=True)), scale)
    gradients = tape.gradient(loss, model.trainable_variables)
    return np.concatenate([np.ravel(gradient) for gradient in gradients])


# %%
if __name__ == "__main__":
    splits = load_fashion()
    batch = [tf.constant(part[:256]) for part in splits.train]
    in_32_bits = all_gradients(make_deep_model(), *batch)
    in_16_bits = all_gradients(make_deep_model("mixed_float16"), *batch)
    some = in_32_bits != 0  # a ReLU that is shut gives a true zero
    print(f"zero, but not in 32 bits: {(in_16_bits[some] == 0).mean():.1%} of the gradients")
    names = [np.full(w.shape, w.name).ravel() for w in make_deep_model().trainable_variables]
    biases = np.concatenate(names)[in_16_bits != 0] == "bias"
    print(f"of the other {len(biases)}, {biases.sum()} are of biases")

# %% [markdown]
# It is. With biases alone a network can learn how frequent each class is, and no more. How far
# below the border are the others, and how much room is there above?


# %% alt="Histogram, on a log axis, of the sizes of the gradients as powers of two, with two dashed borders. As they are, nearly all lie left of the first border, where float16 has only zero, and a thin tail reaches far to the right; multiplied by 2 to the 15 nearly all lie between the borders, and the tail ends before the second."
if __name__ == "__main__":
    plotting.plot_gradient_sizes(in_32_bits, 2.0**15)

# %% [markdown]
# Left of the first dashed line a number is zero in `float16`, right of the second infinite. The
# gradients lie too far left. So move them: multiply the *loss* by a number $S$. By the chain rule
# every gradient is then $S$ times as large, wherever it is computed. Divide by $S$ again
# afterwards, in 32 bits, where there is room. This is *loss scaling*. By a power of two, it rounds
# nothing itself. The few large gradients, in the thin tail, decide how far: which $S$ will do?

# %%
if __name__ == "__main__":
    for power in (0, 8, 12, 16, 19, 20, 24, 30):
        scale = 2.0**power
        found = all_gradients(make_deep_model("mixed_float16"), *batch, scale) / scale
        zero, infinite = (found[some] == 0).mean(), (~np.isfinite(found)).sum()
        print(f"S = 2^{power:<2}  zero {zero:5.1%}  not finite {infinite:6,} of {found.size:,}")

# %% [markdown]
# Too small, and the gradients are zero; too large, and they are infinite: at first a single one,
# which is enough to spoil the weights. In between, from $2^{12}$ to $2^{19}$, $S$ matters little.
# So take a number from this valley and be done?
#
# *Exercise: `largest_scale` (five minutes) finds the upper end of the valley from the gradients.*
#
# ## Loss scaling with a scale that moves
#
# A step with loss scaling, by hand. First with a constant $S$.


# %%
def scaled_gradients(model, loss_fn, x, y, scale):
    """Returns the loss, the outputs, and the gradients by way of the loss times `scale`."""
    with tf.GradientTape() as tape:
        y_pred = model(x, training=True)
        loss = total_loss(model, loss_fn, y, y_pred)
        scaled_loss = loss * scale
    gradients = tape.gradient(scaled_loss, model.trainable_variables)
    return loss, y_pred, [each / scale for each in gradients]


# %%
def make_constant_step(model, loss_fn, optimizer, scale):
    """Returns a train step whose loss is multiplied by a number."""

    def train_step(x, y):
        loss, y_pred, gradients = scaled_gradients(model, loss_fn, x, y, scale)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, y_pred

    return train_step


# %% [markdown]
# The picture above showed the gradients of the first step. Will the same $S$ still be right after a
# hundred steps? Better to let it move. An overflow is easy to see: a gradient is not finite. Then
# the step is left out, because one batch more or less does no harm and a NaN in the weights is the
# end, and $S$ is halved. After many good steps in a row it is doubled; here after two.


# %%
def next_scale(scale, good_steps, finite, patience):
    """Returns the scale and the number of good steps after a step.

    An overflow (`finite` is False) halves the scale; `patience` good steps in a row double it.
    """
    enough = good_steps + 1 == patience
    grown = tf.where(enough, 2 * scale, scale)
    counted = tf.where(enough, 0, good_steps + 1)
    return tf.where(finite, grown, scale / 2), tf.where(finite, counted, 0)


# %%
if __name__ == "__main__":
    scale, good_steps = tf.constant(8.0), tf.constant(0)
    for finite in (False, False, True, True, True, False):
        scale, good_steps = next_scale(scale, good_steps, finite, patience=2)
        print("good step:" if finite else "overflow: ", f"{scale:g}", end="   ")

# %% [markdown]
# $S$ and the number of good steps change inside a compiled step, so they are TensorFlow variables,
# and in place of an `if`, which Python would decide only once, stands `tf.cond`.


# %%
def make_scaled_step(model, loss_fn, optimizer, scale, patience):
    """Returns a train step that scales the loss by a variable, (), and moves it."""
    good_steps = tf.Variable(0)

    def train_step(x, y):
        loss, y_pred, gradients = scaled_gradients(model, loss_fn, x, y, scale)
        finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(each)) for each in gradients])

        def apply():
            optimizer.apply(gradients, model.trainable_variables)
            return True

        tf.cond(finite, apply, lambda: False)
        new_scale, new_count = next_scale(scale, good_steps, finite, patience)
        scale.assign(new_scale)
        good_steps.assign(new_count)
        return loss, y_pred

    return train_step


# %% [markdown]
# Now train the network with $S = 2^{15}$ throughout, with a scale that begins there and moves, and
# in `bfloat16`, which has the range of `float32` and should need no scale. Which of the three will
# end like `float32`?


# %%
if __name__ == "__main__":
    constant = partial(make_constant_step, scale=2.0**15)
    moving = partial(make_scaled_step, scale=tf.Variable(2.0**15), patience=50)
    curves["float16, scale 2^15"] = train_in("mixed_float16", constant)
    curves["float16, moving scale"] = train_in("mixed_float16", moving)
    curves["bfloat16"] = train_in("mixed_bfloat16")


# %% tags=["hide-input"]
def plot_runs(curves):
    """Returns the Axes: the loss of each run by epoch; where it became NaN, it says so."""
    epochs = max(map(len, curves.values()))
    padded = {name: [*c, *[np.nan] * (epochs - len(c))] for name, c in curves.items()}
    labels = {"x_label": "epoch", "y_label": "loss, mean over the epoch"}
    ax = plotting.plot_lines(padded, x=np.arange(1, epochs + 1), **labels)
    ax.set_xticks(range(1, epochs + 1))
    for (name, curve), line in zip(curves.items(), ax.lines, strict=False):
        if np.isnan(curve[-1]):  # the loss became NaN in the epoch after these
            line.set(markersize=11, zorder=5)
            ax.annotate(f"{name}: then NaN", (len(curve) - 1, curve[-2]), (14, -4),
                        textcoords="offset points", va="center", zorder=6)  # fmt: skip
    return plotting.label_ends(ax)


# %% alt="The loss of five runs over five epochs. float32 and float16 with a moving scale fall together, bfloat16 on a curve of its own near them; float16 without a scale stays level at 2.3; float16 with a constant scale has one large point at the first epoch, with the words: then NaN." tags=["cover"]
if __name__ == "__main__":
    plot_runs(curves)

# %% [markdown]
# With the constant scale the first epoch goes as in 32 bits. Then a gradient overflows, and all is
# lost: four doublings of room at the first step are not enough for a later one. (The book's loop
# stops at the first NaN.) With the scale that moves, the curve follows that of 32 bits; `bfloat16`
# learns as well, on a curve of its own.
#
# Is ours the rule of Keras' `LossScaleOptimizer`? (Keras wraps the optimiser in one when layers
# compute in `mixed_float16`.) We begin far too high, at $2^{26}$, wait only for four good steps,
# and compare the scale and all weights after each step.


# %% alt="The scale after each of 24 steps, as a power of two, by hand and by Keras, the same. It falls from 2 to the 25 at every step for nine steps, which a grey band marks as left out, and again at steps 12 and 15; then it goes up at step 19 and down at step 20."
if __name__ == "__main__":
    scales, weights = compare_scaling(make_scaled_step, initial=2.0**26)
    print(f"scales differ by {np.ptp(scales, axis=0).max()}, weights by {np.ptp(weights, 0).max()}")
    names = dict(zip(("by hand", "Keras"), scales, strict=True))
    ax = plotting.plot_lines(names, x_label="step", y_label="scale after the step", log=True)
    ax.set_yscale("log", base=2)
    for step in 1 + np.flatnonzero(np.diff(scales[0], prepend=2.0**26) < 0):
        ax.axvspan(step - 0.5, step + 0.5, color="0.5", alpha=0.2, linewidth=0)

# %% [markdown]
# In the grey steps something overflowed: the weights stay where they are, and the scale is halved,
# nine times at the start and twice when a batch has larger gradients. Then it feels its way: after
# four good steps it tries twice as much, and comes back where that is too much. Keras waits for
# 2,000 steps, so that a step is rarely left out. With `--mixed-precision float16` all of this
# happens by itself.
#
# *Exercise: `scaled_step` is such a step for a model in NumPy, with a second rule for the scale.*
#
# ## Which of the two?
#
# With `bfloat16` there is nothing to scale, and the price is in the digits. How much of a gradient
# is lost? We ask chapter 2's network, at its first step and without a scale.

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
        print(f"{policy:14} became zero {zero:.1%}, relative error {error:.1%}")
    other = all_gradients(exact, *(tf.constant(part[256:512]) for part in splits.train))
    print(f"another batch  differs by {np.linalg.norm(other - right) / np.linalg.norm(right):.0%}")

# %% [markdown]
# Rounding changes the gradient far less than the choice of the batch, so little harm is done. Where
# the processor has both, `bfloat16` spares you the scale.
#
# And the time? What counts is whether the processor has instructions for such products, and whether
# the library uses them. Recorded on one Xeon (`docs/devices.md`): a step of chapter 3's network
# takes 8.3 to 9.0 ms in `bfloat16`, in place of 12.9 to 14.1; one of chapter 2's deep network 412
# ms in `float16`, in place of 1.2. On a graphics card (GPU) nothing was measured. Ask your own
# processor:

# %% tags=["timing"]
if __name__ == "__main__":
    for dtype in ("float32", "float16", "bfloat16"):
        square = tf.cast(tf.random.normal((1024, 1024)), dtype)
        run = partial(lambda square: (square @ square).numpy(), square)
        seconds = min(timeit.repeat(run, number=1, repeat=5))
        print(f"{dtype:8} {1000 * seconds:6.1f} ms for a product of 1,024 × 1,024")

# %% [markdown]
# ## The batch in pieces: gradient accumulation
#
# The second remedy is for memory. For the way back the output of every layer that has weights must
# be kept, of every row of the batch. Guess for chapter 2's network and a batch of 4,096 pictures:
# what takes more room, the weights or the outputs?


# %%
def numbers_kept(model, rows) -> int:
    """Returns how many numbers the outputs of layers with weights are, for so many rows."""
    sizes = [np.prod(layer.output.shape[1:]) for layer in model.layers if layer.weights]
    return rows * int(sum(sizes))


# %%
if __name__ == "__main__":
    print(f"weights                {4e-6 * exact.count_params():5.2f} MB")
    for rows in (64, 4096):
        print(f"outputs of {rows:5,} rows  {4e-6 * numbers_kept(exact, rows):5.2f} MB")

# %% [markdown]
# In a convolutional network the outputs win much earlier: every weight is used in many places.
#
# One way out is to forget outputs, and to compute them again when the way back needs them
# (*gradient checkpointing*). `keras.remat` makes such a function of any other. How many of three
# outputs are still in memory after the way forward?


# %%
def outputs_held(wrap, dense_layers, x):
    """Returns how many outputs are held after the way forward, how many were made in the end, g."""
    made = []

    def forward_through(h):
        for layer in dense_layers:
            h = layer(h)
            made.append(weakref.ref(h))  # sees whether it is still there
        return h

    with tf.GradientTape() as tape:
        total = tf.reduce_sum(wrap(forward_through)(x))
    held = sum(output() is not None for output in made)
    g = tape.gradient(total, [layer.kernel.value for layer in dense_layers])
    return held, len(made), g


# %%
if __name__ == "__main__":
    rows, dense = flat(splits.train.x[:64]), [each for each in exact.layers if each.weights]
    *usual, right = outputs_held(lambda function: function, dense, rows)
    *again, found = outputs_held(keras.remat, dense, rows)
    print("held, made:", *usual, "and with keras.remat:", *again)
    print(f"gradients differ by {largest_difference(right, found):.0e}")

# %% [markdown]
# Only the last is held, and each is made twice: memory is paid for with a second way forward.
#
# The other way out is to take fewer rows at a time. The gradient of a sum is the sum of the
# gradients. So cut the batch of $n$ rows into *micro-batches* of $n_1, n_2, \dots$ rows, take one
# after the other, keep only the sum of their gradients, and make one step at the end. This is
# *gradient accumulation*. With the mean loss $L_k$ of micro-batch $k$,
#
# $$L = \frac1n \sum_{i=1}^n \ell_i = \sum_k \frac{n_k}{n}\, L_k .$$
#
# Every micro-batch counts by its rows. The loss of a penalty such as L2 has nothing to do with
# rows; with the weights $n_k / n$, which add up to one, it is counted once in all.


# %%
def accumulated_gradients(model, loss_fn, x, y, micro_batches):
    """Returns the loss, the gradients and the outputs of a batch, taken in so many pieces."""
    variables, rows = model.trainable_variables, tf.shape(x)[0]
    loss, gradients, outputs = 0.0, [tf.zeros_like(each) for each in variables], []
    pieces = min(micro_batches, x.shape[0] or micro_batches)  # None: a graph for any batch size
    borders = [rows * k // pieces for k in range(pieces + 1)]
    for first, last in pairwise(borders):
        with tf.GradientTape() as tape:
            y_pred = model(x[first:last], training=True)
            mean = total_loss(model, loss_fn, y[first:last], y_pred)
            share = tf.math.multiply_no_nan(mean, tf.cast((last - first) / rows, mean.dtype))
        found = tape.gradient(share, variables)
        gradients = [total + each for total, each in zip(gradients, found, strict=True)]
        loss += share
        outputs.append(y_pred)
    return loss, gradients, tf.concat(outputs, axis=0)


# %%
def make_accumulating_step(model, loss_fn, optimizer, micro_batches):
    """Returns a train step for `fit` that takes each batch in so many pieces."""

    def train_step(x, y):
        loss, gradients, y_pred = accumulated_gradients(model, loss_fn, x, y, micro_batches)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, y_pred

    return train_step


# %% [markdown]
# Is it the step of the large batch? We train twice, with a penalty, and batches of 100 of which the
# last has 50 rows. Cut into three, no batch has pieces of one size. At the end, many more steps.


# %%
def weights_after(make_step, batch_size=100, examples=250, epochs=1):
    """Returns the weights after training with the step `make_step(model, loss_fn, optimizer)`."""
    keras.utils.set_random_seed(0)
    model = chapter2_training.make_model((28, 28, 1), 10, l2=1e-2)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    optimizer.build(model.trainable_variables)
    step, (x, y) = make_step(model, loss_fn, optimizer), load_fashion().take(examples).train
    for epoch in range(epochs):
        order = batch_order(0, epoch, examples)
        for first in range(0, examples, batch_size):
            rows = order[first : first + batch_size]
            step(tf.constant(x[rows]), tf.constant(y[rows]))
    return model.get_weights()


# %%
if __name__ == "__main__":
    whole = weights_after(make_train_step)
    for pieces in (2, 3, 7):
        cut = weights_after(partial(make_accumulating_step, micro_batches=pieces))
        print(f"{pieces} pieces: weights differ by {largest_difference(whole, cut):.0e}")
    cut = partial(make_accumulating_step, micro_batches=3)
    late = [weights_after(step, epochs=60) for step in (make_train_step, cut)]
    print(f"after {60 * 3} steps, 3 pieces: {largest_difference(*late):.0e}")

# %% [markdown]
# What is left is rounding: the rows were added up in another order. With the steps it grows. So if
# you compare two ways of training, do it after a few.
#
# ## A mean of means
#
# The mistake that is easily made: add up the means, and divide by the number of micro-batches. A
# last piece that is shorter then counts for as much as the others, and its rows for more. Ten rows,
# in pieces of four, four and two; which of the two numbers will be larger?

# %%
if __name__ == "__main__":
    losses = np.array([1, 1, 1, 1, 1, 1, 1, 1, 6, 6.0])
    pieces = losses[:4], losses[4:8], losses[8:]
    print("mean of all rows:", losses.mean())
    print(f"mean of the means: {np.mean([piece.mean() for piece in pieces]):.2f}")
    print("weighted by rows:", sum(len(piece) / 10 * piece.mean() for piece in pieces))

# %% [markdown]
# Both losses fall as training goes on, so nobody notices. Hugging Face's trainer took the mean of
# means over pieces with unequal numbers of words until October 2024. And Keras' optimisers take
# `gradient_accumulation_steps=m`: they collect the gradients of $m$ calls, divide by $m$ and make a
# step. They cannot know how many rows there were.


# %% tags=["hide-input"]
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
        for first, last in pairwise(borders if pieces > 1 else borders[[0, -1]]):
            step(x[first:last], y[first:last])
        results.append(model.get_weights())
    return largest_difference(*results)


# %%
if __name__ == "__main__":
    for sizes in ((32, 32, 32), (32, 32, 8)):
        print(f"micro-batches of {sizes}: largest difference {keras_accumulation(sizes):.0e}")

# %% [markdown]
# With equal pieces it is our step. With a short one it is a mean of means; and at the end of an
# epoch whose steps are not a multiple of $m$, the rest is carried over into the next. So cut the
# batches evenly, or leave the last one out.
#
# Two kinds of layer are not the same in pieces. Dropout draws other zeros, which does no harm.
# Batch normalisation takes its mean and variance from the rows that it sees: in pieces it is
# another function, and its running means move once a piece. The next page has a remedy for it.
#
# *Exercise: `accumulate` takes its micro-batches from a stream, and is not told how many rows are
# still to come.*
#
# ## How large may a batch be?
#
# Now batches can be as large as we like. Should they be? With eight times the rows there are an
# eighth of the steps in an epoch, and at the same learning rate training comes an eighth of the
# way. The remedy is to take longer steps: eight times the rows, eight times the learning rate. As
# long as the weights move little, eight small steps in a row are nearly one large one. At the very
# start they do move, so one makes the steps longer in the course of an epoch or two (*warm-up*).
#
# We take the network that was built by hand in chapter 2, momentum, five epochs each, five seeds,
# and three rules: a learning rate of 0.005 for all batches; in proportion to the rows, 0.005 for 32
# and 0.08 for 512; and in proportion, with an epoch of warm-up. Where will the second one end?


# %%
def descend_in_batches(weights, x, y, batch_size, learning_rate, warm_up=0, epochs=5, seed=0):
    """Returns chapter 2's network by hand after so many epochs with momentum.

    warm_up: the number of first steps in which the learning rate rises to its value.
    """
    weights, velocities, step = list(weights), [0.0] * len(weights), 0
    for epoch in range(epochs):
        order = batch_order(seed, epoch, len(x))
        for first in range(0, len(x), batch_size):
            step += 1
            rate = learning_rate * (min(1, step / warm_up) if warm_up else 1)
            rows = order[first : first + batch_size]
            gradients = backward(y[rows], forward(x[rows], weights), weights)
            both = map(partial(chapter2_training.momentum, learning_rate=rate),
                       weights, gradients, velocities)  # fmt: skip
            weights, velocities = map(list, zip(*both, strict=True))
    return weights


# %%
def accuracy_after(splits, batch_size, learning_rate, warm_up=0, epochs=5, seed=0) -> float:
    """Returns the validation accuracy of `descend_in_batches`."""
    x, y = flat(splits.train.x), splits.train.y
    options = {"warm_up": warm_up, "epochs": epochs, "seed": seed}
    weights = initial_weights(SIZES, seed=seed)
    with np.errstate(all="ignore"):  # some of it is meant to go wrong
        weights = descend_in_batches(weights, x, y, batch_size, learning_rate, **options)
        scores = forward(flat(splits.validation.x), weights)[-1]
    return float((scores.argmax(axis=1) == splits.validation.y).mean())


# %% tags=["hide-input"]
def compare_batch_sizes(splits, sizes=(32, 128, 512, 2048), base=0.005, seeds=5):
    """Returns accuracies (seeds, sizes): the same learning rate, in proportion, with warm-up."""
    found = {"same rate": [], "in proportion": [], "with warm-up": []}
    for seed in range(seeds):
        rows = [[], [], []]
        for size in sizes:
            epoch, large = -(-len(splits.train.x) // size), base * size / sizes[0]
            for row, settings in zip(rows, ((base,), (large,), (large, epoch)), strict=True):
                same = size == sizes[0] and rows[0]
                row.append(rows[0][0] if same else
                           accuracy_after(splits, size, *settings, seed=seed))  # fmt: skip
        for each, row in zip(found.values(), rows, strict=True):
            each.append(row)
    return {name: np.array(values) for name, values in found.items()}


# %% tags=["hide-input"]
def plot_batch_sizes(accuracies, sizes):
    """Returns the Axes (2,): a dot for each seed of accuracies (seeds, sizes), by rule; means."""
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.4), width_ratios=(3, 1.3), layout="constrained")
    places, looks = np.arange(len(sizes)), zip(plotting.page.COLOURS, "os^", strict=False)
    for rule, ((name, values), (colour, marker)) in enumerate(zip(accuracies.items(), looks)):
        look = {"color": colour, "marker": marker, "linewidth": 1}
        for ax, shown in zip(axes, (places[:-1], places[-1:]), strict=True):
            beside, mean = shown + 0.16 * (rule - 1), values[:, shown].mean(axis=0)
            ax.plot(beside, values[:, shown].T, **look | {"linestyle": "none"}, markersize=3)
            ax.plot(beside, mean, **look, markersize=9, markerfacecolor="none", label=name)
            plotting.page.label(ax, "rows in a batch", "validation accuracy")
            ax.set_xticks(shown, [f"{sizes[place]:,}" for place in shown])
    axes[1].set(
        ylim=(0, 1), xlim=places[-1] + np.array([-0.4, 0.4]), ylabel="", title="from 0 to 1"
    )
    handles = axes[0].get_legend_handles_labels()[0]
    axes[0].figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    return axes


# %% alt="Validation accuracy, a dot for each of five seeds and a ring for their mean. From 32 to 512 rows the learning rate in proportion stays level, with and without warm-up, and the same rate falls a little. With 2,048 rows the same rate is near 0.74; in proportion all seeds are near 0.1; with warm-up they lie between 0.1 and 0.72."
if __name__ == "__main__":
    sizes = (32, 128, 512, 2048)
    accuracies = compare_batch_sizes(splits, sizes)
    plot_batch_sizes(accuracies, sizes)

# %%
if __name__ == "__main__":
    for name, values in accuracies.items():
        pairs = zip(values.mean(axis=0), values.std(axis=0, ddof=1), strict=True)
        print(f"{name:13}", *(f"{mean:.2f} ± {spread:.2f} " for mean, spread in pairs))
    best = {name: values[:, -1].max() for name, values in accuracies.items()}
    print("best seed with 2,048 rows:", *(f"{name} {most:.2f}" for name, most in best.items()))

# %% [markdown]
# With the same learning rate, large batches fall behind. In proportion, the accuracy holds from 32
# to 512 rows: sixteen times fewer steps for the same result. With 2,048 the rule breaks: without
# warm-up all seeds end near guessing, with it some learn, and even the best of them stays below the
# rate that was left alone. Whether the rows are too many, the steps too few (25 in all) or too
# long, this does not tell. A limit beyond which more rows bring little was found by
# McCandlish and others in every task they measured, and tended to be higher in harder ones.
#
# *Exercise: `warmed_up_rate` (five minutes, Deeper networks) is a schedule with warm-up.*
#
# ## Result
#
# `main` trains chapter 2's deep network with batches of 512, a learning rate in proportion with two
# epochs of warm-up, and a cosine to the end. Its dropout layers have the rate 0, so nothing depends
# on how a batch is cut: `--micro-batches 4` takes the same steps, but for rounding, and so do
# `--devices 2` and `--workers 2`, which are the next page's.


# %%
def make_schedule(learning_rate, steps, warm_up):
    """Returns the learning rate by step: up in a line, then down along half a cosine."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=learning_rate, warmup_steps=warm_up
    )


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "bounds": {"micro_batches": [1, None]},
    "minutes": 1,
}


def check_pieces(loop):
    """Checks that a batch can be cut into pieces by our own step.

    Raises:
        ValueError: it cannot.
    """
    if keras.config.dtype_policy().name == "mixed_float16":
        raise ValueError("micro-batches without loss scaling: take bfloat16 in place of float16")
    if loop == "fit" or tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError("micro-batches are for one device and the book's loop: leave one flag out")


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


# %% alt="Loss and accuracy over twenty epochs. Validation is ahead of training for four epochs; then its loss stays near 0.40 and its accuracy near 0.88, while training goes on to 0.18 and 0.96. Stars mark the best validation values, in two different epochs."
if __name__ == "__main__":
    result = main()
    for name in ("confusion", "learning_rate"):
        plt.close(np.ravel(result.figures[name])[0].figure)

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# Over five seeds the test accuracy was 0.870 ± 0.003, mean ± standard deviation. With batches of
# 64, and otherwise the same, it was 0.869 ± 0.006: nothing is lost by large ones. From epoch 5 on
# the network mostly memorises: the validation loss hardly moves, that of training falls by half.
#
# ## What to try
#
# - `--batch-size 2048`, and then with `--learning-rate 0.002`. Where is the border?
# - `--mixed-precision float16` and `bfloat16`: does the score move by more than from seed to seed?
# - Train with a scale that begins at `tf.Variable(2.0**24)`. How many steps are lost at the start?
# - Give `make_deep_model` a gain of 2. Is there still anything to scale?
#
# ## Where this comes from
#
# - P. Micikevicius and others, *Mixed precision training* (2018): weights in 32 bits, loss scaling.
# - P. Goyal and others, *Accurate, large minibatch SGD* (2017): the learning rate in proportion,
#   and warm-up. S. McCandlish and others, *An empirical model of large-batch training* (2018):
#   where it stops.
# - T. Chen and others, *Training deep nets with sublinear memory cost* (2016): outputs computed
#   again. [Pull request](https://github.com/huggingface/transformers/pull/34191) of
#   `huggingface/transformers` (2024): a mean of means, mended.
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of the exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others.
# Chapter 6's `train_in_micro_batches` fits here too.
#
# ## Where to go next
#
# Pieces that are taken one after the other can be taken at the same time:
# [many devices](chapter9_devices.ipynb).
