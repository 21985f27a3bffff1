"""Notebooks are made from the chapters, cleaned, and checked against them."""

import re
import subprocess
import sys
from pathlib import Path

import kerasbook
from kerasbook import contents, notebooks
from kerasbook.contents import About
from kerasbook.notebooks import checking, conversion, execution

import nbformat
import pytest

new = nbformat.v4
ROOT = Path(__file__).resolve().parent.parent
PAGES = list(contents.pages().values())
ONE, TWO = contents.find(1), contents.find(2)


def by_key(page):
    return page.key


def test_guards_are_removed_and_their_code_moved_to_the_left():
    source = (
        "def f():\n    return 1\n\n\n"
        'if __name__ == "__main__":\n    for i in range(2):\n        print(i)\n\n    print("end")\n'
        "g = 2\n"
        'if __name__ == "__main__":\n    print(g)'
    )
    assert conversion.without_guards(source) == (
        "def f():\n    return 1\n\n\n"
        'for i in range(2):\n    print(i)\n\nprint("end")\n'
        "g = 2\n"
        "print(g)"
    )


@pytest.mark.parametrize("page", PAGES, ids=by_key)
def test_a_notebook_has_the_page_without_its_script_cell_and_guards(page):
    notebook = notebooks.notebook_of(page)
    nbformat.validate(notebook)
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert notebook.cells[0].source.startswith(f"# {page.title}")
    assert "if __name__" not in "".join(code)
    assert "runner import run" not in "".join(code)
    for source in code:
        compile(source, page.key, "exec")
    assert notebook.cells == notebooks.notebook_of(page).cells


@pytest.mark.parametrize("page", PAGES, ids=by_key)
def test_the_first_cell_says_what_for_how_long_and_how_to_run_it(page):
    first = notebooks.notebook_of(page, minutes=7).cells[0].source
    assert re.search(r"\*\*Minutes:\*\* about \d+ to read, 7 to run", first)
    assert f"%pip install kerasbook-{kerasbook.__version__}-py3-none-any.whl" in first
    assert "to run on" not in notebooks.notebook_of(page).cells[0].source
    shown, folded = first.split("<details>")
    assert "**Minutes:**" not in shown
    assert folded.endswith("</details>")
    assert page.path.is_file()
    assert f"`{page.module.replace('.', '/')}.py`" in folded
    assert (f"`python -m {page.module}`" in folded) is page.is_chapter
    if page.is_chapter:
        assert re.search(r"After this (chapter|page) you can\n\n- ", first)


@pytest.mark.parametrize("page", [page for page in PAGES if page.is_chapter], ids=by_key)
def test_the_last_cell_has_the_exercises_and_where_to_go_next(page):
    last = notebooks.notebook_of(page).cells[-1].source
    headings = re.findall("^## (.*)", last, re.MULTILINE)
    assert {"Exercises", "What to try"} & set(headings)
    assert headings[-1] == "Where to go next"


def test_a_cell_tagged_hide_input_is_folded_in_jupyterlab_colab_and_on_the_web(tmp_path):
    file = tmp_path / "chapter42_toy.py"
    file.write_text(
        '# %% [markdown]\n"""\n# Toy\n"""\n\n# %% tags=["hide-input"]\nx = 1\n\n# %%\ny = 2\n'
    )
    page = contents.Page("kerasbook.chapter42_toy", file)
    made = conversion.cells_of(page)
    assert made[1].metadata == {
        "tags": ["hide-input"],
        "jupyter": {"source_hidden": True},
        "cellView": "form",
    }
    assert made[2].metadata == {}


def test_with_a_repository_there_is_a_link_to_colab(monkeypatch):
    monkeypatch.setattr(conversion, "REPOSITORY", "https://github.com/someone/kerasbook")
    first = notebooks.notebook_of(ONE).cells[0].source
    assert (
        "(https://colab.research.google.com/github/someone/kerasbook/blob/main/chapters/"
        "chapter1.ipynb)" in first
    )
    assert "the first cell of code installs the book, restarts the runtime" in first


FAKES = """
import importlib.util, os, subprocess, sys, types
sys.modules |= {name: types.ModuleType(name) for name in LOADED}
subprocess.run = lambda command, check: print(*command[1:])
os.kill = lambda *_: print("killed")
importlib.util.find_spec = lambda name: THERE
"""
INSTALLED = "-m pip install -q git+https://github.com/someone/kerasbook\n"


