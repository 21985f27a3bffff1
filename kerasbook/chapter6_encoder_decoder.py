# %% [markdown]
"""
# Chapter 6, continued. Saying words

How is *thoughtfully* said? Letters go in and sounds come out, not one for one: *th* is one sound,
*ou* is another, and *gh* is none. Chapter 6 built a model that writes, one stack of blocks with one
mask. Here are two stacks. An *encoder* reads the letters, all of them, in both directions; a
*decoder* says the sounds, one after another, and looks at what the encoder has read. First comes a
pair of recurrent networks that does the same, so that there is something to beat.

After this page you can

- build an encoder–decoder with cross-attention, and test its masks by probes;
- decode greedily and by beam, and count mistakes in edits;
- find out which letters a model looks at while it says a sound;
- lay several words in one row, and check that nothing changes.

You need chapter 6, and chapter 4 for the baseline.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter6_encoder_decoder`): train, save, end. The cells below
# are for reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter6_encoder_decoder")

# %% tags=["hide-input"]
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter6 import (
    Attention,
    Block,
    Stack,
    and_causal,
    causal_mask,
    compare_layer,
    keras_attention,
    logits_layer,
    make_schedule,
    plot_rates,
    random_layer,
    whole_batches,
)
from kerasbook.data import load, load_cmudict
from kerasbook.data.cmudict import (
    END,
    LETTERS,
    PAD,
    START,
    encode_letters,
    read_words,
    spelling,
)
from kerasbook.runner import Result
from kerasbook.testing import probes
from kerasbook.testing.compare import compare_functions
from kerasbook.training import evaluate, fit
from kerasbook.training.devices import one_thread_per_operation

# kerasbook comes first: it chooses Keras' backend.
import keras
import numpy as np
import tensorflow as tf
from keras import layers

if __name__ == "__main__":
    one_thread_per_operation()  # faster on two cores, if TensorFlow has not computed anything yet

# %% [markdown]
# ## Words and sounds
#
# CMUdict says how Americans pronounce English words, in 39 sounds with names such as `AH` and `NG`.
# The stress of the vowels is left out. 1,000 words are kept for the test, and no model sees them
# before.

# %%
if __name__ == "__main__":
    splits = load_cmudict()
    print(splits)
    (letters, before), after = splits.train
    for word, sounds in zip(letters[:5], after[:5], strict=True):
        print(f"{spelling(word):12}", *(splits.classes[sound] for sound in sounds))

# %% [markdown]
# A word is a row of numbers: `letters` is (n, 14), with zeros behind the last letter. What is to be
# said is `after`, (n, 16), and it ends in `<end>`, because the model must also say when it is done.
# Why is there a third table, `before`?

# %%
if __name__ == "__main__":
    print("before:", *(splits.classes[sound] for sound in before[0]))
    print("after: ", *(splits.classes[sound] for sound in after[0]))

# %% [markdown]
# The model says one sound at a time, and what it says depends on what it has said. So the decoder
# gets the sounds before the one it is to name: the same row, moved to the right by one, with
# `<start>` in front. Each of the 16 places is an exercise of its own, and all are done at once.
#
# Behind the end of a word there is nothing to say. There the *loss weight* is 0, and else 1; a loss
# that is averaged over the padding too looks better than it is. (`before` has one token for every
# answer, `<end>` included, so it shows where the answers are.)


# %%
def as_rows(part):
    """Returns (x, y, loss weight) of a part: (n, time), 1 where there is something to say."""
    return part.x, part.y, (part.x[1] != PAD).astype("float32")


# %% [markdown]
# ## How wrong is a word?
#
# If a model says one sound too many at the beginning, all later ones stand at another place, and
# yet only one is wrong. So we count *edits*: the fewest insertions, deletions and replacements that
# make one row of sounds the other. How many are there from *kitten* to *sitting*? Let $D_{ij}$ be
# the distance of the first $i$ of one and the first $j$ of the other. The last edit replaces a
# symbol (or keeps it, for nothing, where the two are equal), deletes one or inserts one:
#
# $$D_{ij} = \min(D_{i-1,j-1} + [a_i \ne b_j],\; D_{i-1,j} + 1,\; D_{i,j-1} + 1) .$$
#
# A table of them is filled row by row.


# %%
def edit_distance(first, second):
    """Returns the fewest insertions, deletions and replacements that turn `first` into `second`."""
    distances = list(range(len(second) + 1))  # from nothing to the first j of second
    for i, a in enumerate(first, start=1):
        row = [i]
        for j, b in enumerate(second, start=1):
            replaced, deleted, inserted = distances[j - 1] + (a != b), distances[j] + 1, row[-1] + 1
            row.append(min(replaced, deleted, inserted))
        distances = row
    return distances[-1]


# %%
if __name__ == "__main__":
    print(edit_distance("kitten", "sitting"))

# %% [markdown]
# *k* becomes *s*, *e* becomes *i*, and a *g* is added. The *phoneme error* is the number of edits
# per sound (a *phoneme* is a sound that tells words apart). It is 1 for who says nothing, and more
# for who says much that is wrong, because every superfluous sound is an edit. The *word error*
# counts a word as wrong for a single sound.


# %%
def sounds_of(row):
    """Returns the sounds of a row as a list, without `<end>` and what follows."""
    row = list(row)
    return row[: row.index(END)] if END in row else [sound for sound in row if sound != PAD]


def error_rates(said, after) -> dict[str, float]:
    """Returns the phoneme error rate, edits per sound of `after`, and the share of wrong words."""
    pairs = [(sounds_of(a), sounds_of(b)) for a, b in zip(said, after, strict=True)]
    edits = [edit_distance(a, b) for a, b in pairs]
    sounds = sum(len(b) for _, b in pairs)
    wrong = sum(distance > 0 for distance in edits)
    return {"phoneme_error": float(sum(edits) / sounds), "word_error": float(wrong / len(edits))}


# %% [markdown]
# ## First, two recurrent networks
#
# One GRU reads the letters. What it has read is its last state, 160 numbers, and that is the first
# state of a second GRU, which says the sounds. (Sutskever, Vinyals and Le translated so in 2014,
# with LSTMs of four layers that read the sentence backwards; the GRU is from Cho and others, of the
# same year.)


# %%
def make_recurrent(units=160, width=64, sounds=42, letters=27) -> keras.Model:
    """Returns the recurrent encoder–decoder: (letters (n, time), sounds so far) → logits."""
    spelt, before = (keras.Input((None,), dtype="int32", name=n) for n in ("letters", "before"))
    x = layers.Embedding(letters, width, mask_zero=True)(spelt)
    state = layers.GRU(units, name="encoder")(x)
    x = layers.Embedding(sounds, width)(before)
    x = layers.GRU(units, return_sequences=True, name="decoder")(x, initial_state=state)
    return keras.Model([spelt, before], logits_layer(sounds)(x), name="recurrent")


# %% [markdown]
# In training the decoder gets the right sounds so far. When it speaks there are none: it gets its
# own. Begin with `<start>`, take the likeliest sound, append it, ask again, until it says `<end>`.
# That is *greedy* decoding. (It computes the same over and over; the page on translation mends
# that.)


# %%
def next_logits(model):
    """Returns the compiled function (letters, sounds so far) → logits (n, sounds) of the next."""
    rows = tf.TensorSpec((None, None), tf.int32)
    return tf.function(lambda letters, said: model((letters, said))[:, -1], [rows, rows])


def greedy(model, letters, longest=16):
    """Returns the sounds (n, longest) int32 of letters (n, time), the likeliest at every step."""
    forward = next_logits(model)
    said = np.full((len(letters), 1), START, "int32")
    ended = np.zeros(len(letters), bool)
    for _ in range(longest):
        logits = forward(letters, said)
        token = np.where(ended, PAD, np.argmax(logits, axis=-1)).astype("int32")
        ended |= token == END
        said = np.concatenate([said, token[:, np.newaxis]], axis=1)
    return said[:, 1:]


# %% [markdown]
# The loss is the cross-entropy of chapter 2 at every place, the accuracy the share of sounds that
# are right, given the right ones before; both leave the padding out. What the loss does with
# `smoothing` is told under *A loss that is less sure*; here it is 0.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class SmoothedCrossEntropy(keras.losses.Loss):
    """The cross-entropy from logits with smoothed labels, a mean over the places with weight."""

    def __init__(self, smoothing=0.0, name="cross_entropy", **options):
        """Takes the share of the target that all classes have in equal parts."""
        super().__init__(name=name, reduction="mean_with_sample_weight", **options)
        self.smoothing = smoothing

    def call(self, y_true, y_pred):
        """Returns the loss (n, time) of class numbers (n, time) and logits (n, time, classes)."""
        log_probability = tf.nn.log_softmax(y_pred)
        right = tf.gather(log_probability, tf.cast(y_true, tf.int32), batch_dims=2)
        all_classes = tf.reduce_mean(log_probability, axis=-1)
        return -(1 - self.smoothing) * right - self.smoothing * all_classes

    def get_config(self):
        """Returns what `__init__` needs."""
        return {"smoothing": self.smoothing, "name": self.name}


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class TokenAccuracy(keras.metrics.Mean):
    """The share of places where the largest logit is the target's, padding left out."""

    def __init__(self, name="accuracy", **options):
        """Takes a name."""
        super().__init__(name=name, **options)

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Counts y_true (n, time) and logits (n, time, classes)."""
        y_true = tf.cast(y_true, tf.int64)
        right = tf.cast(tf.argmax(y_pred, axis=-1) == y_true, self.dtype)
        super().update_state(right, sample_weight=tf.cast(y_true != PAD, self.dtype))


# %%
def train_shortly(model, splits, learning_rate, epochs=3, batch_size=96) -> keras.Model:
    """Returns the model after some epochs on rows of one word."""
    schedule = make_schedule(learning_rate, len(splits.train.y), batch_size, epochs)
    fit(
        model,
        as_rows(splits.train),
        loss_fn=SmoothedCrossEntropy(),
        optimizer=keras.optimizers.Adam(schedule, beta_2=0.98),
        epochs=epochs,
        batch_size=batch_size,
        progress="none",
    )
    return model


# %% [markdown]
# How long does it take to learn 15,000 words? Three passes must do. Each of the two models that are
# compared here got the learning rate that did best on the validation part, of 0.002, 0.004, 0.008,
# 0.012 and 0.016. For the Transformer that was 0.008. For the recurrent pair it was the largest
# that was tried, so one beyond it might do better still; and whether more passes would help either
# was not tried.

# %%
if __name__ == "__main__":
    few = splits.take(15_000)  # words for training; 1,000 for the test
    keras.utils.set_random_seed(0)
    recurrent = train_shortly(make_recurrent(), few, learning_rate=0.016)
    said_by_recurrent = greedy(recurrent, few.test.x[0])
    errors = error_rates(said_by_recurrent, few.test.y)
    print(f"{recurrent.count_params():,} weights, phoneme error {errors['phoneme_error']:.3f}")

# %% [markdown]
# ## Looking across
#
# All that the recurrent decoder knows of the word has gone through 160 numbers, whether the word
# has three letters or fourteen. What if the decoder could look at every letter while it speaks?
# That is *cross-attention*: the queries come from the sounds so far, keys and values from the
# letters. (The picture leaves out the sums and the norms.)

# %% alt="Letters pass a stack on the left; the right one, with sounds so far, looks at its output."
if __name__ == "__main__":
    plotting.plot_encoder_decoder()

# %% [markdown]
# The encoder's output is called a *memory*. A block of the decoder has three parts: it looks back
# at its own tokens, then across at the memory, then each token thinks by itself.


# %%
class DecoderBlock(Block):
    """A block that also looks at a memory, the encoder's output."""

    def __init__(self, width, heads, dropout=0.0, **options):
        """Takes what Block takes."""
        super().__init__(width, heads, dropout, **options)
        self.norm_across = layers.LayerNormalization(epsilon=1e-6, name="norm_across")
        self.cross_attention = Attention(width, heads, name="cross_attention")

    def call(self, x, memory, attention_mask=None, memory_mask=None, training=False):
        """Returns x (n, time, width); memory (n, keys, width), its mask (n, time or 1, keys)."""
        seen = self.attention(self.norm_1(x), attention_mask=attention_mask)
        x = x + self.drop(seen, training=training)
        seen = self.cross_attention(self.norm_across(x), memory, memory_mask)
        x = x + self.drop(seen, training=training)
        x = x + self.drop(self.feed_forward(self.norm_2(x)), training=training)
        return x


