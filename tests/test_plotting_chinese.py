"""Pictures with Chinese labels: every label exchanged, and nothing of the figure changed."""

import base64
import csv
import importlib.util
from pathlib import Path

from kerasbook import plotting
from kerasbook.notebooks import chinese as in_notebooks
from kerasbook.notebooks import execution
from kerasbook.plotting import chinese

import matplotlib.pyplot as plt
import nbformat
import pytest
from fontTools.ttLib import TTFont
from matplotlib.text import Text

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def figure():
    """Yields a figure with labels, a formula, a legend and words at its ticks."""
    figure, ax = plt.subplots(layout="constrained")
    ax.plot([0, 1], [0, 1], label="learning rate 0.2")
    plotting.plot_lines({}, x_label="power (hp)", y_label="loss, log scale", ax=ax)
    ax.set_title("minimum $x^2$")
    ax.set_xticks([0, 1], ["training", "test"])
    ax.legend()
    yield figure
    plt.close(figure)


def words(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text().strip()]


# --- the words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "words", "missing"),
    [
        ("power (hp)", "功率（hp）", []),
        ("mean squared error (mpg²), log scale", "均方误差（mpg²），对数刻度", []),
        ("best 3.2 at epoch 7", "最好 3.2，第 7 轮", []),
        ("fuel\neconomy", "燃油经济性", []),
        ("true value (mpg)", "真实值（mpg）", []),
        ("Bag", "包", []),
        ("bag", "词袋", []),
        ("0.2", "0.2", []),
        ("$x$", "$x$", []),
        ("wombats", "wombats", ["wombats"]),
        ("wombats, validation", "wombats，验证", ["wombats"]),
    ],
)
def test_a_label_is_looked_up_with_what_changes_in_it(label, words, missing):
    found = []
    assert chinese.translated(label, found) == words
    assert found == missing


def test_a_figure_has_chinese_labels_for_a_while(figure):
    figure.canvas.draw()
    before = words(figure)
    fonts = [text.get_fontfamily() for text in figure.findobj(Text)]
    with chinese.in_chinese(figure) as missing:
        figure.canvas.draw()  # a character that the font lacks would be a warning, an error here
        shown = words(figure)
    assert missing == ["minimum $x^2$"]
    assert {"功率（hp）", "损失，对数刻度", "学习率 0.2", "训练", "测试"} <= set(shown)
    figure.canvas.draw()
    assert words(figure) == before
    assert [text.get_fontfamily() for text in figure.findobj(Text)] == fonts


def test_a_bold_label_is_drawn_without_a_word_on_standard_error(figure, caplog):
    (ax,) = figure.axes
    ax.set_title("loss", fontweight="bold")
    with chinese.in_chinese(figure):
        figure.canvas.draw()
    assert ax.get_title() == "loss"
    assert ax.title.get_fontweight() == "bold"
    assert caplog.text == ""


def test_the_names_of_bars_are_chinese_for_a_while():
    ax = plotting.plot_ladder({"ridge": 30.1, "dense": 20.5})
    ax.figure.canvas.draw()
    english = [label.get_text() for label in ax.get_yticklabels()]
    with chinese.in_chinese(ax.figure) as missing:
        ax.figure.canvas.draw()
        assert [label.get_text() for label in ax.get_yticklabels()] == ["岭回归", "全连接"]
    ax.figure.canvas.draw()
    assert (english, missing) == ([label.get_text() for label in ax.get_yticklabels()], [])


def test_words_that_are_data_stay(figure):
    plane = plotting.plot_words([[0, 0], [1, 1]], ["start", "end"], [0, 1], label="probability")
    looks = plotting.plot_attention([[[0.5, 0.5]]], ["test"], ["loss", "end"], key_label="word")
    changes = plotting.plot_state_changes([1, -1, 0], ["test", "wombats", "training"])
    for ax, data in (
        (plane, {"start", "end"}),
        (looks[0], {"test", "loss", "end"}),
        (changes, {"test", "wombats", "training"}),
    ):
        with chinese.in_chinese(ax.figure) as missing:
            ax.figure.canvas.draw()
            shown = set(words(ax.figure))
        assert missing == []
        assert {"词", "概率"} & shown
        assert data <= shown
        plt.close(ax.figure)


# --- the font -----------------------------------------------------------------------------


def test_the_font_has_every_character_of_the_labels_and_ascii():
    font = TTFont(chinese.FONT)
    characters = {*chinese.TABLE.read_text(encoding="utf-8"), *map(chr, range(0x20, 0x7F))}
    assert characters - {chr(code) for code in font.getBestCmap()} - {"\n"} == set()
    assert font["name"].getDebugName(1) == chinese.FAMILY
    assert "Noto" not in font["name"].getDebugName(4)
    assert "SIL Open Font License" in font["name"].getDebugName(13)
    assert chinese.FONT.stat().st_size < 150_000  # about 90 bytes a character


def test_the_tables_patterns_have_as_many_places_in_both_languages():
    with chinese.TABLE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert all(english.count("{}") == words.count("{}") for english, words in rows)
    assert len({english for english, _ in rows}) == len(rows)


def test_the_font_is_what_its_script_makes(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("make", ROOT / "tools" / "make_chinese_font.py")
    make = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make)
    if not make.SOURCE.is_file():
        pytest.skip("the package fonts-noto-cjk is not installed")
    monkeypatch.setattr(make, "FONT", tmp_path / "font.otf")
    make.main()
    ours, made = TTFont(chinese.FONT), TTFont(tmp_path / "font.otf")
    assert ours.getBestCmap() == made.getBestCmap()


# --- in a notebook ------------------------------------------------------------------------


def test_one_execution_draws_in_both_languages():
    cells = [
        "import matplotlib.pyplot as plt",
        'plt.plot([0, 1])\nplt.xlabel("loss")\nplt.ylabel("wombats");',
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    kept = {}
    execution.execute(notebook, keep=kept.__setitem__)
    (output,) = notebook.cells[1].outputs
    assert set(output.data) == {"image/png", "text/plain"}
    assert not output.metadata
    assert notebook.cells[1].execution_count == 2
    ((digits, picture),) = kept.items()
    assert digits == in_notebooks.hash_of(output.data["image/png"])
    assert picture["missing"] == ["wombats"]
    assert base64.b64decode(picture["png"])[1:4] == b"PNG"
    assert "".join(output.data["image/png"].split()) != picture["png"]
