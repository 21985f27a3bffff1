# %% [markdown]
"""
# Chapter 7, continued. Fine-tuning with LoRA

The writer of chapter 6 has read six plays of Shakespeare, and it writes plays. We want one that
writes about films, and have 400 sentences out of film reviews. That is far too little to learn
English from. But the writer knows some English already. Can it be told about films in half a
minute, and does it still know its plays afterwards?

There are two ways. One moves all of its weights. The other leaves every weight as it is and puts
something small beside some of them, which can be taken away again: an *adapter*.

After this page you can

- fine-tune a pretrained model, and measure what it gains and what it forgets;
- write a low-rank adapter (LoRA), and start it so that nothing changes;
- say what share of the weights is trained, and what the rank does;
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
import tempfile
from typing import Literal

from kerasbook import plotting
from kerasbook.chapter6 import Stack, generate, logits_layer, make_schedule, make_writer
from kerasbook.chapter6 import whole_batches as without_a_short_batch
from kerasbook.data import Part, Splits, load, load_shakespeare
from kerasbook.data.film import read_film_sentences
from kerasbook.data.shakespeare import decode_text, encode_text, windows
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
# ## A writer that has read plays only
#
# We need not train it again. The playground *Writer* carries the weights of chapter 6's model with
# seed 0, rounded to 16 bits, and the book's package has that file.


# %%
def load_writer() -> keras.Model:
    """Returns chapter 6's writer, trained on six plays."""
    weights, about = read_weights("writer")
    model = make_writer(1 + len(about["characters"]))  # the first stands for all others
    model.set_weights(list(weights.values()))
    return model


# %% [markdown]
# What will it write about a film?

# %%
if __name__ == "__main__":
    plays, writer = load_shakespeare(), load_writer()
    print(generate(writer, "The film ", plays.classes, temperature=0.8))

# %% [markdown]
# It goes on, and soon somebody enters. Now the sentences. They are those of chapter 4, one to a
# line, cut into windows of 64 characters as the plays were. 400 of them are for training.


# %%
def film_splits(characters, sentences=400) -> Splits:
    """Returns windows of film sentences, x and y (n, 64), as load_shakespeare has them of plays.

    characters: those of the plays, whose numbers the writer knows.
    sentences: how many of the training part; the other two parts are whole.
    """
    train, *others = (part.texts for part in read_film_sentences())
    texts = ["\n".join(part) for part in (train[:sentences], *others)]
    parts = [windows(encode_text(text, characters), 64) for text in texts]
    about = ("film_text", "Film sentences by character", "next character", "embedded")
    return Splits(*parts, *about, characters)


# %%
if __name__ == "__main__":
    films = film_splits(plays.classes)
    print(films)
    print("\n".join(read_film_sentences()[0].texts[:2]))

# %% [markdown]
# How well does it guess the next character of a review, and of the play that it was validated on?
# To be quick, this page asks 300 windows of each. Before you run the cell: in chapter 6 a table of
# pairs reached 2.49 nats on plays.


# %%
loss_fn = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def loss_of(model, part) -> float:
    """Returns the mean loss on a part, in nats per character."""
    return evaluate(model, tuple(part), loss_fn=loss_fn, batch_size=300)["loss"]


# %%
if __name__ == "__main__":
    some = {"films": films.take(300).validation, "plays": plays.take(300).validation}
    before = {name: loss_of(writer, part) for name, part in some.items()}
    print({name: round(loss, 3) for name, loss in before.items()})

# %% [markdown]
# On films it is half a nat worse. Half a nat and not two: much of what it knows is English.
#
# ## Moving all weights
#
# *Fine-tuning* is training that goes on, with other data. Nothing is new in it but the start. So
# the loop is that of chapter 6, and only one thing is chosen anew: the learning rate is smaller,
# because the weights are good already and large steps would throw that away.


