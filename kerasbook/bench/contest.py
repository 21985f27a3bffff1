"""One row of the comparison: all sides train in turns, each in a process of its own."""

import multiprocessing
import statistics
from typing import Any

from kerasbook.bench import sides, turns
from kerasbook.bench.costs import Product
from kerasbook.bench.models import ROWS
from kerasbook.bench.turns import BenchError

import numpy as np

SECONDS_TO_START = 600  # torch.compile may take long
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
        """What it sends next. BenchError: it failed; the process is ended then."""
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

    def __init__(self, row: str, name: str, weights, settings: dict):
        if name in sides.SIDES or name == "product":
            super().__init__(processes(), sides.take_part, row, name, weights, settings)
        else:  # without TensorFlow
            made, compiled = ROWS[row], name == "torch.compile"
            data = made.torch, weights, made.data(), made.batch_size, compiled, settings
            context = multiprocessing.get_context("spawn")
            super().__init__(context, turns.take_part_in_torch, *data)
        self.start = self.answer()

    def turn(self) -> dict:
        """Lets it train for a turn; returns the seconds per epoch, and the most memory so far."""
        self.connection.send("go")
        return self.answer()


def compare(name: str, rounds: int, settings: dict = NO_SETTINGS, tell=lambda text: None) -> dict:
    """Returns milliseconds per step of all sides, turn by turn, and what the start took.

    A ratio is taken round by round. Another side takes turns with them that only multiplies large
    matrices: a share of the machine's speed is a ratio like the others. The first turn of each is
    left out.
    """
    row = ROWS[name]
    found: dict[str, Side] = {}
    missing = {}
    weights, ours, change = None, None, 0.0
    differences = {}
    side = ""
    try:
        for side in [*sides.sides_here(row), "product"]:
            tell(f"{name}: {side} starts")
            try:
                found[side] = Side(name, side, weights, settings)
                start = found[side].start
                if side == "kerasbook":
                    weights, ours, change = start.pop("weights"), start["outputs"], start["change"]
                if side != "product":
                    differences[side] = float(np.abs(start["outputs"] - ours).max())
                    check_outputs(differences[side], change, settings)
                found[side].turn()
            except BenchError as error:
                if side in ("kerasbook", "product"):
                    raise
                missing[side] = str(error)
                if side in found:
                    found.pop(side).end()
        times: dict[str, list[float]] = {side: [] for side in found}
        waits: dict[str, list[float]] = {side: [] for side in found}
        memory = {}
        steps = -(-len(row.data()[0]) // row.batch_size)
        for number in range(rounds):
            tell(f"{name}: round {number + 1} of {rounds}")
            for side in found if number % 2 == 0 else reversed(found):
                answer = found[side].turn()
                times[side].append(1000 * answer["seconds"] / steps)
                waits[side].append(answer["waits"] / steps)
                memory[side] = answer["memory"]
    except BenchError as error:
        raise BenchError(f"{name}, {side}: {error}") from None
    finally:
        for each in found.values():
            each.end()
    found.pop("product")
    products = [steps * each / 1000 for each in times.pop("product")]  # seconds
    return {
        "title": row.title,
        "rounds": rounds,
        "steps_per_epoch": steps,
        "product_flops_per_second": [Product.flops / seconds for seconds in products],
        "milliseconds_per_step": times,
        "ratios": {
            side: [theirs / mine for theirs, mine in zip(each, times["kerasbook"], strict=True)]
            for side, each in times.items()
            if side != "kerasbook"
        },
        "waits_per_step": {side: waits[side] for side in found},
        "first_step_seconds": {
            side: each.start["first_step_seconds"] for side, each in found.items()
        },
        "memory": {side: memory[side] for side in found},
        "threads": {side: each.start["threads"] for side, each in found.items()},
        "outputs_changed_by": change,
        "outputs_differ_by": differences,
        "missing": missing,
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


def check_outputs(difference: float, change: float, settings: dict) -> None:
    """Raises BenchError if a side's outputs after four steps are not those of ours.

    They may differ by a hundredth of what the four steps changed; in 16 bits by a third, since
    rounding alone does more then.
    """
    limit = change / (100 if settings["mixed_precision"] == "off" else 3)
    if not difference <= limit:  # so that NaN is refused
        raise BenchError(
            f"its outputs after four steps differ by {difference:.1e}, "
            f"where the steps changed them by {change:.1e}"
        )


def best_tuned(row: dict) -> str:
    """Which of the two tuned ways to call `model.fit` was the quicker one."""
    names = [name for name in row["ratios"] if name.startswith("tuned")]
    times = row["milliseconds_per_step"]
    return min(names, key=lambda name: statistics.median(times[name]), default="tuned")
