"""What people expect of a training loop besides the numbers: callbacks, NaN, Ctrl-C, resume."""

import os
import signal
import time

from kerasbook import files, training
from kerasbook.training import Interrupted, NonFiniteLoss, checkpoint, compiling, fit

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

random = np.random.default_rng(0)
X = random.normal(size=(20, 4)).astype("float32")
Y = (X @ [[1.0], [2.0], [0.0], [-1.0]] + 0.1 * random.normal(size=(20, 1))).astype("float32")


def make_model(name="tiny", **options):
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input((4,)), layers.Dense(1, **options)], name=name)


def train(model=None, data=(X, Y), **options):
    defaults = {
        "loss_fn": keras.losses.MeanSquaredError(),
        "optimizer": keras.optimizers.SGD(0.05),
        "batch_size": 8,
        "epochs": 3,
        "jit": "off",
        "progress": "none",
    }
    return fit(model or make_model(), data, **(defaults | options))


# --- arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"data": (X, Y[:5])}, "differ in length"),
        ({"data": (X[:0], Y[:0])}, "0 examples"),
        ({"data": X}, r"must be \(x, y\)"),
        ({"data": tf.data.Dataset.from_tensors((X, Y)).repeat()}, r"\.take\(steps\)"),
        (
            {"data": tf.data.Dataset.from_tensors({"x": X, "y": Y})},
            r"batches of train must be \(x, y\).* not a dict of x, y; .*\.map",
        ),
        ({"data": tf.data.Dataset.from_tensors(X)}, "not a single tensor"),
        ({"epochs": 0}, "epochs must be a whole number"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"metrics": ["accuracy"]}, "keras.metrics.SparseCategoricalAccuracy"),
        ({"jit": "yes"}, "jit must be one of auto, on, off"),
        ({"loop": "keras"}, "loop must be one of tape, fit"),
        ({"progress": "dots"}, "progress must be one of"),
        ({"loop": "fit", "train_step": lambda x, y: None}, "use loop='tape'"),
        ({"callbacks": [keras.callbacks.TerminateOnNaN()]}, "stops at the first NaN"),
        ({"callbacks": [keras.callbacks.BackupAndRestore("x")]}, "resume=True"),
        ({"callbacks": [keras.callbacks.ModelCheckpoint("x.keras", save_freq=3)]}, "save_freq"),
        ({"callbacks": [keras.callbacks.TensorBoard("x", update_freq=1)]}, "update_freq"),
        (
            {"callbacks": [keras.callbacks.LambdaCallback(on_train_batch_end=lambda b, logs: 0)]},
            "LambdaCallback acts after every batch",
        ),
        ({"loss_fn": keras.losses.MeanSquaredError(reduction=None)}, "not one number"),
        ({"metrics": [keras.metrics.R2Score(class_aggregation=None, name="r2")]}, "r2 is not one"),
        ({"data": tf.data.Dataset.from_tensor_slices((X[:0], Y[:0])).batch(4)}, "no batch"),
        ({"callbacks": [print]}, "must be a keras.callbacks.Callback"),
    ],
)
def test_bad_arguments_are_refused_with_the_remedy(options, message):
    with pytest.raises(ValueError, match=message):
        train(**options)


def test_lists_of_numbers_are_arrays():
    as_lists, as_arrays = train(data=(X.tolist(), Y.tolist())), train()
    assert as_lists.history == as_arrays.history


def test_an_unbuilt_model_is_built():
    model = keras.Sequential([layers.Dense(1)], name="unbuilt")
    assert len(train(model).history["loss"]) == 3


def test_own_train_step_is_used():
    model, optimizer = make_model(), keras.optimizers.SGD(0.05)
    plain_step = training.make_train_step(model, keras.losses.MeanSquaredError(), optimizer)

    def doubled(x, y):
        loss, y_pred = plain_step(x, y)
        return 2 * loss, y_pred

    own = train(model, optimizer=optimizer, train_step=doubled).history["loss"]
    np.testing.assert_allclose(own, 2 * np.array(train().history["loss"]), rtol=1e-6)


def test_inputs_may_be_several():
    one, two = keras.Input((4,)), keras.Input((4,))
    model = keras.Model([one, two], layers.Dense(1)(layers.add([one, two])))
    train(model, data=((X, X), Y))
    assert training.predict(model, (X, X), batch_size=8).shape == (20, 1)


@pytest.mark.filterwarnings("ignore:float16 on a CPU")
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_16_bits_are_those_of_keras_and_float16_scales_the_loss(precision):
    keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        first, second = make_model(), make_model()
        train(first, loop="fit")
        train(second)
        scaled = isinstance(second.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scaled == (precision == "float16")
        for a, b in zip(first.get_weights(), second.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    finally:
        keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize(
    ("policy", "gpus", "jit", "warns"),
    [
        ("mixed_float16", [], "off", True),
        ("mixed_float16", [], "on", False),
        ("mixed_float16", ["a GPU"], "off", False),
        ("mixed_bfloat16", [], "off", False),
        ("float32", [], "off", False),
    ],
)
def test_float16_on_a_cpu_without_xla_is_warned_of(monkeypatch, policy, gpus, jit, warns):
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, dtype=policy)])
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: gpus)
    note = compiling.slow_in_float16(model, jit == "on")
    assert (note is not None) == warns
    assert not warns or "--mixed-precision bfloat16" in note


