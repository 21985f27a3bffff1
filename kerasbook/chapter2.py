# %% [markdown]
"""
# Chapter 2. Logistic and softmax regression

Is it a shirt or a coat? A weighted sum of the pixels gives a score, and the score, squeezed between
0 and 1, becomes a probability: that is logistic regression. With ten scores side by side, ten kinds
of garments can be told apart: that is softmax regression. Both are networks of a single layer. What
a second layer adds is on the next page, [the deep network](chapter2_deep_network.ipynb), and how
such networks are trained well on the one after it, [training](chapter2_training.ipynb).

After this page you can

- turn scores into probabilities, and judge them by their cross-entropy;
- write a cross-entropy that never overflows;
- derive its gradient, and prove it;
- say what goes wrong if a softmax is applied twice.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter2`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter2")

# %% tags=["hide-input"]
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter1 import linear, numerical_gradient
from kerasbook.data import load, load_fashion
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## The data
#
# Fashion-MNIST: grey pictures of clothes, 28 × 28 pixels each, in ten kinds. The book carries
# 12,000 of its 70,000 pictures, as many of each kind; where there is a network connection,
# `--dataset fashion_mnist` takes them all. As in chapter 1 the inputs are standardised, here with
# one mean and one standard deviation for all pixels, measured on the training part.

# %% alt="Ten grey pictures of clothes, one of each kind: T-shirt, trouser, pullover, dress, coat, sandal, shirt, sneaker, bag and ankle boot. Pullover, coat and shirt have nearly the same outline." tags=["cover"]
if __name__ == "__main__":
    splits = load_fashion()
    print(splits)
    first = [np.flatnonzero(splits.train.y == label)[0] for label in range(10)]
    plotting.plot_images(splits.train.x[first], splits.train.y[first], classes=splits.classes)

# %% [markdown]
# All kinds are equally frequent, so a blind guess is right in one of ten cases. That is the number
# to remember before you read any accuracy. And look at the outlines: pullover and coat share
# theirs, and many shirts have it too. Which kinds will be the hardest to tell apart? Note your
# guess; the last section has the answer.
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
# `x` of shape (n, d), `w` (d, 1), `b` (1,) and `z` (n, 1). A score can be any number. To read it as
# a probability we bend it with the *sigmoid*:
#
# $$p = \sigma(z) = \frac{1}{1 + e^{-z}}, \qquad z = \log\frac{p}{1 - p}.$$


# %%
def sigmoid(z):
    """Returns 1 / (1 + e^(−z)) = e^(−log(1 + e^(−z))), which cannot overflow."""
    return np.exp(-np.logaddexp(0, -z))


# %% alt="The sigmoid: an S-shaped curve that rises from 0 at a score of minus 6 through one half at 0 to 1 at a score of 6."
if __name__ == "__main__":
    scores = np.linspace(-6, 6, 61)
    labels = {"x_label": "score z", "y_label": "probability p"}
    plotting.plot_lines({"sigmoid": sigmoid(scores)}, x=scores, **labels)

# %% [markdown]
# The score $z$ is also called the *logit*, the logarithm of the odds $p : (1 - p)$. Where $z = 0$
# both garments are equally likely. With two pixels the points with $z = 0$ would be a straight
# line, with 784 they are what a plane is there; the sigmoid only says how sure the model is on
# either side of it. It is still a linear model.
#
# How bad is a prediction? We take the *surprise*: minus the logarithm of the probability that the
# model gave to what turned out to be true. Whoever gave it 1 is not surprised, $-\log 1 = 0$; who
# gave it one half pays 0.69, one in a hundred 4.61, and there is no limit to it. Why a logarithm?
# The probabilities of several pictures multiply, and their surprises add up. (Here and everywhere
# $\log$ is the natural logarithm, the one with $\log e = 1$.) For both truths in one line,
#
# $$\ell = -y \log p - (1 - y) \log(1 - p).$$
#
# The loss $L$, the *cross-entropy*, is the mean of $\ell$ over all $n$ pictures.
#
# ## The formula that overflows
#
# What happens if we type the formula as it is printed? A shirt ($y = 0$) costs
# $-\log(1 - \sigma(z)) = \log(1 + e^z)$, which is about $z$ for a large score. So a score of 20
# should cost 20.


# %%
def naive_cross_entropy(y, z):
    """Returns −y log p − (1 − y) log(1 − p) as the formula is printed; breaks for large |z|."""
    p = 1 / (1 + np.exp(-z))
    return -y * np.log(p) - (1 - y) * np.log(1 - p)


# %%
if __name__ == "__main__":
    z = np.array([-200, -2, 2, 20, 200], "float32")  # five scores
    with np.errstate(all="ignore"):  # NumPy would warn
        print(*(f"{each:.2f}" for each in naive_cross_entropy(np.float32(0), z)), sep="   ")

# %% [markdown]
# It breaks, and on scores that training does produce: at 20 a `float32` probability is already
# exactly 1, so the loss is the logarithm of 0; at −200 it is 0 times that logarithm. The remedy is
# two lines of algebra before any number is computed. A shirt costs $\log(1 + e^z)$. A coat costs
# $-\log \sigma(z) = \log(1 + e^{-z})$, which is $z$ less: $\log(1 + e^z) - \log e^z$. So both are
#
# $$\ell = \log(1 + e^z) - y z .$$
#
# And where $z$ is positive we take $e^z$ out of the logarithm, $\log(1 + e^z) = z + \log(1 +
# e^{-z})$; in one formula for all $z$,
#
# $$\ell = \max(z, 0) - y z + \log\left(1 + e^{-|z|}\right).$$
#
# Here no exponent is ever positive, so nothing overflows, and no logarithm ever sees 0.


# %%
def cross_entropy_from_logits(y, z):
    """Returns the binary cross-entropy of each logit, in the shape of y and z."""
    return np.maximum(z, 0) - y * z + np.log1p(np.exp(-np.abs(z)))


# %%
if __name__ == "__main__":
    print(*(f"{each:.2f}" for each in cross_entropy_from_logits(np.float32(0), z)), sep="   ")

# %% [markdown]
# This is why a Keras model should end *without* a sigmoid, and why the loss is then told
# `from_logits=True`: it gets the scores and computes the last form. (`sigmoid` above is written in
# the same spirit: $-\log(1 + e^{-z})$ is the logarithm of $p$.)
#
# *Exercises: `sign_cross_entropy` (five minutes) is this loss for labels −1 and 1; `focal_loss`
# makes easy examples count for less.*
#
# ## Its gradient
#
# What will the derivative of so long a formula be? Take the short form, $\log(1 + e^z) - yz$. By
# the chain rule the logarithm gives $e^z / (1 + e^z)$, which is $\sigma(z)$, and the second term
# gives $y$. The rest is the chain rule of chapter 1:
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
# As in chapter 1 we check it in two ways: by finite differences, which need nothing but the loss,
# and by the tape, here through a Keras layer and a Keras loss.


# %% tags=["hide-input"]
def keras_logistic_gradient(x, y, w, b):
    """Returns the same gradients from a Dense layer with one unit, a Keras loss and a tape."""
    layer = layers.Dense(1, dtype=x.dtype.name)
    layer.build(x.shape)
    layer.set_weights([w, b])
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True, dtype=x.dtype.name)
    with tf.GradientTape() as tape:
        loss = loss_fn(y, layer(x))
    return tape.gradient(loss, layer.trainable_variables)


def check_logistic_gradient(x, y) -> dict[str, float]:
    """Returns the largest difference of our gradient to finite differences, and to the tape's."""
    x, y = x.astype("float64"), y.astype("float64")
    w, b = np.random.default_rng(0).normal(size=(x.shape[1], 1)) / 28, np.zeros(1)  # small scores
    by_hand, _ = logistic_gradient(x, y, w, b)
    slopes = numerical_gradient(lambda w: cross_entropy_from_logits(y, linear(x, w, b)).mean(), w)
    theirs, _ = keras_logistic_gradient(x, y, w, b)
    found = {"finite differences": slopes, "the tape": theirs}
    return {name: float(np.abs(by_hand - other).max()) for name, other in found.items()}


