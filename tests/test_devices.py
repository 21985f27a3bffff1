"""Several devices and processes: shares of a batch, refusals, workers that end together.

That all take the same steps is the ledger's claim (kerasbook/ledger/devices.py).
"""

import json
import os
import signal
import subprocess
import sys
import time

from kerasbook import chapter1, cluster, runner
from kerasbook.cluster import Cluster, ClusterError, read_cluster, start_workers
from kerasbook.data import DataError
from kerasbook.runner import execution
from kerasbook.training import compiling, devices, evaluate, fit, predict, replicas
from kerasbook.training.checks import ArgumentError
from kerasbook.training.replicas import rows_of

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers


@pytest.mark.parametrize("replicas", [1, 2, 3, 4, 7])
def test_every_row_of_a_batch_has_one_replica_and_the_first_is_never_idle(replicas):
    for rows in range(1, 30):
        shares = [range(*rows_of(number, rows, replicas)) for number in range(replicas)]
        assert [row for share in shares for row in share] == list(range(rows))
        lengths = [len(share) for share in shares]
        assert max(lengths) - min(lengths) <= 1
        assert lengths[0] > 0


# --- fit ----------------------------------------------------------------------------------


def make(strategy, *hidden):
    with strategy.scope():
        keras.utils.set_random_seed(1)
        model = keras.Sequential([keras.Input((3,)), *(each() for each in hidden), layers.Dense(1)])
        return {
            "model": model,
            "loss_fn": keras.losses.MeanSquaredError(),
            "optimizer": keras.optimizers.Adam(0.01),
            "metrics": [keras.metrics.MeanAbsoluteError(name="mae")],
        }


def data(rows=9):
    random = np.random.default_rng(0)
    return random.normal(size=(rows, 3)).astype("float32"), random.normal(size=(rows, 1))


QUICK = {"batch_size": 4, "jit": "off", "progress": "none"}


def test_history_evaluate_and_predict_are_those_of_one_device():
    results = []
    for strategy in (tf.distribute.get_strategy(), devices.make_strategy(2)):
        parts = make(strategy, lambda: layers.Dense(4, "tanh"))
        history = fit(train=data(8), epochs=2, validation_data=data(4), **parts, **QUICK)
        known = {name: parts[name] for name in ("model", "loss_fn", "metrics")}
        scores = evaluate(data=data(8), **known, batch_size=4)
        results.append([history.history, scores, predict(parts["model"], data()[0])])
    (history, scores, outputs), (of_two, scores_of_two, outputs_of_two) = results
    assert set(history) == set(of_two) == {"loss", "mae", "val_loss", "val_mae"}
    for name in history:
        np.testing.assert_allclose(of_two[name], history[name], rtol=1e-6)
    assert scores_of_two == pytest.approx(scores, rel=1e-6)
    np.testing.assert_allclose(outputs_of_two, outputs, rtol=1e-5)


def test_a_replica_without_rows_leaves_no_nan_and_all_have_the_first_ones_statistics():
    parts = make(devices.make_strategy(2), layers.BatchNormalization) | QUICK
    fit(train=data(9), epochs=2, **parts)  # the last batch has one row
    normalisation = parts["model"].layers[0]
    for variable in (normalisation.moving_mean, normalisation.moving_variance):
        first, second = (np.asarray(copy) for copy in variable.value.values)
        assert np.all(np.isfinite(first))
        np.testing.assert_array_equal(first, second)


@pytest.mark.slow
@pytest.mark.parametrize("clip", [None, 0.1])
def test_float16_on_two_devices_is_float16_on_one(clip):
    weights = []
    for strategy in (tf.distribute.get_strategy(), devices.make_strategy(2)):
        keras.config.set_dtype_policy("mixed_float16")
        try:
            parts = make(strategy, lambda: layers.Dense(4, "tanh"))
            parts["optimizer"].global_clipnorm = clip
            fit(train=data(), epochs=2, **parts, **QUICK)
        finally:
            keras.config.set_dtype_policy("float32")
        weights.append(np.concatenate([each.ravel() for each in parts["model"].get_weights()]))
    np.testing.assert_allclose(*weights, atol=2e-3)


