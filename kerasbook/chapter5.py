# %% [markdown]
"""
# Chapter 5. Long short-term memory

Someone tells you a number, then nineteen more, and asks at the end: was the first one positive? A
person need only remember one thing, and leave the rest alone. Which networks can learn that?

The GRU of chapter 4 is one way to keep something over many steps. This chapter is about the older
and larger one, the *long short-term memory*. Hochreiter and Schmidhuber gave it, in 1997, a *cell*
beside the state, to which each step may add but which it cannot overwrite. That cell could not
forget. Gers, Schmidhuber and Cummins added the *forget gate* in 2000, and it is their LSTM that
libraries have today.

After this chapter you can

- compute an LSTM by hand, forwards, in both directions and in layers;
- say why its gradients reach further back than a simple network's, and when they do not;
- feed a network sequences of different lengths without telling it more than it should know;
- compare a simple network, a GRU, an LSTM and a convolution over time on one task.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter5`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter5")

# %% tags=["hide-input"]
from kerasbook import plotting
from kerasbook.chapter3 import make_schedule
from kerasbook.chapter4 import scan, simple_rnn_step
from kerasbook.data import load, load_japanese_vowels
from kerasbook.data.vowels import lengths
from kerasbook.runner import Result
from kerasbook.testing.recurrent import compare_loops, compare_recurrent
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## A number to remember
#
# The task in code: each sequence is 20 random numbers, and the answer is whether the *first* was
# positive. All that follows is a distraction.


# %%
def first_sign_task(examples=2000, steps=20, seed=0):
    """Returns x (examples, steps, 1), noise, and y (examples, 1): is the first number positive?"""
    x = np.random.default_rng(seed).normal(size=(examples, steps, 1)).astype("float32")
    return x, (x[:, 0] > 0).astype("float32")


# %% [markdown]
# Four networks of 16 units get the same data, the same optimizer and the same ten epochs: chapter
# 4's simple recurrent network and its GRU, the LSTM, and a convolution over time, `Conv1D`: units
# that see three neighbouring steps, and slide along the sequence with the same weights at every
# place. Guess their order before you look. What counts is the accuracy on 1,000 new sequences; one
# run says little, so each is trained from five first weights.


# %%
def make_reader(network, units=16) -> keras.Model:
    """Returns a network: sequences (n, time, inputs) → one vector each."""
    if network == "Conv1D":
        return keras.Sequential([layers.Conv1D(units, 3, activation="relu"), layers.Flatten()])
    cells = {"simple RNN": layers.SimpleRNN, "GRU": layers.GRU, "LSTM": layers.LSTM}
    return keras.Sequential([cells[network](units)])


# %%
def learn_first_sign(network, forget_bias=None, epochs=10, steps=20, seed=0, **fit_options):
    """Returns the History of a small network of this kind; forget_bias: of an LSTM."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([keras.Input((steps, 1)), make_reader(network), layers.Dense(1)])
    if forget_bias is not None:
        lstm_layer = model.layers[0].layers[-1]
        lstm_layer.set_weights(with_forget_bias(lstm_layer.get_weights(), forget_bias))
    return fit(
        model,
        first_sign_task(steps=steps),
        loss_fn=keras.losses.BinaryCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(0.005, global_clipnorm=1.0),
        metrics=[keras.metrics.BinaryAccuracy(threshold=0, name="accuracy")],
        epochs=epochs,
        batch_size=50,
        validation_data=first_sign_task(1000, steps, seed=1),
        **{"jit": "off", "progress": "none"} | fit_options,
    )


# %%
def with_forget_bias(weights, value):
    """Returns the weights of an LSTM with all biases of the forget gate set to `value`."""
    kernel, recurrent_kernel, bias = weights
    quarters = np.split(bias, 4)
    quarters[1] = np.full_like(quarters[1], value)
    return kernel, recurrent_kernel, np.concatenate(quarters)


