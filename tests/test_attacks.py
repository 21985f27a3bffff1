"""A hostile learner against the grader: each submission gets its status, and reaches nothing.

The submissions are in attacks/submissions.py. Each runs at isolation level 1, and at
level 2 with `-m slow`; after each an honest answer must get full points, no process may be left,
and the surroundings must be unchanged.
"""

import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

from kerasbook.grading import workers as workers_module
from kerasbook.grading.in_worker import InWorker
from kerasbook.grading.question import STATUSES, grade
from kerasbook.grading.readable import view
from kerasbook.grading.worker import sandbox
from kerasbook.grading.workers import Workers

import numpy as np
import pytest
from attacks import gated, softened
from attacks.submissions import ATTACKS, FULL

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="levels 1 and 2 are of Linux")

MEMORY = 2**30
EXERCISES = {"softened": softened.exercise, "gated": gated.exercise}
HONEST = """
import numpy as np

def softened(values, factor):
    return factor * np.tanh(values)
"""


@pytest.fixture(scope="module")
def decoys(tmp_path_factory):
    """What the attacks aim at: files, a process, listeners; and a folder for all boxes."""
    folder = tmp_path_factory.mktemp("decoy")
    for name in ("course", ".git"):
        (folder / name).mkdir()
    (folder / "secret.txt").write_text("expected 91827.5")
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    (folder / "course" / "gradebook.csv").write_text("name,points\nAda,4\n")
    boxes = Path(tempfile.mkdtemp(prefix="kb-"))  # short: the path of a socket has 107 letters
    victim = subprocess.Popen(["sleep", "1000"])
    abstract = b"\0kerasbook-decoy-%d" % os.getpid()
    listeners = []

    def listen(family, kind, address):
        listener = socket.socket(family, kind)
        listener.bind(address)
        if kind == socket.SOCK_STREAM:
            listener.listen()
        listener.setblocking(False)
        listeners.append(listener)
        return listener

    port = listen(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)).getsockname()[1]
    listen(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", port))
    sockets = Path(tempfile.mkdtemp(prefix="kb-"))
    listen(socket.AF_UNIX, socket.SOCK_DGRAM, str(sockets / "datagram"))
    listen(socket.AF_UNIX, socket.SOCK_STREAM, str(sockets / "stream"))
    listen(socket.AF_UNIX, socket.SOCK_DGRAM, abstract)
    names = {
        "DECOY": str(folder),
        "VICTIM": victim.pid,
        "PORT": port,
        "SOCKET": str(sockets / "datagram"),
        "STREAM": str(sockets / "stream"),
        "ABSTRACT": abstract,
        "BOOK": str(Path(sandbox.__file__).parents[2]),
        "LIBRARY": str(Path(np.__file__).parent / "matlib.py"),
    }
    yield SimpleNamespace(
        folder=folder, boxes=boxes, victim=victim, listeners=listeners, names=names
    )
    victim.kill()
    victim.wait()
    for listener in listeners:
        listener.close()
    for place in (boxes, sockets):
        subprocess.run(["rm", "-rf", place], check=True)


LEVELS = [
    pytest.param(1, id="level1"),
    # The same list again, at the price of another warm server: with `-m slow`.
    pytest.param(2, id="level2", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module", params=LEVELS)
def workers(request, decoys):
    """A warm server whose workers have one level of isolation; its boxes are among the decoys."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(decoys.boxes))
        with Workers(request.param, memory=MEMORY) as made:
            if made.level != request.param:
                pytest.skip(f"level {request.param}: {made.probed()['reasons']}")
            grade_source(made, HONEST)  # the first call of all is slower
            yield made


def without_tensorflow():
    """How a server is started that imports only NumPy, which is sooner done."""
    main = "import socket; server.main(socket.socket(fileno=int(sys.argv[2])))"
    return workers_module.START.partition("server.start")[0] + main


def grade_source(workers, source, name="softened", seconds=3.0):
    """The result and what was printed."""
    exercise = copy(EXERCISES[name])
    exercise.seconds = seconds
    with InWorker(workers, exercise, source) as solution:
        result = grade(exercise, solution, seed=5)
    return result, solution.output.decode(errors="replace")


def snapshot(folder):
    """A hash of names, modes, sizes, times and contents of all files of a folder."""
    digest = hashlib.sha256()
    for path in sorted([folder, *folder.rglob("*")]):
        found = path.lstat()
        digest.update(repr((str(path), found.st_mode, found.st_size, found.st_mtime_ns)).encode())
        if path.is_file():
            digest.update(path.read_bytes())
    return digest.hexdigest()


def processes_of(workers):
    """The server's forks: all processes that started with its home but itself."""
    home = b"\0HOME=%s\0" % workers._home.encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if home in b"\0" + path.read_bytes():
                found.append(int(path.parent.name))
    assert workers._server.pid in found  # else nothing can be seen here
    return [one for one in found if one != workers._server.pid]


def heard(decoys):
    """Whether a listener got anything."""
    for listener in decoys.listeners:
        try:
            if listener.type == socket.SOCK_STREAM:
                listener.accept()
            else:
                listener.recv(100)
        except BlockingIOError:
            continue
        return listener
    return None


def eventually(condition, seconds=5.0):
    """Whether a condition holds within some time."""
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.02)
    return condition()


def test_the_attacks_are_many_and_each_has_its_name_and_a_status():
    assert len(ATTACKS) >= 60
    assert len({one.name for one in ATTACKS}) == len(ATTACKS)
    assert all(set(one.required) <= set(STATUSES) - {"internal"} for one in ATTACKS)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_gets_its_status_and_reaches_nothing(attack, workers, decoys, monkeypatch):
    monkeypatch.chdir(decoys.folder)
    aims = "".join(f"{name} = {value!r}; " for name, value in decoys.names.items())
    before = snapshot(decoys.folder)
    started = time.monotonic()
    result, printed = grade_source(
        workers, f"{aims}\n{attack.source}", attack.exercise, attack.seconds
    )
    took = time.monotonic() - started

    started = time.monotonic()
    honest, _ = grade_source(workers, HONEST, seconds=20)
    overhead = time.monotonic() - started

    assert result.status in attack.required, (result.message, printed)
    assert result.points == attack.points
    assert result.max_points == FULL
    assert any(one in result.message for one in attack.told)
    assert attack.printed in printed
    assert all(one.isprintable() or one in "\n\t" for one in result.message)
    assert len(result.message) <= 20_000
    assert took <= attack.seconds + 1 + 3 * overhead  # of an idle machine little, of a busy one not
    assert (honest.status, honest.points) == ("pass", FULL)
    assert snapshot(decoys.folder) == before
    assert decoys.victim.poll() is None
    assert heard(decoys) is None
    assert eventually(lambda: not processes_of(workers))
    assert os.listdir(decoys.boxes) == [Path(workers._home).name]
    assert eventually(lambda: not list(Path(workers._home).glob("box-*")), 30)


def test_nothing_is_left_for_the_next_question(workers, decoys):
    leaves = next(one for one in ATTACKS if one.name == "leaves_traces")
    grade_source(workers, f"DECOY = {str(decoys.folder)!r}\n{leaves.source}", seconds=20)
    result, printed = grade_source(
        workers,
        f"""
import builtins, os, sys
import keras, numpy as np, tensorflow as tf
assert "KERASBOOK_TRACE" not in os.environ and not hasattr(builtins, "TRACE")
assert {str(decoys.folder)!r} not in sys.path and os.umask(0) == 0o077
assert os.listdir() == [] and np.tanh(1.0) < 0.8
assert keras.mixed_precision.global_policy().name == "float32"
assert keras.backend.floatx() == "float32"
assert not tf.config.functions_run_eagerly()
{HONEST}""",
        seconds=20,
    )
    assert (result.status, result.points) == ("pass", FULL), (result.message, printed)


def test_honest_learners_beside_hostile_ones_get_their_points(workers):
    names = ("loop", "prints_for_ever", "raw_exit", "many_loops", "pass_to_every_descriptor")
    hostile = [one for one in ATTACKS if one.name in names]
    with ThreadPoolExecutor(4) as pool:
        attacking = [pool.submit(grade_source, workers, one.source, seconds=2) for one in hostile]
        honest = [pool.submit(grade_source, workers, HONEST, seconds=30) for _ in range(8)]
        assert [one.result()[0].points for one in honest] == [FULL] * 8
        for one, attack in zip(attacking, hostile, strict=True):
            assert one.result()[0].status in attack.required
            assert one.result()[0].points == 0


# What a worker could find out: it searches its memory and all that it may read.

MARK = 0.7182818 * 91827364.5  # in the expected values, and nowhere else
TWIST = (
    0x9E3779B97F4A7C15  # the searched number is compared by a product, so as not to be found itself
)

SEARCH = """
import glob, os, sys
import numpy as np

def found_in(data, twisted):
    count = 0
    with np.errstate(over="ignore"):
        for shift in range(8):
            words = np.frombuffer(data[shift : shift + (len(data) - shift) // 8 * 8], "uint64")
            count += int((words * np.uint64(TWIST) == np.uint64(twisted)).sum())
    return count

searched = []

def softened(values, factor):
    if searched:  # once is enough
        return values
    searched.append(True)
    counts, size = [0, 0, 0], 0
    with open("/proc/self/maps") as file:
        areas = [line.split() for line in file]
    with open("/proc/self/mem", "rb", 0) as memory:
        for place, rights, *rest in areas:
            start, end = (int(one, 16) for one in place.split("-"))
            if "r" not in rights or rest[-1].endswith((".so", "[vvar]")) or ".so." in rest[-1]:
                continue
            while start < end:
                try:
                    memory.seek(start)
                    piece = memory.read(min(end - start, 2**24))
                except OSError:
                    break
                if not piece:
                    break
                start, size = start + len(piece), size + len(piece)
                for number, twisted in enumerate(TWISTED):
                    counts[number] += found_in(piece, twisted)
    readable = []
    for pattern in PLACES:
        for path in glob.glob(pattern, recursive=True):
            try:
                with open(path, "rb") as file:
                    file.read(1)
                readable.append(path)
            except OSError:
                pass
    print("number", counts[0], "text", counts[1], "input", counts[2], "of", size >> 20, "MiB")
    print("readable", readable, "environment", any("91827" in one for one in os.environ.values()))
    return values
"""


def twisted(eight_bytes):
    return int.from_bytes(eight_bytes, "little") * TWIST % 2**64


def test_no_expected_value_is_in_a_workers_memory_or_view(workers, decoys, tmp_path):
    (tmp_path / "reference.txt").write_text(str(MARK))
    given = 2.718281828459045 * 5  # the search must find this one, which the worker is given
    exercise = softened.exercise
    marked = [
        replace(case, inputs={"values": np.array([given]), "factor": 1.0})
        for case in exercise.cases("public")
    ]
    places = [str(tmp_path / "**"), str(decoys.folder / "**"), f"{decoys.names['BOOK']}/**"]
    places += [
        f"{Path(__file__).parent}/**",
        f"{decoys.boxes}/**",
        "/tmp/*",
        "/dev/shm/*",
        "/root/*",
    ]
    values = [twisted(one.tobytes()) for one in (np.float64(MARK), np.frombuffer(b"@referen"))]
    values.append(twisted(np.float64(given).tobytes()))
    source = f"TWIST = {TWIST}; TWISTED = {values}; PLACES = {places}\n{SEARCH}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exercise, "seconds", 100.0)
        patch.setattr(exercise, "cases", lambda which, seed=0: marked)
        patch.setattr(
            exercise, "solution", SimpleNamespace(name="marked", function=lambda **inputs: MARK)
        )
        with InWorker(workers, exercise, source) as solution:
            result = grade(exercise, solution, seed=5)
    printed = solution.output.decode()
    assert result.status == "fail", result.message
    assert "number 0 text 0 input" in printed
    assert "input 0" not in printed  # it does find what is there
    assert "readable [] environment False" in printed


LOOK = """
import os, sys
import numpy as np

def softened(values, factor):
    left, right = b"qzres", b"ultsqz"  # joined they would find themselves
    with open("/proc/self/maps") as file:
        areas = [line.split() for line in file]
    found = 0
    with open("/proc/self/mem", "rb", 0) as memory:
        for place, rights, *rest in areas:
            start, end = (int(one, 16) for one in place.split("-"))
            if rights.startswith("rw"):
                memory.seek(start)
                data = memory.read(end - start)
                at = data.find(left)
                while at >= 0:
                    at += len(left)
                    found += data[at : at + len(right)] == right
                    at = data.find(left, at)
    told = " ".join([*sys.orig_argv, *sys.argv, *os.environ.values(), *sys.path, os.getcwd()])
    print("in memory", found, "told", (left + right).decode() in told)
    return values
"""


@pytest.fixture(params=[1, 2], ids=["level1", "level2"])
def results(request, tmp_path, monkeypatch):
    """Workers of a level, from which a folder of results is hidden; the folder."""
    monkeypatch.setattr(workers_module, "START", without_tensorflow())
    out = tmp_path / "qzresultsqz"
    for name in ("feedback/ada.html", "records/ada.json", "grades.csv"):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("4 of 4")
    with Workers(request.param, hidden=[out]) as made:
        if made.level != request.param:
            pytest.skip(f"level {request.param}: {made.probed()['reasons']}")
        yield made, out


def test_a_worker_is_not_told_of_the_teachers_folders(results):
    made, out = results
    result, printed = grade_source(made, LOOK, seconds=60)
    assert result.status == "fail", result.message
    assert printed.startswith("in memory 0 told False")
    _, printed = grade_source(made, f"x = {out.name!r}\n" + LOOK, seconds=60)
    assert not printed.startswith("in memory 0")  # it does find what is there


def test_at_level_1_the_results_of_others_cannot_even_be_seen(results):
    made, out = results
    paths = [str(one) for one in (out, *out.rglob("*"), out.parent, "/etc/passwd")]
    source = f"""
import os
def softened(values, factor):
    found = []
    for path in {paths}:
        try:
            found.append((os.path.basename(path), os.stat(path).st_size))
        except FileNotFoundError:
            pass
    print("found", found, os.listdir())
    return values
"""
    result, printed = grade_source(made, source, seconds=20)
    assert result.status == "fail", result.message
    if made.level == 1:
        assert printed.startswith("found [] []")
    else:  # docs/isolation.md says so
        assert "('ada.html', 6)" in printed


def test_the_book_and_hidden_folders_are_in_no_readable_path(tmp_path, monkeypatch):
    environment = tmp_path / "course" / "lib" / "python3" / "site-packages"
    for name in ("numpy", "kerasbook/exercises", "keys"):
        (environment / name).mkdir(parents=True)
    (tmp_path / "course" / "submissions").mkdir()
    (environment / "upward").symlink_to(tmp_path / "course")  # must not go round for ever
    checkout = tmp_path / "checkout"
    (checkout / "kerasbook").mkdir(parents=True)
    (checkout / ".git").mkdir()
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "course"))  # the course's folder is a venv
    monkeypatch.setattr(sys, "path", [str(environment), str(checkout)])  # and an editable install
    found = view([str(environment / "keys")])
    for which, names in (("readable", ["numpy"]), ("shown", ["kerasbook", "numpy"])):
        mine = [one for one in found[which] if one.startswith(str(tmp_path))]
        assert mine == [str(environment / name) for name in names]
    assert str(environment / "kerasbook") in found["covered"]
