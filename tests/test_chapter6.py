"""Chapter 6: attention and blocks against Keras, the model that writes, sampling, `main`."""

import itertools

from kerasbook import chapter6
from kerasbook.contents import load_results
from kerasbook.data import Part, Splits
from kerasbook.testing import probes

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.


def small(name: str) -> str:
    """The loss of a kind of small writers as the text has it, for SENTENCES."""
    place = f"measured/small writers/{name}"
    return f"{{{place}/mean:.3f}} ± {{{place}/sd:.3f}}"


def difference(one: str, other: str, seeds: int = 5) -> str:
    """How much two kinds of small writers differ, and the standard error, as the text has it."""
    kinds = load_results()["measurements"]["chapter6"]["small writers"]
    one, other = kinds[one], kinds[other]
    error = ((one["sd"] ** 2 + other["sd"] ** 2) / seeds) ** 0.5
    return f"{one['mean'] - other['mean']:.3f} ({error:.3f})"


SENTENCES = [
    "the validation loss was {shakespeare/validation/loss/mean:.3f} ± "
    "{shakespeare/validation/loss/sd:.3f} nats per character, over five seeds",
    f"had a validation loss of {small('sinusoidal')} nats with the waves, {small('learned')} "
    f"with a learned table, and {small('none')} without any positions",
    f"The loss was {small('sinusoidal')} with the warm-up and {small('without warm-up')} without",
    f"with post-norm blocks it was {small('post-norm')} and {small('post-norm without warm-up')}",
    f"are {difference('sinusoidal', 'without warm-up')} and "
    f"{difference('post-norm', 'post-norm without warm-up')}: for a model",
]
ELSEWHERE = {
    "0.1": "an epsilon, and a dropout to try",
    "0.05": "the largest first weight of Keras' Embedding",
    "1.790": "validation loss of one run with --width 256 --blocks 4",
}

TOLERANCE = {"float32": 1e-5, "float64": 1e-10}
DTYPES = pytest.mark.parametrize("dtype", ["float32", "float64"])


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(autouse=True)
def fixed_seed():
    keras.utils.set_random_seed(0)


def small_writer(**options):
    return chapter6.make_writer(11, width=16, heads=2, blocks=1, **options)


# --- attention ----------------------------------------------------------------------------


def masks():
    random = np.random.default_rng(0)
    some = random.random((2, 5, 7)) < 0.4
    some[..., 2] = True
    nothing = some.copy()
    nothing[0, 3] = False  # a query that may look at nothing
    return {"none": None, "some": some, "nothing": nothing, "all": np.ones((2, 5, 7), bool)}


@DTYPES
@pytest.mark.parametrize("mask", masks())
def test_multi_head_attention_equals_keras(mask, dtype):
    mask = masks()[mask]
    differences = chapter6.compare_attention(None if mask is None else tf.constant(mask), dtype)
    assert len(differences) == 1 + 3 + 8
    assert max(differences.values()) < TOLERANCE[dtype], differences


RIGHT_ATTENTION = chapter6.attention


def broken_attentions():
    def transposed(query, key, value, mask=None):
        scores = tf.matmul(query, key, transpose_b=True) / key.shape[-1] ** 0.5
        weights = tf.nn.softmax(tf.where(mask, scores, -1e9), axis=-2)
        return weights @ value, weights

    def inverted(query, key, value, mask=None):
        return RIGHT_ATTENTION(query, key, value, ~mask)

    def unscaled(query, key, value, mask=None):
        return RIGHT_ATTENTION(query * query.shape[-1] ** 0.5, key, value, mask)

    return {"softmax over queries": transposed, "inverted mask": inverted, "unscaled": unscaled}


@pytest.mark.parametrize("name", broken_attentions())
def test_comparison_sees_a_wrong_attention(monkeypatch, name):
    monkeypatch.setattr(chapter6, "attention", broken_attentions()[name])
    differences = chapter6.compare_attention(tf.constant(masks()["some"]))
    assert differences["values"] > 0.01


