"""The reader and writer of safetensors files: what is whole comes back, what lies is refused."""

import json

from kerasbook.data import DataError, safetensors

import numpy as np
import pytest


def file_of(header, data=b"", length=None):
    """Returns a file of a header (dict, or text) and bytes."""
    text = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    size = len(text) if length is None else length
    return size.to_bytes(8, "little") + text + data


def entry(dtype="F32", shape=(1,), ends=(0, 4)):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(ends)}


def test_every_type_comes_back(tmp_path):
    arrays = {name: np.arange(6).reshape(2, 3).astype(kind) for name, kind in
              safetensors.TYPES.items()}  # fmt: skip
    arrays |= {"one": np.float32(3), "none": np.zeros((0, 4), "float32"), "ö": np.int8([1])}
    safetensors.write(tmp_path / "a", arrays, {"made": "up"})
    found, metadata = safetensors.read(tmp_path / "a")
    assert metadata == {"made": "up"}
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert found[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(found[name], array)


def test_bytes_of_the_other_order_are_turned(tmp_path):
    array = np.array([1.5, -2.0], ">f4")
    safetensors.write(tmp_path / "a", {"x": array.astype("<f4"), "y": array.T.astype("float64")})
    found, _ = safetensors.read(tmp_path / "a")
    np.testing.assert_array_equal(found["x"], array)


def test_arrays_begin_at_a_multiple_of_8(tmp_path):
    safetensors.write(tmp_path / "a", {"x": np.float32([1])})
    length = int.from_bytes((tmp_path / "a").read_bytes()[:8], "little")
    assert length % 8 == 0


def test_what_cannot_be_written_is_named(tmp_path):
    with pytest.raises(DataError, match="x is complex64"):
        safetensors.write(tmp_path / "a", {"x": np.complex64([1])})
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "shorter than its first bytes say"),
        (b"\x08\0\0", "shorter than"),
        (file_of({}, length=10**18), "shorter than"),
        (file_of({}, length=3), "shorter than"),
        (file_of("{nonsense}"), "header cannot be read"),
        (file_of("\xff"), "header cannot be read|list of names"),
        (file_of("[1]"), "not a list of names"),
        (file_of({"x": 3}), "x has no dtype, shape"),
        (file_of({"x": {"dtype": "F32", "shape": [1]}}), "x has no dtype, shape"),
        (file_of({"x": entry(ends=(0, 4, 8))}, bytes(8)), "x has no dtype, shape"),
        (file_of({"x": entry("BF16", (2,))}, bytes(4)), "x is BF16, which is not read here"),
        (file_of({"x": entry(shape=(2,))}, bytes(4)), r"x has \[2\] numbers"),
        (file_of({"x": entry(shape=(-1,), ends=(4, 0))}, bytes(4)), r"x has \[-1\]"),
        (file_of({"x": entry(shape=(1.0,))}, bytes(4)), r"x has \[1.0\]"),
        (file_of({"x": entry(shape=(True,))}, bytes(4)), r"x has \[True\]"),
        (file_of({"x": entry(ends=(4, 8))}, bytes(8)), "does not begin where"),
        (file_of({"x": entry(), "y": entry()}, bytes(4)), "does not begin where"),
        (file_of({"x": entry()}, bytes(3)), "its arrays have 4 bytes"),
        (file_of({"x": entry()}, bytes(5)), "its arrays have 4 bytes"),
        (file_of('{"x": 1, "x": 2}'), "a name stands there twice"),
    ],
)
def test_a_file_that_lies_is_one_line_that_names_it(content, message, tmp_path):
    path = tmp_path / "weights.safetensors"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        safetensors.read(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.safetensors cannot be read"):
        safetensors.read(tmp_path / "none.safetensors")


def test_a_damaged_byte_of_the_header_never_gives_a_traceback(tmp_path):
    safetensors.write(tmp_path / "a", {"x": np.float32([[1, 2]]), "y": np.int8([3])})
    content = bytearray((tmp_path / "a").read_bytes())
    length = int.from_bytes(content[:8], "little")
    random = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        changed[random.integers(0, 8 + length)] = random.integers(0, 256)
        try:
            found, _ = safetensors.parse(bytes(changed), "a")
        except DataError:
            continue
        assert sum(array.nbytes for array in found.values()) == len(content) - 8 - length
