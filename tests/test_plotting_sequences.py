"""Gates, changes and gradients by word: what is drawn, and what is refused."""

from kerasbook import plotting

import matplotlib.pyplot as plt
import numpy as np
import pytest

WORDS = ["not", "a", "good", "$film$"]


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_gates_are_drawn_with_a_column_per_word():
    gates = np.random.default_rng(0).random((4, 7))
    ax = plotting.plot_gates(gates, WORDS, label="update gate")
    (picture,) = ax.images
    np.testing.assert_array_equal(picture.get_array(), gates.T)
    assert picture.get_clim() == (0, 1)
    assert [text.get_text() for text in ax.get_xticklabels()] == WORDS
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("word", "unit")
    assert ax.figure.axes[1].get_ylabel() == "update gate"
    ax.figure.canvas.draw()  # a word in dollars is no formula


def test_changes_are_bars_with_a_colour_for_the_sign():
    fig, ax = plt.subplots()
    assert plotting.plot_state_changes([0.5, -1, 0, 2], WORDS, "change", ax=ax) is ax
    assert [bar.get_height() for bar in ax.patches] == [0.5, -1, 0, 2]
    colours = [bar.get_facecolor() for bar in ax.patches]
    assert colours[0] == colours[3] != colours[1]
    assert ax.get_ylabel() == "change"
    fig.canvas.draw()


def test_gradient_norms_are_counted_from_zero_on_a_log_axis():
    ax = plotting.plot_gradient_norms({"short": [1, 0.1], "long": [1, 2, 4]})
    assert ax.get_yscale() == "log"
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [0, 1, 2])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [1, 2, 4])
    assert np.isnan(ax.lines[0].get_ydata()[2])
    assert ax.lines[2].get_ydata()[0] == 1
    ax.figure.canvas.draw()


@pytest.mark.parametrize("count", [1, 25, 26, 60, 80])
def test_many_words_can_be_drawn(count):
    words = [f"word{number}" for number in range(count)]
    ax = plotting.plot_state_changes(np.ones(count), words)
    ax.figure.canvas.draw()
    assert len(ax.get_xticklabels()) == count


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plotting.plot_gates(np.ones((1, 4, 2)), WORDS), r"gates\[0\]"),
        (lambda: plotting.plot_gates(np.ones((3, 2)), WORDS), "3 steps for 4 words"),
        (lambda: plotting.plot_gates(np.full((4, 2), np.nan), WORDS), "NaN"),
        (lambda: plotting.plot_state_changes(np.ones(5), WORDS), "5 steps for 4 words"),
        (lambda: plotting.plot_state_changes([1, 2, 3, np.inf], WORDS), "infinite"),
        (lambda: plotting.plot_state_changes(np.ones(81), ["a"] * 81), "more than 80"),
        (lambda: plotting.plot_gradient_norms({}), "at least one curve"),
        (lambda: plotting.plot_gradient_norms({"a": [0, 0]}), "positive and finite"),
    ],
)
def test_bad_input_is_refused_with_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_words_stand_at_their_points_in_the_colour_of_their_value():
    ax = plotting.plot_words([[0, 1], [2, 3]], ["funny", "$dull"], [1.0, 0.0], label="praise")
    assert [text.get_text() for text in ax.texts] == ["funny", "$dull"]
    assert ax.collections[0].get_offsets().tolist() == [[0, 1], [2, 3]]
    assert ax.collections[0].get_array().tolist() == [1, 0]


@pytest.mark.parametrize(
    ("points", "values", "message"),
    [
        ([[0, 1]], [0.5, 0.5], "each word has a point"),
        ([[0, 1], [1, 1]], [0.5], "each word has a point"),
        ([[0, 1], [1, 1]], [0.5, 1.5], "between 0 and 1"),
    ],
)
def test_words_without_points_or_values_are_refused(points, values, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_words(points, ["a", "b"], values, label="p")
