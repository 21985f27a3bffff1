# %% [markdown]
"""
# Chapter 1. Linear regression

How far does a car go on a gallon of petrol? Given its weight, its power and a few other
numbers, we draw the straight line (in several dimensions: the plane) that errs least. It is the
smallest network there is: one layer, one unit, no activation. Everything a deep network needs is
already here: a model, a loss, a gradient, a step downhill, and a test on data it has not seen.

After this chapter you can

- derive the gradient of a squared error, and check it in two ways;
- choose a learning rate, and say why features are scaled;
- tell batch, stochastic and mini-batch descent apart;
- write a training loop with `GradientTape` that does what `model.fit` does.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter1`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter1")

# %%
from typing import Literal

from kerasbook import plotting
from kerasbook.data import load, load_auto_mpg
from kerasbook.runner import Result
from kerasbook.training import batch_order, evaluate, fit, predict

import keras
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## The data
#
# 392 cars of the years 1970 to 1982. Each has six measurements and a region of origin; the target
# is its fuel economy in miles per gallon (mpg). The cars are shuffled once and cut into three
# parts: the *training* part sets the weights, the *validation* part helps us to choose, and the
# *test* part is used once, for the figure that we report. An article that chooses and reports on
# one and the same part reports a figure that is too good.
#
# The origin is one of three regions, written as columns of zeros and ones. Three such columns
# always add up to one, which is what the bias does already; so we leave the first region out.

# %%
FEATURES = (
    "cylinders",
    "displacement",
    "horsepower",
    "weight",
    "acceleration",
    "model_year",
    "Europe",
    "Japan",
)

if __name__ == "__main__":
    splits = load_auto_mpg(FEATURES)
    print(splits)

# %% [markdown]
# Before any mathematics, a look: more power, fewer miles. A line through this cloud will not be
# perfect (the cloud bends), but it will be useful.

# %%
if __name__ == "__main__":
    raw = load_auto_mpg(("horsepower",), standardise=False)
    ax = plotting.plot_lines({}, x_label="horsepower (hp)", y_label="fuel economy (mpg)")
    ax.scatter(raw.train.x, raw.train.y, s=12)

# %% [markdown]
# ## The model and its loss, by hand
#
# With $d$ features, the prediction for one car is a weighted sum and a bias,
#
# $$\hat y = w_1 x_1 + \dots + w_d x_d + b .$$
#
# For $n$ cars at once: `x` has shape (n, d), `w` (d, 1), `b` (1,), and the predictions (n, 1).
#
# The loss is the mean squared error, $L = \frac1n \sum_i (\hat y_i - y_i)^2$. It is one number, and
# it says how bad the weights are.


# %%
def linear(x, w, b):
    """Returns the predictions (n, 1) for x (n, d), w (d, 1), b (1,)."""
    return x @ w + b


def mean_squared_error(y, y_pred):
    """Returns the mean of (y_pred − y)², a scalar, for y and y_pred (n, 1)."""
    return np.mean((y_pred - y) ** 2)


# %% [markdown]
# Mind the shapes. Were `y` of shape (n,) and `y_pred` (n, 1), NumPy and TensorFlow would stretch
# both to (n, n) and give a wrong loss without a word. That is why our targets are (n, 1).
#
# ## The gradient, by hand
#
# Which way is downhill? The chain rule says, for every weight, the derivative of the square times
# the derivative of what is inside:
#
# $$\frac{\partial L}{\partial w_j} = \frac2n \sum_i (\hat y_i - y_i)\, x_{ij},
# \qquad \frac{\partial L}{\partial b} = \frac2n \sum_i (\hat y_i - y_i).$$
#
# Often the loss is written with a half, $\frac1{2n}\sum_i(\hat y_i - y_i)^2$, so that the 2 goes
# away. Then the gradient is half of ours, and a learning rate must be twice as large to do the
# same. Many "my loop and Keras disagree" questions are this factor.


# %%
def gradient(x, y, w, b):
    """Returns the gradients of the mean squared error: (d, 1) for w and (1,) for b."""
    error = linear(x, w, b) - y  # (n, 1)
    return 2 * x.T @ error / len(x), 2 * error.mean(axis=0)


# %% [markdown]
# Never trust a derived gradient. Two checks cost a minute. The first needs nothing but the loss:
# move one weight a little up and a little down, and see how the loss changes.


# %%
def numerical_gradient(loss, w, step=1e-5):
    """Returns the gradient of `loss(w)`, in the shape of w, by central differences."""
    slopes = np.zeros_like(w)
    for index in np.ndindex(w.shape):
        nudge = np.zeros_like(w)
        nudge[index] = step
        slopes[index] = (loss(w + nudge) - loss(w - nudge)) / (2 * step)
    return slopes


# %% [markdown]
# The second is TensorFlow's: a `GradientTape` records the operations of the forward pass and plays
# them back with the chain rule.


# %%
def tape_gradient(x, y, w, b):
    """Returns the gradients for w and b by automatic differentiation."""
    w, b = tf.Variable(w), tf.Variable(b)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((tf.matmul(x, w) + b - y) ** 2)
    return tape.gradient(loss, [w, b])


# %%
if __name__ == "__main__":
    x, y = (part.astype("float64") for part in splits.train)
    random = np.random.default_rng(0)
    w, b = random.normal(size=(len(FEATURES), 1)), np.zeros(1)
    by_hand, _ = gradient(x, y, w, b)
    slopes = numerical_gradient(lambda w: mean_squared_error(y, linear(x, w, b)), w)
    print("largest difference to finite differences:", np.abs(by_hand - slopes).max())
    by_tape, _ = tape_gradient(x, y, w, b)
    print("largest difference to GradientTape:      ", np.abs(by_hand - by_tape).max())

# %% [markdown]
# The finite differences agree to about nine digits, the most they can; the tape to all of them.
#
# ## Walking downhill
#
# Gradient descent repeats one line: go a small step against the gradient. How many cars look at
# each step makes its three names:
#
# - **batch** gradient descent: all of them. The direction is exact, a step is dear.
# - **stochastic** gradient descent: one. The step is cheap, its direction a guess.
# - **mini-batch**: some, usually 16 to 256. What is used in practice, and usually meant by "SGD".
#
# Momentum keeps a running sum of the steps, like a ball that rolls: it forgets zigzags and keeps
# the common direction.


# %%
def descend(x, y, learning_rate, epochs, batch_size, momentum=0.0, seed=0):
    """Returns the path of (w, b): w (steps + 1, d), b (steps + 1,), starting at zero."""
    w, b = np.zeros((x.shape[1], 1)), np.zeros(1)
    velocity_w, velocity_b = np.zeros_like(w), np.zeros_like(b)
    path = [(w[:, 0], b[0])]
    for epoch in range(epochs):
        order = batch_order(seed, epoch, len(x))
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            gradient_w, gradient_b = gradient(x[rows], y[rows], w, b)
            velocity_w = momentum * velocity_w - learning_rate * gradient_w
            velocity_b = momentum * velocity_b - learning_rate * gradient_b
            w, b = w + velocity_w, b + velocity_b
            path.append((w[:, 0], b[0]))
    return tuple(np.array(part) for part in zip(*path, strict=True))


# %% [markdown]
# Where must they all arrive? For a squared error the answer is known in closed form. At the lowest
# point the gradient is zero, which is a linear system, the **normal equation**. We solve it by
# least squares; inverting $X^\top X$ by hand loses digits when two features are alike.


# %%
def normal_equation(x, y):
    """Returns the w (d, 1) and b (1,) with the smallest mean squared error."""
    with_ones = np.hstack([x, np.ones((len(x), 1))])
    solution, *_ = np.linalg.lstsq(with_ones, y, rcond=None)
    return solution[:-1], solution[-1]


# %% [markdown]
# With one feature there are two parameters, a slope and a bias, so the loss is a surface that we
# can draw, and each method a path on it.


# %%
def plot_descent_paths(ax=None):
    """Returns an Axes: the loss over slope and bias, and the paths of four kinds of descent."""
    x, y = (part.astype("float64") for part in load_auto_mpg(("horsepower",)).train)
    paths = {
        "batch": descend(x, y, 0.1, epochs=30, batch_size=len(x)),
        "stochastic": descend(x, y, 0.01, epochs=1, batch_size=1),
        "mini-batch of 16": descend(x, y, 0.05, epochs=3, batch_size=16),
        "momentum 0.8": descend(x, y, 0.03, epochs=40, batch_size=len(x), momentum=0.8),
    }
    slope, bias = normal_equation(x, y)
    return plotting.plot_loss_surface(
        lambda w, b: np.mean((x * w + b - y) ** 2),
        {name: np.column_stack([w[:, 0], b]) for name, (w, b) in paths.items()},
        minimum=(slope[0, 0], bias[0]),
        x_label="slope (mpg per standard deviation of horsepower)",
        y_label="bias (mpg)",
        ax=ax,
    )


if __name__ == "__main__":
    plot_descent_paths()

# %% [markdown]
# Batch descent goes straight to the lowest point. The stochastic path staggers, and never quite
# rests: with a constant learning rate it keeps jumping around the answer. The ball with momentum
# overshoots and comes back.
#
# ## Too small, right, too large
#
# The learning rate is the number that spoils most first attempts. Too small, and the loss creeps;
# too large, and each step lands higher on the opposite slope. For this loss the border is known:
# with the largest curvature $\lambda$ (the largest eigenvalue of $\frac2n X^\top X$), descent
# diverges above $2/\lambda$.


# %%
def largest_learning_rate(x):
    """Returns 2 / λ, above which batch gradient descent on the mean squared error diverges."""
    with_ones = np.hstack([x, np.ones((len(x), 1))])
    return 2 / np.linalg.eigvalsh(2 * with_ones.T @ with_ones / len(x)).max()


SHARES = {"too small": 0.01, "right": 0.5, "just below": 0.98, "too large": 1.02}


def plot_learning_rates(ax=None):
    """Returns an Axes: the loss per step for four learning rates around the limit."""
    x, y = (part.astype("float64") for part in load_auto_mpg(FEATURES).train)
    limit = largest_learning_rate(x)
    series = {}
    for name, share in SHARES.items():
        path = descend(x, y, share * limit, epochs=60, batch_size=len(x))
        losses = [mean_squared_error(y, linear(x, w[:, np.newaxis], b)) for w, b in zip(*path)]
        series[f"{name}: {share:g} × limit"] = np.array(losses)
    labels = {"x_label": "steps", "y_label": "mean squared error (mpg²)"}
    return plotting.plot_lines(series, x=np.arange(61), **labels, log=True, ax=ax)


if __name__ == "__main__":
    plot_learning_rates()

# %% [markdown]
# ## Why features are scaled
#
# Weight is counted in thousands of pounds, acceleration in tens of seconds. Unscaled, the surface
# is a canyon: steep one way, flat the other. The steep side sets the limit on the learning rate,
# and along the flat side nothing moves. Standardised features (mean 0, standard deviation 1, both
# measured on the training part alone) make the valley round.

# %%
if __name__ == "__main__":
    for name, scaled in (("as measured", False), ("standardised", True)):
        x, _ = load_auto_mpg(FEATURES, standardise=scaled).train
        limit = largest_learning_rate(x.astype("float64"))
        print(f"{name:13} largest learning rate {limit:.2g}")

# %% [markdown]
# ## The same in Keras
#
# One dense layer with one unit and no activation is exactly this model.


# %%
def make_model(features: int) -> keras.Model:
    """Returns the linear model: (n, features) → (n, 1)."""
    inputs = keras.Input((features,))
    return keras.Model(inputs, layers.Dense(1)(inputs), name="linear_regression")


# %% [markdown]
# Exactly? We give both the same weights, and compare the outputs and the gradient of every weight.


# %%
def compare_with_keras(x, y, w, b) -> dict[str, float]:
    """Returns the largest differences between our model and Keras': outputs, gradients."""
    model = make_model(x.shape[1])
    model.set_weights([w, b])
    with tf.GradientTape() as tape:
        y_pred = model(x)
        loss = keras.losses.MeanSquaredError()(y, y_pred)
    theirs = [y_pred, loss, *tape.gradient(loss, model.trainable_variables)]
    ours = [linear(x, w, b), mean_squared_error(y, linear(x, w, b)), *gradient(x, y, w, b)]
    names = ["outputs", "loss", "gradient of w", "gradient of b"]
    differences = [np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)]
    return dict(zip(names, map(float, differences), strict=True))


