"""Chapter 8: whole numbers against Keras and LiteRT, masks, filters, students; `main`."""

import importlib
from functools import partial
from pathlib import Path

from kerasbook import chapter3, chapter8
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits
from kerasbook.testing import rounding
from kerasbook.testing.compare import largest_difference

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES: list[str] = []
ELSEWHERE = {
    **{"0.5": "a half, rounded", "1.5": "another"},
    **{"0.8": "a share to be tried", "0.9": "another"},
    "0.002": "about the size of a multiplier",
}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def made_up(examples=60):
    """Small splits in which a bright row tells the class."""
    random = np.random.default_rng(0)

    def part():
        y = random.integers(0, 10, examples).astype("int32")
        x = random.normal(0, 0.1, (examples, 28, 28, 1)).astype("float32")
        x[np.arange(examples), 2 + 2 * y] += 3
        return Part(x, y)

    classes = tuple(f"kind {number}" for number in range(10))
    return Splits(part(), part(), part(), "fashion", "Made up", "kind", "embedded", classes)


@pytest.fixture
def small_data(monkeypatch):
    splits = made_up()
    monkeypatch.setattr(chapter8, "load", lambda dataset: splits)
    return splits


@pytest.fixture
def network():
    keras.utils.set_random_seed(1)
    return chapter8.make_network(filters=(4, 5, 6), units=7)


# --- whole numbers ------------------------------------------------------------------------


def test_the_network_is_that_of_chapter_3():
    ours, theirs = chapter8.make_network(), chapter3.make_model((28, 28, 1), 10)
    theirs.set_weights(ours.get_weights())
    x = made_up(5).test.x
    assert largest_difference([ours(x)], [theirs(x)]) == 0


def test_so_many_bits_are_so_many_values():
    kernel = np.random.default_rng(0).uniform(-1, 1, (4000, 3))
    assert len(np.unique(chapter8.with_bits(kernel, 2))) == 3
    assert len(np.unique(chapter8.with_bits(kernel, 4))) == 15
    rounded = chapter8.per_channel(kernel, 4).numpy()
    assert {len(np.unique(column)) for column in rounded.T} == {15}
    largest = np.abs(kernel).max(axis=0)
    np.testing.assert_allclose(np.abs(rounded).max(axis=0), largest)
    assert (np.abs(rounded - kernel) <= largest / 14 + 1e-12).all()  # half a step


def test_a_unit_without_weights_stays_without():
    kernel = np.float32([[0.0, 1.0], [0.0, -0.5]])
    np.testing.assert_allclose(chapter8.per_channel(kernel, 2), [[0, 1], [0, 0]])
    np.testing.assert_array_equal(chapter8.with_bits(np.zeros((2, 2), "float32"), 4), 0)


def test_halves_go_to_the_even_neighbour():
    whole, scale = chapter8.quantise(np.float32([0.5, 1.5, 2.5, -0.5, -1.5, 127]))
    assert scale == pytest.approx(1)
    np.testing.assert_array_equal(whole, [0, 2, 2, 0, -2, 127])


def test_a_row_of_zeros_has_a_scale():
    whole, scale = chapter8.quantise(np.zeros((2, 3), "float32"), axis=1)
    assert np.isfinite(scale).all()
    assert not whole.any()


def test_dense_layers_are_those_of_keras_to_the_last_bit():
    random = np.random.default_rng(0)
    inputs = [random.normal(size=s).astype("float32") for s in ((7, 300), (300, 5), (5,))]
    np.testing.assert_array_equal(chapter8.dense_int8(*inputs), chapter8.keras_int8(*inputs))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 5.1, (50, -128)), (-1, 4.1, (50, -78)), (1, 5.1, (50, -128)), (-5.1, -1, (50, 127))],
)
def test_zero_has_a_whole_number(low, high, expected):
    _, scale, zero = chapter8.quantise_between(np.array([0.0]), low, high)
    assert (pytest.approx(scale), zero) == expected


