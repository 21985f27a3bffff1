"""Safetensors files: arrays by name, in a form that can hold nothing but arrays.

Eight bytes say how long the header is; the header is JSON, and says of each array its type, its
shape and where its bytes begin and end; then come the bytes. (huggingface/safetensors, README.)
Nothing in it can be run. A file that says what is not so is refused, and named.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kerasbook.data.splits import DataError
from kerasbook.files import atomic_path

import numpy as np

TYPES = {
    "BOOL": "?", "U8": "u1", "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8",
    "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
NAMES = {np.dtype(kind): name for name, kind in TYPES.items()}
METADATA = "__metadata__"
LONGEST_HEADER = 100_000_000  # bytes, as in the reference


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str] = {}) -> None:
    """Writes arrays of one of TYPES by their names, and words by theirs.

    Raises:
        DataError: an array is of another type.
    """
    header: dict[str, Any] = {METADATA: dict(metadata)} if metadata else {}
    parts, place = [], 0
    for name, array in arrays.items():
        array = np.asarray(array)
        if array.dtype not in NAMES:
            raise DataError(f"{name} is {array.dtype}: a safetensors file here has {list(TYPES)}")
        kind = NAMES[array.dtype]
        parts.append(array.astype(TYPES[kind]).tobytes())
        ends = [place, place := place + len(parts[-1])]
        header[name] = {"dtype": kind, "shape": list(array.shape), "data_offsets": ends}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the arrays begin at a multiple of 8
    with atomic_path(Path(path)) as temporary:
        temporary.write_bytes(b"".join([len(text).to_bytes(8, "little"), text, *parts]))


def read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a file by name, and its metadata.

    Raises:
        DataError: it cannot be read, is damaged, or has a type that is not among TYPES.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse(content, str(path))


def parse(content: bytes, path: str) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns what `read` returns, of a file's content; `path` is for the messages."""
    header, content = split(content, path)
    metadata = header.pop(METADATA, {})
    spans = sorted((span(entry, name, path), name) for name, entry in header.items())
    end = 0
    for (start, stop), name in spans:
        if start != end:  # a gap could hide something, an overlap gives one number two names
            raise damaged(path, f"{name} does not begin where the array before it ends")
        end = stop
    if end != len(content):
        raise damaged(path, f"its arrays have {end:,} bytes, the file has {len(content):,} of them")
    return {name: array_of(header[name], content) for name in header}, metadata


def split(content: bytes, path: str) -> tuple[dict[str, Any], bytes]:
    """Returns the header and the bytes that follow it."""
    length = int.from_bytes(content[:8], "little")
    if len(content) < 8 or length > min(len(content) - 8, LONGEST_HEADER):
        raise damaged(path, "it is shorter than its first bytes say")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=without_twins)
    except ValueError as error:
        raise damaged(path, f"its header cannot be read ({error})") from None
    if not isinstance(header, dict):
        raise damaged(path, "its header is not a list of names")
    return header, content[8 + length :]


def without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object as a dict; two equal names are an error."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands there twice")
    return dict(pairs)


def span(entry: Any, name: str, path: str) -> tuple[int, int]:
    """Returns where an array begins and ends, after comparing that with its type and its shape."""
    try:
        kind, shape, (start, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
        whole = all(type(each) is int and each >= 0 for each in (*shape, start, stop))
    except (TypeError, KeyError, ValueError):
        raise damaged(path, f"{name} has no dtype, shape and data_offsets") from None
    if kind not in TYPES:
        raise DataError(f"{path}: {name} is {kind}, which is not read here; {', '.join(TYPES)} are")
    if not whole or stop - start != math.prod(shape) * np.dtype(TYPES[kind]).itemsize:
        raise damaged(path, f"{name} has {shape} numbers of {kind}, and bytes {start} to {stop}")
    return start, stop


def array_of(entry: dict[str, Any], content: bytes) -> np.ndarray:
    """Returns one array."""
    start, stop = entry["data_offsets"]
    return np.frombuffer(content[start:stop], TYPES[entry["dtype"]]).reshape(entry["shape"])


def damaged(path: str, reason: str) -> DataError:
    """Returns the error of a file that is not what it says."""
    return DataError(f"{path} is damaged or no safetensors file: {reason}. Fetch it once more.")
