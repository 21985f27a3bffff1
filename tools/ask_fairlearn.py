"""Asks fairlearn for the figures that `kerasbook verify chapter10_fairness` compares with.

    python -m venv /tmp/fairlearn && /tmp/fairlearn/bin/pip install fairlearn==0.15.0
    /tmp/fairlearn/bin/python tools/ask_fairlearn.py > kerasbook/ledger/fairlearn.json

Fairlearn is no dependency of the book: its figures are kept. The people are drawn as
`kerasbook.ledger.chapter10_fairness.drawn_people` draws them, with NumPy alone.
"""

import json
import sys
from importlib.metadata import version

import fairlearn.metrics as metrics
import numpy as np
from fairlearn.postprocessing import ThresholdOptimizer
from sklearn.base import BaseEstimator


def drawn_people(seed):
    """Returns y, yes and group (n,) of 300 people in three groups."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 3, 300)
    y = (random.uniform(size=300) < 0.2 + 0.2 * group).astype(int)
    yes = random.uniform(size=300) < 0.1 + 0.5 * y + 0.1 * group
    return y, yes, group


def drawn_scores(seed):
    """Returns scores, y and group (n,) of 400 people in two groups."""
    random = np.random.default_rng([seed, 1])
    group = random.integers(0, 2, 400)
    y = (random.uniform(size=400) < 0.2 + 0.25 * group).astype(int)
    return random.normal(size=400) + (1.6 - 0.7 * group) * y + 0.5 * group, y, group


class Scores(BaseEstimator):
    """A model that is trained already: its input is its score."""

    def fit(self, x, y):
        """Returns itself: there is nothing to be learned."""
        self.fitted_ = True
        return self

    def predict(self, x):
        """Returns the scores (n,)."""
        return x[:, 0]


def equalised_odds(seed) -> dict:
    """Returns the chances of a yes by which fairlearn equalises both rates, for one draw."""
    scores, y, group = drawn_scores(seed)
    options = {"constraints": "equalized_odds", "objective": "accuracy_score", "prefit": True}
    optimizer = ThresholdOptimizer(
        estimator=Scores().fit(None, None), predict_method="predict", **options
    )
    optimizer.fit(scores[:, np.newaxis], y, sensitive_features=group)
    chances = optimizer._pmf_predict(scores[:, np.newaxis], sensitive_features=group)[:, 1]
    rates = {
        name: [chances[(group == one) & (y == value)].mean() for one in (0, 1)]
        for name, value in (("true", 1), ("false", 0))
    }
    return {"seed": seed, **rates, "chances of the first": chances[:40].tolist()}


def figures(seed) -> dict:
    """Returns fairlearn's figures for one draw."""
    y, yes, group = drawn_people(seed)
    frame = metrics.MetricFrame(
        metrics={
            "yes": metrics.selection_rate,
            "true": metrics.true_positive_rate,
            "false": metrics.false_positive_rate,
        },
        y_true=y,
        y_pred=yes.astype(int),
        sensitive_features=group,
    )
    arguments = {"y_pred": yes.astype(int), "sensitive_features": group}
    return {
        "seed": seed,
        **{name: frame.by_group[name].tolist() for name in ("yes", "true", "false")},
        "parity gap": metrics.demographic_parity_difference(y, **arguments),
        "odds gap": metrics.equalized_odds_difference(y, **arguments),
    }


if __name__ == "__main__":
    found = {
        "fairlearn": version("fairlearn"),
        "draws": [figures(seed) for seed in range(5)],
        "odds": [equalised_odds(seed) for seed in range(3)],
    }
    json.dump(found, sys.stdout, indent=1)
    print()
