# %% [markdown]
"""
# Chapter 3. Convolutional networks

Take all pictures of clothes, and shuffle their pixels in one and the same way. You would no longer
recognise a single shirt. The dense network of chapter 2 would not notice: it never knew which
pixels are neighbours. And what it has learned about a sleeve at the left tells it nothing about a
sleeve at the right. A convolutional network looks through a small window, and uses the same
weights wherever the window lies. Its two ideas are *near belongs together* and *everywhere alike*.

After this chapter you can

- slide a window over a picture by hand, and say how large the result is;
- let a network find the kernel that was used on a picture;
- compute a convolution and its gradients as matrix products;
- pool, augment, and say how far a unit sees;
- find out what a trained network looks at.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter3`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter3")

# %% tags=["hide-input"]
import dataclasses
from typing import Literal

from kerasbook import plotting
from kerasbook.contents import load_results
from kerasbook.data import Part, load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import (
    as_function,
    largest_difference,
    largest_differences,
    outputs_and_gradients,
)
from kerasbook.training import evaluate, fit, predict

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from matplotlib.patches import Rectangle

# %% [markdown]
# ## Does it matter which pixels are neighbours?
#
# The pictures are those of chapter 2. There each was flattened into a row; here it keeps its shape.
# `x` is (n, 28, 28, 1): the number of the picture, its rows, its columns, and its *channels*. Grey
# has one channel, colour has three. The values are standardised, so that their mean is 0 over the
# training part and the black background is a negative number.
#
# We shuffle the pixels, all pictures alike.


# %%
def shuffle_pixels(splits, seed=0):
    """Returns the splits with the pixels of all pictures (h, w, c) in one and the same disorder."""
    height, width, channels = splits.train.x.shape[1:]
    order = np.random.default_rng(seed).permutation(height * width)

    def shuffled(part):
        flat = part.x.reshape(len(part.x), height * width, channels)
        return Part(flat[:, order].reshape(part.x.shape), part.y)

    parts = {name: shuffled(getattr(splits, name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(splits, **parts)


# %% alt="Above five garments: a T-shirt, an ankle boot, a dress, a coat and another ankle boot. Below the same five with shuffled pixels: grey noise, in which nothing can be recognised."
if __name__ == "__main__":
    splits = load_fashion()
    disorder = shuffle_pixels(splits)
    both = np.concatenate([splits.train.x[5:10], disorder.train.x[5:10]])
    plotting.plot_images(both, np.tile(splits.train.y[5:10], 2), classes=splits.classes)

# %% [markdown]
# Two networks learn from 3,000 pictures. One is dense. The other has three layers of windows, which
# this chapter explains (a window looks at 3 × 3 pixels at a time, a pooling halves the picture);
# above them both are alike. Before you run it, guess: which of the two suffers from the disorder,
# and which is the better one then?


# %%
def dense_layers():
    """Returns the layers of a network that looks at all pixels at once."""
    return [layers.Flatten(), layers.Dense(128, "relu")]


def window_layers():
    """Returns the layers of a network that looks through small windows."""
    windows = [layers.Conv2D(f, 3, padding="same", activation="relu") for f in (16, 32, 64)]
    pools = [layers.MaxPooling2D() for _ in range(2)]
    return [windows[0], pools[0], windows[1], pools[1], windows[2], layers.Flatten()]


# %% tags=["hide-input"]
def train_small(kind, splits, seed=0, epochs=6):
    """Returns the validation accuracy of a network, "dense" or "convolutional"."""
    keras.utils.set_random_seed(seed)
    before = dense_layers() if kind == "dense" else window_layers()
    after = [layers.Dropout(0.3), layers.Dense(64, "relu"), layers.Dense(10)]
    model = keras.Sequential([keras.Input(splits.train.x.shape[1:]), *before, *after])
    schedule = make_schedule(0.002, len(splits.train.x), 64, epochs)
    fit(
        model,
        splits.train,
        loss_fn=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(schedule),
        epochs=epochs,
        batch_size=64,
        seed=seed,
        progress="none",
    )
    return np.mean(predict(model, splits.validation.x).argmax(axis=1) == splits.validation.y)


def make_schedule(learning_rate, examples, batch_size, epochs):
    """Returns the learning rate by step: half a cosine from `learning_rate` to zero."""
    steps = epochs * -(-examples // batch_size)
    return keras.optimizers.schedules.CosineDecay(learning_rate, steps)


# %%
if __name__ == "__main__":
    for kind in ("dense", "convolutional"):
        straight, mixed = (train_small(kind, data.take(3000)) for data in (splits, disorder))
        print(f"{kind:14} pixels in their places {straight:.3f}, shuffled {mixed:.3f}")

# %% [markdown]
# One run may deceive. Here is the mean of five, and in brackets its *standard error*: about how
# much such a mean would move with five other seeds.

# %%
if __name__ == "__main__":
    for name, score in load_results()["measurements"]["chapter3"]["shuffled pixels"].items():
        name = name.replace("straight", "pixels in place")
        print(f"{name:30} {score['mean']:.3f} ({score['error']:.3f})")

# %% [markdown]
# To the dense network the disorder is nothing: any pixel may be pixel 17. The convolutional one
# lives on neighbours, and without them it is no better than the other. So what does it do with
# them?
#
# ## A window slides over the picture
#
# Take a small table of weights, the *kernel*. Lay it on the top left corner of the picture,
# multiply each weight by the pixel under it, and add up. That is one number of the output. Move one
# pixel to the right, and do it again; at the end of the row, go one pixel down. The ∗ stands for
# this sliding. Here the window is at its second place.

# %% tags=["cover"] alt="A picture of 5 by 5 numbers, in which 3 by 3 are marked as the window; a kernel of 3 by 3 weights, minus one and minus two at its left, one and two at its right; an output of 3 by 3 numbers, in which the 10 in the middle of the first row is marked; below the sum that gives 10."
if __name__ == "__main__":
    small = [[0, 0, 1, 3, 3], [0, 1, 3, 3, 3], [0, 0, 1, 3, 3], [0, 0, 0, 1, 3], [0, 0, 0, 0, 1]]
    edge = [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    plotting.plot_window(small, edge, place=(0, 1))

# %% [markdown]
# Compute one more number of the output before you read on. The kernel is a question about a small
# place; this one asks whether it is brighter at the right than at the left. Where all is even the
# answer is 0.
#
# Five pixels hold three windows of three. There are two ways to change that. The *stride* is how
# far the window moves; with 2 every second place is left out. And the picture may first get a frame
# of zeros, the *padding*. Without one it is called `"valid"`; with `"same"` the frame is so wide
# that a stride of 1 keeps the size. Below, a dot is the middle of the window at each of its places,
# and the first two places are framed.

# %% alt="Four grids of 5 by 5 pixels. Without a frame of zeros a window of 3 by 3 has 3 by 3 places, with one 5 by 5; with a stride of 2 it has 2 by 2 places and 3 by 3."
if __name__ == "__main__":
    cases = {'"valid", stride 1': (0, 1), '"same", stride 1': (1, 1)}  # zeros, stride
    cases |= {'"valid", stride 2': (0, 2), '"same", stride 2': (1, 2)}
    plotting.plot_places(5, 3, cases)

# %% [markdown]
# In general, on $h$ pixels, with a window of $k$ and a stride of $s$, the number of places is (⌊ ⌋
# means rounded down, ⌈ ⌉ rounded up)
#
# $$\text{valid: } \left\lfloor \frac{h - k}{s} \right\rfloor + 1,
# \qquad \text{same: } \left\lceil \frac{h}{s} \right\rceil .$$


# %%
def output_size(size, kernel_size, stride=1, padding="valid"):
    """Returns how many places a window of `kernel_size` pixels takes on `size` pixels."""
    if padding == "same":
        return -(-size // stride)  # size / stride, rounded up
    return (size - kernel_size) // stride + 1


# %%
def padding_widths(size, kernel_size, stride=1, padding="valid"):
    """Returns the zeros to add (before, after) the `size` pixels."""
    if padding == "valid":
        return 0, 0
    places = output_size(size, kernel_size, stride, padding)
    total = max((places - 1) * stride + kernel_size - size, 0)
    return total // 2, total - total // 2  # an odd zero goes to the end


# %%
if __name__ == "__main__":
    for size, stride in ((28, 1), (28, 2), (27, 2)):
        widths = padding_widths(size, 3, stride, "same")
        places = output_size(size, 3, stride, "same")
        print(f"{size} pixels, window 3, stride {stride}: zeros {widths}, {places} places")

# %% [markdown]
# In the second row only one zero is needed, so the two sides cannot get the same. TensorFlow puts
# it at the bottom and at the right. PyTorch's `padding=1` puts a zero on every side, whatever the
# stride. So with a stride of 2 and an even number of pixels the windows of the two lie on different
# pixels, and weights carried over from one to the other give other results, without a word. With an
# odd number they agree.
#
# The frame has another use. With `"valid"`, a pixel in the corner lies in one window, one on the
# edge in up to three, one in the middle in nine: what happens at the border is seen less often.
# With `"same"` they are four, six and nine.
#
# ## Several channels, several filters
#
# A picture with two channels needs a kernel with two tables, one for each. Each table is laid on
# its own channel; the two sums are added, and that is *one* number of the output.

# %% alt="Two rows of numbers. In each a channel of the picture, 3 by 3, its own table of the kernel, 2 by 2, and the sums that they give; the sums of both rows are added to one output of 2 by 2, in which the 9 of the marked place is 8 + 1."
if __name__ == "__main__":
    colours = np.stack([[[1, 2, 0], [0, 1, 3], [2, 0, 1]], [[0, 1, 1], [2, 0, 1], [1, 3, 0]]], -1)
    two_tables = np.stack([[[1, 0], [0, 2]], [[0, 1], [-1, 0]]], axis=-1)
    plotting.plot_window(colours, two_tables, place=(0, 1))

# %% [markdown]
# A second kernel, again of two tables, makes a second output. In full, with input channels $c$ and
# kernels $f$ (also called *filters*),
#
# $$z_{i,j,f} = b_f + \sum_{u=0}^{k_h-1}\ \sum_{v=0}^{k_w-1}\ \sum_{c}
#   x_{si+u,\; sj+v,\; c}\; w_{u,v,c,f} .$$
#
# For $n$ pictures at once `x` is (n, height, width, channels), each in its frame. The kernel `w` is
# (kh, kw, channels, filters), the bias `b` (filters,), and the output `z` (n, rows, columns,
# filters): one picture per filter, called a *feature map*.


# %%
def pad(x, kernel, strides, padding):
    """Returns x (n, height, width, channels) in its frame of zeros."""
    _, height, width, _ = x.shape
    rows = padding_widths(height, kernel.shape[0], strides, padding)
    columns = padding_widths(width, kernel.shape[1], strides, padding)
    return tf.pad(x, [(0, 0), rows, columns, (0, 0)])


# %% [markdown]
# The loop runs over pictures $n$, rows $i$, columns $j$ and filters $f$. The three sums of the
# formula are the `np.sum` of its last line.


# %%
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
# On a T-shirt: the kernel above, and the same one lying on its side, which asks whether it is
# brighter below than above.


# %%
VERTICAL = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], "float32")
EDGES = np.stack([VERTICAL, VERTICAL.T], axis=-1)[:, :, np.newaxis]  # (3, 3, 1, 2)


def plot_edges(picture):
    """Returns the Axes: a picture (28, 28, 1) and where its edges are."""
    _, axes = plt.subplots(1, 3, figsize=(6.6, 2.2), layout="constrained")
    maps = correlate(picture[np.newaxis], EDGES, np.zeros(2, "float32"))[0]
    plotting.plot_images(picture[np.newaxis], ["the picture"], axes=axes[0])
    titles = ["brighter at the right", "brighter below"]
    plotting.plot_feature_maps(maps, titles=titles, axes=axes[1:])
    for ax in axes[1:]:
        ax.set(xlim=(-1.5, 26.5), ylim=(26.5, -1.5))  # smaller than the picture, by two pixels
    return axes


# %% alt="A T-shirt and two feature maps. In the first, the left edges of the shirt are bright and its right edges dark; in the second, the shoulders are bright and the lower edges dark."
if __name__ == "__main__":
    plot_edges(splits.train.x[5])

# %% [markdown]
# Where the picture is even the answer is near zero. At an edge it is large, positive on one side of
# the shirt and negative on the other.
#
# *Exercises: `window_sum` (five minutes) computes one number of the output; `output_shape` (five
# minutes) the shape of all; `dilated_convolution` slides a window with holes.*
#
# ## Can the kernel be found?
#
# These weights were chosen by hand. Suppose you only had the picture and its edges, and not the
# kernel. Could descent find it? Nine weights begin at random; the loss is the squared difference
# between their output and the edges.

# %%
if __name__ == "__main__":
    picture = splits.train.x[5:6]
    edges = correlate(picture, EDGES[..., :1], np.zeros(1, "float32"))
    layer = layers.Conv2D(1, 3, use_bias=False)
    optimizer = keras.optimizers.Adam(0.05)
    for step in range(301):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((layer(picture) - edges) ** 2)
        optimizer.apply(tape.gradient(loss, [layer.kernel]), [layer.kernel])
        if step % 100 == 0:
            print(f"step {step:3}, loss {loss:.5f}")

# %%
if __name__ == "__main__":
    print(layer.kernel.numpy()[:, :, 0, 0].round(2))

# %% [markdown]
# There it is, from one picture, to within a few hundredths. That is all that a convolutional layer
# does in training. Nobody will give it the edges, though: what its output should be, the layers
# above tell it, through the gradient.
#
# *Exercise: `train_finder`, a network that finds a figure wherever it stands.*
#
# ## Convolution or correlation?
#
# What we have computed, and what every deep-learning library calls a convolution, is in mathematics
# a *cross-correlation*. In a true convolution the kernel is turned by half a circle, that is,
# flipped in both directions: the sum has $x_{i-u,\,j-v}$ in place of $x_{i+u,\,j+v}$. What will
# each of them make of one bright pixel on a dark ground?


# %%
def convolve(x, kernel, bias, strides=1, padding="valid"):
    """Returns the true convolution: the correlation with the kernel flipped in both directions."""
    return correlate(x, kernel[::-1, ::-1], bias, strides, padding)


# %%
if __name__ == "__main__":
    one_pixel = np.zeros((1, 5, 5, 1))
    one_pixel[0, 2, 2, 0] = 1
    numbers = np.arange(1.0, 10).reshape(3, 3, 1, 1)
    print("kernel\n", numbers[:, :, 0, 0])
    print("convolution\n", convolve(one_pixel, numbers, [0])[0, :, :, 0])
    print("correlation\n", correlate(one_pixel, numbers, [0])[0, :, :, 0])

# %% [markdown]
# Wherever the window meets the pixel, the output is the weight that lies on it. Convolution copies
# the kernel; correlation writes it backwards.
#
# For a layer that learns its kernel nothing depends on this: it would learn the flipped weights and
# give the same outputs. It matters where weights or a formula are carried from one side to the
# other. We say convolution, as everybody does, and compute the correlation.
#
# ## One matrix product
#
# Four loops in Python are slow, and what a computer does best is matrix products. Can the layer be
# one? Write the contents of every window in a row, a *patch*. Here are the four windows of a
# picture of 4 × 4.


# %%
def patches(x, high, wide, strides=1):
    """Returns the windows of x: (n, rows, columns, high · wide, channels)."""
    rows = output_size(x.shape[1], high, strides)
    columns = output_size(x.shape[2], wide, strides)
    down, right = strides * rows, strides * columns  # how far a piece reaches
    places = [
        x[:, u : u + down : strides, v : v + right : strides]  # (n, rows, columns, channels)
        for u in range(high)
        for v in range(wide)
    ]
    return tf.stack(places, axis=3)


# %%
if __name__ == "__main__":
    square = np.arange(16).reshape(1, 4, 4, 1)
    print(square[0, :, :, 0])
    print("its four windows, one in a row:")
    print(patches(square, 3, 3).numpy().reshape(4, 9))

# %% [markdown]
# Read it by columns. The first column, 0 1 4 5, holds what lies under the first weight at each
# place of the window. It is a piece of the picture itself, its top left; the second column is the
# piece one further right. So `patches` cuts no windows at all: it cuts one piece per place of the
# kernel, and puts the pieces side by side. The kernel, flattened in the same order, is a matrix
# with a column per filter, and the layer is one product.


# %%
def conv2d(x, kernel, bias, strides=1, padding="valid"):
    """Returns z (n, rows, columns, filters), as `correlate` does, by one matrix product."""
    high, wide, channels, filters = kernel.shape
    windows = patches(pad(x, kernel, strides, padding), high, wide, strides)
    _, rows, columns, _, _ = windows.shape
    size = high * wide * channels
    windows = tf.reshape(windows, (-1, rows * columns, size))  # (n, places, size)
    z = windows @ tf.reshape(kernel, (size, filters)) + bias  # (n, places, filters)
    return tf.reshape(z, (-1, rows, columns, filters))


# %% [markdown]
# The price is memory: with a 3 × 3 kernel a pixel is stored up to nine times. Libraries avoid most
# of the copies, and for some sizes they take another way altogether, as Winograd's or a Fourier
# transform. The result is the same but for rounding.
#
# Is ours the same as the loops, and as Keras' layer? `conv2d` uses TensorFlow's operations, so a
# tape gives its gradients, and they are compared too.


# %% tags=["hide-input"]
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
    x, kernel = random.normal(size=(2, 7, 10, 3)), random.normal(size=(2, 5, 3, 4))
    for strides, padding in ((1, "valid"), (1, "same"), (2, "valid"), (2, "same"), (3, "same")):
        worst = max(compare_with_keras(x, kernel, np.ones(4), strides, padding).values())
        print(f"stride {strides}, {padding:5}: largest difference {worst:.0e}")

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
# Outside its rows and columns $g$ counts as zero, so the code frames it. Both are convolutions
# again. The first slides `g` over the picture, and sums over the pictures as it would over
# channels. The second has minus signs: here, on the way back, is the true convolution, with the
# flipped kernel.


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


# %%
if __name__ == "__main__":
    z, *by_tape = outputs_and_gradients(conv2d, x, kernel, np.ones(4))
    by_hand = conv2d_gradients(x, kernel, z)  # the loss is Σ z² / 2, so its gradient for z is z
    print(f"three gradients: largest difference {largest_difference(by_hand, by_tape):.0e}")

# %% [markdown]
# ## A dense layer with tied weights
#
# Without its bias a convolution is linear. So some matrix $W$ does the same to the flattened
# picture, as a dense layer does: it has a row for each pixel and a column for each output, which
# holds what this output takes from every pixel. We find it by asking the layer what it makes of
# pictures in which a single pixel is 1. Guess how many numbers of $W$ are not zero, for a picture
# of 4 × 5.


# %%
def dense_matrix(kernel, height, width):
    """Returns W (height · width · channels, outputs): flat pictures @ W is the convolution."""
    inputs = height * width * kernel.shape[2]
    pictures = tf.reshape(tf.eye(inputs, dtype=kernel.dtype), (inputs, height, width, -1))
    return tf.reshape(conv2d(pictures, kernel, 0.0), (inputs, -1))


# %% alt="Six tables of 4 by 5 numbers, a column of W each. In every one the same block of 3 by 3 weights, 1 to 9, stands at another place; all around it is zero."
if __name__ == "__main__":
    matrix = dense_matrix(numbers, 4, 5)
    print(f"{matrix.shape}: {matrix.numpy().size} numbers, {np.count_nonzero(matrix)} not zero,")
    print(f"{len(np.unique(matrix)) - 1} different ones. The columns for the six outputs:")
    columns = matrix.numpy().T.reshape(6, 4, 5)
    plotting.plot_numbers(columns, [f"output {k}" for k in range(6)])

# %% [markdown]
# Each column is drawn here on the 4 × 5 pixels of the picture. Six outputs with nine weights each
# make the 54. All hold the same nine weights, moved; the rest is zero. So a convolution is a dense
# layer in which most weights are fixed at zero (*near belongs together*) and the others are tied to
# each other (*everywhere alike*). How much does that save?


# %%
def conv_parameters(kernel_size, channels, filters):
    """Returns the number of weights of a convolution: a kernel and a bias for each filter."""
    return (kernel_size * kernel_size * channels + 1) * filters


def dense_parameters(inputs, units):
    """Returns the number of weights of a dense layer."""
    return (inputs + 1) * units


# %%
if __name__ == "__main__":
    print(f"convolution, 3 × 3, 32 filters: {conv_parameters(3, 1, 32):12,} weights")
    print(f"dense layer of the same output: {dense_parameters(28 * 28, 26 * 26 * 32):12,} weights")

# %% [markdown]
# The dense layer has more than fifty thousand times as many weights, for an output of the same
# size.
#
# Because the weights are the same everywhere, a picture that moves gives an output that moves, and
# otherwise stays as it was. This is called *equivariance to shifts*. To see it, we put the garment
# on a larger ground, so that nothing falls off the edge, and move it two pixels to the right.

# %%
if __name__ == "__main__":
    ground = float(splits.train.x.min())
    x = tf.pad(splits.train.x[:1], [(0, 0), (4, 4), (4, 4), (0, 0)], constant_values=ground)
    edges = conv2d(x, EDGES, 0.0)
    moved = conv2d(tf.roll(x, 2, axis=2), EDGES, 0.0)
    difference = np.abs(moved - tf.roll(edges, 2, axis=2)).max()
    print(f"move, then convolve − convolve, then move: {difference}")

# %% [markdown]
# *Exercise: `SeparableConvolution` saves more weights still.*
#
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
# On the way back the gradient of a maximum goes to the winner alone. The losers could change a
# little and nothing would happen. When several values tie, the first of them wins, in Keras' layer
# and in ours (`tf.reduce_max` would share the gradient among them). The loss here is again half the
# sum of squares, so the gradient that arrives at an output is the output itself.

# %%
if __name__ == "__main__":
    x = np.array([[1.0, 3, 5, 5], [2, 4, 0, 5]]).reshape(1, 2, 4, 1)
    for pool in (max_pool, average_pool):
        outputs, slopes = outputs_and_gradients(pool, x)
        print(f"{pool.__name__}: outputs {outputs.numpy().ravel()}, gradient")
        print(slopes.numpy()[0, :, :, 0])


# %% tags=["hide-input"]
def compare_pooling(x, size=2) -> dict[str, float]:
    """Returns the largest differences to Keras' pooling layers: outputs and gradients."""
    differences = {}
    for ours, theirs in ((max_pool, layers.MaxPooling2D), (average_pool, layers.AveragePooling2D)):
        expected = outputs_and_gradients(theirs(size, dtype=x.dtype), x)
        found = outputs_and_gradients(lambda x, pool=ours: pool(x, size), x)
        for name, a, b in zip(("outputs", "gradient"), found, expected, strict=True):
            differences[f"{ours.__name__} {name}"] = float(np.abs(a - b).max())
    return differences


