# %% [markdown]
"""
# Chapter 9, continued. Many devices

A batch can be taken in pieces, one after the other. Why not at the same time, each piece on a
processor of its own? Then each of them must end with the weights that one alone would have had. And
what if not even the weights fit on one? Then they are divided, too.

After this page you can

- write data parallelism with a ring, and prove that it is the step of one device;
- divide weights, gradients and what the optimiser remembers among devices, and count the memory;
- cut a network into stages, or a layer into columns, and say what each way has to send;
- say from two measurements what more devices would bring, before you rent them.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter9_devices`): train, save, end. The cells below are for
# reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter9_devices")

# %% tags=["hide-input"]
import json
from importlib import resources
from typing import Literal

from kerasbook import chapter2_deep_network, chapter2_training, chapter3, plotting
from kerasbook.chapter2 import loss_fn
from kerasbook.chapter2_deep_network import flat, initial_weights
from kerasbook.chapter9 import make_schedule
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_difference
from kerasbook.training import evaluate, fit, make_train_step, predict
from kerasbook.training.devices import logical_devices, make_strategy

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## Two towers
#
# Most readers have one processor. TensorFlow can pretend that it is four *logical devices*, which
# share the cores. That makes nothing faster, but everything that several devices must agree on can
# be tried out. It has to be said before TensorFlow computes anything, so we say it here.

# %%
if __name__ == "__main__":
    devices = logical_devices(4, kind="CPU")
    splits = load_fashion()
    print(devices)
    print(splits)

# %% [markdown]
# In *data parallelism* every device has a copy of the weights and takes a share of the rows. We
# call a device with its copy a *tower*. What must towers tell each other, so that they stay copies?

# %% alt="A batch of 64 rows goes in halves to two devices, each with a copy of the weights. Their gradients meet in a sum, all-reduce, which goes back to both; both take the same step and have the same weights."
if __name__ == "__main__":
    plotting.plot_towers()

# %% [markdown]
# Each has the gradient of its own rows, $g_0$ and $g_1$, and each needs the sum of all: an
# *all-reduce*. If all copies began with the same weights, and all make the same step, they stay the
# same for ever, and nobody has to send weights. The loss is a mean over the *whole* batch, so each
# device divides the sum of its rows' losses by the number of rows of all. And what belongs to the
# model and not to the rows, a penalty, is divided by the number of devices, because the sum will
# count it once for each.


# %%
def gradient_of_share(model, x, y, all_rows, towers):
    """Returns a tower's share of the gradients: its rows of a batch of `all_rows`."""
    with tf.GradientTape() as tape:
        losses = keras.losses.sparse_categorical_crossentropy(
            y, model(x, training=True), from_logits=True
        )  # (rows of this tower,)
        loss = tf.reduce_sum(losses) / all_rows + tf.reduce_sum(model.losses) / towers
    return tape.gradient(loss, model.trainable_variables)


# %%
def towers_step(models, optimizers, devices, x, y, gradient=gradient_of_share):
    """Takes one step on all devices; each has a model and an optimiser of its own."""
    shares = np.array_split(np.arange(len(x)), len(models))  # the first ones may have a row more
    gradients = []
    for model, device, rows in zip(models, devices, shares, strict=True):
        with tf.device(device):
            gradients.append(gradient(model, x[rows], y[rows], len(x), len(models)))
    # The all-reduce: here Python adds up; the ring below does it between the devices.
    sums = [sum(map(tf.convert_to_tensor, each)) for each in zip(*gradients, strict=True)]
    for model, optimizer, device in zip(models, optimizers, devices, strict=True):
        with tf.device(device):
            optimizer.apply(sums, model.trainable_variables)


# %% [markdown]
# Two towers and one device, from the same weights: an epoch of 57 rows in batches of 16, of which
# the last has 9, so that one tower gets 5 rows and the other 4. Beside the right share, two that
# look right as well: one takes the mean over its own rows, one counts the penalty in full.


# %%
def mean_of_means(model, x, y, all_rows, towers):
    """Returns the gradient of the mean over this tower's own rows: each tower counts alike."""
    return gradient_of_share(model, x, y, len(x) * towers, towers)


# %%
def penalty_in_full(model, x, y, all_rows, towers):
    """Returns the gradient with the penalty once for each tower."""
    return gradient_of_share(model, x, y, all_rows, 1)


# %% tags=["hide-input"]
def compare_towers(devices, gradient=gradient_of_share, examples=57, batch_size=16):
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
    for first in range(0, examples, batch_size):
        rows = slice(first, first + batch_size)
        towers_step(models[:-1], optimizers[:-1], devices, x[rows], y[rows], gradient)
        alone(x[rows], y[rows])
    first, *others = [model.get_weights() for model in models]
    return {
        "to one device": largest_difference(first, others[-1]),
        "to each other": max(largest_difference(first, other) for other in others[:-1]),
    }


# %%
if __name__ == "__main__":
    for gradient in (gradient_of_share, mean_of_means, penalty_in_full):
        found = compare_towers(devices[:2], gradient)
        print(f"{gradient.__name__:17}", *(f"{name} {value:.0e} " for name, value in found.items()))

# %% [markdown]
# With the right shares the weights are those of one device, up to rounding, and the copies are the
# same to the last bit. With the others the copies agree as well, on weights that are wrong, and no
# error is raised. The first mistake shows only where the towers' rows are unequal in number; the
# second is there at every step and doubles the penalty. (Our towers take turns, which is enough to
# prove the sum. TensorFlow's runtime runs them at the same time.)
#
# *Exercise: the last page's `accumulate` adds up the same shares, one after the other.*
#
# ## The ring: all-reduce
#
# How do $n$ devices add up a row of numbers? Sending everything to one of them, and the sum back,
# would give that one $n$ times the work. The usual answer is a ring. Cut the row into $n$ parts. At
# each step every device sends one part to the next. With four, device 0 first sends its part 3,
# device 1 its part 0, and so on; the receiver adds it to its own, and then hands on what it has
# just added. The numbers in the tables are how many summands a part has, and a frame is around what
# has just arrived.

# %% alt="Four devices in a ring, and seven tables of the four parts that each holds, as numbers of summands. All are ones at the start; after three steps of reduce-scatter each device has one part with four summands; after three steps of all-gather all parts have four." tags=["cover"]
if __name__ == "__main__":
    plotting.plot_ring()

# %% [markdown]
# For $n - 1$ steps the receiver adds what comes. Then each device has one part of the sum complete;
# this half is called *reduce-scatter*. In another $n - 1$ steps the complete parts go once around,
# *all-gather*. We keep the halves apart, because both will be needed alone.


# %%
def ring_step(held, shift, adding):
    """Sends a part from each device to the next; returns how many numbers each has sent.

    held: device → its parts, changed in place.  shift: device d sends its part d - shift.
    """
    n = len(held)
    messages = [held[d][(d - shift) % n] for d in range(n)]
    for sender, numbers in enumerate(messages):
        parts, part = held[(sender + 1) % n], (sender - shift) % n
        parts[part] = parts[part] + numbers if adding else numbers
    return np.array([len(numbers) for numbers in messages])


