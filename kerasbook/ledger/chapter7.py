"""Chapter 7: what the ledger claims of word pieces, BERT, its files and masks, and mistakes.

What Hugging Face's libraries gave is kept in reference_pieces.json and reference_bert.npz, made by
tools/ask_transformers.py.
"""

import functools
import json
import struct
import tempfile
from pathlib import Path

from kerasbook import chapter6, chapter7
from kerasbook.data import bert_folder, safetensors, wordpieces
from kerasbook.data.corpus import read_bert_pieces
from kerasbook.data.film import read_film_sentences
from kerasbook.ledger.core import as_pairs, claim, mutant, precision, values_and_gradients
from kerasbook.testing import strings

import keras
import numpy as np
import tensorflow as tf

FOLDER = Path(__file__).parent
WHOLE = {"dtypes": ("float32",), "exact": True}  # nothing but equality will do
SIZES = {"words": 40, "width": 12, "heads": 3, "blocks": 2, "hidden": 20, "places": 9}


@functools.cache
def kept_pieces() -> dict:
    """Returns what `tokenizers` gave."""
    return json.loads((FOLDER / "reference_pieces.json").read_text())


@functools.cache
def kept_bert() -> dict:
    """Returns weights and logits of `transformers`."""
    with np.load(FOLDER / "reference_bert.npz") as arrays:
        return dict(arrays)


def digits(text: str) -> list[int]:
    """Returns a sha256 as numbers, for a pair."""
    return list(bytes.fromhex(text))


# --- word pieces ----------------------------------------------------------------------------


def _pieces_claim(name: str, kept: str, texts) -> None:
    @claim(7, f"word pieces of {name} = tokenizers, every number", sources="NH", **WHOLE)
    def pairs(draw):
        found, expected = texts(), kept_pieces()
        rows = wordpieces.encode(found, read_bert_pieces())
        return {
            "values, how many": (len(rows), expected["counts"][kept]),
            "values": (digits(strings.digest(rows)), digits(expected["digests"][kept])),
        }


_pieces_claim("all film sentences", "films", lambda: [
    text for part in read_film_sentences() for text in part.texts
])  # fmt: skip
_pieces_claim("20,000 strings of Unicode 3.2", "fuzz", lambda: strings.fuzzed(20_000))


@claim(7, "text with [MASK] in it, special or not = tokenizers", sources="NH", **WHOLE)
def _(draw):
    pieces, pairs = read_bert_pieces(), {}
    for number, (text, expected) in enumerate(kept_pieces()["special"].items()):
        pairs[f"values {number}"] = wordpieces.encode([text], pieces, special=True)[0], expected
    (plain,) = wordpieces.encode(["[MASK]"], pieces)
    pairs["values, plain"] = plain, [pieces.index(each) for each in ("[", "mask", "]")]
    return pairs


@claim(7, "the longest first = the library's cut, on made-up words", sources="N", **WHOLE)
def _(draw):
    letters = np.array(list("abc"))
    pieces = {"a", "b", "##a", "##b", "ab", "##bc", "abc", "##ca", "##abca"}  # no ##c
    words = ["".join(draw.random.choice(letters, draw.size(1, 9))) for _ in range(60)]
    ours = [strings.digest(chapter7.longest_first(word, pieces)) for word in words]
    theirs = [strings.digest(wordpieces.split_word(word, pieces)) for word in words]
    by_hand = [strings.digest(cut(word, pieces)) for word in words]
    same = [a == b == c for a, b, c in zip(ours, theirs, by_hand, strict=True)]
    return {"values": (same, [True] * len(words))}


def cut(word: str, pieces: set) -> list[str]:
    """Returns the cut by its definition: the longest piece, then that of the rest."""
    fits = [piece for piece in pieces if not piece.startswith("##") and word.startswith(piece)]
    found = [max(fits, key=len)] if fits else None
    while found and sum(len(piece.removeprefix("##")) for piece in found) < len(word):
        rest = word[sum(len(piece.removeprefix("##")) for piece in found) :]
        fits = [piece for piece in pieces if piece[:2] == "##" and rest.startswith(piece[2:])]
        found = [*found, max(fits, key=len)] if fits else None
    return found or ["[UNK]"]


@claim(7, "trained pieces = those of tokenizers' trainer, but for æ", sources="NH", **WHOLE)
def _(draw):
    texts = [text for part in read_film_sentences() for text in part.texts]
    ours, theirs = set(wordpieces.make_pieces(texts, 400)), set(kept_pieces()["trained"])
    counts = len(ours), len(ours & theirs), len(ours | theirs)
    return {"values": (counts, (400, 399, 401)), "values, æ": (theirs - ours == {"æ"}, True)}


