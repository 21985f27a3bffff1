# %% [markdown]
"""
# Chapter 2. Logistic regression, and from it the deep network

Is it a shirt or a coat? A weighted sum of the pixels gives a score; squeezed between 0 and 1 the
score becomes a probability, and that is logistic regression. Ten scores side by side tell ten
garments apart. Put one layer of scores on top of another, with a bend in between, and the network
is deep.

After this chapter you can

- write a cross-entropy that never overflows;
- derive backpropagation, and prove it for every weight;
- begin a network at the right scale;
- write SGD, momentum, RMSProp and Adam in a few lines each;
- see a network learn by heart, and hold it back;
- read a confusion matrix and a reliability diagram.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter2`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter2")

# %%
import warnings
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter1 import linear, numerical_gradient
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing import divergence
from kerasbook.training import batch_order, evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

# %% [markdown]
# ## The data
#
# Fashion-MNIST: grey pictures of clothes, 28 × 28 pixels each, in ten kinds. The book carries
# 12,000 of the 70,000, as many of each kind; where there is a network, `--dataset fashion_mnist`
# takes them all. As in chapter 1 the inputs are standardised, here with one mean and one standard
# deviation for all pixels, measured on the training part.

# %%
if __name__ == "__main__":
    splits = load_fashion()
    print(splits)
    first = [np.flatnonzero(splits.train.y == label)[0] for label in range(10)]
    plotting.plot_images(splits.train.x[first], splits.train.y[first], classes=splits.classes)

# %% [markdown]
# All kinds are equally frequent, so a blind guess is right in one of ten cases. Know that number
# before you read an accuracy. And look at the outlines: pullover, coat and shirt share theirs.
#
# ## Two garments
#
# We begin with two of the ten, and not with an easy pair: shirts and coats. The target $y$ is 0
# for a shirt and 1 for a coat. A picture is laid out as one row of $d = 784$ numbers.

# %%
COAT, SHIRT = 4, 6


def two_garments(part, zero=SHIRT, one=COAT):
    """Returns the pictures of two classes: x (n, pixels) and y (n, 1), which is 0 or 1."""
    chosen = np.isin(part.y, (zero, one))
    x = part.x[chosen].reshape(chosen.sum(), -1)
    return x, (part.y[chosen] == one).astype("float32")[:, np.newaxis]


# %% [markdown]
# The score of a picture is the `linear` of chapter 1, $z = x_1 w_1 + \dots + x_d w_d + b$, with
# `x` of shape (n, d), `w` (d, 1), `b` (1,) and `z` (n, 1). The sigmoid makes a probability of it,
#
# $$p = \sigma(z) = \frac{1}{1 + e^{-z}}, \qquad z = \log\frac{p}{1 - p},$$
#
# and $z$ is called the *logit*, the logarithm of the odds. Where $z = 0$ both garments are equally
# likely. The places with $z = 0$ form a plane, so this is still a linear model: only its output is
# bent.
#
# How bad is a prediction? We take the surprise: minus the logarithm of the probability that the
# model gave to what turned out to be true,
#
# $$\ell = -y \log p - (1 - y) \log(1 - p).$$
#
# Sure and right costs nothing. Sure and wrong costs more than any fixed number. The loss $L$ is
# the mean of $\ell$ over all $n$ pictures.
#
# ## The formula that overflows
#
# Typed in as printed, the formula breaks, and on scores that training does produce.


# %%
def naive_cross_entropy(y, z):
    """Returns −y log p − (1 − y) log(1 − p) as the formula is printed; breaks for large |z|."""
    p = 1 / (1 + np.exp(-z))
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


# %% [markdown]
# The remedy is a line of algebra before any number is computed. Because
# $-\log \sigma(z) = \log(1 + e^{-z})$ and $-\log(1 - \sigma(z)) = \log(1 + e^{z})$, both cases are
#
# $$\ell = \max(z, 0) - y z + \log\left(1 + e^{-|z|}\right).$$
#
# No exponent is ever positive, so nothing overflows, and no logarithm ever sees 0.


# %%
def cross_entropy_from_logits(y, z):
    """Returns the binary cross-entropy of each logit, in the shape of y and z."""
    return np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))


def sigmoid(z):
    """Returns 1 / (1 + e^(−z)) = e^(−log(1 + e^(−z))), which cannot overflow."""
    return np.exp(-np.logaddexp(0, -z))


# %%
if __name__ == "__main__":
    print("a shirt (y = 0) with the score z, in float32:")
    for z in np.array([-200, -2, 2, 20, 200], "float32"):
        with np.errstate(all="ignore"):  # NumPy would warn
            naive = naive_cross_entropy(np.float32(0), z)
        print(f"z = {z:4.0f}   naive {naive:8.4f}   from logits", end=" ")
        print(f"{cross_entropy_from_logits(np.float32(0), z):8.4f}")

# %% [markdown]
# At a score of 20 a `float32` probability is already exactly 1, and its loss infinite. This is why
# a Keras model should end *without* a sigmoid or softmax, and why the loss is then told
# `from_logits=True`: it gets the scores and computes the second form.
#
# ## Its gradient
#
# Differentiate that form by $z$, case by case, and what is left is short:
#
# $$\frac{\partial \ell}{\partial z} = \sigma(z) - y = p - y, \qquad
# \frac{\partial L}{\partial w_j} = \frac1n \sum_i (p_i - y_i)\, x_{ij}, \qquad
# \frac{\partial L}{\partial b} = \frac1n \sum_i (p_i - y_i).$$
#
# It is the gradient of linear regression, error times input, with the probability in the place of
# the prediction, and without the 2.


# %%
def logistic_gradient(x, y, w, b):
    """Returns the gradients of the mean cross-entropy: (d, 1) for w and (1,) for b."""
    error = (sigmoid(linear(x, w, b)) - y) / len(x)  # (n, 1)
    return x.T @ error, error.sum(axis=0)


# %% [markdown]
# As in chapter 1, two checks: finite differences, which need nothing but the loss, for which we
# take the function of that chapter, and the tape, here through a Keras layer and a Keras loss.


# %%
def keras_logistic_gradient(x, y, w, b):
    """Returns the same gradients from a Dense layer with one unit, a Keras loss and a tape."""
    layer = layers.Dense(1, dtype=x.dtype.name)
    layer.build(x.shape)
    layer.set_weights([w, b])
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True, dtype=x.dtype.name)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, layer(x))
    return tape.gradient(loss, layer.trainable_variables)


# %%
if __name__ == "__main__":
    x, y = two_garments(splits.train)
    few_x, few_y = x[:50].astype("float64"), y[:50].astype("float64")
    w, b = np.random.default_rng(0).normal(size=(784, 1)) / 28, np.zeros(1)
    by_hand, _ = logistic_gradient(few_x, few_y, w, b)
    slopes = numerical_gradient(
        lambda w: cross_entropy_from_logits(few_y, linear(few_x, w, b)).mean(), w
    )
    print("largest difference to finite differences:", np.abs(by_hand - slopes).max())
    theirs, _ = keras_logistic_gradient(few_x, few_y, w, b)
    print("largest difference to Keras and the tape:", np.abs(by_hand - theirs).max())

# %% [markdown]
# ## Which pixels speak for a coat?
#
# Now the loop: forward, loss, gradient, update, every time with all pictures, which makes it batch
# gradient descent. First with NumPy, then with a tape.


# %%
def descend(x, y, learning_rate, steps):
    """Returns w (d, 1) and b (1,) after so many steps of batch descent, starting at zero."""
    w, b = np.zeros((x.shape[1], 1), x.dtype), np.zeros(1, x.dtype)
    for _ in range(steps):
        gradient_w, gradient_b = logistic_gradient(x, y, w, b)
        w, b = w - learning_rate * gradient_w, b - learning_rate * gradient_b
    return w, b


def descend_with_tape(x, y, learning_rate, steps):
    """Returns the same by a tape, a Keras loss and a Keras optimizer."""
    w, b = tf.Variable(tf.zeros((x.shape[1], 1))), tf.Variable(tf.zeros(1))
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(learning_rate=learning_rate)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, tf.matmul(x, w) + b)  # the truth first, then the prediction
        optimizer.apply(tape.gradient(loss, [w, b]), [w, b])
    return w.numpy(), b.numpy()


# %%
if __name__ == "__main__":
    w, b = descend(x, y, learning_rate=0.01, steps=200)
    other_w, _ = descend_with_tape(x, y, learning_rate=0.01, steps=200)
    print("largest difference between the two loops:", np.abs(w - other_w).max())
    for name, part in (("training", splits.train), ("validation", splits.validation)):
        pictures, coats = two_garments(part)
        right = (linear(pictures, w, b) > 0) == coats
        print(f"{name:10} {right.mean():.1%} of shirts and coats told apart")

# %% [markdown]
# What has it learnt? There is one weight for each pixel, so the weights are a picture.

# %%
if __name__ == "__main__":
    plotting.plot_weights(w, (28, 28), titles=["light: coat, dark: shirt"])

# %% [markdown]
# A light pixel speaks for a coat where the picture is bright, a dark one for a shirt, a grey one
# has no say. Long sleeves make the coat, it seems, and the hem makes the shirt. The model lays
# this one template over every picture and adds up. It can weigh pixels; it cannot say "a zip,
# wherever it is".
#
# ## Ten garments
#
# For $K = 10$ classes take ten scores: `W` has shape (d, K), `b` (K,) and `z` (n, K). The softmax
# makes probabilities of a row of scores, all positive and with the sum 1,
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}.$$
#
# Adding one and the same number to all scores changes nothing, above and below. So we subtract the
# largest: then no exponent is positive, and again nothing overflows.


# %%
def softmax(z):
    """Returns the probabilities (n, K) for the scores z (n, K)."""
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# %% [markdown]
# The loss is the surprise again, $-\log p_y$ for the true class $y$. Written with the scores it is
# $\ell = \log \sum_j e^{z_j} - z_y$. The first term has the derivative $p_k$ (try it), the second
# is 1 at the true class and 0 elsewhere, so
#
# $$\frac{\partial \ell}{\partial z_k} = p_k - [k = y].$$
#
# Probability minus truth, as for two classes. The truth as a row of zeros with a single one is
# called *one-hot*.


# %%
def cross_entropy(y, z):
    """Returns the mean of −log p_y, a scalar, for class numbers y (n,) and scores z (n, K)."""
    z = z - z.max(axis=1, keepdims=True)
    return np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y])


def cross_entropy_gradient(y, z):
    """Returns the gradient of that mean for z, (n, K): probability minus truth, divided by n."""
    one_hot = np.eye(z.shape[1], dtype=z.dtype)[y]  # (n, K)
    return (softmax(z) - one_hot) / len(y)


# %%
if __name__ == "__main__":
    z = np.random.default_rng(0).normal(size=(5, 10))
    labels = np.array([3, 1, 4, 1, 5])
    slopes = numerical_gradient(lambda z: cross_entropy(labels, z), z)
    difference = np.abs(cross_entropy_gradient(labels, z) - slopes).max()
    print("largest difference to finite differences:", difference)
    two = softmax(np.column_stack([np.zeros(5), z[:, 0]]))[:, 1]
    print("softmax of (0, z) is the sigmoid of z:", np.allclose(two, sigmoid(z[:, 0])))
    print("loss when all scores are equal:", cross_entropy(labels, np.zeros((5, 10))), "= ln 10")

# %% [markdown]
# That last number is worth knowing by heart: a model that knows nothing of ten classes has the
# loss $\ln 10$. A fresh network with a much larger one is not ignorant but wrong, and sure of it.
#
# ## A second layer, and a third
#
# One template per class is little: a handbag with its handle up and one with it down get one
# template between them. Let a first layer compute other things than classes, and a second decide
# by those. But two linear layers are one linear layer, $(x W_1) W_2 = x (W_1 W_2)$. There must be
# a bend between them. The most usual is the ReLU, which replaces negative numbers by 0:
#
# $$a_1 = \max(0,\, x W_1 + b_1), \qquad a_2 = \max(0,\, a_1 W_2 + b_2), \qquad
# z = a_2 W_3 + b_3 .$$
#
# Ours has the sizes 784-128-64-10: $W_1$ is (784, 128), $W_2$ (128, 64), $W_3$ (64, 10), each $b$
# has one number per unit, and $a_1$ is (n, 128), $a_2$ (n, 64), $z$ (n, 10). We keep the
# parameters in one flat list, $W_1, b_1, W_2, b_2, W_3, b_3$, as Keras does. The forward pass
# keeps the outputs of every layer, because the way back needs them.


# %%
def forward(x, weights):
    """Returns the outputs of every layer: the input (n, d) first, the scores (n, K) last."""
    outputs = [x]
    for w, b in zip(weights[::2], weights[1::2], strict=True):
        scores = linear(outputs[-1], w, b)
        outputs.append(np.maximum(scores, 0))
    return [*outputs[:-1], scores]  # the last layer has no bend


# %% [markdown]
# ## Backpropagation
#
# How does the loss depend on a weight of the first layer? Take the smallest deep network: two
# pixels, two units, two classes, no biases, and one picture, of class 1. Black is what the network
# computes, from left to right. Beside each number stands its gradient, in colour. It was found as
# in chapter 1, by a nudge.


# %%
def small_network():
    """Returns the numbers of a network 2-2-2 for one picture, and their gradients, by name."""
    x, y = np.array([[1.0, -2.0]]), np.array([1])
    w1, w2 = np.array([[0.5, -1.0], [-0.5, 0.25]]), np.array([[1.0, -1.0], [0.5, -0.5]])
    s1 = x @ w1
    a1 = np.maximum(s1, 0)
    z = a1 @ w2

    def from_z(z):  # the loss, if we may choose z
        return cross_entropy(y, z)

    def from_s1(s1):
        return from_z(np.maximum(s1, 0) @ w2)

    values = {"x": x, "W1": w1, "s1": s1, "a1": a1, "W2": w2, "z": z, "loss": from_z(z)}
    slopes = {
        "z": numerical_gradient(from_z, z),
        "W2": numerical_gradient(lambda w2: from_z(a1 @ w2), w2),
        "a1": numerical_gradient(lambda a1: from_z(a1 @ w2), a1),
        "s1": numerical_gradient(from_s1, s1),
        "W1": numerical_gradient(lambda w1: from_s1(x @ w1), w1),
    }
    return values, slopes


if __name__ == "__main__":
    plotting.plot_backpropagation(*small_network())

# %% [markdown]
# Read the colour from right to left. Below $z$ is probability minus truth. One step back the second
# unit would get 0.95; but its score is negative, the ReLU is off, and what arrives there goes no
# further. And a weight has the number before it times the gradient behind it:
# $1.50 \cdot 0.95 = 1.43$. Thirteen nudges found these numbers; the rules that can be read off
# them find all at once.
#
# Write $\delta_l$, of shape (n, units of layer $l$), for the gradient of the loss by the scores of
# layer $l$, before its bend. At the end we know it: $\delta_3$ is probability minus truth, divided
# by $n$. From each $\delta$ follow three things by the chain rule:
#
# $$\frac{\partial L}{\partial W_l} = a_{l-1}^\top \delta_l, \qquad
# \frac{\partial L}{\partial b_l} = \sum_i \delta_{l,i}, \qquad
# \delta_{l-1} = \left(\delta_l W_l^\top\right) \odot [a_{l-1} > 0] .$$
#
# In words: the error goes back through the same weights through which the signal came ($W^\top$),
# it passes only those units that were on ($\odot$ multiplies number by number), and what a weight
# gets is the error above it times the signal below it.


# %%
def backward(y, outputs, weights):
    """Returns the gradient of the mean cross-entropy for each array of `weights`, in order."""
    delta = cross_entropy_gradient(y, outputs[-1])  # (n, K)
    gradients = []
    for w, below in zip(weights[-2::-2], outputs[-2::-1], strict=True):
        gradients = [below.T @ delta, delta.sum(axis=0), *gradients]
        if below is not outputs[0]:  # nobody asks for the gradient of the pictures
            delta = (delta @ w.T) * (below > 0)  # (n, units of the layer below)
    return gradients


# %% [markdown]
# That is all of it. With a single layer in `weights` it is the softmax regression of before.
#
# Is it right? Finite differences would need two forward passes for *each* weight; backpropagation
# costs about two for all together, which is why anyone uses it. So we ask the tape, and for every
# weight and every bias.


# %%
def tape_gradients(x, y, weights):
    """Returns the gradients for each array of `weights`, by automatic differentiation."""
    weights, signal = [tf.convert_to_tensor(array) for array in weights], x
    with tf.GradientTape() as tape:
        tape.watch(weights)
        for w, b in zip(weights[::2], weights[1::2], strict=True):
            scores = tf.matmul(signal, w) + b
            signal = tf.nn.relu(scores)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=scores)
        loss = tf.reduce_mean(losses)
    return tape.gradient(loss, weights)


# %% [markdown]
# For this we need weights. Let them be random, and ask below how large they should be.


# %%
def initial_weights(sizes, gain=2.0, seed=0, dtype="float32"):
    """Returns [W₁, b₁, …] for layers of these sizes: normal with variance gain / inputs; b = 0."""
    random = np.random.default_rng(seed)
    weights = []
    for inputs, units in pairwise(sizes):
        w = random.normal(scale=(gain / inputs) ** 0.5, size=(inputs, units))
        weights += [w.astype(dtype), np.zeros(units, dtype)]
    return weights


# %%
SIZES = (784, 128, 64, 10)


def flat(x):
    """Returns pictures (n, height, width, channels) as rows (n, pixels)."""
    return x.reshape(len(x), -1)


if __name__ == "__main__":
    y = splits.train.y[:64]
    differences = {}
    for dtype in ("float32", "float64"):
        x, weights = flat(splits.train.x[:64]).astype(dtype), initial_weights(SIZES, dtype=dtype)
        ours = backward(y, forward(x, weights), weights)
        theirs = tape_gradients(x, y, weights)
        differences[dtype] = [np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]
    print("largest difference to the tape   float32   float64")
    for i, (single, double) in enumerate(zip(*differences.values(), strict=True)):
        print(f"{'Wb'[i % 2]}{i // 2 + 1:<29} {single:9.1e} {double:9.1e}")

# %% [markdown]
# With twice the digits the difference is smaller by some nine powers of ten. A wrong formula would
# stay as wrong as it was: what we see is rounding.
#
# ## How large should the first weights be?
#
# Not zero: then all units of a layer compute the same, get the same gradient, and stay the same
# for ever. So they are random. A score adds up as many products as there are inputs: if signals
# with the mean square $v$ come in through $m$ weights of variance $s$, it has the variance
# $m s v$. To keep signals alike through all layers, take $s = 1/m$; and since a ReLU throws half
# of them away, $s = 2/m$ (He). Glorot's $s = 2 / (\text{inputs} + \text{units})$ is a compromise
# between the way forward and the way back. It is what Keras takes if you say nothing.
#
# In our three layers a wrong scale does little harm. Stack more of them, and it multiplies.


# %%
def spread_per_layer(x, y, gain, hidden=10, units=128):
    """Returns the standard deviations, layer by layer, of the outputs and of the gradients of W."""
    weights = initial_weights((x.shape[1], *[units] * hidden, 10), gain)
    outputs = forward(x, weights)
    gradients = backward(y, outputs, weights)[::2]
    return [a.std() for a in outputs[1:-1]], [g.std() for g in gradients[:-1]]


GAINS = {"too small": 0.5, "He: 2 / inputs": 2.0, "too large": 8.0}


if __name__ == "__main__":
    x, y = flat(splits.train.x[:500]), splits.train.y[:500]
    spreads = {name: spread_per_layer(x, y, gain) for name, gain in GAINS.items()}
    labels = {"x_label": "hidden layer", "log": True}
    plotting.plot_lines(
        {name: spread for name, (spread, _) in spreads.items()},
        y_label="standard deviation of the outputs",
        **labels,
    )
    plotting.plot_lines(
        {name: spread for name, (_, spread) in spreads.items()},
        y_label="standard deviation of the gradient of W",
        **labels,
    )

# %% [markdown]
# The wrong scales differ from the right one by a factor of two in the standard deviation, no more.
# Ten layers later the signal is a thousand times too weak or too strong. The gradients are as
# wrong in *every* layer, because each is a product of what came forward and what goes back.
#
# Do all units of a layer share in this, or a few? The histogram of a layer's outputs tells. A step
# to the right is ten times as large. (Zeros, half of all outputs, are left out: they have no
# logarithm.)


# %%
def plot_sizes(x, axes=None):
    """Returns the Axes (3,): how large the outputs of four hidden layers are, for three scales."""
    if axes is None:
        _, axes = plt.subplots(1, 3, figsize=(6.6, 2.8), sharey=True, layout="constrained")
    bins = np.linspace(-5, 4, 37)
    for ax, (name, gain) in zip(axes, GAINS.items(), strict=True):
        outputs = forward(x, initial_weights((x.shape[1], *[128] * 10, 10), gain))
        shares = {}
        for layer in (1, 4, 7, 10):
            sizes = np.log10(outputs[layer][outputs[layer] > 0])
            shares[f"layer {layer}"] = np.histogram(sizes, bins)[0] / len(sizes)
        labels = {"x_label": "output, power of ten", "y_label": "share of the outputs"}
        plotting.plot_lines(shares, x=(bins[1:] + bins[:-1]) / 2, **labels, ax=ax)
        ax.set_title(name, fontsize="medium")
        ax.label_outer()
        if name != list(GAINS)[1]:
            ax.get_legend().remove()  # the one in the middle is enough
    return axes


if __name__ == "__main__":
    plot_sizes(x)

# %% [markdown]
# Whole layers move, and keep their form. With He's rule they stay where they are.
#
# The loss before the first step shows such mistakes at once. It should be near $\ln 10$, and gets
# nearer if the last layer is made smaller than the rule says: then no class is preferred before
# anything is learnt.

# %%
if __name__ == "__main__":
    print(f"ln 10 = {np.log(10):.2f}; loss of 784-128-64-10 before the first step:")
    for name, gain in GAINS.items():
        weights = initial_weights(SIZES, gain)
        print(f"{name:15} {cross_entropy(y, forward(x, weights)[-1]):8.2f}", end="   ")
        weights[-2] *= 0.1
        print(f"with a tenth of W3 {cross_entropy(y, forward(x, weights)[-1]):6.2f}")

# %% [markdown]
# ## Four ways downhill
#
# The gradient says where downhill is. How far to go is the optimiser's business. Each of ours is a
# function: the weights, their gradient and what it remembers go in, the new weights and what it
# remembers now come out. $\eta$ is the learning rate; all else has the shape of the weights.
#
# **SGD** goes against the gradient and remembers nothing: $w \leftarrow w - \eta g$.
#
# **Momentum** remembers a velocity, $v \leftarrow \beta v - \eta g$, and goes
# $w \leftarrow w + v$. Steps in the same direction add up, to $1 / (1 - \beta)$ times as much;
# zigzags cancel.


# %%
def sgd(w, gradient, state, learning_rate):
    """Returns the next weights, and the state as it was."""
    return w - learning_rate * gradient, state


def momentum(w, gradient, velocity, learning_rate, decay=0.9):
    """Returns the next weights and velocity."""
    velocity = decay * velocity - learning_rate * gradient
    return w + velocity, velocity


# %% [markdown]
# **RMSProp** gives each weight a learning rate of its own. It remembers how large the gradient of
# that weight usually is, as a running mean of squares, and divides by its root:
#
# $$s \leftarrow \rho s + (1 - \rho) g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{s + \epsilon}} .$$
#
# So the step has about the length $\eta$, whether gradients are large or small. The $\epsilon$
# prevents division by zero. Keras has it inside the root; others have it outside.


# %%
def rmsprop(w, gradient, mean_square, learning_rate, decay=0.9, epsilon=1e-7):
    """Returns the next weights and the running mean of squared gradients."""
    mean_square = decay * mean_square + (1 - decay) * gradient**2
    return w - learning_rate * gradient / np.sqrt(mean_square + epsilon), mean_square


# %% [markdown]
# **Adam** does both: it divides a running mean of gradients by the root of a running mean of
# squares,
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1) g, \qquad
# s \leftarrow \beta_2 s + (1 - \beta_2) g^2, \qquad
# w \leftarrow w - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
# \cdot \frac{m}{\sqrt{s} + \epsilon} .$$
#
# Both means begin at zero, so in the first steps $t = 1, 2, \dots$ they are too small. The
# fraction in the middle corrects that. (Textbooks correct $m$ and $s$ one by one. That is the same
# but for $\epsilon$, which they add after the correction and Keras before it.)


# %%
def adam(w, gradient, state, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Returns the next weights, and (steps so far, mean gradient, mean squared gradient)."""
    step, mean, mean_square = state[0] + 1, *state[1:]
    mean = beta_1 * mean + (1 - beta_1) * gradient
    mean_square = beta_2 * mean_square + (1 - beta_2) * gradient**2
    rate = learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
    return w - rate * mean / (np.sqrt(mean_square) + epsilon), (step, mean, mean_square)


