"""Plants small changes into the loop and the hand-made functions: does a test notice?

    python tests/mutate.py --sample 300 --seed 0 --folder mutants --minutes 12
    python tests/mutate.py --only training/loops --sample 9999 --folder mutants

A change is an operator, a comparison, a constant or a dropped statement, found in the syntax tree
of kerasbook/training and of what the ledger compares. It is put in the place of the function in a
fork of a process that has imported everything and computed nothing, so that none costs an import;
a fork judges a few changes of one file.
First 50 fixed inputs (tests/mutation_inputs.py): a change that gives the same outputs, weights and
errors changes nothing and is not tested. Else the nearest tests that enter the function run, the
quickest first, until one fails. What none of them sees is listed.

Results are added to FOLDER/results.jsonl one by one: with --minutes it ends early, and the same
command goes on. After an edit, --again PATTERN asks about those once more whose line matches it.
Tests in processes of their own do not see a planted change and are no help here.
"""

import argparse
import ast
import contextlib
import dataclasses
import importlib
import inspect
import json
import os
import pickle
import random
import re
import resource
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "kerasbook"
INPUTS = 50
ENDED = "it ended"
SECONDS = 120  # of processor time for one fork; a change that takes longer is seen
PARTS = "test_training_parts.py"
NEAREST = {
    "training/progress.py": ["test_progress.py"],
    "training/history.py": ["test_progress.py", "test_training.py"],
    "training/devices.py": [PARTS, "test_devices.py"],
    "training/replicas.py": [PARTS, "test_devices.py"],
    "training/checkpoint.py": [
        PARTS,
        "test_training.py",
        "test_fit_promises.py",
        "test_survival.py",
    ],
}
LOOP = [PARTS, "test_fit_promises.py", "test_training_equality.py", "test_training.py"]
CODE = ("__code__", "__defaults__", "__kwdefaults__")
OPTIONS = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
OPTIONS += ["-m", "not slow and not gpu and not network", "-c", str(ROOT / "pyproject.toml")]


@dataclasses.dataclass
class Change:
    """One planted change, and what became of it."""

    file: str
    function: str  # or the class
    method: str  # or ""
    line: int
    column: int
    what: str
    source: str  # of the function or class
    first_line: int  # of the function or method, decorators included

    @property
    def name(self) -> str:
        """Where and what, in one line; the same as long as the file is."""
        where = ".".join(filter(None, (self.function, self.method)))
        return f"{self.file}:{self.line}:{self.column} {where}: {self.what}"

    @property
    def place(self) -> str:
        """The function as `entered` names it."""
        return f"{self.file}:{self.first_line}"


# --- the changes --------------------------------------------------------------------------

SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def changes_of(file: Path, wanted: Callable[[str], bool]) -> Iterator[Change]:
    """Yields all changes of the functions and classes whose name is wanted."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    name = str(file.relative_to(PACKAGE))
    for outer in tree.body:
        if not isinstance(outer, ast.FunctionDef | ast.ClassDef) or not wanted(outer.name):
            continue
        inner = outer.body if isinstance(outer, ast.ClassDef) else [outer]
        for function in (each for each in inner if isinstance(each, ast.FunctionDef)):
            method = "" if function is outer else function.name
            first = min([function.lineno, *(each.lineno for each in function.decorator_list)])
            for node in ast.walk(function):
                for what, edit in edits_of(node):
                    with edit:
                        source = ast.unparse(outer)
                    at = node if hasattr(node, "lineno") else function
                    place = at.lineno, at.col_offset
                    yield Change(name, outer.name, method, *place, what, source, first)


def edits_of(node: ast.AST) -> Iterator[tuple[str, contextlib.AbstractContextManager]]:
    """Yields what can be changed at a node: a word for it, and a context in which it is changed."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        if not in_a_type(node):
            yield f"{swapped(node.op, new)} in {short(node)}", put(node, "op", new())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = SWAPS[type(node.ops[0])]
        ops = [new(), *node.ops[1:]]
        yield f"{swapped(node.ops[0], new)} in {short(node)}", put(node, "ops", ops)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield f"not left out of {short(node)}", put(node, "op", ast.UAdd())
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} → {not node.value}", put(node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield f"{node.value} → {node.value + 1}", put(node, "value", node.value + 1)
    body = getattr(node, "body", None)
    if isinstance(body, list):
        yield from dropped(node, body)


