"""Two languages: headings with the same ids, links from page to page, and search in Chinese.

The English site is built first and leaves the ids of its headings in the file `heading_ids`; the
Chinese one takes them. So a link to a heading leads to the same one in either language.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from kerasbook.web.playgrounds import playgrounds

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish
from sphinx.util import logging
from sphinx.util.typing import ExtensionMetadata

HAN = "\u3400-\u9fff"
PIECES = re.compile(rf"[{HAN}]+|[^\W{HAN}]+")


def is_chinese(app: Sphinx) -> bool:
    """Returns whether this is the Chinese site."""
    return (app.config.language or "").startswith("zh")


# --- headings -----------------------------------------------------------------------------


def same_ids(app: Sphinx, doctree: nodes.document) -> None:
    """Gives a Chinese page's sections the ids of the English page's, or keeps the English ones."""
    name = app.env.docname
    sections = list(doctree.findall(nodes.section))
    if not is_chinese(app):
        known = getattr(app.env, "ids_of_headings", {})
        known[name] = [section["ids"][0] for section in sections]
        app.env.ids_of_headings = known
    elif ids := json.loads(Path(app.config.heading_ids).read_text(encoding="utf-8")).get(name):
        if len(ids) != len(sections) and name.startswith("chapters/"):
            what = "%s has %d headings, and %d in English"
            logging.getLogger(__name__).warning(what, name, len(sections), len(ids))
        for section, one in zip(sections, ids, strict=False):
            section["ids"] = [one]


def write_ids(app: Sphinx, error: Exception | None) -> None:
    """Writes the ids of the English headings, for the Chinese site."""
    if app.config.heading_ids and not is_chinese(app) and not error:
        text = json.dumps(app.env.ids_of_headings)
        Path(app.config.heading_ids).write_text(text, encoding="utf-8")


# --- from page to page --------------------------------------------------------------------


def other_language(app: Sphinx, name: str, template: str, context: dict, doctree) -> None:
    """Tells the template where the page is is in the other language, or what stands for it."""
    up = "../" * name.count("/")
    if is_chinese(app):
        context["other_language"] = ("en", "English", f"{up}../{name}.html")
    elif chinese := app.config.chinese_pages:
        page = next(one for one in candidates(name) if one in chinese)
        context["other_language"] = ("zh-CN", "中文", f"{up}zh/{page}.html")


def candidates(name: str) -> list[str]:
    """Returns what may stand for a page in Chinese: itself, a playground's chapters, the front."""
    folder, _, last = name.rpartition("/")
    of_playground = [one.chapters for one in playgrounds() if one.name == last]
    chapters = of_playground[0] if folder == "playgrounds" and of_playground else []
    return [name, *(f"chapters/{key}" for key in chapters), "index"]


# --- search -------------------------------------------------------------------------------


class SearchPairs(SearchEnglish):
    """Chinese text in pieces of two characters, in the index and in what is typed.

    So no dictionary must know a term, and what is typed is cut as the text was.
    """

    lang = "zh"
    js_splitter_code = """
const pieces = /[\\u3400-\\u9fff]+|(?:[^\\P{L}\\u3400-\\u9fff]|[\\p{N}_])+/gu;
var splitQuery = (query) =>
  (query.match(pieces) || []).flatMap((piece) =>
    /[\\u3400-\\u9fff]{2}/.test(piece)
      ? [...piece].slice(1).map((character, place) => piece[place] + character)
      : [piece]
  );
"""

    def split(self, input: str) -> list[str]:
        """Returns the pairs of Chinese characters and the other words of a text."""
        found = []
        for piece in PIECES.findall(input):
            pairs = [piece[place : place + 2] for place in range(len(piece) - 1)]
            found += pairs if re.match(f"[{HAN}]{{2}}", piece) else [piece]
        return found


def setup(app: Sphinx) -> ExtensionMetadata:
    """Registers it."""
    app.add_config_value("heading_ids", "", "env")
    app.add_config_value("chinese_pages", [], "env")
    app.add_search_language(SearchPairs)
    app.connect("doctree-read", same_ids, priority=400)  # before Sphinx collects them
    app.connect("build-finished", write_ids)
    app.connect("html-page-context", other_language)
    return {"parallel_read_safe": False, "parallel_write_safe": True}
