"""One run of a chapter's `main`: device, strategy, training, and one line where it cannot go on."""

import argparse
import contextlib
import importlib
import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from kerasbook.cluster import Cluster, ClusterError
from kerasbook.contents import Page
from kerasbook.data import DataError
from kerasbook.data.inputs import describe
from kerasbook.interruption import termination
from kerasbook.machine import NO_GPU
from kerasbook.program import fail, many
from kerasbook.runner import report as reports
from kerasbook.training import Interrupted, NonFiniteLoss, devices
from kerasbook.training.checkpoint import CheckpointError

import keras
import tensorflow as tf


def execute(page: Page, flags: dict[str, Any], common: argparse.Namespace, started: float) -> None:
    """Runs the chapter's `main`, saves what it returns, and prints its scores."""
    main = importlib.import_module(page.module).main
    seconds = {"import": time.perf_counter() - started}
    device = choose_device(common.device)
    strategy = make_strategy(common.devices, common.cluster)
    if strategy is not None:
        device += f"; {many(strategy.num_replicas_in_sync, 'replica')}"
    print(device)
    if common.mixed_precision != "off":
        keras.config.set_dtype_policy(f"mixed_{common.mixed_precision}")
    report = begin_report(page, flags, common, device)
    save = reports.save if common.is_chief else lambda *_: []  # the other workers write nothing
    with errors_in_one_line(common):
        if common.is_chief:
            reports.check_resumed_flags(common.output, report, common.resume)
            if not common.resume:
                reports.forget_logs(common.output / "tensorboard")
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            result = train(main, flags | fit_options(common), common.output, report, save)
        seconds |= {"data": result.splits.seconds, "train": result.history.seconds}
        seconds["total"] = time.perf_counter() - started
        report |= {"dataset": result.splits.name, "finished": True}
        report["compiled"] = getattr(result.history, "compiled", None)
        report |= {"scores": result.scores, "seconds": seconds}
        inputs = describe(result.splits)
        files = save(common.output, report, result.history, result.model, result.figures, inputs)
    print_end(page, flags, common, report, files)


def fit_options(common: argparse.Namespace) -> dict[str, Any]:
    """Returns what `main` hands on to `fit`."""
    logs = keras.callbacks.TensorBoard(str(common.output / "tensorboard"), profile_batch=0)
    return {
        "loop": common.loop,
        "jit": common.jit,
        "progress": "none" if common.quiet or not common.is_chief else "auto",
        "checkpoint": common.output / "checkpoint",
        "resume": common.resume,
        "callbacks": [logs] if common.tensorboard and common.is_chief else [],
    }


def begin_report(page: Page, flags: dict, common: argparse.Namespace, device: str) -> dict:
    """Returns what is known of a run before it begins."""
    return {
        "chapter": page.key,
        "command": common.command,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "dataset": flags.get("dataset"),
        "loop": common.loop,
        "seed": flags.get("seed"),
        "parameters": flags,
        "jit": common.jit,
        "mixed_precision": common.mixed_precision,
        "device": device,
        "versions": reports.versions(),
    }


def train(main: Callable, options: dict, folder, report: dict, save: Callable) -> Any:
    """Returns the Result of `main`; where it stops early, saves what there is, and ends."""
    try:
        return main(**options)
    except NonFiniteLoss as error:
        save(folder, report | {"finished": False, "error": str(error)}, error.history)
        fail(error, 1)
    except Interrupted as stop:
        save(folder, report | {"finished": False}, stop.history, stop.model)
        resumable = any((folder / "checkpoint").glob("[!.]*.npz"))
        goes_on = "and --resume goes on" if resumable else "and nothing to go on from"
        fail(f"{stop}; the model so far is in {folder}, {goes_on}", termination.status)


@contextlib.contextmanager
def errors_in_one_line(common: argparse.Namespace) -> Iterator[None]:
    """Ends the program with one line where data, flags, disk or another worker are the reason."""
    folder = common.output
    try:
        yield
    except (DataError, CheckpointError, ValueError) as error:
        fail(error)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        fail(
            "the memory ran out: take a smaller --batch-size, a smaller model or fewer --examples; "
            "--resume goes on from the last checkpoint, if the model stays the same"
        )
    except tf.errors.OpError as error:
        reason = re.search(r"aborted by: (.*)", str(error)) if common.cluster else None
        if reason is None:
            raise
        fail(f"a worker was lost: {reason[1]} --resume goes on from what {folder} holds", 1)
    except OSError as error:
        fail(
            f"cannot write into {folder}: {error.strerror or error}; make room and go on with "
            "--resume, or choose another folder with --output"
        )


def print_end(
    page: Page, flags: dict, common: argparse.Namespace, report: dict, files: list[str]
) -> None:
    """Prints the scores beside their bands, the seconds, and the files."""
    entry = reports.entry_of(page, report["dataset"])
    is_default = not common.quick and reports.has_kept_settings(page, entry, flags)
    print(reports.score_lines(report["scores"], entry, is_default))
    print("  ".join(f"{part} {value:.1f} s" for part, value in report["seconds"].items()))
    print(f"files in {common.output}: {', '.join(files)}")


# --- devices ------------------------------------------------------------------------------


def choose_device(wanted: str) -> str:
    """Chooses the device before anything is computed; returns what is printed of it."""
    if wanted == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    if wanted == "gpu" and not gpus:
        fail(NO_GPU)
    for gpu in gpus:  # takes the card's memory as it is needed, not all of it
        tf.config.experimental.set_memory_growth(gpu, True)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    where = f"GPU {', '.join(map(str, names))}" if gpus else f"CPU, {os.cpu_count()} cores"
    versions = reports.versions()
    return f"{where}; TensorFlow {versions['tensorflow']}, Keras {versions['keras']}"


def make_strategy(count: int | None, cluster: Cluster | None) -> Any:
    """Returns the strategy for several devices or workers, or None; waits for the workers."""
    if cluster:
        others = (each for each in cluster.workers if each != cluster.address)
        print(f"waiting for the other workers: {', '.join(others)}", flush=True)
    try:
        strategy = devices.make_strategy(count, cluster)
    except (ClusterError, RuntimeError, tf.errors.OpError) as error:
        fail(f"cannot reach the devices or the other workers: {error}")
    termination.handle_again()
    return strategy