# %% [markdown]
# Nobody shall look at padding, so the mask of the letters is `True` where there is a letter. A
# query at the padding looks at letters too, which does no harm, because nobody takes its output.
# (It must be allowed to look at something, or scores of −∞ would make zero divided by zero of the
# softmax, and one NaN in a gradient spoils every weight. That is why chapter 6 takes the lowest
# number and not −∞.) The sounds need no such mask: their padding comes last, and the causal mask
# hides it already.


# %%
def padding_mask(tokens):
    """Returns (n, 1, time) from tokens (n, time): True where there is one, for every query."""
    return (tokens != PAD)[:, np.newaxis]


# %% [markdown]
# Is the block right? The same with the attention of Keras, the same weights and masks; the
# original's block, which normalises the sums, is folded away with it.


# %% tags=["hide-input"]
class PostNormDecoderBlock(DecoderBlock):
    """The original's: each sum is normalised."""

    def call(self, x, memory, attention_mask=None, memory_mask=None, training=False):
        """Returns x (n, time, width), as DecoderBlock does."""
        seen = self.attention(x, attention_mask=attention_mask)
        x = self.norm_1(x + self.drop(seen, training=training))
        seen = self.cross_attention(x, memory, memory_mask)
        x = self.norm_across(x + self.drop(seen, training=training))
        return self.norm_2(x + self.drop(self.feed_forward(x), training=training))


