"""The lesson: one training step. Forward, loss, gradient, update.

`fit` only repeats it quickly (kerasbook/training/loops.py says how), and evaluation is the same
step without the update.
"""

from kerasbook.training import checks
from kerasbook.training.losses import as_loss

import tensorflow as tf


def total_loss(model, loss_fn, y, y_pred, sample_weight=None):
    """Returns the scalar that is minimised: the data's loss and the model's penalties (L2, …)."""
    if sample_weight is None:
        data_loss = loss_fn(y, y_pred)
    else:
        data_loss = loss_fn(y, y_pred, sample_weight)
    checks.scalar_loss(data_loss)
    penalties = [tf.cast(tf.reduce_sum(each), data_loss.dtype) for each in model.losses]
    return tf.reduce_sum([data_loss, *penalties])


def make_train_step(model, loss_fn, optimizer):
    """Returns `train_step(x, y, sample_weight=None) -> (loss, y_pred)`, which updates the model."""
    loss_fn = as_loss(loss_fn)  # a plain function means what `model.compile` makes of it

    def train_step(x, y, sample_weight=None):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)  # forward
            loss = total_loss(model, loss_fn, y, y_pred, sample_weight)  # loss
            scaled_loss = optimizer.scale_loss(loss)  # the loss itself, unless in float16
        variables = model.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)  # gradient
        optimizer.apply(gradients, variables)  # update
        return loss, y_pred

    return train_step


def make_test_step(model, loss_fn):
    """Returns `test_step(x, y, sample_weight=None) -> (loss, y_pred)`, which changes nothing."""
    loss_fn = as_loss(loss_fn)

    def test_step(x, y, sample_weight=None):
        y_pred = model(x, training=False)
        return total_loss(model, loss_fn, y, y_pred, sample_weight), y_pred

    return test_step
