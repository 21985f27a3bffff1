"""Fine-tuning: the data, the layer and the writer with adapters, Keras' LoRA, `main`."""

from kerasbook import chapter7_lora as chapter
from kerasbook.chapter6 import make_writer
from kerasbook.data import load, load_shakespeare
from kerasbook.data.film import read_film_sentences
from kerasbook.data.shakespeare import decode_text

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers


# Sentences whose numbers are in results.json; other decimal numbers of the text.
def row(name, way, rate):
    """Returns a row of the page's table, with the places of its numbers in results.json."""
    columns = (
        f"{{measured/{way}, {rate}/{part}/mean:.3f}} ({{measured/{way}, {rate}/{part}/error:.3f}})"
        for part in ("films", "plays")
    )
    return f"| {name} | {rate} | {' | '.join(columns)} |"


SENTENCES = [row(f"adapters, {way}", way, rate) for way, rate in
             (("rank 1", "0.02"), ("rank 4", "0.02"), ("rank 16", "0.01"))]  # fmt: skip
SENTENCES += [row("all weights", "full", "0.0005")]
ELSEWHERE = {"2.49": "printed by chapter 6"}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def writer():
    """A small writer with random weights."""
    keras.utils.set_random_seed(0)
    model = make_writer(9, width=8, heads=2, blocks=2)
    random = np.random.default_rng(0)
    model.set_weights([random.normal(0, 0.4, weight.shape) for weight in model.weights])
    return model


def text(n=4, time=6):
    return np.random.default_rng(1).integers(0, 9, (n, time)).astype("int32")


def with_random_adapters(writer, rank=2, alpha=5.0):
    model, random = chapter.adapted(writer, rank, alpha), np.random.default_rng(2)
    chapter.put(model, [random.normal(size=weight.shape) for weight in chapter.adapters(model)])
    return model


# --- the data and the writer ----------------------------------------------------------------


def test_films_are_windows_of_the_first_sentences_in_the_characters_of_the_plays():
    characters, (train, validation, _) = load_shakespeare().classes, read_film_sentences()
    splits = chapter.film_splits(characters, 50)
    assert splits.classes == characters
    lines = "\n".join(train.texts[:50])
    assert len(splits.train.x) == (len(lines) - 1) // 64
    np.testing.assert_array_equal(splits.train.x[:, 1:], splits.train.y[:, :-1])
    first = decode_text(splits.train.x[0], splits.classes).partition("�")[0]
    assert first in lines
    others = "\n".join(validation.texts)
    assert len(splits.validation.x) == (len(others) - 1) // 64


def test_the_writer_is_chapter_6s_trained():
    model, part = chapter.load_writer(), load_shakespeare().take(40).validation
    assert model.count_params() == 416_589
    assert chapter.loss_of(model, part) < 2.0
    assert chapter.loss_of(make_writer(77), part) > 4.0


# --- the change of full fine-tuning ---------------------------------------------------------


def test_the_nearest_change_loses_the_small_singular_values_alone():
    change = np.random.default_rng(0).normal(size=(7, 5))
    sizes = np.linalg.svd(change, compute_uv=False)
    for rank in (1, 3, 5):
        a, b = chapter.nearest(change, rank)
        assert (a.shape, b.shape) == ((7, rank), (rank, 5))
        left = np.sum((change - a @ b) ** 2)
        assert left == pytest.approx(np.sum(sizes[rank:] ** 2), abs=1e-12)


def test_vectors_keep_their_whole_change():
    before = [np.zeros((4, 3)), np.zeros(3)]
    after = [np.random.default_rng(0).normal(size=(4, 3)), np.ones(3)]
    kernel, bias = chapter.with_changes_of_rank(before, after, 0)
    np.testing.assert_array_equal(kernel, before[0])
    np.testing.assert_array_equal(bias, after[1])


# --- one layer ------------------------------------------------------------------------------


