"""What the process of every side does, with TensorFlow or PyTorch: train one turn when asked."""

import os
import time
from collections.abc import Callable
from typing import Any

from kerasbook.machine import NO_GPU, memory_now, peak_memory, waits

import numpy as np

SECONDS_PER_TURN = 1.0  # at least, in whole epochs


class BenchError(Exception):
    """A comparison cannot be made; the message says why."""


def prepare(settings: dict) -> None:
    """Chooses device and precision, before TensorFlow computes anything."""
    import keras
    import tensorflow as tf

    if settings["device"] == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    if settings["device"] == "gpu" and not gpus:
        raise BenchError(NO_GPU)
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if settings["mixed_precision"] != "off":
        keras.config.set_dtype_policy(f"mixed_{settings['mixed_precision']}")


def take(make_side: Callable[[], Any], connection, row: str = "") -> None:
    """Sends what the start took and the outputs after four steps in order; then takes turns.

    After more steps rounding alone would pull the sides apart, and dropout at once: it is off for
    the four. Of the side that the others are compared with `row` is the name: it sends its first
    weights and the job too, and how far four steps have changed its outputs.

    A turn begins when something is received. Its first epoch is not timed: the pause before it
    can make it slow. (After some pauses the pipeline of `model.fit` waits for seconds, without
    work.) The seconds per epoch, how often a thread went to sleep per epoch, and the memory so far
    are sent. The process ends here.
    """
    try:
        _take(make_side, connection, row)
    except (EOFError, KeyboardInterrupt):  # the other end is gone
        pass
    except Exception as error:
        connection.send({"error": in_a_line(error)})
    os._exit(0)  # what runs on in the background need not be waited for


def in_a_line(error: Exception) -> str:
    """Returns what went wrong, on one line."""
    kind = "" if isinstance(error, BenchError) else f"{type(error).__name__}: "
    return f"{kind}{error}".partition("\n")[0][:200]


def _take(make_side, connection, row: str) -> None:
    memory = memory_now()
    side = make_side()
    connection.send(_start(side, row))
    connection.recv()

    started, waited, epochs = None, 0, 0

    def done():
        nonlocal started, waited, epochs
        if started is None:
            started, waited = time.perf_counter(), waits()
            return
        epochs += 1
        seconds = time.perf_counter() - started
        if seconds >= SECONDS_PER_TURN:
            answer = {"seconds": seconds / epochs, "waits": (waits() - waited) / epochs}
            connection.send(answer | {"memory": peak_memory() - memory})
            connection.recv()
            started, epochs = None, 0

    side.train(*side.data, 10**6, True, done)


def _start(side, row: str) -> dict:
    """Takes four steps without chance; returns what was seen of them."""
    (x, y), size = side.data, side.batch_size
    side.set_chance(False)
    started = time.perf_counter()
    side.train(x[:size], y[:size], 1, False, lambda: None)
    found = {"first_step_seconds": time.perf_counter() - started}
    side.train(x[: 3 * size], y[: 3 * size], 1, False, lambda: None)
    found["outputs"] = np.asarray(side.outputs(x[:64]))
    if row:
        found |= side.start(row, x[:64])
        found["change"] = float(np.abs(found["outputs"] - found["before"]).max())
    side.set_chance(True)
    return found | {"threads": side.threads()}
