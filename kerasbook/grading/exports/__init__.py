"""What other tools read: one file for each format, written from records or from exercises."""

from __future__ import annotations

import json
import re
from importlib.metadata import distributions
from pathlib import Path

from kerasbook.exercises.exercise import Exercise
from kerasbook.grading.text import cleaned
from kerasbook.program import UserError


class ExportError(UserError):
    """Something cannot be exported; the message has the remedy."""


def read_record(path: Path) -> dict:
    """Returns a learner's record.

    Raises:
        ExportError: it cannot be read, or is no record.
    """
    try:
        record = cleaned(json.loads(path.read_text(encoding="utf-8")))
        known = [record[name] for name in ("learner", "notes", "needs_attention")]
        known += record["questions"].items()
    except OSError as error:
        raise ExportError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise ExportError(f"{path} is no record; `kerasbook grade` writes OUT/records") from error
    return record


def read_records(out: Path) -> list[dict]:
    """Returns the records that `kerasbook grade --out OUT` wrote, by learner.

    Raises:
        ExportError: there are none, or one cannot be read.
    """
    paths = sorted((out / "records").glob("[!.]*.json"))
    if not paths:
        raise ExportError(f"{out / 'records'} has no records; `kerasbook grade` writes them")
    return sorted(map(read_record, paths), key=lambda record: record["learner"])


def points_of(outcome: dict) -> float:
    """Returns the points of a question, never below 0 or above its most; 0 where there are none."""
    return min(max(outcome["points"] or 0.0, 0.0), outcome["max_points"])


def text_of(outcome: dict) -> str:
    """Returns what a learner is told about a question; of hidden cases only how many passed."""
    parts = [outcome["message"]] if outcome["message"] else []
    for which in ("public", "hidden"):
        cases = [one for one in outcome["cases"] if one["which"] == which]
        right = sum(one["status"] == "pass" for one in cases)
        if cases:
            parts.append(f"{right} of {len(cases)} {which} cases passed")
    return "\n".join(parts)


def write_folder(folder: Path, files: dict[str, str | bytes]) -> list[Path]:
    """Writes files, name → content, into a folder; returns their paths.

    Raises:
        ExportError: one is there already.
    """
    for name in files:
        if (folder / name).exists():
            raise ExportError(f"{folder / name} is there; export to another folder")
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return [folder / name for name in files]


# What a machine elsewhere needs to grade


def to_install(what: str) -> tuple[dict[str, bytes], str]:
    """Returns files to carry along, and what pip is told there.

    Args:
        what: a wheel's path, which is carried along, or a pinned requirement.

    Raises:
        ExportError: neither.
    """
    path = Path(what)
    if path.suffix == ".whl" and path.is_file():
        return {path.name: path.read_bytes()}, f"./{path.name}"
    if path.exists() or path.suffix == ".whl":
        raise ExportError(
            f"{what} is no wheel; `python -m pip wheel --no-deps -w DIR .` in a checkout makes one"
        )
    if not re.fullmatch(r"[\w.-]+(==[\w.+!-]+|\s*@\s*[\w+]+://[^\s'\"$`\\]+)", what):
        raise ExportError(f"{what!r} is not pinned: name a wheel, or kerasbook @ git+URL@COMMIT")
    return {}, what


def constraints() -> str:
    """Returns the versions that are installed here, so that the other machine gets the same."""
    versions = {
        re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version
        for one in distributions()
        if one.metadata["Name"] and "+" not in one.version
    }
    versions.pop("kerasbook", None)
    return "".join(f"{name}=={version}\n" for name, version in sorted(versions.items()))


def to_grade(exercises: dict[str, Exercise], own: Path | None) -> tuple[dict[str, bytes], str]:
    """Returns the teacher's own exercise files, and the flags of `kerasbook grade` that choose
    them all.

    Args:
        exercises: the questions.
        own: folder of the teacher's own exercises; None if they are the book's.
    """
    flags = f"--questions {','.join(exercises)}"
    if own is None:
        return {}, flags
    files = {
        f"exercises/{path.relative_to(own).as_posix()}": path.read_bytes()
        for path in sorted(own.rglob("*.py"))
        if "__pycache__" not in path.parts
    }
    return files, f"{flags} --exercises exercises"
