"""Layers in whole numbers as two runtimes compute them: sums, their multipliers, outputs.

LiteRT's converter and interpreter are TensorFlow's own; onnxruntime is of the extra `convert`. What
comes out is compared with chapter 8's rules of rounding, by tools/make_measurements.py; outputs of
LiteRT's reference kernels and of onnxruntime are kept in kerasbook/ledger/reference_kernels.npz.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import layers

KERNELS = {  # name: the interpreter's word for it
    "reference": "BUILTIN_REF",
    "optimised": "BUILTIN_WITHOUT_DEFAULT_DELEGATES",
    "XNNPACK": "AUTO",
}
WIDTH = 3  # of the convolution's window


class Computed(NamedTuple):
    """A layer's run in 8 bits."""

    sums: np.ndarray  # (…, units) int64: products and bias, before the rounding
    multiplier: np.ndarray  # (units,) float64: what a sum is multiplied by
    zero: int  # the output's zero point
    outputs: np.ndarray  # (…, units) int64, from -128 to 127


def make_layers(seed: int = 0) -> dict[str, tuple[Any, tuple]]:
    """Returns a dense layer of 256 inputs and 128 units and a convolution, with input shapes."""
    keras.utils.set_random_seed(seed)
    return {
        "dense": (layers.Dense(128), (256,)),
        "convolution": (layers.Conv2D(16, WIDTH, padding="same"), (10, 10, 8)),
    }


