# %% [markdown]
"""
# Chapter 1. Linear regression

How far does a car go on a gallon of petrol? Draw a straight line through what is known of 392
cars, and it answers for the next one. This is the smallest network there is: one layer, one unit.
Yet all that a deep network needs is already here: a model, a loss, a gradient, a step downhill,
and a test on data that the model has not seen.

After this chapter you can

- derive the gradient of a squared error, and check it in two ways;
- choose a learning rate, and say why features are scaled;
- tell batch, mini-batch and stochastic descent apart, and say what momentum is for;
- write a training loop with `GradientTape` that does what `model.fit` does;
- read a weight, with care;
- tell a model that is too stiff from one that is too loose, and loosen or hold it.

You need Python and a little NumPy, and you should know what a derivative is.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter1`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter1")

# %% [markdown]
# ## A line through a cloud
#
# Each point below is one of 236 cars of the years 1970 to 1982 (the others are kept for later): its
# power, in horsepower (hp), and how many miles it goes on a gallon (mpg). More power, fewer miles.
# Before you run the cells, guess: how far does a car of 100 hp go? And how many miles does it cost
# to have ten horsepower more?

# %% tags=["hide-input"]
import inspect
from typing import Literal

from kerasbook import plotting
from kerasbook.data import load, load_auto_mpg
from kerasbook.runner import Result
from kerasbook.testing.compare import largest_difference, largest_differences
from kerasbook.training import batch_order, evaluate, fit, make_train_step, predict

import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers
from numpy.polynomial import Polynomial

LABELS = {"x_label": "power (hp)", "y_label": "fuel economy (mpg)"}

# %% alt="Fuel economy against power of 236 cars, and a falling straight line through them; a thin grey stroke joins each car to the line. Among the weakest and the strongest cars most lie above the line, in the middle most lie below it." tags=["cover"]
if __name__ == "__main__":
    cars = load_auto_mpg(("horsepower",), standardise=False)
    slope, bias = np.polyfit(cars.train.x[:, 0], cars.train.y[:, 0], 1)
    plotting.plot_fit(*cars.train, {"line": lambda x: slope * x + bias}, residuals=True, **LABELS)
    print(f"{bias:.1f} mpg {slope:+.3f} mpg/hp: {bias + 100 * slope:.1f} mpg at 100 hp")

# %% [markdown]
# The line has two numbers, a **bias** (its height at 0 hp) and a **slope**. A prediction is read
# off it. The grey strokes are the **residuals**, what the prediction is short of the truth or
# beyond it, and NumPy has found the line for which the squares of all strokes add up to least. In
# this chapter we find it ourselves, in the way in which networks find their numbers. The way is the
# point: for a line there is a formula, and for a network there is none.
#
# Look at the strokes once more. To the left, below about 73 hp, four of five cars lie above the
# line, and so do the few strongest cars; in the middle most lie below it. The cloud is bent, and no
# line can follow it; we come back to that.
#
# ## What is a good line?
#
# A model makes predictions, and a **loss** says how bad they are, in one number. With $d$ features,
# such as power and mass, the model is a weighted sum and a bias,
#
# $$\hat y = w_1 x_1 + \dots + w_d x_d + b ,$$
#
# The $w_j$ are called **weights**; with a single feature the weight is the slope. Weights and bias
# together are the **parameters**, the numbers that are to be found. (One feature is what a car
# weighs. To keep the two apart, the text calls that the car's mass.) The loss is the mean of the
# squared errors of $n$ cars,
#
# $$L = \frac1n \sum_{i=1}^n (\hat y_i - y_i)^2 .$$
#
# For all cars at once: `x` has the shape (n, d), a row for each car, `w` (d, 1), `b` (1,), and the
# predictions (n, 1).


# %%
def linear(x, w, b):
    """Returns the predictions (n, 1) for x (n, d), w (d, 1), b (1,)."""
    return x @ w + b


def mean_squared_error(y, y_pred):
    """Returns the mean of (y_pred − y)², a scalar, for y and y_pred (n, 1)."""
    return np.mean((y_pred - y) ** 2)


# %% [markdown]
# How much better is the line than no line? Somebody who knows nothing of a car can still say the
# mean of all cars. The loss of that guess is the variance of the target, and it is the number to
# beat. (`float32`, in which the data come, keeps about seven digits. For the checks of this chapter
# we want sixteen.)


# %%
def in_float64(part):
    """Returns x (n, d) and y (n, 1) of a part of the data, with sixteen digits."""
    return part.x.astype("float64"), part.y.astype("float64")


if __name__ == "__main__":
    x, y = in_float64(cars.train)
    of_line = linear(x, np.array([[slope]]), np.array([bias]))
    print(f"the mean for every car: {mean_squared_error(y, y.mean()):.1f} mpg²")
    print(f"the line:               {mean_squared_error(y, of_line):.1f} mpg²")

# %% [markdown]
# And now a trap. The targets are a column, (n, 1). What if they were (n,), as many files have them?
# An error message, or the same number? Guess first.

# %%
if __name__ == "__main__":
    print(f"the same line, y of shape (n,): {mean_squared_error(y[:, 0], of_line):.1f} mpg²")
    print("shape of the difference:", (of_line - y[:, 0]).shape)

# %% [markdown]
# Neither. From (n, 1) and (n,) NumPy, and TensorFlow too, makes (n, n): every prediction minus
# every target. The loss is wrong, without a word. A model trained on it would learn to say the mean
# for every car, because each prediction is pulled towards all targets alike.
#
# *Exercises: `huber_loss`, a loss that bears outliers, targets far off all others; `robust_fit`, a
# line where some targets are wrong. (`kerasbook start DIR` copies the stubs of all exercises into a
# folder, and `kerasbook check` says which answers are right.)*
#
# ## Which way is downhill?
#
# Begin with slope 0 and bias 0: every car goes 0 miles. We may change either by 1. Which of the two
# changes makes the loss smaller, and which does more? (The power is standardised from here on: mean
# 0, standard deviation 1. The slope is then mpg per standard deviation. Why, is seen below.)

# %%
if __name__ == "__main__":
    x, y = in_float64(load_auto_mpg(("horsepower",)).train)
    for w, b in ((0, 0), (1, 0), (-1, 0), (0, 1)):
        loss = mean_squared_error(y, x * w + b)
        print(f"slope {w:2}, bias {b}: loss {loss:.1f}")

# %% [markdown]
# The bias does most, because all predictions are too low. Trying out works for two numbers. A
# network may have millions, so we ask for derivatives. Take one car and its squared error,
# $(w x + b - y)^2$. By the chain rule its derivative by $w$ is that of the square, $2 (w x + b -
# y)$, times that of what is inside, $x$; by $b$ the inside has the derivative 1. A car with $x = 2$
# whose prediction is 10 mpg too low has $2 \cdot (-10) \cdot 2 = -40$ and $-20$: raise $w$ and the
# error falls. Over all cars it is the mean, and with several features there is a derivative for
# each weight (the sign $\partial$ says: by this one, while the others stay):
#
# $$\frac{\partial L}{\partial w_j} = \frac2n \sum_i (\hat y_i - y_i)\, x_{ij},
# \qquad \frac{\partial L}{\partial b} = \frac2n \sum_i (\hat y_i - y_i) .$$
#
# In words: a weight is to blame for an error as far as its feature took part in it. All derivatives
# together are the **gradient**. Where one of them is positive, a larger weight makes a larger loss:
# the gradient points uphill, and we go the other way.


# %%
def gradient(x, y, w, b):
    """Returns the gradients of the mean squared error: (d, 1) for w and (1,) for b."""
    error = linear(x, w, b) - y  # (n, 1)
    return 2 * x.T @ error / len(x), 2 * error.mean(axis=0)


# %% [markdown]
# Often the loss is written with a half, $\frac1{2n}\sum_i(\hat y_i - y_i)^2$, so that the 2 goes
# away. Then the gradient is half of ours, and the learning rate must be twice as large to do the
# same. When two programs disagree by a factor of 2, look here first.
#
# A derived gradient should be checked, and the first check needs nothing but the loss: move one
# weight a little up, then a little down, and see how the loss changes.


# %%
def numerical_gradient(loss, w, step=1e-5):
    """Returns the gradient of `loss(w)`, in the shape of w, by central differences."""
    slopes = np.zeros_like(w)
    for index in np.ndindex(w.shape):  # (0, 0), (1, 0), …: the place of each weight in turn
        nudge = np.zeros_like(w)
        nudge[index] = step
        slopes[index] = (loss(w + nudge) - loss(w - nudge)) / (2 * step)
    return slopes


# %% [markdown]
# How small should a step be? Try a tiny one, a small one and a huge one.

# %%
if __name__ == "__main__":
    w, b = np.array([[1.0]]), np.array([20.0])
    by_hand, _ = gradient(x, y, w, b)
    for step in (1e-8, 1e-5, 10):
        slopes = numerical_gradient(lambda w: mean_squared_error(y, linear(x, w, b)), w, step)
        print(f"step {step:g}: relative difference {np.abs(slopes / by_hand - 1).max():.0e}")

# %% [markdown]
# The huge step is the best! For a parabola, $((w + s)^2 - (w - s)^2) / 2s = 2w$ whatever $s$ is:
# the slope is exact for any step. What remains is rounding, and that is less for a large step. The
# loss of a network is no parabola, and there a large step would be wrong; something like the
# default, $10^{-5}$, is a fair choice.
#
# The second check is TensorFlow's. A `GradientTape` records what is computed, and plays it back
# with the chain rule.


# %%
def tape_gradient(x, y, w, b):
    """Returns the gradients for w and b by automatic differentiation."""
    w, b = tf.Variable(w), tf.Variable(b)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((tf.matmul(x, w) + b - y) ** 2)
    return tape.gradient(loss, [w, b])


if __name__ == "__main__":
    difference = largest_difference(gradient(x, y, w, b), tape_gradient(x, y, w, b))
    print(f"2 gradients equal to the tape's, largest difference {difference:.0e}")

# %% [markdown]
# *Exercise: `weighted_gradient` (five minutes), where some cars count more than others.*
#
# ## The first steps
#
# **Gradient descent** repeats one line of code: go a small step against the gradient. The length of
# the step is the gradient times the **learning rate** $\eta$:
#
# $$w \leftarrow w - \eta \frac{\partial L}{\partial w}, \qquad
# b \leftarrow b - \eta \frac{\partial L}{\partial b} .$$


# %%
def first_steps(x, y, learning_rate, steps):
    """Returns (steps + 1, 2): slope and bias, zero at first, after each step of descent."""
    w, b = np.zeros((1, 1)), np.zeros(1)
    path = [[0.0, 0.0]]
    for _ in range(steps):
        gradient_w, gradient_b = gradient(x, y, w, b)
        w, b = w - learning_rate * gradient_w, b - learning_rate * gradient_b
        path.append([w[0, 0], b[0]])
    return np.array(path)


# %% [markdown]
# Here are the lines of the first ten steps, from light to dark, for three learning rates. The
# dashed one is the start. What will happen with a rate of 1.05?

# %% alt="Three panels with the same cars and the lines of ten steps. With a rate of 0.02 the lines creep up from zero and stay below the cars; with 0.2 they are in the cloud after a few steps; with 1.05 they jump far above the cars and back to below zero, farther each time."
if __name__ == "__main__":
    paths = {f"learning rate {rate:g}": first_steps(x, y, rate, 10) for rate in (0.02, 0.2, 1.05)}
    labels = {"x_label": "power (std)", "y_label": "fuel economy (mpg)"}
    plotting.plot_first_lines(x, y, paths, y_range=(-20, 60), **labels)
    for name, path in paths.items():
        print(f"{name}: bias after each step {path[:6, 1].round(1)}")

# %% [markdown]
# Too small, and the lines creep. Too large, and each step lands on the other side of the goal, a
# little farther off than before, and so on without end.
#
# Where lies the border? Take one weight alone. The loss is a parabola over it, and its second
# derivative is one number, $\lambda = \frac2n \sum_i x_i^2$, the **curvature**: how fast the
# gradient changes. At a distance $e$ from the lowest point the gradient is $\lambda e$, so a step
# makes of $e$
#
# $$e - \eta \lambda e = (1 - \eta\lambda)\, e .$$
#
# That shrinks if the factor lies between −1 and 1, which means $\eta < 2/\lambda$. With several
# weights the loss is a valley, which has a curvature along each of its main directions, and the
# largest of them sets the border for all. NumPy finds them. (They are the eigenvalues of $\frac2n
# X^\top X$, where $X$ is `x` with a column of ones for the bias. You need not know more of them
# than that they say how steep the valley is.)


# %%
def curvatures(x):
    """Returns the (d + 1,) curvatures of the mean squared error, the smallest first."""
    with_ones = np.hstack([x, np.ones((len(x), 1))])
    return np.linalg.eigvalsh(2 * with_ones.T @ with_ones / len(x))


def largest_learning_rate(x):
    """Returns 2 / λ, above which batch gradient descent on the mean squared error diverges."""
    return 2 / curvatures(x)[-1]


if __name__ == "__main__":
    print(
        f"curvatures {curvatures(x).round(6)}, largest learning rate {largest_learning_rate(x):.3f}"
    )

# %% [markdown]
# One standardised feature and a bias have the same curvature twice, 2, so the limit is 1, and a
# rate of 0.5 would arrive in a single step. With more features it is not so easy: that is the story
# of the next sections.
#
# *Exercise: `row_step` (five minutes), one step of descent on some of the rows.*
#
# ## All cars, sixteen, or one
#
# Must a step look at all cars? The gradient is a mean, and a mean can be estimated from a few. How
# many are looked at makes the three names of descent:
#
# - **batch** gradient descent: all of them. The direction is exact, and the step costs the most.
# - **stochastic** gradient descent: one. The step is cheap, and its direction a guess.
# - **mini-batch**: some, say 16 to 256. It is what is used in practice, and what people mostly mean
#   when they say SGD.
#
# An **epoch** is one pass over all rows, in a new order each time. `batch_order(seed, epoch, rows)`
# gives the order, so that a run can be repeated. (The `velocity` belongs to the next section; with
# a momentum of 0 it is just the step.)


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
    return np.array([w for w, _ in path]), np.array([b for _, b in path])


# %% [markdown]
# Where must they all arrive? For a squared error we can compute it. At the lowest point the
# gradient is zero, and that is a system of linear equations, the **normal equation**. We let NumPy
# solve it by least squares; inverting $X^\top X$ loses digits when two features are alike.


# %%
def normal_equation(x, y):
    """Returns the w (d, 1) and b (1,) with the smallest mean squared error."""
    with_ones = np.hstack([x, np.ones((len(x), 1))])
    solution, *_ = np.linalg.lstsq(with_ones, y, rcond=None)
    return solution[:-1], solution[-1]


if __name__ == "__main__":
    goal_w, goal_b = normal_equation(x, y)
    slopes = np.vstack(gradient(x, y, goal_w, goal_b))
    print(
        f"slope {goal_w[0, 0]:.2f}, bias {goal_b[0]:.2f}; gradient there {np.abs(slopes).max():.0e}"
    )

# %% [markdown]
# With two parameters the loss is a surface, which we can draw as a map: a line joins places of
# equal loss, and each method is a path. All three start at zero, on the left. The fewer cars a step
# looks at, the smaller we make its learning rate, and the fewer epochs it needs; both stand in the
# cell. Which of the three will come to rest?


# %% tags=["hide-input"]
def plot_valley(loss, paths, goal, height, **labels):
    """Returns an Axes: the loss over two parameters, and paths (steps, 2) on it; equal scales."""
    _, ax = plt.subplots(figsize=(6.6, height), layout="constrained")
    plotting.plot_loss_surface(loss, paths, minimum=goal, **labels, ax=ax)
    ax.set_aspect("equal")
    return ax


def loss_of(columns, y):
    """Returns the mean squared error as a function of the weights, one for each column (n,)."""

    def loss(*weights):
        terms = [np.multiply.outer(w, column) for w, column in zip(weights, columns, strict=True)]
        return np.mean((sum(terms) - y[:, 0]) ** 2, axis=-1)

    return loss


# %% alt="Map of the loss over bias and slope, with round contours around the minimum. Batch descent runs straight to it; the path of mini-batches comes near on a slightly bent way; the stochastic path staggers all along."
if __name__ == "__main__":
    kinds = {
        "batch": (0.1, 30, len(x)),
        "mini-batch of 16": (0.05, 3, 16),
        "stochastic": (0.01, 1, 1),
    }
    paths = {name: np.column_stack(descend(x, y, *kind)[::-1]) for name, kind in kinds.items()}
    loss, goal = loss_of([np.ones(len(x)), x[:, 0]], y), (goal_b[0], goal_w[0, 0])
    plot_valley(loss, paths, goal, 2.9, x_label="bias (mpg)", y_label="slope (mpg per std)")

# %% [markdown]
# Batch descent runs straight to the lowest point, and stops there. The stochastic path staggers,
# and never quite rests: with a constant learning rate it goes on jumping around the goal. The
# mini-batch lies between the two.
#
# *Exercise: `fixed_batches`, an epoch in batches of one size.*
#
# ## A canyon
#
# Straight to the lowest point, always? Only because this valley is round: both directions have the
# same curvature. Take two features, mass and power, in units that are at hand, thousands of
# pounds and tens of horsepower. Heavy cars have strong engines, so the two go together. (Both and
# the target are taken minus their means, so that the bias is 0 and there are two parameters to
# draw.)

# %%
if __name__ == "__main__":
    two = load_auto_mpg(("weight", "horsepower"), standardise=False)
    x, y = in_float64(two.train)
    x, y = (x - x.mean(axis=0)) / [1000, 10], y - y.mean()
    steep, flat = curvatures(x)[-1], curvatures(x)[0]
    print(f"correlation {np.corrcoef(x.T)[0, 1]:.2f}, curvatures {steep:.1f} and {flat:.2f}")
    print(f"condition number {steep / flat:.0f}")

# %% [markdown]
# The valley is a canyon, steep one way and flat the other. The **condition number** says how many
# times steeper. Which way will descent take from the rim to the lowest point, with a rate a little
# below its limit?
#
# And what would a ball do, which does not stop and look after each step, but rolls on? **Momentum**
# keeps a share $\beta$ of the last step, the velocity $v$:
#
# $$v \leftarrow \beta v - \eta \frac{\partial L}{\partial w}, \qquad w \leftarrow w + v .$$


# %%
def cross(x, y, momentum, share=0.9, steps=100):
    """Returns the weights (steps + 1, d) of batch descent at a share of its largest rate."""
    rate = share * largest_learning_rate(x)
    return descend(x, y, rate, steps, len(x), momentum)[0]


def plot_canyon(x, y, momenta, height, **labels):
    """Returns an Axes: descent with each momentum over the two weights of x (n, 2)."""
    paths = {f"momentum {momentum:g}": cross(x, y, momentum) for momentum in momenta}
    goal = normal_equation(x, y)[0][:, 0]
    return plot_valley(loss_of(x.T, y), paths, goal, height, **labels)


# %% alt="Map of the loss over two weights: contours drawn out into a long narrow canyon. Without momentum descent zigzags from wall to wall in small strides along it; with momentum it swings too, but in long strides, and has reached the minimum."
if __name__ == "__main__":
    labels = {"x_label": "mass's w (mpg per 1000 lb)", "y_label": "power's w (mpg per 10 hp)"}
    plot_canyon(x, y, (0.0, 0.8), height=3.9, **labels)


# %%
def steps_needed(x, y, path):
    """Returns how many steps of the path (steps + 1, d) bring the loss to 1.01 times the lowest."""
    losses = np.array([mean_squared_error(y, linear(x, w[:, np.newaxis], 0)) for w in path])
    lowest = mean_squared_error(y, linear(x, *normal_equation(x, y)))
    return 1 + np.flatnonzero(losses > 1.01 * lowest)[-1]


if __name__ == "__main__":
    for momentum in (0.0, 0.8):
        print(f"momentum {momentum}: {steps_needed(x, y, cross(x, y, momentum))} steps")

# %% [markdown]
# Descent zigzags. It leaps from wall to wall, where the gradient is large, and creeps along the
# bottom, where it is small. A smaller rate would stop the leaping, and creep even more. Momentum
# leaps too; but steps from wall to wall have opposite signs and cancel in $v$, while those along
# the bottom add up. So it needs about a third of the steps. (They are counted until the loss stays
# within one per cent of the lowest. The path without momentum is then still beside the star: on so
# flat a bottom that costs hardly any loss.)
#
# *Exercise: `nesterov`, a ball that looks ahead.*
#
# ## Why features are scaled
#
# The other way out is to change the valley. **Standardise** each feature: subtract its mean and
# divide by its standard deviation, both measured on the training part alone. Will the canyon be
# round?

# %% alt="Map of the loss over the two weights of standardised features: the contours are still drawn out, along a diagonal, but far less. Descent without momentum swings across, less each time, and ends at the minimum."
if __name__ == "__main__":
    x = x / x.std(axis=0)
    labels = {"x_label": "mass's w (mpg per std)", "y_label": "power's w (mpg per std)"}
    plot_canyon(x, y, (0.0,), height=4.2, **labels)
    print(f"condition number {curvatures(x)[-1] / curvatures(x)[0]:.0f}")
    for momentum in (0.0, 0.8):
        print(f"momentum {momentum}: {steps_needed(x, y, cross(x, y, momentum))} steps")

# %% [markdown]
# Rounder, and not round: the features still go together, and no scaling of one at a time can undo
# that. But descent alone is now faster than momentum was before. And this momentum, which helped in
# the canyon, is here a hindrance: it makes the ball run past the goal.
#
# With all eight features that we shall use it is the same story, writ large. Mass is counted in
# thousands, acceleration in tens.

# %%
FEATURES = (
    *("cylinders", "displacement", "horsepower", "weight", "acceleration", "model_year"),
    *("Europe", "Japan"),
)

if __name__ == "__main__":
    for name, scaled in (("as measured", False), ("standardised", True)):
        x, _ = in_float64(load_auto_mpg(FEATURES, standardise=scaled).train)
        condition = curvatures(x)[-1] / curvatures(x)[0]
        print(f"{name:12}: largest rate {largest_learning_rate(x):.2g}, condition {condition:,.0f}")

# %% [markdown]
# What does that mean in steps? At half the limit, $\eta = 1/\lambda_\text{max}$, a step leaves
# $1 - \lambda_\text{min}/\lambda_\text{max} = 1 - 1/\kappa$ of the distance along the flattest
# direction, where $\kappa$ is the condition number. After $\kappa$ steps that is $(1 -
# 1/\kappa)^\kappa \approx 1/e$, little more than a third. In the units of the file these are eight
# thousand million steps. Standardised, $\kappa$ is still above a hundred, which is why the program
# at the end has momentum.
#
# And is $2/\lambda$ truly the border? Four rates, two of them just beside it:


# %%
def plot_learning_rates(shares=(0.01, 0.5, 0.98, 1.02), steps=60, ax=None):
    """Returns an Axes: the loss per step for four shares of the largest learning rate."""
    x, y = in_float64(load_auto_mpg(FEATURES).train)
    series = {}
    for share in shares:
        w, b = descend(x, y, share * largest_learning_rate(x), steps, len(x))
        series[f"{share:g} × limit"] = np.mean((x @ w.T + b - y) ** 2, axis=0)
    labels = {"x_label": "steps", "y_label": "mean squared error (mpg²)"}
    return plotting.plot_lines(series, x=np.arange(steps + 1), **labels, log=True, ax=ax)


# %% alt="Loss against steps on a log scale for four learning rates: at 0.01 of the limit it falls slowly, at 0.5 of it soon, at 0.98 it arrives at the same level later, and at 1.02 it turns after a few steps and rises."
if __name__ == "__main__":
    plot_learning_rates()

# %% [markdown]
# It is. The learning rate spoils many first attempts, so try three of them, each ten times the
# last, before you doubt the model.
#
# *Exercise: `standardise` (five minutes), for cars that were not measured.*
#
# ## Three parts, eight features
#
# Now the whole data. The cars are shuffled once and cut into three parts. The **training** part
# sets the weights. The **validation** part helps us to choose, between models or learning rates.
# The **test** part is looked at once, at the end, for the score that we report. Had we chosen by
# it, the score would be too good: of many choices the luckiest looks best.

# %%
if __name__ == "__main__":
    splits = load_auto_mpg(FEATURES)
    print(splits)
    measured = load_auto_mpg(FEATURES, standardise=False)
    for name, value, scaled in zip(FEATURES, measured.train.x[0], splits.train.x[0], strict=True):
        print(f"{name:12} {value:6.0f}, standardised {scaled:+.1f}")

# %% [markdown]
# The origin of a car is one of three regions, the USA, Europe or Japan. As a number, 1, 2 or 3, it
# would claim that Japan is three times the USA; so each region is a column of zeros and ones. But
# three such columns add up to 1 in every row, which is what the bias does already, and then many
# weights give the same predictions. We leave the first region out.
#
# What do the weights say? The normal equation has them at once. They are for standardised features,
# so each is the miles per gallon that one standard deviation of its feature makes, while all other
# features stay. (For a region, a column of zeros and ones, divide by its standard deviation: then
# it is what a car of that region has over an American one.) Guess the signs: mass, model year,
# displacement (the size of the engine).

# %%
if __name__ == "__main__":
    w, b = normal_equation(*in_float64(splits.train))
    for weight, name in sorted(zip(w[:, 0], FEATURES, strict=True)):
        print(f"{name:13}{weight:+.1f} mpg per standard deviation")
    print(f"{'bias':13}{b[0]:+.1f} mpg")
    first_car = linear(splits.train.x[:1], w, b)[0, 0]
    print(f"the car above: predicted {first_car:.1f} mpg, true {splits.train.y[0, 0]:.1f} mpg")

# %% [markdown]
# A heavy car goes less far, and a later model farther: these were the years of the oil crises. So
# far the weights agree with what one knows. But a larger engine for *more* miles? One weight read
# by itself does not tell what its feature does. Displacement, cylinders, power and mass go
# together, in a canyon: along its bottom one weight can be raised and another lowered, and the
# predictions hardly change. Leave one of these features out, and the weights of the others take
# over.

# %%
if __name__ == "__main__":
    x, y = in_float64(splits.train)
    alone = normal_equation(x[:, [1]], y)[0][0, 0]
    kept = [number for number, name in enumerate(FEATURES) if name != "weight"]
    without = normal_equation(x[:, kept], y)[0][1, 0]
    print(f"displacement's w {w[1, 0]:+.1f}; with no mass {without:+.1f}; alone {alone:+.1f}")

# %% [markdown]
# A prediction for cars like these is not harmed by that, an explanation is.
#
# ## The same in Keras
#
# In Keras a **layer** is an object that holds parameters and computes with them. `Dense(1)` has one
# unit, one weighted sum of all features and a bias. It is called on an `Input`, which stands for
# rows that are still to come, and `Model` notes the way from the input to the output. (An
# activation, of which chapter 2 tells, would be one more function behind the sum; by default there
# is none.)


# %%
def make_model(features: int) -> keras.Model:
    """Returns the linear model: (n, features) → (n, 1)."""
    inputs = keras.Input((features,))
    return keras.Model(inputs, layers.Dense(1)(inputs), name="linear_regression")


# %% [markdown]
# Exactly? Both get the same weights, and the predictions, the loss and the gradient of each weight
# are compared.


# %% tags=["hide-input"]
def compare_with_keras(x, y, w, b) -> dict[str, float]:
    """Returns the largest differences between our model and Keras': outputs, gradients."""
    model = make_model(x.shape[1])
    model.set_weights([w, b])
    with tf.GradientTape() as tape:
        y_pred = model(x)
        loss = keras.losses.MeanSquaredError()(y, y_pred)
    theirs = [y_pred, loss, *tape.gradient(loss, model.trainable_variables)]
    ours = [linear(x, w, b), mean_squared_error(y, linear(x, w, b)), *gradient(x, y, w, b)]
    return largest_differences(["outputs", "loss", "gradient of w", "gradient of b"], ours, theirs)


