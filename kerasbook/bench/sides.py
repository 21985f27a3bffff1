"""The contestants: ways to train the same model. Each is a process of its own.

A side is made from a row and from the first weights, and can `train` and give `outputs`. What the
articles and most tutorials do stands here as they do it: that is what we compare with.
"""

import importlib.util
import os
import sys
import time
import traceback
from collections.abc import Callable

from kerasbook.bench.models import ROWS, Row
from kerasbook.training import fit, predict

import keras
import numpy as np
import tensorflow as tf

SECONDS_PER_TURN = 0.5  # at least, in whole epochs


class _EpochEnd(keras.callbacks.Callback):
    def __init__(self, done: Callable[[], None]):
        super().__init__()
        self.done = done

    def on_epoch_end(self, epoch, logs=None):
        self.done()


class Ours:
    """The book's loop; the book's own layers, where a row has them."""

    title = "kerasbook"

    def __init__(self, row: Row, weights=None):
        keras.utils.set_random_seed(0)
        self.row, self.model = row, (row.ours or row.model)()
        self.optimizer = keras.optimizers.Adam()

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        fit(
            self.model,
            (x, y),
            loss_fn=self.row.loss_fn,
            optimizer=self.optimizer,
            batch_size=self.row.batch_size,
            epochs=epochs,
            shuffle=shuffle,
            callbacks=[_EpochEnd(done)],
            jit=self.row.jit,
            progress="none",
        )

    def outputs(self, x):
        """The model's outputs (examples, …) for x."""
        return predict(self.model, x)

    def weights(self):
        """The weights, in the order of Keras' layers."""
        return [np.asarray(weight) for weight in self.row.as_keras(self.model)]


class Fit(Ours):
    """`model.fit`, everything at its default."""

    title = "`model.fit`"

    def __init__(self, row: Row, weights=None):
        self.row, self.model = row, row.model()
        self.model.set_weights(weights)
        self.prepare()

    def prepare(self):
        """Sets how the model is trained."""
        self.model.compile(keras.optimizers.Adam(), self.row.loss_fn)

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        size, callbacks = self.row.batch_size, [_EpochEnd(done)]
        self.model.fit(x, y, size, epochs, verbose=0, callbacks=callbacks, shuffle=shuffle)


