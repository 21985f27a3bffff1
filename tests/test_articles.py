"""The articles' networks, as the errata and the porting page use them."""

from kerasbook.chapter5 import lstm_parameters
from kerasbook.pages import articles

import numpy as np


def noise(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def test_article_lstm_with_and_without_zeros_by_hand():
    model = articles.make_article_lstm()
    x = noise(2, 5, 100, dtype="float32")
    np.testing.assert_array_equal(articles.call_with_zero_states(model, x), model(x))
    assert model(x).shape == (2, 10)
    expected = lstm_parameters(100, 128) + lstm_parameters(128, 128) + 129 * 10
    assert model.count_params() == expected
