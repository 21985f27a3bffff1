# %% [markdown]
"""
# Chapter 10, continued. Does it keep a secret?

A network is trained on five hundred pictures and then given away, without the pictures. Somebody
who has one of them asks: was this one among the five hundred? For a picture of a shirt that does
not matter. For a patient's scan in a study of an illness it is the diagnosis. Can one tell?

After this page you can

- tell who was in the training set, and say how well;
- say what ε promises, and what it costs the one who guesses;
- write DP-SGD: clip every example's gradient, add noise, draw the batches as the promise needs;
- compute ε by hand, and spot a number that belongs to other batches;
- test a promise from below, by an attack that counts.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter10_privacy`): train, save, end. The cells below are for
# reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter10_privacy")

# %% tags=["hide-input"]
import json
import math
from typing import Literal

from kerasbook import plotting
from kerasbook.contents import PACKAGE, load_results
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## Was this picture in it?
#
# A small network, 500 pictures of clothes, 40 epochs: more than enough to learn them by heart.


# %%
def make_model(hidden=(64,), classes=10, shape=(28, 28, 1)) -> keras.Model:
    """Returns a dense network: pictures (n, *shape) → scores (n, classes)."""
    inside = [layers.Dense(units, "relu") for units in hidden]
    return keras.Sequential([keras.Input(shape), layers.Flatten(), *inside, layers.Dense(classes)])


# %%
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


# %%
def losses_of(scores, y):
    """Returns the cross-entropy (n,) of each row of scores (n, classes)."""
    scores = np.float64(scores) - scores.max(axis=1, keepdims=True)
    return np.log(np.exp(scores).sum(axis=1)) - scores[np.arange(len(y)), y]


# %%
if __name__ == "__main__":
    splits = load_fashion()
    members, others = splits.take(500).train, splits.take(500).validation
    keras.utils.set_random_seed(0)
    model = make_model()
    fit(model, members, loss_fn=loss_fn, optimizer="adam", epochs=40, progress="none")
    inside, outside = (losses_of(predict(model, part.x), part.y) for part in (members, others))
    inside, outside = np.maximum(inside, 1e-7), np.maximum(outside, 1e-7)  # for a log axis
    print(f"mean loss: {inside.mean():.3f} of members, {outside.mean():.3f} of others")

# %% [markdown]
# The network is surer of what it has seen. So here is an attack that needs nothing but the answers:
# say "it was in it" where the loss is small. The picture shows the losses of both kinds on a log
# axis. Where would you put the border?

# %% alt="Two histograms of losses on a log axis. Both reach far to the left; those of the members end soon after a high peak at a hundredth, those of the others are broad and have a second hump above 1."
if __name__ == "__main__":
    ax = plotting.plot_lines({}, x_label="loss, as a power of ten", y_label="pictures")
    look = {"bins": np.linspace(-7, 1.5, 40), "alpha": 0.7}
    ax.hist(np.log10(inside), **look, label="members")
    ax.hist(np.log10(outside), **look, label="others", hatch="//")
    ax.legend(frameon=False)

# %% [markdown]
# Every border gives two shares: of the members that are caught (true positives), and of the others
# that are wrongly accused (false positives). Which of the borders counts? Somebody who accuses half
# of the innocent has found nothing. So one reports how many are caught while one in a hundred is
# wrongly accused.


# %%
def true_positive_rate(inside, outside, false_positive_rate=0.01) -> float:
    """Returns the share of members that are caught at this share of false alarms.

    inside, outside: numbers that are larger the more it looks like a member.
    """
    allowed = int(false_positive_rate * len(outside))  # so many others may lie above the border
    border = np.sort(outside)[::-1][allowed]
    return float(np.mean(inside > border))


# %%
def area(inside, outside) -> float:
    """Returns the chance that a member looks more like one than somebody else does (AUC)."""
    above = np.searchsorted(np.sort(outside), inside) + np.searchsorted(
        np.sort(outside), inside, side="right"
    )
    return float(above.mean() / 2 / len(outside))


# %%
if __name__ == "__main__":
    print(f"area under the curve {area(-inside, -outside):.3f} (0.5 is a coin)")
    caught = true_positive_rate(-inside, -outside)
    print(f"caught at 1 % false alarms: {caught:.1%} (a coin: 1 %)")

# %% [markdown]
# The area says that there is a leak. Yet the border catches hardly anybody: eight of the five
# hundred, where a coin would catch five. Many other pictures are easy, too, so a small loss proves
# little. A cleverer attack will come; it asks how *this* picture is treated by networks that have
# seen it and by others that have not.
#
# *Exercise: `catch_rate` (five minutes).*
#
# ## What could be promised?
#
# "We tested an attack and it failed" is no promise, for the next attack may be better. A promise
# should hold for every attack. Imagine two worlds: in one the network was trained with you, in the
# other without you, and all else is the same. If what comes out is nearly as likely in both worlds,
# nobody who sees it can tell them apart, however clever. For every set $A$ of outcomes,
#
# $$P(A \mid \text{with you}) \le e^{\varepsilon}\, P(A \mid \text{without you}) + \delta ,$$
#
# and the other way round. This is *differential privacy* (Dwork and others 2006). $\delta$ is a
# small chance that all bets are off; it should be far less than one in the number of people, and
# here it is $10^{-5}$. Now let $A$ be "the attack says: a member". Then the left side is its rate
# of true positives and the right side has its rate of false ones. The other way round, with "it
# says: no member", there is a second limit, and the smaller of the two holds for every attack:


# %%
def most_caught(false, epsilon, delta=1e-5):
    """Returns the largest true positive rate of any attack with this false positive rate."""
    of_a_yes = np.exp(epsilon) * false + delta
    of_a_no = 1 - np.exp(-epsilon) * (1 - false - delta)
    return np.minimum(1, np.minimum(of_a_yes, of_a_no))


# %% alt="Largest true positive rate against the false positive rate, both on log axes, for ε of 0.5, 1, 2 and 4, above the diagonal of a coin. At 1 % false positives they lie between 2 % and 55 %."
if __name__ == "__main__":
    false = np.logspace(-3, 0, 100)
    curves = {f"ε = {e}": most_caught(false, e) for e in (4, 2, 1, 0.5)} | {"a coin": false}
    labels = {"x_label": "false positive rate", "y_label": "largest true positive rate"}
    ax = plotting.plot_lines(curves, x=false, log=True, **labels)
    ax.set_xscale("log")

# %%
if __name__ == "__main__":
    for epsilon in (0.5, 1, 2, 4, 8):
        print(f"ε = {epsilon}: at 1 % false alarms at most", end=" ")
        print(f"{most_caught(0.01, epsilon):.1%} are caught")

# %% [markdown]
# With ε = 1 any attack catches a few at most. With ε = 8 the promise is empty, at least for this
# question. Keep that in mind when somebody says "trained with differential privacy".
#
# ## Noise hides one number
#
# How does one keep such a promise? By noise. Say the outcome is a sum to which each person adds at
# most 1, plus normal noise with standard deviation σ. With and without you, it is one of two bells,
# 1 apart. How large must σ be for ε = 1? Guess, then look.

# %% tags=["cover"] alt="Two panels, each with two bells one apart. With σ = 0.5 they are narrow and stand side by side; with σ = 4 they are nearly the same."
if __name__ == "__main__":
    places = np.linspace(-8, 9, 300)
    _, axes = plt.subplots(1, 2, figsize=(6.6, 2.8), sharey=False, layout="constrained")
    for ax, sigma in zip(axes, (0.5, 4.0), strict=True):
        bells = {
            name: np.exp(-(((places - m) / sigma) ** 2) / 2) / sigma / math.sqrt(2 * math.pi)
            for name, m in (("without you", 0), ("with you", 1))
        }
        labels = {"x_label": f"noisy sum, σ = {sigma}", "y_label": "density"}
        plotting.plot_lines(bells, x=places, **labels, ax=ax)

# %% [markdown]
# For two bells one can say exactly how much δ a given ε needs: it is the largest
# $P(A \mid \text{with}) - e^\varepsilon P(A \mid \text{without})$, reached by the set in which the
# density with you is more than $e^\varepsilon$ times that without you. That set is everything to
# the right of a border (Balle and Wang 2018):
#
# $$\delta(\varepsilon) = \Phi\!\left(\tfrac{1}{2\sigma} - \varepsilon\sigma\right) -
#   e^{\varepsilon}\, \Phi\!\left(-\tfrac{1}{2\sigma} - \varepsilon\sigma\right) .$$
#
# $\Phi$ is the share of a bell to the left of a place.


# %%
def normal_share(x) -> float:
    """Returns Φ(x), the share of the standard normal distribution below x."""
    return math.erfc(-x / math.sqrt(2)) / 2


# %%
def gaussian_delta(epsilon, sigma) -> float:
    """Returns the δ that goes with ε, for noise of σ times what one person can change."""
    low = normal_share(-0.5 / sigma - epsilon * sigma)
    rest = math.exp(epsilon + math.log(low)) if low else 0.0  # left out where it is no number
    return normal_share(0.5 / sigma - epsilon * sigma) - rest


# %%
def smallest(holds, high=1.0) -> float:
    """Returns the smallest number ≥ 0 for which holds(number) is true, by halving an interval."""
    low = 0.0
    while not holds(high):
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


# %%
def gaussian_epsilon(delta, sigma) -> float:
    """Returns the smallest ε of normal noise with this σ."""
    return smallest(lambda epsilon: gaussian_delta(epsilon, sigma) <= delta)


# %%
if __name__ == "__main__":
    for sigma in (0.5, 1, 2, 4):
        print(f"σ = {sigma}: ε = {gaussian_epsilon(1e-5, sigma):.2f} at δ = 1e-5")

# %% [markdown]
# ## One step, and what one example can do to it
#
# A step of training is a sum, too: of the gradients of all examples of the batch. If that sum is
# made noisy, nothing that is computed from it can tell more than it did (*post-processing*), so the
# weights keep the promise. But a gradient may be of any length, so one example can change the sum
# by any amount. Therefore each one is *clipped* first: where its norm is above a limit $C$, it is
# scaled down to it. How much do the norms differ, between the pictures of one batch?
#
# We need every example's own gradient, and `tape.gradient` returns their sum. The plainest way is a
# loop.


# %%
cross_entropies = tf.nn.sparse_softmax_cross_entropy_with_logits  # (n,), one for each example


# %%
def gradients_by_loop(model, x, y):
    """Returns a list with the gradients of each weight, one row per example: (n, …)."""
    rows = []
    for i in range(len(x)):
        with tf.GradientTape() as tape:
            loss = cross_entropies(y[i : i + 1], model(x[i : i + 1], training=True))
        rows.append(tape.gradient(loss, model.trainable_variables))
    return [tf.stack(column) for column in zip(*rows, strict=True)]


# %%
def norms_of(gradients):
    """Returns the norm (n,) of each example's gradient, over all weights together."""
    squares = [tf.reduce_sum(tf.reshape(g, (len(g), -1)) ** 2, axis=1) for g in gradients]
    return tf.sqrt(tf.add_n(squares))


