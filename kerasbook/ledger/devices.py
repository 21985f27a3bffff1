"""Several devices and processes: the same weights as on one, every example taken once.

The devices are parts of the CPU (`logical_devices`), the processes two workers of this machine.
The 15 rows in batches of 7 make unequal shares, and end with a batch of one row: of two or four
devices all but one have none of it.
"""

import contextlib
import os
import signal
import sys
import tempfile
from pathlib import Path

from kerasbook.cluster import end_with_launcher, read_cluster, start_workers
from kerasbook.ledger.core import MUTANTS, Draw, as_pairs, claim, mutant, precision
from kerasbook.training import batch_order, devices, fit, replicas

import keras
import numpy as np
import tensorflow as tf
from keras import layers

ROWS, BATCH = 15, 7


def make_data(draw: Draw) -> tuple:
    """Returns inputs, targets and weights."""
    return draw(ROWS, 4), draw(ROWS, 1), np.abs(draw(ROWS)) + np.array(0.1, draw.dtype)


def train(data: tuple, strategy, weighted_mean: bool = False) -> tuple[list, list]:
    """Returns the losses and the weights of a model trained under the strategy; None: on one.

    With an L2 penalty, sample weights and batch normalisation over all devices; or with a loss
    that is a mean over the weights, an embedding, and gradients clipped to a length.
    """
    dtype = data[0].dtype.name
    if weighted_mean:
        data = np.minimum(4 * np.abs(data[0]), 5).astype("int32"), *data[1:]
    keras.utils.set_random_seed(3)
    with precision(dtype), contextlib.nullcontext() if strategy is None else strategy.scope():
        if weighted_mean:
            inside = [layers.Embedding(6, 2), layers.Flatten()]
            reduction = "mean_with_sample_weight"
            optimizer = keras.optimizers.SGD(2.0**-3, global_clipnorm=2.0**-3)
        else:
            inside = [layers.BatchNormalization(synchronized=True), layers.Activation("tanh")]
            reduction = "sum_over_batch_size"
            optimizer = keras.optimizers.SGD(2.0**-5, momentum=0.5)
        loss_fn = keras.losses.MeanSquaredError(reduction, dtype=dtype)
        last = layers.Dense(1, kernel_regularizer="l2")
        model = keras.Sequential([keras.Input((4,)), *inside, last])
        options = {"batch_size": BATCH, "epochs": 2, "seed": 5, "jit": "off", "progress": "none"}
        history = fit(model, data, loss_fn=loss_fn, optimizer=optimizer, **options)
    return history.history["loss"], model.get_weights()


def compare(found: tuple[list, list], expected: tuple[list, list], name: str) -> dict:
    """Returns the pairs of two results of `train`."""
    pairs = {f"values of the loss, {name}": (found[0], expected[0])}
    return pairs | as_pairs(f"weights, {name},", found[1], expected[1])


@claim(9, "2 and 4 devices = 1: a short last batch, L2, weights, batch normalisation")
def _(draw):
    data, pairs = make_data(draw), {}
    alone = train(data, None)
    for count in (2, 4) if draw.dtype == "float64" else (2,):  # 4 devices take long to compile
        found = train(data, devices.make_strategy(count, kind="CPU"))
        pairs |= compare(found, alone, f"{count} devices")
    return pairs


@claim(
    9, "2 devices = 1: a mean over weights, an embedding, gradients clipped", dtypes=("float64",)
)
def _(draw):
    data = make_data(draw)
    alone = train(data, None, weighted_mean=True)
    found = train(data, devices.make_strategy(2, kind="CPU"), weighted_mean=True)
    return compare(found, alone, "2 devices")


@claim(9, "2 processes = 1: the same in two workers", dtypes=("float64",))
def _(draw):
    data = make_data(draw)
    with tempfile.TemporaryDirectory() as folder:
        np.savez(Path(folder) / "data.npz", *data)
        code = "from kerasbook import ledger; ledger.devices.work()"
        status = start_workers(2, [sys.executable, "-c", code, folder])
        if status == 128 + signal.SIGINT:
            raise KeyboardInterrupt
        if status:  # the workers have said why; the row is red
            return {"weights": (np.nan, 0.0)}
        losses, *weights = load_arrays(Path(folder) / "found.npz")
    return compare((losses, weights), train(data, None), "2 processes")


