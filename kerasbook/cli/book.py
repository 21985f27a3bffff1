"""The verbs for readers and authors: list, run, verify, bench, notebooks …, translations …"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Annotated

from kerasbook import contents
from kerasbook.cli.verbs import verb
from kerasbook.program import fail

import typer

ALL_FLAGS = {
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
    "add_help_option": False,
}
SWITCHES = ("--quick", "--quiet", "--resume", "--tensorboard", "--help", "-h")
Pages = Annotated[
    list[str] | None,
    typer.Argument(help="Numbers or keys, as 6, chapter6_translation, errata; all, if none."),
]
Folder = Annotated[Path, typer.Option("--folder", help="Where the notebooks lie.")]
CHAPTERS = Path("chapters")
Site = Annotated[Path, typer.Option("--output", help="The site's folder.")]
SITE = Path("site")


def list_pages():
    """Show the chapters, and the command that runs each."""
    for page in contents.pages().values():
        print(page.title)
        if page.is_chapter:
            minutes = page.about.minutes
            took = f"    about {minutes} min" if minutes else ""
            print(f"    python -m {page.module}{took}")


def run(context: typer.Context, chapter: str):
    """Run a chapter: `kerasbook run 3 --epochs 2` is `python -m kerasbook.chapter3 --epochs 2`."""
    words = [chapter, *context.args]
    before = list(itertools.takewhile(lambda word: word in SWITCHES, words))
    words = words[len(before) :]
    if not words or words[0].startswith("-"):  # a value behind it would be taken for a chapter
        fail("name the chapter first: kerasbook run 3 --epochs 2; `kerasbook list` shows them")
    words = [words[0], *before, *words[1:]]
    page = contents.find(words[0].removeprefix("kerasbook.").removesuffix(".py"))
    if not page.is_chapter:
        fail(f"{page.key} is read, not run: chapters/{page.key}.ipynb")
    from kerasbook import runner

    runner.run(page.module, words[1:])


def bench(context: typer.Context):
    """Time the book's loops; `kerasbook bench grading` times the grader, beside others."""
    if context.args[:1] == ["grading"]:
        from kerasbook.bench import grading

        grading.main(context.args[1:])
    else:
        from kerasbook.bench import main

        main(context.args)


def verify(
    chapters: Annotated[
        list[str] | None, typer.Argument(help="Numbers or keys; 0 is the loop; all, if none.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Draws other sizes and numbers.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the figures there.")] = None,
    mutants: Annotated[
        bool, typer.Option("--mutants", help="Plant mistakes; are they seen?")
    ] = False,
):
    """Compare everything that is built by hand with Keras: exit status 1 if anything differs."""
    loop = contents.LOOP
    keys = [loop if name in ("0", loop) else contents.find(name).key for name in chapters or ()]
    from kerasbook import ledger

    if not ledger.run(keys, seed, json, mutants):
        raise typer.Exit(1)


# --- notebooks ----------------------------------------------------------------------------


def build(pages: Pages = None, folder: Folder = CHAPTERS):
    """Make and execute the notebooks of the chapters; minutes for each."""
    from kerasbook import notebooks
    from kerasbook.translations import blocks, made

    is_checkout = blocks.FOLDER.is_dir() and folder == made.CHAPTERS
    for path in notebooks.build(chosen(pages), folder, made.keep_picture if is_checkout else None):
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB", flush=True)
    notebooks.write_index(folder)
    for path in made.build() if is_checkout else []:
        print(path)


def check(
    pages: Pages = None,
    folder: Folder = CHAPTERS,
    execute: Annotated[
        bool, typer.Option("--execute", help="Run all cells, in quick mode.")
    ] = False,
):
    """Tell whether the notebooks are those of the chapters, and their scores in their bands."""
    from kerasbook import notebooks

    problems = notebooks.check(chosen(pages), folder)
    for page, seconds in notebooks.run_quickly(chosen(pages) if execute else []):
        print(f"{page.key}: all cells ran, in {seconds:.0f} s", flush=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)
    print(f"{len(chosen(pages))} notebooks are as they should be")


def chosen(names: list[str] | None) -> list[contents.Page]:
    """Returns the pages of these numbers or keys; all, if there are none."""
    return [contents.find(name) for name in names] if names else list(contents.pages().values())