def test_the_warning_of_float16_comes_once():
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, dtype="mixed_float16")])
    with pytest.warns(UserWarning, match="hundreds of times") as caught:
        train(model, epochs=2, jit="off")
    assert len([each for each in caught if "hundreds" in str(each.message)]) == 1


# --- callbacks -----------------------------------------------------------------------------


def metric():
    return keras.metrics.MeanAbsoluteError(name="mae")


def test_early_stopping_stops_and_restores_the_best_weights():
    seen = []
    options = {"epochs": 30, "validation_data": (X, Y), "optimizer": keras.optimizers.SGD(0.6)}
    stop = keras.callbacks.EarlyStopping("val_mae", patience=2, restore_best_weights=True)
    keep = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(keep.model.get_weights()[0])
    )
    model = make_model()
    history = train(model, metrics=[metric()], callbacks=[stop, keep], **options)
    best = int(np.argmin(history.history["val_mae"]))
    assert stop.mode == "min"  # "auto", from the metric
    assert len(history.epoch) == best + 3 < 30
    np.testing.assert_array_equal(model.get_weights()[0], seen[best])


def test_reduce_learning_rate_on_plateau_and_csv_logger(tmp_path):
    model = make_model()
    callbacks = [
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.5, patience=1, min_delta=100),
        keras.callbacks.CSVLogger(tmp_path / "log.csv"),
    ]
    history = train(model, callbacks=callbacks, epochs=4)
    assert history.history["learning_rate"][0] == pytest.approx(0.05)
    assert float(model.optimizer.learning_rate) < 0.02
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 5


@pytest.mark.parametrize("loop", ["tape", "fit"])
def test_model_checkpoint_saves_a_model_that_goes_on(tmp_path, loop):
    path = tmp_path / "best.keras"
    save = keras.callbacks.ModelCheckpoint(path, monitor="loss", save_best_only=True)
    model = make_model()
    train(model, callbacks=[save], loop=loop)
    loaded = keras.models.load_model(path)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])
    assert int(loaded.optimizer.iterations) == 9
    loaded.fit(X, Y, verbose=0)


def test_tensorboard_writes_its_logs(tmp_path):
    train(callbacks=[keras.callbacks.TensorBoard(tmp_path)], validation_data=(X, Y))
    (events,) = (tmp_path / "train").glob("events*")
    tags = {
        v.tag for e in tf.compat.v1.train.summary_iterator(str(events)) for v in e.summary.value
    }
    assert "epoch_loss" in tags
    assert list((tmp_path / "validation").glob("events*"))


# --- NaN and Ctrl-C ------------------------------------------------------------------------


def test_a_diverging_run_stops_at_the_step_with_the_last_finite_loss():
    with pytest.raises(NonFiniteLoss, match=r"step \d+ of epoch \d+.*learning rate") as caught:
        train(optimizer=keras.optimizers.SGD(3.0), epochs=200)
    error = caught.value
    assert np.isfinite(error.last_loss)
    assert len(error.history.epoch) > 1
    assert all(np.isfinite(error.history.history["loss"]))
    assert f"{error.last_loss:.6g}" in str(error)


@pytest.mark.parametrize("row", [3, 19])  # in a full batch, in the short last one
def test_nan_in_the_data_is_named(row):
    x = X.copy()
    x[row, 2] = np.nan
    step = row // 8 + 1
    with pytest.raises(NonFiniteLoss, match=rf"step {step} of epoch 1.*x holds.*example {row}"):
        train(data=(x, Y), shuffle=False)


def test_nan_stops_model_fit_too_and_an_infinite_validation_score_stops_nothing():
    with pytest.raises(NonFiniteLoss, match="became NaN or infinite in epoch 1"):
        train(optimizer=keras.optimizers.SGD(1e20), epochs=9, loop="fit")
    x = X.copy()
    x[0] = np.inf
    history = train(validation_data=(x, Y))
    assert not np.isfinite(history.history["val_loss"][0])
    assert len(history.epoch) == 3


def test_nan_in_a_dataset_stops_too():
    x = X.copy()
    x[9, 0] = np.inf
    with pytest.raises(NonFiniteLoss, match="step 2 of epoch 1"):
        train(data=tf.data.Dataset.from_tensor_slices((x, Y)).batch(8))


