"""What the site is made of, on made-up pages; the whole site is in test_web_site.py."""

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

from kerasbook import contents
from kerasbook.exercises.cards import Card
from kerasbook.notebooks import conversion

import pytest
from typer.testing import CliRunner

pytest.importorskip("sphinx", reason="the extra `web` is not installed")
pytest.importorskip("py_mini_racer", reason="the extra `web` is not installed")

from kerasbook.cli import app
from kerasbook.web import (
    chinese,
    code,
    formulas,
    front,
    glossary,
    languages,
    links,
    pictures,
    playgrounds,
    site,
    sources,
)

from docutils import nodes
from docutils.core import publish_doctree
from docutils.utils import new_document
from pygments import highlight
from pygments.lexers import PythonLexer
from sphinx.errors import SphinxError

CHECKOUT = Path(__file__).parent.parent


# --- sources ------------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """Returns a folder with chapter 1's first cells and its exercises."""
    folder = tmp_path / "checkout"
    (folder / "chapters").mkdir(parents=True)
    for key in ("chapter1", "chapter1_exercises"):
        notebook = sources.notebook_of(key, CHECKOUT)
        notebook["cells"] = notebook["cells"][:6]
        sources.write_json(folder / "chapters" / f"{key}.ipynb", notebook)
    return folder


@pytest.fixture
def folder(tmp_path):
    """Returns an empty folder for what Sphinx reads."""
    folder = tmp_path / "sources"
    for name in ("extra/notebooks", "extra/pictures", "chapters"):
        (folder / name).mkdir(parents=True)
    return folder


def test_a_page_has_its_links_its_exercises_and_the_sentences_of_its_pictures(checkout, folder):
    sources.write_notebook("chapter1", True, checkout, folder)
    cells = json.loads((folder / "chapters/chapter1.ipynb").read_text())["cells"]
    assert cells[0]["source"].startswith("# Chapter 1. Linear regression\n\n<p class=")
    assert "../notebooks/chapter1.ipynb" in cells[0]["source"]
    assert "\nchapter1_exercises\n" in cells[0]["source"]
    with_picture = [cell for cell in cells if "alt" in cell["metadata"]]
    assert (
        with_picture[0]["metadata"]["mystnb"]["image"]["alt"] == with_picture[0]["metadata"]["alt"]
    )


def test_the_download_is_the_notebook_without_outputs(checkout, folder):
    sources.write_download("chapter1", checkout, folder)
    there = json.loads((checkout / "chapters/chapter1.ipynb").read_text())["cells"]
    got = json.loads((folder / "extra/notebooks/chapter1.ipynb").read_text())["cells"]
    assert [cell["source"] for cell in got] == [cell["source"] for cell in there]
    assert any(cell.get("outputs") for cell in there)
    assert not any(cell.get("outputs") for cell in got)


def test_a_page_of_exercises_has_specifications_and_folded_hints(checkout, folder):
    page = contents.find("chapter1")
    assert sources.write_exercises(page, checkout, folder) == 9
    text = (folder / "chapters/chapter1_exercises.md").read_text()
    assert text.startswith("# Exercises of chapter 1\n")
    assert text.count("{code-block} python") == 1  # one stub in the notebook's first six cells
    assert text.count("<details>") == 3
    assert "check(" not in text
    assert "Tolerance" in text


def test_hints_are_plain_text():
    card = Card("name", "Title", 1, 5, 1, 1, ["a * b_1 * c < $d$"])
    assert r"a \* b\_1 \* c \< \$d\$" in sources.folded(card)


def test_colab_is_linked_once_the_repository_is_known(monkeypatch):
    assert "colab" not in sources.page_links("chapter1")
    monkeypatch.setattr(conversion, "REPOSITORY", "https://github.com/someone/kerasbook")
    address = "https://colab.research.google.com/github/someone/kerasbook/blob/main/chapters/"
    assert f'href="{address}chapter1.ipynb"' in sources.page_links("chapter1")


