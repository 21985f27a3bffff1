"""What a learner's function returned, as plain arrays; what it is given, from plain arrays."""

import sys

import numpy as np

from .wire import DTYPES


class BadValue(Exception):
    """Something was returned that is not an array of numbers."""


def as_array(value) -> np.ndarray:
    """Returns the value as an array of NumPy's own class.

    Raises:
        BadValue: it is no number, array or tensor of numbers.
    """
    kind = type(value).__name__
    if value is None:
        raise BadValue("returned None, expected an array: is there a `return`?")
    if isinstance(value, np.ma.MaskedArray):
        raise BadValue("returned a masked array, expected an array")
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow and isinstance(value, tensorflow.IndexedSlices):
        value = tensorflow.convert_to_tensor(value)
    if type(value).__name__ in ("KerasTensor", "SymbolicTensor"):
        raise BadValue("returned a symbolic tensor, expected numbers")
    if hasattr(value, "numpy"):
        value = value.numpy()
    try:
        array = np.array(value, order="C", subok=False)
    except Exception as error:
        raise BadValue(f"returned {kind}, which is no array: {type(error).__name__}") from error
    if type(array) is not np.ndarray or str(array.dtype) not in DTYPES:
        raise BadValue(f"returned {kind} of dtype {array.dtype}, expected an array of numbers")
    return array


def as_outputs(value, names) -> dict[str, np.ndarray]:
    """Returns the value as named arrays; names None: a dictionary, as the driver made it.

    Raises:
        BadValue: another number of values, or no arrays.
    """
    if value is None and names != ("result",) and not names:
        return {}
    if names is None:
        return {str(name): as_array(one) for name, one in value.items()}
    if len(names) == 1:
        return {names[0]: as_array(value)}
    if value is None:
        wanted = f"expected {len(names)} values ({', '.join(names)})"
        raise BadValue(f"returned None, {wanted}: is there a `return`?")
    if not isinstance(value, tuple | list) or len(value) != len(names):
        count = len(value) if isinstance(value, tuple | list) else 1
        returned = f"returned {count} value{'s' * (count != 1)}"
        raise BadValue(f"{returned}, expected {len(names)}: {', '.join(names)}")
    return {name: as_array(one) for name, one in zip(names, value, strict=True)}


def split_inputs(inputs) -> tuple[dict, dict[str, np.ndarray]]:
    """Returns inputs as JSON values and arrays, for a message; the order of the names is kept."""
    arrays = {name: v for name, v in inputs.items() if isinstance(v, np.ndarray)}
    plain = {name: v for name, v in inputs.items() if name not in arrays}
    return {"names": list(inputs), "plain": plain}, arrays


def join_inputs(fields, arrays) -> dict:
    """Returns the inputs of a message; the arrays are copies of the call's own, and writable."""
    return {
        name: np.array(arrays[name]) if name in arrays else fields["plain"][name]
        for name in fields["names"]
    }