# %%
def train(model, part, learning_rate, epochs=6, batch_size=24, seed=0, **options):
    """Trains what is trainable, as chapter 6 does, with a warm-up; returns the History."""
    x, y = without_a_short_batch(part, batch_size)
    schedule = make_schedule(learning_rate, len(x), batch_size, epochs)
    optimizer = keras.optimizers.Adam(schedule, beta_2=0.98)
    options = {"epochs": epochs, "batch_size": batch_size, "progress": "none"} | options
    return fit(model, (x, y), loss_fn=loss_fn, optimizer=optimizer, seed=seed, **options)


# %% [markdown]
# After every epoch we ask for both losses: on films, and on the play. The first will fall. And the
# second?

# %%
if __name__ == "__main__":
    losses = [list(before.values())]
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: losses.append([loss_of(writer, part) for part in some.values()])
    )
    train(writer, films.train, learning_rate=0.002, callbacks=[watch])

# %% tags=["cover"] alt="Two losses over six epochs: that on films falls steeply at first and then slowly; that on plays jumps up in the first epoch, above the other, and stays there."
if __name__ == "__main__":
    curves = dict(zip(some, np.transpose(losses), strict=True))
    labels = {"x_label": "epochs of fine-tuning", "y_label": "nats per character"}
    plotting.plot_lines(curves, x=range(len(losses)), **labels)

# %%
if __name__ == "__main__":
    print(generate(writer, "The film ", plays.classes, temperature=0.8))

# %% [markdown]
# Nobody enters any more, the lines run on as sentences do, and between words that do not exist
# there are some of a review. (400 sentences are little, and one sample says little.) The price is
# the other curve: the writer *forgets*, and most of it in the first epoch, while on films it is
# getting better to the last. Nothing in the loss says that plays still matter, so weights that were
# good at plays are moved wherever films want them.
#
# What was the pretraining good for? The same network learns the same sentences from random weights,
# with chapter 6's learning rate. A guess: will it be better or worse than the writer of plays was
# before it had seen a single review?

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    fresh = make_writer(len(plays.classes))
    train(fresh, films.train, learning_rate=0.004)
    print(f"films: random start {loss_of(fresh, some['films']):.3f}, "
          f"plays alone {before['films']:.3f}, both {losses[-1][0]:.3f}")  # fmt: skip

# %% [markdown]
# From a random start the 400 sentences do not even reach what the plays alone had taught. That is
# why one fine-tunes.
#
# ## How large is the change?
#
# Fine-tuning has moved all 416,589 weights. But is it a change of 416,589 kinds? Take one kernel
# $W$, (inputs, units), and what was added to it, $\Delta W$. A matrix of the same shape that is
# simpler is a product of a column and a row: it takes one pattern of the inputs, and adds one
# pattern to the outputs, and that is all it can do. It has the *rank* 1, and a sum of $r$ such
# products has the rank $r$. Every matrix is such a sum, and its *singular value decomposition*
# orders the terms by their size. So we can keep the first few terms of each change, and ask how
# much of the gain is left.


# %%
def nearest(change, rank):
    """Returns A (inputs, rank) and B (rank, units) whose product is as near to change as can be."""
    u, sizes, v = np.linalg.svd(change, full_matrices=False)
    return u[:, :rank] * sizes[:rank], v[:rank]


# %%
def with_changes_of_rank(before, after, rank):
    """Returns weights: `before`, and of each kernel's change to `after` the first `rank` terms."""
    found = []
    for old, new in zip(before, after, strict=True):
        if old.ndim == 2:
            a, b = nearest(new - old, rank)
            new = old + a @ b
        found.append(new)
    return found


# %% [markdown]
# A kernel has up to 128 terms, the table of characters 77. Biases and norms, which are no matrices,
# get their whole change. Guess: how many of the 128 terms does it take for half of the gain?

# %%
if __name__ == "__main__":
    old, new = load_writer().get_weights(), writer.get_weights()
    ranks, by_rank = [0, 1, 2, 4, 8, 16, 32, 128], []
    for rank in ranks:
        writer.set_weights(with_changes_of_rank(old, new, rank))
        by_rank.append(loss_of(writer, some["films"]))
    print(dict(zip(ranks, np.round(by_rank, 3).tolist(), strict=True)))

