"""The step and the loop of one replica out of several, which together take the step of one device.

Every replica has a copy of the weights and takes its share of the rows of every batch. The
gradients are added up over the replicas, so that all copies take the same step.
"""

import functools

from kerasbook.cluster import ClusterError
from kerasbook.training.checks import ArgumentError
from kerasbook.training.devices import is_chief
from kerasbook.training.loops import ArrayLoop, gather
from kerasbook.training.losses import as_loss
from kerasbook.training.step import total_loss

import keras
import numpy as np
import tensorflow as tf


def check_options(loop: str, jit: str, train_step) -> None:
    """Checks that no option of `fit` was taken that works on one device only.

    Raises:
        ArgumentError: one was.
    """
    if loop == "fit":
        raise ArgumentError(
            "model.fit gives every device the same weight in a short last batch, and fails with "
            "several workers: on several devices take loop='tape'"
        )
    if jit == "on":
        raise ArgumentError("XLA compiles for one device: on several take jit='auto' or 'off'")
    if train_step is not None:
        raise ArgumentError(
            "a train_step of your own does not know its share of the batch: on several devices "
            "leave train_step out"
        )


def check_data(batches) -> None:
    """Checks that the data are arrays, out of which every device takes its rows.

    Raises:
        ArgumentError: they are a data set.
    """
    if any(isinstance(data, tf.data.Dataset) for data in (batches.train, batches.validation)):
        raise ArgumentError(
            "on several devices each takes its rows out of arrays: pass (x, y), not a Dataset"
        )


def check_optimizer(strategy, model, optimizer, metrics) -> None:
    """Checks that optimizer and metrics can work on these devices.

    Raises:
        ArgumentError: one of them cannot.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
    if several and model.dtype_policy.name == "mixed_float16" and _clips(optimizer):
        raise ArgumentError(
            "workers cannot clip gradients in float16: take bfloat16, or leave the clipping out"
        )
    if inner.gradient_accumulation_steps or inner.ema_overwrite_frequency:
        raise ArgumentError(
            "gradient_accumulation_steps and ema_overwrite_frequency of an optimizer work on one "
            "device only: leave them out"
        )
    made = [v for each in (optimizer, *metrics) for v in each.variables]
    if not all(strategy.extended.variable_created_in_scope(v.value) for v in made):
        raise ArgumentError(
            "make the optimizer and the metrics in the scope too: with strategy.scope(): …"
        )


def check_same_start(strategy, epochs: int, saved) -> None:
    """Checks that all workers go on from the same checkpoint; only the chief writes new ones."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        here = 10**6 * epochs + (saved.position.step if saved.position else 0)
        if here != int(make_as_first(strategy)(here)):
            raise ClusterError(
                "the workers found different checkpoints: --output must be a folder that all share"
            )
    if not is_chief(strategy):
        saved.folder = None


# --- a step on one of several replicas ------------------------------------------------------


def rows_of(replica: int, rows: int, replicas: int) -> tuple[int, int]:
    """Returns the rows first … stop − 1 of a batch that a replica takes: as equal in number as can
    be.

    Replica 0 always has a row; of a short last batch others may have none.
    """
    each, more = divmod(rows, replicas)
    first = replica * each + min(replica, more)
    return first, first + each + (replica < more)


def make_replica_step(model, loss_fn, optimizer):
    """Returns the training step of one replica; `share`, of the batch's loss, is that of its rows.

    The loss of a batch is the sum of share · loss over the replicas, penalties included: the
    shares add up to 1. So its gradient is the sum of the replicas' gradients.
    """
    loss_fn = as_loss(loss_fn)

    def train_step(x, y, sample_weight=None, *, share):
        with tf.GradientTape() as tape:
            y_pred = model(x, training=True)
            loss = part_of_loss(model, loss_fn, y, y_pred, sample_weight, share)
            scaled_loss = optimizer.scale_loss(loss)
        variables = model.trainable_variables
        gradients = tape.gradient(scaled_loss, variables)
        if has_no_rows(x):  # batch normalisation has NaN here, from the mean of nothing
            gradients = times(gradients, 0.0)
        apply_sum(optimizer, gradients, variables)
        return sum_over_replicas(loss), y_pred

    return train_step


