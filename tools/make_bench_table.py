"""Writes the README's table of speeds from a file that `python -m kerasbook.bench --json` made.

python -m kerasbook.bench --json kerasbook/bench/results.json
python -m kerasbook.bench rows --json kerasbook/bench/second_run.json
python tools/make_bench_table.py
"""

import json
import statistics

from kerasbook.bench import score
from kerasbook.bench.command import (
    RIVALS,
    compare_runs,
    geometric_means,
    in_percent,
    product_speed,
    rival,
    shares_of_product_speed,
    short,
    spread,
    told,
)
from kerasbook.bench.sides import TITLES

from make_results import ROOT, replace_in_readme

RESULTS = ROOT / "kerasbook" / "bench" / "results.json"
SECOND = RESULTS.with_name("second_run.json")


def machine(results: dict) -> str:
    """What was measured on, and with what."""
    threads = {n for row in results["rows"].values() for n in row["threads"].values()}
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    speed = product_speed(results) / 1e9
    return (
        f"{results['processor']}, {results['cores']} cores, {' or '.join(map(str, threads))} "
        f"threads; {speed:.0f} GFLOP/s in a large matrix product; {results['rounds']} rounds; "
        f"{versions}."
    )


def speeds(results: dict) -> list[str]:
    """The speeds in Markdown: medians, and the ratios with their smallest and largest round."""
    headings = ["model", "steps per second", "share", *(TITLES[name] for name in RIVALS)]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, row in results["rows"].items():
        milliseconds = statistics.median(row["milliseconds_per_step"]["kerasbook"])
        cells = [row["title"], short(1000 / milliseconds)]
        cells.append(spread(shares_of_product_speed(results, name), in_percent))
        for each in RIVALS:
            ratios = row["ratios"].get(rival(row, each))
            cells.append(spread(ratios) if ratios else "–")
        lines.append(f"| {' | '.join(cells)} |")
    means = geometric_means(results["rows"])
    cells = [f"**{means[name]:.2f}**" if name in means else "–" for name in RIVALS]
    lines.append(f"| **geometric mean of chapters 1 to 6** | | | {' | '.join(cells)} |")
    return lines


def waits(scores: dict) -> list[str]:
    """Seconds and memory from `python` to the score, in Markdown."""
    lines = [f"| {' | '.join(score.HEADINGS)} |", "|---" * len(score.HEADINGS) + "|"]
    return lines + [
        f"| {' | '.join(score.cells_of(name, entry))} |" for name, entry in scores.items()
    ]


def again(second: dict, first: dict) -> str:
    """Whether a second run came out as the first."""
    return "A second run: " + "; ".join(told(compare_runs(second, first))) + "."


def main() -> None:
    """The command."""
    results, second = (json.loads(file.read_text()) for file in (RESULTS, SECOND))
    parts = [[machine(results)], speeds(results), [again(second, results)], waits(results["score"])]
    replace_in_readme("bench", "\n\n".join("\n".join(lines) for lines in parts))


if __name__ == "__main__":
    main()
