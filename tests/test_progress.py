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


# --- a bar and a plot, by a clock of ours -----------------------------------------------------


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress.time, "perf_counter", clock)
    return clock


def test_the_bar_is_moved_ten_times_a_second_at_most(clock):
    bar = progress._Bar(2, 10)
    task = bar.bar.tasks[0]
    assert task.total == 20
    bar.update(0, 3, {"loss": 0.5})
    assert (task.completed, task.fields["epoch"], task.fields["speed"]) == (3, 1, "")
    clock.now += 0.09
    bar.update(0, 4, {"loss": 0.5})
    assert task.completed == 3
    clock.now += 0.02
    bar.update(0, 5, {"loss": 0.4})
    assert (task.completed, task.fields["scores"]) == (5, "loss 0.4")
    clock.now += 0.89
    bar.update(1, 3, {"loss": 0.3})  # 10 steps after the first, 1 s after it
    assert (task.completed, task.fields["epoch"], task.fields["speed"]) == (13, 2, "10")


def test_the_first_scores_are_drawn_at_once(clock):
    clock.now = 0.2  # of a clock that has just begun
    bar = progress._Bar(2, 10)
    bar.update(0, 3, {"loss": 0.5})
    assert bar.bar.tasks[0].completed == 3


def test_the_bar_of_a_resumed_run_counts_its_own_steps_as_speed(clock):
    bar = progress._Bar(9, 10)
    bar.update(7, 0, {"loss": 1.0})
    clock.now += 2
    bar.update(7, 4, {"loss": 1.0})
    assert bar.bar.tasks[0].fields["speed"] == "2"


@pytest.mark.parametrize(("steps", "completed", "total"), [(10, 10, 20), (None, 1, 2)])
def test_the_bar_at_the_end_of_an_epoch(steps, completed, total, clock):
    bar = progress._Bar(2, steps)
    task = bar.bar.tasks[0]
    bar.update(0, 3, {"loss": 0.5})
    bar.epoch_end(0, {"loss": 0.4})  # too soon
    assert task.completed < completed
    clock.now += 0.11
    bar.epoch_end(0, {"loss": 0.4})
    assert (task.completed, task.total, task.fields["epoch"]) == (completed, total, 1)
    bar.update(1, 10, {"loss": 0.3})
    bar.epoch_end(1, {"loss": 0.2, "val_loss": 0.3})  # the last is always drawn
    assert (task.completed, task.fields["scores"]) == (total, "loss 0.2  val_loss 0.3")
    assert task.fields["epoch"] == 2


def test_the_lines_tell_the_speed_since_the_last_epoch(clock, capsys):
    shown = progress._Lines(2, 4)
    for epoch, seconds in enumerate((2, 0.5)):
        clock.now += seconds
        shown.update(epoch, 4, {"loss": 1.0})
        shown.epoch_end(epoch, {"val_loss": 0.25, "mae": 3.0, "loss": 0.5})
    shown.note("off")
    assert capsys.readouterr().out.splitlines() == [
        "epoch 1/2  loss 0.5  mae 3  val_loss 0.25  2 steps/s",
        "epoch 2/2  loss 0.5  mae 3  val_loss 0.25  8 steps/s",
        "note: off",
    ]


def test_lines_without_steps_tell_no_speed(clock, capsys):
    progress._Lines(1, None).epoch_end(0, {"loss": 0.5})
    assert capsys.readouterr().out == "epoch 1/1  loss 0.5\n"


def test_the_plot_tells_speed_and_time_left(drawn):
    plot = drawn.plot
    plot.update(0, 100, {"loss": 3.0})
    assert plot.line == "epoch 1/2\nloss 3"  # of one point there is no speed
    drawn.clock.now += 0.05
    plot.update(0, 200, {"loss": 9.0})  # too soon after the last
    assert plot.training == [(0.1, 3.0)]
    drawn.clock.now += 0.15
    plot.update(0, 300, {"loss": 2.0})  # 200 steps in 0.201 s
    assert plot.line == "epoch 1/2  995 steps/s  about 2 s left\nloss 2"
    drawn.clock.now += 1.7
    plot.epoch_end(1, {"loss": 1.0, "val_loss": 1.5})
    assert plot.line == "epoch 2/2  999 steps/s\nloss 1  val_loss 1.5"
    assert plot.training == [(0.1, 3.0), (0.3, 2.0), (2, 1.0)]
    assert plot.validation == [(2, 1.5)]


def test_a_plot_keeps_at_most_a_thousand_points(drawn):
    for number in range(1001):
        drawn.plot.add(drawn.clock.now, number / 1000, 0, {"loss": 1.0})
    assert len(drawn.plot.training) == 501
    assert drawn.plot.training[:2] == [(0.0, 1.0), (0.002, 1.0)]


def test_a_plot_without_steps_has_a_point_per_epoch(clock):
    plot = progress._Plot(2, None, clock)
    plot.show = lambda page: None
    plot.update(0, 5, {"loss": 1.0})
    assert plot.training == []
    plot.epoch_end(0, {"loss": 1.0})
    clock.now += 2
    plot.epoch_end(1, {"loss": 1.0})
    assert plot.line == "epoch 2/2\nloss 1"


def test_a_plot_that_had_nothing_to_do_leaves_nothing(drawn):
    with drawn.plot:
        pass
    assert drawn.pages[-1] == ""
    assert drawn.plot.line == ""


@pytest.mark.parametrize(
    ("speed", "shown"), [(9.4, "9.4"), (9.5, "10"), (1234.5, "1234"), (0.0345, "0.035"), (0, "0")]
)
def test_a_speed_is_never_rounded_to_nothing(speed, shown):
    assert progress.rate(speed) == shown
