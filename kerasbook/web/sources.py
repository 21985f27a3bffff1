"""Writes the folder that Sphinx reads; it has the shape of the checkout, so that links hold.

Pages are found as everywhere, by kerasbook/contents.py, where their notebooks are there.
"""

from __future__ import annotations

import json
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

from kerasbook import contents
from kerasbook.contents import Page
from kerasbook.exercises.cards import Card, cards
from kerasbook.notebooks import conversion
from kerasbook.web.front import front_page
from kerasbook.web.glossary import glossary_page
from kerasbook.web.pictures import smaller
from kerasbook.web.playgrounds import playgrounds_of, write_playgrounds

HERE = Path(__file__).parent
TOP = ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")
LINK = re.compile(r"(?<!!)\[(?P<text>[^\]]*)\]\((?!https?:|#|mailto:)(?P<path>[^)#\s]+)[^)\s]*\)")
LICENCE = {"LICENSE": "licence.md", "NOTICE": "licence.md"}  # one page of both
EXERCISES = """# {title}

{links}

What stands under a title is the stub: its docstring is the whole specification. `kerasbook start
my-book` writes all stubs into files and notebooks, `kerasbook watch my-book` checks an answer at
every save. Try first; the hints go from a nudge to nearly the formula.
"""


def write_sources(checkout: Path, folder: Path) -> None:
    """Writes all sources of the site."""
    for name in ("extra/notebooks", "extra/pictures", "chapters"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(checkout / "docs", folder / "docs")
    shutil.copytree(HERE / "reference", folder / "reference")
    for name in TOP:
        shutil.copy(checkout / name, folder)
    found = [page for page in contents.pages().values() if notebook_of(page.key, checkout)]
    exercises = {page.key: write_exercises(page, checkout, folder) for page in found}
    for page in found:
        write_notebook(page.key, exercises[page.key] > 0, checkout, folder)
    write_playgrounds(checkout, folder)
    (folder / "glossary.md").write_text(glossary_page(found), encoding="utf-8")
    (folder / "licence.md").write_text(licence_page(checkout), encoding="utf-8")
    (folder / "index.md").write_text(front_page(checkout, folder, exercises), encoding="utf-8")
    for path in [*folder.glob("*.md"), *folder.glob("docs/*.md")]:
        text = path.read_text(encoding="utf-8")
        path.write_text(with_links_that_lead(text, path.parent, folder), encoding="utf-8")


def notebook_of(key: str, checkout: Path) -> dict | None:
    """Returns a committed notebook, or None if there is none."""
    path = checkout / "chapters" / f"{key}.ipynb"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


# --- a chapter ----------------------------------------------------------------------------


def write_notebook(key: str, has_exercises: bool, checkout: Path, folder: Path) -> None:
    """Writes a page's notebook, with links under its title and its pictures' alternatives."""
    notebook = notebook_of(key, checkout)
    assert notebook is not None
    links = page_links(key)
    if has_exercises:
        links = with_link(links, f"{key}_exercises.html", "Exercises")
    if (checkout / "chapters" / "zh" / f"{key}.ipynb").is_file():
        links = with_link(links, f"../zh/chapters/{key}.html", "中文", "zh-CN")
    child = f"\n\n```{{toctree}}\n:hidden:\n\n{key}_exercises\n```\n" if has_exercises else ""
    where = checkout / "chapters"
    prepare(notebook, links, child, lambda text: with_links_that_lead(text, where, checkout))
    write_json(folder / "chapters" / f"{key}.ipynb", notebook)
    write_download(key, checkout, folder)


def prepare(notebook: dict, links: str, child: str, lead: Callable[[str], str]) -> None:
    """Makes a committed notebook ready for Sphinx.

    links: what stands under its title; child: what stands at the end of its first cell; lead: what
    is done with the links of its text.
    """
    first = notebook["cells"][0]
    title, _, rest = "".join(first["source"]).partition("\n")
    first["source"] = f"{title}\n\n{links}\n{rest}{child}"
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = lead("".join(cell["source"]))
        if alt := cell["metadata"].get("alt"):
            cell["metadata"]["mystnb"] = {"image": {"alt": alt}}
        for output in cell.get("outputs", []):
            if png := output.get("data", {}).get("image/png"):
                output["data"]["image/png"] = b64encode(smaller(b64decode(png))).decode()


def write_download(key: str, checkout: Path, folder: Path) -> None:
    """Writes the notebook that a reader can download: without outputs, which running it makes."""
    notebook = notebook_of(key, checkout)
    assert notebook is not None
    write_json(folder / "extra" / "notebooks" / f"{key}.ipynb", without_outputs(notebook))


def without_outputs(notebook: dict) -> dict:
    """Returns a notebook whose outputs are taken away."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return notebook


def write_json(path: Path, notebook: dict) -> None:
    """Writes a notebook."""
    path.write_text(json.dumps(notebook, ensure_ascii=False), encoding="utf-8")


def page_links(key: str, download: str = "Download this notebook", folder: str = "") -> str:
    """Returns the line of links under a notebook's title, as HTML.

    folder: of the notebook within chapters/, as `zh/`.
    """
    links = (
        f'<p class="page-links"><a href="../notebooks/{key}.ipynb" download>{download}</a></p>\n'
    )
    if colab := conversion.colab_link(f"{folder}{key}.ipynb"):
        links = with_link(links, colab, "Open in Colab")
    for one in playgrounds_of(key):
        address, text = f"../playgrounds/{one.name}.html", f"Playground: {one.title}"
        if folder:
            address, text = f"../{address}?zh", f"演练场（英文）：{one.title}"
        links = with_link(links, address, text)
    return links


def with_link(links: str, address: str, text: str, language: str = "") -> str:
    """Returns the line of links with one more; a language marks that to the same page in it."""
    marks = f' class="language" lang="{language}" hreflang="{language}"' if language else ""
    return links.replace("</p>", f' <a href="{address}"{marks}>{text}</a></p>')


# --- its exercises ------------------------------------------------------------------------


def write_exercises(page: Page, checkout: Path, folder: Path) -> int:
    """Writes the page of a chapter's exercises; returns how many they are.

    It has the stubs of the committed notebook and the hints of the exercises' files, and neither
    checks nor solutions.
    """
    key = f"{page.key}_exercises"
    if (notebook := notebook_of(key, checkout)) is None:
        return 0
    hints = {name: card for name, card in cards().items() if card.key == page.key}
    title = f"Exercises of {contents.name_of(page.key)}"
    parts = [EXERCISES.format(title=title, links=page_links(key))]
    for cell in notebook["cells"][1:]:
        text = "".join(cell["source"])
        name = cell["metadata"].get("kerasbook", {}).get("question")
        if cell["cell_type"] == "markdown":  # "## 2. Title · ★☆☆ · 20 minutes · 2 points"
            parts.append(text.replace(" · ", "\n\n", 1))
        elif name:
            parts += [f"```{{code-block}} python\n:class: stub\n\n{text}\n```", folded(hints[name])]
    (folder / "chapters" / f"{key}.md").write_text("\n\n".join(parts), encoding="utf-8")
    write_download(key, checkout, folder)
    return len(hints)


def folded(card: Card) -> str:
    """Returns an exercise's hints, one behind the other."""
    return "\n\n".join(
        f"<details>\n<summary>Hint {number}</summary>\n\n{escaped(hint)}\n\n</details>"
        for number, hint in enumerate(card.hints, 1)
    )


def escaped(text: str) -> str:
    """Returns plain text as Markdown: stars and underscores of formulas stay what they are.

    >>> print(escaped("a * b_1 < c"))
    a \\* b\\_1 \\< c
    """
    return re.sub(r"([\\\\*_<>$\[\]|`#~])", r"\\\1", text)


# --- the rest -----------------------------------------------------------------------------


def licence_page(checkout: Path) -> str:
    """Returns the licence, and the list of what has one of its own."""
    texts = [(checkout / name).read_text(encoding="utf-8").rstrip() for name in LICENCE]
    return "# Licence\n\n```text\n{}\n```\n\n## What has its own\n\n```text\n{}\n```\n".format(
        *texts
    )


def with_links_that_lead(text: str, where: Path, folder: Path) -> str:
    """Returns Markdown whose links lead to pages of the site, or into the repository.

    While REPOSITORY is empty, a link to a file that is no page becomes plain text.
    """

    def lead(link: re.Match) -> str:
        path = (where / LICENCE.get(Path(link["path"]).name, link["path"])).resolve()
        if path.is_file() and path.suffix in (".md", ".ipynb"):
            return link[0].replace(link["path"], LICENCE.get(link["path"], link["path"]))
        if conversion.REPOSITORY:
            target = (where / link["path"]).resolve().relative_to(folder.resolve()).as_posix()
            return f"[{link['text']}]({conversion.REPOSITORY}/blob/main/{target})"
        return link["text"]

    return LINK.sub(lead, text)
