"""`kerasbook.training.fit` computes what `model.fit` computes: losses, metrics, weights.

Both run uncompiled by XLA, where they execute the same TensorFlow operations, so most cases
are equal to the last bit (tolerance 0). Where a case has a tolerance, its reason stands beside.
Each test of `BROKEN` breaks one thing on purpose and must lose the equality.
"""

from kerasbook import training
from kerasbook.training import fit, fitting, loops, make_train_step

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

ROWS, BATCH, EPOCHS = 23, 5, 3  # the last batch has 3 rows


def data(sample_weight=False):
    random = np.random.default_rng(1)
    x = random.normal(size=(ROWS, 6)).astype("float32")
    y = random.integers(0, 3, ROWS).astype("int32")
    weight = random.uniform(0.1, 3, ROWS).astype("float32")
    return (x, y, weight) if sample_weight else (x, y)


def plain():
    return [layers.Dense(8, activation="tanh"), layers.Dense(3)]


def with_l2():
    return [layers.Dense(8, activation="relu", kernel_regularizer="l2"), layers.Dense(3)]


def with_batch_normalization():
    # Batch normalisation cancels a bias before it: that bias has a gradient of pure rounding
    # noise, which Adam would blow up to full steps. So the layer before has none.
    hidden = layers.Dense(8, use_bias=False)
    return [hidden, layers.BatchNormalization(), layers.ReLU(), layers.Dense(3)]


def with_dropout():
    return [layers.Dense(8, activation="relu"), layers.Dropout(0.4), layers.Dense(3)]


def with_two_penalties():
    return [
        layers.Dense(8, activation="relu", kernel_regularizer="l2", bias_regularizer="l1"),
        layers.Dense(3, kernel_regularizer="l2"),
    ]


def make(make_layers, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((6,)), *make_layers()])


def adam():
    return keras.optimizers.Adam(0.01)


def scheduled():
    return keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 3, 0.5), 0.9)


def averaged():
    return keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8)


def make_metrics():
    return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def by_keras(make_layers, make_optimizer, train, validation, **options):
    model = make(make_layers)
    model.compile(make_optimizer(), loss_fn, metrics=make_metrics(), jit_compile=False)
    x, y, *weight = train
    history = model.fit(
        x,
        y,
        sample_weight=weight[0] if weight else None,
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_data=validation,
        validation_batch_size=BATCH,
        shuffle=False,
        verbose=0,
        **options,
    )
    return model, history.history


def by_tape(make_layers, make_optimizer, train, validation, **options):
    model = make(make_layers)
    history = fit(
        model,
        train,
        loss_fn=loss_fn,
        optimizer=make_optimizer(),
        metrics=make_metrics(),
        batch_size=BATCH,
        epochs=EPOCHS,
        validation_data=validation,
        **{"shuffle": False, "jit": "off", "progress": "none", **options},
    )
    return model, history.history


def largest_difference(ours, theirs):
    """Over the whole History and all weights, relative to 1 or to the value if larger."""
    (model, history), (keras_model, keras_history) = ours, theirs
    assert set(history) == set(keras_history)
    pairs = [(history[name], keras_history[name]) for name in history]
    pairs += list(zip(model.get_weights(), keras_model.get_weights(), strict=True))
    differences = [
        np.max(np.abs(np.subtract(a, b)) / np.maximum(1, np.abs(b)), initial=0) for a, b in pairs
    ]
    return max(differences)


