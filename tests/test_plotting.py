"""What the pictures hold: labels, lines, counts and marks, read back from the Axes."""

import os
import subprocess
import sys
import warnings
from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

from kerasbook import plotting
from kerasbook.plotting import (
    plot_bands,
    plot_calibration,
    plot_confusion,
    plot_feature_maps,
    plot_history,
    plot_images,
    plot_lines,
    plot_loss_surface,
    plot_predictions,
    plot_weights,
    save,
)

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color, to_hex
from matplotlib.legend import Legend
from matplotlib.text import Text
from PIL import Image


@pytest.fixture(autouse=True)
def _no_warning_and_no_open_figure():
    plt.close("all")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
    plt.close("all")


def history(epochs=6, slope=0.1):
    ramp = np.arange(epochs) * slope
    return {
        "loss": list(1.0 - ramp),
        "accuracy": list(0.2 + ramp),
        "val_loss": [abs(2 - epoch) + 0.5 for epoch in range(epochs)],
        "val_accuracy": [0.7 - 0.1 * abs(3 - epoch) for epoch in range(epochs)],
    }


def line(ax, label):
    (found,) = [line for line in ax.get_lines() if line.get_label() == label]
    return found


def stars(ax):
    return [line for line in ax.get_lines() if line.get_marker() == "*"]


def legend_words(ax):
    legends = [child for child in ax.get_children() if isinstance(child, Legend)]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def draw(ax):
    """Draw for good, so that what Matplotlib only finds out then is found out here."""
    figure = np.ravel(ax)[0].figure
    figure.canvas.draw()
    return figure


# --- plot_history -------------------------------------------------------------------------


def test_history_has_a_labelled_panel_per_metric_and_two_styles_of_one_colour():
    axes = plot_history(history(), units={"accuracy": "share"})
    assert [ax.get_ylabel() for ax in axes] == ["loss", "accuracy (share)"]
    assert [ax.get_xlabel() for ax in axes] == ["epoch", "epoch"]
    for ax in axes:
        training, validation = line(ax, "run 1, training"), line(ax, "run 1, validation")
        assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
        assert same_color(training.get_color(), validation.get_color())
        assert list(training.get_xdata()) == [1, 2, 3, 4, 5, 6]


def test_history_stars_the_lowest_loss_and_the_highest_accuracy():
    loss, accuracy = plot_history(history())
    assert [float(star.get_xdata()[0]) for star in stars(loss)] == [3]
    assert [float(star.get_ydata()[0]) for star in stars(loss)] == [0.5]
    assert [float(star.get_xdata()[0]) for star in stars(accuracy)] == [4]
    assert "best 0.5 at epoch 3" in legend_words(loss)
    assert "best 0.7 at epoch 4" in legend_words(accuracy)


@pytest.mark.parametrize(
    ("metric", "higher"),
    [
        ("sparse_categorical_accuracy", True),
        ("auc", True),
        ("mean_io_u", True),
        ("mae", False),
        ("root_mean_squared_error", False),
        ("binary_crossentropy", False),
        ("false_positives", False),
        ("perplexity", False),
        ("surprise", None),
    ],
)
def test_history_knows_which_way_a_metric_improves_or_leaves_it_unmarked(metric, higher):
    (ax,) = plot_history({metric: [1, 2, 3], f"val_{metric}": [2, 3, 1]})
    best = [float(star.get_ydata()[0]) for star in stars(ax)]
    assert best == {True: [3], False: [1], None: []}[higher]


def test_history_overlays_runs_in_colours_and_markers_that_differ():
    loss, _ = plot_history(history(), history(4), history(5), labels=["SGD", "Adam", "Lion"])
    lines = [line(loss, f"{name}, training") for name in ("SGD", "Adam", "Lion")]
    assert len({to_hex(each.get_color()) for each in lines}) == 3
    assert len({each.get_marker() for each in lines}) == 3
    assert len(stars(loss)) == 3
    words = " ".join(legend_words(loss))
    assert all(word in words for word in ("SGD", "Adam", "Lion", "training", "validation"))


def test_history_takes_objects_and_counts_their_epochs_from_1():
    run = SimpleNamespace(history={"loss": [3.0, 2.0]}, epoch=[7, 8])
    (ax,) = plot_history(run)
    assert list(line(ax, "run 1, training").get_xdata()) == [8, 9]
    (ax,) = plot_history(SimpleNamespace(history={"loss": [3.0, 2.0]}))
    assert list(line(ax, "run 1, training").get_xdata()) == [1, 2]


def test_history_puts_the_loss_first_and_chooses_metrics():
    run = {"mae": [1], "loss": [2], "learning_rate": [3]}
    labels = [ax.get_ylabel() for ax in plot_history(run)]
    assert labels == ["loss", "mae", "learning rate"]
    assert [ax.get_ylabel() for ax in plot_history(run, metric="mae")] == ["mae"]
    _, ax = plt.subplots()
    assert list(plot_history(run, metric=["mae"], axes=ax)) == [ax]


