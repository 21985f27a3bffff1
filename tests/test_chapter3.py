"""Chapter 3: every hand-made layer against Keras', the article's flatten, augmentation, `main`."""

import itertools

from kerasbook import chapter3
from kerasbook.data import load_fashion
from kerasbook.pages import articles
from kerasbook.testing.compare import outputs_and_gradients

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from small_pictures import made_up

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
ELSEWHERE = {"0.863": "of chapter2_training, whose own test looks at it"}
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
]

EXACT = 1e-11  # for numbers of 64 bits: a few hundred roundings


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


# --- convolution --------------------------------------------------------------------------


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, 3])
@pytest.mark.parametrize("shape", [(8, 8, 3, 3), (7, 10, 2, 5), (9, 6, 5, 4), (6, 5, 1, 2)])
def test_convolution_equals_keras(shape, strides, padding):
    height, width, high, wide = shape
    random = np.random.default_rng(sum(shape))
    x = random.normal(size=(2, height, width, 3))
    kernel, bias = random.normal(size=(high, wide, 3, 4)), random.normal(size=4)
    differences = chapter3.compare_with_keras(x, kernel, bias, strides, padding)
    assert set(differences) == {
        "loops",
        "patches",
        "gradient of x",
        "gradient of kernel",
        "gradient of bias",
    }
    assert max(differences.values()) < EXACT, differences


def test_convolution_equals_keras_in_32_bits():
    random = np.random.default_rng(1)
    shapes = (2, 9, 9, 2), (3, 3, 2, 4), (4,)
    inputs = [random.normal(size=shape).astype("float32") for shape in shapes]
    assert max(chapter3.compare_with_keras(*inputs, 2, "same").values()) < 1e-4


def test_comparison_sees_a_wrong_padding(monkeypatch):
    """The odd zero at the top and left, as nobody but PyTorch's users would put it."""
    right = chapter3.padding_widths
    monkeypatch.setattr(chapter3, "padding_widths", lambda *a: right(*a)[::-1])
    x, kernel = np.random.default_rng(0).normal(size=(2, 6, 6, 1)), np.ones((3, 3, 1, 1))
    differences = chapter3.compare_with_keras(x, kernel, np.zeros(1), 2, "same")
    assert differences["loops"] > 0.1
    assert differences["patches"] > 0.1


def test_gradients_by_hand_equal_the_tape():
    random = np.random.default_rng(2)
    x, kernel = random.normal(size=(2, 7, 6, 3)), random.normal(size=(3, 2, 3, 4))
    z, *expected = outputs_and_gradients(chapter3.conv2d, x, kernel, random.normal(size=4))
    for ours, theirs in zip(chapter3.conv2d_gradients(x, kernel, z), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=EXACT)


def test_true_convolution_is_that_of_mathematics():
    """NumPy's `convolve` and `correlate`, in one dimension, are the judges."""
    random = np.random.default_rng(3)
    row, kernel = random.normal(size=9), random.normal(size=4)
    x, weights = row.reshape(1, 1, 9, 1), kernel.reshape(1, 4, 1, 1)
    by_hand = chapter3.convolve(x, weights, [0])[0, 0, :, 0]
    np.testing.assert_allclose(by_hand, np.convolve(row, kernel, "valid"), atol=EXACT)
    by_hand = chapter3.correlate(x, weights, [0])[0, 0, :, 0]
    np.testing.assert_allclose(by_hand, np.correlate(row, kernel, "valid"), atol=EXACT)


def test_convolution_and_correlation_differ_by_a_flip():
    random = np.random.default_rng(4)
    x, kernel = random.normal(size=(1, 6, 6, 2)), random.normal(size=(3, 3, 2, 2))
    convolved = chapter3.convolve(x, kernel, np.zeros(2), padding="same")
    flipped = chapter3.correlate(x, kernel[::-1, ::-1], np.zeros(2), padding="same")
    np.testing.assert_array_equal(convolved, flipped)
    assert np.abs(convolved - chapter3.correlate(x, kernel, np.zeros(2), padding="same")).max() > 1


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_output_size(padding):
    for size, kernel_size, stride in itertools.product((5, 6, 28, 32), (1, 2, 3, 5), (1, 2, 3)):
        layer = layers.Conv2D(1, kernel_size, stride, padding)
        expected = layer.compute_output_shape((1, size, size, 1))[1]
        assert chapter3.output_size(size, kernel_size, stride, padding) == expected


