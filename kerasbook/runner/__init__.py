"""Runs a chapter as a program: flags from `main`'s signature, then scores, pictures, a report.

    python -m kerasbook.chapter3 --epochs 5 --output runs/try

A chapter's `main` knows nothing of this: it takes its keyword arguments and hands on the rest
(`**fit_options`) to `kerasbook.training.fit`.
"""

import argparse
import contextlib
import csv
import importlib
import inspect
import itertools
import json
import math
import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NoReturn, get_args, get_origin

from kerasbook import __version__
from kerasbook.cluster import ClusterError, end_with_launcher, read_cluster, start_workers
from kerasbook.files import FolderInUse, atomic_path, only_run_in, remove_unfinished
from kerasbook.machine import NO_GPU, peak_memory
from kerasbook.training.checkpoint import CheckpointError
from kerasbook.training.interruption import termination

QUICK = {"epochs": 1, "examples": 512}
WHICH_BAND = ("seed", "dataset", "task", "horizon")  # a band is of one data set, for all seeds
BOUNDS = {"epochs": (1, math.inf), "batch_size": (1, math.inf), "examples": (1, math.inf)}
BOUNDS |= {"seed": (0, 2**32 - 1), "momentum": (0, 1), "dropout": (0, 0.999)}
BOUNDS |= {"micro_batches": (1, math.inf)}


@dataclass
class Result:
    """What a chapter's `main` returns."""

    splits: Any  # kerasbook.data.Splits
    model: Any  # keras.Model
    history: Any  # kerasbook.training.History
    scores: dict[str, dict[str, float]] = field(default_factory=dict)  # validation and test
    figures: dict[str, Any] = field(default_factory=dict)  # file name → Figure or Axes


def run(module_name: str, arguments: list[str] | None = None) -> NoReturn:
    """Runs the chapter's `main` with flags from the command line, then ends the program.

    Exit status: 0 done; 1 the loss became NaN; 2 a bad flag, folder or data set; 130 Ctrl-C;
    143 SIGTERM. After the last two `--resume` goes on.
    """
    started = time.perf_counter()
    arguments = sys.argv[1:] if arguments is None else arguments
    workers, rest = _workers(arguments)
    if workers > 1:  # before anything heavy is imported: this process only waits for them
        sys.exit(start_workers(workers, [sys.executable, "-m", module_name, *rest]))
    end_with_launcher()
    with _output_that_may_go_away(), contextlib.ExitStack() as stack:
        stack.enter_context(termination.handled())
        try:
            chapter = importlib.import_module(module_name)
            seconds = {"import": time.perf_counter() - started}
            parser, common_names = _parser(chapter)
            flags = vars(parser.parse_args(arguments))
            common = argparse.Namespace(**{name: flags.pop(name) for name in common_names})
            common.cluster = read_cluster()
            if common.cluster and common.devices:
                fail("TF_CONFIG names the devices, one of each worker: leave --devices out")
            common.is_chief = common.cluster is None or common.cluster.is_chief
            if common.quiet or not common.is_chief:
                nowhere = stack.enter_context(open(os.devnull, "w"))
                stack.enter_context(contextlib.redirect_stdout(nowhere))
            if common.is_chief:
                stack.enter_context(_hold_folder(common.output))
            _run_chapter(chapter, flags, common, seconds, started)
        except ClusterError as error:
            fail(error)
        except KeyboardInterrupt:
            fail("interrupted; --resume goes on from what was saved", termination.status)
    sys.exit(0)


def _workers(arguments: list[str]) -> tuple[int, list[str]]:
    """What `--workers` says, and the other arguments."""
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--workers", type=_bounded(int, 1, 64), default=1)
    found, rest = parser.parse_known_args(arguments)
    if found.workers > 1 and os.environ.get("TF_CONFIG"):
        fail("TF_CONFIG says who the workers are: leave --workers out, or unset TF_CONFIG")
    if {"-h", "--help"} & set(rest):
        return 1, rest
    return found.workers, rest


def fail(message: object, status: int = 2) -> NoReturn:
    """Prints one line on standard error and ends the program."""
    print("error: " + " ".join(str(message).split()), file=sys.stderr)
    sys.exit(status)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        fail(f"{message}; --help shows the flags")


