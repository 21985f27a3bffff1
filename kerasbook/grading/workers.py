"""The grader's side of the workers: start the warm server, ask a solution, never wait for ever."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from kerasbook.exercises.exercise import Exercise, Inputs
from kerasbook.grading.question import Reply
from kerasbook.grading.worker.values import split_inputs
from kerasbook.grading.worker.wire import ProtocolError, needed, pack, parse
from kerasbook.program import UserError

import numpy as np

MEMORY = 2 * 2**30
LONGEST_OUTPUT = 4_000
LONGEST_MESSAGE = 2_000
START_SECONDS = 120.0
MOST_WORKERS = 3  # for one question
ENDED = ("timeout", "memory", "crash", "protocol", "internal")
LEVELS = {
    1: "own namespaces, Landlock, seccomp",
    2: "Landlock, seccomp",
    5: "resource limits only: accidents, not attacks",
}
START = (
    "import sys; sys.path.insert(0, sys.argv[1]); from worker import server; del sys.path[0]; "
    "server.start(int(sys.argv[2]), sys.argv[3:])"
)


class WorkersError(UserError):
    """The workers cannot be had, and why."""


class Workers:
    """A warm server that forks a worker for each question; a context manager.

    Args:
        level: of isolation; None takes the strongest that this machine gives.
        hidden: folders that no worker may read; the book itself is always one of them.
        memory: bytes that a worker may hold.

    Raises:
        WorkersError: no fork on this machine, no such level, or TensorFlow cannot be imported.
    """

    def __init__(self, level: int | None = None, hidden: Sequence[Path] = (), memory: int = MEMORY):
        if not hasattr(os, "fork"):
            raise WorkersError("answers are checked on Linux and macOS; on Windows, use WSL")
        if level not in (None, *LEVELS):
            raise WorkersError(f"no level {level} of isolation; there are 1, 2 and 5")
        self.memory = memory
        self._wanted = level
        self._hidden = [str(one) for one in (Path(__file__).parent.parent, *hidden)]
        self._lock = threading.RLock()
        self._probed: dict | None = None
        remove_left_behind()
        self._home = tempfile.mkdtemp(prefix=HOMES)
        self._held = hold(self._home)
        self._log = Path(self._home, "server.log")
        self._launch()

    def _launch(self) -> None:
        """Start the server; it needs seconds, which `probed` waits for."""
        self._requests, theirs = socket.socketpair()
        folder = Path(__file__).parent
        python = [sys.executable, "-I", "-B", "-X", "utf8", "-c", START]
        with theirs, self._log.open("wb") as log:
            self._server = subprocess.Popen(
                [*python, str(folder), str(theirs.fileno()), *self._hidden],
                pass_fds=[theirs.fileno()],
                env=environment(self._home),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _launch_again(self) -> None:
        """Replace a server that has ended, or does not answer.

        Raises:
            WorkersError: the new one cannot start, or has weaker walls than the old one.
        """
        level = self.level
        self._stop()
        self._probed = None
        self._launch()
        if self.level > level:
            raise WorkersError(f"isolation level {level} cannot be had any more")

    def __enter__(self) -> Workers:
        """Itself."""
        return self

    def __exit__(self, *error) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """End the server and with it all workers."""
        self._stop()
        remove(self._home)
        os.close(self._held)

    def _stop(self) -> None:
        self._requests.close()
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def probed(self) -> dict:
        """Waits for the server: {"level": strongest here, "reasons": why not the stronger ones}."""
        with self._lock:
            if self._probed is None:
                self._requests.settimeout(START_SECONDS)
                line = bytearray()
                with contextlib.suppress(TimeoutError):
                    while not line.endswith(b"\n") and (piece := self._requests.recv(4096)):
                        line += piece
                self._requests.settimeout(None)
                if not line.endswith(b"\n"):
                    told = self._log.read_text(errors="replace").strip().splitlines()
                    reason = told[-1] if told else "no answer"
                    raise WorkersError(f"the worker could not start: {reason}")
                self._probed = json.loads(line)
        return self._probed or {}

    @property
    def level(self) -> int:
        """The level of isolation that the workers have."""
        strongest = self.probed()["level"]
        return strongest if self._wanted is None else max(self._wanted, strongest)

    def reasons(self) -> list[tuple[int, str]]:
        """The levels tried, and why each cannot be had; "" for the one that can."""
        return [(int(level), why) for level, why in self.probed()["reasons"].items()]

    def new_box(self) -> str:
        """An empty folder for a worker."""
        return tempfile.mkdtemp(prefix="box-", dir=self._home)

    def start(self, box: str, seconds: float) -> tuple[socket.socket, socket.socket, int]:
        """Have a worker forked: the keeper's socket, the worker's socket, the output's pipe.

        Raises:
            WorkersError: the server has ended, and so has the one that was started in its place.
        """
        with self._lock:
            try:
                return self._start(box, seconds)
            except OSError:
                self._launch_again()
            try:
                return self._start(box, seconds)
            except OSError as error:
                raise WorkersError(f"the server of the workers has ended: {error}") from error

    def _start(self, box: str, seconds: float) -> tuple[socket.socket, socket.socket, int]:
        request = {
            "level": self.level,
            "box": box,
            "seconds": int(seconds) + 2,
            "memory": self.memory,
        }
        control, far_control = socket.socketpair()
        replies, far_replies = socket.socketpair()
        output, far_output = os.pipe()
        try:
            descriptors = [far_control.fileno(), far_replies.fileno(), far_output]
            socket.send_fds(self._requests, [json.dumps(request).encode()], descriptors)
            # One request is one message only if the server has taken the one before.
            self._requests.settimeout(START_SECONDS)
            if not self._requests.recv(1):
                raise ConnectionError("no answer")
        except OSError:
            control.close()
            replies.close()
            os.close(output)
            raise
        finally:
            far_control.close()
            far_replies.close()
            os.close(far_output)
        return control, replies, output


# Folders in which the server and its workers write

HOMES = "kerasbook-workers-"
OLD_SECONDS = 60


def hold(home: str) -> int:
    """Lock a folder for as long as this process lives; the open descriptor."""
    import fcntl

    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def remove_left_behind() -> None:
    """Remove what graders of this user that were killed could not remove.

    A folder is left alone if it is held, which its process number would not tell in a container,
    or so young that its owner may be about to hold it.
    """
    for home in Path(tempfile.gettempdir()).glob(f"{HOMES}????????"):
        with contextlib.suppress(OSError):
            known = home.lstat()
            if known.st_uid == os.getuid() and known.st_mtime < time.time() - OLD_SECONDS:
                held = hold(str(home))
                remove(str(home))
                os.close(held)


def environment(home: str) -> dict[str, str]:
    """The environment of the workers, made from nothing."""
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": home,
        "TMPDIR": home,
        "KERAS_HOME": home,
        "MPLCONFIGDIR": home,
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "CUDA_VISIBLE_DEVICES": "-1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
        "TF_NUM_INTEROP_THREADS": "1",
        # Fewer and larger pages: a fork of the server, and its end, take half the time.
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
        # In so short a life slow kernels are done before fast ones are made.
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "false",
    }


def harmless(text: str) -> str:
    """A stranger's text without what a terminal, a log or a file's encoding would trip over."""
    return "".join(one if one.isprintable() or one in "\n\t" else ascii(one)[1:-1] for one in text)


def remove(folder: str) -> None:
    """Remove a folder in which a stranger's code could write, whatever it left there."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.isdir(folder):  # too deep for rmtree, or folders that may not be entered
        subprocess.run(["chmod", "-R", "u+rwx", folder], capture_output=True)
        subprocess.run(["rm", "-rf", folder], capture_output=True)