@pytest.mark.parametrize(
    ("loaded", "there", "installs", "restarts"),
    [
        ([], None, False, False),  # not in Colab
        (["google.colab"], True, False, False),  # it is there
        (["google.colab"], None, True, False),
        (["google.colab", "keras"], None, True, True),
    ],
)
def test_in_colab_the_first_cell_installs_and_restarts(
    monkeypatch, loaded, there, installs, restarts
):
    monkeypatch.setattr(conversion, "REPOSITORY", "https://github.com/someone/kerasbook")
    made = notebooks.notebook_of(ONE).cells[1]
    assert made.metadata["jupyter"] == {"source_hidden": True}
    fakes = FAKES.replace("LOADED", repr(loaded)).replace("THERE", repr(there))
    code = fakes + made.source
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (INSTALLED in told.stdout, "killed" in told.stdout) == (installs, restarts)
    assert ("run all cells again" in told.stdout) == restarts


def cell(source="1", *outputs, **metadata):
    made = new.new_code_cell(source, metadata=metadata)
    made.outputs = list(outputs)
    return made


def stream(text, name="stdout"):
    return new.new_output("stream", name=name, text=text)


PLAIN = [
    "<Axes: xlabel='x'>",
    "array([<Axes: >], dtype=object)",
    "[<a.B at 0x7f>]",
    "array([1, 2])",
]


def test_widgets_and_times_are_not_kept():
    widget = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Output()"}
    notebook = new.new_notebook(
        cells=[
            cell(
                "a",
                stream("loss 1  7.5 steps/s\n"),
                new.new_output("display_data", widget),
                stream("2\n"),
            ),
            cell("c", *(new.new_output("execute_result", {"text/plain": text}) for text in PLAIN)),
            cell("b", stream("3.7 ms"), tags=["timing"], execution={"begin": "1"}),
        ],
        metadata={"widgets": {}},
    )
    execution.clean(notebook)
    first, drawn, second = notebook.cells
    assert [output.data["text/plain"] for output in drawn.outputs] == ["array([1, 2])"]
    assert [output.text for output in first.outputs] == ["loss 1\n2\n"]
    assert "3.7" not in second.outputs[0].text
    assert "execution" not in second.metadata
    assert "widgets" not in notebook.metadata


@pytest.fixture
def folder(tmp_path):
    path = notebooks.path_of(ONE, tmp_path)
    nbformat.write(notebooks.notebook_of(ONE), path)
    return tmp_path


def last_cell(notebook):
    return [each for each in notebook.cells if each.cell_type == "code"][-1]


def change(folder, edit):
    path = notebooks.path_of(ONE, folder)
    notebook = nbformat.read(path, as_version=4)
    edit(notebook)
    nbformat.write(notebook, path)
    return notebooks.check([ONE], folder)


def test_a_notebook_like_its_source_passes_and_a_missing_one_does_not(folder):
    assert notebooks.check([ONE], folder) == []
    (problem,) = notebooks.check([TWO], folder)
    assert "kerasbook notebooks build chapter2" in problem


@pytest.mark.parametrize(
    "edit",
    [
        lambda notebook: notebook.cells[3].update(source="x = 1"),
        lambda notebook: notebook.cells.pop(),
        lambda notebook: notebook.cells.append(new.new_markdown_cell("more")),
        lambda notebook: notebook.cells[4].update(cell_type="raw"),
        lambda notebook: last_cell(notebook).metadata.update(tags=["hide-input"]),
    ],
)
def test_an_edited_cell_is_noticed(folder, edit):
    (problem,) = change(folder, edit)
    assert "differ, first in cell" in problem


@pytest.mark.parametrize(
    ("output", "problem"),
    [
        (stream("a warning", "stderr"), "complains: a warning"),
        (new.new_output("error", ename="E", evalue="", traceback=[]), "complains"),
        (stream("1\nINFO:tensorflow:Using a strategy\n"), "TensorFlow's log"),
        (stream("in /usr/lib/python3/site-packages/keras"), "a path of this machine"),
    ],
)
def test_complaints_and_paths_in_outputs_are_noticed(folder, output, problem):
    (found,) = change(folder, lambda notebook: last_cell(notebook).outputs.append(output))
    assert problem in found


def test_scores_must_lie_in_their_bands(monkeypatch):
    scores = {"test": {"mae": {"band": [2.5, 2.6]}}, "validation": {"mae": {"band": [2.2, 2.4]}}}
    monkeypatch.setattr(
        checking, "load_results", lambda: {"chapter1": {"auto_mpg": {"scores": scores}}}
    )
    assert checking.out_of_band(ONE, "{'mae': 2.55, 'other': 9.0}") == []
    assert checking.out_of_band(ONE, "{'mae': 2.3}") == []
    (problem,) = checking.out_of_band(ONE, "{'mae': 2.45}")
    assert "mae 2.45" in problem


