# %% [markdown]
"""
# Chapter 3. Convolutional networks

The dense network of chapter 2 sees a picture as 784 numbers in a row. It does not know which
pixels are neighbours: shuffle the pixels of all pictures in one and the same way, and it learns
as well as before. And what it has learned about a sleeve at the left tells it nothing about a
sleeve at the right. A convolutional network looks through a small window, and uses the same
weights wherever the window lies. Its two ideas are *near belongs together* and *everywhere alike*.

After this chapter you can

- compute a convolution by loops and as one matrix product;
- say how large its output is, and how many weights it has;
- tell it from the true convolution of mathematics;
- pool, and augment pictures;
- see what the layers of a trained network look at.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter3`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter3")

# %%
import inspect
import time
from typing import Literal

from kerasbook import plotting
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import (
    as_function,
    largest_differences,
    outputs_and_gradients,
)
from kerasbook.training import evaluate, fit, make_train_step, predict

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## The data
#
# Fashion-MNIST again: grey pictures of ten kinds of clothes, 28 pixels high and wide. In chapter 2
# a picture was flattened into a row. Here it keeps its shape. `x` is (n, 28, 28, 1): the number of
# the picture, its rows, its columns, and its *channels*. Grey has one channel, colour has three.

# %%
if __name__ == "__main__":
    splits = load_fashion()
    print(splits)
    plotting.plot_images(splits.train.x[:10], splits.train.y[:10], classes=splits.classes)

# %% [markdown]
# The values are standardised: over the training part their mean is 0 and their standard deviation
# 1. So the black background is a negative number, not zero.
#
# ## A window slides over the picture, by hand
#
# Take a small table of weights, the *kernel*. Lay it on the top left corner of the picture,
# multiply each weight by the pixel under it, and add up. That is one number of the output. Move
# one pixel to the right, do it again; at the end of the row, go one pixel down.
#
# In full, with several input channels $c$ and several kernels $f$ (also called *filters*),
#
# $$z_{i,j,f} = b_f + \sum_{u=0}^{k_h-1}\ \sum_{v=0}^{k_w-1}\ \sum_{c}
#   x_{si+u,\; sj+v,\; c}\; w_{u,v,c,f} .$$
#
# For $n$ pictures at once `x` is (n, height, width, channels). The kernel `w` is (kh, kw, channels,
# filters), the bias `b` (filters,), and the output `z` (n, rows, columns, filters): one picture per
# filter, called a *feature map*. The *stride* $s$ is how far the window moves; with $s = 2$ it
# leaves out every second place.
#
# A window that must stay inside the picture cannot have its middle on the border, so the output is
# smaller than the input. This is the padding `"valid"`. With `"same"` the picture first gets a
# frame of zeros, just so wide that a stride of 1 keeps the size. In each of the two directions, a
# window of $k$ pixels has so many places on $h$ pixels:
#
# $$\text{valid: } \left\lfloor \frac{h - k}{s} \right\rfloor + 1,
# \qquad \text{same: } \left\lceil \frac{h}{s} \right\rceil .$$


# %%
def output_size(size, kernel_size, stride=1, padding="valid"):
    """Returns how many places a window of `kernel_size` pixels takes on `size` pixels."""
    if padding == "same":
        return -(-size // stride)  # size / stride, rounded up
    return (size - kernel_size) // stride + 1


def padding_widths(size, kernel_size, stride=1, padding="valid"):
    """Returns the zeros to add (before, after) the `size` pixels."""
    if padding == "valid":
        return 0, 0
    places = output_size(size, kernel_size, stride, padding)
    total = max((places - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2  # an odd zero goes to the end


# %% [markdown]
# An odd number of zeros cannot be shared fairly. TensorFlow puts the one too many at the bottom and
# at the right. PyTorch's `padding=1` puts one zero on every side, whatever the stride. With a
# stride of 1 and a 3 × 3 kernel both are the same; with a stride of 2 they look at different
# pixels, and weights carried over from one to the other give other results, without a word.

# %%
if __name__ == "__main__":
    for stride in (1, 2):
        widths = padding_widths(28, 3, stride, "same")
        places = output_size(28, 3, stride, "same")
        print(f"28 pixels, window 3, stride {stride}: zeros {widths}, output {places}")

# %% [markdown]
# Now the sum itself. The loop runs over the pictures, the rows, the columns and the filters; the
# three sums of the formula are the `np.sum` of its last line.


# %%
def pad(x, kernel, strides, padding):
    """Returns x (n, height, width, channels) in its frame of zeros."""
    _, height, width, _ = x.shape
    rows = padding_widths(height, kernel.shape[0], strides, padding)
    columns = padding_widths(width, kernel.shape[1], strides, padding)
    return tf.pad(x, [(0, 0), rows, columns, (0, 0)])


def correlate(x, kernel, bias, strides=1, padding="valid"):
    """Returns z (n, rows, columns, filters), for x (n, height, width, channels), by loops."""
    high, wide, _, filters = kernel.shape
    rows = output_size(x.shape[1], high, strides, padding)
    columns = output_size(x.shape[2], wide, strides, padding)
    x = pad(x, kernel, strides, padding).numpy()
    z = np.zeros((len(x), rows, columns, filters), x.dtype)
    for n, i, j, f in np.ndindex(z.shape):
        top, left = strides * i, strides * j
        window = x[n, top : top + high, left : left + wide]  # (kh, kw, channels)
        z[n, i, j, f] = np.sum(window * kernel[..., f]) + bias[f]
    return z


# %% [markdown]
# What can such a sum tell? A kernel is a question about a small place. This one asks: is it
# brighter at the right than at the left? Its transpose asks: brighter below than above?

# %%
VERTICAL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")
EDGES = np.stack([VERTICAL, VERTICAL.T], axis=-1)[:, :, np.newaxis]  # (3, 3, 1, 2)


def plot_edges(picture):
    """Returns the Axes: a picture (28, 28, 1) and where its edges are."""
    _, axes = plt.subplots(1, 3, figsize=(6.6, 2.2), layout="constrained")
    maps = correlate(picture[np.newaxis], EDGES, np.zeros(2, "float32"))[0]
    plotting.plot_images(picture[np.newaxis], ["the picture"], axes=axes[0])
    plotting.plot_feature_maps(maps, titles=["left to right", "top to bottom"], axes=axes[1:])
    return axes


if __name__ == "__main__":
    plot_edges(splits.train.x[6])

# %% [markdown]
# Where the picture is even the answer is near zero, at an edge it is large, positive on one side
# and negative on the other. Nobody has trained anything yet: these weights were chosen by hand. A
# convolutional layer finds its own, by descent.
#
# ## Convolution or correlation?
#
# What we have computed, and what every deep-learning library calls a convolution, is in mathematics
# a *cross-correlation*. In a true convolution the kernel is turned by half a circle, that is,
# flipped in both directions: the sum has $x_{i-u,\,j-v}$ in place of $x_{i+u,\,j+v}$.


# %%
def convolve(x, kernel, bias, strides=1, padding="valid"):
    """Returns the true convolution: the correlation with the kernel flipped in both directions."""
    return correlate(x, kernel[::-1, ::-1], bias, strides, padding)


# %% [markdown]
# One bright pixel on a dark ground shows the difference. Wherever the window meets it, the output
# is the weight that lies on it. Convolution copies the kernel; correlation writes it backwards.

# %%
if __name__ == "__main__":
    one_pixel = np.zeros((1, 5, 5, 1))
    one_pixel[0, 2, 2, 0] = 1
    numbers = np.arange(1.0, 10).reshape(3, 3, 1, 1)
    flipped = numbers[::-1, ::-1]
    print("kernel\n", numbers[:, :, 0, 0])
    print("convolution\n", convolve(one_pixel, numbers, [0])[0, :, :, 0])
    print("correlation\n", correlate(one_pixel, numbers, [0])[0, :, :, 0])
    print("correlation, kernel flipped\n", correlate(one_pixel, flipped, [0])[0, :, :, 0])

# %% [markdown]
# For a layer that learns its kernel nothing depends on this: it would learn the flipped weights and
# give the same outputs. It matters to whoever carries weights or a formula from one side to the
# other. We call the layer a convolution, as everybody does, and compute the correlation.
#
# ## Patches, and one matrix product
#
# Four loops in Python are slow, and most of what a computer does well is matrix products. So we
# lay the contents of every window in a row, a *patch*. The kernel, flattened in the same order, is
# a matrix with one column per filter; and the whole layer is one product.
#
# To cut the patches no window is needed: the values that come first in all windows are the
# picture itself, every $s$-th pixel of it; those that come second are the picture one further.


# %%
def patches(x, high, wide, strides=1):
    """Returns the windows of x: (n, rows, columns, high · wide, channels)."""
    rows = output_size(x.shape[1], high, strides)
    columns = output_size(x.shape[2], wide, strides)
    down, right = strides * rows, strides * columns
    places = [
        x[:, u : u + down : strides, v : v + right : strides]  # (n, rows, columns, channels)
        for u in range(high)
        for v in range(wide)
    ]
    return tf.stack(places, axis=3)


def conv2d(x, kernel, bias, strides=1, padding="valid"):
    """Returns z (n, rows, columns, filters), as `correlate` does, by one matrix product."""
    high, wide, channels, filters = kernel.shape
    windows = patches(pad(x, kernel, strides, padding), high, wide, strides)
    _, rows, columns, _, _ = windows.shape
    windows = tf.reshape(windows, (-1, rows * columns, high * wide * channels))
    z = windows @ tf.reshape(kernel, (high * wide * channels, filters)) + bias
    return tf.reshape(z, (-1, rows, columns, filters))


# %% [markdown]
# The price is memory: with a 3 × 3 kernel each pixel is stored nine times. Libraries avoid most of
# the copies, but the product is what they compute.
#
# Is it the same as the loops, and the same as Keras? `conv2d` uses TensorFlow's operations only, so
# a tape can give its gradients, and we can compare those too. The loss is half the sum of the
# squared outputs, so that the gradient that reaches the layer is different at every place. Numbers
# have 64 bits here: what differs is then a mistake and not rounding.


# %%
def compare_with_keras(x, kernel, bias, strides=1, padding="valid") -> dict[str, float]:
    """Returns the largest differences to `layers.Conv2D`: of both outputs, and of the gradients."""
    filters, options = kernel.shape[3], {"strides": strides, "padding": padding}
    layer = layers.Conv2D(filters, kernel.shape[:2], dtype=x.dtype, **options)
    layer.build(x.shape)
    found = outputs_and_gradients(lambda *inputs: conv2d(*inputs, **options), x, kernel, bias)
    expected = outputs_and_gradients(as_function(layer), x, kernel, bias)
    names = ("patches", "gradient of x", "gradient of kernel", "gradient of bias")
    in_loops = correlate(x, kernel, bias, **options)
    return largest_differences((*names, "loops"), [*found, in_loops], [*expected, expected[0]])


# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    bias = random.normal(size=4)
    for height, width, high, wide in ((8, 8, 3, 3), (7, 10, 2, 5), (9, 6, 5, 4)):
        x = random.normal(size=(2, height, width, 3))
        kernel = random.normal(size=(high, wide, 3, 4))
        for strides, padding in ((1, "valid"), (1, "same"), (2, "valid"), (2, "same"), (3, "same")):
            worst = max(compare_with_keras(x, kernel, bias, strides, padding).values())
            print(f"{height} × {width}, kernel {high} × {wide}, {strides}, {padding}: {worst:.0e}")

# %% [markdown]
# Outputs and all three gradients agree to the last digits, for odd sizes and strides too. And the
# time?

# %% tags=["timing"]
if __name__ == "__main__":
    x, bias = splits.train.x[:1], np.zeros(16, "float32")
    kernel = random.normal(size=(3, 3, 1, 16)).astype("float32")
    layer = layers.Conv2D(16, 3)
    ways = {"loops": correlate, "patches": conv2d, "Keras": lambda x, *_: layer(x)}
    for name, function in ways.items():
        seconds = []
        for _ in range(3):
            started = time.perf_counter()
            function(x, kernel, bias)
            seconds.append(time.perf_counter() - started)
        print(f"{name:8} {1000 * min(seconds):7.2f} ms for one picture")

# %% [markdown]
# ## The gradients, by hand
#
# The tape did the work. What did it compute? Let `g`, (n, rows, columns, filters), be the gradient
# of the loss for the outputs $z$; here with a stride of 1 and no padding. Each weight
# $w_{u,v,c,f}$ met the pixel $x_{i+u,j+v,c}$ at every place, and each time the result went into
# $z_{i,j,f}$:
#
# $$\frac{\partial L}{\partial w_{u,v,c,f}} = \sum_{n,i,j} x_{n,\,i+u,\,j+v,\,c}\; g_{n,i,j,f},
# \qquad
# \frac{\partial L}{\partial x_{n,i,j,c}} = \sum_{u,v,f} g_{n,\,i-u,\,j-v,\,f}\; w_{u,v,c,f} .$$
#
# Both are convolutions again. The first slides `g` over the picture, and sums over the pictures as
# it would over channels. The second has minus signs: here, on the way back, is the true
# convolution, with the flipped kernel.


# %%
def conv2d_gradients(x, kernel, g):
    """Returns the gradients for x, kernel and bias, from `g`, that for the outputs."""
    high, wide, _, _ = kernel.shape
    by_channel = tf.transpose(x, (3, 1, 2, 0))  # (channels, height, width, n)
    by_place = tf.transpose(g, (1, 2, 0, 3))  # (rows, columns, n, filters)
    for_kernel = tf.transpose(conv2d(by_channel, by_place, 0.0), (1, 2, 0, 3))
    framed = tf.pad(g, [(0, 0), (high - 1, high - 1), (wide - 1, wide - 1), (0, 0)])
    for_x = conv2d(framed, tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2)), 0.0)
    return for_x, for_kernel, tf.reduce_sum(g, axis=(0, 1, 2))


if __name__ == "__main__":
    x, kernel = random.normal(size=(2, 7, 6, 3)), random.normal(size=(3, 2, 3, 4))
    z, *by_tape = outputs_and_gradients(conv2d, x, kernel, random.normal(size=4))
    by_hand = conv2d_gradients(x, kernel, z)  # half a sum of squares has the gradient z
    for name, a, b in zip(("x", "kernel", "bias"), by_hand, by_tape, strict=True):
        print(f"gradient of {name}: largest difference {np.abs(a - b).max():.0e}")

# %% [markdown]
# ## A dense layer with tied weights
#
# "The formula of the CNN is $y = f(Wx + b)$", says more than one article. That is a dense layer.
# It is not false, for a convolution is linear, so some matrix $W$ does the same; but it hides all
# that matters. Let us look at that $W$. Its row for a pixel is what the layer makes of a picture in
# which only this pixel is 1.


# %%
def dense_matrix(kernel, height, width):
    """Returns W (height · width · channels, outputs): flat pictures @ W is the convolution."""
    inputs = height * width * kernel.shape[2]
    pictures = tf.reshape(tf.eye(inputs, dtype=kernel.dtype), (inputs, height, width, -1))
    return tf.reshape(conv2d(pictures, kernel, 0.0), (inputs, -1))


if __name__ == "__main__":
    matrix = dense_matrix(numbers, 4, 5)
    print(f"{matrix.shape}: {matrix.numpy().size} numbers, {np.count_nonzero(matrix)} not zero,")
    print(f"{len(np.unique(matrix)) - 1} different ones. The columns for the six outputs:")
    plotting.plot_weights(matrix, shape=(4, 5), titles=[f"output {k}" for k in range(6)])

# %% [markdown]
# Each output has its own column in $W$, drawn here on the 4 × 5 pixels of the picture. All of them
# hold the same nine weights, moved; the rest is zero. So a convolution is a dense layer in which
# most weights are fixed at zero (*near belongs together*) and the others are tied to each other
# (*everywhere alike*). How much that saves:


# %%
def conv_parameters(kernel_size, channels, filters):
    """Returns the number of weights of a convolution: a kernel and a bias for each filter."""
    return (kernel_size * kernel_size * channels + 1) * filters


def dense_parameters(inputs, units):
    """Returns the number of weights of a dense layer."""
    return (inputs + 1) * units


if __name__ == "__main__":
    print(f"convolution, 3 × 3, 32 filters: {conv_parameters(3, 1, 32):12,} weights")
    print(f"dense layer of the same output: {dense_parameters(28 * 28, 26 * 26 * 32):12,} weights")

# %% [markdown]
# Because the weights are the same everywhere, a picture that moves gives an output that moves, and
# otherwise stays as it was. This is called *equivariance to shifts*. To see it, we put the garment
# on a larger ground, so that nothing falls off the edge, and move it two pixels to the right.

# %%
if __name__ == "__main__":
    ground = float(splits.train.x.min())
    x = tf.pad(splits.train.x[:1], [(0, 0), (4, 4), (4, 4), (0, 0)], constant_values=ground)
    edges = conv2d(x, EDGES, 0.0)
    moved = conv2d(tf.roll(x, 2, axis=2), EDGES, 0.0)
    print("move, then convolve − convolve, then move:", end=" ")
    print(np.abs(moved - tf.roll(edges, 2, axis=2)).max())

# %% [markdown]
# ## Pooling
#
# To tell a shirt from a bag we need not know to the pixel where a sleeve ends. *Pooling* keeps one
# number of each small window: the largest (max pooling) or the mean (average pooling). Windows of
# 2 × 2 with a stride of 2 halve height and width, and the layers above have a quarter of the work.
# Each channel is pooled by itself, and there is nothing to learn.


# %%
def max_pool(x, size=2):
    """Returns the largest value of each window: (n, rows, columns, channels)."""
    windows = patches(x, size, size, strides=size)  # (n, rows, columns, size², channels)
    winner = tf.one_hot(tf.argmax(windows, axis=3), size**2, axis=3, dtype=windows.dtype)
    return tf.reduce_sum(windows * winner, axis=3)


def average_pool(x, size=2):
    """Returns the mean of each window: (n, rows, columns, channels)."""
    return tf.reduce_mean(patches(x, size, size, strides=size), axis=3)


# %% [markdown]
# A row or column that does not fill a window is left out, as Keras does it: 13 pixels become 6.
#
# Why so roundabout, with the number of the winner, and not `tf.reduce_max`? Because of the way
# back. The gradient of a maximum goes to the winner alone; the losers could change a little and
# nothing would happen. When two values tie, Keras' layer still has one winner, the first, while
# `tf.reduce_max` would share the gradient among them. The gradient of a mean is shared in any case.

# %%
if __name__ == "__main__":
    x = np.array([[1.0, 3, 5, 5], [2, 4, 0, 5]]).reshape(1, 2, 4, 1)
    for pool in (max_pool, average_pool):
        outputs, slopes = outputs_and_gradients(pool, x)
        print(f"{pool.__name__}: outputs {outputs.numpy().ravel()}, gradient")
        print(slopes.numpy()[0, :, :, 0])

# %% [markdown]
# In the second window three values tie, and one of them wins. And in general:


# %%
def compare_pooling(x, size=2) -> dict[str, float]:
    """Returns the largest differences to Keras' pooling layers: outputs and gradients."""
    differences = {}
    for ours, theirs in ((max_pool, layers.MaxPooling2D), (average_pool, layers.AveragePooling2D)):
        expected = outputs_and_gradients(theirs(size, dtype=x.dtype), x)
        found = outputs_and_gradients(lambda x, pool=ours: pool(x, size), x)
        for name, a, b in zip(("outputs", "gradient"), found, expected, strict=True):
            differences[f"{ours.__name__} {name}"] = float(np.abs(a - b).max())
    return differences


