"""How fast is the book's loop? Side by side with `model.fit` at its defaults, and with PyTorch.

    python -m kerasbook.bench --json bench.json

PyTorch (eager) takes part in the recurrent and the Transformer rows where it is installed. The
blocks of our side's Transformer are chapter 6's, with the weights of Keras' layers. All train the
same model from the same weights with Adam, in the same process, in turns: a few epochs of one, a
few of the other, several rounds. The first epoch of every turn is left out: it pays for tracing
and compiling. A row's ratio is taken round by round; its median is the headline, and the smallest
and largest stand beside it.
"""

import argparse
import functools
import importlib.util
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kerasbook.chapter6 import Block, as_keras
from kerasbook.checkpoint import atomic_path
from kerasbook.data import load_auto_mpg, load_fashion
from kerasbook.training import fit

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from rich.console import Console
from rich.progress import track
from rich.table import Table


@dataclass
class Row:
    """One comparison: a model, its data, and how long a turn lasts."""

    title: str
    data: Callable[[], tuple]  # → (x, y)
    model: Callable[[], keras.Model]
    loss_fn: Any
    batch_size: int
    epochs: int  # per turn; the first is not timed
    peer: Callable | None = None  # peers, weights → the same model in PyTorch
    ours: Callable[[], keras.Model] | None = None  # the book's own layers, in place of Keras'
    as_keras: Callable[[keras.Model], list] = keras.Model.get_weights  # its weights in Keras' order
    jit: str = "auto"


def regression() -> keras.Model:
    """A line through nine features."""
    return keras.Sequential([keras.Input((9,)), layers.Dense(1)])


def dense() -> keras.Model:
    """The articles' deep network, 784-128-64-10."""
    hidden = [layers.Dense(128, "relu"), layers.Dense(64, "relu")]
    return keras.Sequential([keras.Input((28, 28, 1)), layers.Flatten(), *hidden, layers.Dense(10)])


def convolutional() -> keras.Model:
    """The article's CNN for pictures of 28 × 28."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, activation="relu"),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10),
        ]
    )


def recurrent(cell: type[layers.Layer], inputs: int, units: int, depth: int) -> keras.Model:
    """So many recurrent layers over 100 steps; the last state goes into a dense layer."""
    stack = [cell(units, return_sequences=i + 1 < depth) for i in range(depth)]
    return keras.Sequential([keras.Input((100, inputs)), *stack, layers.Dense(10)])


def transformer(width=128, heads=4, hidden=512, depth=2) -> keras.Model:
    """Pre-norm blocks over 64 steps; the mean over time goes into a dense layer."""
    x = inputs = keras.Input((64, width))
    for _ in range(depth):
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.MultiHeadAttention(heads, width // heads)(normed, normed)
        normed = layers.LayerNormalization(epsilon=1e-6)(x)
        x = x + layers.Dense(width)(layers.Dense(hidden, "relu")(normed))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def book_transformer(width=128, heads=4, depth=2) -> keras.Model:
    """The same of chapter 6's blocks, whose dense layers are four times as wide."""
    x = inputs = keras.Input((64, width))
    for _ in range(depth):
        x, _ = Block(width, heads)(x)
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling1D()(x)))


def weights_of_transformer(model: keras.Model) -> list:
    """Returns the weights of `book_transformer` in the order of `transformer`."""
    weights = []
    for block in model.layers:
        if isinstance(block, Block):
            weights += [*block.norms[0].get_weights(), *as_keras(block.self_attention)]
            for layer in (block.norms[1], block.widen, block.narrow):
                weights += layer.get_weights()
    return [np.asarray(weight) for weight in weights] + model.layers[-1].get_weights()


def noise(count: int, *shape: int) -> tuple:
    """Random inputs and classes: a step takes as long as on real ones."""
    random = np.random.default_rng(0)
    x = random.normal(size=(count, *shape)).astype("float32")
    return x, random.integers(0, 10, count).astype("int32")


def garments(count: int) -> tuple:
    """The first `count` training pictures and their classes."""
    x, y = load_fashion().train
    return x[:count], y[:count]


cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
ROWS = {
    "regression": Row(
        "linear regression, full batch",
        lambda: tuple(load_auto_mpg().train),
        regression,
        keras.losses.MeanSquaredError(),
        batch_size=236,
        epochs=60,
    ),
    "dense": Row(
        "784-128-64-10, batch 64", lambda: garments(6400), dense, cross_entropy, 64, epochs=4
    ),
    "cnn": Row(
        "the article's CNN, batch 64", lambda: garments(1920), convolutional, cross_entropy, 64, 3
    ),
    "gru": Row(
        "GRU of 64, 100 steps, batch 64",
        lambda: noise(1920, 100, 64),
        lambda: recurrent(layers.GRU, 64, 64, 1),
        cross_entropy,
        64,
        3,
        lambda peers, weights: peers.reader(weights, "gru", 64, 64, 1, 10),
    ),
    "lstm": Row(
        "two LSTMs of 128, 100 steps, batch 64",
        lambda: noise(960, 100, 100),
        lambda: recurrent(layers.LSTM, 100, 128, 2),
        cross_entropy,
        64,
        3,
        lambda peers, weights: peers.reader(weights, "lstm", 100, 128, 2, 10),
    ),
    "transformer": Row(
        "Transformer, 2 blocks of 128, 64 steps, batch 64",
        lambda: noise(960, 64, 128),
        transformer,
        cross_entropy,
        64,
        3,
        lambda peers, weights: peers.encoder(weights, 128, 4, 512, 2, 10),
        ours=book_transformer,
        as_keras=weights_of_transformer,
        jit="off",
    ),
}


