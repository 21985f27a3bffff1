"""Which answers are alike: shared runs of syntax, whatever the names, comments and layout.

Likeness is the share of runs of seven syntax nodes (Jaccard index) that two answers have in common,
those that most of the class shares left out. It is a reason to look, not a verdict.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import combinations

from kerasbook.exercises.exercise import Exercise
from kerasbook.grading.submissions import Submission

RUN = 7
FEWEST_RUNS = 12
LIKE = 0.8


def pairs(
    submissions: Iterable[Submission], exercises: dict[str, Exercise]
) -> Iterator[tuple[str, str, str, float]]:
    """Question, learner, learner, likeness, for pairs of at least 0.8, the most alike first."""
    given = sorted(submissions, key=lambda one: one.learner)
    found = []
    for name in exercises:
        runs = {one.learner: runs_of(one.answers.get(name, ""), name) for one in given}
        counts = Counter(run for mine in runs.values() for run in mine)
        # In a large class, what half of all have written is the obvious way.
        usual = {run for run, count in counts.items() if count > max(3, len(runs) / 2)}
        own = {learner: mine - usual for learner, mine in runs.items()}
        for one, other in combinations(own, 2):
            together = len(own[one] | own[other])
            if together < FEWEST_RUNS:
                continue
            likeness = len(own[one] & own[other]) / together
            if likeness >= LIKE:
                found.append((name, one, other, round(likeness, 3)))
    yield from sorted(found, key=lambda row: (-row[3], row))


def runs_of(source: str, name: str) -> set[tuple[str, ...]]:
    """The runs of syntax nodes of one answer; names and numbers count as the same."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError):
        return set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            kinds = [
                type(one).__name__ + (f".{one.attr}" if isinstance(one, ast.Attribute) else "")
                for one in ast.walk(node)
                if not isinstance(one, ast.Load | ast.Store)
            ]
            return {tuple(kinds[at : at + RUN]) for at in range(len(kinds) - RUN + 1)}
    return set()