# --- BERT -----------------------------------------------------------------------------------


@claim(7, "gelu, exact and by a tanh = by erfc, by a sigmoid", sources="T")
def _(draw):
    x, pairs = 4 * draw(5, 7), {}
    ways = {"exact": (chapter7.gelu, by_erfc), "by a tanh": (chapter7.gelu_tanh, by_sigmoid)}
    for name, (ours, theirs) in ways.items():
        found = values_and_gradients(ours, theirs, x=x)
        pairs |= {f"{kind}, {name}": pair for kind, pair in found.items()}
    return pairs


def by_erfc(x):
    """Returns the gelu by the complement of the error function."""
    return x * tf.math.erfc(-x * 0.5**0.5) / 2


def by_sigmoid(x):
    """Returns the approximation, for (1 + tanh(a)) / 2 is the sigmoid of 2a."""
    return x * tf.sigmoid((8 / np.pi) ** 0.5 * (x + 0.044715 * x**3))


@claim(7, "gelu, exact and by a tanh = keras.activations.gelu", dtypes=("float32",))
def _(draw):
    x, pairs = 4 * draw(5, 7), {}  # in 64 bits TensorFlow's own is off by 1e-9: its √2 has 32
    for name, ours in {"exact": chapter7.gelu, "by a tanh": chapter7.gelu_tanh}.items():
        theirs = functools.partial(keras.activations.gelu, approximate=name != "exact")
        found = values_and_gradients(ours, theirs, x=x)
        pairs |= {f"{kind}, {name}": pair for kind, pair in found.items()}
    return pairs


def loaded(kind: str):
    """Returns our model with the kept weights of that kind, in 64 bits."""
    arrays = {n.partition("/")[2]: a for n, a in kept_bert().items() if n.startswith(f"{kind}/")}
    with precision("float64"):
        if kind == "masked":
            return chapter7.masked_bert(SIZES, arrays)
        model = chapter7.make_classifier(classes=3, **SIZES)
        chapter7.from_arrays(model, arrays)
        return model


def rows() -> tuple:
    """Returns pieces and segments of four sentences, int32."""
    return kept_bert()["pieces"].astype("int32"), kept_bert()["segments"].astype("int32")


@claim(7, "BERT's logits of all words = BertForMaskedLM", sources="TH", dtypes=("float64",))
def _(draw):
    pieces, segments = rows()
    return {"values": (loaded("masked")(pieces, segments), kept_bert()["masked logits"])}


@claim(7, "BERT's classes = BertForSequenceClassification", sources="TH", dtypes=("float64",))
def _(draw):
    model, (pieces, segments) = loaded("classes"), rows()
    x = model.get_layer("bert")(pieces, segments)
    return {"values": (model.get_layer("head")(x, pieces), kept_bert()["classes logits"])}


@claim(7, "a block of BERT = attention and norms of Keras, gelu by erfc")
def _(draw):
    width, time = 8, draw.size(3, 7)  # a depth of 4: Keras keeps 1/√depth in 32 bits
    with precision(draw.dtype):
        block = chapter7.BertBlock(width, 2, hidden=draw.size(4, 9), epsilon=0.1)
        mask = tf.constant(draw.mask(2, time)[:, np.newaxis])
        block(draw(2, time, width), mask)
        for variable in block.trainable_variables:
            variable.assign(draw(*variable.shape) + 1)
    norms = [keras.layers.LayerNormalization(epsilon=0.1, dtype=draw.dtype) for _ in range(2)]
    wide, narrow = block.feed_forward.layers

    def theirs(x):
        seen = chapter6.keras_attention(block.attention, x, mask=mask)
        first = with_weights(norms[0], block.norm_1, x + seen)
        inner = by_erfc(first @ wide.kernel + wide.bias)
        return with_weights(norms[1], block.norm_2, first + inner @ narrow.kernel + narrow.bias)

    return values_and_gradients(lambda x: block(x, mask), theirs, x=draw(2, time, width))


def with_weights(norm, ours, x):
    """Returns what a layer norm of Keras makes of x with the scale and shift of ours."""
    if not norm.built:
        norm.build(x.shape)
    return norm.stateless_call([ours.gamma.value, ours.beta.value], [], x)[0]


