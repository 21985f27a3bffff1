"""Poisson batches of a fixed shape."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter10_privacy",
    minutes=15,
    difficulty=2,
    points=2,
    outputs=("rows", "weights"),
    hints=[
        "Each row of `uniform` is a step. Which examples are drawn in it? They may be none.",
        "np.flatnonzero gives the numbers of those that are drawn, in ascending order. Fill up "
        "with row 0 and weight 0.",
        "for each step: drawn = np.flatnonzero(uniform[step] < rate); rows[step, :len(drawn)] = "
        "drawn; weights[step, :len(drawn)] = 1.",
    ],
)


@exercise.stub
def fill_batch(uniform, rate, room):
    """Poisson batches in arrays of a fixed shape, so that one compiled step can take them all.

    In each step every example is in the batch if its own number is below `rate`, whatever happens
    to the others. The numbers of the examples of a batch stand at the front of its row in ascending
    order, with the weight 1. The places behind them have the number 0 and the weight 0. If more are
    drawn than there is room for, ValueError is raised: leaving some out would change the rate.

    Practises: chapter 10, continued: does it keep a secret?, "How are the batches drawn?".

    Args:
        uniform: (steps, examples) float64, from 0 to 1.
        rate: float from 0 to 1.
        room: positive integer.

    Returns:
        Two arrays (steps, room): integers, and floats 0 or 1.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    try:
        return solution(**inputs)
    except ValueError:
        return np.full((1, 1), -1), np.full((1, 1), -1.0)


@exercise.public
def examples(random):
    yield Case("three steps", {"uniform": random.uniform(size=(3, 8)), "rate": 0.4, "room": 8})


@exercise.hidden
def drawn(random):
    for steps, examples, rate, room in ((4, 30, 0.2, 20), (2, 100, 0.05, 25), (5, 6, 0.9, 6)):
        uniform = random.uniform(size=(steps, examples))
        inputs = {"uniform": uniform, "rate": rate, "room": room}
        yield Case(f"rate {rate}", inputs, unchanged=True)
    none = random.uniform(0.3, 1, (3, 10))
    none[1, 4] = 0.05
    yield Case("empty batches", {"uniform": none, "rate": 0.1, "room": 5})
    yield Case("everybody", {"uniform": random.uniform(size=(2, 7)), "rate": 1.0, "room": 9})
    full = random.uniform(0.5, 1, (2, 12))
    full[0, 3:9] = 0.01
    yield Case("no room", {"uniform": full, "rate": 0.2, "room": 5})


@exercise.reference
def solution(uniform, rate, room):
    steps = len(uniform)
    rows, weights = np.zeros((steps, room), int), np.zeros((steps, room))
    for step in range(steps):
        drawn = np.flatnonzero(uniform[step] < rate)
        if len(drawn) > room:
            raise ValueError(f"{len(drawn)} were drawn, and there is room for {room}")
        rows[step, : len(drawn)] = drawn
        weights[step, : len(drawn)] = 1
    return rows, weights


@exercise.right
def by_sorting(uniform, rate, room):
    taken = uniform < rate
    if taken.sum(axis=1).max() > room:
        raise ValueError("no room")
    order = np.argsort(~taken, axis=1, kind="stable")[:, :room]
    missing = room - order.shape[1]
    order = np.pad(order, [(0, 0), (0, max(missing, 0))])
    weights = (np.arange(room) < taken.sum(axis=1)[:, None]).astype("float64")
    return order * weights.astype(int), weights


@exercise.right
def with_lists(uniform, rate, room):
    rows, weights = [], []
    for numbers in uniform:
        drawn = [i for i, number in enumerate(numbers) if number < rate]
        if len(drawn) > room:
            raise ValueError("no room")
        empty = room - len(drawn)
        rows.append(drawn + [0] * empty)
        weights.append([1.0] * len(drawn) + [0.0] * empty)
    return np.array(rows), np.array(weights)


@exercise.right
def with_tensors(uniform, rate, room):
    drawn = tf.RaggedTensor.from_value_rowids(
        *(tf.where(uniform < rate)[:, i] for i in (1, 0)), nrows=len(uniform)
    )
    sizes = drawn.row_lengths()
    if int(tf.reduce_max(sizes)) > room:
        raise ValueError("no room")
    weights = tf.sequence_mask(sizes, room, tf.float64)
    return drawn.to_tensor(shape=(len(uniform), room)).numpy(), weights.numpy()


exercise.mistake(
    "fixed_size",
    "All your batches have the same size. With Poisson batches the size is up to chance.",
    old="np.flatnonzero(uniform[step] < rate)",
    new="np.sort(np.argsort(uniform[step])[: round(rate * uniform.shape[1])])",
)
exercise.mistake(
    "fillers_count",
    "The rows that fill the batch have the weight 1: example 0 would be in it many times.",
    old="weights[step, : len(drawn)] = 1",
    new="weights[step] = 1",
)
exercise.mistake(
    "cut_off",
    "Where there is no room you leave the last out, so they are drawn less often than promised.",
    old='            raise ValueError(f"{len(drawn)} were drawn, and there is room for {room}")',
    new="            drawn = drawn[:room]",
)
exercise.mistake("above", old="uniform[step] < rate", new="uniform[step] > 1 - rate")
exercise.mistake("one_draw_for_all", old="uniform[step] < rate", new="uniform[0] < rate")
exercise.mistake("by_a_share", old="weights[step, : len(drawn)] = 1",
                 new="weights[step, : len(drawn)] = 1 / max(len(drawn), 1)")  # fmt: skip
exercise.mistake("filled_with_the_last", old="        weights[step, : len(drawn)]",
                 new="        rows[step, len(drawn) :] = uniform.shape[1] - 1\n"
                 "        weights[step, : len(drawn)]")  # fmt: skip
exercise.mistake(
    "at_the_end", old="weights[step, : len(drawn)]", new="weights[step, ::-1][: len(drawn)]"
)
exercise.mistake("too_strict", old="len(drawn) > room", new="len(drawn) >= room")
