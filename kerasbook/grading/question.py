"""One question of one learner: the cases asked in turn, the answers compared, the points counted.

The answers come from an `Executor`: a worker process (see `in_worker`), or, for an author's quick
try, this process (see `in_process`). This file never sees a learner's code run.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from kerasbook.exercises.exercise import PUBLIC_SEED, Case, Exercise, Inputs, Outputs, Variant
from kerasbook.grading.compare import Difference, first_difference
from kerasbook.grading.text import describe
from kerasbook.grading.worker.values import BadValue, as_outputs
from kerasbook.grading.worker.wire import MAX_BYTES

import numpy as np

LARGE = 2**20  # bytes; a larger wrong answer is not kept to be shown
STATUSES = {  # and what a learner reads
    "pass": "passed",
    "fail": "not right",
    "error": "an exception",
    "timeout": "too slow",
    "memory": "too much memory",
    "crash": "the process ended",
    "protocol": "no proper answer",
    "missing": "not found",
    "unreadable": "cannot be read",
    "not begun": "not begun",
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

    def call(self, calls: Sequence[Inputs]) -> Iterator[Reply]:
        """Yields the replies to the calls of one case, in turn; fewer if one was not "ok"."""
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
    number: int = 0  # of the call that the message is about
    difference: Difference | None = None
    got: np.ndarray | None = field(default=None, repr=False)  # where they differ; not if large
    expected: np.ndarray | None = field(default=None, repr=False)


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
    """Returns the seed of a submission's hidden cases: unpredictable without the key, always the
    same.
    """
    digest = hashlib.sha256(submission).digest()
    return int.from_bytes(hmac.digest(key, exercise.encode() + b"\0" + digest, "sha256")[:8])


def grade(exercise: Exercise, executor: Executor, seed: int = PUBLIC_SEED) -> QuestionResult:
    """Asks every case, compares, and counts the points.

    Args:
        exercise: the question; the number of points comes from here alone.
        executor: calls the learner's solution.
        seed: of the hidden cases. The public cases are the same for all.
    """
    results, suspects = [], Suspects(exercise)
    for which in ("public", "hidden"):
        cases = exercise.cases(which, PUBLIC_SEED if which == "public" else seed)
        results += [run_case(exercise, executor, case, which, suspects) for case in cases]
    failed = next((one for one in results if one.status != "pass"), None)
    result = QuestionResult(
        exercise.name,
        failed.status if failed else "pass",
        round(exercise.points * share_passed(results), 2),
        exercise.points,
        failed.message if failed else "",
        cases=results,
    )
    if failed and (alike := suspects.misconception(results)):
        result.misconception, result.message = alike.name, alike.message
    return result


def share_passed(results: Sequence[CaseResult]) -> float:
    """Returns the share passed of the hidden cases, or of all cases if that is less."""

    def share(chosen):
        passed = sum(one.weight for one in chosen if one.status == "pass")
        return passed / sum(one.weight for one in chosen)

    return min(share([one for one in results if one.which == "hidden"]), share(results))


def run_case(
    exercise: Exercise, executor: Executor, case: Case, which: str, suspects: Suspects
) -> CaseResult:
    """Returns one case: its calls, and what is wrong with the replies."""
    result = CaseResult(case.name, which, "pass", case.weight, case=case)
    replies = executor.call(case.all_calls())
    try:
        if exercise.judge_function:
            judge_case(exercise, case, replies, result)
        else:
            compare_case(exercise, case, replies, result, suspects)
    except NoOutput as error:
        result.status, result.message = "protocol", f"the reply has no {error.args[0]!r}"
    except AuthorsFault as error:
        result.status, result.message = "internal", f"the grader failed: {error}"
        suspects.left.clear()
    return result


class AuthorsFault(Exception):
    """The author's reference or judge failed, not the learner's code."""


@contextlib.contextmanager
def authors_code() -> Iterator[None]:
    """Tells the faults of an author's code from others."""
    try:
        yield
    except NoOutput:
        raise
    except Exception as error:
        raise AuthorsFault(describe(error)) from error


class NoOutput(Exception):
    """A judge asked for an output that the worker did not send."""


class JudgedOutputs(dict):
    """The outputs of a call, for a judge."""

    def __missing__(self, name):
        """The worker's fault, not the judge's."""
        raise NoOutput(name)


