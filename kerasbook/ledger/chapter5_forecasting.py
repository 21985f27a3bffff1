"""The page on forecasting: what the ledger claims of it, and the mistakes that must be seen."""

from types import SimpleNamespace

from kerasbook import chapter5, chapter5_forecasting
from kerasbook.ledger.core import claim, model_pairs, mutant, precision
from kerasbook.ledger.models import dense

import numpy as np
import tensorflow as tf

KEY = "chapter5_forecasting"


def bikes(x, weights, std, mean):
    """Returns bikes: the last state and the last step, two dense layers, and the scale of bikes."""
    _, (last, _) = chapter5.lstm(x, weights[:3])
    return dense(tf.concat([last, x[:, -1]], axis=-1), weights[3:]) * std + mean


@claim(KEY, "whole model: how many bikes?")
def _(draw):
    x = draw(3, 5, draw.size())
    train = SimpleNamespace(x=x, y=np.array([[2.0], [6.0]]))
    with precision(draw.dtype):
        model = chapter5_forecasting.make_model(train, units=4)
    return model_pairs(draw, model, lambda x, w: bikes(x, w, 2, 4), x, of_x=True)


@claim(KEY, "ridge regression: its gradient is zero", dtypes=("float64",), sources="N")
def _(draw):
    x, y = draw(20, draw.size()), draw(20, 3)
    w = chapter5_forecasting.fit_ridge(x, y, strength=2.0)
    ones = np.column_stack([x, np.ones(20)])
    penalty = np.vstack([2.0 * w[:-1], np.zeros((1, 3))])
    return {"gradient": (ones.T @ (ones @ w - y) + penalty, np.zeros_like(w))}


mutant(
    KEY,
    chapter5_forecasting.make_model,
    "(history - 1, 0)",
    "(0, history - 1)",
    "the first step, not the last",
    by="bikes",
)
mutant(
    KEY, chapter5_forecasting.fit_ridge, "penalty[-1, -1] = 0", "pass", "bias penalised", by="ridge"
)
