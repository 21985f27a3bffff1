"""Grading a class: a record for each learner, then tables, feedback and a report of likeness."""

from __future__ import annotations

import gc
import re
import sys
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from kerasbook import __version__
from kerasbook.exercises.exercise import Exercise
from kerasbook.files import remove_unfinished
from kerasbook.grading import records, similarity
from kerasbook.grading.html import feedback_page
from kerasbook.grading.in_worker import InWorker
from kerasbook.grading.intake import take_in_apart
from kerasbook.grading.question import grade, secret_seed
from kerasbook.grading.records import GradingError, file_name, record_path, write
from kerasbook.grading.submissions import (
    ENDINGS,
    OTHER_ENDINGS,
    Submission,
    sender_of,
    shape_of,
)
from kerasbook.grading.tables import grades_table, questions_table, table
from kerasbook.grading.text import describe
from kerasbook.grading.workers import Workers

import numpy as np

ANY_ENDING = (*ENDINGS, *OTHER_ENDINGS)


@dataclass(frozen=True)
class Course:
    """What is graded, with what.

    Attributes:
        exercises: the questions, name → Exercise.
        workers: run the answers.
        key: the teacher's secret, from which the hidden cases are drawn.
        out: folder for the results.
        assignment: what the pages call it.
        runs: learner → question → what the report of likeness compares; filled while grading.
        names: of learners whose entries have one name and two numbers of a learning platform; by
            the first entry, filled by `grade_class`.
    """

    exercises: dict[str, Exercise]
    workers: Workers
    key: bytes
    out: Path
    assignment: str = ""
    runs: dict[str, dict[str, array]] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)


def submissions_in(folder: Path) -> tuple[list[list[Path]], list[Path]]:
    """Returns the entries of each learner in a folder, and the entries that are nobody's.

    A learner's are folders, .py, .ipynb and .zip; links and other archives and documents too,
    which are then refused with a note.
    Several of one name, such as ada.py and ada.zip, are one learner's; what Moodle and Canvas put
    behind the name is left out, and two numbers behind one name are two learners.

    Raises:
        GradingError: no such folder, or none in it.
    """
    if not folder.is_dir():
        raise GradingError(f"{folder} is no folder; it should hold an entry for each learner")
    paths, others = [], []
    for path in sorted(folder.iterdir()):
        hidden = path.name.startswith((".", "__"))
        known = path.is_dir() or path.is_symlink() or path.name.lower().endswith(ANY_ENDING)
        (paths if known and not hidden else others).append(path)
    if not paths:
        raise GradingError(f"{folder} has no folder, .py, .ipynb or .zip")
    learners: dict[tuple[str, str], list[Path]] = {}
    for path in paths:
        learners.setdefault(sender_of(path)[:2], []).append(path)
    return list(learners.values()), others


def doubles(entries: Iterable[Sequence[Path]]) -> dict[Path, str]:
    """Returns, by first entry, the names with their numbers where several learners have one."""
    senders = {paths[0]: sender_of(paths[0]) for paths in entries}
    counts = Counter(name for name, _, _ in senders.values())
    return {
        path: f"{name} {number}".rstrip()
        for path, (name, number, _) in senders.items()
        if counts[name] > 1
    }