QUICK_CELLS = [
    "def main(task='a', epochs=9, examples=None):\n    return task, epochs, examples",
    "print(main(), main('b', epochs=3))",
    """\
import keras, numpy as np
from kerasbook.training import fit
model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
x = np.ones((600, 1), "float32")
def steps(epoch, logs): print(model.optimizer.iterations.numpy().item())
each = keras.callbacks.LambdaCallback(on_epoch_end=steps)
options = {"epochs": 3, "batch_size": 1, "callbacks": [each]}
history = fit(model, (x, x), loss_fn=keras.losses.MeanSquaredError(),
    optimizer=keras.optimizers.SGD(0.0), **options)""",
]


def test_cells_run_in_quick_mode_and_a_failing_one_is_named():
    notebook = new.new_notebook(
        cells=[cell(source) for source in QUICK_CELLS],
        metadata={"kerasbook": {"source": "kerasbook/chapter1.py"}},
    )
    notebooks.execute(notebook, quick=About())
    assert notebook.cells[1].outputs[0].text == "('a', 1, 512) ('b', 1, 512)\n"
    (output,) = notebook.cells[2].outputs  # a line, and no plot: nobody watches
    assert re.fullmatch(r"512\nepoch 1/1  loss \S+\n", output.text)
    notebook.cells[:] = [cell("1 / 0")]
    with pytest.raises(notebooks.NotebookError, match=r"chapter1.py fails: .*division"):
        notebooks.execute(notebook)


def test_pages_are_run_quickly_and_what_they_complain_of_is_told(monkeypatch):
    complaint = new.new_notebook(cells=[cell("1", stream("a warning", "stderr"))])
    made = {"chapter1": new.new_notebook(cells=[]), "chapter2": complaint}
    monkeypatch.setattr(execution, "notebook_of", lambda page: made[page.key])
    monkeypatch.setattr(execution, "execute", lambda notebook, quick: notebook)
    assert [page for page, _ in notebooks.run_quickly([ONE])] == [ONE]
    with pytest.raises(notebooks.NotebookError, match="chapter2: cell 1 complains: a warning"):
        list(notebooks.run_quickly([ONE, TWO]))


def test_the_index_shows_every_notebook_with_its_cover(tmp_path):
    picture = new.new_output("display_data", {"image/png": "aGVsbG8="})
    other = new.new_output("display_data", {"image/png": "b3RoZXI="})
    notebook = new.new_notebook(cells=[cell("1", other), cell("2", picture, tags=["cover"])])
    nbformat.write(notebook, notebooks.path_of(ONE, tmp_path))
    notebooks.write_index(tmp_path)
    assert (tmp_path / "pictures" / "chapter1.png").read_bytes() == b"hello"
    text = (tmp_path / "README.md").read_text()
    assert "[1. Linear regression](chapter1.ipynb)" in text
    assert "`python -m kerasbook.chapter1`, about 1 min, test mae 2.571 ± 0.032" in text
    assert "chapter2" not in text


def test_the_notebooks_that_are_committed_are_those_of_their_sources():
    folder = Path(__file__).resolve().parent.parent / "chapters"
    built = [page for page in PAGES if notebooks.path_of(page, folder).exists()]
    assert built
    assert notebooks.check(built, folder) == []


@pytest.mark.parametrize("page", PAGES, ids=by_key)
def test_a_page_names_only_notebooks_that_there_are(page):
    known = {path.name for path in (ROOT / "chapters").glob("*.ipynb")}
    assert set(re.findall(r"[\w/]+\.ipynb", page.text)) <= known


@pytest.mark.parametrize("path", ["README.md", "chapters/README.md", "docs/*.md"])
def test_links_within_the_repository_lead_somewhere(path):
    for file in ROOT.glob(path):
        for link in re.findall(r"\]\(([^)#:]+)\)", file.read_text(encoding="utf-8")):
            assert (file.parent / link).exists(), f"{file.name}: {link}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", PAGES, ids=by_key)
def test_at_full_size_all_cells_run_and_the_scores_lie_in_their_bands(page):
    notebook = notebooks.execute(notebooks.notebook_of(page))
    assert notebooks.problems_of(page, notebook) == []
