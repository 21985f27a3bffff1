"""RMS normalisation and its gradient."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=6,
    minutes=35,
    difficulty=2,
    points=4,
    kind="gradient",
    outputs=("y", "for_x", "for_scale"),
    atol=2e-5,
    rtol=2e-4,
    forbidden=("keras.layers.RMSNormalization", "keras.ops.rms_normalization"),
    hints=[
        "Call r = 1 / √(mean(x²) + ε), one number for each token, and z = x r. Then y = scale ⊙ z, "
        "and the gradients for scale and for z are easy.",
        "r depends on every number of its token, so a change of one number changes all of z a "
        "little. For one token, ∂r/∂x_j = −r³ x_j / d.",
        "With z̄ = upstream ⊙ scale: for x it is r · (z̄ − z · mean(z̄ ⊙ z)), the mean over the last "
        "axis; for the scale the sum of upstream ⊙ z over all axes but the last.",
    ],
)


@exercise.stub
def rms_norm(x, scale, upstream, epsilon):
    """RMS normalisation, and the gradients of a loss through it, by hand.

    Layer normalisation subtracts the mean and divides by the deviation. Many language models leave
    the mean alone, and the shift too, and save a pass over the data: each token x, of d numbers,
    is divided by its root mean square (Zhang and Sennrich 2019),

        y = scale ⊙ x / √( (x_1² + … + x_d²) / d + ε ) .

    The loss L is not known here; what is known is its gradient for y, `upstream`.

    Practises: chapter 6, "Layer normalisation".

    Args:
        x: (…, d) float array of 2 or 3 axes; each row along the last axis is a token.
        scale: (d,) float array.
        upstream: float array of the shape of x.
        epsilon: ε, a positive number; not always small.

    Returns:
        y, of the shape of x; the gradient of L for x, of the same shape; the gradient of L for the
        scale, (d,). float32 or float64. Tolerance: 2e-5 + 2e-4 · |expected|.
        The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case(
        "one token of two numbers",
        {
            "x": np.array([[3.0, 4.0]]),
            "scale": np.array([1.0, 2.0]),
            "upstream": np.array([[1.0, 0.0]]),
            "epsilon": 0.01,
        },
    )


@exercise.hidden
def drawn(random):
    for shape, epsilon in (((1, 5), 1e-6), ((4, 3), 0.5), ((2, 6, 7), 1e-3), ((3, 1, 8), 0.1)):
        inputs = {
            "x": random.normal(0.7, 1, size=shape),
            "scale": random.normal(1, 0.5, size=shape[-1]),
            "upstream": random.normal(size=shape),
            "epsilon": epsilon,
        }
        yield Case(f"x {shape}, ε = {epsilon}", inputs, unchanged=True)
    inputs = {name: inputs[name].astype("float32") for name in ("x", "scale", "upstream")}
    inputs["x"][0] = 0
    yield Case("a token of zeros, 32 bits", {**inputs, "epsilon": 0.01})


@exercise.reference
def solution(x, scale, upstream, epsilon):
    r = 1 / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + epsilon)  # (…, 1)
    z = x * r
    z_bar = upstream * scale
    for_x = r * (z_bar - z * np.mean(z_bar * z, axis=-1, keepdims=True))
    for_scale = np.sum(upstream * z, axis=tuple(range(x.ndim - 1)))
    return scale * z, for_x, for_scale


@exercise.right
def with_a_tape(x, scale, upstream, epsilon):
    x, scale = tf.constant(x), tf.constant(scale)
    with tf.GradientTape() as tape:
        tape.watch((x, scale))
        y = scale * x / tf.sqrt(tf.reduce_mean(x**2, axis=-1, keepdims=True) + epsilon)
    return (y, *tape.gradient(y, (x, scale), output_gradients=tf.constant(upstream)))