# %%
if __name__ == "__main__":
    x, y = (part[:64] for part in splits.train)
    keras.utils.set_random_seed(0)
    model = make_model()
    norms = norms_of(gradients_by_loop(model, x, y)).numpy()
    print("norms of 64 gradients: from", norms.min().round(1), "to", norms.max().round(1))

# %% [markdown]
# TensorFlow can run the loop as one operation: `tf.vectorized_map`.


# %%
def gradients_by_map(model, x, y):
    """Returns what `gradients_by_loop` does, computed for all examples at once."""

    def gradients_of_one(pair):
        one_x, one_y = pair
        with tf.GradientTape() as tape:
            loss = cross_entropies(one_y[None], model(one_x[None], training=True))
        return tape.gradient(loss, model.trainable_variables)

    return tf.vectorized_map(gradients_of_one, (tf.constant(x), tf.constant(y)))


# %% [markdown]
# Both keep a copy of all weights for every example. A dense layer needs neither loop nor copies.
# Let $a_i$ be what comes into the layer for example $i$, and $\delta_i$, with chapter 2's letter,
# the gradient of its loss for the layer's scores; the δ of the promise is another one. Its gradient
# for the kernel is the product $a_i \delta_i^\top$, and the norm of such a product is the product
# of the norms. With the bias, whose gradient is $\delta_i$,
#
# $$\lVert g_i \rVert^2 = (\lVert a_i \rVert^2 + 1)\, \lVert \delta_i \rVert^2 .$$
#
# All $a_i$ and $\delta_i$ come out of a single pass forward and back. These are *ghost norms*: the
# gradients themselves are never made.


