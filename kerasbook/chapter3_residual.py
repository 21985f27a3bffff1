# %% [markdown]
"""
# Chapter 3, continued. Deeper networks

Three convolutions tell most garments apart. Would twenty do it better? They could never do worse,
one should think: let eight of them do what a network of eight does, and the others hand on what
they get. Yet deep plain networks came out worse than shallower ones. Then a plus sign was put in,
and in 2015 networks of up to 152 layers won the ImageNet contest, photographs of a thousand kinds
(He and others, *Deep residual learning for image recognition*). What does a plus sign do?

After this page you can

- show that deep plain networks are harder to train, and see one reason;
- write a residual block and its way back by hand;
- warm up a learning rate;
- count what a network weighs and what it costs, and tell a VGG from a ResNet;
- carry what a network has learned over to a task with few examples.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter3_residual`): train, save, end. The cells below are for
# reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter3_residual")

# %% tags=["hide-input"]
import dataclasses
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter2_deep_network import normalise, normalise_backward
from kerasbook.chapter3 import (
    RandomFlipAndShift,
    conv2d,
    conv2d_gradients,
    conv_parameters,
    dense_parameters,
    plot_mistakes,
    plot_schedule,
)
from kerasbook.contents import load_results
from kerasbook.data import Part, load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_differences
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## Are more layers better?
#
# We build networks that differ in their depth alone. The bricks are convolutions of 3 × 3, each
# with the batch normalisation of chapter 2, so that no layer's scale can be blamed. Its mean and
# its variance are taken over pictures, rows and columns; each filter has its own. Because it takes
# the mean out, the convolution before it needs no bias.


# %%
def conv_norm(x, filters, stride=1):
    """Returns x (n, height, width, channels) after a 3 × 3 convolution and its normalisation."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "he_normal"}
    x = layers.Conv2D(filters, 3, stride, **options)(x)
    return layers.BatchNormalization(momentum=0.9)(x)  # few steps: running means that follow fast


# %%
def plain_block(x, filters, stride=1):
    """Returns x (n, height, width, channels) after two layers."""
    x = layers.ReLU()(conv_norm(x, filters, stride))
    return layers.ReLU()(conv_norm(x, filters))


BLOCKS = {"plain": plain_block}


# %% [markdown]
# A network has three stages. The first convolution halves the pictures at once, to 14 × 14, to be
# quick; from one stage to the next a stride of 2 halves them again, to 7 × 7 and 4 × 4, and the
# filters double, from 16 to 32 and 64. Each stage has one, two or three *blocks* of two layers.
# With the first convolution and the dense layer at the end that makes 8, 14 or 20. Before the dense
# layer the maps are averaged over all their places, so that it needs 64 weights and a bias for each
# kind.


# %%
def make_model(
    shape, classes, network="residual", blocks=3, widths=(16, 32, 64), flip=True, shift=0
) -> keras.Model:
    """Returns a network of 6 · blocks + 2 layers: (n, *shape) → logits (n, classes)."""
    inputs = keras.Input(shape)
    x = RandomFlipAndShift(flip, shift)(inputs)
    x = layers.ReLU()(conv_norm(x, widths[0], stride=2))
    for stage, filters in enumerate(widths):
        for number in range(blocks):
            x = BLOCKS[network](x, filters, stride=2 if stage and not number else 1)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes)(x), name=f"{network}_{6 * blocks + 2}")


# %% tags=["hide-input"]
def print_measured(rows, columns, digits=3):
    """Prints what was measured over five seeds: means, and in brackets their standard errors.

    rows: what is printed → the name of its measurement; columns: names of scores.
    """
    measured = load_results()["measurements"]["chapter3_residual"]
    measured |= measured.get("transfer", {})
    print(" " * 38, *(f"{column:>19}" for column in columns))
    for name, key in rows.items():
        scores = [measured.get(key, {}).get(column) for column in columns]
        shown = [
            f"{each['mean']:.{digits}f} ({each['error']:.{digits}f})" if each else "not measured"
            for each in scores
        ]
        print(f"{name:38}", *(f"{each:>19}" for each in shown))