def test_keras_leaves_convolutions_in_float_and_ours_does_not(network):
    by_keras, ours = chapter8.quantised_by_keras(network), chapter8.in_int8(network)
    convolutions = [each.name for each in network.layers if isinstance(each, keras.layers.Conv2D)]
    assert chapter8.left_in_float(by_keras) == convolutions
    assert chapter8.left_in_float(ours) == []
    assert len(chapter8.left_in_float(network)) == 5
    x = made_up(9).test.x
    exact = network(x).numpy()
    assert 0 < np.abs(ours(x).numpy() - exact).max() < 0.05 * np.abs(exact).max()


def test_recurrent_layers_that_stay_in_float_are_named():
    parts = [keras.Input((5, 3)), keras.layers.GRU(4, name="reader", return_sequences=True)]
    parts += [keras.layers.LSTM(4, name="second"), keras.layers.Dense(2, name="last")]
    model = keras.Sequential(parts)
    assert chapter8.left_in_float(model) == ["reader", "second", "last"]
    for mode in ("int8", "int4"):
        found = chapter8.left_in_float(chapter8.quantised_by_keras(model, mode))
        assert found == ["reader", "second"]


def test_the_int8_network_is_saved_and_loaded(network, tmp_path):
    ours, x = chapter8.in_int8(network), made_up(4).test.x
    ours.save(tmp_path / "small.keras")
    loaded = keras.models.load_model(tmp_path / "small.keras")
    assert largest_difference([ours(x)], [loaded(x)]) == 0
    assert chapter8.left_in_float(loaded) == []


def test_8_bits_are_a_quarter_of_the_bytes_and_adam_is_not_counted():
    model = chapter8.make_network()
    before = chapter8.bytes_of(model)
    model.compile("adam")
    model.optimizer.build(model.trainable_variables)
    assert chapter8.bytes_of(model) == pytest.approx(before, rel=0.02)
    kernels = 4 * model.count_params()
    assert kernels < before < 1.1 * kernels
    assert chapter8.bytes_of(chapter8.in_int8(model)) < 0.32 * before


# --- which rounding -----------------------------------------------------------------------


def test_the_three_roundings_are_three():
    sums, multiplier = np.int64([8, -10, 10]), np.array([0.3, 0.25, 0.25])
    assert chapter8.one_rounding(sums, multiplier).tolist() == [2, -2, 3]
    assert chapter8.two_roundings(sums, multiplier).tolist() == [3, -3, 3]
    assert chapter8.in_floating_point(sums, multiplier).tolist() == [2, -2, 2]


def test_a_multiplier_is_31_bits_and_a_shift():
    for multiplier in (0.3, 0.25, 0.00217, 0.999999):
        m, e = chapter8.as_integer(multiplier)
        assert 2**30 <= m <= 2**31
        assert m * 2.0 ** (e - 31) == pytest.approx(multiplier, rel=1e-9)


def test_the_reference_kernels_still_round_as_the_page_says():
    """The converter and the interpreter of this TensorFlow; the others depend on the processor."""
    rules = {"dense": chapter8.one_rounding, "convolution": chapter8.two_roundings}
    wrong = {"dense": chapter8.two_roundings, "convolution": chapter8.one_rounding}
    for name, (layer, shape) in rounding.make_layers().items():
        run = rounding.computed(rounding.converted(layer, shape), "reference", rows=100)
        assert rounding.missed(run, rules[name]) == 0
        assert rounding.missed(run, wrong[name]) > 0


def test_the_page_prints_what_was_measured_with_litert():
    for kind, rules in load_results()["measurements"]["chapter8"]["rounding"].items():
        assert (min(rules.values()) == 0) == ("optimised" not in kind)


@pytest.mark.convert
def test_onnxruntime_still_rounds_as_the_page_says():
    pytest.importorskip("onnxruntime", reason="python -m pip install -e '.[convert]'")
    for _, run in rounding.onnx_runs({"dense": 300, "convolution": 40}):
        assert rounding.missed(run, chapter8.in_floating_point) == 0
        assert rounding.missed(run, chapter8.two_roundings) > 0


# --- training with the rounding -----------------------------------------------------------


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_the_step_is_that_through_keras_fake_quantisation(bits):
    assert max(chapter8.compare_straight_through(bits).values()) < 1e-6


