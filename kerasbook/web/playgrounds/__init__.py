"""The playgrounds: pages with the book's models in JavaScript.

A playground is a page in this folder, with its scripts in static/playgrounds and its weights in
weights. It is found by its file's name; the head of the page names its chapters.
"""

from __future__ import annotations

import functools
import html
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

HERE = Path(__file__).parent
SCRIPTS = HERE.parent / "static" / "playgrounds"
WEIGHTS = HERE.parent / "weights"
DIFFERENCES = HERE / "differences.json"  # written by `python tests/playground_checks.py`
HEAD = re.compile(r"---\n(.*?)---\n(.*)", re.DOTALL)
DIFFERENCE = """<p class="difference">Largest difference to Keras: {largest:.0e}, over {cases}
cases: {what}.</p>"""


@dataclass(frozen=True)
class Playground:
    """A playground's page."""

    path: Path

    @property
    def name(self) -> str:
        """The name of its file: `descent`."""
        return self.path.stem

    @functools.cached_property
    def text(self) -> str:
        """The page without its head."""
        return HEAD.fullmatch(self.path.read_text(encoding="utf-8"))[2]

    @property
    def title(self) -> str:
        """Its first heading."""
        return self.text.partition("\n")[0].lstrip("# ")

    @property
    def sentence(self) -> str:
        """The first sentence of its first paragraph."""
        paragraph = self.text.split("\n\n")[1].replace("\n", " ")
        return re.match(r".+?[.?!](?=\s|$)", paragraph)[0]

    @property
    def chapters(self) -> list[str]:
        """The keys of the chapters whose models it shows."""
        head = HEAD.fullmatch(self.path.read_text(encoding="utf-8"))[1]
        return re.search(r"^chapters: (.+)$", head, re.MULTILINE)[1].split()


def playgrounds() -> list[Playground]:
    """Returns the playgrounds, in the order of their chapters."""
    found = [Playground(path) for path in HERE.glob("*.md") if path.stem != "index"]
    return sorted(found, key=lambda one: (one.chapters, one.name))


def playgrounds_of(key: str) -> list[Playground]:
    """Returns the playgrounds that show a chapter's models."""
    return [one for one in playgrounds() if key in one.chapters]


def write_playgrounds(folder: Path) -> None:
    """Writes the playgrounds' pages, the page that lists them, and their weights."""
    (folder / "playgrounds").mkdir()
    for one in playgrounds():
        text = one.path.read_text(encoding="utf-8")
        text = text.replace("{{difference}}", difference(one.name))
        (folder / "playgrounds" / one.path.name).write_text(text, encoding="utf-8")
    index = (HERE / "index.md").read_text(encoding="utf-8").replace("{{cards}}", cards(""))
    names = "\n".join(one.name for one in playgrounds())
    toctree = f"\n```{{toctree}}\n:hidden:\n\n{names}\n```\n"
    (folder / "playgrounds" / "index.md").write_text(index + toctree, encoding="utf-8")
    if WEIGHTS.is_dir():
        shutil.copytree(WEIGHTS, folder / "extra" / "weights")


def difference(name: str) -> str:
    """Returns the line that says how far a playground is from Keras, by the last comparison."""
    found = json.loads(DIFFERENCES.read_text(encoding="utf-8"))[name]
    return DIFFERENCE.format(**found)


def cards(to: str) -> str:
    """Returns the playgrounds as cards in HTML; `to` leads to their folder."""
    lines = [
        f'<li class="card"><a href="{to}{one.name}.html"><strong>{html.escape(one.title)}</strong>'
        f"</a>\n<p>{MarkdownIt().renderInline(one.sentence)}</p></li>"
        for one in playgrounds()
    ]
    return '<ul class="cards playgrounds">\n' + "\n".join(lines) + "\n</ul>"
