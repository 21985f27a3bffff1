"""Pictures of series in time: curves, gaps, bars, and what is refused."""

from kerasbook.plotting import plot_ladder, plot_series

import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


HOURS = np.datetime64("2011-10-22T00") + np.arange(24)


def test_series_draws_every_curve_at_its_times():
    true, forecast = np.arange(24.0), np.arange(24.0)[::-1]
    ax = plot_series(HOURS, {"true": true, "LSTM": forecast[:, np.newaxis]}, y_label="bikes")
    lines = {line.get_label(): line for line in ax.get_lines()}
    assert list(lines) == ["true", "LSTM"]
    np.testing.assert_array_equal(lines["true"].get_ydata(), true)
    np.testing.assert_array_equal(lines["LSTM"].get_ydata(), forecast)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time", "bikes")
    assert lines["true"].get_color() != lines["LSTM"].get_color()
    ax.figure.canvas.draw()


def test_series_leaves_a_gap_where_times_jump():
    times = np.delete(HOURS, [10, 11])
    ax = plot_series(times, {"true": np.arange(22.0)}, y_label="bikes")
    values = ax.get_lines()[0].get_ydata()
    assert len(values) == 23
    assert np.flatnonzero(np.isnan(values)).tolist() == [10]


def test_series_takes_numbers_as_times():
    ax = plot_series([0, 1, 2.0], {"true": [3, 4, 5]}, y_label="y", x_label="hour")
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), [0, 1, 2])
    (point,) = plot_series([1.0], {"true": [3]}, y_label="y").get_lines()
    assert point.get_marker() == "o"


def test_series_refuses_what_it_cannot_draw():
    with pytest.raises(ValueError, match="at least one curve"):
        plot_series(HOURS, {}, y_label="bikes")
    with pytest.raises(ValueError, match="later than the one before"):
        plot_series(HOURS[::-1], {"true": np.zeros(24)}, y_label="bikes")
    with pytest.raises(ValueError, match="later than the one before"):
        plot_series([], {"true": []}, y_label="bikes")
    with pytest.raises(ValueError, match="differ in length"):
        plot_series(HOURS, {"true": np.zeros(23)}, y_label="bikes")


def test_ladder_has_a_bar_per_method_from_top_to_bottom():
    ax = plot_ladder({"persistence": 46.46, "ridge": 30.1}, x_label="MAE (bikes)")
    assert [bar.get_width() for bar in ax.patches] == [46.46, 30.1]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["persistence", "ridge"]
    assert {text.get_text() for text in ax.texts} == {"46.5", "30.1"}
    assert ax.yaxis_inverted()
    assert ax.get_xlabel() == "MAE (bikes)"
    assert ax.get_ylabel() == "method"


@pytest.mark.parametrize("errors", [{}, {"a": -1.0}, {"a": float("nan")}])
def test_ladder_refuses_what_is_no_error(errors):
    with pytest.raises(ValueError, match="error"):
        plot_ladder(errors)
