"""Sharding without loss: Adam with its states divided (ZeRO), and a clipped gradient."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter9_devices",
    minutes=35,
    difficulty=3,
    points=5,
    kind="training step",
    outputs=None,
    atol=1e-5,
    rtol=1e-4,
    hints=[
        "Four things in turn: the sum of the gradients, of which you get your part; its length, "
        "for which all parts are needed; Adam on your part; the weights from all parts.",
        "The length of the whole gradient is the root of a sum over all its numbers. You have the "
        "sum over yours: ask the others for theirs, before you take the root.",
        "Pad the gradient and the weights to devices · len(mean). g = yield 'reduce_scatter', "
        "padded; squares = yield 'sum', (g**2).sum(); g *= min(1, clip_norm / sqrt(squares)); "
        "Adam with your slice of the weights; whole = yield 'all_gather', slice; return "
        "whole[:size], mean, square.",
    ],
)


@exercise.stub
def divided_adam(rank, devices, weights, gradient, mean, mean_square, step, clip_norm):
    """Take a step of Adam of which every device does a part; you write what one of them does.

    Every device has all weights, the gradient of its own rows, and *its part* of what Adam
    remembers. It is a generator that can ask for three things, which all devices must do together:

        part = yield "reduce_scatter", row     # part `rank` of the sum of all devices' rows
        total = yield "sum", number            # the sum of all devices' numbers
        whole = yield "all_gather", part       # the parts of all devices, one after the other

    A row for "reduce_scatter" is cut into `devices` parts of one length, so its length must be a
    multiple of `devices`: put zeros at its end. Each may be asked for once.

    The gradient g of the step is the sum of all devices' gradients. If its length (the root of the
    sum of all squares) is more than clip_norm, it is multiplied by clip_norm / length. Then, with
    t = step,

        mean ← 0.9 mean + 0.1 g        mean_square ← 0.999 mean_square + 0.001 g²
        rate = 0.01 · sqrt(1 - 0.999**t) / (1 - 0.9**t)
        weights ← weights - rate · mean / (sqrt(mean_square) + 1e-7)

    Practises: chapter 9, Many devices, "Weights divided: ZeRO and FSDP".

    Args:
        rank: the number of this device, 0 to devices - 1.
        devices: how many there are, 1 or more.
        weights: (size,) float32, the same on all; size need not be a multiple of devices.
        gradient: (size,) float32, of this device's rows, already divided by the rows of all.
        mean, mean_square: (⌈size / devices⌉,) float32: part `rank`; what lies beyond size is
            padding.
        step: the number of this step, from 1.
        clip_norm: a positive number.

    Returns:
        The new weights (size,), and the new mean and mean_square of this device.

    Several steps are taken. The weights of all devices, and what they remember without the
    padding, are compared (float32, tolerance 1e-5 + 1e-4 · |expected|).
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    weights, gradients = np.float32(inputs["weights"]), np.float32(inputs["gradients"])
    steps, devices, size = gradients.shape
    width = -(-size // devices)
    state = [
        [w, np.zeros(width, "float32"), np.zeros(width, "float32")] for w in [weights] * devices
    ]

    def together(requests):
        kinds = {kind for kind, _ in requests}
        if len(kinds) != 1:
            raise RuntimeError(f"the devices ask for different things: {sorted(kinds)}")
        kind, arrays = kinds.pop(), [np.float32(array) for _, array in requests]
        if kind == "sum":
            return [np.float32(sum(float(each.sum()) for each in arrays))] * devices
        if kind == "all_gather":
            return [np.concatenate(arrays)] * devices
        if kind != "reduce_scatter":
            raise RuntimeError(f"there is no {kind!r}: there are reduce_scatter, sum, all_gather")
        if len(arrays[0]) % devices:
            raise RuntimeError(f"a row of {len(arrays[0])} cannot be cut into {devices} parts")
        return list(np.sum(np.stack(arrays), axis=0, dtype="float32").reshape(devices, -1))

    for step in range(1, steps + 1):
        running = []
        for rank, (weights, *remembered) in enumerate(state):
            arrays = weights, gradients[step - 1, rank], *remembered
            copies = [np.array(each) for each in arrays]
            running.append(solution(rank, devices, *copies, step, inputs["clip_norm"]))
        replies, asked = [None] * devices, 0
        while replies is not None:
            requests, ended = [], 0
            for rank, device in enumerate(running):
                try:
                    requests.append(device.send(replies[rank]))
                except StopIteration as end:
                    state[rank] = [np.float32(each) for each in end.value]
                    ended += 1
            asked += 1
            if 0 < ended < devices or asked > 4:
                raise RuntimeError("the devices must ask for each thing once, all of them")
            replies = None if ended else together(requests)
    found = {"weights": np.stack([each[0] for each in state])}
    for place, name in ((1, "mean"), (2, "mean square")):
        found[name] = np.concatenate([each[place] for each in state])[:size]
    return found


def training(random, devices, size, clip_norm, steps=3):
    """Returns the inputs of a case."""
    scale = random.uniform(0.2, 2, (steps, 1, 1))
    return {
        "weights": random.normal(size=size).astype("float32"),
        "gradients": (scale * random.normal(size=(steps, devices, size))).astype("float32"),
        "clip_norm": clip_norm,
    }


@exercise.public
def examples(random):
    yield Case("two devices, four weights, nothing to clip", training(random, 2, 4, 100.0, 1))


@exercise.hidden
def drawn(random):
    yield Case("three devices, seven weights", training(random, 3, 7, 100.0))
    yield Case("clipped", training(random, 2, 6, 0.5))
    yield Case("clipped at some steps, four devices", training(random, 4, 9, 5.0, 4))
    yield Case("one device", training(random, 1, 5, 1.0))


@exercise.reference
def solution(rank, devices, weights, gradient, mean, mean_square, step, clip_norm):
    size, width = len(weights), len(mean)
    padding = 0, devices * width - size
    g = yield "reduce_scatter", np.pad(gradient, padding)
    squares = yield "sum", np.sum(g**2)
    g = g * min(1.0, clip_norm / np.sqrt(squares))
    mean = 0.9 * mean + 0.1 * g
    mean_square = 0.999 * mean_square + 0.001 * g**2
    rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    mine = np.pad(weights, padding)[rank * width : (rank + 1) * width]
    whole = yield "all_gather", mine - rate * mean / (np.sqrt(mean_square) + 1e-7)
    return whole[:size], mean, mean_square


@exercise.right
def with_tensors(rank, devices, weights, gradient, mean, mean_square, step, clip_norm):
    size, width = len(weights), len(mean)
    more = [[0, devices * width - size]]
    part = yield "reduce_scatter", tf.pad(gradient, more)
    squares = yield "sum", tf.reduce_sum(tf.square(part))
    part = tf.constant(part)
    if squares > clip_norm**2:
        part = part * (clip_norm / tf.sqrt(squares))
    mean = mean + 0.1 * (part - mean)
    mean_square = mean_square + 0.001 * (tf.square(part) - mean_square)
    rate = 0.01 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step)
    old = tf.reshape(tf.pad(weights, more), (devices, width))[rank]
    whole = yield "all_gather", old - rate * mean / (tf.sqrt(mean_square) + 1e-7)
    return whole[:size], mean, mean_square