# --- data ---------------------------------------------------------------------------------


def prepare(
    name: Annotated[str, typer.Argument(help="mnist, fashion_mnist, cifar10, imdb_reviews …")],
    data_dir: Annotated[
        Path | None, typer.Option(help="Where to store it (else TFDS_DATA_DIR, or ~).")
    ] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="fashion_mnist only: the folder of its four .gz files."),
    ] = None,
):
    """Download a data set of TensorFlow Datasets and store it, ready to read without a network."""
    from kerasbook.data import tfds

    print(f"{name} lies prepared in {tfds.prepare(name, data_dir, source)}")


# --- web ----------------------------------------------------------------------------------


def build_site(output: Site = SITE):
    """Make the book's web site from the committed notebooks, in a checkout; under a minute."""
    from kerasbook.web import site

    pages = site.build(Path.cwd(), output)
    print(f"{pages} pages: open {output / 'index.html'} in a browser")


def serve(
    folder: Site = SITE,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8000,
):
    """Serve the site to this machine; it can as well be opened from its folder."""
    from kerasbook.web import site

    site.serve(folder, port)


# --- translations -------------------------------------------------------------------------

Keys = Annotated[
    list[str] | None, typer.Argument(help="Keys, as chapter1 or README; all there are, if none.")
]
Key = Annotated[str, typer.Argument(help="A page's key, as chapter1; README.")]


def check_translations(keys: Keys = None):
    """Tell whether the Chinese edition is complete, current and true to the English."""
    from kerasbook.translations import edition, made

    reports = [edition.check(key) for key in keys or edition.translated()]
    problems = [] if keys else made.problems()
    for report in reports:
        print(f"{report.key}: {report.current} of {report.cells} cells current")
        problems += [f"{report.key}: {problem}" for problem in report.problems]
    if not keys:
        cells, current = (sum(getattr(r, what) for r in reports) for what in ("cells", "current"))
        print(f"zh: {current} of {cells} cells current")
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)


def update_translation(key: Key):
    """Write a page's skeleton, or mark what has changed in the English, and show the difference."""
    from kerasbook.translations import blocks, edition

    for line in edition.update(key):
        print(line)
    print(f"{blocks.path_of(key)}: translate the blocks marked pending, then accept them")


def accept_translation(
    key: Key,
    cells: Annotated[
        list[int] | None, typer.Argument(help="Numbers; all that wait and have a text, if none.")
    ] = None,
):
    """Take blocks for translations of the English of today, if they pass the checks."""
    from kerasbook.translations import edition

    accepted, problems = edition.accept(key, cells or [])
    for problem in problems:
        print(problem, file=sys.stderr)
    print(f"{key}: {len(accepted)} accepted")
    if problems:
        raise typer.Exit(1)


def build_translations():
    """Make the Chinese notebooks and README.zh.md of the translations and the English notebooks."""
    from kerasbook.translations import made

    for path in made.build():
        print(path)


def register(app: typer.Typer) -> None:
    """Adds the verbs to the command `kerasbook`."""
    verb(app, "list")(list_pages)
    verb(app, **ALL_FLAGS)(run)
    verb(app, **ALL_FLAGS)(bench)
    verb(app)(verify)
    notebooks = typer.Typer(help="The chapters as Jupyter notebooks.", no_args_is_help=True)
    for function in (build, check):
        verb(notebooks)(function)
    app.add_typer(notebooks, name="notebooks")
    data = typer.Typer(help="The data sets of TensorFlow Datasets.", no_args_is_help=True)
    verb(data)(prepare)
    data.callback()(lambda: None)  # else a group of one verb would be that verb
    app.add_typer(data, name="data")
    web = typer.Typer(help="The book as a web site.", no_args_is_help=True)
    verb(web, "build")(build_site)
    verb(web)(serve)
    app.add_typer(web, name="web")
    translations = typer.Typer(help="The book in Chinese; in a checkout.", no_args_is_help=True)
    verb(translations, "check")(check_translations)
    verb(translations, "update")(update_translation)
    verb(translations, "accept")(accept_translation)
    verb(translations, "build")(build_translations)
    app.add_typer(translations, name="translations")
