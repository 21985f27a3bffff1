"""The verbs for teachers: grade, and exercises list, selfcheck, notebooks."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Annotated

from kerasbook import contents
from kerasbook.cli.verbs import Chapter, Folder, Level, Questions, chosen, verb
from kerasbook.program import fail, many

import typer


def grade(
    submissions: Annotated[Path, typer.Argument(help="A folder with an entry per learner.")],
    out: Annotated[Path, typer.Option(help="Where records, feedback and tables go.")],
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
    exercises_lock: Annotated[
        Path | None,
        typer.Option(help="Keeps the course's questions and points; made if it is not there."),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Learners at a time.")] = 2,
    require_isolation: Annotated[
        int, typer.Option(min=1, max=5, help="Refuse to grade with weaker walls than this level.")
    ] = 2,
    key: Annotated[
        Path | None, typer.Option(help="The teacher's secret; made if it is not there. [OUT/key]")
    ] = None,
    one: Annotated[
        bool, typer.Option("--one", help="SUBMISSIONS is one learner's folder or file.")
    ] = False,
    level: Level = None,
    assignment: Annotated[str, typer.Option(help="What the pages call it. [the folder]")] = "",
    roster: Annotated[
        Path | None, typer.Option(help='CSV with a column "learner": who should hand in.')
    ] = None,
    part: Annotated[str, typer.Option(help="Only a part of the class, as 2/8; no tables.")] = "",
    merge: Annotated[
        bool, typer.Option("--merge", help="All parts are graded: write the tables.")
    ] = False,
):
    """Grade a class: records, feedback pages, grades.csv, questions.csv, similarity.csv.

    What was graded before, with the same key, exercises and submission, is not graded again, so
    an interrupted run goes on where it was.
    """
    from kerasbook.grading import classroom, records
    from kerasbook.grading.workers import Workers

    # The references are computed like the answers (see workers.environment), and start sooner.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

    entries, others = ([[submissions]], []) if one else classroom.submissions_in(submissions)
    absent = absent_of(roster, entries) if roster else []
    secret = records.read_key(key or out / "key")
    if part:
        classroom.part_of(entries, part)  # says what is wrong before TensorFlow is imported
    title = assignment or submissions.resolve().name
    files = (key, exercises, exercises_lock, roster)
    hidden = [submissions, out, *(one for one in files if one)]
    with contextlib.nullcontext() if merge else Workers(level, hidden) as workers:
        found = locked(exercises_lock, exercises, chapter, questions)
        course = classroom.Course(found, workers, secret, out, title)
        tell_left_out(others)
        if merge:
            made = classroom.merge(course, entries)
        else:
            classroom.require_level(workers, require_isolation)
            made = graded(course, entries, jobs, part)
    if not part:
        classroom.write_tables(course, made, absent)
    tell_end(made, out, part, absent)


def absent_of(roster: Path, entries: list) -> list[str]:
    """Returns who stands in the roster and has handed in nothing."""
    from kerasbook.grading import classroom
    from kerasbook.grading.exports.gradebooks import read_roster
    from kerasbook.grading.submissions import learner_of

    doubles = classroom.doubles(entries)
    there = {doubles.get(paths[0]) or learner_of(paths[0]) for paths in entries}
    return [name for name in read_roster(roster) if name not in there]


def locked(file: Path | None, exercises: Path | None, chapter, questions) -> dict:
    """Returns the exercises: those of the lock, if there is one, of them the chosen ones."""
    if file is None:
        return chosen(exercises, chapter, questions)
    from kerasbook.exercises.exercise import load_locked

    found = load_locked(file, exercises, lambda: chosen(exercises, chapter, questions))
    names = [name.strip() for name in questions.split(",")] if questions else list(found)
    if other := [name for name in names if name not in found]:
        fail(f"{', '.join(other)}: not in {file}, which has {', '.join(found)}")
    key = None if chapter is None else contents.key_of(chapter)
    return {name: found[name] for name in names if key in (None, found[name].key)}


def tell_left_out(others: list[Path]) -> None:
    """Prints which entries are nobody's."""
    from kerasbook.grading.text import escaped_name

    for path in others:
        left = f"left out: {escaped_name(path.name)} (no folder, .py, .ipynb or .zip)"
        print(left, file=sys.stderr)


def graded(course, entries: list, jobs: int, part: str) -> list[dict]:
    """Returns the records of a class, or of a part of it; shows how far it is."""
    from kerasbook.grading import classroom

    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    questions = len(course.exercises)
    told = f"isolation level {course.workers.level}, {many(questions, 'question')}"
    console.print(told, style="dim")
    count = len(classroom.part_of(entries, part)) if part else len(entries)
    records = classroom.grade_class(course, entries, jobs, part)
    return list(track(records, f"grading {many(count, 'submission')}", count, console=console))


def tell_end(made: list[dict], out: Path, part: str, absent: list[str]) -> None:
    """Prints what was written, and who needs attention."""
    from kerasbook.grading.text import one_line

    files = f"{out / 'records'}; --merge makes the tables" if part else f"{out / 'grades.csv'}"
    files += "" if part else ", questions.csv, similarity.csv"
    print(f"{many(len(made), 'learner')}: {files}")
    if failed := sum(record["to_retry"] for record in made):
        print(f"{failed} need attention: the grader failed on them; the same command retries")
    if unread := sum(record["needs_attention"] for record in made) - failed:
        print(f"{unread} need attention: what they handed in cannot be read; see notes")
    if absent and not part:
        print(f"handed in nothing: {', '.join(map(one_line, absent))}")


def list_exercises(folder: Folder = None):
    """Show all exercises with difficulty, minutes and points."""
    from kerasbook.exercises.cards import cards
    from kerasbook.exercises.folder import head

    found = cards(folder)
    for one in found.values():
        print(f"{one.chapter}  {one.name}: {head(one)}")
    minutes, points = (
        sum(getattr(one, what) for one in found.values()) for what in ("minutes", "points")
    )
    worth = f"{many(len(found), 'exercise')}, {minutes / 60:.1f} hours, {points:g} points"
    print(worth)


def selfcheck(
    chapter: Chapter = None,
    folder: Folder = None,
    here: Annotated[bool, typer.Option("--here", help="In this process, without walls.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Exercises at a time.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Draws that right solutions must pass.")] = 3,
    level: Level = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
):
    """Grade the authors' right and wrong solutions: exit status 1 if one is not as it should be."""
    from kerasbook.grading.workers import Workers
    from kerasbook.learner import selfcheck as checking

    if here:
        counts = checking.selfcheck(chosen(folder, chapter).values(), seeds=seeds)
    else:
        with Workers(level) as workers:
            found = chosen(folder, chapter)
            counts = checking.selfcheck(found.values(), workers, jobs, seeds)
    print(counts)
    if json:
        json.write_text(counts.as_json(), encoding="utf-8")
    if counts.problems:
        raise typer.Exit(1)


def notebooks(
    folder: Annotated[Path, typer.Option("--folder", help="Where to write them.")] = Path(
        "chapters"
    ),
    exercises: Folder = None,
):
    """Write a notebook with the stubs for every chapter."""
    from kerasbook.learner.notebook import write_notebooks

    for path in write_notebooks(folder, chosen(exercises).values(), exercises):
        print(path)


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command `kerasbook`."""
    verb(app)(grade)
    group = typer.Typer(help="The exercises themselves.", no_args_is_help=True)
    verb(group, "list")(list_exercises)
    verb(group)(selfcheck)
    verb(group)(notebooks)
    app.add_typer(group, name="exercises")