# %%
if __name__ == "__main__":
    x = random.integers(1, 4, size=(2, 7, 9, 3)).astype("float64")  # many ties
    worst = max(compare_pooling(x).values())
    print(f"both kinds, outputs and gradients: largest difference to Keras' layers {worst}")

# %% [markdown]
# Pooling is where equivariance ends, away from the border. A shift by two pixels becomes a shift by
# one; a shift by one pixel has no exact counterpart.

# %%
if __name__ == "__main__":
    pooled = max_pool(edges)
    for step in (1, 2):
        moved = max_pool(tf.roll(edges, step, axis=2))
        nearest = min(np.abs(moved - tf.roll(pooled, k, axis=2)).max() for k in (0, 1))
        print(f"moved by {step}: largest difference to a shift of the pooled map {nearest:.3f}")
    print(f"largest value of the pooled map {np.abs(pooled).max():.3f}")

# %% [markdown]
# What is won for it: a feature that moves by a pixel and stays in its window gives the same output.
# That is a little *invariance*, and the class should not depend on the place at all.
#
# *Exercises: `global_pools` (five minutes) pools whole maps; `max_pool_gradient` has windows that
# share pixels.*
#
# ## More pictures from those we have
#
# 9,000 pictures are few. A shirt in a mirror is still a shirt, and so is one that stands a little
# further left. *Augmentation* shows the network such changed copies, new ones in every epoch, so
# that it is harder to memorise single pictures. Which changes are harmless depends on the data: a
# digit in a mirror is not a digit. (Nearly all shoes here point to the left; a network that knows
# mirrored ones knows more than the test asks.)


