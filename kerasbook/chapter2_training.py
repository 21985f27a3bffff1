# %% [markdown]
"""
# Chapter 2, continued. Training

The deep network of [the page before](chapter2_deep_network.ipynb) learns. Could it learn faster,
and from first weights that are not quite right? When should it stop, because it remembers instead
of learning? And if it says "80 % sure", may we believe it?

After this page you can

- write SGD, momentum, RMSProp and Adam in a few lines each, and say what each is good for;
- find a learning rate;
- see a network memorise its pictures, and hold it back with L2, dropout or early stopping;
- read a reliability diagram, and mend probabilities that are too sure.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter2_training`): train, save, end. The cells below are for
# reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter2_training")

# %% tags=["hide-input"]
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter2 import cross_entropy, loss_fn, softmax
from kerasbook.chapter2_deep_network import (
    SIZES,
    backward,
    descend,
    flat,
    forward,
    initial_weights,
    tape_gradients,
)
from kerasbook.contents import load_results
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_difference
from kerasbook.training import batch_order, evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## Four ways downhill
#
# The gradient says where downhill is. How far to go is the optimiser's business. Here are four of
# them on one task: the network 784-128-64-10, the same first weights, the same batches. Which curve
# will be the lowest after three epochs? And will the order be the same if the first weights are ten
# times too small? We write the four first, each as a function: the weights, their gradient and what
# it remembers go in, the new weights and what it remembers now come out. $\eta$ is the learning
# rate; the other Greek letters and $t$ are numbers too, all else has the shape of the weights.
#
# **SGD** goes against the gradient and remembers nothing: $w \leftarrow w - \eta g$.


# %%
def sgd(w, gradient, state, learning_rate):
    """Returns the next weights, and the state as it was."""
    return w - learning_rate * gradient, state


# %% [markdown]
# **Momentum** remembers a velocity, $v \leftarrow \beta v - \eta g$, and goes
# $w \leftarrow w + v$. Steps in the same direction add up, $1 + \beta + \beta^2 + \dots = 1 / (1 -
# \beta)$, with $\beta = 0.9$ to ten times as much; zigzags cancel.


# %%
def momentum(w, gradient, velocity, learning_rate, decay=0.9):
    """Returns the next weights and velocity."""
    velocity = decay * velocity - learning_rate * gradient
    return w + velocity, velocity


# %% [markdown]
# **RMSProp** gives each weight a learning rate of its own. It remembers how large the gradient of
# that weight usually is, as a running mean of squares, and divides by its root:
#
# $$r \leftarrow \rho r + (1 - \rho) g^2, \qquad
# w \leftarrow w - \frac{\eta\, g}{\sqrt{r + \epsilon}} .$$
#
# So the step has about the length $\eta$, whether gradients are large or small. The $\epsilon$
# prevents a division by zero. Keras has it inside the root; others have it outside.


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
# r \leftarrow \beta_2 r + (1 - \beta_2) g^2, \qquad
# w \leftarrow w - \eta\, \frac{\sqrt{1 - \beta_2^t}}{1 - \beta_1^t}
# \cdot \frac{m}{\sqrt{r} + \epsilon} .$$
#
# Both means begin at zero, so in the first steps $t = 1, 2, \dots$ they are too small: after one
# step $m = (1 - \beta_1) g$, which must be divided by $1 - \beta_1$ to be $g$, and after $t$ steps
# by $1 - \beta_1^t$. The fraction in the middle does that, for $m$ and for the root of $r$.
# (Textbooks correct $m$ and $r$ one by one. That is the same but for $\epsilon$, which they add
# after the correction and Keras before it.)


# %%
def adam(w, gradient, state, learning_rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    """Returns the next weights, and (steps so far, mean gradient, mean squared gradient)."""
    step, mean, mean_square = state[0] + 1, *state[1:]
    mean = beta_1 * mean + (1 - beta_1) * gradient
    mean_square = beta_2 * mean_square + (1 - beta_2) * gradient**2
    rate = learning_rate * (1 - beta_2**step) ** 0.5 / (1 - beta_1**step)
    return w - rate * mean / (np.sqrt(mean_square) + epsilon), (step, mean, mean_square)


# %% [markdown]
# With these the whole of training is in our hands: order, forward, backward, update. A learning
# rate that is right for one optimiser is wrong for another, so each has its own.


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
# The loss of one batch jumps; we draw the mean of the last twenty.


# %%
def optimiser_losses(x, y, gain=2.0, epochs=3) -> dict[str, np.ndarray]:
    """Returns the training loss of the four optimisers, step by step, each a mean of twenty."""
    weights = initial_weights((x.shape[1], *SIZES[1:]), gain)
    series = {}
    for name, (*_, learning_rate) in OPTIMISERS.items():
        _, losses = train_by_hand(weights, x, y, name, epochs)
        window = min(20, len(losses))
        smooth = np.convolve(losses, np.full(window, 1 / window), mode="valid")
        series[f"{name}, learning rate {learning_rate:g}"] = smooth
    return series


# %% alt="Training loss of four optimisers over three epochs, twice. Left, with He's first weights: the four curves fall together and end close to one another. Right, with first weights ten times too small: RMSProp and Adam fall at once, SGD and momentum stay on a plateau at 2.3 and come down late."
if __name__ == "__main__":
    splits = load_fashion()
    x, y = flat(splits.train.x[:6400]), splits.train.y[:6400]
    ends = {}
    _, axes = plt.subplots(1, 2, figsize=(6.6, 4.2), sharey=True, layout="constrained")
    for ax, gain in zip(axes, (2.0, 0.02), strict=True):
        series = ends[gain] = optimiser_losses(x, y, gain)
        plotting.plot_lines(series, x_label=f"steps, gain {gain:g}", y_label="loss", ax=ax)

# %%
if __name__ == "__main__":
    for name in ends[2.0]:
        right, small = (ends[gain][name][-1] for gain in (2.0, 0.02))
        print(f"{name:28} last loss {right:.3f}, from small weights {small:.3f}")

# %% [markdown]
# From weights of the right scale all four go the same way, and there is little to choose. From
# weights that are ten times too small (a gain a hundred times smaller) they part. Small weights
# make small gradients, so SGD and momentum, whose steps are as small as the gradients, sit on the
# plateau of $\log 10$ for many steps. (Momentum longest: its rate is a tenth of SGD's, because its
# steps add up to ten times as much, and they must first add up.) RMSProp and Adam divide by the
# size of the gradients, and leave at once. That is what they are for: they forgive. After so few
# steps they are ahead here; who is ahead after many, these pictures do not say. Adam with 0.001,
# which is Keras' default, is a good first try.
#
# Are these Keras' optimisers? We take 100 steps with ours and our backpropagation, and 100 with
# Keras' and the tape, from the same first weights, and compare every weight.


# %% tags=["hide-input"]
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
        differences[name] = largest_difference(ours, theirs)
    return differences


# %%
if __name__ == "__main__":
    differences = compare_optimisers(x, y, "float64")
    print("weights after 100 steps in float64, largest difference to Keras':")
    print(", ".join(f"{name} {value:.0e}" for name, value in differences.items()))

# %% [markdown]
# It stops short of all digits, because Keras turns learning rate and decays into `float32` numbers,
# in which 0.999 is not quite 0.999. (With numbers that `float32` holds exactly the difference is
# rounding: `kerasbook verify chapter2_training`.)
#
# *Exercise: `adamw_step` writes AdamW, which is Adam with a pull on the weights beside the loss.*
#
# ## Which learning rate?
#
# For the line of chapter 1 the largest rate could be computed. Here we look for it. Begin with a
# rate that is surely too small, and multiply it by the same factor after every step, until it is
# surely too large. What will the loss do on the way?


# %%
def losses_by_rate(weights, x, y, low=1e-4, high=10.0, steps=150, batch_size=64):
    """Returns the learning rates (steps,) of a run in which they grow, and the loss at each."""
    random, losses = np.random.default_rng(0), []
    rates = np.geomspace(low, high, steps)
    with np.errstate(all="ignore"):  # at the end numbers overflow
        for learning_rate in rates:
            rows = random.integers(0, len(x), batch_size)
            outputs = forward(x[rows], weights)
            losses.append(cross_entropy(y[rows], outputs[-1]))
            gradients = backward(y[rows], outputs, weights)
            weights = [w - learning_rate * g for w, g in zip(weights, gradients, strict=True)]
    return rates, np.array(losses)


# %% alt="Loss of a batch against a learning rate that grows at every step, both on log scales: level at first, falling from about 0.001 on, lowest between 0.05 and 0.3, jumping about from there and shooting up before 1."
if __name__ == "__main__":
    rates, losses = losses_by_rate(initial_weights(SIZES), x, y)
    axis = {"x_label": "learning rate of SGD", "y_label": "loss of a batch", "log": True}
    ax = plotting.plot_lines({"SGD": losses}, x=rates, **axis)
    _ = ax.set(xscale="log", ylim=(0.3, 30))

# %% [markdown]
# Where the curve falls, SGD learns; where it turns up, steps tear down what was learnt. One batch
# differs from the next, so the turn is no sharp point: from about 0.1 on the curve jumps, and
# before 1 it shoots up. A good constant rate lies well before that, so that there is room when the
# surface becomes steeper. One run of 150 steps has narrowed the search to a factor of ten. The rest
# is done by training with a few rates, and choosing by the *validation* part.

# %%
if __name__ == "__main__":
    pictures, labels = flat(splits.validation.x), splits.validation.y
    for rate in (0.01, 0.03, 0.1, 0.3):
        trained, _ = descend(initial_weights(SIZES), x, y, rate, steps=300)
        print(f"{rate:<4}  loss {cross_entropy(labels, forward(pictures, trained)[-1]):.3f}")

# %% [markdown]
# Another sign can be read from any run: compare the steps with what they change, the spread of the
# update divided by that of the weights. A rule of thumb (Karpathy's) says about one in a thousand.
# It is a rough one, good for noticing that a rate is wrong by a factor of a hundred.


# %%
def update_ratios(x, y, optimiser, gain=2.0, steps=100, batch_size=64):
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


# %%
if __name__ == "__main__":
    for name in OPTIMISERS:
        ratios = update_ratios(x, y, name)
        print(f"{name:9}", *(f"{kernel} {np.median(r):.4f}" for kernel, r in ratios.items()))

# %% [markdown]
# Adam and momentum settle at a few in a thousand. SGD and, in the first layer, RMSProp move by
# about one in a hundred or more, which so easy a task forgives.
#
# ## Memorising, and how to prevent it
#
# A hundred thousand weights are enough to memorise a few thousand pictures. What will the two
# losses do, on the pictures trained with and on others? To see it in seconds we take 2,000 pictures
# and many epochs. `make_model` is the network of the page before, with two additions that are
# explained below; at zero they do nothing.


# %%
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
    return keras.Model(inputs, layers.Dense(classes, **penalty)(x), name="deep_network")


# %%
def train_on_few(splits, epochs=20, callbacks=(), **options):
    """Returns a model and its History, on the first 2,000 pictures; options go to `make_model`."""
    keras.utils.set_random_seed(0)
    few = splits.take(2000)
    model = make_model(few.train.x.shape[1:], 10, **options)
    history = fit(
        model,
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
    return model, history


# %% alt="Cross-entropy over twenty epochs on 2,000 pictures: training falls to about 0.1; validation falls for a few epochs, is lowest at epoch 9, and climbs."
if __name__ == "__main__":
    runs = {"plain": train_on_few(splits)}
    plotting.plot_history(runs["plain"][1], metric="cross_entropy")

# %% [markdown]
# Solid is training, dashed validation. In the end the network has nearly memorised its 2,000
# pictures, while the validation loss stops falling after a few epochs, wavers, and climbs in the
# last ones. Three remedies are in every toolbox.
#
# **L2** is the ridge of chapter 1: it adds a penalty to the loss, $\alpha \sum_j w_j^2$ over all
# kernels (not the biases). Its gradient is $2 \alpha w$, so each step pulls every weight towards
# zero, the large ones most. (With SGD. Adam divides the pull by the size of the gradient, like all
# else; `adamw_step` mends that.) Keras' `L2` has no half in front; where somebody writes
# $\frac\alpha2 \sum w^2$, their $\alpha$ is twice Keras'.


# %%
def l2_penalty(weights, l2):
    """Returns α Σ w² over the kernels W₁, W₂, … of a list [W₁, b₁, …]."""
    return l2 * sum(np.sum(w**2) for w in weights[::2])


def l2_gradients(weights, l2):
    """Returns 2 α W for each kernel and zeros for each bias."""
    return [2 * l2 * w if w.ndim == 2 else np.zeros_like(w) for w in weights]


# %%
if __name__ == "__main__":
    model = make_model((28, 28, 1), 10, l2=0.01)
    with tf.GradientTape() as tape:
        penalty = sum(model.losses)
    theirs, ours = tape.gradient(penalty, model.weights[::2]), l2_gradients(model.weights, 0.01)
    print(f"penalty by Keras {penalty:.4f}, by hand {l2_penalty(model.get_weights(), 0.01):.4f}")
    print(f"its gradients: largest difference {largest_difference(ours[::2], theirs):.0e}")

# %% [markdown]
# **Dropout** switches a random share of the units off, in each step others. A unit that works only
# together with one other is then often without it, so each must be of use by itself. Those that are
# left are made larger by $1 / (1 - \text{rate})$: of four units with the output 1 one is dropped,
# and the others give $4/3$ each, so that the sum above them stays 4. After training nothing is
# dropped, and nothing needs to be scaled.


# %%
def dropout(x, mask, rate):
    """Returns x where the mask (of its shape) is True, scaled up, and 0 elsewhere."""
    return x * mask / (1 - rate)


# %%
if __name__ == "__main__":
    signal = np.random.default_rng(0).normal(size=(64, 128)).astype("float32")
    ones = np.ones_like(signal)
    mask = layers.Dropout(0.3, seed=1)(ones, training=True).numpy() > 0
    theirs = layers.Dropout(0.3, seed=1)(signal, training=True)
    difference = np.abs(dropout(signal, mask, 0.3) - theirs).max()
    print(f"{mask.mean():.0%} of the units are kept; largest difference to Keras: {difference:.0e}")

# %% [markdown]
# **Early stopping** watches the validation loss and ends training when it has not improved for
# some epochs, the *patience*. With `restore_best_weights` the model goes back to its best epoch.
#
# The loss of an L2 run contains its penalty, so it cannot be compared with that of the others. We
# draw the cross-entropy alone, and training and validation apart.

# %% alt="Two panels over twenty epochs. Training: plain falls to 0.1, L2 and, far more, dropout stay higher. Validation, enlarged: plain climbs in the second half, L2 and dropout stay lower."
if __name__ == "__main__":
    runs |= {"L2": train_on_few(splits, l2=0.003), "dropout": train_on_few(splits, dropout=0.3)}
    _, axes = plt.subplots(1, 2, figsize=(6.6, 3.4), layout="constrained")
    for ax, part in zip(axes, ("", "val_"), strict=True):
        curves = {name: run.history[part + "cross_entropy"] for name, (_, run) in runs.items()}
        what = "validation" if part else "training"
        plotting.plot_lines(curves, x_label="epoch", y_label=f"cross-entropy, {what}", ax=ax)
    _ = axes[1].set_ylim(0.4, 0.8)

# %%
if __name__ == "__main__":
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=5, restore_best_weights=True)
    _, history = train_on_few(splits, callbacks=[stopping])
    print(f"stopped after {len(history.epoch)} epochs; the best was {stopping.best_epoch + 1}")
    for name, (_, run) in runs.items():
        losses = run.history["val_cross_entropy"]
        print(f"{name:8} validation: lowest {min(losses):.3f}, last {losses[-1]:.3f}")

# %% [markdown]
# With L2 and with dropout training ends higher and validation lower. (Dropout acts on the training
# curve only, which is why that may lie above its validation curve.) Early stopping takes the plain
# run and cuts it where it turns. The lowest values of the three differ little, and all three climb;
# the remedies make the climb smaller, in this one run by two fifths, and let it begin later.
#
# ## The loop, written out
#
# The four lines of chapter 1, with two small additions. `training=True` switches layers on that
# act in training only, such as dropout. And `model.losses` holds the penalties that layers ask
# for; a loop that forgets to add them trains without, and nothing tells you.


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


# %% tags=["hide-input"]
def compare_loops(x, y, epochs=2) -> float:
    """Returns the largest difference of any weight between the written-out loop and `fit`."""
    first, second = (make_model(x.shape[1:], 10, l2=1e-3) for _ in range(2))
    second.set_weights(first.get_weights())
    train_written_out(first, x, y, keras_optimizer("momentum"), epochs)
    options = {"epochs": epochs, "batch_size": 64, "jit": "off", "progress": "none"}
    fit(second, (x, y), loss_fn=loss_fn, optimizer=keras_optimizer("momentum"), **options)
    return largest_difference(first.get_weights(), second.get_weights())


# %%
if __name__ == "__main__":
    difference = compare_loops(splits.train.x[:1000], splits.train.y[:1000])
    print(f"all weights after two epochs: largest difference to fit {difference:.0e}")

# %% [markdown]
# It does. Ten ways in which a loop strays from it, each of them without an error, are measured in
# [*Where a loop goes astray*](divergence.ipynb). That page also shows TensorBoard, which draws the
# curves of a run in the browser while it goes on.
#
# ## Result
#
# `main` trains the network with Adam, dropout and a little L2. What chose its settings was the
# validation part; the test part was used for the report only.


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
    """Trains the deep network with Adam, dropout and L2 on pictures of clothes.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step
        learning_rate: of Adam
        dropout: share of hidden units that is switched off in training
        l2: weight of the penalty on squared weights
        seed: of the first weights, of dropout and of the shuffling
        dataset: fashion, or mnist, fashion_mnist, cifar10 from TensorFlow Datasets
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    model = make_model(splits.train.x.shape[1:], len(splits.classes), dropout=dropout, l2=l2)
    model.summary()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(learning_rate),
        metrics=metrics,
        epochs=epochs,
        batch_size=batch_size,
        validation_data=splits.validation,
        seed=seed,
        **fit_options,
    )
    scores = {
        name: evaluate(model, getattr(splits, name), loss_fn=loss_fn, metrics=metrics)
        for name in ("validation", "test")
    }
    logits = predict(model, splits.test.x).astype("float32")  # --mixed-precision gives 16 bits
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, logits.argmax(axis=1), splits.classes),
        "calibration": plotting.plot_calibration(splits.test.y, softmax(logits)),
    }
    return Result(splits, model, history, scores, figures)


