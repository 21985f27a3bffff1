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
        "| first epoch | PyTorch, ms/step | times faster (range) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in results["rows"].values():
        times = {name: statistics.median(ms) for name, ms in row["milliseconds_per_step"].items()}
        cells = [row["title"], f"{times['ours']:.2f}", f"{times['fit']:.2f}", ratio(row["ratios"])]
        cells.append("{ours:.1f} s against {fit:.1f} s".format_map(row["first_epoch_seconds"]))
        cells += [f"{times['torch']:.2f}", ratio(row["torch_ratios"])] if "torch" in times else []
        lines.append(f"| {' | '.join(cells + ['–'] * (7 - len(cells)))} |")
    return "\n".join(lines)


def ratio(ratios: list[float]) -> str:
    """The median, with the smallest and the largest."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def main(results: Path = RESULTS) -> None:
    """The command."""
    replace_in_readme("bench", table(json.loads(results.read_text())))


if __name__ == "__main__":
    main()
