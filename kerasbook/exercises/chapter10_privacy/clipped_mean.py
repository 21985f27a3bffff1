"""Per-example gradient clipping."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=5,
    difficulty=1,
    points=1,
    outputs=("kernel", "bias"),
    hints=[
        "First one number per example: the norm over all its weights, kernels and biases together.",
        "An example whose norm is below the limit stays as it is; a longer one is scaled down.",
        "factor = np.minimum(1, clip / norms), (n,); then the sum over examples of factor · "
        "gradient, divided by `expected`.",
    ],
)


@exercise.stub
def clipped_mean(kernels, biases, clip, expected):
    """The clipped gradients of a batch, added up and divided by the expected size.

    Each example's gradient consists of its part for a kernel and its part for a bias. Its norm is
    taken over both together. Where the norm is above `clip`, both parts are scaled so that it is
    `clip`; other gradients stay as they are (a gradient of zeros, too). Then add up over the
    examples and divide by `expected`, not by n.

    Practises: chapter 10, continued: does it keep a secret?, "DP-SGD".

    Args:
        kernels: (n, inputs, units) float64.
        biases: (n, units) float64.
        clip: positive float.
        expected: positive float, the expected number of examples.

    Returns:
        Two arrays, (inputs, units) and (units,). Tolerance: 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


def batch(random, n, clip, expected):
    """Returns gradients of very different lengths."""
    size = 10.0 ** random.uniform(-1.5, 1, n)
    return {"kernels": random.normal(size=(n, 3, 2)) * size[:, None, None],
            "biases": random.normal(size=(n, 2)) * size[:, None],
            "clip": clip, "expected": expected}  # fmt: skip


@exercise.public
def examples(random):
    yield Case("four examples", batch(random, 4, 1.0, 4.0))


@exercise.hidden
def drawn(random):
    for n, clip, expected in ((10, 0.5, 8.0), (25, 3.0, 30.5), (1, 0.1, 5.0)):
        yield Case(f"{n} examples, clip {clip}", batch(random, n, clip, expected), unchanged=True)
    zeros = batch(random, 6, 1.0, 7.0)
    zeros["kernels"][2], zeros["biases"][2] = 0, 0
    yield Case("one gradient of zeros", zeros)


@exercise.reference
def solution(kernels, biases, clip, expected):
    norms = np.sqrt((kernels**2).sum(axis=(1, 2)) + (biases**2).sum(axis=1))
    factor = np.minimum(1, clip / np.maximum(norms, 1e-12))
    for_kernel = (kernels * factor[:, None, None]).sum(axis=0)
    for_bias = (biases * factor[:, None]).sum(axis=0)
    return for_kernel / expected, for_bias / expected


@exercise.right
def one_by_one(kernels, biases, clip, expected):
    for_kernel, for_bias = np.zeros(kernels.shape[1:]), np.zeros(biases.shape[1:])
    for kernel, bias in zip(kernels, biases):
        norm = np.linalg.norm(np.concatenate([kernel.ravel(), bias]))
        scale = clip / norm if norm > clip else 1.0
        for_kernel += scale * kernel / expected
        for_bias += scale * bias / expected
    return for_kernel, for_bias


@exercise.right
def in_one_row(kernels, biases, clip, expected):
    rows = np.concatenate([kernels.reshape(len(kernels), -1), biases], axis=1)
    norms = np.linalg.norm(rows, axis=1)
    total = (clip / np.maximum(norms, clip)) @ rows / expected
    cut = kernels[0].size
    return total[:cut].reshape(kernels.shape[1:]), total[cut:]


@exercise.right
def with_tensors(kernels, biases, clip, expected):
    parts = [tf.clip_by_global_norm([k, b], clip)[0]
             for k, b in zip(tf.constant(kernels), tf.constant(biases))]  # fmt: skip
    sums = [tf.add_n(list(column)) for column in zip(*parts)]
    return tuple((s / expected).numpy() for s in sums)


exercise.mistake(
    "batch_clipped",
    "The sum of the batch is clipped. One long gradient can still turn it around: clip each one.",
    old="    for_kernel = (kernels * factor[:, None, None]).sum(axis=0)\n"
    "    for_bias = (biases * factor[:, None]).sum(axis=0)",
    new="    for_kernel, for_bias = kernels.sum(axis=0), biases.sum(axis=0)\n"
    "    whole = np.sqrt((for_kernel**2).sum() + (for_bias**2).sum())\n"
    "    for_kernel = for_kernel * min(1, clip / whole)\n"
    "    for_bias = for_bias * min(1, clip / whole)",
)
exercise.mistake(
    "actual_size",
    "You divide by the actual number of examples, and tell it thereby. Divide by the expected one.",
    old="for_kernel / expected, for_bias / expected",
    new="for_kernel / len(kernels), for_bias / len(kernels)",
)
exercise.mistake(
    "short_ones_stretched",
    "Short gradients are stretched to the limit. Those below it stay as they are.",
    old="np.minimum(1, clip / np.maximum(norms, 1e-12))",
    new="clip / np.maximum(norms, 1e-12)",
)
exercise.mistake(
    "kernel_and_bias_apart",
    "Kernel and bias are clipped one by one, so the whole may be too long. Take one norm.",
    old="    for_bias = (biases * factor[:, None]).sum(axis=0)",
    new="    factor = np.minimum(1, clip / np.maximum(np.linalg.norm(biases, axis=1), 1e-12))\n"
    "    for_bias = (biases * factor[:, None]).sum(axis=0)\n"
    "    norms = np.maximum(np.sqrt((kernels**2).sum(axis=(1, 2))), 1e-12)\n"
    "    for_kernel = (kernels * np.minimum(1, clip / norms)[:, None, None]).sum(axis=0)",
)
exercise.mistake("each_number", old="(kernels * factor[:, None, None])",
                 new="np.clip(kernels, -clip, clip)")  # fmt: skip
exercise.mistake("squared_norm", old="np.sqrt((kernels**2)", new="((kernels**2)")
exercise.mistake("long_ones_dropped", old="np.minimum(1, clip / np.maximum(norms, 1e-12))",
                 new="(norms <= clip) * 1.0")  # fmt: skip
exercise.mistake("not_divided", old="for_kernel / expected, ", new="for_kernel, ")
exercise.mistake("bias_not_in_the_norm", old=" + (biases**2).sum(axis=1)", new="")