# %%
def flip_some(x, chosen):
    """Returns x (n, height, width, channels), mirrored left to right where chosen (n,) is true."""
    return tf.where(chosen[:, np.newaxis, np.newaxis, np.newaxis], x[:, :, ::-1], x)


def shift_each(x, down, right):
    """Returns x with picture k moved by down[k], right[k] pixels; its border is drawn out."""
    rows = tf.clip_by_value(tf.range(x.shape[1]) - down[:, np.newaxis], 0, x.shape[1] - 1)
    columns = tf.clip_by_value(tf.range(x.shape[2]) - right[:, np.newaxis], 0, x.shape[2] - 1)
    x = tf.gather(x, rows, axis=1, batch_dims=1)  # picture k takes its own rows
    return tf.gather(x, columns, axis=2, batch_dims=1)


# %% [markdown]
# As a layer it belongs to the model, runs wherever the model runs, and only in training. Its random
# numbers come from a `SeedGenerator`, whose state is part of the model: the same seed gives the
# same pictures, in our loop and in `model.fit`.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")  # found when a model is loaded
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


# %% alt="The same sandal ten times: mirrored in some copies, and moved by a pixel or two in all directions."
if __name__ == "__main__":
    copies = np.repeat(splits.train.x[571:572], 10, axis=0)
    plotting.plot_images(RandomFlipAndShift(shift=2, seed=0)(copies, training=True))


