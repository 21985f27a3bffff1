"""`kerasbook watch DIR`: check at every save, hints at a key."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from kerasbook.exercises.exercise import Exercise, head
from kerasbook.grading.feedback import render
from kerasbook.grading.workers import Workers
from kerasbook.learner import learner

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

POLL_SECONDS = 0.15
KEYS = "h hint · a check all · l list · q quit"


class Watch:
    """The state of a watch: the answers as last checked, and the one that is being worked at."""

    def __init__(
        self, folder: Path, exercises: dict[str, Exercise], workers: Workers, console: Console
    ):
        self.folder = folder
        self.exercises = exercises
        self.workers = workers
        self.console = console
        self.times: dict[Path, int] = {}
        self.checked: dict[tuple[Path, str], str] = {}
        self.current: Exercise | None = None

    def changed_files(self) -> list[Path]:
        """Returns the Python files that were saved since the last call."""
        changed = []
        for path in sorted(self.folder.rglob("*.py")):
            with contextlib.suppress(OSError):
                saved = path.stat().st_mtime_ns
                if self.times.get(path) != saved:
                    self.times[path] = saved
                    changed.append(path)
        return changed

    def check(self, path: Path, everything: bool = False) -> None:
        """Checks the answers of a file that are new since they were last checked."""
        try:
            answers = learner.answers_in(path, self.exercises)
        except learner.LearnerError as error:
            if "no function of an exercise" not in str(error):
                self.console.print(f"{error}", style="red", markup=False)
            return
        progress = learner.Progress.of(path)
        before = self.current
        self.current = None
        for answer in answers:
            key = (path, answer.exercise.name)
            if answer.untouched or (self.checked.get(key) == answer.source and not everything):
                continue
            if self._same_answer(key, answer) and not everything:
                continue
            self.checked[key] = answer.source
            result = learner.check_answer(self.workers, answer)
            progress.note(result)
            progress.save()
            self.current = answer.exercise
            self.console.print(render(answer.exercise, result, path, answer.line))
        if self.current:
            self.bar(progress)
        self.current = self.current or before

    def _same_answer(self, key: tuple[Path, str], answer: learner.Answer) -> bool:
        """Whether only other answers of the file were edited."""
        before = self.checked.get(key)
        if before is None:
            return False
        with contextlib.suppress(SyntaxError):
            alone = [without_answers(text, self.exercises) for text in (before, answer.source)]
            return alone[0] == alone[1] and answer.own in before
        return False

    def bar(self, progress: learner.Progress) -> None:
        """Shows the progress bar, and the keys."""
        total, passed = len(self.exercises), progress.passed(self.exercises.values())
        table = Table.grid(padding=(0, 1))
        table.add_row(
            f"{passed} of {total}", ProgressBar(total, passed, width=30), f"[dim]{KEYS}[/]"
        )
        self.console.print(table)

    def hint(self) -> None:
        """Shows the next hint to the answer that was checked last."""
        if not self.current:
            self.console.print("save an answer first: a hint belongs to the last one checked")
            return
        number, text = learner.next_hint(self.current, learner.Progress.of(self.folder))
        self.console.print(f"[bold]hint {number} of 3[/] to {self.current.name}")
        self.console.print(f"  {text}", markup=False)
        if number == len(self.current.hints):
            self.console.print(f"  The last. `kerasbook solution {self.current.name} --give-up`")

    def list(self) -> None:
        """Shows all exercises, those passed with a tick."""
        progress = learner.Progress.of(self.folder)
        for exercise in self.exercises.values():
            done = progress.entries.get(exercise.name, {}).get("passed")
            self.console.print(f"{'✓' if done else '·'} {exercise.name}: {head(exercise)}")

    def key(self, pressed: str) -> bool:
        """Acts on a key; returns False to end."""
        if pressed == "h":
            self.hint()
        elif pressed == "l":
            self.list()
        elif pressed == "a":
            for path in list(self.times):
                self.check(path, everything=True)
        return pressed != "q"


def without_answers(source: str, exercises: dict[str, Exercise]) -> str:
    """Returns a file's program less the exercises' functions: its imports and helpers."""
    import ast

    tree = ast.parse(source)
    tree.body = [node for node in tree.body if getattr(node, "name", "") not in exercises]
    return ast.dump(tree)


def watch(folder: Path, exercises: dict[str, Exercise], workers: Workers, console: Console) -> None:
    """Checks what is there, then at every save, until q or Ctrl-C."""
    state = Watch(folder, exercises, workers, console)
    console.print(f"watching {folder.resolve()}; save a file to have it checked")
    for path in state.changed_files():
        state.check(path)
    with keys() as pressed:
        while True:
            for path in state.changed_files():
                state.check(path)
            if not all(state.key(one) for one in pressed()):
                return


@contextlib.contextmanager
def keys() -> Iterator:
    """Gives a function that waits a moment and returns the keys pressed."""
    if not sys.stdin.isatty():
        yield lambda: time.sleep(POLL_SECONDS) or ""
        return
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)

    def pressed() -> str:
        ready, _, _ = select.select([terminal], [], [], POLL_SECONDS)
        return os.read(terminal, 1).decode(errors="replace") if ready else ""

    try:
        tty.setcbreak(terminal)
        yield pressed
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
