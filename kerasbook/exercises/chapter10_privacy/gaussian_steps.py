"""The epsilon of many Gaussian steps."""

import math

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=5,
    difficulty=2,
    points=2,
    outputs=("epsilon", "order"),
    hints=[
        "Without drawing, the divergence of a step is α / 2σ². What is it after `steps` of them?",
        "For each order you get one ε. Every one of them holds, so which do you take?",
        "min over orders of steps · α / (2σ²) + ln(1 − 1/α) − ln(δ α) / (α − 1).",
    ],
)


@exercise.stub
def gaussian_steps(sigma, steps, delta, orders):
    """The ε of shuffled batches, by Rényi divergences.

    In `steps` steps one example takes part in each, and each adds noise of `sigma` times what it
    can change. The Rényi divergence of order α of one such step is α / (2 σ²); the steps add up.
    An order's ε is divergence + ln(1 − 1/α) − ln(δ α) / (α − 1). All of them hold.

    Practises: chapter 10, continued: does it keep a secret?, "Counting ε".

    Args:
        sigma: positive float.
        steps: positive integer.
        delta: float between 0 and 1.
        orders: (n,) floats above 1.

    Returns:
        The best ε, a float that is never below 0; and its order, a float. Tolerance: 1e-5 +
        1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("one step", {"sigma": 2.0, "steps": 1, "delta": 1e-5,
                            "orders": np.arange(2.0, 65.0)})  # fmt: skip


@exercise.hidden
def drawn(random):
    for sigma, steps in ((1.1, 60), (4.0, 10), (0.7, 3)):
        orders = random.permutation(np.linspace(1.1, 80, 120))
        inputs = {"sigma": sigma, "steps": steps, "delta": 10.0 ** -random.uniform(3, 7)}
        yield Case(f"σ = {sigma}, {steps} steps", inputs | {"orders": orders}, unchanged=True)
    few = {"sigma": 3.0, "steps": 7, "delta": 1e-5, "orders": np.array([1.5, 40.0, 4.0])}
    yield Case("three orders", few)
    much = {"sigma": 1000.0, "steps": 1, "delta": 0.5, "orders": np.array([1.5, 2.0, 3.0])}
    yield Case("much noise", much)


@exercise.reference
def solution(sigma, steps, delta, orders):
    divergence = steps * orders / (2 * sigma**2)
    all_of_them = divergence + np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)
    best = np.argmin(all_of_them)
    return max(0.0, float(all_of_them[best])), float(orders[best])


@exercise.right
def one_by_one(sigma, steps, delta, orders):
    found = []
    for order in orders.tolist():
        epsilon = steps * order / 2 / sigma / sigma + math.log(1 - 1 / order)
        epsilon -= math.log(delta * order) / (order - 1)
        found.append((epsilon, order))
    epsilon, order = min(found)
    return (epsilon if epsilon > 0 else 0.0), order


@exercise.right
def one_wide_step(sigma, steps, delta, orders):
    narrow = sigma / math.sqrt(steps)

    def of(a):
        return a / (2 * narrow**2) + math.log((a - 1) / a) - math.log(delta * a) / (a - 1)

    best = min(orders, key=of)
    return max(of(best), 0.0), best


@exercise.right
def sorted_first(sigma, steps, delta, orders):
    a = np.sort(orders)
    e = steps * a / (2 * sigma**2) + np.log(a - 1) - np.log(a)
    e = e + (np.log(1 / delta) - np.log(a)) / (a - 1)
    return np.clip(e.min(), 0, None), a[e.argmin()]


exercise.mistake(
    "largest",
    "You take the largest ε. All of them hold, so the smallest does.",
    old="np.argmin(all_of_them)",
    new="np.argmax(all_of_them)",
)
exercise.mistake(
    "steps_forgotten",
    "The divergence is that of one step. The steps add up.",
    old="steps * orders /",
    new="orders /",
)
exercise.mistake(
    "old_conversion",
    "This is the older conversion, ε = divergence + ln(1/δ) / (α − 1), which is larger.",
    old="np.log1p(-1 / orders) - np.log(delta * orders) / (orders - 1)",
    new="np.log(1 / delta) / (orders - 1)",
)
exercise.mistake("sigma_not_squared", old="2 * sigma**2", new="2 * sigma")
exercise.mistake("square_root_of_steps", old="= steps * orders", new="= steps**0.5 * orders")
exercise.mistake(
    "below_zero", old="max(0.0, float(all_of_them[best]))", new="float(all_of_them[best])"
)
exercise.mistake("place_for_order", old="float(orders[best])", new="float(best)")
exercise.mistake("sign", old="- np.log(delta", new="+ np.log(delta")
exercise.mistake("first_order", old="np.argmin(all_of_them)", new="0")