def test_history_scales_the_loss_by_logarithm_beyond_two_decades():
    def scale(*losses, name="loss"):
        (ax,) = plot_history({name: losses})
        return ax.get_yscale(), "log scale" in ax.get_ylabel()

    assert scale(100.0, 1.0) == ("linear", False)
    assert scale(101.0, 1.0) == ("log", True)
    assert scale(101.0, -1.0) == ("linear", False)
    assert scale(101.0, np.nan, np.inf, 1.0) == ("log", True)
    assert scale(101.0, 1.0, name="mae") == ("linear", False)


def test_one_epoch_is_told_in_numbers():
    def numbers(*histories):
        (ax,) = plot_history(*histories, metric="loss")
        return {text.get_text(): text.get_ha() for text in ax.texts if text.get_text()}

    one = {"loss": [0.25], "val_loss": [1.5]}
    assert numbers(one) == {"0.25": "left", "1.5": "right"}
    assert numbers({"loss": [np.nan], "val_loss": [1.5]}) == {"1.5": "right"}
    assert numbers(one, one) == {}
    assert numbers(history(2)) == {}


@pytest.mark.parametrize("epochs", [1, 15, 1000])
def test_history_ticks_are_whole_epochs_from_1_and_long_runs_are_not_crowded(epochs):
    (loss,) = plot_history(history(epochs, slope=0.1 / epochs), metric="loss")
    left, right = loss.get_xlim()
    ticks = [tick for tick in loss.get_xticks() if left <= tick <= right]
    assert 1 <= len(ticks) <= 9
    assert all(tick >= 1 and tick == round(tick) for tick in ticks)
    assert len(line(loss, "run 1, training").get_markevery()) <= 12


def test_history_leaves_gaps_for_nan_and_shows_points_that_stand_alone():
    nan = float("nan")
    run = {"loss": [float(n) for n in range(40, 0, -1)], "val_loss": [nan] * 40}
    run["val_loss"][20] = 5.0
    (ax,) = plot_history(run)
    validation = line(ax, "run 1, validation")
    assert np.isnan(validation.get_ydata()).sum() == 39
    assert 20 in validation.get_markevery()
    (ax,) = plot_history({"loss": [1.0, float("inf")], "val_loss": [nan, nan]})
    draw(ax)
    assert stars(ax) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "dictionary"),
        ((), "at least one"),
        (({},), "empty"),
        (({"loss": []},), "empty"),
        (({"loss": [1, 2], "val_loss": [1]},), "NaN where an epoch"),
        (({"loss": [[1, 2], [3, 4]]},), "one number per epoch"),
        (({"loss": ["low"]},), "numbers"),
        (({"sgd": {"loss": [1]}},), r"\*runs\.values"),
    ],
)
def test_history_refuses_what_it_cannot_draw(arguments, message):
    with pytest.raises(ValueError, match=message):
        plot_history(*arguments)
    assert plt.get_fignums() == []


def test_history_refuses_labels_metrics_and_axes_that_do_not_match():
    with pytest.raises(ValueError, match="2 names for 1"):
        plot_history(history(), labels=["a", "b"])
    with pytest.raises(ValueError, match="there are loss, accuracy"):
        plot_history(history(), metric="mae")
    assert plt.get_fignums() == []
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="2 pictures need 2 axes"):
        plot_history(history(), axes=ax)
    with pytest.raises(ValueError, match="Matplotlib Axes"):
        plot_history(history(), axes=[1, 2])


# --- plot_bands ---------------------------------------------------------------------------


def test_bands_are_means_with_the_range_around_them():
    runs = {"a": [[0.0, 2.0], [1.0, 4.0]], "b": [[5.0, 5.0], [5.0, 5.0]]}
    ax = plot_bands(runs, x_label="epoch", y_label="accuracy")
    curves = {line.get_label(): line.get_ydata().tolist() for line in ax.lines}
    assert curves == {"a": [0.5, 3.0], "b": [5.0, 5.0]}
    heights = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == (0, 4)


def test_a_band_needs_runs():
    with pytest.raises(ValueError, match="a row per run"):
        plot_bands({"a": [1.0, 2.0]}, x_label="x", y_label="y")


# --- plot_lines ---------------------------------------------------------------------------


def test_lines_differ_in_colour_style_and_marker_and_are_named():
    series = {f"rate {number}": np.arange(1, 5) * number for number in range(1, 8)}
    ax = plot_lines(series, x=[0, 1, 2, 4], x_label="time (s)", y_label="loss")
    lines = ax.get_lines()
    assert len(lines) == 7
    assert len({to_hex(each.get_color()) for each in lines}) == 7
    assert len({each.get_marker() for each in lines}) == 7
    assert len({str(each._unscaled_dash_pattern) for each in lines}) == 7
    assert list(lines[0].get_xdata()) == [0, 1, 2, 4]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "loss")
    assert legend_words(ax) == list(series)