def test_each_replica_has_random_numbers_of_its_own_and_the_first_those_of_one_device():
    states = []
    for strategy in (tf.distribute.get_strategy(), devices.make_strategy(2)):
        parts = make(strategy, lambda: layers.Dropout(0.5, seed=1)) | QUICK
        fit(train=data(8), epochs=2, **parts)
        state = parts["model"].layers[0].seed_generator.state.value
        states += [np.asarray(copy).tolist() for copy in getattr(state, "values", [state])]
    alone, first, second = states
    assert alone == first == [1, 4]  # the seed, and a draw for each of four steps
    assert second == [1, 4 + 2**32]


def test_replicas_have_random_numbers_of_their_own_from_the_first_step_on():
    strategy = devices.make_strategy(2)
    parts = make(strategy, lambda: layers.Dropout(0.5, seed=1))
    model, optimizer = parts["model"], parts["optimizer"]
    with strategy.scope():
        optimizer.build(model.trainable_variables)
        step = replicas.make_replica_step(model, parts["loss_fn"], optimizer)
        arrays = tuple(map(tf.constant, data(8)))
        loop = replicas.ReplicaLoop(strategy, model, step, [], arrays, 4, training=True)
        done, _ = next(loop.run_epoch())
    state = model.layers[0].seed_generator.state.value
    assert [np.asarray(copy).tolist() for copy in state.values] == [[1, done], [1, done + 2**32]]


def test_what_cannot_run_on_several_devices_is_refused():
    parts = make(devices.make_strategy(2)) | QUICK
    dataset = tf.data.Dataset.from_tensor_slices(data()).batch(4)
    for wrong, message in (
        ({"loop": "fit"}, "loop='tape'"),
        ({"jit": "on"}, "jit='auto'"),
        ({"train_step": lambda x, y: None}, "train_step"),
        ({"train": dataset}, "not a Dataset"),
        ({"validation_data": dataset}, "not a Dataset"),
        ({"optimizer": keras.optimizers.Adam(gradient_accumulation_steps=2)}, "accumulation"),
        ({"metrics": [keras.metrics.MeanAbsoluteError()]}, "in the scope too"),
    ):
        with pytest.raises(ArgumentError, match=message):
            fit(**{"train": data(), **parts, **wrong})


def test_a_model_made_outside_of_the_scope_is_refused():
    parts = make(tf.distribute.get_strategy()) | QUICK
    with devices.make_strategy(2).scope(), pytest.raises(ArgumentError, match="make the model in"):
        fit(train=data(), **parts)


def test_the_cpu_is_not_cut_twice():
    assert devices.logical_devices(2, "CPU") == ["CPU:0", "CPU:1"]
    tf.constant(1) + 1
    with pytest.raises(ClusterError, match="before TensorFlow"):
        devices.logical_devices(9, "CPU")


# --- who belongs to a cluster -----------------------------------------------------------------


def config(jobs, kind="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": jobs, "task": {"type": kind, "index": index}})}


TWO = {"worker": ["a:1", "b:2"]}


def test_tf_config_names_the_workers_and_the_chief_comes_first():
    assert read_cluster({}) is None
    assert read_cluster({"TF_CONFIG": "{}"}) is None
    assert read_cluster(config({"worker": ["a:1"]})) is None
    assert read_cluster(config(TWO, index="1")) == Cluster(("a:1", "b:2"), 1)
    vertex = {"chief": ["c:0"], **TWO}
    assert read_cluster(config(vertex)) == Cluster(("c:0", "a:1", "b:2"), 1)
    assert read_cluster(config(vertex, "chief")).is_chief
    assert read_cluster(config({"evaluator": ["e:1"], **TWO})).is_chief


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[1]", "form"),
        ('{"cluster": []}', "form"),
        ('{"cluster": {"worker": "a:1"}, "task": {"type": "worker", "index": 0}}', "form"),
        ('{"cluster": {"worker": ["a:1", "b:1"]}}', "type"),
        (config(TWO, "ps")["TF_CONFIG"], "type must be worker"),
        (config(TWO, index=2)["TF_CONFIG"], "from 0 to 1"),
        (config(TWO, index=-1)["TF_CONFIG"], "from 0 to 1"),
        (config({"worker": ["a", "b:1"]})["TF_CONFIG"], "host:port"),
    ],
)
def test_a_damaged_tf_config_is_one_line_and_status_2(text, message, monkeypatch, capsys):
    with pytest.raises(ClusterError, match=message):
        read_cluster({"TF_CONFIG": text})
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(SystemExit) as caught:
        runner.run("kerasbook.chapter1", ["--quick"])
    assert caught.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