SCORES = ("training loss", "validation")

# %% [markdown]
# The loss is the cross-entropy. The optimiser is SGD with momentum and a little weight decay, and
# the learning rate falls from 0.1 along the half cosine of the page before, with an addition that
# is explained below.


# %%
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def make_schedule(learning_rate, examples, batch_size, epochs, warm_up=100):
    """Returns the learning rate by step: up in a line, then down along half a cosine to zero."""
    steps = epochs * -(-examples // batch_size)
    cosine = keras.optimizers.schedules.CosineDecay
    warm_up = min(warm_up, steps // 2)
    if not warm_up:
        return cosine(learning_rate, steps)
    return cosine(0.0, steps - warm_up, warmup_target=learning_rate, warmup_steps=warm_up)


# %% tags=["hide-input"]
def train(
    model,
    splits,
    epochs=8,
    batch_size=64,
    learning_rate=0.1,
    warm_up=100,
    weight_decay=5e-4,
    **options,
):
    """Trains a model with SGD, momentum and a decay of all weights; returns the History."""
    schedule = make_schedule(learning_rate, len(splits.train.x), batch_size, epochs, warm_up)
    return fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9, weight_decay=weight_decay),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        validation_data=splits.validation,
        **options,
    )


# %% [markdown]
# Eight layers against twenty. The one with twenty has more than three times the weights. Both are
# trained for eight epochs, with five seeds each; below stand the means, and in brackets their
# standard errors. Which of them fits the *training* pictures better?


# %%
def count_weights(model) -> int:
    """Returns how many numbers the model learns; running means and variances are not learned."""
    return sum(int(np.prod(variable.shape)) for variable in model.trainable_variables)


# %%
if __name__ == "__main__":
    splits = load_fashion()
    for blocks in (1, 3):
        model = make_model((28, 28, 1), 10, "plain", blocks)
        print(f"{model.name}: {count_weights(model):,} weights")
    print_measured({"plain, 8 layers": "plain 8", "plain, 20 layers": "plain 20"}, SCORES)

# %% [markdown]
# The deeper one is worse, and not because it memorises: its loss is higher on the very pictures
# that it learns from. Nor is it too small to do what the other does. It does not find it, in these
# eight epochs.
#
# *Exercise: chapter 3's `fold_batch_norm`.*
#
# ## Why?
#
# A step goes against the gradient as it is *now*. It is worth something only if the gradient has
# about the same direction after the step. So we take a small step downhill, and compute the
# gradient again, on the same pictures.
#
# A gradient is one long row of numbers, an arrow with as many coordinates as there are weights. The
# cosine of the angle between two arrows is found as on paper: multiply the rows number by number,
# add up, and divide by both lengths. It is 1 if both have the same direction, and 0 if they are at
# right angles, so that the old one says nothing about the new. Guess it for 8 layers and for 20,
# after steps of the same length.


# %%
def flat_gradient(model, x, y):
    """Returns all gradients of the loss in one row, and the list that they come from."""
    with tf.GradientTape() as tape:
        loss = loss_fn(y, model(x, training=True))
    gradients = tape.gradient(loss, model.trainable_variables)
    return np.concatenate([np.ravel(g) for g in gradients]), gradients


# %%
def agreement(model, x, y, step=0.05):
    """Returns the cosine of the gradients before and after a step of this length downhill."""
    before, gradients = flat_gradient(model, x, y)
    length = np.linalg.norm(before)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(step / length * gradient)
    after, _ = flat_gradient(model, x, y)
    return before @ after / length / np.linalg.norm(after)


# %% tags=["hide-input"]
def agreements(network, blocks, x, y, step=0.05, seeds=3):
    """Returns the cosines (seeds,) of new networks, without augmentation."""
    found = []
    for seed in range(seeds):
        keras.utils.set_random_seed(seed)
        model = make_model(x.shape[1:], 10, network, blocks, flip=False)
        found.append(agreement(model, x, y, step))
    return np.array(found)