class _Stopwatch(keras.callbacks.Callback):
    """Notes when training begins, and when each epoch ends."""

    def __init__(self):
        super().__init__()
        self.times = [time.perf_counter()]  # before anything is traced

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter())

    def seconds_per_epoch(self) -> float:
        """The median over all epochs but the first, which traces and compiles."""
        return statistics.median(np.diff(self.times[1:]))


def compare(row: Row, rounds: int) -> dict:
    """Runs both in turns; returns milliseconds per step and ratios, round by round."""
    x, y = row.data()
    models: dict[str, Any] = {"ours": (row.ours or row.model)(), "fit": row.model()}
    models["fit"].set_weights(row.as_keras(models["ours"]))
    torch, torch_difference = _peer(row, models["fit"], x)
    optimizers = {name: keras.optimizers.Adam() for name in models}
    models["fit"].compile(optimizers["fit"], row.loss_fn)  # everything else at its default

    def turn(name: str, epochs: int, shuffle: bool = True) -> _Stopwatch:
        watch = _Stopwatch()
        options = {"batch_size": row.batch_size, "epochs": epochs, "callbacks": [watch]}
        if name == "fit":
            models["fit"].fit(x, y, shuffle=shuffle, verbose=0, **options)
        else:
            arguments = {"loss_fn": row.loss_fn, "optimizer": optimizers["ours"]}
            arguments |= {"shuffle": shuffle, "progress": "none", "jit": row.jit}
            fit(models["ours"], (x, y), **arguments, **options)
        return watch

    watches = {name: turn(name, epochs=1, shuffle=False) for name in models}
    first_epoch = {name: float(np.diff(watch.times)[0]) for name, watch in watches.items()}
    weights = zip(row.as_keras(models["ours"]), models["fit"].get_weights(), strict=True)
    difference = max(float(np.abs(a - b).max()) for a, b in weights)

    def seconds(name: str) -> float:
        if torch is not None and name == "torch":
            return statistics.median(torch(x, y, row.batch_size, row.epochs)[1:])
        return turn(name, row.epochs).seconds_per_epoch()

    steps = -(-len(x) // row.batch_size)
    names = [*models, *(["torch"] if torch else [])]
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            times[name].append(1000 * seconds(name) / steps)

    def ratios_to(name: str) -> list[float]:
        return [theirs / ours for theirs, ours in zip(times[name], times["ours"], strict=True)]

    ratios = ratios_to("fit")
    result = {
        "title": row.title,
        "milliseconds_per_step": times,
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "first_epoch_seconds": first_epoch,
        "weights_differ_by": difference,  # after the same unshuffled epoch
    }
    if torch:
        result |= {"torch_ratios": ratios_to("torch"), "torch_outputs_differ_by": torch_difference}
    return result


def _peer(row: Row, model: keras.Model, x: np.ndarray) -> tuple:
    """Returns a function that trains the PyTorch model, and how far its first outputs are off."""
    if row.peer is None or importlib.util.find_spec("torch") is None:
        return None, None
    from kerasbook.bench import peers

    peer = row.peer(peers, model.get_weights())
    difference = float(np.abs(peers.outputs(peer, x[:8]) - np.asarray(model(x[:8]))).max())
    optimizer = peers.adam(peer)
    return functools.partial(peers.seconds_per_epoch, peer, optimizer), difference


def table_of(results: dict) -> Table:
    """The results as a table for people."""
    table = Table(title="milliseconds per step, median; the ratio with its smallest and largest")
    headings = ("model", "kerasbook", "model.fit", "times faster", "first epoch", "difference")
    headings += ("PyTorch", "times faster")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "model" else "right")
    for result in results["rows"].values():
        ours, theirs = (
            statistics.median(result["milliseconds_per_step"][name]) for name in ("ours", "fit")
        )
        low, high = min(result["ratios"]), max(result["ratios"])
        ratio = f"{result['ratio']:.2f} ({low:.2f} to {high:.2f})"
        first = "{ours:.1f} s, {fit:.1f} s".format_map(result["first_epoch_seconds"])
        difference = f"{result['weights_differ_by']:.0e}"
        torch = ["", ""]
        if "torch_ratios" in result:
            peer, ratios = result["milliseconds_per_step"]["torch"], result["torch_ratios"]
            low, high = min(ratios), max(ratios)
            torch = [f"{statistics.median(peer):.2f}"]
            torch.append(f"{statistics.median(ratios):.2f} ({low:.2f} to {high:.2f})")
        cells = [f"{ours:.2f}", f"{theirs:.2f}", ratio, first, difference, *torch]
        table.add_row(result["title"], *cells)
    return table


def main(arguments: list[str] | None = None) -> None:
    """`python -m kerasbook.bench`."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasbook.bench",
        description="Times the book's loop against model.fit at its defaults, in turns.",
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"some of {', '.join(ROWS)}")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default 5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    options = parser.parse_args(arguments)
    unknown = set(options.rows) - set(ROWS)
    if unknown or options.rounds < 1:
        parser.error(f"rows are {', '.join(ROWS)}; rounds are at least 1")

    results: dict = {
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "rows": {},
    }
    console = Console()
    for name in track(options.rows or list(ROWS), "timing", console=console, transient=True):
        results["rows"][name] = compare(ROWS[name], options.rounds)
        if options.json:  # after every row: a later one may be interrupted
            with atomic_path(options.json) as temporary:
                temporary.write_text(json.dumps(results, indent=1) + "\n")
    console.print(table_of(results))
    if options.json:
        console.print(f"figures in {options.json}")
