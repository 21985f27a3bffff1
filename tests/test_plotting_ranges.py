"""Pictures of what numbers of few bits can hold."""

import matplotlib

matplotlib.use("Agg")

from kerasbook import plotting

import matplotlib.pyplot as plt
import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_the_ranges_are_those_of_the_types():
    ax = plotting.plot_ranges()
    ends = {round(float(line.get_xdata()[1]), 1) for line in ax.lines}
    assert {4.8, 38.5} <= ends  # 65,504 and 3.4e38
    assert {line.get_solid_capstyle() for line in ax.lines} == {"butt"}  # no bar is longer
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "float16",
        "bfloat16",
        "float32",
    ]


def test_gradients_are_drawn_as_they_are_and_scaled_without_the_zeros():
    gradients = np.array([0.0, 2.0**-30, -(2.0**-30), 2.0**-28])
    ax = plotting.plot_gradient_sizes(gradients, 2.0**10)
    heights = np.array([patch.get_height() for patch in ax.patches])
    half = len(heights) // 2
    assert heights[:half].sum() == heights[half:].sum() == 3
    assert np.argmax(heights[half:]) - np.argmax(heights[:half]) == 10
    borders = sorted(line.get_xdata()[0] for line in ax.lines)
    assert borders == pytest.approx([-25, 16], abs=0.01)  # half of the smallest is rounded up


def test_only_zeros_are_refused():
    with pytest.raises(ValueError, match="all gradients are zero"):
        plotting.plot_gradient_sizes(np.zeros(3), 2.0)