# %% [markdown]
# With these the whole of training is in our hands: order, forward, backward, update.


# %%
OPTIMISERS = {  # name: (function, first state, a learning rate that suits it)
    "SGD": (sgd, None, 0.1),
    "momentum": (momentum, 0.0, 0.01),
    "RMSProp": (rmsprop, 0.0, 0.001),
    "Adam": (adam, (0, 0.0, 0.0), 0.001),
}


def train_by_hand(weights, x, y, optimiser, epochs=1, batch_size=64, seed=0):
    """Returns the trained weights and the loss of each step, for the name of an optimiser."""
    update, state, learning_rate = OPTIMISERS[optimiser]
    weights, states, losses = list(weights), [state] * len(weights), []
    for epoch in range(epochs):
        order = batch_order(seed, epoch, len(x))
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            outputs = forward(x[rows], weights)
            losses.append(cross_entropy(y[rows], outputs[-1]))
            for i, gradient in enumerate(backward(y[rows], outputs, weights)):
                weights[i], states[i] = update(weights[i], gradient, states[i], learning_rate)
    return weights, np.array(losses)


# %% [markdown]
# Are these Keras' optimisers? We take 100 steps with ours and our backpropagation, and 100 with
# Keras' and the tape, from the same first weights, and compare every weight.


