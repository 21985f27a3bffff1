"""One run on several devices: the processors of this machine, or processes on many machines.

Every device has a copy of the weights, and takes its share of the rows of every batch; the
gradients are added up over the devices, so that all copies take the same step. A model that is
made in `with strategy.scope():` is trained by `kerasbook.training.fit` in this way.
"""

from kerasbook.cluster import Cluster, ClusterError

import tensorflow as tf


def logical_devices(count: int) -> list[str]:
    """Returns the names of `count` devices: GPUs if there are any, else shares of the CPU.

    Must be called before TensorFlow has computed anything, unless there are that many already.

    Raises:
        ClusterError: fewer GPUs than `count`, or TensorFlow has begun to work.
    """
    raise NotImplementedError


def make_strategy(
    devices: int | None = None, cluster: Cluster | None = None
) -> tf.distribute.Strategy | None:
    """Returns the strategy for so many devices, or for this process of a cluster; None for one."""
    raise NotImplementedError


def replicas(strategy: tf.distribute.Strategy | None = None) -> int:
    """The number of copies of the model that compute at the same time: 1 without a strategy."""
    raise NotImplementedError


def is_chief(strategy: tf.distribute.Strategy | None = None) -> bool:
    """Whether this process is the one that prints and writes: True, if it is the only one."""
    raise NotImplementedError
