"""Seconds and memory from `python` to a chapter's score, in our loop and in `model.fit`."""

import argparse
import importlib
import json
import os
import statistics
import subprocess
import sys
import time

from kerasbook import contents
from kerasbook.bench import turns
from kerasbook.bench.turns import BenchError
from kerasbook.contents import load_results

from rich.table import Table

SEEDS = 5  # of each chapter in results.json
# Ours; `model.fit` on the same batches; and that with many steps in one call.
LOOPS = ("tape", "fit", "tuned")
STEPS_PER_CALL = 50


def chapters() -> list[str]:
    """Returns the keys of the chapters and second pages whose score can be waited for."""
    results = load_results()
    return [key for key in contents.chapters() if key in results and has_target(key)]


def has_target(key: str) -> bool:
    """Returns whether results.json has validation scores of the chapter's own command."""
    datasets = contents.find(key).about.datasets
    entry = load_results()[key].get(datasets[0]) if datasets else None
    return bool(entry and entry["scores"].get("validation"))


def target_of(key: str) -> tuple[str, float]:
    """Returns the score's name, and what is waited for: all of the five seeds ended with it.

    It is a standard deviation short of the worst of them, because on another processor rounding
    leads elsewhere. The score is the chapter's headline, or what an epoch tells that is nearest.
    """
    about = contents.find(key).about
    scores = load_results()[key][about.datasets[0]]["scores"]["validation"]
    names = [about.headline[1] if about.headline else "loss", "accuracy", "loss"]
    name = next(name for name in names if name in scores)
    values = scores[name]["values"]
    deviation = statistics.stdev(values)
    return name, max(values) + deviation if is_error(name) else min(values) - deviation


def is_error(name: str) -> bool:
    """Returns whether less of this score is better."""
    return bool(contents.NEVER_NEGATIVE & set(name.split("_")))


def run(key: str, loop: str, seed: int, settings: dict) -> dict:
    """Runs the chapter in a process of its own until it has the score.

    Returns seconds from the start of Python: to the end of the imports, to the first step, to the
    score; and epochs and memory.

    Raises:
        BenchError: it failed, or ended without the score.
    """
    options = [key, loop, str(seed), settings["device"], settings["mixed_precision"]]
    started = time.time()
    done = subprocess.run(
        [sys.executable, "-m", "kerasbook.bench.score", *options],
        capture_output=True,
        text=True,
        env=os.environ | {"MPLBACKEND": "Agg"},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise BenchError(f"{loop}, seed {seed}: {last}")
    answer = json.loads(done.stdout.strip().splitlines()[-1])
    times = {name: answer.pop(name) - started for name in ("imported", "began", "at")}
    return {"seconds": times.pop("at"), **times, **answer}


def measure(
    key: str, settings: dict, seeds: int = 3, tell=lambda text: None, entry: dict | None = None
):
    """Yields the score that is waited for; and by loop: seconds, epochs, memory of each seed.

    A run at a time; what `entry` has already is kept. If a run ends without the score, `missing`
    says so, and there are no figures.
    """
    name, target = target_of(key)
    entry = entry or {"score": name, "target": target, **{loop: [] for loop in LOOPS}}
    for seed in range(seeds):
        for loop in LOOPS if seed % 2 == 0 else reversed(LOOPS):
            if "missing" in entry or len(entry[loop]) > seed:
                continue
            tell(f"score: {key}, {loop}, seed {seed}")
            try:
                entry[loop].append(run(key, loop, seed, settings))
            except BenchError as error:
                entry |= {loop: [] for loop in LOOPS} | {"missing": str(error)}
            yield entry


def complete(scores: dict) -> dict:
    """Returns the chapters that every loop has waited for, or of which we know why not."""
    return {
        key: entry
        for key, entry in scores.items()
        if "missing" in entry or all(entry[loop] for loop in LOOPS)
    }


HEADINGS = (
    "chapter",
    "validation score to reach",
    "kerasbook",
    "`model.fit`",
    "tuned",
    "faster than `model.fit`",
    "than tuned",
    "imports",
    "memory",
)


def cells_of(key: str, entry: dict) -> list[str]:
    """Returns a chapter's times and memory: medians, and the ratios by seed with their spread."""
    first = [
        key.removeprefix("chapter").replace("_", " "),
        f"{entry['score']} {entry['target']:.3f}",
    ]
    if "missing" in entry:
        return [*first, f"not reached: {entry['missing']}", *("–" * (len(HEADINGS) - 3))]
    seconds = {loop: [run["seconds"] for run in entry[loop]] for loop in LOOPS}
    memory = [max(run["memory"] for run in entry[loop]) / 2**20 for loop in ("tape", "fit")]
    imports = statistics.median(run["imported"] for loop in LOOPS for run in entry[loop])
    return [
        *first,
        *(f"{statistics.median(seconds[loop]):.1f} s" for loop in LOOPS),
        *(with_spread(ratios(entry, loop)) for loop in LOOPS[1:]),
        f"{imports:.1f} s",
        f"{memory[0]:.0f}, {memory[1]:.0f} MiB",
    ]


def ratios(entry: dict, loop: str) -> list[float]:
    """Returns by seed how many times longer the wait with another loop is than with ours."""
    pairs = zip(entry["tape"], entry[loop], strict=False)
    return [theirs["seconds"] / ours["seconds"] for ours, theirs in pairs]


def with_spread(found: list[float]) -> str:
    """Returns the median with the smallest and the largest."""
    return f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"


def table_of(scores: dict) -> Table:
    """Returns the times, for people."""
    table = Table(title="from `python` to the score: medians")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for name, entry in complete(scores).items():
        table.add_row(*cells_of(name, entry))
    return table


def main(arguments: list[str] | None = None) -> None:
    """Makes one run: prints when the score was reached, after how many epochs, with how much
    memory.
    """
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("key")
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("seed", type=int)
    parser.add_argument("device")
    parser.add_argument("mixed_precision")
    options = parser.parse_args(arguments)
    chapter = importlib.import_module(f"kerasbook.{options.key}")
    imported = time.time()
    turns.prepare(vars(options))
    name, target = target_of(options.key)
    sign = -1 if is_error(name) else 1
    import keras

    class Reached(keras.callbacks.Callback):
        """Ends the process at the score."""

        def on_train_begin(self, logs=None):
            self.began = time.time()

        def on_epoch_end(self, epoch, logs=None):
            score = (logs or {}).get(f"val_{name}")
            if score is not None and sign * score >= sign * target:
                from kerasbook.machine import peak_memory

                found = {"imported": imported, "began": self.began, "at": time.time()}
                found |= {"epochs": epoch + 1, "memory": peak_memory()}
                print("\n" + json.dumps(found), flush=True)
                os._exit(0)

    if options.loop == "tuned":
        call_for_many_steps()
    loop = "tape" if options.loop == "tape" else "fit"
    chapter.main(seed=options.seed, loop=loop, callbacks=[Reached()], progress="none")
    sys.exit(f"{name} {target:.4f} was not reached")


def call_for_many_steps() -> None:
    """Lets `model.fit` take many steps in one call, wherever the book calls it."""
    from kerasbook.training import fitting

    by_keras = fitting.fit_by_keras

    def tuned(model, batches, *others):
        model.steps_per_execution = min(batches.steps, STEPS_PER_CALL)
        by_keras(model, batches, *others)

    fitting.fit_by_keras = tuned


if __name__ == "__main__":
    main()
