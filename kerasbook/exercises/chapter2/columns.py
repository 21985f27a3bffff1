"""Softmax with a temperature, along the columns."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=2,
    minutes=5,
    difficulty=1,
    points=1,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "It is the chapter's softmax, with the scores divided by the temperature first. What else "
        "is different: along which axis must the probabilities add up to 1?",
        "Each column belongs to one picture, so sums and maxima go along axis 0. With "
        "keepdims=True they have the shape (1, n) and fit under the scores.",
        "z = z / temperature; powers = np.exp(z − z.max(axis=0, keepdims=True)); "
        "powers / powers.sum(axis=0, keepdims=True).",
    ],
)


@exercise.stub
def softmax_of_columns(z, temperature):
    """The probabilities of scores that stand in columns, softened by a temperature.

    In the chapter a row belongs to a picture. Here each *column* has the K scores of one picture,
    and the probabilities in each column add up to 1:

        p_ki = e^(z_ki / T) / Σ_j e^(z_ji / T)

    T is the temperature: above 1 the probabilities become more even, below 1 more decided. It must
    be right for scores up to ±10,000.

    Practises: chapter 2, "Ten garments".

    Args:
        z: (K, n) float array, the scores; a column for each picture.
        temperature: number T > 0.

    Returns:
        (K, n) array, float32 or float64. Tolerance: 1e-6 + 1e-5 · |expected|; no NaN.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    z = np.array([[2.0, 0.0], [1.0, 0.0], [0.0, 3.0]])
    yield Case("two pictures, three classes", {"z": z, "temperature": 1.0})
    yield Case("the same, hotter", {"z": z, "temperature": 4.0})


@exercise.hidden
def drawn(random):
    for number in range(3):
        classes, n = (int(size) for size in random.integers(3, 9, 2))
        z = random.normal(0, 3, (classes, n + 2))
        inputs = {"z": z, "temperature": float(random.uniform(0.3, 3))}
        yield Case(f"drawn scores {number}", inputs, unchanged=True)
    z = random.normal(0, 3, (5, 5))
    yield Case("as many classes as pictures", {"z": z, "temperature": 0.5})
    z = random.uniform(-10_000, 10_000, (4, 7))
    z[:2, 0] = 10_000, 9_999
    yield Case("large scores", {"z": z, "temperature": 2.0})


@exercise.reference
def solution(z, temperature):
    z = z / temperature
    powers = np.exp(z - z.max(axis=0, keepdims=True))
    return powers / powers.sum(axis=0, keepdims=True)


@exercise.right
def transposed_and_back(z, temperature):
    rows = z.T / temperature
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).T


@exercise.right
def with_tensorflow(z, temperature):
    return tf.nn.softmax(z / temperature, axis=0)


@exercise.right
def column_by_column(z, temperature):
    found = np.zeros(z.shape)
    for i in range(z.shape[1]):
        column = [score / temperature for score in z[:, i]]
        powers = [np.exp(score - max(column)) for score in column]
        found[:, i] = np.array(powers) / sum(powers)
    return found


@exercise.wrong(
    "The rows add up to 1, not the columns. Here a column belongs to a picture: axis 0."
)
def the_chapters(z, temperature):
    z = z / temperature
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@exercise.wrong(
    "Large scores overflow: e^10000 is no number. Subtract the column's largest score first; that "
    "changes no probability."
)
def overflows(z, temperature):
    with np.errstate(all="ignore"):
        powers = np.exp(z / temperature)
        return powers / powers.sum(axis=0)


@exercise.wrong("The probabilities are divided by T. It is the scores that are, before the power.")
def probabilities_divided(z, temperature):
    powers = np.exp(z - z.max(axis=0))
    return powers / powers.sum(axis=0) / temperature


@exercise.wrong("The scores are multiplied by T. A high temperature must make them more alike.")
def times_temperature(z, temperature):
    z = z * temperature
    powers = np.exp(z - z.max(axis=0))
    return powers / powers.sum(axis=0)


@exercise.wrong("The temperature is not used.")
def no_temperature(z, temperature):
    powers = np.exp(z - z.max(axis=0))
    return powers / powers.sum(axis=0)


@exercise.wrong(
    "All the numbers together add up to 1. Each column is a picture of its own and has its own sum."
)
def one_sum(z, temperature):
    powers = np.exp((z - z.max()) / temperature)
    return powers / powers.sum()


@exercise.wrong()
def largest_subtracted_after_the_division_only_above(z, temperature):
    with np.errstate(all="ignore"):
        return np.exp(z / temperature - z.max(axis=0)) / np.exp(z / temperature).sum(axis=0)


@exercise.wrong()
def logarithms(z, temperature):
    z = z / temperature
    z = z - z.max(axis=0)
    return z - np.log(np.exp(z).sum(axis=0))


@exercise.wrong()
def shares_of_the_scores(z, temperature):
    with np.errstate(all="ignore"):
        return z / z.sum(axis=0)
