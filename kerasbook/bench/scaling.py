"""The times that *Many devices* draws: one and two threads, one and two workers; and ways to run a
step, for *What makes it fast*.

    python -m kerasbook.bench.scaling                      # shows them
    python -m kerasbook.bench.scaling --json kerasbook/bench/scaling.json
    python -m kerasbook.bench.scaling workers --json …     # only these, the rest of the file stays

Nothing else should run. Threads and workers are measured in processes of their own, because
TensorFlow can be told only once how many threads it has. Of the steps in a process the shortest
counts; the processes take turns, five of each kind.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kerasbook import chapter2_deep_network, chapter3
from kerasbook.bench.models import noise
from kerasbook.cluster import end_with_launcher, read_cluster, start_workers
from kerasbook.files import atomic_path
from kerasbook.pages import speed
from kerasbook.training import fit
from kerasbook.training.devices import make_strategy

import keras
import numpy as np
import tensorflow as tf
from keras import layers

SIZES = (8, 32, 64, 128, 512)
REPEATS = 5  # processes


class _Stopwatch(keras.callbacks.Callback):
    """Notes when each epoch ends."""

    def __init__(self):
        super().__init__()
        self.times: list[float] = []

    def on_epoch_end(self, epoch, logs=None):
        self.times.append(time.perf_counter())

    def seconds_per_epoch(self) -> float:
        """The median over all epochs but the first, which traces and compiles."""
        return statistics.median(np.diff(self.times))


def recurrent() -> keras.Model:
    """Returns a GRU of 64 units over 40 steps."""
    inside = [layers.GRU(64), layers.Dense(10)]
    return keras.Sequential([keras.Input((40, 64)), *inside])


NETWORKS: dict[str, tuple[Callable[[], keras.Model], tuple[int, ...]]] = {
    "dense": (lambda: chapter2_deep_network.make_model((28, 28, 1), 10), (28, 28, 1)),
    "recurrent": (recurrent, (40, 64)),
    "convolutional": (lambda: chapter3.make_model((28, 28, 1), 10), (28, 28, 1)),
}


def time_ways() -> dict[str, dict[str, float]]:
    """Returns milliseconds per step of 64 rows, by network and way to run it."""
    times = {}
    for name, (make, shape) in NETWORKS.items():
        batch = [tf.constant(part) for part in noise(64, *shape)]
        eager = name != "recurrent"  # a second and more, and in no picture
        steps = 2 if name == "convolutional" else 20  # XLA takes long for convolutions
        times[name] = speed.time_step(make(), *batch, (False, True), steps, eager)
    return times


def time_threads(threads: int) -> dict[str, dict[str, float]]:
    """Returns milliseconds per step by network and batch size, in a process of so many threads."""
    program = (
        "import json; from kerasbook.bench import scaling; print(json.dumps(scaling.time_sizes()))"
    )
    names = "TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"
    own = os.environ | dict.fromkeys(names, str(threads)) | {"CUDA_VISIBLE_DEVICES": "-1"}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=own, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def time_sizes() -> dict[str, dict[str, float]]:
    """Returns milliseconds per step by network and batch size, in this process."""
    times: dict[str, dict[str, float]] = {}
    for name in ("dense", "convolutional"):
        make, shape = NETWORKS[name]
        for size in SIZES:
            batch = [tf.constant(part) for part in noise(size, *shape)]
            steps = max(2, 512 // size)
            found = speed.time_step(make(), *batch, steps=steps, eager=False)
            times.setdefault(name, {})[str(size)] = next(iter(found.values()))
    return times


def time_workers(name: str, workers: int, rows: int) -> float:
    """Returns milliseconds per step with so many workers of one thread, which share `rows` rows."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "milliseconds"
        command = [sys.executable, "-m", "kerasbook.bench.scaling", "--member", name, str(rows)]
        command += ["--json", str(file)]
        threads = dict.fromkeys(("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"), "1")
        before = {key: os.environ.get(key) for key in threads}
        os.environ |= threads
        try:
            if workers == 1:
                subprocess.run(command, check=True)
            elif start_workers(workers, command):
                raise SystemExit("the workers failed")
        finally:
            for key, value in before.items():
                os.environ.pop(key) if value is None else os.environ.update({key: value})
        return json.loads(file.read_text())


def be_a_member(name: str, rows: int, file: Path, steps: int = 20) -> None:
    """Trains as one of the workers; the chief writes milliseconds per step into the file."""
    end_with_launcher()
    cluster = read_cluster()
    strategy = make_strategy(cluster=cluster) or tf.distribute.get_strategy()
    make, shape = NETWORKS[name]
    watch = _Stopwatch()
    with strategy.scope():
        model, optimizer = make(), keras.optimizers.SGD(0.01)
        options = {"loss_fn": speed.loss_fn, "optimizer": optimizer, "callbacks": [watch]}
        options |= {"batch_size": rows, "epochs": 6, "jit": "off", "progress": "none"}
        fit(model, noise(steps * rows, *shape), **options)
    if cluster is None or cluster.is_chief:
        file.write_text(json.dumps(1000 * watch.seconds_per_epoch() / steps))


def compare_threads() -> dict[str, dict[str, dict[str, list[float]]]]:
    """Returns milliseconds per step by network, batch size and number of threads, of each run."""
    runs = {threads: [] for threads in (1, 2)}
    for _ in range(REPEATS):
        for threads, found in runs.items():
            found.append(time_threads(threads))
    names = "dense", "convolutional"
    return {
        name: {
            str(size): {
                str(threads): [run[name][str(size)] for run in found]
                for threads, found in runs.items()
            }
            for size in SIZES
        }
        for name in names
    }


def compare_workers() -> dict[str, dict[str, list[float]]]:
    """Returns milliseconds per step with one worker and with two, by network, of each run."""
    kinds = {
        "1 worker, 64 rows": (1, 64),
        "2 workers share 64 rows": (2, 64),
        "2 workers, 64 rows each": (2, 128),
    }
    times: dict = {name: {kind: [] for kind in kinds} for name in ("dense", "convolutional")}
    for _ in range(REPEATS):
        for name, found in times.items():
            for kind, (workers, rows) in kinds.items():
                found[kind].append(time_workers(name, workers, rows))
    return times


PARTS = {
    "steps": time_ways,
    "blocks": speed.time_blocks,
    "threads": compare_threads,
    "workers": compare_workers,
}


def main(arguments: list[str] | None = None) -> None:
    """Runs `python -m kerasbook.bench.scaling`."""
    parser = argparse.ArgumentParser(
        prog="python -m kerasbook.bench.scaling", description="Measures what *Many devices* draws."
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there")
    parser.add_argument("--member", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.member:
        return be_a_member(options.member[0], int(options.member[1]), options.json)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()!r}: there are {', '.join(PARTS)}")
    results = {}
    if options.json and options.json.exists():
        results = json.loads(options.json.read_text())
    results |= {"machine": platform.machine(), "cores": os.cpu_count()}
    results["versions"] = {"tensorflow": tf.__version__, "keras": keras.__version__}
    for part in options.parts or PARTS:
        results[part] = PARTS[part]()
        print(part, json.dumps(results[part], indent=1))
        if options.json:  # after every part: a later one may be interrupted
            with atomic_path(options.json) as temporary:
                temporary.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