# %%
def reduce_scatter(held):
    """Lets device d have the sum of all parts d; returns how many numbers each has sent."""
    return sum(ring_step(held, step + 1, adding=True) for step in range(len(held) - 1))


def all_gather(held):
    """Lets every device have part d of device d; returns how many numbers each has sent."""
    return sum(ring_step(held, step, adding=False) for step in range(len(held) - 1))


# %%
def parts_of(rows):
    """Returns, for the row (size,) of each device, its parts: as many as there are devices."""
    return [np.array_split(np.array(row), len(rows)) for row in rows]


# %% [markdown]
# Guess how much each of eight devices sends, measured in rows; then look.


# %%
def all_reduce(rows):
    """Returns the sum in every row, (devices, size), and how many numbers each has sent."""
    held = parts_of(rows)
    sent = reduce_scatter(held) + all_gather(held)
    return np.array([np.concatenate(parts) for parts in held]), sent


# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    for n in (2, 4, 8):
        rows = random.normal(size=(n, 109_386)).astype("float32")
        sums, sent = all_reduce(rows)
        error, same = np.abs(sums - rows.sum(axis=0, dtype="float64")).max(), np.ptp(sums, 0).max()
        print(f"{n} devices: error {error:.0e}, the copies differ by {same:.0f}", end=", ")
        print(f"each sent {sent.max() / rows.shape[1]:.2f} rows")

# %% [markdown]
# Each sends $2\,(n-1)/n$ rows: never more than twice what it has, however many devices there are.
# And all hold the same sum to the last bit, because every part was added up once and then copied.
#
# *Exercise: `ring_all_reduce` is the ring as one of the devices sees it, which knows its own number
# and its neighbour's messages, and nothing else.*
#
# ## Batch normalisation on several devices
#
# Batch normalisation subtracts the mean of the rows and divides by their standard deviation. Of
# which rows? By itself a tower sees only its own. We give one nine rows and the other seven, and
# let them take their own mean and mean of squares (their *moments*), or those of all rows.


# %%
def normalised(shares, together):
    """Returns the normalised rows of all towers; `together`: with the moments of all rows."""
    sums = [np.stack([x.sum(axis=0), (x**2).sum(axis=0)]) for x in shares]  # (2, features) each
    rows = [len(x) for x in shares]
    if together:  # one all-reduce of three small things
        sums, rows = [np.sum(sums, axis=0)] * len(shares), [sum(rows)] * len(shares)
    means = [total / count for total, count in zip(sums, rows, strict=True)]
    pairs = zip(shares, means, strict=True)
    # the variance is the mean of squares less the square of the mean
    return np.concatenate([(x - m) / np.sqrt(s - m**2 + 1e-3) for x, (m, s) in pairs])


# %%
if __name__ == "__main__":
    rows = random.normal(size=(16, 4))
    whole = layers.BatchNormalization(dtype="float64")(rows, training=True)
    for together in (False, True):
        difference = np.abs(normalised([rows[:9], rows[9:]], together) - whole).max()
        print(f"moments of all rows: {together!s:5}  largest difference {difference:.0e}")

# %% [markdown]
# With the moments of its own rows each tower computes another function than one device would, which
# depends on how many devices there are. The remedy is a second all-reduce, of sums, squares and
# rows: `BatchNormalization(synchronized=True)`.
#
# *Exercise: `synchronised_norm` does it where sums of squares have no digits left.*
#
# ## The strategy
#
# TensorFlow does all of this under the name of a *strategy*. A model that is made in its scope has
# a copy on every device, and `kerasbook.training.fit` lets each take its share of every batch.


# %%
def make_normalised_model(shape, classes, kind="together", hidden=(128, 64)) -> keras.Model:
    """Returns a dense network: pictures (n, *shape) → scores (n, classes).

    kind: batch normalisation "together" or "apart" over the devices, or "none".
    """
    model = keras.Sequential([keras.Input(shape), layers.Flatten()])
    for units in hidden:
        model.add(layers.Dense(units, kernel_regularizer=keras.regularizers.L2(1e-4)))
        if kind != "none":
            model.add(layers.BatchNormalization(synchronized=kind == "together"))
        model.add(layers.ReLU())
    model.add(layers.Dense(classes))
    return model


# %% tags=["hide-input"]
def trained(devices=None, loop="tape", kind="none", examples=57, batch_size=16):
    """Returns the weights after two epochs of `fit`, or of `model.fit` for the loop "fit"."""
    keras.utils.set_random_seed(0)
    data = load_fashion().take(examples).train
    strategy = make_strategy(devices, kind="CPU") or tf.distribute.get_strategy()
    with strategy.scope():
        model = make_normalised_model((28, 28, 1), 10, kind, hidden=(32,))
        optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    if loop == "fit":
        model.compile(optimizer, loss_fn, jit_compile=False)
        model.fit(*data, batch_size=batch_size, epochs=2, shuffle=False, verbose=0)
    else:
        options = {"epochs": 2, "batch_size": batch_size, "jit": "off", "progress": "none"}
        fit(model, data, loss_fn=loss_fn, optimizer=optimizer, shuffle=False, **options)
    return model.get_weights()


# %%
if __name__ == "__main__":
    alone = trained()
    print(f"the book's fit, 2 devices: {largest_difference(alone, trained(2)):.0e}")
    print(f"model.fit, 1 device:       {largest_difference(alone, trained(None, 'fit')):.0e}")
    print(f"model.fit, 2 devices:      {largest_difference(alone, trained(2, 'fit')):.0e}")
    even = (trained(*way, examples=64) for way in ((), (2, "fit")))
    print(f"the same, even batches:    {largest_difference(*even):.0e}")

# %% [markdown]
# With the book's loop two devices make one device's weights, with the penalty and the short last
# batch. Keras' own `model.fit` under the same strategy does so only where batches can be divided
# evenly: a device with fewer rows gets the same weight as one with more, the mean of means once
# more. That is why `--loop fit` is refused on several devices.
#
# And batch normalisation, as it is and synchronised?

# %%
if __name__ == "__main__":
    for kind in ("apart", "together"):
        one, two = (trained(number, kind=kind, batch_size=19) for number in (None, 2))
        print(f"moments {kind:8} two devices differ from one by {largest_difference(one, two):.0e}")

# %% [markdown]
# On the command line it is `--devices 2`, for two graphics cards, or for two shares of the CPU
# where there is none. `--workers 2` starts two *processes*, which send their gradients through the
# network, even if it never leaves the machine. On several machines each is told where the others
# are (`docs/devices.md`). All workers wait for each other at every all-reduce, so the slowest sets
# the pace, and if one dies the others cannot go on.
#
# ## Weights divided: ZeRO and FSDP
#
# Data parallelism saves time. Does it save memory? Count what a device holds of each weight when it
# trains with momentum: the weight, its gradient, its velocity. That is three numbers, twelve bytes,
# and *every* device has all of them. Could each of four keep a quarter?

# %% alt="What lies on each of four devices, in three ways. Copies: all weights, gradients and velocities on every device, 12 bytes a weight. Steps divided: all weights, and on each device its own quarter of gradients and velocities, 6 bytes. All divided: a quarter of everything, 3 bytes."
if __name__ == "__main__":
    plotting.plot_shares()