@claim(7, "the head at chosen places = the head at all, then chosen", sources="T")
def _(draw):
    with precision(draw.dtype):
        model = chapter7.MaskedBert(20, 6, heads=2, blocks=1, places=8, dropout=0.0)
        pieces = draw.random.integers(0, 20, (3, 8)).astype("int32")
        everywhere = tf.reshape(model(pieces), (-1, 20))
        places = np.sort(draw.random.permutation(24)[:5])
        return {"values": (model.at(places, pieces), everywhere.numpy()[places])}


@claim(7, "a step on covered pieces = the mean over the chosen places, by Keras")
def _(draw):
    with precision(draw.dtype):
        seed, finals = draw.size(1, 99), []
        pieces = draw.random.integers(5, 20, (3, 8)).astype("int32")
        covered, places, answers = chapter7.cover(pieces, draw.random, 20, share=0.5)
        for by_hand in (True, False):
            keras.utils.set_random_seed(seed)
            model = chapter7.MaskedBert(20, 6, heads=2, blocks=1, places=8, dropout=0.0)
            model(pieces)
            optimizer = keras.optimizers.SGD(2.0**-3)
            optimizer.build(model.trainable_variables)
            if by_hand:
                chapter7.make_covered_step(model, optimizer)(covered, places, answers)
            else:
                step_of_keras(model, optimizer, covered, places, answers)
            finals.append([variable.numpy() for variable in model.trainable_variables])
    return as_pairs("weights", *finals)


def step_of_keras(model, optimizer, covered, places, answers) -> None:
    """Moves the model by the gradient of Keras' loss at the chosen places, weighted by ones."""
    asked = np.zeros(covered.size)
    y = np.zeros(covered.size, "int32")
    asked[places], y[places] = 1 / len(places), answers
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    with tf.GradientTape() as tape:
        logits = tf.reshape(model(covered), (-1, 20))
        loss = loss_fn(y, logits, sample_weight=asked)
    gradients = tape.gradient(loss, model.trainable_variables)
    optimizer.apply(gradients, model.trainable_variables)


@claim(7, "the mean of places = GlobalAveragePooling1D with a mask")
def _(draw):
    time, width = draw.size(3, 7), draw.size()
    pieces = tf.constant(draw.mask(4, time), tf.int32) * 7
    layer = keras.layers.GlobalAveragePooling1D(dtype=draw.dtype)
    return values_and_gradients(
        lambda x: chapter7.mean_of(x, pieces),
        lambda x: layer(x, mask=pieces != 0),
        x=draw(4, time, width),
    )


# --- covering -------------------------------------------------------------------------------


@claim(7, "covered pieces: shares in bounds, nothing special, answers right", sources="N", **WHOLE)
def _(draw):
    pieces = draw.random.integers(5, 200, (400, 60)).astype("int32")
    pieces[:, 0], pieces[:, 40:] = 2, 0
    pieces[:, 39] = 3
    runs = [chapter7.cover(pieces, np.random.default_rng(seed), 200) for seed in (1, 2)]
    covered, places, answers = runs[0]
    flat, before = covered.ravel(), pieces.ravel()
    others = np.delete(np.arange(flat.size), places)
    masked, same = np.mean(flat[places] == 4), np.mean(flat[places] == answers)
    replaced = flat[places][(flat[places] != 4) & (flat[places] != answers)]
    held = {
        "chosen": within(len(places) / (400 * 38), 0.15, 400 * 38),
        "masked": within(masked, 0.8, len(places)),
        "same": within(same, 0.1 + 0.1 / 195, len(places)),
        "ordinary": bool((answers >= 5).all() and (replaced >= 5).all()),
        "all of them": len(np.unique(replaced)) > 130,
        "answers": np.array_equal(answers, before[places]),
        "others": np.array_equal(flat[others], before[others]),
        "anew": not np.array_equal(runs[0][1], runs[1][1]),
    }
    return {f"values, {name}": (found, True) for name, found in held.items()}


def within(share: float, expected: float, count: int) -> bool:
    """Returns whether a share of so many draws is within four standard deviations."""
    return abs(share - expected) < 4 * (expected * (1 - expected) / count) ** 0.5


# --- files ----------------------------------------------------------------------------------