if __name__ == "__main__":
    print(compare_pooling(random.integers(1, 4, size=(2, 7, 9, 3)).astype("float64")))  # many ties

# %% [markdown]
# Pooling is also where equivariance ends. A shift by two pixels becomes a shift by one; a shift by
# one pixel has no exact counterpart.

# %%
if __name__ == "__main__":
    ours = max_pool(edges)
    for step in (1, 2):
        moved = max_pool(tf.roll(edges, step, axis=2))
        nearest = min(np.abs(moved - tf.roll(ours, k, axis=2)).max() for k in (0, 1))
        print(f"moved by {step}: largest difference to a shift of the pooled map {nearest:.3f}")

# %% [markdown]
# ## Two networks in Keras
#
# A convolutional network alternates: convolution, activation, pooling. On the way the pictures get
# smaller and the channels more, until the last maps are flattened into a row for dense layers,
# which decide. The first of our two articles has this one, for pictures of 32 × 32 in colour.
# "Padding 1" with 3 × 3 kernels and a stride of 1 is Keras' `"same"`.


# %%
def make_colour_cnn() -> keras.Model:
    """Returns the first article's network: (n, 32, 32, 3) → logits (n, 10)."""
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),  # (n, 32, 32, 32)
            layers.MaxPooling2D(),  # (n, 16, 16, 32)
            layers.Conv2D(64, 3, padding="same", activation="relu"),  # (n, 16, 16, 64)
            layers.MaxPooling2D(),  # (n, 8, 8, 64)
            layers.Flatten(),  # (n, 4096)
            layers.Dense(128, activation="relu"),
            layers.Dense(10),
        ],
        name="colour_cnn",
    )


