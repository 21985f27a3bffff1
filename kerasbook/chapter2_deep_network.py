# %% [markdown]
"""
# Chapter 2, continued. The deep network

The cars of chapter 1 lay in a cloud that bends, and the straight line through it was wrong at both
ends. The templates of softmax regression cannot say "a handle, up or down". Both models have one
layer. Put a second layer on top of it, with a bend in between, and the network is *deep*. What can
such a bend do?

After this page you can

- say what a hidden layer adds, and draw it;
- derive backpropagation, and prove it for every weight;
- begin a network at the right scale, and see when it did not;
- write batch normalisation for training and for use.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter2_deep_network`): train, save, end. The cells below are
# for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter2_deep_network")

# %% tags=["hide-input"]
from itertools import pairwise
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter1 import linear, numerical_gradient
from kerasbook.chapter2 import cross_entropy, cross_entropy_gradient, loss_fn, softmax, train
from kerasbook.data import load, load_auto_mpg, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import (
    largest_difference,
    largest_differences,
    outputs_and_gradients,
)
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## What can a bend do?
#
# The usual bend is the *ReLU*, which replaces negative numbers by 0: $\max(0, s)$. We let eight
# units read the power of a car and bend their scores, and a ninth, without a bend, add them up to
# miles per gallon. That is chapter 1's model with one layer before it.


# %%
def fit_cars(hidden, cars, epochs=200):
    """Returns a network with so many hidden units (0: chapter 1's line), trained on the cars."""
    keras.utils.set_random_seed(0)
    before = [layers.Dense(hidden, "relu")] if hidden else []
    model = keras.Sequential([keras.Input((1,)), *before, layers.Dense(1)])  # one after the other
    mse, sgd = keras.losses.MeanSquaredError(), keras.optimizers.SGD(0.003, momentum=0.9)
    fit(model, cars.train, loss_fn=mse, optimizer=sgd, epochs=epochs, jit="off", progress="none")
    return model


# %%
def plot_cars(models, cars, raw, ax=None):
    """Returns an Axes: fuel economy against power, and what each model says of it."""
    x = np.linspace(cars.train.x.min(), cars.train.x.max(), 100)[:, np.newaxis]
    power = x[:, 0] * raw.train.x.std() + raw.train.x.mean()
    lines = {name: predict(model, x)[:, 0] for name, model in models.items()}
    labels = {"x_label": "horsepower (hp)", "y_label": "fuel economy (mpg)"}
    ax = plotting.plot_lines(lines, x=power, **labels, ax=ax)
    ax.scatter(raw.train.x, raw.train.y, s=9, color="0.6", zorder=0)
    return ax


# %% alt="Fuel economy against horsepower of 236 cars, a bent cloud: the straight line is too low at both ends and too high in the middle; the network's line follows the cloud with a few corners." tags=["cover"]
if __name__ == "__main__":
    cars, raw = (load_auto_mpg(("horsepower",), standardise=s) for s in (True, False))
    models = {"chapter 1's line": fit_cars(0, cars), "eight hidden units": fit_cars(8, cars)}
    plot_cars(models, cars, raw)
    for name, model in models.items():
        error = np.mean((predict(model, cars.validation.x) - cars.validation.y) ** 2)
        print(f"{name:20} mean squared error on the validation part {error:.1f} mpg²")

# %% [markdown]
# The network's line is still made of straight pieces. Each hidden unit is a hinge: on one side of
# the place where its score $w x + b$ is zero it says nothing, on the other it is a straight line.
# So the sum may change its slope at every hinge, once per unit, and is straight in between. You see
# fewer corners than units, because half of the hinges lie beyond the cars. And no car goes farther
# for having more power, as the line says near 110 hp: there it follows the chance of a few cars.
#
# Why must there be a bend? Without one, a layer on top of a layer is one layer, because
# $(x W_1) W_2 = x (W_1 W_2)$. However many are stacked, the line stays straight.
#
# Now the network of this page in full. Each layer has scores $s$, and the bend acts after each
# hidden one:
#
# $$s_1 = x W_1 + b_1, \quad a_1 = \max(0,\, s_1), \qquad
# s_2 = a_1 W_2 + b_2, \quad a_2 = \max(0,\, s_2), \qquad z = a_2 W_3 + b_3 .$$
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
# pixels, two units, two classes, no biases, and one picture, of the second class. Black is what the
# network computes, from left to right. Beside each number stands its gradient, in colour. It was
# found as in chapter 1, by nudging the number a little up and a little down.


# %% tags=["hide-input"]
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


# %% alt="A network of two layers as a graph with all its numbers in black, from the pixels to the loss, and beside each number its gradient in colour: 0.95 and minus 0.95 at the scores; 0.95 at the unit that is off, and 0 below its bend."
if __name__ == "__main__":
    values, slopes = small_network()
    plotting.plot_backpropagation(values, slopes)
    counted = sum(np.size(slope) for slope in slopes.values())
    print(f"{counted} gradients, found with {2 * counted} evaluations of the loss")

# %% [markdown]
# Read the colour from right to left. Below $z$ is probability minus truth. How do 0.95 and −0.95
# become 1.91 one step back? The first unit acts on both scores, through the weights 1 and −1, so
# its gradient is the sum of both ways, $1 \cdot 0.95 + (-1) \cdot (-0.95)$, and before rounding
# that is 1.91. The second unit has half the weights and half the gradient. But its score is
# negative, so the ReLU is off, and what arrives there goes no further. And the gradient of a weight
# is the number before it times the gradient behind it: $1.50 \cdot 0.95 = 1.43$ for the first unit.
#
# The nudges needed two evaluations for each number. Those three rules find all numbers at once.
# Write $\delta_l$, of shape (n, units of layer $l$), for the gradient of the loss by the scores of
# layer $l$, before its bend. At the end we know it: $\delta_3$ is probability minus truth, divided
# by $n$. Then, number by number for one example,
#
# $$\frac{\partial L}{\partial a_j} = \sum_k \delta_k W_{jk}, \qquad
# \frac{\partial L}{\partial s_j} = \frac{\partial L}{\partial a_j}\, [s_j > 0], \qquad
# \frac{\partial L}{\partial W_{jk}} = a_j\, \delta_k .$$
#
# ($[s_j > 0]$ is 1 where the unit is on, else 0.) A sum over $k$ of $\delta_k W_{jk}$ is a row of
# $\delta$ times a row of $W$, hence $W^\top$; a sum over all examples of $a_j \delta_k$ is $a^\top
# \delta$. So for all at once, where $\odot$ multiplies number by number,
#
# $$\frac{\partial L}{\partial W_l} = a_{l-1}^\top \delta_l, \qquad
# \frac{\partial L}{\partial b_l} = \sum_i \delta_{l,i}, \qquad
# \delta_{l-1} = \left(\delta_l W_l^\top\right) \odot [a_{l-1} > 0] .$$
#
# In words: the error goes back through the same weights through which the signal came, it passes
# only those units that were on, and what a weight gets is the error above it times the signal below
# it.


# %%
def backward(y, outputs, weights):
    """Returns the gradient of the mean cross-entropy for each array of `weights`, in order."""
    delta = cross_entropy_gradient(y, outputs[-1])  # (n, K)
    gradients = []
    for layer in reversed(range(len(weights) // 2)):
        w, below = weights[2 * layer], outputs[layer]
        gradients = [below.T @ delta, delta.sum(axis=0), *gradients]
        if layer > 0:  # nobody asks for the gradient of the pictures
            delta = (delta @ w.T) * (below > 0)  # (n, units of the layer below)
    return gradients


# %% [markdown]
# That is all of it. With a single layer in `weights` it is softmax regression.
#
# Is it right? Finite differences would need two forward passes for *each* weight; backpropagation
# costs about as much as two for all together, which is why it is used. So we ask the tape, and for
# every weight and every bias. For this we need weights: let them be random, and ask below how large
# they should be.


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


# %%
SIZES = (784, 128, 64, 10)


def flat(x):
    """Returns pictures (n, height, width, channels) as rows (n, pixels)."""
    return x.reshape(len(x), -1)


# %%
if __name__ == "__main__":
    splits = load_fashion()
    y = splits.train.y[:64]
    for dtype in ("float32", "float64"):
        x, weights = flat(splits.train.x[:64]).astype(dtype), initial_weights(SIZES, dtype=dtype)
        ours = backward(y, forward(x, weights), weights)
        worst = largest_difference(ours, tape_gradients(x, y, weights))
        count = sum(gradient.size for gradient in ours)
        print(f"{count:,} gradients in {dtype}: largest difference to the tape {worst:.0e}")

# %% [markdown]
# With twice the digits the difference shrinks by about nine powers of ten. A wrong formula would
# stay as wrong as it was, so what we see is rounding.
#
# *Exercises: `dense_backward` (five minutes) is the way back through one layer, with another bend;
# `skip_gradients` is the way back where two paths meet; `WeightNormDense` splits the weights of a
# layer into lengths and directions.*
#
# ## Does it learn?
#
# Forward, backward, and a step downhill: with these we can train. The batches are random rows.


# %%
def descend(weights, x, y, learning_rate, steps, batch_size=64, seed=0):
    """Returns the weights after so many steps of mini-batch descent, and the loss at each step."""
    random, losses = np.random.default_rng(seed), []
    for _ in range(steps):
        rows = random.integers(0, len(x), batch_size)
        outputs = forward(x[rows], weights)
        losses.append(cross_entropy(y[rows], outputs[-1]))
        gradients = backward(y[rows], outputs, weights)
        weights = [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)]
    return weights, np.array(losses)


# %% [markdown]
# First a task that can be seen: two half-moons of points that reach into each other. How many
# hidden units are needed to tell them apart? Guess before you look: none, two, three, eight?


# %%
def two_moons(count=300, noise=0.15, seed=0):
    """Returns points x (count, 2) on two half-moons, with noise, and y (count,), which one."""
    random = np.random.default_rng(seed)
    angle, y = random.uniform(0, np.pi, count), np.arange(count) % 2
    x = np.column_stack([np.cos(angle), np.sin(angle)])
    x[y == 1] = [1, 0.5] - x[y == 1]
    return x + noise * random.normal(size=x.shape), y


# %%
def fit_moons(hidden, x, y, seed):
    """Returns weights, trained by hand, and the share of the points that they get right."""
    sizes = (2, hidden, 2) if hidden else (2, 2)
    weights = initial_weights(sizes, seed=seed, dtype="float64")
    weights, _ = descend(weights, x, y, learning_rate=0.3, steps=2000, seed=seed)
    return weights, (forward(x, weights)[-1].argmax(axis=1) == y).mean()


# %% tags=["hide-input"]
def plot_regions(x, y, networks, axes=None):
    """Returns the Axes: the points of two classes, and where each network says which.

    networks: title → weights. Shaded is the probability of class 1.
    """
    if axes is None:
        rows = -(-len(networks) // 2)
        size = (6.6, 2.6 * rows)
        _, axes = plt.subplots(
            rows, 2, figsize=size, sharex=True, sharey=True, layout="constrained"
        )
    low, high = x.min(axis=0) - 0.3, x.max(axis=0) + 0.3
    places = [np.linspace(a, b, 120) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*places), axis=-1)  # (120, 120, 2)
    for ax, (title, weights) in zip(np.ravel(axes), networks.items(), strict=True):
        p = softmax(forward(grid.reshape(-1, 2), weights)[-1])[:, 1].reshape(120, 120)
        ax.contourf(*places, p, levels=np.linspace(0, 1, 11), cmap="cividis", alpha=0.6)
        ax.contour(*places, p, levels=[0.5], colors="black")
        for label, marker, colour in ((0, "o", "#03224c"), (1, "^", "#fffbe6")):
            style = {"edgecolors": "black", "linewidths": 0.5, "s": 16, "marker": marker}
            ax.scatter(*x[y == label].T, color=colour, **style)
        ax.set_title(title, fontsize="medium")
        ax.set(xlabel="first coordinate", ylabel="second coordinate")
        ax.label_outer()
    return axes


# %% alt="Four panels of the same two half-moons of points, with the border between the classes as a black line: straight without hidden units; with three units bent twice the same way and wrong for the tip of a moon from one start, winding between the moons from another; winding with eight."
if __name__ == "__main__":
    x, y = two_moons()
    networks = {}
    for hidden, seed in ((0, 0), (3, 0), (3, 1), (8, 0)):
        weights, share = fit_moons(hidden, x, y, seed)
        networks[f"{hidden} hidden units, start {seed}: {share:.0%} right"] = weights
    plot_regions(x, y, networks)

# %%
if __name__ == "__main__":
    for hidden in (0, 2, 3, 8):
        shares = [fit_moons(hidden, x, y, seed)[1] for seed in range(6)]
        print(f"{hidden} hidden units, six starts:", *(f"{share:.0%}" for share in shares))

# %% [markdown]
# Without a hidden layer the border is straight, and it must cut through the moons. Every hidden
# unit can put a corner into it, where its hinge crosses it. The winding border has two corners; why
# are two units not enough? With two, a border has a piece where the first is on, one where both
# are, and one where the second is, and so both corners turn the same way. A border that winds turns
# to one side and then to the other. With two units no start got further than the straight line.
# Three suffice, as the third panel shows; but the second has three units as well, and training did
# not find the place for them: from six starts it finds it twice. With eight units it finds one
# every time, because not each of them has to be well placed from the start. That is one reason why
# networks are made larger than they need be.
#
# ## How large should the first weights be?
#
# Not zero: then all units of a layer compute the same, get the same gradient, and stay the same for
# ever. So they are random. But how large? On the moons a gain of 2 or of 8 makes no difference; in
# a deeper network, on the garments, it does. Take ten hidden layers of 128 units, and begin as one
# might without thinking: normal numbers with the standard deviation 1. Then mend one thing after
# another and look at the loss, before the first step and after 140 steps, which is one epoch.


# %%
DEEP = (784, *[128] * 10, 10)


def without_thinking(sizes=DEEP, seed=0):
    """Returns weights as `initial_weights`, but all with the standard deviation 1."""
    random, weights = np.random.default_rng(seed), []
    for inputs, units in pairwise(sizes):
        weights += [random.normal(size=(inputs, units)).astype("float32")]
        weights += [np.zeros(units, "float32")]
    return weights


# %%
def with_small_last(weights, factor=0.1):
    """Returns the weights, those of the last layer made smaller."""
    return [*weights[:-2], weights[-2] * factor, weights[-1]]


# %% [markdown]
# The other rule that we try is the same for every layer of a network, whatever its width: a
# variance of `gain` divided by the number of inputs. Which of the gains 0.5, 2 and 8 will do best?


# %%
def fixes() -> dict[str, list]:
    """Returns the first weights of a deep network, by what was done about them."""
    he = initial_weights(DEEP, 2.0)
    return {
        "standard deviation 1": without_thinking(),
        "gain 8": initial_weights(DEEP, 8.0),
        "gain 0.5": initial_weights(DEEP, 0.5),
        "gain 2": he,
        "gain 2, last layer a tenth": with_small_last(he),
    }


def losses_after(weights, part, learning_rate=0.05, steps=140):
    """Returns the loss before the first step, and the mean loss of the last twenty."""
    x, y = flat(part.x), part.y
    with np.errstate(all="ignore"):  # some of them overflow
        before = cross_entropy(y[:1000], forward(x[:1000], weights)[-1])
        _, losses = descend(weights, x, y, learning_rate, steps)
    return before, losses[-20:].mean()


# %%
if __name__ == "__main__":
    print(f"{'log 10 is 2.303':28} before the first step   after 140 steps")
    for name, weights in fixes().items():
        before, after = losses_after(weights, splits.train)
        print(f"{name:28} {before:21,.2f} {after:17.3f}")

# %% [markdown]
# A loss far above $\log 10$ before the first step says that the weights are too large: the network
# is sure of answers that it has no reason for. The first two rows are lost; their first steps throw
# the weights out of the range of numbers, and what is left is `nan`, not a number. But a loss near
# $\log 10$ does *not* say that all is well. With a gain of 0.5 it is as good as it can be, and the
# network does not move: nothing of the picture arrives at its end. So before the first step you see
# only that weights are too large. That they are too small you see in the steps. (A last layer
# smaller than the rule says makes the first loss that of a network without prejudice; after an
# epoch nothing is left of the difference.)
#
# Why is 2 right? A score adds up as many products as there are inputs: if signals with the mean
# square $A$ come in through $m$ weights of variance $q$, it has the variance $m q A$. To keep
# signals alike through all layers, $q$ should be $1/m$. But a ReLU makes half of the scores 0, so
# half of the mean square is lost, and $q = 2/m$ makes up for it: that is the rule of Kaiming He and
# others (2015). The rule of Glorot and Bengio (2010), $q = 2 / (\text{inputs} + \text{units})$,
# which is what Keras takes if you say nothing, is a compromise between the way forward and the way
# back.
#
# A wrong factor is applied once in every layer. How does that look after ten?


# %%
GAINS = {"too small": 0.5, "He: 2 / inputs": 2.0, "too large": 8.0}


def spread_per_layer(x, y, gain, hidden=10, units=128):
    """Returns the standard deviations, layer by layer, of the outputs and of the gradients of W."""
    weights = initial_weights((x.shape[1], *[units] * hidden, 10), gain)
    outputs = forward(x, weights)
    gradients = backward(y, outputs, weights)[::2]
    return [a.std() for a in outputs[1:-1]], [g.std() for g in gradients[:-1]]


# %% alt="Two panels on a log scale over ten hidden layers: the spread of the outputs falls by a thousand with too small weights, stays level with He's, and grows by a thousand with too large ones; the spread of the gradients of W is level in all three, but a million times apart."
if __name__ == "__main__":
    x, y = flat(splits.train.x[:500]), splits.train.y[:500]
    spreads = {name: spread_per_layer(x, y, gain) for name, gain in GAINS.items()}
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.4), layout="constrained")
    for number, what in enumerate(("outputs", "gradient of W")):
        series = {name: pair[number] for name, pair in spreads.items()}
        labels = {"x_label": "hidden layer", "y_label": f"spread of the {what}", "log": True}
        plotting.plot_lines(series, **labels, ax=axes[number])

