"""Interrupted, killed, full disk: what a run leaves, and that it goes on from there.

Runs that are to be killed, or that get other limits and users than this process, are forks of one
that has imported TensorFlow (see kill_runs.py).
"""

import json
import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

from kerasbook import runner
from kerasbook.files import FolderInUse, only_run_in
from kerasbook.training import checkpoint
from kerasbook.training.checkpoint import Checkpoint, CheckpointError

import kill_runs
import numpy as np
import pytest

# --- checkpoints --------------------------------------------------------------------------


class Variable:
    def __init__(self, values):
        self.values = np.array(values)
        self.shape = self.values.shape

    def __array__(self, dtype=None, copy=None):
        return self.values

    def assign(self, values):
        self.values = values.copy()


def make_checkpoint(folder, value=0.0):
    """A checkpoint of a model of 1000 weights, all of this value."""
    variables = [Variable(np.full((4, 250), float(value))), Variable(np.int64(value))]
    optimizer = SimpleNamespace(variables=variables[1:])
    model = SimpleNamespace(
        name="small", variables=variables[:1], optimizer=optimizer, stop_training=False
    )
    return Checkpoint(folder, model, [], {"seed": 0})


def make_history(epochs):
    history = {"loss": [0.1] * epochs}
    return SimpleNamespace(history=history, epoch=list(range(epochs)), seconds=0.0)


def save_epochs(folder, epochs):
    """Saves after each epoch weights that are the epoch's number; returns the files."""
    for epoch in range(1, epochs + 1):
        saved = make_checkpoint(folder, epoch)
        saved.save(make_history(epoch))
    return saved.files()


def restored(folder):
    """(epochs done, weights) that a new process would find."""
    saved, history = make_checkpoint(folder), make_history(0)
    epochs = saved.restore(history)
    return epochs, saved.model.variables[0].values


def test_the_last_two_are_kept_and_the_number_tells_not_the_clock(tmp_path, monkeypatch):
    monkeypatch.setattr(time, "time", lambda: 0.0)  # 1970
    files = save_epochs(tmp_path, 12)
    assert [path.name for path in files] == ["small.000011.npz", "small.000012.npz"]
    assert sorted(tmp_path.iterdir()) == files
    os.utime(files[1], (0, 0))
    epochs, weights = restored(tmp_path)
    assert epochs == 12
    assert (weights == 12).all()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: b"",
        lambda content: bytes(len(content)),
        lambda content: content.replace(np.full(5, 3.0).tobytes(), np.full(5, 4.0).tobytes(), 1),
        lambda content: content.replace(b"(4, 250)", b"(1, 250)"),
        lambda content: content.replace(b"variable 1.npy", b"variable 9.npy"),
    ],
    ids=["truncated", "empty", "zeroed", "weights changed", "shape changed", "name changed"],
)
def test_a_damaged_newest_falls_back_with_a_warning_that_names_both(damage, tmp_path, capsys):
    before, newest = save_epochs(tmp_path, 3)
    newest.write_bytes(damage(newest.read_bytes()))
    epochs, weights = restored(tmp_path)
    assert epochs == 2
    assert (weights == 2).all()
    warning = capsys.readouterr().err
    assert warning.startswith(f"warning: {newest} is damaged (")
    assert f"going on from {before}" in warning
    assert warning.count("\n") == 1


def test_a_damaged_one_gives_way_to_the_next_and_the_good_one_stays(tmp_path):
    before, newest = save_epochs(tmp_path, 2)
    newest.write_bytes(b"damaged")
    saved, history = make_checkpoint(tmp_path), make_history(0)
    saved.restore(history)
    saved.save(history)
    assert saved.files() == [before, tmp_path / "small.000003.npz"]


def test_all_damaged_is_an_error_with_the_remedy(tmp_path):
    for path in save_epochs(tmp_path, 2):
        path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match="no other: run again without --resume"):
        restored(tmp_path)


def test_one_of_an_older_version_is_refused_with_a_clear_line(tmp_path):
    (tmp_path / "small.npz").write_bytes(b"old")
    with pytest.raises(CheckpointError, match=r"another version .* run again without --resume"):
        restored(tmp_path)


def test_whatever_bit_is_flipped_the_weights_are_those_of_an_epoch(tmp_path, capsys):
    _, newest = save_epochs(tmp_path, 2)
    content, random = newest.read_bytes(), np.random.default_rng(0)
    epochs = []
    contents = range(len(content) - 450, len(content))  # the list of the arrays, and its end
    for place in [*random.integers(0, len(content), 100), *contents]:
        damaged = bytearray(content)
        damaged[place] ^= 1 << random.integers(0, 8)
        newest.write_bytes(damaged)
        done, weights = restored(tmp_path)
        assert (weights == done).all()
        epochs.append(done)
    assert {1, 2} == set(epochs)  # some bits mean nothing: dates, permissions
    assert epochs.count(1) > 300


