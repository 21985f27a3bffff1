# %% [markdown]
"""
# Chapter 4. Gated recurrent units

"It is funny, not dull." "It is dull, not funny." The two have the same words, and one is praise.
Whoever counts words cannot tell them apart, and the networks so far had no better way to take in a
sentence. A recurrent network *reads*: one word after the other, with the same weights at every
word, and a *state* that carries on what was read so far.

Can it tell such twins apart? On made-up sentences, in the next section, a network of some 1,500
weights does, every time. On 8,049 real ones, at the end, a network that is right about three
sentences in four does not, and we shall count.

After this chapter you can

- write a simple recurrent network and a gated recurrent unit (GRU), and say what each gate does;
- leave out padding by a mask;
- send gradients back through time by hand, measure how they vanish or explode, and clip them;
- train a reader of sentences, and find out whether it reads.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter4`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter4")

# %% tags=["hide-input"]
import inspect
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter1 import numerical_gradient
from kerasbook.chapter3 import make_schedule
from kerasbook.data import load, load_film_sentences
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_differences, outputs_and_gradients
from kerasbook.testing.recurrent import compare_loops, compare_recurrent
from kerasbook.training import evaluate, fit, make_train_step, predict

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## A task in which order decides
#
# A made-up language of 24 words. Every sentence is 40 words of chatter, and somewhere in it stand
# three words that are a verdict: *funny not dull* or *not dull funny* is praise, *dull not funny*
# or *not funny dull* is blame. All four have the same three words, and all that matters is which
# one *not* stands before.

# %%
WORDS = ("[padding]", "[unknown]", "funny", "dull", "not", "the", "a", "film", "story", "actor")
WORDS += ("scene", "music", "end", "plot", "camera", "with", "and", "in", "of", "to", "this")
WORDS += ("one", "some", "then")
VERDICTS = np.array([[2, 4, 3], [4, 3, 2], [3, 4, 2], [4, 2, 3]])  # two of praise, two of blame


# %%
def make_verdicts(count, length, seed):
    """Returns x (count, length), word numbers, and y (count,), 1 for praise."""
    random = np.random.default_rng(seed)
    x = random.integers(5, len(WORDS), (count, length)).astype("int32")  # chatter
    kind, place = random.integers(0, 4, count), random.integers(0, length - 2, count)
    x[np.arange(count)[:, None], place[:, None] + np.arange(3)] = VERDICTS[kind]  # three in a row
    return x, (kind < 2).astype("int32")


# %%
if __name__ == "__main__":
    x, y = make_verdicts(4, 12, seed=1)
    for row, label in zip(x, y, strict=True):
        print(label, " ".join(WORDS[number] for number in row))

# %% [markdown]
# Three networks try it. All turn words into vectors first, with an *embedding*, which the next
# section explains, and end in one logit. What stands between is the mean of all vectors, a *bag of
# words*; or a simple recurrent network; or a GRU. Guess: which of them can learn it from
# 2,000 sentences of 10 words? And of 40?


# %%
def make_order_model(reader) -> keras.Model:
    """Returns a classifier: word numbers (n, time) → logits (n, 1); reader: a layer."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),  # (n, time)
            layers.Embedding(len(WORDS), 8, mask_zero=True, name="embedding"),  # (n, time, 8)
            reader,  # (n, units)
            layers.Dense(1),
        ]
    )


def make_reader(variant, units):
    """Returns the layer that makes one vector (n, units) of the words' vectors."""
    kinds = {"bag": layers.GlobalAveragePooling1D, "simple": layers.SimpleRNN, "gru": layers.GRU}
    return kinds[variant]() if variant == "bag" else kinds[variant](units, name=variant)


# %%
def learn_order(variant, length, epochs=10, seed=0, **fit_options):
    """Returns the trained model, its History, and the accuracy on 1,000 new sentences."""
    keras.utils.set_random_seed(seed)
    model = make_order_model(make_reader(variant, units=16))
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = [keras.metrics.BinaryAccuracy(threshold=0, name="accuracy")]
    options = {"epochs": epochs, "batch_size": 50, "seed": seed, "progress": "none"}
    history = fit(
        model,
        make_verdicts(2000, length, seed=100),
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(0.01, global_clipnorm=1.0),
        metrics=metrics,
        **options | fit_options,
    )
    score = evaluate(model, make_verdicts(1000, length, seed=101), loss_fn=loss_fn, metrics=metrics)
    return model, history, score["accuracy"]


# %%
if __name__ == "__main__":
    curves = {}
    for variant in ("bag", "simple", "gru"):
        _, _, short = learn_order(variant, length=10)
        order_model, history, long = learn_order(variant, length=40)
        curves[variant] = history.history["accuracy"]
        print(f"{variant:6} accuracy at 10 words {short:.2f}, at 40 words {long:.2f}")

# %% alt="Accuracy on the training sentences of 40 words over ten epochs: the bag of words stays near one half, the simple network creeps to about 0.6, the GRU rises to 1 within a few epochs."
if __name__ == "__main__":
    plotting.plot_lines(curves, x_label="epoch", y_label="accuracy, 40 words, training part")

# %% [markdown]
# The bag gets half of them right, and could not do better if it trained for a year, because the
# words of all four verdicts have the same mean. The simple network learns the short sentences and,
# in ten epochs, nothing of the long ones: its curve creeps up because it memorises its training
# sentences, and on new ones it is right half of the time. The GRU learns both. On new sentences,
# the mean of five seeds, and in brackets its standard error:
#
# | | 10 words | 20 words | 40 words |
# |---|---|---|---|
# | bag of words | 0.51 (0.00) | 0.53 (0.00) | 0.51 (0.01) |
# | simple recurrent network | 1.00 (0.00) | 1.00 (0.00) | 0.50 (0.01) |
# | GRU | 1.00 (0.00) | 1.00 (0.00) | 1.00 (0.00) |
#
# Is it only a matter of patience? With 30 epochs in place of ten the simple network comes to
# 1.00 (0.00) at 40 words. So it can hold a verdict that long, but ten epochs are too few to find
# out how. Two questions lead through the chapter: what does it cost the simple network to hold a
# verdict? And what does the GRU have that it has not?
#
# *Exercise: `train_reader` is a task of this kind, with another rule to be found.*
#
# ## Words as vectors
#
# Word number 17 is not greater than number 5 in any sense that helps. So each word gets a vector of
# its own, a row in a table $E$, (words, width), which is learned like any other weight. This is
# called an *embedding*. Looking a row up is the same as multiplying the table by a row of zeros
# with a single 1, as chapter 2's one-hot vectors, only without the multiplications.

