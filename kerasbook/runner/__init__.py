"""Runs a chapter as a program: flags from `main`'s signature, then scores, pictures, a report.

    python -m kerasbook.chapter3 --epochs 5 --output runs/try

A chapter's `main` knows nothing of this: it takes its keyword arguments and hands on the rest
(`**fit_options`) to `kerasbook.training.fit`. Nor is any chapter known here: what is special about
one stands in its `ABOUT` (see kerasbook.contents). In reading order: flags.py, execution.py,
report.py, output.py.
"""

import argparse
import contextlib
import os
import shlex
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kerasbook import contents
from kerasbook.cluster import (
    LAUNCHED,
    ClusterError,
    end_with_launcher,
    read_cluster,
    start_workers,
)
from kerasbook.interruption import termination
from kerasbook.program import ensure_home, fail, kernel, output_that_may_go_away
from kerasbook.runner.flags import moved, parse
from kerasbook.runner.output import held, nothing_printed


@dataclass(repr=False)
class Result:
    """What a chapter's `main` returns; shown, it is its scores, rounded."""

    splits: Any  # kerasbook.data.Splits
    model: Any  # keras.Model
    history: Any  # kerasbook.training.History
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # validation and test
    figures: dict[str, Any] = field(default_factory=dict)  # file name → Figure or Axes

    def __repr__(self) -> str:
        """Returns the scores, a line for each part."""
        lines = [
            f"{part}: " + "  ".join(f"{name} {value:.4g}" for name, value in values.items())
            for part, values in self.scores.items()
        ]
        return "\n".join(lines) or "Result without scores"


def run(module_name: str, arguments: list[str] | None = None) -> None:
    """Runs the chapter's `main` with flags from the command line, then ends the program.

    Exit status: 0 done; 1 the loss became NaN; 2 a bad flag, folder or data set; 130 Ctrl-C;
    143 SIGTERM. After the last two `--resume` goes on. In a Jupyter kernel it does nothing: there
    the cells below are run, and the kernel's own command line is none of the chapter's.
    """
    if kernel() is not None:
        return
    started = time.perf_counter()
    ensure_home()
    with output_that_may_go_away():
        page = contents.read(module_name)
        page, arguments = follow(page, sys.argv[1:] if arguments is None else arguments)
        flags, common = parse(page, arguments)  # says what is wrong before TensorFlow is imported
        common.command = f"python -m {page.module} {shlex.join(arguments)}".strip()
        if common.workers > 1 and common.devices:
            fail("--workers and --devices both say who shares a batch: take one of them")
        if common.workers > 1 and not os.environ.get(LAUNCHED):
            sys.exit(launch(page, common, arguments))
        require_data(flags.get("dataset"))
        end_with_launcher()
        with termination.handled():
            try:
                _run(page, flags, common, started)
            except KeyboardInterrupt:
                fail(f"interrupted; {whether_resumable(common.output)}", termination.status)
    sys.exit(0)


def require_data(name: str | None) -> None:
    """Ends the program at once where a data set has to be fetched and there is no network."""
    from kerasbook.data import remote  # here, as --help need not wait for it

    if name in remote.SOURCES:
        try:
            remote.require(name)
        except remote.DataError as error:
            fail(error)


def whether_resumable(folder: Path) -> str:
    """Returns what --resume would do with the folder of an interrupted run."""
    if any((folder / "checkpoint").glob("[!.]*.npz")):
        return "--resume goes on from what was saved"
    return "nothing was saved yet that --resume could go on from"


def follow(page: contents.Page, arguments: list[str]) -> tuple[contents.Page, list[str]]:
    """Returns the chapter that old flags mean, and the other arguments; says so in one line."""
    if (found := moved(page, arguments)) is None:
        return page, arguments
    page, arguments = contents.find(found[0]), found[1]
    command = " ".join([f"python -m {page.module}", *arguments])
    print(f"this is now: {command}", file=sys.stderr)
    return page, arguments


def launch(page: contents.Page, common: argparse.Namespace, arguments: list[str]) -> int:
    """Runs the same command in several workers and waits for them; returns the exit status."""
    if os.environ.get("TF_CONFIG"):
        fail("TF_CONFIG says who the workers are: leave --workers out, or unset TF_CONFIG")
    return start_workers(common.workers, [sys.executable, "-m", page.module, *arguments])


def _run(page: contents.Page, flags: dict, common: argparse.Namespace, started: float) -> None:
    try:
        common.cluster = read_cluster()
    except ClusterError as error:
        fail(error)
    if common.cluster and common.devices:
        fail("TF_CONFIG names the devices, one of each worker: leave --devices out")
    common.is_chief = common.cluster is None or common.cluster.is_chief
    with contextlib.ExitStack() as stack:
        stack.enter_context(nothing_printed(common.quiet or not common.is_chief))
        if common.is_chief:
            stack.enter_context(held(common.output))
        print(page.title, flush=True)  # a sign of life before the longest import
        from kerasbook.runner.execution import execute  # TensorFlow: now that all is in order

        execute(page, flags, common, started)