@claim(7, "a safetensors file, by its bytes = what is read; and back", sources="N", **WHOLE)
def _(draw):
    array, whole = draw(draw.size(), 3), draw.random.integers(-9, 9, draw.size()).astype("int8")
    header = (
        f'{{"a":{{"dtype":"F32","shape":[{len(array)},3],"data_offsets":[0,{array.nbytes}]}},'
        f'"b":{{"dtype":"I8","shape":[{len(whole)}],'
        f'"data_offsets":[{array.nbytes},{array.nbytes + whole.nbytes}]}}}}'
    )
    content = struct.pack("<Q", len(header)) + header.encode()
    content += struct.pack(f"<{array.size}f", *array.ravel()) + struct.pack(
        f"{len(whole)}b", *whole
    )
    found, _ = safetensors.parse(content, "made up")
    with tempfile.TemporaryDirectory() as folder:
        safetensors.write(Path(folder) / "x.safetensors", {"a": array, "b": whole})
        again, _ = safetensors.read(Path(folder) / "x.safetensors")
    pairs = {
        f"values of {name}": (found[name], each) for name, each in (("a", array), ("b", whole))
    }
    return pairs | {f"values of {n}, back": (again[n], found[n]) for n in found}


@claim(7, "weights to a folder and back = themselves", sources="T", **WHOLE)
def _(draw):
    sizes = SIZES | {"heads": 4, "segments": 3}
    model = chapter7.MaskedBert(**sizes)
    model(np.ones((1, 2), "int32"))
    for variable in model.variables:
        variable.assign(draw(*variable.shape))
    pieces = (*wordpieces.SPECIAL, *(f"##{number}" for number in range(35)))
    with tempfile.TemporaryDirectory() as folder:
        chapter7.write_bert(folder, model, pieces)
        options, arrays, _ = bert_folder.read(folder)
    again = chapter7.masked_bert(options, arrays)
    same = options == {**model.bert.sizes}
    return {"values, sizes": (same, True)} | as_pairs("weights", again.weights, model.weights)


@claim(7, "weights in 8 bits: none off by more than half a step", sources="N", dtypes=("float32",))
def _(draw):
    arrays = {"table": draw(draw.size(), 9) * 5, "bias": draw(4)}
    arrays["table"][0] *= 100
    small = chapter7.in_bytes(arrays)
    back, largest = chapter7.from_bytes(small), np.abs(arrays["table"]).max(axis=1, keepdims=True)
    near = np.abs(back["table"] - arrays["table"]) <= 0.5001 * largest / 127
    return {
        "values, near": (near.all(), True),
        "values, type": (small["table"].dtype == np.int8, True),
        "values, bias": (back["bias"], arrays["bias"]),
    }


# --- mistakes to be seen --------------------------------------------------------------------

FUZZ, FILMS, SPECIAL = {"by": "strings"}, {"by": "film"}, {"by": "[MASK]"}
WORDS, CLASSES, BLOCK = {"by": "all words"}, {"by": "classes"}, {"by": "block"}
COVER, FILE, FOLDERS = {"by": "covered pieces:"}, {"by": "safetensors"}, {"by": "folder"}
page, cutter = chapter7, wordpieces
mutant(7, cutter.spell, '"Mn"', '"Me"', "accents stay", **FILMS)
mutant(7, cutter.spell, "each.lower()", "each", "capitals stay", **FILMS)
mutant(7, cutter.spell, '"Co")', '"Cn")', "private signs stay", **FUZZ)
mutant(7, cutter.spell, '"\\t\\n\\r"', '"\\t\\n"', "a return is dropped", **FUZZ)
mutant(7, cutter.spell, "if alone or is", "if is", "ideographs stick together", **FUZZ)
mutant(7, cutter.spell, '"NFD"', '"NFKD"', "ligatures are taken apart", **FUZZ)
mutant(7, cutter.is_punctuation, 'startswith("P")', 'startswith("Po")', "dashes are letters",
       **FILMS)  # fmt: skip
mutant(7, cutter.is_punctuation, "(signs and", "(False and", "$ and + are letters", **FUZZ)
mutant(7, cutter.split_word, "> LONGEST_WORD", "> LONGEST_WORD + 1", "101 letters", **SPECIAL)
mutant(7, cutter.split_word, "range(len(word), start, -1)", "range(start + 1, len(word) + 1)",
       "the shortest first", **FILMS)  # fmt: skip
mutant(7, cutter.split_word, "            return [UNKNOWN]", "            return [*parts, UNKNOWN]",
       "only the rest is unknown", **FUZZ)  # fmt: skip
mutant(7, cutter.words_of, "if not special:", "if special:", "the choice turned round", **SPECIAL)
mutant(7, page.longest_first, "range(len(word), 0, -1)", "range(1, len(word) + 1)",
       "the shortest first", by="longest")  # fmt: skip
mutant(7, page.longest_first, 'return ["[UNK]"]', 'return [*pieces, "[UNK]"]',
       "only the rest is unknown", by="longest")  # fmt: skip