# %%
if __name__ == "__main__":
    x, y = splits.train.x[:128], splits.train.y[:128]
    for blocks in (1, 3):
        cosines = agreements("plain", blocks, x, y)
        print(f"plain, {6 * blocks + 2:2} layers, three starts: cosines", cosines.round(2))

# %% [markdown]
# In the network of twenty a step of this length is enough, and the gradient points somewhere else
# altogether. It is the product of what twenty layers do, and each of them has changed a little. So
# momentum adds up gradients that have little in common, and only the smallest steps go where they
# were meant to go. (This is how training begins. Balduzzi and others, 2017, moved the input and not
# the weights, found the like, and call it *shattered gradients*.)
#
# ## The plus sign
#
# Let two layers no longer make the new $x$, but only what is to be *added* to it:
#
# $$x \leftarrow \max(0,\; x + F(x)) .$$
#
# That is a *residual block*: $F$ has only to learn the residue, what is missing from $x$. The line
# around its two layers is the *shortcut*. Where the layers have nothing to add, $F$ can shrink to
# zero (a $\gamma$ of zero in the second normalisation is enough), and the block hands on what it
# got; a plain block would have to learn that with all its weights. Training does not begin there:
# with $\gamma = 1$ the block adds about as much as it got. But $x$ is part of the sum from the
# first step on. And on the way back the gradient goes through the sum whole, beside what comes back
# through the layers. What do you expect of the cosine between two gradients, and of the loss?

# %% tags=["cover"] alt="A residual block from left to right: convolution, batch norm, ReLU, convolution, batch norm, under these five F of x; then a plus sign, to which a line leads from the input around all of them, and a last ReLU."
if __name__ == "__main__":
    plotting.plot_residual_block()

# %% [markdown]
# In Keras it is the plain block with an `Add` before the last ReLU. From stage to stage the
# pictures shrink and the channels double, so $x$ no longer fits the sum. There `shortcut` averages
# 2 × 2 places, and adds channels of zeros. It has no weights.


# %%
def shortcut(x, filters, stride):
    """Returns x, pooled and with channels of zeros where its shape would not fit the sum."""
    if stride > 1:
        x = layers.AveragePooling2D(stride, padding="same")(x)
    missing = filters - x.shape[-1]
    return keras.ops.pad(x, [(0, 0), (0, 0), (0, 0), (0, missing)]) if missing else x


# %%
def residual_block(x, filters, stride=1):
    """Returns the ReLU of x + two layers of x: (n, height, width, filters)."""
    added = conv_norm(layers.ReLU()(conv_norm(x, filters, stride)), filters)
    return layers.ReLU()(layers.Add()([added, shortcut(x, filters, stride)]))


BLOCKS["residual"] = residual_block

# %% [markdown]
# By hand it is chapter 3's convolution and chapter 2's normalisation, twice each, and a sum. A
# normalisation of maps treats every place as a row.


# %%
def rows(maps):
    """Returns maps (n, height, width, channels) as rows (n · height · width, channels)."""
    return maps.reshape(-1, maps.shape[-1])


# %%
def normalise_maps(maps, gamma, beta):
    """Returns the maps, normalised over pictures and places as in training."""
    s = rows(maps)
    return normalise(s, gamma, beta, s.mean(axis=0), s.var(axis=0)).reshape(maps.shape)


# %%
def block_forward(x, weights):
    """Returns the outputs of every layer of a block, the input first and its own output last.

    weights: kernel, γ and β of the first layer, and of the second.
    """
    kernel_1, gamma_1, beta_1, kernel_2, gamma_2, beta_2 = weights
    s_1 = conv2d(x, kernel_1, 0.0, padding="same").numpy()
    a_1 = np.maximum(normalise_maps(s_1, gamma_1, beta_1), 0)
    s_2 = conv2d(a_1, kernel_2, 0.0, padding="same").numpy()
    return [x, s_1, a_1, s_2, np.maximum(x + normalise_maps(s_2, gamma_2, beta_2), 0)]


