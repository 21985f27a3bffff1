"""Several processes that train one model: who belongs to it, and how to start them here.

TensorFlow learns who the others are from the environment variable TF_CONFIG, which Kubernetes
and Vertex set. This module imports nothing heavy: a launcher only waits.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


class ClusterError(ValueError):
    """Devices or workers that cannot be had; the message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """This process' place among the workers: `index` 0 is the chief, which alone writes files."""

    workers: tuple[str, ...]  # "host:port" of each
    index: int

    @property
    def is_chief(self) -> bool:
        """Whether this process prints and writes."""
        return self.index == 0


def read_cluster(environment: Mapping[str, str] = os.environ) -> Cluster | None:
    """Returns what TF_CONFIG says; None without it, or if it names this process alone.

    Raises:
        ClusterError: TF_CONFIG is damaged.
    """
    raise NotImplementedError


def start_workers(count: int, command: Sequence[str]) -> int:
    """Runs `command` in `count` processes of this machine, one cluster; returns an exit status.

    All end together: if one dies, if this process is interrupted, terminated or killed.
    """
    raise NotImplementedError