# %% alt="Loss on films against the rank that is kept of each change, on a doubling axis: it falls in nearly equal steps with each doubling as far as rank 32, and hardly from there on."
if __name__ == "__main__":
    names = {"x_label": "rank kept of each change", "y_label": "nats per character, films"}
    ax = plotting.plot_lines({"loss": by_rank}, x=ranks, **names)
    ax.set_xscale("symlog", base=2, linthresh=1)
    ax.set_xticks(ranks, [str(rank) for rank in ranks])

# %% [markdown]
# No single term does it. But 8 of 128 carry more than half of the gain, and 32 nearly all. What if
# one asked for a change of low rank from the beginning? Then a few terms could be made to do the
# work alone, while these here were not made to do without the others.
#
# *Exercise: `nearest_adapter`.*
#
# ## A change of low rank
#
# That is *LoRA*, low-rank adaptation (Hu and others 2021). The kernel $W$, (inputs, units), is
# *frozen*. Beside it stand two small matrices, $A$ of shape (inputs, r) and $B$ of shape (r,
# units), and they alone are trained:
#
# $$s = x W + b + \frac{\alpha}{r}\, (x A)\, B .$$
#
# $x A$ is r numbers, and $B$ makes the units' changes out of them: the change goes through a
# bottleneck. The number $\alpha$ says how loud it is. It is divided by the rank so that a larger
# rank, which adds up more terms, is not louder for that reason alone. (The paper multiplies from
# the left, $W x + B A x$: the same, transposed.)


# %%
class LowRankDense(layers.Layer):
    """A dense layer as it is, and beside its kernel a change of low rank."""

    def __init__(self, dense, rank, alpha=None, **options):
        """Takes the layer, the rank r, and α, which is r if it is not given."""
        super().__init__(**options)
        self.dense, self.rank = dense, rank
        self.scale = (rank if alpha is None else alpha) / rank

    def build(self, shape):
        """Makes A, random, and B, zeros."""
        if not self.dense.built:
            self.dense.build(shape)
        units = self.dense.units
        self.a = self.add_weight(shape=(shape[-1], self.rank), initializer="he_uniform", name="a")
        self.b = self.add_weight(shape=(self.rank, units), initializer="zeros", name="b")

    def call(self, x):
        """Returns (…, units)."""
        s = keras.ops.matmul(x, self.dense.kernel) + self.dense.bias  # as Dense does, bit by bit
        return self.dense.activation(s + self.scale * ((x @ self.a) @ self.b))


# %% [markdown]
# The change is added before the activation, because it belongs to the kernel. Why does $B$ begin
# with zeros and $A$ not? That comes below. First, which layers get one? A block of the writer has
# six dense layers, four in the attention and two behind it. All six.


# %%
def dense_layers(stack):
    """Returns the dense layers in the blocks of a stack."""
    found = []
    for block in stack.blocks:
        attention = block.attention
        found += [attention.query, attention.key, attention.value, attention.projection]
        found += block.feed_forward.layers
    return found


# %%
def add_adapters(stack, rank, alpha=None):
    """Puts an adapter to every dense layer of the blocks; the stack must not be built yet."""
    for block in stack.blocks:
        for part in ("query", "key", "value", "projection"):
            dense = getattr(block.attention, part)
            setattr(block.attention, part, LowRankDense(dense, rank, alpha, name=f"low_{part}"))
        two = block.feed_forward
        two.build((None, None, stack.embedding.width))  # Keras asks this of layers put aside, too
        low = [LowRankDense(dense, rank, alpha) for dense in two.layers]
        block.feed_forward = keras.Sequential(low, name="feed_forward")


# %% [markdown]
# Then the pretrained weights are put in, and all of them are frozen: kernels, biases, norms, the
# embedding, the logits.


# %%
def adapted(writer, rank=4, alpha=None) -> keras.Model:
    """Returns the writer anew, frozen, with adapters to train, which change nothing yet."""
    old = writer.get_layer("stack")
    table, heads = old.embedding.table, old.blocks[0].attention.heads
    stack = Stack(
        table.input_dim, table.output_dim, heads, len(old.blocks), causal=True, name="stack"
    )
    add_adapters(stack, rank, alpha)
    text = keras.Input((None,), dtype="int32", name="text")
    model = keras.Model(text, logits_layer(table.input_dim)(stack(text)), name="adapted_writer")
    for weight, value in zip(frozen(model), writer.get_weights(), strict=True):
        weight.assign(value)
        weight.trainable = False
    return model


