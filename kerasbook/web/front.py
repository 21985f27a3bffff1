"""The front page: the README's first words and commands, and a card for every chapter."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

from kerasbook import contents
from kerasbook.contents import Page
from kerasbook.notebooks.index import cover_of, score_of
from kerasbook.program import many
from kerasbook.web import playgrounds
from kerasbook.web.pictures import smaller

from markdown_it import MarkdownIt

SENTENCE = re.compile(r".+?[.?!](?=\s|$)", re.DOTALL)
LETTERS_OF_A_CARD = 260
LANGUAGE = re.compile(r"^\[(?:中文|English)\]\(README\S*\)\n\n", re.MULTILINE)
LINKED = re.compile(r"\[([^\]]*)\]\([^)]*\)")
START = """
<p class="page-links"><a href="chapters/{first}.html">Read chapter 1</a>
<a href="#playgrounds">Play with a trained model</a> <a href="#chapters">All chapters</a>
<a href="#two-commands">What do I type?</a></p>

"""
FRONT = """{introduction}

## Playgrounds

[The models in the page](playgrounds/index.md): type, draw, and see every number on its way.

{playgrounds}

## Chapters

{chapters}

## Beside the chapters

{others}

{practise}
"""
TOCTREE = """
```{{toctree}}
:hidden:
:caption: {caption}

{entries}
```
"""


def front_page(checkout: Path, folder: Path, exercises: dict[str, int]) -> str:
    """Returns the front page, in Markdown; writes the cards' pictures.

    exercises: the keys of the pages of the site, with how many exercises each has.
    """
    readme = LANGUAGE.sub("", (checkout / "README.md").read_text(encoding="utf-8"))
    pages = [page for key, page in contents.pages().items() if key in exercises]
    cards = [card(page, checkout, folder, exercises[page.key]) for page in pages if page.is_chapter]
    others = [f"[{one.title}](chapters/{one.key}.ipynb)" for one in pages if not one.is_chapter]
    others.append("[Glossary](glossary.md)")
    text = FRONT.format(
        introduction=with_start(readme.partition("\n## Read\n")[0], START, pages[0]),
        chapters='<ul class="cards">\n' + "\n".join(cards) + "\n</ul>",
        playgrounds=playgrounds.cards("playgrounds/"),
        others="\n".join(f"- {link}" for link in others),
        practise=section(readme, "Practise"),
    )
    return text + "".join(toctrees(folder, pages))


def with_start(introduction: str, start: str, first: Page) -> str:
    """Returns the README's beginning with links, above its picture, to where a reader may go."""
    words, mark, picture = introduction.partition("\n![")
    return words + start.format(first=first.key) + mark + picture


def section(text: str, title: str) -> str:
    """Returns a section of a Markdown text, with its heading."""
    found = re.search(rf"^## {title}\n.*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return found[0] if found else ""


def toctrees(folder: Path, pages: list[Page]) -> list[str]:
    """Returns the table of contents, in parts."""
    documents = sorted(path.stem for path in (folder / "docs").glob("*.md"))
    parts = {
        "Chapters": [entry(page) for page in pages if page.is_chapter],
        "Beside the chapters": [entry(page) for page in pages if not page.is_chapter],
        "Playgrounds": ["playgrounds/index"],
        "Using the book": [f"docs/{name}" for name in documents],
        "Reference": ["reference/index", "CONTRIBUTING", "SECURITY", "CHANGELOG", "licence"],
    }
    parts["Beside the chapters"].append("glossary")
    return [
        TOCTREE.format(caption=caption, entries="\n".join(entries))
        for caption, entries in parts.items()
    ]


def entry(page: Page) -> str:
    """Returns a page's line in the table of contents."""
    return f"{page.short_title} <chapters/{page.key}>"


# --- the cards ----------------------------------------------------------------------------


def card(page: Page, checkout: Path, folder: Path, exercises: int) -> str:
    """Returns a chapter's card in HTML: picture, title, first sentences, minutes, score."""
    notebook = checkout / "chapters" / f"{page.key}.ipynb"
    address = f"chapters/{page.key}.html"
    practise = f'<a href="chapters/{page.key}_exercises.html">{many(exercises, "exercise")}</a>'
    return (
        f'<li class="card"><a href="{address}">{picture(page, notebook, folder)}'
        f"<strong>{html.escape(page.short_title)}</strong></a>\n"
        f"<p>{first_sentences(notebook)}</p>\n"
        f'<p class="numbers">{html.escape(numbers(page, notebook))}</p>\n'
        f"{f'<p>{practise}</p>' if exercises else ''}</li>"
    )


def picture(page: Page, notebook: Path, folder: Path) -> str:
    """Returns the chapter's picture in HTML, after writing its file."""
    if (cover := cover_of(notebook)) is None:
        return ""
    (folder / "extra" / "pictures" / f"{page.key}.png").write_bytes(smaller(cover.png))
    alt = html.escape(cover.alt)
    return f'<img src="pictures/{page.key}.png" alt="{alt}" loading="lazy">'


def first_cell(notebook: Path) -> str:
    """Returns a notebook's first cell."""
    return "".join(json.loads(notebook.read_text(encoding="utf-8"))["cells"][0]["source"])


def first_sentences(
    notebook: Path, sentence: re.Pattern = SENTENCE, letters: int = LETTERS_OF_A_CARD
) -> str:
    """Returns what a chapter begins with, as many sentences as a card holds, in HTML, no links."""
    paragraph = LINKED.sub(r"\1", first_cell(notebook).split("\n\n")[1])
    first, *others = sentence.findall(paragraph) or [paragraph]
    for other in others:
        if len(first + other) > letters:
            break
        first += other
    return MarkdownIt().renderInline(first)


def numbers(page: Page, notebook: Path) -> str:
    """Returns how long a chapter takes to read and to run, and its mean score."""
    reading = re.search(r"about (\d+) to read", first_cell(notebook))
    found = [f"{reading[1]} min to read"] if reading else []
    found += [f"{page.about.minutes} min to run"] if page.about.minutes else []
    score = re.sub(r" ± \S+", "", score_of(page))
    return "; ".join(part for part in (", ".join(found), score) if part)