# %%
if __name__ == "__main__":
    x, y = two_garments(splits.train)
    for name, difference in check_logistic_gradient(x[:50], y[:50]).items():
        print(f"{x.shape[1]} slopes, largest difference to {name}: {difference:.0e}")

# %% [markdown]
# ## Which pixels speak for a coat?
#
# Now the loop: forward, loss, gradient, update, each time with all pictures, so it is batch
# gradient descent. First with NumPy.


# %%
def descend(x, y, learning_rate, steps):
    """Returns w (d, 1) and b (1,) after so many steps of batch descent, starting at zero."""
    w, b = np.zeros((x.shape[1], 1), x.dtype), np.zeros(1, x.dtype)
    for _ in range(steps):
        gradient_w, gradient_b = logistic_gradient(x, y, w, b)
        w, b = w - learning_rate * gradient_w, b - learning_rate * gradient_b
    return w, b


# %%
if __name__ == "__main__":
    w, b = descend(x, y, learning_rate=0.01, steps=200)
    for name in ("train", "validation"):
        pictures, coats = two_garments(getattr(splits, name))
        right = (linear(pictures, w, b) > 0) == coats
        print(f"{name:10} {right.mean():.1%} told apart; always coat: {coats.mean():.1%}")

# %% [markdown]
# The same with a tape, a Keras loss and a Keras optimizer. The loss takes the truth first and the
# prediction second; the other way round raises no error and computes something else.


