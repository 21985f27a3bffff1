"""Exports: each against its format, written out here, and against the real package if it is there.

Not checked, because it cannot be had here: Gradescope, GitHub, Exercism's website, Canvas and
Moodle themselves. `setup.sh` is read but not run: it installs packages with apt and pip.
"""

import ast
import base64
import csv
import io
import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

from kerasbook.exercises import load
from kerasbook.grading.exports import (
    ExportError,
    constraints,
    exercism,
    github,
    gradebooks,
    gradescope,
    nbgrader,
    otter,
    points_of,
    read_record,
    read_records,
    to_install,
    write_folder,
)

import nbformat
import pytest

EXAMPLE = Path(__file__).parent.parent / "docs" / "example_exercises"
PINNED = "kerasbook==0.1.0"


@pytest.fixture(scope="module")
def exercises():
    return load(EXAMPLE)


@pytest.fixture
def record():
    """A learner's record: one right, one wrong, one that printed much, one missing."""
    public = {"name": "two", "which": "public", "status": "pass"}
    hidden = {"name": "SECRET NAME", "which": "hidden", "status": "fail"}
    empty = {"status": "missing", "points": 0.0, "message": "there is no answer", "cases": []}
    return {
        "learner": "=anna, the \"first\"",
        "kerasbook": "0.1.0",
        "isolation_level": 2,
        "notes": ["a.py: ignored"],
        "points": 3.5,
        "max_points": 8,
        "needs_attention": False,
        "questions": {
            "mean": {
                "status": "pass", "points": 2.0, "max_points": 2, "message": "", "output": "",
                "cases": [public],
            },
            "median": {
                "status": "fail", "points": 1.5, "max_points": 2, "output": "",
                "message": "<b>::error::not</b> right", "cases": [public, hidden],
            },
            "mode": {
                "status": "error", "points": 0.0, "max_points": 2, "output": "x" * 3000,
                "message": "ValueError: " + "é\x1b[2J" * 30_000, "cases": [],
            },
            "range": {**empty, "max_points": 2, "output": ""},
        },
    }  # fmt: skip


@pytest.fixture
def failed(record):
    """A record in which the grader itself failed on a question."""
    record["questions"]["mode"] |= {"status": "internal", "points": None}
    return record | {"needs_attention": True}


# Gradescope


def test_gradescope_results_are_as_specified(record):
    """Keys, types and values of the specification; not tried at Gradescope."""
    results = json.loads(gradescope.results(record))
    assert set(results) <= {
        "score", "execution_time", "output", "output_format", "test_output_format",
        "test_name_format", "visibility", "stdout_visibility", "extra_data", "tests", "leaderboard",
    }  # fmt: skip
    assert "score" not in results  # it would override the sum
    formats, seen = {"text", "html", "simple_format", "md", "ansi"}, set()
    places = {"hidden", "after_due_date", "after_published", "visible"}
    for test in results["tests"]:
        assert set(test) <= {
            "score", "max_score", "status", "name", "name_format", "number", "output",
            "output_format", "tags", "visibility", "extra_data",
        }  # fmt: skip
        assert test["output_format"] == test["name_format"] == "text"  # a learner's text is inert
        assert test["output_format"] in formats
        assert test["visibility"] in places
        assert test["status"] in ("passed", "failed")
        assert 0 <= test["score"] <= test["max_score"]
        seen.add(test["name"])
    assert seen == set(record["questions"])
    assert sum(test["score"] for test in results["tests"]) == 3.5
    assert results["visibility"] in places
    assert results["stdout_visibility"] in places
    text = gradescope.results(record)
    assert "SECRET NAME" not in text
    assert "0 of 1 hidden cases passed" in text
    assert "\r" not in text


def test_scores_are_clamped():
    for points, most, right in ((9.0, 2, 2), (-1.0, 2, 0.0), (None, 2, 0.0), (1.5, 2, 1.5)):
        assert points_of({"points": points, "max_points": most}) == right


def test_gradescope_gives_no_result_where_the_grader_failed(failed):
    with pytest.raises(ExportError, match="grade it again"):
        gradescope.results(failed)


def unzipped(content, folder):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        modes = {one.filename: one.external_attr >> 16 for one in archive.infolist()}
        archive.extractall(folder)
    for name, mode in modes.items():
        (folder / name).chmod(mode)
    return modes