# %% [markdown]
# The second is for grey pictures of 28 × 28. The article ends it in a softmax; ours ends in logits,
# and the softmax is part of the loss, for the reasons of chapter 2. Whoever writes both, a softmax
# at the end and a loss with `from_logits=True`, applies it twice, and learns slowly.


# %%
def make_grey_cnn() -> keras.Model:
    """Returns the second article's network: (n, 28, 28, 1) → logits (n, 10)."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),  # (n, 26, 26, 32)
            layers.MaxPooling2D(),  # (n, 13, 13, 32)
            layers.Conv2D(64, 3, activation="relu"),  # (n, 11, 11, 64)
            layers.MaxPooling2D(),  # (n, 5, 5, 64)
            layers.Conv2D(64, 3, activation="relu"),  # (n, 3, 3, 64)
            layers.Flatten(),  # (n, 576)
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ],
        name="grey_cnn",
    )


# %% [markdown]
# Our formulas for sizes and weights must give what Keras counts.


# %%
def count_parameters(model) -> int:
    """Returns the number of weights by our formulas, for square kernels."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            total += conv_parameters(layer.kernel_size[0], layer.input.shape[-1], layer.filters)
        elif isinstance(layer, layers.Dense):
            total += dense_parameters(layer.input.shape[-1], layer.units)
    return total


