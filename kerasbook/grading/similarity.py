"""Which answers are alike: shared runs of syntax, whatever the names, comments and layout.

Likeness is the share of runs of seven syntax nodes (Jaccard index) that two answers have in common,
those that most of the class shares left out. It is a reason to look, not a verdict.
"""

from __future__ import annotations

import ast
import warnings
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
    """The runs of syntax nodes of one answer; names, numbers and docstrings do not count."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a learner's "\\d" and the like
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            kinds = list(kinds_of(node))
            return {tuple(kinds[at : at + RUN]) for at in range(len(kinds) - RUN + 1)}
    return set()


def kinds_of(tree: ast.AST) -> Iterator[str]:
    """The kinds of the nodes below one, each before those in it."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield type(node).__name__ + (f".{node.attr}" if isinstance(node, ast.Attribute) else "")
        waiting += [
            one for one in reversed(list(ast.iter_child_nodes(node))) if not without_meaning(one)
        ]


def without_meaning(node: ast.AST) -> bool:
    """Whether it is a docstring or another text that stands alone, or a mark of the parser's."""
    alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return alone or isinstance(node, ast.expr_context)
