"""The verbs that write for other tools: `kerasbook export …`"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from kerasbook.cli.verbs import Chapter, Folder, Questions, chosen, verb
from kerasbook.program import many

import typer

group = typer.Typer(
    help="What other tools read. From exercises: gradescope, github, nbgrader, otter. From a "
    "learner's record: gradescope-results, github-result, exercism. From a class: canvas, moodle.",
    no_args_is_help=True,
)

Install = Annotated[
    str,
    typer.Option(
        help="What pip installs there: a wheel's path, or kerasbook @ git+https://…@COMMIT."
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


@verb(group, "gradescope")
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
    from kerasbook.grading import records
    from kerasbook.grading.exports import gradescope

    found = chosen(exercises, chapter, questions)
    secret = records.read_key(key or file.with_suffix(".key"))
    packed = gradescope.autograder(found, secret, install, exercises, require_isolation)
    records.write_private(file, packed)
    print(f"{file}: {len(found)} questions")


@verb(group, "gradescope-results")
def export_gradescope_results(
    record: Record,
    file: Annotated[Path, typer.Argument(help="The results.json to write.")],
):
    """Write Gradescope's results.json."""
    from kerasbook.grading.exports import gradescope, read_record
    from kerasbook.grading.records import write_private

    write_private(file, gradescope.results(read_record(record)).encode())


@verb(group, "github")
def export_github(
    folder: Annotated[Path, typer.Argument(help="Where to write the action.")],
    install: Install,
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
    require_isolation: Walls = 2,
):
    """Write an action for GitHub Classroom, to be kept in a repository of the teacher's."""
    from kerasbook.grading.exports import github, write_folder

    found = chosen(exercises, chapter, questions)
    files = github.action(found, install, exercises, require_isolation)
    for path in write_folder(folder, files):
        print(path)
    (folder / "grade.sh").chmod(0o755)


@verb(group, "github-result")
def export_github_result(record: Record):
    """Print the line result=BASE64 for an action's $GITHUB_OUTPUT."""
    from kerasbook.grading.exports import github, read_record

    print("result=" + github.encoded(github.result(read_record(record))))


@verb(group, "exercism")
def export_exercism(
    record: Record,
    file: Annotated[Path, typer.Argument(help="The results.json to write.")],
):
    """Write Exercism's results.json, version 3."""
    from kerasbook.grading.exports import exercism, read_record
    from kerasbook.grading.records import write_private

    write_private(file, exercism.results(read_record(record)).encode())


@verb(group, "nbgrader")
def export_nbgrader(
    file: Annotated[Path, typer.Argument(help="The notebook: source/ASSIGNMENT/NAME.ipynb.")],
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
):
    """Write an assignment's notebook for nbgrader, with answer cells and test cells."""
    from kerasbook.grading.exports import nbgrader, write_folder

    found = chosen(exercises, chapter, questions)
    text = nbgrader.assignment(found.values(), exercises)
    print(*write_folder(file.parent, {file.name: text}))


@verb(group, "otter")
def export_otter(
    folder: Annotated[Path, typer.Argument(help="Where to write the notebook and tests/.")],
    title: Annotated[str, typer.Option(help="Name of the notebook.")] = "exercises",
    chapter: Chapter = None,
    questions: Questions = None,
    exercises: Folder = None,
):
    """Write a notebook and test files for Otter."""
    from kerasbook.grading.exports import otter, write_folder

    found = chosen(exercises, chapter, questions)
    for path in write_folder(folder, otter.assignment(found.values(), title, exercises)):
        print(path)


@verb(group, "canvas")
def export_canvas(out: Graded, file: Table, assignment: Assignment, roster: Roster = None):
    """Write a CSV for Canvas (not tried in Canvas itself)."""
    from kerasbook.grading.exports import gradebooks

    export_table(gradebooks.canvas, out, file, assignment, roster)


@verb(group, "moodle")
def export_moodle(out: Graded, file: Table, assignment: Assignment, roster: Roster = None):
    """Write a CSV for Moodle (not tried in Moodle itself)."""
    from kerasbook.grading.exports import gradebooks

    export_table(gradebooks.moodle, out, file, assignment, roster)


def export_table(made, out: Path, file: Path, assignment: str, roster: Path | None) -> None:
    """Writes a class's CSV and names the learners who are not in it."""
    from kerasbook.grading.exports import gradebooks, read_records
    from kerasbook.grading.records import write_private
    from kerasbook.grading.text import one_line

    records = read_records(out)
    known = gradebooks.read_roster(roster) if roster else None
    write_private(file, made(records, assignment, known).encode())
    missing = gradebooks.left_out(records, known)
    print(f"{file}: {many(len(records) - len(missing), 'learner')}")
    there = {record["learner"] for record in records}
    for learner in (name for name in known or () if name not in there):
        print(f"handed in nothing: {one_line(learner)}")
    for learner in missing:
        print(f"left out, not in the roster or in need of attention: {one_line(learner)}")


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command `kerasbook`."""
    app.add_typer(group, name="export")