# %%
def keras_optimizer(name: str) -> keras.optimizers.Optimizer:
    """Returns Keras' optimizer of this name, with the learning rate of ours."""
    learning_rate = OPTIMISERS[name][2]
    return {
        "SGD": keras.optimizers.SGD(learning_rate),
        "momentum": keras.optimizers.SGD(learning_rate, momentum=0.9),
        "RMSProp": keras.optimizers.RMSprop(learning_rate),
        "Adam": keras.optimizers.Adam(learning_rate),
    }[name]


def make_keras_step(optimizer, variables):
    """Returns step(x, y), which updates the variables by the tape and a Keras optimizer."""
    optimizer.build(variables)

    @tf.function  # compiles the step at its first call: a tenth of the time
    def step(x, y):
        optimizer.apply(tape_gradients(x, y, variables), variables)

    return step


def compare_optimisers(x, y, dtype, batch_size=64) -> dict[str, float]:
    """Returns, for each optimiser, the largest difference of any weight after one epoch."""
    x, differences = flat(x).astype(dtype), {}
    for name in OPTIMISERS:
        weights = initial_weights((x.shape[1], *SIZES[1:]), dtype=dtype)
        ours, _ = train_by_hand(weights, x, y, name, batch_size=batch_size)
        theirs = [tf.Variable(array) for array in weights]
        step = make_keras_step(keras_optimizer(name), theirs)
        for rows in np.split(batch_order(0, 0, len(x)), len(x) // batch_size):
            step(x[rows], y[rows])
        differences[name] = max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))
    return differences


