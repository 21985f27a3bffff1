"""The focal loss from logits."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=2,
    minutes=25,
    difficulty=2,
    points=3,
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "Two logits hide behind z: where y = 1 the true class has the logit z, where y = 0 it has "
        "−z. Call it s; then p_t = σ(s) in both cases.",
        "−log p_t = log(1 + e^(−s)), and 1 − p_t = σ(−s). The chapter has a form of both that "
        "overflows nowhere; NumPy calls the first np.logaddexp(0, −s).",
        "log(1 − p_t) = −np.logaddexp(0, s), so (1 − p_t)^γ = exp(−γ · logaddexp(0, s)). The loss "
        "is weight · exp(−γ · logaddexp(0, s)) · logaddexp(0, −s).",
    ],
)


@exercise.stub
def focal_loss(labels, logits, gamma, alpha):
    """The focal loss of each example, for two classes.

    On a photo nearly every patch is background. Each is told easily and adds little to the
    cross-entropy, but together they drown the few objects. The focal loss makes the easy ones
    cheaper still. With p_t, the probability that the model gives to what is true,

        loss_i = −a_i · (1 − p_t)^γ · log p_t

        p_t = σ(z_i)      and  a_i = α        where y_i = 1,
        p_t = 1 − σ(z_i)  and  a_i = 1 − α    where y_i = 0.

    Here σ is the sigmoid. With γ = 0 and α = 1/2 this is half the cross-entropy. It must be right
    for logits up to ±1000 and in float32 as well as in float64.

    Practises: chapter 2, "The formula that overflows".

    Args:
        labels: (n,) array of 0 and 1, of the dtype of logits.
        logits: (n,) array z, float32 or float64.
        gamma: number γ ≥ 0.
        alpha: number α between 0 and 1.

    Returns:
        (n,) array, float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|; no NaN or infinity.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"labels": np.array([1.0, 1.0, 0.0, 0.0]), "logits": np.array([2.0, -1.0, -3.0, 0.5])}
    yield Case("cross-entropy, weighted", inputs | {"gamma": 0.0, "alpha": 0.25})
    yield Case("easy ones made cheaper", inputs | {"gamma": 2.0, "alpha": 0.25})


@exercise.hidden
def drawn(random):
    for n, dtype in ((20, "float64"), (33, "float32"), (1, "float64")):
        inputs = {
            "labels": random.integers(0, 2, n).astype(dtype),
            "logits": random.normal(0, 3, n).astype(dtype),
            "gamma": float(random.uniform(0.5, 3)),
            "alpha": float(random.uniform(0.1, 0.4)),
        }
        yield Case(f"{n} examples in {dtype}", inputs, unchanged=True)
    for dtype in ("float64", "float32"):
        sure = random.choice([-1.0, 1.0], 12) * random.uniform(20, 1000, 12)
        sure[:4] = 1000, -1000, 30, -30
        labels = random.integers(0, 2, 12)
        labels[:4] = 0, 1, 0, 1
        inputs = {"labels": labels.astype(dtype), "logits": sure.astype(dtype)}
        yield Case(f"sure answers in {dtype}", inputs | {"gamma": 1.5, "alpha": 0.3})


@exercise.reference
def solution(labels, logits, gamma, alpha):
    true = np.where(labels == 1, logits, -logits)  # (n,), the true class' logit
    weights = np.where(labels == 1, alpha, 1 - alpha)
    return weights * np.exp(-gamma * np.logaddexp(0, true)) * np.logaddexp(0, -true)


@exercise.right
def with_the_chapters_form(labels, logits, gamma, alpha):
    loss = np.maximum(logits, 0) - labels * logits + np.log1p(np.exp(-np.abs(logits)))
    small = np.exp(-np.abs(logits))
    p = np.where(logits >= 0, 1, small) / (1 + small)
    other = np.where(logits >= 0, small, 1) / (1 + small)
    not_true = np.where(labels == 1, other, p)
    return np.where(labels == 1, alpha, 1 - alpha) * not_true**gamma * loss


