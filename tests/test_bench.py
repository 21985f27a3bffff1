"""The benchmark compares like with like: the same outputs after an epoch, the same arithmetic."""

import importlib.util
import json
import math
import statistics
import time
import types

from kerasbook.bench import command as bench
from kerasbook.bench import contest, costs, figures, growth, jobs, models, score, sides, turns
from kerasbook.bench.turns import BenchError
from kerasbook.pages import speed
from kerasbook.training import compiling, fit, fitting

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)


def small_dense():
    parts = [layers.Flatten(), layers.Dense(5, "relu"), layers.Dense(4, "relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((4, 4, 1)), *parts])


def small(model, data, **options):
    return models.row(model, data, models.cross_entropy, 8, title="small", **options)


def small_reader():
    words = [
        layers.Embedding(9, 3, mask_zero=True),
        layers.Dropout(0.4, noise_shape=(None, None, 1)),
    ]
    return keras.Sequential(
        [keras.Input((6,), dtype="int32"), *words, layers.GRU(4), layers.Dense(10)]
    )


def small_speaker():
    both = layers.Bidirectional(layers.LSTM(4))
    return keras.Sequential([keras.Input((6, 3)), layers.Masking(), both, layers.Dense(10)])


def sentences():
    """Numbers of words, with zeros as padding at the end of some rows."""
    random = np.random.default_rng(0)
    x, y = random.integers(1, 9, (20, 6)).astype("int32"), random.integers(0, 10, 20)
    x[::3, 4:] = 0
    return x, y.astype("int32")


def recordings():
    x, y = models.noise(20, 6, 3)
    x[::3, 4:] = 0
    return x, y


SMALL = {
    "linear": models.row(
        models.one_weight, lambda: models.numbers(20), models.mean_square, 8, title="small"
    ),
    "dense": small(small_dense, lambda: models.noise(20, 4, 4, 1)),
    "cnn": small(
        models.convolutional, lambda: models.noise(20, 28, 28, 1), ours=models.book_convolutional
    ),
    "reader": small(small_reader, sentences),
    "speaker": small(small_speaker, recordings),
    "lstm": small(
        lambda: models.recurrent(layers.LSTM, 3, 4, 2, 6), lambda: models.noise(20, 6, 3),
        ours=lambda: models.recurrent(models.HandMadeLSTM, 3, 4, 2, 6),
    ),
    "transformer": small(
        lambda: models.transformer(8, 2, 32, 2, 6), lambda: models.noise(20, 6, 8),
        ours=lambda: models.book_transformer(8, 2, 2, 6),
        as_keras=models.weights_of_transformer,
        describe=models.describe_transformer,
    ),
}  # fmt: skip


def outputs_after_an_epoch(name, side, ours=None):
    """Trains for an epoch in order, the last batch short; returns outputs, and what ours sends."""
    row = SMALL[name]
    if side == "torch":
        from kerasbook.bench import peers

        made = peers.Side(ours["job"])
    else:
        made = sides.Ours(row) if ours is None else sides.SIDES[side](row, ours["weights"])
    made.set_chance(False)
    x, y = made.data
    if ours is None:
        ours = made.start("small", x)
    ends = []
    made.train(x, y, 1, False, lambda: ends.append(1))
    assert ends == [1]
    return made.outputs(x), ours


@pytest.fixture(autouse=True)
def small_has_a_title(monkeypatch):
    monkeypatch.setitem(models.ROWS, "small", SMALL["dense"])


slow = pytest.mark.slow
CPU = {"device": "cpu", "mixed_precision": "off"}


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("dense", "fit"),
        ("dense", "trainer"),
        ("linear", "eager"),
        *(
            pytest.param(name, side, marks=slow)
            for name in SMALL
            for side in ("fit", "tuned", "tuned, XLA", "eager", "trainer")
        ),
    ],
)
def test_all_sides_compute_the_same(name, side):
    ours, start = outputs_after_an_epoch(name, "kerasbook")
    theirs, _ = outputs_after_an_epoch(name, side, start)
    np.testing.assert_allclose(ours, theirs, atol=2e-5 * abs(ours).max())