# %%
def descend_with_tape(x, y, learning_rate, steps):
    """Returns the same by a tape, a Keras loss and a Keras optimizer."""
    w, b = tf.Variable(tf.zeros((x.shape[1], 1))), tf.Variable(tf.zeros(1))
    loss_fn = keras.losses.BinaryCrossentropy(from_logits=True)
    optimizer = keras.optimizers.SGD(learning_rate)
    for _ in range(steps):
        with tf.GradientTape() as tape:
            loss = loss_fn(y, tf.matmul(x, w) + b)
        optimizer.apply(tape.gradient(loss, [w, b]), [w, b])
    return w.numpy(), b.numpy()


# %%
if __name__ == "__main__":
    other_w, _ = descend_with_tape(x, y, learning_rate=0.01, steps=200)
    print(f"{w.size} weights after 200 steps, largest difference: {np.abs(w - other_w).max():.0e}")

# %% [markdown]
# What has it learnt? There is one weight for each pixel, so the weights are a picture. A light
# pixel speaks for a coat where the picture is bright, a dark one for a shirt.

# %% alt="784 weights as a picture of 28 by 28 pixels: a light collar and light patches at both sides, where long sleeves hang; dark shoulders and a dark hem; an even, slightly light margin."
if __name__ == "__main__":
    _, ax = plt.subplots(figsize=(4.6, 3.6), layout="constrained")
    plotting.plot_weights(w, (28, 28), titles=["light: coat, dark: shirt"], axes=ax)
    black = x.min()
    print(f"black is {black:.2f}; the weight of the corner, which is always black: {w[0, 0]:.4f}")

# %% [markdown]
# A bright collar and bright sleeves at the sides speak for a coat, bright shoulders and a bright
# hem for a shirt. Grey would be a weight of zero, a pixel without a say. Yet the margin, which
# hardly a garment reaches, is not quite grey. The reason is the standardising: black has become a
# negative number. A pixel that is always black adds the same number to every score, so its weight
# acts as a piece of the bias, and descent moves it in step with the bias.
#
# The model lays this one template over every picture and adds up. It can weigh pixels; it cannot
# say "a zip, wherever it is".
#
# ## Ten garments
#
# For $K = 10$ classes take ten scores: `W` has shape (d, K), `b` (K,) and `z` (n, K). The *softmax*
# makes probabilities of a row of scores, all positive and with the sum 1,
#
# $$p_k = \frac{e^{z_k}}{\sum_j e^{z_j}}.$$
#
# Guess before you run the next cell: what do the scores 2, 1 and 0 become, and what do 102, 101
# and 100 become?