def test_a_slow_disk_is_asked_less_often(monkeypatch, tmp_path):
    saved = make_checkpoint(tmp_path)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    saved.saved_at = now
    now += 1.9
    assert not saved.is_due()
    now += 0.2
    assert saved.is_due()
    saved.save_took = 0.1
    assert not saved.is_due()
    now += 3
    assert saved.is_due()


# --- one run in a folder ------------------------------------------------------------------


def test_a_folder_belongs_to_one_run_until_its_process_ends(tmp_path):
    hold = "import sys, pathlib, time; from kerasbook.files import only_run_in\n"
    hold += "with only_run_in(pathlib.Path(sys.argv[1])): print('held', flush=True); time.sleep(99)"
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout.readline() == "held\n"
        message = rf"another run \(pid {other.pid}\) is writing into"
        try:
            with pytest.raises(FolderInUse, match=message), only_run_in(tmp_path):
                pass
        finally:
            other.kill()
    assert os.listdir(tmp_path) == [".lock"]  # what the killed one left holds nobody up
    with only_run_in(tmp_path), pytest.raises(FolderInUse), only_run_in(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


# --- runs in processes of their own -------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Runs of one small model; a fork of a process that has imported TensorFlow."""
    return kill_runs.Runs(tmp_path_factory.mktemp("runs"), ["--models", "1", "--epochs", "2"])


@pytest.fixture(scope="module")
def expected(runs):
    """What an untouched run leaves."""
    return runs.whole("untouched")


def check_resumed(runs, name, expected):
    assert kill_runs.differences(runs.whole(name, resume=True), expected) == []


def last_line(runs, name):
    return runs.log(name).strip().rpartition("\n")[2]


def test_a_killed_run_ends_like_an_untouched_one(runs, expected):
    assert runs.stopped("killed", False, "saving", 5, 0.001) == -signal.SIGKILL
    check_resumed(runs, "killed", expected)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("workers", [1, 2])
def test_50_kills(workers, tmp_path):
    kill_runs.kill(50, 0, tmp_path, workers=workers)


def never_save():
    checkpoint.SECONDS_BETWEEN_SAVES = 1e9


@pytest.mark.parametrize(
    ("phase", "number"),
    [("later epoch", signal.SIGTERM), *(
        pytest.param(phase, number, marks=pytest.mark.slow)
        for phase in kill_runs.PHASES[1:]
        for number in (signal.SIGTERM, signal.SIGINT)
    )],
)  # fmt: skip
def test_a_signal_saves_and_has_its_exit_status(phase, number, runs, expected):
    name = f"signal {number} in {phase}"
    status = runs.stopped(name, False, phase, 1, 0.0, number, prepare=never_save)
    assert status == 128 + number
    assert last_line(runs, name).startswith("error: interrupted")
    assert "--resume goes on" in last_line(runs, name)
    if "epoch" in phase or phase == "validation":
        newest = max((runs.folder / name).glob("checkpoint/*.npz"))
        with np.load(newest) as file:
            state = json.loads(str(file["state"]))
        if state["within"] is None:  # the epoch came to its end before the signal was heard
            assert len(state["epoch"]) == 1 + (phase == "later epoch")
        else:
            assert len(state["epoch"]) == (phase == "later epoch")
            assert state["within"]["step"] > 0
    check_resumed(runs, name, expected)


def little_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, resource.RLIM_INFINITY))


def test_without_room_a_run_says_so_and_goes_on_later(runs, expected):
    assert runs.run("no room", prepare=little_room) == 2
    message = last_line(runs, "no room")
    assert message.startswith(f"error: cannot write into {runs.folder / 'no room'}: File too large")
    assert "make room and go on with --resume" in message
    assert not list((runs.folder / "no room").rglob(".*"))
    check_resumed(runs, "no room", expected)


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [4, 16, 24, 28, 40, 60, 80])
def test_a_full_disk(kilobytes, runs, expected):
    folder = runs.folder / "full disk"
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("may not mount a small disk")
    try:
        assert runs.run("full disk", resume=True) == 2
        message = last_line(runs, "full disk")
        assert message.startswith(f"error: cannot write into {folder}: No space left on device")
        assert not list(folder.rglob(".*"))
        subprocess.run(["mount", "-o", "remount,size=10m", str(folder)], check=True)
        check_resumed(runs, "full disk", expected)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def clock_set_back():
    started, now = time.monotonic(), time.time()
    time.time = lambda: now - 1e4 * (time.monotonic() - started)  # it even runs backwards


def closed_output():
    for number in (0, 1, 2):
        os.close(number)
    sys.stdin = sys.stdout = sys.stderr = None


def output_that_nobody_reads():
    reading, writing = os.pipe()
    os.close(reading)
    for number in (1, 2):
        os.dup2(writing, number)


def full_output():
    os.dup2(os.open("/dev/full", os.O_WRONLY), 1)