# %% [markdown]
# The gradient and the velocity are needed for the step alone. If device $d$ has part $d$ of both,
# it can update part $d$ of the weights, and then all gather the parts. This is called ZeRO, stages
# 1 and 2. Stage 3, which PyTorch calls *fully sharded data parallel*, FSDP, divides the weights as
# well. Will the second way have to send more than the first, or less? Here is its step by hand, of
# eight weights.

# %%
if __name__ == "__main__":
    weights, gradients = np.ones(8), random.normal(size=(4, 8))  # a gradient from each device
    held = parts_of(gradients)
    sent = reduce_scatter(held)  # now device d has part d of the sum
    for d, part in enumerate(np.split(weights, 4)):
        held[d][d] = part - 0.1 * held[d][d]  # and takes the step of that part
    sent += all_gather(held)  # all have all weights again
    right = weights - 0.1 * gradients.sum(axis=0)
    print(f"largest difference {np.abs(np.concatenate(held[0]) - right).max():.0e}")
    print(f"each sent {sent.max()} numbers, all-reduce would send {all_reduce(gradients)[1].max()}")

# %% [markdown]
# Half a ring before the step and the other half after it: exactly as much as all-reduce. Now whole
# networks, in all three ways. To count, we give each device a memory that can be asked: what it
# keeps is kept there, under a name.


# %%
class Device:
    """A device and what it keeps: arrays by name, such as "weights 0"."""

    def __init__(self, name):
        self.name, self.arrays, self.fullest = name, {}, {}

    def keep(self, name, array):
        """Copies an array to this device."""
        with tf.device(self.name):
            self.arrays[name] = tf.identity(array)
        if sum(self.memory().values()) > sum(self.fullest.values()):
            self.fullest = self.memory()

    def memory(self) -> dict[str, int]:
        """Returns the bytes of what it keeps now, by the first word of the name."""
        found = {}
        for name, array in self.arrays.items():
            kind = name.split()[0]
            found[kind] = found.get(kind, 0) + array.dtype.size * int(tf.size(array))
        return found


# %% [markdown]
# A layer's numbers lie in one row, its kernel and then its bias, with zeros at the end so that it
# can be divided evenly. Forward and backward through a layer are chapter 2's formulas.


# %%
def as_row(kernel, bias, devices=1):
    """Returns all numbers of a layer in one row, whose length can be divided by `devices`."""
    row = np.concatenate([np.ravel(kernel), bias])
    return np.pad(row, (0, -len(row) % devices))


# %%
def as_layer(row, inputs, units):
    """Returns the kernel (inputs, units) and the bias (units,) that lie in a row."""
    return tf.reshape(row[: inputs * units], (inputs, units)), row[inputs * units :][:units]


# %%
def layer_forward(row, x, size, last):
    """Returns the outputs (n, units) of a layer: a ReLU's, or of the last one scores."""
    kernel, bias = as_layer(row, *size)
    scores = x @ kernel + bias
    return scores if last else tf.nn.relu(scores)


# %%
def layer_backward(row, x, outputs, g, size, last):
    """Returns the gradients for the row and for x, from g, (n, units), that for the outputs."""
    kernel, _ = as_layer(row, *size)
    delta = g if last else g * tf.cast(outputs > 0, g.dtype)
    gradients = tf.reshape(tf.transpose(x) @ delta, [-1]), tf.reduce_sum(delta, axis=0)
    gradient = tf.concat(gradients, axis=0)
    return tf.pad(gradient, [(0, len(row) - len(gradient))]), delta @ tf.transpose(kernel)


# %% [markdown]
# Common to all three ways are putting rows onto the devices, and the step of the optimiser.


# %%
class Network:
    """A dense network on several devices."""

    def __init__(self, names, weights):
        self.devices, self.sent = [Device(name) for name in names], 0
        self.sizes = [kernel.shape for kernel in weights[::2]]
        for layer, pair in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            row = as_row(*pair, len(names))
            self.begin(layer, [row] * len(names), [np.zeros_like(row)] * len(names))

    def spread(self, kind, layer, rows):
        """Lets every device keep its own of the rows."""
        for device, row in zip(self.devices, rows, strict=True):
            device.keep(f"{kind} {layer}", row)

    def of(self, kind, layer):
        """Returns what the devices keep under this name."""
        return [device.arrays[f"{kind} {layer}"] for device in self.devices]

    def forget(self, kind, layer):
        """Lets no device keep that any more."""
        for device in self.devices:
            device.arrays.pop(f"{kind} {layer}")


# %%
DECAY = 0.875  # in 32 bits the same number as in 64, which 0.9 is not


def momentum_on_each(rows, gradients, velocities, learning_rate):
    """Returns the next rows and velocities of all devices: chapter 2's momentum."""
    each = zip(rows, gradients, velocities, strict=True)
    new = [chapter2_training.momentum(*one, learning_rate, DECAY) for one in each]
    return zip(*new, strict=True)


# %% [markdown]
# First the naive way, data parallelism. It says where a layer's weights are before it is computed
# (`fetch`), what may go afterwards (`let_go`), what becomes of its gradients (`collect`), and how
# its weights are updated. The others will do these four in their own way.


# %%
class Copies(Network):
    """Every device has all weights, gradients and velocities."""

    def begin(self, layer, rows, velocities):
        """Keeps what there is before the first step."""
        self.spread("weights", layer, rows)
        self.spread("velocity", layer, velocities)

    def fetch(self, layer):
        """Returns the layer's whole row on every device."""
        return self.of("weights", layer)

    def let_go(self, layer):
        """Takes nothing away: the weights are at home everywhere."""

    def collect(self, layer, gradients):
        """Keeps on every device the sum of all devices' gradients of a layer."""
        sums, sent = all_reduce(gradients)
        self.spread("gradients", layer, sums)
        self.sent = self.sent + sent

    def update(self, layer, learning_rate):
        """Takes the step of a layer."""
        kinds = (self.of(kind, layer) for kind in ("weights", "gradients", "velocity"))
        self.begin(layer, *momentum_on_each(*kinds, learning_rate))


# %% [markdown]
# The step itself goes forward through the layers and back, on all devices side by side.


# %%
def forward_pass(network, shares):
    """Lets every device keep the outputs of each layer for its share of the rows."""
    network.spread("outputs", 0, shares)
    for layer, size in enumerate(network.sizes):
        found = []
        for device, row in zip(network.devices, network.fetch(layer), strict=True):
            with tf.device(device.name):
                x, last = device.arrays[f"outputs {layer}"], layer + 1 == len(network.sizes)
                found.append(layer_forward(row, x, size, last))
        network.spread("outputs", layer + 1, found)
        network.let_go(layer)


# %%
def backward_pass(network, g):
    """Lets every device keep gradients of each layer; g: those for the scores, one array each."""
    for layer in reversed(range(len(network.sizes))):
        pairs = []
        for device, row, each in zip(network.devices, network.fetch(layer), g, strict=True):
            with tf.device(device.name):
                x, a = (device.arrays[f"outputs {layer + k}"] for k in (0, 1))
                last = layer + 1 == len(network.sizes)
                pairs.append(layer_backward(row, x, a, each, network.sizes[layer], last))
        network.let_go(layer)
        network.forget("outputs", layer + 1)
        rows, g = zip(*pairs, strict=True)
        network.collect(layer, [row.numpy() for row in rows])
    network.forget("outputs", 0)


