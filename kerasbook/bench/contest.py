"""One row of the comparison: all sides train in turns, each in a process of its own."""

import math
import multiprocessing
from dataclasses import dataclass, field
from typing import Any

from kerasbook.bench import sides, torch_process, turns
from kerasbook.bench.costs import Product
from kerasbook.bench.models import ROWS
from kerasbook.bench.turns import BenchError

import numpy as np

SECONDS_TO_START = 600  # torch.compile may take long
TOO_SLOW = 3  # of the tuned sides the quicker one counts: no need to wait long for the other
NO_SETTINGS = {"device": "auto", "mixed_precision": "off"}


def processes():
    """Makes processes: forks of one that has imported TensorFlow, where the system can."""
    can_fork = "forkserver" in multiprocessing.get_all_start_methods()
    context: Any = multiprocessing.get_context("forkserver" if can_fork else "spawn")
    if can_fork:
        context.set_forkserver_preload(["kerasbook.bench.sides", "kerasbook.bench.costs"])
    return context


class Worker:
    """A process that does `target(*arguments, connection)` and sends answers."""

    def __init__(self, context, target, *arguments):
        self.connection, other = context.Pipe()
        self.process = context.Process(target=target, args=(*arguments, other), daemon=True)
        self.process.start()
        other.close()

    def answer(self) -> dict:
        """Returns what it sends next; ends the process if that failed.

        Raises:
            BenchError: it failed.
        """
        try:
            if not self.connection.poll(SECONDS_TO_START):
                raise BenchError(f"no answer within {SECONDS_TO_START} seconds")
            answer = self.connection.recv()
            if "error" in answer:
                raise BenchError(answer["error"])
        except (EOFError, ConnectionError):
            self.end()
            raise BenchError("its process ended") from None
        except BenchError:
            self.end()
            raise
        return answer

    def end(self) -> None:
        """Stops the process."""
        self.process.kill()
        self.process.join()


def ask(target, *arguments, tell=lambda text: None) -> dict:
    """Returns what `target(*arguments, tell)` returns in a process of its own.

    The process gives the GPU back when it ends.
    """
    worker = Worker(processes(), _reply, target, *arguments)
    try:
        while "tell" in (answer := worker.answer()):
            tell(answer["tell"])
    finally:
        worker.end()
    return answer


def _reply(target, *arguments) -> None:
    *arguments, connection = arguments
    try:
        connection.send(target(*arguments, lambda text: connection.send({"tell": text})))
    except Exception as error:
        connection.send({"error": turns.in_a_line(error)})


class Side(Worker):
    """The process of one side."""

    def __init__(self, row: str, name: str, settings: dict, ours: dict | None = None):
        """Takes the row and the side's name; and what ours has sent at its start."""
        if name in sides.SIDES or name == "product":
            weights = None if ours is None else ours["weights"]
            super().__init__(processes(), sides.take_part, row, name, weights, settings)
        else:  # without TensorFlow
            assert ours is not None
            compiled = name == "torch.compile"
            context = multiprocessing.get_context("spawn")
            super().__init__(context, torch_process.take_part, ours["job"], compiled, settings)
        self.start = self.answer()

    def turn(self) -> dict:
        """Lets it train for a turn; returns the seconds per epoch, and the most memory so far."""
        self.connection.send("go")
        return self.answer()


@dataclass
class Measured:
    """What one side has shown so far."""

    side: Side
    difference: float = 0.0  # of its outputs after four steps, to ours
    seconds: list[float] = field(default_factory=list)  # per epoch, round by round
    waits: list[float] = field(default_factory=list)  # per epoch
    memory: int = 0

    def turn(self) -> None:
        """Lets the side train for a turn, and notes what it took."""
        answer = self.side.turn()
        self.seconds.append(answer["seconds"])
        self.waits.append(answer["waits"])
        self.memory = answer["memory"]


def compare(name: str, rounds: int, settings: dict = NO_SETTINGS, tell=lambda text: None) -> dict:
    """Returns milliseconds per step of all sides, turn by turn, and what the start took.

    A ratio is taken round by round. Another side takes turns with them that only multiplies large
    matrices: a share of the machine's speed is a ratio like the others. The first turn of each is
    left out.

    Raises:
        BenchError: our own side failed, or one failed after its start.
    """
    found: dict[str, Measured] = {}
    try:
        missing = _start(name, settings, tell, found)
        for number in range(rounds):
            tell(f"{name}: round {number + 1} of {rounds}")
            for each in found if number % 2 == 0 else reversed(found):
                found[each].turn()
    except BenchError as error:
        raise BenchError(f"{name}: {error}") from None
    finally:
        for each in found.values():
            each.side.end()
    return _record(ROWS[name], found) | {"rounds": rounds, "missing": missing}


