# %% [markdown]
"""
# Chapter 5. Long short-term memory

The simple recurrent network of chapter 4 overwrites its whole state at every step, and what it
has read is worn away. The GRU keeps a part of it. The *long short-term memory* (LSTM) is the older
answer, from 1997: beside the state it has a *cell*, which changes only by fading and by adding,
each under the control of a gate.

After this chapter you can

- compute an LSTM by hand, forwards, backwards and in layers;
- say why its gradients reach further back than a simple network's, and when they do not;
- feed it sequences of different lengths without telling it more than it should know;
- forecast a time series without looking into the future.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter5`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter5")

# %%
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter3 import make_schedule
from kerasbook.chapter4 import scan, simple_rnn_step
from kerasbook.data import load, load_bike_rentals, load_japanese_vowels
from kerasbook.data.bikes import target_times
from kerasbook.data.vowels import lengths
from kerasbook.runner import Result
from kerasbook.testing.compare import as_function, compare_functions, random_weights
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## The data
#
# Two tasks. The first: nine men say two Japanese vowels, one after the other; who is it? A
# recording is a sequence of 7 to 29 steps. Each step holds 12 numbers that describe the sound in a
# short piece of time (coefficients of its *LPC cepstrum*; we need not know more). The second: how
# many bicycles will be rented in Washington in the next hour? Here the sequence is the last 48
# hours. We begin with the men and come to the bicycles later.

# %%
if __name__ == "__main__":
    speakers = load_japanese_vowels()
    print(speakers)
    steps = lengths(speakers.train.x)
    print(f"shortest recording {steps.min()} steps, longest {steps.max()}")
    for label in range(9):
        print(
            f"{speakers.classes[label]}: {steps[speakers.train.y == label].mean():.1f} on average"
        )

# %% [markdown]
# `x` has the shape (n, 29, 12). An array cannot have rows of different lengths, so the recordings
# are *padded*: after the end come zeros, up to 29 steps. And the table shows a trap. Some men are
# quick and some are slow. A network that sees where the zeros begin can tell something about the
# speaker without listening to him. We come back to it.
#
# ## A cell with three gates
#
# The LSTM carries two things from step to step, each of shape (n, units): the *cell* $c$, which is
# its memory, and the *state* $h$, which is its output. At each step it reads the input $x_t$ and
# the last state $h_{t-1}$, and computes from both, with different weights, four things. Three are
# *gates*, numbers between 0 and 1, one for each unit of the cell:
#
# - the *input gate* $i$: how much of the new goes in;
# - the *forget gate* $f$: how much of the old stays (1 keeps all, so a better name would be the
#   "keep gate");
# - the *output gate* $o$: how much of the cell is shown.
#
# The fourth is the *candidate* $g$, between −1 and 1: what is new.

# %%
if __name__ == "__main__":
    plotting.plot_lstm_cell()

# %% [markdown]
# On its way along the top the cell meets a product and a sum, and nothing else. In formulas, with
# $\sigma$ for the sigmoid and $\odot$ for the product number by number,
#
# $$\begin{aligned}
# i &= \sigma(x_t W_i + h_{t-1} U_i + b_i), & f &= \sigma(x_t W_f + h_{t-1} U_f + b_f), \\
# g &= \tanh(x_t W_g + h_{t-1} U_g + b_g), & o &= \sigma(x_t W_o + h_{t-1} U_o + b_o), \\
# c_t &= f \odot c_{t-1} + i \odot g, & h_t &= o \odot \tanh(c_t).
# \end{aligned}$$
#
# With $d$ numbers per step, each $W$ is (d, units), each $U$ (units, units), each $b$ (units,).
# Keras stores the four side by side in the order $i, f, g, o$: one kernel (d, 4 · units), one
# recurrent kernel (units, 4 · units), one bias (4 · units,). So two products make all four.


# %%
def lstm_step(x, state, weights):
    """Returns the next state (h, c), each (n, units), for x (n, inputs) and the last (h, c).

    weights: kernel (inputs, 4 · units), recurrent kernel (units, 4 · units) and bias (4 · units,),
        as in Keras: in quarters for i, f, g and o.
    """
    (h, c), (kernel, recurrent_kernel, bias) = state, weights
    sums = x @ kernel + h @ recurrent_kernel + bias  # (n, 4 · units)
    i, f, g, o = tf.split(sums, 4, axis=-1)
    c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
    return tf.sigmoid(o) * tf.tanh(c), c


# %% [markdown]
# A step is all there is to learn. Reading a sequence is the `scan` of chapter 4, which also knows
# the mask: where the mask is false, state and cell stay as they were. The first state is zero
# unless another is given.


# %%
def zero_state(x, units):
    """Returns a state (h, c) of zeros for x (n, time, inputs)."""
    zeros = tf.zeros((x.shape[0], units), x.dtype)
    return zeros, zeros


def lstm(x, weights, initial_state=None, mask=None, reverse=False):
    """Returns the outputs h of all steps (n, time, units), and the last state (h, c).

    x: (n, time, inputs); mask: (n, time), False where nothing is to be read.
    """
    if initial_state is None:
        initial_state = zero_state(x, weights[1].shape[0])
    return scan(lambda x_t, state: lstm_step(x_t, state, weights), x, initial_state, mask, reverse)


# %% [markdown]
# ## Proof against Keras
#
# Is this Keras' layer? We compare the outputs of all steps, the last cell, and the gradients for
# the input and for the three weights. As in chapter 3 the loss is half the sum of all squares, so
# that a different gradient reaches every output. The last cell is appended to the outputs as one
# more step, so that it is compared too; and the first state, where one is given, is an input like
# the others, so that its gradient is.


# %%
def all_outputs(outputs, state):
    """Returns (n, time + 1, units): the outputs of all steps, then the last cell."""
    return tf.concat([outputs, state[1][:, tf.newaxis]], axis=1)


def compare_with_keras(x, units, mask=None, initial_state=(), reverse=False) -> dict[str, float]:
    """Returns the largest differences of `lstm` to `layers.LSTM`, for random weights.

    initial_state: (h, c), or () for zeros.
    """
    options = {"return_sequences": True, "return_state": True, "go_backwards": reverse}
    layer = layers.LSTM(units, dtype=x.dtype, **options)
    layer.build(x.shape)

    def ours(x, *others):
        return all_outputs(*lstm(x, others[:3], others[3:] or None, mask, reverse))

    def theirs(x, *others):
        given = {"mask": mask, "initial_state": list(others[3:]) or None}
        outputs, h, c = as_function(layer, **given)(x, *others[:3])
        outputs = outputs[:, ::-1] if reverse else outputs  # Keras leaves them in reading order
        return all_outputs(outputs, (h, c))

    return compare_functions(ours, theirs, x, *random_weights(layer), *initial_state)


# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    mask = np.arange(11) < np.array([[11], [7], [1], [4], [9]])  # five lengths
    for dtype in ("float64", "float32"):
        x = random.normal(size=(5, 11, 3)).astype(dtype)
        start = random.normal(size=(2, 5, 6)).astype(dtype)
        differences = {
            "plain": compare_with_keras(x, 6),
            "masked": compare_with_keras(x, 6, mask),
            "backwards": compare_with_keras(x, 6, mask, reverse=True),
            "initial state": compare_with_keras(x, 6, mask, start),
        }
        for name, found in differences.items():
            print(f"{dtype} {name:13} {max(found.values()):.0e}")

# %% [markdown]
# With 64 bits the two agree to the last digits, so the differences with 32 are rounding.
#
# An LSTM can read the outputs of another; they are *stacked*. And one can read forwards, another
# backwards, and the outputs of both stand side by side: a *bidirectional* layer. At each step it
# knows the whole sequence. That is allowed where the whole sequence is there before the answer is
# wanted, as with a recording; it is not where the future has yet to happen.


# %%
def bidirectional(x, forward, backward, mask=None):
    """Returns (n, time, 2 · units): the outputs of two LSTMs that read x in both directions."""
    onward, _ = lstm(x, forward, mask=mask)
    back, _ = lstm(x, backward, mask=mask, reverse=True)
    return tf.concat([onward, back], axis=-1)


def deep_functions(x, units, mask=None):
    """Returns ours, Keras' and the weights: a bidirectional LSTM, under another LSTM."""
    options = {"return_sequences": True, "dtype": x.dtype}
    wide = layers.Bidirectional(layers.LSTM(units, **options), dtype=x.dtype)
    deep = keras.Sequential([wide, layers.LSTM(units, **options)])
    deep.build(x.shape)

    def ours(x, *weights):
        outputs = bidirectional(x, weights[0:3], weights[3:6], mask)
        return lstm(outputs, weights[6:9], mask=mask)[0]  # (n, time, units)

    return ours, as_function(deep, mask=mask), random_weights(deep)


