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

from kerasbook.bench import growth, score
from kerasbook.bench.contest import BenchError, best_tuned, compare, processes
from kerasbook.bench.models import ROWS
from kerasbook.bench.sides import TITLES
from kerasbook.checkpoint import atomic_path

from rich.console import Console
from rich.table import Table

RIVALS = ("fit", "tuned", "eager", "trainer", "torch", "torch.compile")


def figures_of_machine(rows, settings: dict) -> dict:
    """Returns what the machine can do, and how much arithmetic a step of each row is.

    Asked for in a process of its own, which gives the GPU back when it ends.
    """
    context = processes()
    ours, others = context.Pipe()
    process = context.Process(target=_measure_machine, args=(list(rows), settings, others))
    process.start()
    others.close()
    try:
        found = ours.recv()
    except EOFError:
        raise BenchError("the machine's speed could not be measured: see above") from None
    finally:
        process.join()
    if "error" in found:
        raise BenchError(found["error"])
    return found


def _measure_machine(rows, settings, connection) -> None:
    import tensorflow as tf

    if settings["device"] == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    if settings["device"] == "gpu" and not gpus:
        connection.send(
            {
                "error": "TensorFlow sees no GPU here: install its CUDA libraries with "
                "`pip install 'kerasbook[gpu]'` (Linux, NVIDIA), or leave out --device gpu"
            }
        )
        return
    from kerasbook.bench import costs

    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    connection.send(
        {
            "device": ", ".join(map(str, names)) or "CPU",
            "product_flops_per_second": costs.product_speed(),
            "transfer_bytes_per_second": costs.transfer_speed(),
            "flops_per_step": {name: costs.flops_per_step(ROWS[name]) for name in rows},
            "seconds_of_products": {name: costs.seconds_of_products(ROWS[name]) for name in rows},
        }
    )


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


def share_of_product_speed(results: dict, name: str) -> float:
    """Returns the model's floating-point operations per second in our loop, as a share of 1."""
    seconds = statistics.median(results["rows"][name]["milliseconds_per_step"]["kerasbook"]) / 1000
    machine = results["machine"]
    return machine["flops_per_step"][name] / seconds / machine["product_flops_per_second"]


def spread(ratios: list[float]) -> str:
    """The median, the smallest and the largest: '1.52 (1.40 to 1.71)'."""

    def short(ratio: float) -> str:
        return (
            f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.1f}" if ratio >= 10 else f"{ratio:.2f}"
        )

    return f"{short(statistics.median(ratios))} ({short(min(ratios))} to {short(max(ratios))})"


def table_of(results: dict) -> Table:
    """The figures, for people."""
    table = Table(title="medians; how many times faster ours is (smallest to largest round)")
    for heading in ("", "ms per step", "times faster", "first step", "memory"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, row in results["rows"].items():
        share = share_of_product_speed(results, name)
        table.add_row(f"[bold]{row['title']}[/bold], {share:.0%} of the product speed")
        for side, times in row["milliseconds_per_step"].items():
            ratios = row["ratios"].get(side)
            seconds, memory = row["first_step_seconds"][side], row["memory"][side]
            cells = [f"  {TITLES[side]}", f"{statistics.median(times):.3g}"]
            cells += [spread(ratios) if ratios else "", f"{seconds:.1f} s"]
            table.add_row(*cells, f"{memory / 2**20:.0f} MiB")
        table.add_section()
    table.add_row("[bold]geometric mean[/bold] over the chapters")
    for name, mean in geometric_means(results["rows"]).items():
        table.add_row(f"  {TITLES[name]}", "", f"{mean:.2f}")
    return table


def notes_of(results: dict) -> list[str]:
    """What could not be measured, and where the sides do not agree."""
    notes = []
    for row in results["rows"].values():
        notes += [f"{row['title']}: {name} left out: {why}" for name, why in row["missing"].items()]
        for name, difference in row["outputs_differ_by"].items():
            if difference > 1e-2 * row["largest_output"]:
                notes.append(f"{row['title']}: the outputs of {name} differ by {difference:.1e}")
    return notes


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in ("tensorflow", "keras", "numpy", "torch"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


PARTS = ("growth", "score")


def main(arguments: list[str] | None = None) -> None:
    """`python -m kerasbook.bench`."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasbook.bench",
        description="Times the book's loop beside other ways to train the same models, in turns.",
    )
    known = (*ROWS, *PARTS)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(known)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--mixed-precision", choices=("off", "float16", "bfloat16"), default="off",
        help="for all that is Keras; PyTorch stays in 32 bits",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    unknown = set(options.parts) - set(known)
    if unknown or options.rounds < 1:
        parser.error(f"parts are {', '.join(known)}; rounds are at least 1")
    settings = {"device": options.device, "mixed_precision": options.mixed_precision}
    console = Console()
    try:
        _main(options, settings, console)
    except BenchError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        kept = f"; what was measured is in {options.json}" if options.json else ""
        sys.exit(f"interrupted{kept}")


def _main(options, settings: dict, console: Console) -> None:
    rows = [name for name in ROWS if name in options.parts or not options.parts]
    parts = [name for name in PARTS if name in options.parts or not options.parts]
    results: dict = {"rows": {}}
    if options.parts and options.json and options.json.exists():
        results = json.loads(options.json.read_text())  # the other parts stay
    results |= {
        "versions": _versions(),
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "settings": settings,
    }

    def keep() -> None:  # after every part: a later one may be interrupted
        if options.json:
            with atomic_path(options.json) as temporary:
                temporary.write_text(json.dumps(results, indent=1) + "\n")

    with console.status("the machine's speed") as status:
        if rows:
            machine = figures_of_machine(rows, settings)
            for kind in ("flops_per_step", "seconds_of_products"):
                machine[kind] = results.get("machine", {}).get(kind, {}) | machine[kind]
            results |= {"machine": machine, "rounds": options.rounds}
        for name in rows:
            results["rows"][name] = compare(name, options.rounds, settings, status.update)
            keep()
        if "growth" in parts:
            results["growth"] = growth.measure(settings, status.update)
            keep()
        if "score" in parts:
            results["score"] = score.measure(status.update)
            keep()
    if rows:
        results["rows"] = {name: results["rows"][name] for name in ROWS if name in results["rows"]}
        machine = results["machine"]
        speed = machine["product_flops_per_second"] / 1e9
        console.print(f"{machine['device']}: {speed:.0f} GFLOP/s in a large matrix product")
        if machine["transfer_bytes_per_second"]:
            console.print(f"to the GPU: {machine['transfer_bytes_per_second'] / 1e9:.1f} GB/s")
        console.print(table_of(results))
        for note in notes_of(results):
            console.print(f"note: {note}")
    if "growth" in parts:
        console.print(growth.table_of(results["growth"]))
    if "score" in parts:
        console.print(score.table_of(results["score"]))
    keep()
    if options.json:
        console.print(f"figures in {options.json}")
