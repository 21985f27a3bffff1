"""A learner's side of the exercises: start, check, hints, feedback, watch."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kerasbook.learner.notebook import check

__all__ = ["check"]


def __getattr__(name: str):
    """Returns `check` when it is first asked for: a hint needs none of the grader."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from kerasbook.learner import notebook

    return getattr(notebook, name)
