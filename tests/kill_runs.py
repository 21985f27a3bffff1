"""Kills runs with SIGKILL at random moments, resumes them, and compares the end.

    python tests/kill_runs.py --kills 50
    python tests/kill_runs.py --kills 50 --workers 2

A moment is a phase of the run (importing, data, building, tracing, a first epoch, the first steps
after another epoch, validation, saving, scores, report), one of its occurrences, and a random
part of the time that it took in an untouched run. The killed run is resumed, and in part killed
again; in the end everything that it leaves must be what the untouched run leaves, and no other
file. Importing TensorFlow takes longer than all the rest: one process does it, and each run is
a fork of that one; only the kills while importing are of programs of their own. Of two workers one
dies at the moment that was drawn, and the other a little later, as with `--workers 2`.
"""

import argparse
import collections
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kerasbook.cluster import _free_ports

import numpy as np

HERE = Path(__file__).resolve().parent
PHASES = (
    *("importing", "data", "building", "tracing", "first epoch", "later epoch", "validation"),
    *("saving", "scores", "report"),
)


# --- runs in processes of their own -------------------------------------------------------


def server():
    """Makes processes by forking one that has imported TensorFlow, and has not yet used it."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kerasbook.chapter1", "small_chapter", "kill_runs"])
    return context


def run_small_chapter(arguments, log, marks=None, prepare=None, config=None):
    """What a killable process does: the small chapter, saving at nearly every opportunity.

    `marks` takes the name of each phase as it begins; `prepare` is called before all; `config`
    is the environment variable TF_CONFIG of one of several workers.
    """
    if config is not None:
        os.environ["TF_CONFIG"] = config
    opened = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(opened, number)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    from kerasbook import runner
    from kerasbook.runner import report
    from kerasbook.training import checkpoint, fitting, loops

    import small_chapter

    checkpoint.SECONDS_BETWEEN_SAVES, checkpoint.SHARE_OF_TIME = 0.01, 1e9
    loops.SECONDS_PER_CALL = 0.002 if config is None else 0.1  # workers talk at every call
    if prepare is not None:
        prepare()
    if marks is not None:
        small_chapter.mark = marks.send

        def marked(function, phase, after=None):
            def call(self, *rest, **named):
                marks.send(phase(self, *rest) if callable(phase) else phase)
                result = function(self, *rest, **named)
                if after:
                    marks.send(after(self, *rest))
                return result

            return call

        def epoch(recorder, number, *_):
            return "later epoch" if number else "first epoch"

        recorder, saved = fitting._Recorder, checkpoint.Checkpoint
        recorder.on_epoch_begin = marked(recorder.on_epoch_begin, epoch)
        recorder.on_test_begin = lambda self, logs=None: marks.send("validation")
        saved.save = marked(saved.save, "saving", lambda self, history, *_: "later epoch")
        report.save = marked(report.save, "report")
    runner.run("small_chapter", [str(argument) for argument in arguments])


class Runs:
    """Starts runs in one folder after the other, each of one process or several workers."""

    def __init__(self, folder: Path, more=(), workers=1):
        self.folder, self.more, self.workers, self.context = folder, more, workers, server()

    def flags(self, name, resume=False):
        flags = ["--output", self.folder / name, "--jit", "off"]
        return [*flags, *self.more, *["--resume"][: int(resume)]]

    def start(self, name, resume=False, marks=None, prepare=None) -> list:
        """The processes of a run, the chief first."""
        configs: list = [None]
        if self.workers > 1:
            addresses = [f"localhost:{port}" for port in _free_ports(self.workers)]
            tasks = [{"type": "worker", "index": index} for index in range(self.workers)]
            configs = [json.dumps({"cluster": {"worker": addresses}, "task": t}) for t in tasks]
        processes = []
        for index, config in enumerate(configs):
            log = self.folder / (f"{name}.{index}.log" if index else f"{name}.log")
            arguments = self.flags(name, resume), log, None if index else marks, prepare, config
            processes.append(self.context.Process(target=run_small_chapter, args=arguments))
            processes[-1].start()
        return processes

    def end(self, processes, seconds) -> int:
        """Waits for the chief, kills what is left then; returns the chief's exit status."""
        processes[0].join(seconds)
        for process in processes[1:]:
            process.join(10 if processes[0].exitcode == 0 else 0)
        for process in processes:
            process.kill()
            process.join()
        return processes[0].exitcode

    def run(self, name, resume=False, prepare=None) -> int:
        """Runs to the end; returns the exit status."""
        return self.end(self.start(name, resume, prepare=prepare), 200)

    def whole(self, name, resume=False) -> dict:
        """Runs to the end, and returns what is left; stops the program if the run failed."""
        status = self.run(name, resume)
        if status != 0:
            sys.exit(f"{name} ended with {status}:\n{self.log(name)}")
        return left_by(self.folder / name)

    def log(self, name) -> str:
        return (self.folder / f"{name}.log").read_text()

    def timeline(self, name):
        """How long each phase of an untouched run took: phase → seconds of each occurrence."""
        receive, send = self.context.Pipe(duplex=False)
        processes = self.start(name, marks=send)
        send.close()
        times = []
        while True:
            try:
                times.append((receive.recv(), time.monotonic()))
            except EOFError:
                break
        ended = time.monotonic()
        status = self.end(processes, 20)
        if status != 0:
            sys.exit(f"the untouched run ended with {status}:\n{self.log(name)}")
        found = collections.defaultdict(list)
        for (phase, at), (_, until) in zip(times, [*times[1:], (None, ended)], strict=True):
            found[phase].append(until - at)
        return found

    def stopped(
        self,
        name,
        resume,
        phase,
        occurrence,
        delay,
        number=signal.SIGKILL,
        victim=0,
        later=0.0,
        prepare=None,
    ) -> int:
        """Sends a signal when the phase has begun so many times, and so long; the exit status.

        With several workers one is the victim, and the others are killed so much later.
        """
        receive, send = self.context.Pipe(duplex=False)
        processes = self.start(name, resume, send, prepare)
        send.close()
        left = occurrence
        try:
            while left:
                left -= receive.recv() == phase
            time.sleep(delay)
            if processes[victim].is_alive():
                os.kill(processes[victim].pid, number)
        except EOFError:
            pass
        return self.end(processes, later if self.workers > 1 else 100)

    def killed_while_importing(self, name, resume, delay) -> int:
        """The same for a program that begins from nothing."""
        program = [sys.executable, __file__, "--run", *map(str, self.flags(name, resume))]
        process = subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        return process.wait()