# %%
if __name__ == "__main__":
    table = np.random.default_rng(0).normal(size=(10, 3))
    numbers = np.array([[7, 2, 7, 0]])  # (n, time)
    vectors = tf.gather(table, numbers)  # (n, time, width)
    print(vectors.shape, np.abs(vectors - tf.one_hot(numbers, 10, dtype="float64") @ table).max())

# %% [markdown]
# ## A simple recurrent network, by hand
#
# A loop: what comes out of a step goes into the next one. Written out in time it is a row of steps,
# and all of them are one and the same.

# %% alt="A recurrent network twice: as one step with an arrow from its output back to its input, and written out in time as four equal steps in a row, each with its input from below and its state to the right and above." tags=["cover"]
if __name__ == "__main__":
    plotting.plot_unrolled()

# %% [markdown]
# At each step the network has read a word, $x_t$, (inputs,), and remembers the state $h_{t-1}$,
# (units,). It makes the next state of both:
#
# $$h_t = \tanh(x_t W + h_{t-1} U + b) .$$
#
# $W$, (inputs, units), is called the *kernel*, $U$, (units, units), the *recurrent kernel*, and
# $b$, (units,), is the bias. For $n$ sentences at once $x_t$ and $h_t$ have $n$ rows.


# %%
def simple_rnn_step(x, h, weights, activation=tf.tanh):
    """Returns the next state (n, units), for x (n, inputs) and the state h (n, units).

    weights: kernel (inputs, units), recurrent kernel (units, units), bias (units,), as in Keras.
    """
    kernel, recurrent_kernel, bias = weights
    return activation(x @ kernel + h @ recurrent_kernel + bias)


# %% [markdown]
# The network is this step, repeated. Nothing else is new: the weights are the same at every word,
# so a sentence may be as long as it likes.
#
# What about sentences of different lengths? In an array all rows are equally long, so the shorter
# ones are filled up with zeros, the *padding*. A network that reads on through thirty zeros has a
# state that depends on how many there were. The cure is a *mask*, (n, time), which says where there
# is a word. Where there is none, the state stays as it was.


# %%
def scan(step, x, initial_state, mask=None, reverse=False):
    """Returns the states after every step (n, time, units), and the last one.

    step: `step(x_t, state) -> state`, for x_t (n, inputs); a state is a tensor (n, units) or a
        tuple of them, of which the first goes into the outputs.
    x: (n, time, inputs).  mask: (n, time), False where nothing is to be read: the state stays.
        Before the first step that is read, the outputs are the initial state. Keras' layers give
        zeros there, also where the state is not zero; states and later outputs are the same.
    reverse: read from the last step to the first; the outputs stand at their own time.
    """
    state, outputs = initial_state, [None] * x.shape[1]
    inputs = tf.unstack(x, axis=1)
    for t in reversed(range(len(inputs))) if reverse else range(len(inputs)):
        new_state = step(inputs[t], state)
        state = new_state if mask is None else choose(mask[:, t], new_state, state)
        outputs[t] = tf.nest.flatten(state)[0]
    return tf.stack(outputs, axis=1), state


def choose(read, new_state, state):
    """Returns the new state in the rows where `read` (n,) is true, else the old one."""
    read = tf.cast(read, tf.bool)[:, tf.newaxis]
    return tf.nest.map_structure(lambda new, old: tf.where(read, new, old), new_state, state)


# %% [markdown]
# Two sentences, padded to three lengths, read without a mask and with one. The weights are random.

# %%
if __name__ == "__main__":
    random = np.random.default_rng(1)
    weights = [random.normal(0, 0.4, shape) for shape in ((3, 4), (4, 4), (4,))]
    sentences, start = random.normal(size=(2, 5, 3)), np.zeros((2, 4))
    for zeros in (0, 3, 30):
        x = np.pad(sentences, [(0, 0), (0, zeros), (0, 0)])
        mask = np.tile(np.arange(5 + zeros) < 5, (2, 1))
        for name, choice in (("without", None), ("with", mask)):
            _, last = scan(lambda x, h: simple_rnn_step(x, h, weights), x, start, choice)
            one, other = last.numpy().round(3)
            print(f"{zeros:2} zeros, {name:7} mask: {one} {other}")

# %% [markdown]
# Without a mask, what was read is forgotten: after thirty zeros the two sentences have led to the
# same state. A network that reads backwards meets the padding first, and forgets that while it
# reads; it suffers less, but its answer depends on the padding too. In Keras an `Embedding` with
# `mask_zero=True` sends a mask along with its vectors, and the layers after it use it.
#
# *Exercises: `last_state` (five minutes) runs such a network over a batch that is laid out in
# another order; `join_directions` puts two readers side by side, one forwards and one backwards.*
#
# ## Back through time, by hand
#
# How does the loss depend on $U$, which was used at every word? The gradient goes the way back: it
# comes in at every output, $g_t$, and from every step to the one before, $e_t$.

# %% alt="The network written out in time, and in red dashed arrows the way of the gradient: it enters at every output and runs from each step to the one before."
if __name__ == "__main__":
    plotting.plot_unrolled(backward=True)

# %% [markdown]
# The network written out has $T$ layers, one above the other, all with the same weights. Then it is
# the backpropagation of chapter 2, from the last layer to the first, and a weight's gradient is the
# sum over all the places where it was used. That is all there is to *backpropagation through time*.
#
# Let $g_t$, (n, units), be the gradient for the output at step $t$, and $e_t$ what arrives from the
# later steps, 0 at the last. The slope of the tanh is $1 - \tanh^2$, so with
# $\delta_t = (g_t + e_t) \odot (1 - h_t^2)$
#
# $$\frac{\partial L}{\partial W} = \sum_t x_t^\top \delta_t, \quad
#   \frac{\partial L}{\partial U} = \sum_t h_{t-1}^\top \delta_t, \quad
#   \frac{\partial L}{\partial b} = \sum_t \delta_t, \quad
#   \frac{\partial L}{\partial x_t} = \delta_t W^\top, \quad
#   e_{t-1} = \delta_t U^\top .$$


# %%
def simple_rnn_gradients(x, states, initial_state, weights, g):
    """Returns the gradients for x, the three weights and the initial state.

    states: those of `scan` (n, time, units).  g: the gradient for them, of the same shape.
    """
    kernel, recurrent_kernel, _ = weights
    for_weights = [tf.zeros_like(weight) for weight in weights]
    for_x, later = [None] * x.shape[1], tf.zeros_like(initial_state)
    for t in reversed(range(x.shape[1])):
        before = states[:, t - 1] if t > 0 else initial_state
        delta = (g[:, t] + later) * (1 - states[:, t] ** 2)  # (n, units)
        here = tf.transpose(x[:, t]) @ delta, tf.transpose(before) @ delta, tf.reduce_sum(delta, 0)
        for_weights = [total + part for total, part in zip(for_weights, here, strict=True)]
        for_x[t] = delta @ tf.transpose(kernel)
        later = delta @ tf.transpose(recurrent_kernel)
    return tf.stack(for_x, axis=1), *for_weights, later