def test_trained_with_the_rounding_it_is_rounded_at_the_end(network, small_data):
    before = network.get_weights()
    chapter8.train_rounded(network, small_data.train, 2, epochs=1, batch_size=20)
    after = network.get_weights()
    for kernel in after[::2]:
        assert all(len(np.unique(column)) <= 3 for column in kernel.reshape(-1, kernel.shape[-1]).T)
    assert largest_difference(before[1::2], after[1::2]) > 0  # the biases have moved


# --- what is simulated is what is exported --------------------------------------------------


def simulated(network):
    """A network with both roundings, as after training, and pictures."""
    x = made_up(200).train.x
    model = chapter8.with_ranges(network, x)
    rounding = partial(chapter8.per_channel, bits=8)
    model.set_weights(chapter8.changed(model.get_weights(), rounding))
    chapter8.round_biases(model)
    return model, x


def test_the_ends_of_a_range_are_the_smallest_and_the_largest_number(network):
    model, x = simulated(network)
    ranges = [each for each in model.layers if isinstance(each, chapter8.Rounded)]
    assert len(ranges) == 6  # the pictures, and what five kernels give
    assert (ranges[0].low, ranges[0].high) == pytest.approx((x.min(), x.max()))
    assert [each.low for each in ranges[1:5]] == [0, 0, 0, 0]  # behind a ReLU
    exact = network(x).numpy()
    assert (ranges[5].low, ranges[5].high) == pytest.approx((exact.min(), exact.max()))
    assert 0 < np.abs(model(x) - exact).max() < 0.1 * np.abs(exact).max()
    assert len(np.unique(ranges[0](x))) <= 256


def test_litert_computes_what_was_simulated(network):
    """XNNPACK rounds as the simulation does; the reference kernels round twice, see above."""
    model, x = simulated(network)
    content = chapter8.for_litert(model)
    ours, theirs = model(x).numpy(), chapter8.run_litert(content, x)
    step = (model.layers[-1].high - model.layers[-1].low) / 255
    far = np.round(np.abs(ours - theirs) / step)
    assert far.max() <= 1
    assert (far > 0).mean() < 0.005
    assert (ours.argmax(axis=1) == theirs.argmax(axis=1)).all()
    exact = chapter8.run_litert(chapter8.for_litert(network), x)  # without ranges: in 32 bits
    assert (np.round(np.abs(ours - exact) / step) > 0).mean() > 0.1
    assert "of 200 predictions" in chapter8.compare_export(model, x)


def test_a_rounded_network_is_saved_and_loaded(network, tmp_path):
    model, x = simulated(network)
    model.save(tmp_path / "rounded.keras")
    loaded = keras.models.load_model(tmp_path / "rounded.keras")
    assert largest_difference([model(x)], [loaded(x)]) == 0


# --- two weights in a byte -----------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 7, 16])
def test_packed_bytes_are_those_of_keras_and_come_back(count):
    whole = np.random.default_rng(count).integers(-8, 8, count).astype("int8")
    packed = chapter8.pack(whole)
    theirs, *_ = keras.quantizers.pack_int4(whole)
    np.testing.assert_array_equal(packed, theirs.numpy().view("uint8"))
    np.testing.assert_array_equal(chapter8.unpack(packed, count), whole)


@pytest.mark.parametrize("shape", [(5, 3), (64, 2), (3, 3, 4, 6)])
def test_blocks_come_back_to_half_a_step(shape):
    kernel = np.random.default_rng(0).normal(size=shape).astype("float32")
    whole, scales = chapter8.in_blocks(kernel, size=16)
    back = chapter8.from_blocks(whole, scales, shape)
    assert back.shape == shape
    assert np.abs(back - kernel).max() <= 0.5 / scales.min() + 1e-6
    first = kernel.reshape(-1, shape[-1])[:16, 0]  # a block is of one unit
    assert scales[0, 0] == pytest.approx(7 / np.abs(first).max(), rel=1e-5) or shape[0] == 5


def test_a_file_of_four_bits_is_an_eighth_and_a_bit(network, tmp_path):
    file, weights = tmp_path / "weights.npz", chapter8.make_network().get_weights()
    chapter8.write_int4(file, weights)
    back = chapter8.read_int4(file)
    assert [each.shape for each in back] == [each.shape for each in weights]
    for ours, exact in zip(back, weights, strict=True):
        assert np.abs(ours - exact).max() <= np.abs(exact).max() / 13 + 1e-6
    size = sum(each.nbytes for each in weights)
    assert size / 8 < file.stat().st_size < size / 6.5


