"""Count the weights of a residual network."""

from kerasbook.exercises import Case, Exercise

import numpy as np
from keras import layers

exercise = Exercise(
    chapter="chapter3_residual",
    minutes=25,
    difficulty=2,
    points=3,
    hints=[
        "Write a small function for a convolution with its normalisation: k · k · channels · "
        "filters weights, and 2 · filters for γ and β.",
        "Walk through stages and blocks, and carry the number of channels along. Which blocks "
        "change it? Only they have weights in their shortcut.",
        "total = conv(3, channels, widths[0]); for each width, for each block: conv(3, before, "
        "width) + conv(3, width, width), and conv(1, before, width) if before != width; before = "
        "width. At the end (before + 1) · classes.",
    ],
)


@exercise.stub
def weigh_residual_network(channels, widths, blocks, classes):
    """The number of weights that a residual network learns.

    It has a first convolution of 3 × 3 to widths[0] filters, then a stage for each width with so
    many blocks. A block has two convolutions of 3 × 3. The first block of a stage reads the
    filters of the stage before (the first stage: widths[0]). Every convolution is without bias and
    is followed by a batch normalisation, of which γ and β count, and the running mean and variance
    do not: they are not learned. Where a block changes the number of channels, its shortcut is a
    convolution of 1 × 1, normalised as well; elsewhere it has no weights. After the mean over all
    places, a dense layer with a bias gives the scores.

    Practises: chapter 3, continued: deeper networks, "Two patterns: VGG and ResNet".

    Args:
        channels: positive integer, of the pictures.
        widths: list of positive integers, filters of each stage.
        blocks: positive integer, in every stage.
        classes: positive integer.

    Returns:
        An integer, exact.
    """
    raise NotImplementedError


@exercise.public
def examples(random):
    inputs = {"channels": 1, "widths": [4, 8], "blocks": 1, "classes": 3}
    yield Case("two stages of one block", inputs)


@exercise.hidden
def drawn(random):
    for widths, blocks in (([16, 32, 64], 3), ([8], 2), ([4, 4, 8], 1), ([6, 12, 24, 48], 2)):
        inputs = {"channels": int(random.integers(1, 5)), "widths": widths, "blocks": blocks}
        inputs["classes"] = int(random.integers(2, 20))
        yield Case(f"widths {widths}, {blocks} blocks in each stage", inputs)


@exercise.reference
def solution(channels, widths, blocks, classes):
    def conv(k, inputs, filters):
        return k * k * inputs * filters + 2 * filters

    total, before = conv(3, channels, widths[0]), widths[0]
    for width in widths:
        for _ in range(blocks):
            total += conv(3, before, width) + conv(3, width, width)
            if before != width:
                total += conv(1, before, width)
            before = width
    return total + (before + 1) * classes


@exercise.right
def by_a_list_of_layers(channels, widths, blocks, classes):
    pairs = [(channels, widths[0])]
    for previous, width in zip([widths[0], *widths[:-1]], widths):
        pairs += [(previous, width)] + [(width, width)] * (2 * blocks - 1)
    shortcuts = [(a, b) for a, b in zip(widths[:-1], widths[1:]) if a != b]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairs)
    return convolutions + sum(a * b + 2 * b for a, b in shortcuts) + classes * (widths[-1] + 1)


@exercise.right
def by_keras(channels, widths, blocks, classes):
    def build(layer, inputs):
        layer.build((None, 8, 8, inputs))
        return sum(int(np.prod(v.shape)) for v in layer.trainable_variables)

    def conv(k, inputs, filters):
        weights = build(layers.Conv2D(filters, k, use_bias=False), inputs)
        return weights + build(layers.BatchNormalization(), filters)

    total, before = conv(3, channels, widths[0]), widths[0]
    for width in widths:
        for number in range(blocks):
            total += conv(3, width if number else before, width) + conv(3, width, width)
        total += conv(1, before, width) if before != width else 0
        before = width
    dense = layers.Dense(classes)
    dense.build((None, before))
    return total + dense.count_params()


@exercise.right
def in_closed_form(channels, widths, blocks, classes):
    widths = np.array(widths)
    before = np.concatenate([widths[:1], widths[:-1]])
    first, others = 9 * before * widths, 9 * widths**2 * (2 * blocks - 1)
    shortcuts = (before != widths) * (before * widths + 2 * widths)
    total = 9 * channels * widths[0] + 2 * widths[0] + (widths[-1] + 1) * classes
    return int(total + np.sum(first + others + 4 * blocks * widths + shortcuts))


@exercise.wrong("The running mean and variance are counted too. They are not learned.")
def running_statistics(channels, widths, blocks, classes):
    def conv(k, inputs, filters):
        return k * k * inputs * filters + 4 * filters

    total, before = conv(3, channels, widths[0]), widths[0]
    for width in widths:
        for _ in range(blocks):
            total += conv(3, before, width) + conv(3, width, width)
            total += conv(1, before, width) if before != width else 0
            before = width
    return total + (before + 1) * classes


exercise.mistake(
    "no_shortcuts",
    "The shortcuts that change the number of channels have weights too.",
    old=("if before != width:\n                total += conv(1, before, width)"),
    new="",
)


exercise.mistake(
    "shortcuts_everywhere",
    "Every block has a 1 × 1 convolution in its shortcut; most have none.",
    old=("(3, width, width)\n            if before != width:\n                total +="),
    new="(3, width, width) +",
)


@exercise.wrong("Each convolution has a bias beside γ and β. Here it has none.")
def with_biases(channels, widths, blocks, classes):
    def conv(k, inputs, filters):
        return k * k * inputs * filters + 3 * filters

    total, before = conv(3, channels, widths[0]), widths[0]
    for width in widths:
        for _ in range(blocks):
            total += conv(3, before, width) + conv(3, width, width)
            total += conv(1, before, width) if before != width else 0
            before = width
    return total + (before + 1) * classes


@exercise.wrong("The first convolution, from the picture to the first stage, is missing.")
def no_first_convolution(channels, widths, blocks, classes):
    def conv(k, inputs, filters):
        return k * k * inputs * filters + 2 * filters

    total, before = 0, widths[0]
    for width in widths:
        for _ in range(blocks):
            total += conv(3, before, width) + conv(3, width, width)
            total += conv(1, before, width) if before != width else 0
            before = width
    return total + (before + 1) * classes


@exercise.wrong()
def one_layer_a_block(channels, widths, blocks, classes):
    def conv(k, inputs, filters):
        return k * k * inputs * filters + 2 * filters

    total, before = conv(3, channels, widths[0]), widths[0]
    for width in widths:
        for _ in range(blocks):
            total += conv(3, before, width)
            total += conv(1, before, width) if before != width else 0
            before = width
    return total + (before + 1) * classes


exercise.mistake(
    "shortcut_not_normalised",
    old=("if before != width:\n                total += conv(1, before, width)"),
    new="total += before * width if before != width else 0",
)


@exercise.wrong()
def dense_without_bias(channels, widths, blocks, classes):
    def conv(k, inputs, filters):
        return k * k * inputs * filters + 2 * filters

    total, before = conv(3, channels, widths[0]), widths[0]
    for width in widths:
        for _ in range(blocks):
            total += conv(3, before, width) + conv(3, width, width)
            total += conv(1, before, width) if before != width else 0
            before = width
    return total + before * classes