def test_convolution_is_a_dense_layer_with_tied_weights():
    random = np.random.default_rng(5)
    x, kernel = random.normal(size=(2, 5, 4, 2)), random.normal(size=(3, 2, 2, 3))
    matrix = chapter3.dense_matrix(kernel, 5, 4).numpy()
    z = chapter3.conv2d(x, kernel, 0.0)
    np.testing.assert_allclose(x.reshape(2, -1) @ matrix, tf.reshape(z, (2, -1)), atol=EXACT)
    assert np.count_nonzero(matrix) == 3 * 2 * 2 * z.shape[1] * z.shape[2] * 3
    assert len(np.unique(matrix)) == kernel.size + 1  # and zero


def test_convolution_moves_with_the_picture():
    x = np.zeros((1, 16, 16, 1))
    x[0, 4:9, 4:9, 0] = np.random.default_rng(6).normal(size=(5, 5))
    z = chapter3.conv2d(x, chapter3.EDGES.astype(float), 0.0)
    moved = chapter3.conv2d(np.roll(x, 3, axis=2), chapter3.EDGES.astype(float), 0.0)
    np.testing.assert_allclose(moved, np.roll(z, 3, axis=2), atol=EXACT)
    assert np.abs(moved - z).max() > 1


# --- pooling ------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3])
@pytest.mark.parametrize("ties", [True, False])
def test_pooling_equals_keras(size, ties):
    random = np.random.default_rng(7)
    shape = (2, 7, 9, 3)
    x = random.integers(1, 4, shape).astype(float) if ties else random.normal(size=shape)
    differences = chapter3.compare_pooling(x, size)
    assert len(differences) == 4
    assert max(differences.values()) < EXACT, differences


def test_gradient_of_max_pooling_goes_to_the_winner():
    x = np.array([[1.0, 3], [2, 4]]).reshape(1, 2, 2, 1)
    outputs, slopes = outputs_and_gradients(chapter3.max_pool, x)
    assert outputs.numpy().item() == 4
    np.testing.assert_array_equal(slopes[0, :, :, 0], [[0, 0], [0, 4]])
    outputs, slopes = outputs_and_gradients(chapter3.average_pool, x)
    assert outputs.numpy().item() == 2.5
    np.testing.assert_array_equal(slopes[0, :, :, 0], np.full((2, 2), 2.5 / 4))


# --- the articles -------------------------------------------------------------------------


def test_networks_of_the_articles():
    colour, grey = articles.make_colour_cnn(), articles.make_grey_cnn()
    assert colour.output_shape == grey.output_shape == (None, 10)
    assert [layer.output.shape[1:] for layer in colour.layers[:5]] == [
        (32, 32, 32),
        (16, 16, 32),
        (16, 16, 64),
        (8, 8, 64),
        (4096,),
    ]
    for model in (colour, grey, chapter3.make_model((28, 28, 1), 10)):
        counted = sum(chapter3.count_parameters(layer) for layer in model.layers)
        assert counted == model.count_params()
    assert (colour.count_params(), grey.count_params()) == (545_098, 93_322)


def test_parameter_counts():
    layer = layers.Conv2D(5, 3)
    layer.build((None, 8, 8, 4))
    assert chapter3.conv_parameters(3, 4, 5) == layer.count_params()
    layer = layers.Dense(5)
    layer.build((None, 8))
    assert chapter3.dense_parameters(8, 5) == layer.count_params()


def test_wrong_flatten_regroups_the_batch():
    maps = np.ones((9, 8, 8, 64), "float32") * np.arange(9).reshape(9, 1, 1, 1)
    rows = chapter3.flatten_wrongly(maps).numpy()
    assert rows.shape == (16, 2304)  # nine pictures became sixteen rows
    assert set(rows[1]) == {0, 1}  # and the second mixes two pictures
    right = layers.Flatten()(maps).numpy()
    assert right.shape == (9, 4096)
    assert [set(row) for row in right] == [{number} for number in range(9)]


@pytest.mark.parametrize(("count", "side"), [(9, 7), (64, 8), (8, 8), (32, 8)])
def test_wrong_flatten_raises_for_other_sizes(count, side):
    with pytest.raises(tf.errors.InvalidArgumentError, match="multiple of 2304"):
        chapter3.flatten_wrongly(tf.zeros((count, side, side, 64)))


# --- augmentation -------------------------------------------------------------------------


