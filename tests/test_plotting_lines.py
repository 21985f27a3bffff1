"""Fitted lines: what is drawn is what was given, and bad input is said in a line."""

from kerasbook import plotting

import matplotlib.pyplot as plt
import numpy as np
import pytest

X, Y = np.array([[0.0], [1.0], [3.0]]), np.array([[2.0], [1.0], [4.0]])
LABELS = {"x_label": "power (hp)", "y_label": "economy (mpg)"}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_a_fit_shows_points_curves_and_residuals():
    ax = plotting.plot_fit(X, Y, {"line": lambda x: 2 * x - 3, "flat": np.ones_like}, **LABELS)
    line, flat = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), 2 * line.get_xdata() - 3)
    assert set(flat.get_ydata()) == {1.0}
    assert (line.get_xdata()[0], line.get_xdata()[-1]) == (0, 3)
    (points,) = ax.collections
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack([X, Y]))
    low, high = ax.get_ylim()
    assert -3 < low < 1 < 4 < high

    ax = plotting.plot_fit(X, Y, {"line": lambda x: 2 * x - 3}, residuals=True, **LABELS)
    strokes = next(one for one in ax.collections if hasattr(one, "get_segments")).get_segments()
    expected = [[(x, 2 * x - 3), (x, y)] for x, y in zip(X[:, 0], Y[:, 0], strict=True)]
    np.testing.assert_allclose(strokes, expected)
    assert ax.get_ylim()[0] < -3


def test_first_lines_have_a_panel_for_each_path_and_a_line_for_each_step():
    paths = {"slow": [(0, 0), (1, 1)], "fast": [(0, 0), (2, 3), (4, 5)]}
    axes = plotting.plot_first_lines(X, Y, paths, y_range=(-1, 9), **LABELS)
    assert [ax.get_title() for ax in axes] == ["slow", "fast"]
    *_, first, last = axes[1].get_lines()
    assert len(axes[1].get_lines()) == 3 + 2  # the first and the last are drawn once more
    np.testing.assert_array_equal(first.get_ydata(), [0, 0])
    np.testing.assert_array_equal(last.get_ydata(), [5, 17])
    assert {ax.get_ylim() for ax in axes} == {(-1, 9)}


def test_bad_input_is_said():
    with pytest.raises(ValueError, match="same examples"):
        plotting.plot_fit(X, Y[:2], {}, **LABELS)
    with pytest.raises(ValueError, match="needs a curve"):
        plotting.plot_fit(X, Y, {}, residuals=True, **LABELS)
    with pytest.raises(ValueError, match="at least one path"):
        plotting.plot_first_lines(X, Y, {}, y_range=(0, 1), **LABELS)
    with pytest.raises(ValueError, match=r"paths\['a'\] has shape \(3,\); it must be \(steps, 2\)"):
        plotting.plot_first_lines(X, Y, {"a": [1, 2, 3]}, y_range=(0, 1), **LABELS)


def test_names_stand_at_the_ends_of_curves_and_do_not_touch():
    curves = {"low": [2, 1], "high": [0, 1.01], "far": [0, 9], "short": [3, np.nan]}
    ax = plotting.plot_lines(curves, x_label="x", y_label="y")
    assert plotting.label_ends(ax) is ax
    assert ax.get_legend() is None
    assert [text.get_text() for text in ax.texts] == ["low", "high", "far"]
    ax.figure.canvas.draw()
    low, high, far = (text.get_window_extent() for text in ax.texts)
    assert low.y1 <= high.y0 < high.y1 <= far.y0