def dropped(node: ast.AST, body: list) -> Iterator[tuple[str, contextlib.AbstractContextManager]]:
    """Yields the same without one of its statements: a call, an assignment in place, a raise."""
    for place, statement in enumerate(body):
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise) and not is_docstring:
            # Never run but there, so that the function still closes over the same variables.
            never = ast.If(test=ast.Constant(False), body=[statement], orelse=[])
            left = [*body[:place], never, *body[place + 1 :]]
            yield f"dropped: {short(statement)} (line {statement.lineno})", put(node, "body", left)


def in_a_type(node: ast.AST) -> bool:
    """Whether it is `int | None`, which is a type and computes nothing."""
    return isinstance(node, ast.BinOp) and bool(
        re.search(r"\| None|Callable|\bstr \|", short(node))
    )


def swapped(old: ast.AST, new: type) -> str:
    """Returns the words for another operator."""
    return f"{type(old).__name__} → {new.__name__}"


def short(node: ast.AST) -> str:
    """Returns the beginning of its text."""
    return " ".join(ast.unparse(node).split())[:60]


@contextlib.contextmanager
def put(node: ast.AST, name: str, value: object) -> Iterator[None]:
    """Holds another value in a node's field."""
    before = getattr(node, name)
    setattr(node, name, value)
    try:
        yield
    finally:
        setattr(node, name, before)


def all_changes() -> list[Change]:
    """Returns every change of the training loop and of what the ledger compares."""
    found: list[Change] = []
    for file in sorted((PACKAGE / "training").glob("*.py")):
        found += changes_of(file, lambda name: True)
    ledger = "".join(file.read_text() for file in sorted((PACKAGE / "ledger").glob("*.py")))
    for file in sorted(PACKAGE.glob("chapter*.py")):
        names = set(re.findall(rf"\b{file.stem}\.(\w+)", ledger))
        imported = re.findall(rf"from kerasbook\.{file.stem} import \(?([\w, ]+)", ledger)
        names |= {name.split()[0] for each in imported for name in each.split(",") if name.strip()}
        found += changes_of(file, names.__contains__)
    return found


@contextlib.contextmanager
def planted(change: Change) -> Iterator[None]:
    """Gives the function, wherever it has been imported, the changed code; takes it back."""
    module = importlib.import_module("kerasbook." + change.file[:-3].replace("/", "."))
    scratch = dict(vars(module))
    exec(compile(change.source, change.file, "exec"), scratch)
    old, new = vars(module)[change.function], scratch[change.function]
    if change.method:
        old, new = vars(old)[change.method], vars(new)[change.method]
    old, new = plain(old), plain(new)
    before = {name: getattr(old, name) for name in CODE}
    try:
        for name in CODE:
            setattr(old, name, getattr(new, name))
        yield
    finally:
        for name in CODE:
            setattr(old, name, before[name])


def plain(function):
    """Returns the function in a property, a class method or behind decorators."""
    for name in ("fget", "__func__", "func"):
        function = getattr(function, name, None) or function
    return inspect.unwrap(function)


# --- forks --------------------------------------------------------------------------------


