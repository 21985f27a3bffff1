"""The fixed inputs of tests/mutate.py: what does the code give for them, errors included?

Fifty for the training loop, which are small runs, refusals and what a run prints; for a function of
the chapters the claims of the ledger that enter it, fifty draws of them, large and small ones too.
"""

import contextlib
import io
import re
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

from kerasbook import ledger
from kerasbook.interruption import termination
from kerasbook.ledger.core import Draw
from kerasbook.training import (
    batch_order,
    batches,
    checkpoint,
    checks,
    compiling,
    devices,
    evaluate,
    fit,
    loops,
    predict,
    progress,
    replicas,
)
from kerasbook.training.losses import as_loss

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SCALES = (1, 30, 1 / 30)
INPUTS: dict[str, Callable[[], object]] = {}


def add(name: str):
    """Adds the function to the inputs."""

    def added(function):
        INPUTS[name] = function
        return function

    return added


# --- results, and when two are the same ------------------------------------------------------


def result_of(name: str) -> list:
    """Returns what an input gives, as a flat list of arrays and texts; an error as its text."""
    printed = io.StringIO()
    with np.errstate(all="ignore"), warnings.catch_warnings(), tempfile.TemporaryDirectory() as at:
        warnings.simplefilter("ignore")
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                given = claim_values(name) if "#" in name else INPUTS[name]()
            except Exception as error:
                given = f"{type(error).__name__}: {error}"
        del at
    text = re.sub(r"0x[0-9a-f]+|/tmp/\S+/|_\d+\b|[\d.]+ steps/s", "", printed.getvalue())
    return [flat(part) for part in tf.nest.flatten([given, text])]


def flat(part) -> object:
    """Returns a number or array as an array, all else as a text without addresses."""
    if isinstance(part, str | bytes) or part is None:
        return re.sub(r"0x[0-9a-f]+|/tmp/\S+/|_\d+\b", "", str(part))
    with contextlib.suppress(Exception):
        array = np.asarray(tf.convert_to_tensor(part))
        return array if array.dtype.kind in "fiub" else str(array)
    return re.sub(r"0x[0-9a-f]+", "", str(part))


def same(found: list, expected: list) -> bool:
    """Whether two results are the same to rounding: 1e-5 of the largest in 32 bits, 1e-10 in 64."""
    return len(found) == len(expected) and all(map(same_part, found, expected))


def same_part(found, expected) -> bool:
    """Whether two parts are the same."""
    if not (isinstance(found, np.ndarray) and isinstance(expected, np.ndarray)):
        return type(found) is type(expected) and found == expected
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    if found.dtype.kind != "f":
        return bool(np.array_equal(found, expected))
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    tolerance = (1e-10 if found.dtype == np.float64 else 1e-5) * float(largest)
    return bool(np.allclose(found, expected, rtol=0, atol=tolerance, equal_nan=True))


# --- the ledger's draws ----------------------------------------------------------------------


class Scaled(Draw):
    """A draw of numbers that are larger or smaller than the ledger's."""

    scale = 1.0

    def __call__(self, *shape: int) -> np.ndarray:
        """Returns normal numbers."""
        return (super().__call__(*shape) * self.scale).astype(self.dtype)


def claim_values(name: str) -> list:
    """Returns both sides of a claim's pairs, of "chapter: claim#number of the draw"."""
    claim, number = name.rsplit("#", 1)
    one = next(c for c in ledger.CLAIMS if f"{c.chapter}: {c.name}" == claim)
    draw = Scaled(np.random.default_rng(int(number)), one.dtypes[-1])
    object.__setattr__(draw, "scale", SCALES[int(number) % len(SCALES)])
    keras.utils.set_random_seed(int(number))
    pairs = one.pairs(draw)
    return [pair for key, pair in pairs.items() if not key.startswith("slopes of")]  # they round


# --- runs ------------------------------------------------------------------------------------


def data(rows: int = 11, weight: bool = False, kind: str = "float32") -> tuple:
    """Returns x (rows, 3), y (rows, 1) and, if asked for, weights (rows,)."""
    draw = np.random.default_rng(rows)
    x, y = draw.normal(size=(rows, 3)).astype(kind), draw.normal(size=(rows, 1)).astype(kind)
    return (x, y, draw.random(rows).astype("float32")) if weight else (x, y)


