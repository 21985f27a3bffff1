"""Privacy: per-example gradients, the step, the batches, the accountants, the audit, `main`."""

import math

from kerasbook import chapter10_privacy as chapter
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

# Decimal numbers of the text, and what they are.
ELSEWHERE = {}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def made_up(examples=60, shape=(28, 28, 1)):
    """Small splits in which a bright row tells the class."""
    random = np.random.default_rng(0)

    def part():
        y = (np.arange(examples) % 10).astype("int32")
        x = random.normal(0, 0.1, (examples, *shape)).astype("float32")
        x[np.arange(examples), 2 + 2 * y] += 3
        return Part(x, y)

    classes = tuple(f"kind {number}" for number in range(10))
    return Splits(part(), part(), part(), "fashion", "Made up", "kind", "embedded", classes)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return chapter.make_model(hidden=(8,))


# --- the attack ---------------------------------------------------------------------------


def test_losses_are_keras():
    scores, y = np.random.default_rng(0).normal(size=(6, 4)) * 30, np.array([0, 1, 2, 3, 0, 1])
    expected = keras.losses.sparse_categorical_crossentropy(y, scores, from_logits=True)
    np.testing.assert_allclose(chapter.losses_of(scores, y), expected, rtol=1e-5, atol=1e-6)


def test_catching_at_a_rate_of_false_alarms():
    outside = np.arange(100.0)
    assert chapter.true_positive_rate(np.array([98.5, 99.5, 50]), outside) == pytest.approx(2 / 3)
    assert chapter.true_positive_rate(np.array([99.0, 99.5, 98]), outside, 0) == pytest.approx(
        1 / 3
    )
    same = np.random.default_rng(0).normal(size=(2, 5000))
    assert chapter.true_positive_rate(*same, 0.1) == pytest.approx(0.1, abs=0.02)


def test_area_is_the_chance_to_rank_a_pair_rightly():
    inside, outside = np.array([3.0, 1, 2]), np.array([0.0, 2])
    pairs = [(a > b) + 0.5 * (a == b) for a in inside for b in outside]
    assert chapter.area(inside, outside) == pytest.approx(np.mean(pairs))


def test_no_attack_on_a_gaussian_is_above_the_limit():
    sigma, epsilon = 1.3, 0.8
    delta = chapter.gaussian_delta(epsilon, sigma)
    for border in np.linspace(-4, 5, 200):
        true, false = (chapter.normal_share((mean - border) / sigma) for mean in (1, 0))
        assert true <= chapter.most_caught(false, epsilon, delta) + 1e-12
    assert chapter.most_caught(0.01, 8.0) > 0.999
    assert chapter.most_caught(1.0, 1.0) == 1


# --- one example's gradient ---------------------------------------------------------------


def test_three_ways_to_the_norms_agree(model):
    x, y = (part[:9] for part in made_up().train)
    loop, mapped = (
        way(model, x, y) for way in (chapter.gradients_by_loop, chapter.gradients_by_map)
    )
    _, _, _, ghost = chapter.ghosts(model, x, y)
    np.testing.assert_allclose(chapter.norms_of(loop), chapter.norms_of(mapped), rtol=1e-5)
    np.testing.assert_allclose(chapter.norms_of(loop), ghost, rtol=1e-5)
    assert np.ptp(ghost) > 0


@pytest.mark.parametrize("clip", [0.5, 3.0, 1e6])
def test_every_single_example_is_clipped(model, clip):
    x, y = (part[:20] for part in made_up().train)
    for i in range(20):
        _, inputs, deltas, norm = chapter.ghosts(model, x[i : i + 1], y[i : i + 1])
        sums = chapter.clipped_sums(inputs, deltas, norm, tf.ones(1), clip)
        length = float(tf.linalg.global_norm(sums))
        assert length <= clip * (1 + 1e-5)
        assert length == pytest.approx(min(clip, float(norm[0])), rel=1e-5)


def test_batch_normalisation_is_refused_with_the_reason():
    normalised = keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.BatchNormalization()])
    with pytest.raises(ValueError, match="no example has a gradient of its own"):
        chapter.make_private_step(normalised, keras.optimizers.SGD(), 1.0, 1.0, 8)
    convolution = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(3, 2)])
    with pytest.raises(ValueError, match="no dense layer"):
        chapter.dense_layers(convolution)


