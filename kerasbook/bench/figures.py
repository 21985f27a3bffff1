"""What the figures of the bench say: ratios and their spread, means, shares, run against run.

Reads the results as they stand in the JSON file; imports nothing that is timed.
"""

import math
import statistics

RIVALS = ("fit", "tuned", "eager", "trainer", "torch", "torch.compile")


def best_tuned(row: dict) -> str:
    """Returns which of the two tuned ways to call `model.fit` was the quicker one."""
    names = [name for name in row["ratios"] if name.startswith("tuned")]
    times = row["milliseconds_per_step"]
    return min(names, key=lambda name: statistics.median(times[name]), default="tuned")


def rival(row: dict, name: str) -> str:
    """Returns the side that stands for a rival: of the tuned ones the quicker."""
    return best_tuned(row) if name == "tuned" else name


def geometric_means(rows: dict) -> dict[str, float]:
    """Returns how many times faster the book's loop is than each rival, over the counted rows."""
    counted = [row for row in rows.values() if row["counts"]]
    means = {}
    for name in RIVALS:
        medians = [
            statistics.median(row["ratios"][rival(row, name)])
            for row in counted
            if rival(row, name) in row["ratios"]
        ]
        if medians and len(medians) == len(counted):
            means[name] = math.exp(statistics.mean(map(math.log, medians)))
    return means


def shares_of_product_speed(results: dict, name: str) -> list[float]:
    """Returns, round by round, the share of a large matrix product's speed that our loop reaches.

    Both are in floating-point operations per second; those of the model are its products alone.
    """
    row, flops = results["rows"][name], results["machine"]["flops_per_step"][name]
    return [
        1000 * flops / milliseconds / speed
        for milliseconds, speed in zip(
            row["milliseconds_per_step"]["kerasbook"], row["product_flops_per_second"], strict=True
        )
    ]


def product_speed(results: dict) -> float:
    """Returns the floating-point operations per second of a large matrix product: the median."""
    rows = results["rows"].values()
    return statistics.median(speed for row in rows for speed in row["product_flops_per_second"])


def short(ratio: float) -> str:
    """Returns a number in three digits: '0.954', '1.52', '15.2', '1,520', '15,200'."""
    return f"{float(f'{ratio:.3g}'):,.0f}" if ratio >= 99.5 else f"{ratio:#.3g}"


def spread(ratios: list[float], write=short) -> str:
    """Returns the median, the smallest and the largest: '1.52 (1.40 to 1.71)'."""
    middle, least, most = map(write, (statistics.median(ratios), min(ratios), max(ratios)))
    return middle if least == most else f"{middle} ({least} to {most})"


def in_percent(share: float) -> str:
    """Returns a share of 1 as '42%'; '0.2%' where it is small."""
    return f"{share:.0%}" if share >= 0.095 or share < 0.0005 else f"{share:.1%}"


def chance_outside(now: int, before: int) -> float:
    """Returns about how probable a median outside the spread is, if all rounds are of one kind.

    The median of `now` rounds lies above the largest of `before` others if its upper half does. All
    orders of the rounds are equally probable. With an even number the median lies between two
    rounds, and the mean of both cases is taken.
    """

    def above(count):
        return math.comb(now + before - count, before) / math.comb(now + before, before)

    return above(math.ceil(now / 2)) + above(now // 2 + 1)  # twice the mean: above, or below


def compare_runs(results: dict, earlier: list[dict]) -> dict:
    """Returns how many of the medians lie within the spread of earlier runs, and which do not.

    The spread is from the smallest to the largest round of them all; compared are the ratios, and
    the shares of the product speed.
    """

    def figures(run, name):
        if name not in run["rows"]:
            return {}
        shares = shares_of_product_speed(run, name)
        return run["rows"][name]["ratios"] | {"share": shares}

    within, outside, by_chance = 0, [], 0.0
    for name in results["rows"]:
        for side, now in figures(results, name).items():
            before = [ratio for run in earlier for ratio in figures(run, name).get(side, [])]
            if not before:
                continue
            by_chance += chance_outside(len(now), len(before))
            if min(before) <= statistics.median(now) <= max(before):
                within += 1
            else:
                outside.append({"row": name, "side": side, "now": now, "before": before})
    return {
        "runs": len(earlier), "within": within, "outside": outside, "outside_by_chance": by_chance,
    }  # fmt: skip


def describe(compared: dict) -> list[str]:
    """Returns what `compare_runs` found, in words."""
    outside = compared["outside"]
    count = compared["within"] + len(outside)
    runs = compared["runs"]
    whose = "the earlier run's spread" if runs == 1 else f"the spread of {runs} earlier runs"
    chance = compared["outside_by_chance"]
    lines = [f"{compared['within']} of {count} medians lie within {whose}"]
    lines[0] += f"; by chance alone, about {chance:.0f} would lie outside"
    if outside:
        overlap = sum(
            min(each["now"]) <= max(each["before"]) and min(each["before"]) <= max(each["now"])
            for each in outside
        )
        lines.append(f"{len(outside)} do not; the two spreads overlap for {overlap} of them")
    for each in outside:
        words = f"{spread(each['now'])}, before {spread(each['before'])}"
        lines.append(f"outside: {each['row']}, {each['side']}: {words}")
    return lines


def notes_of(results: dict) -> list[str]:
    """Returns what could not be measured, or was left out because it computes something else."""
    return [
        f"{row['title']}: {name} left out: {why}"
        for row in results["rows"].values()
        for name, why in row["missing"].items()
    ]