# %%
def adapters(model):
    """Returns all A and B of an adapted writer: its variables, in turn."""
    return [weight for weight in model.weights if weight.name in ("a", "b")]


def frozen(model):
    """Returns all other weights of an adapted writer."""
    return [weight for weight in model.weights if weight.name not in ("a", "b")]


# %% [markdown]
# Does it still write the same? It should, to the last bit, because zeros are added.

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    writer, model = load_writer(), adapted(load_writer())
    x = films.validation.x[:50]
    print("largest difference before any step:", np.abs(writer(x) - model(x)).max())

# %% [markdown]
# ## How many weights is that?
#
# An adapter has $r \cdot (\text{inputs} + \text{units})$ weights, and its kernel has $\text{inputs}
# \cdot \text{units}$. For 128 inputs, 128 units and the rank 4, guess the share before you run it.


# %%
def size_of(weights) -> int:
    """Returns how many numbers a list of variables has."""
    return sum(int(np.prod(weight.shape)) for weight in weights)


# %%
if __name__ == "__main__":
    everything = size_of(frozen(model))
    for rank in (1, 4, 16, 64):
        trained = size_of(adapters(adapted(writer, rank)))
        print(f"rank {rank:2}: {trained:7,} weights, {trained / everything:6.1%} of {everything:,}")

# %% [markdown]
# With the rank 64 it is hardly a saving any more: seven tenths of what full fine-tuning trains. The
# share is smaller for larger models, because an adapter grows with the width and a kernel with its
# square. What is saved? Not the forward pass, which gets a little longer. Adam keeps two more
# numbers for each trained weight, and those are saved; and so is the file for each further text.
#
# *Five minutes: `adapter_share`.*
#
# ## Where does it start?
#
# With $G$ for the gradient of the loss for the whole kernel $W + \frac{\alpha}{r} A B$, (inputs,
# units), the chain rule gives
#
# $$\frac{\partial L}{\partial A} = \frac{\alpha}{r}\, G\, B^\top , \qquad
#   \frac{\partial L}{\partial B} = \frac{\alpha}{r}\, A^\top G .$$


# %%
def adapter_gradients(a, b, scale, for_kernel):
    """Returns the gradients for A and B out of that for the whole kernel, (inputs, units)."""
    return scale * for_kernel @ tf.transpose(b), scale * tf.transpose(a) @ for_kernel


# %% [markdown]
# Each one's gradient has the other as a factor. So if $B$ is zero, $A$ stands still in the first
# step, and $B$ moves. And if both are zero? Or if neither is? Three starts, for one epoch each.


# %%
def start(model, a, b):
    """Gives every A the factor a, and every B random numbers times b."""
    random = np.random.default_rng(0)
    for weight in adapters(model):
        if weight.name == "a":
            weight.assign(a * weight)
        else:
            weight.assign(b * random.normal(size=weight.shape))


# %%
if __name__ == "__main__":
    for name, factors in {"B zero": (1, 0), "both zero": (0, 0), "both random": (1, 1)}.items():
        keras.utils.set_random_seed(0)
        start(model := adapted(load_writer()), *factors)
        first = loss_of(model, some["films"])
        train(model, films.train, learning_rate=0.02, epochs=1)
        print(f"{name:12} at first {first:.3f}, then {loss_of(model, some['films']):.3f}")

# %% [markdown]
# With both zero nothing is ever learned: every gradient is zero, in every step. With both random
# the writer is destroyed before it has learned anything, and an epoch does not mend it. One zero
# is right, and which of the two does not matter for the first output.
#
# *Exercise: `train_adapter`, the descent by hand.*
#
# ## What does it learn, and what does it forget?
#
# Now the adapter is trained, with the rank 4. Its learning rate is ten times that of before: B
# begins at zero and has far to go, and what was good is frozen and cannot be thrown away.

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    model = adapted(load_writer(), rank=4)
    with_adapter = [list(before.values())]
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: with_adapter.append([loss_of(model, p) for p in some.values()])
    )
    train(model, films.train, learning_rate=0.02, callbacks=[watch])
    print(generate(model, "The film ", plays.classes, temperature=0.8))

