"""Exercises: a stub with its specification, cases, hints, and a grader that answers mistakes."""

from collections.abc import Callable

from kerasbook.exercises.exercise import Case, Exercise, ExerciseError, load

__all__ = ["Case", "Exercise", "ExerciseError", "check", "load"]


def check(function: Callable) -> bool:
    """Check a function or class of a notebook; see kerasbook.learner.notebook.check."""
    from kerasbook.learner import notebook

    return notebook.check(function)
