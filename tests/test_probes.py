"""Every probe holds for a right model and fails for a broken one."""

from kerasbook.testing import probes

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

RANDOM = np.random.default_rng(0)
VALUES = RANDOM.normal(size=(3, 6, 4)).astype("float32")
TOKENS = RANDOM.integers(1, 9, (3, 6)).astype("int32")


def running_sum(x):
    return tf.cumsum(tf.cast(x, tf.float32), axis=1)


def running_sum_from_behind(x):
    return tf.cumsum(tf.cast(x, tf.float32), axis=1, reverse=True)


def masked_mean(x):
    real = tf.cast(x != 0, tf.float32)
    return tf.reduce_sum(tf.cast(x, tf.float32), axis=1) / tf.reduce_sum(real, axis=1)


def plain_mean(x):
    return tf.reduce_mean(tf.cast(x, tf.float32), axis=1)


@pytest.mark.parametrize("x", [VALUES, TOKENS])
def test_causality(x):
    assert probes.causality(running_sum, x)
    finding = probes.causality(running_sum_from_behind, x)
    assert not finding
    assert finding.value > 0.1


@pytest.mark.parametrize("lead", [1, 5])
def test_causality_sees_a_leak_of_a_single_place(lead):
    """Only the token `lead` places ahead is read, and only in the first row."""

    def leaking(x):
        x = tf.cast(x, tf.float32)
        return running_sum(x) + 0.01 * tf.roll(x, -lead, axis=1) * [[1.0], [0], [0]]

    assert not probes.causality(leaking, TOKENS)


def test_causality_of_recurrent_layers():
    assert probes.causality(layers.GRU(5, return_sequences=True), VALUES)
    both = layers.Bidirectional(layers.GRU(5, return_sequences=True))
    assert not probes.causality(both, VALUES)


def test_causality_changes_tokens_in_the_middle_of_the_range():
    tokens = np.array([[1, 3, 2, 2, 2]])  # 2 is its own mirror image
    assert not probes.causality(running_sum_from_behind, tokens)


@pytest.mark.parametrize("x", [VALUES, TOKENS])
def test_padding(x):
    assert probes.padding(running_sum, x)  # one output per time
    assert not probes.padding(plain_mean, x)
    assert not probes.padding(running_sum_from_behind, x, pad=7)


def test_padding_of_a_masked_summary():
    assert probes.padding(masked_mean, TOKENS)
    assert not probes.padding(plain_mean, TOKENS)
    masked = keras.Sequential([layers.Embedding(9, 4, mask_zero=True), layers.GRU(3)])
    plain = keras.Sequential([layers.Embedding(9, 4), layers.GRU(3)])
    assert probes.padding(masked, TOKENS)
    assert not probes.padding(plain, TOKENS)


def test_permutation():
    assert probes.permutation(lambda x: x**2, VALUES)
    assert not probes.permutation(running_sum, VALUES)


def test_permutation_of_attention_needs_positions_to_fail():
    attention = layers.MultiHeadAttention(2, 3)
    waves = RANDOM.normal(size=(6, 4)).astype("float32")
    assert probes.permutation(lambda x: attention(x, x), VALUES)
    assert not probes.permutation(lambda x: attention(x + waves, x + waves), VALUES)


def test_loss_at_the_start():
    y = RANDOM.integers(0, 50, (3, 6))
    quiet = layers.Dense(50, kernel_initializer="zeros")
    finding = probes.start_loss(quiet, VALUES, y)
    assert finding
    assert finding.value == pytest.approx(0, abs=1e-5)
    loud = layers.Dense(50, kernel_initializer=keras.initializers.RandomNormal(stddev=5))
    assert not probes.start_loss(loud, VALUES, y)
    one_hot = tf.one_hot(y, 50) * 10
    assert not probes.start_loss(lambda x: one_hot, VALUES, y)  # too good


def test_overfitting_and_weights_put_back():
    x, y = RANDOM.normal(size=(8, 5)).astype("float32"), np.arange(8) % 3
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(32, "relu"), layers.Dense(3)])
    before = model.get_weights()
    assert probes.overfits(model, x, y, loss_fn, learning_rate=0.02)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)

    class NoGradient(layers.Layer):
        def call(self, x):
            return tf.stop_gradient(x) * 0

    hidden = [keras.Input((5,)), layers.Dense(32, "relu"), NoGradient(), layers.Dense(3)]
    broken = keras.Sequential(hidden)
    for layer in broken.layers[:-1]:
        layer.trainable = False
    assert not probes.overfits(broken, x, y, loss_fn, steps=50, learning_rate=0.02)


def test_nan_fails():
    finding = probes.causality(lambda x: running_sum(x) * np.nan, VALUES)
    assert not finding
    assert "FAILS" in str(finding)


def test_a_finding_prints_in_one_line():
    assert str(probes.causality(running_sum, TOKENS)) == (
        "causality: holds, largest difference 0 (limit 1e-05)"
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: probes.causality(plain_mean, TOKENS), "one output per time"),
        (lambda: probes.causality(running_sum, np.ones((2, 4))), "variety"),
        (lambda: probes.permutation(running_sum, np.ones((2, 4))), "changes nothing"),
        (lambda: probes.padding(lambda x: (x, x), TOKENS), "returns 2 arrays"),
    ],
)
def test_a_probe_that_could_not_fail_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