@pytest.mark.parametrize(
    ("text", "without", "with_repository"),
    [
        ("[a](there.md#x)", "[a](there.md#x)", "[a](there.md#x)"),
        ("[a](code.py)", "a", "[a](https://example.org/blob/main/code.py)"),
        ("[a](https://b.org)", "[a](https://b.org)", "[a](https://b.org)"),
        ("[MIT](LICENSE)", "[MIT](licence.md)", "[MIT](licence.md)"),
        ("![a](picture.png)", "![a](picture.png)", "![a](picture.png)"),
    ],
)
def test_links_lead_to_pages_or_into_the_repository(
    text, without, with_repository, tmp_path, monkeypatch
):
    for name in ("there.md", "licence.md", "code.py"):
        (tmp_path / name).touch()
    assert sources.with_links_that_lead(text, tmp_path, tmp_path) == without
    monkeypatch.setattr(conversion, "REPOSITORY", "https://example.org")
    assert sources.with_links_that_lead(text, tmp_path, tmp_path) == with_repository


def test_a_smaller_picture_looks_the_same():
    from PIL import Image, ImageChops

    picture = Image.new("RGBA", (60, 40), "white")
    picture.paste((0, 114, 178, 255), (10, 10, 30, 30))
    content = io.BytesIO()
    picture.save(content, "PNG")
    small = Image.open(io.BytesIO(pictures.smaller(content.getvalue()))).convert("RGB")
    assert not ImageChops.difference(small, picture.convert("RGB")).getbbox()


# --- the front page -----------------------------------------------------------------------


def test_a_card_tells_what_the_chapter_asks_and_how_long_it_takes(checkout, folder):
    page = contents.find("chapter1")
    text = front.card(page, checkout, folder, 1)
    assert 'href="chapters/chapter1.html"' in text
    assert "<strong>1. Linear regression</strong>" in text
    assert "<p>How far does a car go on a gallon of petrol? Draw a straight line" in text
    sentences = re.search(r"<p>(How far.*?)</p>", text, re.DOTALL)[1]
    assert sentences.endswith(".")
    assert len(sentences) <= front.LETTERS_OF_A_CARD
    assert " miles per gallon</p>" in text
    assert " min to read, 1 min to run; test mae " in text
    assert ">1 exercise<" in text
    assert 'alt="Fuel economy against power' in text
    assert (folder / "extra/pictures/chapter1.png").read_bytes()[1:4] == b"PNG"


def test_the_front_page_has_the_readmes_words_and_every_page(folder):
    keys = {page: 0 for page in contents.pages() if sources.notebook_of(page, CHECKOUT)}
    (folder / "docs").mkdir()
    (folder / "docs" / "data.md").touch()
    text = front.front_page(CHECKOUT, folder, keys)
    assert text.startswith("# kerasbook\n")
    assert text.count("\npython -m pip install") == 2
    for key in keys:
        assert f"<chapters/{key}>" in text, key
    assert "docs/data" in text
    assert "made by tools" not in text  # the README's tables stay there


# --- the glossary -------------------------------------------------------------------------


@pytest.mark.parametrize("term", glossary.terms(), ids=lambda term: term.term)
def test_the_page_of_a_term_has_it(term):
    text = (
        "\n".join(
            line
            for line in contents.find(term.page).text.splitlines()
            if line.startswith(("#", "*"))
        )
        + contents.find(term.page).text.partition('\n"""\n')[0]
    )
    assert term.pattern.search(text.replace("\n# ", " "))
    assert term.meaning
    assert not term.meaning.endswith(".")


def test_no_term_stands_twice():
    names = [term.term.lower() for term in glossary.terms()]
    assert len(set(names)) == len(names)


RIDGE = glossary.Term("ridge", "chapter1", True, "a penalty")
TEXT = """
=====
Title
=====

ridge first

{heading}
---------

A ridge, a {emphasised} and ridges.
"""


