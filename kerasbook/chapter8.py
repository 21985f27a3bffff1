# %% [markdown]
"""
# Chapter 8. Smaller and faster

Chapter 3's network knows ten kinds of clothes, and keeps 224,714 numbers of 32 bits for it. A
phone, a watch or a web page would rather have fewer numbers, and shorter ones. Does it need all
their digits? Does it need all of them? And could a network that was small from the beginning have
learned the same? The three questions have three methods: *quantisation*, *pruning* and
*distillation*. What each of them saves, in bytes, in time, and what it costs in mistakes has to be
measured, and some of it does not come out as one would think.

After this chapter you can

- compute a layer in whole numbers of 8 bits, and get the very bits that Keras gets;
- find out what a library has left in 32 bits;
- say why two runtimes differ by one, and which rounding each of them takes;
- train for 8 bits, export, and show that what runs is what was trained;
- take weights away, keep them away, and say what that saves: bytes, time, or neither;
- teach a small network what a large one thinks, and catch a loss that is not what its name says;
- weigh the files that a network can be written into, and time the programs that read them.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter8`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter8")

# %% tags=["hide-input"]
import contextlib
import gzip
import io
import tempfile
import timeit
import warnings
from functools import partial
from pathlib import Path
from typing import Literal

from kerasbook import chapter3, plotting
from kerasbook.chapter2 import loss_fn
from kerasbook.contents import load_results
from kerasbook.data import load, load_fashion
from kerasbook.quiet import standard_error_put_aside
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit, make_train_step, predict

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## How many digits does a weight need?
#
# Here is the network of chapter 3 once more, so that its width can be chosen: three convolutions,
# two poolings, two dense layers.


# %%
def make_network(
    shape=(28, 28, 1),
    classes=10,
    filters=(16, 32, 64),
    units=64,
    flip=True,
    dropout=0.3,
    name="large",
):
    """Returns chapter 3's classifier of any width: (n, height, width, channels) → (n, classes)."""
    options = {"padding": "same", "activation": "relu"}
    first, second, third = (layers.Conv2D(count, 3, **options) for count in filters)
    parts = [first, layers.MaxPooling2D(), second, layers.MaxPooling2D(), third, layers.Flatten()]
    parts += [layers.Dropout(dropout), layers.Dense(units, "relu"), layers.Dropout(dropout)]
    before = [keras.Input(shape), chapter3.RandomFlipAndShift(flip, 0)]
    return keras.Sequential([*before, *parts, layers.Dense(classes)], name=name)


# %% tags=["hide-input"]
def train(
    model,
    data,
    epochs=10,
    learning_rate=0.002,
    make_step=make_train_step,
    loss_fn=loss_fn,
    seed=0,
    **fit_options,
):
    """Returns the History of training on data (x, y) as in chapter 3: Adam, and half a cosine.

    make_step: `make_step(model, loss_fn, optimizer)` returns the train step.
    """
    options = {"batch_size": 64, "progress": "none"} | fit_options
    schedule = chapter3.make_schedule(learning_rate, len(data[0]), options["batch_size"], epochs)
    optimizer = keras.optimizers.Adam(schedule)
    if make_step is not make_train_step:
        optimizer.build(model.trainable_variables)
        options["train_step"] = make_step(model, loss_fn, optimizer)
    options |= {"loss_fn": loss_fn, "optimizer": optimizer, "epochs": epochs, "seed": seed}
    return fit(model, data, **options)


# %%
def accuracy(model, part) -> float:
    """Returns the share of the pictures of a part of the data that the model gets right."""
    return float((predict(model, part.x).argmax(axis=1) == part.y).mean())


# %%
if __name__ == "__main__":
    splits = load_fashion()
    keras.utils.set_random_seed(0)
    large = make_network()
    train(large, splits.train)
    print(f"{large.count_params():,} weights, accuracy {accuracy(large, splits.validation):.3f}")

# %% [markdown]
# A number of 32 bits has some seven digits. We take the trained weights and allow each only a few
# values, which lie evenly about zero: 255 values are 8 bits, 15 are 4 bits, 3 are 2 bits. Before
# you run it, guess: where does the network break down?


# %%
def with_bits(kernel, bits, axis=None):
    """Returns a kernel whose weights are rounded to 2 ** bits - 1 values, evenly about zero.

    axis: the largest weight along it has the largest value; None for the largest of all.
    """
    top = 2 ** (bits - 1) - 1  # 127, 7, 1
    step = tf.reduce_max(tf.abs(kernel), axis, keepdims=True) / top
    return tf.round(tf.math.divide_no_nan(kernel, step)) * step  # all may be zero


def changed(weights, change):
    """Returns the weights with `change(kernel)` for each kernel; the biases stay as they are."""
    return [change(each) if len(each.shape) > 1 else each for each in weights]


# %%
if __name__ == "__main__":
    exact = large.get_weights()
    for bits in (8, 6, 5, 4, 3, 2):
        large.set_weights(changed(exact, partial(with_bits, bits=bits)))
        print(f"{bits} bits: accuracy {accuracy(large, splits.validation):.3f}")
    large.set_weights(exact)

# %% [markdown]
# With 8 bits three quarters of the digits are gone, and the accuracy has hardly moved. So a weight
# needs no seven digits. What happens in detail?
#
# ## A scale and whole numbers
#
# Take five weights. The largest is 1.27. If 127 is to stand for it, one unit has 100 steps; this
# number is the *scale* $s$. A weight becomes the whole number $q = \text{round}(s\,w)$, and comes
# back as $q / s$.

# %%
if __name__ == "__main__":
    weights = np.float32([0.62, -0.35, 0.04, 1.27, -0.91])
    for top in (127, 7):
        scale = top / np.abs(weights).max()
        whole = np.round(weights * scale)
        print(f"scale {scale:6.2f}: {whole.astype(int)}, back again {(whole / scale).round(2)}")

# %% [markdown]
# With 127 steps on each side each weight comes back with its two decimals, because we have chosen
# them so. With 7, the smallest has become zero. No weight is off by more than half a step, and the
# step is as long as the largest weight allows. (Many papers call the length of a step the scale.
# Keras' is ours, its reciprocal.)


# %%
def quantise(x, axis=None, top=127):
    """Returns whole numbers q from -top to top and the scale(s) for which x ≈ q / scale.

    axis: the numbers along it share a scale; None if all do.
    """
    largest = np.abs(x).max(axis=axis, keepdims=True)
    scale = (top / (largest + 1e-7)).astype("float32")  # Keras adds this too: all may be zero
    return np.clip(np.round(x * scale), -top, top).astype("int8"), scale


# %% [markdown]
# `np.round` sends a half to the *even* neighbour: 0.5 to 0, 1.5 to 2, 2.5 to 2. So does Keras. If
# halves always went up, the rounded numbers would be a little larger on average.
#
# ## A scale for each unit
#
# One large weight makes the steps long for all others. Here are the weights of the first dense
# layer, and the 15 values of 4 bits.


# %% tags=["hide-input"]
def plot_steps(kernel, bits=4):
    """Returns the Axes: how many weights have which size, and the values of so many bits."""
    labels = {"x_label": "weight", "y_label": "weights, log scale"}
    ax = plotting.plot_lines({}, **labels)
    ax.figure.set_figheight(2.8)
    ax.hist(np.ravel(kernel), bins=120, color=plotting.page.SKY, log=True)
    top = 2 ** (bits - 1) - 1
    for number in range(-top, top + 1):
        ax.axvline(number * np.abs(kernel).max() / top, color="0.3", linewidth=0.8)
    return ax


# %% alt="Histogram on a log scale of the weights of a dense layer, a hill about zero, and fifteen upright lines at equal distances. Nearly all weights lie at the three lines in the middle, a few dozen at the outer ones."
if __name__ == "__main__":
    plot_steps(exact[6])

# %% [markdown]
# Only a few weights lie far out, and for their sake nearly all others have to choose between three
# values. But a unit of the layer has its own column of weights, and its output is a sum of its own:
# it may have its own scale. The same goes for the filters of a convolution. One speaks of
# quantisation *per tensor* and *per channel*.

# %%
if __name__ == "__main__":
    kernel = np.float32([[0.02, 1.0], [-0.01, -2.0], [0.03, 3.0]])  # 3 inputs, 2 units
    for axis in (None, 0):
        whole, scales = quantise(kernel, axis, top=7)
        print(f"scale {scales.ravel().round(1)}\n{(whole / scales).round(3)}")

# %% [markdown]
# With one scale nothing is left of the first unit. With two scales it keeps its signs and sizes.
# What does the network say to it?


# %%
def per_channel(kernel, bits):
    """Returns a kernel (…, units) rounded as by `with_bits`, every unit with a scale of its own."""
    return with_bits(kernel, bits, axis=list(range(len(kernel.shape) - 1)))


# %% alt="Validation accuracy against the bits of a weight, 2 to 8, for one scale per tensor and one per channel. From 8 to 4 bits both lines are level at 0.9; at 3 the line per tensor has begun to fall; at 2 both are far down, per tensor at chance."
if __name__ == "__main__":
    found, choices = {"per tensor": [], "per channel": []}, range(2, 9)
    for bits in choices:
        for name, rounding in (("per tensor", with_bits), ("per channel", per_channel)):
            large.set_weights(changed(exact, partial(rounding, bits=bits)))
            found[name].append(accuracy(large, splits.validation))
    large.set_weights(exact)
    plotting.plot_lines(found, x=list(choices), x_label="bits of a weight", y_label="accuracy")