def test_lines_count_from_1_and_may_differ_in_length_without_x():
    ax = plot_lines({"a": [3, 2, 1], "b": [1]}, x_label="step", y_label="loss")
    assert [list(each.get_xdata()) for each in ax.get_lines()] == [[1, 2, 3], [1]]


def test_lines_without_a_curve_are_labelled_axes_to_draw_on():
    ax = plot_lines({}, x_label="horsepower (hp)", y_label="fuel economy (mpg)")
    ax.scatter([50, 230], [10, 45])
    draw(ax)
    assert (ax.get_xlabel(), ax.get_legend()) == ("horsepower (hp)", None)
    assert ax.viewLim.x0 > 10, "the limits still follow what is drawn"


def test_lines_with_a_log_scale_leave_gaps_where_there_is_no_logarithm():
    ax = plot_lines({"a": [1, 0, -1, np.inf, 5]}, log=True, x_label="step", y_label="loss")
    draw(ax)
    assert ax.get_yscale() == "log"
    np.testing.assert_equal(ax.get_lines()[0].get_ydata(), [1, np.nan, np.nan, np.nan, 5])


def test_lines_survive_numbers_that_matplotlib_cannot_place():
    ax = plot_lines({"a": [1, 1e308, -1e308, 2]}, x_label="step", y_label="loss")
    draw(ax)
    assert np.abs(ax.get_ylim()).max() < 10


def test_a_name_with_a_leading_underscore_stays_in_the_legend():
    ax = plot_lines({"_a": [1, 2]}, x_label="step", y_label="loss")
    assert [word.strip() for word in legend_words(ax)] == ["_a"]


def test_formulas_are_set_and_dollars_that_are_none_are_left_alone():
    names = {r"$\eta = 0.1$": [1, 2], r"US$ \bad to $9": [2, 1]}
    ax = plot_lines(names, x_label="$w_0$", y_label=r"$\nothing")
    draw(ax)
    assert legend_words(ax) == list(names)
    parsed = [text.get_parse_math() for text in ax.get_legend().get_texts()]
    assert parsed == [True, False]
    draw(plot_predictions([1, 2], [1, 2], unit="$ {US$"))


@pytest.mark.parametrize(
    ("series", "more", "message"),
    [
        ([1, 2], {}, "dictionary of curves"),
        ({"a": []}, {}, "at least 1"),
        ({"a": [[1, 2], [3, 4]]}, {}, "must be"),
        ({"a": [1, 2]}, {"x": [1, 2, 3]}, "differ in length: 3 and 2"),
        ({"a": [np.nan, np.inf]}, {}, "no finite value"),
        ({"a": [-1, 0]}, {"log": True}, "no positive and finite value"),
        ({"a": [1]}, {"ax": "axes"}, "one Matplotlib Axes"),
    ],
)
def test_lines_refuse_what_they_cannot_draw(series, more, message):
    with pytest.raises(ValueError, match=message):
        plot_lines(series, x_label="step", y_label="loss", **more)
    assert plt.get_fignums() == []


# --- plot_loss_surface --------------------------------------------------------------------


def bowl(x, y):
    return (x - 1) ** 2 + 4 * (y + 1) ** 2


PATHS = {"plain": [[3, 1], [2, 0], [1.5, -0.5]], "fast": [[3, 1], [1, -1]]}
AXIS_NAMES = {"x_label": "weight", "y_label": "bias (mpg)"}


def test_surface_shows_paths_ends_arrows_and_minimum():
    ax = plot_loss_surface(bowl, PATHS, minimum=(1, -1), **AXIS_NAMES)
    draw(ax)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("weight", "bias (mpg)")
    assert set(legend_words(ax)) == {"plain", "fast", "minimum", "start", "end"}
    points = {tuple(map(float, each.get_xydata()[0])) for each in ax.get_lines()}
    assert {(1.0, -1.0), (3.0, 1.0), (1.5, -0.5)} <= points
    assert len(ax.texts) == 6, "three arrows for each path"
    assert ax.viewLim.x0 < 1 < 3 < ax.viewLim.x1
    assert ax.viewLim.y0 < -1 < 1 < ax.viewLim.y1
    styles = {each.get_linestyle() for each in ax.get_lines() if len(each.get_xdata()) > 1}
    assert len(styles) == 2


def test_surface_levels_are_spaced_by_logarithm_above_the_lowest_value():
    ax = plot_loss_surface(
        lambda x, y: bowl(x, y) - 5, PATHS, x_range=(-2, 4), y_range=(-3, 1), **AXIS_NAMES
    )
    steps = np.diff(ax.collections[0].levels)
    ratios = steps[2:] / steps[1:-1]
    np.testing.assert_allclose(ratios, ratios[0], rtol=1e-6)
    assert ratios[0] > 1.2


