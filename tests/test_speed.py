"""What makes it fast: the LSTM's way back by hand; numbers of the text."""

from kerasbook.chapter5 import lstm
from kerasbook.pages import speed
from kerasbook.testing.compare import compare_functions, random_weights

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

LIMIT = {"float32": 1e-5, "float64": 1e-10}
# Decimal numbers in the text that no cell prints, and what they are.
ELSEWHERE = {"9.5": "billion operations, counted", "0.5": "", "0.6": "", "0.7": "", "0.8": ""}
ELSEWHERE |= {"0.9": "shares of a step's time, measured once"}


def noise(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


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
