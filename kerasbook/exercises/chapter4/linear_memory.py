"""Backpropagation through time, in a linear recurrence with a mask."""

from kerasbook.exercises import Case, Exercise

import keras
import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=4,
    minutes=45,
    difficulty=3,
    points=5,
    kind="gradient",
    outputs=("for_decay", "for_kernel", "for_x", "for_start"),
    atol=1e-5,
    rtol=1e-4,
    forbidden=("tensorflow.GradientTape", "tensorflow.gradients"),
    hints=[
        "Go forward first and keep every state. Then backwards: what arrives at h_t is g_t and "
        "what came back from step t + 1. Call it δ_t.",
        "Take one step alone, h = a ⊙ before + x W, with δ for h: what does it give to a, W, x and "
        "`before`? A masked step is h = before: what does that give?",
        "Read: for_decay += Σ_n before · δ, for_kernel += xᵀ δ, for_x_t = δ Wᵀ, back = a · δ. Not "
        "read: for_x_t = 0, back = δ. δ_t = g_t + back. At the end `back` is for the start.",
    ],
)


@exercise.stub
def linear_memory_gradients(x, mask, decay, kernel, start, g):
    """The gradients of a linear recurrence, by hand.

    Leave out the tanh, and let every unit keep a fixed share of its state. That is the simplest
    memory that can be trained, and the core of the state-space models:

        h_t = a ⊙ h_{t−1} + x_t W    where mask is true,
        h_t = h_{t−1}                where it is false

    with the decay a, one number for each unit, and h_0 = start. A loss L depends on all states; g
    holds its gradient ∂L/∂h_t for each of them as an output, as if the later states did not
    depend on it. Give the gradients of L for everything that made the states, on the way back
    through time.

    Practises: chapter 4, "Back through time, by hand".

    Args:
        x: (n, time, inputs) float array.
        mask: (n, time) bool array; false places may stand anywhere.
        decay: a, (units,) float array.
        kernel: W, (inputs, units) float array.
        start: h_0, (n, units) float array.
        g: (n, time, units) float array.

    Returns:
        The gradients for decay (units,), kernel (inputs, units), x (n, time, inputs) and start
        (n, units); a tuple, float32 or float64. Tolerance: 1e-5 + 1e-4 · |expected|. Forbidden:
        tf.GradientTape and tf.gradients. (Try your answer against them in a file of your own.)
    """
    raise NotImplementedError


def drawn_inputs(random, n, time, width, units, dtype="float64"):
    """Random inputs; nothing is masked."""
    inputs = {
        "x": random.normal(size=(n, time, width)),
        "mask": np.ones((n, time), bool),
        "decay": random.uniform(-1, 1, units),
        "kernel": random.normal(size=(width, units)),
        "start": random.normal(size=(n, units)),
        "g": random.normal(size=(n, time, units)),
    }
    return {k: v if v.dtype == bool else v.astype(dtype) for k, v in inputs.items()}


@exercise.public
def examples(random):
    inputs = {
        "x": np.array([[[1.0], [0.0], [0.0]]]),
        "mask": np.ones((1, 3), bool),
        "decay": np.array([0.5]),
        "kernel": np.array([[1.0]]),
        "start": np.array([[0.0]]),
        "g": np.array([[[0.0], [0.0], [1.0]]]),
    }
    yield Case("one unit; the loss is the last of three states", inputs)
    yield Case("the second step is masked", inputs | {"mask": np.array([[True, False, True]])})


@exercise.hidden
def drawn(random):
    yield Case("one row, one step", drawn_inputs(random, 1, 1, 2, 3))
    yield Case("several rows", drawn_inputs(random, 3, 4, 2, 2))
    inputs = drawn_inputs(random, 2, 5, 3, 4)
    inputs["g"][:, :-1] = 0
    yield Case("a loss of the last state", inputs)
    inputs = drawn_inputs(random, 3, 6, 1, 2)
    yield Case("padding", inputs | {"mask": np.arange(6) < np.array([[6], [3], [1]])})
    inputs = drawn_inputs(random, 4, 7, 2, 3, "float32")
    mask = random.random((4, 7)) < 0.6
    mask[0], mask[1] = False, [0, 1, 0, 0, 1, 1, 0]
    yield Case("a drawn mask", inputs | {"mask": mask}, weight=2, unchanged=True)


@exercise.reference
def solution(x, mask, decay, kernel, start, g):
    befores, h = [], start
    for t in range(x.shape[1]):
        befores.append(h)
        h = np.where(mask[:, t, np.newaxis], decay * h + x[:, t] @ kernel, h)
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    back = np.zeros_like(start)
    for t in reversed(range(x.shape[1])):
        delta = g[:, t] + back  # (n, units)
        read = mask[:, t, np.newaxis]
        moved = np.where(read, delta, 0)
        for_decay += (befores[t] * moved).sum(axis=0)
        for_kernel += x[:, t].T @ moved
        for_x[:, t] = moved @ kernel.T
        back = np.where(read, decay * delta, delta)
    return for_decay, for_kernel, for_x, back