def judge_case(exercise: Exercise, case: Case, replies: Iterable[Reply], result: CaseResult):
    """Lets the author's judge look at all replies to a case, which are bounded together."""
    assert exercise.judge_function
    outputs, size = [], 0
    for reply in replies:
        if reply.status != "ok":
            result.status, result.message = reply.status, reply.message
            return
        outputs.append(JudgedOutputs(reply.outputs))
        size += sum(array.nbytes for array in reply.outputs.values())
        if size > MAX_BYTES:
            result.status = "protocol"
            result.message = f"more than {MAX_BYTES >> 20} MiB in the replies to one case"
            return
    with authors_code():
        message = exercise.judge_function(case, outputs)
    result.status, result.message = ("fail", message) if message else ("pass", "")


def compare_case(
    exercise: Exercise,
    case: Case,
    replies: Iterable[Reply],
    result: CaseResult,
    suspects: Suspects,
):
    """Compares each reply to a case with the reference's, and lets it go."""
    calls = case.all_calls()
    for number, reply in enumerate(replies):
        difference = None
        if reply.status != "ok":
            result.status, result.message, result.number = reply.status, reply.message, number
        else:
            with authors_code():
                expected = answers(exercise, exercise.solution, case)[number]
            difference = differs(exercise, reply.outputs, expected)
            if not difference and case.unchanged:
                difference = changed(calls[number], reply.inputs_after)
        if difference and result.status == "pass":
            result.status, result.message, result.number = "fail", difference.message, number
            result.difference = difference
            if (got := reply.outputs.get(difference.output)) is not None and got.nbytes <= LARGE:
                result.got, result.expected = got, expected[difference.output]
        suspects.note(case, number, reply, wrong=result.status != "pass")


def differs(
    exercise: Exercise, got: Outputs, expected: Outputs, nan: bool = False
) -> Difference | None:
    """Returns the first difference by the exercise's tolerance and dtypes."""
    return first_difference(
        got,
        expected,
        atol=exercise.atol,
        rtol=exercise.rtol,
        dtypes=exercise.dtypes,
        nan=exercise.nan or nan,
    )


def changed(before: Inputs, after: Outputs) -> Difference | None:
    """Returns whether the solution wrote into its inputs."""
    for name, array in before.items():
        if isinstance(array, np.ndarray):
            same = name in after and np.array_equal(array, after[name], equal_nan=True)
            if not same:
                return Difference(f"the input {name!r} was changed; work on a copy", name)
    return None


def answers(exercise: Exercise, variant: Variant, case: Case) -> list[Outputs]:
    """Returns what an author's own solution answers to the calls of a case, in this process."""
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


class Suspects:
    """The misconceptions that have given all of a learner's answers so far.

    Right answers are kept until the first wrong one, as they are as small as the reference's;
    wrong ones, which may be large, are compared at once and not kept.
    """

    def __init__(self, exercise: Exercise):
        self.exercise = exercise
        self.left = list(exercise.misconceptions)
        self.right: list[tuple[Case, int, Reply]] = []

    def note(self, case: Case, number: int, reply: Reply, wrong: bool) -> None:
        """Compares a reply with the misconceptions', at the latest when one is wrong."""
        self.right.append((case, number, Reply(reply.status, reply.outputs, {}, reply.message)))
        if wrong:
            self.left = [one for one in self.left if all(map(self._alike(one), self.right))]
            self.right.clear()

    def misconception(self, results: Sequence[CaseResult]) -> Variant | None:
        """Returns the one that answers alike, or whose message a judge has given."""
        if self.exercise.judge_function:
            messages = {one.message for one in results}
            left = [one for one in self.exercise.misconceptions if one.message in messages]
        else:
            left = [one for one in self.left if all(map(self._alike(one), self.right))]
        return left[0] if left else None

    def _alike(self, variant: Variant) -> Callable[[tuple[Case, int, Reply]], bool]:
        return lambda noted: answers_alike(self.exercise, variant, *noted)


def answers_alike(
    exercise: Exercise, variant: Variant, case: Case, number: int, reply: Reply
) -> bool:
    """Returns whether a wrong solution answers a call as the learner's did."""
    try:
        mine = answers(exercise, variant, case)[number]
    except Exception as error:
        if reply.status == "ok":  # it may fail in a later call
            return number + 1 < len(case.all_calls())
        if isinstance(error, BadValue):
            return reply.status == "fail" and reply.message == str(error)
        return reply.status == "error" and reply.message.startswith(type(error).__name__)
    return (
        reply.status == "ok"
        and same_kind(reply.outputs, mine)
        and differs(exercise, reply.outputs, mine, nan=True) is None
    )


def same_kind(got: Outputs, mine: Outputs) -> bool:
    """Returns whether arrays of the same names have the same kinds of dtype."""
    return set(got) == set(mine) and all(
        got[name].dtype.kind == mine[name].dtype.kind for name in got
    )
