"""The verbs for teachers: grade, and exercises list, selfcheck, notebooks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

from kerasbook.cli.verbs import Chapter, Folder, Level, Questions, chosen, verb

import typer


def grade(
    submissions: Annotated[Path, typer.Argument(help="A folder with an entry per learner.")],
    out: Annotated[Path, typer.Option(help="Where records, feedback and tables go.")],
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
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
):
    """Grade a class: records, feedback pages, grades.csv, questions.csv, similarity.csv.

    What was graded before, with the same key, exercises and submission, is not graded again, so
    an interrupted run goes on where it was.
    """
    from kerasbook.grading import classroom, records
    from kerasbook.grading.text import escaped_name
    from kerasbook.grading.workers import Workers

    from rich.console import Console
    from rich.progress import track

    # The references are computed like the answers (see workers.environment), and start sooner.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

    entries, others = ([[submissions]], []) if one else classroom.submissions_in(submissions)
    secret = records.read_key(key or out / "key")
    hidden = [submissions, out, *([key] if key else []), *([exercises] if exercises else [])]
    with Workers(level, hidden) as workers:
        found = chosen(exercises, chapter, questions)
        classroom.require_level(workers, require_isolation)
        console = Console(stderr=True)
        console.print(f"isolation level {workers.level}, {len(found)} questions", style="dim")
        for path in others:
            left = f"left out: {escaped_name(path.name)} (no folder, .py, .ipynb or .zip)"
            console.print(left, markup=False, highlight=False, soft_wrap=True)
        course = classroom.Course(found, workers, secret, out)
        graded = classroom.grade_class(course, entries, jobs)
        title = f"grading {len(entries)} submissions"
        made = list(track(graded, title, len(entries), console=console))
        classroom.write_tables(course, made)
    print(f"{len(made)} learners: {out / 'grades.csv'}, questions.csv, similarity.csv")
    if attention := sum(record["needs_attention"] for record in made):
        print(f"{attention} need attention: the grader failed on them; the same command retries")


def list_exercises(folder: Folder = None):
    """Show all exercises with difficulty, minutes and points."""
    from kerasbook.exercises.exercise import head

    found = chosen(folder)
    for one in found.values():
        print(f"{one.chapter}  {one.name}: {head(one)}")
    minutes, points = (
        sum(getattr(one, what) for one in found.values()) for what in ("minutes", "points")
    )
    print(f"{len(found)} exercises, {minutes / 60:.0f} hours, {points:g} points")


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
):
    """Write a notebook with the stubs for every chapter."""
    from kerasbook.learner.notebook import write_notebooks

    for path in write_notebooks(folder, chosen(None).values()):
        print(path)


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command `kerasbook`."""
    verb(app)(grade)
    group = typer.Typer(help="The exercises themselves.", no_args_is_help=True)
    verb(group, "list")(list_exercises)
    verb(group)(selfcheck)
    verb(group)(notebooks)
    app.add_typer(group, name="exercises")