# %% [markdown]
# A factor of two in the standard deviation, no more, separates the three. Ten layers later the
# signal is a thousand times too weak or too strong. The gradients are as wrong in *every* layer,
# because each is a product of what came forward and what goes back.
#
# Do all units of a layer share in this, or a few? The histogram of a layer's outputs tells. A step
# to the right is ten times as large. (Zeros, about half of all outputs, are left out, because they
# have no logarithm.)


# %% tags=["hide-input"]
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


# %% alt="Histograms of the outputs of hidden layers 1, 4, 7 and 10 for three scales of weights: with too small ones the hills move left from layer to layer, with He's rule they stand on one another, with too large ones they move right; their form stays."
if __name__ == "__main__":
    plot_sizes(x)

# %% [markdown]
# Whole layers move, and keep their form. With He's rule they stay where they are.
#
# ## Batch normalisation
#
# If the scale of every layer matters so much, why leave it to the first weights? *Batch
# normalisation* sets it at every step: from each score it subtracts the mean over the batch, and
# divides by the standard deviation. Then two learnt numbers per unit, $\gamma$ and $\beta$, may
# choose another scale and another mean:
#
# $$\hat s = \frac{s - \mu}{\sqrt{\sigma^2 + \epsilon}}, \qquad
# \text{output} = \gamma \hat s + \beta,$$
#
# with $\mu$ and $\sigma^2$ of shape (units,), the mean and the variance of the $n$ rows of the
# batch. (This $\beta$, and the `momentum` below, have nothing to do with those of descent.)