# %% alt="Loss and accuracy over fifteen epochs: in the first epochs validation is better than training; then training passes it and goes on, while validation is nearly level at the end."
if __name__ == "__main__":
    result = main()
    for name in ("confusion", "calibration"):
        plt.close(np.ravel(result.figures[name])[0].figure)

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# In the early epochs validation is better than training, which is no mistake: dropout acts in
# training only, and a training score is the mean over an epoch during which the model was still
# getting better.
#
# Over five seeds the test accuracy was 0.863 ± 0.005, mean ± standard deviation. And the three
# pages of this chapter side by side:

# %%
if __name__ == "__main__":
    for key in ("chapter2", "chapter2_deep_network", "chapter2_training"):
        score = load_results()[key]["fashion"]["scores"]["test"]["accuracy"]
        print(f"{key:22} test accuracy {score['mean']:.3f} ± {score['sd']:.3f}")

# %% [markdown]
# From the first page to the second it is the layers that were added. From the second to the third
# it is Adam, dropout, L2, and three epochs more; the network is the same. Do Adam and its company
# make the better network, then? Give the page before `--epochs 24`: plain SGD comes about as far.
# What Adam buys here is time, and what dropout and L2 buy is that one may go on for longer without
# the climb.
#
# These are the answers of which it was surest, among the wrong ones. A title says first what the
# garment is, and then what the network took it for: "Sandal, not Sneaker" is a sandal. Not all are
# its fault.

