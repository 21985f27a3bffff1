"""One question of one learner: the cases asked in turn, the answers compared, the points counted.

The answers come from an `Executor`: a worker process (see `in_worker`), or, for an author's quick
try, this process (see `in_process`). This file never sees a learner's code run.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kerasbook.exercises.exercise import PUBLIC_SEED, Case, Exercise, Inputs, Outputs, Variant
from kerasbook.grading.compare import Difference, first_difference
from kerasbook.grading.text import describe
from kerasbook.grading.worker.values import BadValue, as_outputs

import numpy as np

STATUSES = {  # and what a learner reads
    "pass": "passed",
    "fail": "not right",
    "error": "an exception",
    "timeout": "too slow",
    "memory": "too much memory",
    "crash": "the process ended",
    "protocol": "no proper answer",
    "missing": "not found",
    "forbidden": "not allowed here",
    "internal": "a fault of the grader, not yours",
}


@dataclass
class Reply:
    """What came back from one call: "ok" with outputs, or another status with a message."""

    status: str
    outputs: Outputs = field(default_factory=dict)
    inputs_after: Outputs = field(default_factory=dict)
    message: str = ""


# Several learners may be graded by threads of this process. AutoGraph, in an author's solution,
# parses sources, which Python 3.11 may fail to do in two threads at once.
_one_at_a_time = threading.Lock()


class Executor(Protocol):
    """Calls one learner's solution."""

    def call(self, calls: Sequence[Inputs]) -> list[Reply]:
        """The replies to the calls of one case, in turn; fewer if one was not "ok"."""
        ...


@dataclass
class CaseResult:
    """How one case ended."""

    name: str
    which: str  # "public" or "hidden"
    status: str
    weight: float
    message: str = ""
    case: Case | None = field(default=None, repr=False)
    replies: list[Reply] = field(default_factory=list, repr=False)
    expected: list[Outputs] = field(default_factory=list, repr=False)
    difference: Difference | None = None


@dataclass
class QuestionResult:
    """How one question ended: status of the first case that failed, points, and each case."""

    name: str
    status: str
    points: float
    max_points: float
    message: str = ""  # what to tell the learner: a misconception, or the first failed case
    misconception: str = ""  # name of the wrong solution that answers alike
    cases: list[CaseResult] = field(default_factory=list)
    output: str = ""  # what the learner's code printed, bounded


def secret_seed(key: bytes, exercise: str, submission: bytes) -> int:
    """The seed of a submission's hidden cases: unpredictable without the key, always the same."""
    digest = hashlib.sha256(submission).digest()
    return int.from_bytes(hmac.digest(key, exercise.encode() + b"\0" + digest, "sha256")[:8])


def grade(exercise: Exercise, executor: Executor, seed: int = PUBLIC_SEED) -> QuestionResult:
    """Ask every case, compare, and count the points.

    Args:
        exercise: the question; the number of points comes from here alone.
        executor: calls the learner's solution.
        seed: of the hidden cases. The public cases are the same for all.
    """
    results = []
    for which in ("public", "hidden"):
        cases = exercise.cases(which, PUBLIC_SEED if which == "public" else seed)
        results += [run_case(exercise, executor, case, which) for case in cases]
    failed = next((one for one in results if one.status != "pass"), None)
    result = QuestionResult(
        exercise.name,
        failed.status if failed else "pass",
        round(exercise.points * share_passed(results), 2),
        exercise.points,
        failed.message if failed else "",
        cases=results,
    )
    if failed and (alike := misconception(exercise, results)):
        result.misconception, result.message = alike.name, alike.message
    return result


def share_passed(results: Sequence[CaseResult]) -> float:
    """The weight of the passed hidden cases, or of all cases if that is less, from 0 to 1."""

    def share(chosen):
        passed = sum(one.weight for one in chosen if one.status == "pass")
        return passed / sum(one.weight for one in chosen)

    return min(share([one for one in results if one.which == "hidden"]), share(results))


def run_case(exercise: Exercise, executor: Executor, case: Case, which: str) -> CaseResult:
    """One case: its calls, and what is wrong with the replies."""
    result = CaseResult(case.name, which, "pass", case.weight, case=case)
    result.replies = executor.call(case.all_calls())
    last = result.replies[-1]
    if last.status != "ok":
        result.status, result.message = last.status, last.message
        return result
    try:
        judge_case(exercise, case, result)
    except NoOutput as error:
        result.status, result.message = "protocol", f"the reply has no {error.args[0]!r}"
    except Exception as error:  # the author's reference or judge, not the learner's code
        result.status, result.message = "internal", f"the grader failed: {describe(error)}"
    return result