# %% [markdown]
# *Exercise, of the next page: `cut_out`.*
#
# ## The network
#
# A convolutional network alternates: convolution, activation, pooling. On the way the maps get
# smaller and more, until the last are flattened into a row for dense layers, which decide. Ours has
# three convolutions. The first has the fewest filters, because there the maps are largest: each
# takes sixteen times the memory of one of the last, and the next layer has to read it. Dropout,
# which we know from chapter 2, stands before each dense layer. The augmentation mirrors half of the
# pictures and moves none (`--shift 2` would).


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


# %% alt="The network from left to right: the picture, a stack of sixteen maps as large as the picture, pooled to half the side, 32 maps, pooled again, 64 maps of 7 by 7; then bars of 3136 and 64 units and of ten classes."
if __name__ == "__main__":
    model = make_model((28, 28, 1), 10)
    names = {"Conv2D": "conv", "MaxPooling2D": "pool", "Flatten": "flatten", "Dense": "dense"}
    drawn = {layer: names.get(layer.__class__.__name__) for layer in model.layers}
    drawn = {layer: name for layer, name in drawn.items() if name}
    shapes = [(28, 28, 1), *(layer.output.shape[1:] for layer in drawn)]
    plotting.plot_network(shapes, list(drawn.values()))

# %% [markdown]
# Where do its weights sit? Our two formulas must give what Keras counts. Guess first which layer
# has the most.


