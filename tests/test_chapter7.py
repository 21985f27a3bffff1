"""Chapter 7: word pieces, BERT, its folders, covering, fine-tuning; `main`."""

import importlib.util
import json

from kerasbook import chapter6, chapter7, contents
from kerasbook.contents import load_results
from kerasbook.data import DataError, bert_folder, corpus, wordpieces
from kerasbook.data.film import read_film_sentences
from kerasbook.ledger import chapter7 as ledger

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
import tensorflow as tf

# Sentences with numbers from results.json, which tests/test_prose.py fills in and looks for.
SENTENCES: list[str] = []
ELSEWHERE = {
    **{"3.0": "of WordNet", "3.2": "of Unicode"},
    "8.6": "largest of the logits that transformers gave",
}
PIECES = (*wordpieces.SPECIAL, *(f"w{number}" for number in range(35)))
SIZES = {"words": 40, "width": 12, "heads": 3, "blocks": 2, "hidden": 20, "places": 9}


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def masked():
    keras.utils.set_random_seed(5)  # another than that of main
    model = chapter7.MaskedBert(**SIZES, dropout=0.0)
    model(np.ones((1, 2), "int32"))
    return model


@pytest.fixture
def folder(masked, tmp_path):
    chapter7.write_bert(tmp_path / "bert", masked, PIECES)
    return tmp_path / "bert"


# --- word pieces --------------------------------------------------------------------------


def test_all_ways_to_cut_agree_on_the_words_of_the_films():
    pieces = corpus.read_small_bert()[2]
    known = set(pieces)
    words = {word for text in read_film_sentences()[0].texts[:300] for word in text.split()}
    for word in words:
        cut = wordpieces.split_word(word, known)
        assert chapter7.longest_first(word, known) == cut
        assert cut == ["[UNK]"] or "".join(cut).replace("##", "") == word


def test_between_counts_what_stands_between_two_words():
    found = chapter7.between(["a b c", "A b c.", "a d c"])
    assert found["a", "c"] == {"b": 2, "d": 1}


def test_by_score_rare_neighbours_come_before_frequent_ones():
    words = {("a", "##b"): 9, ("a", "##c"): 9, ("x", "##y"): 1}
    assert chapter7.train_by(lambda ab, a, b: ab, words, 1) == ["ab"]
    assert chapter7.train_by(lambda ab, a, b: ab / (a * b), words, 1) == ["xy"]


def test_joins_by_count_are_those_of_the_library():
    texts = read_film_sentences()[0].texts[:100]
    words = [word for text in texts for word in wordpieces.split_words(text)]
    parts = {}
    for word in words:
        part = (word[0], *(f"##{each}" for each in word[1:]))
        parts[part] = parts.get(part, 0) + 1
    made = chapter7.train_by(lambda ab, a, b: ab, parts, 20)
    theirs = wordpieces.make_pieces(texts, 1000)
    first = len(wordpieces.SPECIAL) + len({piece for part in parts for piece in part})
    assert list(theirs[first : first + 20]) == made


def test_replay_can_cut_otherwise_than_the_longest_first():
    rank = {piece: place for place, piece in enumerate(["a", "##b", "##c", "##bc", "ab"])}
    assert chapter7.replay("abc", rank) == ["a", "##bc"]  # made first
    assert chapter7.longest_first("abc", rank) == ["ab", "##c"]


# --- BERT ---------------------------------------------------------------------------------


def test_padding_has_no_say(masked):
    x = np.array([[5, 6, 7, 0, 0]], "int32")
    shorter, longer = masked(x[:, :3]), masked(x)[:, :3]
    np.testing.assert_allclose(shorter, longer, atol=1e-5)


def test_both_ends_use_one_table(masked):
    before = masked(np.array([[5, 6]], "int32")).numpy()
    masked.table.assign(masked.table * 2)
    assert masked.count_params() == sum(np.prod(each.shape) for each in masked.weights)
    assert not np.allclose(before, masked(np.array([[5, 6]], "int32")))
    names = [variable.path for variable in masked.weights if tuple(variable.shape) == (40, 12)]
    assert len(names) == 1


def test_a_block_has_no_parts_left_over(masked):
    block = masked.bert.blocks[0]
    count = sum(isinstance(each, keras.layers.LayerNormalization) for each in block._layers)
    assert count == 2