@pytest.mark.parametrize(
    ("heading", "emphasised", "kind"),
    [
        ("Hills", "*ridge*", nodes.emphasis),
        ("Hills", "**ridges**", nodes.strong),
        ("A ridge", "hill", nodes.section),
        ("Hills", "hill", nodes.paragraph),
    ],
)
def test_a_term_is_found_where_it_is_explained(heading, emphasised, kind):
    doctree = publish_doctree(
        TEXT.format(heading=heading, emphasised=emphasised),
        settings_overrides={"doctitle_xform": False},
    )
    place = glossary.place_of(doctree, RIDGE)
    assert isinstance(place, kind)
    assert place.astext() != "ridge first"


def test_a_page_without_the_word_has_no_place():
    assert glossary.place_of(publish_doctree("hills"), RIDGE) is None


def test_the_first_use_is_linked_and_only_that():
    doctree = publish_doctree("``ridge`` Ridges and a ridge, a top-ridge")
    left = {"ridge": RIDGE}
    for text in list(doctree.findall(nodes.Text)):
        if not glossary.is_inside(text, glossary.NO_LINK_IN):
            glossary.link_first(text, left)
    found = list(doctree.findall(nodes.reference))
    assert [one.astext() for one in found] == ["Ridges"]
    assert found[0]["refuri"] == "chapter1.html#term-ridge"
    assert doctree.astext() == "ridge Ridges and a ridge, a top-ridge"


def test_a_function_has_an_anchor_where_it_is_defined_first():
    blocks = [
        nodes.literal_block(text=text) for text in ("def f():\n    def g(): 1\n", "def f(): 2")
    ]
    blocks.append(nodes.literal_block(text="class A:\n    def m(self): 3\n\n\ndef h(): 4"))
    doctree = publish_doctree("")
    doctree += blocks
    code.mark_definitions(None, doctree)
    assert [block["ids"] for block in blocks] == [["code-f"], [], ["code-A", "code-h"]]


# --- playgrounds --------------------------------------------------------------------------


def test_names_and_signs_need_no_span():
    content = highlight("total = function(1)", PythonLexer(), code.FewerSpans())
    assert "total = function(" in content
    assert '<span class="mi">1</span>' in content


def test_a_playground_is_linked_from_the_front_and_from_its_chapters(tmp_path):
    assert "../playgrounds/descent.html" in sources.page_links("chapter1")
    assert "playgrounds" not in sources.page_links("chapter9")
    assert "<em>not</em>" in playgrounds.cards("")
    assert all(f"x/{one.name}.html" in playgrounds.cards("x/") for one in playgrounds.playgrounds())
    (tmp_path / "extra").mkdir()
    playgrounds.write_playgrounds(CHECKOUT, tmp_path)
    page = (tmp_path / "playgrounds" / "descent.md").read_text()
    assert "Largest difference to Keras: " in page
    assert "{{" not in page
    assert "\ndescent\n" in (tmp_path / "playgrounds" / "index.md").read_text()


def test_a_playground_leads_to_its_chapters_and_says_what_it_shows_in_chinese(tmp_path):
    found = {one.name: one for one in playgrounds.playgrounds()}
    text = playgrounds.header(found["descent"], CHECKOUT)
    assert '<a href="../chapters/chapter1.html">1. Linear regression</a>' in text
    assert f'lang="zh-CN" hidden>{found["descent"].chinese}这一页目前只有英文。' in text
    assert '<a href="../zh/chapters/chapter1.html">' in text
    assert "../zh/" not in playgrounds.header(found["descent"], tmp_path)  # nothing is translated


