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

from kerasbook import contents

from markdown_it import MarkdownIt

HERE = Path(__file__).parent
SCRIPTS = HERE.parent / "static" / "playgrounds"
WEIGHTS = HERE.parent / "weights"
DIFFERENCES = HERE / "differences.json"  # written by `python tests/playground_checks.py`
HEAD = re.compile(r"---\n(.*?)---\n(.*)", re.DOTALL)
DIFFERENCE = """<p class="difference">Largest difference to Keras: {largest:.0e}, over {cases}
cases: {what}.</p>"""
MODEL = """<p class="difference">The model: <code>{command}</code>, its weights rounded to 16 bits;
then {score}.</p>"""
HEADER = """<p class="page-links">{links}</p>
<p class="in-chinese" lang="zh-CN" hidden>{chinese}这一页目前只有英文。{back}</p>"""
CELL = re.compile(r'href="\.\./chapters/(\w+)\.html#code-(\w+)"')


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
        return self.head("chapters").split()

    @property
    def chinese(self) -> str:
        """What it shows, in Chinese."""
        return self.head("zh")

    @property
    def cells(self) -> set[tuple[str, str]]:
        """The key of the page and the name, for each function of the chapters that it links to."""
        return set(CELL.findall(self.text))

    def head(self, name: str) -> str:
        """Returns a line of the file's head."""
        head = HEAD.fullmatch(self.path.read_text(encoding="utf-8"))[1]
        return re.search(rf"^{name}: (.+)$", head, re.MULTILINE)[1]


def playgrounds() -> list[Playground]:
    """Returns the playgrounds, in the order of their chapters."""
    found = [Playground(path) for path in HERE.glob("*.md") if path.stem != "index"]
    return sorted(found, key=lambda one: (one.chapters, one.name))


def playgrounds_of(key: str) -> list[Playground]:
    """Returns the playgrounds that show a chapter's models."""
    return [one for one in playgrounds() if key in one.chapters]


def write_playgrounds(checkout: Path, folder: Path) -> None:
    """Writes the playgrounds' pages, the page that lists them, and their weights."""
    (folder / "playgrounds").mkdir()
    for one in playgrounds():
        text = one.path.read_text(encoding="utf-8")
        text = text.replace("{{difference}}", difference(one.name))
        text = text.replace(f"# {one.title}\n", f"# {one.title}\n\n{header(one, checkout)}\n", 1)
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
    about = json.loads((WEIGHTS / "weights.json").read_text(encoding="utf-8")).get(name)
    lines = [DIFFERENCE.format(**found)]
    if about:
        ((what, score),) = about["score after rounding"].items()
        lines.append(MODEL.format(command=about["command"], score=f"{what} {score:.3f}"))
    return "\n".join(lines)


def header(one: Playground, checkout: Path) -> str:
    """Returns what stands under a playground's title: its chapters, and a word in Chinese."""
    pages = [contents.pages()[key] for key in one.chapters]
    links = [
        f'<a href="../chapters/{page.key}.html">{html.escape(page.short_title)}</a>'
        for page in pages
    ]
    back = [
        f'<a href="../zh/chapters/{page.key}.html">回到中文章节</a>。'
        for page in pages
        if (checkout / "chapters" / "zh" / f"{page.key}.ipynb").is_file()
    ]
    return HEADER.format(
        links="Read in the book: " + " ".join(links), chinese=one.chinese, back="".join(back[:1])
    )


def cards(to: str) -> str:
    """Returns the playgrounds as cards in HTML; `to` leads to their folder."""
    lines = [
        f'<li class="card"><a href="{to}{one.name}.html"><strong>{html.escape(one.title)}</strong>'
        f"</a>\n<p>{MarkdownIt().renderInline(one.sentence)}</p></li>"
        for one in playgrounds()
    ]
    return '<ul class="cards playgrounds">\n' + "\n".join(lines) + "\n</ul>"
