"""Exercises: a stub with its specification, cases, solutions right and wrong, and hints.

They are judged by kerasbook.grading; a learner's tools are in kerasbook.learner.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasbook.exercises.exercise import Case, Exercise, ExerciseError, load

__all__ = ["Case", "Exercise", "ExerciseError", "load"]


def __getattr__(name: str):
    """Returns one of the above when it is first asked for: a list of exercises needs none."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kerasbook.exercises import exercise

    return getattr(exercise, name)
