"""The command `kerasbook`; a verb imports what it needs when it runs, so that --help is quick.

The verbs stand where their readers are: book.py, use.py, learn.py, teach.py, export.py.
"""

import sys
from typing import Annotated

from kerasbook import __version__
from kerasbook.cli import book, export, learn, teach, use
from kerasbook.program import ensure_home, output_that_may_go_away

import typer

app = typer.Typer(
    help="A book on neural networks that runs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False):
    ensure_home()
    if version:
        print(f"kerasbook {__version__}")
        raise typer.Exit


for part in (book, use, learn, teach, export):
    part.register(app)


def main():
    """Runs the command `kerasbook`: its entry point; exit status 1 where output was lost."""
    with output_that_may_go_away() as output:
        try:
            app()
        finally:
            output.flush()
            if output.error and not isinstance(output.error, BrokenPipeError):
                sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())