# %%
def ghosts(model, x, y):
    """Returns losses (n,), inputs and δ of each dense layer, and the gradients' norms (n,)."""
    a, inputs, scores = tf.reshape(x, (-1, math.prod(x.shape[1:]))), [], []
    with tf.GradientTape() as tape:
        tape.watch(a)
        for layer in dense_layers(model):
            inputs.append(a)
            scores.append(a @ layer.kernel + layer.bias)
            a = layer.activation(scores[-1])
        losses = cross_entropies(y, a)
    deltas = tape.gradient(losses, scores)
    squares = [(sum_of_squares(a) + 1) * sum_of_squares(d) for a, d in zip(inputs, deltas)]
    return losses, inputs, deltas, tf.sqrt(tf.add_n(squares))


# %%
def sum_of_squares(rows):
    """Returns the sum of squares (n,) of each row of (n, units)."""
    return tf.reduce_sum(rows**2, axis=1)


# %%
def dense_layers(model):
    """Returns the layers with weights of a dense network.

    Raises:
        ValueError: one of them mixes the examples of a batch, or is no dense layer.
    """
    own = [layer for layer in model.layers if layer.weights]
    for layer in own:
        if isinstance(layer, layers.BatchNormalization):
            raise ValueError(
                "batch normalisation lets every example change the outputs of all others, so no "
                "example has a gradient of its own to clip: take layer normalisation, or none"
            )
        if not isinstance(layer, layers.Dense) or not layer.use_bias:
            raise ValueError(f"{layer.name} is no dense layer with a bias: ghost norms need those")
    return own


# %%
if __name__ == "__main__":
    loop, mapped = gradients_by_loop(model, x, y), gradients_by_map(model, x, y)
    _, _, _, ghost = ghosts(model, x, y)
    print("norms, loop against map:  ", np.abs(norms_of(loop) - norms_of(mapped)).max())
    print("norms, loop against ghost:", np.abs(norms_of(loop) - ghost).max())

# %% [markdown]
# What is left is rounding, of norms of up to fifty. (`kerasbook verify chapter10_privacy` compares
# in 64 bits.)
#
# *Exercise: `ghost_norms` for a layer that reads sequences.*
#
# ## DP-SGD
#
# Clip, add up, add noise, divide. After clipping one example changes the sum by at most $C$, so the
# noise has the standard deviation $\sigma C$, once per step and not per example. And then divide by
# the number of examples. By which number, if the batches have different sizes? The actual size is
# one more if you are in it, so dividing by it would change everybody's share. Divide by the
# *expected* size.


# %%
def clipped_sums(inputs, deltas, norms, weight, clip):
    """Returns the sum over the batch of each weight's gradients, after clipping.

    weight: (n,) 1 for an example, 0 for a row that only fills the batch.
    """
    factor = weight * tf.minimum(1.0, clip / norms)
    sums = []
    for a, delta in zip(inputs, deltas, strict=True):
        delta = delta * factor[:, tf.newaxis]
        sums += [tf.matmul(a, delta, transpose_a=True), tf.reduce_sum(delta, axis=0)]
    return sums


# %%
def make_private_step(model, optimizer, clip, sigma, expected, seed=0):
    """Returns a train step (x, y, weight) of DP-SGD, for batches of `expected` examples."""
    dense_layers(model)
    random = tf.random.Generator.from_seed(seed)

    def train_step(x, y, weight):
        losses, inputs, deltas, norms = ghosts(model, x, y)
        sums = clipped_sums(inputs, deltas, norms, weight, clip)
        noisy = [s + sigma * clip * random.normal(s.shape, dtype=s.dtype) for s in sums]
        optimizer.apply([s / expected for s in noisy], model.trainable_variables)
        loss = tf.reduce_sum(weight * losses) / expected
        return loss, tf.zeros((tf.shape(x)[0], 1))  # no scores: there are no metrics

    return train_step