@needs_torch
@pytest.mark.peer
@pytest.mark.parametrize("name", SMALL)
def test_pytorch_computes_the_same(name):
    ours, start = outputs_after_an_epoch(name, "kerasbook")
    theirs, _ = outputs_after_an_epoch(name, "torch", start)
    np.testing.assert_allclose(
        ours, theirs, atol=(3e-2 if start["job"]["sparse"] else 1e-3) * abs(ours).max()
    )


def test_the_arithmetic_of_a_step_is_counted():
    # Forward and the kernels' gradients: every weight once per row; the inputs' gradient: every
    # weight but those of the first layer.
    all_weights, later = 16 * 5 + 5 * 4 + 4 * 10, 5 * 4 + 4 * 10
    assert costs.flops_per_step(SMALL["dense"]) == 2 * 8 * (2 * all_weights + later)


def test_the_arithmetic_of_a_loop_inside_is_counted():
    loop = small(lambda: models.recurrent(layers.GRU, 3, 4, 1, 6), lambda: models.noise(20, 6, 3))
    kernel, recurrent, dense = 3 * 12, 4 * 12, 4 * 10
    steps = 6 * (2 * kernel + 3 * recurrent)
    assert costs.flops_per_step(loop) == 2 * 8 * (steps + 3 * dense)


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_the_products_of_a_step_can_be_run_alone(name):
    assert 0 < costs.seconds_of_products(SMALL[name]) < 10


def test_the_time_of_a_step_is_divided_among_kinds_of_operations():
    shares = costs.shares_by_kind(SMALL["dense"])
    assert sum(shares.values()) == pytest.approx(1)
    assert 0 < shares["products"] < 1
    assert shares["pooling"] == 0


def test_only_what_is_needed_of_a_called_function_counts():
    """A layer's gradient gives that of its input too, which nobody asks the first one for."""
    lstm = SMALL["lstm"]
    products = costs._products(lstm.make(), lstm.ours())
    assert sum(op.type == "MatMul" and not compiled for op, _, compiled in products) == 4
    assert any(compiled for _, _, compiled in products)


class Slow:
    """A side whose epoch after each pause is slow, as `model.fit` can be."""

    data, batch_size = (np.zeros(8), np.zeros(8)), 4

    def __init__(self):
        self.paused, self.chances = True, []

    def set_chance(self, on):
        self.chances.append(on)

    def train(self, x, y, epochs, shuffle, done):
        for _ in range(epochs):
            time.sleep(0.5 if self.paused else 0.02)
            self.paused = False
            done()

    def outputs(self, x):
        return x

    def threads(self):
        return 1


class Turns:
    """The other end, for as many turns."""

    def __init__(self, side, turns):
        self.side, self.left, self.answers = side, turns, []

    def send(self, answer):
        self.answers.append(answer)

    def recv(self):
        self.side.paused = True
        self.left -= 1
        if self.left < 0:
            raise EOFError


def test_the_epoch_after_a_pause_is_not_timed(monkeypatch):
    monkeypatch.setattr(turns, "SECONDS_PER_TURN", 0.1)
    side = Slow()
    other = Turns(side, 2)
    with pytest.raises(EOFError):
        turns._take(lambda: side, other, "")
    assert side.chances == [False, True]
    _, *answers = other.answers
    assert len(answers) == 2
    assert all(0.02 <= answer["seconds"] < 0.2 for answer in answers)
    assert all(0.5 < answer["waits"] < 5 for answer in answers)  # it sleeps once in an epoch


def made_up(ratio=2.0, counts=True):
    times = {name: [ratio * (1 + i / 10) for i in range(3)] for name in sides.TITLES}
    times["kerasbook"] = [1.0, 1.1, 1.2]
    times["tuned"] = [3.0, 3.0, 3.0]
    ratios = {
        name: [a / b for a, b in zip(each, times["kerasbook"], strict=True)]
        for name, each in times.items()
        if name != "kerasbook"
    }
    return {
        "title": "made up",
        "counts": counts,
        "product_flops_per_second": [1e10, 2e10, 4e10],
        "milliseconds_per_step": times,
        "ratios": ratios,
        "first_step_seconds": dict.fromkeys(sides.TITLES, 1.0),
        "memory": dict.fromkeys(sides.TITLES, 2**20),
        "missing": {"torch.compile": "no compiler"},
    }