# %%
if __name__ == "__main__":
    x, y = splits.train.x[:6400], splits.train.y[:6400]  # 100 batches of 64
    print("largest difference after 100 steps   float32   float64")
    single, double = (compare_optimisers(x, y, dtype) for dtype in ("float32", "float64"))
    for name in OPTIMISERS:
        print(f"{name:34} {single[name]:9.1e} {double[name]:9.1e}")

# %% [markdown]
# More than after one gradient, because each step builds on all before; but rounding again. In
# `float64` it stops short of all digits, because Keras turns learning rate and decays into
# `float32` numbers, in which 0.999 is not quite 0.999. (With another seed a difference in
# `float32` may be a thousand times larger: a ReLU whose score was zero but for rounding is on in
# one run and off in the other, and from there they part.)
#
# Which is the best? All four, from the same first weights and with the same batches. A learning
# rate that is right for one is wrong for another, so each has its own, chosen among several. The
# loss of one batch jumps; we draw the mean of the last twenty.


# %%
def plot_optimisers(x, y, classes=10, gain=2.0, epochs=3, ax=None):
    """Returns an Axes: the training loss of the four optimisers, step by step."""
    x, y = flat(x[:6400]), y[:6400]
    weights = initial_weights((x.shape[1], *SIZES[1:-1], classes), gain)
    series = {}
    for name, (_, _, learning_rate) in OPTIMISERS.items():
        _, losses = train_by_hand(weights, x, y, name, epochs)
        window = min(20, len(losses))
        smooth = np.convolve(losses, np.full(window, 1 / window), mode="valid")
        series[f"{name}, learning rate {learning_rate:g}"] = smooth
    return plotting.plot_lines(
        series, x_label="steps", y_label="training loss, mean of 20 steps", ax=ax
    )


