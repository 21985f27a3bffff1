"""The warm server: it has imported TensorFlow and forks a worker for each question.

It knows no exercise, no expected value and no key; a worker gets its texts and inputs from the
grader through a socket of its own. Three processes stand behind a question:

    server → supervisor (watches memory and disk, kills when told)
           → [level 1: first process of the new process namespace]
           → worker (walls, then the learner's code)

Started as `python -I -B -X utf8 -c …`, see kerasbook.grading.workers.
"""

import contextlib
import gc
import importlib
import json
import os
import shutil
import signal
import socket
from pathlib import Path

from . import namespaces, sandbox
from .kernel import Unavailable
from .retry import retry
from .supervisor import supervise


def main(requests: socket.socket):
    """Probes the walls, tells the grader, forks a supervisor for each request until it hangs up."""
    view = first_line(requests)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's matter
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors need no funeral
    requests.sendall(json.dumps(probe(view)).encode() + b"\n")
    while True:
        try:
            text, descriptors, _, _ = socket.recv_fds(requests, 65536, 3)
        except ConnectionError:
            return
        if not text:
            return
        if retry(os.fork) == 0:
            requests.close()
            supervise(json.loads(text) | {"view": view}, *descriptors)
        requests.sendall(b".")
        for descriptor in descriptors:
            os.close(descriptor)


def first_line(requests: socket.socket) -> dict:
    """Returns what the grader says first: what a worker may open, and what it sees."""
    line = bytearray()
    while not line.endswith(b"\n") and (piece := requests.recv(1 << 16)):
        line += piece
    return json.loads(line)


# The walls that there are


def probe(view: dict) -> dict:
    """Returns the strongest level here, and why the stronger ones cannot be had."""
    reasons = {}
    for level in (1, 2):
        reasons[str(level)] = why_not(level, view)
        if not reasons[str(level)]:
            return {"level": level, "reasons": reasons}
    return {"level": 5, "reasons": reasons}


def why_not(level: int, view: dict) -> str:
    """Tries a level in a process of its own: "" if its walls stand, else what is missing."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reading, writing = os.pipe()
    child = retry(os.fork)
    if child == 0:
        os.close(reading)
        os.write(writing, _try_walls(level, view).encode()[:4000])
        os._exit(0)
    os.close(writing)
    with open(reading, "rb") as pipe:
        answer = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    return "" if answer == "stands" else answer or f"the trial ended with status {status}"


def _try_walls(level: int, view: dict) -> str:
    import tempfile

    box = tempfile.mkdtemp()
    inside, outside = os.pipe()
    try:
        if level == 1:
            namespaces.new_namespaces()
        child = retry(os.fork)
        if child == 0:
            os.write(outside, _behind_walls(level, box, view).encode())
            os._exit(0)
        os.waitpid(child, 0)
        os.close(outside)
        return os.read(inside, 4000).decode() or "the walls could not be tried"
    except (Unavailable, OSError) as error:
        return str(error)
    finally:
        with contextlib.suppress(OSError):
            os.rmdir(box)


def _behind_walls(level: int, box: str, view: dict) -> str:
    try:
        sandbox.enclose(level, box, view)
    except (Unavailable, OSError) as error:
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


def start(descriptor: int, libraries: list[str]):
    """Imports what is slow, then serves. The socket is inherited from the grader."""
    for name in libraries:
        importlib.import_module(name)
    # What is there now stays: a worker's collector would touch, and so copy, every page of it.
    gc.collect()
    gc.freeze()
    main(socket.socket(fileno=descriptor))
    home = os.environ["HOME"]  # made for this server; a grader that was killed could not remove it
    if os.path.basename(home).startswith("kerasbook-workers-"):
        shutil.rmtree(home, ignore_errors=True)
