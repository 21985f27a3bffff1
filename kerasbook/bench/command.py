"""The command `python -m kerasbook.bench`: what is measured, and the tables of it."""

import argparse
import importlib.metadata
import json
import math
import os
import platform
import statistics
import sys
from pathlib import Path

from kerasbook.bench import growth, score, turns
from kerasbook.bench.contest import ask, best_tuned, compare, joined
from kerasbook.bench.models import ROWS
from kerasbook.bench.sides import TITLES
from kerasbook.bench.turns import BenchError
from kerasbook.files import atomic_path
from kerasbook.machine import cores, processor
from kerasbook.training.devices import one_thread_per_operation

from rich.console import Console
from rich.table import Table

RIVALS = ("fit", "tuned", "eager", "trainer", "torch", "torch.compile")


# A machine that others use too can be slower for minutes, and not equally so for all sides. So the
# rounds of a row are spread over the whole run.
ROUNDS_OF_A_VISIT = 2


def measure_machine(settings: dict, tell) -> dict:
    """Returns what the machine is, and how fast the way to its GPU."""
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


def rival(row: dict, name: str) -> str:
    """The side that stands for a rival: of the tuned ones the quicker."""
    return best_tuned(row) if name == "tuned" else name


def geometric_means(rows: dict) -> dict[str, float]:
    """Returns how many times faster the book's loop is than each rival, over the counted rows."""
    counted = [row for name, row in rows.items() if ROWS[name].counts]
    means = {}
    for name in RIVALS:
        medians = [
            statistics.median(row["ratios"][rival(row, name)])
            for row in counted
            if rival(row, name) in row["ratios"]
        ]
        if medians and len(medians) == len(counted):
            means[name] = math.exp(statistics.mean(map(math.log, medians)))
    return means


def shares_of_product_speed(results: dict, name: str) -> list[float]:
    """Returns, round by round, the share of a large matrix product's speed that our loop reaches.

    Both are in floating-point operations per second; those of the model are its products alone.
    """
    row, flops = results["rows"][name], results["machine"]["flops_per_step"][name]
    return [
        1000 * flops / milliseconds / speed
        for milliseconds, speed in zip(
            row["milliseconds_per_step"]["kerasbook"], row["product_flops_per_second"], strict=True
        )
    ]


def product_speed(results: dict) -> float:
    """Returns the floating-point operations per second of a large matrix product: the median."""
    rows = results["rows"].values()
    return statistics.median(speed for row in rows for speed in row["product_flops_per_second"])


def short(ratio: float) -> str:
    """Three digits: '0.954', '1.52', '15.2', '1,520', '15,200'."""
    return f"{float(f'{ratio:.3g}'):,.0f}" if ratio >= 99.5 else f"{ratio:#.3g}"


def spread(ratios: list[float], write=short) -> str:
    """The median, the smallest and the largest: '1.52 (1.40 to 1.71)'."""
    middle, least, most = map(write, (statistics.median(ratios), min(ratios), max(ratios)))
    return middle if least == most else f"{middle} ({least} to {most})"


def in_percent(share: float) -> str:
    """A share of 1 as '42%'; '0.2%' where it is small."""
    return f"{share:.0%}" if share >= 0.095 or share < 0.0005 else f"{share:.1%}"


def table_of(results: dict) -> Table:
    """The figures, for people."""
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
    counted = sum(ROWS[name].counts for name in results["rows"])
    table.add_row(f"[bold]geometric mean[/bold] over {counted} chapters")
    for name, mean in geometric_means(results["rows"]).items():
        table.add_row(f"  {TITLES[name]}", "", f"{mean:.2f}")
    return table