def _parser(chapter) -> tuple[argparse.ArgumentParser, list[str]]:
    """Flags from the chapter's `main`, and those that every chapter has; the latter's names."""
    parser = _Parser(
        prog=f"python -m {chapter.__name__}",
        description=inspect.getdoc(chapter.main).partition("\n")[0],
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        allow_abbrev=False,
    )
    own = parser.add_argument_group("this chapter's")
    helps = dict(re.findall(r"^\s+(\w+): (.+)", inspect.getdoc(chapter.main), re.MULTILINE))
    for name, parameter in inspect.signature(chapter.main).parameters.items():
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            kind = _without_none(parameter.annotation)
            choices = get_args(kind) if get_origin(kind) is Literal else None
            bounds = BOUNDS.get(name, (0, math.inf))
            own.add_argument(
                f"--{name.replace('_', '-')}",
                type=type(choices[0]) if choices else _bounded(kind, *bounds),
                choices=choices,
                default=parameter.default,
                metavar=None if choices else kind.__name__.upper(),
                help=helps.get(name, name),
            )
    before = {action.dest for action in parser._actions}
    common = parser.add_argument_group("every chapter's")
    on = {"action": "store_true"}
    common.add_argument("--loop", choices=("tape", "fit"), default="tape",
                        help="the book's loop, or model.fit on the same batches")  # fmt: skip
    common.add_argument("--jit", choices=("auto", "on", "off"), default="auto",
                        help="compile the steps with XLA")  # fmt: skip
    common.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto",
                        help="where to compute; auto takes a GPU if there is one")  # fmt: skip
    common.add_argument("--mixed-precision", choices=("off", "float16", "bfloat16"), default="off",
                        help="compute in 16 bits, for GPUs made for it")  # fmt: skip
    common.add_argument("--devices", type=_bounded(int, 1, 64), default=None, metavar="N",
                        help="share every batch among so many GPUs or CPU parts")  # fmt: skip
    common.add_argument("--workers", type=_bounded(int, 1, 64), default=1, metavar="N",
                        help="share it among so many processes on the CPU")  # fmt: skip
    common.add_argument("--output", type=Path, metavar="DIR",
                        default=Path("runs") / chapter.__name__.rpartition(".")[2],
                        help="folder for report, pictures and model")  # fmt: skip
    common.add_argument("--tensorboard", **on, help="write logs for TensorBoard there too")
    common.add_argument("--resume", **on, help="go on with the run in the output folder")
    common.add_argument("--quick", **on, help="one epoch on 512 examples, to try things out")
    common.add_argument("--quiet", **on, help="print nothing but errors")
    return parser, [action.dest for action in parser._actions if action.dest not in before]


def _without_none(kind):
    """`int` for `int | None`; a kind that does not allow None is unchanged."""
    kinds = get_args(kind)
    return kinds[kinds[0] is type(None)] if type(None) in kinds else kind


def _bounded(kind, lowest, highest):
    """`kind`, int or float, but an error outside of the bounds; anything else unchanged."""
    if kind not in (int, float):
        return kind

    def convert(text: str):
        value = kind(text)
        if not lowest <= value <= highest or value == math.inf:
            raise argparse.ArgumentTypeError(f"must be from {lowest} to {highest}, not {text}")
        return value

    convert.__name__ = kind.__name__  # argparse says "invalid int value: 'x'"
    return convert