# %%
def accuracies(network, forget_bias=None, seeds=5) -> np.ndarray:
    """Returns the accuracy on new sequences after each epoch (seeds, epochs)."""
    runs = [learn_first_sign(network, forget_bias, seed=seed) for seed in range(seeds)]
    return np.array([run.history["val_accuracy"] for run in runs])


# %% alt="Accuracy over ten epochs, mean and range of five seeds: the convolution is above 0.9 after two epochs; the simple network rises early, with a wide range; the LSTM rises early and stays below 0.9; the GRU begins to rise only after five epochs."
if __name__ == "__main__":
    curves = {name: accuracies(name) for name in ("simple RNN", "GRU", "LSTM", "Conv1D")}
    plotting.plot_bands(curves, x_label="epoch", y_label="accuracy, new sequences")
    for name, values in curves.items():
        print(f"{name:10} after ten epochs: {values[:, -1].round(2)}")

# %% [markdown]
# Were you right? The convolution wins, and it need not remember anything: with `Flatten` each place
# in time has weights of its own, and the answer is always in the first. It pays for that with a
# fixed length. Among the three that do remember, the simple network does no worse than the LSTM
# here, in spite of its reputation; and the GRU, as Keras starts it, is slow to learn the task at
# all. (With other first weights, or on another processor, single runs end elsewhere: look at the
# bands, not at the order of two curves.) What keeps the LSTM back is one number, as we shall see.
#
# ## The data: who is speaking?
#
# Before we open the LSTM, the task on which `main` trains it. Nine men say two Japanese vowels, one
# after the other; who is it? Each step of a recording holds 12 numbers that describe the sound in a
# short piece of time (coefficients of its *LPC cepstrum*; we need not know more).

# %%
if __name__ == "__main__":
    speakers = load_japanese_vowels()
    print(speakers)
    steps = lengths(speakers.train.x)
    print(f"training part: shortest recording {steps.min()} steps, longest {steps.max()}")
    means = [steps[speakers.train.y == label].mean() for label in range(9)]
    print("mean length, by speaker:", np.round(means, 1))

# %% [markdown]
# `x` has the shape (n, 29, 12), because the longest recording, one of the test part, has 29 steps.
# An array cannot have rows of different lengths, so the recordings are *padded*: after the end come
# zeros. And the last line shows a trap. Some men are quick and some are slow, so that a network
# that sees where the zeros begin can tell something about the speaker without listening to him. We
# come back to it.
#
# ## A cell with three gates
#
# The LSTM carries two things from step to step, each of shape (n, units): the *cell* $c$, which is
# its memory (in chapter 4 the word meant the whole unit), and the *state* $h$, which is its output.
# At each step it reads the input $x_t$ and the last state $h_{t-1}$, and computes from both, with
# different weights, four things. Three are *gates*, numbers between 0 and 1, one for each unit of
# the cell:
#
# - the *input gate* $i$: how much of the new goes in;
# - the *forget gate* $f$: how much of the old stays (1 keeps all, so a better name would be the
#   "keep gate");
# - the *output gate* $o$: how much of the cell is shown.
#
# The fourth is the *candidate* $g$, between −1 and 1: what is new (chapter 4's $\tilde h$).

# %% alt="One step of an LSTM: along the top the cell goes through a product with the forget gate and a sum; from below come the input gate times the candidate, and the output gate times the tanh of the cell, which is the state." tags=["cover"]
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
# In the cell of 1997 there is no $f$: there $c_t = c_{t-1} + i \odot g$. What was once added stays,
# and in a long stream of inputs the cell grows without end; that was the reason for the forget
# gate.
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
# Is this Keras' layer? We compare the outputs of all steps, the last cell, and the gradients for
# the input, the three weights and the first state; with a mask, backwards, in 32 and in 64 bits.