# %% [markdown]
# Both ways in one picture: films across, plays upwards, a point for each epoch. They begin at the
# same place on the right. The best writer would be at the left and at the bottom.


# %% tags=["hide-input"] alt="Loss on films across, on plays upwards, a point for each epoch. Both ways lead from the lower right to the upper left; that of the adapters lies a little below the other and ends sooner."
def plot_paths(paths):
    """Returns the Axes: loss on films across, on plays upwards, for each way a point an epoch."""
    labels = {"x_label": "nats per character, films", "y_label": "nats per character, plays"}
    ax = plotting.plot_lines({}, **labels)
    for number, (way, losses) in enumerate(paths.items()):
        look = {"color": plotting.page.COLOURS[number], "marker": plotting.page.MARKERS[number]}
        look["linestyle"] = plotting.page.LINE_STYLES[number]
        ax.plot(*np.transpose(losses), **look, label=way)
    ax.legend(frameon=False)
    return ax


if __name__ == "__main__":
    plot_paths({"all weights": losses, "adapters, rank 4": with_adapter})

# %% [markdown]
# The adapters do not get so far to the left, and on their way they have forgotten a little less. Is
# that because of the low rank? One run of each, with one learning rate, is no comparison. Here are
# five runs of each row, judged on 600 windows of either kind; in brackets stands the standard
# error. (The learning rates come from a few single runs. Another one may be better for a row.)
#
# | trained | learning rate | films | plays |
# |---|---|---|---|
# | adapters, rank 1 | 0.02 | 1.991 (0.001) | 2.040 (0.003) |
# | adapters, rank 4 | 0.02 | 1.929 (0.002) | 2.109 (0.005) |
# | adapters, rank 16 | 0.01 | 1.894 (0.001) | 2.159 (0.003) |
# | all weights | 0.0005 | 1.918 (0.000) | 1.962 (0.001) |
#
# The higher the rank, the more is learned, and the more is forgotten. Now look at the last row. All
# weights, with a learning rate a quarter of ours above, have learned more than rank 4, and have
# forgotten less than even rank 1. Biderman and others (2024) found for large models that LoRA
# learns less and forgets less. The first is seen here, too, for the low ranks. The second is not:
# small steps in all weights have done less harm than large steps in a few. So measure the loss on
# the old text before you believe that anything is kept.
#
# So what is an adapter good for? In a model as small as this one, not for its loss. What it is good
# for comes now.
#
# ## Merged
#
# The adapter costs a little time whenever the model is used. It need not, because the sum of two
# products with the same $x$ is one product:
#
# $$x W + \frac{\alpha}{r}\, (x A)\, B = x \left( W + \frac{\alpha}{r} A B \right) .$$
#
# So after training the change can be added to the kernel once and for all. What comes out is an
# ordinary writer, of the old size, without any adapter.


# %%
def merged(model) -> keras.Model:
    """Returns a plain writer that computes what an adapted one does."""
    stack = model.get_layer("stack")
    block, table = stack.blocks[0], stack.embedding.table
    sizes = table.output_dim, block.attention.heads, len(stack.blocks)
    writer = make_writer(table.input_dim, *sizes)
    writer.set_weights([weight.numpy() for weight in frozen(model)])
    for plain, low in zip(
        dense_layers(writer.get_layer("stack")), dense_layers(stack), strict=True
    ):
        plain.kernel.assign_add(low.scale * (low.a @ low.b))
    return writer


# %%
if __name__ == "__main__":
    plain = merged(model)
    both = model(x).numpy(), plain(x).numpy()
    print(f"{plain.count_params():,} weights; logits up to {np.abs(both[0]).max():.0f}, ", end="")
    print(f"largest difference {np.abs(both[0] - both[1]).max():.0e}")