def test_surface_takes_a_loss_of_two_numbers_as_well():
    calls = []

    def loss(x, y):
        calls.append(isinstance(x, float))
        return float(x) ** 2 + float(y) ** 2 + np.mean([1.0, 2.0])

    ax = plot_loss_surface(loss, {}, x_range=(-1, 1), y_range=(-1, 1), **AXIS_NAMES)
    assert calls.count(True) == 81**2
    np.testing.assert_allclose(ax.collections[0].levels[[0, -1]], [1.5, 3.5])


def test_surface_follows_a_path_that_diverges_only_inside_the_picture():
    wild = [[0, 0], [1, -1], [1e30, 1e200], [np.inf, np.nan]]
    ax = plot_loss_surface(bowl, {"wild": wild}, x_range=(-2, 2), y_range=(-2, 2), **AXIS_NAMES)
    draw(ax)
    assert "wild (leaves the picture)" in legend_words(ax)
    assert ax.get_xlim() == (-2, 2)


def test_surface_of_a_flat_loss_and_of_a_path_that_stands_still_is_drawn():
    ax = plot_loss_surface(lambda x, y: 0 * x + 3, {"still": [[1, 1], [1, 1]]}, **AXIS_NAMES)
    draw(ax)
    assert (len(ax.collections), len(ax.texts)) == (0, 0)


@pytest.mark.parametrize(
    ("loss", "paths", "more", "message"),
    [
        (bowl, {}, {}, r"pass x_range=\(low, high\)"),
        (bowl, {"a": [1, 2]}, {}, r"must be \(steps, 2\)"),
        (bowl, {"a": np.zeros((0, 2))}, {}, r"must be \(steps, 2\)"),
        (bowl, PATHS, {"x_range": (1, 1)}, "low < high"),
        (bowl, PATHS, {"y_range": (1, np.inf)}, "low < high"),
        (bowl, PATHS, {"minimum": (1, 2, 3)}, "two numbers"),
        (lambda x, y: np.nan * x, PATHS, {}, "no finite value"),
        (lambda x, y: [1.0, 2.0], PATHS, {}, "one number"),
    ],
)
def test_surface_refuses_what_it_cannot_draw(loss, paths, more, message):
    with pytest.raises(ValueError, match=message):
        plot_loss_surface(loss, paths, **AXIS_NAMES, **more)
    assert plt.get_fignums() == []


# --- pictures -----------------------------------------------------------------------------

CLASSES = ["coat", "shirt", "bag"]


def test_images_name_the_true_class_and_mark_only_the_wrong_prediction():
    axes = plot_images(np.zeros((3, 4, 4)), [0, 1, 2], [0, 0, 2], CLASSES)
    assert [ax.get_title().replace("\n", " ") for ax in axes] == ["coat", "shirt, not coat", "bag"]
    right, wrong, _ = axes
    assert not same_color(wrong.title.get_color(), right.title.get_color())
    assert (right.title.get_fontweight(), wrong.title.get_fontweight()) == ("normal", "bold")
    assert wrong.spines["top"].get_linewidth() > 2 * right.spines["top"].get_linewidth()


def test_images_take_columns_of_labels_strings_and_predictions_alone():
    images = np.zeros((2, 4, 4, 1))
    titles = [ax.get_title() for ax in plot_images(images, np.array([[1], [2]]), classes=CLASSES)]
    assert titles == ["shirt", "bag"]
    assert [ax.get_title() for ax in plot_images(images, [b"US$ a$", "b"])] == ["US$ a$", "b"]
    assert [ax.get_title() for ax in plot_images(images, predictions=[1, 0])] == ["1", "0"]
    draw(plot_images(images, ["$x", "$\\bad$"]))


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (np.array([[[0, 51], [255, 102]]], np.uint8), [0, 0.2, 1, 0.4]),
        (np.array([[[0.0, 0.25], [0.5, 0.5]]]), [0, 0.25, 0.5, 0.5]),
        (np.array([[[-1.0, 0.0], [1.0, 3.0]]]), [0, 0.25, 0.5, 1]),
        (np.array([[[0.0, 1.0], [2.0, 4.0]]]), [0, 0.25, 0.5, 1]),
        (np.array([[[-2.0, -2.0], [-2.0, -2.0]]]), [0, 0, 0, 0]),
        (np.array([[[True, False], [False, True]]]), [1, 0, 0, 1]),
    ],
)
def test_images_are_scaled_by_their_range(images, expected):
    (ax,) = plot_images(images)
    (picture,) = ax.get_images()
    np.testing.assert_allclose(np.ravel(picture.get_array()), expected)
    assert picture.get_clim() == (0, 1)


def test_images_share_one_scale_and_keep_their_colours():
    first, second = plot_images(np.stack([np.full((2, 2), -1.0), np.full((2, 2), 1.0)]))
    assert first.get_images()[0].get_array().max() == 0
    assert second.get_images()[0].get_array().min() == 1
    (ax,) = plot_images(np.random.default_rng(0).random((1, 5, 4, 3)))
    assert ax.get_images()[0].get_array().shape == (5, 4, 3)


