"""Writes the README's table of speeds from a file that `python -m kerasbook.bench --json` made.

python -m kerasbook.bench --json kerasbook/bench/results.json
python tools/make_bench_table.py
"""

import json
import statistics
from pathlib import Path

from make_results import ROOT, replace_in_readme

RESULTS = ROOT / "kerasbook" / "bench" / "results.json"


def table(results: dict) -> str:
    """The speeds in Markdown: medians, and the ratio with its smallest and largest round."""
    lines = [
        "| model | kerasbook, ms/step | `model.fit`, ms/step | times faster (range) "
        "| first epoch |",
        "|---|---|---|---|---|",
    ]
    for row in results["rows"].values():
        times = row["milliseconds_per_step"]
        ours, theirs = statistics.median(times["ours"]), statistics.median(times["fit"])
        low, high = min(row["ratios"]), max(row["ratios"])
        ratio = f"{row['ratio']:.2f} ({low:.2f} to {high:.2f})"
        first = "{ours:.1f} s against {fit:.1f} s".format_map(row["first_epoch_seconds"])
        lines.append(f"| {row['title']} | {ours:.2f} | {theirs:.2f} | {ratio} | {first} |")
    return "\n".join(lines)


def main(results: Path = RESULTS) -> None:
    """The command."""
    replace_in_readme("bench", table(json.loads(results.read_text())))


if __name__ == "__main__":
    main()