# --- pruning ------------------------------------------------------------------------------


def test_so_many_weights_go_and_no_bias():
    random = np.random.default_rng(0)
    weights = [random.normal(size=(10, 20)) * 5, np.zeros(20), random.normal(size=(20, 5))]
    layer, together = (
        choose(weights, 0.8) for choose in (chapter8.masks_per_layer, chapter8.masks_together)
    )
    assert [mask.sum() for mask in layer] == [40, 20, 20]
    assert together[0].sum() + together[2].sum() == 60
    assert together[0].sum() > 50  # its weights are larger
    assert together[1].all()
    cut = chapter8.masked(weights, together)
    assert [(each != 0).sum() for each in cut] == [together[0].sum(), 0, together[2].sum()]


def test_what_was_pruned_stays_zero_with_momentum_from_before(network):
    x, y = (tf.constant(part[:30]) for part in made_up().train)
    optimizer = keras.optimizers.SGD(0.05, momentum=0.9)
    optimizer.build(network.trainable_variables)
    before = chapter8.make_train_step(network, chapter8.loss_fn, optimizer)
    before(x, y)
    masks = chapter8.masks_together(network.get_weights(), 0.9)
    step = chapter8.make_masked_step(network, chapter8.loss_fn, optimizer, masks)
    for each in (step, step, before):
        each(x, y)
        zero = [(weight[~mask] == 0).all() for weight, mask in zip(network.get_weights(), masks)]
        assert all(zero) == (each is step)  # without the mask they come back


def test_pruning_trains_the_others(network, small_data):
    before = network.get_weights()
    chapter8.prune(network, small_data.train, 0.8, epochs=1, batch_size=20)
    zeros = [(weight == 0).mean() for weight in network.get_weights()[::2]]
    total = sum(share * weight.size for share, weight in zip(zeros, before[::2]))
    assert total == pytest.approx(0.8 * sum(weight.size for weight in before[::2]), abs=2)
    alive = network.get_weights()[6] != 0
    assert (network.get_weights()[6][alive] != before[6][alive]).mean() > 0.5


def test_zeros_save_bytes_only_when_packed(network):
    large = chapter8.make_network()
    small = chapter8.copy_of(large)
    masks = chapter8.masks_together(large.get_weights(), 0.9)
    small.set_weights(chapter8.masked(large.get_weights(), masks))
    assert chapter8.bytes_of(small) == pytest.approx(chapter8.bytes_of(large), rel=0.01)
    assert chapter8.bytes_of(small, True) < 0.3 * chapter8.bytes_of(large, True)


def test_a_network_without_filters_computes_what_is_left():
    keras.utils.set_random_seed(0)
    large = chapter8.make_network(filters=(4, 5, 6))
    weights = large.get_weights()
    for place, dead in ((0, 1), (2, 3), (4, 0)):  # one dead filter in each layer
        weights[place][..., dead] = weights[place + 1][dead] = 0
    large.set_weights(weights)
    small = chapter8.make_network(filters=(3, 4, 5))
    small.set_weights(chapter8.narrowed(weights, (3, 4, 5)))
    x = made_up(6).test.x
    np.testing.assert_allclose(small(x), large(x), atol=1e-5)


def test_normalisation_is_folded_up_to_rounding():
    assert chapter8.compare_folded(dtype="float64") < 1e-14
    assert 0 < chapter8.compare_folded() < 1e-5


@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_the_converter_folds_by_itself():
    parts = [keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()]
    run = chapter8.tf.lite.Interpreter(model_content=chapter8.for_litert(keras.Sequential(parts)))
    (only,) = run._get_ops_details()
    assert only["op_name"] == "CONV_2D"


# --- a teacher ----------------------------------------------------------------------------


def logits_of(seed):
    return tf.random.stateless_normal((64, 10), (0, seed)) * 3