def test_images_stand_in_columns_and_in_the_axes_they_are_given():
    axes = plot_images(np.zeros((7, 4, 4)), columns=3)
    assert len(axes) == len(axes[0].figure.axes) == 7
    assert axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 3)
    _, given = plt.subplots(2, 2)
    used = plot_images(np.zeros((3, 4, 4)), axes=given)
    assert list(used) == list(given.flat)[:3]


@pytest.mark.parametrize(
    ("images", "more", "message"),
    [
        (np.zeros((4, 4)), {}, r"image\[None\]"),
        (np.zeros((1, 4, 4, 2)), {}, r"\(n, h, w, 3\)"),
        (np.zeros((0, 4, 4)), {}, r"\(n, h, w\)"),
        (np.zeros((201, 1, 1)), {}, r"images\[:20\]"),
        (np.full((1, 2, 2), np.nan), {}, "4 values that are NaN"),
        (np.zeros((2, 4, 4)), {"labels": [1]}, "labels holds 1 entries for 2"),
        (np.zeros((2, 4, 4)), {"labels": [0, 3], "classes": CLASSES}, "class 3 has no name"),
        (np.zeros((2, 4, 4)), {"predictions": np.eye(2)}, "argmax"),
        (np.zeros((2, 4, 4)), {"labels": [0, 1.5]}, "class numbers"),
        (np.zeros((2, 4, 4)), {"columns": 0}, "at least 1"),
    ],
)
def test_images_refuse_what_they_cannot_draw(images, more, message):
    with pytest.raises(ValueError, match=message):
        plot_images(images, **more)
    assert plt.get_fignums() == []


def test_weights_of_a_dense_kernel_are_its_columns_on_one_scale_around_0():
    kernel = np.arange(12.0).reshape(6, 2) - 2
    axes = plot_weights(kernel, (2, 3), titles=["no", "yes"])
    assert [ax.get_title() for ax in axes] == ["no", "yes"]
    for unit, ax in enumerate(axes):
        (picture,) = ax.get_images()
        np.testing.assert_array_equal(picture.get_array(), kernel[:, unit].reshape(2, 3))
        assert picture.get_clim() == (-9, 9)
    assert [ax.get_ylabel() for ax in axes[0].figure.axes[2:]] == ["weight"]


def test_weights_of_a_convolution_put_the_channels_of_a_filter_side_by_side():
    kernel = np.random.default_rng(0).normal(size=(3, 2, 2, 4))
    axes = plot_weights(kernel)
    assert [ax.get_title() for ax in axes] == [f"filter {number}" for number in range(4)]
    block = axes[3].get_images()[0].get_array().filled(np.nan)
    assert block.shape == (3, 5)
    np.testing.assert_array_equal(block[:, :2], kernel[:, :, 0, 3])
    np.testing.assert_array_equal(block[:, 3:], kernel[:, :, 1, 3])
    assert np.all(np.isnan(block[:, 2]))
    assert "2 input channels" in axes[0].figure.get_supxlabel()


def test_weights_can_be_read_in_grey_and_zero_weights_are_drawn():
    rgb = plotting.images.SIGNED(np.linspace(0, 1, 101))[:, :3]
    grey = rgb @ [0.299, 0.587, 0.114]
    assert np.all(np.diff(grey) > 0), "the lightness must tell the sign"
    assert np.ptp(rgb[50]) < 0.02, "zero is grey"
    (ax,) = plot_weights(np.zeros((4, 1)), (2, 2))
    draw(ax)
    assert ax.get_images()[0].get_clim() == (-1, 1)


@pytest.mark.parametrize(
    ("kernel", "more", "message"),
    [
        (np.zeros((6, 2)), {}, "6 inputs"),
        (np.zeros((6, 2)), {"shape": (2, 2)}, "6 inputs"),
        (np.zeros((6, 2)), {"shape": (6,)}, "6 inputs"),
        (np.zeros((6, 2)), {"shape": (2, 3), "titles": ["a"]}, "titles holds 1 entries for 2"),
        (np.zeros((3, 3, 8)), {}, r"\(kh, kw, channels, filters\)"),
        (np.zeros((3, 3, 1, 201)), {}, r"kernel\[\.\.\., :20\]"),
        (np.full((4, 1), np.inf), {"shape": (2, 2)}, "4 values that are NaN, infinite"),
        (np.zeros((4, 0)), {"shape": (2, 2)}, "no weights"),
    ],
)
def test_weights_refuse_what_they_cannot_draw(kernel, more, message):
    with pytest.raises(ValueError, match=message):
        plot_weights(kernel, **more)
    assert plt.get_fignums() == []


