"""`fit` means what `model.compile` and `model.fit` mean: losses, building, memory, XLA."""

import gc
import inspect
import time
import weakref

from kerasbook.training import evaluate, fit, loops, predict
from kerasbook.training.batches import fingerprint
from kerasbook.training.checkpoint import CheckpointError
from kerasbook.training.checks import ArgumentError
from kerasbook.training.compiling import why_not_xla
from kerasbook.training.losses import as_loss

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(22, 3)).astype("float32")
Y = RANDOM.normal(size=(22, 1)).astype("float32")
WEIGHT = RANDOM.random(22).astype("float32")


def square(y, y_pred):
    return tf.reduce_mean(tf.square(y - y_pred))


def square_of_rows(y, y_pred):
    return tf.reduce_mean(tf.square(y - y_pred), axis=-1)


def make(*first, units=1):
    keras.utils.set_random_seed(1)
    return keras.Sequential([*first, layers.Dense(units)])


def ours(model, data, loss_fn="mse", **options):
    options = {"epochs": 2, "batch_size": 5, "optimizer": keras.optimizers.SGD(0.1)} | options
    options |= {"shuffle": False, "progress": "none"}
    history = fit(model, data, loss_fn=loss_fn, **options)
    return [*model.get_weights(), history.history["loss"]]


def theirs(model, data, loss_fn="mse", optimizer=None):
    x, y, weight = (*data, None)[:3]
    model.compile(optimizer or keras.optimizers.SGD(0.1), loss_fn)
    options = {"epochs": 2, "batch_size": 5, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, sample_weight=weight, **options)
    return [*model.get_weights(), history.history["loss"]]


def assert_equal(found, expected, tolerance=2e-7):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)


# --- losses -------------------------------------------------------------------------------


@pytest.mark.parametrize("loss_fn", [square, square_of_rows, "mse", keras.losses.MeanSquaredError])
@pytest.mark.parametrize(
    "data",
    [
        (X, Y),
        (X, Y[:, 0]),
        (X, (3 * Y).astype("int64")),
        (X.astype("float64"), Y.astype("float64")),
        (X, Y, WEIGHT),
    ],
    ids=["floats", "targets without the last axis", "whole numbers", "64 bits", "weights"],
)
def test_a_loss_means_what_compile_makes_of_it(loss_fn, data):
    expected = theirs(make(), data, loss_fn() if isinstance(loss_fn, type) else loss_fn)
    assert_equal(ours(make(), data, loss_fn), expected)
    model = make()
    model.build((None, 3))
    x, y, weight = (*data, None)[:3]
    model.compile(loss=loss_fn() if isinstance(loss_fn, type) else loss_fn)
    judged = model.evaluate(x, y, sample_weight=weight, verbose=0)
    assert evaluate(model, data, loss_fn=loss_fn)["loss"] == pytest.approx(judged, abs=1e-6)


def test_a_masked_output_counts_as_in_keras():
    x = np.array([[1, 2, 0], [3, 0, 0], [4, 5, 6]])
    y = RANDOM.normal(size=(3, 3, 1)).astype("float32")
    embedding = {"input_dim": 9, "output_dim": 2, "mask_zero": True}
    found = ours(make(layers.Embedding(**embedding)), (x, y), square_of_rows)
    assert_equal(found, theirs(make(layers.Embedding(**embedding)), (x, y), square_of_rows))


@pytest.mark.parametrize("loss_fn", ["mse", square, keras.losses.MeanSquaredError()])
def test_the_losses_of_several_outputs_are_added_up(loss_fn):
    def two_outputs():
        keras.utils.set_random_seed(1)
        inputs = keras.Input((3,))
        return keras.Model(inputs, {"a": layers.Dense(1)(inputs), "b": layers.Dense(1)(inputs)})

    data = X, {"a": Y, "b": 2 * Y}
    assert_equal(ours(two_outputs(), data, loss_fn), theirs(two_outputs(), data, loss_fn))
    with pytest.raises(ArgumentError, match="y must have the same form"):
        ours(two_outputs(), (X, Y), loss_fn)
    with pytest.raises(ArgumentError, match="loop='fit'"):
        ours(two_outputs(), data, loss_fn, metrics=[keras.metrics.MeanSquaredError()])


@pytest.mark.parametrize("loop", ["tape", "fit"])
def test_an_optimizer_may_be_a_name(loop):
    expected = theirs(make(), (X, Y), optimizer="adam")
    assert_equal(ours(make(), (X, Y), optimizer="adam", loop=loop), expected)


