"""Loss scaling written by hand, compared with Keras' step by step."""

from kerasbook.training import make_train_step

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def compare_scaling(make_scaled_step, steps=24, initial=2.0**26, patience=4):
    """Returns scales (2, steps) and weights (2, steps, weights) after each step: ours, Keras'.

    Args:
        make_scaled_step: `make_scaled_step(model, loss_fn, optimizer, scale, patience)` returns a
            train step that moves the variable `scale`.
        steps: how many are taken.
        initial: the first scale.
        patience: how many good steps double it.
    """
    random = np.random.default_rng(0)
    batches = [(random.normal(size=(8, 4)), random.normal(size=(8, 1))) for _ in range(steps)]
    scales, weights = [], []
    for by_hand in (True, False):
        inner = keras.optimizers.SGD(0.05, momentum=0.9)
        outer = keras.optimizers.LossScaleOptimizer(
            inner, initial_scale=initial, dynamic_growth_steps=patience
        )
        spread = keras.initializers.RandomNormal(seed=1)
        options = {"kernel_initializer": spread, "dtype": "mixed_float16"}
        parts = [layers.Dense(6, "relu", **options), layers.Dense(1, **options)]
        model = keras.Sequential([keras.Input((4,)), *parts])
        (inner if by_hand else outer).build(model.trainable_variables)
        error, scale = keras.losses.MeanSquaredError(), tf.Variable(float(initial))
        step = make_scaled_step(model, error, inner, scale, patience)
        if not by_hand:
            step = make_train_step(model, error, outer)
        seen = [[], []]
        for x, y in batches:
            step(tf.constant(x, tf.float32), tf.constant(y, tf.float32))
            seen[0].append(float(scale if by_hand else outer.dynamic_scale))
            seen[1].append(np.concatenate([np.ravel(each) for each in model.get_weights()]))
        scales.append(seen[0])
        weights.append(seen[1])
    return np.array(scales), np.array(weights)
