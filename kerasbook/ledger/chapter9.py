"""Chapter 9, both pages: what the ledger claims of it, and the mistakes that must be seen."""

from itertools import pairwise

from kerasbook import chapter2_deep_network, chapter9, chapter9_devices
from kerasbook.ledger.core import RATE, as_pairs, claim, mutant, precision
from kerasbook.testing.scaling import compare_scaling
from kerasbook.training import total_loss
from kerasbook.training.devices import logical_devices

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def _classifier(draw, features=4):
    """A network with a penalty, in the dtype of the draw."""
    with precision(draw.dtype):
        inside = [layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(0.5))]
        model = keras.Sequential([keras.Input((features,)), *inside, layers.Dense(3)])
    model.set_weights([draw(*weight.shape) for weight in model.get_weights()])
    return model


def _cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def _loss_and_gradients(model, x, y):
    with tf.GradientTape() as tape:
        loss = total_loss(model, _cross_entropy(), y, model(x, training=True))
    return loss, tape.gradient(loss, model.trainable_variables)


@claim(9, "gradients of micro-batches, a short one too = the whole batch's")
def _(draw):
    model, rows = _classifier(draw), 2 * draw.size(2, 4) + 1
    x, y = draw(rows, 4), draw.random.integers(0, 3, rows)
    with precision(draw.dtype):
        loss, expected = _loss_and_gradients(model, x, y)
        pairs = {}
        for pieces in (2, 4):
            found = chapter9.accumulated_gradients(model, _cross_entropy(), x, y, pieces)
            pairs[f"values of the loss, {pieces} pieces"] = found[0], loss
            pairs |= as_pairs(f"gradient, {pieces} pieces,", found[1], expected)
    return pairs


@claim(9, "the sum of the towers' gradients, around the ring = one device's")
def _(draw):
    model, rows = _classifier(draw), 2 * draw.size(2, 4) + 1
    x, y = draw(rows, 4), draw.random.integers(0, 3, rows)
    with precision(draw.dtype):
        _, expected = _loss_and_gradients(model, x, y)
        whole, pairs = _in_one_row(expected), {}
        for towers in (2, 3):
            shares = np.array_split(np.arange(rows), towers)
            gradients = [
                chapter9_devices.gradient_of_share(model, x[share], y[share], rows, towers)
                for share in shares
            ]
            sums, _ = chapter9_devices.all_reduce([_in_one_row(tower) for tower in gradients])
            pairs |= as_pairs(f"gradient, towers {towers},", sums, [whole] * towers)
    return pairs


def _in_one_row(gradients):
    """Returns all numbers of a list of gradients."""
    return np.concatenate([np.ravel(each) for each in gradients])


@claim(9, "the ring's sum, and what it sends = the sum, 2 (n - 1) / n of it", sources="NT")
def _(draw):
    pairs = {}
    for devices in (2, 3, 4):
        size = devices * draw.size()
        rows = draw(devices, size)
        sums, sent = chapter9_devices.all_reduce(rows)
        total = tf.reduce_sum(tf.constant(rows), axis=0)
        pairs[f"values of {devices} devices"] = sums, np.tile(total, (devices, 1))
        expected = chapter9_devices.bytes_sent(size, devices)
        pairs[f"values sent by {devices}"] = 4.0 * sent, np.full(devices, expected)
    return pairs


@claim(9, "normalised with the moments of all towers = Keras' BatchNormalization", sources="NK")
def _(draw):
    rows = draw.size(5, 9)
    x = draw(rows, 3)
    layer = layers.BatchNormalization(dtype=draw.dtype)
    expected = layer(x, training=True)
    return {"values": (chapter9_devices.normalised([x[:2], x[2:]], True), expected)}


def _weights(draw, sizes):
    """Random weights [W₁, b₁, …] of a dense network."""
    shapes = [shape for inputs, units in pairwise(sizes) for shape in ((inputs, units), (units,))]
    return [draw(*shape) for shape in shapes]


def _ways():
    """The three ways to keep a network; asked for anew, in case a mistake was planted."""
    pages = chapter9_devices
    return pages.Copies, pages.DividedSteps, pages.DividedWeights


