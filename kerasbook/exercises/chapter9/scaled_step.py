"""Loss scaling by hand: a step in float16 whose scale moves."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=9,
    minutes=25,
    difficulty=2,
    points=4,
    kind="training step",
    outputs=None,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Three things in this order: turn the gradients into float32 and divide them by the scale "
        "they were made with; ask whether all are finite; only then decide about the step.",
        "The counter of good steps goes back to 0 in two cases: after an overflow, and after the "
        "scale was doubled.",
        "finite = all(np.isfinite(g).all()). If so: w - learning_rate * g, good + 1, and if that "
        "is patience: min(2 * scale, largest), 0. If not: the same weights, max(scale / 2, 1), 0.",
    ],
)


@exercise.stub
def scaled_step(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    """Take a step of gradient descent with gradients of 16 bits, and move the loss scale.

    `gradients_of(weights, scale)` returns the gradients of scale · loss as float16 arrays; some may
    be infinite or NaN. The weights are float32 and stay so.

    - All gradients finite: every weight goes against its gradient of the *loss*, times the learning
      rate. The division by the scale is done in float32. This is a good step. After `patience` good
      steps in a row the scale is doubled, but never beyond `largest`, and counting begins at 0.
    - Otherwise no weight changes, the scale is halved, but not below 1, and counting begins at 0.

    Practises: chapter 9, "Loss scaling with a scale that moves".

    Args:
        gradients_of: as above. Call it once.
        weights: list of float32 arrays.
        scale: a number, a power of two from 1 to `largest`.
        good_steps: how many good steps there have been in a row since counting began.
        learning_rate: a number.
        patience: a whole number, at least 1.
        largest: the greatest scale there may be.

    Returns:
        The new weights, a list of float32 arrays; the new scale; the new number of good steps.

    It is called for several steps, each with what the one before returned. Weights, scales and
    counts after each are compared (tolerance 1e-6 + 1e-5 · |expected|).
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    weights = [inputs["kernel"].astype("float32"), inputs["bias"].astype("float32")]
    scale, good = float(inputs["scale"]), 0
    kernels, biases, scales, counts, calls = [], [], [], [], []
    for x, y in zip(inputs["x"], inputs["y"]):
        called = [0]

        def gradients_of(weights, scale, x=x, y=y, called=called):
            called[0] += 1
            kernel, bias = (np.asarray(each, "float32") for each in weights)
            with np.errstate(over="ignore", invalid="ignore"):
                error = (x @ kernel + bias - y) / len(x)
                found = x.T @ error * inputs["size"], error.sum(axis=0) * inputs["size"]
                return [np.float16(np.float64(each) * float(scale)) for each in found]

        weights, scale, good = solution(
            gradients_of,
            [np.array(each) for each in weights],
            scale,
            good,
            inputs["learning_rate"],
            inputs["patience"],
            inputs["largest"],
        )
        weights = [np.asarray(each) for each in weights]
        kernels.append(weights[0])
        biases.append(weights[1])
        scales.append(float(scale))
        counts.append(int(good))
        calls.append(called[0])
    return {
        "kernels": np.stack(kernels),
        "biases": np.stack(biases),
        "scales": np.array(scales),
        "good steps": np.array(counts),
        "calls": np.array(calls),
    }


def training(random, steps, scale, patience, largest, size, learning_rate):
    """Returns the inputs of a case; size: what all gradients are multiplied by."""
    return {
        "x": random.normal(size=(steps, 6, 3)).astype("float32"),
        "y": random.normal(size=(steps, 6, 2)).astype("float32"),
        "kernel": random.normal(size=(3, 2)),
        "bias": random.normal(size=2),
        "scale": scale,
        "patience": patience,
        "largest": largest,
        "size": size,
        "learning_rate": learning_rate,
    }


@exercise.public
def examples(random):
    yield Case("three steps, no overflow", training(random, 3, 8.0, 2, 64.0, 1.0, 0.1))


@exercise.hidden
def drawn(random):
    yield Case("overflows at first", training(random, 12, 2.0**20, 3, 2.0**24, 1.0, 0.1))
    yield Case("very small gradients", training(random, 6, 2.0**16, 9, 2.0**24, 1e-5, 1e4))
    yield Case("as far as the largest scale", training(random, 9, 2.0, 1, 16.0, 1.0, 0.1))
    yield Case("overflows even at 1", training(random, 4, 4.0, 2, 64.0, 1e7, 1e-9))
    yield Case("around the border", training(random, 20, 2.0**17, 2, 2.0**24, 1.0, 0.02))