# %% [markdown]
# Two short sentences, of five words each; the loss is half the sum of the squares of all states, so
# that $g_t = h_t$. The tape judges every gradient, and chapter 1's finite differences that of $U$.


# %%
def check_back_through_time(x, initial_state, weights) -> dict[str, float]:
    """Returns the largest differences of the gradients by hand to the tape's, and to slopes."""

    def states_of(x, kernel, recurrent_kernel, bias, start):
        weights = kernel, recurrent_kernel, bias
        return scan(lambda x, h: simple_rnn_step(x, h, weights), x, start)[0]

    inputs = [x, *weights, initial_state]
    states, *by_tape = outputs_and_gradients(states_of, *inputs)
    by_hand = simple_rnn_gradients(x, states, initial_state, weights, states)
    names = "x", "kernel", "recurrent kernel", "bias", "initial state"
    differences = largest_differences(names, by_hand, by_tape)

    def loss(recurrent_kernel):
        return float(
            tf.reduce_sum(states_of(x, weights[0], recurrent_kernel, *inputs[3:]) ** 2) / 2
        )

    slopes = numerical_gradient(loss, weights[1])
    return differences | {"finite differences": float(np.abs(by_hand[2] - slopes).max())}


# %%
if __name__ == "__main__":
    x, start = random.normal(size=(2, 5, 3)), random.normal(size=(2, 4))
    found = check_back_through_time(x, start, weights)
    slopes = found.pop("finite differences")
    print(
        f"{len(found)} gradients: to the tape's {max(found.values()):.0e}, to slopes {slopes:.0e}"
    )

# %% [markdown]
# *Exercise: `linear_memory_gradients` is the same way back for a recurrence without a tanh, and
# with a mask.*
#
# ## Gradients that vanish or explode
#
# What makes remembering hard? On its way back the gradient is multiplied by
# $U^\top$, and by a slope of the tanh of at most 1, at every step. How much is left of it after
# fifty steps, if each step is a factor of 0.8? And of 1.2?

# %%
if __name__ == "__main__":
    print(f"{0.8**50:.1e} {1.2**50:.0f}")

# %% [markdown]
# So either the first words of a sentence have no say in the learning, or they have too much. To
# measure it, we ask how much the last state would change if the state $k$ steps before were nudged.
# That is a gradient: of a number made of the last state (its part in a random direction), for
# the state $k$ steps before. The network begins with an orthogonal $U$, a matrix that changes the
# length of no vector, and we scale it; the inputs are small random vectors, like those of an
# untrained embedding.


# %%
def gradient_norms(step, x, units, seed=0):
    """Returns (time,): how long the gradient is k steps before the last state, k = 0, 1, 2, …

    It is that of a random direction of length 1, averaged over the n rows of x (n, time, inputs).
    """
    direction = tf.random.stateless_normal((len(x), units), (seed, 4), dtype=x.dtype)
    direction = tf.math.l2_normalize(direction, axis=1)
    zeros = [tf.zeros((len(x), units), x.dtype) for _ in range(x.shape[1])]  # a nudge per state
    with tf.GradientTape() as tape:
        tape.watch(zeros)
        h = tf.zeros((len(x), units), x.dtype)
        for t, zero in enumerate(zeros):
            h = step(x[:, t], h) + zero
        last = tf.reduce_sum(h * direction)
    gradients = tape.gradient(last, zeros)
    return np.array([np.linalg.norm(g, axis=1).mean() for g in reversed(gradients)])


