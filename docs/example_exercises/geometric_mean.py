"""The geometric mean."""

from kerasbook.exercises import Case, Exercise

import numpy as np

exercise = Exercise(
    chapter=1,
    minutes=10,
    difficulty=1,
    points=2,
    atol=1e-6,
    rtol=1e-6,
    seconds=10.0,
    hints=[
        "Try it with 2 and 8: the product is 16, and the answer is 4.",
        "A product of many values leaves the range of floating point numbers. A sum does not, and "
        "a logarithm makes sums of products.",
        "The mean of the logarithms, and of that the exponential: np.exp(np.mean(np.log(x))).",
    ],
)


@exercise.stub
def geometric_mean(values):
    """The n-th root of the product of n values.

    It must be right where the product itself is too large or too small for a float64.

    Args:
        values: (n,) float64 array, all above 0; n ≥ 1. Leave it unchanged.

    Returns:
        a float, float32 or float64. Tolerance: 1e-6 + 1e-6 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    # The same for everybody. The learner sees inputs, expected values and messages.
    yield Case("2 and 8", {"values": np.array([2.0, 8.0])})
    yield Case("one value", {"values": np.array([3.0])})


@exercise.hidden
def drawn(random):
    # `random` has another seed for every submission. The learner sees only the cases' names.
    for number in range(3):
        inputs = {"values": random.uniform(0.5, 4.0, size=5 + number)}
        yield Case(f"{5 + number} values", inputs, unchanged=True)
    yield Case("800 large values", {"values": random.uniform(10.0, 20.0, size=800)}, weight=2.0)
    yield Case("800 small values", {"values": random.uniform(0.01, 0.02, size=800)}, weight=2.0)


@exercise.reference
def solution(values):
    return np.exp(np.mean(np.log(values)))


# Other right solutions: each must get full points.


@exercise.right
def with_base_two(values):
    return 2.0 ** (np.log2(values).sum() / len(values))


@exercise.right
def root_before_product(values):
    return np.prod(values ** (1.0 / len(values)))


@exercise.right
def in_plain_python(values):
    import math

    return math.exp(sum(math.log(value) for value in values) / len(values))


# Wrong solutions: each must lose points. One with a message is a misconception: a learner whose
# answers are the same in every case reads that message.


@exercise.wrong("That is the mean of the values themselves: add logarithms instead of values.")
def arithmetic_mean(values):
    return np.mean(values)


# One that differs from the reference in one place only needs that place.
exercise.mistake(
    "left_as_logarithm",
    "The last step is missing: the exponential turns the logarithm back into a value.",
    old="np.exp(np.mean(np.log(values)))",
    new="np.mean(np.log(values))",
)


@exercise.wrong("The root is always the square root: it must be the n-th, for n values.")
def always_square_root(values):
    return np.sqrt(np.prod(values))


@exercise.wrong("The product leaves the range of float64 for many values: add logarithms.")
def product_first(values):
    return np.prod(values) ** (1.0 / len(values))


@exercise.wrong()
def harmonic_mean(values):
    return len(values) / np.sum(1.0 / values)


@exercise.wrong()
def middle_value(values):
    return np.median(values)


exercise.mistake("sum_not_mean", old="np.mean", new="np.sum")


@exercise.wrong()
def one_too_few(values):
    return np.exp(np.sum(np.log(values)) / max(len(values) - 1, 1))


@exercise.wrong()
def an_array_of_one(values):
    return np.exp(np.mean(np.log(values), keepdims=True))
