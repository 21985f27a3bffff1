"""Writes the folder that Sphinx reads for the Chinese site, `zh/` of the English one.

Its pages are the notebooks in chapters/zh. What is not translated is linked in English.
"""

from __future__ import annotations

import html
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from kerasbook import contents
from kerasbook.contents import Page
from kerasbook.notebooks import conversion
from kerasbook.notebooks.index import score_of
from kerasbook.web import front, sources
from kerasbook.web.glossary import TERMS, chinese_glossary
from kerasbook.web.playgrounds import playgrounds

from markdown_it import MarkdownIt

HERE = Path(__file__).parent
SENTENCE = re.compile(r".+?[。？！]")
LETTERS_OF_A_CARD = 110
SCORES = {"test ": "测试集", "validation ": "验证集", "mae": "平均绝对误差", "accuracy": "准确率"}
SCORES |= {"loss": "损失", "miles per gallon": "英里/加仑"}
START = """
<p class="page-links"><a href="chapters/{first}.html">读第 1 章</a>
<a href="#playgrounds">玩玩训练好的模型</a> <a href="#chapters">各章</a>
<a href="#two-commands">该输入什么？</a></p>

"""
FRONT = """{introduction}

## 演练场

各章自己的模型，就在网页里运行：输入、画图、点任意一个数。页面目前只有英文。

{playgrounds}

## 各章

{chapters}

还没有译成中文的各章，请读英文版：

{english}

## 正文之外

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


def pages_of(checkout: Path) -> list[Page]:
    """Returns the pages that have a Chinese notebook."""
    folder = checkout / "chapters" / "zh"
    return [page for page in contents.pages().values() if (folder / f"{page.key}.ipynb").is_file()]


def documents(checkout: Path) -> list[str]:
    """Returns the names of the Chinese site's pages; without any translation there is none."""
    names = [f"chapters/{page.key}" for page in pages_of(checkout)]
    return ["index", "glossary", *names] if names else []