# %%
def softmax(z):
    """Returns the probabilities (n, K) for the scores z (n, K)."""
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


# %%
if __name__ == "__main__":
    print(softmax(np.array([[2.0, 1.0, 0.0], [102.0, 101.0, 100.0]])).round(3))

# %% [markdown]
# The two rows are the same: a number that is added to all scores multiplies every power by the same
# factor, above and below the line. That is why we may subtract the largest score, and then no
# exponent is positive and nothing overflows. For the scores 0 and $z$ the softmax gives
# $1 / (1 + e^{-z})$ to the second, which is the sigmoid.
#
# The loss is the surprise again, $-\log p_y$, where $y$ is now the number of the true class.
# Written with the scores it is $\ell = \log \sum_j e^{z_j} - z_y$. The first term has the
# derivative $p_k$ (try it). The second has the derivative 1 for the score of the true class, and 0
# for all others; for that one writes $[k = y]$, which is 1 if $k$ is $y$, else 0. So
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
    z, labels = np.random.default_rng(0).normal(size=(5, 10)), np.array([3, 1, 4, 1, 5])
    slopes = numerical_gradient(lambda z: cross_entropy(labels, z), z)
    difference = np.abs(cross_entropy_gradient(labels, z) - slopes).max()
    print(f"{z.size} slopes, largest difference to finite differences: {difference:.0e}")
    print(
        f"loss when all scores are equal: {cross_entropy(labels, np.zeros((5, 10))):.4f} = log 10"
    )

# %% [markdown]
# That last number is worth knowing: a model that knows nothing of ten classes has the loss
# $\log 10$. A fresh model with a much larger loss is not ignorant but wrong, and sure of it.
#
# *Exercises: `softmax_of_columns` (five minutes) is a softmax along another axis, with a
# temperature.*
#
# ## The same in Keras
#
# The model takes pictures and flattens them itself. It doesn't end with a softmax: it returns
# scores, and the loss is told so. A single layer may begin at zero: each unit has a truth of its
# own in $p_k - [k = y]$, so they differ from the first step on. (Hidden layers may not, as the next
# page shows.) Then the weights are pictures of what it learnt, without the noise of a random start.


# %%
def make_softmax(shape: tuple[int, ...], classes: int) -> keras.Model:
    """Returns softmax regression: pictures (n, *shape) → scores (n, classes)."""
    inputs = keras.Input(shape)
    outputs = layers.Dense(classes, kernel_initializer="zeros")(layers.Flatten()(inputs))
    return keras.Model(inputs, outputs, name="softmax_regression")


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)

# %% [markdown]
# `kerasbook verify 2` compares loss and gradients with Keras' and TensorFlow's, in 32 and in 64
# bits, on random numbers.
#
# ## Softmax, twice
#
# What if the model does end with a softmax, and the loss, told to expect scores, applies another?
# No error is raised. But the second softmax sees numbers between 0 and 1 only. Even for a perfect
# answer, a one and nine zeros, it says no more than $e / (e + 9)$, so the loss cannot fall below
#
# $$-\log \frac{e}{e + K - 1} = \log(e + K - 1) - 1 .$$


# %%
def double_softmax_floor(classes: int) -> float:
    """Returns the lowest loss that softmax applied twice allows."""
    return float(np.log(np.e + classes - 1) - 1)


def double_softmax_loss(y, logits):
    """Returns the mean cross-entropy of a softmax of a softmax: the mistake."""
    probabilities = tf.nn.softmax(logits)
    y = tf.cast(y, tf.int32)  # `fit` hands it on as floats
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=probabilities)
    return tf.reduce_mean(losses)


# %% [markdown]
# Will such a model learn at all? We train softmax regression both ways. `train` is the call of
# `fit` that this page and the next use: SGD, with the accuracy as a metric.