if __name__ == "__main__":
    for model in (make_colour_cnn(), make_grey_cnn()):
        print(f"{model.name}: {count_parameters(model):,} weights; Keras: {model.count_params():,}")
        for layer in model.layers:
            print(f"    {layer.name:16} {layer.output.shape!s:22} {layer.count_params():9,}")

# %% [markdown]
# Nearly all weights of the first network are in its first dense layer; nearly all work is in the
# convolutions, whose weights are used at every place.
#
# ## A flatten that mixes up the pictures
#
# The first article gets its flatten wrong. Its dense layer expects $64 \cdot 6 \cdot 6$ values, and
# the line before it says: make rows of that length, as many as come out. But 32 × 32 pixels, pooled
# twice, are 8 × 8.


# %%
def flatten_wrongly(maps):
    """Returns the maps (n, 8, 8, 64) in rows of 2304 values: no longer one row per picture."""
    return tf.reshape(maps, (-1, 64 * 6 * 6))


# %% [markdown]
# To see what happens, let each map hold only the number of its picture.

# %%
if __name__ == "__main__":
    maps = tf.ones((9, 8, 8, 64)) * tf.reshape(tf.range(9.0), (9, 1, 1, 1))
    rows = flatten_wrongly(maps)
    print(f"{len(maps)} pictures became {len(rows)} rows")
    for k in range(5):
        print(f"row {k} holds values of the pictures {np.unique(rows[k]).astype(int)}")