def test_attention_weights_are_shares_and_obey_the_mask():
    random = np.random.default_rng(1)
    query, key, value = (tf.constant(random.normal(size=(2, 5, 4))) for _ in range(3))
    mixtures, weights = chapter6.attention(query, key, value, chapter6.causal_mask(5))
    np.testing.assert_allclose(tf.reduce_sum(weights, -1), 1)
    assert (np.triu(weights, 1) == 0).all()
    np.testing.assert_allclose(mixtures[:, 0], value[:, 0])


def test_large_scores_and_half_precision_stay_finite():
    x = tf.cast(tf.random.normal((1, 3, 4)) * 100, tf.float16)
    mask = tf.constant([[True, False, False], [False, False, False], [True, True, True]])
    mixtures, weights = chapter6.attention(x, x, x, mask)
    assert np.isfinite(mixtures).all()
    np.testing.assert_allclose(tf.reduce_sum(tf.cast(weights, tf.float32), -1), 1, atol=1e-3)


def test_heads_split_and_join():
    x = np.random.default_rng(0).normal(size=(2, 5, 12))
    heads = chapter6.split_heads(tf.constant(x), 3)
    assert heads.shape == (2, 3, 5, 4)
    np.testing.assert_array_equal(heads[1, 2, 3], x[1, 3, 8:12])
    np.testing.assert_array_equal(chapter6.join_heads(heads), x)


def test_causal_mask():
    np.testing.assert_array_equal(chapter6.causal_mask(3), np.tril(np.ones((3, 3), bool)))


# --- layer normalisation and positions ----------------------------------------------------


@DTYPES
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 0.1])
def test_layer_norm_equals_keras(epsilon, dtype):
    differences = chapter6.compare_layer_norm(epsilon=epsilon, dtype=dtype)
    assert len(differences) == 4
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_comparison_sees_epsilon_outside_of_the_root():
    differences = chapter6.compare_layer_norm(chapter6.layer_norm_wrongly, epsilon=0.1)
    assert differences["values"] > 0.01
    tiny = chapter6.compare_layer_norm(chapter6.layer_norm_wrongly, epsilon=1e-6)
    assert tiny["values"] < 1e-4  # why the mistake lives so long


def test_sinusoids():
    waves = chapter6.sinusoids(tf.range(5), 6).numpy()
    for position, wave in itertools.product(range(5), range(3)):
        angle = position / 10000 ** (2 * wave / 6)
        assert waves[position, wave] == pytest.approx(np.sin(angle), abs=1e-6)
        assert waves[position, 3 + wave] == pytest.approx(np.cos(angle), abs=1e-6)


def test_a_move_is_a_rotation():
    waves = chapter6.sinusoids(tf.range(40), 6).numpy()
    scalar_products = [waves[t] @ waves[t + 7] for t in range(30)]
    np.testing.assert_allclose(scalar_products, scalar_products[0], rtol=1e-4)


# --- blocks and the model -----------------------------------------------------------------


@DTYPES
@pytest.mark.parametrize("kind", [chapter6.Block, chapter6.PostNormBlock])
def test_block_equals_keras_layers(kind, dtype):
    differences = chapter6.compare_block(kind, dtype)
    assert len(differences) == 1 + 1 + 16
    assert max(differences.values()) < TOLERANCE[dtype], differences


def test_comparison_sees_a_wrong_residual(monkeypatch):
    def forgetful(self, x, attention_mask=None, training=False):
        return self.feed_forward(self.norm_2(self.attention(self.norm_1(x), None, attention_mask)))

    monkeypatch.setattr(chapter6.Block, "call", forgetful)
    assert chapter6.compare_block()["values"] > 0.1


@pytest.mark.parametrize("post_norm", [False, True])
def test_writer_passes_the_probes(post_norm):
    model = small_writer(post_norm=post_norm)
    text = np.random.default_rng(0).integers(1, 11, (8, 12))
    assert probes.causality(model, text)
    assert probes.padding(model, text)  # what follows is the future
    assert probes.start_loss(model, text, text)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    assert probes.overfits(model, text[:, :-1], text[:, 1:], loss_fn, learning_rate=0.01, limit=0.8)


def test_a_stack_that_is_not_causal_fails_the_probe():
    stack = chapter6.Stack(11, 16, 2, blocks=1)
    assert not probes.causality(stack, np.random.default_rng(0).integers(1, 11, (2, 6)))