# %%
if __name__ == "__main__":
    given = {"return_sequences": True, "return_state": True}
    random, mask = np.random.default_rng(0), np.arange(11) < np.array([[11], [7], [1], [4], [9]])
    for dtype in ("float64", "float32"):
        x, worst = random.normal(size=(5, 11, 3)).astype(dtype), 0.0
        start = random.normal(size=(2, 5, 6)).astype(dtype)
        for reverse in (False, True):
            layer = layers.LSTM(6, dtype=dtype, go_backwards=reverse, **given)
            found = compare_recurrent(lstm, layer, x, mask, () if reverse else start)
            worst = max(worst, *found.values())
        print(f"masked: from a given state, and backwards, {dtype}: difference {worst:.0e}")

# %% [markdown]
# There is none, because ours and Keras' layer come down to the same operations of TensorFlow in the
# same order.
#
# *Exercises: `coupled_gates` (five minutes) has one gate in place of $i$ and $f$; `peephole_lstm`
# lets the gates see the cell; `NormalisedLSTM` normalises the sums; `keras_weights` carries an LSTM
# over from ONNX.*
#
# ## Two directions, and layers
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


# %% [markdown]
# That two stacked LSTMs, one of them bidirectional, are Keras' too, and have the same weights after
# twenty steps of training, `kerasbook verify 5` shows. The gradients come from the tape; what it
# does can be written by hand, from the last step to the first: [*What makes it fast*](speed.ipynb)
# has that way back, and what it costs.
#
# ## How far back do gradients reach?
#
# Why did the networks of the first section differ? To learn from something read 50 steps ago, the
# loss must feel it: the gradient has to come back through 50 steps. In the simple RNN each step
# multiplies it by a matrix and by the slopes of the tanh, which are below 1. In the cell of the
# LSTM there is a shorter way, from $c_{t-1}$ straight to $c_t = f \odot c_{t-1} + i \odot g$. If we
# look at this way alone, and take gates and candidate as given,
#
# $$\frac{\partial c_t}{\partial c_{t-1}} = f, \qquad
#   \frac{\partial c_T}{\partial c_{t}} = f_{t+1} \odot f_{t+2} \odot \dots \odot f_T .$$
#
# No matrix and no tanh, just the forget gates. With all of them at 1 the gradient would arrive
# whole on this way, which is the cell of 1997. How near to 1 must they be?

# %%
if __name__ == "__main__":
    for forget in (0.5, 0.73, 0.95, 0.98, 0.999):
        print(f"f = {forget}: of the gradient 50 steps back is left {forget**50:.2g}")

# %% [markdown]
# Very near. A gate of 0.98, which forgets a fiftieth at each step, lets a bit more than a third
# through 50 steps. And this is one way of several, because the gates themselves depend on the past
# through $h$. That way is longer, and we measure both together: a nudge $\varepsilon_t = 0$ is
# added to the memory after each step, as in chapter 4, here to the cell. It changes nothing, but
# the tape gives a gradient for it, and that is the gradient for the cell at step $t$. For the
# simple RNN the memory is the state.


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


# %% tags=["hide-input"]
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


# %% alt="Length of the gradient against steps back, on a log scale: the LSTM with forget bias 0 falls fastest, then the simple RNN, then bias 1, all in straight lines; with bias 3 it falls a little and then grows beyond 1."
if __name__ == "__main__":
    paths = fresh_paths()
    plotting.plot_gradient_norms(paths)
    for name, path in paths.items():
        print(f"{name:20} 20 steps back {path[20]:.0e}, 50 steps back {path[50]:.0e}")