# %%
def normalise(s, gamma, beta, mean, variance, epsilon=1e-3):
    """Returns the scores s (n, units), scaled by a mean and a variance (units,), then γ and β."""
    return gamma * (s - mean) / np.sqrt(variance + epsilon) + beta


# %% [markdown]
# In use there may be no batch, only one picture, and its answer should not depend on who else is
# asked about. So the layer keeps running means of both, and moves them a little at every step of
# training. In use it takes those.


# %%
def normalise_batch(s, weights, momentum=0.99, epsilon=1e-3):
    """Returns the output in training, and the weights [γ, β, mean, variance] after the step."""
    gamma, beta, *running = weights
    now = s.mean(axis=0), s.var(axis=0)
    running = [momentum * r + (1 - momentum) * n for r, n in zip(running, now, strict=True)]
    return normalise(s, gamma, beta, *now, epsilon), [gamma, beta, *running]


# %% [markdown]
# And the way back? In training a score acts on its whole column, through the mean and the variance.
# Worked out, with $\delta$ for the gradient by the output and bars for means over the batch,
#
# $$\frac{\partial L}{\partial s} = \frac{\gamma}{\sqrt{\sigma^2 + \epsilon}}
# \left(\delta - \overline{\delta} - \hat s\; \overline{\delta\, \hat s}\right), \qquad
# \frac{\partial L}{\partial \gamma} = \sum_i \delta_i \hat s_i, \qquad
# \frac{\partial L}{\partial \beta} = \sum_i \delta_i .$$
#
# What would move the whole column up or down, or stretch it, is taken out of the gradient, because
# the normalisation undoes it.


