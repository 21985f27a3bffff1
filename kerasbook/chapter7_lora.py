# %% [markdown]
"""
# Chapter 7, continued. Fine-tuning with LoRA

The writer of chapter 6 has read six plays of Shakespeare, and writes plays. We want one that writes
about films. We have 400 sentences of film reviews, which is far too little to learn English from.
But the writer knows some English. Can it be told about films in a minute, without being made anew?

It can, and there are two ways. One moves all of its weights. The other leaves every one of them as
it is, and puts a small change beside them, of a few percent of their number: an *adapter*. What
does either way gain, and what does the writer forget?

After this page you can

- fine-tune a pretrained model, and measure what it gains and what it forgets;
- write a low-rank adapter (LoRA), and start it so that nothing changes;
- say what share of the weights is trained, and choose the rank;
- merge an adapter into the weights, or put another one in its place;
- use `enable_lora` of Keras, and know what it leaves to you.

You need chapter 6.
"""

# %% tags=["script"]
# As a program (`python -m kerasbook.chapter7_lora`): train, save, end. The cells below are for
# reading.
if __name__ == "__main__":
    from kerasbook.runner import run

    run("kerasbook.chapter7_lora")

# %% tags=["hide-input"]
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter6 import Stack, generate, logits_layer, make_schedule, make_writer
from kerasbook.chapter6 import whole_batches
from kerasbook.contents import load_results
from kerasbook.data import Splits, load_shakespeare
from kerasbook.data.film import read_film_sentences
from kerasbook.data.shakespeare import encode_text, windows
from kerasbook.data.verses import read_verses
from kerasbook.runner import Result
from kerasbook.training import evaluate, fit
from kerasbook.training.devices import one_thread_per_operation
from kerasbook.web.playgrounds.weights import read as read_weights

# kerasbook comes first: it chooses Keras' backend.
import keras
import numpy as np
import tensorflow as tf
from keras import layers

if __name__ == "__main__":
    one_thread_per_operation()  # faster on two cores, if TensorFlow has not computed anything yet

# %% [markdown]
# ## What does it write about films?
#
# The trained writer need not be trained again. The playground *Writer* of the web site carries its
# weights, those of seed 0, rounded to 16 bits.

# %%
PLAYS = load_shakespeare()
CHARACTERS = PLAYS.classes  # 77: the first stands for all that the plays do not have


def load_writer() -> keras.Model:
    """Returns chapter 6's writer, trained on six plays."""
    model, (weights, _) = make_writer(len(CHARACTERS)), read_weights("writer")
    model.set_weights(list(weights.values()))
    return model


# %%
if __name__ == "__main__":
    writer = load_writer()
    print(generate(writer, "The film ", CHARACTERS, temperature=0.8))


# %% tags=["hide-input"]
def film_sentences(sentences=400) -> Splits:
    """Returns windows of 64 characters of film sentences, one to a line, with what comes next.

    sentences: how many of the training part; the other two parts are whole.
    """
    train, *others = (part.texts for part in read_film_sentences())
    parts = [windows(encode_text("\n".join(texts), CHARACTERS), 64)
             for texts in (train[:sentences], *others)]  # fmt: skip
    return Splits(*parts, "film_sentences", "Film sentences by character", "next character",
                  "embedded", CHARACTERS)  # fmt: skip


loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def loss_of(model, part) -> float:
    """Returns the mean loss, in nats per character."""
    return evaluate(model, tuple(part), loss_fn=loss_fn, batch_size=250)["loss"]


def train(model, part, learning_rate, epochs=10, batch_size=24, seed=0, **options):
    """Trains the weights that are trainable, as chapter 6 does; returns the History."""
    x, y = whole_batches(part, batch_size)
    schedule = make_schedule(learning_rate, len(x), batch_size, epochs)
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.98)
    options = {"epochs": epochs, "batch_size": batch_size, "progress": "none"} | options
    return fit(model, (x, y), loss_fn=loss_fn, optimizer=optimizer, seed=seed, **options)


# %%
class LowRankDense(layers.Layer):
    """A dense layer that stays as it is, and beside it a change of its kernel, of low rank."""

    def __init__(self, dense, rank, alpha=None, **options):
        """Takes the layer, the rank r, and α: the change is scaled by α / r; α is r if not given."""
        super().__init__(**options)
        self.dense, self.rank = dense, rank
        self.scale = (rank if alpha is None else alpha) / rank

    def build(self, shape):
        """Makes A, random, and B, of zeros."""
        if not self.dense.built:
            self.dense.build(shape)
        units = self.dense.units
        self.a = self.add_weight(shape=(shape[-1], self.rank), initializer="he_uniform", name="a")
        self.b = self.add_weight(shape=(self.rank, units), initializer="zeros", name="b")

    def call(self, x):
        """Returns (…, units)."""
        change = self.scale * ((x @ self.a) @ self.b)
        return self.dense.activation(x @ self.dense.kernel + self.dense.bias + change)


# %%
PARTS = ("query", "key", "value", "projection")


def add_adapters(stack, rank, alpha=None):
    """Puts an adapter to each dense layer of the blocks; the stack is not built yet."""
    for block in stack.blocks:
        for part in PARTS:
            dense = getattr(block.attention, part)
            setattr(block.attention, part, LowRankDense(dense, rank, alpha, name=f"{part}_adapted"))
        wrapped = [LowRankDense(dense, rank, alpha) for dense in block.feed_forward.layers]
        block.feed_forward = keras.Sequential(wrapped, name="feed_forward")


def adapted(writer, rank=4, alpha=None) -> keras.Model:
    """Returns the writer with adapters: they alone are trainable, and change nothing yet."""
    old = writer.get_layer("stack")
    classes, width, heads = old.embedding.table.input_dim, old.embedding.width, old.blocks[0].attention.heads
    stack = Stack(classes, width, heads, len(old.blocks), causal=True, name="stack")
    add_adapters(stack, rank, alpha)
    text = keras.Input((None,), dtype="int32", name="text")
    model = keras.Model(text, logits_layer(classes)(stack(text)), name="adapted_writer")
    frozen = [weight for weight in model.weights if weight.name not in ("a", "b")]
    for weight, value in zip(frozen, writer.get_weights(), strict=True):
        weight.assign(value)
        weight.trainable = False
    return model
