"""The TensorFlow Datasets side: real builders on made-up data, and every way to lack a network."""

import contextlib
import errno
import gzip
import hashlib
import http.server
import importlib
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from kerasbook import data
from kerasbook.cli import app
from kerasbook.data import builders, fashion, remote, verses
from kerasbook.data import tfds as online

import numpy as np
import pytest
import requests
import rich
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import downloader
from typer.testing import CliRunner

needs_debian = pytest.mark.skipif(
    not remote.DEBIAN_FOLDER.is_dir(), reason="the Debian package dataset-fashion-mnist is missing"
)


@pytest.fixture
def no_network(monkeypatch):
    """Let every server be silent."""
    monkeypatch.setattr(remote, "reaches", lambda url: False)


# Reading


@pytest.fixture
def made_up_data(monkeypatch):
    """Let TFDS make random examples in place of prepared ones: 50 in each split."""
    monkeypatch.setattr(remote, "reaches", lambda url: True)
    with tfds.testing.mock_data(num_examples=50):
        yield


@pytest.mark.usefixtures("made_up_data")
@pytest.mark.parametrize(
    ("name", "shape"),
    [("mnist", (28, 28, 1)), ("fashion_mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))],
)
def test_pictures_are_split_and_standardised(name, shape):
    splits = data.load(name)
    sizes = [part.x.shape for part in (splits.train, splits.validation, splits.test)]
    assert sizes == [(45, *shape), (5, *shape), (50, *shape)]
    assert splits.train.x.dtype == np.float32
    assert splits.train.y.dtype == np.int32
    assert (splits.name, splits.source, len(splits.classes)) == (name, "tfds", 10)

    np.testing.assert_allclose(splits.train.x.mean((0, 1, 2)), np.zeros(shape[-1]), atol=1e-5)
    np.testing.assert_allclose(splits.train.x.std((0, 1, 2)), np.ones(shape[-1]), atol=1e-5)
    assert np.abs(splits.test.x.mean((0, 1, 2))).max() > 1e-5, "the test part was not looked at"

    builder = tfds.builder(name)
    train = list(tfds.as_numpy(builder.as_dataset(split="train", as_supervised=True)))
    raw = np.concatenate([splits.train.x, splits.validation.x]) * splits.std + splits.mean
    np.testing.assert_allclose(raw, np.stack([x for x, _ in train]), atol=1e-3)
    labels = np.concatenate([splits.train.y, splits.validation.y])
    assert labels.tolist() == [y for _, y in train]


@pytest.mark.usefixtures("made_up_data")
def test_prepared_data_that_cannot_be_read_are_named(monkeypatch):
    import tensorflow as tf

    def read(builder, choice):
        raise tf.errors.DataLossError(None, None, "{{function_node x}} truncated record at 17")

    choice = online.CHOICES["mnist"]._replace(read=read)
    monkeypatch.setitem(online.CHOICES, "mnist", choice)
    with pytest.raises(data.DataError, match=r"(?s)mnist.*truncated record.*Delete") as caught:
        online.load_tfds("mnist")
    assert "function_node" not in str(caught.value)


def test_a_damaged_description_is_named(tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text("{")
    with pytest.raises(data.DataError, match=r"(?s)mnist cannot be opened.*Delete that folder"):
        online.load_tfds("mnist", data_dir=tmp_path)


def test_the_list_of_names_is_the_same_here_and_without_tfds():
    assert tuple(online.CHOICES) == data.ONLINE
    with pytest.raises(data.DataError, match=r"'imagenet2012'.*mnist"):
        online.load_tfds("imagenet2012")


# Without a network


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", data.ONLINE)
def test_without_a_network_the_error_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "DEBIAN_FOLDER", tmp_path / "not installed")
    with pytest.raises(data.DataError) as caught:
        data.load(name, data_dir=tmp_path)
    message = str(caught.value)
    assert f"kerasbook data prepare {name}" in message
    assert f"--dataset {remote.SOURCES[name].instead}," in message
    assert str(tmp_path / name) in message
    assert "TFDS_DATA_DIR" in message
    assert "--from" not in message
    assert not any(tmp_path.iterdir()), "nothing was made"


@pytest.mark.usefixtures("no_network")
def test_the_debian_package_is_mentioned_where_it_helps(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "DEBIAN_FOLDER", tmp_path)
    with pytest.raises(data.DataError, match=f"prepare fashion_mnist --from {tmp_path}"):
        online.load_tfds("fashion_mnist", data_dir=tmp_path / "prepared")
    with pytest.raises(data.DataError) as caught:
        online.load_tfds("mnist", data_dir=tmp_path / "prepared")
    assert "--from" not in str(caught.value)


@pytest.mark.parametrize("trouble", ["silent name server", "refused", "silent server"])
def test_a_dead_network_is_noticed_within_three_seconds(trouble, tmp_path, monkeypatch):
    over = threading.Event()

    def wait(*args, **kwargs):
        over.wait(60)
        raise OSError("the test is over")

    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    if trouble == "silent name server":
        monkeypatch.setattr(socket, "getaddrinfo", wait)
    else:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 9))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: [address])
        monkeypatch.setattr(socket.socket, "connect", refuse if trouble == "refused" else wait)
    start = time.monotonic()
    with pytest.raises(data.DataError, match="did not answer"):
        online.load_tfds("mnist", data_dir=tmp_path)
    over.set()
    assert time.monotonic() - start < 10


