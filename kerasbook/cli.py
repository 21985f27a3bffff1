"""The command `kerasbook`; a verb imports what it needs when it runs, so that --help is quick."""

import ast
import sys
from importlib import resources
from typing import Annotated

from kerasbook import __version__

import typer

app = typer.Typer(
    help="A book on neural networks that runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


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


def main():
    """The entry point of the command `kerasbook`."""
    app()


if __name__ == "__main__":
    sys.exit(main())