@pytest.mark.parametrize(
    "prepare",
    [output_that_nobody_reads, *(
        pytest.param(each, marks=pytest.mark.slow)
        for each in (clock_set_back, closed_output, full_output)
    )],
)  # fmt: skip
def test_a_run_that_nobody_watches_ends_like_another(prepare, runs, expected):
    name = prepare.__name__
    assert runs.run(name, prepare=prepare) == 0
    assert kill_runs.differences(kill_runs.left_by(runs.folder / name), expected) == []
    if prepare is full_output:
        assert last_line(runs, name) == "warning: not all was printed: No space left on device"
    elif prepare is not clock_set_back:
        assert runs.log(name) == ""


def test_two_runs_in_one_folder(tmp_path, capsys):
    (tmp_path / ".unfinished-1-model.keras").write_text("of the first run")
    with only_run_in(tmp_path), pytest.raises(SystemExit) as caught:
        runner.run("kerasbook.chapter1", ["--output", str(tmp_path)])
    assert caught.value.code == 2
    message = f"error: another run (pid {os.getpid()}) is writing into {tmp_path}: "
    assert capsys.readouterr().err.startswith(message)
    assert os.listdir(tmp_path) == [".unfinished-1-model.keras"]


@pytest.mark.parametrize(
    "command",
    [
        "from kerasbook.runner import run; run('kerasbook.chapter1', ['--help'])",
        "from kerasbook.cli import app; app(['list'])",
    ],
)
def test_without_a_home_a_program_makes_no_folder_of_the_name_of_a_tilde(command, tmp_path):
    lines = """
        import os, pwd
        def nobody(number): raise KeyError(number)
        pwd.getpwuid = nobody
        os.environ.pop("HOME", None)
        assert os.path.expanduser("~/.keras") == "~/.keras"
        import kerasbook
        print(os.environ.get("HOME"))
        try:
            {command}
        except SystemExit:
            print(os.path.expanduser("~/.keras"))
    """
    lines = textwrap.dedent(lines).format(command=command)
    program = [sys.executable, "-c", lines]
    done = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True, cwd=tmp_path)
    first, *_, last = done.stdout.splitlines()
    assert first == "None"  # importing the library changes nothing
    assert last == "/nonexistent/.keras"


def test_flags_that_are_damaged_are_one_line(tmp_path, capsys):
    (tmp_path / "checkpoint").mkdir()
    file = tmp_path / "checkpoint" / "flags.json"
    file.write_bytes(bytes(10))
    with pytest.raises(SystemExit) as caught:
        runner.run("kerasbook.chapter1", ["--output", str(tmp_path), "--resume"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {file} is damaged: delete it")


def test_a_new_run_does_not_go_on_from_the_old_ones_checkpoints(runs):
    folder = runs.folder / "anew" / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "third.000001.npz").write_bytes(b"of another run")
    assert runs.stopped("anew", False, "building", 1, 0.0) == -signal.SIGKILL
    assert sorted(os.listdir(folder)) == ["flags.json"]


# --- two workers --------------------------------------------------------------------------


def start_two(folder, *flags):
    """The small chapter, as a person starts it on two workers."""
    paths = [str(kill_runs.HERE), *filter(None, sys.path)]
    return subprocess.Popen(
        [sys.executable, "-m", "small_chapter", "--workers", "2", "--output", folder, *flags],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture(scope="module")
def two_untouched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    with start_two(folder) as started:
        error = started.communicate(timeout=200)[1]
    assert (started.returncode, error) == (0, "")
    return kill_runs.left_by(folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("victim", "number", "status", "message"),
    [
        (1, signal.SIGKILL, 1, r"error: worker 1 was lost \(killed by signal 9\); all have been"),
        (0, signal.SIGKILL, 137, r"error: worker 0 was lost \(killed by signal 9\); all have been"),
        (None, signal.SIGKILL, -9, ""),
        (None, signal.SIGTERM, 143, "error: interrupted after .* and --resume goes on"),
    ],
    ids=["worker killed", "chief killed", "launcher killed", "launcher terminated"],
)
def test_a_worker_that_dies_ends_the_others_and_resume_goes_on(
    victim, number, status, message, two_untouched, tmp_path
):
    with start_two(tmp_path) as started:
        while not list(tmp_path.glob("checkpoint/first.*.npz")):
            assert started.poll() is None
            time.sleep(0.05)
        found = subprocess.run(["pgrep", "-P", str(started.pid)], stdout=subprocess.PIPE, text=True)
        workers = sorted(map(int, found.stdout.split()))
        os.kill(started.pid if victim is None else workers[victim], number)
        error = started.communicate(timeout=30)[1]
    assert started.returncode == status
    assert re.search(message, error), error
    ends = time.monotonic() + 10
    while any(map(_runs, workers)) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not any(map(_runs, workers))

    with start_two(tmp_path, "--resume") as resumed:
        error = resumed.communicate(timeout=200)[1]
    assert (resumed.returncode, error) == (0, "")
    assert kill_runs.differences(kill_runs.left_by(tmp_path), two_untouched, 2) == []


def _runs(number):
    """Whether a process of this number runs."""
    try:
        return "State:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except FileNotFoundError:
        return False
