"""What the site is made of, on made-up pages; the whole site is in test_web_site.py."""

import io
import json
import re
from pathlib import Path

from kerasbook import contents
from kerasbook.exercises.cards import Card
from kerasbook.notebooks import conversion

import pytest
from typer.testing import CliRunner

pytest.importorskip("sphinx", reason="the extra `web` is not installed")
pytest.importorskip("py_mini_racer", reason="the extra `web` is not installed")

from kerasbook.cli import app
from kerasbook.web import formulas, front, glossary, links, site, sources

from docutils import nodes
from docutils.core import publish_doctree
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
    small = Image.open(io.BytesIO(sources.smaller(content.getvalue()))).convert("RGB")
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
    assert text.count("python -m pip install") == 2
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
