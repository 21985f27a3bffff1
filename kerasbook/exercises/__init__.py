"""Exercises: a stub with its specification, cases, solutions right and wrong, and hints.

They are judged by kerasbook.grading; a learner's tools are in kerasbook.learner.
"""

from kerasbook.exercises.exercise import Case, Exercise, ExerciseError, load

__all__ = ["Case", "Exercise", "ExerciseError", "load"]
