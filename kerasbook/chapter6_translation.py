# %% [markdown]
"""
# Chapter 6, continued. Translation

The encoder–decoder that reads letters and says sounds can as well read Spanish and say English. The
model does not change by a line. Three questions remain. What are the symbols? When is a translation
good? And how does one decode quickly, where an answer has twenty-six symbols and not six?

After this page you can

- judge a translation by chrF, and say what the number means and what it does not;
- cut a text into pieces, and say why a word is cut as it is;
- decode with a cache, and check that it changes nothing.

You need the two pages before.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter6_translation`): train, save, end. The cells below
# are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter6_translation")

# %% tags=["hide-input"]
import textwrap
from collections import Counter
from time import perf_counter
from typing import Literal, NamedTuple

from kerasbook import plotting
from kerasbook.chapter6 import (
    attention,
    join_heads,
    make_schedule,
    split_heads,
    whole_batches,
)
from kerasbook.chapter6_encoder_decoder import (
    SmoothedCrossEntropy,
    TokenAccuracy,
    evaluate_tokens,
    greedy,
    make_packed,
    make_pronouncer,
    pack,
    padding_mask,
)
from kerasbook.data import load, load_verses
from kerasbook.data.cmudict import END, PAD, START
from kerasbook.data.subwords import decode, split_pieces
from kerasbook.runner import Result
from kerasbook.training import fit
from kerasbook.training.devices import one_thread_per_operation

# kerasbook comes first: it chooses Keras' backend.
import keras
import numpy as np
import tensorflow as tf

if __name__ == "__main__":
    one_thread_per_operation()  # faster on two cores, if TensorFlow has not computed anything yet

# %% [markdown]
# ## The symbols
#
# The data are verses of the Bible, 10,056 for training, each in Spanish and in English. Whole words
# are too many symbols, and the next verse has words that the others did not have. Characters are
# few, but make long rows. So the symbols are pieces of words, made as in chapter 6: 2,000 of them,
# from both languages of the training part alone.

# %%
if __name__ == "__main__":
    verses = load_verses()
    print(verses)
    pieces = verses.classes
    for row in (verses.test.x[0][0], verses.test.y[0]):
        print(textwrap.fill(decode(row, pieces), 90))

# %%
if __name__ == "__main__":
    cut = split_pieces(decode(verses.test.y[0], pieces), pieces)
    print(textwrap.fill(" | ".join(cut), 90))

# %%
if __name__ == "__main__":
    print(f"{len(pieces):,} pieces")
    print(sorted(pieces, key=len)[-8:])  # the longest
    print(pieces[-8:])  # the last that were joined
    for word in (" king", " kingdom", " kings", " kinsman"):
        print(split_pieces(word, pieces))

# %% [markdown]
# Common words are one piece, rare ones several. But why is *kings* not ` king` and `s`? Because the
# pairs are joined in the order in which they were found, and `ings` was found before ` king`. Every
# text can be cut so, as long as its characters are among those of the training part; one that is
# not becomes `<unknown>`.
#
# The model is the pronouncer of the last page, with pieces in place of letters and of sounds.

# %%
if __name__ == "__main__":
    model = make_pronouncer(width=128, sounds=len(pieces), letters=len(pieces))
    print(f"{model.count_params():,} weights, {128 * 2 * len(pieces):,} of them in the embeddings")

# %% [markdown]
# ## When is a translation good?
#
# There are many good ones, and the data have only one. Is *He said: let there be light* as good
# as *God said, “Let there be light.”*? To count equal words would be too strict, and equal letters
# too kind. *chrF* (Popović 2015) counts *runs*: how many runs of one, two, … six characters do the
# two have in common? Blanks are left out. Here are the runs of three.


# %%
def runs(text, length):
    """Returns how often each run of so many characters occurs in a text, blanks left out."""
    text = "".join(text.split())
    return Counter(text[start : start + length] for start in range(len(text) - length + 1))


# %%
if __name__ == "__main__":
    said, right = "let there be light", "Let there be light."
    print(list(runs(said, 3)))
    common = runs(said, 3) & runs(right, 3)
    print(common.total(), "of", runs(said, 3).total(), "and of", runs(right, 3).total())

# %% [markdown]
# The first share is the *precision* $p$: how much of what was said is right. The second is the
# *recall* $r$: how much of what should be said was said. Who says one sure word has a high
# precision and little recall; who says everything, the reverse.


# %%
def precision_and_recall(said, expected, length) -> tuple[float, float] | None:
    """Returns the shares of common runs, of all texts together; None where there are no runs.

    A text whose right translation is too short for such a run counts in neither, as in sacreBLEU.
    """
    pairs = [(runs(a, length), runs(b, length)) for a, b in zip(said, expected, strict=True)]
    common = sum((a & b).total() for a, b in pairs)
    ours = sum(a.total() for a, b in pairs if b)
    theirs = sum(b.total() for _, b in pairs)
    return (common / ours, common / theirs) if ours and theirs else None


# %%
if __name__ == "__main__":
    for length in range(1, 7):
        p, r = precision_and_recall([said], [right], length)
        print(f"runs of {length}: precision {p:.2f}, recall {r:.2f}")

# %% [markdown]
# The longer the runs, the fewer are common. Take the means $\bar p$ and $\bar r$ over the six
# lengths. Their *harmonic mean* $2 \bar p \bar r / (\bar p + \bar r)$ is high only if both are.
# chrF is a relative of it, in which the recall is $\beta$ times as important. Popović's
# paper has $\beta = 1$ and $3$; sacreBLEU and we take $\beta = 2$:
#
# $$\text{chrF} = \frac{(1 + \beta^2)\, \bar p\, \bar r}{\beta^2\, \bar p + \bar r}
# = \frac{5\, \bar p\, \bar r}{4\, \bar p + \bar r} .$$
#
# With $\beta = 1$ it is the harmonic mean. With a large $\beta$ the first terms above and below
# alone remain, and it is the recall.


# %%
def chrf(said, expected, longest=6) -> float:
    """Returns the chrF score, 0 to 1, of the texts `said` beside those `expected`."""
    shares = [precision_and_recall(said, expected, length) for length in range(1, longest + 1)]
    shares = [pair for pair in shares if pair is not None] or [(0.0, 0.0)]
    precision, recall = np.mean(shares, axis=0)
    return float(5 * precision * recall / max(4 * precision + recall, 1e-9))


# %% [markdown]
# Which of these three will score best, and will the last get 0?

# %%
if __name__ == "__main__":
    right = "God said, “Let there be light.”"
    for said in (
        "And God said: let there be light!",
        "God said",
        "He said nothing at all to them.",
    ):
        print(f"{chrf([said], [right]):.2f}  {said}")

# %% [markdown]
# Hardly any English text has 0: English sentences have runs in common whatever they say, and
# nonsense can come near to a true answer that is too short. So we always state beside it what the
# right translation of *another* verse would get.

# %%
if __name__ == "__main__":
    right = [decode(row, pieces) for row in verses.test.y]
    print(f"another verse: {chrf(right[1:], right[:-1]):.2f}, the same: {chrf(right, right):.2f}")

# %% [markdown]
# What does it not see? Take the right words in a random order. Guess.

# %%
if __name__ == "__main__":
    random = np.random.default_rng(0)
    shuffled = [" ".join(random.permutation(text.split())) for text in right]
    print(shuffled[0])
    print(f"the right words in any order: {chrf(shuffled, right):.2f}")

# %% [markdown]
# That is high for something that nobody can read. chrF sees spelling and choice of words, and
# little of their order; so it can rank two models of the same kind, and says little of one alone.
#
# ## A cache
#
# The greedy decoding of the last page asks the model again with all that it has said so far. How
# many tokens does its decoder compute for a verse of 64 pieces? $1 + 2 + \dots + 64$, where 64
# would do, because the earlier tokens look back only: what comes later changes nothing about their
# keys and values. So every block keeps those in a *cache*, and a step computes one token. Queries
# are not kept, because an old token never asks again. And no causal mask is needed, because all the
# keys that are there are of the past. The encoder and its keys and values, too, are computed once,
# while `greedy` reads the Spanish anew at every step.

# %%
if __name__ == "__main__":
    print(sum(range(1, 65)), "tokens without a cache,", 64, "with one")


# %%
class Cache(NamedTuple):
    """What a block keeps from one step to the next: four arrays (n, heads, time, depth)."""

    keys: tf.Tensor  # of all the tokens so far
    values: tf.Tensor
    memory_keys: tf.Tensor  # of the encoder's output, which stays the same
    memory_values: tf.Tensor


# %%
def keys_values(layer, x):
    """Returns the keys and the values that an Attention makes of x: two (n, heads, time, depth)."""
    return split_heads(layer.key(x), layer.heads), split_heads(layer.value(x), layer.heads)


def start_cache(block, memory):
    """Returns the Cache of a decoder's block before the first step."""
    keys, values = keys_values(block.cross_attention, memory)
    return Cache(keys[:, :, :0], values[:, :, :0], keys, values)  # of no tokens yet