# %%
def normalise_backward(delta, s, gamma, epsilon=1e-3):
    """Returns the gradients for s (n, units), γ and β (units,) of the output in training."""
    deviation = np.sqrt(s.var(axis=0) + epsilon)
    unit = (s - s.mean(axis=0)) / deviation
    common = delta.mean(axis=0) + unit * (delta * unit).mean(axis=0)
    return gamma / deviation * (delta - common), (delta * unit).sum(axis=0), delta.sum(axis=0)


# %%
def compare_normalisation(s) -> dict[str, float]:
    """Returns the largest differences to Keras' layer: in training, of the way back, in use."""
    layer, units = layers.BatchNormalization(dtype="float64"), s.shape[1]
    theirs = outputs_and_gradients(lambda s: layer(s, training=True), s)
    output, weights = normalise_batch(s, [np.ones(units), *np.zeros((2, units)), np.ones(units)])
    gradient, *_ = normalise_backward(output, s, gamma=1.0)
    ours = [output, gradient, normalise(s, *weights)]
    return largest_differences(("training", "gradient", "use"), ours, [*theirs, layer(s)])


# %%
if __name__ == "__main__":
    scores = np.random.default_rng(0).normal(3, 2, (16, 5))
    for name, difference in compare_normalisation(scores).items():
        print(f"{name:8} largest difference to Keras' layer {difference:.0e}")