def test_nearly_all_shoes_point_to_the_left():
    """So more of a shoe's pixels lie in the right half of its picture, the heel's."""
    splits = load_fashion()
    for kind, share in (("Sandal", 0.9), ("Sneaker", 0.98), ("Ankle boot", 0.98)):
        x = splits.train.x[splits.train.y == splits.classes.index(kind)]
        seen = (x > x.min()).sum(axis=(1, 3))  # (n, columns)
        assert np.mean(seen[:, 14:].sum(axis=1) > seen[:, :14].sum(axis=1)) > share


def test_flip_mirrors_the_chosen_pictures():
    x = np.random.default_rng(0).normal(size=(2, 4, 5, 3))
    flipped = chapter3.flip_some(x, np.array([True, False]))
    np.testing.assert_array_equal(flipped[0], x[0, :, ::-1])
    np.testing.assert_array_equal(flipped[1], x[1])


def test_shift_moves_each_picture_its_own_way():
    x = np.zeros((3, 6, 6, 1))
    x[:, 2, 3] = 1
    moved = chapter3.shift_each(x, np.array([0, 1, -2]), np.array([0, -2, 1])).numpy()
    bright = [tuple(map(int, np.argwhere(picture[..., 0])[0])) for picture in moved]
    assert bright == [(2, 3), (3, 1), (0, 4)]
    drawn_out = chapter3.shift_each(
        np.arange(4.0).reshape(1, 1, 4, 1), np.zeros(1, int), np.ones(1, int)
    )
    np.testing.assert_array_equal(drawn_out[0, 0, :, 0], [0, 0, 1, 2])


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)])
def test_augmentation_acts_in_training_only_and_by_its_seed(shape):
    x = np.random.default_rng(0).normal(size=(32, *shape)).astype("float32")
    first, second = (chapter3.RandomFlipAndShift(shift=2, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first(x), x)
    np.testing.assert_array_equal(first(x, training=False), x)
    changed = first(x, training=True)
    assert changed.shape == x.shape
    assert changed.dtype == x.dtype
    assert np.abs(changed - x).max() > 1
    np.testing.assert_array_equal(changed, second(x, training=True))
    assert np.abs(changed - first(x, training=True)).max() > 1  # new ones every time


def test_flips_and_shifts_are_drawn_anew_for_every_batch():
    x = np.tile(np.arange(4.0, dtype="float32").reshape(1, 1, 4, 1), (1000, 1, 1, 1))
    layer = chapter3.RandomFlipAndShift(shift=0, seed=0)
    first, second = (layer(x, training=True)[:, 0, 0, 0] == 3 for _ in range(2))
    assert 0.4 < np.mean(first) < 0.6
    assert 0.4 < np.mean(first != second) < 0.6  # others every time
    layer = chapter3.RandomFlipAndShift(flip=False, shift=1, seed=0)
    first, second = (layer(x, training=True)[:, 0, :, 0] for _ in range(2))
    assert 0.5 < np.mean(np.any(first != second, axis=1)) < 0.8  # two in three of three places
    still = chapter3.RandomFlipAndShift(flip=False, shift=0)(x, training=True)
    np.testing.assert_array_equal(still, x)


@pytest.mark.parametrize("jit", [False, True])
def test_augmentation_runs_compiled(jit):
    def make():
        layer = chapter3.RandomFlipAndShift(shift=2, seed=3)
        function = tf.function(lambda x: layer(x, training=True), jit_compile=jit, autograph=False)
        return layer, function

    x = tf.random.stateless_normal((8, 6, 6, 1), (0, 0))
    (layer, first), (_, second) = make(), make()
    changed = first(x)
    np.testing.assert_array_equal(changed, second(x))
    assert np.abs(changed - first(x)).max() > 0  # the seed moves on inside the function too
    if not jit:  # XLA draws its random numbers in another way
        layer.random.state.assign(chapter3.RandomFlipAndShift(seed=3).random.state)
        np.testing.assert_array_equal(changed, layer(x, training=True))


def test_model_survives_saving(tmp_path):
    model = chapter3.make_model((28, 28, 1), 10, flip=False, shift=2)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).normal(size=(2, 28, 28, 1)).astype("float32")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert (loaded.layers[0].flip, loaded.layers[0].shift) == (False, 2)


def test_defaults_of_the_network():
    model = chapter3.make_model((28, 28, 1), 10)
    assert model.count_params() == 224_714
    assert (model.layers[0].flip, model.layers[0].shift) == (True, 0)
    assert [x.rate for x in model.layers if isinstance(x, layers.Dropout)] == [0.3, 0.3]


# --- main ---------------------------------------------------------------------------------


