"""Deeper networks: the block by hand, the patterns and their costs, transfer, `main`."""

import re
from pathlib import Path

from kerasbook import chapter3_residual as chapter
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

# Decimal numbers of the text, and what they are.
ELSEWHERE = {
    "0.4": "learning rate of the runs `fast` in tools/make_measurements.py",
    "0.1": "default of `train`",
    **{"8.75": "He and others 2015, table 6", "6.43": "the same"},
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def made_up(examples=60, shape=(28, 28, 1), name="fashion"):
    """Small splits in which a bright row tells the class."""
    random = np.random.default_rng(0)

    def part():
        y = (np.arange(examples) % 10).astype("int32")
        x = random.normal(0, 0.1, (examples, *shape)).astype("float32")
        x[np.arange(examples), 2 + 2 * y] += 3
        return Part(x, y)

    classes = tuple(f"kind {number}" for number in range(10))
    return Splits(part(), part(), part(), name, "Made up", "kind", "embedded", classes)


# --- the block ----------------------------------------------------------------------------


def test_block_by_hand_equals_keras():
    differences = chapter.compare_with_keras(np.random.default_rng(0).normal(size=(4, 6, 5, 3)))
    assert len(differences) == 8
    assert max(differences.values()) < 1e-11, differences


def test_comparison_leaves_keras_precision_as_it_was():
    chapter.compare_with_keras(np.ones((2, 3, 3, 1)))
    assert keras.config.dtype_policy().name == "float32"


def test_comparison_sees_a_missing_shortcut(monkeypatch):
    right = chapter.block_backward

    def without(delta, outputs, weights):
        for_x, for_weights = right(delta, outputs, weights)
        return for_x - delta * (outputs[-1] > 0), for_weights

    monkeypatch.setattr(chapter, "block_backward", without)
    differences = chapter.compare_with_keras(np.random.default_rng(0).normal(size=(4, 6, 5, 3)))
    assert differences["x"] > 0.1
    assert differences["kernel 1"] < 1e-11


def test_a_block_of_zeros_hands_on_its_input():
    x = np.abs(np.random.default_rng(0).normal(size=(2, 4, 4, 3)))
    zeros = [np.zeros((3, 3, 3, 3)), np.zeros(3), np.zeros(3)] * 2
    np.testing.assert_array_equal(chapter.block_forward(x, zeros)[-1], x)


def test_shortcut_has_no_weights_and_fits_every_shape():
    x = np.random.default_rng(0).normal(size=(2, 7, 7, 3)).astype("float32")
    assert chapter.shortcut(tf.constant(x), 3, 1).numpy() is not None
    np.testing.assert_array_equal(chapter.shortcut(tf.constant(x), 3, 1), x)
    wide = chapter.shortcut(tf.constant(x), 5, 2).numpy()
    assert wide.shape == (2, 4, 4, 5)
    assert not wide[..., 3:].any()
    np.testing.assert_allclose(wide[:, 0, 0, :3], x[:, :2, :2].mean(axis=(1, 2)), atol=1e-6)


# --- whole networks -----------------------------------------------------------------------


@pytest.mark.parametrize(("blocks", "weights"), [(1, 75_002), (3, 269_434)])
def test_plain_and_residual_differ_in_nothing_but_the_sums(blocks, weights):
    plain, residual = (chapter.make_model((28, 28, 1), 10, n, blocks) for n in chapter.BLOCKS)
    assert plain.count_params() == residual.count_params()
    assert chapter.count_weights(plain) == chapter.count_weights(residual) == weights
    assert chapter.multiplications(plain) == chapter.multiplications(residual)
    for model in (plain, residual):
        own = [x for x in model.layers if isinstance(x, (layers.Conv2D, layers.Dense))]
        assert len(own) == 6 * blocks + 2
    assert sum(isinstance(layer, layers.Add) for layer in residual.layers) == 3 * blocks
    assert not any(isinstance(layer, layers.Add) for layer in plain.layers)


def test_defaults_of_the_networks():
    model = chapter.make_model((28, 28, 1), 10)
    assert model.name == "residual_20"
    assert chapter.count_weights(model) == 269_434
    assert (model.layers[1].flip, model.layers[1].shift) == (True, 0)
    assert chapter.count_weights(chapter.make_vgg((28, 28, 1), 10)) == 146_938


def test_sizes_of_the_stages():
    model = chapter.make_model((28, 28, 1), 10)
    maps = [layer.output.shape[1:] for layer in model.layers if isinstance(layer, layers.Conv2D)]
    stages = [(14, 14, 16)] * 7 + [(7, 7, 32)] * 6 + [(4, 4, 64)] * 6
    assert maps == stages


def test_model_survives_saving(tmp_path):
    model = chapter.make_model((28, 28, 1), 10, blocks=1)
    model.save(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))


