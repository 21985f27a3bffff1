"""What is made of the translations: the notebooks of `chapters/zh`, README.zh.md, a line of README.

A notebook is the executed English one with its prose exchanged, so that code and outputs are the
same to the byte, but for pictures that the same execution has drawn with Chinese labels too. A cell
without a translation of today's English appears in English, marked.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from kerasbook import __version__, contents
from kerasbook.files import atomic_path
from kerasbook.notebooks import conversion
from kerasbook.notebooks.chinese import hash_of
from kerasbook.translations import blocks, english
from kerasbook.translations.blocks import TranslationError
from kerasbook.translations.edition import check, is_current, translated

CHAPTERS = Path("chapters")
FOLDER = CHAPTERS / "zh"
STALE = "*此段英文已更新，译文待补。*"
IN_ENGLISH = (
    "In Chinese: [README.zh.md](README.zh.md), with {pages} pages in [chapters/zh](chapters/zh). "
    "{current} of {cells} cells are current."
)
IN_CHINESE = "中文版已有：{links}。共 {cells} 段，{current} 段是最新的。"
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)\s#]+)([^)\s]*)\)")
PICTURE = re.compile(r"\]\((docs/[^)]*)\.png\)")
COUNT = (
    "<!-- translations: made by kerasbook translations build -->\n{}<!-- end of translations -->"
)
COUNT_FOUND = re.compile(COUNT.format("(?:.*\n)*?"))
HOW_TO_RUN = """<details>
<summary>需要多少时间，怎样运行</summary>

阅读约 {reading} 分钟{running}。

运行需要 Python 3.11 到 3.13，不需要网络。在 kerasbook 的目录里先运行 \
`python -m pip install ".[notebook]"`，再运行 `jupyter lab`。{colab}

这个 notebook 的源文件是 `{source}`{program}。代码和输出与英文版完全相同。

</details>"""


def texts(key: str) -> list[str]:
    """Returns what stands in each cell of the Chinese page: its translation, or marked English."""
    today = english.cells(key)
    found, _ = blocks.aligned(blocks.read(key), today)
    return [
        block.text if block and is_current(block, text) else marked(text)
        for block, text in zip(found, today, strict=True)
    ]


def marked(text: str) -> str:
    """Returns English text with a line in Chinese that says why, under a heading it begins with."""
    if text.startswith("![") and text.endswith("](picture)"):
        return text
    heading, _, rest = text.partition("\n") if text.startswith("#") else ("", "", text)
    return "\n\n".join(part for part in (heading, STALE, rest.strip()) if part)


# --- notebooks ----------------------------------------------------------------------------


def notebook_text(key: str) -> str:
    """Returns the Chinese notebook of a page, as it is written into its file."""
    path = conversion.path_of(contents.find(key), CHAPTERS)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    exchange_pictures(notebook, pictures_of(key) | DRAWN.get(key, {}))
    pages = set(translated())
    chinese = texts(key)
    there = [english.text_of(cell) for cell in notebook["cells"]]
    if sum(map(bool, there)) != len(chinese):
        raise TranslationError(f"{path} is not of today: run `kerasbook notebooks build {key}`")
    for cell in notebook["cells"]:
        if not english.text_of(cell):
            continue
        text = chinese.pop(0)
        if cell["cell_type"] == "code":
            cell["metadata"]["alt"] = text.removeprefix("![").removesuffix("](picture)")
        else:
            cell["source"] = with_links(text, pages).splitlines(keepends=True)
    first = notebook["cells"][0]["source"]
    first.append("\n\n" + how_to_run(key, notebook))
    notebook["cells"][0]["source"] = "".join(first).splitlines(keepends=True)
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


# What an execution has drawn with Chinese labels: per page, by the hash of the English picture.
DRAWN: dict[str, dict[str, dict]] = {}


def keep_picture(key: str, digits: str, picture: dict) -> None:
    """Takes a picture with Chinese labels, until the notebooks are made."""
    DRAWN.setdefault(key, {})[digits] = picture


def pictures_of(key: str) -> dict[str, dict]:
    """Returns the pictures with Chinese labels that the page's Chinese notebook has already."""
    path = FOLDER / f"{key}.ipynb"
    if not path.is_file():
        return {}
    found = {}
    for output in outputs_of(json.loads(path.read_text(encoding="utf-8"))):
        if about := output["metadata"].get("kerasbook"):
            png = "".join(output["data"]["image/png"])
            found[about["english"]] = {"png": png, "missing": about.get("missing", [])}
    return found


def exchange_pictures(notebook: dict, drawn: dict[str, dict]) -> None:
    """Puts pictures with Chinese labels in the place of the English ones they belong to."""
    for output in outputs_of(notebook):
        digits = hash_of("".join(output["data"]["image/png"]))
        if picture := drawn.get(digits):
            output["data"]["image/png"] = picture["png"]
            about = {"english": digits} | ({"missing": m} if (m := picture["missing"]) else {})
            output["metadata"]["kerasbook"] = about


def outputs_of(notebook: dict) -> list[dict]:
    """Returns the outputs of a notebook that have a picture."""
    cells = (cell.get("outputs", []) for cell in notebook["cells"])
    return [one for outputs in cells for one in outputs if "image/png" in one.get("data", {})]