# With a network: a proxy on this machine stands for it


@pytest.fixture
def proxy(monkeypatch):
    """Answer every request for http://… by `answers`: file name → (status, bytes)."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            status, content = answers.get(self.path.rsplit("/", 1)[-1], (404, b"not found"))
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *args):
            asked.append(self.command)

    answers, asked = {}, []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server.answers, server.asked = answers, asked
    yield server
    server.shutdown()
    server.server_close()


def test_a_proxy_counts_as_a_network(proxy):
    assert remote.reaches("http://example.org/")
    assert proxy.asked == ["HEAD"]
    proxy.shutdown()
    proxy.server_close()
    assert not remote.reaches("http://example.org/")


def test_a_missing_file_at_the_publisher_is_an_error_with_a_remedy(
    proxy, tmp_path, capfd, monkeypatch
):
    monkeypatch.setattr(downloader, "MAX_RETRIES", 7)
    monkeypatch.setitem(sys.modules, "ipykernel", sys)  # imported somewhere: not yet a notebook
    with pytest.raises(data.DataError, match=r"(?s)404.*Try again later, or use .* fashion"):
        online.load_tfds("fashion_mnist", data_dir=tmp_path)
    assert "GET" in proxy.asked
    assert downloader.MAX_RETRIES == 7, "as it was"
    assert not list(tmp_path.rglob("dataset_info.json"))
    written = capfd.readouterr()
    assert written.out == "", "TFDS prints nothing of its own"
    assert "Dl Completed" not in written.err, "no progress bar where nobody looks"


def test_a_file_that_a_proxy_replaced_is_an_error_with_a_remedy(proxy, tmp_path):
    urls = online.find("fashion_mnist", tmp_path)[1].url_infos
    proxy.answers |= {url.rsplit("/", 1)[-1]: (200, b"<html>Please log in</html>") for url in urls}
    with pytest.raises(data.DataError, match=r"(?s)NonMatchingChecksumError.*proxy"):
        online.load_tfds("fashion_mnist", data_dir=tmp_path)


def test_what_is_known_without_tfds_is_what_tfds_knows(tmp_path):
    for name, source in remote.SOURCES.items():
        _, builder = online.find(name, tmp_path)
        assert source.url in builder.url_infos, name
        assert source.size == sum(info.size for info in builder.url_infos.values()), name
        assert builder.data_path.is_relative_to(remote.folder_of(name, tmp_path)), name


def test_before_a_download_size_free_disk_and_licence_are_shown(proxy, tmp_path, capsys):
    with pytest.raises(data.DataError):
        online.load_tfds("fashion_mnist", data_dir=tmp_path / "new")
    told = capsys.readouterr().err.splitlines()[0]
    assert told.startswith("fashion_mnist: 30.9 MB from fashion-mnist.s3-website")
    assert re.search(rf"in {tmp_path}/new/fashion_mnist \(\d+\.\d GB free\)", told)
    assert told.endswith("licence: MIT.")


@pytest.mark.usefixtures("no_network")
def test_a_chapter_that_lacks_its_data_ends_before_tensorflow_is_imported(tmp_path):
    code = (
        "import sys; from kerasbook.data import remote; remote.reaches = lambda url: False\n"
        "from kerasbook import runner\n"
        "try: runner.run('kerasbook.chapter2', ['--dataset', 'mnist'])\n"
        "finally: print({'tensorflow', 'tensorflow_datasets'} & set(sys.modules))"
    )
    environment = os.environ | {"TFDS_DATA_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        **{"env": environment, "cwd": tmp_path, "capture_output": True, "text": True},
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == "set()\n"
    assert "Without a network: --dataset fashion" in done.stderr
    assert not any(tmp_path.iterdir()), "nothing was made"


SLOWLY = """
import http.server, os, signal, sys, threading, time

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "30000000")
        self.end_headers()
        while self.command == "GET":  # no end: only Ctrl-C ends it
            self.wfile.write(b"x" * 10000)
            if os.listdir(sys.argv[1]) and not over.is_set():
                over.set()
                threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
            time.sleep(0.02)

    do_HEAD = do_GET

    def log_message(self, *args):
        pass

