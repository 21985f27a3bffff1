"""Zip files of strangers, .keras and .npz among them: looked through before they are unpacked."""

from __future__ import annotations

import zipfile

MOST_ENTRIES = 500
LARGEST_RATIO = 200  # times; text and weights stay far below, zeros come to a thousand
SMALL = 1_000_000  # bytes, below which the ratio does not matter


class ArchiveError(ValueError):
    """An archive that is not unpacked, and why."""


def check_archive(
    archive: zipfile.ZipFile, largest: int, most_entries: int = MOST_ENTRIES
) -> list[zipfile.ZipInfo]:
    """Returns the entries of an archive that may be unpacked.

    Args:
        archive: opened; nothing of it is unpacked.
        largest: bytes of all entries together.
        most_entries: how many there may be.

    Raises:
        ArchiveError: too many entries, too large ones, or ones that are packed too well.
    """
    entries = archive.infolist()
    if len(entries) > most_entries:
        raise ArchiveError(f"a zip of {len(entries)} entries; refused")
    if sum(entry.file_size for entry in entries) > largest:
        raise ArchiveError("a zip that unpacks to too much; refused")
    for entry in entries:
        ratio = entry.file_size / max(entry.compress_size, 1)
        if entry.file_size > SMALL and ratio > LARGEST_RATIO:
            raise ArchiveError(f"a zip with an entry packed {ratio:.0f} times; refused")
    return entries