def compare_deep_with_keras(x, units, mask=None) -> dict[str, float]:
    """Returns the largest differences of both functions: of the values, and of every gradient."""
    ours, theirs, weights = deep_functions(x, units, mask)
    return compare_functions(ours, theirs, x, *weights)


if __name__ == "__main__":
    worst = max(compare_deep_with_keras(x, 6, mask).values())
    print(f"bidirectional and stacked, float32: {worst:.0e}")

# %% [markdown]
# Equal gradients should make equal training. From the same weights, on the same data, we take 50
# steps of Adam with our LSTM and 50 with Keras' layer, and compare the weights at the end.


# %%
def weights_after_training(function, weights, x, y, steps=50):
    """Returns the weights after so many steps of Adam that bring function(x, *weights) to y."""
    variables = [keras.Variable(w, dtype=w.dtype) for w in weights]
    optimizer = keras.optimizers.Adam(0.01)
    optimizer.build(variables)

    @tf.function(autograph=False)
    def train_step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((function(x, *(v.value for v in variables)) - y) ** 2)
        values = [v.value for v in variables]
        optimizer.apply(tape.gradient(loss, values), variables)

    for _ in range(steps):
        train_step()
    return [v.numpy() for v in variables]


def one_layer_functions(x, units, mask=None):
    """Returns ours, Keras' and the weights: one LSTM."""
    layer = layers.LSTM(units, return_sequences=True, dtype=x.dtype)
    layer.build(x.shape)

    def ours(x, *weights):
        return lstm(x, weights, mask=mask)[0]

    return ours, as_function(layer, mask=mask), random_weights(layer)


def compare_training(functions, x, units, mask=None, steps=50) -> float:
    """Returns the largest difference between the weights, ours and Keras', after training."""
    y = np.random.default_rng(1).normal(size=(*x.shape[:2], units)).astype(x.dtype)
    ours, theirs, start = functions(x, units, mask)
    trained = [weights_after_training(each, start, x, y, steps) for each in (ours, theirs)]
    return max(float(np.abs(a - b).max()) for a, b in zip(*trained, strict=True))


if __name__ == "__main__":
    for functions, dtype in ((one_layer_functions, "float64"), (deep_functions, "float32")):
        difference = compare_training(functions, x.astype(dtype), 6, mask)
        print(f"{functions.__name__}, {dtype}: weights differ by {difference:.0e}")