def _run_chapter(chapter, flags: dict, common, seconds: dict, started: float) -> None:
    name = chapter.__name__.rpartition(".")[2]
    folder = common.output
    if common.quick:
        defaults = {n: p.default for n, p in inspect.signature(chapter.main).parameters.items()}
        flags |= {n: v for n, v in QUICK.items() if n in flags and flags[n] == defaults[n]}

    from kerasbook.data import DataError
    from kerasbook.training import Interrupted, NonFiniteLoss, devices

    import keras
    import tensorflow as tf

    device = _device(common.device)
    print(_title(chapter.__doc__))
    if common.cluster:
        others = (each for each in common.cluster.workers if each != common.cluster.address)
        print(f"waiting for the other workers: {', '.join(others)}", flush=True)
    try:
        strategy = devices.make_strategy(common.devices, common.cluster)
    except (ClusterError, RuntimeError, tf.errors.OpError) as error:
        fail(f"cannot reach the devices or the other workers: {error}")
    termination.handle_again()
    if strategy is not None:
        device += f"; {strategy.num_replicas_in_sync} replicas"
    print(device)
    if common.mixed_precision != "off":
        keras.config.set_dtype_policy(f"mixed_{common.mixed_precision}")
    logs = [keras.callbacks.TensorBoard(str(folder / "tensorboard"), profile_batch=0)]
    options = {
        "loop": common.loop,
        "jit": common.jit,
        "progress": "none" if common.quiet or not common.is_chief else "auto",
        "checkpoint": folder / "checkpoint",
        "resume": common.resume,
        "callbacks": logs if common.tensorboard and common.is_chief else [],
    }
    report = {
        "chapter": name,
        "dataset": flags.get("dataset"),
        "loop": common.loop,
        "seed": flags.get("seed"),
        "parameters": flags,
        "jit": common.jit,
        "mixed_precision": common.mixed_precision,
        "device": device,
        "versions": _versions(),
    }
    save = _save if common.is_chief else lambda *_: []  # the other workers write nothing
    try:
        if common.is_chief:
            _check_resumed_flags(folder, report, common.resume)
        try:
            with contextlib.nullcontext() if strategy is None else strategy.scope():
                result = chapter.main(**flags, **options)
        except NonFiniteLoss as error:
            save(folder, report | {"finished": False, "error": str(error)}, error.history)
            fail(error, 1)
        except Interrupted as stop:
            save(folder, report | {"finished": False}, stop.history, stop.model)
            message = f"{stop}; the model so far is in {folder}, and --resume goes on"
            fail(message, termination.status)
        seconds["data"] = result.splits.seconds
        seconds["train"] = result.history.seconds
        seconds["total"] = time.perf_counter() - started
        report |= {"dataset": result.splits.name, "finished": True}
        report |= {"scores": result.scores, "seconds": seconds}
        files = save(folder, report, result.history, result.model, result.figures)
    except (DataError, CheckpointError, ValueError) as error:
        fail(error)
    except tf.errors.OpError as error:
        if common.cluster is None:
            raise
        reason = re.search(r"aborted by: (.*)", str(error))
        if reason is None:
            raise
        fail(f"a worker was lost: {reason[1]} --resume goes on from what {folder} holds", 1)
    except OSError as error:
        fail(
            f"cannot write into {folder}: {error.strerror or error}; make room and go on with "
            "--resume, or choose another folder with --output"
        )
    is_default = not common.quick and _is_default(chapter.main, flags)
    print(_score_lines(name, result.splits.name, result.scores, is_default))
    print("  ".join(f"{part} {value:.1f} s" for part, value in seconds.items()))
    print(f"files in {folder}: {', '.join(files)}")


def _check_resumed_flags(folder: Path, report: dict, resume: bool) -> None:
    """A run goes on only with the flags it began with; the number of epochs may be another."""
    file = folder / "checkpoint" / "flags.json"
    flags = {**report["parameters"], "mixed_precision": report["mixed_precision"]}
    flags.pop("epochs", None)
    if resume and file.exists():
        try:
            began = dict(json.loads(file.read_text()))
        except (ValueError, TypeError):
            fail(f"{file} is damaged: delete it, and take the flags that the run began with")
        for name, value in flags.items():
            if began.get(name) != value:
                there, here = began.get(name), value
                flag = name.replace("_", "-")
                fail(f"{folder} holds a run with --{flag} {there}, not {here}: take the same")
    elif resume:
        print(f"nothing to resume in {folder}: starting anew")
    else:  # else a run that is killed before its own first checkpoint would go on from these
        for path in file.parent.glob("*.npz"):
            path.unlink()
    with atomic_path(file) as temporary:
        temporary.write_text(json.dumps(flags) + "\n")