def test_a_playground_of_a_trained_model_says_how_it_was_trained():
    text = playgrounds.difference("garments")
    assert "<code>python -m kerasbook.chapter3 --seed 0</code>" in text
    assert "then test accuracy 0.888." in text
    assert "The model:" not in playgrounds.difference("descent")


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_a_cell_that_a_playground_links_to_leads_back_to_it(language):
    doctree = publish_doctree("")
    block = nodes.literal_block(text="def sgd(): 1\n\ndef momentum(): 2")
    cell = nodes.container("", nodes.container("", block), classes=["cell"])
    doctree += [cell, nodes.literal_block(text="def no_playground_has_this(): 3")]
    app = SimpleNamespace(
        env=SimpleNamespace(docname="chapters/chapter2_training"),
        config=SimpleNamespace(language=language),
    )
    code.mark_definitions(app, doctree)
    (found,) = doctree.findall(nodes.raw)
    assert doctree.children.index(found) == 1
    address = (
        "../playgrounds/descent.html" if language == "en" else "../../playgrounds/descent.html?zh"
    )
    assert found.astext().count(f'<a href="{address}">') == 1


def test_the_link_to_chinese_leads_from_a_playground_to_its_chapter():
    assert languages.candidates("playgrounds/garments") == [
        "playgrounds/garments",
        "chapters/chapter3",
        "index",
    ]
    assert languages.candidates("glossary") == ["glossary", "index"]


def test_a_chinese_chapter_and_front_page_lead_to_the_playgrounds():
    links = sources.page_links("chapter1", "下载", "zh/")
    assert '<a href="../../playgrounds/descent.html?zh">演练场（英文）：Descent</a>' in links


# --- the Chinese site ---------------------------------------------------------------------

POOLING = glossary.ChineseTerm("pooling", "", True, "pooling，又名汇聚", "池化", ("汇聚",))


def test_other_names_of_a_term_are_shown_on_hover():
    doctree = publish_doctree("最大池化与池化")
    glossary.link_first(next(doctree.findall(nodes.Text)), {"pooling": POOLING})
    (found,) = doctree.findall(nodes.abbreviation)
    assert (found.astext(), found["explanation"]) == ("池化", "pooling，又名汇聚")
    assert doctree.astext() == "最大池化与池化"


def test_the_chinese_terms_know_the_pages_of_the_glossary():
    table = {term.term: term for term in glossary.chinese_terms(CHECKOUT / glossary.TERMS)}
    assert table["pooling"].page == "chapter3"
    assert table["pooling"].meaning == "pooling，又名汇聚"
    assert not table["batch"].linked  # a single character is part of other words
    assert table["Adam"].pattern.search("用 Adam 训练")
    assert not table["Adam"].pattern.search("用 AdamW 训练")


def test_the_chinese_glossary_leads_to_the_translated_pages():
    text = glossary.chinese_glossary(CHECKOUT, {"chapter1": "第 1 章"})
    assert '<a href="chapters/chapter1.html#term-gradient">第 1 章</a>' in text
    assert "| 池化 | pooling | 汇聚 |  |" in text


@pytest.mark.parametrize(
    ("text", "page", "leads"),
    [
        ("[甲](chapter1.ipynb)", "chapters/zh", "[甲](chapter1.ipynb)"),
        ("[`a`](../errata.ipynb)", "chapters/zh", '<a href="../../chapters/errata.html"><code>a'),
        ("[甲](../../docs/data.md)", "chapters/zh", '<a href="../../docs/data.html">甲</a>'),
        ("[甲](chapters/zh/chapter1.ipynb)", "", "[甲](chapters/chapter1.ipynb)"),
        ("[甲](LICENSE)", "", '<a href="../licence.html">甲</a>'),
        ("[甲](kerasbook/chapter1.py)", "", "甲"),
    ],
)
def test_links_of_a_chinese_page_lead_to_chinese_pages_or_to_english_ones(text, page, leads):
    up = "../../" if page else "../"
    assert chinese.leading(CHECKOUT, CHECKOUT / page, up)(text).startswith(leads)