# %% [markdown]
# ## The way back, by hand
#
# The tape did the work again. What did it compute? Let $\bar h_t$ stand for the gradient of the
# loss for $h_t$, and so on; all of them are (n, units). We go from the last step to the first.
# Into $\bar h_t$ goes what the loss itself says, and what comes back from step $t + 1$. From there,
#
# $$\begin{aligned}
# \bar o &= \bar h_t \odot \tanh c_t, &
# \bar c_t &\leftarrow \bar c_t + \bar h_t \odot o \odot (1 - \tanh^2 c_t), \\
# \bar i &= \bar c_t \odot g, \quad \bar f = \bar c_t \odot c_{t-1}, &
# \bar g &= \bar c_t \odot i, \qquad \bar c_{t-1} = \bar c_t \odot f .
# \end{aligned}$$
#
# Times the slopes of sigmoid and tanh, these four are the gradient $\bar s_t$, (n, 4 · units), for
# the sums before the gates; and $\bar h_{t-1} = \bar s_t\, U^\top$. The weights are the same at
# every step, so their gradients are sums over the steps: $\bar U = \sum_t h_{t-1}^\top \bar s_t$.
#
# Such a sum need not be taken step by step. Stack all $h_{t-1}$ and all $\bar s_t$, and it is one
# large matrix product; so are those for the kernel and the input. On the way out it is the same:
# $x_t W$ does not wait for $h_{t-1}$, so all steps of it are one product. Only $h_{t-1} U$ must be
# computed step by step. `tf.scan` is TensorFlow's own loop over the first axis, here time, and
# `tf.custom_gradient` puts our way back in place of the tape's.


# %%
def gates_and_slopes(sums):
    """Returns the gates (i, f, g, o) and their slopes, each (n, units), for sums (n, 4 · units)."""
    i, f, g, o = tf.split(sums, 4, axis=-1)
    i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
    return (i, f, g, o), (i * (1 - i), f * (1 - f), 1 - g**2, o * (1 - o))


@tf.custom_gradient
def recurrence(x_sums, recurrent_kernel):
    """Returns h of all steps (time, n, units), for x_t W + b of all steps (time, n, 4 · units)."""
    zeros = tf.zeros_like(x_sums[0, :, : recurrent_kernel.shape[0]])

    def step(state, x_sum):
        h, c, _ = state
        sums = x_sum + h @ recurrent_kernel
        (i, f, g, o), _ = gates_and_slopes(sums)
        c = f * c + i * g
        return o * tf.tanh(c), c, sums

    h, c, sums = tf.scan(step, x_sums, (zeros, zeros, x_sums[0]))

    def gradient(h_bar):
        h_before, c_before = (tf.concat([zeros[tf.newaxis], a[:-1]], axis=0) for a in (h, c))

        def step_back(state, step):
            h_bar, c_bar, _ = state
            h_bar_here, c, c_before, sums = step
            (i, f, g, o), (slope_i, slope_f, slope_g, slope_o) = gates_and_slopes(sums)
            h_bar += h_bar_here
            c_bar += h_bar * o * (1 - tf.tanh(c) ** 2)
            for_o = h_bar * tf.tanh(c) * slope_o
            for_others = [c_bar * g * slope_i, c_bar * c_before * slope_f, c_bar * i * slope_g]
            s_bar = tf.concat([*for_others, for_o], axis=-1)
            return s_bar @ tf.transpose(recurrent_kernel), c_bar * f, s_bar

        steps = (h_bar, c, c_before, sums)
        _, _, s_bar = tf.scan(step_back, steps, (zeros, zeros, x_sums[0]), reverse=True)
        return s_bar, tf.tensordot(h_before, s_bar, ((0, 1), (0, 1)))

    return h, gradient


def fast_lstm(x, weights):
    """Returns the outputs of `lstm` (n, time, units), without a mask, from a state of zeros."""
    kernel, recurrent_kernel, bias = weights
    x_sums = tf.transpose(x, (1, 0, 2)) @ kernel + bias  # (time, n, 4 · units), all at once
    return tf.transpose(recurrence(x_sums, recurrent_kernel), (1, 0, 2))


if __name__ == "__main__":
    layer = layers.LSTM(6)
    layer.build((5, 11, 3))
    inputs = [random.normal(size=(5, 11, 3)), *random_weights(layer)]
    inputs = [each.astype("float64") for each in inputs]
    differences = compare_functions(
        lambda x, *weights: fast_lstm(x, weights), lambda x, *weights: lstm(x, weights)[0], *inputs
    )
    worst = max(differences.values())
    print(f"outputs and gradients by hand, by the tape: largest difference {worst:.0e}")


# %% [markdown]
# ## How far back do gradients reach?
#
# To learn from something read 50 steps ago, the loss must feel it: the gradient has to come back
# through 50 steps. In the simple RNN each step multiplies it by a matrix and by the slopes of the
# tanh, which are below 1. In the cell of the LSTM there is a shorter way. From
# $c_t = f \odot c_{t-1} + i \odot g$, while the gates stay as they are,
#
# $$\frac{\partial c_t}{\partial c_{t-1}} = f, \qquad
#   \frac{\partial c_T}{\partial c_{t}} = f_{t+1} \odot f_{t+2} \odot \dots \odot f_T .$$
#
# No matrix and no tanh, just the forget gates. If they are near 1, the gradient arrives whole.
# (The gates themselves depend on the past through $h$; that way is longer, and we measure both
# together.)
#
# To measure it we add a nudge to the memory after each step, as in chapter 4, here to the cell:
# $c_t + \varepsilon_t$ with $\varepsilon_t = 0$. It changes nothing, but the tape gives a gradient
# for it, and that is the gradient for the cell at step $t$. For the simple RNN the memory is the
# state.