mutant(7, cutter.glue, 'removeprefix("##")', 'removeprefix("#")', "## within a piece", by="trained")
mutant(7, page.gelu, "2**0.5", "2", "no root", by="erfc")
mutant(7, page.gelu_tanh, "0.044715", "0.04", "another constant", by="erfc")
mutant(
    7,
    page.Embeddings,
    "+ self.segments(segments)",
    "+ 0 * self.segments(segments)",
    "no row of the segment",
    **WORDS,
)
mutant(
    7, page.Embeddings, "+ self.places(places)", "+ 0 * self.places(places)", "no places", **WORDS
)
mutant(7, page.Embeddings, "self.norm(x)", "x + 0 * self.norm(x)", "no norm", **WORDS)
mutant(7, page.Embeddings, "epsilon=epsilon", "epsilon=1e-3", "Keras' ε", **WORDS)
mutant(7, page.BertBlock, "chapter6.PostNormBlock", "chapter6.Block", "norms before", **WORDS)
mutant(7, page.BertBlock, "gelu if exact", "gelu_tanh if exact", "the other gelu", **BLOCK)
mutant(7, page.BertBlock, 'epsilon=epsilon, name="norm_2"', 'name="norm_2"', "Keras' ε", **BLOCK)
mutant(7, page.Bert, "pieces != 0", "pieces != 1", "padding is looked at", **WORDS)
mutant(7, page.WordHead, "+ self.bias", "", "no bias", **WORDS)
mutant(
    7,
    page.WordHead,
    "self.norm(self.dense(x))",
    "self.dense(x) + 0 * self.norm(x)",
    "no norm",
    **WORDS,
)
mutant(7, page.WordHead, "gelu if exact", "gelu_tanh if exact", "the other gelu", **WORDS)
mutant(7, page.SentenceHead, '"tanh"', '"relu"', "a pooler without tanh", **CLASSES)
mutant(7, page.SentenceHead, "x[:, 0]", "x[:, 1]", "the second place", **CLASSES)
mutant(7, page.mean_of, "kept * x", "x", "padding is in the sum", by="mean of places")
mutant(7, page.mean_of, "pieces != 0", "pieces == pieces", "padding is counted", by="mean of")
mutant(
    7,
    page.variables_of,
    "layer.kernel, True",
    "layer.kernel, layer.units != layer.kernel.shape[0]",
    "square ones are not turned",
    **WORDS,
)
mutant(7, page.parts_of, "block.attention.key", "block.attention.value", "key is value", **WORDS)
mutant(7, page.parts_of, '.output.LayerNorm": block.norm_1', '.output.LayerNorm": block.norm_2',
       "the two norms", **WORDS)  # fmt: skip
mutant(7, page.make_covered_step, "reduce_mean", "reduce_sum", "the sum of the losses", by="step")
mutant(7, page.make_covered_step, "model.at(places", "model.at(places * 0", "one place", by="step")
mutant(7, page.cover, "& ~np.isin(pieces, specials)", "", "special ones are chosen", **COVER)
mutant(7, page.cover, "lot < 0.8", "lot < 1.0", "all become [MASK]", **COVER)
mutant(7, page.cover, "lot >= 0.9", "lot >= 0.8", "none stays", **COVER)
mutant(7, page.cover, "chosen & (lot >= 0.9)", "lot >= 0.9", "others are replaced, too", **COVER)
mutant(7, page.cover, "random.choice(ordinary", "random.choice(words", "specials put in", **COVER)
mutant(7, page.cover, "pieces.ravel()[places]", "covered.ravel()[places]", "answers are seen",
       **COVER)  # fmt: skip
mutant(
    7,
    page.cover,
    "random.random(pieces.shape) < share",
    "np.random.default_rng(0).random(pieces.shape) < share",
    "drawn once for all",
    **COVER,
)
mutant(7, safetensors.split, '"little"', '"big"', "the length the wrong way round", **FILE)
mutant(7, safetensors.write, "place + len(parts[-1])", "place + len(parts)", "offsets", **FILE)
mutant(7, bert_folder.options_of, "GELUS[gelu]", "not GELUS[gelu]", "the other gelu", **FOLDERS)
mutant(7, page.in_bytes, "axis=1, keepdims=True), 1e-7", "keepdims=True), 1e-7", "one scale",
       by="8 bits")  # fmt: skip
mutant(7, page.in_bytes, "np.round(", "np.trunc(", "cut off", by="8 bits")
mutant(7, page.from_bytes, "small[n] / small", "small[n] * small", "times the scale", by="8 bits")
mutant(7, page.cover, "< share)", "< 1.3 * share)", "a fifth is chosen", **COVER)
