"""The connection to one worker: bytes to it, bytes from it, and never a wait for ever."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import threading
import time

from kerasbook.grading.folders import remove
from kerasbook.grading.question import Reply
from kerasbook.grading.text import printable
from kerasbook.grading.worker.wire import ProtocolError, needed, parse
from kerasbook.grading.workers import START_SECONDS, Workers, WorkersError

LONGEST_OUTPUT = 4_000
LONGEST_MESSAGE = 2_000


class Connection:
    """One forked worker: bytes to it, bytes from it, and its supervisor's word on how it ended."""

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
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        """The learner's time begins when the worker is there.

        Raises:
            WorkersError: it could not be started.
        """
        self._control.settimeout(START_SECONDS)
        line = bytearray()
        with contextlib.suppress(OSError):
            while not line.endswith(b"\n") and (letter := self._control.recv(1)):
                line += letter
        if line != b"ready\n":
            self.end()
            reason = line.decode(errors="replace").strip() or "no answer"
            raise WorkersError(f"a worker could not be started: {reason}")

    def exchange(self, message: bytes, deadline: float) -> Reply:
        """Sends a message, and returns the one reply to it.

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
        return Reply(status, outputs, after, printable(message[:LONGEST_MESSAGE]))

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
            status = json.loads(self._control.recv(4096) or b"{}")
        except TimeoutError:
            raise
        except (OSError, ValueError):
            status = {}
        ended = status.get("ended", "internal")
        return Reply(ended, message=status.get("message", "the supervisor of the worker is gone"))

    def end(self) -> None:
        """Kills the worker, and waits until it is gone; its box goes meanwhile."""
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
            try:
                threading.Thread(target=remove, args=[self._box]).start()
            except RuntimeError:  # no thread left
                remove(self._box)
