"""The verbs for learners and teachers: start, check, watch, hint, solution, grade, …"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[
    Path | None,
    typer.Option("--exercises", help="A folder with a teacher's own exercises."),
]
Level = Annotated[
    int | None,
    typer.Option("--level", min=1, max=5, help="Isolation: 1, 2 or 5; else the best there is."),
]


@contextlib.contextmanager
def clear_errors() -> Iterator[None]:
    """End with one line where something is wrong with what the user gave."""
    from kerasbook import runner
    from kerasbook.exercises import ExerciseError
    from kerasbook.exercises.learner import LearnerError
    from kerasbook.grading.exports import ExportError
    from kerasbook.grading.records import GradingError
    from kerasbook.grading.text import printable
    from kerasbook.grading.workers import WorkersError

    try:
        yield
    except (ExerciseError, ExportError, GradingError, LearnerError, WorkersError) as error:
        runner.fail(printable(str(error)))
    except OSError as error:
        told = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        runner.fail(printable(told))
    except KeyboardInterrupt:
        runner.fail("interrupted; the same command goes on from here", 130)


def chosen(folder: Path | None, chapter: int | None = None, questions: str | None = None):
    """The exercises of a folder, or the book's; a word while TensorFlow is being imported.

    Of named questions, with commas between, only their own files are imported.
    """
    from kerasbook.exercises import ExerciseError, load
    from kerasbook.exercises.exercise import load_file, stub_files

    from rich.console import Console

    with Console(stderr=True).status("loading the exercises"):
        if not questions:
            return load(folder, chapter)
        files = stub_files(folder)
        names = [name.strip() for name in questions.split(",")]
        for name in names:
            if name not in files:
                raise ExerciseError(f"there is no exercise {name!r} among {', '.join(files)}")
        found = {name: load_file(files[name]) for name in names}
    for name, one in found.items():
        if chapter not in (None, one.chapter):
            raise ExerciseError(f"{name} is of chapter {one.chapter}, not {chapter}")
    return found


def start(
    folder: Annotated[Path, typer.Argument(help="Where to put them; made if it is not there.")],
    exercises: Folder = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files, keeping each as NAME.bak.")
    ] = False,
):
    """Copy the chapters' notebooks and the exercises' stubs into a folder of your own."""
    with clear_errors():
        from kerasbook.exercises import learner

        found = chosen(exercises)
        written, kept = learner.start(folder, found.values(), overwrite)
        for path in written:
            print(path)
        for path in kept:
            print(f"{path} is there and differs: left as it is (--overwrite replaces it)")
        first = next(iter(found.values()))
        print(f"\n{len(found)} exercises. The first: {first.title}. Next:")
        print(f"    kerasbook watch {folder}")


def check(
    file: Annotated[Path, typer.Argument(help="A file with answers.")],
    question: Annotated[str | None, typer.Option(help="Only this one.")] = None,
    exercises: Folder = None,
    level: Level = None,
):
    """Check the answers of a file: exit status 1 if one that was begun is not right."""
    with clear_errors():
        from kerasbook.exercises import learner
        from kerasbook.exercises.feedback import render
        from kerasbook.grading.workers import Workers

        from rich.console import Console

        console = Console()
        # The workers import TensorFlow while this process does.
        with Workers(level) as workers:
            with console.status("loading the exercises"):
                found = learner.exercises_of(file, exercises)

            def told(answer, result):
                if result is None:
                    console.print(f"· {answer.exercise.name}  not begun", style="dim")
                else:
                    console.print(render(answer.exercise, result, file, answer.line))

            results = learner.check_file(file, found, workers, question, told)
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
    with clear_errors():
        from kerasbook.exercises import learner
        from kerasbook.exercises.watch import watch as watching
        from kerasbook.grading.workers import Workers

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
    with clear_errors():
        from kerasbook.exercises import learner

        one = learner.named(name, exercises)
        number, text = learner.next_hint(one, learner.Progress.of(Path.cwd()))
        print(f"hint {number} of {len(one.hints)} to {one.name}\n\n{text}")


def solution(
    name: str,
    give_up: Annotated[bool, typer.Option("--give-up", help="Though it is not passed.")] = False,
    exercises: Folder = None,
):
    """Show the solution of an exercise that was passed."""
    with clear_errors():
        from kerasbook.exercises import learner

        one = learner.named(name, exercises)
        print(learner.solution_of(one, learner.Progress.of(Path.cwd()), give_up), end="")


def progress(exercises: Folder = None):
    """Show which exercises were passed, with points and hints; in the folder of your answers."""
    with clear_errors():
        from kerasbook.exercises import learner
        from kerasbook.exercises.exercise import stars

        from rich.console import Console
        from rich.table import Table

        found = chosen(exercises)
        kept = learner.Progress.of(Path.cwd())
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


def grade(
    submissions: Annotated[Path, typer.Argument(help="A folder with an entry per learner.")],
    out: Annotated[Path, typer.Option(help="Where records, feedback and tables go.")],
    chapter: Annotated[int | None, typer.Option(help="Only this chapter's questions.")] = None,
    questions: Annotated[str | None, typer.Option(help="Only these, with commas between.")] = None,
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
    with clear_errors():
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
            course = classroom.Course(found, workers, secret, out)
            console = Console(stderr=True)
            console.print(f"isolation level {workers.level}, {len(found)} questions", style="dim")
            for path in others:
                left = f"left out: {escaped_name(path.name)} (no folder, .py, .ipynb or .zip)"
                console.print(left, markup=False, highlight=False, soft_wrap=True)
            made = list(
                track(
                    classroom.grade_class(course, entries, jobs),
                    f"grading {len(entries)} submissions",
                    len(entries),
                    console=console,
                )
            )
            classroom.write_tables(course, made)
        attention = sum(record["needs_attention"] for record in made)
        print(f"{len(made)} learners: {out / 'grades.csv'}, questions.csv, similarity.csv")
        if attention:
            print(
                f"{attention} need attention: the grader failed on them; the same command retries"
            )


export = typer.Typer(
    help="What other tools read. From exercises: gradescope, github, nbgrader, otter. From a "
    "learner's record: gradescope-results, github-result, exercism. From a class: canvas, moodle.",
    no_args_is_help=True,
)

Chapter = Annotated[int | None, typer.Option("--chapter", help="Only this chapter's questions.")]
Questions = Annotated[
    str | None, typer.Option("--questions", help="Only these, with commas between.")
]
Install = Annotated[
    str,
    typer.Option(
        help="What pip installs there: a wheel's path, or a requirement as kerasbook==0.1.0."
    ),
]
Walls = Annotated[
    int, typer.Option("--require-isolation", min=1, max=5, help="As in `kerasbook grade`.")
]
Record = Annotated[Path, typer.Argument(help="A learner's record, OUT/records/NAME.json.")]
Graded = Annotated[Path, typer.Argument(help="The folder that was `kerasbook grade --out`.")]
Roster = Annotated[
    Path | None,
    typer.Option(help='CSV with a column "learner" and the columns that the gradebook wants.'),
]
Assignment = Annotated[str, typer.Option(help="The assignment's name in the gradebook.")]
Table = Annotated[Path, typer.Argument(help="The CSV file to write.")]


@export.command("gradescope")
def export_gradescope(
    file: Annotated[Path, typer.Argument(help="The zip to write and to upload.")],
    install: Install,
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
    key: Annotated[Path | None, typer.Option(help="The teacher's secret. [FILE.key]")] = None,
    require_isolation: Walls = 2,
):
    """Write an autograder for Gradescope. It holds the key: do not hand it to learners."""
    with clear_errors():
        from kerasbook.grading import records
        from kerasbook.grading.exports import gradescope

        found = chosen(exercises, chapter, questions)
        secret = records.read_key(key or file.with_suffix(".key"))
        packed = gradescope.autograder(found, secret, install, exercises, require_isolation)
        records.write_private(file, packed)
        print(f"{file}: {len(found)} questions")


@export.command("gradescope-results")
def export_gradescope_results(
    record: Record,
    file: Annotated[Path, typer.Argument(help="The results.json to write.")],
):
    """Write Gradescope's results.json."""
    with clear_errors():
        from kerasbook.grading.exports import gradescope, read_record
        from kerasbook.grading.records import write_private

        write_private(file, gradescope.results(read_record(record)).encode())


