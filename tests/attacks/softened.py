"""The exercise that the attacks are submitted to: a NumPy function, three cases."""

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter=1, minutes=1, difficulty=1, points=4, hints=["", "", ""], atol=1e-9, rtol=1e-9
)
exercise.seconds = 3.0


@exercise.stub
def softened(values, factor):
    """Return factor · tanh(values)."""
    raise NotImplementedError


@exercise.public
def example(random):
    yield Case("by hand", {"values": np.array([0.0, 1.0, -2.0]), "factor": 2.0})


@exercise.hidden
def drawn(random):
    for n in (1, 7):
        inputs = {"values": random.normal(size=n), "factor": float(random.uniform(1, 2))}
        yield Case(f"{n} values", inputs, unchanged=True)


@exercise.reference
def solution(values, factor):
    return factor * np.tanh(values)


@exercise.wrong("The factor belongs outside of tanh.")
def factor_inside(values, factor):
    return np.tanh(factor * values)
