"""How a run shows itself: lines into a file, a bar in a terminal, nothing when asked."""

import io
import math
import sys
from types import SimpleNamespace
from xml.etree import ElementTree

from kerasbook.plotting import live
from kerasbook.training import progress

import numpy as np
import pytest
from rich.console import Console


def test_lines_tell_epoch_scores_and_speed(capsys):
    with progress.make_progress("lines", epochs=2, steps=4) as shown:
        for epoch in range(2):
            shown.update(epoch, 4, {"loss": 1.0})
            shown.epoch_end(epoch, {"accuracy": 0.9, "loss": 0.51234})
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch 1/2  loss 0.5123  accuracy 0.9  ")
    assert first.endswith(" steps/s")
    assert second.startswith("epoch 2/2")


@pytest.mark.parametrize("steps", [10, None])
def test_the_bar_shows_scores_and_time_left(steps, monkeypatch):
    screen = io.StringIO()
    make = progress._TwoLines
    console = Console(file=screen, force_terminal=True, width=72)
    monkeypatch.setattr(
        progress,
        "_TwoLines",
        lambda *columns, **options: make(*columns, console=console, **options),
    )
    with progress.make_progress("bar", epochs=3, steps=steps) as shown:
        for epoch in range(3):
            shown.drawn_at = 0.0
            shown.update(epoch, 5, {"loss": 0.75})
            shown.epoch_end(epoch, {"loss": 0.5, "val_loss": 0.25})
    drawn = screen.getvalue()
    assert "epoch 3/3" in drawn
    assert "left" in drawn
    assert "loss 0.5  val_loss 0.25" in drawn


def in_a_notebook(monkeypatch, allow_stdin):
    """As if a kernel ran this, for a frontend that lets it ask for input, or does not."""
    request = {"content": {"allow_stdin": allow_stdin}}
    kernel = SimpleNamespace(get_parent=lambda: request)
    shell = SimpleNamespace(kernel=kernel)
    fake = SimpleNamespace(get_ipython=lambda: shell)
    monkeypatch.setitem(sys.modules, "IPython", fake)


def test_auto_is_a_plot_in_a_watched_notebook_and_lines_elsewhere(monkeypatch):
    monkeypatch.setitem(sys.modules, "IPython", None)
    assert type(progress.make_progress("auto", 1, 1)) is progress._Lines  # pytest's output
    monkeypatch.setattr(progress, "Console", lambda: SimpleNamespace(is_terminal=True))
    assert type(progress.make_progress("auto", 1, 1)) is progress._Bar
    in_a_notebook(monkeypatch, allow_stdin=True)
    assert type(progress.make_progress("auto", 1, 1)) is progress._Plot
    in_a_notebook(monkeypatch, allow_stdin=False)  # nbconvert
    assert type(progress.make_progress("auto", 1, 1)) is progress._Lines
    assert type(progress.make_progress("bar", 1, 1)) is progress._Plot


class Clock:
    """A clock that goes only when it is told to."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def drawn(monkeypatch):
    """A plot by a clock of ours; a drawing takes `drawn.cost` seconds, `drawn.at` has them."""
    clock = Clock()
    drawn = SimpleNamespace(clock=clock, at=[], pages=[], cost=0.001)
    drawn.plot = progress._Plot(epochs=2, steps=1000, clock=clock)

    def show(page):
        drawn.at.append(clock.now)
        drawn.pages.append(page)
        clock.now += drawn.cost

    drawn.plot.show = show
    return drawn


def train(drawn, seconds):
    """Calls `update` every 10 ms, faster than the loop does."""
    with drawn.plot:
        end = drawn.clock.now + seconds
        while drawn.clock.now < end:
            drawn.clock.now += 0.01
            drawn.plot.update(0, 5, {"loss": 1.0})


def test_the_plot_is_drawn_at_most_twice_a_second(drawn):
    train(drawn, 10)
    # The first says that it compiles; the last is drawn at the end, whenever that is.
    _, *in_training, _ = drawn.at
    assert 17 <= len(in_training) <= 20
    assert np.diff(in_training).min() >= 0.5


@pytest.mark.parametrize("cost", [0.03, 0.2])
def test_slow_drawings_come_less_often_and_never_take_two_percent(drawn, cost):
    drawn.cost = cost
    train(drawn, 300)
    assert len(drawn.at) * cost <= 0.01 * 300 + 3 * cost  # the first says that it compiles


def test_the_plot_shows_both_losses_the_scores_and_how_far_it_is(drawn):
    with drawn.plot:
        drawn.plot.update(0, 500, {"loss": 3.0, "accuracy": 0.2})
        drawn.clock.now += 1
        drawn.plot.epoch_end(0, {"loss": 2.0, "val_loss": 2.5})
        drawn.clock.now += 0.2
        drawn.plot.update(1, 500, {"loss": math.nan})
    waiting, first, second, last = drawn.pages
    assert waiting == "<pre>compiling …</pre>"
    assert 'value="0.500" max="2"' in first
    assert "loss 3  accuracy 0.2" in first
    assert "validation" not in first
    assert "1000" not in first
    assert "500 steps/s" in second
    assert "about 2 s left" in second
    assert second.count("<circle") == 1
    assert "loss nan" in last
    assert "nan," not in last


def test_a_loss_over_decades_has_a_log_scale_and_a_flat_one_a_height():
    decades = live.draw_loss([(0.5, 1000.0), (1, 0.5)], [], 1)
    assert "log scale" in decades
    flat = live.draw_loss([(0.5, 1.0), (1, 1.0)], [(1, 1.0)], 1)
    assert "log scale" not in flat
    ElementTree.fromstring(flat)
    assert live.draw_loss([(1, math.nan)], [], 1) == ""


def test_none_prints_nothing(capsys):
    with progress.make_progress("none", epochs=1, steps=1) as shown:
        shown.update(0, 1, {"loss": 1.0})
        shown.epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().out == ""


def test_until_the_first_step_a_bar_says_that_it_compiles(capsys):
    with progress._Bar(2, 10) as bar:
        assert bar.bar.tasks[0].fields["scores"] == "compiling …"
        bar.update(0, 1, {"loss": 0.5})
        assert bar.bar.tasks[0].fields["scores"] == "loss 0.5"


def test_scores_are_shown_rounded_and_kept_whole():
    from kerasbook.runner import Result
    from kerasbook.training.history import History, Scores

    scores = Scores(loss=0.123456789, mae=2)
    assert repr(scores) == "{'loss': 0.1235, 'mae': 2}"
    assert scores == {"loss": 0.123456789, "mae": 2}
    history = History({"loss": [1.0, 0.123456789]}, [0, 1])
    assert repr(history) == "History(2 epochs, last: {'loss': 0.1235})"
    result = Result(None, None, history, {"test": scores, "validation": scores})
    assert repr(result) == "test: loss 0.1235  mae 2\nvalidation: loss 0.1235  mae 2"
