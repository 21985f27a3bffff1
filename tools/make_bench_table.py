"""Writes the tables of speeds into README.md and docs/speed.md, from the figures of the bench.

tools/measure_speed.sh takes them all, from nothing to these tables and the page.
"""

import json
import statistics
from collections.abc import Callable

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
from kerasbook.bench.models import ROWS
from kerasbook.bench.sides import TITLES

from make_results import ROOT, replace_in

RESULTS = ROOT / "kerasbook" / "bench" / "results.json"
AMD = RESULTS.with_name("results_amd.json")  # the rows of the book's own layers, on another kind


def processor(results: dict) -> str:
    """The processor's name, what it has for wide products, and its cores."""
    has = f" ({', '.join(results['features'])})" if results.get("features") else ""
    return f"{results['processor']}{has}, {results['cores']} cores"


def machine(results: dict) -> str:
    """What was measured on, and with what."""
    threads = sorted({n for row in results["rows"].values() for n in row["threads"].values()})
    versions = ", ".join(f"{name} {version}" for name, version in results["versions"].items())
    rounds = {row["rounds"] for row in results["rows"].values()}
    speed = product_speed(results) / 1e9
    return (
        f"{processor(results)}, {' or '.join(map(str, threads))} "
        f"threads per operation; {speed:.0f} GFLOP/s in a large matrix product; "
        f"{' or '.join(map(str, rounds))} rounds; {versions}."
    )


def speeds(results: dict, wanted: Callable[[dict], bool]) -> list[str]:
    """The speeds in Markdown: medians, and the ratios with their smallest and largest round."""
    headings = ["model", "steps per second", "share", *(TITLES[name] for name in RIVALS)]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, row in results["rows"].items():
        if not wanted(row):
            continue
        milliseconds = statistics.median(row["milliseconds_per_step"]["kerasbook"])
        cells = [row["title"], short(1000 / milliseconds)]
        cells.append(spread(shares_of_product_speed(results, name), in_percent))
        for each in RIVALS:
            ratios = row["ratios"].get(rival(row, each))
            cells.append(spread(ratios) if ratios else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def means(results: dict) -> list[str]:
    """The line of geometric means; none while a chapter's row is missing, as it would mislead."""
    missing = [name for name, row in ROWS.items() if row.counts and name not in results["rows"]]
    if missing:
        return ["", f"No mean: not measured yet are {', '.join(missing)}."]
    found = geometric_means(results["rows"])
    cells = [f"**{found[name]:.2f}**" if name in found else "–" for name in RIVALS]
    return [f"| **geometric mean of chapters 1 to 6** | | | {' | '.join(cells)} |"]


def ahead(results: dict) -> str:
    """On this processor: which rivals it is ahead of in every chapter's row, and which not."""
    counted = [row for row in results["rows"].values() if row["counts"]]
    always, behind = [], []
    for name in RIVALS:
        found = [(row, row["ratios"].get(rival(row, name))) for row in counted]
        slower = [row["title"][0] for row, each in found if each and statistics.median(each) <= 1]
        if all(each for _, each in found) and not slower:
            always.append(TITLES[name].replace(",", ""))
        behind += [f"{TITLES[name].replace(',', '')} in {', '.join(slower)}"] if slower else []
    where = f"On this processor ({results['processor']}) the medians are above 1"
    line = f"{where} in every chapter's row beside {', '.join(always) or 'none of them'}"
    return line + (f"; not beside {'; '.join(behind)}." if behind else ".")


def short_table(results: dict) -> str:
    """The README's table: how many times faster, as means over the chapters, beside three rivals.

    A chapter counts with its median; its wait where it was measured in all loops.
    """
    names = ("fit", "tuned", "torch")
    lines = [f"| {results['processor']} | {' | '.join(TITLES[name] for name in names)} |"]
    lines.append("|---" * (len(names) + 1) + "|")
    entries = [e for e in score.complete(results["score"]).values() if "missing" not in e]
    if entries:
        waits = [[score.ratios(entry, loop) for entry in entries] for loop in names[:2]]
        cells = [in_short(each) for each in waits]
        lines.append(f"| wait for a score, {len(entries)} chapters | {' | '.join(cells)} | – |")
    if all(name in results["rows"] for name, row in ROWS.items() if row.counts):
        counted = [row for row in results["rows"].values() if row["counts"]]
        steps = [[row["ratios"].get(rival(row, name)) for row in counted] for name in names]
        cells = [in_short(each) if all(each) else "–" for each in steps]
        lines.append(f"| a step, chapters 1 to 6 | {' | '.join(cells)} |")
    return "\n".join(lines)


def in_short(chapters: list[list[float]]) -> str:
    """The geometric mean of the chapters' medians, with the smallest and the largest."""
    found = [statistics.median(ratios) for ratios in chapters]
    mean = f"{statistics.geometric_mean(found):.2f}"
    return f"{mean} ({short(min(found))} to {short(max(found))})"


def waits(scores: dict) -> list[str]:
    """Seconds and memory from `python` to the score, in Markdown."""
    lines = [f"| {' | '.join(score.HEADINGS)} |", "|---" * len(score.HEADINGS) + "|"]
    return lines + [
        f"| {' | '.join(score.cells_of(name, entry))} |"
        for name, entry in score.complete(scores).items()
    ]


def starts(results: dict) -> list[str]:
    """Seconds to the end of the first step, and the memory that training adds, in Markdown."""
    names = ["kerasbook", *RIVALS]
    lines = [f"| model | {' | '.join(TITLES[name] for name in names)} |"]
    lines.append("|---" * (len(names) + 1) + "|")
    for row in results["rows"].values():
        cells = [row["title"].partition(" (")[0].partition(",")[0]]
        for name in names:
            side = rival(row, name)
            seconds, memory = (row[key].get(side) for key in ("first_step_seconds", "memory"))
            cells.append(f"{seconds:.1f} s, {memory / 2**20:.0f} MiB" if memory else "–")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def tables(results: dict) -> dict[tuple[str, str], str]:
    """Returns all tables in Markdown, by document and mark."""
    like = [*speeds(results, lambda row: not row["own"]), *means(results)]
    own = speeds(results, lambda row: row["own"])
    amd = json.loads(AMD.read_text())
    against = notes_of(results)
    if "against" in results:
        against = ["; ".join(describe(results["against"])[:2]) + ".", *against]
    found = {
        "waits": [
            f"{processor(results)}.",
            "",
            *waits(results["score"]),
        ],
        "bench": [machine(results), "", *like, "", ahead(results)],
        "own": [machine(results), "", *own],
        "amd": [machine(amd), "", *speeds(amd, lambda row: row["own"])],
        "starts": starts(results),
        "against": against or ["Measured once so far."],
    }
    return {("docs/speed.md", name): "\n".join(lines) for name, lines in found.items()} | {
        ("README.md", "bench"): short_table(results),
    }


def main() -> None:
    """The command."""
    for (document, name), text in tables(json.loads(RESULTS.read_text())).items():
        replace_in(document, name, text)


if __name__ == "__main__":
    main()