# %% [markdown]
# *Exercise: `scales_of_filters` (five minutes) finds the scales of a convolution.*
#
# ## The number of zero
#
# Weights lie on both sides of zero. What a ReLU gives does not: with a scale as above, half of the
# whole numbers would never be used. So shift them. Then zero has a number of its own, $q_0$, the
# *zero point*, and $x \approx (q - q_0)/s$. Five outputs between 0 and 5.1; one unit has 50 steps.


# %%
def quantise_between(x, low, high):
    """Returns whole numbers q from -128 to 127, the scale and the zero point q₀ of a range.

    x ≈ (q - q₀) / scale; what lies outside the range is clipped.
    """
    low, high = min(low, 0), max(high, 0)  # zero must have a number
    scale = 255 / (high - low)
    zero = int(np.round(-128 - low * scale))
    return np.clip(np.round(x * scale) + zero, -128, 127).astype("int8"), scale, zero


# %%
if __name__ == "__main__":
    outputs = np.array([0, 0.5, 2, 3.1, 5.1])
    for x, low, high in ((outputs, 0, 5.1), (outputs - 1, -1, 4.1), (outputs + 1, 1, 6.1)):
        whole, scale, zero = quantise_between(x, low, high)
        print(f"{x} → {whole}, scale {scale:.1f}, zero is {zero}")

# %% [markdown]
# In the last row all numbers are above 1, and still the range begins at zero. Zero must have its
# number, exactly, because it is no value like others: the frame around a picture is made of it, and
# so is whatever a ReLU switches off. If it were only nearly zero, the error would have the same
# sign at thousands of places. For the same reason the frame must be filled with $q_0$, and not with
# the whole number 0.
#
# Below we shall do without: with a scale about zero, $q_0$ is 0.
#
# *Exercise: `zero_point` (five minutes).*
#
# ## A dense layer in whole numbers
#
# To store the weights in 8 bits saves three quarters of the bytes. To save time, the products have
# to be of whole numbers too. Put both approximations into the sum of unit $j$:
#
# $$\sum_i x_i\, w_{ij} \approx \sum_i \frac{q_i}{s}\, \frac{q_{ij}}{s_j}
#   = \frac{1}{s\, s_j} \sum_i q_i\, q_{ij} .$$
#
# The scales leave the sum, since none of them depends on $i$. That is why a unit may have its own
# scale, and an input may not. The sum is one of whole numbers, and two divisions bring it back. How
# many bits must the sum have? Guess what NumPy makes of 100 · 100 + 100 · 100 in 8 bits.

# %%
if __name__ == "__main__":
    hundreds = np.int8([100, 100])
    print("in 8 bits:", hundreds @ hundreds, " in 32 bits:", hundreds.astype("int32") @ hundreds)

# %% [markdown]
# No error and no warning: the sum begins anew whenever it is full. In 32 bits there is room for
# $2^{31} / 127^2$, more than a hundred thousand products. So the factors have 8 bits, and the sum
# 32.


# %%
def dense_int8(x, kernel, bias):
    """Returns x (n, inputs) times kernel (inputs, units), in whole numbers, plus bias (units,)."""
    rows, scale = quantise(x, axis=-1)  # a scale for each row of x
    columns, scales = quantise(kernel, axis=0)  # a scale for each unit
    sums = rows.astype("int32") @ columns.astype("int32")  # (n, units)
    return sums.astype("float32") / (scales * scale) + bias


# %%
if __name__ == "__main__":
    x = np.float32([[0.2, -1.0, 0.7]])
    bias = np.float32([0.0, 0.1])
    print("in 32 bits:", x @ kernel + bias)
    print("in  8 bits:", dense_int8(x, kernel, bias))

# %% [markdown]
# Keras has this: `model.quantize("int8")` turns the weights of its dense layers into whole numbers,
# and from then on they compute with a scale for each row of the input, too. Is ours the same?


# %% tags=["hide-input"]
def keras_int8(x, kernel, bias):
    """Returns what a dense layer of Keras makes of x after `quantize("int8")`."""
    layer = layers.Dense(kernel.shape[1])
    layer.build(x.shape)
    layer.set_weights([kernel, bias])
    layer.quantize("int8")
    return layer(x).numpy()


# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    inputs = [random.normal(size=s).astype("float32") for s in ((500, 784), (784, 64), (64,))]
    ours, theirs = dense_int8(*inputs), keras_int8(*inputs)
    print(f"{ours.size:,} outputs, largest difference {np.abs(ours - theirs).max()}")

# %% [markdown]
# Not small, but zero. Between whole numbers there is nothing to round, in whatever order they are
# added up; so a difference of 0 is what one should ask for. (`kerasbook verify 8` asks for it, with
# other sizes.)
#
# ## What has been left out?
#
# One call for the whole network, then. We look at what has become of each layer.


# %%
def kernels(model):
    """Returns (layer, kernel) for each layer of the model that has one."""
    return [(layer, layer.kernel) for layer in model.layers if hasattr(layer, "kernel")]


def left_in_float(model) -> list[str]:
    """Returns the names of the layers that still have matrices of 16 or 32 bits."""

    def is_matrix(weight):
        return len(weight.shape) > 1 and "scale" not in weight.name and "float" in weight.dtype

    return [layer.name for layer in model.layers if any(map(is_matrix, layer.weights))]


# %%
def copy_of(model):
    """Returns a copy of a network, without what an optimiser has kept for training."""
    copy = model.__class__.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    return copy


def quantised_by_keras(model, mode="int8"):
    """Returns a copy of a network after `quantize(mode)`: int8 or int4."""
    copy = copy_of(model)
    with warnings.catch_warnings(action="ignore"):  # a line for every layer without weights, too
        copy.quantize(mode)
    return copy


# %%
if __name__ == "__main__":
    half_done = quantised_by_keras(large)
    for layer, kernel in kernels(half_done):
        print(f"{layer.name:10} {kernel.dtype:8} {layer.__class__.__name__}")
    print("left in float:", *left_in_float(half_done))

# %% [markdown]
# The convolutions have been left as they were. Keras' int8 is for dense layers and embeddings (and
# for what attention is made of); convolutions, GRU and LSTM stay in 32 bits. It does say so, in the
# same words as for dropout and flatten, which have no weights at all, so one gets used to not
# reading it. Whoever measures the accuracy of such a network praises an int8 that did not take
# place. Ask for the dtype of every kernel.
#
# ## A convolution in whole numbers
#
# A convolution is a matrix product (chapter 3), so nothing is new: a scale for each filter, one for
# each picture, a sum in 32 bits. The frame of zeros is a frame of whole zeros.


# %%
def conv_int8(x, kernel, bias):
    """Returns the convolution of x (n, h, w, c), padding "same", in whole numbers, plus bias."""
    pictures, scale = quantise(x, axis=(1, 2, 3))  # a scale for each picture
    filters, scales = quantise(kernel, axis=(0, 1, 2))  # a scale for each filter
    sums = chapter3.conv2d(pictures.astype("int32"), filters.astype("int32"), 0, padding="same")
    return sums.numpy().astype("float32") / (scales * scale) + bias


# %% [markdown]
# For a network we need it as a layer, which keeps its kernel in 8 bits.


# %% tags=["hide-input"]
@keras.saving.register_keras_serializable(package="kerasbook")
class Int8Conv2D(layers.Layer):
    """A convolution with a kernel of 8 bits, padding "same", which is computed but not trained."""

    def __init__(self, filters, kernel_size, activation=None, **options):
        """Takes what `Conv2D` takes."""
        super().__init__(**options)
        self.filters, self.kernel_size = filters, tuple(kernel_size)
        self.activation = keras.activations.get(activation)

    def build(self, shape):
        """Makes kernel (kh, kw, channels, filters), scale and bias, both (filters,)."""
        kernel = (*self.kernel_size, shape[-1], self.filters)
        options = {"initializer": "zeros", "trainable": False}
        self.kernel = self.add_weight(kernel, dtype="int8", name="kernel", **options)
        self.scale = self.add_weight((self.filters,), name="scale", **options)
        self.bias = self.add_weight((self.filters,), name="bias", **options)

    def call(self, x):
        """Returns (n, rows, columns, filters), computed as by `conv_int8`."""
        largest = tf.reduce_max(tf.abs(x), axis=(1, 2, 3), keepdims=True)
        scale = 127 / (largest + 1e-7)
        pictures = tf.cast(tf.round(x * scale), "int32")
        kernel = tf.cast(self.kernel, "int32")
        sums = chapter3.conv2d(pictures, kernel, 0, padding="same")
        return self.activation(tf.cast(sums, x.dtype) / (self.scale * scale) + self.bias)

    def get_config(self):
        """Returns what `__init__` needs, so that the model can be saved and loaded."""
        config = {"filters": self.filters, "kernel_size": self.kernel_size}
        config["activation"] = keras.activations.serialize(self.activation)
        return super().get_config() | config