# %% [markdown]
# Nine pictures go in, sixteen predictions come out, each for a piece of a picture or for pieces of
# two, and nothing is said. A loss would notice that there are nine labels. A program that only
# predicts would not. Where the number of pictures is no multiple of nine, the values cannot be
# shared out and the reshape fails; so it does for nine pictures of 28 × 28.

# %%
if __name__ == "__main__":
    for count, side in ((64, 8), (9, 7), (36, 7)):
        try:
            rows = flatten_wrongly(tf.zeros((count, side, side, 64)))
            print(f"{count} maps of {side} × {side}: {len(rows)} rows, no complaint")
        except tf.errors.InvalidArgumentError as error:
            print(f"{count} maps of {side} × {side}: {error.message.rpartition('}} ')[2]}")

# %% [markdown]
# The cure: never let a reshape choose the number of examples. `layers.Flatten` keeps the first
# axis and works out the length of the row; `tf.reshape(maps, (len(maps), -1))` does the same.

# %%
if __name__ == "__main__":
    rows = layers.Flatten()(maps)
    print(rows.shape, [int(np.unique(row).item()) for row in rows])

# %% [markdown]
# ## More pictures from those we have
#
# 9,000 pictures are few. A shirt in a mirror is still a shirt, and so is one that stands a little
# further left. *Augmentation* shows the network such changed copies, new ones in every epoch, so
# that it cannot learn single pictures by heart. Which changes are harmless depends on the data: a
# digit in a mirror is not a digit.


