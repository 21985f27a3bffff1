"""The exercises: what each must have, and that the selfcheck sees what is wrong with one."""

import inspect
import json
import re
import textwrap
from pathlib import Path

from kerasbook import contents
from kerasbook.exercises import Case, Exercise, ExerciseError, load
from kerasbook.exercises.exercise import load_file, stub_files
from kerasbook.grading.in_process import InProcess
from kerasbook.grading.question import grade, secret_seed
from kerasbook.grading.worker.values import split_inputs
from kerasbook.grading.worker.wire import pack
from kerasbook.learner.learner import by_chapter
from kerasbook.learner.notebook import exercise_notebook, write_notebooks
from kerasbook.learner.selfcheck import selfcheck

import nbformat
import numpy as np
import pytest

HEAD = '''\
"""Half of each number."""

import numpy as np

from kerasbook.exercises import Case, Exercise

exercise = Exercise(chapter=1, minutes=10, difficulty=1, points=2, hints=["a", "b", "c"])


@exercise.stub
def halves(x):
    """Half of each number: (n,) → (n,)."""
    raise NotImplementedError


@exercise.public
def shown(random):
    yield Case("two numbers", {"x": np.array([1.0, 3.0])})


@exercise.hidden
def drawn(random):
    for n in (1, 5):
        yield Case(f"{n} numbers", {"x": random.normal(size=n)}, unchanged=True)


@exercise.reference
def solution(x):
    return x / 2
'''
RIGHT = ["x * 0.5", "np.array([one / 2 for one in x])", "x - x / 2"]
WRONG = {"x": "doubled", "2 * x": "twice", "-x / 2": "sign", "x / 4": "", "x**2": ""}
WRONG |= {"x[:1]": "", "x.sum()": "", "None": ""}


def exercise_text(right=RIGHT, wrong=WRONG, head=HEAD) -> str:
    text = head
    for number, body in enumerate(right):
        text += f"\n\n@exercise.right\ndef right_{number}(x):\n    return {body}\n"
    for number, (body, message) in enumerate(wrong.items()):
        told = repr(message) if message else ""
        text += f"\n\n@exercise.wrong({told})\ndef wrong_{number}(x):\n    return {body}\n"
    return text


@pytest.fixture
def write(tmp_path):
    def written(**parts) -> Exercise:
        path = tmp_path / "halves.py"
        path.write_text(exercise_text(**parts), encoding="utf-8")
        return load_file(path)

    return written


@pytest.fixture(scope="module")
def book():
    return load()


# The book's own


def test_there_are_six_in_each_chapter_and_all_kinds(book):
    chapters = [int(contents.CHAPTER.fullmatch(one.key)[1]) for one in book.values()]
    assert len(book) >= 36
    assert all(chapters.count(chapter) >= 6 for chapter in range(1, 7))
    kinds = {"function", "gradient", "layer", "training step", "trained model"}
    assert {one.kind for one in book.values()} == kinds


def test_every_specification_is_whole(book):
    for one in book.values():
        assert len(one.specification) > 300, one.name
        if one.stub_source.startswith("def"):
            assert "Args:" in one.specification, one.name
            assert "Returns" in one.specification, one.name
        assert 5 <= one.minutes <= 60, one.name
        assert all(len(hint) > 20 for hint in one.hints), one.name
        assert "kerasbook" not in one.blank_source, one.name


def test_hidden_cases_are_drawn_anew_and_the_same_seed_gives_the_same(book):
    def drawn(one, seed):
        return [
            [np.asarray(value).tobytes() for value in inputs.values()]
            for case in one.cases("hidden", seed)
            for inputs in case.all_calls()
            if all(not isinstance(value, str | list | None) for value in inputs.values())
        ]

    for one in book.values():
        assert drawn(one, 1) == drawn(one, 1), one.name
        names = [case.name for case in one.cases("hidden", 1)]
        assert len(set(names)) == len(names), one.name
    changing = [one for one in book.values() if drawn(one, 1) != drawn(one, 2)]
    assert len(changing) > 0.85 * len(book)  # others take texts only, or have no random case


def test_every_case_can_be_sent_to_a_worker(book):
    """A list of arrays among the inputs, for one, cannot: a driver makes it of single arrays."""
    for one in book.values():
        for part in ("public", "hidden"):
            for inputs in (each for case in one.cases(part, 1) for each in case.all_calls()):
                assert pack(*split_inputs(inputs)), one.name


@pytest.mark.parametrize("value", [[np.zeros(2)], [1, [np.float32(2)]], {"a": np.zeros(2)}])
def test_a_case_with_arrays_inside_of_an_input_is_refused(value):
    with pytest.raises(ExerciseError, match=r"x has arrays in it.*give each a name"):
        Case("one", {"x": value})


def test_the_documents_count_what_is_there(book):
    readme = Path(__file__).parent.parent.joinpath("docs", "proofs.md").read_text(encoding="utf-8")
    told = re.search(
        r"(\d+) exercises: (\d+) right solutions got full points, (\d+) wrong ones lost points, "
        r"(\d+) misconceptions got their own message",
        " ".join(readme.split()),
    )
    assert told, "docs/proofs.md has no figures of the selfcheck"
    assert [int(number) for number in told.groups()] == [
        len(book),
        sum(1 + len(one.right_ones) for one in book.values()),
        sum(len(one.wrong_ones) for one in book.values()),
        sum(len(one.misconceptions) for one in book.values()),
    ]


