"""An exercise that forbids something: the learner is to write the layer, not to call it."""

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter=4,
    minutes=1,
    difficulty=1,
    points=4,
    hints=["", "", ""],
    forbidden=["keras.layers.GRU", "keras.Model.fit", "numpy.linalg.lstsq"],
)
exercise.seconds = 5.0  # a first use of TensorFlow


@exercise.stub
def final_state(inputs):
    """Return the last state of a GRU whose weights are all 0: zeros (batch, 2)."""
    raise NotImplementedError


@exercise.public
def example(random):
    yield Case("one", {"inputs": np.ones((1, 3, 2), "float32")})


@exercise.hidden
def drawn(random):
    yield Case("three", {"inputs": random.normal(size=(3, 4, 2)).astype("float32")})


@exercise.reference
def solution(inputs):
    return np.zeros((len(inputs), 2), "float32")