# %% [markdown]
# (`kerasbook verify chapter2_deep_network` does the same over several steps, and for $\gamma$ and
# $\beta$.)
#
# Back to the deep stack. Does batch normalisation repair a scale that is wrong? We build it in
# Keras, with a gain, and with or without a normalisation before each ReLU. (The dense layers before
# one need no bias, because $\beta$ is theirs.)


# %%
def make_stack(gain, normalised, hidden=10, units=128) -> keras.Model:
    """Returns a stack of hidden layers on pictures: (n, 28, 28, 1) → scores (n, 10)."""
    scale = {"mode": "fan_in", "distribution": "untruncated_normal"}
    inputs = keras.Input((28, 28, 1))
    x = layers.Flatten()(inputs)
    for number in range(hidden):
        start = keras.initializers.VarianceScaling(gain, **scale, seed=number)
        x = layers.Dense(units, use_bias=not normalised, kernel_initializer=start)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x) if normalised else x)
    start = keras.initializers.VarianceScaling(gain, **scale, seed=hidden)
    return keras.Model(inputs, layers.Dense(10, kernel_initializer=start)(x))


# %%
if __name__ == "__main__":
    print("loss of the second epoch   as it is   normalised")
    options = {"learning_rate": 0.05, "epochs": 2, "jit": "off", "progress": "none"}
    for gain in (0.5, 2.0):
        runs = [train(make_stack(gain, each), splits, **options) for each in (False, True)]
        losses = [run.history["loss"][-1] for run in runs]
        print(f"gain {gain:<21} {losses[0]:8.3f} {losses[1]:12.3f}")