def converted(layer: Any, shape: tuple, seed: int = 0) -> bytes:
    """Returns a LiteRT file in which a layer with random weights has 8-bit inputs and outputs."""
    random = np.random.default_rng(seed)
    model = keras.Sequential([keras.Input(shape), layer])
    model.set_weights([random.normal(size=each.shape) for each in model.get_weights()])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    examples = random.normal(size=(200, 1, *shape)).astype("float32")
    converter.representative_dataset = lambda: ([each] for each in examples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
        return converter.convert()


def computed(content: bytes, kernel: str, rows: int, seed: int = 1) -> Computed:
    """Returns what one of KERNELS makes of so many random inputs, and what it makes it from."""
    kind = getattr(tf.lite.experimental.OpResolverType, KERNELS[kernel])
    with warnings.catch_warnings(action="ignore"):
        run = tf.lite.Interpreter(model_content=content, experimental_op_resolver_type=kind)
    (before,), (after,) = run.get_input_details(), run.get_output_details()
    shape = rows, *before["shape"][1:]
    run.resize_tensor_input(before["index"], shape)
    run.allocate_tensors()
    x = np.random.default_rng(seed).integers(-128, 128, shape).astype("int8")
    run.set_tensor(before["index"], x)
    run.invoke()
    outputs = run.get_tensor(after["index"]).astype("int64")
    weights, scales, bias = _weights_of(run, (before["index"], after["index"]))
    scale_in, zero_in = before["quantization"]
    scale_out, zero_out = after["quantization"]
    sums = _windows(x.astype("int64") - zero_in) @ weights + bias
    multiplier = np.float64(scale_in) * scales / np.float64(scale_out)
    return Computed(sums, multiplier, zero_out, outputs)


def _weights_of(run: Any, ends: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns kernel (inputs, units), its scales and the bias, from an interpreter."""
    inside = [each for each in run.get_tensor_details() if each["index"] not in ends]
    # The optimised convolution has a place for its windows, too, behind the kernel.
    kernel = next(e for e in inside if e["dtype"] == np.int8 and len(e["shape"]) > 1)
    bias = next(e for e in inside if e["dtype"] == np.int32 and len(e["shape"]) == 1)
    numbers = run.get_tensor(kernel["index"]).astype("int64")
    scales = kernel["quantization_parameters"]["scales"].astype("float64")
    return (
        numbers.reshape(len(numbers), -1).T,
        scales,
        run.get_tensor(bias["index"]).astype("int64"),
    )


def _windows(x: np.ndarray) -> np.ndarray:
    """Returns what a kernel is laid on: rows as they are, pictures in patches of their windows."""
    if x.ndim == 2:
        return x
    frame = [(0, 0), (1, 1), (1, 1), (0, 0)]
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, frame), (WIDTH, WIDTH), (1, 2))
    return np.moveaxis(windows, 3, 5).reshape(*x.shape[:3], -1)  # channels last, as in the kernel


def runs(rows: dict[str, int] | None = None) -> Iterator[tuple[str, str, Computed]]:
    """Yields (layer, kernel, what was computed) for both layers and all KERNELS."""
    rows = rows or {"dense": 2500, "convolution": 300}
    for name, (layer, shape) in make_layers().items():
        content = converted(layer, shape)
        for kernel in KERNELS:
            yield name, kernel, computed(content, kernel, rows[name])


# --- onnxruntime --------------------------------------------------------------------------


def onnx_model(weights: np.ndarray, scales: np.ndarray, bias: np.ndarray, run: dict) -> Any:
    """Returns an ONNX model of one layer in whole numbers: a dense one, or a convolution.

    weights: (inputs, units) int8, or (filters, channels, 3, 3); run: scales and zeros of the ends.
    """
    from onnx import TensorProto, helper, numpy_helper

    is_dense = weights.ndim == 2
    parts = {"scale in": run["scale in"], "zero in": run["zero in"], "weights": weights}
    parts |= {"scales": scales, "zeros": np.zeros(len(scales), "int8")}
    parts |= {"scale out": run["scale out"], "zero out": run["zero out"]}
    parts |= {} if is_dense else {"bias": bias.astype("int32")}
    constants = [numpy_helper.from_array(np.asarray(value), name) for name, value in parts.items()]
    options = {} if is_dense else {"pads": [1, 1, 1, 1]}
    kind = "QLinearMatMul" if is_dense else "QLinearConv"
    node = helper.make_node(kind, ["x", *parts], ["y"], **options)
    ends = [helper.make_tensor_value_info(name, TensorProto.INT8, None) for name in "xy"]
    graph = helper.make_graph([node], kind, ends[:1], ends[1:], constants)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10
    ).SerializeToString()


def onnx_runs(rows: dict[str, int] | None = None, seed: int = 0) -> Iterator[tuple[str, Computed]]:
    """Yields (layer, what onnxruntime computed) for random layers of the sizes of `make_layers`.

    A dense layer of ONNX has no bias.
    """
    import onnxruntime

    random = np.random.default_rng(seed)
    for name, count in (rows or {"dense": 2500, "convolution": 300}).items():
        shape, units = ((256,), 128) if name == "dense" else ((10, 10, 8), 16)
        inputs = shape[0] if name == "dense" else WIDTH**2 * shape[-1]
        x = random.integers(-128, 128, (count, *shape)).astype("int8")
        kernel = random.integers(-127, 128, (inputs, units)).astype("int8")
        bias = random.integers(-9999, 9999, units) * (name != "dense")
        scales = random.uniform(0.001, 0.003, units).astype("float32")
        scale_out = np.float32(0.003 * inputs**0.5)
        run = {"scale in": np.float32(0.02), "zero in": np.int8(7)}
        run |= {"scale out": scale_out, "zero out": np.int8(-11)}
        sums = _windows(x.astype("int64") - 7) @ kernel.astype("int64") + bias
        ours = kernel
        if name != "dense":  # channels first
            x, ours = x.transpose(0, 3, 1, 2), kernel.reshape(WIDTH, WIDTH, -1, units)
            ours = np.ascontiguousarray(ours.transpose(3, 2, 0, 1))
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        content = onnx_model(ours, scales, bias, run)
        session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
        (outputs,) = session.run(None, {"x": x})
        outputs = outputs if name == "dense" else outputs.transpose(0, 2, 3, 1)
        multiplier = run["scale in"] * scales / scale_out
        yield name, Computed(sums, multiplier.astype("float64"), -11, outputs.astype("int64"))


def kept(found: Computed, chosen: np.ndarray, count: int = 60) -> dict[str, np.ndarray]:
    """Returns a few single outputs with their sums, for a file: half of them from those `chosen`.

    chosen: True where outputs are hard, such as where two rules differ.
    """
    random = np.random.default_rng(0)
    hard, easy = np.flatnonzero(chosen), np.flatnonzero(~chosen)
    places = np.concatenate(
        [random.choice(each, count // 2, replace=False) for each in (hard, easy)]
    )
    multiplier = np.broadcast_to(found.multiplier, found.sums.shape)
    return {
        "sums": found.sums.ravel()[places],
        "multiplier": multiplier.ravel()[places],
        "zero": np.array(found.zero, np.int64),
        "outputs": found.outputs.ravel()[places],
    }


def missed(found: Computed, rule: Any) -> int:
    """Returns how many outputs `rule(sums, multiplier)` does not give."""
    ours = np.clip(rule(found.sums, found.multiplier) + found.zero, -128, 127)
    return int(np.sum(ours != found.outputs))
