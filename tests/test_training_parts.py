"""The parts of the loop, one by one: batches, XLA, calls, devices, messages, saving."""

from types import SimpleNamespace

from kerasbook.training import batches, checkpoint, checks, compiling, devices, loops, replicas
from kerasbook.training.checks import ArgumentError
from kerasbook.training.losses import _same_rank, as_loss

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

X, Y = np.arange(12, dtype="float32").reshape(4, 3), np.arange(4, dtype="float32")[:, np.newaxis]
NO_GPU = pytest.mark.skipif(
    bool(tf.config.list_physical_devices("GPU")), reason="the rule is for CPUs"
)


# --- batches ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "steps"),
    [
        ((X, Y), 2),
        ((X[:3], Y[:3]), 1),
        (({"a": X}, Y), 2),
        (tf.data.Dataset.range(5).batch(2), 3),
        (tf.data.Dataset.range(0), 0),
        (tf.data.Dataset.range(5).filter(lambda x: x > 1), None),
    ],
)
def test_steps_of_an_epoch(data, steps):
    assert batches.steps_per_epoch(data, 3) == steps


def test_the_order_is_that_of_numpys_generator_and_of_whole_numbers():
    expected = np.random.default_rng((7, 2)).permutation(9)
    order = batches.batch_order(7, 2, 9)
    assert order.dtype == np.int32
    assert order.tolist() == expected.tolist()
    assert batches.batch_order(7, 2, 9, shuffle=False).tolist() == list(range(9))
    made = batches.make_batches((X, Y), (X, Y), 3, True, 7)
    assert made.order_of(2).numpy().tolist() == batches.batch_order(7, 2, 4).tolist()
    assert (made.examples, made.steps) == (4, 2)
    dataset = batches.make_batches(tf.data.Dataset.from_tensors((X, Y)), None, 3, True, 7)
    assert (dataset.examples, dataset.order_of(0)) == (None, None)


def test_the_fingerprint_reads_rows_from_the_first_to_the_last():
    rows = np.zeros((5000, 1), "float32")
    plain = batches.fingerprint((rows,))
    for place in (0, 4999):
        other = rows.copy()
        other[place] = 1
        assert batches.fingerprint((other,)) != plain
    few = batches.fingerprint((np.arange(5.0)[:, np.newaxis],))
    for place in range(5):  # every row of a small one
        other = np.arange(5.0)[:, np.newaxis]
        other[place] += 1
        assert batches.fingerprint((other,)) != few


def test_the_batches_for_model_fit_are_in_the_order_of_the_variable():
    order = tf.Variable([3, 1, 0, 2])
    taken = [x[:, 0].numpy().tolist() for x, _ in batches.as_dataset((X, Y), 3, order)]
    assert taken == [[9, 3, 0], [6]]
    assert [len(x) for x, _ in batches.as_dataset((X, Y), 3)] == [3, 1]
    assert batches.as_dataset(None, 3) is None


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (tf.data.Dataset.from_tensors((X,)), "not a tuple of 1"),
        (tf.data.Dataset.from_tensors((X, Y, Y, Y)), "not a tuple of 4"),
        ((X,), "not tuple"),
        ((X, Y, Y, Y), "not tuple"),
    ],
)
def test_two_or_three_parts_are_asked_for(data, told):
    with pytest.raises(ArgumentError, match=told):
        batches.as_batches(data, "train")
    assert len(batches.as_batches([X, Y, Y[:, 0]], "train")) == 3


# --- XLA, cuDNN -----------------------------------------------------------------------------


@NO_GPU
@pytest.mark.parametrize(
    ("layer", "enough"),
    [
        (layers.Dense(1), 2000),
        (layers.GRU(1), 150),
        (layers.SimpleRNN(1), 150),
        (layers.LSTM(1), None),
        (layers.Conv1D(1, 1), None),
        (layers.MultiHeadAttention(1, 1), None),
    ],
)
def test_a_run_must_be_long_enough_to_pay_for_compiling(layer, enough):
    model = SimpleNamespace(_flatten_layers=lambda: [layer])
    assert not compiling.use_jit("auto", model, (enough or 10**9) - 1)
    assert compiling.use_jit("auto", model, enough or 10**9) is bool(enough)
    assert compiling.use_jit("auto", model) is bool(enough)
    assert compiling.use_jit("on", model, 1)
    assert not compiling.use_jit("off", model)
    layer.supports_jit = False
    assert not compiling.use_jit("auto", model)


def why(*stack, data=(X, Y), loss="mse"):
    model = keras.Sequential([keras.Input((3,)), *stack, layers.Dense(4)])
    return compiling.why_not_xla(model, data, as_loss(loss), (), keras.optimizers.SGD())


@pytest.mark.parametrize(("size", "inside"), [(12, True), (11, False)])
def test_ids_must_lie_in_their_table_for_xla(size, inside):
    found = why(layers.Embedding(size, 2, name="table"))
    assert found == (None if inside else "ids outside of table")
    assert why(layers.Embedding(size, 2), data=(X - 1, Y)).startswith("ids outside of embedding")


