"""A safetensors file, read by hand."""

import json

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter=7,
    minutes=20,
    difficulty=2,
    points=2,
    outputs=("array", "verdict"),
    dtypes=("float32", "float64", "int32", "int64"),
    hints=[
        "The first 8 bytes are the length of the header, the smallest first. The offsets count "
        "from the end of the header.",
        "Before you believe an entry, compare: stop - start must be the product of the shape times "
        "the bytes of a number, and stop must not lie behind the end of the file.",
        "length = int.from_bytes(content[:8].tobytes(), 'little'); header = json.loads(…); start, "
        "stop = entry['data_offsets']; np.frombuffer(data[start:stop].tobytes(), '<f4').",
    ],
)


@exercise.stub
def read_arrays(content, name):
    """Read one array out of the bytes of a safetensors file, unless the file lies.

    Eight bytes, little-endian, are the length of the header; the header is JSON, an object with an
    entry {"dtype", "shape", "data_offsets": [start, stop]} for each name; then come the arrays'
    bytes, from which the offsets count. "F32" is a float of 4 bytes, "F64" of 8, "I8" a whole
    number of 1, all little-endian.

    The verdict is 0 and the array empty, shape (0,), if something is not as it says: the header
    reaches beyond the file, the name is not there, the type is another one, the array's bytes are
    not as many as its shape and type need, or they reach beyond the file. Otherwise it is 1.

    Practises: chapter 7, "A file of weights".

    Args:
        content: (n,) uint8 array, the whole file.
        name: a string.

    Returns:
        The array as float32 or float64, of its shape; and the verdict, 0 or 1.
    """
    raise NotImplementedError


def file_of(arrays, **changes):
    """Returns the bytes of a file; changes: name → what its entry has in place of the truth."""
    header, data = {}, b""
    kinds = {"float32": "F32", "float64": "F64", "int8": "I8"}
    for name, array in arrays.items():
        ends = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": kinds[str(array.dtype)], "shape": list(array.shape)}
        header[name] |= {"data_offsets": ends} | changes.get(name, {})
        data += array.tobytes()
    text = json.dumps({"__metadata__": {"made": "up"}} | header).encode()
    return np.frombuffer(len(text).to_bytes(8, "little") + text + data, "uint8")


def arrays(random):
    """Returns three arrays."""
    return {
        "a": random.normal(size=(2, 3)).astype("float32"),
        "b": random.integers(-100, 100, 5).astype("int8"),
        "c": random.normal(size=(4, 1, 2)),
    }


@exercise.public
def examples(random):
    found = {"a": np.float32([[1, 2, 3]]), "b": np.int8([-7])}
    yield Case("the first", {"content": file_of(found), "name": "a"})
    yield Case("not there", {"content": file_of(found), "name": "x"})


@exercise.hidden
def drawn(random):
    found = arrays(random)
    for name in found:
        yield Case(f"array {name}", {"content": file_of(found), "name": name}, unchanged=True)
    wrong = file_of(found, a={"shape": [2, 4]})
    yield Case("another shape", {"content": wrong, "name": "a"})
    yield Case("another type", {"content": file_of(found, a={"dtype": "F16"}), "name": "a"})
    yield Case("longer than it is", {"content": file_of(found)[:-8], "name": "c"})
    yield Case("cut in the header", {"content": file_of(found)[:40], "name": "a"})
    late = file_of(found, a={"data_offsets": [10**6, 10**6 + 24]})
    yield Case("behind the end", {"content": late, "name": "a"})


@exercise.reference
def solution(content, name):
    lie = np.zeros(0, "float32"), 0
    kinds = {"F32": "<f4", "F64": "<f8", "I8": "i1"}
    length = int.from_bytes(content[:8].tobytes(), "little")
    if length > len(content) - 8:
        return lie
    header, data = json.loads(content[8 : 8 + length].tobytes()), content[8 + length :]
    entry = header.get(name)
    if entry is None or entry["dtype"] not in kinds:
        return lie
    kind, (start, stop) = np.dtype(kinds[entry["dtype"]]), entry["data_offsets"]
    if stop > len(data) or stop - start != np.prod(entry["shape"]) * kind.itemsize:
        return lie
    array = np.frombuffer(data[start:stop].tobytes(), kind).reshape(entry["shape"])
    return array.astype("float64"), 1