# %%
def train(model, splits, loss_fn=loss_fn, learning_rate=0.01, seed=0, **fit_options):
    """Trains a classifier with SGD; returns its History. Options go to `fit`."""
    keras.utils.set_random_seed(seed)
    return fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.SGD(learning_rate),
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        validation_data=splits.validation,
        **{"batch_size": 64, "seed": seed} | fit_options,
    )


# %%
def plot_double_softmax(splits, epochs=8, axes=None):
    """Returns the Axes of two runs: softmax in the loss alone, and in model and loss."""
    options, runs = {"epochs": epochs, "jit": "off", "progress": "none"}, {}
    for name, function in (("softmax once", loss_fn), ("softmax twice", double_softmax_loss)):
        model = make_softmax(splits.train.x.shape[1:], 10)
        runs[name] = train(model, splits, function, **options)
    axes = plotting.plot_history(*runs.values(), labels=list(runs), axes=axes)
    axes[0].axhline(double_softmax_floor(10), color="0.5", linestyle=":")
    return axes


# %% alt="Loss and accuracy of two runs over the epochs: with one softmax the loss falls just below one half; with two it comes down slowly and stays above the dotted floor, and its accuracy is lower all the way."
if __name__ == "__main__":
    print(f"lowest loss with two softmaxes: {double_softmax_floor(10):.3f}")
    plot_double_softmax(splits)

# %% [markdown]
# The dotted line is the floor. The mistake learns, only more slowly and less, and that is why it is
# easily overlooked. Its sign is a loss that comes down and then lies still, far above zero.
#
# The floor is not the worst of it. Consider a model that is sure and wrong. With one softmax the
# gradient at the true class is nearly −1, as large as it can be. With two it must come back through
# the first softmax, which is flat where the model is sure:

# %%
if __name__ == "__main__":
    logits, truth = tf.Variable([[10.0] + [0.0] * 9]), np.array([1])  # sure of 0; it is 1
    for name, function in (("once", loss_fn), ("twice", double_softmax_loss)):
        with tf.GradientTape() as tape:
            loss = function(truth, logits)
        slope = tape.gradient(loss, logits)[0, 1]
        print(f"softmax {name}: loss {loss:.2f}, gradient of the true class {slope:.1e}")

# %% [markdown]
# Keras notices the mistake only where a softmax stands right before the loss; after any other
# operation, or with predictions as an array, it cannot. The first loss does not tell either, since
# it is near $\log 10$ both ways. But a loss that has fallen below the floor has seen one softmax.
#
# ## Result
#
# `main`, folded below, is the page as a program: data, model, loop, scores. Its settings were
# chosen on the validation part; the test part was used for the report only.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["fashion", "mnist", "fashion_mnist", "cifar10"],
    "headline": ["test", "accuracy"],
    "minutes": 1,
}


