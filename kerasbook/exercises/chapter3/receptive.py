"""How far does a network see?"""

from kerasbook.exercises import Case, Exercise

import numpy as np
import tensorflow as tf

exercise = Exercise(
    chapter=3,
    minutes=20,
    difficulty=1,
    points=2,
    outputs=("sizes", "fields", "jumps"),
    hints=[
        "Go through the layers once and carry three numbers along: the size, the field and the "
        "jump. Before the first layer they are size, 1 and 1.",
        "A layer's window takes `kernel` places of the layer below it, of which neighbours lie "
        "`dilation` apart. One place further below is `jump` pixels further in the picture.",
        "size = (size − dilation · (kernel − 1) − 1) // stride + 1; field += dilation · (kernel − "
        "1) · jump; and only then jump *= stride.",
    ],
)


@exercise.stub
def receptive_fields(size, layers):
    """Size, receptive field and jump after each layer of a convolutional network.

    One direction is enough: the picture is a row of `size` pixels. Each layer slides a window of
    `kernel` weights, `dilation` places apart (1: no holes), by steps of `stride`, without padding;
    pooling is such a layer too. For each layer we ask

    - its size: the number of places of its output;
    - its receptive field: how many pixels of the picture lie between the first and the last one
      that a single output place can see, both counted;
    - its jump: by how many pixels of the picture the fields of two neighbours are shifted.

    A layer that shall tell shirts from coats must see enough of the picture; these numbers say
    whether it can.

    Practises: chapter 3, "How far does it see?".

    Args:
        size: positive integer, pixels.
        layers: list of m ≥ 1 lists [kernel, stride, dilation] of positive integers, the layer that
            is next to the picture first. The windows fit: every size is at least 1.

    Returns:
        sizes, fields, jumps: a tuple of three (m,) integer arrays (int32 or int64), exact.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    yield Case(
        "28 pixels: convolution 3, pooling 2, convolution 3",
        {"size": 28, "layers": [[3, 1, 1], [2, 2, 1], [3, 1, 1]]},
    )
    yield Case("holes, then a stride", {"size": 20, "layers": [[3, 1, 2], [4, 2, 1], [2, 3, 1]]})


@exercise.hidden
def drawn(random):
    yield Case("one layer, one weight", {"size": 9, "layers": [[1, 2, 1]]})
    yield Case("a window as large as the picture", {"size": 7, "layers": [[7, 3, 1], [1, 1, 4]]})
    for count in (1, 2, 3, 4, 6):
        layers, needed = [], 1
        for _ in range(count):
            kernel, stride, dilation = (int(random.integers(1, high)) for high in (5, 4, 4))
            layers.append([kernel, stride, dilation])
        for kernel, stride, dilation in reversed(layers):
            needed = (needed - 1) * stride + dilation * (kernel - 1) + 1
        size = needed + int(random.integers(1, 40))
        yield Case(f"{count} drawn layers", {"size": size, "layers": layers})
    deep = [[3, 1, 1], [3, 2, 1]] * 3 + [[3, 1, 2], [5, 1, 3]]
    yield Case("a deep network", {"size": 400, "layers": deep})


@exercise.reference
def solution(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        reach = dilation * (kernel - 1)  # places of the layer below, from first to last
        size = (size - reach - 1) // stride + 1
        field += reach * jump
        jump *= stride
        rows.append((size, field, jump))
    sizes, fields, jumps = np.array(rows).T
    return sizes, fields, jumps


@exercise.right
def with_cumulative_sums(size, layers):
    kernel, stride, dilation = np.array(layers).T
    jumps = np.cumprod(stride)
    before = np.concatenate([[1], jumps[:-1]])
    fields = 1 + np.cumsum(dilation * (kernel - 1) * before)
    return (size - fields) // jumps + 1, fields, jumps  # windows of `fields` pixels, by `jumps`


@exercise.right
def with_tensorflow(size, layers):
    kernel, stride, dilation = tf.unstack(tf.constant(layers), axis=1)
    fields = 1 + tf.cumsum(dilation * (kernel - 1) * tf.math.cumprod(stride, exclusive=True))
    jumps = tf.math.cumprod(stride)
    return (size - fields) // jumps + 1, fields, jumps


@exercise.right
def by_tracing_pixels(size, layers):
    places = [(p, p) for p in range(size)]  # first and last pixel that each place sees
    sizes, fields, jumps = [], [], []
    stride_so_far = 1
    for kernel, stride, dilation in layers:
        count = (len(places) - dilation * (kernel - 1) - 1) // stride + 1
        places = [
            (places[i * stride][0], places[i * stride + dilation * (kernel - 1)][1])
            for i in range(count)
        ]
        stride_so_far *= stride
        sizes.append(len(places))
        fields.append(places[0][1] - places[0][0] + 1)
        jumps.append(places[1][0] - places[0][0] if len(places) > 1 else stride_so_far)
    return np.array(sizes), np.array(fields), np.array(jumps)


@exercise.wrong(
    "You multiply the jump by a layer's stride before the layer's field is computed. Its window "
    "lies on the places of the layer below, which are the old jump apart; its own stride only "
    "moves the window."
)
def jump_too_early(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        jump *= stride
        field += dilation * (kernel - 1) * jump
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong(
    "The fields grow by kernel − 1 whatever lies below. After a stride, neighbours are several "
    "pixels of the picture apart: what a window adds is multiplied by the jump."
)
def jump_left_out(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1)
        jump *= stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong(
    "A window of k weights has k − 1 distances between its first and its last. You count k: the "
    "fields are too large."
)
def posts_for_gaps(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * kernel * jump
        jump *= stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong(
    "The size is rounded up. A window that does not fit into what is left of the picture has no "
    "place: round down."
)
def rounded_up(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        reach = dilation * (kernel - 1)
        size = -((-(size - reach - 1)) // stride) + 1
        field += reach * jump
        jump *= stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong(
    "Your jump is the last layer's stride. The strides multiply: a step of 2 on places that are "
    "themselves 3 pixels apart is 6 pixels."
)
def last_stride_only(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1) * jump
        jump = stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong()
def strides_added(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1) * jump
        jump += stride - 1
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong()
def no_dilation(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, _ in layers:
        size = (size - kernel) // stride + 1
        field += (kernel - 1) * jump
        jump *= stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong()
def span_is_kernel_times_dilation(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in layers:
        size = (size - kernel * dilation) // stride + 1
        field += (kernel * dilation - 1) * jump
        jump *= stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong()
def layers_turned_round(size, layers):
    field, jump, rows = 1, 1, []
    for kernel, stride, dilation in reversed(layers):
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1) * jump
        jump *= stride
        rows.append((size, field, jump))
    return tuple(np.array(rows).T)


@exercise.wrong()
def last_layer_only(size, layers):
    field, jump = 1, 1
    for kernel, stride, dilation in layers:
        size = (size - dilation * (kernel - 1) - 1) // stride + 1
        field += dilation * (kernel - 1) * jump
        jump *= stride
    return np.array(size), np.array(field), np.array(jump)
