"""Taking in strangers' submissions in a process for each: a text may be made against the reader.

A text can keep a parser busy, fill the memory, end the process, or use a fault in the parser. So
a small server, which itself reads nothing of a learner's, forks a reader for each submission. The
reader has limits, and where this machine has Landlock and seccomp, it may open nothing but that
submission and Python's own library. What it says is text, of bounded size, from that learner.

This file is the grader's side and the server. The server imports only the standard library.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from kerasbook.grading.submissions import (
    ENCODINGS,
    LONGEST_NOTE,
    Submission,
    checked,
    learner_of,
    take_in,
)
from kerasbook.grading.text import one_line
from kerasbook.grading.worker.retry import retry

SECONDS, MEMORY = 20, 2**31  # of the processor, for one reader
WAIT = 600  # seconds by the clock: on a busy machine honest submissions take long, too
LARGEST_REPLY = 100_000_000  # bytes
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from kerasbook.grading import intake; "
    "del sys.path[0]; intake.serve()"
)


class NotRead(Exception):
    """A submission that the reader did not survive, or not in time; the message says which."""


# The grader's side


class Readers:
    """The server, started when it is first needed, and again if it has ended."""

    def __init__(self):
        self._lock = threading.Lock()
        self._server: subprocess.Popen | None = None
        self._requests: socket.socket | None = None

    def read(self, paths: Iterable[Path], questions: Iterable[str]) -> dict:
        """Returns the fields of a Submission, from a reader of its own.

        Raises:
            NotRead: the reader ended, or was too slow.
        """
        asked = [[os.fspath(one.absolute()) for one in paths], list(questions), SECONDS, WAIT]
        reading, writing = os.pipe()
        deadline = time.monotonic() + WAIT + 1  # the reader has an alarm, a second before
        with open(reading, "rb", buffering=0) as pipe:
            try:
                self._ask(json.dumps(asked).encode(), writing)
            finally:
                os.close(writing)
            answer = _all_of(pipe, deadline)
        if not answer:
            late = time.monotonic() > deadline - 1.2
            raise NotRead(f"that takes more than {WAIT} s" if late else "the reader ended")
        try:
            fields = json.loads(answer)
        except ValueError as error:
            raise NotRead("the reader ended") from error
        if not isinstance(fields, dict):
            raise NotRead("the reader ended")
        if "fault" in fields:
            raise NotRead(str(fields["fault"]))
        return fields

    def _ask(self, message: bytes, descriptor: int) -> None:
        """Send a request; if the server is gone, to a new one."""
        with self._lock:
            for last in (False, True):
                try:
                    if not self._requests:
                        self._requests = self._start()
                    socket.send_fds(self._requests, [message], [descriptor])
                    # One request is one message only if the one before has been taken.
                    if self._requests.recv(1):
                        return
                except OSError:
                    pass
                self._end()
                if last:
                    raise NotRead("the reader could not be started")

    def _start(self) -> socket.socket:
        mine, theirs = socket.socketpair()
        root = str(Path(__file__).parents[2])
        python = [sys.executable, "-I", "-S", "-B", "-X", "utf8", "-c", START, root]
        with theirs:
            quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._server = retry(lambda: subprocess.Popen(python, stdin=theirs, cwd="/", **quiet))
        return mine

    def _end(self) -> None:
        if self._requests:
            self._requests.close()
        if self._server:
            self._server.kill()
            self._server.wait()
        self._requests = self._server = None

    def close(self) -> None:
        """Ends the server and its readers."""
        with self._lock:
            self._end()


readers = Readers()
atexit.register(readers.close)


def take_in_apart(path: Path, questions: Iterable[str], more: Iterable[Path] = ()) -> Submission:
    """Returns what `take_in` returns, from a process of its own; only a note if that fails."""
    try:
        fields = readers.read([path, *more], questions)
        try:
            return checked(learner_of(path), fields)
        except (ValueError, TypeError, AttributeError) as error:
            raise NotRead("the reader ended") from error
    except NotRead as error:
        note = one_line(f"cannot be read: {error}")[:LONGEST_NOTE]
        return Submission(learner_of(path), notes=[note], unread=[note])


def _all_of(pipe, deadline: float) -> bytes:
    """What is written into a pipe until it closes; nothing if that is too late or too much."""
    received = bytearray()
    with selectors.DefaultSelector() as waiting:
        waiting.register(pipe, selectors.EVENT_READ)
        while waiting.select(max(0.0, deadline - time.monotonic())):
            piece = pipe.read(1 << 20)
            if not piece:
                return bytes(received)
            received += piece
            if len(received) > LARGEST_REPLY:
                break
    return b""


# The server


def serve() -> None:
    """Forks a reader for each request until the grader hangs up. The socket is standard input."""
    # What readers need is imported once.
    from kerasbook.grading.worker import sandbox  # noqa: F401, only on Linux and macOS

    for encoding in ENCODINGS:
        "".encode(encoding)
    requests = socket.socket(fileno=0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the grader's matter
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # readers need no funeral
    while True:
        text, descriptors, _, _ = socket.recv_fds(requests, 1 << 16, 1)
        if not text:
            return
        if retry(os.fork) == 0:
            requests.close()
            try:
                read_one(*json.loads(text), descriptors[0])
            finally:
                os._exit(0)
        requests.sendall(b".")
        os.close(descriptors[0])


def read_one(paths: list[str], questions: list[str], seconds: int, wait: int, writing: int) -> None:
    """Lets a process behind walls take one submission in; says so where that ends badly."""
    from kerasbook.grading.worker import sandbox

    sandbox.die_with_parent()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reader = retry(os.fork)
    if reader == 0:
        sandbox.die_with_parent()
        signal.alarm(wait)  # ends the process, whatever it does
        _enclose(paths, seconds)
        with open(writing, "w", encoding="utf-8") as pipe:
            json.dump(_fields(paths, questions), pipe)
        return
    _, status = os.waitpid(reader, 0)
    ends = {
        signal.SIGXCPU: f"that takes more than {seconds} s of the processor",
        signal.SIGALRM: f"that takes more than {wait} s",
    }
    if status:
        fault = ends.get(os.WTERMSIG(status), "the reader ended")
        os.write(writing, json.dumps({"fault": fault}).encode())


def _enclose(paths: list[str], seconds: int) -> None:
    """Limits and walls around this process, which reads a stranger's text."""
    import resource

    from kerasbook.grading.worker import landlock, seccomp
    from kerasbook.grading.worker.kernel import Unavailable

    with contextlib.suppress(ValueError, OSError):  # not everywhere
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(Unavailable):
        # Capabilities are kept: root reads what learners have handed in under their own names.
        landlock.restrict([*paths, os.path.dirname(os.__file__)], [])
        seccomp.restrict()


def _fields(paths: list[str], questions: list[str]) -> dict:
    try:
        first, *more = map(Path, paths)
        submission = take_in(first, questions, more)
        del submission.__dict__["learner"]
        return vars(submission)
    except MemoryError:
        return {"fault": "too much memory"}
    except Exception as error:
        return {"fault": f"{type(error).__name__}: {error}"}
