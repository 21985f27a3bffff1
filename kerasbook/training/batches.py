"""The data of a run: arrays that lie on the device, or a data set, taken batch by batch."""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kerasbook.training.checks import ArgumentError

import keras
import numpy as np
import tensorflow as tf


def as_tensors(arrays):
    """Returns the arrays on the device; 64-bit floats become Keras' default float, as in
    `model.fit`.
    """

    def convert(array):
        tensor = tf.convert_to_tensor(array)
        return tf.cast(tensor, keras.config.floatx()) if tensor.dtype == tf.float64 else tensor

    return tf.nest.map_structure(convert, arrays)


def as_batches(data, name: str):
    """Returns `data` ready for a loop: a tuple of tensors (x, y[, sample_weight]), or a dataset."""
    if isinstance(data, tf.data.Dataset):
        if data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ArgumentError(f"{name} never ends: add .take(steps) to say how long an epoch is")
        if not isinstance(data.element_spec, tuple) or len(data.element_spec) not in (2, 3):
            raise ArgumentError(
                f"the batches of {name} must be (x, y) or (x, y, sample_weight), not "
                f"{_kind(data.element_spec)}; bring them into this form with {name}.map(...)"
            )
        return data
    if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
        raise ArgumentError(
            f"{name} must be (x, y) or (x, y, sample_weight), or a tf.data.Dataset of such "
            f"batches, not {type(data).__name__}; for a generator, use "
            "tf.data.Dataset.from_generator"
        )
    which = "x", "y", "sample_weight"
    data = tuple(_tensors_of(part, f"{w} of {name}") for part, w in zip(data, which, strict=False))
    for part, w in zip(data[1:], which[1:], strict=False):
        if any(array.dtype == tf.string for array in tf.nest.flatten(part)):
            raise ArgumentError(f"{w} of {name} holds texts: give each class a number")
    lengths = {len(array) for array in tf.nest.flatten(data)}
    if len(lengths) > 1:
        raise ArgumentError(f"the parts of {name} differ in length: {sorted(lengths)} examples")
    if lengths == {0}:
        raise ArgumentError(f"{name} is empty: it has 0 examples")
    return data


def _tensors_of(part, what: str):
    """The arrays of x, y or sample_weight as tensors with a row for each example."""
    _refuse_ragged(part, what)
    try:
        tensors = as_tensors(_array_of_list(part))
    except (ValueError, TypeError) as error:
        reason = str(error).partition("\n")[0]
        raise ArgumentError(
            f"{what} is no array of numbers or texts ({reason}); for a generator, use "
            "tf.data.Dataset.from_generator"
        ) from None
    if any(tensor.shape.rank == 0 for tensor in tf.nest.flatten(tensors)):
        raise ArgumentError(f"{what} is a single value: make it an array with a row per example")
    return tensors


def _refuse_ragged(part, what: str) -> None:
    """Ragged and sparse tensors have no rows that can be gathered."""
    for array in tf.nest.flatten(part):
        if isinstance(array, tf.RaggedTensor):
            raise ArgumentError(
                f"{what} is a ragged tensor: make it rectangular with .to_tensor(), and mask the "
                "padding (Embedding(mask_zero=True), Masking)"
            )
        if isinstance(array, tf.SparseTensor) or hasattr(array, "tocoo"):
            raise ArgumentError(
                f"{what} is sparse: make it dense, with tf.sparse.to_dense(…) or "
                ".toarray(), or pass a tf.data.Dataset of dense batches"
            )


def _kind(spec) -> str:
    """What one element of a dataset is, said shortly."""
    if isinstance(spec, dict):
        return f"a dict of {', '.join(map(str, spec))}"
    return f"a tuple of {len(spec)}" if isinstance(spec, tuple) else "a single tensor"


def _array_of_list(part):
    """A list of numbers as an array; a list of arrays stays: it is a model's several inputs."""
    is_numbers = isinstance(part, list) and not any(hasattr(each, "shape") for each in part)
    return np.asarray(part) if is_numbers else part


def examples(data) -> int | None:
    """Returns the number of examples in arrays; None for a dataset, which does not say."""
    return None if isinstance(data, tf.data.Dataset) else _rows(data)


def _rows(arrays) -> int:
    return len(tf.nest.flatten(arrays)[0])