def test_the_mistakes_are_mistakes_but_one(masked):
    options, arrays = dict(masked.bert.sizes), chapter7.to_arrays(masked)
    for name in arrays:
        arrays[name] = np.random.default_rng(len(name)).normal(0, 0.5, arrays[name].shape)
    right = chapter7.masked_bert(options, arrays)
    x = np.array([[5, 6, 7, 8, 0], [9, 10, 0, 0, 0]], "int32")
    for name, other in chapter7.mistaken(options, arrays).items():
        there = np.abs(other(x) - right(x))[x != 0].max()
        assert (there < 1e-5) == (name == "-10,000 for hidden"), name


def test_the_layers_are_the_embeddings_and_each_block(masked):
    found = masked.bert.all_layers(np.array([[5, 6, 7]], "int32"))
    assert [tuple(layer.shape) for layer in found] == [(1, 3, 12)] * 3
    weights = chapter7.attention_of(masked, np.array([[5, 6, 0]], "int32"))
    assert [each.shape for each in weights] == [(3, 3, 3)] * 2
    assert all((each[:, :, 2] < 1e-6).all() for each in weights)  # nobody looks at padding


# --- folders ------------------------------------------------------------------------------


def test_a_folder_gives_the_same_model(masked, folder):
    options, arrays, pieces = bert_folder.read(folder)
    assert pieces == PIECES
    x = np.array([[5, 6, 7, 0]], "int32")
    np.testing.assert_array_equal(chapter7.masked_bert(options, arrays)(x), masked(x))
    config = json.loads((folder / "config.json").read_text())
    assert (config["hidden_act"], config["architectures"]) == ("gelu", ["BertForMaskedLM"])


def test_names_without_bert_and_the_old_names_of_the_norms_are_read(masked):
    arrays = {}
    for name, array in chapter7.to_arrays(masked).items():
        old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
        arrays[old.replace("LayerNorm.bias", "LayerNorm.beta").removeprefix("bert.")] = array
    again = chapter7.masked_bert(dict(masked.bert.sizes), arrays)
    x = np.array([[5, 6]], "int32")
    np.testing.assert_array_equal(again(x), masked(x))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_type": "roberta"}, "only BERT with gelu is read"),
        ({"hidden_act": "relu"}, "only BERT with gelu is read"),
        ({"hidden_size": 13}, "take both files from one model|heads cannot share"),
        ({"vocab_size": 41}, "vocab.txt has 40 pieces"),
        ({"num_hidden_layers": 3}, "there is no bert.encoder.layer.2"),
        ({"num_hidden_layers": -1}, "no whole number above 0"),
        ({"num_attention_heads": "3"}, "no whole number above 0"),
        ({"type_vocab_size": None}, "no whole number above 0"),
        ({"layer_norm_eps": "small"}, "not between 0 and 1"),
    ],
)
def test_a_config_that_does_not_fit_is_one_line(folder, changes, message):
    file = folder / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))

    def load():
        options, arrays, _ = bert_folder.read(folder)
        chapter7.masked_bert(options, arrays)

    with pytest.raises((DataError, ValueError), match=message):
        load()