if __name__ == "__main__":
    start = np.random.default_rng(0).normal(size=(len(FEATURES), 1)).astype("float32")
    found = compare_with_keras(*splits.train, start, np.zeros(1, "float32"))
    worst = max(found.values())
    print(f"{len(start) + 1} gradients, loss and outputs: largest difference to Keras {worst:.0e}")

# %% [markdown]
# What is left is rounding in `float32`, of a loss of several hundred.
#
# ## The loop, written out
#
# A training step has four lines: forward, loss, gradient, update. Around them are two loops, over
# epochs and over batches.


# %%
def train_written_out(model, x, y, learning_rate, epochs, batch_size, seed=0):
    """Trains `model` by mini-batch descent; returns the mean loss of each epoch."""
    loss_fn, optimizer = keras.losses.MeanSquaredError(), keras.optimizers.SGD(learning_rate)
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
# function. This is its step:

# %%
if __name__ == "__main__":
    print(inspect.getsource(make_train_step))

# %% [markdown]
# The four lines are there. (The rest is for penalties, which come at the end of this chapter, and
# for numbers of 16 bits, which come in chapter 9.) Do both loops give the same?


# %% tags=["hide-input"]
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
    return {
        "weights": largest_difference(first.get_weights(), second.get_weights()),
        "loss": largest_difference(losses[: len(history.epoch)], history.history["loss"]),
    }