@exercise.right
def with_tensorflow(labels, logits, gamma, alpha):
    labels, logits = tf.constant(labels, tf.float32), tf.constant(logits, tf.float32)
    loss = tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits)
    not_true = tf.sigmoid(tf.where(labels > 0.5, -logits, logits))
    return tf.where(labels > 0.5, alpha, 1 - alpha) * not_true**gamma * loss


@exercise.right
def with_keras(labels, logits, gamma, alpha):
    signs = 2 * labels - 1
    not_true = keras.ops.convert_to_tensor(-signs * logits)
    weights = 0.5 + signs * (alpha - 0.5)
    return weights * keras.ops.sigmoid(not_true) ** gamma * keras.ops.softplus(not_true)


@exercise.right
def with_a_loop(labels, logits, gamma, alpha):
    import math

    losses = []
    for label, logit in zip(labels.tolist(), logits.tolist(), strict=True):
        true = logit if label else -logit
        small = math.exp(-abs(true))
        loss = max(-true, 0) + math.log1p(small)
        not_true = (small if true >= 0 else 1) / (1 + small)
        losses.append((alpha if label else 1 - alpha) * not_true**gamma * loss)
    return np.array(losses)


@exercise.wrong(
    "For sure and wrong answers the loss is infinite: p_t is rounded to 0 before its logarithm is "
    "taken. Find log p_t from the logit, without p_t."
)
def as_printed(labels, logits, gamma, alpha):
    with np.errstate(all="ignore"):
        p = 1 / (1 + np.exp(-logits))
        true = np.where(labels == 1, p, 1 - p)
        return -np.where(labels == 1, alpha, 1 - alpha) * (1 - true) ** gamma * np.log(true)


@exercise.wrong(
    "The probabilities are clipped at 1e-7, so no loss exceeds 16.1, however wrong the answer, "
    "and its gradient is 0. Work on the logits instead."
)
def clipped(labels, logits, gamma, alpha):
    with np.errstate(all="ignore"):
        p = np.clip(1 / (1 + np.exp(-logits.astype("float64"))), 1e-7, 1 - 1e-7)
    true = np.where(labels == 1, p, 1 - p)
    return -np.where(labels == 1, alpha, 1 - alpha) * (1 - true) ** gamma * np.log(true)


exercise.mistake(
    "easy_ones_dear",
    "The factor is p_t^γ, which makes the easy examples dear and the hard ones cheap; it is "
    "(1 − p_t)^γ.",
    old="np.logaddexp(0, true)",
    new="np.logaddexp(0, -true)",
)
exercise.mistake(
    "factor_of_class_one",
    "The factor is (1 − σ(z))^γ for both classes. Where y = 0 the true class has the probability "
    "1 − σ(z), and the factor is σ(z)^γ.",
    old="np.logaddexp(0, true)",
    new="np.logaddexp(0, logits)",
)


@exercise.wrong("α weighs both classes alike: examples with y = 0 have the weight 1 − α.")
def one_weight_for_all(labels, logits, gamma, alpha):
    true = np.where(labels == 1, logits, -logits)
    return alpha * np.exp(-gamma * np.logaddexp(0, true)) * np.logaddexp(0, -true)


@exercise.wrong()
def mean_of_the_losses(labels, logits, gamma, alpha):
    true = np.where(labels == 1, logits, -logits)
    weights = np.where(labels == 1, alpha, 1 - alpha)
    return np.mean(weights * np.exp(-gamma * np.logaddexp(0, true)) * np.logaddexp(0, -true))


exercise.mistake("weights_swapped", old="alpha, 1 -", new="1 - alpha,")


@exercise.wrong()
def gamma_forgotten(labels, logits, gamma, alpha):
    true = np.where(labels == 1, logits, -logits)
    return np.where(labels == 1, alpha, 1 - alpha) * np.logaddexp(0, -true)


@exercise.wrong()
def gamma_on_the_product(labels, logits, gamma, alpha):
    true = np.where(labels == 1, logits, -logits)
    weights = np.where(labels == 1, alpha, 1 - alpha)
    return (weights * np.exp(-np.logaddexp(0, true))) ** gamma * np.logaddexp(0, -true)


exercise.mistake("sign_lost", old="return", new="return -")
