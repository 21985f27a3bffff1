"""Measures chapter 8's grid: three networks, every method, over the seeds, in every format.

    python tools/make_compression_grid.py                      # all, then into results.json
    python tools/make_compression_grid.py --networks gru --only "8 bits"

Needs the extra `convert`. The networks that are made are kept in a folder, and so is what was
measured: a run that was ended goes on where it was (`--minutes 5` ends after five). Accuracy and
calibration are measured for every seed, the files for the first: their bytes depend on the shapes.
"""

import argparse
import functools
import gzip
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kerasbook import chapter8
from kerasbook.data.inputs import describe
from kerasbook.files import atomic_path
from kerasbook.inference import conversion, models
from kerasbook.program import UserError

import keras
import numpy as np
from compression_networks import NETWORKS, InRuntime, Task, as_function, methods_of
from make_measurements import keep, spread

END = [float("inf")]  # when a run ends by itself
FIRST = ("32 bits", "small, alone", "small, taught")  # what is told by small differences
CHECKED = 300  # examples whose predictions are compared between the formats

# --- the networks, made once ------------------------------------------------------------------


def made(folder: Path, name: str, seed: int, splits: Any, method: str) -> Any:
    """Returns a network that a method makes, from its file if it is there."""
    file = folder / name / f"seed{seed}" / f"{method}.keras"
    if file.is_file():
        return keras.models.load_model(file, compile=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    network = NETWORKS[name]
    keras.utils.set_random_seed(seed)
    if method == "32 bits":
        found = network.train(seed)
    else:
        again = functools.partial(made, folder, name, seed, splits)
        task = Task(network, again("32 bits"), splits, seed, again)
        keras.utils.set_random_seed(seed)
        found = methods_of(name)[method](task)
    if not isinstance(found, InRuntime) and "Keras" not in method:
        chapter8.copy_of(found).save(file)
    return found


# --- accuracy and calibration -----------------------------------------------------------------


def two_classes(logits: np.ndarray) -> np.ndarray:
    """Returns logits (n, classes): of two classes where the network has one output for both."""
    logits = logits.reshape(-1, logits.shape[-1])
    return np.hstack([np.zeros_like(logits), logits]) if logits.shape[-1] == 1 else logits


def answers(function: Any, x: Any) -> np.ndarray:
    """Returns the logits (examples, classes) of a function, in pieces."""
    pieces = [function(x[n : n + 500]) for n in range(0, len(x), 500)]
    logits = two_classes(np.concatenate(pieces))
    if not np.isfinite(logits).all():
        raise ValueError("the network's outputs are not finite")
    return logits


def numbers_of(found: Any, large: Any, splits: Any) -> dict[str, float]:
    """Returns accuracy, calibration error and the share of answers that are the large one's."""
    function, row = as_function(found), {}
    for name in ("validation", "test"):
        x, y = getattr(splits, name)
        logits, y = answers(function, x), np.ravel(y)
        row[name] = float((logits.argmax(axis=1) == y).mean())
        row[f"{name} calibration"] = chapter8.calibration_error(logits, y)
    before = answers(as_function(large), splits.test.x).argmax(axis=1)
    return row | {"same answers": float((logits.argmax(axis=1) == before).mean())}


# --- the files --------------------------------------------------------------------------------


def files_of(found: Any, splits: Any) -> dict[str, Any]:
    """Returns format → {bytes, same, difference}, or why it cannot be had."""
    if isinstance(found, InRuntime):
        return {found.format: {"bytes": len(found.content)}}
    with tempfile.TemporaryDirectory() as folder:
        cells = {"keras": keras_file(found, splits, Path(folder) / "model.keras")}
        zipped = gzip.compress((Path(folder) / "model.keras").read_bytes())
        cells["gzip"] = {"bytes": len(zipped)}
        for to in ("savedmodel", "onnx", "litert"):
            path = Path(folder) / conversion.FORMATS[to].name
            try:
                write(found, splits, to, path)
                same = compared(found, models.load(path), splits)
                cells[to] = {"bytes": conversion.size_of(path)} | same
            except Exception as error:  # of any library: a cell that cannot be had says why
                cells[to] = {"why": why(error)}
            print("   ", to, cells[to], flush=True)
    return cells


def keras_file(found: Any, splits: Any, path: Path) -> dict[str, Any]:
    """Returns the cell of the .keras file, after it was loaded again."""
    chapter8.copy_of(found).save(path) if quantised(found) is None else found.save(path)
    size = {"bytes": path.stat().st_size}
    try:
        return size | compared(found, models.load(path), splits)
    except UserError as error:
        return size | {"why": why(error)}


def packed_file(model: Any) -> dict[str, Any]:
    """Returns the cell of the chapter's own file, weights of 4 bits in blocks."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        chapter8.write_int4(path, model.get_weights())
        return {"bytes": path.stat().st_size}


def quantised(model: Any) -> Any:
    """Returns a layer that Keras has quantised, None if there is none."""
    layers = model._flatten_layers()  # the layers within layers, too
    return next((each for each in layers if getattr(each, "quantization_mode", None)), None)


def write(model: Any, splits: Any, to: str, path: Path) -> None:
    """Writes a network in a format: in whole numbers for LiteRT where it was trained for them."""
    if to == "litert" and any(isinstance(each, chapter8.Rounded) for each in model.layers):
        path.write_bytes(chapter8.for_litert(model))
    else:
        conversion.write(model, describe(splits), to, path)


def compared(model: Any, function: Any, splits: Any) -> dict[str, float]:
    """Returns how many predictions of a file are the model's, and the largest difference."""
    x = splits.test.x[:CHECKED]
    ours, theirs = answers(as_function(model), x), answers(function, x)
    same = float((ours.argmax(axis=1) == theirs.argmax(axis=1)).mean())
    return {"same": same, "difference": float(np.abs(ours - theirs).max())}


def why(error: Exception) -> str:
    """Returns the first line of an error, shortened; of a conversion, what the library said."""
    told = re.search(r"as \w+ \((.+)\): try", str(error))
    lines = (told[1] if told else str(error) or type(error).__name__).strip().splitlines()
    return lines[0][:160]


# --- one seed, and all ------------------------------------------------------------------------


def measure_seed(folder: Path, name: str, seed: int, only: Sequence[str]) -> dict[str, Any]:
    """Returns the rows of a seed, method → row; those in its file are not measured anew."""
    splits, file = NETWORKS[name].splits(), folder / name / f"seed{seed}.json"
    rows = json.loads(file.read_text()) if file.is_file() else {}
    for method in sorted(methods_of(name), key=lambda method: method not in FIRST):
        if method in rows and method not in only:
            continue
        if time.monotonic() > END[0]:
            sys.exit(f"ended before {name}, seed {seed}, {method}: the same command goes on")
        large, found = (made(folder, name, seed, splits, each) for each in ("32 bits", method))
        rows[method] = numbers_of(found, large, splits)
        if not isinstance(found, InRuntime):
            rows[method]["weights"] = found.count_params()
        print(name, seed, method, rows[method], flush=True)
        if seed == 0:
            rows[method]["files"] = files_of(found, splits)
            if method == "4 bits in blocks":
                rows[method]["files"]["npz"] = packed_file(large)
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n")
        keras.backend.clear_session()
    return rows


def joined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns method → row: over its seeds values, means and errors; the files of the first."""
    grid: dict[str, Any] = {}
    for method in methods_of("cnn"):  # which has all of them
        rows = [run[method] for run in runs if method in run]
        if rows and rows[0] is runs[0].get(method):
            numbers = [key for key in rows[0] if key not in ("files", "weights")]
            grid[method] = {key: spread([row[key] for row in rows]) for key in numbers}
            rest = ("files", "weights")
            grid[method] |= {key: rows[0][key] for key in rest if key in rows[0]}
    return grid


def measured_by_now(folder: Path, name: str) -> list[dict[str, Any]]:
    """Returns the rows of all seeds that were measured, or begun."""
    files = sorted((folder / name).glob("seed?.json"))
    return [json.loads(file.read_text()) for file in files]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--folder", type=Path, default=Path("build/compression"))
    parser.add_argument("--seeds", type=int, help="so many; 5 of the cnn and the gru, 3 of writers")
    parser.add_argument("--seed", type=int, help="measure this one alone, into no results.json")
    parser.add_argument("--only", nargs="*", default=(), help="methods that are measured anew")
    parser.add_argument("--join", action="store_true", help="only join what was measured by now")
    parser.add_argument("--minutes", type=float, default=float("inf"))
    options = parser.parse_args()
    END[0] = time.monotonic() + 60 * options.minutes
    for name in options.networks:
        if options.seed is not None:
            measure_seed(options.folder, name, options.seed, options.only)
            continue
        seeds = range(options.seeds or NETWORKS[name].seeds)
        if not options.join:
            for seed in seeds:
                measure_seed(options.folder, name, seed, options.only)
        keep("chapter8", f"grid of the {name}", joined(measured_by_now(options.folder, name)))


if __name__ == "__main__":
    main()