def work() -> None:
    """Works as one of the workers: trains on the data in a folder; the chief saves the weights."""
    from kerasbook.ledger import PLANTED, planted

    end_with_launcher()
    folder, mistake = Path(sys.argv[1]), os.environ.get(PLANTED)
    strategy = devices.make_strategy(cluster=read_cluster())
    with contextlib.nullcontext() if mistake is None else planted(MUTANTS[int(mistake)]):
        losses, weights = train(tuple(load_arrays(folder / "data.npz")), strategy)
    if devices.is_chief(strategy):
        np.savez(folder / "found.npz", np.array(losses), *weights)


def load_arrays(file: Path) -> list[np.ndarray]:
    """Returns what `np.savez` was given."""
    with np.load(file) as saved:
        return [saved[f"arr_{i}"] for i in range(len(saved.files))]


@claim(9, "every example is taken once: 1, 2, 4 devices", dtypes=("float32",), sources="N")
def _(draw):
    pairs = {}
    for count in (1, 2, 4):
        found = counts(devices.make_strategy(count, kind="CPU"), batch_order(5, 0, ROWS))
        pairs[f"values, {count} devices"] = found, np.ones(ROWS)
    return pairs


def counts(strategy, order: np.ndarray) -> np.ndarray:
    """Returns how often an epoch takes each row, as the replicas themselves count."""
    with strategy.scope():
        seen = Seen(ROWS)
        nothing = keras.Sequential([keras.Input((1,)), layers.Dense(1)])

        def step(x, y, share):
            return replicas.sum_over_replicas(tf.constant(share, tf.float32)), x

        data = tf.range(ROWS), tf.range(ROWS)
        loop = replicas.ReplicaLoop(strategy, nothing, step, [seen], data, BATCH, training=True)
        list(loop.run_epoch(order))
        return np.asarray(tf.convert_to_tensor(seen.times))


class Seen(keras.metrics.Metric):
    """Counts the numbers it is shown."""

    def __init__(self, rows):
        super().__init__(name="seen")
        self.times = self.add_variable((rows,), "zeros", name="times")

    def update_state(self, y, y_pred):
        """Adds a batch."""
        self.times.assign_add(tf.reduce_sum(tf.one_hot(y, self.times.shape[0]), axis=0))

    def result(self):
        """Returns the number of numbers."""
        return tf.reduce_sum(tf.convert_to_tensor(self.times))


# --- mistakes to be seen --------------------------------------------------------------------

ONCE, SAME, CLIPPED = "every example", "2 and 4", "clipped"
mutant(
    9,
    replicas.part_of_loss,
    "tf.convert_to_tensor(share, loss.dtype) * loss",
    "loss / tf.distribute.get_strategy().num_replicas_in_sync",
    "every device's mean counts alike",
    by=CLIPPED,
)
mutant(
    9,
    replicas.part_of_loss,
    "tf.convert_to_tensor(share, loss.dtype) * loss",
    "tf.convert_to_tensor(share, loss.dtype) * (loss - sum(model.losses)) + sum(model.losses)",
    "the penalty counted once per device",
    by=CLIPPED,
)
mutant(
    9,
    replicas.part_of_loss,
    "tf.distribute.ReplicaContext(_alone(), 0)",
    "tf.name_scope('loss')",
    "the loss divided by the number of devices twice",
    by=CLIPPED,
)
mutant(
    9,
    replicas.make_replica_step,
    "return sum_over_replicas(loss)",
    "return loss",
    "the loss of one device reported",
    by=CLIPPED,
)
mutant(
    9,
    replicas.apply_sum,
    "scales or _clips(optimizer)",
    "False",
    "each device clips its part",
    by=CLIPPED,
)
mutant(
    9, replicas._divides_by_weight, "getattr", "None and getattr", "rows for weights", by=CLIPPED
)
mutant(9, replicas.rows_of, " + (replica < more)", "", "rows left out", by=ONCE)
mutant(9, replicas.rows_of, "min(replica, more)", "0", "rows taken twice", by=ONCE)
