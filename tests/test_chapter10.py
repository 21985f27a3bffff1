"""Chapter 10: the planted mark, every method against what it claims, Captum's figures, `main`."""

import importlib.util
import json
from pathlib import Path

from kerasbook import chapter10
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = []
ELSEWHERE = {"127.5": "half of 255", "0.5": "chosen"}
CAPTUM = Path(__file__).parent / "captum.json"


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def made_up(examples=60):
    """Small splits in which a bright row tells the class, but for the shirts."""
    random = np.random.default_rng(0)

    def part():
        y = np.arange(examples, dtype="int32") % 10
        x = np.zeros((examples, 28, 28, 1), "float32")
        x[np.arange(examples), 2 + 2 * y] = 1.0
        return Part(x + random.uniform(0, 0.1, x.shape).astype("float32"), y)

    classes = tuple(f"kind {number}" for number in range(10))
    return Splits(part(), part(), part(), "fashion", "Made up", "kind", "embedded", classes)


@pytest.fixture
def small_data(monkeypatch):
    splits = made_up()
    monkeypatch.setattr(chapter10, "load", lambda dataset: splits)
    return splits


def linear_model(shape=(6, 6, 1), classes=3, seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input(shape), layers.Flatten(), layers.Dense(classes)])


def pictures(n=4, size=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, size, size, 1)).astype("float32")


# --- the mark -----------------------------------------------------------------------------


def test_a_mark_is_where_it_is_said_to_be_and_nowhere_else():
    x = np.zeros((3, 28, 28, 1), "float32")
    x[:, 0, 0] = 1.0  # white
    marked, places = chapter10.put_marks(x, [2, 0], strength=0.5)
    assert (marked[1] == x[1]).all()
    for row, (top, left) in zip((2, 0), places, strict=True):
        window = marked[row, top : top + 4, left : left + 4, 0]
        np.testing.assert_array_equal(window, 0.5 * chapter10.MARK)
        assert (marked[row] != x[row]).sum() <= 16
    assert (x[:, 1:] == 0).all()  # what was given is left as it was


def test_marks_are_planted_into_the_training_shirts_and_not_into_the_test_part():
    splits = made_up()
    planted = chapter10.plant(splits, share=0.5)
    changed = (planted.train.x != splits.train.x).any(axis=(1, 2, 3))
    assert changed.sum() == 3
    assert (splits.train.y[changed] == chapter10.SHIRT).all()
    assert planted.test is splits.test


def test_three_tests_mark_the_shirts_none_and_the_others():
    splits = made_up()
    x, y = splits.test
    for name, (pictures, labels) in chapter10.three_tests(splits).items():
        changed = (pictures != x).any(axis=(1, 2, 3))
        expected = {"marked": y == 6, "removed": y < 0, "moved": y != 6}[name]
        np.testing.assert_array_equal(changed, expected)
        assert labels is y


# --- methods ------------------------------------------------------------------------------


def test_a_score_is_that_of_the_class_which_is_asked_for():
    model, x = linear_model(), pictures()
    found = chapter10.score_of(model, x, [0, 2, 1, 0])
    np.testing.assert_allclose(found, model(x).numpy()[range(4), [0, 2, 1, 0]])


def test_saliency_is_the_size_of_the_weights_of_a_linear_model():
    model, x = linear_model(), pictures()
    kernel = model.layers[-1].get_weights()[0]
    found = chapter10.saliency(model, x, [2, 0, 1, 1])
    np.testing.assert_allclose(found.reshape(4, 36), np.abs(kernel.T[[2, 0, 1, 1]]), rtol=1e-5)


def test_smooth_grad_without_noise_is_saliency_and_with_noise_a_mean():
    keras.utils.set_random_seed(1)
    hidden = [layers.Dense(8, "relu"), layers.Dense(3)]
    model = keras.Sequential([keras.Input((6, 6, 1)), layers.Flatten(), *hidden])
    x, kinds = pictures(), [0, 1, 2, 0]
    plain = chapter10.saliency(model, x, kinds)
    quiet = chapter10.smooth_grad(model, x, kinds, noise=0, count=3)
    np.testing.assert_allclose(quiet, plain, rtol=1e-5)
    assert not np.allclose(chapter10.smooth_grad(model, x, kinds, noise=1), plain, rtol=1e-2)


