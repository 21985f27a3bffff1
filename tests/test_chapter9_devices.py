"""Many devices: towers, the ring, divided weights and the pipeline against one device; `main`."""

import json

from kerasbook import chapter9_devices as page
from kerasbook.bench import scaling
from kerasbook.contents import load_results
from kerasbook.ledger import planted
from kerasbook.ledger.core import MUTANTS
from kerasbook.plotting.diagrams.chapter9 import summands
from kerasbook.testing.compare import largest_difference

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from keras import layers
from small_pictures import made_up

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES = [
    "the test accuracy was {fashion/test/accuracy/mean:.3f} ± {fashion/test/accuracy/sd:.3f}",
]
ELSEWHERE = {"3.15": "a version of Keras", "1.6": "785 · 512 numbers of 4 bytes, in MB"}
ROUNDING = 1e-6  # of weights, in 32 bits
NAMES = ["CPU:0", "CPU:1", "CPU:2", "CPU:3"]
WAYS = (page.Copies, page.DividedSteps, page.DividedWeights)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def small_data(monkeypatch):
    splits = made_up()
    monkeypatch.setattr(page, "load_fashion", lambda: splits)
    monkeypatch.setattr(page, "load", lambda dataset: splits)
    return splits


# --- towers and the ring ------------------------------------------------------------------


@pytest.mark.parametrize(("devices", "size"), [(1, 3), (2, 7), (3, 7), (4, 4), (5, 3)])
def test_the_ring_adds_up_and_gives_all_the_same(devices, size):
    rows = np.random.default_rng(0).normal(size=(devices, size))
    sums, sent = page.all_reduce(rows)
    np.testing.assert_allclose(sums[0], rows.sum(axis=0), atol=1e-14)
    np.testing.assert_array_equal(sums, np.tile(sums[0], (devices, 1)))
    if size % devices == 0:
        np.testing.assert_array_equal(4 * sent, page.bytes_sent(size, devices))


def test_after_the_first_half_each_device_has_its_own_part():
    rows = np.random.default_rng(0).normal(size=(3, 9))
    held = page.parts_of(rows)
    page.reduce_scatter(held)
    found = np.concatenate([held[d][d] for d in range(3)])
    np.testing.assert_allclose(found, rows.sum(axis=0), atol=1e-14)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_picture_of_the_ring_is_what_the_ring_does(n):
    held = page.parts_of(np.ones((n, n), int))
    states = [np.ones((n, n), int)]
    for shift, adding in [(s + 1, True) for s in range(n - 1)] + [(s, False) for s in range(n - 1)]:
        page.ring_step(held, shift, adding)
        states.append(np.array([np.concatenate(parts) for parts in held]))
    np.testing.assert_array_equal(summands(n), states)


def test_two_towers_are_one_device_unless_a_mistake_is_made(small_data):
    options = {"examples": 25, "batch_size": 16}
    differences = page.compare_towers(NAMES[:2], **options)
    assert differences["to each other"] == 0
    assert differences["to one device"] < ROUNDING
    for mistake in (page.mean_of_means, page.penalty_in_full):
        found = page.compare_towers(NAMES[:2], mistake, **options)
        assert found["to each other"] == 0
        assert found["to one device"] > 1e-4


def test_moments_of_all_rows_normalise_as_one_device():
    rows = np.random.default_rng(0).normal(size=(9, 3))
    whole = (rows - rows.mean(axis=0)) / np.sqrt(rows.var(axis=0) + 1e-3)
    shares = [rows[:5], rows[5:]]
    np.testing.assert_allclose(page.normalised(shares, together=True), whole, atol=1e-12)
    assert np.abs(page.normalised(shares, together=False) - whole).max() > 0.1


# --- weights divided ----------------------------------------------------------------------


def data_and_weights(sizes=(6, 9, 5, 3), rows=14, dtype="float32"):
    random = np.random.default_rng(1)
    x = random.normal(size=(rows, sizes[0])).astype(dtype)
    weights = page.initial_weights(sizes, dtype=dtype)
    return x, random.integers(0, sizes[-1], rows), weights


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_each_way_is_one_device(way, count):
    x, y, weights = data_and_weights()
    network = page.train_divided(way, NAMES[:count], weights, x, y, batch_size=4)  # 4, 4, 4, 2
    expected = page.one_device(weights, x, y, batch_size=4)
    assert largest_difference(page.whole_weights(network), expected) < ROUNDING


def test_everything_lies_on_its_device():
    x, y, weights = data_and_weights()
    for way in WAYS:
        network = page.train_divided(way, NAMES, weights, x, y, batch_size=14)
        for name, device in zip(NAMES, network.devices, strict=True):
            assert {array.device[-5:] for array in device.arrays.values()} == {name}


