"""Makes kerasbook/results.json, and the README's table from it.

    python tools/make_results.py            # every chapter, five seeds each
    python tools/make_results.py 3 chapter6_translation --seeds 5
    python tools/make_results.py 5 --only 24          # of its runs, those with that flag
    python tools/make_results.py --readme   # only rewrite the table

Which runs a chapter has stands in the `runs` of its ABOUT. Every seed is a run of
`python -m kerasbook.<key> --seed S` in a process of its own. The band that a score should lie in
is its mean ± 3 standard deviations over the seeds, less what the score cannot be.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kerasbook import contents
from kerasbook.contents import Page, possible
from kerasbook.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "kerasbook" / "results.json"


def run(page: Page, flags: str, seed: int) -> tuple[dict, float]:
    """Returns the report of one run, and the seconds that a person waits for it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", page.module, "--quiet", *flags.split()]
        started = time.perf_counter()
        subprocess.run([*command, "--seed", str(seed), "--output", folder], check=True)
        seconds = time.perf_counter() - started
        return json.loads((Path(folder) / "report.json").read_text()), seconds


def summary(metric: str, values: list[float]) -> dict:
    """Returns mean, standard deviation and band of one score over the seeds."""
    mean, sd = statistics.mean(values), statistics.stdev(values)
    band = possible(metric, [mean - 3 * sd, mean + 3 * sd])
    return {"values": values, "mean": mean, "sd": sd, "band": band}


def results_of(page: Page, flags: str, seeds: int) -> dict:
    """Returns the entry of one kind of run: {data set: {scores, seconds, memory, …}}."""
    reports, waits = [], []
    for seed in range(seeds):
        report, seconds = run(page, flags, seed)
        reports.append(report)
        waits.append(seconds)
        scores = report["scores"]
        print(f"{page.key} {flags} seed {seed}: {seconds:.1f} s, {scores}", flush=True)
    first = reports[0]
    scores = {
        part: {
            metric: summary(metric, [report["scores"][part][metric] for report in reports])
            for metric in values
        }
        for part, values in first["scores"].items()
    }
    entry = {
        "flags": flags,
        "seeds": list(range(seeds)),
        "scores": scores,
        "seconds": waits,
        "memory_mb": [report["memory_mb"] for report in reports],
        "cores": os.cpu_count(),
        "versions": first["versions"],
    }
    return {first["dataset"]: entry}


def table(results: dict) -> str:
    """The README's table of chapters, in Markdown."""
    lines = ["| chapter | source | score | seconds |", "|---|---|---|---|"]
    for key, page in contents.chapters().items():
        for entry in results.get(key, {}).values():
            part, metric, score = headline(page, entry["scores"])
            shown = f"{part} {metric} {score['mean']:.3f} ± {score['sd']:.3f}".replace("_", " ")
            if (part, metric) == tuple(page.about.headline or ()) and page.about.unit:
                shown += f" {page.about.unit}"
            title = f"[{page.short_title}](chapters/{key}.ipynb)"
            source = f"[source](kerasbook/{page.path.name})"
            if entry["flags"]:
                source += f" `{entry['flags']}`"
            seconds = f"{statistics.median(entry['seconds']):.0f}"
            cells = [title, source, shown, seconds]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def headline(page: Page, scores: dict) -> tuple[str, str, dict]:
    """Returns part, name and figures of the score that stands in the table.

    It is the chapter's own choice, or, where another data set is judged otherwise, the first of the
    test part.
    """
    part, metric = page.about.headline or ["", ""]
    if metric not in scores.get(part, {}):
        part = "test" if "test" in scores else next(iter(scores))
        metric = next(iter(scores[part]))
    return part, metric, scores[part][metric]


def replace_in(document: str, name: str, text: str) -> None:
    """Puts `text` between a document's two marks of that name."""
    path = ROOT / document
    pattern = rf"(<!-- {name}: [^>]* -->\n).*?(<!-- end of {name} -->)"
    old = path.read_text()
    new, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", old, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"{document} has no pair of marks for {name}")
    with atomic_path(path) as temporary:
        temporary.write_text(new)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", help="numbers or keys; all, if none")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each (default 5, at least 2)")
    parser.add_argument("--only", default="", help="runs whose flags have this text in them")
    parser.add_argument("--readme", action="store_true", help="only rewrite the README's table")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("a spread needs at least 2 seeds")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.readme:
        pages = [contents.find(name) for name in options.chapters or contents.chapters()]
        for page in pages:
            for flags in [each for each in page.about.runs if options.only in each]:
                results.setdefault(page.key, {}).update(results_of(page, flags, options.seeds))
                with atomic_path(RESULTS) as temporary:
                    text = json.dumps(dict(sorted(results.items())), indent=1)
                    temporary.write_text(text + "\n")
    replace_in("README.md", "results", table(results))


if __name__ == "__main__":
    main()
