"""The warm server: it has imported TensorFlow and forks a worker for each question.

It knows no exercise, no expected value and no key; a worker gets its texts and inputs from the
grader through a socket of its own. Three processes stand behind a question:

    server → keeper (watches memory and disk, kills when told)
           → [level 1: first process of the new process namespace]
           → worker (walls, then the learner's code)

Started as `python -I -B -X utf8 -c …`, see kerasbook.grading.workers.
"""

import contextlib
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import stat
import sys
import time
from pathlib import Path

from . import sandbox
from .solution import serve_question

WATCH_SECONDS = 0.02


def main(requests: socket.socket, hidden: list[str]):
    """Probe the walls, tell the grader, and fork a keeper for each request until it hangs up."""
    readable = sandbox.readable_paths(hidden)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's matter
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers need no funeral
    requests.sendall(json.dumps(probe(readable)).encode() + b"\n")
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(requests, 65536, 3)
        except ConnectionError:
            return
        if not text:
            return
        if os.fork() == 0:
            requests.close()
            keep(json.loads(text), readable, *descriptors)
        requests.sendall(b".")
        for descriptor in descriptors:
            os.close(descriptor)


# The walls that there are


def probe(readable: list[str]) -> dict:
    """The strongest level here, and why the stronger ones cannot be had."""
    reasons = {}
    for level in (1, 2):
        reasons[str(level)] = why_not(level, readable)
        if not reasons[str(level)]:
            return {"level": level, "reasons": reasons}
    return {"level": 5, "reasons": reasons}


def why_not(level: int, readable: list[str]) -> str:
    """Try a level in a process of its own: "" if its walls stand, else what is missing."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.write(writing, _try_walls(level, readable).encode()[:4000])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return "" if answer == "stands" else answer or f"the trial ended with status {status}"


def _try_walls(level: int, readable: list[str]) -> str:
    import tempfile

    box = tempfile.mkdtemp()
    inside, outside = os.pipe()
    try:
        if level == 1:
            sandbox.new_namespaces()
        child = os.fork()
        if child == 0:
            os.write(outside, _behind_walls(level, box, readable).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(outside)
        return os.read(inside, 4000).decode() or "the walls could not be tried"
    except (sandbox.Unavailable, OSError) as error:
        return str(error)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(box)


def _behind_walls(level: int, box: str, readable: list[str]) -> str:
    try:
        sandbox.enclose(level, box, readable)
    except (sandbox.Unavailable, OSError) as error:
        return str(error)
    passwords = Path("/etc/passwd")
    for forbidden in (passwords.read_bytes, socket.socket, os.fork):
        try:
            if forbidden() == 0:  # a fork that should not be
                os._exit(0)
            return "the walls were put up and do not stand"
        except OSError:
            pass
    return "stands"


# A question


def keep(request: dict, readable: list[str], control: int, replies: int, output: int):
    """Run one worker, watch it, and tell the grader how it ended; never returns."""
    status = {"ended": "internal", "message": "the keeper failed"}
    worker = None
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        sandbox.die_with_parent()
        telling, told = os.pipe()
        worker = start_worker(request, readable, control, replies, output, telling, told)
        os.close(told)
        os.close(replies)
        os.close(output)
        status = watch(worker, request, control, telling)
    except (sandbox.Unavailable, OSError) as error:
        status = {"ended": "internal", "message": str(error)[:500]}
    finally:
        if worker is not None:
            with contextlib.suppress(OSError):
                os.kill(worker, signal.SIGKILL)
                os.waitpid(worker, 0)
        with contextlib.suppress(OSError):
            os.write(control, json.dumps(status).encode())
        os._exit(0)


def start_worker(request, readable, control, replies, output, telling, told) -> int:
    """Fork the worker; at level 1 through the first process of its namespace. Its parent's child.

    The worker writes its process number, as its keeper sees it, into `told`.
    """
    level = request["level"]
    if level == 1:
        sandbox.new_namespaces()
    child = os.fork()
    if child:
        return child
    sandbox.die_with_parent()
    os.close(control)
    os.close(telling)
    try:
        if level == 1 and (inner := os.fork()):
            # Process 1 of a namespace cannot be killed from inside: it is not the learner's code.
            os.close(replies)
            os.close(output)
            os.write(told, b"%d;" % os.waitpid(inner, 0)[1])
        else:
            work(request, readable, replies, output, told)
    finally:
        os._exit(0)


def work(request, readable, replies, output, told):
    """Become the worker: standard streams, limits, walls; then the learner's code."""
    sandbox.die_with_parent()
    os.setsid()
    os.umask(0o077)
    nothing = os.open("/dev/null", os.O_RDONLY)
    first = 100  # out of the way of 0 to 4
    for number, source in enumerate((nothing, output, output, replies, told)):
        os.dup2(source, first + number)
    for number in range(5):
        os.dup2(first + number, number)
    for name in os.listdir("/proc/self/fd" if sys.platform == "linux" else "/dev/fd"):
        if int(name) > 4:
            with contextlib.suppress(OSError):  # the one that listed
                os.close(int(name))
    for name in ("HOME", "TMPDIR", "KERAS_HOME", "MPLCONFIGDIR", "PWD"):
        os.environ[name] = request["box"]
    sandbox.be_first_to_die()
    try:
        sandbox.set_limits(request["seconds"], request["memory"])
        sandbox.enclose(request["level"], request["box"], readable)
        # The number that this process has in the /proc that its keeper sees, too.
        seen_as = os.readlink("/proc/self") if sys.platform == "linux" else str(os.getpid())
    except (sandbox.Unavailable, OSError, ValueError) as error:
        os.write(4, f"the walls could not be put up: {error};".encode())
        return
    os.write(4, f"{seen_as};".encode())
    os.close(4)
    serve_question(socket.socket(fileno=3))