def make_replica_test_step(model, loss_fn):
    """Returns the test step of one replica: the same without a change."""
    loss_fn = as_loss(loss_fn)

    def test_step(x, y, sample_weight=None, *, share):
        y_pred = model(x, training=False)
        loss = part_of_loss(model, loss_fn, y, y_pred, sample_weight, share)
        return sum_over_replicas(loss), y_pred

    return test_step


def part_of_loss(model, loss_fn, y, y_pred, sample_weight, share):
    """Returns this replica's part of the batch's loss: share · (loss of its rows + penalties)."""
    if _divides_by_weight(loss_fn) and sample_weight is not None:
        weight = tf.reduce_sum(sample_weight)
        total = sum_over_replicas(weight)
        share = tf.where(total > 0, weight / total, tf.constant(share, weight.dtype))
    if has_no_rows(y_pred):  # a mean of nothing would be NaN; this is a sum of nothing
        sums = [tf.reduce_sum(output) for output in tf.nest.flatten(y_pred)]
        return tf.add_n([tf.cast(each, model.variable_dtype) for each in sums])

    def loss_alone(*arguments):
        # Keras' losses divide by the number of replicas, as if all had equally many rows.
        with tf.distribute.ReplicaContext(_alone(), 0):
            return loss_fn(*arguments)

    loss = total_loss(model, loss_alone, y, y_pred, sample_weight)
    loss = tf.cast(loss, model.variable_dtype)  # the same on every replica, in float16 too
    return tf.convert_to_tensor(share, loss.dtype) * loss


def has_no_rows(batch) -> bool:
    """Returns whether the replica whose step is being traced takes nothing of this batch."""
    return tf.nest.flatten(batch)[0].shape[0] == 0


@functools.cache
def _alone() -> tf.distribute.Strategy:
    """A strategy with a single replica."""
    return tf.distribute.OneDeviceStrategy("CPU:0")


def sum_over_replicas(values):
    """Returns the sum of a tensor, or of each of several, over the replicas; every one gets it."""
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, values)


def from_first(value):
    """Returns what replica 0 has in place of `value`, on every replica."""
    return sum_over_replicas(tf.identity(value) if replica_number() == 0 else tf.zeros_like(value))


def replica_number() -> int:
    """Returns the number of the replica whose step is being traced."""
    context = tf.distribute.get_replica_context()
    return int(tf.get_static_value(context.replica_id_in_sync_group))


def apply_sum(optimizer, gradients, variables):
    """Takes the optimizer's step with the gradients' sum over the replicas.

    Keras' optimizers add up too, but each replica clips its part before, and in float16 looks for
    infinite numbers in its own part only. In these cases the sum is made here, and given out so
    that Keras' sum is the same again.
    """
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    if scales or _clips(optimizer):
        share = 1 / tf.distribute.get_strategy().num_replicas_in_sync
        if _clips(optimizer):  # the first gives all
            share = float(replica_number() == 0)
        known = [gradient for gradient in gradients if gradient is not None]
        sums = iter(sum_over_replicas(known))
        gradients = [None if gradient is None else next(sums) for gradient in gradients]
        gradients = times(gradients, share)
    optimizer.apply(gradients, variables)


def _clips(optimizer) -> bool:
    """Whether an optimizer, or the one in a LossScaleOptimizer, shortens gradients."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    return bool(inner.clipnorm or inner.clipvalue or inner.global_clipnorm)


def times(gradients, share: float) -> list:
    """Returns each times the share, and 0 for a share of 0; an embedding's stays a list of rows."""

    def one(gradient):
        if isinstance(gradient, tf.IndexedSlices):
            values = tf.math.multiply_no_nan(gradient.values, share)
            return tf.IndexedSlices(values, gradient.indices, gradient.dense_shape)
        return None if gradient is None else tf.math.multiply_no_nan(gradient, share)

    return [one(gradient) for gradient in gradients]


