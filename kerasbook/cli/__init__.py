"""The command `kerasbook`; a verb imports what it needs when it runs, so that --help is quick."""

import ast
import functools
import sys
from importlib import resources
from pathlib import Path
from typing import Annotated

from kerasbook import __version__
from kerasbook.cli import commands

import typer

app = typer.Typer(
    help="A book on neural networks that runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@functools.cache
def chapter_titles() -> dict[int, str]:
    """The chapters' numbers and titles, read from the files without importing them."""
    titles = {}
    for file in resources.files("kerasbook").iterdir():
        number = file.name.removeprefix("chapter").removesuffix(".py")
        if file.name.startswith("chapter") and number.isdigit():
            docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
            titles[int(number)] = docstring.partition("\n")[0].lstrip("# ")
    return dict(sorted(titles.items()))


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False):
    if version:
        print(f"kerasbook {__version__}")
        raise typer.Exit


@app.command("list")
def list_chapters():
    """Show the chapters, and the command that runs each."""
    for number, title in chapter_titles().items():
        print(f"{title}\n    python -m kerasbook.chapter{number}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def run(context: typer.Context, chapter: int):
    """Run a chapter: `kerasbook run 3 --epochs 2` is `python -m kerasbook.chapter3 --epochs 2`."""
    from kerasbook import runner

    if chapter not in chapter_titles():
        runner.fail(f"there is no chapter {chapter}: `kerasbook list` shows those there are")
    runner.run(f"kerasbook.chapter{chapter}", context.args)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def bench(context: typer.Context):
    """Time the book's loops; `kerasbook bench grading` times the grader, beside others."""
    if context.args[:1] == ["grading"]:
        from kerasbook.bench import grading

        grading.main(context.args[1:])
    else:
        from kerasbook.bench import main

        main(context.args)


@app.command()
def verify(
    chapters: Annotated[list[int] | None, typer.Argument(help="Numbers; all, if none.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws other sizes and numbers.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Plant mistakes; are they seen?")
    ] = False,
):
    """Compare everything that is built by hand with Keras: exit status 1 if anything differs."""
    from kerasbook import runner

    unknown = set(chapters or ()) - set(chapter_titles()) - {0}
    if unknown:
        runner.fail(f"there is no chapter {min(unknown)}: `kerasbook list` shows those there are")
    from kerasbook import ledger

    if not ledger.run(chapters, seed, json, mutants):
        raise typer.Exit(1)


notebooks = typer.Typer(help="The chapters as Jupyter notebooks.", no_args_is_help=True)
app.add_typer(notebooks, name="notebooks")
Pages = Annotated[
    list[str] | None, typer.Argument(help="1, 2, …, errata, porting or speed; all, if none.")
]
Folder = Annotated[Path, typer.Option("--folder", help="Where the notebooks lie.")]


@notebooks.command()
def build(pages: Pages = None, folder: Folder = Path("chapters")):
    """Make and execute the notebooks of the chapters; minutes for each."""
    from kerasbook import notebooks, runner

    try:
        for path in notebooks.build(pages or list(notebooks.pages()), folder):
            print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")
        notebooks.write_index(folder)
    except notebooks.NotebookError as error:
        runner.fail(error, 1)
    except OSError as error:
        runner.fail(f"cannot write into {folder}: {error}; choose another with --folder")


@notebooks.command()
def check(
    pages: Pages = None,
    folder: Folder = Path("chapters"),
    execute: Annotated[
        bool, typer.Option("--execute", help="Run all cells, in quick mode.")
    ] = False,
):
    """Tell whether the notebooks are those of the chapters, and their scores in their bands."""
    from kerasbook import notebooks, runner

    chosen = pages or list(notebooks.pages())
    try:
        problems = notebooks.check(chosen, folder)
        for page, seconds in notebooks.run_quickly(chosen if execute else []):
            print(f"{notebooks.pages()[page]}: all cells ran, in {seconds:.0f} s", flush=True)
    except notebooks.NotebookError as error:
        runner.fail(error, 1)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)
    print(f"{len(chosen)} notebooks are as they should be")


commands.register(app)


def main():
    """The entry point of the command `kerasbook`."""
    app()


if __name__ == "__main__":
    sys.exit(main())
