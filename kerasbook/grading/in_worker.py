"""Calls a solution in a worker: one for a question, and another after any crash."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from kerasbook.exercises.exercise import Exercise, Inputs
from kerasbook.grading.connection import LONGEST_OUTPUT, Connection
from kerasbook.grading.question import Reply
from kerasbook.grading.text import printable
from kerasbook.grading.worker.values import split_inputs
from kerasbook.grading.worker.wire import pack
from kerasbook.grading.workers import Workers

import numpy as np

MOST_WORKERS = 3  # for one question
ENDED = ("timeout", "memory", "crash", "protocol", "internal")


class InWorker:
    """An Executor whose answers come from a worker; a context manager.

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
        self._worker: Connection | None = None
        self._replaced = 0
        self._unusable: Reply | None = None  # the answer to all other cases: loading failed, …

    def __enter__(self) -> InWorker:
        """Itself."""
        return self

    def __exit__(self, *error) -> None:
        """End the worker."""
        self._end()

    @property
    def printed(self) -> str:
        """What the answer printed, as text that a terminal and a page can show."""
        return printable(bytes(self.output).decode("utf-8", "replace"))

    def call(self, calls: Sequence[Inputs]) -> Iterator[Reply]:
        """Yields the replies; see Executor. The time between two replies is the grader's and does
        not count.
        """
        if self._unusable:
            yield self._unusable
            return
        if self._left <= 0:
            yield self._timeout()
            return
        if self._worker is None and (failed := self._load()):
            yield failed
            return
        for number, inputs in enumerate(calls):
            fields, arrays = split_inputs(inputs)
            fields |= {"do": "call", "first": number == 0}
            reply = self._exchange(fields, arrays)
            yield reply
            if reply.status != "ok":
                return

    def _load(self) -> Reply | None:
        """Have a new worker load the answer; what went wrong."""
        self._worker = Connection(self.workers, self.exercise.seconds)
        loaded = self._exchange(*self._loading())
        if loaded.status == "ok":
            return None
        if loaded.status not in ENDED:
            self._unusable = loaded
        return loaded

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

    def _exchange(self, fields, arrays) -> Reply:
        assert self._worker is not None
        started = time.monotonic()
        try:
            reply = self._worker.exchange(pack(fields, arrays), started + self._left)
        except TimeoutError:
            reply = self._timeout()
        self._left -= time.monotonic() - started
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