# %%
def in_int8(model):
    """Returns a copy of a Sequential network in which convolutions and dense layers have 8 bits."""

    def copy(layer):
        if not isinstance(layer, layers.Conv2D):
            return layer.__class__.from_config(layer.get_config())
        options = {"name": layer.name, "dtype": "float32"}
        return Int8Conv2D(layer.filters, layer.kernel_size, layer.activation, **options)

    parts = [keras.Input(model.input_shape[1:]), *map(copy, model.layers)]
    small = keras.Sequential(parts, name=model.name)
    for old, new in zip(model.layers, small.layers, strict=True):
        weights = old.get_weights()
        if isinstance(new, Int8Conv2D):
            kernel, scales = quantise(weights[0], axis=(0, 1, 2))
            weights = [kernel, scales.ravel(), weights[1]]
        new.set_weights(weights)
    return quantised_by_keras(small)


# %%
if __name__ == "__main__":
    small = in_int8(large)
    print("left in float:", left_in_float(small))
    same = predict(small, splits.validation.x).argmax(1) == predict(
        large, splits.validation.x
    ).argmax(1)
    print(
        f"accuracy {accuracy(small, splits.validation):.3f}, the same answer for {same.mean():.1%}"
    )

# %% [markdown]
# Of a thousand answers only a few are others. And the bytes? We save both, and look at the files.


# %%
def bytes_of(model, zipped=False) -> int:
    """Returns the size of the model's `.keras` file, or of that file after gzip."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.keras"
        copy_of(model).save(file)  # Adam remembers two numbers for every weight
        return len(gzip.compress(file.read_bytes())) if zipped else file.stat().st_size


# %%
if __name__ == "__main__":
    for name, model in {"32 bits": large, "Keras' int8": half_done, "ours": small}.items():
        print(f"{name:12} {bytes_of(model):8,} bytes")

# %% [markdown]
# Little more than a quarter. Is it faster as well? TensorFlow multiplies whole numbers; whether
# that is quick depends on the instructions of the processor and on whether somebody has written a
# kernel that uses them. Ask your own:


# %% tags=["timing"]
if __name__ == "__main__":
    pictures = tf.constant(splits.validation.x[:64])
    for name, model in {"32 bits": large, "Keras' int8": half_done, "ours": small}.items():
        call = tf.function(model)
        call(pictures)  # traced once
        seconds = min(timeit.repeat(partial(call, pictures), number=1, repeat=5))
        print(f"{name:12} {1000 * seconds:6.1f} ms for 64 pictures")

# %% [markdown]
# Where this page was made the 8 bits were the slower ones, ours by far. The product of numbers of
# 32 bits has been tuned for every processor. Ours makes patches in 32 bits out of numbers of 8, and
# Keras' has to find a scale for every row before it can multiply. It takes a *runtime*, with
# routines of its own for a layer in 8 bits, to turn fewer bits into less time.
#
# ## Off by one: which rounding?
#
# Such a runtime leaves out floating point altogether. The sum of a layer in 32 bits becomes the
# input of the next in 8: it is multiplied by the three scales together, $M = s' / (s\, s_j)$, a
# small number such as 0.002, and rounded. Whoever writes this in NumPy gets what the runtime gives,
# but for a few numbers in ten thousand, which differ by one. Where from? $M$ becomes a whole
# number, too: $M = m \cdot 2^{e - 31}$, where $m$ has 31 bits.


# %%
def as_integer(multiplier):
    """Returns whole numbers m and e with multiplier = m · 2 ** (e - 31), 2 ** 30 ≤ m ≤ 2 ** 31."""
    share, exponent = np.frexp(multiplier)  # share from 0.5 to 1
    return np.round(share * 2**31).astype("int64"), exponent.astype("int64")


# %% [markdown]
# Now multiply by $m$ in 64 bits, and divide by $2^{31 - e}$, which is a shift by so many bits.
# Adding a half before it rounds.


# %%
def one_rounding(sums, multiplier):
    """Returns sums, int64, times multiplier, rounded once; a half goes up."""
    m, e = as_integer(multiplier)
    shift = 31 - e
    return (sums * m + (np.int64(1) << (shift - 1))) >> shift


# %% [markdown]
# A processor for whole numbers often has a cheap instruction that multiplies two numbers of 32 bits
# and gives the upper half of the product, rounded. Then the rest of the shift rounds a second time.


# %%
def two_roundings(sums, multiplier):
    """Returns sums, int64, times multiplier < 1, rounded twice; a half goes outwards at last."""
    m, e = as_integer(multiplier)
    upper = (sums * m + 2**30) >> 31  # sums · multiplier · 2 ** -e
    half = (np.int64(1) << -e) >> 1
    return np.sign(upper) * ((np.abs(upper) + half) >> -e)


# %%
def in_floating_point(sums, multiplier):
    """Returns sums times multiplier in 32 bits, rounded; a half goes to the even neighbour."""
    return np.round(np.float32(sums) * np.float32(multiplier)).astype("int64")


# %% [markdown]
# Are these the same? Try 8 · 0.3 and -10 · 0.25 before you look.

# %%
if __name__ == "__main__":
    for total, multiplier in ((8, 0.3), (-10, 0.25), (10, 0.25)):
        found = [each(np.int64(total), multiplier) for each in
                 (one_rounding, two_roundings, in_floating_point)]  # fmt: skip
        print(f"{total} · {multiplier} = {total * multiplier}: once {found[0]}, twice {found[1]}, "
              f"floating point {found[2]}")  # fmt: skip

# %% [markdown]
# 2.4 is rounded to halves first, which makes 2.5, and that becomes 3. Rounding twice is not
# rounding. And the halves have three different ways to go.
#
# Which of them is right? Each is, somewhere. LiteRT (TensorFlow Lite) is the runtime of many
# phones, and has three sets of routines for a layer in 8 bits: the *reference*, which is written to
# be read; the *optimised* one; and *XNNPACK*, which is taken if nothing else is asked for.
# *onnxruntime*, which many servers use, is another runtime. We let each of them compute a dense
# layer and a convolution, take the same sums and the same $M$, and count how many of its 320,000
# and 480,000 outputs a rule does not give.

# %%
if __name__ == "__main__":
    for kind, rules in load_results()["measurements"]["chapter8"]["rounding"].items():
        print(f"{kind:24}", *(f"{rule} {missed:4}" for rule, missed in rules.items()))

# %% [markdown]
# The reference rounds once in a dense layer and twice in a convolution: two routines of one
# runtime. XNNPACK rounds once, in both, and so does onnxruntime. (No sum lay at a half, so nobody
# can tell here which way a half would go.) The optimised routines do something else again, and none
# of our rules gives it. So if your NumPy and a runtime differ by one, it need not be your mistake:
# look up which rounding the routine has. All this was measured on an Intel Xeon. onnxruntime,
# XNNPACK and the optimised routines may choose other instructions on another processor; the
# reference may not. `kerasbook verify 8` compares with outputs that were written down.
#
# *Exercises: `requantise`, a sum's way back to 8 bits; `dense_in_whole_numbers`, with zero points.*

# %% [markdown]
# ## Train with the rounding
#
# With 2 bits a weight can be -1, 0 or 1, times the scale of its unit, and the network was broken.
# But it never knew, while it was trained, that its weights would be rounded. Can we tell it? The
# rounding has no slope: between two steps nothing changes, so its derivative is zero, and no
# gradient gets through. What is done nevertheless is called *straight-through*: compute the loss
# and its gradient at the rounded weights, and move the exact ones by it, as if there had been no
# rounding. When an exact weight has come far enough, the rounded one jumps.


# %%
def make_rounding_step(model, loss_fn, optimizer, bits):
    """Returns a train step that computes with rounded kernels and moves the exact ones."""
    variables = model.trainable_variables

    def train_step(x, y):
        exact = [tf.identity(each) for each in variables]
        assign(variables, changed(exact, partial(per_channel, bits=bits)))
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = loss_fn(y, y_pred)
        gradients = tape.gradient(loss, variables)
        assign(variables, exact)
        optimizer.apply(gradients, variables)
        return loss, y_pred

    return train_step


def assign(variables, values):
    """Gives each variable its value."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


# %% [markdown]
# Three epochs more with 2 bits, from the trained weights. Where will it end?


# %%
def train_rounded(model, data, bits, epochs=3, learning_rate=0.001, **options):
    """Returns the History of training on with so many bits, in which the kernels are at the end."""
    step = partial(make_rounding_step, bits=bits)
    history = train(model, data, epochs, learning_rate, step, **options)
    model.set_weights(changed(model.get_weights(), partial(per_channel, bits=bits)))
    return history


# %%
if __name__ == "__main__":
    two_bits = copy_of(large)
    train_rounded(two_bits, splits.train, 2)
    print("values of a unit:", np.unique(two_bits.get_weights()[6][:, 0]))
    print(f"accuracy {accuracy(two_bits, splits.validation):.3f}")

# %% [markdown]
# Three values for each weight; compare with what was left when they were only rounded. This is
# *quantisation-aware training*. Keras has the rounding with its straight-through gradient as an
# operation, `fake_quant_with_min_max_vars`, which takes a range in place of a scale. It must move
# the weights as our step does.


