"""Learning-rate warm-up with a linear decay."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=5,
    difficulty=1,
    points=1,
    atol=1e-7,
    rtol=1e-5,
    hints=[
        "Two straight lines, and np.where to choose between them.",
        "The line that rises passes through peak / warm_up at step 0 and through peak at step "
        "warm_up − 1. The one that falls would be at peak at step warm_up, and at 0 at total.",
        "np.where(steps < warm_up, peak * (steps + 1) / warm_up, peak * (total - steps) / "
        "(total - warm_up)).",
    ],
)


@exercise.stub
def warmed_up_rate(steps, warm_up, total, peak):
    """A learning rate that rises in a line and falls in a line.

    The chapter's schedule wastes its first step, whose rate is 0. This one begins at peak /
    warm_up, reaches `peak` at step warm_up − 1 (the warm_up-th step), and then falls: step t ≥
    warm_up has peak · (total − t) / (total − warm_up).

    Practises: chapter 3, continued: deeper networks, "Warming up".

    Args:
        steps: (n,) int64 array, numbers of steps from 0 to total − 1, in any order.
        warm_up: integer, 1 ≤ warm_up < total.
        total: integer, all steps of the training.
        peak: positive float.

    Returns:
        (n,) learning rates, float32 or float64. Tolerance: 1e-7 + 1e-5 · |expected|.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("ten steps", {"steps": np.arange(10), "warm_up": 4, "total": 10, "peak": 0.4})


@exercise.hidden
def drawn(random):
    for warm_up, total in ((1, 7), (5, 6), (30, 100)):
        steps = random.permutation(total)
        peak = float(random.uniform(0.01, 0.5))
        inputs = {"steps": steps, "warm_up": warm_up, "total": total, "peak": peak}
        yield Case(f"{warm_up} of {total} steps", inputs, unchanged=True)


@exercise.reference
def solution(steps, warm_up, total, peak):
    rising, falling = (steps + 1) / warm_up, (total - steps) / (total - warm_up)
    return peak * np.where(steps < warm_up, rising, falling)


@exercise.right
def one_by_one(steps, warm_up, total, peak):
    rates = []
    for t in steps:
        if t < warm_up:
            rates.append(peak * (t + 1) / warm_up)
        else:
            rates.append(peak * (total - t) / (total - warm_up))
    return np.array(rates)


@exercise.right
def the_lower_of_two_lines(steps, warm_up, total, peak):
    rising, falling = (steps + 1) / warm_up, (total - steps) / (total - warm_up)
    return peak * np.clip(np.minimum(rising, falling), 0, 1)


@exercise.right
def by_interpolation(steps, warm_up, total, peak):
    places = [0, warm_up - 1, warm_up, total] if warm_up > 1 else [0, warm_up, total]
    rates = [1 / warm_up, 1, 1, 0] if warm_up > 1 else [1, 1, 0]
    return keras.ops.convert_to_tensor(peak * np.interp(steps, places, rates))


@exercise.wrong("Your first step has the rate 0 and teaches nothing: count the steps from 1.")
def first_step_wasted(steps, warm_up, total, peak):
    rising, falling = steps / warm_up, (total - steps) / (total - warm_up)
    return peak * np.where(steps < warm_up, rising, falling)


@exercise.wrong("After warming up the rate stays where it is. It should fall to zero.")
def never_falls(steps, warm_up, total, peak):
    return peak * np.minimum((steps + 1) / warm_up, 1)


@exercise.wrong("The fall is along a cosine, as in the chapter. Here it is a straight line.")
def cosine(steps, warm_up, total, peak):
    share = (steps - warm_up) / (total - warm_up)
    rising = (steps + 1) / warm_up
    return peak * np.where(steps < warm_up, rising, (1 + np.cos(np.pi * share)) / 2)


@exercise.wrong("The fall is counted from step 0, so that the rate jumps down after warming up.")
def falls_from_the_start(steps, warm_up, total, peak):
    return peak * np.where(steps < warm_up, (steps + 1) / warm_up, (total - steps) / total)


@exercise.wrong("The two lines are multiplied, so that the peak is never reached.")
def product(steps, warm_up, total, peak):
    return peak * np.minimum((steps + 1) / warm_up, 1) * (total - steps) / total


exercise.mistake("one_step_late", old="steps < warm_up", new="steps <= warm_up")


@exercise.wrong()
def ends_one_step_early(steps, warm_up, total, peak):
    rising = (steps + 1) / warm_up
    falling = (total - 1 - steps) / max(total - 1 - warm_up, 1)
    return peak * np.where(steps < warm_up, rising, falling)


@exercise.wrong()
def no_warm_up(steps, warm_up, total, peak):
    return peak * (total - steps) / total