@exercise.right
def in_64_bits(rank, devices, weights, gradient, mean, mean_square, step, clip_norm):
    size, width = len(weights), len(mean)
    row = np.zeros(devices * width)
    row[:size] = gradient
    g = np.float64((yield ("reduce_scatter", row)))
    length = float((yield ("sum", float(g @ g)))) ** 0.5
    if length > clip_norm:
        g *= clip_norm / length
    mean = 0.9 * np.float64(mean) + 0.1 * g
    mean_square = 0.999 * np.float64(mean_square) + 0.001 * g * g
    row[:size] = weights
    mine = row[rank * width :][:width]
    mine -= 0.01 * (1 - 0.999**step) ** 0.5 / (1 - 0.9**step) * mean / (mean_square**0.5 + 1e-7)
    whole = yield "all_gather", mine
    return whole[:size], mean, mean_square


@exercise.right
def only_the_steps_are_gathered(
    rank, devices, weights, gradient, mean, mean_square, step, clip_norm
):
    size, width = len(weights), len(mean)
    g = yield "reduce_scatter", np.resize(np.append(gradient, np.zeros(width * devices)),
                                          width * devices)  # fmt: skip
    squares = yield "sum", np.linalg.norm(g) ** 2
    factor = clip_norm / max(clip_norm, squares**0.5)
    mean = 0.9 * mean + 0.1 * factor * g
    mean_square = 0.999 * mean_square + 0.001 * (factor * g) ** 2
    unbiased = mean / (1 - 0.9**step), mean_square / (1 - 0.999**step)
    epsilon = 1e-7 / np.sqrt(1 - 0.999**step)
    change = yield "all_gather", -0.01 * unbiased[0] / (np.sqrt(unbiased[1]) + epsilon)
    return weights + change[:size], mean, mean_square