# %%
def count_parameters(layer) -> int:
    """Returns the number of weights of a layer by our formulas, for square kernels."""
    if isinstance(layer, layers.Conv2D):
        return conv_parameters(layer.kernel_size[0], layer.input.shape[-1], layer.filters)
    if isinstance(layer, layers.Dense):
        return dense_parameters(layer.input.shape[-1], layer.units)
    return 0


# %%
if __name__ == "__main__":
    for layer in model.layers:
        shape, count = str(layer.output.shape), count_parameters(layer)
        print(f"{layer.__class__.__name__:18} {shape:22} {count:8,} weights")
    print(f"Keras counts {model.count_params():,}, we {sum(map(count_parameters, model.layers)):,}")

# %% [markdown]
# Nine in ten weights are in the first dense layer. Most of the work is in the convolutions, whose
# few weights are used at every place.
#
# *Exercise: `train_finder` again.*
#
# ## A flatten that mixes up the pictures
#
# `Flatten` is a line that is often written by hand, and now and then it goes wrong without a word.
# For 64 maps of 6 × 6 somebody writes `reshape(maps, (-1, 64 * 6 * 6))`, where −1 means: as many
# rows as come out. That fits pictures of 24 to 27 pixels, pooled twice. Now come pictures of 32 ×
# 32, whose maps are 8 × 8. To see what happens, let each map hold only the number of its picture.