def part_of(entries: Sequence, part: str) -> list:
    """Returns the second of eight parts of a class for "2/8"; together they are the class.

    Raises:
        GradingError: there is no such part.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", part)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= count:
        raise GradingError(f"--part {part}: name one of so many, as 2/8")
    return list(entries[number - 1 :: count])


def require_level(workers: Workers, weakest: int) -> None:
    """Refuses to run strangers' code behind weaker walls than asked for.

    Raises:
        GradingError: they are weaker; with the reasons.
    """
    if workers.level > weakest:
        reasons = "; ".join(f"level {number}: {why}" for number, why in workers.reasons() if why)
        raise GradingError(
            f"only isolation level {workers.level} can be had here ({reasons}); strangers' "
            f"code needs {weakest} (--require-isolation changes that)"
        )


def grade_class(
    course: Course, entries: Iterable[Sequence[Path]], jobs: int = 1, part: str = ""
) -> Iterator[dict]:
    """Yields the records, as they are done; grades each submission that has none yet.

    Args:
        course: exercises, workers, key, folder.
        entries: the files and folders of each learner.
        jobs: how many at a time.
        part: as "2/8", of all entries: others may be writing into the same folder.
    """
    entries = list(entries)
    course.names.update(doubles(entries))
    records.make_folders(course.out)
    if part:
        entries = part_of(entries, part)
    else:
        for folder in (course.out, course.out / "records", course.out / "feedback"):
            remove_unfinished(folder)
    gc.freeze()  # TensorFlow's million objects stay: looking through them again takes 0.2 s
    with ThreadPoolExecutor(jobs) as pool:
        waiting = [pool.submit(grade_one, course, paths) for paths in entries]
        try:
            for done in as_completed(waiting):
                yield done.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
        finally:
            gc.unfreeze()


def merge(course: Course, entries: Iterable[Sequence[Path]]) -> list[dict]:
    """Returns the records of a class whose parts have all been graded; runs no answer.

    Raises:
        GradingError: somebody has no record of this submission, key and exercises.
    """
    entries = list(entries)
    course.names.update(doubles(entries))
    found, left = [], []
    for paths in entries:
        submission = taken_in(course, paths)
        record = kept(course, submission)
        found.append(record)
        if record is None:
            left.append(submission.learner)
    if left:
        raise GradingError(
            f"{len(left)} of {len(found)} are not graded yet, {left[0]} among them: grade their "
            "parts first, with the same key and exercises"
        )
    return found


def write_tables(
    course: Course, graded_records: Iterable[dict], absent: Iterable[str] = ()
) -> None:
    """Writes grades.csv, questions.csv and similarity.csv of what `grade_class` has graded.

    absent: who should have handed in something and has not; a row in grades.csv each.
    """
    ordered = sorted(graded_records, key=lambda record: record["learner"])
    write(course.out / "grades.csv", grades_table(course.exercises, ordered, absent))
    write(course.out / "questions.csv", questions_table(course.exercises, ordered))
    pairs = similarity.pairs(course.runs, course.exercises)
    write(course.out / "similarity.csv", table(["question", "one", "other", "likeness"], pairs))


def grade_one(course: Course, paths: Sequence[Path]) -> dict:
    """Grades one submission, or reads its record; whatever it holds, there is a record.

    A record with a fault of ours in it is made again.
    """
    submission = taken_in(course, paths)
    record = kept(course, submission)
    level = course.workers.level
    if record and not record["to_retry"] and record["isolation_level"] == level:
        return record
    exercises = course.exercises.values()
    record = {
        "learner": submission.learner,
        "assignment": course.assignment,
        "handed_in": handed_in(paths),
        "made_from": made_from(course, submission)(level),
        "kerasbook": __version__,
        "isolation_level": level,
        "notes": submission.notes,
        "questions": {one.name: question_record(course, submission, one) for one in exercises},
    }
    record = records.summed(record, submission)
    titles = {one.name: one.title for one in exercises}
    page = course.out / "feedback" / f"{file_name(submission.learner)}.html"
    write(page, feedback_page(record, titles))
    records.write_record(record_path(course.out, submission.learner), record)
    return record


def taken_in(course: Course, paths: Sequence[Path]) -> Submission:
    """Takes in one learner's entries; keeps what the report of likeness compares.

    Of the submission itself nothing is kept: a class may be large, and so may an answer.
    """
    submission = take_in_apart(paths[0], course.exercises, paths[1:])
    submission.learner = course.names.get(paths[0], submission.learner)
    course.runs[submission.learner] = {
        name: array("Q", runs) for name, runs in submission.runs.items()
    }
    return submission


def kept(course: Course, submission: Submission) -> dict | None:
    """Returns the record of an earlier run that was made from the same things, or None."""
    file = record_path(course.out, submission.learner)
    return records.kept_record(file, made_from(course, submission))


def made_from(course: Course, submission: Submission) -> Callable[[int], str]:
    """Returns what gives, for a level of isolation, the digest of all a record depends on."""
    exercises, title = course.exercises.values(), course.assignment
    return lambda level: records.origin(course.key, level, submission, exercises, title)


def handed_in(paths: Sequence[Path]) -> str:
    """Returns the day (UTC) of the latest of a learner's files and folders, as 2026-11-30."""
    latest = max(path.lstat().st_mtime for path in paths)
    return datetime.fromtimestamp(latest, UTC).date().isoformat()


def question_record(course: Course, submission: Submission, exercise: Exercise) -> dict:
    """Returns the outcome of one question for the record; a fault of ours is tried again."""
    source = submission.answers.get(exercise.name)
    if source is None and submission.unread:
        why = f"no answer can be read: {'; '.join(submission.unread)}"
        return records.unanswered(exercise, "unreadable", why)
    if source is None:
        return records.unanswered(exercise, "missing", "there is no answer")
    if submission.shapes.get(exercise.name) == shape_of(exercise.blank_source, exercise.name):
        return records.unanswered(exercise, "not begun", "it is as it was handed out")
    record = graded(course, source, exercise)
    return record if record["status"] != "internal" else graded(course, source, exercise)


def graded(course: Course, source: str, exercise: Exercise) -> dict:
    """Grades one answer; "internal" and no points where the fault is ours."""
    seed = secret_seed(course.key, exercise.name, source.encode(errors="replace"))
    try:
        number_layers_anew()
        # The author's wrong solutions may overflow: no news to the teacher.
        with np.errstate(all="ignore"), InWorker(course.workers, exercise, source) as answer:
            result = grade(exercise, answer, seed)
        result.output = answer.printed
    except Exception as error:  # ours, not the learner's: flagged, never a zero
        message = f"the grader failed: {describe(error)}"[:300]
        return records.unanswered(exercise, "internal", message) | {"points": None}
    record = records.as_record(result)
    if any(case.status == "internal" for case in result.cases):
        record |= {"status": "internal", "points": None}
    return record


def number_layers_anew() -> None:
    """Lets Keras, where a reference uses it, give this thread's layers the same names again.

    TensorFlow keeps a kernel for each name that a variable ever had, and a reference may make a
    model for each case: with names that never come again, a submission of adamw_step and
    GroupedAttention left 1.5 MB behind.
    """
    if "keras" in sys.modules:
        from keras.src.utils.naming import reset_uids

        reset_uids()
