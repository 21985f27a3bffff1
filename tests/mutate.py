"""Plants small changes into the loop and the hand-made functions: does a test notice?

    python tests/mutate.py --sample 300 --seed 0 --json mutants.json
    python tests/mutate.py --only training --sample 20

A change is an operator, a comparison, a constant or a dropped statement, found in the syntax tree.
Each is written into a copy of the package, and the tests that are nearest to the file run there
until the first that fails. A change that no test sees is asked whether it changes anything at all:
another output, weight or error on fixed inputs. Those that do are listed; the others are
equivalent. Takes hours: a fork of a process that has imported TensorFlow runs each.
"""

import argparse
import ast
import contextlib
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SECONDS = 600  # of processor time for the tests of one change; one that takes more is seen
LOOP = ["test_fit_promises.py", "test_training_equality.py", "test_training.py"]
NEAREST = {
    "training/checkpoint.py": ["test_training.py", "test_survival.py"],
    "training/progress.py": ["test_progress.py"],
    "training/devices.py": ["test_devices.py"],
    "training/replicas.py": ["test_devices.py"],
}


@dataclass
class Change:
    """One planted change, and what became of it."""

    file: str
    line: int
    what: str
    source: str  # of the whole file
    found: str = ""  # "seen", "equivalent" or "MISSED"


# --- the changes --------------------------------------------------------------------------

SWAPS: dict[type, type] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip


def changes_of(file: Path, wanted: Callable[[str], bool]) -> Iterator[Change]:
    """Yields all changes of the functions whose name is wanted."""
    text = file.read_text(encoding="utf-8")
    tree = ast.parse(text)
    name = str(file.relative_to(ROOT / "kerasbook"))
    for function in functions_in(tree, wanted):
        for node in ast.walk(function):
            for what, edit in edits_of(node, function):
                with edit:
                    source = ast.unparse(tree)
                yield Change(name, getattr(node, "lineno", function.lineno), what, source)


def functions_in(tree: ast.Module, wanted: Callable[[str], bool]) -> list[ast.FunctionDef]:
    """Returns the outermost functions and methods of that kind."""
    found = []
    for node in tree.body:
        inside = node.body if isinstance(node, ast.ClassDef) else [node]
        found += [f for f in inside if isinstance(f, ast.FunctionDef)]
    return [function for function in found if wanted(function.name)]


def edits_of(
    node: ast.AST, function: ast.FunctionDef
) -> Iterator[tuple[str, contextlib.ExitStack]]:
    """Yields what can be changed at a node: a word for it, and a context in which it is changed."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in SWAPS:
        new = SWAPS[type(node.op)]
        yield f"{type(node.op).__name__} → {new.__name__}", put(node, "op", new())
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        new = SWAPS[type(node.ops[0])]
        yield (
            f"{type(node.ops[0]).__name__} → {new.__name__}",
            put(node, "ops", [new(), *node.ops[1:]]),
        )
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not → +bool", put(node, "op", ast.UAdd())
    if isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield f"{node.value} → {not node.value}", put(node, "value", not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        yield f"{node.value} → {node.value + 1}", put(node, "value", node.value + 1)
    body = getattr(node, "body", None)
    if (isinstance(body, list) and node is not function) or node is function:
        yield from dropped(node, body)


def dropped(node: ast.AST, body: list) -> Iterator[tuple[str, contextlib.ExitStack]]:
    """Yields the same without one of its statements: a call, an assignment in place, a raise."""
    for place, statement in enumerate(body):
        is_docstring = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        if isinstance(statement, ast.Expr | ast.AugAssign | ast.Raise) and not is_docstring:
            left = [*body[:place], ast.Pass(), *body[place + 1 :]]
            yield f"dropped: {ast.unparse(statement)[:60]}", put(node, "body", left)


@contextlib.contextmanager
def put(node: ast.AST, name: str, value: object) -> Iterator[None]:
    """Holds another value in a node's field."""
    before = getattr(node, name)
    setattr(node, name, value)
    try:
        yield
    finally:
        setattr(node, name, before)


# --- tests and behaviour, each in a fork ----------------------------------------------------


def in_a_fork(overlay: Path, work: Callable[[], int]) -> int:
    """Returns what work() returns in a fork that imports the copied package; not 0 if it hangs."""
    child = os.fork()
    if not child:
        resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        sys.path.insert(0, str(overlay))
        os.chdir(overlay)
        try:
            os._exit(work())
        except BaseException:
            os._exit(99)
    end = time.monotonic() + 10 * SECONDS  # for one that sleeps
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def tests_of(file: str) -> list[str]:
    """Returns the nearest tests of a file of the package."""
    if file.startswith("training/"):
        return NEAREST.get(file, LOOP)
    return [f"test_{Path(file).stem}.py"]


def passes(file: str) -> int:
    """Runs the nearest tests and the ledger's claims; 0 if all pass."""
    import pytest

    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    options += ["-m", "not slow and not gpu and not network", "-c", str(ROOT / "pyproject.toml")]
    status = pytest.main([*options, *(str(ROOT / "tests" / test) for test in tests_of(file))])
    if status:
        return int(status)
    from kerasbook import ledger

    key = "loop" if file.startswith("training/") else Path(file).stem
    return 0 if ledger.run([key], 0, None, False) else 1