def test_feature_maps_are_channels_on_one_scale():
    maps = np.arange(40.0).reshape(2, 2, 10)
    axes = plot_feature_maps(maps, columns=4)
    assert [ax.get_title() for ax in axes] == [str(number) for number in range(10)]
    assert axes[0].get_subplotspec().get_gridspec().get_geometry() == (3, 4)
    for channel, ax in enumerate(axes):
        (picture,) = ax.get_images()
        np.testing.assert_array_equal(picture.get_array(), maps[..., channel])
        assert picture.get_clim() == (0, 39)
    assert axes[0].figure.axes[-1].get_ylabel() == "activation"


@pytest.mark.parametrize(
    ("maps", "more", "message"),
    [
        (np.zeros((1, 2, 2, 3)), {}, r"maps\[0\]"),
        (np.zeros((2, 2, 0)), {}, r"\(h, w, channels\)"),
        (np.zeros((2, 2, 201)), {}, r"maps\[\.\.\., :64\]"),
        (np.full((2, 2, 1), np.nan), {}, "NaN"),
        (np.zeros((2, 2, 2)), {"titles": ["a"]}, "titles holds 1 entries for 2"),
    ],
)
def test_feature_maps_refuse_what_they_cannot_draw(maps, more, message):
    with pytest.raises(ValueError, match=message):
        plot_feature_maps(maps, **more)
    assert plt.get_fignums() == []


# --- predictions --------------------------------------------------------------------------


def test_confusion_counts_and_shares_stand_in_the_row_of_the_true_class():
    true, predicted = [0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 2, 2]
    ax = plot_confusion(true, predicted, CLASSES)
    draw(ax)
    cells = {text.get_position(): text.get_text() for text in ax.texts}
    assert cells[(0, 0)] == "3\n75 %"
    assert cells[(1, 0)] == "1\n25 %", "x is the predicted class, y the true one"
    assert cells[(0, 1)] == "0"
    assert cells[(2, 1)] == "1\n50 %"
    assert cells[(2, 2)] == "1\n100 %"
    assert ax.get_title() == "accuracy 71.4 % (5 of 7)"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("predicted class", "true class")
    assert [tick.get_text() for tick in ax.get_xticklabels()] == CLASSES
    assert [tick.get_text() for tick in ax.get_yticklabels()] == CLASSES


def test_confusion_tells_small_shares_apart_and_writes_white_on_dark():
    true = np.zeros(4000, int)
    predicted = np.r_[1, [2] * 40, [0] * 3959]
    ax = plot_confusion(true, predicted)
    cells = {text.get_position(): text for text in ax.texts}
    assert cells[(1, 0)].get_text() == "1\n<0.1 %"
    assert cells[(2, 0)].get_text() == "40\n1.0 %"
    assert cells[(0, 0)].get_text() == "3,959\n99 %"
    assert cells[(0, 1)].get_text() == "0", "a class without examples has an empty row"
    assert (cells[(0, 0)].get_color(), cells[(1, 0)].get_color()) == ("white", "black")


def test_confusion_of_ten_classes_is_readable_and_of_forty_has_a_colour_bar():
    numbers = np.arange(40)
    ten = plot_confusion(numbers % 10, numbers % 10, [f"class {n}" for n in range(10)])
    draw(ten)
    renderer = ten.figure.canvas.get_renderer()
    cell = ten.get_window_extent().width / 10
    assert len(ten.texts) == 100
    assert max(text.get_window_extent(renderer).width for text in ten.texts) < cell
    assert min(text.get_fontsize() for text in ten.texts) >= 9
    forty = plot_confusion(numbers, numbers)
    draw(forty)
    assert len(forty.texts) == 0
    assert forty.figure.axes[-1].get_ylabel() == "share of the true class"


@pytest.mark.parametrize(
    ("true", "predicted", "classes", "message"),
    [
        ([0, 1], [0], None, "differ in length: 2 and 1"),
        ([0, 1], np.eye(2), None, "argmax"),
        ([0, 5], [0, 1], CLASSES, "class 5 has no name"),
        ([0, -1], [0, 1], None, "class numbers"),
        ([0, np.nan], [0, 1], None, "class numbers"),
        ([], [], None, "at least 1"),
        ([0, 500], [0, 1], None, "more than 100"),
    ],
)
def test_confusion_refuses_what_it_cannot_draw(true, predicted, classes, message):
    with pytest.raises(ValueError, match=message):
        plot_confusion(true, predicted, classes)
    assert plt.get_fignums() == []


def test_predictions_show_the_diagonal_the_unit_and_the_mean_absolute_error():
    # A model predicts a column; against a vector it must not spread to a square.
    ax = plot_predictions([10, 20, 30], np.array([[12.0], [20.0], [26.0]]), unit="mpg")
    assert ax.get_title() == "mean absolute error 2 mpg"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("true value (mpg)", "predicted value (mpg)")
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), [[10, 12], [20, 20], [30, 26]])
    (diagonal,) = ax.get_lines()
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    assert ax.get_xlim() == ax.get_ylim()
    draw(plot_predictions([1e30], [1e30], unit="mpg"))