# %%
def flip_some(x, chosen):
    """Returns x (n, height, width, channels), mirrored left to right where chosen (n,) is true."""
    return tf.where(chosen[:, np.newaxis, np.newaxis, np.newaxis], x[:, :, ::-1], x)


def shift_each(x, down, right):
    """Returns x with picture k moved by down[k], right[k] pixels; its border is drawn out."""
    rows = tf.clip_by_value(tf.range(x.shape[1]) - down[:, np.newaxis], 0, x.shape[1] - 1)
    columns = tf.clip_by_value(tf.range(x.shape[2]) - right[:, np.newaxis], 0, x.shape[2] - 1)
    x = tf.gather(x, rows, axis=1, batch_dims=1)
    return tf.gather(x, columns, axis=2, batch_dims=1)


# %% [markdown]
# As a layer it belongs to the model, runs wherever the model runs, and only in training. Its random
# numbers come from a `SeedGenerator`, whose state is part of the model: the same seed gives the
# same pictures, in our loop and in `model.fit`.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class RandomFlipAndShift(layers.Layer):
    """In training, mirrors half of the pictures and moves each by up to `shift` pixels."""

    def __init__(self, flip=True, shift=1, seed=None, **options):
        """Takes whether to mirror, and the largest shift in pixels."""
        super().__init__(**options)
        self.flip, self.shift, self.seed = flip, shift, seed
        self.random = keras.random.SeedGenerator(seed)

    def call(self, x, training=False):
        """Returns x (n, height, width, channels), changed in training only."""
        if not training:
            return x
        count = tf.shape(x)[0]
        if self.flip:
            x = flip_some(x, keras.random.uniform((count,), seed=self.random) < 0.5)
        if self.shift:
            limits = (-self.shift, self.shift + 1)
            steps = keras.random.randint((2, count), *limits, seed=self.random)
            x = shift_each(x, steps[0], steps[1])
        return x

    def get_config(self):
        """Returns what `__init__` needs, so that the model can be saved and loaded."""
        config = {"flip": self.flip, "shift": self.shift, "seed": self.seed}
        return super().get_config() | config


if __name__ == "__main__":
    copies = np.repeat(splits.train.x[6:7], 10, axis=0)
    plotting.plot_images(RandomFlipAndShift(shift=2, seed=0)(copies, training=True))

# %% [markdown]
# ## The model that we train
#
# It is the second article's network, with three changes. Augmentation comes first and dropout,
# which we know from chapter 2, before each dense layer. The padding is `"same"`, so that the border
# of the picture is looked at as often as its middle, and the last maps are 7 × 7 and not 3 × 3. To
# pay for the larger maps, the first two convolutions have half as many filters: there the maps are
# largest, and every filter costs most. The shape of the pictures comes from the data, so the model
# also takes digits and colour photographs.


# %%
def make_model(shape, classes, flip=True, shift=0, dropout=0.3) -> keras.Model:
    """Returns the classifier: (n, height, width, channels) → logits (n, classes)."""
    options = {"padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(shape),
            RandomFlipAndShift(flip, shift),
            layers.Conv2D(16, 3, name="conv_1", **options),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, name="conv_2", **options),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, name="conv_3", **options),
            layers.Flatten(),
            layers.Dropout(dropout),
            layers.Dense(64, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(classes),
        ],
        name="convolutional_network",
    )


# %% [markdown]
# ## Loss and loop
#
# The loss is the cross-entropy from logits of chapter 2. The step is the same four lines as ever,
# for nothing in them asks what the model is made of: forward, loss, gradient, update.

# %%
if __name__ == "__main__":
    print(inspect.getsource(make_train_step))

# %% [markdown]
# `model(x, training=True)` is what switches augmentation and dropout on. Left out, the loop would
# still run, and train without both.
#
# `fit` repeats this step inside a compiled function. Random layers make no difference to the
# comparison with `model.fit`: with the same seed both draw the same flips and drop the same units.


# %%
def compare_loops(examples=256, epochs=2) -> dict[str, float]:
    """Returns the largest differences between our loop and `model.fit`: losses and weights."""
    data = load_fashion().take(examples).train
    losses, weights = [], []
    for loop in ("tape", "fit"):
        keras.utils.set_random_seed(0)
        model = make_model(data.x.shape[1:], 10)
        loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        options = {"epochs": epochs, "batch_size": 60, "jit": "off", "progress": "none"}
        history = fit(
            model, data, loss_fn=loss_fn, optimizer=keras.optimizers.Adam(), loop=loop, **options
        )
        losses.append(history.history["loss"])
        weights.append(model.get_weights())
    difference = max(np.abs(a - b).max() for a, b in zip(*weights, strict=True))
    return {"loss": float(np.abs(np.subtract(*losses)).max()), "weights": float(difference)}


if __name__ == "__main__":
    print(compare_loops())