# %% [markdown]
# Is every single example clipped? We ask for the sum over batches of one.

# %%
if __name__ == "__main__":
    lengths = []
    for i in range(64):
        _, inputs, deltas, norm = ghosts(model, x[i : i + 1], y[i : i + 1])
        sums = clipped_sums(inputs, deltas, norm, tf.ones(1), clip=20.0)
        lengths.append(float(tf.linalg.global_norm(sums)))
    print(f"before: {norms.min():.2f} to {norms.max():.2f};", end=" ")
    print(f"after clipping to 20: {min(lengths):.2f} to {max(lengths):.2f}")

# %% [markdown]
# Two mistakes are made often. Clipping the mean gradient of the *batch* to $C$ looks alike. But one
# example may turn it around, by up to $2C$, and the noise that is left after the division hides no
# more than $C$ divided by the batch. And σ in place of σC is right for $C = 1$ only.
#
# Where does batch normalisation come in? Nowhere. It takes its mean from the whole batch, so each
# example changes the outputs of all others, and "the gradient of one example" does not exist.

# %%
if __name__ == "__main__":
    normalised = keras.Sequential([*make_model().layers[:-1], layers.BatchNormalization()])
    first, exchanged = tf.constant(x[:8]), tf.constant(np.concatenate([x[:7], x[20:21]]))
    change = normalised(first, training=True)[0] - normalised(exchanged, training=True)[0]
    print(f"another 8th picture changes the outputs of the first by {np.abs(change).max():.2f}")
    try:
        make_private_step(normalised, keras.optimizers.SGD(), 1.0, 1.0, 8)
    except ValueError as error:
        print("refused:", error)

# %% [markdown]
# *Exercises: `clipped_mean` (five minutes); `noisy_step` is a whole step.*
#
# ## How are the batches drawn?
#
# You may not even be in the batch. That helps: an attack on a step that has not seen you is an
# attack on nothing. The promise grows stronger with the *rate* $q$ at which a step sees you. But
# only if it is chance that decides, anew at every step, and independently of all others: each
# example is in with probability $q$, as if it threw a coin of its own. These are *Poisson batches*.
# They have different sizes, so we leave room, and give the rows that are left over the weight 0.


# %%
def poisson_batch(random, examples, rate, room):
    """Returns rows (room,) of a batch in which each example is with probability `rate`, and
    weights (room,): 1, and 0 for the rows that fill it up.

    Raises:
        ValueError: more were drawn than there is room for.
    """
    drawn = np.flatnonzero(random.uniform(size=examples) < rate)
    if len(drawn) > room:
        raise ValueError(f"{len(drawn)} examples were drawn, and there is room for {room}")
    rows = np.zeros(room, int)
    rows[: len(drawn)] = drawn
    return rows, (np.arange(room) < len(drawn)).astype("float32")


# %%
def room_for(examples, rate) -> int:
    """Returns a size that hardly any batch exceeds: eight standard deviations above the mean."""
    return min(examples, int(examples * rate + 8 * (examples * rate * (1 - rate)) ** 0.5) + 1)


# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    sizes = [int(poisson_batch(random, 9000, 500 / 9000, 800)[1].sum()) for _ in range(8)]
    print("eight batches with q = 500 / 9,000:", sizes, "room:", room_for(9000, 500 / 9000))

# %% [markdown]
# *Exercise: `fill_batch` draws them from given numbers.*
#
# ## Counting ε
#
# Every step leaks a little. How much do 360 steps leak? Adding up their ε would be far too much,
# since it is unlikely that chance favours the attack at every step. One adds up something else: the
# *Rényi divergence* of order $\alpha$ between the two worlds. Let $\varrho$ be how many times as
# likely the outcome is with you as without you. Then
#
# $$r_\alpha = \frac{1}{\alpha - 1} \ln \mathbb{E}\,\varrho^{\alpha} ,$$
#
# the mean over the outcomes without you. It is 0 if both worlds are alike. Those of several steps
# may be added up, and the sum can be turned into ε at the end. In a Poisson batch you are with
# probability $q$, so $\varrho$ is $1 - q$ plus $q$ times the ratio of the two bells. Its power of a
# whole order is multiplied out; $k$ counts the factors from which the bells are taken (Mironov,
# Talwar and Zhang 2019):
#
# $$r_\alpha = \frac{1}{\alpha - 1} \ln \sum_{k=0}^{\alpha} \binom{\alpha}{k}
#   (1 - q)^{\alpha - k} q^k\, e^{k (k - 1) / 2\sigma^2} .$$
#
# The last factor is the mean of the ratio's $k$-th power. Computed with logarithms, for some terms
# are huge:


# %%
def renyi(q, sigma, order) -> float:
    """Returns the Rényi divergence of a whole order, of one step with Poisson batches."""
    if q == 1:
        return order / (2 * sigma**2)
    k = np.arange(order + 1)
    factorial = np.array([math.lgamma(n + 1) for n in k])
    choose = factorial[order] - factorial - factorial[::-1]
    terms = choose + (order - k) * math.log1p(-q) + k * math.log(q) + k * (k - 1) / (2 * sigma**2)
    return float(np.logaddexp.reduce(terms)) / (order - 1)