@pytest.mark.parametrize(
    ("true", "predicted", "message"),
    [
        ([1, 2], [1], "differ in length: 2 and 1"),
        ([1, np.nan], [1, 2], "true holds 1 values"),
        ([1, 2], [1, np.inf], "predicted holds 1 values"),
        ([1, 2], [1, 1e300], "beyond 1e"),
        ([[1, 2]], [[1, 2]], r"must be \(n,\)"),
        (["a"], ["b"], "numbers"),
    ],
)
def test_predictions_refuse_what_they_cannot_draw(true, predicted, message):
    with pytest.raises(ValueError, match=message):
        plot_predictions(true, predicted, unit="mpg")
    assert plt.get_fignums() == []


def test_calibration_error_equals_the_one_worked_out_by_hand():
    # Two examples at 0.9, one right: |0.5 - 0.9| = 0.4. Three at 0.65, two right:
    # |2/3 - 0.65| = 1/60. Together (2 · 0.4 + 3 / 60) / 5 = 0.17.
    rows = np.array([[0.9, 0.1], [0.1, 0.9], [0.65, 0.35], [0.35, 0.65], [0.65, 0.35]])
    true = [0, 0, 0, 1, 1]
    ax = plot_calibration(true, rows)
    draw(ax)
    assert ax.get_title() == "expected calibration error 0.170"
    assert [text.get_text() for text in ax.texts] == ["examples", "3", "2"]
    assert [text.xy[0] for text in ax.texts[1:]] == pytest.approx([0.65, 0.85])
    heights = [bar.get_height() for bar in ax.patches]
    assert heights[:2] == pytest.approx([2 / 3, 1 / 2]), "accuracy"
    assert heights[2:] == pytest.approx([1 / 60, 0.4]), "gap"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("confidence of the prediction", "accuracy")