def test_a_penalty_of_many_numbers_is_added_up():
    class Penalty(layers.Layer):
        def call(self, x):
            self.add_loss(keras.ops.sum(x**2, axis=-1))
            return x

    assert_equal(ours(make(Penalty()), (X, Y)), theirs(make(Penalty()), (X, Y)), 1e-5)


# --- what would be silently ignored --------------------------------------------------------


@pytest.mark.parametrize("name", ["train_step", "test_step", "compute_loss", "compute_metrics"])
def test_a_models_own_steps_are_refused_by_name(name):
    kind = type("Special", (keras.Sequential,), {name: lambda self, *args, **kwargs: None})
    with pytest.raises(ArgumentError, match=f"Special has a {name} of its own"):
        ours(kind([layers.Dense(1)]), (X, Y))


def test_a_train_step_of_ones_own_takes_the_place_of_the_models():
    class Special(keras.Sequential):
        def train_step(self, data):
            raise AssertionError

    model = Special([keras.Input((3,)), layers.Dense(1)])
    options = {"loss_fn": "mse", "optimizer": "sgd", "progress": "none"}
    zero = tf.zeros(())
    fit(model, (X, Y), train_step=lambda x, y: (zero, model(x, training=True)), **options)


def test_evaluate_and_predict_refuse_them_too():
    special = type("Special", (keras.Sequential,), {"test_step": None, "predict_step": None})
    model = special([keras.Input((3,)), layers.Dense(1)])
    with pytest.raises(ArgumentError, match="test_step"):
        evaluate(model, (X, Y), loss_fn="mse")
    with pytest.raises(ArgumentError, match="predict_step"):
        predict(model, X)


# --- memory -------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", ["off", "on"])
def test_nothing_holds_the_data_after_training(jit):
    x, y = tf.constant(X), tf.constant(Y)
    held = weakref.ref(x), weakref.ref(y)
    model = make(keras.Input((3,)))
    ours(model, (x, y), validation_data=(x, y), jit=jit)
    evaluate(model, (x, y), loss_fn="mse")
    predict(model, x)
    del x, y
    gc.collect()
    assert [each() for each in held] == [None, None]


# --- XLA ----------------------------------------------------------------------------------


class Asks(layers.Layer):
    def call(self, x):
        return x


def with_gru(*first):
    keras.utils.set_random_seed(1)
    return make(*first, layers.GRU(3))


def data_of(kind="floats"):
    if kind == "ids":
        return RANDOM.integers(0, 9, (22, 4)), Y
    return RANDOM.normal(size=(22, 4, 3)).astype("float32"), Y


@pytest.mark.parametrize(
    ("first", "data", "options", "why"),
    [
        ([], data_of(), {}, None),
        ([layers.Embedding(9, 3)], data_of("ids"), {}, None),
        ([layers.Embedding(8, 3)], data_of("ids"), {}, "ids outside of embedding"),
        ([layers.Dropout(0.5)], data_of(), {}, "the random numbers of dropout"),
        ([layers.Dropout(0.0)], data_of(), {}, None),
        ([Asks()], data_of(), {}, "not one of Keras' own"),
        ([layers.Dense(3, activation=lambda x: x)], data_of(), {}, "not one of Keras' own"),
        ([], data_of(), {"loss_fn": square}, "the loss, which is not"),
        ([], data_of(), {"loss_fn": keras.losses.mean_squared_error}, None),
        ([], data_of(), {"metrics": [keras.metrics.MeanMetricWrapper(square)]}, "not one of"),
        ([], data_of(), {"train_step": print}, "a train_step of your own"),
        ([], data_of(), {"loss_fn": "sparse_categorical_crossentropy"}, "labels that are no class"),
    ],
)
def test_xla_is_chosen_only_where_nothing_else_changes(first, data, options, why):
    model = with_gru(*first)
    model.build(data[0].shape)
    data = tuple(tf.constant(part) for part in data)
    options = {"loss_fn": "mse", "metrics": (), "train_step": None} | options
    options["loss_fn"] = as_loss(options["loss_fn"])
    found = why_not_xla(model, data, optimizer=keras.optimizers.SGD(), **options)
    assert found is None if why is None else why in found


def test_of_a_dataset_ids_cannot_be_checked():
    model = with_gru(layers.Embedding(9, 3))
    dataset = tf.data.Dataset.from_tensor_slices(data_of("ids")).batch(4)
    model.build((None, 4))
    found = why_not_xla(model, dataset, as_loss("mse"), (), keras.optimizers.SGD())
    assert "ids of a tf.data.Dataset" in found


def test_an_id_out_of_range_raises_however_many_steps_there_are():
    for epochs in (1, 200):  # 200 epochs of one step are enough for XLA
        with pytest.raises(tf.errors.InvalidArgumentError, match="not in"):
            ours(with_gru(layers.Embedding(8, 3)), data_of("ids"), epochs=epochs, batch_size=22)