# %% tags=["hide-input"]
def orthogonal(units, seed=0):
    """Returns a random matrix (units, units) that changes the length of no vector."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(units, units)))[0]


def simple_rnn_norms(scales=(0.8, 1.0, 1.2, 1.5), steps=60, units=64) -> dict[str, np.ndarray]:
    """Returns `gradient_norms` of simple networks, by the scale of the recurrent kernel."""
    random = np.random.default_rng(0)
    x = 0.05 * random.normal(size=(8, steps, units))
    kernel, bias = random.normal(0, units**-0.5, (units, units)), np.zeros(units)
    norms = {}
    for scale in scales:
        weights = kernel, scale * orthogonal(units), bias
        norms[f"U scaled by {scale}"] = gradient_norms(
            lambda x, h, weights=weights: simple_rnn_step(x, h, weights), x, units
        )
    return norms


# %% alt="Length of the gradient against steps back, on a log scale, for four scales of U: below 1 it falls in a straight line, at 1 it falls slowly, above 1 it rises, more slowly than the scale alone, and steeply only at the far end."
if __name__ == "__main__":
    norms = simple_rnn_norms()
    plotting.plot_gradient_norms(norms)
    for name, values in norms.items():
        print(f"{name}: {values[39]:.1e} after 39 steps, {values[59]:.1e} after 59")

# %% [markdown]
# The axis is logarithmic: a straight line is a constant factor per step. Below 1 the gradient
# vanishes. Above 1 it grows, and with 1.5 it explodes, though less than the factor alone would have
# it, because large states lie where the tanh is flat. (At the far end it does rise by the factor:
# that is the beginning of the sentence, where the states are still small.)
#
# ## Clipping
#
# Against explosion there is a simple remedy. Take the gradients of all weights as one long vector.
# If it is longer than a limit, shorten it to the limit, and leave its direction. This is *clipping
# by global norm*. Clipping every weight's gradient by itself would change the direction.


# %%
def clip_by_global_norm(gradients, limit):
    """Returns the gradients, all shortened by one factor if together they exceed the limit."""
    norm = tf.sqrt(sum(tf.reduce_sum(gradient**2) for gradient in gradients))
    return [gradient * limit / tf.maximum(norm, limit) for gradient in gradients]


# %% [markdown]
# Keras' optimizers do the same when `global_clipnorm` is set. (`clipnorm` is another thing: it
# clips the gradient of each variable by itself.) The first section used it already. We compare one
# step of descent with a learning rate of 1, which moves the weights by the gradient itself, with a
# limit that shortens it and one that does not.


# %%
def compare_clipping(gradients, limit) -> float:
    """Returns the largest difference between our clipping and that of a Keras optimizer."""
    variables = [keras.Variable(tf.zeros_like(gradient), dtype="float64") for gradient in gradients]
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=limit)
    optimizer.apply([tf.constant(gradient) for gradient in gradients], variables)
    pairs = zip(clip_by_global_norm(gradients, limit), variables, strict=True)
    return max(float(np.abs(ours + theirs).max()) for ours, theirs in pairs)


if __name__ == "__main__":
    gradients = [random.normal(size=shape) for shape in ((3, 4), (4, 4), (4,))]
    worst = max(compare_clipping(gradients, limit) for limit in (1.0, 100.0))
    print(f"our clipping and that of Keras' SGD: largest difference {worst:.0e}")

# %% [markdown]
# Against vanishing this does not help: made longer, what is left of the early words would be made
# longer together with all the rest. A better start helps (an orthogonal $U$), and a network that is
# built in another way.
#
# *Exercise: `clipped_step` clips by hand, and leaves out a step whose gradient is not finite.*
#
# ## Gates, one at a time
#
# The simple network makes its whole state anew at every word. To keep something, it must compute it
# again and again, and each time the gradient pays for it. Here it is once more, drawn as a cell.
# What it makes we now call the *candidate*, $\tilde h$.

# %% alt="The simple network as a cell: the old state and the word go into a box with a tanh, and what comes out is the new state."
if __name__ == "__main__":
    plotting.plot_gru_cell(gates=0)

# %% [markdown]
# $$\tilde h_t = \tanh(x_t W_h + h_{t-1} U_h + b_h), \qquad h_t = \tilde h_t .$$
#
# **The update gate.** Let the network decide, unit by unit, whether to keep the old state or to
# take the candidate. A *gate* is a number between 0 and 1, and like everything else it is computed
# from the word and the state:
#
# $$z_t = \sigma(x_t W_z + h_{t-1} U_z + b_z), \qquad
#   h_t = z_t \odot h_{t-1} + (1 - z_t) \odot \tilde h_t .$$

# %% alt="The cell with an update gate: the old state runs along the top into a mixture, z times the old state plus one minus z times the candidate; z comes from a sigmoid of the word and the old state."
if __name__ == "__main__":
    plotting.plot_gru_cell(gates=1)

# %% [markdown]
# - Where $z \to 1$, the state stays as it is: the unit *remembers*, and on this way the
#   gradient comes back with a factor of 1.
# - Where $z \to 0$, the state is the candidate: the unit *reads*, as the simple network does.
#
# **The reset gate.** Sometimes the old state should be kept out of the candidate, so that a unit
# can begin anew. A second gate stands on the way from the old state to the candidate:
#
# $$r_t = \sigma(x_t W_r + h_{t-1} U_r + b_r), \qquad
#   \tilde h_t = \tanh(x_t W_h + b_h + r_t \odot (h_{t-1} U_h + b'_h)) .$$

# %% alt="The whole GRU: as before, and a reset gate, another sigmoid of the word and the old state, multiplies what goes from the old state into the candidate."
if __name__ == "__main__":
    plotting.plot_gru_cell(gates=2)

# %% [markdown]
# - Where $r \to 0$, the candidate sees the word alone: the unit *forgets* what it was about to mix
#   in.
# - Where $r \to 1$, the candidate is that of the simple network.
#
# This is the GRU as Keras computes it. All of $z$, $r$, $\tilde h$ and $h$ are (n, units). Keras
# keeps the three kernels side by side, in thirds for $z$, $r$ and $\tilde h$: one kernel (inputs,
# 3 · units), one recurrent kernel (units, 3 · units), and two biases, (2, 3 · units), one of which
# belongs to the product with $h$. (For $z$ and $r$ the two just add up.)


# %%
def gru_gates(x, h, weights, reset_after=True):
    """Returns the gates z and r, and the candidate, each (n, units)."""
    kernel, recurrent_kernel, bias = weights
    bias_x, bias_h = tf.unstack(bias) if reset_after else (bias, tf.zeros_like(bias))
    x_z, x_r, x_c = tf.split(x @ kernel + bias_x, 3, axis=-1)
    u_z, u_r, u_c = tf.split(recurrent_kernel, 3, axis=-1)
    b_z, b_r, b_c = tf.split(bias_h, 3)
    z = tf.sigmoid(x_z + h @ u_z + b_z)
    r = tf.sigmoid(x_r + h @ u_r + b_r)
    reset = r * (h @ u_c + b_c) if reset_after else (r * h) @ u_c
    return z, r, tf.tanh(x_c + reset)


# %%
def gru_step(x, h, weights, reset_after=True, z_keeps=True):
    """Returns the next state (n, units), for x (n, inputs) and the state h (n, units).

    weights: kernel (inputs, 3 · units), recurrent kernel (units, 3 · units) and bias, as in Keras:
        in thirds for z, r and the candidate; bias (2, 3 · units), or (3 · units,) for
        reset_after=False.
    z_keeps: True is Keras' z h + (1 − z) h̃, False the article's (1 − z) h + z h̃.
    """
    z, _, candidate = gru_gates(x, h, weights, reset_after)
    return z * h + (1 - z) * candidate if z_keeps else (1 - z) * h + z * candidate


# %% [markdown]
# Are the extremes what we said? A bias of 20 drives a gate to 1 and a bias of −20 to 0, unless
# word, state and weights are very large.


# %%
def with_bias(weights, third, value):
    """Returns Keras' GRU weights with one third of the first bias, 0 z, 1 r, set to value."""
    kernel, recurrent_kernel, bias = weights
    units = len(recurrent_kernel)
    bias = np.array(bias)
    bias[0, third * units : (third + 1) * units] = value
    return kernel, recurrent_kernel, bias


# %%
if __name__ == "__main__":
    gru_weights = [random.normal(0, 0.3, shape) for shape in ((3, 12), (4, 12), (2, 12))]
    word, h = random.normal(size=(1, 3)), random.normal(size=(1, 4))
    kept = gru_step(word, h, with_bias(gru_weights, 0, 20))
    read = gru_step(word, h, with_bias(gru_weights, 0, -20))
    _, _, candidate = gru_gates(word, h, gru_weights)
    print(f"z → 1: the state moves by {np.abs(kept - h).max():.0e}")
    print(f"z → 0: state and candidate differ by {np.abs(read - candidate).max():.0e}")
    forgetful = with_bias(gru_weights, 1, -20)
    _, _, other = gru_gates(word, 5 * h, forgetful)
    difference = np.abs(gru_gates(word, h, forgetful)[2] - other).max()
    print(f"r → 0: another old state moves the candidate by {difference:.0e}")

# %% [markdown]
# Is it Keras' layer? All states and every gradient are compared, for both cells, forwards and
# backwards, with a mask that has holes.


# %% tags=["hide-input"]
def compare_with_keras(cell, x, mask=None, reverse=False, reset_after=True, units=4):
    """Returns the largest differences between `scan` and the Keras layer, "simple" or "gru"."""
    options = {"reset_after": reset_after} if cell == "gru" else {}
    kind, step = {"simple": (layers.SimpleRNN, simple_rnn_step), "gru": (layers.GRU, gru_step)}[
        cell
    ]
    returned = {"return_sequences": True, "return_state": True, "go_backwards": reverse}

    def ours(x, weights, _, mask, reverse):
        start = tf.zeros((len(x), units), x.dtype)
        return scan(lambda x, h: step(x, h, weights, **options), x, start, mask, reverse)

    return compare_recurrent(ours, kind(units, dtype=x.dtype, **returned, **options), x, mask)


