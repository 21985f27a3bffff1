"""A notebook and the program of its chapter compute the same losses, to the last bit.

On the CPU, in quick mode: the notebook with all its cells in a kernel of its own, the program in a
process of its own.
"""

import json
import subprocess
import sys

from kerasbook import contents, notebooks

import nbformat
import pytest

FIRST, *OTHERS = contents.chapters().values()
SLOW = [pytest.param(page, marks=pytest.mark.slow) for page in OTHERS]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [FIRST, *SLOW], ids=lambda page: page.key)
def test_a_notebook_has_the_losses_of_the_program(page, tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    command = [sys.executable, "-m", page.module, "--quick", "--quiet", "--jit", "off"]
    with subprocess.Popen([*command, "--output", str(tmp_path)]) as program:
        in_notebook = losses_of_the_notebook(page)
        assert program.wait() == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert in_notebook == report["history"]
    assert in_notebook["loss"] != in_notebook["val_loss"]


def losses_of_the_notebook(page) -> dict:
    """Returns the history of the first run of `main` in the page's notebook."""
    notebook = notebooks.notebook_of(page)
    sources = [cell.source for cell in notebook.cells]
    place = next(i for i, source in enumerate(sources) if "result = main(" in source)
    show = "import json\nprint(json.dumps(result.history.history))"
    notebook.cells.insert(place + 1, nbformat.v4.new_code_cell(show))
    shown = notebooks.execute(notebook, quick=page.about).cells[place + 1]
    return json.loads(shown.outputs[0].text)