@pytest.mark.parametrize(("rank", "alpha", "scale"), [(4, None, 1), (4, 8, 2), (2, 1, 0.5)])
def test_the_change_is_scaled_by_alpha_over_the_rank(rank, alpha, scale):
    layer, x = chapter.LowRankDense(layers.Dense(3), rank, alpha), np.eye(5, dtype="float32")
    without = layer(x).numpy()
    layer.b.assign(np.random.default_rng(0).normal(size=(rank, 3)))
    np.testing.assert_allclose(layer(x) - without, scale * layer.a @ layer.b, atol=1e-5)


def test_the_change_is_added_before_the_activation():
    layer = chapter.LowRankDense(layers.Dense(3, "relu"), 2)
    layer(np.ones((1, 4), "float32"))
    layer.b.assign(tf.random.normal((2, 3), seed=0) * 10)
    assert (
        (layer(np.random.default_rng(0).normal(size=(50, 4)).astype("float32")) >= 0).numpy().all()
    )


def test_gradients_by_the_chain_rule():
    random = np.random.default_rng(0)
    a, b, kernel = (tf.constant(random.normal(size=s)) for s in ((5, 2), (2, 3), (5, 3)))
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((a, b))
        whole = kernel + 1.5 * a @ b
        loss = tf.reduce_sum(tf.sin(whole))
    expected = tape.gradient(loss, (a, b))
    found = chapter.adapter_gradients(a, b, 1.5, tf.cos(whole))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


# --- the writer with adapters ---------------------------------------------------------------


def test_before_any_step_nothing_is_changed(writer):
    np.testing.assert_array_equal(chapter.adapted(writer, 3)(text()), writer(text()))


def test_only_the_adapters_are_trainable_and_of_the_stated_size(writer):
    model = chapter.adapted(writer, rank=3)
    trainable = {id(weight) for weight in model.trainable_variables}
    assert trainable == {id(weight) for weight in chapter.adapters(model)}
    assert chapter.size_of(chapter.frozen(model)) == writer.count_params()
    expected = sum(3 * sum(k.kernel.shape) for k in chapter.dense_layers(writer.get_layer("stack")))
    assert chapter.size_of(chapter.adapters(model)) == expected == 2 * 3 * (4 * 16 + 2 * 40)


def test_training_moves_the_adapters_and_nothing_else(writer):
    model = chapter.adapted(writer, rank=2)
    frozen, adapters = (
        [weight.numpy() for weight in each(model)] for each in (chapter.frozen, chapter.adapters)
    )
    x = np.random.default_rng(0).integers(0, 9, (16, 6)).astype("int32")
    chapter.train(model, (x, x), learning_rate=0.01, epochs=2, batch_size=8)
    for before, after in zip(frozen, chapter.frozen(model), strict=True):
        np.testing.assert_array_equal(before, after)
    moved = [np.abs(b - a).max() for b, a in zip(adapters, chapter.adapters(model), strict=True)]
    assert min(moved[1::2]) > 0  # every B
    assert max(moved[::2]) > 0


@pytest.mark.parametrize(("a", "b", "learns"), [(1, 0, True), (0, 0, False), (0, 1, True)])
def test_one_of_the_two_may_be_zero_at_the_start_but_not_both(writer, a, b, learns):
    chapter.start(model := chapter.adapted(writer, 2), a, b)
    with tf.GradientTape() as tape:
        loss = chapter.loss_fn(text(), model(text()))
    gradients = tape.gradient(loss, [weight.value for weight in chapter.adapters(model)])
    assert (max(np.abs(gradient).max() for gradient in gradients) > 0) == learns
    if not a * b:
        np.testing.assert_array_equal(model(text()), writer(text()))


