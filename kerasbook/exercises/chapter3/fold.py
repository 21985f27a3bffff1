"""Batch normalisation folded into a convolution."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=20,
    difficulty=1,
    points=2,
    outputs=("kernel", "bias"),
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Write the two layers as one line for one filter: y = γ · (x∗w + b − μ) / √(σ² + ε) + β. "
        "Where does the picture x stand, and what is its factor?",
        "Call s = γ / √(σ² + ε), one number for each filter. Multiply out: the part with x is a "
        "convolution with the kernel s · w; everything else is the new bias.",
        "kernel · s, which broadcasts over the last axis, and (bias − mean) · s + beta. A missing "
        "gamma is 1, a missing beta or bias is 0.",
    ],
)


@exercise.stub
def fold_batch_norm(kernel, bias, gamma, beta, mean, variance, epsilon):
    """The kernel and bias of one convolution that does the work of two layers.

    In use, not in training, batch normalisation subtracts a fixed mean μ from each filter's map
    and divides by a fixed standard deviation; then it scales and shifts:

        y = γ · (z − μ) / √(σ² + ε) + β,      z = convolution of x with kernel, + bias

    All four are one number per filter. That is linear in z, as z is in x; so a convolution with
    another kernel and another bias gives the same y, and the second layer costs nothing. This is
    what programs do that bring a trained network onto a telephone.

    Practises: chapter 2, the deep network, "Batch normalisation", and chapter 3, continued:
    deeper networks, "The plus sign".

    Args:
        kernel: (kh, kw, channels, filters) float array.
        bias: (filters,) float array, or None for a convolution without a bias.
        gamma: γ, (filters,) float array, or None: the layer does not scale.
        beta: β, (filters,) float array, or None: the layer does not shift.
        mean: μ, (filters,) float array.
        variance: σ², (filters,) float array, not negative.
        epsilon: positive number.

    Returns:
        The new kernel (kh, kw, channels, filters) and the new bias (filters,), a tuple; float32
        or float64. There is always a bias. Tolerance: 1e-6 + 1e-5 · |expected|. The inputs must
        not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case(
        "one pixel, two filters",
        {
            "kernel": np.array([[[[1.0, 10.0]]]]),
            "bias": np.array([0.0, 1.0]),
            "gamma": np.array([2.0, 1.0]),
            "beta": np.array([0.5, -0.5]),
            "mean": np.array([1.0, 3.0]),
            "variance": np.array([3.0, 0.0]),
            "epsilon": 1.0,
        },
    )


@exercise.hidden
def drawn(random):
    plans = [
        ("all parts", (3, 3, 2, 4), ()),
        ("a rectangular kernel", (2, 5, 3, 1), ()),
        ("as many channels as filters", (3, 1, 3, 3), ()),
        ("a convolution without bias", (1, 1, 4, 5), ("bias",)),
        ("no scale", (3, 3, 1, 2), ("gamma",)),
        ("no shift", (3, 2, 5, 3), ("beta",)),
        ("neither, and no bias", (2, 2, 2, 6), ("gamma", "beta", "bias")),
    ]
    for name, shape, missing in plans:
        filters = shape[3]
        inputs = {
            "kernel": random.normal(size=shape),
            "bias": random.normal(size=filters),
            "gamma": random.uniform(0.5, 2, filters) * random.choice([-1, 1], filters),
            "beta": random.normal(size=filters),
            "mean": random.normal(size=filters) * 2,
            "variance": random.uniform(0.01, 3, filters),
            "epsilon": float(random.choice([0.001, 0.1])),
        } | dict.fromkeys(missing)
        yield Case(name, inputs, unchanged=True)
    inputs = {
        "kernel": random.normal(size=(3, 3, 2, 3)).astype("float32"),
        "bias": None,
        "gamma": np.ones(3, "float32"),
        "beta": np.zeros(3, "float32"),
        "mean": random.normal(size=3).astype("float32"),
        "variance": np.array([0.0, 1e-4, 2.0], "float32"),
        "epsilon": 0.001,
    }
    yield Case("small variances", inputs, unchanged=True)