# %% [markdown]
# On the way back, two ways part at the plus sign. Let $\delta$ be the gradient of the loss for the
# sum $x + F(x)$. The derivative of a sum is 1 for each of its parts, so
#
# $$\frac{\partial L}{\partial x} = \delta + \left(\frac{\partial F}{\partial x}\right)^{\!\top}
# \delta .$$
#
# Here $\partial F / \partial x$ is a table with a row for each number of $F$ and a column for each
# of $x$. Nobody writes it out: its product with $\delta$ is what comes back through the layers, as
# with $W^\top$ in chapter 2. The first term has not met a single weight. Through many such blocks
# one part of the gradient comes down as it was above, up to the ReLUs, and whatever the weights do
# in a step, this part stays nearly as it was.
#
# Read `block_backward` from below: `delta + back` in its last line is the formula. The rest is
# chapters 2 and 3, backwards.


# %%
def conv_backward(x, kernel, g):
    """Returns the gradients for x and the kernel of a 3 × 3 convolution with padding "same"."""
    framed = tf.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
    for_x, for_kernel, _ = conv2d_gradients(framed, kernel, g)
    return for_x[:, 1:-1, 1:-1].numpy(), for_kernel.numpy()


# %%
def normalise_maps_backward(delta, maps, gamma):
    """Returns the gradients for the maps, γ and β."""
    for_s, for_gamma, for_beta = normalise_backward(rows(delta), rows(maps), gamma)
    return for_s.reshape(maps.shape), for_gamma, for_beta


# %%
def block_backward(delta, outputs, weights):
    """Returns the gradient for x, and the list of those for the weights, from `delta`, that for y.

    outputs: what `block_forward` returned.
    """
    x, s_1, a_1, s_2, y = outputs
    kernel_1, gamma_1, _, kernel_2, gamma_2, _ = weights
    delta = delta * (y > 0)
    back, *second = normalise_maps_backward(delta, s_2, gamma_2)
    back, for_kernel_2 = conv_backward(a_1, kernel_2, back)
    back, *first = normalise_maps_backward(back * (a_1 > 0), s_1, gamma_1)
    back, for_kernel_1 = conv_backward(x, kernel_1, back)
    return delta + back, [for_kernel_1, *first, for_kernel_2, *second]


# %% tags=["hide-input"]
def compare_with_keras(x) -> dict[str, float]:
    """Returns the largest differences to `residual_block`, in training: outputs and gradients."""
    channels = x.shape[-1]
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(str(x.dtype))
    try:
        inputs = keras.Input(x.shape[1:], dtype=str(x.dtype))
        model = keras.Model(inputs, residual_block(inputs, channels))
    finally:
        keras.config.set_dtype_policy(policy)
    random = np.random.default_rng(1)
    weights = [v.numpy() + random.normal(0, 0.2, v.shape) for v in model.trainable_variables]
    for variable, weight in zip(model.trainable_variables, weights, strict=True):
        variable.assign(weight)
    with tf.GradientTape() as tape:
        x = tf.constant(x)
        tape.watch(x)
        theirs = model(x, training=True)
        loss = tf.reduce_sum(theirs**2) / 2  # so that its gradient for the output is the output
    expected = tape.gradient(loss, [x, *model.trainable_variables])
    outputs = block_forward(x.numpy(), weights)
    for_x, for_weights = block_backward(outputs[-1], outputs, weights)
    names = ("output", "x", "kernel 1", "γ 1", "β 1", "kernel 2", "γ 2", "β 2")
    return largest_differences(names, [outputs[-1], for_x, *for_weights], [theirs, *expected])


# %%
if __name__ == "__main__":
    differences = compare_with_keras(np.random.default_rng(0).normal(size=(4, 6, 5, 3)))
    print(f"output and {len(differences) - 1} gradients of a block:", end=" ")
    print(f"largest difference to Keras {max(differences.values()):.0e}")