def in_a_fork(work: Callable[[], object], seconds: int = 1500):
    """Returns what work() returns in a fork; ENDED if it hangs or crashes."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        become_quiet()
        try:
            with os.fdopen(writer, "wb") as file:
                pickle.dump(work(), file)
            os._exit(0)
        except BaseException:
            os._exit(99)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        given = file.read()
    os.waitpid(child, 0)
    try:
        return pickle.loads(given)
    except (EOFError, pickle.UnpicklingError):
        return ENDED


class Entered:
    """Notes which functions of the package are entered, as "file:first line"."""

    def __init__(self):
        self.places: set[str] = set()
        self.prefix = f"{PACKAGE}/"

    def __call__(self, frame, event, argument):
        if event == "call" and frame.f_code.co_filename.startswith(self.prefix):
            code = frame.f_code
            self.places.add(f"{code.co_filename[len(self.prefix) :]}:{code.co_firstlineno}")

    def __enter__(self):
        sys.setprofile(self)
        return self

    def __exit__(self, *error):
        sys.setprofile(None)


# --- the fixed inputs -----------------------------------------------------------------------


def outputs_of(names: list[str]) -> dict[str, list]:
    """Returns what the inputs give."""
    import mutation_inputs

    return {name: mutation_inputs.result_of(name) for name in names}


def first_other(expected: dict[str, list]) -> str:
    """Returns the first input that gives something else than expected; "" if none."""
    import mutation_inputs

    for name, outputs in expected.items():
        if not mutation_inputs.same(mutation_inputs.result_of(name), outputs):
            return name
    return ""


def inputs_entered() -> dict[str, tuple[set[str], float]]:
    """Returns, for each input, the functions that it enters and its seconds."""
    import mutation_inputs

    found = {}
    for name in mutation_inputs.TRAINING:
        started = time.process_time()
        with Entered() as entered:
            mutation_inputs.result_of(name)
        found[name] = entered.places, time.process_time() - started
    return found


# --- the tests ------------------------------------------------------------------------------


class Watch:
    """A plugin of pytest: which test enters which functions, its seconds, which one failed."""

    def __init__(self, trace: bool):
        self.trace, self.tests, self.failed = trace, {}, ""

    def pytest_runtest_protocol(self, item, nextitem):
        """Runs around setup, test and teardown."""
        from _pytest.runner import runtestprotocol

        if not self.trace:
            return None
        started, failures = time.process_time(), self.failed
        with Entered() as entered:
            runtestprotocol(item, nextitem=nextitem)
        if self.failed == failures:
            self.tests[item.nodeid] = entered.places, time.process_time() - started
        return True

    def pytest_runtest_logreport(self, report):
        """Notes a failure."""
        if report.failed:
            self.failed = report.nodeid


def tests_entered(file: str) -> dict[str, tuple[set[str], float]]:
    """Returns, for each test of a file that passes, what it enters and its seconds."""
    import pytest

    watch = Watch(trace=True)
    pytest.main([*OPTIONS[1:], str(ROOT / "tests" / file)], plugins=[watch])
    return watch.tests


def first_failure(tests: list[str]) -> str:
    """Returns the first of the tests that fails; "" if none."""
    import pytest

    watch = Watch(trace=False)
    os.chdir(ROOT)
    status = pytest.main([*OPTIONS, *tests], plugins=[watch])
    return watch.failed or ("" if int(status) == 0 else f"pytest ends with {status}")


def first_red(names: list[str]) -> str:
    """Returns the first claim of the ledger that is red with the change; "" if none."""
    from kerasbook import ledger

    import numpy as np

    claims = {f"{one.chapter}: {one.name}": one for one in ledger.CLAIMS}
    for name in names:
        one = claims[name]
        try:
            with np.errstate(all="ignore"):
                if not ledger.verify(one, 0, one.dtypes[-1:])["green"]:
                    return name
        except Exception as error:
            return f"{name}: {error!r}"[:200]
    return ""


def claims_entered() -> dict[str, tuple[set[str], float]]:
    """Returns, for each claim, what it enters and its seconds; chapter 9's start processes."""
    from kerasbook import ledger

    found = {}
    for one in ledger.CLAIMS:
        started = time.process_time()
        with Entered() as entered:
            ledger.verify(one, 0, one.dtypes[-1:])
        found[f"{one.chapter}: {one.name}"] = entered.places, time.process_time() - started
    return found


