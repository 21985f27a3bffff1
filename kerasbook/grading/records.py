"""Records: what is kept of each learner, the teacher's key, and the files that hold them.

Records are JSON, written whole or not at all, and hold nothing that differs from run to run (no
times, no places in memory), so a class that was interrupted ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from kerasbook import __version__
from kerasbook.exercises.exercise import Exercise
from kerasbook.files import atomic_path
from kerasbook.grading.feedback import described, lines_of
from kerasbook.grading.question import CaseResult, QuestionResult
from kerasbook.grading.submissions import Submission
from kerasbook.program import UserError

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
LONGEST_NAME = 100  # bytes; a file name may have 255


class GradingError(UserError):
    """A class cannot be graded; the message has the remedy."""


# Files


def file_name(learner: str) -> str:
    """Returns a learner's name as a harmless file name; other names give other file names."""
    plain = re.sub(r"[^\w.@ -]", "_", learner).strip(" ").lstrip(".-")
    plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
    if plain == learner and not re.search(r"-[0-9a-f]{8}$", learner):
        return plain
    return f"{plain or 'learner'}-{hashlib.sha256(learner.encode()).hexdigest()[:8]}"


def record_path(out: Path, learner: str) -> Path:
    """Returns where a learner's record lies."""
    return out / "records" / f"{file_name(learner)}.json"


def write(path: Path, text: str) -> None:
    """Writes a file for its owner's eyes only, whole or not at all."""
    with atomic_path(path) as temporary:
        # Half characters can come from a worker; no file can hold them.
        write_private(temporary, text.encode("utf-8", errors="replace"))


def write_private(path: Path, content: bytes) -> None:
    """Writes a file that only its owner may read, from its first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        file.write(content)


def make_folders(out: Path) -> None:
    """Makes the folders of a class's results; records and feedback only for their owner."""
    for folder in (out / "records", out / "feedback"):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)


def write_record(path: Path, record: dict) -> None:
    """Writes a record as JSON, the same record as the same bytes."""
    write(path, json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def read_key(path: Path) -> bytes:
    """Returns the teacher's key; made, for the owner's eyes only, if it is not there.

    Raises:
        GradingError: it is there and shorter than 16 bytes.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        _make_key(path)
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise GradingError(f"{path}: a key has at least 16 bytes; remove it to have one made")
    return key


def _make_key(path: Path) -> None:
    """Write a key, whole, and not over that of a part of the class that started just before."""
    fresh = path.with_name(f".unfinished-{secrets.token_hex(8)}-{path.name}")
    write_private(fresh, secrets.token_hex(32).encode() + b"\n")
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


# Contents


def kept_record(path: Path, made_from: Callable[[int], str]) -> dict | None:
    """Returns the record that was made from the same things, by the level of isolation it has."""
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads(path.read_text(encoding="utf-8"))
        if record["made_from"] == made_from(record["isolation_level"]) and "to_retry" in record:
            return record
    return None


def origin(
    key: bytes, level: int, submission: Submission, exercises: Iterable[Exercise], title: str = ""
) -> str:
    """Returns a digest of all that a record depends on; the key cannot be read from it."""
    parts = [__version__, submission.learner, submission.digest, str(level), *submission.notes]
    parts.append(title)
    for exercise in exercises:
        parts.append(f"{exercise.points:g}")
        parts.append(hashlib.sha256(exercise.path.read_bytes()).hexdigest())
    return hmac.digest(key, "\n".join(parts).encode(), "sha256").hex()


def summed(record: dict, submission: Submission) -> dict:
    """Returns a record with its points, and whether a teacher must look at it."""
    questions = record["questions"].values()
    statuses = {one["status"] for one in questions}
    failed = "internal" in statuses or not submission.digest
    return record | {
        "points": round(sum(one["points"] or 0.0 for one in questions), 2),
        "max_points": sum(one["max_points"] for one in questions),
        "needs_attention": failed or "unreadable" in statuses,
        "to_retry": failed,
    }


def unanswered(exercise: Exercise, status: str, message: str) -> dict:
    """Returns the outcome of a question of which no case was asked."""
    empty = {"points": 0.0, "max_points": exercise.points, "cases": [], "output": ""}
    return {**empty, "status": status, "message": message}


def as_record(result: QuestionResult) -> dict:
    """Returns a result as JSON; of hidden cases only the name and how they ended."""
    cases = []
    for case in result.cases:
        entry = {"name": case.name, "which": case.which, "status": case.status}
        if case.which == "public" and case.status != "pass":
            entry["message"] = without_addresses(case.message)
            entry["inputs"] = inputs_of(case)
            entry["output"] = case.difference.output if case.difference else ""
        cases.append(entry)
    failed = next((one for one in result.cases if one.status != "pass"), None)
    shown = bool(result.misconception) or bool(failed and failed.which == "public")
    message = result.message if shown or result.status != "fail" else "a hidden case fails"
    return {
        "status": result.status,
        "points": result.points,
        "max_points": result.max_points,
        "message": without_addresses(message) if failed else "",
        "misconception": result.misconception,
        "cases": cases,
        "output": without_addresses(result.output),
    }


def inputs_of(case: CaseResult) -> str:
    """Returns the inputs of the call that a case's message is about, in a few lines."""
    inputs = case.case.all_calls()[case.number] if case.case else {}
    parts = []
    for name, value in inputs.items():
        parts.append(f"{name}  {described(value)}".rstrip() + f"\n{lines_of(value)}")
    return "\n".join(parts)


def without_addresses(text: str) -> str:
    """Returns text without places in memory, which differ from run to run."""
    return ADDRESS.sub("0x…", text)