# %% [markdown]
# The shortcuts have no weights, so the residual network has exactly as many as the plain one, and
# needs as many multiplications.
#
# *Exercises: `zero_shortcut` (five minutes) is another such shortcut; `bottleneck_block`,
# `squeeze_and_excite` and `stochastic_depth` are blocks that larger networks use.*
#
# ## Does it help?
#
# First the gradients, then five seeds of training.

# %%
if __name__ == "__main__":
    print("residual, 20 layers: cosines", agreements("residual", 3, x, y).round(2))

# %%
if __name__ == "__main__":
    networks = ("plain 8", "residual 8", "plain 20", "residual 20")
    deep = {f"{name} layers": name for name in networks}
    print_measured(deep, SCORES)

# %% [markdown]
# After a step of the same length the gradient is nearly the same. And with as many weights, as many
# multiplications and the same training, the residual network of twenty layers is better than the
# plain one on both parts, and its loss is the lowest of the four. On the validation part its lead
# over the residual one of eight is within the error.
#
# ## Warming up
#
# The learning rate does not begin at its largest. For the first hundred steps it rises in a line
# from zero, and only then it falls along the half cosine of the page before. What is this *warm-up*
# good for?

# %% alt="The learning rate over 1,128 steps: up in a straight line to 0.1 at step 100, then down along half a cosine to zero."
if __name__ == "__main__":
    plot_schedule(make_schedule(0.1, len(splits.train.x), 64, epochs=8), steps=1128)

# %% [markdown]
# At the first step all that the network knows is noise. Where the rate is bold, the first steps may
# throw the weights so far that the rest of the training is spent on coming back. Here is a rate of
# 0.4, four times ours, for two epochs of the residual network.

# %%
if __name__ == "__main__":
    bold = {"from the first step on": "fast, none", "warmed up for one epoch": "fast, warm-up"}
    print_measured(bold, SCORES)

# %% [markdown]
# Without the warm-up, two epochs are hardly a beginning.
#
# *Exercise: `warmed_up_rate` (five minutes).*
#
# ## Which augmentation?
#
# `RandomFlipAndShift` of the page before makes new pictures of old ones at every step. Our network
# sees half of its pictures mirrored, and none moved. What do you expect, in eight epochs, without
# the mirror, and with shifts by up to two pixels as well?

# %%
if __name__ == "__main__":
    kinds = {"none": "no augmentation", "mirrored (ours)": "residual 20"}
    print_measured(kinds | {"mirrored and moved": "mirrored and moved"}, SCORES)

# %% [markdown]
# Without the mirror the network fits its training pictures much better, and others about as well:
# the difference is within its error. With shifts as well it is behind on both parts, after eight
# epochs.
#
# *Exercises: `cut_out` hides a part of every picture; `mix_up` mixes two.*
#
# ## Result
#
# `main` trains the residual network of twenty layers. All that was compared above was compared on
# the validation part, and only now do we look at the test part.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "bounds": {"blocks": [1, 18], "warm_up": [0, 100_000]},
    "minutes": 1,
}


def main(
    network: Literal["residual", "plain"] = "residual",
    blocks: int = 3,
    epochs: int = 8,
    batch_size: int = 64,
    learning_rate: float = 0.1,
    warm_up: int = 100,
    shift: int = 0,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a deep residual network on pictures of clothes, digits or things.

    Args:
        network: with shortcuts, or plain
        blocks: of two layers in each of the three stages; the network has 6 · blocks + 2 layers
        epochs: passes over the training part
        batch_size: pictures per step
        learning_rate: of SGD, after warming up; it falls to zero along half a cosine
        warm_up: steps in which it rises from zero
        shift: pictures are moved by up to so many pixels in training
        seed: of the first weights, the shuffling and the augmentation
        dataset: fashion, or from TensorFlow Datasets mnist, fashion_mnist, cifar10
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    flip = dataset != "mnist"  # a digit in a mirror is not a digit
    shape, classes = splits.train.x.shape[1:], len(splits.classes)
    model = make_model(shape, classes, network, blocks, flip=flip, shift=shift)
    print(f"{model.name}: {count_weights(model):,} weights")
    options = {"epochs": epochs, "batch_size": batch_size, "warm_up": warm_up} | fit_options
    history = train(model, splits, learning_rate=learning_rate, seed=seed, **options)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    scores = {
        name: evaluate(model, getattr(splits, name), loss_fn=loss_fn, metrics=metrics)
        for name in ("validation", "test")
    }
    predicted = predict(model, splits.test.x).argmax(axis=-1)
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
        "mistakes": plot_mistakes(splits, predicted),
    }
    return Result(splits, model, history, scores, figures)


