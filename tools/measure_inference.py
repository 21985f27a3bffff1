"""Measures how long chapter 8's three networks take for an answer, and puts it into results.json.

    python tools/measure_inference.py                  # about five minutes, nothing else running
    python tools/measure_inference.py --networks cnn   # the others stay as they were
    python tools/measure_inference.py --quick          # few calls, into no file

Needs the extra `convert`. Networks that tools/make_compression_grid.py has left in build/ are
taken; others are made with random weights, since time does not depend on their values.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kerasbook import chapter4, chapter6, chapter6_encoder_decoder, chapter6_translation, chapter8
from kerasbook.contents import load_results
from kerasbook.data.inputs import describe
from kerasbook.inference import conversion, models
from kerasbook.machine import cores, processor

import keras
import numpy as np
import tensorflow as tf
from compression_networks import NETWORKS, Task, by_litert, by_onnxruntime
from make_measurements import keep

FRESH: dict[str, Callable[[Any], Any]] = {
    "cnn": lambda splits: chapter8.make_network(),
    "gru": lambda splits: chapter4.make_model(len(splits.vocabulary)),
    "writer": lambda splits: chapter6.make_writer(len(splits.classes)),
}


def network(name: str, splits: Any) -> Any:
    """Returns a network of the grid, trained if it is there."""
    file = Path("build/compression") / name / "seed0" / "32 bits.keras"
    return keras.models.load_model(file) if file.is_file() else FRESH[name](splits)


# --- the ways to an answer --------------------------------------------------------------------


def one_by_one(run: Callable) -> Callable:
    """Returns a function that asks for each example by itself: LiteRT's files take one."""
    return lambda x: [run(x[n : n + 1]) for n in range(len(x))]


def ways(name: str, model: Any, splits: Any) -> dict[str, Callable]:
    """Returns way → function of an array, without a conversion of its answer."""
    task = Task(NETWORKS[name], model, splits, 0, lambda method: None)
    compiled = tf.function(lambda x: model(x, training=False))
    by_xla = tf.function(lambda x: model(x, training=False), jit_compile=True)
    found: dict[str, Callable] = {
        "Keras predict": lambda x: model.predict(x, verbose=0, batch_size=len(x)),
        "model(x)": lambda x: model(x, training=False),
        "tf.function": lambda x: compiled(tf.constant(x)),
        "XLA": lambda x: by_xla(tf.constant(x)),
    }
    for to, quantise in (("onnx", by_onnxruntime), ("litert", by_litert)):
        known = {"onnx": "onnxruntime", "litert": "LiteRT"}[to]
        for kind, content in (("", plain(task, to)), (", 8 bits", quantise(task).content)):
            run = loaded(content, to)
            found[known + kind] = run if to == "onnx" else one_by_one(run)
    return found


def plain(task: Task, to: str) -> bytes:
    """Returns the content of a network's file in a format."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / conversion.FORMATS[to].name
        conversion.write(task.large, describe(task.splits), to, path)
        return path.read_bytes()


def loaded(content: bytes, to: str) -> Callable:
    """Returns the function of a converted file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / conversion.FORMATS[to].name
        path.write_bytes(content)
        return models.load(path)


# --- time -------------------------------------------------------------------------------------


def seconds_of(functions: dict[str, Callable], x: Any, rounds: int, each: float) -> dict[str, Any]:
    """Returns way → milliseconds per call: median and quartiles; all ways take turns."""
    times: dict[str, list[float]] = {}
    for way, function in functions.items():
        try:
            function(x), function(x)  # traced, compiled, warm
            times[way] = []
        except Exception as error:  # a way that a network cannot go says why
            times[way] = [str(error).splitlines()[0][:120]]
    for _ in range(rounds):
        for way, found in times.items():
            end = time.perf_counter() + each
            while not isinstance(next(iter(found), 0), str) and time.perf_counter() < end:
                start = time.perf_counter()
                functions[way](x)
                found.append(1000 * (time.perf_counter() - start))
    return {way: summary(found) for way, found in times.items()}


def summary(found: list) -> Any:
    """Returns the median and the quartiles of times, or why there are none."""
    if isinstance(found[0], str):
        return {"why": found[0]}
    low, middle, high = np.percentile(found, (25, 50, 75))
    return {"median": float(middle), "quartiles": [float(low), float(high)], "calls": len(found)}


# --- memory -----------------------------------------------------------------------------------

ANSWER = """
import sys
from pathlib import Path
import numpy as np
from kerasbook.inference import models
from kerasbook.machine import peak_memory
models.load(Path(sys.argv[1]))(np.load(sys.argv[2]))
print(peak_memory())
"""


def memory_of(model: Any, task: Task, x: Any) -> dict[str, int]:
    """Returns format → the most bytes that a process holds which loads the file and answers."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder) / "x.npy", x)
        for to in ("keras", "savedmodel", "onnx", "litert"):
            path = Path(folder) / ("model.keras" if to == "keras" else conversion.FORMATS[to].name)
            if to == "keras":
                chapter8.copy_of(model).save(path)
            else:
                conversion.write(model, describe(task.splits), to, path)
            command = [sys.executable, "-c", ANSWER, path, Path(folder) / "x.npy"]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            found[to] = int(done.stdout.splitlines()[-1])
    return found


# --- the cache --------------------------------------------------------------------------------


def tokens_per_second(rounds: int, steps: int = 64) -> dict[str, Any]:
    """Returns decoder → batch → tokens per second, of a translator with random weights."""
    keras.utils.set_random_seed(0)
    model = chapter6_encoder_decoder.make_pronouncer(128, 4, 2, 500, 500)
    decoders = {
        "again at every step": chapter6_encoder_decoder.greedy,
        "with a cache": chapter6_translation.translate,
    }
    found: dict[str, Any] = {name: {} for name in decoders}
    for rows in (1, 16):
        source = np.random.default_rng(0).integers(4, 500, (rows, steps)).astype("int32")
        times: dict[str, list[float]] = {name: [] for name in decoders}
        for _ in range(rounds + 1):
            for name, decode in decoders.items():
                start = time.perf_counter()
                said = decode(model, source, steps)
                times[name].append((said != 0).sum() / (time.perf_counter() - start))
        for name, each in times.items():
            found[name][str(rows)] = summary(each[1:])  # the first was traced
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="few calls, and no file is written")
    parser.add_argument("--networks", nargs="*", default=list(NETWORKS), choices=list(NETWORKS))
    options = parser.parse_args()
    rounds, each = (2, 0.05) if options.quick else (10, 0.3)
    found = load_results()["measurements"]["chapter8"].get("inference", {"networks": {}})
    found |= {"processor": processor(), "cores": cores()}
    for name in options.networks:
        splits = NETWORKS[name].splits()
        model, x = network(name, splits), splits.test.x
        functions = ways(name, model, splits)
        times = {f"batch {n}": seconds_of(functions, x[:n], rounds, each) for n in (1, 64)}
        found["networks"][name] = times
        if name == "cnn":
            task = Task(NETWORKS[name], model, splits, 0, lambda method: None)
            found |= {"memory": memory_of(model, task, x[:1]), "cache": tokens_per_second(3)}
        print(name, json.dumps(found, indent=1), flush=True)
        if not options.quick:
            keep("chapter8", "inference", found)


if __name__ == "__main__":
    main()
