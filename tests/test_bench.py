"""The benchmark compares like with like: the same weights after an epoch, the same outputs."""

import importlib.util
import json

from kerasbook import bench

import keras
import numpy as np
import pytest
from keras import layers

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)


def tiny_row(peer=None):
    def model():
        return keras.Sequential([keras.Input((5, 3)), layers.GRU(4), layers.Dense(10)])

    data = lambda: bench.noise(24, 5, 3)  # noqa: E731
    return bench.Row("tiny", data, model, bench.cross_entropy, 8, 3, peer)


@pytest.mark.slow
def test_a_row_has_times_ratios_and_the_difference_of_the_weights():
    result = bench.compare(tiny_row(), rounds=2)
    assert set(result["milliseconds_per_step"]) == {"ours", "fit"}
    ours, theirs = result["milliseconds_per_step"].values()
    np.testing.assert_allclose(result["ratios"], np.divide(theirs, ours))
    assert min(result["ratios"]) <= result["ratio"] <= max(result["ratios"])
    assert 0 <= result["weights_differ_by"] < 1e-5
    assert min(result["first_epoch_seconds"].values()) > 0


@pytest.mark.slow
def test_the_command_writes_its_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(bench, "ROWS", {"tiny": tiny_row()})
    bench.main(["tiny", "--rounds", "1", "--json", str(tmp_path / "b.json")])
    assert json.loads((tmp_path / "b.json").read_text())["rows"]["tiny"]["title"] == "tiny"
    assert "tiny" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        bench.main(["none"])


def test_the_blocks_of_chapter_6_have_the_outputs_of_keras():
    ours = bench.book_transformer(width=8, heads=2, depth=2)
    theirs = bench.transformer(width=8, heads=2, hidden=32, depth=2)
    theirs.set_weights(bench.weights_of_transformer(ours))
    x = bench.noise(4, 64, 8)[0]
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-5)


@needs_torch
@pytest.mark.peer
@pytest.mark.parametrize(("kind", "cell"), [("gru", layers.GRU), ("lstm", layers.LSTM)])
def test_recurrent_networks_in_pytorch_give_the_same_outputs(kind, cell):
    from kerasbook.bench import peers

    model = bench.recurrent(cell, 3, 5, 2)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    x = bench.noise(4, 100, 3)[0]
    peer = peers.reader(model.get_weights(), kind, 3, 5, 2, 10)
    np.testing.assert_allclose(peers.outputs(peer, x), model(x), atol=1e-5)


@needs_torch
@pytest.mark.peer
def test_the_transformer_in_pytorch_gives_the_same_outputs():
    from kerasbook.bench import peers

    model = bench.transformer(width=8, heads=2, hidden=12, depth=2)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(size=w.shape) for w in model.get_weights()])
    x = bench.noise(4, 64, 8)[0]
    peer = peers.encoder(model.get_weights(), 8, 2, 12, 2, 10)
    np.testing.assert_allclose(peers.outputs(peer, x), model(x), atol=2e-4, rtol=1e-4)


@needs_torch
@pytest.mark.peer
def test_pytorch_takes_part_where_a_row_has_a_peer():
    row = tiny_row(lambda peers, weights: peers.reader(weights, "gru", 3, 4, 1, 10))
    result = bench.compare(row, rounds=1)
    assert len(result["torch_ratios"]) == 1
    assert result["torch_outputs_differ_by"] < 1e-5