if __name__ == "__main__":
    plot_optimisers(*splits.train)

# %% [markdown]
# Nearly the same, all four. On a small network that begins at the right scale, with learning rates
# that suit, there is little to choose. Now let the first weights be ten times too small (a gain a
# hundred times smaller), and change nothing else.

# %%
if __name__ == "__main__":
    plot_optimisers(*splits.train, gain=0.02)

# %% [markdown]
# Small weights make small gradients. SGD and momentum, whose steps are as small as the gradients,
# sit on the plateau of $\ln 10$ for many steps. RMSProp and Adam divide by the size of the
# gradients, and walk off at once. That is what they are for: not a better end, but less to get
# right. Adam with 0.001, which is Keras' default, is a good first try.
#
# Is a learning rate large or small? Compare the steps with what they change: the spread of the
# update, divided by that of the weights. Much less than one in a thousand is hardly learning, one
# in ten tears down what was learnt.


# %%
def update_ratios(x, y, optimiser, gain=2.0, steps=141, batch_size=64):
    """Returns {"W1": (steps,), …}: the spread of the update by that of the weights, per step."""
    update, state, learning_rate = OPTIMISERS[optimiser]
    weights = initial_weights((x.shape[1], *SIZES[1:]), gain)
    states, ratios = [state] * len(weights), []
    order = batch_order(0, 0, len(x))
    for first in range(0, steps * batch_size, batch_size):
        rows = order[first : first + batch_size]
        gradients, before = backward(y[rows], forward(x[rows], weights), weights), weights
        pairs = [update(*each, learning_rate) for each in zip(weights, gradients, states)]
        weights, states = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        ratios.append([np.std(a - b) / np.std(b) for a, b in zip(weights[::2], before[::2])])
    return dict(zip(("W1", "W2", "W3"), np.transpose(ratios), strict=True))


if __name__ == "__main__":
    ratios = {name: update_ratios(flat(x), y, name, steps=100) for name in OPTIMISERS}
    labels = {"x_label": "step", "y_label": "update by weights, Adam", "log": True}
    plotting.plot_lines(ratios["Adam"], **labels).axhline(1e-3, color="0.5", linestyle=":")
    for name, series in ratios.items():
        print(f"{name:9}", *(f"{kernel} {np.median(r):.4f}" for kernel, r in series.items()))

# %% [markdown]
# The dotted line is one in a thousand. Adam settles at one to four in a thousand, momentum at two
# to six; SGD and RMSProp move by about one in a hundred, which so easy a task forgives.
#
# ## The same in Keras
#
# Both models take pictures and flatten them themselves. Neither ends with a softmax: they return
# scores.


