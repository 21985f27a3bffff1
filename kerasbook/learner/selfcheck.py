"""Are the exercises themselves right? Every author's solution is graded, the wrong ones too.

    kerasbook exercises selfcheck
    kerasbook exercises selfcheck --chapter 4 --here   # in this process: quicker, for authors

For each exercise the stub must fail; the reference and every right solution must get full points
with three seeds; every wrong solution must lose points; and each misconception must get its own
message, and no other its message.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field

from kerasbook.exercises.exercise import PUBLIC_SEED, Exercise, Variant
from kerasbook.grading.in_process import InProcess
from kerasbook.grading.in_worker import InWorker
from kerasbook.grading.question import Executor, QuestionResult, grade
from kerasbook.grading.workers import Workers

SEEDS = 3
ExecutorOf = Callable[[Exercise, str], contextlib.AbstractContextManager[Executor]]


@dataclass
class Counts:
    """What was graded, and what was wrong with it."""

    exercises: int = 0
    right: int = 0
    wrong: int = 0
    misconceptions: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Adds another's counts."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)

    def as_json(self) -> str:
        """Returns the counts as JSON."""
        return json.dumps(asdict(self), indent=1) + "\n"

    def __str__(self) -> str:
        """The counts in a sentence."""
        return (
            f"{self.exercises} exercises: {self.right} right solutions got full points, "
            f"{self.wrong} wrong ones lost points, {self.misconceptions} misconceptions got "
            f"their own message; {len(self.problems)} problems"
        )


def selfcheck(
    exercises: Iterable[Exercise],
    workers: Workers | None = None,
    jobs: int = 1,
    seeds: int = SEEDS,
    told: Callable[[str], None] = print,
) -> Counts:
    """Grades every solution that the authors wrote.

    Args:
        exercises: those to check.
        workers: run the solutions; without them, this process does.
        jobs: exercises at a time.
        seeds: how many draws of the hidden cases each right solution must pass.
        told: gets a line for each exercise.
    """
    total = Counts()

    @contextlib.contextmanager
    def executor_of(exercise: Exercise, source: str) -> Iterator[Executor]:
        if workers is None:
            yield InProcess(exercise, source)
        else:
            with InWorker(workers, exercise, source) as answer:
                yield answer

    def one(exercise: Exercise) -> Counts:
        counts = Counts(exercises=1)
        counts.problems = list(problems(exercise, executor_of, counts, seeds))
        return counts

    exercises = list(exercises)
    with ThreadPoolExecutor(jobs) as pool:
        for exercise, counts in zip(exercises, pool.map(one, exercises), strict=True):
            told(f"{'problem' if counts.problems else 'fine':8} {exercise.name}")
            for problem in counts.problems:
                told(f"         {problem}")
            total.add(counts)
    return total


def problems(
    exercise: Exercise, executor_of: ExecutorOf, counts: Counts, seeds: int
) -> Iterator[str]:
    """Yields what is wrong with one exercise, a sentence each."""

    def graded(source: str, seed: int = PUBLIC_SEED) -> QuestionResult:
        with executor_of(exercise, source) as executor:
            return grade(exercise, executor, seed)

    if graded(exercise.blank_source).points > 0:
        yield f"{exercise.name}: the stub gets points"
    for variant in [exercise.solution, *exercise.right_ones]:
        results = [graded(variant.source, seed) for seed in range(1, seeds + 1)]
        bad = [problem for one in results for problem in not_full(exercise, variant, one)]
        yield from bad[:1]
        counts.right += not bad
    for variant in exercise.wrong_ones:
        result = graded(variant.source, 1)
        bad = list(not_caught(exercise, variant, result))
        yield from bad
        counts.wrong += not bad
        counts.misconceptions += not bad and bool(variant.message)


def not_full(exercise: Exercise, variant: Variant, result: QuestionResult) -> Iterator[str]:
    """Yields what a right solution lacks of full points, a sentence each."""
    if result.status != "pass" or result.points != exercise.points:
        case = next(one for one in result.cases if one.status != "pass")
        yield (
            f"{exercise.name}: {variant.name} is right and got {result.points} of "
            f"{exercise.points} points: {case.name}: {case.status}: {case.message}"
        )


def not_caught(exercise: Exercise, variant: Variant, result: QuestionResult) -> Iterator[str]:
    """Yields how a wrong solution escaped: without losing points, or without its message."""
    if result.points >= exercise.points:
        yield f"{exercise.name}: {variant.name} is wrong and got full points"
    elif variant.message and result.message != variant.message:
        yield f"{exercise.name}: {variant.name} was told {result.message!r}, not its own message"
    elif not variant.message and result.misconception:
        yield f"{exercise.name}: {variant.name} got the message of {result.misconception}"
    elif result.status == "internal":
        yield f"{exercise.name}: {variant.name}: {result.message}"