@pytest.mark.parametrize("positions", ["sinusoidal", "learned", "none"])
def test_the_order_is_seen_with_positions_only(positions):
    stack = chapter6.Stack(11, 16, 2, blocks=1, positions=positions)
    tokens = np.random.default_rng(0).integers(1, 11, (2, 6))
    assert bool(probes.permutation(stack, tokens)) == (positions == "none")


def test_given_places_move_the_waves():
    embedding = chapter6.TokenEmbedding(11, 16)
    tokens = np.array([[3, 3]])
    x = embedding(tokens, np.array([[0, 5]]))
    np.testing.assert_allclose(x[0, 0], embedding(tokens)[0, 0])
    waves = chapter6.sinusoids(tf.constant([0, 5]), 16)
    np.testing.assert_allclose(x[0, 1] - x[0, 0], waves[1] - waves[0], atol=1e-5)


def test_unknown_positions_are_refused():
    with pytest.raises(ValueError, match="sinusoidal, learned or none, not 'waves'"):
        chapter6.TokenEmbedding(11, 16, positions="waves")


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="8 heads cannot share a width of 100"):
        chapter6.Attention(100, 8)


def test_a_writer_survives_saving(tmp_path):
    model = small_writer(positions="learned")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    tokens = np.random.default_rng(0).integers(1, 11, (2, 5)).astype("int32")
    np.testing.assert_array_equal(loaded(tokens), model(tokens))
    assert loaded.get_layer("stack").causal


# --- the learning rate ---------------------------------------------------------------------


def test_warm_up():
    schedule = chapter6.make_schedule(0.01, examples=1000, batch_size=10, epochs=5)
    steps = np.arange(501)
    by_hand = chapter6.warm_up_cosine(steps, 0.01, 50, 500)
    theirs = [float(schedule(step)) for step in steps]
    np.testing.assert_allclose(by_hand, theirs, atol=1e-7)
    assert np.argmax(theirs) == 50
    assert theirs[0] == theirs[500] == 0
    original = chapter6.warm_up_rate(np.arange(1, 300), 64, 100).numpy()
    assert np.argmax(original) == 99
    assert original.max() == pytest.approx(64**-0.5 * 100**-0.5)


# --- sampling -----------------------------------------------------------------------------


def test_top_k_and_top_p():
    logits = np.log([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]])

    def kept(masked):
        return np.isfinite(masked).astype(int).tolist()

    assert kept(chapter6.keep_top_k(logits, 2)) == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert kept(chapter6.keep_top_k(logits, 9)) == [[1] * 4] * 2
    assert kept(chapter6.keep_top_p(logits, 0.4)) == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert kept(chapter6.keep_top_p(logits, 0.7)) == [[1, 1, 0, 0], [0, 0, 1, 1]]
    assert kept(chapter6.keep_top_p(logits, 1e-9)) == [[1, 0, 0, 0], [0, 0, 0, 1]]
    assert kept(chapter6.keep_top_p(logits, 1.0)) == [[1] * 4] * 2
    equal = tf.constant([[1.0, 1, 0], [0, 1, 1]])  # of equal ones the first
    assert kept(chapter6.keep_top_k(equal, 1)) == [[1, 0, 0], [0, 1, 0]]
    assert kept(chapter6.keep_top_p(equal, 0.3)) == [[1, 0, 0], [0, 1, 0]]


def test_samples_follow_the_probabilities():
    random = np.random.default_rng(0)
    logits = np.log(np.tile([[0.6, 0.3, 0.1]], (4000, 1)))
    shares = np.bincount(chapter6.sample(logits, random), minlength=3) / 4000
    np.testing.assert_allclose(shares, [0.6, 0.3, 0.1], atol=0.03)
    cold = np.bincount(chapter6.sample(logits, random, temperature=0.5), minlength=3) / 4000
    np.testing.assert_allclose(cold, [36 / 46, 9 / 46, 1 / 46], atol=0.03)
    assert set(chapter6.sample(logits, random, temperature=0).numpy()) == {0}
    assert set(chapter6.sample(logits, random, top_k=1).numpy()) == {0}
    assert set(chapter6.sample(logits, random, top_p=0.8).numpy()) == {0, 1}