def wrapper(folder):
    """A `kerasbook` that runs this checkout."""
    path = folder / "kerasbook"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m kerasbook "$@"\n')
    path.chmod(0o755)
    root = str(Path(__file__).parent.parent)
    return os.environ | {"KERASBOOK": str(path), "PYTHONPATH": root}


def test_the_gradescope_autograder_grades_a_submission(exercises, tmp_path):
    """The zip's layout, and run_autograder run here; setup.sh is only read by bash -n."""
    packed = gradescope.autograder(exercises, b"k" * 32, PINNED, EXAMPLE, level=5)
    source = tmp_path / "source"
    modes = unzipped(packed, source)
    assert set(modes) == {
        "setup.sh", "run_autograder", "key", "constraints.txt", "exercises/geometric_mean.py",
    }  # fmt: skip
    assert {stat.S_IMODE(modes[name]) for name in ("setup.sh", "run_autograder")} == {0o755}
    assert stat.S_IMODE(modes["key"]) == 0o600
    for name in ("setup.sh", "run_autograder"):
        subprocess.run(["bash", "-n", source / name], check=True)
    assert f"-c constraints.txt '{PINNED}'" in (source / "setup.sh").read_text()
    assert "--require-isolation 5" in (source / "run_autograder").read_text()

    (tmp_path / "submission").mkdir()
    answer = exercises["geometric_mean"].wrong_ones[3].source
    (tmp_path / "submission" / "answer.py").write_text(answer)
    (tmp_path / "submission" / "results.json").write_text('{"score": 1000}')
    environment = wrapper(tmp_path) | {"AUTOGRADER_ROOT": str(tmp_path)}
    run = [source / "run_autograder"]
    subprocess.run(run, check=True, env=environment, cwd=tmp_path)
    (test,) = json.loads((tmp_path / "results" / "results.json").read_text())["tests"]
    assert (test["name"], test["score"], test["max_score"]) == ("geometric_mean", 0.86, 2)
    assert "add logarithms" in test["output"]

    (tmp_path / "results" / "results.json").unlink()
    environment["KERASBOOK"] = "/bin/false"
    assert subprocess.run(run, env=environment, cwd=tmp_path).returncode != 0
    assert not (tmp_path / "results" / "results.json").exists()


# What is installed elsewhere


def test_what_is_installed_is_a_wheel_or_pinned(tmp_path):
    wheel = tmp_path / "kerasbook-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"wheel")
    assert to_install(str(wheel)) == ({wheel.name: b"wheel"}, f"./{wheel.name}")
    for pinned in (PINNED, "kerasbook @ git+https://example.org/book@0123abc"):
        assert to_install(pinned) == ({}, pinned)
    for bad in ("kerasbook", "kerasbook>=0.1", "x==1'; rm -rf /", ".", str(tmp_path), "no.whl", ""):
        with pytest.raises(ExportError):
            to_install(bad)
    assert re.search(r"^numpy==[\d.]+$", constraints(), re.MULTILINE)
    assert "+" not in constraints()


# GitHub Classroom


def check_github(result, questions):
    """The fields that the runner writes and the reporter reads."""
    assert result["version"] == 3
    assert result["status"] in ("pass", "fail", "error")
    assert [test["name"] for test in result["tests"]] == list(questions)
    assert result["max_score"] > 0
    for test in result["tests"]:
        assert set(test) <= {
            "name", "status", "message", "test_code", "task_id", "filename", "line_no", "duration",
            "score", "output",
        }  # fmt: skip
        assert test["status"] in ("pass", "fail", "error")
        assert isinstance(test["score"], int | float)
    assert 0 <= sum(test["score"] for test in result["tests"]) <= result["max_score"]


def test_github_result(record, failed):
    """The JSON inside the base64; the reporter itself was not run."""
    check_github(github.result(record), record["questions"])
    assert github.result(record)["max_score"] == 8
    assert sum(test["score"] for test in github.result(record)["tests"]) == 3.5
    check_github(github.result(failed), record["questions"])
    assert "SECRET NAME" not in json.dumps(github.result(record))
    line = github.encoded(github.result(record))
    assert re.fullmatch(r"[A-Za-z0-9+/=]+", line)
    assert json.loads(base64.b64decode(line)) == github.result(record)


