"""The process of one of PyTorch's sides, in which TensorFlow is never imported.

Some builds of the two crash together, so that the names here can be had without either.
"""


def take_part(*arguments) -> None:
    """Takes part as a process: see kerasbook.bench.peers, which needs torch."""
    from kerasbook.bench import peers

    peers.take_part(*arguments)
