"""What the process of every side does, with TensorFlow or PyTorch: train one turn when asked."""

import os
import time
from collections.abc import Callable
from typing import Any

from kerasbook.machine import memory_now, peak_memory

import numpy as np

SECONDS_PER_TURN = 1.0  # at least, in whole epochs


class BenchError(Exception):
    """A comparison cannot be made; the message says why."""


def take(make_side: Callable[[], Any], x, y, batch_size: int, connection) -> None:
    """Sends what the start took and the outputs after four steps in order; then takes turns.

    After more steps rounding alone would pull the sides apart.

    A turn begins when something is received. Its first epoch is not timed: the pause before it
    can make it slow. (After some pauses the pipeline of `model.fit` waits for seconds, without
    work.) The seconds per epoch, and the memory so far, are sent. The process ends here.
    """
    try:
        _take(make_side, x, y, batch_size, connection)
    except (EOFError, KeyboardInterrupt):  # the other end is gone
        pass
    except Exception as error:
        connection.send({"error": f"{type(error).__name__}: {error}".partition("\n")[0][:200]})
    os._exit(0)  # what runs on in the background need not be waited for


def _take(make_side, x, y, batch_size: int, connection) -> None:
    memory = memory_now()
    side = make_side()
    first: dict = {"weights": side.weights()} if hasattr(side, "weights") else {}
    started = time.perf_counter()
    side.train(x[:batch_size], y[:batch_size], 1, False, lambda: None)
    first["first_step_seconds"] = time.perf_counter() - started
    side.train(x[: 3 * batch_size], y[: 3 * batch_size], 1, False, lambda: None)
    first["outputs"] = np.asarray(side.outputs(x[:64]))
    first["threads"] = side.threads()
    connection.send(first)
    connection.recv()

    started, epochs = None, 0

    def done():
        nonlocal started, epochs
        if started is None:
            started = time.perf_counter()
            return
        epochs += 1
        seconds = time.perf_counter() - started
        if seconds >= SECONDS_PER_TURN:
            connection.send({"seconds": seconds / epochs, "memory": peak_memory() - memory})
            connection.recv()
            started, epochs = None, 0

    side.train(x, y, 10**6, True, done)


def take_part_in_torch(*arguments) -> None:
    """What the process of one of PyTorch's sides does: here, where TensorFlow is not imported."""
    from kerasbook.bench import peers

    peers.take_part(*arguments)