# %% [markdown]
# With the normalisation the weights that were too small to learn do learn, as well as He's. It
# costs memory and time, and in training it makes the answer for one row of a batch depend on the
# others; with batches of a few rows that is noise. Chapter 9 asks what it means when a batch is
# divided among several devices.
#
# ## The same in Keras
#
# Three dense layers are few enough to do without. The model flattens the pictures itself, and
# returns scores.


# %%
def make_model(
    shape: tuple[int, ...], classes: int, hidden: tuple[int, ...] = (128, 64)
) -> keras.Model:
    """Returns the deep network: pictures (n, *shape) → scores (n, classes)."""
    inputs = keras.Input(shape)
    x = layers.Flatten()(inputs)
    for units in hidden:
        x = layers.Dense(units, "relu", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name="deep_network")


# %% [markdown]
# Does Keras compute what we compute? We give both the same random weights, and compare outputs,
# loss and every gradient. (`kerasbook verify chapter2_deep_network` does it for random sizes.)


# %% tags=["hide-input"]
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
    model = make_model((28, 28, 1), 10)
    differences = compare_with_keras(model, splits.train.x[:64], splits.train.y[:64])
    print(f"{model.count_params():,} parameters; outputs, loss and gradients:", end=" ")
    print(f"largest difference {max(differences.values()):.0e}")