# %% [markdown]
# After $T$ steps it is at most $T r_\alpha$. Each order gives an ε that holds (Canonne, Kamath and
# Steinke 2020), and we take the smallest:
#
# $$\varepsilon = \min_\alpha \; T r_\alpha + \ln\!\left(1 - \tfrac{1}{\alpha}\right) -
#   \frac{\ln(\delta\, \alpha)}{\alpha - 1} .$$


# %%
ORDERS = range(2, 257)


# %%
def renyi_epsilon(q, sigma, steps, delta=1e-5) -> float:
    """Returns the ε of so many steps with Poisson batches of rate q."""
    return min(
        steps * renyi(q, sigma, a) + math.log1p(-1 / a) - math.log(delta * a) / (a - 1)
        for a in ORDERS
    )


# %% [markdown]
# Google's dp-accounting and PyTorch's Opacus have such accountants. Their figures were asked for
# once and are kept beside the book (`tools/ask_accountants.py`). Ours beside theirs, at
# $\delta = 10^{-5}$:


# %% tags=["hide-input"]
def accountants() -> dict:
    """Returns what other accountants said, as tools/ask_accountants.py wrote it down."""
    file = PACKAGE / "ledger" / "accountants.json"
    return json.loads(file.read_text(encoding="utf-8"))


# %%
if __name__ == "__main__":
    print("batch/examples     σ   steps    ours   Google   Opacus |  PLD    PRV    CLT")
    for each in accountants()["settings"]:
        q = each["batch"] / each["examples"]
        ours = renyi_epsilon(q, each["sigma"], each["steps"])
        print(
            f"{each['batch']:4}/{each['examples']:<8,} {each['sigma']:5} {each['steps']:7,}",
            end=" ",
        )
        print(
            f"{ours:7.3f}  {each['dp-accounting, RDP']:7.3f}  {each['Opacus, RDP']:7.3f} |", end=""
        )
        print(*(f"{each[k]:6.3f}" for k in ("dp-accounting, PLD", "Opacus, PRV", "Opacus, CLT")))

# %% [markdown]
# The first three columns are the same method, and agree. PLD and PRV follow the distributions
# themselves on a fine grid and are tighter: their ε is smaller for the same training. The last
# column replaces them by a bell, as the central limit theorem suggests, and comes out *below* the
# tight value: an approximation, not a promise.
#
# *Exercises: `gaussian_steps` (five minutes); `renyi_of_batches` writes the sum.*
#
# ## The number that belongs to other batches
#
# Nearly all tutorials shuffle the data and cut them into batches, as `fit` does, and then print the
# ε of Poisson batches. Is that allowed? In a shuffled epoch everybody is in a batch exactly once.
# No coin is thrown, so the argument is gone. What does hold: in every epoch you are in one step, so
# in $E$ epochs in $E$ of them, and $E$ Gaussians are like one with $\sigma / \sqrt{E}$. ("Without
# you" means here that your place in the batch stays empty.) One noise level, one number of steps;
# what do you expect for the ε of three ways to draw?


# %%
def promise(sampling, examples, batch_size, sigma, steps, delta=1e-5) -> float:
    """Returns the ε that holds for "poisson" or "shuffled" batches.

    Raises:
        ValueError: batches are drawn in a way for which no bound is known here.
    """
    if sampling == "poisson":
        return renyi_epsilon(batch_size / examples, sigma, steps, delta)
    if sampling == "shuffled":
        epochs = math.ceil(steps / math.ceil(examples / batch_size))
        return gaussian_epsilon(delta, sigma / math.sqrt(epochs))
    raise ValueError(f"no ε for {sampling!r} batches: draw them as 'poisson', or 'shuffled'")


# %%
if __name__ == "__main__":
    first = accountants()["settings"][0]
    setting = [first[key] for key in ("examples", "batch", "sigma", "steps")]
    print("60,000 examples, batches of 256, σ = 1.1, 14,062 steps, δ = 1e-5")
    print(f"Poisson, dp-accounting's PLD       ε = {first['dp-accounting, PLD']:.1f}")
    print(f"Poisson, by hand                   ε = {promise('poisson', *setting):.1f}")
    replaced = first["dp-accounting, without replacement"]
    print(f"drawn without replacement (theirs) ε = {replaced:.1f}")
    print(f"shuffled, by hand                  ε = {promise('shuffled', *setting):.1f}")

# %% [markdown]
# The same noise, the same time, the same accuracy. In the third row neighbours are defined
# otherwise (one person replaced, not added), which is part of the difference. The last row is the
# bound without any help by chance. Shuffling is not worse than that. How much better it is, is an
# open question, and it may leak far more than Poisson batches do with the same noise (Chua and
# others 2024). So the honest number is 54, or one draws Poisson batches. In our `main` the shuffled
# version prints this bound.
#
# ## Does it still learn?
#
# `fit` takes a `tf.data.Dataset` of batches. Ours draws each of them anew.


# %%
def poisson_batches(part, batch_size, seed=0):
    """Returns a dataset: in each epoch ⌈n / batch_size⌉ Poisson batches (x, y, weight)."""
    random, examples = np.random.default_rng(seed), len(part.x)
    rate, steps = batch_size / examples, math.ceil(examples / batch_size)
    room = room_for(examples, rate)

    def draw():
        for _ in range(steps):
            rows, weight = poisson_batch(random, examples, rate, room)
            yield part.x[rows], part.y[rows], weight

    x, y = (tf.TensorSpec((room, *a.shape[1:]), a.dtype) for a in part)
    weight = tf.TensorSpec((room,), "float32")
    data = tf.data.Dataset.from_generator(draw, output_signature=(x, y, weight))
    return data.apply(tf.data.experimental.assert_cardinality(steps))


