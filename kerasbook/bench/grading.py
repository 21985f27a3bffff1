"""How many submissions a minute and core? `kerasbook grade` beside nbgrader, Otter and pytest.

    kerasbook bench grading --number 20 --peers ENVIRONMENT/bin/python --json grading.json

Everybody grades the same submissions of six questions, half of them with TensorFlow, with the same
cases and the same comparison, one submission after the other, bound to one core (`--cores`). The
answers are the authors' own, right and wrong. All that is between the command and the last result
counts, starting up too; making the notebooks and nbgrader's data base does not. Each also grades a
class of one: the further submissions alone are the second rate, and what is left is the start.

Memory is that of all processes of the contender together, shared pages counted once, looked at
every second; the largest of the first half of the run stands beside that of the second.

kerasbook isolates each answer, at the level that is shown. The others run the answers in the
process that judges them, as they do in a class: nbgrader and Otter in a kernel for each notebook,
pytest in a process for each submission. `--peers` names a Python that has nbgrader, Otter, pytest
and what kerasbook needs; what it has not is left out, with a word.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from kerasbook.exercises import Exercise, load
from kerasbook.grading.exports import nbgrader as nbgrader_export
from kerasbook.grading.exports import otter as otter_export

QUESTIONS = (
    "fixed_batches", "huber_loss", "ridge_regression",
    "adamw_step", "minimal_gated_unit", "GroupedAttention",
)  # fmt: skip
Answers = dict[str, dict[str, str]]  # learner → question → text

# The same cases and comparison, without walls: what a test in the learner's process would do.
HERE = """
def score(function):
    from kerasbook.grading.in_process import InProcess
    from kerasbook.grading.question import grade
    from kerasbook.learner import learner
    from kerasbook.learner.notebook import text_of

    exercise = learner.named(function.__name__)
    return grade(exercise, InProcess(exercise, "\\n\\n".join(text_of(function)))).points
"""
PYTEST = """
import answers
import pytest
{here}

@pytest.mark.parametrize("name, points", {points!r})
def test_answer(name, points):
    assert score(getattr(answers, name)) == points
"""
OTTER = """
from otter.test_files import test_case

OK_FORMAT = False
name = {name!r}
points = {points:g}


@test_case(points={points:g})
def check_it({name}):
    {here}
    assert score({name}) == {points:g}