# --- judging --------------------------------------------------------------------------------


@dataclasses.dataclass
class Case:
    """A change, and what is asked of it."""

    change: Change
    expected: dict[str, list]  # what the inputs that enter the function give without it
    claims: list[str]
    tests: list[str]


def judge(case: Case) -> tuple[str, str]:
    """Returns "seen", "no change" or "MISSED", and by what."""
    if not case.expected:
        return "no change", "none of the inputs enters it"
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
    with planted(case.change):
        other = first_other(case.expected)
        if not other:
            return "no change", f"on {len(case.expected)} inputs"
        seen = (case.claims and first_red(case.claims)) or (
            case.tests and first_failure(case.tests)
        )
    return ("seen" if seen else "MISSED"), f"{other}; {seen or ''}"


def judge_all(cases: list[Case], writer: int) -> None:
    """Judges one case after the other in this process, and writes a line for each.

    The last line tells whether the tests that failed pass again without a change: else a change
    has left something behind, and what came after it may have been seen by mistake.
    """
    failed = set()
    with open(writer, "w", closefd=False) as file:
        for case in cases:
            found, by = judge(case)
            if found == "seen" and ".py::" in by:
                failed.add(by.rpartition("; ")[2])
            file.write(json.dumps([found, by]) + "\n")
            file.flush()
        left = first_failure(sorted(failed)) if failed else ""
        file.write(json.dumps(["end", left]) + "\n")


def in_one_fork(cases: list[Case]) -> list[tuple[str, str]]:
    """Returns what becomes of the first of the cases: of all, unless one ends the process."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        become_quiet()
        try:
            judge_all(cases, writer)
        except BaseException:
            with open(writer, "w") as file:
                file.write(json.dumps(["error", traceback.format_exc()]) + "\n")
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        rows = [json.loads(line) for line in file if line.endswith("\n")]
    os.waitpid(child, 0)
    if rows and rows[-1][0] == "error":
        sys.exit(f"{cases[len(rows) - 1].change.name}: {rows[-1][1]}")
    if not rows or rows[-1][0] != "end":
        return [*map(tuple, rows), ("seen", "it ends the process, or takes too long")]
    if rows.pop()[1] and len(cases) > 1:  # one at a time, then
        return [in_one_fork([case])[0] for case in cases]
    return [tuple(row) for row in rows]


def become_quiet() -> None:
    """Lets a fork write nothing."""
    quiet = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(quiet, stream)


class Judge:
    """Judges changes; what holds without any change is computed once and kept in a file."""

    def __init__(self, folder: Path):
        self.file = folder / "unchanged.pickle"
        self.known: dict = {}
        if self.file.exists():
            self.known = pickle.loads(self.file.read_bytes())

    def know(self, name: str, work: Callable[[], object]):
        """Returns work(), from the file if it is there."""
        if name not in self.known:
            self.known[name] = self.must(name, work)
            self.file.write_bytes(pickle.dumps(self.known))
        return self.known[name]

    def must(self, name: str, work: Callable[[], object]):
        """Returns work(), done in a fork."""
        print(f"     … {name}", flush=True)
        found = in_a_fork(work)
        if found == ENDED:
            sys.exit(f"{name} cannot be computed even without a change")
        return found

    def quickest(self, entered: dict, place: str) -> list[str]:
        """Returns the names of what enters the function, the quickest first."""
        chosen = [name for name, (places, _) in entered.items() if place in places]
        return sorted(chosen, key=lambda name: entered[name][1])

    def case(self, change: Change) -> Case:
        """Returns what is asked of a change."""
        expected = self.outputs(self.inputs(change))
        training = change.file.startswith("training/")  # whose tests are nearer than the claims
        return Case(change, expected, [] if training else self.claims(change), self.tests(change))

    def inputs(self, change: Change) -> list[str]:
        """Returns the names of the inputs that enter the function: fifty, or fewer."""
        if change.file.startswith("training/"):
            return self.quickest(self.know("what the inputs enter", inputs_entered), change.place)
        claims = self.claims(change)
        draws = range(-(-INPUTS // max(1, len(claims))))
        return [f"{claim}#{draw}" for draw in draws for claim in claims][:INPUTS]

    def outputs(self, names: list[str]) -> dict[str, list]:
        """Returns what the inputs give without a change."""
        known = self.known.setdefault("outputs", {})
        missing = [name for name in names if name not in known]
        if missing:
            known |= self.must(f"{len(missing)} inputs", lambda: outputs_of(missing))
            self.file.write_bytes(pickle.dumps(self.known))
        return {name: known[name] for name in names}

    def claims(self, change: Change) -> list[str]:
        """Returns the ledger's claims that enter the function."""
        return self.quickest(self.know("what the claims enter", claims_entered), change.place)

    def tests(self, change: Change) -> list[str]:
        """Returns the nearest tests that enter the function; of a chapter, all of its file."""
        if not change.file.startswith("training/"):
            return [f"{ROOT}/tests/test_{Path(change.file).stem}.py"]
        entered: dict = {}
        for file in NEAREST.get(change.file, LOOP):
            entered |= self.know(f"what {file} enters", lambda file=file: tests_entered(file))
        return self.quickest(entered, change.place)