# %% tags=["hide-input"]
def compare_straight_through(bits=4, seed=0) -> dict[str, float]:
    """Returns the largest differences to Keras' fake quantisation: of outputs, of a step."""
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(9, 5)).astype("float32"), random.integers(0, 4, 9)
    layer = layers.Dense(4, use_bias=False)
    model = keras.Sequential([keras.Input((5,)), layer])
    kernel = tf.Variable(layer.kernel)
    with tf.GradientTape() as tape:
        largest = tf.reduce_max(tf.abs(tf.stop_gradient(kernel)), axis=0)
        options = {"num_bits": bits, "narrow_range": True, "axis": 1}
        rounded = keras.quantizers.fake_quant_with_min_max_vars(
            tf.identity(kernel), -largest, largest, **options
        )
        expected = tf.constant(x) @ rounded
        loss = loss_fn(y, expected)
    slope = tape.gradient(loss, kernel)
    step = make_rounding_step(model, loss_fn, keras.optimizers.SGD(1.0), bits)
    _, found = step(tf.constant(x), tf.constant(y))
    return {
        "outputs": float(np.abs(found - expected).max()),
        "step": float(np.abs(kernel - slope - layer.kernel).max()),
    }


# %%
if __name__ == "__main__":
    for name, difference in compare_straight_through().items():
        print(f"{name:8} largest difference to Keras {difference:.0e}")

# %% [markdown]
# *Exercise: `straight_through`.*
#
# ## Is what was simulated what is exported?
#
# A runtime rounds more than the weights. The pictures that come in and the outputs of every layer
# have 8 bits, too, in a range that has to be known beforehand. Which range? Ask the trained network
# for a few hundred pictures and take the smallest and the largest number at each place. This is
# called *calibration*, a word with a second meaning beside that of chapter 2. A layer of its own
# does the rounding, between two ends, with the slope 1:


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class Rounded(layers.Layer):
    """Rounds what comes in to 8 bits between two ends, and cuts off what lies outside."""

    def __init__(self, low, high, **options):
        """Takes the two ends; 0 lies between them."""
        super().__init__(**options)
        self.low, self.high = low, high

    def call(self, x):
        """Returns an array of x's shape."""
        return keras.quantizers.fake_quant_with_min_max_vars(x, self.low, self.high)

    def get_config(self):
        """Returns what `__init__` needs."""
        return super().get_config() | {"low": self.low, "high": self.high}


# %%
def rounded_as(x):
    """Returns a Rounded for the range of x, with zero in it."""
    return Rounded(min(0.0, float(np.min(x))), float(np.max(x)))


def with_ranges(model, pictures):
    """Returns a copy of a Sequential network that rounds its input and each kernel's output."""
    parts, x = [keras.Input(model.input_shape[1:]), rounded_as(pictures)], pictures
    for layer in model.layers:
        x = layer(x)
        parts.append(layer.__class__.from_config(layer.get_config()))
        if hasattr(layer, "kernel"):
            parts.append(rounded_as(x))
    copy = keras.Sequential(parts, name=model.name)
    copy.set_weights(model.get_weights())
    return copy


# %% [markdown]
# Now train on for an epoch with both roundings, of weights and of outputs. What comes out still
# computes in 32 bits; it only pretends.

# %%
if __name__ == "__main__":
    simulated = with_ranges(large, splits.train.x[:500])
    train_rounded(simulated, splits.train, 8, epochs=1)
    print(f"accuracy {accuracy(simulated, splits.validation):.3f}")

# %% [markdown]
# LiteRT's converter knows this rounding. Where it finds it, it takes the two ends for the scale and
# the zero point, and writes a network in whole numbers. TensorFlow brings the converter, and an
# interpreter that runs the file.


# %% tags=["hide-input"]
def for_litert(model) -> bytes:
    """Returns a LiteRT file of the model; whole numbers where the model has a Rounded."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        return converter.convert()


def run_litert(content, x, kernels="AUTO"):
    """Returns what a LiteRT file makes of all of x at once, with XNNPACK or with other kernels."""
    kind = getattr(tf.lite.experimental.OpResolverType, kernels)
    with warnings.catch_warnings(action="ignore"), standard_error_put_aside():
        run = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kind)
        before, after = run.get_input_details()[0], run.get_output_details()[0]
        run.resize_tensor_input(before["index"], x.shape)
        run.allocate_tensors()  # it tells which routines it takes
    run.set_tensor(before["index"], x)
    run.invoke()
    return run.get_tensor(after["index"])


# %%
def compare_export(model, x, kernels="AUTO") -> str:
    """Returns a line: how many predictions and logits are those of the exported file."""
    ours, theirs = predict(model, x), run_litert(for_litert(model), x, kernels)
    step = (model.layers[-1].high - model.layers[-1].low) / 255
    far = np.round(np.abs(ours - theirs) / step)  # how many of 255 steps
    same = (ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()
    return f"{same:,} of {len(x):,} predictions, {(far > 0).mean():.2%} of the logits differ, "\
           f"by {far.max():.0f} of 255 steps at most"  # fmt: skip


# %%
if __name__ == "__main__":
    for name, kind in {"XNNPACK": "AUTO", "reference": "BUILTIN_REF"}.items():
        print(f"{name:10} {compare_export(simulated, splits.test.x, kind)}")

# %% [markdown]
# Nearly, but some logits are off by one step, and that may be enough to change an answer. What did
# the simulation leave out? A bias. The runtime adds it to a sum of whole numbers, so it must be a
# whole number as well, in steps that are those of the input times those of the unit's weights.


# %%
def round_biases(model):
    """Gives each bias a whole number of the steps that the sum has to which it is added."""
    for layer in model.layers:
        if isinstance(layer, Rounded):
            step = (layer.high - layer.low) / 255
        elif hasattr(layer, "kernel"):
            kernel, bias = layer.get_weights()
            steps = step * np.abs(kernel).max(axis=tuple(range(kernel.ndim - 1))) / 127
            layer.set_weights([kernel, np.round(bias / steps) * steps])


# %%
if __name__ == "__main__":
    round_biases(simulated)
    for name, kind in {"XNNPACK": "AUTO", "reference": "BUILTIN_REF"}.items():
        print(f"{name:10} {compare_export(simulated, splits.test.x, kind)}")

# %% [markdown]
# Now every prediction is the one that was simulated, and hardly a logit differs: what was trained
# is what will run. The reference routines are further off, because they round a convolution twice,
# and nobody has simulated that. So simulate what your runtime does, all of it, and compare the two
# on the whole test part.
#
# ## Two weights in a byte
#
# And the file? It is as large as before: a weight of 4 bits still lies in a number of 32. The
# smallest thing that a computer can address is a byte, so two weights have to share one. The four
# bits of a number from -8 to 7 are those of its remainder by 16. Which bytes will the five weights
# of the beginning become?


# %%
def pack(whole):
    """Returns (⌈n / 2⌉,) bytes with two whole numbers from -8 to 7 in each, the first one below."""
    bits = np.pad(whole, (0, len(whole) % 2)).astype("uint8") & 15
    return bits[0::2] | bits[1::2] << 4


def unpack(packed, count):
    """Returns the first `count` whole numbers, int8, of such bytes."""
    bits = np.stack([packed & 15, packed >> 4], axis=1).ravel()[:count].astype("int8")
    return np.where(bits > 7, bits - 16, bits)


# %%
if __name__ == "__main__":
    whole, _ = quantise(weights, top=7)
    packed = pack(whole)
    theirs, *_ = keras.quantizers.pack_int4(whole)
    print(f"{whole} → {[f'{byte:02x}' for byte in packed]} → {unpack(packed, 5)}")
    print("the bytes of Keras:", (packed == theirs.numpy().view("uint8")).all())

# %% [markdown]
# With 15 values a scale for 3,136 weights of a unit is coarse. In a file scales cost little, so
# give one to every *block* of 64 weights: with its 32 bits, a weight has four and a half in all.


# %%
def in_blocks(kernel, size=64):
    """Returns whole numbers (blocks, size) from -7 to 7 and scales (blocks, 1), unit by unit."""
    row = np.reshape(kernel, (-1, kernel.shape[-1])).T.ravel()  # a unit's weights in one piece
    return quantise(np.pad(row, (0, -len(row) % size)).reshape(-1, size), axis=1, top=7)


def from_blocks(whole, scales, shape):
    """Returns the kernel of this shape that such blocks stand for."""
    row = (whole / scales).ravel()[: np.prod(shape)]
    return row.reshape(shape[-1], -1).T.reshape(shape).astype("float32")


# %%
def write_int4(file, weights, size=64):
    """Writes a network's weights into an .npz file: kernels in blocks of 4 bits, biases in 32."""
    arrays = {}
    for number, each in enumerate(weights):
        arrays[f"{number} shape"] = each.shape
        if each.ndim == 1:
            arrays[f"{number} bias"] = each
        else:
            whole, arrays[f"{number} scales"] = in_blocks(each, size)
            arrays[f"{number} bytes"] = pack(whole.ravel())
    np.savez(file, **arrays)


