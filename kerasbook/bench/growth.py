"""How the time grows: with the batch, the width, the length of a sequence, the examples."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from kerasbook.bench.models import noise, recurrent, transformer
from kerasbook.checks import use_jit
from kerasbook.loops import make_loop
from kerasbook.training import make_train_step

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from rich.table import Table

cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def dense(width: int) -> keras.Model:
    """Two hidden layers of equal width."""
    hidden = [layers.Dense(width, "relu") for _ in range(2)]
    return keras.Sequential([keras.Input((width,)), *hidden, layers.Dense(10)])


def seconds_per_step(model: keras.Model, shape, batch_size: int, examples: int) -> float:
    """Returns the median over five epochs of our loop, without the first."""
    data = [tf.constant(part) for part in noise(examples, *shape)]
    optimizer = keras.optimizers.Adam()
    optimizer.build(model.trainable_variables)
    step = make_train_step(model, cross_entropy, optimizer)
    loop = make_loop(step, [], tuple(data), batch_size, use_jit("auto", model), True)
    times = []
    for _ in range(6):
        started = time.perf_counter()
        for _ in loop.run_epoch():
            pass
        times.append((time.perf_counter() - started) * batch_size / examples)
    return statistics.median(times[1:])


# What grows: (sizes, the slope to be expected in a log-log plot for large sizes, its measure).
# The measure returns seconds: per step, or per epoch for the number of examples.
CURVES: dict[str, tuple[tuple[int, ...], float, Callable[[int], float]]] = {
    "batch size, dense network": (
        (4, 16, 64, 256, 1024, 4096),
        1,
        lambda size: seconds_per_step(dense(256), (256,), size, max(4 * size, 1024)),
    ),
    "width, dense network": (
        (32, 64, 128, 256, 512, 1024, 2048),
        2,
        lambda width: seconds_per_step(dense(width), (width,), 64, 512),
    ),
    "time steps, GRU": (
        (10, 20, 40, 80, 160),
        1,
        lambda steps: seconds_per_step(
            recurrent(layers.GRU, 64, 64, 1, steps), (steps, 64), 64, 640
        ),
    ),
    "tokens, Transformer": (
        (32, 64, 128, 256, 512),
        2,
        lambda tokens: seconds_per_step(transformer(64, 4, 128, 1, tokens), (tokens, 64), 16, 64),
    ),
    "examples, dense network, one epoch": (
        (1024, 4096, 16384, 65536),
        1,
        lambda examples: seconds_per_step(dense(64), (64,), 64, examples) * examples / 64,
    ),
}


def measure(settings: dict, tell=lambda text: None) -> dict[str, Any]:
    """Returns by curve: the sizes, the seconds, and the slope that is expected."""
    if settings["device"] == "cpu":
        tf.config.set_visible_devices([], "GPU")
    found = {}
    for name, (sizes, slope, seconds) in CURVES.items():
        times = []
        for size in sizes:
            tell(f"growth: {name}: {size}")
            times.append(seconds(size))
        found[name] = {"sizes": list(sizes), "seconds": times, "expected_slope": slope}
    return found


def slope_at_the_end(curve: dict) -> float:
    """Returns the slope of the last two points in a log-log plot."""
    (x0, x1), (y0, y1) = (np.log(curve[key][-2:]) for key in ("sizes", "seconds"))
    return float((y1 - y0) / (x1 - x0))


def table_of(curves: dict) -> Table:
    """The curves, for people."""
    table = Table(title="how the time grows, our loop")
    for heading in ("what grows", "from", "to", "seconds", "slope at the end", "expected"):
        table.add_column(heading, justify="left" if heading == "what grows" else "right")
    for name, curve in curves.items():
        sizes, seconds = curve["sizes"], curve["seconds"]
        cells = [name, str(sizes[0]), str(sizes[-1]), f"{seconds[0]:.2g} to {seconds[-1]:.2g}"]
        table.add_row(*cells, f"{slope_at_the_end(curve):.2f}", f"{curve['expected_slope']}")
    return table
