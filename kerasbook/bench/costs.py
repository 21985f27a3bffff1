"""What a step costs in arithmetic: the model's matrix products, and the machine's speed at them."""

import math
import re
import statistics
import tempfile
import time
from pathlib import Path

from kerasbook.bench.jobs import Job
from kerasbook.bench.models import Row
from kerasbook.machine import cores
from kerasbook.training import make_train_step, total_loss
from kerasbook.training.loops import make_loop

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework import op_def_registry
from tensorflow.tsl.profiler.protobuf import xplane_pb2

SIZE = 2048
SECONDS_OF_A_TRY = 0.05


def flops_per_step(row: Row) -> int:
    """Returns the floating-point operations of a training step, in products and convolutions.

    They are counted in TensorFlow's graph of loss and gradient, of the model made of Keras'
    layers: a multiplication and an addition are two. All else, such as activations and the
    optimizer, counts nothing. A loop inside the model counts once for each step of a sequence.
    """
    job = row.make()
    return sum(2 * times * COUNTERS[op.type](op) for op, times, _ in _products(job, job.model))


def seconds_of_products(row: Row) -> float:
    """Returns what the products of a step of our model take alone, each in its own size.

    They are run as the model runs them: in TensorFlow's operations, or compiled by XLA; and where
    it has `row.at_once` parts side by side, so many at once.
    """
    counts: dict[tuple, tuple] = {}  # what to run → its options, and how often
    job = row.make()
    ours = job.model if row.ours is None else row.ours()
    for op, times, compiled in _products(job, ours):
        shapes = tuple((tuple(tensor.shape.as_list()), tensor.dtype) for tensor in op.inputs)
        options = {
            definition.name: op.get_attr(definition.name)
            for definition in op.op_def.attr
            if definition.name not in ("T", "Ta", "Tb", "Tout", "N")
        }
        # The gradient of a convolution is told the size of its result.
        result = tuple(op.outputs[0].shape.as_list())
        sizes = tuple(result if tensor.dtype == tf.int32 else None for tensor in op.inputs)
        key = op.type, shapes, sizes, compiled, repr(sorted(options.items()))
        counts[key] = options, times + counts.get(key, (None, 0))[1]
    return sum(
        times * _seconds_alone(*key[:4], options, row.at_once if key[3] or row.one_thread else 1)
        for key, (options, times) in counts.items()
    )


def _seconds_alone(
    kind: str, shapes: tuple, sizes: tuple, compiled: bool, options: dict, at_once=1
) -> float:
    """What one product takes: the mean over many in a row, the median of three tries."""
    options = {name: _plain(value) for name, value in options.items()}

    def loop(repeats, *inputs):
        *others, last = inputs

        def body(number, last, total):  # the result is needed, or it would not be computed
            result = tf.reshape(_run(kind, [*others, last], options), [-1])[0]
            if compiled:  # and XLA would compute it only once, if nothing changed
                last = tf.tensor_scatter_nd_update(last, [[0] * last.shape.rank], [result])
            return number + 1, last, total + tf.cast(result, tf.float32)

        start = [0, last, 0.0]
        return tf.while_loop(lambda number, *_: number < repeats, body, start)[2]

    loop = tf.function(loop, jit_compile=compiled, autograph=False)
    inputs = [
        [
            tf.cast(tf.random.normal(shape), dtype) if size is None else tf.constant(size)
            for (shape, dtype), size in zip(shapes, sizes, strict=True)
        ]
        for _ in range(at_once)
    ]
    run = tf.function(lambda repeats: [loop(repeats, *each) for each in inputs], autograph=False)

    def seconds(repeats):
        started = time.perf_counter()
        run(tf.constant(repeats))[0].numpy()
        return time.perf_counter() - started

    seconds(2)  # traces
    repeats = max(20, math.ceil(20 * SECONDS_OF_A_TRY / seconds(20)))
    return statistics.median(seconds(repeats) for _ in range(3)) / repeats / at_once


def _run(kind: str, inputs: list, options: dict):
    raw = getattr(tf.raw_ops, kind)
    if kind == "Einsum":
        return raw(inputs=inputs, **options)
    names = [argument.name for argument in op_def_registry.get(kind).input_arg]
    return raw(**dict(zip(names, inputs, strict=True)), **options)


def _plain(value):
    return value.decode() if isinstance(value, bytes) else value


def _products(job: Job, model) -> list[tuple]:
    """The products of a training step: each with how often it is taken, and whether in XLA."""
    x, y = (tf.constant(part[: job.batch_size]) for part in job.data)
    for layer in model.layers:  # cuDNN's kernels have no products in the graph
        if hasattr(layer, "use_cudnn"):
            layer.use_cudnn = False

    def gradients():
        with tf.GradientTape() as tape:
            loss = total_loss(model, job.loss_fn, y, model(x, training=True))
        return tape.gradient(loss, [variable.value for variable in model.trainable_variables])

    graph = tf.function(gradients, autograph=False).get_concrete_function().graph
    compiled = model is job.model and job.jit
    time_steps = x.shape[1] if x.shape.rank > 1 else 1
    return list(_products_of(graph, graph.outputs, 1, compiled, time_steps))