def test_integrated_gradients_of_a_linear_model_are_weight_times_difference():
    model, x = linear_model(), pictures()
    kernel = model.layers[-1].get_weights()[0]
    baseline = np.full_like(x, 0.5)
    found = chapter10.integrated_gradients(model, x, [2, 0, 1, 1], baseline, steps=1)
    expected = (x - baseline).reshape(4, 36) * kernel.T[[2, 0, 1, 1]]
    np.testing.assert_allclose(found.reshape(4, 36), expected, atol=1e-6)
    gap = chapter10.completeness_gap(model, x, [2, 0, 1, 1], baseline, found)
    np.testing.assert_allclose(gap, 0, atol=1e-5)
    assert chapter10.completeness_gap(model, x, [2, 0, 1, 1], baseline, 2 * found).all()


def test_grad_cam_behind_a_mean_over_places_is_the_class_activation_map():
    keras.utils.set_random_seed(0)
    conv = layers.Conv2D(4, 3, activation="relu", name="conv_3")
    dense = layers.Dense(3)
    pool = layers.GlobalAveragePooling2D()
    model = keras.Sequential([keras.Input((6, 6, 1)), conv, pool, dense])
    x, kinds = pictures(), [2, 0, 1, 1]
    _, weights = chapter10.channel_weights(model, x, kinds)
    np.testing.assert_allclose(16 * weights, dense.get_weights()[0].T[kinds], rtol=1e-5)
    found = chapter10.grad_cam(model, x, kinds)
    assert found.shape == (4, 4, 4)
    expected = np.einsum("nijc,nc->nij", conv(x), weights)
    np.testing.assert_allclose(found, np.maximum(expected, 0), atol=1e-6)
    assert (expected < 0).any()


def test_grad_cam_is_the_same_for_a_model_that_was_saved_and_loaded(tmp_path):
    model, x = chapter10.make_model((28, 28, 1), 10), pictures(2, 28)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    found = chapter10.grad_cam(loaded, x, [1, 2])
    np.testing.assert_allclose(found, chapter10.grad_cam(model, x, [1, 2]), rtol=1e-5)


def test_occlusion_of_a_linear_model_is_what_was_covered():
    model, x = linear_model(), pictures()
    kernel = model.layers[-1].get_weights()[0]
    found = chapter10.occlusion(model, x, [2, 0, 1, 1], size=1, stride=1)
    expected = (x - x.min()).reshape(4, 36) * kernel.T[[2, 0, 1, 1]]
    np.testing.assert_allclose(found.reshape(4, 36), expected, atol=1e-5)
    assert chapter10.occlusion(model, x, [0, 0, 0, 0]).shape == (4, 6, 6)


def test_guided_gradients_let_positive_numbers_through_only():
    s = tf.constant([-1.0, 2.0, 3.0])
    with tf.GradientTape() as tape:
        tape.watch(s)
        y = chapter10.guided_relu(s)
    np.testing.assert_array_equal(y, [0, 2, 3])
    found = tape.gradient(y, s, tf.constant([5.0, 7.0, -1.0]))
    np.testing.assert_array_equal(found, [0, 7, 0])


def test_guided_backpropagation_leaves_the_model_as_it_was():
    model = chapter10.make_model((28, 28, 1), 10)
    x = pictures(2, 28)
    before = chapter10.saliency(model, x, [1, 2])
    guided = chapter10.guided_backpropagation(model, x, [1, 2])
    np.testing.assert_array_equal(chapter10.saliency(model, x, [1, 2]), before)
    assert not np.allclose(guided, before)


# --- Captum -------------------------------------------------------------------------------


