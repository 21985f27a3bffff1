"""The gradient through a cell that only forgets and adds."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=5,
    minutes=35,
    difficulty=2,
    points=4,
    kind="gradient",
    outputs=("for_forget_sums", "for_candidates", "for_first_cell"),
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "Compute all cells first and keep them. Then go back from the last step, with one array "
        "(n, units) that holds the gradient for the cell of the step you stand at.",
        "Into that array goes, at every step, what the loss itself says, upstream[:, t], and what "
        "came back from step t + 1. Where the mask is False, c_t is c_{t − 1}: the array goes on "
        "as it is, and nothing goes to the sums and candidates.",
        "With c̄ complete: for the candidate c̄ · (1 − f); for the sum "
        "c̄ · (c_{t − 1} − g) · f · (1 − f); and c̄ ← c̄ · f goes on to step t − 1. "
        "What is left before the first step is the gradient for the first cell.",
    ],
)


@exercise.stub
def cell_gradient(forget_sums, candidates, first_cell, mask, upstream):
    """The gradients of a loss through a cell with one gate, back through time.

    In the LSTM the gates depend on the last state, and the way back has many branches. Leave that
    out, and couple input and forget gate, and what remains is the memory alone (quasi-recurrent
    networks compute it):

        f_t = σ(a_t),    c_t = f_t ⊙ c_{t−1} + (1 − f_t) ⊙ g_t,    t = 0 … time − 1

    with the sums a_t, the candidates g_t and the cells c_t all (n, units), c_{−1} the first cell.
    Where the mask is False, the step is skipped: c_t = c_{t−1}. The loss is L = Σ ū ⊙ c, the sum
    over all steps (those that are skipped too), examples and units; ū is `upstream`.

    Practises: chapter 5, "How far back do gradients reach?".

    Args:
        forget_sums: (n, time, units) float array, a.
        candidates: (n, time, units) float array, g.
        first_cell: (n, units) float array.
        mask: (n, time) bool array.
        upstream: (n, time, units) float array, ū.

    Returns:
        The gradients of L for forget_sums (n, time, units), for candidates (n, time, units) and
        for first_cell (n, units); float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|.
        The inputs must not be changed.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {
        "forget_sums": np.array([[[0.0], [0.0], [1.0]]]),
        "candidates": np.array([[[1.0], [-1.0], [2.0]]]),
        "first_cell": np.array([[4.0]]),
        "upstream": np.array([[[0.0], [0.0], [1.0]]]),
    }
    yield Case("three steps", inputs | {"mask": np.array([[True, True, True]])})
    yield Case("three steps, one skipped", inputs | {"mask": np.array([[True, False, True]])})


@exercise.hidden
def drawn(random):
    for n, time, units, kept in ((1, 5, 3, 1), (4, 9, 2, 0.7), (3, 1, 4, 1), (2, 30, 1, 0.5)):
        shape = (n, time, units)
        inputs = {
            "forget_sums": random.normal(1, 1.5, size=shape),
            "candidates": random.normal(size=shape),
            "first_cell": random.normal(size=(n, units)),
            "mask": random.random((n, time)) < kept,
            "upstream": random.normal(size=shape),
        }
        yield Case(f"{n} examples, {time} steps, {units} units", inputs, unchanged=True)
    lengths = np.array([7, 4, 1])
    mask = np.arange(7) < lengths[:, np.newaxis]
    arrays = {name: random.normal(size=(3, 7, 5)) for name in ("forget_sums", "candidates")}
    arrays |= {"first_cell": random.normal(size=(3, 5)), "mask": mask}
    arrays["upstream"] = np.where(mask[..., np.newaxis], 0.0, 1.0)
    yield Case("three lengths", arrays)
    single = {name: a.astype("float32") for name, a in arrays.items() if name != "mask"}
    yield Case("three lengths, 32 bits", {**single, "mask": mask[::-1]})


