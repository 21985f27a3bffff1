"""The equality ledger: what the book builds by hand, beside what Keras computes.

    kerasbook verify            # every claim, in 32 and in 64 bits
    kerasbook verify 4 5        # of these chapters
    kerasbook verify --mutants  # is the ledger itself awake? plant mistakes, count what it catches

A claim draws random numbers of random sizes, and gives pairs: ours, theirs. It is green if every
pair has the same shape, no NaN, and the largest difference is within the tolerance. Values,
gradients for every input and weight, slopes by finite differences, and weights after steps of
training are told apart by the pair's name; a difference is measured against the largest number of
its kind in the claim, for a gradient that is zero by nature, such as that of the keys' bias in
attention, is rounding only.

The claims of a chapter, and the mistakes that are planted into it, stand in a file of their own,
named as the chapter is; every file of this folder is read. `by_hand` has the formulas that no
chapter writes out.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import json
import os
import pkgutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kerasbook.contents import place_of
from kerasbook.files import atomic_path
from kerasbook.ledger.core import CLAIMS, MUTANTS, Claim, Draw, Mutant, Pairs
from kerasbook.program import UserError
from kerasbook.training.devices import logical_devices

import keras
import numpy as np
import tensorflow as tf
from rich import box
from rich.console import Console
from rich.progress import track
from rich.table import Table

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
SLOPES_TOLERANCE = 1e-6  # finite differences have no more digits
KINDS = ("values", "gradients", "slopes", "weights")
SOURCES = {
    "N": "NumPy",
    "T": "TensorFlow",
    "K": "Keras",
    "L": "LiteRT",
    "H": "Hugging Face",
    "O": "onnxruntime",
    "Δ": "finite differences",
}
PLANTED = "KERASBOOK_PLANTED"
for _, name, _ in sorted(pkgutil.iter_modules(__path__), key=lambda found: found.name):
    importlib.import_module(f"{__name__}.{name}")

__all__ = ["CLAIMS", "MUTANTS", "Claim", "Mutant", "run", "verify"]


def difference(ours: Any, theirs: Any) -> float:
    """Returns the largest absolute difference; infinite for other shapes and for NaN."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    if ours.shape != theirs.shape or not np.all(np.isfinite(ours)):
        return np.inf
    return float(np.abs(ours - theirs).max(initial=0.0))


def kind_of(pair: str) -> str:
    """Returns which of KINDS the pair belongs to, by the first word of its name."""
    first = pair.split()[0].rstrip(",")
    return "gradients" if first == "gradient" else first


def verify(one: Claim, seed: int = 0, dtypes: tuple[str, ...] | None = None) -> dict:
    """Returns the claim's row: per dtype and kind the largest differences; whether it is green."""
    row: dict[str, Any] = {"chapter": one.chapter, "claim": one.name, "green": True}
    sources = one.sources
    for dtype in dtypes or one.dtypes:
        draw = Draw(np.random.default_rng((seed, len(one.name))), dtype)
        pairs = one.pairs(draw)
        row[dtype] = {}
        for kind in KINDS:
            found = {name: pair for name, pair in pairs.items() if kind_of(name) == kind}
            if found:
                row[dtype][kind] = worst_of(found, dtype)
                tolerance = SLOPES_TOLERANCE if kind == "slopes" else TOLERANCE[dtype]
                tolerance *= not one.exact
                row["green"] &= row[dtype][kind]["relative"] <= tolerance
        if "slopes" in row[dtype]:
            sources = one.sources + "Δ"
    return row | {"sources": [SOURCES[letter] for letter in sources]}


def worst_of(pairs: Pairs, dtype: str) -> dict:
    """Returns the largest difference of the pairs: absolute, relative to the largest, in ulps."""
    differences = {name: difference(*pair) for name, pair in pairs.items()}
    worst = max(differences, key=differences.__getitem__)
    largest = max(
        float(np.abs(np.asarray(theirs)).max(initial=0.0)) for _, theirs in pairs.values()
    )
    ulp = float(np.spacing(np.dtype(dtype).type(largest or 1)))
    absolute = differences[worst]
    relative = absolute / (largest or 1)
    return {"absolute": absolute, "relative": relative, "ulps": absolute / ulp, "pair": worst}


def of_chapters(rows: list, chapters: list[str] | None) -> list:
    """Returns the claims or mutants of the chapters, or all, in the book's order; the loop last."""
    found = [one for one in rows if not chapters or one.chapter in chapters]
    return sorted(found, key=lambda one: place_of(one.chapter))


def verify_all(chapters: list[str] | None = None, seed: int = 0) -> Iterator[dict]:
    """Yields the row of every claim of the chapters, by their keys, or of all."""
    for one in of_chapters(CLAIMS, chapters):
        yield verify(one, seed)