def _start(name: str, settings: dict, tell, found: dict[str, Measured]) -> dict[str, str]:
    """Starts the sides, ours first, into `found`; returns why those that are missing are."""
    missing: dict[str, str] = {}
    seconds: dict[str, float] = {}  # per epoch
    for each in [*sides.sides_here(), "product"]:
        tell(f"{name}: {each} starts")
        try:
            ours = found["kerasbook"].side.start if found else None
            found[each] = Measured(Side(name, each, settings, ours))
            if ours is not None and each != "product":
                outputs = found[each].side.start["outputs"]
                found[each].difference = float(np.abs(outputs - ours["outputs"]).max())
                sparse = ours["job"]["sparse"] and each not in sides.SIDES
                check_outputs(found[each].difference, ours["change"], settings, sparse)
            seconds[each] = found[each].side.turn()["seconds"]
            if each == "tuned, XLA" and seconds[each] > TOO_SLOW * seconds.get("tuned", math.inf):
                raise BenchError(f"more than {TOO_SLOW} times as slow as without XLA")
        except BenchError as error:
            if each in ("kerasbook", "product"):
                raise BenchError(f"{each}: {error}") from None
            missing[each] = str(error)
            if each in found:
                found.pop(each).side.end()
    return missing


def _record(row, found: dict[str, Measured]) -> dict:
    """The figures of a row, by side, ready for a JSON file."""
    product, contestants = found["product"], {k: v for k, v in found.items() if k != "product"}
    ours = contestants["kerasbook"]
    steps = ours.side.start["steps"]

    def by_side(value):
        return {each: value(measured) for each, measured in contestants.items()}

    ratios = by_side(lambda m: [a / b for a, b in zip(m.seconds, ours.seconds, strict=True)])
    ratios.pop("kerasbook")
    return {
        "title": ours.side.start["title"],
        "counts": row.counts,
        "own": row.ours is not None,
        "steps_per_epoch": steps,
        "product_flops_per_second": [Product.flops / seconds for seconds in product.seconds],
        "milliseconds_per_step": by_side(lambda m: [1000 * s / steps for s in m.seconds]),
        "ratios": ratios,
        "waits_per_step": by_side(lambda m: [count / steps for count in m.waits]),
        "first_step_seconds": by_side(lambda m: m.side.start["first_step_seconds"]),
        "memory": by_side(lambda m: m.memory),
        "threads": by_side(lambda m: m.side.start["threads"]),
        "outputs_changed_by": ours.side.start["change"],
        "outputs_differ_by": by_side(lambda m: m.difference),
    }


ROUND_BY_ROUND = ("milliseconds_per_step", "ratios", "waits_per_step")
BY_SIDE = (*ROUND_BY_ROUND, "first_step_seconds", "memory", "threads", "outputs_differ_by")


def joined(row: dict, later: dict) -> dict:
    """Returns both as one row: the rounds of both, and what the start took the first time.

    A side that failed once is missing.
    """
    both = row | {"rounds": row["rounds"] + later["rounds"]}
    both["missing"] = row["missing"] | later["missing"]
    speeds = "product_flops_per_second"
    both[speeds] = row[speeds] + later[speeds]
    for key in BY_SIDE:
        both[key] = {side: value for side, value in row[key].items() if side not in both["missing"]}
    for key in ROUND_BY_ROUND:
        both[key] = {side: value + later[key][side] for side, value in both[key].items()}
    for side, difference in both["outputs_differ_by"].items():
        both["outputs_differ_by"][side] = max(difference, later["outputs_differ_by"][side])
    return both


def check_outputs(difference: float, change: float, settings: dict, sparse=False) -> None:
    """Checks that a side's outputs after four steps are those of ours.

    They may differ by a hundredth of what the four steps changed; in 16 bits by a third, since
    rounding alone does more then. `sparse`: by a tenth, since where a token occurs several times in
    a batch Keras' Adam adds the squares of its gradients, and PyTorch's squares their sum.

    Raises:
        BenchError: they differ by more.
    """
    part = 3 if settings["mixed_precision"] != "off" else 10 if sparse else 100
    if not difference <= change / part:  # so that NaN is refused
        raise BenchError(
            f"its outputs after four steps differ by {difference:.1e}, "
            f"where the steps changed them by {change:.1e}"
        )
