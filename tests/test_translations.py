"""The Chinese edition: a translation cannot go stale unseen, and keeps what it must keep."""

import json
from decimal import Decimal
from pathlib import Path

from kerasbook import contents
from kerasbook.cli import app
from kerasbook.translations import blocks, checks, edition, english, made, numbers, terms
from kerasbook.translations.blocks import Block, TranslationError
from kerasbook.translations.english import hash_of

import pytest
from typer.testing import CliRunner

CHECKOUT = Path(__file__).resolve().parent.parent
ONE = "# A line\n\nThe loss is $x$."
TWO = "## Two\n\nSee `fit`."
THREE = "Sixteen cars."
IN_CHINESE = ["# 一条直线\n\n损失是 $x$。", "## 二\n\n见 `fit`。", "共 16 辆车。"]
LOSS = terms.Term("loss", "损失", ("代价",), True, "")


@pytest.fixture
def page(tmp_path, monkeypatch):
    """Returns the cells of a made-up page `toy`, which a test may change."""
    monkeypatch.chdir(tmp_path)
    blocks.FOLDER.mkdir(parents=True)
    cells = [ONE, TWO, THREE]
    monkeypatch.setattr(english, "cells", lambda key: list(cells))
    monkeypatch.setattr(english, "keys", lambda: ["toy"])
    monkeypatch.setattr(terms, "terms", lambda: [LOSS])
    return cells


@pytest.fixture
def translation(page):
    """Returns the cells of the page, which is translated."""
    write(IN_CHINESE, page)
    assert edition.check("toy").problems == []
    return page


def write(texts, today):
    found = [Block(n, hash_of(today[n - 1]), False, text) for n, text in enumerate(texts, 1)]
    blocks.write("toy", found, today)


def run(*words):
    return CliRunner().invoke(app, ["translations", *words])


# --- the file -----------------------------------------------------------------------------


def test_a_file_is_what_it_was_written_from():
    written = [Block(1, "0123abcd", False, "一\n\n- 二"), Block(2, "4567abcd", True, "")]
    text = blocks.formatted(written, ["one", "two -- three"])
    assert blocks.parse(text) == written
    assert "<!-- English\ntwo -- three\n-->" in text
    assert "one" not in text


def test_text_before_the_first_header_is_refused():
    with pytest.raises(TranslationError, match="before the first header"):
        blocks.parse("标题\n<!-- 1 · en 0123abcd -->\n")


def test_every_cell_of_the_book_survives_as_a_comment():
    for key in contents.pages():
        cells = english.cells(key)
        new = blocks.updated([], cells)
        assert blocks.parse(blocks.formatted(new, cells)) == new, key


def test_the_sentences_of_pictures_are_translated_too():
    texts = english.cells("chapter1")
    assert texts[2].startswith("![Fuel economy against power of 236 cars")
    assert texts[2].endswith("](picture)")
    assert all("def " not in text for text in texts)