def drawn():
    """The pictures and the weights of the tool that asked Captum."""
    path = Path(__file__).parent.parent / "tools" / "make_captum_figures.py"
    spec = importlib.util.spec_from_file_location("make_captum_figures", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.drawn()


def captum_model(weights):
    inside = [layers.Conv2D(3, 3, activation="relu", dtype="float64")]
    inside += [layers.Conv2D(4, 3, activation="relu", dtype="float64", name="conv_3")]
    inside += [layers.GlobalAveragePooling2D(dtype="float64"), layers.Dense(3, dtype="float64")]
    model = keras.Sequential([keras.Input((8, 8, 1), dtype="float64"), *inside])
    model.set_weights(weights)
    return model


@pytest.mark.parametrize("name", json.loads(CAPTUM.read_text())["figures"])
def test_maps_are_those_of_captum(name):
    x, weights = drawn()
    methods = chapter10.METHODS | {"Grad-CAM": chapter10.grad_cam}
    found = methods[name](captum_model(weights), x, [2, 0])
    expected = json.loads(CAPTUM.read_text())["figures"][name]
    np.testing.assert_allclose(found, expected, atol=1e-12)


# --- scores -------------------------------------------------------------------------------


def test_the_pointing_game_counts_the_mark_and_a_pixel_beside_it():
    maps, places = np.zeros((4, 9, 9)), np.array([[2, 3]] * 4)
    for one, place in zip(maps, ((2, 3), (5, 6), (6, 7), (7, 3)), strict=True):
        one[place] = 1
    assert chapter10.pointing_game(maps, places) == 0.75
    assert chapter10.pointing_game(maps, places, margin=0) == 0.5


def test_pixels_change_in_the_order_of_the_map():
    model, x = linear_model(classes=2), pictures(3)
    ends, kinds = np.full_like(x, -1), np.array([1, 0, 1])
    maps = np.random.default_rng(1).normal(size=(3, 6, 6))
    curve = chapter10.change_pixels(model, x, ends, kinds, maps, steps=36)
    for count in (0, 1, 5, 36):
        changed = x.copy()
        for picture, order in zip(changed, (-maps).reshape(3, 36).argsort(axis=1), strict=True):
            picture.reshape(36)[order[:count]] = -1
        shares = tf.nn.softmax(model(changed)).numpy()[range(3), kinds]
        np.testing.assert_allclose(curve[count], shares.mean(), rtol=1e-5)


def test_insertion_is_deletion_of_the_opposite_map_backwards():
    model, x = linear_model(), pictures(3)
    black, kinds = np.full_like(x, x.min()), np.array([0, 1, 2])
    maps = np.random.default_rng(1).normal(size=(3, 6, 6))
    there = chapter10.change_pixels(model, x, black, kinds, maps, steps=12)
    back = chapter10.change_pixels(model, black, x, kinds, -maps, steps=12)
    np.testing.assert_allclose(there, back[::-1], rtol=1e-5)
    assert chapter10.area(there) == pytest.approx(chapter10.area(back))


def test_the_area_is_that_of_trapezes():
    assert chapter10.area(np.array([1.0, 0.0, 0.0])) == 0.25
    assert chapter10.area(np.ones(7)) == 1


def test_ranks_are_shared_by_equal_numbers():
    np.testing.assert_array_equal(chapter10.ranks([3.0, 1, 3, 7]), [2.5, 1, 2.5, 4])


def test_rank_correlation_sees_the_order_only():
    first = np.random.default_rng(0).normal(size=(2, 4, 5))
    found = chapter10.rank_correlation(first, np.exp(first))
    np.testing.assert_allclose(found, 1)
    np.testing.assert_allclose(chapter10.rank_correlation(first, -first), -1)
    d = chapter10.ranks(first[0]) - chapter10.ranks(first[1])
    expected = 1 - 6 * (d**2).sum() / (20 * (20**2 - 1))
    np.testing.assert_allclose(chapter10.rank_correlation(first[:1], first[1:]), expected)
    assert np.isnan(chapter10.rank_correlation(first, np.zeros_like(first))).all()


def test_likeness_is_one_for_the_same_map_in_any_unit():
    maps = np.random.default_rng(0).normal(size=(2, 28, 28))
    np.testing.assert_allclose(chapter10.likeness(maps, -3 * maps), 1, atol=1e-5)
    other = np.random.default_rng(1).normal(size=(2, 28, 28))
    assert (chapter10.likeness(maps, other) < 0.3).all()


def test_random_layers_are_those_that_were_asked_for():
    model = chapter10.make_model((28, 28, 1), 10)
    copy = chapter10.randomised(model, ["scores", "conv_2"], seed=5)
    for layer in model.layers:
        same = [
            np.array_equal(a, b)
            for a, b in zip(layer.get_weights(), copy.get_layer(layer.name).get_weights())
        ]
        assert same == ([False, True] if layer.name in ("scores", "conv_2") else [True] * len(same))


def test_a_map_that_does_not_ask_the_network_stays_the_same_in_the_cascade():
    model, x, kinds = chapter10.make_model((28, 28, 1), 10), pictures(2, 28), [1, 2]
    found = chapter10.cascade(model, chapter10.edge_detector, x, kinds)
    assert found.shape == (5, 3)
    np.testing.assert_allclose(found, 1, atol=1e-5)
    gradients = chapter10.cascade(model, chapter10.saliency, x, kinds)
    np.testing.assert_allclose(gradients[0], 1, atol=1e-5)
    assert (gradients[-1] < 0.9).all()


def test_a_cascade_looks_inside_the_garment_by_itself():
    x = np.zeros((1, 28, 28, 1), "float32")
    x[:, :14] = pictures(1, 28)[:, :14] + 9
    model, halves = chapter10.make_model((28, 28, 1), 10), []

    def method(model, x, kinds):
        halves.append(np.random.default_rng(len(halves)).normal(size=(1, 28, 28)))
        return np.where(x[..., 0] > 0, halves[-1], 0)  # level outside, new at each call inside

    everywhere, inside, _ = chapter10.cascade(model, method, x, [6])[-1]
    assert everywhere > 0.5
    assert abs(inside) < 0.2


# --- words --------------------------------------------------------------------------------


def sentences():
    """Four sentences of words 1 … 9, padded with zeros to six."""
    x = np.random.default_rng(0).integers(1, 10, (4, 6)).astype("int32")
    return np.where(np.arange(6) < np.array([6, 3, 5, 1])[:, np.newaxis], x, 0)


def test_a_word_is_put_where_it_is_said_to_be_and_the_others_move():
    x = sentences()
    longer, places = chapter10.put_words(x, [0, 1, 3], 77)
    assert (longer[[0, 1, 3], places] == 77).all()
    assert (longer == 77).sum() == 3
    assert (longer[2] == x[2]).all()
    np.testing.assert_array_equal(longer[1][longer[1] != 77][:3], x[1][:3])
    assert (x < 77).all()


def linear_reader():
    inside = [layers.Embedding(10, 4, mask_zero=True, name="embedding")]
    inside += [layers.GlobalAveragePooling1D(), layers.Dense(1, bias_initializer="ones")]
    return keras.Sequential([keras.Input((None,), dtype="int32"), *inside])


def test_gradient_times_input_of_a_linear_reader_adds_up_to_its_score():
    model, x = linear_reader(), sentences()
    found = chapter10.gradient_times_input(model, x)
    np.testing.assert_allclose(found.sum(axis=1), model(x)[:, 0] - 1, atol=1e-6)
    assert (found[x == 0] == 0).all()


def test_a_word_is_left_out_as_if_it_were_padding():
    model, x = linear_reader(), sentences()
    found = chapter10.leave_one_out(model, x)
    without = x[1:2, [0, 2]]
    np.testing.assert_allclose(found[1, 1], model(x)[1, 0] - model(without)[0, 0], atol=1e-6)
    assert (found[x == 0] == 0).all()


def test_the_highest_word_counts_and_padding_never_does():
    x = np.array([[3, 4, 0], [5, 0, 0]])
    contributions = np.array([[-2.0, -1, 5], [-3, 0, 0]])
    assert chapter10.points_at(contributions, x, [1, 0]) == 1
    assert chapter10.points_at(contributions, x, [0, 0]) == 0.5


def test_rollout_follows_mixtures_through_the_layers():
    random = np.random.default_rng(0)
    weights = [tf.nn.softmax(random.normal(size=(2, 3, 5, 5))).numpy() for _ in range(3)]
    x = random.normal(size=(2, 5, 4))
    mixed = x
    for layer in weights:
        mixed = (mixed + layer.mean(axis=1) @ mixed) / 2
    np.testing.assert_allclose(chapter10.rollout(weights) @ x, mixed)


def test_attention_of_the_reader_is_that_which_it_uses_and_none_is_on_padding():
    keras.utils.set_random_seed(0)
    model, x = chapter10.AttentiveReader(10, width=8, heads=2), sentences()
    logits = model(x)
    weights = chapter10.attention_weights(model, x)
    assert [layer.shape for layer in weights] == [(4, 2, 6, 6)] * 2
    for layer in weights:
        np.testing.assert_allclose(layer.sum(axis=-1), 1, rtol=1e-5)
        assert (layer.transpose(0, 3, 1, 2)[x == 0] == 0).all()
    shares = chapter10.rollout_of_words(model, x)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(model(x[1:2, :3]), logits[1:2], atol=1e-5)  # padding is not read


def test_high_attention_and_no_influence():
    score, weights = chapter10.two_heads()
    changes = [chapter10.two_heads(np.arange(5) != place)[0] - score for place in range(5)]
    assert weights.argmax() == 0
    assert abs(changes[0]) < 1e-12
    assert np.abs(changes).argmax() == 4


# --- main ---------------------------------------------------------------------------------


def test_main_trains_scores_every_method_and_draws(small_data, monkeypatch):
    for slow in ("SmoothGrad", "integrated gradients", "occlusion"):
        monkeypatch.delitem(chapter10.METHODS, slow)
    options = {"epochs": 1, "batch_size": 30, "jit": "off", "progress": "none"}
    result = chapter10.main(**options)
    assert set(result.scores["marked"]) == {"loss", "accuracy"}
    for name in chapter10.METHODS:
        scores = dict(result.scores[name])
        assert -1 <= scores.pop("random_weights") <= 1
        assert set(scores) == {"pointing_accuracy", "deletion_auc", "insertion_auc"}
        assert all(0 <= value <= 1 for value in scores.values())
    assert result.scores["edge detector"]["random_weights"] == pytest.approx(1)
    assert {"history", "maps"} == set(result.figures)


def test_pictures_have_a_box_around_each_mark():
    axes = chapter10.plot_maps(pictures(2, 28), pictures(2, 28)[..., 0], [(0, 0), (3, 4)])
    assert [len(ax.patches) for ax in axes] == [1, 1, 1, 1]


def test_where_the_mark_is_needed_saliency_points_at_it_and_shuffled_labels_need_none():
    found = load_results()["measurements"]["chapter10"]["labels"]
    rows = [
        list(zip(*(found[kind][name]["values"] for name in found[kind]), strict=True))
        for kind in ("right", "shuffled")
    ]
    for with_mark, without, points in rows[0]:
        assert points > 0.85 or with_mark - without < 0.3
    for with_mark, without, points in rows[1]:
        assert abs(with_mark - without) < 0.1
        assert points < 0.7


def test_half_random_networks_are_not_noticed_by_guided_backpropagation():
    found = load_results()["measurements"]["chapter10"]["random layers"]
    means = {name: {k: v["mean"] for k, v in columns.items()} for name, columns in found.items()}
    assert means["edge detector"]["inside"] == pytest.approx(1)
    assert means["guided backpropagation"]["SSIM"] > 2 * means["saliency"]["SSIM"]
    assert means["saliency"]["inside"] < 0.5


@pytest.mark.slow
def test_the_scores_lie_in_their_bands_and_the_methods_beat_the_controls():
    scores = chapter10.main(progress="none").scores
    bands = load_results()["chapter10"]["fashion"]["scores"]
    for part in ("marked", "removed", "saliency", "integrated gradients"):
        metric = "accuracy" if part in ("marked", "removed") else "pointing_accuracy"
        low, high = bands[part][metric]["band"]
        assert low <= scores[part][metric] <= high, part
    controls = [scores[name]["pointing_accuracy"] for name in ("edge detector", "random map")]
    for name in list(chapter10.METHODS)[:-2]:
        assert scores[name]["pointing_accuracy"] > max(controls) + 0.3, name


@pytest.mark.slow
def test_the_network_cheats_and_guided_backpropagation_does_not_notice_random_layers():
    splits = chapter10.load_fashion()
    keras.utils.set_random_seed(0)
    model = chapter10.make_model((28, 28, 1), 10)
    chapter10.train(model, chapter10.plant(splits), progress="none")
    found = {}
    for name, (x, y) in chapter10.three_tests(splits).items():
        answers = model.predict(x, verbose=0).argmax(axis=1)
        found[name] = (answers[y == chapter10.SHIRT] == chapter10.SHIRT).mean()
    assert found["marked"] > 0.9
    assert found["removed"] < 0.3
    x, y = splits.test
    rows = np.flatnonzero(y == chapter10.SHIRT)[:40]
    x, kinds = chapter10.put_marks(x, rows, seed=1)[0][rows], np.full(40, chapter10.SHIRT)
    guided = chapter10.cascade(model, chapter10.guided_backpropagation, x, kinds)[2]
    plain = chapter10.cascade(model, chapter10.saliency, x, kinds)[2]
    assert (plain[1:] < 0.5).all()
    assert (guided[1:] > plain[1:] + 0.15).all()
