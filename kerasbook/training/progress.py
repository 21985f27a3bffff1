"""How a training run shows itself: a bar, one line per epoch, or nothing.

The loop hands over numbers a few times a second; what is drawn, and how often, is decided here.
"""

import html
import sys
import time

from kerasbook.program import kernel
from kerasbook.training.checks import one_of

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


def make_progress(kind: str, epochs: int, steps: int | None):
    """Returns a context manager with `update(epoch, step, logs)` and `epoch_end(epoch, logs)`.

    `kind` is "bar" (in a notebook with a plot of the loss), "lines", "none", or "auto": a bar
    where someone can watch it, lines where the output goes into a file.
    """
    one_of("progress", kind, ("auto", "bar", "lines", "none"))
    running = kernel()
    if kind == "auto":
        watched = Console().is_terminal if running is None else _is_watched(running)
        kind = "bar" if watched else "lines"
    bar = _Bar if running is None else _Plot
    return {"bar": bar, "lines": _Lines, "none": _Nothing}[kind](epochs, steps)


def _is_watched(kernel) -> bool:
    """Whether a person sits before the notebook.

    nbclient, nbconvert and papermill run a notebook for later. They say with every cell that
    nobody can be asked for input.
    """
    request = kernel.get_parent() or {}
    return "google.colab" in sys.modules or request.get("content", {}).get("allow_stdin", True)


def describe(logs: dict) -> str:
    """Returns scores in one line: loss 0.412  accuracy 0.853."""
    loss_first = sorted(logs, key=lambda name: (name.startswith("val_"), "loss" not in name))
    return "  ".join(f"{name} {float(logs[name]):.4g}" for name in loss_first)


def rate(speed: float) -> str:
    """Returns steps per second as a text that is not 0.

    >>> rate(1234.5), rate(9.96), rate(0.0345)
    ('1234', '10', '0.035')
    """
    return f"{speed:.0f}" if speed >= 9.5 else f"{speed:.2g}"


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

    def note(self, text):
        """Takes a line that is said once."""


class _Lines(_Nothing):
    def note(self, text):
        print(f"note: {text}", flush=True)

    def update(self, epoch, step, logs):
        self.last_step = step

    def epoch_end(self, epoch, logs):
        now = time.perf_counter()
        speed = self.last_step / max(now - self.epoch_started, 1e-9)
        self.epoch_started = now
        line = f"epoch {epoch + 1}/{self.epochs}  {describe(logs)}"
        line += f"  {rate(speed)} steps/s" if self.last_step else ""
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

    def note(self, text):
        self.bar.console.print(Text(f"note: {text}"))

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
        shown = rate(speed) if self.steps and done > self.first else ""
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


class _Plot(_Nothing):
    """In a notebook: a bar, a line of scores, and the loss so far, all in one output.

    Saved, it is a still picture: there is no widget behind it that must be alive.
    """

    most_often = 0.5  # seconds from one drawing to the next, at least
    share = 0.01  # of the time may go into drawing

    def __init__(self, epochs, steps, clock=time.perf_counter):
        super().__init__(epochs, steps)
        self.clock, self.not_before, self.point_at = clock, -1.0, -1.0
        self.training, self.validation = [], []
        self.done, self.line, self.handle = 0.0, "", None
        self.first = None  # (epochs done, time) at the first call: compiling is not speed

    def __exit__(self, *error):
        if self.training:
            self.draw()

    def note(self, text):
        print(f"note: {text}")

    def update(self, epoch, step, logs):
        now = self.clock()
        if self.steps is None or now - self.point_at < 0.1:
            return
        self.point_at = now
        self.add(now, epoch + step / self.steps, epoch, logs)

    def epoch_end(self, epoch, logs):
        if "val_loss" in logs:
            self.validation.append((epoch + 1, logs["val_loss"]))
        self.add(self.clock(), epoch + 1, epoch, logs)

    def add(self, now, done, epoch, logs):
        """Notes the scores, and draws if it is time."""
        self.training.append((done, float(logs["loss"])))
        if len(self.training) > 1000:
            self.training = self.training[::2]
        self.first = self.first or (done, now)
        self.done = done
        speed = (done - self.first[0]) / max(now - self.first[1], 1e-9)  # epochs per second
        left = f"  about {(self.epochs - done) / speed:.0f} s left" if speed else ""
        steps = f"  {rate(speed * self.steps)} steps/s" if speed and self.steps else ""
        left = left if done < self.epochs else ""
        self.line = f"epoch {epoch + 1}/{self.epochs}{steps}{left}\n{describe(logs)}"
        if now >= self.not_before:
            self.draw()

    def draw(self):
        """Draws, and sets the earliest next time so that drawing keeps to its share."""
        from kerasbook.plotting.live import draw_loss

        started = self.clock()
        self.show(
            f'<progress value="{self.done:.3f}" max="{self.epochs}" style="width: 30em"></progress>'
            f"<pre>{html.escape(self.line)}</pre>"
            + draw_loss(self.training, self.validation, self.epochs)
        )
        ended = self.clock()
        self.not_before = ended + max(self.most_often, (ended - started) / self.share)

    def show(self, page: str):
        """Puts the page into the notebook, in place of the last one."""
        from IPython.display import display

        data = {"text/html": page, "text/plain": self.line}
        if self.handle is None:
            self.handle = display(data, raw=True, display_id=True)
        else:
            self.handle.update(data, raw=True)