if __name__ == "__main__":
    for name, difference in compare_loops().items():
        print(f"{name} after 5 epochs: largest difference {difference:.0g}")

# %% [markdown]
# The weights are the same. The losses differ far behind the point: our loop adds them up with
# Python's sixteen digits, and `fit` with the seven of `float32`. (Add up in `np.float32`, and that
# difference is 0 too.)
#
# *Exercise: `quantile_step`, the same four lines with another loss.*
#
# ## Result
#
# `main`, folded here, is the chapter as a program: data, model, loop, scores. It takes mini-batches
# of 32, a learning rate of 0.01 and a momentum of 0.9, for thirty epochs. The error that it reports
# is the mean absolute error (mae), in miles per gallon, because one can picture it. The loss
# squares large errors, the mae does not.


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["auto_mpg"],
    "headline": ["test", "mae"],
    "unit": "miles per gallon",
    "bounds": {"momentum": [0, 1]},
    "minutes": 1,
}


def main(
    epochs: int = 30,
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
    options = {"features": FEATURES} if dataset == "auto_mpg" else {}  # of --data: all columns
    splits = load(dataset, **options).take(examples)
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
    return Result(splits, model, history, scores, draw(history, model, splits))


def draw(history, model, splits) -> dict:
    """Returns the figures of a run: its loss by epoch, and the predictions for the test part."""
    unit = "mpg" if splits.name == "auto_mpg" else splits.target
    (loss,) = plotting.plot_history(history, metric="loss", units={"loss": f"{unit}²"})
    loss.set_yscale("log")
    y_pred = predict(model, splits.test.x)
    predictions = plotting.plot_predictions(splits.test.y, y_pred, unit=unit)
    return {"history": loss, "predictions": predictions}


# %%
if __name__ == "__main__":
    result = main()
    plt.close("all")  # the pictures follow one by one
    print(f"test mean absolute error {result.scores['test']['mae']:.2f} mpg")

# %% alt="Training and validation loss of thirty epochs on a log axis: both fall from a few hundred to about eleven within eight epochs, the validation loss with a bump at the third, and stay level and close together."
if __name__ == "__main__":
    result.figures["history"].figure

# %% [markdown]
# Over five seeds the mean absolute error on the test part was 2.571 ± 0.032 mpg, mean ± standard
# deviation.
#
# The star marks the lowest validation loss. Why does that loss, the dashed curve, have a bump in
# the third epoch? It is momentum. All predictions begin too low, so step after step pushes the bias
# up, and the ball is fast when it passes the goal. `descend` takes steps of the same kind, and
# tells the bias at the end of each epoch:

# %%
if __name__ == "__main__":
    x, y = in_float64(splits.train)
    for momentum in (0.9, 0.0):
        _, b = descend(x, y, 0.01, epochs=8, batch_size=32, momentum=momentum)
        print(f"momentum {momentum}: {b[8::8].round(1)}, goal {y.mean():.1f}")

# %% [markdown]
# Without momentum there is no bump, and after eight epochs the bias is not there yet.
#
# Did the loop arrive? The normal equation says where the lowest training loss is.

# %%
if __name__ == "__main__":
    lowest = mean_squared_error(y, linear(x, *normal_equation(x, y)))
    reached = mean_squared_error(y, predict(result.model, splits.train.x))
    print(f"lowest possible loss {lowest:.2f}, reached {reached:.2f} mpg²")

# %% [markdown]
# Nearly: with a constant learning rate mini-batches go on jumping around the goal. And what kind of
# errors does the best plane make? Guess, with the first picture in mind.

# %% alt="Predicted against true fuel economy of the test cars, with the diagonal: the cars that go farthest, beyond 37 mpg, all lie below it."
if __name__ == "__main__":
    result.figures["predictions"].figure

# %% [markdown]
# Sort the training cars by their prediction, cut them into five groups, and take the mean of the
# true minus the predicted in each. It should be 0 in all five. Is it, on the very cars that the
# plane was fitted to?

# %%
if __name__ == "__main__":
    y_pred = linear(x, *normal_equation(x, y))
    fifths = np.array_split((y - y_pred)[np.argsort(y_pred[:, 0])], 5)
    print("true − predicted:", ", ".join(f"{fifth.mean():+.1f}" for fifth in fifths), "mpg")

# %% [markdown]
# No. At both ends the predictions are too low, and in the middle too high. The cloud is bent, and a
# plane cannot bend. No training helps, because no choice of its nine numbers has a lower loss: the
# model is too stiff. This is **underfitting**.
#
# ## Too stiff, too loose
#
# A curve can bend. Back to one feature, and to the first thirty cars alone. A polynomial of degree
# 2 has three numbers, $b + w_1 x + w_2 x^2$; it is still linear regression, with $x$ and $x^2$ as
# the features. Why not degree 12? Which of the three is nearest to its thirty cars, and which would
# you trust with the next car?

# %% alt="Thirty cars and three fitted curves: a straight line, a parabola that bends a little, and a curve of degree 12 that swings wildly between the cars and out of the picture."
if __name__ == "__main__":
    few = cars.take(30).train
    curves = {f"degree {d}": Polynomial.fit(few.x[:, 0], few.y[:, 0], d) for d in (1, 2, 12)}
    plotting.plot_fit(*few, curves, **LABELS)

# %%
if __name__ == "__main__":
    for name, curve in curves.items():
        errors = [mean_squared_error(y, curve(x)) for x, y in (few, cars.validation)]
        print(f"{name:9}: on its 30 cars {errors[0]:.1f}, on the 78 of validation {errors[1]:.1f}")

# %% [markdown]
# The more a curve can bend, the nearer it comes to its cars; that much is sure. The parabola serves
# the other cars better than the line, and degree 12 is lost on them, most of all on a car of 210
# hp, stronger than any that it was fitted to: it has bent itself around single cars, chance and
# all. This is **overfitting**. One sees it by comparing the error on the cars that were fitted with
# the error on others.
#
# ## Would more cars help?
#
# It depends on which of the two one suffers from. Take two models: the plane of eight features,
# with nine numbers, and the same with all squares and products as further features, $8 + 36$ and
# the bias. Fit each of them on a few cars, then on more and more, and draw its errors: a **learning
# curve**. Each point is the median of fifty choices of cars at random.


# %%
def with_products(x):
    """Returns x (n, d) with the square of each column and the product of every two beside it."""
    first, second = np.triu_indices(x.shape[1])
    return np.hstack([x, x[:, first] * x[:, second]])


# %%
COUNTS = (20, 30, 42, 50, 80, 120, 150, 180, 210, 236)


def errors_by_cars(splits, counts=COUNTS, choices=50, expand=np.asarray):
    """Returns (2, counts): the mean squared errors on the cars fitted to, and on the validation."""
    random, errors = np.random.default_rng(0), np.zeros((2, len(counts), choices))
    x, y = in_float64(splits.train)
    for place, count in enumerate(counts):
        for choice in range(choices):
            rows = random.permutation(len(x))[:count]
            few = x[rows], y[rows]
            w, b = normal_equation(expand(few[0]), few[1])
            for kind, (x_kind, y_kind) in enumerate((few, in_float64(splits.validation))):
                y_pred = linear(expand(x_kind), w, b)
                errors[kind, place, choice] = mean_squared_error(y_kind, y_pred)
    return np.median(errors, axis=-1)


# %% alt="Four learning curves on a log scale over the number of cars. Plane: the training error rises, the validation error falls, and from about 180 cars on they lie together. With products: the training error lies lower throughout, the validation error far above it; at 150 cars it is below the plane's, and it is still falling at the end."
if __name__ == "__main__":
    plane, bent = errors_by_cars(splits), errors_by_cars(splits, expand=with_products)
    series = {"plane, training": plane[0], "plane, validation": plane[1]}
    series |= {"products, training": bent[0], "products, validation": bent[1]}
    labels = {"x_label": "cars", "y_label": "mean squared error (mpg²)", "log": True}
    ax = plotting.plot_lines(series, x=COUNTS, **labels)
    low, high = ax.set_ylim(0.5, 1000)

# %%
if __name__ == "__main__":
    print("cars     plane: training, validation   products: training, validation")
    for row in zip(COUNTS, *plane, *bent, strict=True):
        print("{:4} {:17.1f} {:11.1f} {:20.1f} {:11.1f}".format(*row))

# %% [markdown]
# With twenty cars the plane overfits as well: nine numbers are many for twenty cars. From about 180
# cars on its two curves lie together, and level. More cars of this kind would not help it; another
# model might, and does. The model with products runs through all of its cars while they are few,
# and is far off elsewhere, farthest where there are as many cars as numbers to choose. (These are
# 42, not 45: for two columns of zeros and ones the squares and the product say nothing new.) There
# it must go exactly through all points, and takes huge weights to get there. With more cars it
# cannot, and the error falls. At the end it is lower than the plane's, the gap is still open, and
# the curve still falls: here more cars would probably help. So a gap calls for data, and a high
# level without a gap for a model that can do more.
#
# ## Holding a loose model
#
# There is another way to hold a loose model. **Ridge** regression adds to the loss a penalty for
# large weights,
#
# $$\frac1n \sum_i (\hat y_i - y_i)^2 + \alpha \sum_j w_j^2 .$$
#
# Its gradient is $2 \alpha w$ more, so in each step every weight is drawn a little towards zero.
# The bias is left alone: it only says how high the cloud lies. A weight must then earn what it
# costs, and the swings of an overfitted model, which are made of large weights that nearly cancel,
# become too expensive. Here are the 44 weights of the model with products, fitted on the first
# sixty cars alone.


# %%
def ridge_by_descent(x, y, penalty, learning_rate=0.01, steps=20_000):
    """Returns the w (d, 1) and b (1,) that descent on the penalised loss arrives at."""
    w, b = np.zeros((x.shape[1], 1)), np.zeros(1)
    for _ in range(steps):
        gradient_w, gradient_b = gradient(x, y, w, b)
        w = w - learning_rate * (gradient_w + 2 * penalty * w)
        b = b - learning_rate * gradient_b
    return w, b


# %%
def errors_on(parts, w, b):
    """Returns the mean squared errors of a model on the parts (x, y), as a text."""
    training, validation = (mean_squared_error(y, linear(x, w, b)) for x, y in parts)
    return f"training {training:.1f}, validation {validation:.1f}"


if __name__ == "__main__":
    parts = in_float64(splits.take(60).train), in_float64(splits.validation)
    print("plane       :", errors_on(parts, *normal_equation(*parts[0])))
    parts = [(with_products(x), y) for x, y in parts]
    print("penalty 0   :", errors_on(parts, *normal_equation(*parts[0])))
    for penalty in (0.03, 0.3, 3):
        print(f"penalty {penalty:<4}:", errors_on(parts, *ridge_by_descent(*parts[0], penalty)))

# %% [markdown]
# Without the penalty the model overfits, and with the largest it underfits. Between them lies a
# value at which 45 numbers, fitted on sixty cars, do as well as the plane's nine on the validation
# part. That is the part which chose the penalty, so on new cars it will be a little worse. Chapter
# 2 does the same to a network.
#
# *Exercise: `ridge_regression`, the same weights in one go, without descent.*

# %% [markdown]
# ## What to try
#
# - `python -m kerasbook.chapter1 --learning-rate 1`: the loss becomes infinite, and the loop says
#   at which step and why.
# - `--batch-size 1` and `--batch-size 236`: how do the curves differ, and how long does each take?
# - Take the squares alone as further features, without the products. How low does the validation
#   error get, with how many numbers?
# - Leave out `model_year`. Which weights change most, and why?
#
# [The articles' mistakes](errata.ipynb) runs what articles get wrong here, and what is right: its
# numbers 4, 12, 13, 14 and 27.

# %% [markdown]
# ## Exercises
#
# Nine exercises go with this chapter, and each section has named its own; three of them take five
# minutes. `kerasbook start DIR` copies the stubs and the notebooks into a folder, and `kerasbook
# check` says which of your answers are right, and what to look at in the others. Symbols that recur
# are listed on the page [Notation](notation.ipynb).
#
# ## Where to go next
#
# We chose squares and products by hand to make a plane bend. Chapter 2 lets the model choose: with
# one bend behind the weighted sum the line becomes a classifier, and with a layer of such bends in
# between it becomes a network that can follow the cloud of the first picture. The gradient check,
# the loop and the four lines of its step go along.