# %%
def read_int4(file, size=64):
    """Returns the weights of such a file, as a list of float32 arrays."""
    weights, arrays = [], np.load(file)
    for number in range(sum(name.endswith("shape") for name in arrays)):
        if f"{number} bias" in arrays:
            weights.append(arrays[f"{number} bias"])
        else:
            scales, packed = arrays[f"{number} scales"], arrays[f"{number} bytes"]
            whole = unpack(packed, 2 * len(packed)).reshape(-1, size)
            weights.append(from_blocks(whole, scales, arrays[f"{number} shape"]))
    return weights


# %%
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.npz"
        write_int4(file, exact)
        large.set_weights(read_int4(file))
        found = accuracy(large, splits.validation)
        print(f"{file.stat().st_size:,} bytes, accuracy {found:.3f}")
    large.set_weights(exact)

# %% [markdown]
# That is what the files of large language models look like, and the reason why they fit onto a
# laptop. To compute with them, the blocks are unpacked on the way to the processor. (Keras'
# `quantize("int4")` packs like this, and again only for dense layers and embeddings.)
#
# *Exercise: `unpack_weights`.*
#
# ## Which weights can go?
#
# Now the other way to save: fewer weights. The smallest ones change a sum least, so set them to
# zero. Here are the five weights again, of which the largest two fifths stay.


# %%
def keep_largest(kernel, share):
    """Returns a mask of the kernel's shape, False for the `share` with the smallest weights."""
    sizes = np.abs(kernel)
    return sizes >= np.quantile(sizes, share)


# %%
if __name__ == "__main__":
    mask = keep_largest(weights, 0.6)
    print(weights, "\n", mask, "\n", weights * mask)

# %% [markdown]
# What share of its weights can the network lose, without any training afterwards? A half, nine in
# ten? And is it better to take the same share of each layer, or to let all weights compete with one
# another?


# %%
def masks_per_layer(weights, share):
    """Returns a mask for each array: each kernel loses the same share, a bias nothing."""
    return [keep_largest(each, share) if each.ndim > 1 else each == each for each in weights]


def masks_together(weights, share):
    """Returns a mask for each array: of all kernels together the smallest go, of biases none."""
    sizes = np.concatenate([np.abs(each).ravel() for each in weights if each.ndim > 1])
    border = np.quantile(sizes, share)
    return [np.abs(each) >= border if each.ndim > 1 else each == each for each in weights]


# %%
def masked(weights, masks):
    """Returns the weights, zero where a mask is False."""
    return [weight * mask for weight, mask in zip(weights, masks, strict=True)]


# %%
if __name__ == "__main__":
    for share in (0.5, 0.8, 0.9, 0.95):
        found = []
        for choose in (masks_per_layer, masks_together):
            large.set_weights(masked(exact, choose(exact, share)))
            found.append(accuracy(large, splits.validation))
        print(f"{share:.0%} zero: of each layer {found[0]:.3f}, of all together {found[1]:.3f}")
    large.set_weights(exact)

# %% [markdown]
# If all compete, half of the weights can go and they are not missed. If each layer gives the same
# share, much is lost. So it matters where they are taken from. Ask the layers one by one: prune a
# single kernel, and leave the others as they are.


# %% alt="Validation accuracy against the share of zeros in one kernel, five lines. The line of the first dense layer, which has most weights, stays level longest; those of the first convolution and of the output layer fall early."
if __name__ == "__main__":
    shares = np.array([0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95])
    lines = {}
    for place, (layer, kernel) in enumerate(kernels(large)):
        name = f"{layer.name}, {np.size(kernel):,} weights"
        lines[name] = []
        for share in shares:
            cut = list(exact)
            cut[2 * place] = exact[2 * place] * keep_largest(exact[2 * place], share)
            large.set_weights(cut)
            lines[name].append(accuracy(large, splits.validation))
    large.set_weights(exact)
    plotting.plot_lines(lines, x=shares, x_label="share of zeros", y_label="accuracy")

# %% [markdown]
# This is called a *sensitivity scan*. The small layers at both ends, the first convolution and the
# output layer, need their weights. The dense layer in the middle, which has nine in ten of them
# all, can spare most. When all compete that comes about by itself, because the weights of a layer
# with many inputs are small.
#
# ## Keep them away
#
# A network that has lost nine in ten weights can learn again, with those it has left. The others
# must stay zero. Is it enough to set their gradients to zero? Take one weight, which has just been
# pruned, and whose momentum is still there from the steps before.

# %%
if __name__ == "__main__":
    weight, velocity = 0.0, -0.02  # just pruned; it was on its way
    for step in range(5):
        gradient = 0.0  # masked
        velocity = 0.9 * velocity - 0.1 * gradient
        weight += velocity
        print(f"step {step + 1}: {weight:.4f}")

# %% [markdown]
# It comes back without any gradient, and Adam's means of earlier gradients move a weight just so.
# So set to zero what must be zero *after* the step, whatever the step was.


# %%
def make_masked_step(model, loss_fn, optimizer, masks):
    """Returns a train step after which the weights are zero wherever a mask is False."""
    step = make_train_step(model, loss_fn, optimizer)

    def train_step(x, y):
        found = step(x, y)
        for variable, mask in zip(model.trainable_variables, masks, strict=True):
            variable.assign(tf.where(mask, variable, 0.0))
        return found

    return train_step


# %%
def prune(model, data, share, epochs=3, learning_rate=0.001, choose=masks_together, **options):
    """Returns the History of training on after a `share` of the model's weights became zero."""
    masks = choose(model.get_weights(), share)
    model.set_weights(masked(model.get_weights(), masks))
    step = partial(make_masked_step, masks=masks)
    return train(model, data, epochs, learning_rate, step, **options)


# %%
if __name__ == "__main__":
    pruned = copy_of(large)
    prune(pruned, splits.train, 0.9)
    zeros = np.concatenate([np.ravel(kernel) == 0 for _, kernel in kernels(pruned)])
    print(f"{zeros.mean():.0%} zero, accuracy {accuracy(pruned, splits.validation):.3f}")

# %% [markdown]
# Three epochs, and the network goes on with a tenth of its weights. What does it save? Guess the
# bytes of the file first.

# %%
if __name__ == "__main__":
    for name, model in {"all weights": large, "a tenth": pruned}.items():
        print(f"{name:12} {bytes_of(model):8,} bytes, after gzip {bytes_of(model, True):8,}")

# %% [markdown]
# Nothing: a zero has 32 bits like any other number. Only a program that packs the file makes use of
# them. And the time stays what it was, because a matrix product multiplies zeros as patiently as
# other numbers. Whoever asks "I have pruned ninety per cent, why is my model not smaller?" has the
# answer here.
#
# *Exercises: `masked_momentum`, a step that keeps zeros zero; `winning_ticket`, which goes back to
# the first weights with the mask of the last.*
#
# ## Whole filters
#
# What does save time is to make the matrices themselves smaller. Take whole filters away, those
# with the smallest weights. With a filter goes its bias, and in the next layer all weights that
# belong to its map. What is left is a network of the same kind, only narrower.


# %%
def strongest(kernel, count):
    """Returns which `count` filters of a kernel (…, filters) have the largest weights."""
    sizes = np.abs(kernel).sum(axis=tuple(range(kernel.ndim - 1)))
    return np.sort(np.argsort(-sizes)[:count])


# %%
def narrowed(weights, filters):
    """Returns the weights for a `make_network` with only the strongest `filters` of each layer."""
    kept, before = [], np.arange(weights[0].shape[2])  # the channels that are still there
    for kernel, bias, count in zip(weights[0:6:2], weights[1:6:2], filters, strict=True):
        kernel = kernel[:, :, before]
        before = strongest(kernel, count)
        kept += [kernel[..., before], bias[before]]
    dense = weights[6].reshape(
        -1, weights[4].shape[-1], weights[6].shape[-1]
    )  # (places, maps, units)
    dense = dense[:, before].reshape(-1, dense.shape[-1])
    return [*kept, dense, *weights[7:]]


# %%
if __name__ == "__main__":
    narrow = make_network(filters=(8, 16, 32), name="narrow")
    narrow.set_weights(narrowed(exact, (8, 16, 32)))
    before = accuracy(narrow, splits.validation)
    train(narrow, splits.train, 3, 0.001)
    print(f"accuracy {before:.3f}, after 3 epochs {accuracy(narrow, splits.validation):.3f}")
    print(f"{narrow.count_params():,} weights, {bytes_of(narrow):,} bytes")

# %% [markdown]
# With half of the filters half of the weights are left in the first dense layer, and a quarter in
# convolutions that have half as many maps on both sides. Single weights can be chosen more finely
# than whole filters. But a narrow network is smaller and faster on any computer, without a runtime
# that would have to know of it.
#
# *Exercise: `narrow_network`.*


# %% tags=["timing"]
if __name__ == "__main__":
    for name, model in {
        "all": large,
        "a tenth of the weights": pruned,
        "half of the filters": narrow,
    }.items():
        call = tf.function(model)
        call(pictures)
        seconds = min(timeit.repeat(partial(call, pictures), number=1, repeat=20))
        print(f"{name:22} {1000 * seconds:6.2f} ms for 64 pictures")

