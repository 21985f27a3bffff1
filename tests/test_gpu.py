"""On a GPU: run with `python -m pytest -m gpu`."""

import json

from kerasbook import bench
from kerasbook.bench import costs
from kerasbook.bench.models import cross_entropy, noise, recurrent
from kerasbook.training import fit

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not tf.config.list_physical_devices("GPU"), reason="there is no GPU"),
]
DATA = noise(40, 12, 6)


def make_model(kind):
    keras.utils.set_random_seed(0)
    if kind == "dense":
        parts = [layers.Flatten(), layers.Dense(32, "relu"), layers.Dense(10, dtype="float32")]
        return keras.Sequential([keras.Input((12, 6)), *parts])
    return recurrent(kind, 6, 8, 1, 12)


def train(kind, **options):
    model, optimizer = make_model(kind), keras.optimizers.Adam()
    fit(
        model, DATA, loss_fn=cross_entropy, optimizer=optimizer, batch_size=16, epochs=2,
        progress="none", **options,
    )  # fmt: skip
    return model


@pytest.mark.parametrize("kind", ["dense", layers.GRU, layers.LSTM])
def test_the_weights_lie_on_the_gpu_and_are_those_of_model_fit(kind):
    ours, theirs = train(kind), train(kind, loop="fit")
    assert "GPU" in ours.trainable_variables[0].value.device
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_mixed_precision_is_that_of_keras(precision):
    keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        ours, theirs = train("dense"), train("dense", loop="fit")
    finally:
        keras.config.set_dtype_policy("float32")
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-3)


def test_the_graph_has_cudnns_kernel():
    model = make_model(layers.LSTM)
    function = tf.function(lambda x: model(x, training=True))
    names = {
        op.type
        for op in function.get_concrete_function(tf.constant(DATA[0])).graph.get_operations()
    }
    assert any("Cudnn" in name for name in names)


def test_a_layer_that_cannot_use_cudnn_is_told():
    model = keras.Sequential([keras.Input((12, 6)), layers.LSTM(4, unroll=True), layers.Dense(10)])
    with pytest.warns(UserWarning, match="without cuDNN"):
        fit(model, DATA, loss_fn=cross_entropy, optimizer=keras.optimizers.SGD(), progress="none")


def test_the_bench_runs_on_the_gpu(tmp_path):
    assert costs.transfer_speed() > 1e8
    file = tmp_path / "bench.json"
    bench.main(["empty", "chapter4", "--rounds", "1", "--device", "gpu", "--json", str(file)])
    found = json.loads(file.read_text())
    assert found["machine"]["device"] != "CPU"
    assert "fit" not in found["rows"]["chapter4"]["missing"]  # its outputs agree with ours
    # as on a CPU: 40 steps of products for 128 rows, forwards and back
    assert found["machine"]["flops_per_step"]["chapter4"] > 2 * 128 * 40 * 5 * 3 * 32 * 32
