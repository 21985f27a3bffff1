"""What is known of the data sets of TensorFlow Datasets before its import, which takes a second.

Sizes are those that TensorFlow Datasets records. Licences: of MNIST as Keras' documentation states
it, of Fashion-MNIST as its repository does, of TED talks as TED does; the others state none.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from kerasbook.data.splits import DataError

PROBE_SECONDS = 2.0
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")  # of the package dataset-fashion-mnist
COMMAND = "kerasbook data prepare"


class Source(NamedTuple):
    """Where a data set comes from."""

    url: str  # one of its files
    size: int  # of all files, in bytes
    licence: str
    instead: str  # the embedded data set that serves where there is no network


SOURCES = {
    "mnist": Source(
        "https://storage.googleapis.com/cvdf-datasets/mnist/t10k-labels-idx1-ubyte.gz",
        *(11_594_722, "CC BY-SA 3.0", "fashion"),
    ),
    "fashion_mnist": Source(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/t10k-labels-idx1-ubyte.gz",
        *(30_878_645, "MIT", "fashion"),
    ),
    "cifar10": Source(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        *(170_052_171, "none stated", "fashion"),
    ),
    "imdb_reviews": Source(
        "http://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz",
        *(84_125_825, "none stated", "film_sentences"),
    ),
    "tiny_shakespeare": Source(
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        *(1_115_394, "none stated; the plays are in the public domain", "shakespeare"),
    ),
    "ted_hrlr_translate": Source(
        "http://www.phontron.com/data/qi18naacl-dataset.tar.gz",
        *(131_005_909, "CC BY-NC-ND (TED talks)", "verses"),
    ),
}


def folder_of(name: str, data_dir: str | os.PathLike | None = None) -> Path:
    """Returns where a data set is stored: in `data_dir`, TFDS_DATA_DIR or ~/tensorflow_datasets."""
    folder = data_dir or os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    return Path(folder).expanduser() / name


def require(name: str, data_dir: str | os.PathLike | None = None) -> None:
    """Checks that a data set lies there, or that its server answers within two seconds.

    Raises:
        DataError: neither; the message says how to prepare the data elsewhere.
    """
    if not any(folder_of(name, data_dir).rglob("dataset_info.json")):
        require_network(name, data_dir)


def require_network(name: str, data_dir: str | os.PathLike | None = None) -> None:
    """Checks that the server of a data set answers within two seconds.

    Raises:
        DataError: it does not; the message says how to prepare the data elsewhere.
    """
    source, folder = SOURCES[name], folder_of(name, data_dir)
    if reaches(source.url):
        return
    lines = [
        f"{name} is not prepared in {folder}, and {urlsplit(source.url).hostname} did not answer.",
        f"Without a network: --dataset {source.instead}, which is embedded.",
        f"Where there is a network, a slow one too, run `{COMMAND} {name}`.",
        f"Copy the folder {name} it makes to {folder}, or name its parent in TFDS_DATA_DIR.",
    ]
    if name == "fashion_mnist" and DEBIAN_FOLDER.is_dir():
        lines.append(f"Here it needs no network: {COMMAND} {name} --from {DEBIAN_FOLDER}")
    raise DataError("\n".join(lines))


def reaches(url: str) -> bool:
    """Returns whether a server answers at all, in time, directly or through the proxy in use.

    The question is asked in a thread, because a name server that is silent blocks for minutes.
    """
    import requests  # here, as it takes a tenth of a second

    answers = []

    def ask() -> None:
        with contextlib.suppress(requests.RequestException, OSError):
            answers.append(requests.head(url, timeout=PROBE_SECONDS))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return bool(answers)


def what_comes(name: str, data_dir: str | os.PathLike | None = None) -> str:
    """Returns a line for whoever waits: size, server, folder, free disk, licence."""
    source, folder = SOURCES[name], folder_of(name, data_dir)
    there = next(one for one in (folder, *folder.absolute().parents) if one.is_dir())
    return (
        f"{name}: {source.size / 1e6:.1f} MB from {urlsplit(source.url).hostname}, to be prepared "
        f"in {folder} ({shutil.disk_usage(there).free / 1e9:.1f} GB free); "
        f"licence: {source.licence}."
    )