@export.command("github")
def export_github(
    folder: Annotated[Path, typer.Argument(help="Where to write the action.")],
    install: Install,
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
    require_isolation: Walls = 2,
):
    """Write an action for GitHub Classroom, to be kept in a repository of the teacher's."""
    with clear_errors():
        from kerasbook.grading.exports import github, write_folder

        found = chosen(exercises, chapter, questions)
        files = github.action(found, install, exercises, require_isolation)
        for path in write_folder(folder, files):
            print(path)
        (folder / "grade.sh").chmod(0o755)


@export.command("github-result")
def export_github_result(record: Record):
    """Print the line result=BASE64 for an action's $GITHUB_OUTPUT."""
    with clear_errors():
        from kerasbook.grading.exports import github, read_record

        print("result=" + github.encoded(github.result(read_record(record))))


@export.command("exercism")
def export_exercism(
    record: Record,
    file: Annotated[Path, typer.Argument(help="The results.json to write.")],
):
    """Write Exercism's results.json, version 3."""
    with clear_errors():
        from kerasbook.grading.exports import exercism, read_record
        from kerasbook.grading.records import write_private

        write_private(file, exercism.results(read_record(record)).encode())


@export.command("nbgrader")
def export_nbgrader(
    file: Annotated[Path, typer.Argument(help="The notebook: source/ASSIGNMENT/NAME.ipynb.")],
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
):
    """Write an assignment's notebook for nbgrader, with answer cells and test cells."""
    with clear_errors():
        from kerasbook.grading.exports import nbgrader, write_folder

        found = chosen(exercises, chapter, questions)
        text = nbgrader.assignment(found.values(), exercises)
        print(*write_folder(file.parent, {file.name: text}))