def test_generate_goes_on_with_the_text():
    characters = ("<unknown>", *"abcdefghij")
    model = small_writer()
    first = chapter6.generate(model, "abc", characters, count=20, window=8)
    assert first.startswith("abc")
    assert len(first) == 23
    assert first == chapter6.generate(model, "abc", characters, count=20, window=8)
    assert first != chapter6.generate(model, "abc", characters, count=20, window=8, seed=1)


# --- counting, looking, the stream --------------------------------------------------------


def test_losses_by_reach():
    losses = chapter6.losses_by_reach("abab", "abab", longest=1)
    once = (2 + 3 / 3) / (4 + 3)  # how often a or b, with three more, of a, b and the unknown
    assert losses[0] == pytest.approx(-np.log(once))
    after = {"b": (2 + 3 * once) / (2 + 3), "a": (1 + 3 * once) / (2 + 3)}  # b after a, a after b
    assert losses[1] == pytest.approx(-(2 * np.log(after["b"]) + np.log(after["a"])) / 3)


def test_pairs_are_counted_once_more():
    part = Part(np.array([[1, 2, 1]]), np.array([[2, 1, 2]]))
    np.testing.assert_array_equal(chapter6.count_pairs(part, 3), [[1, 1, 1], [1, 1, 3], [1, 2, 1]])


def test_marked_letters():
    x, y = chapter6.marked_letters(50)
    assert x.shape == (50, 8, 7)
    assert y.shape == (50, 8)
    for row, answer in zip(x, y, strict=True):
        (place,) = np.flatnonzero(row[:, 6])
        assert (answer == row[place, :6].argmax()).all()


def test_one_head_can_look_at_the_marked_letter():
    head = chapter6.OneHead(7)
    x, y = chapter6.marked_letters(20)
    head(x)
    query, key = np.zeros((7, 7)), np.zeros((7, 7))
    query[:6, 0] = key[6, 0] = 20  # every letter asks for the mark
    head.set_weights([query, key, np.eye(7)])
    np.testing.assert_array_equal(np.argmax(head(x)[..., :6], axis=-1), y)


@pytest.mark.slow
def test_without_sums_eight_blocks_learn_nothing():
    assert chapter6.accuracy_of_blocks(chapter6.Block) > 0.9
    assert chapter6.accuracy_of_blocks(chapter6.BlockWithoutSums) < 0.3


def test_a_block_without_sums_replaces_the_token():
    x = tf.random.normal((1, 3, 16))
    block = chapter6.BlockWithoutSums(16, 2)
    block(x)
    block.set_weights([np.zeros(weight.shape) for weight in block.weights])
    assert not np.any(block(x))


def test_pictures_of_writing_and_choosing():
    ax = chapter6.plot_writing(np.linspace(4, 2, 60), [0, 30], {"pairs": 2.5})
    smooth = ax.lines[0].get_ydata()
    assert len(smooth) == 41
    assert smooth[0] == pytest.approx(np.linspace(4, 2, 60)[:20].mean())
    axes = chapter6.plot_choices(np.log([0.06, 0.6, 0.3, 0.04]), "abcd", shown=3)
    bars = [[round(bar.get_width(), 2) for bar in ax.patches] for ax in axes]
    assert bars[0] == [0.6, 0.3, 0.06]
    assert bars[3] == [1, 0, 0]


# --- byte pairs ---------------------------------------------------------------------------

WORDS = {tuple(" low"): 5, tuple(" lower"): 2, tuple(" new"): 6, tuple(" newer"): 3}


def test_pairs_of_neighbours_are_counted_by_word():
    stats = chapter6.get_stats(WORDS)
    assert stats["n", "e"] == stats["e", "w"] == 9
    assert stats["w", "e"] == 5
    assert ("w", " ") not in stats


@pytest.mark.parametrize(
    ("word", "merged"),
    [("aaa", ("aa", "a")), ("aaaa", ("aa", "aa")), ("baab", ("b", "aa", "b")), ("a", ("a",))],
)
def test_merge_goes_from_the_left(word, merged):
    assert chapter6.merge(tuple(word), ("a", "a")) == merged


