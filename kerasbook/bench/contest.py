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


class Side:
    """The process of one side."""

    def __init__(self, row: str, name: str, weights, settings: dict):
        if name in sides.SIDES or name == "product":
            context, target = processes(), sides.take_part
            arguments: tuple = row, name, weights, settings
        else:  # without TensorFlow
            context, target = multiprocessing.get_context("spawn"), turns.take_part_in_torch
            make, data, size = ROWS[row].torch, ROWS[row].data(), ROWS[row].batch_size
            arguments = make, weights, data, size, name == "torch.compile", settings
        self.connection, other = context.Pipe()
        self.process = context.Process(target=target, args=(*arguments, other), daemon=True)
        self.process.start()
        other.close()
        self.start = self.answer()

    def answer(self) -> dict:
        """What the side sends next."""
        try:
            if not self.connection.poll(SECONDS_TO_START):
                raise BenchError(f"no answer within {SECONDS_TO_START} seconds")
            answer = self.connection.recv()
        except (EOFError, ConnectionError):
            raise BenchError("its process ended") from None
        if "error" in answer:
            raise BenchError(answer["error"])
        return answer

    def turn(self) -> dict:
        """Lets it train for a turn; returns the seconds per epoch, and the most memory so far."""
        self.connection.send("go")
        return self.answer()

    def end(self) -> None:
        """Stops the process."""
        self.process.kill()
        self.process.join()


def compare(name: str, rounds: int, settings: dict = NO_SETTINGS, tell=lambda text: None) -> dict:
    """Returns milliseconds per step of all sides, turn by turn, and what the start took.

    A ratio is taken round by round: its turns stand beside each other in time. The first turn of
    each side is left out. Another side takes turns with them that only multiplies large matrices:
    a share of the machine's speed is a ratio like the others.
    """
    row = ROWS[name]
    found: dict[str, Side] = {}
    missing = {}
    weights = None
    try:
        for side in [*sides.sides_here(row), "product"]:
            tell(f"{name}: {side} starts")
            try:
                found[side] = Side(name, side, weights, settings)
                first = found[side].start.pop("weights", None)
                weights = weights or first
                found[side].turn()
            except BenchError as error:
                missing[side] = str(error)
                if side in found:
                    found.pop(side).end()
                if side in ("kerasbook", "product"):
                    raise BenchError(f"{name}: {side} failed: {error}") from None
        times: dict[str, list[float]] = {side: [] for side in found}
        memory = {}
        steps = -(-len(row.data()[0]) // row.batch_size)
        for number in range(rounds):
            tell(f"{name}: round {number + 1} of {rounds}")
            for side in found if number % 2 == 0 else reversed(found):
                answer = found[side].turn()
                times[side].append(1000 * answer["seconds"] / steps)
                memory[side] = answer["memory"]
    finally:
        for side in found.values():
            side.end()
    found.pop("product")
    products = [steps * each / 1000 for each in times.pop("product")]  # seconds
    ours = found["kerasbook"].start["outputs"]
    return {
        "title": row.title,
        "steps_per_epoch": steps,
        "product_flops_per_second": [Product.flops / seconds for seconds in products],
        "milliseconds_per_step": times,
        "ratios": {
            side: [theirs / mine for theirs, mine in zip(each, times["kerasbook"], strict=True)]
            for side, each in times.items()
            if side != "kerasbook"
        },
        "first_step_seconds": {
            side: each.start["first_step_seconds"] for side, each in found.items()
        },
        "memory": {side: memory[side] for side in found},
        "threads": {side: each.start["threads"] for side, each in found.items()},
        "outputs_differ_by": {
            side: float(np.abs(each.start["outputs"] - ours).max()) for side, each in found.items()
        },
        "largest_output": float(np.abs(ours).max()),
        "missing": missing,
    }


def best_tuned(row: dict) -> str:
    """Which of the two tuned ways to call `model.fit` was the quicker one."""
    names = [name for name in row["ratios"] if name.startswith("tuned")]
    return min(names, key=lambda name: statistics.median(row["milliseconds_per_step"][name]))
