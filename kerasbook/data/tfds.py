"""TensorFlow Datasets: the full data sets, for those who have a network.

    >>> from kerasbook.data.tfds import load_tfds
    >>> splits = load_tfds("mnist")

A data set is downloaded and prepared once, into ~/tensorflow_datasets or TFDS_DATA_DIR. Without a
network, load_tfds says so within three seconds. Where it lies prepared, no network is needed, so
its folder can be copied from one machine to another. From a shell:

    kerasbook data prepare mnist
    kerasbook data prepare fashion_mnist --from /usr/share/datasets/fashion-mnist

The second takes the files of Debian's package dataset-fashion-mnist and needs no network.
Importing this module also registers the embedded data sets (see kerasbook.data.builders).
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import logging
import os
import re
import shutil
import sys
import tempfile
import textwrap
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kerasbook.data import (
    builders,  # noqa: F401  registers the embedded data sets
    remote,
    wordpieces,
)
from kerasbook.data.remote import COMMAND, DEBIAN_FOLDER
from kerasbook.data.shakespeare import encode_text, windows
from kerasbook.data.splits import DataError, Part, Splits, mean_and_std, standardised
from kerasbook.data.subwords import encode_pairs, make_pieces
from kerasbook.data.text import TextSplits, encode, make_vocabulary, split_words

import numpy as np
import requests
import rich
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

RETRIES = 2  # TFDS tries ten times, which takes minutes


class Choice(NamedTuple):
    """What this module knows about a data set of TensorFlow Datasets."""

    title: str
    target: str
    read: Callable[[tfds.core.DatasetBuilder, Choice], Splits]
    config: str = ""  # which of its variants, as in ted_hrlr_translate/pt_to_en


def load_tfds(name: str, *, data_dir: str | os.PathLike | None = None, **options: Any) -> Splits:
    """Returns a data set of TensorFlow Datasets, preparing it first where it is not.

    Where it has no validation part, the last tenth of the training split becomes one. Pictures
    are standardised by the training part: x (n, height, width, channels) float32, y (n,) int32.
    Reviews become word numbers, of a vocabulary made from the training part: x (n, 200) int32,
    y (n,) int32. A play becomes what load_shakespeare returns, translations what load_verses does.
    data_dir: the folder of prepared data sets (~/tensorflow_datasets, or TFDS_DATA_DIR).
    options: of what reads it, as `length` and `pieces` of `read_reviews`.

    Raises:
        DataError: the name is unknown, the network does not answer within two seconds, or the
            download fails; the message has the remedy.
        KeyboardInterrupt: while it is prepared; nothing half-made is left.
    """
    choice, builder = find(name, data_dir)
    if not is_prepared(builder):
        remote.require_network(name, data_dir)
        download(builder)
    import tensorflow as tf  # only here: without data, the answer shall not wait for it

    try:
        return choice.read(builder, choice, **options)
    except tf.errors.OpError as error:  # a file is missing, cut short …
        raise DataError(
            f"{name} in {builder.data_dir} cannot be read: {one_line(error)}\n"
            f"Delete that folder and prepare it again: {COMMAND} {name}"
        ) from error


def find(name: str, data_dir: str | os.PathLike | None) -> tuple[Choice, tfds.core.DatasetBuilder]:
    """Returns what is known about a data set, and its builder.

    Raises:
        DataError: the name is unknown.
    """
    if name not in CHOICES:
        known = ", ".join(CHOICES)
        raise DataError(f"kerasbook does not read {name!r} of TensorFlow Datasets, only {known}.")
    try:
        choice = CHOICES[name]
        return choice, tfds.builder(f"{name}/{choice.config}".strip("/"), data_dir=data_dir)
    except Exception as error:  # its description, dataset_info.json, is damaged
        folder = Path(data_dir or tfds.core.constants.DATA_DIR) / name
        raise DataError(
            f"{name} in {folder} cannot be opened: {one_line(error)}\n"
            f"Delete that folder and prepare it again: {COMMAND} {name}"
        ) from error


def is_prepared(builder: tfds.core.DatasetBuilder) -> bool:
    """Returns whether the data set lies in its folder; needs no network."""
    with quiet_logs():
        return builder.is_prepared()


# Reading


def read_pictures(builder: tfds.core.DatasetBuilder, choice: Choice) -> Splits:
    """Returns the splits of a data set whose examples are (image, label)."""
    whole, test = read_part(builder, "train"), read_part(builder, "test")
    cut = len(whole.x) - len(whole.x) // 10
    train, validation = Part(whole.x[:cut], whole.y[:cut]), Part(whole.x[cut:], whole.y[cut:])
    mean, std = mean_and_std(train.x)
    train, validation, test = (
        Part(standardised(x, mean, std), y.astype(np.int32)) for x, y in (train, validation, test)
    )
    return Splits(
        train=train,
        validation=validation,
        test=test,
        name=builder.name,
        title=choice.title,
        target=choice.target,
        source="tfds",
        classes=tuple(builder.info.features["label"].names),
        mean=mean,
        std=std,
    )


def read_part(builder: tfds.core.DatasetBuilder, split: str) -> Part:
    """Returns a whole split as (x, y), in the order of the files, which is fixed."""
    batches = builder.as_dataset(split=split, batch_size=1000, as_supervised=True)
    x, y = zip(*tfds.as_numpy(batches))
    return Part(np.concatenate(x), np.concatenate(y))


def read_reviews(
    builder: tfds.core.DatasetBuilder,
    choice: Choice,
    words: int = 10_000,
    length: int = 200,
    pieces: Sequence[str] | None = None,
) -> TextSplits:
    """Returns the splits of a data set whose examples are (text, label), as word numbers.

    pieces: word pieces, as of BERT; then as numbers of these, and `words` is not used.

    A review is cut after `length` words. TFDS has shuffled each split when it prepared it, so the
    last tenth of one is fair. The 50,000 reviews without a label are not read.
    """
    whole, test = read_part(builder, "train"), read_part(builder, "test")
    cut = len(whole.x) - len(whole.x) // 10
    texts, test_texts = plain_reviews(whole.x), plain_reviews(test.x)
    vocabulary = pieces or make_vocabulary(map(split_words, texts[:cut]), words)

    def numbers(texts: list[str]) -> np.ndarray:
        if pieces:
            return wordpieces.rows(texts, pieces, length)
        return encode([split_words(text) for text in texts], vocabulary, length)

    parts = (texts[:cut], whole.y[:cut]), (texts[cut:], whole.y[cut:]), (test_texts, test.y)
    train, validation, test = (Part(numbers(texts), y.astype(np.int32)) for texts, y in parts)
    kind = wordpieces.PieceSplits if pieces else TextSplits
    return kind(
        train=train,
        validation=validation,
        test=test,
        name=builder.name,
        title=choice.title,
        target=choice.target,
        source="tfds",
        classes=("negative", "positive"),
        vocabulary=tuple(vocabulary),
    )


def plain_reviews(texts: np.ndarray) -> list[str]:
    """Returns each review (bytes in UTF-8) without its line breaks <br />."""
    return [text.decode().replace("<br />", " ") for text in texts]


def read_play(builder: tfds.core.DatasetBuilder, choice: Choice, window: int = 64) -> Splits:
    """Returns the splits of a data set that is one long text, as windows of character numbers.

    The parts follow each other in the text; the characters are those of the training part.
    """
    texts = {}
    for split in ("train", "validation", "test"):
        (example,) = tfds.as_numpy(builder.as_dataset(split=split))
        texts[split] = example["text"].decode()
    characters = ("<unknown>", *sorted(set(texts["train"])))
    return Splits(
        **{split: windows(encode_text(text, characters), window) for split, text in texts.items()},
        name=builder.name,
        title=choice.title,
        target=choice.target,
        source="tfds",
        classes=characters,
    )


def read_translations(
    builder: tfds.core.DatasetBuilder, choice: Choice, size: int = 4000, longest: int = 64
) -> Splits:
    """Returns the splits of a data set whose examples are (text, its translation), as subwords.

    Both languages share `size` pieces, made from the training part alone. Pairs with `longest`
    pieces or more on a side are left out, in the test part too.
    """
    pairs = {}
    for split in ("train", "validation", "test"):
        part = read_part(builder, split)
        pairs[split] = [(x.decode(), y.decode()) for x, y in zip(*part)]
    pieces = make_pieces((text for pair in pairs["train"] for text in pair), size)
    return Splits(
        **{split: encode_pairs(part, pieces, longest) for split, part in pairs.items()},
        name=builder.name,
        title=choice.title,
        target=choice.target,
        source="tfds",
        classes=pieces,
    )


CHOICES = {
    "mnist": Choice("MNIST", "digit", read_pictures),
    "fashion_mnist": Choice("Fashion-MNIST", "kind of clothing", read_pictures),
    "cifar10": Choice("CIFAR-10", "kind of thing", read_pictures),
    "imdb_reviews": Choice("IMDB reviews", "negative or positive", read_reviews),
    "tiny_shakespeare": Choice("Tiny Shakespeare", "next character", read_play),
    "ted_hrlr_translate": Choice(
        "TED talks, Portuguese to English", "English", read_translations, "pt_to_en"
    ),
}


# Preparing


def download(builder: tfds.core.DatasetBuilder, **options: Any) -> None:
    """Downloads and prepares a data set, with a progress bar in a terminal or a notebook.

    options: of `download_and_prepare`.

    Raises:
        DataError: that fails.
    """
    folder = builder.data_path.parents[
        1 if CHOICES[builder.name].config else 0
    ]  # above the version
    if "download_config" not in options:
        print(remote.what_comes(builder.name, folder.parent), file=sys.stderr, flush=True)
    try:
        with quiet_logs(), progress_bar(), few_retries(), stopped_with_the_program():
            builder.download_and_prepare(**options)
    except KeyboardInterrupt:
        remove_half_made(builder.name, Path(folder))
        print(f"Interrupted: nothing half-made is left in {folder}.", file=sys.stderr)
        raise
    except Exception as error:  # from requests, TFDS, TensorFlow, the disk …
        raise DataError(
            f"{builder.name} could not be prepared: {one_line(error)}\n{remedy(builder, error)}"
        ) from error


@contextlib.contextmanager
def stopped_with_the_program() -> Iterator[None]:
    """Lets the threads that download end at the next block once one has failed or the program is
    interrupted: Python would wait for them.
    """
    over = threading.Event()
    before = downloader._open_url

    def until_over(blocks: Iterable[bytes]) -> Iterator[bytes]:
        for block in blocks:
            if over.is_set():
                raise OSError("interrupted")
            yield block

    @contextlib.contextmanager
    def open_url(url: str, **options: Any) -> Iterator:
        with before(url, **options) as (response, blocks):
            yield response, until_over(blocks)

    downloader._open_url = open_url
    try:
        yield
    except BaseException:
        over.set()
        raise
    finally:
        downloader._open_url = before


def remove_half_made(name: str, folder: Path) -> None:
    """Removes what an interrupted download has left: files cut short, data not all prepared."""
    downloads = folder.parent / "downloads"
    halves = [*folder.rglob("incomplete.*"), *downloads.glob(f"{name}*/*.tmp.*")]
    for half in [*halves, *downloads.glob("*.tmp.*")]:
        shutil.rmtree(half, ignore_errors=True)
    for empty in (folder, downloads / name, downloads / "extracted", downloads):
        with contextlib.suppress(OSError):  # not empty
            empty.rmdir()


def remedy(builder: tfds.core.DatasetBuilder, error: Exception) -> str:
    """Returns what to do about a failed preparation."""
    again = (
        f"Try again later, or use the embedded --dataset {remote.SOURCES[builder.name].instead}."
    )
    if isinstance(error, ModuleNotFoundError):
        return f"Install it: pip install {error.name}"
    if isinstance(error, NonMatchingChecksumError):
        return (
            "What came is not the file that TensorFlow Datasets knows: it was cut short, or a "
            f"proxy put a page of its own in its place.\n{again}"
        )
    if isinstance(error, PermissionError):
        return "Name a folder that you may write to in TFDS_DATA_DIR."
    if "space" in str(error) or "Disk quota" in str(error):
        return f"Make room in {builder.data_path.parent}, or name another folder in TFDS_DATA_DIR."
    return again


def one_line(error: Exception) -> str:
    """Returns the kind and the first line of an error, at most 200 characters."""
    if isinstance(error, requests.RequestException) and error.request is not None:
        return f"{type(error).__name__} at {error.request.url}"
    text = re.sub(r"^\{\{.*?\}\} ?", "", str(error).strip())  # TensorFlow's name of the node
    lines = text.splitlines() or [""]
    return textwrap.shorten(f"{type(error).__name__}: {lines[0]}", 200, placeholder=" …")


@contextlib.contextmanager
def quiet_logs() -> Iterator[None]:
    """Hides the warnings of TFDS about folders that are not there yet."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


