"""A loss as `model.compile` takes it: an object, a class, a name, or a plain function."""

from collections.abc import Callable
from typing import Any

from kerasbook.training.checks import ArgumentError

import keras
import tensorflow as tf


def as_loss(loss_fn: Any) -> Callable:
    """Returns the loss object that `model.compile(loss=loss_fn)` makes of it.

    A plain function is called with (y, y_pred) of one rank and of Keras' default float; it may
    give one number per row. Weights, masks and the mean over the batch are then Keras' own.

    Raises:
        ArgumentError: it is none of the four, or a name that Keras does not know.
    """
    if isinstance(loss_fn, (str, type)):
        try:
            loss_fn = keras.losses.get(loss_fn)
        except (ValueError, TypeError):
            raise ArgumentError(
                f"Keras knows no loss {loss_fn!r}: pass an object, such as "
                "keras.losses.MeanSquaredError()"
            ) from None
    if isinstance(loss_fn, LossOfOutputs):
        return loss_fn
    if isinstance(loss_fn, keras.losses.Loss):
        return LossOfOutputs(loss_fn)
    if not callable(loss_fn):
        raise ArgumentError(
            "loss_fn must be an object of keras.losses, its name, or a function of (y, y_pred), "
            f"not {loss_fn!r}"
        )
    return LossOfOutputs(FunctionLoss(loss_fn))


class FunctionLoss(keras.losses.Loss):
    """A function (y, y_pred) → one number, or one per row, as a loss object of Keras."""

    def __init__(self, function: Callable):
        super().__init__(name="loss_function")
        self.function = function

    def call(self, y_true, y_pred):
        """Returns what the function gives for targets and outputs of the same rank."""
        return self.function(*_same_rank(y_true, y_pred))


class LossOfOutputs:
    """A loss object; of a model with several outputs, the sum of their losses."""

    def __init__(self, loss: keras.losses.Loss):
        self.loss, self.reduction = loss, loss.reduction

    def __call__(self, y, y_pred, sample_weight=None):
        """Returns the loss; y and y_pred have one structure."""
        if not tf.nest.is_nested(y_pred):
            return self.loss(y, y_pred, sample_weight)
        try:
            tf.nest.assert_same_structure(y, y_pred)
        except (ValueError, TypeError):
            raise ArgumentError(
                "the model has several outputs: y must have the same form, a dict of the same "
                "names or a list as long"
            ) from None
        pairs = zip(tf.nest.flatten(y), tf.nest.flatten(y_pred), strict=True)
        return sum(self.loss(*pair, sample_weight) for pair in pairs)


def loss_config(loss: LossOfOutputs) -> dict:
    """Returns what tells one loss from another: of a function its name, else Keras' config."""
    function = getattr(loss.loss, "function", None)
    if function is not None:
        return {"function": getattr(function, "__qualname__", type(function).__name__)}
    config = {name: each for name, each in loss.loss.get_config().items() if name != "name"}
    # Huber's delta is not in its config.
    return {"class": type(loss.loss).__name__} | config | getattr(loss.loss, "_fn_kwargs", {})


def _same_rank(y_true, y_pred):
    """Both with one number of axes: (n,) and (n, 1) become (n, 1), others lose the last axis."""
    if len(y_true.shape) < len(y_pred.shape):
        return _same_rank(y_pred, y_true)[::-1]
    if len(y_true.shape) == len(y_pred.shape) + 1 and y_true.shape[-1] == 1:
        if len(y_pred.shape) == 1:
            return y_true, tf.expand_dims(y_pred, -1)
        return tf.squeeze(y_true, -1), y_pred
    return y_true, y_pred


def as_optimizer(optimizer: Any) -> keras.optimizers.Optimizer:
    """Returns the optimizer, also for a name such as "adam".

    Raises:
        ArgumentError: it is neither an object nor a name that Keras knows.
    """
    try:
        return keras.optimizers.get(optimizer)
    except ValueError:
        raise ArgumentError(
            "optimizer must be an object, such as keras.optimizers.Adam(0.001), or its name, "
            f"not {optimizer!r}"
        ) from None