if __name__ == "__main__":
    x, y = splits.train
    print(compare_with_keras(x, y, w.astype("float32"), b.astype("float32")))

# %% [markdown]
# What is left is rounding: `float32` keeps about seven digits.
#
# ## The loop, written out
#
# A training loop with a tape has four lines: forward, loss, gradient, update. Around them are two
# loops, over epochs and over batches.


# %%
def train_written_out(model, x, y, learning_rate, epochs, batch_size, seed=0):
    """Trains `model` by mini-batch descent; returns the mean loss of each epoch."""
    loss_fn = keras.losses.MeanSquaredError()
    optimizer = keras.optimizers.SGD(learning_rate)
    losses = []
    for epoch in range(epochs):
        order, total = batch_order(seed, epoch, len(x)), 0.0
        for first in range(0, len(x), batch_size):
            rows = order[first : first + batch_size]
            with tf.GradientTape() as tape:
                loss = loss_fn(y[rows], model(x[rows], training=True))
            gradients = tape.gradient(loss, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            total += float(loss) * len(rows)  # a short last batch counts for less
        losses.append(total / len(x))
    return losses


# %% [markdown]
# This is easy to read and slow: Python is asked for every operation of every batch. The loop that
# the other chapters use, `kerasbook.training.fit`, takes the same steps inside one compiled
# function. Read its `make_train_step`: the four lines are there. Do both give the same?


# %%
def compare_loops(epochs=5, learning_rate=0.05, batch_size=32) -> dict[str, float]:
    """Returns the largest differences between the written-out loop and `fit`."""
    x, y = load_auto_mpg(FEATURES).train
    first, second = make_model(x.shape[1]), make_model(x.shape[1])
    second.set_weights(first.get_weights())
    losses = train_written_out(first, x, y, learning_rate, epochs, batch_size)
    history = fit(
        second,
        (x, y),
        loss_fn=keras.losses.MeanSquaredError(),
        optimizer=keras.optimizers.SGD(learning_rate),
        epochs=epochs,
        batch_size=batch_size,
        progress="none",
    )
    weights = [
        np.abs(a - b).max() for a, b in zip(first.get_weights(), second.get_weights(), strict=True)
    ]
    loss_difference = np.abs(np.subtract(losses, history.history["loss"])).max()
    return {"loss": float(loss_difference), "weights": float(max(weights))}


if __name__ == "__main__":
    print(compare_loops())

# %% [markdown]
# ## Result
#
# `main` is the chapter as a program: data, model, loop, scores. The error that we report is the
# mean absolute error on the test part, in miles per gallon, because a reader can picture it.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["auto_mpg"],
    "headline": ["test", "mae"],
    "bounds": {"momentum": [0, 1]},
    "minutes": 1,
}


