"""Calls a solution in this process: for code that is trusted, such as an author's quick try."""

from __future__ import annotations

import linecache
from collections.abc import Iterator, Sequence
from typing import Any

from kerasbook.exercises.exercise import Exercise, Inputs
from kerasbook.grading.question import Reply, copied
from kerasbook.grading.text import describe
from kerasbook.grading.worker.values import BadValue, as_outputs

import numpy as np


class InProcess:
    """An Executor that runs the solution in this process, without limits.

    Args:
        exercise: gives the driver and the names of the outputs.
        source: the text of a solution.
    """

    def __init__(self, exercise: Exercise, source: str):
        self.exercise = exercise
        self.namespace: dict[str, Any] = {"__name__": "submission"}
        self.problem: Reply | None = None
        try:
            name = f"<{exercise.name} {id(self)}>"
            linecache.cache[name] = (len(source), None, source.splitlines(True), name)
            exec(compile(source, name, "exec"), self.namespace)
        except Exception as error:
            self.problem = Reply("error", message=describe(error))

    def call(self, calls: Sequence[Inputs]) -> Iterator[Reply]:
        """Yields the replies; see Executor."""
        memory: dict[str, Any] = {}
        for inputs in calls:
            reply = self.problem or self._call_once(inputs, memory)
            yield reply
            if reply.status != "ok":
                return

    def _call_once(self, inputs: Inputs, memory: dict) -> Reply:
        copies = copied(inputs)
        try:
            value = self.exercise.drive(self.namespace[self.exercise.name], copies, memory)
            outputs = as_outputs(value, self.exercise.outputs)
        except BadValue as error:
            return Reply("fail", message=str(error))
        except Exception as error:
            return Reply("error", message=describe(error))
        after = {name: value for name, value in copies.items() if isinstance(value, np.ndarray)}
        return Reply("ok", outputs, after)