def test_schedule_ends_at_zero():
    schedule = chapter3.make_schedule(0.1, examples=130, batch_size=64, epochs=4)
    assert schedule.decay_steps == 12
    rates = [float(schedule(step)) for step in (0, 6, 12)]
    np.testing.assert_allclose(rates, [0.1, 0.05, 0], atol=1e-8)


def test_the_rate_is_drawn_at_every_step():
    schedule = chapter3.make_schedule(0.1, examples=130, batch_size=64, epochs=4)
    (line,) = chapter3.plot_schedule(schedule, steps=13).get_lines()
    assert list(line.get_xdata()) == list(range(13))
    np.testing.assert_allclose(line.get_ydata()[[0, 6, 12]], [0.1, 0.05, 0], atol=1e-8)


def test_loop_equals_model_fit(monkeypatch):
    monkeypatch.setattr(chapter3, "load_fashion", made_up)
    differences = chapter3.compare_loops(examples=40, epochs=1)
    assert max(differences.values()) < 1e-6, differences


@pytest.mark.parametrize(
    ("dataset", "shape", "flip"), [("mnist", (28, 28, 1), False), ("cifar10", (32, 32, 3), True)]
)
def test_main(monkeypatch, dataset, shape, flip):
    monkeypatch.setattr(chapter3, "load", lambda name: made_up(shape, examples=150, name=name))
    result = chapter3.main(epochs=6, batch_size=16, dataset=dataset, examples=128, progress="none")
    assert len(result.splits.train.x) == 128
    assert result.model.input_shape == (None, *shape)
    assert result.model.layers[0].flip is flip  # a digit in a mirror is not a digit
    assert set(result.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(result.scores) == {"validation", "test"}
    for scores in result.scores.values():
        assert set(scores) == {"loss", "accuracy"}
        assert 0.8 < scores["accuracy"] <= 1
    logits = tf.constant(result.model(result.splits.test.x))
    loss = tf.nn.sparse_softmax_cross_entropy_with_logits(result.splits.test.y, logits)
    assert result.scores["test"]["loss"] == pytest.approx(float(tf.reduce_mean(loss)), rel=1e-4)
    assert set(result.figures) == {"history", "feature_maps", "kernels", "confusion", "mistakes"}


def test_main_starts_from_its_seed(monkeypatch):
    class Started(Exception):
        pass

    def first_output(seed):
        with pytest.raises(Started) as started:
            chapter3.main(seed=seed)
        model, data = started.value.args
        return model(data.x[:4], training=True).numpy()  # flips and dropout too

    def fit(model, data, **options):
        raise Started(model, data)

    monkeypatch.setattr(chapter3, "load", lambda name: made_up())
    monkeypatch.setattr(chapter3, "fit", fit)
    first, second, other = map(first_output, (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.parametrize("wrong", [0, 3])
def test_mistakes_come_first(wrong):
    splits = made_up()
    predicted = splits.test.y.copy()
    predicted[10 : 10 + wrong] += 1
    predicted %= 10
    axes = chapter3.plot_mistakes(splits, predicted, count=5)
    assert [", not " in ax.get_title().replace("\n", " ") for ax in axes] == [True] * wrong + [
        False
    ] * (5 - wrong)


@pytest.mark.slow
def test_accuracy_at_the_defaults():
    assert chapter3.main(progress="none").scores["test"]["accuracy"] >= 0.885


def small_looking_model(filters=3):
    """A convolution, the mean over the places, a dense layer; random weights."""
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((6, 5, 1)),
            layers.Conv2D(filters, 3, name="conv_3"),  # (n, 4, 3, filters)
            layers.GlobalAveragePooling2D(),
            layers.Dense(4),
        ]
    )


def test_where_it_looks_is_the_maps_weighted_by_the_dense_layer():
    model, x = (
        small_looking_model(),
        np.random.default_rng(0).normal(size=(2, 6, 5, 1)).astype("float32"),
    )
    maps, answers = model.layers[0](x).numpy(), model(x).numpy().argmax(axis=1)
    weights = model.layers[-1].kernel.numpy()[:, answers].T / 12  # a mean over 4 × 3 places
    expected = np.maximum(np.einsum("nijc,nc->nij", maps, weights), 0)
    np.testing.assert_allclose(chapter3.where_it_looks(model, x), expected, atol=1e-6)


def test_where_it_looks_is_drawn_over_every_picture():
    x = np.random.default_rng(0).normal(size=(3, 6, 5, 1)).astype("float32")
    axes = chapter3.plot_where_it_looks(small_looking_model(), x, ["a", "b", "c"])
    assert [ax.get_title() for ax in axes] == ["a", "b", "c"]
    for ax in axes:  # the picture, and over all of it what speaks for the answer
        assert len(ax.images) == 2
        assert list(ax.images[1].get_extent()) == [-0.5, 4.5, 5.5, -0.5]


def test_a_unit_sees_three_eight_and_eighteen_pixels():
    model = chapter3.make_model((28, 28, 1), 10)
    fields = {"conv_1": (13, 13), "conv_2": (6, 6), "conv_3": (3, 3)}
    seen = [chapter3.field_of_view(model, *each) for each in fields.items()]
    assert [rows[1] - rows[0] + 1 for rows in seen] == [3, 8, 18]
    assert [rows[3] - rows[2] + 1 for rows in seen] == [3, 8, 18]
    assert seen[0] == (12, 14, 12, 14)  # the window lies around its own pixel
    corner = chapter3.field_of_view(model, "conv_1", (0, 0))
    assert corner == (0, 1, 0, 1)  # the rest of it lies in the frame


def test_a_unit_in_the_middle_sees_about_two_thirds_of_a_garment():
    model = chapter3.make_model((28, 28, 1), 10)
    top, bottom, left, right = chapter3.field_of_view(model, "conv_3", (3, 3))
    x = load_fashion().train.x
    light = x - x.min() > 0.1 * (x.max() - x.min())
    share = light[:, top : bottom + 1, left : right + 1].sum() / light.sum()
    assert 0.6 < share < 0.72


def test_the_patches_are_those_that_excite_a_filter_most():
    keras.utils.set_random_seed(0)
    model = chapter3.make_model((28, 28, 1), 10)
    x = np.random.default_rng(0).normal(size=(12, 28, 28, 1)).astype("float32")
    filters = [5, 2]
    patches = chapter3.most_exciting(model, "conv_2", filters, x, count=4)
    assert patches.shape == (2, 4, 8, 8)
    looking = keras.Model(model.inputs[0], model.get_layer("conv_2").output)
    highest = looking(x).numpy()[..., filters].max(axis=(1, 2))  # (pictures, filters)
    for f in range(2):
        for patch, number in zip(patches[f], np.argsort(-highest[:, f])):
            windows = np.pad(x[number, :, :, 0], 8, mode="edge")
            windows = np.lib.stride_tricks.sliding_window_view(windows, (8, 8))
            assert (windows == patch.astype("float32")).all(axis=(2, 3)).any()
    inside = [p for p in patches[0] if np.isin(p.astype("float32"), x).all()]
    around = np.zeros((len(inside), 28, 28, 1), "float32")  # the patch alone excites it as much
    around[:, 9:17, 9:17, 0] = inside  # place (6, 6) of conv_2 sees rows and columns 9 to 16
    alone = looking(around).numpy()[:, 6, 6, filters[0]]
    np.testing.assert_allclose(alone.max(), highest[:, 0].max(), rtol=1e-4)


# --- pixels in disorder -------------------------------------------------------------------


def test_pixels_are_shuffled_in_all_pictures_alike():
    splits = made_up()
    splits.test.x[:] = splits.train.x
    disorder = chapter3.shuffle_pixels(splits)
    np.testing.assert_array_equal(disorder.test.x, disorder.train.x)
    assert np.abs(disorder.train.x - splits.train.x).max() > 1
    in_order = [np.sort(part.x.reshape(len(part.x), -1)) for part in (splits.train, disorder.train)]
    np.testing.assert_array_equal(*in_order)
    np.testing.assert_array_equal(disorder.train.y, splits.train.y)


@pytest.mark.parametrize("kind", ["dense", "convolutional"])
def test_both_small_networks_learn(kind):
    assert chapter3.train_small(kind, made_up(examples=320), epochs=4) > 0.8


@pytest.mark.parametrize(("padding", "expected"), [("VALID", [1, 3, 9]), ("SAME", [4, 6, 9])])
def test_windows_in_which_a_pixel_lies(padding, expected):
    """What the text counts: in the corner, on the edge, in the middle."""
    x = tf.ones((1, 5, 5, 1))
    with tf.GradientTape() as tape:
        tape.watch(x)
        total = tf.reduce_sum(tf.nn.conv2d(x, tf.ones((3, 3, 1, 1)), 1, padding))
    counts = tape.gradient(total, x)[0, :, :, 0].numpy()
    assert [counts[0, 0], counts[0, 2], counts[2, 2]] == expected