def test_the_draws_of_dropout_do_not_depend_on_the_number_of_steps(capsys):
    data = data_of()
    few, many = (
        fit(
            with_gru(layers.Dropout(0.5, seed=3)),
            data,
            loss_fn="mse",
            optimizer=keras.optimizers.SGD(0.1),
            batch_size=22,
            epochs=epochs,
            progress="lines",
        ).history["loss"][:3]
        for epochs in (3, 200)
    )
    np.testing.assert_allclose(few, many, rtol=1e-6)
    assert capsys.readouterr().out.count("note: XLA is off, because of the random numbers") == 1


def test_with_xla_the_losses_are_equal_to_rounding():
    data = data_of("ids")
    found, expected = (
        ours(with_gru(layers.Embedding(9, 3)), data, jit=jit, epochs=1) for jit in ("on", "off")
    )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


# --- building -----------------------------------------------------------------------------


def test_building_draws_nothing_and_counts_nothing():
    class Noise(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed = keras.random.SeedGenerator(5)
            self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            self.calls.assign_add(1)
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)

    assert_equal(ours(make(Noise()), (X, Y)), theirs(make(Noise()), (X, Y)))


def test_a_stateful_layer_is_built_for_its_batch():
    x, y = RANDOM.normal(size=(8, 5, 3)).astype("float32"), Y[:8]
    models = [make(layers.LSTM(4, stateful=True)) for _ in range(2)]
    options = {"batch_size": 4, "epochs": 2}
    found = ours(models[0], (x, y), **options)
    models[1].compile(keras.optimizers.SGD(0.1), "mse")
    history = models[1].fit(x, y, shuffle=False, verbose=0, **options)
    assert_equal(found, [*models[1].get_weights(), history.history["loss"]])


def test_batches_of_any_length_build_a_model():
    def batches():
        for length in (3, 5, 2):
            yield np.ones((2, length), "int32"), np.zeros((2, 1), "float32")

    shapes = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None, 1))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=shapes)
    model = make(layers.Embedding(9, 3), layers.GlobalAveragePooling1D())
    assert len(ours(model, dataset)[-1]) == 2


# --- arguments ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ((tf.ragged.constant([[1], [2, 3]]), Y[:2]), {}, "x of train is a ragged tensor"),
        ((tf.sparse.from_dense(X), Y), {}, "x of train is sparse"),
        ((X, tf.sparse.from_dense(Y)), {}, "y of train is sparse"),
        ((X, Y), {"metrics": [keras.metrics.Mean(name="loss")]}, "would be called 'loss'"),
        ((X, Y), {"metrics": [keras.metrics.Mean(name="a")] * 2}, "would be called 'a'"),
        ((X, Y), {"metrics": keras.metrics.Mean()}, "metrics takes a list"),
        ((X, Y), {"loss_fn": "no such loss"}, "Keras knows no loss"),
        ((X, Y), {"loss_fn": 3}, "loss_fn must be an object"),
        ((X, Y), {"optimizer": keras.optimizers.SGD}, "optimizer must be an object"),
        ((X, Y), {"optimizer": "no such"}, "optimizer must be an object"),
        ((X, None), {}, "y of train is no array"),
        (([[1, 2, 3], [1, 2]], Y[:2]), {}, "x of train is no array"),
        (((row for row in X), Y), {}, "x of train is no array.*from_generator"),
        ((np.array([[1, 2, 3], [1, 2]], object), Y[:2]), {}, "x of train is no array"),
        ((1.0, 2.0), {}, "x of train is a single value"),
        ((X, Y, 2.0), {}, "sample_weight of train is a single value"),
        ((X, np.array(["a"] * 22)), {}, "y of train holds texts"),
        ((X, Y), {"validation_data": (X, None)}, "y of validation_data is no array"),
    ],
)
def test_what_fit_cannot_take_is_refused_in_one_line(data, options, message):
    with pytest.raises(ArgumentError, match=message) as caught:
        ours(make(keras.Input((3,))), data, **options)
    assert "\n" not in str(caught.value)


