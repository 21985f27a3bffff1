"""The contestants: ways to train the same model. Each is a process of its own.

A side is made from a row and from the first weights, and can `train` and give `outputs`. What the
articles and most tutorials do stands here as they do it: that is what we compare with. PyTorch's
sides are in kerasbook.bench.peers.
"""

import importlib.util
from collections.abc import Callable

from kerasbook.bench import costs, turns
from kerasbook.bench.jobs import described, set_chance
from kerasbook.bench.models import ROWS, Row, title_of
from kerasbook.training import fit, predict
from kerasbook.training.devices import one_thread_per_operation

import keras
import numpy as np
import tensorflow as tf


class _EpochEnd(keras.callbacks.Callback):
    def __init__(self, done: Callable[[], None]):
        super().__init__()
        self.done = done

    def on_epoch_end(self, epoch, logs=None):
        self.done()


class Side:
    """One way to train a row's job; subclasses say how."""

    title = ""

    def __init__(self, row: Row, weights: list | None = None):
        """Takes the row, and the weights to begin with, in the order of Keras' layers."""
        self.row, self.job = row, row.make(rival=weights is not None)
        self.model, self.optimizer = self.job.model, self.job.optimizer
        self.data, self.batch_size = self.job.data, self.job.batch_size
        if weights is not None:
            self.model.set_weights(weights)
        self.prepare()

    def prepare(self) -> None:
        """Sets how the model is trained."""

    def set_chance(self, on: bool) -> None:
        """Lets dropout and augmentation act, or not."""
        set_chance(self.model, on)
        self.prepare()

    def outputs(self, x):
        """Returns the model's outputs (examples, …) for x."""
        return predict(self.model, x)

    def threads(self):
        """Returns how many threads one operation may take."""
        return costs.threads()


class Ours(Side):
    """The book's loop; the book's own layers, where a row has them."""

    title = "kerasbook"

    def __init__(self, row: Row):
        keras.utils.set_random_seed(0)
        super().__init__(row)
        if row.ours is not None:
            self.model = row.ours()
        self.first = self.model.get_weights()

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        fit(
            self.model,
            (x, y),
            loss_fn=self.job.loss_fn,
            optimizer=self.optimizer,
            batch_size=self.batch_size,
            epochs=epochs,
            shuffle=shuffle,
            callbacks=[_EpochEnd(done)],
            # As in the chapter's command, which is longer than these first steps.
            jit="on" if self.job.jit else "off",
            progress="none",
        )

    def start(self, name: str, x) -> dict:
        """Returns what the others need: first weights in the order of Keras' layers, and the job.

        It is described for PyTorch too, which knows no Keras. `before` are the outputs for x
        before any training.
        """
        trained, model = self.model.get_weights(), self.job.model
        self.model.set_weights(self.first)
        weights = [np.asarray(weight) for weight in self.row.as_keras(self.model)]
        model.set_weights(weights)  # the same model, but where a row has layers of the book's own
        layers = None if self.row.describe is None else self.row.describe(model)
        found = {
            "title": title_of(name, self.job),
            "steps": self.job.steps,
            "weights": weights,
            "job": described(self.job, layers),
            "before": self.outputs(x),
        }
        self.model.set_weights(trained)
        return found


class Fit(Side):
    """`model.fit`, everything at its default."""

    title = "`model.fit`"

    def prepare(self):
        """Sets how the model is trained."""
        self.model.compile(self.optimizer, self.job.loss_fn)

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        size, callbacks = self.batch_size, [_EpochEnd(done)]
        self.model.fit(x, y, size, epochs, verbose=0, callbacks=callbacks, shuffle=shuffle)


class Tuned(Fit):
    """`model.fit` with many steps in one call, and without XLA."""

    title = "`model.fit`, tuned"
    jit = False

    def prepare(self):
        """Sets how the model is trained."""
        steps = min(self.job.steps, 50)
        self.model.compile(
            self.optimizer, self.job.loss_fn, jit_compile=self.jit, steps_per_execution=steps
        )


class TunedXLA(Tuned):
    """The same with XLA."""

    title = "`model.fit`, tuned, XLA"
    jit = True


class Eager(Side):
    """The article's own loop: a tape, batch by batch, nothing compiled."""

    title = "the article's loop"

    def prepare(self):
        """Sets how the model is trained."""
        self.optimizer = self.job.optimizer
        if keras.config.dtype_policy().name == "mixed_float16":  # as Keras' `compile` does
            self.optimizer = keras.optimizers.LossScaleOptimizer(self.optimizer)

    def train(self, x, y, epochs, shuffle, done):
        """Trains for so many epochs, and calls `done` after each."""
        data = tf.data.Dataset.from_tensor_slices((x, y))
        data = data.shuffle(len(x)) if shuffle else data
        data = data.batch(self.batch_size)
        for _ in range(epochs):
            for batch_x, batch_y in data:
                with tf.GradientTape() as tape:
                    loss = self.job.loss_fn(batch_y, self.model(batch_x, training=True))
                    loss = self.optimizer.scale_loss(loss)
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
        self.batches = data.batch(self.batch_size)
        for _ in range(epochs):
            self.fit_epoch()
            done()

    def training_step(self, batch):
        """Returns the loss of a batch."""
        *inputs, y = batch
        return self.job.loss_fn(y, self.model(*inputs, training=True))

    def fit_epoch(self):
        """Makes one pass over the batches."""
        for batch in self.batches:
            with tf.GradientTape() as tape:
                loss = self.training_step(batch)
                scaled_loss = self.optimizer.scale_loss(loss)
            gradients = tape.gradient(scaled_loss, self.model.trainable_variables)
            pairs = zip(gradients, self.model.trainable_variables, strict=True)
            self.optimizer.apply_gradients(pairs)
            self.losses.append(float(loss))


SIDES = {
    "kerasbook": Ours,
    "fit": Fit,
    "tuned": Tuned,
    "tuned, XLA": TunedXLA,
    "eager": Eager,
    "trainer": Trainer,
}
TITLES = {name: side.title for name, side in SIDES.items()}
TITLES |= {"torch": "PyTorch", "torch.compile": "`torch.compile`"}


def sides_here() -> list[str]:
    """Returns the names of those that can take part: PyTorch only where it is installed."""
    torch = importlib.util.find_spec("torch") is not None
    return [name for name in TITLES if torch or name in SIDES]


# --- the process of one side ----------------------------------------------------------------


def take_part(row_name: str, name: str, weights, settings: dict, connection) -> None:
    """Takes part as the process of one side; see kerasbook.bench.turns."""
    turns.prepare(settings)
    row = ROWS[row_name]
    if name == "kerasbook" and row.one_thread:
        one_thread_per_operation()
    if name == "product":
        turns.take(costs.Product, connection)
    elif name == "kerasbook":
        turns.take(lambda: Ours(row), connection, row_name)
    else:
        turns.take(lambda: SIDES[name](row, weights), connection)
