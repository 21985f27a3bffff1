"""What a run leaves and says: its files, the report last, and its scores beside their bands."""

import contextlib
import csv
import itertools
import json
import math
import platform
from pathlib import Path
from typing import Any

from kerasbook import __version__, plotting
from kerasbook.contents import Page, load_results
from kerasbook.data.inputs import FILE, Inputs, write
from kerasbook.files import atomic_path, remove
from kerasbook.machine import peak_memory
from kerasbook.program import fail
from kerasbook.runner.flags import parse

import keras
import numpy as np
import tensorflow as tf


def versions() -> dict[str, str]:
    """Returns the versions that a run's numbers depend on."""
    return {
        "kerasbook": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


# --- files --------------------------------------------------------------------------------


def save(
    folder: Path, report: dict, history, model=None, figures=None, inputs: Inputs | None = None
) -> list[str]:
    """Writes every file whole or not at all; the report comes last and names the others.

    Files that the report of an earlier run in this folder names, and this run has not, go.
    """
    before = files_before(folder)
    files = ["history.csv"]
    with atomic_path(folder / "history.csv") as temporary:
        write_history(temporary, history)
    if model is not None:
        with atomic_path(folder / "model.keras") as temporary:
            model.save(temporary)
        files.append("model.keras")
    if inputs is not None:
        with atomic_path(folder / FILE) as temporary:
            write(temporary, inputs)
        files.append(FILE)
    for name, figure in (figures or {}).items():
        plotting.save(figure, folder / f"{name}.png")
        files.append(f"{name}.png")
    report |= {
        "epochs": len(history.epoch),
        "history": history.history,
        "memory_mb": peak_memory() // 2**20 or None,
        "files": [*files, "report.json"],
    }
    with atomic_path(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(without_nan(report), indent=1, default=str) + "\n")
    for name in before - set(report["files"]):
        remove(folder / name)
    return report["files"]


def files_before(folder: Path) -> set[str]:
    """Returns the files that the folder's report names; of other files nothing is known."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        names = json.loads((folder / "report.json").read_text())["files"]
        return {name for name in names if (folder / name).parent == folder}
    return set()


def forget_logs(folder: Path) -> None:
    """Removes TensorBoard's logs of an earlier run, which it would draw together with this one."""
    for path in folder.glob("*/events.out.tfevents.*"):
        path.unlink()


def write_history(path: Path, history) -> None:
    """Writes History as a table: a line per epoch, a column per score."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["epoch", *history.history])
        numbered = [epoch + 1 for epoch in history.epoch]
        writer.writerows(itertools.zip_longest(numbered, *history.history.values()))


def without_nan(value: Any) -> Any:
    """Returns the same with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {name: without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def check_resumed_flags(folder: Path, report: dict, resume: bool) -> None:
    """Checks that a run goes on with the flags it began with; epochs alone may differ."""
    file = folder / "checkpoint" / "flags.json"
    flags = {**report["parameters"], "mixed_precision": report["mixed_precision"]}
    flags.pop("epochs", None)
    if resume and file.exists():
        check_same_flags(file, flags)
    elif resume:
        print(f"nothing to resume in {folder}: starting anew")
    else:  # else a run that is killed before its own first checkpoint would go on from these
        for path in file.parent.glob("*.npz"):
            path.unlink()
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(flags) + "\n")


def check_same_flags(file: Path, flags: dict) -> None:
    """Ends the program where the run that left this file began with other flags."""
    try:
        began = dict(json.loads(file.read_text()))
    except (ValueError, TypeError):
        fail(f"{file} is damaged: delete it, and take the flags that the run began with")
    for name, value in flags.items():
        if began.get(name) != value:
            flag = f"--{name.replace('_', '-')}"
            there = f"{file.parent.parent} holds a run with {flag} {began.get(name)}"
            fail(f"{there}, not {value}: take the same")


# --- scores -------------------------------------------------------------------------------


def entry_of(page: Page, dataset: str) -> dict:
    """Returns what results.json has for a chapter and a data set; empty if there is nothing."""
    return load_results().get(page.key, {}).get(dataset, {})


def has_kept_settings(page: Page, entry: dict, flags: dict) -> bool:
    """Returns whether a run has the settings of the entry's runs; the seed may be another."""
    if not entry:
        return False
    kept, _ = parse(page, entry.get("flags", "").split())
    return all(kept[n] == value for n, value in flags.items() if n not in ("seed", "dataset"))


def score_lines(scores: dict, entry: dict, is_default: bool) -> str:
    """Returns the scores, each with the band that it should lie in."""
    bands = entry.get("scores", {})
    lines = []
    for part, values in scores.items():
        for metric, value in values.items():
            line = f"{part} {metric} {value:.4g}"
            band = bands.get(part, {}).get(metric)
            if band and is_default:
                low, high = band["band"]
                where = "inside" if low <= value <= high else "OUTSIDE"
                seeds = len(band["values"])
                line += f"  ({where} the band {low:.4g} to {high:.4g} of {seeds} seeds)"
            elif band:
                line += f"  (default settings: {band['mean']:.4g} ± {band['sd']:.2g})"
            lines.append(line)
    return "\n".join(lines)