# %%
def gradient_path(step, x, state):
    """Returns (time,): the length of the gradient of the last memory, for that k steps before.

    step: `step(x_t, state) -> state`; a state is a tuple, its last entry the memory (n, units).
    The lengths are means over n, divided by the length at k = 0.
    """
    units = state[-1].shape[-1]
    nudges = tf.zeros((*x.shape[:2], units))
    direction = tf.random.stateless_normal(state[-1].shape, seed=(0, 0))

    def nudged_step(x_and_nudge, state):
        *others, memory = step(x_and_nudge[:, :-units], state)
        return (*others, memory + x_and_nudge[:, -units:])

    with tf.GradientTape() as tape:
        tape.watch(nudges)
        _, (*_, memory) = scan(nudged_step, tf.concat([x, nudges], axis=-1), state)
        loss = tf.reduce_sum(memory * direction)
    slopes = tf.norm(tape.gradient(loss, nudges), axis=-1)  # (n, time)
    return tf.reduce_mean(slopes / slopes[:, -1:], axis=0).numpy()[::-1]


def with_forget_bias(weights, value):
    """Returns the weights of an LSTM with all biases of the forget gate set to `value`."""
    kernel, recurrent_kernel, bias = weights
    quarters = np.split(bias, 4)
    quarters[1] = np.full_like(quarters[1], value)
    return kernel, recurrent_kernel, np.concatenate(quarters)


def fresh_paths(steps=100, units=64, forget_biases=(0, 1, 3)) -> dict[str, np.ndarray]:
    """Returns the gradient paths (steps,) of layers with Keras' first weights, on noise."""
    keras.utils.set_random_seed(0)
    x = tf.random.stateless_normal((16, steps, 12), seed=(1, 1))
    simple, cell = layers.SimpleRNN(units), layers.LSTM(units)
    simple.build(x.shape)
    cell.build(x.shape)
    h, c = zero_state(x, units)
    weights = simple.get_weights()
    paths = {"simple RNN": gradient_path(lambda x, s: (simple_rnn_step(x, *s, weights),), x, (h,))}
    for bias in forget_biases:
        biased = with_forget_bias(cell.get_weights(), bias)
        path = gradient_path(lambda x, s, w=biased: lstm_step(x, s, w), x, (h, c))
        paths[f"LSTM, forget bias {bias}"] = path
    return paths


# %%
if __name__ == "__main__":
    paths = fresh_paths()
    plotting.plot_gradient_norms(paths)
    for name, path in paths.items():
        print(f"{name:20} 20 steps back {path[20]:.0e}, 50 steps back {path[50]:.0e}")

# %% [markdown]
# An LSTM is not a cure in itself. With a forget bias of 0 its gates start near one half,
# $\sigma(0) = 0.5$, and the gradient halves at every step: it dies *faster* than that of the simple
# RNN. With 1 they start near $\sigma(1) = 0.73$, and it reaches further than the RNN's, but it
# still dies. With 3 the gates start near 0.95, and it arrives. The advantage of the LSTM is that
# there is such a knob at all: the gates can be opened, by hand at the start and by learning
# afterwards. Keras starts with 1 (`unit_forget_bias=True`).
#
# Does it matter to learning? A task made for it: each sequence is noise, and the answer is whether
# its *first* number was positive. All that follows is a distraction.


# %%
def first_sign_task(examples=2000, steps=20):
    """Returns x (examples, steps, 1), noise, and y (examples, 1): is the first number positive?"""
    x = np.random.default_rng(0).normal(size=(examples, steps, 1)).astype("float32")
    return x, (x[:, 0] > 0).astype("float32")


def learn_first_sign(layer, forget_bias=None, epochs=8, steps=20, seed=0, **fit_options):
    """Returns the History of a network with 16 units of a kind of layer, such as layers.LSTM."""
    keras.utils.set_random_seed(seed)
    rnn = layer(16)
    model = keras.Sequential([keras.Input((steps, 1)), rnn, layers.Dense(1)])
    if forget_bias is not None:
        rnn.set_weights(with_forget_bias(rnn.get_weights(), forget_bias))
    return fit(
        model,
        first_sign_task(steps=steps),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(0.01),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0, name="accuracy")],
        epochs=epochs,
        batch_size=50,
        progress="none",
        **fit_options,
    )


# %%
if __name__ == "__main__":
    curves = {"simple RNN": learn_first_sign(layers.SimpleRNN).history["accuracy"]}
    for bias in (0, 1, 3):
        history = learn_first_sign(layers.LSTM, bias).history
        curves[f"LSTM, forget bias {bias}"] = history["accuracy"]
    plotting.plot_lines(curves, x_label="epoch", y_label="accuracy")
    print({name: round(values[-1], 2) for name, values in curves.items()})

# %% [markdown]
# One run says little. This is the accuracy after eight epochs over five seeds:
#
# | | mean | lowest | highest |
# |---|---|---|---|
# | simple RNN | 0.82 | 0.52 | 0.98 |
# | LSTM, forget bias 0 | 0.59 | 0.52 | 0.81 |
# | LSTM, forget bias 1 | 0.77 | 0.51 | 0.85 |
# | LSTM, forget bias 3 | 0.95 | 0.85 | 0.98 |
#
# With a bias of 0 most runs have learned nothing yet, with 1 most have begun: that is why Keras
# starts with 1. With 3 all have. Whoever knows that a network must remember for long can help it
# here. And the simple RNN is not hopeless: with one small number per step its tanh stays where it
# is nearly straight, and Keras starts its recurrent matrix *orthogonal*, which neither stretches
# nor shrinks. Its gradient 49 steps back was 0.006 with 64 units; with 12 numbers per step, as in
# the picture before, it was 0.0000007. It depends on luck where the LSTM need not.
#
# ## Recordings of different lengths
#
# Back to the nine men. What should a network do with the zeros after the end of a recording? Keras
# has a layer for it: `Masking()` computes a mask, false where all 12 numbers are 0, and hands it on
# to the layers that follow. The LSTM keeps its state there, as our scan does; so the last output is
# that of the last real step. It works because the data set keeps its promise that padding is
# exactly 0: means and standard deviations were taken over the real steps, and applied to them only.
#
# The network: one bidirectional LSTM, dropout, and a dense layer with nine logits.