# %%
def take_step(network, x, y, learning_rate=0.05):
    """Takes one step on a batch: x (n, inputs), class numbers y (n,)."""
    shares = np.array_split(np.arange(len(x)), len(network.devices))
    forward_pass(network, [x[rows] for rows in shares])
    g = []
    for rows, scores in zip(shares, network.of("outputs", len(network.sizes)), strict=True):
        p = tf.nn.softmax(scores)
        g.append((p - tf.one_hot(y[rows], p.shape[1], dtype=p.dtype)) / len(x))
    backward_pass(network, g)
    for layer in range(len(network.sizes)):
        network.update(layer, learning_rate)
        network.forget("gradients", layer)


# %% [markdown]
# Now divide gradients and velocities, with the two halves of the ring.


# %%
def own_parts(rows):
    """Returns part d of row d."""
    return [parts[d] for d, parts in enumerate(parts_of(rows))]


# %%
class DividedSteps(Copies):
    """Every device has all weights, and its part of the gradients and velocities (ZeRO 1 and 2)."""

    def begin(self, layer, rows, velocities):
        """Keeps all weights, and on device d part d of the velocity."""
        super().begin(layer, rows, own_parts(velocities))

    def collect(self, layer, gradients):
        """Keeps on device d part d of the sum."""
        held = parts_of(gradients)
        self.sent = self.sent + reduce_scatter(held)
        self.spread("gradients", layer, [parts[d] for d, parts in enumerate(held)])

    def update(self, layer, learning_rate):
        """Takes on device d the step of part d; then all gather the parts."""
        mine = own_parts(self.of("weights", layer))
        others = (self.of(kind, layer) for kind in ("gradients", "velocity"))
        parts, velocities = momentum_on_each(mine, *others, learning_rate)
        self.spread("weights", layer, self.gathered(parts))
        self.spread("velocity", layer, velocities)

    def gathered(self, parts):
        """Returns the whole row for every device, from the part of each."""
        held = [[None] * len(parts) for _ in parts]
        for d, part in enumerate(parts):
            held[d][d] = np.array(part)
        self.sent = self.sent + all_gather(held)
        return [np.concatenate(each) for each in held]


# %% [markdown]
# Then the weights. Each device keeps its part; just before a layer is computed all gather it, and
# afterwards they let it go. On the way back it is gathered once more.


# %%
class DividedWeights(DividedSteps):
    """Every device has its part of everything, and one whole layer at a time (ZeRO 3, FSDP)."""

    def begin(self, layer, rows, velocities):
        """Keeps on device d part d of the weights and of the velocity."""
        super().begin(layer, own_parts(rows), velocities)

    def fetch(self, layer):
        """Returns the layer's whole row on every device, gathered."""
        self.spread("whole", layer, self.gathered(self.of("weights", layer)))
        return self.of("whole", layer)

    def let_go(self, layer):
        """Takes the gathered row away."""
        self.forget("whole", layer)

    def update(self, layer, learning_rate):
        """Takes on device d the step of what it has, which is part d of everything."""
        kinds = (self.of(kind, layer) for kind in ("weights", "gradients", "velocity"))
        parts, velocities = momentum_on_each(*kinds, learning_rate)
        self.spread("weights", layer, parts)
        self.spread("velocity", layer, velocities)


# %% [markdown]
# Are the weights those of one device after an epoch with a short last batch? How much does a device
# hold at the fullest moment, and how much does it send? The network has five layers, of which the
# first is the largest and the last is small.


# %%
def whole_weights(network):
    """Returns [W₁, b₁, …] as the devices have them together."""
    found = []
    for layer, size in enumerate(network.sizes):
        found += as_layer(network.fetch(layer)[0], *size)
        network.let_go(layer)
    return [np.array(each) for each in found]


# %% tags=["hide-input"]
def one_device(weights, x, y, batch_size, learning_rate=0.05):
    """Returns the weights after an epoch of Keras' model and optimiser on one device."""
    units = [kernel.shape[1] for kernel in weights[::2]]
    parts = [layers.Dense(each, "relu", dtype=x.dtype) for each in units[:-1]]
    last = layers.Dense(units[-1], dtype=x.dtype)
    model = keras.Sequential([keras.Input(x.shape[1:], dtype=x.dtype), *parts, last])
    model.set_weights(weights)
    optimizer = keras.optimizers.SGD(learning_rate, momentum=DECAY)
    optimizer.build(model.trainable_variables)
    error = keras.losses.SparseCategoricalCrossentropy(from_logits=True, dtype=x.dtype)
    step = make_train_step(model, error, optimizer)
    for first in range(0, len(x), batch_size):
        step(x[first : first + batch_size], y[first : first + batch_size])
    return model.get_weights()


# %%
def train_divided(way, names, weights, x, y, batch_size, learning_rate=0.05):
    """Returns the network, kept in this way on the devices of these names, after an epoch."""
    network = way(names, weights)
    for first in range(0, len(x), batch_size):
        rows = slice(first, first + batch_size)
        take_step(network, x[rows], y[rows], learning_rate)
    return network


# %%
if __name__ == "__main__":
    x, y = flat(splits.train.x[:250]), splits.train.y[:250]
    weights = initial_weights((784, 512, 512, 512, 512, 10))
    alone = one_device(weights, x, y, 64)
    for way in (Copies, DividedSteps, DividedWeights):
        network = train_divided(way, devices, weights, x, y, 64)
        most, sent = sum(network.devices[0].fullest.values()), network.sent[0] / 4
        apart = largest_difference(whole_weights(network), alone)
        print(f"{way.__name__:14} differs by {apart:.0e}, holds {most / 1e6:.2f} MB", end=", ")
        print(f"sends {4e-6 * sent:.2f} MB a step")

# %% [markdown]
# All three end with the weights of one device. With four devices and the steps divided, each keeps
# half of what a copy keeps, and sends as much; with all divided it keeps a third, and sends half as
# much again, because the weights go around twice, forward and backward. (Not counted: a layer's
# whole gradient, there for a moment before it is divided, 1.6 MB for the first layer.)


# %% tags=["hide-input"]
def plot_memory(memories, ax=None):
    """Returns the Axes: a bar of megabytes for each name, made of kinds.

    memories: name → {kind: bytes}.
    """
    kinds = "weights", "gradients", "velocity", "whole", "outputs"
    ax = plotting.plot_lines({}, x_label="MB on each device", y_label="", ax=ax)
    ax.figure.set_figheight(0.7 + 0.42 * len(memories))
    places, left = np.arange(len(memories))[::-1], np.zeros(len(memories))
    colours = plotting.page.SKY, plotting.page.ORANGE, "0.75", plotting.page.BLUE, "black"
    for kind, colour in zip(kinds, colours, strict=True):
        width = np.array([memory.get(kind, 0) / 1e6 for memory in memories.values()])
        name = "whole layer" if kind == "whole" else kind
        ax.barh(places, width, 0.6, left, color=colour, edgecolor="white", label=name)
        left += width
    ax.set_yticks(places, memories)
    ax.figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    return ax


