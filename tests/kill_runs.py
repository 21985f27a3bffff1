"""Kills runs with SIGKILL at random moments, resumes them, and compares the end.

    python tests/kill_runs.py --kills 50

A moment is a phase of the run (importing, data, building, tracing, a first epoch, the first steps
after another epoch, validation, saving, scores, report), one of its occurrences, and a random
part of the time that it took in an untouched run. The killed run is resumed, and in part killed
again; in the end everything that it leaves must be what the untouched run leaves, and no other
file. Importing TensorFlow takes longer than all the rest: one process does it, and each run is
a fork of that one; only the kills while importing are of programs of their own.
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

import numpy as np

HERE = Path(__file__).resolve().parent
PHASES = (
    *("data", "building", "tracing", "first epoch", "later epoch", "validation", "saving"),
    *("scores", "report"),
)


# --- runs in processes of their own -------------------------------------------------------


def server():
    """Makes processes by forking one that has imported TensorFlow, and has not yet used it."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, sys.path)])
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kerasbook.chapter1", "small_chapter", "kill_runs"])
    return context


def run_small_chapter(arguments, log, marks=None):
    """What a killable process does: the small chapter, saving at every opportunity."""
    sys.stdout = sys.stderr = open(log, "a")  # noqa: SIM115
    os.dup2(sys.stderr.fileno(), 2)
    from kerasbook import checkpoint, loops, runner, training

    import small_chapter

    checkpoint.SECONDS_BETWEEN_SAVES, checkpoint.SHARE_OF_TIME = 0.01, 1e9
    loops.SECONDS_PER_CALL = 0.002
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

        recorder, saved = training._Recorder, checkpoint.Checkpoint
        recorder.on_epoch_begin = marked(recorder.on_epoch_begin, epoch)
        recorder.on_test_begin = lambda self, logs=None: marks.send("validation")
        saved.save = marked(saved.save, "saving", lambda self, history, *_: "later epoch")
        runner._save = marked(runner._save, "report")
    runner.run("small_chapter", [str(argument) for argument in arguments])


class Runs:
    """Starts runs in one folder after the other."""

    def __init__(self, folder: Path):
        self.folder, self.context = folder, server()

    def flags(self, name, resume):
        return ["--output", self.folder / name, "--jit", "off", *["--resume"][: int(resume)]]

    def start(self, name, resume=False, marks=None):
        """The process of a run."""
        arguments = self.flags(name, resume), self.folder / f"{name}.log", marks
        process = self.context.Process(target=run_small_chapter, args=arguments)
        process.start()
        return process

    def whole(self, name, resume=False):
        """Runs to the end; stops the program if that fails."""
        process = self.start(name, resume)
        process.join(120)
        if process.exitcode != 0:
            process.kill()
            sys.exit(f"{name} ended with {process.exitcode}:\n{self.log(name)}")

    def log(self, name) -> str:
        return (self.folder / f"{name}.log").read_text()

    def timeline(self, name):
        """How long each phase of an untouched run took: phase → seconds of each occurrence."""
        receive, send = self.context.Pipe(duplex=False)
        process = self.start(name, marks=send)
        send.close()
        times = []
        while True:
            try:
                times.append((receive.recv(), time.monotonic()))
            except EOFError:
                break
        ended = time.monotonic()
        process.join()
        if process.exitcode != 0:
            sys.exit(f"the untouched run ended with {process.exitcode}:\n{self.log(name)}")
        found = collections.defaultdict(list)
        for (phase, at), (_, until) in zip(times, [*times[1:], (None, ended)], strict=True):
            found[phase].append(until - at)
        return found

    def killed(self, name, resume, phase, occurrence, delay) -> bool:
        """Runs until the phase has begun so many times, and so long; False: it ended before."""
        receive, send = self.context.Pipe(duplex=False)
        process = self.start(name, resume, send)
        send.close()
        left = occurrence
        try:
            while left:
                left -= receive.recv() == phase
            time.sleep(delay)
        except EOFError:
            pass
        process.kill()
        process.join()
        return process.exitcode == -signal.SIGKILL

    def killed_while_importing(self, name, resume, delay) -> bool:
        """The same for a program that begins from nothing."""
        program = [sys.executable, __file__, "--run", *map(str, self.flags(name, resume))]
        process = subprocess.Popen(program, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        time.sleep(delay)
        process.kill()
        return process.wait() == -signal.SIGKILL


# --- what a run leaves --------------------------------------------------------------------


def left_by(folder: Path) -> dict:
    """Everything that a run leaves and that does not depend on the clock."""
    import h5py

    found = {"files": sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))}
    found["files"] = [name for name in found["files"] if not name.endswith(".npz")]
    for name in ("first", "second"):
        newest = max(folder.glob(f"checkpoint/{name}.*.npz"))
        with np.load(newest) as file:
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


def differences(a: dict, b: dict) -> list[str]:
    """The names under which two runs left something else: to the last bit."""
    same = [
        name
        for name in a.keys() & b.keys()
        if (
            a[name].tobytes() == b[name].tobytes()
            if hasattr(a[name], "tobytes")
            else a[name] == b[name]
        )
    ]
    return sorted({*a, *b} - set(same))


# --- the program --------------------------------------------------------------------------


def kill(kills: int, seed: int, folder: Path) -> None:
    """Kills so many times; ends the program with 1 if a resumed run ends otherwise."""
    runs, chance = Runs(folder), random.Random(seed)
    seconds = runs.timeline("untouched")
    expected = left_by(folder / "untouched")
    done, trial, resumed = collections.Counter(), 0, 0
    while done.total() < kills:
        name, alive = f"run {trial}", False
        while True:
            phase = chance.choice(PHASES) if alive else PHASES[trial % len(PHASES)]
            occurrence = chance.randrange(len(seconds[phase]))
            delay = chance.random() * seconds[phase][occurrence]
            died = runs.killed(name, alive, phase, occurrence + 1, delay)
            done[phase] += died
            moment = f"{phase} {occurrence + 1}, after {1000 * delay:.0f} ms"
            print(f"{name}: {'killed in ' + moment if died else 'ended before ' + moment}")
            alive = True
            if not died or done.total() == kills or chance.random() < 0.6:
                break
        runs.whole(name, resume=True)
        resumed += 1
        wrong = differences(left_by(folder / name), expected)
        if wrong:
            sys.exit(f"{name} in {folder} differs from the untouched run: {', '.join(wrong[:5])}")
        shutil.rmtree(folder / name)
        trial += 1
    table = ", ".join(f"{phase} {done[phase]}" for phase in PHASES)
    print(
        f"{done.total()} kills ({table}); {resumed} of {resumed} runs ended like the untouched one"
    )


def main():
    """The command line."""
    if sys.argv[1:2] == ["--run"]:
        run_small_chapter(sys.argv[2:], os.devnull)
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        kill(options.kills, options.seed, Path(folder))


if __name__ == "__main__":
    main()
