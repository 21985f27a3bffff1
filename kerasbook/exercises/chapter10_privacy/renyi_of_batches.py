"""The Rényi divergence of Poisson batches."""

import math

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=25,
    difficulty=3,
    points=4,
    rtol=1e-6,
    hints=[
        "Write the logarithm of every term of the sum; some terms are far above the largest float.",
        "ln C(α, k) = lgamma(α + 1) − lgamma(k + 1) − lgamma(α − k + 1). Then take the largest "
        "logarithm out of the sum (chapter 2's trick for softmax).",
        "m = max(terms); (m + ln Σ exp(terms − m)) / (α − 1). For q = 1 only the last is left.",
    ],
)


@exercise.stub
def renyi_of_batches(q, sigma, order):
    """The Rényi divergence of one step of DP-SGD with Poisson batches.

    For a whole order α it is

        1 / (α − 1) · ln Σ_{k=0…α} C(α, k) (1 − q)^(α − k) q^k exp(k (k − 1) / (2 σ²)) .

    Compute it so that neither overflow nor underflow does harm: orders reach 500, and σ may be as
    small as 0.3. Neither SciPy nor a library of accountants is there.

    Practises: chapter 10, continued: does it keep a secret?, "Counting ε".

    Args:
        q: float, 0 < q ≤ 1, the rate at which an example is drawn.
        sigma: positive float.
        order: integer, 2 or more.

    Returns:
        A float. Tolerance: 1e-5 + 1e-6 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("order 2", {"q": 0.1, "sigma": 1.0, "order": 2})


@exercise.hidden
def drawn(random):
    for order in (2, 3, 17, 64):
        q, sigma = float(random.uniform(0.05, 0.6)), float(random.uniform(0.8, 3))
        yield Case(f"order {order}", {"q": q, "sigma": sigma, "order": order})
    yield Case("a large order", {"q": 0.2, "sigma": 1.5, "order": 500})
    yield Case("little noise", {"q": 0.3, "sigma": 0.3, "order": 200})
    yield Case("everybody in every batch", {"q": 1.0, "sigma": 1.7, "order": 9})


@exercise.reference
def solution(q, sigma, order):
    terms = []
    for k in range(order + 1):
        term = math.lgamma(order + 1) - math.lgamma(k + 1) - math.lgamma(order - k + 1)
        term += k * (k - 1) / (2 * sigma**2) + k * math.log(q)
        if k < order:
            term += (order - k) * math.log1p(-q) if q < 1 else -math.inf
        terms.append(term)
    largest = max(terms)
    total = largest + math.log(sum(math.exp(term - largest) for term in terms))
    return total / (order - 1)


@exercise.right
def with_numpy(q, sigma, order):
    if q == 1:
        return order / (2 * sigma**2)
    k = np.arange(order + 1.0)
    logs = np.cumsum(np.log(np.maximum(k, 1)))
    terms = logs[-1] - logs - logs[::-1] + k * np.log(q) + (order - k) * np.log1p(-q)
    return np.logaddexp.reduce(terms + k * (k - 1) / (2 * sigma**2)) / (order - 1)


@exercise.right
def running_sum(q, sigma, order):
    total, choose = -math.inf, 0.0
    for k in range(order + 1):
        rest = (order - k) * math.log(1 - q) if q < 1 else (0.0 if k == order else -math.inf)
        term = choose + rest + k * math.log(q) + (k * k - k) / (2 * sigma * sigma)
        high, low = max(total, term), min(total, term)
        total = high + math.log1p(math.exp(low - high)) if low > -math.inf else high
        choose += math.log((order - k) / (k + 1)) if k < order else 0
    return total / (order - 1)


@exercise.right
def with_whole_numbers(q, sigma, order):
    terms = [
        math.log(math.comb(order, k)) + k * math.log(q) + (order - k) * math.log(max(1 - q, 1e-300))
        + k * (k - 1) / 2 / sigma**2
        for k in range(order + 1)
    ]  # fmt: skip
    return float(np.logaddexp.reduce(np.array(terms))) / (order - 1)


exercise.mistake(
    "k_squared",
    "The exponent is k (k − 1) / 2σ², not k² / 2σ².",
    old="k * (k - 1) / (2 * sigma**2)",
    new="k * k / (2 * sigma**2)",
)
exercise.mistake(
    "not_divided",
    "The division by α − 1 is missing.",
    old="return total / (order - 1)",
    new="return total",
)
exercise.mistake(
    "no_chance",
    "q does not occur: this is the divergence of a step that sees everybody.",
    old="    largest = max(terms)",
    new="    return order / (2 * sigma**2)\n    largest = max(terms)",
)
exercise.mistake(
    "rates_exchanged",
    "q and 1 − q are exchanged: k counts how often the example IS in the batch.",
    old="k * math.log(q)",
    new="(order - k) * math.log(q)",
)
exercise.mistake("choose_forgotten", old="- math.lgamma(k + 1) - math.lgamma(order - k + 1)",
                 new="- math.lgamma(order + 1)")  # fmt: skip
exercise.mistake("two_forgotten", old="(2 * sigma**2)", new="sigma**2")
exercise.mistake("one_term_too_few", old="range(order + 1)", new="range(order)")
exercise.mistake("rough", old="math.log(sum(", new="0 * math.log(sum(")
exercise.mistake("by_the_order", old="total / (order - 1)", new="total / order")
