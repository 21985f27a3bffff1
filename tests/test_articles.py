"""The articles' networks, as the errata and the porting page use them; the LSTM's way back."""

from kerasbook.chapter5 import lstm, lstm_parameters
from kerasbook.pages import articles, speed
from kerasbook.testing.compare import compare_functions, random_weights

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

LIMIT = {"float32": 1e-5, "float64": 1e-10}


def noise(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def test_article_lstm_with_and_without_zeros_by_hand():
    model = articles.make_article_lstm()
    x = noise(2, 5, 100, dtype="float32")
    np.testing.assert_array_equal(articles.call_with_zero_states(model, x), model(x))
    assert model(x).shape == (2, 10)
    expected = lstm_parameters(100, 128) + lstm_parameters(128, 128) + 129 * 10
    assert model.count_params() == expected


@pytest.mark.parametrize(("dtype", "jit"), [("float64", False), ("float32", True)])
def test_the_way_back_by_hand_equals_the_tape(dtype, jit):
    layer = layers.LSTM(4, dtype=dtype)
    layer.build((5, 7, 3))
    ours = tf.function(
        lambda x, *weights: speed.lstm_with_way_back(x, weights), jit_compile=jit, autograph=False
    )
    inputs = noise(5, 7, 3, dtype=dtype), *random_weights(layer)
    differences = compare_functions(ours, lambda x, *weights: lstm(x, weights)[0], *inputs)
    assert max(differences.values()) < LIMIT[dtype]
