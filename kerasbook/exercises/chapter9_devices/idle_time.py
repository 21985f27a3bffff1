"""The bubble of a pipeline: idle time when stages are not equally fast."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter9_devices",
    minutes=10,
    difficulty=1,
    points=2,
    outputs=("total", "idle"),
    hints=[
        "When can stage s begin with piece k? It must have finished piece k - 1, and the stage "
        "before it piece k. So a table of ends, row by row, is enough.",
        "end[s, k] = forward[s] + max(end[s, k - 1], end[s - 1, k]), with 0 where there is none. "
        "Backward is the same table from the last stage to the first, and begins at its ends.",
        "Backward, stage s, piece k: backward[s] + max(what stage s did before, back[s + 1, "
        "k]). For piece 0 that is end[s, last]. total = back[0, last]; idle = total - pieces * "
        "(forward + backward).",
    ],
)


@exercise.stub
def idle_time(forward, backward, pieces):
    """Compute how long a pipeline takes for a batch, and how long each of its stages is idle.

    Stage s takes forward[s] seconds for a micro-batch forward, and backward[s] for it backward. The
    order is GPipe's: each stage takes all micro-batches forward, in turn, and then all of them
    backward, in the same turn. A stage does one thing at a time and begins as soon as it is free
    and

    - forward: the stage before has finished this micro-batch (the first stage can begin at once);
    - backward: the stage after has finished this micro-batch backward (the last stage needs its own
      forward work only).

    Sending takes no time. The clock starts at 0 and ends when the first stage has all back.

    Practises: chapter 9, Many devices, "A pipeline".

    Args:
        forward, backward: (stages,) floating-point numbers, seconds.
        pieces: the number of micro-batches, 1 or more.

    Returns:
        The seconds of the whole batch, a number; and, (stages,), the seconds in which each stage
        does nothing.

    They are compared with a tolerance of 1e-5 + 1e-4 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("two equal stages, two micro-batches",
               {"forward": np.ones(2), "backward": np.ones(2), "pieces": 2})  # fmt: skip


@exercise.hidden
def drawn(random):
    for stages, pieces in ((3, 4), (4, 1), (1, 3), (4, 6), (2, 5)):
        times = {name: random.uniform(0.5, 3, stages) for name in ("forward", "backward")}
        yield Case(f"{stages} stages, {pieces} micro-batches", times | {"pieces": pieces})
    slow = {"forward": np.array([1.0, 4.0, 1.0]), "backward": np.array([2.0, 8.0, 2.0])}
    yield Case("a slow stage in the middle", slow | {"pieces": 3})


@exercise.reference
def solution(forward, backward, pieces):
    stages = len(forward)
    free = np.zeros(stages)  # when each stage is free
    for _ in range(pieces):
        ready = 0.0
        for s in range(stages):
            free[s] = ready = max(free[s], ready) + forward[s]
    for _ in range(pieces):
        ready = 0.0
        for s in reversed(range(stages)):
            free[s] = ready = max(free[s], ready) + backward[s]
    return free[0], free[0] - pieces * (forward + backward)


@exercise.right
def in_tables(forward, backward, pieces):
    stages = len(forward)
    there, back = np.zeros((stages, pieces)), np.zeros((stages, pieces))
    for s in range(stages):
        for k in range(pieces):
            before = [there[s, k - 1] if k else 0.0, there[s - 1, k] if s else 0.0]
            there[s, k] = max(before) + forward[s]
    for s in range(stages - 1, -1, -1):
        for k in range(pieces):
            before = [back[s, k - 1] if k else there[s, -1]]
            before.append(back[s + 1, k] if s + 1 < stages else 0.0)
            back[s, k] = max(before) + backward[s]
    total = back[0, -1]
    return total, np.array([total - pieces * (f + b) for f, b in zip(forward, backward)])


@exercise.right
def by_recursion(forward, backward, pieces):
    known = {}

    def end(way, s, k):
        if s < 0 or s == len(forward) or k < 0:
            return 0.0
        if (way, s, k) not in known:
            if way == "there":
                times = end(way, s, k - 1), end(way, s - 1, k)
            else:
                own = end(way, s, k - 1) if k else end("there", s, pieces - 1)
                times = own, end(way, s + 1, k)
            known[way, s, k] = max(times) + (forward if way == "there" else backward)[s]
        return known[way, s, k]

    total = end("back", 0, pieces - 1)
    busy = tf.constant(forward) + tf.constant(backward)
    return total, total - float(pieces) * busy


@exercise.right
def as_events(forward, backward, pieces):
    stages = len(forward)
    queues = [[("F", k) for k in range(pieces)] + [("B", k) for k in range(pieces)]
              for _ in range(stages)]  # fmt: skip
    done, free = {}, [0.0] * stages
    while any(queues):
        for s in range(stages):
            while queues[s]:
                way, k = queues[s][0]
                need = (s - 1, "F", k) if way == "F" else (s + 1, "B", k)
                if 0 <= need[0] < stages and need not in done:
                    break
                start = max(free[s], done.get(need, 0.0))
                free[s] = done[s, way, k] = start + float((forward if way == "F" else backward)[s])
                queues[s].pop(0)
    total = max(free)
    return total, [total - pieces * float(f + b) for f, b in zip(forward, backward)]


@exercise.wrong(
    "This is the formula for equal stages, with their mean. Among unequal stages all wait for the "
    "slowest: follow each micro-batch through the stages."
)
def formula_with_the_mean(forward, backward, pieces):
    total = (pieces + len(forward) - 1) * (forward + backward).mean()
    return total, total - pieces * (forward + backward)


@exercise.wrong(
    "Every stage is as slow as the slowest here. A stage begins as soon as it is free and has its "
    "input."
)
def all_as_slow_as_the_slowest(forward, backward, pieces):
    total = (pieces + len(forward) - 1) * (forward.max() + backward.max())
    return total, total - pieces * (forward + backward)


@exercise.wrong(
    "The stages do not wait for each other: no micro-batch can be at stage 1 before stage 0 has "
    "finished it."
)
def no_waiting(forward, backward, pieces):
    total = pieces * (forward + backward).max()
    return total, total - pieces * (forward + backward)


@exercise.wrong(
    "One micro-batch at a time goes through all stages. The next one may follow as soon as the "
    "first stage is free."
)
def one_at_a_time(forward, backward, pieces):
    total = pieces * (forward + backward).sum()
    return total, total - pieces * (forward + backward)


@exercise.wrong()
def back_from_the_first_stage(forward, backward, pieces):
    free = np.zeros(len(forward))
    for times in (forward, backward):
        for _ in range(pieces):
            ready = 0.0
            for s in range(len(forward)):
                free[s] = ready = max(free[s], ready) + times[s]
    return free[-1], free[-1] - pieces * (forward + backward)


exercise.mistake(
    "as_shares",
    old="free[0] - pieces * (forward + backward)",
    new="1 - pieces * (forward + backward) / free[0]",
)
exercise.mistake("only_until_each_is_done", old="[0] -", new="-")


@exercise.wrong()
def all_wait_before_the_way_back(forward, backward, pieces):
    stages = len(forward)
    free = np.zeros(stages)
    for times, order in ((forward, range(stages)), (backward, reversed(range(stages)))):
        order = list(order)
        free[:] = free.max() + 0.25 * stages
        for _ in range(pieces):
            ready = 0.0
            for s in order:
                free[s] = ready = max(free[s], ready) + times[s]
    return free[0], free[0] - pieces * (forward + backward)


@exercise.wrong()
def one_piece_only(forward, backward, pieces):
    total = (forward + backward).sum()
    return total, total - (forward + backward)