# %% [markdown]
# The blocks themselves stay as they are. What follows takes their layers and does one step with
# them; compare it with `DecoderBlock.call`.


# %%
def attend(layer, x, keys, values, mask=None):
    """Returns what the Attention `layer` makes of x, with keys and values that are there."""
    query = split_heads(layer.query(x), layer.heads)
    return layer.projection(join_heads(attention(query, keys, values, mask)[0]))


# %%
def cached_block(block, x, cache, memory_mask):
    """Returns what a DecoderBlock makes of the newest token, x (n, 1, width), and the cache."""
    new = keys_values(block.attention, block.norm_1(x))
    old = cache.keys, cache.values
    keys, values = (tf.concat(pair, axis=2) for pair in zip(old, new, strict=True))
    x = x + attend(block.attention, block.norm_1(x), keys, values)
    normed = block.norm_across(x)
    memory = cache.memory_keys, cache.memory_values
    x = x + attend(block.cross_attention, normed, *memory, memory_mask[:, tf.newaxis])
    x = x + block.feed_forward(block.norm_2(x))
    return x, Cache(keys, values, *memory)


# %%
def cached_step(model, token, place, caches, memory_mask):
    """Returns the logits (n, pieces) after the tokens (n,) at a place, and the longer caches."""
    decoder, longer = model.get_layer("decoder"), []
    x = decoder.embedding(token[:, np.newaxis], tf.constant([place]))
    for block, cache in zip(decoder.blocks, caches, strict=True):
        x, cache = cached_block(block, x, cache, memory_mask)
        longer.append(cache)
    return model.get_layer("logits")(decoder.norm(x))[:, 0], longer


