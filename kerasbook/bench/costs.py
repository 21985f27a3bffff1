"""What a step costs in arithmetic: the model's matrix products, and the machine's speed at them."""

import statistics
import time

from kerasbook.bench.models import Row
from kerasbook.training import total_loss

import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry

SIZE = 2048


def flops_per_step(row: Row) -> int:
    """Returns the floating-point operations of a training step, in products and convolutions.

    They are counted in TensorFlow's graph of loss and gradient, of the model made of Keras'
    layers: a multiplication and an addition are two. All else, such as activations and the
    optimizer, counts nothing. A loop inside the model counts `row.time_steps` times.
    """
    return sum(2 * times * COUNTERS[op.type](op) for op, times in _products(row, row.model()))


def seconds_of_products(row: Row) -> float:
    """Returns what the products of a step of our model take alone, each in its own size."""
    counts: dict[tuple, tuple] = {}  # what to run → its options, and how often
    for op, times in _products(row, (row.ours or row.model)()):
        shapes = tuple(tuple(tensor.shape.as_list()) for tensor in op.inputs)
        options = {
            definition.name: op.get_attr(definition.name)
            for definition in op.op_def.attr
            if definition.name not in ("T", "Ta", "Tb", "Tout", "N")
        }
        # The gradient of a convolution is told the size of its result.
        result = tuple(op.outputs[0].shape.as_list())
        sizes = tuple(result if tensor.dtype == tf.int32 else None for tensor in op.inputs)
        key = op.type, shapes, sizes, repr(sorted(options.items()))
        counts[key] = options, times + counts.get(key, (None, 0))[1]
    return sum(
        times * _seconds_alone(*key[:3], options) for key, (options, times) in counts.items()
    )


def _seconds_alone(kind: str, shapes: tuple, sizes: tuple, options: dict, repeats=20) -> float:
    """What one product takes, the mean over some in a row, the shortest of three tries."""
    inputs = [
        tf.random.normal(shape) if size is None else tf.constant(size)
        for shape, size in zip(shapes, sizes, strict=True)
    ]
    options = {name: _plain(value) for name, value in options.items()}

    def body(number, total):  # the result is needed, or it would not be computed
        return number + 1, total + tf.reshape(_run(kind, inputs, options), [-1])[0]

    loop = tf.function(
        lambda: tf.while_loop(lambda number, total: number < repeats, body, [0, 0.0]),
        autograph=False,
    )
    tries = []
    for _ in range(4):
        started = time.perf_counter()
        loop()[1].numpy()
        tries.append(time.perf_counter() - started)
    return min(tries[1:]) / repeats


def _run(kind: str, inputs: list, options: dict):
    raw = getattr(tf.raw_ops, kind)
    if kind == "Einsum":
        return raw(inputs=inputs, **options)
    names = [argument.name for argument in op_def_registry.get(kind).input_arg]
    return raw(**dict(zip(names, inputs, strict=True)), **options)


def _plain(value):
    return value.decode() if isinstance(value, bytes) else value


def _products(row: Row, model) -> list[tuple]:
    """The products of a training step of the model, each with how often it is taken."""
    x, y = (tf.constant(part[: row.batch_size]) for part in row.data())

    def gradients():
        with tf.GradientTape() as tape:
            loss = total_loss(model, row.loss_fn, y, model(x, training=True))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    graph = tf.function(gradients, autograph=False).get_concrete_function().graph
    return list(_products_of(graph, 1, row.time_steps))


def _products_of(graph, times: int, time_steps: int):
    for op in _needed(graph):
        if op.type in COUNTERS:
            yield op, times
        elif op.type in ("While", "StatelessWhile"):
            body = _function(graph, op.get_attr("body").name)
            yield from _products_of(body, times * time_steps, time_steps)
        elif op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            yield from _products_of(_function(graph, op.get_attr("f").name), times, time_steps)


def _needed(graph) -> list:
    """The operations that the graph's outputs depend on."""
    found, ops = set(), [tensor.op for tensor in graph.outputs]
    while ops:
        op = ops.pop()
        if op not in found:
            found.add(op)
            ops += [tensor.op for tensor in op.inputs]
    return list(found)


def _function(graph, name: str):
    return graph._get_function(name).graph


def _size(tensor) -> int:
    if not tensor.shape.is_fully_defined():
        raise ValueError(f"the graph does not say the shape of {tensor.name}: {tensor.shape}")
    return int(np.prod(tensor.shape.as_list()))


def _of_product(op) -> int:
    """Rows · columns · what is summed over."""
    inner = op.inputs[0].shape[-2 if op.get_attr("transpose_a") else -1]
    return _size(op.outputs[0]) * inner


def _of_batch_product(op) -> int:
    inner = op.inputs[0].shape[-2 if op.get_attr("adj_x") else -1]
    return _size(op.outputs[0]) * inner


def _of_einsum(op) -> int:
    """The product of the sizes of all letters."""
    letters = op.get_attr("equation").decode().partition("->")[0].split(",")
    shapes = [tensor.shape.as_list() for tensor in op.inputs]
    if any("." in each for each in letters):
        raise ValueError(f"an einsum with dots: {op.get_attr('equation')}")
    sizes = {
        letter: size
        for each, shape in zip(letters, shapes, strict=True)
        for letter, size in zip(each, shape, strict=True)
    }
    return int(np.prod([int(size) for size in sizes.values()]))


def _of_convolution(op) -> int:
    """Every place of the output meets every weight of its channel."""
    return _of_maps(op.outputs[0], op.inputs[1].shape)


def _of_convolution_for_input(op) -> int:
    return _of_maps(op.inputs[2], op.inputs[1].shape)


def _of_convolution_for_kernel(op) -> int:
    return _of_maps(op.inputs[2], op.outputs[0].shape)


def _of_maps(maps, kernel_shape) -> int:
    height, width, channels, _ = kernel_shape
    return _size(maps) * height * width * channels


COUNTERS = {
    "MatMul": _of_product,
    "BatchMatMulV2": _of_batch_product,
    "BatchMatMulV3": _of_batch_product,
    "Einsum": _of_einsum,
    "Conv2D": _of_convolution,
    "Conv2DBackpropInput": _of_convolution_for_input,
    "Conv2DBackpropFilter": _of_convolution_for_kernel,
}


def product_speed() -> float:
    """Returns the machine's floating-point operations per second in a large matrix product."""
    a = tf.random.normal((SIZE, SIZE))
    product = tf.function(lambda: tf.reduce_sum(a @ a), autograph=False)
    seconds = []
    for _ in range(12):
        started = time.perf_counter()
        product().numpy()
        seconds.append(time.perf_counter() - started)
    return 2 * SIZE**3 / statistics.median(seconds[2:])


def transfer_speed() -> float | None:
    """Returns bytes per second from memory to the GPU; None without one."""
    if not tf.config.get_visible_devices("GPU"):
        return None
    array = np.ones(64 * 2**20, np.uint8)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        with tf.device("GPU:0"):
            tf.reduce_sum(tf.constant(array)[:1]).numpy()
        seconds.append(time.perf_counter() - started)
    return array.nbytes / statistics.median(seconds)