@pytest.fixture
def chinese_checkout(checkout):
    """Returns the checkout with what the Chinese site is made of."""
    for name in ("chapters/zh", "translations/zh"):
        (checkout / name).mkdir(parents=True)
    notebook = chinese.notebook_of("chapter1", CHECKOUT)
    notebook["cells"] = notebook["cells"][:6]
    sources.write_json(checkout / "chapters/zh/chapter1.ipynb", notebook)
    for name in ("README.zh.md", "translations/zh/terms.csv"):
        (checkout / name).write_bytes((CHECKOUT / name).read_bytes())
    return checkout


def test_the_chinese_sources_are_the_chinese_pages(chinese_checkout, tmp_path):
    assert chinese.documents(chinese_checkout) == ["index", "glossary", "chapters/chapter1"]
    chinese.write_sources(chinese_checkout, tmp_path / "zh")
    first = json.loads((tmp_path / "zh/chapters/chapter1.ipynb").read_text())["cells"][0]["source"]
    assert first.startswith("# 第 1 章 线性回归\n\n<p class=")
    assert '<a href="../../chapters/chapter1.html" class="language" lang="en"' in first
    assert "chapter1_exercises.html" in first
    assert '<a href="../../playgrounds/descent.html?zh">演练场（英文）：' in first
    download = json.loads((tmp_path / "zh/extra/notebooks/chapter1.ipynb").read_text())
    assert not any(cell.get("outputs") for cell in download["cells"])
    index = (tmp_path / "zh/index.md").read_text()
    assert "[English]" not in index
    assert "<strong>第 1 章 线性回归</strong>" in index
    assert "<p>一加仑汽油能让一辆车跑多远？" in index
    assert "分钟；测试集平均绝对误差 2." in index
    assert '- <a href="../chapters/chapter4.html" lang="en"' in index
    assert '<a href="../playgrounds/descent.html?zh">Descent</a>：' in index


def test_the_front_pages_have_the_same_parts_in_the_same_order():
    english, chinese_ones = (re.findall(r"{(\w+)}", one.FRONT) for one in (front, chinese))
    assert [part for part in chinese_ones if part != "english"] == english  # so ids are the same


def test_without_translations_there_is_no_chinese_site(checkout):
    assert chinese.documents(checkout) == []


def test_a_translated_page_links_to_its_translation(chinese_checkout, folder):
    sources.write_notebook("chapter1", False, chinese_checkout, folder)
    assert "../zh/chapters/chapter1.html" in (folder / "chapters/chapter1.ipynb").read_text()


class App:
    """As much of Sphinx as the languages ask for."""

    def __init__(self, language, heading_ids, name="chapters/a"):
        pages = ["index", "chapters/a"]
        self.config = SimpleNamespace(
            language=language, heading_ids=heading_ids, chinese_pages=pages
        )
        self.env = SimpleNamespace(docname=name)


def test_headings_have_the_same_ids_in_both_languages(tmp_path):
    def page(text):
        return publish_doctree(text, settings_overrides={"doctitle_xform": False})

    ids = str(tmp_path / "ids.json")
    english, translated = App("en", ids), App("zh_CN", ids)
    languages.same_ids(english, page("Title\n=====\n\nA canyon\n--------\n"))
    languages.write_ids(english, None)
    doctree = page("标题\n====\n\n峡谷\n----\n")
    languages.same_ids(translated, doctree)
    assert [s["ids"] for s in doctree.findall(nodes.section)] == [["title"], ["a-canyon"]]