# %%
def flatten_wrongly(maps):
    """Returns the maps (n, 8, 8, 64) in rows of 2304 values: no longer one row per picture."""
    return tf.reshape(maps, (-1, 64 * 6 * 6))


# %%
if __name__ == "__main__":
    maps = tf.ones((9, 8, 8, 64)) * tf.reshape(tf.range(9.0), (9, 1, 1, 1))
    for name, flatten in (("by hand", flatten_wrongly), ("Flatten", layers.Flatten())):
        rows = flatten(maps)
        held = [np.unique(row).astype(int).tolist() for row in rows[:5]]
        print(f"{name}: {len(maps)} pictures became {len(rows)} rows; they hold {held} …")

# %% [markdown]
# Nine pictures go in and sixteen predictions come out, each for a piece of a picture or for pieces
# of two. (With 8 or 32 pictures the numbers do not fill the rows, which is an error; every multiple
# of nine is silent.) A loss would notice that there are nine labels; a program that only predicts
# would not. So never let a reshape choose the number of examples: `layers.Flatten` keeps the first
# axis and works out the length of the row.
#
# ## How far does it see?
#
# Call one number of a feature map a unit. One of the first convolution sees 3 × 3 pixels. How many
# does one of the third see? We ask the gradient: only pixels that act on the unit have one. (A ReLU
# that is off and the losers of a pooling hide some, so we take two hundred pictures of noise, and
# every pixel that acts in any of them.)


# %%
def field_of_view(model, layer, place):
    """Returns the first and last row, first and last column of the pixels that a unit sees.

    place: row and column of the unit in the layer's feature maps.
    """
    looking = keras.Model(model.inputs[0], model.get_layer(layer).output)
    noise = tf.random.stateless_normal((200, *model.input_shape[1:]), seed=(0, 0))
    with tf.GradientTape() as tape:
        tape.watch(noise)
        unit = tf.reduce_sum(looking(noise, training=False)[:, place[0], place[1]])
    seen = np.any(tape.gradient(unit, noise) != 0, axis=(0, 3))
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    return rows[0], rows[-1], columns[0], columns[-1]


# %% tags=["hide-input"]
def plot_fields(model, picture, places):
    """Returns the Axes: a picture, and a frame around what one unit of each layer sees."""
    ax = plt.figure(figsize=(3.4, 3.4), layout="constrained").add_subplot()
    ax.imshow(picture[..., 0], cmap="gray")
    looks = (("#56b4e9", "-"), ("#e69f00", "--"), ("#f0e442", ":"))
    for (layer, place), (colour, style) in zip(places.items(), looks, strict=True):
        top, bottom, left, right = field_of_view(model, layer, place)
        size = right - left + 1, bottom - top + 1
        corner = left - 0.5, top - 0.5
        frame = {"fill": False, "edgecolor": colour, "linestyle": style, "linewidth": 2.5}
        ax.add_patch(Rectangle(corner, *size, fill=False, edgecolor="black", linewidth=4.5))
        ax.add_patch(Rectangle(corner, *size, **frame, label=layer))
        print(f"{layer}: {size[1]} × {size[0]} pixels")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3, frameon=False, fontsize=9)
    ax.set_axis_off()
    return ax


# %% alt="A garment with three frames, one inside the other, around what a unit in the middle of each convolution sees: three, eight and eighteen pixels wide."
if __name__ == "__main__":
    plot_fields(model, splits.train.x[6], {"conv_1": (13, 13), "conv_2": (6, 6), "conv_3": (3, 3)})

# %% [markdown]
# This is called the *receptive field*. It grows faster from layer to layer, because after a pooling
# two neighbours are twice as far apart. A window of three adds two such distances, a pooling one.
#
# | layer | distance of what it reads | pixels that a unit sees |
# |---|---|---|
# | `conv_1` | 1 | $1 + 2 \cdot 1 = 3$ |
# | pooling | 1 | $3 + 1 = 4$ |
# | `conv_2` | 2 | $4 + 2 \cdot 2 = 8$ |
# | pooling | 2 | $8 + 2 = 10$ |
# | `conv_3` | 4 | $10 + 2 \cdot 4 = 18$ |
#
# A unit in the middle of the last convolution sees 18 of the 28 rows and columns of a garment, and
# the dense layers see all of it.
#
# *Exercise: `receptive_fields`, for any stride and for windows with holes.*
#
# ## Training
#
# The loss is the cross-entropy from logits of chapter 2, the optimiser Adam. One thing is new: the
# learning rate is not constant. Large steps are good at the beginning, to get anywhere; small ones
# at the end, to settle. It falls along half a cosine from $\eta$ to zero: at step $t$ of $T$ it is
# $\frac{\eta}{2}\,(1 + \cos(\pi t / T))$. (Keras has it as `CosineDecay`; `make_schedule` at the
# top of this page counts the steps.)


