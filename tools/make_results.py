"""Makes kerasbook/results.json, and the README's table from it.

    python tools/make_results.py            # every chapter, five seeds each
    python tools/make_results.py 3 --seeds 5
    python tools/make_results.py 6 --only language   # of its tasks, those with that word
    python tools/make_results.py --readme   # only rewrite the table

A chapter with several tasks runs each of them. Every seed is a run of
`python -m kerasbook.chapterN --seed S` in a process of its own. The band that a score should lie in
is its mean ± 3 standard deviations over the seeds.
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

from kerasbook.cli import chapter_titles
from kerasbook.files import atomic_path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "kerasbook" / "results.json"
# The flags of each task of a chapter, where it has more than one.
TASKS = {
    5: ["", "--task bikes", "--task bikes --horizon 24"],
    6: ["", "--task language", "--task translation"],
}
# The scores that stand in the README, by data set: (part, metric, its name there).
ACCURACY = [("test", "accuracy", "accuracy")]
HEADLINES = {
    "auto_mpg": [("test", "mae", "mean absolute error, mpg")],
    "fashion": [*ACCURACY, ("test", "softmax_accuracy", "softmax regression")],
    "film_sentences": ACCURACY,
    "japanese_vowels": ACCURACY,
    "bikeshare_1h": [("test", "mae", "mean absolute error, bikes")],
    "bikeshare_24h": [("test", "mae", "mean absolute error, bikes")],
    "cmudict": [
        ("test", "beam_phoneme_error", "phoneme error"),
        ("test", "phoneme_error", "without beam search"),
        ("test", "beam_word_error", "word error"),
    ],
    "shakespeare": [("validation", "loss", "validation loss, nats per character")],
    "verses": [("test", "chrf", "chrF"), ("test", "chrf_of_another", "of another verse")],
}


def run(chapter: int, flags: str, seed: int) -> tuple[dict, float]:
    """Returns the report of one run, and the seconds that a person waits for it."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", f"kerasbook.chapter{chapter}", "--quiet", *flags.split()]
        started = time.perf_counter()
        subprocess.run([*command, "--seed", str(seed), "--output", folder], check=True)
        seconds = time.perf_counter() - started
        return json.loads((Path(folder) / "report.json").read_text()), seconds


def summary(values: list[float]) -> dict:
    """Mean, standard deviation and band of one score over the seeds."""
    mean, sd = statistics.mean(values), statistics.stdev(values)
    return {"values": values, "mean": mean, "sd": sd, "band": [mean - 3 * sd, mean + 3 * sd]}


def results_of(chapter: int, flags: str, seeds: int) -> dict:
    """Returns the entry of one task: {data set: {scores, seconds, memory, …}}."""
    reports, waits = [], []
    for seed in range(seeds):
        report, seconds = run(chapter, flags, seed)
        reports.append(report)
        waits.append(seconds)
        scores = report["scores"]["test"]
        print(f"chapter {chapter} {flags} seed {seed}: {seconds:.1f} s, {scores}", flush=True)
    first = reports[0]
    scores = {
        part: {
            metric: summary([report["scores"][part][metric] for report in reports])
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
    lines = [
        "| chapter | data | score on the test part, or as named | seconds | command |",
        "|---|---|---|---|---|",
    ]
    for number, title in chapter_titles().items():
        for dataset, entry in results.get(f"chapter{number}", {}).items():
            command = f"python -m kerasbook.chapter{number} {entry['flags']}".strip()
            scores = []
            for part, metric, name in HEADLINES[dataset]:
                if metric not in entry["scores"][part]:  # chapter 2's softmax, in chapter 3
                    continue
                score = entry["scores"][part][metric]
                scores.append(f"{name} {score['mean']:.3f} ± {score['sd']:.3f}")
            seconds = statistics.median(entry["seconds"])
            title = title.removeprefix("Chapter ")
            cells = [title, dataset, ", ".join(scores), f"{seconds:.0f}", f"`{command}`"]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def replace_in_readme(name: str, text: str) -> None:
    """Puts `text` between the README's two marks of that name."""
    readme = ROOT / "README.md"
    pattern = rf"(<!-- {name}: [^>]* -->\n).*?(<!-- end of {name} -->)"
    old = readme.read_text()
    new, count = re.subn(pattern, lambda m: f"{m[1]}{text}\n{m[2]}", old, flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"README.md has no pair of marks for {name}")
    with atomic_path(readme) as temporary:
        temporary.write_text(new)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("chapters", nargs="*", type=int, help="all, if none is named")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each (default 5, at least 2)")
    parser.add_argument("--only", default="", help="tasks whose flags have this text in them")
    parser.add_argument("--readme", action="store_true", help="only rewrite the README's table")
    options = parser.parse_args()
    if options.seeds < 2:
        parser.error("a spread needs at least 2 seeds")
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    if not options.readme:
        for chapter in options.chapters or list(chapter_titles()):
            for flags in [flags for flags in TASKS.get(chapter, [""]) if options.only in flags]:
                entry = results.setdefault(f"chapter{chapter}", {})
                entry |= results_of(chapter, flags, options.seeds)
                with atomic_path(RESULTS) as temporary:
                    text = json.dumps(dict(sorted(results.items())), indent=1)
                    temporary.write_text(text + "\n")
    replace_in_readme("results", table(results))


if __name__ == "__main__":
    main()