# %% [markdown]
# ## A layer that costs nothing
#
# Deeper networks have a batch normalisation behind each convolution (chapter 2). In use its mean
# $\mu$ and variance $\sigma^2$ are fixed, and so are its scale $\gamma$ and shift $\beta$. Does it
# have to be computed at all? For one filter with kernel $w$ and bias $b$ the two layers are
#
# $$\gamma\, \frac{(x * w + b) - \mu}{\sqrt{\sigma^2 + \varepsilon}} + \beta
#   = x * (r\, w) + \big(r\, (b - \mu) + \beta\big), \qquad
#   r = \frac{\gamma}{\sqrt{\sigma^2 + \varepsilon}} .$$
#
# On the right stands a convolution, with the kernel $r\,w$ and another bias. So the second layer
# can be *folded* into the first one, and nothing is lost but rounding.


# %%
def folded(kernel, bias, normalisation):
    """Returns the kernel and the bias that do the work of a BatchNormalization, too."""
    gamma, beta, mean, variance = normalisation.get_weights()
    ratio = gamma / np.sqrt(variance + normalisation.epsilon)  # one for each filter
    return kernel * ratio, (bias - mean) * ratio + beta


# %% tags=["hide-input"]
def compare_folded(seed=0, dtype="float32") -> float:
    """Returns the largest difference between one layer and both, as a share of the outputs."""
    random = np.random.default_rng(seed)
    convolution = layers.Conv2D(8, 3, dtype=dtype)
    normalisation = layers.BatchNormalization(dtype=dtype)
    both = keras.Sequential([keras.Input((12, 12, 4), dtype=dtype), convolution, normalisation])
    both.set_weights([random.uniform(0.5, 2, each.shape) for each in both.get_weights()])
    x = random.normal(size=(6, 12, 12, 4)).astype(dtype)
    expected = both(x).numpy()
    convolution.set_weights(folded(*convolution.get_weights(), normalisation))
    return float(np.abs(convolution(x) - expected).max() / np.abs(expected).max())


# %%
if __name__ == "__main__":
    for dtype in ("float32", "float64"):
        print(f"{dtype}: they differ by {compare_folded(dtype=dtype):.0e} of the largest output")

# %% [markdown]
# LiteRT's converter does so without being asked. Whoever rounds weights should fold first: the
# ratio changes the size of each filter, and with it the scale.
#
# *Exercise: chapter 3's `fold_batch_norm`.*
#
# ## Can a small network learn what a large one thinks?
#
# So why train a large network at all? Take one that is small from the beginning, with a sixteenth
# of the weights. It has nothing to spare, so it is trained without dropout.

# %%
SMALL = {"filters": (4, 8, 16), "units": 16, "dropout": 0}

if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    alone = make_network(**SMALL, name="alone")
    train(alone, splits.train)
    print(f"{alone.count_params():,} weights, accuracy {accuracy(alone, splits.validation):.3f}")

# %% [markdown]
# It learns from labels: this is a shirt, and nothing else. The large network knows more. For it
# this is a shirt that might well be a T-shirt, and is certainly no shoe. A student can be taught
# that: the whole row of the teacher's probabilities, in place of one label. This is *distillation*.
#
# A trained network is very sure of itself, so its probabilities are nearly the label again. What
# tells more is a softmax of logits that are divided by a *temperature* $T$ (chapter 2). Three
# logits:


# %%
if __name__ == "__main__":
    logits = np.array([6.0, 3.0, 1.0])
    for temperature in (1, 3, 10):
        print(f"T = {temperature:<2}", tf.nn.softmax(logits / temperature).numpy().round(2))

# %% alt="Bars of a teacher's probabilities for one test picture, in ten classes. At T = 1 one bar is nearly 1 and the others invisible; at T = 4 several garments of the upper body have bars of different heights."
if __name__ == "__main__":
    answer = predict(large, splits.validation.x[:40])
    unsure = np.argsort(np.sort(tf.nn.softmax(answer), axis=1)[:, -1])[20]
    _, axes = plt.subplots(1, 2, figsize=(6.6, 2.8), layout="constrained", sharey=True)
    for ax, temperature in zip(axes, (1, 4), strict=True):
        ax.bar(range(10), tf.nn.softmax(answer[unsure] / temperature))
        ax.set_xticks(range(10), splits.classes, rotation=60, ha="right", fontsize=9)
        ax.set_title(f"T = {temperature}")
    _ = axes[0].set_ylabel("probability")

# %% [markdown]
# With $p$ for the teacher's softened probabilities and $q$ for the student's, the loss is the
# Kullback–Leibler divergence, which is zero when both agree:
#
# $$L = T^2 \sum_k p_k\, (\log p_k - \log q_k), \qquad
#   p = \text{softmax}(z^{\text{teacher}} / T), \quad q = \text{softmax}(z / T) .$$


# %%
def distillation_loss(teacher, logits, temperature):
    """Returns the mean over rows of T² · KL(teacher ‖ student), both logits (n, classes)."""
    p = tf.nn.softmax(teacher / temperature)
    log_p, log_q = (tf.nn.log_softmax(each / temperature) for each in (teacher, logits))
    return temperature**2 * tf.reduce_mean(tf.reduce_sum(p * (log_p - log_q), axis=-1))


# %% [markdown]
# What is $T^2$ for? The gradient for a logit is $T\,(q_k - p_k)$. A high temperature makes both
# probabilities alike, and their difference shrinks like $1/T$. So the gradient keeps its size, and
# with it the weight that the teacher has beside the labels. We look.


# %%
def gradient_size(temperature, square=True):
    """Returns the length of the loss's gradient for random logits, with T² or without."""
    teacher, logits = (tf.random.stateless_normal((64, 10), (0, seed)) * 3 for seed in (1, 2))
    with tf.GradientTape() as tape:
        tape.watch(logits)
        loss = distillation_loss(teacher, logits, temperature)
    size = tf.norm(tape.gradient(loss, logits))
    return float(size if square else size / temperature**2)


# %%
if __name__ == "__main__":
    for temperature in (1.0, 2.0, 4.0, 8.0, 16.0):
        both = gradient_size(temperature), gradient_size(temperature, square=False)
        print(f"T = {temperature:<4}  with T² {both[0]:.3f}, without {both[1]:.4f}")

# %% [markdown]
# Keras has this loss, too: `keras.distillation.LogitsDistillation`. By its documentation it takes
# the Kullback–Leibler divergence unless told otherwise. We compare, first with the loss named as an
# object, then as it comes.


# %% tags=["hide-input"]
def keras_distillation(teacher, logits, temperature, **options):
    """Returns the value of Keras' loss, and its gradient for the logits."""
    loss = keras.distillation.LogitsDistillation(temperature=temperature, **options)
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = loss.compute_loss(teacher, logits)
    return value, tape.gradient(value, logits)


# %%
if __name__ == "__main__":
    teacher, logits = (tf.random.stateless_normal((64, 10), (0, seed)) * 3 for seed in (1, 2))
    print(f"by hand           {distillation_loss(teacher, logits, 3.0):.4f}")
    by_object = {"loss": keras.losses.KLDivergence()}
    for name, options in {"KLDivergence()": by_object, "as it comes": {}}.items():
        value, gradient = keras_distillation(teacher, logits, 3.0, **options)
        zero = np.mean(gradient == 0)
        print(f"Keras, {name:14} {value:.4f}; {zero:.0%} of the gradient is zero")

# %% [markdown]
# As an object it is our loss. As it comes it is another one. In Keras 3.15.1 the name
# `"kl_divergence"` becomes a function, the code asks whether it is an object of `KLDivergence`, and
# since it is not, it takes neither softmax nor $T^2$: the divergence is computed of the logits
# themselves, as if they were probabilities, and what is not positive is cut off. So wherever the
# student's logit is below zero nothing is learned. No error, and the loss does fall. Does it
# matter?


# %%
def make_loss(soft_loss, temperature=4.0, share=0.7):
    """Returns loss(y, logits) for y (…, classes + 1): the teacher's logits, and the label."""

    def loss(y, logits):
        teacher, labels = y[..., :-1], y[..., -1]
        soft = soft_loss(teacher, logits, temperature)
        return share * soft + (1 - share) * loss_fn(labels, logits)

    return loss


# %%
def teach(student, teacher, data, soft_loss=distillation_loss, temperature=4.0, **options):
    """Returns the History of training the student on the teacher's logits and the labels."""
    logits = predict(teacher, data.x)  # asked once, before training
    y = np.concatenate([logits, data.y[..., np.newaxis]], axis=-1).astype("float32")
    return train(student, (data.x, y), loss_fn=make_loss(soft_loss, temperature), **options)


# %%
def as_it_comes(teacher, logits, temperature):
    """Returns Keras' loss with its default."""
    loss = keras.distillation.LogitsDistillation(temperature=temperature)
    return loss.compute_loss(teacher, logits)


# %%
if __name__ == "__main__":
    students = {}
    for name, soft_loss in {"by hand": distillation_loss, "as it comes": as_it_comes}.items():
        keras.utils.set_random_seed(0)
        students[name] = make_network(**SMALL, name="student")
        teach(students[name], large, splits.train, soft_loss)
        print(f"{name:12} accuracy {accuracy(students[name], splits.validation):.3f}")