@pytest.mark.parametrize("name", ["config.json", "vocab.txt", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(DataError, match=name):
        bert_folder.read(folder)


@pytest.mark.parametrize("text", ["[]", "{", '{"hidden_size": 3}', "\ufeff"])
def test_a_config_that_is_none_is_named(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(DataError, match=r"config\.json"):
        bert_folder.read(folder)


def test_pieces_without_mask_are_refused(folder):
    file = folder / "vocab.txt"
    file.write_text(file.read_text().replace("[MASK]", "mask"))
    with pytest.raises(DataError, match=r"has no \[MASK\]"):
        bert_folder.read(folder)


def test_8_bits_keep_the_answers_of_the_books_bert():
    options, arrays, pieces = chapter7.small_bert()
    assert options["words"] == len(pieces) == 5000
    small = chapter7.in_bytes(arrays)
    again = chapter7.from_bytes(small)
    for name, array in arrays.items():
        np.testing.assert_allclose(again[name], array, atol=2e-2 * np.abs(array).max())
    assert sum(array.nbytes for array in small.values()) < 1.2e6


# --- covering -----------------------------------------------------------------------------


def test_cover_asks_only_at_ordinary_pieces_and_draws_anew():
    pieces = np.tile(np.r_[2, np.arange(5, 35), 3, 0, 0], (200, 1)).astype("int32")
    covered, places, answers = chapter7.cover(pieces, np.random.default_rng(0), 40)
    assert (answers >= 5).all()
    assert len(places) / (200 * 30) == pytest.approx(0.15, abs=0.02)
    changed = covered.ravel()[places]
    assert np.mean(changed == 4) == pytest.approx(0.8, abs=0.05)
    again = chapter7.cover(pieces, np.random.default_rng(1), 40)
    assert not np.array_equal(places, again[1])


def test_covered_steps_learn_what_is_certain(masked):
    keras.utils.set_random_seed(0)
    x = np.tile(np.r_[2, 5 + np.arange(7), 3], (40, 1)).astype("int32")  # a place tells the piece
    optimizer = keras.optimizers.AdamW(0.01)
    optimizer.build(masked.trainable_variables)
    step, random = chapter7.make_covered_step(masked, optimizer), np.random.default_rng(0)
    losses = [float(step(*chapter7.cover(x, random, 40))) for _ in range(60)]
    assert losses[0] == pytest.approx(np.log(40), abs=0.2)
    assert losses[-1] < 2.2


def test_fill_names_the_likeliest_pieces(masked):
    masked.head.bias.assign(tf.one_hot(7, 40) * 50)
    assert chapter7.fill(masked, PIECES, "w1 [MASK] w2", count=1) == ["w2 1.00"]


# --- what it knows ------------------------------------------------------------------------


def test_a_probe_finds_what_is_there_and_nothing_else():
    random = np.random.default_rng(0)
    y = random.random(400) < 0.5
    noise = random.normal(size=(400, 8))
    assert np.mean(chapter7.probed(noise, y)) < 0.6
    assert np.mean(chapter7.probed(noise + 3 * y[:, np.newaxis], y)) > 0.95


def test_noun_vectors_are_the_mean_of_the_nouns_pieces():
    keras.utils.set_random_seed(0)
    pieces = (*wordpieces.SPECIAL, "it", "is", "a", ".", "act", "##or", "king")
    bert = chapter7.Bert(len(pieces), width=8, blocks=1, dropout=0.0)
    found = chapter7.noun_vectors(bert, pieces, ["king", "actor"])
    x = wordpieces.rows(["it is a king .", "it is a actor ."], pieces, 16)
    last = bert(x).numpy()
    np.testing.assert_allclose(found[-1][0], last[0, 4], atol=1e-6)
    np.testing.assert_allclose(found[-1][1], last[1, 4:6].mean(axis=0), atol=1e-6)


def test_vectors_are_those_at_the_word():
    keras.utils.set_random_seed(0)
    pieces = (*wordpieces.SPECIAL, "a", "b")
    bert = chapter7.Bert(len(pieces), width=8, blocks=1, dropout=0.0)
    found = chapter7.vectors(bert, pieces, ["a b", "b a a"], "b")
    x = wordpieces.rows(["a b", "b a a"], pieces, 32)
    np.testing.assert_allclose(found[1][0], bert(x)[0, 2], atol=1e-6)
    np.testing.assert_allclose(found[1][1], bert(x)[1, 1], atol=1e-6)
    assert chapter7.cosine(np.array([1.0, 0]), np.array([2.0, 0])) == 1


# --- fine-tuning and main -----------------------------------------------------------------


def small_films(examples=60):
    """Returns splits in which one piece tells praise."""
    from kerasbook.data import Part

    random = np.random.default_rng(0)

    def part():
        y = random.integers(0, 2, examples).astype("int32")
        x = random.integers(8, 40, (examples, 12)).astype("int32")
        x[:, 0], x[:, 3] = 2, 5 + y
        return Part(x, y)

    names = {"classes": ("negative", "positive"), "vocabulary": PIECES}
    return wordpieces.PieceSplits(
        part(), part(), part(), "film_sentences", "Made up", "class", "embedded", **names
    )


@pytest.fixture
def small_data(monkeypatch, masked):
    splits = small_films()
    monkeypatch.setattr(chapter7, "load", lambda dataset, **options: splits)
    options = dict(masked.bert.sizes) | {"places": 12}
    arrays = chapter7.to_arrays(masked)
    arrays["bert.embeddings.position_embeddings.weight"] = np.zeros((12, 12), "float32")
    monkeypatch.setattr(chapter7, "small_bert", lambda: (options, arrays, PIECES))
    return splits


@pytest.mark.parametrize("start", ["pretrained", "random", "frozen"])
def test_main_starts_from_what_it_is_told(small_data, start, monkeypatch):
    _, arrays, _ = chapter7.small_bert()
    result = chapter7.main(epochs=1, start=start, dropout=0.0, progress="none")
    name = "bert.encoder.layer.0.attention.self.query.weight"
    now = chapter7.to_arrays(result.model)[name]
    assert np.array_equal(now, arrays[name]) == (start == "frozen")
    assert (np.abs(now - arrays[name]).max() < 0.1) == (start != "random")
    assert 0 <= result.scores["test"]["accuracy"] <= 1
    assert set(result.figures) == {"history", "confusion"}


def test_main_learns_and_its_model_is_saved_and_loaded(small_data, tmp_path):
    result = chapter7.main(epochs=12, learning_rate=0.01, dropout=0.0, progress="none")
    assert result.scores["test"]["accuracy"] > 0.9
    result.model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    x = small_data.test.x
    np.testing.assert_allclose(again(x), result.model(x), atol=1e-5)


def test_labels_are_the_first_so_many_of_the_training_part(small_data):
    result = chapter7.main(epochs=1, labels=10, progress="none")
    assert len(result.splits.train.y) == 10
    assert len(result.splits.test.y) == 60


def test_main_takes_another_bert_from_a_folder(small_data, folder, monkeypatch):
    monkeypatch.setattr(chapter7, "small_bert", lambda: pytest.fail("the book's own was read"))
    splits = small_films()
    short = [type(part)(part.x[:, :9], part.y) for part in (splits.train, splits.test)]
    import dataclasses

    cut = dataclasses.replace(splits, train=short[0], validation=short[1], test=short[1])
    monkeypatch.setattr(chapter7, "load", lambda dataset, **options: cut)
    result = chapter7.main(epochs=1, pretrained=str(folder), progress="none")
    assert result.model.get_layer("bert").sizes["words"] == 40


def test_the_classifier_in_a_folder_gives_the_same_classes(tmp_path):
    model = chapter7.make_classifier(classes=3, **SIZES)
    chapter7.write_bert(tmp_path, model, PIECES)
    options, arrays, _ = bert_folder.read(tmp_path)
    again = chapter7.make_classifier(classes=3, **options)
    chapter7.from_arrays(again, arrays)
    x = np.array([[2, 6, 7, 3, 0]], "int32")
    np.testing.assert_array_equal(again(x), model(x))


def test_the_mean_leaves_padding_out():
    x = tf.constant(np.arange(12.0).reshape(1, 4, 3))
    mean = chapter7.mean_of(x, tf.constant([[2, 5, 0, 0]]))
    np.testing.assert_allclose(mean, [[1.5, 2.5, 3.5]])


def test_the_writer_of_chapter_6_is_not_changed_by_it():
    assert chapter7.PreNorm.call is chapter6.Block.call
    assert issubclass(chapter7.BertBlock, chapter6.PostNormBlock)


def test_what_the_page_says_of_the_reference_is_what_was_kept():
    kept = ledger.kept_pieces()["differ"]
    shown = load_results()["measurements"]["chapter7"]["characters"]
    assert list(shown.values()) == [
        kept["newer"],
        kept["in Unicode 3.2"],
        kept["ideographs from U+2B820"],
        kept["all"],
    ]
    largest = np.abs(ledger.kept_bert()["masked logits"]).max()
    assert f"{largest:.1f}" in ELSEWHERE


@pytest.mark.slow
def test_the_score():
    result = chapter7.main()
    low, high = load_results()["chapter7"]["film_sentences"]["scores"]["test"]["accuracy"]["band"]
    assert low <= result.scores["test"]["accuracy"] <= high


@pytest.mark.slow
@pytest.mark.parametrize(
    ("way", "name"), [("pretrained", "BERT, fine-tuned"), ("random", "BERT, random start")]
)
def test_the_gain_at_500_labels(way, name):
    path = contents.PACKAGE.parent / "tools" / "measure_fine_tuning.py"
    spec = importlib.util.spec_from_file_location("measure_fine_tuning", path)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    found = []
    for seed in range(5):
        found.append(tool.bert(way, 500, seed, None, 5e-4, True))
        print(f"{way},500,{seed},{found[-1]:.4f}", flush=True)
    kept = load_results()["measurements"]["chapter7"]["fine_tuning"][name]["500"]
    assert np.mean(found) == pytest.approx(np.mean(kept), abs=0.02)