def keras_decoder_block(block, x, memory, mask=None, memory_mask=None):
    """Returns what `block` returns, with the attention of Keras."""
    if isinstance(block, PostNormDecoderBlock):
        x = block.norm_1(x + keras_attention(block.attention, x, mask=mask))
        x = block.norm_across(x + keras_attention(block.cross_attention, x, memory, memory_mask))
        return block.norm_2(x + block.feed_forward(x))
    x = x + keras_attention(block.attention, block.norm_1(x), mask=mask)
    seen = keras_attention(block.cross_attention, block.norm_across(x), memory, memory_mask)
    x = x + seen
    return x + block.feed_forward(block.norm_2(x))


def compare_decoder_block(kind=DecoderBlock, dtype="float64", seed=0) -> dict[str, float]:
    """Returns the largest differences to the block of Keras' layers: values, every gradient."""
    random = np.random.default_rng(seed)
    x, memory = (random.normal(size=(2, count, 12)).astype(dtype) for count in (5, 7))
    block = random_layer(lambda: kind(12, 3), x, memory, dtype=dtype, seed=seed)
    masks = causal_mask(5)[tf.newaxis], tf.constant(random.random((2, 5, 7)) < 0.5)
    return compare_layer(
        block,
        lambda x, memory: block(x, memory, *masks),
        lambda x, memory: keras_decoder_block(block, x, memory, *masks),
        x,
        memory,
    )