# %% [markdown]
# One thing is new: the learning rate is not constant. Large steps are good at the beginning, to get
# anywhere; small ones at the end, to settle. It falls along half a cosine from $\eta$ to zero: at
# step $t$ of $T$ it is $\frac{\eta}{2}\,(1 + \cos(\pi t / T))$.


# %%
def make_schedule(learning_rate, examples, batch_size, epochs):
    """Returns the learning rate by step: half a cosine from `learning_rate` to zero."""
    steps = epochs * -(-examples // batch_size)
    return keras.optimizers.schedules.CosineDecay(learning_rate, steps)


if __name__ == "__main__":
    schedule = make_schedule(0.002, 9000, 64, epochs=10)
    rates = [float(schedule(step)) for step in range(0, schedule.decay_steps, 20)]
    ax = plotting.plot_lines(
        {"cosine": rates},
        x=np.arange(0, schedule.decay_steps, 20),
        x_label="step",
        y_label="learning rate",
    )

# %% [markdown]
# ## Result
#
# `main` is the chapter as a program. Beside the scores it returns pictures: what the network makes
# of one test picture, the kernels that it has found, the confusion of its answers, and the test
# pictures that it gets wrong.


# %%
def plot_layers(model, picture):
    """Returns the Axes (layers, 8): the first eight feature maps of each convolution."""
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    looking = keras.Model(model.inputs[0], [layer.output for layer in convolutions])
    maps = looking(picture[np.newaxis], training=False)
    _, axes = plt.subplots(len(maps), 8, figsize=(6.6, 1.1 * len(maps)), layout="constrained")
    for row, layer, channels in zip(axes, convolutions, maps, strict=True):
        plotting.plot_feature_maps(channels[0, :, :, :8], axes=row)
        row[0].set_ylabel(layer.name)
    return axes


def plot_mistakes(splits, predicted, count=15):
    """Returns the Axes (count,) with the first wrong test pictures, or right ones if too few."""
    x, y = splits.test
    first = np.argsort(predicted == y, kind="stable")[:count]  # False before True
    return plotting.plot_images(x[first], y[first], predicted[first], classes=splits.classes)


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "bounds": {"dropout": [0, 0.999]},
    "minutes": 1,
}