# %%
def make_softmax(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Returns softmax regression: pictures (n, *shape) → scores (n, classes)."""
    inputs = keras.Input(shape)
    outputs = layers.Dense(classes, kernel_initializer="zeros")(layers.Flatten()(inputs))
    return keras.Model(inputs, outputs, name="softmax_regression")


def make_model(
    shape: tuple[int, ...],
    classes: int,
    hidden: tuple[int, ...] = (128, 64),
    dropout: float = 0.0,
    l2: float = 0.0,
) -> keras.Model:
    """Returns the deep network: pictures (n, *shape) → scores (n, classes)."""
    penalty = {"kernel_regularizer": keras.regularizers.L2(l2)} if l2 else {}
    inputs = keras.Input(shape)
    x = layers.Flatten()(inputs)
    for units in hidden:
        x = layers.Dense(units, "relu", kernel_initializer="he_normal", **penalty)(x)
        x = layers.Dropout(dropout)(x)
    outputs = layers.Dense(classes, **penalty)(x)
    return keras.Model(inputs, outputs, name="deep_network")


# %% [markdown]
# A single layer may begin at zero, because its units differ from the first step on; and then its
# weights are pictures of what it learnt, without the noise of a random start. `l2` and `dropout`
# are explained below; at zero they do nothing.
#
# Does Keras compute what we compute? We give both the same random weights, and compare outputs,
# loss and every gradient.


# %%
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def compare_with_keras(model, x, y) -> dict[str, float]:
    """Returns the largest differences between our functions and a Keras model of random weights."""
    random = np.random.default_rng(0)
    weights = [random.normal(0, 0.1, w.shape).astype(w.dtype) for w in model.get_weights()]
    model.set_weights(weights)
    with tf.GradientTape() as tape:
        logits = model(x)
        loss = loss_fn(y, logits)
    theirs = [logits, loss, *tape.gradient(loss, model.trainable_variables)]
    outputs = forward(flat(x), weights)
    ours = [outputs[-1], cross_entropy(y, outputs[-1]), *backward(y, outputs, weights)]
    names = ["outputs", "loss", *(f"{'Wb'[i % 2]}{i // 2 + 1}" for i in range(len(weights)))]
    differences = [float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True)]
    return dict(zip(names, differences, strict=True))


# %%
if __name__ == "__main__":
    shape = splits.train.x.shape[1:]
    for model in (make_softmax(shape, 10), make_model(shape, 10)):
        print(f"{model.name}, {model.count_params():,} parameters; largest differences:")
        differences = compare_with_keras(model, splits.train.x[:64], splits.train.y[:64])
        print("  ".join(f"{name} {value:.0e}" for name, value in differences.items()))

# %% [markdown]
# ## The loop, written out
#
# The four lines of chapter 1, with two small additions. `training=True` switches layers on that
# act in training only, such as dropout. And `model.losses` holds the penalties that layers ask
# for; a loop that forgets to add them trains without, and nobody notices.


# %%
def train_written_out(model, x, y, optimizer, epochs=1, batch_size=64, seed=0):
    """Trains `model`; returns the loss of each step."""
    losses = []
    for epoch in range(epochs):
        order = batch_order(seed, epoch, len(x))
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            with tf.GradientTape() as tape:
                logits = model(x[rows], training=True)
                loss = loss_fn(y[rows], logits) + sum(model.losses)
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            losses.append(float(loss))
    return losses


# %% [markdown]
# Does `fit`, the loop that the book uses from here on, take the same steps?


# %%
def compare_loops(x, y, epochs=2) -> float:
    """Returns the largest difference of any weight between the written-out loop and `fit`."""
    first, second = (make_model(x.shape[1:], 10, l2=1e-3) for _ in range(2))
    second.set_weights(first.get_weights())
    train_written_out(first, x, y, keras_optimizer("momentum"), epochs)
    options = {"epochs": epochs, "batch_size": 64, "jit": "off", "progress": "none"}
    fit(second, (x, y), loss_fn=loss_fn, optimizer=keras_optimizer("momentum"), **options)
    pairs = zip(first.get_weights(), second.get_weights(), strict=True)
    return max(float(np.abs(a - b).max()) for a, b in pairs)


if __name__ == "__main__":
    print("largest difference to fit:", compare_loops(x[:1000], y[:1000]))

# %% [markdown]
# ## Where a loop goes astray
#
# A loop and `model.fit` can agree to the last digits. Yet "my loop and `fit` disagree" is asked
# again and again, and the cause is nearly always one of ten. Here each of them is made on purpose,
# one at a time. The model is small and has all that a loop can forget: a penalty, batch
# normalisation (which chapter 3's networks do without, and many others do not), dropout, a short
# last batch. Both train one epoch from the same weights. How far is the loop from `fit` then?

# %%
if __name__ == "__main__":
    strayed = divergence.measure()
    print(divergence.table_of(strayed))

# %%
if __name__ == "__main__":
    divergence.plot(strayed)

# %% [markdown]
# The correct loop differs by rounding. Everything else lies far to the right of it, and none of the
# ten raises an error. Some would be noticed: the loss of `from_logits` or of a sum is out of all
# proportion. Others would not. Another order of the batches changes the weights and hardly the
# loss; it is no mistake, nor are other dropped units, unless one expects equal numbers. With the
# penalty left out the weights move little, in *one* epoch. And a metric that is reported as the
# loss leaves the weights as they are: only the number on the screen is another one.
#
# So when two loops disagree, ask first which differs, the weights or what is reported.

# %% [markdown]
# ## Softmax, twice
#
# A frequent mistake: the model ends with a softmax, and the loss, told to expect logits, applies
# another. Nothing crashes. But the second softmax sees scores between 0 and 1 only. Even for a
# perfect answer, a one and nine zeros, it says no more than $e / (e + 9)$, so the loss cannot fall
# below
#
# $$-\log \frac{e}{e + K - 1} = \log(e + K - 1) - 1 .$$


# %%
def double_softmax_floor(classes: int) -> float:
    """Returns the lowest loss that softmax applied twice allows."""
    return float(np.log(np.e + classes - 1) - 1)


def double_softmax_loss(y, logits):
    """Returns the mean cross-entropy of a softmax of a softmax: the mistake."""
    probabilities = tf.nn.softmax(logits)
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=probabilities)
    return tf.reduce_mean(losses)


# %% [markdown]
# The floor is not the worst of it. Consider a network that is sure and wrong. The right loss pulls
# with full force. Through the first softmax, which is flat there, hardly anything comes back.

# %%
if __name__ == "__main__":
    print(f"lowest loss with two softmaxes: {double_softmax_floor(10):.3f}")
    logits, truth = tf.Variable([[10.0] + [0.0] * 9]), np.array([1])  # sure of 0; it is 1
    for name, function in (("once", loss_fn), ("twice", double_softmax_loss)):
        with tf.GradientTape() as tape:
            loss = function(truth, logits)
        slope = tape.gradient(loss, logits)[0, 1]
        print(f"softmax {name}: loss {loss:.2f}, gradient of the true class {slope:.1e}")


# %%
def plot_double_softmax(splits, epochs=10, axes=None):
    """Returns the Axes of two runs: softmax in the loss alone, and in model and loss."""
    runs = {}
    for name, function in (("softmax once", loss_fn), ("softmax twice", double_softmax_loss)):
        keras.utils.set_random_seed(0)
        runs[name] = fit(
            make_model(splits.train.x.shape[1:], 10),
            splits.train,
            loss_fn=function,
            optimizer=keras.optimizers.SGD(0.01),  # as in the article
            metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
            epochs=epochs,
            batch_size=64,
            jit="off",  # compiling with XLA would take longer than so short a run
            progress="none",
        )
    axes = plotting.plot_history(*runs.values(), labels=list(runs), axes=axes)
    axes[0].axhline(double_softmax_floor(10), color="0.5", linestyle=":")
    return axes


if __name__ == "__main__":
    plot_double_softmax(splits)

# %% [markdown]
# (The dotted line is the floor.) The mistake trains, only later and less far, and so it stays in
# many programs. A loss that comes down and then lies still far above zero is its sign.
#
# Keras tries to help. If the predictions come straight from a softmax of its own, the loss takes
# the scores from before it, and warns. It is not to be relied on: one operation between the two (a
# cast in mixed precision is enough), or predictions as an array, and the help is gone. Above we
# had to call TensorFlow's own loss to make the mistake at all.

# %%
if __name__ == "__main__":
    z = tf.constant([[10.0] + [0.0] * 9])
    probabilities = keras.activations.softmax(z)
    print(f"scores given to the loss: {loss_fn(truth, z):.3f}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        print(f"a softmax of Keras' own:  {loss_fn(truth, probabilities):.3f}", end="   ")
        print(f"({len(caught)} warning)")
    print(f"the same as an array:     {loss_fn(truth, probabilities.numpy()):.3f}")

# %% [markdown]
# ## Learning by heart, and how to hinder it
#
# A hundred thousand weights are enough to learn a few thousand pictures by heart. Then the
# training loss goes on falling while the validation loss turns and rises. Three remedies are in
# every toolbox.
#
# **L2** adds a penalty to the loss, $\lambda \sum_j w_j^2$ over all kernels (not the biases). Its
# gradient is $2 \lambda w$, so with every step each weight is pulled towards zero, the large ones
# most. It does not make the model more complex; it makes large weights dear. Keras' `L2` has no
# half in front; where somebody writes $\frac\lambda2 \sum w^2$, their $\lambda$ is twice Keras'.


# %%
def l2_penalty(weights, l2):
    """Returns λ Σ w² over the kernels W₁, W₂, … of a list [W₁, b₁, …]."""
    return l2 * sum(np.sum(w**2) for w in weights[::2])


def l2_gradients(weights, l2):
    """Returns 2 λ W for each kernel and zeros for each bias."""
    return [2 * l2 * w if w.ndim == 2 else np.zeros_like(w) for w in weights]


# %%
if __name__ == "__main__":
    model = make_model(shape, 10, l2=0.01)
    with tf.GradientTape() as tape:
        penalty = sum(model.losses)
    theirs = tape.gradient(penalty, model.trainable_variables[::2])
    ours = l2_gradients(model.get_weights(), 0.01)[::2]
    print(f"penalty by Keras {penalty:.4f}, by hand {l2_penalty(model.get_weights(), 0.01):.4f}")
    differences = [np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]
    print("largest difference of the gradients:", max(differences))

# %% [markdown]
# **Dropout** switches a random share of the units off, in each step others, so that no unit can
# lean on another. Those that are left are made larger by $1 / (1 - \text{rate})$, so that the sum
# above them stays the same on average. After training nothing is dropped, and nothing needs to be
# scaled.


# %%
def dropout(x, mask, rate):
    """Returns x where the mask (of its shape) is True, scaled up, and 0 elsewhere."""
    return x * mask / (1 - rate)


if __name__ == "__main__":
    x = np.random.default_rng(0).normal(size=(64, 128)).astype("float32")
    mask = layers.Dropout(0.3, seed=1)(np.ones_like(x), training=True).numpy() > 0
    theirs = layers.Dropout(0.3, seed=1)(x, training=True)
    print(f"{mask.mean():.0%} of the units are kept; largest difference to Keras:", end=" ")
    print(np.abs(dropout(x, mask, 0.3) - theirs).max())
    print("without training=True nothing changes:", np.all(layers.Dropout(0.3)(x) == x))

# %% [markdown]
# **Early stopping** watches the validation loss and ends training when it has not improved for
# some epochs, the *patience*. With `restore_best_weights` the model goes back to its best epoch.
#
# To see the effects in seconds we take 2,000 pictures to train on, and many epochs. The L2 run's
# loss contains its penalty, so that the losses cannot be compared. We draw the cross-entropy
# alone.


# %%
def train_on_few(splits, epochs=20, callbacks=(), **options):
    """Returns the History of a run on the first 2,000 pictures; options go to `make_model`."""
    keras.utils.set_random_seed(0)
    few = splits.take(2000)
    return fit(
        make_model(few.train.x.shape[1:], 10, **options),
        few.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(0.001),
        metrics=[keras.metrics.SparseCategoricalCrossentropy("cross_entropy", from_logits=True)],
        epochs=epochs,
        batch_size=64,
        validation_data=few.validation,
        callbacks=callbacks,
        jit="off",
        progress="none",
    )


if __name__ == "__main__":
    kinds = {"plain": {}, "L2": {"l2": 0.003}, "dropout": {"dropout": 0.3}}
    runs = {name: train_on_few(splits, **options) for name, options in kinds.items()}
    plotting.plot_history(*runs.values(), labels=list(runs), metric="cross_entropy")

# %% [markdown]
# Solid is training, dashed validation. The plain network knows its 2,000 pictures almost by heart
# in the end, and its validation curve turns early and climbs. With L2 and with dropout training
# ends higher and validation lower. (Dropout acts on the training curve only; that is why it may
# lie above its validation curve.)
#
# Early stopping takes the plain run and cuts it where it turns.

# %%
if __name__ == "__main__":
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
    history = train_on_few(splits, callbacks=[stopping])
    print(
        f"stopped after {len(history.epoch)} of 20 epochs; the best was {stopping.best_epoch + 1}"
    )

# %% [markdown]
# ## Watching from elsewhere
#
# **TensorBoard** draws the curves of a run while it goes on, in a page of its own, and those of
# earlier runs beside them. A callback writes its files, once per epoch; a chapter's program has the
# flag `--tensorboard` for it. In a notebook two lines open the page:
#
#     %load_ext tensorboard
#     %tensorboard --logdir runs/chapter2/tensorboard
#
# The page lives only as long as the notebook runs. So here we read back from the files what it
# would draw under the name `epoch_loss`.


# %%
def logged_losses(folder) -> dict[str, list[float]]:
    """Returns the curves `epoch_loss` in TensorBoard's files: of "train" and "validation"."""
    curves = {}
    for name in ("train", "validation"):
        events = EventAccumulator(str(Path(folder) / name)).Reload()
        losses = [tf.make_ndarray(event.tensor_proto) for event in events.Tensors("epoch_loss")]
        curves[name] = [float(loss) for loss in losses]
    return curves


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        history = train_on_few(splits, epochs=5, callbacks=[keras.callbacks.TensorBoard(folder)])
        curves = logged_losses(folder)
    plotting.plot_lines(curves, x_label="epoch", y_label="epoch_loss")
    print("the same as in History:", np.allclose(curves["train"], history.history["loss"]))

# %% [markdown]
# ## Result
#
# `main` trains softmax regression and then the deep network, on the same data with the same
# optimiser, and reports both. What chose its defaults was the validation part; the test part was
# used for the report only.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "bounds": {"dropout": [0, 0.999]},
    "minutes": 1,
}