if __name__ == "__main__":
    for kind in (DecoderBlock, PostNormDecoderBlock):
        differences = compare_decoder_block(kind)
        print(
            f"{kind.__name__}: values and {len(differences) - 1} gradients equal to those of "
            f"Keras' layers, largest difference {max(differences.values()):.0e}"
        )

# %% [markdown]
# A stack of such blocks is chapter 6's `Stack` with a memory.


# %%
@keras.saving.register_keras_serializable(package="kerasbook")
class DecoderStack(Stack):
    """A Stack of decoder's blocks: tokens (n, time) and a memory → (n, time, width)."""

    kinds = DecoderBlock, PostNormDecoderBlock

    def call(
        self, tokens, memory, attention_mask=None, memory_mask=None, places=None, training=False
    ):
        """Returns (n, time, width); masks and places as Stack and DecoderBlock take them."""
        if self.causal:
            attention_mask = and_causal(attention_mask, tf.shape(tokens)[1])
        x = self.drop(self.embedding(tokens, places), training=training)
        for block in self.blocks:
            x = block(x, memory, attention_mask, memory_mask=memory_mask, training=training)
        return x if self.norm is None else self.norm(x)


# %% [markdown]
# The encoder reads the letters, both ways. The decoder reads the sounds so far, looks back only,
# and looks at the memory. A last dense layer makes 42 logits of each token: 39 sounds, the padding,
# `<start>` and `<end>`.


# %%
def make_pronouncer(
    width=64, heads=4, blocks=2, sounds=42, letters=27, causal=True, **options
) -> keras.Model:
    """Returns the encoder–decoder: (letters (n, time), sounds so far (n, time)) → logits.

    The inputs are whole numbers below `letters` and below `sounds`, the numbers of their kinds;
    the logits are (n, time, sounds). `options` go to both stacks; `causal` hides the future.
    """
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in ("letters", "before")]
    spelt, before = inputs
    encoder = Stack(letters, width, heads, blocks, name="encoder", **options)
    decoder = DecoderStack(sounds, width, heads, blocks, causal, name="decoder", **options)
    mask = padding_mask(spelt)
    said = decoder(before, encoder(spelt, mask), memory_mask=mask)
    return keras.Model(inputs, logits_layer(sounds)(said), name="pronouncer")


# %%
if __name__ == "__main__":
    model = make_pronouncer()
    model.summary()

# %% [markdown]
# (In the summary, `not_equal` and `get_item` are the mask of the padding.)
#
# ## Five probes
#
# Five properties are asked for, before any training. For each there is also something broken on
# purpose, because a probe is worth something only if it fails where it should.
#
# | probe | what must hold | what is broken |
# |---|---|---|
# | causality | later sounds change no logit before them | no causal mask |
# | padding | zeros after the letters change no logit | the decoder gets no mask of the letters |
# | permutation | a stack without waves sees a bag of letters | the encoder, which has waves |
# | loss at the start | about $\ln 42$: all are equally likely | the last weights, made large |
# | overfitting | eight words can be memorised | the data: one word with eight answers |


# %%
def as_speaker(model, letters):
    """Returns the function: sounds so far (n, time) → logits, for fixed letters."""
    return lambda before: model((letters, before))


def as_reader(model):
    """Returns the function: letters (n, time) → the encoder's output."""
    return lambda letters: model.get_layer("encoder")(letters, padding_mask(letters))


# %%
if __name__ == "__main__":
    x, y, weight = tf.nest.map_structure(lambda a: tf.constant(a[:8]), as_rows(splits.train))
    letters, before = x
    short = tf.maximum(letters[:, :5], 1)  # five letters each, no padding
    shuffled = Stack(len(LETTERS), 64, 4, blocks=2, positions="none")
    loss_fn = SmoothedCrossEntropy()

# %%
if __name__ == "__main__":
    print(probes.causality(as_speaker(model, letters), before))
    print(probes.padding(lambda letters: model((letters, before)), short))
    print(probes.permutation(shuffled, short))
    print(probes.start_loss(model, x, y))
    print(probes.overfits(model, x, y, lambda y, y_pred: loss_fn(y, y_pred, weight)))

# %% [markdown]
# All five hold. And what is broken?


# %%
def without_mask(model, letters, before):
    """Returns the logits of a pronouncer whose decoder looks at padding too."""
    memory = as_reader(model)(letters)
    return model.get_layer("logits")(model.get_layer("decoder")(before, memory))


# %%
if __name__ == "__main__":
    peeping, loud = make_pronouncer(causal=False), make_pronouncer()
    loud.get_layer("logits").kernel.assign(loud.get_layer("logits").kernel * 100)
    one_word = tf.nest.map_structure(lambda a: tf.repeat(a[:1], 8, axis=0), x)
    print(probes.causality(as_speaker(peeping, letters), before))
    print(probes.padding(lambda letters: without_mask(model, letters, before), short))
    print(probes.permutation(as_reader(model), short))
    print(probes.start_loss(loud, x, y))
    print(probes.overfits(model, one_word, y, loss_fn, steps=50))