def test_distillation_is_keras_when_the_loss_is_named_as_an_object():
    ours = chapter8.distillation_loss(logits_of(1), logits_of(2), 3.0)
    by_object = {"loss": keras.losses.KLDivergence()}
    theirs, gradient = chapter8.keras_distillation(logits_of(1), logits_of(2), 3.0, **by_object)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)
    assert (gradient.numpy() != 0).all()
    assert float(chapter8.distillation_loss(logits_of(1), logits_of(1), 3.0)) == pytest.approx(0)


def test_keras_default_is_not_the_divergence_that_it_is_called():
    """When this fails, Keras has mended it: then the page's words about it must change."""
    value, gradient = chapter8.keras_distillation(logits_of(1), logits_of(2), 3.0)
    ours = float(chapter8.distillation_loss(logits_of(1), logits_of(2), 3.0))
    told = f"Keras {keras.__version__}: change 'Can a small network learn' and the exercise"
    assert abs(float(value) - ours) > 1, told
    assert (gradient.numpy()[logits_of(2).numpy() <= 0] == 0).all(), told


def test_the_gradient_keeps_its_size_with_the_square_and_not_without():
    with_square = [chapter8.gradient_size(float(t)) for t in (4, 8, 16)]
    without = [chapter8.gradient_size(float(t), square=False) for t in (4, 8, 16)]
    assert max(with_square) < 1.05 * min(with_square)
    assert max(without) > 15 * min(without)


def test_a_student_learns_from_the_teacher_alone(small_data):
    keras.utils.set_random_seed(0)
    teacher = chapter8.make_network(filters=(4, 4, 4), units=8)
    chapter8.train(teacher, small_data.train, 12, 0.01, batch_size=20)
    wrong = Part(small_data.train.x, np.zeros_like(small_data.train.y))  # labels of no use
    student = chapter8.make_network(filters=(4, 4, 4), units=8)
    answers = chapter8.predict(teacher, wrong.x).argmax(axis=1)
    whole = partial(chapter8.make_loss, share=1.0)
    y = np.column_stack([chapter8.predict(teacher, wrong.x), wrong.y]).astype("float32")
    options = {"loss_fn": whole(chapter8.distillation_loss), "batch_size": 20}
    chapter8.train(student, (wrong.x, y), 25, 0.01, **options)
    # Without the teacher it would say 0 to all: the teacher says it to a tenth.
    assert (chapter8.predict(student, wrong.x).argmax(axis=1) == answers).mean() > 0.25


# --- what is left -------------------------------------------------------------------------


def test_the_calibration_error_is_that_of_the_picture():
    logits = np.random.default_rng(0).normal(0, 3, (500, 4))
    y = np.random.default_rng(1).integers(0, 4, 500)
    ax = chapter8.plotting.plot_calibration(y, tf.nn.softmax(logits).numpy())
    assert ax.get_title() == (
        f"expected calibration error {chapter8.calibration_error(logits, y):.3f}"
    )


def test_the_front_is_what_no_other_beats():
    places = {"large": (0.9, 900), "small": (0.8, 90), "beaten": (0.7, 100), "best": (0.9, 500)}
    grid = {name: {"accuracy": a, "bytes": size} for name, (a, size) in places.items()}
    assert chapter8.front_of(grid) == ["small", "best"]
    ax = chapter8.plot_pareto(grid)
    assert [text.get_text() for text in ax.texts][-1] == "0.700 beaten"


def a_row(accuracy, **files):
    numbers = {"values": [accuracy] * 5, "mean": accuracy, "error": 0.001}
    names = ("test", "test calibration", "same answers")
    return dict.fromkeys(names, numbers) | {"files": files}


def test_the_grid_is_printed_with_its_exceptions(capsys):
    keras_file = {"bytes": 9000, "same": 1.0}
    grid = {"whole": a_row(0.9, keras=keras_file, onnx={"bytes": 2000, "same": 0.99})}
    grid["half"] = a_row(0.8, keras=keras_file, onnx={"why": "no such kernel"})
    chapter8.print_scores(grid)
    chapter8.print_bytes(grid)
    chapter8.print_exceptions(grid)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:4] == ["whole", "0.900", "±", "0.001"]
    assert [line.split() for line in lines[4:6]] == [
        ["whole", "9", "–", "–", "2", "–", "–"],
        ["half", "9", "–", "–", "–", "–", "–"],
    ]
    assert lines[6:] == ["2 of 3 files give the same answers", "whole, onnx: the same for 99.0%",
                         "half, onnx: no such kernel"]  # fmt: skip
    assert chapter8.smallest_files(grid)["whole"] == {"accuracy": 0.9, "bytes": 2000}


