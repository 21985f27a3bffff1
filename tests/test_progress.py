"""How a run shows itself: lines into a file, a bar in a terminal, nothing when asked."""

import io

from kerasbook import progress

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


def test_auto_is_lines_where_nobody_watches_and_in_a_notebook_without_widgets(monkeypatch):
    assert not progress._can_draw(Console(file=io.StringIO()))
    assert progress._can_draw(Console(file=io.StringIO(), force_terminal=True))
    notebook = Console(file=io.StringIO(), force_jupyter=True)
    monkeypatch.setattr(progress.importlib.util, "find_spec", lambda name: None)
    assert not progress._can_draw(notebook)


def test_none_prints_nothing(capsys):
    with progress.make_progress("none", epochs=1, steps=1) as shown:
        shown.update(0, 1, {"loss": 1.0})
        shown.epoch_end(0, {"loss": 1.0})
    assert capsys.readouterr().out == ""
