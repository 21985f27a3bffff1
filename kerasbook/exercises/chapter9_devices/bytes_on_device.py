"""Memory on each device, by ZeRO's stages."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter9_devices",
    minutes=5,
    difficulty=1,
    points=1,
    hints=[
        "Make a list of what there is for each weight, and in how many bytes; then say for each "
        "stage which of them are divided.",
        "2 bytes of weight, 2 of gradient, 12 for the optimiser. What is divided is ⌈n / devices⌉ "
        "long in a layer of n weights.",
        "For each layer of n weights: whole = n, part = -(-n // devices); 2 * (part if stage == 3 "
        "else whole) + 2 * (part if stage >= 2 else whole) + 12 * (part if stage >= 1 else whole). "
        "At stage 3 add 2 * max(layers).",
    ],
)


@exercise.stub
def bytes_on_device(layers, devices, stage):
    """Count the bytes that each device must have for weights, gradients and Adam's states.

    Training is in mixed precision. For each weight there are a copy in 16 bits, which computes; its
    gradient in 16 bits; and what only the step needs, in 32 bits: the weight itself, the mean of
    its gradient and the mean of its squares. The stages of ZeRO divide:

    - 0: nothing, every device has all;
    - 1: what only the step needs;
    - 2: that, and the gradients;
    - 3: that, and the copy in 16 bits. Then a device also has room for the largest layer, whole, in
      16 bits, because it is gathered before it is computed.

    Each layer is divided by itself. Of n weights every device has as many as the one with the most,
    n / devices, rounded up.

    Practises: chapter 9, Many devices, "Weights divided: ZeRO and FSDP".

    Args:
        layers: list of whole numbers, the weights of each layer, biases included.
        devices: how many there are, 1 or more.
        stage: 0, 1, 2 or 3.

    Returns:
        The bytes on each device, an integer. It is compared exactly.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case("one layer of 6 weights, two devices, stage 1",
               {"layers": [6], "devices": 2, "stage": 1})  # fmt: skip


@exercise.hidden
def drawn(random):
    for stage in range(4):
        for count, devices in ((3, 4), (2, 3)):
            layers = [int(n) for n in random.integers(50, 500, count) * devices + 1]
            name = f"{count} layers, {devices} devices, stage {stage}"
            yield Case(name, {"layers": layers, "devices": devices, "stage": stage})


@exercise.reference
def solution(layers, devices, stage):
    total = 0
    for n in layers:
        part = -(-n // devices)
        total += 2 * (part if stage >= 3 else n) + 2 * (part if stage >= 2 else n)
        total += 12 * (part if stage >= 1 else n)
    return total + (2 * max(layers) if stage == 3 else 0)


@exercise.right
def in_arrays(layers, devices, stage):
    n = np.array(layers)
    part = np.ceil(n / devices).astype(int)
    kinds = [(2, 3), (2, 2), (12, 1)]  # bytes, and the stage from which on it is divided
    total = sum(size * (part if stage >= first else n).sum() for size, first in kinds)
    return int(total + (stage == 3) * 2 * n.max())


@exercise.right
def with_tensors(layers, devices, stage):
    n = tf.constant(layers, tf.int64)
    part = (n + devices - 1) // devices
    divided = tf.constant([0, 12, 14, 16], tf.int64)[stage]
    total = tf.reduce_sum(divided * part + (16 - divided) * n)
    if stage == 3:
        total += 2 * tf.reduce_max(n)
    return int(total)


@exercise.right
def array_by_array(layers, devices, stage):
    total = 0
    for n in layers:
        row = np.zeros(n, "float16")
        longest = max(np.array_split(row, devices), key=len)
        for dtype, first in [("float16", 3), ("float16", 2)] + 3 * [("float32", 1)]:
            total += (longest if stage >= first else row).astype(dtype).nbytes
    return total + 2 * max(layers) if stage == 3 else total


exercise.mistake(
    "no_room_for_a_layer",
    "At stage 3 there must be room for one whole layer, the largest, in 16 bits.",
    old="total + (2 * max(layers) if stage == 3 else 0)",
    new="total",
)


@exercise.wrong(
    "All layers are counted as one row. Each layer is divided by itself, and rounded up by itself."
)
def divided_all_at_once(layers, devices, stage):
    n = sum(layers)
    part = -(-n // devices)
    total = 2 * (part if stage >= 3 else n) + 2 * (part if stage >= 2 else n)
    total += 12 * (part if stage >= 1 else n)
    return total + (2 * max(layers) if stage == 3 else 0)


exercise.mistake(
    "no_weights_in_32_bits",
    "The weights in 32 bits are left out. Beside the copy in 16 bits the step needs them, or small "
    "steps are lost.",
    old="12",
    new="8",
)
exercise.mistake(
    "rounded_down",
    "The parts are rounded down. The device with the most has n / devices rounded up.",
    old="-(-n // devices)",
    new="n // devices",
)


@exercise.wrong()
def all_in_32_bits(layers, devices, stage):
    total = 0
    for n in layers:
        part = -(-n // devices)
        total += 4 * (part if stage >= 3 else n) + 4 * (part if stage >= 2 else n)
        total += 12 * (part if stage >= 1 else n)
    return total + (4 * max(layers) if stage == 3 else 0)


exercise.mistake("gradients_divided_too_early", old="stage >= 2", new="stage >= 1")
exercise.mistake("weights_divided_too_early", old="stage >= 3", new="stage >= 2")
exercise.mistake("all_layers_gathered", old="max", new="sum")
exercise.mistake(
    "of_all_devices_together",
    old="total + (2 * max(layers) if stage == 3 else 0)",
    new="devices * (total + (2 * max(layers) if stage == 3 else 0))",
)
