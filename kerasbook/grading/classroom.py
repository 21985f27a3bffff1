"""Grading a class: a record for each learner, then tables, feedback and a report of likeness."""

from __future__ import annotations

import gc
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
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
from kerasbook.grading.submissions import ENDINGS, Submission, learner_of
from kerasbook.grading.tables import grades_table, questions_table, table
from kerasbook.grading.text import describe
from kerasbook.grading.workers import Workers

import numpy as np


@dataclass(frozen=True)
class Course:
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


def submissions_in(folder: Path) -> tuple[list[list[Path]], list[Path]]:
    """Returns the entries of each learner in a folder, and the entries that are nobody's.

    A learner's are folders, .py, .ipynb and .zip; links too, which are then refused with a note.
    Several of one name, such as ada.py and ada.zip, are one learner's.

    Raises:
        GradingError: no such folder, or none in it.
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
    learners: dict[str, list[Path]] = {}
    for path in paths:
        learners.setdefault(learner_of(path), []).append(path)
    return list(learners.values()), others


def require_level(workers: Workers, weakest: int) -> None:
    """Have no stranger's code run behind weaker walls than asked for.

    Raises:
        GradingError: they are weaker; with the reasons.
    """
    if workers.level > weakest:
        reasons = "; ".join(f"level {number}: {why}" for number, why in workers.reasons() if why)
        raise GradingError(
            f"only isolation level {workers.level} can be had here ({reasons}); strangers' "
            f"code needs {weakest} (--require-isolation changes that)"
        )


def grade_class(course: Course, entries: Iterable[Sequence[Path]], jobs: int = 1) -> Iterator[dict]:
    """Grade every submission that has no record yet; the records, as they are done.

    Args:
        course: exercises, workers, key, folder.
        entries: the files and folders of each learner.
        jobs: how many at a time.
    """
    records.make_folders(course.out)
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


def write_tables(course: Course, graded_records: Iterable[dict]) -> None:
    """Write grades.csv, questions.csv and similarity.csv of what `grade_class` has graded."""
    ordered = sorted(graded_records, key=lambda record: record["learner"])
    write(course.out / "grades.csv", grades_table(course.exercises, ordered))
    write(course.out / "questions.csv", questions_table(course.exercises, ordered))
    pairs = similarity.pairs(course.runs, course.exercises)
    write(course.out / "similarity.csv", table(["question", "one", "other", "likeness"], pairs))


def grade_one(course: Course, paths: Sequence[Path]) -> dict:
    """Grade one submission, or read its record; whatever it holds, there is a record.

    A record with a fault of ours in it is made again.
    """
    submission = take_in_apart(paths[0], course.exercises, paths[1:])
    # Of the submission itself nothing is kept: a class may be large, and so may an answer.
    course.runs[submission.learner] = {
        name: array("Q", runs) for name, runs in submission.runs.items()
    }
    exercises = course.exercises.values()
    made_from = records.origin(course.key, course.workers.level, submission, exercises)
    file = record_path(course.out, submission.learner)
    if record := records.kept_record(file, made_from):
        return record
    record = {
        "learner": submission.learner,
        "made_from": made_from,
        "kerasbook": __version__,
        "isolation_level": course.workers.level,
        "notes": submission.notes,
        "questions": {one.name: question_record(course, submission, one) for one in exercises},
    }
    record = records.summed(record, submission)
    titles = {one.name: one.title for one in exercises}
    page = course.out / "feedback" / f"{file_name(submission.learner)}.html"
    write(page, feedback_page(record, titles))
    records.write_record(file, record)
    return record


def question_record(course: Course, submission: Submission, exercise: Exercise) -> dict:
    """The outcome of one question, as it goes into the record; a fault of ours is tried again."""
    source = submission.answers.get(exercise.name)
    if source is None:
        return records.unanswered(exercise, "missing", "there is no answer")
    record = graded(course, source, exercise)
    return record if record["status"] != "internal" else graded(course, source, exercise)


def graded(course: Course, source: str, exercise: Exercise) -> dict:
    """Grade one answer; "internal" and no points where the fault is ours."""
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
    """Have Keras, where a reference uses it, give this thread's layers the same names again.

    TensorFlow keeps a kernel for each name that a variable ever had, and a reference may make a
    model for each case: with names that never come again, a submission of adamw_step and
    GroupedAttention left 1.5 MB behind.
    """
    if "keras" in sys.modules:
        from keras.src.utils.naming import reset_uids

        reset_uids()