def steps_per_epoch(data, batch_size: int) -> int | None:
    """Returns the number of batches in an epoch; None for a dataset that does not say."""
    if isinstance(data, tf.data.Dataset):
        return int(data.cardinality()) if data.cardinality() >= 0 else None
    return math.ceil(_rows(data) / batch_size)


def build(model, data, batch_size: int) -> None:
    """Gives the model its variables, if it has none yet, from the shapes of a batch alone.

    As Keras does it: the call is traced and not run, so that no random number is drawn.
    """
    if all(layer.built for layer in model._flatten_layers()):
        return
    arrays = not isinstance(data, tf.data.Dataset)
    x = data[0] if arrays else data.element_spec[0]

    def spec(array):
        rows = min(batch_size, array.shape[0]) if arrays else array.shape[0]
        return tf.TensorSpec([rows, *array.shape[1:]], array.dtype)

    call = tf.function(lambda x: model(x, training=False), autograph=False)
    call.get_concrete_function(tf.nest.map_structure(spec, x))


def batch_order(seed: int, epoch: int, examples: int, shuffle: bool = True) -> np.ndarray:
    """Returns the order in which an epoch takes its examples: it depends on (seed, epoch) alone."""
    if not shuffle:
        return np.arange(examples, dtype=np.int32)
    return np.random.default_rng((seed, epoch)).permutation(examples).astype(np.int32)


def as_dataset(data, batch_size, order=None):
    """Returns, for `model.fit`, the batches that the tape loop takes, in the order that `order`
    says.
    """
    if data is None or isinstance(data, tf.data.Dataset):
        return data

    def take(positions):
        rows = positions if order is None else tf.gather(order, positions)
        return tf.nest.map_structure(lambda array: tf.gather(array, rows), data)

    return tf.data.Dataset.range(examples(data)).batch(batch_size).map(take).prefetch(2)


@dataclass(frozen=True)
class Batches:
    """What a run trains on: its data, how they are cut into batches, and in which order."""

    train: Any  # tensors (x, y[, sample_weight]), or a tf.data.Dataset
    validation: Any  # the same, or None
    batch_size: int
    shuffle: bool
    seed: int

    @property
    def examples(self) -> int | None:
        """How many examples an epoch takes; None for a dataset."""
        return examples(self.train)

    @property
    def steps(self) -> int | None:
        """How many batches an epoch takes; None for a dataset that does not say."""
        return steps_per_epoch(self.train, self.batch_size)

    def order_of(self, epoch: int) -> tf.Tensor | None:
        """Returns the order of an epoch's examples; None for a dataset, which brings its own."""
        if self.examples is None:
            return None
        return tf.constant(batch_order(self.seed, epoch, self.examples, self.shuffle))


def make_batches(train, validation_data, batch_size: int, shuffle: bool, seed: int) -> Batches:
    """Returns the data of a run, checked and on the device.

    Raises:
        ArgumentError: they have another form than `fit` takes.
    """
    train = as_batches(train, "train")
    if validation_data is not None:
        validation_data = as_batches(validation_data, "validation_data")
    return Batches(train, validation_data, batch_size, shuffle, seed)


NOT_CHECKED = "a tf.data.Dataset, not checked"
ROWS_CHECKED = 1000


def fingerprint(data) -> str:
    """Returns what tells these arrays from others: shapes, dtypes, and a hash of up to 1,000 rows.

    The rows are spread evenly over the data. Of a dataset nothing is known before it is read.
    """
    if isinstance(data, tf.data.Dataset):
        return NOT_CHECKED
    count = _rows(data)
    rows = np.linspace(0, count - 1, min(ROWS_CHECKED, count)).astype(np.int32)
    found = hashlib.sha256()
    for array in tf.nest.flatten(data):
        found.update(f"{array.dtype.name} {array.shape}".encode())
        chosen = np.ascontiguousarray(tf.gather(array, rows).numpy())
        # Of texts the array has addresses only.
        found.update(repr(chosen.tolist()).encode() if chosen.dtype == object else chosen.tobytes())
    return found.hexdigest()


def take_inputs(x, batch_size: int) -> Iterator:
    """Yields the inputs batch by batch, of arrays, lists of numbers, or a dataset."""
    if isinstance(x, tf.data.Dataset):
        for batch in x:
            yield batch[0] if isinstance(batch, tuple) else batch
        return
    x = _tensors_of(x, "x")
    for first in range(0, _rows(x), batch_size):
        rows = slice(first, first + batch_size)
        yield tf.nest.map_structure(lambda array, rows=rows: array[rows], x)