def test_what_is_divided_is_held_in_parts_and_nothing_whole_stays():
    x, y, weights = data_and_weights(sizes=(8, 12, 4), rows=8)
    numbers = 4 * sum(weight.size for weight in weights)  # bytes
    memories = []
    for way in WAYS:
        network = page.train_divided(way, NAMES, weights, x, y, batch_size=8)
        memories.append(network.devices[1].memory())
        assert network.devices[1].fullest["gradients"] <= numbers
    assert memories[0] == {"weights": numbers, "velocity": numbers}
    assert memories[1] == {"weights": numbers, "velocity": numbers // 4}
    assert memories[2] == {"weights": numbers // 4, "velocity": numbers // 4}


def test_dividing_the_steps_sends_as_much_and_the_weights_half_as_much_again():
    x, y, weights = data_and_weights(sizes=(8, 12, 4), rows=8)
    numbers = sum(weight.size for weight in weights)
    sent = [page.train_divided(way, NAMES, weights, x, y, 8).sent[0] / numbers for way in WAYS]
    assert sent == [1.5, 1.5, 2.25]


def test_memory_is_remembered_at_its_fullest_moment():
    device = page.Device("CPU:0")
    device.keep("weights 0", np.zeros(4, "float32"))
    device.keep("outputs 0", np.zeros(2, "float64"))
    del device.arrays["outputs 0"]
    assert device.memory() == {"weights": 16}
    assert device.fullest == {"weights": 16, "outputs": 16}


def test_the_memories_are_drawn_one_bar_for_each_way():
    ax = page.plot_memory({"one": {"weights": 3e6, "whole": 1e6}, "other": {"weights": 2e6}})
    widths = [patch.get_width() for patch in ax.patches]
    assert widths[:2] == [3, 2]
    assert sum(widths) == 6


def test_keras_divides_no_kernel_under_tensorflow():
    """If this fails, a new Keras can do it, and the page must say so."""
    kernel = page.kernel_on_a_mesh(["cpu:0", "cpu:1"])
    assert (kernel.shape, kernel.device[-5:]) == ((8, 4), "CPU:0")


# --- the pipeline -------------------------------------------------------------------------


@pytest.mark.parametrize("order", [page.gpipe, page.one_by_one])
@pytest.mark.parametrize(("stages", "pieces"), [(1, 3), (2, 1), (4, 2), (4, 9)])
def test_the_timetable_keeps_the_order_and_has_the_bubble_of_the_formula(order, stages, pieces):
    ticks = page.timetable(page.orders_of(order, stages, pieces))
    assert len(ticks) == 2 * stages * pieces
    assert len({(stage, tick) for (stage, *_), tick in ticks.items()}) == len(ticks)
    for work, tick in ticks.items():
        needed = page.what_it_needs(*work, stages)
        assert needed is None or ticks[needed] < tick
    assert page.idle_share(ticks) == pytest.approx((stages - 1) / (pieces + stages - 1))


def test_stages_that_wait_for_each_other_are_told():
    with pytest.raises(ValueError, match="wait for each other"):
        page.timetable([[("B", 0), ("F", 0)], [("F", 0), ("B", 0)]])


@pytest.mark.parametrize("order", [page.gpipe, page.one_by_one])
@pytest.mark.parametrize("pieces", [1, 3, 14])
def test_the_pipeline_is_backpropagation_on_one_device(order, pieces):
    x, y, weights = data_and_weights((6, 5, 4, 4, 3))
    outputs = page.chapter2_deep_network.forward(x, weights)
    expected = page.chapter2_deep_network.backward(y, outputs, weights)
    found, stages = page.pipeline_gradients(NAMES, weights, x, y, order, pieces)
    assert largest_difference(found, expected) < ROUNDING
    for name, stage in zip(NAMES, stages, strict=True):
        assert set(stage.arrays) == {"weights", "gradients"}  # nothing else is left
        assert {array.device[-5:] for array in stage.arrays.values()} == {name}


def test_one_by_one_keeps_fewer_pieces():
    x, y, weights = data_and_weights((4, 4, 4, 4, 3), rows=8)
    kept = {}
    for order in (page.gpipe, page.one_by_one):
        _, stages = page.pipeline_gradients(NAMES, weights, x, y, order, pieces=8)
        kept[order] = [stage.fullest["inputs"] // 16 for stage in stages]  # four numbers a row
    assert kept == {page.gpipe: [8, 8, 8, 8], page.one_by_one: [4, 3, 2, 1]}


def test_a_planted_mistake_is_seen_by_these_tests():
    """The comparison above must be able to fail."""
    mistake = next(each for each in MUTANTS if each.what == "mean of means over devices")
    x, y, weights = data_and_weights()
    with planted(mistake):
        network = page.train_divided(page.Copies, NAMES[:3], weights, x, y, batch_size=4)
    expected = page.one_device(weights, x, y, batch_size=4)
    assert largest_difference(page.whole_weights(network), expected) > 1e-3


# --- what scales --------------------------------------------------------------------------


def test_amdahl_and_back():
    assert page.amdahl(0.1, [1, 10**9]) == pytest.approx([1, 10])
    assert page.serial_share(page.amdahl(0.2, 8), 8) == pytest.approx(0.2)
    assert page.speed_up_with_ring(1e12, 0, 8) == pytest.approx(8)
    assert page.speed_up_with_ring(1e6, 1e6, 2) < 1  # more talk than work


def test_the_operations_of_a_step_are_six_per_use_of_a_weight_and_four_in_the_first_layer():
    inside = [layers.Conv2D(3, 2), layers.Flatten(), layers.Dense(4), layers.Dense(5)]
    model = keras.Sequential([keras.Input((5, 5, 2)), *inside])
    expected = 7 * (4 * 2 * 2 * 2 * 3 * 16 + 6 * (48 * 4 + 4 * 5))
    assert page.operations_of_step(model, 7) == expected


def test_the_recorded_times_have_what_the_pictures_draw():
    ax = page.plot_second_core()
    assert [line.get_label() for line in ax.lines[:2]] == ["dense", "convolutional"]
    recorded = page.recorded()
    assert len(page.plot_workers(page.against_one_worker(recorded)).get_yticks()) == 4
    for by_size in recorded["threads"].values():
        for by_threads in by_size.values():
            assert {len(runs) for runs in by_threads.values()} == {scaling.REPEATS}
    for kinds in recorded["workers"].values():
        assert {len(runs) for runs in kinds.values()} == {scaling.REPEATS}


def test_the_recorded_times_say_what_the_text_says():
    """If new times were recorded and this fails, the sentences below the pictures are wrong."""
    recorded = page.recorded()
    dense, convolutional = (
        {int(rows): page.ratios(pair["1"], pair["2"]) for rows, pair in by.items()}
        for by in (recorded["threads"][name] for name in ("dense", "convolutional"))
    )
    assert all(dense[rows][-1] < 1 for rows in (8, 32, 64, 128))  # in every round
    assert dense[512][0] < 1 < dense[512][-1]
    assert all(convolutional[rows][-1] < 1 for rows in (8, 32))
    assert 1 < np.median(convolutional[128]) < np.median(convolutional[512])
    assert sum(convolutional[512] < 1) == 2
    assert 1 / page.serial_share(np.median(convolutional[512])) < 2
    shared, each, conv_shared, conv_each = page.against_one_worker(recorded).values()
    assert min(shared[0], each[0]) > 3  # the dense pair, in every round
    assert conv_shared[0] < 1 < conv_shared[-1]
    assert 0.7 < np.median(conv_shared) < 1.5
    assert 1.7 < np.median(conv_each) < 3


def test_rounds_are_compared_one_by_one():
    np.testing.assert_allclose(page.ratios([3.0, 8.0], [1.0, 4.0]), [2, 3])  # in rising order
    recorded = {"workers": {"dense": {"1 worker": [1.0, 2.0], "2 workers share": [3.0, 8.0]}}}
    found = page.against_one_worker(recorded)
    np.testing.assert_allclose(found["dense, share 64 rows"], [3, 4])
    ax = page.plot_workers(found)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["dense, share 64 rows"]
    np.testing.assert_allclose([line.get_xdata()[0] for line in ax.lines], [3, 3.5, 1])


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


def test_runs_with_one_and_two_threads_take_turns(monkeypatch):
    asked = []

    def time_threads(threads):
        asked.append(threads)
        times = {str(size): float(threads) for size in scaling.SIZES}
        return {"dense": times, "convolutional": times}

    monkeypatch.setattr(scaling, "time_threads", time_threads)
    found = scaling.compare_threads()
    assert asked == [1, 2] * scaling.REPEATS
    assert found["dense"]["64"] == {"1": [1.0] * scaling.REPEATS, "2": [2.0] * scaling.REPEATS}


# --- main ---------------------------------------------------------------------------------


def test_main_trains_scores_and_draws(small_data):
    result = page.main(epochs=1, batch_size=30, jit="off", progress="none")
    assert set(result.scores["test"]) == {"loss", "accuracy"}
    assert {"history", "confusion"} == set(result.figures)


def test_the_network_of_main_has_synchronised_moments():
    model = page.make_normalised_model((28, 28, 1), 10)
    found = [each.synchronized for each in model.layers if hasattr(each, "synchronized")]
    assert found == [True, True]


@pytest.mark.slow
def test_two_devices_are_one_with_the_moments_of_all_rows():
    options = {"kind": "together", "batch_size": 19}
    one, two = (page.trained(count, **options) for count in (None, 2))
    assert 0 < largest_difference(one, two) < 1e-4
    assert largest_difference(one, page.trained(2, kind="apart", batch_size=19)) > 1e-3


@pytest.mark.slow
def test_the_score_lies_in_its_band():
    result = page.main(progress="none")
    low, high = load_results()["chapter9_devices"]["fashion"]["scores"]["test"]["accuracy"]["band"]
    assert low <= result.scores["test"]["accuracy"] <= high


def test_defaults_of_the_normalised_network():
    assert page.make_normalised_model((28, 28, 1), 10).count_params() == 110_154
