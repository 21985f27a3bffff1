"""Writes the README's table of speeds from a file that `python -m kerasbook.bench --json` made.

python -m kerasbook.bench rows --json first.json
python -m kerasbook.bench --json kerasbook/bench/results.json --against first.json
python tools/make_bench_table.py
"""

import json
import statistics

from kerasbook.bench import score
from kerasbook.bench.figures import (
    RIVALS,
    describe,
    geometric_means,
    in_percent,
    notes_of,
    product_speed,
    rival,
    shares_of_product_speed,
    short,
    spread,
)
from kerasbook.bench.sides import TITLES

from make_results import ROOT, replace_in_readme

RESULTS = ROOT / "kerasbook" / "bench" / "results.json"


def machine(results: dict) -> str:
    """What was measured on, and with what."""
    threads = sorted({n for row in results["rows"].values() for n in row["threads"].values()})
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    rounds = {row["rounds"] for row in results["rows"].values()}
    speed = product_speed(results) / 1e9
    return (
        f"{results['processor']}, {results['cores']} cores, {' or '.join(map(str, threads))} "
        f"threads per operation; {speed:.0f} GFLOP/s in a large matrix product; "
        f"{' or '.join(map(str, rounds))} rounds; {versions}."
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


def starts(results: dict) -> list[str]:
    """Seconds to the end of the first step, and the memory that training adds, in Markdown."""
    names = ["kerasbook", *RIVALS]
    lines = [f"| model | {' | '.join(TITLES[name] for name in names)} |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for row in results["rows"].values():
        cells = [row["title"].partition(",")[0]]
        for name in names:
            side = rival(row, name)
            seconds, memory = (row[key].get(side) for key in ("first_step_seconds", "memory"))
            cells.append(f"{seconds:.1f} s, {memory / 2**20:.0f} MiB" if memory else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def table(results: dict) -> str:
    """All of it, in Markdown."""
    parts = [
        [machine(results)],
        speeds(results),
        ["; ".join(describe(results["against"])[:2]) + ".", *notes_of(results)],
        ["Until the end of the first step, and the memory that training adds to the process:"],
        starts(results),
        ["From pressing the key to a score:"],
        waits(results["score"]),
    ]
    return "\n\n".join("\n".join(lines) for lines in parts)


def main() -> None:
    """The command."""
    replace_in_readme("bench", table(json.loads(RESULTS.read_text())))


if __name__ == "__main__":
    main()