# %%
def make_speaker_model(units=64, dropout=0.3, masked=True) -> keras.Model:
    """Returns the classifier: recordings (n, time, 12) → logits (n, 9)."""
    return keras.Sequential(
        [
            keras.Input((None, 12)),  # None: of any length
            *([layers.Masking()] if masked else []),
            layers.Bidirectional(layers.LSTM(units)),  # (n, 2 · units), the last outputs
            layers.Dropout(dropout),
            layers.Dense(9),
        ],
        name="speakers" if masked else "speakers_without_mask",
    )


# %% [markdown]
# The loss is the cross-entropy from logits; for the bicycles, later, it will be the mean absolute
# error. The learning rate falls along half a cosine, as in chapter 3.


# %%
EPOCHS = {"speakers": 20, "bikes": 8}
BATCH_SIZE = {"speakers": 15, "bikes": 64}


def loss_and_metrics(task):
    """Returns the loss, and the list of metrics, of a task."""
    if task == "speakers":
        accuracy = keras.metrics.SparseCategoricalAccuracy(name="accuracy")
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True), [accuracy]
    return keras.losses.MeanAbsoluteError(), [keras.metrics.MeanAbsoluteError(name="mae")]


def train(model, splits, task, epochs=None, batch_size=None, learning_rate=0.003, **fit_options):
    """Returns the History of a model that was trained on the training part."""
    epochs, batch_size = epochs or EPOCHS[task], batch_size or BATCH_SIZE[task]
    loss_fn, metrics = loss_and_metrics(task)
    schedule = make_schedule(learning_rate, len(splits.train.x), batch_size, epochs)
    options = {"epochs": epochs, "batch_size": batch_size, "metrics": metrics, **fit_options}
    optimizer = keras.optimizers.Adam(schedule)
    options |= {"loss_fn": loss_fn, "validation_data": splits.validation}
    return fit(model, splits.train, optimizer=optimizer, **options)


# %% [markdown]
# And without the mask? Then the LSTM reads the zeros as if they were sound. To see what it makes of
# them, we train the same network with and without a mask, and then add zeros to the test
# recordings. Nothing that anybody said has changed.


# %%
def with_more_padding(x, extra):
    """Returns x (n, time, 12) with so many more steps of zeros at the end."""
    return np.pad(x, [(0, 0), (0, extra), (0, 0)])


def answers_with_more_padding(model, splits, extra=(0, 5, 10, 20, 40)):
    """Returns for so many more steps of zeros {"accuracy": …, "length": …} on the test part.

    length: how long the speakers that the model names talk, by their mean in the training part.
    """
    (x, y), train = splits.test, splits.train
    talks = np.array([lengths(train.x[train.y == label]).mean() for label in range(9)])
    found = {}
    for more in extra:
        answer = predict(model, with_more_padding(x, more)).argmax(axis=-1)
        found[more] = {"accuracy": np.mean(answer == y), "length": talks[answer].mean()}
    return found


def accuracy_by_length(splits) -> float:
    """Returns the test accuracy of a guess that knows the length of a recording and no more.

    It answers with the speaker who has most training recordings of that length.
    """
    counts = np.zeros((splits.train.x.shape[1] + 1, len(splits.classes)))
    np.add.at(counts, (lengths(splits.train.x), splits.train.y), 1)
    answers = counts.argmax(axis=1)[lengths(splits.test.x)]
    return float(np.mean(answers == splits.test.y))


# %%
if __name__ == "__main__":
    print(f"by the length alone: {accuracy_by_length(speakers):.3f}")
    for masked in (True, False):
        keras.utils.set_random_seed(0)
        model = make_speaker_model(masked=masked)
        train(model, speakers, "speakers", epochs=10, progress="none")
        for more, found in answers_with_more_padding(model, speakers).items():
            accuracy, length = found.values()
            print(f"{model.name}, {more:2} more: accuracy {accuracy:.3f}, length {length:.2f}")

# %% [markdown]
# With the mask the answers are the same to the last one, as they should be. Without it the network
# still does well as long as all recordings are padded to 29 steps: 0.973, against 0.981 with it.
# But it has learned to read the zeros. With 10 more of them its accuracy falls to 0.932, with 40 to
# 0.797; and after 20 epochs, not 10, to 0.343. The last column says in which direction it errs: the
# more zeros, the more it answers with those who talk fast. It takes zeros for an early end.
#
# In use that would be a strange failure. The answer would depend on how long the *longest* other
# recording in the batch is, for that is what one pads to.
#
# How much does the length tell? A guess by the length alone gets 0.200 of the test recordings; a
# guess without anything 1 in 9, 0.111. The mask does not hide the length: an LSTM can count steps
# if it likes. It hides the padding.
#
# ## The article's LSTM in Keras
#
# The first article's network has 100 numbers per step, two LSTM layers of 128 units, and a dense
# layer on the last output. It makes the first state and cell by hand, of zeros. That is harmless:
# it is what every library does when no state is given. Here is the network both ways.