def watch(worker: int, request: dict, control: int, telling: int) -> dict:
    """Wait for the worker's end, or end it: told to, too much memory, disk or threads."""
    number = next_word(telling)
    if not number.isdigit():
        return {"ended": "internal", "message": number or "the worker ended before it began"}
    listening = selectors.DefaultSelector()
    listening.register(control, selectors.EVENT_READ)
    checked_disk = time.monotonic()
    main_thread_gone = 0
    while True:
        if listening.select(WATCH_SECONDS):
            return {"ended": "killed"}
        ended, status = os.waitpid(worker, os.WNOHANG)
        if ended:
            # At level 1 it was process 1 that ended, and it has told how the worker did.
            inner = next_word(telling)
            return how_it_ended(int(inner) if inner.isdigit() else status)
        state, memory, threads = usage(number)
        # Without its main thread a process shows no memory, though other threads go on.
        main_thread_gone = main_thread_gone + 1 if state == "Z" else 0
        if main_thread_gone > 5:
            return {"ended": "crash", "message": "ended its main thread"}
        if memory > request["memory"]:
            return {"ended": "memory", "message": f"more than {request['memory'] >> 20} MiB"}
        if threads > sandbox.MOST_THREADS:
            return {"ended": "crash", "message": f"more than {sandbox.MOST_THREADS} threads"}
        if request["level"] != 1 and time.monotonic() > checked_disk + 0.1:
            checked_disk = time.monotonic()
            if too_full(request["box"], number):
                return {"ended": "memory", "message": "more files than the box holds"}


def next_word(telling: int) -> str:
    """What is written into the pipe up to the next semicolon, or its end."""
    word = bytearray()
    while (letter := os.read(telling, 1)) and letter != b";" and len(word) < 500:
        word += letter
    return word.decode(errors="replace")


def how_it_ended(status: int) -> dict:
    """A wait status in words."""
    if not os.WIFSIGNALED(status):
        return {"ended": "crash", "message": f"ended itself (status {os.WEXITSTATUS(status)})"}
    number = os.WTERMSIG(status)
    if number == signal.SIGXCPU:
        return {"ended": "timeout", "message": "processor time used up"}
    if number == signal.SIGXFSZ:
        return {"ended": "memory", "message": "a file larger than the box holds"}
    name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
    return {"ended": "crash", "message": f"killed by {name}"}


def usage(number: str) -> tuple[str, int, int]:
    """State, resident memory in bytes and threads of a process; "", 0, 0 once it is gone."""
    try:
        with open(f"/proc/{number}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "", 0, 0
    return fields[0], int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), int(fields[17])


def too_full(box: str, number: str) -> bool:
    """Whether the box holds more bytes or files than it may, removed but open ones included."""
    size, files = removed_bytes(box, number), 0
    folders = [box]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    files += 1
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    else:
                        size += entry.stat(follow_symlinks=False).st_blocks * 512
                    if files > sandbox.BOX_FILES or size > sandbox.BOX_BYTES:
                        return True
        except FileNotFoundError:
            pass  # removed meanwhile
        except OSError:
            return True  # too deep, or closed to its owner: what is in there cannot be counted
    return size > sandbox.BOX_BYTES


def removed_bytes(box: str, number: str) -> int:
    """Bytes of the files in the box that a process has removed and still uses.

    Of one that is only mapped the size is not told, so that it counts as the largest possible.
    """
    sizes = {}
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{number}/task"):  # a thread can have files of its own
            folder = f"/proc/{number}/task/{thread}/fd"
            for name in os.listdir(folder):
                with contextlib.suppress(OSError):
                    found = os.stat(f"{folder}/{name}")
                    if found.st_nlink == 0 and stat.S_ISREG(found.st_mode):
                        sizes[found.st_ino] = found.st_blocks * 512
        with open(f"/proc/{number}/maps", errors="replace") as file:
            for line in file:
                if line.endswith("(deleted)\n") and box in line:
                    sizes.setdefault(int(line.split()[4]), sandbox.BOX_BYTES)
    return sum(sizes.values())


def start(descriptor: int, hidden: list[str]):
    """Import what is slow, then serve. The socket is inherited from the grader."""
    import keras  # noqa: F401
    import tensorflow  # noqa: F401

    # What is there now stays: a worker's collector would touch, and so copy, every page of it.
    gc.collect()
    gc.freeze()
    main(socket.socket(fileno=descriptor), hidden)
    home = os.environ["HOME"]  # made for this server; a grader that was killed could not remove it
    if os.path.basename(home).startswith("kerasbook-workers-"):
        shutil.rmtree(home, ignore_errors=True)