@exercise.reference
def solution(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    time, before, cell = forget.shape[1], [], first_cell
    for t in range(time):
        before.append(cell)
        new = forget[:, t] * cell + (1 - forget[:, t]) * candidates[:, t]
        cell = np.where(mask[:, t, np.newaxis], new, cell)
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(time)):
        bar = bar + upstream[:, t]
        f, read = forget[:, t], mask[:, t, np.newaxis]
        for_sums[:, t] = read * bar * (before[t] - candidates[:, t]) * f * (1 - f)
        for_candidates[:, t] = read * bar * (1 - f)
        bar = np.where(read, bar * f, bar)
    return for_sums, for_candidates, bar


@exercise.right
def with_a_tape(forget_sums, candidates, first_cell, mask, upstream):
    inputs = [tf.constant(a) for a in (forget_sums, candidates, first_cell)]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        forget, cell, loss = tf.sigmoid(inputs[0]), inputs[2], 0.0
        for t in range(mask.shape[1]):
            new = forget[:, t] * cell + (1 - forget[:, t]) * inputs[1][:, t]
            cell = tf.where(mask[:, t, tf.newaxis], new, cell)
            loss += tf.reduce_sum(upstream[:, t] * cell)
    return tuple(tape.gradient(loss, inputs))


@exercise.right
def one_gate_for_mask_and_forget(forget_sums, candidates, first_cell, mask, upstream):
    read = mask[..., None].astype(forget_sums.dtype)
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = 1 - read * (1 - forget)  # 1 where the step is skipped
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    bars = [np.zeros_like(first_cell)]
    for t in range(mask.shape[1])[::-1]:
        here = upstream[:, t] + bars[-1]
        bars += [here, here * keep[:, t]]
    bar = np.stack(bars[1::2][::-1], axis=1)
    difference = np.stack(cells[:-1], axis=1) - candidates
    return bar * difference * read * forget * (1 - forget), bar * (1 - keep), bars[-1]


@exercise.right
def with_all_products(forget_sums, candidates, first_cell, mask, upstream):
    n, time, units = forget_sums.shape
    forget = np.where(mask[..., None], 1 / (1 + np.exp(-forget_sums)), 1.0)
    # reach[:, s, t]: how much of the cell after step s − 1 is left after step t
    reach = np.zeros((n, time + 1, time, units))
    for s in range(time + 1):
        for t in range(s, time):
            reach[:, s, t] = forget[:, s : t + 1].prod(axis=1)
    added = (1 - forget) * candidates
    through = np.concatenate([reach[:, 1:], np.zeros((n, 0, time, units))], axis=1)
    for t in range(time):
        through[:, t, t] = 1.0
    cells = first_cell[:, None] * reach[:, 0] + np.einsum("nstu,nsu->ntu", through, added)
    before = np.concatenate([first_cell[:, None], cells[:, :-1]], axis=1)
    bar = np.einsum("nstu,ntu->nsu", through, upstream)
    slopes = forget * (1 - forget)  # zero where skipped
    first = (reach[:, 0] * upstream).sum(axis=1)
    return bar * (before - candidates) * slopes, bar * (1 - forget), first