@contextlib.contextmanager
def progress_bar() -> Iterator[None]:
    """Shows the bars of TFDS in a terminal and in a notebook only, and its prints nowhere."""
    with contextlib.redirect_stdout(io.StringIO()):
        if sys.stderr.isatty() or rich.get_console().is_jupyter:
            yield
            return
        tfds.disable_progress_bar()
        try:
            yield
        finally:
            tfds.enable_progress_bar()


@contextlib.contextmanager
def few_retries() -> Iterator[None]:
    """Lets TFDS give a download up after a few tries, and not tell of each."""
    # For good: when one download fails, the threads of the others are still trying.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    before, downloader.MAX_RETRIES = downloader.MAX_RETRIES, RETRIES
    try:
        yield
    finally:
        downloader.MAX_RETRIES = before


# Fashion-MNIST from Debian


def prepare_fashion_mnist_from(
    folder: str | os.PathLike = DEBIAN_FOLDER, data_dir: str | os.PathLike | None = None
) -> Path:
    """Prepares the unmodified `fashion_mnist` without a network; returns where it lies.

    folder: holds the four .gz files of Debian's dataset-fashion-mnist, or the original ones.
    Takes about 20 seconds.

    Raises:
        DataError: the files are not those four.
    """
    _, builder = find("fashion_mnist", data_dir)
    if not is_prepared(builder):
        with tempfile.TemporaryDirectory() as scratch:
            for url, expected in builder.url_infos.items():
                path = Path(folder) / url.rsplit("/", 1)[-1]
                content = original_gzip(path)
                if hashlib.sha256(content).hexdigest() != expected.checksum:
                    raise DataError(f"{path} is not that file of Fashion-MNIST: wrong sha256.")
                Path(scratch, path.name).write_bytes(content)
            config = tfds.download.DownloadConfig(manual_dir=scratch)
            download(builder, download_config=config, download_dir=scratch)
    return Path(builder.data_dir)


