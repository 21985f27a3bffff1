"""Privacy: what the ledger claims of it, and the mistakes that must be seen."""

import math

from kerasbook import chapter10_privacy as page
from kerasbook.ledger.core import as_pairs, claim, mutant, precision

import keras
import numpy as np
import tensorflow as tf

KEY = "chapter10_privacy"
EXACT = {"dtypes": ("float64",), "sources": "N"}


def small_network(draw):
    """Returns a dense network on pictures with random weights, and a batch for it."""
    with precision(draw.dtype):
        model = page.make_model(hidden=(draw.size(3, 6),), classes=4)
    model.set_weights(
        [draw(*weight.shape) / weight.shape[0] ** 0.5 for weight in model.get_weights()]
    )
    n = draw.size(4, 8)
    return model, draw(n, 28, 28, 1), draw.random.integers(0, 4, n)


@claim(KEY, "per-example gradients: loop = vectorized_map")
def _(draw):
    model, x, y = small_network(draw)
    with precision(draw.dtype):
        return as_pairs(
            "gradient", page.gradients_by_map(model, x, y), page.gradients_by_loop(model, x, y)
        )


@claim(KEY, "ghost norms = norms of the loop's gradients")
def _(draw):
    model, x, y = small_network(draw)
    with precision(draw.dtype):
        losses, _, _, norms = page.ghosts(model, x, y)
        expected = keras.losses.sparse_categorical_crossentropy(y, model(x), from_logits=True)
        pairs = {"values of the losses": (losses, expected)}
        return pairs | {"values": (norms, page.norms_of(page.gradients_by_loop(model, x, y)))}


@claim(KEY, "clipped sums = clipping one by one, rows that fill left out")
def _(draw):
    model, x, y = small_network(draw)
    with precision(draw.dtype):
        _, inputs, deltas, norms = page.ghosts(model, x, y)
        clip = float(np.median(norms))
        weight = (np.arange(len(y)) % 3 > 0).astype(draw.dtype)
        ours = page.clipped_sums(inputs, deltas, norms, weight, clip)
        rows = zip(*page.gradients_by_loop(model, x, y), strict=True)
        clipped = [tf.clip_by_global_norm(row, clip)[0] for row in rows]
    kept = [row for row, drawn in zip(clipped, weight, strict=True) if drawn]
    return as_pairs(
        "gradient", ours, [tf.add_n(list(column)) for column in zip(*kept, strict=True)]
    )


@claim(KEY, "a step without noise = clipped sums over the expected batch")
def _(draw):
    model, x, y = small_network(draw)
    weight = (np.arange(len(y)) % 3 > 0).astype(draw.dtype)
    with precision(draw.dtype):
        _, inputs, deltas, norms = page.ghosts(model, x, y)
        sums = page.clipped_sums(inputs, deltas, norms, weight, 0.5)
        optimizer, before = keras.optimizers.SGD(1.0), model.get_weights()
        optimizer.build(model.trainable_variables)
        step = page.make_private_step(model, optimizer, 0.5, 0.0, expected=8.0)
        step(tf.constant(x), tf.constant(y), tf.constant(weight))
    moved = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
    return as_pairs("weights", moved, [each / 8 for each in sums])


@claim(KEY, "RDP by hand = dp-accounting's = Opacus'", **EXACT)
def _(draw):
    pairs = {}
    for each in page.accountants()["settings"]:
        q = each["batch"] / each["examples"]
        ours = page.renyi_epsilon(q, each["sigma"], each["steps"])
        for theirs in ("dp-accounting, RDP", "Opacus, RDP"):
            # they sum up series of their own: six digits are what can be asked for
            name = f"values, {theirs}, {each['batch']}/{each['examples']}, σ = {each['sigma']}"
            pairs[name] = round(ours, 6), round(each[theirs], 6)
    return pairs


@claim(KEY, "ε of one Gaussian = dp-accounting's by its distribution", **EXACT)
def _(draw):
    pairs = {}
    for each in page.accountants()["gaussian"]:
        ours = page.gaussian_epsilon(1e-5, each["sigma"])
        pairs[f"values, σ = {each['sigma']}"] = round(ours, 4), round(each["ε"], 4)
    return pairs


def integral(function, low, high, pieces=20_000):
    """Returns the integral of a function by Simpson's rule."""
    x = np.linspace(low, high, 2 * pieces + 1)
    weights = np.where(np.arange(len(x)) % 2, 4.0, 2.0)
    weights[[0, -1]] = 1
    return weights @ function(x) * (x[1] - x[0]) / 3


def bell(x, mean, sigma):
    """Returns the density of a normal distribution."""
    return np.exp(-(((x - mean) / sigma) ** 2) / 2) / sigma / math.sqrt(2 * math.pi)


@claim(KEY, "δ of a Gaussian = the integral of the excess", **EXACT)
def _(draw):
    sigma, epsilon = draw.random.uniform(0.5, 3), draw.random.uniform(0.1, 2)
    border = epsilon * sigma**2 + 0.5  # from here on the density with you is e^ε times as large

    def excess(x):
        return bell(x, 1, sigma) - math.exp(epsilon) * bell(x, 0, sigma)

    expected = integral(excess, border, border + 30 * sigma)
    return {"values": (page.gaussian_delta(epsilon, sigma), expected)}


