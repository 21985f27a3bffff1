"""Structured pruning: filters taken away, and what belongs to them in the next layers."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=8,
    minutes=20,
    difficulty=3,
    points=4,
    outputs=("conv kernel", "conv bias", "dense kernel"),
    hints=[
        "A filter is a slice of the last axis of its kernel. What else belongs to it: in its own "
        "layer, and in the layer that reads its map?",
        "`Flatten` of (rows, columns, filters) counts the filters fastest. So reshape the dense "
        "kernel to (places, filters, units) before you choose.",
        "keep = np.sort(np.argsort(-np.abs(kernel).sum(axis=(0, 1, 2)))[:count]); dense = "
        "dense_kernel.reshape(-1, filters, units)[:, keep].reshape(-1, units).",
    ],
)


@exercise.stub
def narrow_network(kernel, bias, dense_kernel, count):
    """Take the weakest filters of a convolution away, in a network of three layers.

    The network is a convolution with a ReLU, `Flatten`, and a dense layer. The `count` filters with
    the largest sum of |weights| stay, in the order in which they were; no two sums are equal. The
    new network must give what the old one gives if the other filters' maps are zero.

    Practises: chapter 8, "Whole filters".

    Args:
        kernel: (kh, kw, channels, filters) float64 array, of the convolution.
        bias: (filters,) float64 array.
        dense_kernel: (rows · columns · filters, units) float64 array, behind `Flatten`, which goes
            through the rows, in a row through its columns, and at each place through the filters.
        count: how many filters stay, from 1 to their number.

    Returns:
        The kernel (kh, kw, channels, count), the bias (count,), and the dense kernel (rows ·
        columns · count, units) of the new network.
    """
    raise NotImplementedError


def network(random, filters, count, places, channels=2, units=3):
    """Returns the inputs of a case."""
    sizes = random.permutation(filters) + 1.0
    return {
        "kernel": random.normal(size=(3, 3, channels, filters)) * sizes,
        "bias": random.normal(size=filters) / sizes,
        "dense_kernel": random.normal(size=(places * filters, units)),
        "count": count,
    }


@exercise.public
def examples(random):
    kernel = np.array([0.5, -3.0, 1.0]).reshape(1, 1, 1, 3)
    dense = np.arange(12.0).reshape(12, 1)
    inputs = {"kernel": kernel, "bias": np.array([0.1, 0.2, 0.3]), "dense_kernel": dense}
    yield Case("three filters, 2 × 2 places", inputs | {"count": 2})


@exercise.hidden
def drawn(random):
    yield Case("half of them", network(random, 6, 3, 4), unchanged=True)
    yield Case("one is left", network(random, 5, 1, 6))
    yield Case("all stay", network(random, 4, 4, 9))
    yield Case("as many places as filters", network(random, 4, 2, 4, channels=3, units=5))


@exercise.reference
def solution(kernel, bias, dense_kernel, count):
    filters, units = len(bias), dense_kernel.shape[1]
    strength = np.abs(kernel).sum(axis=(0, 1, 2))
    keep = np.sort(np.argsort(-strength)[:count])
    dense = dense_kernel.reshape(-1, filters, units)[:, keep]
    return kernel[..., keep], bias[keep], dense.reshape(-1, units)


@exercise.right
def by_a_mask(kernel, bias, dense_kernel, count):
    strength = np.abs(kernel).reshape(-1, len(bias)).sum(axis=0)
    stays = strength >= np.sort(strength)[-count]
    rows = np.tile(stays, len(dense_kernel) // len(bias))
    return kernel[..., stays], bias[stays], dense_kernel[rows]


@exercise.right
def by_loops(kernel, bias, dense_kernel, count):
    filters = len(bias)
    strength = [float(np.abs(kernel[..., f]).sum()) for f in range(filters)]
    keep = sorted(sorted(range(filters), key=lambda f: -strength[f])[:count])
    places = range(len(dense_kernel) // filters)
    rows = [dense_kernel[place * filters + f] for place in places for f in keep]
    return np.stack([kernel[..., f] for f in keep], axis=-1), bias[keep], np.array(rows)


@exercise.right
def with_tensors(kernel, bias, dense_kernel, count):
    filters, units = len(bias), dense_kernel.shape[1]
    strength = tf.reduce_sum(tf.abs(kernel), axis=[0, 1, 2])
    keep = tf.sort(tf.math.top_k(strength, count).indices)
    dense = tf.gather(tf.reshape(dense_kernel, (-1, filters, units)), keep, axis=1)
    return tf.gather(kernel, keep, axis=3), tf.gather(bias, keep), tf.reshape(dense, (-1, units))


exercise.mistake(
    "flattened_the_other_way",
    "The rows of the dense kernel are taken as if `Flatten` put each map in one piece. It goes "
    "through the filters at each place.",
    old="dense_kernel.reshape(-1, filters, units)[:, keep]",
    new="dense_kernel.reshape(filters, -1, units)[keep]",
)
exercise.mistake(
    "not_in_their_order",
    "The filters come in the order of their strength. They should stay in the order in which they "
    "were.",
    old="np.sort(np.argsort(-strength)[:count])",
    new="np.argsort(-strength)[:count]",
)
exercise.mistake(
    "weakest_stay",
    "The weakest filters have stayed: `argsort` puts the smallest first.",
    old="np.argsort(-strength)",
    new="np.argsort(strength)",
)
exercise.mistake(
    "first_biases",
    "The kernel and the bias no longer belong together: a filter takes its own bias along.",
    old="bias[keep]",
    new="bias[:count]",
)
exercise.mistake("signs_cancel", old="np.abs(kernel).sum", new="kernel.sum")
exercise.mistake("strongest_by_bias", old="np.abs(kernel).sum(axis=(0, 1, 2))", new="np.abs(bias)")
exercise.mistake("first_filters", old="np.sort(np.argsort(-strength)[:count])",
                 new="np.arange(count)")  # fmt: skip
exercise.mistake("dense_left", old="[:, keep]", new="")


@exercise.wrong()
def zeros_only(kernel, bias, dense_kernel, count):
    strength = np.abs(kernel).sum(axis=(0, 1, 2))
    stays = strength >= np.sort(strength)[-count]
    return kernel * stays, bias * stays, dense_kernel