def test_agreement_is_one_without_a_step_and_small_after_a_huge_one():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    x, y = np.random.default_rng(0).normal(size=(30, 4)).astype("float32"), np.arange(30) % 3
    before = [w.copy() for w in model.get_weights()]
    assert chapter.agreement(model, x, y, step=0.0) == pytest.approx(1, abs=1e-6)
    assert 0.99 < chapter.agreement(model, x, y, step=0.01) < 1.0001
    moved = np.concatenate(
        [np.ravel(a - b) for a, b in zip(model.get_weights(), before, strict=True)]
    )
    assert np.linalg.norm(moved) == pytest.approx(0.01, rel=1e-4)  # its length, not a share
    assert chapter.agreement(model, x, y, step=1000.0) < 0.5


def test_the_plain_network_disagrees_with_itself_and_the_residual_one_does_not():
    x, y = made_up(64).train
    cosines = {
        (network, blocks): chapter.agreements(network, blocks, x, y, seeds=2).mean()
        for network, blocks in (("plain", 1), ("plain", 3), ("residual", 3))
    }
    assert cosines["plain", 1] > 0.9
    assert cosines["plain", 3] < 0.5 < cosines["residual", 3]


def test_a_block_begins_by_adding_about_as_much_as_it_got():
    """What the text says of γ = 1: the root mean squares of what a plus sign adds up."""
    keras.utils.set_random_seed(0)
    model = chapter.make_model((28, 28, 1), 10, flip=False)
    sums = [layer for layer in model.layers if isinstance(layer, layers.Add)]
    looking = keras.Model(model.inputs[0], [part for layer in sums for part in layer.input])
    sizes = [
        float(np.sqrt(np.mean(part**2))) for part in looking(made_up(64).train.x, training=True)
    ]
    np.testing.assert_allclose(sizes[::2], 1, atol=0.02)  # F(x)
    assert all(0.4 < size < 2.5 for size in sizes[1::2])  # x


# --- patterns -----------------------------------------------------------------------------


def test_multiplications_are_counted_at_every_place():
    model = keras.Sequential(
        [keras.Input((6, 5, 2)), layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(7)]
    )
    assert chapter.multiplications(model) == 4 * 3 * 3 * 3 * 2 * 3 + 4 * 3 * 3 * 7


def test_vgg_16_weighs_what_its_paper_says():
    """138 million in the paper; the exact count is that of `keras.applications.VGG16`."""
    weights, work, share = chapter.weigh(chapter.VGG_16, chapter.VGG_16_DENSE, normalised=False)
    assert weights == 138_357_544
    assert work == pytest.approx(15.47e9, rel=1e-3)
    assert share == pytest.approx(123_642_856 / 138_357_544)


def test_resnet_34_weighs_what_torchvision_counts():
    weights, work, share = chapter.weigh(
        chapter.RESNET_34, chapter.RESNET_34_DENSE, normalised=True
    )
    assert weights == 21_797_672
    assert work == pytest.approx(3.66e9, rel=1e-2)
    assert share == pytest.approx(513_000 / 21_797_672)


def test_the_originals_have_as_many_layers_as_their_names_say():
    """Shortcuts of 1 × 1 are not counted."""
    for convolutions, dense, count in (
        (chapter.VGG_16, chapter.VGG_16_DENSE, 16),
        (chapter.RESNET_34, chapter.RESNET_34_DENSE, 34),
    ):
        assert sum(row[-1] for row in convolutions if row[0] > 1) + len(dense) == count


def test_small_vgg():
    model = chapter.make_vgg((28, 28, 1), 10)
    assert model.output_shape == (None, 10)
    assert sum(isinstance(layer, layers.Conv2D) for layer in model.layers) == 6


