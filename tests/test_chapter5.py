"""Chapter 5: the LSTM by hand against Keras', its gradient path, masks, `main`."""

from kerasbook import chapter5
from kerasbook.data import Part, Splits
from kerasbook.ledger.chapter5 import deep_functions, weights_after_training
from kerasbook.pages import articles
from kerasbook.testing.compare import as_function, compare_functions, random_weights
from kerasbook.testing.recurrent import compare_loops, compare_recurrent
from kerasbook.training import compiling

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf
from keras import layers


# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
def mean_and_error(way: str, digits: int) -> str:
    return f"{{measured/{way}/mean:.{digits}f}} ({{measured/{way}/error:.{digits}f}})"


FIRST_SIGN = {
    "LSTM, forget bias 0": "forget bias 0",
    "LSTM, forget bias 1, as Keras has it": "forget bias 1",
    "LSTM, forget bias 3": "forget bias 3",
    "GRU": "GRU",
    "simple RNN": "simple RNN",
    "Conv1D": "Conv1D",
}
NETWORKS = {
    "simple RNN, both directions": "simple RNN",
    "GRU, both directions": "GRU",
    "LSTM, both directions": "LSTM",
    "Conv1D": "Conv1D",
}
SENTENCES = [
    *(
        f"| {label} | {mean_and_error(f'first sign/{key}', 2)} |"
        for label, key in FIRST_SIGN.items()
    ),
    *(
        f"| {label} | {{measured/networks/{key}/validation/mean:.3f}} | "
        f"{mean_and_error(f'networks/{key}/test', 3)} | {{measured/networks/{key}/weights:,}} |"
        for label, key in NETWORKS.items()
    ),
    "the test accuracy was {japanese_vowels/test/accuracy/mean:.3f} ± "
    "{japanese_vowels/test/accuracy/sd:.3f}",
]
# Other numbers in the text, and what they are.
ELSEWHERE: dict[str, str] = {}