def main(
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 0.002,
    dropout: float = 0.3,
    shift: int = 0,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a convolutional network on pictures of clothes, digits or things.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step
        learning_rate: of Adam at the first step; it falls to zero along half a cosine
        dropout: share of the units that are dropped before each dense layer
        shift: pictures are moved by up to so many pixels in training
        seed: of the first weights, the shuffling, the augmentation and the dropout
        dataset: fashion, or from TensorFlow Datasets mnist, fashion_mnist, cifar10
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)

    flip = dataset != "mnist"  # a digit in a mirror is not a digit
    shape = splits.train.x.shape[1:]
    model = make_model(shape, len(splits.classes), flip, shift, dropout)
    model.summary()
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    schedule = make_schedule(learning_rate, len(splits.train.x), batch_size, epochs)
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(schedule),
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
    predicted = predict(model, splits.test.x).argmax(axis=-1)
    figures = {
        "history": plotting.plot_history(history),
        "feature_maps": plot_layers(model, splits.test.x[0]),
        "kernels": plotting.plot_weights(model.get_layer("conv_1").kernel),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
        "mistakes": plot_mistakes(splits, predicted),
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
# Over five seeds the test accuracy was 0.895 ± 0.005, mean ± standard deviation.
#
# At first the network does better on the validation part than in training. That is no miracle: in
# training it works with a part of its units, on mirrored pictures; and the training scores are the
# mean over an epoch, in the course of which it still improved. Later training catches up.
#
# Here are the kernels of the first layer, each 3 × 3. Some have a light and a dark side: they are
# edge detectors like ours, at several angles. Nobody asked for them; the loss did.

# %%
if __name__ == "__main__":
    result.figures["kernels"][0].figure

# %% [markdown]
# One test picture on its way through the network: eight feature maps of each convolution. The first
# layer marks edges and even places, in full sharpness. Some of its maps have a bright frame: the
# frame of zeros is lighter than the black ground, so there is an edge. The last layer has 7 × 7
# places, and each of its maps is bright only where its pattern was found, whatever that is: nobody
# has named it. Some maps stay dark on this picture.

# %%
if __name__ == "__main__":
    x, y = result.splits.test
    plotting.plot_images(x[:1], y[:1], classes=result.splits.classes)

# %%
if __name__ == "__main__":
    result.figures["feature_maps"][0, 0].figure

# %% [markdown]
# ## What does it look at?
#
# Two questions can be put to a trained network, and a gradient answers both. The first: which
# places of this picture speak for the answer? The score of the answer has a gradient for every
# number of the last maps. Its mean over the places says how much a channel speaks for the answer.
# So the maps, weighted by these means and added up, show where. This is called *Grad-CAM*.


# %%
def where_it_looks(model, pictures):
    """Returns (n, rows, columns): how much each place of the last maps speaks for the answer."""
    maps = model.get_layer("conv_3").output
    looking = keras.Model(model.inputs[0], [maps, model.outputs[0]])
    with tf.GradientTape() as tape:
        maps, logits = looking(pictures, training=False)
        answers = tf.reduce_sum(tf.reduce_max(logits, axis=-1))
    weights = tf.reduce_mean(tape.gradient(answers, maps), axis=(1, 2), keepdims=True)
    return tf.nn.relu(tf.reduce_sum(weights * maps, axis=-1))  # only what speaks for it


def plot_where_it_looks(model, pictures):
    """Returns the Axes (2, n): pictures, and the places that speak for the network's answers."""
    heat = where_it_looks(model, pictures)
    _, axes = plt.subplots(2, len(heat), figsize=(6.6, 2.4), layout="constrained")
    plotting.plot_images(pictures, axes=axes[0])
    for ax, places in zip(axes[1], heat, strict=True):
        ax.imshow(places, cmap="viridis", interpolation="nearest")
        ax.set_axis_off()
    return axes


if __name__ == "__main__":
    plot_where_it_looks(result.model, result.splits.test.x[:8])

# %% [markdown]
# The pictures have 28 × 28 places and the last maps 7 × 7, so this is a rough answer: light is
# where the evidence lies.
#
# The second question: what would a filter like to see? Start with a faint noise, and change the
# picture, not the weights, in the direction of the gradient, so that one channel answers more and
# more. The picture is kept as long as at the beginning; otherwise it would only become brighter.


# %%
def what_it_likes(model, layer, filters=10, steps=60, rate=0.05):
    """Returns pictures (filters, height, width, channels) that excite the filters of a layer."""
    looking = keras.Model(model.inputs[0], model.get_layer(layer).output)
    shape = (1, *model.input_shape[1:])
    noise = tf.random.stateless_normal(shape, seed=(0, 0))
    pictures, length = tf.repeat(noise, filters, axis=0), tf.norm(noise)

    @tf.function(autograph=False)
    def step(pictures):
        with tf.GradientTape() as tape:
            tape.watch(pictures)
            maps = looking(pictures, training=False)  # (filters, rows, columns, channels)
            own = tf.linalg.diag_part(tf.reduce_mean(maps, axis=(1, 2))[:, :filters])
        pictures += rate * length * unit_length(tape.gradient(own, pictures))
        return length * unit_length(pictures)

    def unit_length(x):
        return x / tf.sqrt(tf.reduce_sum(x**2, axis=(1, 2, 3), keepdims=True) + 1e-12)

    for _ in range(steps):
        pictures = step(pictures)
    return pictures.numpy()


if __name__ == "__main__":
    plotting.plot_images(what_it_likes(result.model, "conv_3").clip(-2.5, 2.5))

# %% [markdown]
# Stripes at some angle, rows of spots, long edges: larger things than those of the first layer, and
# each channel has its own. Nothing here looks like a shirt; that takes the dense layers, which know
# where each pattern was found. A filter that answers to nothing keeps the noise.
#
# ## Where it errs
#
# Which classes does it confuse? A row of the table is a true class, a column an answer.

# %%
if __name__ == "__main__":
    result.figures["confusion"].figure

# %% [markdown]
# Shirts are the trouble, and what they are taken for is worn on the same part of the body. Shoes
# are seldom taken for anything but other shoes. Look at some of the mistakes; would you do better?

# %%
if __name__ == "__main__":
    result.figures["mistakes"][0].figure

# %% [markdown]
# ## What to try
#
# - `--shift 2`: does it help in as many epochs? In three times as many?
# - `--dropout 0`: watch the two curves of the loss part.
# - `--dataset mnist`, `--dataset cifar10`: the same network on digits, and on small colour
#   photographs. Where is a convolution of more use?
# - Shuffle the pixels of all pictures by one permutation. The dense network of chapter 2 learns as
#   well as before. This one?
# - Replace each pooling by a stride of 2 in the convolution before it. What becomes faster, what
#   becomes worse?
# - Call `compare_with_keras` with a kernel as large as the picture. Which layer of chapter 2 is it?
#
# ## What the articles got wrong here
#
# - "The formula of the CNN is $y = f(Wx + b)$". It is the formula of a dense layer. As the picture
#   of $W$ shows, a convolution is the special case in which most weights are zero and the others
#   are shared; the formula hides just that.
# - Another gives the formula of the true convolution, with $x_{i-u,\,j-v}$, for a layer that
#   computes the correlation. The results differ by a flip of the kernel.
# - A dense layer for $64 \cdot 6 \cdot 6$ values fits pictures of 24 × 24 only. With 32 × 32 pixels
#   and a reshape that chooses the number of rows, nine pictures become sixteen mixtures; with
#   28 × 28 the reshape fails, unless the number of pictures is a multiple of 36.
# - A softmax at the end of the network is right only with a loss that takes probabilities. A loss
#   with `from_logits=True` applies its own softmax again, as chapter 2 shows.

# %% [markdown]
# ## Exercises
#
# Six exercises go with this chapter. `kerasbook start DIR` copies their stubs, and the notebooks,
# into a folder; `kerasbook check` says which of your answers are right, and what to look at in the
# others.
#
# ## Where to go next
#
# Chapter 4 turns from space to time: the same weights at every word, where here they were the same
# at every place.