# %%
def shuffled_batches(part, batch_size, seed=0):
    """Returns a dataset of batches as `fit` makes them, with the weight 1 for every example."""
    ones = np.ones(len(part.x), "float32")
    data = tf.data.Dataset.from_tensor_slices((part.x, part.y, ones))
    return data.shuffle(len(part.x), seed=seed).batch(batch_size)


# %%
BATCHES = {"poisson": poisson_batches, "shuffled": shuffled_batches}


# %% tags=["hide-input"]
def train(
    model,
    part,
    sigma=1.2,
    clip=1.0,
    epochs=20,
    batch_size=500,
    learning_rate=0.25,
    sampling="poisson",
    seed=0,
    **options,
):
    """Trains a dense network with DP-SGD and momentum; returns the History."""
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    optimizer.build(model.trainable_variables)
    step = make_private_step(model, optimizer, clip, sigma, batch_size, seed)
    data = BATCHES[sampling](part, batch_size, seed)
    options = {"epochs": epochs, "train_step": step} | options
    return fit(model, data, loss_fn=loss_fn, optimizer=optimizer, **options)


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion"],
    "headline": ["test", "accuracy"],
    "bounds": {"sigma": [0, None], "clip": [1e-6, None]},
    "minutes": 1,
}


def main(
    sigma: float = 1.2,
    clip: float = 1.0,
    sampling: Literal["poisson", "shuffled"] = "poisson",
    epochs: int = 20,
    batch_size: int = 500,
    learning_rate: float = 0.25,
    seed: int = 0,
    dataset: Literal["fashion"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a dense network with differential privacy.

    Args:
        sigma: standard deviation of the noise, as a multiple of clip; 0 promises nothing
        clip: largest norm of an example's gradient
        sampling: of the batches; poisson, or shuffled, for which a much weaker promise holds
        epochs: passes over the training part
        batch_size: examples per step; with poisson, on average
        learning_rate: of SGD with momentum
        seed: of the first weights, the batches and the noise
        dataset: fashion
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit

    Raises:
        ValueError: there are several devices; each would add noise of its own.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        raise ValueError("clipping and noise are for one device: leave --devices and --workers out")
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    model = make_model(classes=len(splits.classes), shape=splits.train.x.shape[1:])
    batch_size = min(batch_size, len(splits.train.x))
    settings = {"sigma": sigma, "clip": clip, "epochs": epochs, "batch_size": batch_size}
    settings |= {"learning_rate": learning_rate, "sampling": sampling, "seed": seed}
    history = train(model, splits.train, **settings, **fit_options)
    steps = epochs * math.ceil(len(splits.train.x) / batch_size)
    setting = (len(splits.train.x), batch_size, sigma, steps)
    epsilon = promise(sampling, *setting) if sigma else math.inf
    print(f"{sampling} batches, σ = {sigma}: ε = {epsilon:.2f} at δ = 1e-5")
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    scores = {
        name: evaluate(model, getattr(splits, name), loss_fn=loss_fn, metrics=metrics)
        for name in ("validation", "test")
    }
    return Result(splits, model, history, scores, {"history": plotting.plot_history(history)})


# %% alt="Training loss over twenty epochs of DP-SGD: it falls steeply at first, then unevenly and slowly."
if __name__ == "__main__":
    result = main()

# %%
if __name__ == "__main__":
    print(result)

# %% [markdown]
# The loss is noisy, and the network learns. What does the promise cost? The test accuracy over five
# seeds, and what a network without noise and clipping reaches, as the dashed line:


# %% tags=["hide-input"]
def measured(name) -> dict:
    """Returns a measurement of tools/make_measurements.py over five seeds, or {}."""
    return load_results()["measurements"].get("chapter10_privacy", {}).get(name, {})


# %% alt="Test accuracy against ε on a log axis: it rises from the left, quickly at first and then slowly, and stays below a dashed line, that of training without privacy."
if __name__ == "__main__":
    noises = [0.7, 1.2, 2, 4]
    epsilons = [promise("poisson", 9000, 500, sigma, 360) for sigma in noises]
    runs = np.transpose([measured(f"σ = {sigma}")["values"] for sigma in noises])
    labels = {"x_label": "ε at δ = 1e-5", "y_label": "test accuracy"}
    ax = plotting.plot_bands({"DP-SGD": runs}, x=epsilons, **labels)
    ax.axhline(measured("σ = 0")["mean"], linestyle="--", color="0.5")
    ax.annotate("without noise", (epsilons[-1], measured("σ = 0")["mean"]), (0, 5),
                textcoords="offset points")  # fmt: skip
    ax.set_xscale("log")
    ax.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])

# %%
if __name__ == "__main__":
    for sigma in (0, *noises):
        epsilon = promise("poisson", 9000, 500, sigma, 360) if sigma else math.inf
        score = measured(f"σ = {sigma}")
        print(f"σ = {sigma:3}  ε = {epsilon:5.2f}  {score['mean']:.3f} ({score['error']:.3f})")