LIMIT = {"float32": 1e-5, "float64": 1e-10}
RIGHT_PADDED = np.arange(7) < np.array([[7], [4], [1], [6], [2]])
WITH_HOLES = np.random.default_rng(0).random((5, 7)) < 0.6


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def noise(*shape, dtype="float64", seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def made_up_speakers(examples=48):
    """Recordings in which one of the 12 numbers tells the speaker, padded with zeros."""
    random = np.random.default_rng(0)

    def part():
        y = np.arange(examples, dtype="int32") % 9
        x = random.normal(0, 0.1, (examples, 10, 12)).astype("float32")
        x[np.arange(examples), :, y] += 2
        for row, length in enumerate(random.integers(3, 11, examples)):
            x[row, length:] = 0
        return Part(x, y)

    classes = tuple(f"speaker {number}" for number in range(1, 10))
    return Splits(part(), part(), part(), "japanese_vowels", "Made up", "who", "embedded", classes)


def compare_with_keras(x, units, mask=None, initial_state=(), reverse=False):
    options = {"return_sequences": True, "return_state": True, "go_backwards": reverse}
    layer = layers.LSTM(units, dtype=x.dtype, **options)
    return compare_recurrent(chapter5.lstm, layer, x, mask, initial_state)


# --- by hand ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("mask", [None, RIGHT_PADDED, WITH_HOLES], ids=["whole", "padded", "holes"])
def test_lstm_equals_keras(mask, reverse, dtype):
    x = noise(5, 7, 3, dtype=dtype)
    assert max(compare_with_keras(x, 4, mask, reverse=reverse).values()) < LIMIT[dtype]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", [None, RIGHT_PADDED], ids=["whole", "padded"])
def test_lstm_equals_keras_from_a_given_state(mask, dtype):
    start = noise(2, 5, 4, dtype=dtype)
    x = noise(5, 7, 3, dtype=dtype)
    assert max(compare_with_keras(x, 4, mask, start).values()) < LIMIT[dtype]


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 5), (3, 13, 2)])
def test_lstm_equals_keras_for_odd_sizes(shape):
    assert max(compare_with_keras(noise(*shape), 3).values()) < LIMIT["float64"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("mask", [None, RIGHT_PADDED], ids=["whole", "padded"])
def test_bidirectional_and_stacked_equals_keras(mask, dtype):
    x = noise(5, 7, 3, dtype=dtype)
    ours, theirs, weights = deep_functions(x, 4, mask)
    assert max(compare_functions(ours, theirs, x, *weights).values()) < LIMIT[dtype]


def test_training_moves_the_weights():
    layer = layers.LSTM(2, return_sequences=True)
    layer.build((3, 4, 2))
    start, x = random_weights(layer), noise(3, 4, 2, dtype="float32")
    after = weights_after_training(as_function(layer), start, x, x, steps=3)
    assert all(np.abs(a - b).max() > 0.01 for a, b in zip(after, start, strict=True))


def test_comparisons_see_a_wrong_order_of_the_gates(monkeypatch):
    right = chapter5.lstm_step

    def swapped(x, state, weights):  # i and f change places
        def swap(weight):
            i, f, g, o = tf.split(weight, 4, axis=-1)
            return tf.concat([f, i, g, o], axis=-1)

        return right(x, state, [swap(weight) for weight in weights])

    monkeypatch.setattr(chapter5, "lstm_step", swapped)
    x = noise(5, 7, 3)
    assert max(compare_with_keras(x, 4).values()) > 1e-3


def test_step_is_the_formula():
    """One unit, one input, written out with Python's numbers."""
    x, h, c = 0.5, -0.3, 0.7
    kernel, recurrent, bias = noise(3, 4)
    i, f, g, o = kernel * x + recurrent * h + bias

    def sigmoid(number):
        return 1 / (1 + np.exp(-number))

    new_c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    new_h = sigmoid(o) * np.tanh(new_c)
    state = (np.array([[h]]), np.array([[c]]))
    found = chapter5.lstm_step(np.array([[x]]), state, (kernel[None], recurrent[None], bias))
    np.testing.assert_allclose([part.numpy().item() for part in found], [new_h, new_c])


def test_padding_changes_nothing_and_the_last_output_is_the_last_state():
    layer = layers.LSTM(4, dtype="float64")
    layer.build((5, 7, 3))
    weights, x = random_weights(layer), noise(5, 7, 3)
    outputs, (h, _) = chapter5.lstm(x, weights, mask=RIGHT_PADDED)
    loud = np.where(RIGHT_PADDED[..., None], x, 99)
    again, (h_again, _) = chapter5.lstm(loud, weights, mask=RIGHT_PADDED)
    np.testing.assert_array_equal(again, outputs)
    np.testing.assert_array_equal(h_again, h)
    last = RIGHT_PADDED.sum(axis=1) - 1
    np.testing.assert_array_equal(h, outputs.numpy()[np.arange(5), last])


# --- the gradient path --------------------------------------------------------------------


def test_gradient_path_of_a_memory_that_halves():
    x, state = tf.ones((3, 6, 2)), (tf.zeros((3, 4)), tf.ones((3, 4)))
    path = chapter5.gradient_path(lambda x, s: (s[0], 0.5 * s[1]), x, state)
    np.testing.assert_allclose(path, 0.5 ** np.arange(6), rtol=1e-6)


def test_gradient_path_of_an_lstm_is_the_product_of_its_forget_gates():
    """Without recurrent weights there is no other way back."""
    x = noise(3, 6, 2, dtype="float32")
    kernel, bias = np.zeros((2, 16), "float32"), np.zeros(16, "float32")
    weights = chapter5.with_forget_bias((kernel, np.zeros((4, 16), "float32"), bias), 2)
    state = chapter5.zero_state(x, 4)
    path = chapter5.gradient_path(lambda x, s: chapter5.lstm_step(x, s, weights), x, state)
    np.testing.assert_allclose(path, (1 / (1 + np.exp(-2))) ** np.arange(6), rtol=1e-5)


def test_fresh_paths_are_ordered_by_the_forget_bias():
    paths = chapter5.fresh_paths(steps=30, units=16)
    ends = [path[-1] for path in paths.values()]
    assert list(paths) == ["simple RNN", *(f"LSTM, forget bias {bias}" for bias in (0, 1, 3))]
    assert ends[1] < ends[2] < ends[3]
    assert all(path[0] == pytest.approx(1) for path in paths.values())


def test_forget_bias_is_the_second_quarter_and_keras_starts_it_at_1():
    layer = layers.LSTM(3)
    layer.build((None, 2, 2))
    expected = [0] * 3 + [1] * 3 + [0] * 6
    assert layer.cell.bias.numpy().tolist() == expected
    *_, bias = chapter5.with_forget_bias(layer.get_weights(), 5)
    assert bias.tolist() == [5 * value for value in expected]
    assert layer.cell.bias.numpy().tolist() == expected, "the layer's own are as they were"


def test_first_sign_task_asks_for_the_first_number_alone():
    x, y = chapter5.first_sign_task(examples=50, steps=4)
    assert (x.shape, y.shape) == ((50, 4, 1), (50, 1))
    np.testing.assert_array_equal(y == 1, x[:, 0] > 0)


def test_learn_first_sign_learns_a_short_one():
    history = chapter5.learn_first_sign("LSTM", 1, epochs=6, steps=2)
    assert history.history["accuracy"][-1] > 0.95


# --- padding ------------------------------------------------------------------------------


def test_mask_makes_a_model_blind_to_padding():
    x = made_up_speakers().test.x
    longer = chapter5.with_more_padding(x, 5)
    assert longer.shape == (48, 15, 12)
    keras.utils.set_random_seed(0)
    model = chapter5.make_model(units=4)
    np.testing.assert_allclose(model(longer), model(x), rtol=0, atol=1e-6)
    without = chapter5.make_model(units=4, masked=False)
    assert np.abs(without(longer) - without(x)).max() > 1e-3


def test_the_convolution_is_blind_to_padding_too():
    x = made_up_speakers().test.x
    model = chapter5.make_convolutional(units=3)
    np.testing.assert_allclose(model(chapter5.with_more_padding(x, 5)), model(x), atol=1e-5)


@pytest.mark.parametrize("network", ["simple RNN", "GRU", "LSTM", "Conv1D"])
def test_every_reader_makes_one_vector_of_a_sequence(network):
    vectors = chapter5.make_reader(network, units=3)(noise(4, 6, 2, dtype="float32"))
    assert vectors.shape == (4, 12 if network == "Conv1D" else 3)


def test_forget_bias_reaches_the_layer_that_is_trained(monkeypatch):
    models = []
    monkeypatch.setattr(chapter5, "fit", lambda model, *_, **__: models.append(model))
    chapter5.learn_first_sign("LSTM", 3)
    _, _, bias = models[0].layers[0].layers[-1].get_weights()
    np.testing.assert_array_equal(np.split(bias, 4)[1], 3)


def test_accuracy_by_length_uses_the_length_alone():
    splits = made_up_speakers()
    for part in (splits.train, splits.test):  # the length tells the speaker, the numbers do not
        part.x[:] = 1
        for row, label in enumerate(part.y):
            part.x[row, label + 1 :] = 0
    assert chapter5.accuracy_by_length(splits) == 1
    splits.test.x[:] = 1  # all as long as can be: no training recording was
    assert chapter5.accuracy_by_length(splits) == pytest.approx(np.mean(splits.test.y == 0))


def test_answers_with_more_padding():
    model, splits = chapter5.make_model(units=4), made_up_speakers()
    found = chapter5.answers_with_more_padding(model, splits, extra=(0, 3))
    assert set(found) == {0, 3}
    assert found[0] == found[3]
    answers = model(splits.test.x).numpy().argmax(axis=1)
    assert found[0]["accuracy"] == pytest.approx(np.mean(answers == splits.test.y))
    most = max(np.mean(answers == label) for label in range(9))
    assert found[0]["commonest"] == pytest.approx(most)


def test_the_number_of_weights_is_that_of_keras():
    layer = layers.LSTM(7)
    layer.build((None, None, 5))
    assert chapter5.lstm_parameters(5, 7) == layer.count_params()


# --- main ---------------------------------------------------------------------------------


def test_loop_equals_model_fit():
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    data = made_up_speakers().take(45).train
    assert compare_loops(lambda: chapter5.make_model(units=8), data, loss_fn, epochs=1) < 1e-5


@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="the rule is for CPUs")
def test_keras_lstms_are_compiled_with_xla_only_when_asked():
    """Measured: XLA makes their step slower on a CPU, or saves less than compiling costs."""
    for model in (chapter5.make_model(4), articles.make_article_lstm()):
        assert not compiling.use_jit("auto", model)
        assert compiling.use_jit("on", model)
    gru = keras.Sequential([keras.Input((5, 2)), layers.GRU(3)])
    assert compiling.use_jit("auto", gru)