# %% alt="Bars of the megabytes on each of two and of four devices at the fullest moment, by kind. With copies the bar is as long for four devices as for two. With steps divided, gradients and velocity shrink; with all divided the weights shrink too, and beside the parts there is one whole layer. The outputs are hardly seen."
if __name__ == "__main__":
    names, memories = ("copies", "steps divided", "all divided"), {}
    for way, name in zip((Copies, DividedSteps, DividedWeights), names, strict=True):
        for number in (2, 4):
            network = train_divided(way, devices[:number], weights, x, y, 64)
            memories[f"{name}, {number} devices"] = network.devices[0].fullest
    plot_memory(memories)

# %% [markdown]
# Copies stay as long however many devices there are. What is divided shrinks with their number: of
# each weight there are 12 bytes in the first way, $4 + 8/n$ in the second and $12/n$ in the third,
# and beside them one whole layer. (The gradients of the third way are not complete: the fullest
# moment is when the first layer has been gathered for its way back, and its own gradient is still
# to come.) The outputs hardly count here. In a Transformer (chapter 6) with long rows they can be
# the largest part, and none of this divides them; that is what accumulation is for.
#
# *Exercises: `bytes_on_device` (five minutes) is this account for Adam in mixed precision;
# `divided_adam` takes a step with its states divided and the gradient clipped, for which they must
# agree on one more number.*
#
# ### What Keras and TensorFlow offer
#
# Nobody should have to write this for every model. Keras has `keras.distribution`: a *mesh*
# (devices in rows and columns), a map of *layouts* (which dimension of a weight is cut, and among
# which devices), and from then on each weight should lie as the map says. We ask for kernels in two
# halves, one for each device. Where does one lie?


# %%
def kernel_on_a_mesh(names):
    """Returns a kernel (8, 4) that was asked for in two halves by way of keras.distribution."""
    mesh = keras.distribution.DeviceMesh((1, 2), ["batch", "model"], names)
    layouts = keras.distribution.LayoutMap(mesh)
    layouts[".*kernel"] = keras.distribution.TensorLayout((None, "model"), mesh)
    divided = keras.distribution.ModelParallel(layout_map=layouts, batch_dim_name="batch")
    with divided.scope():
        layer = layers.Dense(4)
        layer.build((None, 8))
    return layer.kernel.value


# %%
if __name__ == "__main__":
    kernel = kernel_on_a_mesh(["cpu:0", "cpu:1"])
    print(kernel.shape, "on", kernel.device[-5:])

# %% [markdown]
# Whole, on one device. Under TensorFlow, Keras 3.15 takes the mesh and the map, says nothing, and
# divides nothing. (Its [guide](https://keras.io/guides/distribution/) is for JAX alone, another
# library under Keras.) What a Keras model on TensorFlow gets by itself is data parallelism.
#
# ### A layer divided: tensor parallelism
#
# A layer too large to be gathered can be divided itself. If each device has some columns of the
# kernel, it makes the same columns of the product. If the next kernel is divided by rows, each
# device has the inputs for its own rows, and makes a summand of the whole product. Columns, then
# rows: one all-reduce for two layers. TensorFlow's *DTensor* does it:

# %%
if __name__ == "__main__":
    from tensorflow.experimental import dtensor

    mesh = dtensor.create_mesh([("part", 4)], devices=devices)
    free = dtensor.UNSHARDED
    by_columns, by_rows = (dtensor.Layout(each, mesh) for each in ([free, "part"], ["part", free]))
    kernel = dtensor.call_with_layout(tf.ones, by_columns, shape=(784, 128))
    next_kernel = dtensor.call_with_layout(tf.ones, by_rows, shape=(128, 10))
    inputs = dtensor.copy_to_mesh(tf.ones((2, 784)), dtensor.Layout.replicated(mesh, rank=2))
    hidden = inputs @ kernel
    named = {"kernel": kernel, "hidden": hidden, "next kernel": next_kernel}
    for name, tensor in (named | {"product": hidden @ next_kernel}).items():
        print(f"{name:12}", *(part.shape for part in dtensor.unpack(tensor)))

# %% [markdown]
# It is called experimental, and Keras' layers do not make their weights with it.
#
# ## A pipeline
#
# There is another way to divide a network: by layers. Device 0 has the first ones, device 1 the
# next, and so on; each is a *stage*. What passes from one to the next are outputs forward, and
# gradients backward. Nothing needs to be added up over devices. But while device 3 has the batch,
# what do the other three do?
#
# A small clock tells. Each stage has a list of what it does in turn: `"F"`, forward, and `"B"`,
# backward, with the number of the micro-batch. It begins as soon as what it needs is there, and
# each piece of work takes one tick. (Backward takes about twice as long, which would make the
# picture longer, and not another one.)


# %%
def what_it_needs(stage, way, piece, stages):
    """Returns the piece of work that must be done before this one; None at the very beginning."""
    if way == "F":
        return (stage - 1, "F", piece) if stage > 0 else None
    return (stage + 1, "B", piece) if stage + 1 < stages else (stage, "F", piece)


def ready_now(queues, ticks):
    """Returns the heads of the stages' queues for which all is done that they need."""
    heads = [(stage, *queue[0]) for stage, queue in enumerate(queues) if queue]
    return [each for each in heads if what_it_needs(*each, len(queues)) in {None, *ticks}]


# %%
def timetable(orders):
    """Returns {(stage, way, piece): tick} for the lists of what each stage does in turn.

    Raises:
        ValueError: the stages wait for each other.
    """
    queues, ticks, tick = [list(order) for order in orders], {}, 0
    while ready := ready_now(queues, ticks):
        ticks |= dict.fromkeys(ready, tick)
        tick += 1
        for stage, *_ in ready:
            queues[stage].pop(0)
    if any(queues):
        raise ValueError("the stages wait for each other: put F before B for every piece")
    return ticks


# %% [markdown]
# The naive pipeline sends the batch through in one piece. The real one cuts it into micro-batches
# and sends them close behind each other. GPipe's order: all forward, then all backward.


# %%
def gpipe(stage, stages, pieces):
    """Returns what a stage does in turn: all micro-batches forward, then all backward."""
    return [("F", k) for k in range(pieces)] + [("B", k) for k in range(pieces)]


# %%
def orders_of(order, stages, pieces):
    """Returns the lists of all stages."""
    return [order(stage, stages, pieces) for stage in range(stages)]


# %% alt="Two timetables of a pipeline of four stages, time to the right. In one piece: a staircase down and up, in which one stage works at a time and the others are idle. In four pieces: the staircase is four wide, and the stages work most of the time."
if __name__ == "__main__":
    _, axes = plt.subplots(2, figsize=(6.6, 2.9), layout="constrained")
    for ax, pieces in zip(axes, (1, 4), strict=True):
        plotting.plot_timetable(timetable(orders_of(gpipe, 4, pieces)), ax=ax)


# %% [markdown]
# Time goes to the right, and an empty field is idle. In one piece four devices are as slow as one,
# since only one of them works at a time. Of $2\,(m + p - 1)$ ticks for $m$ pieces and $p$ stages,
# each stage works $2\,m$. The rest, the *bubble*, is the share $(p - 1)/(m + p - 1)$. Is it?