def main(
    epochs: int = 15,
    batch_size: int = 64,
    learning_rate: float = 0.0005,
    dropout: float = 0.2,
    l2: float = 1e-4,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains softmax regression and a deep network on pictures of clothes.

    Args:
        epochs: passes over the training part, for each of the two models
        batch_size: pictures per step
        learning_rate: of Adam
        dropout: share of hidden units that is switched off in training
        l2: weight of the penalty on squared weights, in the deep network
        seed: of the first weights, of dropout and of the shuffling
        dataset: fashion, or mnist, fashion_mnist, cifar10 from TensorFlow Datasets
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)

    shape, classes = splits.train.x.shape[1:], len(splits.classes)
    softmax_model = make_softmax(shape, classes)
    model = make_model(shape, classes, dropout=dropout, l2=l2)
    model.summary()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    for each in (softmax_model, model):
        print(each.name.replace("_", " "))
        # The callbacks are for the deep network: two runs in one log would be a muddle.
        options = fit_options if each is model else fit_options | {"callbacks": ()}
        history = fit(
            each,
            splits.train,
            loss_fn=loss_fn,
            optimizer=keras.optimizers.Adam(learning_rate),
            metrics=metrics,
            epochs=epochs,
            batch_size=batch_size,
            validation_data=splits.validation,
            seed=seed,
            **options,
        )
    scores = {}
    for name in ("validation", "test"):
        part = getattr(splits, name)
        simple = evaluate(softmax_model, part, loss_fn=loss_fn, metrics=metrics)
        scores[name] = evaluate(model, part, loss_fn=loss_fn, metrics=metrics)
        scores[name]["softmax_accuracy"] = simple["accuracy"]
    logits = predict(model, splits.test.x).astype("float32")  # --mixed-precision gives 16 bits
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, logits.argmax(axis=1), splits.classes),
        "calibration": plotting.plot_calibration(splits.test.y, softmax(logits)),
        "weights": plotting.plot_weights(
            softmax_model.get_weights()[0], shape, titles=splits.classes
        ),
        "optimizers": plot_optimisers(*splits.train, classes),
    }
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    for part, scores in result.scores.items():
        print(f"{part:10}", *(f"{name} {value:.3f}" for name, value in scores.items()), sep="  ")
    for name in ("accuracy", "softmax_accuracy"):
        share = result.scores["test"][name]
        error = (share * (1 - share) / len(splits.test.y)) ** 0.5
        print(f"test {name} {share:.3f} ± {error:.3f}")