@pytest.mark.parametrize(
    ("language", "name", "address"),
    [
        ("en", "chapters/a", "../zh/chapters/a.html"),
        ("en", "chapters/b", "../zh/index.html"),
        ("en", "index", "zh/index.html"),
        ("zh_CN", "chapters/a", "../../chapters/a.html"),
        ("zh_CN", "index", "../index.html"),
    ],
)
def test_every_page_leads_to_the_other_language(language, name, address):
    context = {}
    languages.other_language(App(language, ""), name, "page.html", context, None)
    assert context["other_language"][2] == address


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("重置门", ["重置", "置门"]),
        ("用 GRU训练 2 轮", ["用", "GRU", "训练", "2", "轮"]),
        ("batch_order，学习率0.5", ["batch_order", "学习", "习率", "0", "5"]),
    ],
)
def test_chinese_is_cut_alike_in_the_index_and_in_what_is_typed(text, pieces):
    from py_mini_racer import MiniRacer

    assert languages.SearchPairs({}).split(text) == pieces
    with MiniRacer() as engine:
        engine.eval(languages.SearchPairs.js_splitter_code)
        assert list(engine.call("splitQuery", text)) == pieces


# --- links and formulas -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "address"),
    [
        ("np.where", "https://numpy.org/doc/stable/reference/generated/numpy.where.html"),
        ("keras.layers.GRU", f"{links.TENSORFLOW}/keras/layers/GRU"),
        ("keras.layers.GRU(64)", f"{links.TENSORFLOW}/keras/layers/GRU"),
        ("tf.GradientTape", f"{links.TENSORFLOW}/GradientTape"),
        ("model.fit", f"{links.TENSORFLOW}/keras/Model#fit"),
        ("keras.layers.NoSuchLayer", ""),
        ("keras.layers", ""),
        ("x.fit", ""),
    ],
)
def test_names_of_the_libraries_have_an_address(name, address):
    assert links.address_of(name) == address


def test_formulas_are_html_and_a_wrong_one_ends_the_build():
    renderer = formulas.Formulas()
    try:
        assert "<mfrac>" in renderer.render(r"\frac12", display=True)
        with pytest.raises(SphinxError, match="KaTeX cannot read"):
            renderer.render(r"\frac{1", display=False)
    finally:
        renderer.close()


@pytest.mark.parametrize(
    ("before", "behind", "unbroken"),
    [
        ("门（", "）。是", "（x）。"),
        ("门 ", "，是", "x，"),
        ("门（", " 是", "（x"),
        ("门 ", " 是", None),
        (None, "；是", "x；"),
        (None, None, None),
    ],
)
def test_a_formula_and_the_marks_beside_it_are_on_one_line(before, behind, unbroken):
    formula, document = nodes.math("", "x"), new_document("a")
    parts = [nodes.Text(part) for part in (before, behind) if part]
    parts.insert(1 if before else 0, formula)
    paragraph = nodes.paragraph("", "", *parts, nodes.emphasis("", "末"))
    document.append(paragraph)
    formulas.keep_marks(None, document, "a")
    assert paragraph.astext() == f"{before or ''}x{behind or ''}末"
    found = [one.astext() for one in paragraph.findall(nodes.inline) if one["classes"]]
    assert found == ([unbroken] if unbroken else [])
    assert formula in document.findall(nodes.math)


def test_a_formula_that_stays_with_its_mark_can_be_broken_between_its_pieces():
    renderer = formulas.Formulas()
    try:
        plain = renderer.render("a = b", display=False)
    finally:
        renderer.close()
    broken = formulas.with_breaks(plain)
    assert broken.count("<wbr>") == plain.count(formulas.PIECE) - 1 == 1
    assert broken.replace("<wbr>", "") == plain


# --- the commands -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "says"),
    [("empty", "run it in a checkout"), ("full", "choose an empty folder")],
)
def test_build_says_what_is_wrong(prepare, says, tmp_path, monkeypatch, checkout):
    monkeypatch.chdir(checkout if prepare == "full" else tmp_path)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "mine.txt").touch()
    result = CliRunner().invoke(app, ["web", "build", "--output", str(tmp_path / "site")])
    assert result.exit_code == 1
    assert says in result.stderr
    assert (tmp_path / "site" / "mine.txt").exists()


def test_serve_says_that_there_is_no_site(tmp_path):
    with pytest.raises(site.SiteError, match="kerasbook web build"):
        site.serve(tmp_path, 0)