def make(*first, **options) -> keras.Sequential:
    """Returns a small model, the same at every call."""
    keras.utils.set_random_seed(5)
    return keras.Sequential([keras.Input((3,)), *first, layers.Dense(1)], **options)


def run(model=None, of=None, **options) -> list:
    """Returns weights, History and scores of a small run."""
    model = make(layers.Dense(4, "relu")) if model is None else model
    of = data() if of is None else of
    options = {"loss_fn": "mse", "optimizer": "adam", "epochs": 2, "batch_size": 4} | options
    options = {"progress": "none", "seed": 3} | options
    history = fit(model, of, **options)
    scores = [(name, np.float32(values)) for name, values in sorted(history.history.items())]
    return [model.get_weights(), str(history.epoch), str(history.compiled), scores]


def regular() -> keras.Sequential:
    """Returns a model with a penalty, dropout and batch normalisation."""
    hidden = layers.Dense(4, "relu", kernel_regularizer="l2")
    return make(hidden, layers.Dropout(0.3, seed=1), layers.BatchNormalization())


def dataset(rows: int = 11, batch: int = 4, **options) -> tf.data.Dataset:
    """Returns the same as a data set."""
    return tf.data.Dataset.from_tensor_slices(data(rows, **options)).batch(batch)


def mae() -> list:
    """Returns a list with a metric."""
    return [keras.metrics.MeanAbsoluteError(name="mae")]