# %% [markdown]
# The curves first. In the early epochs validation is better than training, which is no mistake:
# dropout acts in training only, and a training score is the mean over an epoch during which the
# model was still getting better.
#
# Over five seeds the test accuracy was 0.863 ± 0.003, that of softmax regression 0.844 ± 0.002,
# mean ± standard deviation: that is what the first weights and the shuffling do.
#
# The figure after ± is the chance error of a share measured on 2,000 pictures,
# $\sqrt{p (1 - p) / n}$: with other test pictures of the same kind the result would move by about
# so much. Two models that differ by less have not been shown to differ. Test lies below validation
# here. Part of that is choice (the settings were picked by the validation score), part is chance.
#
# The simple model is not far behind: a template for each class tells most garments apart. Its ten
# templates are among the pictures above. Each had to fit all garments of its class at once. Find
# the gap between the legs of the trousers, and see how little the shirt's has to go by.
#
# Where does the deep network go wrong? In the *confusion matrix* a row is what a garment is, a
# column what the network takes it for.

# %%
if __name__ == "__main__":
    logits = predict(result.model, splits.test.x)
    guesses = logits.argmax(axis=1)
    recall = [(guesses[splits.test.y == label] == label).mean() for label in range(10)]
    for label in np.argsort(recall):
        print(f"{splits.classes[label]:12} {recall[label]:.0%} found")

# %% [markdown]
# Most errors are among the things that are worn on the upper body; and shoes are mistaken for
# shoes. The accuracy hides this: it is the mean over classes that are almost solved and one that
# is not, the shirts.
#
# When the network says "80 % sure", is it right in 80 of 100 cases? The *reliability diagram*
# sorts the test pictures by the probability of the network's answer, and draws how often the
# answer was right. Bars below the diagonal mean too sure, bars above it too modest. A network that
# is trained until it knows its pictures by heart is too sure on new ones, for the same reason for
# which its validation loss climbs.
#
# And these are the answers of which it was surest, among the wrong ones. Not all are its fault.

# %%
if __name__ == "__main__":
    wrong = np.flatnonzero(guesses != splits.test.y)
    surest = wrong[np.argsort(-softmax(logits).max(axis=1)[wrong])[:10]]
    x, y = splits.test
    plotting.plot_images(x[surest], y[surest], guesses[surest], splits.classes)

# %% [markdown]
# ## What to try
#
# - `two_garments(part, 5, 9)`, sandals and ankle boots: why is this pair so much easier, and what
#   does the template show?
# - `--learning-rate 0.1`: Adam now moves every weight by about a tenth in every step. How large
#   are the weights, then, after one epoch of 141 steps, and what do the curves say?
# - `--dropout 0 --l2 0 --epochs 40`: watch validation loss and accuracy. Which of them turns, and
#   what does the reliability diagram say?
# - Divide the scores by a number $T$ before the softmax, and find the $T$ with the lowest
#   validation loss. This *temperature* changes no answer. What does it change?
# - Start all weights at zero. What do the hidden units learn, and what can the network still do?
# - Give `update_ratios` the gain 0.02: what do the steps of SGD do when the first weights are too
#   small, and what do Adam's?
#
# ## What the articles got wrong here
#
# - The model ends with a softmax and the loss applies it again. The loss cannot fall below
#   $\log(e + 9) - 1$ and training is slow, as drawn above. Give the loss scores, and
#   `from_logits=True`.
# - The loop of logistic regression says `lr=`, which Keras 3 refuses: it is `learning_rate=`. It
#   names the labels `y_truth` here and `y` there. And it calls the loss with the prediction first.
#   That raises no error; it computes something else. The truth comes first.
# - The regularisation term is "a penalty that adds complexity". It adds a cost for large weights
#   and takes complexity away.
# - A list `losses` is plotted that nobody filled, a transformation of the pictures is built and
#   never applied, and TensorBoard is announced but not used.
# - The trainer is called without data, which raises an error. And a classifier is asked for its
#   loss though it was given no labels: the loss is `None`. What a loss needs is the truth.
# - In another listing the pictures are never flattened and `F` is never imported, so it does not
#   run. A listing in a book should be run by a machine before it is printed. This one is.
# - Logistic regression is called deep learning. It has one layer; depth begins with the second.
# - A model of "millions of parameters" is called large. BERT-base has 110 million, GPT-3 175
#   billion. The network of this chapter has a hundred thousand, and nobody calls it large.

# %% [markdown]
# ## Exercises
#
# Six exercises go with this chapter. `kerasbook start DIR` copies their stubs, and the notebooks,
# into a folder; `kerasbook check` says which of your answers are right, and what to look at in the
# others.
#
# ## Where to go next
#
# Chapter 3 takes the pictures as pictures: it tells the network which pixels are neighbours.
# Whoever would rather read than look can go on to chapter 4, and needs of chapter 3 only its
# learning rate schedule.