# %% [markdown]
# In brackets are standard errors. The stronger the promise, the more it costs. With more data it
# would cost less: the noise is the same for a batch of any size, and a larger one has more signal.
#
# Three things that the formula does not know. The noise of this page comes from a generator with a
# seed that stands in the text, so whoever knows it can take the noise off again. A network that is
# really given away needs noise that nobody can draw again. The losses that `fit` prints have no
# noise at all: ε is the promise of the weights, and who keeps the secret does not publish the log.
# And ε counts one training. Whoever tries ten settings on the same people has trained ten times.
#
# ## A test from below
#
# ε is an upper bound on what any attack can do. If the code has a mistake, the number is printed
# all the same. So attack it, and see how large ε must *at least* be. For a sharp attack we plant
# examples that are hard to learn but by heart: *canaries*, pictures with a wrong label. Each of
# them is put in or left out by a coin. Afterwards the attacker says of the fifty with the smallest
# loss "was in it", and of the fifty with the largest "was not".
#
# Under ε each of these guesses is right with probability at most
# $e^\varepsilon / (1 + e^\varepsilon)$, whatever else is known (Steinke, Nasr and Jagielski 2023; δ
# is left out here). So if $v$ of $r$ guesses are right, ask: which probability $p$ is so small that
# so many would be right in only 5 % of all cases? That is the lower end of *Clopper and Pearson's*
# interval, one-sided, and gives $\varepsilon \ge \ln(p / (1 - p))$.


# %%
def chance_of(right, guesses, p) -> float:
    """Returns the probability of at least `right` right guesses of so many, each right with p."""
    k = np.arange(right, guesses + 1)
    factorial = np.cumsum(np.log(np.maximum(np.arange(guesses + 1), 1)))
    choose = factorial[guesses] - factorial[k] - factorial[guesses - k]
    return float(np.exp(np.logaddexp.reduce(choose + k * np.log(p) + (guesses - k) * np.log1p(-p))))


# %%
def epsilon_from_below(right, guesses, error=0.05) -> float:
    """Returns the ε that the training has at least, but for an error of 5 %."""
    low = smallest(lambda p: chance_of(right, guesses, min(max(p, 1e-12), 1 - 1e-12)) >= error)
    return max(0.0, math.log(low / (1 - low)))


# %%
if __name__ == "__main__":
    for right in (50, 60, 80, 95, 100):
        print(f"{right:3} of 100 guesses right: ε ≥ {epsilon_from_below(right, 100):.2f}")

# %% [markdown]
# *Exercise: `audit_bound` does the same for an attack with true and false positives.*
#
# Now sixteen small networks. There are a thousand pictures, of which two hundred are canaries; each
# network is trained on those for which its coins fell on heads. All of it is DP-SGD; without noise
# and with a huge $C$ it is plain SGD.


# %%
CANARIES, POOL, NETWORKS, GUESSES = 200, 1000, 16, 50
BATCH, STEPS = 50, 300


# %%
def with_canaries(part):
    """Returns the first thousand pictures and their labels, of which the first 200 are wrong."""
    x, y = part.x[:POOL], part.y[:POOL].copy()
    y[:CANARIES] = (y[:CANARIES] + np.random.default_rng(1).integers(1, 10, CANARIES)) % 10
    return x, y


# %%
def train_members(step, model, x, y, members, seed):
    """Trains on the rows `members` with Poisson batches; returns the scores of all rows."""
    random, rate = np.random.default_rng([seed, 1]), BATCH / (POOL / 2)
    for _ in range(STEPS):
        rows, weight = poisson_batch(random, len(members), rate, 2 * BATCH + 50)
        step(x[members[rows]], y[members[rows]], weight)
    return model(x).numpy()


# %% tags=["hide-input"]
def train_all(part, sigma, clip=1.0, learning_rate=0.05, networks=NETWORKS):
    """Returns who was in (networks, pool), and the losses (networks, pool) of all pictures."""
    x, y = with_canaries(part)
    model = make_model()
    optimizer = keras.optimizers.SGD(learning_rate, momentum=0.9)
    optimizer.build(model.trainable_variables)
    at_start = [variable.numpy() for variable in optimizer.variables]
    step = tf.function(make_private_step(model, optimizer, clip, sigma, BATCH, seed=1))
    was_in, losses = [], []
    for seed in range(networks):
        keras.utils.set_random_seed(seed)
        model.set_weights(make_model().get_weights())
        for variable, value in zip(optimizer.variables, at_start, strict=True):
            variable.assign(value)
        coins = np.random.default_rng([seed, 0]).uniform(size=POOL) < 0.5
        scores = train_members(step, model, x, y, np.flatnonzero(coins), seed)
        was_in.append(coins)
        losses.append(losses_of(scores, y))
    return np.array(was_in), np.array(losses)


# %%
def right_guesses(was_in, losses) -> int:
    """Returns how many of a network's 2 · 50 guesses about its canaries are right."""
    order = np.argsort(losses[:CANARIES])
    return int(was_in[order[:GUESSES]].sum() + (~was_in[order[-GUESSES:]]).sum())


# %% [markdown]
# The second attack needs no canaries. *LiRA* (Carlini and others 2022) asks for every picture how
# the networks that have seen it treat it, and how the others do. With $p$ the probability that a
# network gives to the right class, $\ln(p / (1-p))$ is about normal. So take fifteen networks, fit
# one bell to those with the picture and one to those without, and ask under which of the two the
# sixteenth is likelier.


