"""Writes the README's table of speeds from a file that `python -m kerasbook.bench --json` made.

python -m kerasbook.bench --json kerasbook/bench/results.json
python tools/make_bench_table.py
"""

import json
import statistics
from pathlib import Path

from kerasbook.bench.command import RIVALS, geometric_means, rival, share_of_product_speed, spread
from kerasbook.bench.sides import TITLES

from make_results import ROOT, replace_in_readme

RESULTS = ROOT / "kerasbook" / "bench" / "results.json"


def table(results: dict) -> str:
    """The speeds in Markdown: medians, and the ratios with their smallest and largest round."""
    headings = ["model", "ms per step", "share", *(TITLES[name] for name in RIVALS)]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, row in results["rows"].items():
        milliseconds = statistics.median(row["milliseconds_per_step"]["kerasbook"])
        cells = [row["title"], f"{milliseconds:.3g}"]
        cells.append(f"{share_of_product_speed(results, name):.0%}")
        for each in RIVALS:
            ratios = row["ratios"].get(rival(row, each))
            cells.append(spread(ratios) if ratios else "–")
        lines.append(f"| {' | '.join(cells)} |")
    means = geometric_means(results["rows"])
    cells = [f"**{means[name]:.2f}**" if name in means else "–" for name in RIVALS]
    lines.append(f"| **geometric mean of chapters 1 to 6** | | | {' | '.join(cells)} |")
    lines += ["", waits(results["score"])]
    return "\n".join(lines)


def waits(scores: dict) -> str:
    """Seconds and memory from `python` to the score, in Markdown."""
    lines = [
        "| chapter | until the validation | kerasbook | `model.fit` | times faster | memory |",
        "|---|---|---|---|---|---|",
    ]
    for name, entry in scores.items():
        ours, theirs = (
            statistics.median(run["seconds"] for run in entry[loop]) for loop in ("tape", "fit")
        )
        memory = [max(run["memory"] for run in entry[loop]) / 2**20 for loop in ("tape", "fit")]
        cells = [name.removeprefix("chapter"), f"{entry['score']} {entry['target']:.3f}"]
        cells += [f"{ours:.1f} s", f"{theirs:.1f} s", f"{theirs / ours:.2f}"]
        lines.append(f"| {' | '.join(cells)} | {memory[0]:.0f}, {memory[1]:.0f} MiB |")
    return "\n".join(lines)


def main(results: Path = RESULTS) -> None:
    """The command."""
    replace_in_readme("bench", table(json.loads(results.read_text())))


if __name__ == "__main__":
    main()