@pytest.mark.parametrize(("labels", "inside"), [(Y, True), (Y + 1, False), (Y - 1, False)])
def test_labels_must_be_classes_for_xla(labels, inside):
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert why(data=(X, labels), loss=loss) == (None if inside else "labels that are no class")


def test_ids_that_a_layer_computes_are_not_known_to_be_in_range():
    assert why(layers.ReLU(), layers.Embedding(99, 2, name="t")).startswith("the ids for t, which")


@pytest.mark.parametrize(
    ("layer", "draws"),
    [
        (layers.Dropout(0.5, name="drop"), True),
        (layers.Dropout(0.0), False),
        (layers.GaussianNoise(0.1, name="drop"), True),
        (layers.AlphaDropout(0.5, name="drop"), True),
    ],
)
def test_what_draws_random_numbers_keeps_xla_off(layer, draws):
    assert why(layer) == ("the random numbers of drop" if draws else None)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (layers.LSTM(2, recurrent_dropout=0.1), "recurrent_dropout is not 0"),
        (layers.GRU(2, reset_after=False), "reset_after is False"),
        (layers.GRU(2, activation="relu"), "the activation is not tanh"),
        (layers.LSTM(2, unroll=True), "unroll is True"),
        (layers.LSTM(2, use_bias=False, use_cudnn=False), "use_cudnn is False, use_bias is False"),
        (layers.LSTM(2), None),
        (layers.GRU(2), None),
    ],
)
def test_what_cannot_use_cudnn_is_told_with_the_reason(layer, why):
    notes = compiling.without_cudnn(keras.Sequential([keras.Input((3, 2)), layer]))
    assert [note.partition(": ")[2] for note in notes] == ([why] if why else [])


# --- steps per call -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "stop", "then"),
    [(0.05, 4, 8), (0.05, 3, 4), (0.1, 4, 4), (0.3, 4, 4), (0.4, 4, 4), (0.5, 4, 2), (0.5, 2, 2)],
)
def test_a_call_takes_as_many_steps_as_fit_into_its_time(seconds, stop, then, monkeypatch):
    clock = iter([0.0, seconds])
    monkeypatch.setattr(loops.time, "perf_counter", lambda: next(clock))
    loop = loops.Loop(None, [], training=True)
    loop.steps_per_call = 4
    answer = tf.constant([stop, 0.5, 1.0, 1.0, 0.25], tf.float64)
    assert loop.call(lambda request: answer, first=0, stop=stop, fresh=True) == (
        stop,
        {"loss": 0.25},
    )
    assert (loop.steps_per_call, loop.last_loss, loop.more) == (then, 0.5, 1)


def test_a_call_never_takes_less_than_a_step(monkeypatch):
    clock = iter([0.0, 9.0])
    monkeypatch.setattr(loops.time, "perf_counter", lambda: next(clock))
    loop = loops.Loop(None, [], training=True)
    answer = tf.constant([1, 0.5, 1.0, 1.0, 0.25], tf.float64)
    loop.call(lambda request: answer, first=0, stop=1, fresh=True)
    assert loop.steps_per_call == 1


# --- an epoch -----------------------------------------------------------------------------


def means(x, y):
    """A step whose loss is the mean of the batch."""
    return tf.reduce_mean(x), y


NUMBERS = np.arange(11, dtype="float32")[:, np.newaxis]


@pytest.mark.parametrize(
    ("first", "done", "loss"), [(0, 3, 5.0), (1, 3, 7.0), (2, 3, 9.0), (3, None, None)]
)
def test_an_epoch_goes_on_after_the_steps_that_are_done(first, done, loss):
    arrays = tf.constant(NUMBERS), tf.constant(NUMBERS)
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(4)
    for data in (arrays, dataset):
        loop = loops.make_loop(means, [], data, 4, training=True)
        calls = list(loop.run_epoch(first=first))
        assert (calls[-1] if calls else (None, {"loss": None})) == (done, {"loss": loss})


def test_a_short_batch_counts_by_its_rows_in_loss_and_metrics():
    metric = keras.metrics.MeanMetricWrapper(lambda y, y_pred: y, name="mean")
    arrays = tf.constant(NUMBERS), tf.constant(NUMBERS)
    order = np.arange(11, dtype="int32")[::-1]
    *_, (_, scores) = loops.make_loop(means, [metric], arrays, 4).run_epoch(order)
    assert scores == pytest.approx({"loss": 5.0, "mean": 5.0}, rel=1e-6)


@pytest.mark.parametrize("training", [True, False])
def test_only_training_stops_at_a_loss_that_is_not_finite(training):
    x = NUMBERS.copy()
    x[5] = np.inf
    arrays = tf.constant(x), tf.constant(NUMBERS)
    for data in (arrays, tf.data.Dataset.from_tensor_slices(arrays).batch(4)):
        loop = loops.make_loop(means, [], data, 4, training=training)
        if training:
            with pytest.raises(loops.NonFinite) as stop:
                list(loop.run_epoch())
            assert (stop.value.step, stop.value.last_loss) == (2, 1.5)
        else:
            assert [done for done, _ in loop.run_epoch()][-1] == 3


