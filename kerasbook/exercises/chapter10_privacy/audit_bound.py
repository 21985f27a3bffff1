"""A lower bound on epsilon from an attack."""

import math

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=25,
    difficulty=3,
    points=4,
    atol=1e-4,
    hints=[
        "Two bounds are needed: how small may the true positive rate be, and how large the false "
        "positive one? Each may be wrong with probability error / 2.",
        "The lower end for k of n: the p with P(at least k hits) = error / 2. It grows with p, so "
        "halve an interval. The upper end: one minus the lower end for n − k of n.",
        "ε = ln((low_true − delta) / high_false), and 0 where that is negative or not defined.",
    ],
)


@exercise.stub
def audit_bound(true_hits, members, false_hits, others, delta, error):
    """What ε is at least, after an attack with these counts.

    An attack has said "member" of `true_hits` of `members` members and of `false_hits` of `others`
    others; all trials are independent. Under (ε, δ), its true rates t and f satisfy t ≤ e^ε f + δ.
    The rates are not known, only counted. So take Clopper and Pearson's bounds: t is at least the p
    for which as many hits as counted, or more, have the probability error / 2 (0 for no hit); f is
    at most the p for which as few as counted, or fewer, have it (1 if all are hits).

    Practises: chapter 10, continued: does it keep a secret?, "A test from below".

    Args:
        true_hits, members, false_hits, others: integers, members and others from 1 to 2,000.
        delta: float, 0 ≤ delta < 1.
        error: float, 0 < error < 1, for both bounds together.

    Returns:
        The lower bound on ε, a float that is never below 0. Tolerance: 1e-4 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    counts = {"true_hits": 60, "members": 100, "false_hits": 20, "others": 100}
    yield Case("60 and 20 of 100", counts | {"delta": 1e-5, "error": 0.05})


@exercise.hidden
def drawn(random):
    for number, (members, others) in enumerate(((500, 500), (50, 1000), (1500, 200))):
        hits = int(members * random.uniform(0.3, 0.95)), int(others * random.uniform(0.01, 0.25))
        counts = {"true_hits": hits[0], "members": members, "false_hits": hits[1]}
        rest = {"others": others, "delta": (0.0, 1e-3, 0.1)[number], "error": 0.05}
        yield Case(f"{members} members, {others} others", counts | rest)
    perfect = {"true_hits": 200, "members": 200, "false_hits": 0, "others": 200}
    yield Case("no mistake at all", perfect | {"delta": 1e-5, "error": 0.1})
    coin = {"true_hits": 100, "members": 200, "false_hits": 101, "others": 200}
    yield Case("a coin", coin | {"delta": 1e-5, "error": 0.05})
    nobody = {"true_hits": 0, "members": 30, "false_hits": 0, "others": 30}
    yield Case("nobody accused", nobody | {"delta": 0.0, "error": 0.05})
    everybody = {"true_hits": 40, "members": 40, "false_hits": 40, "others": 40}
    yield Case("everybody accused", everybody | {"delta": 0.0, "error": 0.05})


@exercise.reference
def solution(true_hits, members, false_hits, others, delta, error):
    def low(hits, trials, level):
        if hits == 0:
            return 0.0
        k = np.arange(hits, trials + 1)
        logs = np.array([math.lgamma(n + 1) for n in range(trials + 1)])
        choose = logs[trials] - logs[k] - logs[trials - k]
        below, above = 0.0, 1.0
        for _ in range(60):
            p = (below + above) / 2
            tail = np.exp(np.logaddexp.reduce(choose + k * np.log(p) + (trials - k) * np.log1p(-p)))
            below, above = (p, above) if tail < level else (below, p)
        return below

    t = low(true_hits, members, error / 2)
    f = 1 - low(others - false_hits, others, error / 2)
    return max(0.0, math.log((t - delta) / f)) if t > delta else 0.0


@exercise.right
def whole_numbers(true_hits, members, false_hits, others, delta, error):
    def tail(hits, trials, p):
        return sum(
            math.exp(
                math.log(math.comb(trials, k)) + k * math.log(p) + (trials - k) * math.log(1 - p)
            )
            for k in range(hits, trials + 1)
        )

    def low(hits, trials):
        a, b = 0.0, 1.0
        for _ in range(45):
            a, b = (
                ((a + b) / 2, b)
                if tail(hits, trials, (a + b) / 2) < error / 2
                else (a, (a + b) / 2)
            )
        return a if hits else 0.0

    ratio = (low(true_hits, members) - delta) / (1 - low(others - false_hits, others))
    return math.log(ratio) if ratio > 1 else 0.0


@exercise.right
def by_an_upper_end(true_hits, members, false_hits, others, delta, error):
    def share_at_most(hits, trials, p):
        k = np.arange(hits + 1)
        logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, trials + 1)))])
        terms = logs[trials] - logs[k] - logs[trials - k] + k * np.log(p)
        return np.exp(terms + (trials - k) * np.log1p(-p)).sum()

    def end(hits, trials, level):
        low, high = 0.0, 1.0
        for _ in range(50):
            p = (low + high) / 2
            if share_at_most(hits, trials, p) > level:
                low = p
            else:
                high = p
        return low

    f = 1.0 if false_hits == others else end(false_hits, others, error / 2)
    t = 0.0 if true_hits == 0 else end(true_hits - 1, members, 1 - error / 2)
    return max(math.log(max(t - delta, 1e-300) / f), 0.0)


@exercise.right
def by_logarithms(true_hits, members, false_hits, others, delta, error):
    def at_least(hits, trials, p):
        term = math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
        term += hits * math.log(p) + (trials - hits) * math.log1p(-p)
        terms = [term]
        for k in range(hits, trials):
            term += math.log((trials - k) / (k + 1)) + math.log(p) - math.log1p(-p)
            terms.append(term)
        largest = max(terms)
        return largest + math.log(sum(math.exp(each - largest) for each in terms))

    ends = []
    for hits, trials in ((true_hits, members), (others - false_hits, others)):
        low, high = 1e-12, 1 - 1e-12
        for _ in range(50):
            middle = (low + high) / 2
            if at_least(hits, trials, middle) < math.log(error / 2):
                low = middle
            else:
                high = middle
        ends.append(low if hits else 0.0)
    t, f = ends[0], 1 - ends[1]
    return max(0.0, math.log(max(t - delta, 1e-300)) - math.log(f))


exercise.mistake(
    "rates_as_counted",
    "You take the rates as they were counted. A bound must hold when luck helped the attack.",
    old="    return max(0.0, math.log((t - delta) / f)) if t > delta else 0.0",
    new="    t, f = true_hits / members, max(false_hits, 0.5) / others\n"
    "    return max(0.0, math.log((t - delta) / f)) if t > delta else 0.0",
)
exercise.mistake(
    "error_twice",
    "Each of the two bounds has the whole error, so both together may be wrong twice as often.",
    old="    t = low(true_hits, members, error / 2)\n"
    "    f = 1 - low(others - false_hits, others, error / 2)",
    new="    t = low(true_hits, members, error)\n"
    "    f = 1 - low(others - false_hits, others, error)",
)
exercise.mistake(
    "both_lower_ends",
    "The false positive rate needs its UPPER end: the bound should be cautious on both sides.",
    old="f = 1 - low(others - false_hits, others, error / 2)",
    new="f = max(low(false_hits, others, error / 2), 1e-9)",
)
exercise.mistake("delta_forgotten", old="(t - delta) / f", new="t / f")
exercise.mistake("delta_added", old="(t - delta) / f", new="(t + delta) / f")
exercise.mistake("below_zero", old="return max(0.0, math.log((t - delta) / f))",
                 new="return (math.log((t - delta) / f))")  # fmt: skip
exercise.mistake("no_logarithm", old="math.log((t - delta) / f)", new="((t - delta) / f)")
exercise.mistake("the_other_rate", old="others - false_hits, others", new="false_hits, others")
exercise.mistake(
    "one_hit_less",
    old="np.arange(hits, trials + 1)",
    new="np.arange(hits + (hits < trials), trials + 1)",
)