@exercise.reference
def solution(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    gradients = [np.float32(g) / np.float32(scale) for g in gradients_of(weights, scale)]
    if not all(np.isfinite(g).all() for g in gradients):
        return weights, max(scale / 2, 1.0), 0
    new = [np.float32(w - learning_rate * g) for w, g in zip(weights, gradients)]
    if good_steps + 1 == patience:
        return new, min(2 * scale, largest), 0
    return new, scale, good_steps + 1


@exercise.right
def with_tensors(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    found = gradients_of(weights, scale)
    gradients = [tf.cast(g, tf.float32) / scale for g in found]
    finite = tf.reduce_all([tf.reduce_all(tf.math.is_finite(g)) for g in gradients])
    good = tf.where(finite, good_steps + 1, 0)
    grow = good == patience
    scale = tf.where(finite, tf.where(grow, tf.minimum(2.0 * scale, largest), scale),
                     tf.maximum(scale / 2.0, 1.0))  # fmt: skip
    new = [tf.where(finite, w - learning_rate * g, w) for w, g in zip(weights, gradients)]
    return new, float(scale), int(tf.where(grow, 0, good))


@exercise.right
def with_keras(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    gradients = [keras.ops.cast(g, "float32") for g in gradients_of(weights, scale)]
    total = sum(float(keras.ops.sum(keras.ops.isfinite(g))) for g in gradients)
    if total < sum(np.size(g) for g in gradients):
        return weights, scale / 2 if scale > 1 else scale, 0
    optimizer = keras.optimizers.SGD(learning_rate)
    variables = [keras.Variable(w) for w in weights]
    optimizer.build(variables)
    optimizer.apply([g / scale for g in gradients], variables)
    new = [np.array(v) for v in variables]
    good_steps = (good_steps + 1) % patience
    if good_steps == 0 and scale < largest:
        scale = scale * 2
    return new, scale, good_steps


@exercise.right
def in_one_row(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    row = np.concatenate([np.ravel(g) for g in gradients_of(weights, scale)]).astype("float64")
    if np.abs(row).max() <= 65504:
        parts = np.split(row / scale, np.cumsum([w.size for w in weights])[:-1])
        for w, part in zip(weights, parts):
            w -= (learning_rate * part.reshape(w.shape)).astype("float32")
        good_steps += 1
        if good_steps >= patience:
            good_steps, scale = 0, scale if scale == largest else 2 * scale
        return weights, scale, good_steps
    return weights, 1.0 if scale <= 2 else scale / 2, 0


@exercise.wrong(
    "The gradients are divided by the scale while they are still float16: the small ones become "
    "zero after all. Turn them into float32 first."
)
def divided_in_16_bits(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    gradients = [(g / np.float16(min(scale, 32768))) / np.float16(max(scale / 32768, 1))
                 for g in gradients_of(weights, scale)]  # fmt: skip
    if not all(np.isfinite(g).all() for g in gradients):
        return weights, max(scale / 2, 1.0), 0
    new = [np.float32(w - learning_rate * np.float32(g)) for w, g in zip(weights, gradients)]
    if good_steps + 1 == patience:
        return new, min(2 * scale, largest), 0
    return new, scale, good_steps + 1


exercise.mistake(
    "not_divided",
    "The gradients are those of scale · loss: divide them by the scale.",
    old="np.float32(g) / np.float32(scale)",
    new="np.float32(g)",
)


@exercise.wrong(
    "An infinite gradient is replaced and the others are applied. A step with an overflow is left "
    "out as a whole: no weight changes."
)
def applied_in_part(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    gradients = [np.float32(g) / np.float32(scale) for g in gradients_of(weights, scale)]
    finite = all(np.isfinite(g).all() for g in gradients)
    gradients = [np.where(np.isfinite(g), g, 0) for g in gradients]
    new = [np.float32(w - learning_rate * g) for w, g in zip(weights, gradients)]
    if not finite:
        return new, max(scale / 2, 1.0), 0
    if good_steps + 1 == patience:
        return new, min(2 * scale, largest), 0
    return new, scale, good_steps + 1


@exercise.wrong(
    "The gradients are divided by the scale of the next step. They were made with the old one."
)
def divided_by_the_next(gradients_of, weights, scale, good_steps, learning_rate, patience, largest):
    found = [np.float32(g) for g in gradients_of(weights, scale)]
    if not all(np.isfinite(g).all() for g in found):
        return weights, max(scale / 2, 1.0), 0
    good_steps += 1
    if good_steps == patience:
        scale, good_steps = min(2 * scale, largest), 0
    new = [np.float32(w - learning_rate * g / scale) for w, g in zip(weights, found)]
    return new, scale, good_steps


exercise.mistake(
    "overflow_keeps_the_count",
    old="weights, max(scale / 2, 1.0), 0",
    new="weights, max(scale / 2, 1.0), good_steps",
)


@exercise.wrong()
def doubled_at_every_step_from_then_on(
    gradients_of, weights, scale, good_steps, learning_rate, patience, largest
):
    gradients = [np.float32(g) / np.float32(scale) for g in gradients_of(weights, scale)]
    if not all(np.isfinite(g).all() for g in gradients):
        return weights, max(scale / 2, 1.0), 0
    new = [np.float32(w - learning_rate * g) for w, g in zip(weights, gradients)]
    if good_steps + 1 >= patience:
        return new, min(2 * scale, largest), good_steps + 1
    return new, scale, good_steps + 1


exercise.mistake("beyond_the_largest", old="min(2 * scale, largest)", new="2 * scale")
exercise.mistake("below_one", old="max(scale / 2, 1.0)", new="scale / 2")
exercise.mistake(
    "first_array_decides",
    old="all(np.isfinite(g).all() for g in gradients)",
    new="np.isfinite(gradients[1]).all()",
)