def results(**rows):
    machine = {"flops_per_step": dict.fromkeys(rows, 10**6)}
    return {"rows": rows, "machine": machine}


def test_of_the_tuned_ones_the_quicker_counts():
    assert figures.rival(made_up(), "tuned") == "tuned, XLA"


def test_the_mean_is_geometric_and_leaves_the_empty_model_out():
    rows = {"empty": made_up(100.0, counts=False), "dense": made_up(2.0), "cnn": made_up(8.0)}
    assert figures.geometric_means(rows)["fit"] == pytest.approx(4.0)


def test_a_rival_that_misses_a_row_has_no_mean():
    rows = {"dense": made_up(), "cnn": made_up()}
    del rows["cnn"]["ratios"]["torch"]
    assert "torch" not in figures.geometric_means(rows)


def test_the_share_of_the_machines_speed_is_taken_round_by_round():
    shares = figures.shares_of_product_speed(results(dense=made_up()), "dense")
    assert shares == pytest.approx([1e6 / 1e-3 / 1e10, 1e6 / 1.1e-3 / 2e10, 1e6 / 1.2e-3 / 4e10])


def test_a_second_run_is_compared_with_the_spread_of_the_first():
    first, second = results(dense=made_up()), results(dense=made_up())
    assert figures.compare_runs(second, [first])["outside"] == []
    second["rows"]["dense"]["ratios"]["torch"] = [9.0, 9.1, 9.2]
    found = figures.compare_runs(second, [first])
    assert found["within"] == 7
    (outside,) = found["outside"]
    assert (outside["row"], outside["side"], outside["now"]) == ("dense", "torch", [9.0, 9.1, 9.2])
    lines = figures.describe(found)
    assert lines[0] == (
        "7 of 8 medians lie within the earlier run's spread; "
        "by chance alone, about 3 would lie outside"
    )
    assert lines[1] == "1 do not; the two spreads overlap for 0 of them"
    assert lines[2] == "outside: dense, torch: 9.10 (9.00 to 9.20), before 2.00"
    found = figures.compare_runs(second, [first, second])
    (line,) = figures.describe(found)
    assert line.startswith("8 of 8 medians lie within the spread of 2 earlier runs; ")


@pytest.mark.parametrize("rounds", [3, 5, 8])
def test_how_many_medians_lie_outside_by_chance(rounds):
    random = np.random.default_rng(0)
    now, before = random.random((2, 20000, rounds))
    middle = np.median(now, axis=1)
    share = np.mean((middle < before.min(axis=1)) | (middle > before.max(axis=1)))
    found = figures.chance_outside(rounds, rounds)
    assert found == pytest.approx(share, abs=0.01 if rounds % 2 else 0.02)


def test_without_a_tuned_side_none_is_the_quicker():
    row = made_up()
    for name in ("tuned", "tuned, XLA"):
        del row["ratios"][name]
    assert figures.rival(row, "tuned") == "tuned"


@pytest.mark.parametrize("text", ["", "{}", '{"rows": {"dense": {}}}', "[]"])
def test_a_file_that_holds_no_figures_is_refused(text, tmp_path, capsys):
    file = tmp_path / "bench.json"
    file.write_text(text)
    for flag in ("--json", "--against"):
        with pytest.raises(SystemExit) as caught:
            bench.main(["chapter1", flag, str(file)])
        assert caught.value.code == 2
        assert "does not hold the figures of a run" in capsys.readouterr().err


def test_a_share_and_a_ratio_have_few_digits():
    assert [figures.short(each) for each in (0.954, 1.5, 9, 15.23, 99.7, 15234)] == [
        "0.954", "1.50", "9.00", "15.2", "100", "15,200",
    ]  # fmt: skip
    assert [figures.in_percent(each) for each in (0, 0.004, 0.47)] == ["0%", "0.4%", "47%"]


