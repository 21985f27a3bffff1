"""All-reduce on a ring, as one of the devices sees it."""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter="chapter9_devices",
    minutes=30,
    difficulty=3,
    points=4,
    outputs=None,
    atol=1e-6,
    rtol=1e-5,
    hints=[
        "Cut your numbers into as many parts as there are devices. Write down, for three devices, "
        "who sends which part at which step; every device sends another one.",
        "At step s of the first half device d sends part d - s and gets part d - s - 1, which it "
        "adds to its own. After devices - 1 steps it has part d + 1 complete.",
        "parts = np.array_split(numbers, devices). First half: part = (rank - s) % devices; "
        "received = yield parts[part]; parts[part - 1] = parts[part - 1] + received. Second half: "
        "send part (rank + 1 - s) % devices, and put what comes in the place of the part before "
        "it.",
    ],
)


@exercise.stub
def ring_all_reduce(rank, devices, numbers):
    """Add up rows of numbers on a ring of devices; you write what one of them does.

    It is a generator: `received = yield message` sends an array to device rank + 1 (the last one
    sends to device 0), and gives you what device rank - 1 has sent at the same step. All devices
    run the same function, step by step, side by side. At the end it returns the sum:

        received = yield message        # as often as is needed
        return result

    Of `size` numbers every device may send 2 · (devices - 1) messages of at most
    ⌈size / devices⌉ numbers each. All devices must return the same sum to the last bit.

    Practises: chapter 9, Many devices, "The ring: all-reduce".

    Args:
        rank: the number of this device, 0 to devices - 1.
        devices: how many there are, 1 or more; one alone sends nothing.
        numbers: (size,) float32, those of this device; size need not be a multiple of devices, and
            is at least devices.

    Returns:
        (size,) float32: the sum of the numbers of all devices.

    The sums are compared (tolerance 1e-6 + 1e-5 · |expected|), whether the copies are the same, the
    number of messages, and whether they were short enough.
    """
    raise NotImplementedError