# %% [markdown]
# Equal to rounding. (`kerasbook verify chapter7_lora` compares in 64 bits, too.) Whoever merges
# must then take the adapter away: a merged kernel *and* the adapter are the change twice. And the
# merged kernel alone does not tell any more what was there before.
#
# *Five minutes: `merge_transposed`, for an adapter from PyTorch.*
#
# ## Another one in its place
#
# Because the writer itself has not been touched, it can carry another adapter tomorrow. Here is one
# for Bible verses, in English, trained in the same way on 400 of them. What has to be kept for each
# text is A and B.

# %%
if __name__ == "__main__":
    for_films = [weight.numpy() for weight in adapters(model)]
    verses = "\n".join(verse.english for verse in read_verses()[0][:400])
    keras.utils.set_random_seed(0)
    other = adapted(load_writer(), rank=4)
    train(other, windows(encode_text(verses, plays.classes), 64), learning_rate=0.02)
    for_verses = [weight.numpy() for weight in adapters(other)]


# %%
def put(model, arrays):
    """Gives an adapted writer these A and B."""
    for weight, array in zip(adapters(model), arrays, strict=True):
        weight.assign(array)


# %%
if __name__ == "__main__":
    nothing = [np.zeros_like(array) for array in for_films]
    pens = {"plays": nothing, "films": for_films, "verses": for_verses}
    for name, arrays in pens.items():
        put(model, arrays)
        print(f"--- {name}:", generate(model, "The ", plays.classes, count=130, temperature=0.6))

# %% [markdown]
# One writer, three pens. With the adapter away it has forgotten nothing at all: the loss on plays
# is that of the first day. That is the true answer to forgetting, and no property of a low rank:
# what is frozen stays, and with the adapter switched on the writer is bad at plays like any other.

# %%
if __name__ == "__main__":
    put(model, nothing)
    print(f"plays: {loss_of(model, some['plays']):.3f} without, {before['plays']:.3f} at first")
    kept = sum(array.nbytes for array in for_films)
    print(f"{kept:,} bytes for each text, {4 * writer.count_params():,} for the writer")

# %% [markdown]
# *Exercise: `join_adapters`, two of them at once.*
#
# ## What Keras has
#
# Some layers of Keras have a method `enable_lora(rank, lora_alpha)`. It makes A and B inside of the
# layer and freezes its kernel. Which layers?

# %%
if __name__ == "__main__":
    names = ["Dense", "EinsumDense", "Embedding", "Conv1D", "Conv2D", "Conv3D", "DepthwiseConv2D",
             "SeparableConv2D", "Conv2DTranspose", "SimpleRNN", "GRU", "LSTM",
             "MultiHeadAttention", "LayerNormalization"]  # fmt: skip
    for has in (True, False):
        those = [name for name in names if hasattr(getattr(layers, name), "enable_lora") == has]
        print("with it:" if has else "without:", ", ".join(those))

# %% [markdown]
# `MultiHeadAttention` has it by its four parts, of which more below. Does it compute what ours
# does? The same A and B go into both, and the logits and the gradients are compared.


# %%
def with_keras(writer, rank, alpha=None):
    """Returns the writer itself, every dense layer of its blocks with Keras' LoRA."""
    for dense in dense_layers(writer.get_layer("stack")):
        dense.enable_lora(rank, alpha)
    return writer


def keras_adapters(writer):
    """Returns A and B of Keras' LoRA, in the order of `adapters`."""
    return [w for d in dense_layers(writer.get_layer("stack"))
            for w in (d.lora_kernel_a, d.lora_kernel_b)]  # fmt: skip


# %% tags=["hide-input"]
def compare_lora(ours, theirs, x, y) -> tuple[float, list[float]]:
    """Returns the largest difference of the logits, and of each adapter's gradient, its share."""
    results = []
    for model, variables in ((ours, adapters(ours)), (theirs, keras_adapters(theirs))):
        with tf.GradientTape() as tape:
            logits = model(x)
            loss = loss_fn(y, logits)
        results.append((logits, tape.gradient(loss, [weight.value for weight in variables])))
    (logits, gradients), (others, other_gradients) = results
    shares = [
        float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(gradients, other_gradients)
    ]
    return float(np.abs(logits - others).max()), shares