# %% [markdown]
# All five fail, as they should.
#
# ## Does looking help?
#
# The same words, the same number of steps, about as many weights. Guess by how much the errors
# differ, and at which words.

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = train_shortly(make_pronouncer(), few, learning_rate=0.008)
    said = greedy(model, few.test.x[0])
    errors = error_rates(said, few.test.y)
    print(f"{model.count_params():,} weights, phoneme error {errors['phoneme_error']:.3f}")


# %%
def errors_by_length(said, part, groups=((2, 5), (6, 7), (8, 9), (10, 14))) -> dict[str, float]:
    """Returns the phoneme error of the words with so many letters, by group."""
    lengths = (part.x[0] != PAD).sum(axis=1)
    found = {}
    for low, high in groups:
        chosen = (low <= lengths) & (lengths <= high)
        errors = error_rates(said[chosen], part.y[chosen])
        found[f"{low} to {high}"] = errors["phoneme_error"]
    return found


# %%
if __name__ == "__main__":
    pair = {"recurrent": said_by_recurrent, "Transformer": said}
    curves = {name: errors_by_length(each, few.test) for name, each in pair.items()}
    for name, errors in curves.items():
        print(f"{name:12}", {group: round(error, 3) for group, error in errors.items()})

# %% tags=["hide-input"] alt="The Transformer has fewer errors in all four groups, and the gap widens with the length."
if __name__ == "__main__":
    ax = plotting.plot_lines(
        {name: list(errors.values()) for name, errors in curves.items()},
        x_label="letters of the word",
        y_label="phoneme error",
    )
    ax.set_ylim(bottom=0)
    ax.set_xticks(range(1, 5), list(curves["recurrent"]))

# %% [markdown]
# In the same number of steps the Transformer has far fewer errors; it is one run of each. And the
# longer the word, the larger the gap, as one would expect if looking helps. (The two differ in more
# than that: the GRU reads in one direction, and has one layer. How much of the gap is due to
# looking was not measured.) From short words to long ones the errors of the recurrent pair double,
# those of the Transformer grow by two fifths.
#
# ## Where does it look?
#
# Each head of the last block, while the model says one word: a row for each sound, a column for
# each letter.


# %%
def attention_maps(model, word):
    """Returns what was said, and the weights (heads, sounds, letters) of the last block."""
    letters = encode_letters([word])[:, : len(word)]
    said = [*sounds_of(greedy(model, letters)[0]), END]
    before = np.array([[START, *said[:-1]]], "int32")
    memory, decoder = as_reader(model)(letters), model.get_layer("decoder")
    x, mask = decoder.embedding(before), causal_mask(len(said))[tf.newaxis]
    for block in decoder.blocks:
        last, x_before = block, x
        x = block(x, memory, mask)
    x = x_before + last.attention(last.norm_1(x_before), attention_mask=mask)
    return said, last.cross_attention.look(last.norm_across(x), memory)[1][0].numpy()


# %%
def plot_word(model, word, sounds):
    """Returns the Axes (heads,): where the decoder looks while it says a word."""
    said, weights = attention_maps(model, word)
    names = [sounds[sound] for sound in said]
    return plotting.plot_attention(weights, names, list(word), "says", "looks at")


# %% tags=["cover"] alt="In four heads dark squares run down a diagonal as far as F; below they jump about u, l, y."
if __name__ == "__main__":
    plot_word(model, "thoughtfully", splits.classes)

# %%
if __name__ == "__main__":
    right = dict(read_words())
    for word in ("thoughtfully", "though", "tough"):
        said = greedy(model, encode_letters([word]))[0]
        names = " ".join(splits.classes[sound] for sound in sounds_of(said))
        print(f"{word:14} {names:24} CMUdict: {' '.join(right[word])}")

# %% [markdown]
# Nobody told the model which letters make which sound; the pairs in CMUdict are whole words. As far
# as `F` it looks at the letters from left to right: at *th* for `TH`, at *f* for `F`, though not
# with every head. After that the heads go back and forth among *u*, *l* and *y*, and the model says
# a `UW` and an `L` too many. So *thoughtfully* is wrong, in its first vowel and before its end,
# although it is among the 15,000 words of the training. The other two are not among them, and
# wrong, too: *ough* has many sounds. The picture shows where a model looks, not that it is right,
# and which head does what changes with the seed.
#
# Words that it has not seen are said, too; CMUdict has two of these four:

# %%
if __name__ == "__main__":
    for word in ("blick", "transformer", "gradientia", "kerasbook"):
        said = greedy(model, encode_letters([word]))[0]
        names = " ".join(splits.classes[sound] for sound in sounds_of(said))
        print(f"{word:14} {names:24} CMUdict: {' '.join(right.get(word, ('?',)))}")

# %% [markdown]
# And the first words of the test part; the third column is CMUdict's answer where it is another
# one.

# %%
if __name__ == "__main__":
    for word, ours, theirs in zip(
        few.test.x[0][:12], greedy(model, few.test.x[0][:12]), few.test.y, strict=False
    ):
        names = [" ".join(splits.classes[s] for s in sounds_of(row)) for row in (ours, theirs)]
        print(f"{spelling(word):14} {names[0]:30} {'' if names[0] == names[1] else names[1]}")