def main(
    epochs: int = 100,
    batch_size: int = 32,
    learning_rate: float = 0.01,
    momentum: float = 0.9,
    seed: int = 0,
    dataset: Literal["auto_mpg"] = "auto_mpg",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains the linear model on Auto MPG.

    Args:
        epochs: passes over the training part
        batch_size: cars per step
        learning_rate: length of a step
        momentum: share of the last step that is kept
        seed: of the first weights and of the shuffling
        dataset: the only one of this chapter
        examples: use the first so many cars of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    splits = load(dataset, features=FEATURES).take(examples)
    print(splits)

    model = make_model(splits.train.x.shape[1])
    model.summary()
    loss_fn = keras.losses.MeanSquaredError()
    metrics = [keras.metrics.MeanAbsoluteError(name="mae")]
    history = fit(
        model,
        splits.train,
        loss_fn=loss_fn,
        optimizer=keras.optimizers.SGD(learning_rate, momentum),
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
    figures = {
        "history": plotting.plot_history(history, units={"loss": "mpg²", "mae": "mpg"}),
        "predictions": plotting.plot_predictions(
            splits.test.y, predict(model, splits.test.x), unit="mpg"
        ),
        "descent_paths": plot_descent_paths(),
        "learning_rates": plot_learning_rates(),
    }
    return Result(splits, model, history, scores, figures)


# %%
if __name__ == "__main__":
    result = main()
    print(result.scores["test"])

# %% [markdown]
# Over five seeds the mean absolute error on the test part was 2.564 ± 0.007 mpg, mean ± standard
# deviation.
#
# Training and validation loss end close together: a model with nine numbers has no room to learn
# 236 cars by heart. Its errors are of another kind, which the picture shows: at both ends the
# prediction is too low, in the middle too high. The cloud was bent, and a plane cannot bend. The
# next chapter's networks can.
#
# Did the loop arrive? The normal equation says where the lowest training loss is.

# %%
if __name__ == "__main__":
    x, y = splits.train
    best = mean_squared_error(y, linear(x, *normal_equation(x, y)))
    reached = evaluate(result.model, splits.train, loss_fn=keras.losses.MeanSquaredError())
    print(f"lowest possible loss {best:.3f}, reached {reached['loss']:.3f} mpg²")

# %% [markdown]
# ## Would more cars help?
#
# Fit on the first few cars only, then on more and more, and draw the error on these cars and on
# the validation part: a *learning curve*. The fit is the normal equation; each point is the mean of
# 50 choices of cars.


# %%
COUNTS = (12, 15, 20, 30, 50, 80, 120, 180, 236)


def errors_by_cars(splits, counts=COUNTS, choices=50):
    """Returns (2, counts): the mean squared errors on the cars fitted to, and on the validation."""
    random, errors = np.random.default_rng(0), np.zeros((2, len(counts)))
    for place, count in enumerate(counts):
        for _ in range(choices):
            rows = random.permutation(len(splits.train.x))[:count]
            few = splits.train.x[rows], splits.train.y[rows]
            w, b = normal_equation(*few)
            for kind, (x, y) in enumerate((few, splits.validation)):
                errors[kind, place] += mean_squared_error(y, linear(x, w, b)) / choices
    return errors


if __name__ == "__main__":
    errors = dict(zip(("training", "validation"), errors_by_cars(splits), strict=True))
    labels = {"x_label": "cars", "y_label": "mean squared error (mpg²)", "log": True}
    plotting.plot_lines(errors, x=COUNTS, **labels)

# %% [markdown]
# Twelve cars and nine numbers to choose: the plane runs through nearly all of them, and is far off
# elsewhere. From about a hundred cars on the two curves meet, and lie level. More cars of this kind
# would not help; another model might.

# %% [markdown]
# ## What to try
#
# - `--learning-rate 1`: the loss becomes infinite, and the loop says at which step and why.
# - `--batch-size 1` and `--batch-size 236`: how do the curves differ, and how long does each take?
# - Add the square of each feature as a feature. How low does the test error get?
# - Leave out `model_year`. What else must have changed between 1970 and 1982?
#
# ## What the articles got wrong here
#
# - The gradient of $\frac1{2m}\sum(h-y)^2$ is printed with the $\delta$ of another loss and with
#   $x$ twice. The right form is $\frac1m\sum(h-y)\,\partial h/\partial\theta$; the printed one
#   fails the finite-difference check above.
# - Linear regression is introduced as deep learning. It is one layer, and not deep.
# - A loop that takes the gradient of all data once per epoch is called SGD. It is batch gradient
#   descent; the three kinds differ as the paths above show.
# - `lr=` is not an argument of a Keras 3 optimizer: it is `learning_rate=`. And a Keras loss is
#   called as `loss_fn(y_true, y_pred)`; for the squared error the order does not show, for others
#   it does.
# - One validation set serves both to choose and to report. We keep a test part for the report.

# %% [markdown]
# ## Exercises
#
# Six exercises go with this chapter. `kerasbook start DIR` copies their stubs, and the notebooks,
# into a folder; `kerasbook check` says which of your answers are right, and what to look at in the
# others.
#
# ## Where to go next
#
# Chapter 2 puts a bend behind the weighted sum. With one bend the line becomes a classifier, with
# several layers a network that can follow the cloud of the first picture. The gradient check, the
# loop and the four lines of its step go along.
