"""Several processes that train one model: who belongs to it, and how to start them here.

TensorFlow learns who the others are from the environment variable TF_CONFIG, which Kubernetes
and Vertex set, and a Slurm script can. This module imports nothing heavy: a launcher only waits.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

LAUNCHED = "KERASBOOK_LAUNCHED"  # set for the workers that `start_workers` starts
SECONDS_TO_SAVE = 20.0  # after Ctrl-C, before the workers are killed
SECONDS_TO_NOTICE = 5.0  # after a worker's death, for the chief to end by itself


class ClusterError(ValueError):
    """Devices or workers that cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """This process' place among the workers: `index` 0 is the chief, which alone writes files."""

    workers: tuple[str, ...]  # "host:port" of each
    index: int

    @property
    def address(self) -> str:
        """Its own "host:port"."""
        return self.workers[self.index]

    @property
    def is_chief(self) -> bool:
        """Whether this process prints and writes."""
        return self.index == 0


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Returns what TF_CONFIG says; None without it, or if it names this process alone.

    Raises:
        ClusterError: TF_CONFIG is damaged.
    """
    text = environment.get("TF_CONFIG", "").strip()
    try:
        config = json.loads(text or "{}")
    except ValueError as error:
        raise ClusterError(f"the environment variable TF_CONFIG is not JSON ({error})") from None
    jobs = _part(config, "cluster", dict, "{}")
    if not jobs:
        return None
    task = _part(config, "task", dict, '{"type": "worker", "index": 0}')
    names = [name for name in ("chief", "worker") if name in jobs]
    workers = {name: _part(jobs, name, list, '["host:port", …]') for name in names}
    for address in (each for addresses in workers.values() for each in addresses):
        if not isinstance(address, str) or not address.rpartition(":")[2].isdigit():
            raise ClusterError(f"TF_CONFIG: a worker's address must be host:port, not {address!r}")
    kind, index = task.get("type"), task.get("index")
    if kind not in workers:
        known = " or ".join(workers) or "chief or worker"
        raise ClusterError(f"TF_CONFIG: the task's type must be {known}, not {kind!r}")
    if not str(index).isdigit() or int(str(index)) >= len(workers[kind]):
        raise ClusterError(
            f"TF_CONFIG: the task's index must be from 0 to {len(workers[kind]) - 1} for "
            f"{kind}, not {index!r}"
        )
    addresses = tuple(each for name in names for each in workers[name])
    before = len(workers["chief"]) if kind == "worker" and "chief" in workers else 0
    return Cluster(addresses, before + int(str(index))) if len(addresses) > 1 else None


def _part(config: Any, name: str, kind: type, example: str) -> Any:
    """What stands under `name`; nothing, if there is nothing of that name."""
    part = config.get(name, kind()) if isinstance(config, dict) else None
    if not isinstance(part, kind):
        raise ClusterError(f'TF_CONFIG must have the form {{…, "{name}": {example}}}')
    return part


# --- workers on this machine --------------------------------------------------------------


def start_workers(count: int, command: Sequence[str]) -> int:
    """Runs `command` in `count` processes of this machine, one cluster; returns an exit status.

    The first is the chief: it has the terminal. All end together, if one dies and if this process
    is interrupted, terminated or even killed. They compute on the CPU; several GPUs of one machine
    need one process only.
    """
    workers: list[_Worker] = []
    signals: list[int] = []
    before = {
        number: signal.signal(number, lambda number, frame: signals.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        addresses = [f"localhost:{port}" for port in _free_ports(count)]
        for index in range(count):
            workers.append(_Worker(command, addresses, index))
        return _watch(workers, signals)
    except OSError as error:
        print(f"error: cannot start {count} workers: {error}", file=sys.stderr)
        return 1
    finally:
        for worker in workers:
            worker.end()
        for number, handler in before.items():
            signal.signal(number, handler)


class _Worker:
    """A process of the cluster. Its input is a pipe from here: it ends when that is closed."""

    def __init__(self, command: Sequence[str], addresses: list[str], index: int):
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        own = {"TF_CONFIG": config, LAUNCHED: "1", "CUDA_VISIBLE_DEVICES": "-1"}
        self.index = index
        self.errors = None if index == 0 else tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            env={**os.environ, **own},
            stdin=subprocess.PIPE,
            stdout=None if index == 0 else subprocess.DEVNULL,
            stderr=self.errors,
            start_new_session=True,  # Ctrl-C reaches this process only, which tells the chief
        )

    def failed(self) -> bool:
        """Whether it has ended as it should not."""
        return self.process.poll() not in (None, 0)

    def why(self) -> str:
        """How it ended, and the last line that it wrote."""
        status, last = self.process.returncode, ""
        if self.errors is not None:
            self.errors.seek(0)
            last = self.errors.read().decode(errors="replace").strip().rpartition("\n")[2]
        how = f"killed by signal {-status}" if status < 0 else f"ended with status {status}"
        return f"worker {self.index} was lost ({how}){': ' if last else ''}{last}"

    def end(self) -> None:
        """Kills it, if it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        if self.errors is not None:
            self.errors.close()


def _watch(workers: list[_Worker], signals: list[int]) -> int:
    """Waits for the chief; returns its exit status, or 1 if it had to be killed."""
    chief, forwarded = workers[0].process, 0
    patience, lost = float("inf"), None
    while chief.poll() is None and time.monotonic() < patience:
        if len(signals) > forwarded:
            forwarded = len(signals)
            patience = min(patience, time.monotonic() + SECONDS_TO_SAVE)
            chief.send_signal(signals[-1])
        if lost is None:
            lost = next((worker for worker in workers if worker.failed()), None)
            if lost is not None:
                patience = min(patience, time.monotonic() + SECONDS_TO_NOTICE)
        time.sleep(0.05)
    status = chief.poll()
    if signals:
        return 128 + signals[0] if status is None or status < 0 else status
    if lost is not None and lost.process.returncode != status:
        print(f"error: {lost.why()}; all have been ended", file=sys.stderr)
    if status is None:
        return 1
    if status < 0:
        print(f"error: {workers[0].why()}; all have been ended", file=sys.stderr)
        return 128 - status
    if status == 0:  # the others have nothing to write, and need little time to end
        patience = time.monotonic() + SECONDS_TO_NOTICE
        while any(w.process.poll() is None for w in workers) and time.monotonic() < patience:
            time.sleep(0.05)
    return status


def _free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def end_with_launcher() -> None:
    """Ends a worker that `start_workers` started at once when the launcher is gone."""
    if os.environ.get(LAUNCHED):

        def wait():
            os.read(0, 1)  # nobody writes: it returns when the pipe is closed
            os._exit(1)

        threading.Thread(target=wait, daemon=True).start()