def visit(side_times, missing=()):
    names = [name for name in ("kerasbook", "fit") if name not in missing]
    return {
        "rounds": len(side_times),
        "product_flops_per_second": [1e9] * len(side_times),
        "milliseconds_per_step": {name: list(side_times) for name in names},
        "ratios": {name: [1.0] * len(side_times) for name in names if name != "kerasbook"},
        "waits_per_step": {name: [7.0] * len(side_times) for name in names},
        "first_step_seconds": {name: side_times[0] for name in names},
        "memory": dict.fromkeys(names, 1),
        "threads": dict.fromkeys(names, 1),
        "outputs_differ_by": {name: 0.1 * len(side_times) for name in names},
        "missing": dict.fromkeys(missing, "why"),
    }


@pytest.mark.parametrize(
    ("row", "name", "expected"),
    [
        ("transformer_in_halves", "kerasbook", 1),
        ("transformer_in_halves", "fit", 0),
        ("chapter3", "kerasbook", 0),
    ],
)
def test_only_our_side_of_some_rows_has_one_thread_per_operation(monkeypatch, row, name, expected):
    asked = []
    monkeypatch.setattr(sides, "one_thread_per_operation", lambda: asked.append(1))
    monkeypatch.setattr(turns, "prepare", lambda settings: None)
    monkeypatch.setattr(turns, "take", lambda *arguments: None)
    sides.take_part(row, name, None, CPU, None)
    assert len(asked) == expected


class MadeUpSide:
    """A side that trains nothing; of the tuned ones XLA is the slower one."""

    seconds = {"tuned": 1.0, "tuned, XLA": 4.0}  # noqa: RUF012

    def __init__(self, row, name, settings, ours=None):
        self.name, self.ended = name, False
        self.start = {"outputs": np.zeros(1), "change": 1.0, "job": {"sparse": False}}
        self.start |= {"title": "made up", "steps": 1, "first_step_seconds": 1.0, "threads": 1}

    def turn(self):
        return {"seconds": self.seconds.get(self.name, 2.0), "waits": 0, "memory": 1}

    def end(self):
        self.ended = True


def test_the_tuned_side_that_is_much_slower_is_left_out(monkeypatch):
    monkeypatch.setattr(contest, "Side", MadeUpSide)
    monkeypatch.setattr(sides, "sides_here", lambda: ["kerasbook", "tuned", "tuned, XLA"])
    found = contest.compare("empty", 2)
    assert found["missing"] == {"tuned, XLA": "more than 3 times as slow as without XLA"}
    assert found["ratios"] == {"tuned": [0.5, 0.5]}
    monkeypatch.setitem(MadeUpSide.seconds, "tuned, XLA", 2.5)
    assert contest.compare("empty", 1)["missing"] == {}


def test_the_rounds_of_two_visits_are_joined():
    first = visit([1.0, 2.0, 3.0])
    row = contest.joined(first, visit([4.0, 5.0]))
    assert row["rounds"] == 5
    assert row["milliseconds_per_step"]["fit"] == [1.0, 2.0, 3.0, 4.0, 5.0]
    assert row["ratios"] == {"fit": [1.0] * 5}
    assert len(row["product_flops_per_second"]) == len(row["waits_per_step"]["kerasbook"]) == 5
    assert row["outputs_differ_by"]["fit"] == pytest.approx(0.3)
    assert row["first_step_seconds"]["fit"] == 1.0
    assert first == visit([1.0, 2.0, 3.0])


@pytest.mark.parametrize("gone", [0, 1])
def test_a_side_that_fails_in_one_visit_is_missing(gone):
    visits = [visit([1.0]), visit([4.0])]
    visits[gone] = visit([1.0], missing=("fit",))
    row = contest.joined(*visits)
    assert row["ratios"] == {}
    assert row["missing"] == {"fit": "why"}
    assert "fit" not in row["memory"]
    assert list(row["milliseconds_per_step"]) == ["kerasbook"]


