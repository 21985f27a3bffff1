"""Asks dp-accounting and Opacus for the ε that `kerasbook verify chapter10_privacy` compares with.

    python -m venv /tmp/accountants
    /tmp/accountants/bin/pip install dp-accounting==0.6.0 opacus==1.6.0
    /tmp/accountants/bin/python tools/ask_accountants.py > kerasbook/ledger/accountants.json

Neither is a dependency of the book: their figures are kept. Opacus brings PyTorch along.
"""

import json
import sys
from importlib.metadata import version

import dp_accounting
from dp_accounting.pld import PLDAccountant
from dp_accounting.rdp import RdpAccountant
from opacus.accountants import GaussianAccountant, PRVAccountant, RDPAccountant

DELTA = 1e-5
ORDERS = list(range(2, 257))
SETTINGS = (  # examples, batch, sigma, steps
    (60_000, 256, 1.1, 14_062),
    (60_000, 256, 1.3, 3_515),
    (9_000, 500, 1.2, 360),
    (9_000, 500, 2.0, 360),
    (500, 50, 1.0, 200),
)


def google(accountant, event, steps) -> float:
    """Returns the ε of so many steps by one of dp-accounting's accountants."""
    return accountant.compose(dp_accounting.SelfComposedDpEvent(event, steps)).get_epsilon(DELTA)


def opacus(accountant, rate, sigma, steps, **options) -> float:
    """Returns the ε of so many steps by one of Opacus' accountants."""
    accountant.history = [(sigma, rate, steps)]
    return float(accountant.get_epsilon(DELTA, **options))


def figures(examples, batch, sigma, steps) -> dict:
    """Returns all accountants' ε for one setting."""
    rate, noise = batch / examples, dp_accounting.GaussianDpEvent(sigma)
    poisson = dp_accounting.PoissonSampledDpEvent(rate, noise)
    fixed = dp_accounting.SampledWithoutReplacementDpEvent(examples, batch, noise)
    replaced = RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_ONE)
    return {
        "examples": examples,
        "batch": batch,
        "sigma": sigma,
        "steps": steps,
        "dp-accounting, RDP": google(RdpAccountant(ORDERS), poisson, steps),
        "dp-accounting, PLD": google(PLDAccountant(), poisson, steps),
        "dp-accounting, without replacement": google(replaced, fixed, steps),
        "Opacus, RDP": opacus(RDPAccountant(), rate, sigma, steps, alphas=ORDERS),
        "Opacus, PRV": opacus(PRVAccountant(), rate, sigma, steps),
        "Opacus, CLT": opacus(GaussianAccountant(), rate, sigma, steps),
    }


def gaussian(sigma) -> dict:
    """Returns the ε of one Gaussian with sensitivity 1."""
    return {"sigma": sigma, "ε": google(PLDAccountant(), dp_accounting.GaussianDpEvent(sigma), 1)}


if __name__ == "__main__":
    found = {
        "dp-accounting": version("dp-accounting"),
        "opacus": version("opacus"),
        "delta": DELTA,
        "settings": [figures(*setting) for setting in SETTINGS],
        "gaussian": [gaussian(sigma) for sigma in (0.25, 0.5, 1.0, 2.0, 4.0)],
    }
    json.dump(found, sys.stdout, indent=1, ensure_ascii=False)
    print()