@exercise.right
def by_the_quotient_rule(x, scale, upstream, epsilon):
    d = x.shape[-1]
    size = np.sqrt((x * x).sum(axis=-1, keepdims=True) / d + epsilon)
    for_size = -(upstream * scale * x).sum(axis=-1, keepdims=True) / size**2
    for_x = upstream * scale / size + for_size * x / (d * size)
    for_scale = (upstream * x / size).reshape(-1, d).sum(axis=0)
    return scale * x / size, for_x, for_scale


@exercise.right
def with_jacobians(x, scale, upstream, epsilon):
    y, for_x, for_scale = np.zeros_like(x), np.zeros_like(x), np.zeros_like(scale)
    for place in np.ndindex(x.shape[:-1]):
        token, bar = x[place], upstream[place]
        r = (token @ token / len(token) + epsilon) ** -0.5
        y[place] = scale * token * r
        jacobian = r * np.eye(len(token)) - r**3 * np.outer(token, token) / len(token)
        for_x[place] = (bar * scale) @ jacobian
        for_scale += bar * token * r
    return y, for_x, for_scale


exercise.mistake(
    "size_as_constant",
    "You treat the root mean square as a constant. It depends on every number of its token, "
    "and that is the second term of the gradient for x.",
    old="r * (z_bar - z * np.mean(z_bar * z, axis=-1, keepdims=True))",
    new="r * z_bar",
)


@exercise.wrong(
    "This is layer normalisation: the mean is subtracted. RMS normalisation leaves it alone."
)
def mean_subtracted(x, scale, upstream, epsilon):
    x = x - x.mean(axis=-1, keepdims=True)
    r = 1 / np.sqrt(np.mean(x**2, axis=-1, keepdims=True) + epsilon)  # (…, 1)
    z = x * r
    z_bar = upstream * scale
    for_x = r * (
        z_bar - z_bar.mean(axis=-1, keepdims=True) - z * np.mean(z_bar * z, axis=-1, keepdims=True)
    )
    for_scale = np.sum(upstream * z, axis=tuple(range(x.ndim - 1)))
    return scale * z, for_x, for_scale


@exercise.wrong(
    "ε is outside of the root. It is added to the mean of the squares, under the root; with a "
    "large ε one sees it."
)
def epsilon_outside(x, scale, upstream, epsilon):
    size = np.sqrt(np.mean(x**2, axis=-1, keepdims=True))
    r = 1 / (size + epsilon)  # (…, 1)
    z = x * r
    z_bar = upstream * scale
    for_x = r * (z_bar - x * np.mean(z_bar * z, axis=-1, keepdims=True) / np.maximum(size, 1e-9))
    for_scale = np.sum(upstream * z, axis=tuple(range(x.ndim - 1)))
    return scale * z, for_x, for_scale


exercise.mistake(
    "scale_left_out",
    "The gradient for x does not know the scale. What comes back into z is upstream ⊙ scale.",
    old="upstream * scale",
    new="upstream",
)


@exercise.wrong(
    "You divide by the root of the sum of the squares. It is the mean: the sum divided by d."
)
def sum_of_squares(x, scale, upstream, epsilon):
    r = 1 / np.sqrt(np.sum(x**2, axis=-1, keepdims=True) + epsilon)  # (…, 1)
    z = x * r
    z_bar = upstream * scale
    for_x = r * (z_bar - z * np.sum(z_bar * z, axis=-1, keepdims=True))
    for_scale = np.sum(upstream * z, axis=tuple(range(x.ndim - 1)))
    return scale * z, for_x, for_scale


exercise.mistake(
    "scale_averaged",
    "The gradient for the scale is a mean over the tokens. All tokens use the same scale, so "
    "it is the sum of what they say.",
    old="np.sum",
    new="np.mean",
)
exercise.mistake("raw_x_for_scale", old="upstream * z", new="upstream * x")
exercise.mistake("sign_turned", old="- z", new="+ z")
exercise.mistake("sum_in_the_gradient", old="* np.mean", new="* np.sum")
exercise.mistake(
    "scale_for_each_token",
    old="np.sum(upstream * z, axis=tuple(range(x.ndim - 1)))",
    new="upstream * z",
)