# %%
def make_article_lstm(classes=10) -> keras.Model:
    """Returns the article's network: (n, time, 100) → logits (n, classes)."""
    return keras.Sequential(
        [
            keras.Input((None, 100)),
            layers.LSTM(128, return_sequences=True),  # (n, time, 128)
            layers.LSTM(128),  # (n, 128), the last step
            layers.Dense(classes),
        ],
        name="article_lstm",
    )


def call_with_zero_states(model, x):
    """Returns the logits of `make_article_lstm`, with first states made by hand, as there."""
    first, second, dense = model.layers
    sequence = first(x, initial_state=list(zero_state(x, 128)))
    return dense(second(sequence, initial_state=list(zero_state(x, 128))))


if __name__ == "__main__":
    model = make_article_lstm()
    x = tf.random.stateless_normal((4, 20, 100), seed=(0, 0))
    difference = np.abs(model(x) - call_with_zero_states(model, x)).max()
    print(
        f"{model.count_params():,} weights; with zeros by hand the outputs differ by {difference}"
    )

# %% [markdown]
# How many weights has an LSTM? Four kernels, four recurrent kernels, four biases:
# $4\,(d + \text{units} + 1) \cdot \text{units}$. A GRU has three of each (and Keras' a second
# bias), a simple RNN one.


# %%
def lstm_parameters(inputs, units):
    """Returns the number of weights of an LSTM."""
    return 4 * (inputs + units + 1) * units


if __name__ == "__main__":
    print(lstm_parameters(100, 128) + lstm_parameters(128, 128) + 129 * 10)

# %% [markdown]
# ## A forecast, and what is known when
#
# The second task: bike rentals. The data are hourly, for the year 2011, with the weather. First a
# look at a week in June.

# %%
if __name__ == "__main__":
    next_hour = load_bike_rentals(horizon=1)
    print(next_hour)
    times = target_times("train")  # the training part is shuffled
    week = np.argsort(times)[3700:3868]
    rentals = {"rentals": next_hour.train.y[week]}
    plotting.plot_series(times[week], rentals, y_label="bikes per hour")

# %% [markdown]
# Five days have two peaks, on the way to work and back; two, Saturday and Sunday, have one broad
# hill. On the last day it rained for six hours.
#
# In forecasting, most of what is too good to be true is a leak: the model was shown something that
# nobody would have known. So write down what is known at the moment of the forecast, the end of
# hour $t$, when the target is hour $t + k$:
#
# | | known? |
# |---|---|
# | rentals up to hour $t$ | yes |
# | weather up to hour $t$ | yes, it has been measured |
# | hour, weekday, holidays of the target hour | yes, from the calendar |
# | weather of the target hour | **no**; at best there is a forecast of it, and our file has none |
# | rentals of the target hour, and their two parts, casual and registered | no |
#
# With $k = 1$ the missing weather matters little, for that of the hour before is nearly the same.
# With $k = 24$ it matters much, and a model that is given tomorrow's true weather is a model that
# cannot be used.
#
# An example is a window of 48 hours. A step of the window holds what is known of its own hour
# (rentals, weather) beside the calendar of the hour that is $k$ later; so the last step knows the
# calendar of the target. The parts follow each other in time, and no window crosses from one into
# the next, for windows that overlap share most of their numbers. The scaling is that of the
# training part.
#
# 115 hours are missing. Hours must not be counted by rows then: the row 24 places up may be another
# hour. The data set lays all rows on a grid of 8,760 hours and fills the gaps by the same hour of
# the day before. A straight line between the neighbours would look better, and would be a leak: its
# right end is in the future. A step says in the column "known" whether it was filled, and a filled
# hour is never a target.
#
# ## A ladder of forecasts
#
# Is an error of 30 bikes good? To know, begin with forecasts that need no learning.
# *Persistence* says: as in the last hour. *Same hour yesterday* says: as 24 hours before the
# target. 24 hours ahead the two are the same. The error is the mean absolute error in bikes.


# %%
def past_rentals(splits, x):
    """Returns the rentals (n, history) in bikes that the windows x hold."""
    return x[..., 0] * splits.std[0] + splits.mean[0]


def persistence(splits, x):
    """Returns (n, 1): the rentals of the last hour that is known."""
    return past_rentals(splits, x)[:, -1:]


def same_hour_yesterday(splits, x, horizon):
    """Returns (n, 1): the rentals 24 hours before the target hour."""
    place = x.shape[1] - 25 + horizon  # the target hour would stand at history − 1 + horizon
    return past_rentals(splits, x)[:, place : place + 1]


# %% [markdown]
# The next rung learns: a linear model of the last 48 rentals, the *lags*. With so many features
# that resemble each other we add the L2 penalty of chapter 2; least squares with it is called
# *ridge regression*. Setting the gradient to zero gives one equation, as in chapter 1, with the
# strength of the penalty on the diagonal:
# $(X^\top X + \lambda I)\, w = X^\top y$. The bias is not penalised. A second one also gets the
# weather and the calendar of the last step, so that the LSTM is not the only one who knows them.


# %%
def fit_ridge(x, y, strength=1.0):
    """Returns w (features + 1, 1) that minimises ‖x w − y‖² + strength ‖w‖², the bias last."""
    x, y = with_ones(x), np.asarray(y, np.float64)
    penalty = strength * np.eye(x.shape[1])
    penalty[-1, -1] = 0
    return np.linalg.solve(x.T @ x + penalty, x.T @ y)


def with_ones(x):
    """Returns x (n, features) in 64 bits with a column of ones for the bias."""
    return np.column_stack([np.asarray(x, np.float64), np.ones(len(x))])


def lags(x):
    """Returns (n, history): the rentals of every step."""
    return x[..., 0]


def lags_and_last_step(x):
    """Returns the lags, and the weather and the calendar that the last step holds."""
    return np.column_stack([x[..., 0], x[:, -1, 1:]])


