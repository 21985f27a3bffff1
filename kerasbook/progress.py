"""How a training run shows itself: a bar, one line per epoch, or nothing.

The loop hands over numbers a few times a second; what is drawn, and how often, is decided here.
"""

import importlib.util
import sys
import time

from kerasbook.checks import one_of

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


def make_progress(kind: str, epochs: int, steps: int | None):
    """Returns a context manager with `update(epoch, step, logs)` and `epoch_end(epoch, logs)`.

    `kind` is "bar" (a widget in a notebook), "lines", "none", or "auto": a bar where
    someone can watch it, lines where the output goes into a file.
    """
    one_of("progress", kind, ("auto", "bar", "lines", "none"))
    if kind == "auto":
        kind = "bar" if _can_draw(Console()) else "lines"
    return {"bar": _Bar, "lines": _Lines, "none": _Nothing}[kind](epochs, steps)


def _can_draw(console: Console) -> bool:
    """Whether someone watches: a terminal, or a notebook that can show widgets."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal


def describe(logs: dict) -> str:
    """Scores in one line: loss 0.412  accuracy 0.853."""
    loss_first = sorted(logs, key=lambda name: (name.startswith("val_"), "loss" not in name))
    return "  ".join(f"{name} {float(logs[name]):.4g}" for name in loss_first)


class _Nothing:
    def __init__(self, epochs, steps):
        self.epochs, self.steps = epochs, steps
        self.epoch_started = time.perf_counter()
        self.last_step = 0

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def update(self, epoch, step, logs):
        """Takes the scores after `step` steps of an epoch."""

    def epoch_end(self, epoch, logs):
        """Takes the scores of a whole epoch."""


class _Lines(_Nothing):
    def update(self, epoch, step, logs):
        self.last_step = step

    def epoch_end(self, epoch, logs):
        now = time.perf_counter()
        speed = self.last_step / max(now - self.epoch_started, 1e-9)
        self.epoch_started = now
        line = f"epoch {epoch + 1}/{self.epochs}  {describe(logs)}  {speed:.0f} steps/s"
        print(line, file=sys.stdout, flush=True)


class _TwoLines(Progress):
    """A bar, and under it the scores: beside it they would not fit into 80 columns."""

    def get_renderables(self):
        yield self.make_tasks_table(self.tasks)
        for task in self.tasks:
            yield Text(task.fields["scores"], overflow="fold")


class _Bar(_Nothing):
    def __init__(self, epochs, steps):
        super().__init__(epochs, steps)
        self.bar = _TwoLines(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[speed]:>6} steps/s"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            refresh_per_second=4,
        )
        self.task = self.bar.add_task(
            "",
            total=epochs * steps if steps else epochs,
            epoch=1,
            epochs=epochs,
            speed="",
            scores="",
        )
        self.started, self.first = time.perf_counter(), None
        self.drawn_at = 0.0

    def __enter__(self):
        self.bar.start()
        return self

    def __exit__(self, *error):
        self.bar.refresh()  # in a notebook `stop` does not
        self.bar.stop()

    def update(self, epoch, step, logs):
        now = time.perf_counter()
        if now - self.drawn_at < 0.1:
            return
        self.drawn_at = now
        done = epoch * self.steps + step if self.steps else epoch
        if self.first is None:  # what a resumed run has done before does not count as speed
            self.first, self.started = done, now
        speed = (done - self.first) / max(now - self.started, 1e-9)
        shown = f"{speed:.0f}" if self.steps and done > self.first else ""
        self.bar.update(
            self.task, completed=done, epoch=epoch + 1, speed=shown, scores=describe(logs)
        )

    def epoch_end(self, epoch, logs):
        done = (epoch + 1) * self.steps if self.steps else epoch + 1
        if epoch + 1 == self.epochs:
            self.drawn_at = 0.0
        if time.perf_counter() - self.drawn_at < 0.1:
            return
        self.bar.update(self.task, completed=done, epoch=epoch + 1, scores=describe(logs))