# %% tags=["hide-input"]
def plot_schedule(schedule, steps):
    """Returns the Axes: the learning rate at each of so many steps."""
    _, ax = plt.subplots(figsize=(6.6, 2.2), layout="constrained")
    plotting.plot_lines({}, x_label="step", y_label="learning rate", ax=ax)
    ax.plot([float(schedule(step)) for step in range(steps)])
    return ax


# %% alt="The learning rate over 1,410 steps: level at first, falling steeply in the middle, and level again towards zero."
if __name__ == "__main__":
    plot_schedule(make_schedule(0.002, 9000, 64, epochs=10), steps=1410)

# %% [markdown]
# `fit` repeats the step of chapter 2. `model(x, training=True)` in it is what switches augmentation
# and dropout on; left out, the loop would still run, and train without both. With the same seed our
# loop and `model.fit` draw the same flips, drop the same units, and end with the same weights:


# %% tags=["hide-input"]
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


# %% tags=["hide-input"]
if __name__ == "__main__":
    for name, difference in compare_loops().items():
        print(f"{name:7} after two epochs: largest difference to model.fit {difference:.0e}")

# %% [markdown]
# ## Result
#
# `main` is the chapter as a program. Beside the scores it returns pictures, which follow one by
# one.


# %% tags=["hide-input"]
def plot_layers(model, picture, count=4):
    """Returns the Axes (layers, count): a picture, and the first maps of each convolution."""
    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    looking = keras.Model(model.inputs[0], [layer.output for layer in convolutions])
    maps = looking(picture[np.newaxis], training=False)
    size = 6.6, 1.45 * len(maps)
    _, axes = plt.subplots(len(maps), count + 1, figsize=size, layout="constrained")
    plotting.plot_images(picture[np.newaxis], ["the picture"], axes=axes[0, 0])
    for row, layer, channels in zip(axes, convolutions, maps, strict=True):
        plotting.plot_feature_maps(channels[0, :, :, :count], axes=row[1:])
        row[1].set_ylabel(layer.name)
    for ax in axes[1:, 0]:
        ax.remove()
    return axes[:, 1:]


def plot_kernels(kernel):
    """Returns the Axes (filters,): the kernels (3, 3, channels, filters) of the first layer."""
    filters = kernel.shape[-1]
    _, axes = plt.subplots(2, filters // 2, figsize=(6.6, 2.0), layout="constrained")
    titles = [str(number) for number in range(filters)]
    return plotting.plot_weights(kernel, titles=titles, axes=axes.ravel())


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
        "kernels": plot_kernels(model.get_layer("conv_1").kernel),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
        "mistakes": plot_mistakes(splits, predicted),
    }
    return Result(splits, model, history, scores, figures)


# %% alt="Two panels over ten epochs, loss and accuracy, training solid and validation dashed: validation is better, most of all at first; at the end training has come close."
if __name__ == "__main__":
    result = main()
    for name in ("feature_maps", "kernels", "confusion", "mistakes"):
        plt.close(np.ravel(result.figures[name])[0].figure)  # the others follow one by one

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# Over five seeds the test accuracy was 0.895 ± 0.005, mean ± standard deviation (the spread of the
# seeds, about twice the standard error of their mean). The dense network of chapter 2 had 0.863.
#
# At first the network does better on the validation part than in training. That is no miracle: in
# training it works with a part of its units, on mirrored pictures; and the training scores are the
# mean over an epoch, in the course of which it still improved. Later training comes close.
#
# Here are the kernels of the first layer, each 3 × 3. Some have a light and a dark side, as 6 and
# 14: they are edge detectors like ours, at several angles. Nobody asked for them; the loss did.

# %% alt="Sixteen kernels of 3 by 3 weights. Some are light on one side and dark on the other, upright, level or slanting; one, number 8, is dark all over."
if __name__ == "__main__":
    result.figures["kernels"][0].figure

# %% [markdown]
# One test picture on its way through the network: four feature maps of each convolution. (Their
# numbers count filters; the same number in two rows means nothing.)

# %% alt="Three rows of four feature maps of one test picture, 28, 14 and 7 places wide. In the first row one sees the garment with its edges or its surface marked; in the last only a few bright places."
if __name__ == "__main__":
    result.figures["feature_maps"][0, 0].figure

# %% [markdown]
# The first layer marks edges and even places, in full sharpness. At the border some maps are
# lighter or darker than the ground beside it: the frame of zeros is lighter than the black ground,
# so there is an edge. The last layer has 7 × 7 places, and each of its maps is bright only where
# its pattern was found.
#
# ## What does it look at?
#
# Which places of a picture speak for the answer? The answer's logit has a gradient for every number
# of the last maps. For each channel we take the mean of this gradient over the places: one number,
# how much the channel speaks for the answer. Multiply each map by its number, add the maps up, and
# leave out what is negative, because it speaks against. This is *Grad-CAM* (Selvaraju and others,
# 2017).


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


# %%
def plot_where_it_looks(model, pictures, titles):
    """Returns the Axes (n,): pictures, and over each what speaks for the network's answer."""
    _, axes = plt.subplots(1, len(pictures), figsize=(6.6, 2.2), layout="constrained")
    plotting.plot_images(pictures, titles, axes=axes)
    heat = where_it_looks(model, pictures)[..., tf.newaxis]
    heat = tf.image.resize(heat, pictures.shape[1:3])[..., 0].numpy()  # as large as the picture
    for ax, places in zip(axes, heat, strict=True):
        strength, orange = places / (places.max() or 1.0), {"cmap": "autumn", "vmin": 0, "vmax": 2}
        ax.imshow(np.ones_like(strength), **orange, alpha=0.8 * strength)
        if strength.any():  # a line where it is half as strong as at its strongest
            ax.contour(strength, levels=[0.5], colors="white")
    return axes