def test_the_notebooks_of_exercises_are_in_step(book):
    folder = Path(__file__).parent.parent / "chapters"
    for key, its in by_chapter(book.values()).items():
        path = folder / f"{key}_exercises.ipynb"
        text = path.read_text(encoding="utf-8")
        assert text == exercise_notebook(key, its), "`kerasbook exercises notebooks`"
        nbformat.validate(nbformat.reads(text, 4))


def test_the_folder_of_the_notebooks_is_made(write, tmp_path):
    """`kerasbook exercises notebooks` outside of a checkout."""
    (path,) = write_notebooks(tmp_path / "new" / "chapters", [write()])
    nbformat.validate(nbformat.reads(path.read_text(encoding="utf-8"), 4))


# The selfcheck


def test_a_sound_exercise_has_no_problem(write):
    counts = selfcheck([write()], told=lambda line: None)
    assert (counts.exercises, counts.right, counts.wrong, counts.misconceptions) == (1, 4, 8, 3)
    assert counts.problems == []
    assert json.loads(counts.as_json())["right"] == 4


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        ({"right": [*RIGHT[:2], "x / 3"]}, "right_2 is right and got 0.0 of 2"),
        ({"right": [*RIGHT[:2], "np.divide(x, 2, out=x)"]}, "right_2 is right and got 0.0"),
        ({"wrong": WRONG | {"x / 2.0": ""}}, "wrong_8 is wrong and got full points"),
        ({"wrong": WRONG | {"x + x": "mine"}}, "wrong_8 was told 'twice', not its own"),
        ({"wrong": WRONG | {"x + x": ""}}, "wrong_8 got the message of wrong_1"),
        ({"head": HEAD.replace("raise NotImplementedError", "return x / 2")}, "stub gets points"),
    ],
)
def test_what_is_wrong_with_an_exercise_is_seen(write, parts, problem):
    problems = selfcheck([write(**parts)], told=lambda line: None).problems
    assert any(problem in one for one in problems), problems


def test_partial_credit_is_the_share_of_the_hidden_cases(write):
    exercise = write()
    only_one = "def halves(x):\n    return x / 2 if len(x) < 5 else x"
    result = grade(exercise, InProcess(exercise, only_one))
    assert (result.status, result.points) == ("fail", 1.0)
    hard_coded = "import numpy as np\ndef halves(x):\n    return np.array([0.5, 1.5])"
    assert grade(exercise, InProcess(exercise, hard_coded)).points == 0


def test_the_seed_of_a_submission_needs_the_key():
    seeds = {
        secret_seed(key, name, text)
        for key in (b"k" * 32, b"l" * 32)
        for name in ("one", "other")
        for text in (b"a", b"b")
    }
    assert len(seeds) == 8
    assert secret_seed(b"k" * 32, "one", b"a") == secret_seed(b"k" * 32, "one", b"a")


# Mistakes: a right solution with other text in one place

BY_TWO = "\n\n@exercise.right\ndef by_two(x):\n    return x * 0.5\n\n\n"
A_THIRD = 'exercise.mistake("third", "Half, not a third.", old="x / 2", new="x / 3")\n'
TWICE = 'exercise.mistake("twice", old="* 0.5", new="* 2", of=by_two)\n'


def test_a_mistake_is_a_right_solution_with_other_text_in_one_place(tmp_path):
    path = tmp_path / "halves.py"
    text = exercise_text(wrong=dict.fromkeys((f"x / {n}" for n in range(4, 12)), "a part"))
    path.write_text(text + BY_TWO + A_THIRD + TWICE, encoding="utf-8")
    *_, third, twice = load_file(path).wrong_ones
    assert (third.name, third.message, twice.name, twice.message) == (
        *("third", "Half, not a third."),
        *("twice", ""),
    )
    assert third.source.endswith("def halves(x):\n    return x / 3\n")
    assert third.function(np.ones(1)) == 1 / 3
    assert twice.function(np.ones(1)) == 2
    assert inspect.getsource(twice.function) == "def halves(x):\n    return x * 2\n"


@pytest.mark.parametrize(("old", "times"), [("x", 2), ("y", 0), ("x / 2", 1)])
def test_a_mistake_that_does_not_stand_once_is_told_with_the_exercise(tmp_path, old, times):
    path = tmp_path / "halves.py"
    mistake = f'exercise.mistake("lost", old="{old}", new="x / 3")\n'
    path.write_text(exercise_text() + "\n\n" + mistake, encoding="utf-8")
    if times == 1:
        assert load_file(path).wrong_ones[-1].name == "lost"
        return
    with pytest.raises(ExerciseError, match=rf"halves: lost: '{old}' stands {times} times"):
        load_file(path)


# Files that are none


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_like_this", "ModuleNotFoundError"),
        ("exercise = 3", "has no `exercise"),
        (exercise_text(right=[]), "0 right solutions, not 3"),
        (exercise_text(wrong={}), "0 wrong solutions, not 8"),
        (HEAD.replace('"c"]', '"c", "d"]'), "not three hints"),
    ],
)
def test_a_broken_file_is_told_by_name(tmp_path, text, told):
    path = tmp_path / "broken.py"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    with pytest.raises(ExerciseError, match=rf"broken\.py: .*{re.escape(told)}"):
        load_file(path)


def test_a_folder_without_exercises_and_one_with_a_name_twice(tmp_path):
    with pytest.raises(ExerciseError, match="no exercise in"):
        stub_files(tmp_path)
    for name in ("one.py", "two.py"):
        (tmp_path / name).write_text(HEAD, encoding="utf-8")
    with pytest.raises(ExerciseError, match="has halves too"):
        stub_files(tmp_path)
