"""Archives and models of strangers: looked through before they are unpacked, and never obeyed."""

import ast
import io
import zipfile
from pathlib import Path

import kerasbook
from kerasbook.archives import ArchiveError, check_archive
from kerasbook.training import checkpoint

import numpy as np
import pytest

PACKAGE = Path(kerasbook.__file__).parent
OBEY = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}


def archive_of(*entries):
    """An opened zip of (name, content)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return zipfile.ZipFile(file)


def test_an_archive_with_a_bad_ratio_too_many_or_too_large_entries_is_refused():
    random = np.random.default_rng(0).bytes(2_000_000)
    assert (
        len(check_archive(archive_of(("weights", random), ("small", b"0" * 900_000)), 10**7)) == 2
    )
    with pytest.raises(ArchiveError, match="packed"):
        check_archive(archive_of(("zeros", b"0" * 2_000_000)), 10**7)
    with pytest.raises(ArchiveError, match="unpacks to too much"):
        check_archive(archive_of(("weights", random)), 1_500_000)
    with pytest.raises(ArchiveError, match="501 entries"):
        check_archive(archive_of(*[(str(number), b"") for number in range(501)]), 10**7)


def test_a_checkpoint_that_would_unpack_to_much_more_than_its_size_is_not_read(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, state=np.zeros(1_000_000))
    with pytest.raises(ArchiveError):
        checkpoint._read(path)


def dangerous(tree):
    """What in a program would run what a file says: pickles, models with code, whole archives."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            own = [getattr(node, "module", None) or "", *(one.name for one in node.names)]
            yield from {one.partition(".")[0] for one in own} & OBEY
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        given = {one.arg: getattr(one.value, "value", one.value) for one in node.keywords}
        if name == "load_model" and given.get("safe_mode") is not True:
            yield "load_model without safe_mode=True"
        if given.get("allow_pickle"):
            yield "allow_pickle"
        if given.get("safe_mode") is False or name == "enable_unsafe_deserialization":
            yield "unsafe deserialization"
        if name == "load" and given.get("weights_only") is False:
            yield "a pickle of PyTorch's"
        if name in ("extractall", "unpack_archive"):
            yield name


def test_nothing_in_the_package_obeys_a_strangers_file():
    files = sorted(PACKAGE.rglob("*.py"))
    assert len(files) > 100
    found = {
        f"{path.relative_to(PACKAGE)}: {what}"
        for path in files
        for what in dangerous(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == set()


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "keras.models.load_model('x.keras')",
     "load_model('x', safe_mode=False)", "np.load('x', allow_pickle=True)",
     "torch.load('x', weights_only=False)", "archive.extractall()"],
)  # fmt: skip
def test_what_would_obey_is_found(text):
    assert list(dangerous(ast.parse(text)))
    assert not list(dangerous(ast.parse("keras.models.load_model('x.keras', safe_mode=True)")))