# %% [markdown]
# ## Saying a word: by beam
#
# The likeliest sound now may lead to an unlikely word. *Beam search* keeps the `beams` likeliest
# beginnings. In each step every one of them is continued by every sound, and of all these the
# likeliest are kept. Say that the first sound is A with 0.6 or B with 0.4, and that the best after
# A has 0.3, after B 0.9. Greedily one takes A and comes to 0.6 · 0.3 = 0.18; two beams keep B as
# well, and find 0.4 · 0.9 = 0.36.
#
# A beginning is judged by the sum of the logarithms of its probabilities, and a finished word stays
# as it is: after `<end>`, padding is certain. With one beam it is the greedy search; with as many
# beams as there are sequences, it finds the best. In the code each word has `beams` rows, one after
# another.


# %%
def only_padding_after_end(steps, said):
    """Returns log-probabilities (n, sounds), where `said` has ended those of padding for sure."""
    ended = tf.reduce_any(said == END, axis=1, keepdims=True)
    padding = tf.where(tf.range(steps.shape[-1]) == PAD, 0.0, -np.inf)
    return tf.where(ended, padding, steps)


# %%
def beam_search(model, letters, beams=4, longest=16):
    """Returns the sounds (n, longest) int32 and their log-probability (n,): the best of `beams`."""
    forward, n, letters = next_logits(model), len(letters), np.repeat(letters, beams, axis=0)
    scores = tf.tile([[0.0] + [-np.inf] * (beams - 1)], (n, 1))  # (n, beams): all equal, so one
    said = tf.fill([n * beams, 1], START)
    first = beams * tf.range(n)[:, tf.newaxis]  # the first row of each word
    for _ in range(longest):
        logits = forward(letters, said)
        steps = only_padding_after_end(tf.nn.log_softmax(logits), said)
        sounds = steps.shape[-1]
        totals = scores[:, :, tf.newaxis] + tf.reshape(steps, (n, beams, sounds))
        scores, chosen = tf.math.top_k(tf.reshape(totals, (n, beams * sounds)), beams)
        rows = tf.reshape(first + chosen // sounds, (-1,))  # which beginning is continued,
        token = tf.reshape(chosen % sounds, (-1, 1))  # and by which sound
        said = tf.concat([tf.gather(said, rows), token], axis=1)
    return tf.reshape(said, (n, beams, -1))[:, 0, 1:].numpy(), scores[:, 0].numpy()


# %%
if __name__ == "__main__":
    by_beam, _ = beam_search(model, few.test.x[0])
    for name, each in {"greedy": greedy(model, few.test.x[0]), "by beam": by_beam}.items():
        errors = error_rates(each, few.test.y)
        print(f"{name:8}", {kind: round(error, 3) for kind, error in errors.items()})

# %% [markdown]
# That is ten words among a thousand, for four times the work. (How often the beam finds a
# likelier word that is just as wrong, these numbers do not tell.)
#
# Exercise: `beam_search` with a length penalty.
#
# ## A loss that is less sure
#
# CMUdict has mistakes in it, and names that might as well be said otherwise; to be quite sure is to
# be wrong there. With *label smoothing* $s$ and $C$ sounds the target is not 1 for the right one,
# but $1 - s + s / C$, and $s / C$ for each of the others. The model is then no longer rewarded for
# being surer and surer. It is off by default; `--label-smoothing 0.1` turns it on, and whether it
# helps here was not measured. Is it what Keras computes?


# %% tags=["hide-input"]
def compare_smoothing(smoothing=0.1, dtype="float64") -> dict[str, float]:
    """Returns the differences to Keras' CategoricalCrossentropy: of the loss, of its gradient."""
    random = np.random.default_rng(0)
    y, logits = random.integers(0, 7, (4, 5)), random.normal(size=(4, 5, 7)).astype(dtype)
    options = {"reduction": "mean_with_sample_weight", "dtype": dtype}
    smooth = {"label_smoothing": smoothing, "from_logits": True}
    theirs = keras.losses.CategoricalCrossentropy(**smooth, **options)
    ours = SmoothedCrossEntropy(smoothing, dtype=dtype)
    weight = (random.random((4, 5)) < 0.7).astype(dtype)
    one_hot = np.eye(7, dtype=dtype)[y]
    return compare_functions(
        lambda logits: ours(y, logits, weight),
        lambda logits: theirs(one_hot, logits, weight),
        logits,
        names=("gradient of logits",),
    )


if __name__ == "__main__":
    differences = [max(compare_smoothing(smoothing).values()) for smoothing in (0.0, 0.1, 0.5)]
    print(f"values and gradients equal to Keras', largest difference {max(differences):.0e}")

# %% [markdown]
# ## Several words in a row
#
# A table of 14 letters and 16 sounds is half empty: the words have 7.4 letters and 6.3 sounds on
# average. The model works on padding half of the time. But several words may lie in one row, if
# none looks at another, and again that is a mask. Number the words of a row 1, 2, …, and call
# padding number 0. These are `segment_ids`; a token may look at those of its own segment, and its
# place is counted anew in every segment.


# %%
def same_segment(segments, others):
    """Returns (n, queries, keys) from segment_ids (n, queries), (n, keys): True where equal."""
    return keras.ops.equal(segments[:, :, np.newaxis], others[:, np.newaxis])


def places_in(segments):
    """Returns each token's place (n, time) in its segment: how many of it are before."""
    same = keras.ops.cast(same_segment(segments, segments), "int32")
    return keras.ops.sum(keras.ops.tril(same), axis=-1) - 1


# %% [markdown]
# The blocks stay as they are. A second model with the same layers, and so with the same weights,
# gives them these masks and places.


# %%
def make_packed(model) -> keras.Model:
    """Returns the model for packed rows: it has the layers of `model`, and so its weights.

    Its inputs are letters, their segment_ids, sounds so far, their segment_ids: all (n, time).
    """
    names = ("letters", "letter_segments", "before", "before_segments")
    inputs = [keras.Input((None,), dtype="int32", name=name) for name in names]
    letters, spelt, before, said = inputs
    encoder, decoder, logits = (model.get_layer(n) for n in ("encoder", "decoder", "logits"))
    memory = encoder(letters, same_segment(spelt, spelt), places_in(spelt))
    x = decoder(
        before, memory, same_segment(said, said), same_segment(said, spelt), places_in(said)
    )
    return keras.Model(inputs, logits(x), name="packed")


# %% [markdown]
# Which word goes where is plumbing, folded away: eight rows of 32 places are open, and a word goes
# into the first of them that has room.


# %% tags=["hide-input"]
def rows_and_offsets(lengths, room):
    """Returns for each word its row, its number there, and where its letters and sounds begin.

    lengths: (n, 2) of letters and sounds. A word goes into the first of eight open rows that has
    room for both; if none has, a new row is opened, and the oldest closed.
    """
    open_rows, places = [], []
    for row, (letters, sounds) in enumerate(lengths.tolist()):
        for place in open_rows:
            if place[2] + letters <= room and place[3] + sounds <= room:
                break
        else:
            place = [row, 0, 0, 0]
            open_rows = [*open_rows[-7:], place]
        place[1] += 1
        places.append(tuple(place))
        place[2] += letters
        place[3] += sounds
    rows, numbers, *offsets = np.array(places).T
    return np.unique(rows, return_inverse=True)[1], numbers, offsets


# %%
def pack(part, room=32):
    """Returns (x, y, weight) for `make_packed`, with several words in each row of `room` places."""
    (letters, before), after = part
    lengths = np.stack([(tokens != PAD).sum(axis=1) for tokens in (letters, before)], axis=1)
    rows, numbers, offsets = rows_and_offsets(lengths, room)

    def lay(tokens, side):
        table = np.zeros((rows.max() + 1, room), "int32")
        word, place = np.nonzero(np.arange(tokens.shape[1]) < lengths[:, side : side + 1])
        table[rows[word], offsets[side][word] + place] = tokens[word, place]
        return table

    segments = [
        np.broadcast_to(numbers[:, np.newaxis], tokens.shape) for tokens in (letters, before)
    ]
    x = (lay(letters, 0), lay(segments[0], 0), lay(before, 1), lay(segments[1], 1))
    return x, lay(after, 1), (x[3] != PAD).astype("float32")


# %%
if __name__ == "__main__":
    packed = pack(splits.train)
    for name, (x, y, weight) in {"one word a row": as_rows(splits.train), "packed": packed}.items():
        print(f"{name:15} letters {x[0].shape}, {np.mean(x[0] != PAD):.0%} full,", end=" ")
        print(f"sounds {y.shape}, {np.mean(weight):.0%} full")
    for row in packed[0][0][:2]:
        print("".join(LETTERS[letter] or "." for letter in row))

# %% [markdown]
# The second word of the first row, *dispensing*, stands between two others. Does it get the logits
# that it gets alone? And have many words the same loss?

# %%
if __name__ == "__main__":
    few_words = splits.take(500).train
    (letters, before), _ = few_words
    begin, count = (int(number) for number in (before[:2] != PAD).sum(axis=1))
    together = make_packed(model)(pack(few_words)[0])[0, begin : begin + count]
    difference = np.abs(together - model((letters[1:2], before[1:2]))[0, :count]).max()
    print(f"logits of {spelling(letters[1])}, largest difference {difference:.0e}")

# %%
if __name__ == "__main__":
    for name, forward, rows in (("alone", model, as_rows), ("packed", make_packed(model), pack)):
        x, y, weight = rows(few_words)
        print(f"{name:7} {float(SmoothedCrossEntropy()(y, forward(x), weight)):.6f}")

# %% [markdown]
# Up to rounding nothing changes. What is gained are the places: little more than half as many are
# computed. The scores of attention become no fewer, because a longer row has more pairs of places.
#
# ## What if the targets are not shifted?
#
# Then each place is given the sound that it is to say, and the decoder needs no more than to copy
# it. What will its accuracy be in training? And what will it say by itself?


# %% tags=["hide-input"]
def compare_shift(examples=8000, epochs=3) -> dict[str, dict[str, float]]:
    """Returns the scores of a small model, trained with and without the shift."""
    splits = load_cmudict().take(examples)
    (letters, spelt, before, said), after, weight = pack(splits.train)
    results = {}
    for name, given in {"shifted": before, "unshifted": after}.items():
        keras.utils.set_random_seed(0)
        model = make_pronouncer(width=48, blocks=1, sounds=len(splits.classes))
        history = fit(
            make_packed(model),
            ((letters, spelt, given, said), after, weight),
            loss_fn=SmoothedCrossEntropy(),
            optimizer=keras.optimizers.Adam(0.004),
            metrics=[TokenAccuracy()],
            epochs=epochs,
            batch_size=32,
            progress="none",
        )
        ours, right = greedy(model, splits.test.x[0][:300]), splits.test.y[:300]
        sounds = np.mean([len(sounds_of(row)) for row in ours])
        scores = {"accuracy": history.last()["accuracy"], "sounds per word": float(sounds)}
        results[name] = scores | error_rates(ours, right)
    return results


if __name__ == "__main__":
    for name, scores in compare_shift().items():
        print(f"{name:10}", {key: round(value, 3) for key, value in scores.items()})

# %% [markdown]
# An excellent accuracy, and nothing sensible to say: when it must speak by itself, there is nothing
# to copy. It goes on and on, and an error above 1 means more edits than there are sounds.
#
# ## As a program
#
# `python -m kerasbook.chapter6_encoder_decoder` takes all words, packed, in one pass. Over five
# seeds the phoneme error on the test part was 0.140 ± 0.003, and 0.138 ± 0.002 with beam search.
# That is little, but it was better in each of the five: before rounding the mean difference is
# 0.003, with a standard error of 0.001.


# %%
def evaluate_tokens(model, part) -> dict[str, float]:
    """Returns loss and accuracy with the right sounds so far."""
    options = {"metrics": [TokenAccuracy()], "batch_size": 250}
    return evaluate(model, as_rows(part), loss_fn=SmoothedCrossEntropy(), **options)


def evaluate_pronouncer(model, splits) -> dict[str, dict[str, float]]:
    """Returns the scores by part: loss, accuracy, error rates, of the test part by beam too."""
    scores = {}
    for name in ("validation", "test"):
        part = getattr(splits, name)
        scores[name] = evaluate_tokens(model, part)
        scores[name] |= error_rates(greedy(model, part.x[0]), part.y)
    by_beam = error_rates(beam_search(model, splits.test.x[0])[0], splits.test.y)
    scores["test"] |= {f"beam_{name}": value for name, value in by_beam.items()}
    return scores


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["cmudict"],
    "headline": ["test", "beam_phoneme_error"],
    "bounds": {"dropout": [0, 0.999], "label_smoothing": [0, 0.999]},
    "minutes": 2,
}