"""


class Absent(Exception):
    """A package that is not there."""


class Contest:
    """The class, and how a command is run: in the folder, bound to some cores.

    Args:
        folder: a scratch folder.
        exercises: the questions.
        number: of submissions.
        peers: a Python with the other packages.
        cores: how many cores everybody gets.
    """

    def __init__(
        self, folder: Path, exercises: dict[str, Exercise], number: int, peers: str, cores: int
    ):
        self.folder, self.exercises, self.peers = folder, exercises, peers
        allowed = sorted(os.sched_getaffinity(0))
        if cores > len(allowed):
            raise SystemExit(f"error: --cores {cores}, but there are {len(allowed)}")
        self.cores = allowed[:cores]
        self.memory: list[int] = []  # bytes, every second in which a command ran
        draw = random.Random(0)
        self.answers: Answers = {
            f"learner{at:03d}": {
                one.name: draw.choice([one.solution, *one.right_ones, *one.wrong_ones]).source
                for one in exercises.values()
            }
            for at in range(number)
        }

    def run(self, *command: object, cwd: Path | None = None, good: tuple[int, ...] = (0,)) -> str:
        """Returns what a command prints.

        Raises:
            RuntimeError: it ended with another exit status than those that are good.
        """
        root = str(Path(__file__).parents[2])
        folder = Path(str(command[0])).parent
        environment = os.environ | {
            "PYTHONPATH": root,
            "PATH": f"{folder}:{os.environ['PATH']}",
            "CUDA_VISIBLE_DEVICES": "-1",
        }
        with subprocess.Popen(
            list(map(str, command)),
            cwd=cwd or self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores),
        ) as running:
            output = ""
            while True:
                try:
                    output, _ = running.communicate(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    self.memory.append(memory_of(running.pid))
        if running.returncode not in good:
            raise RuntimeError("\n".join(output.splitlines()[-8:]))
        return output

    def needs(self, package: str) -> None:
        """Checks that the peers' Python has such a package.

        Raises:
            Absent: it has not.
        """
        code = f"import importlib.util as u; exit(u.find_spec({package!r}) is None)"
        try:
            self.run(self.peers, "-c", code)
        except RuntimeError as error:
            raise Absent(f"{self.peers} has no {package}") from error


def memory_of(first: int) -> int:
    """Returns bytes that a process and all below it hold, shared pages counted once.

    Of their own memory, a page that n of them share counts as 1/n in each. Of files, mostly the
    libraries that all of them use, the share of the process with most counts: there 1/n would
    depend on what else runs on the machine.
    """
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(path.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.parent.name))
    own, files, waiting = 0, 0, [first]
    while waiting:
        number = waiting.pop()
        waiting += children.get(number, [])
        with contextlib.suppress(OSError):
            shares = Path(f"/proc/{number}/smaps_rollup").read_text()
            status = Path(f"/proc/{number}/status").read_text(errors="replace")
            own += sum(map(int, re.findall(r"^Pss_(?:Anon|Shmem): +(\d+)", shares, re.M)))
            files = max([files, *map(int, re.findall(r"^RssFile:\s+(\d+)", status, re.M))])
    return (own + files) * 1024


# Each contender: prepares, then returns what is timed; that returns (questions passed, a remark).

Timed = Callable[[], tuple[int, str]]


def kerasbook(contest: Contest) -> Timed:
    """Grades by `kerasbook grade`."""
    place = contest.folder / "submissions"
    place.mkdir()
    for learner, answers in contest.answers.items():
        (place / f"{learner}.py").write_text("\n\n".join(answers.values()), encoding="utf-8")

    def timed():
        questions = ",".join(contest.exercises)
        contest.run(
            sys.executable, "-m", "kerasbook", "grade", place, "--out", "out",
            "--questions", questions, "--jobs", len(contest.cores), "--require-isolation", 5,
        )  # fmt: skip
        records = [json.loads(path.read_text()) for path in contest.folder.glob("out/records/*")]
        outcomes = [one for record in records for one in record["questions"].values()]
        if any(record["needs_attention"] for record in records):
            raise RuntimeError("the grader failed on a submission")
        passed = sum(one["status"] == "pass" for one in outcomes)
        return passed, f"isolation level {records[0]['isolation_level']}"

    return timed


def pytest(contest: Contest) -> Timed:
    """Grades by bare pytest, a process for each submission."""
    contest.needs("pytest")
    points = [(one.name, one.points) for one in contest.exercises.values()]
    for learner, answers in contest.answers.items():
        place = contest.folder / "pytest" / learner
        place.mkdir(parents=True)
        (place / "answers.py").write_text("\n\n".join(answers.values()), encoding="utf-8")
        (place / "test_answers.py").write_text(PYTEST.format(here=HERE, points=points))

    def timed():
        passed = 0
        for learner in contest.answers:
            place = contest.folder / "pytest" / learner
            command = [contest.peers, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", "."]
            output = contest.run(*command, "-p", "no:cacheprovider", ".", cwd=place, good=(0, 1))
            passed += int((re.findall(r"(\d+) passed", output) or ["0"])[-1])
        return passed, "no isolation"

    return timed


def nbgrader(contest: Contest) -> Timed:
    """Grades by `nbgrader autograde`."""
    contest.needs("nbgrader")
    place = contest.folder / "nbgrader"
    command = [contest.peers, "-m", "nbgrader"]
    source = nbgrader_export.assignment(contest.exercises.values())
    source = source.replace(
        json.dumps("from kerasbook.learner.notebook import score")[1:-1],
        json.dumps(HERE, ensure_ascii=False)[1:-1],
    )
    (place / "source" / "week").mkdir(parents=True)
    (place / "source" / "week" / "week.ipynb").write_text(source, encoding="utf-8")
    (place / "nbgrader_config.py").write_text(
        'c = get_config()\nc.CourseDirectory.course_id = "course"\n'
        "c.ExecutePreprocessor.timeout = 300\n"
    )
    contest.run(*command, "generate_assignment", "week", "--create", cwd=place)
    released = json.loads((place / "release" / "week" / "week.ipynb").read_text())
    for learner, answers in contest.answers.items():
        for cell in released["cells"]:
            question = cell["metadata"].get("kerasbook", {}).get("question")
            if question:
                cell["source"] = answers[question]
        file = place / "submitted" / learner / "week" / "week.ipynb"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(released))

    def timed():
        contest.run(*command, "autograde", "week", cwd=place)
        passed = 0
        for learner in contest.answers:
            graded = json.loads(
                (place / "autograded" / learner / "week" / "week.ipynb").read_text()
            )
            for cell in graded["cells"]:
                points = cell["metadata"].get("nbgrader", {}).get("points")
                results = [
                    one["data"]["text/plain"]
                    for one in cell.get("outputs", ())
                    if one["output_type"] == "execute_result"
                ]
                passed += (
                    points is not None and float("".join(results[0]) if results else 0) == points
                )
        return passed, "no isolation"

    return timed


def otter(contest: Contest) -> Timed:
    """Grades by `otter run`, which is what `otter grade` runs in its container."""
    contest.needs("otter")
    place = contest.folder / "otter"
    files = otter_export.assignment(contest.exercises.values(), "week")
    (place / "tests").mkdir(parents=True)
    here = HERE.strip().replace("\n", "\n    ")
    for one in contest.exercises.values():
        text = OTTER.format(name=one.name, points=one.points, here=here)
        (place / "tests" / f"{one.name}.py").write_text(text)
    command = [contest.peers, "-m", "otter"]
    contest.run(
        *command, "generate", "-t", "tests", "-o", "autograder.zip", "--no-environment",
        "--no-requirements", cwd=place,
    )  # fmt: skip
    for learner, answers in contest.answers.items():
        notebook = json.loads(files["week.ipynb"])
        del notebook["metadata"]["otter"]  # its tests are the zip's
        for cell in notebook["cells"]:
            question = cell["metadata"].get("kerasbook", {}).get("question")
            if question:
                cell["source"] = answers[question]
        (place / learner).mkdir()
        (place / learner / "week.ipynb").write_text(json.dumps(notebook))

    def timed():
        passed = 0
        for learner in contest.answers:
            contest.run(
                *command, "run", f"{learner}/week.ipynb", "-a", "autograder.zip", "-o", learner,
                "--no-logo", cwd=place,
            )  # fmt: skip
            tests = json.loads((place / learner / "results.json").read_text())["tests"]
            passed += sum(
                test.get("score", 0) == test.get("max_score", 0) > 0
                for test in tests
                if test["name"] != "Public Tests"
            )
        return passed, "no isolation"

    return timed


CONTENDERS = {"kerasbook": kerasbook, "pytest": pytest, "nbgrader": nbgrader, "otter": otter}


def compare(
    number: int,
    peers: str = sys.executable,
    cores: int = 1,
    questions: tuple[str, ...] = QUESTIONS,
    contenders: tuple[str, ...] = tuple(CONTENDERS),
    show: Callable[[str], None] = print,
) -> dict:
    """Lets each contender grade the class once; returns what came out.

    Args:
        number: of submissions.
        peers: a Python with the other packages.
        cores: for everybody.
        questions: names of the book's exercises.
        contenders: names of those who take part.
        show: gets a line for each.
    """
    book = load()
    exercises = {name: book[name] for name in questions}
    rows = {}
    for name in contenders:
        try:
            alone, _ = timed(name, exercises, 1, peers, cores)
            row, contest = timed(name, exercises, number, peers, cores)
        except (Absent, RuntimeError) as error:
            show(f"{name:10} left out: {error}")
            continue
        seconds = row["seconds"]
        each = (seconds - alone["seconds"]) / max(number - 1, 1)
        half = len(contest.memory) // 2
        peaks = [max(part, default=0) for part in (contest.memory[:half], contest.memory[half:])]
        rows[name] = row | {
            "submissions_per_minute_and_core": 60 * number / seconds / cores,
            "seconds_of_one": alone["seconds"],
            "further_submissions_per_minute_and_core": 60 / each / cores if each > 0 else None,
            "memory_of_the_halves": peaks,
        }
        show(
            f"{name:10} {60 * number / seconds / cores:6.1f} submissions a minute and core "
            f"({number} in {seconds:.1f} s, one in {alone['seconds']:.1f} s, each further one "
            f"{each:.2f} s; {row['questions_passed']} of {number * len(exercises)} answers right; "
            f"memory {peaks[0] / 2**20:.0f}, then {peaks[1] / 2**20:.0f} MiB; {row['remark']})"
        )
    return {
        "machine": platform.platform(),
        "python": platform.python_version(),
        "submissions": number,
        "questions": list(questions),
        "cores": cores,
        "rows": rows,
    }


def timed(
    name: str, exercises: dict[str, Exercise], number: int, peers: str, cores: int
) -> tuple[dict, Contest]:
    """Lets one contender grade a class of this size; returns what came out, and its contest."""
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(Path(folder), exercises, number, peers, cores)
        grade = CONTENDERS[name](contest)
        contest.memory.clear()
        started = time.perf_counter()
        passed, remark = grade()
        seconds = time.perf_counter() - started
    return {"seconds": seconds, "questions_passed": passed, "remark": remark}, contest


def main(arguments: list[str] | None = None) -> None:
    """Compares, prints, and writes the figures as JSON if asked to."""
    parser = argparse.ArgumentParser(prog="kerasbook bench grading")
    parser.add_argument("--number", type=int, default=20, help="of submissions [20]")
    parser.add_argument("--peers", default=sys.executable, help="a Python with nbgrader and Otter")
    parser.add_argument("--cores", type=int, default=1, help="that everybody gets [1]")
    parser.add_argument("--only", choices=CONTENDERS, help="only this one")
    parser.add_argument("--json", type=Path, help="write the figures there")
    chosen = parser.parse_args(arguments)
    if not hasattr(os, "sched_setaffinity"):
        parser.exit(2, "error: this binds processes to cores, which only Linux can\n")
    if chosen.number < 1 or chosen.cores < 1:
        parser.error("--number and --cores must be at least 1")
    contenders = (chosen.only,) if chosen.only else tuple(CONTENDERS)
    figures = compare(chosen.number, chosen.peers, chosen.cores, contenders=contenders)
    if chosen.json:
        chosen.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
