"""Made-up pictures for the tests of several chapters."""

from kerasbook.data import Part, Splits

import numpy as np


def made_up(shape=(28, 28, 1), examples=60, name="fashion"):
    """Small splits in which a bright row tells the class."""
    random = np.random.default_rng(0)

    def part():
        y = random.integers(0, 10, examples).astype("int32")
        x = random.normal(0, 0.1, (examples, *shape)).astype("float32")
        x[np.arange(examples), 2 + 2 * y] += 3
        return Part(x, y)

    classes = tuple(f"kind {number}" for number in range(10))
    return Splits(part(), part(), part(), name, "Made up", "kind", "embedded", classes)