def chance_outside(now: int, before: int) -> float:
    """Returns about how probable a median outside the spread is, if all rounds are of one kind.

    The median of `now` rounds lies above the largest of `before` others if its upper half does. All
    orders of the rounds are equally probable. With an even number the median lies between two
    rounds, and the mean of both cases is taken.
    """

    def above(count):
        return math.comb(now + before - count, before) / math.comb(now + before, before)

    return above(math.ceil(now / 2)) + above(now // 2 + 1)  # twice the mean: above, or below


def compare_runs(results: dict, earlier: list[dict]) -> dict:
    """Returns how many of the medians lie within the spread of earlier runs, and which do not.

    The spread is from the smallest to the largest round of them all; compared are the ratios, and
    the shares of the product speed.
    """

    def figures(run, name):
        if name not in run["rows"]:
            return {}
        shares = shares_of_product_speed(run, name)
        return run["rows"][name]["ratios"] | {"share": shares}

    within, outside, by_chance = 0, [], 0.0
    for name in results["rows"]:
        for side, now in figures(results, name).items():
            before = [ratio for run in earlier for ratio in figures(run, name).get(side, [])]
            if not before:
                continue
            by_chance += chance_outside(len(now), len(before))
            if min(before) <= statistics.median(now) <= max(before):
                within += 1
            else:
                outside.append({"row": name, "side": side, "now": now, "before": before})
    return {
        "runs": len(earlier), "within": within, "outside": outside, "outside_by_chance": by_chance,
    }  # fmt: skip


def told(compared: dict) -> list[str]:
    """What `compare_runs` found, in words."""
    outside = compared["outside"]
    count = compared["within"] + len(outside)
    runs = compared["runs"]
    whose = "the earlier run's spread" if runs == 1 else f"the spread of {runs} earlier runs"
    chance = compared["outside_by_chance"]
    lines = [f"{compared['within']} of {count} medians lie within {whose}"]
    lines[0] += f"; by chance alone, about {chance:.0f} would lie outside"
    if outside:
        overlap = sum(
            min(each["now"]) <= max(each["before"]) and min(each["before"]) <= max(each["now"])
            for each in outside
        )
        lines.append(f"{len(outside)} do not; the two spreads overlap for {overlap} of them")
    for each in outside:
        words = f"{spread(each['now'])}, before {spread(each['before'])}"
        lines.append(f"outside: {each['row']}, {each['side']}: {words}")
    return lines


def notes_of(results: dict) -> list[str]:
    """What could not be measured, or was left out because it computes something else."""
    return [
        f"{row['title']}: {name} left out: {why}"
        for row in results["rows"].values()
        for name, why in row["missing"].items()
    ]


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


PARTS = ("rows", "growth", "score")


def main(arguments: list[str] | None = None) -> None:
    """`python -m kerasbook.bench`."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasbook.bench",
        description="Times the book's loop beside other ways to train the same models, in turns.",
    )
    known = (*PARTS, *ROWS)
    parser.add_argument(
        "parts", nargs="*", metavar="PART",
        help=f"{', '.join(PARTS)}, or some of the rows: {', '.join(ROWS)} (default: all)",
    )  # fmt: skip
    parser.add_argument("--rounds", type=int, default=8, help="turns of each (default 8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument(
        "--against", type=Path, metavar="FILE", nargs="+", default=[],
        help="say which medians lie outside the spread of earlier runs, whose figures are there",
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=3, help="runs to each score (default 3)")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--mixed-precision", choices=("off", "float16", "bfloat16"), default="off",
        help="for all that is Keras; PyTorch stays in 32 bits",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(known)
    if unknown or options.rounds < 1 or not 1 <= options.seeds <= score.SEEDS:
        parser.error(
            f"parts are {', '.join(known)}; rounds are at least 1, seeds 1 to {score.SEEDS}"
        )
    old = options.json if options.parts else None  # a file in which the other parts stay
    kept = _figures(old, parser) if old and old.exists() else {}
    earlier = [_figures(file, parser) for file in options.against]
    options.kept = ""
    settings = {"device": options.device, "mixed_precision": options.mixed_precision}
    # Of the processes that are killed torch leaves semaphores: Python removes them, with a warning.
    os.environ.setdefault("PYTHONWARNINGS", "ignore:resource_tracker")
    console = Console()
    try:
        _main(options, settings, console, kept, earlier)
    except BenchError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"interrupted{options.kept}")


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


def _main(options, settings: dict, console: Console, results: dict, earlier: list) -> None:
    every = not options.parts or "rows" in options.parts
    rows = [name for name in ROWS if every or name in options.parts]
    parts = [name for name in PARTS if name in options.parts or not options.parts]
    here = {
        "versions": _versions(),
        "processor": processor(),
        "cores": cores(),
        "settings": settings,
    }
    for name, value in here.items():
        if results.get(name, value) != value:
            raise BenchError(
                f"{options.json} holds figures with {name} {results[name]}, not {value}: "
                "name another file"
            )
    results = {"rows": {}} | results | here

    def keep() -> None:  # after every part: a later one may be interrupted
        if options.json:
            with atomic_path(options.json) as temporary:
                temporary.write_text(json.dumps(results, indent=1) + "\n")
            options.kept = f"; what was measured is in {options.json}"

    with console.status("the machine's speed") as status:
        machine = ask(measure_machine, settings, tell=status.update)
        old = results.get("machine", {})
        results["machine"] = machine | {kind: old.get(kind, {}) for kind in ARITHMETIC}
        settings = settings | {"device": "cpu" if machine["device"] == "CPU" else "gpu"}
        for name in rows:
            status.update(f"the arithmetic of {name}")
            for kind, value in ask(measure_arithmetic, name, settings).items():
                results["machine"][kind][name] = value
        for done in range(0, options.rounds, ROUNDS_OF_A_VISIT):
            visit = f"visit {done // ROUNDS_OF_A_VISIT + 1}: "
            for name in rows:
                found = compare(
                    name,
                    min(ROUNDS_OF_A_VISIT, options.rounds - done),
                    settings,
                    lambda text, visit=visit: status.update(visit + text),
                )
                results["rows"][name] = joined(results["rows"][name], found) if done else found
                keep()
        if "growth" in parts:
            results["growth"] = ask(growth.measure, settings, tell=status.update)
            keep()
        if "score" in parts:
            results["score"] = {}
            for chapter in score.SCORES:
                entry = score.measure(chapter, settings, options.seeds, status.update)
                results["score"][f"chapter{chapter}"] = entry
                keep()
    if rows:
        results["rows"] = {name: results["rows"][name] for name in ROWS if name in results["rows"]}
        speed = product_speed(results) / 1e9
        console.print(
            f"{machine['device']}, {results['processor']}, {results['cores']} cores: "
            f"{speed:.0f} GFLOP/s in a large matrix product"
        )
        if machine["transfer_bytes_per_second"]:
            console.print(f"to the GPU: {machine['transfer_bytes_per_second'] / 1e9:.1f} GB/s")
        console.print(table_of(results))
        for note in notes_of(results):
            console.print(f"note: {note}")
        if earlier:
            results["against"] = compare_runs(results, earlier)
            for line in told(results["against"]):
                console.print(line)
    if "growth" in parts:
        console.print(growth.table_of(results["growth"]))
    if "score" in parts:
        console.print(score.table_of(results["score"]))
    keep()
    if options.json:
        console.print(f"figures in {options.json}")