# --- the command ----------------------------------------------------------------------------


def prepare() -> None:
    """Imports everything, without computing anything: a fork of a computing process hangs."""
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    os.environ.update({"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"})
    from kerasbook.training.devices import logical_devices

    import mutation_inputs  # noqa: F401
    import pytest  # noqa: F401
    from tensorflow.python.eager import context

    logical_devices(4, "CPU")
    if context.context()._context_handle is not None:
        sys.exit("something has been computed already")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="of the sample, the files that match this")
    parser.add_argument("--folder", type=Path, default=Path("mutants"), help="for the results")
    parser.add_argument("--minutes", type=float, default=1e9, help="then it ends, and can go on")
    parser.add_argument("--again", help="judge those once more whose results match this pattern")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    changes = all_changes()
    chosen = random.Random(options.seed).sample(changes, min(options.sample, len(changes)))
    chosen = [change for change in chosen if re.search(options.only, change.file)]
    print(f"{len(changes)} changes, {len(chosen)} of them tried", flush=True)
    options.folder.mkdir(exist_ok=True)
    results = options.folder / "results.jsonl"
    rows = (
        [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    )
    done = {row["name"]: row for row in rows}  # the last counts
    if options.again:
        done = {k: v for k, v in done.items() if not re.search(options.again, json.dumps(v))}
    prepare()
    judge = Judge(options.folder)
    left = [change for change in chosen if change.name not in done]
    while left:
        if time.monotonic() > end:
            sys.exit(f"{len(left)} are left, to be gone on with")
        turn = [change for change in left[:40] if change.file == left[0].file][:8]
        for change, (found, by) in zip(turn, in_one_fork([*map(judge.case, turn)]), strict=False):
            left.remove(change)
            done[change.name] = row = {"name": change.name, "found": found, "by": by}
            with results.open("a") as file:
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
            print(f"{len(done):4} {found:9} {change.name}   [{by}]", flush=True)
    summary([done[change.name] for change in chosen])


def summary(rows: list[dict]) -> None:
    """Prints the counts and what was missed."""
    found = [row["found"] for row in rows]
    counts = {word: found.count(word) for word in ("seen", "MISSED", "no change")}
    for row in rows:
        if row["found"] == "MISSED":
            print(f"MISSED {row['name']}   [{row['by']}]")
    share = counts["seen"] / max(1, counts["seen"] + counts["MISSED"])
    print(counts, f"seen of those that change something: {share:.1%}")


if __name__ == "__main__":
    main()
