"""The devices of a run: the processors of this machine, or processes on many machines.

A model that is made in `with strategy.scope():` is trained on all devices of the strategy by
`kerasbook.training.fit`; `batch_size` remains that of the whole batch. What each of them computes
stands in replicas.py.
"""

import contextlib
import functools
from collections.abc import Callable

from kerasbook.cluster import Cluster, ClusterError
from kerasbook.machine import cores
from kerasbook.training.checks import ArgumentError

import keras
import tensorflow as tf

# Which devices add up is told at every strategy; in a notebook these lines would be shown.
tf.get_logger().addFilter(lambda record: record.levelname != "INFO")

MIRRORED = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)


def logical_devices(count: int, kind: str | None = None) -> list[str]:
    """Returns the names of `count` devices: GPUs if there are any, else parts of the CPU.

    `kind`, "CPU" or "GPU", decides. Parts of the CPU compute what several processors would, but
    no faster than one. Must be called before TensorFlow has computed anything, unless there are
    that many already.

    Raises:
        ClusterError: fewer GPUs than `count`, or TensorFlow has begun to work.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if gpus if kind is None else kind == "GPU":
        if count > len(gpus):
            raise ClusterError(f"this machine has {len(gpus)} GPU(s), not {count}: ask for fewer")
        return [f"GPU:{number}" for number in range(count)]
    processor = tf.config.list_physical_devices("CPU")[0]
    if count > len(tf.config.get_logical_device_configuration(processor) or [processor]):
        shares = [tf.config.LogicalDeviceConfiguration()] * count
        try:
            tf.config.set_logical_device_configuration(processor, shares)
        except RuntimeError:
            raise ClusterError(
                f"the CPU can be cut into {count} devices only before TensorFlow has computed "
                "anything: do it first, or restart"
            ) from None
    return [f"CPU:{number}" for number in range(count)]


def one_thread_per_operation() -> None:
    """Lets operations run side by side on a CPU of two cores, instead of each on both.

    For models with many small operations that do not wait for each other. Does nothing once
    TensorFlow has computed something, with a GPU, or with more cores, where it was not measured.
    """
    if cores() <= 2 and not tf.config.get_visible_devices("GPU"):
        with contextlib.suppress(RuntimeError):
            tf.config.threading.set_intra_op_parallelism_threads(1)


def make_strategy(
    devices: int | None = None, cluster: Cluster | None = None, kind: str | None = None
) -> tf.distribute.Strategy | None:
    """Returns the strategy for so many devices, or for this process of a cluster; None for one.

    `kind` is that of `logical_devices`. For a cluster it must be called before TensorFlow has
    computed anything, and waits until all workers are there.
    """
    if cluster is not None:
        return tf.distribute.MultiWorkerMirroredStrategy()  # reads TF_CONFIG too
    if devices is not None:
        names = logical_devices(devices, kind)
        # Left to itself TensorFlow takes collective operations for CPUs, which keep a process from
        # having a second strategy of another size.
        sums = None if names[0].startswith("GPU") else tf.distribute.ReductionToOneDevice()
        return tf.distribute.MirroredStrategy(names, sums)
    return None


def strategy_of(model: keras.Model) -> tf.distribute.Strategy | None:
    """Returns the strategy in whose scope the model was made; None for one on one device."""
    strategy = getattr(model, "distribute_strategy", None)
    if isinstance(strategy, MIRRORED):
        if not all(strategy.extended.variable_created_in_scope(v.value) for v in model.variables):
            raise ArgumentError("make the model in the scope too: with strategy.scope(): model = …")
        return strategy
    if strategy is not None and strategy.num_replicas_in_sync > 1:
        raise ArgumentError(
            "fit works under MirroredStrategy and MultiWorkerMirroredStrategy, not under "
            f"{type(strategy).__name__}"
        )
    return None


def is_chief(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Returns whether this process is the one that prints and writes; the only one is."""
    resolver = None if strategy is None else strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_id == 0 and "chief" not in resolver.cluster_spec().jobs
    )


def in_scope(function: Callable) -> Callable:
    """Lets a function, whose first argument is a model, run in the scope of its strategy."""

    @functools.wraps(function)
    def inside(model, *args, **kwargs):
        strategy = strategy_of(model)
        with contextlib.nullcontext() if strategy is None else strategy.scope():
            return function(model, *args, **kwargs)

    return inside
