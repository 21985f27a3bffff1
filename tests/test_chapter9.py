"""Chapter 9: pieces, towers and the ring against one device; loss scaling against Keras; `main`."""

import json

from kerasbook import chapter9
from kerasbook.bench import scaling
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits
from kerasbook.testing.compare import largest_difference
from kerasbook.training import make_train_step

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
]

ROUNDING = 1e-6  # of weights, in 32 bits


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
    monkeypatch.setattr(chapter9, "load_fashion", lambda: splits)
    monkeypatch.setattr(chapter9, "load", lambda dataset: splits)
    return splits


@pytest.mark.parametrize(("gpus", "hidden"), [(0, 0), (1, 1), (2, 0)])
def test_a_single_gpu_is_left_alone(gpus, hidden, monkeypatch):
    calls = []
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["one"] * gpus)
    monkeypatch.setattr(tf.config, "set_visible_devices", lambda *call: calls.append(call))
    monkeypatch.setattr(chapter9, "logical_devices", lambda count: ["a", "b"])
    assert chapter9.two_devices() == ["a", "b"]
    assert calls == [([], "GPU")] * hidden


# --- what a step costs, XLA ---------------------------------------------------------------


def test_the_operations_of_a_step_are_six_per_use_of_a_weight():
    inside = [layers.Conv2D(3, 2), layers.Flatten(), layers.Dense(4)]
    model = keras.Sequential([keras.Input((5, 5, 2)), *inside])
    expected = 6 * 7 * (2 * 2 * 2 * 3 * 16 + 48 * 4)
    assert chapter9.operations_of_step(model, 7) == expected


def test_blocks_give_the_same_numbers():
    x = np.random.default_rng(0).normal(size=1001).astype("float32")
    np.testing.assert_array_equal(chapter9.in_blocks(chapter9.gelu, x, 100), chapter9.gelu(x))
    np.testing.assert_allclose(chapter9.gelu(x), keras.activations.gelu(x, True), atol=1e-6)


def test_xla_makes_one_pass_of_nine():
    x = tf.linspace(-1.0, 1.0, 10)
    smooth = lambda x: chapter9.gelu(x, tf.tanh)  # noqa: E731
    assert len(chapter9.kernels_of(tf.function(smooth, autograph=False), x)) == 9
    program = chapter9.compiled_by_xla(smooth, x)
    assert chapter9.passes_over_memory(program) == ["fusion"]
    assert "metadata" not in program


def test_the_recorded_times_have_what_the_pictures_draw():
    chapter9.plot_times(("dense", "recurrent", "convolutional"))
    chapter9.plot_second_core()
    chapter9.plot_amdahl()
    assert len(chapter9.plot_workers()) == 2


def test_a_part_is_measured_anew_and_the_rest_of_the_file_stays(tmp_path, monkeypatch, capsys):
    file = tmp_path / "scaling.json"
    file.write_text('{"threads": 1, "steps": 2}')
    monkeypatch.setattr(scaling, "PARTS", {"steps": lambda: {"dense": 3.0}})
    scaling.main(["steps", "--json", str(file)])
    found = json.loads(file.read_text())
    assert (found["threads"], found["steps"]) == (1, {"dense": 3.0})
    with pytest.raises(SystemExit):
        scaling.main(["nonsense"])
    assert "there are steps" in capsys.readouterr().err


# --- 16 bits ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "good", "finite", "expected"),
    [
        (8, 0, True, (8, 1)),
        (8, 2, True, (16, 0)),  # the third good step in a row
        (8, 2, False, (4, 0)),
        (8, 1, False, (4, 0)),
    ],
)
def test_the_scale_doubles_after_good_steps_and_halves_on_overflow(scale, good, finite, expected):
    found = chapter9.next_scale(tf.constant(float(scale)), tf.constant(good), finite, patience=3)
    assert tuple(map(float, found)) == expected