def two_outputs(y=None) -> list:
    """Returns a run of a model with two outputs."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((3,))
    model = keras.Model(inputs, {"a": layers.Dense(1)(inputs), "b": layers.Dense(2)(inputs)})
    x, one = data()
    y = {"a": one, "b": np.tile(one, 2)} if y is None else y
    return [*run(model, (x, y)), predict(model, x)]


def square(y, y_pred):
    """A loss as a plain function."""
    return tf.reduce_mean(tf.square(y - y_pred), axis=-1)


def resumed(first: dict, second: dict, **both) -> list:
    """Returns what a run leaves that ends early and goes on, and the names of its files."""
    with tempfile.TemporaryDirectory() as folder:
        both = {"checkpoint": folder} | both
        found = run(make(layers.Dropout(0.3, seed=1), name="one"), **both | first)
        found += run(make(layers.Dropout(0.3, seed=1), name="one"), **both | second, resume=True)
        return [*found, str(sorted(path.name for path in Path(folder).iterdir()))]


@contextlib.contextmanager
def setting(thing, **values):
    """Holds other values in a module or an object."""
    before = {name: getattr(thing, name) for name in values}
    for name, value in values.items():
        setattr(thing, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(thing, name, value)


INPUTS |= {
    "fit": run,
    "fit, not shuffled, whole batches": lambda: run(of=data(8), shuffle=False),
    "fit, one batch that is not full": lambda: run(of=data(3)),
    "fit, penalty, dropout, normalisation": lambda: run(regular(), epochs=3),
    "fit, sample weights, metric, validation": lambda: run(
        of=data(11, True), metrics=mae(), validation_data=data(7, True)
    ),
    "fit, 64 bits": lambda: run(of=data(11, kind="float64")),
    "fit, a function as loss, targets without their axis": lambda: run(
        of=(data()[0], data()[1][:, 0]), loss_fn=square
    ),
    "fit, function, whole numbers, weights": lambda: run(
        of=(data()[0], np.arange(11), data(11, True)[2]), loss_fn=square
    ),
    "fit, a loss class, an optimizer object": lambda: run(
        loss_fn=keras.losses.MeanAbsoluteError, optimizer=keras.optimizers.SGD(0.1, momentum=0.5)
    ),
    "fit, two outputs": two_outputs,
    "fit, data set": lambda: run(of=dataset(), metrics=mae(), validation_data=dataset(7)),
    "fit, data set, XLA": lambda: run(of=dataset(8), jit="on"),
    "fit, XLA": lambda: run(jit="on"),
    "fit, many steps": lambda: run(of=data(40), batch_size=1, epochs=30),
    "fit, long enough for XLA": lambda: run(of=data(40), batch_size=1, epochs=51),
    "fit, long, dropout": lambda: run(
        regular(), of=data(40), batch_size=1, epochs=51, progress="lines"
    ),
    "model.fit": lambda: run(regular(), loop="fit", validation_data=data(7), metrics=mae()),
    "fit in float16": lambda: run(
        make(layers.Dense(4, dtype="mixed_float16"), dtype="mixed_float16")
    ),
    "fit, unbuilt model": lambda: run(
        keras.Sequential([layers.Dense(1, kernel_initializer="ones")])
    ),
    "fit, callbacks": lambda: run(
        of=data(20), epochs=6, validation_data=data(7), metrics=mae(),
        callbacks=[
            keras.callbacks.EarlyStopping("val_mae", patience=1, restore_best_weights=True),
            keras.callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=1.0),
        ],
    ),
    "fit, a callback of one's own": lambda: asking(),
    "a train_step of one's own": lambda: own_step(),
    "fit, lines": lambda: run(progress="lines", validation_data=data(7)),
    "NaN in the data": lambda: run(of=(np.full((11, 3), np.nan, "float32"), data()[1])),
    "NaN from a learning rate": lambda: run(optimizer=keras.optimizers.SGD(1e30), epochs=9),
    "NaN of model.fit": lambda: run(optimizer=keras.optimizers.SGD(1e30), epochs=9, loop="fit"),
    "evaluate": lambda: [
        dict(evaluate(regular(), data(11, True), loss_fn="mse", metrics=mae(), batch_size=4)),
        dict(evaluate(regular(), dataset(), loss_fn="mse")),
    ],
    "predict": lambda: [
        predict(make(), each, batch_size=4) for each in (data()[0], data()[0].tolist(), dataset())
    ],
    "resumed": lambda: resumed({"epochs": 2}, {"epochs": 4}),
    "resumed, data set, model.fit": lambda: resumed(
        {"epochs": 2}, {"epochs": 3}, of=dataset(), loop="fit", progress="lines"
    ),
    "resumed on other data": lambda: resumed({}, {"of": (data()[0] + 1, data()[1])}),
    "resumed with other settings": lambda: resumed({}, {"batch_size": 3}),
    "resumed with another optimizer": lambda: resumed(
        {"optimizer": keras.optimizers.SGD(0.1)}, {"optimizer": keras.optimizers.SGD(0.2)}
    ),
}  # fmt: skip


def asking() -> list:
    """Returns what a callback is told and finds."""

    class Asks(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.told = []

        def __getattribute__(self, name):
            if name.startswith("on_") and "batch" not in name:
                object.__getattribute__(self, "told").append(name)
            return object.__getattribute__(self, name)

    callback = Asks()
    model = make()
    found = run(model, validation_data=data(7), callbacks=callback)
    model.stop_training = True
    again = run(model, callbacks=[callback])
    return [*found, *again, str(callback.told), str(sorted(callback.params.items()))]


def own_step() -> list:
    """Returns runs with a step of the caller's own, allowed and refused."""
    model = make()

    def step(x, y):
        return tf.reduce_mean(y), model(x, training=True)

    found = [run(model, train_step=step)]
    for options in ({"loop": "fit"}, {"optimizer": keras.optimizers.SGD(0.1)}):
        found.append(error_of(lambda options=options: run(train_step=step, **options)))
    return found


def error_of(work: Callable[[], object]) -> object:
    """Returns what work() gives, or the text of its error."""
    try:
        return work()
    except Exception as error:
        return f"{type(error).__name__}: {error}"


# --- refusals ---------------------------------------------------------------------------------


@add("what is refused: data")
def _():
    def first(x, y):
        return x

    def as_dict(x, y):
        return {"a": x}

    x, y = data()
    wrong = [
        x, (x,), (x, y, y, y), (x, y[:-1]), (x[:0], y[:0]), dataset().repeat(),
        dataset().map(first), dataset().map(as_dict),
        (tf.ragged.constant([[1], [2, 3]]), y[:2]), (tf.sparse.from_dense(x), y),
        (x, tf.sparse.from_dense(y)), dataset(0), (x.tolist(), y.tolist()), [x, y],
    ]  # fmt: skip
    return [error_of(lambda each=each: run(of=each, epochs=1)) for each in wrong]