over = threading.Event()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ["http_proxy"] = os.environ["HTTP_PROXY"] = f"http://127.0.0.1:{server.server_port}"
from kerasbook.data import tfds
tfds.load_tfds("fashion_mnist", data_dir=sys.argv[1])
"""


def test_ctrl_c_ends_a_download_and_leaves_no_half_set(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k.lower() != "no_proxy"}
    done = subprocess.run(
        [sys.executable, "-c", SLOWLY, str(tmp_path)],
        **{"env": environment, "capture_output": True, "text": True, "timeout": 120},
        check=False,
    )
    assert "KeyboardInterrupt" in done.stderr, done.stderr
    assert "nothing half-made is left" in done.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "Make room in .*TFDS_DATA_DIR"),
        (OSError("Not enough disk space. Needed: 60 MiB"), "Make room in .*TFDS_DATA_DIR"),
        (PermissionError(errno.EACCES, "Permission denied"), "may write to"),
        (ModuleNotFoundError("No module", name="importlib_resources"), "pip install importlib_res"),
        (requests.ConnectionError("reset by peer"), "Try again later"),
        (RuntimeError(""), "Try again later"),
    ],
)
def test_every_failure_of_a_download_has_its_remedy(error, remedy, tmp_path, monkeypatch):
    _, builder = online.find("mnist", tmp_path)

    def fail(**options):
        raise error

    monkeypatch.setattr(builder, "download_and_prepare", fail)
    with pytest.raises(
        data.DataError, match=f"(?s)mnist could not be prepared.*{remedy}"
    ) as caught:
        online.download(builder)
    assert caught.value.__cause__ is error


def test_the_progress_bar_is_for_those_who_look(monkeypatch):
    from tensorflow_datasets.core.utils import tqdm_utils

    def bars_are_shown():
        return not isinstance(tqdm_utils.tqdm([]), tqdm_utils.EmptyTqdm)

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    with online.progress_bar():
        assert not bars_are_shown()
    with contextlib.redirect_stderr(Terminal()), online.progress_bar():
        assert bars_are_shown()
    monkeypatch.setattr(rich.get_console(), "is_jupyter", True)
    with online.progress_bar():
        assert bars_are_shown()


# From a shell


@pytest.mark.usefixtures("no_network")
def test_the_command_ends_with_the_error_and_no_traceback(proxy, tmp_path):
    done = CliRunner().invoke(app, ["data", "prepare", "mnist", "--data-dir", str(tmp_path)])
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("error: mnist could not be prepared")
    with pytest.raises(SystemExit) as caught:
        online.main(["prepare", "fashion_mnist", "--data-dir", str(tmp_path)])
    assert str(caught.value).startswith("error: fashion_mnist could not be prepared")
    with pytest.raises(SystemExit) as caught:
        online.main(["prepare", "cifar10", "--from", str(tmp_path)])
    assert "--from goes with fashion_mnist only" in str(caught.value)


# The embedded data as TensorFlow Datasets


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """The embedded data sets, prepared."""
    folder = tmp_path_factory.mktemp("tensorflow_datasets")
    for name in ("kerasbook_auto_mpg", "kerasbook_fashion", "kerasbook_verses"):
        with online.quiet_logs(), online.progress_bar():
            tfds.builder(name, data_dir=folder).download_and_prepare()
    return folder


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_kerasbook_auto_mpg_is_load_auto_mpg(data_dir, split):
    examples = tfds.load("kerasbook_auto_mpg", split=split, as_supervised=True, data_dir=data_dir)
    x, y = (np.stack(column) for column in zip(*tfds.as_numpy(examples), strict=True))
    expected = getattr(data.load_auto_mpg(standardise=False), split)
    np.testing.assert_array_equal(x, expected.x)
    np.testing.assert_array_equal(y, expected.y)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_kerasbook_fashion_is_load_fashion(data_dir, split):
    examples = tfds.load("kerasbook_fashion", split=split, as_supervised=True, data_dir=data_dir)
    x, y = (np.concatenate(a) for a in zip(*tfds.as_numpy(examples.batch(1000)), strict=True))
    expected = getattr(data.load_fashion(standardise=False), split)
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, expected.x)
    np.testing.assert_array_equal(y, expected.y)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_kerasbook_verses_is_read_verses(data_dir, split):
    examples = tfds.load("kerasbook_verses", split=split, as_supervised=True, data_dir=data_dir)
    batches = list(tfds.as_numpy(examples.batch(1000)))
    spanish, english = (np.concatenate(side) for side in zip(*batches, strict=True))
    parts = dict(zip(("train", "validation", "test"), verses.read_verses(), strict=True))
    assert [text.decode() for text in spanish] == [verse.spanish for verse in parts[split]]
    assert [text.decode() for text in english] == [verse.english for verse in parts[split]]


def test_the_builders_say_what_they_hold(data_dir):
    info = tfds.builder("kerasbook_fashion", data_dir=data_dir).info
    assert info.features["label"].names == list(fashion.CLASSES)
    assert "xiao2017fashion" in info.citation
    info = tfds.builder("kerasbook_auto_mpg", data_dir=data_dir).info
    assert {name: split.num_examples for name, split in info.splits.items()} == {
        "train": 236,
        "validation": 78,
        "test": 78,
    }
    assert "autompg" in info.citation


def test_reloading_the_modules_does_not_raise():
    importlib.reload(builders)
    importlib.reload(online)
    assert tfds.builder_cls("kerasbook_fashion").name == "kerasbook_fashion"


# Fashion-MNIST from Debian


@pytest.fixture
def stripped_gzip(tmp_path):
    """A .gz file without name and time in its header, as `gzip -n` writes it."""
    path = tmp_path / "train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(b"labels", mtime=0))
    return path


def test_the_header_of_a_gzip_file_is_put_back(stripped_gzip):
    content = online.original_gzip(stripped_gzip)
    assert gzip.decompress(content) == b"labels"
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        file.read()
        assert file.mtime == 0x59A7E9DE
    assert content[10:34] == b"train-labels-idx1-ubyte\0"
    stripped_gzip.write_bytes(content)
    assert online.original_gzip(stripped_gzip) == content, "a header with a name stays"


def test_other_files_are_refused(stripped_gzip, tmp_path):
    with pytest.raises(data.DataError, match=r"t10k-images-idx3-ubyte\.gz cannot be read"):
        online.prepare_fashion_mnist_from(tmp_path, tmp_path / "prepared")
    for name in ("t10k-images-idx3", "t10k-labels-idx1", "train-images-idx3"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(stripped_gzip.read_bytes())
    with pytest.raises(data.DataError, match="wrong sha256"):
        online.prepare_fashion_mnist_from(tmp_path, tmp_path / "prepared")


@needs_debian
def test_debian_has_the_original_files(tmp_path):
    _, builder = online.find("fashion_mnist", tmp_path)
    for url, expected in builder.url_infos.items():
        content = online.original_gzip(remote.DEBIAN_FOLDER / Path(url).name)
        assert hashlib.sha256(content).hexdigest() == expected.checksum


@needs_debian
@pytest.mark.slow  # half a minute
def test_fashion_mnist_is_prepared_from_debian_without_a_network(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", refuse)
    folder = online.prepare_fashion_mnist_from(data_dir=tmp_path)
    assert folder.parent.parent == tmp_path
    assert [path.name for path in tmp_path.iterdir()] == ["fashion_mnist"], "nothing left over"

    splits = data.load("fashion_mnist", data_dir=tmp_path)
    assert [len(part.x) for part in (splits.train, splits.validation, splits.test)] == [
        54_000,
        6_000,
        10_000,
    ]
    assert splits.classes == fashion.CLASSES
    pixels = np.rint(splits.test.x * splits.std + splits.mean).astype(np.uint8)
    whole = {picture.tobytes() for picture in pixels}
    embedded = data.load_fashion(standardise=False).test.x.astype(np.uint8)
    assert all(picture.tobytes() in whole for picture in embedded)


@needs_debian
@pytest.mark.slow  # half a minute
def test_fashion_mnist_is_downloaded_through_a_proxy(proxy, tmp_path):
    for url in online.find("fashion_mnist", tmp_path)[1].url_infos:
        name = Path(url).name
        proxy.answers[name] = (200, online.original_gzip(remote.DEBIAN_FOLDER / name))
    splits = online.load_tfds("fashion_mnist", data_dir=tmp_path)
    assert len(splits.train.x) == 54_000
    assert proxy.asked.count("GET") == 4
    again = online.load_tfds("fashion_mnist", data_dir=tmp_path)
    assert proxy.asked.count("GET") == 4, "prepared once"
    np.testing.assert_array_equal(again.train.y, splits.train.y)