# %%
if __name__ == "__main__":
    put(model, for_films)
    theirs = with_keras(load_writer(), rank=4)
    for weight, array in zip(keras_adapters(theirs), for_films, strict=True):
        weight.assign(array)
    logits, gradients = compare_lora(model, theirs, x, films.validation.y[:50])
    print(f"logits: largest difference {logits:.0e}; {len(gradients)} gradients: of the largest "
          f"number of each at most {max(gradients):.0e}")  # fmt: skip

# %% [markdown]
# The same, to rounding: in 32 bits a trained model's gradients are small differences of large
# numbers, and with random weights `kerasbook verify` finds them equal to the last digits. Four
# things are different, and each of them can cost an afternoon.
#
# **It freezes the kernel alone.** Biases, norms, embedding and logits stay trainable.

# %%
if __name__ == "__main__":
    print(f"trainable: {size_of(theirs.trainable_weights):,}, of these "
          f"A and B: {size_of(keras_adapters(theirs)):,}")  # fmt: skip
    for weight in theirs.trainable_weights:
        weight.trainable = weight.name.startswith("lora")
    print(f"then:      {size_of(theirs.trainable_weights):,}")

# %% [markdown]
# **It makes the sum $W + \frac{\alpha}{r} A B$ in every step**, where ours sends $x$ through the
# bottleneck. The result is the same. For few rows of $x$ and large kernels the bottleneck is much
# less arithmetic; for many rows the sum is. Here, per layer and step, in multiplications:

# %%
if __name__ == "__main__":
    rows, inputs, units, rank = 24 * 64, 128, 128, 4
    print(f"bottleneck {rows * rank * (inputs + units):,}, sum {rank * inputs * units:,}")

# %% [markdown]
# **In attention the rank is another.** Keras' `MultiHeadAttention` has kernels of three axes,
# (width, heads, depth). For such a kernel A is (width, heads, r) and B (r, depth): every head has
# its own A. As a matrix of (width, heads · depth) the change has up to heads · r as its rank, and A
# has as many times the weights.

# %%
if __name__ == "__main__":
    attention = layers.MultiHeadAttention(num_heads=4, key_dim=32)
    attention.build((None, 64, 128), (None, 64, 128))
    query = attention.query_dense
    query.enable_lora(4)
    query.lora_kernel_b.assign(np.random.default_rng(0).normal(size=query.lora_kernel_b.shape))
    change = tf.tensordot(query.lora_kernel_a, query.lora_kernel_b, 1).numpy().reshape(128, 128)
    sizes = query.lora_kernel_a.shape, query.lora_kernel_b.shape
    print(*sizes, "rank of the change:", np.linalg.matrix_rank(change))

# %% [markdown]
# **A saved model cannot go on learning.** When it is saved, Keras merges the adapter into the
# kernel, and when it is loaded, the new A and the new B are both set to zero. The outputs are
# right. But you know the start with both zero from above.

# %%
if __name__ == "__main__":
    keras.utils.set_random_seed(0)
    small = keras.Sequential([keras.Input((5,)), layers.Dense(3)])
    small.layers[0].enable_lora(2)
    with tempfile.TemporaryDirectory() as folder:
        small.save(f"{folder}/small.keras")
        loaded = keras.models.load_model(f"{folder}/small.keras", safe_mode=True).layers[0]
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(loaded(np.ones((4, 5))) ** 2)
    pair = loaded.lora_kernel_a, loaded.lora_kernel_b
    print([float(np.abs(gradient).max()) for gradient in tape.gradient(loss, pair)])

# %% [markdown]
# Both gradients are exactly zero, and they stay so. To go on, give A random numbers again:
# `loaded.lora_kernel_a.assign(…)`. This is so in the version of Keras that made this page; a test
# of the book will say when it changes.
#
# *Exercise: `embedding_adapter`. An embedding can have an adapter, too.*
#
# ## As a program
#
# `main` loads the writer, puts adapters to it, trains them and merges them. `--way full` moves all
# weights, `--way scratch` begins with random ones. `--data letters.txt` takes a text of yours in
# place of the films. Its characters must have the numbers that the writer knows.