# --- training -----------------------------------------------------------------------------


def test_schedule_rises_and_falls():
    schedule = chapter.make_schedule(0.1, examples=640, batch_size=64, epochs=10, warm_up=20)
    rates = [float(schedule(step)) for step in (0, 10, 20, 60, 100)]
    np.testing.assert_allclose(rates, [0, 0.05, 0.1, 0.05, 0], atol=1e-7)
    short = chapter.make_schedule(0.1, examples=64, batch_size=64, epochs=4, warm_up=100)
    np.testing.assert_allclose([float(short(s)) for s in (0, 2, 4)], [0, 0.1, 0], atol=1e-7)
    none = chapter.make_schedule(0.1, examples=640, batch_size=64, epochs=1, warm_up=0)
    np.testing.assert_allclose([float(none(s)) for s in (0, 5, 10)], [0.1, 0.05, 0], atol=1e-7)


def test_loop_equals_model_fit():
    weights = []
    for loop in ("tape", "fit"):
        keras.utils.set_random_seed(0)
        model = chapter.make_model((28, 28, 1), 10, blocks=1)
        options = {"epochs": 1, "batch_size": 20, "jit": "off", "progress": "none"}
        chapter.train(model, made_up(), loop=loop, **options)
        weights.append(model.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize(("dataset", "shape"), [("mnist", (28, 28, 1)), ("cifar10", (32, 32, 3))])
def test_main(monkeypatch, dataset, shape):
    monkeypatch.setattr(chapter, "load", lambda name: made_up(120, shape, name))
    result = chapter.main(blocks=1, epochs=8, batch_size=16, dataset=dataset, progress="none")
    assert result.model.input_shape == (None, *shape)
    assert result.model.name == "residual_8"
    assert [layer.flip for layer in result.model.layers if hasattr(layer, "flip")] == [
        dataset != "mnist"
    ]
    assert set(result.scores) == {"validation", "test"}
    assert result.scores["test"]["accuracy"] > 0.5
    assert set(result.figures) == {"history", "confusion", "mistakes"}


def test_main_starts_from_its_seed(monkeypatch):
    monkeypatch.setattr(chapter, "load", lambda name: made_up())
    options = {"blocks": 1, "epochs": 1, "progress": "none", "jit": "off"}
    first, second, other = (chapter.main(seed=seed, **options).model for seed in (1, 1, 2))
    x = made_up().test.x[:4]
    np.testing.assert_array_equal(first(x), second(x))
    assert np.abs(first(x) - other(x)).max() > 0.01


# --- transfer -----------------------------------------------------------------------------


def test_hidden_classes_are_hidden_and_numbered_anew():
    part = made_up(100).train
    new, old = chapter.only(part, chapter.NEW), chapter.only(part, chapter.OLD)
    assert (len(new.y), len(old.y)) == (20, 80)
    np.testing.assert_array_equal(np.unique(new.y), [0, 1])
    np.testing.assert_array_equal(np.unique(old.y), np.arange(8))
    np.testing.assert_array_equal(new.x[new.y == 1], part.x[part.y == 4])
    np.testing.assert_array_equal(old.x[old.y == 2], part.x[part.y == 3])
    assert sorted(chapter.NEW + chapter.OLD) == list(range(10))


def test_few_examples_are_balanced_and_drawn_by_the_seed():
    part = chapter.only(made_up(200).train, chapter.NEW)
    drawn = [chapter.few(part, 10, seed) for seed in (1, 1, 2)]
    assert all(np.bincount(each.y).tolist() == [5, 5] for each in drawn)
    np.testing.assert_array_equal(drawn[0].x, drawn[1].x)
    assert np.abs(drawn[0].x - drawn[2].x).max() > 0


def test_a_frozen_network_learns_in_its_last_layer_only():
    model = chapter.make_model((28, 28, 1), 8, blocks=1)
    weights = model.get_weights()
    part = chapter.few(chapter.only(made_up(100).train, chapter.NEW), 10, 0)
    for way, moves in (("frozen", False), ("fine-tuned", True)):
        start = chapter.start_of(way, weights, seed=0)
        before = [w.copy() for w in start.get_weights()]
        assert len(start.trainable_variables) == (2 if way == "frozen" else 23)
        chapter.fine_tune(start, part, 0.05, steps=3)
        moved = [np.abs(a - b).max() > 0 for a, b in zip(start.get_weights(), before, strict=True)]
        assert all(moved[-2:])  # the new layer
        assert any(moved[:-2]) is moves


def test_from_scratch_begins_without_the_weights():
    weights = chapter.make_model((28, 28, 1), 8, blocks=1).get_weights()
    start = chapter.start_of("from scratch", weights, seed=0)
    assert start.output_shape == (None, 2)
    assert np.abs(start.get_weights()[0] - weights[0]).max() > 0


@pytest.mark.slow
def test_twenty_examples_of_a_bright_row_are_enough():
    splits = made_up(200)
    weights = chapter.learn_eight(splits, epochs=4)
    assert chapter.accuracy_with(20, "fine-tuned", weights, splits) > 0.9


@pytest.mark.slow
def test_accuracy_at_the_defaults():
    assert chapter.main(progress="none").scores["test"]["accuracy"] >= 0.875


def test_everything_that_the_page_prints_was_measured():
    measured = load_results()["measurements"]["chapter3_residual"]
    networks = {f"{kind} {depth}" for kind in ("plain", "residual") for depth in (8, 20)}
    others = {"no augmentation", "mirrored and moved", "fast, none", "fast, warm-up", "transfer"}
    assert measured.keys() == networks | others
    assert set(measured["transfer"]) == set(chapter.WAYS)


def test_the_residual_network_beats_the_plain_one_of_equal_cost():
    """Five seeds of the same training: validation accuracy, and the loss that it learned."""
    measured = load_results()["measurements"]["chapter3_residual"]
    residual, plain, short = (measured[key] for key in ("residual 20", "plain 20", "plain 8"))
    assert residual["validation"]["mean"] > plain["validation"]["mean"]
    assert residual["training loss"]["mean"] < short["training loss"]["mean"]
    assert short["training loss"]["mean"] < plain["training loss"]["mean"]
    others = (measured[key]["training loss"]["mean"] for key in ("residual 8", "plain 8"))
    assert residual["training loss"]["mean"] < min(others)


def test_the_page_prints_that_the_block_equals_keras_in_64_bits():
    """The committed output, which nobody checks otherwise, is that of this code."""
    notebook = Path(__file__).resolve().parent.parent / "chapters" / "chapter3_residual.ipynb"
    text = notebook.read_text(encoding="utf-8")
    printed = re.findall(r"gradients of a block: largest difference to Keras (\d+e-\d+)", text)
    assert len(printed) == 1
    assert float(printed[0]) < 1e-10


def test_what_the_text_says_of_depth_and_of_augmentation():
    """Within the error: two means differ by less than twice the error of their difference."""
    measured = load_results()["measurements"]["chapter3_residual"]

    def difference(first, second, score="validation"):
        """Returns by how much the first mean is higher, and the error of that."""
        pair = [measured[key][score] for key in (first, second)]
        return pair[0]["mean"] - pair[1]["mean"], np.hypot(*(each["error"] for each in pair))

    for key in ("residual 8", "no augmentation"):
        gain, error = difference("residual 20", key)
        assert abs(gain) < 2 * error
    gain, error = difference("residual 20", "no augmentation", "training loss")
    assert gain > 5 * error
    gain, error = difference("residual 20", "mirrored and moved")
    assert gain > 3 * error
    assert difference("residual 20", "mirrored and moved", "training loss")[0] < 0


def test_what_the_text_says_of_transfer():
    """Seed by seed, because the seeds share their examples."""
    measured = load_results()["measurements"]["chapter3_residual"]["transfer"]

    def ahead(way, count):
        """Returns the mean by which a way is ahead of learning from scratch, and its error."""
        pair = (measured[each][f"{count} examples"]["values"] for each in (way, "from scratch"))
        gains = np.subtract(*pair)
        return gains.mean(), gains.std(ddof=1) / len(gains) ** 0.5, gains

    mean, error, _ = ahead("fine-tuned", 50)
    assert mean > 3 * error
    assert ahead("frozen", 50)[0] > 0  # may be ahead
    mean, error, _ = ahead("frozen", 200)
    assert mean < -2.5 * error
    assert (ahead("fine-tuned", 200)[2] >= 0).all()