def test_the_rows_are_visited_again_and_again(monkeypatch, tmp_path):
    asked = []

    def compare(name, rounds, *_):
        asked.append((name, rounds))
        return made_up() | {"rounds": rounds}

    monkeypatch.setattr(bench, "ask", lambda what, *_, **__: (
        {"device": "CPU", "transfer_bytes_per_second": None}
        if what is bench.measure_machine else dict.fromkeys(bench.ARITHMETIC, 1)
    ))  # fmt: skip
    monkeypatch.setattr(bench, "compare", compare)
    monkeypatch.setattr(
        bench, "joined", lambda first, later: later | {"rounds": first["rounds"] + later["rounds"]}
    )
    file = str(tmp_path / "bench.json")
    rows = ("chapter1", "chapter2")
    with pytest.raises(SystemExit) as stopped:  # no minute: nothing begins
        bench.main([*rows, "--rounds", "5", "--json", file, "--minutes", "0"])
    assert (stopped.value.code, asked) == (bench.UNFINISHED, [])
    bench.main([*rows, "--rounds", "3", "--json", file])
    assert asked == [(name, rounds) for rounds in (2, 1) for name in rows]
    bench.main([*rows, "--rounds", "5", "--json", file, "--resume"])
    assert asked[4:] == [(name, 2) for name in rows]
    bench.main([*rows, "--rounds", "5", "--json", file, "--resume"])
    assert len(asked) == 6  # nothing was missing
    bench.main([rows[0], "--rounds", "1", "--json", file])
    assert asked[6:] == [(rows[0], 1)]  # without --resume a part that is named is taken anew


def test_who_is_missing_is_told():
    notes = figures.notes_of(results(dense=made_up()))
    assert notes == ["made up: torch.compile left out: no compiler"]


@pytest.mark.parametrize(("difference", "change"), [(0.02, 1.0), (math.nan, 1.0), (0.1, math.nan)])
def test_a_side_that_computes_something_else_is_refused(difference, change):
    with pytest.raises(BenchError, match="outputs after four steps differ by"):
        contest.check_outputs(difference, change, contest.NO_SETTINGS)


def test_rounding_is_not_refused():
    contest.check_outputs(0.005, 1.0, contest.NO_SETTINGS)
    contest.check_outputs(0.02, 1.0, contest.NO_SETTINGS | {"mixed_precision": "float16"})


def test_the_first_steps_are_compiled_as_all_are(monkeypatch):
    """`fit` leaves XLA out of short runs: the first step would be another program."""
    seen = []
    monkeypatch.setattr(sides, "fit", lambda *_, **options: seen.append(options["jit"]))
    for name in ("dense", "lstm"):
        side = sides.Ours(SMALL[name])
        for epochs in (1, 10**6):
            side.train(*side.data, epochs, False, None)
    assert seen == ["on", "on", "off", "off"]


def chapter_of(trained: dict):
    """Returns a module with a `main` that trains the small dense network in its own way."""

    def main(**options):
        model = small_dense()
        model.layers[1].activation = keras.activations.tanh
        trained["model"] = model
        trained["adam"] = keras.optimizers.Adam(0.5)
        fit(
            model, models.noise(20, 4, 4, 1), loss_fn=models.cross_entropy,
            optimizer=trained["adam"], batch_size=5, epochs=1000, **options,
        )  # fmt: skip

    return types.SimpleNamespace(main=main)


def test_a_row_is_what_the_chapters_command_trains(monkeypatch):
    trained: dict = {}
    monkeypatch.setattr(jobs.importlib, "import_module", lambda name: chapter_of(trained))
    job = jobs.job_of("chapter1", steps=3)
    assert (job.model, job.optimizer) == (trained["model"], trained["adam"])
    assert (job.batch_size, job.steps, len(job.data[0])) == (5, 3, 15)
    assert job.jit  # of 4,000 steps it is worth it
    assert job.optimizer.iterations == 0  # nothing was trained


def test_without_chance_nothing_is_drawn():
    model = keras.Sequential([keras.Input((50,)), layers.Dropout(0.5)])
    x = np.ones((1, 50), "float32")
    jobs.set_chance(model, False)
    assert np.array_equal(model(x, training=True), x)
    jobs.set_chance(model, True)
    assert not np.array_equal(model(x, training=True), x)