# %% tags=["hide-input"]
def in_these(characters, splits) -> Splits:
    """Returns the windows of a text with the numbers of these characters; 0 for others."""
    text = decode_text(range(len(splits.classes)), splits.classes)  # each of its own once
    number = encode_text(text, characters)
    whole = (splits.train, splits.validation, splits.test)
    parts = [Part(number[x], number[y]) for x, y in whole]
    about = (splits.name, splits.title, splits.target, splits.source)
    return Splits(*parts, *about, characters)


# %% tags=["hide-input"]
ABOUT = {
    "datasets": ["film_text"],
    "headline": ["test", "loss"],
    "unit": "nats per character",
    "bounds": {"rank": [1, 128], "alpha": [0, None], "sentences": [20, None]},
    "minutes": 1,
}
RATES = {"adapters": 0.02, "full": 0.002, "scratch": 0.004}


def main(
    way: Literal["adapters", "full", "scratch"] = "adapters",
    rank: int = 4,
    alpha: float | None = None,
    sentences: int = 400,
    epochs: int = 6,
    batch_size: int = 24,
    learning_rate: float | None = None,
    seed: int = 0,
    dataset: Literal["film_text"] = "film_text",
    examples: int | None = None,
    **fit_options,
) -> Result:
    """Trains chapter 6's writer further, on sentences about films.

    Args:
        way: what is trained; adapters beside the weights, all weights, or all from a random start
        rank: of the adapters
        alpha: the adapters' change is scaled by alpha / rank; the rank if not given
        sentences: of the training part
        epochs: passes over them
        batch_size: windows of text per step
        learning_rate: of Adam after the warm-up; each way has its own if it is not given
        seed: of the first weights and the shuffling
        dataset: film_text
        examples: use the first so many windows of each part
        fit_options: handed on to kerasbook.training.fit
    """
    one_thread_per_operation()  # faster on two cores
    keras.utils.set_random_seed(seed)
    plays = load_shakespeare().take(examples)
    if dataset == "film_text":
        splits = film_splits(plays.classes, sentences).take(examples)
    else:  # --data
        splits = in_these(plays.classes, load(dataset)).take(examples)
    print(splits)
    writer = make_writer(len(plays.classes)) if way == "scratch" else load_writer()
    model = adapted(writer, rank, alpha) if way == "adapters" else writer
    print(f"trained: {size_of(model.trainable_weights):,} of {size_of(model.weights):,} weights")
    history = train(
        model,
        splits.train,
        RATES[way] if learning_rate is None else learning_rate,
        epochs,
        batch_size,
        seed,
        validation_data=tuple(splits.validation),
        **fit_options,
    )
    model = merged(model) if way == "adapters" else model
    parts = {"validation": splits.validation, "test": splits.test, "plays": plays.validation}
    scores = {name: {"loss": loss_of(model, part)} for name, part in parts.items()}
    print(generate(model, "The film ", plays.classes, temperature=0.8))
    figures = {"history": plotting.plot_history(history)}
    return Result(splits, model, history, scores, figures)


# %% [markdown]
# ## What to try
#
# - `--rank 1` and `--rank 64`, each with its best learning rate.
# - `--alpha 16`, with `--learning-rate` a quarter of what it was. Is it the same? (Adam's steps do
#   not grow with the gradient.)
# - `--sentences 50` and `--sentences 8000`: at which number does full fine-tuning overtake the
#   adapter?
# - Let `add_adapters` leave out the feed-forward layers, and double the rank.
# - Mix a few windows of plays into the training part. What does it cost on films, what is not
#   forgotten?
# - Train one adapter on the praising and one on the panning sentences, and let both write.
# - `put(model, …)` with the films' B halved, and doubled.
#
# ## Exercises
#
# Six exercises go with this page. Two of them take five minutes. `kerasbook start DIR` copies them
# into a folder.
#
# ## Where to go next
#
# [Chapter 8](chapter8.ipynb) makes models smaller in other ways; a frozen kernel in few bits with
# an adapter in full precision beside it is *QLoRA* (Dettmers and others 2023).