# --- losses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "p"),
    [
        ((4,), (4, 1)), ((4, 1), (4,)), ((4, 1), (4, 1)), ((4,), (4,)), ((4, 2), (4, 2, 1)),
        ((4, 2, 1), (4, 2)), ((4, 2), (4, 3)), ((4,), (4, 3)), ((4, 3), (4,)),
    ],
)  # fmt: skip
def test_targets_and_outputs_get_one_rank_as_in_keras(y, p):
    from keras.src.losses.loss import squeeze_or_expand_to_same_rank

    found = _same_rank(tf.zeros(y), tf.zeros(p))
    expected = squeeze_or_expand_to_same_rank(tf.zeros(y), tf.zeros(p))
    assert [each.shape for each in found] == [each.shape for each in expected]


# --- devices --------------------------------------------------------------------------------


def strategy_like(kind: str, number: int, jobs=("worker",)):
    """Returns what is_chief asks of a strategy."""
    spec = SimpleNamespace(jobs=list(jobs))
    resolver = SimpleNamespace(task_type=kind, task_id=number, cluster_spec=lambda: spec)
    return SimpleNamespace(cluster_resolver=resolver)


@pytest.mark.parametrize(
    ("strategy", "chief"),
    [
        (None, True),
        (SimpleNamespace(cluster_resolver=None), True),
        (strategy_like("", 0), True),
        (strategy_like("worker", 0), True),
        (strategy_like("worker", 1), False),
        (strategy_like("chief", 0, ["chief", "worker"]), True),
        (strategy_like("worker", 0, ["chief", "worker"]), False),
    ],
)
def test_one_process_writes(strategy, chief):
    assert devices.is_chief(strategy) is chief


def test_parts_of_the_cpu_have_names():
    assert devices.logical_devices(3, "CPU") == ["CPU:0", "CPU:1", "CPU:2"]
    assert devices.make_strategy() is None
    assert devices.make_strategy(2, kind="CPU").num_replicas_in_sync == 2


@NO_GPU
def test_a_gpu_that_is_not_there_is_not_given():
    with pytest.raises(devices.ClusterError, match=r"has 0 GPU\(s\), not 1"):
        devices.logical_devices(1, "GPU")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("fit", "auto", None), "loop='tape'"),
        (("tape", "on", None), "jit='auto' or 'off'"),
        (("tape", "auto", print), "leave train_step out"),
        (("tape", "auto", None), None),
        (("tape", "off", None), None),
    ],
)
def test_options_for_one_device_are_refused_on_several(options, told):
    if told is None:
        replicas.check_options(*options)
    else:
        with pytest.raises(ArgumentError, match=told):
            replicas.check_options(*options)


@pytest.mark.parametrize(
    ("replica", "rows", "expected"),
    [
        (0, 7, (0, 3)),
        (1, 7, (3, 5)),
        (2, 7, (5, 7)),
        (0, 1, (0, 1)),
        (2, 1, (1, 1)),
        (1, 6, (2, 4)),
    ],
)
def test_the_rows_of_a_replica(replica, rows, expected):
    assert replicas.rows_of(replica, rows, 3) == expected


# --- messages -------------------------------------------------------------------------------


def test_where_a_loss_was_not_finite():
    good = tf.constant(X), tf.constant(Y)
    told = checks.why_not_finite(loops.NonFinite(3, 0.5), 1, good)
    assert told.startswith(
        "the loss became NaN or infinite at step 3 of epoch 2; the last finite loss was 0.5. "
        "Likely causes: a learning rate that is too large"
    )
    told = checks.why_not_finite(loops.NonFinite(None, float("nan")), 0, good)
    assert told.startswith("the loss became NaN or infinite in epoch 1, the very first one.")
    bad = X.copy()
    bad[2:, 1] = np.inf
    told = checks.why_not_finite(loops.NonFinite(1, 0.5), 0, tuple(map(tf.constant, (bad, Y))))
    assert told.endswith("The cause: x holds NaN or infinite values, first in example 2.")


@pytest.mark.parametrize(("value", "right"), [(1, True), (np.int64(3), True), (0, False)])
def test_numbers_are_whole_and_at_least_one(value, right):
    if right:
        checks.numbers(epochs=value)
    else:
        with pytest.raises(ArgumentError, match="epochs must be a whole number of at least 1"):
            checks.numbers(epochs=value)
    for other in (True, 1.0, "1"):
        with pytest.raises(ArgumentError):
            checks.numbers(epochs=other)


# --- saving ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("after", "took", "due"),
    [(1.9, 0.0, False), (2.0, 0.0, True), (2.1, 0.1, False), (5.0, 0.1, True), (4.9, 0.1, False)],
)
def test_a_save_is_due_after_two_seconds_or_fifty_times_its_own(
    after, took, due, tmp_path, monkeypatch
):
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1)])
    saved = checkpoint.Checkpoint(tmp_path, model, [], {})
    saved.saved_at, saved.save_took = 100.0, took
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: 100.0 + after)
    assert saved.is_due() is due
    nowhere = checkpoint.Checkpoint(None, model, [], {})
    nowhere.saved_at = 0.0
    assert nowhere.is_due() is False
    assert nowhere.files() == []
