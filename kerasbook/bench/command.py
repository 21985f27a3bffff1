"""The command `python -m kerasbook.bench`: what is measured, and the tables of it."""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kerasbook.bench import growth, score, turns
from kerasbook.bench.contest import ask, compare, joined
from kerasbook.bench.figures import (
    compare_runs,
    describe,
    geometric_means,
    in_percent,
    notes_of,
    product_speed,
    shares_of_product_speed,
    short,
    spread,
)
from kerasbook.bench.models import ROWS
from kerasbook.bench.score import SEEDS
from kerasbook.bench.sides import TITLES
from kerasbook.bench.turns import BenchError
from kerasbook.files import atomic_path
from kerasbook.machine import cores, features, processor
from kerasbook.training.devices import one_thread_per_operation

from rich.console import Console
from rich.table import Table

# A machine that others use too can be slower for minutes, and not equally so for all sides. So the
# rounds of a row are spread over the whole run.
ROUNDS_OF_A_VISIT = 2


def measure_machine(settings: dict, tell) -> dict:
    """Measures what the machine is, and how much arithmetic a step of each row takes."""
    import tensorflow as tf

    turns.prepare(settings)
    from kerasbook.bench import costs

    gpus = tf.config.get_visible_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    return {
        "device": ", ".join(map(str, names)) or "CPU",
        "transfer_bytes_per_second": costs.transfer_speed(),
    }


ARITHMETIC = ("flops_per_step", "seconds_of_products", "shares_by_kind")


def measure_arithmetic(name: str, settings: dict, tell) -> dict:
    """Returns how much arithmetic a step of the row is, and what of its time it takes."""
    turns.prepare(settings)
    from kerasbook.bench import costs

    if ROWS[name].one_thread:
        one_thread_per_operation()
    return {each: getattr(costs, each)(ROWS[name]) for each in ARITHMETIC}


def table_of(results: dict) -> Table:
    """Returns the figures, for people."""
    table = Table(title="medians; in brackets the smallest and the largest round")
    for heading in ("", "steps per second", "times faster", "first step", "memory"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in results["rows"].items():
        share = spread(shares_of_product_speed(results, name), in_percent)
        table.add_row(f"[bold]{row['title']}[/bold]")
        table.add_row(f"  [dim]{share} of the product speed[/dim]")
        for side, times in row["milliseconds_per_step"].items():
            ratios = row["ratios"].get(side)
            seconds, memory = row["first_step_seconds"][side], row["memory"][side]
            cells = [f"  {TITLES[side]}", short(1000 / statistics.median(times))]
            cells += [spread(ratios) if ratios else "", f"{seconds:.1f} s"]
            table.add_row(*cells, f"{memory / 2**20:.0f} MiB")
        table.add_section()
    counted = sum(row["counts"] for row in results["rows"].values())
    table.add_row(f"[bold]geometric mean[/bold] over {counted} chapters")
    for name, mean in geometric_means(results["rows"]).items():
        table.add_row(f"  {TITLES[name]}", "", f"{mean:.2f}")
    return table


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


PARTS = ("rows", "growth", "score")
UNFINISHED = 75  # "try again", among the exit statuses of sysexits.h


class Unfinished(Exception):
    """The minutes are over, and something is still to be measured."""


def main(arguments: list[str] | None = None) -> None:
    """Runs `python -m kerasbook.bench`."""
    parser = make_parser()
    options = parser.parse_args(arguments)
    known = (*PARTS, *ROWS)
    if set(options.parts) - set(known) or options.rounds < 1 or not 1 <= options.seeds <= SEEDS:
        parser.error(f"parts are {', '.join(known)}; rounds are at least 1, seeds 1 to {SEEDS}")
    if options.resume and not options.json:
        parser.error("--resume needs --json FILE, to know what there is")
    keeps = options.json and (options.parts or options.resume)  # else the file is begun anew
    kept = _figures(options.json, parser) if keeps and options.json.exists() else {}
    earlier = [_figures(file, parser) for file in options.against]
    options.kept = ""
    # Of the processes that are killed torch leaves semaphores: Python removes them, with a warning.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    try:
        _run(options, Console(), kept, earlier)
    except BenchError as error:
        sys.exit(f"error: {error}")
    except Unfinished:
        print(f"not all is measured: go on with --resume{options.kept}", file=sys.stderr)
        sys.exit(UNFINISHED)
    except KeyboardInterrupt:
        sys.exit(f"interrupted{options.kept}")


def make_parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasbook.bench",
        description="Times the book's loop beside other ways to train the same models, in turns.",
    )
    add = parser.add_argument
    add(
        "parts",
        nargs="*",
        metavar="PART",
        help=f"{', '.join(PARTS)}, or some of the rows: {', '.join(ROWS)} (default: all)",
    )
    add("--rounds", type=int, default=8, help="turns of each (default 8)")
    add("--json", type=Path, metavar="FILE", help="write the figures there")
    add("--resume", action="store_true", help="keep what that file has, and measure what it lacks")
    add(
        "--minutes",
        type=float,
        default=math.inf,
        metavar="N",
        help=f"begin nothing after so many; then the exit status is {UNFINISHED}",
    )
    add(
        "--against",
        type=Path,
        metavar="FILE",
        nargs="+",
        default=[],
        help="say which medians lie outside the spread of earlier runs, whose figures are there",
    )
    add("--seeds", type=int, default=3, help="runs to each score (default 3)")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto")
    add(
        "--mixed-precision",
        choices=("off", "float16", "bfloat16"),
        default="off",
        help="for all that is Keras; PyTorch stays in 32 bits",
    )
    return parser