MEASURED = load_results()["measurements"]["chapter8"]


def test_the_page_says_what_the_files_show():
    grid = MEASURED["grid of the cnn"]
    files = {name: {kind: each.get("bytes", 0) for kind, each in row["files"].items()}
             for name, row in grid.items()}  # fmt: skip
    for name in ("32 bits", "90 % zero", "4 bits, trained"):
        assert files[name]["savedmodel"] == pytest.approx(2 * files[name]["onnx"], rel=0.05)
        assert files[name]["litert"] == pytest.approx(files["32 bits"]["litert"], rel=0.01)
    assert files["90 % zero"]["gzip"] < 0.2 * files["32 bits"]["gzip"]
    assert "why" in grid["8 bits"]["files"]["litert"]
    assert "why" in grid["8 bits by Keras"]["files"]["litert"]
    assert grid["8 bits"]["files"]["onnx"]["same"] == 1
    assert files["8 bits by LiteRT"]["litert"] < 0.27 * files["32 bits"]["litert"]
    int4 = files["4 bits by Keras"]
    assert int4["keras"] < 0.3 * files["32 bits"]["keras"]
    assert int4["onnx"] == pytest.approx(files["32 bits"]["onnx"], rel=0.01)
    assert int4["litert"] > 1.3 * files["32 bits"]["litert"]
    assert files["4 bits in blocks"]["npz"] < 0.15 * files["32 bits"]["keras"]
    trained = grid["8 bits, trained"]["files"]
    assert trained["litert"]["same"] == 1 > trained["onnx"]["same"]
    reader = {name: row["files"] for name, row in MEASURED["grid of the gru"].items()}
    ratio = reader["4 bits by Keras"]["litert"]["bytes"] / reader["32 bits"]["litert"]["bytes"]
    assert 0.25 < ratio < 0.4


def test_the_page_says_what_the_scores_show():
    grid = MEASURED["grid of the cnn"]
    mean = {name: row["test"]["mean"] for name, row in grid.items()}
    same = {name: row["same answers"]["mean"] for name, row in grid.items()}
    for how in ("", " by Keras", " by LiteRT", " by onnxruntime"):
        assert same["8 bits" + how] > 0.99
        assert abs(mean["8 bits" + how] - mean["32 bits"]) < 0.002
    for name in ("4 bits in blocks", "4 bits by Keras"):
        assert 0.97 < same[name] < 0.995
        assert abs(mean[name] - mean["32 bits"]) < 0.004
    assert mean["2 bits"] < 0.6 < 0.87 < mean["2 bits, trained"]
    assert mean["90 % zero"] > mean["32 bits"] - 0.01
    assert mean["90 % zero, not trained"] < mean["32 bits"] - 0.02
    gap = {name: row["test calibration"]["mean"] for name, row in grid.items()}
    assert gap["90 % zero, not trained"] > 0.15 > 3 * gap["90 % zero"]
    front = chapter8.front_of(chapter8.smallest_files(grid))
    assert "90 % zero, 8 bits" in front
    small = chapter8.smallest_files(grid)
    assert small["90 % zero, 8 bits"]["bytes"] == min(
        row["bytes"] for row in small.values() if row["accuracy"] > 0.88
    )


