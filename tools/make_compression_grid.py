"""Measures chapter 8's grid: every method, over the seeds, in every format that is there.

    python tools/make_compression_grid.py                 # five seeds, then into results.json
    python tools/make_compression_grid.py --only "8 bits" # this method anew

What is measured is kept in a folder, one file for a seed, after every method: a run that was ended
goes on where it was. A format whose library is missing is left out, and named at the end.
"""

import argparse
import functools
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasbook import chapter8
from kerasbook.data import load_fashion
from kerasbook.files import atomic_path
from kerasbook.training import predict

import keras
import numpy as np
from make_measurements import keep, spread

SMALL = {"filters": (4, 8, 16), "units": 16}


# --- the methods: (large, splits, seed) → model ------------------------------------------------


def rounded(bits: int, trained: bool = False) -> Callable:
    """Returns the method that lets a weight have so many bits, with a scale for each unit."""

    def method(large, splits, seed):
        small = chapter8.copy_of(large)
        if trained:
            chapter8.train_rounded(small, splits.train, bits, seed=seed)
        else:
            rounding = functools.partial(chapter8.per_channel, bits=bits)
            small.set_weights(chapter8.changed(large.get_weights(), rounding))
        return small

    return method


PRUNED: dict[tuple, Any] = {}  # (share, seed): so that it is not trained twice


def pruned(share: float, then: Callable = lambda model: model) -> Callable:
    """Returns the method that prunes a share of all weights together and trains on."""

    def method(large, splits, seed):
        if (share, seed) not in PRUNED:
            PRUNED[share, seed] = chapter8.copy_of(large)
            chapter8.prune(PRUNED[share, seed], splits.train, share, seed=seed)
        return then(PRUNED[share, seed])

    return method


def pruned_only(share: float) -> Callable:
    """Returns the method that prunes and does not train."""

    def method(large, splits, seed):
        small, weights = chapter8.copy_of(large), large.get_weights()
        small.set_weights(chapter8.masked(weights, chapter8.masks_together(weights, share)))
        return small

    return method


def without_filters(share: float) -> Callable:
    """Returns the method that takes a share of the filters away and trains on."""
    return lambda large, splits, seed: chapter8.compress(
        large, splits.train, "channels", share=share, seed=seed
    )


def alone(large, splits, seed):
    """Returns a small network that learned from labels."""
    small = chapter8.make_network(**SMALL, name="alone")
    chapter8.train(small, splits.train, seed=seed)
    return small


def taught(soft_loss: Callable) -> Callable:
    """Returns the method that teaches a small network by a loss for the teacher's logits."""

    def method(large, splits, seed):
        small = chapter8.make_network(**SMALL, name="student")
        chapter8.teach(small, large, splits.train, soft_loss, seed=seed)
        return small

    return method


METHODS: dict[str, Callable] = {
    "32 bits": lambda large, splits, seed: large,
    "8 bits": lambda large, splits, seed: chapter8.in_int8(large),
    "8 bits by Keras": lambda large, splits, seed: chapter8.quantised_by_keras(large),
    "4 bits": rounded(4),
    "3 bits": rounded(3),
    "2 bits": rounded(2),
    "2 bits, trained": rounded(2, trained=True),
    "80 % zero": pruned(0.8),
    "90 % zero": pruned(0.9),
    "90 % zero, not trained": pruned_only(0.9),
    "90 % zero, 8 bits": pruned(0.9, chapter8.in_int8),
    "half the filters": without_filters(0.5),
    "a quarter of the filters": without_filters(0.75),
    "small, alone": alone,
    "small, taught": taught(chapter8.distillation_loss),
    "small, Keras' default": taught(chapter8.as_it_comes),
}

# --- the formats: model → bytes ------------------------------------------------------------------


def saved_model_bytes(model: Any) -> int:
    """Returns the bytes of all files of a SavedModel."""
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, verbose=False)
        return sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())


def keras_bytes(model: Any, zipped: bool = False) -> int:
    """Returns the bytes of a `.keras` file, or of that file after gzip."""
    return chapter8.bytes_of(model, zipped)


FORMATS: dict[str, Callable] = {
    "keras": keras_bytes,
    "gzip": lambda model: keras_bytes(model, zipped=True),
    "savedmodel": saved_model_bytes,
}


# --- one seed, and all ---------------------------------------------------------------------------


def measured(model: Any, large: Any, splits: Any) -> dict[str, Any]:
    """Returns accuracies, calibration error, share of equal answers, bytes by format."""
    row: dict[str, Any] = {"weights": model.count_params(), "bytes": {}}
    for name in ("validation", "test"):
        part = getattr(splits, name)
        logits = predict(model, part.x)
        row[name] = float((logits.argmax(axis=1) == part.y).mean())
        row[f"{name} calibration"] = chapter8.calibration_error(logits, part.y)
        if name == "test":
            same = logits.argmax(axis=1) == predict(large, part.x).argmax(axis=1)
            row["same answers"] = float(same.mean())
    for name, size in FORMATS.items():
        try:
            row["bytes"][name] = size(model)
        except Exception as error:  # a cell that cannot be had says why
            row["bytes"][name] = f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"
    return row


def large_network(folder: Path, splits: Any, seed: int) -> Any:
    """Returns the trained network of a seed, from its file if it is there."""
    file = folder / f"large{seed}.keras"
    if not file.is_file():
        keras.utils.set_random_seed(seed)
        model = chapter8.make_network()
        chapter8.train(model, splits.train, seed=seed)
        chapter8.copy_of(model).save(file)
    return keras.models.load_model(file)


def measure_seed(folder: Path, seed: int, only: str | None) -> dict[str, Any]:
    """Returns the rows of a seed, method → row; those in its file are not measured anew."""
    file, splits = folder / f"seed{seed}.json", load_fashion()
    rows = json.loads(file.read_text()) if file.is_file() else {}
    for name, method in METHODS.items():
        if name in rows and name != only:
            continue
        large = large_network(folder, splits, seed)
        keras.utils.set_random_seed(seed)
        rows[name] = measured(method(large, splits, seed), large, splits)
        with atomic_path(file) as temporary:
            temporary.write_text(json.dumps(rows, indent=1) + "\n")
        print(seed, name, rows[name], flush=True)
    return rows


def joined(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns the grid: for each method the seeds' values, means and standard errors."""
    grid: dict[str, Any] = {}
    for name in METHODS:
        rows = [run[name] for run in runs]
        numbers = [key for key in rows[0] if key not in ("bytes", "weights")]
        entry: dict[str, Any] = {key: spread([row[key] for row in rows]) for key in numbers}
        entry["weights"] = rows[0]["weights"]
        entry["bytes"] = {}
        for kind in FORMATS:
            values = [row["bytes"][kind] for row in rows]
            words = [each for each in values if isinstance(each, str)]
            entry["bytes"][kind] = words[0] if words else int(np.median(values))
        grid[name] = entry
    return grid


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="*", default=list(range(5)))
    parser.add_argument("--folder", type=Path, default=Path("build/compression"))
    parser.add_argument("--only", help="the method that is measured anew")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    runs = [measure_seed(options.folder, seed, options.only) for seed in options.seeds]
    if len(runs) == 5:
        keep("chapter8", "grid", joined(runs))


if __name__ == "__main__":
    main()
