"""Otter: test files in the exception format, and a notebook that names them.

Otter runs the learner's notebook and the tests in one process, so a learner's code can change its
own result. The tests are for learners' own check and for classes that are trusted; grade the
notebooks with `kerasbook grade`.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from kerasbook.exercises.exercise import Exercise, head
from kerasbook.grading.exports.nbgrader import notebook

TEST = '''\
"""The check of {name}."""

from otter.test_files import test_case

OK_FORMAT = False

name = {name!r}
points = {points:g}


@test_case(points={points:g})
def check_it({name}):
    from kerasbook.learner.notebook import score

    reached = score({name}{place})
    assert reached == {points:g}, f"{{reached:g}} of {points:g} points: see above"
'''


def assignment(
    exercises: Iterable[Exercise], title: str, own: Path | None = None
) -> dict[str, str | bytes]:
    """Returns the files, name → content: TITLE.ipynb, and tests/QUESTION.py for each exercise."""
    exercises = list(exercises)
    place = f", {str(own)!r}" if own else ""
    tests = {
        one.name: TEST.format(name=one.name, points=one.points, place=place) for one in exercises
    }
    imports = sorted({line for one in exercises for line in one.imports.splitlines() if line})
    start = f"import otter\n\ngrader = otter.Notebook({title + '.ipynb'!r})"
    cells = [
        _cell("start", start, {"tags": ["otter_ignore"]}),
        _cell("imports", "\n".join(imports)),
    ]
    for number, one in enumerate(exercises, 1):
        text = f"## {number}. {head(one)}"
        title_cell = {"cell_type": "markdown", "id": f"{one.name}-title"[:64], "metadata": {}}
        metadata = {"kerasbook": {"question": one.name}, "otter": {"tests": [one.name]}}
        cells += [
            title_cell | {"source": text},
            _cell(one.name, one.stub_source.rstrip(), metadata),
            _cell(f"{one.name}-check", f"grader.check({one.name!r})", {"tags": ["otter_ignore"]}),
        ]
    otter = {"OK_FORMAT": False, "assignment_name": title, "tests": tests}
    return {
        f"{title}.ipynb": notebook(cells, otter=otter),
        **{f"tests/{name}.py": text for name, text in tests.items()},
    }


def _cell(name: str, source: str, metadata: dict | None = None) -> dict:
    return {
        "cell_type": "code",
        "id": name[:64],
        "metadata": metadata or {},
        "source": source,
        "execution_count": None,
        "outputs": [],
    }
