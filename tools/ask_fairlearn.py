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


def drawn_people(seed):
    """Returns y, yes and group (n,) of 300 people in three groups."""
    random = np.random.default_rng(seed)
    group = random.integers(0, 3, 300)
    y = (random.uniform(size=300) < 0.2 + 0.2 * group).astype(int)
    yes = random.uniform(size=300) < 0.1 + 0.5 * y + 0.1 * group
    return y, yes, group


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
    found = {"fairlearn": version("fairlearn"), "draws": [figures(seed) for seed in range(5)]}
    json.dump(found, sys.stdout, indent=1)
    print()
