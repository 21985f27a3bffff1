"""Exercises: a stub with its specification, cases, hints, and a grader that answers mistakes."""

from kerasbook.exercises.exercise import Case, Exercise, ExerciseError, load

__all__ = ["Case", "Exercise", "ExerciseError", "load"]
