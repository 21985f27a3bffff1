"""Grading a class: a record for each learner, then tables, feedback and a report of likeness.

Records are JSON, written whole or not at all, and hold nothing that differs from run to run (no
times, no places in memory), so a class that was interrupted ends with the same bytes.
"""

from __future__ import annotations

import contextlib
import csv
import gc
import hashlib
import hmac
import io
import json
import os
import re
import secrets
import sys
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path

from kerasbook import __version__
from kerasbook.exercises.exercise import Exercise
from kerasbook.files import atomic_path, remove_unfinished
from kerasbook.grading import similarity
from kerasbook.grading.html import feedback_page
from kerasbook.grading.intake import take_in_apart
from kerasbook.grading.question import QuestionResult, grade, secret_seed
from kerasbook.grading.submissions import ENDINGS, Submission, learner_of
from kerasbook.grading.workers import Solution, Workers
from kerasbook.program import UserError

import numpy as np

ADDRESS = re.compile(r"0x[0-9a-f]{6,}")
LONGEST_NAME = 100  # bytes; a file name may have 255


class GradingError(UserError):
    """A class cannot be graded; the message has the remedy."""


@dataclass(frozen=True)
class Class:
    """What is graded, with what.

    Attributes:
        exercises: the questions, name → Exercise.
        workers: run the answers.
        key: the teacher's secret, from which the hidden cases are drawn.
        out: folder for the results.
        runs: learner → question → what the report of likeness compares; filled while grading.
    """

    exercises: dict[str, Exercise]
    workers: Workers
    key: bytes
    out: Path
    runs: dict[str, dict[str, array]] = field(default_factory=dict)

    def record_path(self, learner: str) -> Path:
        """Where a learner's record lies."""
        return self.out / "records" / f"{file_name(learner)}.json"


def file_name(learner: str) -> str:
    """A learner's name as a harmless file name; other names give other file names."""
    plain = re.sub(r"[^\w.@-]", "_", learner).lstrip(".-")
    plain = plain.encode()[:LONGEST_NAME].decode(errors="ignore")
    if plain == learner and not re.search(r"-[0-9a-f]{8}$", learner):
        return plain
    return f"{plain or 'learner'}-{hashlib.sha256(learner.encode()).hexdigest()[:8]}"