def test_the_readme_is_cut_at_its_headings_and_its_tables_are_names(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    cells = english.cells("README")
    assert [cell[:2] for cell in cells] == ["# "] + ["##"] * (len(cells) - 1)
    assert "<!-- made: results -->" in "".join(cells)
    assert "±" not in "".join(cells).partition("Scores are")[0]


def test_the_readmes_pictures_have_chinese_labels_where_there_are_some(page):
    Path("docs").mkdir()
    Path("docs/a.zh.png").touch()
    text = "![甲](docs/a.png)![乙](docs/b.png)"
    found = made.PICTURE.sub(made.with_chinese_picture, text)
    assert found == "![甲](docs/a.zh.png)![乙](docs/b.png)"


# --- stale, missing, superfluous, out of order --------------------------------------------


def problems():
    return " ".join(edition.check("toy").problems)


def test_a_changed_cell_is_stale_until_it_is_marked_and_then_translated(translation):
    translation[1] = "## Two\n\nSee `fit` and `predict`."
    assert "cell 2: is stale" in problems()
    assert run("check", "toy").exit_code == 1

    shown = run("update", "toy")
    assert "-See `fit`." in shown.stdout
    assert "+See `fit` and `predict`." in shown.stdout
    report = edition.check("toy")
    assert (report.current, report.problems) == (2, [])
    assert run("check", "toy").exit_code == 0
    assert blocks.read("toy")[1].text == IN_CHINESE[1]

    refused = run("accept", "toy", "2")
    assert refused.exit_code == 1
    assert "the code `predict` is missing" in refused.stderr
    path = blocks.path_of("toy")
    path.write_text(path.read_text().replace("见 `fit`。", "见 `fit` 和 `predict`。"))
    assert run("accept", "toy").exit_code == 0
    assert edition.check("toy").current == 3
    assert "English" not in path.read_text()


def test_other_line_breaks_are_no_change(translation):
    translation[1] = "## Two\nSee\n`fit`."
    assert problems() == ""


def test_a_new_cell_is_missing_and_the_others_are_numbered_anew(translation):
    translation.insert(1, "New.")
    assert "cell 2: is missing" in problems()
    run("update", "toy")
    new = blocks.read("toy")
    assert [block.pending for block in new] == [False, True, False, False]
    assert [block.text for block in new] == [IN_CHINESE[0], "", *IN_CHINESE[1:]]
    assert edition.check("toy").problems == []


def test_a_block_whose_cell_has_gone_is_superfluous_and_kept(translation):
    del translation[1]
    assert "block 2 belongs to no cell" in problems()
    assert "belongs to no cell: delete it" in run("update", "toy").stdout
    assert [block.text for block in blocks.read("toy")] == [
        IN_CHINESE[0],
        IN_CHINESE[2],
        IN_CHINESE[1],
    ]
    assert "block 3 belongs to no cell" in problems()


def test_blocks_out_of_order_are_seen_and_put_in_order(translation):
    translation.reverse()
    assert "out of order" in problems()
    run("update", "toy")
    assert problems() == ""
    assert [block.text for block in blocks.read("toy")] == IN_CHINESE[::-1]


def test_an_empty_block_is_no_translation(page):
    write(["", *IN_CHINESE[1:]], page)
    assert "cell 1: is empty" in problems()
    assert run("accept", "toy", "1").exit_code == 1


def test_english_that_was_changed_beside_the_translation_is_seen(translation):
    path = blocks.FOLDER / "toy.en.json"
    path.write_text(path.read_text().replace("Sixteen", "Seventeen"))
    assert "has another text" in problems()
    path.write_text("{}")
    assert "lacks" in problems()


def test_a_file_of_no_page_and_a_cell_that_is_not_there_are_said(page):
    (blocks.FOLDER / "other.md").touch()
    assert "other.md in" in run("check").stderr
    assert "its cells are 1 to 3" in run("accept", "toy", "9").stderr


# --- what a cell must keep ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ("loss $x$", "损失 $x$", None),
        ("$x$ and it", "$x$，还是 $x$", None),
        ("$x$", "$y$", "the formula x is missing"),
        ("$$a\n+ b$$", "$$a + b$$", None),
        ("$$a + b$$", "$$a - b$$", "the formula a - b is not in the English"),
        (r"$$\text{same: } a$$", r"$$\text{相同：}a$$", None),
        ("`fit`", "拟合", "the code `fit` is missing"),
        ("```sh\npip\n```", "```sh\npip 3\n```", "the block of code pip\n is missing"),
        ("[a](b.ipynb)", "[甲](b.ipynb)", None),
        ("[a](b.ipynb)", "[甲](c.ipynb)", "the link to b.ipynb is missing"),
        ("![a](b.png)", "甲", "the link to b.png is missing"),
        ("<!-- made: results -->", "", "the mark <!-- made: results --> is missing"),
        ("## A\n\n### B", "## 甲\n\n## 乙", "headings are ['h2', 'h2']"),
        ("|a|b|\n|-|-|\n|c|d|", "|甲|乙|\n|-|-|", "tables are [(1, 2)]"),
        ("the losses", "它们", "'loss' should be 损失"),
        ("the losses", "这个代价", "代价 should be 损失"),
        ("the price", "代价", None),
        ("Sixteen cars", "17 辆车", "the number 16 is missing"),
        ("A loss, a slope", "损失,斜率", "half width"),
        ("the loss", "损失（也叫代价）", None),
        ("`loss`", "`loss`", None),
    ],
)
def test_formulas_code_links_headings_tables_and_terms_are_kept(one, other, says, page):
    found = checks.differences(one, other)
    assert found == [] if says is None else any(says in line for line in found), found