@contextlib.contextmanager
def _hold_folder(folder: Path):
    """Makes the folder, and keeps other runs from writing there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        fail(f"cannot write into {folder}: {error.strerror}; choose another folder with --output")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_run_in(folder))
            remove_unfinished(folder)
        except FolderInUse as error:
            fail(error)
        yield


def _save(folder: Path, report: dict, history, model=None, figures=None) -> list[str]:
    """Writes every file whole or not at all; the report comes last and names the others."""
    from kerasbook import plotting

    files = []
    with atomic_path(folder / "history.csv") as temporary:
        with open(temporary, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", *history.history])
            numbered = [epoch + 1 for epoch in history.epoch]
            writer.writerows(itertools.zip_longest(numbered, *history.history.values()))
    files.append("history.csv")
    if model is not None:
        with atomic_path(folder / "model.keras") as temporary:
            model.save(temporary)
        files.append("model.keras")
    for name, figure in (figures or {}).items():
        plotting.save(figure, folder / f"{name}.png")
        files.append(f"{name}.png")
    report |= {
        "epochs": len(history.epoch),
        "history": history.history,
        "memory_mb": peak_memory() // 2**20 or None,
        "files": [*files, "report.json"],
    }
    with atomic_path(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(_without_nan(report), indent=1, default=str) + "\n")
    return report["files"]


def _without_nan(value):
    """The same with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {name: _without_nan(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _score_lines(name: str, dataset, scores: dict, is_default: bool) -> str:
    """The scores, each with the band that it should lie in."""
    bands = load_results().get(name, {}).get(dataset, {}).get("scores", {})
    lines = []
    for part, values in scores.items():
        for metric, value in values.items():
            line = f"{part} {metric} {value:.4g}"
            band = bands.get(part, {}).get(metric)
            if band and is_default:
                low, high = band["band"]
                where = "inside" if low <= value <= high else "OUTSIDE"
                line += (
                    f"  ({where} the band {low:.4g} to {high:.4g} of {len(band['values'])} seeds)"
                )
            elif band:
                line += f"  (default settings: {band['mean']:.4g} ± {band['sd']:.2g})"
            lines.append(line)
    return "\n".join(lines)


def load_results() -> dict:
    """Returns results.json: per chapter and data set, five seeds' scores and their bands."""
    file = resources.files("kerasbook") / "results.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def _is_default(main, flags: dict) -> bool:
    parameters = inspect.signature(main).parameters
    return all(parameters[n].default == v for n, v in flags.items() if n not in WHICH_BAND)


def _device(wanted: str) -> str:
    """Chooses the device before anything is computed; returns what is printed of it."""
    import tensorflow as tf

    if wanted == "cpu":
        tf.config.set_visible_devices([], "GPU")
    gpus = tf.config.get_visible_devices("GPU")
    if wanted == "gpu" and not gpus:
        fail(NO_GPU)
    for gpu in gpus:  # takes the card's memory as it is needed, not all of it
        tf.config.experimental.set_memory_growth(gpu, True)
    names = [tf.config.experimental.get_device_details(gpu).get("device_name") for gpu in gpus]
    where = f"GPU {', '.join(map(str, names))}" if gpus else f"CPU, {os.cpu_count()} cores"
    versions = _versions()
    return f"{where}; TensorFlow {versions['tensorflow']}, Keras {versions['keras']}"


def _versions() -> dict[str, str]:
    import keras
    import numpy
    import tensorflow as tf

    return {
        "kerasbook": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": numpy.__version__,
    }


def _title(docstring: str) -> str:
    return docstring.strip().partition("\n")[0].lstrip("# ")


# --- standard output that may go away -----------------------------------------------------


@contextlib.contextmanager
def _output_that_may_go_away():
    """Lets the run go on, and save, where nobody takes what it prints: `>&-`, `| head -1`."""
    for number in (0, 1, 2):  # else the next file to be opened would be standard output
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    output, errors = _Patient(sys.stdout), _Patient(sys.stderr)
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            yield
        finally:
            output.flush()
            if output.error and not isinstance(output.error, BrokenPipeError):
                print(f"warning: not all was printed: {output.error.strerror}", file=sys.stderr)
            errors.flush()


class _Patient:
    """A stream that drops what cannot be written; `error` is the first reason."""

    def __init__(self, stream):
        self.stream = stream or open(os.devnull, "w")  # noqa: SIM115
        self.error: OSError | None = None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        self._try(self.stream.write, text)
        return len(text)

    def flush(self):
        self._try(self.stream.flush)

    def _try(self, action, *arguments):
        try:
            action(*arguments)
        except OSError as error:
            self.error = self.error or error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.stream.fileno())  # takes what the stream still holds
            os.close(nowhere)
