"""Diagrams: their words do not touch, and their numbers are those they are given."""

import matplotlib

matplotlib.use("Agg")

from itertools import combinations

from kerasbook import plotting
from kerasbook.plotting.diagrams import boxes

import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers
from matplotlib.patches import Rectangle

EXAMPLE = np.random.default_rng(0).normal(size=(3, 4, 3))
VALUES = {"x": [[1, -2]], "s1": [[1.5, -1.5]], "a1": [[1.5, 0]], "z": [[1, 2]], "loss": 3.05}
VALUES |= {"W1": [[0.5, -1], [-0.5, 0.25]], "W2": [[1, -1], [0.5, -0.5]]}
SLOPES = {name: np.array(VALUES[name]) * -1.001 for name in ("s1", "a1", "z", "W1", "W2")}
TICKS = {(stage, way, k): 2 * k + (way == "B") * 20 for stage in range(4) for way in "FB"
         for k in range(8)}  # fmt: skip
GRID, EDGE = np.arange(25).reshape(5, 5) % 10, np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
PAIR, TABLES = np.arange(18).reshape(3, 3, 2) % 7 - 3, np.eye(4, 5)[np.newaxis].repeat(2, axis=0)
PLACES = {"valid": (0, 1), "same": (1, 1), "stride 2": (0, 2), "same, stride 2": (1, 2)}
SHAPES = [(28, 28, 1), (28, 28, 16), (14, 14, 16), (10,)]
DIAGRAMS = {
    "window": lambda ax=None: plotting.plot_window(GRID, EDGE, (1, 2), ax),
    "window on two channels": lambda ax=None: plotting.plot_window(PAIR, PAIR[:2, :2], (0, 1), ax),
    "numbers": lambda ax=None: plotting.plot_numbers(TABLES, ["one", "two"], ax),
    "places": lambda ax=None: plotting.plot_places(5, 3, PLACES, ax),
    "network": lambda ax=None: plotting.plot_network(SHAPES, ["conv", "pool", "dense"], ax),
    "residual block": plotting.plot_residual_block,
    "unrolled": plotting.plot_unrolled,
    "back through time": lambda ax=None: plotting.plot_unrolled(backward=True, ax=ax),
    "GRU": plotting.plot_gru_cell,
    "GRU without reset": lambda ax=None: plotting.plot_gru_cell(1, ax),
    "simple cell": lambda ax=None: plotting.plot_gru_cell(0, ax),
    "LSTM": plotting.plot_lstm_cell,
    "attention": lambda ax=None: plotting.plot_attention_steps(*EXAMPLE, mask=np.tri(4), ax=ax),
    "heads": plotting.plot_heads,
    "residual stream": plotting.plot_residual_stream,
    "encoder and decoder": plotting.plot_encoder_decoder,
    "towers": lambda ax=None: plotting.plot_towers(65, ax),
    "ring": lambda ax=None: plotting.plot_ring(ax=ax),
    "ring of two": lambda ax=None: plotting.plot_ring(2, ax),
    "shares": lambda ax=None: plotting.plot_shares(ax=ax),
    "shares of three": lambda ax=None: plotting.plot_shares(3, ax),
    "timetable": lambda ax=None: plotting.plot_timetable(TICKS, ax),
    "backpropagation": lambda ax=None: plotting.plot_backpropagation(VALUES, SLOPES, ax),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("name", DIAGRAMS)
def test_no_word_touches_another_or_leaves_the_picture(name):
    ax = DIAGRAMS[name]()
    figure = ax.figure
    figure.canvas.draw()
    page = figure.bbox
    boxes = [(text.get_text(), text.get_window_extent()) for text in ax.texts if text.get_text()]
    for words, box in boxes:
        assert page.x0 <= box.x0 <= box.x1 <= page.x1, words
        assert page.y0 <= box.y0 <= box.y1 <= page.y1, words
    for (first, one), (second, other) in combinations(boxes, 2):
        assert not one.overlaps(other), (first, second)


@pytest.mark.parametrize("name", DIAGRAMS)
def test_the_words_in_a_box_fit_into_it(name):
    ax = DIAGRAMS[name]()
    ax.figure.canvas.draw()
    shapes = [patch.get_window_extent() for patch in ax.patches]
    for text in ax.texts:
        if text.get_color() == boxes.ON_TINT:
            words = text.get_window_extent()
            around = [shape for shape in shapes if shape.contains(words.x0 + 1, words.y0 + 1)]
            assert any(shape.contains(words.x1, words.y1) for shape in around), text.get_text()


def test_diagrams_draw_on_given_axes_and_return_them():
    for draw in DIAGRAMS.values():
        figure, ax = plt.subplots()
        assert draw(ax=ax) is ax
        plt.close(figure)


def test_hidden_weights_are_crossed_out_and_only_these():
    words = [text.get_text() for text in plotting.plot_attention_steps(*EXAMPLE).texts]
    assert words.count("–") == 0
    assert any("weights: softmax" in word for word in words)
    ax = plotting.plot_attention_steps(*EXAMPLE, mask=np.tri(4))
    assert [text.get_text() for text in ax.texts].count("–") == 6


def test_the_tints_are_those_of_the_weights():
    query, key, value = EXAMPLE
    ax = plotting.plot_attention_steps(query, key, value, mask=np.tri(4))
    scores = np.where(np.tri(4), query @ key.T / 3**0.5, -np.inf)
    weights = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    cells = [patch.get_facecolor()[0] for patch in ax.patches]  # red, less of it where darker
    drawn = np.array(cells[12 + 12 + 16 :][:16])  # after Q, K and the scores
    seen = np.tri(4).ravel() > 0
    slopes = np.corrcoef(drawn[seen], weights.ravel()[seen])[0, 1]
    assert slopes == pytest.approx(-1)


def test_backpropagation_shows_its_numbers_without_minus_zero():
    slopes = SLOPES | {"z": [[-0.001, 1.004]]}
    ax = plotting.plot_backpropagation(VALUES, slopes)
    words = [text.get_text() for text in ax.texts]
    assert " 0.50 −1.00\n−0.50  0.25" in words
    assert " 0.00  1.00" in words


def test_the_window_gives_the_sum_that_is_written_below():
    ax = plotting.plot_window(GRID, EDGE, (1, 2))
    words = [text.get_text() for text in ax.texts]
    expected = int((GRID[1:4, 2:5] * EDGE).sum())
    assert words[-1].endswith(f" = {expected}".replace("-", "−"))
    assert words[-1].count("·") == EDGE.size
    assert len(words) == 25 + 9 + 9 + 3 + 2 + 1  # numbers, titles, signs, the sum


def test_channels_are_added_up():
    kernel = np.array([[[1, 0], [0, 1]], [[0, -1], [2, 0]]])
    words = [text.get_text() for text in plotting.plot_window(PAIR, kernel, (0, 1)).texts]
    both = (PAIR[:2, 1:] * kernel).sum()
    assert words[-1].endswith(f" = {both}".replace("-", "−"))
    assert words[-1].count("·") == kernel.size
    titles = ["picture, channel 2", "kernel 2", "sums 2", "output"]
    assert set(titles) <= set(words)


def test_places_of_a_window_are_as_many_as_keras_finds():
    ax = plotting.plot_places(5, 3, PLACES)
    words = [text.get_text() for text in ax.texts]
    for title, (frame, stride) in PLACES.items():
        padding = "same" if frame else "valid"
        layer = layers.Conv2D(1, 3, strides=stride, padding=padding)
        side = layer.compute_output_shape((1, 5, 5, 1))[1]
        assert words[words.index(title) + 1] == f"{side} × {side} places"
    assert len(ax.get_lines()) == 9 + 25 + 4 + 9  # a dot for each place


def test_a_network_is_drawn_with_its_shapes():
    ax = plotting.plot_network(SHAPES, ["conv", "pool", "dense"])
    words = [text.get_text() for text in ax.texts]
    assert words[:4] == ["28 × 28\n1 map", "28 × 28\n16 maps", "14 × 14\n16 maps", "10\nclasses"]
    assert words[4:] == ["conv", "pool", "dense"]
    sides = [patch.get_width() for patch in ax.patches if isinstance(patch, Rectangle)]
    assert sides[0] == sides[1] == 2 * sides[-2]
    assert len(sides) == 1 + 5 + 5 + 1


def test_a_window_that_leaves_the_picture_is_refused():
    with pytest.raises(ValueError, match="the windows lie at"):
        plotting.plot_window(GRID, EDGE, (3, 0))


def test_a_frame_is_around_what_has_arrived():
    ax = plotting.plot_ring(3)
    framed = [patch for patch in ax.patches if patch.get_linewidth() == 2]
    assert len(framed) == 3 * 2 * 2  # every device gets a part at each of 2 + 2 steps


def test_shares_of_what_is_divided_are_a_part_and_add_up():
    ax = plotting.plot_shares(2)
    words = [text.get_text() for text in ax.texts]
    assert [word for word in words if "bytes" in word] == [
        "12 bytes a weight", "8 bytes a weight", "6 bytes a weight"
    ]  # fmt: skip
    filled = [patch.get_height() for patch in ax.patches if patch.get_facecolor()[3] > 0]
    whole, part = sorted(set(np.round(filled, 6)), reverse=True)
    assert whole == pytest.approx(2 * part)
    assert sum(np.isclose(filled, whole)) == 2 * (3 + 1)
    assert sum(np.isclose(filled, part)) == 2 * (2 + 3)