if __name__ == "__main__":
    x, mask = random.normal(size=(3, 7, 5)), random.random((3, 7)) < 0.6
    worst = 0.0
    for cell, reset_after in (("simple", True), ("gru", True), ("gru", False)):
        for reverse in (False, True):
            found = compare_with_keras(cell, x, mask, reverse, reset_after)
            worst = max(worst, *found.values())
    print(f"states and gradients of six readers: largest difference to Keras {worst:.0e}")

# %% [markdown]
# *Exercises: `renewing_step` (five minutes) mixes old and new in the other convention;
# `count_weights` (five minutes) counts the numbers in a reader; `minimal_gated_unit` makes do with
# one gate.*
#
# ## What do the gates buy?
#
# The same measurement as above, now for whole cells as Keras initialises them, on the same small
# random vectors. Which gradient reaches back further, that of the simple network or that of the
# GRU?


# %% tags=["hide-input"]
def gru_norms(steps=60, units=64) -> dict[str, np.ndarray]:
    """Returns `gradient_norms` of untrained Keras cells, and of a GRU that keeps its state."""
    x = 0.05 * np.random.default_rng(0).normal(size=(8, steps, units))
    keras.utils.set_random_seed(0)
    norms = {}
    for name, cell, update_bias in (
        ("simple RNN", "simple", 0),
        ("GRU", "gru", 0),
        ("GRU, update bias 3", "gru", 3),
    ):
        layer = {"simple": layers.SimpleRNN, "gru": layers.GRU}[cell](units, dtype="float64")
        layer.build(x.shape)
        weights = layer.get_weights()
        if update_bias:
            weights[2][0, :units] = update_bias  # z in the first third
        step = gru_step if cell == "gru" else simple_rnn_step
        norms[name] = gradient_norms(lambda x, h, s=step, w=weights: s(x, h, w), x, units)
    return norms


def states_and_norms(model, variant, steps=60):
    """Returns a network's states on chatter (n, steps, units), and its `gradient_norms`."""
    numbers = np.random.default_rng(0).integers(5, len(WORDS), (64, steps))
    vectors = tf.gather(model.get_layer("embedding").embeddings, numbers)
    weights = [tf.constant(weight) for weight in model.get_layer(variant).get_weights()]
    cell = {"gru": gru_step, "simple": simple_rnn_step}[variant]
    states, _ = scan(lambda x, h: cell(x, h, weights), vectors, tf.zeros((64, 16)))
    return states, gradient_norms(lambda x, h: cell(x, h, weights), vectors, units=16)


# %% alt="Length of the gradient against steps back, on a log scale: that of the fresh GRU falls fastest, those of the simple network and of a GRU with an update bias of 3 fall slowly."
if __name__ == "__main__":
    norms = gru_norms()
    plotting.plot_gradient_norms(norms)
    for name, values in norms.items():
        print(f"{name}: {values[39]:.1e} after 39 steps")

# %% [markdown]
# A surprise: the fresh GRU is the worst of them. At the start $z$ is about a half, so about half of
# the state is forgotten at each word (the candidate passes some of it on), and the gradient shrinks
# by a third. Keras' simple network begins with an orthogonal $U$ and does better. So gates do not
# help by themselves. The third curve shows what a GRU *can* make of itself: with a bias of 3, $z$
# begins at 0.95, and the path from $h_{t-1}$ to $h_t$ is a factor near 1, with no $U$ and no tanh
# on it.
#
# How did it learn 40 words in five epochs, then, and the simple network not in ten? Watch both
# while they learn: a callback notes after every epoch what is left of the gradient after 39 steps.
# What do you expect of the two curves?


# %%
class Reach(keras.callbacks.Callback):
    """Notes, before training and after each epoch, the gradient that is left after 39 steps."""

    def __init__(self, variant):
        """Takes the kind of reader that is trained: "simple" or "gru"."""
        super().__init__()
        self.variant, self.left = variant, []

    def on_train_begin(self, logs=None):
        """Keeps that of the fresh network."""
        self.on_epoch_end(-1)

    def on_epoch_end(self, epoch, logs=None):
        """Keeps that of the network as it is now."""
        self.left.append(states_and_norms(self.model, self.variant)[1][39])


# %% alt="The gradient after 39 steps by epoch, on a log scale: that of the GRU begins far below, leaps up in the epochs in which it learns, and then sinks slowly; that of the simple network begins near 1, wavers, and falls without end from the epoch in which it learns."
if __name__ == "__main__":
    left, trained = {}, {}
    for variant in ("gru", "simple"):
        reach = Reach(variant)
        trained[variant], history, _ = learn_order(variant, 40, epochs=30, callbacks=[reach])
        learned = 1 + np.argmax(np.array(history.history["accuracy"]) > 0.9)
        left[variant] = np.array(reach.left)
        print(f"{variant}: fresh {reach.left[0]:.0e}, end {reach.left[-1]:.0e}; ", end="")
        print(f"it has learned in epoch {learned}")
    axis = {"x_label": "epochs of training", "y_label": "gradient after 39 steps", "log": True}
    plotting.plot_lines(left, x=np.arange(len(reach.left)), **axis)

# %% [markdown]
# They change places. The GRU begins with next to nothing, and in the epochs in which it learns it
# opens the way: the more a unit keeps, the more gradient comes back to teach it to keep. The simple
# network begins with most of the gradient, and in the ten epochs in which it learns nothing it has
# about as much as the GRU had when it learned; so that alone does not explain why it is slow. (One
# run of each. Other seeds end elsewhere, but in the same order.) And from the epoch in which it has
# learned to hold the verdict, its gradient dies, more with every epoch. Why?

# %%
if __name__ == "__main__":
    fresh = make_order_model(make_reader("simple", 16))
    for name, model in {"fresh": fresh, "trained": trained["simple"]}.items():
        states, _ = states_and_norms(model, "simple")
        print(f"{name:8} mean slope of the simple network's tanh: {np.mean(1 - states**2):.2f}")

# %% [markdown]
# To hold a verdict against the chatter, the simple network has driven its units towards the flat
# ends of the tanh, where chatter moves them little. But where nothing moves a unit, no gradient
# comes back through it either. Bengio, Simard and Frasconi showed in 1994 that the two go together:
# where a network of this kind holds a memory so firmly that noise cannot move it, its gradient
# vanishes. A gate makes two things of it. Where $z$ is near 1 chatter does not move the unit *and*
# the gradient comes through.
#
# Can we see the GRU do it? These are the update gates of its 16 units on a sentence of 24 words: a
# column is a word, a row a unit. Where would you expect dark columns?