def test_loss_scaling_is_that_of_keras():
    (ours, theirs), weights = chapter9.compare_scaling(steps=9, initial=2.0**18, patience=2)
    np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(*weights)
    assert (weights[0][0] == weights[0][1]).all()  # left out
    assert (weights[0][0] != weights[0][-1]).any()
    assert ours[0] == 2.0**17  # the first step overflows
    assert (np.diff(ours) > 0).any()


def test_gradients_vanish_in_16_bits_and_scaling_brings_them_back():
    x, y = (tf.constant(part[:16]) for part in made_up().train)
    exact = chapter9.all_gradients(chapter9.make_deep_model(), x, y)
    half = chapter9.make_deep_model("mixed_float16")
    shares = []
    for scale in (1.0, 2.0**15):
        found = chapter9.all_gradients(half, x, y, scale) / scale
        shares.append((found[exact != 0] == 0).mean())
    assert shares[0] > 0.9
    assert shares[1] < 0.05


def test_the_ranges_are_those_of_the_types():
    ax = chapter9.plot_ranges()
    ends = {round(float(line.get_xdata()[1]), 1) for line in ax.lines}
    assert {4.8, 38.5} <= ends  # 65,504 and 3.4e38


# --- the batch in pieces ------------------------------------------------------------------


@pytest.mark.parametrize("pieces", [2, 3, 99])
def test_pieces_make_the_step_of_the_whole_batch(pieces):
    x, y = (tf.constant(part[:17]) for part in made_up().train)
    model = chapter9.chapter2_training.make_model((28, 28, 1), 10, hidden=(8,), l2=0.1)
    one = chapter9.accumulated_gradients(model, chapter9.loss_fn, x, y, 1)
    cut = chapter9.accumulated_gradients(model, chapter9.loss_fn, x, y, pieces)
    np.testing.assert_allclose(cut[0], one[0], rtol=1e-5)
    for ours, theirs in zip(cut[1], one[1], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING)
    np.testing.assert_allclose(cut[2], one[2], atol=1e-5)


def test_one_piece_is_the_usual_step(small_data):
    def usual(model, optimizer):
        return make_train_step(model, chapter9.loss_fn, optimizer)

    def cut(model, optimizer):
        return chapter9.make_accumulating_step(model, chapter9.loss_fn, optimizer, 3)

    first, second = (
        chapter9.weights_after(each, batch_size=25, examples=60, epochs=1) for each in (usual, cut)
    )
    assert largest_difference(first, second) < ROUNDING


def test_keras_accumulation_is_right_for_pieces_of_one_size_only(small_data):
    assert chapter9.keras_accumulation((8, 8)) < ROUNDING
    assert chapter9.keras_accumulation((8, 2)) > 1e-3


# --- towers -------------------------------------------------------------------------------


@pytest.mark.parametrize(("devices", "size"), [(1, 3), (2, 7), (3, 7), (4, 4), (5, 3)])
def test_the_ring_adds_up_and_gives_all_the_same(devices, size):
    rows = np.random.default_rng(0).normal(size=(devices, size))
    states, sent = chapter9.ring_all_reduce(rows)
    assert states.shape == (2 * devices - 1, devices, size)
    np.testing.assert_array_equal(states[0], rows)
    np.testing.assert_allclose(states[-1][0], rows.sum(axis=0), atol=1e-14)
    np.testing.assert_array_equal(states[-1], np.tile(states[-1][0], (devices, 1)))
    if size % devices == 0:
        np.testing.assert_array_equal(4 * sent, chapter9.bytes_sent(size, devices))


def test_two_towers_are_one_device_unless_a_mistake_is_made(small_data):
    devices, options = ["CPU:0", "CPU:0"], {"examples": 25, "batch_size": 16, "epochs": 1}
    differences = chapter9.compare_towers(devices, **options)
    assert differences["to each other"] == 0
    assert differences["to one device"] < ROUNDING
    for mistake in ("mean of means", "L2 twice"):
        assert chapter9.compare_towers(devices, mistake, **options)["to one device"] > 1e-4


