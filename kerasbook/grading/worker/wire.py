"""Messages between grader and worker: a JSON header of known length, then the arrays' bytes.

    4 bytes: length of the header, little end first
    header:  {"arrays": [[name, dtype, shape], …], other fields}
    bytes of the arrays, one after the other, each in C order

What a worker sends is hostile. `parse` is total: for any bytes it gives a message, None (more is
needed) or ProtocolError; nothing is allocated before the declared sizes are checked, and there is
no pickle, no eval and no file format.
"""

import json
import math
import struct

import numpy as np

WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
DTYPES = (*WHOLE, "float16", "float32", "float64", "complex64", "complex128")
MAX_HEADER = 64 * 1024
MAX_BYTES = 64 * 1024 * 1024
MAX_ARRAYS = 256
MAX_DIMENSIONS = 8


class ProtocolError(Exception):
    """Bytes that are not a message."""


def pack(fields: dict, arrays: dict[str, np.ndarray]) -> bytes:
    """Returns the bytes of a message with the given JSON fields and arrays."""
    listed = [[name, str(a.dtype), list(a.shape)] for name, a in arrays.items()]
    header = json.dumps({**fields, "arrays": listed}).encode()
    body = b"".join(np.ascontiguousarray(a).tobytes() for a in arrays.values())
    return struct.pack("<I", len(header)) + header + body


def parse(received: bytes | bytearray) -> tuple[dict, dict[str, np.ndarray], int] | None:
    """Returns the first message in the received bytes: fields, arrays, bytes used; None: more is
    needed.

    Raises:
        ProtocolError: no message can begin so.
    """
    end = needed(received)
    if len(received) < end:
        return None
    length = _length(received)
    fields, listed = _header(bytes(received[4 : 4 + length]))
    arrays, start = {}, 4 + length
    for name, dtype, shape in listed:
        size = _size(dtype, shape)
        with memoryview(received) as whole:  # copied once: a slice would be a copy, too
            piece = np.frombuffer(bytes(whole[start : start + size]), dtype)
        if dtype == "bool" and (piece.view("uint8") > 1).any():
            raise ProtocolError("a bool that is neither 0 nor 1")
        try:
            arrays[name] = piece.reshape(shape)
        except ValueError as error:  # no values, but a shape beyond what NumPy can count
            raise ProtocolError("a shape that is too large") from error
        start += size
    return fields, arrays, end


def needed(received: bytes | bytearray) -> int:
    """Returns how many bytes the first message has, as far as the received ones tell.

    Raises:
        ProtocolError: no message can begin so.
    """
    if len(received) < 4:
        return 4
    length = _length(received)
    if len(received) < 4 + length:
        return 4 + length
    _, listed = _header(bytes(received[4 : 4 + length]))
    total = sum(_size(dtype, shape) for _, dtype, shape in listed)
    if total > MAX_BYTES:
        raise ProtocolError(f"{total} bytes of arrays, more than {MAX_BYTES}")
    return 4 + length + total


def _length(received) -> int:
    (length,) = struct.unpack_from("<I", received)
    if length > MAX_HEADER:
        raise ProtocolError(f"a header of {length} bytes")
    return length


def _header(text: bytes) -> tuple[dict, list]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the header is not JSON") from error
    if not isinstance(fields, dict) or not isinstance(listed := fields.pop("arrays", None), list):
        raise ProtocolError("the header does not list its arrays")
    if len(listed) > MAX_ARRAYS:
        raise ProtocolError(f"{len(listed)} arrays")
    for entry in listed:
        if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[0], str)):
            raise ProtocolError("an array is [name, dtype, shape]")
    if len({entry[0] for entry in listed}) < len(listed):
        raise ProtocolError("two arrays of one name")
    return fields, listed


def _size(dtype, shape) -> int:
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ProtocolError("a dtype that is none of the known ones")
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        raise ProtocolError("a shape is a list of at most 8 numbers")
    if not all(type(size) is int and 0 <= size <= MAX_BYTES for size in shape):
        raise ProtocolError("a size in a shape is a whole number from 0 to the limit")
    return math.prod(shape) * np.dtype(dtype).itemsize
