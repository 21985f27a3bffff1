"""What makes it fast: the LSTM's way back by hand; numbers of the text."""

from kerasbook.chapter5 import lstm
from kerasbook.pages import speed
from kerasbook.testing.compare import compare_functions, random_weights

import keras
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


def test_the_arithmetic_of_a_step_is_six_per_use_of_a_weight_and_four_in_the_first_layer():
    inside = [layers.Conv2D(3, 2), layers.Flatten(), layers.Dense(4)]
    model = keras.Sequential([keras.Input((5, 5, 2)), *inside])
    expected = 4 * 7 * 2 * 2 * 2 * 3 * 16 + 6 * 7 * 48 * 4
    assert speed.arithmetic_of_step(model, 7) == expected


def test_blocks_give_the_same_numbers():
    x = noise(1003, dtype="float32")
    np.testing.assert_array_equal(speed.in_blocks(speed.gelu, x, 100), speed.gelu(x))


def test_xla_makes_one_pass_of_nine_operations():
    x = tf.constant(noise(100, dtype="float32"))

    def smooth(x):
        return speed.gelu(x, tf.tanh)

    assert len(speed.operations_of(tf.function(smooth, autograph=False), x)) == 9
    assert speed.passes_over_memory(speed.compiled_by_xla(smooth, x)) == ["fusion"]


def test_a_call_takes_as_many_steps_as_it_says():
    weight = tf.Variable(0.0)
    run = speed.many_steps(lambda x, y: weight.assign_add(x * y), 2.0, 3.0, steps=5)
    run()
    assert float(weight) == 30.0


def test_the_recorded_steps_are_as_the_page_says():
    steps = speed.recorded("scaling")["steps"]
    dense, convolutional, gru = (steps[n] for n in ("dense", "convolutional", "recurrent"))
    eager, graph, many = list(dense.values())[:3]
    assert eager > 3 * graph > 3 * many
    eager, graph, many, xla = convolutional.values()
    assert eager > 1.5 * graph
    assert 0.7 < graph / many < 1.3
    assert xla > 3 * many
    assert gru["many steps per call, XLA"] < gru["many steps per call"]


def test_the_operations_of_a_small_writer_by_hand():
    """One row of one token, one block of width 1, one symbol: 13 weights, one meeting."""
    assert speed.operations_of_writer(1, 1, 1, 1, 1) == 6 * 13 + 12