def read_key(path: Path) -> bytes:
    """The teacher's key; made, for the owner's eyes only, if it is not there.

    Raises:
        GradingError: it is there and shorter than 16 bytes.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
    key = path.read_bytes().strip()
    if len(key) < 16:
        raise GradingError(f"{path}: a key has at least 16 bytes; remove it to have one made")
    return key


def submissions_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """The entries of a folder that are a learner's, and those that are not.

    A learner's are folders, .py, .ipynb and .zip; links too, which are then refused with a note.

    Raises:
        GradingError: no such folder, none in it, or two of one learner.
    """
    if not folder.is_dir():
        raise GradingError(f"{folder} is no folder; it should hold an entry for each learner")
    paths, others = [], []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith((".", "__"))
        known = path.is_dir() or path.is_symlink() or path.suffix.lower() in ENDINGS
        (paths if known and not hidden else others).append(path)
    if not paths:
        raise GradingError(f"{folder} has no folder, .py, .ipynb or .zip")
    learners = Counter(learner_of(path) for path in paths)
    if twice := [name for name, count in learners.items() if count > 1]:
        raise GradingError(f"{folder} has two entries for {twice[0]}; keep one")
    return paths, others


def grade_class(its: Class, paths: Iterable[Path], jobs: int = 1) -> Iterator[dict]:
    """Grade every submission that has no record yet; the records, as they are done.

    Args:
        its: exercises, workers, key, folder.
        paths: the submissions.
        jobs: how many at a time.
    """
    (its.out / "records").mkdir(parents=True, exist_ok=True)
    (its.out / "feedback").mkdir(exist_ok=True)
    for folder in (its.out, its.out / "records", its.out / "feedback"):
        remove_unfinished(folder)
    gc.freeze()  # TensorFlow's million objects stay: looking through them again takes 0.2 s
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(grade_one, its, path) for path in paths]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            gc.unfreeze()


def write_tables(its: Class, records: Iterable[dict]) -> None:
    """Write grades.csv, questions.csv and similarity.csv of what `grade_class` has graded."""
    ordered = sorted(records, key=lambda record: record["learner"])
    write(its.out / "grades.csv", grades_table(its, ordered))
    write(its.out / "questions.csv", questions_table(its, ordered))
    pairs = similarity.pairs(its.runs, its.exercises)
    write(its.out / "similarity.csv", table(["question", "one", "other", "likeness"], pairs))


def grade_one(its: Class, path: Path) -> dict:
    """Grade one submission, or read its record; whatever it holds, there is a record.

    A record with a fault of ours in it is made again.
    """
    submission = take_in_apart(path, its.exercises)
    # Of the submission itself nothing is kept: a class may be large, and so may an answer.
    its.runs[submission.learner] = {
        name: array("Q", runs) for name, runs in submission.runs.items()
    }
    made_from = origin(its, submission)
    file = its.record_path(submission.learner)
    with contextlib.suppress(OSError, ValueError, LookupError, TypeError):
        record = json.loads(file.read_text(encoding="utf-8"))
        if record["made_from"] == made_from and not record["needs_attention"]:
            return record
    record = {
        "learner": submission.learner,
        "made_from": made_from,
        "kerasbook": __version__,
        "isolation_level": its.workers.level,
        "notes": submission.notes,
        "questions": {
            name: question_record(its, submission, exercise)
            for name, exercise in its.exercises.items()
        },
    }
    questions = record["questions"].values()
    record["points"] = round(sum(one["points"] or 0.0 for one in questions), 2)
    record["max_points"] = sum(one["max_points"] for one in questions)
    internal = any(one["status"] == "internal" for one in questions)
    record["needs_attention"] = internal or not submission.digest
    write(
        its.out / "feedback" / f"{file_name(submission.learner)}.html", feedback_page(record, its)
    )
    write(file, json.dumps(record, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    return record


def origin(its: Class, submission: Submission) -> str:
    """A digest of all that a record depends on; the key's part cannot be read from it."""
    parts = [__version__, submission.digest, str(its.workers.level), *submission.notes]
    for exercise in its.exercises.values():
        parts.append(hashlib.sha256(exercise.path.read_bytes()).hexdigest())
    return hmac.digest(its.key, "\n".join(parts).encode(), "sha256").hex()


def question_record(its: Class, submission: Submission, exercise: Exercise) -> dict:
    """The outcome of one question, as it goes into the record; a fault of ours is tried again."""
    source = submission.answers.get(exercise.name)
    if source is None:
        return unanswered(exercise, "missing", "there is no answer")
    record = graded(its, source, exercise)
    return record if record["status"] != "internal" else graded(its, source, exercise)


def graded(its: Class, source: str, exercise: Exercise) -> dict:
    """Grade one answer; "internal" and no points where the fault is ours."""
    seed = secret_seed(its.key, exercise.name, source.encode(errors="replace"))
    try:
        number_layers_anew()
        # The author's wrong solutions may overflow: no news to the teacher.
        with np.errstate(all="ignore"), Solution(its.workers, exercise, source) as solution:
            result = grade(exercise, solution, seed)
        result.output = bytes(solution.output).decode("utf-8", "replace")
    except Exception as error:  # ours, not the learner's: flagged, never a zero
        message = f"the grader failed: {type(error).__name__}: {error}"[:300]
        return unanswered(exercise, "internal", message) | {"points": None}
    record = as_record(result)
    if any(case.status == "internal" for case in result.cases):
        record |= {"status": "internal", "points": None}
    return record