# %% [markdown]
# With the loss as it comes the student learns least. But by hand, too, it ends below the network of
# the same size that learned from labels alone. One run says little: of 1,000 pictures an accuracy
# has a standard error of about one per cent, and other first weights give another student. So here
# are five, on the test part, each with a teacher of its own.

# %%
if __name__ == "__main__":
    grid = load_results()["measurements"]["chapter8"]["grid of the cnn"]
    for name in ("small, alone", "small, taught"):
        test = grid[name]["test"]
        print(f"{name:22}", *(f"{value:.3f}" for value in test["values"]), end="")
        print(f"  mean {test['mean']:.3f} ± {test['error']:.3f}")

# %% [markdown]
# In this set-up the teacher did harm, for each of these seeds. That is no verdict on distillation.
# Ten epochs are few, and at $T = 4$ the student is asked for all ten logits of the teacher and not
# only for the right answer, with few weights to give them. But it says what to do before one
# believes in a method: run it beside the plain one, with the same network, the same number of
# epochs and several seeds.
#
# *Exercise: `distillation_gradient`, of the whole loss.*
#
# ## Everything beside everything
#
# Which way is the best one? That takes more than one run and more than one file, so it was measured
# once, by `tools/make_compression_grid.py`: the methods with up to five seeds, each network written
# in each format. First the mistakes. Besides the accuracy there is one number more. Is a smaller
# network as sure of itself as the large one, and with the same right? Chapter 2 drew the
# *reliability diagram*, which sorts the answers by their confidence into bars. The mean gap between
# a bar and the diagonal, over all answers, is the *expected calibration error*.


# %%
def calibration_error(logits, y, bins=10) -> float:
    """Returns the mean over answers of |accuracy - mean confidence| of their bin."""
    p = tf.nn.softmax(logits).numpy()
    confidence, right = p.max(axis=1), p.argmax(axis=1) == y
    numbers = np.ceil(bins * confidence)  # (0, 0.1] is 1, (0.1, 0.2] is 2
    gaps = [np.sum(right[numbers == k] - confidence[numbers == k]) for k in range(1, bins + 1)]
    return float(np.abs(gaps).sum() / len(y))


# %% tags=["hide-input"]
def print_scores(grid):
    """Prints of each method accuracy, standard error and seeds, calibration, equal answers."""
    print(f"{'':24}accuracy      seeds  calibration  as before")
    for name, row in grid.items():
        values, mean, error = (row["test"][key] for key in ("values", "mean", "error"))
        spread = f"± {error:.3f}" if len(values) > 1 else ""
        same, gap = (row[key]["mean"] for key in ("same answers", "test calibration"))
        print(f"{name:24}{mean:.3f} {spread:7} {len(values):4}      {gap:.3f}       {same:.1%}")


# %%
if __name__ == "__main__":
    print_scores(grid)

# %% [markdown]
# The last column is the share of test pictures to which the large network of the same seed gives
# the same answer; where one seed is named, only one was run. Rounding to 8 bits changes next to
# nothing, whoever does it. Rounding to 4 bits changes a few answers in a hundred, as many for the
# better as for the worse. With 2 bits the network is broken, and training brings most of it back.
# Nine in ten weights can go if the others are trained on; if they are not, the network loses
# accuracy and, what one does not see in the accuracy, no longer knows how sure it may be.

# %% alt="Two reliability diagrams with five bars on the test part. The large network's bars end at the diagonal; the student's end near it, but for the first, which has few examples."
if __name__ == "__main__":
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.2), layout="constrained", sharey=True)
    for ax, model in zip(axes, (large, students["by hand"]), strict=True):
        probabilities = tf.nn.softmax(predict(model, splits.test.x)).numpy()
        plotting.plot_calibration(splits.test.y, probabilities, bins=5, ax=ax)

# %% [markdown]
# Left the large network, right the student. (There are five bars here and ten in the table, so the
# two errors are a little different.) Compression that keeps the accuracy has kept the calibration,
# more or less; but it is another number, and it can go wrong by itself. Whoever compresses a
# network whose confidence is used should measure it again.
#
# ## The files
#
# Now the bytes, in thousands. `.keras` and SavedModel are read by TensorFlow, `.onnx` by
# onnxruntime and many others, `.tflite` by LiteRT. `kerasbook convert RUN --to onnx` writes such a
# file of any of this book's runs, and `kerasbook predict` asks it, without TensorFlow.


# %%
FORMATS = {"keras": ".keras", "gzip": "gzip", "savedmodel": "SavedModel", "onnx": ".onnx"}
FORMATS |= {"litert": ".tflite", "npz": "our own"}


def print_bytes(grid):
    """Prints the thousands of bytes of each method in each format; a dash where it has no file."""
    print(f"{'':24}", *(f"{name:>10}" for name in FORMATS.values()))
    for name, row in grid.items():
        sizes = [row["files"].get(kind, {}).get("bytes") for kind in FORMATS]
        print(f"{name:24}", *(f"{size / 1000:10.0f}" if size else f"{'–':>10}" for size in sizes))


# %%
if __name__ == "__main__":
    print_bytes(grid)

# %% [markdown]
# Every file was loaded again and asked for 300 test pictures. Do all of them say what the model in
# Keras says? And what do the dashes stand for?


# %% tags=["hide-input"]
def print_exceptions(grid):
    """Prints how many files answer as Keras does, then those that do not and why some lack."""
    cells = [
        (name, kind, cell) for name, row in grid.items() for kind, cell in row["files"].items()
    ]
    same = [cell["same"] for _, _, cell in cells if "same" in cell]
    print(f"{sum(share == 1 for share in same)} of {len(same)} files give the same answers")
    for name, kind, cell in cells:
        if cell.get("same", 1) < 1:
            print(f"{name}, {kind}: the same for {cell['same']:.1%}")
        if "why" in cell:
            print(f"{name}, {kind}: {cell['why'][:78]}")


# %%
if __name__ == "__main__":
    print_exceptions(grid)

# %% [markdown]
# SavedModel is twice as large as it need be, because Keras writes the weights into it twice, in two
# lists. Where weights are only rounded, or zero, no format has become smaller, and gzip alone finds
# that the numbers repeat. Our layers in whole numbers go into an .onnx file and answer there as
# they do here. LiteRT's converter refuses them, and Keras' as well: it wants a scale and a zero
# point with every array, and a plain array of whole numbers has none. It will make whole numbers of
# a network in 32 bits by itself, though (`8 bits by LiteRT`), in a quarter of the bytes.
#
# Mind Keras' int4. It is small as a `.keras` file. In .onnx it has the size of 32 bits, because the
# weights are unpacked on the way; in .tflite it is larger than the network that it was made from.
# Four bits are to be had in a file of one's own, the last column. And the network that was trained
# for 8 bits answers differently in .onnx, where its rounding is written in another way; LiteRT
# computes what was simulated.
#
# A method is worth a look if none is better in both, smaller and more accurate. Such methods lie on
# the *Pareto front*. We take for each method its smallest file, and leave out what others than we
# have made, and the broken network. Differences of some thousandths are noise.


# %% tags=["hide-input"]
def smallest_files(grid) -> dict[str, dict[str, float]]:
    """Returns method → accuracy, and bytes of the smallest of its files."""
    found = {}
    for name, row in grid.items():
        sizes = [cell["bytes"] for cell in row["files"].values() if "bytes" in cell]
        found[name] = {"accuracy": row["test"]["mean"], "bytes": min(sizes)}
    return found


def front_of(places) -> list[str]:
    """Returns the methods that none beats in both, accuracy and bytes."""
    pairs = {name: (row["bytes"], -row["accuracy"]) for name, row in places.items()}

    def beaten(name):
        return any(
            all(a <= b for a, b in zip(other, pairs[name], strict=True)) and other != pairs[name]
            for other in pairs.values()
        )

    return sorted((name for name in pairs if not beaten(name)), key=lambda name: pairs[name])


def plot_pareto(places):
    """Returns the Axes: each method's accuracy against its bytes, and the front."""
    labels = {"x_label": "thousands of bytes, log scale", "y_label": "test accuracy"}
    ax, front = plotting.plot_lines({}, **labels), front_of(places)
    points = {name: (row["bytes"] / 1000, row["accuracy"]) for name, row in places.items()}
    names = sorted(points, key=lambda name: -points[name][1])
    ax.figure.set_figheight(max(4.0, 0.26 * len(names)))
    for name, height in zip(names, np.linspace(1, 0, len(names)), strict=True):
        colour = plotting.page.BLUE if name in front else "0.45"
        ax.plot(*points[name], "o" if name in front else "s", color=colour)
        line = {"arrowstyle": "-", "color": "0.8", "linewidth": 0.7}
        options = {"textcoords": "axes fraction", "fontsize": 9, "va": "center", "color": colour}
        text = f"{points[name][1]:.3f} {name}"
        ax.annotate(text, points[name], (1.04, height), arrowprops=line, **options)
    ax.plot(*zip(*map(points.get, front), strict=True), color=plotting.page.BLUE, linewidth=1)
    ticks = [20, 50, 100, 200, 500, 1000]
    ax.set_xscale("log")
    ax.set_xticks(ticks, map(str, ticks))
    ax.set_xticks([], minor=True)
    return ax