def simple_forecasts(splits, horizon) -> dict[str, np.ndarray]:
    """Returns for each rung of the ladder its forecasts (n, 1) for the test part."""
    x, y = splits.train
    forecasts = {
        "persistence": persistence(splits, splits.test.x),
        "same hour yesterday": same_hour_yesterday(splits, splits.test.x, horizon),
    }
    for name, features in {"ridge": lags, "ridge with calendar": lags_and_last_step}.items():
        weights = fit_ridge(features(x), y)
        forecasts[name] = with_ones(features(splits.test.x)) @ weights
    return forecasts


def mean_absolute_error(y, y_pred) -> float:
    """Returns the mean distance of forecasts (n, 1) from what came."""
    return float(np.mean(np.abs(y - y_pred)))


# %%
if __name__ == "__main__":
    for horizon in (1, 24):
        splits = load_bike_rentals(horizon)
        for name, forecast in simple_forecasts(splits, horizon).items():
            error = mean_absolute_error(splits.test.y, forecast)
            print(f"{horizon:2} h ahead, {name:20} {error:.1f} bikes")

# %% [markdown]
# One hour ahead, learning from the lags alone takes a third off the error of persistence. A day
# ahead the lags hardly help: tomorrow at eight is like today at eight, unless it is the weekend.
#
# ## The network for the bikes
#
# One LSTM reads the window; a hidden layer takes its last output and the last step itself, which
# holds the calendar of the target hour; one number comes out, and a fixed layer turns it into
# bikes, with the mean and the standard deviation of the training targets. The loss is the mean
# absolute error, the figure that we report.


# %%
def make_bike_model(train, units=64, dropout=0.3) -> keras.Model:
    """Returns the forecaster: windows (n, history, features) → rentals in bikes (n, 1).

    train: the training part, for the shape of its windows and the scale of its targets.
    """
    _, history, features = train.x.shape
    window = keras.Input((history, features))
    last_output = layers.LSTM(units)(window)  # (n, units)
    last_step = layers.Flatten()(layers.Cropping1D((history - 1, 0))(window))  # (n, features)
    joined = layers.Concatenate()([layers.Dropout(dropout)(last_output), last_step])
    hidden = layers.Dense(64, activation="relu")(joined)
    output = layers.Dense(1)(hidden)
    bikes = layers.Rescaling(float(train.y.std()), float(train.y.mean()))(output)
    return keras.Model(window, bikes, name="bikes")


# %% [markdown]
# ## Loss and loop
#
# Both networks are trained by the step of the earlier chapters; nothing in it asks what the model
# is made of. And as ever the loop must do what `model.fit` does, here with masks.


# %%
def compare_loops(examples=45, epochs=2) -> dict[str, float]:
    """Returns the largest differences between our loop and `model.fit`: losses and weights."""
    splits = load_japanese_vowels().take(examples)
    losses, weights = [], []
    for loop in ("tape", "fit"):
        keras.utils.set_random_seed(0)
        model = make_speaker_model(units=8)
        options = {"epochs": epochs, "loop": loop, "jit": "off", "progress": "none"}
        history = train(model, splits, "speakers", **options)
        losses.append(history.history["loss"])
        weights.append(model.get_weights())
    difference = max(np.abs(a - b).max() for a, b in zip(*weights, strict=True))
    return {"loss": float(np.abs(np.subtract(*losses)).max()), "weights": float(difference)}


if __name__ == "__main__":
    print(compare_loops())

# %% [markdown]
# And how fast is it? Two layers of 128 units, 100 steps, 64 sequences to a batch, on two cores, the
# medians of three rounds in turns:
#
# | | ms per step |
# |---|---|
# | our loop, Keras' layers | 132 |
# | our loop, the way back by hand | 209 |
# | our loop, the way back by hand, XLA (`jit="on"`) | 227 |
# | PyTorch, eager | 114 |
#
# The way back by hand is the slowest: it computes the gates a second time, and keeps no slopes. We
# also tried to keep them, and to compute all slopes and each weight's gradient for all steps at
# once: 185 ms, with XLA 153, still behind Keras' layer. The matrix products of a step make 9.5
# thousand million operations. The rest of the time goes into 200 small steps forwards and 200 back,
# each of a dozen operations on 64 × 512 numbers, one after the other. TensorFlow's profiler counts
# 7,600 operations in one step of our loop. 1,100 of them are matrix products, and have about six
# tenths of the operations' time; the others share the rest. PyTorch's profiler finds nine tenths of
# its time in four calls of hand-written machine code: each layer forwards, and each back. XLA joins
# operations too, but does not help here, so `jit="auto"` leaves it off for Keras' LSTMs on a CPU.
# `python -m kerasbook.bench lstm` measures our loop beside `model.fit` and, where it is installed,
# PyTorch. What makes an LSTM by hand faster than Keras' layer after all, [another
# page](speed.ipynb) shows: each step as one piece of code, and half of the batch on
# each core.
#
# ## Result
#
# `main` is the chapter as a program, for both tasks. For the bikes it reports the rungs of the
# ladder beside the network, and draws a week of the test part.


# %%
def speaker_figures(splits, model, history):
    """Returns the figures of a run on the recordings."""
    predicted = predict(model, splits.test.x).argmax(axis=-1)
    return {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
    }


def bike_figures(splits, model, history, times, errors):
    """Returns the figures of a run on the rentals; times: those of the test part's targets."""
    predicted = predict(model, splits.test.x)
    week = {"true": splits.test.y[:168], "LSTM": predicted[:168]}  # the test part is in order
    return {
        "history": plotting.plot_history(history, metric="mae", units={"mae": "bikes"}),
        "week": plotting.plot_series(times[:168], week, y_label="bikes per hour"),
        "ladder": plotting.plot_ladder(errors, x_label="mean absolute error on the test part"),
        "predictions": plotting.plot_predictions(splits.test.y, predicted, unit="bikes"),
    }