@pytest.mark.parametrize(
    ("one", "other", "missing", "extra"),
    [
        ("12,000 of 70,000", "70,000 里的 1.2 万", [], []),
        ("sixteen digits", "16 位", [], []),
        ("sixteen digits", "十六位", [], []),
        ("sixteen digits", "17 位", [16], [17]),
        ("eight\nthousand million steps", "80 亿步", [], []),
        ("two of them", "其中 2 个", [], []),
        ("above a hundred", "超过一百", [], []),
        ("80 % in 1997", "1997 年的 80%", [], []),
        ("by 2.5, on 29 October", "10 月 29 日，2.5", [], []),
        ("175 billion", "1750 亿", [], []),
        ("175 billion", "175 亿", [175 * 10**9], [175 * 10**8]),
        ("`float32` and GPT-3", "`float32` 与 GPT-3", [], []),
        ("![16 cars](picture)", "![16 辆车](picture)", [], []),
        ("![16 cars](picture)", "![车](picture)", [16], []),
        ("many", "几十个，一些，十分", [], []),
        ("many", "五十个", [], [50]),
        ("Rates of 0.02 and 1.05.", "0.02 和 1.05。", [], []),
        ("Rates of 0.02 and 1.05.", "0.02 和 1.5。", [Decimal("1.05")], [Decimal("1.5")]),
    ],
)
def test_numbers_are_kept_by_value(one, other, missing, extra):
    must, may = numbers.of_english(checks.prose(one))
    digits, numerals = numbers.of_chinese(checks.prose(other))
    assert must - digits - numerals == {Decimal(number) for number in missing}
    lines = numbers.differences(checks.prose(one), checks.prose(other))
    assert len(lines) == len(missing) + len(extra), (lines, may)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("**门控循环单元**（GRU）是 `GRU`，公式为 $h_t$。", None),
        ("**门控循环单元（GRU）**是", "a star that stays"),
        ("**注意：**不要", "a star that stays"),
        ("*强调。*这里", "a star that stays"),
        ("![一件 T恤，**线（直）**是](picture)", "a star that stays"),
        ("梯度$x$的", "no blank between"),
        ("学习率 0.1的", "no blank between"),
        ("用`fit` 训练", "no blank between"),
        ("一件 T恤、一条裤子", None),
        ("损失,梯度", "half width"),
        ("损失(loss)", "half width"),
        ("损失， 梯度", "a blank beside"),
        ("形状是 (n, d)，一行", None),
        ("损失\n梯度", "broken within a paragraph"),
        ("- 损失\n- 梯度\n\n$$a,\n\\qquad b$$", None),
    ],
)
def test_markdown_that_would_show_wrong_is_refused(text, says):
    found = checks.faults(text)
    assert found == [] if says is None else any(says in line for line in found), found


def test_the_first_use_of_a_term_has_its_english(monkeypatch):
    gradient = terms.Term("gradient", "梯度", (), True, "")
    monkeypatch.setattr(terms, "terms", lambda: [gradient, LOSS])
    with_it, without = ([Block(1, "0123abcd", False, t)] for t in ("**梯度**（gradient）", "梯度"))
    assert terms.not_introduced("chapter1", with_it) == []
    assert "梯度（gradient）" in terms.not_introduced("chapter1", without)[0]
    assert terms.not_introduced("chapter2", without) == []  # which does not explain it


# --- what is made of it -------------------------------------------------------------------


@pytest.fixture
def book(translation, monkeypatch):
    """Returns the cells of the translated page, which is now `notation`, with a notebook."""
    monkeypatch.setattr(english, "keys", lambda: ["README", "notation"])
    monkeypatch.setattr(english, "cells", lambda key: list(translation) if key != "README" else [])
    for path in blocks.FOLDER.glob("toy*"):
        path.rename(path.with_name(path.name.replace("toy", "notation")))
    code = {"cell_type": "code", "metadata": {}, "source": ["1"], "outputs": [{"text": "loss"}]}
    prose = [{"cell_type": "markdown", "metadata": {}, "source": [cell]} for cell in translation]
    notebook = {"cells": [*prose[:2], code, prose[2]]}
    notebook["metadata"] = {"kerasbook": {"minutes": 1}}
    made.CHAPTERS.mkdir()
    (made.CHAPTERS / "notation.ipynb").write_text(json.dumps(notebook))
    Path("README.md").write_text("# A\n\n" + made.COUNT.format("none\n") + "\n")
    return translation


def chinese():
    """Returns the cells of the Chinese notebook, as texts."""
    text = (made.FOLDER / "notation.ipynb").read_text(encoding="utf-8")
    return ["".join(cell["source"]) for cell in json.loads(text)["cells"]]