def _products_of(graph, outputs, times: int, compiled: bool, time_steps: int):
    ops, tensors = _needed(outputs)
    for op in ops:
        if op.type in COUNTERS:
            yield op, times, compiled
        elif op.type in ("While", "StatelessWhile"):
            body = _function(graph, op.get_attr("body").name)
            yield from _products_of(body, body.outputs, times * time_steps, compiled, time_steps)
        elif op.type in ("PartitionedCall", "StatefulPartitionedCall"):
            called = _function(graph, op.get_attr("f").name)
            pairs = zip(op.outputs, called.outputs, strict=True)
            wanted = [inside for outside, inside in pairs if outside.ref() in tensors]
            within = compiled or _is_compiled(op)
            yield from _products_of(called, wanted, times, within, time_steps)


def _needed(outputs) -> tuple[list, set]:
    """The operations that these outputs depend on, and the tensors between them."""
    found, tensors, waiting = set(), set(), list(outputs)
    while waiting:
        tensor = waiting.pop()
        if tensor.ref() not in tensors:
            tensors.add(tensor.ref())
            found.add(tensor.op)
            waiting += tensor.op.inputs
    return list(found), tensors


def _is_compiled(op) -> bool:
    """Whether XLA compiles the function that is called."""
    try:
        return bool(op.get_attr("_XlaMustCompile"))
    except ValueError:
        return False


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


# The kinds of operations, by their names in TensorFlow and in XLA; the first that fits counts.
KINDS = {
    "products": r"matmul|conv2d|einsum|dot",
    "pooling": r"maxpool",
    "moving numbers": r"transpose|concat|copy|split|slice|gather|tile|pad|broadcast(?!_)|reshape"
    r"|bitcast_dynamic|pack|readvariable|assignvariable",
    "sums and means": r"sum|mean|biasaddgrad|softmax|reduce",
    "number by number": r"",
}


def shares_by_kind(row: Row) -> dict[str, float]:
    """Returns the share of each kind of operation in the time of all, in an epoch of our loop.

    TensorFlow's profiler measures each operation; those that run at the same time on two cores
    both count.
    """
    job = row.make()
    model = job.model if row.ours is None else row.ours()
    job.optimizer.build(model.trainable_variables)
    step = make_train_step(model, job.loss_fn, job.optimizer)
    data = tuple(tf.constant(part) for part in job.data)
    loop = make_loop(step, [], data, job.batch_size, job.jit, True)
    for _ in range(5):
        *_, _ = loop.run_epoch()
    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            *_, _ = loop.run_epoch()
        (file,) = Path(folder).rglob("*.xplane.pb")
        space = xplane_pb2.XSpace.FromString(file.read_bytes())
    times = dict.fromkeys(KINDS, 0)
    for name, picoseconds in _operations(space):
        kind = next(kind for kind, words in KINDS.items() if re.search(words, name, re.IGNORECASE))
        times[kind] += picoseconds
    return {kind: time / max(1, sum(times.values())) for kind, time in times.items()}


def _operations(space):
    """The name and the time of each operation, TensorFlow's and XLA's, without what calls them."""
    for plane in space.planes:
        stats = {number: each.name for number, each in plane.stat_metadata.items()}
        for event in (event for line in plane.lines for event in line.events):
            name = plane.event_metadata[event.metadata_id].name
            in_xla = any(stats[stat.metadata_id] == "hlo_op" for stat in event.stats)
            # TensorFlow's are called path/of/the/operation:Type.
            _, colon, kind = name.partition(":")
            if in_xla and not re.match(r"while|call|cond", name):
                yield name, event.duration_ps
            elif colon and re.match(r"[A-Z_]\w*$", kind) and not re.match(r"__inference", kind):
                yield kind, event.duration_ps


class Product:
    """A side that has no model: a large matrix product, which tells the machine's speed."""

    repeats = 10  # in one call
    flops = repeats * 2 * SIZE**3

    data, batch_size = (np.zeros(1), np.zeros(1)), 1

    def __init__(self):
        kind = keras.config.dtype_policy().compute_dtype
        a = tf.cast(tf.random.normal((SIZE, SIZE), stddev=SIZE**-0.5), kind)

        def run():
            def body(number, product):
                return number + 1, a @ product

            product = tf.while_loop(lambda number, _: number < self.repeats, body, [0, a])[1]
            return product[0, 0]

        self.run = tf.function(run, autograph=False)

    def train(self, x, y, epochs, shuffle, done):
        """Takes some products for an epoch, and calls `done` after each."""
        for _ in range(epochs):
            self.run().numpy()
            done()

    def set_chance(self, on):
        """Leaves all as it is: there is no chance in it."""

    def threads(self):
        """Returns how many threads the product may take."""
        return threads()

    def outputs(self, x):
        """Returns nothing that could be compared."""
        return np.zeros(0)


def threads() -> int:
    """Returns how many threads TensorFlow may take for one operation."""
    return tf.config.threading.get_intra_op_parallelism_threads() or cores()


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