def test_callbacks_may_be_one_and_know_steps_and_can_evaluate():
    class Asks(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.found = self.params["steps"], self.params["verbose"], self.params["epochs"]
            self.loss = self.model.evaluate(X, Y, verbose=0)

    callback = Asks()
    model = make(keras.Input((3,)))
    ours(model, (X, Y), square, callbacks=callback)
    assert callback.found == (5, 0, 2)
    assert callback.loss == pytest.approx(evaluate(model, (X, Y), loss_fn="mse")["loss"], rel=1e-5)


def test_predict_takes_lists_and_datasets():
    model = make(keras.Input((3,)))
    expected = model.predict(X, verbose=0)
    of_inputs = tf.data.Dataset.from_tensor_slices(X).batch(5)
    of_pairs = tf.data.Dataset.from_tensor_slices((X, Y)).batch(5)
    for x in (X, X.tolist(), of_inputs, of_pairs):
        np.testing.assert_allclose(predict(model, x), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("x", [X[:0], [], tf.data.Dataset.from_tensor_slices(X).batch(4).take(0)])
def test_nothing_to_predict_from_is_one_line(x):
    with pytest.raises(ArgumentError, match="x is empty"):
        predict(make(keras.Input((3,))), x)


def test_no_metrics_may_be_none():
    model = make(keras.Input((3,)))
    assert_equal(ours(model, (X, Y), metrics=None), theirs(make(keras.Input((3,))), (X, Y)))
    assert list(evaluate(model, (X, Y), loss_fn="mse", metrics=None)) == ["loss"]


def test_the_defaults_are_those_of_model_fit():
    def default(function, name):
        return inspect.signature(function).parameters[name].default

    for name in ("epochs", "shuffle"):
        assert default(fit, name) == default(keras.Model.fit, name)
    assert default(fit, "batch_size") == 32  # there it is None, which means 32
    assert (default(fit, "resume"), default(fit, "loop"), default(fit, "jit")) == (
        False,
        "tape",
        "auto",
    )


# --- interruption and resuming --------------------------------------------------------------


def test_a_call_ends_soon_when_batches_become_slow(monkeypatch):
    monkeypatch.setattr(loops, "SECONDS_AT_MOST", 0.05)
    taken = []

    def batches():
        for number in range(40):
            if number >= 20:
                time.sleep(0.03)
            taken.append(number)
            yield X[:2], Y[:2]

    shapes = tf.TensorSpec((2, 3)), tf.TensorSpec((2, 1))
    dataset = tf.data.Dataset.from_generator(batches, output_signature=shapes)
    loop = loops.make_loop(lambda x, y: (tf.zeros(()), y), [], dataset, 2, training=True)
    loop.steps_per_call = 64
    done = [steps for steps, _ in loop.run_epoch()]
    assert done[-1] == 40
    assert len(done) > 5  # not one call of 40 steps


def test_the_fingerprint_tells_other_rows_dtypes_and_order():
    data = tf.constant(X), tf.constant(Y)
    assert fingerprint(data) == fingerprint(data)
    for other in (
        (data[0] + 1e-3, data[1]),
        (data[0], tf.cast(data[1], tf.float16)),
        (data[0][::-1], data[1][::-1]),
        (data[0][:-1], data[1][:-1]),
    ):
        assert fingerprint(other) != fingerprint(data)


def test_resuming_on_other_data_of_the_same_size_is_refused(tmp_path):
    def named():
        return keras.Sequential([keras.Input((3,)), layers.Dense(1)], name="one")

    ours(named(), (X, Y), checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="on other data"):
        ours(named(), (X + 1, Y), checkpoint=tmp_path, resume=True, epochs=3)
    ours(named(), (X, Y), checkpoint=tmp_path, resume=True, epochs=3)


def test_resuming_with_another_loss_or_other_validation_data_is_refused(tmp_path):
    def go_on(**options):
        model = keras.Sequential([keras.Input((3,)), layers.Dense(1)], name="one")
        options = {"loss_fn": keras.losses.Huber(0.5), "validation_data": (X[:5], Y[:5])} | options
        return ours(model, (X, Y), checkpoint=tmp_path, **options)

    go_on()
    for loss_fn in ("mae", keras.losses.Huber(0.7), lambda y, p: abs(y - p)):
        with pytest.raises(CheckpointError, match="another loss"):
            go_on(loss_fn=loss_fn, resume=True, epochs=3)
    for other in ((X[:5] + 1, Y[:5]), None):
        with pytest.raises(CheckpointError, match="on other validation data"):
            go_on(validation_data=other, resume=True, epochs=3)
    go_on(loss_fn=keras.losses.Huber(0.5, name="named"), resume=True, epochs=3)


def test_the_model_knows_its_history_as_after_model_fit():
    model = keras.Sequential([keras.Input((3,)), layers.Dense(1)])
    options = {"optimizer": "sgd", "progress": "none"}
    history = fit(model, (X, Y), loss_fn="mse", **options)
    assert model.history is history


def test_a_run_on_texts_goes_on():
    texts = tf.constant([["a b"], ["b a"]])
    assert fingerprint((texts,)) == fingerprint((tf.constant([["a b"], ["b a"]]),))
    assert fingerprint((texts,)) != fingerprint((texts[::-1],))