@exercise.wrong(
    "Each step gets the gradient of its own cell only. A cell also lives on in all later ones: "
    "go backwards, and carry f ⊙ c̄ from step t to step t − 1."
)
def not_carried(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    before, cell = [], first_cell
    for t in range(mask.shape[1]):
        before.append(cell)
        new = forget[:, t] * cell + (1 - forget[:, t]) * candidates[:, t]
        cell = np.where(mask[:, t, None], new, cell)
    bar = upstream * mask[..., None]
    difference = np.stack(before, axis=1) - candidates
    first = np.where(mask[:, :1], upstream[:, 0] * forget[:, 0], upstream[:, 0])
    return bar * difference * forget * (1 - forget), bar * (1 - forget), first


@exercise.wrong(
    "The slope of the sigmoid is missing: the gradient for the gate f is not yet that for its sum "
    "a. With f = σ(a), multiply by f · (1 − f)."
)
def no_slope(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = np.where(mask[..., None], forget, 1.0)
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar = bar + upstream[:, t]
        for_sums[:, t] = bar * (cells[t] - candidates[:, t]) * mask[:, t, None]
        for_candidates[:, t] = bar * (1 - keep[:, t])
        bar = bar * keep[:, t]
    return for_sums, for_candidates, bar


@exercise.wrong(
    "For the gate you multiply by the cell after the step. What the gate lets through is the cell "
    "before it, c_{t − 1}."
)
def cell_after_the_step(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = np.where(mask[..., None], forget, 1.0)
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar = bar + upstream[:, t]
        slope = forget[:, t] * (1 - forget[:, t]) * mask[:, t, None]
        for_sums[:, t] = bar * (cells[t + 1] - candidates[:, t]) * slope
        for_candidates[:, t] = bar * (1 - keep[:, t])
        bar = bar * keep[:, t]
    return for_sums, for_candidates, bar


@exercise.wrong(
    "On the way back, skipped steps fade the gradient too. There c_t = c_{t − 1}, whatever the "
    "gate says: the gradient passes whole, and the step's sum and candidate get nothing."
)
def mask_only_forwards(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    before, cell = [], first_cell
    for t in range(mask.shape[1]):
        before.append(cell)
        new = forget[:, t] * cell + (1 - forget[:, t]) * candidates[:, t]
        cell = np.where(mask[:, t, None], new, cell)
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar, f = bar + upstream[:, t], forget[:, t]
        for_sums[:, t] = bar * (before[t] - candidates[:, t]) * f * (1 - f)
        for_candidates[:, t] = bar * (1 - f)
        bar = bar * f
    return for_sums, for_candidates, bar


@exercise.wrong(
    "The gate appears twice in c_t: as f beside the old cell and as 1 − f beside the candidate. "
    "Your gradient for the gate has the first part only."
)
def gate_felt_once(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = np.where(mask[..., None], forget, 1.0)
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar = bar + upstream[:, t]
        slope = forget[:, t] * (1 - forget[:, t]) * mask[:, t, None]
        for_sums[:, t] = bar * cells[t] * slope
        for_candidates[:, t] = bar * (1 - keep[:, t])
        bar = bar * keep[:, t]
    return for_sums, for_candidates, bar


@exercise.wrong()
def no_mask(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(forget[:, t] * cells[-1] + (1 - forget[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar, f = bar + upstream[:, t], forget[:, t]
        for_sums[:, t] = bar * (cells[t] - candidates[:, t]) * f * (1 - f)
        for_candidates[:, t] = bar * (1 - f)
        bar = bar * f
    return for_sums, for_candidates, bar


@exercise.wrong()
def upstream_of_skipped_lost(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = np.where(mask[..., None], forget, 1.0)
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar = bar + upstream[:, t] * mask[:, t, None]
        slope = forget[:, t] * (1 - forget[:, t]) * mask[:, t, None]
        for_sums[:, t] = bar * (cells[t] - candidates[:, t]) * slope
        for_candidates[:, t] = bar * (1 - keep[:, t])
        bar = bar * keep[:, t]
    return for_sums, for_candidates, bar


@exercise.wrong()
def candidates_by_the_other_gate(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = np.where(mask[..., None], forget, 1.0)
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = np.zeros_like(first_cell)
    for t in reversed(range(mask.shape[1])):
        bar = bar + upstream[:, t]
        slope = forget[:, t] * (1 - forget[:, t]) * mask[:, t, None]
        for_sums[:, t] = bar * (cells[t] - candidates[:, t]) * slope
        for_candidates[:, t] = bar * forget[:, t] * mask[:, t, None]
        bar = bar * keep[:, t]
    return for_sums, for_candidates, bar


@exercise.wrong()
def last_upstream_only(forget_sums, candidates, first_cell, mask, upstream):
    forget = 1 / (1 + np.exp(-forget_sums))
    keep = np.where(mask[..., None], forget, 1.0)
    cells = [first_cell]
    for t in range(mask.shape[1]):
        cells.append(keep[:, t] * cells[-1] + (1 - keep[:, t]) * candidates[:, t])
    for_sums, for_candidates = np.zeros_like(forget), np.zeros_like(forget)
    bar = upstream[:, -1]
    for t in reversed(range(mask.shape[1])):
        slope = forget[:, t] * (1 - forget[:, t]) * mask[:, t, None]
        for_sums[:, t] = bar * (cells[t] - candidates[:, t]) * slope
        for_candidates[:, t] = bar * (1 - keep[:, t])
        bar = bar * keep[:, t]
    return for_sums, for_candidates, bar