def _figures(file: Path, parser) -> dict:
    """The figures of an earlier run."""
    try:
        found = json.loads(file.read_text())
        for name in found["rows"]:
            shares_of_product_speed(found, name)
    except OSError as error:
        parser.error(f"cannot read {file}: {error.strerror}")
    except (ValueError, KeyError, TypeError):
        parser.error(f"{file} does not hold the figures of a run that --json made: name another")
    return found


class Run:
    """A run of the bench: its figures so far, in memory and in the file of `--json`."""

    def __init__(self, options, console: Console, results: dict):
        self.options, self.console = options, console
        asked = {"device": options.device, "mixed_precision": options.mixed_precision}
        self.settings = dict(asked)
        here = {"versions": _versions(), "processor": processor(), "cores": cores()}
        here["features"] = features()
        here["settings"] = asked
        for name, value in here.items():
            if results.get(name, value) != value:
                raise BenchError(
                    f"{options.json} holds figures with {name} {results[name]}, not {value}: "
                    "name another file"
                )
        self.results = {"rows": {}} | results | here
        self.end = time.monotonic() + 60 * options.minutes
        self.tell: Callable[[str], None] = print

    def wants(self, part: str) -> bool:
        """Returns whether a part was asked for: by name, or by naming none."""
        return not self.options.parts or part in self.options.parts

    def save(self) -> None:
        """Writes the figures; after every part, since a later one may be interrupted."""
        if self.options.json:
            with atomic_path(self.options.json) as temporary:
                temporary.write_text(json.dumps(self.results, indent=1) + "\n")
            self.options.kept = f"; what was measured is in {self.options.json}"

    def begin(self, text: str) -> None:
        """Tells what begins now.

        Raises:
            Unfinished: it is too late for it.
        """
        if time.monotonic() > self.end:
            raise Unfinished
        self.tell(text)

    def measure(self, rows: list[str], tell: Callable[[str], None]) -> None:
        """Takes all figures that were asked for."""
        self.tell = tell
        if not self.options.resume:
            self.forget(rows)
        self.measure_machine(rows)
        self.measure_rows(rows)
        if self.wants("growth") and "growth" not in self.results:
            self.begin("growth")
            self.results["growth"] = ask(growth.measure, self.settings, tell=tell)
            self.save()
        if self.wants("score"):
            self.measure_scores()

    def forget(self, rows: list[str]) -> None:
        """Leaves out what is to be measured anew."""
        for name in rows:
            self.results["rows"].pop(name, None)
        for part in ("growth", "score"):
            if self.wants(part):
                self.results.pop(part, None)

    def measure_scores(self) -> None:
        """Waits for the score of every chapter, with each loop and seed."""
        found = self.results.setdefault("score", {})
        for key in score.chapters():
            options = self.settings, self.options.seeds, self.begin, found.get(key)
            for entry in score.measure(key, *options):
                found[key] = entry
                self.save()

    def measure_machine(self, rows: list[str]) -> None:
        """Measures what the machine is, and how much arithmetic a step of each row takes."""
        machine = self.results.get("machine", {})
        here = ask(measure_machine, self.settings, tell=self.tell)
        self.results["machine"] = here | {kind: machine.get(kind, {}) for kind in ARITHMETIC}
        self.settings |= {"device": "cpu" if here["device"] == "CPU" else "gpu"}
        for name in rows:
            if self.options.resume and name in self.results["machine"][ARITHMETIC[-1]]:
                continue
            self.begin(f"the arithmetic of {name}")
            for kind, value in ask(measure_arithmetic, name, self.settings).items():
                self.results["machine"][kind][name] = value
            self.save()

    def measure_rows(self, rows: list[str]) -> None:
        """Visits every row several times, so that none of them falls into one bad minute."""
        measured = self.results["rows"]

        def done(name):
            return measured[name]["rounds"] if name in measured else 0

        while rows and done(name := min(rows, key=done)) < self.options.rounds:
            self.begin(name)
            rounds = min(ROUNDS_OF_A_VISIT, self.options.rounds - done(name))
            found = compare(name, rounds, self.settings, self.tell)
            measured[name] = joined(measured[name], found) if name in measured else found
            self.save()
        self.results["rows"] = {name: measured[name] for name in ROWS if name in measured}

    def show(self, rows: list[str], earlier: list[dict]) -> None:
        """Prints the tables."""
        results, show = self.results, self.console.print
        if rows:
            self.show_rows(earlier)
        if self.wants("growth"):
            show(growth.table_of(results["growth"]))
        if self.wants("score"):
            show(score.table_of(results["score"]))

    def show_rows(self, earlier: list[dict]) -> None:
        """Prints what the rows say, and how it compares with earlier runs."""
        results, machine = self.results, self.results["machine"]
        self.console.print(
            f"{machine['device']}, {results['processor']}, {results['cores']} cores: "
            f"{product_speed(results) / 1e9:.0f} GFLOP/s in a large matrix product"
        )
        if machine["transfer_bytes_per_second"]:
            speed = machine["transfer_bytes_per_second"] / 1e9
            self.console.print(f"to the GPU: {speed:.1f} GB/s")
        self.console.print(table_of(results))
        for note in notes_of(results):
            self.console.print(f"note: {note}")
        if earlier:
            compared = compare_runs(results, earlier)
            results["against"] = compared | {"in_words": describe(compared)}
            for line in results["against"]["in_words"]:
                self.console.print(line)


def _run(options, console: Console, results: dict, earlier: list) -> None:
    every = not options.parts or "rows" in options.parts
    rows = [name for name in ROWS if every or name in options.parts]
    run = Run(options, console, results)
    with console.status("the machine's speed") as status:
        run.measure(rows, status.update)
    run.show(rows, earlier)
    run.save()
    if options.json:
        console.print(f"figures in {options.json}")