# %%
ABOUT = {
    "datasets": ["japanese_vowels", "bikeshare_1h", "bikeshare_24h"],
    "headline": ["test", "accuracy"],
    "bounds": {"dropout": [0, 0.999]},
    "quick_data": None,  # a cell looks up certain hours of the bike rentals
    "minutes": 1,
    "runs": ["", "--task bikes", "--task bikes --horizon 24"],
}


def main(
    task: Literal["speakers", "bikes"] = "speakers",
    horizon: Literal[1, 24] = 1,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float = 0.003,
    units: int = 64,
    dropout: float = 0.3,
    seed: int = 0,
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains an LSTM to tell nine speakers apart, or to forecast bike rentals.

    Args:
        task: speakers (Japanese Vowels) or bikes (rentals by the hour)
        horizon: hours from the last known rentals to the forecast ones; for bikes only
        epochs: passes over the training part; if None, 20 for speakers and 8 for bikes
        batch_size: examples per step; if None, 15 for speakers and 64 for bikes
        learning_rate: of Adam at the first step; it falls to zero along half a cosine
        units: of the LSTM
        dropout: share of the outputs of the LSTM that are dropped
        seed: of the first weights, the shuffling and the dropout
        examples: use the first so many examples of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    if task == "speakers":
        splits = load("japanese_vowels").take(examples)
        model = make_speaker_model(units, dropout)
    else:
        splits = load(f"bikeshare_{horizon}h").take(examples)
        model = make_bike_model(splits.train, units, dropout)
    print(splits)
    model.summary()
    options = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    history = train(model, splits, task, **options, seed=seed, **fit_options)
    loss_fn, metrics = loss_and_metrics(task)
    scores = {
        "validation": evaluate(model, splits.validation, loss_fn=loss_fn, metrics=metrics),
        "test": evaluate(model, splits.test, loss_fn=loss_fn, metrics=metrics),
    }
    if task == "speakers":
        return Result(splits, model, history, scores, speaker_figures(splits, model, history))
    forecasts = simple_forecasts(splits, horizon)
    errors = {name: mean_absolute_error(splits.test.y, each) for name, each in forecasts.items()}
    scores |= {name: {"mae": error} for name, error in errors.items()}
    times = target_times("test", horizon)[: len(splits.test.y)]
    figures = bike_figures(splits, model, history, times, errors | {"LSTM": scores["test"]["mae"]})
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    plt.close("all")  # the pictures follow one by one
    print(result.scores["test"])

# %% [markdown]
# Over five seeds the test accuracy was 0.976 ± 0.004, mean ± standard deviation.
#
# Who is taken for whom? The test part has from 24 to 88 recordings of a man, so look at the rows
# too and not at the total alone.

# %%
if __name__ == "__main__":
    result.figures["confusion"].figure

# %% [markdown]
# Now the bikes, one hour ahead.

# %%
if __name__ == "__main__":
    result = main("bikes", epochs=3)
    plt.close("all")
    result.figures["ladder"].figure

# %% [markdown]
# Three epochs are enough for a picture; after eight, the default, the error is 20.7 bikes, the mean
# of five seeds. Weather and calendar help the ridge, and a network that can combine them (a rainy
# evening on a working day) does better than both.

# %%
if __name__ == "__main__":
    result.figures["week"].figure

# %% [markdown]
# Here are seven days of the test part. Over all of it, after ten epochs, the forecast was off by 41
# bikes at 7 o'clock and by 46 at 17 o'clock, on the way to work and back, and by 4 to 8 before 6 in
# the morning. On average it was 7 bikes too low.
#
# And 24 hours ahead (`--horizon 24`)? The error is 38 bikes, against 53 of "same hour yesterday"
# and 50 of the ridge with calendar. What is missing is the weather. On 29 October it rained or
# snowed for 19 hours at 2 to 6 °C, and 627 bikes were rented, after 4,308 on the Saturday before.
# One hour ahead the network noticed, and was off by 11 bikes an hour. A day ahead it forecast
# 3,592 for that day: each of its windows ends 24 hours before the target.
#
# ## What to try
#
# - `--task bikes --horizon 24`, and look at `week.png`. Then give the windows the true weather of
#   the target hour. What would a perfect weather forecast be worth? Could you use that model?
# - `load_bike_rentals(history=168)`: a week to look back on. Is it worth 3.5 times the work?
# - Shuffle the hours before cutting them into parts, as one does with pictures. By how much does
#   the test error fall, and why is it not true?
# - `learn_first_sign` with the GRU of chapter 4. Where is its knob?
# - `--units 16`, `--units 256` for the speakers: when does the validation part notice?
# - Leave the backward layer out: `layers.LSTM(128)` in place of the bidirectional one.
#
# ## What the articles got wrong here
#
# - First state and cell are made of zeros by hand. It is harmless: zeros are the default.
# - GRU and LSTM are called "the core" of the RNN. They are two kinds of RNN; the simple one has no
#   gates, and is not the weaker for every task, as we have seen.
# - A recurrent network is fed with sequences of different lengths and no mask. The last step is
#   then padding; what comes of it we have measured.

# %% [markdown]
# ## Exercises
#
# Eight exercises go with this chapter. `kerasbook start DIR` copies their stubs, and the notebooks,
# into a folder; `kerasbook check` says which of your answers are right, and what to look at in the
# others.
#
# ## Where to go next
#
# Chapter 6 does without the step after step: every symbol looks at all others at once.