def write_sources(checkout: Path, folder: Path) -> None:
    """Writes all sources of the Chinese site."""
    for name in ("extra/notebooks", "extra/pictures", "chapters", "docs"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(HERE / "locale", folder / "locale")
    shutil.copy(checkout / TERMS, folder)
    for picture in (checkout / "docs").glob("*.png"):
        shutil.copy(picture, folder / "docs")
    found = pages_of(checkout)
    for page in found:
        write_notebook(page.key, checkout, folder)
    titles = {page.key: title_of(page, checkout) for page in found}
    (folder / "glossary.md").write_text(chinese_glossary(checkout, titles), encoding="utf-8")
    (folder / "index.md").write_text(front_page(checkout, folder, found), encoding="utf-8")


def write_notebook(key: str, checkout: Path, folder: Path) -> None:
    """Writes a page's notebook, and the one that a reader can download."""
    notebook = notebook_of(key, checkout)
    links = sources.page_links(key, "下载这个 notebook", "zh/")
    if (checkout / "chapters" / f"{key}_exercises.ipynb").is_file():
        links = sources.with_link(links, f"../../chapters/{key}_exercises.html", "练习（英文）")
    links = sources.with_link(links, f"../../chapters/{key}.html", "English", "en")
    lead = leading(checkout, checkout / "chapters" / "zh", "../../")
    sources.prepare(notebook, links, "", lead)
    sources.write_json(folder / "chapters" / f"{key}.ipynb", notebook)
    download = sources.without_outputs(notebook_of(key, checkout))
    sources.write_json(folder / "extra" / "notebooks" / f"{key}.ipynb", download)


def notebook_of(key: str, checkout: Path) -> dict:
    """Returns a Chinese notebook."""
    path = checkout / "chapters" / "zh" / f"{key}.ipynb"
    return json.loads(path.read_text(encoding="utf-8"))


def title_of(page: Page, checkout: Path) -> str:
    """Returns a Chinese page's title."""
    return notebook_of(page.key, checkout)["cells"][0]["source"][0].strip("# \n")


# --- links --------------------------------------------------------------------------------


def leading(checkout: Path, where: Path, up: str) -> Callable[[str], str]:
    """Returns what makes links of a Markdown text lead to a Chinese page, else to the English one.

    where: the folder that the text's links start from; up: from the page to the English site.
    """

    def lead(link: re.Match) -> str:
        path = (where / link["path"]).resolve().relative_to(checkout.resolve())
        text = MarkdownIt().renderInline(link["text"])
        if path.parts[:2] == ("chapters", "zh"):
            here = "" if up == "../../" else "chapters/"
            return f"[{link['text']}]({here}{path.name})"
        if path.suffix in (".md", ".ipynb"):
            return f'<a href="{up}{path.with_suffix(".html").as_posix()}">{text}</a>'
        if path.name in sources.LICENCE:
            return f'<a href="{up}licence.html">{text}</a>'
        if conversion.REPOSITORY:
            return f"[{link['text']}]({conversion.REPOSITORY}/blob/main/{path.as_posix()})"
        return link["text"]

    return lambda text: sources.LINK.sub(lead, text)


# --- the front page -----------------------------------------------------------------------


def front_page(checkout: Path, folder: Path, found: list[Page]) -> str:
    """Returns the front page, in Markdown; writes the cards' pictures."""
    text = (checkout / "README.zh.md").read_text(encoding="utf-8")
    readme = leading(checkout, checkout, "../")(front.LANGUAGE.sub("", text))
    missing = [page for page in contents.chapters().values() if page not in found]
    cards = [card(page, checkout, folder) for page in found if page.is_chapter]
    others = [page for page in found if not page.is_chapter]
    body = FRONT.format(
        introduction=front.with_start(readme.partition("\n## 阅读\n")[0], START, found[0]),
        chapters='<ul class="cards">\n' + "\n".join(cards) + "\n</ul>",
        english="\n".join(in_english(page) for page in missing),
        others="\n".join(
            [f"- [{title_of(one, checkout)}](chapters/{one.key}.ipynb)" for one in others]
            + ["- [术语表](glossary.md)"]
        ),
        playgrounds="\n".join(
            f'- <a href="../playgrounds/{one.name}.html?zh">{one.title}</a>：{one.chinese}'
            for one in playgrounds()
        ),
        practise=front.section(readme, "练习"),
    )
    parts = {
        "各章": [one for one in found if one.is_chapter],
        "正文之外": [one for one in found if not one.is_chapter],
    }
    entries = {
        caption: "\n".join(f"{title_of(one, checkout)} <chapters/{one.key}>" for one in pages)
        for caption, pages in parts.items()
    }
    entries["正文之外"] += "\nglossary"
    return body + "".join(TOCTREE.format(caption=c, entries=text) for c, text in entries.items())


def in_english(page: Page) -> str:
    """Returns the line of a page that is not translated."""
    title = html.escape(page.title)
    return f'- <a href="../chapters/{page.key}.html" lang="en" hreflang="en">{title}</a>'


def card(page: Page, checkout: Path, folder: Path) -> str:
    """Returns a chapter's card in HTML: picture, title, first sentences, minutes, score."""
    notebook = checkout / "chapters" / "zh" / f"{page.key}.ipynb"
    address = f"chapters/{page.key}.html"
    return (
        f'<li class="card"><a href="{address}">{front.picture(page, notebook, folder)}'
        f"<strong>{html.escape(title_of(page, checkout))}</strong></a>\n"
        f"<p>{front.first_sentences(notebook, SENTENCE, LETTERS_OF_A_CARD)}</p>\n"
        f'<p class="numbers">{html.escape(numbers(page, notebook))}</p></li>'
    )


def numbers(page: Page, notebook: Path) -> str:
    """Returns how long a chapter takes to read and to run, and its score."""
    reading = re.search(r"阅读约 (\d+) 分钟", front.first_cell(notebook))
    found = [f"阅读约 {reading[1]} 分钟"] if reading else []
    found += [f"运行约 {page.about.minutes} 分钟"] if page.about.minutes else []
    score = score_of(page)
    for english, words in SCORES.items():
        score = score.replace(english, words)
    return "；".join(part for part in ("，".join(found), score) if part)