def table_of(rows: list[dict]) -> Table:
    """Returns the ledger as a table for people: relative differences in 32 and 64 bits."""
    letters = ", ".join(f"{letter} {source}" for letter, source in SOURCES.items())
    table = Table(
        title="largest differences, relative to the largest number of their kind",
        caption="above in 32 bits, below in 64, slopes in 64; allowed are "
        f"{TOLERANCE['float32']:.0e}, {TOLERANCE['float64']:.0e}, {SLOPES_TOLERANCE:.0e}. "
        f"Sources: {letters}.",
        box=box.SIMPLE,
        pad_edge=False,
    )
    for heading in ("", "", "claim", "sources", *KINDS):
        table.add_column(heading)
    for row in rows:
        mark = "[green]✓[/green]" if row["green"] else "[red]✗[/red]"
        where = row["chapter"].removeprefix("chapter")
        cells = [_cell(row, kind) for kind in KINDS]
        letters = "".join(letter for letter, name in SOURCES.items() if name in row["sources"])
        table.add_row(mark, where, row["claim"], letters, *cells)
    return table


def _cell(row: dict, kind: str) -> str:
    found = [row.get(dtype, {}).get(kind) for dtype in TOLERANCE]
    shown = ["–" if each is None else f"{each['relative']:.0e}" for each in found]
    if kind == "slopes":  # in 64 bits only
        shown = shown[1:]
    return "" if found == [None, None] else "\n".join(shown)


# --- mutants ------------------------------------------------------------------------------


@contextlib.contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Puts the mutant in the function's place, and the function back at the end."""
    module = mutant.module
    original = getattr(module, mutant.function)
    users = [m for name, m in sys.modules.items() if name.startswith("kerasbook")]
    users = [m for m in users if getattr(m, mutant.function, None) is original]
    source = inspect.getsource(original)
    if mutant.old not in source:
        raise LookupError(f"{mutant.function} in {mutant.module_name} has no {mutant.old!r}")
    registered = dict(keras.saving.get_custom_objects())  # a class registers itself anew
    os.environ[PLANTED] = str(MUTANTS.index(mutant))  # for the workers of chapter 9's claims
    try:
        exec(source.replace(mutant.old, mutant.new, 1), vars(module))
        for user in users:  # and in the modules that imported it by name
            setattr(user, mutant.function, getattr(module, mutant.function))
        yield
    finally:
        del os.environ[PLANTED]
        for user in users:
            setattr(user, mutant.function, original)
        keras.saving.get_custom_objects().update(registered)


def is_caught(mutant: Mutant, seed: int = 0) -> bool:
    """Returns whether a claim of the mutant's chapter turns red, or cannot even be computed."""
    claims = [one for one in CLAIMS if one.chapter == mutant.chapter]
    claims.sort(key=lambda one: mutant.by not in one.name)
    return any(is_seen_by(mutant, one, seed) for one in claims)


def is_seen_by(mutant: Mutant, one: Claim, seed: int = 0) -> bool:
    """Returns whether this claim turns red, or cannot even be computed."""
    with planted(mutant), np.errstate(all="ignore"):
        try:
            return not verify(one, seed, one.dtypes[-1:])["green"]
        except (ValueError, TypeError, ArithmeticError, UserError, tf.errors.OpError):
            return True


# --- the command --------------------------------------------------------------------------


def run(chapters: list[str] | None, seed: int, json_file: Path | None, mutants: bool) -> bool:
    """Prints the ledger, or what it catches of the mutants; returns whether all is well."""
    logical_devices(4, "CPU")  # before anything is computed; some claims are about several
    result, well = (catch if mutants else compare)(chapters, seed)
    if json_file:
        with atomic_path(json_file) as temporary:
            temporary.write_text(json.dumps(result, indent=1, default=str) + "\n")
    return well


def compare(chapters: list[str] | None, seed: int) -> tuple[dict, bool]:
    """Prints the chapters' rows; returns them, and whether all are green."""
    console, started = Console(), time.perf_counter()
    number = len(of_chapters(CLAIMS, chapters))
    rows = verify_all(chapters, seed)
    rows = list(track(rows, "comparing", number, console=console, transient=True))
    console.print(table_of(rows))
    green = sum(row["green"] for row in rows)
    seconds = time.perf_counter() - started
    console.print(f"{green} of {len(rows)} claims hold ({seconds:.0f} s)")
    result = {"seed": seed, "tolerance": TOLERANCE, "seconds": seconds, "rows": rows}
    return result, green == len(rows)


def catch(chapters: list[str] | None, seed: int) -> tuple[dict, bool]:
    """Prints the planted mistakes that were missed; returns the counts, and whether none was."""
    console, counts, missed = Console(), {}, []
    chosen = of_chapters(MUTANTS, chapters)
    for mutant in track(chosen, "planting", console=console, transient=True):
        count = counts.setdefault(mutant.chapter, {"planted": 0, "caught": 0})
        count["planted"] += 1
        if is_caught(mutant, seed):
            count["caught"] += 1
        else:
            missed.append(mutant)
    for mutant in missed:
        console.print(f"[red]missed[/red] {mutant.function}: {mutant.what}")
    caught = len(chosen) - len(missed)
    console.print(f"{caught} of {len(chosen)} planted mistakes caught")
    return {"planted": len(chosen), "caught": caught, "chapters": counts}, not missed