def test_a_notebook_has_the_english_code_and_the_chinese_prose(book):
    run("build")
    assert chinese()[0].startswith("# 一条直线\n\n损失是 $x$。\n\n<details>")
    assert chinese()[1:] == [IN_CHINESE[1], "1", IN_CHINESE[2]]
    assert "3 of 3 cells are current" in Path("README.md").read_text()
    assert run("check").exit_code == 0


def test_a_stale_cell_is_shown_in_english_with_a_line_in_chinese(book):
    book[1] = "## Two\n\nSee `fit` and `predict`."
    assert run("check").exit_code == 1
    run("update", "notation")
    assert "run `kerasbook translations build`" in run("check").stderr
    run("build")
    assert chinese()[1] == f"## Two\n\n{made.STALE}\n\nSee `fit` and `predict`."
    assert "2 of 3 cells are current" in Path("README.md").read_text()
    assert run("check").exit_code == 0


def test_a_notebook_that_was_changed_or_belongs_to_nothing_is_seen(book):
    run("build")
    path = made.FOLDER / "notation.ipynb"
    path.write_text(path.read_text().replace("损失", "代价"))
    (made.FOLDER / "other.ipynb").touch()
    complaints = run("check").stderr
    assert "notation.ipynb is not what the translations make" in complaints
    assert "other.ipynb has no translation: delete it" in complaints


@pytest.mark.parametrize(
    ("text", "leads"),
    [
        ("[甲](notation.ipynb)", "[甲](notation.ipynb)"),
        ("[甲](errata.ipynb)", "[甲](../errata.ipynb)"),
        ("[甲](../docs/data.md#x)", "[甲](../../docs/data.md#x)"),
        ("[甲](https://a.org/b) [乙](#c)", "[甲](https://a.org/b) [乙](#c)"),
    ],
)
def test_links_lead_to_the_chinese_page_where_there_is_one(text, leads):
    assert made.with_links(text, {"notation"}) == leads


# --- the edition --------------------------------------------------------------------------


def test_every_translation_is_current_or_marked(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    for key in edition.translated():
        assert edition.check(key).problems == []


def test_everything_that_is_made_of_the_translations_is_of_today(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    assert made.problems() == []


def test_code_and_outputs_are_those_of_the_english_notebooks():
    for path in (CHECKOUT / "chapters" / "zh").glob("*.ipynb"):
        ours, theirs = (
            [cell for cell in json.loads(one.read_text())["cells"] if cell["cell_type"] == "code"]
            for one in (path, CHECKOUT / "chapters" / path.name)
        )
        for cell, english_cell in zip(ours, theirs, strict=True):
            for one in (cell, english_cell):
                one["metadata"].pop("alt", None)
            for output, other in zip(cell["outputs"], english_cell["outputs"], strict=True):
                if about := output.get("metadata", {}).pop("kerasbook", None):
                    png = "".join(other["data"].pop("image/png"))
                    assert made.hash_of(png) == about["english"], path.name
                    assert output["data"].pop("image/png") != png, path.name
        assert ours == theirs, path.name


def test_a_picture_is_exchanged_where_its_english_one_is_the_same(book):
    path = made.CHAPTERS / "notation.ipynb"
    notebook = json.loads(path.read_text())
    pictures = [{"data": {"image/png": png}, "metadata": {}} for png in ("one", "two")]
    notebook["cells"][2]["outputs"] = pictures
    path.write_text(json.dumps(notebook))
    drawn = {"png": "一", "missing": ["wombats"]}
    try:
        made.keep_picture("notation", made.hash_of("one"), drawn)
        made.keep_picture("notation", made.hash_of("three"), drawn)
        run("build")
    finally:
        made.DRAWN.clear()
    for _ in range(2):  # kept by a later build too
        cells = json.loads((made.FOLDER / "notation.ipynb").read_text())["cells"]
        assert [one["data"]["image/png"] for one in cells[2]["outputs"]] == ["一", "two"]
        assert "labels.csv of plotting lacks 'wombats'" in run("check").stderr
        made.build()


def test_no_term_stands_twice_and_every_word_is_one_terms(monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    names = [term.english.lower() for term in terms.terms()]
    assert len(set(names)) == len(names)
    ours = {term.chinese for term in terms.terms()}
    assert not ours & {other for term in terms.terms() for other in term.others}