@exercise.right
def by_errors(content, name):
    try:
        length = int(content[:8].view("<u8")[0])
        if 8 + length > content.size:
            raise ValueError
        entry = json.loads(bytes(content[8 : 8 + length]))[name]
        kind = {"F32": np.float32, "F64": np.float64, "I8": np.int8}[entry["dtype"]]
        start, stop = (8 + length + offset for offset in entry["data_offsets"])
        if stop > content.size:
            raise ValueError
        found = np.frombuffer(bytes(content[start:stop]), kind)
        return found.reshape(entry["shape"]).astype("float64"), 1
    except (KeyError, ValueError):
        return np.zeros(0), 0


@exercise.right
def number_by_number(content, name):
    import struct

    raw = content.tobytes()
    (length,) = struct.unpack("<Q", raw[:8])
    if length <= len(raw) - 8:
        entry = json.loads(raw[8 : 8 + length]).get(name, {"dtype": ""})
        letter = {"F32": "f", "F64": "d", "I8": "b"}.get(entry["dtype"])
        if letter:
            count, (start, stop) = int(np.prod(entry["shape"])), entry["data_offsets"]
            part = raw[8 + length :][start:stop]
            form = f"<{count}{letter}"
            if len(part) == stop - start == struct.calcsize(form):
                return np.array(struct.unpack(form, part), float).reshape(entry["shape"]), 1
    return np.zeros(0), 0


@exercise.right
def with_views(content, name):
    sizes = {"F32": ("<f4", 4), "F64": ("<f8", 8), "I8": ("<i1", 1)}
    end = 8 + int(sum(int(byte) << (8 * place) for place, byte in enumerate(content[:8])))
    entry = json.loads(content[8:end].tobytes().decode()).get(name) if end <= len(content) else None
    if entry and entry["dtype"] in sizes:
        kind, size = sizes[entry["dtype"]]
        start, stop = entry["data_offsets"]
        count = 1
        for axis in entry["shape"]:
            count *= axis
        if count * size == stop - start and end + stop <= len(content):
            part = content[end + start : end + stop].copy().view(kind)
            return part.reshape(entry["shape"]).astype("float32"), 1
    return np.zeros(0, "float32"), 0


exercise.mistake(
    "offsets_from_the_file",
    "The offsets count from the end of the header, not from the beginning of the file.",
    old="content[8 + length :]",
    new="content",
)
exercise.mistake(
    "eight_forgotten",
    "The length is that of the header alone; the 8 bytes before it are not counted.",
    old="content[8 + length :]",
    new="content[length:]",
)
exercise.mistake(
    "shape_believed",
    "The number of bytes is not compared with shape and type, so a file that lies is an error.",
    old=' or stop - start != np.prod(entry["shape"]) * kind.itemsize',
    new="",
)
exercise.mistake(
    "end_not_looked_at",
    "Nobody has asked whether the array's bytes are in the file at all.",
    old="stop > len(data) or ",
    new="",
)
exercise.mistake(
    "big_endian",
    "The smallest byte comes first: little-endian.",
    old='"little"',
    new='"big"',
)
exercise.mistake("turned", old='.reshape(entry["shape"])', new='.reshape(entry["shape"][::-1])')
exercise.mistake("all_float32", old='np.dtype(kinds[entry["dtype"]])', new='np.dtype("<f4")')
exercise.mistake("unsigned", old='"I8": "i1"', new='"I8": "u1"')
exercise.mistake(
    "header_believed", old="    if length > len(content) - 8:\n        return lie\n", new=""
)
