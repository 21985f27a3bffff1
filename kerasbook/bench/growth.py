"""How the time grows: with the batch, the width, the length of a sequence, the examples."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from kerasbook.bench.costs import flops_per_step
from kerasbook.bench.models import Row, cross_entropy, noise, recurrent, row, transformer
from kerasbook.bench.turns import prepare
from kerasbook.training import make_train_step
from kerasbook.training.loops import make_loop

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from rich.table import Table


def dense(width: int) -> keras.Model:
    """Returns two hidden layers of equal width."""
    hidden = [layers.Dense(width, "relu") for _ in range(2)]
    return keras.Sequential([keras.Input((width,)), *hidden, layers.Dense(10)])


def seconds_per_step(row: Row) -> float:
    """Returns the median over five epochs of our loop, without the first."""
    job = row.make()
    data = tuple(tf.constant(part) for part in job.data)
    job.optimizer.build(job.model.trainable_variables)
    step = make_train_step(job.model, job.loss_fn, job.optimizer)
    loop = make_loop(step, [], data, job.batch_size, job.jit, True)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        for _ in loop.run_epoch():
            pass
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:]) * job.batch_size / len(data[0])


def _row(model: Callable, shape: tuple, batch_size: int, examples: int) -> Row:
    return row(model, lambda: noise(examples, *shape), cross_entropy, batch_size)


# What grows: its sizes, and the row for each size.
CURVES: dict[str, tuple[tuple[int, ...], Callable[[int], Row]]] = {
    "batch size, dense network": (
        (4, 16, 64, 256, 1024, 4096),
        lambda size: _row(lambda: dense(256), (256,), size, max(4 * size, 1024)),
    ),
    "width, dense network": (
        (32, 64, 128, 256, 512, 1024, 2048),
        lambda width: _row(lambda: dense(width), (width,), 64, 512),
    ),
    "time steps, GRU": (
        (10, 20, 40, 80, 160),
        lambda steps: _row(lambda: recurrent(layers.GRU, 64, 64, 1, steps), (steps, 64), 64, 640),
    ),
    "tokens, Transformer": (
        (32, 64, 128, 256, 512),
        lambda tokens: _row(
            lambda: transformer(64, 4, 128, 1, tokens), (tokens, 64), batch_size=16, examples=64
        ),
    ),
    "examples, dense network, one epoch": (
        (1024, 4096, 16384, 65536),
        lambda examples: _row(lambda: dense(64), (64,), 64, examples),
    ),
}


def measure(settings: dict, tell) -> dict[str, Any]:
    """Returns by curve: sizes, seconds and operations, per step or in an epoch of the examples."""
    prepare(settings)
    found: dict[str, Any] = {}
    for name, (sizes, make_row) in CURVES.items():
        curve = found[name] = {"sizes": list(sizes), "seconds": [], "flops": []}
        for size in sizes:
            tell(f"growth: {name}: {size}")
            made = make_row(size)
            steps = made.make().steps if "epoch" in name else 1
            curve["seconds"].append(steps * seconds_per_step(made))
            curve["flops"].append(steps * flops_per_step(made))
    return found


def slope_at_the_end(curve: dict, of: str = "seconds") -> float:
    """Returns the slope of the last two points in a log-log plot."""
    (x0, x1), (y0, y1) = (np.log(curve[key][-2:]) for key in ("sizes", of))
    return float((y1 - y0) / (x1 - x0))


def table_of(curves: dict) -> Table:
    """Returns the curves, for people."""
    table = Table(title="how the time grows, our loop; slopes of the last two points")
    for heading in ("what grows", "from", "to", "seconds", "slope", "of the arithmetic"):
        table.add_column(heading, justify="left" if heading == "what grows" else "right")
    for name, curve in curves.items():
        sizes, seconds = curve["sizes"], curve["seconds"]
        cells = [name, str(sizes[0]), str(sizes[-1]), f"{seconds[0]:.2g} to {seconds[-1]:.2g}"]
        slopes = [f"{slope_at_the_end(curve, of):.2f}" for of in ("seconds", "flops")]
        table.add_row(*cells, *slopes)
    return table