# %% alt="Ten test pictures that the network gets wrong and is sure of, with the true kind and the answer: sandals called sneakers, a high sneaker called a boot, trousers called a dress, dresses called a T-shirt and trousers, a coat called a shirt."
if __name__ == "__main__":
    logits, y = predict(result.model, splits.test.x), splits.test.y
    guesses = logits.argmax(axis=1)
    wrong = np.flatnonzero(guesses != y)
    surest = wrong[np.argsort(-softmax(logits).max(axis=1)[wrong])[:10]]
    plotting.plot_images(splits.test.x[surest], y[surest], guesses[surest], splits.classes)

# %% [markdown]
# ## How sure is it?
#
# When the network says "80 % sure", is it right in 80 of 100 cases? We ask the two that we trained
# on 2,000 pictures: the plain one, at the end of its climb, and the one with dropout. Which of them
# is too sure? The *reliability diagram* sorts pictures by the probability of the network's answer,
# and draws how often the answer was right. Bars below the diagonal mean too sure, bars above it too
# modest, and what is hatched is the gap between the two. Above each bar stands how many pictures it
# is made of: a bar of two or four says nothing.

# %% alt="Two reliability diagrams on the validation part. The plain network's bars lie below the diagonal wherever there are more than a handful of examples: it is too sure. With dropout they lie near the diagonal."
if __name__ == "__main__":
    part = splits.validation
    _, axes = plt.subplots(1, 2, figsize=(6.6, 4.0), layout="constrained")
    for ax, name in zip(axes, ("plain", "dropout"), strict=True):
        plotting.plot_calibration(part.y, softmax(predict(runs[name][0], part.x)), ax=ax)
        ax.set_title(name, fontsize="medium", pad=20)  # above the numbers of examples