# --- the step -----------------------------------------------------------------------------


def change_of(model, x, y, weight, clip=1.0, sigma=0.0, expected=10.0, seed=0):
    """Returns the change of all weights, in one row, by a step with the learning rate 1."""
    before = model.get_weights()
    optimizer = keras.optimizers.SGD(1.0)
    optimizer.build(model.trainable_variables)
    step = chapter.make_private_step(model, optimizer, clip, sigma, expected, seed)
    step(tf.constant(x), tf.constant(y), tf.constant(weight, tf.float32))
    moved = [b - a for a, b in zip(before, model.get_weights(), strict=True)]
    model.set_weights(before)
    return np.concatenate([np.ravel(each) for each in moved])


def test_the_sum_is_divided_by_the_expected_batch_and_not_the_actual_one(model):
    x, y = (part[:6] for part in made_up().train)
    one = change_of(model, x, y, np.ones(6), expected=6.0)
    np.testing.assert_allclose(
        change_of(model, x, y, np.ones(6), expected=12.0), one / 2, atol=1e-6
    )
    alone = change_of(model, x, y, np.eye(6)[2], expected=6.0)
    assert np.linalg.norm(alone) == pytest.approx(1 / 6, rel=1e-4)  # clipped to 1, by 6 and not 1


def test_rows_that_fill_the_batch_have_no_say(model):
    x, y = (part[:6] for part in made_up().train)
    weight = np.array([1, 1, 1, 0, 0, 0])
    other = np.concatenate([x[:3], 100 * x[3:]])
    np.testing.assert_array_equal(
        change_of(model, x, y, weight), change_of(model, other, y, weight)
    )


def test_one_example_more_changes_the_sum_by_at_most_clip(model):
    x, y = (part[:8] for part in made_up().train)
    for i in range(8):
        without = change_of(model, x, y, np.arange(8) != i, clip=0.7, expected=1.0)
        all_of_them = change_of(model, x, y, np.ones(8), clip=0.7, expected=1.0)
        assert np.linalg.norm(all_of_them - without) <= 0.7 * (1 + 1e-4)


@pytest.mark.parametrize(("sigma", "clip"), [(1.0, 1.0), (2.0, 1.0), (1.0, 0.25)])
def test_the_noise_has_the_standard_deviation_sigma_times_clip_once(model, sigma, clip):
    x, y = (part[:6] for part in made_up().train)
    nobody = np.zeros(6)
    noise = change_of(model, x, y, nobody, clip, sigma, expected=4.0)
    assert len(noise) > 6000
    assert noise.std() * 4 == pytest.approx(sigma * clip, rel=0.05)
    assert abs(noise.mean()) * 4 < 4 * sigma * clip / len(noise) ** 0.5
    exact = change_of(model, x, y, np.ones(6), clip, 0.0, expected=4.0)
    noisy = change_of(model, x, y, np.ones(6), clip, sigma, expected=4.0)
    assert (noisy - exact).std() * 4 == pytest.approx(sigma * clip, rel=0.05)


def test_every_step_has_noise_of_its_own(model):
    x, y = (part[:6] for part in made_up().train)
    optimizer, before = keras.optimizers.SGD(1.0), model.get_weights()
    optimizer.build(model.trainable_variables)
    step = tf.function(chapter.make_private_step(model, optimizer, 1.0, 1.0, 6.0))
    changes = []
    for _ in range(2):
        model.set_weights(before)
        step(tf.constant(x), tf.constant(y), tf.zeros(6))
        changes.append(model.get_weights()[0] - before[0])
    model.set_weights(before)
    assert abs(np.corrcoef(np.ravel(changes[0]), np.ravel(changes[1]))[0, 1]) < 0.1


# --- batches ------------------------------------------------------------------------------