def original_gzip(path: Path) -> bytes:
    """Returns a .gz file with the header that the authors' file has.

    Debian strips name and time from the header (gzip -n); the compressed data are the same. The
    times are those of the original files; a file that has its name is returned as it is.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}).\n"
            "Install Debian's package dataset-fashion-mnist, or name its folder with --from."
        ) from error
    names_file = 0x08
    if content[3:4] != b"\0":
        return content
    time = 0x59A7E9DE if path.name.startswith("train") else 0x59A7E9F3
    header = content[:3] + bytes([names_file]) + time.to_bytes(4, "little") + content[8:10]
    return header + path.stem.encode() + b"\0" + content[10:]


def prepare(name: str, data_dir: Path | None = None, source: Path | None = None) -> str:
    """Downloads a data set, or makes fashion_mnist from its files; returns where it lies prepared.

    Raises:
        DataError: the name is unknown, or `source` goes with another data set than fashion_mnist.
    """
    if source and name != "fashion_mnist":
        raise DataError("--from goes with fashion_mnist only")
    if source:
        prepare_fashion_mnist_from(source, data_dir)
    _, builder = find(name, data_dir)
    if not is_prepared(builder):
        download(builder)
    return str(builder.data_dir)


def main(arguments: list[str] | None = None) -> None:
    """Runs `python -m kerasbook.data.tfds prepare NAME`, as `kerasbook data prepare NAME` does."""
    parser = argparse.ArgumentParser(prog="python -m kerasbook.data.tfds", description=main.__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("prepare", help="download a data set and store it, ready to read")
    verb.add_argument("name", choices=CHOICES)
    verb.add_argument("--data-dir", help="where to store it (else TFDS_DATA_DIR, or ~)")
    verb.add_argument(
        "--from",
        dest="folder",
        type=Path,
        help=f"fashion_mnist only: the folder of its four .gz files, such as {DEBIAN_FOLDER}",
    )
    options = parser.parse_args(arguments)
    try:
        folder = prepare(options.name, options.data_dir, options.folder)
    except DataError as error:
        sys.exit(f"error: {error}")
    print(f"{options.name} lies prepared in {folder}")


if __name__ == "__main__":
    main()