# %% [markdown]
# So an LSTM is not a cure in itself. With a forget bias of 0 its gates start near one half,
# $\sigma(0) = 0.5$, and the gradient dies *faster* than that of the simple RNN. With 1 they start
# near $\sigma(1) = 0.73$, and it reaches further than the RNN's, but it still dies. With 3 the
# gates start near 0.95, and it arrives. The advantage of the LSTM is that there is such a knob at
# all: the gates can be driven towards 1, by hand at the start and by learning afterwards.
#
# In all three cases more is left than the gates alone would leave, $0.5^{50}$ and so on: what comes
# back through the gates and $h$ is added. With a bias of 3 it even grows, and far back it is longer
# than at the end. And the simple network, which kept a good part of its gradient in chapter 4,
# loses it here, because these inputs are twenty times as large: they push the tanh to where it is
# flatter.
#
# *Exercises: `bias_for_memory` (five minutes) turns the knob by a formula; `cell_gradient` writes
# the way back through a cell by hand; `train_in_pieces` cuts a long series where the gradient
# cannot reach anyway.*
#
# ## The knob, turned
#
# Keras starts with a forget bias of 1 (`unit_forget_bias=True`). The advice is old: Gers and his
# co-authors began with a positive bias in 2000, and Jozefowicz, Zaremba and Sutskever found in
# 2015, in a search through thousands of recurrent networks, that a bias of 1 closes the gap between
# the LSTM and the GRU. Does it matter to remembering a number for twenty steps? The same task as at
# the beginning, with three biases.

# %% alt="Accuracy over ten epochs of LSTMs with three forget biases, mean and range of five seeds: with bias 0 it stays at one half for four epochs, with bias 1 it reaches 0.8 early and stays there, with bias 3 it goes on to 0.97."
if __name__ == "__main__":
    by_bias = {f"forget bias {bias}": accuracies("LSTM", bias) for bias in (0, 1, 3)}
    plotting.plot_bands(by_bias, x_label="epoch", y_label="accuracy, new sequences")
    for name, values in by_bias.items():
        print(f"{name} after ten epochs: {values[:, -1].round(2)}")

# %% [markdown]
# After ten epochs, the mean of five seeds and in brackets its standard error:
#
# | | accuracy |
# |---|---|
# | LSTM, forget bias 0 | 0.70 (0.05) |
# | LSTM, forget bias 1, as Keras has it | 0.84 (0.01) |
# | LSTM, forget bias 3 | 0.97 (0.00) |
# | GRU | 0.71 (0.09) |
# | simple RNN | 0.89 (0.04) |
# | Conv1D | 0.98 (0.00) |
#
# With a bias of 0 most of the ten epochs pass before anything is learned; with 1 it begins in the
# first. That is what the advice is worth here. For a memory of twenty steps 1 is still low, and
# with 3 the LSTM does what it is named after. So if you know that a network must remember for long,
# you can help it. And the simple network is not hopeless: Keras starts its recurrent kernel
# orthogonal, which neither stretches nor shrinks, so that enough of the gradient comes back for it
# to learn. It then holds the sign as in chapter 4, by driving units to the flat ends of the tanh.
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
def make_model(units=64, dropout=0.3, cell=layers.LSTM, masked=True) -> keras.Model:
    """Returns the classifier: recordings (n, time, 12) → logits (n, 9)."""
    return keras.Sequential(
        [
            keras.Input((None, 12)),  # None: of any length
            *([layers.Masking()] if masked else []),
            layers.Bidirectional(cell(units)),  # (n, 2 · units), the last outputs
            layers.Dropout(dropout),
            layers.Dense(9),
        ],
        name="speakers" if masked else "speakers_without_mask",
    )


# %% [markdown]
# And without the mask? Then the LSTM reads the zeros as if they were sound. To see what it makes of
# them, we train the same network with and without a mask, and then add zeros to the test
# recordings. Nothing that anybody said has changed. What do you expect of the accuracy?


# %%
def train(model, splits, epochs=20, batch_size=15, learning_rate=0.003, **fit_options):
    """Returns the History of a model that was trained on the training part."""
    schedule = make_schedule(learning_rate, len(splits.train.x), batch_size, epochs)
    return fit(
        model,
        splits.train,
        loss_fn=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        optimizer=keras.optimizers.Adam(schedule),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        epochs=epochs,
        batch_size=batch_size,
        validation_data=splits.validation,
        **fit_options,
    )


# %% tags=["hide-input"]
def with_more_padding(x, extra):
    """Returns x (n, time, 12) with so many more steps of zeros at the end."""
    return np.pad(x, [(0, 0), (0, extra), (0, 0)])