# --- what a run leaves --------------------------------------------------------------------


def left_by(folder: Path) -> dict:
    """Everything that a run leaves and that does not depend on the clock."""
    import h5py

    found = {"files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))}
    found["files"] = [name for name in found["files"] if not name.endswith(".npz")]
    saved = sorted((folder / "checkpoint").glob("*.npz"))
    newest = {path.name.partition(".")[0]: path for path in saved}
    for name, path in newest.items():
        with np.load(path) as file:
            found |= {f"{name} {key}": file[key] for key in file.files if key != "state"}
            state = json.loads(str(file["state"]))
        found[name] = {key: value for key, value in state.items() if key != "seconds"}
    report = json.loads((folder / "report.json").read_text())
    found |= {key: report[key] for key in ("scores", "history", "finished", "files")}
    with tempfile.TemporaryDirectory() as place:
        shutil.unpack_archive(folder / "model.keras", place, "zip")
        with h5py.File(Path(place) / "model.weights.h5") as file:
            weights = {}
            file.visititems(
                lambda key, value: (
                    weights.update({key: value[()]}) if isinstance(value, h5py.Dataset) else None
                )
            )
    return found | weights


def differences(a: dict, b: dict, workers: int = 1) -> list[str]:
    """The names under which two runs left something else: to the last bit.

    With several workers History is left out: a metric's sum within an epoch is saved as one number
    and put back in equal parts, so that its last digit may differ. The weights may not.
    """
    same = [
        name
        for name in a.keys() & b.keys()
        if (
            a[name].tobytes() == b[name].tobytes()
            if hasattr(a[name], "tobytes")
            else a[name] == b[name]
        )
    ]
    left_out = {"history", "first", "second"} if workers > 1 else set()
    return sorted({*a, *b} - set(same) - left_out)


# --- the program --------------------------------------------------------------------------


def kill(kills: int, seed: int, folder: Path, phases=PHASES, workers=1) -> None:
    """Kills so many times; ends the program with 1 if a resumed run ends otherwise."""
    smaller = [] if workers == 1 else ["--models", 1, "--epochs", 2]
    runs, chance = Runs(folder, smaller, workers), random.Random(seed)
    phases = [phase for phase in phases if phase != "importing" or workers == 1]
    seconds = runs.timeline("untouched")
    if "importing" in phases:
        started = time.monotonic()
        subprocess.run([sys.executable, "-c", "import kerasbook.chapter1"], check=True)
        seconds["importing"] = [time.monotonic() - started]
    expected = left_by(folder / "untouched")
    done, trial = collections.Counter(), 0
    while done.total() < kills:
        name, resume = f"run {trial}", False
        while True:
            phase = chance.choice(phases) if resume else phases[trial % len(phases)]
            occurrence = chance.randrange(len(seconds[phase]))
            delay = chance.random() * seconds[phase][occurrence]
            if phase == "importing":
                status = runs.killed_while_importing(name, resume, delay)
            else:
                victim, later = chance.randrange(workers), chance.random()
                moment = phase, occurrence + 1, delay
                status = runs.stopped(name, resume, *moment, victim=victim, later=later)
            if status not in (0, -signal.SIGKILL) and workers == 1:
                sys.exit(f"{name} ended with {status}:\n{runs.log(name)}")
            died = status != 0
            done[phase] += died
            moment = f"{phase} {occurrence + 1}, after {1000 * delay:.0f} ms"
            what = "killed in" if died else "ended before"
            print(f"{name}: {what} {moment}", flush=True)
            if not died or done.total() == kills or chance.random() < 0.6:
                break
            resume = True
        wrong = differences(runs.whole(name, resume=True), expected, workers)
        if wrong:
            sys.exit(f"{name} in {folder} differs from the untouched run: {', '.join(wrong[:5])}")
        shutil.rmtree(folder / name)
        trial += 1
    table = ", ".join(f"{phase} {done[phase]}" for phase in phases)
    print(f"{done.total()} kills ({table}); {trial} of {trial} runs ended like the untouched one")


def main():
    """The command line."""
    if sys.argv[1:2] == ["--run"]:
        run_small_chapter(sys.argv[2:], os.devnull)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kill(options.kills, options.seed, Path(folder), workers=options.workers)


if __name__ == "__main__":
    main()