# --- the loop -----------------------------------------------------------------------------


class ReplicaLoop(ArrayLoop):
    """Data in memory, several replicas: each gathers its own rows of every batch.

    All take them out of the same order, which depends on (seed, epoch) alone: no row is left
    out or taken twice, and no worker asks another for data.
    """

    def __init__(self, strategy, model, step, metrics, arrays, batch_size: int, training: bool):
        self.strategy, self.home = strategy, tf.nest.flatten(arrays)[0].device
        others = model.non_trainable_variables if training else []
        self.seeds = [v for v in others if v.name == "seed_generator_state"]
        self.statistics = [v for v in others if "float" in v.dtype]
        super().__init__(step, metrics, arrays, batch_size, False, training)

    def make_runs(self, jit: bool) -> list[tuple]:
        """Returns a function for each size of batch: who takes which rows is settled before."""
        return self.make_runs_of_one_size(jit)

    def take_rows(self, arrays, chosen, number, last_loss):
        """Takes one step, in which every replica takes some of the chosen rows."""
        rows, replicas = chosen.shape[0], self.strategy.num_replicas_in_sync

        def on_one(chosen, number, last_loss):
            first, stop = rows_of(replica_number(), rows, replicas)
            with tf.device(self.home):  # not a copy of all the data on every device
                batch = gather(arrays, chosen[first:stop])
            return self.take_step(batch, number, last_loss, share=(stop - first) / rows)

        state = self.strategy.run(on_one, args=(chosen, number, last_loss))
        return [self.strategy.experimental_local_results(value)[0] for value in state]

    def variables(self):
        """Returns the scores so far: what they are over all replicas, for a checkpoint."""
        return [_Sum(variable) for variable in super().variables()]

    def call(self, function, *data, first, stop, fresh):
        """Runs one compiled call; in a cluster of as many steps as the chief's clock suggests."""
        if isinstance(self.strategy, tf.distribute.MultiWorkerMirroredStrategy):
            stop = int(self.as_first(stop))
        return super().call(function, *data, first=first, stop=stop, fresh=fresh)

    def run_epoch(self, order=None, first: int = 0):
        """Yields (steps done, scores); before and after, what each replica has of its own is set in
        order.
        """
        self.align()
        yield from super().run_epoch(order, first)
        self.align()

    @functools.cached_property
    def as_first(self):
        """See make_as_first."""
        return make_as_first(self.strategy)

    @functools.cached_property
    def align(self):
        """Gives all replicas the first one's moving averages, and random numbers of their own.

        Batch normalisation has averaged over the rows of each replica; of a very short last batch
        it may have had none. Dropout would otherwise draw the same on every replica.
        """

        def on_one():
            for variable in self.statistics:
                variable.assign(from_first(tf.convert_to_tensor(variable)))
            for seed in self.seeds:  # a seed and a counter of the draws
                far = tf.constant([0, replica_number() * 2**32], tf.int64)
                seed.assign(from_first(tf.convert_to_tensor(seed)) + far)

        if not (self.statistics or self.seeds):
            return lambda: None
        return tf.function(lambda: self.strategy.run(on_one), autograph=False)


class _Sum:
    """A metric's variable and its value so far, which all workers must ask for at one time."""

    def __init__(self, variable):
        self.variable, self.shape = variable, tuple(variable.shape)
        self.value = np.asarray(tf.convert_to_tensor(variable))

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        """Puts a value back; each replica gets an equal part."""
        self.variable.assign(value)


def make_as_first(strategy):
    """Returns a function that returns what the first replica's process gives it, a whole number."""

    def as_first(number):
        return strategy.experimental_local_results(strategy.run(from_first, args=(number,)))[0]

    return tf.function(as_first, autograph=False, input_signature=[tf.TensorSpec([], tf.int64)])


def _divides_by_weight(loss_fn) -> bool:
    """Whether a loss is a mean over the weights, not over the rows."""
    return getattr(loss_fn, "reduction", None) == "mean_with_sample_weight"