def main(
    epochs: int = 1,
    batch_size: int = 24,
    learning_rate: float = 0.004,
    width: int = 64,
    heads: int = 4,
    blocks: int = 2,
    dropout: float = 0.0,
    label_smoothing: float = 0.0,
    seed: int = 0,
    dataset: Literal["cmudict"] = "cmudict",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains a Transformer to say English words.

    Args:
        epochs: passes over the training part
        batch_size: rows of several words per step
        learning_rate: of Adam after the warm-up; it falls to zero along half a cosine
        width: numbers per token
        heads: of each attention
        blocks: of the encoder and of the decoder
        dropout: share of what each part adds to a token that is dropped
        label_smoothing: share of the target that all classes have in equal parts
        seed: of the first weights, the shuffling and the dropout
        dataset: cmudict
        examples: use the first so many examples of each part
        fit_options: handed on to kerasbook.training.fit
    """
    one_thread_per_operation()  # faster on two cores
    keras.utils.set_random_seed(seed)
    splits = load(dataset).take(examples)
    print(splits)
    train = whole_batches(pack(splits.train), batch_size)
    options = {"dropout": dropout, "sounds": len(splits.classes)}
    model = make_pronouncer(width, heads, blocks, **options)
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
        validation_data=pack(splits.validation),
        seed=seed,
        **fit_options,
    )
    scores = evaluate_pronouncer(model, splits)
    figures = {
        "attention": plot_word(model, "thoughtfully", splits.classes),
        "history": plotting.plot_history(history),
        "learning_rate": plot_rates(schedule),
    }
    return Result(splits, model, history, scores, figures)


# %% [markdown]
# ## What to try
#
# - `--label-smoothing 0.1`: what happens to the loss, what to the errors?
# - `--blocks 1` and `--blocks 4`; `--width 32` and `--width 128`, each for the same time.
# - Write names of your own into `encode_letters`. What does the model make of *Keira*, of *Xhosa*?
# - Draw the attention of the first block. Does it look at the same letters?
# - Give the recurrent decoder more units. How many does it need?
#
# ## Exercises
#
# `beam_search` belongs to this page; the others of chapter 6 practise attention. `kerasbook start
# DIR` copies the stubs.
#
# ## Where to go next
#
# [The next page](chapter6_translation.ipynb) lets the same model translate, and gives it a cache.