# %%
def watch(model, row):
    """Returns the update gates and the states (words, units) of the forward GRU on one row of x."""
    gru = model.get_layer("gru")
    weights = getattr(gru, "forward_layer", gru).get_weights()
    vectors = tf.gather(model.get_layer("embedding").embeddings, row[row > 0][np.newaxis])
    gates = []

    def step(x, h):
        gates.append(gru_gates(x, h, weights)[0])
        return gru_step(x, h, weights)

    states, _ = scan(step, vectors, tf.zeros((1, weights[1].shape[0])))
    return tf.concat(gates, axis=0).numpy(), states[0].numpy()


# %% alt="Update gates of 16 units over 24 words: at the words not and dull nearly all units are dark, that is, they read; from then on four units stay bright to the end: they keep."
if __name__ == "__main__":
    row, _ = make_verdicts(1, 24, seed=5)
    gates, _ = watch(order_model, row[0])
    order = np.argsort(gates.mean(axis=0))
    words = [WORDS[number] for number in row[0]]
    plotting.plot_gates(gates[:, order], words, "update gate z: 1 keeps, 0 reads")

# %% [markdown]
# At *not* and the word after it nearly all units read. Then four of them keep, with $z$ near 1, and
# carry the verdict to the end of the sentence, while others go on reading. Before the verdict
# some units keep something, too; they are free to, because there is nothing to remember yet.
#
# ## Other conventions
#
# Your GRU and somebody else's differ although both are right? Three things are a matter of
# convention. What $z$ means: here it *keeps*, elsewhere it *renews*. Where the reset stands: after
# the product, $r \odot (h U + b')$, or before it, $(r \odot h)\, U$. And how the weights are laid
# out.
#
# | | $z$ | the reset stands | weights |
# |---|---|---|---|
# | Keras, the default, `reset_after=True` | keeps | after | thirds $z, r, \tilde h$; 2 biases |
# | Keras, `reset_after=False`; Cho and others 2014 | keeps | before | one bias |
# | Chung and others 2014 | renews: $(1 - z)\, h + z\, \tilde h$ | before | |
# | PyTorch | keeps | after | thirds $r, z, \tilde h$, transposed; 2 biases |
#
# Since $1 - \sigma(a) = \sigma(-a)$, changing the sign of all that goes into $z$ turns one meaning
# into the other:


# %%
def flip_update_gate(weights):
    """Returns Keras' weights with the signs of the first third changed: z becomes 1 − z."""
    units = weights[1].shape[0]
    signs = np.where(np.arange(3 * units) < units, -1, 1)
    return [np.asarray(weight) * signs.astype(weight.dtype) for weight in weights]


# %% [markdown]
# The place of the reset cannot be converted. Before the product every entry of $h$ is scaled and
# then mixed, after it the other way round; unless all entries of $r$ are equal, no other weights
# make the one out of the other. So weights that were trained in one convention mean something else
# in the other, and nothing complains.
#
# *Exercise: `gru_from_pytorch` carries a trained GRU from one library into the other.*
#
# ## Real sentences
#
# Now 10,549 sentences from film reviews. At least 20 people rated each, from −4 to 4; the class is
# the sign of the mean, and those few whose mean is nearly zero are left out. The text was cut into
# words, in lower case. A word's number is its rank in the *vocabulary*: the 10,000 commonest words
# of the training part, so that nothing of the test part leaks in. Every other word is number 1,
# *unknown*, and 0 is the padding: `x` is (n, 40), `y` is (n,) with 1 for positive. Of the few
# sentences that are longer, one in a hundred, the end is cut off.

# %%
if __name__ == "__main__":
    splits = load_film_sentences()
    print(splits)
    for row, label in zip(splits.train.x[:4], splits.train.y, strict=False):
        print(f"{splits.classes[label]}: {' '.join(splits.decode(row)[:14])} …")

# %% [markdown]
# How long are they, and how common are words that the training part does not have?

# %%
if __name__ == "__main__":
    lengths = (splits.train.x > 0).sum(axis=1)
    print("words per sentence: 1st, 50th, 99th percentile:", np.percentile(lengths, [1, 50, 99]))
    for name in ("train", "validation", "test"):
        x = getattr(splits, name).x
        print(f"unknown words, {name}: {(x == 1).sum() / (x > 0).sum():.3f}")

# %% [markdown]
# About half of an average row is padding. And one word in thirteen of a new sentence is unknown,
# twice as many as in training: rare words of all kinds, names among them.
#
# ## A network that reads
#
# An embedding with a mask, a GRU, a dense layer, and one logit, as in chapter 2's two classes. Two
# kinds of dropout hold it back from memorising 8,049 sentences: the first leaves out whole words
# (`noise_shape` makes one decision for all numbers of a word), so that nothing can rest on one word
# alone.

# %%
Variant = Literal["gru", "bidirectional", "simple", "bag"]


def make_model(words, variant: Variant = "gru", width=32, units=32, dropout=0.5) -> keras.Model:
    """Returns a classifier: word numbers (n, time) → logits (n, 1)."""
    reader = make_reader("gru" if variant == "bidirectional" else variant, units)
    if variant == "bidirectional":
        reader = layers.Bidirectional(reader, name="gru")  # (n, 2 · units), the two last states
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),  # (n, time)
            layers.Embedding(words, width, mask_zero=True, name="embedding"),  # (n, time, width)
            layers.Dropout(0.4, noise_shape=(None, None, 1)),  # whole words
            reader,  # (n, units)
            layers.Dense(64, activation="relu"),
            layers.Dropout(dropout),
            layers.Dense(1),
        ],
        name=variant,
    )


# %% [markdown]
# What should it be compared with? The readers without gates, `simple` and `bag`. A reader in both
# directions, `bidirectional`, whose two last states stand side by side. And the logistic regression
# of chapter 2, which has no hidden layer and knows no order: one weight for each word, averaged
# over the sentence.


# %%
def make_linear(words) -> keras.Model:
    """Returns logistic regression on words: word numbers (n, time) → logits (n, 1)."""
    weights = layers.Embedding(words, 1, mask_zero=True)  # (n, time, 1)
    parts = [weights, layers.GlobalAveragePooling1D(), layers.Dense(1)]
    return keras.Sequential([keras.Input((None,), dtype="int32"), *parts], name="linear")


# %% [markdown]
# The step is the one of all chapters. Nothing in it asks whether there is time in the model.

# %%
if __name__ == "__main__":
    print(inspect.getsource(make_train_step))

# %% [markdown]
# Masks, dropout, gates: our loop and `model.fit` still end with the same weights, when both use the
# same seed.


# %%
if __name__ == "__main__":
    few, cross_entropy = splits.take(192).train, keras.losses.BinaryCrossentropy(from_logits=True)
    difference = compare_loops(lambda: make_model(10_000, width=8, units=6), few, cross_entropy)
    print(f"after two epochs losses and weights differ by {difference:.0e} at most")