class Solution:
    """An Asker whose answers come from a worker; a context manager.

    A worker that has ended, or said what is no message, is replaced for the next case. The
    exercise's seconds hold for all cases together.
    """

    def __init__(self, workers: Workers, exercise: Exercise, source: str):
        workers.probed()  # wait for the server before the clock starts
        self.workers = workers
        self.exercise = exercise
        self.source = source
        self.output = bytearray()
        self.cut = False
        self._left = exercise.seconds
        self._worker: _Worker | None = None
        self._replaced = 0
        self._unusable: Reply | None = None  # the answer to all other cases: loading failed, …

    def __enter__(self) -> Solution:
        """Itself."""
        return self

    def __exit__(self, *error) -> None:
        """End the worker."""
        self._end()

    def ask(self, calls: Sequence[Inputs]) -> list[Reply]:
        """See Asker."""
        if self._unusable:
            return [self._unusable]
        if self._left <= 0:
            return [self._timeout()]
        fresh = self._worker is None
        if fresh:  # before the clock starts: the server may have to be started again
            self._worker = _Worker(self.workers, self.exercise.seconds)
        started = time.monotonic()
        try:
            return self._ask(calls, fresh, started + self._left)
        finally:
            self._left -= time.monotonic() - started

    def _ask(self, calls, fresh, deadline) -> list[Reply]:
        if fresh:
            loaded = self._exchange(*self._loading(), deadline)
            if loaded.status != "ok":
                if loaded.status not in ENDED:
                    self._unusable = loaded
                return [loaded]
        replies = []
        for number, inputs in enumerate(calls):
            fields, arrays = split_inputs(inputs)
            fields |= {"do": "call", "first": number == 0}
            replies.append(self._exchange(fields, arrays, deadline))
            if replies[-1].status != "ok":
                break
        return replies

    def _loading(self) -> tuple[dict, dict]:
        fields = {
            "do": "load",
            "name": self.exercise.name,
            "driver": self.exercise.driver_source,
            "outputs": self.exercise.outputs,
            "forbidden": list(self.exercise.forbidden),
        }
        text = self.source.encode("utf-8", "surrogatepass")  # as an array: a header is short
        return fields, {"source": np.frombuffer(text, "uint8")}

    def _timeout(self) -> Reply:
        return Reply("timeout", message=f"took longer than {self.exercise.seconds:g} s")

    def _exchange(self, fields, arrays, deadline) -> Reply:
        assert self._worker is not None
        try:
            reply = self._worker.exchange(pack(fields, arrays), deadline)
        except TimeoutError:
            reply = self._timeout()
        if reply.status in ENDED:
            self._end()
            self._replaced += 1
            if self._replaced == MOST_WORKERS:
                self._unusable = reply
        return reply

    def _end(self) -> None:
        if self._worker:
            self._worker.end()
            self.output += self._worker.output[: LONGEST_OUTPUT - len(self.output)]
            self.cut |= self._worker.cut
            self._worker = None