def test_merged_it_computes_the_same_and_has_the_old_size(writer):
    model = with_random_adapters(writer)
    before = model(text()).numpy()
    plain = chapter.merged(model)
    np.testing.assert_allclose(plain(text()), before, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(model(text()), before)  # the adapted one is as it was
    assert plain.count_params() == writer.count_params()
    assert np.abs(plain(text()) - writer(text())).max() > 0.1


def test_adapters_are_exchanged_and_taken_away(writer):
    model = with_random_adapters(writer)
    first = [weight.numpy() for weight in chapter.adapters(model)]
    before = model(text()).numpy()
    chapter.put(model, [np.zeros_like(array) for array in first])
    np.testing.assert_array_equal(model(text()), writer(text()))
    chapter.put(model, first)
    np.testing.assert_array_equal(model(text()), before)


# --- Keras ----------------------------------------------------------------------------------


def small_writer():
    keras.utils.set_random_seed(0)
    return make_writer(9, width=8, heads=2, blocks=1)


def test_keras_lora_computes_what_ours_does():
    theirs = small_writer()
    ours = with_random_adapters(theirs, rank=2, alpha=3.0)
    chapter.with_keras(theirs, 2, 3.0)
    for weight, ours_too in zip(
        chapter.keras_adapters(theirs), chapter.adapters(ours), strict=True
    ):
        weight.assign(ours_too)
    logits, gradients = chapter.compare_lora(ours, theirs, text(), text())
    assert logits < 1e-4
    assert max(gradients) < 1e-4
    chapter.keras_adapters(theirs)[1].assign_add(0.1 + 0 * chapter.keras_adapters(theirs)[1])
    logits, gradients = chapter.compare_lora(ours, theirs, text(), text())
    assert logits > 1e-3  # the comparison can fail
    assert max(gradients) > 1e-3


def test_keras_freezes_the_kernels_alone():
    model = chapter.with_keras(small_writer(), 2)
    names = {weight.name for weight in model.trainable_weights}
    assert {"bias", "gamma", "beta", "embeddings", "lora_kernel_a", "lora_kernel_b"} <= names


def test_keras_leaves_a_loaded_model_unable_to_learn(tmp_path):
    """When this fails, Keras has mended it: the page's section says so and must change."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    model.layers[0].enable_lora(2)
    model.layers[0].lora_kernel_b.assign(np.ones((2, 3)))
    x, path = np.ones((4, 5), "float32"), tmp_path / "model.keras"
    model.save(path)
    loaded = keras.models.load_model(path)
    np.testing.assert_allclose(loaded(x), model(x), rtol=1e-6)
    layer = loaded.layers[0]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded(x) ** 2)
    for gradient in tape.gradient(loss, (layer.lora_kernel_a, layer.lora_kernel_b)):
        assert np.abs(gradient).max() == 0


# --- main -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["adapters", "full", "scratch"])
def test_main(way, capsys, tmp_path):
    options = {"sentences": 20, "epochs": 1, "batch_size": 8, "examples": 24, "progress": "none"}
    result = chapter.main(way=way, rank=2, **options)
    assert set(result.scores) == {"validation", "test", "plays"}
    worst = max(scores["loss"] for scores in result.scores.values())
    assert (worst < 3.5) == (way != "scratch")
    trained = "9,216 of 425,805" if way == "adapters" else "416,589 of 416,589"
    assert f"trained: {trained} weights" in capsys.readouterr().out
    assert result.model.count_params() == 416_589  # merged: no adapter is left
    result.model.save(tmp_path / "model.keras")
    again, x = keras.models.load_model(tmp_path / "model.keras"), result.splits.train.x[:2]
    np.testing.assert_allclose(again(x), result.model(x), atol=1e-5)


def test_a_text_of_ones_own_gets_the_numbers_of_the_plays(tmp_path):
    path = tmp_path / "letters.txt"
    path.write_text("Dear Sir, I thank you for 1,000 letters (all). " * 200)
    own, characters = load(f"text:{path}"), load_shakespeare().classes
    splits = chapter.in_these(characters, own)
    assert splits.classes == characters
    expected = decode_text(own.test.y[0], own.classes).replace("(", "�").replace(")", "�")
    assert decode_text(splits.test.y[0], characters) == expected
    options = {"sentences": 20, "epochs": 1, "batch_size": 8, "examples": 8, "progress": "none"}
    result = chapter.main(dataset=f"text:{path}", **options)
    assert result.splits.title == "letters.txt"


# --- what the page says ---------------------------------------------------------------------


@pytest.mark.slow
def test_loss_at_the_defaults():
    scores = chapter.main(progress="none").scores
    assert scores["test"]["loss"] < 1.94