# %% [markdown]
# `main` is the chapter as a program.


# %% tags=["hide-input"]
def probabilities(model, x):
    """Returns the probability of praise (n,) for rows of word numbers x (n, time)."""
    return tf.sigmoid(predict(model, x)[:, 0]).numpy()


def changes_of_state(states):
    """Returns (words,): the length of the change of the state (words, units) at each word."""
    before = np.concatenate([np.zeros_like(states[:1]), states[:-1]])
    return np.linalg.norm(states - before, axis=1)


def changes_of_probability(model, row):
    """Returns (words,): how the probability of praise changes as each word of a row is added."""
    words = np.count_nonzero(row)
    beginnings = np.stack([np.where(np.arange(len(row)) < k, row, 0) for k in range(words + 1)])
    return np.diff(probabilities(model, beginnings))


def plot_sentence(model, splits, sentence) -> dict:
    """Returns pictures of a sentence on its way through a model that has a GRU."""
    row = splits.encode([sentence])[0]
    words = splits.decode(row)
    gates, states = watch(model, row)
    order = np.argsort(gates.mean(axis=0))
    reach = np.abs(gates - 0.5).max()
    changes, label = changes_of_probability(model, row), "change of the probability"
    return {
        "gates": plotting.plot_gates(
            gates[:, order], words, "update gate z", limits=(0.5 - reach, 0.5 + reach)
        ),
        "state_changes": plotting.plot_state_changes(changes_of_state(states), words),
        "changes": plotting.plot_state_changes(changes, words, label),
    }


SENTENCE = "It is not a funny film, and it is never clever, but it is not dull."
ABOUT = {
    "datasets": ["film_sentences", "imdb_reviews"],
    "headline": ["test", "accuracy"],
    "bounds": {"dropout": [0, 0.999]},
    "minutes": 1,
}


def main(
    epochs: int = 5,
    batch_size: int = 128,
    learning_rate: float = 0.002,
    variant: Variant = "gru",
    units: int = 32,
    dropout: float = 0.5,
    seed: int = 0,
    dataset: Literal["film_sentences", "imdb_reviews"] = "film_sentences",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a reader that tells praise from blame in sentences about films.

    Args:
        epochs: passes over the training part
        batch_size: sentences per step
        learning_rate: of Adam at the first step; it falls to zero along half a cosine
        variant: gru and bidirectional have gates, simple has none, bag takes the words' mean
        units: of the recurrent layer, in each direction
        dropout: share of the units that are dropped before the last layer
        seed: of the first weights, the shuffling and the dropout
        dataset: film_sentences, or from TensorFlow Datasets imdb_reviews
        examples: use the first so many sentences of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)

    model = make_model(len(splits.vocabulary), variant, units=units, dropout=dropout)
    model.summary()
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    metrics = [keras.metrics.BinaryAccuracy(threshold=0, name="accuracy")]
    schedule = make_schedule(learning_rate, len(splits.train.x), batch_size, epochs)
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.Adam(schedule, global_clipnorm=1.0),
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
    predicted = probabilities(model, splits.test.x) > 0.5
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
    }
    if variant in ("gru", "bidirectional"):
        figures |= plot_sentence(model, splits, SENTENCE)
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    plt.close("all")  # the pictures follow one by one
    print(f"test accuracy {result.scores['test']['accuracy']:.3f}")

# %% alt="Loss and accuracy over five epochs: the training loss falls all the way, the validation loss stops falling after two or three epochs."
if __name__ == "__main__":
    result.figures["history"][0].figure

# %% [markdown]
# After three epochs the validation loss hardly falls while the training loss goes on: so few
# sentences are soon memorised. The learning rate falls along half a cosine, large steps at first
# and ever smaller ones, and ends at zero after five epochs; that stops it there.
#
# Is this good? Here is the ladder: the mean of five seeds, and in brackets its standard error.
#
# | | validation | test |
# |---|---|---|
# | logistic regression, a weight per word | 0.778 (0.002) | 0.773 (0.001) |
# | bag of words, two dense layers | 0.785 (0.001) | 0.768 (0.002) |
# | simple recurrent network | 0.735 (0.006) | 0.738 (0.006) |
# | GRU | 0.784 (0.002) | 0.765 (0.004) |
# | GRU in both directions | 0.775 (0.004) | 0.765 (0.004) |
# | tf-idf and logistic regression, scikit-learn | 0.788 | 0.779 |
#
# The last row is logistic regression again, on words and pairs that occur at least twice, weighted
# by how rare they are. The brackets say how well five seeds fix the mean. On which 1,500
# sentences happened to be drawn for the test it depends more: the standard error of that is one in
# a hundred, and over six other splits, all of them easier than this one, tf-idf had from 0.781 to
# 0.795. By that measure only the simple network falls behind.
# The GRU, which can read, is no better than logistic regression, which cannot: what reading is
# worth on 8,049 sentences is too little to be seen.
#
# ## Does it read?
#
# Three quarters are more than chance. Are they more than counting? The sharpest question is the one
# of the first line: sentences with the same words. From ten words of praise and
# ten of blame come a hundred pairs of twins.

# %%
PRAISE = ["funny", "moving", "brilliant", "charming", "beautiful"]
PRAISE += ["clever", "touching", "fresh", "powerful", "good"]
BLAME = ["dull", "boring", "bad", "flat", "stupid"]
BLAME += ["predictable", "silly", "lifeless", "tedious", "worst"]


def twins() -> list[tuple[str, str]]:
    """Returns pairs of sentences with the same words: the first praises, the second blames."""
    return [(f"it is {a}, not {b}", f"it is {b}, not {a}") for a in PRAISE for b in BLAME]


# %%
def told_apart(model, splits) -> dict[str, float]:
    """Returns the shares of the twins that are told apart rightly, wrongly, or not at all."""
    first, second = (
        probabilities(model, splits.encode(side)) > 0.5 for side in zip(*twins(), strict=True)
    )
    right, wrong = np.mean(first & ~second), np.mean(~first & second)
    return {"right": float(right), "wrong": float(wrong), "the same": float(1 - right - wrong)}


if __name__ == "__main__":
    print(
        {name: round(share, 2) for name, share in told_apart(result.model, result.splits).items()}
    )

# %% [markdown]
# Hardly any. Over five seeds the GRU told apart 0.00 of the twins rightly and 0.03 the wrong way
# round; the one that reads in both directions 0.03 and 0.00. For the rest the answer was the same
# for both. So much for the question of the first line: this network cannot answer it.
#
# And plain negations? We put a word before each of the twenty, and ask how many of ten answers
# change to the other class.