@exercise.driver
def run(solution, inputs, memory):
    rows = inputs["rows"]
    devices, size = rows.shape
    running = [solution(d, devices, np.array(row)) for d, row in enumerate(rows)]
    results, messages, longest, steps = [None] * devices, [None] * devices, 0, 0

    def advance(d, received):
        try:
            messages[d] = np.array(running[d].send(received))
        except StopIteration as end:
            results[d] = np.asarray(end.value)

    for d in range(devices):
        advance(d, None)
    while all(result is None for result in results):
        if steps > 4 * devices:
            raise RuntimeError("more messages than all-reduce could need: does the loop end?")
        longest = max(longest, max(message.size for message in messages))
        sent, steps = list(messages), steps + 1
        for d in range(devices):
            advance(d, sent[d - 1])
    if any(result is None for result in results):
        raise RuntimeError("one device has ended while another still sends")
    sums = np.stack(results)
    return {
        "sums": sums,
        "the copies are the same": np.array(bool((sums == sums[0]).all())),
        "messages": np.array(steps),
        "short enough": np.array(longest <= -(-size // devices)),
    }


@exercise.public
def examples(random):
    rows = np.arange(6, dtype="float32").reshape(2, 3)
    yield Case("two devices, three numbers", {"rows": rows})


@exercise.hidden
def drawn(random):
    for devices, size in ((1, 4), (2, 6), (3, 9), (4, 11), (5, 7)):
        rows = random.normal(size=(devices, size)).astype("float32")
        yield Case(f"{devices} devices, {size} numbers", {"rows": rows})


@exercise.reference
def solution(rank, devices, numbers):
    parts = np.array_split(numbers, devices)
    for step in range(devices - 1):
        part = (rank - step) % devices
        received = yield parts[part]
        parts[part - 1] = parts[part - 1] + received
    for step in range(devices - 1):
        part = (rank + 1 - step) % devices
        received = yield parts[part]
        parts[part - 1] = received
    return np.concatenate(parts)


@exercise.right
def padded(rank, devices, numbers):
    size = len(numbers)
    width = -(-size // devices)
    table = np.zeros((devices, width), "float32")
    table.flat[:size] = numbers
    for step in range(2 * (devices - 1)):
        here = (rank - step - 1) % devices
        if step >= devices - 1:
            here = (rank - step + devices - 1) % devices
        received = yield table[here].copy()
        there = (here - 1) % devices
        table[there] = received + (table[there] if step < devices - 1 else 0)
    return table.reshape(-1)[:size]


@exercise.right
def with_tensors(rank, devices, numbers):
    parts = [tf.constant(part) for part in np.array_split(numbers, devices)]
    where = rank
    for _ in range(devices - 1):
        received = yield parts[where]
        where = (where - 1) % devices
        parts[where] = tf.add(parts[where], received)
    for _ in range(devices - 1):
        received = yield parts[where]
        where = (where - 1) % devices
        parts[where] = tf.constant(received)
    return tf.concat(parts, axis=0)


@exercise.right
def what_came_goes_on(rank, devices, numbers):
    borders = [size * k // devices for size in [len(numbers)] for k in range(devices + 1)]
    slices = [slice(a, b) for a, b in zip(borders, borders[1:])]
    total, message = numbers.copy(), numbers[slices[rank]]
    for step in range(1, devices):
        received = yield message
        message = total[slices[(rank - step) % devices]] + received
    total[slices[(rank + 1) % devices]] = message
    for step in range(devices - 1):
        message = yield message
        total[slices[(rank - step) % devices]] = message
    return total


@exercise.wrong(
    "Whole rows go around. The sum is right, but each device sends devices - 1 rows: cut them into "
    "parts."
)
def whole_rows(rank, devices, numbers):
    total, message = numbers.copy(), numbers
    for _ in range(devices - 1):
        message = yield message
        total = total + message
    return total


exercise.mistake(
    "added_twice",
    "The second half adds again. There what comes is the complete sum of a part: put it in the "
    "place of yours.",
    old="parts[part - 1] = received",
    new="parts[part - 1] = parts[part - 1] + received",
)


@exercise.wrong(
    "You stop after the first half. Each device has one part of the sum then; the parts must go "
    "around once more."
)
def only_the_first_half(rank, devices, numbers):
    parts = np.array_split(numbers, devices)
    for step in range(devices - 1):
        part = (rank - step) % devices
        received = yield parts[part]
        parts[part - 1] = parts[part - 1] + received
    return np.concatenate(parts)


exercise.mistake(
    "begins_with_its_own",
    "The second half begins with the wrong part: after the first half device d has part d + 1 "
    "complete, not part d.",
    old="rank + 1",
    new="rank",
)


@exercise.wrong()
def the_rest_left_out(rank, devices, numbers):
    width = len(numbers) // devices
    parts = [numbers[k * width : (k + 1) * width] for k in range(devices)]
    for step in range(devices - 1):
        part = (rank - step) % devices
        received = yield parts[part]
        parts[part - 1] = parts[part - 1] + received
    for step in range(devices - 1):
        part = (rank + 1 - step) % devices
        received = yield parts[part]
        parts[part - 1] = received
    return np.concatenate([*parts, numbers[devices * width :]])


exercise.mistake(
    "a_mean",
    old="np.concatenate(parts)",
    new="np.concatenate(parts) / np.float32(devices)",
)
exercise.mistake(
    "the_largest_kept",
    old="parts[part - 1] + received",
    new="np.maximum(parts[part - 1], received)",
)
exercise.mistake(
    "one_step_too_few",
    old="received\n    for step in range(devices - 1)",
    new="received\n    for step in range(devices - 2)",
)


@exercise.wrong()
def all_send_the_same_part(rank, devices, numbers):
    parts = np.array_split(numbers, devices)
    for step in range(devices - 1):
        received = yield parts[step]
        parts[step] = parts[step] + received
    for step in range(devices - 1):
        received = yield parts[step]
        parts[step] = received
    return np.concatenate(parts)
