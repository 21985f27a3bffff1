"""# A chapter for tests of interruptions

Two models, one after the other, with everything that has a state: dropout, batch normalisation,
schedules of the learning rate, patience, best weights. An epoch is many short calls.
"""

from kerasbook.data import Splits
from kerasbook.data.splits import Part
from kerasbook.plotting import plot_history
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit

import keras
import numpy as np
from keras import layers


def mark(phase):
    """Called at the beginning of each phase of a run; tools replace it."""


def make_data():
    random = np.random.default_rng(5)
    x = random.normal(size=(450, 6)).astype("float32")
    y = (x[:, :1] * x[:, 1:2] + 0.1 * random.normal(size=(450, 1))).astype("float32")
    parts = [
        Part(x[first:stop], y[first:stop]) for first, stop in ((0, 250), (250, 350), (350, 450))
    ]
    return Splits(*parts, "made_up", "Made up", "a number", "embedded")


def make_model(name, units):
    inner = [layers.Dense(units, "relu"), layers.BatchNormalization(), layers.Dropout(0.2)]
    return keras.Sequential([keras.Input((6,)), *inner, layers.Dense(1)], name=name)


def main(
    epochs: int = 3, batch_size: int = 8, seed: int = 0, models: int = 2, **fit_options
) -> Result:
    """Trains two small models, or only the second.

    Args:
        epochs: passes over the training part
        batch_size: examples per step
        seed: of the first weights and of the shuffling
        models: how many
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    mark("data")
    splits = make_data()
    callbacks = fit_options.pop("callbacks", [])
    options = {
        "loss_fn": keras.losses.MeanSquaredError(),
        "metrics": [keras.metrics.MeanAbsoluteError(name="mae")],
        "epochs": epochs,
        "batch_size": batch_size,
        "validation_data": splits.validation,
        "seed": seed,
    } | fit_options

    if models == 2:
        mark("building")
        first = make_model("first", 8)
        adam = keras.optimizers.Adam(keras.optimizers.schedules.ExponentialDecay(0.01, 50, 0.9))
        mark("tracing")
        fit(first, splits.train, optimizer=adam, callbacks=callbacks, **options)

    mark("building")
    second = make_model("second", 4)
    callbacks = [
        *callbacks,
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        keras.callbacks.EarlyStopping("val_loss", patience=2, restore_best_weights=True),
    ]
    optimizer = keras.optimizers.SGD(0.01, momentum=0.9)
    mark("tracing")
    history = fit(second, splits.train, optimizer=optimizer, callbacks=callbacks, **options)

    mark("scores")
    scores = {"test": evaluate(second, splits.test, loss_fn=options["loss_fn"])}
    return Result(splits, second, history, scores, {"history": plot_history(history)})


if __name__ == "__main__":
    from kerasbook.runner import run

    run("small_chapter")
