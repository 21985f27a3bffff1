"""Pictures of attention: the right numbers at the right names, both axes labelled."""

import matplotlib

matplotlib.use("Agg")

from kerasbook.plotting import plot_attention, plot_positions

import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def weights(heads=3, queries=4, keys=6):
    scores = np.random.default_rng(0).random((heads, queries, keys))
    return scores / scores.sum(axis=-1, keepdims=True)


def test_attention_names_rows_and_columns():
    axes = plot_attention(weights(), ["AH", "B", "C", "<end>"], list("abcdef"), "says", "looks at")
    assert len(axes) == 3
    for ax, expected in zip(axes, weights(), strict=True):
        np.testing.assert_allclose(ax.images[0].get_array(), expected)
        assert ax.images[0].get_clim() == (0, 1)
        assert [text.get_text() for text in ax.get_xticklabels()] == list("abcdef")
        assert [text.get_text() for text in ax.get_yticklabels()] == ["AH", "B", "C", "<end>"]
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("looks at", "says")
    assert [ax.get_title() for ax in axes] == ["head 0", "head 1", "head 2"]


def test_attention_draws_on_the_axes_given():
    _, axes = plt.subplots(1, 2)
    drawn = plot_attention(weights(2), "wxyz", "abcdef", titles=["one", "two"], axes=axes)
    assert list(drawn) == list(axes)
    assert axes[1].get_title() == "two"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": weights()[0]}, r"take weights\[0\]"),
        ({"weights": weights() * 9}, "after the softmax"),
        ({"weights": weights() * np.nan}, "NaN"),
        ({"queries": "abc"}, "queries holds 3 names for 4 places"),
        ({"keys": "abc"}, "keys holds 3 names for 6 places"),
        ({"titles": ["one"]}, "titles holds 1"),
        ({"weights": weights(1, 4, 50), "keys": "a" * 50}, "at most 40"),
    ],
)
def test_attention_says_what_is_wrong(changes, message):
    arguments = {"weights": weights(), "queries": "wxyz", "keys": "abcdef"} | changes
    with pytest.raises(ValueError, match=message):
        plot_attention(**arguments)


def test_positions():
    table = np.random.default_rng(0).normal(size=(7, 10))
    ax = plot_positions(table)
    np.testing.assert_allclose(ax.images[0].get_array(), table)
    low, high = ax.images[0].get_clim()
    assert low == -high
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("unit", "position")
    with pytest.raises(ValueError, match=r"\(positions, width\)"):
        plot_positions(table[0])