# %%
def idle_share(ticks):
    """Returns the share of its time that a stage is idle, for a timetable."""
    stages, length = 1 + max(stage for stage, *_ in ticks), 1 + max(ticks.values())
    return 1 - len(ticks) / (stages * length)


# %%
if __name__ == "__main__":
    for pieces in (1, 4, 16):
        counted = idle_share(timetable(orders_of(gpipe, 4, pieces)))
        print(f"{pieces:2} pieces: idle {counted:.0%}, by the formula {3 / (pieces + 3):.0%}")

# %% [markdown]
# So many pieces are good. But what must a stage keep? For the way back it needs the inputs and
# outputs of every piece that it has sent on, and in GPipe's order all pieces are on their way
# before the first comes back. Is there an order that is as fast and keeps fewer? Let a stage go
# backward as soon as it can: one forward, one backward, *1F1B*. Stage $i$ is then never more than
# $p - i$ pieces ahead.


# %%
def one_by_one(stage, stages, pieces):
    """Returns what a stage does in turn: some pieces ahead, then one forward, one backward."""
    ahead = min(stages - 1 - stage, pieces)
    order = [("F", k) for k in range(ahead)]
    for k in range(pieces):
        order += [("F", k + ahead)] * (k + ahead < pieces) + [("B", k)]
    return order


# %% alt="Two timetables for four stages and eight pieces, of the same length. GPipe above: eight forward on every stage, then eight backward. One forward, one backward below: after a short start every stage alternates between the two."
if __name__ == "__main__":
    _, axes = plt.subplots(2, figsize=(6.6, 2.9), layout="constrained")
    for ax, order in zip(axes, (gpipe, one_by_one), strict=True):
        ticks = timetable(orders_of(order, 4, 8))
        plotting.plot_timetable(ticks, ax=ax)
        print(f"{order.__name__:10} {1 + max(ticks.values())} ticks")

# %% [markdown]
# Does it compute the right thing? A stage on a device of its own, with the same memory as above and
# the same two formulas. It adds the gradients of its pieces up; each piece counts by its rows,
# because its share of the loss was divided by the rows of the whole batch.


# %%
class Stage(Device):
    """One layer of a network on a device of its own."""

    def __init__(self, name, kernel, bias, last):
        super().__init__(name)
        self.size, self.last = kernel.shape, last
        self.keep("weights", as_row(kernel, bias))
        self.keep("gradients", np.zeros_like(self.arrays["weights"]))

    def forward(self, piece, x):
        """Returns the outputs for a micro-batch; keeps them and x for the way back."""
        self.keep(f"inputs {piece}", x)
        with tf.device(self.name):
            found = layer_forward(self.arrays["weights"], x, self.size, self.last)
        self.keep(f"outputs {piece}", found)
        return found

    def backward(self, piece, g):
        """Returns the gradient for x, from that for the outputs; adds up that of the weights."""
        x, outputs = (self.arrays.pop(f"{kind} {piece}") for kind in ("inputs", "outputs"))
        with tf.device(self.name):
            row, g = layer_backward(self.arrays["weights"], x, outputs, g, self.size, self.last)
            self.arrays["gradients"] += row
        return g


# %%
def run_pipeline(stages, ticks, x, y, pieces):
    """Lets the stages do what stands in the timetable, tick by tick, for one batch."""
    on_the_way = {(-1, "F", k): part for k, part in enumerate(np.array_split(x, pieces))}
    targets = np.array_split(y, pieces)
    for stage, way, piece in sorted(ticks, key=ticks.get):
        if way == "F":
            found = stages[stage].forward(piece, on_the_way.pop((stage - 1, "F", piece)))
        elif stage + 1 < len(stages):
            found = stages[stage].backward(piece, on_the_way.pop((stage + 1, "B", piece)))
        else:
            p = tf.nn.softmax(on_the_way.pop((stage, "F", piece)))
            g = (p - tf.one_hot(targets[piece], p.shape[1], dtype=p.dtype)) / len(x)
            found = stages[stage].backward(piece, g)
        on_the_way[stage, way, piece] = found


# %%
def pipeline_gradients(names, weights, x, y, order=one_by_one, pieces=4):
    """Returns the gradients [W₁, b₁, …] of a batch, and the stages, one for each layer."""
    pairs = list(zip(weights[::2], weights[1::2], strict=True))
    stages = [
        Stage(name, *pair, last=number + 1 == len(pairs))
        for number, (name, pair) in enumerate(zip(names, pairs, strict=True))
    ]
    run_pipeline(stages, timetable(orders_of(order, len(stages), pieces)), x, y, pieces)
    rows = [as_layer(stage.arrays["gradients"], *stage.size) for stage in stages]
    return [np.array(each) for row in rows for each in row], stages


# %% [markdown]
# Four layers on four devices, and a batch of 250 rows in eight pieces of 31 or 32. The judge is
# chapter 2's backpropagation on one device.