# %%
def translate(model, source, longest=None):
    """Returns the pieces (n, longest) int32 of rows (n, time): `greedy`, with a cache."""
    mask = padding_mask(source)
    memory = model.get_layer("encoder")(source, mask)
    caches = [start_cache(block, memory) for block in model.get_layer("decoder").blocks]
    token, ended = np.full(len(source), START, "int32"), np.zeros(len(source), bool)
    said = np.full((len(source), longest or source.shape[1]), PAD, "int32")
    for place in range(said.shape[1]):
        logits, caches = cached_step(model, token, place, caches, mask)
        token = np.where(ended, PAD, np.argmax(logits, axis=-1)).astype("int32")
        said[:, place] = token
        ended |= token == END
        if ended.all():
            break
    return said


# %% [markdown]
# Is the cache right? The model without a cache, given what was said, must give the same logits, and
# `greedy` must say the same. The model is not yet trained; at the end of the page the trained one
# is asked again.


# %%
def compare_cache(model, source) -> float:
    """Returns the largest difference between the logits with a cache and those without."""
    said = translate(model, source)
    before = np.concatenate([np.full((len(said), 1), START), said[:, :-1]], axis=1).astype("int32")
    at_once, mask = model((source, before)), padding_mask(source)
    memory = model.get_layer("encoder")(source, mask)
    caches = [start_cache(block, memory) for block in model.get_layer("decoder").blocks]
    worst = 0.0
    for place in range(said.shape[1]):
        logits, caches = cached_step(model, before[:, place], place, caches, mask)
        worst = max(worst, float(np.abs(logits - at_once[:, place]).max()))
    return worst


# %%
if __name__ == "__main__":
    source = verses.test.x[0][:50]
    print(f"logits with and without a cache, largest difference {compare_cache(model, source):.0e}")
    print("the same pieces:", np.array_equal(translate(model, source), greedy(model, source, 64)))

# %% [markdown]
# And how much sooner is it done? Not thirty-two times: a step of one token has little to compute
# and much else to do, and `translate` is not compiled as `greedy` is. (Run the cell to see it on
# your machine.)

# %% tags=["timing"]
if __name__ == "__main__":
    for decode_all in (greedy, translate):
        started = perf_counter()
        decode_all(model, source, 64)
        print(f"{decode_all.__name__:10} {perf_counter() - started:.1f} s for {len(source)} verses")

# %% [markdown]
# Exercise of chapter 6: `cached_mask`, the mask of such a step when several tokens come at once.
#
# ## What it says
#
# Verses are laid several in a row of 64 places, as the words were. How many are that?

# %%
if __name__ == "__main__":
    lengths = (verses.train.y != PAD).sum(axis=1)
    print(f"{lengths.mean():.0f} pieces in an English verse, {lengths.max()} in the longest")
    (spanish, *_), english, weight = pack(verses.train, room=64)
    print(f"{len(lengths):,} verses in {len(english):,} rows, {weight.mean():.0%} full of English")

# %% [markdown]
# `main` loads, makes the model, trains it packed, and translates, as
# `python -m kerasbook.chapter6_translation` does. It takes some minutes. What do you expect of
# three passes over ten thousand verses?


# %%
def translated(model, source, pieces) -> list[str]:
    """Returns the texts that the model makes of rows (n, time)."""
    return [decode(row, pieces) for row in translate(model, source)]


