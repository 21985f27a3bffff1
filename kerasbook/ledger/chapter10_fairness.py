"""Fairness: what the ledger claims of it, and the mistakes that must be seen."""

import json
from pathlib import Path

from kerasbook import chapter10_fairness as page
from kerasbook.ledger.core import as_pairs, claim, mutant, precision, slopes

import keras
import numpy as np
import tensorflow as tf

KEY = "chapter10_fairness"
FIGURES = Path(__file__).with_name("fairlearn.json")  # made by tools/ask_fairlearn.py


def drawn_people(seed):
    """Returns y, yes and group (n,) of 300 people in three groups, as the tool drew them."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 3, 300)
    y = (random.uniform(size=300) < 0.2 + 0.2 * group).astype(int)
    yes = random.uniform(size=300) < 0.1 + 0.5 * y + 0.1 * group
    return y, yes, group


@claim(KEY, "rates and gaps = fairlearn's figures", dtypes=("float64",), sources="N")
def _(draw):
    pairs = {}
    for figures in json.loads(FIGURES.read_text())["draws"]:
        y, yes, group = drawn_people(figures["seed"])
        true, false = zip(*page.rates(y, yes, group).values(), strict=True)
        ours = {"yes": [*page.selection_rates(yes, group).values()], "true": true, "false": false}
        _, ours["parity gap"], ours["odds gap"] = page.gaps(y, yes, group)
        for name, found in ours.items():
            pairs[f"values of {name}, draw {figures['seed']}"] = found, figures[name]
    return pairs


def drawn_scores(seed):
    """Returns scores, y and group (n,) of 400 people in two groups, as the tool drew them."""
    random = np.random.default_rng([seed, 1])
    group = random.integers(0, 2, 400)
    y = (random.uniform(size=400) < 0.2 + 0.25 * group).astype(int)
    return random.normal(size=400) + (1.6 - 0.7 * group) * y + 0.5 * group, y, group


@claim(
    KEY, "equal odds by a coin = fairlearn's ThresholdOptimizer", dtypes=("float64",), sources="N"
)
def _(draw):
    pairs = {}
    for figures in json.loads(FIGURES.read_text())["odds"]:
        scores, y, group = drawn_scores(figures["seed"])
        curves = page.hulls(scores, y, group)
        chances = page.chances(scores, group, curves, *page.common_rates(curves, y.mean()))
        ours = {"chances of the first": chances[:40]}
        for name, value in (("true", 1), ("false", 0)):
            ours[name] = [chances[(group == one) & (y == value)].mean() for one in (0, 1)]
        for name, found in ours.items():
            pairs[f"values of {name}, draw {figures['seed']}"] = found, figures[name]
    return pairs


@claim(
    KEY, "rates among those left out by a count = sums by hand", dtypes=("float64",), sources="N"
)
def _(draw):
    y, man = draw.random.integers(0, 2, 60), draw.random.uniform(size=60) < 0.5
    yes = draw.random.uniform(size=60) < 0.3 + 0.4 * y
    pairs = {}
    for of, kept in ((None, np.ones(60, bool)), (1, y == 1), (0, y == 0)):
        shares = [sum(yes[kept & who]) / sum(kept & who) for who in (man, ~man)]
        found = page.difference(y, yes, man, of)
        pairs[f"values of the difference, {of}"] = found, shares[0] - shares[1]
    return pairs


@claim(KEY, "calibration = each bin by itself", dtypes=("float64",), sources="N")
def _(draw):
    p, edges = draw.random.uniform(size=200), np.array([0, 0.3, 0.6, 1.0])
    y = (draw.random.uniform(size=200) < p).astype(int)
    expected = []
    for low, high in ((0, 0.3), (0.3, 0.6), (0.6, 1.1)):
        mine = [i for i in range(200) if low <= p[i] < high]
        expected.append([np.mean(p[mine]), np.mean(y[mine]), len(mine)])
    return {"values": (page.calibration(y, p, edges), np.array(expected))}


@claim(KEY, "thresholds for parity, for chances: equal shares", dtypes=("float64",), sources="N")
def _(draw):
    group, rate = np.repeat([0, 1, 2], (101, 201, 401)), 0.25
    y = np.tile([1, 1, 0], 235)[:703]
    # No two are alike within a group, and those with y = 1 have more.
    scores = draw.random.permutation(703) / 100 + group + 3.005 * y
    parity = page.above(scores, group, page.parity_thresholds(scores, group, rate))
    pairs = {}
    for name in range(3):
        pairs[f"values of parity, {name}"] = parity[group == name].sum(), (100, 200, 400)[name] // 4
    chances = page.chance_thresholds(scores, y, group, 0.5)
    for name, threshold in chances.items():
        mine = scores[(group == int(name)) & (y == 1)]
        pairs[f"values of chances, {name}"] = np.sum(mine > threshold), len(mine) // 2
    return pairs


def penalised(draw, step_of):
    """Returns a model, x, y and the weights' change times −1 after one step of plain SGD."""
    rows = draw.size(8, 12)
    with precision(draw.dtype):
        model = page.make_model(3, hidden=4)
        model.set_weights([draw(*weight.shape) for weight in model.get_weights()])
        optimizer = keras.optimizers.SGD(1.0)
        optimizer.build(model.trainable_variables)
        x, group = draw(rows, 3), np.arange(rows) % 2
        y = np.stack([draw.random.integers(0, 2, rows), group], axis=1).astype(draw.dtype)
        before = model.get_weights()
        step_of(model, optimizer)(tf.constant(x), tf.constant(y))
        moved = [a - b for a, b in zip(before, model.get_weights(), strict=True)]
        model.set_weights(before)
    return model, x, y, moved