@claim(9, "weights divided, 3 ways = Keras on 1 device: after a short last batch")
def _(draw):
    rows, sizes = 3 * draw.size(3, 5) + 1, (4, draw.size(3, 6), 5, 3)
    x, y, weights = draw(rows, 4), draw.random.integers(0, 3, rows), _weights(draw, sizes)
    options = {"batch_size": 3 * (rows // 6), "learning_rate": RATE}
    names = logical_devices(4, "CPU")
    with precision(draw.dtype):
        expected, pairs = chapter9_devices.one_device(weights, x, y, **options), {}
        for way in _ways():
            for count in (2, 3):
                network = chapter9_devices.train_divided(
                    way, names[:count], weights, x, y, **options
                )
                found = chapter9_devices.whole_weights(network)
                pairs |= as_pairs(f"weights, {way.__name__}, {count} devices,", found, expected)
    return pairs


@claim(9, "bytes held of each weight = 8, 4 + 4 / n, 8 / n", dtypes=("float32",), sources="N")
def _(draw):
    sizes, count = (8, 12, 4), 4
    x, y, weights = draw(8, 8), draw.random.integers(0, 4, 8), _weights(draw, sizes)
    rows = [kernel.size + bias.size for kernel, bias in zip(weights[::2], weights[1::2])]
    names, pairs = logical_devices(4, "CPU"), {}
    for way, each in zip(_ways(), (8, 4 + 4 / count, 8 / count), strict=True):
        network = chapter9_devices.train_divided(way, names, weights, x, y, batch_size=8)
        held = [sum(device.memory().values()) for device in network.devices]
        pairs[f"values, {way.__name__}"] = held, np.full(count, each * sum(rows))
    return pairs


@claim(9, "a pipeline's gradients, 2 orders = backpropagation on 1 device", sources="NT")
def _(draw):
    sizes, rows = (4, 5, draw.size(3, 6), 4, 3), draw.size(9, 13)
    x, y, weights = draw(rows, 4), draw.random.integers(0, 3, rows), _weights(draw, sizes)
    outputs = chapter2_deep_network.forward(x, weights)
    expected, pairs = chapter2_deep_network.backward(y, outputs, weights), {}
    for order in (chapter9_devices.gpipe, chapter9_devices.one_by_one):
        for pieces in (1, 4):
            found, _ = chapter9_devices.pipeline_gradients(
                logical_devices(4, "CPU"), weights, x, y, order, pieces
            )
            pairs |= as_pairs(f"gradient, {order.__name__}, {pieces} pieces,", found, expected)
    return pairs


@claim(
    9,
    "a pipeline's idle share = (p - 1) / (m + p - 1); kept = m, p - s",
    dtypes=("float32",),
    sources="N",
)
def _(draw):
    stages, pieces = 4, draw.size(4, 9)
    pairs, names = {}, logical_devices(4, "CPU")
    x, y = draw(pieces, 4), draw.random.integers(0, 3, pieces)
    weights = _weights(draw, (4, 4, 4, 4, 3))
    kept = {"gpipe": [pieces] * stages, "one_by_one": [stages - s for s in range(stages)]}
    for order in (chapter9_devices.gpipe, chapter9_devices.one_by_one):
        ticks = chapter9_devices.timetable(chapter9_devices.orders_of(order, stages, pieces))
        share = (stages - 1) / (pieces + stages - 1)
        pairs[f"values, {order.__name__}, idle"] = chapter9_devices.idle_share(ticks), share
        _, found = chapter9_devices.pipeline_gradients(names, weights, x, y, order, pieces)
        inputs = [stage.fullest["inputs"] / 16 for stage in found]  # a row of 4 numbers each
        pairs[f"values, {order.__name__}, pieces kept"] = inputs, kept[order.__name__]
    return pairs


@claim(9, "loss scaling = Keras' LossScaleOptimizer: scale, weights", dtypes=("float32",))
def _(draw):
    scales, weights = compare_scaling(
        chapter9.make_scaled_step, steps=9, initial=2.0**18, patience=2
    )
    return {"values of the scale": tuple(scales), "weights after each step": tuple(weights)}


# --- mistakes to be seen --------------------------------------------------------------------

SCALING, PIECES, TOWERS = {"by": "scaling"}, {"by": "micro"}, {"by": "towers'"}
RING, DIVIDED, HELD = {"by": "ring's"}, {"by": "weights divided, 3"}, {"by": "bytes held"}
PIPELINE, IDLE = {"by": "pipeline's gradients"}, {"by": "idle"}
devices = chapter9_devices
mutant(9, chapter9.next_scale, "2 * scale", "4 * scale", "the scale grows too fast", **SCALING)
mutant(9, chapter9.next_scale, "scale / 2)", "scale)", "an overflow is ignored", **SCALING)
mutant(9, chapter9.next_scale, "counted, 0)", "counted, 1)", "counts the overflow", **SCALING)
mutant(9, chapter9.scaled_gradients, "each / scale", "each", "not scaled back", **SCALING)
mutant(9, chapter9.make_scaled_step, "tf.cond(finite, apply, lambda: False)", "apply()",
       "an infinite step is taken", **SCALING)  # fmt: skip
mutant(9, chapter9.accumulated_gradients, "(last - first) / rows", "1 / micro_batches",
       "mean of means", **PIECES)  # fmt: skip
mutant(9, chapter9.accumulated_gradients, "[total + each", "[each", "only the last", **PIECES)
mutant(9, devices.gradient_of_share, "(model.losses) / towers", "(model.losses)",
       "the penalty once per tower", **TOWERS)  # fmt: skip
mutant(9, devices.gradient_of_share, "/ all_rows", "/ len(y) / towers",
       "mean of means over towers", **TOWERS)  # fmt: skip
mutant(9, devices.ring_step, "if adding else numbers", "", "adds in the second half", **RING)
mutant(9, devices.ring_step, "(sender + 1)", "(sender - 1)", "the other way", **RING)
mutant(9, devices.reduce_scatter, "step + 1", "step", "begins with another part", **RING)
mutant(9, devices.all_gather, "len(held) - 1", "len(held) - 2", "one step too few", **RING)
mutant(9, devices.bytes_sent, "devices - 1", "devices", "a part too much", **RING)
mutant(9, devices.normalised, "s - m**2", "s", "the variance is the mean square", by="normalised")
mutant(9, devices.as_layer, "row[inputs * units :]", "row[inputs * units - 1 :]",
       "the bias begins too early", **DIVIDED)  # fmt: skip
mutant(9, devices.layer_backward, "outputs > 0", "outputs > -1", "a ReLU without its slope",
       **DIVIDED)  # fmt: skip
mutant(9, devices.layer_backward, "delta @ tf.transpose(kernel)", "g @ tf.transpose(kernel)",
       "the slope forgotten below", **DIVIDED)  # fmt: skip
mutant(9, devices.take_step, "/ len(x))", "/ len(rows) / len(shares))",
       "mean of means over devices", **DIVIDED)  # fmt: skip
mutant(9, devices.own_parts, "parts[d]", "parts[0]", "all update the first part", **DIVIDED)
mutant(9, devices.DividedSteps, "self.gathered(parts)", 'self.of("weights", layer)',
       "the new parts are not gathered", **DIVIDED)  # fmt: skip
mutant(9, devices.DividedSteps, "parts[d] for d, parts in enumerate(held)",
       "parts[d - 1] for d, parts in enumerate(held)", "a neighbour's gradient",
       **DIVIDED)  # fmt: skip
mutant(9, devices.momentum_on_each, "gradients, velocities", "velocities, gradients",
       "velocity and gradient exchanged", **DIVIDED)  # fmt: skip
mutant(9, devices.DividedWeights, "super().begin(layer, own_parts(rows), velocities)",
       "super().begin(layer, rows, velocities)", "the weights stay whole", **DIVIDED)  # fmt: skip
mutant(9, devices.DividedWeights, 'self.forget("whole", layer)', "pass",
       "the gathered layers stay", **HELD)  # fmt: skip
mutant(9, devices.DividedSteps, "own_parts(velocities)", "velocities",
       "the velocity is not divided", **HELD)  # fmt: skip
mutant(9, devices.run_pipeline, "/ len(x)", "/ len(p)", "each piece's own mean", **PIPELINE)
mutant(9, devices.Stage, '["gradients"] += row', '["gradients"] = row', "only the last piece",
       **PIPELINE)  # fmt: skip
mutant(9, devices.Stage, "self.keep(f\"inputs {piece}\", x)", 'self.keep("inputs 0", x)',
       "one place for all pieces", **PIPELINE)  # fmt: skip
mutant(9, devices.idle_share, "1 - len(ticks)", "1 - 0.9 * len(ticks)", "work not counted", **IDLE)
mutant(9, devices.one_by_one, "stages - 1 - stage", "stages - 1", "all stages run ahead", **IDLE)
mutant(9, devices.Stage, "self.arrays.pop(f", "self.arrays.get(f", "nothing is forgotten", **IDLE)