exercise.mistake(
    "length_of_its_part",
    "Each device clips by the length of its own part. The length is that of the whole gradient: "
    "add up the squares of all parts before you take the root.",
    old=('squares = yield "sum", np.sum(g**2)\n    g = g * min(1.0, clip_norm / np.sqrt(squares))'),
    new="g = g * min(1.0, clip_norm / np.sqrt(np.sum(g**2)))",
)
exercise.mistake(
    "lengths_added",
    "The lengths of the parts are added up. The length of the whole is the root of the sum of "
    "their squares.",
    old=('squares = yield "sum", np.sum(g**2)\n    g = g * min(1.0, clip_norm / np.sqrt(squares))'),
    new=('length = yield "sum", np.sqrt(np.sum(g**2))\n    g = g * min(1.0, clip_norm / length)'),
)
exercise.mistake(
    "clipped_before_the_sum",
    "Each device clips its own gradient before the sum. What is clipped is the gradient of the "
    "whole batch: add up first.",
    old=(
        'g = yield "reduce_scatter", np.pad(gradient, padding)\n'
        '    squares = yield "sum", np.sum(g**2)\n'
        "    g = g * min(1.0, clip_norm / np.sqrt(squares))"
    ),
    new=(
        "gradient = gradient * min(1.0, clip_norm / np.sqrt(np.sum(gradient**2)))\n"
        '    g = yield "reduce_scatter", np.pad(gradient, padding)'
    ),
)
exercise.mistake(
    "averaged",
    "The gradients are averaged over the devices. They are divided by the rows of all already: "
    "their sum is the gradient.",
    old='yield "reduce_scatter", np.pad(gradient, padding)',
    new='(yield "reduce_scatter", np.pad(gradient, padding)) / devices',
)
exercise.mistake(
    "never_clipped",
    old=('squares = yield "sum", np.sum(g**2)\n    g = g * min(1.0, clip_norm / np.sqrt(squares))'),
    new="",
)
exercise.mistake(
    "no_correction_of_the_means",
    old=(
        "rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)\n"
        "    mine = np.pad(weights, padding)[rank * width : (rank + 1) * width]\n"
        '    whole = yield "all_gather", mine - rate'
    ),
    new=(
        "mine = np.pad(weights, padding)[rank * width : (rank + 1) * width]\n"
        '    whole = yield "all_gather", mine - 0.01'
    ),
)
exercise.mistake(
    "always_clipped",
    old="min(1.0, clip_norm / np.sqrt(squares))",
    new="clip_norm / np.sqrt(squares)",
)


@exercise.wrong()
def only_its_own_part_is_new(rank, devices, weights, gradient, mean, mean_square, step, clip_norm):
    size, width = len(weights), len(mean)
    padding = 0, devices * width - size
    g = yield "reduce_scatter", np.pad(gradient, padding)
    squares = yield "sum", np.sum(g**2)
    g = g * min(1.0, clip_norm / np.sqrt(squares))
    mean = 0.9 * mean + 0.1 * g
    mean_square = 0.999 * mean_square + 0.001 * g**2
    rate = 0.01 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    new = np.pad(weights, padding)
    new[rank * width : (rank + 1) * width] -= rate * mean / (np.sqrt(mean_square) + 1e-7)
    return new[:size], mean, mean_square


exercise.mistake("the_first_part_everywhere", old="rank * width : (rank + 1) * width", new=":width")