def test_moments_of_all_rows_normalise_as_one_device():
    rows = np.random.default_rng(0).normal(size=(9, 3))
    whole = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-3)
    shares = [rows[:5], rows[5:]]
    np.testing.assert_allclose(chapter9.normalised(shares, together=True), whole, atol=1e-12)
    assert np.abs(chapter9.normalised(shares, together=False) - whole).max() > 0.1


# --- what scales --------------------------------------------------------------------------


def test_amdahl_and_back():
    assert chapter9.amdahl(0.1, [1, 10**9]) == pytest.approx([1, 10])
    assert chapter9.serial_share(chapter9.amdahl(0.2, 8), 8) == pytest.approx(0.2)
    assert chapter9.speed_up_with_ring(1e12, 0, 8) == pytest.approx(8)
    assert chapter9.speed_up_with_ring(1e6, 1e6, 2) < 1  # more talk than work


def test_warm_up_begins_with_small_steps(small_data, monkeypatch):
    rates = []
    momentum = chapter9.chapter2_training.momentum

    def seen(weight, gradient, velocity, rate):
        rates.append(rate)
        return momentum(weight, gradient, velocity, rate)

    monkeypatch.setattr(chapter9.chapter2_training, "momentum", seen)
    chapter9.accuracy_after(small_data, 20, 0.3, warm_up=3, epochs=2)
    np.testing.assert_allclose(rates[::6], [0.1, 0.2, 0.3, 0.3, 0.3, 0.3])


# --- main ---------------------------------------------------------------------------------


def test_main_trains_in_pieces_scores_and_draws(small_data):
    options = {"epochs": 1, "batch_size": 30, "jit": "off", "progress": "none"}
    result = chapter9.main(micro_batches=3, **options)
    assert set(result.scores["test"]) == {"loss", "accuracy"}
    assert {"history", "confusion", "learning_rate"} == set(result.figures)


def test_pieces_in_float16_and_model_fit_are_refused(small_data):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        with pytest.raises(ValueError, match="bfloat16"):
            chapter9.main(micro_batches=2)
    finally:
        keras.config.set_dtype_policy("float32")
    with pytest.raises(ValueError, match="leave one flag out"):
        chapter9.main(micro_batches=2, loop="fit")


@pytest.mark.slow
def test_the_score_lies_in_its_band():
    result = chapter9.main(progress="none")
    low, high = load_results()["chapter9"]["fashion"]["scores"]["test"]["accuracy"]["band"]
    assert low <= result.scores["test"]["accuracy"] <= high


@pytest.mark.slow
def test_large_batches_take_the_same_steps_in_pieces_and_on_two_devices():
    chapter9.logical_devices(2)
    one = chapter9.weights_of_large_batches(epochs=1)
    for options in ({"micro_batches": 4}, {"devices": 2}):
        other = chapter9.weights_of_large_batches(epochs=1, **options)
        assert 0 < largest_difference(one, other) < 1e-5


@pytest.mark.slow
def test_without_a_scale_nothing_is_learnt_and_a_fixed_one_overflows():
    assert chapter9.train_in("mixed_float16")[-1] > 2.2
    assert np.isnan(chapter9.train_in("mixed_float16", 2.0**15)[-1])
    moving = chapter9.train_in("mixed_float16", 2.0**15, patience=50)[-1]
    assert moving == pytest.approx(chapter9.train_in("float32")[-1], rel=0.15)


@pytest.mark.slow
def test_large_batches_hold_with_the_rate_in_proportion_until_they_do_not():
    found = chapter9.compare_batch_sizes(chapter9.load_fashion())
    assert found["the same"][2] < found["the same"][0] - 0.02
    assert found["in proportion, warm-up"][2] > found["the same"][0] - 0.02
    assert max(found["in proportion"][3], found["in proportion, warm-up"][3]) < 0.5