# %%
if __name__ == "__main__":
    weights = initial_weights((784, 64, 64, 64, 10))
    outputs = chapter2_deep_network.forward(x, weights)
    right = chapter2_deep_network.backward(y, outputs, weights)
    for order in (gpipe, one_by_one):
        found, stages = pipeline_gradients(devices, weights, x, y, order, pieces=8)
        kept = [(each.fullest["inputs"] + each.fullest["outputs"]) // 1000 for each in stages]
        print(f"{order.__name__:10} differs by {largest_difference(found, right):.0e};", end=" ")
        print("inputs and outputs kept, kB:", *kept)
    print("weights, kB:", *(stage.fullest["weights"] // 1000 for stage in stages))

# %% [markdown]
# Both orders have the gradients of one device, with pieces of unequal size. GPipe keeps all eight
# pieces; one forward, one backward keeps four at the first stage, then three, two and one, in the
# same time. A pipeline sends little: outputs and their gradients, and never a weight.
#
# The last line shows the weak side. The first layer has most of the weights, so its device has most
# of the work, and the others wait: a pipeline is as fast as its slowest stage. Transformers, which
# are stacks of equal blocks, are made for it.
#
# *Exercise: `idle_time` counts the bubble of a pipeline whose stages are not equally
# fast.*
#
# ## What scales, and what does not
#
# Two devices, half the time? Let a step be made of a share $s$ that cannot be divided (Python,
# calls, the update of the weights, waiting) and the rest that can. With $n$ devices the time is
# $s + (1 - s)/n$ of what it was, and the speed-up is
#
# $$\frac{1}{s + (1 - s) / n} \le \frac1s .$$
#
# This is *Amdahl's law*. With $s = 0.1$, how many devices are worth paying for?


# %%
def amdahl(serial, devices):
    """Returns the speed-up on so many devices, if the share `serial` cannot be divided."""
    return 1 / (serial + (1 - serial) / np.asarray(devices))


# %%
def serial_share(speed_up, devices=2):
    """Returns the share that cannot be divided, from a speed-up that was measured."""
    return (devices / speed_up - 1) / (devices - 1)


# %% alt="Speed-up by Amdahl's law against 1 to 64 devices, for shares that cannot be divided of 0, 0.02, 0.1 and 0.5: the first is the diagonal; the others bend away, to 28, 8.8 and 2.0 at 64 devices. Dotted lines at 50, 10 and 2 are what they can never pass."
if __name__ == "__main__":
    counts = 2 ** np.arange(7)
    curves = {f"s = {share}": amdahl(share, counts) for share in (0, 0.02, 0.1, 0.5)}
    ax = plotting.plot_lines(curves, x=counts, x_label="devices", y_label="speed-up")
    ax.set(xscale="log", yscale="log")
    for set_ticks in (ax.set_xticks, ax.set_yticks):
        set_ticks(counts, map(str, counts))
    ax.minorticks_off()
    for share, line in zip((0.02, 0.1, 0.5), ax.lines[1:], strict=True):
        ax.axhline(1 / share, color=line.get_color(), linestyle=":", linewidth=1)
    for number in (8, 16, 64):
        print(f"s = 0.1, {number:2} devices: {amdahl(0.1, number):.1f} times as fast")

# %% [markdown]
# Eight devices are 4.7 times as fast, 16 only 6.4 times, and all of 64 not nine: the speed-up stays
# below $1/s$, the dotted line. Turned around, a measurement with $n$ devices tells $s$.
#
# Two processor cores are two devices already: TensorFlow divides large operations among its
# threads. The steps below were recorded on a rented machine with two virtual cores, with one thread
# and with two, in five rounds. Which network will gain by the second core, chapter 2's dense one or
# chapter 3's convolutional one?


# %% tags=["hide-input"]
def recorded() -> dict:
    """Returns what `python -m kerasbook.bench.scaling` measured on the book's machine."""
    file = resources.files("kerasbook") / "bench" / "scaling.json"
    return json.loads(file.read_text())


def ratios(times, others) -> np.ndarray:
    """Returns how many times as long the first took as the others, round by round, in order."""
    return np.sort(np.array(times) / np.array(others))


def plot_second_core(ax=None):
    """Returns the Axes: the recorded speed-up of a step by a second thread, by batch size."""
    threads = recorded()["threads"]
    sizes = [int(size) for size in next(iter(threads.values()))]
    found = {
        name: np.array([ratios(pair["1"], pair["2"]) for pair in by.values()])  # (sizes, rounds)
        for name, by in threads.items()
    }
    labels = {"x_label": "rows in a batch", "y_label": "speed-up by a second core"}
    medians = {name: np.median(each, axis=1) for name, each in found.items()}
    ax = plotting.plot_lines(medians, x=sizes, **labels, ax=ax)
    for line, each, shift in zip(ax.lines, found.values(), (0.97, 1.03), strict=False):
        places = shift * np.array(sizes)
        line.set_xdata(places)
        ax.vlines(places, each[:, 0], each[:, -1], color=line.get_color(), linewidth=1)
    ax.set_xscale("log", base=2)
    ax.set_xticks(sizes, map(str, sizes))
    for height in (1, 2):
        ax.axhline(height, color="0.6", linestyle=":")
    ax.set_ylim(0, 2.1)
    return ax


# %% alt="Speed-up of a step by a second thread against 8 to 512 rows in a batch, medians of five rounds with bars from the lowest to the highest. The dense network rises from 0.6 to 0.9, the convolutional one from 0.7 to 1.2, with a bar from 0.7 to 1.4; a dotted line at 2 is far above all."
if __name__ == "__main__":
    plot_second_core()

# %%
if __name__ == "__main__":
    for name, by in recorded()["threads"].items():
        for rows in ("8", "128", "512"):
            found = ratios(by[rows]["1"], by[rows]["2"])
            middle = f"{np.median(found):.2f}, from {found[0]:.2f} to {found[-1]:.2f}"
            print(f"{name:13} {rows:>3} rows: {middle} times as fast")

# %% [markdown]
# Up to 128 rows the dense network is slower with two cores than with one, in every round: its
# products are so small that dividing them costs more than it brings. With 512 rows there is no gain
# that can be told from noise. The convolutional network loses, too, up to 32 rows, and from 128 on
# it gains by the median: Amdahl's $s$ is no constant of nature. But two of the five rounds with 512
# rows lost, so a single measurement says nothing. What would more cores bring, by the median?

# %%
if __name__ == "__main__":
    pair = recorded()["threads"]["convolutional"]["512"]
    share = serial_share(np.median(ratios(pair["1"], pair["2"])))
    print(f"s = {share:.2f}, so at most {1 / share:.1f} times as fast")

# %% [markdown]
# Less than two times as fast, however many there are. Perhaps TensorFlow does not divide all
# operations, and the cores wait for one memory.
#
# Amdahl's law leaves out that the devices must talk. Two workers do. Here are recorded steps of two
# workers that share 64 rows (*strong scaling*: the same work, in less time?), and of two with 64
# rows each (*weak scaling*: more work, in the same time?), against that of one worker with 64 rows.


# %% tags=["hide-input"]
def against_one_worker(recorded) -> dict:
    """Returns, by network and kind, how many times as long as one worker's step, of each round."""
    found = {}
    for name, times in recorded["workers"].items():
        one, *others = times
        for kind in others:
            words = "share 64 rows" if "share" in kind else "64 rows each"
            found[f"{name}, {words}"] = ratios(times[kind], times[one])
    return found


def plot_workers(found, ax=None):
    """Returns the Axes: steps of two workers against that of one; a dot for each round."""
    ax = plotting.plot_lines({}, x_label="times as long as one worker's step", y_label="", ax=ax)
    ax.figure.set_figheight(2.2)
    for place, rounds in enumerate(reversed(found.values())):
        ax.plot(rounds, [place] * len(rounds), "o", color=plotting.page.BLUE, markersize=4)
        ax.plot(np.median(rounds), place, "|", color=plotting.page.ORANGE, markersize=22, mew=3)
    ax.set_yticks(range(len(found)), reversed(found))
    ax.set(xscale="log", ylim=(-0.6, len(found) - 0.4))
    ax.set_xticks((0.5, 1, 2, 5, 10, 20), ("½", *map(str, (1, 2, 5, 10, 20))))
    ax.minorticks_off()
    ax.axvline(1, color="0.6", linestyle=":")
    return ax


# %% alt="Steps of two workers against that of one, a dot for each of five rounds and a bar at the median, on a log axis. Dense: medians near 5 and 6, dots from 4 to 13. Convolutional: near 1 when they share 64 rows, dots from 0.8 to 2.1, and near 2 with 64 rows each, dots from 1.0 to 2.5."
if __name__ == "__main__":
    plot_workers(against_one_worker(recorded()))

# %%
if __name__ == "__main__":
    for name, found in against_one_worker(recorded()).items():
        print(f"{name:28} {np.median(found):4.1f}, from {found[0]:.1f} to {found[-1]:.1f}")

# %% [markdown]
# What two workers say to each other, here through the network code of one small machine, costs
# several times the arithmetic of the dense network: in every round the pair takes more than three
# times as long as one alone, whether the rows are shared or not. The convolutional pair shares 64
# rows in about the time of one, and needs about twice that with 64 rows each: no gain that can be
# told from noise. (Other programs ran beside, so read these as orders of magnitude.)
#
# How much do they have to say? The ring told us: each sends $2\,(n-1)/n$ times the gradient, four
# bytes for each weight. That depends on the weights alone, not on the rows. Against it stands the
# arithmetic, which grows with the rows: a weight makes one multiplication and one addition for each
# row and each place where it is used, and twice as many on the way back; in the first layer only
# once as many, because nobody asks for the gradient of the pictures.


# %%
def operations_of_step(model, rows) -> int:
    """Returns the additions and multiplications of a training step's matrix products."""
    operations, each = 0, 4  # two forward; two backward, for the kernel
    for layer in model.layers:
        if layer.weights:
            places = int(np.prod(layer.output.shape[1:-1]))  # 1 for a dense layer
            operations += each * rows * places * int(np.prod(layer.kernel.shape))
            each = 6  # and two for the inputs, which the first layer does not need
    return operations


# %%
def bytes_sent(weights, devices):
    """Returns the bytes that each device sends in a step, by the ring, in 32 bits."""
    return 4 * weights * 2 * (devices - 1) / devices


# %%
if __name__ == "__main__":
    models = {"dense": chapter2_deep_network.make_model((28, 28, 1), 10)}
    models["convolutional"] = chapter3.make_model((28, 28, 1), 10)
    for name, model in models.items():
        sent = bytes_sent(model.count_params(), 2)
        work = operations_of_step(model, 64)
        print(f"{name:13} {sent / 1e6:.2f} MB a step, {work / sent:,.0f} operations for each byte")

# %% [markdown]
# Suppose devices of $10^{11}$ operations a second, a few processor cores, and a good office
# network of 10 gigabits, which is $1.25 \cdot 10^9$ bytes, a second. (Graphics cards do hundreds
# to thousands of times as much, over faster links.) Then a first estimate can be made before
# anything is bought: the time of the arithmetic, divided by $n$, and that of sending, which is not.


# %%
def speed_up_with_ring(operations, weights, devices, speed=1e11, bandwidth=1.25e9):
    """Returns the speed-up when arithmetic is divided and gradients go around a ring."""
    alone, devices = operations / speed, np.asarray(devices)
    return alone / (alone / devices + bytes_sent(weights, devices) / bandwidth)


# %% alt="Calculated speed-up against 1 to 64 devices, both axes on log scales. The convolutional network with 1,024 rows follows the diagonal longest; the dense network with 1,024 rows and the convolutional one with 64 level off near 6 and 5; the dense network with 64 rows falls below 1."
if __name__ == "__main__":
    curves = {"all can be divided": counts}
    for name, model in models.items():
        for rows in (64, 1024):
            work = operations_of_step(model, rows), model.count_params()
            curves[f"{name}, {rows} rows"] = speed_up_with_ring(*work, counts)
    ax = plotting.plot_lines(curves, x=counts, x_label="devices", y_label="speed-up, calculated")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(counts, map(str, counts))
    ax.set_yticks([0.5, *counts], map(str, [0.5, *counts]))
    ax.minorticks_off()
    plotting.label_ends(ax)

# %% [markdown]
# Below one, two devices are slower than one. In this calculation what scales is what does much with
# each weight: convolutions more than dense layers, large batches more than small ones. It is a best
# case: every message has a fixed cost, whatever its length, and a ring needs $2\,(n - 1)$ of them
# in a row. But large systems send the gradient of the last layer while that of the first is still
# being computed; where sending takes less time than the way back, it then costs nothing at all.
#
# *Exercise: `serial_from_times` finds $s$ from times that were measured with several numbers of
# devices.*
#
# ### Which first?
#
# | way | divided are | sent in a step | take it when |
# |---|---|---|---|
# | the last page's | bits, rows in turn, outputs | nothing | always first |
# | data parallelism | rows | the gradient, $2\,(n-1)/n$ times | the model fits, the step is slow |
# | ZeRO 1 and 2 | also gradients, velocities | as much | with it, when memory is short |
# | ZeRO 3, FSDP | also weights | half as much again | the weights do not fit |
# | tensor parallelism | kernels | outputs, every second layer | a layer does not fit; fast links |
# | a pipeline | layers | outputs, between stages | many equal layers; slow links |
#
# The last column was not measured here. Hugging Face's
# [Parallelism methods](https://huggingface.co/docs/transformers/perf_train_gpu_many) says more.
#
# ## Result
#
# `main` trains the dense network with batch normalisation over all rows of a batch of 512, wherever
# they are. So `--devices 2` and `--workers 2` train the same model as one device.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "minutes": 1,
}


def main(
    epochs: int = 20,
    batch_size: int = 512,
    learning_rate: float = 0.005,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a dense network whose batch normalisation takes the rows of all devices.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step, over all devices
        learning_rate: for batches of 32; it grows in proportion to the batch
        seed: of the first weights and of the shuffling
        dataset: fashion, or mnist, fashion_mnist, cifar10 from TensorFlow Datasets
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    model = make_normalised_model(splits.train.x.shape[1:], len(splits.classes))
    model.summary()
    steps = -(-len(splits.train.x) // batch_size)
    rate = learning_rate * batch_size / 32
    schedule = make_schedule(rate, epochs * steps, warm_up=min(2, epochs - 1) * steps)
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.SGD(schedule, momentum=0.9),
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
    predicted = predict(model, splits.test.x).argmax(axis=1)
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
    }
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    plt.close("all")
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# Over five seeds the test accuracy was 0.867 ± 0.003, mean ± standard deviation. On two devices
# every step is the same but for rounding, as the lines above have shown for two epochs; `kerasbook
# verify 9` compares two workers, too.
#
# ## What to try
#
# (The exercises are started as on the last page.)
#
# - `python -m kerasbook.chapter9_devices --workers 2`, and `python -m kerasbook.chapter3
#   --workers 2`: which is faster than with one, and what would Amdahl say?
# - `python -m kerasbook.bench.scaling`: where does your machine differ from ours?
# - Write the all-reduce as a tree: pairs add up, then pairs of pairs. How many numbers does the
#   busiest device send, in how many steps?
# - Send the gradients around the ring in `float16`. How far do the weights drift in 100 steps?
# - Give `DividedWeights` Adam in place of momentum. What more does each device keep?
#
# ## Where this comes from
#
# - P. Patarasuk and X. Yuan, *Bandwidth optimal all-reduce algorithms for clusters of workstations*
#   (2009): the ring.
# - S. Rajbhandari and others, *ZeRO: memory optimizations toward training trillion parameter
#   models* (2020); Y. Zhao and others, *PyTorch FSDP* (2023).
# - Y. Huang and others, *GPipe* (2019); D. Narayanan and others, *PipeDream* (2019) and
#   *Memory-efficient pipeline-parallel DNN training* (2021): one forward, one backward, the second
#   with the pause after every batch that ours has.
# - M. Shoeybi and others, *Megatron-LM* (2019): columns, then rows.
# - G. Amdahl, *Validity of the single processor approach* (1967), and J. Gustafson, *Reevaluating
#   Amdahl's law* (1988), who pointed out that the work grows with the machine: weak scaling.
#
# ## Where to go next
#
# `kerasbook/training/replicas.py` is the book's data parallelism: one file that does what the
# towers did, for any model. With `--resume` a run goes on where it was killed.