class NoOutput(Exception):
    """A judge asked for an output that the worker did not send."""


class JudgedOutputs(dict):
    """The outputs of a call, for a judge."""

    def __missing__(self, name):
        """The worker's fault, not the judge's."""
        raise NoOutput(name)


def judge_case(exercise: Exercise, case: Case, result: CaseResult):
    """Compare the replies to a case, and write down what is wrong with them."""
    if exercise.judge_function:
        outputs = [JudgedOutputs(reply.outputs) for reply in result.replies]
        message = exercise.judge_function(case, outputs)
        result.status, result.message = ("fail", message) if message else ("pass", "")
        return
    result.expected = answers(exercise, exercise.solution, case)
    for inputs, reply, expected in zip(
        case.all_calls(), result.replies, result.expected, strict=True
    ):
        difference = differs(exercise, reply.outputs, expected)
        if not difference and case.unchanged:
            difference = changed(inputs, reply.inputs_after)
        if difference:
            result.status, result.message = "fail", difference.message
            result.difference = difference
            return


def differs(
    exercise: Exercise, got: Outputs, expected: Outputs, nan: bool = False
) -> Difference | None:
    """The first difference by the exercise's tolerance and dtypes."""
    return first_difference(
        got,
        expected,
        atol=exercise.atol,
        rtol=exercise.rtol,
        dtypes=exercise.dtypes,
        nan=exercise.nan or nan,
    )


def changed(before: Inputs, after: Outputs) -> Difference | None:
    """Whether the solution wrote into its inputs."""
    for name, array in before.items():
        if isinstance(array, np.ndarray):
            same = name in after and np.array_equal(array, after[name], equal_nan=True)
            if not same:
                return Difference(f"the input {name!r} was changed; work on a copy", name)
    return None


def answers(exercise: Exercise, variant: Variant, case: Case) -> list[Outputs]:
    """What an author's own solution answers to the calls of a case, in this process."""
    with _one_at_a_time:
        if variant.name not in case.known:
            case.known[variant.name] = _answers(exercise, variant, case)
    return case.known[variant.name]


def copied(inputs: Inputs) -> dict[str, Any]:
    """Returns the inputs of a call with arrays of its own."""
    return {
        name: value.copy() if isinstance(value, np.ndarray) else value
        for name, value in inputs.items()
    }


def _answers(exercise: Exercise, variant: Variant, case: Case) -> list[Outputs]:
    memory: dict[str, Any] = {}
    outputs = []
    for inputs in case.all_calls():
        with np.errstate(all="ignore"):  # wrong solutions divide by zero
            value = exercise.drive(variant.function, copied(inputs), memory)
        outputs.append(as_outputs(value, exercise.outputs))
    return outputs


def misconception(exercise: Exercise, results: Sequence[CaseResult]) -> Variant | None:
    """The wrong solution with a message that gives the learner's answers in every case."""
    messages = {one.message for one in results}
    for variant in exercise.misconceptions:
        if exercise.judge_function:
            if variant.message in messages:
                return variant
        elif all(answers_alike(exercise, variant, one) for one in results):
            return variant
    return None


def answers_alike(exercise: Exercise, variant: Variant, result: CaseResult) -> bool:
    """Whether a wrong solution ends a case as the learner's did."""
    assert result.case
    try:
        outputs = answers(exercise, variant, result.case)
    except BadValue as error:
        return result.status == "fail" and result.message == str(error)
    except Exception as error:
        return result.status == "error" and result.message.startswith(type(error).__name__)
    return result.replies[-1].status == "ok" and all(
        same_kind(reply.outputs, mine) and differs(exercise, reply.outputs, mine, nan=True) is None
        for reply, mine in zip(result.replies, outputs, strict=True)
    )


def same_kind(got: Outputs, mine: Outputs) -> bool:
    """Whether arrays of the same names have the same kinds of dtype."""
    return set(got) == set(mine) and all(
        got[name].dtype.kind == mine[name].dtype.kind for name in got
    )
