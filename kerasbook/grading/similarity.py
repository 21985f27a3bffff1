"""Which answers are alike: shared runs of syntax, whatever the names, comments and layout.

Likeness is the share of runs of seven syntax nodes (Jaccard index) that two answers have in common.
Left out are those that most of the class shares in answers that differ otherwise: the obvious way.
However many copy one answer, they count as one. It is a reason to look, not a verdict.

The runs are made where a submission is taken in, so this file needs only the standard library.
"""

from __future__ import annotations

import ast
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from itertools import combinations, islice

RUN = 7
FEWEST_RUNS = 12
MOST_RUNS, MOST_NODES = 2_000, 20_000  # of one answer; the longest of the book's have 500
LIKE = 0.8


def pairs(
    runs: Mapping[str, Mapping[str, Collection[int]]], questions: Iterable[str]
) -> Iterator[tuple[str, str, str, float]]:
    """Yields question, learner, learner, likeness, for pairs of at least 0.8, the most alike first.

    Args:
        runs: learner → question → what `runs_of` gave.
        questions: names.
    """
    found = []
    for name in questions:
        given = {learner: set(runs[learner].get(name, ())) for learner in sorted(runs)}
        usual = usual_runs(given.values())
        own = {learner: mine - usual for learner, mine in given.items()}
        for one, other in combinations(own, 2):
            likeness = shared(own[one], own[other])
            if likeness >= LIKE and len(own[one] | own[other]) >= FEWEST_RUNS:
                found.append((name, one, other, round(likeness, 3)))
    yield from sorted(found, key=lambda row: (-row[3], row))


def usual_runs(answers: Iterable[set[int]]) -> set[int]:
    """Returns the runs that most answers have, of those that are alike only the first counted."""
    different: list[set[int]] = []
    for mine in answers:
        if mine and not any(shared(mine, other) >= LIKE for other in different):
            different.append(mine)
    counts = Counter(run for mine in different for run in mine)
    return {run for run, count in counts.items() if count > max(3, len(different) / 2)}


def shared(one: set[int], other: set[int]) -> float:
    """Returns the share of all runs of two answers that both have; 0 if there are none."""
    return len(one & other) / max(len(one | other), 1)


def runs_of(source: str, name: str) -> list[int]:
    """Returns digests of the runs of syntax nodes of one answer, without names, numbers and
    docstrings.

    Of an answer with more runs than MOST_RUNS those with the smallest digests, which are as good
    as drawn by chance, and the same in a copy.
    """
    for node in statements_of(source):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name:
            kinds = list(islice(kinds_of(node), MOST_NODES))
            runs = {" ".join(kinds[at : at + RUN]) for at in range(len(kinds) - RUN + 1)}
            return sorted(digest_of(run) for run in runs)[:MOST_RUNS]
    return []


@lru_cache(maxsize=1)  # the answers to several questions mostly stand in one file
def statements_of(source: str) -> list[ast.stmt]:
    """Returns the statements of a program; none if it is no program."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a learner's "\\d" and the like
            return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def digest_of(run: str) -> int:
    """Returns eight bytes for a run, the same in every process."""
    return int.from_bytes(blake2b(run.encode("utf-8", "replace"), digest_size=8).digest())


def kinds_of(tree: ast.AST) -> Iterator[str]:
    """Yields the kinds of the nodes below one, each before those in it."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield type(node).__name__ + (f".{node.attr}" if isinstance(node, ast.Attribute) else "")
        waiting += [
            one for one in reversed(list(ast.iter_child_nodes(node))) if not without_meaning(one)
        ]


def without_meaning(node: ast.AST) -> bool:
    """Returns whether it is a docstring or another text that stands alone, or a mark of the
    parser's.
    """
    alone = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return alone or isinstance(node, ast.expr_context)