# --- workers --------------------------------------------------------------------------------

WORKER = """
import json, os, pathlib, signal, sys, time
from kerasbook.cluster import end_with_launcher, read_cluster
end_with_launcher()
index, folder = read_cluster().index, pathlib.Path(sys.argv[1])
(folder / str(index)).write_text(str(os.getpid()))
"""
WAIT = "time.sleep(60)\n"


def command(folder, *lines):
    return [sys.executable, "-c", WORKER + "".join(lines), str(folder)]


def gone(folder) -> bool:
    """Whether the workers that have written their numbers there have ended; waits a little."""
    for file in folder.iterdir():
        for _ in range(100):
            try:
                os.kill(int(file.read_text()), 0)
            except ProcessLookupError:
                break
            time.sleep(0.05)
        else:
            return False
    return True


def test_workers_know_each_other_and_end_well(tmp_path, capfd):
    lines = "print(json.loads(os.environ['TF_CONFIG'])['task'], len(read_cluster().workers))\n"
    assert start_workers(2, command(tmp_path, lines)) == 0
    assert capfd.readouterr().out == "{'type': 'worker', 'index': 0} 2\n"  # the chief's only
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1"]
    assert gone(tmp_path)


@pytest.mark.parametrize(
    ("lines", "status", "message"),
    [
        ("index and os.kill(os.getpid(), 9)\n" + WAIT, 1, "worker 1 was lost (killed by signal 9)"),
        ("index and sys.exit('no data')\n" + WAIT, 1, "(ended with status 1): no data; all"),
        ("index or os.kill(os.getpid(), 9)\n" + WAIT, 137, "worker 0 was lost"),
        ("sys.exit(2)\n", 2, ""),
    ],
)
def test_a_worker_that_dies_ends_the_others(lines, status, message, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(cluster, "SECONDS_TO_NOTICE", 0.3)
    assert start_workers(2, command(tmp_path, lines)) == status
    assert message in capfd.readouterr().err
    assert gone(tmp_path)


LAUNCH = """
import sys
from kerasbook.cluster import start_workers
sys.exit(start_workers(2, [sys.executable, "-c", *sys.argv[1:]]))
"""


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_launcher_that_ends_ends_its_workers(number, status, tmp_path):
    lines = f"signal.signal({int(signal.SIGTERM)}, lambda number, frame: sys.exit(143))\n"
    lines += f"signal.signal({int(signal.SIGINT)}, lambda number, frame: sys.exit(130))\n"
    lines += "(folder / str(index)).rename(folder / f'ready{index}')\n"
    with subprocess.Popen(
        [sys.executable, "-c", LAUNCH, *command(tmp_path, lines, WAIT)[2:]]
    ) as run:
        while len(list(tmp_path.glob("ready*"))) < 2:
            time.sleep(0.02)
            assert run.poll() is None
        run.send_signal(number)
        assert run.wait(20) == status
    assert gone(tmp_path)


# --- chapters -------------------------------------------------------------------------------


def call(*arguments, chapter=1):
    with pytest.raises(SystemExit) as caught:
        runner.run(f"kerasbook.chapter{chapter}", [str(argument) for argument in arguments])
    return caught.value.code


def test_a_chapters_main_runs_in_the_scope_of_its_devices(tmp_path, monkeypatch):
    def main(**fit_options):
        """Trains nothing."""
        seen.append(tf.distribute.get_strategy().num_replicas_in_sync)
        raise DataError("no data")

    seen = []
    monkeypatch.setattr(chapter1, "main", main)
    assert call("--devices", 2, "--output", tmp_path) == 2
    assert call("--output", tmp_path) == 2
    assert seen == [2, 1]


@pytest.mark.slow
@pytest.mark.parametrize("chapter", range(1, 7))
def test_every_chapter_runs_on_two_devices(chapter, tmp_path, capsys):
    flags = ["--quick", "--examples", 64, "--devices", 2, "--output", tmp_path]
    assert call(*flags, chapter=chapter) == 0
    assert "; 2 replicas" in capsys.readouterr().out
    report = json.loads((tmp_path / "report.json").read_text())
    assert set(os.listdir(tmp_path)) == {*report["files"], "checkpoint"}


def test_flags_that_exclude_each_other(monkeypatch, capsys):
    monkeypatch.setenv("TF_CONFIG", config(TWO)["TF_CONFIG"])
    assert call("--workers", 2) == 2
    assert call("--devices", 2) == 2
    assert "leave --devices out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_chapter_in_two_workers_has_the_history_of_one_and_goes_on(tmp_path):
    module = "kerasbook.chapter2_training"
    start = [sys.executable, "-m", module, "--examples", "100", "--dropout", "0"]
    two = ["--workers", "2"]
    for name, flags in (
        ("one", ["--epochs", "2", "--jit", "off"]),
        ("two", ["--epochs", "1", *two]),
        ("two", ["--epochs", "2", "--resume", *two]),
    ):
        command = [*start, *flags, "--output", tmp_path / name]
        run = subprocess.run(command, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert run.stdout.count("files in") == 1  # one report
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("one", "two")]
    one, two = (report["history"] for report in reports)
    assert one.keys() == two.keys()
    for name in one:
        assert two[name] == pytest.approx(one[name], rel=1e-4)
    assert sorted(os.listdir(tmp_path / "one")) == sorted(os.listdir(tmp_path / "two"))


@pytest.fixture
def two_cards(monkeypatch):
    """Two GPUs that are not there; returns what TensorFlow was told about them."""
    cards, told = ["GPU:0", "GPU:1"], []
    config = tf.config
    monkeypatch.setattr(config, "get_visible_devices", lambda kind: cards if kind == "GPU" else [])
    hide = lambda devices, kind: (told.append(("hidden", kind)), cards.clear())  # noqa: E731
    monkeypatch.setattr(config, "set_visible_devices", hide)
    grow = lambda card, on: told.append((card, on))  # noqa: E731
    monkeypatch.setattr(config.experimental, "set_memory_growth", grow)
    monkeypatch.setattr(
        config.experimental, "get_device_details", lambda card: {"device_name": f"card {card[-1]}"}
    )
    return told


@pytest.mark.parametrize("wanted", ["auto", "gpu"])
def test_gpus_are_taken_and_their_memory_grows(two_cards, wanted):
    assert execution.choose_device(wanted).startswith("GPU card 0, card 1; TensorFlow")
    assert two_cards == [("GPU:0", True), ("GPU:1", True)]


def test_gpus_are_left_alone_on_demand(two_cards):
    assert execution.choose_device("cpu").startswith("CPU, ")
    assert two_cards == [("hidden", "GPU")]


def test_a_batch_is_shared_among_the_gpus_that_there_are(two_cards, monkeypatch):
    made = []
    monkeypatch.setattr(
        tf.distribute, "MirroredStrategy", lambda names, cross_device_ops=None: made.append(names)
    )
    devices.make_strategy(2)
    assert made == [["GPU:0", "GPU:1"]]
    with pytest.raises(ClusterError, match=r"has 2 GPU\(s\), not 3"):
        devices.make_strategy(3)


def test_on_a_gpu_xla_compiles_convolutions_too(two_cards):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(2, 3)])
    assert compiling.use_jit("auto", model, steps=10)
    assert not two_cards
    tf.config.set_visible_devices([], "GPU")
    assert not compiling.use_jit("auto", model, steps=10**6)


@pytest.mark.parametrize(
    ("cores", "gpus", "expected"), [(1, [], [1]), (2, [], [1]), (4, [], []), (2, ["GPU:0"], [])]
)
def test_one_thread_per_operation_on_two_cores(monkeypatch, cores, gpus, expected):
    asked = []
    monkeypatch.setattr(devices, "cores", lambda: cores)
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    threading = tf.config.threading
    monkeypatch.setattr(threading, "set_intra_op_parallelism_threads", asked.append)
    devices.one_thread_per_operation()
    assert asked == expected


def test_one_thread_per_operation_is_not_insisted_on(monkeypatch):
    tf.constant(1.0)  # now the number of threads is fixed
    monkeypatch.setattr(devices, "cores", lambda: 2)
    devices.one_thread_per_operation()