def test_calibration_takes_the_probability_of_class_1_and_other_bins():
    one = plot_calibration([0, 1, 1], [0.2, 0.7, 0.4])
    two = plot_calibration([0, 1, 1], [[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    assert one.get_title() == two.get_title()
    ax = plot_calibration([0, 1], [[0.8, 0.2], [0.3, 0.7]], bins=2)
    # Both in (0.5, 1]: accuracy 1, mean confidence 0.75.
    assert ax.get_title().startswith("expected calibration error 0.250")
    draw(plot_calibration([0, 1], [[1.0, 0.0], [0.3, 0.7]], bins=50))


@pytest.mark.parametrize(
    ("true", "probabilities", "bins", "message"),
    [
        ([0], [[0.5, 0.5], [0.5, 0.5]], 10, "differ in length: 1 and 2"),
        ([0], [[3.0, -1.0]], 10, "softmax"),
        ([0], [[0.4, 0.4]], 10, "softmax"),
        ([2], [[0.5, 0.5]], 10, "class 2 is outside"),
        ([0], [[np.nan, 1.0]], 10, "NaN"),
        ([0], [[0.5, 0.5]], 1, "from 2 to 50"),
        ([0], [[0.5, 0.5]], 2.5, "from 2 to 50"),
        ([0], np.zeros((1, 2, 2)), 10, r"\(n, classes\)"),
    ],
)
def test_calibration_refuses_what_it_cannot_draw(true, probabilities, bins, message):
    with pytest.raises(ValueError, match=message):
        plot_calibration(true, probabilities, bins)
    assert plt.get_fignums() == []


# --- every picture ------------------------------------------------------------------------

EVERY = {
    "history": lambda: plot_history(history(), history(4)),
    "lines": lambda: plot_lines({"a": [1, 2]}, x_label="step", y_label="loss"),
    "surface": lambda: plot_loss_surface(bowl, PATHS, minimum=(1, -1), **AXIS_NAMES),
    "images": lambda: plot_images(np.zeros((2, 4, 4)), [0, 1], [1, 1], CLASSES),
    "weights": lambda: plot_weights(np.zeros((2, 2, 2, 2))),
    "maps": lambda: plot_feature_maps(np.zeros((4, 4, 3))),
    "confusion": lambda: plot_confusion([0, 1, 2], [0, 1, 1], CLASSES),
    "predictions": lambda: plot_predictions([1, 2], [1, 3], unit="mpg"),
    "calibration": lambda: plot_calibration([0, 1], [0.2, 0.9]),
}


@pytest.mark.parametrize("name", EVERY)
def test_every_picture_is_legible_whole_and_free_of_side_effects(name):
    before = dict(matplotlib.rcParams)
    axes = EVERY[name]()
    figure = draw(axes)
    assert dict(matplotlib.rcParams) == before
    assert figure.get_figwidth() <= 6.6, "wider than the page, it would be shrunk in print"
    words = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert {word.get_text() for word in words if word.get_fontsize() < 9} == set()
    box = figure.get_tightbbox().transformed(figure.dpi_scale_trans)
    assert min(box.x0, box.y0) >= -1
    assert max(box.x1 - figure.bbox.width, box.y1 - figure.bbox.height) <= 1
    for ax in np.ravel(axes):
        for legend in [child for child in ax.get_children() if isinstance(child, Legend)]:
            assert legend.get_window_extent().y1 <= ax.xaxis.label.get_window_extent().y0


def test_groups_of_a_legend_do_not_overlap_even_when_drawn_twice():
    (ax,) = plot_history(history(), history(), metric="loss")
    plot_history(history(), history(), metric="loss", axes=ax)
    draw(ax)
    legends = [child for child in ax.get_children() if isinstance(child, Legend)]
    assert len(legends) == 2
    lower, upper = sorted(legends, key=lambda legend: legend.get_window_extent().y0)
    assert lower.get_window_extent().y1 <= upper.get_window_extent().y0
    assert not upper.get_clip_on(), "the layout would leave it no room"


def test_under_a_dark_style_nothing_is_black_on_black():
    with plt.style.context("dark_background"):
        loss, _ = plot_history(history(), history(), history())
        black = [each for each in loss.get_lines() if same_color(each.get_color(), "black")]
        assert black == []
        legend_lines = loss.findobj(Legend)[0].get_lines()
        assert not any(same_color(each.get_color(), "black") for each in legend_lines)


# --- save ---------------------------------------------------------------------------------


def test_save_writes_one_png_of_150_dots_per_inch_and_closes_the_figure(tmp_path):
    ax = EVERY["lines"]()
    path = save(ax, tmp_path / "new" / "lines.png")
    assert path == tmp_path / "new" / "lines.png"
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert picture.info["dpi"] == pytest.approx((150, 150), abs=0.1)
        assert set(picture.info) == {"dpi"}, "no software, no date"
        assert 900 < picture.width <= 1010
    assert os.listdir(path.parent) == ["lines.png"]
    assert plt.get_fignums() == []
    if os.name == "posix":
        umask = os.umask(0)
        os.umask(umask)
        assert path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.parametrize("name", ["surface", "images", "calibration"])
def test_save_gives_the_same_bytes_for_the_same_data(name, tmp_path):
    first = save(EVERY[name](), tmp_path / "first.png").read_bytes()
    assert save(EVERY[name](), str(tmp_path / "second.png")).read_bytes() == first


def test_save_takes_figures_subfigures_and_arrays_of_axes(tmp_path):
    figure, axes = plt.subplots(1, 2, figsize=(2, 1))
    for number, drawing in enumerate([figure, axes, list(axes)]):
        assert save(drawing, tmp_path / f"{number}.PNG").exists()
    ax = plt.figure(figsize=(2, 1)).subfigures(1, 2)[0].subplots()
    plot_lines({"a": [1, 2]}, x_label="step", y_label="loss", ax=ax)
    assert save(ax, tmp_path / "sub.png").exists()
    assert plt.get_fignums() == []


def test_save_keeps_the_old_file_when_writing_fails(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def half(self, file, **options):
        file.write_bytes(b"ha")
        raise OSError("disk full")

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", half)
    with pytest.raises(OSError, match="disk full"):
        save(EVERY["lines"](), path)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["picture.png"]
    assert plt.get_fignums() == []


def test_save_refuses_what_is_no_figure_and_names_without_png(tmp_path):
    ax = EVERY["lines"]()
    with pytest.raises(ValueError, match=r"must end in \.png"):
        save(ax, tmp_path / "picture.pdf")
    for drawing in ("figure", [], [ax, 1], [ax, EVERY["lines"]()]):
        with pytest.raises(ValueError, match="save takes a Figure"):
            save(drawing, tmp_path / "picture.png")
    assert os.listdir(tmp_path) == []


def test_the_import_leaves_backend_and_settings_alone_and_works_without_a_display():
    program = """
import matplotlib
before = {key: matplotlib.rcParams._get(key) for key in matplotlib.rcParams}
import sys
from kerasbook import plotting
after = {key: matplotlib.rcParams._get(key) for key in matplotlib.rcParams}
assert before == after
assert "matplotlib.pyplot" not in sys.modules
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
plotting.plot_lines({"a": [1, 2]}, x_label="x", y_label="y").figure.canvas.draw()
"""
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "MPLBACKEND"}
    environment = {key: value for key, value in os.environ.items() if key not in hidden}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)


def test_a_live_notebook_shows_pictures_and_no_axes(monkeypatch):
    from kerasbook.plotting import page

    from IPython.core.formatters import DisplayFormatter

    shell = SimpleNamespace(display_formatter=DisplayFormatter())
    monkeypatch.setattr(page, "kernel", lambda: SimpleNamespace(shell=shell))
    axes = page.new_axes(2, 2, 4, 4)
    for drawn in (axes, axes[0], axes[0, 0], axes.ravel(), page.given_axes(list(axes.flat), 2)):
        assert shell.display_formatter.format(drawn) == ({}, {})
    assert shell.display_formatter.format(np.zeros(2))[0]["text/plain"] == "array([0., 0.])"
    plt.close(axes[0, 0].figure)