@export.command("otter")
def export_otter(
    folder: Annotated[Path, typer.Argument(help="Where to write the notebook and tests/.")],
    title: Annotated[str, typer.Option(help="Name of the notebook.")] = "exercises",
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
):
    """Write a notebook and test files for Otter."""
    with clear_errors():
        from kerasbook.grading.exports import otter, write_folder

        found = chosen(exercises, chapter, questions)
        for path in write_folder(folder, otter.assignment(found.values(), title, exercises)):
            print(path)


@export.command("canvas")
def export_canvas(out: Graded, file: Table, assignment: Assignment, roster: Roster = None):
    """Write a CSV for Canvas (not tried in Canvas itself)."""
    from kerasbook.grading.exports import gradebooks

    export_table(gradebooks.canvas, out, file, assignment, roster)


@export.command("moodle")
def export_moodle(out: Graded, file: Table, assignment: Assignment, roster: Roster = None):
    """Write a CSV for Moodle (not tried in Moodle itself)."""
    from kerasbook.grading.exports import gradebooks

    export_table(gradebooks.moodle, out, file, assignment, roster)


def export_table(made, out: Path, file: Path, assignment: str, roster: Path | None) -> None:
    """Write a class's CSV and name the learners who are not in it."""
    with clear_errors():
        from kerasbook.grading.exports import gradebooks, read_records
        from kerasbook.grading.records import write_private
        from kerasbook.grading.text import one_line

        records = read_records(out)
        known = gradebooks.read_roster(roster) if roster else None
        write_private(file, made(records, assignment, known).encode())
        missing = gradebooks.left_out(records, known)
        print(f"{file}: {len(records) - len(missing)} learners")
        for learner in missing:
            print(f"left out, not in the roster or to be graded again: {one_line(learner)}")


exercises = typer.Typer(help="The exercises themselves.", no_args_is_help=True)


@exercises.command("list")
def list_exercises(folder: Folder = None):
    """Show all exercises with difficulty, minutes and points."""
    with clear_errors():
        from kerasbook.exercises.exercise import head

        found = chosen(folder)
        for one in found.values():
            print(f"{one.chapter}  {one.name}: {head(one)}")
        minutes, points = (
            sum(getattr(one, what) for one in found.values()) for what in ("minutes", "points")
        )
        print(f"{len(found)} exercises, {minutes / 60:.0f} hours, {points:g} points")


@exercises.command()
def selfcheck(
    chapter: Annotated[int | None, typer.Option(help="Only this chapter's.")] = None,
    folder: Folder = None,
    here: Annotated[bool, typer.Option("--here", help="In this process, without walls.")] = False,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Exercises at a time.")] = 2,
    seeds: Annotated[int, typer.Option(min=1, help="Draws that right solutions must pass.")] = 3,
    level: Level = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
):
    """Grade the authors' right and wrong solutions: exit status 1 if one is not as it should be."""
    with clear_errors():
        from kerasbook.exercises import selfcheck as checking
        from kerasbook.grading.workers import Workers

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


@exercises.command()
def notebooks(
    folder: Annotated[Path, typer.Option("--folder", help="Where to write them.")] = Path(
        "chapters"
    ),
):
    """Write a notebook with the stubs for every chapter."""
    with clear_errors():
        from kerasbook.exercises.notebook import write_notebooks

        for path in write_notebooks(folder, chosen(None).values()):
            print(path)


def register(app: typer.Typer) -> None:
    """Add the verbs to the command `kerasbook`."""
    for verb in (start, check, watch, hint, solution, progress, grade):
        app.command()(verb)
    app.add_typer(export, name="export")
    app.add_typer(exercises, name="exercises")