def behaviour(file: str) -> str:
    """Returns a digest of what the code does on fixed inputs: outputs, weights, errors."""
    digest = hashlib.sha256()
    results = fits() if file.startswith("training/") else claims(Path(file).stem)
    for result in results:
        digest.update(result)
    return digest.hexdigest()


def fits() -> Iterator[bytes]:
    """Yields weights, History or error of fifty small runs."""
    from kerasbook.training import evaluate, fit, predict

    import keras
    import numpy as np

    for number in range(50):
        draw = np.random.default_rng(number)
        rows, batch = int(draw.integers(1, 12)), int(draw.integers(1, 6))
        x, y = draw.normal(size=(rows, 3)), draw.normal(size=(rows, 1))
        weight = [draw.random(rows)] if number % 3 == 0 else []
        keras.utils.set_random_seed(number)
        hidden = [keras.layers.Dense(4, "relu", kernel_regularizer="l2")]
        hidden += [keras.layers.Dropout(0.3, seed=1)] * (number % 4 == 0)
        model = keras.Sequential([*hidden, keras.layers.Dense(1)])
        options = {"epochs": 2, "batch_size": batch, "shuffle": number % 2 == 0, "seed": number}
        options |= {"validation_data": (x, y)} if number % 5 == 0 else {}
        try:
            data = (x, y, *weight)
            history = fit(
                model, data, loss_fn="mse", optimizer="adam", progress="none", jit="off", **options
            )
            scores = evaluate(model, data, loss_fn="mse", batch_size=batch)
            yield repr((history.history, scores)).encode()
            yield predict(model, x).tobytes()
        except Exception as error:
            yield repr(error).encode()


def claims(key: str) -> Iterator[bytes]:
    """Yields what the chapter's side of every claim gives for ten draws."""
    from kerasbook import ledger
    from kerasbook.ledger.core import CLAIMS, Draw

    import numpy as np
    import tensorflow as tf

    for claim in [one for one in CLAIMS if one.chapter == key]:
        for seed in range(10):
            try:
                pairs = claim.pairs(Draw(np.random.default_rng(seed), claim.dtypes[-1]))
                for ours, _ in pairs.values():
                    yield np.asarray(tf.convert_to_tensor(ours)).tobytes()
            except Exception as error:
                yield repr(error).encode()
    del ledger


# --- the command --------------------------------------------------------------------------


def judge(change: Change, overlay: Path) -> str:
    """Returns "seen", "equivalent" or "MISSED" for one change."""
    place = overlay / "kerasbook" / change.file
    original = place.read_text(encoding="utf-8")
    try:
        place.write_text(change.source, encoding="utf-8")
        if in_a_fork(overlay, lambda: passes(change.file)):
            return "seen"
        changed = digest_of(change.file, overlay)
    finally:
        place.write_text(original, encoding="utf-8")
    return "equivalent" if changed == digest_of(change.file, overlay) else "MISSED"


def digest_of(file: str, overlay: Path) -> str:
    """Returns what the copy of the package does on fixed inputs, as a digest."""
    out = overlay / "digest"
    out.write_text("it ended before")
    in_a_fork(overlay, lambda: bool(out.write_text(behaviour(file))))
    return out.read_text()


def all_changes(only: str) -> list[Change]:
    """Returns every change of the training loop and of the functions that the ledger compares."""
    package = ROOT / "kerasbook"
    found: list[Change] = []
    for file in sorted((package / "training").glob("*.py")):
        found += changes_of(file, lambda name: True)
    for file in sorted(package.glob("chapter*.py")):
        ledger = package / "ledger" / file.name
        text = ledger.read_text(encoding="utf-8") if ledger.exists() else ""
        found += changes_of(file, lambda name, text=text, key=file.stem: f"{key}.{name}" in text)
    return [change for change in found if only in change.file]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sample", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="files with this in their name")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    changes = all_changes(options.only)
    chosen = random.Random(options.seed).sample(changes, min(options.sample, len(changes)))
    print(f"{len(changes)} changes, {len(chosen)} of them tried", flush=True)
    os.environ.update({"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"})
    import keras  # noqa: F401
    import pytest  # noqa: F401
    import tensorflow  # noqa: F401  (before any fork; no operation runs)

    with tempfile.TemporaryDirectory() as folder:
        overlay = Path(folder)
        shutil.copytree(ROOT / "kerasbook", overlay / "kerasbook")
        for file in sorted({change.file for change in chosen}):
            if in_a_fork(overlay, lambda file=file: passes(file)):
                sys.exit(f"the nearest tests of {file} fail without any change")
        for number, change in enumerate(chosen, start=1):
            change.found = judge(change, overlay)
            print(
                f"{number:4} {change.found:10} {change.file}:{change.line} {change.what}",
                flush=True,
            )
    counts = {
        found: sum(c.found == found for c in chosen) for found in ("seen", "equivalent", "MISSED")
    }
    print(counts, f"seen of those that change something: {share(counts):.1%}")
    if options.json:
        rows = [{k: v for k, v in asdict(c).items() if k != "source"} for c in chosen]
        options.json.write_text(json.dumps({"counts": counts, "changes": rows}, indent=1) + "\n")


def share(counts: dict[str, int]) -> float:
    """Returns which share is seen of the changes that change something."""
    return counts["seen"] / max(1, counts["seen"] + counts["MISSED"])


if __name__ == "__main__":
    main()