def scores_by_hand(x, weights):
    """Returns the scores (n,) of the network with these weights."""
    kernel_1, bias_1, kernel_2, bias_2 = weights
    return (np.maximum(x @ kernel_1 + bias_1, 0) @ kernel_2 + bias_2)[:, 0]


@claim(
    KEY, "penalty step = finite differences of the loss by hand", dtypes=("float64",), sources="N"
)
def _(draw):
    def step_of(model, optimizer):
        return page.make_penalty_step(model, optimizer, 3.0)

    model, x, y, moved = penalised(draw, step_of)

    def loss(*weights):
        z = scores_by_hand(x, weights)
        p = 1 / (1 + np.exp(-z))
        gap = p[y[:, 1] == 1].mean() - p[y[:, 1] == 0].mean()
        return np.mean(np.logaddexp(0, z) - y[:, 0] * z) + 3 * gap**2

    named = {str(number): weight for number, weight in enumerate(model.get_weights())}
    return slopes(loss, named, moved)


@claim(KEY, "adversary step = two gradients, each of its own loss")
def _(draw):
    with precision(draw.dtype):
        adversary = page.make_model(1, hidden=8)
    its = [draw(*weight.shape) for weight in adversary.get_weights()]
    adversary.set_weights(its)
    model, x, y, moved = penalised(
        draw, lambda *pair: page.make_adversary_step(*pair, 0.5, adversary)
    )
    adversary.set_weights(its)
    with precision(draw.dtype), tf.GradientTape(persistent=True) as tape:
        scores = model(tf.constant(x))
        guess = adversary(scores)
        losses = [
            tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(tf.constant(y[:, i : i + 1]), s))
            for i, s in enumerate((scores, guess))
        ]
        ours = losses[0] - 0.5 * losses[1]
    return as_pairs("gradient", moved, tape.gradient(ours, model.trainable_variables))


# --- mistakes to be seen --------------------------------------------------------------------

FAIRLEARN, PENALTY = {"by": "fairlearn"}, {"by": "penalty"}
mutant(
    KEY, page.rates, "for value in (1, 0)", "for value in (0, 1)", "rates exchanged", **FAIRLEARN
)
mutant(KEY, page.rates, "yes[mine & (y == value)]", "(y == 1)[mine & (yes == value)]",
       "precision: of those with a yes", **FAIRLEARN)  # fmt: skip
mutant(KEY, page.selection_rates, "yes[group == name].mean()", "(yes & (group == name)).mean()",
       "share of all people", **FAIRLEARN)  # fmt: skip
mutant(KEY, page.gaps, "np.max(np", "np.min(np", "the smaller of two gaps", **FAIRLEARN)
mutant(KEY, page.gaps, "max(chosen) - min(chosen)", "max(chosen)", "no difference", **FAIRLEARN)
mutant(KEY, page.difference, "y == of", "yes == of", "asks those with a yes", by="left out")
mutant(KEY, page.calibration, "y[place == b].mean()", "p[place == b].mean()", "itself", by="bin")
mutant(KEY, page.parity_thresholds, "1 - rate", "rate", "share below", by="thresholds")
mutant(KEY, page.parity_thresholds, "scores[group == name]", "scores", "one for all",
       by="thresholds")  # fmt: skip
mutant(KEY, page.chance_thresholds, "scores[y == 1], group[y == 1]", "scores, group",
       "parity for chances", by="thresholds")  # fmt: skip
COIN = {"by": "ThresholdOptimizer"}
mutant(KEY, page.corners, "if rise", "if not rise", "the lower hull", **COIN)
mutant(KEY, page.common_rates, "np.min([", "np.max([", "the better curve", **COIN)
mutant(KEY, page.common_rates, "share * t - (1 - share) * f", "t - f", "both kinds alike", **COIN)
mutant(KEY, page.chance_of_yes, "coin * f +", "coin * t +", "a coin of the other rate", **COIN)
mutant(KEY, page.chance_of_yes, "(1 - share) * of_left + share * of_right",
       "share * of_left + (1 - share) * of_right", "mixed the wrong way round",
       **COIN)  # fmt: skip
mutant(KEY, page.chance_of_yes, "1 - (t - f) / max(", "0 * max(", "no coin", **COIN)
mutant(KEY, page.score_gap, "tf.reduce_sum(g)", "tf.reduce_sum(tf.ones_like(g))",
       "sums over the batch for means over groups", **PENALTY)  # fmt: skip
mutant(KEY, page.make_penalty_step, "gap**2", "tf.abs(gap)", "absolute for square", **PENALTY)
mutant(KEY, page.reversed_gradient, "-strength * g", "strength * g", "not turned", by="adversary")
mutant(KEY, page.reversed_gradient, "-strength * g", "-g", "strength forgotten", by="adversary")