def test_poisson_batches_draw_each_example_independently_at_the_rate():
    random, seen, sizes = np.random.default_rng(0), np.zeros(50), []
    together = 0
    for _ in range(4000):
        rows, weight = chapter.poisson_batch(random, 50, 0.2, 50)
        drawn = rows[weight == 1]
        assert len(set(drawn.tolist())) == len(drawn)
        seen[drawn] += 1
        sizes.append(len(drawn))
        together += {0, 1} <= set(drawn.tolist())
    np.testing.assert_allclose(seen / 4000, 0.2, atol=0.03)
    assert np.var(sizes) == pytest.approx(50 * 0.2 * 0.8, rel=0.1)
    assert together / 4000 == pytest.approx(0.04, abs=0.012)


def test_too_many_examples_are_refused_and_none_left_out():
    with pytest.raises(ValueError, match="room for 3"):
        chapter.poisson_batch(np.random.default_rng(0), 100, 0.5, 3)
    assert chapter.room_for(9000, 500 / 9000) > 650
    assert chapter.room_for(20, 0.5) == 20


def test_an_epoch_of_poisson_batches_is_drawn_anew():
    part = made_up(100).train
    data = chapter.poisson_batches(part, 20)
    assert len(data) == 5
    first, second = ([w.numpy().sum() for _, _, w in data] for _ in range(2))
    assert first != second
    assert np.mean(first + second) == pytest.approx(20, abs=8)


# --- accountants --------------------------------------------------------------------------


def test_our_accountant_is_theirs():
    for each in chapter.accountants()["settings"]:
        ours = chapter.renyi_epsilon(each["batch"] / each["examples"], each["sigma"], each["steps"])
        assert ours == pytest.approx(each["dp-accounting, RDP"], abs=1e-6)
        assert ours == pytest.approx(each["Opacus, RDP"], abs=1e-6)
        assert each["Opacus, CLT"] < each["dp-accounting, PLD"] < ours  # no promise, tight, safe


def test_the_exact_gaussian_is_theirs_and_below_renyis():
    for each in chapter.accountants()["gaussian"]:
        assert chapter.gaussian_epsilon(1e-5, each["sigma"]) == pytest.approx(each["ε"], abs=1e-4)
        assert chapter.renyi_epsilon(1, each["sigma"], 1) >= each["ε"]


def test_epsilon_grows_with_steps_and_rate_and_falls_with_noise():
    base = chapter.renyi_epsilon(0.05, 1.2, 300)
    assert chapter.renyi_epsilon(0.05, 1.2, 600) > base
    assert chapter.renyi_epsilon(0.1, 1.2, 300) > base
    assert chapter.renyi_epsilon(0.05, 2.0, 300) < base


def test_so_little_noise_that_epsilon_is_huge_is_no_error():
    for sampling in ("poisson", "shuffled"):
        assert 1000 < chapter.promise(sampling, 9000, 500, 0.05, 360) < 1e8


def test_in_shuffled_batches_nobody_is_more_often_than_the_bound_believes():
    part = made_up(140).train._replace(x=np.arange(140.0).reshape(140, 1, 1, 1))
    for batch_size in (100, 60, 140):
        data = chapter.shuffled_batches(part, batch_size)
        steps = 3 * math.ceil(140 / batch_size)
        seen = np.concatenate([x.numpy().ravel() for _ in range(3) for x, _, _ in data])
        assert np.unique(seen, return_counts=True)[1].tolist() == [3] * 140
        expected = chapter.gaussian_epsilon(1e-5, 2.0 / math.sqrt(3))
        assert chapter.promise("shuffled", 140, batch_size, 2.0, steps) == expected
        drawn = chapter.poisson_batches(part, batch_size)
        assert 3 * int(drawn.cardinality()) == steps


def test_only_poisson_batches_get_the_small_epsilon():
    setting = (60_000, 256, 1.1, 14_062)
    assert chapter.promise("poisson", *setting) == pytest.approx(2.597, abs=1e-3)
    assert chapter.promise("shuffled", *setting) == pytest.approx(54.0, abs=0.1)
    with pytest.raises(ValueError, match="no ε for 'sorted' batches"):
        chapter.promise("sorted", *setting)


# --- audit --------------------------------------------------------------------------------


