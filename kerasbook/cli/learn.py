"""The verbs for learners: start, check, watch, hint, solution, progress."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

from kerasbook.cli.verbs import Folder, Level, chosen, described, verb
from kerasbook.program import many

import typer


def start(
    folder: Annotated[Path, typer.Argument(help="Where to put them; made if it is not there.")],
    exercises: Folder = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files, keeping each as NAME.bak, .bak2 …")
    ] = False,
):
    """Copy the chapters' notebooks and the exercises' stubs into a folder of your own."""
    from kerasbook.learner import learner

    found = chosen(exercises)
    written, kept = learner.start(folder, found.values(), overwrite, exercises)
    for path in written:
        print(path)
    for path in kept:
        print(f"{path} is there and differs: left as it is (--overwrite replaces it)")
    first = next(iter(found.values()))
    more = f" --exercises {exercises}" if exercises else ""
    print(f"\n{many(len(found), 'exercise')}. The first: {first.title}. Next:")
    print(f"    kerasbook watch {folder}{more}")


def check(
    file: Annotated[Path, typer.Argument(help="A file with answers.")],
    question: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    exercises: Folder = None,
    level: Level = None,
):
    """Check the answers of a file: exit status 1 if one that was begun is not right."""
    from kerasbook.grading.feedback import render
    from kerasbook.grading.workers import Workers
    from kerasbook.learner import learner

    from rich.console import Console

    console = Console()
    # The workers import TensorFlow, if it is needed, while this process does.
    heavy = learner.needs_tensorflow(file, exercises, question)
    with Workers(level, tensorflow=heavy) as workers:
        with console.status("loading the exercises"):
            found = learner.exercises_of(file, exercises, question)

        def show(answer, result):
            if result is None:
                console.print(f"· {answer.exercise.name}  not begun", style="dim")
            else:
                console.print(render(answer.exercise, result, file, answer.line))

        results = learner.check_file(file, found, workers, question, show)
        passed = sum(result.status == "pass" for result in results)
        points = sum(result.points for result in results)
        most = sum(result.max_points for result in results)
        print(f"{passed} of {len(results)} passed, {points:g} of {most:g} points", end="")
        print(f" (isolation level {workers.level})")
    if passed < len(results):
        raise typer.Exit(1)


def watch(
    folder: Annotated[Path, typer.Argument(help="The folder of your answers.")] = Path(),
    exercises: Folder = None,
    level: Level = None,
):
    """Check answers at every save; h shows a hint, q ends."""
    from kerasbook.grading.workers import Workers
    from kerasbook.learner import learner
    from kerasbook.learner.watch import watch as watching

    from rich.console import Console

    if not folder.is_dir():
        raise learner.LearnerError(f"{folder} is no folder: `kerasbook start {folder}`")
    with Workers(level) as workers:
        found = chosen(exercises)
        with Console(stderr=True).status("warming up"):
            workers.probed()
        with contextlib.suppress(KeyboardInterrupt):
            watching(folder, found, workers, Console())


def hint(name: str, exercises: Folder = None):
    """Show the next hint to an exercise; there are three."""
    from kerasbook.exercises import cards
    from kerasbook.learner.progress import Progress, next_hint

    try:
        one = cards.named(name, exercises)
    except cards.NoCard:
        from kerasbook.learner import learner

        one = learner.named(name, exercises)
    number, text = next_hint(one, Progress.of(Path.cwd()))
    print(f"hint {number} of {len(one.hints)} to {one.name}\n\n{text}")


def solution(
    name: str,
    give_up: Annotated[bool, typer.Option("--give-up", help="Though it is not passed.")] = False,
    exercises: Folder = None,
):
    """Show the solution of an exercise that was passed."""
    from kerasbook.learner import learner

    one = learner.named(name, exercises)
    print(learner.solution_of(one, learner.Progress.of(Path.cwd()), give_up), end="")


def progress(exercises: Folder = None):
    """Show which exercises were passed, with points and hints; in the folder of your answers."""
    from kerasbook.exercises.cards import stars
    from kerasbook.learner.progress import Progress

    from rich.console import Console
    from rich.table import Table

    found = described(exercises)
    kept = Progress.of(Path.cwd())
    table = Table("", "exercise", "chapter", "", "points", "checked", "hints", box=None)
    for one in found.values():
        entry = kept.entry(one.name)
        table.add_row(
            "✓" if entry["passed"] else "·",
            one.name,
            str(one.chapter),
            stars(one),
            f"{entry['points']:g} of {one.points:g}",
            str(entry["checked"]),
            str(entry["hints"]),
        )
    Console().print(table)
    print(f"{kept.passed(found.values())} of {len(found)} passed")


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command `kerasbook`."""
    for function in (start, check, watch, hint, solution, progress):
        verb(app)(function)