# (layers, optimizer, sample weights, tolerance)
CASES = {
    "short last batch": (plain, adam, False, 0),
    "sample weights": (plain, adam, True, 0),
    "L2 penalty": (with_l2, adam, False, 0),
    "two penalties": (with_two_penalties, adam, False, 0),
    # The graph's optimiser orders the operations of the normalisation as it likes.
    "batch normalisation": (with_batch_normalization, adam, False, 2e-7),
    "dropout under one seed": (with_dropout, adam, False, 0),
    "learning-rate schedule": (plain, scheduled, False, 0),
    "average of the weights (EMA)": (plain, averaged, False, 0),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_model_fit(case):
    make_layers, make_optimizer, weighted, tolerance = CASES[case]
    train, validation = data(weighted), data(weighted)
    ours = by_tape(make_layers, make_optimizer, train, validation)
    theirs = by_keras(make_layers, make_optimizer, train, validation)
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(ours[1])
    assert largest_difference(ours, theirs) <= tolerance


def test_one_history_value_per_epoch_and_weights_moved():
    model, history = by_tape(plain, adam, data(), None)
    assert len(history["loss"]) == EPOCHS
    assert not np.allclose(model.get_weights()[0], make(plain).get_weights()[0])


@pytest.mark.parametrize(
    "make_layers",
    [
        with_dropout,
        *(pytest.param(each, marks=pytest.mark.slow) for each in (plain, with_batch_normalization)),
    ],
)  # compiling takes most of the time; dropout is the hardest, with masks of XLA's own
def test_xla_agrees_with_model_fit_under_xla(make_layers):
    # XLA fuses our many steps otherwise than Keras' single one: equal to rounding only.
    ours = by_tape(make_layers, adam, data(), None, jit="on")
    model = make(make_layers)
    model.compile(adam(), loss_fn, metrics=make_metrics(), jit_compile=True)
    x, y = data()
    history = model.fit(x, y, batch_size=BATCH, epochs=EPOCHS, shuffle=False, verbose=0)
    assert largest_difference(ours, (model, history.history)) <= 2e-6


def test_shuffled_batches_equal_those_given_to_model_fit():
    ours = by_tape(plain, adam, data(), data(), shuffle=True, seed=7)
    theirs = by_tape(plain, adam, data(), data(), shuffle=True, seed=7, loop="fit")
    assert largest_difference(ours, theirs) == 0
    other = by_tape(plain, adam, data(), data(), shuffle=True, seed=8)
    assert largest_difference(ours, other) > 1e-4


def test_dataset_equals_arrays():
    x, y = data()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(BATCH)
    ours = by_tape(with_l2, adam, batches, batches)
    theirs = by_tape(with_l2, adam, data(), data())
    assert largest_difference(ours, theirs) == 0


def test_dataset_of_unknown_length_is_read_to_its_end_every_epoch():
    x, y = data()
    batches = tf.data.Dataset.from_tensor_slices((x, y)).filter(lambda x, y: True).batch(BATCH)
    assert batches.cardinality() == tf.data.UNKNOWN_CARDINALITY
    ours = by_tape(plain, adam, batches, None)
    assert largest_difference(ours, by_tape(plain, adam, data(), None)) == 0


def test_the_number_of_steps_per_call_changes_nothing(monkeypatch):
    ours = by_tape(with_dropout, adam, data(), None)
    monkeypatch.setattr(loops, "SECONDS_PER_CALL", 0.0)  # one step per call, always
    assert largest_difference(ours, by_tape(with_dropout, adam, data(), None)) == 0


@pytest.mark.parametrize(
    ("examples", "jit", "compiled"),
    [
        (10, False, [(None, False)]),  # 4, 4 and 2 in one graph
        (10, True, [(4, True), (2, True)]),  # XLA compiles for one size
        (8, True, [(4, True)]),
        (8, False, [(4, False)]),
        (3, True, [(3, True)]),
    ],
)
def test_without_xla_nothing_is_compiled_for_the_short_last_batch(
    monkeypatch, examples, jit, compiled
):
    found = []
    make_run = loops.ArrayLoop.make_run

    def noted(self, rows, jit):
        found.append((rows, jit))
        return make_run(self, rows, jit)

    monkeypatch.setattr(loops.ArrayLoop, "make_run", noted)
    x = tf.reshape(tf.range(float(examples)), (-1, 1))
    seen = tf.Variable(0.0)

    def step(x, y):
        seen.assign_add(tf.reduce_sum(x))
        return tf.reduce_mean(x), x

    loop = loops.ArrayLoop(step, [], (x, x), 4, jit, training=True)
    assert found == compiled
    *_, (number, scores) = loop.run_epoch()
    assert number == -(-examples // 4)
    assert seen.numpy() == sum(range(examples))
    assert scores["loss"] == pytest.approx((examples - 1) / 2)


def test_evaluate_equals_model_evaluate_and_predict_equals_model_predict():
    model, _ = by_tape(with_l2, adam, data(), None)
    x, y, weight = data(sample_weight=True)
    ours = training.evaluate(
        model, (x, y, weight), loss_fn=loss_fn, metrics=make_metrics(), batch_size=BATCH
    )
    model.compile(loss=loss_fn, metrics=make_metrics(), jit_compile=False)
    theirs = model.evaluate(
        x, y, sample_weight=weight, batch_size=BATCH, verbose=0, return_dict=True
    )
    assert ours == theirs
    predicted = training.predict(model, x, batch_size=BATCH)
    np.testing.assert_array_equal(predicted, model.predict(x, batch_size=BATCH, verbose=0))


# --- each of these must lose the equality --------------------------------------------------


def without_penalties(model, loss_fn, optimizer):
    def train_step(x, y):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = loss_fn(y, y_pred)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, y_pred

    return train_step


def without_training_mode(model, loss_fn, optimizer):
    def train_step(x, y):
        with tf.GradientTape() as tape:
            y_pred = model(x)
            loss = training.total_loss(model, loss_fn, y, y_pred)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss, y_pred

    return train_step


def without_weights(model, loss_fn, optimizer):
    step = make_train_step(model, loss_fn, optimizer)
    return lambda x, y, weight: step(x, y)


BROKEN = {
    "penalties forgotten": (with_l2, adam, False, without_penalties),
    "training=True forgotten, batch normalisation": (
        with_batch_normalization,
        adam,
        False,
        without_training_mode,
    ),
    "training=True forgotten, dropout": (with_dropout, adam, False, without_training_mode),
    "sample weights forgotten": (plain, adam, True, without_weights),
    "another dropout seed": (with_dropout, adam, False, "seed"),
    "constant learning rate": (plain, scheduled, False, "rate"),
    "mean of batch means": (plain, adam, False, "means"),
    "last batch dropped": (plain, adam, False, "drop"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_loop_is_noticed(case, monkeypatch):
    make_layers, make_optimizer, weighted, how = BROKEN[case]
    train = data(weighted)
    theirs = by_keras(make_layers, make_optimizer, train, None)
    if callable(how):
        monkeypatch.setattr(fitting, "make_train_step", how)
    elif how == "means":
        monkeypatch.setattr("tensorflow.shape", lambda x: tf.constant([1]))
    elif how == "drop":
        train = tuple(part[: ROWS // BATCH * BATCH] for part in train)
    elif how == "rate":
        make_optimizer = lambda: keras.optimizers.SGD(0.1, 0.9)  # noqa: E731
    elif how == "seed":
        plain_make = make
        monkeypatch.setitem(globals(), "make", lambda layers: _reseeded(plain_make(layers)))
    ours = by_tape(make_layers, make_optimizer, train, None)
    assert largest_difference(ours, theirs) > 1e-4


def _reseeded(model):
    for variable in model.variables:
        if "seed" in variable.name:
            variable.assign(np.asarray(variable) + 1)
    return model