def with_links(text: str, pages: set[str]) -> str:
    """Returns Markdown of chapters/ for chapters/zh: links to pages without translation lead up."""

    def lead(link: re.Match) -> str:
        is_there = link[1].removesuffix(".ipynb") in pages or link[1] == "picture"
        return link[0] if is_there else f"](../{link[1]}{link[2]})"

    return LINK.sub(lead, text)


def how_to_run(key: str, notebook: dict) -> str:
    """Returns the end of the first cell, folded: how long the page takes, and how to run it."""
    page = contents.find(key)
    prose, code = (
        ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == kind]
        for kind in ("markdown", "code")
    )
    characters = len(re.findall("[\u4e00-\u9fff]", "".join(prose)))
    lines = sum(len(source.splitlines()) for source in code)
    minutes = notebook["metadata"]["kerasbook"]["minutes"]
    return HOW_TO_RUN.format(
        reading=max(1, round(characters / 300 + lines / 20)),
        running=f"，在两个 CPU 核上运行约 {minutes} 分钟" if minutes and code else "",
        colab=in_colab(key),
        source=conversion.source_of(page),
        program=f"；作为程序运行是 `python -m {page.module}`" if page.is_chapter else "",
    )


def in_colab(key: str) -> str:
    """Returns how to bring the notebook into Colab: a link, where the repository is known."""
    if link := conversion.colab_link(f"zh/{key}.ipynb"):
        return f"[在 Colab 里]({link})，第一个代码格会安装本书，需要时重启运行环境，并提示你。"
    return (
        "在 Colab 里，上传这个 notebook 和 `python -m pip wheel --no-deps .` 生成的 wheel，"
        f"先运行 `%pip install kerasbook-{__version__}-py3-none-any.whl`。"
    )


# --- the README ---------------------------------------------------------------------------


def readme_text() -> str:
    """Returns README.zh.md: the translation, with the tables that tools have made."""
    readme = Path("README.md").read_text(encoding="utf-8")
    tables = {found[1]: found[0] for found in english.MADE.finditer(readme)}
    tables["translations"] = COUNT.format(counted(IN_CHINESE, "、"))
    text = "\n\n".join(texts(english.README)) + "\n"
    for name, table in tables.items():
        text = text.replace(f"<!-- made: {name} -->", table)
    for key in translated():
        text = text.replace(f"](chapters/{key}.ipynb)", f"](chapters/zh/{key}.ipynb)")
        if key != english.README:
            text = text.replace(f"[{contents.find(key).short_title}](", f"[{title_of(key)}](")
    text = PICTURE.sub(with_chinese_picture, text)
    return text.replace("](README.zh.md)", "](README.md)")


def with_chinese_picture(link: re.Match) -> str:
    """Returns the link to a picture, or to the same with Chinese labels: docs/a.zh.png."""
    chinese = f"{link[1]}.zh.png"
    return f"]({chinese})" if Path(chinese).is_file() else link[0]


def title_of(key: str) -> str:
    """Returns the title of a Chinese page."""
    return texts(key)[0].partition("\n")[0].lstrip("# ")


def counted(sentence: str, between: str) -> str:
    """Returns the sentence with the translated pages' links, and the cells and those current."""
    keys = [key for key in translated() if key != english.README]
    reports = [check(key) for key in translated()]
    links = between.join(f"[{title_of(key)}](chapters/zh/{key}.ipynb)" for key in keys)
    cells, current = (sum(getattr(one, what) for one in reports) for what in ("cells", "current"))
    return sentence.format(links=links, pages=len(keys), cells=cells, current=current) + "\n"


# --- all files ----------------------------------------------------------------------------


def files() -> dict[Path, str]:
    """Returns all files that are made of the translations, and what they hold."""
    keys = translated()
    made = {FOLDER / f"{key}.ipynb": notebook_text(key) for key in keys if key != english.README}
    if english.README in keys:
        made[Path("README.zh.md")] = readme_text()
    readme = Path("README.md").read_text(encoding="utf-8")
    line = COUNT.format(counted(IN_ENGLISH, ", "))
    made[Path("README.md")] = COUNT_FOUND.sub(lambda _: line, readme)
    return made


def build() -> list[Path]:
    """Writes what is made of the translations; returns the paths that have changed."""
    changed = {path: text for path, text in files().items() if differs(path, text)}
    for path, text in changed.items():
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return list(changed)


def differs(path: Path, text: str) -> bool:
    """Returns whether a file is missing or holds something else."""
    return not path.is_file() or path.read_text(encoding="utf-8") != text


def problems() -> list[str]:
    """Returns a line for each file that is not what the translations make."""
    made = files()
    old = [path for path, text in made.items() if differs(path, text)]
    left = sorted(set(FOLDER.glob("*.ipynb")) - set(made))
    return (
        [
            f"{path} is not what the translations make: run `kerasbook translations build`"
            for path in old
        ]
        + [f"{path} has no translation: delete it" for path in left]
        + unknown_labels()
    )


def unknown_labels() -> list[str]:
    """Returns a line for each label of a Chinese picture that has no Chinese."""
    found = []
    for key in translated():
        words = {word for one in pictures_of(key).values() for word in one["missing"]}
        found += [f"{key}: labels.csv of plotting lacks {word!r}" for word in sorted(words)]
    return found
