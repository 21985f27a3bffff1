"""Seconds and memory from `python` to a chapter's score, in our loop and in `model.fit`."""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time

from kerasbook.bench import turns
from kerasbook.bench.turns import BenchError
from kerasbook.contents import load_results

from rich.table import Table

# The data set of each chapter's `main`, and the score on the validation part that is waited for.
SCORES = {
    1: ("auto_mpg", "mae"),
    2: ("fashion", "accuracy"),
    3: ("fashion", "accuracy"),
    4: ("film_sentences", "accuracy"),
    5: ("japanese_vowels", "accuracy"),
    6: ("cmudict", "accuracy"),
}


SEEDS = 5  # of each chapter in results.json


def target_of(chapter: int) -> tuple[str, float]:
    """Returns the score's name, and the worst that one of the five seeds ended with."""
    dataset, name = SCORES[chapter]
    values = load_results()[f"chapter{chapter}"][dataset]["scores"]["validation"][name]["values"]
    return name, (max if name == "mae" else min)(values)


def run(chapter: int, loop: str, seed: int, settings: dict) -> dict:
    """Runs the chapter in a process of its own until it has the score."""
    options = [str(chapter), loop, str(seed), settings["device"], settings["mixed_precision"]]
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "kerasbook.bench.score", *options],
        capture_output=True,
        text=True,
        env=os.environ | {"MPLBACKEND": "Agg"},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchError(f"--loop {loop}, seed {seed}: {last}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    return {"seconds": answer.pop("at") - started, **answer}


def measure(chapter: int, settings: dict, seeds: int = 3, tell=lambda text: None) -> dict:
    """Returns the score that is waited for; and by loop: seconds, epochs, memory of each seed.

    Before chapter 1 a run that is not counted brings the files to memory. If a run ends without the
    score, `missing` says so, and there are no figures.
    """
    name, target = target_of(chapter)
    entry: dict = {"score": name, "target": target, "tape": [], "fit": []}
    try:
        if chapter == 1:
            tell("score: a run that is not counted")
            run(chapter, "fit", 0, settings)
        for seed in range(seeds):
            for loop in ("tape", "fit") if seed % 2 == 0 else ("fit", "tape"):
                tell(f"score: chapter {chapter}, {loop}, seed {seed}")
                entry[loop].append(run(chapter, loop, seed, settings))
    except BenchError as error:
        return entry | {"tape": [], "fit": [], "missing": str(error)}
    return entry


HEADINGS = (
    "chapter",
    "validation score to reach",
    "kerasbook",
    "`model.fit`",
    "times faster",
    "memory",
)


def cells_of(name: str, entry: dict) -> list[str]:
    """Returns a chapter's times and memory: medians, and the ratios by seed with their spread."""
    score = f"{entry['score']} {entry['target']:.3f}"
    if "missing" in entry:
        return [name.removeprefix("chapter"), score, f"not reached: {entry['missing']}", *("–" * 3)]
    ours, theirs = ([run["seconds"] for run in entry[loop]] for loop in ("tape", "fit"))
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    low, high = min(ratios), max(ratios)
    memory = [max(run["memory"] for run in entry[loop]) / 2**20 for loop in ("tape", "fit")]
    return [
        name.removeprefix("chapter"),
        score,
        *(f"{statistics.median(seconds):.1f} s" for seconds in (ours, theirs)),
        f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})",
        f"{memory[0]:.0f}, {memory[1]:.0f} MiB",
    ]


def table_of(scores: dict) -> Table:
    """Returns the times, for people."""
    table = Table(title="from `python` to the score: medians")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for name, entry in scores.items():
        table.add_row(*cells_of(name, entry))
    return table


def main(arguments: list[str] | None = None) -> None:
    """Makes one run: prints when the score was reached, after how many epochs, with how much
    memory.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("chapter", type=int)
    parser.add_argument("loop", choices=("tape", "fit"))
    parser.add_argument("seed", type=int)
    parser.add_argument("device")
    parser.add_argument("mixed_precision")
    options = parser.parse_args(arguments)
    turns.prepare(vars(options))
    name, target = target_of(options.chapter)
    chapter = importlib.import_module(f"kerasbook.chapter{options.chapter}")
    import keras

    class Reached(keras.callbacks.Callback):
        """Ends the process at the score."""

        def on_epoch_end(self, epoch, logs=None):
            score = logs.get(f"val_{name}")
            if score is None:
                return
            # The seed that gave the target should reach it in spite of rounding.
            if score <= target + 1e-4 if name == "mae" else score >= target - 1e-4:
                from kerasbook.machine import peak_memory

                found = {"at": time.time(), "epochs": epoch + 1, "memory": peak_memory()}
                print("\n" + json.dumps(found), flush=True)
                os._exit(0)

    chapter.main(seed=options.seed, loop=options.loop, callbacks=[Reached()], progress="none")
    sys.exit(f"{name} {target:.4f} was not reached")


if __name__ == "__main__":
    main()