@pytest.fixture
def ctrl_c():
    """Ctrl-C is heard, even where the tests are a shell's job in the background, which is deaf."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("loop", ["tape", "fit"])
def test_ctrl_c_keeps_history_and_model(loop, ctrl_c):
    def press(epoch, logs):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(1)

    interrupt = keras.callbacks.LambdaCallback(on_epoch_begin=press)
    model = make_model()
    with pytest.raises(Interrupted) as caught:
        train(model, callbacks=[interrupt], loop=loop)
    assert len(caught.value.history.history["loss"]) == 1
    assert caught.value.model is model


# --- checkpoints ---------------------------------------------------------------------------


def network():
    return keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(1),
        ],
        name="network",
    )


def run(folder, epochs, resume=False, **options):
    keras.utils.set_random_seed(1)
    model = network()
    options = {"optimizer": keras.optimizers.Adam(0.01), "checkpoint": folder} | options
    history = train(model, epochs=epochs, resume=resume, **options)
    return model, history


@pytest.mark.parametrize("loop", ["tape", "fit"])
def test_resume_gives_the_weights_and_history_of_one_run(tmp_path, loop):
    whole, whole_history = run(tmp_path / "a", 5, loop=loop)
    run(tmp_path / "b", 2, loop=loop)
    parts, parts_history = run(tmp_path / "b", 5, resume=True, loop=loop)
    assert parts_history.history == whole_history.history
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list(tmp_path.rglob(".unfinished*"))


def test_resume_keeps_the_patience_of_early_stopping(tmp_path):
    def stop():
        return [keras.callbacks.EarlyStopping("loss", min_delta=100, patience=4)]

    _, whole = run(tmp_path / "a", 9, callbacks=stop())
    run(tmp_path / "b", 3, callbacks=stop())
    _, parts = run(tmp_path / "b", 9, callbacks=stop(), resume=True)
    assert len(whole.epoch) == 5
    assert parts.history == whole.history
    for loop in ("tape", "fit"):
        _, again = run(tmp_path / "b", 9, callbacks=stop(), resume=True, loop=loop)
        assert again.history == whole.history  # it had stopped, and stays so


def test_resume_finds_a_callback_behind_one_that_is_new(tmp_path):
    def stop():
        return keras.callbacks.EarlyStopping("loss", min_delta=100, patience=4)

    _, whole = run(tmp_path / "a", 9, callbacks=[stop()])
    run(tmp_path / "b", 3, callbacks=[stop()])
    callbacks = [keras.callbacks.LambdaCallback(), stop()]
    _, parts = run(tmp_path / "b", 9, callbacks=callbacks, resume=True)
    assert parts.history == whole.history


@pytest.mark.parametrize("append", [False, True])
def test_resume_goes_on_with_the_lines_of_csv_logger(tmp_path, append):
    for name, parts in (("whole", [5]), ("parts", [2, 5])):
        for epochs in parts:
            log = keras.callbacks.CSVLogger(tmp_path / f"{name}.csv", append=append)
            run(tmp_path / name, epochs, callbacks=[log], resume=True)
    assert (tmp_path / "parts.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_lines_after_the_checkpoint_are_written_anew(tmp_path):
    file = tmp_path / "log.csv"
    file.write_text("epoch,loss\n0,3\n1,2\n2,1\n")
    checkpoint.continue_files([keras.callbacks.CSVLogger(file)], 2)
    assert file.read_text() == "epoch,loss\n0,3\n1,2\n"


def test_resume_with_more_epochs_goes_on_from_the_last_weights_not_the_best(tmp_path):
    def keep_best():
        return [keras.callbacks.EarlyStopping("loss", patience=50, restore_best_weights=True)]

    options = {"optimizer": keras.optimizers.Adam(0.1)}
    whole, whole_history = run(tmp_path / "a", 6, callbacks=keep_best(), **options)
    options = {"optimizer": keras.optimizers.Adam(0.1)}
    run(tmp_path / "b", 3, callbacks=keep_best(), **options)
    options = {"optimizer": keras.optimizers.Adam(0.1)}
    parts, history = run(tmp_path / "b", 6, callbacks=keep_best(), resume=True, **options)
    assert history.history == whole_history.history
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_run_that_does_not_resume_forgets_the_one_before(tmp_path):
    run(tmp_path, 2)

    def kill(epoch, logs):
        raise KeyError

    with pytest.raises(KeyError):
        run(tmp_path, 2, callbacks=[keras.callbacks.LambdaCallback(on_epoch_begin=kill)])
    assert not list(tmp_path.glob("network*"))


def test_resume_refuses_other_settings_and_damaged_files(tmp_path):
    run(tmp_path, 1)
    with pytest.raises(checkpoint.CheckpointError, match="another batch_size: 8 there, 4 here"):
        run(tmp_path, 2, resume=True, batch_size=4)
    with pytest.raises(checkpoint.CheckpointError, match=r"learning_rate 0\.0\d+ there"):
        run(tmp_path, 2, resume=True, optimizer=keras.optimizers.Adam(0.5))
    for path in tmp_path.glob("network*.npz"):
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(checkpoint.CheckpointError, match="damaged"):
        run(tmp_path, 2, resume=True)


def test_a_failing_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def write_half():
        with files.atomic_path(path) as temporary:
            temporary.write_text("half of the new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]


def test_another_schedule_is_told_in_a_line():
    from kerasbook.training.checkpoint import _difference

    def settings(epochs):
        schedule = keras.optimizers.schedules.CosineDecay(1e-3, decay_steps=100 * epochs)
        return keras.optimizers.Adam(schedule, name="adam").get_config()

    told = _difference(settings(2), settings(3))
    assert told.startswith("decay_steps 200 there, 300 here, which --epochs sets")
    assert len(told) < 150