# %%
def evaluate_translator(model, splits, shown=4) -> dict[str, dict[str, float]]:
    """Returns the scores by part: loss, accuracy, chrF; prints the first translations."""
    scores, pieces = {}, splits.classes
    for name in ("validation", "test"):
        part = getattr(splits, name)
        said, right = translated(model, part.x[0], pieces), [decode(row, pieces) for row in part.y]
        scores[name] = evaluate_tokens(model, part)
        scores[name] |= {"chrf": chrf(said, right), "chrf_of_another": chrf(right[1:], right[:-1])}
    for row, *texts in zip(splits.test.x[0][:shown], said, right, strict=False):
        print(decode(row, pieces), f"  says:  {texts[0]}", f"  right: {texts[1]}", sep="\n")
    return scores


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["verses", "ted_hrlr_translate"],
    "headline": ["test", "chrf"],
    "bounds": {"dropout": [0, 0.999], "label_smoothing": [0, 0.999]},
    "minutes": 8,
}


def main(
    epochs: int = 3,
    batch_size: int = 12,
    learning_rate: float = 0.004,
    width: int = 128,
    heads: int = 4,
    blocks: int = 2,
    dropout: float = 0.0,
    label_smoothing: float = 0.0,
    seed: int = 0,
    dataset: Literal["verses", "ted_hrlr_translate"] = "verses",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a Transformer to translate: Bible verses from Spanish, or talks from Portuguese.

    Args:
        epochs: passes over the training part
        batch_size: rows of several verses per step
        learning_rate: of Adam after the warm-up; it falls to zero along half a cosine
        width: numbers per token
        heads: of each attention
        blocks: of the encoder and of the decoder
        dropout: share of what each part adds to a token that is dropped
        label_smoothing: share of the target that all classes have in equal parts
        seed: of the first weights, the shuffling and the dropout
        dataset: ted_hrlr_translate is from TensorFlow Datasets
        examples: use the first so many examples of each part
        fit_options: handed on to kerasbook.training.fit
    """
    one_thread_per_operation()  # faster on two cores
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    train, pieces = whole_batches(pack(splits.train, room=64), batch_size), len(splits.classes)
    model = make_pronouncer(width, heads, blocks, pieces, pieces, dropout=dropout)
    model.summary()

    schedule = make_schedule(learning_rate, len(train[1]), batch_size, epochs)
    history = fit(
        make_packed(model),
        train,
        loss_fn=SmoothedCrossEntropy(label_smoothing),
        optimizer=keras.optimizers.Adam(schedule, beta_2=0.98),
        metrics=[TokenAccuracy()],
        epochs=epochs,
        batch_size=batch_size,
        validation_data=pack(splits.validation, room=64),
        seed=seed,
        **fit_options,
    )
    scores = evaluate_translator(model, splits)
    figures = {"history": plotting.plot_history(history)}
    return Result(splits, model, history, scores, figures)


# %% alt="Loss and accuracy over three epochs: both losses fall and both accuracies rise to the last epoch, those of the training part faster than those of the validation part."
if __name__ == "__main__":
    result = main(progress="none")
    print({name: round(value, 3) for name, value in result.scores["test"].items()})

# %%
if __name__ == "__main__":
    print(f"with and without a cache, trained: {compare_cache(result.model, source):.0e}")

# %% [markdown]
# The cache holds for the trained model, too: its logits are larger, and so is their rounding.
#
# Sometimes it finds a name, as in the first verse, and sometimes it invents one, as in the third.
# It makes English that says something else. In the picture the training loss begins above the
# validation loss, because it is the mean over an epoch in which the model is still learning, and
# the accuracy is the share of pieces that are right, given the right ones before. Where does its
# chrF stand?
#
# | English | chrF |
# |---|---|
# | the right translation of another verse | 0.157 |
# | the model's | 0.272 |
# | the right words in any order | 0.58 |
# | the right translation | 1 |
#
# That is little. The model is small, has seen ten thousand verses three times, and its validation
# loss still falls; which of these matters most was not measured, and this is one run.
# `--dataset ted_hrlr_translate` has five times as many sentences, from talks, in Portuguese.
#
# ## What to try
#
# - `--epochs 10`: how far does chrF climb? When does the validation loss turn?
# - `--width 64` and `--width 256`, each for the same time.
# - Beam search with a cache: which rows of the cache go with which beginning?
#
# ## Exercises
#
# Those of chapter 6; `cached_mask` and `merge_ids` are closest to this page.
#
# ## Where to go next
#
# Here the chapters end that build a model from its formula. They began with a line through points,
# and came to a model that reads one language and says another, and one thing has stayed the same: a
# loss, its gradient, a small step. What changed is how the model looks at its input. Above all you
# have tested what you built before you believed it; take that along. `kerasbook verify` compares
# all that was built by hand with Keras, and [The articles' mistakes](errata.ipynb) has the mistakes
# of all the articles in one place.