@exercise.reference
def solution(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = 1 / np.sqrt(variance + epsilon)  # (filters,)
    if gamma is not None:
        scale = scale * gamma
    shift = -mean if bias is None else bias - mean
    new_bias = shift * scale
    if beta is not None:
        new_bias = new_bias + beta
    return kernel * scale, new_bias


@exercise.right
def filter_by_filter(kernel, bias, gamma, beta, mean, variance, epsilon):
    new_kernel, new_bias = np.empty_like(kernel), np.empty_like(mean)
    for f in range(kernel.shape[-1]):
        factor = (1.0 if gamma is None else gamma[f]) / (variance[f] + epsilon) ** 0.5
        new_kernel[..., f] = kernel[..., f] * factor
        start = 0.0 if bias is None else bias[f]
        new_bias[f] = (start - mean[f]) * factor + (0.0 if beta is None else beta[f])
    return new_kernel, new_bias


@exercise.right
def with_tensorflow(kernel, bias, gamma, beta, mean, variance, epsilon):
    zeros = tf.zeros_like(mean)
    bias = zeros if bias is None else bias
    # tf.nn.batch_normalization of the bias is the new bias: a picture of zeros shows it
    new_bias = tf.nn.batch_normalization(bias, mean, variance, beta, gamma, epsilon)
    scale = tf.nn.batch_normalization(zeros + 1, zeros, variance, None, gamma, epsilon)
    return kernel * scale[tf.newaxis, tf.newaxis, tf.newaxis, :], new_bias


@exercise.right
def by_asking_the_two_layers(kernel, bias, gamma, beta, mean, variance, epsilon):
    def both(flat):  # (rows, kh · kw · channels) → (rows, filters)
        z = flat @ kernel.reshape(-1, kernel.shape[3])
        z = z if bias is None else z + bias
        y = (z - mean) * keras.ops.rsqrt(variance + epsilon).numpy()
        y = y if gamma is None else y * gamma
        return y if beta is None else y + beta

    inputs = kernel[..., 0].size
    at_zero = both(np.zeros((1, inputs)))
    slopes = both(np.eye(inputs)) - at_zero  # linear: what each input adds
    return slopes.reshape(kernel.shape), at_zero[0]


@exercise.wrong("Your ε stands beside the root. It belongs inside: √(σ² + ε), not √σ² + ε.")
def epsilon_outside(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = 1 / (np.sqrt(variance) + epsilon)
    if gamma is not None:
        scale = scale * gamma
    new_bias = (-mean if bias is None else bias - mean) * scale
    return kernel * scale, new_bias if beta is None else new_bias + beta


@exercise.wrong(
    "The convolution's own bias is added unscaled. Batch normalisation comes after it, so the bias "
    "is shifted and scaled like everything else in z."
)
def bias_not_scaled(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    new_bias = -mean * scale + (0 if beta is None else beta)
    return kernel * scale, new_bias if bias is None else new_bias + bias


@exercise.wrong("You divide by the variance. The layer divides by its root, the deviation.")
def no_root(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / (variance + epsilon)
    new_bias = (-mean if bias is None else bias - mean) * scale
    return kernel * scale, new_bias if beta is None else new_bias + beta


@exercise.wrong(
    "A missing gamma is taken as 0, which makes every output the same. A layer that does not scale "
    "multiplies by 1."
)
def missing_gamma_is_zero(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (0 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    new_bias = (-mean if bias is None else bias - mean) * scale
    return kernel * scale, new_bias if beta is None else new_bias + beta


@exercise.wrong(
    "The shift is right, the kernel is untouched. The factor γ / √(σ² + ε) stands before x too."
)
def kernel_untouched(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    new_bias = (-mean if bias is None else bias - mean) * scale
    return kernel, new_bias if beta is None else new_bias + beta


@exercise.wrong()
def mean_added(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    new_bias = (mean if bias is None else bias + mean) * scale
    return kernel * scale, new_bias if beta is None else new_bias + beta


@exercise.wrong()
def beta_scaled(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    new_bias = -mean if bias is None else bias - mean
    new_bias = new_bias if beta is None else new_bias + beta
    return kernel * scale, new_bias * scale


@exercise.wrong()
def no_epsilon(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / np.sqrt(np.maximum(variance, 1e-12))
    new_bias = (-mean if bias is None else bias - mean) * scale
    return kernel * scale, new_bias if beta is None else new_bias + beta


@exercise.wrong()
def scaled_in_place(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = (1 if gamma is None else gamma) / np.sqrt(variance + epsilon)
    kernel *= scale
    new_bias = (-mean if bias is None else bias - mean) * scale
    return kernel, new_bias if beta is None else new_bias + beta


@exercise.wrong()
def beta_needed(kernel, bias, gamma, beta, mean, variance, epsilon):
    scale = gamma / np.sqrt(variance + epsilon)
    return kernel * scale, (bias - mean) * scale + beta