# %%
def turned(model, splits, words, negation) -> int:
    """Returns how many of the answers change when the negation stands before the word."""
    plain, negated = (
        probabilities(model, splits.encode([f"it is {before}{word}" for word in words])) > 0.5
        for before in ("", f"{negation} ")
    )
    return int(np.sum(plain != negated))


if __name__ == "__main__":
    for negation in ("not", "never", "hardly", "too", "very"):
        praise, blame = (turned(result.model, result.splits, w, negation) for w in (PRAISE, BLAME))
        print(f"{negation:7} turns {praise} of 10 praises, and {blame} of 10 blames")

# %% [markdown]
# A reader would turn praise and blame alike by *not* and *never*, and neither by *very*. Over five
# seeds *not* turned 0.0 of ten praises and 0.0 of ten blames. What turns most is *too*, 5.6 of ten
# praises; critics use it to complain. To the network these are no negations but words of blame,
# weak ones like *not* and a strong one like *too*, which count against the film wherever they
# stand.
#
# How much does this network make of the order? Shuffle the words of each test sentence, and ask
# again.


# %%
def shuffled(x, seed=0):
    """Returns x (n, time) with the words of each row in random order, the padding at the end."""
    order = np.random.default_rng(seed).random(x.shape) + (x == 0)
    return np.take_along_axis(x, order.argsort(axis=1), axis=1)


if __name__ == "__main__":
    x, y = result.splits.test
    for name, rows in (("in order", x), ("shuffled", shuffled(x))):
        print(name, round(np.mean((probabilities(result.model, rows) > 0.5) == y), 3))

# %% [markdown]
# Over five seeds 0.764 of the shuffled sentences were right, and
# 0.765 of those in order. The network of the first section has shown
# that a GRU can read. These sentences did not make this one do so: counting goes far with them, and
# 8,049 examples are few to learn from what the order adds.
#
# ## What has it learned about words?
#
# The embedding began with random vectors. Which words have come to lie near each other? The measure
# is the cosine of the angle between two vectors.


# %%
def neighbours(table, vocabulary, word, count=6) -> list[str]:
    """Returns the words whose vectors, rows of table, point most in the direction of the word's."""
    directions = table / np.linalg.norm(table, axis=1, keepdims=True)
    nearest = np.argsort(-directions @ directions[vocabulary.index(word)])
    return [vocabulary[number] for number in nearest[1 : count + 1]]


if __name__ == "__main__":
    table = result.model.get_layer("embedding").get_weights()[0][:2000]  # the commoner words
    for word in ("funny", "dull", "not", "film"):
        print(f"{word}: {', '.join(neighbours(table, result.splits.vocabulary, word))}")

# %% [markdown]
# Many neighbours share an opinion, whether or not they mean the same: that is all the task asks of
# them. Others are there by chance, a car and the rent beside *dull*. A plane shows more. Of the 32
# numbers of a vector we keep the two directions in which these words differ most (the first two
# principal components).


# %%
def on_a_plane(vectors):
    """Returns (n, 2): the vectors (n, width) along their two directions of most spread."""
    centred = vectors - vectors.mean(axis=0)
    return centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T


# %% alt="24 words on a plane, coloured by the answer to the word alone: most words of praise lie on one side of the first direction, most words of blame, too among them, on the other; the and film lie between, and so do clever, silly and predictable."
if __name__ == "__main__":
    shown = [*PRAISE, *BLAME, "not", "film", "the", "too"]
    rows = [result.splits.vocabulary.index(word) for word in shown]
    alone = probabilities(result.model, np.array(rows, "int32")[:, np.newaxis])
    plane = on_a_plane(table[rows])
    plotting.plot_words(plane, shown, alone, label="probability of praise, alone")
    correlation = np.corrcoef(plane[:, 0], np.log(alone / (1 - alone)))[0, 1]
    print(f"correlation of the first direction with the word's own logit: {abs(correlation):.2f}")

# %% [markdown]
# The first direction is the opinion; the words that say nothing of it lie in the middle. So do a
# few that do say something: the network has not learned *clever*, and takes it for a weak word of
# blame. What the second direction is, the picture does not say.
#
# ## A sentence on its way through the network
#
# To look inside, `watch` takes the weights of the GRU out of the Keras model and reads the sentence
# with our own step, which is the same, as we know. First the update gate on a sentence with three
# negations. Light is *keep*, dark is *read*.

# %% alt="Update gates of 32 units over the 16 words of the sentence: all values lie between 0.4 and 0.6, and differ more from unit to unit than from word to word."
if __name__ == "__main__":
    result.figures["gates"].figure

# %% [markdown]
# Mind the scale beside the picture. No unit holds, as four did in the picture of the verdict, and
# no word makes all of them read. From word to word little changes: the gates do not depend on what
# was read, so a word acts alike wherever it stands.
#
# Now let the sentence end after each word: how does the probability of praise change when the next
# one comes? Blue is towards praise, orange towards blame.

# %% alt="A bar for each word: funny raises the probability, every not and never lowers it, also the not before dull, and dull lowers it most."
if __name__ == "__main__":
    result.figures["changes"].figure

# %% [markdown]
# Every *not* counts against the film, also the one before *dull*, which should have spoken for it.
# (*Clever* counts against it too, but not because of the *never* before it: it does so everywhere.)
# And your own sentences?

# %%
if __name__ == "__main__":
    sentences = ["A warm and funny film.", "It is funny, not dull.", "It is dull, not funny."]
    answers = probabilities(result.model, result.splits.encode(sentences))
    for sentence, answer in zip(sentences, answers, strict=True):
        print(f"{answer:.2f} {sentence}")

# %% [markdown]
# ## What to try
#
# - Your own sentences in the last cell. Can you find twins that it tells apart?
# - Train the network of the first section on sentences of 40 words, and ask it about 100. How far
#   does what it has learned reach?
# - `learn_order("gru", 40)` with a bias of 3 for the update gate from the start: how many epochs
#   does it need, and where does the curve of its gradient begin?
# - Set `mask_zero=False` in the embedding, and see what the last state is worth.
# - Give the update gate a bias of 3 before training (`with_bias`). Does it help with sentences?
#   With the reviews of `--dataset imdb_reviews`, which are ten times as long?
# - Write the gradients of `gru_step` by hand, as we did for the simple step, and check them.
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of all exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others. Begin
# with the three of five minutes: `last_state`, `renewing_step` and `count_weights`. Then
# `join_directions`, `gru_from_pytorch`, `minimal_gated_unit`, `clipped_step`,
# `linear_memory_gradients` and `train_reader`. (What goes wrong with recurrent networks in the
# articles that this book answers stands in [*The articles' mistakes*](errata.ipynb).)
#
# ## Where to go next
#
# Chapter 5 gives the network a second memory beside its state, and asks how far back its gradients
# reach. Chapter 6 reads without recurrence.