def test_the_lower_bound_is_a_solution_of_its_equation_and_cautious():
    epsilon = chapter.epsilon_from_below(80, 100)
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    assert chapter.chance_of(80, 100, p) == pytest.approx(0.05, abs=1e-6)
    assert epsilon < math.log(0.8 / 0.2)
    assert chapter.epsilon_from_below(50, 100) == 0
    assert chapter.epsilon_from_below(100, 100) == pytest.approx(
        math.log(0.05**0.01 / (1 - 0.05**0.01))
    )


def test_the_lower_bound_holds_for_a_randomised_answer_of_known_epsilon():
    """Guesses that are right with e^ε / (1 + e^ε): the bound is above ε in few of many audits."""
    random, epsilon = np.random.default_rng(0), 1.0
    p = math.exp(epsilon) / (1 + math.exp(epsilon))
    bounds = [chapter.epsilon_from_below(int(k), 200) for k in random.binomial(200, p, 300)]
    assert np.mean(np.array(bounds) > epsilon) < 0.08
    assert np.mean(bounds) > 0.5


def test_lira_finds_members_that_a_threshold_cannot():
    """Each picture has a level of its own, and being in lowers the loss a little."""
    random = np.random.default_rng(0)
    was_in = random.uniform(size=(16, 400)) < 0.5
    losses = np.exp(random.normal(size=400) * 2 - was_in + 0.3 * random.normal(size=(16, 400)))
    losses = np.minimum(losses, 12)
    found = [chapter.area(s[was_in], s[~was_in]) for s in (-losses, chapter.lira(was_in, losses))]
    assert found[0] < 0.7
    assert found[1] > 0.9


def test_canaries_have_wrong_labels_and_the_others_their_own():
    part = made_up(chapter.POOL).train
    x, y = chapter.with_canaries(part)
    assert (y[: chapter.CANARIES] != part.y[: chapter.CANARIES]).all()
    np.testing.assert_array_equal(y[chapter.CANARIES :], part.y[chapter.CANARIES : chapter.POOL])
    assert set(y) <= set(range(10))
    np.testing.assert_array_equal(x, part.x)


def test_guesses_about_a_network_that_tells_all_are_right():
    was_in = np.random.default_rng(0).uniform(size=chapter.POOL) < 0.5
    assert chapter.right_guesses(was_in, np.where(was_in, 0.1, 2.0)) == 2 * chapter.GUESSES
    assert chapter.right_guesses(was_in, np.where(was_in, 2.0, 0.1)) == 0


# --- main ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["poisson", "shuffled"])
def test_main(monkeypatch, capsys, sampling):
    monkeypatch.setattr(chapter, "load", lambda name: made_up(120))
    result = chapter.main(sampling=sampling, sigma=0.5, epochs=3, batch_size=30, progress="none")
    assert set(result.scores) == {"validation", "test"}
    assert result.scores["test"]["accuracy"] > 0.2
    expected = chapter.promise(sampling, 120, 30, 0.5, 12)
    assert f"{sampling} batches, σ = 0.5: ε = {expected:.2f}" in capsys.readouterr().out


def test_main_without_noise_promises_nothing(monkeypatch, capsys):
    monkeypatch.setattr(chapter, "load", lambda name: made_up(60))
    chapter.main(sigma=0.0, epochs=1, batch_size=20, progress="none")
    assert "ε = inf" in capsys.readouterr().out


# --- what the page says -------------------------------------------------------------------


def test_lower_bounds_are_below_upper_ones():
    audit = load_results()["measurements"]["chapter10_privacy"]["audit"]
    assert len(audit) >= 3
    for row in audit.values():
        assert row["lower"] < row["upper"]


def test_accuracy_falls_as_the_promise_grows_stronger():
    rows = load_results()["measurements"]["chapter10_privacy"]
    means = [rows[f"σ = {sigma:g}"]["mean"] for sigma in (0, 0.7, 1.2, 2, 4)]
    assert means[0] > max(means[1:])
    assert means[1] > means[-1]


@pytest.mark.slow
def test_accuracy_at_the_defaults():
    assert chapter.main(progress="none").scores["test"]["accuracy"] >= 0.80
