"""The warm server of the workers, as the grader sees it: started, asked for workers, replaced."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

from kerasbook.grading.folders import HOMES, lock_folder, remove, remove_left_behind
from kerasbook.grading.readable import holding_libraries, view
from kerasbook.grading.worker.retry import retry
from kerasbook.program import UserError

MEMORY = 2 * 2**30
START_SECONDS = 120.0
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
        tensorflow: whether the server imports TensorFlow and Keras, once for all workers; without,
            it is there in a tenth of the time, and an answer that imports them has to wait.

    Raises:
        WorkersError: no fork on this machine, no such level, TensorFlow cannot be imported, or a
            hidden folder holds the libraries.
    """

    def __init__(
        self,
        level: int | None = None,
        hidden: Sequence[Path] = (),
        memory: int = MEMORY,
        tensorflow: bool = True,
    ):
        if not hasattr(os, "fork"):
            raise WorkersError("answers are checked on Linux and macOS; on Windows, use WSL")
        if level not in (None, *LEVELS):
            raise WorkersError(f"no level {level} of isolation; there are 1, 2 and 5")
        self.memory = memory
        self.tensorflow = tensorflow
        self._libraries = ["keras", "tensorflow"] if tensorflow else ["numpy"]
        self._wanted = level
        # Relative paths are made absolute here: the server lives in another folder.
        if folder := holding_libraries(hidden):
            raise WorkersError(
                f"{folder} is to be hidden from answers, but holds the libraries that they need; "
                "keep the class and its results in folders of their own"
            )
        self._view = view(hidden)
        self._lock = threading.RLock()
        self._probed: dict | None = None
        remove_left_behind()
        self._home = tempfile.mkdtemp(prefix=HOMES)
        self._locked = lock_folder(self._home)
        self._log = Path(self._home, "server.log")
        self._launch()

    def _launch(self) -> None:
        """Start the server; it needs seconds, which `probed` waits for."""
        self._requests, theirs = socket.socketpair()
        folder = Path(__file__).parent
        python = [sys.executable, "-I", "-B", "-X", "utf8", "-c", START]
        with theirs, self._log.open("wb") as log:
            self._server = retry(
                lambda: subprocess.Popen(
                    [*python, str(folder), str(theirs.fileno()), *self._libraries],
                    pass_fds=[theirs.fileno()],
                    env=environment(self._home),
                    cwd="/",
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )
        # Not in argv, which a worker can read. If the server has ended, `probed` says so.
        with contextlib.suppress(OSError):
            self._requests.sendall(json.dumps(self._view).encode() + b"\n")

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
        """Ends the server and with it all workers."""
        self._stop()
        remove(self._home)
        os.close(self._locked)

    def _stop(self) -> None:
        self._requests.close()
        try:
            self._server.wait(5)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()

    def probed(self) -> dict:
        """Returns {"level": strongest here, "reasons": why not the stronger ones}, from the
        server.
        """
        with self._lock:
            if self._probed is None:
                self._requests.settimeout(START_SECONDS)
                line = bytearray()
                with contextlib.suppress(OSError):  # too late, or the server has ended
                    while not line.endswith(b"\n") and (piece := self._requests.recv(4096)):
                        line += piece
                self._requests.settimeout(None)
                if not line.endswith(b"\n"):
                    lines = self._log.read_text(errors="replace").strip().splitlines()
                    reason = lines[-1] if lines else "no answer"
                    raise WorkersError(f"the worker could not start: {reason}")
                self._probed = json.loads(line)
        return self._probed or {}

    @property
    def level(self) -> int:
        """The level of isolation that the workers have."""
        strongest = self.probed()["level"]
        return strongest if self._wanted is None else max(self._wanted, strongest)

    def reasons(self) -> list[tuple[int, str]]:
        """Returns the levels tried, and why each cannot be had; "" for the one that can."""
        return [(int(level), why) for level, why in self.probed()["reasons"].items()]

    def new_box(self) -> str:
        """Returns an empty folder for a worker."""
        return tempfile.mkdtemp(prefix="box-", dir=self._home)

    def start(self, box: str, seconds: float) -> tuple[socket.socket, socket.socket, int]:
        """Returns the supervisor's socket, the worker's socket and the output's pipe of a new
        worker.

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


def environment(home: str) -> dict[str, str]:
    """Returns the environment of the workers, made from nothing."""
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