class _Worker:
    """One forked worker: bytes to it, bytes from it, and its keeper's word on how it ended."""

    def __init__(self, workers: Workers, seconds: float):
        self.output = bytearray()
        self.cut = False
        self._box = workers.new_box()
        try:
            self._control, self._replies, self._pipe = workers.start(self._box, seconds)
        except WorkersError:
            os.rmdir(self._box)
            raise
        self._received = bytearray()
        self._needed = 0  # bytes of the reply that is coming, as far as known
        self._replies.setblocking(False)
        os.set_blocking(self._pipe, False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._replies, selectors.EVENT_READ)
        self._selector.register(self._pipe, selectors.EVENT_READ)

    def exchange(self, message: bytes, deadline: float) -> Reply:
        """Send a message and wait for the one reply to it.

        Raises:
            TimeoutError: the deadline (of time.monotonic) passed.
        """
        waiting = memoryview(message)
        while True:
            if self._received:
                if waiting:
                    return Reply("protocol", message="a reply before the call")
                try:
                    if parsed := self._parsed():
                        return self._as_reply(*parsed)
                except ProtocolError as error:
                    return Reply("protocol", message=f"not a reply: {error}")
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if waiting else 0)
            self._selector.modify(self._replies, events)
            ready = self._selector.select(max(0.0, deadline - time.monotonic()))
            if time.monotonic() >= deadline:  # also of one that never stops printing
                raise TimeoutError
            files = {key.fileobj: mask for key, mask in ready}
            if self._pipe in files:
                self._drain()
            if files.get(self._replies, 0) & selectors.EVENT_WRITE:
                try:
                    waiting = waiting[self._replies.send(waiting[: 1 << 20]) :]
                except BlockingIOError:
                    pass
                except OSError:  # it reads no more
                    return self._how_it_ended(deadline)
            if files.get(self._replies, 0) & selectors.EVENT_READ and not self._receive():
                return self._how_it_ended(deadline)
            if self._control in files:
                return self._how_it_ended(deadline)

    def _parsed(self):
        """The whole reply, or None; the header is not read anew for each piece that comes."""
        if len(self._received) < self._needed:
            return None
        parsed = parse(self._received)
        self._needed = 0 if parsed else needed(self._received)
        return parsed

    def _as_reply(self, fields, arrays, used) -> Reply:
        if len(self._received) > used:
            return Reply("protocol", message="more than one reply to a call")
        self._received.clear()
        status, message = fields.get("status"), fields.get("message", "")
        if status not in ("ok", "fail", "error", "memory", "forbidden", "missing"):
            return Reply("protocol", message="a reply without a status")
        if not isinstance(message, str):
            return Reply("protocol", message="a message that is no text")
        after = {name[6:]: a for name, a in arrays.items() if name.startswith("input ")}
        outputs = {name: a for name, a in arrays.items() if not name.startswith("input ")}
        return Reply(status, outputs, after, harmless(message[:LONGEST_MESSAGE]))

    def _receive(self) -> bool:
        try:
            piece = self._replies.recv(1 << 20)
        except BlockingIOError:
            return True
        except OSError:
            return False
        self._received += piece
        return bool(piece)

    def _drain(self) -> None:
        try:
            piece = os.read(self._pipe, 1 << 16)
        except (BlockingIOError, OSError):
            return
        if not piece:  # closed: it would be ready for ever
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._pipe)
        room = LONGEST_OUTPUT - len(self.output)
        self.output += piece[:room]
        self.cut |= len(piece) > room

    def _how_it_ended(self, deadline: float) -> Reply:
        self._control.settimeout(max(0.5, deadline - time.monotonic()))
        try:
            told = json.loads(self._control.recv(4096) or b"{}")
        except TimeoutError:
            raise
        except (OSError, ValueError):
            told = {}
        ended = told.get("ended", "internal")
        return Reply(ended, message=told.get("message", "the keeper of the worker is gone"))

    def end(self) -> None:
        """Have the worker killed, and wait until it is gone; its box goes meanwhile."""
        with contextlib.suppress(OSError):
            self._control.send(b"end")
            self._control.settimeout(5)
            while self._control.recv(4096):
                pass
        self._drain()
        self._selector.close()
        self._control.close()
        self._replies.close()
        os.close(self._pipe)
        try:
            os.rmdir(self._box)
        except OSError:  # not empty: on some disks a thousand files take seconds
            threading.Thread(target=remove, args=[self._box]).start()