# %%
def lira(was_in, losses):
    """Returns scores (networks, pool), larger for members: each network against all others."""
    losses = np.maximum(losses, 1e-9)
    values = -losses - np.log(-np.expm1(-losses))  # ln p − ln(1 − p)
    scores = np.empty_like(values)
    for j in range(len(values)):
        others = np.arange(len(values)) != j
        bells = []
        for kind in (was_in, ~was_in):
            of_kind = np.where(kind & others[:, np.newaxis], values, np.nan)
            bells.append((np.nanmean(of_kind, axis=0), np.nanstd(of_kind, axis=0).mean()))
        (m_in, s_in), (m_out, s_out) = bells
        scores[j] = ((values[j] - m_out) / s_out) ** 2 - ((values[j] - m_in) / s_in) ** 2
    return scores / 2


# %% [markdown]
# Without noise first. Which of the two attacks will catch more, at one false alarm in a hundred?

# %%
if __name__ == "__main__":
    was_in, losses = train_all(splits.train, sigma=0.0, clip=1e6)
    real = np.arange(POOL) >= CANARIES  # the pictures with their own labels
    for name, found in (("small loss", -losses), ("LiRA", lira(was_in, losses))):
        pair = found[:, real][was_in[:, real]], found[:, real][~was_in[:, real]]
        print(f"{name:10} area {area(*pair):.3f}  caught at 1 % {true_positive_rate(*pair):.1%}")
    right = sum(right_guesses(*pair) for pair in zip(was_in, losses))
    print(f"canaries: {right} of {NETWORKS * 2 * GUESSES} guesses right,", end=" ")
    print(f"ε ≥ {epsilon_from_below(right, NETWORKS * 2 * GUESSES):.2f}")

# %% [markdown]
# LiRA compares each picture with itself, and so an easy picture does not hide. And nearly all
# guesses about the canaries are right: without noise a network remembers what it cannot explain.
# Now with noise. Every row is sixteen networks; the upper bound is the accountant's.


# %%
if __name__ == "__main__":
    print(
        f"{'σ':>5} {'ε at most':>10} {'ε at least':>11} {'loss, at 1 %':>13} {'LiRA, at 1 %':>13}"
    )
    for row in measured("audit").values():
        print(f"{row['sigma']:5} {row['upper']:10.2f} {row['lower']:11.2f}", end=" ")
        print(f"{row['loss']:13.1%} {row['lira']:13.1%}")

# %% [markdown]
# The lower bound is below the upper one in every row, as it must be, and far below: these attacks
# are not the best there could be, and the accountant reckons with the best. LiRA's catch falls
# towards that of a coin. (Where the small loss catches nobody, more than one in a hundred of the
# others have a loss of exactly 0: the noise has made scores so large that a number of 64 bits holds
# no smaller loss.)
#
# What matters is the other outcome: a lower bound *above* its upper one. Can this audit find a
# mistake at all? Plant one. The noise is that of the last row, but somebody has forgotten to clip
# ($C$ is a million, and σ so much smaller that the noise stays what it was). Nobody tells the
# accountant.

# %%
if __name__ == "__main__":
    was_in, losses = train_all(splits.train, sigma=3.0 / 1e6, clip=1e6, learning_rate=0.02)
    right = sum(right_guesses(*pair) for pair in zip(was_in, losses))
    print(f"the accountant, believing in σ = 3: ε ≤ {promise('poisson', 500, 50, 3.0, 300):.2f}")
    print(f"the audit, {right} guesses right: ε ≥ {epsilon_from_below(right, 1600):.2f}")

# %% [markdown]
# But for the 5 %, both cannot be true, so the code is wrong, whatever the formulas say. Mind the
# learning rate, though: it is a tenth of that of the table. With the table's, the noise has drowned
# the canaries, and the same mistake goes unnoticed (*What to try*). An audit that finds nothing
# proves nothing.
#
# *Exercise: `leave_one_out` writes LiRA's bells.*
#
# ## What to try
#
# - `--sigma 0.5`, `--sigma 4`: accuracy and ε.
# - `--clip 0.1` and `--clip 10`, with the learning rate changed so that their product stays.
# - `--sampling shuffled`: the same network, and the promise that holds for it.
# - Train the first network for 5 epochs in place of 40. What is left of the attack?
# - Audit the forgotten clipping with learning rates of 0.05 and 0.2. When is it noticed?
# - Take the ten pictures that LiRA is surest of, and look at them.
#
# ## Where this comes from
#
# - C. Dwork and others, *Calibrating noise to sensitivity* and *Our data, ourselves* (2006): the
#   promise, and its δ. B. Balle and Y. Wang, *Improving the Gaussian mechanism* (2018).
# - M. Abadi and others, *Deep learning with differential privacy* (2016): DP-SGD. I. Goodfellow,
#   *Efficient per-example gradient computations* (2015): the norms without the gradients.
# - I. Mironov, K. Talwar and L. Zhang, *Rényi differential privacy of the sampled Gaussian
#   mechanism* (2019). C. Canonne, G. Kamath and T. Steinke, *The discrete Gaussian* (2020): from
#   Rényi's divergence to ε. L. Chua and others, *How private are DP-SGD implementations?* (2024).
# - S. Yeom and others, *Privacy risk in machine learning* (2018): the attack by the loss.
#   N. Carlini and others, *Membership inference attacks from first principles* (2022): LiRA.
#   T. Steinke, M. Nasr and M. Jagielski, *Privacy auditing with one training run* (2023).
#
# ## Exercises
#
# Nine exercises go with this page. Three of them take five minutes. `kerasbook start DIR` copies
# them into a folder.
#
# ## Where to go next
#
# [*Is it fair?*](chapter10_fairness.ipynb) asks what a network does to groups. The two meet: noise
# hides small groups first, and clipping cuts those whose gradients are large.