# %% alt="Two panels over eight epochs, loss and accuracy, training solid and validation dashed: validation is better at first; then training passes it and draws away, and validation is nearly level."
if __name__ == "__main__":
    result = main()
    for name in ("confusion", "mistakes"):
        plt.close(np.ravel(result.figures[name])[0].figure)

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# From the middle on the network fits its training pictures better than others, and the gap grows.
# Five seeds, on the test part:

# %%
if __name__ == "__main__":
    print_measured(deep, ("validation", "test"))

# %% [markdown]
# With twenty layers, the plus sign decides. Whether one needs twenty is another question: on these
# pictures, eight layers and the three convolutions of chapter 3 are about as good. Elsewhere depth
# pays: on the small photographs of CIFAR-10, He and others went from 20 residual layers to 110, and
# the errors from 8.75 % to 6.43 %.
#
# ## Two patterns: VGG and ResNet
#
# In 2014 *VGG* (Simonyan and Zisserman) made a rule of what works: stacks of 3 × 3 convolutions, a
# pooling after each stack, twice as many filters after each pooling, up to 512, and three wide
# dense layers at the end. Two windows of 3 × 3 see 5 × 5 pixels, with 18 weights for 25 and a ReLU
# between them. *ResNet*, a year later, keeps the 3 × 3 convolutions and the doubling, halves by
# strides where VGG pools, adds the plus signs, and throws all dense layers but the last away. Which
# of the two weighs more, and which costs more? Here is VGG's pattern in our size, with two dense
# layers.