def answers_with_more_padding(model, splits, extra=(0, 5, 10, 20, 40)):
    """Returns for so many more steps of zeros {"accuracy": …, "commonest": …} on the test part.

    commonest: the share of the answers that name the one speaker who is named most.
    """
    (x, y), found = splits.test, {}
    for more in extra:
        answer = predict(model, with_more_padding(x, more)).argmax(axis=-1)
        commonest = np.bincount(answer).max() / len(answer)
        found[more] = {"accuracy": np.mean(answer == y), "commonest": commonest}
    return found


# %%
if __name__ == "__main__":
    for masked in (True, False):
        keras.utils.set_random_seed(0)
        model = make_model(masked=masked)
        train(model, speakers, progress="none")
        for more, found in answers_with_more_padding(model, speakers).items():
            accuracy, share = found.values()
            print(f"{model.name}, {more:2} more: accuracy {accuracy:.3f}, one man {share:.0%}")

# %% [markdown]
# With the mask the answers are the same to the last one, as they should be. Without it the network
# does as well as long as all recordings are padded to 29 steps. But it has learned to read the
# zeros: with 20 more of them a quarter of its answers is wrong, with 40 two thirds, and most of
# these name one and the same man, as the last column says. (That is this run. With other first
# weights it may be only one answer in six or seven.)
#
# In use that would be a strange failure. The answer would depend on how long the *longest* other
# recording in the batch is, because that is what one pads to.
#
# How much does the length tell by itself?


# %%
def accuracy_by_length(splits) -> float:
    """Returns the test accuracy of a guess that knows the length of a recording and no more.

    It answers with the speaker who has most training recordings of that length.
    """
    counts = np.zeros((splits.train.x.shape[1] + 1, len(splits.classes)))
    np.add.at(counts, (lengths(splits.train.x), splits.train.y), 1)
    answers = counts.argmax(axis=1)[lengths(splits.test.x)]
    return float(np.mean(answers == splits.test.y))


if __name__ == "__main__":
    print(f"by the length alone: {accuracy_by_length(speakers):.3f}; by chance {1 / 9:.3f}")

# %% [markdown]
# The mask does not hide the length: an LSTM can count steps if it likes. It hides the padding.
#
# *Exercise: `train_switch` asks for a network whose answers do not change with the padding.*

# %% [markdown]
# ## The other three on the same task
#
# Is it the LSTM that does it? The simple network and the GRU take its place in the same model:
# `make_model(cell=layers.GRU)`. The convolution sees five steps at once and averages over the real
# ones; Keras' `Conv1D` loses the mask, so that we multiply by it ourselves.


# %%
def make_convolutional(units=64, dropout=0.3) -> keras.Model:
    """Returns the classifier with a convolution over time: (n, time, 12) → logits (n, 9)."""
    x = keras.Input((None, 12))
    real = keras.ops.any(keras.ops.not_equal(x, 0), axis=-1, keepdims=True)  # (n, time, 1)
    real = keras.ops.cast(real, x.dtype)
    maps = layers.Conv1D(2 * units, 5, padding="same", activation="relu")(x) * real
    mean = keras.ops.sum(maps, axis=1) / keras.ops.sum(real, axis=1)  # (n, 2 · units)
    logits = layers.Dense(9)(layers.Dropout(dropout)(mean))
    return keras.Model(x, logits, name="convolutional")