# %% tags=["cover"] alt="Test accuracy of the networks against the bytes of their smallest files. Most lie level between 0.89 and 0.90; far to the left of them, as accurate as they are, is the pruned network in 8 bits. The networks that were always small lie well below it, and below those the one that was pruned and not trained."
if __name__ == "__main__":
    places = smallest_files(grid)
    plot_pareto({name: row for name, row in places.items()
                 if row["accuracy"] > 0.75 and " by " not in name})  # fmt: skip

# %% [markdown]
# To take away and to round go well together: the pruned network in 8 bits is the smallest of the
# accurate ones, and a large network that was made small beats one that was always small. The files
# on the left are zipped, though, and have to be unzipped before anything is computed.
#
# And other networks? Here is chapter 4's reader. (All its matrices are rounded and pruned alike,
# the two rows of biases among them; after that it was trained on for one epoch.)

# %%
if __name__ == "__main__":
    reader = load_results()["measurements"]["chapter8"]["grid of the gru"]
    print_scores(reader)
    print_bytes(reader)

# %% [markdown]
# The same again: 8 bits cost nothing, 4 bits next to nothing, and gzip sees the zeros. (LiteRT's
# file with int4 is small here, as nearly all the weights are a table of words, which it can
# keep in whole numbers.)
#
# ## How soon?
#
# Keras has four ways to an answer, and each runtime has its own. `model.predict` is made for many
# pictures; `model(x)` calls layer by layer; `tf.function` makes one graph of it, and XLA one piece
# of code. Guess which is the slowest for a single picture. Below stand milliseconds for a call, the
# median, and in brackets the quartiles.


# %% tags=["hide-input"]
def print_times(found):
    """Prints for each way the milliseconds of a call with one example, and with many."""
    for way in found["batch 1"]:
        print(f"{way:20}", end="")
        for batch in ("batch 1", "batch 64"):
            times = found[batch][way]
            low, high = times.get("quartiles", (0, 0))
            text = f"{times['median']:.2f} ({low:.2f}–{high:.2f})" if "median" in times else "–"
            print(f"{batch}: {text:24}", end="")
        print()


# %%
if __name__ == "__main__":
    times = load_results()["measurements"]["chapter8"]["inference"]
    print(times["processor"], times["cores"], "cores")
    for name, found in times["networks"].items():
        print(name)
        print_times(found)

# %% [markdown]
# For a single example `predict` and `model(x)` take longest by far. The first sets up a loop over
# batches, which pays for many examples only; the second goes layer by layer through Python, and the
# reader, with its loop over the words, suffers from that most. A graph is a matter of a few
# milliseconds at most, and the runtimes need a fraction of that. (LiteRT's files take one example
# at a time, so that its times for 64 are those of 64 calls.) And 8 bits? In LiteRT they make the
# convolutional network faster and the reader slower; in onnxruntime, which looks for a scale at
# each call, the convolutional network is slower with them. So compare with 32 bits *in the same
# runtime*, and with your own network.
#
# How much memory does a process need for it? And what does chapter 6's cache bring?

# %%
if __name__ == "__main__":
    for kind, peak in times["memory"].items():
        print(f"{kind:10} {peak / 1e6:5.0f} million bytes to load the CNN and answer once")
    for name, rows in times["cache"].items():
        each = ", ".join(f"{n} at once {row['median']:.0f}" for n, row in rows.items())
        print(f"{name:22} tokens per second: {each}")

# %% [markdown]
# What needs the memory is TensorFlow, whatever the network; without it a process can do with about
# a tenth. The cache computes a token once that is otherwise computed again at every step. It is
# slower here nevertheless, because its steps are called from Python like `model(x)`, and the other
# decoder is a graph. Time goes where the calls are, too, and not only where the arithmetic is.
#
# ## Result
#
# `main` trains the large network and compresses it in one of four ways: `--method quantise` takes 8
# bits as above, and with fewer `--bits` trains on with the rounding; `prune` takes single weights
# away and trains on, `channels` whole filters, and `distil` teaches a student of its own. `--share`
# says how much goes.


# %%
def narrower(model, share, units=64, **options):
    """Returns a fresh network for the same task, with a `share` less filters than the model has."""
    counts = [max(1, round((1 - share) * layer.filters)) for layer, _ in kernels(model)[:3]]
    shape, classes = model.input_shape[1:], model.output_shape[-1]
    return make_network(shape, classes, counts, units, model.layers[0].flip, **options)


# %%
def compress(model, data, method, bits=8, share=0.75, **fit_options):
    """Returns a smaller network made of a trained `make_network()`; `main` has the methods."""
    small, weights = copy_of(model), model.get_weights()
    if method == "quantise" and bits == 8:
        return in_int8(model)
    if method == "quantise":
        train_rounded(small, data, bits, **fit_options)
        return small
    if method == "prune":
        prune(small, data, share, **fit_options)
    elif method == "channels":
        small = narrower(model, share, name="narrow")
        small.set_weights(narrowed(weights, [layer.filters for layer, _ in kernels(small)[:3]]))
        train(small, data, 3, 0.001, **fit_options)
    else:
        small = narrower(model, share, units=16, dropout=0, name="student")
        teach(small, model, data, **fit_options)
    return small


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "bounds": {"bits": [2, 8], "share": [0, 0.95]},
    "minutes": 1,
}


def scores_of(model, part) -> dict[str, float]:
    """Returns loss, accuracy and calibration error of a network on a part of the data."""
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    error = calibration_error(predict(model, part.x).astype("float32"), part.y)
    return evaluate(model, part, loss_fn=loss_fn, metrics=metrics) | {"calibration_error": error}


def main(
    method: Literal["quantise", "prune", "channels", "distil"] = "quantise",
    bits: int = 8,
    share: float = 0.75,
    epochs: int = 10,
    batch_size: int = 64,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains chapter 3's network, and makes a smaller one of it.

    Args:
        method: how: whole numbers, single weights away, whole filters away, a student
        bits: of quantise: how many a weight has; less than 8 are trained, and kept in 32
        share: of the others: how much of the weights, or of the filters, goes
        epochs: passes over the training part, for the large network and for a student
        batch_size: pictures per step
        seed: of the first weights, the shuffling, the augmentation and the dropout
        dataset: fashion, or from TensorFlow Datasets mnist, fashion_mnist, cifar10
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)

    flip = dataset != "mnist"  # a digit in a mirror is not a digit
    model = make_network(splits.train.x.shape[1:], len(splits.classes), flip=flip)
    options = {"batch_size": batch_size, "seed": seed, **fit_options}
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    watched = {"metrics": metrics, "validation_data": splits.validation}
    history = train(model, splits.train, epochs, **watched, **options)
    if method == "distil":
        options["epochs"] = epochs
    small = compress(model, splits.train, method, bits, share, **options)

    parts = {"validation": splits.validation, "test": splits.test}
    scores = {name: scores_of(small, part) for name, part in parts.items()}
    for name, part in parts.items():
        scores[name]["accuracy_before"] = scores_of(model, part)["accuracy"]
    print(f"{bytes_of(model):,} bytes before, {bytes_of(small):,} after, "
          f"{bytes_of(small, zipped=True):,} after gzip")  # fmt: skip
    if method == "quantise":
        print("left in 32 bits:", ", ".join(left_in_float(small)) or "no layer")
    logits = predict(small, splits.test.x).astype("float32")  # --mixed-precision has 16 bits
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, logits.argmax(axis=1), splits.classes),
        "calibration": plotting.plot_calibration(splits.test.y, tf.nn.softmax(logits).numpy()),
    }
    return Result(splits, small, history, scores, figures)


# %% alt="Loss and accuracy of the large network over ten epochs, training and validation: both improve quickly at first and are nearly level at the end."
if __name__ == "__main__":
    result = main()
    for name in ("confusion", "calibration"):
        plt.close(np.ravel(result.figures[name])[0].figure)

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} accuracy {scores['accuracy_before']:.3f} → {scores['accuracy']:.3f}")

# %% [markdown]
# ## What to try
#
# - `--method prune --share 0.95`, `--method channels --share 0.5`: what do they cost?
# - `--bits 3`, `--bits 2`. Then take `with_bits` in place of `per_channel` in the step.
# - Prune before you quantise: `in_int8(pruned)`. Do the losses add up?
# - Take `masks_per_layer` in `prune`. At which share does it begin to matter?
# - Distil at $T = 1$ and at $T = 20$; with `share=1.0`, without any labels.
# - Prune in three rounds, 0.5, 0.8, 0.9, with one epoch after each, in place of three after one.
#
# ## Where this comes from
#
# - B. Jacob and others, *Quantization and training of neural networks for efficient
#   integer-arithmetic-only inference* (2018): scale, zero point, the multiplier as a whole number.
# - S. Han and others, *Learning both weights and connections for efficient neural networks* (2015);
#   H. Li and others, *Pruning filters for efficient ConvNets* (2017); J. Frankle and M. Carbin,
#   *The lottery ticket hypothesis* (2019).
# - G. Hinton, O. Vinyals and J. Dean, *Distilling the knowledge in a neural network* (2015).
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of the exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others.
#
# ## Where to go next
#
# Fewer bits in training, and a batch that does not fit into memory: [chapter 9](chapter9.ipynb).