@pytest.mark.parametrize("rows", [0, 1, 2, 17])
def test_halves_give_what_the_whole_gives(monkeypatch, rows):
    x = np.random.default_rng(0).normal(size=(rows, 3)).astype("float32")
    within = keras.Sequential([keras.Input((3,)), layers.Dense(5, "tanh")])
    shapes = []
    halves = speed.InHalves(lambda part: (shapes.append(part.shape[0]), within(part))[1])
    np.testing.assert_allclose(halves(x), within(x), atol=1e-6)
    assert shapes == ([rows // 2, rows - rows // 2] if rows > 1 else [rows])
    shapes.clear()
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a GPU"])
    halves(x)
    assert shapes == [rows]


@pytest.mark.filterwarnings("ignore:float16 on a CPU")
@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_the_lstm_by_hand_runs_in_16_bits(precision):
    keras.config.set_dtype_policy(f"mixed_{precision}")
    try:
        outputs, _ = outputs_after_an_epoch("lstm", "kerasbook")
    finally:
        keras.config.set_dtype_policy("float32")
    assert np.isfinite(outputs).all()


def test_the_slope_of_a_curve():
    curve = {"sizes": [1, 10, 100], "seconds": [1.0, 1.0, 100.0], "flops": [1, 10, 100]}
    assert growth.slope_at_the_end(curve) == pytest.approx(2.0)
    assert growth.slope_at_the_end(curve, "flops") == pytest.approx(1.0)


def test_growth_takes_times_and_operations(monkeypatch):
    def make_row(size):
        return growth._row(lambda: growth.dense(4), (4,), 4, size)

    curves = dict.fromkeys(("examples, one epoch", "width"), ((8, 16), make_row))
    monkeypatch.setattr(growth, "CURVES", curves)
    epoch, step = growth.measure(CPU, print).values()
    assert epoch["flops"][1] == 2 * epoch["flops"][0] == 4 * step["flops"][1]
    assert all(seconds > 0 for seconds in epoch["seconds"] + step["seconds"])


def test_a_score_that_is_not_reached_is_told(monkeypatch):
    def fails(*_):
        raise BenchError("mae 2.5 was not reached")

    monkeypatch.setattr(score, "run", fails)
    *_, entry = score.measure("chapter1", CPU, 1)
    assert entry["missing"] == "mae 2.5 was not reached"
    assert "not reached: mae 2.5 was not reached" in score.cells_of("chapter1", entry)


def test_a_process_that_fails_is_ended_and_says_why():
    with pytest.raises(BenchError, match="ZeroDivisionError"):
        contest.ask(divide_by_zero, 1)


def divide_by_zero(number, tell):
    tell("soon")
    return {"answer": number / 0}


def test_the_score_to_reach_is_nearly_the_worst_of_the_seeds(monkeypatch):
    entry = {"scores": {"validation": {"mae": {"values": [2.0, 3.0]}}}}
    monkeypatch.setattr(score, "load_results", lambda: {"chapter1": {"auto_mpg": entry}})
    assert score.chapters() == ["chapter1"]
    assert score.target_of("chapter1") == ("mae", pytest.approx(3 + 0.5**0.5))
    entry["scores"]["validation"] = {"accuracy": {"values": [0.9, 0.8]}}
    assert score.target_of("chapter1") == ("accuracy", pytest.approx(0.8 - 0.005**0.5))


def test_tuned_means_many_steps_in_a_call(monkeypatch):
    seen = []

    def by_keras(model, batches, *_):
        seen.append(model.steps_per_execution)

    monkeypatch.setattr(fitting, "fit_by_keras", by_keras)
    score.call_for_many_steps()
    for rows, steps in ((20, 5), (400, 50)):
        x = np.zeros((rows, 4, 4, 1), "float32")
        y = np.zeros(rows, "int32")
        fit(
            small_dense(), (x, y), loss_fn=models.cross_entropy, optimizer="sgd",
            batch_size=4, loop="fit", progress="none",
        )  # fmt: skip
        assert seen.pop() == steps


def test_a_wait_is_gone_on_with(monkeypatch):
    asked = []
    monkeypatch.setattr(score, "target_of", lambda key: ("loss", 1.0))
    monkeypatch.setattr(score, "run", lambda key, loop, seed, _: asked.append((loop, seed)))
    first = next(score.measure("chapter1", CPU, 2))
    *_, entry = score.measure("chapter1", CPU, 2, entry=first)
    assert asked == [(loop, 0) for loop in score.LOOPS] + [(loop, 1) for loop in score.LOOPS[::-1]]
    assert all(len(entry[loop]) == 2 for loop in score.LOOPS)


@pytest.mark.slow
def test_a_chapter_is_run_until_its_score(monkeypatch):
    found = score.run(1, "tape", 0, CPU)
    assert 1 <= found["epochs"] <= 100
    assert found["seconds"] > 1
    assert found["memory"] > 2**27


def test_parts_that_do_not_exist_are_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        bench.main(["none"])
    assert caught.value.code == 2
    assert "parts are rows, growth, score, empty, chapter1" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_keeps_what_other_parts_have_measured(tmp_path, capsys):
    file = tmp_path / "bench.json"
    file.write_text(json.dumps({"rows": {}, "score": {"kept": 1}}))
    bench.main(["empty", "--rounds", "2", "--json", str(file)])
    found = json.loads(file.read_text())
    file.write_text(json.dumps({"rows": {}, "processor": "another"}))
    with pytest.raises(SystemExit, match="holds figures with processor another"):
        bench.main(["empty", "--json", str(file)])
    assert found["score"] == {"kept": 1}
    row = found["rows"]["empty"]
    assert row["missing"] == {}
    assert {len(times) for times in row["milliseconds_per_step"].values()} == {2}
    assert max(row["outputs_differ_by"].values()) < 1e-3 * row["outputs_changed_by"]
    assert statistics.median(row["ratios"]["eager"]) > 1
    assert "one weight" in capsys.readouterr().out


@pytest.mark.slow
def test_without_a_gpu_the_flag_gives_a_clear_line():
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("there is a GPU")
    for part in ("empty", "growth", "score"):
        with pytest.raises(SystemExit, match="error: TensorFlow sees no GPU here"):
            bench.main([part, "--device", "gpu"])


# --- what was measured, and what is said of it ---------------------------------------------------


def test_the_recorded_figures_are_as_the_page_says():
    results = speed.recorded()
    rows, kinds = results["rows"], results["machine"]["shares_by_kind"]
    assert set(rows) <= set(models.ROWS)
    empty, cnn = (speed.median_times(rows[name]) for name in ("empty", "cnn_pooled_first"))
    ahead = [each["model.fit"] / each["this book"] for each in (empty, cnn)]
    assert ahead[0] > 10 * ahead[1] > 10  # what a step costs, and what arithmetic does
    assert kinds["cnn_pooled_first"]["products"] + kinds["cnn_pooled_first"]["pooling"] > 0.7
    if "lstm_by_hand" in rows:
        assert kinds["lstm_by_hand"]["moving numbers"] > 0.15
    if "transformer_in_halves" in rows:
        others = ("number by number", "sums and means", "moving numbers")
        assert sum(kinds["transformer_in_halves"][kind] for kind in others) > 0.2
        waits = speed.median_waits(rows["transformer_in_halves"])
        assert waits["this book"] < waits["model.fit"]
    by_hand = speed.operations_of_writer()
    assert by_hand == pytest.approx(results["machine"]["flops_per_step"]["chapter6"], rel=0.02)


def test_the_recorded_rows_are_what_the_chapters_train_today():
    """Whoever changes a chapter's model takes the bench again: tools/measure_speed.sh."""
    rows = speed.recorded()["rows"]
    assert rows["empty"]["title"] == models.ROWS["empty"].title
    for name in ("chapter1", "chapter2", "chapter3", "chapter4", "chapter5", "chapter6"):
        assert rows[name]["title"] == models.title_of(name, models.ROWS[name].make()), name
        assert rows[name]["counts"]
        assert not rows[name]["own"]
    assert not any(row["counts"] for row in rows.values() if row["own"])


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (layers.LSTM(2, recurrent_dropout=0.1), "recurrent_dropout is not 0"),
        (layers.GRU(2, reset_after=False), "reset_after is False"),
        (layers.GRU(2, activation="relu"), "the activation is not tanh"),
        (layers.LSTM(2, unroll=True), "unroll is True"),
        (layers.LSTM(2, use_bias=False, use_cudnn=False), "use_cudnn is False, use_bias is False"),
        (layers.LSTM(2), None),
        (layers.GRU(2), None),
    ],
)
def test_what_cannot_use_cudnn_is_told_with_the_reason(layer, why):
    notes = compiling.without_cudnn(keras.Sequential([keras.Input((3, 2)), layer]))
    assert [note.partition(": ")[2] for note in notes] == ([why] if why else [])