@claim(KEY, "the limit of every attack = the best attack on a Gaussian, where they touch", **EXACT)
def _(draw):
    sigma, epsilon = draw.random.uniform(0.5, 3), draw.random.uniform(0.1, 2)
    delta, border = page.gaussian_delta(epsilon, sigma), epsilon * sigma**2 + 0.5
    true, false = (page.normal_share((mean - border) / sigma) for mean in (1, 0))
    return {
        "values of a yes": (page.most_caught(false, epsilon, delta), true),
        "values of a no": (page.most_caught(1 - true, epsilon, delta), 1 - false),
    }


@claim(KEY, "Rényi divergence of a Poisson step = the integral over the noise", **EXACT)
def _(draw):
    q, sigma, order = draw.random.uniform(0.05, 0.5), draw.random.uniform(1, 3), draw.size(2, 6)

    def moment(x):
        ratio = 1 - q + q * np.exp((x - 0.5) / sigma**2)
        return bell(x, 0, sigma) * ratio**order

    found = integral(moment, -30 * sigma, order + 30 * sigma)
    return {"values": (page.renyi(q, sigma, order), math.log(found) / (order - 1))}


@claim(KEY, "probability of so many right guesses = the sum with whole numbers", **EXACT)
def _(draw):
    guesses = draw.size(5, 60)
    right, p = draw.size(0, guesses), draw.random.uniform(0.1, 0.9)
    expected = sum(
        math.comb(guesses, k) * p**k * (1 - p) ** (guesses - k) for k in range(right, guesses + 1)
    )
    return {"values": (page.chance_of(right, guesses, p), expected)}


@claim(KEY, "LiRA's score = log densities of two bells, model by model", **EXACT)
def _(draw):
    was_in = draw.random.uniform(size=(9, 12)) < 0.5
    was_in[:2], was_in[2:4] = True, False
    losses = np.exp(draw.random.normal(size=(9, 12)) - was_in)
    values, expected = -losses - np.log(-np.expm1(-losses)), np.empty((9, 12))
    for j in range(9):
        others = [k for k in range(9) if k != j]
        groups = [[[values[k, i] for k in others if was_in[k, i] == kind] for i in range(12)]
                  for kind in (True, False)]  # fmt: skip
        spread = [np.mean([np.std(group) for group in kind]) for kind in groups]
        for i in range(12):
            inside, outside = (
                -((values[j, i] - np.mean(kind[i])) ** 2) / (2 * s**2)
                for kind, s in zip(groups, spread, strict=True)
            )
            expected[j, i] = inside - outside
    return {"values": (page.lira(was_in, losses), expected)}


# --- mistakes to be seen --------------------------------------------------------------------

GHOST, SUMS, STEP = {"by": "ghost"}, {"by": "clipped sums"}, {"by": "a step"}
mutant(KEY, page.ghosts, "sum_of_squares(a) + 1)", "sum_of_squares(a))", "bias forgotten", **GHOST)
mutant(KEY, page.ghosts, "a = layer.activation(scores[-1])", "a = scores[-1]", "no bend", **GHOST)
mutant(KEY, page.norms_of, "tf.sqrt(", "tf.identity(", "squares for norms", **GHOST)
mutant(KEY, page.gradients_by_map, "one_y[None]", "y[:1]", "the first target for all", by="loop")
mutant(KEY, page.clipped_sums, "tf.minimum(1.0, clip / norms)", "clip / norms",
       "short gradients stretched", **SUMS)  # fmt: skip
mutant(KEY, page.clipped_sums, "tf.minimum(1.0, clip / norms)", "1.0", "not clipped", **SUMS)
mutant(KEY, page.clipped_sums, "weight * ", "", "rows that fill counted", **SUMS)
mutant(KEY, page.make_private_step, "[s / expected for", "[s / tf.reduce_sum(weight) for",
       "divided by the actual batch", **STEP)  # fmt: skip
mutant(KEY, page.make_private_step, "[s / expected for", "[s for", "not divided", **STEP)
mutant(KEY, page.renyi, "k * (k - 1)", "k * k", "k² in the exponent", by="RDP")
mutant(KEY, page.renyi, "/ (order - 1)", "/ order", "divided by the order", by="RDP")
mutant(KEY, page.renyi, "choose + ", "", "no binomial", by="Poisson")
mutant(KEY, page.renyi_epsilon, "math.log1p(-1 / a) - math.log(delta * a)", "-math.log(delta)",
       "the older conversion", by="RDP")  # fmt: skip
mutant(
    KEY,
    page.gaussian_delta,
    "epsilon + math.log(low)",
    "math.log(low)",
    "without e^ε",
    by="Gaussian",
)
mutant(KEY, page.gaussian_delta, "normal_share(0.5 / sigma", "normal_share(1 / sigma",
       "a border that is not halfway", by="Gaussian")  # fmt: skip
LIMIT = {"by": "every attack"}
mutant(KEY, page.most_caught, "np.minimum(of_a_yes, of_a_no)", "of_a_yes", "one limit", **LIMIT)
mutant(KEY, page.most_caught, "* false + delta", "* false", "δ forgotten", **LIMIT)
mutant(KEY, page.chance_of, "np.arange(right, guesses + 1)", "np.arange(right + 1, guesses + 1)",
       "more than so many", by="guesses")  # fmt: skip
mutant(KEY, page.lira, "np.arange(len(values)) != j", "np.arange(len(values)) >= 0",
       "each model among its own references", by="LiRA")  # fmt: skip
mutant(KEY, page.lira, "/ s_out) ** 2", "/ s_in) ** 2", "the other spread", by="LiRA")