def test_encode_and_decode():
    joined = chapter6.train_pieces(WORDS, 6)
    for word in (" newer", " lowest", " xyz", "n"):
        assert chapter6.decode(chapter6.encode(word, joined)) == word
    assert chapter6.encode(" new", joined) == (" new",)


TEXT = "how much wood would a woodchuck chuck if a woodchuck could chuck wood " * 3


def test_the_ladder_is_the_embedded_tokenizer():
    assert chapter6.compare_tokenizers(TEXT, merges=15) == (15, 9)


def test_the_comparison_of_tokenizers_sees_another_order(monkeypatch):
    right = chapter6.train_pieces
    monkeypatch.setattr(chapter6, "train_pieces", lambda words, n: right(words, n)[::-1])
    with pytest.raises(AssertionError):
        chapter6.compare_tokenizers(TEXT, merges=15)


@pytest.mark.parametrize("kind", ["characters", "pieces"])
def test_symbols_of_the_plays(kind):
    plays = ["To be, or not to be:\nthat is the question. " * 9, "To be is the question."]
    numbers, count, lengths = chapter6.symbols_of(kind, plays, pieces=40)
    assert len(numbers[1]) == lengths[1] if kind == "characters" else len(numbers[1]) < lengths[1]
    assert max(part.max() for part in numbers) < count


# --- main ---------------------------------------------------------------------------------


def made_up_text():
    """A text that goes round in a circle."""
    text = np.tile(np.arange(1, 8, dtype="int32"), 200)
    x, y = text[:-1][:1024].reshape(64, 16), text[1:][:1024].reshape(64, 16)
    characters = ("<unknown>", *"KING.\na")
    return Splits(*[Part(x, y)] * 3, "shakespeare", "Made up", "c", "embedded", characters)


def test_main_writes(monkeypatch, capsys):
    monkeypatch.setattr(chapter6, "load", lambda name: made_up_text())
    result = chapter6.main(epochs=12, batch_size=8, width=16, blocks=1, jit="off", progress="none")
    assert result.splits.name == "shakespeare"
    assert set(result.scores) == {"validation", "test"}
    assert result.scores["validation"]["accuracy"] > 0.9
    assert set(result.figures) == {"history", "learning_rate"}
    assert "KING.\naKING.\naKING" in capsys.readouterr().out


def test_main_starts_from_its_seed(monkeypatch):
    class Started(Exception):
        pass

    def first_output(seed):
        with pytest.raises(Started) as started:
            chapter6.main(seed=seed, dropout=0.1, width=16)
        model, (x, _) = started.value.args
        return model(x[:4], training=True).numpy()

    def fit(model, data, **options):
        raise Started(model, data)

    monkeypatch.setattr(chapter6, "load", lambda name: made_up_text())
    monkeypatch.setattr(chapter6, "fit", fit)
    first, second, other = map(first_output, (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(("examples", "left"), [(10, 8), (8, 8), (3, 3)])
def test_a_short_last_batch_is_left_out(examples, left):
    part = Part((np.ones((examples, 2)), np.ones(examples)), np.ones((examples, 1)))
    (x, other), y = chapter6.whole_batches(part, 4)
    assert len(x) == len(other) == len(y) == left


@pytest.mark.slow
def test_loss_at_the_defaults():
    assert chapter6.main(progress="none").scores["validation"]["loss"] <= 1.8


@pytest.mark.parametrize(
    ("options", "count"),
    [({}, 416_589), ({"width": 256, "blocks": 4}, 3_199_053), ({"positions": "learned"}, 482_125)],
)
def test_the_writer_has_as_many_weights_as_the_text_says(options, count):
    assert chapter6.make_writer(77, **options).count_params() == count


@pytest.mark.parametrize("kind", [chapter6.Block, chapter6.PostNormBlock])
def test_inside_a_block_there_are_four_times_as_many_units(kind):
    block = kind(8, 2)
    block(np.zeros((1, 3, 8), "float32"))
    assert [layer.units for layer in block.feed_forward.layers] == [32, 8]