# %%
def make_vgg(shape, classes, widths=(16, 32, 64), dense=128) -> keras.Model:
    """Returns a small network of VGG's pattern: (n, *shape) → logits (n, classes)."""
    inputs = x = keras.Input(shape)
    for filters in widths:
        for _ in range(2):
            x = layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dense(dense, "relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(classes)(x), name="vgg")


# %% [markdown]
# The cost of a picture is counted in multiplications. A convolution uses each of its weights at
# every place of its output, a dense layer uses each of its own once.


# %%
def multiplications(model) -> int:
    """Returns how many multiplications the convolutions and dense layers need for a picture."""
    total = 0
    for layer in model.layers:
        if isinstance(layer, (layers.Conv2D, layers.Dense)):
            places = np.prod(layer.output.shape[1:-1], dtype=int)
            total += int(places * np.prod(layer.kernel.shape))
    return total


# %%
if __name__ == "__main__":
    small = (make_vgg((28, 28, 1), 10), make_model((28, 28, 1), 10))
    for model in small:
        costs = f"{count_weights(model):9,} weights, {multiplications(model):11,} multiplications"
        print(f"{model.name:12} {costs}")

# %% [markdown]
# In our size they cost about the same, and the one of twenty layers has nearly twice the weights.
# The originals read colour pictures of 224 × 224 and tell a thousand classes apart. We need not
# build them: their papers list their layers, and our formulas do the rest. A row below is a
# convolution: kernel size, channels, filters, side of the output, and how often it stands there.


# %%
VGG_16 = [
    (3, 3, 64, 224, 1),
    (3, 64, 64, 224, 1),
    (3, 64, 128, 112, 1),
    (3, 128, 128, 112, 1),
    (3, 128, 256, 56, 1),
    (3, 256, 256, 56, 2),
    (3, 256, 512, 28, 1),
    (3, 512, 512, 28, 2),
    (3, 512, 512, 14, 3),
]
VGG_16_DENSE = [(7 * 7 * 512, 4096), (4096, 4096), (4096, 1000)]  # inputs, units

# %%
RESNET_34 = [
    (7, 3, 64, 112, 1),
    (3, 64, 64, 56, 6),
    (1, 64, 128, 28, 1),  # those of 1 × 1 are shortcuts
    (3, 64, 128, 28, 1),
    (3, 128, 128, 28, 7),
    (1, 128, 256, 14, 1),
    (3, 128, 256, 14, 1),
    (3, 256, 256, 14, 11),
    (1, 256, 512, 7, 1),
    (3, 256, 512, 7, 1),
    (3, 512, 512, 7, 5),
]
RESNET_34_DENSE = [(512, 1000)]


# %%
def weigh(convolutions, dense, normalised):
    """Returns the weights of a network, its multiplications, and the share of its dense layers.

    normalised: whether the convolutions have γ and β of a normalisation in place of their bias.
    """
    weights = sum(n * (conv_parameters(k, c, f) + f * normalised) for k, c, f, _, n in convolutions)
    in_dense = sum(dense_parameters(*pair) for pair in dense)
    work = sum(n * k * k * c * f * side**2 for k, c, f, side, n in convolutions)
    work += sum(inputs * units for inputs, units in dense)
    return weights + in_dense, work, in_dense / (weights + in_dense)


# %%
if __name__ == "__main__":
    originals = {"VGG-16": (VGG_16, VGG_16_DENSE, False)}
    originals |= {"ResNet-34": (RESNET_34, RESNET_34_DENSE, True)}
    for name, network in originals.items():
        weights, work, share = weigh(*network)
        print(f"{name:9} {weights / 1e6:6.1f} million weights, {share:4.0%} of them dense")
        print(f"{'':9} {work / 1e9:6.1f} billion multiplications")

# %% [markdown]
# The older network is six times as heavy and four times as costly, with half as many layers. Nearly
# all of its weights are in the dense layers, which the average over all places has made
# unnecessary. And it works on larger maps: its first stack has 224 × 224 places, ResNet's first
# stage 56 × 56, because ResNet halves the pictures twice before it begins.
#
# *Exercise: `weigh_residual_network` counts a network whose shortcuts have weights.*
#
# ## Transfer: ten examples
#
# What if there are only ten pictures, five of each of two new kinds? Nobody learns to see from ten
# pictures. But somebody who has seen thousands of others knows what edges, collars and sleeves look
# like. We hide pullovers and coats, which are hard to tell apart; train a network of eight layers
# on the other eight garments; and give it a few examples of the two.


# %%
NEW = (2, 4)  # pullover, coat
OLD = (0, 1, 3, 5, 6, 7, 8, 9)


# %%
def only(part, classes):
    """Returns the pictures of these classes, which are numbered 0, 1, … in their order."""
    kept = np.isin(part.y, classes)
    return Part(part.x[kept], np.searchsorted(classes, part.y[kept]).astype("int32"))


# %%
def few(part, count, seed):
    """Returns `count` random examples of a part with two classes, half of each."""
    random = np.random.default_rng(seed)
    kinds = [np.flatnonzero(part.y == label) for label in (0, 1)]
    rows = np.concatenate([random.choice(kind, count // 2, replace=False) for kind in kinds])
    return Part(part.x[rows], part.y[rows])


# %% [markdown]
# The network loses its last layer, which answered for the eight, and gets a new one for the two.
# Then there are two ways. Either all that it has learned stays *frozen*, and only the new layer
# learns. Or everything goes on learning, which is called *fine-tuning*, with small steps, because
# the new layer begins at random, and large ones would spoil what the layers under it know. In both
# the batch normalisations keep the mean and the variance of the thousands, because those of ten
# pictures would be noise. That also switches the augmentation off: only a network that learns from
# scratch will see mirrored pictures.


# %%
def with_new_head(model, classes=2, frozen=False) -> keras.Model:
    """Returns a network that shares all layers with the model but the last, which is new."""
    features = keras.Model(model.inputs[0], model.layers[-2].output)
    features.trainable = not frozen
    inputs = keras.Input(model.input_shape[1:])
    return keras.Model(inputs, layers.Dense(classes)(features(inputs, training=False)))


# %%
def fine_tune(model, examples, learning_rate, steps=100, seed=0):
    """Trains the model on a few examples, for about so many steps, with a falling rate."""
    batch_size = min(len(examples.x), 32)
    epochs = steps // -(-len(examples.x) // batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9)
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "jit": "off"}
    fit(model, examples, loss_fn=loss_fn, optimizer=optimizer, progress="none", **options)


# %%
WAYS = {"from scratch": 0.03, "frozen": 0.03, "fine-tuned": 0.01}  # and a learning rate for each


# %%
def start_of(way, weights, seed):
    """Returns the network with which a way begins; weights: of the one trained on eight."""
    keras.utils.set_random_seed(seed)
    if way == "from scratch":
        return make_model((28, 28, 1), 2, blocks=1)
    model = make_model((28, 28, 1), len(OLD), blocks=1)
    model.set_weights(weights)
    return with_new_head(model, frozen=way == "frozen")


# %%
def learn_eight(splits, seed=0, epochs=5):
    """Returns the weights of a network of eight layers, trained on the eight garments."""
    keras.utils.set_random_seed(seed)
    model = make_model((28, 28, 1), len(OLD), blocks=1)
    old = {name: only(getattr(splits, name), OLD) for name in ("train", "validation")}
    train(model, dataclasses.replace(splits, **old), epochs=epochs, seed=seed, progress="none")
    return model.get_weights()


# %%
def accuracy_with(count, way, weights, splits, seed=0, part="test"):
    """Returns the accuracy on the two new garments after `count` examples."""
    model = start_of(way, weights, seed)
    fine_tune(model, few(only(splits.train, NEW), count, seed), WAYS[way], seed=seed)
    x, y = only(getattr(splits, part), NEW)
    return float(np.mean(predict(model, x).argmax(axis=1) == y))


# %%
if __name__ == "__main__":
    weights = learn_eight(splits.take(3000))  # a third of the pictures, to be quick
    for way in WAYS:
        accuracy = accuracy_with(50, way, weights, splits, part="validation")
        print(f"{way:12} validation accuracy with 50 examples {accuracy:.3f}")

# %% [markdown]
# One run may deceive, here above all, where the first network has seen a third of the pictures.
# With all of them, over five seeds (other examples, other first weights, another network of eight),
# this is the test accuracy on the two.

# %%
if __name__ == "__main__":
    ways = {way: way for way in WAYS}
    print_measured(ways, ("10 examples", "50 examples", "200 examples"))

# %% [markdown]
# Read it by columns. With ten examples nobody is far from guessing, which would be right about one
# in two, and from run to run the accuracy differs more than from way to way. With fifty,
# fine-tuning is ahead of learning from scratch; the frozen layers may be. With two hundred the
# frozen layers fall behind even a network from scratch: perhaps what told eight kinds apart is not
# all that a coat needs. Fine-tuned, they are behind it in none of the five runs. This is
# *transfer learning*. In practice the first network is one that somebody has trained on millions of
# photographs.
#
# ## What to try
#
# - `--shift 2 --epochs 24`: do moved pictures pay in three times as many epochs?
# - `--network plain --blocks 5`: 32 plain layers. And 32 residual ones?
# - Begin with `gamma_initializer="zeros"` in the second normalisation of each block. What does the
#   block hand on at the first step?
# - Give `agreement` a step of 0.5. Which network still agrees with itself?
# - Hide two shoes: `NEW = (7, 9)`, and `OLD` accordingly. What do ten examples do now?
# - `--dataset cifar10 --epochs 30`: does depth count more there?
#
# ## Where to go next
#
# Chapter 4 reads sentences. The plus sign returns in chapter 6, where every block of a Transformer
# has two or three. [*The articles' mistakes*](errata.ipynb) has what others have written wrongly
# about convolutions.
