"""The Huber loss and its gradient."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=1,
    minutes=20,
    difficulty=1,
    points=2,
    kind="gradient",
    outputs=("loss", "gradient"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Split the errors into two groups with a mask: those within the threshold and the others. "
        "np.where chooses between two formulas, element by element.",
        "At |error| = threshold both formulas must give the same value and the same slope. That "
        "fixes the constant that is subtracted in the straight part.",
        "Within: error² / 2, slope error. Outside: threshold · (|error| − threshold / 2), slope "
        "threshold · sign(error). Both are divided by n, as the loss is a mean.",
    ],
)


@exercise.stub
def huber_loss(targets, predictions, threshold):
    """The Huber loss and its gradient with respect to the predictions.

    The squared error lets one outlier rule a fit. The Huber loss is the squared error's half
    where |error| ≤ threshold and goes on as a straight line beyond, with the same value and the
    same slope where the two meet. With error = prediction − target, the loss is the mean over the
    n examples.

    Practises: chapter 1, "What is a good line?"

    Args:
        targets: (n,) float array.
        predictions: (n,) float array.
        threshold: positive number.

    Returns:
        The loss, a number, and the gradient, a (n,) float array; float32 or float64.
        Tolerance: 1e-6 + 1e-5 · |expected|. The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case(
        "one error inside the threshold, one outside",
        {
            "targets": np.array([0.0, 0.0]),
            "predictions": np.array([0.5, -3.0]),
            "threshold": 1.0,
        },
    )


@exercise.hidden
def drawn(random):
    for n in (1, 2, 17):
        threshold = float(random.uniform(0.3, 2))
        targets = random.normal(size=n)
        predictions = targets + random.normal(size=n) * threshold * 2
        inputs = {"targets": targets, "predictions": predictions, "threshold": threshold}
        yield Case(f"{n} examples", inputs, unchanged=True)
    near = np.linspace(-0.9, 0.9, 6)
    yield Case("all inside", {"targets": np.zeros(6), "predictions": near, "threshold": 2.0})
    yield Case("all outside", {"targets": near, "predictions": near + 9.0, "threshold": 0.5})


@exercise.reference
def solution(targets, predictions, threshold):
    errors = predictions - targets  # (n,)
    inside = np.abs(errors) <= threshold
    losses = np.where(inside, errors**2 / 2, threshold * (np.abs(errors) - threshold / 2))
    slopes = np.where(inside, errors, threshold * np.sign(errors))
    return losses.mean(), slopes / len(errors)


@exercise.right
def with_clipping(targets, predictions, threshold):
    errors = predictions - targets
    clipped = np.clip(errors, -threshold, threshold)  # the slope itself
    return np.mean(clipped * (errors - clipped / 2)), clipped / errors.size


@exercise.right
def with_a_tape(targets, predictions, threshold):
    predictions = tf.constant(predictions)
    with tf.GradientTape() as tape:
        tape.watch(predictions)
        errors = tf.abs(predictions - targets)
        straight = threshold * (errors - threshold / 2)
        loss = tf.reduce_mean(tf.where(errors <= threshold, errors**2 / 2, straight))
    return loss, tape.gradient(loss, predictions)


@exercise.right
def with_a_loop(targets, predictions, threshold):
    total, gradient = 0.0, []
    for target, prediction in zip(targets, predictions, strict=True):
        error = prediction - target
        if abs(error) <= threshold:
            total += error**2 / 2
            gradient.append(error)
        else:
            total += threshold * (abs(error) - threshold / 2)
            gradient.append(threshold if error > 0 else -threshold)
    return total / len(gradient), np.array(gradient) / len(gradient)


@exercise.wrong("The squared part lacks its half: at the threshold its slope must be the line's.")
def half_forgotten(targets, predictions, threshold):
    errors = predictions - targets
    inside = np.abs(errors) <= threshold
    losses = np.where(inside, errors**2, threshold * (np.abs(errors) - threshold / 2))
    slopes = np.where(inside, 2 * errors, threshold * np.sign(errors))
    return losses.mean(), slopes / len(errors)


@exercise.wrong("The gradient belongs to the sum of the losses; the loss is their mean.")
def gradient_of_the_sum(targets, predictions, threshold):
    errors = predictions - targets
    clipped = np.clip(errors, -threshold, threshold)
    return np.mean(clipped * (errors - clipped / 2)), clipped


@exercise.wrong("The gradient's sign is turned: error is prediction − target.")
def sign_turned(targets, predictions, threshold):
    errors = targets - predictions
    clipped = np.clip(errors, -threshold, threshold)
    return np.mean(clipped * (errors - clipped / 2)), clipped / errors.size


exercise.mistake(
    "line_too_high",
    "The line does not meet the parabola: subtract threshold / 2 from |error|.",
    old="threshold * (np.abs(errors) - threshold / 2)",
    new="threshold * np.abs(errors)",
)


@exercise.wrong()
def squared_everywhere(targets, predictions, threshold):
    errors = predictions - targets
    return np.mean(errors**2) / 2, errors / len(errors)


@exercise.wrong()
def absolute_everywhere(targets, predictions, threshold):
    errors = predictions - targets
    return np.mean(np.abs(errors)), np.sign(errors) / len(errors)


@exercise.wrong()
def sign_lost_outside(targets, predictions, threshold):
    errors = predictions - targets
    clipped = np.clip(errors, -threshold, threshold)
    slopes = np.where(np.abs(errors) <= threshold, errors, threshold)
    return np.mean(clipped * (errors - clipped / 2)), slopes / len(errors)


@exercise.wrong()
def loss_for_each_example(targets, predictions, threshold):
    errors = predictions - targets
    clipped = np.clip(errors, -threshold, threshold)
    return clipped * (errors - clipped / 2), clipped / len(errors)