def test_github_action(exercises, record, tmp_path):
    """grade.sh run here, with a grader that works and one that fails; no workflow was run."""
    yaml = pytest.importorskip("yaml")
    folder = tmp_path / "action"
    write_folder(folder, github.action(exercises, PINNED, EXAMPLE))
    action = yaml.safe_load((folder / "action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    assert action["outputs"]["result"]["value"] == "${{ steps.grade.outputs.result }}"
    assert action["runs"]["steps"][-1]["id"] == "grade"
    assert "inputs" not in action["runs"]["steps"][-1]["run"]  # a secret is no part of a script
    workflow = yaml.safe_load((folder / "example" / "classroom.yml").read_text())
    assert workflow["name"] == "Autograding Tests"
    *_, mine, reporter = workflow["jobs"]["run-autograding-tests"]["steps"]
    assert list(reporter["env"]) == [f"{mine['id'].upper()}_RESULTS"]
    assert reporter["with"]["runners"] == mine["id"]
    assert reporter["if"] == "always()"

    fake = tmp_path / "kerasbook"
    (tmp_path / "record.json").write_text(json.dumps(record))
    fake.write_text(
        "#!/bin/bash\n"
        'if [ "$1" = grade ]; then while [ "$1" != --out ]; do shift; done\n'
        f'mkdir -p "$2/records" && cp {tmp_path}/record.json "$2/records/x.json"\n'
        f'else exec {sys.executable} -m kerasbook "$@"; fi\n'
    )
    fake.chmod(0o755)
    output = tmp_path / "output"
    environment = os.environ | {
        "PYTHONPATH": str(Path(__file__).parent.parent),
        "KERASBOOK": str(fake),
        "KERASBOOK_KEY": "k" * 16,
        "GITHUB_OUTPUT": str(output),
        "GITHUB_WORKSPACE": str(tmp_path),
    }
    for grader, status in ((str(fake), 0), ("/bin/false", 1)):
        output.write_text("")
        environment["KERASBOOK"] = grader
        done = subprocess.run(["bash", folder / "grade.sh"], env=environment, cwd=tmp_path)
        assert done.returncode == status
        (line,) = output.read_text().splitlines()
        assert line.startswith("result=")
        result = json.loads(base64.b64decode(line.removeprefix("result=")))
        if status:
            check_github(result, exercises)
            assert result["status"] == "error"
            assert result["max_score"] == 2
        else:
            check_github(result, record["questions"])


# Exercism


def test_exercism_results(record, failed):
    """Fields and limits of version 3 of the interface; not run by Exercism."""
    for one in (record, failed):
        text = exercism.results(one)
        assert len(text.encode()) <= 500_000
        results = json.loads(text)
        assert results["version"] == 3
        assert results["status"] == "fail"
        assert "message" not in results
        for test in results["tests"]:
            assert set(test) <= {"name", "test_code", "status", "message", "output", "task_id"}
            assert test["status"] in ("pass", "fail", "error")
            assert ("message" in test) == (test["status"] != "pass")
            assert 0 < len(test.get("message", "x")) <= 65_535
            assert len(test.get("output", "")) <= 500
            assert isinstance(test["task_id"], int)
    assert results["tests"][2]["output"].endswith("Please limit to 500 chars")
    record["questions"] = {"mean": record["questions"]["mean"]}
    assert json.loads(exercism.results(record))["status"] == "pass"


def test_exercism_results_of_many_long_questions_stay_below_the_limit(record):
    long = record["questions"]["mode"]
    record["questions"] = {f"q{number}": long for number in range(60)}
    assert len(exercism.results(record).encode()) <= 500_000


# Gradebooks


def read(text):
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_canvas(record, failed):
    """Header, second row, quoting; never imported into Canvas."""
    other = failed | {"learner": "ben"}
    header, possible, anna = read(gradebooks.canvas([record, other], "Week 3 (12)"))
    assert header == [
        "Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Week 3 (12)",
    ]  # fmt: skip
    assert possible == ["    Points Possible", "", "", "", "", "8"]
    assert anna == ['\'=anna, the "first"', "", "", '\'=anna, the "first"', "", "3.5"]
    assert gradebooks.left_out([record, other], None) == ["ben"]


def test_moodle_and_a_roster(record, tmp_path):
    """Columns of the roster, then the points; never imported into Moodle."""
    path = tmp_path / "roster.csv"
    path.write_text(
        '\ufefflearner,email,ID\n"=anna, the ""first""",a@example.org,=7\nben,b@example.org,8\n'
    )
    roster = gradebooks.read_roster(path)
    carl = record | {"learner": "carl"}
    assert read(gradebooks.moodle([record, carl], "Week 3", roster)) == [
        ["email", "ID", "Week 3"],
        ["a@example.org", "'=7", "3.5"],
    ]
    assert gradebooks.left_out([record, carl], roster) == ["carl"]
    assert read(gradebooks.canvas([record, carl], "x", roster))[2][1] == "'=7"
    assert read(gradebooks.moodle([carl], "Week 3")) == [["username", "Week 3"], ["carl", "3.5"]]
    for bad in ("email\nx\n", "learner,x\na,1\na,2\n", "learner,learner\na,b\n"):
        path.write_text(bad)
        with pytest.raises(ExportError):
            gradebooks.read_roster(path)
    path.write_bytes(b"learner\n\xff\n")
    with pytest.raises(ExportError, match="UTF-8"):
        gradebooks.read_roster(path)


# nbgrader


def check_nbgrader_cell(metadata, cell_type):
    """nbgraderformat/v3.json, for a source notebook."""
    assert set(metadata) <= {
        "schema_version", "grade", "locked", "solution", "task", "grade_id", "points",
    }  # fmt: skip
    assert metadata["schema_version"] == 3
    for name in ("grade", "locked", "solution", "task"):
        assert isinstance(metadata[name], bool)
    assert re.fullmatch(r"[a-zA-Z0-9_\-]+", metadata["grade_id"])
    assert ("points" in metadata) == metadata["grade"]
    assert metadata.get("points", 0) >= 0
    assert cell_type == "code" or not metadata["grade"]


def test_nbgrader_notebook(exercises):
    """The notebook and the schema of its metadata, version 3."""
    notebook = nbformat.reads(nbgrader.assignment(exercises.values()), 4)
    nbformat.validate(notebook)
    metadata = [cell.metadata["nbgrader"] for cell in notebook.cells]
    for cell in notebook.cells:
        check_nbgrader_cell(cell.metadata["nbgrader"], cell.cell_type)
    ids = [one["grade_id"] for one in metadata]
    assert len(set(ids)) == len(ids)
    answer, points = notebook.cells[-2:]
    assert answer.metadata["nbgrader"]["solution"]
    assert not answer.metadata["nbgrader"]["locked"]
    assert answer.source.count("### BEGIN SOLUTION") == 1
    ast.parse(answer.source)
    assert points.metadata["nbgrader"]["points"] == 2
    assert points.source == "score(geometric_mean)"
    own = nbgrader.assignment(exercises.values(), Path("exercises"))
    assert "score(geometric_mean, 'exercises')" in own


@pytest.mark.peer
def test_nbgrader_takes_the_notebook(exercises, tmp_path):
    """The real nbgrader makes the learners' version. It is not run here (see docs/teaching.md)."""
    pytest.importorskip("nbgrader")
    source = tmp_path / "source" / "week1"
    source.mkdir(parents=True)
    (source / "week1.ipynb").write_text(nbgrader.assignment(exercises.values()))
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "generate_assignment", "week1", "--create"],
        cwd=tmp_path, capture_output=True, text=True,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    released = nbformat.read(tmp_path / "release" / "week1" / "week1.ipynb", 4)
    answer, points = released.cells[-2:]
    assert "BEGIN SOLUTION" not in answer.source
    assert answer.source.startswith("def geometric_mean(values):")
    assert answer.source.rstrip().endswith("raise NotImplementedError()")
    assert len(points.metadata["nbgrader"]["checksum"]) == 32
    assert not points.metadata["editable"]

    from nbgrader.utils import determine_grade

    for text, right in (("2.0", 2), ("0.5", 0.5), ("0.0", 0)):
        data = {"text/plain": text}
        points.outputs = [
            nbformat.v4.new_output("stream", name="stdout", text="x"),
            nbformat.v4.new_output("execute_result", data=data, execution_count=1),
        ]
        assert determine_grade(points) == (right, 2)


# Otter


def test_otter_files(exercises, tmp_path):
    """The notebook's metadata and the test files in the exception format."""
    files = otter.assignment(exercises.values(), "week1")
    assert set(files) == {"week1.ipynb", "tests/geometric_mean.py"}
    notebook = nbformat.reads(files["week1.ipynb"], 4)
    nbformat.validate(notebook)
    metadata = notebook.metadata["otter"]
    assert metadata["OK_FORMAT"] is False
    assert metadata["assignment_name"] == "week1"
    assert metadata["tests"] == {"geometric_mean": files["tests/geometric_mean.py"]}
    named = [cell.metadata.get("otter", {}).get("tests") for cell in notebook.cells]
    assert [one for one in named if one] == [["geometric_mean"]]
    ast.parse(files["tests/geometric_mean.py"])


@pytest.mark.peer
def test_otter_takes_the_test_file(exercises, tmp_path, monkeypatch):
    """The real Otter reads and runs the test; `otter grade`, which needs Docker, was not run."""
    pytest.importorskip("otter")
    from kerasbook.learner import notebook

    from otter.nbmeta_config import NBMetadataConfig
    from otter.test_files import create_test_file

    files = otter.assignment(exercises.values(), "week1")
    write_folder(tmp_path, files)
    metadata = nbformat.reads(files["week1.ipynb"], 4).metadata["otter"]
    config = NBMetadataConfig(dict(metadata))
    for reached, right in ((2.0, 2), (0.5, 0)):
        monkeypatch.setattr(notebook, "score", lambda function, reached=reached: reached)
        for place, name in (("tests/geometric_mean.py", None), ("week1.ipynb", "geometric_mean")):
            test = create_test_file(str(tmp_path / place), config, name)
            test.run({"geometric_mean": lambda values: 1.0})
            assert test.name == "geometric_mean"
            assert test.possible == 2
            assert test.score == right


# Files


def test_records_are_read_and_what_is_none_is_an_error(record, tmp_path):
    (tmp_path / "records").mkdir()
    with pytest.raises(ExportError, match="has no records"):
        read_records(tmp_path)
    (tmp_path / "records" / "b.json").write_text(json.dumps(record | {"learner": "b"}))
    (tmp_path / "records" / "c.json").write_text(json.dumps(record | {"learner": "a"}))
    (tmp_path / "records" / ".unfinished-1-a.json").write_text("{")
    assert [one["learner"] for one in read_records(tmp_path)] == ["a", "b"]
    for bad in ("", "[]", "{}", '{"learner": 1, "needs_attention": 0, "questions": []}'):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(ExportError, match="is no record"):
            read_record(tmp_path / "bad.json")
    with pytest.raises(ExportError, match="cannot read"):
        read_record(tmp_path / "none.json")


def test_nothing_that_is_there_is_overwritten(tmp_path):
    write_folder(tmp_path, {"a/b.txt": "1", "c": b"2"})
    with pytest.raises(ExportError, match="is there"):
        write_folder(tmp_path, {"d": "3", "c": "4"})
    assert (tmp_path / "c").read_text() == "2"
    assert not (tmp_path / "d").exists()


def test_the_verbs_write_their_files(record, tmp_path):
    """Every verb of `kerasbook export`, by the command line."""
    from kerasbook.cli import app

    from typer.testing import CliRunner

    (tmp_path / "records").mkdir()
    path = tmp_path / "records" / "anna.json"
    path.write_text(json.dumps(record))
    own = ["--exercises", str(EXAMPLE)]
    for arguments, made in (
        (["gradescope", "g.zip", "--install", PINNED, *own], "g.zip"),
        (["gradescope-results", str(path), "g.json"], "g.json"),
        (["github", "action", "--install", PINNED, *own], "action/grade.sh"),
        (["github-result", str(path)], ""),
        (["exercism", str(path), "e.json"], "e.json"),
        (["nbgrader", "n/week1.ipynb", *own], "n/week1.ipynb"),
        (["otter", "o", *own], "o/exercises.ipynb"),
        (["canvas", str(tmp_path), "c.csv", "--assignment", "x"], "c.csv"),
        (["moodle", str(tmp_path), "m.csv", "--assignment", "x"], "m.csv"),
    ):
        before = Path.cwd()
        os.chdir(tmp_path)
        try:
            done = CliRunner().invoke(app, ["export", *arguments])
        finally:
            os.chdir(before)
        assert done.exit_code == 0, (arguments, done.output, done.exception)
        assert (tmp_path / made).exists()
        if made.endswith((".zip", ".json", ".csv")):  # the key, or somebody's points
            assert (tmp_path / made).stat().st_mode & 0o777 == 0o600, made
    assert (tmp_path / "action" / "grade.sh").stat().st_mode & 0o100