@exercise.right
def with_tensorflow(x, mask, decay, kernel, start, g):
    read = tf.cast(mask, x.dtype)[:, :, tf.newaxis]  # (n, time, 1)
    factors = read * decay + (1 - read)  # (n, time, units): what each step keeps
    h, befores = tf.constant(start), []
    for t in range(x.shape[1]):
        befores.append(h)
        h = factors[:, t] * h + read[:, t] * (x[:, t] @ kernel)
    back, deltas = tf.zeros_like(start), []
    for t in reversed(range(x.shape[1])):
        deltas.insert(0, g[:, t] + back)
        back = factors[:, t] * deltas[0]
    moved = read * tf.stack(deltas, axis=1)
    for_kernel = tf.einsum("nti,ntu->iu", tf.constant(x), moved)
    for_decay = tf.reduce_sum(tf.stack(befores, axis=1) * moved, axis=(0, 1))
    return for_decay, for_kernel, moved @ tf.transpose(kernel), back


@exercise.right
def row_by_row(x, mask, decay, kernel, start, g):
    for_decay, for_kernel = np.zeros(decay.shape), np.zeros(kernel.shape)
    for_x, for_start = np.zeros(x.shape), np.zeros(start.shape)
    for n in range(len(x)):
        states = [start[n].astype("float64")]
        for t in range(x.shape[1]):
            new = decay * states[-1] + x[n, t] @ kernel
            states.append(new if mask[n, t] else states[-1])
        arriving = np.zeros(len(decay))
        for t in range(x.shape[1] - 1, -1, -1):
            arriving = arriving + g[n, t]
            if mask[n, t]:
                for_decay += states[t] * arriving
                for_kernel += np.outer(x[n, t], arriving)
                for_x[n, t] = kernel @ arriving
                arriving = decay * arriving
        for_start[n] = arriving
    return for_decay, for_kernel, for_x, for_start


@exercise.right
def by_powers_of_the_decay(x, mask, decay, kernel, start, g):
    # h_t = a^{reads up to t} start + Σ_k a^{reads after k, up to t} x_k W
    ops = keras.ops
    x, g, start = (np.asarray(one, "float64") for one in (x, g, start))
    reads = np.cumsum(mask, axis=1)  # (n, time)
    for_decay, for_kernel = np.zeros(len(decay)), np.zeros(kernel.shape)
    for_x, for_start = np.zeros(x.shape), np.zeros(start.shape)
    for t in range(x.shape[1]):
        for k in range(-1, t + 1):
            source = start if k < 0 else x[:, k] @ kernel
            count = reads[:, t] - (reads[:, k] if k >= 0 else 0)  # (n,)
            used = np.ones(len(x), bool) if k < 0 else mask[:, k]
            power = decay ** count[:, np.newaxis] * used[:, np.newaxis]
            slope = count[:, np.newaxis] * decay ** np.maximum(count - 1, 0)[:, np.newaxis]
            arriving = g[:, t] * power
            for_decay += np.einsum("nu,nu,n,nu->u", g[:, t], slope, used * 1.0, source)
            if k < 0:
                for_start += arriving
            else:
                for_kernel += np.array(ops.matmul(x[:, k].T, arriving))
                for_x[:, k] += arriving @ kernel.T
    return for_decay, for_kernel, for_x, for_start


@exercise.wrong(
    "Only g_t reaches step t. An early state also acts through all the later ones: carry δ back "
    "from step to step, and add it to g."
)
def nothing_carried(x, mask, decay, kernel, start, g):
    befores, h = [], start
    for t in range(x.shape[1]):
        befores.append(h)
        h = np.where(mask[:, t, np.newaxis], decay * h + x[:, t] @ kernel, h)
    moved = np.where(mask[:, :, np.newaxis], g, 0)
    for_decay = (np.stack(befores, axis=1) * moved).sum(axis=(0, 1))
    for_kernel = np.einsum("nti,ntu->iu", x, moved)
    first = np.where(mask[:, :1], decay * g[:, 0], g[:, 0])
    return for_decay, for_kernel, moved @ kernel.T, first


