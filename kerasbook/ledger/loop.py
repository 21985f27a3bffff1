"""The loop: `fit` computes what `model.fit` computes."""

from collections.abc import Callable

from kerasbook import training
from kerasbook.ledger.core import (
    as_pairs,
    claim,
    mutant,
)
from kerasbook.training import loops

import keras
import numpy as np
import tensorflow as tf
from keras import layers


def _loop_claim(name: str, make: Callable[[], list], weighted: bool = False) -> None:
    @claim(0, f"fit = model.fit: {name}", dtypes=("float32",), sources="TK")
    def pairs(draw):
        x, y = draw(21, 4), draw(21, 1)
        weight = np.abs(draw(21)) if weighted else None
        data = (x, y) if weight is None else (x, y, weight)
        results = []
        for loop in ("tape", "fit"):
            keras.utils.set_random_seed(3)
            model = keras.Sequential([keras.Input((4,)), *make(), layers.Dense(1)])
            optimizer = keras.optimizers.Adam(0.01)
            loss_fn = keras.losses.MeanSquaredError()
            if loop == "tape":
                options = {"loss_fn": loss_fn, "optimizer": optimizer, "shuffle": False}
                options |= {"batch_size": 8, "epochs": 3, "jit": "off", "progress": "none"}
                history = training.fit(model, data, **options).history
            else:
                model.compile(optimizer, loss_fn, jit_compile=False)
                dataset = tf.data.Dataset.from_tensor_slices(data).batch(8)
                history = model.fit(dataset, epochs=3, shuffle=False, verbose=0).history
            results.append((history["loss"], model.get_weights()))
        (our_losses, ours), (their_losses, theirs) = results
        return {"values of the loss": (our_losses, their_losses)} | as_pairs(
            "weights", ours, theirs
        )


_loop_claim("a short last batch", lambda: [layers.Dense(5, "relu")])
_loop_claim("sample weights", lambda: [layers.Dense(5, "relu")], weighted=True)
_loop_claim("an L2 penalty", lambda: [layers.Dense(5, "relu", kernel_regularizer="l2")])
_loop_claim("dropout", lambda: [layers.Dense(9, "relu"), layers.Dropout(0.4, seed=1)])
_loop_claim(
    "batch normalisation",
    lambda: [layers.Dense(5, use_bias=False), layers.BatchNormalization(), layers.ReLU()],
)


@claim(0, "a training step = model.train_on_batch, after each of six steps", dtypes=("float32",))
def _(draw):
    batches = [(draw(8, 4), draw(8, 1)) for _ in range(6)]
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        hidden = layers.Dense(9, "relu", kernel_regularizer="l2")
        inside = [hidden, layers.Dropout(0.4, seed=1), layers.Dense(1)]
        model = keras.Sequential([keras.Input((4,)), *inside])
        model.compile(
            keras.optimizers.Adam(0.01), keras.losses.MeanSquaredError(), run_eagerly=True
        )
        models.append(model)
    ours, theirs = models
    ours.optimizer.build(ours.trainable_variables)
    step = training.make_train_step(ours, keras.losses.MeanSquaredError(), ours.optimizer)
    pairs = {}
    for number, (x, y) in enumerate(batches):
        loss, _ = step(tf.constant(x), tf.constant(y))
        theirs.reset_metrics()
        pairs[f"values of the loss {number}"] = loss, theirs.train_on_batch(x, y)
        pairs |= as_pairs(f"weights {number}", ours.get_weights(), theirs.get_weights())
    return pairs


@claim(
    0, "fit = the batches of batch_order, one after the other", dtypes=("float32",), sources="TK"
)
def _(draw):
    x, y = draw(21, 4), draw(21, 1)
    data = (x, y)
    results = []
    for loop in ("tape", "by hand"):
        keras.utils.set_random_seed(3)
        model = keras.Sequential([keras.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(1)])
        optimizer, loss_fn = keras.optimizers.SGD(0.1), keras.losses.MeanSquaredError()
        losses = []
        if loop == "tape":
            options = {"loss_fn": loss_fn, "optimizer": optimizer, "seed": 5}
            options |= {"batch_size": 8, "epochs": 3, "jit": "off", "progress": "none"}
            losses = training.fit(model, data, **options).history["loss"]
        else:
            for epoch in range(3):
                order, total = np.random.default_rng((5, epoch)).permutation(21), 0.0
                for rows in np.split(order, (8, 16)):
                    with tf.GradientTape() as tape:
                        loss = tf.reduce_mean((model(x[rows]) - y[rows]) ** 2)
                    variables = model.trainable_variables
                    optimizer.apply(tape.gradient(loss, variables), variables)
                    total += float(loss) * len(rows)
                losses.append(total / 21)
        results.append((losses, model.get_weights()))
    (our_losses, ours), (their_losses, theirs) = results
    return {"values of the loss": (our_losses, their_losses)} | as_pairs("weights", ours, theirs)


# --- mistakes to be seen --------------------------------------------------------------------

mutant(0, training.total_loss, ", *penalties", "", "regularisation left out", by="L2")
mutant(
    0,
    training.total_loss,
    "loss_fn(y, y_pred, sample_weight)",
    "loss_fn(y, y_pred)",
    "sample weights left out",
    by="sample weights",
)
mutant(
    0,
    training.make_train_step,
    "training=True",
    "training=False",
    "training= forgotten",
    by="dropout",
)
mutant(0, training.make_train_step, "loss = total_loss", "loss = 2 * total_loss", "loss doubled")
mutant(0, loops._Scores, "sample_weight=rows", "sample_weight=1", "mean of batch means")
mutant(
    0, loops.ArrayLoop, "begin = number * self.batch_size", "begin = number", "batches that overlap"
)
mutant(
    0,
    loops.ArrayLoop,
    "(self.make_run(None, False), self.full + 1)",
    "(self.make_run(None, False), self.full)",
    "short last batch left out",
)
mutant(
    0,
    loops.ArrayLoop,
    "tf.convert_to_tensor(order)",
    "tf.range(self.examples)",
    "not shuffled",
    by="batch_order",
)
mutant(
    0,
    loops.ArrayLoop,
    "tf.slice(order, [begin], [size])",
    "begin + tf.argsort(tf.slice(order, [begin], [size]))",
    "shuffled after batching",
    by="batch_order",
)
mutant(
    0,
    training.batch_order,
    "rng((seed, epoch))",
    "rng((seed, 0))",
    "the same order in every epoch",
    by="batch_order",
)
mutant(
    0,
    training.batch_order,
    "rng((seed, epoch))",
    "rng(epoch)",
    "the seed not used",
    by="batch_order",
)