def test_the_page_says_what_the_clock_showed():
    found = MEASURED["inference"]
    cnn, gru = ({way: each["median"] for way, each in found["networks"][name]["batch 1"].items()}
                for name in ("cnn", "gru"))  # fmt: skip
    for times in (cnn, gru):
        slow = min(times["Keras predict"], times["model(x)"])
        graphs, runtimes = (
            (times["tf.function"], times["XLA"]),
            (times["onnxruntime"], times["LiteRT"]),
        )
        assert slow > 5 * max(graphs)
        assert max(graphs) > 3 * min(runtimes)
    assert max(gru.values()) == gru["model(x)"]
    assert cnn["LiteRT, 8 bits"] < cnn["LiteRT"]
    assert gru["LiteRT, 8 bits"] > gru["LiteRT"]
    assert cnn["onnxruntime, 8 bits"] > 1.5 * cnn["onnxruntime"]
    assert found["memory"]["litert"] < 0.12 * found["memory"]["keras"]
    assert found["memory"]["onnx"] < 0.15 * found["memory"]["keras"]
    for rows in ("1", "16"):
        cached, again = found["cache"]["with a cache"], found["cache"]["again at every step"]
        assert cached[rows]["median"] < again[rows]["median"]


def test_the_page_says_what_the_seeds_show():
    alone, taught = (MEASURED["grid of the cnn"][f"small, {n}"] for n in ("alone", "taught"))
    both = zip(alone["test"]["values"], taught["test"]["values"], strict=True)
    assert all(first > second for first, second in both)


@pytest.fixture
def grid_tool(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parent.parent / "tools"))
    return importlib.import_module("make_compression_grid")


def test_the_grid_of_two_seeds_has_means_and_the_files_of_the_first(grid_tool):
    first = {"8 bits": {"test": 0.9, "weights": 7, "files": {"keras": {"bytes": 5}}}}
    grid = grid_tool.joined([first, {"8 bits": {"test": 0.8, "weights": 7}}])
    assert grid["8 bits"]["test"]["values"] == [0.9, 0.8]
    assert grid["8 bits"]["test"]["mean"] == pytest.approx(0.85)
    assert list(grid) == ["8 bits"]
    assert (grid["8 bits"]["weights"], grid["8 bits"]["files"]) == (7, {"keras": {"bytes": 5}})


def test_a_network_is_measured_for_the_grid(grid_tool, network):
    splits = made_up(30)
    row = grid_tool.numbers_of(network, network, splits)
    assert row["same answers"] == 1
    assert row["test"] == pytest.approx(chapter8.accuracy(network, splits.test))
    one, both = np.array([[[2.0], [-1.0]]]), [[0, 2.0], [0, -1.0]]  # an output for two classes
    np.testing.assert_array_equal(grid_tool.two_classes(one), both)
    assert grid_tool.quantised(network) is None
    assert grid_tool.quantised(chapter8.quantised_by_keras(network)) is not None
    assert set(grid_tool.methods_of("gru")) < set(grid_tool.methods_of("cnn"))


OPTIONS = {"epochs": 1, "batch_size": 30, "jit": "off", "progress": "none"}


@pytest.mark.parametrize(
    "options",
    [{}, {"bits": 4}, {"method": "prune"}, {"method": "channels"}, {"method": "distil"}],
    ids=lambda options: "-".join(map(str, options.values())) or "8 bits",
)
def test_main_compresses_scores_and_draws(small_data, options, capsys):
    result = chapter8.main(**OPTIONS, **options)
    assert {"loss", "accuracy", "accuracy_before", "calibration_error"} == set(
        result.scores["test"]
    )
    assert {"history", "confusion", "calibration"} == set(result.figures)
    narrow = options.get("method") in ("channels", "distil")
    assert (result.model.count_params() < 60_000) == narrow
    told = "left in 32 bits: no layer" in capsys.readouterr().out
    assert told == (options == {})


@pytest.mark.slow
def test_the_score_lies_in_its_band():
    result = chapter8.main(progress="none")
    low, high = load_results()["chapter8"]["fashion"]["scores"]["test"]["accuracy"]["band"]
    assert low <= result.scores["test"]["accuracy"] <= high


@pytest.mark.slow
def test_compression_costs_little_where_the_page_says_so():
    splits = chapter8.load_fashion()
    keras.utils.set_random_seed(0)
    large = chapter8.make_network()
    chapter8.train(large, splits.train)
    before = chapter8.accuracy(large, splits.test)
    small = chapter8.in_int8(large)
    assert chapter8.accuracy(small, splits.test) > before - 0.01
    chapter8.prune(large, splits.train, 0.9)
    assert chapter8.accuracy(large, splits.test) > before - 0.015
