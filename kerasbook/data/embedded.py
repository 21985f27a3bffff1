"""Reading the data files inside the package; each is checked before it is parsed."""

from __future__ import annotations

import hashlib
from importlib import resources

from kerasbook.data.splits import DataError

FILES = resources.files("kerasbook.data") / "files"
CHECKSUMS = "SHA256SUMS"  # as written by the command sha256sum
REMEDY = "Reinstall kerasbook (in a git checkout: git checkout -- kerasbook/data/files)."


def read_file(name: str) -> bytes:
    """Returns the content of an embedded file, after checking its sha256.

    Raises:
        DataError: it is missing, or not the one that was shipped; the message names it.
    """
    expected = checksums().get(name)
    content = read_unchecked(name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise DataError(f"The data file {FILES / name} is damaged: wrong sha256.\n{REMEDY}")
    return content


def checksums() -> dict[str, str]:
    """Returns the sha256 of every embedded file, by its name."""
    lines = read_unchecked(CHECKSUMS).decode().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines)}


def read_unchecked(name: str) -> bytes:
    """Returns the content of an embedded file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return (FILES / name).read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        message = f"The data file {FILES / name} cannot be read ({reason}).\n{REMEDY}"
        raise DataError(message) from error