class Tuned(Fit):
    """`model.fit` with many steps in one call, and without XLA."""

    title = "`model.fit`, tuned"
    jit = False

    def prepare(self):
        """Sets how the model is trained."""
        steps = -(-len(self.row.data()[0]) // self.row.batch_size)
        self.model.compile(
            keras.optimizers.Adam(),
            self.row.loss_fn,
            jit_compile=self.jit,
            steps_per_execution=min(steps, 50),
        )


class TunedXLA(Tuned):
    """The same with XLA."""

    jit = True


class Eager(Fit):
    """The article's own loop: a tape, batch by batch, nothing compiled."""

    title = "the article's loop"

    def prepare(self):
        """Sets how the model is trained."""
        self.optimizer = keras.optimizers.Adam()

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        data = tf.data.Dataset.from_tensor_slices((x, y))
        data = data.shuffle(len(x)) if shuffle else data
        data = data.batch(self.row.batch_size)
        for _ in range(epochs):
            for batch_x, batch_y in data:
                with tf.GradientTape() as tape:
                    loss = self.row.loss_fn(batch_y, self.model(batch_x, training=True))
                gradients = tape.gradient(loss, self.model.trainable_variables)
                pairs = zip(gradients, self.model.trainable_variables, strict=True)
                self.optimizer.apply_gradients(pairs)
            done()


class Trainer(Eager):
    """A trainer object, as in Dive into Deep Learning: eager, and it keeps every step's loss."""

    title = "a `Trainer` object"

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        self.losses: list[float] = []
        data = tf.data.Dataset.from_tensor_slices((x, y))
        data = data.shuffle(len(x)) if shuffle else data
        self.batches = data.batch(self.row.batch_size)
        for _ in range(epochs):
            self.fit_epoch()
            done()

    def training_step(self, batch):
        """The loss of a batch."""
        *inputs, y = batch
        return self.row.loss_fn(y, self.model(*inputs, training=True))

    def fit_epoch(self):
        """One pass over the batches."""
        for batch in self.batches:
            with tf.GradientTape() as tape:
                loss = self.training_step(batch)
            gradients = tape.gradient(loss, self.model.trainable_variables)
            pairs = zip(gradients, self.model.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs)
            self.losses.append(float(loss))


class Torch:
    """PyTorch in the articles' style: eager, batch by batch."""

    title = "PyTorch"
    compiled = False

    def __init__(self, row: Row, weights=None):
        from kerasbook.bench import peers  # torch is no dependency of the book

        self.peers, self.row = peers, row
        make, *arguments = row.torch
        self.model = peers.on_device(getattr(peers, make)(weights, *arguments))
        self.optimizer = peers.adam(self.model)
        self.forward = peers.compiled(self.model) if self.compiled else self.model

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        self.peers.train(
            self.forward, self.optimizer, x, y, self.row.batch_size, epochs, shuffle, done
        )

    def outputs(self, x):
        """The model's outputs (examples, …) for x."""
        return self.peers.outputs(self.model, x)


class CompiledTorch(Torch):
    """The same with `torch.compile`."""

    title = "`torch.compile`"
    compiled = True


SIDES = {
    "kerasbook": Ours,
    "fit": Fit,
    "tuned": Tuned,
    "tuned, XLA": TunedXLA,
    "eager": Eager,
    "trainer": Trainer,
    "torch": Torch,
    "torch.compile": CompiledTorch,
}


def sides_here(row: Row) -> list[str]:
    """The names of those that can take part: PyTorch only where it is installed."""
    torch = bool(row.torch) and importlib.util.find_spec("torch") is not None
    return [name for name, side in SIDES.items() if torch or not issubclass(side, Torch)]


# --- the process of one side ----------------------------------------------------------------


class _Enough(Exception):
    """No more turns."""


def take_part(row_name: str, name: str, weights, settings: dict, connection) -> None:
    """What the process of one side does; see `compare` for the other end.

    It sends what the first step took and the outputs after an epoch in order, and then trains on,
    one turn whenever it is asked, and sends the seconds.
    """
    if settings["device"] == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        tf.config.set_visible_devices([], "GPU")
    for gpu in tf.config.get_visible_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if settings["mixed_precision"] != "off":
        keras.config.set_dtype_policy(f"mixed_{settings['mixed_precision']}")
    try:
        _take_part(ROWS[row_name], SIDES[name], weights, connection)
    except (_Enough, EOFError, KeyboardInterrupt):
        pass
    except Exception as error:
        connection.send({"error": f"{type(error).__name__}: {error}".partition("\n")[0][:200]})
        if os.environ.get("KERASBOOK_DEBUG"):
            traceback.print_exc()
    os._exit(0)  # what runs on in the background need not be waited for


def _take_part(row: Row, side, weights, connection) -> None:
    (x, y), rows = row.data(), row.batch_size
    if issubclass(side, Torch):
        import torch  # noqa: F401  # no part of what the training needs
    memory = memory_now()
    side = side(row, weights)
    first: dict = {"weights": side.weights()} if isinstance(side, Ours) and not weights else {}
    started = time.perf_counter()
    side.train(x[:rows], y[:rows], 1, False, lambda: None)
    first["first_step_seconds"] = time.perf_counter() - started
    side.train(x, y, 1, False, lambda: None)
    first["outputs"] = np.asarray(side.outputs(x[:64]))
    connection.send(first)
    connection.recv()

    started, epochs = time.perf_counter(), 0

    def done():
        nonlocal started, epochs
        epochs += 1
        seconds = time.perf_counter() - started
        if seconds >= SECONDS_PER_TURN:
            connection.send({"seconds": seconds / epochs, "memory": peak_memory() - memory})
            if connection.recv() == "enough":
                raise _Enough
            started, epochs = time.perf_counter(), 0

    side.train(x, y, 10**6, True, done)


def memory_now() -> int:
    """Bytes of memory that this process holds; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def peak_memory() -> int:
    """The most that this process has held, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