@exercise.wrong(
    "On the way back the gradient is multiplied by the decay at masked steps too. There h_t = "
    "h_{t−1}: it must pass unchanged."
)
def decayed_at_masked_steps(x, mask, decay, kernel, start, g):
    befores, h = [], start
    for t in range(x.shape[1]):
        befores.append(h)
        h = np.where(mask[:, t, np.newaxis], decay * h + x[:, t] @ kernel, h)
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    back = np.zeros_like(start)
    for t in reversed(range(x.shape[1])):
        delta = g[:, t] + back
        moved = np.where(mask[:, t, np.newaxis], delta, 0)
        for_decay += (befores[t] * moved).sum(axis=0)
        for_kernel += x[:, t].T @ moved
        for_x[:, t] = moved @ kernel.T
        back = decay * delta
    return for_decay, for_kernel, for_x, back


@exercise.wrong(
    "A masked step cuts the way back: nothing passes it. But it hands the old state on, so all of "
    "δ goes through, unchanged."
)
def cut_at_masked_steps(x, mask, decay, kernel, start, g):
    befores, h = [], start
    for t in range(x.shape[1]):
        befores.append(h)
        h = np.where(mask[:, t, np.newaxis], decay * h + x[:, t] @ kernel, h)
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    back = np.zeros_like(start)
    for t in reversed(range(x.shape[1])):
        moved = np.where(mask[:, t, np.newaxis], g[:, t] + back, 0)
        for_decay += (befores[t] * moved).sum(axis=0)
        for_kernel += x[:, t].T @ moved
        for_x[:, t] = moved @ kernel.T
        back = decay * moved
    return for_decay, for_kernel, for_x, back


@exercise.wrong(
    "The decay's gradient takes h_t. In h_t = a ⊙ h_{t−1} + x_t W the factor of a is the state "
    "before the step."
)
def state_after_the_step(x, mask, decay, kernel, start, g):
    afters, h = [], start
    for t in range(x.shape[1]):
        h = np.where(mask[:, t, np.newaxis], decay * h + x[:, t] @ kernel, h)
        afters.append(h)
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    back = np.zeros_like(start)
    for t in reversed(range(x.shape[1])):
        delta = g[:, t] + back
        read = mask[:, t, np.newaxis]
        moved = np.where(read, delta, 0)
        for_decay += (afters[t] * moved).sum(axis=0)
        for_kernel += x[:, t].T @ moved
        for_x[:, t] = moved @ kernel.T
        back = np.where(read, decay * delta, delta)
    return for_decay, for_kernel, for_x, back


@exercise.wrong(
    "The mask is left out: masked steps are treated as if they had been read, forwards and back."
)
def no_mask(x, mask, decay, kernel, start, g):
    befores, h = [], start
    for t in range(x.shape[1]):
        befores.append(h)
        h = decay * h + x[:, t] @ kernel
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    back = np.zeros_like(start)
    for t in reversed(range(x.shape[1])):
        delta = g[:, t] + back
        for_decay += (befores[t] * delta).sum(axis=0)
        for_kernel += x[:, t].T @ delta
        for_x[:, t] = delta @ kernel.T
        back = decay * delta
    return for_decay, for_kernel, for_x, back


exercise.mistake(
    "mean_over_rows",
    "The weights' gradients are divided by the number of rows. L is given as it is: a weight's "
    "gradient is the sum over all rows and steps.",
    old="sum(axis=0)\n        for_kernel += x[:, t].T @ moved",
    new="mean(axis=0)\n        for_kernel += x[:, t].T @ moved / len(x)",
)


@exercise.wrong()
def last_step_only(x, mask, decay, kernel, start, g):
    befores, h = [], start
    for t in range(x.shape[1]):
        befores.append(h)
        h = np.where(mask[:, t, np.newaxis], decay * h + x[:, t] @ kernel, h)
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    back = g[:, -1]
    for t in reversed(range(x.shape[1])):
        read = mask[:, t, np.newaxis]
        moved = np.where(read, back, 0)
        for_decay += (befores[t] * moved).sum(axis=0)
        for_kernel += x[:, t].T @ moved
        for_x[:, t] = moved @ kernel.T
        back = np.where(read, decay * back, back)
    return for_decay, for_kernel, for_x, back


exercise.mistake("x_of_masked_steps", old="moved @ kernel.T", new="delta @ kernel.T")
exercise.mistake("start_forgotten", old=", back", new=", delta")


@exercise.wrong()
def forwards_again(x, mask, decay, kernel, start, g):
    for_decay, for_kernel, for_x = np.zeros_like(decay), np.zeros_like(kernel), np.zeros_like(x)
    h, back = start, np.zeros_like(start)
    for t in range(x.shape[1]):
        delta = g[:, t] + back
        read = mask[:, t, np.newaxis]
        moved = np.where(read, delta, 0)
        for_decay += (h * moved).sum(axis=0)
        for_kernel += x[:, t].T @ moved
        for_x[:, t] = moved @ kernel.T
        back = np.where(read, decay * delta, delta)
        h = np.where(read, decay * h + x[:, t] @ kernel, h)
    return for_decay, for_kernel, for_x, back
