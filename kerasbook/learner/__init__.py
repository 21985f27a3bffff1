"""A learner's side of the exercises: start, check, hints, feedback, watch."""

from kerasbook.learner.notebook import check

__all__ = ["check"]