# %% [markdown]
# The same 20 epochs, batches and learning rate for all, the mean of five seeds and in brackets its
# standard error:
#
# | | validation | test | weights |
# |---|---|---|---|
# | simple RNN, both directions | 0.960 | 0.978 (0.006) | 11,017 |
# | GRU, both directions | 0.991 | 0.980 (0.001) | 31,113 |
# | LSTM, both directions | 0.987 | 0.976 (0.002) | 40,585 |
# | Conv1D | 0.973 | 0.975 (0.001) | 8,969 |
#
# They cannot be told apart: on 370 recordings a standard error of any such share is eight
# thousandths, more than what lies between these. So take the smallest, the convolution, with less
# than a quarter of the LSTM's weights. The validation part decides nothing here: it has 45
# recordings, of which one more or less is two hundredths. A larger part would leave fewer for
# training; with 270 recordings in all one would cut them in several ways and take the mean, which
# is called cross-validation, and must not choose by the test part instead.
#
# ## How many weights?
#
# An LSTM has four kernels, four recurrent kernels and four biases:
# $4\,(d + \text{units} + 1) \cdot \text{units}$. A GRU has three of each (and Keras' a second
# bias), a simple RNN one.


# %%
def lstm_parameters(inputs, units):
    """Returns the number of weights of an LSTM."""
    return 4 * (inputs + units + 1) * units


if __name__ == "__main__":
    print(2 * lstm_parameters(12, 64), "in both directions;", model.layers[0].count_params())

# %% [markdown]
# ## The loop and the result
#
# The step is that of all chapters; nothing in it asks what the model is made of. With masks and
# dropout, our loop and `model.fit` end with the same weights:


# %%
if __name__ == "__main__":
    few, cross_entropy = speakers.take(45).train, keras.losses.SparseCategoricalCrossentropy(True)
    difference = compare_loops(lambda: make_model(units=8), few, cross_entropy)
    print(f"after two epochs losses and weights differ by {difference:.0e} at most")

# %% [markdown]
# `main` is the chapter as a program.

# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["japanese_vowels"],
    "headline": ["test", "accuracy"],
    "bounds": {"dropout": [0, 0.999]},
    "minutes": 1,
    "old_flags": {"--task bikes": "chapter5_forecasting"},
}


def main(
    epochs: int = 20,
    batch_size: int = 15,
    learning_rate: float = 0.003,
    units: int = 64,
    dropout: float = 0.3,
    seed: int = 0,
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains an LSTM to tell nine speakers apart by two vowels.

    Args:
        epochs: passes over the training part
        batch_size: recordings per step
        learning_rate: of Adam at the first step; it falls to zero along half a cosine
        units: of the LSTM, in each direction
        dropout: share of its outputs that are dropped
        seed: of the first weights, the shuffling and the dropout
        examples: use the first so many recordings of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load("japanese_vowels").take(examples)
    print(splits)

    model = make_model(units, dropout)
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
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
    }
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    plt.close("all")  # the pictures follow one by one
    print(f"test accuracy {result.scores['test']['accuracy']:.3f}")

# %% [markdown]
# Over five seeds the test accuracy was 0.976 ± 0.004, mean ± standard deviation.
#
# Which speakers are mistaken for each other? The test part has from 24 to 88 recordings of a man,
# so look at the rows too and not at the total alone.

# %% alt="Confusion matrix of the nine speakers on the test part: nearly all recordings lie on the diagonal; of the few mistakes about half take somebody for speaker 8."
if __name__ == "__main__":
    result.figures["confusion"].figure

# %% [markdown]
# ## What to try
#
# - `make_model(cell=layers.GRU)` and `make_convolutional()` with `answers_with_more_padding`: do
#   they keep their answers?
# - `--units 16`, `--units 256`: when does the validation part notice?
# - Leave the backward layer out: `layers.LSTM(128)` in place of the bidirectional one.
# - `learn_first_sign` with a GRU whose update gate begins with a bias of 3. Where is its knob?
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of all exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others. Begin
# with the two of five minutes, `coupled_gates` and `bias_for_memory`. Then `keras_weights`,
# `peephole_lstm`, `train_switch`, `cell_gradient`, `train_in_pieces` and `NormalisedLSTM`.
#
# ## Where to go next
#
# [*Forecasting*](chapter5_forecasting.ipynb) takes the same networks to a series in time, where the
# trap is not padding but the future. Chapter 6 does without the step after step: every symbol looks
# at all others at once.