# %% alt="Four test pictures, a trouser, a sandal, a bag and an ankle boot, each with orange laid over the places that speak for the answer, and a white line around the strongest of them."
if __name__ == "__main__":
    x, y = splits.test
    logits = predict(result.model, x)
    answers = logits.argmax(axis=1)
    chosen = [logits[:, kind].argmax() for kind in (1, 5, 8, 9)]  # of each kind the surest
    titles = [splits.classes[answers[number]] for number in chosen]
    plot_where_it_looks(result.model, x[chosen], titles)

# %% [markdown]
# Along the white lines the evidence is half as strong as at its strongest place. Some of it lies
# beside the garment: where nothing is may tell as much as where something is. The answer is a rough
# one. The last maps have 7 × 7 places, and the mean over the places forgets what the dense layers
# know, where in the picture a channel speaks for the answer.
#
# And what is a single filter of the last convolution after? We ask the test pictures. Where in all
# of them does the filter answer most? A unit of this layer sees 18 × 18 pixels; here are the nine
# places that excite a filter most, no two of one picture, for each of four filters. (Beyond the
# border a patch repeats the picture's last pixels.)


# %%
def most_exciting(model, layer, filters, pictures, count=9):
    """Returns patches (filters, count, size, size): what excites each filter most, best first."""
    looking = keras.Model(model.inputs[0], model.get_layer(layer).output)
    maps = predict(looking, pictures)[..., filters]  # (n, rows, columns, filters)
    n, rows, columns, _ = maps.shape
    step, middle = pictures.shape[1] // rows, rows // 2
    first, last, *_ = field_of_view(model, layer, (middle, columns // 2))
    size, offset = last - first + 1, step * middle - first
    ground = ((0, 0), (size, size), (size, size))
    framed = np.pad(pictures[..., 0], ground, mode="edge")
    flat = maps.reshape(n, rows * columns, -1)
    patches = np.zeros((len(filters), count, size, size))
    for f in range(len(filters)):
        best = np.argsort(-flat[:, :, f].max(axis=1))[:count]
        for k, number in enumerate(best):
            i, j = divmod(flat[number, :, f].argmax(), columns)
            top, left = (size + step * place - offset for place in (i, j))
            patches[f, k] = framed[number, top : top + size, left : left + size]
    return patches


# %% tags=["hide-input"]
def plot_most_exciting(patches, filters):
    """Returns the Axes (filters, count): the patches of each filter in a row."""
    rows, columns = patches.shape[:2]
    _, axes = plt.subplots(rows, columns, figsize=(6.6, 0.85 * rows), layout="constrained")
    for row, every, number in zip(axes, patches, filters, strict=True):
        for ax, patch in zip(row, every, strict=True):
            ax.imshow(patch, cmap="gray", vmin=patches.min(), vmax=patches.max())
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(f"filter {number}", fontsize=9)
    return axes


# %% alt="Four rows of nine small patches of test pictures. One row has the inner corner at a heel, two have the gap between trouser legs; the last is mixed."
if __name__ == "__main__":
    looking = keras.Model(result.model.inputs[0], result.model.get_layer("conv_3").output)
    strongest = predict(looking, x).max(axis=(0, 1, 2))
    filters = np.argsort(-strongest)[:4]
    plot_most_exciting(most_exciting(result.model, "conv_3", filters, x), filters)

# %% [markdown]
# Read along a row: what do the nine have in common? It is a shape at one place of the window: the
# inner corner at a heel, or the gap between two legs. In the last row it is harder to say.
#
# ## Where is it wrong?
#
# Which classes does it confuse? A row of the table is a true class, a column an answer.

# %% alt="Confusion matrix of ten classes. Off the diagonal the largest numbers lie between shirt, T-shirt, pullover, coat and dress."
if __name__ == "__main__":
    result.figures["confusion"].figure

# %% [markdown]
# Shirts are the trouble, and what they are taken for is mostly worn on the same part of the body.
# Shoes are seldom taken for anything but other shoes. Look at some of the mistakes; would you do
# better? The title is what it is, and after *not* what the network took it for.

# %% alt="Fifteen test pictures that the network gets wrong, each with its true kind and the answer, most of them garments of the upper body taken for one another."
if __name__ == "__main__":
    result.figures["mistakes"][0].figure

# %% [markdown]
# ## What to try
#
# - `--shift 2`: does it help in as many epochs? In three times as many?
# - `--dropout 0`: watch the two loss curves draw apart.
# - `--dataset mnist`, `--dataset cifar10`: the same network on digits, and on small colour
#   photographs. Where is a convolution of more use?
# - Replace each pooling by a stride of 2 in the convolution before it. What becomes faster, what
#   becomes worse?
# - Find `EDGES[..., 1:]` in place of the upright kernel. Then give the search a picture without any
#   level edge. What can it not know?
# - Call `compare_with_keras` with a kernel as large as the picture. Which layer of chapter 2 is it?
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of this chapter's exercises, and the notebooks, into a
# folder; `kerasbook check` says which of your answers are right, and what to look at in the others.
#
# ## Where to go next
#
# [Deeper networks](chapter3_residual.ipynb) asks why twenty layers should be better than three, and
# why at first they are worse. Chapter 4 turns from space to time: the same weights at every word,
# where here they were the same at every place. What others have written wrongly about convolutions
# stands in [*The articles' mistakes*](errata.ipynb).