@add("what is refused: options")
def _():
    wrong = [
        {"epochs": 0}, {"epochs": True}, {"epochs": 1.5}, {"batch_size": 0}, {"loop": "x"},
        {"jit": "x"}, {"progress": "x"}, {"loss_fn": "x"}, {"loss_fn": 3}, {"optimizer": "x"},
        {"optimizer": keras.optimizers.SGD}, {"metrics": mae()[0]}, {"metrics": ["mae"]},
        {"metrics": mae() * 2}, {"metrics": [keras.metrics.Mean(name="loss")]},
        {"metrics": "mae"}, {"loss_fn": lambda y, p: y[0] - p}, {"callbacks": [3]},
        {"epochs": np.int64(1)}, {"batch_size": 1, "epochs": 1},
    ]  # fmt: skip
    return [error_of(lambda each=each: run(**each)) for each in wrong]


@add("what is refused: callbacks")
def _():
    class Batches(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            pass

    kinds = keras.callbacks
    lambdas = kinds.LambdaCallback(on_train_batch_end=lambda batch, logs: None)
    given = [
        kinds.TerminateOnNaN(), kinds.BackupAndRestore("x"), Batches(), lambdas,
        kinds.ModelCheckpoint("x.keras", save_freq=5), kinds.ModelCheckpoint("x.keras"),
        kinds.TensorBoard("x", update_freq="batch"), kinds.TensorBoard("x", profile_batch=2),
        kinds.TensorBoard("x"), kinds.EarlyStopping("val_mae"), kinds.LambdaCallback(),
    ]  # fmt: skip
    found = []
    for each in given:
        for loop in ("tape", "fit"):
            found.append(
                error_of(lambda each=each, loop=loop: checks.as_callbacks(each, mae(), loop))
            )
        found.append(str(getattr(each, "mode", None)))
    return [str(each) for each in found]


@add("what is refused: models with steps of their own")
def _():
    names = ("train_step", "test_step", "compute_loss", "predict_step")
    special = [
        type("Own", (keras.Sequential,), {name: lambda self, *given, **named: None})
        for name in names
    ]
    models = [
        kind([keras.Input((3,)), layers.Dense(1, kernel_initializer="ones")]) for kind in special
    ]
    works = (
        run,
        lambda m: str(evaluate(m, data(), loss_fn="mse")),
        lambda m: predict(m, data()[0]),
    )
    return [error_of(lambda w=w, m=m: w(m)) for m in models for w in works]


@add("what is refused: several outputs")
def _():
    def of(**options):
        inputs = keras.Input((3,))
        model = keras.Model(inputs, [layers.Dense(1)(inputs), layers.Dense(1)(inputs)])
        return run(model, (data()[0], [data()[1]] * 2), **options) and "taken"

    return [error_of(lambda: two_outputs(data()[1])), of(), error_of(lambda: of(metrics=mae()))]


# --- parts ------------------------------------------------------------------------------------


@add("orders, steps, fingerprints")
def _():
    orders = [batch_order(s, e, 9, sh) for s, e, sh in ((0, 0, True), (0, 1, True), (1, 0, False))]
    sizes = [batches.steps_per_epoch(data(n), 4) for n in (3, 4, 5)]
    sizes += [batches.steps_per_epoch(dataset().filter(lambda *b: True), 4)]
    sizes += [batches.steps_per_epoch(dataset(0), 4), batches.steps_per_epoch(dataset(), 9)]
    prints = [batches.fingerprint(each) for each in (data(), data(1500), dataset())]
    made = batches.make_batches(data(), None, 4, True, 2)
    return [*orders, str(sizes), *prints, str((made.examples, made.steps)), made.order_of(1)]


@add("the batches for model.fit")
def _():
    order = tf.Variable(batch_order(0, 1, 11))
    both = batches.as_dataset(data(), 4), batches.as_dataset(data(), 4, order)
    return [[list(each) for each in both], str(batches.as_dataset(None, 4))]


@add("whether XLA is chosen")
def _():
    stacks = [
        [layers.Dense(2)], [layers.Conv1D(2, 1)], [layers.LSTM(2)], [layers.GRU(2)],
        [layers.SimpleRNN(2)], [layers.MultiHeadAttention(1, 2)],
    ]  # fmt: skip
    steps = (149, 150, 1999, 2000, float("inf"))
    models = [SimpleNamespace(_flatten_layers=lambda each=each: each) for each in stacks]
    found = [
        compiling.use_jit(j, m, s) for m in models for s in steps for j in ("auto", "on", "off")
    ]
    models[0]._flatten_layers()[0].supports_jit = False
    return [*found, compiling.use_jit("auto", models[0])]


@add("why XLA is off")
def _():
    ids, y = np.arange(12).reshape(4, 3), np.arange(4).reshape(4, 1)
    sparse = "sparse_categorical_crossentropy"
    tables = [[layers.Embedding(n, 2)] for n in (11, 12, 13)]
    stacks = [
        *tables, [layers.Dropout(0.5)], [layers.Dropout(0.0)], [layers.GaussianNoise(0.1)],
        [layers.Lambda(lambda x: x)], [layers.Dense(2, activation=lambda x: x)],
        [layers.ReLU(), layers.Embedding(12, 2)], [layers.Embedding(12, 2), layers.GRU(2)],
        [layers.Embedding(12, 2), layers.GRU(2, dropout=0.1)],
    ]  # fmt: skip
    found = []
    for stack in stacks:
        model = keras.Sequential([keras.Input((3,)), *stack, layers.Dense(3)])
        for loss in ("mse", sparse, square, keras.losses.mean_absolute_error):
            given = as_loss(loss), (), keras.optimizers.SGD()
            found.append(compiling.why_not_xla(model, (ids, y - 1 * (loss == "mse")), *given))
            found.append(compiling.why_not_xla(model, (ids, y[:3]), *given))
            found.append(compiling.why_not_xla(model, dataset(), *given))
    found.append(compiling.why_not_xla(model, (ids, y), *given, train_step=print))
    metrics = mae(), [keras.metrics.MeanMetricWrapper(square)]
    found += [compiling.why_not_xla(make(), data(), as_loss("mse"), m, given[2]) for m in metrics]
    return [str(each) for each in found]


@add("what runs without cuDNN")
def _():
    options = [
        {}, {"use_cudnn": False}, {"recurrent_dropout": 0.1}, {"activation": "relu"},
        {"recurrent_activation": "relu"}, {"unroll": True}, {"use_bias": False},
    ]  # fmt: skip
    stack = [kind(2, name="r", **each) for kind in (layers.GRU, layers.LSTM) for each in options]
    stack += [layers.GRU(2, reset_after=False, name="r"), layers.Dense(2)]
    return compiling.without_cudnn(SimpleNamespace(_flatten_layers=lambda: stack))


@add("steps per call")
def _():
    found = []
    for took in (0.05, 0.15, 0.3, 0.5):
        clock = iter([0.0, took] * 9)
        loop = loops.Loop(lambda *batch: None, mae(), True)
        loop.steps_per_call = 4
        with setting(loops.time, perf_counter=lambda clock=clock: next(clock)):
            for stop in (4, 3, 4):
                answer = tf.constant([stop, 0.5, 1, 1, 0.25, 0.125], tf.float64)
                found.append(loop.call(lambda r, a=answer: a, first=0, stop=stop, fresh=True))
                found.append((loop.steps_per_call, loop.last_loss, loop.more))
    return str(found)


@add("when a checkpoint is due, and a signal")
def _():
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for after in (1.9, 2.0, 5.0):
            for took in (0.0, 0.1):
                for where in (folder, None):
                    saved = checkpoint.Checkpoint(where, make(name="one"), [], {})
                    saved.save_took = took
                    now = saved.saved_at + after
                    with setting(checkpoint.time, monotonic=lambda now=now: now):
                        found.append(saved.is_due())
    with setting(termination, number=15):
        works = (saved.stop_if_asked, lambda: saved.save_after_epoch(None, False), saved.is_due)
        for work in works:
            try:
                found.append(work())
            except KeyboardInterrupt:
                found.append("stops")
    return str(found)


@add("stopped within an epoch, and gone on with")
def _():
    class Slow(keras.callbacks.Callback):
        epochs = 0

        def on_epoch_begin(self, epoch, logs=None):
            self.epochs += 1
            if epoch == 1 and Slow.epochs < 1:
                termination.number = 15

    found = []
    with tempfile.TemporaryDirectory() as folder:
        for resume in (False, True):
            Slow.epochs = int(resume)
            model = make(layers.Dropout(0.3, seed=1), name="one")
            slow = keras.callbacks.EarlyStopping("loss", patience=3)
            options = {"epochs": 4, "callbacks": [slow, Slow()], "metrics": mae(), "of": data(30)}
            try:
                found += run(model, checkpoint=folder, resume=resume, **options)
            except KeyboardInterrupt as stop:
                found += [str(stop), str(stop.history.epoch)]
            finally:
                termination.number = 0
            found += model.get_weights()
            found.append(str(sorted(path.name for path in Path(folder).iterdir())))
        for path in sorted(Path(folder).iterdir())[-1:]:
            path.write_bytes(path.read_bytes()[:-99])
        found += run(make(layers.Dropout(0.3, seed=1), name="one"), of=data(30), epochs=4,
                     metrics=mae(), checkpoint=folder, resume=True)  # fmt: skip
    return found


@add("what a run shows")
def _():
    found = [progress.rate(speed) for speed in (0.03, 9.4, 9.5, 9.6, 1234.5)]
    for kind in (progress._Lines, progress._Bar, progress._Plot):
        for steps in (10, None):
            clock = iter(np.arange(0, 900, 0.07))
            pages = []
            ticks = SimpleNamespace(perf_counter=lambda clock=clock: next(clock))
            with setting(progress, time=ticks):
                shown = kind(3, steps)
                shown.show = pages.append
                if kind is progress._Plot:
                    shown.clock = ticks.perf_counter
                with shown if kind is not progress._Bar else contextlib.nullcontext():
                    shown.note("one")
                    for epoch in range(3):
                        for step in (3, 6, 10):
                            shown.update(epoch, step, {"loss": 1 / (1 + step), "mae": 2.0})
                            if kind is progress._Bar:
                                found.append(bar_state(shown))
                        shown.epoch_end(epoch, {"loss": 0.1, "val_loss": 0.2, "a": 1.0})
                        if kind is progress._Bar:
                            found.append(bar_state(shown))
            found += [*pages, str(vars(shown).get("training")), str(vars(shown).get("validation"))]
    return found


def bar_state(shown) -> str:
    """Returns what a bar has been told."""
    task = shown.bar.tasks[0]
    return str((task.completed, task.total, sorted(task.fields.items()), shown.drawn_at))


# --- several devices ----------------------------------------------------------------------------


def on_two(work: Callable[[tf.distribute.Strategy], object]) -> object:
    """Returns work(strategy) in the scope of a strategy for two parts of the CPU."""
    strategy = devices.make_strategy(2, kind="CPU")
    with strategy.scope():
        return work(strategy)


@add("two devices")
def _():
    def work(strategy):
        model = regular()
        found = run(model, of=data(9, True), metrics=mae(), validation_data=data(5))
        return [*found, predict(model, data()[0]), str(devices.is_chief(strategy))]

    return on_two(work)


@add("two devices, clipped gradients, embedding, a mean over the weights")
def _():
    def work(strategy):
        keras.utils.set_random_seed(5)
        table = layers.Embedding(9, 2)
        model = keras.Sequential([keras.Input((3,)), table, layers.Flatten(), layers.Dense(1)])
        of = np.arange(15).reshape(5, 3) % 9, data(5)[1], data(5, True)[2]
        loss_fn = keras.losses.MeanSquaredError(reduction="mean_with_sample_weight")
        return run(model, of, loss_fn=loss_fn, optimizer=keras.optimizers.Adam(0.1, clipnorm=0.1))

    return on_two(work)


@add("what two devices refuse")
def _():
    def work(strategy):
        wrong = [
            {"loop": "fit"}, {"jit": "on"}, {"train_step": print}, {"of": dataset()},
            {"optimizer": keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)},
            {"optimizer": keras.optimizers.SGD(0.1, use_ema=True, ema_overwrite_frequency=2)},
            {"metrics": outside}, {"validation_data": dataset()},
        ]  # fmt: skip
        return [error_of(lambda each=each: run(**each)) for each in wrong]

    outside = mae()
    found = on_two(work)
    shares = [replicas.rows_of(r, rows, 3) for r in range(3) for rows in range(1, 8)]
    counts = (9, "CPU"), (1, "GPU"), (3,)
    few = [error_of(lambda n=n: devices.logical_devices(*n)) for n in counts]
    return [*found, str(shares), *few, str(devices.make_strategy())]


TRAINING = tuple(INPUTS)