# %% [markdown]
# The plain network has become too sure, and that is why its validation loss climbs: where its
# answers are wrong, they cost more and more. It can be mended after training. Divide all scores by
# one number $T$ before the softmax, the *temperature*. No answer changes, because the order of the
# scores does not; only the sureness does. Half of the validation part chooses $T$, the other half
# judges.

# %%
if __name__ == "__main__":
    half = len(part.y) // 2
    z, y = predict(runs["plain"][0], part.x), part.y
    temperatures = np.linspace(0.5, 4, 36)
    losses = [cross_entropy(y[:half], z[:half] / t) for t in temperatures]
    best = temperatures[np.argmin(losses)]
    before, after = (cross_entropy(y[half:], z[half:] / t) for t in (1, best))
    print(f"best temperature {best:.1f}; loss on the other half {before:.3f} → {after:.3f}")

# %% [markdown]
# ## What to try
#
# - `--learning-rate 0.1`: Adam now moves every weight by about 0.1 in every step. How large
#   are the weights, then, after one epoch of 141 steps, and what do the curves say?
# - `--dropout 0 --l2 0 --epochs 40`: watch validation loss and accuracy. Which of them turns?
# - Give `losses_by_rate` the gain 0.02. Where does the curve begin to fall now, and why?
# - Give `update_ratios` the gain 0.02: what do the steps of SGD do when the first weights are too
#   small, and what do Adam's?
#
# What others have written wrongly about these things, a penalty that is said to add complexity
# among them, stands in [*The articles' mistakes*](errata.ipynb).
#
# ## Where to go next
#
# Chapter 3 takes the pictures as pictures: it tells the network which pixels are neighbours. If you
# would rather read than look, go on to chapter 4.