def main(
    epochs: int = 10,
    batch_size: int = 64,
    learning_rate: float = 0.01,
    seed: int = 0,
    dataset: Literal["fashion", "mnist", "fashion_mnist", "cifar10"] = "fashion",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains softmax regression on pictures of clothes.

    Args:
        epochs: passes over the training part
        batch_size: pictures per step
        learning_rate: of SGD
        seed: of the shuffling
        dataset: fashion, or mnist, fashion_mnist, cifar10 from TensorFlow Datasets
        examples: use the first so many pictures of each part
        fit_options: handed on to kerasbook.training.fit
    """
    splits = load(dataset).take(examples)
    print(splits)
    shape, classes = splits.train.x.shape[1:], len(splits.classes)
    model = make_softmax(shape, classes)
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
        "weights": plotting.plot_weights(model.get_weights()[0], shape, titles=splits.classes),
    }
    return Result(splits, model, history, scores, figures)


# %% alt="Loss and accuracy over ten epochs: the training loss falls and flattens, the validation loss lies below it to the end; both accuracies rise, and the validation accuracy jumps about near 0.86."
if __name__ == "__main__":
    result = main()
    for name in ("confusion", "weights"):
        plt.close(np.ravel(result.figures[name])[0].figure)  # they are drawn below

# %%
if __name__ == "__main__":
    for part, scores in result.scores.items():
        print(f"{part:10} loss {scores['loss']:.3f}  accuracy {scores['accuracy']:.3f}")

# %% [markdown]
# Over five seeds the test accuracy was 0.836 ± 0.004, mean ± standard deviation. The first weights
# are zeros, so all that differs from seed to seed is the order of the pictures.
#
# In the picture the validation part does better than the training part, from the first epoch to the
# last, against what chapter 1 has taught. This model is too stiff to remember its pictures, and the
# 1,000 of the validation part happen to be easy ones: the test part is harder. (A little comes from
# the training loss of an epoch being the mean over its steps, most of which were taken before the
# validation part was looked at.)
#
# There is another uncertainty, and it is larger. The test part is a sample of 2,000 pictures. With
# other pictures of the same kind the share of right answers, $a$, would move by about its *standard
# error*, $\sqrt{a (1 - a) / n}$. We keep the sign ± for the spread over seeds, and call this one by
# its name. As a rule of thumb, two models whose accuracies on a test part differ by less than three
# of them have not been shown to differ. (Asked about the same pictures, one can do better: count
# those that only the first gets right and those that only the second does, $k$ and $m$; a
# difference is shown where $|k - m|$ is more than $2 \sqrt{k + m}$.)

# %%
if __name__ == "__main__":
    share, count = result.scores["test"]["accuracy"], len(splits.test.y)
    print(f"test accuracy {share:.3f}, standard error {(share * (1 - share) / count) ** 0.5:.3f}")

# %% [markdown]
# What have the ten units learnt? Their weights are ten templates, and each had to fit all garments
# of its class at once.

# %% alt="Ten templates of 28 by 28 weights: the trouser's has a dark gap between its legs, the T-shirt's short light sleeves, the dress's narrow shoulders, the coat's long sleeves; the sandal's is a blur."
if __name__ == "__main__":
    kernel = result.model.get_weights()[0]
    plotting.plot_weights(kernel, (28, 28), titles=splits.classes)

# %% [markdown]
# Find the gap between the legs of the trousers, and the short sleeves of the T-shirt. Sandals come
# in many shapes, and their template is a blur. In the *confusion matrix* a row is what a garment
# is, a column what the model takes it for.

# %% alt="Confusion matrix of ten kinds of garments: most answers lie on the diagonal; shirts are taken for T-shirts, pullovers and coats, and sandals, sneakers and boots for each other."
if __name__ == "__main__":
    guesses = predict(result.model, splits.test.x).argmax(axis=1)
    plotting.plot_confusion(splits.test.y, guesses, splits.classes)

# %%
if __name__ == "__main__":
    found = [(guesses[splits.test.y == label] == label).mean() for label in range(10)]
    for label in np.argsort(found):
        print(f"{splits.classes[label]:12} {found[label]:.0%} found")

# %% [markdown]
# Did you guess right? Most errors are among the things that are worn on the upper body, and shoes
# are mistaken for shoes. The accuracy hides this, because it is the mean over classes, of
# which some are almost solved and the shirts hardly better than half.
#
# *Exercises: `balanced_accuracy` computes the confusion matrix, and an accuracy in which every
# class counts alike; `find_faulty` asks for a classifier of a rare class.*
#
# ## What to try
#
# - `two_garments(part, 5, 9)`, sandals and ankle boots: why is this pair so much easier, and what
#   does the template show?
# - `--learning-rate 0.1`: what does the loss do, and what do the templates look like then?
# - Standardise each pixel by its own mean and deviation. What becomes of the margin of the
#   template, and of the accuracy?
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of the exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others.
#
# What others have written wrongly about these models, a softmax applied twice among it, stands in
# [*The articles' mistakes*](errata.ipynb).
#
# ## Where to go next
#
# One template per class is little: a handbag with its handle up and one with it down get one
# template between them. [The deep network](chapter2_deep_network.ipynb) puts a layer before the
# templates.