def test_main_tells_speakers_apart(monkeypatch):
    monkeypatch.setattr(chapter5, "load", lambda name: made_up_speakers())
    result = chapter5.main(
        epochs=12, learning_rate=0.02, units=8, examples=45, jit="off", progress="none"
    )
    assert result.splits.name == "japanese_vowels"
    assert len(result.splits.train.x) == 45
    assert set(result.history.history) == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert set(result.scores) == {"validation", "test"}
    assert result.scores["test"]["accuracy"] > 0.8
    assert set(result.figures) == {"history", "confusion"}


def test_main_starts_from_its_seed(monkeypatch):
    class Started(Exception):
        pass

    def fit(model, data, **options):
        raise Started(model)

    def first_weights(seed):
        with pytest.raises(Started) as started:
            chapter5.main(seed=seed)
        return started.value.args[0].get_weights()[0]

    monkeypatch.setattr(chapter5, "load", lambda name: made_up_speakers())
    monkeypatch.setattr(chapter5, "fit", fit)
    first, second, other = map(first_weights, (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 0.01


@pytest.mark.slow
def test_accuracy_of_the_speakers_at_the_defaults():
    assert chapter5.main(progress="none").scores["test"]["accuracy"] >= 0.96


@pytest.mark.parametrize(
    ("cell", "count"), [(layers.SimpleRNN, 11_017), (layers.GRU, 31_113), (layers.LSTM, 40_585)]
)
def test_the_weights_are_as_many_as_the_table_says(cell, count):
    assert chapter5.make_model(cell=cell).count_params() == count
    assert chapter5.make_convolutional().count_params() == 8_969
