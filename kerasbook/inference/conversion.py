"""Models in other formats: `kerasbook convert runs/chapter3 --to onnx`.

What is written is loaded again and compared with Keras before it gets its name, so that a file
which computes something else is never there.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import io
import json
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from kerasbook.data.inputs import Inputs
from kerasbook.files import atomic_folder, atomic_path
from kerasbook.inference import models, saved
from kerasbook.inference.saved import RunError
from kerasbook.machine import with_extra

import numpy as np

EXAMPLES = 16  # that are compared
TOLERANCE = {"float32": 1e-5, "float16": 1e-2, "bfloat16": 1e-1}  # of the largest output


class Format(NamedTuple):
    """A format: the name of what is written, and the libraries that write and read it."""

    name: str
    keras: str  # what Keras calls it
    libraries: tuple[str, ...]


FORMATS = {
    "onnx": Format("model.onnx", "onnx", ("onnx", "tf2onnx", "onnxruntime")),
    "litert": Format("model.tflite", "litert", ("ai_edge_litert",)),
    "savedmodel": Format("savedmodel", "tf_saved_model", ()),
}


class Converted(NamedTuple):
    """What was written, and how far it is from Keras."""

    path: Path
    bytes: int
    difference: float  # the largest one of an output
    largest: float  # the largest output


def convert(run: Path, to: str) -> Converted:
    """Writes the model of a run in another format, into the run's folder; returns the comparison.

    Raises:
        RunError: the run or a library is missing, the model cannot be converted, or what was
            written computes something else.
        DataError: the run's inputs.json is missing or damaged.
    """
    found = saved.find(run)
    target = found.folder / FORMATS[to].name
    if found.model.suffix != ".keras":
        raise RunError(f"{found.model} is converted already: name the run's folder")
    require(to)
    model = models.read_keras(found.model)
    with (atomic_folder if to == "savedmodel" else atomic_path)(target) as temporary:
        write(model, found.inputs, to, temporary)
        difference, largest = compare(model, found.inputs, temporary, to)
        check(target, difference, largest, model.compute_dtype)
        size = size_of(temporary)
    name_in_report(target)
    return Converted(target, size, difference, largest)


def require(to: str) -> None:
    """Checks that the libraries of a format are installed.

    Raises:
        RunError: one is not.
    """
    missing = [name for name in FORMATS[to].libraries if importlib.util.find_spec(name) is None]
    if missing:
        names = ", ".join(name.replace("_", "-") for name in missing)
        raise RunError(f"--to {to} needs {names}, not installed here: {with_extra('convert')}")


def write(model: Any, inputs: Inputs, to: str, path: Path) -> None:
    """Writes a keras.Model in a format.

    Raises:
        RunError: it has a layer that the format does not know.
    """
    import keras

    batch = 1 if to == "litert" else None  # LiteRT's sizes are fixed
    signature = [
        keras.InputSpec(shape=(batch, *shape), dtype=each.dtype)
        for shape, each in zip(inputs.shapes, model.inputs)
    ]
    signature = signature if len(signature) == 1 else [signature]
    try:
        with nothing_printed():
            model.export(path, FORMATS[to].keras, verbose=False, input_signature=signature)
    except OSError:
        raise
    except Exception as error:  # of any of the libraries
        raise not_written(to, error) from error


def not_written(to: str, error: Exception) -> RunError:
    """Returns the error for a model that a format, or what runs it, does not know."""
    told = re.search(r"'\w+\.\w+' op [^\n]*", str(error))  # LiteRT's, behind a long place
    text = told.group() if told else str(error)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    why = (lines or [type(error).__name__])[0][:160]
    others = " or ".join(f"--to {name}" for name in FORMATS if name != to)
    return RunError(f"the model cannot be written as {to} ({why}): try {others}")


@contextlib.contextmanager
def nothing_printed() -> Iterator[None]:
    """Keeps from the screen what the libraries print, and warn of, from Python."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield


def name_in_report(path: Path) -> None:
    """Adds the file to the run's report, with its sha256, so that a later run removes it."""
    report = path.parent / "report.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        content = json.loads(report.read_text(encoding="utf-8"))
        content["files"] = [name for name in content["files"] if name != path.name] + [path.name]
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            content["converted"] = content.get("converted", {}) | {path.name: digest}
        with atomic_path(report) as temporary:
            temporary.write_text(json.dumps(content, indent=1) + "\n")


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of all files in a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


# --- compared with Keras ------------------------------------------------------------------


def compare(model: Any, inputs: Inputs, path: Path, to: str) -> tuple[float, float]:
    """Returns the largest difference of an output to Keras', and the largest output.

    Raises:
        RunError: what was written cannot be loaded or run.
    """
    arrays = examples(inputs)
    theirs = models.as_function(model)(*arrays)
    try:
        ours = models.load(path)(*arrays)
    except Exception as error:  # of any of the libraries
        raise not_written(to, error) from error
    if ours.shape != theirs.shape or not np.isfinite(ours).all():
        return float("inf"), float(np.abs(theirs).max())
    return float(np.abs(ours - theirs).max()), float(np.abs(theirs).max())


def examples(inputs: Inputs, seed: int = 0) -> list[np.ndarray]:
    """Returns random examples for each input, of every length where they are padded."""
    random = np.random.default_rng(seed)
    arrays = []
    for place, shape in enumerate(inputs.shapes):
        if inputs.kind in ("row", "picture", "steps"):
            x = random.normal(size=(EXAMPLES, *shape)).astype(np.float32)
        else:
            x = random.integers(1, symbols(inputs, place), (EXAMPLES, *shape)).astype(np.int32)
        if inputs.padded or inputs.kind in ("sentence", "word", "verse"):
            lengths = 1 + np.arange(EXAMPLES) % shape[0]
            x[np.arange(shape[0]) >= lengths[:, np.newaxis]] = 0
        arrays.append(x)
    return arrays


def symbols(inputs: Inputs, place: int) -> int:
    """Returns how many symbols an input may have: words, characters, letters, sounds, pieces."""
    if inputs.kind == "word" and place == 0:
        return 27
    return len(inputs.vocabulary or inputs.classes or ())


def check(path: Path, difference: float, largest: float, dtype: str) -> None:
    """Checks that a converted model computes what Keras computes, up to rounding.

    Raises:
        RunError: it does not.
    """
    allowed = TOLERANCE.get(dtype, TOLERANCE["float32"]) * max(largest, 1)
    if not difference <= allowed:
        raise RunError(
            f"{path} was not written: it would differ from Keras by {difference:.1e}, allowed are "
            f"{allowed:.1e}; convert to another format, and tell the authors of the book"
        )