def number_layers_anew() -> None:
    """Have Keras, where a reference uses it, give this thread's layers the same names again.

    TensorFlow keeps a kernel for each name that a variable ever had, and a reference may make a
    model for each case: with names that never come again, a submission of adamw_step and
    GroupedAttention left 1.5 MB behind.
    """
    if "keras" in sys.modules:
        from keras.src.utils.naming import reset_uids

        reset_uids()


def unanswered(exercise: Exercise, status: str, message: str) -> dict:
    """The outcome of a question of which no case was asked."""
    empty = {"points": 0.0, "max_points": exercise.points, "cases": [], "output": ""}
    return {**empty, "status": status, "message": message}


def as_record(result: QuestionResult) -> dict:
    """A result as JSON; of hidden cases only the name and how they ended."""
    cases = []
    for case in result.cases:
        entry = {"name": case.name, "which": case.which, "status": case.status}
        if case.which == "public" and case.status != "pass":
            entry["message"] = without_addresses(case.message)
        cases.append(entry)
    failed = next((one for one in result.cases if one.status != "pass"), None)
    shown = bool(result.misconception) or bool(failed and failed.which == "public")
    told = result.message if shown or result.status != "fail" else "a hidden case fails"
    return {
        "status": result.status,
        "points": result.points,
        "max_points": result.max_points,
        "message": without_addresses(told) if failed else "",
        "misconception": result.misconception,
        "cases": cases,
        "output": without_addresses(result.output),
    }


def without_addresses(text: str) -> str:
    """Text without places in memory, which differ from run to run."""
    return ADDRESS.sub("0x…", text)


# Tables


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    with atomic_path(path) as temporary:
        # Half characters can come from a worker; no file can hold them.
        temporary.write_text(text, encoding="utf-8", errors="replace", newline="")


def harmless(value: object) -> str:
    """A cell that no spreadsheet takes for a formula."""
    text = str(value)
    return "'" + text if text.strip()[:1] in tuple("=+-@＝＋－＠") or text[:1].isspace() else text


def table(header: Iterable[str], rows: Iterable[Iterable[object]], line_end: str = "\n") -> str:
    """CSV, every cell quoted and harmless."""
    file = io.StringIO()
    writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator=line_end)
    writer.writerow([harmless(one) for one in header])
    for row in rows:
        writer.writerow([one if isinstance(one, float | int) else harmless(one) for one in row])
    return file.getvalue()


def grades_table(its: Class, records: list[dict]) -> str:
    """A row for each learner: points of every question, sum, what needs attention."""
    rows = []
    for record in records:
        points = [record["questions"][name]["points"] for name in its.exercises]
        shown = ["internal" if one is None else one for one in points]
        attention = "look at this one" if record["needs_attention"] else ""
        notes = "; ".join(record["notes"])
        total = record["points"], record["max_points"]
        rows.append([record["learner"], *shown, *total, attention, notes])
    header = ["learner", *its.exercises, "points", "max_points", "attention", "notes"]
    return table(header, rows)


def questions_table(its: Class, records: list[dict]) -> str:
    """A row for each question: mean points, share passed, statuses, misconceptions."""
    rows = []
    for name, exercise in its.exercises.items():
        outcomes = [record["questions"][name] for record in records]
        points = [one["points"] for one in outcomes if one["points"] is not None]
        statuses = Counter(one["status"] for one in outcomes)
        thoughts = Counter(one.get("misconception") for one in outcomes if one.get("misconception"))
        mean = round(sum(points) / max(len(points), 1), 3)
        passed = round(statuses["pass"] / max(len(outcomes), 1), 3)
        rows.append([name, exercise.points, mean, passed, listed(statuses), listed(thoughts)])
    header = ["question", "max_points", "mean_points", "share_passed", "statuses", "misconceptions"]
    return table(header, rows)


def listed(counts: Counter) -> str:
    """Counts as text, the most frequent first."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered)