# %% [markdown]
# ## Result
#
# `main` trains this network with plain SGD, as softmax regression was trained on the page before,
# and reports the same score.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "minutes": 1,
}


def main(
    epochs: int = 12,
    batch_size: int = 64,
    learning_rate: float = 0.02,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a deep network on pictures of clothes.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step
        learning_rate: of SGD
        seed: of the first weights and of the shuffling
        dataset: fashion, or mnist, fashion_mnist, cifar10 from TensorFlow Datasets
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    model = make_model(splits.train.x.shape[1:], len(splits.classes))
    model.summary()
    options = {"epochs": epochs, "batch_size": batch_size} | fit_options
    history = train(model, splits, learning_rate=learning_rate, seed=seed, **options)
    accuracy = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    scores = {
        name: evaluate(model, getattr(splits, name), loss_fn=loss_fn, metrics=accuracy)
        for name in ("validation", "test")
    }
    guesses = predict(model, splits.test.x).argmax(axis=1)
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, guesses, splits.classes),
    }
    return Result(splits, model, history, scores, figures)


# %% alt="Loss and accuracy over twelve epochs: the training loss falls steadily, the validation loss flattens; the validation accuracy jumps about."
if __name__ == "__main__":
    result = main()
    plt.close(result.figures["confusion"].figure)  # one such picture is on the page before

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# Over five seeds the test accuracy was 0.846 ± 0.006, mean ± standard deviation. That is only about
# one percentage point more than softmax regression's on the page before, and little more than the
# standard error of a share measured on 2,000 pictures. A hundred thousand weights for one point?
#
# Twelve epochs of plain SGD are not its end. The validation loss is lowest in the last of them,
# though a gap to the training loss has opened: the network has begun to remember its pictures
# besides learning what they have in common. Which of the two goes on if it is trained for longer?
# [The next page](chapter2_training.ipynb) asks that, and how to get there sooner.
#
# ## What to try
#
# - `--epochs 24`: how far does patience alone come? Compare it with the next page's result.
# - Give `fit_cars` 1, 2 and 64 hidden units. How many corners do you see, and does the error on the
#   validation part still fall with 64?
# - Start all weights at zero. What do the hidden units learn, and what can the network still do?
# - Replace the ReLU of `forward` by a tanh, and mend `backward`. Which gain keeps the spread level?
# - Put batches of four rows through `make_stack` with normalisation (`batch_size=4`). What does the
#   noise cost?
#
# ## Where to go next
#
# [Training](chapter2_training.ipynb) takes this network and asks which way downhill is best, how
# long to walk, and whether to believe its probabilities. What others have written wrongly about
# backpropagation stands in [*The articles' mistakes*](errata.ipynb).
